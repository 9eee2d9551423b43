/* embed.c -- Perilune inside a C program that has a loop of its own, on epoll.
 *
 *     make example-embed
 *     build/embed CONFIG [HOST:PORT]       default 127.0.0.1:0, a free port
 *
 *                       +-- perilune_fd() ---> perilune_poll(g, 0), which handles what is ready and never waits
 *     epoll_wait() -----+-- signals ---------> perilune_drain(): what runs may finish; the second one ends at once
 *          ^            +-- a timer of ours -> statistics
 *          |
 *          timeout: perilune_timeout(), because timers of the gateway make no descriptor readable
 *
 * It serves HTTP, and it asks for itself: ask() sends a request through the same policies, without a socket, and
 * on_event() hears the answer while the loop turns.  Another thread would perilune_post() a function that does so.
 * With options.threads = 0, as here, no other thread serves requests.  Outside of this tree:  cc embed.c -lperilune */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "perilune.h"

enum { GATEWAY, SIGNAL, TIMER, SOURCES }; /* what the loop waits for */

static int fail(const char *what, const char *why) { return fprintf(stderr, "embed: %s: %s\n", what, why), -1; }

/* -- A question of our own --------------------------------------------------------------- */

/* Events are borrowed until this returns.  Here anything may be called, but what turns the loop. */
static void on_event(perilune_request *r, const perilune_event *ev, void *ud) {
    (void)ud;
    switch (ev->type) {
    case PERILUNE_EV_TEXT: printf("%.*s", (int)ev->text.len, ev->text.ptr); break;
    case PERILUNE_EV_USAGE: printf("\n-- %d tokens", (int)ev->tokens_out); break;
    case PERILUNE_EV_END: printf(", said to the program itself\n"); break;
    case PERILUNE_EV_ERROR: fail(perilune_errname(ev->error), ev->text.len > 0 ? ev->text.ptr : ""); break;
    default: break; /* there will be more kinds */
    }
    if (ev->type == PERILUNE_EV_END || ev->type == PERILUNE_EV_ERROR) perilune_request_free(r);
}

static void ask(perilune *g, const char *json) {
    perilune_request *r = NULL;
    int rc = perilune_request_new(g, "/v1/chat/completions", json, strlen(json), &r);
    if (rc == 0) rc = perilune_request_set(r, "tenant", "embed");
    if (rc == 0 && (rc = perilune_request_start(r, on_event, NULL)) == 0) return;
    fail("ask", r != NULL ? perilune_request_errmsg(r) : perilune_errmsg(g));
    perilune_request_free(r);
}

/* -- The loop ------------------------------------------------------------------------------- */

/* What GET /metrics answers, of which we show the calls of upstreams. */
static void print_stats(perilune *g) {
    static char text[1 << 18]; /* perilune_stats(g, NULL, 0) says how long it is */
    perilune_stats(g, text, sizeof(text));
    printf("-- statistics\n");
    for (char *at = text; (at = strstr(at, "\nperilune_upstream_calls_total{")) != NULL; at++)
        printf("   %.*s\n", (int)strcspn(at + 1, "\n"), at + 1);
}

static int loop(perilune *g, int ep, const int fds[SOURCES]) {
    struct epoll_event ready[SOURCES];
    char bytes[sizeof(struct signalfd_siginfo)]; /* a timer has fewer */
    for (int signals = 0;;) {
        int n = epoll_wait(ep, ready, SOURCES, perilune_timeout(g)); /* asked anew before every wait */
        if (n < 0 && errno != EINTR) return fail("epoll_wait", strerror(errno));
        for (int i = 0; i < n; i++) {
            unsigned source = ready[i].data.u32;
            if (source == GATEWAY || read(fds[source], bytes, sizeof(bytes)) <= 0) continue;
            print_stats(g);
            if (source == SIGNAL && signals++ > 0) return 0;
            if (source == SIGNAL) perilune_drain(g, 5000);
        }
        /* In every turn: when the descriptor is not readable, a timer may be due. */
        int rc = perilune_poll(g, 0);
        if (rc != 0) return rc > 0 ? 0 /* drained */ : fail(perilune_errname(rc), perilune_errmsg(g));
    }
}

/* Signals arrive on a descriptor, like everything else.  Blocked before the gateway is opened, so that its threads, if it
 * starts some, inherit that. */
static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT), sigaddset(&set, SIGTERM);
    signal(SIGPIPE, SIG_IGN); /* a reader of our output that left */
    return sigprocmask(SIG_BLOCK, &set, NULL) != 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv) {
    static const struct itimerspec often = { { 10, 0 }, { 10, 0 } };
    static const char hello[] = "{\"model\":\"echo\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}";
    const char *address = argc == 3 ? argv[2] : "127.0.0.1:0";
    char err[500];
    perilune *g = NULL;
    perilune_options options = PERILUNE_OPTIONS_INIT;
    if (argc < 2 || argc > 3) return fail("usage", "embed CONFIG [HOST:PORT]"), 2;
    int fds[SOURCES] = { -1, open_signals(), timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) };
    int ep = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdout, NULL, _IONBF, 0); /* pieces of an answer are seen as they come */
    options.config = argv[1];
    if (perilune_open(&g, &options, err, sizeof(err)) != 0) return fail(argv[1], err), 1; /* file, line, key */
    if (perilune_listen(g, address) != 0) return fail(address, perilune_errmsg(g)), perilune_close(g), 1;
    fds[GATEWAY] = perilune_fd(g);
    timerfd_settime(fds[TIMER], 0, &often, NULL);
    for (unsigned i = 0; i < SOURCES; i++)
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){ .events = EPOLLIN, .data.u32 = i });
    int host = (int)(strrchr(address, ':') - address); /* perilune_listen() liked it */
    printf("Try:\n\n    curl -N http://%.*s:%d/v1/chat/completions -H 'content-type: application/json' \\\n      -d '%s'\n\n"
           "Statistics every ten seconds; ctrl-C ends.\n", host, address, perilune_port(g), hello);
    ask(g, hello);
    int rc = loop(g, ep, fds);
    perilune_close(g);
    return rc == 0 ? 0 : 1;
}
