/* chains.h -- a hash table of things that carry their own link. See chains.c. */
#ifndef PERILUNE_STORE_CHAINS_H
#define PERILUNE_STORE_CHAINS_H

#include <stdint.h>

#include "base/slice.h"

/* A member of what is in the table. */
struct chained {
    struct chained *next;
    uint64_t        hash;
};

/* Zeroed: empty. */
struct chains {
    struct chained **slots;
    size_t           count, cap;
};

typedef struct slice chains_key_fn(const struct chained *e);

/* Frees the table, not what is in it. */
void chains_deinit(struct chains *c);

/* Where the link to the one with this hash and key stands, or NULL; key_of says the key
 * of an entry.  Borrowed until the table changes. */
struct chained **chains_find(const struct chains *c, uint64_t hash, struct slice key, chains_key_fn *key_of);

/* Room for one more: chains_add() cannot fail then.  0 or PERILUNE_ERR_NOMEM. */
int  chains_reserve(struct chains *c);
void chains_add(struct chains *c, struct chained *e); /* its hash is set */
/* Takes out what *at links to; *at is the next one then. */
void chains_remove(struct chains *c, struct chained **at);

#endif
