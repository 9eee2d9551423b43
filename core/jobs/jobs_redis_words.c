/* jobs_redis_words.c -- questions about jobs in Redis' words, and its answers.
 *
 *     EVALSHA sha 1 PREFIX  VERB steady wall  "5:token4:acme..."  headers body
 *     "1:0" "1:0" "1:1"  "36:job_..." "1:1" "4:acme" ...       rc, a number that says more, how many, and these
 *
 * The other side is jobs_redis.lua, in the same order.  Numbers travel as decimal digits; bodies are words of their
 * own, so that they are copied and not parsed.  Whatever comes back was written by a server that others may write to:
 * a number that is none is 0, a status that does not exist is JOB_FAILED, and what ends too early is no answer. */
#include "jobs/jobs_redis_words.h"

#include <stdio.h>

#include "base/json.h"
#include "include/perilune.h"

extern const char jobs_script_text[], jobs_script_text_end[];

struct slice jobs_redis_script(void) {
    return slice_of(jobs_script_text, (size_t)(jobs_script_text_end - jobs_script_text));
}

/* -- Questions ------------------------------------------ */

/* ORDER enum jobs_verb, jobs_redis_more; the names are those of jobs_redis.lua. */
static const char *const verbs[] = { "SUBMIT", "GET",    "LIST",      "CANCEL",    "TAKE",  "BEAT", "APPEND", "FINISH",
                                     "EVENTS", "HOOK_TAKE", "HOOK_DONE", "HOOKS", "GIVE", "TIME",   "COUNTS" };

static void text(struct words *w, struct slice s) { words_join(&w->text, s); }

static void number(struct words *w, uint64_t n) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    text(w, slice_str(digits));
}

/* "": any; else "=" and the name, which may be empty. */
static void name_or_any(struct words *w, struct slice s) {
    if (s.ptr == NULL) {
        text(w, SLICE(""));
        return;
    }
    buf_printf(&w->text, "%zu:=", s.len + 1);
    buf_slice(&w->text, s);
}

static void put_submit(struct words *w, const struct jobs_redis_way *way, const struct job *j) {
    const struct jobs_limits *l = &way->limits->l;
    char token[24], priority[8];
    snprintf(token, sizeof(token), "%016llx", (unsigned long long)rng_next(way->rng));
    snprintf(priority, sizeof(priority), "%d", j->priority);
    const struct slice texts[] = { slice_str(token), j->tenant, j->queue.len > 0 ? j->queue : SLICE("default"),
                                   j->function, j->path, j->key, slice_str(priority) };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) text(w, texts[i]);
    number(w, j->not_before_ms);
    number(w, j->expires_ms);
    number(w, j->keep_ms > 0 ? j->keep_ms : way->settings->keep_ms);
    number(w, j->max_tries > 0 ? j->max_tries : 1);
    text(w, j->webhook);
    number(w, way->settings->max_body);
    number(w, way->settings->max_bytes);
    number(w, l->max_queued);
    number(w, l->max_kept);
}

static void put_take(struct words *w, const struct jobs_redis_way *way, const struct jobs_ask *ask) {
    const struct job_limits *l = way->limits;
    name_or_any(w, ask->queue);
    number(w, ask->count);
    number(w, ask->lease_ms);
    text(w, way->taker);
    number(w, way->serial);
    number(w, l->l.concurrency);
    number(w, l->l.tenant_concurrency);
    for (unsigned i = 0; i < l->l.queue_count; i++) {
        text(w, slice_str(l->queues[i].name));
        number(w, l->queues[i].concurrency);
    }
}

static void put_finish(struct words *w, const struct jobs_settings *s, const struct jobs_ask *ask) {
    const struct job_end *end = ask->end;
    text(w, ask->id);
    number(w, ask->lease);
    number(w, end->status);
    number(w, end->tries);
    number(w, ask->delay_ms);
    number(w, end->result_status > 0 ? (uint64_t)end->result_status : 0);
    text(w, end->result_type);
    number(w, s->max_result);
    number(w, end->keep_ms);
}

static void put_hook_done(struct words *w, const struct jobs_ask *ask) {
    struct buf note;
    buf_init(&note, 0);
    json_write_string(&note, slice_of(ask->hook.note.ptr, ask->hook.note.len < 200 ? ask->hook.note.len : 200));
    number(w, ask->hook.number);
    number(w, ask->lease);
    number(w, ask->hook.state);
    number(w, ask->hook.status > 0 ? (uint64_t)ask->hook.status : 0);
    number(w, ask->delay_ms);
    text(w, buf_get(&note));
    number(w, ask->hook.unsent);
    if (buf_failed(&note)) w->text.error = note.error;
    buf_deinit(&note);
}

static void put_list(struct words *w, const struct jobs_ask *ask) {
    name_or_any(w, ask->tenant);
    if (ask->status >= 0) number(w, (uint64_t)ask->status);
    else text(w, SLICE(""));
    text(w, ask->before);
    number(w, ask->count);
}

static void put_arguments(struct words *w, const struct jobs_redis_way *way, int verb, const struct jobs_ask *ask) {
    switch (verb) {
    case JOBS_SUBMIT: put_submit(w, way, ask->job); return;
    case JOBS_TAKE: put_take(w, way, ask); return;
    case JOBS_FINISH: put_finish(w, way->settings, ask); return;
    case JOBS_GIVE:
        text(w, ask->id);
        name_or_any(w, ask->queue);
        number(w, ask->count);
        number(w, ask->lease_ms);
        return;
    case JOBS_HOOK_DONE: put_hook_done(w, ask); return;
    case JOBS_LIST: put_list(w, ask); return;
    case JOBS_BEAT:
    case JOBS_APPEND:
        text(w, ask->id);
        number(w, ask->lease);
        if (verb == JOBS_BEAT) {
            number(w, ask->lease_ms);
            number(w, ask->count);
            return;
        }
        text(w, ask->event.name);
        number(w, ask->after);
        number(w, way->settings->max_result);
        return;
    case JOBS_HOOK_TAKE:
        number(w, ask->count);
        number(w, ask->lease_ms);
        return;
    case JOBS_REDIS_TIME: number(w, ask->count); return;
    case JOBS_REDIS_COUNTS: return;
    default: /* GET CANCEL EVENTS HOOKS */
        text(w, ask->id);
        name_or_any(w, ask->tenant);
        number(w, verb == JOBS_CANCEL ? ask->forget : ask->after);
        number(w, ask->count);
    }
}

static void put_long(struct words *w, int verb, const struct jobs_ask *ask) {
    words_add(w, verb == JOBS_SUBMIT ? ask->job->headers : verb == JOBS_FINISH ? ask->end->result : ask->event.data);
    words_add(w, verb == JOBS_SUBMIT ? ask->job->body : verb == JOBS_FINISH ? ask->end->error : SLICE(""));
}

/* Tests own the clocks; else they are the server's. */
static void put_clock(struct words *w, uint64_t (*clock)(void)) {
    if (clock != NULL) words_number(w, clock());
    else words_end(w);
}

void jobs_redis_ask(struct words *w, const struct jobs_redis_way *way, int verb, const struct jobs_ask *ask) {
    bool known = way->sha.len > 0;
    words_add(w, known ? SLICE("EVALSHA") : SLICE("EVAL"));
    words_add(w, known ? way->sha : jobs_redis_script());
    words_number(w, 1);
    words_add(w, way->prefix);
    words_add(w, slice_str(verbs[verb]));
    put_clock(w, way->settings->steady_ms);
    put_clock(w, way->settings->wall_ms);
    put_arguments(w, way, verb, ask);
    words_end(w);
    put_long(w, verb, ask);
}

/* -- Answers ------------------------------------------ */

struct reader {
    struct slice rest;
    bool         short_;  /* it ended too early */
};

static struct slice next(struct reader *r) {
    struct slice s = SLICE("");
    if (!words_next(&r->rest, &s)) r->short_ = true;
    return s.len > 0 ? s : SLICE("");
}

static uint64_t next_number(struct reader *r) {
    struct slice s = next(r);
    uint64_t n = 0;
    for (size_t i = 0; i < s.len && i < 18; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return n;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    return n;
}

static int next_signed(struct reader *r) {
    struct reader digits = *r;
    struct slice s = next(r);
    if (s.len == 0 || s.ptr[0] != '-') return (int)next_number(&digits);
    int n = 0;
    for (size_t i = 1; i < s.len && i < 9 && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) n = n * 10 + (s.ptr[i] - '0');
    return -n;
}

static enum job_status status_of(uint64_t state) {
    if (state == JOB_WAITS) return JOB_QUEUED;
    return state < JOB_STATUSES ? (enum job_status)state : JOB_FAILED;
}

/* ORDER jobs_redis.lua, ROW */
static void read_job(struct reader *r, struct job *j) {
    *j = (struct job){ .status = JOB_QUEUED };
    slice_copy(j->id, sizeof(j->id), next(r));
    j->status = status_of(next_number(r));
    j->tenant = next(r);
    j->queue = next(r);
    j->function = next(r);
    j->path = next(r);
    j->key = next(r);
    j->priority = next_signed(r);
    j->created_ms = next_number(r);
    j->not_before_ms = next_number(r);
    j->expires_ms = next_number(r);
    j->started_ms = next_number(r);
    j->ended_ms = next_number(r);
    j->keep_ms = next_number(r);
    j->tries = (unsigned)next_number(r);
    j->max_tries = (unsigned)next_number(r);
    j->stopping = next_number(r) != 0;
    j->lease = next_number(r);
    j->progress = next(r);
    j->result_status = (int)next_number(r);
    j->result_type = next(r);
    j->error = next(r);
    j->last_event = next_number(r);
    j->webhook = next(r);
    j->headers = next(r);
    j->body = next(r);
    j->result = next(r);
}

static struct job *new_jobs(struct arena *a, size_t count) {
    return arena_alloc(a, (count > 0 ? count : 1) * sizeof(struct job));
}

static int read_jobs(struct reader *r, struct arena *a, struct jobs_answer *out, unsigned count) {
    struct job *jobs = new_jobs(a, count);
    if (jobs == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < count; i++) read_job(r, &jobs[i]);
    out->jobs = jobs;
    out->count = count;
    return 0;
}

static int read_events(struct reader *r, struct arena *a, struct jobs_answer *out, unsigned count) {
    struct job *job = new_jobs(a, 1);
    struct job_event *events = arena_alloc(a, (count > 0 ? count : 1) * sizeof(*events));
    if (job == NULL || events == NULL) return PERILUNE_ERR_NOMEM;
    read_job(r, job);
    for (unsigned i = 0; i < count; i++) {
        events[i].number = next_number(r);
        events[i].name = next(r);
        events[i].data = next(r);
    }
    out->jobs = job;
    out->events = events;
    out->count = count;
    return 0;
}

static int read_hooks(struct reader *r, struct arena *a, struct jobs_answer *out, unsigned count, bool with_jobs) {
    struct job *jobs = new_jobs(a, count);
    struct job_hook *hooks = arena_alloc(a, (count > 0 ? count : 1) * sizeof(*hooks));
    if (jobs == NULL || hooks == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct job_hook *h = &hooks[i];
        *h = (struct job_hook){ .number = next_number(r) };
        next(r); /* its job's id */
        uint64_t state = next_number(r);
        h->state = state <= JOB_HOOK_DEAD ? (enum job_hook_state)state : JOB_HOOK_DEAD;
        h->lease = next_number(r);
        h->tries = (unsigned)next_number(r);
        h->created_ms = next_number(r);
        h->last_status = (int)next_number(r);
        h->log = next(r);
        h->url = next(r);
        if (!with_jobs) continue;
        read_job(r, &jobs[i]);
        h->job = &jobs[i];
    }
    out->hooks = hooks;
    out->count = count;
    return 0;
}

static int read_appended(struct arena *a, struct jobs_answer *out, uint64_t number_) {
    struct job_event *e = arena_alloc(a, sizeof(*e));
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    *e = (struct job_event){ .number = number_, .name = SLICE(""), .data = SLICE("") };
    out->events = e;
    out->count = 1;
    return 0;
}

/* The sentences of job_verbs.c. */
static void say_why(struct arena *a, struct jobs_answer *out, int verb, const struct jobs_settings *s,
                    const struct job_limits *l, uint64_t which) {
    char *why = verb == JOBS_SUBMIT ? arena_alloc(a, 160) : NULL;
    if (why == NULL) return;
    unsigned long long most = 0;
    const char *format = NULL;
    if (out->rc == JOBS_TOO_LARGE) format = "a job's question may have %llu bytes", most = s->max_body;
    if (out->rc == JOBS_IS_FULL) format = "the queue holds as much as it may: %llu bytes", most = s->max_bytes;
    if (out->rc == JOBS_QUOTA && which == 3)
        format = "the tenant has as many bytes as are free; there are %llu in all", most = s->max_bytes;
    else if (out->rc == JOBS_QUOTA && which == 1)
        format = "the tenant has as many jobs waiting as may be: %llu", most = l->l.max_queued;
    else if (out->rc == JOBS_QUOTA)
        format = "the tenant has as many jobs as are kept: %llu", most = l->l.max_kept, out->kept = true;
    if (format == NULL) return;
    snprintf(why, 160, format, most);
    out->why = why;
}

int jobs_redis_read(struct slice whole, int verb, struct arena *a, const struct jobs_settings *s,
                    const struct job_limits *l, struct jobs_answer *out, uint64_t *more) {
    struct reader r = { .rest = whole };
    *out = (struct jobs_answer){ .rc = (int)next_number(&r) };
    *more = next_number(&r);
    uint64_t count = next_number(&r);
    int rc = 0;
    if (r.short_ || out->rc > JOBS_TOO_LARGE || count > JOBS_MOST) return PERILUNE_ERR_IO;
    if (verb == JOBS_EVENTS && out->rc == 0) rc = read_events(&r, a, out, (unsigned)count);
    else if (verb == JOBS_HOOK_TAKE) rc = read_hooks(&r, a, out, (unsigned)count, true);
    else if (verb == JOBS_HOOKS) rc = read_hooks(&r, a, out, (unsigned)count, false);
    else if (verb == JOBS_APPEND && out->rc == 0) rc = read_appended(a, out, *more);
    else if (count > 0 || verb == JOBS_TAKE || verb == JOBS_GIVE || verb == JOBS_LIST)
        rc = read_jobs(&r, a, out, (unsigned)count);
    if (rc == 0 && r.short_) rc = PERILUNE_ERR_IO;
    if (rc != 0) return rc;
    out->forgotten = verb == JOBS_CANCEL && out->rc == JOBS_IS_OVER && *more == 1;
    out->existed = verb == JOBS_SUBMIT && out->rc == 0 && *more == 1;
    say_why(a, out, verb, s, l, *more);
    return 0;
}

bool jobs_redis_counts(struct slice whole, struct jobs_totals *totals,
                       void (*each)(void *ud, const struct jobs_count *c), void *ud) {
    struct reader r = { .rest = whole };
    uint64_t rc = next_number(&r);
    next(&r);
    uint64_t count = next_number(&r);
    totals->jobs = next_number(&r);
    totals->hooks = next_number(&r);
    totals->bytes = next_number(&r);
    for (uint64_t i = 0; i < count && !r.short_; i++) {
        struct jobs_count c = { .queue = next(&r) };
        c.queued = next_number(&r);
        c.running = next_number(&r);
        c.failed = next_number(&r);
        c.oldest_ms = next_number(&r);
        if (!r.short_) each(ud, &c);
    }
    return rc == 0 && !r.short_;
}
