/* fit.h -- a model out of examples, and what it would have said of those that it did not see. See fit.c. */
#ifndef PERILUNE_LEARN_FIT_H
#define PERILUNE_LEARN_FIT_H

#include "learn/trainer.h"

#define FIT_FOLDS 20 /* most */

struct fit_item {
    struct slice text;
    unsigned     turns;
    uint32_t     group;   /* items of one group are learned from together, or judged together */
    const float *targets; /* one for each output, 0 to 1 */
};

struct fit_options {
    unsigned bits, outputs;
    unsigned epochs;       /* passes over the examples; 0: 5 */
    unsigned folds;        /* 2 .. FIT_FOLDS */
    float    words;        /* as trainer_options, and so is narrow; below 0: both are chosen, those that do best */
    bool     narrow;       /* on groups that were not seen */
    uint64_t seed;
    void   (*progress)(void *ud, const char *what, unsigned done, unsigned of); /* may be NULL */
    void    *ud;
};

/* Trains on all items.  The same input gives the same trainer.  words must have been chosen.
 * Returns 0 or PERILUNE_ERR_NOMEM. */
int fit_train(struct trainer **out, const struct fit_item *items, size_t n, const struct fit_options *o);
/* Goes on training one. */
int fit_more(struct trainer *t, const struct fit_item *items, size_t n, const struct fit_options *o);
/* Chooses o->words and o->narrow, by cross-validation within the items.  PERILUNE_ERR_INVAL: fewer than two groups. */
int fit_choose(struct fit_options *o, const struct fit_item *items, size_t n);
/* What a trainer says of these items on average, of each output. PERILUNE_ERR_NOMEM. */
int fit_means(double *means, const struct trainer *t, const struct fit_item *items, size_t n, unsigned outputs);
/* Scores of each item (n * outputs) by a model that saw no item of its group, less what that model says on average
 * of what it has learned; what is to be chosen is chosen within that.  PERILUNE_ERR_INVAL: fewer groups than folds. */
int fit_out_of_fold(float *scores, const struct fit_item *items, size_t n, const struct fit_options *o);

#endif
