/* batch_work.h -- a batch, as a job that a worker does. See batch_work.c. */
#ifndef PERILUNE_GATEWAY_BATCH_WORK_H
#define PERILUNE_GATEWAY_BATCH_WORK_H

#include "gateway/worker.h"

/* Of struct job_doer, for jobs that are batches. */
bool batch_work_is(const struct job *j);
void batch_work_begin(struct worker *w, struct job_work *work);
void batch_work_stop(struct job_work *work);
/* Those that were cancelled and whose files are still written: how many; and the end of them. */
unsigned batch_work_writing(const struct worker *w);
void batch_work_leave(struct worker *w);

#endif
