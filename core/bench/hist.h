/* hist.h -- a latency histogram: fixed memory, any range, at most 0.8 % error.
 * See hist.c. */
#ifndef PERILUNE_BENCH_HIST_H
#define PERILUNE_BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7                        /* 128 steps per power of two */
#define HIST_MAX_BITS 40                       /* 2^40 us: twelve days */
#define HIST_BUCKETS  ((HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
    uint64_t count;
    uint64_t min, max; /* exact; min is UINT64_MAX while empty */
    uint64_t sum;
    uint64_t buckets[HIST_BUCKETS];
};

void hist_init(struct hist *h);
/* Values of 2^40 and more land in the last bucket; max stays exact. */
void hist_add(struct hist *h, uint64_t value);

/* The smallest recorded value that at least the fraction q of all values do not
 * exceed, within 0.4 %; exact for q <= 0 (min), q >= 1 (max) and values under
 * 256.  0 while empty. */
uint64_t hist_quantile(const struct hist *h, double q);
double   hist_mean(const struct hist *h);

#endif
