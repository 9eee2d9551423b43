/* hash.h -- SHA-256 for keys at rest, a keyed 64-bit hash for tables, random ids. */
#ifndef PERILUNE_BASE_HASH_H
#define PERILUNE_BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/* SipHash-1-3 (Aumasson and Bernstein): an attacker who does not know the key
 * cannot make entries collide. */
struct hash_key { uint64_t k0, k1; };
void     hash_key_random(struct hash_key *key);
uint64_t hash64(const struct hash_key *key, struct slice s);

/* xoshiro256** (Blackman and Vigna), seeded from the kernel: ids, jitter. */
struct rng { uint64_t s[4]; };
void     rng_seed(struct rng *r, uint64_t seed); /* 0: from the kernel */
uint64_t rng_next(struct rng *r);
double   rng_double(struct rng *r);              /* [0, 1) */

/* 32 lower-case hex digits and a NUL. */
void     rng_hex128(struct rng *r, char out[33]);

#endif
