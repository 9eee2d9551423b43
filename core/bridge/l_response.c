/* l_response.c -- `res`, as policies see it: handle, fields, text(), events().
 *
 * A handle owns a share of its response.  A weak table in the registry finds the
 * handle of a response again (hooks.c needs the functions in its environment);
 * response_pin() makes that strong while a client is being served.
 *
 * text() and events() wait for the source without consuming: see response.c. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/hooks.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response_int.h"
#include "bridge/value.h"

#define RESPONSE_TYPE "perilune.response"
#define HEADERS_TYPE  "perilune.response.headers"

struct handle {
    struct response *r; /* NULL: the request is over */
    bool             has_env;
};

/* -- Handles --------------------------------------------------------------------------- */

static struct handle *to_handle(lua_State *L, int i) {
    struct handle *h = handle_test(L, i, &state_of(L)->response_type);
    return h ? h : luaL_checkudata(L, i, RESPONSE_TYPE); /* which raises */
}

static struct response *to_response(lua_State *L, int i) {
    struct handle *h = to_handle(L, i);
    if (h->r == NULL) luaL_error(L, "response is finished");
    return h->r;
}

struct response *response_test(lua_State *L, int i) {
    struct handle *h = handle_test(L, i, &state_of(L)->response_type);
    return h ? h->r : NULL;
}

void lib_handle_env(lua_State *L, int index) {
    struct handle *h = to_handle(L, index);
    if (!h->has_env) {
        lua_newtable(L);
        lua_setfenv(L, index);
        h->has_env = true;
    }
    lua_getfenv(L, index);
}

bool lib_push_handle(lua_State *L, struct response *r) {
    if (r->slot == 0) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->state->handles.ref);
    lua_rawgeti(L, -1, (int)r->slot);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

static int pin(lua_State *L, void *ud) {
    struct response *r = ud;
    if (lib_push_handle(L, r)) r->pin = state_ref_new(L);
    return 0;
}

void response_pin(struct response *r) {
    if (r->hooks != NULL && r->pin == 0) state_call(r->state, pin, r, NULL, 0);
}

void response_push(lua_State *L, struct response *r) {
    if (r->slot != 0 && lib_push_handle(L, r)) return;
    response_empty_handle(r); /* collected */
    struct handle *h = handle_new(L, &r->state->response_type, sizeof(*h), &r->slot);
    h->r = response_ref(r);
}

struct response *response_make(lua_State *L, const struct response_options *opt) {
    struct state *s = state_of(L);
    unsigned slot;
    struct handle *h = handle_new(L, &s->response_type, sizeof(*h), &slot);
    h->r = response_new(s, opt);
    if (h->r != NULL) {
        h->r->slot = slot;
        return h->r;
    }
    handle_empty(s, &s->response_type, slot);
    luaL_error(L, "not enough memory");
    return NULL;
}

void response_empty_handle(struct response *r) {
    struct handle *h = handle_empty(r->state, &r->state->response_type, r->slot);
    r->slot = 0;
    if (h == NULL || h->r == NULL) return;
    h->r = NULL;
    response_put(r); /* may free r */
}

static int l_gc(lua_State *L) {
    struct handle *h = lua_touserdata(L, 1);
    struct response *r = h->r;
    h->r = NULL;
    response_put(r);
    return 0;
}

/* -- Waiting for more --------------------------------------------------------------------- */

struct reader {
    struct op        op;
    struct response *r;
    bool             all; /* wait for the end */
};

static void reader_free(struct reader *w) {
    response_on_ready(w->r, NULL, NULL);
    response_put(w->r);
    mem_free(w);
}

static void reader_cancel(struct op *op) { reader_free(container_of(op, struct reader, op)); }

static int reader_push(lua_State *L, struct op *op) {
    (void)L;
    reader_free(container_of(op, struct reader, op));
    return 0;
}

static void reader_ready(void *ud);

/* on_ready fires for what is there already; a reader of everything waits for news. */
static void reader_listen(struct reader *w) {
    if (w->all && !w->r->over) {
        w->r->ready = reader_ready;
        w->r->ready_ud = w;
    } else {
        response_on_ready(w->r, reader_ready, w);
    }
}

static void reader_ready(void *ud) {
    struct reader *w = ud;
    if (w->all && !w->r->over) reader_listen(w);
    else op_done(&w->op);
}

static int wait_for(lua_State *L, struct response *r, bool all) {
    op_check(L);
    if (r->ready != NULL) return luaL_error(L, "somebody else is already reading this response");
    struct reader *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return luaL_error(L, "not enough memory");
    w->op = (struct op){ .cancel = reader_cancel, .push = reader_push };
    w->r = response_ref(r);
    w->all = all;
    r->reading = true;
    response_open(r);
    response_resume(r);
    reader_listen(w);
    return op_wait(L, &w->op, all ? "response text" : "response events");
}

/* core.wait_end(res): parks until everything is here. */
static int l_wait_end(lua_State *L) {
    struct response *r = to_response(L, 1);
    if (r->over) {
        response_open(r);
        return 0;
    }
    return wait_for(L, r, true);
}

/* nil and why: the answer failed. */
static int push_why(lua_State *L, struct response *r) {
    lua_pushnil(L);
    if (r->failure) lib_push_failure(L, r->failure);
    else lua_pushliteral(L, "out of memory");
    return 2;
}

static int push_all(lua_State *L, struct buf *out) {
    if (buf_failed(out)) return luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

/* core.read_text(res) -> text | nil, err: what is held. */
static int l_read_text(lua_State *L) {
    struct response *r = to_response(L, 1);
    if (r->failed) return push_why(L, r);
    struct buf *out = lib_output(L);
    struct json_doc doc = { .nodes = NULL };
    size_t at = 0;
    struct event ev;
    while (response_record(r, &at, &ev)) {
        if (r->kind == RESPONSE_BYTES) buf_slice(out, ev.raw);
        else hooks_event_text(&doc, &ev, out);
    }
    json_deinit(&doc);
    return push_all(L, out);
}

/* core.read_raw(res) -> the bytes that came | nil, err */
static int l_read_raw(lua_State *L) {
    struct response *r = to_response(L, 1);
    if (r->failed) return push_why(L, r);
    struct buf *out = lib_output(L);
    size_t at = 0;
    struct event ev;
    while (response_record(r, &at, &ev)) buf_slice(out, ev.raw);
    return push_all(L, out);
}

/* core.next_event(res) -> event | false (wait) | nil, err (over) */
static int l_next_event(lua_State *L) {
    struct response *r = to_response(L, 1);
    response_open(r);
    struct event ev;
    if (response_record(r, &r->read_at, &ev)) {
        hooks_push_event(L, &state_of(L)->scratch_doc, &ev); /* may raise */
        return 1;
    }
    if (!r->over) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (r->failed) return push_why(L, r);
    lua_pushnil(L);
    return 1;
}

/* core.wait_event(res): parks until there is one, or the end. */
static int l_wait_event(lua_State *L) { return wait_for(L, to_response(L, 1), false); }

/* -- Headers -------------------------------------------------------------------------------- */

/* Start of the line with this name in the header block, or NULL. */
static const char *find_line(struct slice all, struct slice name, size_t *len) {
    const char *p = all.ptr, *stop = all.ptr + all.len;
    while (p < stop) {
        const char *nl = memchr(p, '\n', (size_t)(stop - p));
        if ((size_t)(nl - p) > name.len && p[name.len] == ':' && strncasecmp(p, name.ptr, name.len) == 0) {
            *len = (size_t)(nl + 1 - p);
            return p;
        }
        p = nl + 1;
    }
    return NULL;
}

static struct response *headers_owner(lua_State *L) {
    struct response **box = luaL_checkudata(L, 1, HEADERS_TYPE);
    return *box;
}

static int l_headers_index(lua_State *L) {
    struct response *r = headers_owner(L);
    struct slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    size_t len;
    const char *line = find_line(buf_get(&r->headers), name, &len);
    if (line != NULL) {
        struct slice v = slice_trim(slice_of(line + name.len + 1, len - name.len - 3));
        lua_pushlstring(L, v.ptr, v.len);
        return 1;
    }
    struct slice v = r->call ? call_header(r->call, name) : slice_of(NULL, 0);
    if (slice_eq_nocase(name, SLICE("content-type"))) v = slice_str(r->content_type);
    if (v.ptr == NULL) lua_pushnil(L);
    else lua_pushlstring(L, v.ptr, v.len);
    return 1;
}

static void drop_line(struct buf *headers, struct slice name) {
    size_t len;
    struct slice all = buf_get(headers);
    const char *line = find_line(all, name, &len);
    if (line == NULL) return;
    size_t at = (size_t)(line - all.ptr);
    memmove(headers->data + headers->mark + at, line + len, all.len - at - len);
    headers->len -= len;
}

/* For a line of len bytes instead of the one with this name.  Comes before the change:
 * whoever catches the error has the headers as they were. */
static void make_room(lua_State *L, struct buf *headers, struct slice name, size_t len) {
    size_t old = 0;
    find_line(buf_get(headers), name, &old);
    if (len <= old || buf_reserve(headers, len - old) != NULL) return;
    bool much = headers->error == PERILUNE_ERR_LIMITED;
    headers->error = 0;
    luaL_error(L, much ? "response headers are over 16 KiB" : "not enough memory");
}

static int l_headers_newindex(lua_State *L) {
    struct response *r = headers_owner(L);
    struct slice name, value = SLICE("");
    name.ptr = luaL_checklstring(L, 2, &name.len);
    if (!lua_isnil(L, 3)) value.ptr = luaL_checklstring(L, 3, &value.len);
    lib_check_header(L, name.ptr, name.len, value.ptr, value.len);
    if (r->to != NULL) return luaL_error(L, "too late: the headers of this response were sent");
    if (!lua_isnil(L, 3)) make_room(L, &r->headers, name, name.len + value.len + 4);
    drop_line(&r->headers, name);
    if (lua_isnil(L, 3)) return 0;
    buf_slice(&r->headers, name);
    buf_puts(&r->headers, ": ");
    buf_slice(&r->headers, value);
    buf_puts(&r->headers, "\r\n");
    return 0;
}

static int l_headers_gc(lua_State *L) {
    struct response **box = lua_touserdata(L, 1);
    response_put(*box);
    *box = NULL;
    return 0;
}

static void push_headers(lua_State *L, struct response *r) {
    struct response **box = lua_newuserdata(L, sizeof(*box));
    *box = NULL;
    luaL_getmetatable(L, HEADERS_TYPE);
    lua_setmetatable(L, -2);
    *box = response_ref(r);
}

/* -- Fields ---------------------------------------------------------------------------------- */

void lib_push_usage(lua_State *L, const struct usage *u) {
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, (lua_Number)u->prompt);
    lua_setfield(L, -2, "prompt_tokens");
    lua_pushnumber(L, (lua_Number)u->completion);
    lua_setfield(L, -2, "completion_tokens");
    lua_pushnumber(L, (lua_Number)(u->prompt + u->completion));
    lua_setfield(L, -2, "total_tokens");
    lua_pushnumber(L, (lua_Number)u->cached);
    lua_setfield(L, -2, "cached_tokens");
}

/* Upvalue 1: methods. */
static int l_index(lua_State *L) {
    struct response *r = to_response(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "status") == 0) {
        lua_pushinteger(L, r->status);
    } else if (strcmp(key, "headers") == 0) {
        push_headers(L, r);
    } else if (strcmp(key, "upstream") == 0) {
        if (r->upstream[0]) lua_pushstring(L, r->upstream);
        else lua_pushnil(L);
    } else if (strcmp(key, "usage") == 0) {
        const struct usage *u = response_usage(r);
        if (r->over && u->known) lib_push_usage(L, u);
        else lua_pushnil(L);
    } else {
        lua_pushvalue(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
    }
    return 1;
}

static int l_newindex(lua_State *L) {
    struct response *r = to_response(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "status") != 0) return luaL_error(L, "res.%s cannot be assigned", key);
    double status = luaL_checknumber(L, 3);
    luaL_argcheck(L, status >= 200 && status <= 599 && status == floor(status), 3,
                  "a status is a whole number from 200 to 599");
    if (r->to != NULL) return luaL_error(L, "too late: the status of this response was sent");
    r->status = (int)status;
    return 0;
}

void response_open_lua(lua_State *L, int core) {
    /* private: lua/perilune/response.lua builds text() and events() from these. */
    static const luaL_Reg functions[] = { { "wait_end", l_wait_end },
                                          { "read_raw", l_read_raw },
                                          { "read_text", l_read_text },
                                          { "next_event", l_next_event },
                                          { "wait_event", l_wait_event },
                                          { NULL, NULL } };
    static const luaL_Reg methods[] = { { "finally", l_response_finally },
                                        { "map", l_response_map },
                                        { "record", l_response_record },
                                        { "tap", l_response_tap },
                                        { NULL, NULL } };
    /* private: metamethods */
    static const luaL_Reg headers[] = { { "__index", l_headers_index },
                                        { "__newindex", l_headers_newindex },
                                        { "__gc", l_headers_gc },
                                        { NULL, NULL } };
    lua_pushvalue(L, core);
    luaL_register(L, NULL, functions);
    lua_newtable(L); /* methods; response.lua adds text and events */
    luaL_register(L, NULL, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "response_methods");
    luaL_newmetatable(L, RESPONSE_TYPE);
    lua_insert(L, -2);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    handle_type_set(L, &state_of(L)->response_type);
    luaL_newmetatable(L, HEADERS_TYPE);
    luaL_register(L, NULL, headers);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 3);
}
