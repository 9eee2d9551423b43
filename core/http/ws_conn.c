/* ws_conn.c -- one WebSocket: messages over an http_conn, from its handshake to the end of its connection.
 *
 *             OPEN ---- we close: our Close frame ----> CLOSING --- theirs, or CLOSE_MS ---> OVER
 *              |                                                                             ^
 *              +---- they close: their code back ----------------------------------------->--+
 *              +---- a rule is broken: our Close frame, and nothing more is read ---------->-+
 *
 * leave() is the one way out of OPEN: the owner hears `gone` there, once, so that what runs for the socket ends
 * although the connection may still be saying goodbye.  OVER: the connection is conn.c's again, which sends what is
 * left, our end, and drops what still comes (LINGER); then nothing of this file is left.
 *
 * One timer for all that can be too late, set to the first of: silence that wants a ping, a pong that is missing, a
 * message that does not become complete, rest that lasted too long, a Close frame that is not answered.  Bytes of any
 * kind prove that somebody is there, so they only note the time; the timer, when it fires, sees what is due.  A client
 * that takes nothing is cut by conn.c, whose deadline that is; while bytes wait to be sent no ping is added to them.
 *
 * Pings are answered at once and in their turn.  Who sends many and reads none fills the output, and is not read
 * any more (conn.c); so the pongs of one socket have a bound. */
#include "http/ws_conn.h"

#include "http/conn.h"

#define CLOSE_MS 3000 /* for their Close frame, after ours */

enum ws_conn_state { WS_CONN_OPEN, WS_CONN_CLOSING, WS_CONN_OVER };

struct ws_conn {
    enum ws_conn_state     state;
    struct http_conn      *conn;  /* NULL: gone */
    const struct ws_owner *owner; /* until OPEN is left */
    void                  *ud;
    struct ws_reader       reader;
    struct timer           due;
    uint64_t               heard_ms;   /* loop clock: the last bytes came */
    uint64_t               pinged_ms;  /* and no byte since; 0: no pong is awaited */
    uint64_t               begun_ms;   /* the message that is not complete; 0: none */
    uint64_t               rests_ms;   /* since; 0: it does not */
    uint64_t               closing_ms; /* since */
    bool                   reading;    /* ws_conn_bytes() is below us: it frees */
};

static struct loop *loop_of(const struct ws_conn *c) { return c->conn->server->loop; }

/* For members that say with 0 that there is no such time. */
static uint64_t now_of(const struct ws_conn *c) {
    uint64_t now = loop_now(loop_of(c));
    return now > 0 ? now : 1;
}

/* -- The end ------------------------------------------------------------------------------- */

static void ws_conn_free(struct ws_conn *c) {
    ws_reader_deinit(&c->reader);
    mem_free(c);
}

/* Out of OPEN. May free the owner. */
static void leave(struct ws_conn *c, enum ws_conn_state state, int code) {
    bool told = c->state != WS_CONN_OPEN;
    c->state = state;
    if (!told) c->owner->gone(c->ud, code);
}

/* Nothing more is read. May free c. */
static void over(struct ws_conn *c, int code) {
    struct http_conn *conn = c->conn;
    leave(c, WS_CONN_OVER, code);
    timer_stop(conn->server->loop, &c->due);
    c->conn = NULL;
    if (!c->reading) ws_conn_free(c);
    conn_hand_back(conn);
}

static void on_gone(void *ud) {
    struct ws_conn *c = ud;
    timer_stop(loop_of(c), &c->due);
    leave(c, WS_CONN_OVER, WS_LOST);
    c->conn = NULL;
    if (!c->reading) ws_conn_free(c);
}

static void put_close(struct ws_conn *c, int code, const char *reason) {
    ws_write_close(&c->conn->out, code, slice_str(reason));
    conn_touch(c->conn);
}

/* -- What is due ------------------------------------------------------------------------------ */

static void on_due(struct timer *t);

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* When the next of all deadlines is; UINT64_MAX: there is none. */
static uint64_t next_due(const struct ws_conn *c) {
    uint64_t at = UINT64_MAX;
    if (c->state == WS_CONN_CLOSING) return c->closing_ms + CLOSE_MS;
    const struct ws_settings *s = c->owner->settings(c->ud);
    if (c->pinged_ms > 0) at = sooner(at, c->pinged_ms + s->pong_ms);
    else if (s->ping_ms > 0) at = sooner(at, c->heard_ms + s->ping_ms);
    if (c->begun_ms > 0) at = sooner(at, c->begun_ms + s->message_ms);
    if (c->rests_ms > 0 && s->idle_ms > 0) at = sooner(at, c->rests_ms + s->idle_ms);
    return at;
}

void ws_conn_lost(struct ws_conn *c) {
    if (c->conn == NULL) return;
    c->conn->out.error = PERILUNE_ERR_NOMEM; /* as if it had not fit in there */
    conn_touch(c->conn);
}

/* A timer that fires too early is cheaper than one that is moved for every message. */
static void schedule(struct ws_conn *c) {
    uint64_t at = next_due(c), now = loop_now(loop_of(c));
    if (at == UINT64_MAX || (timer_is_running(&c->due) && c->due.at_ms <= at)) return;
    uint64_t ms = at > now ? at - now : 0;
    if (timer_start(loop_of(c), &c->due, ms, on_due) != 0) ws_conn_lost(c); /* nobody would watch it */
}

/* Ends it without waiting for an answer: who should give one is silent. */
static void give_up(struct ws_conn *c, int code, const char *reason) {
    put_close(c, code, reason);
    over(c, code);
}

static void ping(struct ws_conn *c, uint64_t now) {
    if (conn_backlog(c->conn) > 0) { /* it has not even taken what is there: conn.c watches that */
        c->heard_ms = now;
        return;
    }
    ws_write_frame(&c->conn->out, WS_PING, SLICE(""));
    conn_touch(c->conn);
    c->pinged_ms = now;
}

static void on_due(struct timer *t) {
    struct ws_conn *c = container_of(t, struct ws_conn, due);
    uint64_t now = now_of(c);
    if (c->state == WS_CONN_CLOSING) {
        if (now >= c->closing_ms + CLOSE_MS) over(c, WS_LOST);
        else schedule(c);
        return;
    }
    const struct ws_settings *s = c->owner->settings(c->ud);
    if (c->pinged_ms > 0 && now >= c->pinged_ms + s->pong_ms) give_up(c, WS_INTERNAL, "no pong came");
    else if (c->begun_ms > 0 && now >= c->begun_ms + s->message_ms)
        give_up(c, WS_POLICY, "the message did not arrive in time");
    else if (c->rests_ms > 0 && s->idle_ms > 0 && now >= c->rests_ms + s->idle_ms)
        ws_conn_close(c, WS_NORMAL, "idle");
    else {
        if (c->pinged_ms == 0 && s->ping_ms > 0 && now >= c->heard_ms + s->ping_ms) ping(c, now);
        schedule(c);
    }
}

/* -- What comes ----------------------------------------------------------------------------------- */

static void on_close_frame(struct ws_conn *c, const struct ws_event *ev) {
    if (c->state == WS_CONN_OPEN) put_close(c, ev->code == WS_NO_CODE ? WS_NORMAL : ev->code, "");
    over(c, ev->code);
}

static void on_event(struct ws_conn *c, const struct ws_event *ev) {
    switch (ev->opcode) {
    case WS_PING:
        if (c->state != WS_CONN_OPEN) break;
        ws_write_frame(&c->conn->out, WS_PONG, ev->payload);
        conn_touch(c->conn);
        break;
    case WS_CLOSE: on_close_frame(c, ev); break;
    case WS_TEXT:
    case WS_BINARY:
        if (c->state == WS_CONN_OPEN) c->owner->message(c->ud, ev->opcode, &c->reader.message); /* may close c */
        break;
    case WS_PONG:
    case WS_CONTINUATION:
    case WS_NOTHING: break;
    }
}

static void read_frames(struct ws_conn *c, struct slice s) {
    while (s.len > 0 && c->conn != NULL) {
        struct ws_event ev;
        long n = ws_read(&c->reader, s, &ev);
        if (n < 0) {
            if (c->state == WS_CONN_OPEN) put_close(c, (int)-n, c->reader.why);
            over(c, (int)-n);
            return;
        }
        s = slice_of(s.ptr + n, s.len - (size_t)n);
        on_event(c, &ev);
    }
}

static void on_bytes(void *ud, struct slice s) {
    struct ws_conn *c = ud;
    bool awaited = c->pinged_ms > 0;
    c->heard_ms = now_of(c);
    c->pinged_ms = 0;
    c->reading = true;
    read_frames(c, s);
    c->reading = false;
    if (c->conn == NULL) {
        ws_conn_free(c);
        return;
    }
    ws_reader_forget(&c->reader);
    bool inside = c->state == WS_CONN_OPEN && ws_reader_is_inside(&c->reader);
    if (!inside) c->begun_ms = 0;
    else if (c->begun_ms == 0) c->begun_ms = c->heard_ms;
    if (inside || awaited) schedule(c); /* the next deadline may be sooner than the one that is set */
}

static void on_drained(void *ud) {
    struct ws_conn *c = ud;
    if (c->state == WS_CONN_OPEN) c->owner->drained(c->ud);
}

static void on_drain(void *ud) {
    struct ws_conn *c = ud;
    if (c->state == WS_CONN_OPEN) c->owner->drain(c->ud); /* may close c */
}

static void on_evicted(void *ud) {
    struct ws_conn *c = ud;
    put_close(c, WS_TRY_LATER, "others want the place of an idle one");
    leave(c, WS_CONN_CLOSING, WS_TRY_LATER);
}

/* -- The owner's side --------------------------------------------------------------------------------- */

int ws_conn_open(struct ws_conn **out, struct http_request *r, struct slice lines, const struct ws_owner *owner,
                 void *ud) {
    static const struct http_other other = { on_bytes, on_drained, on_drain, on_evicted, on_gone };
    struct ws_conn *c = mem_zalloc(sizeof(*c));
    *out = c;
    if (c == NULL) return PERILUNE_ERR_NOMEM;
    c->conn = r->conn;
    c->owner = owner;
    c->ud = ud;
    c->heard_ms = now_of(c);
    ws_reader_init(&c->reader, true, owner->settings(ud)->max_message);
    reply_upgrade(r, SLICE("websocket"), lines, &other, c); /* frees r */
    ws_conn_rest(c, true);
    return 0;
}

enum flow ws_conn_send(struct ws_conn *c, enum ws_opcode kind, const struct slice *pieces, unsigned count) {
    struct http_conn *conn = c->conn;
    size_t len = 0;
    if (c->state != WS_CONN_OPEN) return FLOW_MORE;
    for (unsigned i = 0; i < count; i++) len += pieces[i].len;
    char *to = buf_reserve(&conn->out, WS_HEAD_MAX + len), *at = to; /* once per token: grown once, and by hand */
    if (to != NULL) {
        at += ws_put_head(at, kind, len);
        for (unsigned i = 0; i < count; i++) {
            if (pieces[i].len > 0) memcpy(at, pieces[i].ptr, pieces[i].len);
            at += pieces[i].len;
        }
        buf_advance(&conn->out, (size_t)(at - to));
    }
    conn_touch(conn);
    if (conn_backlog(conn) <= conn->server->limits.high_water) return FLOW_MORE;
    conn->was_full = 1;
    return FLOW_FULL;
}

void ws_conn_rest(struct ws_conn *c, bool rests) {
    if (c->state != WS_CONN_OPEN) return;
    c->rests_ms = rests ? now_of(c) : 0;
    conn_rest(c->conn, rests);
    if (rests) schedule(c);
}

void ws_conn_close(struct ws_conn *c, int code, const char *reason) {
    if (c->state != WS_CONN_OPEN) return;
    put_close(c, code, reason);
    conn_rest(c->conn, false);
    c->closing_ms = now_of(c);
    leave(c, WS_CONN_CLOSING, code);
    schedule(c);
}
