/* snapshot.h -- a cache in a file, from one run of the program to the next. See snapshot.c. */
#ifndef PERILUNE_STORE_SNAPSHOT_H
#define PERILUNE_STORE_SNAPSHOT_H

#include "store/cache.h"

/* Both: now is the cache's clock, wall_ms the time of day in milliseconds.  On failure err gets a sentence.
 * Returns the number of entries, or PERILUNE_ERR_IO, _NOMEM; _INVAL: the file is damaged or of another version;
 * _STATE: it is something else, and must not be replaced. */

/* Replaces the file at path, as a whole or not at all. */
long snapshot_save(struct cache *c, const char *path, uint64_t now, uint64_t wall_ms, char *err, size_t errlen);
/* How long ago the file at path was written; 0: nobody knows, or a clock was set back. */
uint64_t snapshot_age_ms(const char *path, uint64_t wall_ms);
/* Into an empty cache that nobody uses yet.  What is damaged ends the reading; what came before it is kept,
 * and err says so.  No file: 0, and err is empty. */
long snapshot_load(struct cache *c, const char *path, uint64_t now, uint64_t wall_ms, char *err, size_t errlen);

#endif
