/* worker.h -- one loop thread, assembled. See worker.c. */
#ifndef PERILUNE_GATEWAY_WORKER_H
#define PERILUNE_GATEWAY_WORKER_H

#include "base/stats.h"
#include "bridge/after.h"
#include "bridge/policy.h"
#include "gateway/cache_rows.h"
#include "gateway/config.h"
#include "gateway/job_stream.h"
#include "gateway/telemetry.h"
#include "gateway/webhooks.h"
#include "http/server.h"
#include "jobs/runner.h"
#include "llm/sayings.h"
#include "sys/door.h"
#include "sys/mailbox.h"
#include "upstream/client.h"

/* Everything that belongs to one load of the configuration on one worker. Lives
 * until the Lua state closes: calls that Lua still holds use the pools. */
struct generation {
    struct config       *config;
    struct state        *state;
    struct call_pool    *pools;
    struct policy_chain *chains;
    unsigned             chain_count;
    unsigned             closing; /* pools that calls still use, when all else is gone */
};

/* Close codes that are counted apart; the last stands for all others. */
#define WS_CODES { 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1013, 0 }
#define WS_CODE_COUNT 12

struct metrics { /* written by the worker's thread */
    stats_counter    status[600];             /* by HTTP status */
    struct telemetry telemetry;               /* by route, upstream, model, code */
    struct cache_rows caches;                 /* by cache, route, tenant */
    stats_counter    requests, streams, asks, aborted, tokens_in, tokens_out, tokens_cached,
                     tokens_counted, frames;
    stats_counter    ws_accepted, ws_received, ws_sent, ws_refused; /* sockets; messages; those that were no request */
    stats_counter    ws_closed[WS_CODE_COUNT];
    atomic_uint_least64_t in_flight, ws_open;
    struct histogram duration, ttft, policy;
    struct state_stats lua;
    struct job_stats jobs;
    struct webhook_stats webhooks;
};

#define LISTEN_MAX 16 /* ORDER: config.lua says the same */

/* What a worker is to listen on; applied on its thread. */
struct listen_plan {
    char                addresses[LISTEN_MAX][128];
    int                 shared[LISTEN_MAX]; /* the socket to listen on, or -1: one is bound */
    unsigned            count;
    bool                alone; /* nobody else may listen there yet */
    struct tls_context *tls;   /* a share */
};

struct worker {
    struct loop       *loop, own_loop;
    struct log        *log;
    struct client      client;
    struct http_server server;
    struct mailbox     mail;
    struct door       *door;     /* the same for who may come when it is gone */
    void             (*finished)(void *ud, const perilune_finished *f); /* perilune_hook(); NULL: nobody asks */
    void              *finished_ud;
    struct generation *gen;      /* current; NULL before the first load */
    struct tokens     *tokens;   /* counter of this thread; what it remembers survives reloads */
    struct calibration *calibration;  /* of all workers; borrowed. NULL: nothing is learned */
    struct metrics     metrics;
    struct far         far;         /* the second tier of the cache */
    struct post       *searcher, *teller; /* for its index, when that is not the second tier's server; or NULL */
    bool               is_home;     /* of the program's own requests: it does no jobs of others */
    bool               listens;     /* to what other processes invalidate: one worker does, for all */
    struct list        exchanges;
    struct exchange   *answering;   /* which of these exchange.c answers itself just now; NULL: none, or it is over */
    struct after_line  after;       /* what is to be done behind replies */
    unsigned           refreshes;   /* of these, for caches: refresh.c */
    unsigned           trials;      /* of these, for nobody: trial.c */
    struct jobs       *jobs;        /* its end of the queue; NULL: there is none, and then no runner */
    struct jobs       *guests;      /* of that whose jobs it does, where a broker brings them; NULL: of `jobs` */
    struct job_runner *runner;
    struct job_streams job_streams; /* of clients that watch jobs */
    struct webhooks   *webhooks;    /* NULL: another worker sends them, or there are no jobs */
    struct list        batches;     /* that were cancelled, and whose files are written: batch_work.c */
    struct json_doc    ws_doc;      /* scratch of ws_exchange.c */
    struct sayings_scratch said;    /* of library_exchange.c */
    uint64_t           penance_until_ms; /* until then policies that failed late wait with their answers */
    pthread_t          thread;
    bool               threaded, stopping;
};

/* loop NULL: a thread and loop of its own. */
int  worker_open(struct worker *w, unsigned index, struct loop *loop, struct log *log);
/* Cancels everything, ends the thread, frees. */
void worker_close(struct worker *w);

/* Runs the bundle in a new state, on any thread; json gets the configuration. w
 * may be NULL: only to see whether it can be loaded. */
int  generation_new(struct generation **out, struct worker *w, struct bundle *b, struct loop *loading_loop,
                    struct stores *stores, struct buf *json, char *err, size_t errlen);
/* Makes it ready for its worker, still before anybody else knows it. */
int  generation_bind(struct generation *gen, struct worker *w, struct config *c);
void generation_free(struct generation *gen); /* never installed */

/* Worker's thread. Takes gen; new requests use it from now on. */
void worker_install(struct worker *w, struct generation *gen);
/* Nobody uses the current one any more, and there is none: what it does behind replies ends, its share is given back.
 * The worker may be given another one. */
void worker_uninstall(struct worker *w);
/* Two steps, so that one which fails changes nothing: the addresses that are missing
 * are added (*port: of the last that was); the others are closed, and all use the
 * plan's certificate. */
int  worker_listen(struct worker *w, const struct listen_plan *plan, int *port, char *err, size_t errlen);
void worker_keep(struct worker *w, const struct listen_plan *plan);
void worker_drain(struct worker *w);
/* Appends one JSON object per exchange in flight, comma separated. */
void worker_describe(struct worker *w, struct buf *out);

#endif
