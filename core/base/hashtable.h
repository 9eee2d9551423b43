/* hashtable.h -- a hash table of things that carry their own link. See hashtable.c. */
#ifndef PERILUNE_BASE_HASHTABLE_H
#define PERILUNE_BASE_HASHTABLE_H

#include <stdint.h>

#include "base/slice.h"

/* A member of what is in the table. */
struct chained {
    struct chained *next;
    uint64_t        hash;
};

/* Zeroed: empty. */
struct hashtable {
    struct chained **slots;
    size_t           count, cap;
};

typedef struct slice hashtable_key_fn(const struct chained *e);

/* Frees the table, not what is in it. */
void hashtable_deinit(struct hashtable *c);

/* Where the link to the one with this hash and key stands, or NULL; key_of says the key
 * of an entry.  Borrowed until the table changes. */
struct chained **hashtable_find(const struct hashtable *c, uint64_t hash, struct slice key, hashtable_key_fn *key_of);

/* Room for one more: hashtable_add() cannot fail then.  0 or PERILUNE_ERR_NOMEM. */
int  hashtable_reserve(struct hashtable *c);
void hashtable_add(struct hashtable *c, struct chained *e); /* its hash is set */
/* Takes out what *at links to; *at is the next one then. */
void hashtable_remove(struct hashtable *c, struct chained **at);

#endif
