/* l_after.c -- core.after(req, fn, how): work that is done when the client has its reply.
 *
 *     req:finally --core.after--> [ waiting ] --next turn--> [ running: a task, a request of its own ] --> over
 *                                     |                              |
 *                                     +-------- late, canceled ------+
 *
 * The client's request is over by then, and what it was made of is gone.  So the work gets a request of its own: the
 * same body (its bytes are shared), tenant, headers and path, an id that begins with the client's, and a deadline of
 * its own; what policies ask for it is asked on behalf of that one.  It ends like any other: functions of finally
 * run, slots and reservations go back.
 *
 * Nothing is done in the turn in which it is handed over: the reply is written at the end of that turn, and the body is
 * read when the work begins.  At most AT_ONCE run in one worker; how much may wait in the process is decided by
 * sched/afterwork.c.
 *
 * An item holds a share of its state, so a generation that is replaced does what it has promised.  The line is the
 * worker's: when that ends, so does the line (after_line_cancel), after the drain has waited for it.
 *
 * Invariants: an item is in exactly one list of its line; its timer runs as long as it is there; task != NULL exactly
 * in `running`. */
#include "bridge/after.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/policy.h"
#include "bridge/request.h"
#include "flow/response.h"
#include "request/request.h"
#include "sched/afterwork.h"

#define AT_ONCE 16 /* items that run, of one worker: each may make several calls */

struct after {
    struct list        link;
    struct after_line *line;
    struct state      *state;  /* a share */
    struct afterwork  *all;    /* of the process, where it entered */
    struct request    *req;    /* a share */
    struct blob       *text;   /* of its body, until it runs; a share */
    const struct dialect *dialect;
    struct task       *task;   /* NULL: it waits */
    struct timer       late;
    uint64_t           bytes;
    int                fn;     /* a reference */
    bool               trusted;
};

/* -- The end ------------------------------------------------------------------------------------- */

/* Its request is over, as exchange.c has it. */
static void end_request(struct after *a, enum afterwork_result result) {
    struct outcome o = { .ok = result == AFTERWORK_DONE };
    if (!o.ok) slice_copy(o.code, sizeof(o.code), slice_str(result == AFTERWORK_FAILED ? "policy_error" : "canceled"));
    cleanup_run(a->req, &o);
    request_finish(a->req, NULL, &o);
    request_end(a->req);
    request_put(a->req);
}

/* Also from below its task, which is over then and freed by who called. */
static void finish(struct after *a, enum afterwork_result result) {
    struct state *s = a->state;
    list_remove(&a->link);
    if (a->task != NULL) a->line->running_count--;
    afterwork_leave(a->all, a->bytes, a->task != NULL, result);
    timer_stop(s->loop, &a->late);
    end_request(a, result);
    state_ref_drop(s, a->fn);
    blob_put(a->text);
    mem_free(a);
    state_put_soon(s);
}

static void stop(struct after *a, enum afterwork_result result) {
    struct task *t = a->task;
    if (t != NULL) task_cancel(t);
    finish(a, result);
}

static void start_some(struct deferred *d);

static void go_on(struct after_line *line) {
    bool can = line->running_count < AT_ONCE;
    if (can && !list_is_empty(&line->waiting)) loop_next(line->loop, &line->start, start_some);
}

static void on_late(struct timer *timer) {
    struct after *a = container_of(timer, struct after, late);
    struct after_line *line = a->line;
    log_of_request(a->state->log, PERILUNE_LOG_WARN, a->req->id, "work behind the reply is given up: its time is over "
                   "(%s)", a->task ? "it ran" : "it waited for others");
    stop(a, AFTERWORK_LATE);
    go_on(line);
}

static void on_done(struct task *t, bool ok) {
    struct after *a = t->owner;
    struct after_line *line = a->line;
    bool well = ok && lua_gettop(t->co) > 0 && lua_toboolean(t->co, 1);
    if (!ok) {
        const char *text = t->budget->killed ? t->budget->killed : state_text(t->co, -1);
        if (text == NULL) text = "work behind the reply failed";
        log_of_request(a->state->log, PERILUNE_LOG_ERROR, a->req->id, "%s", text);
    }
    struct state *s = state_ref(a->state);
    finish(a, well ? AFTERWORK_DONE : AFTERWORK_FAILED);
    task_free(t);
    go_on(line);
    state_put_soon(s);
}

unsigned after_line_cancel(struct after_line *line) {
    unsigned n = 0;
    struct list *lists[] = { &line->waiting, &line->running };
    deferred_cancel(&line->start);
    for (int i = 0; i < 2; i++)
        for (; !list_is_empty(lists[i]); n++)
            stop(container_of(lists[i]->next, struct after, link), AFTERWORK_CANCELED);
    return n;
}

/* -- The beginning ---------------------------------------------------------------------------------- */

/* False: no memory. */
static bool begin(struct after *a) {
    struct failure ignored;
    bool ok = a->fn != 0;
    failure_init(&ignored);
    if (ok && a->text != NULL) { /* body_from() takes the share */
        ok = body_from(&a->req->body, a->text, a->dialect, &ignored) == 0;
        if (ok) a->text = NULL;
    }
    failure_deinit(&ignored);
    if (!ok) return false;
    struct policy_chain chain = { .ref = a->fn, .trusted = a->trusted };
    struct task *t = policy_start(a->state, &chain, a->req, NULL, NULL);
    if (t == NULL) return false;
    t->done = on_done;
    t->owner = a;
    a->task = t;
    list_remove(&a->link);
    list_append(&a->line->running, &a->link);
    a->line->running_count++;
    afterwork_begin(a->all);
    task_start_soon(t);
    return true;
}

static void start_some(struct deferred *d) {
    struct after_line *line = container_of(d, struct after_line, start);
    while (!list_is_empty(&line->waiting) && line->running_count < AT_ONCE) {
        struct after *a = container_of(line->waiting.next, struct after, link);
        if (begin(a)) continue;
        log_of_request(a->state->log, PERILUNE_LOG_ERROR, a->req->id, "work behind the reply failed: out of memory");
        finish(a, AFTERWORK_FAILED);
    }
}

void after_line_init(struct after_line *line) {
    *line = (struct after_line){ .running_count = 0 };
    list_init(&line->waiting);
    list_init(&line->running);
}

/* -- For Lua ------------------------------------------------------------------------------------------ */

/* The question once more, in memory of its own.  NULL: no memory. */
static struct request *copy_question(struct state *s, const struct request *from, uint64_t timeout_ms) {
    struct request *to = policy_request_new(s);
    if (to == NULL) return NULL;
    to->method = from->method;
    to->path = from->path;
    to->query = from->query;
    to->peer = from->peer;
    to->headers = from->headers;
    to->header_count = from->header_count; /* what policies took away stays away */
    to->deadline_ms = loop_now(s->loop) + timeout_ms;
    memcpy(to->tenant, from->tenant, sizeof(to->tenant));
    memcpy(to->guard, from->guard, sizeof(to->guard));
    to->admitted = from->admitted;
    snprintf(to->id, sizeof(to->id), "%.72s-after", from->id);
    struct slice route = slice_str(from->route);
    to->route = arena_dup(&to->arena, route); /* with a NUL behind it */
    if (to->route != NULL && request_keep(to)) return to;
    request_end(to);
    request_put(to);
    return NULL;
}

static uint64_t field(lua_State *L, const char *name) {
    lua_getfield(L, 3, name);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v > 0 && v < 1e15 ? (uint64_t)ceil(v) : 0;
}

static int refuse(lua_State *L, struct afterwork *all) {
    lua_pushliteral(L, "full");
    lua_pushboolean(L, afterwork_tell(all, loop_hrtime_us() / 1000000));
    return 2;
}

/* core.after(req, fn, { timeout_ms =, bytes =, max_queue =, max_bytes = }) -> "taken" | "full", whether to say so.
 * fn() has core.request(), and returns whether all went well.  bytes: of what fn holds besides the body. */
int l_after(lua_State *L) {
    struct request *r = request_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_checktype(L, 3, LUA_TTABLE);
    struct state *s = state_of(L);
    const struct budget *running = s->time.run.budget;
    struct body *body = r->body != NULL && !body_is_cleared(r->body) ? request_body(L, 1) : NULL;
    struct blob *text = body != NULL ? blob_ref(body->text) : NULL;
    const struct dialect *dialect = body != NULL ? body->dialect : NULL;
    uint64_t bytes = field(L, "bytes") + (text ? text->len : 0), timeout_ms = field(L, "timeout_ms");
    body_put(body);
    if (!afterwork_enter(&s->stores->afterwork, bytes, field(L, "max_queue"), field(L, "max_bytes"))) {
        blob_put(text);
        return refuse(L, &s->stores->afterwork);
    }
    struct after *a = mem_zalloc(sizeof(*a));
    struct request *req = a != NULL ? copy_question(s, r, timeout_ms) : NULL;
    if (req == NULL || timer_start(s->loop, &a->late, timeout_ms, on_late) != 0) {
        if (req != NULL) {
            request_end(req);
            request_put(req);
        }
        mem_free(a);
        blob_put(text);
        afterwork_leave(&s->stores->afterwork, bytes, false, AFTERWORK_FULL);
        return refuse(L, &s->stores->afterwork);
    }
    a->line = s->after;
    a->line->loop = s->loop;
    a->state = state_ref(s);
    a->all = &s->stores->afterwork;
    a->req = req;
    a->text = text;
    a->dialect = dialect;
    a->bytes = bytes;
    a->trusted = running != NULL && running->trusted;
    list_append(&a->line->waiting, &a->link);
    lua_pushvalue(L, 2);
    a->fn = state_ref_new(L); /* it may raise: then a stands there without one, and is ended like any other */
    go_on(a->line);
    lua_pushliteral(L, "taken");
    return 1;
}

/* core.after_drop(): nothing waits or runs any more; between two tests. */
int l_after_drop(lua_State *L) {
    after_line_cancel(state_of(L)->after);
    return 0;
}
