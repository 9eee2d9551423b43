/* inside.c -- a question from within the process, and its whole answer.
 *
 *     who asks --inside_begin--> exchange --> tenant, route, policies --> upstream
 *         ^                         |
 *         +-- over(answer) <-- body +  HEAD, content, END; or ERROR
 *
 * An exchange like that of a client, without a connection: routes, keys, policies, limits, the log and the metrics see
 * a request like any other.  The answer is gathered here, up to `most` bytes; a longer one ends as a failure, and its
 * call stops.
 *
 * over() comes when the exchange has let go of everything, so that who asked may ask the next question from within; who
 * has many of them had better do so from its own loop, because an answer may be here before inside_begin() returns (a
 * cache's, a refusal), and stacks end. */
#include "gateway/inside.h"

#include <stdio.h>

#include "gateway/exchange.h"

struct inside {
    struct exchange    x;
    struct sink        sink;
    struct inside    **slot;
    void             (*over)(void *ud, const struct inside_answer *a); /* NULL: nobody waits */
    void              *ud;
    struct buf         body;
    struct failure     failure; /* kind NONE: none */
    int                status;
    struct usage       usage;
    double             usd;
    char               type[80], id[80];
    struct http_header headers[];
};

static void too_large(struct inside *i) {
    char why[120];
    snprintf(why, sizeof(why), "the answer has more than %zu MiB", i->body.limit >> 20);
    if (i->body.error == PERILUNE_ERR_LIMITED) exchange_fail(&i->x, FAILURE_ANSWER_TOO_LARGE, why);
    else exchange_fail(&i->x, FAILURE_NO_MEMORY, "out of memory");
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct inside *i = container_of(k, struct inside, sink);
    switch (ev->type) {
    case EVENT_HEAD:
        i->status = ev->status;
        slice_copy(i->type, sizeof(i->type), ev->content_type);
        break;
    case EVENT_FRAME:
    case EVENT_BYTES:
        buf_slice(&i->body, ev->raw);
        if (buf_failed(&i->body)) too_large(i); /* frees i */
        return FLOW_MORE;
    case EVENT_END:
        i->usd = exchange_cost(&i->x, &i->usage);
        break;
    case EVENT_ERROR:
        i->usd = exchange_cost(&i->x, &i->usage);
        failure_copy(&i->failure, ev->failure);
        break;
    }
    return FLOW_MORE;
}

static void understood(struct exchange *x) { (void)x; }

static void inside_free(struct exchange *x) {
    struct inside *i = container_of(x, struct inside, x);
    *i->slot = NULL;
    bool failed = failure_is_set(&i->failure);
    struct inside_answer a = { .failure = failed ? &i->failure : NULL, .status = i->status, .usage = i->usage,
                               .type = slice_str(i->type), .body = buf_get(&i->body), .request_id = i->id,
                               .usd = i->usd };
    if (i->over != NULL) i->over(i->ud, &a);
    failure_deinit(&i->failure);
    buf_deinit(&i->body);
    mem_free(i);
}

static const struct exchange_ops ops = { understood, inside_free, NULL };

/* Its words, in the request's own memory. */
static bool fill(struct request *r, const struct inside_ask *ask) {
    const char *method = arena_dup(&r->arena, ask->method), *path = arena_dup(&r->arena, ask->path),
               *query = arena_dup(&r->arena, ask->query);
    if (method == NULL || path == NULL || query == NULL) return false;
    r->method = slice_of(method, ask->method.len);
    r->path = slice_of(path, ask->path.len);
    r->query = slice_of(query, ask->query.len);
    r->peer = "";
    return true;
}

int inside_begin(struct inside **slot, struct worker *w, const struct inside_ask *ask) {
    *slot = NULL;
    size_t lines = ask->header_count * sizeof(struct http_header);
    struct inside *i = w->gen != NULL ? mem_zalloc(sizeof(*i) + lines) : NULL;
    if (i == NULL) return PERILUNE_ERR_NOMEM;
    i->sink.event = on_event;
    i->slot = slot;
    buf_init(&i->body, ask->most);
    failure_init(&i->failure);
    if (exchange_init(&i->x, w, w->gen, &ops, &i->sink, loop_hrtime_us()) != 0) {
        mem_free(i);
        return PERILUNE_ERR_NOMEM;
    }
    struct buf body;
    buf_init(&body, 0);
    buf_slice(&body, ask->body);
    if (!fill(i->x.req, ask) || buf_failed(&body)) {
        buf_deinit(&body);
        exchange_gone(&i->x); /* over is not set yet */
        return PERILUNE_ERR_NOMEM;
    }
    if (lines > 0) memcpy(i->headers, ask->headers, lines);
    i->x.req->headers = i->headers;
    i->x.req->header_count = ask->header_count;
    snprintf(i->id, sizeof(i->id), "%s", i->x.req->id);
    i->over = ask->over;
    i->ud = ask->ud;
    *slot = i;
    if (ask->job != NULL) {
        i->x.req->job = ask->job;
        slice_copy(i->x.req->tenant, sizeof(i->x.req->tenant), ask->tenant);
        exchange_begin_job(&i->x, &body, ask->admitted, ask->timeout_ms); /* may free i */
    } else {
        exchange_begin(&i->x, &body); /* may free i */
    }
    buf_deinit(&body);
    return 0;
}

void inside_end(struct inside *i) {
    i->over = NULL;
    exchange_gone(&i->x);
}
