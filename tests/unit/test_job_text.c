/* test_job_text.c -- a job as JSON, a request as a job, what a request says of a job. */
#include "unit.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "gateway/job_ask.h"
#include "jobs/job_text.h"
#include "llm/stream_whole.h"
#include "request/job_question.h"

static char text[2048];

static const char *written(const struct job *j, enum job_detail detail) {
    struct buf b;
    buf_init(&b, 0);
    job_write(&b, j, detail);
    CHECK(!buf_failed(&b));
    struct json_doc d = { .nodes = NULL };
    CHECK_INT(json_parse(&d, buf_get(&b), &(struct json_error){ 0 }), 0);
    json_deinit(&d);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_get(&b)));
    buf_deinit(&b);
    return text;
}

TEST(results_are_json_text_or_base64) {
    struct job j = { .id = "job_1", .status = JOB_COMPLETED, .path = SLICE("/v1/x"), .result_status = 200,
                     .result_type = SLICE("application/json; charset=utf-8"), .result = SLICE("{ \"a\": 1.50 }"),
                     .created_ms = 1700000000001, .tries = 1, .max_tries = 3 };
    CHECK(strstr(written(&j, JOB_WHOLE), "\"result\":{ \"a\": 1.50 }") != NULL);
    CHECK(strstr(text, "\"created_at\":1700000000.001") != NULL);
    CHECK(strstr(text, "\"queue\":\"default\"") != NULL);
    CHECK(strstr(written(&j, JOB_SHORT), "result\"") == NULL);
    j.result_type = SLICE("text/plain");
    j.result = SLICE("\xe4\xbd\xa0\"");
    CHECK(strstr(written(&j, JOB_WHOLE), "\"result_type\":\"text/plain\",\"result\":\"\xe4\xbd\xa0\\\"\"") != NULL);
    j.result_type = SLICE("audio/mpeg");
    j.result = slice_of("\xff\x00\xfe", 3);
    CHECK(strstr(written(&j, JOB_WHOLE), "\"result_encoding\":\"base64\",\"result\":\"/wD+\"") != NULL);
    j = (struct job){ .id = "job_2", .status = JOB_RUNNING, .function = SLICE("f"), .stopping = true };
    CHECK(strstr(written(&j, JOB_WHOLE), "\"function\":\"f\"") != NULL);
    CHECK(strstr(text, "\"stopping\":true,\"progress\":null,\"result\":null,\"error\":null}") != NULL);
}

TEST(base64_of_any_length) {
    static const char *const want[] = { "", "YQ==", "YWE=", "YWFh", "YWFhYQ==" };
    struct buf b;
    buf_init(&b, 0);
    for (size_t n = 0; n < 5; n++) {
        buf_clear(&b);
        base64_write(&b, slice_of("aaaa", n));
        CHECK(!buf_failed(&b));
        CHECK_SLICE(buf_get(&b), slice_str(want[n]));
    }
    static char long_one[10000];
    buf_clear(&b);
    base64_write(&b, slice_of(long_one, sizeof(long_one)));
    CHECK(!buf_failed(&b));
    CHECK_UINT(buf_len(&b), (sizeof(long_one) + 2) / 3 * 4);
    buf_deinit(&b);
}

TEST(the_event_that_tells_all) {
    struct buf b;
    buf_init(&b, 0);
    CHECK(!stream_whole(SLICE("{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}"), &b));
    CHECK(!stream_whole(SLICE("{\"type\":\"response.completed\",\"response\":7}"), &b));
    CHECK(!stream_whole(SLICE("not \"response.completed\" json"), &b));
    CHECK(!stream_whole(SLICE(""), &b));
    CHECK(stream_whole(SLICE("{\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}"), &b));
    CHECK_SLICE(buf_get(&b), SLICE("{\"id\":\"r\"}"));
    buf_deinit(&b);
}

static struct request *request_with(struct http_header *headers, unsigned count) {
    struct request *r = request_new();
    CHECK(r != NULL);
    r->method = SLICE("POST");
    r->path = SLICE("/v1/x");
    r->headers = headers;
    r->header_count = count;
    return r;
}

static void end_request(struct request *r) {
    request_end(r);
    request_put(r);
}

TEST(only_headers_that_somebody_named_are_kept) {
    static const char *const named[] = { "x-plan", "openai-beta", "x-auth-token" };
    struct job_headers more = { named, 3 };
    struct http_header h[] = { { SLICE("ocp-apim-subscription-key"), SLICE("k") }, { SLICE("x-my-auth"), SLICE("k") },
                               { SLICE("x-session"), SLICE("k") }, { SLICE("x-foo"), SLICE("k") },
                               { SLICE("X-Plan"), SLICE("big") }, { SLICE("OpenAI-Beta"), SLICE("b") },
                               { SLICE("x-auth-token"), SLICE("k") }, { SLICE("User-Agent"), SLICE("u") },
                               { SLICE("traceparent"), SLICE("t") } };
    struct request *r = request_with(h, sizeof(h) / sizeof(*h));
    struct job j = { .tries = 0 };
    r->query = SLICE("key=k&api-version=2&API_KEY=k&x&access_token=k&sig=k&after=3");
    CHECK(job_from_request(&j, &r->arena, r, NULL, &more));
    CHECK_SLICE(j.headers, SLICE("X-Plan: big\r\nOpenAI-Beta: b\r\nUser-Agent: u\r\ntraceparent: t\r\n"));
    CHECK_SLICE(j.path, SLICE("/v1/x?api-version=2&x&after=3"));
    r->query = SLICE("key=k");
    CHECK(job_from_request(&j, &r->arena, r, NULL, &more));
    CHECK_SLICE(j.path, SLICE("/v1/x"));
    end_request(r);
}

TEST(no_secret_is_kept) {
    struct http_header h[] = { { SLICE("Authorization"), SLICE("Bearer k") }, { SLICE("X-API-Key"), SLICE("k") },
                               { SLICE("Cookie"), SLICE("k") }, { SLICE("x-session-token"), SLICE("k") },
                               { SLICE("content-length"), SLICE("9") }, { SLICE("x-perilune-priority"), SLICE("1") },
                               { SLICE("Idempotency-Key"), SLICE("k") }, { SLICE("host"), SLICE("a.b") },
                               { SLICE("content-type"), SLICE("application/json") } };
    struct request *r = request_with(h, sizeof(h) / sizeof(*h));
    struct job j = { .tries = 0 };
    r->whole_path = SLICE("/team/v1/x");
    r->query = SLICE("a=1");
    CHECK(job_from_request(&j, &r->arena, r, NULL, &(struct job_headers){ NULL, 0 }));
    CHECK_SLICE(j.path, SLICE("/team/v1/x?a=1"));
    CHECK_SLICE(j.headers, SLICE("host: a.b\r\ncontent-type: application/json\r\n"));
    struct request *back = request_new();
    CHECK(back != NULL);
    j.tenant = SLICE("acme");
    CHECK(job_to_request(&j, back));
    CHECK_SLICE(back->path, SLICE("/team/v1/x"));
    CHECK_SLICE(back->query, SLICE("a=1"));
    CHECK_STR(back->tenant, "acme");
    CHECK_UINT(back->header_count, 2);
    CHECK_SLICE(request_header(back, SLICE("Host")), SLICE("a.b"));
    end_request(back);
    end_request(r);
}

static bool read_with(const char *name, const char *value, const char *query, struct job *j, struct job_ask_error *why) {
    struct http_header h = { slice_str(name), slice_str(value) };
    struct request *r = request_with(&h, 1);
    r->query = slice_str(query);
    *j = (struct job){ .max_tries = 3 };
    bool ok = job_ask_read(r, j, why);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(r->query));
    end_request(r);
    return ok;
}

TEST_NOFAULT(what_a_request_says_of_its_job) {
    struct job j;
    struct job_ask_error why;
    CHECK(read_with("x-perilune-priority", "-5", "a=1&x-perilune-max-tries=7&b=%20", &j, &why));
    CHECK_INT(j.priority, -5);
    CHECK_UINT(j.max_tries, 7);
    CHECK_STR(text, "a=1&b=%20");
    CHECK(read_with("x-perilune-not-before", "1700000000.5", "x-perilune-expires=%2B9999999", &j, &why));
    CHECK_UINT(j.not_before_ms, 1700000000500);
    CHECK(j.expires_ms > 1700000000000);
    CHECK_STR(text, "");
    CHECK(read_with("x", "y", "x-perilune-expires=+5", &j, &why));
    CHECK(!read_with("x-perilune-priority", "1e9", "", &j, &why));
    CHECK(!read_with("x-perilune-priority", "0x10", "", &j, &why));
    CHECK(!read_with("x-perilune-priority", "1.5", "", &j, &why));
    CHECK(!read_with("x-perilune-priority", "", "", &j, &why));
    CHECK(!read_with("x-perilune-not-before", "nan", "", &j, &why));
    CHECK(!read_with("x-perilune-not-before", "-1", "", &j, &why));
    CHECK(!read_with("x-perilune-not-before", "99999999999999", "", &j, &why));
    CHECK(!read_with("x-perilune-expires", "5", "", &j, &why));
    CHECK(!read_with("x-perilune-keep", "0", "", &j, &why));
    CHECK(!read_with("idempotency-key", "", "", &j, &why));
}

TEST_NOFAULT(where_a_webhook_may_lead) {
    static const struct webhook_settings hooks = { .http = false };
    struct job_settings with = { .webhooks = &hooks, .max_keep_ms = 1 }, without = { .max_keep_ms = 1 };
    struct job j;
    struct job_ask_error why;
    CHECK(read_with("x-perilune-webhook", "https://a.b/c?d", "", &j, &why));
    CHECK(job_ask_check(&j, &with, &why));
    CHECK(!job_ask_check(&j, &without, &why));
    CHECK(read_with("x-perilune-webhook", "javascript:1", "", &j, &why));
    CHECK(!job_ask_check(&j, &with, &why));
    CHECK(read_with("x-perilune-webhook", "", "", &j, &why));
    CHECK(!job_ask_check(&j, &with, &why));
    static const char *const shut[] = { "https://10.0.0.1/x", "https://[::1]:8443/", "https://[::ffff:10.0.0.1]/",
                                        "https://169.254.169.254", "https://2130706433/", "https://0x7f.1/?a" };
    for (size_t i = 0; i < sizeof(shut) / sizeof(*shut); i++) {
        CHECK(read_with("x-perilune-webhook", shut[i], "", &j, &why));
        if (job_ask_check(&j, &with, &why) || strstr(why.message, "not public") == NULL ||
            strstr(why.message, "jobs.webhooks.allow") == NULL) FAIL("%s: %s", shut[i], why.message);
    }
    static const char *const nowhere[] = { "https://[]/", "https://[::1/", "https://[fe80::1%25lo]/", "https://[a.b]/",
                                           "https://:80/", "https://%31%30.0.0.1/", "https://a,b/" };
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
        CHECK(read_with("x-perilune-webhook", nowhere[i], "", &j, &why));
        if (job_ask_check(&j, &with, &why) || strstr(why.message, "no host") == NULL)
            FAIL("%s: %s", nowhere[i], why.message);
    }
    CHECK(read_with("x", "y", "", &j, &why));
    CHECK(job_ask_check(&j, &without, &why));
}

TEST_NOFAULT(what_a_client_may_ask_is_bounded) {
    static const struct job_settings s = { .max_priority = 3, .max_keep_ms = 600000, .max_delay_ms = 3600000 };
    static const struct { const char *name, *good, *bad, *says; } all[] = {
        { "x-perilune-priority", "3", "4", "may be 3 here at most (jobs.max_priority)" },
        { "x-perilune-keep", "600", "601", "may be 600 seconds here at most (jobs.max_keep)" },
        { "x-perilune-not-before", "+3599", "+3700", "may be 3600 seconds from now at most (jobs.max_delay)" },
        { "x-perilune-not-before", "0", "99999999999", "(jobs.max_delay)" },
    };
    struct job j;
    struct job_ask_error why;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        CHECK(read_with(all[i].name, all[i].good, "", &j, &why));
        CHECK(job_ask_check(&j, &s, &why));
        CHECK(read_with(all[i].name, all[i].bad, "", &j, &why));
        CHECK(!job_ask_check(&j, &s, &why));
        CHECK(strstr(why.message, all[i].name) != NULL);
        CHECK(strstr(why.message, all[i].says) != NULL);
    }
}

TEST_NOFAULT(what_a_list_may_be_asked) {
    struct job_list l;
    struct job_ask_error why;
    CHECK(job_ask_list(SLICE(""), &l, 20, 100, &why));
    CHECK_UINT(l.count, 20);
    CHECK_INT(l.status, -1);
    CHECK(job_ask_list(SLICE("status=failed&limit=100&after=job_1a2294a672c71985ad39fafc201603c9&path=/x"), &l, 20, 100,
                       &why));
    CHECK_INT(l.status, JOB_FAILED);
    CHECK_UINT(l.count, 100);
    CHECK_STR(l.after, "job_1a2294a672c71985ad39fafc201603c9");
    CHECK_STR(l.path, "/x");
    CHECK(!job_ask_list(SLICE("limit=101"), &l, 20, 100, &why));
    CHECK(!job_ask_list(SLICE("status=dead"), &l, 20, 100, &why));
    CHECK(!job_ask_list(SLICE("page=2"), &l, 20, 100, &why));
    CHECK(!job_ask_list(SLICE("after=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &l, 20, 100, &why));
}
