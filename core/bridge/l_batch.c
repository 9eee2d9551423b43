/* l_batch.c -- core.batch(options, run), core.batch_submit(b, value, how): items of requests that are run together.
 *
 *     task --op--> [ waiting | item ] --+
 *     task --op--> [ waiting | item ] --+--> sched/batch.c --> [ run ] --> a task of its own: run(list)
 *     task --op--> [ waiting | item ] --+                        timer        |
 *           <-------------- op_done, each with its result or failure ---------+
 *
 * Who submits waits; its item holds the value in the registry.  A run is a task that belongs to no request: it has
 * an account of its own, trusted when the first that waits for it is, and ends when it returns, when its time is
 * over, or when all who waited have left.  It is stopped from the loop only, never from below its own code.
 *
 * What comes back is checked before anybody is told: a list that is shorter or longer than what was given may be
 * shifted, and would give one client what belongs to another; so then all of them fail.
 *
 *     results[i]                 what item i gets
 *     errors[i] (results[i] nil) its own failure
 *     nil, err                   the failure of all
 *
 * Submitting counts among the calls of its request (limits.calls), what the run calls among the run's own.
 *
 * Everything is of one state: a generation that is replaced runs what it has queued, because who waits keeps it. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/task.h"
#include "bridge/value.h"
#include "request/request.h"
#include "sched/batch.h"

#define TYPE "perilune.batch"

struct lua_batch {
    struct batcher *queue;      /* NULL: nobody has submitted anything */
    struct batcher_options options;
    struct state   *state;
    int             run_ref, copy_ref; /* what runs a list, and what copies a result */
    uint64_t        timeout_ms; /* of a run */
    bool            across;     /* tenants */
    char            name[65];   /* for /admin/tasks */
};

/* A batch under way. */
struct run {
    struct batch     *batch; /* NULL: nobody waits any more */
    struct lua_batch *owner;
    struct task      *task;
    struct request   *asks;  /* a share: what it asks for all of them, and what hangs on that, ends with the run */
    struct timer      timer;
    struct deferred   end;
};

struct waiting {
    struct op         op;
    struct batch_item item;
    struct lua_batch *owner;
    struct failure    failure;
    unsigned          index;      /* in the list of its run, from 1 */
    int               value, result; /* references; 0: none */
    bool              joined;     /* its result is another's, too */
};

static struct waiting *waiting_of(struct batch_item *item) { return container_of(item, struct waiting, item); }

static void waiting_free(struct waiting *w) {
    struct state *s = w->op.task->state;
    batch_leave(w->owner->queue, &w->item);
    budget_end_call(w->op.task->budget);
    if (w->value != 0) state_ref_drop(s, w->value);
    if (w->result != 0) state_ref_drop(s, w->result);
    failure_deinit(&w->failure);
    mem_free(w);
}

static void cancel(struct op *op) { waiting_free(container_of(op, struct waiting, op)); }

static int push(lua_State *L, struct op *op) {
    struct waiting *w = container_of(op, struct waiting, op);
    int n = 1;
    if (w->result != 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, w->result);
    } else {
        lua_pushnil(L);
        lib_push_failure(L, &w->failure);
        n = 2;
    }
    waiting_free(w);
    return n;
}

static void refused(struct batch_item *item, enum batch_refusal why, void *ud) {
    (void)ud;
    struct waiting *w = waiting_of(item);
    if (why == BATCH_LATE) failure_set(&w->failure, FAILURE_TIMEOUT, "there was no time left for a batch");
    else failure_set(&w->failure, FAILURE_NO_MEMORY, "out of memory");
    op_done(&w->op); /* may free w */
}

/* -- The end of a run ----------------------------------------------------------------------------- */

/* All that wait for b: with what they have, or with f.  Any of them may end others'. */
static void tell_all(struct lua_batch *o, struct batch *b, const struct failure *f) {
    struct batch_item *item;
    while ((item = batch_take(o->queue, b)) != NULL) {
        struct waiting *w = waiting_of(item);
        if (w->result == 0 && !failure_is_set(&w->failure)) failure_copy(&w->failure, f);
        op_done(&w->op); /* may free w */
    }
}

/* Nobody but the run waits for this request, so it is over with it: policies behind have hung slots and reservations
 * on it.  canceled: the run did not get to its end. */
static void end_asked(struct run *r, bool canceled) {
    struct request *q = r->asks;
    r->asks = NULL;
    if (q == NULL) return;
    struct outcome o = { .ok = false };
    struct response *res = NULL;
    struct list *last = q->responses.prev;
    if (q->live && last != &q->responses) res = response_ref(container_of(last, struct response, link));
    const struct failure *f = !canceled && res != NULL ? response_failure(res) : NULL;
    o.ok = !canceled && res != NULL && f == NULL;
    slice_copy(o.code, sizeof(o.code), slice_str(o.ok ? "" : f != NULL ? f->code : "canceled"));
    if (res != NULL) {
        response_usage(res, &o);
        o.cache = response_cache_name(response_cache_of(res));
    }
    cleanup_run(q, &o);
    request_finish(q, res, &o);
    response_put(res);
    if (q->live) request_end(q);
    request_put(q);
}

static void run_free(struct run *r) {
    timer_stop(r->owner->state->loop, &r->timer);
    deferred_cancel(&r->end);
    mem_free(r);
}

struct settling {
    struct run     *run;
    struct failure *f; /* of all */
};

/* Is there a result or an error for each?  [0, 0, e] */
static bool is_complete(lua_State *L, unsigned n, unsigned *got) {
    for (*got = 0; *got < n; (*got)++) {
        lua_rawgeti(L, 1, (int)*got + 1);
        if (lua_isnil(L, -1) && lua_istable(L, 2)) lua_rawgeti(L, 2, (int)*got + 1);
        bool none = lua_isnil(L, -1);
        lua_settop(L, 2);
        if (none) return false;
    }
    lua_rawgeti(L, 1, (int)n + 1);
    bool more = !lua_isnil(L, -1);
    lua_settop(L, 2);
    if (more) *got = (unsigned)lua_objlen(L, 1);
    return !more;
}

/* The table on the top in a copy of w's own: nobody shall see what another writes into its result. [0, 0, e] */
static bool copy_result(lua_State *L, struct waiting *w) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->owner->copy_ref);
    lua_insert(L, -2);
    lua_call(L, 1, 2);
    if (!lua_isnil(L, -1)) {
        failure_set(&w->failure, FAILURE_POLICY,
                    "a result of batch '%s' has more than %d values, which is too large for share = true",
                    w->owner->name, (int)lua_tointeger(L, -1));
        lua_settop(L, 2);
        return false;
    }
    lua_pop(L, 1);
    return true;
}

static void settle_one(lua_State *L, struct waiting *w) {
    lua_rawgeti(L, 1, (int)w->index);
    if (!lua_isnil(L, -1)) {
        if (w->joined && lua_istable(L, -1) && !copy_result(L, w)) return;
        w->result = state_ref_new(L);
        return;
    }
    lua_rawgeti(L, 2, (int)w->index);
    lib_to_failure(L, lua_gettop(L), &w->failure);
    lua_settop(L, 2);
}

/* What run() returned, for those who wait.  It may raise: memory. */
static int settle(lua_State *L, void *ud) {
    struct settling *s = ud;
    struct batch *b = s->run->batch;
    lua_State *co = s->run->task->co;
    unsigned got;
    lua_settop(co, 2);
    luaL_checkstack(L, 6, NULL);
    lua_xmove(co, L, 2);
    if (lua_isnil(L, 1) && !lua_isnil(L, 2)) {
        lib_to_failure(L, 2, s->f);
    } else if (!lua_istable(L, 1)) {
        failure_set(s->f, FAILURE_POLICY, "run returned a %s; it returns a list of results, and maybe one of errors, "
                                          "or nil and an error", luaL_typename(L, 1));
    } else if (!is_complete(L, b->count, &got)) {
        failure_set(s->f, FAILURE_POLICY, "run returned %u results for %u items; it returns one for each, or an error "
                                          "in the second list", got, b->count);
    } else {
        for (struct list *l = b->items.next; l != &b->items; l = l->next)
            settle_one(L, waiting_of(container_of(l, struct batch_item, link)));
    }
    return 0;
}

static int read_thrown(lua_State *L, void *ud) {
    struct settling *s = ud;
    lua_xmove(s->run->task->co, L, 1);
    lib_to_failure(L, lua_gettop(L), s->f);
    return 0;
}

/* What is thrown with perilune.error{...} is for who waits, anything else for the log. */
static void why_failed(struct run *r, struct settling *s) {
    struct task *t = r->task;
    if (t->budget->killed == NULL && lua_gettop(t->co) > 0 && lua_istable(t->co, -1)) {
        state_call(t->state, read_thrown, s, NULL, 0);
        return;
    }
    const char *text = state_text(t->co, -1);
    log_line(t->state->log, PERILUNE_LOG_ERROR, "%s", text ? text : "the run of a batch failed");
    if (t->budget->killed != NULL) failure_set(s->f, t->budget->kill_kind, "%s", t->budget->killed);
    else failure_set(s->f, FAILURE_POLICY, "the run of a batch failed (see the log)");
}

static void on_done(struct task *t, bool ok) {
    struct run *r = t->owner;
    struct lua_batch *o = r->owner;
    struct batch *b = r->batch;
    struct failure f;
    failure_init(&f);
    struct settling s = { r, &f };
    if (b != NULL && ok) state_call(t->state, settle, &s, NULL, 0);
    else if (b != NULL) why_failed(r, &s);
    if (!failure_is_set(&f)) failure_set(&f, FAILURE_NO_MEMORY, "out of memory"); /* of those who have nothing */
    struct state *state = state_ref(t->state);
    end_asked(r, !ok);
    run_free(r);
    task_free(t);
    if (b != NULL) tell_all(o, b, &f); /* may let go of o, but for our share of the state */
    failure_deinit(&f);
    state_put_soon(state);
}

static void end_task(struct run *r) {
    struct task *t = r->task;
    end_asked(r, true);
    run_free(r);
    task_cancel(t);
}

static void run_late(struct timer *timer) {
    struct run *r = container_of(timer, struct run, timer);
    struct lua_batch *o = r->owner;
    struct batch *b = r->batch;
    struct state *state = state_ref(o->state);
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_TIMEOUT, "a batch took longer than %g seconds", (double)o->timeout_ms / 1000);
    end_task(r);
    if (b != NULL) tell_all(o, b, &f);
    failure_deinit(&f);
    state_put_soon(state);
}

static void run_left(struct deferred *d) { end_task(container_of(d, struct run, end)); }

static void stop(struct batch *b, void *ud) {
    struct lua_batch *o = ud;
    struct run *r = b->ud;
    if (r == NULL) return;
    r->batch = NULL;
    loop_soon(o->state->loop, &r->end, run_left);
}

/* core.batch_asks(req): what the run that is running asks for all of its items. */
int l_batch_asks(lua_State *L) {
    struct request *q = request_check(L, 1);
    struct task *t = state_of(L)->running;
    if (t == NULL || t->done != on_done) return luaL_error(L, "this is no run of a batch");
    struct run *r = t->owner;
    if (r->asks != NULL) return luaL_error(L, "a run of a batch asks once");
    r->asks = request_ref(q);
    return 0;
}

/* -- The beginning ------------------------------------------------------------------------------ */

/* A task for run(list). [0, 0, e] */
static int make_task(lua_State *L, void *ud) {
    struct run *r = ud;
    struct batch *b = r->batch;
    unsigned i = 0;
    luaL_checkstack(L, 6, NULL);
    blame_push_frame(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->owner->run_ref);
    lua_createtable(L, (int)b->count, 0);
    for (struct list *l = b->items.next; l != &b->items; l = l->next) {
        struct waiting *w = waiting_of(container_of(l, struct batch_item, link));
        lua_rawgeti(L, LUA_REGISTRYINDEX, w->value);
        lua_rawseti(L, -2, (int)++i);
        w->index = i;
    }
    r->task = task_new(L, 2);
    return 0;
}

static void run(struct batch *b, void *ud) {
    struct lua_batch *o = ud;
    struct failure f;
    struct run *r = mem_zalloc(sizeof(*r));
    struct batch_item *first = container_of(b->items.next, struct batch_item, link);
    bool trusted = waiting_of(first)->op.task->budget->trusted;
    if (r != NULL) {
        *r = (struct run){ .batch = b, .owner = o };
        if (timer_start(o->state->loop, &r->timer, o->timeout_ms, run_late) == 0 &&
            state_call(o->state, make_task, r, NULL, 0) == 0) {
            b->ud = r;
            r->task->budget->trusted = trusted;
            r->task->owner = r;
            r->task->done = on_done;
            task_start_soon(r->task);
            return;
        }
        run_free(r);
    }
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    tell_all(o, b, &f);
    failure_deinit(&f);
}

/* -- For Lua --------------------------------------------------------------------------------------- */

static struct lua_batch *to_batch(lua_State *L, int i) { return luaL_checkudata(L, i, TYPE); }

static int l_gc(lua_State *L) {
    struct lua_batch *o = to_batch(L, 1);
    batcher_free(o->queue);
    if (o->run_ref != 0) state_ref_drop(o->state, o->run_ref);
    if (o->copy_ref != 0) state_ref_drop(o->state, o->copy_ref);
    *o = (struct lua_batch){ .queue = NULL };
    return 0;
}

/* A number of the table at t, within bounds that our own Lua has checked; they hold here, too. */
static double number(lua_State *L, int t, const char *key, double least, double most) {
    lua_getfield(L, t, key);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v >= least ? (v <= most ? v : most) : least;
}

static uint64_t milliseconds(lua_State *L, int t, const char *key) {
    return (uint64_t)ceil(number(L, t, key, 0, 1e6) * 1000);
}

/* core.batch({ max_size, max_tokens, max_wait, max_queue, max_running, timeout, across_tenants }, run, name, copied) */
int l_batch(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    const char *name = luaL_checkstring(L, 3);
    luaL_checktype(L, 4, LUA_TFUNCTION);
    struct state *s = state_of(L);
    struct lua_batch *o = lua_newuserdata(L, sizeof(*o));
    *o = (struct lua_batch){ .state = s };
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    snprintf(o->name, sizeof(o->name), "%s", name);
    o->timeout_ms = milliseconds(L, 1, "timeout");
    o->across = value_field_bool(L, 1, "across_tenants", false);
    lua_pushvalue(L, 2);
    o->run_ref = state_ref_new(L);
    lua_pushvalue(L, 4);
    o->copy_ref = state_ref_new(L);
    o->options = (struct batcher_options){
        .max_size = (unsigned)number(L, 1, "max_size", 1, 1 << 20),
        .max_tokens = (uint64_t)number(L, 1, "max_tokens", 0, 1e15), .max_wait_ms = milliseconds(L, 1, "max_wait"),
        .max_queue = (unsigned)number(L, 1, "max_queue", 1, 1 << 20),
        .max_running = (unsigned)number(L, 1, "max_running", 1, 1 << 16),
        .run = run, .stop = stop, .refused = refused, .ud = o };
    return 1;
}

/* Made by the first who submits: while policies are loaded, the state is not yet of the thread that will run it. */
static struct batcher *queue_of(lua_State *L, struct lua_batch *o) {
    if (o->queue != NULL) return o->queue;
    o->options.loop = o->state->loop;
    o->options.stats = o->state->stats ? &o->state->stats->batches : NULL;
    o->queue = batcher_new(&o->options);
    if (o->queue == NULL) luaL_error(L, "not enough memory");
    return o->queue;
}

/* Until when it may wait, on the loop's clock; 0: as long as it takes. */
static uint64_t deadline(const struct task *t, uint64_t timeout_ms) {
    uint64_t until = t->request != NULL ? t->request->deadline_ms : 0;
    uint64_t mine = timeout_ms > 0 ? loop_now(t->state->loop) + timeout_ms : 0;
    return until == 0 || (mine != 0 && mine < until) ? mine : until;
}

/* Who may go together: the tenant, unless it does not matter, and what the caller says.  No tenant holds a NUL. */
static struct buf *key_of(lua_State *L, const struct lua_batch *o, const struct task *t) {
    struct buf *key = lib_output(L);
    if (!o->across && t->request != NULL) buf_puts(key, t->request->tenant);
    buf_putc(key, '\0');
    lua_getfield(L, 3, "key");
    if (lua_type(L, -1) == LUA_TSTRING) {
        struct slice more;
        more.ptr = lua_tolstring(L, -1, &more.len);
        buf_slice(key, more);
    }
    lua_pop(L, 1);
    lib_check_buf(L, key);
    return key;
}

static bool is_same(const struct batch_item *of, void *ud) {
    lua_State *L = ud; /* the value is at 2 */
    const struct waiting *w = container_of((struct batch_item *)(uintptr_t)of, struct waiting, item);
    lua_rawgeti(L, LUA_REGISTRYINDEX, w->value);
    bool same = lua_rawequal(L, 2, -1);
    lua_pop(L, 1);
    return same;
}

/* Queued, or, when the same is being run, beside that. */
static int enter(lua_State *L, struct waiting *w, struct slice key) {
    struct batcher *q = w->owner->queue;
    struct batch_item *of = NULL;
    if (value_field_bool(L, 3, "share", false)) of = batch_join(q, key, &w->item, is_same, L);
    if (of == NULL) return batch_submit(q, key, &w->item);
    w->index = waiting_of(of)->index;
    w->joined = true;
    return 0;
}

/* nil, err: the request may make no more calls. */
static int refuse(lua_State *L, const char *why) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_POLICY_BUDGET, "%s", why);
    lua_pushnil(L);
    lib_push_failure(L, &f);
    failure_deinit(&f);
    return 2;
}

/* core.batch_submit(b, value, { share, size, tokens, priority, timeout, key }) -> result | nil, err | nil, "full";
 * waits */
int l_batch_submit(lua_State *L) {
    struct lua_batch *o = to_batch(L, 1);
    luaL_checkany(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    op_check(L);
    queue_of(L, o);
    struct task *t = state_of(L)->running;
    const char *why = budget_refuses_call(t->state, t->budget);
    if (why != NULL) return refuse(L, why);
    struct buf *key = key_of(L, o, t);
    lua_pushvalue(L, 2);
    int value = state_ref_new(L);
    struct waiting *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        state_ref_drop(t->state, value);
        return luaL_error(L, "not enough memory");
    }
    failure_init(&w->failure);
    w->op = (struct op){ .task = t, .what = o->name, .cancel = cancel, .push = push };
    budget_begin_call(t->budget);
    w->owner = o;
    w->value = value;
    w->item.size = (unsigned)number(L, 3, "size", 1, 1 << 20);
    w->item.tokens = (uint64_t)number(L, 3, "tokens", 0, 1e15);
    w->item.priority = (unsigned)number(L, 3, "priority", 0, BATCH_PRIORITIES - 1);
    w->item.deadline_ms = deadline(t, milliseconds(L, 3, "timeout"));
    int rc = enter(L, w, buf_get(key));
    if (rc == 0) return op_wait(L, &w->op, "batch");
    waiting_free(w);
    if (rc != PERILUNE_ERR_LIMITED) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushliteral(L, "full");
    return 2;
}

void batch_open(lua_State *L) { lib_open_owned(L, TYPE, l_gc); }
