/* library_exchange.c -- the program that the library is part of, as who asks.
 *
 *     request_api --> question --> exchange: tenant, route, policies --> response
 *          ^                                                                |
 *          +-- BEGIN, TEXT, REASONING, TOOL ... USAGE, END <-- sayings <----+
 *                                                    ERROR
 *
 * An exchange like that of a client's connection: the same routes, keys, policies, limits, caches, counters and log
 * line (via "library").  What differs is how an answer is written: not as bytes but as what they say, told apart by the
 * dialect (llm/sayings.c), with the bytes beside it.
 *
 * Of a piece that says several things the first has the bytes; one that says nothing (a role, an end mark, a body that
 * no dialect reads) is DATA.  So the bytes of all events are the body, as a client by HTTP would get it.
 *
 * When an event finds no memory there would be a hole in the answer: it fails instead. */
#include "gateway/library_exchange.h"

#include "base/err_body.h"
#include "gateway/answer_lines.h"

static perilune_str str_of(struct slice s) { return (perilune_str){ s.len > 0 ? s.ptr : "", s.len }; }

static perilune_event new_event(perilune_event_type type) {
    perilune_str none = { "", 0 };
    return (perilune_event){ .type = type, .text = none, .name = none, .id = none, .raw = none, .headers = none };
}

/* With the bytes that it was read from, unless another event had them. */
static void tell(struct library_exchange *e, perilune_event *ev) {
    ev->raw = str_of(e->raw);
    e->raw = SLICE("");
    if (!e->lost && !e->hearer->event(e, ev)) e->lost = true;
}

/* -- What is said ----------------------------------------------------------------------- */

static void on_said(void *ud, const struct saying *s) {
    static const perilune_event_type types[] = {
        [SAYING_TEXT] = PERILUNE_EV_TEXT, [SAYING_REASONING] = PERILUNE_EV_REASONING,
        [SAYING_REFUSAL] = PERILUNE_EV_REFUSAL, [SAYING_CALL] = PERILUNE_EV_TOOL, [SAYING_END] = PERILUNE_EV_FINISH };
    struct library_exchange *e = ud;
    perilune_event ev = new_event(types[s->kind]);
    ev.choice = s->choice;
    ev.text = str_of(s->text);
    ev.id = str_of(s->id);
    ev.name = str_of(s->name);
    if (s->kind == SAYING_END && s->choice == 0) {
        buf_clear(&e->reason);
        buf_slice(&e->reason, s->text);
        e->lost |= buf_failed(&e->reason);
    }
    tell(e, &ev);
}

/* False, and e is over: something is missing from here on. */
static bool is_whole(struct library_exchange *e, int rc) {
    if (rc == PERILUNE_ERR_LIMITED)
        exchange_fail(&e->x, FAILURE_ANSWER_TOO_LARGE, "the answer has more calls of tools, or choices, than are kept");
    else if (rc == PERILUNE_ERR_NOMEM || e->lost) exchange_fail(&e->x, FAILURE_NO_MEMORY, "out of memory");
    else return true;
    return false;
}

/* raw: as it came; data: what of it is JSON. */
static enum flow on_content(struct library_exchange *e, struct slice raw, struct slice data) {
    e->raw = raw;
    int rc = sayings_read(&e->sayings, data, on_said, e);
    if (e->raw.len > 0) {
        perilune_event ev = new_event(PERILUNE_EV_DATA);
        tell(e, &ev);
    }
    if (!is_whole(e, rc)) return FLOW_MORE;
    e->stopped = e->hearer->is_full(e);
    return e->stopped ? FLOW_FULL : FLOW_MORE;
}

static enum flow on_head(struct library_exchange *e, const struct event *ev) {
    struct buf lines;
    perilune_event head = new_event(PERILUNE_EV_BEGIN);
    buf_init(&lines, 0);
    buf_reserve(&lines, 320);
    answer_lines(&e->x, ev->content_type, &lines);
    e->x.committed = true;
    e->x.status = ev->status;
    head.status = ev->status;
    head.text = str_of(ev->content_type);
    head.headers = str_of(buf_get(&lines));
    if (buf_failed(&lines)) e->lost = true;
    tell(e, &head);
    buf_deinit(&lines);
    is_whole(e, 0); /* may free e */
    return FLOW_MORE;
}

/* -- The end ------------------------------------------------------------------------------- */

static void tell_usage(struct library_exchange *e) {
    struct usage ignored, u = e->x.res != NULL ? response_said(e->x.res) : (struct usage){ .known = false };
    if (!u.known) return;
    perilune_event ev = new_event(PERILUNE_EV_USAGE);
    ev.tokens_in = u.prompt;
    ev.tokens_out = u.completion;
    ev.tokens_cached = u.cached;
    ev.usd = exchange_cost(&e->x, &ignored);
    tell(e, &ev);
}

/* A failure that went through Lua is a policy's by its kind, and what it was by its code. */
static enum failure_kind kind_of(const struct failure *f) {
    if (f->kind != FAILURE_POLICY) return f->kind;
    for (int kind = FAILURE_NONE + 1; kind < FAILURE_KINDS; kind++)
        if (strcmp(f->code, failure_code((enum failure_kind)kind)) == 0) return (enum failure_kind)kind;
    if (f->upstream[0] != '\0') return FAILURE_UPSTREAM_STATUS;
    return f->status < 500 || f->status == 503 ? FAILURE_REJECTED : FAILURE_UPSTREAM;
}

int library_error(const struct failure *f) {
    switch (kind_of(f)) {
    case FAILURE_NO_MEMORY: return PERILUNE_ERR_NOMEM;
    case FAILURE_INVALID_REQUEST: case FAILURE_INVALID_JSON: case FAILURE_NOT_FOUND: case FAILURE_METHOD:
    case FAILURE_MODEL_NOT_FOUND: case FAILURE_TOO_LARGE: return PERILUNE_ERR_INVAL;
    case FAILURE_CANCELED: return PERILUNE_ERR_CANCELED;
    case FAILURE_POLICY: case FAILURE_POLICY_BUDGET: return PERILUNE_ERR_POLICY;
    case FAILURE_TIMEOUT: case FAILURE_DEADLINE: return PERILUNE_ERR_TIMEOUT;
    case FAILURE_DRAINING: return PERILUNE_ERR_STATE;
    case FAILURE_REJECTED: return f->status == 429 || f->status == 503 ? PERILUNE_ERR_LIMITED : PERILUNE_ERR_REJECTED;
    default: return PERILUNE_ERR_UPSTREAM;
    }
}

static void tell_failure(struct library_exchange *e, const struct failure *f) {
    struct buf body, lines;
    perilune_event ev = new_event(PERILUNE_EV_ERROR);
    buf_init(&body, 0);
    buf_init(&lines, 0);
    err_body_write(f, &body);
    answer_error_lines(&e->x, f, &lines);
    ev.error = library_error(f);
    ev.status = f->status;
    ev.name = str_of(slice_str(f->code));
    ev.text = str_of(slice_str(f->message));
    if (!buf_failed(&body)) ev.raw = str_of(buf_get(&body));
    if (!buf_failed(&lines)) ev.headers = str_of(buf_get(&lines));
    ev.retry_after_ms = f->retry_after_ms;
    tell_usage(e); /* what was spent on the way; without memory it is not told */
    e->hearer->failed(e, &ev);
    buf_deinit(&body);
    buf_deinit(&lines);
}

static void on_end(struct library_exchange *e) {
    struct failure f;
    e->raw = SLICE("");
    int rc = sayings_finish(&e->sayings, on_said, e);
    tell_usage(e);
    perilune_event ev = new_event(PERILUNE_EV_END);
    ev.text = str_of(buf_get(&e->reason));
    if (rc == 0) tell(e, &ev);
    if (rc == 0 && !e->lost) return;
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    tell_failure(e, &f);
    failure_deinit(&f);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct library_exchange *e = container_of(k, struct library_exchange, sink);
    switch (ev->type) {
    case EVENT_HEAD: return on_head(e, ev); /* may free e */
    case EVENT_FRAME: return on_content(e, ev->raw, ev->data);
    case EVENT_BYTES: return on_content(e, ev->raw, ev->raw);
    case EVENT_END: on_end(e); break;
    case EVENT_ERROR: tell_failure(e, ev->failure); break;
    }
    return FLOW_MORE;
}

/* -- For who hears ----------------------------------------------------------------------------- */

/* The body is read: now it is known who can read the answer. */
static void understood(struct exchange *x) {
    struct library_exchange *e = container_of(x, struct library_exchange, x);
    e->sayings.dialect = x->dialect;
}

static void over(struct exchange *x) {
    struct library_exchange *e = container_of(x, struct library_exchange, x);
    sayings_deinit(&e->sayings);
    buf_deinit(&e->reason);
    e->hearer->over(e); /* may free e */
}

bool library_exchange_begin(struct library_exchange *e, struct worker *w, const struct library_hearer *h,
                            const struct library_question *q, struct buf *body) {
    static const struct exchange_ops ops = { understood, over, NULL };
    *e = (struct library_exchange){ .sink = { on_event }, .hearer = h };
    if (exchange_init(&e->x, w, w->gen, &ops, &e->sink, loop_hrtime_us()) != 0) return false;
    sayings_init(&e->sayings, NULL, w->gen->config->lua.max_answer, &w->said);
    buf_init(&e->reason, 0);
    struct request *r = e->x.req;
    e->x.via = "library";
    r->method = q->method;
    r->path = q->path;
    r->query = q->query;
    r->headers = q->headers;
    r->header_count = q->header_count;
    exchange_propose_id(&e->x, request_header(r, SLICE("x-request-id")));
    if (q->tenant.ptr != NULL) exchange_set_tenant(&e->x, q->tenant);
    if (buf_len(body) > w->gen->config->http.body)
        exchange_fail(&e->x, FAILURE_TOO_LARGE, "the body is larger than the configuration allows (limits.body)");
    else exchange_begin(&e->x, body); /* may free e */
    return true;
}

void library_exchange_resume(struct library_exchange *e) {
    if (!e->stopped) return;
    e->stopped = false;
    exchange_resume(&e->x); /* may free e */
}

void library_exchange_stop(struct library_exchange *e) { exchange_gone(&e->x); }
