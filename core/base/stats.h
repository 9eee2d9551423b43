/* stats.h -- counters and latency histograms, written by one thread (but for one function), read by any.
 * See stats.c. */
#ifndef PERILUNE_BASE_STATS_H
#define PERILUNE_BASE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

typedef atomic_uint_least64_t stats_counter;

static inline void stats_add(stats_counter *c, uint64_t n) {
    /* One writer: a plain add, visible to readers, without a locked instruction. */
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline uint64_t stats_get(const stats_counter *c) {
    return atomic_load_explicit((stats_counter *)(uintptr_t)c, memory_order_relaxed);
}

/* Upper bounds in microseconds: OpenTelemetry's GenAI buckets, finer below. */
#define STATS_BUCKETS 18

struct histogram {
    stats_counter counts[STATS_BUCKETS + 1]; /* the last: above all bounds */
    stats_counter sum_us;
};

void histogram_record(struct histogram *h, uint64_t us);
/* The same where several threads write. */
void histogram_record_shared(struct histogram *h, uint64_t us);
/* to += from; for sums over threads. */
void histogram_merge(struct histogram *to, const struct histogram *from);
/* Prometheus text: NAME_bucket{le="..."}, NAME_sum, NAME_count, in seconds. */
void histogram_write(const struct histogram *h, const char *name, const char *help, struct buf *out);
/* The same without the lines about it, with labels: a="b",c="d". */
void histogram_write_labeled(const struct histogram *h, const char *name, const char *labels, struct buf *out);

#endif
