/* job_ask.h -- what a request says of the job that is to be made of it, or asks of jobs. See job_ask.c. */
#ifndef PERILUNE_GATEWAY_JOB_ASK_H
#define PERILUNE_GATEWAY_JOB_ASK_H

#include "gateway/job_frames.h"
#include "jobs/settings.h"
#include "request/request.h"

struct job_ask_error {
    char message[240];
};

/* Of GET /v1/async. */
struct job_list {
    unsigned count;
    int      status;      /* an enum job_status, or -1 */
    char     after[JOB_ID_SIZE];
    char     path[256];   /* whose route says who asks; "": that of chats */
};

/* Fills queue, key, priority, times and webhook of j from headers x-perilune-... and members of the query of the same
 * name, which are taken out of the query.  What it borrows is the request's.  False: *why. */
bool job_ask_read(struct request *r, struct job *j, struct job_ask_error *why);
/* Its Idempotency-Key; "": none. False: *why. */
bool job_ask_key(const struct request *r, struct slice *key, struct job_ask_error *why);
/* Is there such a queue? */
bool job_ask_check(const struct job *j, const struct job_settings *s, struct job_ask_error *why);
bool job_ask_list(struct slice query, struct job_list *out, unsigned otherwise, unsigned most,
                  struct job_ask_error *why);
/* The last event that a watcher has seen, 0: none. */
bool job_ask_after(const struct request *r, struct job_seen *out);
/* Has it seen the end? */
bool job_ask_is_end(const struct request *r);

#endif
