/* inside.h -- a question from within the process, and its whole answer. See inside.c. */
#ifndef PERILUNE_GATEWAY_INSIDE_H
#define PERILUNE_GATEWAY_INSIDE_H

#include "base/err.h"
#include "flow/flow.h"
#include "http/parse.h"

struct inside;
struct worker;

/* The whole answer, or why there is none.  Borrowed for a call. */
struct inside_answer {
    const struct failure *failure; /* NULL: it came */
    int          status;
    struct slice type, body;       /* without a failure */
    const char  *request_id;
    struct usage usage;            /* that is to be paid for, also of an answer that failed */
    double       usd;
};

struct inside_ask {
    struct slice method, path, query, body;    /* copied */
    const struct http_header *headers;         /* the list is copied, their texts are borrowed until it is over */
    unsigned     header_count;
    size_t       most;                         /* bytes of an answer */
    /* It is part of a job, which was admitted when it was taken on; job NULL: it is not, and headers say who asks. */
    const char  *job;                          /* its id */
    const char  *admitted;                     /* and by whom: exchange_begin_job(); lives until it is over */
    struct slice tenant;
    uint64_t     timeout_ms;                   /* of it; 0: none */
    /* Once, unless inside_end() came first; perhaps from within inside_begin().  *slot is NULL by then. */
    void       (*over)(void *ud, const struct inside_answer *a);
    void        *ud;
};

/* The worker's thread.  *slot: the question while it is under way, for inside_end().  Returns 0 or
 * PERILUNE_ERR_NOMEM, and then over() is never called. */
int  inside_begin(struct inside **slot, struct worker *w, const struct inside_ask *ask);
/* Nobody wants the answer any more: its call stops, over() is not called. */
void inside_end(struct inside *i);

#endif
