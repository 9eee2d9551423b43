/* test_upstream.c -- calls over http1, against a scripted server on the same loop.
 *
 * The server answers request n of all its connections with script[n], `split` bytes per
 * loop turn.  A script that begins with '!' closes the connection behind it, "" closes
 * without an answer, NULL never answers.  With `secure` it speaks TLS, and one that begins
 * with '?' closes without close_notify. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/blob.h"
#include "http/tls.h"
#include "upstream/call.h"
#include "upstream/origin.h"
#include "unit.h"

/* -- The server ------------------------------------------------------------------- */

#define CERT "tests/support/tls/cert.pem" /* for localhost and 127.0.0.1 */
#define KEY  "tests/support/tls/key.pem"

static bool secure; /* a test is a process of its own */

struct server {
    uv_tcp_t    listener;
    struct tls_context *context; /* NULL: plain */
    uv_prepare_t turn;
    const char *script[8];
    size_t      split;
    unsigned    accepted, requests, open;
    char        got[4096]; /* the last request */
    struct buf *all;       /* NULL, or all requests, which may be larger than that */
    struct peer *first;
};

struct peer {
    uv_tcp_t       tcp;
    struct server *server;
    struct peer   *next;
    char           in[4096];
    size_t         len;
    const char    *out; /* still to be sent */
    struct tls    *tls;
    char           cipher[4096]; /* what was read */
    bool           close_after, rude, closed;
};

static void peer_closed(uv_handle_t *h) {
    struct peer *p = h->data, **at = &p->server->first;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    p->server->open--;
    tls_free(p->tls);
    free(p);
}

/* Of what is encrypted, at most `most` bytes.  False when the connection broke. */
static bool peer_push(struct peer *p, size_t most) {
    struct buf *out = tls_out(p->tls);
    if (buf_failed(out)) return false;
    size_t len = buf_len(out) < most ? buf_len(out) : most;
    uv_os_fd_t fd;
    uv_fileno((uv_handle_t *)&p->tcp, &fd);
    ssize_t n = len > 0 ? send(fd, buf_get(out).ptr, len, MSG_NOSIGNAL) : 0; /* a signal must be the client's */
    if (n > 0) buf_consume(out, (size_t)n);
    return n >= 0 || errno == EAGAIN;
}

static void peer_close(struct peer *p) {
    if (!p->closed && p->tls != NULL && !p->rude) {
        tls_shutdown(p->tls);
        peer_push(p, SIZE_MAX);
    }
    if (!p->closed) uv_close((uv_handle_t *)&p->tcp, peer_closed);
    p->closed = true;
}

static void begin_reply(struct peer *p) {
    struct server *s = p->server;
    memcpy(s->got, p->in, p->len + 1);
    p->len = 0;
    const char *reply = s->requests < 8 ? s->script[s->requests] : NULL;
    s->requests++;
    if (reply != NULL && reply[0] == '\0') {
        peer_close(p);
        return;
    }
    p->rude = reply != NULL && reply[0] == '?';
    p->close_after = p->rude || (reply != NULL && reply[0] == '!');
    p->out = reply != NULL ? reply + p->close_after : NULL;
}

static void peer_alloc(uv_handle_t *h, size_t n, uv_buf_t *b) {
    struct peer *p = h->data;
    (void)n;
    *b = p->tls != NULL ? uv_buf_init(p->cipher, sizeof(p->cipher))
                        : uv_buf_init(p->in + p->len, (unsigned)(sizeof(p->in) - 1 - p->len));
}

/* Bytes that came, of them p->in.  Negative: the end. */
static ssize_t peer_decrypt(struct peer *p, ssize_t n) {
    ssize_t all = 0;
    long k = 0;
    size_t room = sizeof(p->in) - 1 - p->len;
    tls_feed(p->tls, slice_of(p->cipher, (size_t)n));
    while ((size_t)all < room && (k = tls_read(p->tls, p->in + p->len + all, room - (size_t)all)) > 0) all += k;
    if (!peer_push(p, SIZE_MAX)) return -1; /* the handshake */
    return k < 0 ? k : all;
}

/* A request of which only the end fits into `in`. */
static void take_large(struct peer *p, struct buf *all) {
    buf_put(all, p->in, p->len);
    p->len = 0;
    for (long n; p->tls != NULL && (n = tls_read(p->tls, p->in, sizeof(p->in) - 1)) > 0;) buf_put(all, p->in, (size_t)n);
    struct slice s = buf_get(all);
    size_t head = s.len < 1000 ? s.len : 1000;
    const char *end = memmem(s.ptr, head, "\r\n\r\n", 4), *length = memmem(s.ptr, head, "Content-Length: ", 16);
    if (end != NULL && s.len == (size_t)(end + 4 - s.ptr) + (size_t)atoi(length + 16)) begin_reply(p);
}

static void peer_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct peer *p = stream->data;
    (void)b;
    if (p->closed) return;
    if (n >= 0 && p->tls != NULL) n = peer_decrypt(p, n);
    if (n < 0) {
        peer_close(p);
        return;
    }
    p->len += (size_t)n;
    p->in[p->len] = '\0';
    if (p->server->all != NULL) {
        take_large(p, p->server->all);
        return;
    }
    const char *end = strstr(p->in, "\r\n\r\n"), *length = strstr(p->in, "Content-Length: ");
    if (end == NULL) return;
    size_t body = length ? (size_t)atoi(length + 16) : 0;
    if (p->len >= (size_t)(end + 4 - p->in) + body) begin_reply(p);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server *s = listener->data;
    struct peer *p = calloc(1, sizeof(*p));
    CHECK(status == 0 && p != NULL);
    uv_tcp_init(listener->loop, &p->tcp);
    p->tcp.data = p;
    p->server = s;
    if (s->context != NULL) p->tls = tls_new(s->context);
    p->next = s->first;
    s->first = p;
    s->accepted++;
    s->open++;
    CHECK(uv_accept(listener, (uv_stream_t *)&p->tcp) == 0);
    uv_tcp_nodelay(&p->tcp, 1);
    if (s->context != NULL && p->tls == NULL) peer_close(p); /* without memory */
    else uv_read_start((uv_stream_t *)&p->tcp, peer_alloc, peer_read);
}

static void on_turn(uv_prepare_t *h) {
    struct server *s = h->data;
    for (struct peer *p = s->first; p != NULL; p = p->next) {
        if (p->out == NULL || p->closed) continue;
        size_t len = strlen(p->out);
        if (len > s->split) len = s->split;
        if (p->tls != NULL) { /* records of `split` bytes, in pieces of as many */
            if (buf_len(tls_out(p->tls)) == 0) {
                tls_write(p->tls, slice_of(p->out, len));
                p->out += len;
            }
            if (!peer_push(p, s->split)) peer_close(p);
            if (*p->out != '\0' || buf_len(tls_out(p->tls)) > 0) continue;
            p->out = NULL;
            if (p->close_after) peer_close(p);
            continue;
        }
        uv_buf_t b = uv_buf_init((char *)(uintptr_t)p->out, (unsigned)len);
        int n = uv_try_write((uv_stream_t *)&p->tcp, &b, 1);
        if (n > 0) p->out += n;
        if (n < 0 && n != UV_EAGAIN) peer_close(p);
        if (*p->out != '\0') continue;
        p->out = NULL;
        if (p->close_after) peer_close(p);
    }
}

static int server_open(struct server *s, struct loop *l) {
    struct sockaddr_in any;
    int len = sizeof(any);
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_tcp_init(&l->uv, &s->listener);
    s->listener.data = s;
    CHECK(uv_tcp_bind(&s->listener, (struct sockaddr *)&any, 0) == 0);
    CHECK(uv_listen((uv_stream_t *)&s->listener, 16, on_connection) == 0);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&any, &len);
    uv_prepare_init(&l->uv, &s->turn);
    s->turn.data = s;
    uv_prepare_start(&s->turn, on_turn);
    if (s->split == 0) s->split = 1 << 20;
    return ntohs(any.sin_port);
}

/* -- The consumer ------------------------------------------------------------------- */

struct fixture {
    struct loop          loop;
    struct client        client;
    struct server        server;
    struct target        target;
    struct tls_context  *trusted;
    struct target_health health;
    struct call_pool     pool;
    char                 url[64];
    struct sink          sink;
    struct source *call;
    char                 seen[8192]; /* "200 TYPE|bytes|END", "ERROR kind status" */
    bool                 over;
    enum event_type      cancel_on; /* with `cancels` */
    bool                 cancels;
    bool                 leaves;    /* and closes the pool */
    const char          *releases_on; /* NULL, or this */
    bool                 empty;     /* it is closed */
    bool                 full;      /* says FLOW_FULL to every piece */
    struct failure       failure;
};

static void say(struct fixture *f, struct slice s) {
    size_t n = strlen(f->seen);
    CHECK(n + s.len < sizeof(f->seen));
    memcpy(f->seen + n, s.ptr, s.len);
    f->seen[n + s.len] = '\0';
}

static void pool_is_empty(void *ud) { ((struct fixture *)ud)->empty = true; }

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct fixture *f = container_of(k, struct fixture, sink);
    char text[800];
    CHECK(!f->over);
    switch (ev->type) {
    case EVENT_HEAD:
        snprintf(text, sizeof(text), "%d %.*s|", ev->status, SLICE_ARG(ev->content_type));
        say(f, slice_str(text));
        break;
    case EVENT_END: say(f, SLICE("|END")); break;
    case EVENT_ERROR:
        snprintf(text, sizeof(text), "ERROR %s: %s%s%s", failure_code(ev->failure->kind), ev->failure->message,
                 ev->failure->detail[0] ? " | " : "", ev->failure->detail);
        say(f, slice_str(text));
        break;
    default: say(f, ev->raw); break;
    }
    f->over = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    if (f->cancels && ev->type == f->cancel_on) {
        f->over = true;
        source_cancel(f->call);
        if (f->leaves) call_pool_close(&f->pool, pool_is_empty, f);
        CHECK(!f->empty); /* the call is on its way out */
    }
    if (f->releases_on != NULL && strstr(f->seen, f->releases_on) != NULL) {
        f->over = true;
        source_release(f->call);
    }
    return f->full ? FLOW_FULL : FLOW_MORE;
}

static void contexts_close(struct fixture *f) {
    tls_context_put(f->server.context);
    tls_context_put(f->trusted);
}

static bool contexts_open(struct fixture *f) {
    char err[200];
    if (!secure) return true;
    int rc = tls_context_open(&f->server.context, CERT, KEY, err, sizeof(err));
    if (rc == 0) rc = tls_context_open_client(&f->trusted, CERT, false, err, sizeof(err));
    if (FAULTED(rc)) {
        contexts_close(f);
        return false;
    }
    CHECK_INT(rc, 0);
    return true;
}

static bool fixture_open(struct fixture *f, size_t split) {
    memset(f, 0, sizeof(*f));
    f->server.split = split;
    f->sink.event = on_event;
    if (!contexts_open(f)) return false;
    int rc = loop_init(&f->loop);
    if (FAULTED(rc)) {
        contexts_close(f);
        return false;
    }
    CHECK_INT(rc, 0);
    rc = client_init(&f->client, &f->loop);
    if (FAULTED(rc)) {
        loop_deinit(&f->loop);
        contexts_close(f);
        return false;
    }
    CHECK_INT(rc, 0);
    f->client.env_proxy = false;
    snprintf(f->url, sizeof(f->url), "http%s://127.0.0.1:%d/v1", secure ? "s" : "", server_open(&f->server, &f->loop));
    f->target = (struct target){ .name = "up", .urls = { f->url }, .url_count = 1, .max_answer = 1 << 20,
                                 .timeouts = { .connect_ms = 5000, .total_ms = 5000 }, .health = &f->health };
    f->target.tls = f->trusted;
    if (secure) f->target.ca = CERT;
    call_pool_init(&f->pool, &f->client, &f->target);
    return true;
}

static void fixture_close(struct fixture *f) {
    call_pool_deinit(&f->pool);
    client_close(&f->client);
    for (struct peer *p = f->server.first; p != NULL; p = p->next) peer_close(p);
    uv_close((uv_handle_t *)&f->server.listener, NULL);
    uv_close((uv_handle_t *)&f->server.turn, NULL);
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    loop_deinit(&f->loop);
    client_deinit(&f->client);
    contexts_close(f);
    CHECK_INT(atomic_load(&f->health.in_flight), 0);
}

/* False when there was no memory to begin.  bytes: its share is taken; NULL: a GET, or there was none. */
static bool begin_with(struct fixture *f, struct blob *bytes, bool body) {
    struct call_field field = { SLICE("Content-Type"), SLICE("application/json") };
    struct call_options opt = { .pool = &f->pool, .method = body ? SLICE("POST") : SLICE("GET"),
                                .path = SLICE("/chat"), .body = bytes, .stream = true, .headers = &field,
                                .header_count = 1, .timeouts = f->target.timeouts };
    f->over = false;
    f->seen[0] = '\0';
    f->call = !body || bytes != NULL ? call_new(&opt) : NULL;
    blob_put(bytes);
    if (FAULTED(f->call)) return false;
    CHECK(f->call != NULL);
    source_start(f->call, &f->sink);
    return true;
}

static bool begin(struct fixture *f, const char *body) {
    return begin_with(f, body ? blob_copy(slice_str(body)) : NULL, body != NULL);
}

/* The loop never sleeps: the prepare handle does not stop it, so it is turned by hand. */
static void turn(struct fixture *f) { uv_run(&f->loop.uv, UV_RUN_NOWAIT); }

static void finish(struct fixture *f) {
    for (int i = 0; i < 200000 && !f->over; i++) turn(f);
    CHECK(f->over);
    for (int i = 0; i < 4; i++) turn(f);
}

/* What one call against script[0] comes to. */
static void once(struct fixture *f, const char *body) {
    if (begin(f, body)) finish(f);
}

/* -- Tests ------------------------------------------------------------------------------ */

/* In the clear, and over TLS. */
#define BOTH_WAYS(kind, name)                       \
    static void name(void);                         \
    kind(name##_plain) { name(); }                  \
    kind(name##_over_tls) { secure = true; name(); } \
    static void name(void)

static const struct {
    const char *reply, *seen;
} ANSWERS[] = {
    { "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 5\r\n\r\nhello", "200 a/b|hello|END" },
    { "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "200 ||END" },
    { "HTTP/1.1 204\r\n\r\n", "204 ||END" },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 201 C\r\ncontent-length: 2\r\n\r\nok",
      "201 |ok|END" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: r\r\n\r\n",
      "200 |hello world|END" },
    { "!HTTP/1.0 200 OK\r\n\r\nto the end", "200 |to the end|END" },
    { "!HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end", "200 |to the end|END" },
    { "!HTTP/1.1 200 OK\r\n\r\n", "200 ||END" },
    { "!HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
      "200 |helloERROR upstream_truncated: the upstream failed: it closed the connection before the answer was complete" },
    { "!HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello",
      "200 |helloERROR upstream_truncated: the upstream failed: it closed the connection before the answer was complete" },
    { "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhixx",
      "200 |hiERROR upstream_malformed: the upstream failed: *" },
    { "HTTP/2 200 OK\r\n\r\n", "ERROR upstream_malformed: the upstream failed: malformed status line" },
    { "SSH-2.0-OpenSSH_9.2\r\n", "ERROR upstream_malformed: the upstream failed: malformed status line" },
    { "HTTP/1.1 101 Switching\r\n\r\n", "ERROR upstream_malformed: the upstream failed: it switched to another protocol" },
    { "!HTTP/1.1 200 OK\r\nconte",
      "ERROR upstream_reset: the upstream failed: it closed the connection in the middle of a response head" },
    { "", "ERROR upstream_reset: the upstream failed: it closed the connection without an answer" },
    { "HTTP/1.1 404 No\r\ncontent-length: 24\r\n\r\n{\"error\":{\"message\":\"m\"}}",
      "ERROR upstream_status: the upstream answered 404*" },
};

static bool matches(const char *seen, const char *want) {
    size_t n = strlen(want);
    if (n > 0 && want[n - 1] == '*') return strncmp(seen, want, n - 1) == 0;
    return strcmp(seen, want) == 0;
}

static void comes_to(const char *reply, size_t split, const char *seen) {
    struct fixture f;
    NOTE("%s, %zu bytes at a time", reply, split);
    fixture_open(&f, split);
    f.server.script[0] = reply;
    once(&f, "{}");
    if (!matches(f.seen, seen)) CHECK_STR(f.seen, seen);
    fixture_close(&f);
}

TEST_NOFAULT(every_answer_at_every_split) {
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(*ANSWERS); i++)
        for (size_t split = 1; split <= strlen(ANSWERS[i].reply) + 1; split++)
            comes_to(ANSWERS[i].reply, split, ANSWERS[i].seen);
}

TEST_NOFAULT(the_request_as_it_goes_out) {
    struct fixture f;
    fixture_open(&f, 0);
    f.target.key = "secret";
    f.target.headers = (const char *[]){ "X-Own: 1" };
    f.target.header_count = 1;
    f.server.script[0] = ANSWERS[0].reply;
    once(&f, "{\"a\":1}");
    char want[400];
    snprintf(want, sizeof(want),
             "POST /v1/chat HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: */*\r\nX-Own: 1\r\n"
             "Accept-Encoding: identity\r\nAuthorization: Bearer secret\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
             f.pool.origins[0]->authority);
    CHECK_STR(f.server.got, want);
    fixture_close(&f);
}

BOTH_WAYS(TEST_FAULT, memory_that_ends_ends_in_a_failure) {
    struct fixture f;
    if (!fixture_open(&f, 20)) return;
    f.server.script[0] = ANSWERS[4].reply;
    f.server.script[1] = ANSWERS[0].reply;
    for (int i = 0; i < 2; i++) {
        once(&f, "{}");
        if (!unit_fault_fired()) CHECK_STR(f.seen, ANSWERS[i ? 0 : 4].seen);
    }
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, connections_are_kept) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = ANSWERS[0].reply;
    f.server.script[1] = ANSWERS[4].reply;
    f.server.script[2] = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxjunk"; /* and not after this */
    f.server.script[3] = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
    f.server.script[4] = ANSWERS[0].reply;
    static const unsigned accepted[] = { 1, 1, 1, 2, 3 };
    for (int i = 0; i < 5; i++) {
        once(&f, "{}");
        NOTE("request %d: %s", i, f.seen);
        CHECK_UINT(f.server.accepted, accepted[i]);
    }
    CHECK_UINT(f.server.open, 1);
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, a_connection_that_dies_under_a_request_is_replaced_once) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = ANSWERS[0].reply;
    f.server.script[1] = "";
    f.server.script[2] = ANSWERS[0].reply;
    f.server.script[3] = "";
    f.server.script[4] = "";
    once(&f, "{}");
    once(&f, "{}");
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 2);
    once(&f, "{}");
    CHECK_STR(f.seen, ANSWERS[15].seen);
    fixture_close(&f);
}

/* More than the kernel takes at once, so that a write ends within a piece. */
BOTH_WAYS(TEST_NOFAULT, a_large_body_in_pieces) {
    struct fixture f;
    struct buf text, all;
    fixture_open(&f, 0);
    f.loop.is_virtual = true; /* it may take long */
    buf_init(&text, 0);
    buf_init(&all, 0);
    for (int i = 0; i < 900000; i++) buf_printf(&text, "%d,", i);
    struct blob *of = blob_take(&text);
    struct rope r;
    rope_init(&r, blob_get(of));
    for (size_t at = 0; at < of->len; at += 2000000) {
        rope_keep(&r, at, of->len - at < 2000000 ? of->len : at + 2000000);
        buf_puts(&r.text, "new");
        rope_add(&r);
    }
    rope_write(&r, &text);
    CHECK(r.count > 4);
    struct blob *body = blob_splice(of, &r);
    blob_put(of);
    rope_deinit(&r);
    f.server.all = &all;
    f.server.script[0] = ANSWERS[0].reply;
    CHECK(begin_with(&f, body, true));
    finish(&f);
    CHECK_STR(f.seen, ANSWERS[0].seen);
    struct slice got = buf_get(&all);
    CHECK(got.len > buf_len(&text));
    CHECK(slice_eq(slice_of(got.ptr + got.len - buf_len(&text), buf_len(&text)), buf_get(&text)));
    buf_deinit(&all);
    buf_deinit(&text);
    fixture_close(&f);
}

/* Begins a call from inside of a turn of the loop, before the kernel is asked what other connections say. */
struct beginner {
    uv_poll_t       poll;
    struct fixture *f;
    int             ends[2];
};

static void begin_now(uv_poll_t *h, int status, int events) {
    struct beginner *b = h->data;
    (void)events;
    CHECK_INT(status, 0);
    uv_poll_stop(h);
    CHECK(begin(b->f, "{}"));
    CHECK(!list_is_empty(&b->f->client.unsent));
}

static void begin_in_turn(struct fixture *f, struct beginner *b) {
    *b = (struct beginner){ .f = f };
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, b->ends) == 0);
    uv_poll_init(&f->loop.uv, &b->poll, b->ends[0]);
    b->poll.data = b;
    uv_poll_start(&b->poll, UV_READABLE, begin_now);
    turn(f);
    CHECK(write(b->ends[1], "x", 1) == 1);
}

static void beginner_close(struct beginner *b) {
    uv_close((uv_handle_t *)&b->poll, NULL);
    turn(b->f);
    for (int i = 0; i < 2; i++) close(b->ends[i]);
}

BOTH_WAYS(TEST_NOFAULT, a_connection_that_ends_before_its_request_went_out_is_replaced) {
    for (int junk = 0; junk <= !secure; junk++) { /* in the clear, bytes that nobody asked for as well */
        struct fixture f;
        struct beginner b;
        uv_os_fd_t fd;
        fixture_open(&f, 0);
        f.loop.is_virtual = true; /* else it may have been idle for so long that it is looked at */
        f.server.script[0] = f.server.script[1] = ANSWERS[0].reply;
        once(&f, "{}");
        begin_in_turn(&f, &b);
        CHECK(uv_fileno((uv_handle_t *)&f.server.first->tcp, &fd) == 0);
        if (junk) CHECK(send(fd, "junk", 4, MSG_NOSIGNAL) == 4);
        else CHECK(shutdown(fd, SHUT_WR) == 0);
        f.over = false;
        finish(&f);
        CHECK_STR(f.seen, ANSWERS[0].seen);
        CHECK_UINT(f.server.requests, 2);
        CHECK_UINT(f.server.accepted, 2);
        beginner_close(&b);
        fixture_close(&f);
    }
}

BOTH_WAYS(TEST_NOFAULT, cancelled_before_its_request_went_out) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = ANSWERS[0].reply;
    once(&f, "{}");
    begin(&f, "{}");
    source_cancel(f.call);
    CHECK(list_is_empty(&f.client.unsent));
    for (int i = 0; i < 5; i++) turn(&f);
    CHECK_UINT(f.server.requests, 1);
    CHECK_UINT(f.server.open, 0);
    fixture_close(&f);
}

/* Behind an answer without a body, however soon the next request follows. */
BOTH_WAYS(TEST_NOFAULT, a_late_body_is_nobody_s_answer) {
    static const char late[] = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = "HTTP/1.1 204 No Content\r\n\r\n";
    f.server.script[1] = ANSWERS[0].reply;
    once(&f, "{}");
    CHECK_UINT(f.pool.origins[0]->idle_count, 1);
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)late, sizeof(late) - 1);
    if (secure) CHECK(tls_write(f.server.first->tls, slice_of(b.base, b.len)) == 0 && peer_push(f.server.first, SIZE_MAX));
    else CHECK_INT(uv_try_write((uv_stream_t *)&f.server.first->tcp, &b, 1), (int)b.len);
    once(&f, "{}"); /* without a turn of the loop between */
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 2);
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, idle_connections_grow_old) {
    struct fixture f;
    fixture_open(&f, 0);
    f.loop.is_virtual = true;
    f.server.script[0] = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5, max=9\r\ncontent-length: 1\r\n\r\nx";
    f.server.script[1] = ANSWERS[0].reply;
    once(&f, "{}");
    bool never = false;
    CHECK_UINT(f.pool.origins[0]->idle_count, 1);
    loop_run_virtual(&f.loop, &never);
    CHECK_UINT(f.loop.virtual_ms, 4000); /* a second less than the server said */
    CHECK_UINT(f.pool.origins[0]->idle_count, 0);
    once(&f, "{}");
    loop_run_virtual(&f.loop, &never);
    CHECK_UINT(f.loop.virtual_ms, 64000);
    turn(&f);
    turn(&f);
    CHECK_UINT(f.server.open, 0);
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, cancelled_at_every_point) {
    static const enum event_type on[] = { EVENT_HEAD, EVENT_BYTES };
    for (int i = 0; i < 2; i++) { /* from inside an event */
        struct fixture f;
        fixture_open(&f, 10);
        f.server.script[0] = ANSWERS[4].reply;
        f.cancels = true;
        f.cancel_on = on[i];
        once(&f, "{}");
        CHECK(f.pool.origins[0]->idle_count == 0);
        fixture_close(&f);
    }
    for (int turns = 0; turns < (secure ? 120 : 40); turns++) { /* from outside, ever later */
        struct fixture f;
        fixture_open(&f, 3);
        f.server.script[0] = ANSWERS[4].reply;
        begin(&f, "{}");
        for (int i = 0; i < turns && !f.over; i++) turn(&f);
        if (!f.over) source_cancel(f.call);
        for (int i = 0; i < 5; i++) turn(&f);
        if (!f.over) CHECK_UINT(f.server.open, 0);
        fixture_close(&f);
    }
}

TEST_NOFAULT(a_full_sink_stops_the_reading) {
    struct fixture f;
    fixture_open(&f, 1);
    f.server.script[0] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    f.full = true;
    begin(&f, "{}");
    const char *stages[] = { "200 |h", "200 |he", "200 |hel", "200 |hell", "200 |hello|END" };
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 100; k++) turn(&f);
        /* The kernel hands out what came meanwhile as one piece. */
        if (i == 0) CHECK_STR(f.seen, stages[0]);
        if (!f.over) source_resume(f.call);
    }
    finish(&f);
    CHECK_STR(f.seen, stages[4]);
    CHECK_UINT(f.pool.origins[0]->idle_count, 1);
    fixture_close(&f);
}

/* A prompt does not stay for as long as its stream. */
BOTH_WAYS(TEST_NOFAULT, the_body_goes_when_the_answer_begins) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n";
    struct blob *body = blob_copy(SLICE("{\"prompt\":\"long\"}"));
    begin_with(&f, blob_ref(body), true);
    CHECK(atomic_load(&body->refs) > 1);
    for (int i = 0; i < 200000 && strcmp(f.seen, "200 |h") != 0; i++) turn(&f);
    CHECK_STR(f.seen, "200 |h");
    CHECK_UINT(atomic_load(&body->refs), 1);
    source_cancel(f.call);
    blob_put(body);
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, deadlines) {
    struct fixture f;
    fixture_open(&f, 0);
    f.loop.is_virtual = true;
    f.server.script[0] = NULL;
    begin(&f, "{}");
    for (int i = 0; i < 20; i++) turn(&f);
    CHECK_UINT(f.server.requests, 1);
    loop_run_virtual(&f.loop, &f.over);
    CHECK_STR(f.seen, "ERROR timeout: the upstream did not finish in time (timeouts.total)");
    CHECK_UINT(f.loop.virtual_ms, 5000);
    for (int i = 0; i < 5; i++) turn(&f);
    CHECK_UINT(f.server.open, 0);
    fixture_close(&f);
}

/* A listener whose queue is full: the kernel drops what asks to connect. */
static int deaf_listener(int *port, int clients[2]) {
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 0) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    for (int i = 0; i < 2; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(clients[i], (struct sockaddr *)&a, len);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

/* Moves the clock to the earliest timer, and no further. */
static void fire_first(struct loop *l) {
    struct timer *t = l->heap[0];
    l->virtual_ms = t->at_ms;
    timer_stop(l, t);
    t->fire(t);
}

BOTH_WAYS(TEST_NOFAULT, the_next_address_does_not_wait_for_a_deaf_one) {
    struct fixture f;
    int port, clients[2];
    fixture_open(&f, 0);
    f.loop.is_virtual = true;
    f.server.script[0] = ANSWERS[0].reply;
    int deaf = deaf_listener(&port, clients);
    /* The origin's name has two addresses. */
    struct slice path;
    struct origin *o = origin_take(&f.client, f.url, f.trusted, NULL, &path);
    o->addresses[1] = o->addresses[0];
    o->addresses[0].v4.sin_port = htons((uint16_t)port);
    o->address_count = 2;
    begin(&f, "{}");
    for (int i = 0; i < 20; i++) turn(&f);
    CHECK_UINT(f.server.accepted, 0);
    fire_first(&f.loop);
    CHECK_UINT(f.loop.virtual_ms, 250);
    finish(&f);
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 1);
    origin_put(o);
    for (int i = 0; i < 2; i++) close(clients[i]);
    close(deaf);
    fixture_close(&f);
}

BOTH_WAYS(TEST_NOFAULT, the_next_url_when_one_refuses) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = f.server.script[1] = f.server.script[2] = ANSWERS[0].reply;
    f.target.urls[1] = f.target.urls[0];
    f.target.urls[0] = "http://127.0.0.1:1/v1";
    f.target.url_count = 2;
    for (int i = 0; i < 3; i++) {
        once(&f, "{}");
        CHECK_STR(f.seen, ANSWERS[0].seen);
    }
    fixture_close(&f);
}

TEST_NOFAULT(refused_by_all) {
    struct fixture f;
    fixture_open(&f, 0);
    f.target.urls[0] = "http://127.0.0.1:1/v1";
    once(&f, "{}");
    CHECK_STR(f.seen, "ERROR upstream_unreachable: the upstream failed: connection refused");
    fixture_close(&f);
}

/* What is not public is called only where that was allowed: by http1 and by libcurl, by name and by address, and on a
 * kept connection neither. */
TEST_NOFAULT(addresses_that_are_not_public) {
    struct fixture f;
    struct reach public_only = { .count = 0 }, here = { .count = 0 };
    char urls[4][100];
    fixture_open(&f, 0);
    const char *own = f.target.urls[0], *port = strrchr(own, ':');
    reach_add(&here, SLICE("127.0.0.0/8"));
    reach_add(&here, SLICE("::1"));
    snprintf(urls[0], sizeof(urls[0]), "%s", own);
    snprintf(urls[1], sizeof(urls[1]), "http://localhost%s", port);
    snprintf(urls[2], sizeof(urls[2]), "http://u:p@127.0.0.1%s", port);
    snprintf(urls[3], sizeof(urls[3]), "http://u:p@localhost%s", port);
    for (int i = 0; i < 4; i++) {
        f.server.requests = 0;
        f.server.script[0] = f.server.script[1] = ANSWERS[0].reply;
        f.target.urls[0] = urls[i];
        f.target.reach = NULL;
        once(&f, "{}"); /* leaves a connection */
        CHECK_STR(f.seen, ANSWERS[0].seen);
        call_pool_deinit(&f.pool);
        call_pool_init(&f.pool, &f.client, &f.target);
        f.target.reach = &public_only;
        once(&f, "{}");
        CHECK(strstr(f.seen, "upstream_unreachable") != NULL && strstr(f.seen, REACH_WHY) != NULL);
        CHECK_UINT(f.server.requests, 1);
        call_pool_deinit(&f.pool);
        call_pool_init(&f.pool, &f.client, &f.target);
        f.target.reach = &here;
        once(&f, "{}");
        CHECK_STR(f.seen, ANSWERS[0].seen);
        call_pool_deinit(&f.pool);
        call_pool_init(&f.pool, &f.client, &f.target);
    }
    fixture_close(&f);
}

TEST_FAULT(which_urls_are_ours) {
    static const struct {
        const char *url, *host, *path;
        int         port;
    } cases[] = {
        { "http://a/v1", "a", "/v1", 80 },
        { "HTTP://a.b-c_d:8080", "a.b-c_d", "", 8080 },
        { "http://127.0.0.1:1/", "127.0.0.1", "/", 1 },
        { "http://[::1]:81/x", "::1", "/x", 81 },
        { "http://[::1]", "::1", "", 80 },
        { "http://a?b=c", "a", "?b=c", 80 },
        { "https://a/v1", "a", "/v1", 443 },
        { "HTTPS://[::1]:444/v1", "::1", "/v1", 444 },
        { "https://u:p@a/v1", NULL, NULL, 0 },
        { "https://a:0/", NULL, NULL, 0 },
        { "ftp://a/v1", NULL, NULL, 0 },
        { "http://u:p@a/v1", NULL, NULL, 0 },
        { "http://a:0/", NULL, NULL, 0 },
        { "http://a:65536/", NULL, NULL, 0 },
        { "http://a:/", NULL, NULL, 0 },
        { "http://a:8x/", NULL, NULL, 0 },
        { "http:///x", NULL, NULL, 0 },
        { "http://[::1/x", NULL, NULL, 0 },
        { "http://[::1]x/", NULL, NULL, 0 },
        { "http://a/b c", NULL, NULL, 0 },
        { "http://a/\r\nx: y", NULL, NULL, 0 },
        { "http://a/\xc3\xa4", NULL, NULL, 0 },
        { "http://\xc3\xa4/", NULL, NULL, 0 },
        { "http://a/#f", NULL, NULL, 0 },
    };
    struct fixture f;
    if (!fixture_open(&f, 0)) return;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct slice path = { NULL, 0 };
        struct tls_context *tls = client_tls(&f.client, &f.target);
        NOTE("%s", cases[i].url);
        if (FAULTED(tls)) break;
        struct origin *o = origin_take(&f.client, cases[i].url, tls, NULL, &path);
        if (FAULTED(o)) break;
        CHECK((o != NULL) == (cases[i].host != NULL));
        if (o == NULL) continue;
        CHECK_STR(o->host, cases[i].host);
        CHECK_INT(o->port, cases[i].port);
        CHECK_SLICE(path, slice_str(cases[i].path));
        CHECK_PTR(o->tls, origin_is_tls(cases[i].url) ? tls : NULL);
        origin_put(o);
    }
    CHECK(list_is_empty(&f.client.origins));
    fixture_close(&f);
}

/* -- Many connections ---------------------------------------------------------------------- */

struct caller {
    struct sink sink;
    bool        over;
};

static enum flow on_caller_event(struct sink *k, const struct event *ev) {
    struct caller *c = container_of(k, struct caller, sink);
    CHECK(ev->type != EVENT_ERROR);
    c->over |= ev->type == EVENT_END;
    return FLOW_MORE;
}

/* Six calls at once leave six idle connections. */
static void keep_six(struct fixture *f) {
    struct caller callers[6];
    bool all = false;
    for (int i = 0; i < 6; i++) {
        callers[i] = (struct caller){ .sink.event = on_caller_event };
        struct call_options opt = { .pool = &f->pool, .method = SLICE("GET"), .path = SLICE("/"), .timeouts = f->target.timeouts };
        source_start(call_new(&opt), &callers[i].sink);
    }
    for (int i = 0; i < 200000 && !all; i++) {
        turn(f);
        all = true;
        for (int k = 0; k < 6; k++) all = all && callers[k].over;
    }
    CHECK(all);
    CHECK_UINT(f->pool.origins[0]->idle_count, 6);
    CHECK_UINT(f->server.accepted, 6);
}

/* All of them are dead: a new one is made, and nobody hears of it. */
BOTH_WAYS(TEST_NOFAULT, six_dead_connections) {
    for (int rude = 0; rude < 2; rude++) {
        struct fixture f;
        fixture_open(&f, 0);
        f.loop.is_virtual = true;
        for (int k = 0; k < 7; k++) f.server.script[k] = ANSWERS[0].reply;
        keep_six(&f);
        for (struct peer *p = f.server.first; p != NULL; p = p->next) {
            p->rude = rude; /* without close_notify, with a reset */
            if (rude) {
                uv_os_fd_t fd;
                struct linger now = { .l_onoff = 1 };
                uv_fileno((uv_handle_t *)&p->tcp, &fd);
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
            }
            peer_close(p);
        }
        once(&f, "{}");
        CHECK_STR(f.seen, ANSWERS[0].seen);
        CHECK_UINT(f.server.accepted, 7);
        CHECK_UINT(f.server.requests, 7);
        fixture_close(&f);
    }
}

/* They die when they are used: the request is sent on a new one at once, not on the next of them. */
BOTH_WAYS(TEST_NOFAULT, six_connections_that_die_under_a_request) {
    struct fixture f;
    fixture_open(&f, 0);
    for (int i = 0; i < 6; i++) f.server.script[i] = ANSWERS[0].reply;
    f.server.script[6] = "";
    f.server.script[7] = ANSWERS[0].reply;
    keep_six(&f);
    once(&f, "{}");
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 7);
    CHECK_UINT(f.server.requests, 8);
    fixture_close(&f);
}

static void read_and_close(struct fixture *f, uint64_t after_ms, bool rude) {
    unsigned requests = f->server.requests;
    for (int i = 0; i < 100000 && f->server.requests == requests; i++) turn(f);
    CHECK_UINT(f->server.requests, requests + 1);
    f->loop.virtual_ms += after_ms;
    f->server.first->rude = rude;
    peer_close(f->server.first);
    finish(f);
}

/* At once, it was dying when the request was sent; later, the request was worked on, and is not sent again. */
BOTH_WAYS(TEST_NOFAULT, a_kept_connection_that_ends_under_a_request) {
    static const struct {
        uint64_t after_ms;
        bool rude, again;
    } cases[] = { { 0, false, true }, { 20, false, true }, { 20, true, true }, { 500, false, false }, { 500, true, false },
                  { 2000, false, false } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct fixture f;
        NOTE("after %u ms", (unsigned)cases[i].after_ms);
        fixture_open(&f, 0);
        f.loop.is_virtual = true;
        f.server.script[0] = f.server.script[2] = ANSWERS[0].reply;
        once(&f, "{}");
        CHECK(begin(&f, "{}"));
        read_and_close(&f, cases[i].after_ms, cases[i].rude);
        CHECK_UINT(f.server.requests, 2 + cases[i].again);
        CHECK_UINT(f.server.accepted, 1 + cases[i].again);
        if (cases[i].again) CHECK_STR(f.seen, ANSWERS[0].seen);
        else CHECK(matches(f.seen, "ERROR upstream_reset: *"));
        fixture_close(&f);
    }
}

/* Never a third time: what is sent once more is on a connection that was not kept. */
BOTH_WAYS(TEST_NOFAULT, a_new_connection_that_ends_under_a_request) {
    struct fixture f;
    fixture_open(&f, 0);
    f.server.script[0] = f.server.script[3] = ANSWERS[0].reply;
    f.server.script[1] = f.server.script[2] = "";
    once(&f, "{}");
    once(&f, "{}");
    CHECK_UINT(f.server.requests, 3);
    CHECK(matches(f.seen, "ERROR upstream_reset: *"));
    fixture_close(&f);
}

/* -- TLS ------------------------------------------------------------------------------------- */

TEST_NOFAULT(every_answer_over_tls) {
    static const size_t splits[] = { 1, 2, 5, 23, 50, 1 << 20 };
    secure = true;
    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(*ANSWERS); i++)
        for (size_t k = 0; k < sizeof(splits) / sizeof(*splits); k++)
            comes_to(ANSWERS[i].reply, splits[k], ANSWERS[i].seen);
}

/* Anybody on the way can close a connection: only a server can end TLS. */
TEST_NOFAULT(an_end_without_close_notify) {
    static const size_t splits[] = { 1, 7, 1 << 20 };
    secure = true;
    for (size_t i = 0; i < 3; i++) {
        comes_to("?HTTP/1.1 200 OK\r\n\r\nto the end", splits[i], "200 |to the endERROR upstream_truncated: the upstream "
                 "failed: it closed the connection without an end of TLS (close_notify): the answer may be cut");
        comes_to("?HTTP/1.0 200 OK\r\n\r\n", splits[i], "ERROR upstream_truncated: *");
        comes_to("?HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", splits[i], "200 |hello|END");
        comes_to("?HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", splits[i], "200 |helloERROR upstream_truncated: *");
    }
}

/* Whom it trusts, and what it says. */
static void trusts(const char *host, const char *ca, bool insecure, const char *seen) {
    struct fixture f;
    struct tls_context *none;
    char url[80];
    NOTE("%s %s %d", host, ca, insecure);
    fixture_open(&f, 0);
    snprintf(url, sizeof(url), "https://%s%s", host, strrchr(f.url, ':'));
    none = f.target.tls;
    f.target.urls[0] = url;
    f.target.ca = ca;
    f.target.insecure = insecure;
    f.target.tls = ca != NULL && !insecure ? none : NULL;
    f.server.script[0] = ANSWERS[0].reply;
    once(&f, "{}");
    if (!matches(f.seen, seen)) CHECK_STR(f.seen, seen);
    fixture_close(&f);
}

TEST_NOFAULT(who_is_trusted) {
    secure = true;
    trusts("127.0.0.1", CERT, false, ANSWERS[0].seen);
    trusts("localhost", CERT, false, ANSWERS[0].seen);
    trusts("LocalHost", CERT, false, ANSWERS[0].seen);
    trusts("0.0.0.0", CERT, false, "ERROR upstream_tls: there is no secure connection to the upstream | "
           "its certificate is for localhost, 127.0.0.1, not for the host of the base URL (use such a host, or set insecure = true)");
    trusts("0.0.0.0", CERT, true, ANSWERS[0].seen);
    trusts("127.0.0.1", NULL, false, "ERROR upstream_tls: there is no secure connection to the upstream | "
           "its certificate is not accepted: self-signed certificate (name the file of its authority as ca, or set insecure = true)");
    trusts("127.0.0.1", NULL, true, ANSWERS[0].seen);
}

TEST_NOFAULT(an_upstream_without_tls) {
    struct fixture f;
    secure = true;
    fixture_open(&f, 0);
    tls_context_put(f.server.context);
    f.server.context = NULL; /* it waits for the end of a head */
    f.loop.is_virtual = true;
    f.target.timeouts.connect_ms = 1000;
    begin(&f, "{}");
    for (int i = 0; i < 50; i++) turn(&f);
    CHECK_UINT(f.server.accepted, 1);
    loop_run_virtual(&f.loop, &f.over);
    CHECK_STR(f.seen, "ERROR timeout: the upstream failed: the TLS handshake did not end in time (timeouts.connect)");
    CHECK_UINT(f.loop.virtual_ms, 1000);
    for (int i = 0; i < 5; i++) turn(&f);
    CHECK_UINT(f.server.open, 0);
    fixture_close(&f);
}

TEST_NOFAULT(a_ticket_makes_the_next_handshake_short) {
    struct fixture f;
    secure = true;
    fixture_open(&f, 0);
    static const bool resumed[] = { false, true, true, false };
    for (int i = 0; i < 4; i++) {
        f.server.script[i] = "!HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        NOTE("connection %d", i);
        if (i == 3) tls_ticket_deinit(&f.pool.origins[0]->ticket);
        begin(&f, "{}");
        for (int k = 0; k < 200000 && f.server.requests <= (unsigned)i; k++) turn(&f);
        CHECK_INT(SSL_session_reused(tls_ssl(f.server.first->tls)), resumed[i]);
        finish(&f);
        CHECK_STR(f.seen, "200 |hello|END");
        CHECK_UINT(f.server.accepted, i + 1);
        CHECK(f.pool.origins[0]->ticket.session != NULL);
    }
    fixture_close(&f);
}

/* What TLS has to say to an idle connection is no answer that nobody asked for; plain bytes are. */
TEST_NOFAULT(tickets_and_keys_for_an_idle_connection) {
    struct fixture f;
    secure = true;
    fixture_open(&f, 0);
    f.loop.is_virtual = true;
    for (int i = 0; i < 6; i++) f.server.script[i] = ANSWERS[0].reply;
    for (int i = 0; i < 4; i++) { /* 0, 1: the loop hears of it; 2, 3: the next request does */
        once(&f, "{}");
        SSL *ssl = tls_ssl(f.server.first->tls);
        if (i % 2 == 0) CHECK_INT(SSL_new_session_ticket(ssl), 1);
        else CHECK_INT(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        CHECK_INT(SSL_do_handshake(ssl), 1);
        CHECK(peer_push(f.server.first, SIZE_MAX));
        for (int k = 0; k < 10 && i < 2; k++) turn(&f);
        f.loop.virtual_ms += 1000;
    }
    once(&f, "{}");
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 1);
    CHECK_INT(tls_write(f.server.first->tls, SLICE("HTTP/1.1 200 OK\r\n")), 0);
    CHECK(peer_push(f.server.first, SIZE_MAX));
    for (int k = 0; k < 10; k++) turn(&f);
    CHECK_UINT(f.server.open, 0);
    once(&f, "{}");
    CHECK_STR(f.seen, ANSWERS[0].seen);
    CHECK_UINT(f.server.accepted, 2);
    fixture_close(&f);
}

/* What was made with one trust is never used for another; the same file read anew is the same. */
TEST_NOFAULT(origins_differ_by_whom_they_trust) {
    struct fixture f;
    struct slice path;
    struct tls_context *again;
    char err[200];
    secure = true;
    fixture_open(&f, 0);
    CHECK_INT(tls_context_open_client(&again, CERT, false, err, sizeof(err)), 0);
    struct target anybody = { .insecure = true }, system = { .name = "s" };
    struct origin *a = origin_take(&f.client, "https://a/v1", f.trusted, NULL, &path);
    struct origin *b = origin_take(&f.client, "https://a/v1", again, NULL, &path);
    struct origin *c = origin_take(&f.client, "https://a/v1", client_tls(&f.client, &anybody), NULL, &path);
    struct origin *d = origin_take(&f.client, "https://a/v1", client_tls(&f.client, &system), NULL, &path);
    struct origin *e = origin_take(&f.client, "http://a/v1", f.trusted, NULL, &path);
    CHECK_PTR(a, b);
    CHECK(a != c && a != d && a != e && c != d && c != e && d != e);
    CHECK(origin_take(&f.client, "https://a/v1", NULL, NULL, &path) == NULL);
    struct origin *all[] = { a, b, c, d, e };
    for (int i = 0; i < 5; i++) origin_put(all[i]);
    tls_context_put(again);
    fixture_close(&f);
}

/* A body of many records, more than the kernel takes at once, given up in the middle. */
BOTH_WAYS(TEST_NOFAULT, a_large_body_is_given_up) {
    struct fixture f;
    fixture_open(&f, 0);
    char *body = malloc(8000001);
    memset(body, 'x', 8000000);
    body[8000000] = '\0';
    begin(&f, body);
    free(body);
    for (int i = 0; i < 200000 && f.pool.origins[0]->refs > 1; i++) turn(&f); /* until it is dialed */
    CHECK(f.server.first != NULL);
    uv_read_stop((uv_stream_t *)&f.server.first->tcp);
    for (int i = 0; i < 100; i++) turn(&f);
    source_cancel(f.call);
    uv_read_start((uv_stream_t *)&f.server.first->tcp, peer_alloc, peer_read);
    for (int i = 0; i < 20; i++) turn(&f);
    fixture_close(&f);
}

/* The last request of a configuration ends inside of an event: its call is still below on the stack. */
TEST_NOFAULT(a_pool_waits_for_who_is_on_the_stack) {
    static const enum event_type when[] = { EVENT_HEAD, EVENT_BYTES };
    for (int i = 0; i < 4; i++) {
        struct fixture f;
        secure = i >= 2;
        fixture_open(&f, 1000);
        f.server.script[0] = ANSWERS[4].reply;
        f.cancels = f.leaves = true;
        f.cancel_on = when[i % 2];
        begin(&f, "{}");
        finish(&f);
        CHECK(f.empty);
        fixture_close(&f);
    }
}

#define STREAM "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n[DONE]\r\n"

/* Its end came with the mark, comes in the next turns, or has to be waited for: then the connection is kept. */
BOTH_WAYS(TEST_NOFAULT, released_calls_end_in_order) {
    static const size_t splits[] = { 1000, sizeof(STREAM) - 1, 1 };
    for (size_t i = 0; i < sizeof(splits) / sizeof(*splits); i++) {
        struct fixture f;
        NOTE("%zu bytes at a time", splits[i]);
        fixture_open(&f, splits[i]);
        f.releases_on = "[DONE]";
        f.full = i == 1; /* nobody resumes it */
        f.server.script[0] = STREAM "4\r\nmore\r\n0\r\n\r\n";
        f.server.script[1] = ANSWERS[0].reply;
        once(&f, "{}");
        CHECK_STR(f.seen, i == 0 ? "200 |[DONE]more" : "200 |[DONE]");
        for (int k = 0; k < 2000 && f.pool.calls > 0; k++) turn(&f);
        CHECK_UINT(f.pool.calls, 0);
        f.releases_on = NULL;
        f.full = false;
        once(&f, "{}");
        CHECK_STR(f.seen, ANSWERS[0].seen);
        CHECK_UINT(f.server.accepted, 1);
        CHECK_UINT(atomic_load(&f.health.failures), 0);
        fixture_close(&f);
    }
}

/* The body does not end in time, says too much, breaks off, or the client closes: nobody hears of it. */
BOTH_WAYS(TEST_NOFAULT, released_calls_that_do_not_end) {
    static char much[80000] = STREAM "11170\r\n"; /* 70000 */
    static const char *const scripts[] = { STREAM, much, "!" STREAM, STREAM "xx", STREAM };
    memset(much + strlen(much), 'x', 70000);
    for (int i = 0; i < 5; i++) {
        struct fixture f;
        NOTE("script %d", i);
        fixture_open(&f, sizeof(STREAM) - 1);
        f.loop.is_virtual = true;
        f.releases_on = "[DONE]";
        f.server.script[0] = scripts[i];
        f.server.script[1] = ANSWERS[0].reply;
        if (!begin(&f, "{}")) return;
        while (!f.over) turn(&f);
        if (i == 4) call_drop_released(&f.client);
        if (i == 0) fire_first(&f.loop);
        while (f.pool.calls > 0) turn(&f);
        CHECK_STR(f.seen, "200 |[DONE]");
        f.releases_on = NULL;
        f.full = false;
        once(&f, "{}");
        CHECK_UINT(f.server.accepted, 2);
        CHECK_UINT(atomic_load(&f.health.failures), 0);
        fixture_close(&f);
    }
}

TEST_NOFAULT(a_pool_without_calls_closes_at_once) {
    struct fixture f;
    fixture_open(&f, 1000);
    begin(&f, "{}");
    call_pool_close(&f.pool, pool_is_empty, &f);
    CHECK(!f.empty);
    source_cancel(f.call);
    CHECK(f.empty);
    f.empty = false;
    call_pool_close(&f.pool, pool_is_empty, &f);
    CHECK(f.empty);
    fixture_close(&f);
}

/* -- libcurl ------------------------------------------------------------------------------- */

/* Clients leave while a connection is made, the handshake runs, the answer comes; descriptors are used
 * again at once.  Nothing of it may stay on the loop, and the next call finds all in order. */
TEST_NOFAULT(cancelled_at_every_point_with_libcurl) {
    secure = true;
    for (int turns = 0; turns < 60; turns++) {
        struct fixture f;
        NOTE("after %d turns", turns);
        fixture_open(&f, 10);
        f.target.http2 = true;
        for (int i = 0; i < 8; i++) f.server.script[i] = ANSWERS[4].reply;
        for (int k = 0; k < 3; k++) {
            begin(&f, "{}");
            loop_flush(&f.loop); /* it connects, and has not heard of it */
            for (int i = 0; i < turns && !f.over; i++) turn(&f);
            if (!f.over) source_cancel(f.call);
        }
        once(&f, "{}");
        CHECK_STR(f.seen, ANSWERS[4].seen);
        fixture_close(&f);
    }
}
