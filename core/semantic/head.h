/* head.h -- logistic regression over how two vectors differ and agree. See head.c. */
#ifndef PERILUNE_SEMANTIC_HEAD_H
#define PERILUNE_SEMANTIC_HEAD_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define HEAD_MAX_DIMS 4096

struct head; /* immutable: any thread */

/* us, vs: `count` pairs of vectors of `dims` finite numbers; y: what is wanted, 0 to 1.  c: what the rows weigh
 * against small weights, as in scikit-learn.  Returns 0, PERILUNE_ERR_INVAL (no rows, dims) or
 * PERILUNE_ERR_NOMEM. */
int  head_train(struct head **out, const float *const *us, const float *const *vs, const float *y, size_t count,
                unsigned dims, double c);
void head_free(struct head *h); /* NULL is fine */

unsigned head_dims(const struct head *h);
/* The logarithm of the odds.  Symmetric. */
float head_score(const struct head *h, const float *u, const float *v);

void head_write(const struct head *h, struct buf *out);
/* Reads exactly these bytes.  Returns 0, PERILUNE_ERR_INVAL with a sentence in *why, or PERILUNE_ERR_NOMEM. */
int  head_read(struct head **out, struct slice bytes, const char **why);

#endif
