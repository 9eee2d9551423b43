/* test_health.c -- health.c: why calls failed, counted by several threads. */
#include "upstream/target.h"

#include <pthread.h>
#include <stdio.h>

#include "unit.h"

static void failed(struct target_health *h, enum failure_kind kind, int status, const char *code) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "x");
    f.status = status;
    if (code != NULL) snprintf(f.code, sizeof(f.code), "%s", code);
    target_count_failure(h, &f);
    failure_deinit(&f);
}

static uint64_t count_of(const struct target_health *h, const char *wanted) {
    uint64_t sum = 0;
    const char *code = "";
    for (unsigned i = 0; i < TARGET_CODES; i++) {
        uint64_t n = target_failures(h, i, &code);
        if (n == 0 || strcmp(code, wanted) != 0) continue;
        CHECK_UINT(sum, 0); /* told once */
        sum = n;
    }
    return sum;
}

TEST_NOFAULT(what_upstreams_say_is_told_apart) {
    struct target_health h = { .failures = 0 };
    failed(&h, FAILURE_RESET, 502, NULL);
    failed(&h, FAILURE_UPSTREAM_STATUS, 429, "rate_limit_exceeded");
    failed(&h, FAILURE_STREAM, 502, "rate_limit_exceeded");
    failed(&h, FAILURE_UPSTREAM_STATUS, 401, "invalid_api_key");
    failed(&h, FAILURE_UPSTREAM_STATUS, 503, NULL);
    failed(&h, FAILURE_UPSTREAM_STATUS, 400, "timeout"); /* a name of ours */
    CHECK_UINT(h.failures, 6);
    CHECK_UINT(count_of(&h, "rate_limit_exceeded"), 2);
    CHECK_UINT(count_of(&h, "invalid_api_key"), 1);
    CHECK_UINT(count_of(&h, "upstream_status_503"), 1);
    CHECK_UINT(count_of(&h, "timeout"), 0);
    CHECK_UINT(h.by_kind[FAILURE_TIMEOUT], 1);
    CHECK_UINT(h.by_kind[FAILURE_RESET], 1);
    CHECK_UINT(h.by_kind[FAILURE_UPSTREAM_STATUS], 0);
}

TEST_NOFAULT(made_up_codes_are_bounded_and_nothing_is_lost) {
    struct target_health h = { .failures = 0 };
    char code[40];
    for (int i = 0; i < 1000; i++) {
        snprintf(code, sizeof(code), "code-%d", i);
        failed(&h, FAILURE_UPSTREAM_STATUS, 400, code);
    }
    CHECK_UINT(count_of(&h, "code-0"), 1);
    CHECK_UINT(h.by_kind[FAILURE_UPSTREAM_STATUS], 1000 - TARGET_CODES);
}

#define TIMES 2000

static void *fail_often(void *ud) {
    char code[40];
    for (int i = 0; i < TIMES; i++) {
        snprintf(code, sizeof(code), "code-%d", i % 8);
        failed(ud, FAILURE_UPSTREAM_STATUS, 400, code);
    }
    return NULL;
}

TEST_NOFAULT(threads_that_bring_the_same_codes) {
    struct target_health h = { .failures = 0 };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, fail_often, &h), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    uint64_t sum = h.by_kind[FAILURE_UPSTREAM_STATUS];
    for (int i = 0; i < 8; i++) {
        char code[40];
        snprintf(code, sizeof(code), "code-%d", i);
        sum += count_of(&h, code);
    }
    CHECK_UINT(sum, 4 * TIMES);
    CHECK_UINT(h.failures, 4 * TIMES);
}
