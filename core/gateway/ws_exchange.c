/* ws_exchange.c -- many exchanges on one WebSocket.
 *
 *     message --> ws_ask --> ws_exchange --> exchange --> events --> messages, each with the id of its request
 *                   |            ^   \ one of at most websocket.max_requests
 *                   +-- cancel --+
 *
 *     socket:    OPEN ----- the server drains -----> DRAINING ---- no request is left ----> OVER
 *                  |                                    |                                    ^
 *                  +------ the client left, a rule was broken: requests are cancelled -------+
 *
 * A request is a ws_exchange, in every way like one by HTTP (http_exchange.c): the headers of the handshake and those
 * of its message, the same routes, policies, limits, log line and counters.  What differs is how an answer is
 * written.  Its head is an event; then what it says, in pieces; then one last message, `done`, `error` or `canceled`:
 *
 *     events of a stream     {"id":7,"data":<as it came>}        one each; the end mark is `done` instead
 *     a JSON body            {"id":7,"data":<as it came>}        once
 *     anything else          {"id":7,"base64":"..."}             as it comes, each piece by itself
 *
 * What stands behind "data" is put there as it came, so it is looked at whether it is JSON: were it not, the message
 * would be none, too.  (It is sent as "text" then.)
 *
 * A request whose id is in use is refused without naming that id, or its error would be taken for the end of the other.
 *
 * Back-pressure is the socket's: above limits.high_water whoever writes is told to stop, and when the client has taken
 * enough they go on in turn, so that none of them has the socket for itself.  Reading goes on meanwhile, so a cancel is
 * heard while answers wait.
 *
 * An exchange never outlives its socket: `gone` ends all.  Nothing here is said after the last of an exchange, whose
 * memory goes when it is over. */
#include "gateway/ws_exchange.h"

#include "base/base64.h"
#include "base/err_body.h"
#include "gateway/answer_lines.h"
#include "gateway/exchange.h"
#include "gateway/http_exchange.h"
#include "gateway/ws_ask.h"
#include "gateway/ws_upgrade.h"
#include "http/ws_conn.h"
#include "llm/dialect.h"
#include "llm/sse.h"

/* ORDER: metrics->ws_closed; the last is any other. */
static const int codes[WS_CODE_COUNT] = WS_CODES;

#define EVENT_MAX (16u << 20) /* bytes of one event of a stream that no dialect reads: the default of max_event */
#define DOC_KEEP  4096        /* nodes that are kept from one look at JSON to the next */

enum socket_state { SOCKET_OPEN, SOCKET_DRAINING, SOCKET_OVER };

struct ws_socket {
    enum socket_state state;
    struct worker    *w;
    struct ws_conn   *conn;
    struct list       running; /* struct ws_exchange; who was told to go on longest ago first */
    unsigned          count;   /* of these */
    unsigned          pins;    /* frames below us that look at it again: it is not freed meanwhile */
    bool              full;    /* the client has to take what is there first */
    const char       *peer;    /* behind the lines */
    size_t            lines_len;
    char              lines[]; /* headers of the handshake */
};

/* What an answer is made of. */
enum content {
    CONTENT_FRAMES, /* of a stream that a dialect reads; or nothing yet */
    CONTENT_EVENTS, /* a stream that nobody reads: cut into events here */
    CONTENT_JSON,   /* collected */
    CONTENT_BYTES
};

struct ws_exchange {
    struct exchange   x;
    struct sink       sink;
    struct list       link;
    struct ws_socket *socket;
    enum content      content;
    bool              full;    /* told to stop */
    struct sse       *events;  /* CONTENT_EVENTS */
    struct buf        whole;   /* CONTENT_JSON */
    size_t            id_len;
    char              id[];    /* as JSON */
};

/* -- Saying something -------------------------------------------------------------------- */

static enum flow send_message(struct ws_socket *s, const struct slice *pieces, unsigned count) {
    stats_add(&s->w->metrics.ws_sent, 1);
    enum flow flow = ws_conn_send(s->conn, WS_TEXT, pieces, count);
    if (flow == FLOW_FULL) s->full = true;
    return flow;
}

/* {"id":ID,MEMBERS} in pieces: what stands in the middle is not copied twice.  name: `,"name":"..."` or empty. */
static enum flow say_named(struct ws_exchange *e, struct slice name, struct slice before, struct slice middle,
                           struct slice after) {
    struct slice pieces[] = { SLICE("{\"id\":"), slice_of(e->id, e->id_len), name, before, middle, after };
    enum flow flow = send_message(e->socket, pieces, sizeof(pieces) / sizeof(*pieces));
    if (flow == FLOW_FULL) e->full = true;
    return flow;
}

static enum flow say(struct ws_exchange *e, struct slice before, struct slice middle, struct slice after) {
    return say_named(e, SLICE(""), before, middle, after);
}

/* Lines as an object; a name that is there several times has all its values, as RFC 9110 5.2 puts them together. */
static void write_headers(struct slice lines, struct buf *out) {
    struct slice rest = lines, name, value, other, more;
    bool first = true;
    buf_putc(out, '{');
    while (headers_next(&rest, &name, &value)) {
        if (headers_find(lines, name).ptr != value.ptr) continue; /* said with the first of them */
        struct buf all;
        buf_init(&all, 0);
        buf_slice(&all, value);
        for (struct slice behind = rest; headers_next(&behind, &other, &more);) {
            if (!slice_eq_nocase(other, name)) continue;
            buf_puts(&all, ", ");
            buf_slice(&all, more);
        }
        if (!first) buf_putc(out, ',');
        first = false;
        json_write_string(out, name);
        buf_putc(out, ':');
        json_write_string(out, buf_get(&all));
        if (buf_failed(&all)) out->error = all.error;
        buf_deinit(&all);
    }
    buf_putc(out, '}');
}

/* ,"status":N,"headers":{...}  */
static void write_status(int status, struct buf *lines, struct buf *out) {
    buf_printf(out, ",\"status\":%d,\"headers\":", status);
    write_headers(buf_get(lines), out);
    if (buf_failed(lines)) out->error = lines->error;
}

/* The object that stands under "error" in the reply by HTTP. */
static void write_error(const struct failure *f, struct buf *out) {
    struct buf body;
    struct json_doc doc = { .nodes = NULL };
    buf_init(&body, 0);
    err_body_write(f, &body);
    uint32_t n = JSON_NONE;
    if (!buf_failed(&body) && json_parse(&doc, buf_get(&body), &(struct json_error){ 0 }) == 0 &&
        json_type(&doc, 0) == JSON_OBJECT)
        n = json_get(&doc, 0, SLICE("error"));
    buf_puts(out, ",\"error\":");
    if (n != JSON_NONE) buf_slice(out, json_raw(&doc, n));
    else out->error = PERILUNE_ERR_NOMEM;
    json_deinit(&doc);
    buf_deinit(&body);
}

/* A last message that found no memory: the socket closes, or somebody would wait for ever. */
static void say_last(struct ws_exchange *e, struct buf *members) {
    if (buf_failed(members)) ws_conn_lost(e->socket->conn);
    else say(e, SLICE(",\"event\":"), buf_get(members), SLICE("}"));
}

/* -- An answer ----------------------------------------------------------------------------- */

static bool is_json_type(struct slice type) {
    const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    struct slice name = slice_trim(slice_of(type.ptr, semicolon ? (size_t)(semicolon - type.ptr) : type.len));
    return slice_eq_nocase(name, SLICE("application/json")) ||
           (name.len > 5 && slice_eq_nocase(slice_of(name.ptr + name.len - 5, 5), SLICE("+json")));
}

static bool is_json(struct worker *w, struct slice s) {
    bool ok = json_parse(&w->ws_doc, s, &(struct json_error){ 0 }) == 0;
    if (w->ws_doc.cap > DOC_KEEP) json_deinit(&w->ws_doc);
    return ok;
}

static enum flow say_base64(struct ws_exchange *e, struct slice s) {
    struct buf b;
    enum flow flow = FLOW_MORE;
    if (s.len == 0) return flow;
    buf_init(&b, 0);
    base64_write(&b, s);
    if (buf_failed(&b)) ws_conn_lost(e->socket->conn); /* an answer with a hole in it is none */
    else flow = say(e, SLICE(",\"base64\":\""), buf_get(&b), SLICE("\"}"));
    buf_deinit(&b);
    return flow;
}

/* What should be JSON, and is not. */
static enum flow say_text(struct ws_exchange *e, struct slice name, struct slice text) {
    struct buf b;
    enum flow flow = FLOW_MORE;
    buf_init(&b, 0);
    json_write_string(&b, text);
    if (buf_failed(&b)) ws_conn_lost(e->socket->conn);
    else flow = say_named(e, name, SLICE(",\"text\":"), buf_get(&b), SLICE("}"));
    buf_deinit(&b);
    return flow;
}

/* What should be JSON: as it came. */
static enum flow say_data(struct ws_exchange *e, struct slice name, struct slice data) {
    if (is_json(e->socket->w, data)) return say_named(e, name, SLICE(",\"data\":"), data, SLICE("}"));
    if (utf8_valid_prefix(data) == data.len) return say_text(e, name, data);
    return say_base64(e, data);
}

static enum content content_of(const struct ws_exchange *e, const struct event *ev) {
    struct slice type = ev->content_type;
    bool coded = e->x.dialect == NULL && headers_find(ev->headers, SLICE("content-encoding")).ptr != NULL;
    if (coded) return CONTENT_BYTES; /* nobody here decodes it */
    if (slice_starts_nocase(type, SLICE("text/event-stream")))
        return e->x.dialect != NULL ? CONTENT_FRAMES : CONTENT_EVENTS;
    return is_json_type(type) || e->x.dialect != NULL ? CONTENT_JSON : CONTENT_BYTES;
}

/* False, and e is over. */
static bool make_place(struct ws_exchange *e) {
    buf_init(&e->whole, e->x.gen->config->lua.max_answer);
    if (e->content != CONTENT_EVENTS) return true;
    e->events = mem_alloc(sizeof(*e->events));
    if (e->events == NULL) {
        exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory"); /* frees e */
        return false;
    }
    sse_init(e->events, EVENT_MAX);
    return true;
}

static enum flow on_head(struct ws_exchange *e, const struct event *ev) {
    struct buf lines, members;
    enum flow flow = FLOW_MORE;
    e->content = content_of(e, ev);
    if (!make_place(e)) return flow;
    buf_init(&lines, 0);
    buf_init(&members, 0);
    answer_lines(&e->x, ev->content_type, &lines);
    e->x.committed = true;
    e->x.status = ev->status;
    write_status(ev->status, &lines, &members);
    if (buf_failed(&members)) ws_conn_lost(e->socket->conn);
    else flow = say(e, SLICE(",\"event\":\"head\""), buf_get(&members), SLICE("}"));
    buf_deinit(&lines);
    buf_deinit(&members);
    return flow;
}

/* An event of a stream that nobody has read before us. */
static int on_sse(void *ud, const struct sse_event *ev) {
    struct ws_exchange *e = ud;
    if (ev->data.len == 0 || slice_eq(slice_trim(ev->data), SLICE("[DONE]"))) return 0;
    struct buf named;
    buf_init(&named, 0);
    if (ev->name.len > 0) {
        buf_puts(&named, ",\"name\":");
        json_write_string(&named, ev->name);
    }
    if (buf_failed(&named)) ws_conn_lost(e->socket->conn);
    say_data(e, buf_get(&named), ev->data);
    buf_deinit(&named);
    return 0;
}

static enum flow flow_of(const struct ws_exchange *e) { return e->full ? FLOW_FULL : FLOW_MORE; }

static enum flow on_unread(struct ws_exchange *e, struct slice s) {
    int rc = sse_feed(e->events, s, on_sse, e);
    if (rc == 0) return flow_of(e);
    if (rc == PERILUNE_ERR_LIMITED)
        exchange_fail(&e->x, FAILURE_MALFORMED, "the upstream sent an event that is larger than 16 MiB");
    else exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory");
    return FLOW_MORE;
}

static enum flow on_bytes(struct ws_exchange *e, struct slice s) {
    switch (e->content) {
    case CONTENT_EVENTS: return on_unread(e, s);
    case CONTENT_BYTES: return say_base64(e, s);
    case CONTENT_FRAMES: /* a policy that answers a stream with bytes of its own */
    case CONTENT_JSON: break;
    }
    buf_slice(&e->whole, s);
    if (!buf_failed(&e->whole)) return FLOW_MORE;
    if (e->whole.error == PERILUNE_ERR_LIMITED)
        exchange_fail(&e->x, FAILURE_ANSWER_TOO_LARGE, "the answer is larger than may be kept (upstreams.*.max_body)");
    else exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory");
    return FLOW_MORE;
}

static enum flow on_frame(struct ws_exchange *e, struct slice data) {
    if (data.len == 0 || (e->x.dialect != NULL && dialect_is_end(e->x.dialect, data))) return flow_of(e);
    return say_data(e, SLICE(""), data);
}

static void on_end(struct ws_exchange *e) {
    if (e->events != NULL) sse_finish(e->events, on_sse, e);
    if (buf_len(&e->whole) > 0) say_data(e, SLICE(""), buf_get(&e->whole));
    say(e, SLICE(",\"event\":"), SLICE("\"done\""), SLICE("}"));
}

static void on_error(struct ws_exchange *e, const struct failure *f) {
    struct buf lines, members;
    buf_init(&lines, 0);
    buf_init(&members, 0);
    answer_error_lines(&e->x, f, &lines);
    buf_puts(&members, "\"error\"");
    write_status(f->status, &lines, &members);
    write_error(f, &members);
    say_last(e, &members);
    buf_deinit(&lines);
    buf_deinit(&members);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct ws_exchange *e = container_of(k, struct ws_exchange, sink);
    switch (ev->type) {
    case EVENT_HEAD: return on_head(e, ev);
    case EVENT_FRAME: return on_frame(e, ev->data);
    case EVENT_BYTES: return on_bytes(e, ev->raw);
    case EVENT_END: on_end(e); break;
    case EVENT_ERROR: on_error(e, ev->failure); break;
    }
    return FLOW_MORE;
}

/* -- A request ------------------------------------------------------------------------------- */

static void understood(struct exchange *x) { (void)x; }

/* A request less. May free s. */
static void settle(struct ws_socket *s) {
    if (s->state == SOCKET_OVER || s->count > 0) return;
    if (s->state == SOCKET_DRAINING) ws_conn_close(s->conn, WS_GOING_AWAY, "the gateway is shutting down");
    else ws_conn_rest(s->conn, true);
}

static void free_exchange(struct exchange *x) {
    struct ws_exchange *e = container_of(x, struct ws_exchange, x);
    struct ws_socket *s = e->socket;
    if (e->events != NULL) sse_deinit(e->events);
    mem_free(e->events);
    buf_deinit(&e->whole);
    list_remove(&e->link);
    s->count--;
    mem_free(e);
    settle(s); /* may free s */
}

static const struct exchange_ops ops = { understood, free_exchange, NULL };

/* Appends those lines of `from` whose names `over` has not; false: there is no room for more. */
static bool add_headers(struct request *req, unsigned most, struct slice from, struct slice over) {
    struct slice name, value;
    while (headers_next(&from, &name, &value)) {
        if (over.len > 0 && headers_find(over, name).ptr != NULL) continue;
        if (req->header_count == most) return false;
        req->headers[req->header_count++] = (struct http_header){ name, value };
    }
    return true;
}

static unsigned lines_in(struct slice lines) {
    unsigned n = 0;
    for (struct slice name, value; headers_next(&lines, &name, &value);) n++;
    return n;
}

/* Fills the request from the handshake and the message. False: no memory. */
static bool fill(struct ws_exchange *e, const struct ws_ask *a) {
    struct request *req = e->x.req;
    struct slice shared = slice_of(e->socket->lines, e->socket->lines_len);
    const char *path = arena_dup(&req->arena, a->path), *query = arena_dup(&req->arena, a->query);
    const char *method = arena_dup(&req->arena, a->method), *own = arena_dup(&req->arena, a->headers);
    unsigned most = lines_in(shared) + lines_in(a->headers) + 1;
    req->headers = arena_alloc(&req->arena, most * sizeof(*req->headers));
    if (path == NULL || query == NULL || method == NULL || own == NULL || req->headers == NULL) return false;
    req->method = slice_of(method, a->method.len);
    req->path = slice_of(path, a->path.len);
    req->query = slice_of(query, a->query.len);
    req->peer = e->socket->peer;
    struct slice mine = slice_of(own, a->headers.len);
    bool room = add_headers(req, most, mine, SLICE("")) && add_headers(req, most, shared, mine);
    static const struct slice type = SLICE("content-type: application/json\r\n");
    if (a->body_len > 0) room &= add_headers(req, most, type, mine);
    return room;
}

static struct ws_exchange *ws_exchange_new(struct ws_socket *s, const struct ws_ask *a) {
    struct ws_exchange *e = mem_zalloc(sizeof(*e) + a->id.len);
    if (e == NULL || exchange_init(&e->x, s->w, s->w->gen, &ops, &e->sink, loop_hrtime_us()) != 0) {
        mem_free(e);
        return NULL;
    }
    e->sink.event = on_event;
    e->x.via = "websocket";
    e->socket = s;
    e->id_len = a->id.len;
    memcpy(e->id, a->id.ptr, a->id.len);
    list_append(&s->running, &e->link);
    if (s->count++ == 0) ws_conn_rest(s->conn, false);
    return e;
}

static struct ws_exchange *running(const struct ws_socket *s, struct slice id) {
    for (const struct list *l = s->running.next; l != &s->running; l = l->next) {
        struct ws_exchange *e = container_of((struct list *)(uintptr_t)l, struct ws_exchange, link);
        if (slice_eq(slice_of(e->id, e->id_len), id)) return e;
    }
    return NULL;
}

/* What never became a request.  id: empty when it cannot be told whose it was. */
static void refuse(struct ws_socket *s, struct slice id, const struct failure *f) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"id\":");
    if (id.len > 0) buf_slice(&b, id);
    else buf_puts(&b, "null");
    buf_printf(&b, ",\"event\":\"error\",\"status\":%d,\"headers\":{}", f->status);
    write_error(f, &b);
    buf_putc(&b, '}');
    stats_add(&s->w->metrics.status[f->status], 1);
    stats_add(&s->w->metrics.ws_refused, 1);
    struct slice all = buf_get(&b);
    if (buf_failed(&b)) ws_conn_lost(s->conn);
    else send_message(s, &all, 1);
    buf_deinit(&b);
}

/* Why a request cannot begin now, although it is one. */
static bool may_begin(const struct ws_socket *s, struct failure *f) {
    unsigned most = s->w->gen->config->websocket.max_requests;
    if (s->state != SOCKET_OPEN || s->w->server.draining)
        failure_set(f, FAILURE_DRAINING, "the gateway is shutting down; connect again");
    else if (s->count >= most) {
        failure_set(f, FAILURE_INVALID_REQUEST, "a socket may have %u requests at once (websocket.max_requests)", most);
        f->status = 429;
        snprintf(f->code, sizeof(f->code), "too_many_requests");
    } else return true;
    return false;
}

static void cancel(struct ws_socket *s, struct slice id) {
    struct ws_exchange *e = running(s, id);
    if (e == NULL) return; /* its last message is on its way: the client will see that it was too late */
    say(e, SLICE(",\"event\":"), SLICE("\"canceled\""), SLICE("}"));
    exchange_gone(&e->x);
}

/* Takes the bytes of the message, whose middle is the body. */
static void begin(struct ws_socket *s, const struct ws_ask *a, struct buf *bytes) {
    struct ws_exchange *e = ws_exchange_new(s, a);
    if (e == NULL) {
        struct failure f;
        failure_init(&f);
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
        refuse(s, a->id, &f);
        return;
    }
    if (!fill(e, a)) {
        exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    exchange_propose_id(&e->x, headers_find(a->headers, SLICE("x-request-id")));
    struct buf body = *bytes;
    buf_init(bytes, bytes->limit);
    body.mark += a->body_at;
    body.len = body.mark + a->body_len;
    body.limit = 0;
    exchange_begin(&e->x, &body); /* may end e, and s with it */
    buf_deinit(&body);
}

/* -- The socket's side --------------------------------------------------------------------------- */

static void on_ask(struct ws_socket *s, struct buf *bytes) {
    const struct websocket *set = &s->w->gen->config->websocket;
    struct ws_ask a;
    struct failure f;
    failure_init(&f);
    bool good = ws_ask_read(&a, buf_get(bytes), &set->headers, &f);
    bool known = a.id.len > 0 && running(s, a.id) != NULL;
    if (good && a.cancel) cancel(s, a.id);
    else if (good && !known && may_begin(s, &f)) begin(s, &a, bytes); /* may free s */
    else if (known && good) {
        failure_set(&f, FAILURE_INVALID_REQUEST, "a request with the id %.*s is under way", (int)a.id.len, a.id.ptr);
        f.status = 409;
        snprintf(f.code, sizeof(f.code), "duplicate_id");
        snprintf(f.param, sizeof(f.param), "id");
        refuse(s, SLICE(""), &f);
    } else if (f.kind == FAILURE_NO_MEMORY && a.id.len == 0) {
        ws_conn_lost(s->conn); /* whoever waits for it would wait for ever */
    } else {
        refuse(s, known ? SLICE("") : a.id, &f);
    }
    failure_deinit(&f);
    ws_ask_deinit(&a);
}

static void on_message(void *ud, enum ws_opcode kind, struct buf *bytes) {
    struct ws_socket *s = ud;
    stats_add(&s->w->metrics.ws_received, 1);
    if (kind == WS_TEXT) on_ask(s, bytes);
    else ws_conn_close(s->conn, WS_UNSUPPORTED, "messages are JSON, which is text"); /* frees s */
}

/* One after the other, until the socket is full again; who has had a turn stands last. */
static void on_drained(void *ud) {
    struct ws_socket *s = ud;
    s->full = false;
    s->pins++;
    for (unsigned left = s->count; left > 0 && !s->full && !list_is_empty(&s->running); left--) {
        struct ws_exchange *e = container_of(s->running.next, struct ws_exchange, link);
        list_remove(&e->link);
        list_append(&s->running, &e->link);
        if (!e->full) continue;
        e->full = false;
        exchange_resume(&e->x); /* may end e, and the socket with the last */
    }
    s->pins--;
    if (s->state == SOCKET_OVER) mem_free(s);
}

static void on_drain(void *ud) {
    struct ws_socket *s = ud;
    s->state = SOCKET_DRAINING;
    settle(s); /* may free s */
}

static unsigned code_slot(int code) {
    unsigned i = 0;
    while (i + 1 < WS_CODE_COUNT && codes[i] != code) i++;
    return i;
}

static void on_gone(void *ud, int code) {
    struct ws_socket *s = ud;
    struct metrics *m = &s->w->metrics;
    s->state = SOCKET_OVER;
    while (!list_is_empty(&s->running))
        exchange_gone(&container_of(s->running.next, struct ws_exchange, link)->x);
    atomic_fetch_sub_explicit(&m->ws_open, 1, memory_order_relaxed);
    stats_add(&m->ws_closed[code_slot(code)], 1);
    if (s->pins == 0) mem_free(s);
}

static const struct ws_settings *settings(void *ud) {
    const struct ws_socket *s = ud;
    return &s->w->gen->config->websocket.socket;
}

static const struct ws_owner owner = { settings, on_message, on_drained, on_drain, on_gone };

/* -- Opening ---------------------------------------------------------------------------------------- */

static void answer_refusal(struct worker *w, struct http_request *r, int status, const char *why, struct buf *lines) {
    struct buf body;
    buf_init(&body, 0);
    http_exchange_refused(w, status, why, &body);
    headers_put(lines, SLICE("content-type"), SLICE("application/json"));
    if (status == 503) headers_put(lines, SLICE("retry-after"), SLICE("1"));
    if (buf_failed(lines) || buf_failed(&body)) reply_lost(r);
    reply_send(r, status, buf_get(lines), buf_get(&body));
    buf_deinit(&body);
}

/* NULL: no memory. */
static struct ws_socket *socket_new(struct worker *w, const char *peer, struct slice lines) {
    struct ws_socket *s = mem_zalloc(sizeof(*s) + lines.len + strlen(peer) + 1);
    if (s == NULL) return NULL;
    list_init(&s->running);
    s->w = w;
    s->lines_len = lines.len;
    memcpy(s->lines, lines.ptr, lines.len);
    memcpy(s->lines + lines.len, peer, strlen(peer) + 1);
    s->peer = s->lines + lines.len;
    return s;
}

static bool open_socket(struct worker *w, struct http_request *r, struct slice kept, struct slice lines) {
    struct ws_socket *s = socket_new(w, r->peer, kept);
    if (s == NULL) return false;
    if (ws_conn_open(&s->conn, r, lines, &owner, s) != 0) {
        mem_free(s);
        return false;
    }
    stats_add(&w->metrics.ws_accepted, 1);
    stats_add(&w->metrics.status[101], 1);
    atomic_fetch_add_explicit(&w->metrics.ws_open, 1, memory_order_relaxed);
    return true;
}

bool ws_exchange_take(struct worker *w, struct http_request *r) {
    const struct config *c = w->gen ? w->gen->config : NULL;
    if (c == NULL || c->websocket.path == NULL || !slice_eq(r->path, slice_str(c->websocket.path))) return false;
    struct ws_handshake h;
    struct buf kept, lines;
    buf_init(&kept, 0);
    buf_init(&lines, 0);
    ws_upgrade(c, r, &h, &kept, &lines);
    bool failed = buf_failed(&kept) || buf_failed(&lines);
    if (w->server.draining) answer_refusal(w, r, 503, "the gateway is shutting down", &lines);
    else if (failed || (h.status == 101 && !open_socket(w, r, buf_get(&kept), buf_get(&lines))))
        answer_refusal(w, r, 503, "out of memory", &lines);
    else if (h.status != 101) answer_refusal(w, r, h.status, h.why, &lines);
    buf_deinit(&kept);
    buf_deinit(&lines);
    return true;
}
