/* test_field.c -- field.c: which header lines may be sent. */
#include "http/field.h"

#include "unit.h"

TEST_NOFAULT(form_of_a_line) {
    CHECK(http_field_problem(SLICE("x-a"), SLICE("")) == NULL);
    CHECK(http_field_problem(SLICE("x-a"), SLICE("a\tb \xc3\xa9")) == NULL);
    CHECK_STR(http_field_problem(SLICE(""), SLICE("")), "a header name is empty");
    CHECK_STR(http_field_problem(SLICE("x a"), SLICE("")), "is not a header name");
    CHECK_STR(http_field_problem(SLICE("x:"), SLICE("")), "is not a header name");
    CHECK_STR(http_field_problem(SLICE("x\r"), SLICE("")), "is not a header name");
    char value[] = "a?b";
    for (int c = 0; c < 256; c++) {
        value[1] = (char)c;
        bool bad = (c < 32 && c != '\t') || c == 127;
        NOTE("byte %d", c);
        CHECK_INT(http_field_problem(SLICE("x"), slice_of(value, 3)) != NULL, bad);
    }
}

TEST_NOFAULT(names_that_frame) {
    CHECK(http_field_is_framing(SLICE("Content-Length")));
    CHECK(http_field_is_framing(SLICE("TRANSFER-ENCODING")));
    CHECK(http_field_is_framing(SLICE("connection")));
    CHECK(http_field_is_framing(SLICE("keep-alive")));
    CHECK(!http_field_is_framing(SLICE("content-type")));
    CHECK(!http_field_is_framing(SLICE("content-encoding")));
    CHECK(!http_field_is_framing(SLICE("content-lengths")));
}

TEST(putting) {
    struct buf b;
    struct slice own = SLICE("content-type: text/html\r\n");
    buf_init(&b, 0);
    http_field_put_unless(&b, SLICE(""), SLICE("a"), SLICE("1"));
    http_field_put_unless(&b, own, SLICE("Content-Type"), SLICE("x"));
    http_field_put_unless(&b, own, SLICE("c"), SLICE(""));
    bool whole = !buf_failed(&b);
    if (whole) CHECK_SLICE(buf_get(&b), SLICE("a: 1\r\nc: \r\n"));
    buf_deinit(&b);
    CHECK(whole);
}
