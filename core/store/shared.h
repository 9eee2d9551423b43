/* shared.h -- small values that all workers share and reloads survive. See
 * shared.c. Any thread. */
#ifndef PERILUNE_STORE_SHARED_H
#define PERILUNE_STORE_SHARED_H

#include <stdint.h>

#include "base/buf.h"

struct shared;

enum shared_type { SHARED_NONE, SHARED_BOOL, SHARED_NUMBER, SHARED_STRING };

struct shared_value {
    enum shared_type type;
    double           number; /* also the bool */
    struct buf       string; /* get: filled; the caller frees. set: borrowed */
};

struct shared *shared_new(size_t limit_bytes);
void           shared_free(struct shared *s);

/* Each name is a table of its own.  Times in milliseconds of any one clock; ttl 0:
 * for ever. */
int  shared_get(struct shared *s, struct slice name, struct slice key, uint64_t now,
                struct shared_value *out);
/* PERILUNE_ERR_LIMITED when the store is full, PERILUNE_ERR_NOMEM; then nothing
 * changed. NONE deletes. */
int  shared_set(struct shared *s, struct slice name, struct slice key, const struct shared_value *v,
                uint64_t now, uint64_t ttl);
/* Adds; an absent key counts as `start`.  PERILUNE_ERR_INVAL: not a number. */
int  shared_incr(struct shared *s, struct slice name, struct slice key, double by, double start,
                 uint64_t now, uint64_t ttl, double *out);

#endif
