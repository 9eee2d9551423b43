/* spans.h -- what was done for a request, step by step: for the log and for who asks. See spans.c. */
#ifndef PERILUNE_REQUEST_SPANS_H
#define PERILUNE_REQUEST_SPANS_H

#include "base/buf.h"
#include "request/request.h"

#define SPANS_MOST 64  /* of a request; more are counted and not kept */
#define SPAN_NAME  48  /* bytes, the NUL included */

struct span {
    struct span *next;
    char         name[SPAN_NAME], state[16];
    uint64_t     at_us, us; /* since the first span began */
};

struct spans {
    struct span *first, *last; /* in the order in which they ended */
    unsigned     count, lost;
};

/* Of r's arena; without memory, and beyond SPANS_MOST, it is counted as lost. */
void spans_add(struct request *r, struct slice name, const char *state, uint64_t at_us, uint64_t us);
/* ,"steps":[{"name":..,"state":..,"at_ms":..,"ms":..}]; nothing when there are none */
void spans_log(const struct request *r, struct buf *line);
/* The line "x-perilune-trace: name;state=ok;at=0;ms=1.5, ...", when the request has a line of that name. */
void spans_header(const struct request *r, struct buf *out);

#endif
