/* loop.c -- one thread's loop.
 *
 *     uv_run turn:  [alarm: due timers] [spin: next jobs] [before: soon]
 *                   POLL  I/O callbacks  [after: soon]
 *
 * Timers live in a binary heap of pointers ordered by time; each knows its slot,
 * so stopping is O(log n) without a search.  One uv_timer is armed for the
 * earliest.  A timer that is started may be the earliest: the alarm is then
 * moved; one that is stopped leaves the alarm alone, an early alarm finds
 * nothing due and goes back to sleep.
 *
 * Between two polls nobody's I/O has a chance: `turn` counts them, because uv_now() says
 * something else (it is read anew behind POLL and in front of the timers).
 *
 * Between two polls the clock stands, as little happens there: slices end, and I/O is not waited for.  Whoever comes
 * from outside of the loop has to read it (loop_read_clock), for there anything may have taken any time.
 *
 * `soon` collects what should happen once per turn (socket flushes), `next`
 * what must let I/O go first (a policy that used up its slice). */
#include "sys/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "include/perilune.h"

/* -- Heap -------------------------------------------------------------------- */

static void heap_put(struct loop *l, uint32_t i, struct timer *t) {
    l->heap[i] = t;
    t->slot = i + 1;
}

static void heap_up(struct loop *l, uint32_t i) {
    struct timer *t = l->heap[i];
    while (i > 0 && l->heap[(i - 1) / 2]->at_ms > t->at_ms) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, uint32_t i) {
    struct timer *t = l->heap[i];
    for (;;) {
        uint32_t k = 2 * i + 1;
        if (k >= l->heap_len) break;
        if (k + 1 < l->heap_len && l->heap[k + 1]->at_ms < l->heap[k]->at_ms) k++;
        if (l->heap[k]->at_ms >= t->at_ms) break;
        heap_put(l, i, l->heap[k]);
        i = k;
    }
    heap_put(l, i, t);
}

static void heap_remove(struct loop *l, struct timer *t) {
    uint32_t i = t->slot - 1;
    t->slot = 0;
    struct timer *last = l->heap[--l->heap_len];
    if (last == t) return;
    heap_put(l, i, last);
    heap_down(l, i);
    heap_up(l, last->slot - 1);
}

/* -- Timers ------------------------------------------------------------------ */

static void alarm_fired(uv_timer_t *alarm);

static void arm(struct loop *l) {
    if (l->is_virtual || l->is_still) return;
    if (l->heap_len == 0) {
        if (l->alarm_at != UINT64_MAX) uv_timer_stop(&l->alarm);
        l->alarm_at = UINT64_MAX;
        return;
    }
    uint64_t at = l->heap[0]->at_ms, now = loop_now(l);
    if (at == l->alarm_at) return;
    l->alarm_at = at;
    uv_timer_start(&l->alarm, alarm_fired, at > now ? at - now : 0, 0);
}

/* A timer that starts itself again with 0 ms would be due for ever: as many as
 * there were at first, the others wait for the next turn. */
static void fire_due(struct loop *l) {
    uint64_t now = loop_now(l);
    for (uint32_t most = l->heap_len; most > 0 && l->heap_len > 0 && l->heap[0]->at_ms <= now; most--) {
        struct timer *t = l->heap[0];
        heap_remove(l, t);
        t->fire(t); /* may free t, may start or stop any timer */
    }
}

static void alarm_fired(uv_timer_t *alarm) {
    struct loop *l = alarm->data;
    l->active = true;
    l->alarm_at = UINT64_MAX;
    fire_due(l);
    arm(l);
}

/* A clock of the host's may have moved as it likes while the alarm slept by the kernel's. */
static void follow_host(struct loop *l) {
    if (l->heap_len > 0 && l->heap[0]->at_ms <= loop_now(l)) fire_due(l);
    arm(l);
}

bool loop_is_due(const struct loop *l) {
    return clock_is_hosts() && l->heap_len > 0 && l->heap[0]->at_ms <= loop_now(l);
}

void loop_read_clock(const struct loop *l) {
    if (!l->is_virtual && !l->is_still) uv_update_time((uv_loop_t *)(uintptr_t)&l->uv); /* its clock, nothing else */
}

uint64_t loop_now(const struct loop *l) {
    if (l->is_virtual) return l->virtual_ms;
    if (l->is_still) return clock_ns(CLOCK_MONOTONIC) / 1000000; /* nobody reads the clock for all in a turn */
    if (l->is_patient) loop_read_clock(l);
    return clock_is_hosts() ? clock_ns(CLOCK_MONOTONIC) / 1000000 : uv_now(&l->uv);
}

uint64_t loop_hrtime_us(void) { return clock_ns(CLOCK_MONOTONIC) / 1000; }

uint64_t loop_us(const struct loop *l) { return l->is_virtual ? l->virtual_ms * 1000 : loop_hrtime_us(); }

int timer_start(struct loop *l, struct timer *t, uint64_t after_ms, void (*fire)(struct timer *)) {
    uint64_t now = loop_now(l);
    uint64_t at = after_ms > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + after_ms;
    t->fire = fire;
    if (t->slot != 0) {
        t->at_ms = at;
        heap_down(l, t->slot - 1);
        heap_up(l, t->slot - 1);
    } else {
        if (l->heap_len == l->heap_cap) {
            uint32_t cap = l->heap_cap ? l->heap_cap * 2 : 64;
            struct timer **heap = mem_realloc(l->heap, cap * sizeof(struct timer *));
            if (heap == NULL) return PERILUNE_ERR_NOMEM;
            l->heap = heap;
            l->heap_cap = cap;
        }
        t->at_ms = at;
        heap_put(l, l->heap_len++, t);
        heap_up(l, l->heap_len - 1);
    }
    if (l->heap[0]->at_ms < l->alarm_at) arm(l);
    return 0;
}

void timer_stop(struct loop *l, struct timer *t) {
    if (t->slot != 0) heap_remove(l, t);
}

/* -- Jobs -------------------------------------------------------------------- */

static void run_jobs(struct list *from) {
    struct list now;
    list_take(&now, from);
    while (!list_is_empty(&now)) {
        struct deferred *j = container_of(now.next, struct deferred, link);
        list_remove(&j->link);
        j->run(j); /* may free j; may add more to `from` */
    }
}

static void run_soon(struct loop *l) {
    while (!list_is_empty(&l->soon)) run_jobs(&l->soon);
}

void loop_flush(struct loop *l) {
    for (run_soon(l); !list_is_empty(&l->next); run_soon(l)) run_jobs(&l->next);
}

static void on_after(uv_check_t *h) {
    struct loop *l = h->data;
    if (!list_is_empty(&l->soon)) l->active = true;
    run_soon(l);
}

static void on_before(uv_prepare_t *h) {
    struct loop *l = h->data;
    if (clock_is_hosts()) follow_host(l);
    run_soon(l);
    /* Work of `soon` may have asked for the next turn after spin had its go. */
    l->turn++;
}

static void on_spin(uv_idle_t *h) {
    struct loop *l = h->data;
    l->active = true;
    run_jobs(&l->next);
    if (list_is_empty(&l->next)) uv_idle_stop(&l->spin);
}

static void job_add(struct list *to, struct deferred *j, void (*run)(struct deferred *)) {
    j->run = run;
    if (j->link.next == NULL) list_init(&j->link);
    if (list_is_empty(&j->link)) list_append(to, &j->link);
}

void loop_soon(struct loop *l, struct deferred *j, void (*run)(struct deferred *)) { job_add(&l->soon, j, run); }

void loop_next(struct loop *l, struct deferred *j, void (*run)(struct deferred *)) {
    job_add(&l->next, j, run);
    if (!l->is_virtual && !l->is_still) uv_idle_start(&l->spin, on_spin);
}

void deferred_cancel(struct deferred *j) {
    if (j->link.next != NULL) list_remove(&j->link);
}

/* -- Reading and writing ------------------------------------------------------- */

char *loop_take_scratch(struct loop *l) {
    char *other = mem_alloc(LOOP_SCRATCH), *mine = l->scratch;
    if (other == NULL) return NULL;
    l->scratch = other;
    return mine;
}

/* uv_try_write() uses write(), which is slower than what is made for sockets and would raise SIGPIPE,
 * deadly to a host that did not think of it. */
ssize_t loop_write_now(const uv_tcp_t *tcp, const uv_buf_t *pieces, unsigned count) {
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = count }; /* as libuv does */
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    uv_os_fd_t fd;
    ssize_t n;
    if (uv_fileno((const uv_handle_t *)tcp, &fd) != 0) return PERILUNE_ERR_IO;
    do n = count == 1 ? send(fd, pieces->base, pieces->len, flags) : sendmsg(fd, &msg, flags);
    while (n < 0 && errno == EINTR);
    if (n >= 0) return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : PERILUNE_ERR_IO;
}

/* -- Forks ------------------------------------------------------------------- */

static void bury(uv_handle_t *h, void *arg) {
    uv_os_fd_t fd;
    const int *dead = arg;
    if (uv_fileno(h, &fd) == 0) dup3(*dead, fd, O_CLOEXEC);
}

/* Both ends stay: without the other one reading would find an end. */
void loop_disown(struct loop *l) {
    int dead[2];
    if (l->is_disowned || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, dead) != 0) return;
    l->is_disowned = true;
    uv_walk(&l->uv, bury, &dead[0]);
    uv_loop_fork(&l->uv);
    uv_stop(&l->uv);
}

/* -- Life -------------------------------------------------------------------- */

int loop_init(struct loop *l) {
    *l = (struct loop){ .alarm_at = UINT64_MAX };
    list_init(&l->soon);
    list_init(&l->next);
    l->scratch = mem_alloc(LOOP_SCRATCH);
    if (l->scratch == NULL) return PERILUNE_ERR_NOMEM;
    if (uv_loop_init(&l->uv) != 0) {
        mem_free(l->scratch);
        return PERILUNE_ERR_IO;
    }
    l->uv.data = l;
    uv_timer_init(&l->uv, &l->alarm);
    uv_check_init(&l->uv, &l->after);
    uv_prepare_init(&l->uv, &l->before);
    uv_idle_init(&l->uv, &l->spin);
    l->alarm.data = l->after.data = l->before.data = l->spin.data = l;
    uv_check_start(&l->after, on_after);
    uv_prepare_start(&l->before, on_before);
    /* These serve others: alone they must not keep the loop alive. */
    uv_unref((uv_handle_t *)&l->after);
    uv_unref((uv_handle_t *)&l->before);
    rng_seed(&l->rng, 0);
    return 0;
}

void loop_init_still(struct loop *l) {
    *l = (struct loop){ .alarm_at = UINT64_MAX, .is_still = true };
    list_init(&l->soon);
    list_init(&l->next);
    rng_seed(&l->rng, 0);
}

void loop_deinit(struct loop *l) {
    assert(l->heap_len == 0);
    if (l->is_still) {
        mem_free(l->heap);
        return;
    }
    uv_close((uv_handle_t *)&l->alarm, NULL);
    uv_close((uv_handle_t *)&l->after, NULL);
    uv_close((uv_handle_t *)&l->before, NULL);
    uv_close((uv_handle_t *)&l->spin, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    (void)rc;
    mem_free(l->heap);
    mem_free(l->scratch);
}

void loop_run_virtual(struct loop *l, const bool *stop) {
    while (!*stop) {
        l->turn++;
        run_soon(l);
        if (!list_is_empty(&l->next)) {
            run_jobs(&l->next);
            continue;
        }
        if (l->heap_len == 0) return;
        if (l->heap[0]->at_ms > l->virtual_ms) l->virtual_ms = l->heap[0]->at_ms;
        fire_due(l);
    }
}
