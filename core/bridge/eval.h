/* eval.h -- a function of Lua that the program calls: a rule. See eval.c. */
#ifndef PERILUNE_BRIDGE_EVAL_H
#define PERILUNE_BRIDGE_EVAL_H

#include "bridge/task.h"

/* On the stack of who calls.  Borrowed until it is over: all texts. */
struct eval {
    struct slice code;     /* a name of the configuration's `rules`, or a chunk */
    const char  *function; /* NULL: the chunk, or the module, itself */
    struct slice args;     /* JSON; ptr NULL: none */
    struct buf  *result;   /* gets JSON */
    char        *err;      /* gets a sentence */
    size_t       errlen;
    int          rc;       /* when it is over */
    bool         over;
    struct task *task;     /* until it is */
    void       (*ended)(struct eval *e); /* when it has waited; may be NULL */
};

/* Runs it until it has ended, or waits for something that the loop brings. */
void eval_begin(struct state *s, struct eval *e);
/* What it waits for. */
const char *eval_waits_for(const struct eval *e);
/* It has to end, with this code and sentence. */
void eval_cancel(struct eval *e, int rc, const char *why);

#endif
