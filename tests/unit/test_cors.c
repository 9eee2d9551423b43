/* test_cors.c -- cors.c: who may, and what a browser is told. */
#include "gateway/cors.h"

#include "unit.h"

static struct cors cors_of(const char **origins, unsigned count) {
    return (struct cors){ .origins = origins, .origin_count = count, .headers = "", .expose = "x-a, x-b", .max_age = 60 };
}

static void check_lines(const struct cors *c, const char *origin, const char *want) {
    struct buf b;
    buf_init(&b, 0);
    cors_lines(c, slice_str(origin), &b);
    bool whole = !buf_failed(&b);
    NOTE("%s", origin ? origin : "no origin");
    if (whole) CHECK_SLICE(buf_get(&b), slice_str(want));
    buf_deinit(&b);
    CHECK(whole);
}

TEST(lines_of_replies) {
    const char *some[] = { "https://a", "http://b:80" }, *any[] = { "https://a", "*" };
    struct cors c = cors_of(some, 2), none = cors_of(some, 0);
#define EXPOSE "access-control-expose-headers: x-a, x-b\r\n"
    check_lines(&none, "https://a", "");
    check_lines(&c, NULL, "vary: origin\r\n");
    check_lines(&c, "https://c", "vary: origin\r\n");
    check_lines(&c, "https://a", "vary: origin\r\naccess-control-allow-origin: https://a\r\n" EXPOSE);
    check_lines(&c, "http://b:80", "vary: origin\r\naccess-control-allow-origin: http://b:80\r\n" EXPOSE);
    c.credentials = true;
    c.expose = "";
    check_lines(&c, "https://a", "vary: origin\r\naccess-control-allow-origin: https://a\r\n"
                                 "access-control-allow-credentials: true\r\n");
    c = cors_of(any, 2);
    check_lines(&c, NULL, "");
    check_lines(&c, "https://c", "access-control-allow-origin: *\r\n" EXPOSE);
}

static bool may(const char *pattern, const char *origin) {
    struct cors c = cors_of(&pattern, 1);
    struct buf b;
    buf_init(&b, 0);
    bool yes = cors_preflight(&c, slice_str(origin), SLICE(""), &b);
    buf_deinit(&b);
    return yes;
}

TEST(origins) {
    CHECK(may("https://a.b", "https://a.b"));
    CHECK(may("https://a.b", "HTTPS://A.B"));
    CHECK(!may("https://a.b", "http://a.b"));
    CHECK(!may("https://a.b", "https://a.b:8443"));
    CHECK(!may("https://a.b", "https://a.b.evil"));
    CHECK(!may("https://a.b", ""));
    CHECK(may("https://*.a.b", "https://x.a.b"));
    CHECK(may("https://*.a.b", "https://x.y.a.b"));
    CHECK(may("https://*.a.b:80", "https://x.a.b:80"));
    CHECK(!may("https://*.a.b", "https://a.b"));
    CHECK(!may("https://*.a.b", "https://.a.b"));
    CHECK(!may("https://*.a.b", "https://evila.b"));
    CHECK(!may("https://*.a.b", "https://x.a.b.evil"));
    for (const char *c = "/:?#@\\% ,;[]\"'*\x7f\x80\xff"; *c != '\0'; c++) {
        char origin[] = "https://evil?.a.b";
        *strchr(origin, '?') = *c;
        CHECK(!may("https://*.a.b", origin));
    }
    CHECK(!may("https://*.a.b", "https://evil..a.a.b"));
    CHECK(may("https://*.a.b", "https://X-1_y.a.b"));
    CHECK(!may("https://*.a.b", "http://x.a.b"));
    CHECK(may("null", "null"));
    CHECK(!may("https://a.b", "null"));
    CHECK(may("*", "null"));
}

TEST(preflights) {
    const char *some[] = { "https://a" };
    struct cors c = cors_of(some, 1), none = cors_of(some, 0);
    struct slice nothing = slice_of(NULL, 0);
    CHECK(cors_is_preflight(&c, SLICE("OPTIONS"), SLICE("https://z"), SLICE("POST")));
    CHECK(!cors_is_preflight(&c, SLICE("POST"), SLICE("https://z"), SLICE("POST")));
    CHECK(!cors_is_preflight(&c, SLICE("OPTIONS"), nothing, SLICE("POST")));
    CHECK(!cors_is_preflight(&c, SLICE("OPTIONS"), SLICE("https://z"), nothing));
    CHECK(!cors_is_preflight(&none, SLICE("OPTIONS"), SLICE("https://z"), SLICE("POST")));
    for (int set = 0; set < 2; set++) {
        struct buf b;
        buf_init(&b, 0);
        c.headers = set ? "x-mine" : "";
        CHECK(!cors_preflight(&c, SLICE("https://z"), SLICE("x"), &b));
        CHECK_UINT(buf_len(&b), 0);
        CHECK(cors_preflight(&c, SLICE("https://a"), SLICE("x-theirs"), &b));
        bool whole = !buf_failed(&b);
        if (whole)
            CHECK_SLICE(buf_get(&b), set ? SLICE("access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                                                 "access-control-allow-headers: x-mine\r\naccess-control-max-age: 60\r\n")
                                         : SLICE("access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                                                 "access-control-allow-headers: x-theirs\r\n"
                                                 "vary: access-control-request-headers\r\naccess-control-max-age: 60\r\n"));
        buf_deinit(&b);
        CHECK(whole);
    }
}
