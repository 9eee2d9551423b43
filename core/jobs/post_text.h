/* post_text.h -- what nodes say to each other through a message broker, as JSON. See post_text.c. */
#ifndef PERILUNE_JOBS_POST_TEXT_H
#define PERILUNE_JOBS_POST_TEXT_H

#include "base/buf.h"
#include "base/mem.h"
#include "jobs/job.h"

#define POST_ID_MAX   200 /* bytes of an id that somebody else gave */
#define POST_PATH_MAX 4096

/* ORDER: names of post_text.c.  The first goes to the work, all others to somebody's results. */
enum post_type { POST_JOB, POST_RUNNING, POST_EVENT, POST_RESULT, POST_CANCEL };

/* Texts are the arena's, or the message's. */
struct post_message {
    enum post_type   type;
    struct slice     id;       /* as it came */
    struct job       job;      /* JOB: the question, and an id of ours that is the same for the same id; RUNNING: tries;
                                * RESULT: the end */
    struct slice     reply_to; /* JOB: where its result is to go; "": nowhere.  RUNNING: where its node reads */
    struct job_event event;    /* EVENT */
};

/* A message of the work (JOB), or of results (all others).  0; PERILUNE_ERR_INVAL: why has a sentence for who wrote it;
 * PERILUNE_ERR_NOMEM. */
int  post_read(struct arena *a, struct slice text, bool is_result, struct post_message *out, char *why, size_t size);
/* Appends it; buf_failed() says whether there was memory.  m->id: where it is "", the job's is said. */
void post_write(struct buf *out, const struct post_message *m);

#endif
