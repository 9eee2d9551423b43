/* spent.h -- what policies asked on behalf of a request, and what that used. See spent.c. */
#ifndef PERILUNE_REQUEST_SPENT_H
#define PERILUNE_REQUEST_SPENT_H

#include "flow/response.h"
#include "request/request.h"

#define ASK_MOST_DEEP 8 /* requests that ask for one another, the client's included */

/* A request that another one asked for, as long as it is not over.  Embedded in the struct of whoever asks. */
struct ask {
    struct list link;
    void      (*stop)(struct ask *a); /* its answer is wanted no more: ends it, and takes it from the list */
};

/* What asks of one upstream used, all together. */
struct spent {
    struct spent *next;
    char          upstream[64];
    unsigned      times;
    bool          settled; /* by limits of a route that these went through */
    struct usage  usage;
};

struct ask_route {
    const char *identity, *label, *guard;
};

/* How one ended, for who counts and logs it.  Borrowed for a call. */
struct ask_report {
    struct request        *request;
    struct response       *response;         /* NULL: there was none */
    const struct failure  *failure;          /* NULL: it did not fail */
    const struct outcome  *outcome;
    uint64_t               start_us;         /* loop_hrtime_us() */
};

/* child is asked for the sake of parent (NULL: of nobody): it takes the parent's deadline, tenant, route and headers,
 * and a name that begins with the parent's.  route: the one whose policies it goes through, or NULL.
 * Returns 0, or an error with *f filled: a cycle, too deep, no memory. */
int  spent_adopt(struct request *child, struct request *parent, const struct ask_route *route, struct failure *f);
/* The client's request that this one is asked for, or r itself. */
struct request *spent_root(struct request *r);
/* child is over with this outcome: what it used is its parent's to pay. */
void spent_note(struct request *child, const struct response *res, const struct outcome *o);
/* All that are not over end now, canceled. */
void spent_stop_all(struct request *r);

#endif
