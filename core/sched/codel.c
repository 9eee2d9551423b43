/* codel.c -- is a queue too long, or only full for a moment?
 *
 *     waited      /\      /--------------------          FINE      somebody waited less than the target
 *     target ----/--\----/-----------------------        ABOVE     nobody did, for less than an interval
 *               /    \__/ ^          ^ ^ ^ ^^^           SHEDDING  nobody did for longer: one is turned away, the
 *                         ABOVE      SHEDDING                      next one sooner and sooner
 *
 * CoDel (Nichols and Jacobson, RFC 8289), with requests for packets.  A burst that drains is let through whole; a queue
 * that stands is made shorter until it does not stand, at a rate that grows with the square root of how many
 * were turned away, as the RFC has it.
 *
 * Whoever went to work within the target ends the row at once. */
#include "sched/codel.h"

#include <math.h>

static uint64_t gap(const struct codel *c) { return (uint64_t)((double)c->interval / sqrt((double)c->shed)); }

static bool sheds_now(struct codel *c, uint64_t now) {
    if (c->shed > 0 && now < c->next) return false;
    c->shed++;
    c->next = now + gap(c);
    return true;
}

bool codel_sheds(struct codel *c, uint64_t waited, uint64_t now) {
    if (c->target == 0) return false;
    if (waited < c->target) {
        c->above_until = 0;
        c->shed = 0;
        return false;
    }
    if (c->above_until == 0) {
        c->above_until = now + c->interval;
        return false;
    }
    return now >= c->above_until && sheds_now(c, now);
}
