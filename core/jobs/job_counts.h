/* job_counts.h -- how many jobs there are, of each queue and of each tenant. See job_counts.c. */
#ifndef PERILUNE_JOBS_JOB_COUNTS_H
#define PERILUNE_JOBS_JOB_COUNTS_H

#include "base/hashtable.h"
#include "base/list.h"
#include "jobs/jobs.h"

struct job_count {
    struct chained chained;
    struct list    link;             /* among all; changed ones first */
    bool           changed;
    int64_t        of[JOB_STATUSES];
    int64_t        by[JOB_STATUSES]; /* what of that is not written yet */
    size_t         len;
    char           name[];           /* 'q' or 't', and the name */
};

struct job_counts {
    struct hashtable table;
    struct hash_key  key;
    struct list      all, changed;
    /* What is kept elsewhere of a new one; NULL: it is 0.  0 or PERILUNE_ERR_. */
    int            (*load)(struct job_counts *c, struct job_count *n);
    void            *ud;
};

void job_counts_init(struct job_counts *c);
void job_counts_clear(struct job_counts *c); /* empty, and usable */
/* Found or made: 0 or an error.  Borrowed until job_counts_clear(). */
int  job_counts_find(struct job_counts *c, char kind, struct slice name, struct job_count **out);
void job_counts_add(struct job_counts *c, struct job_count *n, enum job_status s, int by);
/* Forgets those that count nothing: for who has no `load`. */
void job_counts_drop(struct job_counts *c, struct job_count *n);
uint64_t job_count_kept(const struct job_count *n);

#endif
