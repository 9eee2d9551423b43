/* latency.c -- how long something takes lately: a histogram that forgets.
 *
 *     bucket  0        1        2        3       4        ...  83
 *     up to   0.1 ms   x 1.19   x 1.41   x 1.68  0.2 ms        177 s      four to a doubling
 *
 * All counts are halved when there are MANY, or when HALF_LIFE_MS have gone by: what happened a minute ago weighs an
 * eighth of what happens now, and a quiet hour forgets a bad one.  Threads write without a lock: a count that two
 * halve at once loses a little, which no quantile feels. */
#include "sched/latency.h"

#include <stdbool.h>

#define MANY         4096
#define FEW          8 /* samples below which nothing is claimed */
#define HALF_LIFE_MS 20000
#define FIRST_US     100

static unsigned bucket_of(uint64_t us) {
    static const unsigned steps[] = { 1189, 1414, 1682 }; /* thousandths */
    unsigned octave = 0;
    uint64_t base = FIRST_US;
    while (us > base && octave < LATENCY_BUCKETS / 4) {
        base *= 2;
        octave++;
    }
    if (octave == 0) return 0;
    unsigned i = (octave - 1) * 4 + 1;
    for (unsigned k = 0; k < 3 && us * 1000 > base / 2 * steps[k]; k++) i++;
    return i < LATENCY_BUCKETS ? i : LATENCY_BUCKETS - 1;
}

static uint64_t bound_of(unsigned bucket) {
    static const unsigned steps[] = { 1000, 1189, 1414, 1682 };
    return ((uint64_t)FIRST_US << (bucket / 4)) * steps[bucket % 4] / 1000;
}

static void halve(struct latency *l) {
    unsigned total = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        unsigned n = atomic_load_explicit(&l->counts[i], memory_order_relaxed) / 2;
        atomic_store_explicit(&l->counts[i], n, memory_order_relaxed);
        total += n;
    }
    atomic_store_explicit(&l->total, total, memory_order_relaxed);
}

void latency_add(struct latency *l, uint64_t us, uint64_t now_ms) {
    uint64_t at = atomic_load_explicit(&l->halve_at_ms, memory_order_relaxed);
    bool late = now_ms >= at || at > now_ms + HALF_LIFE_MS; /* or the clock was set back */
    bool full = atomic_load_explicit(&l->total, memory_order_relaxed) >= MANY;
    if ((late || full) && atomic_compare_exchange_strong(&l->halve_at_ms, &at, now_ms + HALF_LIFE_MS) && at != 0)
        halve(l);
    atomic_fetch_add_explicit(&l->counts[bucket_of(us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->total, 1, memory_order_relaxed);
}

uint64_t latency_quantile(const struct latency *l, double q, uint64_t now_ms) {
    unsigned total = 0, sum = 0;
    uint64_t at = atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)&l->halve_at_ms, memory_order_relaxed);
    if (now_ms > at + HALF_LIFE_MS) return 0; /* who is slow is asked no more, and would be slow for ever */
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        total += atomic_load_explicit((atomic_uint *)(uintptr_t)&l->counts[i], memory_order_relaxed);
    if (total < FEW) return 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        sum += atomic_load_explicit((atomic_uint *)(uintptr_t)&l->counts[i], memory_order_relaxed);
        if ((double)sum >= q * (double)total && sum > 0) return bound_of(i);
    }
    return bound_of(LATENCY_BUCKETS - 1);
}
