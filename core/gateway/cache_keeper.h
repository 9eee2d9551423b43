/* cache_keeper.h -- the owner's care of the cache: size, old entries, a file. See cache_keeper.c. */
#ifndef PERILUNE_GATEWAY_CACHE_KEEPER_H
#define PERILUNE_GATEWAY_CACHE_KEEPER_H

#include <stdatomic.h>

#include "sys/mailbox.h"

struct perilune;

struct cache_keeper {
    struct timer  timer;
    struct timer  soon;     /* when what was let go leaves the snapshot, too */
    struct letter news;     /* that something was let go, */
    atomic_bool   sent;     /* and is not saved yet */
    uint64_t      took_ms;  /* the last save */
    char         *path;     /* of the snapshot that was loaded, and is saved; NULL: none */
    bool          begun;    /* a configuration took effect */
    bool          failing;  /* the last try to save failed, and that was logged */
};

/* A configuration takes effect: applies its size, reads its snapshot the first time: before workers hear by Redis of
 * what was purged meanwhile. */
void cache_keeper_apply(struct perilune *g);
/* Something was purged: it must not come back with the next start. */
void cache_keeper_purged(struct perilune *g);
/* Saves the snapshot, if there is one to keep.  Workers have ended. */
void cache_keeper_close(struct perilune *g);

#endif
