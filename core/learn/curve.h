/* curve.h -- what a choice between a small and a big model is worth: quality against cost. See curve.c. */
#ifndef PERILUNE_LEARN_CURVE_H
#define PERILUNE_LEARN_CURVE_H

#include <stddef.h>
#include <stdint.h>

#define CURVE_POINTS 41

/* One prompt: what both models made of it, and how much it needs the big one (a score). */
struct curve_item {
    float    score;
    float    quality[2], cost[2]; /* of the small model, of the big one */
    uint32_t group;               /* what it shares with others, 0 .. groups-1 */
};

struct curve_point {
    double share, quality, cost; /* of prompts that go to the big model; means over all prompts */
};

struct curve {
    struct curve_point points[CURVE_POINTS];
    double quality[2], cost[2];  /* means of the small model, and of the big one */
    double apgr, low, high;      /* area under the recovered part of the gap, and its 95 % interval */
    double oracle;               /* the same of who knows the outcome */
    int    is_defined;           /* 0: the big model is not better, and there is no gap to recover */
    unsigned draws;              /* of the bootstrap that had a gap */
};

struct curve_options {
    unsigned groups;  /* drawn as wholes; 0: each item for itself */
    unsigned draws;   /* of the bootstrap; 0: no interval */
    uint64_t seed;
};

/* Sorts the items.  Returns 0, PERILUNE_ERR_INVAL (no items) or PERILUNE_ERR_NOMEM. */
int curve_make(struct curve *out, struct curve_item *items, size_t n, const struct curve_options *o);

#endif
