/* task.c -- a policy coroutine and the single thing it waits for.
 *
 * When Lua calls a blocking primitive, C starts the work, hangs one `struct op`
 * on the task, and yields.  From then on exactly one of two things happens:
 *
 *     the work finishes  ->  op_done(): op becomes task->result, task_resume(),
 *                            and core.result() pushes what it brought
 *     the task ends      ->  task_cancel(): op->cancel()
 *
 * Both clear task->op first, so the other path can no longer find it: there is no
 * "cancelled" flag to test, and a late callback never sees a dead task.
 *
 * LuaJIT has no continuation after a yield in C, and pushing strings outside a
 * protected call could run out of memory with nobody to catch it.  So C pushes
 * nothing when it resumes: the Lua half of a primitive is
 *
 *     function M.sleep(s) return result(sleep_start(s)) end
 *
 * and result(), running inside the coroutine, asks the op for its values.
 *
 * A yield without an op means that the hook ended a time slice: the task goes on
 * in the next turn of the loop, behind the others that could run, or, when its budget is
 * gone, ends here.  One that had a long stretch may have to rest first (budget.c):
 *
 *     running --slice over--> ready ---next turn---> running
 *        ^  \--long stretch--> resting --timer--------^
 *        +-- op_done() -- op --+                          a turn that is full: ready */
#include "bridge/task.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/lib.h"

#define TURN_US 2000 /* of the loop, for all tasks that could run */
#define BRANCHES_DEEP 64     /* branches of branches of ... */
#define BRANCHES_LIVING 4096 /* of a request, at once: the collector looks at each of them in one go */
#define REST_MOST_US 100000 /* then a task goes on, however many others were long meanwhile */

/* -- Life ------------------------------------------------------------------------- */

/* A coroutine that returned can be started again: that spares making one, and the
 * collector sweeping it.  Its task waits with it. */
struct task *task_again(struct state *s) {
    if (s->spare_count == 0) return NULL;
    struct task *t = s->spare[s->spare_count - 1];
    struct budget *b = t->budget ? t->budget : budget_new();
    if (b == NULL) return NULL;
    s->spare_count--;
    *t = (struct task){ .state = state_ref(s), .co = t->co, .ref = t->ref, .budget = b };
    if (s->stats) atomic_fetch_add_explicit(&s->stats->tasks, 1, memory_order_relaxed);
    return t;
}

/* True when t waits to be used again. */
static bool keep_spare(struct task *t) {
    struct state *s = t->state;
    if (!t->returned || s->spare_count == sizeof(s->spare) / sizeof(*s->spare)) return false;
    lua_settop(t->co, 0);
    if (t->budget->refs == 1) { /* waits with it */
        budget_reset(t->budget);
    } else {
        budget_put(t->budget);
        t->budget = NULL;
    }
    s->spare[s->spare_count++] = t;
    return true;
}

void task_drop_spares(struct state *s) {
    while (s->spare_count > 0) {
        struct task *t = s->spare[--s->spare_count];
        budget_put(t->budget);
        mem_free(t);
    }
}

static struct task *task_make(lua_State *L) {
    struct state *s = state_of(L);
    lua_State *co = lua_newthread(L);
    int ref = state_ref_new(L);
    struct task *t = mem_zalloc(sizeof(*t)); /* last: what raises came before */
    struct budget *b = budget_new();
    if (t == NULL || b == NULL) {
        mem_free(t);
        budget_put(b);
        state_ref_drop(s, ref);
        luaL_error(L, "out of memory for a task");
        return NULL;
    }
    *t = (struct task){ .state = state_ref(s), .co = co, .ref = ref, .budget = b };
    if (s->stats) atomic_fetch_add_explicit(&s->stats->tasks, 1, memory_order_relaxed);
    return t;
}

struct task *task_new(lua_State *L, int n) {
    struct task *t = task_again(state_of(L));
    if (t == NULL) t = task_make(L);
    t->arguments = n;
    lua_xmove(L, t->co, n + 1);
    return t;
}

const char *task_refuses_branches(const struct task *parent, size_t n) {
    if (parent->depth >= BRANCHES_DEEP)
        return "branches (all, any, race, map, compose) are more than 64 deep: does a function start itself for ever?";
    if (parent->budget->branches + n > BRANCHES_LIVING)
        return "the request has more than 4096 branches at once: begin some later (limit of perilune.map)";
    return NULL;
}

static void take_account(struct task *t, struct budget *b) {
    if (t->branch) t->budget->branches--;
    budget_put(t->budget);
    t->budget = b;
    if (t->branch) b->branches++;
}

void task_branch(struct task *t, struct task *parent) {
    take_account(t, budget_ref(parent->budget));
    t->branch = true;
    t->budget->branches++;
    t->depth = parent->depth + 1;
    t->request = parent->request;
}

bool task_own_budget(struct task *t, bool trusted) {
    struct budget *b = budget_new();
    if (b == NULL) return false;
    b->trusted = trusted;
    take_account(t, b);
    return true;
}

/* An op whose push raised.  A pcall of the policy may have caught that, and the task lives on. */
static void drop_taken(struct task *t) {
    struct op *taken = t->taken;
    t->taken = NULL;
    if (taken != NULL) taken->cancel(taken);
}

static void drop_ops(struct task *t) {
    struct op *op = t->op, *result = t->result;
    t->op = t->result = NULL;
    if (op != NULL) op->cancel(op);
    if (result != NULL) result->cancel(result);
    drop_taken(t);
}

void task_free(struct task *t) {
    struct state *s = t->state;
    assert(s->running != t);
    if (t->ready.next != NULL) list_remove(&t->ready);
    drop_ops(t);
    if (t->branch) t->budget->branches--;
    if (!keep_spare(t)) {
        state_ref_drop(s, t->ref);
        budget_put(t->budget);
        mem_free(t);
    }
    state_put(s);
}

void task_cancel(struct task *t) { task_free(t); }

/* -- Its turn ------------------------------------------------------------------------- */

static void on_next(struct deferred *j);
static void rest_over(struct timer *timer);

/* Where time is virtual it goes first: who overtakes whom must not depend on how busy the machine is. */
static void make_ready(struct task *t) {
    struct list *ready = &t->state->ready;
    list_append(t->state->loop->is_virtual ? ready->next : ready, &t->ready);
    loop_next(t->state->loop, &t->state->run_next, on_next);
}

/* Sees to it that those that rest go on.  The loop's clock may be as old as the stretch that was
 * long.  Without memory for a timer they do not rest. */
static void rest(struct state *s) {
    const struct task *first = container_of(s->resting.next, struct task, ready);
    uint64_t most = first->rests_since_us + REST_MOST_US, until = s->time.rest_until_us;
    uint64_t until_ms = (until < most ? until : most) / 1000 + 1, now_ms = loop_now(s->loop);
    if (timer_start(s->loop, &s->rest, until_ms > now_ms ? until_ms - now_ms : 1, rest_over) == 0) return;
    while (!list_is_empty(&s->resting)) {
        struct task *t = container_of(s->resting.next, struct task, ready);
        list_remove(&t->ready);
        make_ready(t);
    }
}

/* One after the other, as long as none of them is long again. */
static void rest_over(struct timer *timer) {
    struct state *s = state_ref(container_of(timer, struct state, rest));
    while (!list_is_empty(&s->resting) && !budget_turn_is_full(s)) {
        struct task *t = container_of(s->resting.next, struct task, ready);
        bool long_enough = loop_hrtime_us() - t->rests_since_us >= REST_MOST_US;
        if (!long_enough && budget_must_rest(s, t->budget)) break;
        list_remove(&t->ready);
        task_resume(t); /* may free t, and others */
    }
    if (!list_is_empty(&s->resting)) rest(s);
    state_put(s);
}

static void resume_later(struct task *t) {
    struct state *s = t->state;
    if (!budget_must_rest(s, t->budget)) {
        make_ready(t);
        return;
    }
    t->rests_since_us = loop_hrtime_us();
    list_append(&s->resting, &t->ready);
    if (!timer_is_running(&s->rest)) rest(s);
}

void task_go_on(struct task *t) {
    if (budget_turn_is_full(t->state) || budget_must_rest(t->state, t->budget)) resume_later(t);
    else task_resume(t); /* may free t */
}

/* -- Running ------------------------------------------------------------------------ */

/* Tasks that could run take turns: each has a slice, and all together have TURN_US in a turn of
 * the loop, so that fifty branches do not take the thread for fifty slices. */
static void run_ready(struct state *s) {
    uint64_t begin = loop_hrtime_us();
    unsigned n = 0;
    for (struct list *l = s->ready.next; l != &s->ready; l = l->next) n++;
    while (n-- > 0 && !list_is_empty(&s->ready) && loop_hrtime_us() - begin < TURN_US && !budget_turn_is_full(s)) {
        struct task *t = container_of(s->ready.next, struct task, ready);
        list_remove(&t->ready);
        task_go_on(t); /* may free t, and others; s lives, see the callers */
    }
    if (!list_is_empty(&s->ready)) loop_next(s->loop, &s->run_next, on_next);
}

static void on_soon(struct deferred *j) {
    struct state *s = state_ref(container_of(j, struct state, run_soon));
    run_ready(s);
    state_put(s);
}

static void on_next(struct deferred *j) {
    struct state *s = state_ref(container_of(j, struct state, run_next));
    run_ready(s);
    state_put(s);
}

void task_start_soon(struct task *t) {
    list_append(&t->state->ready, &t->ready);
    loop_soon(t->state->loop, &t->state->run_soon, on_soon);
}

/* -- Ending ------------------------------------------------------------------------- */

/* What t threw, as a text on L.  Its own stack must not grow: a failed allocation may have been
 * that, and what a stack lacks it then raises in t, where nobody catches it. */
static void push_thrown(lua_State *L, struct task *t) {
    const char *text = t->budget->killed ? t->budget->killed : state_text(t->co, -1);
    if (text != NULL) {
        lua_pushstring(L, text);
        lib_cut_error(L);
        return;
    }
    lua_xmove(t->co, L, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, t->co, 1); /* it stays there until there is a text */
    lib_push_error(L, lua_gettop(L));
}

/* Did t throw an error of perilune.error{...}?  Then nobody looks for its place. */
static bool is_meant(lua_State *L, struct task *t) {
    if (t->budget->killed != NULL || !lua_istable(t->co, -1)) return false;
    lua_xmove(t->co, L, 1); /* see above */
    bool meant = lib_is_failure(L, -1);
    lua_xmove(L, t->co, 1);
    return meant;
}

static int replace_by_traceback(lua_State *L, void *ud) {
    struct task *t = ud;
    bool empty = lua_gettop(t->co) == 0; /* stopped, or without memory for an error */
    if (empty && t->budget->killed == NULL) return 0;
    /* What a branch throws is thrown again by who waits for it, and stays what it is. */
    if (t->branch && t->budget->killed == NULL && lua_type(t->co, -1) != LUA_TSTRING) return 0;
    if (is_meant(L, t)) return 0;
    bool text = !empty && t->budget->killed == NULL && lua_type(t->co, -1) == LUA_TSTRING;
    push_thrown(L, t);
    if (text) blame_place(L, t->co, 0);
    luaL_traceback(L, t->co, lua_tostring(L, -1), 0);
    if (!empty) lua_pop(t->co, 1);
    lua_xmove(L, t->co, 1);
    return 0;
}

static void failed(struct task *t) {
    struct state *s = t->state;
    atomic_uint_least64_t *count = s->stats == NULL ? NULL
                                   : t->budget->killed ? &s->stats->kills : &s->stats->errors;
    uint64_t began = loop_hrtime_us();
    state_call(s, replace_by_traceback, t, NULL, 0); /* in no stretch: memory that ended does not take the text along */
    budget_took(s, t->budget, began);
    bool meant = t->budget->killed == NULL && lua_gettop(t->co) > 0 && lua_istable(t->co, -1);
    if (count && !meant) atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    t->done(t, false); /* may free t */
}

/* In a child of fork() nobody would resume what lets others go first. */
static bool must_go_on(const struct task *t, int rc) {
    return rc == LUA_YIELD && t->op == NULL && t->budget->killed == NULL && state_is_foreign(t->state);
}

void task_resume(struct task *t) {
    struct state *s = t->state;
    assert(t->op == NULL);
    struct task *outer = s->running; /* a task may be finished by another's op */
    struct stretch around;
    int n = t->arguments;
    t->arguments = 0;

    int rc;
    s->running = t;
    do {
        stretch_begin(s, &around, t->budget, false);
        rc = lua_resume(t->co, n);
        stretch_end(s, &around);
        n = 0;
    } while (must_go_on(t, rc));
    s->running = outer;
    state_collect_early(s);
    if (state_is_foreign(s)) loop_disown(s->loop);

    if (t->budget->killed != NULL) {
        drop_ops(t);
        state_collect_soon(s);
        failed(t);
    } else if (rc == LUA_YIELD) {
        if (t->op == NULL) resume_later(t);
    } else if (rc == 0) {
        t->returned = true;
        t->done(t, true); /* may free t */
    } else {
        failed(t);
    }
}

/* -- Waiting -------------------------------------------------------------------------- */

/* A guest's caller has no log that names the lines of its function. [0, 0, e] */
static void refuse_guest(lua_State *L) {
    lua_pushliteral(L, "this waits, and there is nothing that goes on meanwhile: call it inside of "
                       "perilune.run(config, function() ... end)");
    blame_place(L, L, 0);
    lua_error(L);
}

/* The loop first: closing what somebody gives up in here would end the parent's watching of it. [0, 0, e] */
static void refuse_child(lua_State *L) {
    loop_disown(state_of(L)->loop);
    lua_pushliteral(L, "this process was forked inside of perilune.run(), whose loop and connections are the parent's: "
                       "nothing can be waited for here; end the child by exec() or os.exit()");
    blame_place(L, L, 0);
    lua_error(L);
}

void op_check(lua_State *L) {
    struct state *s = state_of(L);
    struct task *t = s->running;
    if (state_is_foreign(s)) refuse_child(L);
    if (t == NULL && s->is_guest) refuse_guest(L);
    if (t == NULL) luaL_error(L, "cannot wait here: not inside a policy's request");
    if (t->co != L || !lua_isyieldable(L))
        luaL_error(L, "cannot wait here: inside a callback (tap, map, finally, sort, gsub) "
                      "or a coroutine of your own");
    drop_taken(t);
}

bool op_is_possible(lua_State *L) {
    const struct task *t = state_of(L)->running;
    return t != NULL && t->co == L && lua_isyieldable(L);
}

void *op_alloc(struct task *t, size_t size) {
    if (size > sizeof(t->room) || t->room_used) return mem_zalloc(size);
    t->room_used = true;
    return memset(t->room, 0, size);
}

void op_free(struct task *t, void *op) {
    if (op == (void *)t->room) t->room_used = false;
    else mem_free(op);
}

int op_wait(lua_State *L, struct op *op, const char *name) {
    struct task *t = state_of(L)->running;
    assert(t != NULL && t->co == L && t->op == NULL);
    op->task = t;
    op->name = name;
    if (state_is_foreign(t->state)) { /* of those that do not always wait, and so have not asked op_check() */
        loop_disown(t->state->loop);
        op->cancel(op);
        refuse_child(L);
    }
    t->op = op;
    return lua_yield(L, 0);
}

void op_done(struct op *op) {
    struct task *t = op->task;
    assert(t->op == op);
    t->op = NULL;
    assert(t->result == NULL);
    t->result = op;
    task_go_on(t); /* may free op and t */
}

/* core.result(...): what the primitive brought, or, when it answered at once, its
 * own results. [-n, +m, e] */
int l_result(lua_State *L) {
    struct task *t = state_of(L)->running;
    if (t == NULL || t->co != L || t->result == NULL) return lua_gettop(L);
    lua_settop(L, 0);
    drop_taken(t);
    struct op *op = t->taken = t->result;
    t->result = NULL;
    int n = op->push(L, op);
    t->taken = NULL;
    return n;
}
