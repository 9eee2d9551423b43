/* task.h -- one coroutine and the single thing it waits for. See task.c. */
#ifndef PERILUNE_BRIDGE_TASK_H
#define PERILUNE_BRIDGE_TASK_H

#include "bridge/state.h"

struct request;
struct policy_result;

/* Something a task waits for. Embedded in the primitive's own struct. */
struct op {
    struct task *task;
    const char  *name; /* for /admin/tasks: "sleep", "upstream" ... static */
    const char  *what; /* behind the name, or NULL: "big"; op-owned */
    /* The task is gone: stop, free yourself, touch no Lua. */
    void       (*cancel)(struct op *op);
    /* Inside the task again: push the results, then free yourself.  Create Lua
     * objects first, give ownership away last: a raise before that must leave the
     * op whole, it is then cancelled (also when a pcall catches it). Returns the
     * number of results. */
    int        (*push)(lua_State *L, struct op *op);
};

struct task {
    struct state *state;
    lua_State    *co;
    int           ref;      /* anchors co in the registry */
    struct op    *op;       /* what it waits for; NULL while it runs or is ready */
    struct op    *result;   /* finished, not yet taken by core.result() */
    struct op    *taken;    /* core.result() pushes what it brought; left here when that raised */
    _Alignas(16) char room[64]; /* for an op: op_alloc() */
    bool          room_used;
    struct budget *budget;  /* a share of its request's */
    bool          branch;   /* of another task, whose budget it shares */
    unsigned      depth;    /* of a branch: how many tasks stand around it */
    bool          trying, attempt_over; /* see budget_attempt() */
    uint64_t      attempt_us; /* what the budget will have used when the attempt ends */
    struct request *request; /* borrowed; NULL in tests */
    struct list   ready;    /* among the state's ready or resting: used up its slice, or is to start */
    uint64_t      rests_since_us; /* while it is among the resting */
    bool          returned; /* by itself: co can be used again */
    int           arguments;/* on co's stack for the first resume */
    /* Called once when it ends by itself: ok, results are on co's stack; else the
     * error text with traceback is there.  May free t. */
    void        (*done)(struct task *t, bool ok);
    void         *owner;
    void        (*owner_done)(void *owner, const struct policy_result *result); /* policy.c */
};

/* Takes the function and n arguments on top of L's stack [-(n+1), +0, e] into a
 * new coroutine, not yet running. */
struct task *task_new(lua_State *L, int n);
/* One that ended by itself before, for a function that the caller pushes on its empty
 * stack; NULL when there is none.  Cannot raise. */
struct task *task_again(struct state *s);
/* NULL, or why parent may not have n branches more. */
const char *task_refuses_branches(const struct task *parent, size_t n);
/* It is a branch of parent: works for the same request. */
void task_branch(struct task *t, struct task *parent);
/* It has an account of its own after all; trusted: without limits.  False: no memory. */
bool task_own_budget(struct task *t, bool trusted);
/* Starts or continues it; may call done, may free t. */
void task_resume(struct task *t);
/* The same, but later when this turn of the loop has been long, or the task has to wait for others. */
void task_go_on(struct task *t);
/* Starts it before the loop blocks again. */
void task_start_soon(struct task *t);
/* Stops what it waits for and forgets it; done is not called. t is freed. */
void task_cancel(struct task *t);
/* After done: gives the coroutine back. */
void task_free(struct task *t);
/* The state is about to close. */
void task_drop_spares(struct state *s);

/* Zeroed memory for an op of t and its struct, mostly from t's own room; NULL when there
 * is none.  Back with op_free(), before t goes. */
void *op_alloc(struct task *t, size_t size);
void  op_free(struct task *t, void *op);
/* Parks the running task: `return op_wait(L, &x->op, "sleep")`, as the last thing
 * a C function does.  Raises, with op cancelled, where waiting is not possible. */
int  op_wait(lua_State *L, struct op *op, const char *name);
/* Can the running code wait here?  Raises if not: call before acquiring anything. */
void op_check(lua_State *L);
bool op_is_possible(lua_State *L);
/* The thing waited for has happened: continues the task.  May free op. */
void op_done(struct op *op);
int  l_result(lua_State *L); /* core.result */

#endif
