/* test_steady.c -- the pair model's score, steadied by what else is known. */
#include "unit.h"

#include <math.h>

#include "semantic/steady.h"

#define USUAL 0.81f

TEST_NOFAULT(crowd_is_the_three_nearest_others) {
    static const float s[] = { 0.9f, 0.2f, 0.8f, 0.4f, 0.6f };
    CHECK_DOUBLE(steady_crowd(s, 5, 0), (0.8f + 0.6f + 0.4f) / 3);
    CHECK_DOUBLE(steady_crowd(s, 5, 2), (0.9f + 0.6f + 0.4f) / 3);
    CHECK_DOUBLE(steady_crowd(s, 5, 9), (0.9f + 0.8f + 0.6f) / 3);
    CHECK_DOUBLE(steady_crowd(s, 2, 0), 0.2f);
    CHECK_DOUBLE(steady_crowd(s, 1, 0), 0); /* it is alone */
    CHECK_DOUBLE(steady_crowd(NULL, 0, 0), 0);
}

TEST_NOFAULT(what_is_usual_leaves_a_score_as_it_is) {
    CHECK(fabsf(steady_score(0.7f, USUAL, 0.3f, 20, 20) - 0.7f) < 1e-5f);
    CHECK(fabsf(steady_score(0.7f, USUAL, 0.45f, 20, 20) - 0.7f) < 1e-5f);
}

TEST_NOFAULT(similarity_raises_crowds_and_lengths_lower) {
    float s = steady_score(0.7f, USUAL, 0, 20, 20);
    CHECK(steady_score(0.7f, 0.95f, 0, 20, 20) > s);
    CHECK(steady_score(0.7f, 0.6f, 0, 20, 20) < s);
    CHECK(steady_score(0.7f, USUAL, 0.8f, 20, 20) < s);
    CHECK(steady_score(0.7f, USUAL, 0, 20, 60) < s);
    CHECK_DOUBLE(steady_score(0.7f, USUAL, 0, 20, 60), steady_score(0.7f, USUAL, 0, 60, 20));
}

TEST_NOFAULT(what_was_not_compared_stays) {
    CHECK_DOUBLE(steady_score(1, 0.1f, 1, 20, 20), 1); /* equal texts */
    CHECK_DOUBLE(steady_score(0, 1, 0, 20, 20), 0);
    CHECK_DOUBLE(steady_score(0.7f, USUAL, 0, 0, 20), 0.7f);
}
