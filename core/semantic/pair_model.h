/* pair_model.h -- what a pair model is made of, for pair.c and pair_train.c. */
#ifndef PERILUNE_SEMANTIC_PAIR_MODEL_H
#define PERILUNE_SEMANTIC_PAIR_MODEL_H

#include "semantic/differences.h"
#include "semantic/head.h"
#include "semantic/pair.h"
#include "semantic/pair_features.h"
#include "semantic/trees.h"

/* What learns from pairs. */
struct pair_stages {
    struct head        *head; /* NULL: there is none */
    struct differences *differences;
    struct trees       *trees;
};

struct pair_model {
    char               embedder[PAIR_NAME_MAX];
    unsigned           dims; /* of another embedder's vectors; 0: the head is of the table's */
    uint32_t           table; /* static_table_mark() of the table that it was trained with */
    uint32_t           texts; /* that rarity was learned from */
    uint8_t            rarity[1u << PAIR_RARITY_BITS];
    struct pair_curve  curve;
    struct pair_stages stages;
};

void pair_stages_deinit(struct pair_stages *s);

/* The vectors that the head looks at, or NULL: texts without any. */
const float *pair_vector(unsigned dims, const struct embedded_text *t, const float *v);
/* Fills in the features that only a model knows, but for the trees'. */
void pair_fill_in(const struct pair_stages *s, const float *va, const float *vb, struct pair_features *f);
float pair_cosine(const float *a, const float *b, unsigned dims);

#endif
