/* afterwork.c -- how much work stands behind replies, in the whole process.
 *
 *     worker 1:  [ waits | waits | runs ]  --+
 *     worker 2:  [ runs ]                  --+--> items, bytes: one account, bounded
 *     worker 3:  [ ]                       --+
 *
 * Each worker has the work of its own requests, because that is Lua of its own state; what all of them may keep
 * together is decided here, so that a process under load forgets work, and not requests.  Room is taken first and given
 * back when it was too much: two threads at the edge may both be refused, never both let in.
 *
 * Invariants: items and bytes are those that entered and have not left; running <= items. */
#include "sched/afterwork.h"

const char *const afterwork_result_names[AFTERWORK_RESULTS] = { "done", "failed", "late", "canceled", "full", "kept" };

static void add(atomic_uint_least64_t *to, uint64_t n) { atomic_fetch_add_explicit(to, n, memory_order_relaxed); }
static void take(atomic_uint_least64_t *from, uint64_t n) { atomic_fetch_sub_explicit(from, n, memory_order_relaxed); }

bool afterwork_enter(struct afterwork *a, uint64_t bytes, uint64_t max_items, uint64_t max_bytes) {
    uint64_t items = atomic_fetch_add_explicit(&a->items, 1, memory_order_relaxed) + 1;
    uint64_t all = atomic_fetch_add_explicit(&a->bytes, bytes, memory_order_relaxed) + bytes;
    if (items <= max_items && all <= max_bytes) return true;
    take(&a->items, 1);
    take(&a->bytes, bytes);
    add(&a->results[AFTERWORK_FULL], 1);
    return false;
}

void afterwork_begin(struct afterwork *a) { add(&a->running, 1); }

void afterwork_leave(struct afterwork *a, uint64_t bytes, bool ran, enum afterwork_result result) {
    take(&a->items, 1);
    take(&a->bytes, bytes);
    if (ran) take(&a->running, 1);
    add(&a->results[result], 1);
}

bool afterwork_tell(struct afterwork *a, uint64_t now_s) {
    uint64_t before = atomic_load_explicit(&a->told_s, memory_order_relaxed);
    return before != now_s && atomic_compare_exchange_strong_explicit(&a->told_s, &before, now_s, memory_order_relaxed,
                                                                      memory_order_relaxed);
}
