/* pair.h -- do two questions ask the same? See pair.c. */
#ifndef PERILUNE_SEMANTIC_PAIR_H
#define PERILUNE_SEMANTIC_PAIR_H

#include "base/buf.h"
#include "base/err.h"
#include "semantic/embedding.h"

struct pair_model; /* immutable */

/* One for the built-in embedder is inside the program; not to be closed. */
const struct pair_model *pair_model_builtin(void);
/* Reads what pair_model_write() or `perilune cache calibrate` wrote.  Returns 0, PERILUNE_ERR_INVAL with *f telling what is wrong and
 * where, or PERILUNE_ERR_NOMEM. */
int  pair_model_open(struct pair_model **out, struct slice bytes, struct failure *f);
void pair_model_close(struct pair_model *m); /* NULL is fine */

/* 0 to 1: how sure it is that they ask the same. va and vb: the vectors of another embedder, of which the
 * model knows the dims; NULL: the built-in one's are meant.  Symmetric. */
float pair_score(const struct pair_model *m, const struct embedded_text *a, const struct embedded_text *b,
                 const float *va, const float *vb, unsigned dims);
/* The least score at which at most this share (0 to 1) of pairs that differ was taken for the same when the
 * model was calibrated; above 1: there is none. */
float pair_threshold(const struct pair_model *m, double max_false);

#endif
