/* job_limits.h -- how much at once: a counted copy of what the configuration says. */
#ifndef PERILUNE_JOBS_JOB_LIMITS_H
#define PERILUNE_JOBS_JOB_LIMITS_H

#include <stdatomic.h>

#include "jobs/jobs.h"

struct job_limits {
    atomic_uint        refs;
    struct jobs_limits l;
    struct jobs_queue_limit queues[];
};

/* NULL: no memory.  l NULL: no limits. */
struct job_limits *job_limits_new(const struct jobs_limits *l);
struct job_limits *job_limits_ref(struct job_limits *l);
void     job_limits_put(struct job_limits *l);
unsigned job_limits_of(const struct job_limits *l, struct slice queue); /* 0: none */
bool     job_limits_any(const struct job_limits *l);                    /* of what runs */

#endif
