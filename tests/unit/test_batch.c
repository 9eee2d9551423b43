/* test_batch.c -- what goes when, with whom, and who leaves.  The clock is virtual. */
#include "unit.h"

#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "sched/batch.h"

#define MOST 64

struct thing {
    struct batch_item item;
    char              name;
    bool              is_refused;
    enum batch_refusal why;
};

static struct loop        loop;
static struct batcher    *q;
static struct batch      *out[MOST]; /* under way, in the order in which they began; NULL: over */
static unsigned           begun, stopped;
static char               ran[512]; /* "ab c ": batches that began */
static struct batch_stats stats;
static struct thing      *leaves_when_refused;

static struct thing *thing_of(struct batch_item *item) { return container_of(item, struct thing, item); }

static void run(struct batch *b, void *ud) {
    CHECK_PTR(ud, &loop);
    char *end = ran + strlen(ran);
    for (struct list *l = b->items.next; l != &b->items; l = l->next)
        *end++ = thing_of(container_of(l, struct batch_item, link))->name;
    *end++ = ' ';
    *end = '\0';
    out[begun++] = b;
}

static void stop(struct batch *b, void *ud) {
    (void)ud;
    for (unsigned i = 0; i < begun; i++)
        if (out[i] == b) out[i] = NULL;
    stopped++;
}

static void refused(struct batch_item *item, enum batch_refusal why, void *ud) {
    (void)ud;
    struct thing *t = thing_of(item);
    CHECK(!batch_waits(item) && !t->is_refused);
    t->is_refused = true;
    t->why = why;
    if (leaves_when_refused != NULL) batch_leave(q, &leaves_when_refused->item);
}

static bool open_queue(unsigned max_size, uint64_t max_tokens, uint64_t max_wait_ms, unsigned max_running) {
    begun = stopped = 0;
    ran[0] = '\0';
    leaves_when_refused = NULL;
    memset(&stats, 0, sizeof(stats));
    if (loop_init(&loop) != 0) return false;
    loop.is_virtual = true;
    q = batcher_new(&(struct batcher_options){ .loop = &loop, .max_size = max_size, .max_tokens = max_tokens,
                                               .max_wait_ms = max_wait_ms, .max_queue = 40,
                                               .max_running = max_running, .run = run, .stop = stop,
                                               .refused = refused, .ud = &loop, .stats = &stats });
    return true;
}

static void close_queue(void) {
    batcher_free(q);
    loop_deinit(&loop);
}

static int submit(struct thing *t, char name, const char *key) {
    t->name = name;
    if (t->item.size == 0) t->item.size = 1;
    return batch_submit(q, slice_str(key), &t->item);
}

static void over(unsigned i) {
    struct batch *b = out[i];
    out[i] = NULL;
    while (batch_take(q, b) != NULL) {}
}

/* The clock goes on; timers that are due fire. */
static void until(uint64_t ms) {
    loop_flush(&loop);
    while (loop.heap_len > 0 && loop.heap[0]->at_ms <= ms) {
        struct timer *due = loop.heap[0];
        if (due->at_ms > loop.virtual_ms) loop.virtual_ms = due->at_ms;
        timer_stop(&loop, due);
        due->fire(due);
        loop_flush(&loop);
    }
    if (ms > loop.virtual_ms) loop.virtual_ms = ms;
}

TEST_NOFAULT(the_first_goes_at_once_and_the_rest_together) {
    struct thing a[5] = { { .name = 0 } };
    CHECK(open_queue(10, 0, 1000, 10));
    CHECK_INT(submit(&a[0], 'a', ""), 0);
    CHECK_INT(submit(&a[1], 'b', ""), 0); /* of the same turn */
    CHECK_STR(ran, "");
    loop_flush(&loop);
    CHECK_STR(ran, "ab ");
    CHECK_INT(submit(&a[2], 'c', ""), 0);
    loop_flush(&loop);
    CHECK_INT(submit(&a[3], 'd', ""), 0);
    until(900);
    CHECK_STR(ran, "ab ");
    over(0);
    loop_flush(&loop);
    CHECK_STR(ran, "ab cd ");
    over(1);
    CHECK_INT(submit(&a[4], 'e', ""), 0);
    loop_flush(&loop);
    CHECK_STR(ran, "ab cd e ");
    over(2);
    CHECK_UINT(stats_get(&stats.batches), 3);
    CHECK_UINT(stats_get(&stats.items), 5);
    CHECK_UINT(stats_get(&stats.sizes[0]), 1);
    CHECK_UINT(stats_get(&stats.sizes[1]), 2);
    close_queue();
}

TEST_NOFAULT(who_has_waited_long_enough_goes_beside_the_one_under_way) {
    struct thing a[4] = { { .name = 0 } };
    CHECK(open_queue(10, 0, 5, 10));
    submit(&a[0], 'a', "");
    until(1);
    submit(&a[1], 'b', "");
    until(4);
    submit(&a[2], 'c', "");
    until(5);
    CHECK_STR(ran, "a ");
    until(6);
    CHECK_STR(ran, "a bc ");
    submit(&a[3], 'd', "");
    over(0); /* the other one is out: nothing goes for that */
    until(7);
    CHECK_STR(ran, "a bc ");
    until(11);
    CHECK_STR(ran, "a bc d ");
    over(1);
    over(2);
    close_queue();
}

TEST_NOFAULT(a_full_batch_goes_at_once_by_items_or_tokens) {
    struct thing a[9] = { { .name = 0 } };
    CHECK(open_queue(3, 100, 1000, 10));
    submit(&a[0], 'a', "");
    loop_flush(&loop);
    for (unsigned i = 1; i < 5; i++) submit(&a[i], (char)('a' + i), "");
    loop_flush(&loop);
    CHECK_STR(ran, "a bcd ");
    a[5].item.tokens = 60;
    a[6].item.tokens = 60;
    a[7].item.tokens = 500; /* alone it is too large: it goes alone */
    submit(&a[5], 'f', "");
    submit(&a[6], 'g', "");
    submit(&a[7], 'h', "");
    loop_flush(&loop);
    CHECK_STR(ran, "a bcd ef g h ");
    a[8].item.size = 7;
    submit(&a[8], 'i', "");
    loop_flush(&loop);
    CHECK_STR(ran, "a bcd ef g h i ");
    for (unsigned i = 0; i < begun; i++) over(i);
    close_queue();
}

TEST_NOFAULT(the_greater_priority_first_then_the_older) {
    struct thing a[6] = { { .name = 0 } };
    CHECK(open_queue(2, 0, 10, 1));
    submit(&a[0], 'a', "");
    loop_flush(&loop);
    a[2].item.priority = 7;
    a[3].item.priority = 7;
    a[4].item.priority = 3;
    for (unsigned i = 1; i < 6; i++) submit(&a[i], (char)('a' + i), "");
    loop_flush(&loop);
    for (unsigned i = 0; i < 4; i++) {
        over(i);
        loop_flush(&loop);
    }
    CHECK_STR(ran, "a cd eb f ");
    close_queue();
}

TEST_NOFAULT(keys_never_mix_and_take_turns) {
    struct thing a[9] = { { .name = 0 } };
    CHECK(open_queue(4, 0, 0, 2));
    for (unsigned i = 0; i < 9; i++) submit(&a[i], (char)('a' + i), i % 3 == 0 ? "x" : i % 3 == 1 ? "y" : "");
    loop_flush(&loop);
    CHECK_STR(ran, "adg beh "); /* two at once */
    over(0);
    loop_flush(&loop);
    CHECK_STR(ran, "adg beh cfi ");
    over(1);
    over(2);
    close_queue();
}

TEST_NOFAULT(who_leaves_is_not_run_and_the_last_stops_the_batch) {
    struct thing a[4] = { { .name = 0 } };
    CHECK(open_queue(4, 0, 1000, 2));
    for (unsigned i = 0; i < 3; i++) submit(&a[i], (char)('a' + i), "");
    batch_leave(q, &a[1].item);
    batch_leave(q, &a[1].item);
    loop_flush(&loop);
    CHECK_STR(ran, "ac ");
    submit(&a[3], 'd', "");
    batch_leave(q, &a[0].item);
    CHECK_UINT(stopped, 0);
    batch_leave(q, &a[2].item);
    CHECK_UINT(stopped, 1);
    loop_flush(&loop); /* what was queued behind it goes */
    CHECK_STR(ran, "ac d ");
    batch_leave(q, &a[3].item);
    CHECK_UINT(stopped, 2);
    submit(&a[0], 'a', "");
    batch_leave(q, &a[0].item); /* before anything began */
    loop_flush(&loop);
    CHECK_STR(ran, "ac d ");
    close_queue();
}

TEST_NOFAULT(a_deadline_ends_the_wait_queued_or_running) {
    struct thing a[3] = { { .name = 0 } };
    CHECK(open_queue(4, 0, 1000, 1));
    a[0].item.deadline_ms = 50;
    a[1].item.deadline_ms = 20;
    submit(&a[0], 'a', "");
    loop_flush(&loop);
    submit(&a[1], 'b', "");
    submit(&a[2], 'c', "other");
    until(19);
    CHECK(!a[1].is_refused);
    until(20);
    CHECK(a[1].is_refused && a[1].why == BATCH_LATE && !a[0].is_refused);
    CHECK_UINT(stats_get(&stats.late), 1);
    until(50);
    CHECK(a[0].is_refused);
    CHECK_UINT(stopped, 1);
    CHECK_STR(ran, "a c ");
    over(1);
    a[0] = (struct thing){ .item = { .deadline_ms = 10 } }; /* it has passed already */
    submit(&a[0], 'd', "");
    until(51);
    CHECK(a[0].is_refused);
    close_queue();
}

TEST_NOFAULT(as_many_wait_as_may_and_a_wait_of_zero) {
    static struct thing a[MOST];
    memset(a, 0, sizeof(a));
    CHECK(open_queue(1000, 0, 0, 1));
    submit(&a[0], 'a', "");
    loop_flush(&loop);
    for (unsigned i = 1; i <= 40; i++) CHECK_INT(submit(&a[i], 'b', i % 2 ? "x" : "y"), 0);
    CHECK_INT(submit(&a[41], 'c', ""), PERILUNE_ERR_LIMITED);
    CHECK(!batch_waits(&a[41].item));
    CHECK_UINT(stats_get(&stats.full), 1);
    for (unsigned i = 1; i <= 40; i++) batch_leave(q, &a[i].item);
    CHECK_INT(submit(&a[41], 'c', ""), 0);
    loop_flush(&loop);
    CHECK_STR(ran, "a "); /* one at once, though it waits for nothing */
    over(0);
    loop_flush(&loop);
    CHECK_STR(ran, "a c ");
    over(1);
    close_queue();
}

TEST_NOFAULT(one_that_is_told_makes_another_leave) {
    struct thing a[4] = { { .name = 0 } };
    CHECK(open_queue(4, 0, 1000, 1));
    for (unsigned i = 0; i < 4; i++) submit(&a[i], (char)('a' + i), "");
    loop_flush(&loop);
    struct batch_item *first = batch_take(q, out[0]);
    CHECK_PTR(first, &a[0].item);
    batch_leave(q, &a[2].item);
    CHECK_PTR(batch_take(q, out[0]), &a[1].item);
    batch_leave(q, &a[3].item);
    CHECK_UINT(stopped, 0); /* it is over, there is nothing to stop */
    CHECK(batch_take(q, out[0]) == NULL);
    close_queue();
}

/* With the n-th allocation failing; was it reached? */
static bool starve(long n, bool forever) {
    struct thing a[6] = { { .name = 0 } };
    long before = mem_live();
    CHECK(open_queue(2, 0, 5, 2));
    batcher_free(q);
    mem_fail_at(n, forever);
    q = batcher_new(&(struct batcher_options){ .loop = &loop, .max_size = 2, .max_wait_ms = 5, .max_queue = 40,
                                               .max_running = 2, .run = run, .stop = stop, .refused = refused,
                                               .ud = &loop });
    unsigned asked = 0, told = 0, running = 0;
    leaves_when_refused = &a[5];
    for (unsigned i = 0; q != NULL && i < 6; i++) {
        a[i].item.deadline_ms = i == 3 ? 100 : 0;
        asked += submit(&a[i], (char)('a' + i), i < 4 ? "" : "x") == 0;
        if (i % 2 == 0) loop_flush(&loop);
    }
    if (q != NULL) until(30);
    bool reached = mem_fail_count() >= n;
    mem_fail_at(0, false);
    for (unsigned i = 0; i < begun; i++) {
        for (struct list *l = out[i]->items.next; l != &out[i]->items; l = l->next) running++;
        over(i);
    }
    if (q != NULL) until(60);
    for (unsigned i = 0; q != NULL && i < 6; i++) {
        told += a[i].is_refused;
        batch_leave(q, &a[i].item);
    }
    CHECK(told + running <= asked);
    for (unsigned i = 0; i < begun; i++)
        if (out[i] != NULL) over(i);
    if (q != NULL) close_queue();
    else loop_deinit(&loop);
    CHECK_INT(mem_live(), before);
    return reached;
}

TEST_NOFAULT(without_memory_all_are_told) {
    for (long n = 1; starve(n, false); n++) NOTE("%ld", n);
    for (long n = 1; starve(n, true); n++) NOTE("%ld and all behind it", n);
}

static bool has_name(const struct batch_item *of, void *ud) {
    return container_of((struct batch_item *)(uintptr_t)of, struct thing, item)->name == *(char *)ud;
}

TEST_NOFAULT(one_that_is_the_same_waits_beside_it) {
    struct thing a[5] = { { .name = 0 } };
    char b = 'b', z = 'z';
    CHECK(open_queue(4, 0, 1000, 1));
    submit(&a[0], 'a', "k");
    submit(&a[1], 'b', "k");
    CHECK(batch_join(q, SLICE("k"), &a[2].item, has_name, &b) == NULL); /* nothing is being run */
    loop_flush(&loop);
    CHECK(batch_join(q, SLICE("k"), &a[2].item, has_name, &z) == NULL);
    CHECK(batch_join(q, SLICE("other"), &a[2].item, has_name, &b) == NULL);
    CHECK(!batch_waits(&a[2].item));
    a[2].item.deadline_ms = 30;
    CHECK_PTR(batch_join(q, SLICE("k"), &a[2].item, has_name, &b), &a[1].item);
    CHECK_PTR(batch_join(q, SLICE("k"), &a[3].item, has_name, &b), &a[1].item);
    batch_leave(q, &a[0].item);
    batch_leave(q, &a[1].item);
    until(40);
    CHECK(a[2].is_refused);
    CHECK_UINT(stopped, 0); /* one still waits for it */
    CHECK_PTR(batch_take(q, out[0]), &a[3].item);
    CHECK(batch_join(q, SLICE("k"), &a[4].item, has_name, &b) == NULL); /* it is over */
    CHECK(batch_take(q, out[0]) == NULL);
    close_queue();
}
