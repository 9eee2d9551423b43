/* courier_text.h -- what nodes say to each other through a message broker, as JSON. See courier_text.c. */
#ifndef PERILUNE_JOBS_COURIER_TEXT_H
#define PERILUNE_JOBS_COURIER_TEXT_H

#include "base/buf.h"
#include "base/mem.h"
#include "jobs/job.h"

#define COURIER_ID_MAX   200 /* bytes of an id that somebody else gave */
#define COURIER_PATH_MAX 4096
#define COURIER_FROM_MAX 32

/* ORDER: names of courier_text.c.  The first goes to the work, all others to somebody's results. */
enum courier_type { COURIER_JOB, COURIER_RUNNING, COURIER_EVENT, COURIER_RESULT, COURIER_CANCEL };

/* Texts are the arena's, or the message's. */
struct courier_message {
    enum courier_type   type;
    struct slice     id;       /* as it came */
    struct job       job;      /* JOB: the question; its id is one of ours, the same for the same id */
    struct job_end   end;      /* RESULT; RUNNING: its tries */
    struct slice     from;     /* EVENT: who counts; a number that he has said already is no new event; "": nobody */
    struct slice     reply_to; /* JOB: where its result is to go; "": nowhere.  RUNNING: where its node reads */
    struct job_event event;    /* EVENT */
};

/* A message of the work (JOB), or of results (all others).  0; PERILUNE_ERR_INVAL: why has a sentence for who wrote it;
 * PERILUNE_ERR_NOMEM. */
int  courier_read(struct arena *a, struct slice text, bool is_result, struct courier_message *out, char *why,
                  size_t size);
/* Appends it; buf_failed() says whether there was memory.  m->id: where it is "", the job's is said. */
void courier_write(struct buf *out, const struct courier_message *m);

#endif
