/* latency.h -- how long something takes lately. See latency.c. */
#ifndef PERILUNE_SCHED_LATENCY_H
#define PERILUNE_SCHED_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_BUCKETS 84

/* Zeroed: nothing is known. */
struct latency {
    atomic_uint           counts[LATENCY_BUCKETS];
    atomic_uint           total;
    atomic_uint_least64_t halve_at_ms;
};

/* Any thread. */
void     latency_add(struct latency *l, uint64_t us, uint64_t now_ms);
/* Microseconds that the share q (0 to 1) does not exceed, within a fifth; 0: too little is known, or nothing new. */
uint64_t latency_quantile(const struct latency *l, double q, uint64_t now_ms);

#endif
