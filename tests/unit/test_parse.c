/* test_parse.c -- heads and chunked bodies: what is accepted, what is refused and
 * why, and that the verdict does not depend on how the bytes were cut. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/parse.h"
#include "unit.h"

typedef int (*parse_fn)(struct http_head *, struct slice, size_t, const char **);

/* Feeds s byte by byte (each time from memory that ends where s does) until there
 * is a verdict. */
static int parse_bytewise(parse_fn parse, struct slice s, const char **why) {
    struct http_head head;
    for (size_t n = 1; n <= s.len; n++) {
        char *copy = malloc(n);
        memcpy(copy, s.ptr, n);
        int rc = parse(&head, slice_of(copy, n), n - 1, why);
        free(copy);
        if (rc != HTTP_AGAIN) return rc;
    }
    return HTTP_AGAIN;
}

/* Parses whole, bytewise and cut in two everywhere: all must agree. */
static int parse_all_ways(parse_fn parse, struct http_head *head, struct slice s,
                          const char **why) {
    const char *again = NULL;
    int rc = parse_bytewise(parse, s, &again);

    for (size_t cut = 1; cut < s.len && s.len < 1000; cut++) {
        NOTE("cut at %zu", cut);
        int first = parse(head, slice_of(s.ptr, cut), 0, why);
        CHECK_INT(first == HTTP_AGAIN ? parse(head, s, cut, why) : first, rc);
        CHECK_STR(*why, again);
    }
    NOTE("%s", "");
    CHECK_INT(parse(head, s, 0, why), rc);
    CHECK_STR(*why, again);
    return rc;
}

static void check_bad(const char *request, int rc, const char *want) {
    struct http_head head;
    const char *why;
    CHECK_INT(parse_all_ways(http_parse_request, &head, slice_str(request), &why), rc);
    CHECK_STR(why, want);
}

static struct http_head parse_good(const char *request) {
    struct http_head head;
    const char *why;
    int rc = parse_all_ways(http_parse_request, &head, slice_str(request), &why);
    if (rc < 0) FAIL("%d: %s", rc, why);
    CHECK_INT(rc, (intmax_t)strlen(request));
    return head;
}

/* -- Requests that are well ------------------------------------------------- */

TEST(request) {
    struct http_head head = parse_good("POST /v1/chat/completions?a=b HTTP/1.1\r\n"
                                       "Host: localhost:8080\r\n"
                                       "content-LENGTH:\t 12 \t\r\n"
                                       "X-Empty:\r\n"
                                       "X-Text: caf\xe9\tau  lait\r\n"
                                       "\r\n");
    CHECK_SLICE(head.method, SLICE("POST"));
    CHECK_SLICE(head.target, SLICE("/v1/chat/completions?a=b"));
    CHECK_SLICE(head.path, SLICE("/v1/chat/completions"));
    CHECK_SLICE(head.query, SLICE("a=b"));
    CHECK_INT(head.minor, 1);
    CHECK_UINT(head.header_count, 4);
    CHECK_SLICE(head.headers[0].name, SLICE("Host"));
    CHECK_SLICE(head.headers[0].value, SLICE("localhost:8080"));
    CHECK_SLICE(head.headers[1].value, SLICE("12"));
    CHECK_SLICE(head.headers[2].value, SLICE(""));
    CHECK_SLICE(head.headers[3].value, SLICE("caf\xe9\tau  lait"));
    CHECK(head.has_length && head.length == 12 && !head.chunked);
    CHECK(head.keep_alive && !head.expect_continue);
    CHECK_PTR(http_find(&head, SLICE("x-EMPTY")), &head.headers[2]);
    CHECK_PTR(http_find(&head, SLICE("x-none")), NULL);
}

TEST(only_the_head_is_eaten) {
    struct http_head head;
    const char *why;
    struct slice s = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /\x01 garbage");
    CHECK_INT(http_parse_request(&head, s, 0, &why), 27);
    CHECK(!head.has_length && !head.chunked);
}

TEST(nothing_yet) {
    struct http_head head;
    const char *why;
    CHECK_INT(http_parse_request(&head, slice_of(NULL, 0), 0, &why), HTTP_AGAIN);
    CHECK_INT(http_parse_response(&head, slice_of(NULL, 0), 0, &why), HTTP_AGAIN);
    CHECK_INT(http_parse_request(&head, SLICE("\r\n"), 0, &why), HTTP_AGAIN);
}

TEST(one_empty_line_first) {
    struct http_head head = parse_good("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_SLICE(head.method, SLICE("GET"));
    check_bad("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_BAD, "malformed method");
    check_bad("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_BAD, "line ends with LF alone");
}

static bool keeps_alive(const char *lines) {
    char request[256];
    snprintf(request, sizeof(request), "GET / %s\r\n\r\n", lines);
    return parse_good(request).keep_alive;
}

TEST(keep_alive) {
    CHECK(keeps_alive("HTTP/1.1\r\nHost: a"));
    CHECK(!keeps_alive("HTTP/1.1\r\nHost: a\r\nConnection: close"));
    CHECK(!keeps_alive("HTTP/1.1\r\nHost: a\r\nConnection: TE, Close ,x"));
    CHECK(!keeps_alive("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close"));
    CHECK(keeps_alive("HTTP/1.1\r\nHost: a\r\nConnection: closed"));
    CHECK(keeps_alive("HTTP/1.1\r\nHost: a\r\nConnection: , ,"));
    CHECK(!keeps_alive("HTTP/1.0"));
    CHECK(keeps_alive("HTTP/1.0\r\nConnection: Keep-Alive"));
    CHECK(!keeps_alive("HTTP/1.0\r\nConnection: Keep-Alive, close"));
}

TEST(expect) {
    CHECK(parse_good("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n").expect_continue);
    CHECK(!parse_good("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n").expect_continue);
    CHECK(!parse_good("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expect_continue);
}

TEST(chunked_is_seen) {
    CHECK(parse_good("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").chunked);
}

/* -- Requests that are not -------------------------------------------------- */

TEST(request_line) {
    check_bad(" GET / HTTP/1.1\r\n", HTTP_BAD, "malformed method");
    check_bad("GET\r\n", HTTP_BAD, "request line without a target");
    check_bad("G(T / HTTP/1.1\r\n", HTTP_BAD, "malformed method");
    check_bad("GET  / HTTP/1.1\r\n", HTTP_BAD, "request line without a target");
    check_bad("GET /\r\n", HTTP_BAD, "request line without a version");
    check_bad("GET / \r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET /  HTTP/1.1\r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET / HTTP/1.1 \r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET / http/1.1\r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET / HTTP/1.\r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET / HTTP/11\r\n", HTTP_BAD, "malformed HTTP version");
    check_bad("GET / HTTP/2.0\r\n", HTTP_VERSION, "HTTP version other than 1.0 and 1.1");
    check_bad("GET / HTTP/1.2\r\n", HTTP_VERSION, "HTTP version other than 1.0 and 1.1");
    check_bad("GET / HTTP/0.9\r\n", HTTP_VERSION, "HTTP version other than 1.0 and 1.1");
    check_bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_VERSION,
              "HTTP version other than 1.0 and 1.1");
    check_bad("GET\t/ HTTP/1.1\r\n", HTTP_BAD, "malformed method");
    check_bad("GET /a\tb HTTP/1.1\r\n", HTTP_BAD, "invalid byte in the target");
    check_bad("GET /caf\xc3\xa9 HTTP/1.1\r\n", HTTP_BAD, "invalid byte in the target");
    check_bad("GET /a\x7f HTTP/1.1\r\n", HTTP_BAD, "control byte in the head");
    check_bad("GET / HTTP/1.1\n", HTTP_BAD, "line ends with LF alone");
    check_bad("GET / HTTP/1.1\rHost: a\r\n", HTTP_BAD, "CR without LF");
    check_bad("\x16\x03\x01\x02", HTTP_BAD, "control byte in the head");
    check_bad("GETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n", HTTP_BAD, "malformed method");
}

static void check_bad_header(const char *line, int rc, const char *want) {
    char request[512];
    snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", line);
    NOTE("%s", line);
    check_bad(request, rc, want);
}

TEST(header_lines) {
    check_bad_header("Name : value", HTTP_BAD, "space in or after a header name");
    check_bad_header("Na me: value", HTTP_BAD, "space in or after a header name");
    check_bad_header("Name\t: value", HTTP_BAD, "space in or after a header name");
    check_bad_header("X: a\r\n folded", HTTP_BAD, "folded header line");
    check_bad_header("X: a\r\n\tfolded: b", HTTP_BAD, "folded header line");
    check_bad_header(" X: a", HTTP_BAD, "folded header line");
    check_bad_header(": value", HTTP_BAD, "header line without a name");
    check_bad_header("name", HTTP_BAD, "header line without a colon");
    check_bad_header("na\xc3\xafve: 1", HTTP_BAD, "invalid byte in a header name");
    check_bad_header("X{}: 1", HTTP_BAD, "invalid byte in a header name");
    check_bad_header("X: a\x01", HTTP_BAD, "control byte in the head");
    check_bad_header("X: a\x7f", HTTP_BAD, "control byte in the head");
    check_bad_header("X: a\x0b\x62", HTTP_BAD, "control byte in the head");
    check_bad_header("X: a\nY: b", HTTP_BAD, "line ends with LF alone");
    check_bad_header("X: a\rY: b", HTTP_BAD, "CR without LF");
    check_bad_header("X: a\r\r\nY: b", HTTP_BAD, "CR without LF");
    check_bad_header("X: a\r\n\n", HTTP_BAD, "line ends with LF alone");
}

TEST(nul_in_a_header) {
    struct http_head head;
    const char *why;
    struct slice s = SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n");
    CHECK_INT(parse_all_ways(http_parse_request, &head, s, &why), HTTP_BAD);
}

TEST(content_length) {
    check_bad_header("Content-Length: 5\r\nContent-Length: 5", HTTP_BAD,
                     "more than one Content-Length");
    check_bad_header("Content-Length: 5\r\ncontent-length: 6", HTTP_BAD,
                     "more than one Content-Length");
    static const char *const malformed[] = {
        "", "5, 5", "5,5", "+5", "-5", "0x5", "5 5", "5a", "\"5\"", "5.0", "1e2", "\xb2",
        "9223372036854775808", "18446744073709551621", "99999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "Content-Length: %s", malformed[i]);
        check_bad_header(line, HTTP_BAD, "malformed Content-Length");
    }
    CHECK_UINT(parse_good("POST / HTTP/1.1\r\nHost: a\r\n"
                          "Content-Length: 999999999999999999\r\n\r\n").length,
               999999999999999999);
    CHECK_UINT(parse_good("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n").length, 7);
}

/* What one program reads as chunked and another does not. */
TEST(transfer_encoding) {
    static const struct {
        const char *lines;
        int         rc;
        const char *why;
    } cases[] = {
        { "Content-Length: 5\r\nTransfer-Encoding: chunked", HTTP_BAD,
          "Content-Length with Transfer-Encoding" },
        { "Transfer-Encoding: chunked\r\nContent-Length: 5", HTTP_BAD,
          "Content-Length with Transfer-Encoding" },
        { "Transfer-Encoding: chunked, chunked", HTTP_BAD, "transfer coding after chunked" },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HTTP_BAD,
          "transfer coding after chunked" },
        { "Transfer-Encoding: chunked, gzip", HTTP_BAD, "transfer coding after chunked" },
        { "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", HTTP_BAD,
          "transfer coding after chunked" },
        { "Transfer-Encoding: gzip, chunked", HTTP_NOT_IMPLEMENTED,
          "transfer coding other than chunked" },
        { "Transfer-Encoding: identity", HTTP_NOT_IMPLEMENTED,
          "transfer coding other than chunked" },
        { "Transfer-Encoding: xchunked", HTTP_NOT_IMPLEMENTED,
          "transfer coding other than chunked" },
        { "Transfer-Encoding:", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: ,chunked", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: chunked,", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: \"chunked\"", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: chunked;q=1", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: chun ked", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding: \x0b" "chunked", HTTP_BAD, "control byte in the head" },
        { "Transfer-Encoding : chunked", HTTP_BAD, "space in or after a header name" },
        { "Transfer-Encoding: chunked\xa0", HTTP_BAD, "malformed Transfer-Encoding" },
        { "Transfer-Encoding:\r\n chunked", HTTP_BAD, "malformed Transfer-Encoding" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_bad_header(cases[i].lines, cases[i].rc, cases[i].why);
    check_bad("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD,
              "Transfer-Encoding in HTTP/1.0");
}

TEST(host) {
    check_bad("GET / HTTP/1.1\r\n\r\n", HTTP_BAD, "no Host");
    check_bad("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", HTTP_BAD, "no Host");
    check_bad_header("host: a", HTTP_BAD, "more than one Host");
    check_bad("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", HTTP_BAD, "more than one Host");
    check_bad("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_BAD, "malformed Host");
    check_bad("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_BAD, "malformed Host");
    check_bad("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HTTP_BAD, "malformed Host");
    parse_good("GET / HTTP/1.1\r\nHost:\r\n\r\n");
    parse_good("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    parse_good("GET / HTTP/1.0\r\n\r\n");
}

static void check_target(const char *line, const char *path, const char *query, const char *host) {
    char request[256];
    snprintf(request, sizeof(request), "%s HTTP/1.1\r\nX: y\r\nhOST: there\r\n\r\n", line);
    struct http_head head = parse_good(request);
    CHECK_SLICE(head.path, slice_str(path));
    CHECK_SLICE(head.query, slice_str(query));
    CHECK_UINT(head.header_count, 2);
    CHECK_SLICE(head.headers[1].value, slice_str(host));
}

TEST(targets) {
    check_target("GET /a/b?c?d", "/a/b", "c?d", "there");
    check_target("GET //a", "//a", "", "there");
    check_target("GET http://here:80/a?b", "/a", "b", "here:80");
    check_target("GET HTTPS://[::1]/a", "/a", "", "[::1]");
    check_target("GET http://here", "/", "", "here");
    check_target("GET http://here?x", "/", "x", "here");
    check_target("OPTIONS *", "*", "", "there");
    struct http_head head = parse_good("GET http://here/ HTTP/1.0\r\n\r\n");
    CHECK_SLICE(http_find(&head, SLICE("Host"))->value, SLICE("here"));
    check_bad("GET * HTTP/1.1\r\n", HTTP_BAD, "the target * is for OPTIONS");
    check_bad("GET a HTTP/1.1\r\n", HTTP_BAD, "the target is no path and no http URL");
    check_bad("GET ?a HTTP/1.1\r\n", HTTP_BAD, "the target is no path and no http URL");
    check_bad("GET ftp://a/ HTTP/1.1\r\n", HTTP_BAD, "the target is no path and no http URL");
    check_bad("GET http:///a HTTP/1.1\r\n", HTTP_BAD, "malformed host in the target");
    check_bad("GET http://u@a/ HTTP/1.1\r\n", HTTP_BAD, "malformed host in the target");
    check_bad("GET http://a/ HTTP/1.1\r\n\r\n", HTTP_BAD, "no Host");
    check_bad("CONNECT a:443 HTTP/1.1\r\n", HTTP_NOT_IMPLEMENTED, "CONNECT: this is no proxy");
    check_bad("TRACE / HTTP/1.1\r\n", HTTP_NOT_IMPLEMENTED, "TRACE: requests are not sent back");
    check_bad("trace / HTTP/1.1\r\n", HTTP_NOT_IMPLEMENTED, "TRACE: requests are not sent back");
    check_bad("TRACK / HTTP/1.1\r\n", HTTP_NOT_IMPLEMENTED, "TRACE: requests are not sent back");
}

TEST(headers_with_one_value) {
    check_bad_header("Authorization: a\r\nauthorization: a", HTTP_BAD, "more than one Authorization");
    check_bad_header("Authorization: a\r\nX: y\r\nAUTHORIZATION: b", HTTP_BAD, "more than one Authorization");
    check_bad_header("Content-Type: a\r\nContent-Type: b", HTTP_BAD, "more than one Content-Type");
    check_bad_header("Proxy-Authorization: a\r\nProxy-Authorization: b", HTTP_BAD, "more than one Proxy-Authorization");
    check_bad_header("X-Api-Key: a\r\nX-Api-Key: b", HTTP_BAD, "more than one X-Api-Key");
    check_bad_header("Idempotency-Key: a\r\nidempotency-key: b", HTTP_BAD, "more than one Idempotency-Key");
    check_bad_header("Origin: a\r\nOrigin: b", HTTP_BAD, "more than one Origin");
    parse_good("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nContent-Type: b\r\nAccept: c\r\nAccept: d\r\n\r\n");
}

/* -- Limits ----------------------------------------------------------------- */

static struct buf request_with(size_t target_len, unsigned headers, size_t value_len) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "GET /");
    for (size_t i = 1; i < target_len; i++) buf_putc(&b, 'a');
    buf_puts(&b, " HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 1; i < headers; i++) {
        buf_printf(&b, "h%u: ", i);
        for (size_t k = 0; k < value_len; k++) buf_putc(&b, 'v');
        buf_puts(&b, "\r\n");
    }
    buf_puts(&b, "\r\n");
    CHECK(!buf_failed(&b));
    return b;
}

static void check_limit(struct buf b, int rc, const char *want) {
    struct http_head head;
    const char *why;
    CHECK_INT(parse_all_ways(http_parse_request, &head, buf_get(&b), &why), rc);
    CHECK_STR(why, want);
    buf_deinit(&b);
}

TEST(limits) {
    struct buf b = request_with(HTTP_MAX_TARGET, 1, 0);
    check_limit(b, (int)b.len, NULL);
    check_limit(request_with(HTTP_MAX_TARGET + 1, 1, 0), HTTP_URI_TOO_LONG, "target over 8 KiB");
    check_limit(request_with(40000, 1, 0), HTTP_URI_TOO_LONG, "target over 8 KiB");
    b = request_with(1, 100, 0);
    check_limit(b, (int)b.len, NULL);
    check_limit(request_with(1, 101, 0), HTTP_HEAD_TOO_LARGE, "more than 100 header lines");
    b = request_with(1, 2, HTTP_MAX_HEAD - 33);
    CHECK_UINT(b.len, HTTP_MAX_HEAD);
    check_limit(b, HTTP_MAX_HEAD, NULL);
    check_limit(request_with(1, 2, HTTP_MAX_HEAD - 32), HTTP_HEAD_TOO_LARGE, "head over 32 KiB");
    check_limit(request_with(1, 2, 100000), HTTP_HEAD_TOO_LARGE, "head over 32 KiB");
}

TEST(a_request_line_without_end) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "\r\n");
    for (int i = 0; i < 9000; i++) buf_putc(&b, 'G');
    CHECK(!buf_failed(&b));
    check_limit(b, HTTP_BAD, "malformed method");
}

/* -- Responses -------------------------------------------------------------- */

static int parse_response(struct http_head *head, const char *s, const char **why) {
    return parse_all_ways(http_parse_response, head, slice_str(s), why);
}

TEST(response) {
    struct http_head head;
    const char *why;
    CHECK_INT(parse_response(&head, "HTTP/1.1 200 Very OK\r\nContent-Length: 2\r\n\r\n", &why), 43);
    CHECK_INT(head.status, 200);
    CHECK_SLICE(head.reason, SLICE("Very OK"));
    CHECK(head.keep_alive && head.has_length && head.length == 2);
    CHECK_INT(parse_response(&head, "HTTP/1.0 404 \r\n\r\n", &why), 17);
    CHECK_INT(head.status, 404);
    CHECK_SLICE(head.reason, SLICE(""));
    CHECK(!head.keep_alive);
    CHECK_INT(parse_response(&head, "HTTP/1.1 503\r\n\r\n", &why), 16);
    CHECK_INT(parse_response(&head, "HTTP/1.1 20\r\n\r\n", &why), HTTP_BAD);
    CHECK_INT(parse_response(&head, "HTTP/1.1 2000\r\n\r\n", &why), HTTP_BAD);
    CHECK_INT(parse_response(&head, "HTTP/1.1 099 x\r\n\r\n", &why), HTTP_BAD);
    CHECK_INT(parse_response(&head, "HTTP/1.1  200 x\r\n\r\n", &why), HTTP_BAD);
    CHECK_INT(parse_response(&head, "HTTP/2.0 200 x\r\n\r\n", &why), HTTP_VERSION);
    CHECK_INT(parse_response(&head, "\r\nHTTP/1.1 200 x\r\n\r\n", &why), HTTP_BAD);
    CHECK_INT(parse_response(&head, "ICY 200 OK\r\n\r\n", &why), HTTP_BAD);
}

/* -- Chunked bodies --------------------------------------------------------- */

/* Eats s in pieces of `piece` bytes; the data goes to out.  Returns how many
 * bytes belonged to the body, HTTP_AGAIN or HTTP_BAD. */
static long unchunk(struct slice s, size_t piece, struct buf *out, const char **why) {
    struct http_chunked c;
    size_t at = 0;

    http_chunked_init(&c);
    buf_clear(out);
    while (at < s.len) {
        size_t end = at + piece < s.len ? at + piece : s.len;
        while (at < end) {
            struct slice data;
            bool done;
            long n = http_chunked_eat(&c, slice_of(s.ptr + at, end - at), &data, &done, why);
            if (n < 0) return n;
            CHECK(n > 0);
            buf_slice(out, data);
            at += (size_t)n;
            if (done) return (long)at;
        }
    }
    return HTTP_AGAIN;
}

static void check_chunked(struct slice s, long rc, struct slice body, const char *want) {
    struct buf out;
    const char *why = NULL;
    buf_init(&out, 0);
    for (size_t piece = 1; piece <= s.len; piece++) {
        NOTE("pieces of %zu: %.*s", piece, SLICE_ARG(s));
        CHECK_INT(unchunk(s, piece, &out, &why), rc);
        CHECK(!buf_failed(&out));
        if (rc != HTTP_BAD) CHECK_SLICE(buf_get(&out), body);
        CHECK_STR(why, want);
    }
    buf_deinit(&out);
}

TEST(chunked) {
    check_chunked(SLICE("0\r\n\r\n"), 5, SLICE(""), NULL);
    check_chunked(SLICE("5\r\nhello\r\n0\r\n\r\nGET /"), 15, SLICE("hello"), NULL);
    check_chunked(SLICE("5\r\nhello\r\nA; q=\"x y\"\r\n\r\n34567890\r\n000\r\nX-T: 1\r\nY:\r\n\r\n"), 53,
                  SLICE("hello\r\n34567890"), NULL);
    check_chunked(SLICE("00000000000000aF\r\n"), HTTP_AGAIN, SLICE(""), NULL);
    check_chunked(SLICE("FFFFFFFFFFFFFFFF\r\nabc"), HTTP_AGAIN, SLICE("abc"), NULL);
    check_chunked(SLICE("5 \t; a = b\r\nhello\r\n0  \r\n\r\n"), 26, SLICE("hello"), NULL);
    check_chunked(SLICE("1;\xff\t\r\nx\r\n0;\r\n\r\n"), 15, SLICE("x"), NULL);
}

TEST(chunked_malformed) {
    struct slice none = SLICE("");
    check_chunked(SLICE("\r\n"), HTTP_BAD, none, "chunk without a size");
    check_chunked(SLICE(";x\r\n"), HTTP_BAD, none, "chunk without a size");
    check_chunked(SLICE(" 5\r\n"), HTTP_BAD, none, "chunk without a size");
    check_chunked(SLICE("-5\r\n"), HTTP_BAD, none, "chunk without a size");
    check_chunked(SLICE("0x5\r\n"), HTTP_BAD, none, "invalid byte in a chunk size");
    check_chunked(SLICE("5 5\r\n"), HTTP_BAD, none, "invalid byte in a chunk size");
    check_chunked(SLICE("5 \n"), HTTP_BAD, none, "invalid byte in a chunk size");
    check_chunked(SLICE("5_5\r\n"), HTTP_BAD, none, "invalid byte in a chunk size");
    check_chunked(SLICE("5\nhello\r\n"), HTTP_BAD, none, "invalid byte in a chunk size");
    check_chunked(SLICE("5\rhello"), HTTP_BAD, none, "CRLF expected in a chunked body");
    check_chunked(SLICE("00000000000000005\r\n"), HTTP_BAD, none, "chunk size over 16 digits");
    check_chunked(SLICE("5;a\nb\r\n"), HTTP_BAD, none, "control byte in a chunk extension");
    check_chunked(SLICE("5;a\x01\r\n"), HTTP_BAD, none, "control byte in a chunk extension");
    check_chunked(SLICE("5\r\nhello0\r\n\r\n"), HTTP_BAD, none, "CRLF expected in a chunked body");
    check_chunked(SLICE("5\r\nhello\n0\r\n\r\n"), HTTP_BAD, none,
                  "CRLF expected in a chunked body");
    check_chunked(SLICE("0\r\n\n"), HTTP_BAD, none, "malformed trailer");
    check_chunked(SLICE("0\r\n\rx"), HTTP_BAD, none, "CRLF expected in a chunked body");
    check_chunked(SLICE("0\r\n folded: 1\r\n\r\n"), HTTP_BAD, none, "malformed trailer");
    check_chunked(SLICE("0\r\n: 1\r\n\r\n"), HTTP_BAD, none, "malformed trailer");
    check_chunked(SLICE("0\r\nX : 1\r\n\r\n"), HTTP_BAD, none, "malformed trailer");
    check_chunked(SLICE("0\r\nX: 1\n\r\n"), HTTP_BAD, none, "control byte in a trailer");
    check_chunked(SLICE("0\r\nX: 1\rY: 2\r\n\r\n"), HTTP_BAD, none,
                  "CRLF expected in a chunked body");
}

static void check_chunked_limit(const char *head, char fill, int count, const char *tail, bool ok) {
    struct buf in, out;
    const char *why = NULL;
    buf_init(&in, 0);
    buf_init(&out, 0);
    buf_puts(&in, head);
    for (int i = 0; i < count; i++) buf_putc(&in, fill);
    buf_puts(&in, tail);
    CHECK(!buf_failed(&in));
    CHECK_INT(unchunk(buf_get(&in), 1000, &out, &why), ok ? (intmax_t)in.len : HTTP_BAD);
    buf_deinit(&in);
    buf_deinit(&out);
}

TEST(chunked_limits) {
    check_chunked_limit("0;", 'x', 4096, "\r\n\r\n", true);
    check_chunked_limit("0;", 'x', 4097, "\r\n\r\n", false);
    check_chunked_limit("0\r\nX:", 'x', 8190, "\r\n\r\n", true);
    check_chunked_limit("0\r\nX:", 'x', 8191, "\r\n\r\n", false);
    check_chunked_limit("0\r\nX:1\r\nY:", 'x', 8188, "\r\n\r\n", false);
}

TEST(chunked_after_the_end) {
    struct http_chunked c;
    struct slice data;
    bool done;
    const char *why;
    http_chunked_init(&c);
    CHECK_INT(http_chunked_eat(&c, SLICE("0\r\n\r\nrest"), &data, &done, &why), 5);
    CHECK(done);
    CHECK_INT(http_chunked_eat(&c, SLICE("rest"), &data, &done, &why), 0);
    CHECK(done && data.len == 0);
    CHECK_INT(http_chunked_eat(&c, slice_of(NULL, 0), &data, &done, &why), 0);
}
