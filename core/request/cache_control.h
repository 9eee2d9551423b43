/* cache_control.h -- what a client's Cache-Control says. See cache_control.c. */
#ifndef PERILUNE_REQUEST_CACHE_CONTROL_H
#define PERILUNE_REQUEST_CACHE_CONTROL_H

#include "request/request.h"

enum {
    CACHE_CONTROL_NO_CACHE = 1, /* no stored answer, please */
    CACHE_CONTROL_NO_STORE = 2, /* and this one is not to be stored */
    CACHE_CONTROL_MAX_AGE = 4   /* a stored one at most so old */
};

/* Bits of all lines; with MAX_AGE, *max_age_ms is the least that was said. */
unsigned cache_control_read(const struct request *r, uint64_t *max_age_ms);

#endif
