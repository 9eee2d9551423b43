/* test_hist.c -- histograms: against sorted values, at the edges. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bench/hist.h"
#include "unit.h"

#define COUNT 20000

static struct hist *fresh(void) {
    struct hist *h = mem_alloc(sizeof(*h));
    CHECK(h != NULL);
    hist_init(h);
    return h;
}

TEST(empty_is_zero) {
    struct hist *h = fresh();
    CHECK_UINT(hist_quantile(h, 0.5), 0);
    CHECK_UINT(hist_quantile(h, 1), 0);
    CHECK_DOUBLE(hist_mean(h), 0);
    mem_free(h);
}

TEST(small_values_are_exact) {
    struct hist *h = fresh();
    for (uint64_t v = 0; v < 200; v++) hist_add(h, v);
    CHECK_UINT(hist_quantile(h, 0), 0);
    CHECK_UINT(hist_quantile(h, 0.5), 99);
    CHECK_UINT(hist_quantile(h, 0.99), 197);
    CHECK_UINT(hist_quantile(h, 1), 199);
    CHECK_DOUBLE(hist_mean(h), 99.5);
    mem_free(h);
}

TEST(one_value_is_every_quantile) {
    struct hist *h = fresh();
    hist_add(h, 123457);
    for (double q = 0; q <= 1; q += 0.125) CHECK_UINT(hist_quantile(h, q), 123457);
    mem_free(h);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Every quantile of values spread over twelve decades is within 0.4 % (and one). */
TEST(quantiles_are_near_the_sorted_values) {
    struct rng   r;
    struct hist *h = fresh();
    uint64_t    *all = mem_alloc(COUNT * sizeof(*all));
    CHECK(all != NULL);
    rng_seed(&r, 7);
    for (int i = 0; i < COUNT; i++) {
        all[i] = rng_next(&r) >> (24 + rng_next(&r) % 40);
        hist_add(h, all[i]);
    }
    qsort(all, COUNT, sizeof(*all), by_value);
    for (int i = 1; i <= 1000; i++) {
        size_t   rank = (size_t)i * COUNT / 1000;
        uint64_t want = all[rank - 1], got = hist_quantile(h, (double)i / 1000);
        uint64_t off = got > want ? got - want : want - got;
        NOTE("q %d/1000: want %llu, got %llu", i, (unsigned long long)want, (unsigned long long)got);
        CHECK((double)off <= (double)want * 0.004 + 1);
    }
    mem_free(all);
    mem_free(h);
}

/* Around every power of two: buckets are in order and none is skipped over. */
TEST(bucket_edges) {
    struct hist *h = fresh();
    for (unsigned bit = 1; bit < 40; bit++) {
        for (int64_t d = -1; d <= 1; d++) {
            uint64_t v = (uint64_t)(((int64_t)1 << bit) + d);
            hist_init(h);
            hist_add(h, v);
            hist_add(h, (uint64_t)1 << 39); /* so that max does not hide the bucket */
            hist_add(h, (uint64_t)1 << 39);
            uint64_t got = hist_quantile(h, 0.3);
            NOTE("%llu became %llu", (unsigned long long)v, (unsigned long long)got);
            CHECK(got >= v - v / 256 - 1 && got <= v + v / 256 + 1);
        }
    }
    mem_free(h);
}

TEST(beyond_the_range) {
    struct hist *h = fresh();
    hist_add(h, UINT64_MAX);
    hist_add(h, (uint64_t)1 << 40);
    hist_add(h, 5);
    CHECK_UINT(hist_quantile(h, 0), 5);
    CHECK_UINT(hist_quantile(h, 1), UINT64_MAX);
    CHECK_UINT(hist_quantile(h, 0.99), UINT64_MAX);
    mem_free(h);
}
