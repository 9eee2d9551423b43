/* cache_rows.h -- what caches did, by cache, route and tenant. See cache_rows.c. */
#ifndef PERILUNE_GATEWAY_CACHE_ROWS_H
#define PERILUNE_GATEWAY_CACHE_ROWS_H

#include "base/stats.h"
#include "flow/flow.h"
#include "request/lookups.h"

#define CACHE_ROWS       160 /* of a worker; the last is "other" */
#define CACHE_ROWS_NAMED 128 /* of these, with a tenant of its own; behind them tenants are "other" */

struct cache_row {
    uint64_t      hash;
    char          cache[LOOKUPS_NAME + 1], route[96], tenant[128];
    stats_counter lookups[LOOKUPS], spared_in, spared_out, spared_nano_usd;
};

/* Written by one thread, read by any.  ORDER: a row is whole before it is counted. */
struct cache_rows {
    atomic_uint      count;
    struct cache_row rows[CACHE_ROWS];
};

/* A request that has ended. Borrowed for a call. */
struct cache_facts {
    const char           *route, *tenant;
    const struct lookups *lookups;
    bool                  coalesced;  /* it shared the answer of another, with or without a cache */
    struct usage          spared;     /* what its answer did not cost */
    double                spared_usd;
};

void cache_rows_count(struct cache_rows *t, const struct cache_facts *f);
/* to += from; `to` is nobody else's. */
void cache_rows_merge(struct cache_rows *to, const struct cache_rows *from);
/* Prometheus text. */
void cache_rows_write(const struct cache_rows *t, struct buf *out);

#endif
