/* trim_int.h -- compiled phrases: what trim_rules.c makes and trim_match.c walks. */
#ifndef PERILUNE_LLM_TRIM_INT_H
#define PERILUNE_LLM_TRIM_INT_H

#include "llm/trim.h"

#define TRIM_NONE UINT32_MAX

/* What is known of a phrase that ends at a state. */
struct trim_term {
    uint32_t not_behind; /* offset in `stops`, or TRIM_NONE: strings, each with its length in front, a 0 at last;
                            they must not follow, or for a TAIL not stand in front */
    uint8_t  place;
    uint8_t  attached;   /* TAIL: nothing must separate it */
    uint8_t  comma;      /* TAIL: a comma must */
};

struct trim_edge {
    uint32_t target;
    uint8_t  byte;
};

/* Edges first_edge .. + edges, terms first_term .. + terms (indexes of `terms`). */
struct trim_state {
    uint32_t first_edge, first_term;
    uint16_t edges, terms;
};

/* A deterministic automaton; state 0 is the root, whose edges are also a table. */
struct trim_automaton {
    struct buf states, edges, ends; /* struct trim_state, struct trim_edge, uint32_t */
    uint32_t   root[256];           /* TRIM_NONE: no way */
    uint8_t    pairs[256][32];      /* a bit for each two bytes of a text that a phrase may begin with */
};

enum { TRIM_FRONT, TRIM_BACK, TRIM_ANYWHERE, TRIM_ABOUT, TRIM_UNDER, TRIM_AUTOMATA };

/* The automaton that the phrases of a place are in. */
static inline int trim_automaton_of(enum trim_place place) {
    switch (place) {
    case TRIM_TAIL: return TRIM_BACK;
    case TRIM_MENTION: return TRIM_ABOUT;
    case TRIM_BELOW: return TRIM_UNDER;
    case TRIM_CONTENT:
    case TRIM_TASK: return TRIM_ANYWHERE;
    default: return TRIM_FRONT;
    }
}

/* Stops stand in `stops`: TRIM_STOP_BITS bits by hash of the first three bytes of the long ones, then the
 * short ones (less than three bytes), then the long ones; each with its length in front, each list
 * ends with a 0. */
#define TRIM_STOP_BITS 512u

static inline unsigned trim_stop_bit(const uint8_t b[3]) {
    return (b[0] * 37u ^ b[1] * 101u ^ b[2] * 7u) % TRIM_STOP_BITS;
}

struct trim_rules {
    struct buf            nodes; /* of patterns, until they are compiled */
    struct buf            terms, stops;
    uint32_t              start[TRIM_AUTOMATA]; /* node */
    struct trim_automaton automata[TRIM_AUTOMATA];
    size_t                patterns;
};

static inline const struct trim_state *trim_state_at(const struct trim_automaton *a, uint32_t i) {
    return (const struct trim_state *)(const void *)a->states.data + i;
}

#endif
