/* bench_conn.c -- one connection of the load tester.
 *
 *      CONNECTING --> BUSY --> IDLE --> BUSY ... --> CLOSED
 *                       |
 *                       +-- part: HEAD, then BODY by length, chunks or close
 *
 * A connection carries one request at a time.  Responses are parsed where they
 * were read; only a head, an event or a JSON body that came in pieces is kept.
 * The result of a request, good or bad, leaves through bench_finished() once,
 * after the connection has become idle or closed, so that the schedule may use it
 * at once.
 *
 * Times are taken once per read: everything that came together came then. */
#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "perilune.h"
#include "bench/bench_int.h"

enum conn_state { CONN_CONNECTING, CONN_IDLE, CONN_BUSY, CONN_CLOSED };
enum conn_part { PART_HEAD, PART_LENGTH, PART_CHUNKS, PART_CLOSE };

struct bench_conn {
    uv_tcp_t            tcp;
    uv_connect_t        connect;
    struct bench       *bench;
    struct list         link; /* in bench->idle or ->busy */
    enum conn_state     state;
    enum conn_part      part;
    struct bench_result result;
    uint64_t            now_us, token_us;
    uint64_t            left; /* PART_LENGTH */
    struct http_chunked chunked;
    size_t              seen; /* of in: looked at by the parser */
    struct buf          in;   /* a head in pieces */
    struct buf          body; /* a JSON body in pieces */
    struct sse       events;
    bool                keep_alive, is_stream, done_event, too_long;
};

struct write { /* what the socket did not take at once */
    uv_write_t req;
    char       data[];
};

/* -- The request text ----------------------------------------------------------------- */

static bool has_header(const struct bench_options *o, struct slice name) {
    for (size_t i = 0; i < o->header_count; i++) {
        const char *colon = strchr(o->headers[i], ':');
        if (slice_eq_nocase(slice_of(o->headers[i], (size_t)(colon - o->headers[i])), name)) {
            return true;
        }
    }
    return false;
}

static void put_default_body(const struct bench_options *o, struct buf *out) {
    static const char text[] = "How far is the moon tonight, and why does it look so large? ";
    long              len = o->prompt_bytes > 0 ? o->prompt_bytes : (long)sizeof(text) - 1;
    buf_puts(out, "{\"model\":");
    json_write_string(out, slice_str(o->model));
    if (o->stream) buf_puts(out, ",\"stream\":true");
    buf_puts(out, ",\"messages\":[{\"role\":\"user\",\"content\":\"");
    for (long i = 0; i < len; i++) buf_putc(out, text[i % (long)(sizeof(text) - 1)]);
    buf_puts(out, "\"}]}");
}

static int read_body_file(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return PERILUNE_ERR_IO;
    size_t n;
    do {
        char *p = buf_reserve(out, 65536);
        n = p ? fread(p, 1, 65536, f) : 0;
        buf_advance(out, n);
    } while (n > 0);
    int rc = ferror(f) ? PERILUNE_ERR_IO : 0;
    fclose(f);
    return rc;
}

static void put_head(const struct bench_options *o, bool has_body, struct buf *h) {
    buf_printf(h, "%s %.*s HTTP/1.1\r\n", o->method, SLICE_ARG(buf_get(&o->path)));
    bool v6 = strchr(o->host, ':') != NULL;
    if (!has_header(o, SLICE("host"))) {
        buf_printf(h, "Host: %s%s%s:%s\r\n", v6 ? "[" : "", o->host, v6 ? "]" : "", o->port);
    }
    if (!has_header(o, SLICE("user-agent"))) buf_puts(h, "User-Agent: perilune-bench\r\n");
    if (has_body && !has_header(o, SLICE("content-type"))) {
        buf_puts(h, "Content-Type: application/json\r\n");
    }
    for (size_t i = 0; i < o->header_count; i++) buf_printf(h, "%s\r\n", o->headers[i]);
}

static void put_request(struct buf *out, struct slice head, struct slice body, bool has_body) {
    buf_slice(out, head);
    if (has_body) {
        buf_puts(out, "Content-Length: ");
        buf_u64(out, body.len);
        buf_puts(out, "\r\n");
    }
    buf_puts(out, "\r\n");
    buf_slice(out, body);
}

int bench_request_init(struct bench *b) {
    const struct bench_options *o = b->o;
    bool has_body = o->body_file != NULL || strcmp(o->method, "POST") == 0;
    if (o->body_file != NULL) {
        int rc = read_body_file(o->body_file, &b->body_text);
        if (rc != 0) return rc;
    } else if (has_body) {
        put_default_body(o, &b->body_text);
    }
    struct slice body = buf_get(&b->body_text);
    b->numbered = body.len > 0 && memmem(body.ptr, body.len, "{{n}}", 5) != NULL;
    put_head(o, has_body, &b->head_text);
    put_request(&b->fixed, buf_get(&b->head_text), body, has_body);
    return buf_failed(&b->fixed) || buf_failed(&b->body_text) ? PERILUNE_ERR_NOMEM : 0;
}

void bench_request_deinit(struct bench *b) {
    buf_deinit(&b->fixed);
    buf_deinit(&b->scratch);
    buf_deinit(&b->head_text);
    buf_deinit(&b->body_text);
}

/* The request with its number in place of every {{n}}; borrowed. */
static struct slice request_text(struct bench *b, uint64_t number) {
    if (!b->numbered) return buf_get(&b->fixed);
    struct slice rest = buf_get(&b->body_text);
    struct buf   body;
    const char  *at;
    buf_init(&body, 0);
    while (rest.len > 0 && (at = memmem(rest.ptr, rest.len, "{{n}}", 5)) != NULL) {
        size_t n = (size_t)(at - rest.ptr);
        buf_put(&body, rest.ptr, n);
        buf_u64(&body, number);
        rest = slice_of(at + 5, rest.len - n - 5);
    }
    buf_slice(&body, rest);
    buf_clear(&b->scratch);
    put_request(&b->scratch, buf_get(&b->head_text), buf_get(&body), true);
    buf_deinit(&body);
    return buf_get(&b->scratch);
}

/* -- Ends ------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h) {
    struct bench_conn *c = h->data;
    buf_deinit(&c->in);
    buf_deinit(&c->body);
    sse_deinit(&c->events);
    mem_free(c);
}

static void conn_close(struct bench_conn *c) {
    if (c->state == CONN_CLOSED) return;
    if (c->state == CONN_CONNECTING) c->bench->connecting--;
    c->state = CONN_CLOSED;
    c->bench->conn_count--;
    list_remove(&c->link);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* The request on c is over. */
static void conn_finish(struct bench_conn *c, enum bench_error error) {
    struct bench *b = c->bench;
    c->result.error = error;
    c->result.end_us = c->now_us;
    bool reuse = c->state == CONN_BUSY && c->keep_alive && (error == BENCH_OK || error == BENCH_STATUS);
    list_remove(&c->link);
    if (reuse) {
        c->state = CONN_IDLE;
        /* The last one used first: the others may age and be closed. */
        list_append(b->idle.next, &c->link);
    } else {
        conn_close(c);
    }
    struct bench_result r = c->result;
    bench_finished(b, &r);
}

static void conn_fail(struct bench_conn *c, enum bench_error error) {
    c->now_us = bench_now_us();
    c->keep_alive = false;
    conn_finish(c, error);
}

/* -- What came back ----------------------------------------------------------------------- */

/* The value of "content" (or "arguments") in an event is a string with something
 * in it: then the event is a token.  Not a parser: one search per event. */
static bool has_text(struct slice data, const char *key, size_t key_len) {
    const char *end = data.ptr + data.len;
    const char *p = data.ptr;
    while (p < end && (p = memmem(p, (size_t)(end - p), key, key_len)) != NULL) {
        p += key_len;
        while (p < end && *p == ' ') p++;
        if (p == end || *p++ != ':') continue;
        while (p < end && *p == ' ') p++;
        if (p + 1 < end && p[0] == '"' && p[1] != '"') return true;
    }
    return false;
}

static bool is_token(struct slice data) {
    return has_text(data, "\"content\"", 9) || has_text(data, "\"arguments\"", 11) ||
           has_text(data, "\"reasoning_content\"", 19);
}

static void on_token(struct bench_conn *c) {
    c->result.tokens++;
    if (c->token_us == 0) c->result.first_us = c->now_us;
    else bench_token_gap(c->bench, c->result.number, c->now_us - c->token_us);
    c->token_us = c->now_us;
}

static bool is_error_event(struct slice data) {
    size_t i = 1;
    while (i < data.len && data.ptr[i] == ' ') i++;
    return slice_starts(slice_of(data.ptr + i, data.len - i), SLICE("\"error\""));
}

/* Returns BENCH_OK + 1 + error to abort the parser with an error. */
static int on_event(void *ud, const struct sse_event *ev) {
    struct bench_conn *c = ud;
    struct slice       data = ev->data;
    if (slice_eq(data, SLICE("[DONE]"))) {
        c->done_event = true;
        return 0;
    }
    if (data.len < 2 || data.ptr[0] != '{' || data.ptr[data.len - 1] != '}') {
        return BENCH_OK + 1 + BENCH_MALFORMED;
    }
    if (is_error_event(data)) return BENCH_OK + 1 + BENCH_ERROR_EVENT;
    if (is_token(data)) on_token(c);
    return 0;
}

static enum bench_error event_error(int rc) {
    if (rc == 0) return BENCH_OK;
    return rc > BENCH_OK ? (enum bench_error)(rc - BENCH_OK - 1) : BENCH_MALFORMED;
}

/* The JSON body is complete: is it JSON, and how many tokens does it count? */
static enum bench_error check_json(struct bench_conn *c, struct slice body) {
    struct json_doc  *doc = &c->bench->doc;
    struct json_error err;
    if (c->too_long || c->bench->o->no_validate) return BENCH_OK;
    if (json_parse(doc, body, &err) != 0) return BENCH_MALFORMED;
    if (json_type(doc, 0) != JSON_OBJECT) return BENCH_OK;
    uint32_t usage = json_get(doc, 0, SLICE("usage"));
    if (usage == JSON_NONE || json_type(doc, usage) != JSON_OBJECT) return BENCH_OK;
    uint32_t n = json_get(doc, usage, SLICE("completion_tokens"));
    if (n != JSON_NONE && json_type(doc, n) == JSON_NUMBER) json_u64(doc, n, &c->result.tokens);
    return BENCH_OK;
}

static enum bench_error body_piece(struct bench_conn *c, struct slice data) {
    if (c->result.status != 200 || data.len == 0) return BENCH_OK;
    if (c->is_stream) return event_error(sse_feed(&c->events, data, on_event, c));
    if (c->result.first_us == 0) c->result.first_us = c->now_us;
    if (c->bench->o->no_validate || c->too_long) return BENCH_OK;
    if (buf_len(&c->body) + data.len > BENCH_MAX_BODY) {
        c->too_long = true;
        buf_deinit(&c->body);
        return BENCH_OK;
    }
    buf_slice(&c->body, data);
    return BENCH_OK;
}

/* last: the final piece, which may be the whole body. */
static void body_end(struct bench_conn *c, struct slice last) {
    enum bench_error e = BENCH_OK;
    if (c->result.status < 200 || c->result.status > 299) {
        conn_finish(c, BENCH_STATUS);
        return;
    }
    if (c->is_stream) {
        if (last.len > 0) e = body_piece(c, last);
        if (e == BENCH_OK) e = event_error(sse_finish(&c->events, on_event, c));
        if (e == BENCH_OK && !c->done_event) e = BENCH_NO_DONE;
    } else if (buf_len(&c->body) == 0) {
        if (c->result.first_us == 0) c->result.first_us = c->now_us;
        e = check_json(c, last); /* NOCOPY: it came whole */
    } else {
        e = body_piece(c, last);
        if (e == BENCH_OK) e = check_json(c, buf_get(&c->body));
        if (c->body.cap > 65536) buf_deinit(&c->body);
        else buf_clear(&c->body);
    }
    conn_finish(c, e);
}

static void begin_body(struct bench_conn *c, const struct http_head *head) {
    const struct http_header *type = http_find(head, SLICE("content-type"));
    c->result.status = head->status;
    c->keep_alive = head->keep_alive;
    c->is_stream = type != NULL && slice_starts(type->value, SLICE("text/event-stream"));
    if (c->is_stream) {
        sse_deinit(&c->events);
        sse_init(&c->events, BENCH_MAX_EVENT);
    }
    bool none = head->status == 204 || head->status == 304 ||
                strcmp(c->bench->o->method, "HEAD") == 0;
    c->left = none ? 0 : head->length;
    if (head->chunked && !none) {
        c->part = PART_CHUNKS;
        http_chunked_init(&c->chunked);
    } else if (head->has_length || none) {
        c->part = PART_LENGTH;
    } else {
        c->part = PART_CLOSE;
        c->keep_alive = false;
    }
}

/* Parses a head at the start of c->in + fresh.  Returns bytes of fresh used, or -1
 * for a malformed one. */
static long eat_head(struct bench_conn *c, struct slice fresh) {
    const char       *why;
    struct http_head *head = &c->bench->head;
    size_t            kept = buf_len(&c->in);
    if (kept > 0) buf_slice(&c->in, fresh);
    struct slice v = kept > 0 ? buf_get(&c->in) : fresh;
    int          n = http_parse_response(head, v, c->seen, &why);
    if (n < 0 || buf_failed(&c->in)) return -1;
    if (n == HTTP_AGAIN) {
        if (kept == 0) buf_slice(&c->in, fresh);
        c->seen = v.len;
        return (long)fresh.len;
    }
    c->seen = 0;
    if (head->status >= 200) begin_body(c, head);
    buf_clear(&c->in);
    return (long)((size_t)n - kept);
}

/* Each eater returns what it used of s; the request may be over afterwards. */

static size_t eat_length(struct bench_conn *c, struct slice s) {
    size_t n = s.len < c->left ? s.len : (size_t)c->left;
    c->left -= n;
    if (c->left == 0) {
        body_end(c, slice_of(s.ptr, n));
        return n;
    }
    enum bench_error e = body_piece(c, slice_of(s.ptr, n));
    if (e != BENCH_OK) conn_fail(c, e);
    return n;
}

static size_t eat_chunks(struct bench_conn *c, struct slice s) {
    struct slice data = { "", 0 };
    bool         done = false;
    const char  *why;
    long         n = http_chunked_eat(&c->chunked, s, &data, &done, &why);
    if (n < 0) {
        conn_fail(c, BENCH_MALFORMED);
        return s.len;
    }
    enum bench_error e = BENCH_OK;
    if (done) {
        body_end(c, data);
    } else {
        e = body_piece(c, data);
        if (e != BENCH_OK) conn_fail(c, e);
    }
    return (size_t)n;
}

/* One step of understanding s; 0 when nothing more can be used. */
static size_t conn_step(struct bench_conn *c, struct slice s) {
    switch (c->part) {
    case PART_HEAD: {
        long n = eat_head(c, s);
        if (n < 0) {
            conn_fail(c, BENCH_MALFORMED);
            return s.len;
        }
        if (c->part != PART_HEAD) bench_begun(c->bench);
        if (c->part == PART_LENGTH && c->left == 0) body_end(c, slice_of("", 0));
        return (size_t)n;
    }
    case PART_LENGTH: return eat_length(c, s);
    case PART_CHUNKS: return eat_chunks(c, s);
    case PART_CLOSE: {
        enum bench_error e = body_piece(c, s);
        if (e != BENCH_OK) conn_fail(c, e);
        return s.len;
    }
    }
    return 0;
}

/* When data and a reset arrive together, libuv reports the end of the file; the
 * socket knows better. */
static bool was_reset(const struct bench_conn *c) {
    uv_os_fd_t fd;
    int        error = 0;
    socklen_t  len = sizeof(error);
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0) return false;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0;
}

static void on_end(struct bench_conn *c, ssize_t n) {
    if (c->state == CONN_IDLE) {
        conn_close(c);
        return;
    }
    c->now_us = bench_now_us();
    if (n != UV_EOF || was_reset(c) || c->part == PART_HEAD) conn_fail(c, BENCH_RESET);
    else if (c->part == PART_CLOSE) body_end(c, slice_of("", 0));
    else conn_fail(c, BENCH_CUT);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf) {
    struct bench_conn *c = h->data;
    if (n == 0) return;
    if (n < 0) {
        on_end(c, n);
        return;
    }
    c->now_us = bench_now_us();
    c->bench->bytes_in += (uint64_t)n;
    struct slice s = slice_of(buf->base, (size_t)n);
    uint64_t     number = c->result.number;
    while (s.len > 0 && c->state == CONN_BUSY && c->result.number == number) {
        size_t used = conn_step(c, s);
        if (used == 0) break;
        s.ptr += used;
        s.len -= used;
    }
    /* Bytes after the end of a response that nobody asked for. */
    if (s.len > 0 && c->state == CONN_IDLE) conn_close(c);
    else if (s.len > 0 && c->state == CONN_BUSY) conn_fail(c, BENCH_MALFORMED);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf) {
    struct bench_conn *c = h->data;
    (void)size;
    *buf = uv_buf_init(c->bench->input, BENCH_INPUT);
}

/* -- Sending -------------------------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status) {
    (void)status; /* the read side learns the same, and says it once */
    mem_free(req);
}

/* Sends s, the rest of it later if it must be; negative on failure. */
static int conn_write(struct bench_conn *c, struct slice s) {
    uv_buf_t buf = uv_buf_init((char *)s.ptr, (unsigned)s.len);
    int      n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (n == UV_EAGAIN) n = 0;
    if (n < 0 || (size_t)n == s.len) return n;
    s = slice_of(s.ptr + n, s.len - (size_t)n);
    struct write *w = mem_alloc(sizeof(*w) + s.len);
    if (w == NULL) return UV_ENOMEM;
    memcpy(w->data, s.ptr, s.len);
    buf = uv_buf_init(w->data, (unsigned)s.len);
    int rc = uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
    if (rc != 0) mem_free(w);
    return rc;
}

static void conn_send(struct bench_conn *c) {
    c->state = CONN_BUSY;
    c->part = PART_HEAD;
    struct slice text = request_text(c->bench, c->result.number);
    if (conn_write(c, text) < 0) conn_fail(c, BENCH_RESET);
}

static void on_connect(uv_connect_t *req, int status) {
    struct bench_conn *c = req->data;
    struct bench      *b = c->bench;
    if (c->state != CONN_CONNECTING) return; /* timed out and closed meanwhile */
    if (status < 0) {
        conn_fail(c, BENCH_CONNECT);
        return;
    }
    b->connecting--;
    b->opened++;
    uv_tcp_nodelay(&c->tcp, 1);
    c->state = CONN_BUSY;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) conn_fail(c, BENCH_CONNECT);
    else conn_send(c);
    bench_room(b);
}

static struct bench_conn *conn_open(struct bench *b) {
    struct bench_conn *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    c->bench = b;
    c->state = CONN_CONNECTING;
    list_init(&c->link);
    buf_init(&c->in, 0);
    buf_init(&c->body, 0);
    sse_init(&c->events, BENCH_MAX_EVENT);
    uv_tcp_init(&b->loop, &c->tcp);
    c->tcp.data = c->connect.data = c;
    b->conn_count++;
    b->connecting++;
    return c;
}

static void begin_request(struct bench_conn *c, uint64_t number, uint64_t scheduled_us) {
    c->result = (struct bench_result){ .number = number, .scheduled_us = scheduled_us };
    c->token_us = 0;
    c->seen = 0;
    c->done_event = c->too_long = c->keep_alive = c->is_stream = false;
    buf_clear(&c->in);
    buf_clear(&c->body);
    list_append(&c->bench->busy, &c->link);
}

bool bench_has_idle(const struct bench *b) { return !list_is_empty(&b->idle); }

void bench_issue(struct bench *b, uint64_t scheduled_us) {
    uint64_t number = b->issued++;
    b->in_flight++;
    if (bench_has_idle(b)) {
        struct bench_conn *c = container_of(b->idle.next, struct bench_conn, link);
        list_remove(&c->link);
        begin_request(c, number, scheduled_us);
        conn_send(c);
        return;
    }
    struct bench_conn *c = conn_open(b);
    if (c == NULL) {
        struct bench_result r = { .error = BENCH_CONNECT, .number = number,
                                  .scheduled_us = scheduled_us, .end_us = bench_now_us() };
        bench_finished(b, &r);
        return;
    }
    begin_request(c, number, scheduled_us);
    if (uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&b->address, on_connect) != 0) {
        conn_fail(c, BENCH_CONNECT);
    }
}

void bench_expire(struct bench *b, uint64_t before_us) {
    while (!list_is_empty(&b->busy)) {
        struct bench_conn *c = container_of(b->busy.next, struct bench_conn, link);
        if (c->result.scheduled_us >= before_us) return;
        conn_fail(c, BENCH_TIMEOUT);
    }
}

void bench_close_all(struct bench *b) {
    while (!list_is_empty(&b->idle)) {
        conn_close(container_of(b->idle.next, struct bench_conn, link));
    }
    while (!list_is_empty(&b->busy)) {
        conn_close(container_of(b->busy.next, struct bench_conn, link));
    }
}
