/* job_stream.h -- what happens to a job, as a source. See job_stream.c. */
#ifndef PERILUNE_GATEWAY_JOB_STREAM_H
#define PERILUNE_GATEWAY_JOB_STREAM_H

#include "flow/source.h"
#include "jobs/jobs.h"

struct job_stream_options {
    struct jobs *jobs;
    struct slice id, tenant; /* copied */
    uint64_t     after;      /* events up to this number were seen */
};

/* NULL: no memory. */
struct source *job_stream_new(const struct job_stream_options *opt);

#endif
