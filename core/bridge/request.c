/* request.c -- `req`.
 *
 * A handle is a view of the body (view.c) with some names of its own in front:
 * methods, and the properties of PROPERTIES.  Every other name is a field of the
 * body.  A handle may outlive its request (a policy kept it in a global table);
 * then every use raises "request is finished". */
#include "bridge/request.h"

#include <stdio.h>

#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/response.h"
#include "bridge/task.h"
#include "bridge/value.h"
#include "bridge/view.h"
#include "request/spending.h"

#define REQUEST_TYPE "perilune.request"
#define KNOWN_UPSTREAMS "perilune.known_upstreams" /* in the registry */
#define HEADERS_TYPE "perilune.request.headers"

struct handle {
    struct view            view; /* first: view.c works on it */
    struct request *req;
};

/* ORDER properties: the names in open_properties(). */
enum property { P_ID = 1, P_METHOD, P_PATH, P_HEADERS, P_PEER, P_TENANT, P_CTX, P_UPSTREAM, P_JOB,
                P_WANTS_STREAM };

static const char ctx_key;

/* -- Life ----------------------------------------------------------------------- */

/* Takes everything from the handle, if Lua still has it. */
static void empty_handle(struct request *r) {
    struct handle *h = handle_empty(r->state, &r->state->request_type, r->slot);
    r->slot = 0;
    r->handle = NULL;
    if (h == NULL || h->req == NULL) return;
    h->req = NULL;
    body_put(h->view.body);
    h->view.body = NULL;
    r->refs--;
}

static void release(struct request *r) {
    if (r->slot != 0) handle_empty(r->state, &r->state->request_type, r->slot); /* collected before */
    state_ref_drop(r->state, r->cleanup_ref);
    budget_put(r->cleanup_budget);
}

struct request *policy_request_new(struct state *s) {
    static const struct request_user_ops ops = { empty_handle, release };
    struct request *r = request_new();
    if (r == NULL) return NULL;
    r->state = s;
    r->user_ops = &ops;
    return r;
}

static struct handle *to_handle(lua_State *L, int i) {
    struct state *s = state_of(L);
    const struct request *mine = s->running ? s->running->request : NULL;
    void *p = lua_touserdata(L, i);
    if (p != NULL && mine != NULL && p == mine->handle) return p;
    struct handle *h = handle_test(L, i, &s->request_type);
    return h ? h : luaL_checkudata(L, i, REQUEST_TYPE); /* which raises */
}

struct request *request_check(lua_State *L, int index) {
    struct handle *h = to_handle(L, index);
    if (h->req == NULL || !h->req->live) luaL_error(L, "request is finished");
    return h->req;
}

struct request *request_live(lua_State *L, int index) {
    struct request *r = to_handle(L, index)->req;
    return r != NULL && r->live ? r : NULL;
}

/* Its handle, made once. [0, +1, e] takes a share, until request_end() */
static void push(lua_State *L, struct request *r) {
    struct handle *h = handle_new(L, &state_of(L)->request_type, sizeof(*h), &r->slot);
    r->handle = h;
    h->req = r;
    r->refs++;
    if (r->body != NULL) h->view.body = body_ref(r->body);
}

struct body *request_body(lua_State *L, int index) {
    struct handle *h = to_handle(L, index);
    struct request *r = request_check(L, index);
    if (r->body == NULL) return NULL;
    if (!view_is_dirty(L, &h->view, index)) return body_ref(r->body);
    struct buf *out = lib_output(L);
    view_write(L, &h->view, index, out, 0);
    state_pay(L, buf_len(out) / VALUE_STEP_BYTES);
    struct buf bytes;
    buf_init(&bytes, 0);
    buf_slice(&bytes, buf_get(out));
    struct body *body;
    struct failure f;
    failure_init(&f);
    if (body_new(&body, &bytes, r->body->dialect, &f) == 0) return body;
    lua_pushfstring(L, "the policy left an invalid request: %s", f.message);
    failure_deinit(&f);
    lua_error(L);
    return NULL;
}

/* -- Headers --------------------------------------------------------------------- */

static int l_headers_index(lua_State *L) {
    struct request **box = luaL_checkudata(L, 1, HEADERS_TYPE);
    if (!(*box)->live) return luaL_error(L, "request is finished");
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    struct slice v = request_header(*box, slice_of(name, len));
    if (v.ptr == NULL) lua_pushnil(L);
    else lua_pushlstring(L, v.ptr, v.len);
    return 1;
}

static void remove_header(struct request *r, struct slice name) {
    for (unsigned i = 0; i < r->header_count;) {
        struct http_header line = r->headers[i];
        if (!slice_eq_nocase(line.name, name)) {
            i++;
            continue;
        }
        r->header_count--;
        memmove(&r->headers[i], &r->headers[i + 1], (r->header_count - i) * sizeof(line));
        r->headers[r->header_count] = line; /* kept behind the others */
        r->removed++;
    }
}

/* nil takes a header away, for good: a key that was for us goes to nobody else. */
static int l_headers_newindex(lua_State *L) {
    struct request **box = luaL_checkudata(L, 1, HEADERS_TYPE);
    if (!(*box)->live) return luaL_error(L, "request is finished");
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    if (!lua_isnil(L, 3))
        return luaL_error(L, "request headers can be taken away (nil) and not be set; what goes upstream is chosen by "
                             "the upstream's forward_headers and headers");
    remove_header(*box, slice_of(name, len));
    return 0;
}

static int l_headers_gc(lua_State *L) {
    struct request **box = lua_touserdata(L, 1);
    request_put(*box);
    *box = NULL;
    return 0;
}

static void push_headers(lua_State *L, struct request *r) {
    struct request **box = lua_newuserdata(L, sizeof(*box));
    *box = r;
    r->refs++;
    luaL_getmetatable(L, HEADERS_TYPE);
    lua_setmetatable(L, -2);
}

/* -- Properties --------------------------------------------------------------------- */

/* req.ctx: a table that lives as long as the handle. */
static void push_ctx(lua_State *L, struct handle *h) {
    if (!h->view.has_env) {
        lua_newtable(L);
        lua_setfenv(L, 1);
        h->view.has_env = true;
    }
    lua_getfenv(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&ctx_key);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&ctx_key);
    lua_newtable(L);
    lua_rawset(L, -3);
    push_ctx(L, h);
}

static void push_or_nil(lua_State *L, const char *s) {
    if (s[0] == '\0') lua_pushnil(L);
    else lua_pushstring(L, s);
}

static void push_property(lua_State *L, struct handle *h, enum property p) {
    struct request *r = h->req;
    switch (p) {
    case P_ID: lua_pushstring(L, r->id); break;
    case P_METHOD: lua_pushlstring(L, r->method.ptr, r->method.len); break;
    case P_PATH: lua_pushlstring(L, r->path.ptr, r->path.len); break;
    case P_HEADERS: push_headers(L, r); break;
    case P_PEER: lua_pushstring(L, r->peer); break;
    case P_TENANT: push_or_nil(L, r->tenant); break;
    case P_CTX: push_ctx(L, h); break;
    case P_JOB: push_or_nil(L, r->job); break;
    case P_UPSTREAM: push_or_nil(L, r->upstream); break;
    case P_WANTS_STREAM: lua_pushboolean(L, request_wants_stream(r)); break;
    }
}

/* Upvalue 1: name -> method or property number. */
static int l_index(lua_State *L) {
    struct handle *h = lua_touserdata(L, 1);
    if (h->req == NULL || !h->req->live) return luaL_error(L, "request is finished");
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_type(L, -1) == LUA_TNUMBER) push_property(L, h, (enum property)lua_tointeger(L, -1));
    else if (lua_isnil(L, -1)) view_get(L, &h->view, 1, 2);
    return 1;
}

static void set_text(lua_State *L, const char *name, char *to, size_t size) {
    size_t len = 0;
    const char *s = lua_isnil(L, 3) ? "" : luaL_checklstring(L, 3, &len);
    if (len >= size) luaL_error(L, "req.%s is longer than %d bytes", name, (int)size - 1);
    memcpy(to, s, len + 1);
}

/* Of a spec there are no pools: its kit says which names it knows, if any. */
static bool is_scripted(lua_State *L, int name) {
    lua_getfield(L, LUA_REGISTRYINDEX, KNOWN_UPSTREAMS);
    bool any = lua_istable(L, -1) && lua_objlen(L, -1) > 0, known = !any;
    for (int i = 1; any && !known && i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        known = lua_rawequal(L, -1, name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return known;
}

/* Throws the sentence that names the nearest of those that there are. [0, 0, e] */
static void refuse_upstream(lua_State *L) {
    static const char *const module = "perilune.check";
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, module);
    if (!lua_istable(L, -1)) luaL_error(L, "unknown upstream '%s'", lua_tostring(L, 3)); /* no Lua of ours is there */
    lua_getfield(L, -1, "no_upstream");
    lua_pushvalue(L, 3);
    lua_call(L, 1, 1);
    luaL_error(L, "%s", lua_tostring(L, -1));
}

static void check_upstream(lua_State *L) {
    if (lua_isnil(L, 3)) return;
    struct state *s = state_of(L);
    const char *name = luaL_checkstring(L, 3);
    for (unsigned i = 0; i < s->services.pool_count; i++)
        if (strcmp(s->services.pools[i].target->name, name) == 0) return;
    if (s->services.pool_count > 0 || !is_scripted(L, 3)) refuse_upstream(L);
}

/* core.known_upstreams(names): of a spec; none: every name is taken */
int l_known_upstreams(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, KNOWN_UPSTREAMS);
    return 0;
}

/* No upstream takes stream_options without a stream. */
static void drop_stream_options(lua_State *L, struct handle *h) {
    static const struct slice name = SLICE("stream_options");
    if (!slice_eq(slice_str(luaL_checkstring(L, 2)), SLICE("stream")) || lua_toboolean(L, 3)) return;
    if (json_get(&h->req->body->doc, 0, name) == JSON_NONE) return;
    lua_pushlstring(L, name.ptr, name.len);
    lua_pushnil(L);
    view_set(L, &h->view, 1, lua_gettop(L) - 1, lua_gettop(L));
}

/* What every request with it would be refused for, said at the line that is wrong. */
static void check_field(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING) return;
    if (lua_objlen(L, 2) > CHAT_NAME_MAX)
        luaL_error(L, "the name of a field of a request is longer than %d bytes", CHAT_NAME_MAX);
    bool model = slice_eq(slice_str(lua_tostring(L, 2)), SLICE("model"));
    if (model && lua_type(L, 3) == LUA_TSTRING && lua_objlen(L, 3) > CHAT_NAME_MAX)
        luaL_error(L, "req.model is longer than %d bytes", CHAT_NAME_MAX);
}

static int l_newindex(lua_State *L) {
    struct handle *h = lua_touserdata(L, 1);
    struct request *r = h->req;
    if (r == NULL || !r->live) return luaL_error(L, "request is finished");
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (lua_isnil(L, -1)) {
        if (r->body == NULL) return luaL_error(L, "this request has no JSON body to change");
        check_field(L);
        view_set(L, &h->view, 1, 2, 3);
        if (lua_type(L, 2) == LUA_TSTRING) drop_stream_options(L, h);
        return 0;
    }
    switch (lua_type(L, -1) == LUA_TNUMBER ? lua_tointeger(L, -1) : 0) {
    case P_TENANT: set_text(L, "tenant", r->tenant, sizeof(r->tenant)); return 0;
    case P_UPSTREAM:
        check_upstream(L);
        set_text(L, "upstream", r->upstream, sizeof(r->upstream));
        return 0;
    default: return luaL_error(L, "req.%s cannot be assigned", lua_tostring(L, 2));
    }
}

static int l_gc(lua_State *L) {
    struct handle *h = lua_touserdata(L, 1);
    struct request *r = h->req;
    h->req = NULL;
    body_put(h->view.body);
    h->view.body = NULL;
    if (r == NULL) return 0;
    r->handle = NULL;
    request_put(r);
    return 0;
}

/* -- Methods ------------------------------------------------------------------------- */

static int l_body(lua_State *L) {
    struct request *r = request_check(L, 1);
    struct body *b = request_body(L, 1);
    struct slice s = b ? blob_get(b->text) : blob_get(r->raw);
    /* The text may be the only copy: the blob outlives body_put() through r only
     * when it is the original. */
    struct blob *text = b ? blob_ref(b->text) : NULL;
    body_put(b);
    struct buf *out = lib_output(L);
    buf_slice(out, s);
    blob_put(text);
    if (buf_failed(out)) return luaL_error(L, "not enough memory");
    s = buf_get(out);
    lua_pushlstring(L, s.ptr, s.len);
    return 1;
}

static int l_fingerprint(lua_State *L) {
    struct request *r = request_check(L, 1);
    struct body *b = request_body(L, 1);
    struct slice s = b ? blob_get(b->text) : blob_get(r->raw);
    struct buf *out = lib_output(L);
    buf_slice(out, r->path);
    buf_putc(out, '\n');
    buf_slice(out, s);
    body_put(b);
    if (buf_failed(out)) return luaL_error(L, "not enough memory"); /* else all requests would look alike */
    char hex[65];
    state_pay(L, buf_len(out) / 32);
    lib_sha256(buf_get(out), hex);
    lua_pushstring(L, hex);
    return 1;
}

static int l_time_left(lua_State *L) {
    struct request *r = request_check(L, 1);
    uint64_t now = loop_now(state_of(L)->loop);
    if (r->deadline_ms == 0) lua_pushnumber(L, 1e9);
    else lua_pushnumber(L, r->deadline_ms > now ? (double)(r->deadline_ms - now) / 1000 : 0);
    return 1;
}

/* A name that the line has already gets a _ behind it: JSON with a name twice says something
 * else to each reader. */
static bool is_taken(struct slice key) {
    return slice_eq(key, SLICE("time")) || slice_eq(key, SLICE("level")) || slice_eq(key, SLICE("msg")) ||
           slice_eq(key, SLICE("request_id"));
}

#define LOG_MESSAGE_MAX (128 * 1024) /* bytes; many a log line holds a whole prompt */
#define LOG_NAME_MAX    128
#define LOG_VALUE_MAX   (128 * 1024) /* of a field that is a text */

/* A text of which a line takes no more than `most`, and says behind it how long it was. */
static void put_cut(struct buf *line, struct slice s, size_t most) {
    size_t len = s.len <= most ? s.len : utf8_valid_prefix(slice_of(s.ptr, most));
    json_write_string(line, slice_of(s.ptr, len));
    if (len == s.len || buf_failed(line)) return;
    line->len--; /* in front of the quote */
    buf_printf(line, "... (cut, %zu bytes)\"", s.len);
}

static void put_fields(lua_State *L, int t, struct buf *line) {
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            size_t len;
            const char *key = lua_tolstring(L, -2, &len);
            char other[16];
            struct slice name = slice_of(key, len);
            if (is_taken(name)) name = slice_of(other, (size_t)snprintf(other, sizeof(other), "%s_", key));
            buf_putc(line, ',');
            put_cut(line, name, LOG_NAME_MAX);
            buf_putc(line, ':');
            const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
            if (text != NULL) put_cut(line, slice_of(text, len), LOG_VALUE_MAX);
            else value_encode(L, lua_gettop(L), line, 0);
            state_pay(L, buf_len(line) / VALUE_STEP_BYTES);
        }
        lua_pop(L, 1);
    }
}

/* log(level, text, fields) from index `at` on; id may be NULL. */
void lib_log(lua_State *L, int at, const char *id) {
    struct state *s = state_of(L);
    int level = log_level_parse(luaL_checkstring(L, at));
    luaL_argcheck(L, level >= 0, at, "must be \"error\", \"warn\", \"info\" or \"debug\"");
    size_t len;
    const char *text = luaL_checklstring(L, at + 1, &len);
    if (!lua_isnoneornil(L, at + 2)) luaL_checktype(L, at + 2, LUA_TTABLE);
    if (s->log == NULL || !log_wants(s->log, level)) return;
    if (len > LOG_MESSAGE_MAX) { /* as put_cut() */
        lua_pushlstring(L, text, utf8_valid_prefix(slice_of(text, LOG_MESSAGE_MAX)));
        text = lua_pushfstring(L, "%s... (cut, %f bytes)", lua_tostring(L, -1), (lua_Number)len);
    }
    struct buf *line = lib_output(L);
    log_begin(line, level, text);
    if (id != NULL) log_str(line, "request_id", slice_str(id));
    if (lua_istable(L, at + 2)) put_fields(L, at + 2, line);
    log_end(s->log, level, line);
}

static int l_log(lua_State *L) {
    lib_log(L, 2, request_check(L, 1)->id);
    return 0;
}

/* -- What rewriting saved ------------------------------------------------------------- */

#define AMOUNT_MOST 1e12 /* of tokens, dollars and seconds: what is 1e6 times that still fits an integer */

/* A number that is finite and not negative, or 0 when absent. */
static double amount(lua_State *L, const char *key, bool may_be_negative) {
    lua_getfield(L, 2, key);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "req:saved: %s must be a number", key);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (!(v > -AMOUNT_MOST && v < AMOUNT_MOST) || (v < 0 && !may_be_negative))
        luaL_error(L, "req:saved: %s must be a number, 0 or more%s", key, v > 0 ? ", and this is too much" : "");
    return v;
}

static const char *saved_policy(lua_State *L) {
    static const char *const known[] = { "policy", "before", "after", "cost", "seconds" };
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
        bool ok = false;
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) ok |= strcmp(key, known[i]) == 0;
        if (!ok) luaL_error(L, "req:saved: unknown field '%s'; there are policy, before, after, cost, seconds", key);
        lua_pop(L, 1);
    }
    lua_getfield(L, 2, "policy"); /* stays on the stack */
    size_t len = 0;
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : "";
    bool ok = len > 0 && len < SAVINGS_NAME;
    for (size_t i = 0; ok && i < len; i++)
        ok = s[i] == '_' || s[i] == '-' || (s[i] >= '0' && s[i] <= '9') || ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z');
    if (!ok) luaL_error(L, "req:saved: policy must be a name: letters, digits, _ and -, at most %d", SAVINGS_NAME - 1);
    return s;
}

static int push_saved(lua_State *L, const struct request *r) {
    int64_t tokens, nano;
    savings_total(r->saved, &tokens, &nano);
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, (lua_Number)tokens);
    lua_setfield(L, -2, "tokens");
    lua_pushnumber(L, (lua_Number)nano / 1e9);
    lua_setfield(L, -2, "cost");
    return 1;
}

/* req:saved{ policy =, before =, after =, cost =, seconds = }; req:saved() -> sums */
static int l_saved(lua_State *L) {
    struct request *r = request_check(L, 1);
    if (lua_isnoneornil(L, 2)) return push_saved(L, r);
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *policy = saved_policy(L);
    struct savings_amount a = { .times = 1,
                              .before = (uint64_t)amount(L, "before", false),
                              .after = (uint64_t)amount(L, "after", false),
                              .us = (uint64_t)(amount(L, "seconds", false) * 1e6) };
    double usd = amount(L, "cost", true);
    if (usd < -1e9 || usd > 1e9) return luaL_error(L, "req:saved: cost is in USD: %f is too much", usd);
    a.nano_usd = (int64_t)(usd * 1e9 + (usd < 0 ? -0.5 : 0.5));
    if (!savings_add(&r->saved, &r->arena, policy, &a)) return luaL_error(L, "not enough memory");
    struct state *s = state_of(L);
    if (s->stats != NULL) savings_stats_add(&s->stats->saved, policy, &a);
    return push_saved(L, r);
}

/* -- Requests made by tests ------------------------------------------------------------- */

/* A request whose only share is its handle's.  The handle comes first: what raises before
 * it has the request would leak it. [0, +1, e] */
static struct request *make(lua_State *L) {
    struct state *s = state_of(L);
    unsigned slot;
    struct handle *h = handle_new(L, &s->request_type, sizeof(*h), &slot);
    struct request *r = policy_request_new(s);
    if (r == NULL) {
        handle_empty(s, &s->request_type, slot);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    r->slot = slot;
    r->handle = h;
    h->req = r;
    return r;
}

static void read_headers(lua_State *L, int t, struct request *r) {
    struct http_header *all = arena_alloc(&r->arena, HTTP_MAX_HEADERS * sizeof(*all));
    if (all == NULL) luaL_error(L, "not enough memory");
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_error(L, "headers of a request must map strings to strings");
        if (r->header_count == HTTP_MAX_HEADERS) luaL_error(L, "a request has at most %d headers", HTTP_MAX_HEADERS);
        struct http_header *h = &all[r->header_count];
        h->name.ptr = lua_tolstring(L, -2, &h->name.len);
        h->name.ptr = arena_dup(&r->arena, h->name);
        h->value.ptr = lua_tolstring(L, -1, &h->value.len);
        h->value.ptr = arena_dup(&r->arena, h->value);
        if (h->name.ptr == NULL || h->value.ptr == NULL) luaL_error(L, "not enough memory");
        r->header_count++;
        lua_pop(L, 1);
    }
    r->headers = all;
}

static struct slice arena_arg(lua_State *L, int i, struct request *r) {
    struct slice s;
    s.ptr = luaL_checklstring(L, i, &s.len);
    s.ptr = arena_dup(&r->arena, s);
    if (s.ptr == NULL) luaL_error(L, "not enough memory");
    return s;
}

/* core.request(): the request that the running task was started for. Once. */
int l_request(lua_State *L) {
    struct task *t = state_of(L)->running;
    if (t == NULL || t->request == NULL || t->request->slot != 0) return luaL_error(L, "there is no request here");
    push(L, t->request);
    return 1;
}

/* core.is_chat(req): does it have messages? */
int l_is_chat(lua_State *L) {
    const struct body *b = request_check(L, 1)->body;
    bool known = b != NULL && b->dialect != NULL && b->dialect->pieces != NULL;
    bool object = b != NULL && json_type(&b->doc, 0) == JSON_OBJECT;
    uint32_t list = object ? json_get(&b->doc, 0, SLICE("messages")) : JSON_NONE;
    lua_pushboolean(L, known || (list != JSON_NONE && json_is(&b->doc, list, JSON_ARRAY)));
    return 1;
}

/* core.admit(req): policies that say who may ask have let it through */
int l_admit(lua_State *L) {
    request_check(L, 1)->admitted = true;
    return 0;
}

/* core.of_job(req, id): a spec asks it as a gateway asks a job */
int l_of_job(lua_State *L) {
    struct request *r = request_check(L, 1);
    size_t len;
    const char *id = luaL_checklstring(L, 2, &len);
    const char *copy = arena_dup(&r->arena, slice_of(id, len));
    if (copy == NULL) return luaL_error(L, "not enough memory");
    r->job = copy;
    return 0;
}

/* core.of_sample(req, i): it wants the i-th of several answers to one question, from 1 */
int l_of_sample(lua_State *L) {
    struct request *r = request_check(L, 1);
    double i = luaL_checknumber(L, 2);
    luaL_argcheck(L, i >= 1 && i <= 1e6, 2, "the number of an answer, from 1");
    r->sample = (uint64_t)i;
    return 0;
}

/* core.is_live(req): not yet answered, and somebody waits for the answer */
int l_is_live(lua_State *L) {
    lua_pushboolean(L, request_live(L, 1) != NULL);
    return 1;
}

/* core.new_request(method, path, headers, body, own) -> req | nil, err; own: what it costs is the running request's */
int l_new_request(lua_State *L) {
    bool own = lua_toboolean(L, 5);
    lua_settop(L, 4);
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    size_t len;
    const char *text = luaL_checklstring(L, 4, &len);
    struct request *r = make(L);
    r->method = arena_arg(L, 1, r);
    r->path = arena_arg(L, 2, r);
    read_headers(L, 3, r);
    r->peer = "127.0.0.1";
    rng_hex128(&state_of(L)->loop->rng, r->id);
    struct task *t = state_of(L)->running;
    if (t != NULL && t->request != NULL) r->deadline_ms = t->request->deadline_ms;
    if (own && t != NULL && t->request != NULL) r->spending = spending_ref(t->request->spending);
    struct buf bytes;
    buf_init(&bytes, 0);
    buf_put(&bytes, text, len);
    struct failure f;
    failure_init(&f);
    if (body_new(&r->body, &bytes, dialect_find(r->path), &f) != 0) {
        lua_pushnil(L);
        lib_push_failure(L, &f);
        failure_deinit(&f);
        return 2;
    }
    struct handle *h = lua_touserdata(L, -1);
    h->view.body = body_ref(r->body);
    return 1;
}

/* -- Registration -------------------------------------------------------------------------- */

static void set_property(lua_State *L, const char *name, enum property p) {
    lua_pushinteger(L, p);
    lua_setfield(L, -2, name);
}

static void open_properties(lua_State *L) {
    static const luaL_Reg methods[] = { { "body", l_body },
                                        { "finally", l_request_finally },
                                        { "fingerprint", l_fingerprint },
                                        { "log", l_log },
                                        { "note", l_request_note },
                                        { "prefixes", l_prefixes },
                                        { "saved", l_saved },
                                        { "time_left", l_time_left },
                                        { "tokens", l_request_tokens },
                                        { NULL, NULL } };
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    set_property(L, "id", P_ID);
    set_property(L, "method", P_METHOD);
    set_property(L, "path", P_PATH);
    set_property(L, "headers", P_HEADERS);
    set_property(L, "peer", P_PEER);
    set_property(L, "job", P_JOB);
    set_property(L, "tenant", P_TENANT);
    set_property(L, "ctx", P_CTX);
    set_property(L, "upstream", P_UPSTREAM);
    set_property(L, "wants_stream", P_WANTS_STREAM);
}

void request_open(lua_State *L) {
    luaL_newmetatable(L, REQUEST_TYPE);
    open_properties(L);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -3, "__index");
    lua_pushcclosure(L, l_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    handle_type_set(L, &state_of(L)->request_type);
    luaL_newmetatable(L, HEADERS_TYPE);
    /* private: metamethods */
    static const luaL_Reg headers[] = { { "__index", l_headers_index },
                                        { "__newindex", l_headers_newindex },
                                        { "__gc", l_headers_gc },
                                        { NULL, NULL } };
    luaL_register(L, NULL, headers);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}
