/* event_queue.h -- events that wait for who takes them. See event_queue.c. */
#ifndef PERILUNE_GATEWAY_EVENT_QUEUE_H
#define PERILUNE_GATEWAY_EVENT_QUEUE_H

#include "base/buf.h"
#include "include/perilune.h"

struct event_queue {
    struct buf     coming, lent; /* records; those of `lent` first */
    perilune_event event;        /* the one that was taken last: its strings stand in `lent` */
};

void event_queue_init(struct event_queue *q);
void event_queue_deinit(struct event_queue *q);
/* As new, with the memory that it has, unless that is much. */
void event_queue_reset(struct event_queue *q);
/* A copy of ev waits.  False, and nothing has changed: no memory. */
bool event_queue_put(struct event_queue *q, const perilune_event *ev);
/* The oldest one; NULL: none waits.  Borrowed until the next call of this. */
const perilune_event *event_queue_take(struct event_queue *q);
/* None waits any more. */
void event_queue_drop(struct event_queue *q);
/* Bytes that wait. */
static inline size_t event_queue_bytes(const struct event_queue *q) { return buf_len(&q->coming) + buf_len(&q->lent); }
static inline bool event_queue_is_empty(const struct event_queue *q) { return event_queue_bytes(q) == 0; }

#endif
