/* gateway.h -- the inside of a `perilune`. See gateway.c. */
#ifndef PERILUNE_GATEWAY_GATEWAY_H
#define PERILUNE_GATEWAY_GATEWAY_H

#include "gateway/registry.h"
#include "gateway/worker.h"

struct sim;

struct perilune {
    struct loop         loop;
    struct mailbox      mail;        /* wakes the owner */
    struct log          log;
    struct registry     registry;
    struct shared      *shared;
    struct worker      *workers;
    unsigned            worker_count;
    atomic_uint         connections; /* of all workers */
    struct http_server  admin;
    bool                admin_open;
    int                 admin_port, port;
    struct config      *config;      /* current; owner only */
    struct bundle      *bundle;
    char               *path;        /* of the configuration */
    char               *override;    /* address given to perilune_listen() */
    struct sim         *sim;         /* answers `sim` upstreams; NULL: none needed */
    uint64_t            generation;
    uint64_t            reloads, reload_failures;
    bool                listening;
    atomic_bool         stop;
    atomic_int          drain_ms;    /* asked for; -1: no */
    bool                draining;
    struct timer        watch, drain, poll;
    int64_t             watched;     /* fingerprint of the files' times */
    bool                drained;
    struct tls_context *tls;
    char                errmsg[2048];
    char                bound[16][2][128]; /* configured address, bound address */
    unsigned            bound_count;
};

/* admin.c */
int  admin_listen(struct perilune *g, const char *address);
void admin_close(struct perilune *g);
/* metrics.c */
void metrics_write(struct perilune *g, struct buf *out);
/* Runs fn on the worker's thread with ud and waits for it; false after timeout_ms
 * (fn may then still run: ud must be static or counted). gateway.c */
bool gateway_ask(struct worker *w, void (*fn)(struct worker *, void *ud), void *ud);
/* Checks and builds path without installing it. commands.c and gateway.c */
int  gateway_check(const char *path, struct buf *json, char *err, size_t errlen);

#endif
