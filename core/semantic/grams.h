/* grams.h -- the character n-grams of a text, hashed, and how rare they are. See grams.c. */
#ifndef PERILUNE_SEMANTIC_GRAMS_H
#define PERILUNE_SEMANTIC_GRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define GRAMS_LONGEST 4 /* characters */

struct gram {
    uint32_t hash;
    float    weight;
};

/* Ascending by hash, each once. */
struct grams {
    struct gram *items;
    unsigned     count, cap;
};

void grams_init(struct grams *g);
void grams_deinit(struct grams *g);
/* The n-grams of 1 to GRAMS_LONGEST characters of a normal text, with the weight 1 + log(times).  Returns 0 or
 * PERILUNE_ERR_NOMEM. */
int  grams_read(struct grams *g, struct slice normal);

/* -- How rare they are, learned from the texts that were added.  Any thread; about right, and bounded. -- */

struct gram_counts;

/* Of 2^bits counters.  NULL: no memory. */
struct gram_counts *gram_counts_new(unsigned bits);
void                gram_counts_free(struct gram_counts *c); /* NULL is fine */
/* One more text, or (by = -1) one less that came lately: what is old fades by itself.
 * Texts of different scopes know nothing of each other. */
void gram_counts_add(struct gram_counts *c, uint64_t scope, const struct grams *g, int by);
/* Multiplies each weight by log((texts + 1) / (texts with it + 1)) and more, and makes the length 1.  c NULL, or
 * a scope with few texts: with the prior that ships. */
void grams_weigh(struct grams *g, const struct gram_counts *c, uint64_t scope);

float grams_cosine(const struct grams *a, const struct grams *b); /* both weighed; 0 to 1 */
/* Adds g, as a vector of `dims` numbers in which each n-gram has a place and a sign. */
void  grams_project(const struct grams *g, float *out, unsigned dims);

#endif
