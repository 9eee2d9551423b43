/* jobs_memory_table.h -- rows of jobs in memory. See jobs_memory_table.c. */
#ifndef PERILUNE_JOBS_JOBS_MEMORY_TABLE_H
#define PERILUNE_JOBS_JOBS_MEMORY_TABLE_H

#include "jobs/job_table.h"

struct memory_heap {
    struct memory_timed **at;
    unsigned count, cap;
};

struct memory_table {
    struct job_table    table;
    struct hashtable    by_id, by_key, tenants, hooks_by_number;
    struct hash_key     key;
    struct rng          rng;
    uint64_t            last_key, last_hook, bytes, jobs, open_hooks;
    struct list         all, running;
    struct memory_lane **lanes;         /* in order */
    unsigned            lane_count, lane_cap;
    struct memory_heap  soon, old, hooks; /* live jobs; those that are over; webhooks */
};

void     memory_table_init(struct memory_table *t, const struct jobs_settings *s);
void     memory_table_deinit(struct memory_table *t);
/* When time changes something that somebody may wait for; UINT64_MAX: never.  A webhook that was said to be due is for
 * somebody to take: time does nothing more to it. */
uint64_t memory_table_next(const struct memory_table *t);
bool     memory_table_hook_due(const struct memory_table *t);
/* The wall clock was set. */
void     memory_table_clock(struct memory_table *t);
/* Of queues that have jobs. */
void     memory_table_counts(struct memory_table *t, void (*each)(void *ud, const struct jobs_count *c), void *ud);

#endif
