/* request.c -- what a handler asks of a request: a header, the body without its coding.
 *
 * Bodies are kept as they came.  Whoever only passes one on does not care that it is packed,
 * and the next one may want it so; whoever reads it calls http_request_decode() first. */
#include "http/coding.h"
#include "http/conn.h"
#include "include/perilune.h"

struct slice http_request_header(const struct http_request *r, struct slice name) {
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, name)) return r->headers[i].value;
    return slice_of(NULL, 0);
}

/* Of all its lines; there is no one who packs a body twice. */
static enum coding coding_of_body(const struct http_request *r) {
    enum coding coding = CODING_NONE;
    for (unsigned i = 0; i < r->header_count; i++) {
        if (!slice_eq_nocase(r->headers[i].name, SLICE("content-encoding"))) continue;
        enum coding c = coding_of(r->headers[i].value);
        if (c != CODING_NONE) coding = coding == CODING_NONE ? c : CODING_UNKNOWN;
    }
    return coding;
}

static void drop_headers(struct http_request *r, struct slice name) {
    unsigned kept = 0;
    for (unsigned i = 0; i < r->header_count; i++)
        if (!slice_eq_nocase(r->headers[i].name, name)) r->headers[kept++] = r->headers[i];
    r->header_count = kept;
}

static int decoding_failed(int err, const char **why) {
    *why = "out of memory";
    if (err == PERILUNE_ERR_NOMEM) return 503;
    *why = "the body is over the limit when it is decoded (limits.body)";
    if (err == PERILUNE_ERR_LIMITED) return 413;
    *why = "the body is not what its content-encoding says, or it is cut off";
    return 400;
}

int http_request_decode(struct http_request *r, const char **why) {
    enum coding coding = buf_len(&r->body) > 0 ? coding_of_body(r) : CODING_NONE;
    if (coding == CODING_UNKNOWN) {
        *why = "this content-encoding cannot be read here; one of " CODINGS_KNOWN " can";
        return 415;
    }
    if (coding != CODING_NONE) {
        struct buf plain;
        size_t limit = r->conn->server->limits.body;
        buf_init(&plain, 0);
        int rc = coding_decode(coding, buf_get(&r->body), limit, &plain);
        if (rc != 0) {
            buf_deinit(&plain);
            return decoding_failed(rc, why);
        }
        buf_deinit(&r->body);
        r->body = plain;
    }
    drop_headers(r, SLICE("content-encoding"));
    return 0;
}
