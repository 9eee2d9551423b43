/* response.c -- an answer, from its source to its consumer.
 *
 *     source --> [ response ] --> filters --> consumer (the client)
 *                   | held |          |
 *                   +------+ <--------+ readers look at what is held
 *
 * What the consumer's side wants is one of four states:
 *
 *     HOLDING --response_read--> READING --response_deliver--> DELIVERING --finish--> OVER
 *        +------------------------response_deliver----------------^
 *        (finish leads from any of them to OVER)
 *
 *     state       what comes is                     the source pauses, or the answer fails
 *     HOLDING     held                              over the high-water mark it pauses
 *     READING     filtered, then held               whole: over the limit it fails as too large
 *                                                   by events: what is unread over the high-water
 *                                                   mark pauses it; what was read is let go over the limit
 *     DELIVERING  filtered, then given to `to`      when the consumer is full it pauses
 *     OVER        nothing comes
 *
 * What the source's side has done is told by `source` (NULL: nothing more comes),
 * `ended` and `failed`.
 *
 * Readers look at what is held and lose nothing: a consumer that comes later gets
 * everything from the start, as filters made it.  Only a reader of events that went
 * beyond the limit of a whole answer has made that impossible (`forgotten`).
 *
 * The common case costs one held event: the policy returns the response as soon
 * as its first event is there, the consumer takes it, and from then on events
 * pass through without being stored.
 *
 * Whoever waits for the response is told by deferred work, never from inside a
 * source's callback.
 *
 * What is held are records (records.h). */
#include "flow/response.h"

#include <assert.h>

#include "base/mem.h"
#include "flow/records.h"

#define HEADERS_MAX (16 * 1024) /* bytes of lines for the client */

/* When even the failure found no memory. */
static const struct failure lost_failure = { .kind = FAILURE_NO_MEMORY, .status = 503,
                                             .retryable = true, .code = "out_of_memory",
                                             .type = "server_error", .message = "out of memory" };

static enum flow on_in(struct sink *k, const struct event *ev);
static enum flow on_out(struct sink *k, const struct event *ev);

/* The only place where the state changes. */
static void enter(struct response *r, enum response_state to) {
    assert(to > r->state); /* there is no way back */
    r->state = to;
}

const char *response_cache_name(enum response_cache c) {
    static const char *const names[] = { "", "hit", "stale", "miss", "bypass", "coalesced" };
    return names[c];
}

/* -- Bills ------------------------------------------------------------------------ */

struct bill *bill_new(void) {
    struct bill *b = mem_zalloc(sizeof(*b));
    if (b != NULL) b->refs = 1;
    return b;
}

struct bill *bill_ref(struct bill *b) {
    if (b != NULL) b->refs++;
    return b;
}

void bill_put(struct bill *b) {
    if (b != NULL && --b->refs == 0) mem_free(b);
}

enum response_cache response_cache_of(const struct response *r) {
    return r->bill != NULL && r->bill->others ? RESPONSE_COALESCED : r->cache;
}

struct usage response_said(const struct response *r) {
    return !r->usage.known && r->bill != NULL ? r->bill->usage : r->usage;
}

/* -- Life ------------------------------------------------------------------------- */

struct response *response_new(const struct response_options *opt) {
    struct response *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->refs = 1;
    r->loop = opt->loop;
    r->in.event = on_in;
    r->out.event = on_out;
    r->status = 200;
    list_init(&r->link);
    if (opt->among) list_append(opt->among, &r->link);
    r->dialect = opt->dialect;
    r->pass = opt->pass;
    r->limit = opt->limit;
    r->high_water = opt->high_water;
    r->settled = opt->settled;
    r->settled_ud = opt->settled_ud;
    slice_copy(r->upstream, sizeof(r->upstream), slice_str(opt->upstream));
    slice_copy(r->model, sizeof(r->model), opt->model);
    r->counted = opt->counted;
    r->counted_own = opt->counted_own;
    buf_init(&r->held, 0);
    buf_init(&r->headers, HEADERS_MAX);
    buf_init(&r->upstream_headers, 0);
    buf_init(&r->usage_said, 0);
    return r;
}

struct response *response_ref(struct response *r) {
    r->refs++;
    return r;
}

static void tell_spent(struct response *r) {
    void (*spent)(struct response *, void *) = r->spent;
    r->spent = NULL;
    if (spent != NULL) spent(r, r->spent_ud);
}

static void stop_source(struct response *r) {
    struct source *s = r->source;
    r->source = NULL;
    r->ended = true;
    r->unsent = s != NULL && source_is_unsent(s);
    tell_spent(r);
    if (s != NULL) source_cancel(s);
}

/* A consumer that is none of the request's own (a policy kept the response, and another request
 * returned it) hears that nothing more comes. */
static void tell_borrower(struct response *r) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_POLICY, "a policy sent the response of another request, and that one is over");
    response_break(r, NULL, &f);
    failure_deinit(&f);
}

static void abandon(struct response *r) {
    list_remove(&r->link);
    response_ref(r);
    if (r->state == RESPONSE_DELIVERING && !r->ended) tell_borrower(r);
    stop_source(r);
    if (r->user_ops != NULL) r->user_ops->empty(r);
    response_put(r);
}

void response_abandon_all(struct list *responses) {
    while (!list_is_empty(responses)) abandon(container_of(responses->next, struct response, link));
}

static void response_free(struct response *r) {
    list_remove(&r->link);
    stop_source(r);
    deferred_cancel(&r->wake);
    if (r->user_ops != NULL) r->user_ops->release(r);
    while (r->filters != NULL) {
        struct filter *f = r->filters;
        r->filters = f->next;
        f->free(f);
    }
    buf_deinit(&r->held);
    buf_deinit(&r->headers);
    buf_deinit(&r->upstream_headers);
    buf_deinit(&r->usage_said);
    bill_put(r->bill);
    if (r->failure) failure_deinit(r->failure);
    mem_free(r->failure);
    mem_free(r);
}

static void free_later(struct deferred *d) { response_free(container_of(d, struct response, wake)); }

void response_put(struct response *r) {
    if (r == NULL || --r->refs > 0) return;
    if (!r->in_event) {
        response_free(r);
        return;
    }
    /* A consumer let go inside an event: its source is still on the C stack.  Its request may end in the same
     * event, and holds it once more for that (abandon()). */
    if (r->leaves) return;
    r->leaves = true;
    r->ready = NULL;
    deferred_cancel(&r->wake);
    if (r->user_ops != NULL) r->user_ops->outlive(r);
    loop_soon(r->loop, &r->wake, free_later);
}

/* -- Holding ------------------------------------------------------------------------ */

bool response_record(const struct response *r, size_t *at, struct event *ev) {
    return records_next(buf_get(&r->held), at, ev);
}

/* -- Waking who waits ------------------------------------------------------------------ */

static void wake_waiting(struct deferred *d) {
    struct response *r = container_of(d, struct response, wake);
    void (*ready)(void *) = r->ready;
    r->ready = NULL;
    if (ready != NULL) ready(r->ready_ud); /* may free r */
}

static void wake(struct response *r) {
    if (r->ready != NULL) loop_soon(r->loop, &r->wake, wake_waiting);
}

void response_on_news(struct response *r, void (*ready)(void *ud), void *ud) {
    r->ready = ready;
    r->ready_ud = ud;
}

void response_on_ready(struct response *r, void (*ready)(void *ud), void *ud) {
    response_on_news(r, ready, ud);
    if (ready != NULL && (buf_len(&r->held) > r->read_at || r->ended)) wake(r);
}

/* -- Events ------------------------------------------------------------------------------ */

static void keep_failure(struct response *r, const struct failure *f) {
    if (r->failure == NULL) r->failure = mem_zalloc(sizeof(*r->failure));
    if (r->failure == NULL) return; /* response_why() */
    failure_copy(r->failure, f);
}

/* An encoding belongs to bytes that go on as they came. */
static bool passes(const struct response *r, struct slice name) {
    if (r->pass != NULL && headers_list_has(r->pass, name)) return true;
    return r->dialect == NULL && slice_eq_nocase(name, SLICE("content-encoding"));
}

void response_put_headers(const struct response *r, struct buf *out) {
    struct slice own = buf_get(&r->headers), theirs = buf_get(&r->upstream_headers), name, value;
    while (headers_next(&theirs, &name, &value))
        if (passes(r, name) && headers_find(own, name).ptr == NULL) headers_put(out, name, value);
    buf_slice(out, own);
}

void response_break(struct response *r, struct filter *at, const struct failure *f) {
    if (r->state == RESPONSE_OVER || r->broken) return;
    r->broken = r->failed = true;
    keep_failure(r, f);
    stop_source(r);
    struct sink *to = at ? at->to : &r->out;
    to->event(to, &(struct event){ .type = EVENT_ERROR, .failure = f });
}

static void too_large(struct response *r) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_ANSWER_TOO_LARGE, "the answer is over %zu bytes (max_body of the upstream), "
                "too large to be read as a whole", r->limit);
    buf_deinit(&r->held);
    r->read_at = 0;
    response_break(r, NULL, &f);
    failure_deinit(&f);
}

/* Held: how full is it?  May end the answer. */
static enum flow weigh(struct response *r) {
    size_t len = buf_len(&r->held);
    if (r->state == RESPONSE_READING && r->wants_all) {
        if (len > r->limit && !r->failed) too_large(r);
        return FLOW_MORE;
    }
    return len - r->read_at > r->high_water ? FLOW_FULL : FLOW_MORE;
}

static enum flow on_out(struct sink *k, const struct event *ev) {
    struct response *r = container_of(k, struct response, out);
    if (r->to != NULL) return r->to->event(r->to, ev);
    if (r->state >= RESPONSE_DELIVERING) return FLOW_MORE; /* it has left */
    bool content = ev->type == EVENT_FRAME || ev->type == EVENT_BYTES;
    if (content && !records_put(&r->held, ev)) { /* what is missing must not look complete */
        response_break(r, NULL, &lost_failure);
        return FLOW_MORE;
    }
    if (ev->type != EVENT_HEAD) wake(r);
    return weigh(r);
}

static enum flow pass(struct response *r, const struct event *ev) {
    struct sink *first = r->filters && response_is_opened(r) ? &r->filters->sink : &r->out;
    return first->event(first, ev);
}

/* The last event, for whoever comes late: whole, with what was used, as who was there heard it. */
static void say_end(const struct response *r, struct sink *to) {
    struct event ev = { .type = r->failed ? EVENT_ERROR : EVENT_END, .partial = !r->failed && r->partial,
                        .usage = usage_is_told(&r->usage) ? &r->usage : NULL };
    if (r->failed) ev.failure = response_why(r);
    else ev.usage_said = buf_get(&r->usage_said);
    to->event(to, &ev);
}

/* Another member of a pool than the one that was asked first has answered. */
static void note_upstream(struct response *r, const struct event *ev) {
    if (ev->upstream.len == 0) return;
    slice_copy(r->upstream, sizeof(r->upstream), ev->upstream);
    if (ev->pass != NULL) r->pass = ev->pass;
    r->settled = NULL; /* the tokens were counted as the other one counts */
}

/* False: no memory for its header lines.  Without them coded bytes would be garbage, and a policy misled. */
static bool head(struct response *r, const struct event *ev) {
    r->headed = true;
    note_upstream(r, ev);
    r->status = ev->status;
    r->has_length = ev->has_length && r->dialect == NULL;
    r->length = ev->length;
    slice_copy(r->content_type, sizeof(r->content_type), ev->content_type);
    buf_slice(&r->upstream_headers, ev->headers);
    return !buf_failed(&r->upstream_headers);
}

static void end(struct response *r, const struct event *ev) {
    r->source = NULL;
    r->ended = true;
    r->partial = ev->partial;
    buf_slice(&r->usage_said, ev->usage_said); /* without memory it is not kept */
    if (ev->type == EVENT_ERROR) {
        note_upstream(r, ev);
        keep_failure(r, ev->failure);
        if (r->failure) slice_copy(r->failure->upstream, sizeof(r->failure->upstream), slice_str(r->upstream));
        r->failed = true;
        r->unsent = ev->failure->unsent;
    } else if (r->settled != NULL && r->usage.known) {
        r->settled(r, r->settled_ud);
    }
    tell_spent(r);
}

static enum flow on_in(struct sink *k, const struct event *ev) {
    struct response *r = container_of(k, struct response, in);
    if (r->state == RESPONSE_OVER || r->ended) return FLOW_MORE;
    bool outer = r->in_event;
    r->in_event = true;
    if (ev->usage != NULL) r->usage = *ev->usage;
    switch (ev->type) {
    case EVENT_HEAD:
        if (head(r, ev)) break;
        response_break(r, NULL, &lost_failure);
        r->in_event = outer;
        return FLOW_MORE;
    case EVENT_FRAME:
    case EVENT_BYTES:
        r->frames += ev->type == EVENT_FRAME;
        if (r->first_us == 0) r->first_us = loop_hrtime_us();
        break;
    case EVENT_END:
    case EVENT_ERROR: end(r, ev); break;
    }
    struct event out = *ev;
    if (r->ended && usage_is_told(&r->usage)) out.usage = &r->usage; /* it may have come with a frame that was held */
    enum flow flow = pass(r, &out);
    r->in_event = outer;
    return flow;
}

void response_start(struct response *r, struct source *s) {
    r->source = s;
    if (s != NULL) source_start(s, &r->in);
    else on_in(&r->in, &(struct event){ .type = EVENT_ERROR, .failure = &lost_failure });
}

/* -- Filters ------------------------------------------------------------------------------- */

void response_add_filter(struct response *r, struct filter *f) {
    assert(r->state == RESPONSE_HOLDING);
    struct filter **last = &r->filters;
    for (; *last != NULL; last = &(*last)->next) (*last)->to = &f->sink;
    for (struct filter *g = r->filters; g != NULL; g = g->next)
        if (g->next != NULL) g->to = &g->next->sink;
    *last = f;
    f->next = NULL;
    f->to = &r->out;
}

/* Runs what is held through `to`; what that causes is held behind. */
static void replay(struct response *r, struct sink *to) {
    struct buf old = r->held;
    buf_init(&r->held, 0);
    size_t at = 0;
    struct event ev;
    bool before = r->broken; /* else a filter may break it in here: nothing more comes to it then */
    while (r->state != RESPONSE_OVER && r->broken == before && records_next(buf_get(&old), &at, &ev))
        to->event(to, &ev);
    buf_deinit(&old);
}

/* The filters see what came before they were asked. */
static void open_filters(struct response *r) {
    if (r->filters == NULL) return;
    bool outer = r->in_event;
    r->in_event = true;
    struct sink *first = &r->filters->sink;
    replay(r, first);
    if (r->broken) { /* the end was said */
        r->in_event = outer;
        return;
    }
    if (r->ended) say_end(r, first);
    r->in_event = outer;
}

/* -- Readers --------------------------------------------------------------------------------- */

void response_read(struct response *r, bool all) {
    r->wants_all = all;
    if (r->state == RESPONSE_HOLDING) {
        enter(r, RESPONSE_READING);
        open_filters(r);
    }
    weigh(r); /* what is held already may be too much */
}

bool response_next(struct response *r, struct event *ev) {
    if (r->read_at > r->limit) { /* nobody may come later any more */
        buf_consume(&r->held, r->read_at);
        r->read_at = 0;
        r->forgotten = true;
    }
    return records_next(buf_get(&r->held), &r->read_at, ev);
}

const struct failure *response_why(const struct response *r) { return r->failure ? r->failure : &lost_failure; }

const struct failure *response_failure(const struct response *r) {
    return r->failed && buf_len(&r->held) == 0 ? response_why(r) : NULL;
}

/* -- The consumer -------------------------------------------------------------------------- */

/* Events were let go: what is left is no answer. */
static void fail_forgotten(struct response *r, struct sink *to) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_ANSWER_TOO_LARGE, "the answer cannot be sent: a policy has read more than %zu bytes "
                "of it as events (max_body of the upstream), and they were let go", r->limit);
    keep_failure(r, &f);
    r->failed = true;
    stop_source(r);
    to->event(to, &(struct event){ .type = EVENT_ERROR, .failure = &f });
    failure_deinit(&f);
}

static void deliver_all(struct response *r, struct sink *to) {
    bool nothing = r->failed && buf_len(&r->held) == 0; /* a filter broke it at the first event */
    if (r->headed && !nothing)
        to->event(to, &(struct event){ .type = EVENT_HEAD, .status = r->own_status ? r->own_status : r->status,
                                       .content_type = slice_str(r->content_type),
                                       .headers = buf_get(&r->upstream_headers), .has_length = r->has_length,
                                       .length = r->length });
    replay(r, &r->out);
    r->read_at = 0;
    if (r->state == RESPONSE_OVER) return;
    if (!r->ended) response_resume(r);
    else say_end(r, to);
}

void response_deliver(struct response *r, struct sink *to) {
    response_ref(r); /* the consumer may drop its share in any event */
    bool outer = r->in_event;
    r->in_event = true;
    if (r->state == RESPONSE_HOLDING) {
        enter(r, RESPONSE_READING);
        open_filters(r);
    }
    enter(r, RESPONSE_DELIVERING);
    r->to = to;
    if (r->forgotten) fail_forgotten(r, to);
    else deliver_all(r, to);
    r->in_event = outer;
    response_put(r);
}

void response_resume(struct response *r) {
    if (r->source != NULL) source_resume(r->source);
}

void response_leave(struct response *r) {
    r->to = NULL;
    stop_source(r);
}

/* What is left may stay with a handle in Lua for a while: without the bytes. */
static void shed(struct deferred *d) { buf_deinit(&container_of(d, struct response, wake)->held); }

uint64_t response_estimate(const struct response *r) { return r->usage.said > 0 ? r->usage.said : r->frames; }

void response_usage(const struct response *r, struct outcome *o) {
    o->usage = response_said(r);
    o->estimated = !o->ok && !o->usage.known && response_estimate(r) > 0 && !r->accounted;
    if (o->estimated) o->usage = (struct usage){ .known = true, .prompt = r->counted,
                                                 .completion = response_estimate(r) };
}

void response_finish(struct response *r, const struct outcome *o) {
    if (r->state == RESPONSE_OVER) return;
    enter(r, RESPONSE_OVER);
    r->to = NULL;
    stop_source(r);
    if (r->user_ops != NULL) r->user_ops->finish(r, o);
    deferred_cancel(&r->wake);
    loop_soon(r->loop, &r->wake, shed);
}
