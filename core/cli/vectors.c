/* vectors.c -- vectors of texts, from whoever speaks OpenAI's embeddings.
 *
 *     this thread --POST /v1/embeddings--> a gateway in this process, on a free port of 127.0.0.1 --> the upstream
 *
 * The gateway is what knows about TLS, proxies, keys and broken connections; it is opened with a configuration of a few
 * lines, in a file that is gone before the first request.  Its worker has a thread, so that this one may simply wait
 * for each reply.  An answer that may be better later (429, 5xx) is asked for again, with longer and longer
 * pauses. */
#include "cli/vectors.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"

#define TRIES      6
#define WAIT_S     300 /* for a reply */
#define MAX_REPLY  (64u << 20)
#define MAX_DIMS   4096

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
    char base[2048];
    slice_copy(base, sizeof(base), s);
    put_lua_string(out, base);
}

static int write_config(const struct vectors_ask *ask, char *path) {
    struct buf text;
    buf_init(&text, 0);
    buf_puts(&text, "return { workers = 1, log = { access = false }, upstreams = { embedder = { url = ");
    put_url(&text, ask->url);
    if (ask->key_env != NULL) {
        buf_puts(&text, ", key = { env = ");
        put_lua_string(&text, ask->key_env);
        buf_puts(&text, " }");
    }
    buf_puts(&text, " } } }\n");
    int fd = buf_failed(&text) ? -1 : mkstemps(path, 4);
    ssize_t n = fd >= 0 ? write(fd, buf_get(&text).ptr, buf_len(&text)) : -1;
    bool good = n == (ssize_t)buf_len(&text);
    if (fd >= 0 && close(fd) != 0) good = false;
    buf_deinit(&text);
    return good ? 0 : PERILUNE_ERR_IO;
}

static int open_gateway(const struct vectors_ask *ask, perilune **out, char *err, size_t errlen) {
    char path[] = "/tmp/perilune-calibrate-XXXXXX.lua";
    *out = NULL;
    if (write_config(ask, path) != 0) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return PERILUNE_ERR_IO;
    }
    perilune_options o = PERILUNE_OPTIONS_INIT;
    o.config = path;
    o.threads = 1;
    int rc = perilune_open(out, &o, err, errlen);
    unlink(path);
    if (rc == 0 && (rc = perilune_listen(*out, "127.0.0.1:0")) != 0) {
        snprintf(err, errlen, "%s", perilune_errmsg(*out));
        perilune_close(*out);
        *out = NULL;
    }
    return rc;
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
static int exchange(int port, struct slice body, struct buf *reply) {
    char head[200], chunk[65536];
    int fd = dial(port), status = 0;
    if (fd < 0) return 0;
    /* HTTP/1.0: the end of the connection is the end of the reply. */
    int n = snprintf(head, sizeof(head),
                     "POST /v1/embeddings HTTP/1.0\r\nhost: perilune\r\ncontent-type: application/json\r\n"
                     "content-length: %zu\r\n\r\n", body.len);
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

static void write_body(const struct vectors_ask *ask, const struct slice *texts, size_t count, struct buf *out) {
    struct buf one;
    buf_init(&one, 0);
    buf_clear(out);
    buf_puts(out, "{\"model\":");
    json_write_string(out, slice_str(ask->model));
    buf_puts(out, ",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        buf_clear(&one);
        buf_puts(&one, ask->prefix);
        buf_slice(&one, texts[i]);
        if (i > 0) buf_putc(out, ',');
        json_write_string(out, buf_get(&one));
        if (buf_failed(&one)) out->error = one.error;
    }
    buf_puts(out, "]}");
    buf_deinit(&one);
}

/* -- What came ------------------------------------------------------------------------------------- */

struct vectors {
    float   *numbers;
    unsigned dims;
    size_t   count; /* of texts */
};

static const char *read_vector(const struct json_doc *doc, uint32_t list, struct vectors *v, size_t at) {
    if (!json_is(doc, list, JSON_ARRAY)) return "an embedding is no list of numbers";
    unsigned dims = doc->nodes[list].count;
    if (dims == 0 || dims > MAX_DIMS) return "an embedding has no number, or more than 4096";
    if (v->dims == 0) {
        v->numbers = mem_zalloc(v->count * dims * sizeof(float));
        if (v->numbers == NULL) return "out of memory";
        v->dims = dims;
    }
    if (dims != v->dims) return "not all embeddings have as many numbers";
    float *out = v->numbers + at * dims, sum = 0;
    for (uint32_t i = json_first(doc, list); i != JSON_NONE; i = json_next(doc, list, i)) {
        if (!json_is(doc, i, JSON_NUMBER)) return "an embedding is no list of numbers";
        *out = (float)json_number(doc, i);
        sum += *out * *out;
        out++;
    }
    if (!isfinite(sum)) return "an embedding has a number that is too large";
    for (unsigned i = 0; i < dims && sum > 0; i++) v->numbers[at * dims + i] /= sqrtf(sum);
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *read_reply(struct slice body, struct vectors *v, size_t first, size_t count) {
    struct json_doc doc = { .text = body };
    struct json_error bad;
    if (json_parse(&doc, body, &bad) != 0) return "the answer is no JSON";
    const char *why = "the answer has not one embedding for each text";
    uint32_t data = json_is(&doc, 0, JSON_OBJECT) ? json_get(&doc, 0, SLICE("data")) : JSON_NONE;
    if (json_is(&doc, data, JSON_ARRAY) && doc.nodes[data].count == count) {
        size_t at = 0;
        why = NULL;
        for (uint32_t i = json_first(&doc, data); why == NULL && i != JSON_NONE; i = json_next(&doc, data, i), at++) {
            uint64_t place = at;
            uint32_t index = json_is(&doc, i, JSON_OBJECT) ? json_get(&doc, i, SLICE("index")) : JSON_NONE;
            if (index != JSON_NONE && (json_u64(&doc, index, &place) != 0 || place >= count)) why = "an index is none";
            uint32_t list = json_is(&doc, i, JSON_OBJECT) ? json_get(&doc, i, SLICE("embedding")) : JSON_NONE;
            if (why == NULL) why = read_vector(&doc, list, v, first + (size_t)place);
        }
    }
    json_deinit(&doc);
    return why;
}

/* -- All of them --------------------------------------------------------------------------------------- */

static int ask_once(int port, struct slice body, struct buf *reply) {
    int status = 0;
    for (unsigned try = 0; try < TRIES; try++) {
        if (try > 0) sleep(1u << (try - 1));
        status = exchange(port, body, reply);
        if (status == 200 || (status >= 400 && status < 500 && status != 429 && status != 408)) break;
    }
    return status;
}

static int fetch_batch(const struct vectors_ask *ask, int port, const struct slice *texts, size_t first, size_t count,
                       struct vectors *v, struct buf *body, struct buf *reply, char *err, size_t errlen) {
    write_body(ask, texts + first, count, body);
    if (buf_failed(body)) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    int status = ask_once(port, buf_get(body), reply);
    struct slice s = buf_get(reply);
    if (status != 200) {
        char text[300];
        slice_copy(text, sizeof(text), s);
        slice_mute(text);
        if (status == 0) snprintf(err, errlen, "%s: no answer", ask->url);
        else snprintf(err, errlen, "%s: status %d: %s", ask->url, status, text);
        return PERILUNE_ERR_UPSTREAM;
    }
    const char *why = read_reply(s, v, first, count);
    if (why != NULL) snprintf(err, errlen, "%s: %s", ask->url, why);
    return why != NULL ? PERILUNE_ERR_UPSTREAM : 0;
}

int vectors_fetch(const struct vectors_ask *ask, const struct slice *texts, size_t count, float **out, unsigned *dims,
                  char *err, size_t errlen) {
    struct vectors v = { .count = count };
    struct buf body, reply;
    perilune *g;
    *out = NULL;
    *dims = 0;
    int rc = open_gateway(ask, &g, err, errlen);
    if (rc != 0) return rc;
    buf_init(&body, 0);
    buf_init(&reply, MAX_REPLY);
    for (size_t at = 0; rc == 0 && at < count; at += VECTORS_BATCH) {
        size_t n = count - at < VECTORS_BATCH ? count - at : VECTORS_BATCH;
        rc = fetch_batch(ask, perilune_port(g), texts, at, n, &v, &body, &reply, err, errlen);
        if (rc == 0 && ask->progress != NULL) ask->progress(ask->ud, at + n, count);
    }
    buf_deinit(&body);
    buf_deinit(&reply);
    perilune_close(g);
    if (rc == 0) {
        *out = v.numbers;
        *dims = v.dims;
    } else {
        mem_free(v.numbers);
    }
    return rc;
}
