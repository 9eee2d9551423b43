/* batch.h -- things that are cheaper together: who waits, what goes when. See batch.c. One thread. */
#ifndef PERILUNE_SCHED_BATCH_H
#define PERILUNE_SCHED_BATCH_H

#include "base/slice.h"
#include "base/stats.h"
#include "sys/loop.h"

#define BATCH_PRIORITIES 8 /* from 0; the greater goes first */
#define BATCH_SIZES 12     /* of the histogram: up to 1, 2, 4 ... 2048 */

struct batcher;
struct batch_lane;

/* Written by one thread, read by any. */
struct batch_stats {
    stats_counter    batches, items; /* that went */
    stats_counter    full, late;     /* refused: the queue was full; the deadline passed before it was run */
    stats_counter    sizes[BATCH_SIZES + 1], size_sum;
    struct histogram wait;           /* from submitting to going */
};

/* What waits, embedded where it waits; zeroed before it is submitted for the first time. */
struct batch_item {
    /* Filled by who submits: */
    unsigned size;        /* what it counts for max_size, at least 1 */
    uint64_t tokens;      /* and for max_tokens */
    unsigned priority;    /* below BATCH_PRIORITIES */
    uint64_t deadline_ms; /* on the loop's clock; 0: none */
    /* The batcher's: */
    struct list        link; /* queued, or of its batch */
    struct batch_lane *lane; /* NULL: it is neither */
    struct batch      *batch; /* NULL: queued */
    struct timer       timer;
    uint64_t           since_ms;
};

/* Items that go together. */
struct batch {
    struct list        link;  /* among those of its lane */
    struct list        items; /* in the order of the run, then those that joined; those that leave are missing */
    unsigned           count, size; /* as it began */
    uint64_t           tokens;
    struct batch_lane *lane;
    bool               ending; /* batch_take() was called */
    void              *ud;     /* of who runs it */
};

enum batch_refusal { BATCH_LATE, BATCH_NO_MEMORY };

struct batcher_options {
    struct loop *loop;
    unsigned     max_size;    /* of a batch, the sizes of its items together */
    uint64_t     max_tokens;  /* the same; 0: no limit */
    uint64_t     max_wait_ms; /* that an item waits for the batch under way; then it goes beside it */
    unsigned     max_queue;   /* items that wait */
    unsigned     max_running; /* batches at once */
    /* Begins to run b.  When it is over, batch_take() until there is nothing more; that may be from inside. */
    void       (*run)(struct batch *b, void *ud);
    /* Nobody waits for any item of b any more: stop.  b is gone when it returns. */
    void       (*stop)(struct batch *b, void *ud);
    /* The item will not be run, or is not waited for any more: it has left already. */
    void       (*refused)(struct batch_item *item, enum batch_refusal why, void *ud);
    void        *ud;
    struct batch_stats *stats; /* NULL: nobody counts */
};

/* NULL: no memory. */
struct batcher *batcher_new(const struct batcher_options *opt);
void            batcher_free(struct batcher *q); /* nobody waits; NULL is fine */

/* Only items of the same key go together.  Borrows key.  Returns 0, PERILUNE_ERR_LIMITED (max_queue items wait),
 * PERILUNE_ERR_NOMEM. */
int  batch_submit(struct batcher *q, struct slice key, struct batch_item *item);
/* Has item wait beside one of the same key that is being run, for which same() says yes: what becomes of that will be
 * right for it, too.  Returns that one, or NULL: there is none, item is as it was. */
struct batch_item *batch_join(struct batcher *q, struct slice key, struct batch_item *item,
                              bool (*same)(const struct batch_item *of, void *ud), void *ud);
/* Its owner does not wait any more.  Stops its batch when it was the last of it.  Nothing when it left before. */
void batch_leave(struct batcher *q, struct batch_item *item);
/* The run of b is over: the next of its items, which has left with that; NULL: there is none left, and b is gone. */
struct batch_item *batch_take(struct batcher *q, struct batch *b);

static inline bool batch_waits(const struct batch_item *item) { return item->lane != NULL; }

#endif
