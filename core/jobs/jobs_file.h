/* jobs_file.h -- jobs in a file: the embedded queue. See jobs_file.c. */
#ifndef PERILUNE_JOBS_JOBS_FILE_H
#define PERILUNE_JOBS_JOBS_FILE_H

#include "jobs/jobs.h"

/* The file is made when there is none.  All is borrowed; l NULL: no limits.  0, PERILUNE_ERR_NOMEM, or
 * PERILUNE_ERR_IO: why says what is wrong with the file and what to do.  May take some 100 ms, and 5 s when another
 * process holds a lock. */
int jobs_file_open(struct jobs_store **out, const char *path, const struct jobs_settings *s,
                   const struct jobs_limits *l, char *why, size_t size);

/* What opening would say, without anything made or written.  0 or PERILUNE_ERR_IO: why. */
int jobs_file_check(const char *path, char *why, size_t size);

#endif
