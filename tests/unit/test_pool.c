/* test_pool.c -- core/base/pool.c: random blocks keep their bytes, whoever serves them. */
#include "base/pool.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "unit.h"

#define SLOTS 400

static struct {
    unsigned char *ptr;
    size_t         size;
} slot[SLOTS];

static unsigned seed;

static unsigned below(unsigned n) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

/* Mostly small, around the borders of sizes and of the pool too. */
static size_t some_size(void) {
    static const size_t borders[] = { 1, 15, 16, 17, POOL_MOST - 1, POOL_MOST, POOL_MOST + 1, 3000 };
    return below(4) == 0 ? borders[below(8)] : 1 + below(600);
}

static bool holds(unsigned i, size_t n) {
    for (size_t k = 0; k < n; k++)
        if (slot[i].ptr[k] != (unsigned char)(i + k)) return false;
    return true;
}

static void change(struct pool *p, unsigned i) {
    size_t old = slot[i].size, size = below(3) == 0 ? 0 : some_size();
    unsigned char *ptr = pool_resize(p, slot[i].ptr, old, size);
    if (ptr == NULL && size > 0) { /* failed: as it was, and never when it shrinks */
        CHECK(size > old);
        CHECK(holds(i, old));
        return;
    }
    slot[i].ptr = ptr;
    slot[i].size = size;
    CHECK(holds(i, old < size ? old : size));
    CHECK_INT((uintptr_t)ptr % 16, 0);
    for (size_t k = 0; k < size; k++) ptr[k] = (unsigned char)(i + k);
}

static void churn(size_t region, unsigned turns) {
    struct pool p;
    pool_init(&p, region);
    memset(slot, 0, sizeof(slot));
    for (unsigned n = 0; n < turns; n++) change(&p, below(SLOTS));
    for (unsigned i = 0; i < SLOTS; i++) {
        CHECK(holds(i, slot[i].size));
        CHECK(pool_resize(&p, slot[i].ptr, slot[i].size, 0) == NULL);
    }
    pool_deinit(&p);
}

TEST_NOFAULT(blocks_keep_their_bytes) {
    static const size_t regions[] = { 0, 100, 5000, 100000, 4 << 20 };
    long before = mem_live();
    for (size_t i = 0; i < sizeof(regions) / sizeof(*regions); i++) {
        NOTE("region of %zu", regions[i]);
        seed = 7;
        churn(regions[i], 40000);
        CHECK_INT(mem_live(), before);
    }
}

TEST_NOFAULT(any_allocation_may_fail) {
    long before = mem_live();
    for (long n = 1; n < 1200; n += 1 + n / 50) {
        NOTE("allocation %ld", n);
        for (int forever = 0; forever < 2; forever++) {
            seed = (unsigned)n;
            mem_fail_at(n, forever);
            churn(n % 2 ? 5000 : 100000, 2000);
            mem_fail_at(0, false);
            CHECK_INT(mem_live(), before);
        }
    }
}

TEST_NOFAULT(what_was_given_back_is_used_again) {
    struct pool p;
    pool_init(&p, 1000);
    char *a = pool_resize(&p, NULL, 0, 100), *b = pool_resize(&p, NULL, 0, 100);
    CHECK(a != NULL && b != NULL && b - a == 112);
    CHECK(pool_resize(&p, a, 100, 112) == a); /* the same size of block */
    CHECK(pool_resize(&p, a, 112, 0) == NULL);
    CHECK(pool_resize(&p, NULL, 0, 97) == a);
    for (int i = 0; i < 1000; i++) {
        char *c = pool_resize(&p, NULL, 0, 300);
        CHECK(c >= p.region && c < p.end);
        pool_resize(&p, c, 300, 0);
    }
    pool_deinit(&p);
}
