/* l_signal.c -- core.signal(): branches of a request tell each other that something is there.
 *
 *     branch A --wait--> [ op ] --+
 *     branch B --wait--> [ op ] --+-- signal <--tell-- branch C
 *                                      (end of the turn: both go on)
 *
 * perilune.all and its kin wait for ends; a plan that is carried out while it is written waits for lines, results and
 * free hands, too.  A branch looks whether there is something to do, and waits when there is not; whoever changes that
 * tells.  A signal keeps nothing: who waits looks again, and waits again.  Branches of a request never run at the
 * same time, so nothing is missed between the look and the wait.
 *
 * Nobody is resumed from below the branch that tells: that is put off to the end of the turn.  Until then those that
 * were waiting stand in `told`, so that who waits anew in between is not told of what it has seen.
 *
 * Thread: its state's.  The userdata has a share, each that waits has one, and so has the deferred work. */
#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/task.h"

#define TYPE "perilune.signal"

struct signal {
    unsigned        refs;
    struct list     waiting, told; /* struct waiter */
    struct deferred soon;
    struct loop    *loop;
};

struct waiter {
    struct op      op;
    struct list    link;
    struct signal *signal; /* a share */
};

static void signal_put(struct signal *s) {
    if (--s->refs > 0) return;
    mem_free(s);
}

static void waiter_free(struct waiter *w) {
    list_remove(&w->link);
    signal_put(w->signal);
    op_free(w->op.task, w);
}

static void cancel(struct op *op) { waiter_free(container_of(op, struct waiter, op)); }

static int push(lua_State *L, struct op *op) {
    (void)L;
    waiter_free(container_of(op, struct waiter, op));
    return 0;
}

/* Those that were told go on; each may end others, and make new ones wait. */
static void on_soon(struct deferred *d) {
    struct signal *s = container_of(d, struct signal, soon);
    while (!list_is_empty(&s->told)) {
        struct waiter *w = container_of(s->told.next, struct waiter, link);
        list_remove(&w->link);
        list_init(&w->link);
        op_done(&w->op); /* may free w */
    }
    signal_put(s);
}

static struct signal *check(lua_State *L) { return *(struct signal **)luaL_checkudata(L, 1, TYPE); }

/* core.signal_tell(s): all that wait now go on, at the end of this turn */
int l_signal_tell(lua_State *L) {
    struct signal *s = check(L);
    while (!list_is_empty(&s->waiting)) {
        struct list *l = s->waiting.next;
        list_remove(l);
        list_append(&s->told, l);
    }
    if (list_is_empty(&s->told) || deferred_is_waiting(&s->soon)) return 0;
    s->refs++;
    loop_soon(s->loop, &s->soon, on_soon);
    return 0;
}

/* core.signal_wait(s) @async */
int l_signal_wait(lua_State *L) {
    struct signal *s = check(L);
    op_check(L);
    struct task *t = state_of(L)->running;
    struct waiter *w = op_alloc(t, sizeof(*w));
    if (w == NULL) return luaL_error(L, "not enough memory");
    w->op = (struct op){ .task = t, .cancel = cancel, .push = push };
    w->signal = s;
    s->refs++;
    list_append(&s->waiting, &w->link);
    return op_wait(L, &w->op, "another branch");
}

static int l_gc(lua_State *L) {
    struct signal **s = luaL_checkudata(L, 1, TYPE);
    if (*s != NULL) signal_put(*s);
    *s = NULL;
    return 0;
}

/* core.signal() */
int l_signal(lua_State *L) {
    struct signal **s = lua_newuserdata(L, sizeof(*s));
    *s = NULL;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    *s = mem_zalloc(sizeof(**s));
    if (*s == NULL) return luaL_error(L, "not enough memory");
    (*s)->refs = 1;
    (*s)->loop = state_of(L)->loop;
    list_init(&(*s)->waiting);
    list_init(&(*s)->told);
    return 1;
}

void signal_open(lua_State *L) { lib_open_owned(L, TYPE, l_gc); }
