/* l_embeddings.c -- what batches of questions for vectors need of C: put together, taken apart, read.
 *
 *     core.embeddings_form(req)          -> key, inputs      may it go together with others, and with which?
 *     core.embeddings_join(reqs, tokens) -> body, plan       one question for all of them
 *     core.embeddings_answers(plan, bytes, reqs, upstream)   -> of each its response, or false
 *     core.embeddings_vectors(bytes, n)  -> lists of numbers, for who wants vectors and not answers
 *
 * Who waits, and what goes when, is l_batch.c's; lua/perilune/embeddings.lua puts the two together. */
#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "llm/dialect.h"
#include "request/cached.h"
#include "request/embeddings.h"
#include "request/synthetic.h"

#define TYPE "perilune.embeddings"
#define PARTS_MOST 65536 /* of a join; ORDER: max_size in lua/perilune/batch.lua */

static struct embeddings_join **to_plan(lua_State *L, int i) { return luaL_checkudata(L, i, TYPE); }

static int l_gc(lua_State *L) {
    struct embeddings_join **j = to_plan(L, 1);
    embeddings_join_free(*j);
    *j = NULL;
    return 0;
}

/* core.embeddings_form(req) -> key, inputs | nil: nobody knows how it could go together with another */
int l_embeddings_form(lua_State *L) {
    const struct request *r = request_check(L, 1);
    struct body *b = request_body(L, 1);
    struct embeddings_form f = { .inputs = 0 };
    struct buf *key = lib_scratch(L);
    if (b != NULL && b->dialect == &openai_embeddings && r->query.len == 0) f = embeddings_form(&b->doc);
    if (f.inputs > 0) embeddings_key(&b->doc, f, key);
    body_put(b);
    lib_check_buf(L, key);
    if (f.inputs == 0) return 0;
    lua_pushlstring(L, buf_get(key).ptr, buf_len(key));
    lua_pushinteger(L, (lua_Integer)f.inputs);
    return 2;
}

/* Bodies of a list of requests, in a userdata that gives them back. */
struct bodies {
    unsigned     count;
    struct body *body[];
};

static int l_bodies_gc(lua_State *L) {
    struct bodies *b = lua_touserdata(L, 1);
    for (unsigned i = 0; i < b->count; i++) body_put(b->body[i]);
    b->count = 0;
    return 0;
}

static struct bodies *bodies_new(lua_State *L, unsigned n) {
    struct bodies *b = lua_newuserdata(L, sizeof(*b) + n * sizeof(b->body[0]));
    b->count = 0;
    luaL_getmetatable(L, "perilune.embeddings.bodies");
    lua_setmetatable(L, -2);
    return b;
}

/* core.embeddings_join({ req ... }, { tokens ... }) -> body, plan; all of one key */
int l_embeddings_join(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_objlen(L, 1);
    luaL_argcheck(L, n > 0 && n <= PARTS_MOST, 1, "must hold requests, 65536 at most");
    struct bodies *b = bodies_new(L, (unsigned)n);
    struct embeddings_part *parts = lua_newuserdata(L, n * sizeof(*parts));
    struct embeddings_join **plan = lua_newuserdata(L, sizeof(*plan));
    *plan = NULL;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        struct body *body = request_body(L, lua_gettop(L));
        if (body != NULL) b->body[b->count++] = body;
        luaL_argcheck(L, body != NULL && embeddings_form(&body->doc).inputs > 0, 1, "holds one that cannot be joined");
        lua_rawgeti(L, 2, (int)i + 1);
        double tokens = lua_tonumber(L, -1);
        parts[i] = (struct embeddings_part){ &body->doc, tokens > 0 && tokens < 1e15 ? (uint64_t)tokens : 0 };
        lua_pop(L, 2);
        state_pay(L, body->doc.len);
    }
    struct buf *out = lib_output(L);
    *plan = embeddings_join(parts, (unsigned)n, out);
    lib_check_buf(L, out);
    if (*plan == NULL) return luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    lua_insert(L, -2);
    return 2;
}

/* The answer of part i, of the request that is at `index` and lives; else false. [0, +1, e] */
static void push_answer(lua_State *L, const struct embeddings_join *j, unsigned i, int index, const char *upstream) {
    struct request *r = request_live(L, index);
    struct synthetic_options a = { .status = 200, .is_body = true };
    struct buf *out = lib_output(L);
    struct state *s = state_of(L);
    if (r == NULL || !embeddings_write(j, i, out, &a.usage)) {
        lua_pushboolean(L, 0);
        return;
    }
    lib_check_buf(L, out);
    a.text = buf_get(out);
    struct response *res = response_make(L, &(struct response_options){
        .loop = s->loop, .upstream = upstream, .dialect = &openai_embeddings, .among = &r->responses,
        .limit = s->limits.max_answer > a.text.len ? s->limits.max_answer : a.text.len,
        .high_water = s->limits.high_water });
    response_start(res, synthetic_new(s->loop, &a));
}

/* core.embeddings_answers(plan, bytes, { req ... }, upstream) -> { response | false ... } | nil: bytes are no list of
 * vectors */
int l_embeddings_answers(lua_State *L) {
    struct embeddings_join *j = *to_plan(L, 1);
    struct slice bytes;
    bytes.ptr = luaL_checklstring(L, 2, &bytes.len);
    luaL_checktype(L, 3, LUA_TTABLE);
    const char *upstream = luaL_checkstring(L, 4);
    luaL_argcheck(L, j != NULL, 1, "is used up");
    int rc = embeddings_read(j, bytes);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0) return 0;
    unsigned n = (unsigned)lua_objlen(L, 3);
    lua_createtable(L, (int)n, 0);
    for (unsigned i = 0; i < n && i < embeddings_parts(j); i++) {
        lua_rawgeti(L, 3, (int)i + 1);
        push_answer(L, j, i, lua_gettop(L), upstream);
        lua_rawseti(L, -3, (int)i + 1);
        lua_pop(L, 1);
        state_tick(L);
    }
    return 1;
}

/* core.embeddings_vectors(bytes, n) -> { list of numbers | false ... } */
int l_embeddings_vectors(lua_State *L) {
    struct slice bytes;
    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    lua_Integer n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 0 && n <= EMBEDDINGS_INPUTS, 2, "must be 0 to 2048");
    float *vector = lua_newuserdata(L, CACHED_MAX_VECTOR * sizeof(*vector));
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct json_error err;
    bool read = json_parse(doc, bytes, &err) == 0;
    lua_createtable(L, (int)n, 0);
    for (unsigned i = 0; i < (unsigned)n; i++) {
        unsigned count = read ? embeddings_vector(doc, i, (unsigned)n, vector, CACHED_MAX_VECTOR) : 0;
        if (count == 0) lua_pushboolean(L, 0);
        else lua_createtable(L, (int)count, 0);
        for (unsigned k = 0; k < count; k++) {
            lua_pushnumber(L, (lua_Number)vector[k]);
            lua_rawseti(L, -2, (int)k + 1);
        }
        lua_rawseti(L, -2, (int)i + 1);
        state_tick(L); /* each looks for its member from the start */
    }
    return 1;
}

void embeddings_open(lua_State *L) {
    lib_open_owned(L, TYPE, l_gc);
    lib_open_owned(L, "perilune.embeddings.bodies", l_bodies_gc);
}
