/* atoms.h -- what a question is made of: characters, words, numbers. See atoms.c. */
#ifndef PERILUNE_SEMANTIC_ATOMS_H
#define PERILUNE_SEMANTIC_ATOMS_H

#include <stdint.h>

#include "base/slice.h"

enum atom_kind { ATOM_HAN, ATOM_WORD, ATOM_NUMBER };

struct atom {
    uint32_t hash;  /* of what is written */
    uint32_t means; /* of what it means: equal for 怎么 and 如何; 0: nothing */
    uint16_t at, len; /* bytes of the text */
    uint8_t  kind;    /* enum atom_kind */
    uint8_t  phrase;  /* enum phrase_kind; PHRASE_OTHER: no phrase, too */
};

#define ATOMS_MAX 1024

/* The first atoms of a normal text, at most `most`; how many. */
unsigned atoms_read(struct slice normal, struct atom *out, unsigned most);

static inline uint32_t atom_mix(uint32_t a, uint32_t b) {
    uint64_t x = (a * UINT64_C(0x9E3779B97F4A7C15)) ^ (b + UINT64_C(0x7F4A7C159E3779B9));
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return (uint32_t)(x >> 32) | 1; /* never 0 */
}

#endif
