/* file_table.h -- rows of jobs in a database. See file_table.c. */
#ifndef PERILUNE_JOBS_FILE_TABLE_H
#define PERILUNE_JOBS_FILE_TABLE_H

#include "jobs/file_db.h"
#include "jobs/job_table.h"

struct file_table {
    struct job_table table;
    struct file_db   db;
    struct rng       rng;
    uint64_t         last_key, bytes; /* bytes: as of the beginning of the transaction */
    bool             writes;          /* the transaction */
    unsigned         counted;         /* db.writings, of table.counts */
    uint64_t sum, sum_until;     /* bytes of a tenant, for so long, */
    char     sum_tenant[JOB_TENANT_MAX + 1]; /* and whose */
    size_t   sum_len;
};

void file_table_init(struct file_table *t, const struct jobs_settings *s);

/* A transaction; whatever fails, it is taken back.  0 or PERILUNE_ERR_. */
int  file_table_begin(struct file_table *t, bool write);
int  file_table_commit(struct file_table *t);
void file_table_rollback(struct file_table *t);

/* When time changes something, or a webhook is due; UINT64_MAX: never. */
uint64_t file_table_next(struct file_table *t);
/* After opening.  *mended: counts said something else than the rows. */
int      file_table_mend_counts(struct file_table *t, bool *mended);
int      file_table_counts(struct file_table *t, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                           struct jobs_totals *totals);

#endif
