/* pair_features.h -- what can be said of two questions, as numbers. See pair_features.c. */
#ifndef PERILUNE_SEMANTIC_PAIR_FEATURES_H
#define PERILUNE_SEMANTIC_PAIR_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "semantic/atoms.h"
#include "semantic/embedding.h"

/* ORDER pair_features: files of models count on it; what is new comes last, and RARITY_VERSION of pair.c rises.
 * Name, and how the chance that both ask the same depends on it: 1 rises, -1 falls, 0 it depends. */
#define PAIR_FEATURE_MAP(XX)                                                                       \
    XX(HEAD, 1) XX(DIFFERENCES, 1) XX(DIFFERENCES_WORST, 1) XX(VECTORS, 1)                         \
    XX(TABLE, 1) XX(GRAMS, 1) XX(BLEND, 1)                                                         \
    XX(ATOMS_SHARED, 1) XX(ATOMS_RARE_SHARED, 1) XX(PAIRS_SHARED, 1) XX(TRIPLES_SHARED, 1)         \
    XX(WITHIN_LEAST, 1) XX(WITHIN_MOST, 1)                                                         \
    XX(MEANS_SHARED, 1) XX(MEANS_RARE_SHARED, 1) XX(MEANS_PAIRS_SHARED, 1)                         \
    XX(MEANS_WITHIN_LEAST, 1) XX(MEANS_WITHIN_MOST, 1)                                             \
    XX(SEQUENCE, 1) XX(MEANS_SEQUENCE, 1) XX(ORDER, 0) XX(MEANS_ORDER, 0)                          \
    XX(EDITS, -1) XX(MEANS_EDITS, -1) XX(MEANS_EDITS_COUNT, 0) XX(SUBSTRING, 0)                    \
    XX(BEGIN, 0) XX(END, 0) XX(MEANS_BEGIN, 0) XX(MEANS_END, 0)                                    \
    XX(SHORTER, 0) XX(LONGER, 0) XX(LENGTHS, 0) XX(MEANS_SHORTER, 0)                               \
    XX(ALONE_MOST, 0) XX(ALONE_LEAST, 0) XX(ALONE_RAREST, 0) XX(ALONE_RAREST_LEAST, 0)             \
    XX(MEANS_ALONE_MOST, -1) XX(MEANS_ALONE_LEAST, -1)                                             \
    XX(MEANS_ALONE_RAREST, -1) XX(MEANS_ALONE_RAREST_LEAST, -1)                                    \
    XX(HAN_ALONE, 0) XX(WORDS_ALONE, 0) XX(NUMBERS_ALONE, -1)                                      \
    XX(QUESTIONS, -1) XX(NEGATIONS, -1) XX(HUNKS, 0) XX(EXCHANGED, -1) XX(INSERTED, 0)             \
    XX(MATCH_WORST, 1) XX(MATCH_MEAN, 1) XX(MATCH_LEAST, 1) XX(REST, 1) XX(REST_SHARE, 0)          \
    XX(HAN, 0) XX(LAST_SAME, 0) XX(GRAMS_ALONE, 0)

enum pair_feature {
#define XX(name, way) PAIR_##name,
    PAIR_FEATURE_MAP(XX)
#undef XX
    PAIR_FEATURES
};

#define PAIR_DIFFERENCES_MAX 160
#define PAIR_RARITY_BITS     14 /* of a table of how rare atoms are */
#define PAIR_RARITY_UNIT     20 /* a number of it, of the natural logarithm of one in how many texts */

struct pair_features {
    float    x[PAIR_FEATURES];                  /* the first four are left 0: who knows them fills them in */
    uint32_t differences[PAIR_DIFFERENCES_MAX]; /* hashes of what only one has, and what stands for what */
    unsigned difference_count;
    bool     is_bounded; /* false: too long to be compared, and not equal behind what was */
};

extern const int8_t pair_monotone[PAIR_FEATURES];

/* rarity: 2^PAIR_RARITY_BITS numbers, or NULL: all are as rare.  Symmetric.  Takes 100 KB of stack. */
void pair_features(const struct embedded_text *a, const struct embedded_text *b, const uint8_t *rarity,
                   struct pair_features *out);

/* Which number of the table an atom's meaning has. */
static inline unsigned pair_rarity_cell(uint32_t hash) { return (hash >> 1) & ((1u << PAIR_RARITY_BITS) - 1); }

#endif
