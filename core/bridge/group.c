/* group.c -- several branches at once: core.spawn(mode, functions, limit, account).
 *
 *     task --op--> group --> branch, branch, branch     (each a task of its own)
 *
 * Structured: the group ends when its mode says so, and what still runs then is
 * cancelled; a group that is cancelled cancels its branches.  Branches charge
 * the budget of the request they belong to.  Only the test kit gives them accounts of their
 * own: "limited" is a policy's, which the trusted spec around it has none of, "free" the kit's
 * inside of that.  A limited branch that is condemned has failed, with the failure as its result.
 *
 *     all   every branch must succeed; the first failure is the result
 *     any   the first success; if none, the last failure
 *     race  whatever ends first, success or failure
 *
 * A branch succeeds when its first result is not nil, or when it returned
 * nothing but nil; it fails with `nil, err`.  A branch that throws fails its
 * group's task with the same error.
 *
 * Results of branches stay on their coroutines' stacks until push_results() runs
 * inside the waiting task, so nothing is allocated where nobody could catch it. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/lib.h"
#include "bridge/task.h"

#define BRANCHES_MOST 1024

enum mode { ALL, ANY, RACE };

struct branch {
    struct task  *task;
    struct group *group;
    bool          ended, threw;
};

struct group {
    struct op     op;
    enum mode     mode;
    unsigned      count, next, limit, running;
    bool          limited; /* branches have accounts of their own */
    struct branch *winner; /* whose result counts; NULL: all succeeded */
    struct deferred    start, finish;
    struct branch branches[];
};

static bool failed(struct branch *b) {
    if (b->threw) return true;
    lua_State *co = b->task->co;
    return lua_gettop(co) >= 2 && lua_isnil(co, 1) && !lua_isnil(co, 2);
}

static void free_branches(struct group *g) {
    for (unsigned i = 0; i < g->count; i++)
        if (g->branches[i].task != NULL) task_free(g->branches[i].task);
}

static void group_free(struct group *g) {
    deferred_cancel(&g->start);
    deferred_cancel(&g->finish);
    free_branches(g);
    mem_free(g);
}

static void group_cancel(struct op *op) { group_free(container_of(op, struct group, op)); }

/* -- Results (inside the waiting task) ----------------------------------------------- */

static int push_branch(lua_State *L, struct branch *b) {
    lua_State *co = b->task->co;
    int n = lua_gettop(co);
    if (!lua_checkstack(L, n)) luaL_error(L, "a branch returned %d results: return a table instead", n);
    lua_xmove(co, L, n);
    return n;
}

/* nil, err: why it was condemned */
static int push_condemned(lua_State *L, const struct budget *b) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, b->kill_kind, "%s", b->killed);
    lua_pushnil(L);
    lib_push_failure(L, &f);
    failure_deinit(&f);
    return 2;
}

static int push_results(lua_State *L, struct op *op) {
    struct group *g = container_of(op, struct group, op);
    int n;
    if (g->limited && g->winner != NULL && g->winner->task->budget->killed != NULL) {
        n = push_condemned(L, g->winner->task->budget);
        group_free(g);
        return n;
    }
    if (g->winner != NULL && g->winner->threw) {
        lua_State *co = g->winner->task->co;
        if (lua_gettop(co) > 0) lua_xmove(co, L, 1);
        else lua_pushliteral(L, "not enough memory"); /* there was none for an error, either */
        state_of(L)->running->taken = NULL; /* freed here: the raise must not cancel it again */
        group_free(g);
        return lua_error(L);
    }
    if (g->winner != NULL) {
        n = push_branch(L, g->winner);
    } else {
        lua_createtable(L, (int)g->count, 0);
        for (unsigned i = 0; i < g->count; i++) {
            lua_State *co = g->branches[i].task->co;
            if (lua_gettop(co) == 0) continue;
            lua_settop(co, 1);
            lua_xmove(co, L, 1);
            lua_rawseti(L, -2, (int)i + 1);
        }
        n = 1;
    }
    group_free(g);
    return n;
}

/* -- Course ------------------------------------------------------------------------------ */

static void finish_job(struct deferred *j) {
    struct group *g = container_of(j, struct group, finish);
    for (unsigned i = 0; i < g->count; i++) { /* losers stop before the winner is told */
        struct branch *b = &g->branches[i];
        if (b->task != NULL && !b->ended) {
            task_cancel(b->task);
            b->task = NULL;
        }
    }
    op_done(&g->op); /* may free g */
}

static void finish(struct group *g, struct branch *winner) {
    g->winner = winner;
    loop_soon(g->op.task->state->loop, &g->finish, finish_job);
}

static void start_some(struct deferred *j);

static void on_branch_done(struct task *t, bool ok) {
    struct branch *b = t->owner;
    struct group *g = b->group;
    b->ended = true;
    b->threw = !ok;
    g->running--;
    if (deferred_is_waiting(&g->finish)) return; /* decided */
    bool bad = failed(b), last = g->running == 0 && g->next == g->count;
    if (b->threw || (g->mode == ALL && bad) || (g->mode == ANY && (!bad || last)) || g->mode == RACE)
        finish(g, b);
    else if (last)
        finish(g, NULL);
    else
        loop_soon(t->state->loop, &g->start, start_some);
}

static void start_some(struct deferred *j) {
    struct group *g = container_of(j, struct group, start);
    while (g->next < g->count && g->running < g->limit) {
        struct branch *b = &g->branches[g->next++];
        g->running++;
        task_start_soon(b->task);
    }
}

static void nothing_to_do(struct group *g) { finish(g, NULL); }

/* core.spawn(mode, functions, limit, account): [-4, +n, e], waits. */
int l_spawn(lua_State *L) {
    static const char *const modes[] = { "all", "any", "race", NULL };
    static const char *const accounts[] = { "request", "limited", "free", NULL };
    enum mode mode = (enum mode)luaL_checkoption(L, 1, NULL, modes);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = lua_objlen(L, 2);
    double limit = luaL_optnumber(L, 3, BRANCHES_MOST);
    int account = luaL_checkoption(L, 4, "request", accounts);
    luaL_argcheck(L, count <= BRANCHES_MOST, 2, "more than 1024 branches");
    luaL_argcheck(L, limit >= 1, 3, "the limit must be at least 1");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (int)i);
        luaL_argcheck(L, lua_isfunction(L, -1), 2, "must hold functions only");
        lua_pop(L, 1);
    }
    op_check(L);
    struct task *parent = state_of(L)->running;
    struct group *g = mem_zalloc(sizeof(*g) + count * sizeof(g->branches[0]));
    if (g == NULL) return luaL_error(L, "out of memory for %d branches", (int)count);
    g->op = (struct op){ .task = parent, .cancel = group_cancel, .push = push_results };
    g->mode = mode;
    g->limited = account == 1;
    g->limit = limit < BRANCHES_MOST ? (unsigned)limit : BRANCHES_MOST;
    /* From here a raise would leak g: hang it on the task, which cancels it. */
    parent->taken = &g->op;
    for (size_t i = 0; i < count; i++) {
        blame_push_frame(L);
        lua_rawgeti(L, 2, (int)i + 1);
        struct task *t = task_new(L, 1);
        struct branch *b = &g->branches[g->count++];
        *b = (struct branch){ .task = t, .group = g };
        task_branch(t, parent);
        t->owner = b;
        t->done = on_branch_done;
        if (account != 0 && !task_own_budget(t, account == 2)) luaL_error(L, "out of memory for a branch");
    }
    parent->taken = NULL;
    if (count == 0) nothing_to_do(g);
    else loop_soon(parent->state->loop, &g->start, start_some);
    return op_wait(L, &g->op, "branches");
}
