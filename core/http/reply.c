/* reply.c -- bytes of an HTTP reply into a connection's output.
 *
 * Only appends: the connection sends when the turn ends.  A reply of unknown
 * length is chunked, or, for HTTP/1.0, ends with the connection. */
#include <stdio.h>

#include "base/stamp.h"
#include "http/conn.h"
#include "include/perilune.h"

const char *http_reason(int status) {
    static const struct { int status; const char *reason; } known[] = {
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
        { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" },
        { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 408, "Request Timeout" }, { 409, "Conflict" }, { 413, "Content Too Large" },
        { 414, "URI Too Long" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" }, { 499, "Client Closed Request" },
        { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
        { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].status == status) return known[i].reason;
    return status < 400 ? "OK" : "Error";
}

static void put_date(struct buf *out) {
    static _Thread_local struct stamp last;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    buf_puts(out, stamp_text(&last, now.tv_sec, "date: %a, %d %b %Y %H:%M:%S GMT\r\n"));
}

static void put_status(struct buf *out, int status) {
    if (status == 200) {
        buf_slice(out, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
}

void reply_head(struct http_request *r, int status, struct slice headers, size_t length) {
    struct http_conn *c = r->conn;
    buf_reserve(&c->out, 256 + headers.len);
    put_status(&c->out, status);
    buf_slice(&c->out, headers);
    put_date(&c->out);
    c->chunked_out = length == REPLY_CHUNKED && c->minor == 1;
    if (length != REPLY_CHUNKED) {
        buf_slice(&c->out, SLICE("content-length: "));
        buf_u64(&c->out, length);
        buf_slice(&c->out, SLICE("\r\n"));
    } else if (c->chunked_out) {
        buf_slice(&c->out, SLICE("transfer-encoding: chunked\r\n"));
    } else {
        c->keep_alive = 0; /* HTTP/1.0: the end of the connection is the end of the body */
    }
    if (c->server->draining) c->keep_alive = 0;
    if (!c->keep_alive) buf_slice(&c->out, SLICE("connection: close\r\n"));
    else if (c->minor == 0) buf_slice(&c->out, SLICE("connection: keep-alive\r\n"));
    buf_slice(&c->out, SLICE("\r\n"));
    conn_touch(c);
}

/* Once per token: by hand. */
static void put_chunk(struct buf *out, struct slice piece) {
    char line[18];
    char *p = line + sizeof(line);
    *--p = '\n';
    *--p = '\r';
    size_t n = piece.len;
    do *--p = "0123456789abcdef"[n & 15];
    while ((n >>= 4) > 0);
    size_t len = (size_t)(line + sizeof(line) - p);
    char *to = buf_reserve(out, len + piece.len + 2);
    if (to == NULL) return;
    memcpy(to, p, len);
    memcpy(to + len, piece.ptr, piece.len);
    memcpy(to + len + piece.len, "\r\n", 2);
    buf_advance(out, len + piece.len + 2);
}

enum flow reply_body(struct http_request *r, struct slice piece) {
    struct http_conn *c = r->conn;
    if (piece.len > 0 && !c->no_body) {
        if (c->chunked_out) {
            put_chunk(&c->out, piece);
        } else {
            buf_slice(&c->out, piece);
        }
        conn_touch(c);
    }
    if (conn_backlog(c) <= c->server->limits.high_water) return FLOW_MORE;
    c->was_full = 1;
    return FLOW_FULL;
}

void reply_end(struct http_request *r) {
    struct http_conn *c = r->conn;
    if (c->chunked_out && !c->no_body) buf_slice(&c->out, SLICE("0\r\n\r\n"));
    conn_reply_done(c, true); /* frees r */
}

void reply_lost(struct http_request *r) {
    r->conn->out.error = PERILUNE_ERR_NOMEM; /* as if it had not fit in there */
    conn_touch(r->conn);
}

void reply_abort(struct http_request *r) { conn_reply_done(r->conn, false); }

void reply_send(struct http_request *r, int status, struct slice headers, struct slice body) {
    reply_head(r, status, headers, body.len);
    reply_body(r, body);
    reply_end(r);
}

struct slice http_request_header(const struct http_request *r, struct slice name) {
    for (unsigned i = 0; i < r->header_count; i++)
        if (slice_eq_nocase(r->headers[i].name, name)) return r->headers[i].value;
    return slice_of(NULL, 0);
}
