/* harmony_reader.h -- what a model says in channels: thoughts, text and calls.  See harmony_reader.c. */
#ifndef PERILUNE_LOCAL_HARMONY_READER_H
#define PERILUNE_LOCAL_HARMONY_READER_H

#include "local/call_reader.h"

/* What was read, in order.  Slices are borrowed for the call.  Not 0: reading ends with that value. */
struct harmony_sink {
    int (*on_thought)(void *ud, struct slice text);
    int (*on_text)(void *ud, struct slice text);
    int (*on_call)(void *ud, const struct call_said *call);
    void *ud;
};

enum harmony_start {
    HARMONY_AT_HEAD, /* the question ended with the name of who answers */
    HARMONY_IN_TEXT  /* it ended in what is said: an answer goes on */
};

struct harmony_reader {
    int                 state;
    bool                tools;    /* there are functions to be called; without any a call is text */
    struct buf          held;     /* a head, a call, or text that may begin a mark */
    size_t              body, seen; /* then: where the arguments of the call begin; up to where they have no end */
    size_t              name, name_len; /* of its function, in `held` */
    unsigned            calls;
    bool                thought, said; /* something was: a message behind it begins a line */
    bool                begun;    /* something of this message was given */
    struct harmony_sink sink;
};

void harmony_reader_init(struct harmony_reader *r, enum harmony_start at, bool tools, const struct harmony_sink *sink);
void harmony_reader_deinit(struct harmony_reader *r);
/* Text of whole characters, marks included.  Returns 0, what the sink returned, or PERILUNE_ERR_NOMEM. */
int  harmony_reader_push(struct harmony_reader *r, struct slice piece);
int  harmony_reader_finish(struct harmony_reader *r); /* the answer is over */

#endif
