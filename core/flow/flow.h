/* flow.h -- the one interface of this program: answers move from a source to a
 * sink as events.
 *
 *     source --HEAD, FRAME/BYTES..., then exactly one END or ERROR--> sink
 *            <------------- resume, cancel ---------------------------
 *
 * A source is an upstream call, an answer made here, a replay.  A sink is a
 * client's connection, a policy that reads along, a collector.  What stands
 * between two of them is a sink to its left and a source to its right.
 *
 * Everything an event points to is borrowed: it dies when event() returns.
 * FLOW_FULL means "I took this one; please stop until resume()".  It is advice:
 * a source may still deliver what it already holds, and the sink must take it.
 * After cancel() a source is silent; cancel() may free it.  END and ERROR are
 * last: the source may be freed when the sink returns from them.
 * One thread: the loop's. */
#ifndef PERILUNE_FLOW_FLOW_H
#define PERILUNE_FLOW_FLOW_H

#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

enum event_type {
    EVENT_HEAD,  /* status, content_type */
    EVENT_FRAME, /* one event of a text/event-stream: raw bytes and its data */
    EVENT_BYTES, /* a piece of any other body */
    EVENT_END,
    EVENT_ERROR
};

struct event {
    enum event_type       type;
    int                   status;       /* HEAD */
    struct slice          content_type; /* HEAD */
    bool                  has_length;   /* HEAD: the body's length is known: */
    uint64_t              length;       /* HEAD: bytes */
    struct slice          raw;          /* FRAME: as it came, blank line included; BYTES */
    struct slice          data;         /* FRAME: the data lines, joined */
    const struct failure *failure;      /* ERROR */
};

enum flow { FLOW_MORE, FLOW_FULL };

struct sink {
    enum flow (*event)(struct sink *k, const struct event *ev);
};

struct source {
    void (*start)(struct source *s, struct sink *to);
    void (*resume)(struct source *s);
    void (*cancel)(struct source *s); /* silence from here on; may free s */
};

#endif
