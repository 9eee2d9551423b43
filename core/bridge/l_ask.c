/* l_ask.c -- core.ask: a request that a policy makes, and its answer.
 *
 *     task of who asks --op--> [ asked ] --task--> policies of a route, or a call --> response (the child's)
 *                                  |                                                     |
 *     response of who asks <--source-- events, as they come <---------- sink ------------+
 *
 * The child is a request of its own (request/spent.h): it has an id, responses, limits and functions of finally.  It
 * runs in a task of its own, which has the account of who asks: CPU time, memory and calls are of one budget.  What
 * comes out of it is a response of who asks, which hands on what the child's response gives.
 *
 *     WAITING ---response---> ANSWERING ---END, ERROR, dropped---> OVER
 *        +------- failed, late, who asked is gone --------------------^
 *
 * The child is over when its answer is, when nobody wants that any more, or when its parent is over: whatever comes
 * first (finish(), once).  It runs functions of policies, so it never runs inside of Lua or of an event: it is put off
 * to the end of the turn, unless the parent is being added up at that moment (spent_stop_all()).
 *
 * Two hold an asked: who finishes the child, and who hangs on it as an op or a source.  The last one frees it. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/latch.h"
#include "bridge/lib.h"
#include "bridge/policy.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "request/spans.h"
#include "request/spent.h"

enum asked_state { ASKED_WAITING, ASKED_ANSWERING, ASKED_OVER };

struct asked {
    struct op        op;     /* WAITING: what who asks waits for */
    struct source    source; /* ANSWERING: of the response that who asks has */
    struct sink      sink;   /* of the child's response */
    struct sink     *to;
    struct ask       ask;    /* among those of the parent */
    struct deferred  over;
    struct timer     late;
    enum asked_state state;
    struct state    *s;      /* a share */
    struct request  *req;    /* a share; NULL: finished */
    struct task     *task;   /* while policies run */
    struct response *res;    /* of the child: a share; NULL: none yet, or finished */
    struct policy_chain chain;
    struct failure   failure;
    struct latch    *begun;  /* set when the answer begins, or will not: a share, or NULL */
    uint64_t         start_us;
    char             upstream[64]; /* for /admin/tasks */
    bool             ended;  /* the answer came to its end, well or with the failure */
    bool             held;   /* somebody hangs on it: an op, or a response with the source */
    bool             in_event;
};

static void asked_free(struct asked *a) {
    if (a->req != NULL || a->held || a->in_event) return;
    struct state *s = a->s;
    timer_stop(s->loop, &a->late);
    deferred_cancel(&a->over);
    state_ref_drop(s, a->chain.ref);
    latch_put(a->begun);
    failure_deinit(&a->failure);
    mem_free(a);
    state_put_soon(s);
}

/* -- The end of the child ---------------------------------------------------------------- */

static void outcome_of(const struct asked *a, struct outcome *o) {
    bool failed = failure_is_set(&a->failure);
    *o = (struct outcome){ .ok = a->ended && !failed, .total_us = loop_hrtime_us() - a->start_us };
    o->overloaded = failed && failure_is_overload(&a->failure);
    slice_copy(o->code, sizeof(o->code), slice_str(failed ? a->failure.code : a->ended ? "" : "canceled"));
    if (a->res == NULL) return;
    if (a->res->first_us > a->start_us) o->ttft_us = a->res->first_us - a->start_us;
    o->cache = response_cache_name(response_cache_of(a->res));
    response_usage(a->res, o);
}

/* Once.  As exchange.c has it. */
static void finish(struct asked *a) {
    struct request *req = a->req;
    struct response *res = a->res;
    struct services *v = &a->s->services;
    struct outcome o;
    if (req == NULL) return;
    latch_set(a->begun);
    list_remove(&a->ask.link);
    timer_stop(a->s->loop, &a->late);
    deferred_cancel(&a->over);
    if (a->task != NULL) task_cancel(a->task);
    a->task = NULL;
    spent_stop_all(req);
    if (res != NULL) response_leave(res);
    outcome_of(a, &o);
    if (res != NULL) response_finish(res, &o);
    if (v->ask_ends != NULL)
        v->ask_ends(v, &(struct ask_report){ .request = req, .response = res, .outcome = &o, .start_us = a->start_us,
                                             .failure = failure_is_set(&a->failure) ? &a->failure : NULL });
    spent_note(req, res, &o);
    cleanup_run(req, &o);
    request_finish(req, res, &o);
    a->req = NULL;
    a->res = NULL;
    response_put(res);
    request_end(req);
    req->parent = NULL; /* its handle may live on */
    request_put(req);
}

static void on_over(struct deferred *d) {
    struct asked *a = container_of(d, struct asked, over);
    finish(a);
    asked_free(a);
}

static void finish_soon(struct asked *a) {
    if (a->req != NULL) loop_soon(a->s->loop, &a->over, on_over);
}

/* The parent is over.  Who hangs on it will hear of that by itself. */
static void stop(struct ask *ask) {
    struct asked *a = container_of(ask, struct asked, ask);
    finish(a);
    asked_free(a);
}

/* -- Answering ----------------------------------------------------------------------------- */

/* What it used is in the child's account. */
static void mark_elsewhere(struct usage *u) {
    u->elsewhere.prompt = u->prompt;
    u->elsewhere.completion = u->completion;
    u->elsewhere.cached = u->cached;
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct asked *a = container_of(k, struct asked, sink);
    bool outer = a->in_event, last = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    enum flow flow = FLOW_MORE;
    struct event out = *ev;
    struct usage u = { .known = false };
    if (a->state == ASKED_OVER) return FLOW_MORE;
    if (ev->usage != NULL) u = *ev->usage;
    else if (last && a->res != NULL) u = response_said(a->res); /* it may have come before who asked did */
    mark_elsewhere(&u);
    out.usage = u.known ? &u : NULL;
    if (ev->type == EVENT_HEAD && ev->upstream.len == 0 && a->res != NULL) {
        out.upstream = slice_str(a->res->upstream);
        out.pass = a->res->pass;
    }
    if (ev->type == EVENT_END && a->res != NULL) out.usage_said = buf_get(&a->res->usage_said);
    a->in_event = true;
    if (last) {
        a->state = ASKED_OVER;
        a->ended = true;
        if (ev->type == EVENT_ERROR) failure_copy(&a->failure, ev->failure);
        a->held = false; /* a source frees itself */
        finish_soon(a);
    }
    flow = a->to->event(a->to, &out);
    a->in_event = outer;
    asked_free(a);
    return flow;
}

/* From inside of the task that asked: what is held comes at once, to a response that holds it. */
static void source_begin(struct source *s, struct sink *to) {
    struct asked *a = container_of(s, struct asked, source);
    a->to = to;
    a->in_event = true;
    response_pin(a->res);
    response_deliver(a->res, &a->sink);
    a->in_event = false;
    asked_free(a);
}

static void resume(struct source *s) {
    struct asked *a = container_of(s, struct asked, source);
    if (a->res != NULL) response_resume(a->res);
}

/* Maybe from a finalizer. */
static void cancel_source(struct source *s) {
    struct asked *a = container_of(s, struct asked, source);
    a->state = ASKED_OVER;
    a->held = false;
    if (a->res != NULL) response_leave(a->res);
    finish_soon(a);
    asked_free(a);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    const struct asked *a = container_of((struct source *)(uintptr_t)s, struct asked, source);
    bool alive = a->res != NULL && a->res->source != NULL;
    return alive ? source_describe(a->res->source, buf, size) : "what a policy asked";
}

static const struct source_ops source_ops = { source_begin, resume, cancel_source, NULL, describe, NULL, NULL };

/* -- Waiting ---------------------------------------------------------------------------------- */

static void on_done(void *owner, const struct policy_result *result) {
    struct asked *a = owner;
    task_free(a->task);
    a->task = NULL;
    timer_stop(a->s->loop, &a->late);
    if (a->req == NULL || a->state != ASKED_WAITING) { /* who asked is gone */
        response_put(result->response);
        return;
    }
    const struct failure *f = result->failure;
    a->res = result->response;
    latch_set(a->begun);
    if (a->res != NULL) f = response_failure(a->res);
    if (f != NULL) {
        failure_copy(&a->failure, f);
        a->ended = true;
    }
    op_done(&a->op); /* may free a */
}

static void on_late(struct timer *t) {
    struct asked *a = container_of(t, struct asked, late);
    if (a->state != ASKED_WAITING || a->task == NULL) return;
    failure_set(&a->failure, FAILURE_TIMEOUT, "what a policy asked took longer than it may");
    failure_explain(&a->failure, "perilune.ask: timeout");
    latch_set(a->begun);
    a->ended = true;
    task_cancel(a->task);
    a->task = NULL;
    op_done(&a->op); /* may free a */
}

static int push_failure(lua_State *L, struct asked *a) {
    lua_pushnil(L);
    lib_push_failure(L, &a->failure);
    lua_pushstring(L, a->res ? a->res->upstream : a->failure.upstream);
    lua_setfield(L, -2, "upstream");
    a->state = ASKED_OVER;
    a->held = false;
    finish_soon(a);
    asked_free(a);
    return 2;
}

/* The response of who asks. */
static int push(lua_State *L, struct op *op) {
    struct asked *a = container_of(op, struct asked, op);
    if (a->req == NULL || failure_is_set(&a->failure)) return push_failure(L, a);
    struct request *parent = a->req->parent;
    struct response *outer = response_make_outer(L, a->res, parent ? &parent->responses : NULL);
    outer->accounted = true;
    outer->own_status = a->res->own_status;
    a->state = ASKED_ANSWERING;
    response_start(outer, &a->source);
    return 1;
}

static void cancel_op(struct op *op) {
    struct asked *a = container_of(op, struct asked, op);
    a->state = ASKED_OVER;
    a->held = false;
    if (a->task != NULL) task_cancel(a->task);
    a->task = NULL;
    finish_soon(a);
    asked_free(a);
}

/* -- Asking --------------------------------------------------------------------------------------- */

/* Takes a share of req, and the function at `fn`. [0, 0, e] */
static struct asked *make(lua_State *L, struct request *req, struct request *parent, int fn) {
    struct state *s = state_of(L);
    lua_pushvalue(L, fn);
    int ref = state_ref_new(L);
    struct asked *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        state_ref_drop(s, ref);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    *a = (struct asked){ .op = { .task = s->running, .cancel = cancel_op, .push = push, .what = a->upstream },
                         .source = { &source_ops }, .sink = { on_event }, .ask = { .stop = stop }, .held = true,
                         .s = state_ref(s), .req = request_ref(req), .chain = { .ref = ref },
                         .start_us = loop_hrtime_us() };
    list_init(&a->ask.link);
    failure_init(&a->failure);
    if (parent != NULL) list_append(&parent->asks, &a->ask.link);
    return a;
}

/* The child's task, with the account of who asks.  False: no memory. */
static bool begin(struct asked *a, uint64_t timeout_ms) {
    struct task *asker = a->op.task;
    if (a->s->services.ask_begins != NULL) a->s->services.ask_begins(&a->s->services); /* finish() ends it */
    a->chain.trusted = asker->budget->trusted;
    a->task = policy_start(a->s, &a->chain, a->req, on_done, a);
    if (a->task == NULL) return false;
    budget_put(a->task->budget);
    a->task->budget = budget_ref(asker->budget);
    if (timeout_ms > 0 && timer_start(a->s->loop, &a->late, timeout_ms, on_late) != 0) return false;
    task_start_soon(a->task);
    return true;
}

static int refuse(lua_State *L, struct failure *f) {
    lua_pushnil(L);
    lib_push_failure(L, f);
    failure_deinit(f);
    return 2;
}

/* core.served() -> whether a stream is asked for, the tenant, the model | nil: of the request that the running task
 * serves */
int l_served(lua_State *L) {
    const struct task *t = state_of(L)->running;
    const struct request *r = t != NULL ? t->request : NULL;
    const struct body *b = r != NULL && r->body != NULL && !body_is_cleared(r->body) ? r->body : NULL;
    lua_pushboolean(L, b != NULL && b->chat.stream);
    lua_pushstring(L, r != NULL ? r->tenant : "");
    if (b == NULL || b->chat.model == JSON_NONE) return 2;
    struct buf *out = lib_output(L);
    json_decode_string(&b->doc, b->chat.model, out);
    lib_check_buf(L, out);
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 3;
}

/* core.span(name, state, at, seconds): a step of what is done for the request that the running task serves */
int l_span(lua_State *L) {
    const struct task *t = state_of(L)->running;
    struct slice name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    const char *state = luaL_checkstring(L, 2);
    double at = luaL_checknumber(L, 3), seconds = luaL_checknumber(L, 4);
    luaL_argcheck(L, at >= 0 && at < 1e9, 3, "a number of seconds");
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 4, "a number of seconds");
    if (t != NULL && t->request != NULL && t->request->live)
        spans_add(t->request, name, state, (uint64_t)(at * 1e6), (uint64_t)(seconds * 1e6));
    return 0;
}

/* core.ask(child, fn, seconds | nil, route | nil, label | nil, latch | nil) -> res | nil, err, waits.  child: of
 * core.new_request(), begun by nobody; fn() asks and returns what a policy does; route: the number of the one that it
 * goes through, from 1, with a label for where there is no configuration; latch: is set when the answer has begun, or
 * will not begin. */
int l_ask(lua_State *L) {
    lua_settop(L, 6);
    struct request *req = request_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    double seconds = luaL_optnumber(L, 3, 0), index = luaL_optnumber(L, 4, 0);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 3, "a number of seconds");
    luaL_argcheck(L, index >= 0 && index < 1e6, 4, "the number of a route");
    const char *label = luaL_optstring(L, 5, "");
    latch_put(latch_take(L, 6)); /* raises here, where nothing is held */
    op_check(L);
    struct state *s = state_of(L);
    struct request *parent = s->running->request;
    struct ask_route route = { label, label, "" };
    struct failure f;
    failure_init(&f);
    if (parent != NULL && !parent->live) return luaL_error(L, "request is finished");
    if (req->parent != NULL || req == parent) return luaL_error(L, "core.ask: this request was asked before");
    if (index > 0 && s->services.route_at != NULL) s->services.route_at(&s->services, (unsigned)index - 1, &route);
    if (spent_adopt(req, parent, index > 0 ? &route : NULL, &f) != 0) return refuse(L, &f);
    struct asked *a = make(L, req, parent, 2);
    a->begun = latch_take(L, 6);
    if (begin(a, (uint64_t)ceil(seconds * 1000))) return op_wait(L, &a->op, "an answer");
    cancel_op(&a->op);
    return luaL_error(L, "not enough memory");
}
