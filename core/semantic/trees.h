/* trees.h -- gradient boosted trees: a chance out of a few numbers. See trees.c. */
#ifndef PERILUNE_SEMANTIC_TREES_H
#define PERILUNE_SEMANTIC_TREES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TREES_MAX_FEATURES 64
#define TREES_MAX_DEPTH    6
#define TREES_MAX_ROUNDS   2000

struct trees; /* immutable: any thread */

struct trees_options {
    unsigned      rounds, depth;  /* trees, and decisions on the way through one */
    double        shrinkage;      /* what each tree counts for */
    double        subsample;      /* the share of rows that a tree learns from */
    double        columns;        /* the share of features that a tree may ask */
    double        l2;             /* holds leaves back */
    double        min_weight;     /* of a leaf, in rows that are undecided */
    uint64_t      seed;
    const int8_t *monotone;       /* of each feature: 1 the result rises with it, -1 falls, 0 either; NULL: 0 */
};

/* x: rows * features numbers, finite; y: what is wanted of each row, 0 to 1; weight: of each, or NULL.
 * The same input gives the same trees.  Returns 0, PERILUNE_ERR_INVAL (no rows, or options out of
 * bounds) or PERILUNE_ERR_NOMEM. */
int  trees_train(struct trees **out, const float *x, const float *y, const float *weight, size_t rows,
                 unsigned features, const struct trees_options *o);
void trees_free(struct trees *t); /* NULL is fine */

unsigned trees_features(const struct trees *t);
/* The logarithm of the odds. */
float trees_predict(const struct trees *t, const float *x);

/* The file form, which is the same on all machines. */
void trees_write(const struct trees *t, struct buf *out);
/* Reads exactly these bytes.  Returns 0, PERILUNE_ERR_INVAL with a sentence in *why, or PERILUNE_ERR_NOMEM. */
int  trees_read(struct trees **out, struct slice bytes, const char **why);

#endif
