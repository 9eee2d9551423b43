/* test_attempt.c -- what a failure says of the upstream: attempt_outcome(). */
#include "request/attempt.h"

#include <stdio.h>

#include "base/err_body.h"
#include "unit.h"

static enum breaker_outcome of(enum failure_kind kind, int status, const char *code, const struct target *t) {
    struct failure f;
    failure_init(&f);
    if (kind == FAILURE_UPSTREAM_STATUS) err_body_status(&f, status);
    else failure_set(&f, kind, "x");
    if (kind == FAILURE_STREAM) f.status = status;
    if (code != NULL) snprintf(f.code, sizeof(f.code), "%s", code);
    enum breaker_outcome o = attempt_outcome(&f, t);
    failure_deinit(&f);
    return o;
}

TEST(failures_are_told_apart) {
    static const struct { enum failure_kind kind; int status; const char *code; enum breaker_outcome is; } cases[] = {
        { FAILURE_CONNECT, 0, NULL, BREAKER_DARK }, { FAILURE_DNS, 0, NULL, BREAKER_DARK },
        { FAILURE_TLS, 0, NULL, BREAKER_DARK }, { FAILURE_RESET, 0, NULL, BREAKER_DARK },
        { FAILURE_TIMEOUT, 0, NULL, BREAKER_DARK }, { FAILURE_MALFORMED, 0, NULL, BREAKER_FAILED },
        { FAILURE_TRUNCATED, 0, NULL, BREAKER_FAILED }, { FAILURE_UPSTREAM_STATUS, 500, NULL, BREAKER_FAILED },
        { FAILURE_UPSTREAM_STATUS, 503, NULL, BREAKER_FAILED }, { FAILURE_UPSTREAM_STATUS, 529, NULL, BREAKER_FAILED },
        { FAILURE_UPSTREAM_STATUS, 408, NULL, BREAKER_FAILED }, { FAILURE_UPSTREAM_STATUS, 429, NULL, BREAKER_LIMITED },
        { FAILURE_UPSTREAM_STATUS, 429, "insufficient_quota", BREAKER_QUOTA },
        { FAILURE_UPSTREAM_STATUS, 402, NULL, BREAKER_QUOTA }, { FAILURE_UPSTREAM_STATUS, 401, NULL, BREAKER_DENIED },
        { FAILURE_UPSTREAM_STATUS, 403, NULL, BREAKER_DENIED }, { FAILURE_STREAM, 502, NULL, BREAKER_FAILED },
        { FAILURE_STREAM, 429, NULL, BREAKER_LIMITED }, { FAILURE_STREAM, 400, NULL, BREAKER_NONE },
        /* What the client did, and what we did. */
        { FAILURE_UPSTREAM_STATUS, 400, NULL, BREAKER_NONE }, { FAILURE_UPSTREAM_STATUS, 404, NULL, BREAKER_NONE },
        { FAILURE_UPSTREAM_STATUS, 409, NULL, BREAKER_NONE }, { FAILURE_UPSTREAM_STATUS, 413, NULL, BREAKER_NONE },
        { FAILURE_UPSTREAM_STATUS, 422, NULL, BREAKER_NONE },
        { FAILURE_UPSTREAM_STATUS, 403, "content_policy_violation", BREAKER_NONE },
        { FAILURE_UPSTREAM_STATUS, 400, "context_length_exceeded", BREAKER_NONE },
        { FAILURE_STREAM, 502, "content_filter", BREAKER_NONE }, { FAILURE_CANCELED, 0, NULL, BREAKER_NONE },
        { FAILURE_DEADLINE, 0, NULL, BREAKER_NONE }, { FAILURE_NO_MEMORY, 0, NULL, BREAKER_NONE },
        { FAILURE_ANSWER_TOO_LARGE, 0, NULL, BREAKER_NONE }, { FAILURE_UNAVAILABLE, 0, NULL, BREAKER_NONE } };
    struct target t = { .name = "t", .key = "sk" };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK_INT(of(cases[i].kind, cases[i].status, cases[i].code, &t), cases[i].is);
}

TEST(the_clients_own_key_is_the_clients) {
    const char *names[] = { "x-api-key" };
    struct target clients = { .name = "t", .key_from_client = true };
    struct target forwards = { .name = "t", .forward_headers = names, .forward_count = 1 };
    CHECK_INT(of(FAILURE_UPSTREAM_STATUS, 401, NULL, &clients), BREAKER_NONE);
    CHECK_INT(of(FAILURE_UPSTREAM_STATUS, 429, "insufficient_quota", &clients), BREAKER_NONE);
    CHECK_INT(of(FAILURE_UPSTREAM_STATUS, 403, NULL, &forwards), BREAKER_NONE);
    CHECK_INT(of(FAILURE_UPSTREAM_STATUS, 429, NULL, &clients), BREAKER_LIMITED);
    CHECK_INT(of(FAILURE_UPSTREAM_STATUS, 500, NULL, &clients), BREAKER_FAILED);
}
