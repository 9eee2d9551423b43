/* jobs_world.h -- a queue of jobs with its loop, clocks that the test owns, and who asks it. */
#ifndef PERILUNE_TESTS_JOBS_WORLD_H
#define PERILUNE_TESTS_JOBS_WORLD_H

#include "jobs/jobs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/job_table.h"
#include "jobs/jobs_file.h"
#include "jobs/jobs_memory.h"
#include "jobs/jobs_redis.h"
#include "redis_world.h"
#include "unit.h"

/* -- A world: a store, an end, clocks that the test owns ------------------------------------------ */

static uint64_t wall = 1700000000000, steady = 5000;
static __attribute__((unused)) uint64_t wall_ms(void) { return __atomic_load_n(&wall, __ATOMIC_SEQ_CST); }
static __attribute__((unused)) uint64_t steady_ms(void) { return __atomic_load_n(&steady, __ATOMIC_SEQ_CST); }

enum kind { MEMORY, DATABASE, REDIS, KINDS };

struct world {
    enum kind            kind;
    struct jobs_settings settings;
    struct loop          loop;
    struct jobs_store   *store;
    struct jobs         *jobs;
    unsigned             due, hook_due;
    char                 folder[64], path[96], prefix[64]; /* prefix: of its keys */
};

static __attribute__((unused)) void remove_folder(struct world *w) {
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    char text[128];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "%s%s", w->path, ends[i]);
        unlink(text);
    }
    rmdir(w->folder);
}

/* The same for all runs of this program, so that the next one removes what a run with a failing allocation left. */
static __attribute__((unused)) void make_folder(struct world *w) {
    snprintf(w->folder, sizeof(w->folder), "/tmp/perilune-jobs-%d", (int)getppid());
    snprintf(w->path, sizeof(w->path), "%s/jobs.db", w->folder);
    remove_folder(w);
    CHECK_INT(mkdir(w->folder, 0700), 0);
}

static __attribute__((unused)) void due(void *ud) { ((struct world *)ud)->due++; }
static __attribute__((unused)) void hook_due(void *ud) { ((struct world *)ud)->hook_due++; }

static __attribute__((unused)) void pass(struct world *w, uint64_t ms) {
    (void)w;
    __atomic_add_fetch(&wall, ms, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&steady, ms, __ATOMIC_SEQ_CST);
}

static __attribute__((unused)) int try_open(struct world *w, const struct jobs_limits *limits, char why[700]) {
    if (w->kind == MEMORY) return jobs_memory_open(&w->store, &w->settings, limits);
    if (w->kind == REDIS) {
        struct jobs_redis_place at = { .path = redis_world_socket(), .prefix = w->prefix };
        return jobs_redis_open(&w->store, &at, &w->settings, limits);
    }
    return jobs_file_open(&w->store, w->path, &w->settings, limits, why, 700);
}

static __attribute__((unused)) void open_store(struct world *w, const struct jobs_limits *limits) {
    char why[700] = "";
    if (w->kind == DATABASE && w->folder[0] == '\0') make_folder(w);
    int rc = try_open(w, limits, why);
    NOTE("%s", why);
    if (rc != 0 && w->folder[0]) remove_folder(w);
    CHECK_INT(rc, 0);
}

struct nudge {
    struct timer timer;
    struct loop *loop;
};

/* A timer that is due before the loop looks for events would not keep it from waiting for them: stopping does. */
static __attribute__((unused)) void nudge(struct timer *t) { uv_stop(&container_of(t, struct nudge, timer)->loop->uv); }

static __attribute__((unused)) void turn(struct world *w) {
    struct nudge n = { .loop = &w->loop };
    timer_start(&w->loop, &n.timer, 20, nudge); /* never for ever */
    uv_run(&w->loop.uv, UV_RUN_ONCE);
    timer_stop(&w->loop, &n.timer);
}

/* A fault in the middle of connecting is a pause and another try. */
static __attribute__((unused)) void await_redis(struct world *w) {
    for (int i = 0; i < 500 && w->kind == REDIS && (!jobs_redis_is_up(w->jobs) || w->due == 0); i++) turn(w);
    w->due = w->hook_due = 0;
}

static __attribute__((unused)) void begin_with(struct world *w, enum kind kind, const struct jobs_limits *limits, const struct jobs_settings *s) {
    static unsigned worlds;
    memset(w, 0, sizeof(*w));
    w->kind = kind;
    snprintf(w->prefix, sizeof(w->prefix), "{%d-%u}:", (int)getpid(), worlds++);
    if (s != NULL) w->settings = *s;
    else jobs_settings_init(&w->settings);
    w->settings.wall_ms = wall_ms;
    w->settings.steady_ms = steady_ms;
    CHECK_INT(loop_init(&w->loop), 0);
    w->settings.poll_ms = 5;
    open_store(w, limits);
    w->jobs = jobs_open(w->store, &w->loop);
    CHECK(w->jobs != NULL);
    w->jobs->ud = w->jobs->hook_ud = w;
    w->jobs->due = due;
    w->jobs->hook_due = hook_due;
    await_redis(w);
}

static __attribute__((unused)) void begin(struct world *w, enum kind kind) { begin_with(w, kind, NULL, NULL); }

static __attribute__((unused)) void end(struct world *w) {
    jobs_close(w->jobs);
    jobs_store_close(w->store);
    loop_deinit(&w->loop);
    if (w->folder[0]) remove_folder(w);
}

/* -- Asking: answers are copied into what outlives them ------------------------------------------ */

#define MOST 64
struct reply {
    struct jobs_op op;
    bool           done, existed;
    int            rc;
    unsigned       count;
    struct job     jobs[MOST];
    struct job_event events[MOST];
    struct job_hook hooks[MOST];
    char           why[700];
    struct arena   texts;
};

static struct reply reply; /* of the last ask() */

static __attribute__((unused)) void copy_events(struct reply *r, const struct jobs_answer *a) {
    for (unsigned i = 0; i < a->count && i < MOST; i++) {
        r->events[i] = a->events[i];
        r->events[i].name.ptr = arena_dup(&r->texts, a->events[i].name);
        r->events[i].data.ptr = arena_dup(&r->texts, a->events[i].data);
        CHECK(r->events[i].name.ptr != NULL && r->events[i].data.ptr != NULL);
    }
}

static __attribute__((unused)) void copy_hooks(struct reply *r, const struct jobs_answer *a) {
    for (unsigned i = 0; i < a->count && i < MOST; i++) {
        r->hooks[i] = a->hooks[i];
        r->hooks[i].url.ptr = arena_dup(&r->texts, a->hooks[i].url);
        r->hooks[i].log.ptr = arena_dup(&r->texts, a->hooks[i].log);
        CHECK(r->hooks[i].url.ptr != NULL && r->hooks[i].log.ptr != NULL);
        if (a->hooks[i].job == NULL) continue;
        r->jobs[i] = *a->hooks[i].job;
        CHECK(job_copy(&r->texts, &r->jobs[i], JOB_QUESTION | JOB_RESULT));
    }
}

static __attribute__((unused)) void answered(struct jobs_op *op, const struct jobs_answer *a) {
    struct reply *r = container_of(op, struct reply, op);
    CHECK(!r->done);
    r->done = true;
    r->rc = a->rc;
    r->existed = a->existed;
    r->count = a->count;
    snprintf(r->why, sizeof(r->why), "%s", a->why ? a->why : "");
    unsigned jobs = a->jobs == NULL ? 0 : a->events != NULL ? 1 : a->count;
    for (unsigned i = 0; i < jobs && i < MOST; i++) {
        r->jobs[i] = a->jobs[i];
        CHECK(job_copy(&r->texts, &r->jobs[i], JOB_QUESTION | JOB_RESULT));
    }
    if (a->events) copy_events(r, a);
    if (a->hooks) copy_hooks(r, a);
}

/* Not for ever: without memory a hint may be late. */
static __attribute__((unused)) void await(struct world *w, const unsigned *times) {
    for (int i = 0; i < (unit_fault_fired() ? 10 : 500) && *times == 0; i++) turn(w);
    CHECK(*times > 0);
}

static __attribute__((unused)) int ask(struct world *w, const struct jobs_ask *a) {
    arena_deinit(&reply.texts);
    memset(&reply, 0, sizeof(reply));
    int rc = jobs_begin(w->jobs, &reply.op, a, answered);
    if (rc != 0) return rc;
    CHECK(!reply.done); /* not from within */
    while (!reply.done) turn(w);
    return reply.rc;
}

static __attribute__((unused)) void done_asking(void) { arena_deinit(&reply.texts); }

static __attribute__((unused)) struct job a_job(const char *tenant, const char *body) {
    return (struct job){ .tenant = slice_str(tenant), .path = SLICE("/v1/chat/completions"), .body = slice_str(body) };
}

static char last_id[JOB_ID_SIZE];

static __attribute__((unused)) int submit(struct world *w, struct job j) {
    int rc = ask(w, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j });
    if (rc == 0) memcpy(last_id, reply.jobs[0].id, JOB_ID_SIZE);
    return rc;
}

static __attribute__((unused)) int take(struct world *w, unsigned count) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = count, .lease_ms = 1000 });
}

static __attribute__((unused)) int get(struct world *w, const char *id) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_GET, .id = slice_str(id) });
}

static __attribute__((unused)) int beat(struct world *w, const char *id, uint64_t lease) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_BEAT, .id = slice_str(id), .lease = lease, .lease_ms = 1000 });
}

static __attribute__((unused)) int finish(struct world *w, const char *id, uint64_t lease, struct job_end e, uint64_t delay_ms) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_FINISH, .id = slice_str(id), .lease = lease, .end = &e,
                                      .delay_ms = delay_ms });
}

static __attribute__((unused)) struct job_end an_end(enum job_status status, const char *result, const char *error) {
    return (struct job_end){ .status = status, .result_status = status == JOB_COMPLETED ? 200 : 0, .tries = UINT_MAX,
                             .result_type = SLICE("application/json"), .result = slice_str(result),
                             .error = slice_str(error) };
}

static __attribute__((unused)) int cancel(struct world *w, const char *id, struct slice tenant) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(id), .tenant = tenant });
}

static __attribute__((unused)) int append(struct world *w, const char *id, uint64_t lease, const char *name, const char *data) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease,
                                      .event = { 0, slice_str(name), slice_str(data) } });
}

/* number: that it should get. */
static __attribute__((unused)) int append_as(struct world *w, const char *id, uint64_t lease, uint64_t number, const char *data) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_APPEND, .id = slice_str(id), .lease = lease, .after = number,
                                      .event = { 0, SLICE(""), slice_str(data) } });
}

/* In the order that they were taken: the first letters of their bodies. */
static __attribute__((unused)) const char *take_bodies(struct world *w, unsigned count) {
    static char text[MOST + 1];
    CHECK_INT(take(w, count), 0);
    for (unsigned i = 0; i < reply.count; i++) text[i] = reply.jobs[i].body.ptr[0];
    text[reply.count] = '\0';
    return text;
}

/* Where allocations fail one after the other, test_jobs_redis.c is what Redis is asked: each try to connect again costs
 * a pause. */
static __attribute__((unused)) int has_kind(enum kind kind) {
    const char *fault = getenv("FAULT");
    if (kind != REDIS) return 1;
    return (fault == NULL || fault[0] == '\0' || fault[0] == '0') && redis_world_socket() != NULL;
}

#define EACH_KIND \
    for (enum kind kind = 0; kind < KINDS; kind++) \
        if (has_kind(kind))

#endif
