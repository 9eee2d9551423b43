/* job_stream.h -- what happens to a job, as a source. See job_stream.c. */
#ifndef PERILUNE_GATEWAY_JOB_STREAM_H
#define PERILUNE_GATEWAY_JOB_STREAM_H

#include "base/list.h"
#include "flow/source.h"
#include "gateway/job_frames.h"
#include "jobs/jobs.h"

/* Of a worker. */
struct job_streams {
    struct list all;
    bool        draining; /* those of jobs that wait end: who watches comes back, here or elsewhere */
};

void job_streams_init(struct job_streams *s);
void job_streams_drain(struct job_streams *s);

struct job_stream_options {
    struct job_streams *among;
    struct jobs *jobs;
    struct slice id, tenant; /* copied */
    struct job_seen seen;    /* what the client has */
};

/* NULL: no memory. */
struct source *job_stream_new(const struct job_stream_options *opt);

#endif
