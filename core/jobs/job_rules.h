/* job_rules.h -- what happens to a job: the same in every queue that keeps jobs itself. See job_rules.c. */
#ifndef PERILUNE_JOBS_JOB_RULES_H
#define PERILUNE_JOBS_JOB_RULES_H

#include "jobs/jobs.h"

/* ORDER: the first five are an enum job_status; files hold the numbers. */
enum job_state { JOB_READY, JOB_RUNS, JOB_DONE, JOB_DEAD, JOB_STOPPED, JOB_WAITS, JOB_STATES };

/* Two clocks, in milliseconds.  See job_rules.c. */
struct job_now {
    uint64_t steady, wall;
};

/* A job as a queue keeps it. */
struct job_row {
    struct job     job;
    uint64_t       key, token;   /* of its id */
    enum job_state state;
    uint64_t       due, expires; /* steady; 0: now, never */
    uint64_t       at;           /* steady: when time alone changes it; 0: never */
    uint64_t       event_bytes;
    bool           hooked;       /* somebody is to be told of its end, and was not yet */
};

/* Steady time of a wall time: now or later. */
static inline uint64_t job_steady(struct job_now now, uint64_t wall) {
    return wall > now.wall ? now.steady + (wall - now.wall) : now.steady;
}

/* All but id and key is set in row->job by who submits. */
void job_rule_submit(struct job_row *row, const struct jobs_settings *s, struct job_now now);
void job_rule_take(struct job_row *row, uint64_t lease_ms, struct job_now now);
/* Nobody has heard that he took it. */
void job_rule_untake(struct job_row *row, struct job_now now);
/* Handed on: for ms nobody gets it again. */
void job_rule_give(struct job_row *row, uint64_t ms, struct job_now now);
/* These return 0 or an enum jobs_refusal, and may have changed the row with either: see job_row_changed(). */
int  job_rule_beat(struct job_row *row, uint64_t lease, uint64_t lease_ms, struct job_now now);
/* Somebody without a lease of ours works on it. */
int  job_rule_elsewhere(struct job_row *row, unsigned tries, uint64_t lease_ms, struct job_now now);
/* Is this the event that it got last?  Then who asks has lost the answer. */
bool job_rule_has_event(const struct job_row *row, uint64_t lease, uint64_t number);
int  job_rule_append(struct job_row *row, uint64_t lease, const struct job_event *e, const struct jobs_settings *s,
                     struct job_now now);
/* Has he who shows this lease ended it before?  Then he has lost the answer. */
bool job_rule_has_ended(const struct job_row *row, uint64_t lease);
int  job_rule_finish(struct job_row *row, const struct jobs_ask *ask, const struct jobs_settings *s,
                     struct job_now now);
/* Behind job_rule_finish(): there is no room for what it came with. */
void job_rule_full(struct job_row *row, struct job_now now);
int  job_rule_cancel(struct job_row *row, struct job_now now);
/* The webhook was delivered, or will not be. */
void job_rule_told(struct job_row *row, struct job_now now);
/* What time alone does, when row->at has come.  True: it is to be forgotten. */
bool job_rule_time(struct job_row *row, struct job_now now);
/* The wall clock was set: times that clients named are elsewhere now. */
void job_rule_clock(struct job_row *row, struct job_now now);

static inline bool job_row_is_over(const struct job_row *r) { return r->state >= JOB_DONE && r->state <= JOB_STOPPED; }

/* -- Webhooks ------------------------------------------ */

#define JOB_HOOK_LOG 2048 /* bytes of its log; the oldest lines go */

struct job_hook_row {
    struct job_hook hook;
    uint64_t        key, token; /* of the job's id */
    uint64_t        at;   /* steady: when it is due, or the lease runs out; 0: it is over */
};

void job_rule_hook_take(struct job_hook_row *h, uint64_t lease_ms, struct job_now now);
/* log: room for the new one. */
int  job_rule_hook_done(struct job_hook_row *h, const struct jobs_ask *ask, char log[JOB_HOOK_LOG], struct job_now now);
static inline bool job_hook_is_over(const struct job_hook *h) { return h->state >= JOB_HOOK_DELIVERED; }

#endif
