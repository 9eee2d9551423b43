/* broker.h -- what a message broker does for jobs: one interface, RabbitMQ (broker_amqp.h) and Kafka behind it.
 *
 * A broker carries messages between processes.  It knows nothing of jobs: what is in a message, whom it is for and
 * when it is done with is decided by who uses it (courier.c), the same for all drivers.
 *
 *                         broker_ops (any thread; copy, never wait)
 *     courier.c, its loop -- publish, settle, pause, close --> [ bounded queue ] --> the driver's thread
 *            ^                                                                      | the only one that touches the
 *            +------ broker_user (the driver's thread; they copy, never wait) ------+ library and the connection
 *                    confirmed, came, changed
 *
 * Three kinds of places: the work, which all nodes of a group share and each message goes to one of; results, of one
 * node, which it reads alone; the dead, which nobody here reads.  A driver reads `work` and `results` and publishes to
 * any name.
 *
 * At least once: a message that was published counts only when it was confirmed, and one that came is the broker's
 * until it was settled.  When a connection breaks, the driver connects again by itself, with backoff; what it had not
 * confirmed fails with PERILUNE_ERR_IO (it may be there or not: who published does it again), and what was not
 * settled will come again, to whomever.  Settling it then does nothing: a token is of one connection. */
#ifndef PERILUNE_JOBS_BROKER_H
#define PERILUNE_JOBS_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/slice.h"

#define BROKER_NAME_MAX 249 /* bytes of the name of a queue or topic */
#define BROKER_WHY_SIZE 700 /* bytes of a sentence for operators, with its NUL */
#define BROKER_REASON_MAX 500 /* bytes */

struct broker;

/* What a configuration says.  Borrowed by whom it is given to, which copies what it keeps. */
struct broker_settings {
    const char *kind;             /* "amqp", "kafka" */
    const char *library;          /* path of the client library; NULL: looked for by its names */
    /* amqp: one host.  kafka: host is NULL, servers has "host:port,host:port". */
    const char *host, *servers;
    unsigned    port;
    const char *vhost;
    bool        tls;
    const char *ca;               /* file: whom it trusts; NULL: the system's authorities */
    const char *user, *password;  /* or NULL */
    const char *mechanism;        /* kafka, SASL: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"; NULL: PLAIN with a user */
    /* Queues, or topics. */
    const char *work, *results, *dead; /* results NULL: none are read.  dead NULL: there is none */
    const char *group;            /* kafka: of consumers that share the work */
    unsigned    work_most, results_most; /* of messages that came and are not settled; at least 1 */
    size_t      max_message;      /* bytes: a larger one that comes is not read into memory, but handed over as
                                   * `too_large`, with its first bytes at most */
    uint64_t    timeout_ms;       /* of connecting, of a confirmation, of anything that is waited for */
    unsigned    delivery_limit;   /* amqp: of a queue that is made here: so often, then the dead.  0: none */
    struct log *log;              /* NULL: nobody reads; outlives the broker */
};

/* A message that came.  Borrowed until came() returns. */
struct broker_message {
    bool         is_result;       /* of `results`; else of `work` */
    bool         too_large;       /* has more than max_message bytes */
    bool         again;           /* it was given to somebody before, as far as the broker knows */
    struct slice key;             /* as it was published; "": none */
    struct slice body;
    uint64_t     token;           /* for settling; never 0, never used again */
};

/* How it is with the connection. */
struct broker_state {
    bool     connected;
    bool     fatal;               /* not connected, and trying again will not help until somebody changes something:
                                   * a wrong password, a vhost that is not there.  It is tried again, but seldom */
    uint64_t since_ms;            /* steady clock: since when it is so; 0: from the start */
    uint64_t reconnects;          /* connections after the first */
    uint64_t waiting;             /* published and not confirmed yet */
    uint64_t unsettled;           /* came and not settled yet */
    char     why[BROKER_WHY_SIZE]; /* "": connected; else a sentence with what to do about it */
};

/* Who uses a broker.  Called on the driver's thread, one at a time, never from within a function of broker_ops. */
struct broker_user {
    void *ud;
    /* Once for each token that publish() took: 0, or PERILUNE_ERR_IO (it may be there or not), PERILUNE_ERR_INVAL
     * (it never will: too large, no such place; `why` says it), PERILUNE_ERR_CANCELED (close). */
    void (*confirmed)(void *ud, uint64_t token, int rc, const char *why);
    void (*came)(void *ud, const struct broker_message *m);
    /* Connected, or not any more: see state().  When it is lost, confirmed() was called before for all that waited. */
    void (*changed)(void *ud, bool connected);
};

/* A message to be published.  Borrowed: it is copied. */
struct broker_publish {
    struct slice to;              /* name of a queue or topic */
    struct slice key;             /* of a job: its id.  kafka: the message's key; amqp: its message_id */
    struct slice body;
    struct slice reason;          /* for the dead: why; a header "x-perilune-reason".  "": none */
    uint64_t     token;           /* the user's own, not 0; unique while it waits */
};

enum broker_settling {
    BROKER_DONE,  /* it is never to come again */
    BROKER_AGAIN  /* somebody gets it again, soon: this process ends, or has no place for it */
};

#define BROKER_WAITING       4096         /* published and not confirmed, at most */
#define BROKER_WAITING_BYTES (64u << 20)  /* of their bodies */

struct broker_ops {
    const char *kind;
    /* Finds and loads the library, says what is wrong with it or with the settings; connects when `connect`, which may
     * take settings->timeout_ms.  For `perilune check` and for loading.  0, or PERILUNE_ERR_CONFIG (the library,
     * settings, the password) or PERILUNE_ERR_IO (nobody there): why has a sentence and how to fix it. */
    int  (*check)(const struct broker_settings *s, bool connect, char *why, size_t size);
    /* Starts the thread; connecting is its business.  0; PERILUNE_ERR_CONFIG: the library cannot be had (why);
     * PERILUNE_ERR_NOMEM.  u is copied; its ud outlives the broker. */
    int  (*open)(struct broker **out, const struct broker_settings *s, const struct broker_user *u, char *why,
                 size_t size);
    /* [any] 0, and confirmed() is due once; PERILUNE_ERR_LIMITED: as many wait as may be; PERILUNE_ERR_NOMEM.  Also
     * while there is no connection: then it waits for one up to timeout_ms. */
    int  (*publish)(struct broker *b, const struct broker_publish *p);
    /* [any] */
    void (*settle)(struct broker *b, uint64_t token, enum broker_settling how);
    /* [any] Work is taken no more (true), or again; results are.  What came already is not taken back. */
    void (*pause)(struct broker *b, bool paused);
    /* [any] */
    void (*state)(struct broker *b, struct broker_state *out);
    /* [the opener's thread] What waits may still be written and confirmed for within_ms; what is unsettled then comes
     * again to somebody.  Ends the thread, frees b.  No callback comes when it has returned. */
    void (*close)(struct broker *b, uint64_t within_ms);
};

/* The driver of this kind; NULL: there is none.  broker.c */
const struct broker_ops *broker_find(const char *kind);

#endif
