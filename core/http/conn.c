/* conn.c -- one connection, from accept to close.
 *
 *              first byte           head complete        body complete
 *      IDLE -------------> HEAD ------------------> BODY ------------> BUSY
 *       ^                   |                        |                   |
 *       |                   +------ refuse() --------+                   |
 *       |                             v                                  |
 *       +---- reply_end, keep-alive --|----------------------------------+
 *                                  LINGER -> CLOSED <--- client left, any state
 *                                     ^
 *      BUSY --conn_hand_over--> OTHER +  conn_hand_back
 *
 * enter() changes the state; a connection in IDLE stands in the server's list of
 * idle ones, oldest first, and may be closed when others want its place.
 *
 * OTHER: what comes is another protocol's, and so is what goes out; encrypting, one write per turn,
 * back-pressure and who takes nothing stay here.  Nothing is kept for it in `in`: it eats all it gets.
 * Should a client send and not read, so that answers to what it sends pile up, we stop reading too.  One
 * that has nothing under way (conn_rest) stands among the idle ones.
 *
 * Bytes arrive in the loop's one read buffer.  What a parser does not eat at
 * once is kept in `in`, which is empty and without memory for an idle or a
 * well-behaved connection; that is what makes 10,000 open streams cheap.  Bodies are
 * copied out of it, but for a large one that came in one piece: that takes the buffer
 * along, and the loop gets another.
 *
 * Replies collect in `out` and leave in one write when the loop turn ends
 * (flush), so frames that become ready together travel together and none waits.
 * While the kernel takes no more, `out` grows, reply_body() says FLOW_FULL above
 * the high-water mark, and `drained` follows below the low one.
 *
 * While the handler is busy we keep reading: only so can we learn that the
 * client left.  Pipelined bytes are kept up to PIPELINE_MAX, then reading stops.
 *
 * Who takes nothing of a reply for send_ms is cut; who takes little is not.  How much
 * a client took is what the kernel has no longer: to look only whether our own write
 * has ended would take a slow reader behind a large socket buffer for a dead one.
 *
 * LINGER: closing a socket with unread bytes makes the kernel send a reset, which can
 * destroy the reply before the client has read it.  So a client that is still sending
 * when it is refused gets the reply and our end (close_notify, FIN), and what it sends
 * is dropped unread and undecrypted, up to bounds in bytes and in time.
 *
 * Memory of a connection is released in the close callback, so a conn pointer
 * stays valid for the rest of a turn in which it was closed. */
#include "http/conn.h"

#include <assert.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define TAKE_MIN        (16 * 1024)        /* bytes of a body that are not copied: less is cheaper than a new buffer */
#define PIPELINE_MAX    (64 * 1024)        /* one read; a client that sends more ahead waits */
#define OTHER_AHEAD     2                  /* times high_water: with more unsent, another protocol is not read */
#define LINGER_QUIET_MS 2000               /* a client that sends nothing more has read the reply, or left */
#define LINGER_MS       30000              /* for one that goes on sending, in all */
#define LINGER_BYTES    (64 * 1024 * 1024) /* that it may send meanwhile: most bodies that are too large */

struct conn_write {
    uv_write_t        req;
    struct http_conn *conn;
    char             *data;
    size_t            len;
};

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b);
static void begin_linger(struct http_conn *c);

/* -- Life ------------------------------------------------------------------------ */

static void request_free(struct http_request *r) {
    if (r == NULL) return;
    buf_deinit(&r->body);
    arena_deinit(&r->arena);
    mem_free(r);
}

static void enter(struct http_conn *c, enum conn_state state) {
    struct http_server *s = c->server;
    if (state == CONN_IDLE) {
        list_remove(&c->link);
        list_append(&s->idle, &c->link);
        c->idle_since_ms = loop_now(s->loop);
    } else if (c->state == CONN_IDLE && state != CONN_CLOSED) {
        list_remove(&c->link);
        list_append(&s->conns, &c->link);
    }
    c->state = state;
}

struct http_conn *conn_new(struct http_server *s) {
    struct http_conn *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    if (uv_tcp_init(&s->loop->uv, &c->tcp) != 0) {
        mem_free(c);
        return NULL;
    }
    c->tcp.data = c;
    c->server = s;
    list_init(&c->link);
    enter(c, CONN_IDLE);
    s->open++;
    if (s->total) atomic_fetch_add_explicit(s->total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->stats.open, 1, memory_order_relaxed);
    return c;
}

static void on_closed(uv_handle_t *h) {
    struct http_conn *c = h->data;
    mem_free(c);
}

static void release(struct http_conn *c) {
    struct http_server *s = c->server;
    timer_stop(s->loop, &c->deadline);
    deferred_cancel(&c->flush);
    deferred_cancel(&c->advance);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    buf_deinit(&c->cipher);
    tls_free(c->tls);
    c->tls = NULL;
    reply_packing_free(c->packing);
    c->packing = NULL;
    list_remove(&c->link);
    s->open--;
    if (s->total) atomic_fetch_sub_explicit(s->total, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->stats.open, 1, memory_order_relaxed);
}

/* A connection that ends in order would make a whole body of one that was cut.  (TLS ends without
 * close_notify, then.) */
static void end_with_reset(struct http_conn *c) {
    uv_os_fd_t fd;
    struct linger now = { .l_onoff = 1 };
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void conn_close(struct http_conn *c) {
    if (c->state == CONN_CLOSED) return;
    if (c->open_end) end_with_reset(c);
    bool busy = c->state == CONN_BUSY;
    enter(c, CONN_CLOSED);
    struct http_request *r = c->request;
    const struct http_other *other = c->other;
    c->request = NULL;
    c->other = NULL;
    release(c);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    if (other != NULL) other->gone(c->other_ud);
    if (r != NULL && busy) c->server->handler.gone(c->server->handler.ud, r);
    request_free(r);
}

/* -- Deadlines ------------------------------------------------------------------- */

static void refuse(struct http_conn *c, int status, const char *why);

/* How many bytes of what we wrote the client's side has acknowledged. */
static uint64_t bytes_taken(const struct http_conn *c) {
    uv_os_fd_t fd;
    int queued = 0;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0) ioctl(fd, SIOCOUTQ, &queued);
    return c->handed - uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) - (uint64_t)queued;
}

/* A reply is under way, and some of it has arrived since we looked last. */
static bool still_reads(struct http_conn *c) {
    if (c->writing == NULL || c->state == CONN_HEAD || c->state == CONN_BODY) return false;
    uint64_t before = c->taken;
    c->taken = bytes_taken(c);
    return c->taken != before;
}

static void deadline_fired(struct timer *t) {
    struct http_conn *c = container_of(t, struct http_conn, deadline);
    uint64_t now = loop_now(c->server->loop);
    if (now >= c->expires_ms && still_reads(c)) c->expires_ms = now + c->server->limits.send_ms;
    if (now < c->expires_ms) { /* moved meanwhile */
        if (c->expires_ms != UINT64_MAX && timer_start(c->server->loop, t, c->expires_ms - now, deadline_fired) != 0)
            conn_close(c);
        return;
    }
    if (c->state == CONN_HEAD) refuse(c, 408, "the request head did not arrive in time");
    else if (c->state == CONN_BODY) refuse(c, 408, "the request body did not arrive in time");
    else conn_close(c); /* idle, lingering, or a client that takes no bytes */
}

/* Most deadlines are replaced before they come: a running timer that fires too
 * early is cheaper than moving it for every request.  0: no deadline. */
static void expire_in(struct http_conn *c, uint64_t after_ms) {
    struct loop *l = c->server->loop;
    c->expires_ms = after_ms == 0 ? UINT64_MAX : loop_now(l) + after_ms;
    if (after_ms == 0) return;
    if (timer_is_running(&c->deadline) && c->deadline.at_ms <= c->expires_ms) return;
    if (timer_start(l, &c->deadline, after_ms, deadline_fired) != 0) conn_close(c);
}

static void hurry(struct http_conn *c, uint64_t ms) {
    if (c->expires_ms > loop_now(c->server->loop) + ms) expire_in(c, ms);
}

/* -- Sending ----------------------------------------------------------------------- */

size_t conn_backlog(const struct http_conn *c) {
    return buf_len(&c->out) + buf_len(&c->cipher) + c->writing_len;
}

static void sent_all(struct http_conn *c) {
    if (c->whole) c->open_end = 0;
    if (c->close_after) {
        if (c->linger) begin_linger(c);
        else conn_close(c);
        return;
    }
    if (c->state == CONN_BUSY || c->state == CONN_OTHER) expire_in(c, 0);
    else if (c->state == CONN_IDLE) expire_in(c, c->server->limits.idle_ms);
}

static void tell_drained(struct http_conn *c) {
    if (!c->was_full || (c->state != CONN_BUSY && c->state != CONN_OTHER)) return;
    if (conn_backlog(c) > c->server->limits.low_water) return;
    c->was_full = 0;
    if (c->state == CONN_OTHER) c->other->drained(c->other_ud);
    else c->server->handler.drained(c->server->handler.ud, c->request);
}

static void flush(struct http_conn *c);
static void read_more(struct http_conn *c);

static void on_written(uv_write_t *req, int status) {
    struct conn_write *w = container_of(req, struct conn_write, req);
    struct http_conn *c = w->conn;
    c->server->loop->active = true;
    mem_free(w->data);
    mem_free(w);
    if (c->state == CONN_CLOSED) return;
    c->writing = NULL;
    c->writing_len = 0;
    if (status < 0) {
        conn_close(c);
        return;
    }
    flush(c);
}

/* The kernel is full: the rest is its own now, until on_written(). */
static void write_rest(struct http_conn *c, struct buf *b) {
    struct conn_write *w = mem_alloc(sizeof(*w));
    if (w == NULL) {
        conn_close(c);
        return;
    }
    w->conn = c;
    w->data = buf_take(b, &w->len);
    uv_buf_t piece = uv_buf_init(w->data, (unsigned)w->len);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &piece, 1, on_written) != 0) {
        mem_free(w->data);
        mem_free(w);
        conn_close(c);
        return;
    }
    c->writing = w;
    c->writing_len = w->len;
    c->handed += w->len;
    c->taken = bytes_taken(c);
    expire_in(c, c->server->limits.send_ms);
}

static int encrypt(struct http_conn *c) {
    int err = tls_write(c->tls, buf_get(&c->out));
    buf_deinit(&c->out);
    if (err) return err;
    tls_pull(c->tls, &c->cipher);
    return c->cipher.error;
}

static void flush(struct http_conn *c) {
    if (c->writing != NULL || c->state == CONN_CLOSED) return;
    if (buf_failed(&c->out) || (c->tls && encrypt(c) != 0)) {
        conn_close(c);
        return;
    }
    struct buf *b = c->tls ? &c->cipher : &c->out;
    while (buf_len(b) > 0) {
        size_t len = buf_len(b) > 1 << 30 ? 1 << 30 : buf_len(b);
        uv_buf_t piece = uv_buf_init((char *)(uintptr_t)buf_get(b).ptr, (unsigned)len);
        ssize_t n = loop_write_now(&c->tcp, &piece, 1);
        if (n == 0) break;
        if (n < 0) {
            conn_close(c);
            return;
        }
        atomic_fetch_add_explicit(&c->server->stats.bytes_out, (uint64_t)n, memory_order_relaxed);
        c->handed += (uint64_t)n;
        buf_consume(b, (size_t)n);
    }
    if (buf_len(b) > 0) {
        write_rest(c, b);
        return;
    }
    buf_deinit(b);
    tell_drained(c); /* may write more, may close c */
    if (c->state != CONN_CLOSED && conn_backlog(c) == 0) sent_all(c);
    if (c->state == CONN_OTHER) read_more(c);
}

static void flush_job(struct deferred *j) { flush(container_of(j, struct http_conn, flush)); }

void conn_touch(struct http_conn *c) {
    if (c->state != CONN_CLOSED && c->writing == NULL) loop_soon(c->server->loop, &c->flush, flush_job);
}

/* -- Refusing ------------------------------------------------------------------------ */

/* The client sent something, or its time begins. */
static void linger_on(struct http_conn *c) {
    uint64_t now = loop_now(c->server->loop), left = c->linger_until_ms > now ? c->linger_until_ms - now : 1;
    expire_in(c, left < LINGER_QUIET_MS ? left : LINGER_QUIET_MS);
}

/* All is sent: our end, and then whatever the client still has to say. */
static void begin_linger(struct http_conn *c) {
    c->close_after = 0;
    c->linger_until_ms = loop_now(c->server->loop) + LINGER_MS;
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) shutdown(fd, SHUT_WR);
    linger_on(c);
    if (c->state != CONN_CLOSED) read_more(c);
}

static void drop(struct http_conn *c, size_t n) {
    if (n >= c->body_left) {
        conn_close(c);
        return;
    }
    c->body_left -= n;
    if (!c->close_after) linger_on(c);
}

/* No more requests on this connection: what is in `out` is the last. */
static void finish(struct http_conn *c, bool linger) {
    enter(c, CONN_LINGER);
    c->body_left = LINGER_BYTES;
    c->close_after = 1;
    c->linger = linger;
    buf_deinit(&c->in);
    expire_in(c, c->server->limits.send_ms);
}

/* The same for TLS: whoever sees no close_notify thinks that something was cut off. */
static void finish_cleanly(struct http_conn *c, bool linger) {
    finish(c, linger);
    if (c->tls == NULL) return;
    if (encrypt(c) != 0) c->out.error = PERILUNE_ERR_NOMEM; /* which closes when it is to be sent */
    tls_shutdown(c->tls);
}

/* Answers something that never became a request, and closes. */
static void refuse(struct http_conn *c, int status, const char *why) {
    struct http_server *s = c->server;
    atomic_fetch_add_explicit(&s->stats.refused, 1, memory_order_relaxed);
    struct buf body;
    buf_init(&body, 0);
    s->handler.refused(s->handler.ud, status, why, &body);
    reply_refusal(c, status, buf_get(&body));
    buf_deinit(&body);
    request_free(c->request);
    c->request = NULL;
    finish_cleanly(c, true);
    conn_touch(c);
}

static int status_of(int parse_error) {
    switch (parse_error) {
    case HTTP_URI_TOO_LONG: return 414;
    case HTTP_HEAD_TOO_LARGE: return 431;
    case HTTP_NOT_IMPLEMENTED: return 501;
    case HTTP_VERSION: return 505;
    default: return 400;
    }
}

/* -- Receiving ------------------------------------------------------------------------ */

/* s lies in bytes and then in their copy, or is a constant of the parser's. */
static struct slice moved(struct slice s, struct slice bytes, const char *copy) {
    if (s.len == 0) return SLICE("");
    bool inside = s.ptr >= bytes.ptr && s.ptr < bytes.ptr + bytes.len;
    return inside ? slice_of(copy + (s.ptr - bytes.ptr), s.len) : s;
}

/* The head's slices point into the read buffer: copy once, then move them. */
static struct http_request *request_new(struct http_conn *c, const struct http_head *h,
                                        struct slice bytes) {
    struct http_request *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    arena_init(&r->arena);
    buf_init(&r->body, c->server->limits.body);
    char *copy = arena_dup(&r->arena, bytes);
    r->headers = arena_alloc(&r->arena, h->header_count * sizeof(*r->headers) + 1);
    if (copy == NULL || r->headers == NULL) {
        request_free(r);
        return NULL;
    }
    r->method = moved(h->method, bytes, copy);
    r->path = moved(h->path, bytes, copy);
    r->query = moved(h->query, bytes, copy);
    for (unsigned i = 0; i < h->header_count; i++) {
        r->headers[i].name = moved(h->headers[i].name, bytes, copy);
        r->headers[i].value = moved(h->headers[i].value, bytes, copy);
    }
    r->header_count = h->header_count;
    r->conn = c;
    r->start_us = c->first_byte_us;
    return r;
}

/* Of a socket on a path: who it is that asks.  Not its process: that would be another client each time. */
static void name_user(struct http_conn *c) {
    struct ucred who;
    socklen_t len = sizeof(who);
    uv_os_fd_t fd;
    bool is_open = uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0;
    if (is_open && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
        snprintf(c->peer, sizeof(c->peer), "unix:%u", (unsigned)who.uid);
    else snprintf(c->peer, sizeof(c->peer), "unix");
}

/* A system call: once per connection, when the first request asks. */
static const char *peer_of(struct http_conn *c) {
    struct sockaddr_storage a;
    int len = sizeof(a);
    if (c->peer[0] != '\0' || uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &len) != 0) return c->peer;
    if (a.ss_family == AF_UNIX) name_user(c);
    else if (a.ss_family == AF_INET) uv_ip4_name((struct sockaddr_in *)&a, c->peer, sizeof(c->peer));
    else uv_ip6_name((struct sockaddr_in6 *)&a, c->peer, sizeof(c->peer));
    return c->peer;
}

static void dispatch(struct http_conn *c) {
    enter(c, CONN_BUSY);
    expire_in(c, 0);
    c->request->peer = peer_of(c);
    if (slice_eq(c->request->path, SLICE("*"))) { /* OPTIONS *: a question about the server, whoever handles requests */
        reply_send(c->request, 204, SLICE("allow: GET, HEAD, POST, OPTIONS\r\n"), SLICE(""));
        return;
    }
    c->server->handler.request(c->server->handler.ud, c->request); /* may reply, may close c */
}

/* Returns bytes eaten; 0 also after an error. */
static size_t eat_head(struct http_conn *c, struct slice s) {
    struct http_server *sv = c->server;
    if (c->state == CONN_IDLE) {
        enter(c, CONN_HEAD);
        c->seen = 0;
        c->first_byte_us = loop_hrtime_us();
        expire_in(c, sv->limits.header_ms);
    }
    const char *why = "";
    int n = http_parse_request(sv->head, s, c->seen, &why);
    if (n == HTTP_AGAIN) {
        c->seen = s.len;
        return 0;
    }
    if (n < 0) {
        refuse(c, status_of(n), why);
        return 0;
    }
    const struct http_head *h = sv->head;
    c->keep_alive = h->keep_alive && !sv->draining;
    c->minor = h->minor != 0;
    c->chunked_in = h->chunked;
    c->body_left = h->has_length ? h->length : 0;
    c->head_only = slice_eq(h->method, SLICE("HEAD"));
    c->request = request_new(c, h, slice_of(s.ptr, (size_t)n));
    if (c->request == NULL) {
        refuse(c, 503, "out of memory");
        return 0;
    }
    if (sv->handler.head != NULL) sv->handler.head(sv->handler.ud, c->request);
    if (c->body_left > sv->limits.body) {
        refuse(c, 413, "the body is over the limit (limits.body)");
        return 0;
    }
    if (!c->chunked_in && c->body_left == 0) {
        dispatch(c);
        return (size_t)n;
    }
    enter(c, CONN_BODY);
    http_chunked_init(&c->chunks);
    expire_in(c, sv->limits.body_ms);
    if (h->expect_continue && s.len == (size_t)n) {
        buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        conn_touch(c);
    }
    return (size_t)n;
}

/* A whole body, and nothing behind it, at the end of the loop's read buffer: the buffer becomes the
 * body.  False: it is copied, as all that is small, or comes in parts. */
static bool keep_where_it_is(struct http_conn *c, struct slice s) {
    struct loop *l = c->server->loop;
    struct buf *body = &c->request->body;
    bool inside = s.ptr >= l->scratch && s.ptr + s.len <= l->scratch + LOOP_SCRATCH;
    if (!inside || body->cap > 0 || s.len != c->body_left || s.len < TAKE_MIN) return false;
    size_t at = (size_t)(s.ptr - l->scratch), end = at + s.len;
    char *block = loop_take_scratch(l);
    if (block == NULL) return false;
    char *shorter = mem_realloc(block, end); /* what was not read into is free again */
    body->data = shorter ? shorter : block;
    body->cap = shorter ? end : LOOP_SCRATCH;
    body->mark = at;
    body->len = end;
    return true;
}

static void put_body(struct http_conn *c, struct slice s) {
    struct buf *body = &c->request->body;
    if (keep_where_it_is(c, s)) return;
    /* A claimed length is only a claim: no more than 64 KiB ahead of the bytes. */
    if (body->cap == 0) buf_reserve(body, c->body_left < 65536 ? (size_t)c->body_left : 65536);
    buf_slice(body, slice_of(s.ptr, s.len < c->body_left ? s.len : (size_t)c->body_left));
}

static size_t eat_sized_body(struct http_conn *c, struct slice s) {
    const struct buf *body = &c->request->body;
    size_t n = s.len < c->body_left ? s.len : (size_t)c->body_left;
    put_body(c, s);
    if (buf_failed(body)) {
        refuse(c, 503, "out of memory");
        return 0;
    }
    c->body_left -= n;
    if (c->body_left == 0) dispatch(c);
    return n;
}

static size_t eat_chunked_body(struct http_conn *c, struct slice s) {
    size_t eaten = 0;
    bool done = false;
    while (!done) {
        struct slice piece;
        const char *why = "";
        long n = http_chunked_eat(&c->chunks, slice_of(s.ptr + eaten, s.len - eaten), &piece, &done, &why);
        if (n < 0) {
            refuse(c, 400, why);
            return 0;
        }
        buf_slice(&c->request->body, piece);
        if (buf_failed(&c->request->body)) {
            bool over = c->request->body.error == PERILUNE_ERR_LIMITED;
            refuse(c, over ? 413 : 503, over ? "the body is over the limit (limits.body)" : "out of memory");
            return 0;
        }
        eaten += (size_t)n;
        if (n == 0) break;
    }
    if (done) dispatch(c);
    return eaten;
}

static size_t eat(struct http_conn *c, struct slice s) {
    switch (c->state) {
    case CONN_IDLE:
    case CONN_HEAD: return eat_head(c, s);
    case CONN_BODY: return c->chunked_in ? eat_chunked_body(c, s) : eat_sized_body(c, s);
    case CONN_OTHER: c->other->bytes(c->other_ud, s); return s.len; /* may close c */
    case CONN_LINGER:
    case CONN_BUSY:
    case CONN_CLOSED: return 0;
    }
    return 0;
}

/* Feeds s (not part of c->in) through the states.  What is left is kept. */
static void feed(struct http_conn *c, struct slice s) {
    bool kept = buf_len(&c->in) > 0;
    if (kept) {
        buf_slice(&c->in, s);
        if (buf_failed(&c->in)) { /* bytes are lost: what follows must not be read as if they were not */
            conn_close(c);
            return;
        }
        s = buf_get(&c->in);
    }
    size_t total = 0;
    c->feeding = 1;
    while (total < s.len) {
        size_t n = eat(c, slice_of(s.ptr + total, s.len - total));
        if (c->state == CONN_CLOSED) return;
        if (n == 0) break;
        total += n;
    }
    c->feeding = 0;
    if (c->state == CONN_LINGER) {
        buf_deinit(&c->in);
        return;
    }
    if (kept) buf_consume(&c->in, total);
    else if (total < s.len) buf_put(&c->in, s.ptr + total, s.len - total);
    if (buf_failed(&c->in)) {
        conn_close(c);
        return;
    }
    if (buf_len(&c->in) == 0) buf_deinit(&c->in);
    read_more(c);
}

static void advance_job(struct deferred *j) {
    struct http_conn *c = container_of(j, struct http_conn, advance);
    if ((c->state == CONN_IDLE || c->state == CONN_OTHER) && buf_len(&c->in) > 0) feed(c, SLICE(""));
}

static void feed_tls(struct http_conn *c, struct slice cipher) {
    char plain[16 * 1024];
    tls_feed(c->tls, cipher);
    for (;;) {
        long n = tls_read(c->tls, plain, sizeof(plain));
        if (n == 0) break;
        if (n < 0) {
            tls_pull(c->tls, &c->cipher); /* the alert, as far as it can still be sent */
            flush(c);
            conn_close(c);
            return;
        }
        feed(c, slice_of(plain, (size_t)n));
        if (c->state == CONN_CLOSED) return;
    }
    tls_pull(c->tls, &c->cipher); /* handshake bytes */
    if (buf_len(&c->cipher) > 0) conn_touch(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b) {
    (void)suggested;
    struct http_conn *c = h->data;
    *b = uv_buf_init(c->server->loop->scratch, LOOP_SCRATCH);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct http_conn *c = stream->data;
    c->server->loop->active = true;
    if (n == 0) return;
    if (n < 0) { /* end of file, or worse: either way nobody waits for a reply */
        conn_close(c);
        return;
    }
    atomic_fetch_add_explicit(&c->server->stats.bytes_in, (uint64_t)n, memory_order_relaxed);
    struct slice s = slice_of(b->base, (size_t)n);
    if (c->state == CONN_LINGER) drop(c, s.len);
    else if (c->tls) feed_tls(c, s);
    else feed(c, s);
}

static void read_more(struct http_conn *c) {
    bool want = buf_len(&c->in) < PIPELINE_MAX || c->state != CONN_BUSY;
    if (c->state == CONN_OTHER) want = conn_backlog(c) <= OTHER_AHEAD * c->server->limits.high_water;
    if (want && !c->reading) uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    if (!want && c->reading) uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = want;
}

void conn_start(struct http_conn *c, struct tls_context *tls) {
    uv_tcp_nodelay(&c->tcp, 1);
    if (tls != NULL) {
        c->tls = tls_new(tls);
        if (c->tls == NULL) {
            conn_close(c);
            return;
        }
    }
    expire_in(c, c->server->limits.header_ms);
    if (c->state != CONN_CLOSED) read_more(c);
}

void conn_reply_done(struct http_conn *c, bool clean) {
    request_free(c->request);
    c->request = NULL;
    reply_packing_free(c->packing);
    c->packing = NULL;
    c->was_full = 0;
    c->whole = clean;
    if (!clean || !c->keep_alive || c->server->draining) {
        if (clean) finish_cleanly(c, buf_len(&c->in) > 0);
        else finish(c, false);
    } else {
        enter(c, CONN_IDLE);
        expire_in(c, c->server->limits.idle_ms);
        if (c->state == CONN_IDLE && !c->feeding && buf_len(&c->in) > 0)
            loop_soon(c->server->loop, &c->advance, advance_job);
    }
    conn_touch(c);
    if (c->writing != NULL && c->state != CONN_CLOSED) expire_in(c, c->server->limits.send_ms);
}

/* -- Another protocol, and what the server asks --------------------------------------------------------- */

void conn_hand_over(struct http_conn *c, const struct http_other *other, void *ud) {
    c->other = other;
    c->other_ud = ud;
    request_free(c->request);
    c->request = NULL;
    c->was_full = 0;
    enter(c, CONN_OTHER);
    if (!c->feeding && buf_len(&c->in) > 0) loop_soon(c->server->loop, &c->advance, advance_job);
    conn_touch(c);
}

void conn_rest(struct http_conn *c, bool rests) {
    list_remove(&c->link);
    list_append(rests ? &c->server->idle : &c->server->conns, &c->link);
    c->idle_since_ms = loop_now(c->server->loop);
}

void conn_hand_back(struct http_conn *c) {
    conn_rest(c, false);
    c->other = NULL;
    finish_cleanly(c, true); /* may close c */
    conn_touch(c);
}

void conn_make_room(struct http_conn *c) {
    if (c->state == CONN_OTHER) {
        c->other->evicted(c->other_ud);
        flush(c); /* as far as the kernel takes it: the place is needed now */
    }
    conn_close(c);
}

void conn_drain(struct http_conn *c, uint64_t head_ms) {
    if (c->state == CONN_OTHER) c->other->drain(c->other_ud);
    else if (c->state == CONN_IDLE) conn_close(c);
    else if (c->state == CONN_HEAD) hurry(c, head_ms);
}
