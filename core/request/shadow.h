/* shadow.h -- was the answer that a near question got the one it would have got? See shadow.c. */
#ifndef PERILUNE_REQUEST_SHADOW_H
#define PERILUNE_REQUEST_SHADOW_H

#include "request/services.h"

#define SHADOW_MOST 8 /* under way at once, of one thread */

/* Of one thread, which writes them. */
struct shadow_stats {
    unsigned under_way; /* the thread's own */
};

struct shadow_ask {
    struct services     *services;
    struct shadow_stats *stats;
    struct request      *request; /* of the near question; its answer is under way or was given */
    struct cache_entry  *given;   /* whose answer it got; borrowed */
    float                score;   /* at which it got it */
    struct hash128       key;     /* of the answer of its own, when it is kept */
};

/* Asks the upstream in the background, compares, and tells the given entry (nearest_feedback).  False: not now. */
bool shadow_begin(const struct shadow_ask *ask);

#endif
