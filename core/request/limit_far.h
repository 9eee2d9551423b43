/* limit_far.h -- limits that machines share, in Redis. See limit_far.c. */
#ifndef PERILUNE_REQUEST_LIMIT_FAR_H
#define PERILUNE_REQUEST_LIMIT_FAR_H

#include "sched/limit.h"
#include "store/far.h"
#include "store/words.h"

/* What is reserved there. */
struct far_hold;

/* Who waits for a decision; embedded there, zeroed before the first use. */
struct far_take {
    struct store_op    op;
    struct far        *far;
    struct far_hold   *hold;   /* once it was taken: for who takes it from here */
    struct limit_ask   ask;    /* what was reserved */
    struct words       words;  /* of the question, to be asked again as a whole script */
    bool               whole;
    struct limit_state state;
    /* rc 0: it was taken, and so was `hold`; PERILUNE_ERR_LIMITED: refused.  In both cases `state` is what was found.
     * Else: Redis did not decide (in time). */
    void             (*done)(struct far_take *t, int rc);
};

/* Asks; lease_ms: when nobody says until then how it ended, it goes back by itself.  ask is complete
 * (limits_foretell).  Returns 0, and done() comes later, once; or an error, and it never comes. */
int  far_take_begin(struct far *f, struct far_take *t, struct limit_group *g, const struct limit_rule *rule,
                    struct slice key, const struct limit_ask *ask, uint64_t lease_ms,
                    void (*done)(struct far_take *t, int rc));
/* done() does not come; what may have been taken goes back. */
void far_take_cancel(struct far_take *t);

/* It ended: `by` is used, of requests, tokens and USD.  undoes: as if it had never been taken.  Takes h. */
void far_hold_end(struct far_hold *h, const double by[LIMIT_KINDS], bool undoes);

#endif
