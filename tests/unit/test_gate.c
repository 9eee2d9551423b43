/* test_gate.c -- who may work, who waits, in which order: fair queue, CoDel, adaptive limit, gate. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "sched/codel.h"
#include "sched/fair.h"
#include "sched/gate.h"

/* -- Fair queue ----------------------------------------------------------------------------- */

struct person {
    struct fair_item item;
    char             name[8];
};

static int come(struct fair_queue *q, struct person *p, const char *name, const char *flow, double weight, double cost) {
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "%s", name);
    return fair_push(q, &p->item, (unsigned char)flow[0], slice_str(flow), weight, cost);
}

static const char *next(struct fair_queue *q) {
    struct fair_item *i = fair_pop(q);
    return i != NULL ? container_of(i, struct person, item)->name : "";
}

TEST(tenants_take_turns) {
    struct fair_queue q = { 0 };
    struct person p[6];
    CHECK_INT(come(&q, &p[0], "a1", "a", 1, 1), 0);
    CHECK_INT(come(&q, &p[1], "a2", "a", 1, 1), 0);
    CHECK_INT(come(&q, &p[2], "a3", "a", 1, 1), 0);
    CHECK_INT(come(&q, &p[3], "b1", "b", 1, 1), 0);
    CHECK_INT(come(&q, &p[4], "c1", "c", 1, 1), 0);
    CHECK_INT(come(&q, &p[5], "c2", "c", 1, 1), 0);
    static const char *const order[] = { "a1", "b1", "c1", "a2", "c2", "a3", "" };
    for (int i = 0; i < 7; i++) CHECK_STR(next(&q), order[i]);
    fair_deinit(&q);
}

TEST(twice_the_weight_is_twice_the_turns) {
    struct fair_queue q = { 0 };
    struct person p[12];
    char got[32] = "";
    for (int i = 0; i < 6; i++) CHECK_INT(come(&q, &p[i], "a", "a", 2, 1), 0);
    for (int i = 6; i < 12; i++) CHECK_INT(come(&q, &p[i], "b", "b", 1, 1), 0);
    for (int i = 0; i < 9; i++) strcat(got, next(&q));
    unsigned a = 0;
    for (const char *c = got; *c; c++) a += *c == 'a';
    CHECK_UINT(a, 6);
    while (next(&q)[0] != '\0') continue;
    fair_deinit(&q);
}

/* Who left the queue for a moment and comes again does not gain by it. */
TEST(a_flow_is_remembered_while_others_wait) {
    struct fair_queue q = { 0 };
    struct person p[4];
    CHECK_INT(come(&q, &p[0], "a1", "a", 1, 5), 0);
    CHECK_INT(come(&q, &p[1], "b1", "b", 1, 1), 0);
    CHECK_STR(next(&q), "a1");
    CHECK_INT(come(&q, &p[2], "a2", "a", 1, 1), 0); /* its first one cost five turns */
    CHECK_INT(come(&q, &p[3], "b2", "b", 1, 1), 0);
    CHECK_STR(next(&q), "b1");
    CHECK_STR(next(&q), "b2");
    CHECK_STR(next(&q), "a2");
    CHECK_UINT(q.flows.count, 0); /* all are forgotten when nobody waits */
    fair_deinit(&q);
}

TEST(anyone_can_leave_the_middle) {
    struct fair_queue q = { 0 };
    struct person p[100];
    char flow[8];
    for (int i = 0; i < 100; i++) {
        snprintf(flow, sizeof(flow), "%c%d", 'a' + i % 7, i % 13);
        CHECK_INT(come(&q, &p[i], "x", flow, 1 + i % 3, 1 + i % 5), 0);
    }
    for (int i = 0; i < 100; i += 3) fair_remove(&q, &p[i].item);
    double last = 0;
    unsigned left = 0;
    for (struct fair_item *i; (i = fair_pop(&q)) != NULL; left++) {
        CHECK(i->start >= last);
        last = i->start;
        CHECK_UINT(i->at, 0);
    }
    CHECK_UINT(left, 66);
    fair_deinit(&q);
}

TEST(how_many_are_ahead) {
    struct fair_queue q = { 0 };
    struct person p[50];
    for (int i = 0; i < 50; i++) CHECK_INT(come(&q, &p[i], "a", "a", 1, 1), 0);
    CHECK_UINT(fair_ahead(&q, 'b', SLICE("b")), 1); /* its turn is next but one, however many wait */
    CHECK_UINT(fair_ahead(&q, 'a', SLICE("a")), 50);
    for (int i = 0; i < 50; i++) fair_remove(&q, &p[i].item);
    fair_deinit(&q);
}

TEST_FAULT(fair_without_memory) {
    struct fair_queue q = { 0 };
    struct person p;
    int rc = come(&q, &p, "a", "a", 1, 1);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK_STR(next(&q), "a");
    }
    fair_deinit(&q);
}

/* -- CoDel ------------------------------------------------------------------------------------- */

TEST(a_burst_is_let_through) {
    struct codel c = { .target = 100, .interval = 1000 };
    for (uint64_t t = 0; t < 900; t += 10) CHECK(!codel_sheds(&c, 500, 10000 + t));
    CHECK(!codel_sheds(&c, 50, 10950)); /* it drains */
    CHECK(!codel_sheds(&c, 500, 11000));
}

TEST(a_queue_that_stands_is_made_shorter) {
    struct codel c = { .target = 100, .interval = 1000 };
    unsigned first = 0, second = 0;
    for (uint64_t t = 0; t < 4000; t += 10) first += codel_sheds(&c, 500, 10000 + t);
    for (uint64_t t = 4000; t < 8000; t += 10) second += codel_sheds(&c, 500, 10000 + t);
    CHECK(first >= 3);
    CHECK(second > first); /* sooner and sooner */
    CHECK(!codel_sheds(&c, 50, 18000));
    CHECK(!codel_sheds(&c, 500, 18010));
    struct codel off = { .interval = 1000 };
    for (uint64_t t = 0; t < 9000; t += 10) CHECK(!codel_sheds(&off, 5000, 10000 + t));
}

/* -- Adaptive limit -------------------------------------------------------------------------------- */

/* An upstream that works on `width` at once: with more, every one takes longer. */
static void work(struct adaptive *a, unsigned width, unsigned seconds, uint64_t *now) {
    for (unsigned s = 0; s < seconds * 20; s++) {
        unsigned busy = adaptive_limit(a);
        uint64_t tokens = 100 + 7919 * (s + 1) % 4000;
        double slow = busy > width ? (double)busy / width : 1;
        struct adaptive_sample x = { ADAPTIVE_GOOD, (uint64_t)((double)(500 + tokens) * 100 * slow), tokens, false, 0 };
        *now += 50;
        adaptive_add(a, &x, busy, *now);
    }
}

TEST(the_limit_is_found_and_found_again) {
    struct adaptive a;
    uint64_t now = 1000;
    adaptive_init(&a, 1, 200, 5);
    work(&a, 40, 300, &now);
    CHECK(adaptive_limit(&a) > 35);
    CHECK(adaptive_limit(&a) < 120); /* 1.5 times as slow is tolerated, and it grows by its root */
    work(&a, 10, 120, &now); /* it became smaller */
    CHECK(adaptive_limit(&a) < 40);
    work(&a, 100, 600, &now); /* and larger */
    CHECK(adaptive_limit(&a) > 80);
}

/* The same engine, asked for whole answers: reading takes 100 us a token, writing one 3 ms. */
static void work_whole(struct adaptive *a, unsigned width, unsigned seconds, uint64_t *now, bool streams) {
    for (unsigned s = 0; s < seconds * 40; s++, *now += 25) {
        unsigned busy = adaptive_limit(a);
        double slow = busy > width ? (double)busy / width : 1;
        uint64_t tokens = 100 + 7919 * (s + 1) % 4000, out = 10 + 6007 * (s + 1) % 900;
        bool whole = !streams || s % 2 == 0;
        double us = (double)(500 + tokens) * 100 + (whole ? (double)out * 3000 : 0);
        struct adaptive_sample x = { ADAPTIVE_GOOD, (uint64_t)(us * slow), tokens, whole, out };
        adaptive_add(a, &x, busy, *now);
    }
}

TEST(whole_answers_say_how_much_an_upstream_can_do_too) {
    for (int streams = 0; streams < 2; streams++) {
        struct adaptive a;
        uint64_t now = 1000;
        NOTE(streams ? "half of them stream" : "none streams");
        adaptive_init(&a, 1, 200, 5);
        work_whole(&a, 40, 200, &now, streams != 0);
        CHECK(adaptive_limit(&a) > 35 && adaptive_limit(&a) < 120);
        work_whole(&a, 10, 100, &now, streams != 0);
        CHECK(adaptive_limit(&a) < 40);
    }
}

TEST(overload_cuts_at_once_and_once_a_window) {
    struct adaptive a;
    adaptive_init(&a, 1, 100, 50);
    struct adaptive_sample no = { .end = ADAPTIVE_OVERLOADED };
    for (int i = 0; i < 30; i++) adaptive_add(&a, &no, 50, 5000);
    CHECK_UINT(adaptive_limit(&a), 40);
    adaptive_add(&a, &no, 40, 6100);
    CHECK_UINT(adaptive_limit(&a), 32);
    for (uint64_t t = 0; t < 100; t++) adaptive_add(&a, &no, 1, 8000 + 1000 * t);
    CHECK_UINT(adaptive_limit(&a), 1); /* never none */
}

TEST(idle_and_fixed_limits_stay) {
    struct adaptive a;
    uint64_t now = 1000;
    struct adaptive_sample x = { ADAPTIVE_GOOD, 100000, 500, false, 0 };
    adaptive_init(&a, 1, 100, 50);
    for (int i = 0; i < 1000; i++) adaptive_add(&a, &x, 3, now += 50);
    CHECK_UINT(adaptive_limit(&a), 50);
    adaptive_init(&a, 8, 8, 8);
    x.end = ADAPTIVE_OVERLOADED;
    for (int i = 0; i < 1000; i++) adaptive_add(&a, &x, 8, now += 50);
    CHECK_UINT(adaptive_limit(&a), 8);
}

/* -- Gate ------------------------------------------------------------------------------------------- */

struct world {
    struct loop   loop;
    struct gates *gates;
    struct gate  *gate;
};

struct client {
    struct gate_ticket *ticket;
    enum gate_answer    answer;
    bool                told;
    uint64_t            wait_ms;
};

static bool world_open(struct world *w, unsigned slots, unsigned queue) {
    memset(w, 0, sizeof(*w));
    if (loop_init(&w->loop) != 0) return false;
    w->loop.is_virtual = true;
    w->loop.virtual_ms = 100000;
    w->gates = gates_new();
    w->gate = w->gates != NULL ? gates_get(w->gates, SLICE("g")) : NULL;
    if (w->gate == NULL) {
        gates_free(w->gates);
        loop_deinit(&w->loop);
        return false;
    }
    struct gate_settings s = { .least = slots, .most = slots, .start = slots, .classes = 2, .most_waiting = queue,
                               .names = { "paid", "free" } };
    gate_configure(w->gate, &w->loop, &s);
    return true;
}

static void world_close(struct world *w) {
    gates_free(w->gates);
    loop_deinit(&w->loop);
}

static void on_told(void *ud, enum gate_answer how) {
    struct client *c = ud;
    c->told = true;
    c->ticket = NULL;
    c->answer = how;
}

static void enter_until(struct world *w, struct client *c, unsigned class_, const char *tenant, uint64_t deadline) {
    memset(c, 0, sizeof(*c));
    struct gate_entry e = { .loop = &w->loop, .class_ = class_, .flow = slice_str(tenant), .weight = 1, .cost = 1,
                            .deadline_ms = deadline, .told = on_told, .ud = c };
    c->answer = gate_enter(w->gate, &e, loop_now(&w->loop), &c->ticket, &c->wait_ms);
}

static void enter(struct world *w, struct client *c, unsigned class_, const char *tenant) {
    enter_until(w, c, class_, tenant, 0);
}

static void leave(struct world *w) {
    struct adaptive_sample s = { .end = ADAPTIVE_GOOD };
    gate_leave(w->gate, &w->loop, &s);
    loop_flush(&w->loop);
}

TEST(the_first_class_goes_first) {
    struct world w;
    if (!world_open(&w, 1, 10)) return;
    struct client a, b, c, d;
    enter(&w, &a, 1, "x");
    CHECK_INT(a.answer, GATE_OPEN);
    enter(&w, &b, 1, "x");
    enter(&w, &c, 1, "y");
    enter(&w, &d, 0, "x");
    if (d.answer != GATE_WAITS) goto done; /* no memory */
    leave(&w);
    CHECK(d.told && d.answer == GATE_OPEN && !b.told && !c.told);
    CHECK_DOUBLE(gate_saturation(w.gate), 3);
    leave(&w);
    leave(&w);
    CHECK(b.told && c.told);
    leave(&w);
    struct gate_count n;
    gate_count(w.gate, &n);
    CHECK_UINT(n.busy, 0);
    CHECK_UINT(n.waiting, 0);
    CHECK_UINT(n.of[0].admitted, 1);
    CHECK_UINT(n.of[1].admitted, 3);
    CHECK_STR(n.of[1].name, "free");
done:
    if (b.ticket) gate_give_up(b.ticket, false);
    if (c.ticket) gate_give_up(c.ticket, false);
    if (d.ticket) gate_give_up(d.ticket, false);
    world_close(&w);
}

TEST(as_many_wait_as_may) {
    struct world w;
    if (!world_open(&w, 1, 1)) return;
    struct client a, b, c;
    enter(&w, &a, 0, "x");
    enter(&w, &b, 0, "x");
    enter(&w, &c, 0, "y");
    CHECK_INT(b.answer, GATE_WAITS);
    CHECK_INT(c.answer, GATE_FULL);
    gate_give_up(b.ticket, true);
    enter(&w, &c, 0, "y");
    CHECK_INT(c.answer, GATE_WAITS);
    gate_give_up(c.ticket, false);
    struct gate_count n;
    gate_count(w.gate, &n);
    CHECK_UINT(n.of[0].late, 1);
    CHECK_UINT(n.of[0].left, 1);
    CHECK_UINT(n.of[0].full, 1);
    leave(&w);
    world_close(&w);
}

TEST(a_full_queue_makes_room_for_a_class_above) {
    struct world w;
    if (!world_open(&w, 1, 2)) return;
    struct client a, b, c, d, e, f;
    enter(&w, &a, 0, "x");
    enter(&w, &b, 1, "x");
    enter(&w, &c, 1, "x");
    enter(&w, &d, 0, "y");
    CHECK_INT(d.answer, GATE_WAITS);
    loop_flush(&w.loop);
    CHECK(c.told && c.answer == GATE_FULL && !b.told);
    enter(&w, &e, 0, "y");
    CHECK_INT(e.answer, GATE_WAITS);
    enter(&w, &f, 0, "y"); /* nobody below is left */
    CHECK_INT(f.answer, GATE_FULL);
    loop_flush(&w.loop);
    CHECK(b.told && b.answer == GATE_FULL);
    for (int i = 0; i < 3; i++) leave(&w);
    CHECK(d.answer == GATE_OPEN && e.answer == GATE_OPEN);
    CHECK_DOUBLE(gate_saturation(w.gate), 0);
    world_close(&w);
}

TEST(nobody_gets_into_a_closed_gate) {
    struct world w;
    if (!world_open(&w, 0, 5)) return;
    struct client a;
    enter(&w, &a, 0, "x");
    CHECK_INT(a.answer, GATE_CLOSED);
    CHECK_DOUBLE(gate_saturation(w.gate), 0);
    world_close(&w);
}

/* Between the slot and the news of it the client leaves: the next one has it. */
TEST(a_slot_of_who_left_goes_on) {
    struct world w;
    if (!world_open(&w, 1, 10)) return;
    struct client a, b, c;
    enter(&w, &a, 0, "x");
    enter(&w, &b, 0, "x");
    enter(&w, &c, 0, "x");
    CHECK(b.ticket != NULL && c.ticket != NULL);
    gate_leave(w.gate, &w.loop, &(struct adaptive_sample){ .end = ADAPTIVE_OTHER });
    gate_give_up(b.ticket, false); /* it was told already, but did not hear of it */
    loop_flush(&w.loop);
    CHECK(!b.told);
    CHECK(c.told && c.answer == GATE_OPEN);
    leave(&w);
    CHECK_DOUBLE(gate_saturation(w.gate), 0);
    world_close(&w);
}

TEST(the_hopeless_are_refused_when_they_come) {
    struct world w;
    if (!world_open(&w, 1, 100)) return;
    struct client all[40], late;
    for (int i = 0; i < 40; i++) enter(&w, &all[i], 0, "x");
    for (int i = 0; i < 12; i++) { /* a slot every 100 ms */
        w.loop.virtual_ms += 100;
        leave(&w);
    }
    uint64_t now = loop_now(&w.loop);
    enter_until(&w, &late, 0, "x", now + 1000); /* 27 wait ahead of it */
    CHECK_INT(late.answer, GATE_HOPELESS);
    CHECK(late.wait_ms > 2000 && late.wait_ms < 3500);
    enter_until(&w, &late, 0, "another", now + 1000); /* whose turn is soon */
    CHECK_INT(late.answer, GATE_WAITS);
    gate_give_up(late.ticket, false);
    while (gate_saturation(w.gate) > 0) leave(&w);
    world_close(&w);
}

TEST(more_slots_open_at_once) {
    struct world w;
    if (!world_open(&w, 1, 10)) return;
    struct client a, b;
    enter(&w, &a, 0, "x");
    enter(&w, &b, 0, "x");
    struct gate_settings s = { .least = 2, .most = 2, .start = 2, .classes = 1, .most_waiting = 10, .names = { "one" } };
    gate_configure(w.gate, &w.loop, &s);
    loop_flush(&w.loop);
    CHECK(b.told && b.answer == GATE_OPEN);
    leave(&w);
    leave(&w);
    world_close(&w);
}

/* -- Several threads ------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS  3000
#define SLOTS   3

static struct gate *shared_gate;
static atomic_int at_work, most_at_work, finished;

struct worker {
    struct loop    loop;
    struct mailbox mail;
    unsigned       left, under_way;
    bool           over;
};

struct visit {
    struct worker      *w;
    struct gate_ticket *ticket;
    struct timer        timer;
};

static void go(struct worker *w);

static void work_over(struct timer *t) {
    struct visit *v = container_of(t, struct visit, timer);
    struct worker *w = v->w;
    atomic_fetch_sub(&at_work, 1);
    gate_leave(shared_gate, &w->loop, &(struct adaptive_sample){ .end = ADAPTIVE_GOOD });
    free(v);
    w->under_way--;
    go(w);
}

static void start_work(struct visit *v) {
    int n = atomic_fetch_add(&at_work, 1) + 1, most = atomic_load(&most_at_work);
    while (n > most && !atomic_compare_exchange_weak(&most_at_work, &most, n)) continue;
    timer_start(&v->w->loop, &v->timer, rng_next(&v->w->loop.rng) % 2, work_over);
}

static void visit_told(void *ud, enum gate_answer how) {
    struct visit *v = ud;
    if (how == GATE_OPEN) start_work(v);
}


static void go(struct worker *w) {
    while (w->left > 0 && w->under_way < 8) {
        struct visit *v = calloc(1, sizeof(*v));
        uint64_t wait_ms;
        w->left--;
        v->w = w;
        struct gate_entry e = { .loop = &w->loop, .mail = &w->mail, .class_ = w->left % 2, .flow = SLICE("t"),
                                .weight = 1, .cost = 1, .told = visit_told, .ud = v };
        enum gate_answer a = gate_enter(shared_gate, &e, loop_now(&w->loop), &v->ticket, &wait_ms);
        if (a == GATE_WAITS && w->left % 5 == 0) { /* the client leaves at once */
            gate_give_up(v->ticket, false);
            free(v);
            continue;
        }
        w->under_way++;
        if (a == GATE_OPEN) start_work(v);
    }
    if (w->left == 0 && w->under_way == 0) w->over = true;
}

static void *run_worker(void *arg) {
    struct worker *w = arg;
    go(w);
    while (!w->over) uv_run(&w->loop.uv, UV_RUN_ONCE);
    atomic_fetch_add(&finished, 1);
    return NULL;
}

TEST_NOFAULT(slots_are_counted_over_threads) {
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    struct gates *gates = gates_new();
    shared_gate = gates_get(gates, SLICE("g"));
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(loop_init(&workers[i].loop), 0);
        CHECK_INT(mailbox_open(&workers[i].mail, &workers[i].loop, &workers[i]), 0);
        workers[i].left = ROUNDS;
    }
    struct gate_settings s = { .least = SLOTS, .most = SLOTS, .start = SLOTS, .classes = 2, .most_waiting = 1000,
                               .names = { "a", "b" } };
    gate_configure(shared_gate, &workers[0].loop, &s);
    for (int i = 0; i < THREADS; i++) CHECK_INT(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&finished), THREADS);
    CHECK_INT(atomic_load(&most_at_work), SLOTS);
    CHECK_DOUBLE(gate_saturation(shared_gate), 0);
    for (int i = 0; i < THREADS; i++) {
        mailbox_close(&workers[i].mail);
        loop_deinit(&workers[i].loop);
        mailbox_deinit(&workers[i].mail);
    }
    gates_free(gates);
}
