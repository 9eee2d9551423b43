/* exchange.c -- one request of a client, from its body to its last byte.
 *
 *     request -> route -> [policies: task] -> response -> sink -> reply
 *                  |            |                |
 *                  +-- none --> call ------------+     client left: cancel all
 *
 *      BEGUN --head sent--> SENDING --END/ERROR--> finished (freed)
 *
 * An exchange owns: the policy_request (what Lua sees), the task while policies
 * run, the response while it flows, a share of the generation's state.  It refers
 * to the connection's request until the reply ended or `gone` came.
 *
 * While nothing was sent on a stream, a comment goes out every keepalive_comment
 * seconds, so that proxies in between do not give up.  The first one commits the
 * status 200 and the shape: a failure after it is an event in the stream, and an
 * answer that comes whole is told as a chunk (`retold`). */
#include "gateway/exchange.h"

#include <stdio.h>
#include <time.h>

#include "bridge/cleanup.h"
#include "bridge/outgoing.h"
#include "gateway/model_list.h"
#include "gateway/registry.h"
#include "llm/openai.h"

struct exchange {
    struct sink            sink;
    struct list            link; /* worker->exchanges */
    struct worker         *w;
    struct generation     *gen;
    struct http_request   *http; /* NULL once replied or gone */
    struct policy_request *req;
    const struct route    *route;
    struct task           *task;
    struct response       *res;
    struct timer           comment, deadline;
    struct failure        *failure;  /* what the client got */
    uint64_t               start_us, policy_us, ttft_us, total_us;
    int                    status;
    bool                   stream;   /* the client asked for one */
    bool                   sent_head, is_whole, finished, frames, begun, retold;
};

/* -- The end --------------------------------------------------------------------------- */

static void count(struct exchange *x, bool aborted, const struct usage *u) {
    struct metrics *m = &x->w->metrics;
    int status = aborted ? 499 : x->status;
    if (status >= 0 && status < 600) stats_add(&m->status[status], 1);
    if (x->failure) stats_add(&m->failures[x->failure->kind], 1);
    if (aborted) stats_add(&m->aborted, 1);
    if (u->known) {
        stats_add(&m->tokens_in, u->prompt);
        stats_add(&m->tokens_out, u->completion);
        stats_add(&m->tokens_cached, u->cached);
    } else if (x->res) {
        stats_add(&m->tokens_counted, x->res->counted);
    }
    if (x->ttft_us) histogram_record(&m->ttft, x->ttft_us);
    histogram_record(&m->duration, x->total_us);
    atomic_fetch_sub_explicit(&m->in_flight, 1, memory_order_relaxed);
}

static void access_log(struct exchange *x, bool aborted, const struct usage *u) {
    struct log *log = x->w->log;
    if (!x->gen->config->log_access || !log_wants(log, PERILUNE_LOG_INFO)) return;
    struct buf line;
    buf_init(&line, 0);
    buf_reserve(&line, 400);
    log_begin(&line, PERILUNE_LOG_INFO, "request");
    log_str(&line, "request_id", slice_str(x->req->id));
    log_str(&line, "method", x->req->method);
    log_str(&line, "path", x->req->path);
    if (x->req->tenant[0]) log_str(&line, "tenant", slice_str(x->req->tenant));
    const char *up = x->res ? x->res->upstream : "";
    if (up[0]) log_str(&line, "upstream", slice_str(up));
    log_u64(&line, "status", (uint64_t)(aborted ? 499 : x->status));
    if (x->failure) log_str(&line, "error", slice_str(x->failure->code));
    if (u->known) {
        log_u64(&line, "tokens_in", u->prompt);
        log_u64(&line, "tokens_out", u->completion);
        if (u->cached) log_u64(&line, "tokens_cached", u->cached);
    } else if (x->res && x->res->counted > 0) {
        log_u64(&line, "tokens_counted", x->res->counted);
    }
    if (x->ttft_us) log_ms(&line, "ttft_ms", x->ttft_us);
    if (x->req->saved) savings_log(x->req->saved, &line);
    log_ms(&line, "total_ms", x->total_us);
    if (x->policy_us) log_ms(&line, "policy_ms", x->policy_us);
    log_end(log, PERILUNE_LOG_INFO, &line);
    buf_deinit(&line);
}

/* Counts and logs, once: before the reply ends, because that frees the client's
 * request and with it the path that the log names. */
static void account(struct exchange *x, bool aborted) {
    if (x->total_us != 0) return;
    static const struct usage none;
    const struct usage *u = x->res ? &x->res->usage : &none;
    uint64_t first = x->res ? x->res->first_us : 0;
    x->ttft_us = first > x->start_us ? first - x->start_us : 0;
    x->total_us = loop_hrtime_us() - x->start_us + 1;
    if (x->task != NULL) x->policy_us = x->task->budget->used_us;
    if (x->res != NULL) x->policy_us += response_hooks_us(x->res);
    count(x, aborted, u);
    access_log(x, aborted, u);
}

static void finish(struct exchange *x, bool aborted) {
    if (x->finished) return;
    x->finished = true;
    account(x, aborted);
    x->http = NULL;
    timer_stop(x->w->loop, &x->comment);
    timer_stop(x->w->loop, &x->deadline);
    if (x->task != NULL) {
        task_cancel(x->task);
        x->task = NULL;
    }
    struct outcome o = { .ok = !aborted && x->failure == NULL, .ttft_us = x->ttft_us, .total_us = x->total_us };
    slice_copy(o.code, sizeof(o.code), slice_str(aborted ? "canceled" : x->failure ? x->failure->code : ""));
    if (x->res != NULL) {
        o.usage = x->res->usage;
        response_on_ready(x->res, NULL, NULL);
        response_finish(x->res, &o);
        response_put(x->res);
    }
    cleanup_run(x->req, &o);
    policy_request_end(x->req);
    policy_request_put(x->req);
    if (x->failure) failure_deinit(x->failure);
    mem_free(x->failure);
    list_remove(&x->link);
    struct state *s = x->gen->state;
    mem_free(x);
    state_put_soon(s); /* may end the generation, but frames below us still use it */
}

/* -- Replying ----------------------------------------------------------------------------- */

static void put_line(struct buf *b, const char *name, struct slice value) {
    buf_puts(b, name);
    buf_puts(b, ": ");
    buf_slice(b, value);
    buf_puts(b, "\r\n");
}

/* Which request it was, and who answered it. */
static void put_identity(struct buf *b, const struct exchange *x) {
    put_line(b, "x-request-id", slice_str(x->req->id));
    const char *upstream = x->res ? x->res->upstream : "";
    if (upstream[0]) put_line(b, "x-perilune-upstream", slice_str(upstream));
}

/* How many prompt tokens policies kept from being sent; negative: added. */
static void put_saved(struct buf *b, const struct savings_entry *list) {
    if (list == NULL) return;
    int64_t tokens, nano_usd;
    savings_total(list, &tokens, &nano_usd);
    buf_printf(b, "x-perilune-saved-tokens: %lld\r\n", (long long)tokens);
}

static void send_head(struct exchange *x, int status, struct slice type, size_t length) {
    struct buf h;
    buf_init(&h, 0);
    buf_reserve(&h, 320);
    struct slice own = x->res ? buf_get(&x->res->headers) : SLICE("");
    if (type.len > 0) put_line(&h, "content-type", type);
    if (slice_starts(type, SLICE("text/event-stream"))) buf_puts(&h, "cache-control: no-cache\r\n");
    put_identity(&h, x);
    put_saved(&h, x->req->saved);
    buf_slice(&h, own);
    x->sent_head = true;
    x->status = status;
    timer_stop(x->w->loop, &x->comment);
    if (buf_failed(&h)) reply_lost(x->http); /* half a head is none */
    reply_head(x->http, status, buf_get(&h), length);
    buf_deinit(&h);
}

static bool is_json_error(const struct buf *b) {
    struct json_doc doc = { .nodes = NULL };
    bool ok = json_parse(&doc, buf_get(b), &(struct json_error){ 0 }) == 0 && json_type(&doc, 0) == JSON_OBJECT &&
              json_get(&doc, 0, SLICE("error")) != JSON_NONE;
    json_deinit(&doc);
    return ok;
}

/* The upstream's own words where it spoke of the client's mistake. */
static void error_body(const struct failure *f, struct buf *out) {
    if (f->status < 500 && buf_len(&f->body) > 0 && is_json_error(&f->body)) buf_slice(out, buf_get(&f->body));
    else failure_write_json(out, f);
}

static void reply_error(struct exchange *x, const struct failure *f) {
    struct buf body, h;
    buf_init(&body, 0);
    buf_init(&h, 0);
    error_body(f, &body);
    buf_puts(&h, "content-type: application/json\r\n");
    put_identity(&h, x);
    if (f->retry_after_ms > 0 || f->status == 429 || f->status == 503) {
        buf_puts(&h, "retry-after: ");
        buf_u64(&h, f->retry_after_ms > 0 ? (f->retry_after_ms + 999) / 1000 : 1);
        buf_puts(&h, "\r\n");
    }
    if (f->kind == FAILURE_METHOD) buf_puts(&h, x->route ? "" : "allow: POST\r\n");
    x->status = f->status;
    account(x, false);
    if (buf_failed(&h) || buf_failed(&body)) reply_lost(x->http);
    reply_send(x->http, f->status, buf_get(&h), buf_get(&body));
    buf_deinit(&body);
    buf_deinit(&h);
}

static void keep_failure(struct exchange *x, const struct failure *f) {
    if (x->failure != NULL || (x->failure = mem_zalloc(sizeof(*x->failure))) == NULL) return;
    failure_set(x->failure, f->kind, "%s", f->message);
    snprintf(x->failure->code, sizeof(x->failure->code), "%s", f->code);
}

/* Ends the exchange with an error: a reply, or, when the head is gone, an event. */
static void fail(struct exchange *x, const struct failure *f) {
    keep_failure(x, f);
    if (x->http == NULL) {
        finish(x, true);
        return;
    }
    if (!x->sent_head) {
        reply_error(x, f);
    } else {
        struct buf b;
        buf_init(&b, 0);
        if (x->frames || x->stream) openai_error_event(&b, f);
        reply_body(x->http, buf_get(&b));
        buf_deinit(&b);
        account(x, false);
        reply_abort(x->http);
    }
    finish(x, false);
}

static void fail_with(struct exchange *x, enum failure_kind kind, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    fail(x, &f);
}

static void deadline_due(struct timer *t) {
    fail_with(container_of(t, struct exchange, deadline), FAILURE_DEADLINE,
              "the request took longer than it may (limits.request_timeout)");
}

/* -- The answer's way out -------------------------------------------------------------------- */

static void comment_due(struct timer *t) {
    struct exchange *x = container_of(t, struct exchange, comment);
    if (!x->sent_head) send_head(x, 200, SLICE("text/event-stream"), REPLY_CHUNKED);
    x->begun = true;
    reply_body(x->http, SLICE(": keepalive\n\n"));
    timer_start(x->w->loop, t, x->gen->config->comment_ms, comment_due);
}

static enum flow on_head(struct exchange *x, const struct event *ev) {
    bool frames = slice_starts(ev->content_type, SLICE("text/event-stream"));
    x->frames = frames;
    if (x->sent_head) {
        timer_stop(x->w->loop, &x->comment); /* a comment came first: 200 is said */
        return FLOW_MORE;
    }
    x->status = ev->status;
    if (x->is_whole && !frames) return FLOW_MORE; /* with its length, when the body is here */
    send_head(x, ev->status, ev->content_type, ev->has_length ? ev->length : REPLY_CHUNKED);
    return FLOW_MORE;
}

/* A whole answer behind a comment. */
static enum flow retell(struct exchange *x, struct slice whole) {
    struct json_doc doc = { .nodes = NULL };
    struct buf out;
    buf_init(&out, 0);
    int rc = json_parse(&doc, whole, &(struct json_error){ 0 });
    bool told = rc == 0 && openai_completion_as_chunks(&out, &doc, x->req->body->chat.wants_usage);
    enum flow flow = FLOW_MORE;
    if (rc == PERILUNE_ERR_NOMEM || buf_failed(&out)) {
        fail_with(x, FAILURE_NO_MEMORY, "out of memory");
    } else if (!told) {
        fail_with(x, FAILURE_MALFORMED, "the stream had begun, and the answer is not a chat completion");
    } else {
        x->retold = true;
        flow = reply_body(x->http, buf_get(&out));
    }
    json_deinit(&doc);
    buf_deinit(&out);
    return flow;
}

static enum flow on_bytes(struct exchange *x, const struct event *ev) {
    if (x->is_whole && !x->sent_head) send_head(x, x->status, SLICE("application/json"), ev->raw.len);
    else if (x->begun && !x->frames) return retell(x, ev->raw);
    return reply_body(x->http, ev->raw);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct exchange *x = container_of(k, struct exchange, sink);
    if (x->finished || x->http == NULL) return FLOW_MORE;
    switch (ev->type) {
    case EVENT_HEAD: return on_head(x, ev);
    case EVENT_FRAME:
        stats_add(&x->w->metrics.frames, 1);
        return reply_body(x->http, ev->raw);
    case EVENT_BYTES: return on_bytes(x, ev);
    case EVENT_END:
        if (!x->sent_head) send_head(x, x->status ? x->status : 200, SLICE(""), 0);
        if (x->retold) reply_body(x->http, SLICE("data: [DONE]\n\n"));
        account(x, false);
        reply_end(x->http);
        finish(x, false);
        break;
    case EVENT_ERROR: fail(x, ev->failure); break;
    }
    return FLOW_MORE;
}

/* Takes the share of res. */
static void deliver(struct exchange *x, struct response *res) {
    x->res = res;
    const struct failure *f = response_failure(res);
    if (f != NULL) {
        fail(x, f);
        return;
    }
    response_pin(res);
    response_deliver(res, &x->sink); /* may end x */
}

/* -- Asking ------------------------------------------------------------------------------------- */

static void on_ready(void *ud) {
    struct exchange *x = ud;
    struct response *res = x->res;
    x->res = NULL;
    deliver(x, res);
}

static void on_policy_done(void *owner, const struct policy_result *result) {
    struct exchange *x = owner;
    struct task *t = x->task;
    x->task = NULL;
    if (t != NULL) {
        x->policy_us = t->budget->used_us;
        histogram_record(&x->w->metrics.policy, t->budget->used_us);
        task_free(t);
    }
    if (result->response != NULL) deliver(x, result->response);
    else fail(x, result->failure);
}

static void call_upstream(struct exchange *x, const char *name) {
    struct failure f;
    failure_init(&f);
    struct state *s = x->gen->state;
    struct call_pool *pool = name ? outgoing_find(s, slice_str(name)) : outgoing_choose(s, x->req, x->req->body, &f);
    if (pool == NULL) {
        if (!failure_is_set(&f)) failure_set(&f, FAILURE_INTERNAL, "no upstream '%s'", name);
        fail(x, &f);
        return;
    }
    x->res = outgoing_start(s, &(struct outgoing){ .pool = pool, .request = x->req, .body = x->req->body });
    if (x->res == NULL) fail_with(x, FAILURE_NO_MEMORY, "out of memory");
    else response_on_ready(x->res, on_ready, x);
}

static void run_policies(struct exchange *x, const struct policy_chain *chain) {
    x->task = policy_start(x->gen->state, chain, x->req, on_policy_done, x);
    if (x->task == NULL) fail_with(x, FAILURE_NO_MEMORY, "out of memory");
    else task_resume(x->task); /* may end x */
}

/* -- Beginning ------------------------------------------------------------------------------------ */

/* The client's own id is kept when it is harmless in a header and in a log. */
static void choose_id(struct worker *w, const struct http_request *r, struct policy_request *req) {
    struct slice id = http_request_header(r, SLICE("x-request-id"));
    bool good = id.len > 0 && id.len < sizeof(req->id);
    for (size_t i = 0; good && i < id.len; i++)
        good = (id.ptr[i] >= '0' && id.ptr[i] <= '9') || ((id.ptr[i] | 32) >= 'a' && (id.ptr[i] | 32) <= 'z') ||
               strchr("-_.:/+=@~", id.ptr[i]) != NULL;
    if (good) memcpy(req->id, id.ptr, id.len);
    else rng_hex128(&w->loop->rng, req->id);
}

static struct exchange *exchange_new(struct worker *w, struct http_request *r) {
    struct exchange *x = mem_zalloc(sizeof(*x));
    struct policy_request *req = x ? policy_request_new(w->gen->state) : NULL;
    if (req == NULL) {
        mem_free(x);
        return NULL;
    }
    x->sink.event = on_event;
    x->w = w;
    x->gen = w->gen;
    state_ref(x->gen->state);
    x->http = r;
    x->req = req;
    x->start_us = r->start_us;
    r->user = x;
    list_append(&w->exchanges, &x->link);
    req->method = r->method;
    req->path = r->path;
    req->query = r->query;
    req->headers = r->headers;
    req->header_count = r->header_count;
    req->peer = r->peer;
    uint64_t ms = x->gen->config->request_ms;
    req->deadline_ms = ms ? loop_now(w->loop) + ms : 0;
    choose_id(w, r, req);
    stats_add(&w->metrics.requests, 1);
    atomic_fetch_add_explicit(&w->metrics.in_flight, 1, memory_order_relaxed);
    return x;
}

/* The list of models (id empty), or one of it. */
static void reply_models(struct exchange *x, struct slice id) {
    struct buf b;
    buf_init(&b, 0);
    if (id.len == 0) model_list_write(x->gen->config, &b);
    else model_list_write_one(x->gen->config, id, &b);
    if (buf_failed(&b)) reply_lost(x->http);
    send_head(x, 200, SLICE("application/json"), buf_len(&b));
    reply_body(x->http, buf_get(&b));
    account(x, false);
    reply_end(x->http);
    buf_deinit(&b);
    finish(x, false);
}

/* What is answered here: the list of models and each of them.  False: nothing was. */
static bool answer_models(struct exchange *x) {
    const struct config *c = x->gen->config;
    struct slice id = model_list_id(x->req->path);
    bool list = slice_eq(x->req->path, SLICE("/v1/models"));
    bool get = slice_eq(x->req->method, SLICE("GET")) || slice_eq(x->req->method, SLICE("HEAD"));
    if (list && !get) fail_with(x, FAILURE_METHOD, "use GET for /v1/models");
    else if (list || (get && id.len > 0 && model_list_has(c, id))) reply_models(x, id);
    else return false;
    return true;
}

/* A path that no route names.  Returns false after having failed x. */
static bool serve_unrouted(struct exchange *x, int kind) {
    if (kind < 0 && !path_is_passed_on(x->req->path))
        fail_with(x, FAILURE_NOT_FOUND, "no such path; a route in the configuration can add it");
    else if (x->gen->config->guarded)
        fail_with(x, FAILURE_NOT_FOUND, "no route has this path, and with auth_keys on a route nothing is served "
                                        "without one; a route in the configuration can add it");
    else return true;
    return false;
}

/* The first route that fits, and the path as it is behind it. */
static void choose_route(struct exchange *x, bool *wrong_method) {
    const struct config *c = x->gen->config;
    struct http_request *r = x->http;
    tenants_find(&c->tenants, r->headers, &r->header_count, x->req->tenant, sizeof(x->req->tenant));
    x->req->header_count = r->header_count;
    struct route_ask ask = { .method = r->method, .path = r->path, .tenant = slice_str(x->req->tenant),
                             .headers = r->headers, .header_count = r->header_count };
    x->route = routes_find(c->route_index, &ask, wrong_method);
    if (x->route != NULL) x->req->path = route_strip(x->route, r->path);
}

/* Which of the bodies we understand, or -1. */
static int kind_of(struct slice path) {
    if (slice_eq(path, SLICE("/v1/chat/completions"))) return CHAT_COMPLETION;
    if (slice_eq(path, SLICE("/v1/embeddings"))) return CHAT_EMBEDDING;
    return -1;
}

/* Parses the body, or keeps it as it is.  Returns false after having failed x. */
static bool take_body(struct exchange *x, int kind) {
    struct failure f;
    failure_init(&f);
    if (kind >= 0) {
        if (body_new(&x->req->body, &x->http->body, kind, &f) != 0) {
            fail(x, &f);
            return false;
        }
        x->stream = x->req->body->chat.stream;
    } else if (buf_len(&x->http->body) > 0) {
        x->req->raw = blob_take(&x->http->body);
        if (x->req->raw == NULL) {
            fail_with(x, FAILURE_NO_MEMORY, "out of memory");
            return false;
        }
        /* JSON can say which model; what is none goes on as it is. */
        struct failure ignored;
        failure_init(&ignored);
        if (body_from(&x->req->body, x->req->raw, -1, &ignored) == 0) blob_ref(x->req->raw);
        failure_deinit(&ignored);
    }
    x->is_whole = kind >= 0;
    return true;
}

static void begin(struct exchange *x) {
    const struct config *c = x->gen->config;
    struct http_request *r = x->http;
    bool wrong_method = false;
    choose_route(x, &wrong_method);
    int kind = kind_of(x->req->path);
    if (x->route == NULL && !wrong_method && answer_models(x)) return;
    if (wrong_method || (kind >= 0 && !slice_eq(r->method, SLICE("POST")))) {
        fail_with(x, FAILURE_METHOD, "this method is not allowed here; use POST");
        return;
    }
    if (x->route == NULL && !serve_unrouted(x, kind)) return;
    if (kind < 0 && config_path_climbs(x->req->path)) {
        fail_with(x, FAILURE_INVALID_REQUEST, "the path has a segment '.' or '..'");
        return;
    }
    if (!take_body(x, kind)) return;
    /* Upstream calls have the same deadline and come first with a better message. */
    if (c->request_ms) timer_start(x->w->loop, &x->deadline, c->request_ms + 5, deadline_due);
    if (x->stream && c->comment_ms > 0) timer_start(x->w->loop, &x->comment, c->comment_ms, comment_due);
    if (x->stream) stats_add(&x->w->metrics.streams, 1);
    const struct policy_chain *chain = x->route ? &x->gen->chains[x->route - c->routes] : NULL;
    if (chain != NULL && chain->ref != 0) run_policies(x, chain);
    else call_upstream(x, x->route ? x->route->upstream : NULL);
}

void exchange_request(void *ud, struct http_request *r) {
    struct worker *w = ud;
    struct exchange *x = w->gen ? exchange_new(w, r) : NULL;
    if (x != NULL) {
        begin(x);
        return;
    }
    struct buf body;
    buf_init(&body, 0);
    exchange_refused(w, 503, w->gen ? "out of memory" : "no configuration is loaded yet", &body);
    reply_send(r, 503, SLICE("content-type: application/json\r\nretry-after: 1\r\n"), buf_get(&body));
    buf_deinit(&body);
}

void exchange_gone(void *ud, struct http_request *r) {
    (void)ud;
    struct exchange *x = r->user;
    if (x == NULL) return;
    x->http = NULL;
    finish(x, true);
}

void exchange_drained(void *ud, struct http_request *r) {
    (void)ud;
    struct exchange *x = r->user;
    if (x != NULL && x->res != NULL) response_resume(x->res);
}

static enum failure_kind kind_of_refusal(int status) {
    if (status == 413) return FAILURE_TOO_LARGE;
    bool theirs = status < 500 || status == 501 || status == 505; /* methods, versions of HTTP */
    return theirs ? FAILURE_INVALID_REQUEST : FAILURE_NO_MEMORY;
}

void exchange_refused(void *ud, int status, const char *why, struct buf *out) {
    struct worker *w = ud;
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind_of_refusal(status), "%s", why);
    stats_add(&w->metrics.status[status], 1);
    failure_write_json(out, &f);
}

void exchange_describe(const struct list *link, uint64_t now_us, struct buf *out) {
    const struct exchange *x = container_of((struct list *)(uintptr_t)link, struct exchange, link);
    const struct task *t = x->task;
    const char *waits = t == NULL ? (x->sent_head ? "sending" : "upstream")
                        : t->op ? t->op->name : "a slice of time";
    buf_puts(out, "{\"id\":");
    json_write_string(out, slice_str(x->req->id));
    buf_puts(out, ",\"path\":");
    json_write_string(out, x->req->path);
    buf_printf(out, ",\"age_ms\":%llu,\"stream\":%s,\"waits_for\":",
               (unsigned long long)((now_us - x->start_us) / 1000), x->stream ? "true" : "false");
    if (t != NULL && t->op != NULL && t->op->what != NULL) {
        char text[120];
        snprintf(text, sizeof(text), "%s %s", waits, t->op->what);
        json_write_string(out, slice_str(text));
    } else {
        json_write_string(out, slice_str(waits));
    }
    if (x->res) {
        buf_puts(out, ",\"upstream\":");
        json_write_string(out, slice_str(x->res->upstream));
    }
    buf_printf(out, ",\"generation\":%llu}", (unsigned long long)x->gen->config->generation);
}
