/* test_err.c -- codes, failures, and their JSON. */
#include "base/err.h"

#include <stdio.h>

#include "base/json.h"
#include "unit.h"

TEST_NOFAULT(every_code_has_a_name_and_a_sentence) {
    for (int e = -13; e <= 0; e++) {
        CHECK(strcmp(perilune_errname(e), "UNKNOWN") != 0);
        CHECK(strcmp(perilune_strerror(e), "unknown error") != 0);
    }
    CHECK_STR(perilune_errname(PERILUNE_ERR_NOMEM), "NOMEM");
    CHECK_STR(perilune_strerror(PERILUNE_OK), "ok");
    CHECK_STR(perilune_errname(1), "UNKNOWN");
    CHECK_STR(perilune_strerror(-1000), "unknown error");
}

TEST_NOFAULT(every_kind_has_its_defaults) {
    for (int k = FAILURE_NONE + 1; k < FAILURE_KINDS; k++) {
        struct failure f;
        failure_init(&f);
        CHECK(!failure_is_set(&f));
        failure_set(&f, (enum failure_kind)k, "number %d", k);
        NOTE("%s", f.code);
        CHECK(failure_is_set(&f));
        CHECK_STR(f.code, failure_code((enum failure_kind)k));
        CHECK(f.status >= 400 && f.status < 600);
        CHECK(f.code[0] != '\0' && f.type[0] != '\0' && strncmp(f.message, "number ", 7) == 0);
        CHECK(!f.retryable || f.status >= 500); /* our own 4xx would only repeat itself */
        failure_deinit(&f);
    }
}

TEST_FAULT(a_failure_is_copied_with_body_and_headers) {
    struct failure a, b;
    failure_init(&a);
    failure_init(&b);
    failure_set(&a, FAILURE_RESET, "first");
    buf_puts(&a.body, "body");
    buf_puts(&a.headers, "a: b\r\n");
    failure_set(&b, FAILURE_TLS, "second");
    buf_puts(&b.body, "old");
    failure_copy(&b, &a);
    CHECK_STR(b.message, "first");
    bool starved = buf_failed(&a.body) || buf_failed(&a.headers) || buf_len(&b.body) == 0 || buf_len(&b.headers) == 0;
    CHECK(!starved || unit_fault_fired());
    if (!starved) CHECK_SLICE(buf_get(&b.body), SLICE("body"));
    if (!starved) CHECK_SLICE(buf_get(&b.headers), SLICE("a: b\r\n"));
    failure_deinit(&a);
    failure_deinit(&b);
}

TEST_FAULT(a_failure_moves_with_its_body) {
    struct failure a, b;
    failure_init(&a);
    failure_init(&b);
    failure_set(&a, FAILURE_RESET, "first");
    buf_puts(&a.body, "old");
    failure_set(&b, FAILURE_TIMEOUT, "second");
    buf_puts(&b.body, "new");
    int error = b.body.error;
    failure_move(&a, &b);
    CHECK_STR(a.message, "second");
    if (!FAULTED(error)) CHECK_SLICE(buf_get(&a.body), SLICE("new"));
    CHECK(!failure_is_set(&b));
    CHECK_UINT(buf_len(&b.body), 0);
    failure_set(&a, FAILURE_TLS, "third"); /* forgets the body of the second */
    CHECK_UINT(buf_len(&a.body), 0);
    failure_deinit(&a);
    failure_deinit(&b);
}

TEST_FAULT(as_json) {
    struct failure f;
    struct buf out;
    failure_init(&f);
    buf_init(&out, 0);
    failure_set(&f, FAILURE_INVALID_REQUEST, "say \"%s\"\n\xff", "no");
    snprintf(f.param, sizeof(f.param), "messages[0]");
    failure_write_json(&out, &f);
    if (!FAULTED(out.error))
        CHECK_SLICE(buf_get(&out), SLICE("{\"error\":{\"message\":\"say \\\"no\\\"\\n\xef\xbf\xbd\",\"type\":\"invalid_request_error\","
                                         "\"param\":\"messages[0]\",\"code\":\"invalid_request\"}}"));
    buf_deinit(&out);
    f.param[0] = '\0';
    buf_init(&out, 0);
    failure_write_json(&out, &f);
    if (!FAULTED(out.error)) CHECK(memmem(buf_get(&out).ptr, buf_len(&out), "\"param\":null", 12) != NULL);
    buf_deinit(&out);
    failure_deinit(&f);
}

TEST(a_long_message_is_cut) {
    struct failure f;
    char big[1000];
    memset(big, 'a', sizeof(big) - 1);
    big[999] = '\0';
    failure_init(&f);
    failure_set(&f, FAILURE_CONNECT, "%s", big);
    CHECK_UINT(strlen(f.message), sizeof(f.message) - 1);
    failure_deinit(&f);
}

TEST_NOFAULT(what_is_refused_for_longer_than_sdks_wait_is_not_repeated) {
    static const struct { enum failure_kind kind; uint32_t retry_after_ms; bool not_repeated; } rows[] = {
        { FAILURE_REJECTED, 60000, false },        { FAILURE_REJECTED, 60001, true },
        { FAILURE_UNAVAILABLE, 3600000, true },    { FAILURE_UNAVAILABLE, 5000, false },
        { FAILURE_UPSTREAM_STATUS, 3600000, false }, { FAILURE_STREAM, 3600000, false },
        { FAILURE_INTERNAL, 0, true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct failure f;
        failure_init(&f);
        failure_set(&f, rows[i].kind, "x");
        f.retry_after_ms = rows[i].retry_after_ms;
        CHECK_INT(failure_is_not_repeated(&f), rows[i].not_repeated);
        failure_deinit(&f);
    }
}

static bool says_later(enum failure_kind kind, int status, bool retryable, uint32_t retry_after_ms, const char *upstream) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "no");
    f.status = status;
    f.retryable = retryable;
    f.retry_after_ms = retry_after_ms;
    snprintf(f.upstream, sizeof(f.upstream), "%s", upstream);
    bool says = failure_says_later(&f);
    failure_deinit(&f);
    return says;
}

TEST(who_is_to_come_later_and_who_has_failed) {
    CHECK(says_later(FAILURE_REJECTED, 429, true, 2000, ""));           /* a limit */
    CHECK(says_later(FAILURE_POLICY, 503, true, 2000, ""));             /* a gate */
    CHECK(says_later(FAILURE_UNAVAILABLE, 503, true, 1000, ""));        /* a breaker */
    CHECK(says_later(FAILURE_UPSTREAM_STATUS, 529, true, 2000, "a"));
    CHECK(says_later(FAILURE_UPSTREAM_STATUS, 429, true, 0, "a"));
    CHECK(says_later(FAILURE_POLICY, 429, true, 0, "a"));               /* the same, when policies had it in hand */
    CHECK(!says_later(FAILURE_REJECTED, 429, true, 0, ""));             /* nobody says when */
    CHECK(!says_later(FAILURE_REJECTED, 429, false, 2000, ""));         /* no money */
    CHECK(!says_later(FAILURE_UPSTREAM_STATUS, 503, true, 0, "a"));
    CHECK(!says_later(FAILURE_UPSTREAM, 502, true, 2000, "a"));
    CHECK(!says_later(FAILURE_TIMEOUT, 504, true, 2000, "a"));
}

/* It stands on stacks, over whatever was there. */
TEST_NOFAULT(nothing_is_said_at_first) {
    struct failure f;
    memset(&f, 0xff, sizeof(f));
    failure_init(&f);
    CHECK(!failure_is_set(&f) && !f.retryable && !f.unsent && f.status == 0 && f.retry_after_ms == 0);
    CHECK(buf_len(&f.body) == 0 && buf_len(&f.headers) == 0);
    const char *const texts[] = { f.code, f.type, f.param, f.message, f.upstream, f.detail };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) CHECK(texts[i][0] == '\0');
    failure_deinit(&f);
}
