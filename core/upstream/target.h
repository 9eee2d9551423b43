/* target.h -- a named upstream: where it is, how to talk to it, how it fares.
 *
 * Settings are immutable once a configuration is loaded; `health` is shared by
 * all generations and threads of a name and changes atomically. */
#ifndef PERILUNE_UPSTREAM_TARGET_H
#define PERILUNE_UPSTREAM_TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/headers.h"
#include "base/err.h"
#include "base/stats.h"
#include "sched/affinity.h"
#include "sched/breaker.h"
#include "sched/credit.h"
#include "sched/latency.h"
#include "sched/pick.h"

#define TARGET_URLS 16

struct target_timeouts { /* milliseconds; 0: none */
    uint64_t connect_ms, headers_ms, first_token_ms, idle_ms, total_ms;
};

#define TARGET_CODES 24 /* that an upstream's failures are told apart by */

struct target_code {
    atomic_uint           state; /* of the slot, see health.c */
    char                  code[48];
    atomic_uint_least64_t count;
};

struct target_health {
    atomic_uint_least64_t in_flight, calls, failures;
    struct histogram      head, whole; /* from the start of a call to the head, and to the end of a good answer */
    atomic_uint_least64_t by_kind[FAILURE_KINDS]; /* the failures, but for those in codes */
    struct target_code    codes[TARGET_CODES];    /* what upstreams said themselves */
    atomic_uint_least64_t down_until_ms[TARGET_URLS]; /* after a connection failed; loop clock */
    atomic_uint           next_url;
    atomic_uint_least64_t continued; /* answers that broke off and whose rest was asked for */
    atomic_uint_least64_t refused_until_ms; /* what a call may leave out (call_optional) is left out; loop clock */
    atomic_uint_least64_t who;      /* a hash of where it is and by which account it is asked; 0: not known yet */
    struct breaker        breaker;
    struct latency        first, all; /* of answers to chats: of streams to the first event, of others to the end */
    uint16_t              number;     /* among all names, from 1 on */
};

/* What all workers and generations know of a pool. */
struct target_pool_state {
    atomic_uint_least64_t turn;      /* members that were picked so far */
    struct credit         retries;
    atomic_uint_least64_t retried, unpaid, desperate; /* retries; those without credit; picks while all rest */
    atomic_bool           all_rest;
    atomic_uint_least64_t long_picks, long_strayed; /* prompts for its members in `longs`; those that went elsewhere, or
                                                     * the other way round, because there was nobody else */
    struct affinity      *affinity;  /* of PICK_PREFIX and of `longs`; NULL: there is none */
    struct hash_long_key  key;       /* of its blocks */
};

struct target_member {
    unsigned    target;  /* its place among the targets */
    double      weight;
    const char *region;  /* NULL: not said */
    bool        spot;
};

/* Upstreams of which one is asked. */
struct target_pool {
    enum pick_how             how;
    struct target_member     *members;
    unsigned                  count;
    const char               *key;    /* of PICK_STICKY: a header; NULL: the tenant */
    const char               *region; /* whose members are preferred; NULL: all are alike */
    unsigned                  retries; /* of a request, at other members */
    uint64_t                  longs;   /* bits of the members for long prompts; 0: all are for all */
    uint64_t                  above;   /* tokens that are new, from which on a prompt is long */
    struct target_pool_state *state;
};

struct reach;
struct tls_context;
struct resident;

enum target_thinks { TARGET_THINKS_AS_IT_LIKES, TARGET_THINKS, TARGET_THINKS_NOT };

struct target {
    const char *name;
    const char *urls[TARGET_URLS]; /* base URLs without a trailing slash */
    unsigned    url_count;
    struct resident *engine;         /* a model of this process that is asked in place of URLs; NULL: none */
    const char *engine_model, *engine_template; /* its files; NULL: none, or the model's own template */
    const char *model;             /* replaces the request's; NULL: does not */
    const char **models;           /* further names it answers to */
    unsigned    model_count;
    const char *key;               /* sent as "Authorization: Bearer ..."; NULL: none */
    bool        key_from_client;
    const char **forward_headers;  /* names, lower case */
    unsigned    forward_count;
    struct headers_list pass_headers; /* of its answers, that clients get */
    const char **headers;          /* complete lines "Name: value" sent with each call */
    unsigned    header_count;
    unsigned char thinks;          /* enum target_thinks: a model of this process, when the request does not say */
    unsigned char prefill;         /* enum prefill: how it is told to go on with an answer */
    bool        leave_usage;       /* streams are not asked to tell their usage */
    bool        http2, insecure;
    const char *proxy, *ca;        /* NULL: curl's environment rules, the system's store */
    struct tls_context *tls;       /* what `ca` holds; NULL: no `ca`, or insecure */
    const struct reach *reach;     /* which addresses may be called: reach.h; NULL: all.  No proxy of the environment
                                    * is asked then, which would call for us whatever it likes */
    struct target_timeouts timeouts;
    uint64_t    max_answer;        /* bytes of one buffered answer */
    uint64_t    max_event;         /* bytes of one event of a stream */
    double      price_in, price_out, price_cached; /* USD for a million tokens */
    struct breaker_settings breaker;
    const struct target_pool *pool; /* NULL: it is one upstream; else it has a name, `models` and nothing to call */
    struct target_health *health;
};

/* A call failed. Any thread. */
void target_count_failure(struct target_health *h, const struct failure *f);
/* The failures with the code in slot i, and *code; 0: there are none, or an earlier slot has told them. */
uint64_t target_failures(const struct target_health *h, unsigned i, const char **code);

#endif
