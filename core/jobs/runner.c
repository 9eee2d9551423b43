/* runner.c -- does the jobs of a queue, some of them at once.
 *
 *     queue --TAKE--> work --begin--> who does it (a request: gateway/job_exchange.c; a function: bridge/job_task.c)
 *       ^              | ^                |
 *       |              | +-- frames, progress, end
 *       +--BEAT, APPEND, FINISH
 *
 *     WORKS --job_work_end--> ENDS --appended, FINISHed--> (freed)
 *       |                      |
 *       +---- canceled, lease lost, given back ----> STOPPED --> (freed)
 *
 * A lease is the only thing that makes a job ours, so everything here is shown with it, and nothing is done a second
 * time because a message was lost.  While a job runs, its lease is made longer every third of its time; when the queue
 * says that the job is ours no longer (canceled, or somebody else's, because this process was away for too long), who
 * does it is stopped, and nothing more is written.  When the queue says nothing until the lease has run out by this
 * clock, the same: somebody else does it by now.
 *
 * What a job says is appended in pieces, one append at a time: what comes meanwhile goes with the next one, which
 * leaves PIECE_MS after the last at the earliest.  Above FULL bytes who does it is told FLOW_FULL, until the queue has
 * taken them.  Progress that nobody has seen is overwritten by newer.  The end is told when all of that is appended.
 *
 * A failure that may pass (failure.retryable) is another try, later, as long as there are some; how much later doubles
 * from backoff_ms to backoff_max_ms, with jitter, and is never less than the Retry-After of who failed.  Everything
 * else is the end, and the job is in the list of dead letters.
 *
 * A refusal that says when to come back (failure_says_later(): a limit, a gate, an upstream that has too much to do) is
 * no failure of the job: it goes back to the queue as if it had not been begun, with the try that it had, and comes
 * again after the Retry-After.  The pauses grow all the same, up to PUT_OFF_MS, or a thousand jobs that wait for one
 * place would ask for it every second.  It may go on until the job expires, which one that was never begun can; and
 * PUT_OFF_MOST times, after which a refusal is a failed try.  A count needs no clock that all machines agree on, and is
 * there: a lease is counted up whenever a job is taken.
 *
 * A job whose process is told to stop is either finished in the time that draining has, or given back: the queue gets
 * it as it was, with one try less, and somebody else takes it at once. */
#include "jobs/runner.h"

#include "base/json.h"
#include "include/perilune.h"

#define POLL_MS     5000      /* without a hint of the queue */
#define RETRY_MS    250       /* after the queue has refused something */
#define SAY_AFTER   5000      /* of refusals, a line in the log */
#define SAY_MS      60000     /* and the next one */
#define BEAT_LEAST  500       /* between two beats because of hints */
#define PIECE_MS    25        /* between two appends */
#define PIECE_BYTES (64u << 10) /* of frames in one event, unless a single frame is larger */
#define FULL        (256u << 10)
#define TAKE_MOST   64
#define PUT_OFF_MS   60000    /* pauses of who is refused grow so far by themselves */
#define PUT_OFF_LONG 3600000  /* a Retry-After that is longer is asked whether it still holds */
#define PUT_OFF_MOST 5000     /* ORDER README.md */

struct job_runner {
    struct job_runner_options opt;
    struct list    works;
    unsigned       count;
    bool           takes;
    struct jobs_op take_op;
    struct timer   poll;
    uint64_t       asked_ms, asked_lease_ms; /* of what is being taken: when, and for how long */
    uint64_t       failed_ms, say_ms; /* since when TAKE is refused, 0: it is not; when that is told */
};

static void take(struct job_runner *r);
static void flush(struct job_work *w);

/* -- Counting ------------------------------------------------------------------------------ */

static struct job_row *row_of(struct job_stats *s, struct slice queue) {
    unsigned n = atomic_load_explicit(&s->row_count, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        if (slice_eq(slice_str(s->rows[i].queue), queue)) return &s->rows[i];
    if (n == JOB_ROWS) return &s->rows[n - 1];
    slice_copy(s->rows[n].queue, sizeof(s->rows[n].queue), n + 1 < JOB_ROWS ? queue : SLICE("other"));
    atomic_store_explicit(&s->row_count, n + 1, memory_order_release);
    return &s->rows[n];
}

static struct job_row *row(const struct job_work *w) { return row_of(w->runner->opt.stats, w->job.queue); }

/* -- Life of a work -------------------------------------------------------------------------- */

static bool copy_slice(struct arena *a, struct slice *s) {
    if (s->len == 0) {
        *s = SLICE("");
        return true;
    }
    char *p = arena_dup(a, *s);
    *s = slice_of(p, s->len);
    return p != NULL;
}

static bool copy_job(struct job_work *w, const struct job *from) {
    struct job *j = &w->job;
    *j = *from;
    struct slice *all[] = { &j->tenant, &j->queue, &j->function, &j->path, &j->headers, &j->body, &j->key, &j->progress,
                            &j->result_type, &j->result, &j->error, &j->webhook };
    bool ok = true;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) ok = ok && copy_slice(&w->arena, all[i]);
    for (size_t i = 0; !ok && i < sizeof(all) / sizeof(*all); i++) *all[i] = SLICE(""); /* they were borrowed */
    return ok;
}

static void work_free(struct job_work *w) {
    struct job_runner *r = w->runner;
    timer_stop(r->opt.loop, &w->beat);
    timer_stop(r->opt.loop, &w->flush);
    deferred_cancel(&w->stop);
    jobs_cancel(&w->beat_op);
    jobs_cancel(&w->append_op);
    jobs_cancel(&w->finish_op);
    jobs_unwatch(&w->watch);
    buf_deinit(&w->begun);
    buf_deinit(&w->frames);
    buf_deinit(&w->progress);
    buf_deinit(&w->ended);
    buf_deinit(&w->sent);
    arena_deinit(&w->arena);
    list_remove(&w->link);
    stats_add(&r->opt.stats->running, (uint64_t)-1);
    r->count--;
    mem_free(w);
}

static void work_over(struct job_work *w) {
    struct job_runner *r = w->runner;
    work_free(w);
    take(r);
}

/* Ours no longer, for whatever reason. */
static void work_stop(struct job_work *w) {
    enum job_work_state was = w->state;
    w->state = JOB_STOPPED;
    if (was == JOB_WORKS) w->runner->opt.doer.stop(w);
    work_over(w);
}

static void stop_due(struct deferred *d) { work_stop(container_of(d, struct job_work, stop)); }

/* From inside of a call of who does it, or of the queue. */
static void stop_soon(struct job_work *w) { loop_soon(w->runner->opt.loop, &w->stop, stop_due); }

/* What the queue says of something that we asked with a lease.  True: go on, with what failed later. */
static bool still_ours(struct job_work *w, int rc) {
    if (deferred_is_waiting(&w->stop)) return false;
    w->was_canceled |= rc == JOBS_WAS_CANCELED;
    if (rc == JOBS_WAS_CANCELED) stats_add(&row(w)->canceled, 1);
    else if (rc == JOBS_LOST || rc == JOBS_IS_OVER || rc == JOBS_NOT_FOUND) stats_add(&row(w)->lost, 1);
    else return true;
    stop_soon(w);
    return false;
}

/* -- The lease -------------------------------------------------------------------------------- */

static void beat_due(struct timer *t);
static void flush_later(struct job_work *w, uint64_t ms);

static void beat_later(struct job_work *w, uint64_t ms) { timer_start(w->runner->opt.loop, &w->beat, ms, beat_due); }

static uint64_t at_most(uint64_t ms, uint64_t most) { return ms < most ? ms : most; }

static uint64_t lease_left(const struct job_work *w) {
    uint64_t now = loop_now(w->runner->opt.loop);
    return w->lease_until_ms > now ? w->lease_until_ms - now : 0;
}

static void on_beat(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_work *w = container_of(op, struct job_work, beat_op);
    if (!still_ours(w, a->rc)) return;
    if (a->rc == 0) w->lease_until_ms = w->beat_ms + w->lease_ms;
    if (w->state == JOB_ENDS) flush_later(w, 0); /* it may have found no memory for a timer */
    beat_later(w, a->rc == 0 ? w->lease_ms / 3 + 1 : at_most(RETRY_MS, lease_left(w)));
}

static void beat_due(struct timer *t) {
    struct job_work *w = container_of(t, struct job_work, beat);
    struct job_runner *r = w->runner;
    uint64_t left = lease_left(w), before = w->beat_ms;
    if (left == 0) {
        log_line(r->opt.log, PERILUNE_LOG_WARN, "job %s: its lease ran out, because the queue did not answer in time",
                 w->job.id);
        stats_add(&row(w)->lost, 1);
        work_stop(w);
        return;
    }
    w->beat_ms = loop_now(r->opt.loop); /* the lease counts from when it was asked for */
    w->lease_ms = r->opt.lease_ms;
    int rc = jobs_begin(r->opt.jobs, &w->beat_op,
                        &(struct jobs_ask){ .verb = JOBS_BEAT, .id = slice_str(w->job.id), .lease = w->job.lease,
                                            .lease_ms = w->lease_ms, .within_ms = at_most(left, JOBS_WITHIN_MS) },
                        on_beat);
    if (rc == 0) return;
    w->beat_ms = before;
    beat_later(w, at_most(RETRY_MS, left));
}

/* Perhaps somebody canceled it. */
static void on_told(struct jobs_watch *watch) {
    struct job_work *w = container_of(watch, struct job_work, watch);
    uint64_t now = loop_now(w->runner->opt.loop), next = w->beat_ms + BEAT_LEAST;
    if (w->beat_op.jobs != NULL || w->state == JOB_STOPPED) return;
    uint64_t ms = next > now ? next - now : 0;
    if (timer_is_running(&w->beat) && w->beat.at_ms <= now + ms) return;
    beat_later(w, ms);
}

/* -- Its words --------------------------------------------------------------------------------- */

static void finish(struct job_work *w);
static void flush_due(struct timer *t) { flush(container_of(t, struct job_work, flush)); }

static void flush_later(struct job_work *w, uint64_t ms) {
    if (!timer_is_running(&w->flush)) timer_start(w->runner->opt.loop, &w->flush, ms, flush_due);
}

static void on_appended(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_work *w = container_of(op, struct job_work, append_op);
    if (!still_ours(w, a->rc)) return;
    if (a->rc != 0 && a->rc != JOBS_TOO_LARGE) {
        flush_later(w, RETRY_MS); /* `sent` stays */
        return;
    }
    if (a->rc == JOBS_TOO_LARGE && !w->is_cut) /* who watches sees no more of it; the result may still be kept */
        log_line(w->runner->opt.log, PERILUNE_LOG_WARN, "job %s: no more of its events are kept: %s", w->job.id,
                 a->why ? a->why : "they are as large as they may be");
    w->is_cut |= a->rc == JOBS_TOO_LARGE;
    if (a->rc == 0 && a->count == 1) w->job.last_event = a->events->number;
    buf_clear(&w->sent);
    w->sent_name = NULL;
    if (w->is_full && buf_len(&w->frames) < FULL / 2 && w->state == JOB_WORKS) {
        w->is_full = false;
        w->runner->opt.doer.resume(w); /* may end it */
    }
    flush_later(w, w->state == JOB_WORKS ? PIECE_MS : 0);
}

/* Where the frames end that go together. */
static size_t piece_len(struct slice s) {
    if (s.len <= PIECE_BYTES) return s.len;
    for (size_t i = PIECE_BYTES; i > 1; i--)
        if (s.ptr[i - 1] == '\n' && s.ptr[i - 2] == '\n') return i;
    const char *end = memmem(s.ptr, s.len, "\n\n", 2);
    return end ? (size_t)(end + 2 - s.ptr) : s.len;
}

/* The next thing to say becomes `sent`.  False: there is none. */
static bool choose(struct job_work *w) {
    if (w->sent_name != NULL) return true;
    struct buf *from = &w->begun;
    while (from <= &w->ended && buf_len(from) == 0) from++;
    if (from > &w->ended) return false;
    size_t len = from == &w->frames ? piece_len(buf_get(from)) : buf_len(from);
    buf_put(&w->sent, buf_get(from).ptr, len);
    if (buf_failed(&w->sent)) {
        buf_clear(&w->sent);
        flush_later(w, RETRY_MS);
        return false;
    }
    buf_consume(from, len);
    if (buf_len(from) == 0) buf_clear(from);
    w->sent_name = from == &w->frames ? "" : from == &w->progress ? "progress" : "status";
    return true;
}

static void flush(struct job_work *w) {
    struct job_runner *r = w->runner;
    if (w->append_op.jobs != NULL || w->state == JOB_STOPPED || timer_is_running(&w->flush)) return;
    if (!choose(w)) {
        if (w->state == JOB_ENDS && !timer_is_running(&w->flush)) finish(w);
        return;
    }
    int rc = jobs_begin(r->opt.jobs, &w->append_op,
                        &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(w->job.id), .lease = w->job.lease,
                                            .after = w->job.last_event + 1,
                                            .event = { .name = slice_str(w->sent_name), .data = buf_get(&w->sent) } },
                        on_appended);
    if (rc != 0) flush_later(w, RETRY_MS);
}

/* {"status":"running","tries":2}, or what comes next when a try has failed. */
static void say_status(struct buf *b, enum job_status status, unsigned tries, uint64_t after_ms, struct slice error) {
    buf_clear(b);
    buf_printf(b, "{\"status\":\"%s\",\"tries\":%u", job_status_name(status), tries);
    if (after_ms != 0)
        buf_printf(b, ",\"retry_after\":%llu.%03u", (unsigned long long)(after_ms / 1000), (unsigned)(after_ms % 1000));
    if (error.len > 0) {
        buf_puts(b, ",\"error\":");
        buf_slice(b, error);
    }
    buf_putc(b, '}');
    if (buf_failed(b)) buf_clear(b); /* who watches hears of it by asking */
}

enum flow job_work_frames(struct job_work *w, struct slice frames) {
    if (w->state != JOB_WORKS) return FLOW_MORE;
    buf_slice(&w->frames, frames);
    if (buf_failed(&w->frames)) { /* what watchers see has a hole; the result has none */
        buf_clear(&w->frames);
        return FLOW_MORE;
    }
    flush_later(w, w->lasts ? PIECE_MS : 0);
    w->lasts = true;
    w->is_full = buf_len(&w->frames) >= FULL;
    return w->is_full ? FLOW_FULL : FLOW_MORE;
}

void job_work_progress(struct job_work *w, struct slice json) {
    if (w->state != JOB_WORKS) return;
    buf_clear(&w->progress);
    buf_slice(&w->progress, json);
    if (buf_failed(&w->progress)) buf_clear(&w->progress);
    flush_later(w, PIECE_MS);
}

/* -- The end ------------------------------------------------------------------------------------ */

static uint64_t backoff(struct job_runner *r, uint64_t tries, uint64_t most) {
    uint64_t ms = r->opt.backoff_ms;
    for (uint64_t i = 1; i < tries && ms < most; i++) ms *= 2;
    if (ms > most) ms = most;
    return ms / 2 + rng_next(&r->opt.loop->rng) % (ms / 2 + 1);
}

/* How often it was taken without using up a try: refused, and now and then given back. */
static uint64_t times_put_off(const struct job_work *w) {
    return w->job.lease > w->job.tries ? w->job.lease - w->job.tries : 0;
}

bool job_work_is_patient(const struct job_work *w) { return times_put_off(w) < PUT_OFF_MOST; }

/* When to come back: never before it was asked for, and not all at once. */
static uint64_t put_off_ms(struct job_work *w, uint64_t asked) {
    struct job_runner *r = w->runner;
    uint64_t most = r->opt.backoff_max_ms < PUT_OFF_MS ? r->opt.backoff_max_ms : PUT_OFF_MS;
    uint64_t ms = backoff(r, times_put_off(w) + 1, most);
    if (asked > PUT_OFF_LONG) asked = PUT_OFF_LONG;
    return ms >= asked ? ms : asked + rng_next(&r->opt.loop->rng) % (asked / 4 + ms + 1);
}

/* Another try, later.  False: there is none. */
static bool again(struct job_work *w, const struct failure *f) {
    w->put_off = failure_says_later(f) && job_work_is_patient(w);
    if (w->put_off) {
        w->end.tries = w->job.tries - 1;
        w->delay_ms = put_off_ms(w, f->retry_after_ms);
        return true;
    }
    if (!f->retryable || w->job.tries >= w->job.max_tries) return false;
    w->delay_ms = backoff(w->runner, w->job.tries, w->runner->opt.backoff_max_ms);
    if (w->delay_ms < f->retry_after_ms) /* those who were told the same do not come back at once */
        w->delay_ms = f->retry_after_ms + rng_next(&w->runner->opt.loop->rng) % (f->retry_after_ms / 4 + 1);
    return true;
}

/* {"error":{...}} -> {...} */
static bool copy_error(struct job_work *w, const struct failure *f, struct slice *out) {
    static const struct slice front = SLICE("{\"error\":");
    struct buf b;
    buf_init(&b, 0);
    failure_write_json(&b, f);
    struct slice s = buf_get(&b);
    bool ok = !buf_failed(&b) && s.len > front.len;
    if (ok) {
        *out = slice_of(s.ptr + front.len, s.len - front.len - 1);
        ok = copy_slice(&w->arena, out);
    }
    buf_deinit(&b);
    if (!ok) *out = SLICE("");
    return ok;
}

static void on_finished(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_work *w = container_of(op, struct job_work, finish_op);
    struct job_runner *r = w->runner;
    if (!still_ours(w, a->rc)) return;
    if (a->rc != 0) {
        flush_later(w, RETRY_MS);
        return;
    }
    struct job_row *c = row(w);
    enum job_status s = a->count > 0 ? a->jobs[0].status : w->end.status; /* too large a result is a failure, too */
    stats_add(s == JOB_COMPLETED ? &c->completed : s == JOB_FAILED ? &c->failed
              : w->put_off ? &c->put_off : w->end.tries < w->job.tries ? &c->given_back : &c->retried, 1);
    if (s == JOB_FAILED)
        log_line(r->opt.log, PERILUNE_LOG_WARN, "job %s failed after %u of %u tries: %.*s", w->job.id, w->job.tries,
                 w->job.max_tries, SLICE_ARG(a->count > 0 ? a->jobs[0].error : w->end.error));
    w->state = JOB_STOPPED;
    work_over(w);
}

static void finish(struct job_work *w) {
    if (w->finish_op.jobs != NULL) return;
    int rc = jobs_begin(w->runner->opt.jobs, &w->finish_op,
                        &(struct jobs_ask){ .verb = JOBS_FINISH, .id = slice_str(w->job.id), .lease = w->job.lease,
                                            .end = &w->end, .delay_ms = w->delay_ms }, on_finished);
    if (rc != 0) flush_later(w, RETRY_MS);
}

/* Without memory for its end a job has none: its lease runs out, and somebody tries again. */
static bool write_end(struct job_work *w, const struct work_end *end) {
    const struct failure *f = end->failure;
    struct job_end *e = &w->end;
    *e = (struct job_end){ .status = f == NULL ? JOB_COMPLETED : JOB_FAILED, .tries = w->job.tries,
                           .result_status = end->status, .result_type = end->type, .result = end->result,
                           .error = SLICE(""), .keep_ms = end->keep_ms };
    if (!copy_slice(&w->arena, &e->result_type) || !copy_slice(&w->arena, &e->result)) return false;
    if (f == NULL) return true;
    if (!copy_error(w, f, &e->error)) return false;
    if (!again(w, f)) return true;
    e->status = JOB_QUEUED;
    say_status(&w->ended, JOB_QUEUED, e->tries, w->delay_ms, e->error);
    return true;
}

static void flush_now(struct job_work *w) {
    timer_stop(w->runner->opt.loop, &w->flush);
    flush_later(w, 0);
}

void job_work_end(struct job_work *w, const struct work_end *end) {
    if (w->state != JOB_WORKS) return;
    w->state = JOB_ENDS;
    if (!write_end(w, end)) {
        stop_soon(w);
        return;
    }
    flush_now(w);
}

/* -- Taking --------------------------------------------------------------------------------------- */

/* As it was, with one try less. */
static void end_as_it_was(struct job_work *w) {
    w->state = JOB_ENDS;
    w->end = (struct job_end){ .status = JOB_QUEUED, .tries = w->job.tries - 1, .result_type = SLICE(""),
                               .result = SLICE(""), .error = w->job.error };
    w->delay_ms = 0;
}

/* NULL: no memory.  Without memory for all of its texts it can still be given back. */
static struct job_work *work_new(struct job_runner *r, const struct job *job, bool *whole) {
    struct job_work *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    w->runner = r;
    arena_init(&w->arena);
    list_append(&r->works, &w->link);
    r->count++;
    stats_add(&r->opt.stats->running, 1);
    w->began_us = loop_hrtime_us();
    w->beat_ms = r->asked_ms;
    w->lease_ms = r->asked_lease_ms;
    w->lease_until_ms = w->beat_ms + w->lease_ms;
    *whole = copy_job(w, job);
    return w;
}

static void begin_work(struct job_work *w) {
    struct job_runner *r = w->runner;
    uint64_t left = lease_left(w), third = w->lease_ms / 3 + 1, gone = w->lease_ms - left;
    w->watch.told = on_told;
    jobs_watch(r->opt.jobs, &w->watch, slice_str(w->job.id)); /* else its next beat hears that it was canceled */
    beat_later(w, gone < third ? third - gone : 0);
    if (w->job.tries > 1 || w->job.last_event > 0) { /* somebody may have seen the beginning of another try */
        say_status(&w->begun, JOB_RUNNING, w->job.tries, 0, SLICE(""));
        flush_later(w, 0);
    }
    r->opt.doer.begin(r->opt.doer.ud, w); /* may end w */
}

/* Taken, and ours until its lease is over. */
static void have_taken(struct job_runner *r, const struct job *job) {
    bool whole = false;
    struct job_work *w = work_new(r, job, &whole);
    if (w == NULL || !whole)
        log_line(r->opt.log, PERILUNE_LOG_ERROR, "job %s: out of memory, so it is not begun", job->id);
    if (w == NULL) return; /* when its lease has run out it is another try */
    if (whole && r->takes) begin_work(w);
    else { /* it was asked for before the drain: nobody has seen it begin */
        end_as_it_was(w);
        flush_later(w, 0);
    }
}

static void poll_due(struct timer *t) { take(container_of(t, struct job_runner, poll)); }

/* A queue that is away says so itself, as soon as it is; here is told what lasts, and what is not a connection. */
static void say_taking(struct job_runner *r, const struct jobs_answer *a) {
    uint64_t now = loop_now(r->opt.loop);
    if (a->rc == 0) {
        r->failed_ms = 0;
        return;
    }
    if (r->failed_ms == 0) {
        r->failed_ms = now > 0 ? now : 1;
        r->say_ms = now + SAY_AFTER;
    }
    if (now < r->say_ms) return;
    r->say_ms = now + SAY_MS;
    log_line(r->opt.log, PERILUNE_LOG_WARN, "jobs have not been taken for %llu s: %s",
             (unsigned long long)((now - r->failed_ms) / 1000), a->why ? a->why : perilune_strerror(a->rc));
}

static void on_taken(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_runner *r = container_of(op, struct job_runner, take_op);
    bool in_time = loop_now(r->opt.loop) < r->asked_ms + r->asked_lease_ms; /* else they are somebody else's by now */
    for (unsigned i = 0; a->rc == 0 && in_time && i < a->count; i++) have_taken(r, &a->jobs[i]);
    say_taking(r, a);
    timer_start(r->opt.loop, &r->poll, a->rc == 0 && a->count > 0 ? 0 : a->rc == 0 ? POLL_MS : RETRY_MS, poll_due);
}

static void take(struct job_runner *r) {
    unsigned room = r->count < r->opt.room ? r->opt.room - r->count : 0;
    if (!r->takes || room == 0 || r->take_op.jobs != NULL) return;
    timer_stop(r->opt.loop, &r->poll);
    r->asked_ms = loop_now(r->opt.loop);
    r->asked_lease_ms = r->opt.lease_ms;
    int rc = jobs_begin(r->opt.jobs, &r->take_op,
                        &(struct jobs_ask){ .verb = JOBS_TAKE, .lease_ms = r->asked_lease_ms,
                                            .within_ms = at_most(r->asked_lease_ms, JOBS_WITHIN_MS),
                                            .count = room < TAKE_MOST ? room : TAKE_MOST }, on_taken);
    if (rc != 0) timer_start(r->opt.loop, &r->poll, RETRY_MS, poll_due);
}

/* -- The runner -------------------------------------------------------------------------------------- */

static void on_due(void *ud) { take(ud); }

struct job_runner *job_runner_new(const struct job_runner_options *opt) {
    struct job_runner *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->opt = *opt;
    r->takes = true;
    list_init(&r->works);
    opt->jobs->due = on_due;
    opt->jobs->ud = r;
    take(r);
    return r;
}

void job_runner_set(struct job_runner *r, unsigned room, uint64_t lease_ms, uint64_t backoff_ms,
                    uint64_t backoff_max_ms) {
    r->takes = true;
    r->opt.room = room;
    r->opt.lease_ms = lease_ms;
    r->opt.backoff_ms = backoff_ms;
    r->opt.backoff_max_ms = backoff_max_ms;
    take(r);
}

void job_runner_drain(struct job_runner *r) {
    r->takes = false;
    timer_stop(r->opt.loop, &r->poll);
}

unsigned job_runner_running(const struct job_runner *r) { return r->count + (r->take_op.jobs != NULL); }
const struct list *job_runner_works(const struct job_runner *r) { return &r->works; }

/* Who watches hears that it was begun in vain. */
static void give_back(struct job_work *w) {
    w->runner->opt.doer.stop(w);
    end_as_it_was(w);
    say_status(&w->ended, JOB_QUEUED, w->end.tries, 0, SLICE(""));
}

void job_runner_give_back(struct job_runner *r) {
    job_runner_drain(r);
    for (struct list *l = r->works.next, *next; l != &r->works; l = next) {
        struct job_work *w = container_of(l, struct job_work, link);
        next = l->next;
        if (w->state != JOB_WORKS) continue;
        give_back(w);
        flush_now(w);
    }
}

void job_runner_free(struct job_runner *r) {
    if (r == NULL) return;
    job_runner_drain(r);
    while (!list_is_empty(&r->works)) {
        struct job_work *w = container_of(r->works.next, struct job_work, link);
        if (w->state == JOB_WORKS) give_back(w);
        if (w->state == JOB_ENDS) finish(w); /* it is asked for; nobody waits for the answer */
        work_free(w);
    }
    jobs_cancel(&r->take_op);
    r->opt.jobs->due = NULL;
    mem_free(r);
}
