/* mem.h -- every allocation of the program. See mem.c. */
#ifndef PERILUNE_BASE_MEM_H
#define PERILUNE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Like malloc, calloc, realloc and free; NULL when there is no memory.
 * mem_alloc(0) returns a unique pointer. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *ptr, size_t size);
void  mem_free(void *ptr);
/* Room for one more behind `len` things of `size` bytes in *items, which hold *cap; twice as many each
 * time.  False, and nothing has changed: no memory. */
bool  mem_grow(void **items, unsigned len, unsigned *cap, size_t size);

/* For a process that is ours: large blocks go back to the system when they are freed.  Before the
 * first thread. */
void mem_tune(void);

/* Gives free pages back to the system, where the allocator can. Milliseconds. */
void mem_trim(void);

/* NUL-terminated copies; NULL when there is no memory. */
char *mem_strdup(const char *s);
char *mem_dup(const void *ptr, size_t len);

/* Replaces the allocator under all of the above. */
void mem_set_allocator(void *(*realloc_fn)(void *ud, void *ptr, size_t old_size, size_t size),
                       void *ud);

/* For tests: the n-th allocation from now on (1: the next) and all after it
 * fail when `forever`, else only that one.  0 switches it off. */
void mem_fail_at(long n, bool forever);
long mem_fail_count(void); /* allocations seen since mem_fail_at() */
long mem_live(void);       /* blocks allocated and not yet freed */
/* For allocators above this one: counts an allocation; true when it is to fail. */
#ifdef PERILUNE_TEST
bool mem_fails(void);
#else
static inline bool mem_fails(void) { return false; }
#endif

/* -- Arena: memory that lives as long as one request ----------------------- */

struct arena {
    struct arena_block *blocks; /* newest first */
    char               *at, *end;
};

void  arena_init(struct arena *a);
void  arena_deinit(struct arena *a); /* frees everything; a may be used again */
/* Aligned to 16 bytes; NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_dup(struct arena *a, struct slice s); /* NUL-terminated copy */

#endif
