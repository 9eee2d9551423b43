/* telemetry.c -- requests by route, upstream and model; by policy; by tenant; and how they ended.
 *
 *     row:  route "/v1/chat/completions", upstream "big", model "gpt-4o"
 *             by_code[]: ok 812, upstream_reset 3, canceled 1     names in codes[]
 *             tokens, money, retries, fallbacks, two histograms
 *
 * A worker writes its own tables, any thread reads and adds them up.  How many rows there are
 * is bounded, because labels come from outside: the model from a client, the code from an
 * upstream or a policy.  What finds no row is counted under "other".  A model that the
 * configuration does not name gets a row with its first success only, so that a client who
 * makes up names cannot fill the table.
 *
 * Counters tell what the client got: the code of the last failure, which is the upstream's
 * when policies handed it on. */
#include "gateway/telemetry.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

typedef unsigned long long ull;

#define OTHER "other"

/* -- Finding rows --------------------------------------------------------------------------- */

static unsigned count_of(const atomic_uint *n) {
    return atomic_load_explicit((atomic_uint *)(uintptr_t)n, memory_order_acquire);
}

static void publish(atomic_uint *n, unsigned value) { atomic_store_explicit(n, value, memory_order_release); }

static unsigned code_index(struct telemetry *t, const char *code) {
    unsigned n = count_of(&t->code_count);
    if (n == 0) {
        slice_copy(t->codes[0], sizeof(t->codes[0]), SLICE("ok"));
        publish(&t->code_count, n = 1);
    }
    if (code[0] == '\0') return 0;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(t->codes[i], code) == 0) return i;
    if (n == TELEMETRY_CODES) return n - 1;
    slice_copy(t->codes[n], sizeof(t->codes[n]), slice_str(n == TELEMETRY_CODES - 1 ? OTHER : code));
    publish(&t->code_count, n + 1);
    return n;
}

/* What of a text fits into a row. */
static struct slice cut(struct slice s, size_t size) { return slice_of(s.ptr, s.len < size ? s.len : size - 1); }

static struct telemetry_row *look_up(struct telemetry *t, struct slice route, struct slice upstream,
                                     struct slice model, bool make) {
    struct telemetry_row *r = t->rows;
    route = cut(route, sizeof(r->route));
    upstream = cut(upstream, sizeof(r->upstream));
    model = cut(model, sizeof(r->model));
    uint64_t h = hash_fnv_field(hash_fnv_field(hash_fnv_field(HASH_FNV_START, route), upstream), model);
    unsigned n = count_of(&t->row_count);
    for (; r < t->rows + n; r++)
        if (r->hash == h && slice_eq(slice_str(r->route), route) && slice_eq(slice_str(r->upstream), upstream) &&
            slice_eq(slice_str(r->model), model))
            return r;
    if (!make || n == TELEMETRY_ROWS) return NULL;
    r->hash = h;
    slice_copy(r->route, sizeof(r->route), route);
    slice_copy(r->upstream, sizeof(r->upstream), upstream);
    slice_copy(r->model, sizeof(r->model), model);
    publish(&t->row_count, n + 1);
    return r;
}

static struct telemetry_row *row_of(struct telemetry *t, struct slice route, struct slice upstream,
                                    struct slice model, bool deserves_one) {
    bool room = count_of(&t->row_count) < TELEMETRY_ROWS - 2;
    struct telemetry_row *r = look_up(t, route, upstream, model, room && deserves_one);
    if (r == NULL && model.len > 0) r = look_up(t, route, upstream, SLICE(OTHER), room);
    if (r == NULL) r = look_up(t, SLICE(OTHER), SLICE(OTHER), SLICE(OTHER), true); /* room was kept for it */
    return r;
}

static struct telemetry_policy *policy_of(struct telemetry *t, struct slice name) {
    unsigned n = count_of(&t->policy_count);
    struct slice s = cut(name, sizeof(t->policies[0].name));
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(slice_str(t->policies[i].name), s)) return &t->policies[i];
    if (n == TELEMETRY_POLICIES) return &t->policies[n - 1];
    slice_copy(t->policies[n].name, sizeof(t->policies[n].name), n == TELEMETRY_POLICIES - 1 ? SLICE(OTHER) : s);
    publish(&t->policy_count, n + 1);
    return &t->policies[n];
}

static struct telemetry_tenant *tenant_of(struct telemetry *t, const char *name) {
    unsigned n = count_of(&t->tenant_count);
    struct slice s = cut(slice_str(name), sizeof(t->tenants[0].name));
    uint64_t h = hash_fnv_field(HASH_FNV_START, s);
    for (unsigned i = 0; i < n; i++)
        if (t->tenants[i].hash == h && slice_eq(slice_str(t->tenants[i].name), s)) return &t->tenants[i];
    if (n == TELEMETRY_TENANTS) return &t->tenants[n - 1];
    if (n == TELEMETRY_TENANTS - 1) s = SLICE(OTHER);
    t->tenants[n].hash = hash_fnv_field(HASH_FNV_START, s);
    slice_copy(t->tenants[n].name, sizeof(t->tenants[n].name), s);
    publish(&t->tenant_count, n + 1);
    return &t->tenants[n];
}

/* -- Counting ----------------------------------------------------------------------------------- */

static const char *const cache_names[TELEMETRY_CACHE] = { "hit", "stale", "miss", "bypass", "coalesced" };

static void count_cache(struct telemetry_row *r, const struct request_facts *f) {
    for (unsigned i = 0; i < TELEMETRY_CACHE; i++)
        if (strcmp(f->cache, cache_names[i]) == 0) stats_add(&r->by_cache[i], 1);
    stats_add(&r->spared_in, f->spared.prompt);
    stats_add(&r->spared_out, f->spared.completion);
    stats_add(&r->spared_nano_usd, (uint64_t)(f->spared_usd * 1e9 + 0.5));
}

static uint64_t nano_usd_of(const struct request_facts *f) { return (uint64_t)(f->usd * 1e9 + 0.5); }

static void count_tenant(struct telemetry *t, const struct request_facts *f, unsigned code) {
    if (f->tenant == NULL || f->tenant[0] == '\0' || f->is_trial) return;
    struct telemetry_tenant *n = tenant_of(t, f->tenant);
    stats_add(&n->requests, 1);
    stats_add(&n->tokens_in, f->usage.prompt);
    stats_add(&n->tokens_out, f->usage.completion);
    stats_add(&n->tokens_cached, f->usage.cached);
    stats_add(&n->nano_usd, nano_usd_of(f));
    stats_add(&n->by_code[code], 1);
    if (f->ttft_us) histogram_record(&n->ttft, f->ttft_us);
    histogram_record(&n->duration, f->total_us);
}

/* "canned, trim": each once. */
static void count_degraded(struct telemetry *t, struct slice names) {
    while (names.len > 0) {
        const char *comma = memchr(names.ptr, ',', names.len);
        size_t len = comma ? (size_t)(comma - names.ptr) : names.len;
        struct slice name = slice_trim(slice_of(names.ptr, len));
        if (name.len > 0) stats_add(&policy_of(t, name)->degraded, 1);
        len += comma != NULL;
        names = slice_of(names.ptr + len, names.len - len);
    }
}

void telemetry_count(struct telemetry *t, const struct request_facts *f) {
    bool ok = f->code[0] == '\0';
    unsigned code = code_index(t, f->code);
    struct telemetry_row *r = row_of(t, slice_str(f->route), slice_str(f->upstream), f->model, f->model_listed || ok);
    stats_add(&r->by_code[code], 1);
    stats_add(&r->tokens_in, f->usage.prompt);
    stats_add(&r->tokens_out, f->usage.completion);
    stats_add(&r->tokens_cached, f->usage.cached);
    stats_add(&r->nano_usd, nano_usd_of(f));
    if (f->usage.senseless) stats_add(&r->senseless, 1);
    stats_add(&r->retries, f->retries);
    stats_add(&r->fallbacks, f->fallbacks);
    if (f->cache != NULL && f->cache[0]) count_cache(r, f);
    if (f->ttft_us) histogram_record(&r->ttft, f->ttft_us);
    histogram_record(&r->duration, f->total_us);
    for (unsigned i = 0; i < f->policy_count; i++)
        stats_add(&policy_of(t, slice_str(f->policies[i]))->by_code[code], 1);
    count_tenant(t, f, code);
    count_degraded(t, f->degraded);
}

/* -- Adding up ------------------------------------------------------------------------------------ */

static void merge_codes(struct telemetry *to, stats_counter *sum, const struct telemetry *from,
                        const stats_counter *part) {
    unsigned n = count_of(&from->code_count);
    for (unsigned i = 0; i < n; i++)
        stats_add(&sum[code_index(to, i ? from->codes[i] : "")], stats_get(&part[i]));
}

static void merge_tenants(struct telemetry *to, const struct telemetry *from) {
    unsigned n = count_of(&from->tenant_count);
    for (unsigned i = 0; i < n; i++) {
        const struct telemetry_tenant *f = &from->tenants[i];
        struct telemetry_tenant *t = tenant_of(to, f->name);
        stats_add(&t->requests, stats_get(&f->requests));
        stats_add(&t->tokens_in, stats_get(&f->tokens_in));
        stats_add(&t->tokens_out, stats_get(&f->tokens_out));
        stats_add(&t->tokens_cached, stats_get(&f->tokens_cached));
        stats_add(&t->nano_usd, stats_get(&f->nano_usd));
        merge_codes(to, t->by_code, from, f->by_code);
        histogram_merge(&t->ttft, &f->ttft);
        histogram_merge(&t->duration, &f->duration);
    }
}

void telemetry_merge(struct telemetry *to, const struct telemetry *from) {
    unsigned rows = count_of(&from->row_count), policies = count_of(&from->policy_count);
    for (unsigned i = 0; i < rows; i++) {
        const struct telemetry_row *f = &from->rows[i];
        struct telemetry_row *r = row_of(to, slice_str(f->route), slice_str(f->upstream), slice_str(f->model), true);
        merge_codes(to, r->by_code, from, f->by_code);
        stats_add(&r->tokens_in, stats_get(&f->tokens_in));
        stats_add(&r->tokens_out, stats_get(&f->tokens_out));
        stats_add(&r->tokens_cached, stats_get(&f->tokens_cached));
        stats_add(&r->nano_usd, stats_get(&f->nano_usd));
        stats_add(&r->senseless, stats_get(&f->senseless));
        stats_add(&r->retries, stats_get(&f->retries));
        stats_add(&r->fallbacks, stats_get(&f->fallbacks));
        for (unsigned k = 0; k < TELEMETRY_CACHE; k++) stats_add(&r->by_cache[k], stats_get(&f->by_cache[k]));
        stats_add(&r->spared_in, stats_get(&f->spared_in));
        stats_add(&r->spared_out, stats_get(&f->spared_out));
        stats_add(&r->spared_nano_usd, stats_get(&f->spared_nano_usd));
        histogram_merge(&r->ttft, &f->ttft);
        histogram_merge(&r->duration, &f->duration);
    }
    for (unsigned i = 0; i < policies; i++) {
        struct telemetry_policy *p = policy_of(to, slice_str(from->policies[i].name));
        merge_codes(to, p->by_code, from, from->policies[i].by_code);
        stats_add(&p->degraded, stats_get(&from->policies[i].degraded));
    }
    merge_tenants(to, from);
}

/* -- Writing ---------------------------------------------------------------------------------------- */

void telemetry_label(struct buf *out, const char *name, const char *value) {
    buf_puts(out, name);
    buf_puts(out, "=\"");
    for (const char *p = value; *p; p++) {
        if (*p == '\n') buf_puts(out, "\\n");
        else if ((unsigned char)*p < ' ') buf_putc(out, '?');
        else {
            if (*p == '"' || *p == '\\') buf_putc(out, '\\');
            buf_putc(out, *p);
        }
    }
    buf_putc(out, '"');
}

static void labels(struct buf *out, const struct telemetry_row *r) {
    telemetry_label(out, "route", r->route);
    buf_putc(out, ',');
    telemetry_label(out, "upstream", r->upstream);
    buf_putc(out, ',');
    telemetry_label(out, "model", r->model);
}

static void head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_errors(const struct telemetry *t, unsigned rows, struct buf *out) {
    head(out, "perilune_errors_total", "counter", "Failed requests by the code that the client got.");
    for (unsigned c = 1; c < count_of(&t->code_count); c++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < rows; i++) sum += stats_get(&t->rows[i].by_code[c]);
        if (sum == 0) continue;
        buf_puts(out, "perilune_errors_total{");
        telemetry_label(out, "error_type", t->codes[c]);
        buf_printf(out, "} %llu\n", (ull)sum);
    }
}

static void write_requests(const struct telemetry *t, unsigned rows, struct buf *out) {
    head(out, "perilune_route_requests_total", "counter", "Requests by route, upstream, model and how they ended.");
    for (unsigned i = 0; i < rows; i++) {
        for (unsigned c = 0; c < count_of(&t->code_count); c++) {
            uint64_t v = stats_get(&t->rows[i].by_code[c]);
            if (v == 0) continue;
            buf_puts(out, "perilune_route_requests_total{");
            labels(out, &t->rows[i]);
            buf_putc(out, ',');
            telemetry_label(out, "code", t->codes[c]);
            buf_printf(out, "} %llu\n", (ull)v);
        }
    }
}

static void write_sums(const struct telemetry *t, unsigned rows, struct buf *out) {
    static const struct { const char *name, *more, *help; size_t at; } families[] = {
        { "perilune_tokens_total", ",type=\"input\"", "Tokens that upstreams reported, by route, upstream and model.",
          offsetof(struct telemetry_row, tokens_in) },
        { "perilune_tokens_total", ",type=\"output\"", NULL, offsetof(struct telemetry_row, tokens_out) },
        { "perilune_tokens_total", ",type=\"cached\"", NULL, offsetof(struct telemetry_row, tokens_cached) },
        { "perilune_usd_total", "", "What these tokens cost, by the upstream's price.",
          offsetof(struct telemetry_row, nano_usd) },
        { "perilune_senseless_usage_total", "", "Answers whose usage cannot be, and is not believed (a text, "
          "below zero, a fraction, far too much).", offsetof(struct telemetry_row, senseless) },
        { "perilune_retries_total", "", "Calls of a request to the upstream that it had called just before.",
          offsetof(struct telemetry_row, retries) },
        { "perilune_fallbacks_total", "", "Calls of a request to another upstream than the one before.",
          offsetof(struct telemetry_row, fallbacks) },
        { "perilune_cache_saved_tokens_total", ",type=\"input\"", "Tokens that a cache, or a shared answer, kept from "
          "being paid for.", offsetof(struct telemetry_row, spared_in) },
        { "perilune_cache_saved_tokens_total", ",type=\"output\"", NULL, offsetof(struct telemetry_row, spared_out) },
        { "perilune_cache_saved_usd_total", "", "What these tokens would have cost.",
          offsetof(struct telemetry_row, spared_nano_usd) },
    };
    for (size_t k = 0; k < sizeof(families) / sizeof(*families); k++) {
        if (families[k].help) head(out, families[k].name, "counter", families[k].help);
        for (unsigned i = 0; i < rows; i++) {
            const char *row = (const char *)&t->rows[i];
            uint64_t v = stats_get((const stats_counter *)(const void *)(row + families[k].at));
            if (v == 0) continue;
            buf_printf(out, "%s{", families[k].name);
            labels(out, &t->rows[i]);
            bool is_money = strstr(families[k].name, "_usd_") != NULL;
            if (is_money) buf_printf(out, "} %.9f\n", (double)v / 1e9);
            else buf_printf(out, "%s} %llu\n", families[k].more, (ull)v);
        }
    }
}

static void write_cache(const struct telemetry *t, unsigned rows, struct buf *out) {
    head(out, "perilune_cache_requests_total", "counter", "Requests that asked a cache, by what it did.");
    for (unsigned i = 0; i < rows; i++) {
        for (unsigned k = 0; k < TELEMETRY_CACHE; k++) {
            uint64_t v = stats_get(&t->rows[i].by_cache[k]);
            if (v == 0) continue;
            buf_puts(out, "perilune_cache_requests_total{");
            labels(out, &t->rows[i]);
            buf_printf(out, ",result=\"%s\"} %llu\n", cache_names[k], (ull)v);
        }
    }
}

/* Nothing, when none of its requests came that far.  l: its labels, which are emptied. */
static void write_histogram(const struct histogram *h, const char *name, struct buf *l, struct buf *out) {
    const char *text = buf_cstr(l);
    if (text == NULL) out->error = PERILUNE_ERR_NOMEM;
    else if (stats_get(&h->sum_us) != 0) histogram_write_labeled(h, name, text, out);
    buf_clear(l);
}

static void write_histograms(const struct telemetry *t, unsigned rows, size_t at, const char *name,
                             const char *help, struct buf *out) {
    struct buf l;
    buf_init(&l, 0);
    head(out, name, "histogram", help);
    for (unsigned i = 0; i < rows; i++) {
        labels(&l, &t->rows[i]);
        write_histogram((const void *)((const char *)&t->rows[i] + at), name, &l, out);
    }
    buf_deinit(&l);
}

static void write_tenant_histograms(const struct telemetry *t, size_t at, const char *name, const char *help,
                                    struct buf *out) {
    struct buf l;
    buf_init(&l, 0);
    head(out, name, "histogram", help);
    for (unsigned i = 0; i < count_of(&t->tenant_count); i++) {
        telemetry_label(&l, "tenant", t->tenants[i].name);
        write_histogram((const void *)((const char *)&t->tenants[i] + at), name, &l, out);
    }
    buf_deinit(&l);
}

static void write_policies(const struct telemetry *t, struct buf *out) {
    head(out, "perilune_policy_requests_total", "counter", "Requests of routes with this policy, by how they ended.");
    for (unsigned i = 0; i < count_of(&t->policy_count); i++) {
        for (unsigned c = 0; c < count_of(&t->code_count); c++) {
            uint64_t v = stats_get(&t->policies[i].by_code[c]);
            if (v == 0) continue;
            buf_puts(out, "perilune_policy_requests_total{");
            telemetry_label(out, "policy", t->policies[i].name);
            buf_putc(out, ',');
            telemetry_label(out, "code", t->codes[c]);
            buf_printf(out, "} %llu\n", (ull)v);
        }
    }
}

static void write_degraded(const struct telemetry *t, struct buf *out) {
    head(out, "perilune_degraded_total", "counter", "Answers for which a policy stood in (x-perilune-degraded).");
    for (unsigned i = 0; i < count_of(&t->policy_count); i++) {
        uint64_t v = stats_get(&t->policies[i].degraded);
        if (v == 0) continue;
        buf_puts(out, "perilune_degraded_total{");
        telemetry_label(out, "policy", t->policies[i].name);
        buf_printf(out, "} %llu\n", (ull)v);
    }
}

/* type: a label, or NULL. */
static void write_tenant(const struct telemetry_tenant *t, const char *name, const char *type, uint64_t v,
                         struct buf *out) {
    if (v == 0) return;
    buf_printf(out, "%s{", name);
    telemetry_label(out, "tenant", t->name);
    if (type != NULL) buf_printf(out, ",type=\"%s\"", type);
    buf_printf(out, "} %llu\n", (ull)v);
}

static void write_tenant_errors(const struct telemetry *t, struct buf *out) {
    head(out, "perilune_tenant_errors_total", "counter", "Failed requests by tenant and the code that the client got.");
    for (unsigned i = 0; i < count_of(&t->tenant_count); i++) {
        for (unsigned c = 1; c < count_of(&t->code_count); c++) {
            uint64_t v = stats_get(&t->tenants[i].by_code[c]);
            if (v == 0) continue;
            buf_puts(out, "perilune_tenant_errors_total{");
            telemetry_label(out, "tenant", t->tenants[i].name);
            buf_putc(out, ',');
            telemetry_label(out, "error_type", t->codes[c]);
            buf_printf(out, "} %llu\n", (ull)v);
        }
    }
}

static void write_tenants(const struct telemetry *t, struct buf *out) {
    unsigned n = count_of(&t->tenant_count);
    const struct telemetry_tenant *all = t->tenants;
    static const char requests[] = "perilune_tenant_requests_total", tokens[] = "perilune_tenant_tokens_total";
    static const char usd[] = "perilune_tenant_cost_usd_total";
    head(out, requests, "counter", "Requests by tenant.");
    for (unsigned i = 0; i < n; i++) write_tenant(&all[i], requests, NULL, stats_get(&all[i].requests), out);
    head(out, tokens, "counter", "Tokens that upstreams reported, by tenant.");
    for (unsigned i = 0; i < n; i++) {
        write_tenant(&all[i], tokens, "input", stats_get(&all[i].tokens_in), out);
        write_tenant(&all[i], tokens, "output", stats_get(&all[i].tokens_out), out);
        write_tenant(&all[i], tokens, "cached", stats_get(&all[i].tokens_cached), out);
    }
    head(out, usd, "counter", "What these tokens cost, by the upstream's price, by tenant.");
    for (unsigned i = 0; i < n; i++) {
        if (stats_get(&all[i].nano_usd) == 0) continue;
        buf_printf(out, "%s{", usd);
        telemetry_label(out, "tenant", all[i].name);
        buf_printf(out, "} %.9f\n", (double)stats_get(&all[i].nano_usd) / 1e9);
    }
}

void telemetry_write(const struct telemetry *t, struct buf *out) {
    unsigned rows = count_of(&t->row_count);
    write_errors(t, rows, out);
    write_cache(t, rows, out);
    write_requests(t, rows, out);
    write_sums(t, rows, out);
    write_histograms(t, rows, offsetof(struct telemetry_row, duration), "perilune_request_duration_seconds",
                     "From the first byte of a request to the last of its answer, by route, upstream and model.", out);
    write_histograms(t, rows, offsetof(struct telemetry_row, ttft), "perilune_time_to_first_token_seconds",
                     "From the first byte of a request to the first event of its answer, by the same.", out);
    write_policies(t, out);
    write_degraded(t, out);
    write_tenants(t, out);
    write_tenant_errors(t, out);
    write_tenant_histograms(t, offsetof(struct telemetry_tenant, duration), "perilune_tenant_request_duration_seconds",
                            "From the first byte of a request to the last of its answer, by tenant.", out);
    write_tenant_histograms(t, offsetof(struct telemetry_tenant, ttft), "perilune_tenant_time_to_first_token_seconds",
                            "From the first byte of a request to the first event of its answer, by tenant.", out);
}
