/* flows.h -- whose turn it is among tenants that ask one model.  See flows.c. */
#ifndef PERILUNE_LOCAL_FLOWS_H
#define PERILUNE_LOCAL_FLOWS_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/hashtable.h"

/* A tenant that has answers waiting or in the batch. */
struct flow {
    struct chained link;
    struct hash128 tenant;
    uint64_t       turns;   /* that it has had, counted from where the others were when it came */
    unsigned       choices, active; /* of its answers; active: in the batch */
};

/* Zeros: empty. */
struct flows {
    struct hashtable table;
    uint64_t         now; /* turns of who had the last one, before it */
};

void flows_deinit(struct flows *f); /* no flow is left */
/* The flow of this tenant, with one more answer; NULL: no memory. */
struct flow *flows_join(struct flows *f, struct hash128 tenant);
void         flows_leave(struct flows *f, struct flow *w);
/* It has a turn. */
void         flows_turn(struct flows *f, struct flow *w);
/* Does an answer of a go before one of b, whoever of them came first?  False both ways: who came first does. */
bool         flow_is_before(const struct flow *a, const struct flow *b);

#endif
