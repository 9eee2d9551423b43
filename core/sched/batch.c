/* batch.c -- things that are cheaper together: who waits, what goes when.
 *
 *     submit ---> lane of key "a"   [7| ] ... [1| ][0| item item ]  --take--> batch ---run---> over
 *     submit ---> lane of key "b"   [7| item ] ... [0| item ]       --take--> batch ---run---> over
 *                                    priorities, each in the order of arrival
 *
 * What Triton calls dynamic batching, in small.  Nothing is waited for while nothing is under way: a lane that is
 * idle sends what it has at the end of this turn of the loop, so the first item pays nothing.  What comes while a
 * batch is out forms the next one (batch while busy), which goes as soon as
 *
 *     the lane is idle again, or it is full (max_size, max_tokens), or its oldest item has waited for max_wait
 *
 * and fewer than max_running batches are out; lanes that have to wait for that take turns.  When one of several
 * batches of a lane ends, nothing goes: else each end would send off a batch of its own, and they would get
 * smaller and more.  So a quick run has small batches, a slow one has large ones, and max_wait is what it may cost.
 *
 * A batch is filled by priority, then by age, until the next item does not fit; an item that alone is too large goes
 * alone.  Of low priority there may be items that never fit: their deadline ends them.
 *
 *     item:   out --submit--> queued --take--> running --batch_take--> out
 *             |                 |              ^ |
 *             +-----------------+----- join ---+ |           beside one that is the same
 *                               +--- leave, or the deadline (refused) ---> out; the last one stops its batch
 *
 * Invariants: a lane exists while it has items or batches; an item is in a list exactly while it has a lane; the
 * callbacks may submit and leave as they like.  Who an item is and what a run does is not known here. */
#include "sched/batch.h"

#include <assert.h>

#include "base/mem.h"
#include "include/perilune.h"

#define BUCKETS 256
#define JOIN_LOOKS 4096 /* at items that are being run; behind that who could join is queued */

struct batch_lane {
    struct list     link; /* in its bucket */
    struct list     due;  /* among those that may go; or alone */
    struct batcher *owner;
    struct list     queues[BATCH_PRIORITIES];
    struct list     batches;      /* under way */
    unsigned        count, running;
    uint64_t        size, tokens; /* of what waits */
    bool            pinned;       /* somebody below still looks at it */
    struct timer    timer;        /* its oldest item has waited long enough */
    size_t          len;
    char            key[];
};

struct batcher {
    struct batcher_options opt;
    struct hash_key        key;
    struct list            buckets[BUCKETS];
    struct list            due;
    struct deferred        begin;
    unsigned               queued, running;
};

struct batcher *batcher_new(const struct batcher_options *opt) {
    struct batcher *q = mem_zalloc(sizeof(*q));
    if (q == NULL) return NULL;
    q->opt = *opt;
    hash_key_random(&q->key);
    list_init(&q->due);
    for (unsigned i = 0; i < BUCKETS; i++) list_init(&q->buckets[i]);
    return q;
}

void batcher_free(struct batcher *q) {
    if (q == NULL) return;
    assert(q->queued == 0 && q->running == 0);
    deferred_cancel(&q->begin);
    mem_free(q);
}

/* -- Lanes ---------------------------------------------------------------------------------------- */

static struct batch_lane *lane_find(struct batcher *q, struct slice key, struct list **bucket) {
    *bucket = &q->buckets[hash64(&q->key, key) % BUCKETS];
    for (struct list *l = (*bucket)->next; l != *bucket; l = l->next) {
        struct batch_lane *lane = container_of(l, struct batch_lane, link);
        if (slice_eq(slice_of(lane->key, lane->len), key)) return lane;
    }
    return NULL;
}

static struct batch_lane *lane_get(struct batcher *q, struct slice key) {
    struct list *bucket;
    struct batch_lane *lane = lane_find(q, key, &bucket);
    if (lane != NULL) return lane;
    lane = mem_zalloc(sizeof(*lane) + key.len);
    if (lane == NULL) return NULL;
    lane->owner = q;
    lane->len = key.len;
    if (key.len > 0) memcpy(lane->key, key.ptr, key.len);
    list_init(&lane->due);
    list_init(&lane->batches);
    for (unsigned i = 0; i < BATCH_PRIORITIES; i++) list_init(&lane->queues[i]);
    list_append(bucket, &lane->link);
    return lane;
}

static void lane_let_go(struct batch_lane *lane) {
    if (lane->count > 0 || lane->running > 0 || lane->pinned) return;
    timer_stop(lane->owner->opt.loop, &lane->timer);
    list_remove(&lane->due);
    list_remove(&lane->link);
    mem_free(lane);
}

/* The one that goes next; NULL: none waits. */
static struct batch_item *lane_first(const struct batch_lane *lane) {
    for (unsigned p = BATCH_PRIORITIES; p-- > 0;)
        if (!list_is_empty(&lane->queues[p])) return container_of(lane->queues[p].next, struct batch_item, link);
    return NULL;
}

/* Since when the oldest waits; some do. */
static uint64_t lane_since(const struct batch_lane *lane) {
    uint64_t since = UINT64_MAX;
    for (unsigned p = 0; p < BATCH_PRIORITIES; p++) {
        if (list_is_empty(&lane->queues[p])) continue;
        const struct batch_item *item = container_of(lane->queues[p].next, struct batch_item, link);
        if (item->since_ms < since) since = item->since_ms;
    }
    return since;
}

static bool lane_is_full(const struct batch_lane *lane) {
    const struct batcher_options *opt = &lane->owner->opt;
    return lane->size >= opt->max_size || (opt->max_tokens > 0 && lane->tokens >= opt->max_tokens);
}

static bool lane_may_go(const struct batch_lane *lane) {
    const struct batcher_options *opt = &lane->owner->opt;
    if (lane->count == 0) return false;
    if (lane->running == 0 || lane_is_full(lane)) return true;
    return loop_now(opt->loop) - lane_since(lane) >= opt->max_wait_ms;
}

/* -- What goes when ---------------------------------------------------------------------------------- */

static void begin_due(struct deferred *d);
static void waited(struct timer *t);

/* Something about the lane changed: now, later, or nothing. */
static void lane_plan(struct batch_lane *lane) {
    struct batcher *q = lane->owner;
    if (lane->count == 0) return;
    if (lane_may_go(lane)) {
        if (list_is_empty(&lane->due)) list_append(&q->due, &lane->due);
        if (q->running < q->opt.max_running) loop_soon(q->opt.loop, &q->begin, begin_due);
        return;
    }
    if (timer_is_running(&lane->timer)) return; /* for an older one, perhaps: it looks again */
    uint64_t gone = loop_now(q->opt.loop) - lane_since(lane);
    if (timer_start(q->opt.loop, &lane->timer, q->opt.max_wait_ms - gone, waited) == 0) return;
    list_append(&q->due, &lane->due); /* without memory for a timer nobody waits */
    loop_soon(q->opt.loop, &q->begin, begin_due);
}

static void waited(struct timer *t) { lane_plan(container_of(t, struct batch_lane, timer)); }

static void unqueue(struct batch_item *item) {
    struct batch_lane *lane = item->lane;
    list_remove(&item->link);
    lane->count--;
    lane->size -= item->size;
    lane->tokens -= item->tokens;
    lane->owner->queued--;
}

static void item_out(struct batcher *q, struct batch_item *item) {
    timer_stop(q->opt.loop, &item->timer);
    item->lane = NULL;
    item->batch = NULL;
}

static bool fits(const struct batcher *q, const struct batch *b, const struct batch_item *item) {
    if (b->count == 0) return true;
    if ((uint64_t)b->size + item->size > q->opt.max_size) return false;
    return q->opt.max_tokens == 0 || b->tokens + item->tokens <= q->opt.max_tokens;
}

static void count_batch(struct batch_stats *s, const struct batch *b) {
    unsigned i = 0;
    while (i < BATCH_SIZES && b->size > 1u << i) i++;
    stats_add(&s->batches, 1);
    stats_add(&s->items, b->count);
    stats_add(&s->sizes[i], 1);
    stats_add(&s->size_sum, b->size);
}

static void fill(struct batcher *q, struct batch_lane *lane, struct batch *b) {
    uint64_t now = loop_now(q->opt.loop);
    struct batch_item *item;
    while ((item = lane_first(lane)) != NULL && fits(q, b, item)) {
        unqueue(item);
        item->batch = b;
        list_append(&b->items, &item->link);
        b->count++;
        b->size += item->size;
        b->tokens += item->tokens;
        if (q->opt.stats != NULL) histogram_record(&q->opt.stats->wait, (now - item->since_ms) * 1000);
    }
    if (q->opt.stats != NULL) count_batch(q->opt.stats, b);
}

/* There is no memory for a batch: those that wait now are told. */
static void refuse_all(struct batcher *q, struct batch_lane *lane) {
    lane->pinned = true;
    for (unsigned n = lane->count; n > 0 && lane->count > 0; n--) {
        struct batch_item *item = lane_first(lane);
        unqueue(item);
        item_out(q, item);
        q->opt.refused(item, BATCH_NO_MEMORY, q->opt.ud); /* may free item, submit, leave */
    }
    lane->pinned = false;
    lane_plan(lane);
    lane_let_go(lane);
}

static void begin_due(struct deferred *d) {
    struct batcher *q = container_of(d, struct batcher, begin);
    while (!list_is_empty(&q->due) && q->running < q->opt.max_running) {
        struct batch_lane *lane = container_of(q->due.next, struct batch_lane, due);
        list_remove(&lane->due);
        if (!lane_may_go(lane)) { /* some have left meanwhile */
            lane_plan(lane);
            continue;
        }
        struct batch *b = mem_zalloc(sizeof(*b));
        if (b == NULL) {
            refuse_all(q, lane); /* may free lane */
            continue;
        }
        list_init(&b->items);
        list_append(&lane->batches, &b->link);
        b->lane = lane;
        lane->running++;
        q->running++;
        fill(q, lane, b);
        lane_plan(lane);
        q->opt.run(b, q->opt.ud); /* may free b and lane */
    }
}

/* -- Coming and leaving ---------------------------------------------------------------------------- */

static void late(struct timer *t);

int batch_submit(struct batcher *q, struct slice key, struct batch_item *item) {
    assert(item->lane == NULL && item->priority < BATCH_PRIORITIES && item->size > 0);
    if (q->queued >= q->opt.max_queue) {
        if (q->opt.stats != NULL) stats_add(&q->opt.stats->full, 1);
        return PERILUNE_ERR_LIMITED;
    }
    struct batch_lane *lane = lane_get(q, key);
    if (lane == NULL) return PERILUNE_ERR_NOMEM;
    uint64_t now = loop_now(q->opt.loop);
    uint64_t left = item->deadline_ms > now ? item->deadline_ms - now : 0;
    item->lane = lane;
    item->batch = NULL;
    item->since_ms = now;
    if (item->deadline_ms != 0 && timer_start(q->opt.loop, &item->timer, left, late) != 0) {
        item->lane = NULL;
        lane_let_go(lane);
        return PERILUNE_ERR_NOMEM;
    }
    list_append(&lane->queues[item->priority], &item->link);
    lane->count++;
    lane->size += item->size;
    lane->tokens += item->tokens;
    q->queued++;
    lane_plan(lane);
    return 0;
}

static struct batch_item *find_running(struct batch_lane *lane, bool (*same)(const struct batch_item *, void *),
                                       void *ud) {
    unsigned looks = JOIN_LOOKS;
    for (struct list *l = lane->batches.next; l != &lane->batches; l = l->next) {
        struct batch *b = container_of(l, struct batch, link);
        if (b->ending) continue; /* it has its results, and tells them */
        for (struct list *i = b->items.next; i != &b->items && looks > 0; i = i->next, looks--) {
            struct batch_item *item = container_of(i, struct batch_item, link);
            if (same(item, ud)) return item;
        }
    }
    return NULL;
}

struct batch_item *batch_join(struct batcher *q, struct slice key, struct batch_item *item,
                              bool (*same)(const struct batch_item *of, void *ud), void *ud) {
    struct list *bucket;
    struct batch_lane *lane = lane_find(q, key, &bucket);
    struct batch_item *of = lane != NULL ? find_running(lane, same, ud) : NULL;
    uint64_t now = loop_now(q->opt.loop), left = item->deadline_ms > now ? item->deadline_ms - now : 0;
    if (of == NULL) return NULL;
    if (item->deadline_ms != 0 && timer_start(q->opt.loop, &item->timer, left, late) != 0) return NULL;
    item->lane = lane;
    item->batch = of->batch;
    item->since_ms = now;
    list_append(&of->batch->items, &item->link);
    return of;
}

/* b is over: its lane may send the next. */
static void batch_over(struct batcher *q, struct batch *b) {
    struct batch_lane *lane = b->lane;
    list_remove(&b->link);
    lane->running--;
    q->running--;
    mem_free(b);
    lane_plan(lane);
    lane_let_go(lane);
    if (!list_is_empty(&q->due)) loop_soon(q->opt.loop, &q->begin, begin_due);
}

void batch_leave(struct batcher *q, struct batch_item *item) {
    struct batch_lane *lane = item->lane;
    struct batch *b = item->batch;
    if (lane == NULL) return;
    if (b == NULL) unqueue(item);
    else list_remove(&item->link);
    item_out(q, item);
    if (b == NULL) {
        lane_let_go(lane);
    } else if (!b->ending && list_is_empty(&b->items)) {
        b->ending = true;
        q->opt.stop(b, q->opt.ud);
        batch_over(q, b);
    }
}

struct batch_item *batch_take(struct batcher *q, struct batch *b) {
    b->ending = true;
    if (list_is_empty(&b->items)) {
        batch_over(q, b);
        return NULL;
    }
    struct batch_item *item = container_of(b->items.next, struct batch_item, link);
    list_remove(&item->link);
    item_out(q, item);
    return item;
}

static void late(struct timer *t) {
    struct batch_item *item = container_of(t, struct batch_item, timer);
    struct batcher *q = item->lane->owner;
    if (item->batch == NULL && q->opt.stats != NULL) stats_add(&q->opt.stats->late, 1);
    batch_leave(q, item);
    q->opt.refused(item, BATCH_LATE, q->opt.ud); /* may free item */
}
