/* loop.h -- everything one thread owns: uv loop, clock, timers, work for later.
 *
 * Timers are members of other structs and need no close callback: after
 * timer_stop() the memory is yours again.  The clock can be virtual, so that
 * tests of policies jump from timer to timer. */
#ifndef PERILUNE_SYS_LOOP_H
#define PERILUNE_SYS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/hash.h"
#include "base/list.h"

struct timer {
    uint64_t at_ms;
    uint32_t slot; /* 1-based place in the heap; 0: not running */
    void   (*fire)(struct timer *t);
};

/* Work for later in this turn or the next one. A zeroed one is idle. */
struct deferred {
    struct list link; /* zeroed or linked */
    void      (*run)(struct deferred *j);
};

struct loop {
    uv_loop_t     uv;
    uv_timer_t    alarm;   /* armed for the earliest timer */
    uv_check_t    after;   /* right after polling: run soon */
    uv_prepare_t  before;  /* right before polling: run soon */
    uv_idle_t     spin;    /* active while `next` holds work: do not block */
    struct timer **heap;
    uint32_t      heap_len, heap_cap;
    uint64_t      alarm_at;
    struct list   soon;    /* struct deferred: before the loop blocks again */
    struct list   next;    /* struct deferred: in the next turn */
    bool          active;  /* a callback ran in this turn: it may have begun to watch
                              something that the kernel hears of in the next turn only */
    uint64_t      turn;    /* how often it has polled: callbacks with the same number kept others waiting together */
    bool          is_virtual;
    bool          is_still; /* it never turns, see loop_init_still() */
    bool          is_disowned;
    bool          is_patient; /* a callback may take as long as it likes: loop_now() reads the clock each time */
    uint64_t      virtual_ms;
    struct rng    rng;
    char         *scratch; /* one read buffer for all connections of the thread */
};

#define LOOP_SCRATCH (64 * 1024)

/* The read buffer becomes the caller's (mem_free), and the loop gets another one.  NULL: there is no
 * memory for that, and all is as it was. */
char *loop_take_scratch(struct loop *l);

/* What the kernel takes of the pieces at once: bytes, 0 when it is full, or PERILUNE_ERR_IO.  Nothing may wait
 * in uv_write(). */
ssize_t loop_write_now(const uv_tcp_t *tcp, const uv_buf_t *pieces, unsigned count);

int      loop_init(struct loop *l);
/* One that only knows the time: nothing of the kernel's is opened, timers never fire, and work for later waits for
 * loop_flush().  Copies of it in forked processes are as good. */
void     loop_init_still(struct loop *l);
void     loop_deinit(struct loop *l); /* closes own handles, runs until all are closed */

/* Milliseconds since some start; monotonic; cached per loop turn. */
uint64_t loop_now(const struct loop *l);
/* Reads the clock, which the loop itself does when it turns: somebody has come, or something has taken long. */
void     loop_read_clock(const struct loop *l);
/* By a clock of the host's a timer is due, of which the alarm does not know. */
bool     loop_is_due(const struct loop *l);
/* Microseconds, read now: for measuring. */
uint64_t loop_hrtime_us(void);
/* The same, of l: virtual where its time is. */
uint64_t loop_us(const struct loop *l);

/* In a child of fork(): the descriptors are the parent's, and what it has asked of the kernel, too.  All of them become
 * some on which nothing ever comes, so that a turn that is under way ends here without touching them. */
void     loop_disown(struct loop *l);

/* (Re)starts t to fire once, after_ms from now.  Fails only when the heap cannot
 * grow: returns PERILUNE_ERR_NOMEM and t is not running. */
int  timer_start(struct loop *l, struct timer *t, uint64_t after_ms, void (*fire)(struct timer *));
void timer_stop(struct loop *l, struct timer *t);
static inline bool timer_is_running(const struct timer *t) { return t->slot != 0; }

/* Runs j before the loop blocks again (flushes: writes of one turn become one). */
void loop_soon(struct loop *l, struct deferred *j, void (*run)(struct deferred *));
/* Runs j in the next turn, after I/O had its chance (fair slices). */
void loop_next(struct loop *l, struct deferred *j, void (*run)(struct deferred *));
/* Runs all deferred work, now: when the loop will not turn again. */
void loop_flush(struct loop *l);
/* Not waiting any more; nothing when it was not. */
void deferred_cancel(struct deferred *j);
static inline bool deferred_is_waiting(const struct deferred *j) {
    return j->link.next != NULL && !list_is_empty(&j->link);
}

/* Virtual time: runs deferred work and timers, jumping the clock, until nothing is left
 * or *stop becomes true. */
void loop_run_virtual(struct loop *l, const bool *stop);

#endif
