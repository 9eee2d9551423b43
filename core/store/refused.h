/* refused.h -- what a server refuses is one line of the log. See refused.c. */
#ifndef PERILUNE_STORE_REFUSED_H
#define PERILUNE_STORE_REFUSED_H

#include "base/log.h"
#include "base/slice.h"

/* Of one server, for all threads of a process.  Zeroed: it refuses nothing. */
struct refused {
    atomic_uint_least64_t now; /* the error's first letters, and what was asked, in the last byte; 0: nothing */
    struct log_limit      limit;
};

/* Is this refusal one to tell of?  what: a kind of question, below 255. */
bool refused_begins(struct refused *r, unsigned what, struct slice error, uint64_t now_ms);
/* A question of this kind was answered. */
void refused_ends(struct refused *r, unsigned what);
/* It is another server, or a new connection: the next refusal is told. */
void refused_forget(struct refused *r);

#endif
