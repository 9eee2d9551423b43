/* fair.c -- who is next, when several wait in one queue and none is to have it all.
 *
 *     flow A   a1 a2 a3 a4 a5          virtual time -->
 *     flow B   b1                      a1 b1 c1 | a2 c2 | a3 | a4 | a5
 *     flow C   c1 c2
 *
 * Start-time fair queuing (Goyal, Vin and Cheng, 1996).  Who comes gets a start: now in virtual time, or where the one
 * before it in its flow ends, if that is later; it ends cost / weight behind its start.  The least start is taken
 * first, and is what "now" is from then on.  So a flow that sends a thousand waits for itself, and one that sends one
 * is next, however long the queue is.
 *
 * Starts grow within a flow, therefore one heap of all that wait is enough, and taking, adding and removing cost a
 * logarithm.  A flow of which nobody waits is remembered until virtual time has passed its end: else leaving the queue
 * for a moment would be rewarded.  Such flows are swept as others come, a few at a time, and all go when the
 * queue is empty, so there are never many more flows than have waited lately.
 *
 * It does not lock, and knows no clock. */
#include "sched/fair.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

#define SWEEP 2 /* idle flows that are looked at with each that comes */

struct fair_flow {
    struct chained link;
    struct list    idle;     /* linked while nobody of it waits */
    unsigned       waiting;
    double         end;      /* virtual: of the last that came */
    uint32_t       len;
    char           name[];
};

static struct slice name_of(const struct chained *e) {
    const struct fair_flow *f = container_of((struct chained *)(uintptr_t)e, struct fair_flow, link);
    return slice_of(f->name, f->len);
}

/* -- Flows -------------------------------------------------------------------------------- */

static void forget(struct fair_queue *q, struct fair_flow *f) {
    struct chained **at = hashtable_find(&q->flows, f->link.hash, slice_of(f->name, f->len), name_of);
    hashtable_remove(&q->flows, at);
    list_remove(&f->idle);
    mem_free(f);
}

static void sweep(struct fair_queue *q, unsigned most) {
    if (q->idle.next == NULL) list_init(&q->idle);
    while (most-- > 0 && !list_is_empty(&q->idle)) {
        struct fair_flow *f = container_of(q->idle.next, struct fair_flow, idle);
        if (f->end <= q->now || q->count == 0) {
            forget(q, f);
            continue;
        }
        list_remove(&f->idle); /* looked at again when the others were */
        list_append(&q->idle, &f->idle);
    }
}

static struct fair_flow *find(const struct fair_queue *q, uint64_t hash, struct slice name) {
    struct chained **at = hashtable_find(&q->flows, hash, name, name_of);
    return at != NULL ? container_of(*at, struct fair_flow, link) : NULL;
}

static struct fair_flow *find_or_make(struct fair_queue *q, uint64_t hash, struct slice name) {
    struct fair_flow *f = find(q, hash, name);
    if (f != NULL) return f;
    if (hashtable_reserve(&q->flows) != 0 || (f = mem_zalloc(sizeof(*f) + name.len)) == NULL) return NULL;
    f->link.hash = hash;
    f->len = (uint32_t)name.len;
    memcpy(f->name, name.ptr, name.len);
    list_init(&f->idle);
    hashtable_add(&q->flows, &f->link);
    return f;
}

/* One less waits. */
static void leave(struct fair_queue *q, struct fair_flow *f) {
    if (--f->waiting == 0) list_append(&q->idle, &f->idle);
    if (q->count > 0) return;
    q->now = 0; /* a new beginning: numbers stay small */
    sweep(q, UINT32_MAX);
}

/* -- The heap --------------------------------------------------------------------------------- */

static bool is_before(const struct fair_item *a, const struct fair_item *b) {
    return a->start < b->start || (a->start == b->start && a->number < b->number);
}

static void put(struct fair_queue *q, unsigned at, struct fair_item *item) {
    q->heap[at - 1] = item;
    item->at = at;
}

static void rise(struct fair_queue *q, struct fair_item *item, unsigned at) {
    for (; at > 1 && is_before(item, q->heap[at / 2 - 1]); at /= 2) put(q, at, q->heap[at / 2 - 1]);
    put(q, at, item);
}

static void sink(struct fair_queue *q, struct fair_item *item, unsigned at) {
    for (unsigned child; (child = 2 * at) <= q->count; at = child) {
        if (child < q->count && is_before(q->heap[child], q->heap[child - 1])) child++;
        if (!is_before(q->heap[child - 1], item)) break;
        put(q, at, q->heap[child - 1]);
    }
    put(q, at, item);
}

static bool has_room(struct fair_queue *q) {
    if (q->count < q->cap) return true;
    unsigned cap = q->cap ? q->cap * 2 : 64;
    struct fair_item **heap = mem_realloc(q->heap, cap * sizeof(struct fair_item *));
    if (heap == NULL) return false;
    q->heap = heap;
    q->cap = cap;
    return true;
}

/* -- Public --------------------------------------------------------------------------------------- */

void fair_deinit(struct fair_queue *q) {
    if (q->idle.next != NULL) q->count = 0, sweep(q, UINT32_MAX);
    hashtable_deinit(&q->flows);
    mem_free(q->heap);
    memset(q, 0, sizeof(*q));
}

int fair_push(struct fair_queue *q, struct fair_item *item, uint64_t hash, struct slice flow, double weight,
              double cost) {
    sweep(q, SWEEP);
    struct fair_flow *f = find_or_make(q, hash, flow);
    if (f == NULL) return PERILUNE_ERR_NOMEM;
    if (!has_room(q)) {
        if (f->waiting == 0 && list_is_empty(&f->idle)) forget(q, f);
        return PERILUNE_ERR_NOMEM;
    }
    item->flow = f;
    item->start = f->end > q->now ? f->end : q->now;
    item->number = q->numbers++;
    f->end = item->start + cost / weight;
    if (f->waiting++ == 0) list_remove(&f->idle);
    rise(q, item, ++q->count);
    return 0;
}

void fair_remove(struct fair_queue *q, struct fair_item *item) {
    unsigned at = item->at;
    struct fair_item *last = q->heap[--q->count];
    if (last != item) {
        if (at > 1 && is_before(last, q->heap[at / 2 - 1])) rise(q, last, at);
        else sink(q, last, at);
    }
    item->at = 0;
    leave(q, item->flow);
}

struct fair_item *fair_pop(struct fair_queue *q) {
    if (q->count == 0) return NULL;
    struct fair_item *first = q->heap[0];
    q->now = first->start;
    fair_remove(q, first);
    return first;
}

/* A leaf of the heap: those in front of it are earlier, and half of all are leaves. */
struct fair_item *fair_pop_late(struct fair_queue *q) {
    if (q->count == 0) return NULL;
    struct fair_item *last = q->heap[q->count - 1];
    fair_remove(q, last);
    return last;
}

/* Each flow gets a turn in a round, so before the k-th of its own come k of each other flow. */
unsigned fair_ahead(const struct fair_queue *q, uint64_t hash, struct slice flow) {
    const struct fair_flow *f = find(q, hash, flow);
    uint64_t own = f != NULL ? f->waiting : 0, rounds = (own + 1) * q->flows.count;
    return rounds < q->count ? (unsigned)rounds : q->count;
}
