/* http1.c -- HTTP/1.1 to an upstream, plain or over TLS: one request at a time per connection.
 *
 *      (dial) --> HEAD --> SIZED | CHUNKED | UNTIL_CLOSE --> IDLE --> UNSENT --> HEAD ...
 *                  |                  |                        |        |
 *                  +---- failure -----+------- CLOSED <--------+--------+  closed by the server, or old
 *
 * On kept connections the requests of a turn of the loop go out together, when it ends: a
 * server that sleeps on another core is woken once for them, and not once for each.
 *
 * What a request costs is its system calls: one write of head and body together (which
 * may be pieces of another one: blob_splice), one read of an answer.  A connection stays
 * registered with the kernel from its first request to its end; the head is written in a
 * buffer of the thread and parsed where it was read.  An open stream holds this struct and
 * nothing else.
 *
 * A chunked body loses its framing in place, in the read buffer, so that all frames
 * that one read brought go on as one piece.
 *
 * With TLS (http/tls.c; dial.c has made the handshake) both ways have one step more.  What is
 * read goes into the read buffer at an offset, and what it means is put together at its front,
 * so that there, too, one read is one piece.  A request goes out as records of 16 KiB, head and
 * body together, in one write; of a large body no more is encrypted than the kernel can be
 * expected to take.  An end of TLS is an end of the answer only when the server said so
 * (close_notify): anybody on the way can close a connection.
 *
 * A connection that was kept may have been closed by the server, or hold bytes that nobody asked
 * for: that is looked for each time before it is used.  It may still be closed while our request is
 * under way (RFC 9112 9.3.1): when it ends before the first byte of an answer, and at once
 * (was_dying()), the request is sent once more, on a new connection, and never a third time.
 *
 * What ended later was worked on: to send that again would be a second call, paid twice, and who
 * knows whether it helps.  Other programs: curl sends anything again that got nothing back on a reused
 * connection, however late; Go (net/http) only what is idempotent, unless nothing was written; nginx
 * (proxy_next_upstream without non_idempotent) no POST of which anything was sent; Envoy only what was
 * reset before it was sent (reset-before-request).  All but curl would make of each connection that the
 * server closes just now an error of ours, though no server can have read what comes behind its end.
 *
 * Strict, as the parser is: what it refuses is a failure `upstream_malformed`, because
 * an answer that two programs read differently is as dangerous as such a request. */
#include "upstream/http1.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "http/parse.h"
#include "http/tls.h"
#include "upstream/call_int.h"
#include "upstream/dial.h"

#define RECORD  16384 /* plain bytes of a TLS record at most */
#define PIECE   65536 /* encrypted at once */
#define IDLE_MS 60000 /* as nginx's upstream keepalive_timeout; Keep-Alive may say less */

enum state { HEAD, SIZED, CHUNKED, UNTIL_CLOSE, IDLE, UNSENT, CLOSED };

struct rest { /* what the kernel did not take at once */
    uv_write_t    req;
    struct http1 *conn;
    struct blob  *body; /* a share */
    char          head[];
};

struct http1 {
    uv_tcp_t            tcp;
    struct list         link;   /* IDLE: in the origin's list; UNSENT: in the client's */
    struct origin      *origin;
    struct call        *call;   /* NULL: idle or closed */
    struct rest        *rest;
    struct tls         *tls;    /* NULL: plain */
    struct blob        *body;   /* a share, while some of it waits to be encrypted: */
    size_t              body_at;
    struct buf          in;     /* a head that came in parts */
    size_t              seen;   /* bytes of it that were looked at */
    struct http_chunked chunks;
    uint64_t            left;   /* SIZED: bytes to come */
    uint64_t            idle_until_ms;
    uint64_t            sent_ms; /* when the kernel had the whole request */
    unsigned            idle_ms; /* how long it may be kept after this answer */
    enum state          state;
    bool                reused, answered, keep_alive;
};

static struct loop *loop_of(const struct http1 *h) { return h->origin->client->loop; }

struct http1 *http1_of_link(struct list *link) { return container_of(link, struct http1, link); }
struct list  *http1_link(struct http1 *h) { return &h->link; }
uint64_t      http1_idle_until(const struct http1 *h) { return h->idle_until_ms; }

/* -- The end of a connection ---------------------------------------------------------- */

static void on_closed(uv_handle_t *handle) { mem_free(handle->data); }

/* What the kernel takes at once: bytes, 0 when it is full, or PERILUNE_ERR_IO. */
static ssize_t write_now(const struct http1 *h, const struct slice *list, unsigned count) {
    uv_buf_t pieces[1 + ROPE_PIECES];
    for (unsigned i = 0; i < count; i++) pieces[i] = uv_buf_init((char *)(uintptr_t)list[i].ptr, (unsigned)list[i].len);
    return loop_write_now(&h->tcp, pieces, count);
}

/* The server hears that nothing is missing, unless a record of ours is in the middle. */
static void say_goodbye(struct http1 *h) {
    if (h->rest != NULL) return;
    tls_shutdown(h->tls);
    struct slice s = buf_get(tls_out(h->tls));
    if (s.len > 0) write_now(h, &s, 1);
}

void http1_close(struct http1 *h) {
    if (h->state == CLOSED) return;
    bool idle = h->state == IDLE;
    if (h->state == UNSENT) list_remove(&h->link);
    h->state = CLOSED;
    if (h->call != NULL) h->call->http1 = NULL;
    h->call = NULL;
    buf_deinit(&h->in);
    if (h->tls != NULL) say_goodbye(h);
    tls_free(h->tls);
    h->tls = NULL;
    blob_put(h->body);
    h->body = NULL;
    uv_close((uv_handle_t *)&h->tcp, on_closed);
    struct origin *o = h->origin;
    h->origin = NULL;
    if (idle) origin_drop(o, h); /* may free o */
}

static int send_again(struct call *c);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *b);

/* The connection's round trip, as the kernel knows it. */
static uint64_t round_trip_ms(const struct http1 *h) {
#ifdef __linux__
    uv_os_fd_t fd;
    struct tcp_info info = { .tcpi_rtt = 0 };
    socklen_t len = sizeof(info);
    if (uv_fileno((const uv_handle_t *)&h->tcp, &fd) == 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        return info.tcpi_rtt / 1000;
#else
    (void)h;
#endif
    return 0;
}

static bool is_at_once(const struct http1 *h) {
    return call_is_at_once(loop_now(loop_of(h)) - h->sent_ms, round_trip_ms(h));
}

/* Did the connection end as one that the server closed before it had the request?  An end that was under way
 * already, and a reset that says that nobody is there, come within a round trip. */
static bool was_dying(const struct http1 *h) {
    if (!h->reused || h->answered) return false;
    if (h->state == UNSENT || h->rest != NULL || h->body != NULL) return true; /* nobody has all of it */
    return is_at_once(h);
}

/* The exchange failed, or its answer ended with the connection. */
static void end(struct http1 *h, enum failure_kind kind, const char *why) {
    struct call *c = h->call;
    struct call_end result = { .kind = kind, .why = why };
    bool again = kind == FAILURE_RESET && was_dying(h);
    result.at_once = !h->answered && is_at_once(h);
    http1_close(h);
    if (again && send_again(c) == 0) return;
    if (again) result = (struct call_end){ .kind = FAILURE_NO_MEMORY, .why = "out of memory" };
    call_on_end(c, &result);
}

/* A complete answer. `clean`: nothing came behind it. */
static void complete(struct http1 *h, bool clean) {
    struct call *c = h->call;
    h->call = NULL;
    c->http1 = NULL;
    if (clean && h->keep_alive && h->rest == NULL && h->body == NULL && origin_push(h->origin, h, h->idle_ms)) {
        h->state = IDLE;
        h->idle_until_ms = loop_now(loop_of(h)) + h->idle_ms;
        if (c->paused) uv_read_start((uv_stream_t *)&h->tcp, on_alloc, on_read); /* to hear it being closed */
    } else {
        http1_close(h);
    }
    call_on_end(c, &(struct call_end){ .kind = FAILURE_NONE });
}

/* -- Receiving -------------------------------------------------------------------------- */

static bool has_no_body(const struct call *c, int status) {
    return status == 204 || status == 304 || slice_eq(c->method, SLICE("HEAD"));
}

static enum state body_of(const struct http1 *h, const struct http_head *head) {
    if (has_no_body(h->call, head->status)) return SIZED;
    if (head->chunked) return CHUNKED;
    return head->has_length ? SIZED : UNTIL_CLOSE;
}

/* A 204 has no body (RFC 9112 6.3), and one that announces some may send it all the same, a moment later: as
 * the beginning of another request's answer. */
static bool lies_about_body(const struct http_head *head) {
    return head->status == 204 && (head->chunked || (head->has_length && head->length > 0));
}

/* "timeout=5, max=100": milliseconds, a second less than said, because the server's
 * clock began earlier than ours. */
static uint64_t keep_alive_ms(const struct http_head *head) {
    const struct http_header *f = http_find(head, SLICE("keep-alive"));
    if (f == NULL) return IDLE_MS;
    for (size_t i = 0; i + 8 < f->value.len; i++) {
        if (strncasecmp(f->value.ptr + i, "timeout=", 8) != 0) continue;
        unsigned seconds = 0;
        for (i += 8; i < f->value.len && f->value.ptr[i] >= '0' && f->value.ptr[i] <= '9' && seconds < 1000; i++)
            seconds = seconds * 10 + (unsigned)(f->value.ptr[i] - '0');
        if (seconds == 0) return 0;
        return seconds * 1000u < IDLE_MS ? (seconds - 1) * 1000u : IDLE_MS;
    }
    return IDLE_MS;
}

/* Reports a final head and prepares for the body. */
static void take_head(struct http1 *h, const struct http_head *head) {
    struct call *c = h->call;
    call_on_status(c, head->status);
    for (unsigned i = 0; i < head->header_count; i++)
        call_on_field(c, head->headers[i].name, head->headers[i].value);
    h->state = body_of(h, head);
    h->left = head->has_length && !has_no_body(c, head->status) ? head->length : 0;
    h->idle_ms = (unsigned)keep_alive_ms(head);
    h->keep_alive = head->keep_alive && h->state != UNTIL_CLOSE && h->idle_ms > 0 && !lies_about_body(head);
    http_chunked_init(&h->chunks);
    call_on_head_end(c);
    if (head->status < 300) call_drop_body(c); /* what is still being sent has a share of its own */
}

/* Eats heads, informational ones too.  Bytes eaten; 0: more are needed, or it is over. */
static size_t eat_head(struct http1 *h, struct slice s) {
    struct http_head *head = h->origin->client->head;
    const char *why = "";
    size_t eaten = 0;
    while (h->state == HEAD) {
        struct slice rest = slice_of(s.ptr + eaten, s.len - eaten);
        if (rest.len == 0) break;
        int n = http_parse_response(head, rest, h->seen, &why);
        h->seen = n == HTTP_AGAIN ? rest.len : 0;
        if (n == HTTP_AGAIN) break;
        if (n < 0 || head->status == 101) {
            end(h, FAILURE_MALFORMED, n < 0 ? why : "it switched to another protocol");
            return 0;
        }
        eaten += (size_t)n;
        if (head->status >= 200) take_head(h, head);
    }
    return eaten;
}

/* Reports a piece of body.  False when the exchange is over. */
static bool report(struct http1 *h, struct slice s) {
    struct call *c = h->call;
    if (s.len > 0 && call_on_body(c, s) == FLOW_FULL && !call_is_over(c)) uv_read_stop((uv_stream_t *)&h->tcp);
    return !call_is_over(c);
}

static void eat_sized(struct http1 *h, struct slice s) {
    size_t n = s.len < h->left ? s.len : (size_t)h->left;
    h->left -= n;
    if (!report(h, slice_of(s.ptr, n))) return;
    if (h->left == 0) complete(h, n == s.len);
}

/* Moves the data of all chunks together, to the front. */
static void eat_chunked(struct http1 *h, char *p, size_t len) {
    size_t eaten = 0, kept = 0;
    bool done = false;
    const char *why = "";
    while (eaten < len && !done) {
        struct slice data;
        long n = http_chunked_eat(&h->chunks, slice_of(p + eaten, len - eaten), &data, &done, &why);
        if (n < 0) {
            if (report(h, slice_of(p, kept))) end(h, FAILURE_MALFORMED, why);
            return;
        }
        if (data.len > 0 && data.ptr != p + kept) memmove(p + kept, data.ptr, data.len);
        kept += data.len;
        eaten += (size_t)n;
    }
    if (report(h, slice_of(p, kept)) && done) complete(h, eaten == len);
}

static void eat_body(struct http1 *h, char *p, size_t len) {
    switch (h->state) {
    case SIZED: eat_sized(h, slice_of(p, len)); break;
    case CHUNKED:
        if (len > 0) eat_chunked(h, p, len);
        break;
    case UNTIL_CLOSE: report(h, slice_of(p, len)); break;
    default: break;
    }
}

/* The bytes may be written over. */
static void feed(struct http1 *h, char *p, size_t len) {
    struct buf held = { .data = NULL };
    if (h->state == HEAD) {
        h->answered = true;
        if (buf_len(&h->in) > 0) {
            buf_put(&h->in, p, len);
            if (buf_failed(&h->in)) {
                end(h, FAILURE_NO_MEMORY, "out of memory");
                return;
            }
            held = h->in;
            buf_init(&h->in, 0);
            p = held.data + held.mark;
            len = held.len - held.mark;
        }
        struct call *c = h->call;
        size_t n = eat_head(h, slice_of(p, len));
        bool ended = h->state == CLOSED || call_is_over(c);
        if (!ended && h->state == HEAD && n < len) {
            if (held.data != NULL) buf_consume(&held, n);
            else buf_put(&h->in, p + n, len - n);
            if (held.data != NULL) h->in = held;
            else if (buf_failed(&h->in)) end(h, FAILURE_NO_MEMORY, "out of memory");
            return;
        }
        if (!ended && h->state != HEAD) eat_body(h, p + n, len - n);
    } else {
        eat_body(h, p, len);
    }
    buf_deinit(&held);
}

/* When a reset comes together with data, libuv hands the data out and then says that the
 * stream ended (POLLHUP behind a short read), as if the server had closed it in order: a
 * body that ends with its connection would pass for a whole one.  The kernel still knows. */
static int true_end(const struct http1 *h) {
    uv_os_fd_t fd;
    int error = 0;
    socklen_t len = sizeof(error);
    if (uv_fileno((const uv_handle_t *)&h->tcp, &fd) != 0) return UV_EOF;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error == 0) return UV_EOF;
    return uv_translate_sys_error(error);
}

/* The server closed; or the connection broke.  `said`: the end is known to be the server's. */
static void on_end(struct http1 *h, int error, bool said) {
    if (error == UV_EOF && h->call != NULL && !said) error = true_end(h);
    if (h->call == NULL) http1_close(h);
    else if (error != UV_EOF) end(h, FAILURE_RESET, uv_strerror(error));
    else if (h->state == UNTIL_CLOSE && h->tls != NULL && !said)
        end(h, FAILURE_TRUNCATED,
            "it closed the connection without an end of TLS (close_notify): the answer may be cut");
    else if (h->state == UNTIL_CLOSE) end(h, FAILURE_NONE, "");
    else if (h->state == HEAD || h->state == UNSENT)
        end(h, FAILURE_RESET, h->answered ? "it closed the connection in the middle of a response head"
                                          : "it closed the connection without an answer");
    else end(h, FAILURE_TRUNCATED, "it closed the connection before the answer was complete");
}

/* Plain bytes.  They may be written over. */
static void take(struct http1 *h, char *p, size_t len) {
    if (h->call == NULL) http1_close(h); /* nobody asked for anything */
    else if (h->state == UNSENT) end(h, FAILURE_RESET, "it sent bytes before the request"); /* nor did we yet */
    else if (!call_is_over(h->call)) feed(h, p, len);
}

static int push(struct http1 *h);

/* Bytes of TLS, TLS_AHEAD behind the front of the read buffer: what they hold never catches up. */
static void decrypt(struct http1 *h, struct slice cipher) {
    char *plain = loop_of(h)->scratch;
    size_t len = 0;
    long n;
    tls_feed(h->tls, cipher);
    while ((n = tls_read(h->tls, plain + len, LOOP_SCRATCH - len)) > 0) len += (size_t)n;
    push(h); /* TLS answers for itself; when that cannot be sent, reading tells */
    if (len > 0) take(h, plain, len);
    if (n == 0 || h->state == CLOSED || (h->call != NULL && call_is_over(h->call))) return;
    char why[200] = "out of memory";
    bool no_memory = buf_failed(tls_out(h->tls));
    if (n == PERILUNE_ERR_IO && !no_memory) tls_explain(h->tls, why, sizeof(why));
    if (h->call != NULL && n == PERILUNE_ERR_IO) end(h, no_memory ? FAILURE_NO_MEMORY : FAILURE_RESET, why);
    else on_end(h, UV_EOF, true);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *b) {
    (void)suggested;
    struct http1 *h = handle->data;
    size_t ahead = h->tls != NULL ? TLS_AHEAD : 0;
    *b = uv_buf_init(loop_of(h)->scratch + ahead, (unsigned)(LOOP_SCRATCH - ahead));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct http1 *h = stream->data;
    if (h->state == CLOSED || n == 0) return;
    loop_of(h)->active = true;
    if (n < 0) on_end(h, (int)n, false);
    else if (h->tls != NULL) decrypt(h, slice_of(b->base, (size_t)n));
    else take(h, b->base, (size_t)n);
}

/* -- Sending ---------------------------------------------------------------------------- */

static int pump(struct http1 *h);

static void note_sent(struct http1 *h) {
    h->sent_ms = loop_now(loop_of(h));
    if (h->call != NULL) h->call->sent = h->rest == NULL && h->body == NULL;
}

static void on_rest_written(uv_write_t *req, int status) {
    struct rest *r = container_of(req, struct rest, req);
    struct http1 *h = r->conn;
    if (h->rest == r) h->rest = NULL;
    blob_put(r->body);
    mem_free(r);
    if (h->state != CLOSED) note_sent(h);
    /* A failure is not reported: the server may have answered before it read all, and
     * if it did not, reading tells. */
    if (status == 0 && h->state != CLOSED && h->tls != NULL && pump(h) == PERILUNE_ERR_NOMEM && h->call != NULL)
        end(h, FAILURE_NO_MEMORY, "out of memory");
}

/* What is left after `sent` bytes, of the head, list[0], and of the pieces of body behind it, goes out
 * as the kernel takes it. */
static int send_rest(struct http1 *h, struct slice *list, unsigned count, struct blob *body, size_t sent) {
    size_t head_left = sent < list[0].len ? list[0].len - sent : 0;
    struct rest *r = mem_alloc(sizeof(*r) + head_left);
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    r->conn = h;
    r->body = blob_ref(body);
    memcpy(r->head, list[0].ptr + list[0].len - head_left, head_left);
    uv_buf_t pieces[1 + ROPE_PIECES];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = sent < list[i].len ? sent : list[i].len, left = list[i].len - skip;
        const char *from = i == 0 ? r->head : list[i].ptr + skip; /* the head is in a buffer of the thread */
        sent -= skip;
        if (left > 0) pieces[n++] = uv_buf_init((char *)(uintptr_t)from, (unsigned)left);
    }
    if (uv_write(&r->req, (uv_stream_t *)&h->tcp, pieces, n, on_rest_written) != 0) {
        blob_put(r->body);
        mem_free(r);
        return PERILUNE_ERR_NOMEM;
    }
    h->rest = r;
    return 0;
}

/* What TLS wrote, as the kernel takes it.  0, PERILUNE_ERR_NOMEM or PERILUNE_ERR_IO. */
static int push(struct http1 *h) {
    struct buf *out = tls_out(h->tls);
    if (buf_failed(out)) return PERILUNE_ERR_NOMEM;
    struct slice s = buf_get(out);
    if (s.len == 0 || h->rest != NULL) return 0; /* on_rest_written() pushes again */
    ssize_t n = write_now(h, &s, 1);
    if (n < 0) return PERILUNE_ERR_IO;
    int err = (size_t)n == s.len ? 0 : send_rest(h, &s, 1, NULL, (size_t)n);
    buf_deinit(out);
    return err;
}

/* Encrypts and sends, until all is sent or the kernel takes no more. */
static int pump(struct http1 *h) {
    struct buf *out = tls_out(h->tls);
    while (h->rest == NULL) {
        struct slice body = blob_get(h->body);
        size_t n = body.len - h->body_at;
        if (h->body == NULL) return push(h);
        if (n > PIECE) n = PIECE;
        buf_reserve(out, n + n / 64 + 64); /* records are a little longer than what they hold */
        if (buf_failed(out) || tls_write(h->tls, slice_of(body.ptr + h->body_at, n)) != 0) return PERILUNE_ERR_NOMEM;
        h->body_at += n;
        if (h->body_at == body.len) {
            blob_put(h->body);
            h->body = NULL;
        }
        int err = push(h);
        if (err != 0) return err;
    }
    return 0;
}

/* The head is in `out` of the client; the body's beginning fills its last record. */
static int send_encrypted(struct http1 *h, struct blob *body) {
    struct buf *out = &h->origin->client->out;
    struct slice all = blob_get(body);
    size_t room = RECORD - buf_len(out) % RECORD, n = all.len < room ? all.len : room;
    buf_put(out, all.ptr, n);
    struct buf *cipher = tls_out(h->tls);
    size_t more = all.len - n < PIECE ? all.len - n : PIECE; /* what pump() adds before it sends */
    buf_reserve(cipher, (buf_len(out) + more) + (buf_len(out) + more) / 64 + 128);
    if (buf_failed(out) || buf_failed(cipher)) return PERILUNE_ERR_NOMEM;
    if (tls_write(h->tls, buf_get(out)) != 0) return buf_failed(cipher) ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_IO;
    if (n < all.len) {
        h->body = blob_ref(body);
        h->body_at = n;
    }
    return pump(h);
}

static struct slice write_head(const struct call *c, const struct http1 *h) {
    struct buf *out = &h->origin->client->out;
    buf_clear(out);
    buf_slice(out, c->method);
    buf_putc(out, ' ');
    struct slice base = c->pool->paths[c->url];
    if (base.len == 0 || base.ptr[0] != '/') buf_putc(out, '/');
    buf_slice(out, base);
    buf_slice(out, base.len == 0 && c->path.len > 0 ? slice_of(c->path.ptr + 1, c->path.len - 1) : c->path);
    buf_puts(out, " HTTP/1.1\r\nHost: ");
    buf_puts(out, h->origin->authority);
    buf_puts(out, "\r\n");
    buf_slice(out, c->fields);
    if (c->body != NULL || slice_eq(c->method, SLICE("POST"))) {
        buf_puts(out, "Content-Length: ");
        buf_u64(out, c->body ? c->body->len : 0);
        buf_puts(out, "\r\n");
    }
    buf_puts(out, "\r\n");
    return buf_get(out);
}

/* 0, PERILUNE_ERR_NOMEM, or PERILUNE_ERR_IO: the connection is dead. */
static int write_request(struct http1 *h) {
    struct call *c = h->call;
    struct slice head = write_head(c, h);
    if (buf_failed(&h->origin->client->out)) return PERILUNE_ERR_NOMEM;
    if (h->tls != NULL) return call_join_body(c) == 0 ? send_encrypted(h, c->body) : PERILUNE_ERR_NOMEM;
    struct slice list[1 + ROPE_PIECES] = { head };
    unsigned count = 1 + blob_pieces(c->body, list + 1);
    size_t all = head.len + (c->body ? c->body->len : 0);
    ssize_t n = write_now(h, list, count);
    if (n < 0) return PERILUNE_ERR_IO;
    return (size_t)n == all ? 0 : send_rest(h, list, count, c->body, (size_t)n);
}

static int send_request(struct http1 *h) {
    h->sent_ms = loop_now(loop_of(h));
    int err = write_request(h);
    if (err == 0) note_sent(h);
    return err;
}

/* -- Connections and calls ----------------------------------------------------------------- */

static void attach(struct http1 *h, struct call *c, bool reused) {
    h->call = c;
    c->http1 = h;
    h->state = HEAD;
    h->seen = 0;
    h->reused = reused;
    h->answered = false;
}

/* Takes fd and tls, also on failure. */
static struct http1 *conn_new(struct origin *o, int fd, struct tls *tls) {
    struct http1 *h = mem_zalloc(sizeof(*h));
    if (h == NULL || uv_tcp_init(&o->client->loop->uv, &h->tcp) != 0) {
        mem_free(h);
        tls_free(tls);
        close(fd);
        return NULL;
    }
    h->tls = tls;
    h->tcp.data = h;
    h->origin = o;
    list_init(&h->link);
    if (uv_tcp_open(&h->tcp, fd) != 0) {
        close(fd);
        http1_close(h);
        return NULL;
    }
    uv_tcp_nodelay(&h->tcp, 1);
    return h;
}

static void on_dialed(void *ud, const struct dial_result *r) {
    struct call *c = ud;
    c->dial = NULL;
    struct call_end failed = { .kind = r->kind, .why = r->why, .unsent = true };
    if (r->fd < 0) {
        call_on_end(c, &failed);
        return;
    }
    struct http1 *h = conn_new(c->pool->origins[c->url], r->fd, r->tls);
    if (h == NULL || uv_read_start((uv_stream_t *)&h->tcp, on_alloc, on_read) != 0) {
        if (h != NULL) http1_close(h);
        call_on_end(c, &(struct call_end){ .kind = FAILURE_NO_MEMORY, .why = "out of memory" });
        return;
    }
    attach(h, c, false);
    int err = send_request(h);
    if (err != 0) end(h, err == PERILUNE_ERR_IO ? FAILURE_RESET : FAILURE_NO_MEMORY,
                      err == PERILUNE_ERR_IO ? "it closed the connection at once" : "out of memory");
}

/* On a new connection. */
static int send_again(struct call *c) {
    c->sent = false;
    c->dial = dial_new(c->pool->origins[c->url], c->pool->target->timeouts.connect_ms, on_dialed, c);
    return c->dial ? 0 : PERILUNE_ERR_NOMEM;
}

/* Is a connection that was kept still open and empty, as far as the kernel has heard?  However
 * short it was idle: bytes that nobody asked for would pass for the answer to what is sent now.
 * The read buffer may be in use. */
static bool is_alive(struct http1 *h) {
    char bytes[4096];
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&h->tcp, &fd) != 0) return false;
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (n == 0 || h->tls == NULL) return false;
    tls_feed(h->tls, slice_of(bytes, (size_t)n));
    return tls_read(h->tls, bytes, 1) == 0; /* a ticket, perhaps */
}

static int start(struct call *c);

static void send_one(struct http1 *h) {
    struct call *c = h->call;
    h->state = HEAD;
    bool alive = is_alive(h);
    int err = alive ? send_request(h) : PERILUNE_ERR_IO;
    if (err == 0) return;
    http1_close(h);
    /* Some of it may be out: then on a new one, and not on another that may die, too. */
    if (err == PERILUNE_ERR_NOMEM || (alive ? send_again(c) : start(c)) != 0)
        call_on_end(c, &(struct call_end){ .kind = FAILURE_NO_MEMORY, .why = "out of memory" });
}

static void send_all(struct deferred *d) {
    struct client *client = container_of(d, struct client, send);
    while (!list_is_empty(&client->unsent)) {
        struct http1 *h = http1_of_link(client->unsent.next);
        list_remove(&h->link);
        send_one(h);
    }
}

static int start(struct call *c) {
    struct origin *o = c->pool->origins[c->url];
    struct http1 *h;
    if ((h = origin_pop(o)) == NULL) return send_again(c);
    attach(h, c, true);
    h->state = UNSENT;
    list_append(&o->client->unsent, &h->link);
    loop_soon(o->client->loop, &o->client->send, send_all);
    return 0;
}

static void stop(struct call *c) {
    if (c->dial != NULL) dial_cancel(c->dial);
    c->dial = NULL;
    if (c->http1 != NULL) http1_close(c->http1);
}

static void resume(struct call *c) {
    if (c->http1 != NULL) uv_read_start((uv_stream_t *)&c->http1->tcp, on_alloc, on_read);
}

const struct call_ops http1_ops = { start, stop, resume };
