/* index.h -- which of many vectors is nearest. See index.c. Any thread. */
#ifndef PERILUNE_STORE_INDEX_H
#define PERILUNE_STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct index;

#define INDEX_MAX_DIMS 4096
#define INDEX_MAX_HITS 64

/* Vectors of `dims` numbers, a multiple of 64 (fill up with zeros).  At most `limit` bytes.  NULL: no memory,
 * or dims is none of these. */
struct index *index_new(unsigned dims, size_t limit);
void          index_free(struct index *x); /* NULL is fine */

/* Adds the vector under this key, or replaces the one that is there.  Vectors of different parts are never
 * compared.  Length does not matter, direction does.  Returns 0; PERILUNE_ERR_INVAL: it has no direction (all
 * zero, or a number that is none); PERILUNE_ERR_LIMITED: the index is full; PERILUNE_ERR_NOMEM. */
int  index_add(struct index *x, struct hash128 part, struct hash128 key, const float *vector);
/* Was it there? */
bool index_remove(struct index *x, struct hash128 part, struct hash128 key);

struct index_hit {
    struct hash128 key;
    float          score; /* cosine, -1 to 1, to about 0.005 */
};

/* The nearest of the part, best first, INDEX_MAX_HITS at most; returns how many. */
unsigned index_search(struct index *x, struct hash128 part, const float *vector, struct index_hit *out, unsigned most);

struct index_place {
    struct hash128 part, key;
};

/* Up to `most` of the vectors from *cursor on, which then stands behind them: from 0 on again and again, all are met.
 * How many; 0: there are none. */
unsigned index_walk(struct index *x, size_t *cursor, struct index_place *out, unsigned most);

struct index_stats {
    uint64_t vectors, parts, bytes;
};
void index_count(struct index *x, struct index_stats *out);

/* Which instructions compare vectors: "avx512vnni", "avx2", "neon", "c". */
const char *index_kernel(void);
/* For tests: that one from now on; false: this machine has it not. */
bool        index_use_kernel(const char *name);

#endif
