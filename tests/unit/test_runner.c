/* test_runner.c -- jobs taken, done, canceled, given back; the queue is in memory, the clock is virtual. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/jobs_memory.h"
#include "jobs/runner.h"

#define MOST 8

static struct loop        loop;
static struct jobs_store *store;
static struct jobs       *jobs;
static struct job_runner *runner;
static struct job_stats   stats;
static struct log         quiet;
static struct job_work   *works[MOST];
static unsigned           begun, stopped, resumed;

static void begin(void *ud, struct job_work *w) {
    CHECK_PTR(ud, &loop);
    works[begun++ % MOST] = w;
}
static void resume(struct job_work *w) {
    (void)w;
    resumed++;
}
static void stop(struct job_work *w) {
    for (unsigned i = 0; i < MOST; i++)
        if (works[i] == w) works[i] = NULL;
    stopped++;
}

static bool open_all(unsigned room) {
    struct jobs_settings s;
    begun = stopped = resumed = 0;
    memset(works, 0, sizeof(works));
    memset(&stats, 0, sizeof(stats));
    store = NULL;
    jobs = NULL;
    runner = NULL;
    if (loop_init(&loop) != 0) return false;
    loop.is_virtual = true;
    loop.virtual_ms = 1700000000000;
    jobs_settings_init(&s);
    s.max_result = 1 << 20;
    if (jobs_memory_open(&store, &s, NULL) != 0) return true;
    jobs = jobs_open(store, &loop);
    if (jobs == NULL) return true;
    runner = job_runner_new(&(struct job_runner_options){
        .jobs = jobs, .loop = &loop, .log = &quiet, .room = room, .lease_ms = 30000, .backoff_ms = 1000,
        .backoff_max_ms = 60000, .doer = { .ud = &loop, .begin = begin, .resume = resume, .stop = stop }, .stats = &stats });
    return true;
}

static void close_all(void) {
    job_runner_free(runner);
    jobs_close(jobs);
    loop_deinit(&loop);
    jobs_store_close(store);
}

/* Lets ms pass; whatever is due happens. */
static void pass(uint64_t ms) {
    uint64_t end = loop.virtual_ms + ms;
    loop_flush(&loop);
    while (loop.heap_len > 0 && loop.heap[0]->at_ms <= end) {
        struct timer *due = loop.heap[0];
        if (due->at_ms > loop.virtual_ms) loop.virtual_ms = due->at_ms;
        timer_stop(&loop, due);
        due->fire(due);
        loop_flush(&loop);
    }
    loop.virtual_ms = end;
}

static struct jobs_op asking;
static int            answer_rc;
static enum job_status answer_status;
static unsigned       answer_tries, answer_events;
static char           answer_id[JOB_ID_SIZE], answer_text[4096], answer_error[512];

static void on_answer(struct jobs_op *op, const struct jobs_answer *a) {
    (void)op;
    answer_rc = a->rc;
    answer_events = a->events != NULL ? a->count : 0;
    answer_text[0] = '\0';
    for (unsigned i = 0; i < answer_events; i++) {
        size_t n = strlen(answer_text);
        snprintf(answer_text + n, sizeof(answer_text) - n, "[%.*s|%.*s]", SLICE_ARG(a->events[i].name),
                 SLICE_ARG(a->events[i].data));
    }
    if (a->jobs == NULL || (a->count == 0 && a->events == NULL && a->rc != 0)) return;
    answer_status = a->jobs->status;
    answer_tries = a->jobs->tries;
    snprintf(answer_id, sizeof(answer_id), "%s", a->jobs->id);
    snprintf(answer_error, sizeof(answer_error), "%.*s", SLICE_ARG(a->jobs->error));
    if (a->events == NULL) snprintf(answer_text, sizeof(answer_text), "%.*s", SLICE_ARG(a->jobs->result));
}

static void ask(const struct jobs_ask *a) {
    answer_rc = PERILUNE_ERR_NOMEM;
    if (jobs_begin(jobs, &asking, a, on_answer) == 0) pass(1);
}

static void submit(const char *body, unsigned max_tries) {
    ask(&(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &(struct job){ .path = SLICE("/p"), .body = slice_str(body),
                                                                        .max_tries = max_tries } });
    CHECK_INT(answer_rc, 0);
}

static void look(const char *id) { ask(&(struct jobs_ask){ .verb = JOBS_GET, .id = slice_str(id) }); }
static void look_at_events(const char *id) {
    ask(&(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(id), .count = 100 });
}

static void end_well(struct job_work *w, const char *result) {
    job_work_end(w, &(struct work_end){ .status = 200, .type = SLICE("application/json"), .result = slice_str(result) });
}

static void end_badly(struct job_work *w, enum failure_kind kind, uint32_t retry_after_ms) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "so it is");
    f.retry_after_ms = retry_after_ms;
    job_work_end(w, &(struct work_end){ .failure = &f, .status = f.status });
    failure_deinit(&f);
}

static struct job_work *work(unsigned i) {
    CHECK(works[i] != NULL);
    return works[i];
}

TEST(a_job_is_taken_and_its_end_is_kept) {
    char id[JOB_ID_SIZE];
    CHECK(open_all(2) && runner != NULL);
    submit("hello", 3);
    snprintf(id, sizeof(id), "%s", answer_id);
    pass(10);
    CHECK_UINT(begun, 1);
    CHECK_SLICE(work(0)->job.body, SLICE("hello"));
    CHECK_UINT(work(0)->job.tries, 1);
    CHECK_INT(job_work_frames(work(0), SLICE("data: 1\n\n")), FLOW_MORE);
    job_work_progress(work(0), SLICE("{\"at\":1}"));
    job_work_progress(work(0), SLICE("{\"at\":2}"));
    CHECK_INT(job_work_frames(work(0), SLICE("data: 2\n\n")), FLOW_MORE);
    end_well(work(0), "{\"all\":true}");
    pass(200);
    CHECK_UINT(job_runner_running(runner), 0);
    look(id);
    CHECK_INT(answer_status, JOB_COMPLETED);
    CHECK_STR(answer_text, "{\"all\":true}");
    look_at_events(id);
    CHECK_STR(answer_text, "[|data: 1\n\ndata: 2\n\n][progress|{\"at\":2}]");
    CHECK_UINT(stats_get(&stats.rows[0].completed), 1);
    close_all();
}

TEST(no_more_at_once_than_there_is_room_for) {
    CHECK(open_all(2) && runner != NULL);
    for (int i = 0; i < 5; i++) submit("x", 1);
    pass(10);
    CHECK_UINT(begun, 2);
    end_well(work(0), "1");
    pass(100);
    CHECK_UINT(begun, 3);
    job_runner_set(runner, 4, 30000, 1000, 60000);
    pass(10);
    CHECK_UINT(begun, 5);
    close_all();
}

TEST(a_failure_that_may_pass_is_tried_again_later_each_time) {
    char id[JOB_ID_SIZE];
    CHECK(open_all(1) && runner != NULL);
    submit("x", 3);
    snprintf(id, sizeof(id), "%s", answer_id);
    pass(10);
    end_badly(work(0), FAILURE_TIMEOUT, 0);
    pass(400);
    CHECK_UINT(begun, 1);
    pass(700);
    CHECK_UINT(begun, 2);
    CHECK_UINT(work(1)->job.tries, 2);
    end_badly(work(1), FAILURE_TIMEOUT, 20000);
    pass(19000);
    CHECK_UINT(begun, 2);
    pass(6100); /* and up to a quarter more: others were told the same */
    CHECK_UINT(begun, 3);
    end_badly(work(2), FAILURE_RESET, 0);
    pass(100000);
    CHECK_UINT(begun, 3);
    look(id);
    CHECK_INT(answer_status, JOB_FAILED);
    CHECK(strstr(answer_error, "\"code\":\"upstream_reset\"") != NULL);
    look_at_events(id);
    CHECK(strstr(answer_text, "[status|{\"status\":\"queued\",\"tries\":1,\"retry_after\":") != NULL);
    CHECK(strstr(answer_text, "[status|{\"status\":\"running\",\"tries\":2}]") != NULL);
    CHECK_UINT(stats_get(&stats.rows[0].retried), 2);
    CHECK_UINT(stats_get(&stats.rows[0].failed), 1);
    close_all();
}

/* A limit that lets one of them in every 3 s: all are done, and none has used up its only try. */
TEST(a_refusal_that_says_when_to_come_back_is_no_try) {
    CHECK(open_all(1) && runner != NULL);
    unsigned done = 0, at = 0, refused = 0;
    uint64_t free_ms = 0;
    for (unsigned i = 0; i < 20; i++) submit("x", 1);
    for (unsigned turn = 0; turn < 60000 && done < 20; turn++) {
        while (at < begun) {
            struct job_work *w = work(at++ % MOST);
            CHECK_UINT(w->job.tries, 1);
            if (loop.virtual_ms < free_ms) {
                refused++;
                end_badly(w, FAILURE_UNAVAILABLE, (uint32_t)(free_ms - loop.virtual_ms));
            } else {
                done++;
                free_ms = loop.virtual_ms + 3000;
                end_well(w, "1");
            }
        }
        pass(10);
    }
    CHECK_UINT(done, 20);
    CHECK(refused > 0 && refused < 200);
    CHECK_UINT(stats_get(&stats.rows[0].put_off), refused);
    CHECK_UINT(stats_get(&stats.rows[0].failed), 0);
    close_all();
}

TEST(refused_it_says_so_and_comes_not_before_its_time) {
    CHECK(open_all(1) && runner != NULL);
    submit("x", 1);
    pass(10);
    uint64_t said = loop.virtual_ms;
    end_badly(work(0), FAILURE_UNAVAILABLE, 20000);
    pass(100);
    look(answer_id);
    CHECK_INT(answer_status, JOB_QUEUED);
    CHECK_UINT(answer_tries, 0);
    CHECK(strstr(answer_error, "so it is") != NULL);
    look_at_events(answer_id);
    CHECK(strstr(answer_text, "[status|{\"status\":\"queued\",\"tries\":0,\"retry_after\":2") != NULL);
    while (begun == 1 && loop.virtual_ms < said + 60000) pass(100);
    CHECK_UINT(begun, 2);
    CHECK(loop.virtual_ms >= said + 20000 && loop.virtual_ms <= said + 27000);
    CHECK_UINT(work(1)->job.tries, 1);
    close_all();
}

TEST(who_is_refused_was_not_begun_and_may_expire) {
    CHECK(open_all(1) && runner != NULL);
    ask(&(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &(struct job){ .path = SLICE("/p"), .max_tries = 1,
                                                                        .expires_ms = loop.virtual_ms + 30000 } });
    CHECK_INT(answer_rc, 0);
    pass(10);
    end_badly(work(0), FAILURE_UNAVAILABLE, 3000000);
    pass(29000);
    look(answer_id);
    CHECK_INT(answer_status, JOB_QUEUED);
    pass(2000);
    look(answer_id);
    CHECK_INT(answer_status, JOB_FAILED);
    CHECK(strstr(answer_error, "job_expired") != NULL);
    CHECK_UINT(begun, 1);
    close_all();
}

/* However patient: at last it is a failed try, and the only one. */
TEST_NOFAULT(there_is_an_end_to_being_put_off) {
    CHECK(open_all(1) && runner != NULL);
    unsigned at = 0;
    submit("x", 1);
    for (unsigned turn = 0; turn < 400000 && stats_get(&stats.rows[0].failed) == 0; turn++) {
        while (at < begun) end_badly(work(at++ % MOST), FAILURE_UNAVAILABLE, 1);
        pass(1000);
    }
    CHECK_UINT(stats_get(&stats.rows[0].failed), 1);
    CHECK_UINT(stats_get(&stats.rows[0].put_off), 5000);
    look(answer_id);
    CHECK_INT(answer_status, JOB_FAILED);
    CHECK_UINT(answer_tries, 1);
    close_all();
}

TEST(a_failure_that_would_repeat_is_the_end) {
    CHECK(open_all(1) && runner != NULL);
    submit("x", 3);
    pass(10);
    end_badly(work(0), FAILURE_INVALID_REQUEST, 0);
    pass(10000);
    CHECK_UINT(begun, 1);
    look(answer_id);
    CHECK_INT(answer_status, JOB_FAILED);
    CHECK_UINT(answer_tries, 1);
    close_all();
}

TEST(canceled_while_it_runs_it_is_stopped_within_a_beat) {
    char id[JOB_ID_SIZE];
    CHECK(open_all(1) && runner != NULL);
    submit("x", 3);
    snprintf(id, sizeof(id), "%s", answer_id);
    pass(2000);
    ask(&(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(id) });
    CHECK_INT(answer_rc, 0);
    pass(600);
    CHECK_UINT(stopped, 1);
    CHECK_UINT(job_runner_running(runner), 0);
    look(id);
    CHECK_INT(answer_status, JOB_CANCELED);
    CHECK_UINT(stats_get(&stats.rows[0].canceled), 1);
    close_all();
}

TEST(beats_keep_the_lease_for_hours) {
    CHECK(open_all(1) && runner != NULL);
    submit("x", 3);
    pass(10);
    pass(7200000);
    CHECK_UINT(begun, 1);
    CHECK_UINT(stopped, 0);
    end_well(work(0), "1");
    pass(100);
    look(answer_id);
    CHECK_INT(answer_status, JOB_COMPLETED);
    close_all();
}

/* The clock jumps: the process was stopped for longer than its lease. */
TEST(whose_lease_ran_out_stops_and_somebody_begins_anew) {
    CHECK(open_all(1) && runner != NULL);
    submit("x", 3);
    pass(10);
    loop.virtual_ms += 3600000;
    pass(10);
    pass(1000);
    CHECK_UINT(stopped, 1);
    CHECK_UINT(begun, 2);
    CHECK_UINT(work(1)->job.tries, 2);
    close_all();
}

TEST(what_is_given_back_has_lost_no_try) {
    char id[JOB_ID_SIZE];
    CHECK(open_all(1) && runner != NULL);
    submit("x", 1);
    snprintf(id, sizeof(id), "%s", answer_id);
    pass(10);
    CHECK_INT(job_work_frames(work(0), SLICE("data: kept\n\n")), FLOW_MORE);
    job_runner_give_back(runner);
    CHECK_UINT(stopped, 1);
    pass(100);
    CHECK_UINT(job_runner_running(runner), 0);
    look(id);
    CHECK_INT(answer_status, JOB_QUEUED);
    CHECK_UINT(answer_tries, 0);
    pass(10000);
    CHECK_UINT(begun, 1); /* it takes nothing more */
    look_at_events(id);
    CHECK(strstr(answer_text, "data: kept") != NULL);
    close_all();
}

/* What is being taken counts as running: it is ours as soon as the queue has been asked.  It is given back; what runs
 * is not. */
TEST(a_drain_while_jobs_are_being_taken) {
    char first[JOB_ID_SIZE], second[JOB_ID_SIZE];
    CHECK(open_all(1) && runner != NULL);
    submit("x", 1);
    snprintf(first, sizeof(first), "%s", answer_id);
    pass(10);
    CHECK_UINT(begun, 1);
    submit("y", 1);
    snprintf(second, sizeof(second), "%s", answer_id);
    pass(10);
    CHECK_UINT(job_runner_running(runner), 1);
    job_runner_set(runner, 2, 30000, 1000, 60000); /* it asks at once */
    CHECK_UINT(job_runner_running(runner), 2);
    job_runner_drain(runner);
    pass(100);
    CHECK_UINT(begun, 1);
    CHECK_UINT(stopped, 0);
    CHECK_UINT(job_runner_running(runner), 1);
    look(second);
    CHECK_INT(answer_status, JOB_QUEUED);
    CHECK_UINT(answer_tries, 0);
    look_at_events(second);
    CHECK_STR(answer_text, ""); /* nobody has seen it begin */
    look(first);
    CHECK_INT(answer_status, JOB_RUNNING);
    end_well(work(0), "1");
    pass(100);
    look(first);
    CHECK_INT(answer_status, JOB_COMPLETED);
    CHECK_UINT(job_runner_running(runner), 0);
    close_all();
}

TEST(who_is_faster_than_the_queue_is_told_to_wait) {
    static char big[70000];
    CHECK(open_all(1) && runner != NULL);
    memset(big, 'x', sizeof(big));
    memcpy(big + sizeof(big) - 2, "\n\n", 2);
    submit("x", 1);
    pass(10);
    enum flow flow = FLOW_MORE;
    for (int i = 0; i < 3; i++) flow = job_work_frames(work(0), slice_of(big, sizeof(big)));
    CHECK_INT(flow, FLOW_MORE);
    CHECK_INT(job_work_frames(work(0), slice_of(big, sizeof(big))), FLOW_FULL);
    pass(500);
    CHECK_UINT(resumed, 1);
    end_well(work(0), "1");
    pass(500);
    look(answer_id);
    CHECK_INT(answer_status, JOB_COMPLETED);
    close_all();
}

TEST(closed_with_work_under_way_nothing_leaks) {
    CHECK(open_all(3) && runner != NULL);
    for (int i = 0; i < 3; i++) submit("x", 1);
    pass(10);
    end_well(work(0), "1");
    close_all();
    CHECK_UINT(stopped, 2);
}

/* -- A queue that answers when the test says so ------------------------------------------ */

struct held {
    struct list     link;
    struct jobs_op *op;
    struct jobs_ask ask;
};

static struct held  held[32];
static struct jobs  slow_end;

static int slow_attach(struct jobs_store *s, struct loop *l, struct jobs **out) {
    (void)s;
    (void)l;
    slow_end = (struct jobs){ .driver = NULL };
    *out = &slow_end;
    return 0;
}

static int slow_begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *a) {
    (void)j;
    for (struct held *h = held; h < held + 32; h++) {
        if (h->op != NULL) continue;
        h->op = op;
        h->ask = *a;
        op->driver = h;
        return 0;
    }
    return PERILUNE_ERR_LIMITED;
}

static void slow_forget(struct jobs *j, struct jobs_op *op) {
    (void)j;
    ((struct held *)op->driver)->op = NULL;
}

static void slow_close(struct jobs *j) { (void)j; }

static const struct jobs_driver slow = { .name = "slow", .attach = slow_attach, .begin = slow_begin,
                                         .forget = slow_forget, .close = slow_close };

static struct held *waiting(enum jobs_verb verb) {
    for (struct held *h = held; h < held + 32; h++)
        if (h->op != NULL && h->ask.verb == verb) return h;
    return NULL;
}

static void say(struct held *h, const struct jobs_answer *a) {
    struct jobs_op *op = h->op;
    h->op = NULL;
    jobs_answer(op, a);
    loop_flush(&loop);
}

/* A runner with a lease of three seconds, which has asked for jobs; false: no memory. */
static bool open_slow(struct jobs_store *s) {
    begun = stopped = 0;
    memset(works, 0, sizeof(works));
    memset(held, 0, sizeof(held));
    memset(&stats, 0, sizeof(stats));
    s->driver = &slow;
    CHECK_INT(loop_init(&loop), 0);
    loop.is_virtual = true;
    loop.virtual_ms = 1700000000000;
    jobs = jobs_open(s, &loop);
    CHECK(jobs != NULL);
    runner = job_runner_new(&(struct job_runner_options){
        .jobs = jobs, .loop = &loop, .log = &quiet, .room = 1, .lease_ms = 3000, .backoff_ms = 1000,
        .backoff_max_ms = 60000, .doer = { .ud = &loop, .begin = begin, .resume = resume, .stop = stop }, .stats = &stats });
    return runner != NULL && waiting(JOBS_TAKE) != NULL;
}

static void close_slow(void) {
    job_runner_free(runner);
    jobs_close(jobs);
    loop_deinit(&loop);
}

static void say_taken(void) {
    struct job j = { .id = "job_00000000000000010000000000000001", .queue = SLICE("default"), .path = SLICE("/p"),
                     .tries = 1, .max_tries = 2, .lease = 1 };
    say(waiting(JOBS_TAKE), &(struct jobs_answer){ .jobs = &j, .count = 1 });
}

/* The queue counts from when it did what it was asked, which is long before its answer is here. */
TEST(a_lease_counts_from_when_it_was_asked_for) {
    struct jobs_store s;
    CHECK(open_slow(&s));
    pass(2500);
    say_taken();
    CHECK_UINT(begun, 1);
    pass(100);
    CHECK(waiting(JOBS_BEAT) != NULL); /* at once: a third of it is over */
    pass(600);
    CHECK_UINT(stopped, 1); /* somebody else does it now, whatever becomes of the beat */
    CHECK_UINT(stats_get(&stats.rows[0].lost), 1);
    close_slow();
}

TEST(a_beat_that_is_not_answered_does_not_outlast_the_lease) {
    struct jobs_store s;
    CHECK(open_slow(&s));
    say_taken();
    CHECK_UINT(begun, 1);
    pass(1100);
    CHECK(waiting(JOBS_BEAT) != NULL);
    say(waiting(JOBS_BEAT), &(struct jobs_answer){ .rc = PERILUNE_ERR_IO });
    pass(300);
    CHECK(waiting(JOBS_BEAT) != NULL); /* once more */
    pass(1500);
    CHECK_UINT(stopped, 0);
    pass(300);
    CHECK_UINT(stopped, 1);
    close_slow();
}

/* Who would begin it now would do it beside somebody else. */
TEST(what_was_taken_too_long_ago_is_not_begun) {
    struct jobs_store s;
    CHECK(open_slow(&s));
    loop.virtual_ms += 3001; /* the loop stood still: no deadline was seen */
    say_taken();
    CHECK_UINT(begun, 0);
    close_slow();
}
