/* batch_survey.h -- the lines of a batch, looked at before any is asked. See batch_survey.c. */
#ifndef PERILUNE_JOBS_BATCH_SURVEY_H
#define PERILUNE_JOBS_BATCH_SURVEY_H

#include "jobs/batch_ids.h"
#include "jobs/batch_input.h"
#include "jobs/batch_line.h"

struct batch_survey {
    struct batch_input *in;
    struct batch_ids   *ids;       /* gets the ids of all good lines, with their numbers */
    struct slice        endpoint;  /* that every line must have as its url; ptr NULL: any */
    uint64_t            most;      /* lines; 0: any number */
    void              (*tell)(void *ud, uint32_t line, const struct batch_fault *fault);
    void               *ud;
    struct batch_reader reader;
    uint64_t            good, bad; /* lines */
};

/* in, ids, endpoint, most, tell are the caller's to set; the rest is zero. */
void batch_survey_init(struct batch_survey *s);
void batch_survey_deinit(struct batch_survey *s);
/* Looks at up to `lines` further lines.  Returns 1 when all were looked at (and the input is at its first line again),
 * 0 when there are more, PERILUNE_ERR_NOMEM, or PERILUNE_ERR_IO with errno.  A file without a line that can be asked,
 * and one with more than `most`, are told as a fault of line 0. */
int  batch_survey_step(struct batch_survey *s, unsigned lines);

#endif
