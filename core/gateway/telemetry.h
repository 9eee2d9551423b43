/* telemetry.h -- what is counted of each request, by route, upstream and model. See telemetry.c. */
#ifndef PERILUNE_GATEWAY_TELEMETRY_H
#define PERILUNE_GATEWAY_TELEMETRY_H

#include <stdbool.h>

#include "base/stats.h"
#include "flow/flow.h"

#define TELEMETRY_ROWS     96 /* of a worker; the last is "other" */
#define TELEMETRY_CODES    40
#define TELEMETRY_POLICIES 48
#define TELEMETRY_CACHE    5  /* ORDER: cache_names in telemetry.c */
#define TELEMETRY_TENANTS  65 /* the last is "other" */

struct request;

/* All that is known of a request when it ends.  Borrowed for a call. */
struct request_facts {
    const struct request *request;    /* what only its line of the log says */
    struct slice       method, path;
    const char        *via;           /* "websocket", "library"; NULL: by HTTP */
    const char        *id, *tenant;
    const char        *job;           /* that it is, or asks about; "": none */
    const char        *route;         /* its name, or its path as the file has it; "": none */
    const char *const *policies;      /* names, of the route */
    unsigned           policy_count;
    struct slice       routed;        /* where a policy sent it, and why (x-perilune-route); empty: none said */
    struct slice       degraded;      /* policies that answered in place of a failure, "a, b"; empty: none */
    const char        *upstream;      /* that answered, or failed last; "": none was asked */
    struct slice       model;         /* that it was asked for */
    bool               model_listed;  /* the configuration names it, so it is worth a row */
    bool               is_aborted;    /* the client left */
    bool               is_trial;      /* nobody asked for it: no tenant's */
    int                status;
    const char        *code;          /* of the failure, "" when there was none */
    const char        *detail;        /* of the failure, for operators, "" when there is none */
    unsigned           tries, retries, fallbacks; /* calls; of these again to the same, and to another upstream */
    struct usage       usage;         /* that was paid for, */
    struct usage       spared;        /* and that a cache had: not paid for */
    double             spared_usd;
    const char        *cache;         /* "hit", "miss" ...; "" or NULL: no cache was asked */
    struct slice       cache_entry, cache_similarity; /* as the reply says them: "": no entry, or no near one */
    uint64_t           counted;       /* prompt tokens as counted here, of an answer without usage */
    double             usd;
    unsigned           asks;          /* requests that policies made for it; each is counted by itself */
    struct usage       asked;         /* what these used, */
    double             asked_usd;     /* and what that cost */
    uint64_t           ttft_us, total_us, policy_us; /* 0: none */
};

struct telemetry_row {
    uint64_t         hash;
    char             route[96], upstream[64], model[64];
    stats_counter    by_code[TELEMETRY_CODES];
    stats_counter    by_cache[TELEMETRY_CACHE], spared_in, spared_out, spared_nano_usd;
    stats_counter    tokens_in, tokens_out, tokens_cached, nano_usd, retries, fallbacks, senseless;
    struct histogram ttft, duration;
};

struct telemetry_policy {
    char          name[48];
    stats_counter by_code[TELEMETRY_CODES], degraded;
};

struct telemetry_tenant {
    uint64_t      hash;
    char          name[128];
    stats_counter requests, tokens_in, tokens_out, tokens_cached, nano_usd;
    stats_counter by_code[TELEMETRY_CODES];
    struct histogram ttft, duration;
};

/* Written by one thread, read by any.  ORDER: a row is whole before it is counted. */
struct telemetry {
    atomic_uint             row_count, code_count, policy_count, tenant_count;
    struct telemetry_row    rows[TELEMETRY_ROWS];
    char                    codes[TELEMETRY_CODES][48]; /* the first: "ok" */
    struct telemetry_policy policies[TELEMETRY_POLICIES];
    struct telemetry_tenant tenants[TELEMETRY_TENANTS];
};

void telemetry_count(struct telemetry *t, const struct request_facts *f);
/* to += from; `to` is nobody else's. */
void telemetry_merge(struct telemetry *to, const struct telemetry *from);
/* Prometheus text. */
void telemetry_write(const struct telemetry *t, struct buf *out);
/* A label's value: what would end it is escaped. */
void telemetry_label(struct buf *out, const char *name, const char *value);

#endif
