/* text_terms.h -- a text as terms, for comparing texts. See text_terms.c. */
#ifndef PERILUNE_LLM_TEXT_TERMS_H
#define PERILUNE_LLM_TEXT_TERMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct text_sink {
    /* One term.  asks: it is a word that questions are made of (what, the, 什么). */
    void (*put)(struct text_sink *sink, uint64_t hash, bool asks);
    bool want_asks; /* else asks is always false */
};

/* Gives all terms of a well-formed text to the sink, in order. */
void text_terms(struct slice text, struct text_sink *sink);

/* A good mix of 64 bits. */
static inline uint64_t text_mix(uint64_t x) {
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

#endif
