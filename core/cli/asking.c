/* asking.c -- a command asks an upstream.
 *
 *     this thread --POST /v1/...--> a gateway in this process, on a free port of 127.0.0.1 --> the upstream
 *
 * The gateway is what knows about TLS, proxies, keys and broken connections; it is opened with a configuration of a few
 * lines, in a file that is gone before the first request.  Its worker has a thread, so that this one may simply wait
 * for each reply.  An answer that may be better later (429, 5xx) is asked for again, with longer and longer
 * pauses. */
#include "cli/asking.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/files.h"

#define TRIES  6
#define WAIT_S 300 /* for a reply */

/* -- The gateway ----------------------------------------------------------------------------- */

static void put_lua_string(struct buf *out, const char *s) {
    buf_putc(out, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20) buf_printf(out, "\\%03d", (unsigned char)*s);
        else buf_putc(out, *s);
    }
    buf_putc(out, '"');
}

/* Upstreams have a base URL; who gives the whole one means the same. */
static void put_url(struct buf *out, const char *url) {
    struct slice s = slice_str(url);
    if (slice_ends(s, SLICE("/"))) s.len--;
    if (slice_ends(s, SLICE("/embeddings"))) s.len -= 11;
    if (slice_ends(s, SLICE("/chat/completions"))) s.len -= 17;
    char base[2048];
    slice_copy(base, sizeof(base), s);
    put_lua_string(out, base);
}

static void put_config(struct buf *text, const struct asking_to *to) {
    buf_puts(text, "return { workers = 1, log = { access = false }, upstreams = { upstream = { url = ");
    put_url(text, to->url);
    if (to->key_env != NULL) {
        buf_puts(text, ", key = { env = ");
        put_lua_string(text, to->key_env);
        buf_puts(text, " }");
    }
    if (to->price_in > 0 || to->price_out > 0)
        buf_printf(text, ", price = { input = %.9g, output = %.9g }", to->price_in, to->price_out);
    if (to->timeout_s > 0)
        buf_printf(text, ", timeouts = { headers = %ld, first_token = %ld, idle = %ld, total = %ld }", to->timeout_s,
                   to->timeout_s, to->timeout_s, to->timeout_s);
    if (to->most > 0) buf_printf(text, ", max_body = %zu", to->most);
    buf_puts(text, " } }");
    if (to->timeout_s > 0) buf_printf(text, ", limits = { request_timeout = %ld }", to->timeout_s);
    if (to->any_path) buf_puts(text, ", routes = { { path = \"/v1/*\", upstream = \"upstream\" } }");
    buf_puts(text, " }\n");
}

static int write_config(const struct asking_to *to, char path[FILES_PATH]) {
    struct buf text;
    buf_init(&text, 0);
    put_config(&text, to);
    int fd = buf_failed(&text) ? -1 : files_temp("perilune-asking", ".lua", path);
    ssize_t n = fd >= 0 ? write(fd, buf_get(&text).ptr, buf_len(&text)) : -1;
    bool good = n == (ssize_t)buf_len(&text);
    if (fd >= 0 && close(fd) != 0) good = false;
    if (fd >= 0 && !good) unlink(path);
    buf_deinit(&text);
    return good ? 0 : PERILUNE_ERR_IO;
}

/* Who gave a URL hears of that, and not of the file that was made of it. */
static void say_of_url(const char *path, char *err) {
    static const char key[] = "upstreams.upstream.url: ";
    const char *at = strncmp(err, path, strlen(path)) == 0 ? strstr(err, key) : NULL;
    if (at == NULL) return;
    at += sizeof(key) - 1;
    memmove(err + 9, at, strlen(at) + 1); /* the key is longer */
    memcpy(err, "the URL: ", 9);
}

int asking_gateway(perilune **out, const struct asking_to *to, perilune_options *o, char *err, size_t errlen) {
    char path[FILES_PATH] = "a configuration";
    *out = NULL;
    if (write_config(to, path) != 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return PERILUNE_ERR_IO;
    }
    o->config = path;
    int rc = perilune_open(out, o, err, errlen);
    if (rc != 0 && errlen > 0) say_of_url(path, err);
    unlink(path);
    return rc;
}

int asking_open(struct asking *a, const char *url, const char *key_env, char *err, size_t errlen) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.threads = 1;
    int rc = asking_gateway(&a->gateway, &(struct asking_to){ .url = url, .key_env = key_env }, &o, err, errlen);
    if (rc == 0 && (rc = perilune_listen(a->gateway, "127.0.0.1:0")) != 0) {
        snprintf(err, errlen, "%s", perilune_errmsg(a->gateway));
        asking_close(a);
    }
    return rc;
}

void asking_close(struct asking *a) {
    if (a->gateway != NULL) perilune_close(a->gateway);
    a->gateway = NULL;
}

/* -- One request -------------------------------------------------------------------------------- */

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = WAIT_S };
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool send_all(int fd, struct slice s) {
    while (s.len > 0) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        s = slice_of(s.ptr + n, s.len - (size_t)n);
    }
    return true;
}

/* The reply without its head; its status, or 0: none came. */
static int exchange(int port, const char *path, struct slice body, struct buf *reply) {
    char head[200], chunk[65536];
    int fd = dial(port), status = 0;
    if (fd < 0) return 0;
    /* HTTP/1.0: the end of the connection is the end of the reply. */
    int n = snprintf(head, sizeof(head),
                     "POST /v1/%s HTTP/1.0\r\nhost: perilune\r\ncontent-type: application/json\r\n"
                     "content-length: %zu\r\n\r\n", path, body.len);
    buf_clear(reply);
    bool sent = send_all(fd, slice_of(head, (size_t)n)) && send_all(fd, body);
    ssize_t got = 0;
    while (sent && ((got = read(fd, chunk, sizeof(chunk))) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) buf_put(reply, chunk, (size_t)got);
    close(fd);
    struct slice s = buf_get(reply);
    const char *end = s.len > 12 ? memmem(s.ptr, s.len, "\r\n\r\n", 4) : NULL;
    if (got < 0 || buf_failed(reply) || end == NULL) return 0;
    status = (int)strtol(s.ptr + 9, NULL, 10);
    buf_consume(reply, (size_t)(end - s.ptr) + 4);
    return status;
}

int asking_post(struct asking *a, const char *path, struct slice body, struct buf *reply) {
    int status = 0;
    for (unsigned try = 0; try < TRIES; try++) {
        if (try > 0) sleep(1u << (try - 1));
        status = exchange(perilune_port(a->gateway), path, body, reply);
        if (status == 200 || (status >= 400 && status < 500 && status != 429 && status != 408)) break;
    }
    return status;
}
