/* job_table.h -- what a queue that keeps jobs itself must be able to do, and what all of them do with it.
 * See job_verbs.c. */
#ifndef PERILUNE_JOBS_JOB_TABLE_H
#define PERILUNE_JOBS_JOB_TABLE_H

#include "base/mem.h"
#include "jobs/job_counts.h"
#include "jobs/job_limits.h"
#include "jobs/job_rules.h"

struct job_table;

/* One question on its way.  Its memory is the arena's: what was asked, and what is answered. */
struct job_call {
    struct jobs_ask    ask;
    struct job         job;     /* what ask.job points to, */
    struct job_end     end;     /* and ask.end */
    struct blob       *hold;    /* in which its body lies: a share; NULL: it is in the arena */
    struct arena       arena;
    struct jobs_answer answer;
};

/* Copies the question; c is zeroed.  PERILUNE_ERR_NOMEM: c is as empty as before. */
int  job_call_init(struct job_call *c, const struct jobs_ask *ask);
void job_call_deinit(struct job_call *c);

/* What of a job is wanted besides its row: each is a look-up of its own. */
enum job_parts { JOB_QUESTION = 1, JOB_RESULT = 2 };

/* Copies the texts that are wanted; false: no memory. */
bool job_copy(struct arena *a, struct job *j, unsigned parts);

/* Jobs that are ready, of one priority, queue and tenant.  Lanes are ordered by these three. */
struct job_lane {
    int          rank;          /* -priority: the first is served first */
    struct slice queue, tenant;
};
int job_lane_compare(const struct job_lane *a, const struct job_lane *b); /* as memcmp() */
enum job_step { JOB_NEXT_LANE, JOB_NEXT_QUEUE, JOB_NEXT_RANK };

struct job_running {
    struct slice queue, tenant;
    unsigned     count;
};

/* All return 0, JOBS_NOT_FOUND or PERILUNE_ERR_ (then why is set, and nothing has changed that is not taken back).
 * Texts that come out are the arena's. */
struct job_table_ops {
    int (*insert)(struct job_table *t, struct job_row *row); /* gives key, token and id */
    int (*find)(struct job_table *t, struct arena *a, struct slice id, unsigned parts, struct job_row *row);
    int (*find_key)(struct job_table *t, struct arena *a, struct slice tenant, struct slice key, struct job_row *row);
    /* row is old, but for what rules change; a row that is over now brings its result, and a hook when it is hooked. */
    int (*update)(struct job_table *t, const struct job_row *old, const struct job_row *row);
    int (*append)(struct job_table *t, const struct job_row *row, const struct job_event *e);
    int (*events)(struct job_table *t, struct arena *a, const struct job_row *row, struct job_call *c);
    int (*list)(struct job_table *t, struct job_call *c, struct job *out, unsigned *count);
    /* A part of what there is of the job goes; *gone: that was all. */
    int (*forget)(struct job_table *t, const struct job_row *row, bool *gone);
    int (*due)(struct job_table *t, struct arena *a, struct job_row *row);     /* row->at has come */
    /* The first lane behind `after`; JOB_NEXT_RANK with INT_MIN: of all. */
    int (*lane)(struct job_table *t, struct arena *a, const struct job_lane *after, enum job_step step,
                struct job_lane *out);
    int (*first)(struct job_table *t, struct arena *a, const struct job_lane *lane, struct job_row *row);
    int (*running)(struct job_table *t, struct arena *a, unsigned more, struct job_running **out, unsigned *count);
    int (*hook_due)(struct job_table *t, struct arena *a, struct job_hook_row *h);
    int (*hook_find)(struct job_table *t, struct arena *a, uint64_t number, struct job_hook_row *h);
    int (*hook_update)(struct job_table *t, const struct job_hook_row *h);
    int (*hooks)(struct job_table *t, struct arena *a, const struct job_row *row, struct job_hook *out,
                 unsigned *count);
    uint64_t (*bytes)(struct job_table *t);
    /* Those of a tenant's jobs, nearly.  Asked for when more than half of all are used. */
    int (*tenant_bytes)(struct job_table *t, struct slice tenant, uint64_t *out);
};

#define JOB_HOOKS_MOST 4 /* of a job: it ends once */

#define JOB_CHANGES 64
/* What is to be told to who watches. */
struct job_changes {
    bool     due, hook_due, all; /* all: more than fit, or nobody knows which */
    unsigned count;
    struct { uint64_t key, token; } of[JOB_CHANGES];
};

struct job_table {
    const struct job_table_ops  *ops;
    const struct jobs_settings  *settings;
    const struct job_limits     *limits;
    struct job_counts            counts;
    struct job_changes           changes;
    struct job_now               now;
    uint64_t                     hooks_told; /* webhooks that were due then were said to be, on the steady clock */
    char        queue[JOB_NAME_MAX + 1], tenant[JOB_TENANT_MAX + 1]; /* of the lane that was served last */
    size_t      tenant_len, queue_len;
    bool        held;           /* TAKE was not given anything, for want of room: to be told when there is some */
    char        why[700];       /* of the last PERILUNE_ERR_IO */
};

/* Answers c->answer; why is the arena's, or a literal. */
void job_verb_run(struct job_table *t, struct job_call *c);
/* A TAKE whose answer nobody has heard: those that it took are as they were.  Answers c->answer.rc alone. */
void job_verb_untake(struct job_table *t, struct job_call *c);
/* What time alone does: at most `most` jobs.  0: nothing more is due; 1: there may be; or an error. */
int  job_verb_time(struct job_table *t, unsigned most);

/* job_take.c: the next job that may be taken, JOBS_NOT_FOUND, or an error. */
struct job_taking {
    struct arena       *arena;
    struct slice        queue;     /* NULL ptr: any */
    struct job_running *running;
    unsigned            count, steps;
};
int  job_take_begin(struct job_taking *k, struct job_table *t, struct arena *a, const struct jobs_ask *ask);
int  job_take_next(struct job_taking *k, struct job_table *t, struct job_row *row);

void job_change(struct job_changes *c, const struct job_row *row);

#endif
