/* bench_report.c -- the results, for people and for programs.
 *
 * Times are microseconds inside and in JSON (`..._us`); the table writes them in
 * the unit that is easiest to read.  Rates are over the time from the first
 * measured request to the last result.  Only successful requests have latencies;
 * a failure is counted, with its class. */
#include <stdio.h>

#include "bench/bench_int.h"

static const char *const error_names[] = {
#define XX(name, text) text,
    BENCH_ERROR_MAP(XX)
#undef XX
};

struct summary {
    double seconds, rps, goodput, tokens_per_s, mb_per_s;
    double cpu_us_req, cpu_us_token, own_us_req;
    double rss_per_stream;
};

static double per(double amount, double count) { return count > 0 ? amount / count : 0; }

static struct summary summarize(const struct bench *b) {
    struct summary s = { 0 };
    double         done = (double)(b->ok + b->failed);
    s.seconds = b->stop_us > b->start_us ? (double)(b->stop_us - b->start_us) / 1e6 : 0;
    s.rps = per((double)b->ok, s.seconds);
    s.goodput = per((double)b->good, s.seconds);
    s.tokens_per_s = per((double)b->tokens, s.seconds);
    s.mb_per_s = per((double)b->bytes_in / 1e6, s.seconds);
    s.cpu_us_req = per((double)b->cpu_spent_ns / 1e3, done);
    s.cpu_us_token = per((double)b->cpu_spent_ns / 1e3, (double)b->tokens);
    s.own_us_req = per((double)b->own_spent_ns / 1e3, done);
    s.rss_per_stream = per((double)(b->rss_peak - b->rss_before), (double)b->held);
    return s;
}

static const char *mode(const struct bench_options *o) {
    if (o->hold) return "hold";
    return o->rate > 0 ? (o->poisson ? "open-poisson" : "open-constant") : "closed";
}

/* -- JSON --------------------------------------------------------------------------------- */

static void json_hist(struct buf *out, const char *name, const struct hist *h) {
    buf_printf(out, ",\"%s\":{\"count\":%llu,\"mean\":%.1f,\"min\":%llu,\"p50\":%llu,\"p90\":%llu,"
               "\"p95\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu}", name,
               (unsigned long long)h->count, hist_mean(h),
               (unsigned long long)hist_quantile(h, 0), (unsigned long long)hist_quantile(h, 0.5),
               (unsigned long long)hist_quantile(h, 0.9), (unsigned long long)hist_quantile(h, 0.95),
               (unsigned long long)hist_quantile(h, 0.99),
               (unsigned long long)hist_quantile(h, 0.999), (unsigned long long)h->max);
}

static void json_errors(struct buf *out, const struct bench *b) {
    const char *comma = "";
    buf_puts(out, ",\"errors\":{");
    for (int e = 0; e < BENCH_ERROR_COUNT; e++) {
        if (b->error_count[e] == 0 || e == BENCH_STATUS) continue;
        buf_printf(out, "%s\"%s\":%llu", comma, error_names[e],
                   (unsigned long long)b->error_count[e]);
        comma = ",";
    }
    for (int i = 0; i < 600; i++) {
        if (b->status_count[i] == 0) continue;
        buf_printf(out, "%s\"status %d\":%llu", comma, i, (unsigned long long)b->status_count[i]);
        comma = ",";
    }
    buf_putc(out, '}');
}

static void json_pids(struct buf *out, const struct bench *b, const struct summary *s) {
    if (b->o->pid_count == 0) return;
    buf_printf(out, ",\"cpu_us_per_request\":%.3f,\"cpu_us_per_token\":%.3f,"
               "\"cpu_s\":%.6f,\"rss_before_bytes\":%lld,\"rss_peak_bytes\":%lld", s->cpu_us_req,
               s->cpu_us_token, (double)b->cpu_spent_ns / 1e9, (long long)b->rss_before,
               (long long)b->rss_peak);
    if (b->o->hold) buf_printf(out, ",\"rss_bytes_per_stream\":%.0f", s->rss_per_stream);
}

static void report_json(const struct bench *b, const struct summary *s) {
    const struct bench_options *o = b->o;
    struct buf                  out;
    buf_init(&out, 0);
    buf_puts(&out, "{\"url\":");
    json_write_string(&out, slice_str(o->url));
    buf_puts(&out, ",\"path\":");
    json_write_string(&out, buf_get(&o->path));
    buf_printf(&out, ",\"mode\":\"%s\",\"rate\":%.6g,\"concurrency\":%ld,\"stream\":%s", mode(o),
               o->rate, o->concurrency, o->stream ? "true" : "false");
    buf_printf(&out, ",\"requests\":%llu,\"ok\":%llu,\"failed\":%llu",
               (unsigned long long)(b->ok + b->failed), (unsigned long long)b->ok,
               (unsigned long long)b->failed);
    json_errors(&out, b);
    buf_printf(&out, ",\"duration_s\":%.6f,\"rps\":%.3f,\"goodput_rps\":%.3f,\"good\":%llu",
               s->seconds, s->rps, s->goodput, (unsigned long long)b->good);
    buf_printf(&out, ",\"tokens\":%llu,\"tokens_per_s\":%.3f,\"bytes_in\":%llu,\"connections\":%llu",
               (unsigned long long)b->tokens, s->tokens_per_s, (unsigned long long)b->bytes_in,
               (unsigned long long)b->opened);
    if (o->hold) buf_printf(&out, ",\"held\":%llu", (unsigned long long)b->held);
    json_hist(&out, "ttft_us", &b->ttft);
    json_hist(&out, "itl_us", &b->itl);
    json_hist(&out, "total_us", &b->total);
    json_pids(&out, b, s);
    buf_printf(&out, ",\"bench_cpu_us_per_request\":%.3f}\n", s->own_us_req);
    if (!buf_failed(&out)) fwrite(buf_get(&out).ptr, 1, buf_len(&out), stdout);
    buf_deinit(&out);
}

/* -- Table ---------------------------------------------------------------------------------- */

static void print_time(uint64_t us) {
    if (us < 1000) printf(" %7llu us", (unsigned long long)us);
    else if (us < 10000000) printf(" %7.2f ms", (double)us / 1e3);
    else printf(" %7.2f s ", (double)us / 1e6);
}

static void print_hist(const char *name, const struct hist *h) {
    static const double quantiles[] = { 0.5, 0.9, 0.95, 0.99, 1 };
    if (h->count == 0) return;
    printf("  %-12s", name);
    for (size_t i = 0; i < 5; i++) print_time(hist_quantile(h, quantiles[i]));
    printf("\n");
}

static void print_errors(const struct bench *b) {
    for (int e = 0; e < BENCH_ERROR_COUNT; e++) {
        if (b->error_count[e] == 0 || e == BENCH_STATUS) continue;
        printf("  %-12s %llu\n", error_names[e], (unsigned long long)b->error_count[e]);
    }
    for (int i = 0; i < 600; i++) {
        if (b->status_count[i] > 0) {
            printf("  status %d   %llu\n", i, (unsigned long long)b->status_count[i]);
        }
    }
}

static void print_load(const struct bench_options *o) {
    bool v6 = strchr(o->host, ':') != NULL;
    printf("http://%s%s%s:%s%.*s  ", v6 ? "[" : "", o->host, v6 ? "]" : "", o->port,
           SLICE_ARG(buf_get(&o->path)));
    if (o->hold) printf("holding %ld streams\n", o->concurrency);
    else if (o->rate > 0) printf("open loop, %g/s%s\n", o->rate, o->poisson ? " (Poisson)" : "");
    else printf("closed loop, %ld at a time\n", o->concurrency);
}

static void print_hold(const struct bench *b, const struct summary *s) {
    printf("held         %llu of %ld streams\n", (unsigned long long)b->held, b->o->concurrency);
    if (b->o->pid_count == 0) return;
    printf("memory       %.1f MB before, %.1f MB with them: %.2f KB per stream\n",
           (double)b->rss_before / 1e6, (double)b->rss_peak / 1e6, s->rss_per_stream / 1024);
}

static void print_rates(const struct bench *b, const struct summary *s) {
    const struct bench_options *o = b->o;
    printf("throughput   %.1f requests/s", s->rps);
    if (b->tokens > 0) printf(", %.0f tokens/s", s->tokens_per_s);
    printf(", %.1f MB/s in\n", s->mb_per_s);
    if (o->slo_ttft_ms > 0 || o->slo_total_ms > 0) {
        printf("goodput      %.1f requests/s (%.2f %% within", s->goodput,
               per(100.0 * (double)b->good, (double)(b->ok + b->failed)));
        if (o->slo_ttft_ms > 0) printf(" ttft %g ms", o->slo_ttft_ms);
        if (o->slo_total_ms > 0) printf(" total %g ms", o->slo_total_ms);
        printf(")\n");
    }
    if (b->ok > 0) {
        printf("  %-12s %10s %10s %10s %10s %10s\n", "", "p50", "p90", "p95", "p99", "max");
        print_hist("first token", &b->ttft);
        print_hist("inter-token", &b->itl);
        print_hist("end to end", &b->total);
    }
    if (o->pid_count > 0) {
        printf("processes    %.2f us CPU per request", s->cpu_us_req);
        if (b->tokens > 0) printf(", %.3f us per token", s->cpu_us_token);
        printf(", %.1f MB resident at most\n", (double)b->rss_peak / 1e6);
    }
}

static void report_table(const struct bench *b, const struct summary *s) {
    print_load(b->o);
    printf("requests     %llu ok, %llu failed in %.2f s over %llu connections\n",
           (unsigned long long)b->ok, (unsigned long long)b->failed, s->seconds,
           (unsigned long long)b->opened);
    print_errors(b);
    if (b->o->hold) print_hold(b, s);
    else print_rates(b, s);
    printf("this tester  %.2f us CPU per request\n", s->own_us_req);
}

void bench_report(const struct bench *b) {
    struct summary s = summarize(b);
    if (b->o->json) report_json(b, &s);
    else report_table(b, &s);
    fflush(stdout);
}

void bench_progress(struct bench *b, uint64_t now) {
    double seconds = (double)(now - b->shown_us) / 1e6;
    double since = b->measuring ? (double)(now - b->start_us) / 1e6 : 0;
    fprintf(stderr, "%6.1f s  %9.1f req/s  %9.0f tok/s  p50 %8.2f ms  p99 %8.2f ms  out %llu  "
            "waiting %llu  failed %llu\n", since, (double)(b->ok - b->shown_ok) / seconds,
            (double)(b->tokens - b->shown_tokens) / seconds,
            (double)hist_quantile(&b->total, 0.5) / 1e3, (double)hist_quantile(&b->total, 0.99) / 1e3,
            (unsigned long long)b->in_flight, (unsigned long long)b->waiting_len,
            (unsigned long long)b->failed);
}
