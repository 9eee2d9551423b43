/* l_serve.c -- core.serve: who asks, when a spec sends a request.
 *
 *     core.serve(req, chain, leave) --> policy_start --> response --> this sink --> a table for Lua
 *
 * The gateway's exchange without routes, counters and HTTP: the policy is started as the gateway starts
 * it, and its response is delivered as the gateway delivers it.  So what a spec sees of an answer is what
 * a client gets: which failure comes in place of the answer and which inside of it, what map and tap make
 * of it, what is left when a policy has read it before.  What the HTTP side adds is small and the same
 * here: an answer that is no stream is committed by its bytes, a stream by its head; some statuses
 * have no body.
 *
 * Time is the loop's, virtual in specs.  The request is over when the answer is, or when the client
 * leaves; then functions of finally run, and only then the spec goes on. */
#include "base/err_body.h"
#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/policy.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "http/field.h"
#include "llm/dialect.h"
#include "request/spans.h"
#include "request/spent.h"

struct serve {
    struct op           op;
    struct sink         sink;
    struct request     *req;   /* a share, until it is over; NULL then */
    struct policy_chain chain;
    struct task        *task;  /* while policies run */
    struct response    *res;   /* a share, until it is over */
    struct loop        *loop;
    struct timer        leave;
    struct deferred     over;
    struct event_reader reader;
    struct buf          events; /* data of all events, or the bytes of a whole answer */
    struct buf          ends;   /* size_t: where each event ends in there */
    struct buf          text;   /* of the first choice */
    struct buf          lines;  /* headers that policies or a failure set */
    struct failure      failure;
    uint64_t            began_ms, first_ms, ended_ms;
    int64_t             saved_tokens, saved_nano;
    int                 status;
    bool                frames, committed, came, left;
    struct usage        usage;
    const char         *cache;   /* as x-cache says; NULL or "": no cache was asked */
    char                upstream[64];
};

static void serve_free(struct serve *v) {
    struct state *s = v->op.task->state;
    timer_stop(v->loop, &v->leave);
    deferred_cancel(&v->over);
    state_ref_drop(s, v->chain.ref);
    event_reader_deinit(&v->reader);
    buf_deinit(&v->events);
    buf_deinit(&v->ends);
    buf_deinit(&v->text);
    buf_deinit(&v->lines);
    failure_deinit(&v->failure);
    mem_free(v);
}

/* -- The end ---------------------------------------------------------------------------- */

static bool has_failed(const struct serve *v) { return failure_is_set(&v->failure); }

static void note_headers(struct serve *v, const struct request *req) {
    spans_header(req, &v->lines);
    if (v->res != NULL && (v->committed || !has_failed(v))) {
        response_put_headers(v->res, &v->lines);
        return;
    }
    if (v->failure.retry_after_ms > 0)
        buf_printf(&v->lines, "retry-after: %u\r\n", (v->failure.retry_after_ms + 999) / 1000);
    if (failure_is_not_repeated(&v->failure))
        http_field_put_unless(&v->lines, buf_get(&v->failure.headers), SLICE("x-should-retry"), SLICE("false"));
    buf_slice(&v->lines, buf_get(&v->failure.headers));
}

/* As exchange.c has it: nobody works for this request any more. */
static void finish(struct serve *v) {
    struct request *req = v->req;
    v->req = NULL;
    v->ended_ms = loop_now(v->loop);
    timer_stop(v->loop, &v->leave);
    if (v->task != NULL) task_cancel(v->task);
    v->task = NULL;
    spent_stop_all(req);
    note_headers(v, req);
    savings_total(req->saved, &v->saved_tokens, &v->saved_nano);
    struct outcome o = { .ok = !v->left && !has_failed(v), .total_us = (v->ended_ms - v->began_ms) * 1000,
                         .overloaded = !v->left && failure_is_overload(&v->failure) };
    if (v->came) o.ttft_us = (v->first_ms - v->began_ms) * 1000;
    slice_copy(o.code, sizeof(o.code), slice_str(v->left ? "canceled" : has_failed(v) ? v->failure.code : ""));
    if (v->res != NULL) {
        slice_copy(v->upstream, sizeof(v->upstream), slice_str(v->res->upstream));
        response_leave(v->res); /* exchange.c account() */
        o.cache = response_cache_name(response_cache_of(v->res));
        response_usage(v->res, &o);
        v->usage = o.usage;
        v->cache = o.cache;
        response_finish(v->res, &o);
    }
    struct response *res = v->res;
    v->res = NULL;
    cleanup_run(req, &o);
    request_finish(req, res, &o);
    if (res != NULL) response_put(res);
    request_end(req);
    request_put(req);
}

static void on_over(struct deferred *d) {
    struct serve *v = container_of(d, struct serve, over);
    finish(v);
    op_done(&v->op); /* may free v */
}

static void end(struct serve *v) { loop_soon(v->loop, &v->over, on_over); }

static void fail(struct serve *v, const struct failure *f) {
    failure_copy(&v->failure, f);
    end(v);
}

static void on_leave(struct timer *t) {
    struct serve *v = container_of(t, struct serve, leave);
    if (deferred_is_waiting(&v->over)) return; /* it has all of the answer */
    v->left = true;
    end(v);
}

/* -- The answer ---------------------------------------------------------------------------- */

static void take(struct serve *v, const struct event *ev) {
    bool frame = ev->type == EVENT_FRAME;
    if (!v->came) v->first_ms = loop_now(v->loop);
    v->came = v->committed = true;
    buf_slice(&v->events, frame ? ev->data : ev->raw);
    size_t at = buf_len(&v->events);
    if (frame) buf_put(&v->ends, &at, sizeof(at));
    event_reader_text(&v->reader, v->res->dialect, ev, 0, &v->text);
}

/* The last event of a stream that failed, as the gateway writes it. */
static void take_error(struct serve *v) {
    if (v->res->dialect != NULL) v->res->dialect->write_error(&v->events, &v->failure);
    else failure_write_event_json(&v->events, &v->failure, 0);
    size_t at = buf_len(&v->events);
    buf_put(&v->ends, &at, sizeof(at));
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct serve *v = container_of(k, struct serve, sink);
    if (v->left) return FLOW_MORE;
    switch (ev->type) {
    case EVENT_HEAD:
        v->status = ev->status;
        v->frames = slice_starts(ev->content_type, SLICE("text/event-stream"));
        v->committed = v->frames || v->res->dialect == NULL;
        break;
    case EVENT_FRAME:
    case EVENT_BYTES: take(v, ev); break;
    case EVENT_END: end(v); break;
    case EVENT_ERROR:
        fail(v, ev->failure);
        if (v->committed && v->frames) take_error(v);
        break;
    }
    return FLOW_MORE;
}

static void on_policy_done(void *owner, const struct policy_result *result) {
    struct serve *v = owner;
    struct task *t = v->task;
    v->task = NULL;
    task_free(t);
    const struct failure *f = result->failure;
    v->res = result->response;
    if (v->left) return;
    if (v->res != NULL) f = response_failure(v->res);
    if (f != NULL) {
        fail(v, f);
        return;
    }
    response_pin(v->res);
    response_deliver(v->res, &v->sink);
}

/* -- For Lua ------------------------------------------------------------------------------- */

static void set_slice(lua_State *L, const char *key, struct slice s) {
    lua_pushlstring(L, s.ptr ? s.ptr : "", s.len);
    lua_setfield(L, -2, key);
}

static void set_seconds(lua_State *L, const char *key, uint64_t ms) {
    lua_pushnumber(L, (lua_Number)ms / 1000);
    lua_setfield(L, -2, key);
}

static void set_events(lua_State *L, const struct serve *v) {
    struct slice ends = buf_get(&v->ends);
    size_t from = 0, to;
    lua_newtable(L);
    for (int i = 0; (size_t)i < ends.len / sizeof(to); i++) {
        memcpy(&to, ends.ptr + (size_t)i * sizeof(to), sizeof(to));
        lua_pushlstring(L, buf_get(&v->events).ptr + from, to - from);
        lua_rawseti(L, -2, i + 1);
        from = to;
    }
    lua_setfield(L, -2, "events");
}

static void set_saved(lua_State *L, const struct serve *v) {
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, (lua_Number)v->saved_tokens);
    lua_setfield(L, -2, "tokens");
    lua_pushnumber(L, (lua_Number)v->saved_nano / 1e9);
    lua_setfield(L, -2, "cost");
    lua_setfield(L, -2, "saved");
}

static int status_of(const struct serve *v) {
    return v->left ? 499 : has_failed(v) && !v->committed ? v->failure.status : v->status;
}

/* What came as a body: of an error that stands in place of an answer, or of an answer that is no stream. */
static void set_body(lua_State *L, struct serve *v) {
    if (has_failed(v) && !v->committed) {
        err_body_write(&v->failure, &v->events);
        lib_check_buf(L, &v->events);
    } else if (v->frames || !v->came) {
        return;
    }
    set_slice(L, "body", buf_get(&v->events));
}

static int push(lua_State *L, struct op *op) {
    struct serve *v = container_of(op, struct serve, op);
    int status = status_of(v);
    lib_check_buf(L, &v->events);
    lib_check_buf(L, &v->ends);
    lib_check_buf(L, &v->text);
    lib_check_buf(L, &v->lines);
    lua_newtable(L);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, !v->left && !has_failed(v));
    lua_setfield(L, -2, "done");
    set_slice(L, "lines", buf_get(&v->lines));
    if (http_status_is_bodiless(status)) buf_clear(&v->text);
    set_slice(L, "text", buf_get(&v->text));
    if (!http_status_is_bodiless(status)) set_body(L, v);
    else buf_clear(&v->ends);
    set_events(L, v);
    set_saved(L, v);
    if (v->upstream[0]) set_slice(L, "upstream", slice_str(v->upstream));
    if (v->cache != NULL && v->cache[0] != '\0') set_slice(L, "cache", slice_str(v->cache));
    if (v->usage.known) {
        lib_push_usage(L, &v->usage);
        lua_setfield(L, -2, "usage");
    }
    if (v->came) set_seconds(L, "ttft", v->first_ms - v->began_ms);
    set_seconds(L, "total", v->ended_ms - v->began_ms);
    if (has_failed(v)) {
        lib_push_failure(L, &v->failure);
        lua_setfield(L, -2, "error");
    }
    serve_free(v);
    return 1;
}

/* Who sent the request is gone. */
static void cancel(struct op *op) {
    struct serve *v = container_of(op, struct serve, op);
    v->left = true;
    if (v->req != NULL) finish(v);
    serve_free(v);
}

static struct serve *make(lua_State *L, struct request *req) {
    struct state *s = state_of(L);
    lua_pushvalue(L, 2);
    int ref = state_ref_new(L);
    struct serve *v = mem_zalloc(sizeof(*v));
    if (v == NULL) {
        state_ref_drop(s, ref);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    v->op = (struct op){ .task = s->running, .cancel = cancel, .push = push };
    v->sink.event = on_event;
    v->chain.ref = ref;
    v->loop = s->loop;
    v->status = 200;
    v->began_ms = loop_now(s->loop);
    buf_init(&v->events, 0);
    buf_init(&v->ends, 0);
    buf_init(&v->text, 0);
    buf_init(&v->lines, 0);
    failure_init(&v->failure);
    v->task = policy_start(s, &v->chain, req, on_policy_done, v);
    if (v->task == NULL) {
        serve_free(v);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    v->req = req;
    req->refs++;
    return v;
}

/* core.serve(req, chain, leave | nil) -> { status, done, text, lines, events, saved, total, body?, error?,
 * upstream?, ttft?, usage?, cache? }, waits.  chain() is the policy with its arguments; leave: seconds until the
 * client leaves. */
int l_serve(lua_State *L) {
    lua_settop(L, 3);
    struct request *req = request_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    double leave = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, leave >= 0 && leave < 1e9, 3, "must be a number of seconds");
    op_check(L);
    struct serve *v = make(L, req);
    uint64_t ms = (uint64_t)(leave * 1000 + 0.5);
    if (!lua_isnil(L, 3) && timer_start(v->loop, &v->leave, ms, on_leave) != 0) {
        cancel(&v->op);
        return luaL_error(L, "not enough memory");
    }
    task_start_soon(v->task);
    return op_wait(L, &v->op, "reply");
}
