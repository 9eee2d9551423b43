/* test_hash.c -- the keyed hash against vectors of another implementation
 * (CPython's hash of bytes with PYTHONHASHSEED=0), the generator against those
 * of its authors. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "unit.h"

TEST_NOFAULT(siphash_1_3) {
    struct hash_key zero = { 0, 0 };
    char text[64];
    for (int i = 0; i < 64; i++) text[i] = (char)i;
    CHECK_UINT(hash64(&zero, SLICE("a")), 0x407448d2b89b1813u);
    CHECK_UINT(hash64(&zero, SLICE("abcdefg")), 0x6db12aae9070f506u);
    CHECK_UINT(hash64(&zero, SLICE("abcdefgh")), 0x3f7b849c0b8e35eau);
    CHECK_UINT(hash64(&zero, SLICE("abcdefghi")), 0xf89b34a3d11eb6e5u);
    CHECK_UINT(hash64(&zero, slice_of(text, 64)), 0x75e05fd5bbc870c6u);
}

/* Bytes are read wherever they start, none after the end. */
TEST_NOFAULT(every_length_and_alignment) {
    struct hash_key key = { 1, 2 };
    for (size_t len = 0; len < 40; len++)
        for (size_t offset = 0; offset < 8; offset++) {
            char *block = malloc(offset + len + 1), *same = malloc(len + 1);
            memset(block, 'x', offset + len + 1);
            memset(same, 'x', len + 1);
            NOTE("%zu bytes at %zu", len, offset);
            CHECK_UINT(hash64(&key, slice_of(block + offset, len)), hash64(&key, slice_of(same, len)));
            free(block);
            free(same);
        }
    CHECK_UINT(hash64(&key, slice_of(NULL, 0)), hash64(&key, SLICE("")));
}

TEST_NOFAULT(the_key_matters) {
    struct hash_key a, b;
    hash_key_random(&a);
    hash_key_random(&b);
    CHECK(a.k0 != b.k0 || a.k1 != b.k1);
    CHECK(hash64(&a, SLICE("x")) != hash64(&b, SLICE("x")));
}

TEST_NOFAULT(xoshiro256) {
    struct rng r = { { 1, 2, 3, 4 } };
    CHECK_UINT(rng_next(&r), 11520);
    CHECK_UINT(rng_next(&r), 0);
    CHECK_UINT(rng_next(&r), 1509978240);
    CHECK_UINT(rng_next(&r), 1215971899390074240u);
}

TEST_NOFAULT(seeds) {
    struct rng a, b;
    rng_seed(&a, 1234567);
    CHECK_UINT(a.s[0], 6457827717110365317u); /* SplitMix64 of the same seed */
    CHECK_UINT(a.s[1], 3203168211198807973u);
    rng_seed(&b, 1234567);
    CHECK_UINT(rng_next(&a), rng_next(&b));
    rng_seed(&a, 0);
    rng_seed(&b, 0);
    CHECK(rng_next(&a) != rng_next(&b));
}

TEST_NOFAULT(doubles) {
    struct rng r;
    double sum = 0;
    rng_seed(&r, 7);
    for (int i = 0; i < 100000; i++) {
        double x = rng_double(&r);
        CHECK(x >= 0 && x < 1);
        sum += x;
    }
    CHECK(sum > 49500 && sum < 50500);
}

TEST_NOFAULT(hex) {
    struct rng r;
    char a[33], b[33];
    rng_seed(&r, 7);
    rng_hex128(&r, a);
    rng_hex128(&r, b);
    CHECK_UINT(strlen(a), 32);
    CHECK_UINT(strspn(a, "0123456789abcdef"), 32);
    CHECK(strcmp(a, b) != 0);
}

/* -- Long texts ------------------------------------------------------------------- */

static bool same128(struct hash128 a, struct hash128 b) { return a.low == b.low && a.high == b.high; }

TEST_NOFAULT(long_every_length_and_alignment) {
    struct hash_long_key key;
    hash_long_key_random(&key);
    for (size_t len = 0; len < 3 * HASH_BLOCK; len += len < 70 ? 1 : 37)
        for (size_t offset = 0; offset < 3; offset++) {
            char *block = malloc(offset + len + 1), *same = malloc(len + 1);
            memset(block, 'x', offset + len);
            memset(same, 'x', len);
            NOTE("%zu bytes at %zu", len, offset);
            CHECK(same128(hash_long(&key, slice_of(block + offset, len), 7), hash_long(&key, slice_of(same, len), 7)));
            free(block);
            free(same);
        }
    CHECK(same128(hash_long(&key, slice_of(NULL, 0), 1), hash_long(&key, SLICE(""), 1)));
}

/* One bit of the text, its length, what it is hashed with, the key: all change both halves. */
TEST_NOFAULT(long_everything_matters) {
    struct hash_long_key key, other;
    hash_long_key_random(&key);
    hash_long_key_random(&other);
    static const size_t lengths[] = { 1, 15, 16, 17, 500, 1023, 1024, 1025, 2048, 5000 };
    static char text[5001];
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)(i * 31);
    for (size_t k = 0; k < sizeof(lengths) / sizeof(*lengths); k++) {
        struct slice s = slice_of(text, lengths[k]);
        struct hash128 h = hash_long(&key, s, 1);
        NOTE("%zu bytes", s.len);
        for (size_t bit = 0; bit < 8 * s.len; bit += s.len < 100 ? 1 : 61) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            struct hash128 g = hash_long(&key, s, 1);
            text[bit / 8] ^= (char)(1 << bit % 8);
            CHECK(h.low != g.low && h.high != g.high);
        }
        CHECK(!same128(h, hash_long(&key, slice_of(text, s.len - 1), 1)));
        CHECK(!same128(h, hash_long(&key, s, 2)));
        CHECK(!same128(h, hash_long(&other, s, 1)));
    }
    /* Zeros that fill up the last words are not text. */
    CHECK(!same128(hash_long(&key, SLICE("a\0"), 1), hash_long(&key, SLICE("a"), 1)));
    CHECK(!same128(hash_long(&key, SLICE("\0"), 1), hash_long(&key, SLICE(""), 1)));
}

/* The upper bits choose a place: they should be spread. */
TEST_NOFAULT(long_spreads) {
    struct hash_long_key key;
    hash_long_key_random(&key);
    unsigned places[256] = { 0 };
    for (unsigned i = 0; i < 65536; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "m%u", i);
        places[hash_long(&key, slice_of(text, (size_t)n), 3).low >> 56]++;
    }
    for (int i = 0; i < 256; i++) CHECK(places[i] > 128 && places[i] < 512);
}
