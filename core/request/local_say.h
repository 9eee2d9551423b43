/* local_say.h -- what a local model says, as the events of an answer. See local_say.c. */
#ifndef PERILUNE_REQUEST_LOCAL_SAY_H
#define PERILUNE_REQUEST_LOCAL_SAY_H

#include "base/hash.h"
#include "llm/openai.h"
#include "request/local_ask.h"

struct local_voice; /* of one choice */

struct local_say {
    struct buf                 *out;    /* borrowed: events go here */
    const struct openai_answer *answer; /* borrowed */
    struct rng                 *rng;    /* of ids of calls */
    struct local_reading        reading; /* strings: of ours */
    struct buf                  strings;
    struct local_voice         *voices; /* of each choice */
    unsigned                    count;
};

/* 0 or PERILUNE_ERR_NOMEM; then nothing is to be undone.  out, answer and rng are set by the caller. */
int  local_say_init(struct local_say *s, const struct local_reading *reading, unsigned choices);
void local_say_deinit(struct local_say *s); /* also when it was never init: all zeros */

void local_say_role(struct local_say *s, unsigned choice);
/* A token of a text that has not come: an element of logprobs.content. */
struct buf *local_say_token(struct local_say *s, unsigned choice);
/* 0 or PERILUNE_ERR_NOMEM. */
int  local_say_text(struct local_say *s, unsigned choice, struct slice text);
int  local_say_end(struct local_say *s, unsigned choice, const char *reason);

#endif
