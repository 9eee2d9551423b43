/* jobs.h -- where jobs are kept: one interface for all kinds of queues. See jobs.c.
 *
 * A worker has one `struct jobs`, which is part of a driver (embedded: jobs_file.h; Redis; a broker with a file or a
 * Redis behind it for what it cannot keep).  All is asked on the worker's loop and answered there, later. */
#ifndef PERILUNE_JOBS_JOBS_H
#define PERILUNE_JOBS_JOBS_H

#include "base/blob.h"
#include "jobs/job.h"
#include "sys/loop.h"

struct jobs;
struct jobs_op;

enum jobs_verb {
    JOBS_SUBMIT, /* job: kept safely (on disk, at the broker) when it is answered. The answer's job is it,
                  * or the one that has this key already: `existed`; it is for who asks to see whether they are alike */
    JOBS_GET,    /* id, tenant (NULL ptr: any) */
    JOBS_LIST,   /* tenant, status or all, before this id (pages), count: the newest first */
    JOBS_CANCEL, /* id, tenant: queued ones are over at once; running ones when who works on them beats or finishes */
    JOBS_TAKE,   /* up to count that are due, the first by priority, then by age, for lease_ms; by queue and tenant no
                  * more run at once than limits say */
    JOBS_BEAT,   /* id, lease: goes on for lease_ms. rc says when it is ours no longer: canceled, or somebody else's */
    JOBS_APPEND, /* id, lease, event: the stream of the answer, or progress (which is job->progress, too) */
    JOBS_FINISH, /* id, lease, job: status, result, error; QUEUED with not_before_ms: another try */
    JOBS_EVENTS, /* id, tenant, after this number, count */
};

struct jobs_ask {
    enum jobs_verb verb;
    const struct job *job;       /* SUBMIT, FINISH; lent until jobs_begin() returns */
    struct slice   id, tenant;
    uint64_t       lease, lease_ms, after;
    struct slice   before;       /* LIST */
    int            status;       /* LIST: an enum job_status, or -1 */
    unsigned       count;        /* LIST, TAKE, EVENTS */
    struct job_event event;      /* APPEND; its number is given by the queue */
};

/* The memory of an answer is one counted block. */
struct jobs_answer {
    int               rc;        /* 0; PERILUNE_ERR_NOT_FOUND...; see each driver */
    bool              existed;   /* SUBMIT */
    const struct job *jobs;      /* SUBMIT (one), GET (one), LIST, TAKE */
    const struct job_event *events;
    unsigned          count;
    const char       *why;       /* rc != 0: a sentence for the operator's log, or NULL */
};

struct jobs_driver {
    const char *name;            /* "file", "redis", "amqp", "kafka" */
    /* Sends the question; jobs_answer() is due once, now or later. */
    void (*begin)(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask);
    /* Nobody waits for op any more. */
    void (*forget)(struct jobs *j, struct jobs_op *op);
    void (*close)(struct jobs *j); /* frees j; all that waits ends from within */
};

struct jobs {
    const struct jobs_driver *driver;
    struct loop  *loop;
    struct list   ops, watches;
    unsigned      count, limit;
    /* There may be something to take: a new job, one whose time came, a lease that ran out.  On the loop; set by who
     * takes. */
    void        (*due)(void *ud);
    void         *ud;
};

/* One question.  Embedded in whoever waits; zeroed before the first use. */
struct jobs_op {
    struct list     link;
    struct jobs    *jobs;        /* NULL: waits for nothing */
    struct timer    deadline;
    void           *driver;      /* the driver's own */
    /* The answer is borrowed until it returns.  Never from within jobs_begin(). */
    void          (*done)(struct jobs_op *op, const struct jobs_answer *a);
};

/* Who wants to know that a job has new events, progress or another status: told() is a hint, ask then.  Also of
 * changes by other processes, though up to a second later. */
struct jobs_watch {
    struct list link;
    char        id[JOB_ID_SIZE];
    void      (*told)(struct jobs_watch *w);
};

/* Returns 0, and done() comes exactly once unless it is canceled; or, and then it never comes, PERILUNE_ERR_LIMITED
 * or PERILUNE_ERR_NOMEM. */
int  jobs_begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask,
                void (*done)(struct jobs_op *op, const struct jobs_answer *a));
void jobs_cancel(struct jobs_op *op);
void jobs_watch(struct jobs *j, struct jobs_watch *w, struct slice id);
void jobs_unwatch(struct jobs_watch *w);
void jobs_close(struct jobs *j); /* NULL is fine */

#endif
