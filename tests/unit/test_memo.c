/* test_memo.c -- what is good to remember and no harm to forget. */
#include "unit.h"

#include <stdio.h>

#include "include/perilune.h"
#include "store/memo.h"

#define NOBODY SLICE("")

static bool knows(struct memo *m, const char *key, uint64_t now, const char *value) {
    struct buf out;
    buf_init(&out, 0);
    bool same = memo_get(m, slice_str(key), now, &out) == 0 && slice_eq(buf_get(&out), slice_str(value));
    buf_deinit(&out);
    return same;
}

TEST_FAULT(remembers_until_the_time_is_up) {
    struct memo *m = memo_new(1 << 20);
    if (FAULTED(m)) return;
    CHECK_NOMEM(memo_set(m, NOBODY, SLICE("a"), SLICE("one"), 1000, 50), done);
    CHECK_NOMEM(memo_set(m, NOBODY, SLICE("empty"), SLICE(""), 1000, 50), done);
    struct buf out;
    buf_init(&out, 0);
    int rc = memo_get(m, SLICE("a"), 1049, &out);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK_SLICE(buf_get(&out), SLICE("one"));
    }
    buf_deinit(&out);
    CHECK_INT(memo_get(m, SLICE("a"), 1050, &out), PERILUNE_ERR_INVAL);
    CHECK_INT(memo_get(m, SLICE("b"), 1000, &out), PERILUNE_ERR_INVAL);
done:
    memo_free(m);
}

TEST(a_new_value_replaces_the_old) {
    struct memo *m = memo_new(1 << 20);
    CHECK(m != NULL);
    CHECK_INT(memo_set(m, NOBODY, SLICE("a"), SLICE("one"), 0, 100), 0);
    CHECK_INT(memo_set(m, NOBODY, SLICE("a"), SLICE("two"), 0, 200), 0);
    CHECK(knows(m, "a", 150, "two"));
    memo_forget(m, SLICE("a"));
    memo_forget(m, SLICE("a"));
    CHECK(!knows(m, "a", 150, "two"));
    memo_free(m);
}

TEST(what_was_used_longest_ago_makes_room) {
    struct memo *m = memo_new(8 * 4096);
    char key[32];
    CHECK(m != NULL);
    CHECK_INT(memo_set(m, NOBODY, SLICE("kept"), SLICE("yes"), 0, 1000), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        CHECK_INT(memo_set(m, NOBODY, slice_str(key), SLICE("0123456789"), 0, 1000), 0);
        CHECK(knows(m, "kept", 0, "yes"));
        CHECK(knows(m, key, 0, "0123456789"));
    }
    CHECK(!knows(m, "key 0", 0, "0123456789"));
    memo_free(m);
}

TEST(an_owner_that_floods_harms_itself) {
    struct memo *m = memo_new(8 * 8192);
    char key[32];
    CHECK(m != NULL);
    int others = 0;
    static const char *const owners[] = { "acme", "bolt", "cord", "dust" };
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "other %d", i);
        CHECK_INT(memo_set(m, slice_str(owners[i % 4]), slice_str(key), SLICE("kept"), 0, 1000), 0);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "flood %d", i);
        CHECK_INT(memo_set(m, SLICE("flood"), slice_str(key), SLICE("0123456789"), 0, 1000), 0);
        CHECK(knows(m, key, 0, "0123456789"));
    }
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "other %d", i);
        others += knows(m, key, 0, "kept");
    }
    CHECK(others >= 50); /* all, but for owners that happen to share six bits with the flood */
    memo_free(m);
}

TEST(what_is_too_large_is_refused) {
    struct memo *m = memo_new(8 * 4096);
    static char large[MEMO_MAX_VALUE + 1];
    CHECK(m != NULL);
    CHECK_INT(memo_set(m, NOBODY, SLICE("a"), slice_of(large, sizeof(large)), 0, 1), PERILUNE_ERR_LIMITED);
    CHECK_INT(memo_set(m, NOBODY, SLICE("a"), slice_of(large, 4096), 0, 1), PERILUNE_ERR_LIMITED);
    CHECK_INT(memo_set(m, NOBODY, slice_of(large, MEMO_MAX_KEY + 1), SLICE(""), 0, 1), PERILUNE_ERR_LIMITED);
    CHECK_INT(memo_set(m, NOBODY, SLICE("a"), slice_of(large, 3000), 0, 1), 0);
    CHECK_INT(memo_set(m, NOBODY, SLICE("b"), slice_of(large, 3000), 0, 1), 0);
    memo_free(m);
}
