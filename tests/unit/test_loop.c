/* test_loop.c -- timers and jobs, mostly in virtual time. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "sys/loop.h"
#include "unit.h"

/* What timers and jobs do here is to write down their name. */
struct named {
    struct timer timer;
    struct deferred   job;
    struct test_loop *in;
    char         name;
    int          again; /* times to start itself once more */
};

struct test_loop {
    struct loop  loop;
    struct named named[8];
    char         log[64];
    size_t       len;
    bool         stop;
};

static void note(struct named *n) {
    if (n->in->len + 1 < sizeof(n->in->log)) n->in->log[n->in->len++] = n->name;
}

static void on_timer(struct timer *t) {
    struct named *n = container_of(t, struct named, timer);
    note(n);
    if (n->again-- > 0) CHECK_INT(timer_start(&n->in->loop, t, 10, on_timer), 0);
}

static void on_deferred(struct deferred *j) { note(container_of(j, struct named, job)); }

static void on_next_job(struct deferred *j) {
    struct named *n = container_of(j, struct named, job);
    note(n);
    if (n->again-- > 0) loop_next(&n->in->loop, j, on_next_job);
}

static bool init(struct test_loop *t, bool is_virtual) {
    memset(t, 0, sizeof(*t));
    int rc = loop_init(&t->loop);
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    t->loop.is_virtual = is_virtual;
    for (int i = 0; i < 8; i++) {
        t->named[i].in = t;
        t->named[i].name = (char)('a' + i);
    }
    return true;
}

static int start(struct test_loop *t, int i, uint64_t ms) {
    return timer_start(&t->loop, &t->named[i].timer, ms, on_timer);
}

static void run(struct test_loop *t) {
    if (t->loop.is_virtual)
        loop_run_virtual(&t->loop, &t->stop);
    else
        uv_run(&t->loop.uv, UV_RUN_DEFAULT);
}

TEST_FAULT(timers_fire_in_order) {
    struct test_loop t;
    if (!init(&t, true)) return;
    int rc = start(&t, 0, 30);
    if (rc == 0) {
        CHECK_INT(start(&t, 1, 10), 0);
        CHECK_INT(start(&t, 2, 20), 0);
        CHECK_INT(start(&t, 3, 0), 0);
        CHECK(timer_is_running(&t.named[0].timer));
        run(&t);
        CHECK_STR(t.log, "dbca");
        CHECK_UINT(loop_now(&t.loop), 30);
    } else {
        CHECK(FAULTED(rc));
    }
    CHECK(!timer_is_running(&t.named[0].timer));
    loop_deinit(&t.loop);
}

TEST(timers_stop_and_move) {
    struct test_loop t;
    CHECK(init(&t, true));
    for (int i = 0; i < 6; i++) CHECK_INT(start(&t, i, (uint64_t)i * 10), 0);
    timer_stop(&t.loop, &t.named[2].timer);
    timer_stop(&t.loop, &t.named[2].timer);
    timer_stop(&t.loop, &t.named[7].timer); /* never started */
    CHECK_INT(start(&t, 0, 100), 0);        /* later */
    CHECK_INT(start(&t, 5, 1), 0);          /* sooner */
    run(&t);
    CHECK_STR(t.log, "fbdea");
    loop_deinit(&t.loop);
}

TEST(a_timer_starts_itself) {
    struct test_loop t;
    CHECK(init(&t, true));
    t.named[0].again = 3;
    CHECK_INT(start(&t, 0, 5), 0);
    CHECK_INT(start(&t, 1, 12), 0);
    run(&t);
    CHECK_STR(t.log, "abaaa");
    CHECK_UINT(loop_now(&t.loop), 35);
    loop_deinit(&t.loop);
}

TEST(endless_timers_do_not_overflow) {
    struct test_loop t;
    CHECK(init(&t, true));
    CHECK_INT(start(&t, 0, 10), 0);
    CHECK_INT(start(&t, 1, UINT64_MAX), 0);
    run(&t);
    CHECK_STR(t.log, "ab");
    loop_deinit(&t.loop);
}

static unsigned fired;
static uint64_t last_at;

static void check_order(struct timer *t) {
    CHECK(t->at_ms >= last_at);
    last_at = t->at_ms;
    fired++;
}

/* The heap under a thousand random starts, moves and stops. */
TEST(heap) {
    static struct timer timers[1000];
    struct test_loop t;
    struct rng r;
    unsigned running = 0;

    CHECK(init(&t, true));
    rng_seed(&r, 3);
    for (int i = 0; i < 10000; i++) {
        struct timer *timer = &timers[rng_next(&r) % 1000];
        if (rng_next(&r) % 3 == 0)
            timer_stop(&t.loop, timer);
        else
            CHECK_INT(timer_start(&t.loop, timer, rng_next(&r) % 500, check_order), 0);
    }
    for (int i = 0; i < 1000; i++) running += timer_is_running(&timers[i]);
    run(&t);
    CHECK_UINT(fired, running);
    loop_deinit(&t.loop);
}

TEST(jobs) {
    struct test_loop t;
    CHECK(init(&t, true));
    t.named[1].again = 1;
    loop_next(&t.loop, &t.named[1].job, on_next_job);
    loop_soon(&t.loop, &t.named[0].job, on_deferred);
    loop_soon(&t.loop, &t.named[0].job, on_deferred); /* once is enough */
    loop_soon(&t.loop, &t.named[2].job, on_deferred);
    loop_soon(&t.loop, &t.named[3].job, on_deferred);
    deferred_cancel(&t.named[2].job);
    deferred_cancel(&t.named[4].job); /* never added */
    run(&t);
    CHECK_STR(t.log, "adbb");
    loop_deinit(&t.loop);
}

static void cancel_other(struct deferred *j) {
    struct named *n = container_of(j, struct named, job);
    note(n);
    deferred_cancel(&n->in->named[1].job);
}

TEST(a_job_cancels_the_next_one) {
    struct test_loop t;
    CHECK(init(&t, true));
    loop_soon(&t.loop, &t.named[0].job, cancel_other);
    loop_soon(&t.loop, &t.named[1].job, on_deferred);
    loop_soon(&t.loop, &t.named[2].job, on_deferred);
    run(&t);
    CHECK_STR(t.log, "ac");
    loop_deinit(&t.loop);
}

static void stop_run(struct timer *timer) {
    container_of(timer, struct named, timer)->in->stop = true;
}

TEST(stop) {
    struct test_loop t;
    CHECK(init(&t, true));
    CHECK_INT(timer_start(&t.loop, &t.named[0].timer, 5, stop_run), 0);
    CHECK_INT(start(&t, 1, 10), 0);
    run(&t);
    CHECK_STR(t.log, "");
    CHECK_UINT(loop_now(&t.loop), 5);
    timer_stop(&t.loop, &t.named[1].timer);
    loop_deinit(&t.loop);
}

/* The same on the real loop, with times of a few milliseconds. */
TEST(real_loop) {
    struct test_loop t;
    CHECK(init(&t, false));
    uint64_t before = loop_hrtime_us();
    t.named[3].again = 2;
    CHECK_INT(start(&t, 0, 4), 0);
    CHECK_INT(start(&t, 1, 2), 0);
    CHECK_INT(start(&t, 2, 60000), 0);
    timer_stop(&t.loop, &t.named[2].timer);
    loop_soon(&t.loop, &t.named[4].job, on_deferred);
    loop_next(&t.loop, &t.named[3].job, on_next_job);
    run(&t);
    CHECK_UINT(t.len, 6);
    CHECK_STR(t.log + 4, "ba");
    CHECK(loop_hrtime_us() - before >= 3000);
    loop_deinit(&t.loop);
}

/* Until it is full; and to who has left, without a signal. */
TEST(what_the_kernel_takes_at_once) {
    static char block[65536];
    struct loop l;
    uv_tcp_t tcp;
    int ends[2];
    CHECK_INT(loop_init(&l), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    uv_tcp_init(&l.uv, &tcp);
    CHECK_INT(uv_tcp_open(&tcp, ends[0]), 0);
    uv_buf_t pieces[2] = { uv_buf_init("hel", 3), uv_buf_init("lo", 2) };
    CHECK_INT(loop_write_now(&tcp, pieces, 2), 5);
    CHECK_INT(read(ends[1], block, sizeof(block)), 5);
    CHECK_SLICE(slice_of(block, 5), SLICE("hello"));
    pieces[0] = uv_buf_init(block, sizeof(block));
    ssize_t n = 1;
    for (int i = 0; i < 10000 && n > 0; i++) n = loop_write_now(&tcp, pieces, 1);
    CHECK_INT(n, 0);
    close(ends[1]);
    CHECK_INT(loop_write_now(&tcp, pieces, 1), PERILUNE_ERR_IO);
    uv_close((uv_handle_t *)&tcp, NULL);
    loop_deinit(&l);
}

TEST_FAULT(another_read_buffer) {
    struct loop l;
    int rc = loop_init(&l);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    char *before = l.scratch, *mine = loop_take_scratch(&l);
    if (FAULTED(mine)) {
        CHECK(l.scratch == before);
    } else {
        CHECK(mine == before && l.scratch != mine);
        memset(l.scratch, 'x', LOOP_SCRATCH);
        mem_free(mine);
    }
    loop_deinit(&l);
}
