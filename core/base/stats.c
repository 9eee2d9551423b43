/* stats.c -- histograms with fixed bounds.
 *
 * The bounds are those OpenTelemetry recommends for gen_ai durations (0.01 s to
 * 81.92 s, doubling), extended downwards to 0.1 ms for the gateway's own time.
 * Prometheus wants cumulative counts; they are summed when written. */
#include "base/stats.h"

static const uint32_t bounds_us[STATS_BUCKETS] = {
    100,    250,    500,     1000,    2500,    5000,    10000,   20000,    40000,
    80000,  160000, 320000,  640000,  1280000, 2560000, 5120000, 20480000, 81920000
};

static int bucket_of(uint64_t us) {
    int i = 0;
    while (i < STATS_BUCKETS && us > bounds_us[i]) i++;
    return i;
}

void histogram_record(struct histogram *h, uint64_t us) {
    stats_add(&h->counts[bucket_of(us)], 1);
    stats_add(&h->sum_us, us);
}

void histogram_record_shared(struct histogram *h, uint64_t us) {
    atomic_fetch_add_explicit(&h->counts[bucket_of(us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

void histogram_merge(struct histogram *to, const struct histogram *from) {
    for (int i = 0; i <= STATS_BUCKETS; i++) stats_add(&to->counts[i], stats_get(&from->counts[i]));
    stats_add(&to->sum_us, stats_get(&from->sum_us));
}

static void write_values(const struct histogram *h, const char *name, const char *labels, struct buf *out) {
    uint64_t total = 0;
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    for (int i = 0; i < STATS_BUCKETS; i++) {
        total += stats_get(&h->counts[i]);
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, bounds_us[i] / 1e6,
                   (unsigned long long)total);
    }
    total += stats_get(&h->counts[STATS_BUCKETS]);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)total);
    buf_printf(out, "%s_sum%s%s%s %.6f\n%s_count%s%s%s %llu\n", name, open, labels, close,
               (double)stats_get(&h->sum_us) / 1e6, name, open, labels, close, (unsigned long long)total);
}

void histogram_write(const struct histogram *h, const char *name, const char *help, struct buf *out) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    write_values(h, name, "", out);
}

void histogram_write_labeled(const struct histogram *h, const char *name, const char *labels, struct buf *out) {
    write_values(h, name, labels, out);
}
