/* runner.h -- does the jobs of a queue, some of them at once. See runner.c. */
#ifndef PERILUNE_JOBS_RUNNER_H
#define PERILUNE_JOBS_RUNNER_H

#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "flow/flow.h"
#include "jobs/jobs.h"

#define JOB_ROWS 66 /* queues that are counted apart; the last is "other" */

/* A try that is under way.  Whoever does it hangs its own on `user`. */
struct job_work {
    struct list        link;
    struct job_runner *runner;
    struct job         job;      /* as it was taken; lives as long */
    void              *user;
    uint64_t           began_us;
    /* Of runner.c. */
    enum job_work_state { JOB_WORKS, JOB_ENDS, JOB_STOPPED } state;
    struct arena       arena;
    struct jobs_op     beat_op, append_op, finish_op;
    struct jobs_watch  watch;
    struct timer       beat, flush;
    struct buf         begun, frames, progress, ended; /* ORDER: in which they are appended; choose() counts on it */
    struct buf         sent;     /* what is being appended */
    const char        *sent_name;
    bool               is_full;  /* who does it was told so */
    bool               lasts;    /* frames came before: the next ones wait a little */
    bool               is_cut;   /* some of its events found no room */
    uint64_t           lease_until_ms, beat_ms; /* loop clock */
    uint64_t           lease_ms; /* that was asked for last, at beat_ms */
    struct job_end     end;      /* for FINISH; in the arena */
    uint64_t           delay_ms; /* until another try */
    bool               put_off;  /* it was refused, and is to come later: that was no try */
    struct deferred    stop;
    bool               was_canceled; /* by who made it; else it is somebody else's, when it is stopped */
};

/* How it went, as who does it says it. */
struct work_end {
    const struct failure *failure; /* NULL: well */
    int                   status;  /* as HTTP has it */
    struct slice          type, result;
    uint64_t              keep_ms; /* as of struct job_end */
};

/* Who does jobs. */
struct job_doer {
    void *ud;
    /* Begins; the end may come from inside of it. */
    void (*begin)(void *ud, struct job_work *w);
    /* After FLOW_FULL: go on. */
    void (*resume)(struct job_work *w);
    /* Nobody wants it any more: silence from here on.  What hangs on w->user is to be freed. */
    void (*stop)(struct job_work *w);
};

struct job_row {
    char          queue[JOB_NAME_MAX + 1];
    stats_counter completed, failed, canceled, retried, lost, given_back, put_off;
};
/* Written by the runner's thread, read by any.  ORDER: a row is whole before it is counted. */
struct job_stats {
    atomic_uint    row_count;
    struct job_row rows[JOB_ROWS];
    stats_counter  running;
};

struct job_runner_options {
    struct jobs    *jobs;
    struct loop    *loop;
    struct log     *log;
    unsigned        room;      /* jobs at once */
    uint64_t        lease_ms, backoff_ms, backoff_max_ms;
    struct job_doer doer;
    struct job_stats *stats;
};

struct job_runner;

/* Begins to take jobs.  NULL: no memory. */
struct job_runner *job_runner_new(const struct job_runner_options *opt);
/* Other settings from now on; what runs goes on, and more is taken. */
void job_runner_set(struct job_runner *r, unsigned room, uint64_t lease_ms, uint64_t backoff_ms,
                    uint64_t backoff_max_ms);
/* Nothing more is taken; what runs goes on. */
void job_runner_drain(struct job_runner *r);
/* And what runs is stopped, and given back to the queue as if it had not been taken. */
void job_runner_give_back(struct job_runner *r);
/* Until the queue knows how they ended; and one more while some are being taken, which are ours already. */
unsigned job_runner_running(const struct job_runner *r);
/* Gives back what runs, without waiting for the queue to say so.  NULL is fine. */
void job_runner_free(struct job_runner *r);
/* The works under way, struct job_work by link. */
const struct list *job_runner_works(const struct job_runner *r);

/* -- For who does them -- */

/* Whole frames of the answer's stream.  FLOW_FULL: the queue is behind, wait for resume(). */
enum flow job_work_frames(struct job_work *w, struct slice frames);
/* JSON; the last one counts. */
void job_work_progress(struct job_work *w, struct slice json);
/* Is a refusal that says when to come back (failure_says_later()) still no try of this job's? */
bool job_work_is_patient(const struct job_work *w);
/* The last call: w is the runner's from here on.  Everything is copied. */
void job_work_end(struct job_work *w, const struct work_end *end);

#endif
