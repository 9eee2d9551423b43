/* l_latch.c -- core.latch: something that happens once, for branches that wait for each other.
 *
 *     branch --latch_wait--> [ latch ] <--latch_set-- another branch
 *        ^                       |
 *        +---- end of the turn --+       or its own time is over
 *
 * What was set stays set: who comes later does not wait.  Who sets it runs, so those that wait go on at the end of the
 * turn.  A latch lives as long as Lua has it or somebody waits. */
#include <math.h>

#include "base/mem.h"
#include "bridge/latch.h"
#include "bridge/lib.h"
#include "bridge/task.h"

#define LATCH_TYPE "perilune.latch"

struct latch {
    unsigned        refs;
    bool            set;
    struct loop    *loop;
    struct list     waiting; /* struct waiter */
    struct deferred wake;
};

struct waiter {
    struct op     op;
    struct list   link;
    struct latch *latch; /* a share */
    struct timer  late;
    bool          came;
};

void latch_put(struct latch *l) {
    if (l == NULL || --l->refs > 0) return;
    deferred_cancel(&l->wake);
    mem_free(l);
}

static void waiter_free(struct op *op) {
    struct waiter *w = container_of(op, struct waiter, op);
    list_remove(&w->link);
    timer_stop(w->latch->loop, &w->late);
    latch_put(w->latch);
    mem_free(w);
}

static int waiter_push(lua_State *L, struct op *op) {
    lua_pushboolean(L, container_of(op, struct waiter, op)->came);
    waiter_free(op);
    return 1;
}

static void on_wake(struct deferred *d) {
    struct latch *l = container_of(d, struct latch, wake);
    l->refs++;
    while (!list_is_empty(&l->waiting)) {
        struct waiter *w = container_of(l->waiting.next, struct waiter, link);
        list_remove(&w->link);
        w->came = true;
        op_done(&w->op); /* may free any of them */
    }
    latch_put(l);
}

static void on_late(struct timer *t) {
    struct waiter *w = container_of(t, struct waiter, late);
    list_remove(&w->link);
    op_done(&w->op); /* may free w */
}

static struct latch *to_latch(lua_State *L) { return *(struct latch **)luaL_checkudata(L, 1, LATCH_TYPE); }

/* core.latch() */
int l_latch(lua_State *L) {
    struct latch **box = lua_newuserdata(L, sizeof(*box));
    struct latch *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return luaL_error(L, "not enough memory");
    *l = (struct latch){ .refs = 1, .loop = state_of(L)->loop };
    list_init(&l->waiting);
    *box = l;
    luaL_getmetatable(L, LATCH_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

struct latch *latch_take(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return NULL;
    struct latch *l = *(struct latch **)luaL_checkudata(L, index, LATCH_TYPE);
    l->refs++;
    return l;
}

void latch_set(struct latch *l) {
    if (l == NULL || l->set) return;
    l->set = true;
    if (!list_is_empty(&l->waiting)) loop_soon(l->loop, &l->wake, on_wake);
}

/* core.latch_set(latch) */
int l_latch_set(lua_State *L) {
    latch_set(to_latch(L));
    return 0;
}

/* core.latch_wait(latch, seconds | nil) -> whether it is set, waits */
int l_latch_wait(lua_State *L) {
    struct latch *l = to_latch(L);
    double seconds = luaL_optnumber(L, 2, -1);
    luaL_argcheck(L, seconds < 1e9, 2, "a number of seconds");
    if (l->set || seconds == 0) {
        lua_pushboolean(L, l->set);
        return 1;
    }
    op_check(L);
    struct waiter *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return luaL_error(L, "not enough memory");
    w->op = (struct op){ .task = state_of(L)->running, .cancel = waiter_free, .push = waiter_push };
    w->latch = l;
    l->refs++;
    list_append(&l->waiting, &w->link);
    if (seconds > 0 && timer_start(l->loop, &w->late, (uint64_t)ceil(seconds * 1000), on_late) != 0) {
        waiter_free(&w->op);
        return luaL_error(L, "not enough memory");
    }
    return op_wait(L, &w->op, "another branch");
}

static int l_gc(lua_State *L) {
    struct latch **box = lua_touserdata(L, 1);
    latch_put(*box);
    return 0;
}

void latch_open(lua_State *L) { lib_open_owned(L, LATCH_TYPE, l_gc); }
