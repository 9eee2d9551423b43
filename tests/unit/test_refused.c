/* test_refused.c -- what a server refuses is one line of the log. */
#include "store/refused.h"

#include "unit.h"

enum { GET, SET };

#define OOM SLICE("OOM command not allowed when used memory > 'maxmemory'.")

TEST(once_while_it_lasts) {
    struct refused r = { .now = 0 };
    CHECK(refused_begins(&r, SET, OOM, 1000));
    CHECK(!refused_begins(&r, SET, OOM, 1001));
    CHECK(!refused_begins(&r, GET, OOM, 1002)); /* another kind of question, for the same reason */
    refused_ends(&r, GET);
    CHECK(!refused_begins(&r, SET, OOM, 10000000)); /* it lasts */
}

TEST(again_when_it_was_over) {
    struct refused r = { .now = 0 };
    CHECK(refused_begins(&r, SET, OOM, 1000));
    refused_ends(&r, SET);
    CHECK(!refused_begins(&r, SET, OOM, 60999)); /* so soon: it comes and goes */
    CHECK(refused_begins(&r, SET, OOM, 61000));
    refused_ends(&r, SET);
    CHECK(refused_begins(&r, SET, OOM, 200000));
}

TEST(another_reason) {
    struct refused r = { .now = 0 };
    CHECK(refused_begins(&r, GET, SLICE("LOADING Redis is loading the dataset in memory"), 1000));
    CHECK(!refused_begins(&r, SET, OOM, 2000));
    CHECK(refused_begins(&r, SET, OOM, 61000));
    CHECK(!refused_begins(&r, SET, OOM, 200000));
    CHECK(refused_begins(&r, SET, SLICE(""), 300000)); /* no reason at all */
    CHECK(!refused_begins(&r, SET, SLICE(""), 400000));
}

TEST(a_new_connection) {
    struct refused r = { .now = 0 };
    CHECK(refused_begins(&r, SET, OOM, 1000));
    refused_forget(&r);
    CHECK(refused_begins(&r, SET, OOM, 1001));
}
