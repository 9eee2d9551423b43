/* host_call.h -- one call of a function of the program. See host_call.c. */
#ifndef PERILUNE_BRIDGE_HOST_CALL_H
#define PERILUNE_BRIDGE_HOST_CALL_H

#include "bridge/host.h"
#include "bridge/task.h"

#define HOST_ARGS 16

struct later;

/* What the program says; text is of an answer, or the message of a failure. */
struct host_answer {
    int        type;   /* of enum perilune_type */
    double     number;
    bool       failed;
    char       code[48];
    struct buf text;
};

/* On the stack of who calls, or the first member of what perilune_call_defer() made. */
struct perilune_call {
    const struct host_function *f;
    lua_State         *L;        /* that waits for the function to return; NULL: it has */
    bool               answered;
    struct host_answer answer;
    struct later      *later;    /* it comes later; of a later call: itself */
};

/* Behind the function: what it answered is taken out of c, and pushed. [0, +n, e] */
int host_push_answer(lua_State *L, const struct host_function *f, struct host_answer *a);
/* The same when the answer comes later: parks the task, as the last thing a C function does. */
int host_wait(lua_State *L, struct later *later);

#endif
