/* call.h -- one HTTP call to an upstream, as a source of events. See call.c. */
#ifndef PERILUNE_UPSTREAM_CALL_H
#define PERILUNE_UPSTREAM_CALL_H

#include "base/blob.h"
#include "base/mem.h"
#include "flow/source.h"
#include "upstream/client.h"
#include "upstream/target.h"

struct call;

struct call_field {
    struct slice name, value;
};

/* What the calls of one target and one thread share: where its base URLs lead, and idle
 * easy handles with its options set.  A handle keeps its receive buffer: those for
 * streams, of which thousands may wait, have a small one. */
struct call_pool {
    struct client       *client;
    const struct target *target;
    struct origin       *origins[TARGET_URLS]; /* by URL; NULL: libcurl's, or not asked yet */
    struct slice         paths[TARGET_URLS];   /* of these URLs */
    bool                 asked[TARGET_URLS];
    unsigned             connect_ms; /* what the last connection took that libcurl made */
    unsigned             calls;     /* that are not gone yet */
    void               (*empty)(void *ud); /* of call_pool_close() */
    void                *empty_ud;
    struct call_idle {
        CURL    *handles[64];
        unsigned len;
    } idle[2]; /* for streams, for whole answers */
};

/* Any thread; what follows, the loop's. */
void call_pool_init(struct call_pool *p, struct client *c, const struct target *t);
void call_pool_deinit(struct call_pool *p); /* no call is left */
/* Whom calls to that URL go to (borrowed); NULL: libcurl knows. */
struct origin *call_pool_origin(struct call_pool *p, unsigned url);
/* Something else than a call that the pool must outlive (request/local.c): counts as one until it leaves. */
void call_pool_enter(struct call_pool *p);
void call_pool_leave(struct call_pool *p); /* may free p */
/* No call comes any more.  The pool is deinitialized, and `empty` called, when the last is gone: one that
 * was cancelled inside of its own event stays to the end of the loop's turn. */
void call_pool_close(struct call_pool *p, void (*empty)(void *ud), void *ud);

/* A part of the body that the upstream need not understand.  When it answers 400 or 422 and
 * complains of one of the words, it is asked again without: with `instead` in place of these bytes. */
struct call_optional {
    size_t      at, len; /* len 0: there is none */
    const char *instead; /* static text */
    const char *words[2];
};

struct call_options {
    struct call_pool         *pool;
    struct slice              method;  /* "POST" */
    struct slice              path;    /* behind the base URL: "/chat/completions" */
    struct blob              *body;    /* a share is taken; NULL: none */
    const struct call_field *headers; /* to add; borrowed during call_new() */
    unsigned                  header_count;
    struct call_optional      optional; /* of the body */
    struct slice              key;     /* overrides the target's; empty: the target's */
    bool                      stream;  /* small pieces are expected, over a long time */
    bool                      whole;   /* deliver the body in one piece, at the end */
    bool                      unread;  /* nobody looks for events: each piece of the body counts as one */
    bool                      costs;   /* sent twice it may be paid twice: its failures say when it was worked on */
    bool                      verbatim; /* any status is an answer, and HEAD has all header lines (8 KiB of them) */
    struct target_timeouts    timeouts;
    uint64_t                  deadline_ms; /* loop_now() time; 0: none */
    void                    (*over)(void *ud); /* NULL, or called once when the call is gone, however it ended */
    void                     *over_ud;
};

/* Ends those that nobody waits for any more, but that wait for the end of their bodies. */
void call_drop_released(struct client *client);

/* NULL when there is no memory.  HEAD carries the headers that are kept (call.c). */
struct source *call_new(const struct call_options *opt);

#endif
