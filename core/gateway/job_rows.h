/* job_rows.h -- what operators see of jobs. See job_rows.c. */
#ifndef PERILUNE_GATEWAY_JOB_ROWS_H
#define PERILUNE_GATEWAY_JOB_ROWS_H

#include "http/server.h"

struct perilune;

/* Prometheus text; nothing where no jobs are kept. */
void job_rows_write(struct perilune *g, struct buf *out);
/* GET /admin/jobs: counts by queue, and dead letters (?limit=, ?after=, ?tenant=, ?status=).  The owner's thread. */
void admin_jobs(struct perilune *g, struct http_request *r);
/* Who asked that is gone. */
void admin_jobs_gone(struct http_request *r);

#endif
