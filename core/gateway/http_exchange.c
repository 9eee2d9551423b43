/* http_exchange.c -- an exchange that a client's HTTP connection asked for.
 *
 *     connection --> http_request --> exchange --> events --> reply
 *
 * Everything about an answer that is HTTP: the head with its headers, an error as a reply
 * or, when the head is gone, as an event of the stream; and what keeps a stream alive.
 *
 * While a stream is silent, a comment goes out every keepalive_comment seconds, so that
 * proxies in between do not give up; those of the upstream end in the reader of its
 * events.  One that comes before the answer commits the status 200 and the shape: a
 * failure after it is an event in the stream, and an answer that comes whole is told as a
 * chunk (`retold`).
 *
 * What policies name among the headers of an answer stands in place of the gateway's own
 * line; what all replies to a request say, whoever gives them, is decided when its head is
 * here (cors.c).  A browser's preflight is answered without an exchange.
 *
 * The connection's request is its own until its reply ended, or `gone` came. */
#include "gateway/http_exchange.h"

#include <stdio.h>

#include "base/err_body.h"
#include "flow/headers.h"
#include "gateway/answer_lines.h"
#include "gateway/batch_desk.h"
#include "gateway/exchange.h"
#include "gateway/job_desk.h"
#include "gateway/served.h"
#include "http/coding.h"
#include "http/field.h"
#include "http/path.h"
#include "llm/dialect.h"

struct http_exchange {
    struct exchange      x;
    struct sink          sink;
    struct http_request *http;    /* NULL once replied or gone */
    struct job_desk     *desk;    /* it is asked about jobs; NULL: it is not */
    struct batch_desk   *batches; /* the same of files and batches */
    struct timer         comment;
    bool                 frames;  /* the answer is a text/event-stream, which events of ours may end */
    uint64_t             heard_ms; /* loop clock: when something was sent last */
    bool                 begun;   /* a comment went out first */
    bool                 full;    /* the client has to take what is there first */
    bool                 retold;
    char                 last[6]; /* bytes of a stream that is passed on */
    uint64_t             sequence;   /* of a stream that is passed on: behind the last sequence_number in it */
    bool                 unfinished; /* bytes of a stream went out, and the last of them end no event */
};

/* -- Replying ----------------------------------------------------------------------------- */

static void send_head(struct http_exchange *e, int status, struct slice type, size_t length) {
    struct exchange *x = &e->x;
    struct buf h;
    buf_init(&h, 0);
    buf_reserve(&h, 320);
    answer_lines(x, type, &h);
    x->committed = true;
    x->status = status;
    timer_stop(x->w->loop, &e->comment);
    if (buf_failed(&h)) reply_lost(e->http); /* half a head is none */
    reply_head(e->http, status, buf_get(&h), length);
    buf_deinit(&h);
}

static void reply_error(struct http_exchange *e, const struct failure *f) {
    const struct exchange *x = &e->x;
    struct buf body, h;
    buf_init(&body, 0);
    buf_init(&h, 0);
    err_body_write(f, &body);
    answer_error_lines(x, f, &h);
    if (buf_failed(&h) || buf_failed(&body)) reply_lost(e->http);
    reply_send(e->http, f->status, buf_get(&h), buf_get(&body));
    buf_deinit(&body);
    buf_deinit(&h);
}

/* -- The answer, event by event ------------------------------------------------------------------- */

static void comment_due(struct timer *t) {
    struct http_exchange *e = container_of(t, struct http_exchange, comment);
    struct loop *loop = e->x.w->loop;
    uint64_t now = loop_now(loop), ms = e->x.gen->config->comment_ms;
    if (e->http == NULL) return;
    if (now - e->heard_ms < ms) { /* not silent for long */
        timer_start(loop, t, e->heard_ms + ms - now, comment_due);
        return;
    }
    if (!e->x.committed) {
        send_head(e, 200, SLICE("text/event-stream"), REPLY_CHUNKED);
        e->begun = true;
    }
    if (!e->full && !e->unfinished) e->full = reply_body(e->http, SLICE(": keepalive\n\n")) == FLOW_FULL;
    e->heard_ms = now;
    timer_start(loop, t, ms, comment_due);
}

/* Streams only: between events a comment may stand. */
static void comment_later(struct http_exchange *e) {
    uint64_t ms = e->x.gen->config->comment_ms;
    e->heard_ms = loop_now(e->x.w->loop);
    if (e->x.stream && ms > 0) timer_start(e->x.w->loop, &e->comment, ms, comment_due);
}

static enum flow on_frame(struct http_exchange *e, const struct event *ev) {
    e->heard_ms = loop_now(e->x.w->loop);
    enum flow flow = reply_body(e->http, ev->raw);
    e->full = flow == FLOW_FULL;
    return flow;
}

/* Text of ours between coded bytes would be garbage to who decodes them. */
static bool takes_events(const struct http_exchange *e, const struct event *ev) {
    bool coded = e->x.dialect == NULL && headers_find(ev->headers, SLICE("content-encoding")).ptr != NULL;
    return !coded && slice_starts(ev->content_type, SLICE("text/event-stream"));
}

static enum flow on_head(struct http_exchange *e, const struct event *ev) {
    e->frames = takes_events(e, ev);
    if (e->x.committed) return FLOW_MORE; /* a comment came first: 200 is said */
    if (e->x.dialect != NULL && !e->frames) return FLOW_MORE; /* with its length, when the body is here */
    /* A stream may end with an event of ours, which its length has no room for. */
    send_head(e, ev->status, ev->content_type, ev->has_length && !e->frames ? ev->length : REPLY_CHUNKED);
    if (e->frames) comment_later(e);
    return FLOW_MORE;
}

/* A whole answer behind a comment, as a frame.  False, and the exchange is over. */
static bool retell(struct http_exchange *e, struct slice whole, struct buf *out) {
    struct json_doc doc = { .nodes = NULL };
    int rc = json_parse(&doc, whole, &(struct json_error){ 0 });
    bool told = rc == 0 && e->x.dialect->write_whole != NULL &&
                e->x.dialect->write_whole(out, &doc, e->x.req->body->chat.wants_usage);
    json_deinit(&doc);
    e->retold = told;
    if (rc == PERILUNE_ERR_NOMEM || buf_failed(out))
        exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory");
    else if (!told)
        exchange_fail(&e->x, FAILURE_MALFORMED, "the stream had begun, and the answer is not a chat completion");
    else return true;
    return false;
}

/* What a stream that nobody reads said last, but for white space. */
static void note_end(struct http_exchange *e, struct slice s) {
    char last[sizeof(e->last)];
    size_t n = 0;
    while (s.len > 0 && n < sizeof(last)) {
        char c = s.ptr[--s.len];
        if (c != ' ' && c != '\r' && c != '\n') last[sizeof(last) - ++n] = c;
    }
    memmove(e->last, e->last + n, sizeof(last) - n);
    memcpy(e->last + sizeof(last) - n, last + sizeof(last) - n, n);
}

static bool said_done(const struct http_exchange *e) {
    return e->frames && e->x.dialect == NULL && memcmp(e->last, "[DONE]", sizeof(e->last)) == 0;
}

/* What OpenAI's responses number their events with.  (One that is cut over two pieces is not seen: nothing
 * hangs on it but the number of an event that tells of a failure.) */
static void note_sequence(struct http_exchange *e, struct slice s) {
    static const struct slice key = SLICE("\"sequence_number\":");
    const char *at;
    while ((at = memmem(s.ptr, s.len, key.ptr, key.len)) != NULL) {
        s = slice_of(at + key.len, s.len - (size_t)(at - s.ptr) - key.len);
        uint64_t n = 0;
        size_t i = 0;
        while (i < s.len && s.ptr[i] == ' ') i++;
        for (; i < s.len && n < UINT32_MAX && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
            n = 10 * n + (uint64_t)(s.ptr[i] - '0');
        e->sequence = n + 1;
    }
}

static enum flow on_bytes(struct http_exchange *e, const struct event *ev) {
    if (e->x.dialect != NULL && !e->x.committed) send_head(e, e->x.status, SLICE("application/json"), ev->raw.len);
    if (e->frames && e->x.dialect == NULL) {
        note_end(e, ev->raw);
        note_sequence(e, ev->raw);
    }
    e->unfinished = !slice_ends(ev->raw, SLICE("\n\n")) && !slice_ends(ev->raw, SLICE("\n\r\n"));
    if (!e->begun || e->frames) return reply_body(e->http, ev->raw);
    struct buf out;
    buf_init(&out, 0);
    enum flow flow = FLOW_MORE;
    if (retell(e, ev->raw, &out)) flow = reply_body(e->http, buf_get(&out));
    buf_deinit(&out);
    return flow;
}

static void on_end(struct http_exchange *e) {
    if (!e->x.committed) send_head(e, e->x.status, SLICE(""), 0);
    if (e->retold) {
        struct buf out;
        buf_init(&out, 0);
        dialect_write_event(&out, e->x.dialect->end_mark);
        if (buf_failed(&out)) reply_lost(e->http);
        reply_body(e->http, buf_get(&out));
        buf_deinit(&out);
    }
    reply_end(e->http);
}

/* A reply; when the head is gone, an event, and the end of the stream without its end mark.  Were
 * the body of a stream cut, an SDK would raise an error about the connection instead of ours; any
 * other body must be cut. */
static void on_error(struct http_exchange *e, const struct failure *f) {
    if (!e->x.committed) {
        reply_error(e, f);
        return;
    }
    if (said_done(e)) { /* to its reader it is complete, however the connection ended */
        reply_end(e->http);
        return;
    }
    if (!e->frames && !e->begun) {
        reply_abort(e->http);
        return;
    }
    struct buf b, data;
    buf_init(&b, 0);
    buf_init(&data, 0);
    if (e->x.dialect != NULL) e->x.dialect->write_error(&data, f);
    else {
        failure_write_event_json(&data, f, e->sequence);
        buf_puts(&b, e->unfinished ? "\n\nevent: error\n" : "event: error\n");
    }
    dialect_write_event(&b, buf_get(&data));
    if (buf_failed(&data)) b.error = data.error;
    buf_deinit(&data);
    if (buf_failed(&b)) reply_lost(e->http); /* an end without the event would look complete */
    reply_body(e->http, buf_get(&b));
    reply_end(e->http);
    buf_deinit(&b);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct http_exchange *e = container_of(k, struct http_exchange, sink);
    switch (ev->type) {
    case EVENT_HEAD: return on_head(e, ev);
    case EVENT_FRAME: return on_frame(e, ev);
    case EVENT_BYTES: return on_bytes(e, ev);
    case EVENT_END: on_end(e); break;
    case EVENT_ERROR: on_error(e, ev->failure); break;
    }
    e->http = NULL; /* replied */
    return FLOW_MORE;
}

/* -- The exchange's side ------------------------------------------------------------------------ */

static void understood(struct exchange *x) {
    struct http_exchange *e = container_of(x, struct http_exchange, x);
    comment_later(e);
}

static void free_exchange(struct exchange *x) {
    struct http_exchange *e = container_of(x, struct http_exchange, x);
    timer_stop(x->w->loop, &e->comment);
    job_desk_free(e->desk);
    batch_desk_free(e->batches);
    mem_free(e);
}

static void admitted(struct exchange *x) {
    struct http_exchange *e = container_of(x, struct http_exchange, x);
    if (e->batches != NULL) batch_desk_admitted(e->batches);
    else job_desk_admitted(e->desk);
}

static struct http_exchange *http_exchange_new(struct worker *w, struct http_request *r) {
    static const struct exchange_ops ops = { understood, free_exchange, NULL };
    static const struct exchange_ops desk_ops = { understood, free_exchange, admitted };
    enum served by = served_by(w->gen->config, r->path);
    bool jobs = by == SERVED_JOBS, batches = by == SERVED_FILES || by == SERVED_BATCHES, desk = jobs || batches;
    struct http_exchange *e = mem_zalloc(sizeof(*e));
    if (e != NULL && jobs) e->desk = job_desk_new(&e->x);
    if (e != NULL && batches) e->batches = batch_desk_new(&e->x);
    if (e != NULL && desk && e->desk == NULL && e->batches == NULL) {
        mem_free(e);
        return NULL;
    }
    if (e == NULL || exchange_init(&e->x, w, w->gen, desk ? &desk_ops : &ops, &e->sink, r->start_us) != 0) {
        if (e != NULL) job_desk_free(e->desk), batch_desk_free(e->batches);
        mem_free(e);
        return NULL;
    }
    e->sink.event = on_event;
    e->http = r;
    r->user = e;
    struct request *req = e->x.req;
    req->method = r->method;
    req->path = r->path;
    req->query = r->query;
    req->headers = r->headers;
    req->header_count = r->header_count;
    req->peer = r->peer;
    exchange_propose_id(&e->x, http_request_header(r, SLICE("x-request-id")));
    return e;
}

/* -- The server's side ----------------------------------------------------------------------------- */

void http_exchange_head(void *ud, struct http_request *r) {
    struct worker *w = ud;
    if (w->gen == NULL || w->gen->config->cors.origin_count == 0) return;
    struct buf lines;
    buf_init(&lines, 0);
    cors_lines(&w->gen->config->cors, http_request_header(r, SLICE("origin")), &lines);
    const char *copy = buf_failed(&lines) ? NULL : arena_dup(&r->arena, buf_get(&lines));
    if (copy != NULL) r->lines = slice_of(copy, buf_len(&lines));
    buf_deinit(&lines);
}

/* A browser asks whether a page may send a request: no exchange, no policies. */
static bool answer_preflight(struct worker *w, struct http_request *r) {
    const struct cors *c = &w->gen->config->cors;
    struct slice origin = http_request_header(r, SLICE("origin"));
    if (!cors_is_preflight(c, r->method, origin, http_request_header(r, SLICE("access-control-request-method"))))
        return false;
    struct buf h, body;
    buf_init(&h, 0);
    buf_init(&body, 0);
    bool may = cors_preflight(c, origin, http_request_header(r, SLICE("access-control-request-headers")), &h);
    int status = may ? 204 : 403;
    if (may) stats_add(&w->metrics.status[status], 1);
    else http_exchange_refused(w, status, "pages of this origin may not call here (cors.origins)", &body);
    if (!may) buf_puts(&h, "content-type: application/json\r\n");
    if (buf_failed(&h) || buf_failed(&body)) reply_lost(r);
    reply_send(r, status, buf_get(&h), buf_get(&body));
    buf_deinit(&h);
    buf_deinit(&body);
    return true;
}

void http_exchange_plain(struct http_request *r) {
    const char *ignored; /* the exchange says why it does not take the path */
    if (r->path.len > 0 && memchr(r->path.ptr, '%', r->path.len) != NULL)
        http_path_normalize(&r->path, &r->arena, &ignored);
}

void http_exchange_request(void *ud, struct http_request *r) {
    struct worker *w = ud;
    if (w->gen != NULL && answer_preflight(w, r)) return;
    struct http_exchange *e = w->gen ? http_exchange_new(w, r) : NULL;
    if (e != NULL) {
        if (e->batches != NULL) batch_desk_begin(e->batches, &r->body);
        else if (e->desk != NULL) job_desk_begin(e->desk, &r->body);
        else exchange_begin(&e->x, &r->body);
        return;
    }
    struct buf body;
    buf_init(&body, 0);
    http_exchange_refused(w, 503, w->gen ? "out of memory" : "no configuration is loaded yet", &body);
    reply_send(r, 503, SLICE("content-type: application/json\r\nretry-after: 1\r\n"), buf_get(&body));
    buf_deinit(&body);
}

void http_exchange_gone(void *ud, struct http_request *r) {
    (void)ud;
    struct http_exchange *e = r->user;
    if (e == NULL) return;
    e->http = NULL;
    exchange_gone(&e->x);
}

void http_exchange_drained(void *ud, struct http_request *r) {
    (void)ud;
    struct http_exchange *e = r->user;
    if (e == NULL) return;
    e->full = false;
    exchange_resume(&e->x);
}

static enum failure_kind kind_of_refusal(int status) {
    if (status == 413) return FAILURE_TOO_LARGE;
    bool theirs = status < 500 || status == 501 || status == 505; /* methods, versions of HTTP */
    return theirs ? FAILURE_INVALID_REQUEST : FAILURE_NO_MEMORY;
}

void http_exchange_refused(void *ud, int status, const char *why, struct buf *out) {
    struct worker *w = ud;
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind_of_refusal(status), "%s", why);
    stats_add(&w->metrics.status[status], 1);
    failure_write_json(out, &f);
}
