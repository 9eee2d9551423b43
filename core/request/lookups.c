/* lookups.c -- what the caches that a request asked said.
 *
 *     cache:wrap, cache:get, perilune.fetch --> entry of the request, one a cache --> gateway/cache_rows.c
 *
 * An entry is counted when the request ends, with who asked and by which route, which is why it waits here until
 * then.  A request that asks a cache a hundred times (cache:get) has one entry with a hundred in it. */
#include "request/lookups.h"

#include <string.h>

static const char *const names[LOOKUPS] = { "hit", "semantic", "stale", "miss", "bypass", "coalesced" };

const char *lookup_name(enum lookup how) { return names[how]; }

enum lookup lookup_find(struct slice name) {
    for (int i = 0; i < LOOKUPS; i++)
        if (slice_eq(name, slice_str(names[i]))) return (enum lookup)i;
    return LOOKUPS;
}

bool lookups_add(struct lookups **list, struct arena *arena, struct slice cache, enum lookup how, bool gave) {
    struct lookups **at = list;
    if (cache.len > LOOKUPS_NAME) cache.len = LOOKUPS_NAME;
    for (unsigned n = 1; *at != NULL && !slice_eq(slice_str((*at)->cache), cache); n++) {
        if (n == LOOKUPS_CACHES) break; /* the last is everybody's */
        at = &(*at)->next;
        if (n == LOOKUPS_CACHES - 1) cache = SLICE("other");
    }
    if (*at == NULL) {
        struct lookups *e = arena_alloc(arena, sizeof(*e));
        if (e == NULL) return false;
        memset(e, 0, sizeof(*e));
        slice_copy(e->cache, sizeof(e->cache), cache);
        *at = e;
    }
    (*at)->count[how]++;
    (*at)->gave = (*at)->gave || gave;
    return true;
}
