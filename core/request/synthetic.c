/* synthetic.c -- an answer made here, as a source.
 *
 * Its pieces of text become chunks of a stream or one completion.  Without delays
 * everything comes from inside start(); with delays, with which tests of policies
 * play an upstream in virtual time, a timer emits one piece after the other. */
#include "request/synthetic.h"

#include <time.h>

#include "base/clock.h"
#include "base/blob.h"
#include "base/mem.h"
#include "llm/openai.h"

#define AROUND 240 /* bytes around the text of an event, for a buffer that need not grow */

struct synthetic {
    struct source  source;
    struct sink   *to;
    struct loop   *loop;
    struct timer   timer;
    struct buf     bytes;   /* all pieces */
    size_t        *ends;    /* where each piece ends */
    unsigned       count, next;
    uint64_t       ttft_ms, itl_ms, created;
    struct usage   usage;
    struct failure failure;
    struct blob   *model;
    int            status;
    bool           is_body, stream, keep_usage, over, in_event;
    char           id[48];
};

static void synthetic_free(struct synthetic *y) {
    timer_stop(y->loop, &y->timer);
    buf_deinit(&y->bytes);
    mem_free(y->ends);
    blob_put(y->model);
    failure_deinit(&y->failure);
    mem_free(y);
}

/* -- Emitting ------------------------------------------------------------------------ */

static void emit(struct synthetic *y, const struct event *ev) {
    if (!y->over) y->to->event(y->to, ev);
}

static void emit_last(struct synthetic *y, const struct failure *f) {
    emit(y, &(struct event){ .type = f ? EVENT_ERROR : EVENT_END, .failure = f,
                             .usage = y->usage.known ? &y->usage : NULL });
    y->over = true;
}

static void emit_lost(struct synthetic *y) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    emit_last(y, &f);
}

/* `frames` holds whole "data: ...\n\n" frames: one event each.  It is emptied; without
 * memory for all of them the answer has failed. */
static void emit_frames(struct synthetic *y, struct buf *frames) {
    struct slice s = buf_get(frames);
    if (buf_failed(frames)) emit_lost(y);
    while (s.len > 0 && !y->over) {
        const char *end = memmem(s.ptr, s.len, "\n\n", 2);
        size_t len = (size_t)(end + 2 - s.ptr);
        emit(y, &(struct event){ .type = EVENT_FRAME, .raw = slice_of(s.ptr, len),
                                 .data = slice_of(s.ptr + 6, len - 8) });
        s.ptr += len;
        s.len -= len;
    }
    buf_deinit(frames);
}

static struct openai_answer describe(struct synthetic *y) {
    return (struct openai_answer){ slice_str(y->id), blob_get(y->model), y->created, &y->usage };
}

static struct slice piece(const struct synthetic *y, unsigned i) {
    size_t start = i == 0 ? 0 : y->ends[i - 1];
    return slice_of(buf_get(&y->bytes).ptr + start, y->ends[i] - start);
}

static void emit_head(struct synthetic *y) {
    emit(y, &(struct event){ .type = EVENT_HEAD, .status = y->status,
                             .content_type = y->stream ? SLICE("text/event-stream") : SLICE("application/json") });
}

static void emit_piece(struct synthetic *y) {
    if (y->next == 0) emit_head(y);
    if (y->stream) {
        struct openai_answer a = describe(y);
        struct buf out;
        buf_init(&out, 0);
        buf_reserve(&out, AROUND + (y->next == 0 ? AROUND : 0) + piece(y, y->next).len);
        if (y->next == 0) openai_chunk_role(&out, &a);
        openai_chunk_text(&out, &a, piece(y, y->next));
        emit_frames(y, &out);
    }
    y->next++;
}

static void emit_end(struct synthetic *y) {
    if (failure_is_set(&y->failure)) {
        emit_last(y, &y->failure);
        return;
    }
    if (y->count == 0) emit_head(y);
    struct openai_answer a = describe(y);
    struct buf out;
    buf_init(&out, 0);
    buf_reserve(&out, 2 * AROUND + (y->stream ? 0 : buf_len(&y->bytes)));
    if (y->stream) {
        openai_chunk_finish(&out, &a);
        if (y->keep_usage) openai_chunk_usage(&out, &a);
        dialect_write_event(&out, openai_chat.end_mark);
        emit_frames(y, &out);
    } else {
        if (y->is_body) buf_slice(&out, buf_get(&y->bytes));
        else openai_completion(&out, &a, buf_get(&y->bytes));
        if (buf_failed(&out)) emit_lost(y);
        else emit(y, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&out) });
        buf_deinit(&out);
    }
    if (!y->over) emit_last(y, NULL);
}

/* One piece, or the end.  The last piece without a delay behind it brings the end along. */
static void step(struct synthetic *y) {
    if (y->next < y->count) emit_piece(y);
    else emit_end(y);
    if (!y->over && y->next == y->count && y->itl_ms == 0) emit_end(y);
}

static void on_timer(struct timer *t) {
    struct synthetic *y = container_of(t, struct synthetic, timer);
    y->in_event = true;
    step(y);
    y->in_event = false;
    uint64_t after = y->itl_ms ? y->itl_ms : 1;
    if (!y->over && timer_start(y->loop, t, after, on_timer) != 0) emit_lost(y);
    if (y->over) synthetic_free(y);
}

/* -- As a source ------------------------------------------------------------------------ */

static void start(struct source *s, struct sink *to) {
    struct synthetic *y = container_of(s, struct synthetic, source);
    y->to = to;
    y->in_event = true;
    if (y->ttft_ms == 0 && y->itl_ms == 0) {
        while (!y->over) step(y);
    } else if (timer_start(y->loop, &y->timer, y->ttft_ms ? y->ttft_ms : 1, on_timer) != 0) {
        emit_lost(y);
    }
    y->in_event = false;
    if (y->over) synthetic_free(y);
}

/* It is never told to pause: all of it is here already. */
static void resume(struct source *s) { (void)s; }

static void cancel(struct source *s) {
    struct synthetic *y = container_of(s, struct synthetic, source);
    y->over = true;
    if (!y->in_event) synthetic_free(y);
}

static const char *describe_source(const struct source *s, char *buf, size_t size) {
    (void)s;
    (void)buf;
    (void)size;
    return "an answer made here";
}

static const struct source_ops ops = { start, resume, cancel, NULL, describe_source, NULL, NULL };

/* -- Making ------------------------------------------------------------------------------- */

static int copy_pieces(struct synthetic *y, const struct synthetic_options *opt) {
    y->count = opt->pieces ? opt->count : opt->text.len > 0 ? 1 : 0;
    y->ends = mem_alloc((y->count + 1) * sizeof(*y->ends));
    if (y->ends == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < y->count; i++) {
        buf_slice(&y->bytes, opt->pieces ? opt->pieces[i] : opt->text);
        y->ends[i] = buf_len(&y->bytes);
    }
    return y->bytes.error;
}

struct source *synthetic_new(struct loop *loop, const struct synthetic_options *opt) {
    struct synthetic *y = mem_zalloc(sizeof(*y));
    if (y == NULL) return NULL;
    y->source.ops = &ops;
    y->loop = loop;
    buf_init(&y->bytes, 0);
    failure_init(&y->failure);
    y->status = opt->status;
    y->is_body = opt->is_body;
    y->stream = opt->stream && !opt->is_body;
    y->keep_usage = opt->keep_usage;
    y->usage = opt->usage;
    y->ttft_ms = opt->ttft_ms;
    y->itl_ms = opt->itl_ms;
    y->created = (uint64_t)clock_wall_s();
    y->model = blob_copy(opt->model);
    if (y->model == NULL || copy_pieces(y, opt) != 0) {
        synthetic_free(y);
        return NULL;
    }
    if (opt->failure) failure_move(&y->failure, opt->failure);
    char hex[33];
    rng_hex128(&loop->rng, hex);
    memcpy(y->id, "chatcmpl-", 9); /* y is zeroed */
    memcpy(y->id + 9, hex, 24);
    return &y->source;
}
