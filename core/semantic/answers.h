/* answers.h -- do two answers to a question say the same? See answers.c. */
#ifndef PERILUNE_SEMANTIC_ANSWERS_H
#define PERILUNE_SEMANTIC_ANSWERS_H

#include "base/slice.h"

struct embedder;

enum answers { ANSWERS_UNKNOWN, ANSWERS_AGREE, ANSWERS_DIFFER };

#define ANSWERS_SAME  0.62f /* similarity from which on they say the same, */
#define ANSWERS_OTHER 0.38f /* and below which they say something else */

/* Texts as they were written.  UNKNOWN: it cannot be told; one of them is empty, or has more numbers than are
 * compared, or there was no memory.  *similarity: of their beginnings, 0 to 1; 0 when it was not needed. */
enum answers answers_compare(struct embedder *e, struct slice a, struct slice b, float *similarity);

#endif
