/* batch_object.h -- batches and files as OpenAI's API shows them. See batch_object.c. */
#ifndef PERILUNE_JOBS_BATCH_OBJECT_H
#define PERILUNE_JOBS_BATCH_OBJECT_H

#include "base/json.h"
#include "jobs/batch_ids.h"
#include "jobs/file_store.h"
#include "jobs/job.h"

#define BATCH_PATH      "/v1/batches" /* of the job that a batch is */
#define BATCH_FAULTS    100           /* of a file, that are told */

/* What POST /v1/batches asks for. Borrowed from the doc. */
struct batch_wish {
    char         input[FILE_ID_SIZE];
    char         endpoint[256];
    struct slice metadata;  /* JSON: an object; "null" */
    uint64_t     output_keep_s; /* how long the files of answers are kept; 0: it does not say */
};

/* How long a client may have a file kept, in seconds: as OpenAI has it. */
#define LIFETIME_LEAST 3600
#define LIFETIME_MOST  2592000
/* {anchor, seconds} of somebody who wants a file gone then.  keep_ms: how long files are kept at most; 0: for ever.
 * False: a sentence in why. */
bool file_lifetime_read(struct slice anchor, struct slice seconds, uint64_t keep_ms, uint64_t *out, char *why,
                        size_t size);

/* keep_ms: as above.  Returns 0, or PERILUNE_ERR_INVAL with the member at fault in *param and a sentence in why. */
int  batch_wish_read(struct batch_wish *w, const struct json_doc *doc, uint64_t keep_ms, const char **param, char *why,
                     size_t size);

/* "batch_..." of a job, and back; false: it is none. */
void batch_id_of(const char *job_id, char out[JOB_ID_SIZE + 2]);
bool batch_id_read(struct slice id, char job_id[JOB_ID_SIZE]);
/* Where its answers and its failures go: ids that follow from the job's, which nobody guesses. */
void batch_output_id(const char *job_id, bool errors, char out[FILE_ID_SIZE]);

enum batch_phase { BATCH_VALIDATING, BATCH_IN_PROGRESS, BATCH_FINALIZING, BATCH_EXPIRED };

/* How far it is: what its job keeps as progress. */
/* What all of its answers used together. */
struct batch_usage {
    uint64_t in, out, cached, reasoning; /* tokens; cached of in, reasoning of out */
};

struct batch_progress_note {
    enum batch_phase phase;
    uint64_t total, good, failed;                 /* lines */
    uint64_t in_progress_s, finalizing_s;         /* seconds since 1970; 0: not yet */
    struct slice faults;                          /* JSON: the members of a list; "": none */
    struct batch_usage used;                      /* in all tries */
};
void batch_note_write(struct buf *out, const struct batch_progress_note *n);
/* What the note of an earlier try says; nothing where there is none. */
struct batch_usage batch_note_used(struct slice note);

/* What a job does not know of its batch. */
struct batch_look {
    bool     has_output, has_errors; /* files that can be fetched */
    bool     is_unfinished;          /* canceled, and its files are still written */
    uint64_t good, failed;           /* lines of these files; 0: nobody counted them */
    uint64_t window_ms;              /* that it may take */
};
/* The object of a job whose body and progress are there.  False: no memory, or it is no batch. */
bool batch_object_write(struct buf *out, const struct job *j, const struct batch_look *look);
void file_object_write(struct buf *out, const struct file_facts *f);

#endif
