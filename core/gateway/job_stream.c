/* job_stream.c -- what happens to a job, as a source: an answer of text/event-stream.
 *
 *     queue <--EVENTS (after n)-- stream --FRAMEs--> response --> client
 *       +---- told (watch) ---------^   <--full, resume--
 *
 *     event: status          how it is: at the beginning, also of a job that has ended, and whenever that changes
 *     data: {"id":...,"status":"running",...}
 *
 *     id: 3                  a piece of the answer, as it came: whole frames, each with an id (job_frames.c), so that
 *     data: {"choices":...}  who asks again with Last-Event-ID misses none and gets none twice
 *
 *     id: 4
 *     event: progress
 *     data: ...
 *
 *     id: end                the last: who has seen it and asks again gets 204, which is how browsers stop
 *     event: status
 *     data: {"status":"completed",...}
 *
 *     ASKING --answer--> (events out) --+-- more of them --> ASKING
 *        ^                              +-- none, it goes on --> WAITING --told, or POLL_MS--+
 *        |                              +-- client is full --> FULL --resume--+              |
 *        +---------------------------------------------------------------------+-------------+
 *
 * A process that drains ends the streams of jobs that wait: whoever watches comes back with the number of the last
 * event that it saw.  Those of jobs that run go on until the job has ended, or was given back.
 *
 * Nothing is held here: events stay in the queue until the client has room, however slow it is and however many
 * watch.  A hint of the queue may be lost or come for nothing, so it is asked every POLL_MS in any case. */
#include "gateway/job_stream.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/job_text.h"

#define POLL_MS 5000
#define LOST_MS 250
#define COUNT   64

enum stream_state { STREAM_ASKING, STREAM_WAITING, STREAM_FULL, STREAM_OVER };

struct job_stream {
    struct source     source;
    struct list       link;       /* among: */
    struct job_streams *among;
    struct sink      *to;
    struct jobs      *jobs;
    struct jobs_op    op;
    struct jobs_watch watch;
    struct timer      poll;
    enum stream_state state;
    struct job_seen   seen;       /* by the client */
    bool              stale;      /* told while an answer was under way: ask once more */
    bool              in_event;
    int               status;     /* that was told last; -1: none */
    unsigned          tries;
    char              id[JOB_ID_SIZE], tenant[JOB_TENANT_MAX + 1];
};

static void stream_free(struct job_stream *s) {
    jobs_cancel(&s->op);
    jobs_unwatch(&s->watch);
    timer_stop(s->jobs->loop, &s->poll);
    list_remove(&s->link);
    mem_free(s);
}

static void ask(struct job_stream *s);

static void ask_again(struct timer *t) { ask(container_of(t, struct job_stream, poll)); }

static void wait(struct job_stream *s, uint64_t ms) {
    s->state = STREAM_WAITING;
    timer_start(s->jobs->loop, &s->poll, ms, ask_again);
}

/* -- Frames ------------------------------------------------------------------------------------------ */

/* False: nobody listens any more. */
static bool emit(struct job_stream *s, const struct event *ev) {
    s->in_event = true;
    enum flow flow = s->to->event(s->to, ev);
    s->in_event = false;
    if (s->state == STREAM_OVER) return false;
    if (flow == FLOW_FULL) s->state = STREAM_FULL;
    return true;
}

static bool emit_buf(struct job_stream *s, struct buf *b) {
    bool ok = !buf_failed(b) && emit(s, &(struct event){ .type = EVENT_FRAME, .raw = buf_get(b) });
    if (buf_failed(b)) wait(s, LOST_MS); /* it is asked for again */
    buf_deinit(b);
    return ok;
}

static bool emit_event(struct job_stream *s, const struct job_event *ev) {
    struct buf b;
    buf_init(&b, 0);
    uint64_t skip = ev->number == s->seen.number + 1 ? s->seen.frames : 0;
    if (ev->name.len == 0) job_frames_put(&b, ev->data, ev->number, skip);
    else
        buf_printf(&b, "id: %llu\nevent: %.*s\ndata: %.*s\n\n", (unsigned long long)ev->number, SLICE_ARG(ev->name),
                   SLICE_ARG(ev->data));
    if (!buf_failed(&b) && buf_len(&b) == 0) buf_deinit(&b); /* the client has all of it */
    else if (!emit_buf(s, &b)) return false;
    s->seen = (struct job_seen){ .number = ev->number };
    return true;
}

static bool emit_status(struct job_stream *s, const struct job *j, bool last) {
    if (!last && s->status == (int)j->status && s->tries == j->tries) return true;
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "%sevent: status\ndata: ", last ? "id: end\n" : "");
    job_write(&b, j, JOB_SHORT);
    buf_puts(&b, "\n\n");
    if (!emit_buf(s, &b)) return false;
    s->status = (int)j->status;
    s->tries = j->tries;
    return true;
}

static void end(struct job_stream *s) {
    s->state = STREAM_OVER;
    s->in_event = true;
    s->to->event(s->to, &(struct event){ .type = EVENT_END });
    stream_free(s);
}

/* -- Asking ------------------------------------------------------------------------------------------- */

/* False: s is gone, or has no room. */
static bool emit_all(struct job_stream *s, const struct jobs_answer *a) {
    for (unsigned i = 0; i < a->count; i++) {
        if (!emit_event(s, &a->events[i])) return false;
        if (s->state == STREAM_FULL) return false;
    }
    return true;
}

static void on_events(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_stream *s = container_of(op, struct job_stream, op);
    if (a->rc == JOBS_NOT_FOUND) { /* it was not to be kept longer */
        end(s);
        return;
    }
    if (a->rc != 0) {
        wait(s, POLL_MS);
        return;
    }
    const struct job *j = a->jobs;
    bool all = a->count < COUNT, over = job_is_over(j->status);
    /* Of a job that has ended the first status is the last, too, unless something stands between them. */
    bool first = s->status < 0 && (a->count > 0 || s->seen.number < j->last_event);
    if ((!over || first) && !emit_status(s, j, false)) goto gone;
    if (!emit_all(s, a)) goto gone;
    if (over && all && s->seen.number >= j->last_event) {
        if (!emit_status(s, j, true)) goto gone;
        end(s);
        return;
    }
    if (s->state == STREAM_FULL) return;
    if (s->among->draining && all && j->status == JOB_QUEUED) {
        end(s);
        return;
    }
    if (s->stale || !all) {
        s->stale = false;
        ask(s);
    } else {
        wait(s, POLL_MS);
    }
    return;
gone:
    if (s->state == STREAM_OVER) stream_free(s);
}

static void ask(struct job_stream *s) {
    timer_stop(s->jobs->loop, &s->poll);
    s->state = STREAM_ASKING;
    int rc = jobs_begin(s->jobs, &s->op,
                        &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(s->id), .tenant = slice_str(s->tenant),
                                            .after = s->seen.number, .count = COUNT }, on_events);
    if (rc != 0) wait(s, POLL_MS);
}

static void on_told(struct jobs_watch *w) {
    struct job_stream *s = container_of(w, struct job_stream, watch);
    if (s->state == STREAM_ASKING) s->stale = true;
    else if (s->state == STREAM_WAITING) ask(s);
}

/* -- As a source --------------------------------------------------------------------------------------- */

static void start(struct source *source, struct sink *to) {
    struct job_stream *s = container_of(source, struct job_stream, source);
    s->to = to;
    s->watch.told = on_told;
    jobs_watch(s->jobs, &s->watch, slice_str(s->id)); /* without it every POLL_MS */
    if (!emit(s, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = SLICE("text/event-stream") }))
        stream_free(s);
    else ask(s);
}

static void resume(struct source *source) {
    struct job_stream *s = container_of(source, struct job_stream, source);
    if (s->state == STREAM_FULL) ask(s);
}

static void cancel(struct source *source) {
    struct job_stream *s = container_of(source, struct job_stream, source);
    s->state = STREAM_OVER;
    if (!s->in_event) stream_free(s);
}

static const char *describe(const struct source *source, char *buf, size_t size) {
    const struct job_stream *s = container_of((struct source *)(uintptr_t)source, struct job_stream, source);
    snprintf(buf, size, "events of %s", s->id);
    return buf;
}

struct source *job_stream_new(const struct job_stream_options *opt) {
    static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, NULL };
    struct job_stream *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    s->source.ops = &ops;
    s->jobs = opt->jobs;
    s->among = opt->among;
    list_append(&opt->among->all, &s->link);
    s->seen = opt->seen;
    s->status = -1;
    slice_copy(s->id, sizeof(s->id), opt->id);
    slice_copy(s->tenant, sizeof(s->tenant), opt->tenant);
    return &s->source;
}

/* -- All of a worker ---------------------------------------------------------------------------------- */

void job_streams_init(struct job_streams *s) {
    list_init(&s->all);
    s->draining = false;
}

void job_streams_drain(struct job_streams *streams) {
    streams->draining = true;
    for (struct list *l = streams->all.next, *next; l != &streams->all; l = next) {
        struct job_stream *s = container_of(l, struct job_stream, link);
        next = l->next;
        if (s->state == STREAM_WAITING && s->status == (int)JOB_QUEUED) end(s);
    }
}
