/* group.c -- several branches at once: core.spawn(mode, functions, limit, account, graph, seconds).
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
 * A graph says more of each branch of `all`: which others come before it (it starts when those are done), how long it
 * may take, and whether it may fail.  One that may fail and is late, or throws, is done all the same, with no result;
 * what it was is the business of whoever made the graph.  When the time of the whole group is over it ends with what
 * there is.  Which timers it was that stopped branches is told: a list of the late ones, "over" where all had to end.
 *
 * A branch succeeds when its first result is not nil, or when it returned
 * nothing but nil; it fails with `nil, err`.  A branch that throws fails its
 * group's task with the same error.
 *
 * Branches of branches have a depth, and those of a request that live a number (task_refuses_branches()): a function
 * that starts itself for ever fails where it does.
 *
 * Results of branches stay on their coroutines' stacks until push_results() runs
 * inside the waiting task, so nothing is allocated where nobody could catch it. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/lib.h"
#include "bridge/task.h"

#define BRANCHES_MOST 1024
#define EDGES_MOST    4096

enum mode { ALL, ANY, RACE };

struct branch {
    struct task  *task;
    struct group *group;
    struct timer  late;    /* running with a limit of its own */
    uint64_t      most_ms; /* that it may take; 0: no limit */
    unsigned      left;    /* branches before it that are not done */
    bool          started, ended, threw, optional;
    bool          was_late; /* its own timer stopped it */
};

struct edge { unsigned before, after; };

struct group {
    struct op     op;
    enum mode     mode;
    unsigned      count, next, limit, running, started; /* next: none ahead of it is left to start */
    struct edge  *edges;
    unsigned      edge_count, edge_cap;
    struct timer  over;    /* the time of all together */
    bool          limited; /* branches have accounts of their own */
    bool          graph, is_over; /* is_over: `over` has stopped it */
    struct branch *winner; /* whose result counts; NULL: all succeeded */
    struct deferred    start, finish;
    struct branch branches[];
};

static bool failed(struct branch *b) {
    if (b->threw) return true;
    lua_State *co = b->task->co;
    return lua_gettop(co) >= 2 && lua_isnil(co, 1) && !lua_isnil(co, 2);
}

static struct loop *loop_of(const struct group *g) { return g->op.task->state->loop; }

static void free_branches(struct group *g) {
    for (unsigned i = 0; i < g->count; i++) {
        timer_stop(loop_of(g), &g->branches[i].late);
        if (g->branches[i].task != NULL) task_free(g->branches[i].task);
    }
}

static void group_free(struct group *g) {
    deferred_cancel(&g->start);
    deferred_cancel(&g->finish);
    timer_stop(loop_of(g), &g->over);
    free_branches(g);
    mem_free(g->edges);
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

/* nil, err: it was stopped, because it took too long */
static int push_late(lua_State *L) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_TIMEOUT, "a step took longer than it may");
    lua_pushnil(L);
    lib_push_failure(L, &f);
    failure_deinit(&f);
    return 2;
}

/* Behind two results: the numbers of branches that their own timers stopped; "over", of all, as a field. */
static int push_stopped(lua_State *L, const struct group *g, int n) {
    if (!g->graph) return n;
    lua_settop(L, lua_gettop(L) - n + (n < 2 ? n : 2));
    while (n < 2) lua_pushnil(L), n++;
    lua_createtable(L, 0, 1);
    for (unsigned i = 0; i < g->count; i++) {
        if (!g->branches[i].was_late) continue;
        lua_pushboolean(L, 1);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushboolean(L, g->is_over);
    lua_setfield(L, -2, "over");
    return 3;
}

static int push_results(lua_State *L, struct op *op) {
    struct group *g = container_of(op, struct group, op);
    int n;
    if (g->winner != NULL && g->winner->task == NULL) {
        n = push_stopped(L, g, push_late(L));
        group_free(g);
        return n;
    }
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
            const struct branch *b = &g->branches[i];
            if (b->task == NULL || !b->ended || b->threw) continue; /* late, or not come to */
            lua_State *co = b->task->co;
            if (lua_gettop(co) == 0) continue;
            lua_settop(co, 1);
            lua_xmove(co, L, 1);
            lua_rawseti(L, -2, (int)i + 1);
        }
        n = 1;
    }
    n = push_stopped(L, g, n);
    group_free(g);
    return n;
}

/* -- Course ------------------------------------------------------------------------------ */

static void finish_job(struct deferred *j) {
    struct group *g = container_of(j, struct group, finish);
    timer_stop(loop_of(g), &g->over);
    for (unsigned i = 0; i < g->count; i++) { /* losers stop before the winner is told */
        struct branch *b = &g->branches[i];
        timer_stop(loop_of(g), &b->late);
        if (b->task != NULL && !b->ended) {
            task_cancel(b->task);
            b->task = NULL;
        }
    }
    op_done(&g->op); /* may free g */
}

static void finish(struct group *g, struct branch *winner) {
    g->winner = winner;
    loop_soon(loop_of(g), &g->finish, finish_job);
}

static void start_some(struct deferred *j);

/* Those behind it wait for one less. */
static void release_next(struct group *g, const struct branch *b) {
    unsigned i = (unsigned)(b - g->branches);
    for (unsigned k = 0; k < g->edge_count; k++) {
        if (g->edges[k].before != i) continue;
        unsigned after = g->edges[k].after;
        g->branches[after].left--;
        if (after < g->next) g->next = after;
    }
}

static void branch_over(struct branch *b, bool bad) {
    struct group *g = b->group;
    if (deferred_is_waiting(&g->finish)) return; /* decided */
    g->running--;
    if (b->optional) b->threw = bad = false;
    bool last = g->running == 0 && g->started == g->count;
    if (b->threw || (g->mode == ALL && bad) || (g->mode == ANY && (!bad || last)) || g->mode == RACE) {
        finish(g, b);
    } else if (last) {
        finish(g, NULL);
    } else {
        release_next(g, b);
        loop_soon(loop_of(g), &g->start, start_some);
    }
}

static void on_branch_done(struct task *t, bool ok) {
    struct branch *b = t->owner;
    timer_stop(t->state->loop, &b->late);
    b->ended = true;
    b->threw = !ok;
    bool bad = failed(b);
    if (bad && b->optional && !ok) lua_settop(t->co, 0); /* what it threw is no result */
    branch_over(b, bad);
}

/* It is stopped.  One that may fail is done; another one is the failure of all, with `nil, "late"`. */
static void on_late(struct timer *timer) {
    struct branch *b = container_of(timer, struct branch, late);
    if (b->ended || b->task == NULL || deferred_is_waiting(&b->group->finish)) return;
    task_cancel(b->task);
    b->task = NULL;
    b->was_late = true;
    branch_over(b, true);
}

static void on_over(struct timer *timer) {
    struct group *g = container_of(timer, struct group, over);
    if (deferred_is_waiting(&g->finish)) return;
    g->is_over = true;
    finish(g, NULL);
}

static void start_one(struct group *g, struct branch *b) {
    b->started = true;
    g->started++;
    g->running++;
    /* Without memory for a timer it may take as long as all together. */
    if (b->most_ms > 0) timer_start(loop_of(g), &b->late, b->most_ms, on_late);
    task_start_soon(b->task);
}

static void start_some(struct deferred *j) {
    struct group *g = container_of(j, struct group, start);
    bool gap = false;
    for (unsigned i = g->next; i < g->count && g->running < g->limit; i++) {
        struct branch *b = &g->branches[i];
        if (!b->started && b->left == 0) start_one(g, b);
        gap |= !b->started;
        if (!gap) g->next = i + 1;
    }
}

static void nothing_to_do(struct group *g) { finish(g, NULL); }

/* -- Graphs ------------------------------------------------------------------------------- */

/* What comes before branch i: graph[i] is a list of numbers, or nil. */
static void read_edges(lua_State *L, int graph, struct group *g, unsigned i) {
    lua_rawgeti(L, graph, (int)i + 1);
    unsigned n = lua_istable(L, -1) ? (unsigned)lua_objlen(L, -1) : 0;
    for (unsigned k = 0; k < n; k++) {
        lua_rawgeti(L, -1, (int)k + 1);
        double before = lua_tonumber(L, -1);
        lua_pop(L, 1);
        if (!(before >= 1 && before <= g->count && before != i + 1)) luaL_error(L, "a graph has no branch %f", before);
        if (g->edge_count == g->edge_cap) luaL_error(L, "a graph has more edges than it says");
        g->edges[g->edge_count++] = (struct edge){ (unsigned)before - 1, i };
        g->branches[i].left++;
    }
    lua_pop(L, 1);
}

static uint64_t ms_at(lua_State *L, int i) {
    double v = lua_tonumber(L, i);
    return v > 0 && v < 1e9 ? (uint64_t)ceil(v * 1000) : 0;
}

/* { [i] = { before, ... }, edges = n, seconds = { [i] = most }, optional = { [i] = true } } */
static void read_graph(lua_State *L, int graph, struct group *g) {
    lua_getfield(L, graph, "edges");
    double edges = lua_tonumber(L, -1);
    if (!(edges >= 0 && edges <= EDGES_MOST)) luaL_error(L, "a graph has at most %d edges", EDGES_MOST);
    g->edges = mem_alloc(((size_t)edges + 1) * sizeof(*g->edges));
    if (g->edges == NULL) luaL_error(L, "out of memory for a graph");
    g->edge_cap = (unsigned)edges;
    lua_getfield(L, graph, "seconds");
    lua_getfield(L, graph, "optional");
    for (unsigned i = 0; i < g->count; i++) {
        read_edges(L, graph, g, i);
        lua_rawgeti(L, -2, (int)i + 1);
        g->branches[i].most_ms = ms_at(L, -1);
        lua_rawgeti(L, -2, (int)i + 1);
        g->branches[i].optional = lua_toboolean(L, -1);
        lua_pop(L, 2);
    }
    lua_pop(L, 3);
}

/* Of a cycle nobody would ever begin. */
static bool can_begin(const struct group *g) {
    for (unsigned i = 0; i < g->count; i++)
        if (g->branches[i].left == 0) return true;
    return g->count == 0;
}

/* core.spawn(mode, functions, limit, account, graph, seconds): [-6, +n, e], waits.  With a graph it returns a result,
 * an error, and { [i] = true of each branch that was late, over = did the time of all end it? }. */
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
    bool graph = !lua_isnoneornil(L, 5);
    if (graph) luaL_checktype(L, 5, LUA_TTABLE);
    uint64_t over_ms = ms_at(L, 6);
    op_check(L);
    struct task *parent = state_of(L)->running;
    const char *refused = task_refuses_branches(parent, count);
    if (refused != NULL) return luaL_error(L, "%s", refused);
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
    g->graph = graph;
    if (graph) read_graph(L, 5, g);
    if (!can_begin(g)) luaL_error(L, "a graph in a circle");
    if (over_ms > 0 && timer_start(loop_of(g), &g->over, over_ms, on_over) != 0) luaL_error(L, "not enough memory");
    parent->taken = NULL;
    if (count == 0) nothing_to_do(g);
    else loop_soon(parent->state->loop, &g->start, start_some);
    return op_wait(L, &g->op, "branches");
}
