/* embeddings.h -- vectors of texts by an upstream, many in one call. See embeddings.c. One thread. */
#ifndef PERILUNE_REQUEST_EMBEDDINGS_H
#define PERILUNE_REQUEST_EMBEDDINGS_H

#include "base/list.h"
#include "request/cached.h"
#include "request/services.h"

#define EMBEDDINGS_BATCH  32   /* texts of a call */
#define EMBEDDINGS_QUEUE  1024 /* that wait for the next calls */
#define EMBEDDINGS_VECTOR CACHED_MAX_VECTOR /* numbers: what an entry can keep */

struct embeddings;
struct failure;

/* Who waits for a vector; embedded where it waits. */
struct embeddings_wait {
    struct list link;   /* zeroed, or among those of `item` */
    struct embeddings_item *item; /* NULL: it does not wait (any more) */
    /* Called once, from the loop: the vector, or why there is none.  Borrowed for the call.  May end others' waits. */
    void (*done)(struct embeddings_wait *w, const float *vector, unsigned count, const struct failure *f);
};

/* For the upstream of this name; both must outlive it.  NULL: no memory. */
struct embeddings *embeddings_new(struct services *v, const char *upstream);
void               embeddings_free(struct embeddings *e); /* nobody waits; NULL is fine */
/* timeout_ms: that a call may take.  Returns 0, PERILUNE_ERR_LIMITED (too many wait), PERILUNE_ERR_NOMEM. */
int                embeddings_ask(struct embeddings *e, struct embeddings_wait *w, struct slice text,
                                  uint64_t timeout_ms);
/* done is not called any more.  Nothing happens when it does not wait. */
void               embeddings_cancel(struct embeddings_wait *w);

#endif
