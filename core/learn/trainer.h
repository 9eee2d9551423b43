/* trainer.h -- logistic regression on what prompts are like, an example at a time. See trainer.c. */
#ifndef PERILUNE_LEARN_TRAINER_H
#define PERILUNE_LEARN_TRAINER_H

#include "learn/model.h"

struct trainer;

struct trainer_options {
    unsigned bits, outputs;
    float    words;      /* what n-grams count against the shape: 0 leaves them out, 0.1 to 1 is usual */
    bool     narrow;     /* of the shape only the length counts */
    float    rate;       /* of learning; 0: 0.1 */
};

/* NULL: no memory. */
struct trainer *trainer_new(const struct trainer_options *o);
/* One that goes on from a model.  NULL: no memory. */
struct trainer *trainer_from(const struct model *m, float rate);
void            trainer_free(struct trainer *t); /* NULL is fine */

/* Learns from one example: targets, 0 to 1, one for each output. */
void trainer_step(struct trainer *t, const struct features *f, const float *targets);
/* The raw score of each output, as the model would say but for rounding. */
void trainer_scores(const struct trainer *t, const struct features *f, float *out);
/* Fills what the trainer knows of the parts of a model: kind, names and calibration are the caller's.  Borrowed. */
void trainer_parts(const struct trainer *t, struct model_parts *p);

#endif
