/* redis.h -- a store in Redis or Valkey. See redis.c. */
#ifndef PERILUNE_STORE_REDIS_H
#define PERILUNE_STORE_REDIS_H

#include "base/log.h"
#include "base/stats.h"
#include "store/refused.h"
#include "store/store.h"

/* Written by the loop's thread. */
struct redis_stats {
    atomic_uint      up;       /* 1: the connection works */
    stats_counter    hits, misses, done; /* GET that found a value or none; other questions */
    stats_counter    refused;  /* Redis answered with an error */
    stats_counter    late;     /* no answer within the question's time */
    stats_counter    lost;     /* the connection ended first */
    stats_counter    skipped;  /* not asked: there was no connection, or too much was under way */
    struct histogram latency;  /* of what was answered */
};

/* What was logged last, for all connections of a process.  Zeroed: nothing. */
struct redis_said {
    atomic_int     connection; /* works, or does not */
    struct refused refused;
};

struct redis_options {
    struct loop  *loop;
    struct log   *log;
    struct redis_said *said; /* NULL: nothing is logged */
    struct redis_stats *stats; /* NULL: nothing is counted */
    /* Borrowed until redis_close(). */
    const char   *host;      /* a name or an address; NULL: `path` */
    unsigned      port;
    const char   *path;      /* of a socket */
    bool          tls;       /* with a host only; */
    const char   *ca;        /* whom it trusts then: redis_tls_new() */
    const char   *user;      /* NULL: none; with a password only */
    const char   *password;  /* NULL: none */
    unsigned      db;
    const char   *hello;     /* a key that is asked for to see whether all is well */
    const char   *channel;   /* of notes */
    const char   *name;      /* in the configuration, for the log; NULL: "cache.redis" */
    const char   *without;   /* what becomes of requests when it is away, for the log; NULL: they go on */
    uint64_t      pause_ms;  /* between two tries to connect, at most; 0: half a minute */
    size_t        max_answer; /* bytes of an answer in words; 0: REDIS_MAX_VALUE */
    /* Not NULL: this connection asks nothing, it listens on the channel. */
    void        (*heard)(void *ud, struct slice note);
    /* It works, or does so no longer; NULL: nobody wants to know.  Called from inside of the connection: what is
     * asked from there is asked; redis_close() is not for there. */
    void        (*changed)(void *ud, bool up);
    /* A try to connect failed, or a connection ended, and why; as `changed`.  NULL: nobody wants to know. */
    void        (*broke)(void *ud, const char *why);
    void         *ud;
};

#define REDIS_NOTES_MS  (60 * 60 * 1000) /* for which notes are remembered */
#define REDIS_MAX_VALUE (16u << 20) /* bytes; what says to be larger is not read */

/* Begins to connect.  NULL: no memory. */
struct redis *redis_new(const struct redis_options *opt);
/* All that waits ends, from within this call. */
void          redis_close(struct redis *r); /* NULL is fine */
/* To ask. */
struct store *redis_store(struct redis *r);
bool          redis_is_ready(const struct redis *r);

#endif
