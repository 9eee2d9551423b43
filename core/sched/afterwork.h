/* afterwork.h -- how much work stands behind replies, in the whole process. See afterwork.c. Any thread. */
#ifndef PERILUNE_SCHED_AFTERWORK_H
#define PERILUNE_SCHED_AFTERWORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What became of it.  ORDER afterwork_result_names. */
enum afterwork_result {
    AFTERWORK_DONE,
    AFTERWORK_FAILED,   /* a task of it returned an error, threw, or used up its time or memory */
    AFTERWORK_LATE,     /* its deadline passed, queued or running */
    AFTERWORK_CANCELED, /* the process ends */
    AFTERWORK_FULL,     /* there was no room for it */
    AFTERWORK_KEPT,     /* it is a job now: what becomes of that, jobs count */
    AFTERWORK_RESULTS
};
extern const char *const afterwork_result_names[AFTERWORK_RESULTS];

/* Zeroed: there is none. */
struct afterwork {
    atomic_uint_least64_t items, bytes;  /* that wait or run */
    atomic_uint_least64_t running;       /* of these items */
    atomic_uint_least64_t results[AFTERWORK_RESULTS];
    atomic_uint_least64_t told_s;        /* when somebody was last told that it is full */
};

/* Takes room for one more, unless there would be more than max_items or max_bytes.  False: there is none, counted as
 * AFTERWORK_FULL. */
bool afterwork_enter(struct afterwork *a, uint64_t bytes, uint64_t max_items, uint64_t max_bytes);
void afterwork_begin(struct afterwork *a);
/* It is over, with the bytes it entered with; ran: afterwork_begin() was called. */
void afterwork_leave(struct afterwork *a, uint64_t bytes, bool ran, enum afterwork_result result);
/* Is it time to say again that it is full?  Once a second: who is too busy need not read that of each. */
bool afterwork_tell(struct afterwork *a, uint64_t now_s);

static inline uint64_t afterwork_open(const struct afterwork *a) {
    return atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)&a->items, memory_order_relaxed);
}

#endif
