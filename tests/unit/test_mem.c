/* test_mem.c -- the allocator, its replacement, its faults, and the arena. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit.h"

TEST(blocks) {
    char *p = mem_alloc(0), *q = mem_alloc(0);
    CHECK(p != NULL);
    CHECK(q != NULL);
    CHECK(p != q);
    mem_free(q);
    p = mem_realloc(p, 10);
    CHECK(p != NULL);
    memcpy(p, "123456789", 10);
    char *larger = mem_realloc(p, 100000);
    CHECK(larger != NULL);
    CHECK_STR(larger, "123456789");
    mem_free(larger);
    mem_free(NULL);
}

TEST(zeroed) {
    unsigned char *p = mem_zalloc(1000);
    CHECK(p != NULL);
    for (int i = 0; i < 1000; i++) CHECK_INT(p[i], 0);
    mem_free(p);
}

TEST(copies) {
    char *s = mem_strdup("text");
    CHECK(s != NULL);
    CHECK_STR(s, "text");
    mem_free(s);
    s = mem_dup("a\0b", 3);
    CHECK(s != NULL);
    CHECK_SLICE(slice_of(s, 4), SLICE("a\0b\0"));
    mem_free(s);
    s = mem_dup(NULL, 0);
    CHECK(s != NULL);
    CHECK_STR(s, "");
    mem_free(s);
}

TEST(live_counts_blocks) {
    long before = mem_live();
    void *p = mem_alloc(1), *q = mem_zalloc(1);
    CHECK(p != NULL);
    CHECK(q != NULL);
    CHECK_INT(mem_live() - before, 2);
    void *grown = mem_realloc(p, 1000);
    CHECK(grown != NULL);
    CHECK_INT(mem_live() - before, 2);
    mem_free(grown);
    mem_free(q);
    CHECK_INT(mem_live() - before, 0);
}

TEST_NOFAULT(the_nth_fails) {
    mem_fail_at(2, false);
    void *first = mem_alloc(1), *second = mem_alloc(1), *third = mem_alloc(1);
    CHECK(first != NULL && second == NULL && third != NULL);
    CHECK_INT(mem_fail_count(), 3);
    mem_fail_at(1, true);
    CHECK(mem_alloc(1) == NULL && mem_zalloc(1) == NULL && mem_strdup("x") == NULL);
    CHECK(mem_realloc(first, 100) == NULL); /* first is still there */
    mem_fail_at(0, false);
    mem_free(first);
    mem_free(third);
}

/* -- Another allocator ------------------------------------------------------ */

struct custom {
    size_t bytes; /* held now */
    int    calls;
};

static void *custom_realloc(void *ud, void *ptr, size_t old_size, size_t size) {
    struct custom *c = ud;
    c->calls++;
    c->bytes += size - old_size;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

TEST_NOFAULT(custom_allocator_gets_true_sizes) {
    struct custom c = { 0, 0 };
    mem_set_allocator(custom_realloc, &c);
    char *p = mem_zalloc(100);
    CHECK(p != NULL);
    CHECK(c.bytes >= 100);
    CHECK_UINT((uintptr_t)p % 16, 0);
    CHECK_INT(p[99], 0);
    p = mem_realloc(p, 5000);
    CHECK(p != NULL);
    CHECK(c.bytes >= 5000 && c.bytes < 5100);
    CHECK_PTR(mem_alloc(SIZE_MAX), NULL);
    mem_free(p);
    CHECK_UINT(c.bytes, 0);
    CHECK_INT(c.calls, 3);
    mem_set_allocator(NULL, NULL);
}

/* -- Arena ------------------------------------------------------------------ */

/* -- Giving back ---------------------------------------------------------------------- */

static size_t resident(void) {
    size_t all = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL && fscanf(f, "%zu %zu", &all, &pages) == 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Bodies of many sizes, and behind each of them something small that stays: holes of a heap. */
TEST_NOFAULT(large_blocks_go_back_to_the_system) {
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    void *small[24];
    mem_tune();
    size_t before = resident();
    for (size_t i = 0; i < 24; i++) {
        size_t size = (2 + i) * 1024 * 1024;
        char *large = mem_alloc(size);
        small[i] = mem_alloc(64 * 1024);
        CHECK(large != NULL && small[i] != NULL);
        memset(large, 1, size);
        mem_free(large);
    }
    CHECK(resident() < before + 8 * 1024 * 1024);
    for (size_t i = 0; i < 24; i++) mem_free(small[i]);
#endif
}

TEST_FAULT(arena) {
    struct arena a;
    arena_init(&a);
    for (size_t size = 1; size < 60000; size = size * 5 / 3 + 1) {
        unsigned char *p = arena_alloc(&a, size);
        if (FAULTED(p)) break;
        CHECK(p != NULL);
        CHECK_UINT((uintptr_t)p % 16, 0);
        memset(p, 0xA5, size);
    }
    char *copy = arena_dup(&a, SLICE("a\0b"));
    if (copy != NULL) CHECK_SLICE(slice_of(copy, 4), SLICE("a\0b\0"));
    arena_deinit(&a);
    arena_deinit(&a);
}

/* Small pieces that follow a large one still share a block. */
TEST(arena_keeps_its_block) {
    struct arena a;
    long before = mem_live();
    arena_init(&a);
    char *small = arena_alloc(&a, 16);
    CHECK(small != NULL);
    CHECK(arena_alloc(&a, 100000) != NULL);
    CHECK_PTR(arena_alloc(&a, 16), small + 16);
    CHECK_INT(mem_live() - before, 2);
    arena_deinit(&a);
}

TEST(arena_pieces_do_not_overlap) {
    struct arena a;
    unsigned char *pieces[300];
    arena_init(&a);
    for (unsigned i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&a, 1 + i * 7 % 200);
        CHECK(pieces[i] != NULL);
        memset(pieces[i], (int)(i & 255), 1 + i * 7 % 200);
    }
    for (unsigned i = 0; i < 300; i++)
        for (unsigned k = 0; k < 1 + i * 7 % 200; k++) CHECK_UINT(pieces[i][k], i & 255);
    arena_deinit(&a);
}

TEST(arena_refuses_nonsense) {
    struct arena a;
    arena_init(&a);
    CHECK_PTR(arena_alloc(&a, SIZE_MAX), NULL);
    CHECK_PTR(arena_alloc(&a, SIZE_MAX - 20), NULL);
    arena_deinit(&a);
}
