/* test_sigpipe.c -- clients that leave early do not end a host that never heard of SIGPIPE.
 *
 * The gateway is embedded without threads: the host's thread writes.  The client is a thread
 * that asks, sends so much behind the request that the server stops reading and does not see it
 * leave, and leaves; what is written to it from then on raises SIGPIPE. */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/perilune.h"
#include "sys/sigpipe.h"
#include "unit.h"

static char path[] = "/tmp/perilune-test-XXXXXX";

struct client {
    pthread_t thread;
    int       port;
    bool      tls, stream;
};

/* -- The client -------------------------------------------------------------------------- */

static int dial(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void send_all(int fd, SSL *ssl, const char *text, size_t len) {
    CHECK(ssl != NULL ? SSL_write(ssl, text, (int)len) == (int)len
                      : send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void *ask_and_leave(void *arg) {
    static const char junk[100000] = "POST /v1/";
    const struct client *c = arg;
    char body[200], head[200];
    int fd = dial(c->port);
    SSL_CTX *ctx = c->tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    SSL *ssl = c->tls ? SSL_new(ctx) : NULL;
    if (ssl != NULL) CHECK(SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1);
    int n = snprintf(body, sizeof(body), "{\"model\":\"x\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
                     c->stream ? "true" : "false");
    int m = snprintf(head, sizeof(head), "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n", n);
    send_all(fd, ssl, head, (size_t)m);
    send_all(fd, ssl, body, (size_t)n);
    send_all(fd, ssl, junk, sizeof(junk));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

/* -- The host ---------------------------------------------------------------------------- */

static void open_gateway(perilune **out, bool tls) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    char err[512] = "", *here = realpath("tests/support/tls", NULL), lines[1000] = "";
    snprintf(path, sizeof(path), "/tmp/perilune-test-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && here != NULL);
    if (tls) snprintf(lines, sizeof(lines), "tls = { cert = '%s/cert.pem', key = '%s/key.pem' },", here, here);
    CHECK(dprintf(fd, "local perilune = require 'perilune'\n"
                      "return { listen = '127.0.0.1:0', %s routes = { { path = '/v1/chat/completions', policies = {"
                      "  function(req)\n"
                      "    local chunks = {}\n"
                      "    for i = 1, 5 do chunks[i] = ('x'):rep(1000) end\n"
                      "    perilune.sleep(0.02)\n"
                      "    return perilune.respond { chunks = chunks, itl = 0.01 }\n"
                      "  end } } } }", lines) > 0);
    close(fd);
    free(here);
    o.config = path;
    CHECK_INT(perilune_open(out, &o, err, sizeof(err)), 0);
    CHECK_STR(err, "");
    CHECK_INT(perilune_listen(*out, NULL), 0);
}

static void set_blocked(bool blocked) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK_INT(pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL), 0);
}

static bool is_blocked(void) {
    sigset_t now;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    return sigismember(&now, SIGPIPE) == 1;
}

/* All ways in which a host lets the gateway do something. */
enum turn { POLL, LISTEN, RELOAD, TURNS };

static void turn(perilune *g, enum turn how) {
    struct pollfd ready = { .fd = perilune_fd(g), .events = POLLIN };
    int most = perilune_timeout(g);
    if (how == POLL) {
        perilune_poll(g, 10);
        return;
    }
    poll(&ready, 1, most < 0 || most > 10 ? 10 : most);
    if (how == RELOAD) CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
}

static bool stats_say(perilune *g, const char *line) {
    static char stats[1 << 16];
    CHECK(perilune_stats(g, stats, sizeof(stats)) > 0);
    return strstr(stats, line) != NULL;
}

/* Until the client came, and is gone. */
static void serve(perilune *g, enum turn how, int number) {
    char accepted[40];
    snprintf(accepted, sizeof(accepted), "_accepted_total %d\n", number);
    bool came = false, gone = false;
    for (int turns = 0; turns < 3000 && !gone; turns++) {
        turn(g, how);
        came = came || stats_say(g, accepted);
        gone = came && stats_say(g, "\nperilune_connections 0\n");
    }
    CHECK(gone);
}

static void leave_early(bool tls, bool stream) {
    perilune *g;
    signal(SIGPIPE, SIG_DFL);
    open_gateway(&g, tls);
    int number = 0;
    for (int how = POLL; how < TURNS; how++) {
        for (int blocked = 0; blocked < 2; blocked++) {
            NOTE("way %d, blocked %d", how, blocked);
            struct client c = { .port = perilune_port(g), .tls = tls, .stream = stream };
            set_blocked(true); /* in the client's thread */
            CHECK_INT(pthread_create(&c.thread, NULL, ask_and_leave, &c), 0);
            set_blocked(blocked);
            serve(g, (enum turn)how, ++number);
            CHECK_INT(is_blocked(), blocked);
            pthread_join(c.thread, NULL);
        }
    }
    set_blocked(false);
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(of_a_stream) { leave_early(false, true); }
TEST_NOFAULT(of_a_whole_answer) { leave_early(false, false); }
TEST_NOFAULT(of_a_stream_over_tls) { leave_early(true, true); }
TEST_NOFAULT(of_a_whole_answer_over_tls) { leave_early(true, false); }

/* -- What the host itself has pending ------------------------------------------------------- */

static bool is_pending(void) {
    sigset_t set;
    CHECK_INT(sigpending(&set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

static void raise_while_held(void) {
    struct sigpipe outer, inner;
    sigpipe_hold(&outer);
    sigpipe_hold(&inner);
    raise(SIGPIPE);
    sigpipe_release(&inner);
    sigpipe_release(&outer);
}

TEST_NOFAULT(what_the_host_has_pending_stays) {
    signal(SIGPIPE, SIG_DFL);
    raise_while_held();
    CHECK(!is_blocked());
    set_blocked(true);
    raise_while_held();
    CHECK(is_blocked() && !is_pending());
    raise(SIGPIPE);
    raise_while_held();
    CHECK(is_blocked() && is_pending());
}
