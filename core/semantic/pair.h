/* pair.h -- do two questions ask the same? See pair.c. */
#ifndef PERILUNE_SEMANTIC_PAIR_H
#define PERILUNE_SEMANTIC_PAIR_H

#include "base/buf.h"
#include "base/err.h"
#include "semantic/embedding.h"

struct pair_model; /* immutable: any thread */

/* One for the built-in embedder is inside the program; not to be closed.  NULL: no memory to read it. */
const struct pair_model *pair_model_builtin(void);
void                     pair_model_forget_builtin(void); /* gives its memory back: nobody uses it any more */
/* Reads what pair_model_write() or `perilune cache calibrate` wrote.  Returns 0, PERILUNE_ERR_INVAL with *f telling
 * what is wrong and where, or PERILUNE_ERR_NOMEM. */
int  pair_model_open(struct pair_model **out, struct slice bytes, struct failure *f);
void pair_model_close(struct pair_model *m); /* NULL is fine */
void pair_model_write(const struct pair_model *m, struct buf *out);

/* 0 to 1: how sure it is that they ask the same. va and vb: the vectors of another embedder, of which the
 * model knows the dims, of length 1; NULL: the built-in one's are meant.  Symmetric.  0 for texts over
 * SEMANTIC_MAX_TEXT that are not equal. */
float pair_score(const struct pair_model *m, const struct embedded_text *a, const struct embedded_text *b,
                 const float *va, const float *vb, unsigned dims);
/* The least score at which at most this share (0 to 1) of pairs that differ was taken for the same when the
 * model was calibrated; above 1: there is none. */
float pair_threshold(const struct pair_model *m, double max_false);

/* -- What it was made with ------------------------------------------------------------------- */

#define PAIR_NAME_MAX 128
#define PAIR_CURVE    14

/* Of pairs that it had not learned from: at this threshold or above were so many. */
struct pair_point {
    float share; /* of those that differ, 0 to 1 */
    float found; /* of those that are the same */
    float threshold;
};

struct pair_curve {
    uint32_t          same, different; /* pairs */
    struct pair_point points[PAIR_CURVE]; /* ascending by share */
};

const char *pair_model_embedder(const struct pair_model *m); /* its name; "" the built-in one */
unsigned    pair_model_dims(const struct pair_model *m);     /* of its vectors; 0: the built-in one */
/* Was it trained with this table?  With another one its scores mean less, and it is to be trained again.  Takes
 * milliseconds. */
bool        pair_model_is_of(const struct pair_model *m, const struct static_table *table);
const struct pair_curve *pair_model_curve(const struct pair_model *m);

/* -- Training (pair_train.c) ------------------------------------------------------------------- */

struct pair_example {
    const struct embedded_text *a, *b;
    const float *va, *vb; /* of another embedder, or NULL */
    float        same;    /* 0 to 1: a doubt is allowed; from 0.5 on they count as the same */
};

struct pair_training {
    const char *embedder; /* the name of another one; NULL: the built-in one */
    unsigned    dims;     /* of its vectors, or 0 */
    unsigned    rounds;   /* trees; 0: as is good for so many pairs */
    const struct pair_model *base; /* what to begin with, or NULL */
    /* Told what is being done; may be NULL. */
    void      (*progress)(void *ud, const char *what, unsigned done, unsigned of);
    void       *ud;
};

#define PAIR_FOLDS 5

/* Of scores that were given by whatever.  Returns 0 or PERILUNE_ERR_NOMEM. */
int pair_curve_of(const float *scores, const struct pair_example *examples, size_t count, struct pair_curve *out);

/* Judges each fold of the pairs by a model that was trained on the others, which gives the curve; then trains
 * on all of them.  Pairs that share a question, or are connected by such, are in one fold.  scores (may be NULL) gets
 * what the first step said of each.  The same input gives the same model.  Returns 0, PERILUNE_ERR_INVAL with *f
 * saying what is missing, or PERILUNE_ERR_NOMEM. */
int pair_model_train(struct pair_model **out, const struct pair_example *examples, size_t count,
                     const struct pair_training *how, float *scores, struct failure *f);

/* A copy of a model with the curve of these scores.  Returns 0 or PERILUNE_ERR_NOMEM. */
int pair_model_recalibrate(struct pair_model **out, const struct pair_model *m, const float *scores,
                           const struct pair_example *examples, size_t count);

#endif
