/* test_listen.c -- sockets on paths, descriptors of others, systemd's. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "include/perilune.h"
#include "unit.h"

static char folder[] = "/tmp/perilune-listen-XXXXXX", path[80], address[100];

static void begin(void) {
    strcpy(folder, "/tmp/perilune-listen-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(address, sizeof(address), "unix:%s", path);
}

static void end(void) {
    unlink(path);
    CHECK_INT(rmdir(folder), 0); /* nothing else is left in it */
}

/* A policy that says who asks. */
static int host_read(void *ud, const char *name, perilune_str *text) {
    static const char policy[] = "local perilune = require 'perilune' return function() return function(req) return perilune.respond{ text = req.peer } end end";
    if (strcmp(name, "policies/who.lua") == 0) *text = (perilune_str){ policy, sizeof(policy) - 1 };
    else if (strcmp(name, "c") == 0) *text = (perilune_str){ ud, strlen(ud) };
    else return 0;
    return 1;
}

static char config[2048];

static void configure(const char *more) {
    snprintf(config, sizeof(config), "return { upstreams = { up = { url = 'http://127.0.0.1:9/v1' } }, routes = { { path = "
             "'/v1/chat/completions', policies = { 'who' } } }, %s }", more);
}

static perilune *open_gateway(int threads, const char *more) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[512] = "";
    configure(more);
    o.config = "c";
    o.threads = threads;
    o.read = host_read;
    o.read_ud = config;
    int rc = perilune_open(&g, &o, err, sizeof(err));
    NOTE("%s", err);
    CHECK_INT(rc, 0);
    return g;
}

static int dial_path(const char *to) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", to);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) return fd;
    close(fd);
    return -1;
}

static int dial_port(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) return fd;
    close(fd);
    return -1;
}

/* Asks over fd, which is closed; g turns, when it has no threads. */
static bool says(perilune *g, int fd, const char *what) {
    static const char body[] = "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    char text[2048];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (fd < 0) return false;
    int n = snprintf(text, sizeof(text), "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                     "content-length: %zu\r\n\r\n%s", sizeof(body) - 1, body);
    CHECK(send(fd, text, (size_t)n, MSG_NOSIGNAL) == n);
    for (int turns = 0; turns < 500 && poll(&p, 1, 0) == 0; turns++) perilune_poll(g, 10);
    CHECK_INT(poll(&p, 1, 0), 1);
    n = (int)read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    NOTE("%s", text);
    return strstr(text, what) != NULL;
}

static char *self(void) {
    static char text[32];
    snprintf(text, sizeof(text), "\"unix:%u\"", (unsigned)geteuid());
    return text;
}

/* -- Paths ------------------------------------------------------------------------------------ */

TEST_NOFAULT(a_socket_on_a_path_with_any_number_of_workers) {
    for (int threads = 0; threads < 4; threads += 3) {
        begin();
        perilune *g = open_gateway(threads, "");
        CHECK_INT(perilune_listen(g, address), 0);
        CHECK_INT(perilune_port(g), 0);
        for (int i = 0; i < 12; i++) CHECK(says(g, dial_path(path), self()));
        int waiting = dial_path(path); /* not accepted yet, perhaps */
        CHECK_INT(perilune_reload(g), 0);
        CHECK(says(g, waiting, self()));
        perilune_close(g);
        CHECK(access(path, F_OK) != 0);
        end();
    }
}

static mode_t mode_of(const char *file) {
    struct stat st;
    CHECK_INT(stat(file, &st), 0);
    return st.st_mode & 07777;
}

TEST_NOFAULT(the_mode_is_what_was_asked_for) {
    begin();
    mode_t before = umask(022);
    perilune *g = open_gateway(0, "");
    CHECK_INT(perilune_listen(g, address), 0);
    CHECK_INT(mode_of(path), 0755); /* as umask says */
    char with[120];
    snprintf(with, sizeof(with), "%s?mode=666", address);
    CHECK_INT(perilune_listen(g, with), 0); /* the same socket */
    CHECK_INT(mode_of(path), 0666);
    CHECK(says(g, dial_path(path), self()));
    CHECK_INT(perilune_listen(g, address), 0);
    CHECK_INT(mode_of(path), 0666); /* nobody said another one */
    perilune_close(g);
    CHECK(access(path, F_OK) != 0);
    g = open_gateway(0, "");
    CHECK_INT(perilune_listen(g, with), 0);
    CHECK_INT(mode_of(path), 0666);
    CHECK_INT(umask(before), 022);
    CHECK(says(g, dial_path(path), self()));
    perilune_close(g);
    end();
}

/* The socket stays, and who waits at it; only a reload that is taken up changes the mode. */
TEST_NOFAULT(a_reload_sets_another_mode) {
    begin();
    char more[600];
    for (int threads = 0; threads < 3; threads += 2) {
        snprintf(more, sizeof(more), "listen = 'unix:%s?mode=600'", path);
        perilune *g = open_gateway(threads, more);
        CHECK_INT(perilune_listen(g, NULL), 0);
        struct stat before, after;
        CHECK_INT(stat(path, &before), 0);

        snprintf(more, sizeof(more), "listen = { 'unix:%s?mode=660', 'unix:/no/such/folder/s' }", path);
        configure(more);
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO);
        CHECK_INT(mode_of(path), 0600);
        snprintf(more, sizeof(more), "listen = { 'unix:%s?mode=660', 'unix:%s' }", path, path);
        configure(more);
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO); /* which of them? */
        CHECK(strstr(perilune_errmsg(g), "the same path is listened on as unix:/") != NULL);
        snprintf(more, sizeof(more), "listen = 'unix:%s?mode=600', admin = 'unix:%s?mode=660'", path, path);
        configure(more);
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO);
        CHECK_INT(mode_of(path), 0600);
        CHECK(says(g, dial_path(path), self()));

        int waits = dial_path(path);
        snprintf(more, sizeof(more), "listen = 'unix:%s?mode=660'", path);
        configure(more);
        CHECK_INT(perilune_reload(g), 0);
        CHECK_INT(mode_of(path), 0660);
        CHECK_INT(stat(path, &after), 0);
        CHECK(before.st_ino == after.st_ino);
        CHECK(says(g, waits, self()));
        CHECK(says(g, dial_path(path), self()));
        snprintf(more, sizeof(more), "listen = '127.0.0.1:0', admin = 'unix:%s?mode=600'", path);
        configure(more);
        CHECK_INT(perilune_reload(g), 0); /* it is the operator's now */
        CHECK_INT(mode_of(path), 0600);
        CHECK(says(g, dial_path(path), "404"));
        perilune_close(g);
        CHECK(access(path, F_OK) != 0);
    }
    end();
}

TEST_NOFAULT(what_the_dead_left_is_replaced_and_the_living_are_not) {
    begin();
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    CHECK_INT(listen(fd, 5), 0);
    perilune *g = open_gateway(2, ""), *other = open_gateway(0, "");
    CHECK_INT(perilune_listen(g, address), PERILUNE_ERR_IO);
    CHECK(strstr(perilune_errmsg(g), "somebody listens there") != NULL);
    close(fd); /* died */
    CHECK_INT(perilune_listen(g, address), 0);
    CHECK(says(g, dial_path(path), self()));
    CHECK_INT(perilune_listen(other, address), PERILUNE_ERR_IO); /* in one process, too */
    CHECK(says(g, dial_path(path), self()));
    perilune_drain(g, 1000);
    CHECK(perilune_poll(g, 0) >= 0);
    CHECK_INT(perilune_listen(other, address), 0); /* a successor, while it drains */
    CHECK_INT(perilune_run(g), 0);
    perilune_close(g);
    CHECK(says(other, dial_path(path), self())); /* and does not lose its file */
    perilune_close(other);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    g = open_gateway(0, "");
    CHECK_INT(perilune_listen(g, address), PERILUNE_ERR_IO);
    CHECK(strstr(perilune_errmsg(g), "no socket") != NULL);
    perilune_close(g);
    CHECK_INT(access(path, F_OK), 0);
    end();
}

TEST_NOFAULT(a_child_of_fork_leaves_the_file) {
    begin();
    perilune *g = open_gateway(0, "");
    CHECK_INT(perilune_listen(g, address), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        perilune_close(g);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(says(g, dial_path(path), self()));
    perilune_close(g);
    end();
}

/* All or nothing, as with ports. */
TEST_NOFAULT(a_reload_moves_between_all_kinds) {
    begin();
    char more[600], other[100];
    snprintf(other, sizeof(other), "%s/t", folder);
    for (int threads = 0; threads < 3; threads += 2) {
        snprintf(more, sizeof(more), "listen = '127.0.0.1:0'");
        perilune *g = open_gateway(threads, more);
        CHECK_INT(perilune_listen(g, NULL), 0);
        int port = perilune_port(g);
        CHECK(says(g, dial_port(port), "\"127.0.0.1\""));

        snprintf(more, sizeof(more), "listen = 'unix:%s?mode=600', admin = 'unix:%s'", path, other);
        configure(more);
        CHECK_INT(perilune_reload(g), 0);
        CHECK_INT(dial_port(port), -1);
        CHECK_INT(perilune_port(g), 0);
        CHECK_INT(mode_of(path), 0600);
        CHECK(says(g, dial_path(path), self()));
        CHECK(says(g, dial_path(other), "404")); /* the operator's */

        snprintf(more, sizeof(more), "listen = { 'unix:%s?mode=600', 'unix:/no/such/folder/s' }", path);
        configure(more);
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_IO);
        CHECK(strstr(perilune_errmsg(g), "/no/such/folder/s") != NULL);
        CHECK(says(g, dial_path(path), self()));

        snprintf(more, sizeof(more), "listen = 'unix:%s'", other); /* what was the operator's a moment ago */
        configure(more);
        int rc = perilune_reload(g);
        CHECK(rc == 0 || rc == PERILUNE_ERR_IO);
        configure("listen = '127.0.0.1:0'");
        CHECK_INT(perilune_reload(g), 0);
        CHECK(perilune_port(g) > 0);
        CHECK(access(path, F_OK) != 0 && access(other, F_OK) != 0);
        CHECK(says(g, dial_port(perilune_port(g)), "\"127.0.0.1\""));
        perilune_close(g);
    }
    end();
}

TEST_NOFAULT(addresses_that_are_none) {
    static const char *const wrong[] = { "unix:", "unix:/", "unix:s", "unix:/tmp/x?mode=", "unix:/tmp/x?mode=9", "unix:/tmp/x?mode=7777",
                                         "unix:/tmp/x?mod=600", "unix:/tmp/x?mode=600?", "unix:/tmp/x?mode=660&mode=600",
                                         "fd:", "fd:x", "fd:-1", "fd:3x" };
    perilune *g = open_gateway(0, "");
    char longest[300], sentence[400];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        NOTE("%s", wrong[i]);
        CHECK_INT(perilune_listen(g, wrong[i]), PERILUNE_ERR_INVAL);
        snprintf(sentence, sizeof(sentence), "'%s'", wrong[i]);
        CHECK(strstr(perilune_errmsg(g), sentence) != NULL);
        char more[200];
        snprintf(more, sizeof(more), "listen = '%s'", wrong[i]);
        configure(more);
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_CONFIG);
        CHECK(strstr(perilune_errmsg(g), "listen") != NULL);
    }
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "unix:/", 6);
    longest[5 + 108] = '\0';
    CHECK_INT(perilune_listen(g, longest), PERILUNE_ERR_INVAL);
    CHECK(strstr(perilune_errmsg(g), "at most 107 bytes") != NULL);
    longest[5 + 108] = 'x';
    longest[299] = '\0';
    CHECK_INT(perilune_listen(g, longest), PERILUNE_ERR_INVAL);
    perilune_close(g);
}

/* -- Descriptors ------------------------------------------------------------------------------- */

static int listening(int *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

TEST_NOFAULT(a_descriptor_of_the_host_stays_the_hosts) {
    int port, fd = listening(&port);
    char text[40];
    snprintf(text, sizeof(text), "fd:%d", fd);
    for (int threads = 0; threads < 4; threads += 3) {
        perilune *g = open_gateway(threads, "");
        CHECK_INT(perilune_listen(g, text), 0);
        CHECK_INT(perilune_port(g), port);
        for (int i = 0; i < 12; i++) CHECK(says(g, dial_port(port), "\"127.0.0.1\""));
        perilune_close(g);
        int waiting = dial_port(port); /* nobody is refused meanwhile */
        CHECK(waiting >= 0);
        g = open_gateway(threads, "");
        CHECK_INT(perilune_listen(g, text), 0);
        CHECK(says(g, waiting, "\"127.0.0.1\""));
        perilune_close(g);
    }
    close(fd);
}

TEST_NOFAULT(descriptors_that_cannot_be_listened_on) {
    int pipes[2], udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(pipe(pipes), 0);
    int wrong[] = { pipes[0], udp, tcp, 987654 };
    perilune *g = open_gateway(0, "");
    for (int i = 0; i < 4; i++) {
        char text[40];
        snprintf(text, sizeof(text), "fd:%d", wrong[i]);
        CHECK_INT(perilune_listen(g, text), PERILUNE_ERR_IO);
        CHECK(strstr(perilune_errmsg(g), i == 0 || i == 3 ? "is not open, or no socket" : "is no stream socket that listens") != NULL);
    }
    perilune_close(g);
    for (int i = 0; i < 3; i++) close(wrong[i]);
    close(pipes[1]);
}

/* -- systemd -------------------------------------------------------------------------------------- */

/* As systemd starts a service: the sockets from 3 on. */
static void pass(int count, const int *fds, const char *names) {
    char text[32];
    int high[4];
    for (int i = 0; i < count; i++) high[i] = fcntl(fds[i], F_DUPFD, 100);
    for (int i = 0; i < count; i++) CHECK(dup2(high[i], 3 + i) == 3 + i);
    snprintf(text, sizeof(text), "%d", count);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof(text), "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    if (names) setenv("LISTEN_FDNAMES", names, 1);
    else unsetenv("LISTEN_FDNAMES");
}

static void refused(perilune *g, const char *where, const char *sentence) {
    CHECK_INT(perilune_listen(g, where), PERILUNE_ERR_IO);
    CHECK(strstr(perilune_errmsg(g), sentence) != NULL);
}

TEST_NOFAULT(sockets_of_systemd_by_name) {
    int one, two;
    begin();
    int fds[3] = { listening(&one), listening(&two), 0 };
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    fds[2] = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fds[2], (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fds[2], 5) == 0);
    pass(3, fds, "web:web-2:local");
    perilune *g = open_gateway(2, "listen = { 'systemd:web-2', 'systemd:local', 'fd:3' }"); /* its own descriptors come behind */
    CHECK_INT(perilune_listen(g, NULL), 0);
    CHECK_INT(perilune_port(g), two);
    CHECK(says(g, dial_port(two), "\"127.0.0.1\""));
    CHECK(says(g, dial_port(one), "\"127.0.0.1\""));
    CHECK(says(g, dial_path(path), self()));
    CHECK_INT(fcntl(4, F_GETFD), FD_CLOEXEC);
    configure("listen = 'systemd:web'");
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_port(g), one);
    CHECK(dial_port(two) >= 0); /* is queued for whoever comes: systemd's socket lives */
    perilune_close(g);
    g = open_gateway(0, "");
    refused(g, "systemd:we", "they are: web:web-2:local");
    setenv("LISTEN_FDNAMES", "web:web:local", 1);
    refused(g, "systemd:web", "write fd:3, fd:4");
    unsetenv("LISTEN_FDNAMES");
    refused(g, "systemd:web", "without names");
    setenv("LISTEN_PID", "1", 1);
    refused(g, "systemd:web", "are for process 1");
    unsetenv("LISTEN_FDS");
    refused(g, "systemd:web", "has passed no sockets");
    perilune_close(g);
    CHECK_INT(access(path, F_OK), 0); /* not ours */
    end();
}
