/* answer.h -- reads an upstream's answer to a chat on its way through: usage,
 * errors inside a 200, the end. See answer.c. */
#ifndef PERILUNE_LLM_ANSWER_H
#define PERILUNE_LLM_ANSWER_H

#include "flow/source.h"

struct answer_options {
    bool        stream;     /* the request asked for a stream */
    bool        keep_usage; /* the client asked for usage itself */
    unsigned    choices;    /* the request's n; 0: not known */
    size_t      limit;      /* bytes of a whole answer */
    size_t      max_event;  /* bytes of one event of a stream */
};

/* The reader of what `from` answers: a source that wraps it, and marks its real events.
 * Takes from; NULL, and from is cancelled, when there is no memory.
 *
 * Its sink gets HEAD with the first real event (so that an error in it is still an
 * error before anything was sent), FRAMEs or one BYTES, END or ERROR.  A stream
 * that ends without its end mark, and before all choices have ended, is an ERROR. */
struct source *answer_new(struct source *from, const struct answer_options *opt);

#endif
