/* test_clock.c -- a host's own time and chance. */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "include/perilune.h"
#include "unit.h"

static atomic_ullong at_ns; /* since some moment */
static atomic_int    broken; /* the source has nothing */

static uint64_t monotonic(void *ud) {
    CHECK(ud == &at_ns);
    return atomic_load(&at_ns);
}

static uint64_t wall(void *ud) { return 1000000000ull * 1000000000ull + monotonic(ud); } /* 2001-09-09T01:46:40 */

static int sevens(void *ud, void *bytes, size_t len) {
    (void)ud;
    if (atomic_load(&broken)) return -1;
    memset(bytes, 7, len);
    return 0;
}

static char logged[4096];

static void keep(void *ud, int level, perilune_str line) {
    (void)ud, (void)level;
    snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%.*s\n", (int)line.len, line.ptr);
}

static int host_read(void *ud, const char *name, perilune_str *text) {
    static const char config[] = "return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, limits = { header_timeout = 30 } }";
    (void)ud, (void)name;
    *text = (perilune_str){ config, sizeof(config) - 1 };
    return 1;
}

static perilune *begin(void) {
    perilune_clock c = { monotonic, wall, &at_ns };
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[300] = "";
    atomic_store(&at_ns, 5000000000ull);
    CHECK_INT(perilune_set_clock(&c), 0);
    CHECK_INT(perilune_set_random(sevens, NULL), 0);
    o.config = "c";
    o.read = host_read;
    o.log = keep;
    int rc = perilune_open(&g, &o, err, sizeof(err));
    NOTE("%s", err);
    CHECK_INT(rc, 0);
    CHECK_INT(perilune_listen(g, "127.0.0.1:0"), 0);
    return g;
}

static int dial(perilune *g) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)perilune_port(g)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

/* Until something comes; real time passes, the host's does not. */
static bool turn_until_readable(perilune *g, int fd, int turns) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    for (; turns > 0 && poll(&p, 1, 2) == 0; turns--) CHECK_INT(perilune_poll(g, 0), 0);
    return turns > 0;
}

static void ask(perilune *g, char *text, size_t size) {
    static const char get[] = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    int fd = dial(g);
    CHECK(send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL) > 0);
    CHECK(turn_until_readable(g, fd, 2000));
    ssize_t n = read(fd, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

static void id_of(const char *text, char id[33]) {
    const char *at = strstr(text, "x-request-id: ");
    CHECK(at != NULL);
    snprintf(id, 33, "%s", at + 14);
}

TEST_NOFAULT(dates_and_ids_are_made_of_what_the_host_gives) {
    char text[2048], first[33], again[33];
    perilune *g = begin();
    ask(g, text, sizeof(text));
    NOTE("%s", text);
    CHECK(strstr(text, "date: Sun, 09 Sep 2001 01:46:45 GMT") != NULL);
    id_of(text, first);
    perilune_close(g);
    CHECK(strstr(logged, "\"time\":\"2001-09-09T01:46:45.000Z\"") != NULL);

    perilune_options o = { .size = sizeof(o), .config = "c", .read = host_read };
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0); /* the same chance, once more */
    CHECK_INT(perilune_listen(g, "127.0.0.1:0"), 0);
    ask(g, text, sizeof(text));
    id_of(text, again);
    CHECK_STR(again, first);
    perilune_close(g);
}

TEST_NOFAULT(timers_follow_the_hosts_clock) {
    char text[512];
    perilune *g = begin();
    int fd = dial(g);
    CHECK(send(fd, "GET", 3, MSG_NOSIGNAL) == 3); /* never ends its head: 30 seconds */
    CHECK(!turn_until_readable(g, fd, 50));
    CHECK(perilune_timeout(g) > 0);
    atomic_fetch_add(&at_ns, 29000000000ull);
    CHECK(!turn_until_readable(g, fd, 50));
    atomic_fetch_add(&at_ns, 2000000000ull);
    CHECK_INT(perilune_timeout(g), 0);
    CHECK(turn_until_readable(g, fd, 500));
    ssize_t n = read(fd, text, sizeof(text) - 1);
    CHECK(n == 0 || (n > 12 && memcmp(text, "HTTP/1.1 408", 12) == 0));
    close(fd);
    perilune_drain(g, 500);
    for (int i = 0; i < 20 && perilune_poll(g, 0) == 0; i++) atomic_fetch_add(&at_ns, 100000000ull);
    CHECK_INT(perilune_poll(g, 0), 1);
    perilune_close(g);
}

TEST_NOFAULT(a_source_that_has_nothing_harms_nobody) {
    char text[2048], id[33];
    atomic_store(&broken, 1);
    perilune *g = begin();
    ask(g, text, sizeof(text));
    id_of(text, id);
    CHECK_INT(strspn(id, "0123456789abcdef"), 32);
    perilune_close(g);
}
