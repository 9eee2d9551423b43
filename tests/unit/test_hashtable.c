/* test_hashtable.c -- the hash table under shared and memo. */
#include "base/hashtable.h"

#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

#define COUNT 100

struct item {
    struct chained link;
    char           key[8];
};

static struct slice key_of(const struct chained *e) {
    return slice_str(container_of((struct chained *)(uintptr_t)e, struct item, link)->key);
}

/* Few hashes, so that chains are long. */
static void fill(struct item *items, struct hashtable *c) {
    for (unsigned i = 0; i < COUNT; i++) {
        items[i].link.hash = i % 7;
        snprintf(items[i].key, sizeof(items[i].key), "%u", i);
        CHECK_INT(hashtable_reserve(c), 0);
        hashtable_add(c, &items[i].link);
    }
}

TEST(what_is_in_is_found_by_hash_and_key) {
    static struct item items[COUNT];
    struct hashtable c = { .slots = NULL };
    CHECK(hashtable_find(&c, 0, SLICE("0"), key_of) == NULL);
    fill(items, &c);
    CHECK_UINT(c.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct chained **at = hashtable_find(&c, i % 7, slice_str(items[i].key), key_of);
        CHECK(at != NULL);
        CHECK_PTR(*at, &items[i].link);
        CHECK(hashtable_find(&c, i % 7 + 1, slice_str(items[i].key), key_of) == NULL);
    }
    hashtable_deinit(&c);
}

TEST(what_is_taken_out_is_gone_and_the_rest_stays) {
    static struct item items[COUNT];
    struct hashtable c = { .slots = NULL };
    fill(items, &c);
    for (unsigned i = 0; i < COUNT; i += 2)
        hashtable_remove(&c, hashtable_find(&c, i % 7, slice_str(items[i].key), key_of));
    CHECK_UINT(c.count, COUNT / 2);
    for (unsigned i = 0; i < COUNT; i++)
        CHECK((hashtable_find(&c, i % 7, slice_str(items[i].key), key_of) != NULL) == (i % 2 == 1));
    hashtable_deinit(&c);
}

TEST_FAULT(without_memory_the_table_stays_as_it_is) {
    static struct item items[COUNT];
    struct hashtable c = { .slots = NULL };
    for (unsigned i = 0; i < COUNT; i++) {
        items[i].link.hash = i;
        int rc = hashtable_reserve(&c);
        if (FAULTED(rc)) break;
        hashtable_add(&c, &items[i].link);
    }
    for (unsigned i = 0; i < c.count; i++)
        CHECK(hashtable_find(&c, i, key_of(&items[i].link), key_of) != NULL);
    hashtable_deinit(&c);
}
