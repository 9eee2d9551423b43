/* batch_rest.h -- the lines of a batch that were never answered. See batch_rest.c. */
#ifndef PERILUNE_JOBS_BATCH_REST_H
#define PERILUNE_JOBS_BATCH_REST_H

#include "jobs/batch_ids.h"
#include "jobs/batch_input.h"
#include "jobs/batch_line.h"
#include "jobs/batch_output.h"

struct batch_rest {
    struct batch_input  *in;
    struct batch_ids    *ids;     /* those that are not done */
    struct batch_output *errors;  /* gets a line for each of them */
    struct rng          *rng;
    const char          *code, *message;
    struct batch_reader  reader;
    struct buf           lines;   /* scratch */
    uint64_t             written;
};

/* in, ids, errors, rng, code and message are the caller's to set; the rest is zero. */
void batch_rest_init(struct batch_rest *r);
void batch_rest_deinit(struct batch_rest *r);
/* Looks at up to `most` further lines of the input.  Returns 1 when all were looked at, 0 when there are more, or an
 * error; what it had to write is in errors or not at all. */
int  batch_rest_step(struct batch_rest *r, unsigned most);

#endif
