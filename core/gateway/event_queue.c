/* event_queue.c -- events of a request that wait for who takes them.
 *
 *     put --> [ coming: record record ... ]      when `lent` is empty, they change places
 *             [ lent:   record record ... ] --> take
 *
 * A record is the event, its strings as lengths, and behind it their bytes.  There are two buffers because an event
 * that was taken stands in its own, and putting another must not move it.
 *
 * It has no limit of its own: who puts asks for the bytes that wait, and stops in time.  Thread: the owner's. */
#include "gateway/event_queue.h"

#define STRINGS 5
#define FIRST_BYTES 1500 /* a short answer fits */
#define KEEP_BYTES (64 * 1024) /* of memory that a large event left behind */

void event_queue_init(struct event_queue *q) {
    buf_init(&q->coming, 0);
    buf_init(&q->lent, 0);
}

void event_queue_deinit(struct event_queue *q) {
    buf_deinit(&q->coming);
    buf_deinit(&q->lent);
}

void event_queue_reset(struct event_queue *q) {
    buf_shed(&q->coming, KEEP_BYTES);
    buf_shed(&q->lent, KEEP_BYTES);
}

static void strings_of(perilune_event *ev, perilune_str *out[STRINGS]) {
    out[0] = &ev->text;
    out[1] = &ev->name;
    out[2] = &ev->id;
    out[3] = &ev->raw;
    out[4] = &ev->headers;
}

bool event_queue_put(struct event_queue *q, const perilune_event *ev) {
    perilune_event copy = *ev;
    perilune_str *strings[STRINGS];
    strings_of(&copy, strings);
    size_t size = sizeof(copy);
    for (int i = 0; i < STRINGS; i++) size += strings[i]->len;
    if (q->coming.cap == 0 && size < FIRST_BYTES) buf_reserve(&q->coming, FIRST_BYTES);
    q->coming.error = 0;
    if (buf_reserve(&q->coming, size) == NULL) {
        q->coming.error = 0; /* what is in it is whole */
        return false;
    }
    buf_put(&q->coming, &copy, sizeof(copy));
    for (int i = 0; i < STRINGS; i++) buf_put(&q->coming, strings[i]->ptr, strings[i]->len);
    return true;
}

static void turn_over(struct event_queue *q) {
    struct buf empty = q->lent;
    buf_shed(&empty, KEEP_BYTES);
    q->lent = q->coming;
    q->coming = empty;
}

const perilune_event *event_queue_take(struct event_queue *q) {
    if (buf_len(&q->lent) == 0) turn_over(q);
    if (buf_len(&q->lent) == 0) return NULL;
    perilune_str *strings[STRINGS];
    const char *at = buf_get(&q->lent).ptr;
    size_t size = sizeof(q->event);
    memcpy(&q->event, at, sizeof(q->event));
    strings_of(&q->event, strings);
    for (int i = 0; i < STRINGS; i++) {
        strings[i]->ptr = at + size;
        size += strings[i]->len;
    }
    buf_consume(&q->lent, size);
    return &q->event;
}

void event_queue_drop(struct event_queue *q) {
    buf_consume(&q->lent, buf_len(&q->lent)); /* its memory stays: who took one may look at it still */
    buf_deinit(&q->coming);
}
