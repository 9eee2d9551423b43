/* file_db.h -- the database in which jobs are kept: opening it, its statements, its transactions. See file_db.c. */
#ifndef PERILUNE_JOBS_FILE_DB_H
#define PERILUNE_JOBS_FILE_DB_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "jobs/job_rules.h"
#include "jobs/file_sql.h"

#define FILE_PATH_BYTES 1024

enum file_statement {
#define XX(name, sql) FILE_##name,
    FILE_SQL(XX)
#undef XX
    FILE_STATEMENTS
};

struct file_db {
    sqlite3       *db;
    sqlite3_stmt  *statements[FILE_STATEMENTS];
    const struct jobs_settings *settings;
    char           path[FILE_PATH_BYTES], why[700];
    dev_t          dev;
    ino_t          ino;
    uint64_t       page_bytes;
    int64_t        base, offset;  /* steady - monotonic; wall - steady */
    uint64_t       busy_until;    /* monotonic: how long another process's lock is waited for */
    atomic_bool    hurry;         /* no longer */
    int64_t        version;       /* what others wrote: PRAGMA data_version */
    bool           others_wrote;  /* since who looks last set it false */
    unsigned       writings;      /* grows whenever they did: what was read before may not hold */
    bool           broken;        /* after a fault below: opened again before it is used again */
};

/* settings outlive d.  0 or PERILUNE_ERR_IO: d->why, and nothing is open. */
int  file_db_open(struct file_db *d, const char *path, const struct jobs_settings *s, bool check);
/* Could it be opened?  Nothing is written, nor made. */
int  file_db_check(const char *path, char *why, size_t size);
void file_db_close(struct file_db *d);

/* Reset, with nothing bound.  NULL: d->why. */
sqlite3_stmt *file_db_get(struct file_db *d, enum file_statement which);
/* sqlite3_step() of one that gives a row: 0, JOBS_NOT_FOUND or PERILUNE_ERR_IO. */
int  file_db_row(struct file_db *d, sqlite3_stmt *s);
/* Of one that gives none: 0 or PERILUNE_ERR_IO.  It is reset. */
int  file_db_run(struct file_db *d, sqlite3_stmt *s);
int  file_db_fail(struct file_db *d);              /* d->why of the last error; PERILUNE_ERR_IO */

int  file_db_begin(struct file_db *d, bool write, struct job_now *now);
int  file_db_commit(struct file_db *d);
void file_db_rollback(struct file_db *d);

/* In a transaction that writes: was the wall clock set, and no other process saw to it?  It is noted. */
int  file_db_jumped(struct file_db *d, struct job_now now, bool *jumped);

int  file_db_look(struct file_db *d);              /* sets others_wrote when they did */
bool file_db_is_there(struct file_db *d);          /* false: removed or replaced; d->why */
int  file_db_number(struct file_db *d, enum file_statement which, int64_t *out); /* 0 for NULL */
uint64_t file_db_bytes(struct file_db *d);
bool file_db_tidy(struct file_db *d);              /* free pages back to the system, then a checkpoint; true: again */
struct job_now file_db_now(const struct file_db *d);

#endif
