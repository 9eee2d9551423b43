/* test_learned.c -- a threshold out of what users told. */
#include "unit.h"

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
