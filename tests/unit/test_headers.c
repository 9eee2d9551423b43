/* test_headers.c -- blocks of header lines, and lists of names. */
#include "flow/headers.h"

#include "unit.h"

TEST(lines_are_found_by_name) {
    struct buf b;
    buf_init(&b, 0);
    headers_put(&b, SLICE("A"), SLICE("1"));
    headers_put(&b, SLICE("ab"), SLICE("two words"));
    headers_put(&b, SLICE("empty"), SLICE(""));
    if (!buf_failed(&b)) {
        struct slice all = buf_get(&b), name, value;
        CHECK_SLICE(headers_find(all, SLICE("a")), SLICE("1"));
        CHECK_SLICE(headers_find(all, SLICE("AB")), SLICE("two words"));
        CHECK(headers_find(all, SLICE("empty")).ptr != NULL);
        CHECK(headers_find(all, SLICE("abc")).ptr == NULL);
        CHECK_SLICE(headers_line(all, SLICE("ab")), SLICE("ab: two words\r\n"));
        unsigned n = 0;
        while (headers_next(&all, &name, &value)) n++;
        CHECK_UINT(n, 3);
    }
    buf_deinit(&b);
}

TEST_NOFAULT(a_list_names_headers_and_beginnings) {
    static const char *const names[] = { "etag", "x-rate-*" };
    struct headers_list list = { names, 2 }, none = { NULL, 0 };
    CHECK(headers_list_has(&list, SLICE("ETag")));
    CHECK(!headers_list_has(&list, SLICE("etags")));
    CHECK(!headers_list_has(&list, SLICE("eta")));
    CHECK(headers_list_has(&list, SLICE("X-Rate-Limit")));
    CHECK(headers_list_has(&list, SLICE("x-rate-*")));
    CHECK(!headers_list_has(&list, SLICE("x-rate")));
    CHECK(!headers_list_has(&list, SLICE("x-rat-limit")));
    CHECK(!headers_list_has(&none, SLICE("etag")));
}

/* A star that covered them would let an upstream end our message where it likes. */
TEST_NOFAULT(no_star_means_what_the_gateway_says_itself) {
    static const char *const names[] = { "content-*", "tr*", "co*", "x-*", "ke*", "up*", "da*", "re*", "x-perilune-id" };
    static const char *const ours[] = { "Content-Length", "Transfer-Encoding", "trailer", "connection", "keep-alive",
                                        "upgrade", "content-type", "content-encoding", "date", "retry-after",
                                        "x-request-id", "X-Perilune-Upstream" };
    struct headers_list list = { names, sizeof(names) / sizeof(*names) };
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        NOTE("%s", ours[i]);
        CHECK(!headers_list_has(&list, slice_str(ours[i])));
    }
    CHECK(headers_list_has(&list, SLICE("content-disposition")));
    CHECK(headers_list_has(&list, SLICE("retry-after-ms")));
    CHECK(headers_list_has(&list, SLICE("x-perilune-id"))); /* named in full */
}

TEST_NOFAULT(lists) {
    CHECK(headers_value_has(SLICE("keep-alive, X-A ,x-b"), SLICE("x-a")));
    CHECK(headers_value_has(SLICE("x-b"), SLICE("X-B")));
    CHECK(!headers_value_has(SLICE("x-ab,, x"), SLICE("x-a")));
    CHECK(!headers_value_has(SLICE(""), SLICE("x-a")));
}
