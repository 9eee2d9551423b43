/* terms.h -- a text as terms, for comparing texts. See terms.c. */
#ifndef PERILUNE_TEXT_TERMS_H
#define PERILUNE_TEXT_TERMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define TEXT_TERMS_MOST 64 /* bits in text_sink.asks */

struct text_sink {
    /* Takes hashes[0] to hashes[n - 1]. */
    void   (*put)(struct text_sink *sink);
    bool     want_asks; /* else asks is 0 */
    unsigned n;
    uint64_t asks;      /* by bit: it is a word that questions are made of (what, the, 什么) */
    uint64_t hashes[TEXT_TERMS_MOST];
};

/* Sets everything but the hashes. */
static inline void text_sink_init(struct text_sink *sink, void (*put)(struct text_sink *), bool want_asks) {
    sink->put = put;
    sink->want_asks = want_asks;
    sink->n = 0;
    sink->asks = 0;
}

/* Gives all terms of a well-formed text to the sink, in order, some at a time. */
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
