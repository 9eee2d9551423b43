/* batch_output.h -- the file of a batch's answers, which is the record of what is done. See batch_output.c. */
#ifndef PERILUNE_JOBS_BATCH_OUTPUT_H
#define PERILUNE_JOBS_BATCH_OUTPUT_H

#include <stdint.h>

#include "base/buf.h"

struct batch_ids;

struct batch_output {
    int         fd;            /* -1: not open */
    const char *path;
    uint64_t    size;          /* bytes, all of them whole lines */
    uint64_t    good, failed;  /* lines of the batch that had a record */
    uint64_t    unsynced;      /* bytes that may not be on the disk yet */
    uint64_t    synced_ms;
    char        err[300];      /* why the last function failed */
};

/* Opens or makes the file; nobody else may write it at the same time.  Returns 0, or an error with out->err; input: the
 * file that it must not be. */
int  batch_output_open(struct batch_output *out, const char *path, uint64_t device, uint64_t inode);
void batch_output_close(struct batch_output *out);
/* Reads the records, marks those of the ids as done, and takes a record away that was cut when its process was killed.
 * With again, records of failures are taken away, too.  The file is only touched when all else of it is this
 * batch's. */
int  batch_output_load(struct batch_output *out, struct batch_ids *ids, bool again);
/* Appends whole lines, or nothing. */
int  batch_output_append(struct batch_output *out, struct slice lines);
/* What was appended reaches the disk. */
int  batch_output_sync(struct batch_output *out, uint64_t now_ms);

#endif
