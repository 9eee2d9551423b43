/* balancer.h -- which member of a pool is asked. See balancer.c. */
#ifndef PERILUNE_REQUEST_BALANCER_H
#define PERILUNE_REQUEST_BALANCER_H

#include "request/outgoing.h"

struct balancer_pick {
    struct call_pool     *pool;   /* NULL: all were tried, or all rest and the request does not want that */
    struct breaker_ticket ticket; /* of its breaker: breaker_settle() or breaker_drop() gets it */
    uint64_t              wait_ms; /* pool NULL: until one may be asked; 0: all were tried */
};

/* o->of is the pool; tried: the bits of members that are out of question. */
void balancer_pick(const struct services *v, const struct outgoing *o, uint64_t tried, struct balancer_pick *out);
/* The bit of a member. */
uint64_t balancer_bit(const struct services *v, const struct target_pool *p, const struct call_pool *member);
/* The settings by which calls of this request to t are judged. */
struct breaker_settings balancer_settings(const struct request *r, const struct target *t);

#endif
