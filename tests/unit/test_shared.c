/* test_shared.c -- values that workers share. */
#include "store/shared.h"

#include <pthread.h>
#include <stdio.h>

#include "include/perilune.h"
#include "unit.h"

static const struct slice NAME = { "n", 1 };

TEST_FAULT(a_string_comes_back_until_its_time_is_over) {
    struct shared *s = shared_new(1 << 20);
    if (FAULTED(s == NULL ? PERILUNE_ERR_NOMEM : 0)) return;
    struct shared_value v = { .type = SHARED_STRING, .string = { .data = (char[]){ "moon" }, .len = 4 } };
    struct shared_value got = { .type = SHARED_NONE };
    int rc = shared_set(s, NAME, SLICE("k"), &v, 100, 50);
    if (FAULTED(rc)) goto done;
    rc = shared_get(s, NAME, SLICE("k"), 149, &got);
    if (FAULTED(rc)) goto done;
    CHECK_INT(got.type, SHARED_STRING);
    CHECK(slice_eq(buf_get(&got.string), SLICE("moon")));
    buf_deinit(&got.string);
    rc = shared_get(s, NAME, SLICE("k"), 150, &got);
    if (FAULTED(rc)) goto done;
    CHECK_INT(got.type, SHARED_NONE);
done:
    buf_deinit(&got.string);
    shared_free(s);
}

/* Name and key together outgrow the buffer's first block. */
TEST_FAULT(long_names_leave_nothing_behind) {
    static const char letters[300] = { 'x' };
    struct shared *s = shared_new(1 << 20);
    if (FAULTED(s == NULL ? PERILUNE_ERR_NOMEM : 0)) return;
    double out = 0;
    int rc = shared_incr(s, slice_of(letters, 60), slice_of(letters, sizeof(letters)), 1, 0, 0, 0, &out);
    if (!FAULTED(rc)) CHECK_DOUBLE(out, 1);
    shared_free(s);
}

TEST(names_do_not_mix) {
    struct shared *s = shared_new(1 << 20);
    CHECK(s != NULL);
    double out = 0;
    CHECK_INT(shared_incr(s, SLICE("a"), SLICE("bc"), 1, 10, 0, 0, &out), 0);
    CHECK(out == 11);
    CHECK_INT(shared_incr(s, SLICE("ab"), SLICE("c"), 1, 0, 0, 0, &out), 0);
    CHECK(out == 1);
    shared_free(s);
}

TEST(full_is_an_error_and_loses_nothing) {
    struct shared *s = shared_new(16 * 400);
    CHECK(s != NULL);
    int rc = 0;
    double out;
    char key[16];
    for (int i = 0; i < 1000 && rc == 0; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        rc = shared_incr(s, NAME, slice_str(key), 1, 0, 0, 0, &out);
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK_INT(shared_incr(s, NAME, SLICE("key0"), 1, 0, 0, 0, &out), 0);
    CHECK(out == 2);
    shared_free(s);
}

static void *count(void *arg) {
    double out;
    for (int i = 0; i < 10000; i++) shared_incr(arg, NAME, SLICE("hits"), 1, 0, 0, 0, &out);
    return NULL;
}

TEST_NOFAULT(threads_count_together) {
    struct shared *s = shared_new(1 << 20);
    pthread_t t[4];
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&t[i], NULL, count, s), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    struct shared_value v;
    CHECK_INT(shared_get(s, NAME, SLICE("hits"), 0, &v), 0);
    CHECK(v.number == 40000);
    shared_free(s);
}
