/* hash.c -- SipHash-1-3 and xoshiro256**, written from their papers.
 *
 * The first serves tables whose keys come from clients, the second everything
 * that wants chance but no secrecy (ids, jitter, sampling).  Both are per
 * object, so no thread shares state.  Cryptographic digests come from OpenSSL
 * (bridge/l_util.c), not from here. */
#include "base/hash.h"

#include <sys/random.h>

static uint64_t rotl(uint64_t x, int b) { return (x << b) | (x >> (64 - b)); }

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void kernel_random(void *out, size_t len) {
    /* Cannot fail for <= 256 bytes once the pool is up; if the call is missing,
     * addresses and the stack are all the entropy there is. */
    if (getrandom(out, len, 0) == (ssize_t)len) return;
    uint64_t x = (uint64_t)(uintptr_t)out;
    for (size_t i = 0; i < len; i++) ((unsigned char *)out)[i] = (unsigned char)splitmix(&x);
}

void hash_key_random(struct hash_key *key) { kernel_random(key, sizeof(*key)); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1]; v[1] = rotl(v[1], 13); v[1] ^= v[0]; v[0] = rotl(v[0], 32);
    v[2] += v[3]; v[3] = rotl(v[3], 16); v[3] ^= v[2];
    v[0] += v[3]; v[3] = rotl(v[3], 21); v[3] ^= v[0];
    v[2] += v[1]; v[1] = rotl(v[1], 17); v[1] ^= v[2]; v[2] = rotl(v[2], 32);
}

uint64_t hash64(const struct hash_key *key, struct slice s) {
    uint64_t v[4] = { key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                      key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u };
    const char *p = s.ptr;
    size_t left = s.len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t m;
        memcpy(&m, p, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)(unsigned char)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rng_seed(struct rng *r, uint64_t seed) {
    if (seed == 0) kernel_random(&seed, sizeof(seed));
    for (int i = 0; i < 4; i++) r->s[i] = splitmix(&seed);
}

uint64_t rng_next(struct rng *r) {
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

double rng_double(struct rng *r) { return (double)(rng_next(r) >> 11) * 0x1p-53; }

void rng_hex128(struct rng *r, char out[33]) {
    static const char digits[] = "0123456789abcdef";
    for (int half = 0; half < 2; half++) {
        uint64_t x = rng_next(r);
        for (int i = 0; i < 16; i++, x >>= 4) out[half * 16 + i] = digits[x & 15];
    }
    out[32] = '\0';
}
