/* lib.c -- perilune.core: what C gives to Lua, in one table.
 *
 * The functions themselves are in the l_*.c files; here are the small ones, what those
 * share (scratch buffers, arrays, failures as tables), and the table. */
#include "bridge/blame.h"
#include "base/clock.h"
#include "bridge/lib.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/err_body.h"
#include "base/hex.h"
#include "base/httpdate.h"
#include "bridge/bundle.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/task.h"
#include "bridge/value.h"
#include "bridge/view.h"
#include "flow/headers.h"
#include "http/field.h"
#include "http/path.h"
#include "http/token.h"

static const char array_key;

/* Bytes in C count, too: a table with the same string a thousand times is small in Lua. */
static struct buf *start(struct state *s, struct buf *b) {
    size_t left = state_memory_left(s);
    buf_clear(b);
    b->limit = left == SIZE_MAX ? 0 : left > 0 ? left : 1;
    return b;
}

struct buf *lib_scratch(lua_State *L) {
    struct state *s = state_of(L);
    return start(s, &s->decode);
}

struct buf *lib_output(lua_State *L) {
    struct state *s = state_of(L);
    if (s->encode.cap > 1024 * 1024) buf_deinit(&s->encode); /* one large request must not stay for ever */
    return start(s, &s->encode);
}

void lib_check_buf(lua_State *L, const struct buf *b) {
    if (b->error == PERILUNE_ERR_LIMITED)
        luaL_error(L, "the result has more bytes than the memory that the policy may still use (limits.memory)");
    if (b->error != 0) luaL_error(L, "not enough memory");
}

/* -- Arrays ------------------------------------------------------------------------- */

static void push_array_meta(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&array_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

void lib_mark_array(lua_State *L) {
    push_array_meta(L);
    lua_setmetatable(L, -2);
}

bool lib_is_array(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    push_array_meta(L);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static int l_json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lib_mark_array(L);
    return 1;
}

/* -- Failures ------------------------------------------------------------------------ */

/* As the field `headers` of the table on top. [0, 0, e] */
static void push_lines(lua_State *L, struct slice lines) {
    struct slice name, value;
    lua_newtable(L);
    while (headers_next(&lines, &name, &value)) {
        lua_pushlstring(L, name.ptr, name.len);
        lua_pushlstring(L, value.ptr, value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

#define ERROR_TYPE "perilune.error"

/* tostring(err): "code: message" */
static int l_error_text(lua_State *L) {
    static const char *const keys[] = { "code", "message" };
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    for (int i = 0; i < 2; i++) {
        lua_pushstring(L, keys[i]);
        lua_rawget(L, 1);
        if (lua_isstring(L, -1)) continue;
        lua_pop(L, 1);
        lua_pushliteral(L, "?");
    }
    lua_pushfstring(L, "%s: %s", lua_tostring(L, 2), lua_tostring(L, 3));
    return 1;
}

/* core.as_error(t) -> t, which tostring() reads as an error from now on */
static int l_as_error(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_getmetatable(L, ERROR_TYPE);
    lua_setmetatable(L, 1);
    return 1;
}

void lib_open_owned(lua_State *L, const char *type, lua_CFunction gc) {
    luaL_newmetatable(L, type);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void lib_open_object(lua_State *L, const char *type, lua_CFunction gc, const luaL_Reg *methods) {
    lib_open_owned(L, type, gc);
    luaL_getmetatable(L, type);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static void open_errors(lua_State *L) {
    luaL_newmetatable(L, ERROR_TYPE);
    lua_pushcfunction(L, l_error_text);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static int l_status_is_retryable(lua_State *L) {
    lua_pushboolean(L, failure_status_is_retryable(luaL_checkint(L, 1)));
    return 1;
}

/* core.says_later(err): of an error as perilune.error makes it. */
static int l_says_later(lua_State *L) {
    struct failure f;
    luaL_checktype(L, 1, LUA_TTABLE);
    failure_init(&f);
    lib_to_failure(L, 1, &f);
    lua_pushboolean(L, failure_says_later(&f));
    failure_deinit(&f);
    return 1;
}

static int l_client_status(lua_State *L) {
    lua_pushinteger(L, err_body_client_status(luaL_checkint(L, 1)));
    return 1;
}

void lib_push_failure(lua_State *L, const struct failure *f) {
    lua_createtable(L, 0, 8);
    lua_pushstring(L, f->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, f->message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, f->status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, f->retryable);
    lua_setfield(L, -2, "retryable");
    lua_pushstring(L, f->type);
    lua_setfield(L, -2, "type");
    if (f->param[0]) {
        lua_pushstring(L, f->param);
        lua_setfield(L, -2, "param");
    }
    if (f->upstream[0]) {
        lua_pushstring(L, f->upstream);
        lua_setfield(L, -2, "upstream");
    }
    if (f->detail[0]) {
        lua_pushstring(L, f->detail);
        lua_setfield(L, -2, "detail");
    }
    if (f->retry_after_ms > 0) {
        lua_pushnumber(L, (lua_Number)f->retry_after_ms / 1000);
        lua_setfield(L, -2, "retry_after");
    }
    if (buf_len(&f->body) > 0) {
        lua_pushlstring(L, buf_get(&f->body).ptr, buf_len(&f->body));
        lua_setfield(L, -2, "body");
    }
    if (buf_len(&f->headers) > 0) push_lines(L, buf_get(&f->headers));
    luaL_getmetatable(L, ERROR_TYPE);
    lua_setmetatable(L, -2);
}

bool lib_is_token(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (!http_is_token(s.ptr[i])) return false;
    return s.len > 0;
}

/* A policy's error is read when its coroutine is over and nothing bounds its time: without
 * metamethods, which may never end. [-0, +1, e] */
static void push_field(lua_State *L, int t, const char *key) {
    lua_pushstring(L, key);
    lua_rawget(L, t);
}

static void copy_field(lua_State *L, int t, const char *key, char *to, size_t size) {
    push_field(L, t, key);
    size_t len;
    const char *s = lua_isstring(L, -1) ? lua_tolstring(L, -1, &len) : NULL;
    if (s != NULL) slice_copy(to, size, slice_of(s, len)); /* whose length is not counted anew */
    lua_pop(L, 1);
}

static double number_field(lua_State *L, int t, const char *key, double otherwise) {
    push_field(L, t, key);
    double v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return v;
}

#define ERROR_HEADERS 64           /* lines of an error; the rest of a table is left out, */
#define ERROR_HEADERS_MAX (16 * 1024) /* and lines that make them longer than those of a response may be */

/* Can it be a line of ours, and is it none that an error has anyway? */
static bool is_line(struct slice name, struct slice value) {
    return http_field_problem(name, value) == NULL && !http_field_is_framing(name) && !http_field_is_own(name);
}

static void copy_line(struct buf *out, struct slice name, struct slice value) {
    bool fits = buf_len(out) + name.len + value.len + 4 <= ERROR_HEADERS_MAX;
    if (value.len > 0 && fits && is_line(name, value)) headers_put(out, name, value);
}

/* Lines for the client from the table `headers`, if it is one; what is no header line is left out. */
static void copy_lines(lua_State *L, int t, struct buf *out) {
    push_field(L, t, "headers");
    int lines = lua_gettop(L);
    if (lua_istable(L, lines)) lua_pushnil(L);
    for (int n = 0; lua_istable(L, lines) && lua_next(L, lines) != 0; n++) {
        struct slice name = SLICE(""), value = SLICE("");
        if (lua_type(L, -2) == LUA_TSTRING) name.ptr = lua_tolstring(L, -2, &name.len);
        if (lua_type(L, -1) == LUA_TSTRING) value.ptr = lua_tolstring(L, -1, &value.len);
        if (n < ERROR_HEADERS) copy_line(out, name, value);
        lua_pop(L, 1);
        if (n < ERROR_HEADERS) continue;
        lua_pop(L, 1); /* the key */
        break;
    }
    lua_pop(L, 1);
}

static void from_table(lua_State *L, int t, struct failure *f) {
    copy_field(L, t, "code", f->code, sizeof(f->code));
    snprintf(f->message, sizeof(f->message), "the request failed: %s", f->code);
    copy_field(L, t, "message", f->message, sizeof(f->message));
    copy_field(L, t, "param", f->param, sizeof(f->param));
    copy_field(L, t, "upstream", f->upstream, sizeof(f->upstream));
    copy_field(L, t, "detail", f->detail, sizeof(f->detail));
    double status = number_field(L, t, "status", 500), wait = number_field(L, t, "retry_after", 0);
    f->status = status >= 400 && status <= 599 ? (int)status : 500;
    f->retry_after_ms = wait > 0 ? (uint32_t)(fmin(wait, RETRY_AFTER_MAX_MS / 1000) * 1000) : 0;
    push_field(L, t, "retryable");
    f->retryable = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    snprintf(f->type, sizeof(f->type), "%s", f->status == 429 ? "rate_limit_error"
                                             : f->status == 401 ? "authentication_error"
                                             : f->status < 500 ? "invalid_request_error" : "server_error");
    copy_field(L, t, "type", f->type, sizeof(f->type));
    copy_lines(L, t, &f->headers);
    push_field(L, t, "body");
    size_t len;
    const char *body = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (body != NULL) buf_put(&f->body, body, len);
    lua_pop(L, 1);
}

bool lib_is_failure(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_checkstack(L, 2)) return false;
    lua_pushvalue(L, index);
    lua_pushliteral(L, "code");
    lua_rawget(L, -2);
    lua_pushliteral(L, "status");
    lua_rawget(L, -3);
    bool yes = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TNUMBER;
    lua_pop(L, 3);
    return yes;
}

void lib_to_failure(lua_State *L, int index, struct failure *f) {
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    failure_set(f, FAILURE_POLICY, text ? "a policy returned a text as its error (see the log)"
                                        : "a policy returned no response and no error");
    if (text != NULL) failure_explain(f, text); /* of pcall, perhaps: with a file and a line */
    if (lua_istable(L, index)) from_table(L, index, f);
}

void lib_cut_error(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    if (len <= LIB_ERROR_MAX) return;
    lua_pushlstring(L, text, utf8_valid_prefix(slice_of(text, LIB_ERROR_MAX)));
    lua_pushfstring(L, "%s... (cut, %f bytes)", lua_tostring(L, -1), (lua_Number)len);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

void lib_push_error(lua_State *L, int index) {
    luaL_checkstack(L, 8, NULL);
    lua_pushvalue(L, index);
    if (lua_type(L, -1) == LUA_TNUMBER) lua_tostring(L, -1); /* error(42): becomes a string in place */
    if (!lua_istable(L, -1)) {
        if (lua_type(L, -1) != LUA_TSTRING) lua_pushfstring(L, "(error object is a %s)", luaL_typename(L, -1));
        lib_cut_error(L);
        return;
    }
    int t = lua_gettop(L);
    push_field(L, t, "message");
    if (lua_type(L, -1) == LUA_TSTRING) lib_cut_error(L);
    push_field(L, t, "code");
    if (lua_type(L, -1) == LUA_TSTRING) lib_cut_error(L);
    bool plain = lua_type(L, -1) != LUA_TSTRING;
    if (lua_type(L, -2) != LUA_TSTRING) lua_pushliteral(L, "(error object is a table without a message)");
    else if (plain) lua_pushvalue(L, -2);
    else lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, -2));
}

struct slice lib_text_field(lua_State *L, int t, const char *key) {
    struct slice s = SLICE("");
    lua_getfield(L, t, key);
    if (lua_type(L, -1) == LUA_TSTRING) s.ptr = lua_tolstring(L, -1, &s.len);
    lua_pop(L, 1);
    return s;
}

void lib_check_header(lua_State *L, const char *name, size_t name_len, const char *value,
                      size_t value_len) {
    const char *problem = http_field_problem(slice_of(name, name_len), slice_of(value, value_len));
    if (problem != NULL && name_len == 0) luaL_error(L, "%s", problem);
    if (problem != NULL) luaL_error(L, "header '%s' %s", name, problem);
    if (http_field_is_framing(slice_of(name, name_len)))
        luaL_error(L, "header '%s' cannot be set: the gateway says itself how long a message is and what becomes of "
                      "its connection", name);
}

/* core.header_problem(name, value) -> what is wrong with them, the end of a sentence, or nil */
static int l_header_problem(lua_State *L) {
    struct slice name, value;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    value.ptr = luaL_optlstring(L, 2, "", &value.len);
    lua_pushstring(L, http_field_problem(name, value)); /* NULL is nil */
    return 1;
}

/* core.path_normal(text) -> its normal form | nil, what is wrong with it */
static int l_path_normal(lua_State *L) {
    struct slice path;
    path.ptr = luaL_checklstring(L, 1, &path.len);
    struct arena arena;
    const char *why = NULL;
    arena_init(&arena);
    int rc = http_path_normalize(&path, &arena, &why);
    char normal[512];
    bool fits = path.len < sizeof(normal);
    if (rc == 0 && fits) memcpy(normal, path.ptr, path.len);
    arena_deinit(&arena);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc == 0 && fits) {
        lua_pushlstring(L, normal, path.len);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, rc != 0 ? why : "the path is over 511 bytes");
    return 2;
}

/* core.header_is_framing(name), core.header_is_own(name) */
static int l_header_is_framing(lua_State *L) {
    lua_pushboolean(L, http_field_is_framing(slice_str(luaL_checkstring(L, 1))));
    return 1;
}

static int l_header_is_own(lua_State *L) {
    lua_pushboolean(L, http_field_is_own(slice_str(luaL_checkstring(L, 1))));
    return 1;
}

/* -- Small functions ---------------------------------------------------------------------- */

void lib_sha256(struct slice s, char hex[65]) {
    unsigned char digest[32];
    EVP_Digest(s.ptr, s.len, digest, NULL, EVP_sha256(), NULL);
    hex_write(digest, sizeof(digest), hex);
    hex[64] = '\0';
}

static int l_sha256(lua_State *L) {
    struct slice s;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    state_pay(L, s.len / 32);
    char hex[65];
    lib_sha256(s, hex);
    lua_pushlstring(L, hex, 64);
    return 1;
}

static int l_json_decode(lua_State *L) {
    struct slice s;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct json_error err = { 0 };
    state_pay(L, s.len / 64);
    int rc = json_parse(doc, s, &err);
    if (rc == 0) {
        value_push(L, doc, 0);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "%s at byte %d", rc == PERILUNE_ERR_NOMEM ? "out of memory" : err.message, (int)err.offset);
    return 2;
}

/* The value at the path, names of members with dots between them, or JSON_NONE. */
static uint32_t json_at(const struct json_doc *doc, struct slice path) {
    uint32_t at = 0;
    while (at != JSON_NONE && path.len > 0) {
        const char *dot = memchr(path.ptr, '.', path.len);
        size_t len = dot ? (size_t)(dot - path.ptr) : path.len, next = len + (dot != NULL);
        at = json_is(doc, at, JSON_OBJECT) ? json_get(doc, at, slice_of(path.ptr, len)) : JSON_NONE;
        path = slice_of(path.ptr + next, path.len - next);
    }
    return at;
}

/* core.json_cut(text, path) -> string, rest | nil: the string at the path ("search.query") of a JSON text, and the
 * text as it is but for this string */
static int l_json_cut(lua_State *L) {
    struct slice s, path;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    path.ptr = luaL_checklstring(L, 2, &path.len);
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct json_error err = { 0 };
    state_pay(L, s.len / 64);
    uint32_t at = json_parse(doc, s, &err) == 0 ? json_at(doc, path) : JSON_NONE;
    if (!json_is(doc, at, JSON_STRING)) return 0;
    struct buf *text = lib_scratch(L), *rest = lib_output(L);
    struct json_node n = doc->nodes[at];
    json_decode_string(doc, at, text);
    buf_put(rest, s.ptr, n.start);
    buf_put(rest, s.ptr + n.end, s.len - n.end);
    lib_check_buf(L, text);
    lib_check_buf(L, rest);
    lua_pushlstring(L, buf_get(text).ptr, buf_len(text));
    lua_pushlstring(L, buf_get(rest).ptr, buf_len(rest));
    return 2;
}

static int l_json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    struct buf *out = lib_output(L);
    value_encode(L, 1, out, 0);
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

/* Seconds: Unix time, or the virtual clock. */
/* core.clock() -> seconds since some moment; it never jumps */
static int l_clock(lua_State *L) {
    const struct loop *l = state_of(L)->loop;
    lua_pushnumber(L, l->is_virtual ? (double)l->virtual_ms / 1e3 : (double)loop_hrtime_us() / 1e6);
    return 1;
}

static int l_now(lua_State *L) {
    struct loop *l = state_of(L)->loop;
    struct timespec t;
    clock_read(CLOCK_REALTIME, &t);
    if (l->is_virtual) lua_pushnumber(L, (double)l->virtual_ms / 1000);
    else lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return 1;
}

static int l_random(lua_State *L) {
    lua_pushnumber(L, rng_double(&state_of(L)->loop->rng));
    return 1;
}

/* core.random_seed(n): what core.random gives from here on is the same each time.  Where time is virtual only. */
static int l_random_seed(lua_State *L) {
    struct loop *loop = state_of(L)->loop;
    double seed = luaL_checknumber(L, 1);
    luaL_argcheck(L, loop->is_virtual && seed >= 1 && seed < 1e15, 1, "a whole number from 1 on, in a spec");
    rng_seed(&loop->rng, (uint64_t)seed);
    return 0;
}

static int l_env(lua_State *L) {
    const char *v = getenv(luaL_checkstring(L, 1));
    if (v == NULL) lua_pushnil(L);
    else lua_pushstring(L, v);
    return 1;
}

static int l_log(lua_State *L) {
    struct task *t = state_of(L)->running;
    lib_log(L, 1, t && t->request ? t->request->id : NULL);
    return 0;
}

static uint64_t amount(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    double v = luaL_checknumber(L, -1);
    luaL_argcheck(L, v >= 0 && v < 1e15, 1, "limits are numbers from 0 on");
    lua_pop(L, 1);
    return (uint64_t)v;
}

/* core.set_limits{cpu_ms=, block_ms=, memory=}: of what is not trusted, for the test kit */
static int l_set_limits(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    uint64_t cpu = amount(L, "cpu_ms"), block = amount(L, "block_ms"), memory = amount(L, "memory");
    struct state_limits *limits = &state_of(L)->limits;
    limits->cpu_us = cpu * 1000;
    limits->block_us = block * 1000;
    limits->memory = memory;
    return 0;
}

/* core.loads_trusted(): before code is loaded that has no limits */
static int l_loads_trusted(lua_State *L) {
    state_loads_trusted(state_of(L));
    return 0;
}

/* core.log_lines() -> what was logged since it was asked last, a line each; "" where nobody keeps them */
static int l_log_lines(lua_State *L) {
    struct buf *lines = state_of(L)->log_lines;
    struct slice s = lines ? buf_get(lines) : SLICE("");
    lua_pushlstring(L, s.ptr ? s.ptr : "", s.len);
    if (lines != NULL) buf_clear(lines);
    return 1;
}

static int l_check(lua_State *L) {
    state_check(L);
    return lua_gettop(L);
}

/* core.cpu_left() -> seconds of CPU time that the running request may still use */
static int l_cpu_left(lua_State *L) {
    uint64_t us = budget_left_us(state_of(L), false);
    lua_pushnumber(L, us == UINT64_MAX ? HUGE_VAL : (double)us / 1e6);
    return 1;
}

static struct task *trier(lua_State *L) {
    struct task *t = state_of(L)->running;
    return t != NULL && t->co == L ? t : NULL;
}

/* core.attempt() -> whether there is time for one; core.attempt_end() -> whether it ran out */
static int l_attempt(lua_State *L) {
    struct task *t = trier(L);
    if (t == NULL) return luaL_error(L, "perilune.attempt: not inside a policy's request");
    if (t->trying) return luaL_error(L, "perilune.attempt: inside of another attempt");
    lua_pushboolean(L, budget_attempt(t->state));
    return 1;
}

static int l_attempt_end(lua_State *L) {
    struct task *t = trier(L);
    bool over = t != NULL && budget_attempt_end(t->state);
    state_check(L); /* condemned meanwhile, for its memory */
    lua_pushboolean(L, over);
    return 1;
}

/* core.upstreams() -> names */
static int l_upstreams(lua_State *L) {
    struct state *s = state_of(L);
    lua_createtable(L, (int)s->services.pool_count, 0);
    for (unsigned i = 0; i < s->services.pool_count; i++) {
        lua_pushstring(L, s->services.pools[i].target->name);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* -- Registration ----------------------------------------------------------------------------- */

/* private: lua/perilune/ dresses them up; policies never see this table. */
static const luaL_Reg functions[] = {
    { "admit", l_admit },
    { "as_error", l_as_error },
    { "attempt", l_attempt },
    { "attempt_end", l_attempt_end },
    { "base64_decode", l_base64_decode },
    { "base64_encode", l_base64_encode },
    { "bundle_file", l_bundle_file },
    { "bundle_list", l_bundle_list },
    { "after", l_after },
    { "after_drop", l_after_drop },
    { "after_keep", l_after_keep },
    { "batch", l_batch },
    { "batch_asks", l_batch_asks },
    { "batch_submit", l_batch_submit },
    { "cache_delete", l_cache_delete },
    { "cache_get", l_cache_get },
    { "cache_invalidate", l_cache_invalidate },
    { "cache_keep_failure", l_cache_keep_failure },
    { "cache_key", l_cache_key },
    { "cache_lookup", l_cache_lookup },
    { "cache_pass", l_cache_pass },
    { "cache_has_offsets", l_cache_has_offsets },
    { "cache_new", l_cache_new },
    { "cache_note", l_cache_note },
    { "cache_record", l_cache_record },
    { "cache_refresh", l_cache_refresh },
    { "cache_set", l_cache_set },
    { "cache_stale", l_cache_stale },
    { "cache_far", l_cache_far },
    { "cache_stats", l_cache_stats },
    { "cache_tenant", l_cache_tenant },
    { "capture", l_capture },
    { "intents_match", l_intents_match },
    { "intents_new", l_intents_new },
    { "learn_about", l_learn_about },
    { "learn_label", l_learn_label },
    { "learn_open", l_learn_open },
    { "learn_route", l_learn_route },
    { "logprob_mean", l_logprob_mean },
    { "logprob_meter", l_logprob_meter },
    { "record_whole", l_record_whole },
    { "tally", l_tally },
    { "trial", l_trial },
    { "embed", l_embed },
    { "embeddings_answers", l_embeddings_answers },
    { "embeddings_form", l_embeddings_form },
    { "embeddings_join", l_embeddings_join },
    { "embeddings_vectors", l_embeddings_vectors },
    { "near_feedback", l_near_feedback },
    { "near_find", l_near_find },
    { "near_guard", l_near_guard },
    { "near_widen", l_near_widen },
    { "near_new", l_near_new },
    { "near_question", l_near_question },
    { "near_shadow", l_near_shadow },
    { "near_threshold", l_near_threshold },
    { "near_value_question", l_near_value_question },
    { "call", l_call },
    { "begun", l_begun },
    { "check", l_check },
    { "coalesce", l_coalesce },
    { "cpu_left", l_cpu_left },
    { "date", l_date },
    { "env", l_env },
    { "ask", l_ask },
    { "served", l_served },
    { "span", l_span },
    { "sse", l_sse },
    { "latch", l_latch },
    { "latch_set", l_latch_set },
    { "latch_wait", l_latch_wait },
    { "compose", l_compose },
    { "compose_text", l_compose_text },
    { "compose_call", l_compose_call },
    { "compose_reason", l_compose_reason },
    { "compose_count", l_compose_count },
    { "compose_partial", l_compose_partial },
    { "compose_pipe", l_compose_pipe },
    { "eval_arguments", l_eval_arguments },
    { "eval_code", l_eval_code },
    { "eval_entry", l_eval_entry },
    { "eval_give", l_eval_give },
    { "fetch", l_fetch },
    { "fields", l_fields },
    { "guard_calls", l_guard_calls },
    { "header_problem", l_header_problem },
    { "header_is_framing", l_header_is_framing },
    { "header_is_own", l_header_is_own },
    { "health", l_health },
    { "fresh_stores", l_fresh_stores },
    { "gate_enter", l_gate_enter },
    { "gate_new", l_gate_new },
    { "gate_saturation", l_gate_saturation },
    { "gate_stats", l_gate_stats },
    { "hmac_sha256", l_hmac_sha256 },
    { "host_function", l_host_function },
    { "host_names", l_host_names },
    { "is_chat", l_is_chat },
    { "is_live", l_is_live },
    { "job_entry", l_job_entry },
    { "job_progress", l_job_progress },
    { "jobs_cancel", l_jobs_cancel },
    { "jobs_get", l_jobs_get },
    { "jobs_submit", l_jobs_submit },
    { "json_array", l_json_array },
    { "json_cut", l_json_cut },
    { "json_decode", l_json_decode },
    { "json_encode", l_json_encode },
    { "json_stream", l_json_stream },
    { "json_view", l_json_view },
    { "known_upstreams", l_known_upstreams },
    { "limit_enter", l_limit_enter },
    { "limit_leave", l_limit_leave },
    { "limit_pause", l_limit_pause },
    { "limit_new", l_limit_new },
    { "limit_price", l_limit_price },
    { "limit_share", l_limit_share },
    { "limit_take", l_limit_take },
    { "log", l_log },
    { "log_lines", l_log_lines },
    { "memo_get", l_memo_get },
    { "memo_set", l_memo_set },
    { "message_tokens", l_message_tokens },
    { "new_request", l_new_request },
    { "clock", l_clock },
    { "now", l_now },
    { "of_job", l_of_job },
    { "of_sample", l_of_sample },
    { "path_normal", l_path_normal },
    { "credit_earn", l_credit_earn },
    { "credit_spend", l_credit_spend },
    { "place", l_place },
    { "play", l_play },
    { "prompt_seen", l_prompt_seen },
    { "blamed", l_blamed },
    { "traced", l_traced },
    { "is_folder", l_is_folder },
    { "finding", l_finding },
    { "policy_doubt", l_policy_doubt },
    { "policy_names", l_policy_names },
    { "policy_source", l_policy_source },
    { "random", l_random },
    { "random_seed", l_random_seed },
    { "respond", l_respond },
    { "request", l_request },
    { "rests", l_rests },
    { "result", l_result },
    { "scripted", l_scripted },
    { "scripted_join", l_scripted_join },
    { "serve", l_serve },
    { "set_limits", l_set_limits }, { "loads_trusted", l_loads_trusted },
    { "sha256", l_sha256 },
    { "shared", l_shared },
    { "signal", l_signal },
    { "signal_tell", l_signal_tell },
    { "signal_wait", l_signal_wait },
    { "sleep", l_sleep },
    { "spawn", l_spawn },
    { "says_later", l_says_later },
    { "status_is_retryable", l_status_is_retryable },
    { "client_status", l_client_status },
    { "text_chunks", l_text_chunks },
    { "text_dedupe", l_text_dedupe },
    { "text_elide_base64", l_text_elide_base64 },
    { "text_extract", l_text_extract },
    { "text_json_lines", l_text_json_lines },
    { "text_minify_json", l_text_minify_json },
    { "text_rank", l_text_rank },
    { "text_sentences", l_text_sentences },
    { "text_spans", l_text_spans },
    { "text_strip_ansi", l_text_strip_ansi },
    { "tokenizers", l_tokenizers },
    { "tokens", l_tokens },
    { "trim", l_trim },
    { "trim_rules", l_trim_rules },
    { "truncate", l_truncate },
    { "upstreams", l_upstreams },
    { "url_decode", l_url_decode },
    { "url_encode", l_url_encode },
    { "value_set", l_value_set },
    { NULL, NULL },
};

/* Who asks for the metatable of a marked array gets false: it is an identity, no more. */
static void open_arrays(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&array_key);
    lua_newtable(L);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void lib_open(lua_State *L) {
    open_arrays(L);
    open_errors(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    int core = lua_gettop(L);
    value_push_null(L);
    lua_setfield(L, core, "null");
    view_open(L);
    request_open(L);
    response_open_lua(L, core);
    shared_open(L);
    cache_open(L, core);
    limit_open(L, core);
    near_open(L);
    gate_open(L, core);
    compose_open(L, core);
    host_open(L, core);
    latch_open(L);
    batch_open(L);
    job_task_open(L);
    signal_open(L);
    learn_open_lua(L);
    logprob_open(L);
    embeddings_open(L);
    json_stream_open(L);
    sse_open(L);
    trim_open(L);
    lua_settop(L, core);
}
