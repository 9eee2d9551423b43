/* near.h -- which questions were asked before, by what they mean. See near.c. Any thread. */
#ifndef PERILUNE_STORE_NEAR_H
#define PERILUNE_STORE_NEAR_H

#include "store/cache.h"
#include "store/index.h"

struct gram_counts;
struct near;

/* Vectors of at most `limit` bytes, of entries of c, which must outlive it.  NULL: no memory. */
struct near *near_new(struct cache *c, size_t limit);
void         near_free(struct near *n); /* NULL is fine */
void         near_resize(struct near *n, size_t limit);

/* The vector of the question that the entry `key` answers.  A part holds vectors of one embedder only.  Returns 0, or
 * as index_add(); PERILUNE_ERR_LIMITED, too: there are vectors of too many lengths. */
int      near_add(struct near *n, struct hash128 part, struct hash128 key, const float *vector, unsigned dims,
                  uint64_t now);
/* Was it there? */
bool     near_remove(struct near *n, struct hash128 part, struct hash128 key, unsigned dims);
/* As index_search(). An entry may be gone by now. */
unsigned near_search(struct near *n, struct hash128 part, const float *vector, unsigned dims, struct index_hit *out,
                     unsigned most);

/* How rare the n-grams of these questions are. */
struct gram_counts *near_grams(struct near *n);

/* -- Why a near question did not get the answer ----------------------------------------------------- */

#define NEAR_TEXT 256 /* bytes of a question that are kept */

struct near_miss {
    uint64_t       when;       /* milliseconds */
    struct hash128 key;        /* of the entry */
    float          similarity, score, threshold;
    char           why[16], cache[64], tenant[128];
    char           asked[NEAR_TEXT], near[NEAR_TEXT];
};

void near_note(struct near *n, const struct near_miss *m);
/* Calls see() for each that is remembered, the newest first; a lock is held, so see() is quick. */
void near_misses(struct near *n, void (*see)(const struct near_miss *m, void *ud), void *ud);

struct near_stats {
    uint64_t vectors, parts, bytes, limit;
    uint64_t searches, hits, refused; /* hits: answers that were given; refused: near ones that were not */
};
void near_count(struct near *n, struct near_stats *out);
void near_tell(struct near *n, bool hit); /* how a search ended: an answer was given, or a near one was refused */

#endif
