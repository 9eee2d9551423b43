/* test_httpdate.c -- the three forms of a date, and Retry-After. */
#include "base/httpdate.h"

#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

#define NOW 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void is(const char *text, int64_t expected) {
    int64_t got = -1;
    NOTE("%s", text);
    CHECK_INT(httpdate_parse(slice_str(text), NOW, &got), 0);
    CHECK_INT(got, expected);
}

static void is_none(const char *text) {
    int64_t got = 42;
    NOTE("%s", text);
    CHECK_INT(httpdate_parse(slice_str(text), NOW, &got), PERILUNE_ERR_INVAL);
    CHECK_INT(got, 42);
}

TEST_NOFAULT(three_forms_of_one_moment) {
    is("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    is("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    is("Sun Nov  6 08:49:37 1994", 784111777);
    is("Wed Nov 16 08:49:37 1994", 784975777);
}

TEST_NOFAULT(edges_of_the_calendar) {
    is("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    is("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    is("Tue, 29 Feb 2000 12:00:00 GMT", 951825600);
    is("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    is("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800); /* a leap second */
    is("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799);
    is_none("Thu, 29 Feb 2023 00:00:00 GMT");
    is_none("Thu, 29 Feb 1900 00:00:00 GMT");
    is_none("Sun, 31 Apr 1994 00:00:00 GMT");
    is_none("Sun, 00 Nov 1994 08:49:37 GMT");
    is_none("Sun, 06 Nov 1994 24:00:00 GMT");
    is_none("Sun, 06 Nov 1994 08:60:37 GMT");
    is_none("Sun, 06 Nov 1994 08:49:61 GMT");
}

TEST_NOFAULT(the_century_of_two_digits) {
    is("Sunday, 01-Jan-00 00:00:00 GMT", 946684800);
    is("Sunday, 01-Jan-73 00:00:00 GMT", 3250454400); /* fifty years ahead */
    is("Sunday, 01-Jan-74 00:00:00 GMT", 126230400);  /* fifty-one: the past */
    is("Sunday, 01-Jan-99 00:00:00 GMT", 915148800);
    int64_t got;
    CHECK_INT(httpdate_parse(SLICE("Sunday, 01-Jan-50 00:00:00 GMT"), 946684800, &got), 0); /* said on New Year of 2000 */
    CHECK_INT(got, 2524608000);
    CHECK_INT(httpdate_parse(SLICE("Sunday, 01-Jan-50 00:00:00 GMT"), 946684799, &got), 0); /* and a second earlier */
    CHECK_INT(got, -631152000);
    CHECK_INT(httpdate_parse(SLICE("Sunday, 01-Jan-99 00:00:00 GMT"), INT64_MAX, &got), 0);
    CHECK_INT(got, 253370764800);
}

/* Each prefix, each byte replaced, each byte doubled: no date, and no read behind it. */
static void mangle(const char *good) {
    static const char other[] = "\0 ,:-9zG\xff";
    size_t n = strlen(good);
    for (size_t i = 0; i < n; i++) {
        char *bad = mem_alloc(i ? i : 1); /* exactly i bytes: a sanitizer sees one too many */
        int64_t got;
        NOTE("the first %zu bytes of %s", i, good);
        CHECK(bad != NULL);
        memcpy(bad, good, i);
        CHECK_INT(httpdate_parse(slice_of(bad, i), NOW, &got), PERILUNE_ERR_INVAL);
        mem_free(bad);
        for (size_t k = 0; k < sizeof(other) - 1; k++) {
            char text[64];
            bool is_digit = good[i] >= '0' && good[i] <= '9';
            if (other[k] == good[i] || (is_digit && other[k] == '9')) continue;
            if (good[i] == ' ' && good[i + 1] == '6' && other[k] == '9') continue; /* " 6" */
            snprintf(text, sizeof(text), "%s", good);
            text[i] = other[k];
            NOTE("byte %zu of %s is \\x%02x", i, good, (unsigned char)other[k]);
            CHECK_INT(httpdate_parse(slice_of(text, n), NOW, &got), PERILUNE_ERR_INVAL);
        }
    }
    char longer[64];
    snprintf(longer, sizeof(longer), "%s ", good);
    is_none(longer);
}

TEST_NOFAULT(nothing_else_is_a_date) {
    mangle("Sun, 06 Nov 1994 08:49:37 GMT");
    mangle("Sunday, 06-Nov-94 08:49:37 GMT");
    mangle("Sun Nov  6 08:49:37 1994");
    is_none("");
    is_none("120");
    is_none("sun, 06 nov 1994 08:49:37 gmt");
    is_none("Sun, 06 Nov 1994 08:49:37 UTC");
    is_none("Sun, 06 Nov 1994 08:49:37 +0000");
    is_none("Sun, 6 Nov 1994 08:49:37 GMT");
    is_none("1994-11-06T08:49:37Z");
}

/* Against the C library, over all years of four digits. */
TEST_NOFAULT(agrees_with_the_library) {
    struct rng r;
    rng_seed(&r, 11);
    for (int i = 0; i < 20000; i++) {
        time_t t = (time_t)(rng_next(&r) % 253402300800);
        struct tm tm;
        char text[64];
        gmtime_r(&t, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        is(text, t);
        strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
        is(text, t);
    }
}

static void waits(const char *ms, const char *wait, const char *date, uint32_t expected) {
    struct retry_after h = { slice_str(ms), slice_str(wait), slice_str(date) };
    NOTE("%s | %s | %s", ms ? ms : "-", wait ? wait : "-", date ? date : "-");
    CHECK_UINT(httpdate_retry_after(&h, NOW), expected);
}

TEST_NOFAULT(how_long_to_wait) {
    waits(NULL, NULL, NULL, 0);
    waits(NULL, "7", NULL, 7000);
    waits(NULL, " 7 ", NULL, 7000);
    waits(NULL, "0", NULL, 0);
    waits(NULL, "1.5", NULL, 1500);
    waits(NULL, "0.4", NULL, 400);
    waits(NULL, "0.0001", NULL, 1);
    waits(NULL, "2.1230", NULL, 2123);
    waits(NULL, "2.", NULL, 2000);
    waits(NULL, "2.0", NULL, 2000);
    waits(NULL, "1.2.3", NULL, 0);
    waits(NULL, ".5", NULL, 0);
    waits("350", "7", NULL, 350);
    waits("350.9", NULL, NULL, 351);
    waits("0", "7", NULL, 0);
    waits("soon", "7", NULL, 7000);
    waits("-350", "7", NULL, 7000);
    waits("-350", NULL, NULL, 0);
    waits(NULL, "-7", NULL, 0);
    waits(NULL, "7s", NULL, 0);
    waits(NULL, ".", NULL, 0);
    waits(NULL, "", NULL, 0);
    waits(NULL, "99999999999", NULL, RETRY_AFTER_MAX_MS);
    waits("999999999999", NULL, NULL, RETRY_AFTER_MAX_MS);
    waits(NULL, "99999999999999999999999999", NULL, RETRY_AFTER_MAX_MS);
    waits(NULL, "18446744073709551617", NULL, RETRY_AFTER_MAX_MS);
    waits(NULL, "0.99999999999999999999999999", NULL, 1000);
}

TEST_NOFAULT(until_a_date) {
    const char *at = "Tue, 14 Nov 2023 22:14:20 GMT"; /* NOW + 60 s */
    waits(NULL, at, NULL, 60000);
    waits(NULL, at, "Tue, 14 Nov 2023 22:14:15 GMT", 5000);  /* its own clock counts */
    waits(NULL, at, "Tuesday, 14-Nov-23 22:14:15 GMT", 5000);
    waits(NULL, at, "yesterday", 60000);
    waits(NULL, at, "Tue, 14 Nov 2023 22:15:00 GMT", 0);     /* over already */
    waits(NULL, "Tue Nov 14 22:13:21 2023", NULL, 1000);
    waits(NULL, "Fri, 31 Dec 9999 23:59:59 GMT", NULL, RETRY_AFTER_MAX_MS);
    waits("20", at, NULL, 20);
}

TEST(limits_are_lifted_when_they_say) {
    static const struct { const char *said; uint32_t ms; } cases[] = {
        { "6m0s", 360000 }, { "1.5s", 1500 }, { "12ms", 12 }, { "1h2m3s", 3723000 }, { "20", 20000 }, { "0.25", 250 },
        { "1700000010", 10000 }, { "1700000010500", 10500 }, { "1699999999", 0 }, { "Tue, 14 Nov 2023 22:13:30 GMT", 10000 },
        { "900us", 1 }, { "", 0 }, { "soon", 0 }, { "5x", 0 }, { "s", 0 }, { "-3s", 0 }, { "1.2.3s", 0 }, { "0s", 0 },
        { "99999999h", RETRY_AFTER_MAX_MS }, { "999999999999999999999", RETRY_AFTER_MAX_MS } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK_UINT(httpdate_reset(slice_str(cases[i].said), 1700000000), cases[i].ms);
}
