/* jobs_end.h -- a worker's end of a queue that all workers of the process share. See jobs_end.c. */
#ifndef PERILUNE_JOBS_JOBS_END_H
#define PERILUNE_JOBS_JOBS_END_H

#include <stdatomic.h>

#include "jobs/job_table.h"
#include "sys/mailbox.h"

struct jobs_end {
    struct jobs        jobs;
    struct list        link;      /* among the store's ends: under its lock */
    struct mailbox     box;
    struct letter      letter;    /* the news */
    struct deferred    later;     /* the same where time is virtual and nobody rings */
    pthread_mutex_t    lock;
    bool               posted;    /* LOCK */
    struct job_changes news;      /* LOCK */
    atomic_uint        refs;      /* the worker's, the bell's, one of each question on its way */
    void             (*heard)(struct jobs_end *e); /* on the loop, with any news; may be NULL */
};

/* e is zeroed and the beginning of a block of its own, which is freed with the last share, on any thread. */
int  jobs_end_open(struct jobs_end *e, struct loop *loop);
void jobs_end_close(struct jobs_end *e);
void jobs_end_ref(struct jobs_end *e);
void jobs_end_put(struct jobs_end *e);
/* [any] */
void jobs_end_tell(struct jobs_end *e, const struct job_changes *c);

#endif
