/* test_conn.c -- server.c, conn.c and reply.c over loopback sockets.
 *
 * The clock is virtual: sockets move when turn() polls them, timers only in later().
 * What a client got is compared without its date header. */
#include "http/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

enum behaviour {
    SAY_BACK,     /* method, path, query and body, at once */
    HOLD,     /* keeps the request in `held` */
    CHUNKS,   /* three pieces of unknown length */
    CUT,      /* a piece, and then reply_abort() */
    STATUS,   /* the path as status, with a body of unknown length; known when there is a query */
    LONG,     /* 3000 bytes of text at once; /noise: bytes that cannot be packed; /pieces: in three;
                 /none: promised, and it does not come; /cut: reply_abort() in the middle */
    POUR      /* pieces until FLOW_FULL, more on `drained`, POUR_TOTAL in all */
};

#define POUR_TOTAL (24u << 20) /* more than the kernel buffers */

struct world {
    struct loop          loop;
    struct http_server   server;
    struct log           log;
    enum behaviour       behaviour;
    struct http_request *held;
    unsigned             requests, gone, drained, full;
    size_t               poured;
    int                  port;
    char                 logged[512];
    struct timer         until;
    bool                 stop;
};

/* -- The handler -------------------------------------------------------------------- */

static const struct slice PLAIN = SLICE("content-type: text/plain\r\n");

static void echo(struct http_request *r) {
    struct buf b;
    buf_init(&b, 0);
    buf_slice(&b, r->method);
    buf_putc(&b, ' ');
    buf_slice(&b, r->path);
    buf_putc(&b, '?');
    buf_slice(&b, r->query);
    buf_putc(&b, ' ');
    buf_slice(&b, http_request_header(r, SLICE("X-Note")));
    buf_putc(&b, ' ');
    buf_slice(&b, buf_get(&r->body));
    if (buf_failed(&b)) reply_send(r, 503, PLAIN, SLICE("no memory"));
    else reply_send(r, 200, PLAIN, buf_get(&b));
    buf_deinit(&b);
}

static void pour(struct world *w, struct http_request *r) {
    static char block[8000];
    memset(block, 'x', sizeof(block));
    enum flow flow = FLOW_MORE;
    while (w->poured < POUR_TOTAL && flow == FLOW_MORE) {
        flow = reply_body(r, slice_of(block, sizeof(block)));
        w->poured += sizeof(block);
    }
    if (flow == FLOW_FULL) {
        w->full++;
        CHECK(conn_backlog(r->conn) <= w->server.limits.high_water + sizeof(block) + 16);
    }
    if (w->poured >= POUR_TOTAL) reply_end(r);
}

static struct slice long_text(bool noise) {
    static char text[3000];
    unsigned x = 1;
    for (size_t i = 0; i < sizeof(text); i++) {
        x = x * 1103515245 + 12345;
        text[i] = noise ? (char)(x >> 16) : "some words "[i % 11];
    }
    return slice_of(text, sizeof(text));
}

static void long_reply(struct http_request *r) {
    struct slice text = long_text(slice_eq(r->path, SLICE("/noise")));
    reply_head(r, 200, PLAIN, text.len);
    if (slice_eq(r->path, SLICE("/pieces")) || slice_eq(r->path, SLICE("/cut"))) {
        reply_body(r, slice_of(text.ptr, 1));
        reply_body(r, SLICE(""));
        reply_body(r, slice_of(text.ptr + 1, 2000));
        if (slice_eq(r->path, SLICE("/cut"))) {
            reply_abort(r);
            return;
        }
        reply_body(r, slice_of(text.ptr + 2001, text.len - 2001));
    } else if (!slice_eq(r->path, SLICE("/none"))) {
        reply_body(r, text);
    }
    reply_end(r);
}

static void on_request(void *ud, struct http_request *r) {
    struct world *w = ud;
    w->requests++;
    CHECK_STR(r->peer, "127.0.0.1");
    switch (w->behaviour) {
    case SAY_BACK: echo(r); break;
    case HOLD: w->held = r; break;
    case CHUNKS:
        reply_head(r, 200, PLAIN, REPLY_CHUNKED);
        reply_body(r, SLICE("one"));
        reply_body(r, SLICE("")); /* would be the end of all chunks */
        reply_body(r, SLICE("twotwotwotwotwotwo"));
        reply_end(r);
        break;
    case CUT:
        reply_head(r, 200, PLAIN, REPLY_CHUNKED);
        reply_body(r, SLICE("half"));
        reply_abort(r);
        break;
    case STATUS:
        reply_head(r, atoi(r->path.ptr + 1), PLAIN, r->query.len > 0 ? 4 : REPLY_CHUNKED);
        reply_body(r, SLICE("body"));
        reply_end(r);
        break;
    case LONG: long_reply(r); break;
    case POUR:
        reply_head(r, 200, PLAIN, REPLY_CHUNKED);
        pour(w, r);
        break;
    }
}

/* x-lines in a request: its value in every reply to it. */
static void on_head(void *ud, struct http_request *r) {
    (void)ud;
    struct slice v = http_request_header(r, SLICE("x-lines"));
    struct buf b;
    if (v.ptr == NULL) return;
    buf_init(&b, 0);
    buf_printf(&b, "vary: origin\r\nx-lines: %.*s\r\n", SLICE_ARG(v));
    if (!buf_failed(&b)) r->lines = slice_of(arena_dup(&r->arena, buf_get(&b)), buf_len(&b));
    buf_deinit(&b);
}

static void on_gone(void *ud, struct http_request *r) {
    struct world *w = ud;
    w->gone++;
    CHECK(w->behaviour != HOLD || w->held == r);
    w->held = NULL;
}

static void on_drained(void *ud, struct http_request *r) {
    struct world *w = ud;
    w->drained++;
    if (w->behaviour == POUR) {
        CHECK(conn_backlog(r->conn) <= w->server.limits.low_water);
        pour(w, r);
    }
}

static void on_refused(void *ud, int status, const char *why, struct buf *out) {
    (void)ud;
    buf_printf(out, "%d %s", status, why);
}

static void on_log(void *ud, int level, perilune_str line) {
    struct world *w = ud;
    (void)level;
    snprintf(w->logged, sizeof(w->logged), "%.*s", (int)line.len, line.ptr);
}

/* -- The world ------------------------------------------------------------------------ */

/* Returns false when memory ended. */
static bool begin(struct world *w, enum behaviour behaviour) {
    static const struct http_limits limits = { .body = 100, .header_ms = 1000, .body_ms = 2000, .idle_ms = 5000,
                                               .send_ms = 3000, .high_water = 64 * 1024, .low_water = 16 * 1024,
                                               .connections = 3 };
    struct http_handler h = { .ud = w, .head = on_head, .request = on_request, .gone = on_gone, .drained = on_drained,
                              .refused = on_refused };
    char err[256];
    memset(w, 0, sizeof(*w));
    w->behaviour = behaviour;
    w->log = (struct log){ .write = on_log, .ud = w };
    atomic_init(&w->log.level, PERILUNE_LOG_INFO);
    int rc = loop_init(&w->loop);
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    w->loop.is_virtual = true;
    rc = http_server_init(&w->server, &w->loop, &w->log, &h, &limits);
    if (rc == 0) {
        rc = http_server_listen(&w->server, "127.0.0.1:0", true, NULL, &w->port, err, sizeof(err));
        if (rc == 0) return true;
        http_server_close(&w->server);
        http_server_deinit(&w->server);
    }
    CHECK(FAULTED(rc));
    loop_deinit(&w->loop);
    return false;
}

static void end(struct world *w) {
    http_server_close(&w->server);
    CHECK_UINT(w->server.open, 0);
    loop_flush(&w->loop);
    loop_deinit(&w->loop);
    http_server_deinit(&w->server);
}

/* Turns the loop until the sockets have nothing more to say. */
static void turn(struct world *w) {
    for (int quiet = 0; quiet < 3; quiet++) {
        w->loop.active = false;
        uv_run(&w->loop.uv, UV_RUN_NOWAIT);
        if (w->loop.active) quiet = -1;
    }
}

static void stop_clock(struct timer *t) { container_of(t, struct world, until)->stop = true; }

/* Lets time pass. */
static void later(struct world *w, uint64_t ms) {
    turn(w);
    w->stop = false;
    if (timer_start(&w->loop, &w->until, ms, stop_clock) == 0) loop_run_virtual(&w->loop, &w->stop);
    turn(w);
}

/* -- A client --------------------------------------------------------------------------- */

static int dial(struct world *w) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)w->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    int on = 1; /* or a second small piece waits for the first one's acknowledgement */
    CHECK_INT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    turn(w);
    return fd;
}

static void say(struct world *w, int fd, struct slice s) {
    ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
    CHECK(n == (ssize_t)s.len);
    turn(w);
}

#define CLOSED "<closed>"
#define RESET  "<reset>"

/* Without date lines; CLOSED or RESET at the end when the server hung up. */
static struct slice hear(struct world *w, int fd) {
    static char text[1 << 16];
    size_t len = 0;
    ssize_t n;
    turn(w);
    while ((n = recv(fd, text + len, sizeof(text) - 64 - len, 0)) > 0) len += (size_t)n;
    for (char *d; (d = memmem(text, len, "date: ", 6)) != NULL;) {
        char *after = (char *)memchr(d, '\n', len - (size_t)(d - text)) + 1;
        memmove(d, after, len - (size_t)(after - text));
        len -= (size_t)(after - d);
    }
    if (n == 0 || errno == ECONNRESET) len += (size_t)sprintf(text + len, n == 0 ? CLOSED : RESET);
    return slice_of(text, len);
}

/* A whole conversation: everything said, cut at every byte, and what comes back. */
static void talk_cut(enum behaviour how, struct slice said, size_t first, size_t step, const char *expected,
                     unsigned requests) {
    struct world w;
    CHECK(begin(&w, how));
    int fd = dial(&w);
    for (size_t at = 0, n = first; at < said.len; at += n, n = step) {
        if (n > said.len - at) n = said.len - at;
        if (send(fd, said.ptr + at, n, MSG_NOSIGNAL) < 0) break; /* it hung up: fine */
        turn(&w);
    }
    NOTE("the first %zu bytes, then %zu at a time: %.*s", first, step, (int)(said.len > 60 ? 60 : said.len), said.ptr);
    CHECK_SLICE(hear(&w, fd), slice_str(expected));
    CHECK_UINT(w.requests, requests);
    close(fd);
    turn(&w);
    CHECK_UINT(w.server.open, 0);
    end(&w);
}

static void talk(enum behaviour how, const char *said, const char *expected, unsigned requests) {
    struct slice s = slice_str(said);
    talk_cut(how, s, s.len, s.len, expected, requests);
    talk_cut(how, s, 1, 1, expected, requests);
    for (size_t i = 1; i < s.len; i++) talk_cut(how, s, i, s.len, expected, requests);
}

#define OK(length) "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " length "\r\n"

/* -- Requests ------------------------------------------------------------------------------ */

TEST_NOFAULT(one_request) {
    talk(SAY_BACK, "GET /a/b?c=d HTTP/1.1\r\nhost: x\r\nx-note: n\r\n\r\n", OK("15") "\r\nGET /a/b?c=d n ", 1);
}

TEST_NOFAULT(targets) {
    talk(SAY_BACK, "GET http://here/a?b HTTP/1.1\r\nhost: there\r\n\r\n", OK("10") "\r\nGET /a?b  ", 1);
    talk(SAY_BACK, "GET http://here HTTP/1.1\r\nhost: there\r\n\r\n", OK("8") "\r\nGET /?  ", 1);
    talk(SAY_BACK, "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
         "HTTP/1.1 204 No Content\r\nallow: GET, HEAD, POST, OPTIONS\r\n\r\n" OK("8") "\r\nGET /?  ", 1);
}

TEST_NOFAULT(a_body_with_a_length) {
    talk(SAY_BACK, "POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello", OK("15") "\r\nPOST /p?  hello", 1);
}

/* The read buffer becomes the body when that came in one piece, and is copied when something is behind it. */
TEST_FAULT(a_large_body_is_kept_where_it_was_read) {
    static char text[21000];
    for (int behind = 0; behind < 2; behind++) {
        struct world w;
        if (!begin(&w, HOLD)) return;
        w.server.limits.body = 20000;
        const char *scratch = w.loop.scratch;
        int fd = dial(&w), n = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000\r\n\r\n");
        char *body = text + n;
        for (int i = 0; i < 20000; i++) body[i] = (char)('a' + i % 23);
        memcpy(body + 20000, "GET", 3);
        say(&w, fd, slice_of(text, (size_t)n + 20000 + (behind ? 3 : 0)));
        CHECK(w.held != NULL || unit_fault_fired());
        if (w.held != NULL) CHECK_SLICE(buf_get(&w.held->body), slice_of(body, 20000));
        if (!unit_fault_fired()) CHECK_INT(w.loop.scratch == scratch, behind);
        close(fd);
        turn(&w);
        end(&w);
    }
}

TEST_NOFAULT(a_body_in_chunks) {
    talk(SAY_BACK, "PUT /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nt: u\r\n\r\n",
         OK("14") "\r\nPUT /p?  hello", 1);
}

TEST_NOFAULT(requests_in_a_row_are_answered_in_order) {
    talk(SAY_BACK, "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\naGET /2 HTTP/1.1\r\nhost: x\r\n\r\n"
               "\r\nGET /3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\nGET /4 HTTP/1.1\r\n",
         OK("11") "\r\nPOST /1?  a" OK("9") "\r\nGET /2?  " OK("9") "connection: close\r\n\r\nGET /3?  " CLOSED, 3);
}

TEST_NOFAULT(http_1_0) {
    talk(SAY_BACK, "GET / HTTP/1.0\r\n\r\n", OK("8") "connection: close\r\n\r\nGET /?  " CLOSED, 1);
    talk(SAY_BACK, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", OK("8") "connection: keep-alive\r\n\r\nGET /?  ", 1);
}

TEST_NOFAULT(head_has_no_body) {
    talk(SAY_BACK, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", OK("9") "\r\n", 1);
    talk(CHUNKS, "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n", 1);
    /* What follows on the connection is still understood. */
    talk(STATUS, "HEAD /200 HTTP/1.0\r\nconnection: keep-alive\r\n\r\nHEAD /200?l HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: keep-alive\r\n\r\n"
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\nconnection: close\r\n\r\n" CLOSED, 2);
}

/* A body, or the end of its chunks, would be the beginning of the next reply. */
TEST_NOFAULT(what_has_no_body_by_its_status) {
    static const struct { int status; const char *framing; } kinds[] = {
        { 204, "" }, { 205, "content-length: 0\r\n" }, { 304, "" },
    };
    static const char *const versions[] = { "HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" };
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned v = 0; v < 4; v++) {
            char said[200], expected[400];
            int status = kinds[i].status;
            snprintf(said, sizeof(said), "GET /%d%s %sGET /%d HTTP/1.1\r\nhost: x\r\n\r\n", status, v < 2 ? "" : "?l",
                     versions[v & 1], status);
            snprintf(expected, sizeof(expected),
                     "HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\n%s%s\r\nHTTP/1.1 %d %s\r\ncontent-type: text/plain\r\n%s\r\n",
                     status, http_reason(status), kinds[i].framing, v & 1 ? "connection: keep-alive\r\n" : "", status,
                     http_reason(status), kinds[i].framing);
            talk(STATUS, said, expected, 2);
        }
    }
}

TEST_NOFAULT(who_expects_100_gets_it) {
    static const char head[] = "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, slice_str(head));
    CHECK_SLICE(hear(&w, fd), SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    say(&w, fd, SLICE("ab"));
    CHECK_SLICE(hear(&w, fd), SLICE(OK("11") "\r\nPOST /?  ab"));
    /* Not who did not wait for it. */
    struct buf both;
    buf_init(&both, 0);
    buf_printf(&both, "%sab", head);
    say(&w, fd, buf_get(&both));
    CHECK_SLICE(hear(&w, fd), SLICE(OK("11") "\r\nPOST /?  ab"));
    buf_deinit(&both);
    close(fd);
    end(&w);
}

/* -- Replies --------------------------------------------------------------------------------- */

TEST_NOFAULT(a_reply_in_chunks) {
    talk(CHUNKS, "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
         "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n", 1);
    talk(CHUNKS, "GET / HTTP/1.0\r\n\r\n", /* no chunks there: the end is the end */
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nonetwotwotwotwotwotwo" CLOSED, 1);
    talk(CHUNKS, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nonetwotwotwotwotwotwo" CLOSED, 1);
}

TEST_NOFAULT(a_reply_that_breaks_off_has_no_end) {
    talk(CUT, "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n" CLOSED, 1);
}

TEST_NOFAULT(reasons) {
    CHECK_STR(http_reason(200), "OK");
    CHECK_STR(http_reason(429), "Too Many Requests");
    CHECK_STR(http_reason(299), "OK");
    CHECK_STR(http_reason(206), "Partial Content");
    CHECK_STR(http_reason(100), "Continue");
    CHECK_STR(http_reason(511), "Network Authentication Required");
    CHECK_STR(http_reason(99), "OK");
    CHECK_STR(http_reason(509), "Error");
    CHECK_STR(http_reason(1000), "Error");
    CHECK_STR(http_reason(599), "Error");
}

TEST_NOFAULT(lines_of_every_reply_to_a_request) {
    talk(SAY_BACK, "GET / HTTP/1.1\r\nhost: x\r\nx-lines: a\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nvary: origin\r\nx-lines: a\r\ncontent-length: 8\r\n\r\nGET /?  "
         OK("8") "\r\nGET /?  ", 2);
    struct world w;
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\nx-lines: a\r\n\r\n"));
    reply_send(w.held, 200, SLICE("X-Lines: mine\r\nVary: accept\r\n"), SLICE(""));
    CHECK_SLICE(hear(&w, fd), SLICE("HTTP/1.1 200 OK\r\nX-Lines: mine\r\nVary: accept\r\nvary: origin\r\ncontent-length: 0\r\n\r\n"));
    say(&w, fd, SLICE("POST / HTTP/1.1\r\nhost: x\r\nx-lines: b\r\ncontent-length: 101\r\n\r\n"));
    CHECK(memmem(hear(&w, fd).ptr, 200, "vary: origin\r\nx-lines: b\r\n", 26) != NULL);
    close(fd);
    end(&w);
}

/* -- Compressing ---------------------------------------------------------------------------------- */

/* The body of a reply as it came, without chunks. */
static void body_of(struct slice got, struct buf *out) {
    const char *end = memmem(got.ptr, got.len, "\r\n\r\n", 4);
    CHECK(end != NULL);
    struct slice body = slice_of(end + 4, (size_t)(got.ptr + got.len - end - 4));
    if (memmem(got.ptr, (size_t)(end - got.ptr), "transfer-encoding: chunked", 26) == NULL) {
        buf_slice(out, body);
        return;
    }
    struct http_chunked chunks;
    bool done = false;
    http_chunked_init(&chunks);
    while (!done) {
        struct slice piece;
        const char *why;
        long n = http_chunked_eat(&chunks, body, &piece, &done, &why);
        CHECK(n > 0);
        buf_slice(out, piece);
        body = slice_of(body.ptr + n, body.len - (size_t)n);
    }
    CHECK_UINT(body.len, 0);
}

/* Asks twice on one connection; each time the body decodes to text. */
static void packed(struct world *w, const char *path, const char *accept, enum coding coding, struct slice text, bool varies) {
    char said[200], line[64];
    int fd = dial(w);
    NOTE("%s, accepted: %s", path, accept);
    snprintf(said, sizeof(said), "GET %s HTTP/1.1\r\nhost: x\r\naccept-encoding: %s\r\n\r\n", path, accept);
    snprintf(line, sizeof(line), "content-encoding: %s\r\n", coding_name(coding));
    for (int i = 0; i < 2; i++) {
        struct buf body, plain;
        buf_init(&body, 0);
        buf_init(&plain, 0);
        say(w, fd, slice_str(said));
        struct slice got = hear(w, fd);
        CHECK_INT(memmem(got.ptr, got.len, line, strlen(line)) != NULL, coding != CODING_NONE);
        CHECK_INT(memmem(got.ptr, got.len, "vary: accept-encoding\r\n", 23) != NULL, varies);
        body_of(got, &body);
        CHECK_INT(coding_decode(coding, buf_get(&body), 100000, &plain), 0);
        CHECK_SLICE(buf_get(&plain), text);
        char length[64];
        snprintf(length, sizeof(length), "content-length: %zu\r\n", buf_len(&body));
        bool chunked = memmem(got.ptr, got.len, "transfer-encoding", 17) != NULL;
        CHECK_INT(memmem(got.ptr, got.len, length, strlen(length)) != NULL, !chunked);
        if (coding != CODING_NONE) CHECK(buf_len(&body) < text.len);
        buf_deinit(&body);
        buf_deinit(&plain);
    }
    close(fd);
    turn(w);
}

TEST_NOFAULT(replies_that_are_compressed) {
    struct world w;
    CHECK(begin(&w, LONG));
    packed(&w, "/", "gzip, zstd", CODING_NONE, long_text(false), false); /* not unless it is set */
    w.server.limits.compress_min = 3000;
    struct slice text = long_text(false);
    packed(&w, "/", "gzip", CODING_GZIP, text, true);
    packed(&w, "/", "gzip, zstd", CODING_ZSTD, text, true);
    packed(&w, "/", "br", CODING_NONE, text, true);
    packed(&w, "/pieces", "gzip", CODING_GZIP, text, true);
    packed(&w, "/pieces", "zstd", CODING_ZSTD, text, true);
    CHECK_UINT(w.server.stats.compressed, 8);
    CHECK(w.server.stats.compress_saved > 8 * 2000 && w.server.stats.compress_saved < 8 * 3000);
    packed(&w, "/noise", "gzip", CODING_NONE, long_text(true), true);
    w.server.limits.compress_min = 3001;
    packed(&w, "/", "gzip", CODING_NONE, long_text(false), false);
    CHECK_UINT(w.server.stats.compressed, 8);
    end(&w);
}

TEST_NOFAULT(streams_are_compressed_when_it_is_set) {
    static const char said[] = "GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n";
    struct world w;
    struct buf body, plain;
    CHECK(begin(&w, HOLD));
    w.server.limits.compress_min = 1;
    int fd = dial(&w);
    say(&w, fd, slice_str(said));
    reply_head(w.held, 200, PLAIN, REPLY_CHUNKED);
    reply_body(w.held, SLICE("a"));
    reply_end(w.held);
    CHECK_SLICE(hear(&w, fd), SLICE("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
                                    "1\r\na\r\n0\r\n\r\n"));
    w.server.limits.compress_streams = true;
    say(&w, fd, slice_str(said));
    reply_head(w.held, 200, PLAIN, REPLY_CHUNKED);
    CHECK_SLICE(hear(&w, fd), SLICE("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nvary: accept-encoding\r\n"
                                    "content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"));
    struct decoder *d = decoder_new(CODING_GZIP, 1000);
    buf_init(&body, 0);
    buf_init(&plain, 0);
    static const char *const pieces[] = { "one", "two", "three" };
    for (int i = 0; i < 3; i++) { /* each can be read when it has come */
        buf_clear(&plain);
        reply_body(w.held, slice_str(pieces[i]));
        struct slice got = hear(&w, fd), piece;
        struct http_chunked chunks;
        bool done;
        const char *why;
        http_chunked_init(&chunks);
        CHECK(http_chunked_eat(&chunks, got, &piece, &done, &why) > 0);
        CHECK_INT(decoder_feed(d, piece, &plain), 0);
        CHECK_SLICE(buf_get(&plain), slice_str(pieces[i]));
    }
    reply_end(w.held);
    struct slice got = hear(&w, fd);
    CHECK(got.len > 5 && memcmp(got.ptr + got.len - 5, "0\r\n\r\n", 5) == 0);
    decoder_free(d);
    buf_deinit(&body);
    buf_deinit(&plain);
    close(fd);
    end(&w);
}

TEST_NOFAULT(replies_that_stay_as_they_are) {
    static const char *const headers[] = { "content-type: image/png\r\n", "content-type: text/x\r\ncontent-encoding: br\r\n",
                                           "content-type: text/x\r\nETag: \"1\"\r\n", "x: text/plain\r\n",
                                           "content-type: text/x\r\ncache-control: public, no-transform\r\n" };
    struct world w;
    struct slice text = long_text(false);
    CHECK(begin(&w, HOLD));
    w.server.limits.compress_min = 1;
    int fd = dial(&w);
    for (unsigned i = 0; i < 7; i++) {
        say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"));
        reply_send(w.held, i == 6 ? 206 : 200, i < 5 ? slice_str(headers[i]) : PLAIN, i == 5 ? SLICE("") : text);
        struct slice got = hear(&w, fd);
        CHECK(memmem(got.ptr, got.len, "gzip", 4) == NULL);
        CHECK(memmem(got.ptr, got.len, "vary", 4) == NULL);
    }
    close(fd);
    turn(&w);
    w.behaviour = LONG;
    for (int cut = 0; cut < 2; cut++) { /* what ends before it is whole */
        fd = dial(&w);
        struct slice said = cut ? SLICE("GET /cut HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n")
                                : SLICE("GET /none HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n");
        say(&w, fd, said);
        struct slice got = hear(&w, fd);
        CHECK(memmem(got.ptr, got.len, "\r\n0\r\n\r\n", 7) == NULL);
        close(fd);
        turn(&w);
    }
    fd = dial(&w);
    say(&w, fd, SLICE("HEAD / HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"));
    CHECK_SLICE(hear(&w, fd), SLICE("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nvary: accept-encoding\r\n"
                                    "content-length: 3000\r\n\r\n"));
    close(fd);
    end(&w);
}

/* -- What never becomes a request --------------------------------------------------------------- */

static void refused(const char *said, int status) {
    char expected[256];
    struct world w;
    NOTE("%.60s", said);
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, slice_str(said));
    struct slice got = hear(&w, fd);
    int n = snprintf(expected, sizeof(expected), "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: ",
                     status, http_reason(status));
    CHECK_SLICE(slice_of(got.ptr, got.len < (size_t)n ? got.len : (size_t)n), slice_of(expected, (size_t)n));
    CHECK(memmem(got.ptr, got.len, "connection: close\r\n\r\n", 21) != NULL);
    n = snprintf(expected, sizeof(expected), "\r\n\r\n%d ", status);
    CHECK(memmem(got.ptr, got.len, expected, (size_t)n) != NULL);
    CHECK(got.len > sizeof(CLOSED) && memcmp(got.ptr + got.len - sizeof(CLOSED) + 1, CLOSED, sizeof(CLOSED) - 1) == 0);
    CHECK_UINT(w.requests, 0);
    CHECK_UINT(w.server.stats.refused, 1);
    close(fd);
    end(&w);
}

TEST_NOFAULT(refusals) {
    refused("nonsense\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n\r\n", 400); /* no host */
    refused("GET / HTTP/1.1\nhost: x\n\n", 400);
    refused("GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505);
    refused("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 501);
    refused("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n", 413);
    refused("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400);
    refused("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400);
    char big[40000];
    memset(big, 'a', sizeof(big));
    memcpy(big, "GET /", 5);
    big[9000] = '\0';
    refused(big, 414);
    memset(big, 'a', sizeof(big));
    memcpy(big, "GET / HTTP/1.1\r\nhost: x\r\nx: ", 28);
    big[34000] = '\0';
    refused(big, 431);
}

TEST_NOFAULT(a_body_of_exactly_the_limit) {
    char text[512];
    for (int over = 0; over < 2; over++) {
        int n = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n", 100 + over);
        memset(text + n, 'b', (size_t)(100 + over));
        memcpy(text + n + 100 + over, "\r\n0\r\n\r\n", 8);
        if (over) {
            refused(text, 413);
            continue;
        }
        struct world w;
        CHECK(begin(&w, SAY_BACK));
        int fd = dial(&w);
        say(&w, fd, slice_str(text));
        struct slice got = hear(&w, fd);
        CHECK(slice_starts(got, SLICE(OK("109"))));
        close(fd);
        end(&w);
    }
}

/* The rest of what a refused client sends is read and dropped: a reset would destroy
 * the reply before it is read. */
TEST_NOFAULT(who_is_refused_may_go_on_talking_for_a_while) {
    struct world w;
    char junk[1000];
    memset(junk, 'j', sizeof(junk));
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, SLICE("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n"));
    for (int i = 0; i < 20; i++) say(&w, fd, slice_of(junk, sizeof(junk)));
    struct slice got = hear(&w, fd);
    CHECK(slice_starts(got, SLICE("HTTP/1.1 413 ")));
    CHECK(memmem(got.ptr, got.len, CLOSED, 8) != NULL);
    CHECK_UINT(w.server.open, 1);
    for (int i = 0; i < 14; i++) { /* as long as it goes on, up to LINGER_MS */
        later(&w, 1999);
        say(&w, fd, slice_of(junk, sizeof(junk)));
        CHECK_UINT(w.server.open, 1);
    }
    later(&w, 1999);
    CHECK_UINT(w.server.open, 1);
    say(&w, fd, slice_of(junk, sizeof(junk)));
    later(&w, 16);
    CHECK_UINT(w.server.open, 0);
    close(fd);
    end(&w);
}

TEST_NOFAULT(who_is_refused_and_says_no_more_is_left_soon) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, SLICE("nonsense\r\n\r\n"));
    later(&w, 1999);
    CHECK_UINT(w.server.open, 1);
    later(&w, 1); /* LINGER_QUIET_MS */
    CHECK_UINT(w.server.open, 0);
    close(fd);
    end(&w);
}

/* Reading had stopped when the last reply was sent: it goes on, or closing would reset. */
TEST_NOFAULT(what_came_behind_the_last_request_does_not_destroy_its_reply) {
    struct world w;
    char junk[16000];
    memset(junk, 'j', sizeof(junk));
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET /1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    struct http_conn *c = w.held->conn;
    for (int i = 0; i < 20; i++) say(&w, fd, slice_of(junk, sizeof(junk)));
    CHECK(!c->reading);
    reply_send(w.held, 200, PLAIN, SLICE("1"));
    CHECK_SLICE(hear(&w, fd), SLICE(OK("1") "connection: close\r\n\r\n1" CLOSED));
    CHECK(c->reading);
    close(fd);
    turn(&w);
    CHECK_UINT(w.server.open, 0);
    end(&w);
}

TEST_NOFAULT(who_is_refused_cannot_go_on_talking_for_ever) {
    struct world w;
    char junk[16000];
    memset(junk, 'j', sizeof(junk));
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, SLICE("nonsense\r\n\r\n"));
    unsigned sent = 0;
    while (w.server.open == 1 && sent < 8000) {
        if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0) break;
        turn(&w);
        sent++;
    }
    CHECK_UINT(w.server.open, 0);
    CHECK(sent >= 4000 && sent < 4400); /* LINGER_BYTES: 64 MiB */
    close(fd);
    end(&w);
}

/* -- Deadlines --------------------------------------------------------------------------------- */

TEST_NOFAULT(a_slow_head) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HT"));
    later(&w, 990);
    say(&w, fd, SLICE("TP/1.1\r\n")); /* a byte now and then buys no time */
    CHECK_SLICE(hear(&w, fd), SLICE(""));
    later(&w, 10);
    struct slice got = hear(&w, fd);
    CHECK(slice_starts(got, SLICE("HTTP/1.1 408 Request Timeout\r\n")));
    CHECK(memmem(got.ptr, got.len, CLOSED, 8) != NULL);
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_slow_head_of_a_second_request) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    hear(&w, fd);
    later(&w, 1500);
    say(&w, fd, SLICE("G")); /* nearer than the end of the idle time, which runs already */
    later(&w, 999);
    CHECK_SLICE(hear(&w, fd), SLICE(""));
    later(&w, 1);
    CHECK(slice_starts(hear(&w, fd), SLICE("HTTP/1.1 408 ")));
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_client_that_says_nothing) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    later(&w, 999);
    CHECK_UINT(w.server.open, 1);
    later(&w, 1);
    CHECK_SLICE(hear(&w, fd), SLICE(CLOSED));
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_slow_body) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    later(&w, 900);
    say(&w, fd, SLICE("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n"));
    for (int i = 0; i < 19; i++) {
        later(&w, 100);
        say(&w, fd, SLICE("x"));
    }
    CHECK_SLICE(hear(&w, fd), SLICE(""));
    later(&w, 100);
    CHECK(slice_starts(hear(&w, fd), SLICE("HTTP/1.1 408 ")));
    CHECK_UINT(w.requests, 0);
    close(fd);
    end(&w);
}

TEST_NOFAULT(an_idle_connection) {
    struct world w;
    CHECK(begin(&w, SAY_BACK));
    int fd = dial(&w);
    for (int i = 0; i < 3; i++) {
        later(&w, 4990); /* each request starts it anew */
        say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        if (i == 0) CHECK_SLICE(hear(&w, fd), SLICE(CLOSED)); /* the first request has header_ms */
        if (i == 0) close(fd);
        if (i == 0) fd = dial(&w);
        if (i == 0) say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        CHECK_SLICE(hear(&w, fd), SLICE(OK("8") "\r\nGET /?  "));
    }
    later(&w, 4999);
    CHECK_UINT(w.server.open, 1);
    later(&w, 1);
    CHECK_SLICE(hear(&w, fd), SLICE(CLOSED));
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_busy_connection_has_time) {
    struct world w;
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    later(&w, 100000);
    CHECK(w.held != NULL);
    reply_send(w.held, 200, PLAIN, SLICE("late"));
    CHECK_SLICE(hear(&w, fd), SLICE(OK("4") "\r\nlate"));
    close(fd);
    end(&w);
}

/* -- Slow readers ---------------------------------------------------------------------------------- */

static size_t drink(struct world *w, int fd) {
    static char text[1 << 16];
    size_t all = 0;
    for (ssize_t n; (n = recv(fd, text, sizeof(text), 0)) > 0;) all += (size_t)n;
    turn(w);
    return all;
}

TEST_NOFAULT(a_slow_reader_stops_the_source) {
    struct world w;
    CHECK(begin(&w, POUR));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    CHECK(w.poured < POUR_TOTAL); /* the kernel's buffers and the high-water mark are full */
    size_t before = w.poured, got = 0;
    turn(&w);
    CHECK_UINT(w.poured, before);
    for (;;) {
        size_t n = drink(&w, fd);
        got += n;
        if (n == 0 && w.poured >= POUR_TOTAL) break;
    }
    CHECK(got > POUR_TOTAL);
    CHECK(w.drained > 0);
    CHECK(w.drained >= w.full - 1);
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_reader_that_takes_nothing_is_given_up) {
    struct world w;
    CHECK(begin(&w, POUR));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    later(&w, 2999);
    CHECK_UINT(w.gone, 0);
    later(&w, 3001); /* the kernel's last acknowledgement may have come after the first look */
    CHECK_UINT(w.gone, 1);
    CHECK_UINT(w.server.open, 0);
    close(fd);
    end(&w);
}

TEST_NOFAULT(a_reader_that_takes_a_little_is_not) {
    struct world w;
    char text[1 << 20];
    CHECK(begin(&w, POUR));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    for (int i = 0; i < 3; i++) { /* the kernel tells of room when a third is free */
        size_t got = 0;
        for (ssize_t n; got < 4 * sizeof(text) && (n = recv(fd, text, sizeof(text), 0)) > 0; turn(&w)) got += (size_t)n;
        later(&w, 2000);
        CHECK_UINT(w.gone, 0);
    }
    close(fd);
    turn(&w);
    CHECK_UINT(w.gone, 1);
    end(&w);
}

/* The kernel asks for more only when a third of its buffer is free: long after the deadline. */
TEST_NOFAULT(a_reader_that_is_slow_and_steady_is_not) {
    struct world w;
    static char text[100000];
    CHECK(begin(&w, POUR));
    int fd = dial(&w), small = 64 * 1024; /* a large one tells of room after 1/16 of it was read */
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    size_t before = w.poured;
    for (int i = 0; i < 4; i++) {
        for (size_t got = 0; got < sizeof(text);) {
            ssize_t n = recv(fd, text, sizeof(text) - got, 0);
            CHECK(n > 0);
            got += (size_t)n;
        }
        later(&w, 2500);
        CHECK_UINT(w.gone, 0);
    }
    CHECK_UINT(w.poured, before); /* else it was not slow */
    close(fd);
    turn(&w);
    CHECK_UINT(w.gone, 1);
    end(&w);
}

/* What was written slowly does not shorten the time between requests. */
TEST_NOFAULT(idle_begins_when_all_was_taken) {
    struct world w;
    CHECK(begin(&w, POUR));
    w.server.limits.idle_ms = 50000;
    w.server.limits.high_water = 2 * POUR_TOTAL; /* the reply is over before much of it was taken */
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    CHECK(w.poured >= POUR_TOTAL);
    while (drink(&w, fd) > 0) {}
    later(&w, 49000);
    CHECK_UINT(w.server.open, 1);
    later(&w, 1001);
    CHECK_UINT(w.server.open, 0);
    close(fd);
    end(&w);
}

/* -- Clients that leave ----------------------------------------------------------------------------- */

static void leave(const char *said, bool reset, unsigned gone) {
    struct world w;
    NOTE("%s, %s", said, reset ? "reset" : "closed");
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, slice_str(said));
    struct linger hard = { .l_onoff = 1 };
    if (reset) CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(fd);
    turn(&w);
    CHECK_UINT(w.gone, gone);
    CHECK_UINT(w.server.open, 0);
    end(&w);
}

TEST_NOFAULT(clients_that_leave) {
    for (int reset = 0; reset < 2; reset++) {
        leave("", reset, 0);
        leave("GET / HT", reset, 0);
        leave("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhal", reset, 0);
        leave("GET / HTTP/1.1\r\nhost: x\r\n\r\n", reset, 1);
        leave("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", reset, 1);
        leave("nonsense\r\n\r\n", reset, 0);
    }
}

TEST_NOFAULT(a_client_that_leaves_in_the_middle_of_a_reply) {
    struct world w;
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    reply_head(w.held, 200, PLAIN, REPLY_CHUNKED);
    reply_body(w.held, SLICE("one"));
    turn(&w);
    CHECK_UINT(w.drained, 0); /* nobody was told to stop */
    close(fd);
    turn(&w);
    CHECK_UINT(w.gone, 1);
    end(&w);
}

TEST_NOFAULT(what_is_sent_while_busy_waits_and_has_a_limit) {
    struct world w;
    char junk[16000];
    CHECK(begin(&w, HOLD));
    int fd = dial(&w);
    say(&w, fd, SLICE("GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n"));
    CHECK_UINT(w.requests, 1);
    reply_send(w.held, 200, PLAIN, SLICE("1"));
    turn(&w);
    CHECK_UINT(w.requests, 2);
    CHECK_SLICE(w.held->path, SLICE("/2"));
    struct http_conn *c = w.held->conn;
    memset(junk, 'j', sizeof(junk));
    for (int i = 0; i < 400; i++) {
        if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0) break; /* the kernel is full, too */
        turn(&w);
    }
    CHECK(buf_len(&c->in) >= 64 * 1024 && buf_len(&c->in) <= 64 * 1024 + LOOP_SCRATCH);
    CHECK(!c->reading);
    reply_send(w.held, 200, PLAIN, SLICE("2"));
    struct slice got = hear(&w, fd);
    CHECK(slice_starts(got, SLICE(OK("1") "\r\n1" OK("1") "\r\n2")));
    close(fd);
    end(&w);
}

/* -- The server ---------------------------------------------------------------------------------------- */

TEST_NOFAULT(at_the_limit_the_longest_idle_makes_room) {
    struct world w;
    int fd[5];
    CHECK(begin(&w, SAY_BACK));
    for (int i = 0; i < 3; i++) {
        fd[i] = dial(&w);
        say(&w, fd[i], SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
        hear(&w, fd[i]);
        later(&w, 1);
    }
    later(&w, 100);
    say(&w, fd[0], SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n")); /* now the youngest */
    CHECK_SLICE(hear(&w, fd[0]), SLICE(OK("8") "\r\nGET /?  "));
    w.behaviour = HOLD;
    say(&w, fd[2], SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n")); /* and this one is busy */
    fd[3] = dial(&w);
    CHECK_SLICE(hear(&w, fd[1]), SLICE(CLOSED));
    CHECK_SLICE(hear(&w, fd[0]), SLICE(""));
    fd[4] = dial(&w); /* all others are busy or were busy just now: it waits */
    CHECK_UINT(w.server.stats.accepted, 4);
    later(&w, 100);
    CHECK_UINT(w.server.stats.accepted, 5);
    CHECK_SLICE(hear(&w, fd[0]), SLICE(CLOSED));
    CHECK_SLICE(hear(&w, fd[2]), SLICE(""));
    CHECK_UINT(w.gone, 0);
    for (int i = 0; i < 5; i++) close(fd[i]);
    end(&w);
}

TEST_NOFAULT(above_the_limit_of_connections_clients_wait) {
    struct world w;
    int fd[5];
    CHECK(begin(&w, SAY_BACK));
    for (int i = 0; i < 5; i++) {
        fd[i] = dial(&w);
        say(&w, fd[i], SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    }
    CHECK_UINT(w.server.open, 3);
    CHECK(strstr(w.logged, "at the limit of 3 connections") != NULL);
    CHECK_SLICE(hear(&w, fd[4]), SLICE(""));
    close(fd[0]);
    close(fd[1]);
    later(&w, 50);
    CHECK_UINT(w.server.open, 3);
    CHECK_SLICE(hear(&w, fd[3]), SLICE(OK("8") "\r\nGET /?  "));
    CHECK_SLICE(hear(&w, fd[4]), SLICE(OK("8") "\r\nGET /?  "));
    for (int i = 2; i < 5; i++) close(fd[i]);
    end(&w);
}

TEST_NOFAULT(all_servers_of_a_process_share_a_limit) {
    struct world w;
    atomic_uint total;
    atomic_init(&total, 5);
    CHECK(begin(&w, SAY_BACK));
    w.server.total = &total;
    w.server.limits.process = 6;
    int one = dial(&w), two = dial(&w);
    CHECK_UINT(w.server.open, 1);
    CHECK_UINT(atomic_load(&total), 6);
    atomic_fetch_sub(&total, 1); /* elsewhere one closed */
    later(&w, 50);
    CHECK_UINT(w.server.open, 2);
    close(one);
    close(two);
    turn(&w);
    CHECK_UINT(atomic_load(&total), 4);
    end(&w);
}

TEST_NOFAULT(without_descriptors_it_stops_accepting_and_recovers) {
    struct world w;
    struct rlimit lim;
    CHECK(begin(&w, SAY_BACK));
    int first = dial(&w);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)w.port) };
    int second = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(connect(second, (struct sockaddr *)&a, sizeof(a)), 0); /* in the kernel's queue */
    CHECK_INT(fcntl(second, F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &lim), 0);
    struct rlimit none = { .rlim_cur = 3, .rlim_max = lim.rlim_max };
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    say(&w, second, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    CHECK_UINT(w.server.open, 1);
    say(&w, first, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    CHECK_SLICE(hear(&w, first), SLICE(OK("8") "\r\nGET /?  ")); /* what runs goes on */
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &lim), 0);
    for (int i = 0; i < 30; i++) later(&w, 100);
    CHECK_SLICE(hear(&w, second), SLICE(OK("8") "\r\nGET /?  "));
    CHECK(strstr(w.logged, "cannot accept a connection") != NULL);
    close(first);
    close(second);
    end(&w);
}

TEST_NOFAULT(draining) {
    struct world w;
    CHECK(begin(&w, HOLD));
    int idle = dial(&w), busy = dial(&w), half = dial(&w);
    say(&w, busy, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    say(&w, half, SLICE("GET / HT"));
    struct http_request *first = w.held;
    http_server_drain(&w.server);
    turn(&w);
    CHECK_SLICE(hear(&w, idle), SLICE(CLOSED));
    CHECK_UINT(w.server.open, 2);
    reply_send(first, 200, PLAIN, SLICE("1"));
    CHECK_SLICE(hear(&w, busy), SLICE(OK("1") "connection: close\r\n\r\n1" CLOSED));
    say(&w, half, SLICE("TP/1.1\r\nhost: x\r\n\r\n")); /* was there before: served, then closed */
    reply_send(w.held, 200, PLAIN, SLICE("2"));
    CHECK_SLICE(hear(&w, half), SLICE(OK("1") "connection: close\r\n\r\n2" CLOSED));
    close(idle);
    close(busy);
    close(half);
    turn(&w);
    CHECK_UINT(w.server.open, 0);
    end(&w);
}

TEST_NOFAULT(closing_tells_who_is_busy) {
    struct world w;
    CHECK(begin(&w, HOLD));
    int fd = dial(&w), other = dial(&w);
    say(&w, fd, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    http_server_close(&w.server);
    CHECK_UINT(w.gone, 1);
    turn(&w);
    CHECK_SLICE(hear(&w, fd), SLICE(CLOSED));
    CHECK_SLICE(hear(&w, other), SLICE(CLOSED));
    close(fd);
    close(other);
    end(&w);
}

TEST_NOFAULT(addresses) {
    static const char *const bad[] = { "", "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                                       "127.0.0.1:-1", "127.0.0.1:80x", "no.such.host.invalid:80", "256.1.1.1:80",
                                       "203.0.113.7:80", "[::1:80" };
    enum { FIRST_WITH_A_PORT = 8 };
    struct world w;
    char err[256], address[32];
    int port = 0;
    CHECK(begin(&w, SAY_BACK));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        NOTE("%s", bad[i]);
        err[0] = '\0';
        CHECK_INT(http_server_listen(&w.server, bad[i], true, NULL, &port, err, sizeof(err)),
                  i < FIRST_WITH_A_PORT ? PERILUNE_ERR_INVAL : PERILUNE_ERR_IO);
        CHECK(strstr(err, bad[i]) != NULL && strlen(err) > strlen(bad[i]) + 10);
    }
    snprintf(address, sizeof(address), "127.0.0.1:%d", w.port);
    CHECK_INT(http_server_port(&w.server, address), w.port);
    CHECK_INT(http_server_port(&w.server, "127.0.0.1:0"), 0);
    CHECK_INT(http_server_listen(&w.server, "*:0", true, NULL, &port, err, sizeof(err)), 0);
    CHECK(port > 0 && port != w.port);
    const char *keep = address;
    http_server_keep(&w.server, &keep, 1);
    turn(&w);
    snprintf(address, sizeof(address), "*:%d", port);
    CHECK_INT(http_server_port(&w.server, address), 0);
    end(&w);
}

/* -- Memory that ends ------------------------------------------------------------------------------------ */

/* Says everything in pieces of 30 bytes; what comes back is a beginning of the right
 * answer, then a closed connection or an honest 503.  Never anything wrong. */
static void starved(enum behaviour how, struct slice said, const char *expected) {
    struct world w;
    if (!begin(&w, how)) return;
    int fd = dial(&w);
    for (size_t at = 0; at < said.len; at += 30) {
        if (send(fd, said.ptr + at, said.len - at < 30 ? said.len - at : 30, MSG_NOSIGNAL) < 0) break;
        turn(&w);
    }
    later(&w, 1100); /* a connection that could not be accepted is tried again */
    struct slice got = hear(&w, fd);
    if (!slice_eq(got, slice_str(expected))) {
        CHECK(unit_fault_fired());
        size_t same = 0;
        while (same < got.len && got.ptr[same] == expected[same]) same++;
        struct slice rest = slice_of(got.ptr + same, got.len - same);
        CHECK(rest.len == 0 || slice_eq(rest, SLICE(CLOSED)) || slice_eq(rest, SLICE(RESET)) ||
              memmem(got.ptr, got.len, "503 out of memory", 17) != NULL ||
              memmem(got.ptr, got.len, "no memory", 9) != NULL ||
              slice_starts(got, SLICE("HTTP/1.1 400 "))); /* without the words */
    }
    close(fd);
    end(&w);
}

TEST_FAULT(memory_ends_anywhere) {
    starved(SAY_BACK, SLICE("POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
                            "PUT /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            OK("15") "\r\nPOST /p?  hello" OK("14") "\r\nPUT /p?  hello");
}

TEST_FAULT(memory_ends_in_a_reply) {
    starved(CHUNKS, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
            "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n");
}

TEST_FAULT(memory_ends_in_a_refusal) {
    starved(SAY_BACK, SLICE("nonsense\r\n\r\n"),
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 33\r\nconnection: close\r\n\r\n"
            "400 request line without a target" CLOSED);
}

/* What a slow reader has not taken needs memory of its own. */
TEST_FAULT(memory_ends_with_a_slow_reader) {
    struct world w;
    if (!begin(&w, POUR)) return;
    int fd = dial(&w);
    send(fd, "GET / HTTP/1.1\r\nhost: x\r\n\r\n", 27, MSG_NOSIGNAL);
    turn(&w);
    for (int i = 0; i < 2000 && w.poured < POUR_TOTAL && w.gone == 0; i++) drink(&w, fd);
    CHECK((w.requests == 1 && w.poured >= POUR_TOTAL) || unit_fault_fired());
    CHECK(w.requests == 0 || w.gone == 1 || w.poured >= POUR_TOTAL);
    close(fd);
    end(&w);
}
