/* embedding.h -- the embedder that is built in. See embedding.c. A thread's own, but for what it shares. */
#ifndef PERILUNE_SEMANTIC_EMBEDDING_H
#define PERILUNE_SEMANTIC_EMBEDDING_H

#include "semantic/grams.h"
#include "semantic/static_table.h"

/* A text and all that comparing it needs. */
struct embedded_text {
    struct slice normal;   /* borrowed */
    struct grams grams;    /* weighed */
    float       *vector;   /* embedder_dims() numbers: the table's, then the n-grams' */
    float       *meaning;  /* the table's part of it alone, length 1 */
    struct buf   rows;     /* of the table, uint32_t each: of its tokens, as they come in the text */
    const struct static_table *table; /* that these are of; NULL: nothing was embedded */
};

static inline const uint32_t *embedded_text_rows(const struct embedded_text *t) {
    return (const uint32_t *)(const void *)buf_get(&t->rows).ptr;
}
static inline size_t embedded_text_row_count(const struct embedded_text *t) {
    return buf_len(&t->rows) / sizeof(uint32_t);
}

struct embedder;

/* table NULL: the one inside the program.  counts may be NULL.  Both must outlive it.  NULL: no memory. */
struct embedder *embedder_new(const struct static_table *table, const struct gram_counts *counts);
void             embedder_free(struct embedder *e); /* NULL is fine */
unsigned         embedder_dims(const struct embedder *e);    /* a multiple of 64: what an index takes */
unsigned         embedder_meaning(const struct embedder *e); /* numbers of `meaning` */

void embedded_text_init(struct embedded_text *t);
void embedded_text_deinit(struct embedded_text *t);
/* Fills t, which keeps the slice.  Returns 0 or PERILUNE_ERR_NOMEM. */
int  embedder_embed(struct embedder *e, uint64_t scope, struct slice normal, struct embedded_text *t);
/* How near two texts are, 0 to 1: 0.6 of the table's cosine and 0.4 of the n-grams', neither below 0. */
#define EMBEDDER_SLACK 0.1f /* more than the product of two vectors is their similarity hardly ever: who looks for
                             * the most similar stops at candidates that cannot reach it */
/* How near the meanings of two words are, -1 to 1, as the table inside the program has it, whatever table the embedder
 * has; -2: no memory.  apart: they have a space in front where they stand, as words of English have. */
float embedder_nearness(struct embedder *e, struct slice a, struct slice b, bool apart);
float embedder_similarity(const struct embedder *e, const struct embedded_text *a, const struct embedded_text *b);

#endif
