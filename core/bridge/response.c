/* response.c -- an answer, from its source to its consumer.
 *
 *     call --> answer --> [ response ] --> map, tap --> consumer (the client)
 *                            | held |
 *                            +------+ <-- res:text(), res:events() read here
 *
 * Until somebody wants them, events are held, up to the high-water mark; then the
 * source is paused.  Readers in Lua (text, events) look at what is held and lose
 * nothing: the consumer that comes later still gets everything from the start.
 * While one reads, the mark is the limit of a whole answer.
 *
 * The first reader or consumer opens the response: from then on events run
 * through the policy's map and taps, those already held first.  So whoever reads
 * behind a map sees what it made.
 *
 * The common case costs one held event: the policy returns the response as soon
 * as its first event is there, the consumer takes it, and from then on events
 * pass through without being stored.
 *
 * Nothing in here calls Lua from inside a source's callback except map and tap,
 * which cannot wait; whoever waits for the response is told by deferred work. */
#include "bridge/response.h"

#include <stdio.h>

#include "base/mem.h"
#include "bridge/hooks.h"
#include "bridge/response_int.h"

/* When even the failure found no memory. */
static const struct failure lost_failure = { .kind = FAILURE_NO_MEMORY, .status = 503,
                                             .retryable = true, .code = "out_of_memory",
                                             .type = "server_error", .message = "out of memory" };

static enum flow on_event(struct sink *k, const struct event *ev);
static void on_mark(void *ud);

/* -- Life ------------------------------------------------------------------------- */

struct response *response_new(struct state *s, const struct response_options *opt) {
    struct response *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->refs = 1;
    r->state = s; /* no share: a handle in Lua would keep its own state alive for ever.
                     Whoever holds a response in C holds the state, too */
    r->from.event = on_event;
    r->kind = opt->kind;
    r->status = 200;
    list_init(&r->link);
    if (opt->among) list_append(opt->among, &r->link);
    r->stream = opt->stream;
    r->keep_usage = opt->keep_usage;
    r->limit = opt->limit ? opt->limit : s->limits.max_answer;
    slice_copy(r->upstream, sizeof(r->upstream), slice_str(opt->upstream));
    slice_copy(r->model, sizeof(r->model), opt->model);
    r->counted = opt->counted;
    r->counted_own = opt->counted_own;
    buf_init(&r->held, 0);
    buf_init(&r->headers, 16 * 1024);
    return r;
}

struct response *response_ref(struct response *r) {
    r->refs++;
    return r;
}

static void stop_source(struct response *r) {
    struct call *c = r->call;
    r->call = NULL;
    if (c != NULL) {
        struct source *s = call_source(c);
        s->cancel(s);
    }
    local_stop(r);
    r->over = true;
}

void response_abandon_all(struct list *responses) {
    while (!list_is_empty(responses)) {
        struct response *r = container_of(responses->next, struct response, link);
        list_remove(&r->link);
        if (!r->over) stop_source(r);
        response_empty_handle(r); /* may free r */
    }
}

static void response_free(struct response *r) {
    response_empty_handle(r); /* collected before: gives back its place */
    list_remove(&r->link);
    stop_source(r);
    deferred_cancel(&r->wake);
    if (r->answer != NULL) answer_deinit(r->answer);
    mem_free(r->answer);
    hooks_deinit(r);
    local_deinit(r);
    buf_deinit(&r->held);
    buf_deinit(&r->headers);
    if (r->failure) failure_deinit(r->failure);
    mem_free(r->failure);
    state_ref_drop(r->state, r->pin);
    mem_free(r);
}

static void free_job(struct deferred *j) {
    struct response *r = container_of(j, struct response, wake);
    struct state *s = r->state;
    response_free(r);
    state_put(s);
}

void response_put(struct response *r) {
    if (r == NULL || --r->refs > 0) return;
    if (!r->in_event) {
        response_free(r);
        return;
    }
    /* A consumer let go inside an event: its source is still on the C stack. */
    r->ready = NULL;
    deferred_cancel(&r->wake);
    state_ref(r->state); /* the consumer may have held the last share */
    loop_soon(r->state->loop, &r->wake, free_job);
}

/* -- Holding ------------------------------------------------------------------------ */

/* All of a record or nothing: half of one would be read beyond its end. */
static bool response_hold(struct response *r, const struct event *ev) {
    bool inside = ev->data.ptr >= ev->raw.ptr && ev->data.ptr + ev->data.len <= ev->raw.ptr + ev->raw.len;
    struct record rec = { .type = ev->type, .raw_len = (uint32_t)ev->raw.len,
                          .data_len = (uint32_t)ev->data.len };
    rec.data_off = inside ? (uint32_t)(ev->data.ptr - ev->raw.ptr) : rec.raw_len;
    if (buf_reserve(&r->held, sizeof(rec) + ev->raw.len + (inside ? 0 : ev->data.len)) == NULL) return false;
    buf_put(&r->held, &rec, sizeof(rec));
    buf_slice(&r->held, ev->raw);
    if (!inside) buf_slice(&r->held, ev->data);
    return true;
}

/* The record at *at, as an event; moves *at behind it. */
bool response_record(const struct response *r, size_t *at, struct event *ev) {
    struct slice all = buf_get(&r->held);
    struct record rec;
    if (all.len - *at < sizeof(rec)) return false;
    memcpy(&rec, all.ptr + *at, sizeof(rec));
    const char *raw = all.ptr + *at + sizeof(rec);
    *ev = (struct event){ .type = rec.type, .raw = slice_of(raw, rec.raw_len),
                          .data = slice_of(raw + rec.data_off, rec.data_len) };
    size_t end = rec.data_off + rec.data_len > rec.raw_len ? rec.data_off + rec.data_len : rec.raw_len;
    *at += sizeof(rec) + end;
    return true;
}

static enum flow flow_of(const struct response *r) {
    size_t most = r->reading ? r->state->limits.max_answer : r->state->limits.high_water;
    return buf_len(&r->held) > most ? FLOW_FULL : FLOW_MORE;
}

/* -- Waking who waits ------------------------------------------------------------------ */

static void wake_job(struct deferred *j) {
    struct response *r = container_of(j, struct response, wake);
    void (*ready)(void *) = r->ready;
    r->ready = NULL;
    if (ready != NULL) ready(r->ready_ud); /* may free r */
}

static void wake(struct response *r) {
    if (r->ready != NULL) loop_soon(r->state->loop, &r->wake, wake_job);
}

void response_on_ready(struct response *r, void (*ready)(void *ud), void *ud) {
    r->ready = ready;
    r->ready_ud = ud;
    if (ready != NULL && (buf_len(&r->held) > r->read_at || r->over)) wake(r);
}

/* -- Events ------------------------------------------------------------------------------ */

static void keep_failure(struct response *r, const struct failure *f) {
    if (r->failure == NULL) r->failure = mem_zalloc(sizeof(*r->failure));
    if (r->failure == NULL) return; /* "over" without a failure still ends without [DONE] */
    struct buf body;
    buf_init(&body, 0);
    buf_slice(&body, buf_get(&f->body));
    failure_deinit(r->failure);
    *r->failure = *f;
    r->failure->body = body;
}

/* A hook threw: nothing of this answer can be trusted any more. */
void response_break(struct response *r, const struct failure *f) {
    struct call *c = r->call;
    r->call = NULL;
    r->over = r->failed = true;
    keep_failure(r, f);
    if (c != NULL) call_source(c)->cancel(call_source(c));
    response_out(r, &(struct event){ .type = EVENT_ERROR, .failure = f });
}

/* Behind the hooks. */
enum flow response_out(struct response *r, const struct event *ev) {
    if (r->to != NULL) return r->to->event(r->to, ev);
    bool content = ev->type == EVENT_FRAME || ev->type == EVENT_BYTES;
    if (content && !response_hold(r, ev)) {
        if (!r->failed) response_break(r, &lost_failure); /* what is missing must not look complete */
        return FLOW_MORE;
    }
    if (ev->type != EVENT_HEAD) wake(r);
    return flow_of(r);
}

static enum flow pass(struct response *r, const struct event *ev) {
    if (r->opened && r->hooks != NULL) return hooks_event(r, ev);
    return response_out(r, ev);
}

static void ended(struct response *r, const struct event *ev) {
    r->over = true;
    struct call *c = r->call; /* still there: the answer found the end in what came */
    r->call = NULL;
    if (c != NULL) call_source(c)->cancel(call_source(c));
    if (r->answer) r->usage = r->answer->usage;
    if (r->counted != 0 && r->usage.known && ev->type == EVENT_END)
        calibration_add(r->state->calibration, slice_str(r->upstream), slice_str(r->model),
                              (struct calibration_sample){ r->counted, r->usage.prompt, r->counted_own });
    if (ev->type == EVENT_ERROR) {
        keep_failure(r, ev->failure);
        r->failed = true;
    }
    pass(r, ev);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct response *r = container_of(k, struct response, from);
    bool outer = r->in_event;
    enum flow flow = FLOW_MORE;
    if (r->finished || r->over) return FLOW_MORE;
    r->in_event = true;
    switch (ev->type) {
    case EVENT_HEAD:
        r->headed = true;
        r->status = ev->status;
        r->has_length = ev->has_length && r->kind == RESPONSE_BYTES;
        r->length = ev->length;
        slice_copy(r->content_type, sizeof(r->content_type), ev->content_type);
        flow = pass(r, ev);
        break;
    case EVENT_FRAME:
    case EVENT_BYTES:
        if (r->first_us == 0) r->first_us = loop_hrtime_us();
        flow = pass(r, ev);
        break;
    case EVENT_END:
    case EVENT_ERROR: ended(r, ev); break;
    }
    r->in_event = outer;
    return flow;
}

void response_emit(struct response *r, const struct event *ev) { on_event(&r->from, ev); }

static void on_mark(void *ud) {
    struct response *r = ud;
    if (r->call != NULL) call_mark(r->call);
}

/* What the call says, before anybody reads it.  After END and ERROR it frees
 * itself; passed through, every piece of bytes counts as an event. */
static enum flow on_raw(struct sink *k, const struct event *ev) {
    struct response *r = container_of(k, struct response, raw);
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) r->call = NULL;
    if (r->answer != NULL) return r->answer->sink.event(&r->answer->sink, ev);
    if (ev->type == EVENT_BYTES) on_mark(r);
    return on_event(&r->from, ev);
}

void response_start(struct response *r, struct call *c) {
    r->call = c;
    struct source *s = call_source(c);
    r->raw.event = on_raw;
    if (r->kind == RESPONSE_BYTES) {
        s->start(s, &r->raw);
        return;
    }
    r->answer = mem_alloc(sizeof(*r->answer));
    if (r->answer == NULL) {
        s->cancel(s);
        r->call = NULL;
        struct failure f;
        failure_init(&f);
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
        ended(r, &(struct event){ .type = EVENT_ERROR, .failure = &f });
        return;
    }
    answer_init(r->answer, &(struct answer_options){ .upstream = r->upstream, .stream = r->stream,
                                                      .keep_usage = r->keep_usage,
                                                      .limit = r->limit,
                                                      .mark = on_mark, .mark_ud = r },
                &r->from);
    s->start(s, &r->raw);
}

/* -- The consumer -------------------------------------------------------------------------- */

const struct failure *response_failure(const struct response *r) {
    if (!r->failed || buf_len(&r->held) > 0) return NULL;
    return r->failure ? r->failure : &lost_failure;
}

/* Runs what is held through run(); events it causes go behind. */
static void replay(struct response *r, enum flow (*run)(struct response *, const struct event *)) {
    struct response old = { .held = r->held };
    buf_init(&r->held, 0);
    size_t at = 0;
    struct event ev;
    while (!r->finished && response_record(&old, &at, &ev)) run(r, &ev);
    buf_deinit(&old.held);
}

void response_open(struct response *r) {
    if (r->opened) return;
    r->opened = true;
    if (r->hooks == NULL) return;
    replay(r, hooks_event);
    if (r->over) hooks_event(r, &(struct event){ .type = EVENT_END });
}

void response_deliver(struct response *r, struct sink *to) {
    response_ref(r); /* the consumer may drop its share in any event */
    bool outer = r->in_event;
    r->in_event = true;
    response_open(r);
    r->to = to;
    bool nothing = r->failed && buf_len(&r->held) == 0; /* a hook threw at the first event */
    if (r->headed && !nothing)
        response_out(r, &(struct event){ .type = EVENT_HEAD, .status = r->status,
                                         .content_type = slice_str(r->content_type),
                                         .has_length = r->has_length, .length = r->length });
    replay(r, response_out);
    r->read_at = 0;
    if (r->over && !r->finished) {
        struct event last = { .type = r->failed ? EVENT_ERROR : EVENT_END, .failure = r->failure };
        if (r->failed && r->failure == NULL) last.failure = &lost_failure;
        response_out(r, &last);
    } else if (!r->finished) {
        response_resume(r);
    }
    r->in_event = outer;
    response_put(r);
}

void response_resume(struct response *r) {
    if (r->call == NULL) return;
    struct source *s = call_source(r->call);
    s->resume(s);
}

/* What is left may stay with a handle in Lua for a while: without the bytes. */
static void shed_job(struct deferred *j) {
    struct response *r = container_of(j, struct response, wake);
    if (r->answer != NULL) {
        r->usage = r->answer->usage;
        answer_deinit(r->answer);
        mem_free(r->answer);
        r->answer = NULL;
    }
    buf_deinit(&r->held);
}

void response_finish(struct response *r, const struct outcome *o) {
    if (r->finished) return;
    r->finished = true;
    r->to = NULL;
    stop_source(r);
    if (r->hooks != NULL) hooks_finally(r, o);
    state_ref_drop(r->state, r->pin);
    r->pin = 0;
    deferred_cancel(&r->wake);
    loop_soon(r->state->loop, &r->wake, shed_job);
}

const char *response_upstream(const struct response *r) { return r->upstream; }
struct slice response_headers(const struct response *r) { return buf_get(&r->headers); }
uint64_t response_first_us(const struct response *r) { return r->first_us; }
uint64_t response_counted(const struct response *r) { return r->counted; }

const struct usage *response_usage(const struct response *r) {
    return r->answer && r->answer->usage.known ? &r->answer->usage : &r->usage;
}
