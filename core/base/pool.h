/* pool.h -- small blocks for one owner. See pool.c. */
#ifndef PERILUNE_BASE_POOL_H
#define PERILUNE_BASE_POOL_H

#include <stddef.h>

#define POOL_MOST 512 /* bytes: larger blocks are malloc's */
#define POOL_STEP 16

struct pool {
    char *region, *at, *end;            /* blocks are cut from at; region NULL: none yet */
    size_t size;                        /* of the region; 0: none could be had, or none wanted */
    void *unused[POOL_MOST / POOL_STEP]; /* lists of given back blocks, one per size */
};

/* size: how much may be taken by small blocks; memory is used as it is touched. */
void  pool_init(struct pool *p, size_t size);
/* All blocks must have been given back, or be forgotten with the pool. */
void  pool_deinit(struct pool *p);
/* Like realloc, told the old size (0 when ptr is NULL); nsize 0 frees.  Blocks are aligned to
 * 16 bytes.  NULL when there is no memory: ptr is then as it was; never when nsize <= osize. */
void *pool_resize(struct pool *p, void *ptr, size_t osize, size_t nsize);

#endif
