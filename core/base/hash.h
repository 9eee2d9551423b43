/* hash.h -- a keyed 64-bit hash for tables, a keyed 128-bit one for long texts, random ids. */
#ifndef PERILUNE_BASE_HASH_H
#define PERILUNE_BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/* SipHash-1-3 (Aumasson and Bernstein): an attacker who does not know the key
 * cannot make entries collide. */
struct hash_key { uint64_t k0, k1; };
void     hash_key_random(struct hash_key *key);
uint64_t hash64(const struct hash_key *key, struct slice s);

/* FNV-1a, byte by byte from HASH_FNV_START on: the same in every process and for ever, quick for short texts, and no
 * match for who wants two of them to meet. */
#define HASH_FNV_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t hash_fnv_add(uint64_t h, char c) { return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3); }
static inline uint64_t hash_fnv(struct slice s) {
    uint64_t h = HASH_FNV_START;
    for (size_t i = 0; i < s.len; i++) h = hash_fnv_add(h, s.ptr[i]);
    return h;
}
/* One of several texts, and where it ends. */
static inline uint64_t hash_fnv_field(uint64_t h, struct slice s) {
    for (size_t i = 0; i < s.len; i++) h = hash_fnv_add(h, s.ptr[i]);
    return hash_fnv_add(h, '\xff');
}

/* 128 bits of a text at the speed of memory: NH (of UMAC: Black, Halevi, Krawczyk, Krovetz,
 * Rogaway) over a block, and SipHash over what several blocks gave.  Two texts that
 * were made without knowing the key meet with a probability of about 2^-64. */
#define HASH_BLOCK 1024 /* bytes */
struct hash_long_key { uint64_t nh[HASH_BLOCK / 8], end[2]; struct hash_key sip; };
struct hash128 { uint64_t low, high; };
void           hash_long_key_random(struct hash_long_key *key);
void           hash_long_key_init(struct hash_long_key *key, uint64_t seed); /* 0: at random */
/* `with` is hashed, too: what else the result depends on. */
struct hash128 hash_long(const struct hash_long_key *key, struct slice s, uint64_t with);

/* 32 lower-case hex digits, the upper half first, and a NUL. */
void           hash128_hex(struct hash128 h, char out[33]);
/* False: it is not what hash128_hex() writes. */
bool           hash128_read(struct slice hex, struct hash128 *out);

/* xoshiro256** (Blackman and Vigna), seeded from the kernel: ids, jitter. */
struct rng { uint64_t s[4]; };
void     rng_seed(struct rng *r, uint64_t seed); /* 0: from the kernel */
uint64_t rng_next(struct rng *r);
double   rng_double(struct rng *r);              /* [0, 1) */

/* 32 lower-case hex digits and a NUL. */
void     rng_hex128(struct rng *r, char out[33]);

#endif
