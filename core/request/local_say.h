/* local_say.h -- what a local model says, as the events of an answer. See local_say.c. */
#ifndef PERILUNE_REQUEST_LOCAL_SAY_H
#define PERILUNE_REQUEST_LOCAL_SAY_H

#include "base/hash.h"
#include "llm/openai.h"
#include "local/turn.h"

struct local_choice; /* what is to be known of one */

struct local_say {
    struct buf                 *out;    /* borrowed: events go here */
    const struct openai_answer *answer; /* borrowed */
    struct rng                 *rng;    /* of ids of calls */
    enum call_form              calls;
    struct local_choice        *choices;
    unsigned                    count;
};

/* 0 or PERILUNE_ERR_NOMEM; then nothing is to be undone.  out, answer and rng are set by the caller. */
int  local_say_init(struct local_say *s, enum call_form calls, unsigned choices);
void local_say_deinit(struct local_say *s); /* also when it was never init: all zeros */

void local_say_role(struct local_say *s, unsigned choice);
/* TURN_TEXT, TURN_THOUGHT, TURN_CALL, TURN_TOKEN or TURN_ENDED, of its choice.  0 or PERILUNE_ERR_NOMEM. */
int  local_say_event(struct local_say *s, const struct turn_event *ev);

#endif
