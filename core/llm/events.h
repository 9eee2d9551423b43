/* events.h -- incremental parser of text/event-stream.  See events.c. */
#ifndef PERILUNE_LLM_EVENTS_H
#define PERILUNE_LLM_EVENTS_H

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

/* Returns non-zero to abort: events_feed() returns that value at once and the
 * parser must not be fed again. */
typedef int (*events_fn)(void *ud, const struct sse_event *ev);

struct events {
    struct buf   in;    /* the unfinished event */
    struct buf   data;  /* scratch for several data lines */
    size_t       limit; /* bytes of one event at most */
    unsigned char state;/* private flags */
};

void events_init(struct events *e, size_t limit);
void events_deinit(struct events *e);

/* Feeds bytes; calls fn for each event that is complete.  Returns 0, what fn
 * returned, PERILUNE_ERR_LIMITED when an event is over the limit, or
 * PERILUNE_ERR_NOMEM.  An event that stands whole in s is handed out without
 * being copied.  Line ends: LF, CRLF, CR (also split over calls).  A BOM at the
 * very start is dropped, also when split. Comments-only and data-less blocks
 * are not dispatched (their bytes vanish). U+2028 is not a line end. */
int events_feed(struct events *e, struct slice s, events_fn fn, void *ud);

/* The stream ended: dispatches an unfinished last event (raw gets the missing
 * blank line), as lenient clients do. */
int events_finish(struct events *e, events_fn fn, void *ud);

#endif
