/* job_exchange.c -- a job as who asks.
 *
 *     job --> request --> exchange: route, policies --> response
 *              work <-- frames (events of the job) ------- |
 *              work <-- the whole answer (its result) -----+
 *
 * It is an exchange like that of a client: the same route, policies, limits, counters and log, under the job's id and
 * the number of its try.  The one difference is admission: the job's tenant was found out when it was taken on and is
 * kept with it, its key is not, so policies that say who may ask ({ admits = true }) do not run again.  But only where
 * the route is the one that let it in, or has none of them (exchange.c, was_admitted).
 *
 * The result is what a client would have got that did not ask for a stream.  Of a stream it is put together here: of a
 * chat from its chunks, with the usage that the upstream said even when its event was not for the client; of any other
 * from the event that tells all of the answer, or else it is the stream itself.
 *
 *     HEAD --> FRAME | BYTES ... --> END:   done
 *                                    ERROR, or a status of 400 and more: failed, and tried again when that may help
 *
 * Bounds: `max_result` bytes of a result, and what the runner takes of frames before it says FLOW_FULL. */
#include "gateway/job_exchange.h"

#include <stdio.h>
#include <time.h>

#include "base/httpdate.h"
#include "base/json.h"
#include "flow/headers.h"
#include "llm/assemble.h"
#include "llm/dialect.h"
#include "llm/stream_whole.h"
#include "request/job_question.h"

struct job_exchange {
    struct exchange  x;
    struct sink      sink;
    struct job_work *work;    /* NULL: it has its end, or was stopped */
    struct assemble  chunks;
    struct buf       body;    /* of an answer that comes in bytes; of a stream of those: what is no whole frame yet */
    struct buf       told;    /* all of an answer, from an event of its stream */
    struct buf       raw;     /* a stream of bytes */
    size_t           limit, seen; /* seen: bytes of `body` without the end of a frame */
    int              status;
    uint32_t         retry_after_ms; /* of its head */
    bool             frames;  /* it is a stream */
    struct usage     usage;
    char             type[80];
    char             guard[GUARD_SIZE]; /* who let the job in */
};

static void job_exchange_free(struct exchange *x) {
    struct job_exchange *e = container_of(x, struct job_exchange, x);
    assemble_deinit(&e->chunks);
    buf_deinit(&e->body);
    buf_deinit(&e->told);
    buf_deinit(&e->raw);
    mem_free(e);
}

static void understood(struct exchange *x) { (void)x; }

/* -- The end ---------------------------------------------------------------------------------- */

static void end(struct job_exchange *e, const struct work_end *how) {
    struct job_work *work = e->work;
    e->work = NULL;
    if (work == NULL) return;
    work->user = NULL;
    job_work_end(work, how);
}

static void end_with(struct job_exchange *e, const struct failure *f) {
    end(e, &(struct work_end){ .failure = f, .status = f->status });
}

/* From inside of an event. */
static void give_up(struct job_exchange *e, enum failure_kind kind, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    end_with(e, &f);
    failure_deinit(&f);
    exchange_gone(&e->x); /* frees e */
}

static void too_large(struct job_exchange *e) {
    give_up(e, FAILURE_ANSWER_TOO_LARGE, "the result has more bytes than may be kept (jobs.max_result)");
}

static bool is_json(struct slice s) {
    struct json_doc d = { .nodes = NULL };
    bool ok = s.len > 0 && json_parse(&d, s, &(struct json_error){ 0 }) == 0;
    json_deinit(&d);
    return ok;
}

/* Usage that no chunk said, because the client did not ask for it. */
static void add_usage(struct job_exchange *e, struct slice said) {
    struct buf *b = &e->chunks.usage;
    if (buf_len(b) > 0 || (said.len == 0 && !e->usage.known)) return;
    if (said.len > 0) buf_slice(b, said);
    else
        buf_printf(b, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}",
                   (unsigned long long)e->usage.prompt, (unsigned long long)e->usage.completion,
                   (unsigned long long)(e->usage.prompt + e->usage.completion));
}

static void on_end(struct job_exchange *e, const struct event *ev) {
    struct work_end how = { .status = e->status, .type = slice_str(e->type) };
    struct buf whole;
    struct failure f;
    buf_init(&whole, 0);
    failure_init(&f);
    add_usage(e, ev->usage_said);
    if (e->frames && assemble_write(&e->chunks, &whole)) how.type = SLICE("application/json");
    else if (buf_len(&e->told) > 0) {
        how.type = SLICE("application/json");
        buf_slice(&whole, buf_get(&e->told));
    } else buf_slice(&whole, buf_get(e->frames ? &e->raw : &e->body));
    how.result = buf_get(&whole);
    if (slice_starts_nocase(how.type, SLICE("application/json")) && !is_json(how.result))
        how.type = SLICE("text/plain");
    if (buf_failed(&whole)) failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    else if (e->status >= 400) {
        failure_set(&f, FAILURE_UPSTREAM_STATUS, "the answer has the status %d", e->status);
        f.status = e->status;
        f.retryable = failure_status_is_retryable(e->status);
        f.retry_after_ms = e->retry_after_ms;
    }
    if (failure_is_set(&f)) how.failure = &f;
    end(e, &how);
    failure_deinit(&f);
    buf_deinit(&whole);
}

/* -- The answer -------------------------------------------------------------------------------- */

static enum flow say(struct job_exchange *e, struct slice frames) {
    return e->work != NULL ? job_work_frames(e->work, frames) : FLOW_MORE;
}

static enum flow on_frame(struct job_exchange *e, const struct event *ev) {
    struct json_doc d = { .nodes = NULL };
    int rc = 0;
    if (e->x.dialect == NULL || !dialect_is_end(e->x.dialect, ev->data)) {
        rc = json_parse(&d, ev->data, &(struct json_error){ 0 });
        rc = rc == 0 ? assemble_add(&e->chunks, &d) : rc == PERILUNE_ERR_NOMEM ? rc : 0;
        json_deinit(&d);
    }
    if (rc == 0) return say(e, ev->raw);
    if (rc == PERILUNE_ERR_LIMITED) too_large(e);
    else if (rc == PERILUNE_ERR_UPSTREAM) give_up(e, FAILURE_MALFORMED, ASSEMBLE_NO_CHOICE);
    else give_up(e, FAILURE_NO_MEMORY, "out of memory");
    return FLOW_MORE;
}

/* The data of one frame, whose lines may be several. */
static void look_into(struct job_exchange *e, struct slice frame) {
    struct buf data;
    buf_init(&data, 0);
    while (frame.len > 0) {
        const char *nl = memchr(frame.ptr, '\n', frame.len);
        size_t len = nl ? (size_t)(nl - frame.ptr) : frame.len;
        struct slice line = slice_of(frame.ptr, len);
        if (slice_starts(line, SLICE("data:"))) buf_slice(&data, slice_trim(slice_of(line.ptr + 5, line.len - 5)));
        len += nl != NULL;
        frame = slice_of(frame.ptr + len, frame.len - len);
    }
    if (!buf_failed(&data)) stream_whole(buf_get(&data), &e->told);
    buf_deinit(&data);
}

/* How long the first whole frame of s is, with its blank line; 0: none is there.  *seen: what was looked at before. */
static size_t frame_len(struct slice s, size_t *seen) {
    const char *nl = NULL;
    while (*seen < s.len && (nl = memchr(s.ptr + *seen, '\n', s.len - *seen)) != NULL) {
        size_t next = (size_t)(nl + 1 - s.ptr);
        size_t blank = next < s.len && s.ptr[next] == '\r' ? next + 1 : next;
        if (blank >= s.len) return 0; /* seen again, when more is here */
        if (s.ptr[blank] == '\n') return blank + 1;
        *seen = next;
    }
    if (nl == NULL) *seen = s.len;
    return 0;
}

/* A stream that nobody here reads: whole frames go on. */
static enum flow on_stream_bytes(struct job_exchange *e, struct slice s) {
    enum flow flow = FLOW_MORE;
    size_t len;
    buf_slice(&e->raw, s);
    buf_slice(&e->body, s);
    while ((len = frame_len(buf_get(&e->body), &e->seen)) > 0) {
        struct slice frame = slice_of(buf_get(&e->body).ptr, len);
        look_into(e, frame);
        flow = say(e, frame);
        buf_consume(&e->body, len);
        e->seen = 0;
    }
    return flow;
}

static enum flow on_bytes(struct job_exchange *e, const struct event *ev) {
    enum flow flow = FLOW_MORE;
    if (e->frames) flow = on_stream_bytes(e, ev->raw);
    else buf_slice(&e->body, ev->raw);
    if (e->body.error == PERILUNE_ERR_LIMITED || e->raw.error == PERILUNE_ERR_LIMITED) too_large(e);
    else if (buf_failed(&e->body) || buf_failed(&e->raw)) give_up(e, FAILURE_NO_MEMORY, "out of memory");
    else return flow;
    return FLOW_MORE;
}

static void on_head(struct job_exchange *e, const struct event *ev) {
    struct retry_after h = { .ms = headers_find(ev->headers, SLICE("retry-after-ms")),
                             .wait = headers_find(ev->headers, SLICE("retry-after")),
                             .date = headers_find(ev->headers, SLICE("date")) };
    e->status = ev->status;
    e->frames = slice_starts_nocase(ev->content_type, SLICE("text/event-stream"));
    slice_copy(e->type, sizeof(e->type), ev->content_type);
    if (e->status >= 400) e->retry_after_ms = httpdate_retry_after(&h, time(NULL));
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct job_exchange *e = container_of(k, struct job_exchange, sink);
    if (ev->usage != NULL) e->usage = *ev->usage;
    switch (ev->type) {
    case EVENT_HEAD: on_head(e, ev); break;
    case EVENT_FRAME: return on_frame(e, ev); /* may free e */
    case EVENT_BYTES: return on_bytes(e, ev); /* may free e */
    case EVENT_END: on_end(e, ev); break;
    case EVENT_ERROR: end_with(e, ev->failure); break;
    }
    return FLOW_MORE;
}

/* -- For the runner ------------------------------------------------------------------------------- */

static void refuse(struct job_work *work) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    job_work_end(work, &(struct work_end){ .failure = &f, .status = f.status });
    failure_deinit(&f);
}

void job_exchange_begin(struct worker *w, struct job_work *work) {
    static const struct exchange_ops ops = { understood, job_exchange_free, NULL };
    struct job_exchange *e = mem_zalloc(sizeof(*e));
    if (e == NULL || exchange_init(&e->x, w, w->gen, &ops, &e->sink, loop_hrtime_us()) != 0) {
        mem_free(e);
        refuse(work);
        return;
    }
    const struct job_settings *s = w->gen->config->jobs;
    e->limit = s != NULL ? s->store.max_result : 1 << 24;
    e->sink.event = on_event;
    e->work = work;
    e->status = 200;
    work->user = e;
    assemble_init(&e->chunks, e->limit);
    buf_init(&e->body, e->limit);
    buf_init(&e->raw, e->limit);
    buf_init(&e->told, 0);
    e->x.req->job = work->job.id;
    char id[JOB_ID_SIZE + 16];
    snprintf(id, sizeof(id), "%s-%u", work->job.id, work->job.tries);
    exchange_propose_id(&e->x, slice_str(id));
    struct buf body;
    bool ignored;
    job_guard(&work->job, e->guard, &ignored);
    buf_init(&body, 0);
    buf_slice(&body, work->job.body);
    if (!job_to_request(&work->job, e->x.req) || buf_failed(&body)) give_up(e, FAILURE_NO_MEMORY, "out of memory");
    else exchange_begin_job(&e->x, &body, e->guard, s != NULL ? s->timeout_ms : 0); /* may free e */
    buf_deinit(&body);
}

void job_exchange_resume(struct job_work *work) {
    struct job_exchange *e = work->user;
    if (e != NULL) exchange_resume(&e->x);
}

void job_exchange_stop(struct job_work *work) {
    struct job_exchange *e = work->user;
    work->user = NULL;
    if (e == NULL) return;
    e->work = NULL;
    exchange_gone(&e->x);
}
