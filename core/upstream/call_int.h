/* call_int.h -- what call.c and its transports share.
 *
 *     call.c    deadlines, statuses, failures, several base URLs; the source
 *     http1.c     HTTP/1.1, plain or TLS: ours  \  call_ops; they report by
 *     transfer.c  HTTP/2, proxies: curl          | call_on_...()
 *     played.c    nobody, in a simulation       /
 *
 * A transport reports a head (status, fields, end), pieces of body, and one end.  It
 * must look at call_is_over() after each report: the consumer may have cancelled, and
 * then stop() follows in the same turn, from deferred work. */
#ifndef PERILUNE_UPSTREAM_CALL_INT_H
#define PERILUNE_UPSTREAM_CALL_INT_H

#include "upstream/call.h"

enum call_phase { CALL_NEW, CALL_HEAD, CALL_FIRST, CALL_EVENTS, CALL_OVER };

struct call_ops {
    int  (*start)(struct call *c); /* 0 or PERILUNE_ERR_NOMEM; reports nothing yet */
    void (*stop)(struct call *c);  /* drops the exchange, if there is one */
    void (*resume)(struct call *c); /* may report body at once */
};
extern const struct call_ops http1_ops, transfer_ops, played_ops;

struct call {
    struct source       source;
    struct sink        *sink;
    struct list         link;    /* in the client's list, once it is released */
    struct call_pool   *pool;
    const struct call_ops *ops;  /* NULL: no exchange runs */
    struct dial        *dial;    /* http1: until connected */
    struct http1       *http1;   /* http1: from then on */
    struct transfer    *transfer;
    struct played      *played;
    struct blob        *body;    /* a share; NULL: none, or let go (call_drop_body) */
    struct buf          head;    /* interesting response headers, "name: value\r\n" */
    struct buf          collected;
    struct decoder     *decoder; /* of a body that is read and came coded; NULL: it is plain */
    struct timer        watch;
    void              (*over)(void *ud); /* of call_options */
    void               *over_ud;
    struct deferred          finish;
    struct call_optional optional;
    struct target_timeouts timeouts;
    uint64_t            deadline_ms, started_ms, phase_ms; /* loop clock */
    uint64_t              started_us; /* hrtime */
    uint64_t            length;  /* of the answer's body, when has_length */
    struct failure     *failure; /* found inside a callback */
    enum call_phase     phase;
    unsigned            url, tried;
    int                 status;
    bool                costs;      /* of call_options */
    bool                sent;       /* the upstream has all of the request, as far as we know */
    bool                without;    /* this is the second try, without the optional part */
    bool                unreadable; /* it is coded in a way that we do not know, or not as it says */
    bool                stream, whole, unread, verbatim, headed, paused, in_callback, cancelled, has_length, released;
    /* One allocation for the request's words: */
    struct slice        method, path; /* NUL-terminated */
    struct slice        fields;  /* "Name: value\r\n"... */
    char                text[];
};

struct call_end {
    enum failure_kind kind;   /* FAILURE_NONE: complete */
    const char       *why;    /* for clients, unless it is TLS that failed */
    const char       *detail; /* for operators, or NULL */
    bool              unsent; /* no connection could be made: nothing was sent */
    bool              at_once; /* call_is_at_once(), and not a byte of an answer came: nobody worked on it */
};

/* How soon behind a request the end of a kept connection comes, without a byte of an answer, when the server closed it
 * before it had the request.  50 ms: what a busy loop and a busy machine add to a round trip.  A round trip counts up
 * to 400 ms (a satellite's is 600; what congestion makes of it says nothing). */
static inline bool call_is_at_once(uint64_t after_ms, uint64_t round_trip_ms) {
    return after_ms <= 50 + (round_trip_ms < 400 ? round_trip_ms : 400);
}

static inline bool call_is_over(const struct call *c) { return c->phase == CALL_OVER; }
static inline struct loop *call_loop(const struct call *c) { return c->pool->client->loop; }

/* For a transport that cannot send pieces: c->body is in one from now on.  0 or PERILUNE_ERR_NOMEM. */
int  call_join_body(struct call *c);
/* For a transport that does not borrow it: the answer has begun, and the request will not be sent again.  A long prompt
 * does not stay for as long as its stream. */
void call_drop_body(struct call *c);

void call_on_status(struct call *c, int status); /* a head begins; 1xx may come first */
void call_on_field(struct call *c, struct slice name, struct slice value);
void call_on_head_end(struct call *c);
/* FLOW_FULL: the call is paused from now on; the transport stops reading. */
enum flow call_on_body(struct call *c, struct slice s);
/* The exchange is over and detached (stop() not needed).  May free c. */
void call_on_end(struct call *c, const struct call_end *end);

#endif
