/* composed.c -- an answer made of pieces, and of other answers, as a source.
 *
 *     a policy's coroutine --text, calls--+
 *                                         v
 *     parts (pipe.c) --events, retold--> [ pending ] --end of the turn--> response --> client
 *                                         |       +-- or, for a whole: assembly --END--> one piece
 *                                         +<-- resume: go on; `drained` when writers waited
 *
 *     OPEN --composed_end, composed_fail--> ENDING --all is out--> OVER
 *       +------------------ cancel: nobody wants it ----------------^
 *
 * Writers run inside of Lua, and what takes an event may end the request and with it the coroutine that just wrote.
 * So nothing goes out while somebody writes: it waits in `pending` until the end of the turn.  A client that is full
 * leaves it there; writers look at composed_is_full() and wait until they are told.  What is pending is bounded by the
 * high-water mark and what one writer adds in one go.
 *
 * It is always told as a stream.  Where the client waits for a whole, the same events are put together as they come.
 *
 * Usage is the sum over parts, told once in front of the end mark; what was counted with other requests is told apart
 * in it (`elsewhere`).
 *
 * Shares: the writer, the source until its end, each pipe.  Nothing here knows of Lua. */
#include "request/composed.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "flow/records.h"
#include "request/composed_int.h"

static const struct composing *how(const struct composed *c) { return c->opt.dialect->composing; }

/* -- Life ------------------------------------------------------------------------------- */

struct composed *composed_ref(struct composed *c) {
    c->refs++;
    return c;
}

void composed_put(struct composed *c) {
    if (c == NULL || --c->refs > 0) return;
    deferred_cancel(&c->flush);
    buf_deinit(&c->model);
    buf_deinit(&c->common);
    buf_deinit(&c->pending);
    buf_deinit(&c->scratch);
    json_deinit(&c->doc);
    assemble_deinit(&c->assembly);
    failure_deinit(&c->failure);
    mem_free(c->choices);
    mem_free(c);
}

bool composed_is_over(const struct composed *c) { return c->state != COMPOSED_OPEN; }
unsigned composed_choices(const struct composed *c) { return c->opt.choices; }

static bool is_full(const struct composed *c) {
    return c->state == COMPOSED_OPEN && (c->full || buf_len(&c->pending) > c->opt.high_water);
}

bool composed_is_full(struct composed *c) {
    bool full = is_full(c);
    c->waited |= full;
    return full;
}

static void tell_gone(struct composed *c) {
    bool writer = c->writer;
    c->writer = false;
    if (writer) c->opt.ops->gone(c->opt.ud);
}

/* The only place where the state changes. */
static void enter(struct composed *c, enum composed_state to) {
    c->state = to;
    if (to >= COMPOSED_ENDING) pipes_end(c);
}

/* -- Going out ----------------------------------------------------------------------------- */

static void on_flush(struct deferred *d);

static void flush_soon(struct composed *c) {
    if (c->to != NULL) loop_soon(c->opt.loop, &c->flush, on_flush);
}

static enum flow emit(struct composed *c, struct event *ev) {
    if (c->news && ev->type != EVENT_HEAD) ev->usage = &c->usage;
    if (ev->type != EVENT_HEAD) c->news = false;
    return c->to->event(c->to, ev);
}

static void emit_head(struct composed *c) {
    if (c->headed) return;
    c->headed = true;
    emit(c, &(struct event){ .type = EVENT_HEAD, .status = 200, .upstream = slice_str(c->upstream),
                             .content_type = c->opt.stream ? SLICE("text/event-stream") : SLICE("application/json") });
}

/* A source frees itself at its end: its share goes. */
static void emit_last(struct composed *c, const struct failure *f) {
    struct sink *to = c->to;
    if (c->state == COMPOSED_OVER) return;
    enter(c, COMPOSED_OVER);
    c->to = NULL;
    c->news = false;
    to->event(to, &(struct event){ .type = f ? EVENT_ERROR : EVENT_END, .failure = f, .partial = c->partial,
                                   .usage = c->usage.known ? &c->usage : NULL });
    tell_gone(c);
    composed_put(c);
}

static void emit_whole(struct composed *c) {
    struct buf out;
    struct failure f;
    failure_init(&f);
    buf_init(&out, 0);
    if (!assemble_write(&c->assembly, &out) || buf_failed(&out)) {
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    } else {
        emit_head(c);
        if (c->to != NULL) emit(c, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&out) });
    }
    buf_deinit(&out);
    emit_last(c, failure_is_set(&f) ? &f : NULL);
}

/* All is out. */
static void finish(struct composed *c) {
    if (failure_is_set(&c->failure)) emit_last(c, &c->failure);
    else if (!c->opt.stream) emit_whole(c);
    else emit_last(c, NULL);
}

/* What waits goes out, as long as it is taken. */
static void send_pending(struct composed *c) {
    struct event ev;
    size_t at = 0;
    struct buf out = c->pending; /* what events cause is written behind */
    buf_init(&c->pending, 0);
    while (c->to != NULL && !c->full && records_next(buf_get(&out), &at, &ev)) {
        emit_head(c);
        if (c->to != NULL) c->full = emit(c, &ev) == FLOW_FULL;
    }
    buf_consume(&out, at);
    buf_slice(&out, buf_get(&c->pending));
    buf_deinit(&c->pending);
    c->pending = out;
}

static void flush(struct composed *c) {
    composed_ref(c);
    send_pending(c);
    bool out = buf_len(&c->pending) == 0;
    if (c->to != NULL && out && c->state == COMPOSED_ENDING) finish(c);
    if (c->state == COMPOSED_OPEN && c->waited && !is_full(c)) {
        c->waited = false;
        pipes_resume(c);
        if (c->writer) c->opt.ops->drained(c->opt.ud); /* may end it */
    }
    composed_put(c);
}

static void on_flush(struct deferred *d) { flush(container_of(d, struct composed, flush)); }

/* -- Writing ---------------------------------------------------------------------------------- */

/* What waits goes out, and then this. */
static void break_off(struct composed *c, const struct failure *f) {
    if (c->state != COMPOSED_OPEN) return;
    failure_copy(&c->failure, f);
    enter(c, COMPOSED_ENDING);
    flush_soon(c);
}

static void fail_with(struct composed *c, enum failure_kind kind, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    break_off(c, &f);
    failure_deinit(&f);
}

static void add_to_whole(struct composed *c, struct slice data) {
    struct json_error err;
    int rc = json_parse(&c->doc, data, &err);
    if (rc == 0) rc = assemble_add(&c->assembly, &c->doc);
    if (rc == PERILUNE_ERR_LIMITED)
        fail_with(c, FAILURE_ANSWER_TOO_LARGE, "the answer that a policy makes is longer than max_body of upstreams");
    else if (rc == PERILUNE_ERR_UPSTREAM) fail_with(c, FAILURE_MALFORMED, ASSEMBLE_NO_CHOICE);
    else if (rc != 0) fail_with(c, FAILURE_NO_MEMORY, "out of memory");
}

static void add_frame(struct composed *c, struct slice data) {
    struct buf raw;
    buf_init(&raw, 0);
    dialect_write_event(&raw, data);
    struct slice all = buf_get(&raw);
    bool good = !buf_failed(&raw) &&
                records_put(&c->pending, &(struct event){ .type = EVENT_FRAME, .raw = all,
                                                          .data = slice_of(all.ptr + 6, all.len - 8) });
    buf_deinit(&raw);
    if (good) flush_soon(c);
    else fail_with(c, FAILURE_NO_MEMORY, "out of memory");
}

void composed_send(struct composed *c) {
    if (c->state == COMPOSED_OVER || failure_is_set(&c->failure)) return;
    if (buf_failed(&c->scratch)) fail_with(c, FAILURE_NO_MEMORY, "out of memory");
    else if (c->opt.stream) add_frame(c, buf_get(&c->scratch));
    else add_to_whole(c, buf_get(&c->scratch));
}

static void say(struct composed *c, unsigned choice, enum piece_kind kind, struct slice text) {
    bool first = !c->choices[choice].begun;
    buf_clear(&c->scratch);
    how(c)->write_text(&c->scratch, buf_get(&c->common), choice, first, kind, text);
    c->choices[choice].begun = true;
    composed_send(c);
}

/* Bytes at the end that are the beginning of a character; at most 3. */
static size_t half_of(struct slice text) {
    for (size_t n = 1; n <= 3 && n <= text.len; n++) {
        unsigned char b = (unsigned char)text.ptr[text.len - n];
        if (b >= 0xc0) return n < (b >= 0xf0 ? 4u : b >= 0xe0 ? 3u : 2u) ? n : 0;
        if (b < 0x80) return 0;
    }
    return 0;
}

void composed_text(struct composed *c, unsigned choice, enum piece_kind kind, struct slice text) {
    if (c->state != COMPOSED_OPEN || text.len == 0 || choice >= c->opt.choices) return;
    struct composing_choice *to = &c->choices[choice];
    size_t half = half_of(text), kept = to->half_kind == kind ? to->half_len : 0;
    struct buf all;
    buf_init(&all, 0);
    if (kept > 0) {
        buf_put(&all, to->half, kept);
        buf_slice(&all, text);
        to->half_len = 0;
        text = buf_get(&all);
        half = half_of(text);
    }
    if (to->half_len > 0) composed_half(c, choice);
    if (text.len > half) say(c, choice, kind, slice_of(text.ptr, text.len - half));
    memcpy(to->half, text.ptr + text.len - half, half);
    to->half_len = (unsigned char)half;
    to->half_kind = kind;
    buf_deinit(&all);
}

void composed_half(struct composed *c, unsigned choice) {
    struct composing_choice *to = &c->choices[choice];
    size_t len = to->half_len;
    to->half_len = 0;
    if (len > 0) say(c, choice, to->half_kind, slice_of(to->half, len));
}

void composed_call(struct composed *c, unsigned choice, const struct composing_call *call) {
    static const struct slice calls = SLICE("tool_calls");
    if (c->state != COMPOSED_OPEN || choice >= c->opt.choices) return;
    struct composing_choice *to = &c->choices[choice];
    buf_clear(&c->scratch);
    how(c)->write_call(&c->scratch, buf_get(&c->common), choice, !to->begun, to->calls, call);
    to->begun = true;
    to->calls++;
    struct slice worse = how(c)->worse(slice_str(to->reason), calls);
    if (worse.ptr != to->reason) slice_copy(to->reason, sizeof(to->reason), worse);
    composed_send(c);
}

void composed_usage(struct composed *c, const struct usage *u) {
    if (!u->known) return;
    c->news = c->usage.known = true;
    c->usage.prompt += u->prompt;
    c->usage.completion += u->completion;
    c->usage.cached += u->cached;
    usage_add_details(&c->usage, u);
    c->usage.elsewhere.prompt += u->elsewhere.prompt;
    c->usage.elsewhere.completion += u->elsewhere.completion;
    c->usage.elsewhere.cached += u->elsewhere.cached;
}

void composed_reason(struct composed *c, unsigned choice, struct slice reason) {
    if (choice < c->opt.choices) slice_copy(c->choices[choice].reason, COMPOSING_REASON, reason);
}

void composed_partial(struct composed *c) { c->partial = true; }

/* Those that began end; of none, the first does. */
static void end_choices(struct composed *c) {
    for (unsigned i = 0; i < c->opt.choices; i++) {
        struct composing_choice *one = &c->choices[i];
        composed_half(c, i);
        if (!one->begun && i > 0) continue;
        buf_clear(&c->scratch);
        how(c)->write_end(&c->scratch, buf_get(&c->common), i, !one->begun,
                          one->reason[0] ? slice_str(one->reason) : SLICE("stop"));
        composed_send(c);
    }
}

static void end_usage(struct composed *c) {
    if (!c->usage.known || (c->opt.stream && !c->opt.keep_usage) || c->opt.dialect->write_usage == NULL) return;
    buf_clear(&c->scratch);
    c->opt.dialect->write_usage(&c->scratch, buf_get(&c->common), &c->usage, SLICE(""));
    composed_send(c);
}

void composed_end(struct composed *c) {
    c->writer = false;
    if (c->state != COMPOSED_OPEN) return;
    end_choices(c);
    end_usage(c);
    if (c->opt.stream && c->opt.dialect->end_mark.len > 0 && c->state == COMPOSED_OPEN) {
        buf_clear(&c->scratch);
        buf_slice(&c->scratch, c->opt.dialect->end_mark);
        composed_send(c);
    }
    if (c->state == COMPOSED_OPEN) enter(c, COMPOSED_ENDING);
    flush_soon(c);
}

void composed_fail(struct composed *c, const struct failure *f) {
    c->writer = false;
    break_off(c, f);
}

/* -- As a source --------------------------------------------------------------------------------- */

static struct composed *of(const struct source *s) {
    return container_of((struct source *)(uintptr_t)s, struct composed, source);
}

static void start(struct source *s, struct sink *to) {
    struct composed *c = of(s);
    c->to = to;
    c->opt.ops->begin(c->opt.ud);
    if (composed_is_over(c) || buf_len(&c->pending) > 0) flush_soon(c);
}

static void resume(struct source *s) {
    struct composed *c = of(s);
    c->full = false;
    flush_soon(c);
}

/* Maybe in an event, then in flush(), or from a finalizer. */
static void cancel(struct source *s) {
    struct composed *c = of(s);
    if (c->state == COMPOSED_OVER) return;
    c->to = NULL;
    enter(c, COMPOSED_OVER);
    buf_clear(&c->pending);
    tell_gone(c);
    composed_put(c);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    const struct composed *c = of(s);
    const struct pipe *p = list_is_empty(&c->pipes) ? NULL : container_of(c->pipes.next, struct pipe, link);
    if (p != NULL && p->part->source != NULL) return source_describe(p->part->source, buf, size);
    return "what a policy writes";
}

static const struct source_ops source_ops = { start, resume, cancel, NULL, describe, NULL, NULL };

struct source *composed_source(struct composed *c) { return &composed_ref(c)->source; }

/* -- Making ------------------------------------------------------------------------------------------ */

static void name(struct composed *c) {
    char hex[33], id[48];
    rng_hex128(&c->opt.loop->rng, hex);
    snprintf(id, sizeof(id), "chatcmpl-%.24s", hex);
    how(c)->write_common(&c->common, slice_str(id), buf_get(&c->model), (uint64_t)clock_wall_s());
}

struct composed *composed_new(const struct composed_options *opt) {
    struct composed *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    *c = (struct composed){ .source = { &source_ops }, .refs = 1, .opt = *opt, .writer = true };
    list_init(&c->pipes);
    buf_init(&c->model, 0);
    buf_init(&c->common, 0);
    buf_init(&c->pending, 0);
    buf_init(&c->scratch, opt->limit);
    assemble_init(&c->assembly, opt->limit);
    failure_init(&c->failure);
    buf_slice(&c->model, opt->model);
    c->choices = mem_zalloc(opt->choices * sizeof(*c->choices));
    if (c->choices != NULL && !buf_failed(&c->model)) name(c);
    if (c->choices != NULL && !buf_failed(&c->model) && !buf_failed(&c->common)) return c;
    composed_put(c);
    return NULL;
}
