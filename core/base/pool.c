/* pool.c -- small blocks for one owner, who says their sizes when giving them back.
 *
 * A Lua state asks for some fifty blocks per request and its collector gives them back in
 * heaps of thousands: malloc's caches overflow, and it merges and cuts the same memory again
 * and again (a third of what a policy that does nothing cost).  Here a size has a list:
 *
 *     region  [block][block][ block ][block]...at          end
 *                 ^                ^
 *     unused[1] --+   unused[2] ---+                 both ways two instructions
 *
 * There is one region, taken at once and used as it is touched; blocks never go back
 * to the system before the pool does, so its size bounds what a spike leaves behind.  When it
 * is used up, and for large blocks, malloc serves; by its address a block tells whose it is.
 *
 * Thread: the owner's.  What this file does not do: limits (state.c), merging. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

void pool_init(struct pool *p, size_t size) { *p = (struct pool){ .size = size }; }

void pool_deinit(struct pool *p) {
    mem_free(p->region);
    *p = (struct pool){ .size = 0 };
}

static bool is_ours(const struct pool *p, const void *ptr) {
    return (uintptr_t)ptr - (uintptr_t)p->region < p->size && p->region != NULL;
}

static size_t list_of(size_t size) { return (size - 1) / POOL_STEP; }

static bool open_region(struct pool *p) {
    p->region = mem_alloc(p->size);
    if (p->region == NULL) p->size = 0; /* malloc serves alone */
    p->at = p->region;
    p->end = p->region ? p->region + p->size : NULL;
    return p->region != NULL;
}

static void *take(struct pool *p, size_t size) {
    if (size > POOL_MOST) return mem_alloc(size);
    if (mem_fails()) return NULL;
    void **list = &p->unused[list_of(size)];
    if (*list != NULL) {
        void *block = *list;
        memcpy(list, block, sizeof(*list)); /* the next one stands in it */
        return block;
    }
    size_t cut = (list_of(size) + 1) * POOL_STEP;
    if (p->region == NULL && (p->size == 0 || !open_region(p))) return mem_alloc(size);
    if ((size_t)(p->end - p->at) < cut) return mem_alloc(size);
    p->at += cut;
    return p->at - cut;
}

static void give(struct pool *p, void *ptr, size_t size) {
    if (!is_ours(p, ptr)) {
        mem_free(ptr);
        return;
    }
    void **list = &p->unused[list_of(size)];
    memcpy(ptr, list, sizeof(*list));
    *list = ptr;
}

void *pool_resize(struct pool *p, void *ptr, size_t osize, size_t nsize) {
    if (nsize == 0) {
        if (ptr != NULL) give(p, ptr, osize);
        return NULL;
    }
    if (ptr == NULL) return take(p, nsize);
    bool ours = is_ours(p, ptr);
    if (ours && nsize <= POOL_MOST && list_of(osize) == list_of(nsize)) return ptr;
    bool both_malloc = !ours && nsize > POOL_MOST;
    void *moved = both_malloc ? mem_realloc(ptr, nsize) : take(p, nsize);
    if (moved == NULL) return nsize <= osize ? ptr : NULL;
    if (both_malloc) return moved;
    memcpy(moved, ptr, osize < nsize ? osize : nsize);
    give(p, ptr, osize);
    return moved;
}
