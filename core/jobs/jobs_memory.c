/* jobs_memory.c -- jobs in memory: gone with the process.
 *
 *     worker 1: end --begin--> lock, job_verb_run, unlock --> answer, later in the turn
 *     worker 2: end ------------^            |
 *       ^                                    v
 *       +------------- news -------- ends are told, and set their alarms anew
 *
 * For who configures no file, and for specifications, which run in virtual time.  What jobs do is the same as in a
 * file: job_verbs.c.  All workers of the process share one table behind a lock; a verb takes microseconds, so none
 * waits for long.
 *
 * Time: each end has an alarm for the moment when time alone changes something, and whichever rings first does it
 * for all.  What is over is forgotten by the way, a few with each question: no alarm rings for it, so that virtual
 * time, which jumps to the next alarm, is not a day later when all is done.
 *
 * The steady clock is the loop's where its time is virtual, else CLOCK_MONOTONIC. */
#include "jobs/jobs_memory.h"

#include "include/perilune.h"
#include "jobs/job_clock.h"
#include "jobs/jobs_end.h"
#include "jobs/jobs_memory_table.h"

#define PER_ALARM 100 /* jobs that time changes, before others have their turn */
#define PER_OP    2

struct memory_store {
    struct jobs_store    store;
    struct jobs_settings settings;
    pthread_mutex_t      lock;
    struct job_limits   *limits;   /* LOCK, and the rest */
    struct memory_table  table;
    struct list          ends;
    int64_t              offset;   /* wall - steady */
};

struct memory_end {
    struct jobs_end      end;
    struct memory_store *store;
    struct timer         alarm;
    struct deferred      later;
    struct list          answered; /* struct memory_op */
};

struct memory_op {
    struct list      link;
    struct job_call  call;
    struct jobs_op  *op;
};

static struct memory_end *end_of(struct jobs *j) { return container_of(j, struct memory_end, end.jobs); }

/* -- Time ------------------------------------------ */

/* LOCK */
static void look_at_clocks(struct memory_store *s, const struct loop *loop) {
    struct job_now now = job_clock_read(&s->settings);
    if (loop->is_virtual && s->settings.steady_ms == NULL) now.steady = loop_now(loop) + 1; /* 0 is never */
    if (loop->is_virtual && s->settings.wall_ms == NULL) now.wall = loop_now(loop);
    s->table.table.now = now;
    if (!job_clock_jumped(now, s->offset)) return;
    s->offset = (int64_t)(now.wall - now.steady);
    memory_table_clock(&s->table);
}

static void rang(struct timer *t);

static void set_alarm(struct memory_end *e) {
    pthread_mutex_lock(&e->store->lock);
    look_at_clocks(e->store, e->end.jobs.loop);
    uint64_t at = memory_table_next(&e->store->table), now = e->store->table.table.now.steady;
    pthread_mutex_unlock(&e->store->lock);
    timer_stop(e->end.jobs.loop, &e->alarm);
    if (at == UINT64_MAX) return;
    /* Without memory for a timer, the next question sets it. */
    timer_start(e->end.jobs.loop, &e->alarm, at > now ? at - now : 0, rang);
}

/* LOCK: who changes jobs says so to all. */
static void tell_all(struct memory_store *s) {
    struct job_changes news = s->table.table.changes;
    s->table.table.changes = (struct job_changes){ .count = 0 };
    for (struct list *l = s->ends.next; l != &s->ends; l = l->next)
        jobs_end_tell(container_of(l, struct jobs_end, link), &news);
}

/* A webhook that is due is taken, not changed by time: it rings once. */
static void rang(struct timer *t) {
    struct memory_end *e = container_of(t, struct memory_end, alarm);
    struct memory_store *s = e->store;
    pthread_mutex_lock(&s->lock);
    look_at_clocks(s, e->end.jobs.loop);
    s->table.table.limits = s->limits;
    bool hook = memory_table_hook_due(&s->table);
    int rc = job_verb_time(&s->table.table, PER_ALARM);
    s->table.table.changes.hook_due |= hook;
    if (hook) s->table.table.hooks_told = s->table.table.now.steady;
    tell_all(s);
    uint64_t at = memory_table_next(&s->table), now = s->table.table.now.steady;
    pthread_mutex_unlock(&s->lock);
    if (at == UINT64_MAX) return;
    if (rc < 0 && e->end.jobs.loop->is_virtual) return; /* time that jumps would never come to an end */
    uint64_t pause = rc < 0 ? 1000 : 0; /* no memory: later */
    timer_start(e->end.jobs.loop, &e->alarm, at > now + pause ? at - now : pause, rang);
}

/* -- Ops ------------------------------------------ */

static void op_free(struct memory_op *o) {
    job_call_deinit(&o->call);
    mem_free(o);
}

static void hand_out(struct deferred *d) {
    struct memory_end *e = container_of(d, struct memory_end, later);
    struct list now;
    list_take(&now, &e->answered);
    jobs_end_ref(&e->end); /* who hears may close */
    while (!list_is_empty(&now)) {
        struct memory_op *o = container_of(now.next, struct memory_op, link);
        list_remove(&o->link);
        jobs_answer(o->op, &o->call.answer);
        op_free(o);
    }
    jobs_end_put(&e->end);
}

static int begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask) {
    struct memory_end *e = end_of(j);
    struct memory_store *s = e->store;
    struct memory_op *o = mem_zalloc(sizeof(*o));
    if (o == NULL) return PERILUNE_ERR_NOMEM;
    int rc = job_call_init(&o->call, ask);
    if (rc != 0) {
        mem_free(o);
        return rc;
    }
    o->op = op;
    op->driver = o;
    pthread_mutex_lock(&s->lock);
    look_at_clocks(s, j->loop);
    s->table.table.limits = s->limits;
    job_verb_time(&s->table.table, PER_OP);
    job_verb_run(&s->table.table, &o->call);
    tell_all(s);
    pthread_mutex_unlock(&s->lock);
    set_alarm(e);
    list_append(&e->answered, &o->link);
    loop_soon(j->loop, &e->later, hand_out);
    return 0;
}

static void forget(struct jobs *j, struct jobs_op *op) {
    struct memory_op *o = op->driver;
    (void)j;
    list_remove(&o->link);
    op_free(o);
}

/* -- Life ------------------------------------------ */

static void heard(struct jobs_end *e) { set_alarm(container_of(e, struct memory_end, end)); }

static int attach(struct jobs_store *store, struct loop *loop, struct jobs **out) {
    struct memory_store *s = container_of(store, struct memory_store, store);
    struct memory_end *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    int rc = jobs_end_open(&e->end, loop);
    if (rc != 0) {
        mem_free(e);
        return rc;
    }
    e->store = s;
    e->end.heard = heard;
    list_init(&e->answered);
    pthread_mutex_lock(&s->lock);
    list_append(&s->ends, &e->end.link);
    pthread_mutex_unlock(&s->lock);
    set_alarm(e);
    *out = &e->end.jobs;
    return 0;
}

static void close_end(struct jobs *j) {
    struct memory_end *e = end_of(j);
    pthread_mutex_lock(&e->store->lock);
    list_remove(&e->end.link);
    pthread_mutex_unlock(&e->store->lock);
    timer_stop(j->loop, &e->alarm);
    deferred_cancel(&e->later);
    jobs_end_close(&e->end);
}

static int limit(struct jobs_store *store, const struct jobs_limits *l) {
    struct memory_store *s = container_of(store, struct memory_store, store);
    struct job_limits *own = job_limits_new(l);
    if (own == NULL) return PERILUNE_ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    struct job_limits *old = s->limits;
    s->limits = own;
    s->table.table.changes.due = true; /* there may be room now */
    tell_all(s);
    pthread_mutex_unlock(&s->lock);
    job_limits_put(old);
    return 0;
}

static void counts(struct jobs_store *store, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                   struct jobs_totals *totals) {
    struct memory_store *s = container_of(store, struct memory_store, store);
    pthread_mutex_lock(&s->lock);
    if (each) memory_table_counts(&s->table, each, ud);
    if (totals)
        *totals = (struct jobs_totals){ .jobs = s->table.jobs, .hooks = s->table.open_hooks, .bytes = s->table.bytes };
    pthread_mutex_unlock(&s->lock);
}

static void shut(struct jobs_store *store) {
    struct memory_store *s = container_of(store, struct memory_store, store);
    memory_table_deinit(&s->table);
    job_limits_put(s->limits);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static const struct jobs_driver driver = { "memory", attach, limit, counts, shut, begin, forget, close_end };

int jobs_memory_open(struct jobs_store **out, const struct jobs_settings *s, const struct jobs_limits *l) {
    *out = NULL;
    struct memory_store *m = mem_zalloc(sizeof(*m));
    struct job_limits *limits = job_limits_new(l);
    if (m == NULL || limits == NULL || pthread_mutex_init(&m->lock, NULL) != 0) {
        mem_free(m);
        job_limits_put(limits);
        return PERILUNE_ERR_NOMEM;
    }
    m->store.driver = &driver;
    m->settings = *s;
    m->limits = limits;
    list_init(&m->ends);
    memory_table_init(&m->table, &m->settings);
    struct job_now now = job_clock_read(s);
    m->offset = (int64_t)(now.wall - now.steady);
    *out = &m->store;
    return 0;
}
