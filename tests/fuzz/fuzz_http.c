/* fuzz_http.c -- the verdict on a head, and what comes out of a chunked body, do
 * not depend on how the bytes were cut. */
#include "fuzz.h"

#include <string.h>

#include "base/buf.h"
#include "http/parse.h"

const char *const fuzz_tokens[] = {
    "\r\n", "\r\n\r\n", "\r", "\n", " ", "\t", ":", ": ", ",", ";", "\x7f", "\x0b", "\x01", "\x80",
    "GET / HTTP/1.1\r\n", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1 200 OK\r\n", "Host: a\r\n",
    "Content-Length: 5\r\n", "Content-Length:", "Transfer-Encoding: chunked\r\n", "chunked", "gzip",
    "Connection: close\r\n", "keep-alive", "Expect: 100-continue\r\n", "0\r\n\r\n", "5\r\nhello\r\n",
    "5;ext=1\r\n", "FFFFFFFFFFFFFFFF\r\n", "00000000000000000", "0", "a", "X: y\r\n", " folded\r\n",
    NULL
};

typedef int (*parse_fn)(struct http_head *, struct slice, size_t, const char **);

static int parse_copy(parse_fn parse, struct http_head *head, const uint8_t *data, size_t size,
                      size_t seen, const char **why) {
    char *copy = malloc(size ? size : 1);
    if (size > 0) memcpy(copy, data, size);
    int rc = parse(head, slice_of(copy, size), seen, why);
    free(copy);
    return rc;
}

static void check_slice_inside(struct slice s, const uint8_t *data, int head_len) {
    const char *begin = (const char *)data;
    if (s.len > 0) ORACLE(s.ptr >= begin && s.ptr + s.len <= begin + head_len);
}

static void check_head(const struct http_head *head, const uint8_t *data, int len) {
    ORACLE(!(head->chunked && head->has_length));
    ORACLE(head->header_count <= HTTP_MAX_HEADERS);
    ORACLE(len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
    check_slice_inside(head->method, data, len);
    check_slice_inside(head->target, data, len);
    if (!slice_eq(head->path, SLICE("/"))) check_slice_inside(head->path, data, len);
    check_slice_inside(head->query, data, len);
    for (unsigned i = 0; i < head->header_count; i++) {
        struct http_header h = head->headers[i];
        check_slice_inside(h.name, data, len);
        check_slice_inside(h.value, data, len);
        ORACLE(h.name.len > 0);
        for (size_t k = 0; k < h.value.len; k++)
            ORACLE(h.value.ptr[k] != '\r' && h.value.ptr[k] != '\n' && h.value.ptr[k] != '\0');
    }
}

/* Feeds pieces of at most `most` bytes until there is a verdict. */
static int parse_pieces(parse_fn parse, const uint8_t *data, size_t size, size_t most,
                        uint64_t *rng, const char **why) {
    struct http_head head;
    size_t seen = 0;

    while (seen < size) {
        size_t n = seen + 1 + (most > 1 ? fuzz_below(rng, most) : 0);
        if (n > size) n = size;
        int rc = parse_copy(parse, &head, data, n, seen, why);
        if (rc != HTTP_AGAIN) return rc;
        seen = n;
    }
    return HTTP_AGAIN;
}

static void fuzz_head(parse_fn parse, const uint8_t *data, size_t size, uint64_t rng) {
    static const size_t most[] = { 1, 4, 40, 400 };
    struct http_head head;
    const char *why, *again = NULL;

    int rc = parse(&head, slice_of((const char *)data, size), 0, &why);
    ORACLE(rc <= (int)size);
    ORACLE((rc < 0) == (why != NULL));
    if (rc > 0) check_head(&head, data, rc);
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        if (most[i] == 1 && size > 1024) continue;
        ORACLE(parse_pieces(parse, data, size, most[i], &rng, &again) == rc);
        ORACLE(size == 0 || (why ? again && strcmp(again, why) == 0 : again == NULL));
    }
}

/* -- Chunked ---------------------------------------------------------------- */

static long unchunk(const uint8_t *data, size_t size, size_t most, uint64_t *rng, struct buf *out) {
    struct http_chunked c;
    size_t at = 0, end = 0;

    http_chunked_init(&c);
    buf_clear(out);
    while (at < size) {
        struct slice piece;
        bool done;
        const char *why;
        if (at == end) end = at + 1 + (most > 1 ? fuzz_below(rng, most) : 0);
        if (end > size) end = size;
        long n = http_chunked_eat(&c, slice_of((const char *)data + at, end - at), &piece, &done,
                                  &why);
        ORACLE((n < 0) == (why != NULL));
        if (n < 0) return n;
        ORACLE(n > 0 && (size_t)n <= end - at);
        buf_slice(out, piece);
        at += (size_t)n;
        if (done) return (long)at;
    }
    return HTTP_AGAIN;
}

static void fuzz_chunked(const uint8_t *data, size_t size, uint64_t rng) {
    struct buf whole, pieces;

    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    /* From the first pieces on: data may come before the byte that is bad. */
    long rc = unchunk(data, size, size + 1, &rng, &whole);
    for (size_t most = 1; most < 100; most *= 6) {
        ORACLE(unchunk(data, size, most, &rng, &pieces) == rc);
        ORACLE(rc == HTTP_BAD || slice_eq(buf_get(&whole), buf_get(&pieces)));
    }
    ORACLE(!buf_failed(&whole) && !buf_failed(&pieces));
    buf_deinit(&whole);
    buf_deinit(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_head head;
    const char *why;
    uint64_t rng = fuzz_hash(data, size);

    fuzz_head(http_parse_request, data, size, rng);
    fuzz_head(http_parse_response, data, size, rng);
    fuzz_chunked(data, size, rng);
    int n = http_parse_request(&head, slice_of((const char *)data, size), 0, &why);
    if (n > 0 && head.chunked) fuzz_chunked(data + n, size - (size_t)n, rng);
    return 0;
}
