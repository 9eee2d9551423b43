/* fuzz.h -- what a fuzz target has to offer.  See driver.c. */
#ifndef PERILUNE_TESTS_FUZZ_H
#define PERILUNE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

/* libFuzzer's interface; driver.c calls it too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pieces of the format that random bytes would never hit; NULL ends them. */
extern const char *const fuzz_tokens[];

/* A fact that holds for every input. */
#define ORACLE(fact)                                                               \
    do {                                                                           \
        if (!(fact)) {                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #fact); \
            abort();                                                               \
        }                                                                          \
    } while (0)

/* Choices that depend on the input alone. */
static inline uint64_t fuzz_hash(const uint8_t *data, size_t size) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static inline size_t fuzz_below(uint64_t *x, size_t n) {
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(*x >> 33) % n;
}

/* Cuts a piece of 1 to `most` bytes off the front of s, in memory of its own: a sanitizer
 * sees who reads beyond it.  The caller frees it. */
static inline struct slice fuzz_piece(struct slice *s, size_t most, uint64_t *rng) {
    size_t n = 1 + (most > 1 ? fuzz_below(rng, most) : 0);
    if (n > s->len) n = s->len;
    char *copy = malloc(n);
    memcpy(copy, s->ptr, n);
    *s = slice_of(s->ptr + n, s->len - n);
    return slice_of(copy, n);
}

#endif
