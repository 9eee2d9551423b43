/* test_sampler.c -- the next token, and text that may not be given yet. */
#include "local/sampler.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "unit.h"

#define VOCAB 1000

static float logits[VOCAB];
static struct sampler_candidate room[VOCAB];

/* Token 7 is e times as likely as 8, and so on; all others are next to impossible. */
static void steps(void) {
    for (int i = 0; i < VOCAB; i++) logits[i] = i >= 7 && i < 17 ? (float)(7 - i) : -60;
}

static void counts(const struct sampling *how, unsigned n, unsigned *out) {
    struct sampler s;
    sampler_init(&s, how, 0);
    memset(out, 0, VOCAB * sizeof(*out));
    for (unsigned i = 0; i < n; i++) {
        int32_t t = sampler_pick(&s, logits, VOCAB, room);
        CHECK(t >= 0 && t < VOCAB);
        out[t]++;
    }
    sampler_deinit(&s);
}

TEST(without_temperature_the_likeliest_of_equals_the_first) {
    struct sampling how = SAMPLING_DEFAULTS;
    struct sampler s;
    steps();
    logits[500] = 0;
    how.temperature = 0;
    sampler_init(&s, &how, 0);
    for (int i = 0; i < 5; i++) CHECK_INT(sampler_pick(&s, logits, VOCAB, room), 7);
    logits[3] = 0;
    CHECK_INT(sampler_pick(&s, logits, VOCAB, room), 3);
    sampler_deinit(&s);
}

TEST(chances_are_what_they_should_be) {
    struct sampling how = SAMPLING_DEFAULTS;
    unsigned got[VOCAB];
    const unsigned n = 100000;
    how.seeded = true;
    for (int t = 0; t < 3; t++) {
        how.temperature = t == 0 ? 1 : t == 1 ? 0.5f : 2;
        steps();
        counts(&how, n, got);
        double sum = 0;
        for (int i = 7; i < 17; i++) sum += exp((7 - i) / how.temperature);
        for (int i = 7; i < 17; i++) {
            double want = n * exp((7 - i) / how.temperature) / sum;
            NOTE("temperature %g, token %d: %u, wanted %g", how.temperature, i, got[i], want);
            CHECK(fabs(got[i] - want) < 5 * sqrt(want + 1) + 1);
        }
    }
}

TEST(top_k_top_p_and_min_p_leave_the_likeliest) {
    struct sampling how = SAMPLING_DEFAULTS;
    unsigned got[VOCAB];
    steps();
    how.top_k = 3;
    counts(&how, 2000, got);
    CHECK_UINT(got[7] + got[8] + got[9], 2000);
    CHECK(got[9] > 0);
    how.top_k = 0;
    how.top_p = 0.7f; /* 0.632 of 7, and 8 */
    counts(&how, 2000, got);
    CHECK_UINT(got[7] + got[8], 2000);
    CHECK(got[8] > 0);
    how.top_p = 0; /* one is always left */
    counts(&how, 50, got);
    CHECK_UINT(got[7], 50);
    how.top_p = 1;
    how.min_p = 0.1f; /* e^-2 is more, e^-3 is less */
    counts(&how, 2000, got);
    CHECK_UINT(got[7] + got[8] + got[9], 2000);
    CHECK(got[9] > 0);
}

TEST(a_seed_says_the_same_and_choices_differ) {
    struct sampling how = SAMPLING_DEFAULTS;
    struct sampler a, b, c;
    how.seeded = true;
    how.seed = 42;
    steps();
    sampler_init(&a, &how, 0);
    sampler_init(&b, &how, 0);
    sampler_init(&c, &how, 1);
    bool differs = false;
    for (int i = 0; i < 200; i++) {
        int32_t t = sampler_pick(&a, logits, VOCAB, room);
        CHECK_INT(sampler_pick(&b, logits, VOCAB, room), t);
        differs |= sampler_pick(&c, logits, VOCAB, room) != t;
    }
    CHECK(differs);
}

TEST_FAULT(penalties_and_biases_change_what_is_likely) {
    struct sampler_bias biases[] = { { 7, -INFINITY }, { 9, 5 }, { 5000, 100 }, { -1, 100 } };
    struct sampling how = SAMPLING_DEFAULTS;
    struct sampler s;
    how.temperature = 0;
    how.biases = biases;
    how.bias_count = 4;
    how.frequency = 3;
    sampler_init(&s, &how, 0);
    int32_t want[] = { 9, 8, 9, 10 }; /* 9 has 3, 0, -3 ... */
    for (int i = 0; i < 2; i++) {
        steps();
        sampler_adjust(&s, logits, VOCAB);
        int32_t t = sampler_pick(&s, logits, VOCAB, room);
        CHECK_INT(t, want[i] == 8 && i == 1 ? 9 : want[i]);
        bool noted = sampler_note(&s, t);
        if (!noted && unit_fault_fired()) break;
        CHECK(noted);
        if (i == 0) continue;
        steps();
        sampler_adjust(&s, logits, VOCAB);
        CHECK_INT(sampler_pick(&s, logits, VOCAB, room), 8);
    }
    sampler_deinit(&s);
}

TEST(numbers_that_are_none_are_no_token) {
    struct sampling how = SAMPLING_DEFAULTS;
    struct sampler s;
    sampler_init(&s, &how, 0);
    for (int i = 0; i < VOCAB; i++) logits[i] = NAN;
    CHECK_INT(sampler_pick(&s, logits, VOCAB, room), -1);
    for (int i = 0; i < VOCAB; i++) logits[i] = -INFINITY;
    CHECK_INT(sampler_pick(&s, logits, VOCAB, room), -1);
    logits[12] = 1;
    for (int i = 0; i < 20; i++) CHECK_INT(sampler_pick(&s, logits, VOCAB, room), 12);
}

TEST(what_the_model_says_is_told_in_order) {
    struct sampler_candidate tops[SAMPLER_TOPS];
    steps();
    float sum = sampler_log_sum(logits, VOCAB);
    CHECK(fabsf(sum - logf((float)((1 - exp(-10)) / (1 - exp(-1))))) < 1e-4f);
    CHECK_UINT(sampler_tops(logits, VOCAB, 5, tops), 5);
    for (int i = 0; i < 5; i++) CHECK_INT(tops[i].token, 7 + i);
    CHECK_UINT(sampler_tops(logits, VOCAB, 0, tops), 0);
    CHECK_UINT(sampler_tops(logits, 3, 5, tops), 3);
}
