/* jobs.c -- the contract between those who ask a queue of jobs and those who are one.
 *
 *              jobs_begin()              driver: jobs_answer()
 *      IDLE ----------------> WAITING ------------------------> done(), IDLE
 *       ^                        |
 *       +--- jobs_cancel() ------+
 *       +--- deadline: forget, TIMEOUT; jobs_close: CANCELED, done()
 *
 *     worker 1: struct jobs --+
 *     worker 2: struct jobs --+-- struct jobs_store -- a thread and a file, memory, a server
 *
 * As store/store.c does for values: an answer comes later than the question, once, not after cancelling, within its
 * time, and not more than JOBS_WAITING wait.  What no queue could keep (names that are too long, a priority out of
 * range) is refused before it leaves.
 *
 * Watches.  Who shows events of a job to a client is told when there may be more: watch -> told -> EVENTS after the
 * last one that was seen.  A hint that is lost would be a stream that stands still, so drivers tell of any doubt
 * ("any job"), and a watch says nothing of what changed: it is asked for.  jobs_tell() first marks all watches that
 * it is for and then calls them, because each may begin and end others.
 *
 * All of it belongs to one loop's thread, but for the functions of the store. */
#include "jobs/jobs.h"

#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

void jobs_settings_init(struct jobs_settings *s) {
    *s = (struct jobs_settings){ .max_bytes = UINT64_C(4) << 30, .max_body = 16 << 20, .max_result = 16 << 20,
                                 .keep_ms = 24 * 3600 * 1000, .poll_ms = 250 };
}

/* -- Ops ------------------------------------------ */

static void detach(struct jobs_op *op) {
    timer_stop(op->jobs->loop, &op->deadline);
    list_remove(&op->link);
    op->jobs->count--;
    op->jobs = NULL;
}

static void give_up(struct jobs_op *op, int rc) {
    op->jobs->driver->forget(op->jobs, op);
    detach(op);
    op->done(op, &(struct jobs_answer){ .rc = rc }); /* may free op */
}

static void too_late(struct timer *t) { give_up(container_of(t, struct jobs_op, deadline), PERILUNE_ERR_TIMEOUT); }

static bool is_fine(const struct job *j) {
    return j->tenant.len <= JOB_TENANT_MAX && j->queue.len <= JOB_NAME_MAX && j->function.len <= JOB_NAME_MAX &&
           j->key.len <= JOB_KEY_MAX && j->webhook.len <= JOB_URL_MAX && j->priority >= -JOB_PRIORITY_MAX &&
           j->priority <= JOB_PRIORITY_MAX;
}

static bool may_ask(const struct jobs_ask *ask) {
    if (ask->count > JOBS_MOST || ask->event.name.len > JOB_NAME_MAX) return false;
    switch (ask->verb) {
    case JOBS_SUBMIT: return ask->job != NULL && is_fine(ask->job);
    case JOBS_FINISH: return ask->end != NULL && ask->end->status != JOB_RUNNING;
    case JOBS_HOOK_DONE: return ask->hook.state != JOB_HOOK_SENDING;
    default: return true;
    }
}

int jobs_begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask,
               void (*done)(struct jobs_op *op, const struct jobs_answer *a)) {
    if (!may_ask(ask)) return PERILUNE_ERR_INVAL;
    if (j->count >= j->limit) return PERILUNE_ERR_LIMITED;
    int rc = timer_start(j->loop, &op->deadline, ask->within_ms > 0 ? ask->within_ms : JOBS_WITHIN_MS, too_late);
    if (rc != 0) return rc;
    op->jobs = j;
    op->done = done;
    op->driver = NULL;
    list_append(&j->ops, &op->link);
    j->count++;
    rc = j->driver->begin(j, op, ask);
    if (rc != 0) detach(op);
    return rc;
}

void jobs_cancel(struct jobs_op *op) {
    if (op->jobs == NULL) return;
    op->jobs->driver->forget(op->jobs, op);
    detach(op);
}

void jobs_answer(struct jobs_op *op, const struct jobs_answer *a) {
    detach(op);
    op->done(op, a); /* may free op */
}

/* -- Words for operators ------------------------------------------ */

void jobs_say(struct jobs *j, struct log *log, const char *request, const struct jobs_answer *a) {
    static const char mine[] = "jobs: ";
    uint64_t now = loop_now(j->loop);
    if ((a->rc >= 0 && a->rc != JOBS_IS_FULL) || a->why == NULL) return;
    j->unsaid++;
    if (j->said_ms != 0 && now - j->said_ms < JOBS_SAY_MS) return;
    char times[40] = "";
    if (j->unsaid > 1) snprintf(times, sizeof(times), " (%u times)", j->unsaid);
    const char *begin = strncmp(a->why, mine, sizeof(mine) - 1) == 0 ? "" : mine;
    if (request != NULL) log_of_request(log, PERILUNE_LOG_ERROR, request, "%s%s%s", begin, a->why, times);
    else log_line(log, PERILUNE_LOG_ERROR, "%s%s%s", begin, a->why, times);
    j->said_ms = now > 0 ? now : 1;
    j->unsaid = 0;
}

/* -- Watches ------------------------------------------ */

static struct slice id_of(const struct chained *e) {
    return slice_str(container_of(e, struct jobs_watch, chained)->id);
}

int jobs_watch(struct jobs *j, struct jobs_watch *w, struct slice id) {
    jobs_unwatch(w);
    int rc = hashtable_reserve(&j->watches);
    if (rc != 0) return rc;
    slice_copy(w->id, sizeof(w->id), id);
    list_init(&w->pending);
    w->jobs = j;
    w->chained.hash = hash64(&j->key, slice_str(w->id));
    hashtable_add(&j->watches, &w->chained);
    return 0;
}

void jobs_unwatch(struct jobs_watch *w) {
    if (w->jobs == NULL) return;
    struct chained **at = hashtable_find(&w->jobs->watches, w->chained.hash, slice_str(w->id), id_of);
    while (*at != &w->chained) at = &(*at)->next; /* others may watch the same */
    hashtable_remove(&w->jobs->watches, at);
    list_remove(&w->pending);
    w->jobs = NULL;
}

static void mark(struct list *pending, struct chained *e) {
    struct jobs_watch *w = container_of(e, struct jobs_watch, chained);
    list_remove(&w->pending);
    list_append(pending, &w->pending);
}

void jobs_tell(struct jobs *j, struct slice id) {
    struct list pending;
    list_init(&pending);
    if (j->watches.count == 0) return;
    if (id.len == 0) {
        for (size_t i = 0; i < j->watches.cap; i++)
            for (struct chained *e = j->watches.slots[i]; e != NULL; e = e->next) mark(&pending, e);
    } else {
        uint64_t hash = hash64(&j->key, id);
        struct chained **at = hashtable_find(&j->watches, hash, id, id_of);
        for (struct chained *e = at ? *at : NULL; e != NULL; e = e->next)
            if (e->hash == hash && slice_eq(id_of(e), id)) mark(&pending, e);
    }
    while (!list_is_empty(&pending)) {
        struct jobs_watch *w = container_of(pending.next, struct jobs_watch, pending);
        list_remove(&w->pending);
        w->told(w); /* may free w, may unwatch any */
    }
}

static void unwatch_all(struct jobs *j) {
    for (size_t i = 0; i < j->watches.cap; i++)
        while (j->watches.slots[i] != NULL)
            jobs_unwatch(container_of(j->watches.slots[i], struct jobs_watch, chained));
    hashtable_deinit(&j->watches);
}

/* -- Life ------------------------------------------ */

struct jobs *jobs_open(struct jobs_store *s, struct loop *loop) {
    struct jobs *j = NULL;
    if (s->driver->attach(s, loop, &j) != 0) return NULL;
    j->driver = s->driver;
    j->loop = loop;
    j->limit = JOBS_WAITING;
    list_init(&j->ops);
    hash_key_random(&j->key);
    return j;
}

void jobs_close(struct jobs *j) {
    if (j == NULL) return;
    j->limit = 0; /* who hears of the end asks nothing more */
    while (!list_is_empty(&j->ops)) give_up(container_of(j->ops.next, struct jobs_op, link), PERILUNE_ERR_CANCELED);
    unwatch_all(j);
    j->driver->close(j);
}

int jobs_store_limit(struct jobs_store *s, const struct jobs_limits *l) { return s->driver->limit(s, l); }

void jobs_store_counts(struct jobs_store *s, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                       struct jobs_totals *totals) {
    s->driver->counts(s, each, ud, totals);
}

void jobs_store_close(struct jobs_store *s) {
    if (s != NULL) s->driver->shut(s);
}
