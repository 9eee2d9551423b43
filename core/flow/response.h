/* response.h -- an answer on its way from its source to whoever wants it. See response.c. */
#ifndef PERILUNE_FLOW_RESPONSE_H
#define PERILUNE_FLOW_RESPONSE_H

#include "base/buf.h"
#include "flow/filter.h"
#include "flow/headers.h"
#include "flow/source.h"
#include "sys/loop.h"

struct dialect;
struct response;

#define RESPONSE_MODEL 96 /* bytes of a model's name that are kept */

/* What became of an answer; for finally(), the log and the metrics. */
struct outcome {
    bool         ok;
    char         code[48];
    struct usage usage;
    bool         overloaded; /* it failed because an upstream has too much to do */
    bool         estimated; /* the upstream said no usage: it is what we counted so far */
    uint64_t     ttft_us, total_us;
    const char  *cache;     /* response_cache_name(), a static text; NULL or "": no cache was asked */
};

enum response_state {
    RESPONSE_HOLDING,    /* nobody wants it yet: what comes is held */
    RESPONSE_READING,    /* somebody reads what is held; filters are at work */
    RESPONSE_DELIVERING, /* it goes to the consumer */
    RESPONSE_OVER        /* the consumer is done with it, or gone */
};

/* What a cache had to do with it. ORDER: response_cache_name(). */
enum response_cache {
    RESPONSE_UNCACHED, RESPONSE_HIT, RESPONSE_STALE, RESPONSE_MISS, RESPONSE_BYPASS, RESPONSE_COALESCED
};

/* "hit", "stale" ...; "" for UNCACHED. */
const char *response_cache_name(enum response_cache c);
/* Was it given without being paid for? */
static inline bool response_cache_spares(enum response_cache c) {
    return c == RESPONSE_HIT || c == RESPONSE_STALE || c == RESPONSE_COALESCED;
}

/* Who pays for an answer that several requests share (store/flight.c).  A response has it in common with those that
 * policies made of it. */
struct bill {
    unsigned     refs;
    bool         others; /* another request pays */
    struct usage usage;  /* what is to be paid, when the response may not have heard it */
};
struct bill *bill_new(void); /* one share; NULL: no memory */
struct bill *bill_ref(struct bill *b);
void         bill_put(struct bill *b);

/* Of who hangs something of its own on responses (the bridge: handles and functions of Lua). */
struct response_user_ops {
    void (*empty)(struct response *r);   /* the request is over: lets go of r; may free r */
    void (*finish)(struct response *r, const struct outcome *o); /* response_finish() */
    void (*outlive)(struct response *r); /* r is freed later in this turn: what release() needs stays until then */
    void (*release)(struct response *r); /* r is being freed */
};

struct response {
    unsigned             refs;
    enum response_state  state;
    struct list          link;     /* among those of its request */
    struct loop         *loop;
    struct source       *source;   /* NULL: it has ended, or was stopped */
    struct sink          in, out;  /* the source's sink; what is behind the last filter */
    struct filter       *filters;  /* in the order in which events pass them */
    struct sink         *to;       /* the consumer, while DELIVERING */
    struct buf           held;     /* records.h */
    size_t               read_at;  /* where the reader stands in held */
    struct deferred      wake;
    void               (*ready)(void *ud);
    void                *ready_ud;
    struct buf           headers;  /* lines for the client */
    struct buf           upstream_headers; /* as HEAD brought them */
    const struct headers_list *pass; /* those of them that the client gets; NULL: none */
    struct failure      *failure;
    struct usage         usage;
    struct buf           usage_said; /* as END brought it */
    size_t               limit, high_water; /* bytes */
    uint64_t             first_us; /* hrtime of the first event; 0: none */
    uint64_t             length, counted, frames; /* frames: events that came */
    int                  status, own_status; /* of HEAD; of a policy, or 0 */
    enum response_cache  cache;    /* without regard to the bill: response_cache_of() */
    struct bill         *bill;     /* a share; NULL: nobody shares the answer */
    const struct dialect *dialect; /* that its events are written in; NULL: bytes */
    void               (*settled)(const struct response *r, void *ud); /* the usage of a whole answer is known */
    void                *settled_ud;
    void               (*spent)(struct response *r, void *ud); /* once: it has ended, or is stopped; or NULL */
    void                *spent_ud;
    unsigned             serial;   /* among the calls that who asks of `spent` knows; 0: none of them */
    const struct response_user_ops *user_ops; /* NULL: nobody */
    void                *user;
    bool                 partial;  /* as END said */
    bool                 unsent;   /* it ended before there was a connection to an upstream */
    bool                 accounted; /* what it cost is counted elsewhere, but for usage that says otherwise */
    bool                 headed, ended, failed, broken, wants_all, forgotten, in_event, has_length, counted_own,
                         leaves; /* nobody has it any more; its source is still on the stack */
    char                 content_type[80];
    char                 upstream[64], model[RESPONSE_MODEL];
};

struct response_options {
    struct loop          *loop;
    const char           *upstream;
    const struct dialect *dialect;    /* NULL: passed through as it comes */
    struct list          *among;      /* the request's responses; NULL: none */
    const struct headers_list *pass;  /* of the source's headers, those for the client; borrowed; NULL: none */
    size_t                limit;      /* bytes of an answer that is read as a whole */
    size_t                high_water; /* bytes held for a reader that is not there yet */
    struct slice          model;      /* that the upstream is asked for */
    uint64_t              counted;    /* prompt tokens as we count them; 0: not counted */
    bool                  counted_own; /* with the model's own vocabulary */
    /* Called once, when the answer ended well and its usage is known. */
    void                (*settled)(const struct response *r, void *ud);
    void                 *settled_ud;
};

/* One share for the caller. NULL when there is no memory. */
struct response *response_new(const struct response_options *opt);
struct response *response_ref(struct response *r);
void response_put(struct response *r); /* the last share stops the source */

/* Starts the source, which is r's from now on; what comes is held until somebody takes
 * it.  NULL: there was no memory for one, which is the answer. */
void response_start(struct response *r, struct source *s);
/* Behind those that are there already.  Takes f.  Only while HOLDING. */
void response_add_filter(struct response *r, struct filter *f);
/* A filter (NULL: nobody) found that the answer must not go on: the source is stopped,
 * and what is behind the filter gets the failure as the end, once. */
void response_break(struct response *r, struct filter *at, const struct failure *f);
/* The request is over: stops the sources of all responses in the list, lets the user go,
 * empties the list. */
void response_abandon_all(struct list *responses);

/* Appends the header lines for the client: a policy's, and the upstream's that pass, unless a
 * policy has one of the same name. */
void response_put_headers(const struct response *r, struct buf *out);

/* Tells `ready` once, before the loop blocks: the first event, the end, or the
 * failure is here. */
void response_on_ready(struct response *r, void (*ready)(void *ud), void *ud);
/* The same, but only of what comes from now on. */
void response_on_news(struct response *r, void (*ready)(void *ud), void *ud);
/* Failed with nothing to show: the failure, else NULL. */
const struct failure *response_failure(const struct response *r);
/* Why it failed; it has. */
const struct failure *response_why(const struct response *r);

/* READING: filters see events from here on, those held first.  all: it is to be held
 * whole, up to the limit; else up to the high-water mark behind where the reader stands. */
void response_read(struct response *r, bool all);
/* The next held event behind where the reader stands. Borrowed until r is used again. */
bool response_next(struct response *r, struct event *ev);
/* The held event at *at (begins at 0), and moves *at behind it.  Content only. */
bool response_record(const struct response *r, size_t *at, struct event *ev);
/* Has it, or had it, a consumer?  It takes one in its life. */
static inline bool response_is_taken(const struct response *r) { return r->state >= RESPONSE_DELIVERING; }
static inline bool response_is_opened(const struct response *r) { return r->state != RESPONSE_HOLDING; }

/* Everything held, then everything that comes, goes to `to`; one consumer, once. */
void response_deliver(struct response *r, struct sink *to);
void response_resume(struct response *r);
/* The consumer goes before the end and without telling how it ended: nothing comes to it any more, and the source
 * stops.  response_finish() may still follow. */
void response_leave(struct response *r);
/* What a cache, or a shared call, had to do with it.  It may change until the answer is over, or was left. */
enum response_cache response_cache_of(const struct response *r);
/* What the upstream said of the tokens. */
struct usage response_said(const struct response *r);
/* What it cost, as far as is known: what the upstream said.  Of a stream that was cut short it has said nothing:
 * the prompt as we counted it (0: nobody did), and a token for each event. */
void response_usage(const struct response *r, struct outcome *o);
/* Tokens of the answer as far as it came, when the upstream did not say (sensibly) how many they were. */
uint64_t response_estimate(const struct response *r);
/* The consumer is done with it, or gone: stops the source, tells the user. */
void response_finish(struct response *r, const struct outcome *o);

#endif
