/* pick.h -- which of several upstreams. See pick.c. */
#ifndef PERILUNE_SCHED_PICK_H
#define PERILUNE_SCHED_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

#define PICK_MOST 64 /* members of a pool: bits of a word say which were tried */

/* ORDER: config.lua, balancer.c. */
enum pick_how { PICK_WEIGHTED, PICK_LEAST, PICK_LATENCY, PICK_PRICE, PICK_STICKY, PICK_PREFIX };

struct pick_member {
    bool     ready;      /* may be picked */
    double   weight;     /* above 0 */
    double   price;
    uint64_t in_flight;  /* calls */
    uint64_t latency_us; /* 0: not known */
    uint64_t id;         /* the same in every process */
    unsigned matched;    /* blocks of the prompt that it is thought to remember */
};

/* Each: the index of a member that is ready, or -1: none is. */

/* By weight alone.  turn: how many were picked before. */
int pick_weighted(const struct pick_member *m, unsigned n, uint64_t turn);
/* The fewest calls for its weight. */
int pick_least(const struct pick_member *m, unsigned n, struct rng *rng);
/* The better of two at random, by latency and calls. */
int pick_latency(const struct pick_member *m, unsigned n, struct rng *rng);
/* The cheapest; of those that cost the same, the fewest calls. */
int pick_price(const struct pick_member *m, unsigned n, struct rng *rng);
/* The same for the same key, as long as it is ready. */
int pick_sticky(const struct pick_member *m, unsigned n, uint64_t key);
/* Who remembers most, unless it has more than a quarter above its share to do. */
int pick_prefix(const struct pick_member *m, unsigned n, struct rng *rng);

/* Is the prompt one for the members in `longs` (bits): is more of it new to each of the others that is ready than
 * `above` bytes?  ends[i]: bytes up to the end of its block i. */
bool pick_is_long(const struct pick_member *m, unsigned n, uint64_t longs, const uint64_t *ends, uint64_t bytes,
                  uint64_t above);

/* Members that rest (wait_ms above 0) and must be asked all the same, so that at most half of them rest, rounded up:
 * the bits of those with the least to wait.  When all rest it is one. */
uint64_t pick_suspects(const uint64_t *wait_ms, unsigned n);

#endif
