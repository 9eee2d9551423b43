/* l_response.c -- `res`, as policies see it: handle, fields, text(), events().
 *
 * A handle owns a share of its response.  A weak table in the registry finds the
 * handle of a response again (hooks.c needs the functions in its environment);
 * response_pin() makes that strong while a client is being served.
 *
 * text() and events() wait for the source without consuming: see flow/response.c. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/hooks.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/value.h"
#include "flow/headers.h"

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
    const struct lua_response *lr = response_lua(r);
    if (lr == NULL || lr->slot == 0) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, lr->state->handles.ref);
    lua_rawgeti(L, -1, (int)lr->slot);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

static int pin(lua_State *L, void *ud) {
    struct response *r = ud;
    if (lib_push_handle(L, r)) response_lua(r)->pin = state_ref_new(L);
    return 0;
}

void response_pin(struct response *r) {
    struct lua_response *lr = response_lua(r);
    if (lr != NULL && lr->hooks != NULL && lr->pin == 0) state_call(lr->state, pin, r, NULL, 0);
}

static void unpin(struct lua_response *lr) {
    state_ref_drop(lr->state, lr->pin);
    lr->pin = 0;
}

void response_empty_handle(struct response *r) {
    struct lua_response *lr = response_lua(r);
    if (lr == NULL || lr->slot == 0) return;
    struct handle *h = handle_empty(lr->state, &lr->state->response_type, lr->slot);
    lr->slot = 0;
    if (h == NULL || h->r == NULL) return;
    h->r = NULL;
    response_put(r); /* may free r */
}

/* -- What a response does with it ------------------------------------------------------------- */

static void finish(struct response *r, const struct outcome *o) {
    struct lua_response *lr = response_lua(r);
    if (lr->inner != NULL) response_finish(lr->inner, o); /* what stands further in, first */
    if (lr->hooks != NULL) hooks_finally(r, o);
    unpin(lr);
}

static void outlive(struct response *r) {
    struct lua_response *lr = response_lua(r);
    lr->outlives = true;
    state_ref(lr->state); /* the consumer may have held the last share */
}

static void release(struct response *r) {
    struct lua_response *lr = response_lua(r);
    response_empty_handle(r); /* collected before: gives back its place */
    unpin(lr);
    hooks_release(lr->hooks);
    event_reader_deinit(&lr->reader);
    response_put(lr->inner);
    budget_let_go(lr->payer, lr->held);
    if (lr->outlives) state_put(lr->state);
    mem_free(lr);
    r->user = NULL;
}

static const struct response_user_ops user_ops = { response_empty_handle, finish, outlive, release };

/* Before a handle is made: what raises afterwards leaves nothing behind. */
static struct lua_response *be_known(lua_State *L, struct response *r) {
    if (r->user != NULL) return r->user;
    struct lua_response *lr = mem_zalloc(sizeof(*lr));
    if (lr == NULL) luaL_error(L, "not enough memory");
    lr->state = state_of(L);
    r->user = lr;
    r->user_ops = &user_ops;
    return lr;
}

void response_push(lua_State *L, struct response *r) {
    struct lua_response *lr = be_known(L, r);
    if (lib_push_handle(L, r)) return;
    response_empty_handle(r); /* collected */
    struct handle *h = handle_new(L, &lr->state->response_type, sizeof(*h), &lr->slot);
    h->r = response_ref(r);
}

struct response *response_make(lua_State *L, const struct response_options *opt) {
    struct state *s = state_of(L);
    unsigned slot;
    struct handle *h = handle_new(L, &s->response_type, sizeof(*h), &slot);
    struct response *r = response_new(opt);
    struct lua_response *lr = r ? mem_zalloc(sizeof(*lr)) : NULL;
    if (lr == NULL) {
        response_put(r);
        handle_empty(s, &s->response_type, slot);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    *lr = (struct lua_response){ .state = s, .slot = slot };
    r->user = lr;
    r->user_ops = &user_ops;
    h->r = r;
    return r;
}

void response_charge(lua_State *L, struct response *r, size_t bytes) {
    struct lua_response *lr = response_lua(r);
    lr->held = buf_len(&r->held) > bytes ? buf_len(&r->held) : bytes;
    lr->payer = budget_hold(state_of(L), lr->held);
}

struct response *response_make_outer(lua_State *L, struct response *r, struct list *among) {
    const struct state *s = state_of(L);
    struct response *outer = response_make(L, &(struct response_options){
        .loop = r->loop, .upstream = r->upstream, .dialect = r->dialect, .among = among, .pass = r->pass,
        .limit = r->limit, .high_water = s->limits.high_water, .model = slice_str(r->model), .counted = r->counted,
        .counted_own = r->counted_own });
    buf_slice(&outer->headers, buf_get(&r->headers));
    outer->cache = r->cache;
    outer->bill = bill_ref(r->bill);
    response_lua(outer)->inner = response_ref(r);
    response_pin(r);
    return outer;
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

/* A reader of everything waits for news: what is there already does not help it. */
static void reader_listen(struct reader *w) {
    if (w->all && !w->r->ended) response_on_news(w->r, reader_ready, w);
    else response_on_ready(w->r, reader_ready, w);
}

static void reader_ready(void *ud) {
    struct reader *w = ud;
    if (w->all && !w->r->ended) reader_listen(w);
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
    response_read(r, all);
    response_resume(r);
    reader_listen(w);
    return op_wait(L, &w->op, all ? "response text" : "response events");
}

/* A function of tap or map sees its answer piece by piece: reading all of it takes from the client what is on its
 * way, also where nothing is left to wait for. [0, 0, e] */
static void check_own(lua_State *L, const struct response *r) {
    bool leaving = response_is_taken(r) && state_of(L)->time.run.in_hook;
    if (leaving || response_hooks_run(r))
        luaL_error(L, "cannot wait here: inside a callback (tap, map, finally) of an answer on its way to the client");
}

/* core.wait_end(res): parks until everything is here. */
static int l_wait_end(lua_State *L) {
    struct response *r = to_response(L, 1);
    check_own(L, r);
    if (r->ended) {
        response_read(r, true);
        return 0;
    }
    return wait_for(L, r, true);
}

/* nil and why: the answer failed. */
static int push_why(lua_State *L, struct response *r) {
    lua_pushnil(L);
    lib_push_failure(L, response_why(r));
    return 2;
}

static int push_all(lua_State *L, struct buf *out) {
    if (buf_failed(out)) return luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

/* core.read_text(res, choice) -> text | nil, err: what is held. */
static int l_read_text(lua_State *L) {
    struct response *r = to_response(L, 1);
    double choice = luaL_optnumber(L, 2, 0);
    luaL_argcheck(L, choice >= 0 && choice < 1e9 && choice == floor(choice), 2, "a choice is a whole number from 0");
    if (r->failed) return push_why(L, r);
    struct buf *out = lib_output(L);
    struct event_reader *e = &response_lua(r)->reader;
    size_t at = 0;
    struct event ev;
    e->half.len = 0;
    while (response_record(r, &at, &ev)) event_reader_text(e, r->dialect, &ev, (unsigned)choice, out);
    piece_decode_rest(&e->half, out);
    return push_all(L, out);
}

/* core.read_answer(res, most) -> text, tools, cut | nil, err: all of it, read once.  text false: it has more than
 * `most` bytes, as it came. */
static int l_read_answer(lua_State *L) {
    struct response *r = to_response(L, 1);
    double most = luaL_checknumber(L, 2);
    if (r->failed) return push_why(L, r);
    struct buf *out = lib_output(L);
    struct event_reader *e = &response_lua(r)->reader;
    size_t at = 0, bytes = 0;
    struct event ev;
    bool cut = false;
    int count = 0;
    while (response_record(r, &at, &ev)) bytes += ev.raw.len;
    if ((double)bytes > most) {
        lua_pushboolean(L, 0);
        return 1;
    }
    e->half.len = 0;
    lua_settop(L, 1);
    lua_newtable(L);
    for (at = 0; response_record(r, &at, &ev);) cut |= event_reader_answer(L, e, r->dialect, &ev, out, &count);
    piece_decode_rest(&e->half, out);
    push_all(L, out);
    lua_insert(L, 2);
    lua_pushboolean(L, cut);
    return 3;
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
    check_own(L, r);
    if (!response_is_opened(r)) response_read(r, false);
    struct event ev;
    if (response_next(r, &ev)) {
        event_reader_push(L, &response_lua(r)->reader, r->dialect, &ev); /* may raise */
        return 1;
    }
    if (!r->ended) {
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

static struct response *headers_owner(lua_State *L) {
    struct response **box = luaL_checkudata(L, 1, HEADERS_TYPE);
    return *box;
}

static int l_headers_index(lua_State *L) {
    struct response *r = headers_owner(L);
    struct slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    struct slice v = headers_find(buf_get(&r->headers), name);
    if (v.ptr == NULL) v = headers_find(buf_get(&r->upstream_headers), name);
    if (v.ptr == NULL && slice_eq_nocase(name, SLICE("content-type"))) v = slice_str(r->content_type);
    if (v.ptr == NULL) lua_pushnil(L);
    else lua_pushlstring(L, v.ptr, v.len);
    return 1;
}

/* For a line of len bytes instead of the one with this name.  Comes before the change:
 * whoever catches the error has the headers as they were. */
static void make_room(lua_State *L, struct buf *headers, struct slice name, size_t len) {
    size_t old = headers_line(buf_get(headers), name).len;
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
    headers_drop(&r->headers, name);
    headers_drop(&r->upstream_headers, name);
    if (lua_isnil(L, 3)) return 0;
    headers_put(&r->headers, name, value);
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

/* ORDER: enum usage_detail */
static const char *const detail_names[USAGE_DETAIL_COUNT] = {
    "prompt_audio_tokens", "reasoning_tokens", "audio_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens",
};

void lib_read_usage_details(lua_State *L, int t, struct usage *u) {
    for (unsigned i = 0; i < USAGE_DETAIL_COUNT; i++) {
        lua_getfield(L, t, detail_names[i]);
        if (!lua_isnil(L, -1)) {
            double v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
            if (!(v >= 0 && v <= 1e15)) luaL_error(L, "'%s' must be a number of tokens", detail_names[i]);
            u->details[i] = (uint64_t)v;
            u->detailed |= 1u << i;
        }
        lua_pop(L, 1);
    }
}

void lib_push_usage(lua_State *L, const struct usage *u) {
    lua_createtable(L, 0, 4 + __builtin_popcount(u->detailed));
    for (unsigned i = 0; i < USAGE_DETAIL_COUNT; i++) {
        if ((u->detailed >> i & 1) == 0) continue;
        lua_pushnumber(L, (lua_Number)u->details[i]);
        lua_setfield(L, -2, detail_names[i]);
    }
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
        lua_pushinteger(L, r->own_status ? r->own_status : r->status);
    } else if (strcmp(key, "headers") == 0) {
        push_headers(L, r);
    } else if (strcmp(key, "upstream") == 0) {
        if (r->upstream[0]) lua_pushstring(L, r->upstream);
        else lua_pushnil(L);
    } else if (strcmp(key, "usage") == 0) {
        if (r->ended && r->usage.known) lib_push_usage(L, &r->usage);
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
    r->own_status = (int)status;
    return 0;
}

/* res:discard(): nobody wants it, its call ends now and not when it is collected */
static int l_discard(lua_State *L) {
    struct response *r = to_response(L, 1);
    if (!response_is_taken(r)) response_leave(r);
    return 0;
}

void response_open_lua(lua_State *L, int core) {
    /* private: lua/perilune/response.lua builds text() and events() from these. */
    static const luaL_Reg functions[] = { { "wait_end", l_wait_end },
                                          { "read_raw", l_read_raw },
                                          { "read_text", l_read_text },
                                          { "read_answer", l_read_answer },
                                          { "next_event", l_next_event },
                                          { "wait_event", l_wait_event },
                                          { NULL, NULL } };
    static const luaL_Reg methods[] = { { "discard", l_discard },
                                        { "finally", l_response_finally },
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
