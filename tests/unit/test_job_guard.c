/* test_job_guard.c -- who let a job in, as it is kept with the job. */
#include "request/job_question.h"

#include "unit.h"

static struct arena arena;

static void check(const char *headers, const char *want, bool is_batch, const char *rest) {
    struct job j = { .headers = slice_str(headers), .function = SLICE("") };
    char guard[GUARD_SIZE];
    bool batch;
    NOTE("%s", headers);
    CHECK_SLICE(job_guard(&j, guard, &batch), slice_str(rest));
    CHECK_STR(guard, want);
    CHECK_INT(batch, is_batch);
    CHECK_INT(job_is_batch(&j), is_batch);
}

TEST_NOFAULT(what_is_put_is_read) {
    static const char *const guards[] = { "", GUARD_OPERATOR, "0123456789abcdef" };
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(guards) / sizeof(*guards); i++)
        for (int batch = 0; batch < 2; batch++) {
            struct job j = { .headers = SLICE("a: b\r\n"), .function = SLICE("") };
            char text[128];
            CHECK(job_put_guard(&j, &arena, guards[i], batch));
            slice_copy(text, sizeof(text), j.headers);
            check(text, guards[i], batch, "a: b\r\n");
        }
    arena_deinit(&arena);
}

TEST_NOFAULT(only_the_first_line_counts) {
    check("", "", false, "");
    check("a: b\r\n", "", false, "a: b\r\n");
    check("a: b\r\nx-perilune-guard: *\r\n", "", false, "a: b\r\nx-perilune-guard: *\r\n");
    check("x-perilune-guard: -\r\nx-perilune-batch: *\r\n", "", false, "x-perilune-batch: *\r\n");
    check("x-perilune-guard: 0123456789abcdef0123\r\n", "0123456789abcdef", false, ""); /* cut, and no guard of ours */
}

/* A client's word is not kept, whatever it is called. */
TEST(no_client_says_it) {
    struct http_header headers[] = { { SLICE("X-Perilune-Guard"), SLICE("*") }, { SLICE("x-perilune-batch"), SLICE("*") },
                                     { SLICE("x-team"), SLICE("guest") } };
    struct request *r = request_new();
    struct job j = { .function = SLICE("") };
    struct http_header *kept;
    CHECK(r != NULL);
    arena_init(&arena);
    r->path = SLICE("/v1/special");
    r->headers = headers;
    r->header_count = 3;
    static const char *const named[] = { "x-team", "x-perilune-guard" };
    bool made = job_from_request(&j, &arena, r, NULL, &(struct job_headers){ named, 2 }) && job_put_guard(&j, &arena, r->guard, false);
    CHECK(made);
    char guard[GUARD_SIZE];
    bool batch;
    CHECK_SLICE(job_guard(&j, guard, &batch), SLICE("x-team: guest\r\n"));
    CHECK_STR(guard, "");
    CHECK(!batch);
    r->header_count = 0;
    CHECK(job_to_request(&j, r));
    kept = r->headers;
    CHECK_INT(r->header_count, 1);
    CHECK_SLICE(kept[0].name, SLICE("x-team"));
    request_end(r);
    request_put(r);
    arena_deinit(&arena);
}

/* Behind the reply: who asked has let go of the words of the question by then. */
TEST_NOFAULT(a_job_of_a_request_that_was_kept) {
    char words[] = "/team/v1/special";
    struct request *r = request_new();
    struct job j = { .function = SLICE("") };
    CHECK(r != NULL);
    arena_init(&arena);
    r->method = SLICE("POST");
    r->whole_path = slice_str(words);
    r->path = slice_of(words + 5, sizeof(words) - 6);
    r->query = SLICE("");
    r->peer = "";
    CHECK(request_keep(r));
    memset(words, 'x', sizeof(words));
    CHECK(job_from_request(&j, &arena, r, NULL, &(struct job_headers){ NULL, 0 }));
    CHECK_SLICE(j.path, SLICE("/team/v1/special"));
    request_end(r);
    request_put(r);
    arena_deinit(&arena);
}
