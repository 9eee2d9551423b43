/* gateway.h -- the inside of a `perilune`. See gateway.c. */
#ifndef PERILUNE_GATEWAY_GATEWAY_H
#define PERILUNE_GATEWAY_GATEWAY_H

#include <sys/types.h>

#include "gateway/cache_keeper.h"
#include "gateway/registry.h"
#include "gateway/worker.h"
#include "http/shared_socket.h"
#include "local/engines.h"
#include "local/llama.h"
#include "local/process.h"
#include "sys/log_thread.h"
#include "tokens/calibration.h"

struct library;
struct sim;

#define DRAIN_CONFIGURED -1 /* as long as the configuration says */
#define DRAIN_NOT_ASKED  -2
#define SOCKETS_MOST     (2 * LISTEN_MAX + 2) /* those of an old configuration and of a new one */

/* What was read, before anybody is served by it. */
struct loaded {
    struct bundle      *bundle;
    struct config      *config;
    struct generation **gens; /* one per worker; without workers, one to look at */
    struct tls_context *tls;
    struct jobs_store  *jobs, *guests; /* opened for it; NULL: they were open, or are not wanted */
};

struct perilune {
    struct loop         loop;
    struct mailbox      mail;        /* wakes the owner */
    struct log          log;
    struct log_thread  *log_thread;  /* between log and options.log; NULL: nobody listens */
    struct registry     registry;
    struct stores      *stores;
    struct engines     *engines;     /* models of this process */
    struct cache_keeper cache_keeper;
    struct jobs        *admin_jobs;      /* the owner's end of the queue, for GET /admin/jobs; NULL: nobody asked */
    uint64_t            admin_jobs_ms;   /* when it was opened */
    struct jobs_settings jobs_as;        /* as they were opened */
    struct courier_thread *courier;            /* carries jobs between nodes; NULL: there is no broker */
    char               *courier_as;         /* how it was told to, as one text */
    bool                has_broker;      /* they were opened with one */
    char               *jobs_place;      /* where they are, as one text; NULL: nowhere yet */
    struct calibration *calibration;     /* what upstreams count differently */
    struct worker      *workers;
    atomic_uint         worker_count; /* grows once, behind the others: by `home` */
    struct worker      *home;        /* of these, the one on the owner's loop for the program's own requests
                                        (library.c); NULL: there is none, or it serves, too */
    struct library     *library;
    atomic_uint         posts;       /* functions of perilune_post() that wait */
    atomic_uint         connections; /* of all workers */
    struct http_server  admin;
    bool                admin_open;
    int                 admin_port, port;
    struct config      *config;      /* current; owner only */
    atomic_bool         has_far;     /* it has a second tier of the cache: for who asks on another thread, */
    atomic_bool         has_index;   /* and an index that machines share */
    struct bundle_host  host;        /* who has its texts */
    pid_t               pid;         /* who opened it, */
    pthread_t           opener;      /* and on which thread: the owner's */
    bool                loading;     /* what runs of the host's is called by it: */
    bool                reads;       /* options.read(), else a function that a policy calls */
    struct bundle      *bundle;
    char               *path;        /* of the configuration */
    char               *override;    /* address given to perilune_listen() */
    struct sim         *sim;         /* answers `sim` upstreams; NULL: none needed */
    stats_counter       generation, reloads, reload_failures; /* written by the owner */
    bool                listening, watch_asked, workers_asked; /* by the options, not by the file */
    atomic_bool         stop;
    atomic_int          drain_asked; /* by any thread, for the owner: milliseconds, or one of DRAIN_... */
    int                 drain_left_ms;
    bool                draining;
    struct timer        watch, drain, poll;
    uint64_t            watched;     /* fingerprint of the files' times */
    bool                drained;
    unsigned            depth;       /* calls of the owner's under way, one inside of a callback of the other */
    bool                close_asked; /* in a callback: when the outermost of them returns */
    bool                closing;
    struct buf          eval_result;
    perilune_hooks      hooks;
    struct timer        metrics;
    struct tls_context *tls;
    char                errmsg[2048];
    struct bound { char configured[128], real[128]; } bound[LISTEN_MAX], admin_bound; /* for port 0 */
    unsigned            bound_count;
    struct shared_socket sockets[SOCKETS_MOST]; /* that workers share: sockets.c */
    unsigned            socket_count;
};

/* admin.c */
/* Adds the address (NULL: none), *port is set when it was missing; then, when nothing
 * failed, the second closes all others. */
int  admin_listen(struct perilune *g, const char *address, int *port);
void admin_keep(struct perilune *g, const char *address);
void admin_close(struct perilune *g);
/* sockets.c */
/* *fd: the socket behind an address that is shared, opened when it was not; -1: it is an address of another kind.
 * On failure errmsg is said. */
int  gateway_socket(struct perilune *g, const char *address, int *fd);
/* Closes all that neither the plan (NULL: nothing) names nor is the admin's. */
void gateway_keep_sockets(struct perilune *g, const struct listen_plan *p, const char *admin);
/* admin_cache.c */
/* An HTTP status: 200, or 400, and why: the query says something that is not understood. */
int  admin_cache_list(struct perilune *g, struct slice query, struct buf *out, char *why, size_t size);
/* How upstreams fare, as JSON.  The owner's thread. */
void admin_upstreams(struct perilune *g, struct buf *out);
void admin_cache_explain(struct perilune *g, struct buf *out);
/* False: there is no such entry. */
bool admin_cache_show(struct perilune *g, struct slice id, struct buf *out);
/* An HTTP status: 200, 404, 503, or 400, and why, when the query is not understood: then nothing was purged.
 * *entries: how many this process had; *pending: Redis is away or refuses it, and gets it later. */
int  admin_cache_purge(struct perilune *g, struct slice query, size_t *entries, bool *pending, char *why, size_t size);
/* metrics.c */
void metrics_write(struct perilune *g, struct buf *out);
/* process_metrics.c: of the whole process, as Prometheus names them. */
void process_metrics_write(struct buf *out);
/* engine_metrics.c: of the models of this process, when there are any. */
void engine_metrics_write(struct engines *e, struct buf *out);
/* calls.c */
#define WORKERS_MOST 1024
/* No gateway, or one that was opened before this process came out of fork(). */
bool gateway_is_foreign(const struct perilune *g);
extern const char gateway_forked[]; /* the sentence for the second */
/* Is this another thread than the owner's: the library's, or one of the host's? */
bool gateway_is_elsewhere(const struct perilune *g);
/* The same for functions that return nothing: the log says that this one did nothing. */
bool gateway_is_refused_here(const struct perilune *g, const char *fn);
/* 0, or why a function may do nothing with g now: an error, and perilune_errmsg() says it.  For [any] functions; for
 * the owner's that may be called while it loads; for all others of the owner's.  The owner's find the loop's clock
 * read. */
int  gateway_looks(const struct perilune *g);
int  gateway_admits(const struct perilune *g);
int  gateway_refuses(struct perilune *g);
/* Of a struct of the host's that begins with its size: was there ever a version so large, when the first one had
 * `first` bytes?  Is all zero behind the bytes that are known here? */
bool gateway_size_can_be(size_t size, size_t first);
bool gateway_rest_is_unset(const void *of, size_t size, size_t known);
/* Of a gateway that loads: what of the host's is running, for sentences. */
const char *gateway_who_loads(const struct perilune *g);
/* The options that a host gave, as this library knows them; on failure err (or NULL) gets a sentence. */
int  gateway_options(perilune_options *out, const perilune_options *options, char *err, size_t errlen);
/* gateway.c */
/* A sentence for perilune_errmsg(); returns code. */
int  gateway_fail(struct perilune *g, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Around each call of the owner's from which callbacks may come.  What perilune_close() frees is there until the
 * outermost one leaves.  enter: 0, or PERILUNE_ERR_STATE, when it closes.  leave: true, when g is gone. */
int  gateway_enter(struct perilune *g, const char *what);
bool gateway_leave(struct perilune *g);
/* One turn of the loop, as perilune_poll() takes it; the outermost call only. */
void gateway_turn(struct perilune *g, int timeout_ms);
/* Turns until done says so, or the gateway is to be closed: without what a turn costs that gives the loop back. */
void gateway_turn_until(struct perilune *g, bool (*done)(void *ud), void *ud);
/* Ends the one under way. */
void gateway_end_turn(struct perilune *g);
/* A generation for w from the bytes of b, whose digest is `files`; *gen may be there, and is then made ready. */
int  gateway_prepare_one(struct perilune *g, struct generation **gen, struct worker *w, struct bundle *b,
                         struct config *c, const unsigned char files[32]);
/* Opens g->home, unless it is open; 0, or an error with its sentence. */
int  gateway_open_home(struct perilune *g);
/* Runs fn on the worker's thread with ud and waits for it; false: the worker has
 * stopped. */
bool gateway_ask(struct worker *w, void (*fn)(struct worker *, void *ud), void *ud);
/* Reads and builds everything, without serving it; loaded_free() in both cases.  On failure errmsg says why. */
int  gateway_prepare(struct perilune *g, const char *path, struct loaded *ld);
void loaded_free(struct perilune *g, struct loaded *ld);
/* check.c */
/* The admin address of the configuration at path, empty when there is none.  On failure err gets a sentence. */
int  gateway_admin_of(const char *path, struct buf *admin, char *err, size_t errlen);
/* The same, for its table of models: a share. */
int  gateway_models(const char *path, struct models **out, char *err, size_t errlen);

#endif
