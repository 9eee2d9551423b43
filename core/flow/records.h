/* records.h -- the content of an answer in one row of bytes: FRAMEs and BYTES, as they came.
 *
 * Whoever holds events back or keeps them for later writes them here: a response that nobody
 * reads yet, a flight, a cache.  A record is its type and lengths, the bytes of raw, and those of
 * data where they are not a part of raw.  The bytes mean the same wherever this program runs on
 * the same kind of machine. */
#ifndef PERILUNE_FLOW_RECORDS_H
#define PERILUNE_FLOW_RECORDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "flow/flow.h"

/* Appends all of a record, or nothing: half of one would be read beyond its end.  False: no memory,
 * or over the limit of out. */
bool records_put(struct buf *out, const struct event *ev);
/* The event at *at (begins at 0), which borrows from `all`; *at moves behind it.  False: there is no
 * whole one any more. */
bool records_next(struct slice all, size_t *at, struct event *ev);

#endif
