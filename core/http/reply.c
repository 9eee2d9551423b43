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
 * Compressing is done here, too, so that no handler has to know: when the client asks for a
 * coding, the settings allow it and the kind of body promises something.  A body that comes
 * whole is packed at once, by an encoder that all connections of the thread share, and sent
 * plain when that did not make it smaller; so its head waits in a `struct packing` until the
 * body is here.  A stream has an encoder of its own and is flushed with every piece.
 *
 * Only appends: the connection sends when the turn ends. */
#include <stdio.h>

#include "base/stamp.h"
#include "base/clock.h"
#include "base/mem.h"
#include "flow/headers.h"
#include "http/coding.h"
#include "http/conn.h"
#include "http/field.h"
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
    clock_read(CLOCK_REALTIME_COARSE, &now);
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
static void put_length(struct buf *out, uint64_t length) {
    buf_slice(out, SLICE("content-length: "));
    buf_u64(out, length);
    buf_slice(out, SLICE("\r\n"));
}

/* Says how the client finds the end of the reply. */
static void put_framing(struct http_conn *c, int status, size_t length) {
    c->no_body = c->head_only || http_status_is_bodiless(status);
    c->chunked_out = !c->no_body && length == REPLY_CHUNKED && c->minor == 1;
    if (c->chunked_out) buf_slice(&c->out, SLICE("transfer-encoding: chunked\r\n"));
    else if (status == 205) put_length(&c->out, 0); /* the one of them whose end is not known from its status */
    else if (!http_status_is_bodiless(status) && length != REPLY_CHUNKED) put_length(&c->out, length);
    c->open_end = !c->no_body && !c->chunked_out && length == REPLY_CHUNKED;
    c->whole = 0;
    if (c->open_end) c->keep_alive = 0; /* HTTP/1.0: the end of the connection is the end of the body */
}

/* What every reply to this request has; a line of the handler's stands in place of one of the
 * same name.  (Not so with Vary, which is a list.) */
static void put_lines(struct buf *out, struct slice lines, struct slice headers) {
    struct slice name, value;
    while (headers_next(&lines, &name, &value)) {
        if (slice_eq_nocase(name, SLICE("vary"))) headers_put(out, name, value);
        else http_field_put_unless(out, headers, name, value);
    }
}

#define WITH_HEAD 16384 /* bytes of body that get their room together with the head */

/* more: lines besides the handler's, or empty. */
static void write_head(struct http_conn *c, int status, struct slice headers, struct slice more, size_t length) {
    size_t body = length <= WITH_HEAD && !c->head_only ? length : 0;
    buf_reserve(&c->out, 256 + headers.len + body);
    put_status(&c->out, status);
    buf_slice(&c->out, headers);
    buf_slice(&c->out, more);
    if (c->request != NULL) put_lines(&c->out, c->request->lines, headers);
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

static void write_body(struct http_conn *c, struct slice piece) {
    if (piece.len == 0 || c->no_body) return;
    if (c->chunked_out) put_chunk(&c->out, piece);
    else buf_slice(&c->out, piece);
    conn_touch(c);
}

/* -- Compressing ------------------------------------------------------------------ */

#define GZIP_MOST (1024 * 1024)     /* packing more at once would keep other requests waiting: */
#define ZSTD_MOST (4 * 1024 * 1024) /* both take about 10 ms */

struct packing {
    enum coding     coding;
    struct encoder *encoder; /* of a stream; NULL: the head is still to be sent */
    struct buf      headers;
    int             status;
    size_t          length;
};

static const struct slice VARY = SLICE("vary: accept-encoding\r\n");

/* What is worth it; media types of images, sound and archives are packed already. */
static bool is_text(struct slice type) {
    static const struct slice kinds[] = { SLICE("text/"), SLICE("application/json"), SLICE("application/x-ndjson"),
                                          SLICE("application/xml"), SLICE("application/javascript") };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (slice_starts_nocase(type, kinds[i])) return true;
    const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    struct slice name = slice_trim(slice_of(type.ptr, semicolon ? (size_t)(semicolon - type.ptr) : type.len));
    return name.len > 5 && slice_eq_nocase(slice_of(name.ptr + name.len - 5, 5), SLICE("+json"));
}

/* RFC 9110 7.7: who passes it on changes nothing of it. */
static bool says_no_transform(struct slice cache) {
    struct slice word = SLICE("no-transform");
    for (size_t i = 0; i + word.len <= cache.len; i++)
        if (slice_starts_nocase(slice_of(cache.ptr + i, cache.len - i), word)) return true;
    return false;
}

/* Does it depend on Accept-Encoding how this reply is sent?  An ETag says that bytes are the
 * same ones, a part of a file has its place in bytes: these stay as they are. */
static bool may_pack(const struct http_conn *c, int status, struct slice headers, size_t length) {
    const struct http_limits *l = &c->server->limits;
    if (l->compress_min == 0 || http_status_is_bodiless(status) || status == 206) return false;
    if (length == REPLY_CHUNKED ? !l->compress_streams : length < l->compress_min) return false;
    if (!is_text(headers_find(headers, SLICE("content-type")))) return false;
    return headers_find(headers, SLICE("content-encoding")).ptr == NULL &&
           headers_find(headers, SLICE("etag")).ptr == NULL &&
           !says_no_transform(headers_find(headers, SLICE("cache-control")));
}

static enum coding coding_for(const struct http_request *r, size_t length) {
    if (r->conn->head_only) return CODING_NONE;
    enum coding c = coding_choose(http_request_header(r, SLICE("accept-encoding")));
    if (length != REPLY_CHUNKED && length > (c == CODING_ZSTD ? ZSTD_MOST : GZIP_MOST)) return CODING_NONE;
    return c;
}

void reply_packing_free(struct packing *p) {
    if (p == NULL) return;
    encoder_free(p->encoder);
    buf_deinit(&p->headers);
    mem_free(p);
}

/* NULL: no memory, so the reply is sent plain. */
static struct packing *packing_new(enum coding coding, int status, struct slice headers, size_t length) {
    struct packing *p = mem_zalloc(sizeof(*p));
    if (p == NULL) return NULL;
    *p = (struct packing){ .coding = coding, .status = status, .length = length };
    buf_init(&p->headers, 0);
    buf_slice(&p->headers, headers);
    if (!buf_failed(&p->headers)) return p;
    reply_packing_free(p);
    return NULL;
}

/* The head of a reply that is packed, after all or from the beginning. */
static void write_packed_head(struct http_conn *c, const struct packing *p, size_t length) {
    char more[80];
    int n = snprintf(more, sizeof(more), "%scontent-encoding: %s\r\n", VARY.ptr, coding_name(p->coding));
    atomic_fetch_add_explicit(&c->server->stats.compressed, 1, memory_order_relaxed);
    write_head(c, p->status, buf_get(&p->headers), slice_of(more, (size_t)n), length);
}

static void count_saved(struct http_conn *c, size_t plain, size_t packed) {
    if (packed < plain)
        atomic_fetch_add_explicit(&c->server->stats.compress_saved, plain - packed, memory_order_relaxed);
}

static void send_plain(struct http_conn *c, struct slice body) {
    struct packing *p = c->packing;
    c->packing = NULL;
    write_head(c, p->status, buf_get(&p->headers), VARY, p->length);
    write_body(c, body);
    reply_packing_free(p);
}

static struct encoder *shared_encoder(struct http_server *s, enum coding c) {
    if (s->encoders[c] == NULL) s->encoders[c] = encoder_new(c, false);
    return s->encoders[c];
}

/* All of it at once. */
static void send_packed(struct http_conn *c, struct slice body) {
    struct packing *p = c->packing;
    struct encoder *e = shared_encoder(c->server, p->coding);
    struct buf packed;
    buf_init(&packed, 0);
    bool ok = e != NULL && encoder_feed(e, body, ENCODER_END, &packed) == 0;
    if (e != NULL && !ok) { /* it stopped in the middle of something */
        encoder_free(e);
        c->server->encoders[p->coding] = NULL;
    }
    if (ok && buf_len(&packed) < body.len) {
        c->packing = NULL;
        write_packed_head(c, p, buf_len(&packed));
        write_body(c, buf_get(&packed));
        count_saved(c, body.len, buf_len(&packed));
        reply_packing_free(p);
    } else {
        send_plain(c, body);
    }
    buf_deinit(&packed);
}

static void pack_piece(struct http_conn *c, struct slice piece, enum encoder_mode mode) {
    struct buf packed;
    buf_init(&packed, 0);
    if (encoder_feed(c->packing->encoder, piece, mode, &packed) != 0) c->out.error = PERILUNE_ERR_NOMEM;
    write_body(c, buf_get(&packed));
    count_saved(c, piece.len, buf_len(&packed));
    buf_deinit(&packed);
}

/* Its length is not known, or it comes in pieces. */
static void begin_stream(struct http_conn *c) {
    struct packing *p = c->packing;
    p->encoder = encoder_new(p->coding, true);
    if (p->encoder != NULL) write_packed_head(c, p, REPLY_CHUNKED);
    else send_plain(c, SLICE(""));
}

static void pack_body(struct http_conn *c, struct slice piece) {
    if (c->packing->encoder == NULL && piece.len == c->packing->length) {
        send_packed(c, piece);
        return;
    }
    if (c->packing->encoder == NULL) begin_stream(c);
    if (c->packing != NULL) pack_piece(c, piece, ENCODER_FLUSH);
    else write_body(c, piece);
}

static void pack_end(struct http_conn *c) {
    if (c->packing->encoder == NULL) { /* a body was promised and did not come */
        send_plain(c, SLICE(""));
        return;
    }
    pack_piece(c, SLICE(""), ENCODER_END);
    reply_packing_free(c->packing);
    c->packing = NULL;
}

/* -- The handler's side -------------------------------------------------------------- */

void reply_head(struct http_request *r, int status, struct slice headers, size_t length) {
    struct http_conn *c = r->conn;
    bool may = may_pack(c, status, headers, length);
    enum coding coding = may ? coding_for(r, length) : CODING_NONE;
    if (coding != CODING_NONE) c->packing = packing_new(coding, status, headers, length);
    if (c->packing == NULL) write_head(c, status, headers, may ? VARY : SLICE(""), length);
    else if (length == REPLY_CHUNKED) begin_stream(c); /* the client waits for the head */
}

void reply_refusal(struct http_conn *c, int status, struct slice json) {
    c->keep_alive = c->head_only = 0; /* the method may not be known: a body does no harm before the end */
    write_head(c, status, SLICE("content-type: application/json\r\n"), SLICE(""), json.len);
    write_body(c, json);
}

enum flow reply_body(struct http_request *r, struct slice piece) {
    struct http_conn *c = r->conn;
    if (c->packing == NULL) write_body(c, piece);
    else if (piece.len > 0) pack_body(c, piece);
    if (conn_backlog(c) <= c->server->limits.high_water) return FLOW_MORE;
    c->was_full = 1;
    return FLOW_FULL;
}

void reply_end(struct http_request *r) {
    struct http_conn *c = r->conn;
    if (c->packing != NULL) pack_end(c);
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

void reply_upgrade(struct http_request *r, struct slice name, struct slice headers, const struct http_other *other,
                   void *ud) {
    struct http_conn *c = r->conn;
    put_status(&c->out, 101);
    headers_put(&c->out, SLICE("upgrade"), name);
    buf_slice(&c->out, SLICE("connection: upgrade\r\n"));
    buf_slice(&c->out, headers);
    put_lines(&c->out, r->lines, headers);
    put_date(&c->out);
    buf_slice(&c->out, SLICE("\r\n"));
    conn_hand_over(c, other, ud); /* frees r */
}

struct slice http_request_header(const struct http_request *r, struct slice name) {
    return http_headers_value(r->headers, r->header_count, name);
}
