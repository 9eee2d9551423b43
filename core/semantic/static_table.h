/* static_table.h -- a vector for each token, which needs no model to be summed. See static_table.c.
 * A table is immutable and may be used by any thread. */
#ifndef PERILUNE_SEMANTIC_STATIC_TABLE_H
#define PERILUNE_SEMANTIC_STATIC_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct bpe;
struct static_table;

#define STATIC_TABLE_MAX_DIMS 1024

/* The one inside the program, of o200k tokens; never NULL, not to be closed. */
const struct static_table *static_table_builtin(void);
/* Reads the file form (static_table.c says it).  The bytes are the caller's and must outlive it.  Returns 0,
 * PERILUNE_ERR_INVAL with *f telling what is wrong, or PERILUNE_ERR_NOMEM. */
int  static_table_open(struct static_table **out, struct slice bytes, struct failure *f);
void static_table_close(struct static_table *t); /* NULL is fine */
/* Appends the file form of so many rows: ids ascend, each row has `have` numbers, and `dims` are written, of which
 * the last are zero.  Returns 0 or PERILUNE_ERR_NOMEM. */
int  static_table_write(const uint32_t *ids, const float *numbers, size_t count, unsigned have, unsigned dims,
                        struct buf *out);

unsigned static_table_dims(const struct static_table *t);
/* out[dims] = the direction of the normal text (normal.h), length 1; all zero when no token has a row.  b
 * tokenizes for the table's vocabulary (o200k_base).  Returns 0 or PERILUNE_ERR_NOMEM. */
int static_table_embed(const struct static_table *t, struct bpe *b, struct slice normal, float *out);

/* The same in two steps.  out, which is emptied: the numbers of the rows of its tokens, uint32_t each, as they
 * come in the text.  Returns 0 or PERILUNE_ERR_NOMEM. */
int  static_table_find(const struct static_table *t, struct bpe *b, struct slice normal, struct buf *out);
/* The same of a piece of a text, as it stands, with a space in front of it or without. */
int  static_table_find_piece(const struct static_table *t, struct bpe *b, struct slice piece, struct buf *out);
void static_table_sum(const struct static_table *t, const uint32_t *rows, size_t count, float *out);
float static_table_cosine(const struct static_table *t, uint32_t a, uint32_t b); /* of two rows; -1 to 1 */
/* A number of all that is in it; reads all of it, which takes milliseconds. */
uint32_t static_table_mark(const struct static_table *t);
/* Adds one row to out[dims], as long as it is. */
void static_table_add(const struct static_table *t, uint32_t row, float *out);

#endif
