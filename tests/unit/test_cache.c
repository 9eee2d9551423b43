/* test_cache.c -- what was answered once and may be answered again. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "store/cache.h"

static struct hash128 key_of(const struct cache *c, const char *name) { return cache_key(c, slice_str(name)); }

static int put(struct cache *c, const char *name, struct slice data, uint64_t now, uint64_t fresh, uint64_t keep) {
    static const struct slice tags[] = { SLICE("tenant:a"), SLICE("all") };
    return cache_put(c, &(struct cache_item){ .key = key_of(c, name), .meta = SLICE("m"), .data = data, .tags = tags,
                                              .tag_count = 2, .fresh_ms = fresh, .keep_ms = keep }, now);
}

static bool knows(struct cache *c, const char *name, uint64_t now, const char *data) {
    struct cache_entry *e = cache_get(c, key_of(c, name), now);
    bool same = e != NULL && slice_eq(cache_entry_data(e), slice_str(data)) &&
                slice_eq(cache_entry_meta(e), SLICE("m"));
    cache_entry_put(e);
    return same;
}

static bool has(struct cache *c, const char *name, uint64_t now) {
    struct cache_entry *e = cache_get(c, key_of(c, name), now);
    cache_entry_put(e);
    return e != NULL;
}

static struct cache_stats stats_of(struct cache *c) {
    struct cache_stats s;
    cache_count(c, &s);
    return s;
}

TEST_FAULT(gives_what_was_stored_while_it_is_kept) {
    struct cache *c = cache_new(1 << 20);
    if (FAULTED(c)) return;
    int rc = put(c, "a", SLICE("one"), 1000, 50, 20);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    struct cache_entry *e = cache_get(c, key_of(c, "a"), 1049);
    CHECK(e != NULL);
    CHECK(cache_is_fresh(e, 1049));
    CHECK(!cache_is_fresh(e, 1050));
    CHECK_INT(cache_age(e, 1049), 49);
    CHECK_INT(cache_age(e, 900), 0); /* a clock of another thread may be a little behind */
    CHECK_INT(cache_entry_key(e).low, key_of(c, "a").low);
    cache_entry_put(e);
    CHECK(knows(c, "a", 1069, "one"));
    CHECK(!has(c, "a", 1070));
    CHECK(!has(c, "b", 1000));
    CHECK_INT(stats_of(c).entries, 0);
    CHECK_INT(stats_of(c).bytes, 0);
    CHECK_INT(stats_of(c).expired, 1);
done:
    cache_free(c);
}

TEST(who_has_a_share_keeps_the_value) {
    struct cache *c = cache_new(1 << 20);
    CHECK(c != NULL);
    CHECK_INT(put(c, "a", SLICE("one"), 0, 100, 0), 0);
    struct cache_entry *e = cache_get(c, key_of(c, "a"), 0);
    CHECK(e != NULL);
    CHECK_INT(put(c, "a", SLICE("two"), 0, 100, 0), 0);
    CHECK(knows(c, "a", 0, "two"));
    CHECK(cache_delete(c, key_of(c, "a")));
    CHECK(!cache_delete(c, key_of(c, "a")));
    cache_free(c);
    CHECK_SLICE(cache_entry_data(e), SLICE("one"));
    cache_entry_put(e);
}

TEST(the_limit_holds_and_what_is_asked_for_stays) {
    size_t limit = 256 * 1024;
    struct cache *c = cache_new(limit);
    char name[32], text[200];
    CHECK(c != NULL);
    memset(text, 'x', sizeof(text));
    CHECK_INT(put(c, "kept", slice_of(text, 100), 0, 1000, 0), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "once %d", i);
        CHECK_INT(put(c, name, slice_of(text, (size_t)(i % 200)), 0, 1000, 0), 0);
        if (i % 20 == 0) CHECK(has(c, "kept", 0));
        CHECK(stats_of(c).bytes <= limit);
    }
    CHECK(stats_of(c).evicted > 3000);
    cache_resize(c, limit / 4);
    CHECK(stats_of(c).bytes <= limit / 4);
    CHECK(stats_of(c).entries > 0);
    cache_resize(c, 0);
    CHECK_INT(stats_of(c).entries, 0);
    CHECK_INT(put(c, "a", SLICE("one"), 0, 100, 0), PERILUNE_ERR_LIMITED);
    cache_free(c);
}

TEST(an_entry_larger_than_a_shard_is_refused) {
    struct cache *c = cache_new(16 * 1024);
    char *large = mem_zalloc(4096);
    CHECK(c != NULL && large != NULL);
    CHECK_INT(put(c, "small", SLICE("one"), 0, 100, 0), 0);
    CHECK_INT(put(c, "large", slice_of(large, 4096), 0, 100, 0), PERILUNE_ERR_LIMITED);
    CHECK_INT(put(c, "small", slice_of(large, 1024), 0, 100, 0), PERILUNE_ERR_LIMITED);
    CHECK(knows(c, "small", 0, "one")); /* a failure changes nothing */
    CHECK_INT(stats_of(c).refused, 2);
    mem_free(large);
    cache_free(c);
}

TEST(a_tag_invalidates_what_was_stored_before) {
    struct cache *c = cache_new(1 << 20);
    static const struct slice other[] = { SLICE("tenant:b") };
    CHECK(c != NULL);
    CHECK_INT(put(c, "a", SLICE("one"), 10, 1000, 0), 0);
    CHECK_INT(cache_put(c, &(struct cache_item){ .key = key_of(c, "b"), .meta = SLICE("m"), .data = SLICE("two"),
                                                 .tags = other, .tag_count = 1, .fresh_ms = 1000 }, 10), 0);
    CHECK_INT(cache_count_tag(c, SLICE("tenant:a"), 20), 1);
    CHECK_INT(cache_count_tag(c, SLICE("tenant:a"), 1010), 0); /* too old by then */
    CHECK_INT(cache_count_tag(c, SLICE("tenant:c"), 20), 0);
    cache_invalidate(c, SLICE("tenant:a"), 20);
    CHECK_INT(cache_count_tag(c, SLICE("tenant:a"), 20), 0);
    CHECK(!has(c, "a", 30));
    CHECK(knows(c, "b", 30, "two"));
    CHECK_INT(put(c, "a", SLICE("three"), 30, 1000, 0), 0);
    CHECK(knows(c, "a", 30, "three"));
    cache_sweep(c, 40); /* the note is forgotten; what is newer stays */
    CHECK(knows(c, "a", 40, "three"));
    cache_free(c);
}

TEST(sweeping_frees_what_nobody_asks_for) {
    struct cache *c = cache_new(1 << 20);
    char name[32];
    CHECK(c != NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "%d", i);
        CHECK_INT(put(c, name, SLICE("x"), 0, i % 2 ? 10 : 1000, 0), 0);
    }
    cache_invalidate(c, SLICE("no such tag"), 5);
    cache_sweep(c, 10);
    CHECK_INT(stats_of(c).entries, 100);
    cache_invalidate(c, SLICE("all"), 20);
    cache_sweep(c, 20);
    CHECK_INT(stats_of(c).entries, 0);
    CHECK_INT(stats_of(c).bytes, 0);
    cache_free(c);
}

TEST(storing_frees_what_is_too_old) {
    struct cache *c = cache_new(1 << 20);
    char name[32];
    CHECK(c != NULL);
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof(name), "%d", i);
        CHECK_INT(put(c, name, SLICE("x"), 0, 10, 0), 0);
    }
    CHECK_INT(stats_of(c).entries, 400);
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof(name), "new %d", i);
        CHECK_INT(put(c, name, SLICE("x"), 100, 10, 0), 0);
    }
    CHECK_INT(stats_of(c).entries, 400);
    cache_free(c);
}

TEST(an_answer_that_was_under_way_is_invalidated_too) {
    struct cache *c = cache_new(1 << 20);
    static const struct slice tags[] = { SLICE("all") };
    char tag[32];
    CHECK(c != NULL);
    struct cache_when asked = cache_ask(c, key_of(c, "x"));
    cache_invalidate(c, SLICE("all"), 0);
    struct cache_item item = { .key = key_of(c, "a"), .meta = SLICE("m"), .data = SLICE("old"), .tags = tags,
                               .tag_count = 1, .fresh_ms = 100, .asked = asked };
    CHECK_INT(cache_put(c, &item, 0), 0);
    CHECK(!has(c, "a", 0));
    item.asked = (struct cache_when){ 0, 0 };
    CHECK_INT(cache_put(c, &item, 0), 0); /* in the same millisecond */
    CHECK(has(c, "a", 0));
    cache_invalidate(c, SLICE("all"), 0);
    for (int i = 0; i < 300; i++) { /* the note is forgotten by now */
        snprintf(tag, sizeof(tag), "tag %d", i);
        cache_invalidate(c, slice_str(tag), 0);
    }
    item.asked = asked;
    CHECK_INT(cache_put(c, &item, 0), PERILUNE_ERR_LIMITED);
    CHECK(!has(c, "a", 0));
    cache_free(c);
}

/* Everything, a tag, a key: an answer that was asked for before is over, and one asked for since is not. */
TEST(what_is_under_way_is_let_go_with_everything_or_its_key) {
    struct cache *c = cache_new(1 << 20);
    CHECK(c != NULL);
    struct hash128 a = key_of(c, "a"), b = key_of(c, "b");
    struct cache_item item = { .key = a, .meta = SLICE("m"), .data = SLICE("old"), .fresh_ms = 100,
                               .asked = cache_ask(c, a) };
    CHECK(!cache_is_over(c, &item));
    cache_clear(c);
    CHECK(cache_is_over(c, &item));
    CHECK_INT(cache_put(c, &item, 0), PERILUNE_ERR_LIMITED);
    CHECK(cache_keep(c, &item, 0) == NULL);
    CHECK(!has(c, "a", 0));

    item.asked = cache_ask(c, a);
    struct cache_item other = item;
    other.key = b;
    other.asked = cache_ask(c, b);
    CHECK(!cache_delete(c, a)); /* there is none yet */
    CHECK(cache_is_over(c, &item));
    CHECK_INT(cache_put(c, &item, 0), PERILUNE_ERR_LIMITED);
    CHECK_INT(cache_put(c, &other, 0), 0);
    item.asked = cache_ask(c, a);
    CHECK_INT(cache_put(c, &item, 0), 0);
    CHECK(has(c, "a", 0) && has(c, "b", 0));

    item.asked = cache_ask(c, a); /* a question to another tier, say */
    CHECK_INT(put(c, "a", SLICE("newer"), 0, 100, 0), 0);
    CHECK_INT(cache_put(c, &item, 0), PERILUNE_ERR_LIMITED); /* and its answer comes too late */
    CHECK(has(c, "a", 0));
    cache_free(c);
}

TEST(who_asks_since_the_same_was_let_go) {
    struct cache *c = cache_new(1 << 20);
    static const struct slice mine[] = { SLICE("name:mine"), SLICE("tenant:") };
    static const struct slice others[] = { SLICE("name:other"), SLICE("tenant:") };
    CHECK(c != NULL);
    struct hash128 a = key_of(c, "a");
    CHECK_UINT(cache_since(c, a, mine, 2), 0);
    cache_invalidate(c, SLICE("name:mine"), 0);
    uint64_t since = cache_since(c, a, mine, 2);
    CHECK(since != 0);
    CHECK_UINT(cache_since(c, a, others, 2), 0);
    CHECK_UINT(cache_since(c, a, mine, 2), since);
    cache_delete(c, a);
    CHECK(cache_since(c, a, mine, 2) != since);
    cache_clear(c);
    CHECK(cache_since(c, key_of(c, "b"), others, 2) != 0);
    cache_free(c);
}

static void count_call(void *ud) { ++*(int *)ud; }

TEST(who_watches_hears_what_is_let_go) {
    struct cache *c = cache_new(1 << 20);
    int calls = 0;
    CHECK(c != NULL);
    cache_watch(c, count_call, &calls);
    CHECK_INT(put(c, "a", SLICE("one"), 0, 10, 0), 0);
    cache_clean(c, 20);
    CHECK_INT(calls, 0); /* it was too old */
    cache_invalidate(c, SLICE("t"), 0);
    cache_delete(c, key_of(c, "a"));
    cache_clear(c);
    CHECK_INT(calls, 3);
    cache_free(c);
    CHECK_INT(calls, 3);
}

TEST(clocks_of_threads_differ) {
    struct cache *c = cache_new(1 << 20);
    char tag[32];
    CHECK(c != NULL);
    CHECK_INT(put(c, "a", SLICE("one"), 1005, 100, 0), 0);
    cache_invalidate(c, SLICE("all"), 1000);
    CHECK(!has(c, "a", 1006));
    for (int i = 0; i < 600; i++) {
        snprintf(tag, sizeof(tag), "tag %d", i);
        cache_invalidate(c, slice_str(tag), i < 300 ? 2000 : 1000);
    }
    CHECK_INT(put(c, "a", SLICE("one"), 2001, 100, 0), 0);
    struct cache_entry *e = cache_get(c, key_of(c, "a"), 2001);
    CHECK(e != NULL);
    CHECK(cache_entry_claim(e, 2010, 50));
    CHECK(!cache_entry_claim(e, 2009, 50));
    CHECK(!cache_entry_claim(e, 2059, 50));
    CHECK(cache_entry_claim(e, 2060, 50));
    cache_entry_put(e);
    cache_free(c);
}

TEST(more_tags_than_can_be_noted) {
    struct cache *c = cache_new(1 << 20);
    char tag[32];
    CHECK(c != NULL);
    for (int i = 0; i < 5000; i++) {
        snprintf(tag, sizeof(tag), "tag %d", i);
        cache_invalidate(c, slice_str(tag), 0);
    }
    CHECK_INT(put(c, "a", SLICE("one"), 1, 100, 0), 0);
    cache_invalidate(c, SLICE("all"), 2);
    CHECK(!has(c, "a", 3));
    cache_free(c);
}

static bool count_one(struct cache_entry *e, void *ud) {
    int *n = ud;
    (void)e;
    return ++*n < 3;
}

TEST(entries_can_be_looked_at) {
    struct cache *c = cache_new(1 << 20);
    char name[32];
    int seen = 0;
    CHECK(c != NULL);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "%d", i);
        CHECK_INT(put(c, name, SLICE("x"), 0, 10, 0), 0);
    }
    cache_each(c, count_one, &seen);
    CHECK_INT(seen, 3);
    cache_clear(c);
    CHECK_INT(stats_of(c).entries, 0);
    cache_free(c);
}

static bool is_even(const struct cache_entry *e, void *ud) {
    ++*(unsigned *)ud;
    return cache_entry_data(e).ptr[0] % 2 == 0;
}

static bool is_any(const struct cache_entry *e, void *ud) { return e != NULL && ud == NULL; }

TEST(the_newest_come_first) {
    struct cache *c = cache_new(1 << 20);
    struct cache_entry *list[10];
    unsigned asked = 0;
    char name[16];
    bool more;
    CHECK(c != NULL);
    for (int i = 0; i < 302; i++) {
        snprintf(name, sizeof(name), "%d", i);
        CHECK_INT(put(c, name, slice_of(name + strlen(name) - 1, 1), (uint64_t)i, 1000, 0), 0);
    }
    CHECK_INT(cache_newest(c, &(struct cache_wish){ is_any, NULL, 10 }, 400, list, &more), 10);
    CHECK(more);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(cache_age(list[i], 400), 99 + i);
        cache_entry_put(list[i]);
    }
    CHECK_INT(cache_newest(c, &(struct cache_wish){ is_even, &asked, 10 }, 400, list, &more), 10);
    CHECK(more);
    CHECK_INT(asked, 302);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(cache_age(list[i], 400), 100 + 2 * i);
        cache_entry_put(list[i]);
    }
    CHECK_INT(cache_newest(c, &(struct cache_wish){ is_any, NULL, 10 }, 1299, list, &more), 2); /* the rest is too old */
    CHECK(!more);
    CHECK_INT(cache_age(list[1], 1299), 999);
    cache_entry_put(list[0]);
    cache_entry_put(list[1]);
    cache_invalidate(c, SLICE("all"), 400);
    CHECK_INT(cache_newest(c, &(struct cache_wish){ is_any, NULL, 10 }, 400, list, &more), 0);
    CHECK_INT(stats_of(c).entries, 302);
    cache_clean(c, 400);
    CHECK_INT(stats_of(c).entries, 0);
    CHECK_INT(stats_of(c).invalidated, 302);
    cache_free(c);
}

TEST(an_entry_costs_little_more_than_its_bytes) {
    CHECK(sizeof(struct cache_entry) <= 80);
}

/* -- Threads --------------------------------------------------------------------------- */

static void *hammer(void *arg) {
    struct cache *c = arg;
    char name[32], text[64];
    unsigned seed = (unsigned)(uintptr_t)&name;
    for (int i = 0; i < 20000; i++) {
        int n = (int)(rand_r(&seed) % 300);
        snprintf(name, sizeof(name), "%d", n);
        snprintf(text, sizeof(text), "value of %d", n);
        switch (rand_r(&seed) % 8) {
        case 0:
        case 1: put(c, name, slice_str(text), (uint64_t)i, 5000, 0); break;
        case 2: cache_delete(c, key_of(c, name)); break;
        case 3:
            if (n == 0) cache_invalidate(c, SLICE("all"), (uint64_t)i);
            else cache_sweep(c, (uint64_t)i);
            break;
        default: {
            struct cache_entry *e = cache_get(c, key_of(c, name), (uint64_t)i);
            if (e != NULL && !slice_eq(cache_entry_data(e), slice_str(text))) return (void *)1;
            cache_entry_put(e);
        }
        }
    }
    return NULL;
}

TEST_NOFAULT(many_threads_see_whole_values) {
    struct cache *c = cache_new(32 * 1024);
    pthread_t threads[4];
    CHECK(c != NULL);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, hammer, c), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        CHECK(wrong == NULL);
    }
    CHECK(stats_of(c).bytes <= 32 * 1024);
    cache_free(c);
}
