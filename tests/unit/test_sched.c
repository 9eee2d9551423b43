/* test_sched.c -- breaker, latency, credit, pick, affinity: pure, with a clock of the test's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/affinity.h"
#include "sched/breaker.h"
#include "sched/credits.h"
#include "sched/latency.h"
#include "sched/pick.h"
#include "unit.h"

static const struct breaker_settings settings = BREAKER_DEFAULTS;

/* -- Breaker ------------------------------------------------------------------------ */

static int end(struct breaker *b, enum breaker_outcome o, uint64_t wait, uint64_t now) {
    struct breaker_ticket t;
    if (!breaker_admit(b, &settings, now, &t)) breaker_force(b, &t);
    return breaker_settle(b, &settings, &t, o, wait, "why", now);
}

static enum breaker_state state_at(struct breaker *b, uint64_t now) {
    struct breaker_view v;
    breaker_look(b, now, &v);
    return v.state;
}

TEST_NOFAULT(failures_in_a_row_open_it_and_a_good_one_between_does_not) {
    struct breaker b;
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 4; i++) CHECK_INT(end(&b, BREAKER_FAILED, 0, 1000), 0);
    CHECK_INT(end(&b, BREAKER_GOOD, 0, 1000), 0);
    for (int i = 0; i < 4; i++) CHECK_INT(end(&b, BREAKER_DARK, 0, 1000), 0);
    CHECK_INT(state_at(&b, 1000), BREAKER_CLOSED);
    CHECK_INT(end(&b, BREAKER_DARK, 0, 1000), BREAKER_HAS_OPENED);
    CHECK_INT(state_at(&b, 1000), BREAKER_OPEN);
    uint64_t wait = breaker_refuses(&b, 1000);
    CHECK(wait >= 4000 && wait <= 6000);
    breaker_deinit(&b);
}

TEST_NOFAULT(a_share_of_failures_opens_it_but_not_of_few_calls_or_old_ones) {
    struct breaker b;
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 4; i++) {
        end(&b, BREAKER_GOOD, 0, 1000);
        CHECK_INT(end(&b, BREAKER_FAILED, 0, 1000), 0);
    }
    /* 30 seconds later these count for nothing. */
    end(&b, BREAKER_GOOD, 0, 31500);
    CHECK_INT(end(&b, BREAKER_FAILED, 0, 31500), 0);
    for (int i = 0; i < 3; i++) {
        end(&b, BREAKER_GOOD, 0, 32000);
        CHECK_INT(end(&b, BREAKER_FAILED, 0, 32000), 0);
    }
    end(&b, BREAKER_GOOD, 0, 32000);
    CHECK_INT(end(&b, BREAKER_FAILED, 0, 32000), BREAKER_HAS_OPENED);
    breaker_deinit(&b);
}

TEST_NOFAULT(what_says_nothing_counts_for_nothing) {
    struct breaker b;
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 1000; i++) end(&b, BREAKER_NONE, 0, 1000);
    struct breaker_view v;
    breaker_look(&b, 1000, &v);
    CHECK_INT(v.state, BREAKER_CLOSED);
    CHECK_UINT(v.good + v.bad + v.row, 0);
    breaker_deinit(&b);
}

static void open_at(struct breaker *b, uint64_t now) {
    while (state_at(b, now) != BREAKER_OPEN) end(b, BREAKER_FAILED, 0, now);
}

TEST_NOFAULT(two_probes_close_it_and_no_third_goes_meanwhile) {
    struct breaker b;
    struct breaker_ticket one, two, three;
    CHECK_INT(breaker_init(&b, 1), 0);
    open_at(&b, 1000);
    CHECK(!breaker_admit(&b, &settings, 4900, &one));
    CHECK(breaker_admit(&b, &settings, 7001, &one));
    CHECK(breaker_admit(&b, &settings, 7001, &two));
    CHECK(!breaker_admit(&b, &settings, 7001, &three));
    breaker_drop(&b, &two); /* its client left: another may go */
    CHECK(breaker_admit(&b, &settings, 7002, &two));
    CHECK_INT(breaker_settle(&b, &settings, &one, BREAKER_GOOD, 0, NULL, 7100), 0);
    CHECK_INT(breaker_settle(&b, &settings, &two, BREAKER_GOOD, 0, NULL, 7100), BREAKER_HAS_CLOSED);
    CHECK(breaker_admit(&b, &settings, 7101, &three));
    CHECK_UINT(atomic_load(&b.refused), 2);
    breaker_deinit(&b);
}

TEST_NOFAULT(a_failed_probe_doubles_up_to_the_cap_with_jitter) {
    struct breaker b;
    uint64_t now = 1000, least = 4000;
    CHECK_INT(breaker_init(&b, 7), 0);
    open_at(&b, now);
    for (int i = 0; i < 8; i++) {
        struct breaker_ticket t;
        uint64_t wait = breaker_refuses(&b, now);
        CHECK(wait >= (least < 96000 ? least : 96000) && wait <= 120000 && wait <= least * 3 / 2);
        now += wait;
        CHECK(breaker_admit(&b, &settings, now, &t));
        CHECK_INT(breaker_settle(&b, &settings, &t, BREAKER_DARK, 0, "x", now), BREAKER_HAS_OPENED);
        least *= 2;
    }
    breaker_deinit(&b);
}

TEST_NOFAULT(calls_of_before_say_nothing_of_what_is) {
    struct breaker b;
    struct breaker_ticket late[6], probe;
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 6; i++) CHECK(breaker_admit(&b, &settings, 1000, &late[i]));
    open_at(&b, 1000);
    CHECK_INT(breaker_settle(&b, &settings, &late[0], BREAKER_GOOD, 0, NULL, 1500), 0);
    CHECK_INT(state_at(&b, 1500), BREAKER_OPEN);
    CHECK(breaker_admit(&b, &settings, 7001, &probe));
    CHECK_INT(breaker_settle(&b, &settings, &late[1], BREAKER_FAILED, 0, "x", 7002), 0);
    CHECK_INT(state_at(&b, 7002), BREAKER_HALF_OPEN);
    breaker_deinit(&b);
}

TEST_NOFAULT(a_429_rests_as_it_says_within_bounds) {
    struct { uint64_t said, least, most; } cases[] = {
        { 3000, 3000, 3000 }, { 1, 100, 100 }, { 1000000000, 120000, 120000 }, { 0, 800, 1300 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct breaker b;
        CHECK_INT(breaker_init(&b, 1), 0);
        CHECK_INT(end(&b, BREAKER_LIMITED, cases[i].said, 1000), BREAKER_HAS_OPENED);
        uint64_t wait = breaker_refuses(&b, 1000);
        CHECK(wait >= cases[i].least && wait <= cases[i].most);
        breaker_deinit(&b);
    }
}

TEST_NOFAULT(an_empty_account_rests_until_its_date_or_an_hour) {
    struct breaker b;
    CHECK_INT(breaker_init(&b, 1), 0);
    end(&b, BREAKER_QUOTA, 0, 1000);
    CHECK_UINT(breaker_refuses(&b, 1000), 3600000);
    breaker_deinit(&b);
    CHECK_INT(breaker_init(&b, 1), 0);
    end(&b, BREAKER_QUOTA, UINT64_C(999999999), 1000);
    CHECK_UINT(breaker_refuses(&b, 1000), 86400000);
    CHECK(!breaker_wants_scout(&b, 50000)); /* no question finds money */
    breaker_deinit(&b);
}

TEST_NOFAULT(a_refused_key_alarms_once_until_it_was_good) {
    struct breaker b;
    CHECK_INT(breaker_init(&b, 1), 0);
    CHECK_INT(end(&b, BREAKER_DENIED, 0, 1000), BREAKER_HAS_OPENED | BREAKER_ALARM);
    CHECK_INT(end(&b, BREAKER_DENIED, 0, 8000), BREAKER_HAS_OPENED);
    CHECK_UINT(atomic_load(&b.alarms), 1);
    end(&b, BREAKER_GOOD, 0, 9000); /* somebody asked all the same */
    end(&b, BREAKER_GOOD, 0, 9000);
    CHECK_INT(state_at(&b, 9000), BREAKER_CLOSED);
    CHECK_INT(end(&b, BREAKER_DENIED, 0, 9000), BREAKER_HAS_OPENED | BREAKER_ALARM);
    breaker_deinit(&b);
}

TEST_NOFAULT(a_clock_that_is_set_back_makes_no_opening_longer) {
    struct breaker b;
    struct breaker_ticket t;
    CHECK_INT(breaker_init(&b, 1), 0);
    open_at(&b, 1000000);
    CHECK(!breaker_admit(&b, &settings, 1000, &t));
    CHECK(breaker_admit(&b, &settings, 7001, &t));
    breaker_deinit(&b);
}

TEST_NOFAULT(a_scout_ends_the_waiting_and_goes_later_when_it_was_wrong) {
    struct breaker b;
    struct breaker_ticket t;
    CHECK_INT(breaker_init(&b, 1), 0);
    open_at(&b, 1000);
    CHECK(!breaker_wants_scout(&b, 2999));
    CHECK(breaker_wants_scout(&b, 3000));
    CHECK(!breaker_wants_scout(&b, 3001)); /* one at a time */
    breaker_scouted(&b, false, 3002);
    CHECK(breaker_refuses(&b, 3002) > 0);
    breaker_scouted(&b, true, 3003);
    CHECK(breaker_admit(&b, &settings, 3003, &t));
    breaker_settle(&b, &settings, &t, BREAKER_FAILED, 0, "x", 3003);
    CHECK(breaker_refuses(&b, 3003) >= 8000);
    CHECK(!breaker_wants_scout(&b, 3003 + 3999));
    CHECK(breaker_wants_scout(&b, 3003 + 4000));
    breaker_deinit(&b);
}

TEST_NOFAULT(probes_that_went_by_themselves_do_not_slow_scouts_down) {
    struct breaker b;
    struct breaker_ticket t;
    CHECK_INT(breaker_init(&b, 1), 0);
    open_at(&b, 1000);
    for (uint64_t now = 100000; now < 500000; now += 100000) { /* each opening is over, and its probe fails */
        CHECK(breaker_admit(&b, &settings, now, &t));
        CHECK(t.probe);
        breaker_settle(&b, &settings, &t, BREAKER_DARK, 0, "x", now);
        CHECK(!breaker_wants_scout(&b, now + 1999));
        CHECK(breaker_wants_scout(&b, now + 2000));
        breaker_scouted(&b, false, now + 2001);
    }
    breaker_deinit(&b);
}

TEST_NOFAULT(a_stream_that_breaks_off_was_not_good) {
    struct breaker b;
    struct breaker_view v;
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 9; i++) {
        end(&b, BREAKER_GOOD, 0, 1000); /* it began, ... */
        int changed = breaker_broke(&b, &settings, BREAKER_FAILED, 0, "cut", 5000); /* ... and broke off */
        CHECK_INT(changed, 0);
    }
    breaker_look(&b, 5000, &v);
    CHECK_UINT(v.good, 0);
    CHECK_UINT(v.bad, 9);
    end(&b, BREAKER_GOOD, 0, 5000);
    CHECK_INT(breaker_broke(&b, &settings, BREAKER_FAILED, 0, "cut", 5000), BREAKER_HAS_OPENED);
    CHECK_INT(breaker_broke(&b, &settings, BREAKER_FAILED, 0, "cut", 5000), 0);
    CHECK_INT(breaker_broke(&b, &settings, BREAKER_NONE, 0, NULL, 5000), 0);
    breaker_deinit(&b);
}

TEST(credits_have_names_and_a_most) {
    struct credits *all = credits_new();
    if (all == NULL) return;
    struct credit *a = credits_get(all, SLICE("a")), *b = credits_get(all, SLICE("b"));
    CHECK(a == NULL || a != b);
    CHECK(a == NULL || credits_get(all, SLICE("a")) == a);
    char name[16];
    for (int i = 0; i < CREDITS_MAX && a != NULL && b != NULL; i++) {
        snprintf(name, sizeof(name), "%d", i);
        struct credit *c = credits_get(all, slice_str(name));
        CHECK(c == NULL || i < CREDITS_MAX - 2);
        if (c == NULL) break;
    }
    credits_free(all);
}

static void *hammer(void *ud) {
    struct breaker *b = ud;
    for (uint64_t i = 0; i < 20000; i++) {
        struct breaker_ticket t;
        if (!breaker_admit(b, &settings, i, &t)) breaker_force(b, &t);
        if (i % 7 == 0) breaker_drop(b, &t);
        else breaker_settle(b, &settings, &t, i % 3 ? BREAKER_FAILED : BREAKER_GOOD, 0, "x", i);
    }
    return NULL;
}

TEST_NOFAULT(threads_lose_no_probe) {
    struct breaker b;
    struct breaker_ticket t;
    pthread_t threads[4];
    CHECK_INT(breaker_init(&b, 1), 0);
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, hammer, &b);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    open_at(&b, 30000);
    CHECK(breaker_admit(&b, &settings, 200000, &t)); /* places for probes were given back */
    breaker_deinit(&b);
}

/* -- Latency, credit ---------------------------------------------------------------------- */

TEST_NOFAULT(quantiles_are_within_a_fifth_and_the_past_fades) {
    struct latency l = { .total = 0 };
    CHECK_UINT(latency_quantile(&l, 0.5, 0), 0);
    for (int i = 0; i < 99; i++) latency_add(&l, 10000, 1000);
    latency_add(&l, 200000, 1000);
    uint64_t p50 = latency_quantile(&l, 0.5, 1000), p99 = latency_quantile(&l, 0.995, 1000);
    CHECK(p50 >= 10000 && p50 <= 12000);
    CHECK(p99 >= 200000 && p99 <= 240000);
    for (uint64_t at = 2000; at < 400000; at += 1000) latency_add(&l, 1000, at);
    CHECK(latency_quantile(&l, 0.99, 400000) <= 1200);
    CHECK_UINT(latency_quantile(&l, 0.5, 500000), 0); /* nothing new for long */
    latency_add(&l, UINT64_MAX / 2, 500000);
    latency_add(&l, 0, 1); /* the clock was set back */
}

TEST_NOFAULT(a_share_and_a_floor_and_no_more) {
    struct credit c = { .at_ms = 0 };
    for (int i = 0; i < 10; i++) credit_earn(&c, 100, 0, 30000, 1000);
    CHECK(credit_spend(&c));
    CHECK(!credit_spend(&c));
    struct credit f = { .at_ms = 0 };
    credit_earn(&f, 0, 3000, 30000, 1000); /* begins with ten seconds of the floor */
    for (int i = 0; i < 30; i++) CHECK(credit_spend(&f));
    CHECK(!credit_spend(&f));
    credit_earn(&f, 0, 3000, 30000, 2000);
    for (int i = 0; i < 3; i++) CHECK(credit_spend(&f));
    CHECK(!credit_spend(&f));
    credit_earn(&f, 100, 3000, 30000, 1500);          /* set back */
    credit_earn(&f, 100, 3000, 30000, 1000000000000); /* and far ahead */
    int n = 0;
    while (credit_spend(&f)) n++;
    CHECK_INT(n, 30);
    struct credit rare = { .at_ms = 0 }; /* one in ten seconds, asked a thousand times in one */
    credit_earn(&rare, 0, 100, 1000, 1);
    CHECK(credit_spend(&rare));
    for (uint64_t now = 1; now < 9990; now++) credit_earn(&rare, 0, 100, 1000, now);
    CHECK(!credit_spend(&rare));
    for (uint64_t now = 9990; now < 10020; now++) credit_earn(&rare, 0, 100, 1000, now);
    CHECK(credit_spend(&rare));
    struct credit none = { .at_ms = 0 };
    credit_earn(&none, 0, 0, 0, 1000);
    CHECK(!credit_spend(&none));
}

/* -- Pick ----------------------------------------------------------------------------------- */

static void members(struct pick_member *m, unsigned n) {
    for (unsigned i = 0; i < n; i++) m[i] = (struct pick_member){ .ready = true, .weight = 1, .id = i + 1 };
}

TEST_NOFAULT(weights_hold_in_any_run_of_turns) {
    struct pick_member m[3];
    unsigned got[3] = { 0 };
    members(m, 3);
    m[1].weight = 2;
    for (uint64_t turn = 1000; turn < 1040; turn++) got[pick_weighted(m, 3, turn)]++;
    CHECK(abs((int)got[0] - 10) <= 2 && abs((int)got[1] - 20) <= 2 && abs((int)got[2] - 10) <= 2);
    m[1].ready = false;
    for (uint64_t turn = 0; turn < 100; turn++) CHECK(pick_weighted(m, 3, turn) != 1);
    m[0].ready = m[2].ready = false;
    CHECK_INT(pick_weighted(m, 3, 5), -1);
}

TEST_NOFAULT(the_fewest_calls_the_quickest_the_cheapest) {
    struct rng rng;
    struct pick_member m[3];
    rng_seed(&rng, 3);
    members(m, 3);
    m[0].in_flight = m[2].in_flight = 3;
    CHECK_INT(pick_least(m, 3, &rng), 1);
    m[2].weight = 8;
    CHECK_INT(pick_least(m, 3, &rng), 2);
    members(m, 2);
    m[0].latency_us = 1000;
    m[1].latency_us = 20000;
    for (int i = 0; i < 20; i++) CHECK_INT(pick_latency(m, 2, &rng), 0);
    m[0].in_flight = 50; /* the quick one has much to do */
    CHECK_INT(pick_latency(m, 2, &rng), 1);
    members(m, 3);
    m[0].price = 2;
    m[1].price = m[2].price = 1;
    m[1].in_flight = 1;
    CHECK_INT(pick_price(m, 3, &rng), 2);
    m[1].ready = m[2].ready = false;
    CHECK_INT(pick_price(m, 3, &rng), 0);
    m[0].ready = false;
    CHECK_INT(pick_price(m, 3, &rng), -1);
    CHECK_INT(pick_least(m, 3, &rng), -1);
    CHECK_INT(pick_latency(m, 3, &rng), -1);
    CHECK_INT(pick_prefix(m, 3, &rng), -1);
    CHECK_INT(pick_sticky(m, 3, 4), -1);
}

TEST_NOFAULT(equals_get_the_same) {
    struct rng rng;
    struct pick_member m[4];
    unsigned got[4] = { 0 };
    rng_seed(&rng, 5);
    members(m, 4);
    for (int i = 0; i < 4000; i++) got[pick_least(m, 4, &rng)]++;
    for (int i = 0; i < 4; i++) CHECK(got[i] > 850 && got[i] < 1150);
}

TEST_NOFAULT(when_a_member_goes_only_its_keys_move) {
    struct pick_member m[5];
    unsigned got[5] = { 0 };
    members(m, 5);
    for (uint64_t key = 0; key < 5000; key++) {
        m[2].ready = true;
        int before = pick_sticky(m, 5, key * 977);
        got[before]++;
        m[2].ready = false;
        int after = pick_sticky(m, 5, key * 977);
        CHECK(before == 2 || after == before);
    }
    for (int i = 0; i < 5; i++) CHECK(got[i] > 850 && got[i] < 1150);
}

TEST_NOFAULT(who_remembers_is_asked_until_it_has_too_much_to_do) {
    struct rng rng;
    struct pick_member m[4];
    rng_seed(&rng, 9);
    members(m, 4);
    m[1].matched = 3;
    m[3].matched = 7;
    CHECK_INT(pick_prefix(m, 4, &rng), 3);
    for (int i = 0; i < 4; i++) m[i].in_flight = 10;
    m[3].in_flight = 16; /* of 46: its share is 12, and 15 with a quarter more */
    CHECK_INT(pick_prefix(m, 4, &rng), 1);
    m[3].ready = m[1].ready = false;
    CHECK(pick_prefix(m, 4, &rng) % 2 == 0);
}

TEST(a_prompt_is_long_where_much_of_it_is_new) {
    static const uint64_t ends[] = { 300, 1324, 2348 };
    struct pick_member m[3] = { { .ready = true }, { .ready = true }, { .ready = true } };
    uint64_t longs = 4; /* the third */
    CHECK(!pick_is_long(m, 3, longs, ends, 1000, 1000));
    CHECK(pick_is_long(m, 3, longs, ends, 1001, 1000));
    m[1].matched = 2; /* 1324 bytes are known to one of those for short ones */
    CHECK(!pick_is_long(m, 3, longs, ends, 2324, 1000));
    CHECK(pick_is_long(m, 3, longs, ends, 2325, 1000));
    m[1].ready = false; /* who is not there remembers nothing */
    CHECK(pick_is_long(m, 3, longs, ends, 2324, 1000));
    m[2].matched = 3; /* what those for long ones know does not make it short for the others */
    CHECK(pick_is_long(m, 3, longs, ends, 2400, 1000));
    CHECK(!pick_is_long(m, 3, longs, ends, 0, 0)); /* no chat */
    m[1] = (struct pick_member){ .ready = true, .matched = 3 };
    CHECK(!pick_is_long(m, 3, longs, ends, 2000, 0)); /* tables may be wrong: never below nothing */
}

TEST_NOFAULT(half_of_a_pool_rests_at_most) {
    uint64_t wait[4] = { 500, 100, 900, 0 };
    CHECK_UINT(pick_suspects(wait, 4), 2); /* the one with the least to wait */
    wait[0] = 0;
    CHECK_UINT(pick_suspects(wait, 4), 0);
    uint64_t all[2] = { 5, 3 };
    CHECK_UINT(pick_suspects(all, 2), 2);
    CHECK_UINT(pick_suspects(all, 1), 1);
    uint64_t every[6] = { 5, 3, 9, 2, 8, 7 };
    CHECK_UINT(pick_suspects(every, 6), 8); /* one, when there is nobody else */
}

/* -- Affinity -------------------------------------------------------------------------------- */

TEST_NOFAULT(the_longest_beginning_is_found) {
    struct affinity *a = affinity_new();
    uint64_t blocks[4] = { UINT64_C(0x1111111111110000), UINT64_C(0x2222222222220000), UINT64_C(0x3333333333330000),
                           UINT64_C(0x4444444444440000) };
    uint16_t who[3] = { 7, 8, 9 };
    unsigned matched[3];
    CHECK(a != NULL);
    affinity_note(a, blocks, 2, 7, 1000);
    affinity_note(a, blocks, 4, 8, 1000);
    affinity_match(a, blocks, 4, who, 3, 2000, matched);
    CHECK_UINT(matched[0], 2);
    CHECK_UINT(matched[1], 4);
    CHECK_UINT(matched[2], 0);
    for (uint16_t other = 20; other < 24; other++) affinity_note(a, blocks, 1, other, 2000);
    affinity_match(a, blocks, 4, who, 3, 2000, matched); /* four are enough */
    CHECK_UINT(matched[0] + matched[1], 0);
    affinity_match(a, blocks, 4, (uint16_t[]){ 23 }, 1, 2000, matched);
    CHECK_UINT(matched[0], 1);
    affinity_match(a, blocks, 4, (uint16_t[]){ 23 }, 1, 2 * 3600 * 1000, matched); /* the engine has forgotten */
    CHECK_UINT(matched[0], 0);
    affinity_free(a);
}

TEST_NOFAULT(new_beginnings_push_out_the_oldest) {
    struct affinity *a = affinity_new();
    struct rng rng;
    uint16_t who[1] = { 1 };
    unsigned matched[1], kept = 0;
    CHECK(a != NULL);
    rng_seed(&rng, 11);
    for (int i = 0; i < 500000; i++) affinity_note(a, (uint64_t[]){ rng_next(&rng) }, 1, 1, (uint64_t)i);
    rng_seed(&rng, 11);
    for (int i = 0; i < 500000; i++) {
        affinity_match(a, (uint64_t[]){ rng_next(&rng) }, 1, who, 1, 500000, matched);
        if (i >= 490000) kept += matched[0];
        else if (i < 10000) CHECK(matched[0] <= 1);
    }
    CHECK(kept > 9500);
    affinity_free(a);
}

