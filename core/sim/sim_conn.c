/* sim_conn.c -- one connection of the simulated upstream.
 *
 *        +------------------------ next request ---------------------------+
 *        v                                                                 |
 *      HEAD --> BODY ----> ANSWER --> FLUSH (if the socket is behind) -----+
 *        |       ^           |                    |
 *        +--> CHUNKED        | cut, close         +--> LINGER --> CLOSED
 *                            +--> FLUSH --> LINGER
 *
 * Input.  All connections read into the server's one buffer; a request that came
 * whole is answered from there.  Only a part of one is kept, in c->in.  A chunked
 * body is decoded behind a copy of its head in c->whole, so that every request
 * reaches sim_answer_request() in one shape: head, then body.
 *
 * Output.  uv_try_write first; what the kernel does not take is copied once and
 * queued, and sim_answer_pump() says no more until it is gone.  An idle stream
 * therefore costs this struct and its answer, no buffers.
 *
 * Ending.  Closing a socket with unread input makes the kernel send RST, which
 * may overtake the answer; so we say FIN and wait (LINGER) for the client's, one
 * second at most.
 *
 * Any function may close c.  Memory is released in the close callback, so after
 * a call that may close it is enough to look at c->state. */
#include <assert.h>

#include "base/mem.h"
#include "perilune.h"
#include "sim/sim_int.h"

#define LINGER_US 1000000u

struct write {
    uv_write_t       req;
    struct sim_conn *conn;
    size_t           len;
    char             data[];
};

/* -- Closing ------------------------------------------------------------------ */

static void drop_answer(struct sim_conn *c) {
    if (c->answer == NULL) return;
    c->sim->count.answering--;
    sim_answer_free(c->answer);
    c->answer = NULL;
}

static void drop_pace(struct sim_conn *c) {
    if (c->pace == NULL) return;
    sim_disarm(c->sim, &c->pace->timer);
    buf_deinit(&c->pace->out);
    mem_free(c->pace);
    c->pace = NULL;
}

static void on_closed(uv_handle_t *h) {
    struct sim_conn *c = h->data;
    buf_deinit(&c->in);
    buf_deinit(&c->whole);
    mem_free(c);
}

/* The one place where a connection ends. */
static void conn_end(struct sim_conn *c, bool reset) {
    if (c->state == SIM_CLOSED) return;
    c->state = SIM_CLOSED;
    c->sim->count.open--;
    list_remove(&c->link);
    sim_disarm(c->sim, &c->timer);
    drop_pace(c);
    drop_answer(c);
    /* uv_tcp_close_reset refuses a handle that is shutting down. */
    if (reset && uv_tcp_close_reset(&c->tcp, on_closed) == 0) return;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void sim_conn_close(struct sim_conn *c) { conn_end(c, false); }

static void on_shutdown(uv_shutdown_t *req, int status) {
    (void)status;
    mem_free(req);
}

static void start_linger(struct sim_conn *c) {
    uv_shutdown_t *req = mem_alloc(sizeof(*req));
    if (req == NULL || uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        mem_free(req);
        sim_conn_close(c);
        return;
    }
    c->state = SIM_LINGER;
    sim_arm(c->sim, &c->timer, sim_now_us() + LINGER_US);
}

/* -- Output -------------------------------------------------------------------- */

static void conn_drained(struct sim_conn *c);

static void on_written(uv_write_t *req, int status) {
    struct write    *w = (struct write *)req;
    struct sim_conn *c = w->conn;
    c->queued -= w->len;
    mem_free(w);
    if (c->state == SIM_CLOSED) return;
    if (status < 0) sim_conn_close(c);
    else if (c->queued == 0) conn_drained(c);
}

static void queue_write(struct sim_conn *c, struct slice s) {
    struct write *w = mem_alloc(sizeof(*w) + s.len);
    if (w == NULL) {
        sim_conn_close(c);
        return;
    }
    w->conn = c;
    w->len = s.len;
    memcpy(w->data, s.ptr, s.len);
    uv_buf_t b = uv_buf_init(w->data, (unsigned)s.len);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        mem_free(w);
        sim_conn_close(c);
        return;
    }
    c->queued += s.len;
}

static void send_now(struct sim_conn *c, struct slice s) {
    while (c->queued == 0 && s.len > 0) {
        uv_buf_t b = uv_buf_init((char *)s.ptr, (unsigned)s.len);
        int      n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
        if (n == UV_EAGAIN) break;
        if (n < 0) {
            sim_conn_close(c);
            return;
        }
        s.ptr += n;
        s.len -= (size_t)n;
    }
    if (s.len > 0) queue_write(c, s);
}

void sim_conn_send(struct sim_conn *c, struct slice s) {
    if (c->state == SIM_CLOSED || s.len == 0) return;
    if (c->pace == NULL) {
        send_now(c, s);
        return;
    }
    buf_slice(&c->pace->out, s);
    if (buf_failed(&c->pace->out)) sim_conn_close(c);
    else if (c->pace->timer.slot == 0) sim_arm(c->sim, &c->pace->timer, sim_now_us());
}

bool sim_conn_is_behind(const struct sim_conn *c) {
    return c->queued > 0 || (c->pace != NULL && buf_len(&c->pace->out) > 0);
}

int sim_conn_pace(struct sim_conn *c, size_t piece, uint64_t gap_us) {
    struct sim_pace *p = mem_zalloc(sizeof(*p));
    if (p == NULL) return PERILUNE_ERR_NOMEM;
    p->timer.kind = SIM_TIMER_PACE;
    p->conn = c;
    p->piece = piece;
    p->gap_us = gap_us;
    buf_init(&p->out, 0);
    drop_pace(c);
    c->pace = p;
    return 0;
}

/* One piece goes out; the next one has its own turn. */
static void pace_step(struct sim_conn *c) {
    struct sim_pace *p = c->pace;
    struct slice     all = buf_get(&p->out);
    size_t           n = all.len < p->piece ? all.len : p->piece;
    if (c->queued == 0) {
        send_now(c, slice_of(all.ptr, n));
        if (c->state == SIM_CLOSED) return;
        buf_consume(&p->out, n);
    }
    if (buf_len(&p->out) > 0) sim_arm(c->sim, &p->timer, sim_now_us() + p->gap_us);
    else if (c->queued == 0) conn_drained(c);
}

/* -- Input ---------------------------------------------------------------------- */

static void reject(struct sim_conn *c, int status, const char *why) {
    c->close_after = true;
    sim_answer_bad(c, status, why);
}

static void send_continue(struct sim_conn *c) {
    if (c->sim->head.expect_continue) send_now(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* v: a head that was parsed into sim->head, and its body. */
static void conn_request(struct sim_conn *c, struct slice v) {
    c->state = SIM_ANSWER;
    c->close_after = !c->sim->head.keep_alive;
    sim_answer_request(c, slice_of(v.ptr, c->head_len),
                       slice_of(v.ptr + c->head_len, v.len - c->head_len));
}

static bool parse_again(struct sim_conn *c, struct slice v) {
    const char *why;
    return http_parse_request(&c->sim->head, v, 0, &why) > 0;
}

/* The three readers return the bytes they are done with; 0: need more. */

static size_t step_body(struct sim_conn *c, struct slice v) {
    if (v.len < c->need) return 0;
    if (!parse_again(c, v)) {
        sim_conn_close(c);
        return 0;
    }
    conn_request(c, slice_of(v.ptr, c->need));
    return c->need;
}

static size_t step_head(struct sim_conn *c, struct slice v) {
    const char       *why = "";
    struct http_head *head = &c->sim->head;
    int               n = http_parse_request(head, v, c->seen, &why);
    if (n == HTTP_AGAIN) {
        c->seen = v.len;
        return 0;
    }
    c->seen = 0;
    if (n < 0) {
        reject(c, -n, why);
        return v.len;
    }
    c->head_len = (size_t)n;
    if (head->chunked) {
        buf_clear(&c->whole);
        buf_put(&c->whole, v.ptr, c->head_len);
        http_chunked_init(&c->chunked);
        c->state = SIM_CHUNKED;
        send_continue(c);
        return c->head_len;
    }
    if (head->has_length && head->length > SIM_MAX_BODY) {
        reject(c, 413, "the body is over 64 MiB");
        return v.len;
    }
    c->need = c->head_len + (head->has_length ? (size_t)head->length : 0);
    if (v.len >= c->need) {
        conn_request(c, slice_of(v.ptr, c->need));
        return c->need;
    }
    c->state = SIM_BODY;
    send_continue(c);
    return 0;
}

static size_t step_chunked(struct sim_conn *c, struct slice v) {
    struct slice data = { NULL, 0 };
    bool         done = false;
    const char  *why = "";
    long         n = http_chunked_eat(&c->chunked, v, &data, &done, &why);
    if (n < 0) {
        reject(c, 400, why);
        return v.len;
    }
    if (buf_len(&c->whole) + data.len > c->head_len + SIM_MAX_BODY) {
        reject(c, 413, "the body is over 64 MiB");
        return v.len;
    }
    buf_slice(&c->whole, data);
    if (buf_failed(&c->whole)) {
        sim_conn_close(c);
        return 0;
    }
    if (done) {
        struct slice all = buf_get(&c->whole);
        if (parse_again(c, all)) conn_request(c, all);
        else sim_conn_close(c);
        if (c->state != SIM_CLOSED) buf_deinit(&c->whole);
    }
    return (size_t)n;
}

static size_t conn_step(struct sim_conn *c, struct slice v) {
    if (v.len == 0) return 0;
    switch (c->state) {
    case SIM_HEAD: return step_head(c, v);
    case SIM_BODY: return step_body(c, v);
    case SIM_CHUNKED: return step_chunked(c, v);
    default: return 0;
    }
}

/* Understands as much as possible of c->in followed by fresh. */
static void conn_feed(struct sim_conn *c, struct slice fresh) {
    bool kept = buf_len(&c->in) > 0;
    if (kept) buf_slice(&c->in, fresh);
    struct slice v = kept ? buf_get(&c->in) : fresh;

    size_t eaten = 0, n;
    c->feeding = true;
    while ((n = conn_step(c, slice_of(v.ptr + eaten, v.len - eaten))) > 0) eaten += n;
    c->feeding = false;
    if (c->state == SIM_CLOSED) return;

    if (kept) buf_consume(&c->in, eaten);
    else if (eaten < v.len) buf_put(&c->in, v.ptr + eaten, v.len - eaten);
    if (buf_failed(&c->in)) sim_conn_close(c);
    else if (buf_len(&c->in) == 0 && c->in.cap > 0) buf_deinit(&c->in);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *b) {
    struct sim_conn *c = h->data;
    (void)size;
    *b = uv_buf_init(c->sim->input, SIM_INPUT);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b) {
    struct sim_conn *c = h->data;
    if (n == 0) return;
    if (n < 0) {
        if (c->state == SIM_ANSWER || c->state == SIM_FLUSH) c->sim->count.cancelled++;
        sim_conn_close(c);
        return;
    }
    if (c->state == SIM_LINGER) return; /* whatever it still says, we are done */
    conn_feed(c, slice_of(b->base, (size_t)n));
    /* A client that pipelines without reading waits in its own socket. */
    if (c->state == SIM_ANSWER && buf_len(&c->in) > SIM_INPUT) {
        uv_read_stop(h);
        c->paused = true;
    }
}

/* -- From one request to the next ------------------------------------------------- */

static void conn_next(struct sim_conn *c) {
    drop_answer(c);
    drop_pace(c);
    if (c->reset_after) {
        conn_end(c, true);
        return;
    }
    if (c->close_after) {
        start_linger(c);
        return;
    }
    c->state = SIM_HEAD;
    if (c->paused) {
        c->paused = false;
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
    if (!c->feeding) conn_feed(c, slice_of("", 0));
}

void sim_conn_finish(struct sim_conn *c) {
    if (c->state == SIM_CLOSED) return;
    sim_disarm(c->sim, &c->timer);
    c->state = SIM_FLUSH;
    if (!sim_conn_is_behind(c)) conn_next(c);
}

static void conn_drained(struct sim_conn *c) {
    if (sim_conn_is_behind(c)) return;
    if (c->state == SIM_FLUSH) conn_next(c);
    else if (c->state == SIM_ANSWER) sim_answer_pump(c);
}

void sim_conn_timer(struct sim_timer *t) {
    if (t->kind == SIM_TIMER_PACE) {
        pace_step(container_of(t, struct sim_pace, timer)->conn);
        return;
    }
    struct sim_conn *c = container_of(t, struct sim_conn, timer);
    if (c->state == SIM_LINGER) sim_conn_close(c);
    else if (c->state == SIM_ANSWER && !sim_conn_is_behind(c)) sim_answer_pump(c);
}

/* libuv listens no further until somebody takes the connection it has: without
 * memory for one of our own, a handle in the server takes and drops it. */
static void on_refused(uv_handle_t *h) {
    struct sim *s = h->data;
    s->refusing = false;
    if (s->refused_one) sim_conn_accept(s); /* one more may have come meanwhile */
}

static void refuse(struct sim *s) {
    if (s->refusing || uv_tcp_init(&s->loop, &s->refused) != 0) return;
    s->refused.data = s;
    s->refusing = true;
    s->refused_one = uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&s->refused) == 0;
    uv_close((uv_handle_t *)&s->refused, on_refused);
}

void sim_conn_accept(struct sim *s) {
    if (s->stopping) return;
    struct sim_conn *c = mem_zalloc(sizeof(*c));
    if (c == NULL ||
        sim_heap_reserve(&s->timers, (s->count.open + 1) * SIM_TIMERS_PER_CONN) != 0) {
        mem_free(c);
        refuse(s);
        return;
    }
    c->sim = s;
    c->timer.kind = SIM_TIMER_ANSWER;
    buf_init(&c->in, 0);
    buf_init(&c->whole, 0);
    list_init(&c->link);
    if (uv_tcp_init(&s->loop, &c->tcp) != 0) {
        mem_free(c);
        return;
    }
    c->tcp.data = c;
    list_append(&s->conns, &c->link);
    if (++s->count.open > s->count.max_open) s->count.max_open = s->count.open;
    if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp) != 0 ||
        uv_tcp_nodelay(&c->tcp, 1) != 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        sim_conn_close(c);
    }
}
