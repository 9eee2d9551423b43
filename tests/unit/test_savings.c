/* test_savings.c -- sums of what rewriting saved, per request and per worker. */
#include "unit.h"

#include <stdio.h>

#include "request/savings.h"

static bool has(struct buf *b, const char *text) {
    struct slice s = buf_get(b);
    return memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

TEST_FAULT(entries_add_up_and_keep_their_order) {
    struct arena a;
    struct buf out;
    struct savings_entry *list = NULL;
    arena_init(&a);
    buf_init(&out, 0);
    struct savings_amount w = { 1, 1000, 400, 2500, 1500 }, m = { 1, 400, 500, -100, 0 };
    bool ok = savings_add(&list, &a, "window", &w) && savings_add(&list, &a, "mask_tools", &m) &&
              savings_add(&list, &a, "window", &w);
    int64_t tokens, nano;
    savings_total(list, &tokens, &nano);
    if (ok) {
        CHECK_INT(tokens, 1100);
        CHECK_INT(nano, 4900);
        savings_log(list, &out);
        if (!buf_failed(&out))
            CHECK_SLICE(buf_get(&out),
                        SLICE(",\"tokens_saved\":1100,\"saved\":{\"window\":{\"before\":2000,\"after\":800,\"usd\":0.000005000,"
                              "\"ms\":3.000},\"mask_tools\":{\"before\":400,\"after\":500,\"usd\":-0.000000100,\"ms\":0.000}}"));
    } else {
        CHECK(unit_fault_fired());
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

TEST(an_empty_list_saves_nothing) {
    int64_t tokens = 1, nano = 1;
    savings_total(NULL, &tokens, &nano);
    CHECK_INT(tokens, 0);
    CHECK_INT(nano, 0);
}

TEST(rows_merge_by_name) {
    static struct savings_stats a, b, all;
    savings_stats_add(&a, "window", &(struct savings_amount){ 1, 100, 40, 10, 7 });
    savings_stats_add(&b, "trim", &(struct savings_amount){ 1, 10, 9, -3, 1 });
    savings_stats_add(&b, "window", &(struct savings_amount){ 1, 50, 60, -20, 3 });
    savings_stats_merge(&all, &a);
    savings_stats_merge(&all, &b);
    struct buf out;
    buf_init(&out, 0);
    savings_stats_write(&all, &out);
    CHECK(has(&out, "perilune_rewrites_total{policy=\"window\"} 2\n"));
    CHECK(has(&out, "perilune_rewrite_before_tokens_total{policy=\"window\"} 150\n"));
    CHECK(has(&out, "perilune_rewrite_after_tokens_total{policy=\"window\"} 100\n"));
    CHECK(has(&out, "perilune_saved_tokens_total{policy=\"window\"} 60\n")); /* what was added is not taken off */
    CHECK(has(&out, "perilune_saved_usd_total{policy=\"window\"} 0.000000010\n"));
    CHECK(has(&out, "perilune_lost_usd_total{policy=\"window\"} 0.000000020\n"));
    CHECK(has(&out, "perilune_rewrite_seconds_total{policy=\"window\"} 0.000010000\n"));
    CHECK(has(&out, "perilune_saved_tokens_total{policy=\"trim\"} 1\n"));
    buf_deinit(&out);
}

TEST(nobody_reported_nothing_written) {
    static struct savings_stats none;
    struct buf out;
    buf_init(&out, 0);
    savings_stats_write(&none, &out);
    CHECK_UINT(buf_len(&out), 0);
    buf_deinit(&out);
}

TEST(made_up_names_share_a_row) {
    static struct savings_stats s;
    for (int i = 0; i < 100; i++) {
        char name[SAVINGS_NAME];
        snprintf(name, sizeof(name), "p%d", i);
        savings_stats_add(&s, name, &(struct savings_amount){ 1, 2, 1, 0, 0 });
    }
    struct buf out;
    buf_init(&out, 0);
    savings_stats_write(&s, &out);
    CHECK(has(&out, "perilune_rewrites_total{policy=\"p22\"} 1\n"));
    CHECK(has(&out, "perilune_rewrites_total{policy=\"other\"} 77\n"));
    CHECK(!has(&out, "policy=\"p23\""));
    buf_deinit(&out);
}
