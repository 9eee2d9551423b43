/* store.c -- the contract between those who ask a store and those who are one.
 *
 *              store_begin()              driver: store_answer()
 *      IDLE ----------------> WAITING -------------------------> ANSWERED --next turn--> done(), IDLE
 *       ^                      |    |                                |
 *       +--- store_cancel() ---+----|--------------------------------+
 *       +--- deadline: forget, TIMEOUT; store_deinit: CANCELED, done()
 *
 * `shared` and `memo` answer at once, out of memory that workers share.  A store on another
 * machine answers later, or never; a policy that asks it waits as it waits for `fetch`.  So
 * the same few promises that an op of the bridge needs are kept here, once, for all drivers:
 * an answer comes later than the question, from the loop; once; not after cancelling; within
 * its time; and not more than `limit` questions wait.
 *
 * A driver knows how to send a question and how to recognise its answer, and nothing of these
 * promises: it may answer from within begin().
 *
 * All of it belongs to one loop's thread. */
#include "store/store.h"

#include "include/perilune.h"

void store_init(struct store *s, const struct store_driver *driver, struct loop *loop, unsigned limit) {
    *s = (struct store){ .driver = driver, .loop = loop, .limit = limit };
    list_init(&s->ops);
}

/* IDLE again; what it was answered is the caller's to give on or away. */
static void detach(struct store_op *op) {
    timer_stop(op->store->loop, &op->deadline);
    deferred_cancel(&op->later);
    list_remove(&op->link);
    op->store->count--;
    op->store = NULL;
    op->answered = false;
}

static void finish(struct store_op *op, struct store_answer a) {
    detach(op);
    op->done(op, &a); /* may free op */
}

static void hand_on(struct deferred *j) {
    struct store_op *op = container_of(j, struct store_op, later);
    finish(op, op->answer);
}

static void give_up(struct store_op *op, int rc) {
    if (op->answered) blob_put(op->answer.value);
    else op->store->driver->forget(op->store, op);
    finish(op, (struct store_answer){ .rc = rc });
}

static void too_late(struct timer *t) { give_up(container_of(t, struct store_op, deadline), PERILUNE_ERR_TIMEOUT); }

void store_deinit(struct store *s) {
    while (!list_is_empty(&s->ops)) give_up(container_of(s->ops.next, struct store_op, link), PERILUNE_ERR_CANCELED);
}

int store_begin(struct store *s, struct store_op *op, const struct store_ask *ask,
                void (*done)(struct store_op *op, struct store_answer *a)) {
    if (s->count >= s->limit) return PERILUNE_ERR_LIMITED;
    int rc = timer_start(s->loop, &op->deadline, ask->within_ms, too_late);
    if (rc != 0) return rc;
    op->store = s;
    op->done = done;
    op->answered = false;
    op->driver = NULL;
    list_append(&s->ops, &op->link);
    s->count++;
    s->driver->begin(s, op, ask);
    return 0;
}

void store_cancel(struct store_op *op) {
    if (op->store == NULL) return;
    if (op->answered) blob_put(op->answer.value);
    else op->store->driver->forget(op->store, op);
    detach(op);
}

void store_answer(struct store_op *op, const struct store_answer *a) {
    op->answer = *a;
    op->answered = true;
    timer_stop(op->store->loop, &op->deadline); /* it was in time, however long the turn lasts */
    loop_soon(op->store->loop, &op->later, hand_on);
}
