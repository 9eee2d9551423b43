/* mem.c -- every allocation of the program goes through here.
 *
 * Three reasons: an embedder may bring an allocator of its own, tests make the
 * n-th allocation fail, and tests count what was not given back.
 *
 *     mem_alloc -> allocator.realloc, when one was set: blocks then carry a
 *                  header with their size, because it wants old sizes
 *               -> malloc otherwise, with nothing in between
 *
 * The allocator is the one mutable global of the program (beside gateway.c's note that
 * it is too late for it): it is set once, before the first gateway exists.  Counting and failing are compiled in only
 * for tests (PERILUNE_TEST), since an atomic per allocation is not free.
 *
 * Any thread.  What this file does not do: zeroing on free, pools. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static struct {
    void *(*realloc_fn)(void *ud, void *ptr, size_t old_size, size_t size);
    void *ud;
} custom;

/* Keeps the alignment of max_align_t for what follows it. */
struct header {
    _Alignas(16) size_t size;
};

#ifdef PERILUNE_TEST
static atomic_long seen, live, fail_at;
static atomic_bool fail_forever;

static bool must_fail(void) {
    long n = atomic_fetch_add(&seen, 1) + 1;
    long at = atomic_load(&fail_at);
    return at > 0 && (n == at || (n > at && atomic_load(&fail_forever)));
}
static void count_live(long by) { atomic_fetch_add(&live, by); }

void mem_fail_at(long n, bool forever) {
    atomic_store(&seen, 0);
    atomic_store(&fail_forever, forever);
    atomic_store(&fail_at, n);
}
long mem_fail_count(void) { return atomic_load(&seen); }
long mem_live(void) { return atomic_load(&live); }
bool mem_fails(void) { return must_fail(); }
#else
static inline bool must_fail(void) { return false; }
static inline void count_live(long by) { (void)by; }
void mem_fail_at(long n, bool forever) { (void)n; (void)forever; }
long mem_fail_count(void) { return 0; }
long mem_live(void) { return 0; }
#endif

void mem_set_allocator(void *(*realloc_fn)(void *, void *, size_t, size_t), void *ud) {
    custom.realloc_fn = realloc_fn;
    custom.ud = ud;
}

static void *custom_resize(void *ptr, size_t size) {
    struct header *h = ptr ? (struct header *)ptr - 1 : NULL;
    size_t old = h ? h->size + sizeof(*h) : 0;
    if (size == 0) {
        if (h) custom.realloc_fn(custom.ud, h, old, 0);
        return NULL;
    }
    if (size > SIZE_MAX - sizeof(*h)) return NULL;
    h = custom.realloc_fn(custom.ud, h, old, size + sizeof(*h));
    if (h == NULL) return NULL;
    h->size = size;
    return h + 1;
}

void *mem_realloc(void *ptr, size_t size) {
    if (size == 0) size = 1;
    if (must_fail()) return NULL;
    void *p = custom.realloc_fn ? custom_resize(ptr, size) : realloc(ptr, size);
    if (p != NULL && ptr == NULL) count_live(1);
    return p;
}

#define LARGE_BYTES (1024 * 1024)     /* from here on a block is a mapping of its own */
#define TOP_BYTES   (4 * 1024 * 1024) /* free at the end of a heap, and kept */

/* By itself, glibc takes the size of each large block that is freed for a size that is often needed,
 * keeps such blocks in the heaps of its threads from then on, and the holes between them stay: after
 * thirty bodies of 8 MB at once a process was 180 MB for ever.  Now it is 40 MB again. */
void mem_tune(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_TRIM_THRESHOLD, TOP_BYTES);
#endif
}

void mem_trim(void) {
#ifdef __GLIBC__
    if (custom.realloc_fn == NULL) malloc_trim(0);
#endif
}

void *mem_alloc(size_t size) { return mem_realloc(NULL, size); }

void *mem_zalloc(size_t size) {
    if (custom.realloc_fn == NULL) {
        if (must_fail()) return NULL;
        void *p = calloc(1, size ? size : 1);
        if (p != NULL) count_live(1);
        return p;
    }
    void *p = mem_alloc(size);
    if (p != NULL) memset(p, 0, size);
    return p;
}

void mem_free(void *ptr) {
    if (ptr == NULL) return;
    count_live(-1);
    if (custom.realloc_fn) custom_resize(ptr, 0);
    else free(ptr);
}

bool mem_grow(void **items, unsigned len, unsigned *cap, size_t size) {
    if (len < *cap) return true;
    unsigned more = *cap ? 2 * *cap : 4;
    void *p = more > *cap ? mem_realloc(*items, more * size) : NULL;
    if (p == NULL) return false;
    *items = p;
    *cap = more;
    return true;
}

char *mem_dup(const void *ptr, size_t len) {
    char *p = mem_alloc(len + 1);
    if (p == NULL) return NULL;
    if (len > 0) memcpy(p, ptr, len);
    p[len] = '\0';
    return p;
}

char *mem_strdup(const char *s) { return mem_dup(s, strlen(s)); }

/* -- Arena ------------------------------------------------------------------ */

/* Blocks double, so that a waiting stream holds about a kilobyte and a large
 * request few blocks; a large piece gets a block of its own, behind the current
 * one, so that the rest of the current one is not lost. */
#define ARENA_FIRST 1008 /* with malloc's own header: 1 KiB */
#define ARENA_MOST  16384

struct arena_block {
    struct arena_block  *next;
    size_t               size;
    _Alignas(16) char    data[];
};

void arena_init(struct arena *a) { *a = (struct arena){ 0 }; }

void arena_deinit(struct arena *a) {
    struct arena_block *b = a->blocks;
    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    arena_init(a);
}

void *arena_alloc(struct arena *a, size_t size) {
    if (size > SIZE_MAX / 2) return NULL;
    size = size ? (size + 15) & ~(size_t)15 : 16;
    if (size <= (size_t)(a->end - a->at)) {
        void *p = a->at;
        a->at += size;
        return p;
    }
    size_t next = a->blocks == NULL ? ARENA_FIRST - sizeof(struct arena_block) : a->blocks->size * 2;
    if (next > ARENA_MOST) next = ARENA_MOST;
    bool large = size > next / 2;
    size_t room = large ? size : next;
    struct arena_block *b = mem_alloc(sizeof(*b) + room);
    if (b == NULL) return NULL;
    b->size = room;
    if (large && a->blocks != NULL) {
        b->next = a->blocks->next;
        a->blocks->next = b;
        return b->data;
    }
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->data + size;
    a->end = b->data + room;
    return b->data;
}

char *arena_dup(struct arena *a, struct slice s) {
    char *p = arena_alloc(a, s.len + 1);
    if (p == NULL) return NULL;
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}
