/* hash.c -- SipHash-1-3 and xoshiro256**, written from their papers.
 *
 * The first serves tables whose keys come from clients, the second everything
 * that wants chance but no secrecy (ids, jitter, sampling).  Between them NH, for keys that
 * are whole messages: SipHash alone reads 2 GB/s, and a conversation is hashed again
 * with every turn.  Keys and generators belong to their owners, so no thread shares
 * state.  Cryptographic digests come from OpenSSL (bridge/lib.c), not from here. */
#include "base/hash.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"

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
    if (chance_read(out, len)) return;
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

struct sip { uint64_t v[4]; };

static struct sip sip_begin(const struct hash_key *key) {
    return (struct sip){ { key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                           key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u } };
}

static inline void sip_word(struct sip *h, uint64_t m) {
    h->v[3] ^= m;
    sip_round(h->v);
    h->v[0] ^= m;
}

static uint64_t sip_end(struct sip *h) {
    h->v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(h->v);
    return h->v[0] ^ h->v[1] ^ h->v[2] ^ h->v[3];
}

uint64_t hash64(const struct hash_key *key, struct slice s) {
    struct sip h = sip_begin(key);
    const char *p = s.ptr;
    size_t left = s.len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t m;
        memcpy(&m, p, 8);
        sip_word(&h, m);
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)(unsigned char)p[i] << (8 * i);
    sip_word(&h, last);
    return sip_end(&h);
}

/* -- Long texts --------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 u128;

void hash_long_key_random(struct hash_long_key *key) {
    char *p = (char *)key; /* the kernel gives at most 256 bytes without fail */
    for (size_t at = 0; at < sizeof(*key); at += 256)
        kernel_random(p + at, sizeof(*key) - at < 256 ? sizeof(*key) - at : 256);
}

void hash_long_key_init(struct hash_long_key *key, uint64_t seed) {
    struct rng rng;
    if (seed == 0) {
        hash_long_key_random(key);
        return;
    }
    rng_seed(&rng, seed);
    for (size_t i = 0; i < sizeof(key->nh) / sizeof(*key->nh); i++) key->nh[i] = rng_next(&rng);
    key->end[0] = rng_next(&rng);
    key->end[1] = rng_next(&rng);
    key->sip.k0 = rng_next(&rng);
    key->sip.k1 = rng_next(&rng);
}

/* Words of the text and of the key are added, and pairs of the sums multiplied. */
static inline u128 nh_pair(const char *p, const uint64_t *k) {
    uint64_t m[2];
    memcpy(m, p, 16);
    return (u128)(m[0] + k[0]) * (m[1] + k[1]);
}

/* n is a multiple of 16. */
static u128 nh(const char *p, size_t n, const uint64_t *k) {
    u128 a = 0, b = 0;
    for (; n >= 32; n -= 32, p += 32, k += 4) {
        a += nh_pair(p, k);
        b += nh_pair(p + 16, k + 2);
    }
    return n > 0 ? a + b + nh_pair(p, k) : a + b;
}

/* Bytes of any number up to HASH_BLOCK; the last are filled up with zeros, so the length
 * must be hashed, too. */
static inline u128 nh_block(const struct hash_long_key *key, const char *p, size_t n) {
    size_t whole = n & ~(size_t)15;
    u128 sum = nh(p, whole, key->nh);
    if (whole == n) return sum;
    char tail[16] = { 0 };
    memcpy(tail, p + whole, n - whole);
    return sum + nh_pair(tail, key->nh + whole / 8);
}

/* Most messages are one block: length and `with` are one more pair of NH. */
static struct hash128 hash_block(const struct hash_long_key *key, struct slice s, uint64_t with) {
    u128 sum = nh_block(key, s.ptr, s.len) + (u128)(s.len + key->end[0]) * (with + key->end[1]);
    uint64_t low = (uint64_t)sum, high = (uint64_t)(sum >> 64);
    /* A small difference of the text may be seen in one half only.  Mixed one to one, so
     * that who keeps half of the bits keeps half of the difference. */
    low += high * 0x94D049BB133111EBu;
    low = (low ^ low >> 32) * 0x9E3779B97F4A7C15u;
    low ^= low >> 29;
    high += low * 0xBF58476D1CE4E5B9u;
    return (struct hash128){ low, high };
}

struct hash128 hash_long(const struct hash_long_key *key, struct slice s, uint64_t with) {
    if (s.len <= HASH_BLOCK) return hash_block(key, s, with);
    struct sip h = sip_begin(&key->sip);
    const char *p = s.ptr;
    for (size_t left = s.len; left > 0;) {
        size_t n = left < HASH_BLOCK ? left : HASH_BLOCK;
        u128 sum = nh_block(key, p, n);
        sip_word(&h, (uint64_t)sum);
        sip_word(&h, (uint64_t)(sum >> 64));
        p += n;
        left -= n;
    }
    sip_word(&h, s.len);
    sip_word(&h, with);
    uint64_t low = sip_end(&h);
    h.v[1] ^= 0xdd; /* as SipHash goes on for 128 bits */
    for (int i = 0; i < 3; i++) sip_round(h.v);
    return (struct hash128){ low, h.v[0] ^ h.v[1] ^ h.v[2] ^ h.v[3] };
}

void hash128_hex(struct hash128 h, char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high, (unsigned long long)h.low);
}

bool hash128_read(struct slice hex, struct hash128 *out) {
    uint64_t half[2] = { 0, 0 };
    if (hex.len != 32) return false;
    for (size_t i = 0; i < 32; i++) {
        char c = hex.ptr[i];
        int digit = c >= 'A' && c <= 'F' ? -1 : hex_value(c);
        if (digit < 0) return false;
        half[i / 16] = half[i / 16] << 4 | (uint64_t)digit;
    }
    *out = (struct hash128){ .high = half[0], .low = half[1] };
    return true;
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
