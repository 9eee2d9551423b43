/* test_store.c -- a store that answers later, played by timers on a virtual clock. */
#include "store/store.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

/* -- A fake: a far machine with one value ------------------------------------------------- */

struct fake {
    struct store store;
    uint64_t     takes_ms;  /* 0: answers within begin(); UINT64_MAX: never */
    int64_t      number;
    unsigned     forgotten;
};

struct question { /* on its way in the fake */
    struct timer     t;
    struct store_op *op;
    struct fake     *fake;
    int64_t          by;
};

static void answer(struct fake *f, struct store_op *op, int64_t by) {
    struct store_answer a = { .number = f->number += by };
    a.value = blob_copy(SLICE("value")); /* NULL under FAULT: as if there was no such key */
    store_answer(op, &a);
}

static void arrived(struct timer *t) {
    struct question *q = container_of(t, struct question, t);
    struct store_op *op = q->op;
    struct fake *f = q->fake;
    int64_t by = q->by;
    mem_free(q);
    op->driver = NULL;
    answer(f, op, by);
}

static void fake_begin(struct store *s, struct store_op *op, const struct store_ask *ask) {
    struct fake *f = container_of(s, struct fake, store);
    if (f->takes_ms == 0) {
        answer(f, op, ask->by);
        return;
    }
    struct question *q = mem_zalloc(sizeof(*q));
    if (q == NULL) {
        store_answer(op, &(struct store_answer){ .rc = PERILUNE_ERR_NOMEM });
        return;
    }
    *q = (struct question){ .op = op, .fake = f, .by = ask->by };
    op->driver = q;
    if (f->takes_ms != UINT64_MAX) timer_start(s->loop, &q->t, f->takes_ms, arrived);
}

static void fake_forget(struct store *s, struct store_op *op) {
    struct fake *f = container_of(s, struct fake, store);
    struct question *q = op->driver;
    timer_stop(s->loop, &q->t);
    mem_free(q);
    f->forgotten++;
}

static const struct store_driver driver = { .begin = fake_begin, .forget = fake_forget };

/* -- Who asks ----------------------------------------------------------------------------------- */

struct asker {
    struct store_op op;
    unsigned        times;
    int             rc;
    int64_t         number;
    bool            had_value;
    uint64_t        at_ms;
    struct loop    *loop;
    struct asker   *cancels; /* another one, when it hears */
};

static void heard(struct store_op *op, struct store_answer *a) {
    struct asker *k = container_of(op, struct asker, op);
    k->times++;
    k->rc = a->rc;
    k->number = a->number;
    k->had_value = a->value != NULL;
    k->at_ms = loop_now(k->loop);
    blob_put(a->value);
    if (k->cancels) store_cancel(&k->cancels->op);
}

static struct store_ask plus(int64_t by) {
    return (struct store_ask){ .verb = STORE_ADD, .key = SLICE("k"), .by = by, .within_ms = 100 };
}

struct world {
    struct loop loop;
    struct fake fake;
    struct asker a[3];
};

static void begin(struct world *w, uint64_t takes_ms) {
    memset(w, 0, sizeof(*w));
    CHECK_INT(loop_init(&w->loop), 0);
    w->loop.is_virtual = true;
    w->fake.takes_ms = takes_ms;
    store_init(&w->fake.store, &driver, &w->loop, 2);
    for (int i = 0; i < 3; i++) w->a[i].loop = &w->loop;
}

static int ask(struct world *w, int i, int64_t by) {
    struct store_ask q = plus(by);
    return store_begin(&w->fake.store, &w->a[i].op, &q, heard);
}

static void turn(struct world *w) {
    static const bool never;
    loop_run_virtual(&w->loop, &never);
}

static void end(struct world *w) {
    store_deinit(&w->fake.store);
    CHECK_UINT(w->fake.store.count, 0);
    loop_deinit(&w->loop);
}

TEST_NOFAULT(an_answer_comes_later_and_once) {
    static const uint64_t takes[] = { 0, 1, 99 };
    for (size_t i = 0; i < sizeof(takes) / sizeof(*takes); i++) {
        struct world w;
        begin(&w, takes[i]);
        uint64_t start = loop_now(&w.loop);
        CHECK_INT(ask(&w, 0, 5), 0);
        CHECK_UINT(w.a[0].times, 0); /* not from within */
        turn(&w);
        CHECK_UINT(w.a[0].times, 1);
        CHECK_INT(w.a[0].rc, 0);
        CHECK_INT(w.a[0].number, 5);
        CHECK(w.a[0].had_value);
        CHECK_UINT(w.a[0].at_ms - start, takes[i]);
        CHECK_INT(ask(&w, 0, 5), 0); /* the op can be used again */
        turn(&w);
        CHECK_INT(w.a[0].number, 10);
        end(&w);
    }
}

TEST_NOFAULT(no_answer_is_an_answer_in_time) {
    struct world w;
    begin(&w, UINT64_MAX);
    CHECK_INT(ask(&w, 0, 1), 0);
    turn(&w);
    CHECK_UINT(w.a[0].times, 1);
    CHECK_INT(w.a[0].rc, PERILUNE_ERR_TIMEOUT);
    CHECK_UINT(w.fake.forgotten, 1);
    end(&w);
}

TEST_NOFAULT(canceling_is_silence) {
    static const uint64_t takes[] = { 0, 50, UINT64_MAX }; /* answered already, on its way, lost */
    for (size_t i = 0; i < sizeof(takes) / sizeof(*takes); i++) {
        struct world w;
        begin(&w, takes[i]);
        CHECK_INT(ask(&w, 0, 1), 0);
        store_cancel(&w.a[0].op);
        store_cancel(&w.a[0].op); /* waits for nothing any more */
        turn(&w);
        CHECK_UINT(w.a[0].times, 0);
        CHECK_UINT(w.fake.forgotten, takes[i] == 0 ? 0 : 1);
        end(&w);
    }
}

TEST_NOFAULT(one_that_hears_may_cancel_another) {
    struct world w;
    begin(&w, 10); /* both answers are due in the same turn */
    w.a[0].cancels = &w.a[1];
    CHECK_INT(ask(&w, 0, 1), 0);
    CHECK_INT(ask(&w, 1, 1), 0);
    turn(&w);
    CHECK_UINT(w.a[0].times, 1);
    CHECK_UINT(w.a[1].times, 0);
    end(&w);
}

TEST_NOFAULT(so_many_wait_and_no_more) {
    struct world w;
    begin(&w, 10);
    CHECK_INT(ask(&w, 0, 1), 0);
    CHECK_INT(ask(&w, 1, 1), 0);
    CHECK_INT(ask(&w, 2, 1), PERILUNE_ERR_LIMITED);
    turn(&w);
    CHECK_UINT(w.a[2].times, 0);
    CHECK_INT(ask(&w, 2, 1), 0);
    end(&w); /* and it hears of the end */
    CHECK_UINT(w.a[2].times, 1);
    CHECK_INT(w.a[2].rc, PERILUNE_ERR_CANCELED);
}

TEST(without_memory) {
    struct world w;
    begin(&w, 10);
    int rc = ask(&w, 0, 1);
    turn(&w);
    if (rc == 0) CHECK(w.a[0].times == 1 && (w.a[0].rc == 0 || w.a[0].rc == PERILUNE_ERR_NOMEM));
    else CHECK(rc == PERILUNE_ERR_NOMEM && w.a[0].times == 0);
    end(&w);
}
