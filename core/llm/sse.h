/* sse.h -- incremental parser of text/event-stream.  See sse.c. */
#ifndef PERILUNE_LLM_SSE_H
#define PERILUNE_LLM_SSE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* One dispatched event, or one comment line. Borrowed during the callback. */
struct sse_event {
    struct slice name; /* of the event: field; empty: "message" */
    struct slice data; /* data lines joined by \n, without the last \n */
    struct slice id;
    struct slice raw;  /* the bytes as they came, with the blank line, BOM removed;
                          what to forward when nothing is to be changed */
};

/* Returns non-zero to abort: sse_feed() returns that value at once and the
 * parser must not be fed again. */
typedef int (*sse_fn)(void *ud, const struct sse_event *ev);

struct sse {
    struct buf   in;    /* the unfinished event */
    struct buf   data;  /* scratch for several data lines */
    size_t       limit; /* bytes of one event at most */
    unsigned char state;/* private flags */
};

void sse_init(struct sse *e, size_t limit);
void sse_deinit(struct sse *e);

/* Feeds bytes; calls fn for each event that is complete.  Returns 0, what fn
 * returned, PERILUNE_ERR_LIMITED when an event is over the limit, or
 * PERILUNE_ERR_NOMEM.  An event that stands whole in s is handed out without
 * being copied.  Line ends: LF, CRLF, CR (also split over calls).  A BOM at the
 * very start is dropped, also when split. Comments-only and data-less blocks
 * are not dispatched (their bytes vanish). U+2028 is not a line end. */
int sse_feed(struct sse *e, struct slice s, sse_fn fn, void *ud);

/* The stream ended: dispatches an unfinished last event (raw gets the missing
 * blank line), as lenient clients do. */
int sse_finish(struct sse *e, sse_fn fn, void *ud);

#endif
