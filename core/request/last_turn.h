/* last_turn.h -- the last thing that a user says, apart from all that it was said after. See last_turn.c. */
#ifndef PERILUNE_REQUEST_LAST_TURN_H
#define PERILUNE_REQUEST_LAST_TURN_H

#include "request/body.h"

struct last_turn {
    struct buf      text;  /* what was said */
    struct buf      rest;  /* the body without it, */
    struct json_doc doc;   /* and its nodes */
};

void last_turn_init(struct last_turn *t);
void last_turn_deinit(struct last_turn *t);
/* Fills t, which was just made.  NULL, or why the body has no such turn (a static text); *failed: there was no
 * memory. */
const char *last_turn_read(struct last_turn *t, const struct body *b, size_t most, bool *failed);

#endif
