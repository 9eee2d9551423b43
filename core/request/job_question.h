/* job_question.h -- a request as a job keeps it, and back. See job_question.c. */
#ifndef PERILUNE_REQUEST_JOB_QUESTION_H
#define PERILUNE_REQUEST_JOB_QUESTION_H

#include "jobs/jobs.h"
#include "request/request.h"

/* Headers that are kept besides those that always are: lower case, borrowed. */
struct job_headers {
    const char *const *names;
    unsigned           count;
};

/* Fills tenant, path, headers and body of j; body: of r, or what policies made of it; NULL: none.  What is not r's is
 * in a.  False: no memory. */
bool job_from_request(struct job *j, struct arena *a, const struct request *r, const struct body *body,
                      const struct job_headers *more);
/* In what the body of that job lies; NULL: there is none. */
struct blob *job_blob(const struct request *r, const struct body *body);
/* Who let it in, in front of j's headers: a request's guard, or GUARD_OPERATOR; batch: it is one, and its endpoint's
 * route did.  The bytes are in a.  False: no memory. */
bool job_put_guard(struct job *j, struct arena *a, const char *guard, bool batch);
/* The same back: "" nobody asked.  Returns the headers behind it. */
struct slice job_guard(const struct job *j, char guard[GUARD_SIZE], bool *batch);
bool job_is_batch(const struct job *j);
/* Fills what r asks, but for the body: borrowed from j. False: no memory. */
bool job_to_request(const struct job *j, struct request *r);
/* Why the queue did not do what was asked, for who asked: a->rc is not 0. */
void job_refused(struct failure *f, const struct jobs_answer *a);
void job_key_reused(struct failure *f);
/* Were two jobs asked the same? */
bool job_asks_same(const struct job *a, const struct job *b);

#endif
