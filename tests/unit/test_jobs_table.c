/* test_jobs_table.c -- one table for all places where jobs are kept: what is asked of a job in which state, what is
 * answered, and what has become of it.  So that no two of them differ in a corner that no story leads to. */
#include "jobs_world.h"

/* -- States ------------------------------------------ */

#define HOUR 3600000

/* Of each job: two tries, and a day for which it is kept. */
enum state { READY, WAITS, RUNS, STOPPING, AGAIN, PAUSES, GIVEN, AWAY, DONE, DEAD, CANCELED, TELLS, STATES };
static const char *const states[] = { "ready", "waits", "runs", "stopping", "again", "pauses", "given", "away", "done",
                                      "dead", "canceled", "tells" };

static uint64_t own; /* the lease that was had last; else one that nobody was given */

static int give(struct world *w, const char *id, uint64_t ms) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_GIVE, .id = slice_str(id), .count = 1, .lease_ms = ms });
}

static int beat_for(struct world *w, uint64_t lease, uint64_t ms) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_BEAT, .id = slice_str(last_id), .lease = lease, .lease_ms = ms,
                                      .count = 1 });
}

static void take_it(struct world *w) {
    CHECK_INT(take(w, 1), 0);
    CHECK_UINT(reply.count, 1);
    own = reply.jobs[0].lease;
}

static void end_it(struct world *w, struct job_end e, uint64_t delay_ms) {
    take_it(w);
    CHECK_INT(finish(w, last_id, own, e, delay_ms), 0);
}

static void come_to(struct world *w, enum state s) {
    struct job j = a_job("acme", "x");
    j.max_tries = 2;
    if (s == WAITS) j.not_before_ms = wall + HOUR;
    if (s == TELLS) j.webhook = SLICE("https://example.com/");
    CHECK_INT(submit(w, j), 0);
    own = 70;
    switch (s) {
    case RUNS: take_it(w); break;
    case STOPPING:
        take_it(w);
        CHECK_INT(cancel(w, last_id, SLICE("acme")), 0);
        break;
    case AGAIN: end_it(w, an_end(JOB_QUEUED, "", "{}"), 0); break;
    case PAUSES: end_it(w, an_end(JOB_QUEUED, "", "{}"), HOUR); break;
    case GIVEN:
    case AWAY:
        CHECK_INT(give(w, NULL, HOUR), 0);
        if (s == AWAY) CHECK_INT(beat_for(w, JOBS_ELSEWHERE, HOUR), 0);
        break;
    case DEAD: end_it(w, an_end(JOB_FAILED, "", "{}"), 0); break;
    case DONE:
    case TELLS: end_it(w, an_end(JOB_COMPLETED, "1", ""), 0); break;
    case CANCELED: CHECK_INT(cancel(w, last_id, SLICE("acme")), 0); break;
    default: break;
    }
}

/* -- Questions ------------------------------------------ */

static int ask_take(struct world *w) { return take(w, 1); }
static int ask_give(struct world *w) { return give(w, NULL, HOUR); }
static int ask_give_id(struct world *w) { return give(w, last_id, HOUR); }
static int ask_cancel(struct world *w) { return cancel(w, last_id, SLICE("acme")); }
static int ask_cancel_other(struct world *w) { return cancel(w, last_id, SLICE("zoo")); }

static int ask_forget(struct world *w) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id), .forget = true });
}

static int ask_events(struct world *w) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 5 });
}

static int ask_beat(struct world *w) { return beat_for(w, own, 1000); }
static int ask_beat_old(struct world *w) { return beat_for(w, own + 1, 1000); }
static int ask_beat_elsewhere(struct world *w) { return beat_for(w, JOBS_ELSEWHERE, HOUR); }
static int ask_append(struct world *w) { return append_as(w, last_id, own, 1, "data: 1\n\n"); }
static int ask_append_old(struct world *w) { return append_as(w, last_id, own + 1, 1, "data: 1\n\n"); }
static int ask_append_elsewhere(struct world *w) { return append_as(w, last_id, JOBS_ELSEWHERE, 1, "data: 1\n\n"); }

static int ask_append_twice(struct world *w) {
    append_as(w, last_id, own, 1, "data: 1\n\n");
    return append_as(w, last_id, own, 1, "data: 1\n\n");
}

static int ended(struct world *w, uint64_t lease, enum job_status status, unsigned tries, uint64_t delay_ms) {
    struct job_end e = an_end(status, status == JOB_COMPLETED ? "{}" : "", status == JOB_COMPLETED ? "" : "{}");
    e.tries = tries;
    e.keep_ms = 60000;
    return finish(w, last_id, lease, e, delay_ms);
}

static int ask_finish(struct world *w) { return ended(w, own, JOB_COMPLETED, 1, 0); }
static int ask_finish_old(struct world *w) { return ended(w, own + 1, JOB_COMPLETED, 1, 0); }
static int ask_finish_elsewhere(struct world *w) { return ended(w, JOBS_ELSEWHERE, JOB_COMPLETED, 1, 0); }
static int ask_fail(struct world *w) { return ended(w, own, JOB_FAILED, 1, 0); }
static int ask_fail_elsewhere(struct world *w) { return ended(w, JOBS_ELSEWHERE, JOB_FAILED, 2, 0); }
static int ask_again(struct world *w) { return ended(w, own, JOB_QUEUED, 1, 0); }
static int ask_pause(struct world *w) { return ended(w, own, JOB_QUEUED, 1, HOUR); }
static int ask_back(struct world *w) { return ended(w, own, JOB_QUEUED, 0, 0); }
static int ask_back_elsewhere(struct world *w) { return ended(w, JOBS_ELSEWHERE, JOB_QUEUED, 0, 0); }

static int ask_finish_twice(struct world *w) {
    ended(w, own, JOB_COMPLETED, 1, 0);
    return ended(w, own, JOB_COMPLETED, 1, 0);
}

static int ask_again_twice(struct world *w) {
    ended(w, own, JOB_QUEUED, 1, 0);
    return ended(w, own, JOB_QUEUED, 1, 0);
}

static int ask_tries_used_up(struct world *w) {
    int rc = ended(w, own, JOB_QUEUED, 1, 0);
    if (rc == 0) rc = take(w, 1);
    return rc == 0 && reply.count == 1 ? ended(w, reply.jobs[0].lease, JOB_QUEUED, 2, 0) : rc;
}

static int time_passes(struct world *w, uint64_t ms) {
    pass(w, ms);
    for (int i = 0; i < 3; i++) { /* some of them look at clocks by themselves, all when they are asked */
        turn(w);
        beat_for(w, 0, 1);
    }
    return 0;
}

static int after_lease(struct world *w) { return time_passes(w, 1001); }
static int after_hour(struct world *w) { return time_passes(w, HOUR + 1); }
static int after_days(struct world *w) { return time_passes(w, UINT64_C(2) * 86400 * 1000); }

static int finished_late(struct world *w) {
    time_passes(w, 1001);
    return ended(w, own, JOB_COMPLETED, 1, 0);
}

/* -- The table ------------------------------------------ */

struct line {
    const char *name;
    int       (*does)(struct world *w);
    const char *is[STATES]; /* the answer: its status, tries, events; seconds that it is kept, where that changed */
};

static const struct line table[] = {
    /* In the order of the states: ready, waits, runs, stopping, again, pauses, given, away, done, dead, canceled,
     * tells. */
    { "take", ask_take, {
        "ok 1: running 1", "ok 0: queued 0", "ok 0: running 1", "ok 0: stopping 1", "ok 1: running 2",
        "ok 0: queued 1", "ok 0: queued 0", "ok 0: running 1", "ok 0: completed 1", "ok 0: failed 1",
        "ok 0: canceled 0", "ok 0: completed 1" } },
    { "give", ask_give, {
        "ok 1: queued 0", "ok 0: queued 0", "ok 0: running 1", "ok 0: stopping 1", "ok 1: queued 1",
        "ok 0: queued 1", "ok 0: queued 0", "ok 0: running 1", "ok 0: completed 1", "ok 0: failed 1",
        "ok 0: canceled 0", "ok 0: completed 1" } },
    { "give id", ask_give_id, {
        "ok: queued 0", "ok: queued 0", "ok: running 1", "ok: stopping 1", "ok: queued 1", "ok: queued 1",
        "ok: queued 0", "ok: running 1", "over: completed 1", "over: failed 1", "over: canceled 0",
        "over: completed 1" } },
    { "cancel", ask_cancel, {
        "ok: canceled 0", "ok: canceled 0", "ok: stopping 1", "ok: stopping 1", "ok: canceled 1", "ok: canceled 1",
        "ok: canceled 0", "ok: stopping 1", "over: completed 1", "over: failed 1", "over: canceled 0",
        "over: completed 1" } },
    { "cancel other", ask_cancel_other, {
        "none: queued 0", "none: queued 0", "none: running 1", "none: stopping 1", "none: queued 1",
        "none: queued 1", "none: queued 0", "none: running 1", "none: completed 1", "none: failed 1",
        "none: canceled 0", "none: completed 1" } },
    { "forget", ask_forget, {
        "ok: canceled 0", "ok: canceled 0", "ok: stopping 1", "ok: stopping 1", "ok: canceled 1", "ok: canceled 1",
        "ok: canceled 0", "ok: stopping 1", "over: gone", "over: gone", "over: gone", "over: completed 1" } },
    { "events", ask_events, {
        "ok 0: queued 0", "ok 0: queued 0", "ok 0: running 1", "ok 0: stopping 1", "ok 0: queued 1",
        "ok 0: queued 1", "ok 0: queued 0", "ok 0: running 1", "ok 0: completed 1", "ok 0: failed 1",
        "ok 0: canceled 0", "ok 0: completed 1" } },
    { "beat", ask_beat, {
        "lost: queued 0", "lost: queued 0", "ok: running 1", "canceled: canceled 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "beat old", ask_beat_old, {
        "lost: queued 0", "lost: queued 0", "lost: running 1", "lost: stopping 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "beat elsewhere", ask_beat_elsewhere, {
        "ok: running 1", "ok: running 1", "ok: running 1", "canceled: canceled 1", "ok: running 1", "ok: running 1",
        "ok: running 1", "ok: running 1", "over: completed 1", "over: failed 1", "canceled: canceled 0",
        "over: completed 1" } },
    { "append", ask_append, {
        "lost: queued 0", "lost: queued 0", "ok: running 1 e1", "canceled: canceled 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "append old", ask_append_old, {
        "lost: queued 0", "lost: queued 0", "lost: running 1", "lost: stopping 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "append elsewhere", ask_append_elsewhere, {
        "ok: queued 0 e1", "ok: queued 0 e1", "ok: running 1 e1", "canceled: canceled 1", "ok: queued 1 e1",
        "ok: queued 1 e1", "ok: queued 0 e1", "ok: running 1 e1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "append twice", ask_append_twice, {
        "lost: queued 0", "lost: queued 0", "ok: running 1 e1", "canceled: canceled 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "finish", ask_finish, {
        "lost: queued 0", "lost: queued 0", "ok: completed 1 k60", "canceled: canceled 1", "ok: queued 1",
        "ok: queued 1", "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1",
        "canceled: canceled 0", "ok: completed 1" } },
    { "finish old", ask_finish_old, {
        "lost: queued 0", "lost: queued 0", "lost: running 1", "lost: stopping 1", "lost: queued 1",
        "lost: queued 1", "lost: queued 0", "lost: running 1", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "finish elsewhere", ask_finish_elsewhere, {
        "ok: completed 1 k60", "ok: completed 1 k60", "ok: completed 1 k60", "canceled: canceled 1",
        "ok: completed 1 k60", "ok: completed 1 k60", "ok: completed 1 k60", "ok: completed 1 k60",
        "over: completed 1", "over: failed 1", "canceled: canceled 0", "over: completed 1" } },
    { "finish twice", ask_finish_twice, {
        "lost: queued 0", "lost: queued 0", "ok: completed 1 k60", "canceled: canceled 1", "ok: queued 1",
        "ok: queued 1", "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1",
        "canceled: canceled 0", "ok: completed 1" } },
    { "fail", ask_fail, {
        "lost: queued 0", "lost: queued 0", "ok: failed 1 k60", "canceled: canceled 1", "ok: queued 1",
        "ok: queued 1", "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1",
        "canceled: canceled 0", "ok: completed 1" } },
    { "fail elsewhere", ask_fail_elsewhere, {
        "ok: failed 2 k60", "ok: failed 2 k60", "ok: failed 2 k60", "canceled: canceled 1", "ok: failed 2 k60",
        "ok: failed 2 k60", "ok: failed 2 k60", "ok: failed 2 k60", "over: completed 1", "over: failed 1",
        "canceled: canceled 0", "over: completed 1" } },
    { "again", ask_again, {
        "lost: queued 0", "lost: queued 0", "ok: queued 1", "canceled: canceled 1", "ok: queued 1", "ok: queued 1",
        "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1", "canceled: canceled 0",
        "ok: completed 1" } },
    { "again twice", ask_again_twice, {
        "lost: queued 0", "lost: queued 0", "ok: queued 1", "canceled: canceled 1", "ok: queued 1", "ok: queued 1",
        "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1", "canceled: canceled 0",
        "ok: completed 1" } },
    { "pause", ask_pause, {
        "lost: queued 0", "lost: queued 0", "ok: queued 1", "canceled: canceled 1", "ok: queued 1", "ok: queued 1",
        "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1", "canceled: canceled 0",
        "ok: completed 1" } },
    { "back", ask_back, {
        "lost: queued 0", "lost: queued 0", "ok: queued 0", "canceled: canceled 1", "ok: queued 1", "ok: queued 1",
        "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1", "canceled: canceled 0",
        "ok: completed 1" } },
    { "back elsewhere", ask_back_elsewhere, {
        "ok: queued 0", "ok: queued 0", "ok: queued 0", "canceled: canceled 1", "ok: queued 0", "ok: queued 0",
        "ok: queued 0", "ok: queued 0", "over: completed 1", "over: failed 1", "canceled: canceled 0",
        "over: completed 1" } },
    { "tries used up", ask_tries_used_up, {
        "lost: queued 0", "lost: queued 0", "ok: failed 2 k60", "canceled: canceled 1", "ok: failed 2 k60",
        "ok: queued 1", "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1",
        "canceled: canceled 0", "ok: completed 1" } },
    { "after lease", after_lease, {
        "ok: queued 0", "ok: queued 0", "ok: queued 1", "ok: canceled 1", "ok: queued 1", "ok: queued 1",
        "ok: queued 0", "ok: running 1", "ok: completed 1", "ok: failed 1", "ok: canceled 0", "ok: completed 1" } },
    { "after hour", after_hour, {
        "ok: queued 0", "ok: queued 0", "ok: queued 1", "ok: canceled 1", "ok: queued 1", "ok: queued 1",
        "ok: queued 0", "ok: queued 1", "ok: completed 1", "ok: failed 1", "ok: canceled 0", "ok: completed 1" } },
    { "after days", after_days, {
        "ok: queued 0", "ok: queued 0", "ok: queued 1", "ok: canceled 1", "ok: queued 1", "ok: queued 1",
        "ok: queued 0", "ok: queued 1", "ok: gone", "ok: gone", "ok: gone", "ok: completed 1" } },
    { "finished late", finished_late, {
        "lost: queued 0", "lost: queued 0", "lost: queued 1", "canceled: canceled 1", "ok: queued 1",
        "ok: queued 1", "lost: queued 0", "lost: running 1", "ok: completed 1", "ok: failed 1",
        "canceled: canceled 0", "ok: completed 1" } },
};

static const char *answer_name(int rc) {
    static const char *const refusals[] = { "ok", "none", "over", "lost", "canceled", "quota", "full", "large" };
    return rc >= 0 && rc <= JOBS_TOO_LARGE ? refusals[rc] : "error";
}

static const char *what_it_is(struct world *w, int rc, bool counts) {
    static char text[100];
    int n = snprintf(text, sizeof(text), "%s", answer_name(rc));
    if (counts) n += snprintf(text + n, sizeof(text) - (size_t)n, " %u", reply.count);
    if (get(w, last_id) != 0) {
        snprintf(text + n, sizeof(text) - (size_t)n, ": gone");
        return text;
    }
    const struct job *j = &reply.jobs[0];
    n += snprintf(text + n, sizeof(text) - (size_t)n, ": %s %u", j->stopping ? "stopping" : job_status_name(j->status),
                  j->tries);
    if (j->last_event > 0) n += snprintf(text + n, sizeof(text) - (size_t)n, " e%u", (unsigned)j->last_event);
    if (j->keep_ms != w->settings.keep_ms)
        snprintf(text + n, sizeof(text) - (size_t)n, " k%u", (unsigned)(j->keep_ms / 1000));
    return text;
}

static const char *const kinds[] = { "memory", "file", "redis" };

TEST_NOFAULT(all_that_may_be_asked_in_all_states) {
    EACH_KIND {
        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
            for (enum state s = 0; s < STATES; s++) {
                struct world w;
                begin(&w, kind);
                come_to(&w, s);
                int rc = table[i].does(&w);
                bool counts = table[i].does == ask_take || table[i].does == ask_give || table[i].does == ask_events;
                const char *is = what_it_is(&w, rc, counts);
                NOTE("%s: %s, when it is %s", kinds[kind], table[i].name, states[s]);
                CHECK_STR(is, table[i].is[s]);
                done_asking();
                end(&w);
            }
    }
}
