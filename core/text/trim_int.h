/* trim_int.h -- compiled phrases: what trim_rules.c and trim_automaton.c make and trim_match.c walks. */
#ifndef PERILUNE_TEXT_TRIM_INT_H
#define PERILUNE_TEXT_TRIM_INT_H

#include "text/trim.h"

#define TRIM_NONE UINT32_MAX

/* By its first three bytes a text is told from a phrase at almost every place.  They count as
 * trim_rules.fold has them: 0 is a space or an apostrophe, which texts write in several ways, some
 * longer than others, so that what stands behind it says nothing. */
#define TRIM_BEGINS 4096u

static inline unsigned trim_begin(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t key = a == 0 ? 0 : b == 0 ? a << 16 : a << 16 | b << 8 | c;
    return key * 0x9E3779B1u >> 20; /* the fraction of the golden ratio: Knuth's multiplicative hash */
}

/* What is known of a phrase that ends at a state. */
struct trim_term {
    uint32_t not_behind; /* offset in `stops`, or TRIM_NONE: strings, each with its length in front, a 0 at last;
                            they must not follow, or for a TAIL not stand in front */
    uint8_t  place;
    uint8_t  attached;   /* TAIL: nothing must separate it */
    uint8_t  comma;      /* TAIL: a comma must */
};

/* Of the graph that patterns are at first. */
enum trim_node_type { TRIM_BYTE, TRIM_SPLIT, TRIM_MATCH };

struct trim_node {
    uint32_t type;
    uint32_t a, b; /* BYTE: a follows on byte b; SPLIT: a or b; MATCH: a is a term */
};

struct trim_edge {
    uint32_t target;
    uint8_t  byte;
};

/* Edges first_edge .. + edges, terms first_term .. + terms (indexes of `terms`).  Most states have
 * one edge, and have it inside. */
struct trim_state {
    union { uint32_t first_edge, target; }; /* target: of the only edge */
    uint32_t first_term;
    uint16_t edges, terms;
    uint16_t places; /* of the terms, mask */
    uint8_t  byte;   /* of the only edge */
};

/* A deterministic automaton; state 0 is the root, whose edges are also a table.  What follows a state
 * by its first edge lies behind it, so that a walk goes through memory. */
struct trim_automaton {
    struct buf states, edges, ends;  /* struct trim_state, struct trim_edge, uint32_t */
    uint32_t   root[256];            /* TRIM_NONE: no way */
    uint16_t   begins[TRIM_BEGINS];  /* by trim_begin(): mask of the places that have phrases beginning so */
};

enum { TRIM_FRONT, TRIM_BACK, TRIM_ANYWHERE, TRIM_AUTOMATA };

/* The automaton that the phrases of a place are in. */
static inline int trim_automaton_of(enum trim_place place) {
    switch (place) {
    case TRIM_TAIL: return TRIM_BACK;
    case TRIM_MENTION:
    case TRIM_BELOW:
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
    struct buf            nodes; /* struct trim_node, until they are compiled */
    struct buf            terms, stops;
    uint32_t              start[TRIM_AUTOMATA]; /* node */
    struct trim_automaton automata[TRIM_AUTOMATA];
    size_t                patterns;
    uint8_t               fold[256]; /* bytes as trim_begin() takes them */
};

static inline const struct trim_state *trim_state_at(const struct trim_automaton *a, uint32_t i) {
    return (const struct trim_state *)(const void *)a->states.data + i;
}

static inline uint32_t trim_follow(const struct trim_automaton *a, const struct trim_state *st, uint8_t byte) {
    if (st->edges == 1) return st->byte == byte ? st->target : TRIM_NONE;
    const struct trim_edge *e = (const struct trim_edge *)(const void *)a->edges.data + st->first_edge;
    for (unsigned i = 0; i < st->edges; i++)
        if (e[i].byte == byte) return e[i].target;
    return TRIM_NONE;
}

/* trim_automaton.c: the automaton for the phrases whose graph begins at node `start`, or TRIM_NONE. Returns 0;
 * PERILUNE_ERR_LIMITED; PERILUNE_ERR_NOMEM. */
int trim_automaton_build(const struct trim_rules *r, struct trim_automaton *a, uint32_t start);

#endif
