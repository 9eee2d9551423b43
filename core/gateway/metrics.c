/* metrics.c -- all counters as Prometheus text.
 *
 * Each worker counts for itself; here the numbers are added up, without stopping
 * anybody: a reading is a few nanoseconds older at its beginning than at its end.
 * Names follow OpenTelemetry's GenAI conventions where there is one. */
#include <stdio.h>

#include "gateway/gateway.h"
#include "gateway/job_rows.h"

typedef unsigned long long ull;

static void head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A counter at the same place in each worker. */
static uint64_t sum(const struct perilune *g, size_t offset) {
    uint64_t total = 0;
    for (unsigned i = 0; i < g->worker_count; i++)
        total += atomic_load_explicit((stats_counter *)(uintptr_t)((const char *)&g->workers[i] + offset),
                                      memory_order_relaxed);
    return total;
}
#define SUM(g, field) sum(g, offsetof(struct worker, field))

static void one(struct buf *out, const char *name, const char *type, const char *help, uint64_t v) {
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (ull)v);
}

static void histogram(const struct perilune *g, size_t offset, const char *name, const char *help, struct buf *out) {
    struct histogram all;
    memset(&all, 0, sizeof(all));
    for (unsigned i = 0; i < g->worker_count; i++)
        histogram_merge(&all, (const struct histogram *)(const void *)((const char *)&g->workers[i] + offset));
    histogram_write(&all, name, help, out);
}

static void statuses(const struct perilune *g, struct buf *out) {
    head(out, "perilune_requests_total", "counter", "Answered requests by HTTP status; 499: the client left.");
    for (unsigned s = 0; s < 600; s++) {
        uint64_t v = sum(g, offsetof(struct worker, metrics.status) + s * sizeof(stats_counter));
        if (v > 0) buf_printf(out, "perilune_requests_total{status=\"%u\"} %llu\n", s, (ull)v);
    }
}

/* The sums of all workers' tables; too large for a stack. */
static void telemetry(const struct perilune *g, struct buf *out) {
    struct telemetry *all = mem_zalloc(sizeof(*all));
    if (all == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    for (unsigned i = 0; i < g->worker_count; i++) telemetry_merge(all, &g->workers[i].metrics.telemetry);
    telemetry_write(all, out);
    mem_free(all);
}

static void caches(const struct perilune *g, struct buf *out) {
    struct cache_rows *all = mem_zalloc(sizeof(*all));
    if (all == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    for (unsigned i = 0; i < g->worker_count; i++) cache_rows_merge(all, &g->workers[i].metrics.caches);
    cache_rows_write(all, out);
    mem_free(all);
}

static void upstream_error(const struct registry_entry *u, const char *code, uint64_t v, struct buf *out) {
    if (v == 0) return;
    buf_puts(out, "perilune_upstream_errors_total{");
    telemetry_label(out, "upstream", u->name);
    buf_putc(out, ',');
    telemetry_label(out, "error_type", code);
    buf_printf(out, "} %llu\n", (ull)v);
}

static void upstream_errors(const struct registry_entry *u, struct buf *out) {
    const char *code = "";
    for (int k = 1; k < FAILURE_KINDS; k++)
        upstream_error(u, failure_code((enum failure_kind)k),
                       atomic_load((atomic_uint_least64_t *)(uintptr_t)&u->health.by_kind[k]), out);
    for (unsigned i = 0; i < TARGET_CODES; i++) {
        uint64_t v = target_failures(&u->health, i, &code);
        upstream_error(u, code, v, out);
    }
}

/* REGISTRY_LOCK.  A gauge or counter of each breaker, or of each pool. */
static void breakers(struct perilune *g, struct buf *out) {
    static const struct { const char *name, *type, *help; bool pool; size_t at; } rows[] = {
        { "perilune_upstream_opened_total", "counter", "Times that a breaker opened.", false,
          offsetof(struct target_health, breaker.opened) },
        { "perilune_upstream_refused_total", "counter", "Looks at a breaker that was not to be passed.", false,
          offsetof(struct target_health, breaker.refused) },
        { "perilune_upstream_denied_total", "counter", "Times that our key began to be refused (401, 403).", false,
          offsetof(struct target_health, breaker.alarms) },
        { "perilune_pool_retries_total", "counter", "Requests that went to another member of a pool.", true,
          offsetof(struct target_pool_state, retried) },
        { "perilune_pool_retries_unpaid_total", "counter", "The same that the budget did not allow.", true,
          offsetof(struct target_pool_state, unpaid) },
        { "perilune_pool_all_rest_total", "counter", "Requests that found all members of a pool resting.", true,
          offsetof(struct target_pool_state, desperate) },
        { "perilune_pool_long_total", "counter", "Prompts that were for a pool's members for long ones.", true,
          offsetof(struct target_pool_state, long_picks) },
        { "perilune_pool_strayed_total", "counter", "Prompts for some members that went to the others.", true,
          offsetof(struct target_pool_state, long_strayed) },
    };
    head(out, "perilune_upstream_state", "gauge", "Breaker: 0 closed, 1 open, 2 half open.");
    for (struct list *e = g->registry.entries.next; e != &g->registry.entries; e = e->next) {
        struct registry_entry *u = container_of(e, struct registry_entry, link);
        if (u->pool != NULL) continue;
        buf_puts(out, "perilune_upstream_state{");
        telemetry_label(out, "upstream", u->name);
        buf_printf(out, "} %u\n", atomic_load(&u->health.breaker.state));
    }
    for (size_t row = 0; row < sizeof(rows) / sizeof(*rows); row++) {
        head(out, rows[row].name, rows[row].type, rows[row].help);
        for (struct list *e = g->registry.entries.next; e != &g->registry.entries; e = e->next) {
            struct registry_entry *u = container_of(e, struct registry_entry, link);
            if ((u->pool != NULL) != rows[row].pool) continue;
            char *of = rows[row].pool ? (char *)u->pool : (char *)&u->health;
            buf_printf(out, "%s{", rows[row].name);
            telemetry_label(out, rows[row].pool ? "pool" : "upstream", u->name);
            buf_printf(out, "} %llu\n", (ull)atomic_load((atomic_uint_least64_t *)(void *)(of + rows[row].at)));
        }
    }
}

/* REGISTRY_LOCK.  Of each upstream that was called. */
static void upstream_times(struct perilune *g, size_t at, const char *name, const char *help, struct buf *out) {
    struct buf label;
    buf_init(&label, 0);
    head(out, name, "histogram", help);
    for (struct list *e = g->registry.entries.next; e != &g->registry.entries; e = e->next) {
        const struct registry_entry *u = container_of(e, struct registry_entry, link);
        const struct histogram *h = (const void *)((const char *)&u->health + at);
        if (stats_get(&h->sum_us) == 0) continue;
        buf_clear(&label);
        telemetry_label(&label, "upstream", u->name);
        const char *text = buf_cstr(&label);
        if (text != NULL) histogram_write_labeled(h, name, text, out);
        else out->error = PERILUNE_ERR_NOMEM;
    }
    buf_deinit(&label);
}

static void upstreams(struct perilune *g, struct buf *out) {
    static const struct { const char *name, *type, *help; } rows[] = {
        { "perilune_upstream_calls_total", "counter", "Calls to an upstream." },
        { "perilune_upstream_failures_total", "counter", "Calls that failed." },
        { "perilune_upstream_in_flight", "gauge", "Calls that are running." },
        { "perilune_upstream_continued_total", "counter", "Answers that broke off, and whose rest was asked for." },
    };
    pthread_mutex_lock(&g->registry.lock);
    for (int row = 0; row < 4; row++) {
        head(out, rows[row].name, rows[row].type, rows[row].help);
        for (struct list *e = g->registry.entries.next; e != &g->registry.entries; e = e->next) {
            struct registry_entry *u = container_of(e, struct registry_entry, link);
            if (u->pool != NULL) continue;
            atomic_uint_least64_t *v = row == 0 ? &u->health.calls
                                       : row == 1 ? &u->health.failures
                                       : row == 2 ? &u->health.in_flight : &u->health.continued;
            buf_printf(out, "%s{", rows[row].name);
            telemetry_label(out, "upstream", u->name);
            buf_printf(out, "} %llu\n", (ull)atomic_load(v));
        }
    }
    head(out, "perilune_upstream_errors_total", "counter", "Calls that failed, by why, whatever policies made of it.");
    for (struct list *e = g->registry.entries.next; e != &g->registry.entries; e = e->next)
        upstream_errors(container_of(e, struct registry_entry, link), out);
    upstream_times(g, offsetof(struct target_health, head), "perilune_upstream_head_seconds",
                   "From the start of a call to the head of its answer.", out);
    upstream_times(g, offsetof(struct target_health, whole), "perilune_upstream_seconds",
                   "From the start of a call to the end of its answer, of calls that did not fail.", out);
    breakers(g, out);
    pthread_mutex_unlock(&g->registry.lock);
}

static void tokens(const struct perilune *g, struct buf *out) {
    static const char name[] = "gen_ai_client_token_usage_total";
    head(out, name, "counter", "Tokens that upstreams reported.");
    buf_printf(out, "%s{gen_ai_token_type=\"input\"} %llu\n", name, (ull)SUM(g, metrics.tokens_in));
    buf_printf(out, "%s{gen_ai_token_type=\"output\"} %llu\n", name, (ull)SUM(g, metrics.tokens_out));
}

static void cache(const struct perilune *g, struct buf *out) {
    struct cache_stats n;
    cache_count(g->stores->cache, &n);
    one(out, "perilune_cache_entries", "gauge", "Answers and values that are kept.", n.entries);
    one(out, "perilune_cache_bytes", "gauge", "Bytes that they take.", n.bytes);
    one(out, "perilune_cache_max_bytes", "gauge", "Bytes that they may take (cache.max_bytes).", n.limit);
    one(out, "perilune_cache_lookups_hit_total", "counter", "Look-ups that found an entry.", n.hits);
    one(out, "perilune_cache_lookups_miss_total", "counter", "Look-ups that found none.", n.misses);
    one(out, "perilune_cache_stored_total", "counter", "Entries that were stored.", n.stored);
    one(out, "perilune_cache_refused_total", "counter", "Entries that were too large, or found no memory.", n.refused);
    one(out, "perilune_cache_evicted_total", "counter", "Entries that made room for others.", n.evicted);
    one(out, "perilune_cache_expired_total", "counter", "Entries that became too old.", n.expired);
    one(out, "perilune_cache_invalidated_total", "counter", "Entries that were purged or invalidated by tag.",
        n.invalidated);
    struct near_stats near;
    near_count(g->stores->near, &near);
    one(out, "perilune_cache_vectors", "gauge", "Questions that can be found by what they mean.", near.vectors);
    one(out, "perilune_cache_vector_bytes", "gauge", "Bytes that their vectors take.", near.bytes);
    one(out, "perilune_cache_near_lookups_total", "counter", "Searches for a question that means the same.",
        near.searches);
    one(out, "perilune_cache_near_hits_total", "counter", "Answers that were given to another question.", near.hits);
    one(out, "perilune_coalesced_total", "counter", "Calls that got an answer that was under way for another.",
        flights_joined(g->stores->flights));
}

/* Nothing where there is no second tier. */
static void redis(const struct perilune *g, struct buf *out) {
    static const char name[] = "perilune_redis_requests_total";
    struct histogram latency;
    memset(&latency, 0, sizeof(latency));
    if (!atomic_load_explicit(&g->has_far, memory_order_relaxed)) return; /* any thread asks: not g->config */
    unsigned up = 0;
    for (unsigned i = 0; i < g->worker_count; i++) {
        const struct redis_stats *n = &g->workers[i].far.stats;
        up += atomic_load_explicit(&n->up, memory_order_relaxed);
        histogram_merge(&latency, &n->latency);
    }
    one(out, "perilune_redis_up", "gauge", "1: the connections of all workers to Redis work.", up == g->worker_count);
    one(out, "perilune_redis_orders", "gauge", "What was purged or deleted, and Redis has not confirmed yet.",
        atomic_load_explicit(&g->stores->far.order_count, memory_order_relaxed));
    head(out, name, "counter", "Questions to Redis, by what came of them.");
    buf_printf(out, "%s{result=\"hit\"} %llu\n", name, (ull)SUM(g, far.stats.hits));
    buf_printf(out, "%s{result=\"miss\"} %llu\n", name, (ull)SUM(g, far.stats.misses));
    buf_printf(out, "%s{result=\"done\"} %llu\n", name, (ull)SUM(g, far.stats.done));
    buf_printf(out, "%s{result=\"refused\"} %llu\n", name, (ull)SUM(g, far.stats.refused));
    buf_printf(out, "%s{result=\"late\"} %llu\n", name, (ull)SUM(g, far.stats.late));
    buf_printf(out, "%s{result=\"lost\"} %llu\n", name, (ull)SUM(g, far.stats.lost));
    buf_printf(out, "%s{result=\"skipped\"} %llu\n", name, (ull)SUM(g, far.stats.skipped));
    histogram_write(&latency, "perilune_redis_latency_seconds", "From a question to Redis to its answer.", out);
}

/* Nothing where no index is shared. */
static void shared_index(const struct perilune *g, struct buf *out) {
    static const char name[] = "perilune_index_lookups_total";
    struct histogram latency;
    memset(&latency, 0, sizeof(latency));
    if (!atomic_load_explicit(&g->has_index, memory_order_relaxed)) return;
    unsigned up = 0;
    for (unsigned i = 0; i < g->worker_count; i++) {
        const struct vectors_stats *n = &g->workers[i].far.vectors.stats;
        up += atomic_load_explicit(&n->up, memory_order_relaxed);
        histogram_merge(&latency, &n->latency);
    }
    one(out, "perilune_index_up", "gauge", "1: all workers can ask the shared index.", up == g->worker_count);
    head(out, name, "counter", "Searches in the shared index, by what came of them.");
    buf_printf(out, "%s{result=\"found\"} %llu\n", name, (ull)SUM(g, far.vectors.stats.found));
    buf_printf(out, "%s{result=\"nothing\"} %llu\n", name, (ull)SUM(g, far.vectors.stats.nothing));
    buf_printf(out, "%s{result=\"failed\"} %llu\n", name, (ull)SUM(g, far.vectors.stats.failed));
    one(out, "perilune_index_brought_total", "counter", "Entries that were read because the shared index named them.",
        SUM(g, far.vectors.stats.brought));
    one(out, "perilune_index_added_total", "counter", "Vectors that the shared index has taken.",
        SUM(g, far.vectors.stats.added));
    one(out, "perilune_index_removed_total", "counter", "Vectors of entries that were gone.",
        SUM(g, far.vectors.stats.removed));
    histogram_write(&latency, "perilune_index_latency_seconds", "From a search in the shared index to its answer.",
                    out);
}

#define MOST_GATES 64 /* that are told: each has a dozen rows */

struct gate_rows {
    unsigned          count;
    const char       *names[MOST_GATES];
    struct gate_count counts[MOST_GATES];
};

static void keep_gate(void *ud, const char *name, const struct gate_count *c) {
    struct gate_rows *rows = ud;
    if (rows->count == MOST_GATES) return;
    rows->names[rows->count] = name;
    rows->counts[rows->count++] = *c;
}

/* A row of a gate, or of one of its classes. */
static void gate_row(const char *metric, const char *gate, const char *class_, const char *result, uint64_t v,
                     struct buf *out) {
    buf_printf(out, "%s{", metric);
    telemetry_label(out, "gate", gate);
    if (class_ != NULL) buf_putc(out, ','), telemetry_label(out, "class", class_);
    if (result != NULL) buf_putc(out, ','), telemetry_label(out, "result", result);
    buf_printf(out, "} %llu\n", (ull)v);
}

static void gate_results(const char *metric, const char *gate, const struct gate_class_count *c, struct buf *out) {
    const struct { const char *name; uint64_t v; } rows[] = {
        { "admitted", c->admitted }, { "full", c->full }, { "hopeless", c->hopeless },
        { "shed", c->shed }, { "late", c->late }, { "left", c->left },
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        gate_row(metric, gate, c->name, rows[i].name, rows[i].v, out);
}

static void gate_waits(const struct gate_rows *rows, struct buf *out) {
    static const char name[] = "perilune_gate_wait_seconds";
    struct buf labels;
    buf_init(&labels, 0);
    head(out, name, "histogram", "How long those waited in the queue of a gate that were admitted from it.");
    for (unsigned i = 0; i < rows->count; i++) {
        for (unsigned k = 0; k < rows->counts[i].classes; k++) {
            buf_clear(&labels);
            telemetry_label(&labels, "gate", rows->names[i]);
            buf_putc(&labels, ',');
            telemetry_label(&labels, "class", rows->counts[i].of[k].name);
            const char *text = buf_cstr(&labels);
            if (text != NULL) histogram_write_labeled(&rows->counts[i].of[k].waited, name, text, out);
            else out->error = PERILUNE_ERR_NOMEM;
        }
    }
    buf_deinit(&labels);
}

static void gate_rows_write(const struct gate_rows *rows, struct buf *out) {
    static const char limit[] = "perilune_gate_limit", busy[] = "perilune_gate_busy",
                      waiting[] = "perilune_gate_waiting", results[] = "perilune_gate_requests_total",
                      saturation[] = "perilune_gate_saturation";
    head(out, limit, "gauge", "Requests that may work at once.");
    for (unsigned i = 0; i < rows->count; i++) gate_row(limit, rows->names[i], NULL, NULL, rows->counts[i].limit, out);
    head(out, busy, "gauge", "Requests at work.");
    for (unsigned i = 0; i < rows->count; i++) gate_row(busy, rows->names[i], NULL, NULL, rows->counts[i].busy, out);
    head(out, saturation, "gauge", "Requests at work and waiting, for each that may work.");
    for (unsigned i = 0; i < rows->count; i++) {
        buf_printf(out, "%s{", saturation);
        telemetry_label(out, "gate", rows->names[i]);
        buf_printf(out, "} %.4f\n", gate_count_saturation(&rows->counts[i]));
    }
    head(out, waiting, "gauge", "Requests that wait, by class.");
    for (unsigned i = 0; i < rows->count; i++)
        for (unsigned k = 0; k < rows->counts[i].classes; k++)
            gate_row(waiting, rows->names[i], rows->counts[i].of[k].name, NULL, rows->counts[i].of[k].waiting, out);
    head(out, results, "counter", "Requests that came to a gate, by class and what became of them.");
    for (unsigned i = 0; i < rows->count; i++)
        for (unsigned k = 0; k < rows->counts[i].classes; k++)
            gate_results(results, rows->names[i], &rows->counts[i].of[k], out);
    gate_waits(rows, out);
}

/* Nothing where there is no gate. */
static void gates(const struct perilune *g, struct buf *out) {
    struct gate_rows *rows = mem_zalloc(sizeof(*rows));
    if (rows == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    gates_each(g->stores->gates, keep_gate, rows);
    if (rows->count > 0) gate_rows_write(rows, out);
    mem_free(rows);
}

/* A figure of each limit. */
static void limit_rows(const struct perilune *g, size_t at, const char *name, const char *type, const char *help,
                       struct buf *out) {
    const struct limit_stats *n;
    for (unsigned i = 0; (n = limits_stats(g->stores->limits, i)) != NULL; i++) {
        if (i == 0) head(out, name, type, help);
        buf_printf(out, "%s{", name);
        telemetry_label(out, "limit", n->name);
        buf_printf(out, "} %llu\n", (ull)stats_get((const stats_counter *)(const void *)((const char *)n + at)));
    }
}

/* Nothing where nothing is limited. */
static void limits(const struct perilune *g, struct buf *out) {
    static const struct { size_t at; const char *name, *type, *help; } rows[] = {
#define ROW(field, name, type, help) { offsetof(struct limit_stats, field), name, type, help }
        ROW(taken, "perilune_limit_taken_total", "counter", "Requests that a limit let through."),
        ROW(refused, "perilune_limit_refused_total", "counter", "Requests that it refused."),
        ROW(waited, "perilune_limit_waited_total", "counter", "Requests that waited for a limit (max_wait)."),
        ROW(waiting, "perilune_limit_waiting", "gauge", "Requests that wait for a limit now."),
        ROW(would_refuse, "perilune_limit_would_refuse_total", "counter",
            "Requests that it would have refused (dry_run)."),
        ROW(fallback, "perilune_limit_fallback_total", "counter",
            "Decisions without Redis, of a limit that machines share."),
        ROW(keys, "perilune_limit_keys", "gauge", "Keys that it knows."),
        ROW(forgotten, "perilune_limit_forgotten_total", "counter",
            "Keys that were idle for long and made room for others."),
        ROW(held_requests, "perilune_limit_reserved_requests", "gauge",
            "Requests in flight that have reserved something."),
        ROW(held[LIMIT_TOKENS], "perilune_limit_reserved_tokens", "gauge", "Tokens that they have reserved."),
        ROW(held[LIMIT_USD], "perilune_limit_reserved_nano_usd", "gauge",
            "Billionths of a dollar that they have reserved."),
#undef ROW
    };
    if (limits_stats(g->stores->limits, 0) == NULL) return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        limit_rows(g, rows[i].at, rows[i].name, rows[i].type, rows[i].help, out);
    one(out, "perilune_limit_bytes", "gauge", "Bytes that the keys of all limits take.",
        limits_bytes(g->stores->limits));
}

static void saved(const struct perilune *g, struct buf *out) {
    struct savings_stats all;
    memset(&all, 0, sizeof(all));
    for (unsigned i = 0; i < g->worker_count; i++) savings_stats_merge(&all, &g->workers[i].metrics.lua.saved);
    savings_stats_write(&all, out);
}

/* Of perilune.batch and batch_embeddings. */
static void batches(const struct perilune *g, struct buf *out) {
    static const char name[] = "perilune_batch_size", refused[] = "perilune_batch_refused_total";
    struct histogram wait;
    uint64_t below = 0, n = SUM(g, metrics.lua.batches.batches);
    memset(&wait, 0, sizeof(wait));
    for (unsigned i = 0; i < g->worker_count; i++) histogram_merge(&wait, &g->workers[i].metrics.lua.batches.wait);
    one(out, "perilune_batches_total", "counter", "Batches that were run.", n);
    one(out, "perilune_batch_items_total", "counter", "What was submitted to batches and run.",
        SUM(g, metrics.lua.batches.items));
    head(out, refused, "counter", "What was submitted and not run.");
    buf_printf(out, "%s{reason=\"full\"} %llu\n", refused, (ull)SUM(g, metrics.lua.batches.full));
    buf_printf(out, "%s{reason=\"late\"} %llu\n", refused, (ull)SUM(g, metrics.lua.batches.late));
    head(out, name, "histogram", "Sizes of batches.");
    for (unsigned b = 0; b < BATCH_SIZES; b++) {
        below += SUM(g, metrics.lua.batches.sizes[b]);
        buf_printf(out, "%s_bucket{le=\"%u\"} %llu\n", name, 1u << b, (ull)below);
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %llu\n%s_count %llu\n", name, (ull)n, name,
               (ull)SUM(g, metrics.lua.batches.size_sum), name, (ull)n);
    histogram_write(&wait, "perilune_batch_wait_seconds", "From submitting to a batch to its run.", out);
}

/* What after_reply does. */
static void behind(const struct perilune *g, struct buf *out) {
    static const char name[] = "perilune_after_reply_total";
    struct afterwork *a = &g->stores->afterwork;
    one(out, "perilune_after_reply_open", "gauge", "Work behind replies that waits or runs.", afterwork_open(a));
    one(out, "perilune_after_reply_bytes", "gauge", "Bytes that it keeps.", atomic_load(&a->bytes));
    head(out, name, "counter", "Work behind replies, by what became of it.");
    for (int r = 0; r < AFTERWORK_RESULTS; r++)
        buf_printf(out, "%s{result=\"%s\"} %llu\n", name, afterwork_result_names[r], (ull)atomic_load(&a->results[r]));
}

/* ORDER tally: store/tally.h. */
static const struct tallied {
    const char *name, *help, *labels[TALLY_LABELS];
} tallied[TALLY_KINDS] = {
    { "perilune_routed_total", "Requests that a policy sent somewhere, by where and why.", { "policy", "to", "why" } },
    { "perilune_trials_total", "Calls on trial and those that they are compared with, by what came of them.",
      { "policy", "upstream", "result" } },
    { "perilune_trial_seconds_total", "Time from their beginning to their end, of those that went well.",
      { "policy", "upstream" } },
    { "perilune_trial_tokens_total", "Tokens that they used.", { "policy", "upstream", "type" } },
    { "perilune_captured_total", "Records of capture, by what became of them.", { "result" } },
    { "perilune_chosen_total", "Answers that were chosen among several, by what decided.", { "policy", "why" } },
    { "perilune_parts_total", "Parts of answers that policies asked for, by what came of them.",
      { "policy", "part", "result" } },
    { "perilune_hedges_total", "Requests of hedge: asked; hedged, that is with a second call; what came of it.",
      { "policy", "upstream", "result" } },
    { "perilune_cache_near_refused_total", "Searches whose nearest question was refused, by why.", { "cache", "why" } },
    { "perilune_cache_shadow_total", "Answers to near questions that were compared with the upstream's own.",
      { "cache", "result" } },
};

struct tally_writing {
    const struct tallied *kind;
    struct buf           *out;
};

static void write_tally(void *ud, const char (*labels)[TALLY_LABEL], double value) {
    const struct tally_writing *w = ud;
    buf_printf(w->out, "%s{", w->kind->name);
    for (int i = 0; i < TALLY_LABELS && w->kind->labels[i] != NULL; i++) {
        if (i > 0) buf_putc(w->out, ',');
        telemetry_label(w->out, w->kind->labels[i], labels[i]);
    }
    buf_printf(w->out, "} %.15g\n", value);
}

static void tallies(const struct perilune *g, struct buf *out) {
    for (int k = 0; k < TALLY_KINDS; k++) {
        struct tally_writing w = { &tallied[k], out };
        head(out, tallied[k].name, "counter", tallied[k].help);
        tally_each(g->stores->tally, (enum tally_kind)k, write_tally, &w);
    }
}

static void websockets(const struct perilune *g, struct buf *out) {
    static const int codes[WS_CODE_COUNT] = WS_CODES;
    one(out, "perilune_websocket_connections", "gauge", "Open WebSockets.", SUM(g, metrics.ws_open));
    one(out, "perilune_websocket_accepted_total", "counter", "WebSockets that were opened.",
        SUM(g, metrics.ws_accepted));
    head(out, "perilune_websocket_messages_total", "counter", "Messages on WebSockets.");
    buf_printf(out, "perilune_websocket_messages_total{direction=\"in\"} %llu\n", (ull)SUM(g, metrics.ws_received));
    buf_printf(out, "perilune_websocket_messages_total{direction=\"out\"} %llu\n", (ull)SUM(g, metrics.ws_sent));
    one(out, "perilune_websocket_refused_total", "counter", "Messages that were no request, or one too many.",
        SUM(g, metrics.ws_refused));
    head(out, "perilune_websocket_closed_total", "counter", "WebSockets that ended, by close code; 1006: without one.");
    for (size_t i = 0; i < WS_CODE_COUNT; i++) {
        uint64_t v = sum(g, offsetof(struct worker, metrics.ws_closed) + i * sizeof(stats_counter));
        char code[8] = "other";
        if (codes[i] != 0) snprintf(code, sizeof(code), "%d", codes[i]);
        if (v > 0) buf_printf(out, "perilune_websocket_closed_total{code=\"%s\"} %llu\n", code, (ull)v);
    }
}

void metrics_write(struct perilune *g, struct buf *out) {
    statuses(g, out);
    one(out, "perilune_in_flight", "gauge", "Requests that are running.", SUM(g, metrics.in_flight));
    one(out, "perilune_streams_total", "counter", "Requests that asked for a stream.", SUM(g, metrics.streams));
    one(out, "perilune_asks_total", "counter", "Requests that policies made.", SUM(g, metrics.asks));
    one(out, "perilune_stream_events_total", "counter", "Events forwarded to clients.", SUM(g, metrics.frames));
    one(out, "perilune_aborted_total", "counter", "Requests whose client left.", SUM(g, metrics.aborted));
    one(out, "perilune_connections", "gauge", "Open client connections.", SUM(g, server.stats.open));
    one(out, "perilune_connections_accepted_total", "counter", "Accepted connections.", SUM(g, server.stats.accepted));
    websockets(g, out);
    one(out, "perilune_refused_total", "counter", "Malformed, oversized or late requests.",
        SUM(g, server.stats.refused));
    one(out, "perilune_received_bytes_total", "counter", "Bytes from clients.", SUM(g, server.stats.bytes_in));
    one(out, "perilune_sent_bytes_total", "counter", "Bytes to clients.", SUM(g, server.stats.bytes_out));
    one(out, "perilune_compressed_replies_total", "counter", "Replies to clients that were compressed.",
        SUM(g, server.stats.compressed));
    one(out, "perilune_compression_saved_bytes_total", "counter", "Bytes that compressing kept from being sent.",
        SUM(g, server.stats.compress_saved));
    tokens(g, out);
    one(out, "perilune_cached_tokens_total", "counter", "Prompt tokens that upstreams had in their caches.",
        SUM(g, metrics.tokens_cached));
    one(out, "perilune_counted_tokens_total", "counter",
        "Prompt tokens as counted here, of answers without usage.", SUM(g, metrics.tokens_counted));
    calibration_write(g->calibration, out);
    saved(g, out);
    batches(g, out);
    behind(g, out);
    cache(g, out);
    redis(g, out);
    shared_index(g, out);
    gates(g, out);
    limits(g, out);
    job_rows_write(g, out);
    upstreams(g, out);
    one(out, "perilune_policy_microseconds_total", "counter", "Time spent in policies.", SUM(g, metrics.lua.policy_us));
    one(out, "perilune_policy_errors_total", "counter", "Policies that threw.", SUM(g, metrics.lua.errors));
    one(out, "perilune_policy_kills_total", "counter", "Policies over their CPU or memory budget.",
        SUM(g, metrics.lua.kills));
    one(out, "perilune_reload_generation", "gauge", "Generation that serves.", stats_get(&g->generation));
    one(out, "perilune_reloads_total", "counter", "Reloads that took effect.", stats_get(&g->reloads));
    one(out, "perilune_reload_failures_total", "counter", "Reloads that were refused.", stats_get(&g->reload_failures));
    one(out, "perilune_log_dropped_total", "counter", "Log lines that came faster than they were read.",
        log_thread_dropped(g->log_thread));
    histogram(g, offsetof(struct worker, metrics.duration), "gen_ai_server_request_duration_seconds",
              "From the first byte of a request to the last of its answer.", out);
    histogram(g, offsetof(struct worker, metrics.ttft), "gen_ai_server_time_to_first_token_seconds",
              "From the first byte of a request to the first event of its answer.", out);
    histogram(g, offsetof(struct worker, metrics.policy), "perilune_policy_seconds",
              "CPU time of policies per request.", out);
    telemetry(g, out);
    caches(g, out);
    tallies(g, out);
    engine_metrics_write(g->engines, out);
    process_metrics_write(out);
}
