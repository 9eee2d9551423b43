/* outgoing.h -- from a request to a running call. See outgoing.c. */
#ifndef PERILUNE_REQUEST_OUTGOING_H
#define PERILUNE_REQUEST_OUTGOING_H

#include "flow/response.h"
#include "request/request.h"
#include "request/services.h"

/* The upstream for a request: the one a policy chose, the one whose model or name
 * is asked for, the only one.  NULL with *f filled: model_not_found. */
struct call_pool *outgoing_choose(struct services *v, const struct request *r,
                                  const struct body *body, struct failure *f);
struct call_pool *outgoing_find(struct services *v, struct slice name);
/* Fills f: a policy chose an upstream that there is not.  Clients do not read the name. */
void outgoing_no_upstream(struct failure *f, struct slice name);

/* What the request would be sent as: the upstream's name (empty when there is none yet)
 * and the model, of the upstream or of the body.  Borrowed until deinit. */
struct outgoing_model {
    struct slice upstream, model;
    struct buf   text;
};
void outgoing_model(struct services *v, const struct request *r, const struct body *body,
                    struct outgoing_model *out);
void outgoing_model_deinit(struct outgoing_model *m);

enum outgoing_picked { OUTGOING_NOT_PICKED, OUTGOING_PICKED, OUTGOING_REFUSED };

struct outgoing {
    struct call_pool      *pool;   /* an upstream, or a pool of them */
    /* Of outgoing_start(), when that is a pool: */
    struct call_pool      *of;     /* the pool; then `pool` is who is asked first, or whoever */
    enum outgoing_picked   picked; /* PICKED: `pool` was, and ticket is of its breaker; REFUSED: all rest for wait_ms */
    struct breaker_ticket  ticket;
    uint64_t               wait_ms;
    struct request *request;
    bool                    shared; /* others get the answer, too: it has no deadline but the upstream's own */
    struct body           *body;   /* what a policy made of it; NULL: request->raw or none */
    uint64_t               timeout_ms; /* to the first event, or the whole answer; 0: the target's */
    /* NULL, or called when the call is made, and when it is gone: for who counts calls. */
    void                 (*made)(void *ud), (*over)(void *ud);
    void                  *ud;
};

/* In which form an answer is asked for, which policies may choose, and in which it is given, which is what the
 * client waits for: the reader makes one of the other. */
struct outgoing_form {
    bool sent, given; /* as a stream? */
    bool keep_usage;  /* events of usage are given, too */
};
struct outgoing_form outgoing_form(const struct outgoing *o);

/* The call to o->pool, behind its reader if its answer is one that we read.  NULL: no memory. */
struct source *outgoing_call(const struct services *v, const struct outgoing *o, const struct outgoing_form *form);
/* The answer to o, from whoever gives it: the call, asked again elsewhere (attempt.c), gone on with (continuation.c).
 * o->ticket is its own from here on, also on failure.  NULL: no memory. */
struct source *outgoing_answer(const struct services *v, const struct outgoing *o, const struct outgoing_form *form);
/* Counts a call, for the log and the metrics. */
void outgoing_note_call(struct request *r, const struct target *t);
/* Starts the call. A share of the response, or NULL when there is no memory. */
struct response *outgoing_start(struct services *v, const struct outgoing *o);

#endif
