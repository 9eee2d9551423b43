/* reply.c -- bytes of an HTTP reply into a connection's output.
 *
 *     length known      content-length
 *     unknown           transfer-encoding: chunked; to HTTP/1.0, the end of the connection
 *     1xx, 204, 304     neither, and no body, whatever the handler gives (RFC 9112 6.3)
 *     to HEAD           no body; the length when it is known
 *
 * This is the only place that writes content-length, transfer-encoding and connection: a
 * client that reads a reply's end elsewhere than where we put it takes the next reply for
 * something else.  Lines that handlers bring must not have these names (field.h).
 *
 * Only appends: the connection sends when the turn ends. */
#include <stdio.h>

#include "base/stamp.h"
#include "flow/headers.h"
#include "http/conn.h"
#include "include/perilune.h"

#define REASON_LOWEST 100

/* All registered ones, and 499 as nginx uses it in logs. */
const char *http_reason(int status) {
    static const char *const reasons[] = {
#define REASON(status, reason) [(status) - REASON_LOWEST] = (reason)
        REASON(100, "Continue"), REASON(101, "Switching Protocols"), REASON(102, "Processing"),
        REASON(103, "Early Hints"),
        REASON(200, "OK"), REASON(201, "Created"), REASON(202, "Accepted"),
        REASON(203, "Non-Authoritative Information"), REASON(204, "No Content"), REASON(205, "Reset Content"),
        REASON(206, "Partial Content"), REASON(207, "Multi-Status"), REASON(208, "Already Reported"),
        REASON(226, "IM Used"),
        REASON(300, "Multiple Choices"), REASON(301, "Moved Permanently"), REASON(302, "Found"),
        REASON(303, "See Other"), REASON(304, "Not Modified"), REASON(305, "Use Proxy"),
        REASON(307, "Temporary Redirect"), REASON(308, "Permanent Redirect"),
        REASON(400, "Bad Request"), REASON(401, "Unauthorized"), REASON(402, "Payment Required"),
        REASON(403, "Forbidden"), REASON(404, "Not Found"), REASON(405, "Method Not Allowed"),
        REASON(406, "Not Acceptable"), REASON(407, "Proxy Authentication Required"), REASON(408, "Request Timeout"),
        REASON(409, "Conflict"), REASON(410, "Gone"), REASON(411, "Length Required"),
        REASON(412, "Precondition Failed"), REASON(413, "Content Too Large"), REASON(414, "URI Too Long"),
        REASON(415, "Unsupported Media Type"), REASON(416, "Range Not Satisfiable"),
        REASON(417, "Expectation Failed"), REASON(418, "I'm a teapot"), REASON(421, "Misdirected Request"),
        REASON(422, "Unprocessable Content"), REASON(423, "Locked"), REASON(424, "Failed Dependency"),
        REASON(425, "Too Early"), REASON(426, "Upgrade Required"), REASON(428, "Precondition Required"),
        REASON(429, "Too Many Requests"), REASON(431, "Request Header Fields Too Large"),
        REASON(451, "Unavailable For Legal Reasons"), REASON(499, "Client Closed Request"),
        REASON(500, "Internal Server Error"), REASON(501, "Not Implemented"), REASON(502, "Bad Gateway"),
        REASON(503, "Service Unavailable"), REASON(504, "Gateway Timeout"),
        REASON(505, "HTTP Version Not Supported"), REASON(506, "Variant Also Negotiates"),
        REASON(507, "Insufficient Storage"), REASON(508, "Loop Detected"), REASON(510, "Not Extended"),
        REASON(511, "Network Authentication Required"),
#undef REASON
    };
    int i = status - REASON_LOWEST;
    if (i >= 0 && (size_t)i < sizeof(reasons) / sizeof(*reasons) && reasons[i] != NULL) return reasons[i];
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

/* Statuses whose replies never have a body. */
static bool is_bodiless(int status) { return status < 200 || status == 204 || status == 205 || status == 304; }

static void put_length(struct buf *out, uint64_t length) {
    buf_slice(out, SLICE("content-length: "));
    buf_u64(out, length);
    buf_slice(out, SLICE("\r\n"));
}

/* Says how the client finds the end of the reply. */
static void put_framing(struct http_conn *c, int status, size_t length) {
    c->no_body = c->head_only || is_bodiless(status);
    c->chunked_out = !c->no_body && length == REPLY_CHUNKED && c->minor == 1;
    if (c->chunked_out) buf_slice(&c->out, SLICE("transfer-encoding: chunked\r\n"));
    else if (status == 205) put_length(&c->out, 0); /* the one of them whose end is not known from its status */
    else if (!is_bodiless(status) && length != REPLY_CHUNKED) put_length(&c->out, length);
    else if (!c->no_body) c->keep_alive = 0; /* HTTP/1.0: the end of the connection is the end of the body */
}

void reply_head(struct http_request *r, int status, struct slice headers, size_t length) {
    struct http_conn *c = r->conn;
    buf_reserve(&c->out, 256 + headers.len);
    put_status(&c->out, status);
    buf_slice(&c->out, headers);
    if (headers_find(headers, SLICE("date")).ptr == NULL) put_date(&c->out);
    put_framing(c, status, length);
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
    if (c->chunked_out) buf_slice(&c->out, SLICE("0\r\n\r\n"));
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
