/* test_near.c -- which questions were asked before, by what they mean. */
#include "unit.h"

#include <string.h>

#include "include/perilune.h"
#include "store/near.h"

#define DIMS 64

static struct hash128 number(uint64_t n) { return (struct hash128){ n * 0x9E3779B97F4A7C15u, n * 0xBF58476D1CE4E5B9u }; }

static void direction(unsigned n, float *out) {
    for (unsigned i = 0; i < DIMS; i++) out[i] = (n * 2654435761u >> (i % 32)) & 1 ? 1.f : -1.f;
    out[n % DIMS] += 3;
}

static int keep(struct cache *c, uint64_t n, uint64_t now, uint64_t for_ms) {
    struct cache_item item = { .key = number(n), .data = SLICE("answer"), .fresh_ms = for_ms };
    return cache_put(c, &item, now);
}

TEST_FAULT(the_nearest_is_found) {
    struct cache *c = cache_new(1 << 20);
    struct near *n = c ? near_new(c, 1 << 20) : NULL;
    float v[DIMS];
    struct index_hit hits[4];
    if (FAULTED(n)) goto done;
    for (unsigned i = 1; i <= 10; i++) {
        direction(i, v);
        CHECK_NOMEM(keep(c, i, 0, 1000), done);
        int rc = near_add(n, number(99), number(i), v, DIMS, 0);
        CHECK_NOMEM(rc == PERILUNE_ERR_LIMITED ? PERILUNE_ERR_NOMEM : rc, done); /* no memory for a kind */
    }
    direction(7, v);
    if (near_search(n, number(99), v, DIMS, hits, 4) > 0) CHECK(hits[0].key.low == number(7).low);
    CHECK_INT(near_search(n, number(98), v, DIMS, hits, 4), 0);
    CHECK_INT(near_search(n, number(99), v, 128, hits, 4), 0);
    CHECK(near_remove(n, number(99), number(7), DIMS));
    CHECK(!near_remove(n, number(99), number(7), DIMS));
done:
    near_free(n);
    cache_free(c);
}

TEST(vectors_of_entries_that_are_gone_go) {
    struct cache *c = cache_new(8 << 20);
    struct near *n = c ? near_new(c, 8 << 20) : NULL;
    float v[DIMS];
    struct near_stats s;
    CHECK(n != NULL);
    for (unsigned i = 0; i < 20000; i++) {
        direction(i, v);
        CHECK_INT(keep(c, i, i, 100), 0); /* about a hundred live at a time */
        CHECK_INT(near_add(n, number(99), number(i), v, DIMS, i), 0);
    }
    near_count(n, &s);
    CHECK(s.vectors < 1000);
    near_free(n);
    cache_free(c);
}

TEST(a_limit_is_kept_and_newcomers_find_room) {
    struct cache *c = cache_new(32 << 20);
    struct near *n = c ? near_new(c, 64 << 10) : NULL;
    float v[DIMS];
    struct index_hit hits[1];
    struct near_stats s;
    unsigned kept = 0;
    CHECK(n != NULL);
    for (unsigned i = 0; i < 5000; i++) {
        direction(i, v);
        CHECK_INT(keep(c, i, 0, 100000), 0);
        kept += near_add(n, number(99), number(i), v, DIMS, 0) == 0;
    }
    near_count(n, &s);
    CHECK(s.bytes <= s.limit + 1024 && s.limit == 64 << 10);
    CHECK(kept > 1000);
    CHECK_INT(near_search(n, number(99), v, DIMS, hits, 1), 1);
    near_resize(n, 0);
    CHECK_INT(near_add(n, number(99), number(1), v, DIMS, 0), PERILUNE_ERR_LIMITED);
    near_free(n);
    cache_free(c);
}

static void see(const struct near_miss *m, void *ud) {
    unsigned *count = ud;
    CHECK_STR(m->why, *count == 0 ? "last" : "number");
    ++*count;
}

TEST(refusals_are_remembered_the_newest_first) {
    struct cache *c = cache_new(1 << 20);
    struct near *n = c ? near_new(c, 1 << 20) : NULL;
    struct near_miss m = { .why = "number" };
    unsigned count = 0;
    CHECK(n != NULL);
    for (int i = 0; i < 200; i++) near_note(n, &m);
    strcpy(m.why, "last");
    near_note(n, &m);
    near_misses(n, see, &count);
    CHECK_INT(count, 64);
    near_free(n);
    cache_free(c);
}
