/* l_near.c -- answers to questions that mean the same: what lua/perilune/near.lua is made of.
 *
 *     core.near_new{...}       what makes two questions near enough, as an object
 *     core.near_question       what is asked, apart from all that must be equal; a string for Lua to carry
 *     core.near_value_question the same of a value that a policy looks up (perilune.fetch)
 *     core.near_find           the answer to a question that asks the same, or what to keep the coming answer with
 *     core.cache_record        (l_cache.c) keeps it so
 *     core.near_feedback       what users tell of an answer
 *     core.near_shadow         finds that out without users (request/shadow.c)
 *     core.embed               a vector, for policies
 *
 * A question is compared within its part only: same tenant, upstream, system prompt, settings, all turns before.
 * The part is the SHA-256 of all that, the same on every machine and after every restart, so that entries from
 * snapshots and other machines are found. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "bridge/bundle.h"
#include "bridge/l_cache.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/value.h"
#include "flow/headers.h"
#include "request/cache_control.h"
#include "request/last_turn.h"
#include "request/nearest.h"
#include "request/widen.h"
#include "semantic/guard.h"
#include "semantic/normal.h"
#include "semantic/semantic.h"

#define NEAR_TYPE   "perilune.near"
#define MAX_EMBEDDER 128 /* bytes of a name */

/* The userdata: what it read is its own; texts stand in its environment. */
struct lua_near {
    struct pair_model   *model;    /* of a file; NULL: the one inside the program */
    struct static_table *table;    /* of a file; NULL: the same */
    struct blob         *bytes;    /* of that file: all workers share them */
    struct embedder     *embedder; /* of the table; NULL: the thread's */
    float                threshold; /* below 0: "auto" */
    double               max_false;
    bool                 own;      /* vectors are made here, not by an upstream */
    char                 name[MAX_EMBEDDER];
};

static struct lua_near *to_near(lua_State *L, int i) { return luaL_checkudata(L, i, NEAR_TYPE); }

/* -- Making ---------------------------------------------------------------------------------- */

static int l_gc(lua_State *L) {
    struct lua_near *n = to_near(L, 1);
    embedder_free(n->embedder);
    static_table_close(n->table);
    pair_model_close(n->model);
    n->embedder = NULL;
    n->table = NULL;
    n->model = NULL;
    blob_put(n->bytes);
    n->bytes = NULL;
    return 0;
}

/* The bytes of the field, which stay in the object's environment. [0, 0, e] */
static struct slice keep_bytes(lua_State *L, const char *field) {
    struct slice s = { .ptr = NULL };
    lua_getfield(L, 1, field);
    if (lua_isstring(L, -1)) s.ptr = lua_tolstring(L, -1, &s.len);
    lua_setfield(L, 3, field);
    return s;
}

static void check_opened(lua_State *L, int rc, const char *what, struct failure *f) {
    if (rc == 0) {
        failure_deinit(f);
        return;
    }
    lua_pushfstring(L, "%s: %s", what, rc == PERILUNE_ERR_NOMEM ? "not enough memory" : f->message);
    failure_deinit(f);
    lua_error(L);
}

/* The file with the table, as it was read when the configuration was loaded.  It may be large, so Lua never
 * has it. [0, 0, e] */
static void open_table(lua_State *L, struct lua_near *n) {
    char err[1200];
    struct failure f;
    lua_getfield(L, 1, "table");
    const char *name = lua_tostring(L, -1);
    if (name == NULL) {
        lua_pop(L, 1);
        return;
    }
    struct blob *bytes = bundle_data((struct bundle *)(uintptr_t)state_of(L)->bundle, name, err, sizeof(err));
    if (bytes == NULL) luaL_error(L, "%s", err);
    n->bytes = blob_ref(bytes);
    failure_init(&f);
    check_opened(L, static_table_open(&n->table, slice_of(bytes->data, bytes->len), &f), "embedder", &f);
    lua_pop(L, 1);
}

/* Scores mean nothing when a model was calibrated with other vectors than it is to judge. [0, 0, e] */
static void check_calibration(lua_State *L, const struct lua_near *n) {
    const struct static_table *table = n->table != NULL ? n->table : static_table_builtin();
    unsigned dims = pair_model_dims(n->model);
    if (n->own && dims > 0)
        luaL_error(L, "calibration: was made with the embedder '%s', not with the one of this option",
                   pair_model_embedder(n->model));
    if (!n->own && dims == 0) luaL_error(L, "calibration: was made without the vectors of the upstream");
    if (n->own && !pair_model_is_of(n->model, table))
        luaL_error(L, "calibration: was made with another table than %s; run `perilune cache calibrate` again",
                   n->table != NULL ? "this file" : "the one that is built in now");
}

/* core.near_new{ threshold = number | nil, max_false =, name =, own =, table = path, model = bytes } */
int l_near_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lua_near *n = lua_newuserdata(L, sizeof(*n));
    *n = (struct lua_near){ .threshold = -1 };
    luaL_getmetatable(L, NEAR_TYPE);
    lua_setmetatable(L, 2);
    lua_newtable(L);
    lua_pushvalue(L, 3);
    lua_setfenv(L, 2);
    lua_getfield(L, 1, "threshold");
    if (lua_isnumber(L, -1)) n->threshold = (float)lua_tonumber(L, -1);
    lua_getfield(L, 1, "max_false");
    n->max_false = luaL_optnumber(L, -1, 0.01);
    lua_getfield(L, 1, "name");
    snprintf(n->name, sizeof(n->name), "%s", luaL_checkstring(L, -1));
    lua_settop(L, 3);
    n->own = value_field_bool(L, 1, "own", true);
    open_table(L, n);
    struct slice model = keep_bytes(L, "model");
    struct failure f;
    failure_init(&f);
    if (model.ptr != NULL) check_opened(L, pair_model_open(&n->model, model, &f), "calibration", &f);
    if (n->model != NULL) check_calibration(L, n);
    lua_settop(L, 2);
    return 1;
}

/* [0, 0, e] */
static const struct pair_model *model_of(lua_State *L, const struct lua_near *n) {
    const struct pair_model *m = n->model ? n->model : pair_model_builtin();
    if (m == NULL) luaL_error(L, "not enough memory");
    return m;
}

/* The threshold that `auto` stands for, or nil: the model has none for this embedder. core.near_threshold(near) */
int l_near_threshold(lua_State *L) {
    const struct lua_near *n = to_near(L, 1);
    float t = n->threshold >= 0 ? n->threshold
                                : pair_threshold(model_of(L, n), n->max_false);
    if (t <= 1) lua_pushnumber(L, t);
    else lua_pushnil(L);
    return 1;
}

/* [0, 0, e] */
static struct embedder *embedder_of(lua_State *L, struct lua_near *n) {
    struct state *s = state_of(L);
    if (n != NULL && n->table != NULL && n->embedder == NULL)
        n->embedder = embedder_new(n->table, near_grams(s->stores->near));
    struct embedder *e = n != NULL && n->table != NULL ? n->embedder : services_embedder(&s->services);
    if (e == NULL) luaL_error(L, "not enough memory");
    return e;
}

/* -- Questions ---------------------------------------------------------------------------------- */

/* A question as a string that Lua carries: part, bytes of the vector, vector, text. */
#define PART_BYTES sizeof(struct hash128)

static void push_asked(lua_State *L, struct hash128 part, struct slice vector, struct slice text) {
    struct buf *out = lib_output(L);
    uint32_t len = (uint32_t)vector.len;
    buf_put(out, &part, PART_BYTES);
    buf_put(out, &len, sizeof(len));
    buf_slice(out, vector);
    buf_slice(out, text);
    lib_check_buf(L, out);
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
}

/* Without the embedder's name. */
static void read_asked(lua_State *L, int i, struct asked *out) {
    uint32_t len;
    struct slice s;
    s.ptr = luaL_checklstring(L, i, &s.len);
    luaL_argcheck(L, s.len >= PART_BYTES + sizeof(len), i, "no question of core.near_question()");
    memcpy(&out->part, s.ptr, PART_BYTES);
    memcpy(&len, s.ptr + PART_BYTES, sizeof(len));
    s = slice_of(s.ptr + PART_BYTES + sizeof(len), s.len - PART_BYTES - sizeof(len));
    luaL_argcheck(L, len <= s.len && len <= CACHED_MAX_VECTOR && s.len - len <= SEMANTIC_MAX_TEXT, i,
                  "no question of core.near_question()");
    out->vector = slice_of(s.ptr, len);
    out->text = slice_of(s.ptr + len, s.len - len);
}

/* index: { question, near } of core.near_find(), or nil */
void near_read_asked(lua_State *L, int i, struct asked *out) {
    *out = (struct asked){ .text = { .len = 0 } };
    if (!lua_istable(L, i)) return;
    lua_rawgeti(L, i, 1);
    lua_rawgeti(L, i, 2);
    read_asked(L, -2, out);
    out->embedder = slice_str(to_near(L, -1)->name);
    lua_pop(L, 2); /* the table keeps both */
}

static bool has_tools(const struct body *b) {
    static const struct slice names[] = { SLICE("tools"), SLICE("functions") };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint32_t n = json_get(&b->doc, 0, names[i]);
        if (json_is(&b->doc, n, JSON_ARRAY) && b->doc.nodes[n].count > 0) return true;
    }
    return false;
}

/* Why it is not compared with others, or NULL and *t is filled. */
static const char *unfit(const struct lua_cache *c, const struct body *b, struct last_turn *t, bool *failed) {
    *failed = false;
    if (b == NULL) return "it is no chat";
    if (b->dialect != NULL && has_tools(b) && !c->tool_calls) return "it offers tools";
    const char *why = last_turn_read(t, b, SEMANTIC_MAX_TEXT, failed);
    if (why == NULL && !*failed && slice_trim(buf_get(&t->text)).len == 0) return "its question is empty";
    return why;
}

static bool part_of(lua_State *L, const struct lua_cache *c, const struct request *r, const struct body *b,
                    const struct json_doc *rest, struct slice salt, struct hash128 *out) {
    struct buf *text = &state_of(L)->encode;
    unsigned char digest[SHA256_BYTES];
    buf_clear(text);
    cache_write_text(state_of(L), c, r, b, rest, salt, text);
    if (buf_failed(text) || !sha256_of(buf_get(text), digest)) return false;
    memcpy(out, digest, sizeof(*out));
    return true;
}

/* core.near_question(cache, req, salt) -> question, text | nil, why */
int l_near_question(lua_State *L) {
    const struct lua_cache *c = cache_check(L, 1);
    struct request *r = request_check(L, 2);
    struct slice salt;
    salt.ptr = luaL_optlstring(L, 3, "", &salt.len);
    struct body *b = request_body(L, 2);
    struct last_turn t;
    struct hash128 part = { 0, 0 };
    bool failed;
    last_turn_init(&t);
    const char *why = unfit(c, b, &t, &failed);
    if (why == NULL && !failed) failed = !part_of(L, c, r, b, &t.doc, salt, &part);
    body_put(b);
    struct buf *scratch = lib_scratch(L);
    if (why == NULL && !failed) buf_slice(scratch, buf_get(&t.text));
    last_turn_deinit(&t);
    if (failed || buf_failed(scratch)) return luaL_error(L, "not enough memory");
    if (why != NULL) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    push_asked(L, part, SLICE(""), buf_get(scratch));
    lua_pushlstring(L, buf_get(scratch).ptr, buf_len(scratch));
    return 2;
}

/* core.near_value_question(cache, rest, text) -> question | nil: text asks for a value which depends on all of `rest`,
 * too, and belongs to the tenant of the running request */
int l_near_value_question(lua_State *L) {
    const struct lua_cache *c = cache_check(L, 1);
    struct slice rest, text, tenant = cache_running_tenant(state_of(L), c);
    rest.ptr = luaL_checklstring(L, 2, &rest.len);
    text.ptr = luaL_checklstring(L, 3, &text.len);
    unsigned char digest[SHA256_BYTES];
    struct hash128 part;
    if (text.len > SEMANTIC_MAX_TEXT || slice_trim(text).len == 0 || utf8_valid_prefix(text) != text.len) return 0;
    struct buf *all = lib_scratch(L);
    buf_printf(all, "value %zu:", c->name.len);
    buf_slice(all, c->name);
    buf_printf(all, "%zu:", tenant.len);
    buf_slice(all, tenant);
    buf_slice(all, rest);
    lib_check_buf(L, all);
    if (!sha256_of(buf_get(all), digest)) return luaL_error(L, "not enough memory");
    memcpy(&part, digest, sizeof(part));
    push_asked(L, part, SLICE(""), text);
    return 1;
}

/* -- Vectors ----------------------------------------------------------------------------------------- */

/* The list of numbers at index, as an entry keeps them, into out; raises when it is none. [0, 0, e] */
static void read_numbers(lua_State *L, int i, struct buf *out) {
    luaL_checktype(L, i, LUA_TTABLE);
    size_t n = lua_objlen(L, i);
    float v[CACHED_MAX_VECTOR];
    if (n > CACHED_MAX_VECTOR) luaL_error(L, "the embedder's vector has more than %d numbers", CACHED_MAX_VECTOR);
    for (size_t k = 0; k < n; k++) {
        lua_rawgeti(L, i, (int)k + 1);
        v[k] = lua_isnumber(L, -1) ? (float)lua_tonumber(L, -1) : NAN;
        lua_pop(L, 1);
    }
    if (!nearest_quantize(v, n, out)) luaL_error(L, "the embedder's vector has no direction");
    lib_check_buf(L, out);
}

/* core.embed(text) -> list of numbers, length 1 */
int l_embed(lua_State *L) {
    struct slice text;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    luaL_argcheck(L, text.len <= SEMANTIC_MAX_TEXT, 1, "a text to embed has at most 4096 bytes");
    struct embedder *e = embedder_of(L, NULL);
    struct buf *normal = lib_scratch(L);
    normal_write(text, normal);
    lib_check_buf(L, normal);
    struct embedded_text t;
    unsigned dims = embedder_dims(e);
    struct buf *out = lib_output(L);
    embedded_text_init(&t);
    int rc = embedder_embed(e, 0, buf_get(normal), &t);
    double sum = 0;
    for (unsigned i = 0; rc == 0 && i < dims; i++) sum += (double)t.vector[i] * (double)t.vector[i];
    double by = sum > 0 ? 1 / sqrt(sum) : 0;
    if (rc == 0) buf_put(out, t.vector, dims * sizeof(float));
    embedded_text_deinit(&t);
    if (rc != 0) return luaL_error(L, "not enough memory");
    lib_check_buf(L, out);
    lua_createtable(L, (int)dims, 0);
    for (unsigned i = 0; i < dims; i++) {
        float v;
        memcpy(&v, buf_get(out).ptr + i * sizeof(v), sizeof(v));
        lua_pushnumber(L, v * by);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* -- Finding -------------------------------------------------------------------------------------------- */

static void put_facts(struct response *res, const struct nearest *found) {
    char text[80], id[33];
    hash128_hex(cache_entry_key(found->e), id);
    int len = snprintf(text, sizeof(text), "%.3f", (double)found->similarity);
    headers_put(&res->headers, SLICE("x-cache-similarity"), slice_of(text, (size_t)len));
    len = snprintf(text, sizeof(text), "%s@%.4f", id, (double)found->score);
    headers_put(&res->headers, SLICE("x-cache-entry"), slice_of(text, (size_t)len));
}

static lua_Number rounded(float v) { return floor((lua_Number)v * 10000 + 0.5) / 10000; }

/* What was refused, for the log: the other question is perhaps another user's, so its entry is named, not its text.
 * [0, +1, e] */
static void push_miss(lua_State *L, const struct near_miss *m) {
    char id[33];
    if (m->why[0] == '\0') {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 5);
    lua_pushstring(L, m->why);
    lua_setfield(L, -2, "why");
    lua_pushnumber(L, rounded(m->similarity));
    lua_setfield(L, -2, "similarity");
    lua_pushnumber(L, rounded(m->score));
    lua_setfield(L, -2, "score");
    if (m->threshold <= 1) lua_pushnumber(L, rounded(m->threshold)); /* else never */
    else lua_pushnil(L);
    lua_setfield(L, -2, "threshold");
    hash128_hex(m->key, id);
    lua_pushstring(L, id);
    lua_setfield(L, -2, "entry");
}

static uint64_t max_age_of(const struct lua_cache *c, const struct request *r) {
    uint64_t ms = 0;
    unsigned control = cache_control_read(r, &ms) & c->honor;
    return control & CACHE_CONTROL_MAX_AGE ? ms : UINT64_MAX;
}

/* A value as a table: value, age, similarity, entry. [0, +1, e] */
static void push_value(lua_State *L, const struct nearest *found, uint64_t now) {
    char id[33];
    struct slice data = cache_entry_data(found->e);
    hash128_hex(cache_entry_key(found->e), id);
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, data.ptr, data.len);
    lua_setfield(L, -2, "value");
    lua_pushnumber(L, (lua_Number)cache_age(found->e, now) / 1000);
    lua_setfield(L, -2, "age");
    lua_pushnumber(L, rounded(found->similarity));
    lua_setfield(L, -2, "similarity");
    lua_pushfstring(L, "%s@%f", id, rounded(found->score));
    lua_setfield(L, -2, "entry");
}

/* core.near_find(cache, near, req, question, numbers | nil, only) -> asked, res | nil, miss | nil: asked is for
 * core.cache_record().  Of a request that refreshes an entry, and with `only` set, nothing is looked for.  Without
 * a request it is a value that is looked for: core.near_value_question(), core.cache_set(). */
int l_near_find(lua_State *L) {
    const struct lua_cache *c = cache_check(L, 1);
    struct lua_near *n = to_near(L, 2);
    struct request *r = lua_isnil(L, 3) ? NULL : request_check(L, 3);
    struct state *s = state_of(L);
    struct asked asked;
    lua_settop(L, 6);
    bool only = lua_toboolean(L, 6) || (r != NULL && r->refreshes);
    lua_settop(L, 5);
    read_asked(L, 4, &asked);
    asked.embedder = slice_str(n->name);
    struct nearest found;
    struct nearest_ask ask = { .stores = s->stores, .embedder = embedder_of(L, n), .cache = c->name,
                               .tenant = r != NULL ? cache_tenant(c, r) : cache_running_tenant(s, c),
                               .asked = asked, .own = n->own, .only = only, .values = r == NULL,
                               .rule = { model_of(L, n), n->threshold, n->max_false },
                               .max_age_ms = r != NULL ? max_age_of(c, r) : UINT64_MAX, .now = loop_now(s->loop) };
    struct buf *vector = lib_scratch(L);
    if (!n->own) read_numbers(L, 5, vector);
    if (nearest_find(&ask, vector, &found) != 0) return luaL_error(L, "not enough memory");
    cache_hold(s, found.e);
    push_asked(L, asked.part, buf_get(vector), asked.text); /* 6 */
    lua_createtable(L, 2, 0);  /* 7 */
    lua_pushvalue(L, 6);
    lua_rawseti(L, 7, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, 7, 2);
    struct cached facts;
    if (found.e == NULL || !cached_read(found.e, &facts)) {
        lua_pushnil(L);
        push_miss(L, &found.miss);
        return 3;
    }
    cache_entry_put(cache_get(s->stores->cache, cache_entry_key(found.e), ask.now)); /* it was of use */
    if (r == NULL) {
        push_value(L, &found, ask.now);
        return 2;
    }
    bool stream = request_wants_stream(r);
    struct response *res = cache_push_hit(L, c, r, stream, cache_entry_ref(found.e), &facts, RESPONSE_HIT);
    put_facts(res, &found);
    lua_pushnil(L);
    return 3;
}

/* core.near_guard(a, b) -> "same", or what differs first, but for single words: see semantic/guard.h */
int l_near_guard(lua_State *L) {
    struct slice a, b;
    a.ptr = luaL_checklstring(L, 1, &a.len);
    b.ptr = luaL_checklstring(L, 2, &b.len);
    lua_pushstring(L, guard_name(guard_compare(a, b, NULL)));
    return 1;
}

/* -- Asking other processes ------------------------------------------------------------------------------ */

struct near_wait {
    struct op        op;
    struct widening *w;
    unsigned         brought;
};

static void near_wait_free(struct near_wait *k) {
    widen_free(k->w);
    mem_free(k);
}

static void near_wait_cancel(struct op *op) { near_wait_free(container_of(op, struct near_wait, op)); }

static void near_came(void *ud, unsigned brought) {
    struct near_wait *k = ud;
    k->brought = brought;
    op_done(&k->op); /* may free k */
}

static int near_push(lua_State *L, struct op *op) {
    struct near_wait *k = container_of(op, struct near_wait, op);
    lua_pushboolean(L, k->brought > 0);
    near_wait_free(k);
    return 1;
}

/* core.near_widen(req, asked) -> whether entries came that core.near_find() may find now */
int l_near_widen(lua_State *L) {
    struct request *req = request_check(L, 1);
    struct state *s = state_of(L);
    struct asked asked;
    near_read_asked(L, 2, &asked);
    op_check(L);
    bool asks = !req->refreshes && widen_is_ready(s->services.far);
    struct near_wait *k = asks ? mem_zalloc(sizeof(*k)) : NULL;
    if (k != NULL) {
        k->op = (struct op){ .task = s->running, .cancel = near_wait_cancel, .push = near_push };
        k->w = widen_begin(s->services.far, s->stores, &asked, near_came, k);
        if (k->w != NULL) return op_wait(L, &k->op, "cache.index");
    }
    mem_free(k);
    lua_pushboolean(L, 0);
    return 1;
}

/* The string at index is the name of an entry, as x-cache-entry has it: its key, and the score at which it was given.
 * [0, 0, e] */
static bool read_entry(lua_State *L, int i, struct hash128 *key, float *score) {
    size_t len;
    const char *entry = luaL_checklstring(L, i, &len);
    char *end;
    if (len < 34 || len >= 64 || entry[32] != '@' || !hash128_read(slice_of(entry, 32), key)) return false;
    *score = strtof(entry + 33, &end);
    return end == entry + len && *score >= 0 && *score <= 1;
}

/* Is it an entry of this cache that is there now, and that who tells of it may get?  Who knows the name of another
 * tenant's must not move its threshold. */
static bool is_entry_of(struct state *s, const struct lua_cache *c, struct hash128 key) {
    struct cached facts;
    struct cache_entry *e = cache_peek(s->stores->cache, key, loop_now(s->loop));
    bool is = e != NULL && cached_read(e, &facts) && slice_eq(facts.cache, c->name) &&
              (facts.tenant.len == 0 || slice_eq(facts.tenant, cache_running_tenant(s, c)));
    cache_entry_put(e);
    return is;
}

/* core.near_feedback(cache, entry, ok) -> true, or why not: "name" (it is not the name of an entry), "gone" (the cache
 * has no such entry) */
int l_near_feedback(lua_State *L) {
    const struct lua_cache *c = cache_check(L, 1);
    struct state *s = state_of(L);
    struct hash128 key;
    float score;
    bool ok = lua_toboolean(L, 3), named = read_entry(L, 2, &key, &score);
    if (!named || !is_entry_of(s, c, key)) {
        lua_pushstring(L, named ? "gone" : "name");
        return 1;
    }
    nearest_feedback(s->stores, key, score, ok, loop_now(s->loop));
    lua_pushboolean(L, 1);
    return 1;
}

/* core.near_shadow(req, key, entry) -> whether the request's own answer, which will have this key, is asked for in the
 * background, and compared with the one of `entry` that it got */
int l_near_shadow(lua_State *L) {
    struct state *s = state_of(L);
    struct shadow_ask ask = { .services = &s->services, .request = request_check(L, 1),
                              .stats = s->stats ? &s->stats->shadow : NULL, .key = cache_key_check(L, 2) };
    struct hash128 given;
    bool begun = false;
    if (read_entry(L, 3, &given, &ask.score)) ask.given = cache_peek(s->stores->cache, given, loop_now(s->loop));
    if (ask.given != NULL) begun = shadow_begin(&ask);
    cache_entry_put(ask.given);
    lua_pushboolean(L, begun);
    return 1;
}

void near_open(lua_State *L) { lib_open_owned(L, NEAR_TYPE, l_gc); }
