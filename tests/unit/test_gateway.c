/* test_gateway.c -- the public interface, as an embedder uses it. */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "bridge/bundle.h"
#include "gateway/gateway.h"
#include "include/perilune.h"
#include "unit.h"

static char path[] = "/tmp/perilune-test-XXXXXX";

static const char *config(const char *text) {
    snprintf(path, sizeof(path), "/tmp/perilune-test-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static perilune *open_gateway(const char *text, int threads) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[512] = "";
    o.config = config(text);
    o.threads = threads;
    CHECK_INT(perilune_open(&g, &o, err, sizeof(err)), 0);
    return g;
}

static const char GOOD[] = "return { listen = '127.0.0.1:0', upstreams = { up = { url = 'http://127.0.0.1:9/v1' } } }";

TEST_NOFAULT(a_broken_configuration_is_a_sentence) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = (perilune *)&o;
    char err[512] = "";
    o.config = config("return {\n  upstreems = {} }");
    CHECK_INT(perilune_open(&g, &o, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(g == NULL);
    CHECK(strstr(err, ":2: upstreems: unknown key 'upstreems'; did you mean 'upstreams'?") != NULL);
    unlink(path);
}

TEST_NOFAULT(arguments_that_are_missing) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = (perilune *)&o;
    char err[200] = "";
    CHECK_INT(perilune_open(NULL, &o, err, sizeof(err)), PERILUNE_ERR_INVAL);
    CHECK(strstr(err, "needs a place for the gateway") != NULL);
    CHECK_INT(perilune_open(NULL, NULL, NULL, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_open(&g, NULL, err, sizeof(err)), PERILUNE_ERR_INVAL);
    CHECK(g == NULL);
}

TEST_NOFAULT(opens_and_closes_without_serving) {
    perilune_close(open_gateway(GOOD, 0));
    perilune_close(open_gateway(GOOD, 2));
    perilune_close(NULL);
    unlink(path);
}

/* -- Opening that fails halfway ------------------------------------------------------- */

static int open_files(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL) return 0;
    while (readdir(d) != NULL) n++;
    closedir(d);
    return n;
}

static void ignore(void *ud, int level, perilune_str line) {
    (void)ud, (void)level, (void)line;
}

static void open_without_memory(int threads, bool forever) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    o.threads = threads;
    o.log = ignore;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0); /* what is made once per process */
    perilune_close(g);
    long before = mem_live();
    int files = open_files(), rc = PERILUNE_ERR_NOMEM;
    for (long n = 1; rc != 0; n++) {
        NOTE("%d threads, allocation %ld%s", threads, n, forever ? " and all behind it" : "");
        mem_fail_at(n, forever);
        rc = perilune_open(&g, &o, NULL, 0);
        mem_fail_at(0, false);
        CHECK(rc == 0 || (rc == PERILUNE_ERR_NOMEM && g == NULL));
        CHECK(rc != 0 || n > 5);
        perilune_close(g);
        CHECK_INT(mem_live(), before);
        CHECK_INT(open_files(), files);
    }
}

TEST_NOFAULT(any_allocation_of_an_opening_may_fail) {
    for (int threads = 0; threads < 3; threads++) {
        open_without_memory(threads, false);
        open_without_memory(threads, true);
    }
}

static atomic_int bells_left = -1; /* so many mailboxes can be opened; < 0: all */

/* libuv's, for all of this program: mailboxes hang their bells up with it. */
__attribute__((visibility("default"))) int uv_poll_init(uv_loop_t *loop, uv_poll_t *bell, int fd) {
    int (*real)(uv_loop_t *, uv_poll_t *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_poll_init");
    if (atomic_load(&bells_left) == 0) return UV_EMFILE;
    atomic_fetch_sub(&bells_left, 1);
    return real(loop, bell, fd);
}

TEST_NOFAULT(any_mailbox_of_an_opening_may_fail) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    o.log = ignore;
    for (o.threads = 0; o.threads < 3; o.threads++) {
        atomic_store(&bells_left, -1);
        CHECK_INT(perilune_open(&g, &o, NULL, 0), 0); /* what is made once per process */
        perilune_close(g);
        long before = mem_live();
        int files = open_files(), rc = PERILUNE_ERR_IO, n = 0;
        for (; rc != 0; n++) {
            char err[200] = "";
            NOTE("%d threads, %d mailboxes", o.threads, n);
            atomic_store(&bells_left, n);
            rc = perilune_open(&g, &o, err, sizeof(err));
            CHECK(rc == 0 || (rc == PERILUNE_ERR_IO && g == NULL && err[0] != '\0'));
            perilune_close(g);
            CHECK_INT(mem_live(), before);
            CHECK_INT(open_files(), files);
        }
        CHECK(n > 1 + o.threads);
    }
}

/* Where LuaJIT itself crashes (test_bridge.c says more): behind the path, the list of
 * generations, the bundle, the generation and the struct state. */
static long first_of_luajit(void) {
    struct bundle *b;
    char err[256];
    mem_fail_at(0, false);
    CHECK_INT(bundle_open(&b, path, false, err, sizeof(err)), 0);
    long n = mem_fail_count();
    bundle_free(b);
    return n + 5;
}

static void load_without_memory(bool forever) {
    bool reached = true;
    long before = mem_live(), luajit = first_of_luajit();
    for (long n = 1; reached; n += 1 + n / 40) {
        if (n >= luajit && n < luajit + 12) continue;
        perilune_options o = PERILUNE_OPTIONS_INIT;
        perilune *g = NULL;
        CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
        NOTE("allocation %ld%s", n, forever ? " and all behind it" : "");
        mem_fail_at(n, forever);
        int rc = perilune_load(g, path);
        reached = mem_fail_count() >= n;
        mem_fail_at(0, false);
        CHECK(rc == 0 || (reached && perilune_errmsg(g)[0] != '\0'));
        CHECK_INT(perilune_load(g, path), 0); /* nothing is left behind */
        perilune_close(g);
        CHECK_INT(mem_live(), before);
    }
}

TEST_NOFAULT(any_allocation_of_a_loading_may_fail) {
    perilune_close(open_gateway(GOOD, 0));
    load_without_memory(false);
    load_without_memory(true);
    unlink(path);
}

/* No address space has a stack of that size. */
TEST_NOFAULT(a_worker_without_a_thread_is_given_back) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    pthread_attr_t usual, huge;
    o.threads = 2;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    perilune_close(g);
    long before = mem_live();
    int files = open_files();
    CHECK_INT(pthread_getattr_default_np(&usual), 0);
    CHECK_INT(pthread_attr_init(&huge), 0);
    CHECK_INT(pthread_attr_setstacksize(&huge, (size_t)1 << 47), 0);
    CHECK_INT(pthread_setattr_default_np(&huge), 0);
    CHECK_INT(perilune_open(&g, &o, NULL, 0), PERILUNE_ERR_IO);
    CHECK_INT(pthread_setattr_default_np(&usual), 0);
    CHECK(g == NULL);
    CHECK_INT(mem_live(), before);
    CHECK_INT(open_files(), files);
    pthread_attr_destroy(&usual);
    pthread_attr_destroy(&huge);
}

/* -- Serving --------------------------------------------------------------------------- */

TEST_NOFAULT(a_port_is_picked_and_a_host_polls) {
    perilune *g = open_gateway(GOOD, 0);
    CHECK_INT(perilune_port(g), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    CHECK(perilune_port(g) > 0);
    struct pollfd p = { .fd = perilune_fd(g), .events = POLLIN };
    perilune_wake(g);
    CHECK_INT(poll(&p, 1, 5000), 1);
    CHECK_INT(perilune_poll(g, 0), 0);
    perilune_stop(g);
    CHECK_INT(perilune_poll(g, -1), 1);
    perilune_close(g);
    unlink(path);
}

/* The host does something else for a while, and the loop's idea of time stands still. */
static void host_is_away(uint64_t ms) {
    uint64_t until = uv_hrtime() + ms * 1000000;
    while (uv_hrtime() < until) {}
}

TEST_NOFAULT(a_poll_ends_in_time_after_the_host_was_away) {
    perilune *g = open_gateway(GOOD, 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    for (int ms = 1; ms < 8; ms++) {
        CHECK_INT(perilune_poll(g, 0), 0);
        host_is_away(10);
        CHECK_INT(perilune_poll(g, ms), 0); /* for ever, once */
    }
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(a_drain_ends_after_the_host_was_away) {
    for (int threads = 0; threads < 2; threads++) {
        perilune *g = open_gateway(GOOD, threads);
        CHECK_INT(perilune_listen(g, NULL), 0);
        perilune_drain(g, 60000);
        int over = perilune_poll(g, 0);
        host_is_away(10);
        if (!over) over = perilune_poll(g, -1); /* waited for ever, once */
        CHECK_INT(over, 1);
        perilune_close(g);
        unlink(path);
    }
}

TEST_NOFAULT(the_timeout_is_counted_from_now) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    o.config = config(GOOD);
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    while (perilune_timeout(g) == 0) CHECK_INT(perilune_poll(g, 0), 0);
    CHECK_INT(perilune_timeout(g), -1); /* nothing to wait for */
    perilune_close(g);

    o.watch = 1; /* looks at its files twice a second */
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    while (perilune_timeout(g) == 0) CHECK_INT(perilune_poll(g, 0), 0);
    int before = perilune_timeout(g);
    CHECK(before > 0 && before <= 1000);
    host_is_away((uint64_t)before + 1);
    CHECK_INT(perilune_timeout(g), 0);
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(a_refused_reload_changes_nothing) {
    perilune *g = open_gateway(GOOD, 2);
    CHECK_INT(perilune_listen(g, NULL), 0);
    int port = perilune_port(g);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fputs("return { listen = '127.0.0.1:0', ", f);
    fclose(f);
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_CONFIG);
    CHECK(strstr(perilune_errmsg(g), path) != NULL);
    CHECK_INT(perilune_port(g), port);
    f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(GOOD, f);
    fclose(f);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_port(g), port);
    char text[65536];
    CHECK(perilune_stats(g, text, sizeof(text)) > 1000);
    CHECK(strstr(text, "perilune_reload_failures_total 1\n") != NULL);
    CHECK(strstr(text, "perilune_reload_generation 2\n") != NULL);
    CHECK(perilune_stats(g, text, 10) > 1000);
    CHECK_INT(strlen(text), 9);
    perilune_close(g);
    unlink(path);
}

static int dial(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) return fd;
    close(fd);
    return -1;
}

/* -- Any thread ------------------------------------------------------------------ */

struct stranger {
    perilune  *g;
    atomic_int go;      /* 1: read, 2: drain, 3: end */
    bool       torn;
};

/* The last number of a metric's only line. */
static long long number_of(const char *text, const char *name) {
    const char *p = text;
    while ((p = strstr(p, name)) != NULL && p > text && p[-1] != '\n') p++;
    return p ? atoll(p + strlen(name)) : -1;
}

static void *read_and_drain(void *arg) {
    struct stranger *s = arg;
    static char text[65536];
    long long last = 0;
    while (atomic_load(&s->go) < 3) {
        CHECK(perilune_stats(s->g, text, sizeof(text)) > 1000);
        long long now = number_of(text, "perilune_reload_generation ");
        s->torn |= now < last;
        last = now;
        if (atomic_load(&s->go) == 2) perilune_drain(s->g, -1);
    }
    return NULL;
}

static void read_and_drain_beside_reloads(const char *text) {
    perilune *g = open_gateway(text, 2);
    CHECK_INT(perilune_listen(g, NULL), 0);
    struct stranger s = { .g = g, .go = 1 };
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, read_and_drain, &s), 0);
    for (int i = 0; i < 20; i++) CHECK_INT(perilune_reload(g), 0);
    atomic_store(&s.go, 2);
    for (int i = 0; i < 20; i++) CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_run(g), 0); /* drained */
    atomic_store(&s.go, 3);
    pthread_join(t, NULL);
    CHECK(!s.torn);
    perilune_close(g);
    unlink(path);
}

/* Metrics look at whether there is a second tier, and a reload frees the configuration that says so. */
TEST_NOFAULT(counters_and_draining_are_for_any_thread_also_beside_a_reload) {
    read_and_drain_beside_reloads(GOOD);
    read_and_drain_beside_reloads("return { listen = '127.0.0.1:0', upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, "
                                  "cache = { redis = { url = 'redis://127.0.0.1:9' } } }");
}

/* tests/lint/metrics.lua compares the page with the sources. */
TEST_NOFAULT(every_metric_is_in_the_manual) {
    static char text[65536], page[65536];
    FILE *f = fopen("examples/deploy/METRICS.md", "r");
    CHECK(f != NULL);
    page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
    fclose(f);
    perilune *g = open_gateway(GOOD, 1);
    CHECK(perilune_stats(g, text, sizeof(text)) < (int)sizeof(text));
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, "# TYPE ")) != NULL; n++) {
        char cell[128];
        p += 7;
        snprintf(cell, sizeof(cell), "| `%.*s` |", (int)strcspn(p, " "), p);
        NOTE("%s", cell);
        CHECK(strstr(page, cell) != NULL);
    }
    CHECK(n > 40);
    perilune_close(g);
    unlink(path);
}

static bool begun_to_drain(perilune *g) {
    return perilune_poll(g, 0) == 0 && dial(perilune_port(g)) < 0;
}

TEST_NOFAULT(a_drain_can_be_cut_short) {
    perilune *g = open_gateway(GOOD, 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    int fd = dial(perilune_port(g)); /* begins a request and never ends it */
    CHECK(fd >= 0);
    CHECK(send(fd, "GET", 3, MSG_NOSIGNAL) == 3);
    for (int i = 0; i < 20; i++) CHECK_INT(perilune_poll(g, 10), 0);
    perilune_drain(g, 3600 * 1000);
    for (int i = 0; i < 3; i++) CHECK_INT(perilune_poll(g, 50), 0);
    CHECK(begun_to_drain(g));
    perilune_drain(g, 0);
    CHECK_INT(perilune_run(g), 0);
    close(fd);
    perilune_close(g);
    unlink(path);
}

/* No way in opens anything again, while requests finish and afterwards. */
static void nothing_opens(perilune *g) {
    CHECK_INT(perilune_load(g, path), PERILUNE_ERR_STATE);
    CHECK(strstr(perilune_errmsg(g), "draining") != NULL);
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_listen(g, "127.0.0.1:0"), PERILUNE_ERR_STATE);
    CHECK(strstr(perilune_errmsg(g), "draining") != NULL);
    CHECK_INT(perilune_listen(g, NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_port(g), 0);
}

TEST_NOFAULT(what_drains_opens_nothing_any_more) {
    static const char watched[] = "return { listen = '127.0.0.1:0', watch = true }";
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = open_gateway(watched, threads);
        CHECK_INT(perilune_listen(g, NULL), 0);
        int port = perilune_port(g), fd = dial(port); /* begins a request and never ends it */
        CHECK(fd >= 0);
        CHECK(send(fd, "GET", 3, MSG_NOSIGNAL) == 3);
        for (int i = 0; i < 20; i++) CHECK_INT(perilune_poll(g, 10), 0);
        perilune_drain(g, 3600 * 1000);
        CHECK_INT(perilune_poll(g, 50), 0);
        nothing_opens(g);
        CHECK(dial(port) < 0);
        CHECK(!timer_is_running(&g->watch));
        perilune_drain(g, 0);
        CHECK_INT(perilune_run(g), 0);
        nothing_opens(g);
        CHECK(dial(port) < 0);
        close(fd);
        perilune_close(g);
        unlink(path);
    }
}

/* -- What a reload may change ---------------------------------------------------- */

static int bound(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0) return fd;
    close(fd);
    return -1;
}

/* A socket on a port of its own, below those that the kernel gives to clients. */
static int occupy(int *port) {
    static unsigned n;
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 1000; tries++) {
        *port = 10000 + (int)((unsigned)getpid() * 31 + n++ * 7) % 20000;
        fd = bound(*port);
    }
    CHECK(fd >= 0);
    return fd;
}

static int free_port(void) {
    int port;
    close(occupy(&port));
    return port;
}

/* Asks for a page over fd, which is closed; g, when given, has no thread of its own. */
static bool says_200(perilune *g, int fd, const char *page) {
    char text[256];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (fd < 0) return false;
    int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nhost: x\r\n\r\n", page);
    CHECK(send(fd, text, (size_t)n, MSG_NOSIGNAL) == n);
    for (int turns = 0; g != NULL && turns < 200 && poll(&p, 1, 0) == 0; turns++) perilune_poll(g, 10);
    CHECK_INT(poll(&p, 1, 5000), 1);
    n = (int)read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 12 && memcmp(text, "HTTP/1.1 200", 12) == 0;
}

/* The kernel picks a worker: often enough to meet each. */
static bool all_answer(int port) {
    for (int i = 0; i < 24; i++)
        if (!says_200(NULL, dial(port), "/v1/models")) return false;
    return true;
}

static void rewrite(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void rewrite(const char *fmt, ...) {
    FILE *f = fopen(path, "w");
    va_list ap;
    CHECK(f != NULL);
    fputs("return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, ", f);
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    fputs(" }", f);
    fclose(f);
}

static perilune *open_on(int port, int threads) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    o.config = config("");
    o.threads = threads;
    rewrite("listen = '127.0.0.1:%d', workers = 2", port);
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    return g;
}

TEST_NOFAULT(an_address_that_cannot_be_had_changes_nothing) {
    int taken, old = free_port(), new = free_port(), fd = occupy(&taken);
    perilune *g = open_on(old, 2);
    CHECK(all_answer(old));
    rewrite("listen = { '127.0.0.1:%d', '127.0.0.1:%d' }", new, taken);
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO);
    CHECK(strstr(perilune_errmsg(g), "cannot listen on 127.0.0.1:") != NULL);
    CHECK(all_answer(old));
    CHECK_INT(dial(new), -1);
    CHECK_INT(perilune_port(g), old);

    rewrite("listen = '127.0.0.1:%d', admin = '127.0.0.1:%d'", new, taken); /* the last one fails */
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO);
    CHECK(all_answer(old));
    CHECK_INT(dial(new), -1);
    CHECK_INT(perilune_admin_port(g), 0);
    close(fd);
    CHECK_INT(perilune_reload(g), 0); /* now it can be had */
    CHECK(all_answer(new));
    CHECK_INT(dial(old), -1);
    CHECK_INT(perilune_port(g), new);
    CHECK_INT(perilune_admin_port(g), taken);

    rewrite("listen = '127.0.0.1:%d'", new);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_admin_port(g), 0);
    CHECK_INT(dial(taken), -1);
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(an_address_that_stays_loses_nobody) {
    int one = free_port(), two = free_port();
    perilune *g = open_on(one, 0);
    rewrite("listen = { '127.0.0.1:%d', '127.0.0.1:%d' }", one, two);
    CHECK_INT(perilune_reload(g), 0);
    int first = dial(one), second = dial(two); /* not accepted yet */
    CHECK_INT(perilune_reload(g), 0);
    CHECK(says_200(g, first, "/v1/models"));
    CHECK(says_200(g, second, "/v1/models"));
    rewrite("listen = '127.0.0.1:%d'", two);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_port(g), two);
    perilune_close(g);
    unlink(path);
}

/* The kernel would deal connections out to both. */
TEST_NOFAULT(two_do_not_share_an_address_unknowingly) {
    int port = free_port();
    perilune *g = open_on(port, 2), *other = NULL;
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = path;
    CHECK_INT(perilune_open(&other, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(other, NULL), PERILUNE_ERR_IO);
    CHECK(strstr(perilune_errmsg(other), "Address already in use") != NULL);
    rewrite("listen = '0.0.0.0:%d', workers = 2", port); /* its own it may have again */
    CHECK_INT(perilune_reload(g), 0);
    CHECK(all_answer(port));
    CHECK_INT(perilune_load(other, path), 0);
    CHECK_INT(perilune_listen(other, NULL), PERILUNE_ERR_IO);
    rewrite("listen = '0.0.0.0:%d', workers = 2, reuse_port = true", port); /* now they know */
    CHECK_INT(perilune_load(other, path), 0);
    CHECK_INT(perilune_listen(other, NULL), 0);
    perilune_close(g);
    CHECK(says_200(other, dial(port), "/v1/models"));
    perilune_close(other);
    unlink(path);
}

TEST_NOFAULT(a_refused_listen_changes_nothing) {
    int taken, port = free_port(), fd = occupy(&taken);
    char address[32];
    perilune *g = open_on(port, 2);
    snprintf(address, sizeof(address), "127.0.0.1:%d", taken);
    CHECK_INT(perilune_listen(g, address), PERILUNE_ERR_IO);
    CHECK_INT(perilune_listen(g, "nonsense"), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_listen(g, "127.0.0.1:65536"), PERILUNE_ERR_INVAL);
    CHECK(strstr(perilune_errmsg(g), "is not host:port") != NULL);
    CHECK(all_answer(port));
    CHECK_INT(perilune_reload(g), 0);
    CHECK(all_answer(port));
    close(fd);
    CHECK_INT(perilune_listen(g, address), 0);
    CHECK(all_answer(taken));
    CHECK_INT(dial(port), -1);
    CHECK_INT(perilune_port(g), taken);
    perilune_close(g);
    unlink(path);
}

TEST_NOFAULT(a_changed_number_of_workers_needs_a_restart) {
    int port = free_port();
    perilune *g = open_on(port, -1); /* workers = 2 */
    CHECK_STR(perilune_errmsg(g), "");
    rewrite("listen = '127.0.0.1:%d', workers = 3", port);
    for (int i = 0; i < 2; i++) { /* as long as it is so */
        CHECK_INT(perilune_reload(g), 0);
        CHECK_STR(perilune_errmsg(g), "needs a restart to take effect: workers (2 are running, the file says 3)");
    }
    rewrite("listen = '127.0.0.1:%d', workers = 2", port);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_STR(perilune_errmsg(g), "");
    perilune_close(g);

    g = open_on(port, 1); /* the host decides */
    rewrite("listen = '127.0.0.1:%d', workers = 3", port);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_STR(perilune_errmsg(g), "");
    perilune_close(g);
    unlink(path);
}

/* -- perilune reload ---------------------------------------------------------------- */

/* Runs the command in a process of its own while g, when there is one, turns; what it
 * printed is in `said`. */
static int reload_command(perilune *g, int argc, char **argv, char *said, size_t size) {
    int out[2], status;
    CHECK_INT(pipe(out), 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        int rc = perilune_tool_reload(argc, argv);
        fflush(stdout);
        _exit(rc);
    }
    close(out[1]);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (g != NULL) perilune_poll(g, 5);
        else poll(NULL, 0, 1);
    }
    ssize_t n = read(out[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(out[0]);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int reload_file(perilune *g, char *said, size_t size) {
    char *argv[] = { "reload", path, NULL };
    return reload_command(g, 2, argv, said, size);
}

TEST_NOFAULT(the_reload_command) {
    int port = free_port(), admin = free_port(), taken, fd = occupy(&taken);
    char said[2048];
    perilune *g = open_on(port, 2);
    CHECK_INT(reload_file(g, said, sizeof(said)), 1);
    CHECK(strstr(said, "has no `admin` address to ask") != NULL);
    rewrite("listen = '127.0.0.1:%d', admin = '127.0.0.1:%d'", port, admin);
    CHECK_INT(reload_file(g, said, sizeof(said)), 1);
    CHECK(strstr(said, "nothing answers on the admin address 127.0.0.1:") != NULL);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(reload_file(g, said, sizeof(said)), 0);
    CHECK(strstr(said, "{\"generation\":3}") != NULL);
    rewrite("listen = { '127.0.0.1:%d', '127.0.0.1:%d' }, admin = '127.0.0.1:%d'", port, taken, admin);
    CHECK_INT(reload_file(g, said, sizeof(said)), 1); /* the file is right, and cannot be had */
    CHECK(strstr(said, "cannot listen on 127.0.0.1:") != NULL);
    rewrite("lissten = '127.0.0.1:%d', admin = '127.0.0.1:%d'", port, admin);
    CHECK_INT(reload_file(g, said, sizeof(said)), 1);
    CHECK(strstr(said, "did you mean 'listen'?") != NULL);
    perilune_close(g);
    close(fd);
    unlink(path);
}

static void *hang_up(void *arg) {
    int fd = accept(*(int *)arg, NULL, NULL);
    char text[512];
    if (read(fd, text, sizeof(text)) > 0) close(fd);
    return NULL;
}

TEST_NOFAULT(the_reload_command_and_somebody_else) {
    int admin, fd = occupy(&admin);
    pthread_t t;
    char said[2048], *two[] = { "reload", "a", "b", NULL }, *help[] = { "reload", "--help", NULL };
    config("");
    rewrite("listen = '127.0.0.1:0', admin = '127.0.0.1:%d'", admin);
    CHECK_INT(pthread_create(&t, NULL, hang_up, &fd), 0);
    CHECK_INT(reload_file(NULL, said, sizeof(said)), 1);
    CHECK(strstr(said, "the running instance did not answer") != NULL);
    pthread_join(t, NULL);
    close(fd);
    CHECK_INT(reload_command(NULL, 3, two, said, sizeof(said)), 2);
    CHECK(strstr(said, "usage: perilune reload FILE.lua") != NULL);
    CHECK_INT(reload_command(NULL, 2, help, said, sizeof(said)), 0);
    unlink(path);
    CHECK_INT(reload_file(NULL, said, sizeof(said)), 1);
    CHECK(strstr(said, "No such file or directory") != NULL);
}

TEST_NOFAULT(without_a_configuration_it_says_so) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char address[32];
    int port = free_port();
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_INT(perilune_listen(g, NULL), PERILUNE_ERR_STATE);
    CHECK_INT(perilune_reload(g), PERILUNE_ERR_STATE);
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    CHECK_INT(perilune_listen(g, address), 0);
    CHECK(!says_200(g, dial(port), "/v1/models"));
    CHECK_INT(perilune_load(g, config(GOOD)), 0);
    CHECK(says_200(g, dial(port), "/v1/models"));
    perilune_close(g);
    unlink(path);
}

static int idle_timeout(perilune *g) {
    while (perilune_timeout(g) == 0) CHECK_INT(perilune_poll(g, 0), 0);
    return perilune_timeout(g);
}

TEST_NOFAULT(watching_can_be_switched) {
    int port = free_port();
    perilune *g = open_on(port, 0);
    CHECK_INT(idle_timeout(g), -1);
    rewrite("listen = '127.0.0.1:%d', watch = true", port);
    CHECK_INT(perilune_reload(g), 0);
    CHECK(idle_timeout(g) > 0);
    rewrite("listen = '127.0.0.1:%d', admin = '127.0.0.1:0'", port); /* seen by itself */
    for (int i = 0; i < 100 && perilune_admin_port(g) == 0; i++) CHECK_INT(perilune_poll(g, 100), 0);
    CHECK(perilune_admin_port(g) > 0);
    for (int ms; (ms = idle_timeout(g)) >= 0;) host_is_away((uint64_t)ms); /* an alarm of those polls is left */
    perilune_close(g);
    unlink(path);
}

static long blocks, bytes;

static void *counting(void *ud, void *ptr, size_t old_size, size_t size) {
    (void)ud;
    __atomic_add_fetch(&bytes, (long)size - (ptr ? (long)old_size : 0), __ATOMIC_RELAXED);
    if (size == 0) {
        __atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
        free(ptr);
        return NULL;
    }
    if (ptr == NULL) __atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
    return realloc(ptr, size);
}

TEST_NOFAULT(an_own_allocator_gets_everything_back) {
    perilune_allocator a = { counting, NULL };
    CHECK_INT(perilune_set_allocator(&a), 0);
    perilune *g = open_gateway(GOOD, 1);
    CHECK_INT(perilune_listen(g, NULL), 0);
    CHECK_INT(perilune_set_allocator(&a), PERILUNE_ERR_STATE);
    CHECK(__atomic_load_n(&blocks, __ATOMIC_RELAXED) > 20);
    CHECK(__atomic_load_n(&bytes, __ATOMIC_RELAXED) > 1 << 18); /* Lua's too */
    perilune_close(g);
    CHECK_INT(__atomic_load_n(&blocks, __ATOMIC_RELAXED), 0);
    CHECK_INT(__atomic_load_n(&bytes, __ATOMIC_RELAXED), 0);
    unlink(path);
}

/* -- Closing, while the host's log function asks ------------------------------------- */

static void *poisoning(void *ud, void *ptr, size_t old_size, size_t size) {
    (void)ud;
    if (size != 0) return realloc(ptr, size);
    if (ptr != NULL) memset(ptr, 0xa5, old_size);
    free(ptr);
    return NULL;
}

static _Atomic(perilune *) ending;
static atomic_int answers; /* of perilune_stats(), that were right */

/* Calls what is marked [any] when perilune_close() has come so far that it waits for us. */
static void ask_while_closing(void *ud, int level, perilune_str line) {
    (void)ud, (void)level, (void)line;
    static char text[1 << 16];
    perilune *g = atomic_load(&ending);
    if (g == NULL) return;
    while (!log_thread_is_closing(g->log_thread)) sched_yield();
    perilune_wake(g);
    perilune_drain(g, 0);
    perilune_stop(g);
    if (perilune_stats(g, text, sizeof(text)) > 0 && strstr(text, "perilune_connections_accepted_total 0\n") != NULL &&
        strstr(text, "perilune_upstream_calls_total{upstream=\"up\"} 0\n") != NULL)
        atomic_fetch_add(&answers, 1);
}

TEST_NOFAULT(a_log_function_may_ask_until_close_returns) {
    perilune_allocator a = { poisoning, NULL };
    perilune_options o = PERILUNE_OPTIONS_INIT;
    CHECK_INT(perilune_set_allocator(&a), 0);
    for (o.threads = 0; o.threads < 3; o.threads += 2) {
        perilune *g;
        o.config = config(GOOD);
        o.log = ask_while_closing;
        CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
        CHECK_INT(perilune_listen(g, NULL), 0);
        atomic_store(&answers, 0);
        atomic_store(&ending, g);
        CHECK_INT(perilune_load(g, "/nowhere"), PERILUNE_ERR_CONFIG); /* logs a line */
        perilune_close(g);
        CHECK(atomic_exchange(&ending, NULL) == g);
        CHECK(atomic_load(&answers) > 0);
        unlink(path);
    }
}
