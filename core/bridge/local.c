/* local.c -- an answer made here, as a source.
 *
 * Its pieces of text become chunks of a stream or one completion.  Without delays
 * everything is emitted at once (and held by the response until it is taken);
 * with delays, which policy tests use to play an upstream in virtual time, a
 * timer emits one piece after the other. */
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "bridge/response_int.h"
#include "llm/openai.h"

struct local {
    struct response *response;
    struct timer     timer;
    struct buf       bytes;   /* all pieces */
    size_t          *ends;    /* where each piece ends */
    unsigned         count, next;
    uint64_t         ttft_ms, itl_ms;
    struct failure   failure;
    char             id[48];
    struct blob     *model;
    uint64_t         created;
};

void local_stop(struct response *r) {
    if (r->local != NULL) timer_stop(r->state->loop, &r->local->timer);
}

void local_deinit(struct response *r) {
    struct local *l = r->local;
    if (l == NULL) return;
    local_stop(r);
    buf_deinit(&l->bytes);
    mem_free(l->ends);
    blob_put(l->model);
    failure_deinit(&l->failure);
    mem_free(l);
    r->local = NULL;
}

static struct slice piece(const struct local *l, unsigned i) {
    size_t start = i == 0 ? 0 : l->ends[i - 1];
    return slice_of(buf_get(&l->bytes).ptr + start, l->ends[i] - start);
}

static void emit_failure(struct response *r) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    response_emit(r, &(struct event){ .type = EVENT_ERROR, .failure = &f });
}

/* `frames` holds whole "data: ...\n\n" frames: one event each.  Returns false, and the
 * answer has failed, when there was no memory for all of them. */
static bool emit_frames(struct response *r, struct buf *frames) {
    struct slice s = buf_get(frames);
    if (buf_failed(frames)) {
        buf_deinit(frames);
        emit_failure(r);
        return false;
    }
    while (s.len > 0 && !r->finished) {
        const char *end = memmem(s.ptr, s.len, "\n\n", 2);
        size_t len = (size_t)(end + 2 - s.ptr);
        response_emit(r, &(struct event){ .type = EVENT_FRAME, .raw = slice_of(s.ptr, len),
                                          .data = slice_of(s.ptr + 6, len - 8) });
        s.ptr += len;
        s.len -= len;
    }
    buf_deinit(frames);
    return true;
}

static struct openai_answer describe(struct response *r) {
    struct local *l = r->local;
    return (struct openai_answer){ slice_str(l->id), blob_get(l->model), l->created, &r->usage };
}

static void finish(struct response *r) {
    struct local *l = r->local;
    if (failure_is_set(&l->failure)) {
        response_emit(r, &(struct event){ .type = EVENT_ERROR, .failure = &l->failure });
        return;
    }
    struct openai_answer a = describe(r);
    struct buf out;
    buf_init(&out, 0);
    if (r->stream) {
        openai_chunk_finish(&out, &a);
        if (r->keep_usage) openai_chunk_usage(&out, &a);
        buf_puts(&out, "data: [DONE]\n\n");
        if (!emit_frames(r, &out)) return;
    } else {
        openai_completion(&out, &a, buf_get(&l->bytes));
        if (buf_failed(&out)) {
            buf_deinit(&out);
            emit_failure(r);
            return;
        }
        response_emit(r, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&out) });
        buf_deinit(&out);
    }
    response_emit(r, &(struct event){ .type = EVENT_END });
}

static void emit_head(struct response *r) {
    response_emit(r, &(struct event){ .type = EVENT_HEAD, .status = r->status,
                                      .content_type = r->stream ? SLICE("text/event-stream")
                                                                : SLICE("application/json") });
}

/* One piece, or the end.  Returns whether there is more to come. */
static bool step(struct response *r) {
    struct local *l = r->local;
    bool first = l->next == 0;
    if (first && l->count > 0) emit_head(r);
    if (l->next < l->count && r->stream) {
        struct openai_answer a = describe(r);
        struct buf out;
        buf_init(&out, 0);
        if (first) openai_chunk_role(&out, &a);
        openai_chunk_text(&out, &a, piece(l, l->next));
        if (!emit_frames(r, &out)) return false;
    }
    if (l->next < l->count) {
        l->next++;
        if (l->next < l->count || l->itl_ms > 0) return true;
    }
    if (l->count == 0 && !failure_is_set(&l->failure)) emit_head(r);
    finish(r);
    return false;
}

static void on_timer(struct timer *t) {
    struct local *l = container_of(t, struct local, timer);
    struct response *r = response_ref(l->response);
    if (step(r)) timer_start(r->state->loop, t, l->itl_ms ? l->itl_ms : 1, on_timer);
    response_put(r);
}

static int copy_pieces(struct local *l, const struct local_answer *a) {
    l->count = a->pieces ? a->count : a->text.len > 0 ? 1 : 0;
    l->ends = mem_alloc((l->count + 1) * sizeof(*l->ends));
    if (l->ends == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < l->count; i++) {
        buf_slice(&l->bytes, a->pieces ? a->pieces[i] : a->text);
        l->ends[i] = buf_len(&l->bytes);
    }
    return l->bytes.error;
}

int response_local(struct response *r, const struct local_answer *a) {
    struct local *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return PERILUNE_ERR_NOMEM;
    r->local = l;
    l->response = r;
    buf_init(&l->bytes, 0);
    failure_init(&l->failure);
    r->status = a->status;
    r->stream = a->stream;
    r->keep_usage = a->keep_usage;
    r->usage = a->usage;
    l->ttft_ms = a->ttft_ms;
    l->itl_ms = a->itl_ms;
    l->created = (uint64_t)time(NULL);
    l->model = blob_copy(a->model);
    if (l->model == NULL || copy_pieces(l, a) != 0) return PERILUNE_ERR_NOMEM;
    if (a->failure) failure_move(&l->failure, a->failure);
    char hex[33];
    rng_hex128(&r->state->loop->rng, hex);
    snprintf(l->id, sizeof(l->id), "chatcmpl-%.24s", hex);
    if (l->ttft_ms > 0 || l->itl_ms > 0)
        return timer_start(r->state->loop, &l->timer, l->ttft_ms ? l->ttft_ms : 1, on_timer);
    while (step(r)) {}
    return 0;
}
