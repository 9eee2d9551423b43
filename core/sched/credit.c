/* credit.c -- something that may be done for a share of all requests: retries, hedges.
 *
 *     every request  +0.1  --+
 *     every second   +3    --+--> [ thousandths, at most `most` units ] --> one unit for each retry
 *
 * When everything fails, retries are load on what is broken already: they must not be more than a share of it.  When
 * little is asked the share is nothing, hence the floor.  No lock: two that overflow it at once lose a little,
 * and only while there is plenty. */
#include "sched/credit.h"

static int64_t floor_due(struct credit *c, unsigned floor, unsigned most, uint64_t now) {
    uint64_t at = atomic_load_explicit(&c->at_ms, memory_order_relaxed);
    if (floor == 0) return 0;
    if (at == 0) { /* the account begins with the floor of some seconds */
        bool mine = atomic_compare_exchange_strong(&c->at_ms, &at, now ? now : 1);
        return mine ? (int64_t)floor * CREDIT_BEGIN_S : 0;
    }
    uint64_t ms = now > at ? now - at : 0, enough = (uint64_t)most * 1000 / floor + 1;
    int64_t due = (int64_t)((ms < enough ? ms : enough) * floor / 1000);
    if (now > at && due == 0) return 0; /* a small floor takes a while to be a thousandth */
    if (now == at || !atomic_compare_exchange_strong(&c->at_ms, &at, now ? now : 1)) return 0;
    return due; /* 0: the clock was set back */
}

void credit_earn(struct credit *c, unsigned share, unsigned floor, unsigned most, uint64_t now_ms) {
    int64_t add = (int64_t)share + floor_due(c, floor, most, now_ms);
    int64_t now = atomic_fetch_add_explicit(&c->thousandths, add, memory_order_relaxed) + add;
    if (now > most) atomic_fetch_sub_explicit(&c->thousandths, now - most, memory_order_relaxed);
}

bool credit_spend(struct credit *c) {
    if (atomic_fetch_sub_explicit(&c->thousandths, 1000, memory_order_relaxed) >= 1000) return true;
    atomic_fetch_add_explicit(&c->thousandths, 1000, memory_order_relaxed);
    return false;
}
