/* lookups.h -- what the caches that a request asked said. See lookups.c. */
#ifndef PERILUNE_REQUEST_LOOKUPS_H
#define PERILUNE_REQUEST_LOOKUPS_H

#include "base/mem.h"
#include "base/slice.h"

/* ORDER: lookup_name(). */
enum lookup {
    LOOKUP_HIT, LOOKUP_SEMANTIC, LOOKUP_STALE, LOOKUP_MISS, LOOKUP_BYPASS, LOOKUP_COALESCED, LOOKUPS
};

/* "hit", "semantic" ...: values of a label. */
const char *lookup_name(enum lookup how);
/* The one of that name, or LOOKUPS. */
enum lookup lookup_find(struct slice name);

#define LOOKUPS_CACHES 8  /* of one request; more share the last, "other" */
#define LOOKUPS_NAME   64 /* bytes of a cache's name */

/* Of one request: an entry per cache, in the order in which they were first asked. */
struct lookups {
    struct lookups *next;
    unsigned        count[LOOKUPS];
    bool            gave; /* the answer, or what came of it, was this cache's: what it spared is, too */
    char            cache[LOOKUPS_NAME + 1];
};

/* Adds to the cache's entry, made in the arena; gave: as above.  False when there is no memory. */
bool lookups_add(struct lookups **list, struct arena *arena, struct slice cache, enum lookup how, bool gave);

#endif
