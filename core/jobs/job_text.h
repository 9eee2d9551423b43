/* job_text.h -- a job as JSON. See job_text.c. */
#ifndef PERILUNE_JOBS_JOB_TEXT_H
#define PERILUNE_JOBS_JOB_TEXT_H

#include "base/buf.h"
#include "jobs/job.h"

enum job_detail {
    JOB_SHORT, /* in lists and events: no progress, no result */
    JOB_WHOLE
};

void job_write(struct buf *out, const struct job *j, enum job_detail detail);

#endif
