/* test_stats.c -- counters and histograms. */
#include "base/stats.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

static uint64_t count(const struct histogram *h, int i) { return stats_get(&h->counts[i]); }

TEST_NOFAULT(a_bound_belongs_to_its_bucket) {
    struct histogram h = { .sum_us = 0 };
    histogram_record(&h, 0);
    histogram_record(&h, 100);
    histogram_record(&h, 101);
    histogram_record(&h, 250);
    CHECK_UINT(count(&h, 0), 2);
    CHECK_UINT(count(&h, 1), 2);
    histogram_record(&h, 81920000);
    CHECK_UINT(count(&h, STATS_BUCKETS - 1), 1);
    CHECK_UINT(count(&h, STATS_BUCKETS), 0);
    histogram_record(&h, 81920001);
    histogram_record(&h, UINT64_MAX / 2);
    CHECK_UINT(count(&h, STATS_BUCKETS), 2);
    CHECK_UINT(stats_get(&h.sum_us), 0 + 100 + 101 + 250 + 81920000ull + 81920001ull + UINT64_MAX / 2);
}

TEST_NOFAULT(sums_over_threads) {
    struct histogram a = { .sum_us = 0 }, b = { .sum_us = 0 }, all = { .sum_us = 0 };
    for (uint64_t us = 1; us < 200000000; us *= 3) {
        histogram_record(&a, us);
        histogram_record(&all, us);
        histogram_record(&b, us * 2);
        histogram_record(&all, us * 2);
    }
    histogram_merge(&a, &b);
    for (int i = 0; i <= STATS_BUCKETS; i++) CHECK_UINT(count(&a, i), count(&all, i));
    CHECK_UINT(stats_get(&a.sum_us), stats_get(&all.sum_us));
}

/* What Prometheus insists on: cumulative, bounds that grow, +Inf equal to the count. */
static void check_text(const char *text, unsigned total, const char *sum) {
    double last_bound = -1;
    unsigned long last = 0, buckets = 0;
    char line[128];
    CHECK(slice_starts(slice_str(text), SLICE("# HELP x_seconds Of x.\n# TYPE x_seconds histogram\n")));
    for (const char *p = text; (p = strstr(p, "x_seconds_bucket{le=\"")) != NULL; buckets++) {
        char *end;
        p += 21;
        bool inf = strncmp(p, "+Inf", 4) == 0;
        double bound = inf ? 1e300 : strtod(p, &end);
        CHECK(bound > last_bound);
        last_bound = bound;
        unsigned long n = strtoul(strchr(p, '}') + 2, &end, 10);
        CHECK(n >= last && *end == '\n');
        last = n;
        if (inf) CHECK_UINT(n, total);
    }
    CHECK_UINT(buckets, STATS_BUCKETS + 1);
    CHECK(last_bound == 1e300);
    snprintf(line, sizeof(line), "\nx_seconds_sum %s\nx_seconds_count %u\n", sum, total);
    CHECK(strstr(text, line) != NULL && strstr(text, line)[strlen(line)] == '\0');
}

TEST_FAULT(as_text) {
    struct histogram h = { .sum_us = 0 };
    struct buf out;
    for (uint64_t us = 1; us <= 100000000; us *= 10) histogram_record(&h, us);
    buf_init(&out, 0);
    histogram_write(&h, "x_seconds", "Of x.", &out);
    const char *text = buf_cstr(&out);
    if (!FAULTED(text)) {
        CHECK(text != NULL);
        check_text(text, 9, "111.111111");
        CHECK(strstr(text, "{le=\"0.0001\"} 3\n") != NULL);
        CHECK(strstr(text, "{le=\"0.01\"} 5\n") != NULL);
        CHECK(strstr(text, "{le=\"81.92\"} 8\n") != NULL);
    }
    buf_deinit(&out);
}

TEST(nothing_counted_yet) {
    struct histogram h = { .sum_us = 0 };
    struct buf out;
    buf_init(&out, 0);
    histogram_write(&h, "x_seconds", "Of x.", &out);
    const char *text = buf_cstr(&out);
    CHECK(text != NULL);
    check_text(text, 0, "0.000000");
    buf_deinit(&out);
}
