/* jobs_memory.h -- jobs in memory: gone with the process. See jobs_memory.c. */
#ifndef PERILUNE_JOBS_JOBS_MEMORY_H
#define PERILUNE_JOBS_JOBS_MEMORY_H

#include "jobs/jobs.h"

/* Both borrowed; l NULL: no limits.  0 or PERILUNE_ERR_NOMEM. */
int jobs_memory_open(struct jobs_store **out, const struct jobs_settings *s, const struct jobs_limits *l);

#endif
