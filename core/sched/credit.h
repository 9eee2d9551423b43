/* credit.h -- something that may be done for a share of all requests. See credit.c. */
#ifndef PERILUNE_SCHED_CREDIT_H
#define PERILUNE_SCHED_CREDIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing was earned or spent yet. */
struct credit {
    atomic_int_least64_t  thousandths;
    atomic_uint_least64_t at_ms; /* the floor is paid up to here; 0: it never was */
};

#define CREDIT_BEGIN_S 10 /* seconds of the floor that an account begins with */

/* Any thread.  A request came: it earns `share`; `floor` is paid each second anyway.  No more than `most` is saved.
 * All are thousandths of a unit. */
void credit_earn(struct credit *c, unsigned share, unsigned floor, unsigned most, uint64_t now_ms);
/* Takes one unit.  False: there is none. */
bool credit_spend(struct credit *c);

#endif
