/* questions.h -- what a body asks, as a number. See questions.c. A thread's own. */
#ifndef PERILUNE_REQUEST_QUESTIONS_H
#define PERILUNE_REQUEST_QUESTIONS_H

#include "base/json.h"
#include "store/cache.h"

struct questions;

struct questions *questions_new(void); /* NULL: no memory */
void              questions_free(struct questions *q); /* NULL is fine */

/* Equal for bodies that ask the same: json_write_canonical() of d without what skip() leaves out, hashed; the
 * same in every process.  Always the same skip().  c: under whose secret bytes are remembered.  q NULL: nothing
 * is.  The text is written behind what is in scratch, and taken away again; on failure scratch has failed. */
struct hash128 questions_hash(struct questions *q, const struct cache *c, const struct json_doc *d,
                              json_skip_fn *skip, struct buf *scratch);

#endif
