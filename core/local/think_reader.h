/* think_reader.h -- what a model thinks, apart from what it says.  See think_reader.c. */
#ifndef PERILUNE_LOCAL_THINK_READER_H
#define PERILUNE_LOCAL_THINK_READER_H

#include "base/buf.h"

/* Marks around what a model thinks; both empty: it has none. */
struct think_marks {
    struct slice open, close;
};

/* What was read, in order.  Slices are borrowed for the call.  Not 0: reading ends with that value. */
struct think_sink {
    int (*on_thought)(void *ud, struct slice text);
    int (*on_text)(void *ud, struct slice text);
    void *ud;
};

struct think_reader {
    struct think_marks marks; /* borrowed */
    int                state;
    struct buf         held;
    struct think_sink  sink;
};

/* inside: the question ended with the opening mark. */
void think_reader_init(struct think_reader *r, struct think_marks marks, bool inside, const struct think_sink *sink);
void think_reader_deinit(struct think_reader *r);
/* Text of whole characters.  Returns 0, what the sink returned, or PERILUNE_ERR_NOMEM. */
int  think_reader_push(struct think_reader *r, struct slice piece);
int  think_reader_finish(struct think_reader *r); /* the answer is over */

#endif
