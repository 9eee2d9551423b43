/* synthetic.h -- an answer made here, as a source. See synthetic.c. */
#ifndef PERILUNE_REQUEST_SYNTHETIC_H
#define PERILUNE_REQUEST_SYNTHETIC_H

#include "flow/source.h"
#include "sys/loop.h"

struct synthetic_options {
    struct slice        text;   /* or pieces: `count` slices */
    const struct slice *pieces;
    unsigned            count;
    int                 status;
    struct slice        model;
    struct usage        usage;
    uint64_t            ttft_ms, itl_ms; /* delays; for tests of policies */
    struct failure     *failure; /* comes after the pieces; taken; may be NULL */
    bool                is_body;    /* text is the body as it is, of whatever dialect, and no stream */
    bool                stream;     /* chunks of a stream, or one completion */
    bool                keep_usage; /* a stream tells it at its end */
};

/* Everything is copied. NULL when there is no memory. */
struct source *synthetic_new(struct loop *loop, const struct synthetic_options *opt);

#endif
