/* job_exchange.h -- a job as who asks. See job_exchange.c. */
#ifndef PERILUNE_GATEWAY_JOB_EXCHANGE_H
#define PERILUNE_GATEWAY_JOB_EXCHANGE_H

#include "gateway/exchange.h"
#include "jobs/runner.h"

/* Of struct job_doer, for jobs that are requests; ud is the worker. */
void job_exchange_begin(struct worker *w, struct job_work *work);
void job_exchange_resume(struct job_work *work);
void job_exchange_stop(struct job_work *work);

#endif
