/* cache_control.h -- what a client's Cache-Control says. See cache_control.c. */
#ifndef PERILUNE_REQUEST_CACHE_CONTROL_H
#define PERILUNE_REQUEST_CACHE_CONTROL_H

#include "request/request.h"

enum {
    CACHE_CONTROL_NO_CACHE = 1, /* no stored answer, please */
    CACHE_CONTROL_NO_STORE = 2, /* and this one is not to be stored */
    CACHE_CONTROL_MAX_AGE = 4,  /* a stored one at most so old */
    CACHE_CONTROL_UPSTREAM = 8  /* no client's: what the upstream says of its answer is honored, too */
};

/* Bits of all lines; with MAX_AGE, *max_age_ms is the least that was said. */
unsigned cache_control_read(const struct request *r, uint64_t *max_age_ms);

/* Does an upstream say with these headers that its answer is not to be stored? */
bool cache_control_forbids(struct slice headers);

#endif
