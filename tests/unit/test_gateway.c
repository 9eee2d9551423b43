/* test_gateway.c -- the public interface, as an embedder uses it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

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

TEST_NOFAULT(opens_and_closes_without_serving) {
    perilune_close(open_gateway(GOOD, 0));
    perilune_close(open_gateway(GOOD, 2));
    perilune_close(NULL);
    unlink(path);
}

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
    CHECK(before > 100 && before <= 1000);
    host_is_away(50);
    CHECK(perilune_timeout(g) <= before - 49);
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

static long blocks;

static void *counting(void *ud, void *ptr, size_t old_size, size_t size) {
    (void)ud;
    (void)old_size;
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
    CHECK(__atomic_load_n(&blocks, __ATOMIC_RELAXED) > 100);
    perilune_close(g);
    CHECK_INT(__atomic_load_n(&blocks, __ATOMIC_RELAXED), 0);
    unlink(path);
}
