/* base64_join.h -- base64 that comes in pieces, each with an end of its own. See base64_join.c. */
#ifndef PERILUNE_LLM_BASE64_JOIN_H
#define PERILUNE_LLM_BASE64_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct base64_join { /* zeroed: at the beginning */
    char    group[4]; /* of what comes: not four characters yet */
    uint8_t bytes[2]; /* of what is written: not three bytes yet */
    uint8_t grouped, left;
    bool    broken;   /* it is no base64: from there on it goes over as it is */
};

/* Appends what the piece makes whole.  Never more, all in all, than came. */
void base64_join_add(struct base64_join *j, struct slice piece, struct buf *out);
/* Appends what the last group has, and its padding.  j may go on. */
void base64_join_rest(const struct base64_join *j, struct buf *out);

#endif
