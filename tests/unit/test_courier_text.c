/* test_post_text.c -- what nodes say to each other through a broker. */
#include "jobs/courier_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "include/perilune.h"
#include "unit.h"

#define ID "job_00000000000000010000000000000002"

static int read_one(struct arena *a, const char *text, bool is_result, struct courier_message *m, char why[300]) {
    why[0] = '\0';
    return courier_read(a, slice_str(text), is_result, m, why, 300);
}

/* Written and read again. */
static int there_and_back(struct arena *a, const struct courier_message *m, bool is_result, struct courier_message *out) {
    char why[300] = "";
    struct buf b;
    buf_init(&b, 0);
    courier_write(&b, m);
    CHECK(!buf_failed(&b));
    char *text = arena_dup(a, buf_get(&b));
    size_t len = buf_len(&b);
    buf_deinit(&b);
    CHECK(text != NULL);
    int rc = courier_read(a, slice_of(text, len), is_result, out, why, sizeof(why));
    NOTE("%s", why);
    return rc;
}

static struct courier_message a_job(const char *body) {
    struct courier_message m = { .type = COURIER_JOB, .reply_to = SLICE("results.a") };
    m.job = (struct job){ .id = ID, .tenant = SLICE("acme"), .queue = SLICE("nightly"),
                          .path = SLICE("/v1/chat/completions?x=1"), .headers = SLICE("x-a: 1\r\nx-b: \"two\"\r\n"),
                          .body = slice_str(body), .priority = -7, .max_tries = 4, .expires_ms = 1790000000123 };
    return m;
}

TEST(a_job_goes_and_comes_whole) {
    static const char *const bodies[] = { "{\"model\":\"auto\",\"n\":[1,2]}", "", "no JSON \"at\" all\n",
                                          "\xE4\xBD\xA0\xE5\xA5\xBD", "\"a string\"", "null", " {\"n\":1}\n", "\xff\xfe bytes" };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct arena a;
        arena_init(&a);
        struct courier_message m = a_job(bodies[i]), out;
        CHECK_INT(there_and_back(&a, &m, false, &out), 0);
        CHECK_STR(out.job.id, ID);
        CHECK_SLICE(out.job.tenant, SLICE("acme"));
        CHECK_SLICE(out.job.queue, SLICE("nightly"));
        CHECK_SLICE(out.job.path, SLICE("/v1/chat/completions?x=1"));
        CHECK_SLICE(out.job.headers, SLICE("x-perilune-guard: *\r\nx-a: 1\r\nx-b: \"two\"\r\n"));
        CHECK_SLICE(out.job.body, slice_str(bodies[i]));
        CHECK_INT(out.job.priority, -7);
        CHECK_UINT(out.job.max_tries, 4);
        CHECK_UINT(out.job.expires_ms, 1790000000123);
        CHECK_SLICE(out.reply_to, SLICE("results.a"));
        arena_deinit(&a);
    }
}

/* As deep as a text may be, one level down it is too deep. */
TEST(json_that_is_too_deep_inside_goes_as_a_text) {
    struct arena a;
    arena_init(&a);
    char body[600];
    memset(body, '[', 256);
    memset(body + 256, ']', 256);
    body[512] = '\0';
    struct courier_message m = a_job(body), out;
    CHECK_INT(there_and_back(&a, &m, false, &out), 0);
    CHECK_SLICE(out.job.body, slice_str(body));
    arena_deinit(&a);
}

TEST(what_comes_back) {
    struct arena a;
    arena_init(&a);
    struct courier_message m = { .type = COURIER_RESULT }, out;
    m.job = (struct job){ .id = ID };
    m.end = (struct job_end){ .status = JOB_COMPLETED, .tries = 2, .result_status = 200, .keep_ms = 60001,
                              .result_type = SLICE("text/plain; charset=utf-8"), .result = SLICE("a\r\nb") };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_INT(out.type, COURIER_RESULT);
    CHECK_STR(out.job.id, ID);
    CHECK_INT(out.end.status, JOB_COMPLETED);
    CHECK_UINT(out.end.tries, 2);
    CHECK_UINT(out.end.keep_ms, 60001);
    CHECK_INT(out.end.result_status, 200);
    CHECK_SLICE(out.end.result, SLICE("a\r\nb"));
    CHECK_SLICE(out.end.result_type, SLICE("text/plain; charset=utf-8"));
    m.end = (struct job_end){ .status = JOB_FAILED, .tries = 3, .error = SLICE("{\"code\":\"no\"}") };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_INT(out.end.status, JOB_FAILED);
    CHECK_UINT(out.end.keep_ms, 0);
    CHECK_SLICE(out.end.error, SLICE("{\"code\":\"no\"}"));
    m = (struct courier_message){ .type = COURIER_EVENT, .id = SLICE(ID), .from = SLICE("n1"),
                               .event = { .number = 7, .name = SLICE(""), .data = SLICE("data: {}\n\n") } };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_SLICE(out.from, SLICE("n1"));
    CHECK_UINT(out.event.number, 7);
    CHECK_SLICE(out.event.data, SLICE("data: {}\n\n"));
    m = (struct courier_message){ .type = COURIER_EVENT, .id = SLICE(ID),
                               .event = { .name = SLICE("progress"), .data = SLICE("{\"n\":1}") } };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_SLICE(out.from, SLICE(""));
    CHECK_SLICE(out.event.name, SLICE("progress"));
    CHECK_SLICE(out.event.data, SLICE("{\"n\":1}"));
    m = (struct courier_message){ .type = COURIER_RUNNING, .id = SLICE(ID), .end = { .tries = 2 }, .reply_to = SLICE("b") };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_UINT(out.end.tries, 2);
    CHECK_SLICE(out.reply_to, SLICE("b"));
    m = (struct courier_message){ .type = COURIER_CANCEL, .id = SLICE(ID) };
    CHECK_INT(there_and_back(&a, &m, true, &out), 0);
    CHECK_INT(out.type, COURIER_CANCEL);
    arena_deinit(&a);
}

TEST(a_stranger_s_job_has_the_same_id_each_time) {
    struct arena a;
    arena_init(&a);
    char why[300];
    struct courier_message one, two, other, none;
    CHECK_INT(read_one(&a, "{\"id\":\"order 7\",\"path\":\"/v1/x\",\"body\":{}}", false, &one, why), 0);
    CHECK_INT(read_one(&a, "{\"path\":\"/v1/y\",\"id\":\"order 7\"}", false, &two, why), 0);
    CHECK_INT(read_one(&a, "{\"id\":\"order 7\",\"tenant\":\"zoo\",\"path\":\"/v1/x\"}", false, &other, why), 0);
    CHECK_INT(read_one(&a, "{\"path\":\"/v1/x\"}", false, &none, why), 0);
    CHECK_STR(one.job.id, two.job.id);
    CHECK(strcmp(one.job.id, other.job.id) != 0);
    CHECK_UINT(strlen(one.job.id), 36);
    CHECK_UINT(strlen(none.job.id), 36);
    CHECK_SLICE(one.id, SLICE("order 7"));
    CHECK_SLICE(one.job.body, SLICE("{}"));
    CHECK_UINT(one.job.max_tries, 0); /* as the node says */
    CHECK_SLICE(one.reply_to, SLICE(""));
    arena_deinit(&a);
}

TEST(what_is_wrong_is_said) {
    static const struct { const char *text; bool is_result; const char *part; } cases[] = {
        { "", false, "no JSON" },
        { "{\"path\":\"/x\"", false, "at byte" },
        { "[]", false, "object" },
        { "{}", false, "\"path\" is missing" },
        { "{\"path\":\"x\"}", false, "\"path\" must be a path" },
        { "{\"path\":\"/x\\r\\ny: 1\"}", false, "\"path\"" },
        { "{\"path\":7}", false, "\"path\" must be a string" },
        { "{\"path\":\"/x\",\"priority\":101}", false, "\"priority\" must be a number from -100 to 100" },
        { "{\"path\":\"/x\",\"max_tries\":0}", false, "\"max_tries\"" },
        { "{\"path\":\"/x\",\"max_tries\":\"3\"}", false, "\"max_tries\"" },
        { "{\"path\":\"/x\",\"tenant\":{}}", false, "\"tenant\"" },
        { "{\"path\":\"/x\",\"queue\":\"a b\"}", false, "\"queue\"" },
        { "{\"path\":\"/x\",\"headers\":{\"a\":1}}", false, "\"headers\"" },
        { "{\"path\":\"/x\",\"headers\":{\"a b\":\"1\"}}", false, "\"headers\"" },
        { "{\"path\":\"/x\",\"headers\":{\"a\":\"1\\r\\nb: 2\"}}", false, "\"headers\"" },
        { "{\"path\":\"/x\",\"headers\":[]}", false, "\"headers\"" },
        { "{\"path\":\"/x\",\"body_base64\":\"?\"}", false, "\"body_base64\" is no base64" },
        { "{\"path\":\"/x\",\"body_text\":{}}", false, "\"body_text\"" },
        { "{\"path\":\"/x\",\"perilune\":2}", false, "later form" },
        { "{\"path\":\"/x\",\"type\":\"result\"}", false, "must be \"job\"" },
        { "{\"path\":\"/x\",\"expires_at\":-1}", false, "\"expires_at\"" },
        { "{\"path\":\"/x\",\"reply_to\":[]}", false, "\"reply_to\"" },
        { "{\"type\":\"job\",\"path\":\"/x\"}", true, "\"type\" must be" },
        { "{\"type\":\"result\",\"id\":\"7\",\"status\":\"completed\"}", true, "\"id\"" },
        { "{\"type\":\"result\",\"id\":\"" ID "\",\"status\":\"queued\"}", true, "\"status\"" },
        { "{\"type\":\"result\",\"id\":\"" ID "\"}", true, "\"status\"" },
        { "{\"type\":\"result\",\"id\":\"" ID "\",\"status\":\"failed\",\"error_text\":\"x\"}", true, "\"error\"" },
        { "{\"type\":\"event\",\"id\":\"" ID "\"}", true, "\"data\"" },
        { "{\"type\":\"event\",\"id\":\"" ID "\",\"number\":-1,\"data\":1}", true, "\"number\"" },
        { "{\"type\":\"event\",\"id\":\"" ID "\",\"from\":7,\"data\":1}", true, "\"from\"" },
        { "{\"type\":\"result\",\"id\":\"" ID "\",\"status\":\"failed\",\"keep\":\"x\"}", true, "\"keep\"" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct arena a;
        struct courier_message m;
        char why[300];
        arena_init(&a);
        CHECK_INT(read_one(&a, cases[i].text, cases[i].is_result, &m, why), PERILUNE_ERR_INVAL);
        NOTE("%s: %s", cases[i].text, why);
        CHECK(strstr(why, cases[i].part) != NULL);
        arena_deinit(&a);
    }
}

/* Each prefix of a message is wrong, and nothing worse. */
TEST_NOFAULT(a_message_that_is_cut_anywhere) {
    struct buf b;
    struct arena a;
    buf_init(&b, 0);
    arena_init(&a);
    struct courier_message m = a_job("{\"model\":\"auto\"}"), out;
    char why[300];
    courier_write(&b, &m);
    for (size_t n = 0; n < buf_len(&b); n++) {
        char *own = malloc(n > 0 ? n : 1);
        memcpy(own, buf_get(&b).ptr, n);
        CHECK_INT(courier_read(&a, slice_of(own, n), false, &out, why, sizeof(why)), PERILUNE_ERR_INVAL);
        free(own);
    }
    arena_deinit(&a);
    buf_deinit(&b);
}
