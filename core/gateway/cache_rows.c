/* cache_rows.c -- what caches did, by cache, route and tenant.
 *
 *     row:  cache "semantic", route "/v1/chat/completions", tenant "acme"
 *             lookups[]: hit 812, semantic 95, miss 310 ...
 *             tokens and money that its answers did not cost
 *
 * Hits among look-ups is what a cache is worth to whom, which the sums over all (perilune_cache_*) hide: one
 * tenant's questions come again, another's never do.  A worker writes its own table, any thread reads and adds up.
 *
 * Names of tenants may come from outside, so rows are bounded: when CACHE_ROWS_NAMED are taken, new tenants share
 * a row for each cache and route, and when those are all taken, everything shares the last.
 *
 * What was spared belongs to the cache that gave the answer, the innermost when one lies within another. */
#include "gateway/cache_rows.h"

#include <string.h>

#include "base/hash.h"
#include "gateway/telemetry.h"

typedef unsigned long long ull;

#define OTHER "other"

/* -- Finding rows ---------------------------------------------------------------------------- */

static unsigned count_of(const struct cache_rows *t) {
    return atomic_load_explicit((atomic_uint *)(uintptr_t)&t->count, memory_order_acquire);
}

/* What of a text fits into a row. */
static struct slice cut(struct slice s, size_t size) { return slice_of(s.ptr, s.len < size ? s.len : size - 1); }

static struct cache_row *look_up(struct cache_rows *t, struct slice cache, struct slice route, struct slice tenant,
                                 unsigned most) {
    struct cache_row *r = t->rows;
    route = cut(route, sizeof(r->route));
    tenant = cut(tenant, sizeof(r->tenant));
    uint64_t h = hash_fnv_field(hash_fnv_field(hash_fnv_field(HASH_FNV_START, cache), route), tenant);
    unsigned n = count_of(t);
    for (; r < t->rows + n; r++)
        if (r->hash == h && slice_eq(slice_str(r->cache), cache) && slice_eq(slice_str(r->route), route) &&
            slice_eq(slice_str(r->tenant), tenant))
            return r;
    if (n >= most) return NULL;
    r->hash = h;
    slice_copy(r->cache, sizeof(r->cache), cache);
    slice_copy(r->route, sizeof(r->route), route);
    slice_copy(r->tenant, sizeof(r->tenant), tenant);
    atomic_store_explicit(&t->count, n + 1, memory_order_release);
    return r;
}

static struct cache_row *row_of(struct cache_rows *t, const char *cache, const char *route, const char *tenant) {
    struct slice c = slice_str(cache), ro = slice_str(route), other = SLICE(OTHER);
    struct cache_row *r = look_up(t, c, ro, slice_str(tenant), CACHE_ROWS_NAMED);
    if (r == NULL) r = look_up(t, c, ro, other, CACHE_ROWS - 1);
    return r != NULL ? r : look_up(t, other, other, other, CACHE_ROWS);
}

/* -- Counting ----------------------------------------------------------------------------------- */

static void add_spared(struct cache_row *r, const struct cache_facts *f) {
    stats_add(&r->spared_in, f->spared.prompt);
    stats_add(&r->spared_out, f->spared.completion);
    stats_add(&r->spared_nano_usd, (uint64_t)(f->spared_usd * 1e9 + 0.5));
}

void cache_rows_count(struct cache_rows *t, const struct cache_facts *f) {
    struct cache_row *gave = NULL;
    bool told = false;
    for (const struct lookups *l = f->lookups; l != NULL; l = l->next) {
        struct cache_row *r = row_of(t, l->cache, f->route, f->tenant);
        for (int i = 0; i < LOOKUPS; i++) stats_add(&r->lookups[i], l->count[i]);
        told = told || l->count[LOOKUP_COALESCED] > 0;
        if (l->gave) gave = r;
    }
    if (f->coalesced && !told) { /* no cache is behind it */
        gave = row_of(t, "", f->route, f->tenant);
        stats_add(&gave->lookups[LOOKUP_COALESCED], 1);
    }
    if (gave != NULL) add_spared(gave, f);
}

void cache_rows_merge(struct cache_rows *to, const struct cache_rows *from) {
    unsigned n = count_of(from);
    for (unsigned i = 0; i < n; i++) {
        const struct cache_row *f = &from->rows[i];
        struct cache_row *r = row_of(to, f->cache, f->route, f->tenant);
        for (int k = 0; k < LOOKUPS; k++) stats_add(&r->lookups[k], stats_get(&f->lookups[k]));
        stats_add(&r->spared_in, stats_get(&f->spared_in));
        stats_add(&r->spared_out, stats_get(&f->spared_out));
        stats_add(&r->spared_nano_usd, stats_get(&f->spared_nano_usd));
    }
}

/* -- Writing --------------------------------------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
}

static void begin(struct buf *out, const char *name, const struct cache_row *r) {
    buf_printf(out, "%s{", name);
    telemetry_label(out, "cache", r->cache);
    buf_putc(out, ',');
    telemetry_label(out, "route", r->route);
    buf_putc(out, ',');
    telemetry_label(out, "tenant", r->tenant);
}

/* label: NAME="VALUE". */
static void one(struct buf *out, const char *name, const struct cache_row *r, const char *label, const char *value,
                const stats_counter *c) {
    if (stats_get(c) == 0) return;
    begin(out, name, r);
    buf_printf(out, ",%s=\"%s\"} %llu\n", label, value, (ull)stats_get(c));
}

void cache_rows_write(const struct cache_rows *t, struct buf *out) {
    static const char lookups[] = "perilune_cache_lookups_total", usd[] = "perilune_tenant_saved_usd_total";
    static const char tokens[] = "perilune_tenant_saved_tokens_total";
    unsigned n = count_of(t);
    head(out, lookups, "Look-ups of requests by cache, route, tenant and what came of them.");
    for (unsigned i = 0; i < n; i++)
        for (int k = 0; k < LOOKUPS; k++)
            one(out, lookups, &t->rows[i], "result", lookup_name((enum lookup)k), &t->rows[i].lookups[k]);
    head(out, tokens, "Tokens that a cache, or a shared answer, kept from being paid for, by the same.");
    for (unsigned i = 0; i < n; i++) {
        one(out, tokens, &t->rows[i], "type", "input", &t->rows[i].spared_in);
        one(out, tokens, &t->rows[i], "type", "output", &t->rows[i].spared_out);
    }
    head(out, usd, "What these tokens would have cost, by the upstream's price, by the same.");
    for (unsigned i = 0; i < n; i++) {
        uint64_t v = stats_get(&t->rows[i].spared_nano_usd);
        if (v == 0) continue;
        begin(out, usd, &t->rows[i]);
        buf_printf(out, "} %.9f\n", (double)v / 1e9);
    }
}
