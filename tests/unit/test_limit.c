/* test_limit.c -- how much of something a key may have in a window. */
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "sched/limit.h"
#include "sched/limit_meter.h"

#define BIT(kind, window) ((unsigned)(kind) * LIMIT_WINDOWS + (unsigned)(window))
#define RPM BIT(LIMIT_REQUESTS, LIMIT_MINUTE)
#define RPS BIT(LIMIT_REQUESTS, LIMIT_SECOND)
#define RPD BIT(LIMIT_REQUESTS, LIMIT_DAY)
#define TPM BIT(LIMIT_TOKENS, LIMIT_MINUTE)
#define USD BIT(LIMIT_USD, LIMIT_DAY)
#define DAY 86400

static struct limit_rule rule_of(unsigned meter, double most) {
    struct limit_rule r = { .mask = 1u << meter, .slots = -1 };
    r.most[meter] = most;
    return r;
}

static void add(struct limit_rule *r, unsigned meter, double most) {
    r->mask |= 1u << meter;
    r->most[meter] = most;
}

static struct limit_clock at(uint64_t ms) { return (struct limit_clock){ .mono_ms = 1000 + ms, .wall_s = 20000 * DAY + (int64_t)(ms / 1000) }; }

static struct limit_ask requests(double n) { return (struct limit_ask){ .amount = { n }, .most_out = INFINITY, .slots = 1 }; }

struct try {
    struct limit_group *g;
    struct limit_rule   rule;
    struct limit_hold   hold;
    struct limit_verdict v;
};

static int take(struct try *t, const char *key, struct limit_ask ask, struct limit_clock now) {
    return limits_take(t->g, &t->rule, slice_str(key), &ask, now, false, &t->hold, &t->v);
}

/* Takes a request and ends it at once. */
static int pass(struct try *t, const char *key, uint64_t ms) {
    int rc = take(t, key, requests(1), at(ms));
    limits_settle(&t->hold, &(struct limit_use){ .out = -1 }, at(ms));
    return rc;
}

TEST_FAULT(takes_settles_and_refuses) {
    struct limits *l = limits_new(1 << 20);
    if (FAULTED(l)) return;
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPM, 2) };
    if (FAULTED(t.g)) goto done;
    CHECK_NOMEM(pass(&t, "k", 0), done);
    CHECK_NOMEM(pass(&t, "k", 0), done);
    CHECK_INT(pass(&t, "k", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.meter, RPM);
    CHECK_INT((int)t.v.wait_ms, 30000);
    CHECK_INT((int)t.v.row[LIMIT_REQUESTS].left, 0);
    CHECK_INT((int)t.v.row[LIMIT_REQUESTS].reset_ms, 60000);
    CHECK_NOMEM(pass(&t, "other", 0), done);
    CHECK_INT(pass(&t, "k", 29999), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.wait_ms, 1);
    CHECK_NOMEM(pass(&t, "k", 30000), done);
done:
    limits_free(l);
}

TEST(a_refusal_by_one_window_takes_nothing_of_the_others) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPS, 1) };
    CHECK(t.g != NULL);
    add(&t.rule, RPD, 3);
    t.rule.slots = 1;
    CHECK_INT(pass(&t, "k", 0), 0);
    for (int i = 0; i < 100; i++) CHECK_INT(pass(&t, "k", 10), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.meter, RPS);
    CHECK_INT(pass(&t, "k", 1000), 0);
    CHECK_INT(take(&t, "k", requests(1), at(2000)), 0);
    struct limit_hold first = t.hold;
    CHECK_INT(take(&t, "k", requests(1), at(3000)), PERILUNE_ERR_LIMITED); /* of the day, and of those at once */
    CHECK_INT((int)t.v.meter, RPD);
    limits_settle(&first, &(struct limit_use){ .out = -1 }, at(3000));
    CHECK_INT(pass(&t, "k", 4000), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)(t.v.wait_ms / 1000), DAY - 4);
    CHECK_INT(pass(&t, "k", DAY * UINT64_C(1000)), 0);
    limits_free(l);
}

TEST(a_reservation_is_settled_by_what_was_used) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(TPM, 1000) };
    CHECK(t.g != NULL);
    struct limit_ask ask = { .amount = { 1, 100 }, .answers = true, .model = 7, .most_out = 800, .slots = 1 };
    CHECK_INT(take(&t, "k", ask, at(0)), 0);
    CHECK_INT((int)t.v.reserved[LIMIT_TOKENS], 900);
    struct limit_hold first = t.hold;
    CHECK_INT(take(&t, "k", ask, at(0)), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.row[LIMIT_TOKENS].left, 100);
    limits_settle(&first, &(struct limit_use){ .tokens = 150, .model = 7, .out = 50 }, at(0));
    limits_settle(&first, &(struct limit_use){ .tokens = 150, .model = 7, .out = 50 }, at(0)); /* once is enough */
    CHECK_INT(take(&t, "k", ask, at(0)), 0); /* by now it is known how long answers are */
    CHECK_INT((int)t.v.reserved[LIMIT_TOKENS], 150);
    CHECK_INT((int)t.v.row[LIMIT_TOKENS].left, 700);
    limits_settle(&t.hold, &(struct limit_use){ .tokens = 5000, .model = 7, .out = 4900 }, at(0));
    CHECK_INT(take(&t, "k", ask, at(60000)), PERILUNE_ERR_LIMITED); /* a debt */
    CHECK_INT(take(&t, "new key", ask, at(60000)), 0); /* learned of the others */
    CHECK((int)t.v.reserved[LIMIT_TOKENS] > 1 && t.v.reserved[LIMIT_TOKENS] <= 900);
    limits_give_back(&t.hold, at(60000));
    limits_free(l);
}

TEST(no_first_request_is_refused_for_its_length) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(TPM, 100) };
    CHECK(t.g != NULL);
    add(&t.rule, USD, 1000);
    struct limit_ask ask = { .amount = { 1, 5000, 1e6 }, .answers = true, .most_out = 1e6, .out_usd = 1000, .slots = 1 };
    CHECK_INT(take(&t, "k", ask, at(0)), 0);
    CHECK_INT((int)t.v.reserved[LIMIT_TOKENS], 100);
    CHECK_INT((int)t.v.reserved[LIMIT_USD], 1000);
    limits_give_back(&t.hold, at(0));
    CHECK_INT(take(&t, "k", (struct limit_ask){ .most_out = INFINITY }, at(0)), 0);
    CHECK_INT((int)t.v.reserved[LIMIT_TOKENS], 1); /* nobody is for nothing */
    limits_give_back(&t.hold, at(0));
    limits_free(l);
}

TEST(a_limit_of_zero_refuses_all) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPM, 0) };
    CHECK(t.g != NULL);
    CHECK_INT(pass(&t, "k", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.wait_ms, 0);
    t.rule = (struct limit_rule){ .slots = 0 };
    CHECK_INT(pass(&t, "k", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.meter, LIMIT_SLOTS);
    CHECK_INT((int)t.v.wait_ms, 0);
    limits_free(l);
}

TEST(what_was_used_stays_used_after_a_reload) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPM, 10) };
    CHECK(t.g != NULL);
    for (int i = 0; i < 8; i++) CHECK_INT(pass(&t, "k", 0), 0);
    CHECK_INT(take(&t, "k", requests(1), at(0)), 0); /* begun before it, ended behind it */
    struct limit_hold old = t.hold;
    t.rule = rule_of(RPM, 11);
    add(&t.rule, TPM, 100);
    add(&t.rule, RPS, 50);
    CHECK_INT(pass(&t, "k", 0), 0);
    limits_settle(&old, &(struct limit_use){ .tokens = 60, .out = -1 }, at(0)); /* it had reserved no tokens */
    CHECK_INT(pass(&t, "k", 0), 0);
    CHECK_INT(pass(&t, "k", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.row[LIMIT_TOKENS].left, 100);
    limits_free(l);
}

TEST(clocks_that_jump_are_harmless) {
    struct limits *l = limits_new(1 << 20);
    CHECK(l != NULL);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPD, 1) };
    CHECK(t.g != NULL);
    struct limit_clock now = at(10000);
    struct limit_ask one = requests(1);
    one.slots = 0;
    CHECK_INT(take(&t, "k", one, now), 0);
    now.wall_s -= 3 * DAY;
    now.mono_ms += 1000;
    CHECK_INT(take(&t, "k", one, now), PERILUNE_ERR_LIMITED);
    now.wall_s += 20 * 365 * DAY; /* one day's amount, and no more for jumping back and forth */
    CHECK_INT(take(&t, "k", one, now), 0);
    now.wall_s -= 20 * 365 * DAY;
    CHECK_INT(take(&t, "k", one, now), PERILUNE_ERR_LIMITED);
    now.mono_ms += DAY * UINT64_C(1000); /* a real day later */
    CHECK_INT(take(&t, "k", one, now), 0);
    t.rule = rule_of(RPM, 1); /* a thread that looks at the clock less often */
    CHECK_INT(take(&t, "m", one, at(60000)), 0);
    CHECK_INT(take(&t, "m", one, at(1000)), PERILUNE_ERR_LIMITED);
    CHECK_INT(take(&t, "m", one, at(119999)), PERILUNE_ERR_LIMITED);
    CHECK_INT(take(&t, "m", one, at(120000)), 0);
    limits_free(l);
}

TEST_NOFAULT(months_are_those_of_the_calendar) {
    static const struct { int64_t wall; int year, month; uint64_t left_s; } rows[] = {
        { 0, 1970, 1, 31 * DAY }, { 951782400, 2000, 2, DAY }, /* 29 February */
        { 951868800, 2000, 3, 31 * DAY }, { 1767225599, 2025, 12, 1 }, { 1767225600, 2026, 1, 31 * DAY },
        { 4107542399, 2100, 2, 1 }, { 4107542400, 2100, 3, 31 * DAY },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint64_t left;
        CHECK_INT((int)limit_period(LIMIT_MONTH, rows[i].wall, &left), rows[i].year * 12 + rows[i].month - 1);
        CHECK_INT((int)(left / 1000), (int)rows[i].left_s);
    }
}

TEST_NOFAULT(keys_by_the_million_take_bounded_memory) {
    struct limits *l = limits_new(8u << 20);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPD, 2) };
    char key[32];
    add(&t.rule, TPM, 1000);
    CHECK_INT(take(&t, "busy", requests(1), at(0)), 0);
    struct limit_hold busy = t.hold;
    for (int i = 0; i < 1000000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        CHECK_INT(pass(&t, key, 0), 0);
        if (i % 1000 == 0) pass(&t, "often", 0);
    }
    CHECK(limits_bytes(l) <= 8u << 20);
    CHECK_INT(pass(&t, "often", 0), PERILUNE_ERR_LIMITED); /* not forgotten: it was not idle for long */
    CHECK_INT(pass(&t, "key 999999", 0), 0);
    CHECK_INT(pass(&t, "key 999999", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT(pass(&t, "key 0", 0), 0);
    CHECK_INT(pass(&t, "key 0", 0), 0);
    CHECK_INT(pass(&t, "busy", 0), 0); /* what is reserved is not forgotten: one was taken */
    CHECK_INT(pass(&t, "busy", 0), PERILUNE_ERR_LIMITED);
    limits_settle(&busy, &(struct limit_use){ .out = -1 }, at(0));
    const struct limit_stats *n = limits_stats(l, 0);
    CHECK(stats_get(&n->forgotten) + stats_get(&n->keys) >= 1000000);
    CHECK_INT((int)stats_get(&n->held[LIMIT_TOKENS]), 0);
    CHECK_INT((int)stats_get(&n->held_requests), 0);
    limits_free(l);
}

/* Keys that somebody makes up: a bucket that fills up again, a day of which little is used. */
TEST_NOFAULT(made_up_keys_give_nobody_a_new_limit) {
    struct limits *l = limits_new(1 << 20);
    struct try own = { .g = limits_group(l, SLICE("own")), .rule = rule_of(USD, 100) };
    struct try minute = { .g = limits_group(l, SLICE("minute")), .rule = rule_of(RPM, 60) };
    struct try day = { .g = limits_group(l, SLICE("day")), .rule = rule_of(RPD, 100) };
    struct limit_ask ask = { .amount = { 0, 0, 80 }, .most_out = INFINITY };
    char key[32];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "tenant %d", i);
        CHECK_INT(take(&own, key, ask, at(0)), 0);
        limits_settle(&own.hold, &(struct limit_use){ .usd = i % 2 ? 80 : 200, .out = -1 }, at(0));
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "made up %d", i);
        CHECK_INT(pass(i % 2 ? &minute : &day, key, (uint64_t)i), 0);
    }
    CHECK(limits_bytes(l) <= 1 << 20);
    CHECK_INT((int)stats_get(&limits_stats(l, 0)->forgotten), 0);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "tenant %d", i);
        CHECK_INT(take(&own, key, ask, at(100000)), PERILUNE_ERR_LIMITED);
    }
    limits_free(l);
}

/* Nobody has less to lose than the others: the oldest go, and there is room. */
TEST_NOFAULT(keys_that_are_all_over_their_limit_make_room_too) {
    struct limits *l = limits_new(1 << 18);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPD, 1) };
    char key[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        CHECK_INT(pass(&t, key, 0), 0);
    }
    CHECK(limits_bytes(l) <= 1 << 18);
    CHECK_INT(pass(&t, "key 19999", 0), PERILUNE_ERR_LIMITED);
    CHECK_INT(pass(&t, "key 0", 0), 0);
    limits_free(l);
}

TEST_NOFAULT(when_all_keys_are_in_use_there_is_no_room) {
    struct limits *l = limits_new(64 << 10);
    struct try t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPM, 1) };
    static struct limit_hold holds[4096];
    char key[32];
    int n = 0, rc = 0;
    for (; rc == 0 && n < 4096; n++) {
        snprintf(key, sizeof(key), "%d", n);
        rc = take(&t, key, requests(1), at(0));
        holds[n] = t.hold;
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK_INT((int)t.v.meter, LIMIT_FULL);
    CHECK(t.v.wait_ms > 0);
    for (int i = 0; i < n; i++) limits_give_back(&holds[i], at(0));
    CHECK_INT(pass(&t, key, 0), 0);
    limits_free(l);
}

#define THREADS 4
#define TRIES   20000

struct crowd {
    struct try t;
    int passed;
};

static void *crowd_main(void *arg) {
    struct crowd *c = arg;
    for (int i = 0; i < TRIES; i++) {
        struct limit_ask ask = { .amount = { 1, 10 }, .most_out = INFINITY, .slots = 1 };
        if (take(&c->t, "k", ask, at(0)) != 0) continue;
        c->passed++;
        if (i % 3 == 0) limits_give_back(&c->t.hold, at(0));
        else limits_settle(&c->t.hold, &(struct limit_use){ .tokens = 5, .out = -1 }, at(0));
        if (i % 3 == 0) c->passed--;
    }
    return NULL;
}

TEST_NOFAULT(threads_take_exactly_what_there_is) {
    struct limits *l = limits_new(1 << 20);
    struct crowd crowd[THREADS];
    pthread_t threads[THREADS];
    int passed = 0;
    for (int i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){ .t = { .g = limits_group(l, SLICE("a")), .rule = rule_of(RPM, 9000) } };
        add(&crowd[i].t.rule, TPM, 1e6);
        CHECK_INT(pthread_create(&threads[i], NULL, crowd_main, &crowd[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        passed += crowd[i].passed;
    }
    CHECK_INT(passed, 9000);
    take(&crowd[0].t, "k", requests(1), at(0));
    CHECK_INT((int)crowd[0].t.v.row[LIMIT_TOKENS].left, 1000000 - 9000 * 5);
    limits_free(l);
}
