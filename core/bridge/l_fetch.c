/* l_fetch.c -- core.fetch(url, opts): one HTTP call of a policy's own.
 *
 *     whole    op --> call --> collector: status, header lines, bytes, or the failure
 *     stream   op --> response <-- fetch_stream.c: goes on with the head, and the rest is read from the response
 *
 * An answer with any status is an answer: the call is verbatim, and only what gives no whole
 * answer is a failure.  The table of headers has names in lower case, and the values of a name
 * that came several times joined by commas (RFC 9110 5.3); init.lua lets it be asked in any case.
 *
 * Each fetch makes a target of its own for the moment; connections are still
 * kept and reused, because they belong to the thread's multi. */
#include <stdio.h>

#include "base/mem.h"
#include "bridge/fetch_stream.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/task.h"
#include "bridge/value.h"
#include "flow/headers.h"
#include "base/reach.h"

#define FETCH_MS    30000 /* default timeout */
#define FETCH_LIMIT (4u * 1024 * 1024)

struct fetch {
    struct op            op;
    struct sink          sink;
    struct fetch_place   place;
    struct source       *call;
    struct deferred      wake;
    struct buf           body, head; /* head: the answer's lines, names in lower case */
    int                  status;
    struct failure       failure;
};

static void fetch_free(struct fetch *f) {
    struct source *call = f->call;
    f->call = NULL;
    if (call != NULL) source_cancel(call);
    deferred_cancel(&f->wake);
    fetch_place_deinit(&f->place);
    buf_deinit(&f->body);
    buf_deinit(&f->head);
    failure_deinit(&f->failure);
    f->op.task->state->fetches--;
    mem_free(f);
}

static void fetch_cancel(struct op *op) { fetch_free(container_of(op, struct fetch, op)); }

/* On top of what this name had before, in the table at t. [-0, +0, e] */
static void add_value(lua_State *L, int t, struct slice name, struct slice value) {
    lua_pushlstring(L, name.ptr, name.len);
    lua_pushvalue(L, -1);
    lua_rawget(L, t);
    bool again = !lua_isnil(L, -1);
    if (again) lua_pushliteral(L, ", ");
    else lua_pop(L, 1);
    lua_pushlstring(L, value.ptr, value.len);
    if (again) lua_concat(L, 3);
    lua_rawset(L, t);
}

static void push_headers(lua_State *L, struct slice lines) {
    struct slice name, value;
    lua_newtable(L);
    int t = lua_gettop(L);
    while (headers_next(&lines, &name, &value)) add_value(L, t, name, value);
}

static int fetch_push(lua_State *L, struct op *op) {
    struct fetch *f = container_of(op, struct fetch, op);
    if (failure_is_set(&f->failure)) {
        lua_pushnil(L);
        lib_push_failure(L, &f->failure);
        fetch_free(f);
        return 2;
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, f->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, buf_get(&f->body).ptr, buf_len(&f->body));
    lua_setfield(L, -2, "body");
    push_headers(L, buf_get(&f->head));
    lua_setfield(L, -2, "headers");
    fetch_free(f);
    return 1;
}

static void wake(struct deferred *j) { op_done(&container_of(j, struct fetch, wake)->op); }

static char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static void keep_lines(struct fetch *f, struct slice lines) {
    struct slice name, value;
    while (headers_next(&lines, &name, &value)) {
        for (size_t i = 0; i < name.len; i++) buf_putc(&f->head, ascii_lower(name.ptr[i]));
        buf_puts(&f->head, ": ");
        buf_slice(&f->head, value);
        buf_puts(&f->head, "\r\n");
    }
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct fetch *f = container_of(k, struct fetch, sink);
    switch (ev->type) {
    case EVENT_HEAD:
        f->status = ev->status;
        keep_lines(f, ev->headers);
        break;
    case EVENT_FRAME:
    case EVENT_BYTES: buf_slice(&f->body, ev->raw); break;
    case EVENT_ERROR:
        failure_copy(&f->failure, ev->failure);
        /* fall through */
    case EVENT_END:
        if (!failure_is_set(&f->failure) && (buf_failed(&f->head) || buf_failed(&f->body)))
            failure_set(&f->failure, FAILURE_NO_MEMORY, "out of memory while reading what was fetched");
        f->call = NULL;
        loop_soon(f->op.task->state->loop, &f->wake, wake);
        break;
    }
    return FLOW_MORE;
}

/* Headers from opts.headers, as slices of strings the table keeps alive. */
static unsigned read_headers(lua_State *L, struct call_field *out, unsigned most) {
    unsigned n = 0;
    lua_getfield(L, 2, "headers");
    if (lua_isnil(L, -1)) return 0;
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "fetch: headers must map strings to strings");
        if (n == most) luaL_error(L, "fetch: more than %d headers", (int)most);
        out[n].name.ptr = lua_tolstring(L, -2, &out[n].name.len);
        out[n].value.ptr = lua_tolstring(L, -1, &out[n].value.len);
        lib_check_header(L, out[n].name.ptr, out[n].name.len, out[n].value.ptr, out[n].value.len);
        if (slice_eq_nocase(out[n].name, SLICE("host")))
            luaL_error(L, "fetch: header 'host' cannot be set: the URL says it");
        n++;
        lua_pop(L, 1);
    }
    return n;
}

static struct slice opt_string(lua_State *L, const char *key, const char *otherwise) {
    lua_getfield(L, 2, key);
    struct slice s = slice_str(otherwise);
    if (!lua_isnil(L, -1)) s.ptr = luaL_checklstring(L, -1, &s.len);
    return s;
}

/* A policy may fetch from its own gateway, whose policy does the same: what no limit of one request
 * ends, the worker's does. */
static bool is_full(const struct state *s) { return s->limits.fetches != 0 && s->fetches >= s->limits.fetches; }

static int refuse(lua_State *L, const char *why) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_POLICY_BUDGET, "%s", why);
    lua_pushnil(L);
    lib_push_failure(L, &f);
    failure_deinit(&f);
    return 2;
}

static bool opt_flag(lua_State *L, const char *key) {
    lua_getfield(L, 2, key);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) luaL_error(L, "fetch: %s must be true or false", key);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

/* -- As a whole --------------------------------------------------------------------------- */

static int whole(lua_State *L, struct task *t, struct slice url, const struct reach *reach, struct call_options *opt) {
    struct fetch *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        blob_put(opt->body);
        return luaL_error(L, "not enough memory");
    }
    t->state->fetches++;
    f->op = (struct op){ .task = t, .cancel = fetch_cancel, .push = fetch_push };
    f->sink.event = on_event;
    opt->pool = &f->place.pool;
    bool ready = fetch_place_init(&f->place, t->state->services.client, url, opt->timeouts.total_ms, FETCH_LIMIT,
                                  reach);
    f->call = ready ? call_new(opt) : NULL;
    blob_put(opt->body);
    if (f->call == NULL) {
        fetch_free(f);
        return luaL_error(L, "not enough memory");
    }
    budget_begin_call(t->budget);
    source_start(f->call, &f->sink);
    return op_wait(L, &f->op, "fetch");
}

/* -- As a stream --------------------------------------------------------------------------- */

struct head_op {
    struct op        op;
    struct response *r;
};

static void head_free(struct head_op *h) {
    response_on_ready(h->r, NULL, NULL);
    response_put(h->r);
    mem_free(h);
}

static void head_cancel(struct op *op) { head_free(container_of(op, struct head_op, op)); }

static int head_push(lua_State *L, struct op *op) {
    struct head_op *h = container_of(op, struct head_op, op);
    const struct failure *failed = response_failure(h->r);
    if (failed != NULL) {
        lua_pushnil(L);
        lib_push_failure(L, failed);
        head_free(h);
        return 2;
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, h->r->status);
    lua_setfield(L, -2, "status");
    push_headers(L, buf_get(&h->r->upstream_headers));
    lua_setfield(L, -2, "headers");
    response_push(L, h->r);
    lua_setfield(L, -2, "answer");
    head_free(h);
    return 1;
}

static void head_ready(void *ud) { op_done(&((struct head_op *)ud)->op); }

static int stream(lua_State *L, struct task *t, struct slice url, const struct reach *reach, struct call_options *opt) {
    struct state *s = t->state;
    uint64_t pause = opt->timeouts.total_ms;
    opt->timeouts = (struct target_timeouts){ .connect_ms = pause, .headers_ms = pause, .idle_ms = pause };
    opt->whole = false;
    opt->stream = true;
    struct head_op *h = mem_zalloc(sizeof(*h));
    struct response *r = h ? response_new(&(struct response_options){ .loop = s->loop, .upstream = "",
        .among = &t->request->responses, .limit = s->limits.max_answer, .high_water = s->limits.high_water }) : NULL;
    struct source *source = r ? fetch_stream_new(s->services.client, url, reach, &s->fetches, opt) : NULL;
    blob_put(opt->body);
    if (source == NULL) {
        response_put(r);
        mem_free(h);
        return luaL_error(L, "not enough memory");
    }
    budget_begin_call(t->budget);
    h->op = (struct op){ .task = t, .cancel = head_cancel, .push = head_push };
    h->r = r;
    response_start(r, source);
    response_on_ready(r, head_ready, h);
    return op_wait(L, &h->op, "fetch");
}

/* core.fetch(url, {method=, headers=, body=, timeout=, public_only=, stream=}) -> {status, body, headers} | nil, err;
 * with stream: {status, headers, answer = response} */
int l_fetch(lua_State *L) {
    static const struct reach public_addresses;
    size_t url_len;
    const char *url = luaL_checklstring(L, 1, &url_len);
    luaL_argcheck(L, strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0, 1,
                  "must begin with http:// or https://");
    luaL_argcheck(L, strlen(url) == url_len, 1, "must not hold a NUL byte");
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    op_check(L);
    struct task *t = state_of(L)->running;
    if (t->state->services.client == NULL) return luaL_error(L, "fetch is not available here");
    struct call_field fields[64];
    unsigned field_count = read_headers(L, fields, 64);
    struct slice body = opt_string(L, "body", NULL);
    struct slice method = opt_string(L, "method", body.ptr ? "POST" : "GET");
    if (!lib_is_token(method)) return luaL_error(L, "fetch: '%s' is not a method", method.ptr);
    uint64_t timeout = lib_opt_ms(L, 2, "timeout");
    if (timeout == 0) timeout = FETCH_MS;
    const struct reach *reach = opt_flag(L, "public_only") ? &public_addresses : NULL;
    bool streams = opt_flag(L, "stream");
    if (streams && t->request == NULL)
        return luaL_error(L, "fetch: there is no request here that a stream could end with; without `stream` it works");
    if (is_full(t->state)) return refuse(L, "as many fetches of this worker are under way as may be (limits.fetches)");
    const char *refused = budget_refuses_call(t->state, t->budget);
    if (refused != NULL) return refuse(L, refused);
    struct blob *bytes = body.ptr ? blob_copy(body) : NULL;
    if (body.ptr && bytes == NULL) return luaL_error(L, "not enough memory");
    struct call_options opt = { .method = method, .path = SLICE(""), .body = bytes, .headers = fields,
                                .header_count = field_count, .whole = true, .verbatim = true,
                                .timeouts = { .total_ms = timeout }, .over = budget_end_call, .over_ud = t->budget };
    if (t->request) opt.deadline_ms = t->request->deadline_ms;
    return (streams ? stream : whole)(L, t, slice_of(url, url_len), reach, &opt);
}
