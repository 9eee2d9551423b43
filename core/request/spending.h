/* spending.h -- answers that were paid for a request, whoever got them. See spending.c. */
#ifndef PERILUNE_REQUEST_SPENDING_H
#define PERILUNE_REQUEST_SPENDING_H

#include "flow/response.h"

#define SPENT_MOST 32 /* rows of a request; when there are more, the oldest are added up */

struct spending_row {
    unsigned     serial;   /* of the call, from 1 on */
    unsigned     prompts;  /* of which nobody said how long they were */
    char         upstream[64];
    struct usage usage;
};

/* Counted, within one thread. */
struct spending {
    unsigned     refs, calls, count, cap;
    struct spending_row *rows;
};

struct spending *spending_new(void); /* one share; NULL: no memory */
struct spending *spending_ref(struct spending *s); /* NULL is fine */
void             spending_put(struct spending *s); /* the same */
/* Without memory it is forgotten. */
void             spending_note(struct spending *s, const struct spending_row *row);
/* res, which is about to start, is one of its calls.  Nothing when s is NULL. */
void             spending_watch(struct spending *s, struct response *res);

#endif
