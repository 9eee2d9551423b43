/* commands.c -- check, test, reload: commands that are not servers. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridge/script.h"
#include "base/json.h"
#include "cli/alone.h"
#include "gateway/gateway.h"

static int usage(const char *text, int status) {
    fputs(text, status == 0 ? stdout : stderr);
    return status;
}

static bool asks_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* -- check ---------------------------------------------------------------------------- */

static void print_line(void *ud, const perilune_message *m) {
    (void)ud;
    fprintf(stderr, "%s%.*s\n", m->level == PERILUNE_LOG_WARN ? "warning: " : "", (int)m->whole.len, m->whole.ptr);
}

static void put_field(struct buf *out, const char *name, perilune_str value) {
    if (value.len == 0) return;
    buf_printf(out, ",\"%s\":", name);
    json_write_string(out, slice_of(value.ptr, value.len));
}

static void print_json(void *ud, const perilune_message *m) {
    struct buf line;
    (void)ud;
    buf_init(&line, 0);
    buf_printf(&line, "{\"level\":\"%s\"", m->level == PERILUNE_LOG_WARN ? "warning" : "error");
    put_field(&line, "file", m->file);
    if (m->line > 0) buf_printf(&line, ",\"line\":%d", m->line);
    if (m->column > 0) buf_printf(&line, ",\"column\":%d", m->column);
    put_field(&line, "key", m->key);
    put_field(&line, "message", m->text);
    buf_puts(&line, "}\n");
    struct slice s = buf_get(&line);
    if (!buf_failed(&line)) fwrite(s.ptr, 1, s.len, stdout);
    buf_deinit(&line);
}

PERILUNE_API int perilune_tool_check(int argc, char **argv) {
    static const char help[] = "usage: perilune check [--json] FILE.lua\n\n"
                               "Loads the configuration and its policies and says what is wrong, with file and\n"
                               "line; what may be meant as it is, it says as a warning.  With --json each is a line\n"
                               "of JSON on standard output, for editors: level, file, line, column, key, message.\n"
                               "Exit status 0: nothing is wrong, 1: something, 2: wrong usage.\n";
    if (asks_help(argc, argv)) return usage(help, 0);
    bool json = argc == 3 && strcmp(argv[1], "--json") == 0;
    if (argc != 2 + json || argv[argc - 1][0] == '-') return usage(help, 2);
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = argv[argc - 1];
    int rc = perilune_check(&o, json ? print_json : print_line, NULL);
    if (rc == 0 && !json) printf("%s: ok\n", o.config);
    return rc == 0 ? 0 : 1;
}

/* -- test ------------------------------------------------------------------------------- */

static void run_file(const char *path, unsigned *passed, unsigned *failed) {
    char err[2048] = "";
    struct alone a;
    struct bundle *b = NULL;
    int rc = alone_open(&a, PERILUNE_LOG_ERROR, err, sizeof(err));
    if (rc == 0) rc = bundle_open(&b, path, true, err, sizeof(err));
    if (rc == 0) {
        alone_keep_log(&a);
        printf("# %s\n", path);
        rc = script_run_spec(a.state, b, passed, failed, err, sizeof(err));
    }
    if (rc != 0) {
        printf("FAILED  %s\n        %s\n", path, err);
        (*failed)++;
    }
    fflush(stdout);
    alone_close(&a);
    bundle_free(b);
}

PERILUNE_API int perilune_tool_test(int argc, char **argv) {
    static const char help[] = "usage: perilune test FILE...\n\n"
                               "Runs policy specs (see perilune.test) in virtual time.  Exit status 0: all passed,\n"
                               "1: some failed, 2: wrong usage.\n";
    if (asks_help(argc, argv)) return usage(help, 0);
    if (argc < 2) return usage(help, 2);
    unsigned passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) run_file(argv[i], &passed, &failed);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}

/* -- reload -------------------------------------------------------------------------------- */

static int dial_path(const char *address, char *err, size_t errlen) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *path = address + strlen("unix:"), *query = strstr(path, "?mode=");
    size_t len = query ? (size_t)(query - path) : strlen(path);
    if (len < sizeof(a.sun_path)) memcpy(a.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) return fd;
    snprintf(err, errlen, "nothing answers on the admin address %s: is it running?", address);
    if (fd >= 0) close(fd);
    return -1;
}

static int dial(const char *address, char *err, size_t errlen) {
    if (strncmp(address, "unix:", 5) == 0) return dial_path(address, err, errlen);
    if (shared_socket_is(address)) {
        snprintf(err, errlen, "the admin address %s is no address to ask at; send SIGHUP instead", address);
        return -1;
    }
    char host[128];
    snprintf(host, sizeof(host), "%s", address);
    char *colon = strrchr(host, ':');
    if (colon == NULL) {
        snprintf(err, errlen, "%s: is not host:port", address);
        return -1;
    }
    *colon = '\0';
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *info = NULL;
    const char *name = host[0] == '[' ? host + 1 : host[0] == '\0' || strcmp(host, "*") == 0 ? "127.0.0.1" : host;
    if (host[0] == '[' && colon > host && colon[-1] == ']') colon[-1] = '\0';
    int rc = getaddrinfo(name, colon + 1, &hints, &info);
    if (rc != 0) {
        snprintf(err, errlen, "%s: %s", address, gai_strerror(rc));
        return -1;
    }
    int fd = socket(info->ai_family, SOCK_STREAM, 0);
    struct timeval limit = { .tv_sec = 30 };
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd >= 0 && connect(fd, info->ai_addr, info->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) snprintf(err, errlen, "nothing answers on the admin address %s: is it running?", address);
    freeaddrinfo(info);
    return fd;
}

/* POST /admin/reload; the reply's body goes to stdout. */
static int ask_reload(int fd) {
    static const char req[] = "POST /admin/reload HTTP/1.1\r\nhost: perilune\r\n"
                              "content-length: 0\r\nconnection: close\r\n\r\n";
    char reply[8192];
    size_t len = 0;
    ssize_t n = send(fd, req, sizeof(req) - 1, MSG_NOSIGNAL);
    while (n > 0 && len < sizeof(reply) - 1 && (n = read(fd, reply + len, sizeof(reply) - 1 - len)) > 0)
        len += (size_t)n;
    reply[len] = '\0';
    const char *body = strstr(reply, "\r\n\r\n");
    if (body == NULL) {
        fprintf(stderr, "the running instance did not answer\n");
        return 1;
    }
    bool ok = strncmp(reply, "HTTP/1.1 200", 12) == 0;
    fprintf(ok ? stdout : stderr, "%s\n", body + 4);
    return ok ? 0 : 1;
}

PERILUNE_API int perilune_tool_reload(int argc, char **argv) {
    static const char help[] = "usage: perilune reload FILE.lua\n\n"
                               "Asks the instance that serves FILE.lua (at its `admin` address) to reload, and\n"
                               "prints what it said.  Exit status 0: reloaded, 1: not, 2: wrong usage.\n";
    if (asks_help(argc, argv)) return usage(help, 0);
    if (argc != 2) return usage(help, 2);
    char err[2048];
    struct buf admin;
    buf_init(&admin, 0);
    int rc = gateway_admin_of(argv[1], &admin, err, sizeof(err)), fd = -1;
    if (rc != 0) fprintf(stderr, "%s\n", err);
    else if (buf_len(&admin) == 0) fprintf(stderr, "%s: has no `admin` address to ask\n", argv[1]);
    else if ((fd = dial(buf_cstr(&admin), err, sizeof(err))) < 0) fprintf(stderr, "%s\n", err);
    buf_deinit(&admin);
    if (fd < 0) return 1;
    rc = ask_reload(fd);
    close(fd);
    return rc;
}
