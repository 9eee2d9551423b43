/* test_ws_exchange.c -- requests on a WebSocket, with memory that runs out.
 *
 * The gateway and its client share this thread.  Whatever allocation fails, all that comes is whole messages of JSON,
 * each request has one last message or the socket ends, and when memory is there again the next client is served. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "http/ws.h"
#include "include/perilune.h"
#include "unit.h"

static const char CONFIG[] =
    "local perilune = require 'perilune'\n"
    "return { listen = '127.0.0.1:0', upstreams = { up = { url = 'http://127.0.0.1:9/v1' },\n"
    "  raw = { url = 'http://127.0.0.1:%d/v1' } }, routes = { { path = '/v1/ticks', upstream = 'raw' },\n"
    "  { path = '/v1/chat/completions', policies = { function(req, next)\n"
    "    local res = perilune.respond{ text = 'hello', stream = req.stream }\n"
    "    res.headers['x-long'] = ('y'):rep(300)\n"
    "    return res\n"
    "  end } } } }\n";

static const char HANDSHAKE[] = "GET /v1/ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                                "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "sec-websocket-protocol: perilune.v1, perilune.key.c2stMQ\r\n\r\n";
#define CHAT "\"path\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
static const char *const MESSAGES[] = { "{\"id\":1," CHAT ",\"stream\":true}}", "{\"id\":\"two\"," CHAT "}}",
                                        "{\"id\":3,\"path\":\"/v1/none\"}",
                                        "{\"id\":4,\"method\":\"GET\",\"path\":\"/v1/models\"}",
                                        "{\"id\":5,\"method\":\"GET\",\"path\":\"/v1/ticks\"}", "nonsense" };
#define MESSAGE_COUNT (sizeof(MESSAGES) / sizeof(*MESSAGES))

/* An upstream whose streams no dialect reads, on a thread that has no memory of ours. */
static const char TICKS[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                            "event: tick\ndata: {\"n\":1}\n\ndata: two\n\n";
struct upstream {
    int       fd, port;
    pthread_t thread;
};

static void *tick(void *ud) {
    const struct upstream *u = ud;
    char question[4096];
    for (int fd; (fd = accept(u->fd, NULL, NULL)) >= 0; close(fd)) {
        if (recv(fd, question, sizeof(question), 0) > 0) send(fd, TICKS, sizeof(TICKS) - 1, MSG_NOSIGNAL);
    }
    return NULL;
}

static void upstream_open(struct upstream *u) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    u->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(u->fd >= 0);
    CHECK_INT(bind(u->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(listen(u->fd, 16), 0);
    CHECK_INT(getsockname(u->fd, (struct sockaddr *)&a, &len), 0);
    u->port = ntohs(a.sin_port);
    CHECK_INT(pthread_create(&u->thread, NULL, tick, u), 0);
}

static void upstream_close(struct upstream *u) {
    shutdown(u->fd, SHUT_RDWR);
    pthread_join(u->thread, NULL);
    close(u->fd);
}

static perilune *start(char *path, int port) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[512] = "";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(dprintf(fd, CONFIG, port) > 0);
    close(fd);
    o.config = path;
    if (perilune_open(&g, &o, err, sizeof(err)) != 0) FAIL("%s", err);
    CHECK_INT(perilune_listen(g, NULL), 0);
    unlink(path);
    return g;
}

static int dial(perilune *g) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* A frame with the key 0, which leaves its payload as it is. */
static size_t put(char *to, unsigned first, const char *payload, size_t len) {
    size_t at = 0;
    to[at++] = (char)first;
    to[at++] = (char)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        to[at++] = (char)(len >> 8);
        to[at++] = (char)len;
    }
    memset(to + at, 0, 4);
    memcpy(to + at + 4, payload, len);
    return at + 4 + len;
}

struct heard {
    unsigned last[MESSAGE_COUNT]; /* of 1, "two", 3, 4, 5, and null: how many last messages */
    unsigned messages;
    bool     closed, broken;
};

static void hear(struct slice message, struct heard *h) {
    static const char *const ids[] = { "{\"id\":1,", "{\"id\":\"two\",", "{\"id\":3,", "{\"id\":4,", "{\"id\":5,",
                                       "{\"id\":null," };
    struct json_doc doc = { .nodes = NULL };
    struct json_error why;
    if (json_parse(&doc, message, &why) != 0) FAIL("%s: %.*s", why.message, SLICE_ARG(message));
    uint32_t event = json_get(&doc, 0, SLICE("event"));
    bool last = event != JSON_NONE && !json_str_eq(&doc, event, SLICE("head"));
    json_deinit(&doc);
    h->messages++;
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        if (!slice_starts(message, slice_str(ids[i]))) continue;
        CHECK_UINT(h->last[i], 0); /* nothing behind the last of a request */
        h->last[i] += last;
        return;
    }
    FAIL("whose is this: %.*s", SLICE_ARG(message));
}

static bool holds(struct slice s, const char *text) { return memmem(s.ptr, s.len, text, strlen(text)) != NULL; }

/* Whether each request has had its last message, or the socket's end is among what came: without a reading of JSON, for
 * which there may be no memory just now. */
static bool is_all(struct slice s) {
    const char *at = memmem(s.ptr, s.len, "\r\n\r\n", 4), *end = s.ptr + s.len;
    size_t lasts = 0;
    bool closed = false;
    struct ws_reader r;
    ws_reader_init(&r, false, 0);
    for (at = at ? at + 4 : end; at < end && !closed;) {
        struct ws_event ev;
        long n = ws_read(&r, slice_of(at, (size_t)(end - at)), &ev);
        if (n <= 0) break;
        at += n;
        lasts += ev.opcode == WS_TEXT && holds(ev.payload, "\"event\":") && !holds(ev.payload, "\"event\":\"head\"");
        closed = ev.opcode == WS_CLOSE;
    }
    ws_reader_deinit(&r);
    return closed || lasts == MESSAGE_COUNT;
}

/* Polls for which nothing may come, a millisecond each, before what is missing is taken for lost.  Where nothing fails
 * nothing is lost, and all is waited for.  Before the first byte they are many more, too: a server that had no memory
 * for a connection accepts none for a second, and what it then reads at once, requests and a goodbye, it need not
 * answer. */
#define PATIENCE       50
#define FIRST_PATIENCE 5000

/* Says all of it, hears what there is to hear, takes its leave and reads to the end. */
static size_t talk(perilune *g, long n, bool forever, char *answer, size_t size, bool *reached) {
    char text[2048];
    int fd = dial(g);
    size_t len = sizeof(HANDSHAKE) - 1, got = 0;
    memcpy(text, HANDSHAKE, len);
    for (size_t i = 0; i < MESSAGE_COUNT; i++) len += put(text + len, 0x81, MESSAGES[i], strlen(MESSAGES[i]));
    CHECK_INT(send(fd, text, len, MSG_NOSIGNAL), len);
    mem_fail_at(n, forever);
    *reached = false;
    bool said = false, failing = true;
    for (int quiet = 0;; quiet++) {
        if (failing) *reached |= mem_fail_count() >= n;
        ssize_t k = recv(fd, answer + got, size - 1 - got, MSG_DONTWAIT);
        if (k == 0 || (k < 0 && errno != EAGAIN)) break;
        if (k > 0) {
            got += (size_t)k;
            quiet = 0;
        }
        bool all = k > 0 && is_all(slice_of(answer, got));
        if (failing && (all || quiet >= PATIENCE / 2)) {
            failing = false;
            mem_fail_at(0, false); /* memory is back, and what waited for it may come */
        }
        if (!said && (quiet >= (got > 0 && n > 0 && *reached ? PATIENCE : FIRST_PATIENCE) || all)) {
            send(fd, text, put(text, 0x88, "\x03\xe8", 2), MSG_NOSIGNAL);
            said = true;
        }
        perilune_poll(g, quiet ? 1 : 0);
    }
    mem_fail_at(0, false);
    close(fd);
    return got;
}

/* Nothing, a refusal by HTTP, or 101 and messages. */
static void check_answer(struct slice s, bool failed, struct heard *h) {
    memset(h, 0, sizeof(*h));
    h->broken = !slice_starts(s, SLICE("HTTP/1.1 101 "));
    if (h->broken) {
        CHECK(failed && (s.len == 0 || slice_starts(s, SLICE("HTTP/1.1 503 "))));
        return;
    }
    CHECK(memmem(s.ptr, s.len, "sec-websocket-protocol: perilune.v1\r\n", 37) != NULL);
    const char *at = memmem(s.ptr, s.len, "\r\n\r\n", 4), *end = s.ptr + s.len;
    CHECK(at != NULL);
    struct ws_reader r;
    ws_reader_init(&r, false, 0);
    for (at += 4; at < end;) {
        struct ws_event ev;
        long n = ws_read(&r, slice_of(at, (size_t)(end - at)), &ev);
        CHECK(n > 0 && !h->closed);
        at += n;
        if (ev.opcode == WS_TEXT) hear(ev.payload, h);
        h->closed = ev.opcode == WS_CLOSE;
    }
    CHECK(failed || !ws_reader_is_inside(&r));
    ws_reader_deinit(&r);
    bool all = true;
    for (size_t i = 0; i < MESSAGE_COUNT; i++) all &= h->last[i] > 0;
    CHECK(h->closed ? all || failed : failed);
}

static void starve(bool forever) {
    static char answer[32768];
    char path[] = "/tmp/perilune-ws-XXXXXX";
    bool reached = true, ignored;
    struct heard h;
    struct upstream up;
    upstream_open(&up);
    perilune *g = start(path, up.port);
    for (long n = 1; reached; n++) {
        NOTE("allocation %ld%s", n, forever ? " and all behind it" : "");
        size_t len = talk(g, n, forever, answer, sizeof(answer), &reached);
        check_answer(slice_of(answer, len), reached, &h);
        /* A socket that says goodbye in order owes nobody an end. */
        if (h.closed && h.last[5]) CHECK(h.last[0] && h.last[1] && h.last[2] && h.last[3]);
        len = talk(g, 0, false, answer, sizeof(answer), &ignored);
        check_answer(slice_of(answer, len), false, &h);
        CHECK(h.closed && h.messages >= 15);
        CHECK(!reached || n < 5000);
        if (!reached) CHECK(n > 20);
    }
    perilune_close(g);
    upstream_close(&up);
}

TEST_NOFAULT(one_allocation_fails) { starve(false); }
TEST_NOFAULT(memory_is_gone) { starve(true); }
