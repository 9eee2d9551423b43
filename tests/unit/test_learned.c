/* test_learned.c -- a threshold out of what users told. */
#include "unit.h"

#include <math.h>

#include "semantic/learned.h"

static float after(size_t count, float score, bool ok) {
    struct learned_note notes[LEARNED_MAX];
    for (size_t i = 0; i < count; i++) notes[i] = (struct learned_note){ score, ok };
    return learned_threshold(notes, count, 0.01, 0.9f);
}

TEST(nothing_was_told) {
    CHECK(learned_threshold(NULL, 0, 0.01, 0.9f) == 0.9f);
}

TEST(good_words_lower_it_little_by_little) {
    float before = 0.9f;
    for (size_t n = 1; n <= LEARNED_MAX; n *= 2) {
        float now = after(n, 0.92f, true);
        CHECK(now < before);
        before = now;
    }
    CHECK(before > 0.75f);
}

TEST(what_was_wrong_is_not_given_again) {
    for (size_t n = 1; n <= LEARNED_MAX; n++) CHECK(after(n, 0.95f, false) > 0.95f);
    struct learned_note notes[LEARNED_MAX];
    for (size_t i = 0; i < LEARNED_MAX; i++) notes[i] = (struct learned_note){ 0.99f, true };
    notes[7] = (struct learned_note){ 0.97f, false };
    CHECK(learned_threshold(notes, LEARNED_MAX, 0.01, 0.9f) > 0.97f);
}

TEST(one_wrong_word_takes_an_answer_away_at_its_score_only) {
    for (float score = 0.9f; score < 0.995f; score += 0.01f) {
        float now = after(1, score, false);
        CHECK(now > score && now <= fmaxf(score + 0.01f, 1.0f));
        CHECK(after(5, score, false) >= now);
    }
    CHECK(after(1, 0.91f, false) < 1.0f && after(1, 0.98f, false) < 0.99f);
}

TEST(forty_good_words_outweigh_a_wrong_one) {
    struct learned_note notes[41];
    for (size_t i = 0; i < 40; i++) notes[i] = (struct learned_note){ 0.92f + 0.002f * (float)(i % 30), true };
    notes[40] = (struct learned_note){ 0.93f, false };
    float now = learned_threshold(notes, 41, 0.01, 0.9f);
    CHECK(now > 0.93f && now < 0.98f);
}

/* Whatever its score: a client may have made it up. */
TEST(a_good_word_never_raises_it_and_lowers_it_little) {
    float usual = 0.9f;
    for (float score = 0; score <= 1; score += 0.05f) {
        float one = after(1, score, true);
        CHECK(one <= usual && one > usual - 0.03f);
    }
}

TEST(no_history_runs_away) {
    uint32_t x = 12345;
    for (int round = 0; round < 2000; round++) {
        struct learned_note notes[LEARNED_MAX];
        float worst = 0;
        size_t count = 1 + (x = x * 1664525 + 1013904223) % LEARNED_MAX, wrong = 0;
        for (size_t i = 0; i < count; i++) {
            x = x * 1664525 + 1013904223;
            notes[i] = (struct learned_note){ 0.9f + 0.1f * (float)(x >> 8) / (1 << 24), x % 10 != 0 };
            if (!notes[i].ok && notes[i].score > worst) worst = notes[i].score;
            wrong += !notes[i].ok;
        }
        float now = learned_threshold(notes, count, 0.01, 0.9f);
        CHECK(now > worst && (wrong > 0 || now <= 0.9f));
        CHECK(now < fmaxf(worst, 0.9f) + 0.04f * (float)wrong + 0.01f);
    }
}

TEST(odd_numbers_give_a_number) {
    static const float scores[] = { 0, 1, 0.5f, 1e-30f };
    static const double shares[] = { 0, 1e-9, 0.5, 1 };
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            struct learned_note n = { scores[i], i % 2 == 0 };
            float t = learned_threshold(&n, 1, shares[k], 0.9f);
            CHECK(t == t && t > -1 && t < 10);
        }
}
