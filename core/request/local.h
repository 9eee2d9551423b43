/* local.h -- an answer of a model in this process, as a source. See local.c. */
#ifndef PERILUNE_REQUEST_LOCAL_H
#define PERILUNE_REQUEST_LOCAL_H

#include "local/turn.h"
#include "request/local_rank.h"
#include "request/outgoing.h"

/* What a model of this process says to o: the events of a stream of chunks, or the body of an answer with vectors. The
 * target of o->pool has an engine.  NULL: no memory. */
struct source *local_new(const struct services *v, const struct outgoing *o, const struct outgoing_form *form);

/* -- For local.c only (local_ask.c) ----------------------------------------------- */

/* A question as it is read out of a body; its pointers lead into the rest. */
struct local_question {
    struct turn_ask     ask;
    struct buf          text;    /* the prompt, or all texts of an embedding */
    struct slice       *texts;   /* of an embedding */
    struct slice        prompt;
    struct buf          words;   /* stops, one behind the other */
    struct slice        stops[HELD_STOPS];
    struct sampler_bias biases[SAMPLER_BIASES];
    bool                base64;  /* vectors are told so */
    struct local_rank  *rank;    /* the caller's: where one is read to */
};

/* 0, or a negative code with *f filled: what is wrong with which field. */
int  local_read(struct local_question *q, const struct resident *r, const struct request *req, const struct body *body,
                struct failure *f);
void local_question_deinit(struct local_question *q); /* after local_read(), however it ended */

#endif
