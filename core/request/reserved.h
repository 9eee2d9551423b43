/* reserved.h -- what limits have reserved for a request, until it is known what it used. See reserved.c. */
#ifndef PERILUNE_REQUEST_RESERVED_H
#define PERILUNE_REQUEST_RESERVED_H

#include "flow/response.h"
#include "request/limit_far.h"
#include "request/request.h"
#include "sched/limit.h"

/* What upstreams take, in USD for a million tokens. Counted, within one thread. */
struct price_list {
    unsigned refs, count, cap;
    struct price {
        char   upstream[64];
        double in, out, cached;
    }       *rows;
};

struct price_list *price_list_new(void); /* one share; NULL: no memory */
void               price_list_put(struct price_list *p); /* NULL is fine */
bool               price_list_add(struct price_list *p, const struct price *row); /* false: no memory */
/* Of the upstream; of one that is not known, the dearest. */
struct price       price_list_find(const struct price_list *p, struct slice upstream);

struct reserved {
    unsigned            refs;
    struct reserved    *next;   /* of the same request */
    const void         *owner;  /* which limit: an identity */
    bool                open;   /* not settled */
    unsigned            since, until; /* the calls behind it: above since, up to until; 0: and all later ones */
    struct loop        *loop;
    struct limit_group *group;
    struct limit_hold   hold;
    struct far_hold    *far;    /* what is held elsewhere as well, or NULL */
    struct price_list  *prices; /* a share, or NULL */
    double              amount[LIMIT_KINDS]; /* that is reserved */
    double              prompt; /* tokens, as counted here */
    uint64_t            model;
    struct limit_row    row[LIMIT_KINDS]; /* for the client */
};

struct limit_clock reserved_clock(const struct loop *l);

/* An open one of this limit, which hangs on the request (may be NULL) and is settled with it. Shares: the
 * request's, and the caller's when `shared`.  NULL: no memory, and nothing was taken of what is given. */
struct reserved *reserved_new(struct request *r, const void *owner, struct loop *loop, bool shared);
/* A limit of tokens or money is about to reserve: all calls of r (may be NULL) are noted from here on.  Without memory
 * only what is delivered counts. */
void reserved_watch(struct request *r);
void reserved_put(struct reserved *v); /* the last share of an open one gives back; NULL is fine */
/* Nothing when it is settled. */
void reserved_settle(struct reserved *v, const struct limit_use *use);
void reserved_give_back(struct reserved *v);
/* What stands behind it has failed: what was paid all the same is settled. */
void reserved_settle_failed(struct reserved *v, const struct request *r);

/* Of request_finish(): what is still open is settled by this outcome. */
void reserved_finish(struct request *r, const struct response *res, const struct outcome *o);

#endif
