/* fair.h -- who is next, when several wait in one queue and none is to have it all. See fair.c. */
#ifndef PERILUNE_SCHED_FAIR_H
#define PERILUNE_SCHED_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hashtable.h"
#include "base/list.h"
#include "base/slice.h"

struct fair_flow;

/* A member of what waits. */
struct fair_item {
    struct fair_flow *flow;
    double            start; /* its place in virtual time */
    uint64_t          number; /* among equals, who came first */
    unsigned          at;    /* its place in the heap, from 1 on; 0: it does not wait */
};

/* Zeroed: empty. */
struct fair_queue {
    struct fair_item **heap;
    unsigned          count, cap;
    uint64_t          numbers;
    double            now;   /* virtual time: the start of who was taken last */
    struct hashtable  flows;
    struct list       idle;  /* flows of which nobody waits, oldest first; not linked before the first */
};

void fair_deinit(struct fair_queue *q); /* nobody waits any more */
/* flow: whose turn it uses (a tenant), by a hash that the owner keys and its name.  weight: above 0; twice as much is
 * twice as many turns.  cost: how many turns it is worth.  PERILUNE_ERR_NOMEM, or 0. */
int  fair_push(struct fair_queue *q, struct fair_item *item, uint64_t hash, struct slice flow, double weight,
               double cost);
/* Takes the next one; NULL: there is none. */
struct fair_item *fair_pop(struct fair_queue *q);
/* Takes this one, wherever it waits. */
void fair_remove(struct fair_queue *q, struct fair_item *item);
/* Takes one that is far from its turn, if not the farthest; NULL: there is none. */
struct fair_item *fair_pop_late(struct fair_queue *q);
/* How many would at most be taken before one of this flow that came now. */
unsigned fair_ahead(const struct fair_queue *q, uint64_t hash, struct slice flow);

#endif
