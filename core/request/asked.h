/* asked.h -- questions that entries of the cache answer, made findable by what they mean. See asked.c. */
#ifndef PERILUNE_REQUEST_ASKED_H
#define PERILUNE_REQUEST_ASKED_H

#include "request/cached.h"
#include "store/stores.h"

/* What n-grams are counted for: questions of one cache and one tenant. */
uint64_t asked_scope(struct slice cache, struct slice tenant);
/* The part of the index for vectors of this embedder. */
struct hash128 asked_part(struct hash128 part, struct slice embedder);
/* The numbers of a vector as an entry keeps it. */
void asked_numbers(struct slice vector, float *out);
/* Puts the question of the entry into the index, if it has one and there is room: it is only a way to find it. */
void asked_remember(struct stores *s, struct hash128 key, const struct cached *c, uint64_t now);
/* The same for all entries of the cache: it was read from a file.  How many. */
unsigned asked_remember_all(struct stores *s, uint64_t now);

#endif
