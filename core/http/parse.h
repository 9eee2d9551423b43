/* parse.h -- a strict HTTP/1.1 parser: slices into the caller's bytes, no
 * allocation, no opinion about what the request means.  See parse.c. */
#ifndef PERILUNE_HTTP_PARSE_H
#define PERILUNE_HTTP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define HTTP_MAX_HEADERS   100
#define HTTP_MAX_HEAD      (32 * 1024) /* request line and header lines, bytes */
#define HTTP_MAX_TARGET    (8 * 1024)

struct http_header {
    struct slice name, value; /* value without surrounding white space */
};

struct http_head {
    struct slice method, target;     /* request; target as it came */
    struct slice path, query;        /* of the target: "/..." or "*"; after '?' */
    int          status;             /* response */
    struct slice reason;             /* response */
    int          minor;              /* HTTP/1.minor */
    struct http_header headers[HTTP_MAX_HEADERS];
    unsigned     header_count;
    /* Understood while parsing: */
    bool         chunked;            /* Transfer-Encoding: chunked */
    bool         has_length;
    uint64_t     length;             /* Content-Length */
    bool         keep_alive;         /* from version and Connection */
    bool         expect_continue;
};

/* Results besides a positive length. */
enum {
    HTTP_AGAIN = 0,            /* need more bytes */
    HTTP_BAD = -400,           /* malformed: see *why */
    HTTP_URI_TOO_LONG = -414,
    HTTP_HEAD_TOO_LARGE = -431,
    HTTP_NOT_IMPLEMENTED = -501, /* a transfer coding other than chunked; CONNECT, TRACE */
    HTTP_VERSION = -505,
};

/* Parses a request head at the start of s.  Returns its length in bytes
 * (blank line included), HTTP_AGAIN, or a negative HTTP_... with a static
 * sentence in *why.  `seen` is how many bytes an earlier call on a prefix of s
 * already looked at (0 at first): it makes bytewise arrival linear.
 * Rejected: bare LF, CR without LF, obs-fold, space before the colon, control
 * bytes, targets that are no path, URL or "*", several or malformed Content-Length (also "5, 5"), Content-Length with
 * Transfer-Encoding, chunked not last or twice, missing or double Host in 1.1,
 * Transfer-Encoding in 1.0, two lines of a header that has one value (Authorization,
 * Content-Type ...).  "GET http://host/path" is taken apart: the value of Host is then
 * that of the target, as RFC 9112 3.2.2 wants it.  One empty line before the request line is skipped
 * (RFC 9112 2.2). */
int http_parse_request(struct http_head *head, struct slice s, size_t seen, const char **why);

/* The same for a response head (of upstreams: upstream/http1.c; the load tester and tests use it, too). */
int http_parse_response(struct http_head *head, struct slice s, size_t seen, const char **why);

/* First header of that name (any case), or NULL. */
const struct http_header *http_headers_find(const struct http_header *headers, unsigned count, struct slice name);
const struct http_header *http_find(const struct http_head *head, struct slice name);
/* Its value, or an empty slice with ptr NULL. */
struct slice http_headers_value(const struct http_header *headers, unsigned count, struct slice name);

/* -- Chunked bodies --------------------------------------------------------- */

struct http_chunked {
    uint8_t  state;
    uint8_t  digits;
    uint32_t line;   /* bytes of size line, extension or trailers so far */
    uint64_t left;   /* of the current chunk */
};

void http_chunked_init(struct http_chunked *c);

/* Eats from s.  *data becomes the next piece of body (maybe empty).  Returns
 * bytes eaten (>= 0) or HTTP_BAD.  Call again with the rest until it eats 0 or
 * *done.  Limits: 16 hex digits, 4 KiB of extension per chunk (no control
 * bytes), 8 KiB of trailers; trailers are dropped. */
long http_chunked_eat(struct http_chunked *c, struct slice s, struct slice *data,
                      bool *done, const char **why);

#endif
