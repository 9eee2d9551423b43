/* test_webhook.c -- webhook.c: messages, who they are from, when they come again; base64.c and HMAC under it. */
#include "jobs/webhook.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "unit.h"

#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

/* -- base64, HMAC ------------------------------------------------------------------------ */

/* Kept in milliseconds, told in seconds as all times of a job. */
TEST(attempts_are_told_in_seconds) {
    struct job_hook h = { .state = JOB_HOOK_WAITING, .url = SLICE("https://a/"), .tries = 2, .created_ms = 1790000000123,
                          .log = SLICE("{\"at\":1790000001002,\"status\":500,\"note\":\"x\"}\n{\"at\":1790000007000,\"status\":0}\n") };
    struct buf b;
    buf_init(&b, 0);
    webhook_write_log(&h, 1, &b);
    buf_putc(&b, '\0');
    if (buf_failed(&b)) { /* no memory */
        buf_deinit(&b);
        return;
    }
    CHECK(strstr(b.data, "\"created_at\":1790000000.123,") != NULL);
    CHECK(strstr(b.data, "[{\"at\":1790000001.002,\"status\":500,\"note\":\"x\"},{\"at\":1790000007.000,\"status\":0}]") != NULL);
    buf_deinit(&b);
}

TEST(base64_there_and_back) {
    for (size_t len = 1; len < 150; len++) {
        unsigned char bytes[150], back[150];
        size_t got = 0;
        struct buf out;
        for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)(i * 37 + len);
        buf_init(&out, 0);
        base64_write(&out, slice_of((const char *)bytes, len));
        if (!buf_failed(&out)) {
            CHECK(base64_read(buf_get(&out), back, sizeof(back), &got));
            CHECK_UINT(got, len);
            CHECK(memcmp(bytes, back, len) == 0);
            CHECK(!base64_read(buf_get(&out), back, len - 1, &got));
        }
        buf_deinit(&out);
    }
}

TEST_NOFAULT(what_is_no_base64) {
    static const char *const wrong[] = { "", "a", "ab", "abc", "ab==x", "====", "a===", "ab=c", " YWI=", "YWI= ",
                                         "YW\nI", "YWJ=", "YR==", "YW-_", "YWI=YWI=" };
    unsigned char bytes[100];
    size_t len;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (base64_read(slice_str(wrong[i]), bytes, sizeof(bytes), &len)) FAIL("'%s' is no base64", wrong[i]);
    CHECK(base64_read(SLICE("YWI="), bytes, sizeof(bytes), &len));
    CHECK_SLICE(slice_of((char *)bytes, len), SLICE("ab"));
}

/* RFC 4231, test case 2, in pieces. */
TEST_NOFAULT(hmac_as_the_standard_has_it) {
    static const unsigned char want[] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                          0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                          0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43 };
    const struct slice pieces[] = { SLICE("what do ya "), SLICE(""), SLICE("want for nothing?") };
    unsigned char got[SHA256_BYTES];
    CHECK(sha256_hmac(SLICE("Jefe"), pieces, 3, got));
    CHECK(memcmp(got, want, sizeof(want)) == 0);
}

/* -- Secrets ---------------------------------------------------------------------------------- */

TEST_NOFAULT(secrets) {
    struct webhook_secret s, a, b;
    struct buf out;
    CHECK(webhook_secret_read(SLICE(SECRET), &s));
    CHECK_UINT(s.len, 24);
    CHECK(!webhook_secret_read(SLICE("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &a));
    CHECK(!webhook_secret_read(SLICE("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La"), &a)); /* 21 bytes */
    CHECK(!webhook_secret_read(SLICE("whsec_not base64 but long enough to be 24 bytes"), &a));
    buf_init(&out, 0);
    webhook_secret_write(&s, &out);
    CHECK_SLICE(buf_get(&out), SLICE(SECRET));
    buf_deinit(&out);
    CHECK(webhook_secret_derive(&s, SLICE(""), &a));
    CHECK(a.len == s.len && memcmp(a.bytes, s.bytes, s.len) == 0);
    CHECK(webhook_secret_derive(&s, SLICE("acme"), &a));
    CHECK(webhook_secret_derive(&s, SLICE("acmf"), &b));
    CHECK(a.len == 32 && b.len == 32 && memcmp(a.bytes, b.bytes, 32) != 0);
}

/* The example that libraries of Standard Webhooks are tested with. */
TEST_NOFAULT(the_signature_of_the_standard) {
    struct webhook_secrets s = { .count = 1 };
    struct slice id = SLICE("msg_p5jXN8AQM9LWM0D4loKWxJek");
    struct buf out;
    buf_init(&out, 0);
    CHECK(webhook_secret_read(SLICE(SECRET), &s.items[0]));
    CHECK(webhook_sign(&s, SLICE(""), id, 1614265330, SLICE("{\"test\": 2432232314}"), &out));
    CHECK_SLICE(buf_get(&out), SLICE(SIGNATURE));
    s.items[s.count++] = s.items[0];
    buf_clear(&out);
    CHECK(webhook_sign(&s, SLICE(""), id, 1614265330, SLICE("{\"test\": 2432232314}"), &out));
    CHECK_SLICE(buf_get(&out), SLICE(SIGNATURE " " SIGNATURE));
    buf_deinit(&out);
}

/* -- URLs ---------------------------------------------------------------------------------------- */

TEST_NOFAULT(urls) {
    const struct webhook_settings tls = { .http = false }, any = { .http = true };
    CHECK(webhook_refused(NULL, SLICE("https://a/")) != NULL);
    static const char *const fine[] = { "https://a/", "https://a.example:8443/x?y=z@w", "HTTPS://[2606:4700::1111]/",
                                        "https://[2606:4700::1111]:65535?x", "https://a:1" };
    static const char *const wrong[] = { "", "https://", "https:///x", "ftp://a/", "//a/", "a", "https://u:p@a/",
                                         "https://a/ b", "https://a/\xc3\xa4", "https://a/#x", "https://a/\r\nx: y",
                                         "https://?x", "http://a/", "https://a:0/", "https://a:65536/", "https://a:99999",
                                         "https://a:/", "https://a:x/", "https://a:1:2/", "https://[::1]x/", "https://[::1/",
                                         "https://[::1]:0/", "https://a:18446744073709551617/" };
    for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
        if (webhook_refused(&tls, slice_str(fine[i])) != NULL) FAIL("'%s' is fine", fine[i]);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (webhook_refused(&tls, slice_str(wrong[i])) == NULL) FAIL("'%s' is not", wrong[i]);
    CHECK(webhook_refused(&any, SLICE("http://a/")) == NULL);
    char long_url[JOB_URL_MAX + 2] = "https://a/";
    memset(long_url + 10, 'x', sizeof(long_url) - 11);
    CHECK(webhook_refused(&tls, slice_of(long_url, JOB_URL_MAX + 1)) != NULL);
    CHECK(webhook_refused(&tls, slice_of(long_url, JOB_URL_MAX)) == NULL);
}

/* -- Messages -------------------------------------------------------------------------------------- */

static struct job ended(enum job_status status) {
    return (struct job){ .id = "job_00112233445566778899aabbccddeeff", .status = status,
                         .path = SLICE("/v1/chat/completions"), .tries = 2, .max_tries = 3,
                         .created_ms = 1790000000123, .ended_ms = 1790000001000 };
}

#define HEAD(type) "{\"type\":\"job." type "\",\"timestamp\":\"2026-09-21T14:13:21.000Z\",\"data\":{\"id\":" \
    "\"job_00112233445566778899aabbccddeeff\",\"object\":\"job\",\"status\":\"" type "\",\"path\":" \
    "\"/v1/chat/completions\",\"queue\":\"default\",\"priority\":0,\"tries\":2,\"max_tries\":3," \
    "\"created_at\":1790000000.123,\"ended_at\":1790000001.000,"

TEST(messages) {
    static const struct {
        enum job_status status;
        struct slice    result, error;
        size_t          most;
        const char     *want;
    } cases[] = {
        { JOB_CANCELED, { "", 0 }, { "", 0 }, 100,
          HEAD("canceled") "\"progress\":null,\"result\":null,\"error\":null}}" },
        { JOB_COMPLETED, SLICE("{\"a\":[1,\"\xe4\xbd\xa0\"]}"), { "", 0 }, 100,
          HEAD("completed") "\"progress\":null,\"result_status\":200,\"result\":{\"a\":[1,\"\xe4\xbd\xa0\"]},"
                            "\"error\":null}}" },
        { JOB_COMPLETED, SLICE("[1,2]"), { "", 0 }, 4, HEAD("completed") "\"error\":null}}" },
        { JOB_FAILED, { "", 0 }, SLICE("{\"message\":\"m\",\"code\":\"c\"}"), 0,
          HEAD("failed") "\"progress\":null,\"result\":null,\"error\":{\"message\":\"m\",\"code\":\"c\"}}}" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct job j = ended(cases[i].status);
        struct buf out;
        j.result = cases[i].result;
        j.result_type = SLICE("application/json");
        j.result_status = j.status == JOB_COMPLETED ? 200 : 0;
        j.error = cases[i].error;
        buf_init(&out, 0);
        webhook_write(&j, cases[i].most, &out);
        CHECK_SLICE(buf_get(&out), slice_str(cases[i].want));
        buf_deinit(&out);
    }
}

TEST_NOFAULT(the_id_of_a_message) {
    struct job j = ended(JOB_FAILED);
    struct job_hook h = { .number = 17, .job = &j };
    struct buf out;
    buf_init(&out, 0);
    webhook_write_id(&h, &out);
    CHECK_SLICE(buf_get(&out), SLICE("msg_00112233445566778899aabbccddeeff_17"));
    buf_deinit(&out);
}

/* -- Tries ---------------------------------------------------------------------------------------------- */

TEST_NOFAULT(pauses) {
    struct webhook_settings s = { .pauses_ms = { 5000, 300000 }, .pause_count = 2 };
    CHECK_UINT(webhook_delay_ms(&s, 1, 0, 0), 4001);
    CHECK_UINT(webhook_delay_ms(&s, 1, 0, 0.5), 5001);
    CHECK_UINT(webhook_delay_ms(&s, 2, 0, 1), 360001);
    CHECK_UINT(webhook_delay_ms(&s, 3, 0, 0.5), 0);
    CHECK_UINT(webhook_delay_ms(&s, 0, 0, 0.5), 0);
    CHECK_UINT(webhook_delay_ms(&s, 1, 60000, 0.5), 60000);
    CHECK_UINT(webhook_delay_ms(&s, 1, UINT64_MAX, 0.5), 24u * 3600 * 1000);
    CHECK_UINT(webhook_delay_ms(&s, 3, 60000, 0.5), 0); /* whatever the receiver asks for */
    s.pause_count = 0;
    CHECK_UINT(webhook_delay_ms(&s, 1, 0, 0.5), 0);
}
