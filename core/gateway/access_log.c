/* access_log.c -- a line for each request: what came, who answered, how it ended.
 *
 * Fields that have nothing to say are left out.  Their names are documented in
 * examples/deploy/METRICS.md, and a test compares. */
#include "gateway/access_log.h"

#include <stdlib.h>

#include "request/notes.h"
#include "request/spans.h"

static void put_tokens(struct buf *line, const struct request_facts *f) {
    if (f->usage.known) {
        log_u64(line, "tokens_in", f->usage.prompt);
        log_u64(line, "tokens_out", f->usage.completion);
        if (f->usage.cached) log_u64(line, "tokens_cached", f->usage.cached);
        if (f->usd > 0) buf_printf(line, ",\"usd\":%.9f", f->usd);
        return;
    }
    if (f->counted > 0) log_u64(line, "tokens_counted", f->counted);
    if (f->usage.senseless) log_u64(line, "usage_senseless", 1);
}

/* Policies may change what a reply says, so it need not be a number. */
static void put_entry(struct buf *line, const struct request_facts *f) {
    char text[32], *end;
    if (f->cache_entry.len > 0) log_str(line, "cache_entry", f->cache_entry);
    if (f->cache_similarity.len == 0) return;
    slice_copy(text, sizeof(text), f->cache_similarity);
    double v = strtod(text, &end);
    if (*end == '\0' && v >= -1 && v <= 1) buf_printf(line, ",\"cache_similarity\":%.3f", v);
}

/* What policies asked on the way has lines of its own, and here the sum of them. */
static void put_asks(struct buf *line, const struct request_facts *f) {
    if (f->asks == 0) return;
    log_u64(line, "asks", f->asks);
    log_u64(line, "asked_tokens_in", f->asked.prompt);
    log_u64(line, "asked_tokens_out", f->asked.completion);
    if (f->asked.cached) log_u64(line, "asked_tokens_cached", f->asked.cached);
    if (f->asked_usd > 0) buf_printf(line, ",\"asked_usd\":%.9f", f->asked_usd);
}

static void put_notes(struct buf *line, const struct request *r) {
    if (r->notes == NULL) return;
    buf_puts(line, ",\"notes\":");
    notes_write(r, line);
}

void access_log(struct log *log, const struct request_facts *f, const struct savings_entry *saved) {
    struct buf line;
    buf_init(&line, 0);
    buf_reserve(&line, 500);
    log_begin(&line, PERILUNE_LOG_INFO, "request");
    log_str(&line, "request_id", slice_str(f->id));
    log_str(&line, "method", f->method);
    log_str(&line, "path", f->path);
    if (f->via != NULL) log_str(&line, "via", slice_str(f->via));
    if (f->route[0]) log_str(&line, "route", slice_str(f->route));
    if (f->tenant[0]) log_str(&line, "tenant", slice_str(f->tenant));
    if (f->job != NULL && f->job[0]) log_str(&line, "job", slice_str(f->job));
    if (f->upstream[0]) log_str(&line, "upstream", slice_str(f->upstream));
    if (f->model.len > 0) log_str(&line, "model", f->model);
    if (f->cache != NULL && f->cache[0]) log_str(&line, "cache", slice_str(f->cache));
    put_entry(&line, f);
    if (f->routed.len > 0) log_str(&line, "routed", f->routed);
    if (f->tries > 0) log_u64(&line, "tries", f->tries);
    log_u64(&line, "status", (uint64_t)f->status);
    if (f->code[0]) log_str(&line, "error", slice_str(f->code));
    if (f->detail[0]) log_str(&line, "detail", slice_str(f->detail));
    put_tokens(&line, f);
    put_asks(&line, f);
    if (f->ttft_us) log_ms(&line, "ttft_ms", f->ttft_us);
    if (saved) savings_log(saved, &line);
    if (f->request != NULL) {
        spans_log(f->request, &line);
        put_notes(&line, f->request);
    }
    log_ms(&line, "total_ms", f->total_us);
    if (f->policy_us) log_ms(&line, "policy_ms", f->policy_us);
    log_end(log, PERILUNE_LOG_INFO, &line);
    buf_deinit(&line);
}
