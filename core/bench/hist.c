/* hist.c -- a log-linear histogram, as HdrHistogram made popular.
 *
 * Small values have a bucket each.  From 2^8 on every power of two is cut into
 * 128 equal steps, so a bucket is never wider than 1/128 of its values:
 *
 *      value     0 .. 255 | 256 .. 511  | 512 .. 1023 | 1024 .. 2047 ...
 *      width        1     |     2       |     4       |     8
 *      bucket    0 .. 255 | 256 .. 383  | 384 .. 511  |  512 .. 639  ...
 *
 * The bucket is found with one count of leading zeros, no table and no float.
 * Quantiles report the middle of a bucket, hence half the width as error.
 */
#include "bench/hist.h"

#include <string.h>

#define SUB (1u << HIST_SUB_BITS)

static unsigned bucket_of(uint64_t value) {
    if (value < 2 * SUB) return (unsigned)value;
    if (value >> HIST_MAX_BITS) return HIST_BUCKETS - 1;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (unsigned)(value >> shift);
}

/* The value in the middle of a bucket. */
static uint64_t bucket_value(unsigned i) {
    if (i < 2 * SUB) return i;
    unsigned shift = (i >> HIST_SUB_BITS) - 1;
    uint64_t low = (uint64_t)((i & (SUB - 1)) + SUB) << shift;
    return low + ((uint64_t)1 << shift) / 2;
}

void hist_init(struct hist *h) {
    memset(h, 0, sizeof(*h));
    h->min = UINT64_MAX;
}

void hist_add(struct hist *h, uint64_t value) {
    h->count++;
    h->sum += value;
    if (value < h->min) h->min = value;
    if (value > h->max) h->max = value;
    h->buckets[bucket_of(value)]++;
}

uint64_t hist_quantile(const struct hist *h, double q) {
    if (h->count == 0) return 0;
    if (!(q > 0)) return h->min;
    if (q >= 1) return h->max;

    /* The rank, rounded up -- but 0.278 * 20000 is a hair over 5560 in binary. */
    double   want = q * (double)h->count * (1 - 1e-12);
    uint64_t rank = (uint64_t)want + 1;

    uint64_t seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen < rank) continue;
        /* The last bucket takes everything over the range: its middle means
         * nothing, the exact maximum does. */
        uint64_t v = i == HIST_BUCKETS - 1 ? h->max : bucket_value(i);
        return v > h->max ? h->max : v < h->min ? h->min : v;
    }
    return h->max;
}

double hist_mean(const struct hist *h) {
    return h->count ? (double)h->sum / (double)h->count : 0;
}
