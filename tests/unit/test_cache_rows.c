/* test_cache_rows.c -- what caches did, by cache, route and tenant, within bounds. */
#include "gateway/cache_rows.h"

#include <stdio.h>

#include "unit.h"

static bool says(const struct cache_rows *t, const char *line) {
    struct buf out;
    buf_init(&out, 0);
    cache_rows_write(t, &out);
    const char *text = buf_cstr(&out), *at = text ? strstr(text, line) : NULL;
    if (at == NULL) NOTE("%s is not in\n%s", line, text ? text : "(no memory)");
    bool yes = at != NULL && at[strlen(line)] == '\n';
    buf_deinit(&out);
    return yes;
}

static struct cache_rows *new_table(void) {
    struct cache_rows *t = mem_zalloc(sizeof(*t));
    CHECK(t != NULL);
    return t;
}

TEST_NOFAULT(results_and_savings_are_those_of_who_asked) {
    struct cache_rows *t = new_table();
    struct lookups outer = { .count = { [LOOKUP_MISS] = 1 }, .cache = "exact" };
    struct lookups inner = { .count = { [LOOKUP_SEMANTIC] = 1 }, .gave = true, .cache = "a\"b" };
    outer.next = &inner;
    struct cache_facts f = { .route = "/chat", .tenant = "ac\nme", .lookups = &outer,
                             .spared = { .known = true, .prompt = 100, .completion = 20 }, .spared_usd = 0.0000025 };
    cache_rows_count(t, &f);
    cache_rows_count(t, &f);
    CHECK(says(t, "perilune_cache_lookups_total{cache=\"exact\",route=\"/chat\",tenant=\"ac\\nme\",result=\"miss\"} 2"));
    CHECK(says(t, "perilune_cache_lookups_total{cache=\"a\\\"b\",route=\"/chat\",tenant=\"ac\\nme\",result=\"semantic\"} 2"));
    CHECK(says(t, "perilune_tenant_saved_tokens_total{cache=\"a\\\"b\",route=\"/chat\",tenant=\"ac\\nme\",type=\"input\"} 200"));
    CHECK(says(t, "perilune_tenant_saved_tokens_total{cache=\"a\\\"b\",route=\"/chat\",tenant=\"ac\\nme\",type=\"output\"} 40"));
    CHECK(says(t, "perilune_tenant_saved_usd_total{cache=\"a\\\"b\",route=\"/chat\",tenant=\"ac\\nme\"} 0.000005000"));
    CHECK_UINT(stats_get(&t->rows[0].spared_in), 0); /* the outer one only looked */
    mem_free(t);
}

TEST_NOFAULT(a_shared_answer_is_counted_once_with_a_cache_and_without) {
    struct cache_rows *t = new_table();
    struct lookups l = { .count = { [LOOKUP_COALESCED] = 1 }, .gave = true, .cache = "exact" };
    struct cache_facts f = { .route = "/r", .tenant = "", .lookups = &l, .coalesced = true,
                             .spared = { .known = true, .prompt = 3 } };
    cache_rows_count(t, &f);
    f.lookups = NULL;
    cache_rows_count(t, &f);
    CHECK(says(t, "perilune_cache_lookups_total{cache=\"exact\",route=\"/r\",tenant=\"\",result=\"coalesced\"} 1"));
    CHECK(says(t, "perilune_cache_lookups_total{cache=\"\",route=\"/r\",tenant=\"\",result=\"coalesced\"} 1"));
    CHECK(says(t, "perilune_tenant_saved_tokens_total{cache=\"\",route=\"/r\",tenant=\"\",type=\"input\"} 3"));
    mem_free(t);
}

static uint64_t all_hits(const struct cache_rows *t) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < t->count; i++) sum += stats_get(&t->rows[i].lookups[LOOKUP_HIT]);
    return sum;
}

TEST_NOFAULT(rows_are_bounded_and_nothing_is_lost) {
    struct cache_rows *t = new_table(), *sum = new_table();
    char name[300];
    for (int i = 0; i < 1000; i++) {
        struct lookups l = { .count = { [LOOKUP_HIT] = 1 } };
        snprintf(l.cache, sizeof(l.cache), "c%d", i % 100);
        snprintf(name, sizeof(name), "%0*d", i % 250 + 10, i);
        cache_rows_count(t, &(struct cache_facts){ .route = name, .tenant = name, .lookups = &l });
    }
    CHECK_UINT(t->count, CACHE_ROWS);
    CHECK_STR(t->rows[CACHE_ROWS_NAMED].tenant, "other");
    CHECK_STR(t->rows[CACHE_ROWS - 1].cache, "other");
    CHECK_UINT(all_hits(t), 1000);
    cache_rows_merge(sum, t);
    cache_rows_merge(sum, t);
    CHECK_UINT(all_hits(sum), 2000);
    mem_free(sum);
    mem_free(t);
}

TEST_FAULT(a_request_has_one_entry_for_each_cache) {
    struct arena a;
    struct lookups *list = NULL;
    arena_init(&a);
    bool ok = lookups_add(&list, &a, SLICE("exact"), LOOKUP_MISS, false) &&
              lookups_add(&list, &a, SLICE("values"), LOOKUP_HIT, false) &&
              lookups_add(&list, &a, SLICE("values"), LOOKUP_HIT, false);
    for (int i = 0; ok && i < 20; i++) {
        char name[100];
        snprintf(name, sizeof(name), "%d-%080d", i, 0);
        ok = lookups_add(&list, &a, slice_str(name), LOOKUP_STALE, true);
    }
    if (!ok) CHECK(unit_fault_fired());
    unsigned n = 0;
    const struct lookups *last = list;
    for (const struct lookups *l = list; ok && l != NULL; l = l->next, n++) last = l;
    if (ok) {
        CHECK_UINT(n, LOOKUPS_CACHES);
        CHECK_UINT(list->next->count[LOOKUP_HIT], 2);
        CHECK(!list->next->gave);
        CHECK_STR(last->cache, "other");
        CHECK(last->gave);
    }
    arena_deinit(&a);
}

TEST(a_result_has_a_name) {
    for (int i = 0; i < LOOKUPS; i++) CHECK_INT(lookup_find(slice_str(lookup_name((enum lookup)i))), i);
    CHECK_INT(lookup_find(SLICE("luck")), LOOKUPS);
}
