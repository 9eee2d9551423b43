/* job_task.h -- a job that is a function of the configuration's (perilune.job). See job_task.c. */
#ifndef PERILUNE_BRIDGE_JOB_TASK_H
#define PERILUNE_BRIDGE_JOB_TASK_H

#include "bridge/state.h"
#include "jobs/runner.h"
#include "jobs/settings.h"

/* Of struct job_doer, for jobs that are functions; settings NULL: no deadline. */
void job_task_begin(struct state *s, const struct job_settings *settings, struct job_work *work);
void job_task_stop(struct job_work *work);
/* The queue of the worker, of a spec its own; raises where no jobs are kept. [0, 0, e] */
struct jobs *jobs_queue(lua_State *L);
/* What it waits for, for people. */
const char *job_task_waits_for(const struct job_work *work);

#endif
