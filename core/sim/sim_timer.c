/* sim_timer.c -- one binary heap of deadlines for all connections.
 *
 * Ten thousand streams that say a token every few milliseconds re-arm a deadline
 * per token.  libuv's own timers would do, but count whole milliseconds from the
 * loop's clock, so that a stream would drift late by its own work; here deadlines
 * are absolute microseconds, a stream that woke late catches up, and tokens due
 * in the same turn leave in one write.
 *
 *      at[0] earliest;  children of i: 2i+1, 2i+2;  timer->slot == i + 1
 *
 * Room is made when a connection comes (sim_heap_reserve), so that arming never
 * fails: an answer that began is not lost for want of memory.
 *
 * Knows nothing of connections: an armed timer is a pointer it never follows
 * further than due_us and slot. */
#include <assert.h>

#include "base/mem.h"
#include "perilune.h"
#include "sim/sim_int.h"

static void put(struct sim_heap *h, uint32_t i, struct sim_timer *t) {
    h->at[i] = t;
    t->slot = i + 1;
}

static void sift_up(struct sim_heap *h, uint32_t i, struct sim_timer *t) {
    while (i > 0 && h->at[(i - 1) / 2]->due_us > t->due_us) {
        put(h, i, h->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, t);
}

static void sift_down(struct sim_heap *h, uint32_t i, struct sim_timer *t) {
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= h->len) break;
        if (child + 1 < h->len && h->at[child + 1]->due_us < h->at[child]->due_us) child++;
        if (h->at[child]->due_us >= t->due_us) break;
        put(h, i, h->at[child]);
        i = child;
    }
    put(h, i, t);
}

static void settle(struct sim_heap *h, uint32_t i, struct sim_timer *t) {
    if (i > 0 && h->at[(i - 1) / 2]->due_us > t->due_us) sift_up(h, i, t);
    else sift_down(h, i, t);
}

int sim_heap_reserve(struct sim_heap *h, size_t n) {
    if (n <= h->cap) return 0;
    size_t cap = h->cap ? (size_t)h->cap * 2 : 256;
    if (cap < n) cap = n;
    struct sim_timer **at = mem_realloc(h->at, cap * sizeof(struct sim_timer *));
    if (at == NULL) return PERILUNE_ERR_NOMEM;
    h->at = at;
    h->cap = (uint32_t)cap;
    return 0;
}

void sim_heap_set(struct sim_heap *h, struct sim_timer *t, uint64_t due_us) {
    t->due_us = due_us;
    if (t->slot != 0) {
        settle(h, t->slot - 1, t);
        return;
    }
    assert(h->len < h->cap);
    sift_up(h, h->len++, t);
}

void sim_heap_remove(struct sim_heap *h, struct sim_timer *t) {
    if (t->slot == 0) return;
    uint32_t          i = t->slot - 1;
    struct sim_timer *last = h->at[--h->len];
    t->slot = 0;
    if (last != t) settle(h, i, last);
}

struct sim_timer *sim_heap_take_due(struct sim_heap *h, uint64_t now_us) {
    if (h->len == 0 || h->at[0]->due_us > now_us) return NULL;
    struct sim_timer *t = h->at[0];
    sim_heap_remove(h, t);
    return t;
}

void sim_heap_deinit(struct sim_heap *h) {
    mem_free(h->at);
    *h = (struct sim_heap){ 0 };
}
