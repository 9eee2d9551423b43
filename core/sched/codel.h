/* codel.h -- is a queue too long, or only full for a moment? See codel.c. */
#ifndef PERILUNE_SCHED_CODEL_H
#define PERILUNE_SCHED_CODEL_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: a queue that is fine. Milliseconds. */
struct codel {
    uint64_t target, interval; /* target 0: everything is fine */
    uint64_t above_until;      /* since an interval before that nobody waited less than the target; 0: somebody did */
    uint64_t next;             /* while it sheds: when the next one goes */
    unsigned shed;             /* in this row; 0: it does not shed */
};

/* Somebody is taken from the queue who waited so long.  True: turn it away and take the next one. */
bool codel_sheds(struct codel *c, uint64_t waited, uint64_t now);

#endif
