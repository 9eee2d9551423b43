/* embed.c -- Perilune inside a C program that has a loop of its own.
 *
 *     make example-embed
 *     build/embed CONFIG [HOST:PORT]       default 127.0.0.1:0, a free port
 *
 * The program below owns its thread and waits in its own poll().  The gateway is one
 * descriptor among others:
 *
 *                    +-- perilune_fd() ------> perilune_poll(g, 0)
 *     poll() --------+-- signals ------------> perilune_drain(g, ...)
 *        ^           +-- (your descriptors)
 *        |
 *        timeout: the earlier of perilune_timeout() and our own timer
 *
 * It serves HTTP, and it asks for itself: ask() sends a request through the same policies, without a socket, and
 * on_event() hears the answer while the loop turns.  Another thread would perilune_post() a function that does so.
 *
 * perilune_poll(g, 0) handles what is ready and returns; it never waits.  With
 * options.threads = 0, as here, no other thread serves requests.  (Simulated
 * upstreams, such as the one in embed.lua, have a thread that plays the server.)
 *
 * Outside of this tree:  cc embed.c -lperilune
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "perilune.h"

#define STATS_EVERY_MS 10000
#define DRAIN_MS       5000

struct program {
    perilune *gateway;
    int       signals;       /* readable: SIGINT or SIGTERM came */
    int       asked;         /* how often */
    long long next_stats_ms; /* our own timer */
};

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One JSON object per event, without a newline.  A program with a log of its own
 * passes it on; `level` is that of syslog.  It runs in a thread that does nothing else. */
static void on_log(void *ud, int level, perilune_str line) {
    (void)ud;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

/* -- Statistics ----------------------------------------------------------------- */

/* perilune_stats() is like snprintf: the first call says how long the text is.
 * Counters may grow between the two calls, hence the room to spare. */
static char *read_stats(perilune *g) {
    int len = perilune_stats(g, NULL, 0);
    size_t size = len < 0 ? 0 : (size_t)len + 1024;
    char *text = size > 0 ? malloc(size) : NULL;
    if (text != NULL) perilune_stats(g, text, size);
    return text;
}

/* The text is what GET /metrics answers: lines of "name{labels} value".  Of those we
 * show the plain counters that have moved. */
static void print_stats(perilune *g) {
    char *text = read_stats(g), *rest = NULL;
    if (text == NULL) return;
    printf("-- statistics\n");
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strrchr(line, ' ');
        if (line[0] == '#' || space == NULL || strstr(line, "_bucket{") != NULL) continue;
        if (strtod(space + 1, NULL) != 0) printf("   %s\n", line);
    }
    fflush(stdout);
    free(text);
}

/* -- A question of our own ------------------------------------------------------------ */

/* Events are borrowed until this returns.  Here anything may be called, but what turns the loop. */
static void on_event(perilune_request *r, const perilune_event *ev, void *ud) {
    (void)ud;
    switch (ev->type) {
    case PERILUNE_EV_TEXT: printf("%.*s", (int)ev->text.len, ev->text.ptr); break;
    case PERILUNE_EV_USAGE: printf("\n-- %d tokens", (int)ev->tokens_out); break;
    case PERILUNE_EV_END: printf(", said to the program itself\n"); break;
    case PERILUNE_EV_ERROR:
        printf("embed: %s: %.*s\n", perilune_errname(ev->error), (int)ev->text.len, ev->text.ptr);
        break;
    default: break; /* there will be more kinds */
    }
    fflush(stdout);
    if (ev->type == PERILUNE_EV_END || ev->type == PERILUNE_EV_ERROR) perilune_request_free(r);
}

static int ask(struct program *p, const char *json) {
    perilune_request *r = NULL;
    int rc = perilune_request_new(p->gateway, "/v1/chat/completions", json, strlen(json), &r);
    if (rc == 0) rc = perilune_request_set(r, "tenant", "embed");
    if (rc == 0) rc = perilune_request_start(r, on_event, p);
    if (rc == 0) return 0;
    fprintf(stderr, "embed: %s\n", r != NULL ? perilune_request_errmsg(r) : perilune_errmsg(p->gateway));
    perilune_request_free(r);
    return rc;
}

/* -- The loop ----------------------------------------------------------------------- */

/* How long poll() may sleep: until our timer, or until the gateway has something to do
 * by the clock.  Its timers make no descriptor readable, so this must be asked anew
 * before every wait. */
static int wait_ms(const struct program *p) {
    long long left = p->next_stats_ms - now_ms();
    int ours = left < 0 ? 0 : (int)left;
    int theirs = perilune_timeout(p->gateway);
    return theirs >= 0 && theirs < ours ? theirs : ours;
}

/* The first signal lets requests in flight finish, the second does not. */
static int take_signal(struct program *p) {
    struct signalfd_siginfo info;
    while (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) p->asked++;
    if (p->asked == 1) perilune_drain(p->gateway, DRAIN_MS);
    return p->asked > 1;
}

/* Returns 0 when it is over: drained after one signal, or at once after two. */
static int loop(struct program *p) {
    struct pollfd fds[2] = {
        { .fd = perilune_fd(p->gateway), .events = POLLIN },
        { .fd = p->signals, .events = POLLIN },
    };
    for (;;) {
        if (poll(fds, 2, wait_ms(p)) < 0 && errno != EINTR) {
            perror("poll");
            return -1;
        }
        if (fds[1].revents != 0 && take_signal(p)) return 0;

        /* In every turn: when the descriptor is not readable, a timer may be due. */
        int rc = perilune_poll(p->gateway, 0);
        if (rc > 0) return 0; /* drained */
        if (rc < 0) {
            fprintf(stderr, "embed: %s: %s\n", perilune_errname(rc), perilune_errmsg(p->gateway));
            return -1;
        }
        if (now_ms() >= p->next_stats_ms) {
            print_stats(p->gateway);
            p->next_stats_ms = now_ms() + STATS_EVERY_MS;
        }
    }
}

/* -- Start and end --------------------------------------------------------------------- */

/* Signals arrive on a descriptor, like everything else.  Blocked before the gateway is
 * opened, so that threads it may start inherit that. */
static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    signal(SIGPIPE, SIG_IGN); /* a client that left is no reason to end */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_gateway(struct program *p, const char *config, const char *address) {
    char err[500];
    perilune_options options = PERILUNE_OPTIONS_INIT;
    options.config = config;
    options.threads = 0; /* our thread serves */
    options.log = on_log;
    if (perilune_open(&p->gateway, &options, err, sizeof(err)) != 0) {
        fprintf(stderr, "embed: %s\n", err); /* names file, line and key */
        return -1;
    }
    if (perilune_listen(p->gateway, address) != 0) {
        fprintf(stderr, "embed: %s\n", perilune_errmsg(p->gateway));
        return -1;
    }
    return 0;
}

static void greet(const struct program *p, const char *address) {
    int host = (int)(strrchr(address, ':') - address); /* perilune_listen() liked it */
    int port = perilune_port(p->gateway);
    printf("listening on http://%.*s:%d/v1, try:\n\n"
           "    curl -N http://%.*s:%d/v1/chat/completions -H 'content-type: application/json' \\\n"
           "      -d '{\"model\":\"echo\",\"stream\":true,"
           "\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}'\n\n"
           "Statistics every %d seconds; ctrl-C ends.\n",
           host, address, port, host, address, port, STATS_EVERY_MS / 1000);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: embed CONFIG [HOST:PORT]\n");
        return 2;
    }
    const char *address = argc == 3 ? argv[2] : "127.0.0.1:0";
    struct program p = { .signals = open_signals() };
    int rc = -1;
    if (p.signals < 0) {
        perror("signalfd");
    } else if (open_gateway(&p, argv[1], address) == 0) {
        greet(&p, address);
        ask(&p, "{\"model\":\"echo\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}");
        p.next_stats_ms = now_ms() + STATS_EVERY_MS;
        rc = loop(&p);
        print_stats(p.gateway);
    }
    perilune_close(p.gateway); /* NULL is fine */
    if (p.signals >= 0) close(p.signals);
    return rc == 0 ? 0 : 1;
}
