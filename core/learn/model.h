/* model.h -- a linear model of prompts, as a file keeps it. See model.c. */
#ifndef PERILUNE_LEARN_MODEL_H
#define PERILUNE_LEARN_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "learn/calibrated.h"
#include "learn/features.h"

#define MODEL_BITS     18 /* most: 2^18 buckets */
#define MODEL_OUTPUTS  64 /* most */
#define MODEL_NAME     64 /* bytes, NUL included */
#define MODEL_VERSION  1

enum model_kind {
    MODEL_ROUTE = 1, /* one output: what of the quality is lost without the big model */
    MODEL_INTENT = 2 /* an output for each label, one against the rest */
};

struct model; /* immutable: any thread */

/* What a model is made of; the trainer's. */
struct model_parts {
    enum model_kind kind;
    unsigned        bits, outputs;
    float           words;          /* what the n-grams count, against the shape: 0 leaves them out */
    const float    *shape;          /* FEATURES_SHAPE of each output */
    const float    *weights;        /* outputs << bits: [bucket * outputs + output] */
    const char    (*names)[MODEL_NAME]; /* of outputs; of a route: of the small model and the big one */
    const struct calibrated *value; /* of each output: from a score to what it means */
    const struct calibrated *rank;  /* of a route: from a score to the share of prompts at or below it; else NULL */
    uint32_t        examples;       /* it was trained on */
};

/* Appends the file. */
void model_write(const struct model_parts *p, struct buf *out);
/* Opens a file; its bytes are borrowed until close.  Returns 0, PERILUNE_ERR_INVAL with a sentence in *f (no model,
 * another version, damaged), or PERILUNE_ERR_NOMEM. */
int  model_open(struct model **out, struct slice bytes, struct failure *f);
void model_close(struct model *m); /* NULL is fine */

enum model_kind model_kind(const struct model *m);
unsigned    model_outputs(const struct model *m);
unsigned    model_bits(const struct model *m);
float       model_words(const struct model *m);
uint32_t    model_examples(const struct model *m);
/* Of an output; of a route 0 is the small model, 1 the big one.  "" behind the last. */
const char *model_name(const struct model *m, unsigned i);

/* The raw score of each output, into out. */
void  model_scores(const struct model *m, const struct features *f, float *out);
/* What a score of the output means: of a route the quality that is expected to be lost without the big model,
 * -1 to 1; of an intent how sure it is, 0 to 1. */
float model_value(const struct model *m, unsigned output, float score);
/* Of a route: the share of prompts at or below this score, 0 to 1. */
float model_rank(const struct model *m, float score);

/* A copy of what scores of the output mean. */
void  model_calibration(const struct model *m, unsigned output, struct calibrated *out);

/* For training on: the weights as floats, outputs << bits; and the shape's. */
void  model_unpack(const struct model *m, float *weights, float *shape);

#endif
