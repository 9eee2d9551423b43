/* jobs_file.c -- jobs in a file: the embedded queue.
 *
 *     worker 1: end --call--> [ queue, bounded ] --group--> thread: BEGIN, verb, verb, verb, COMMIT
 *     worker 2: end --call-------^                             |       (one fdatasync for all of them)
 *       ^  ^                                                   |
 *       |  +------------- answers, a letter each --------------+
 *       +---------------- news, one letter for all ------------+
 *
 * A disk makes some thousand writes safe in a second, one after the other; it makes as many bytes safe at once as
 * were written before.  So what was asked while the last group was being written is the next group: alone, a job waits
 * for one write and nobody else; under load, a write carries hundreds.  Nobody waits for company.
 *
 * If a group cannot be committed, it is taken back and each of its questions is tried alone: one that is too large
 * for a full disk does not fail the others.  What fails alone is answered with PERILUNE_ERR_IO and a sentence, and
 * nothing of it is kept.  The next question tries again, so a disk that has room again is all that is needed.
 *
 * Time: when the first lease, wait, expiry or keeping ends, the thread does what is due (job_verb_time), at most
 * PER_TURN jobs between two groups.  Other processes may use the same file.  Their transactions and ours exclude each
 * other; a lease is a number in the file, so it is respected by all; what they did is noticed every poll_ms
 * (PRAGMA data_version, a number in shared memory), and then all who watch are told.
 *
 * Ends: a call holds a share of its end, and the end's mailbox refuses letters once the worker has closed it; then
 * the thread frees the call.  A call that nobody waits for any more (`forgotten`) and that was not begun is not begun;
 * of one that took jobs for him they are given back, as if they had not been taken.
 *
 * Threads: begin, forget, attach, close: the loop's; limit, counts: any; the table is the thread's alone. */
#include "jobs/jobs_file.h"

#include <errno.h>
#include <stdio.h>

#include "include/perilune.h"
#include "jobs/file_table.h"
#include "jobs/job_clock.h"
#include "jobs/jobs_end.h"

#define GROUP        1024               /* calls in a transaction */
#define GROUP_BYTES  (16 * 1024 * 1024) /* of their texts */
#define QUEUE_BYTES  (256 * 1024 * 1024)
#define PER_TURN     50                 /* jobs that time changes, between two groups */
#define COUNTS_MS    1000
#define IDLE_MS      1000               /* without a question: time to tidy */
#define FAULT_MS     500                /* from one that time met to the next try */
#define SAY_MS       10000              /* between two lines about the same fault */
#define WELL_MS      2000               /* without a fault, and it is over */

struct file_call {
    struct list      link;       /* queue, then group */
    struct letter    letter;
    struct job_call  call;
    struct file_end *end;
    struct jobs_op  *op;         /* the loop's; NULL: nobody waits */
    size_t           bytes;
    atomic_bool      forgotten;
    bool             gives_back; /* what it took: it is on its way for the second time */
};

struct file_end {
    struct jobs_end    end;
    struct file_store *store;
};

struct counted {
    char              name[JOB_NAME_MAX + 1];
    struct jobs_count c;
};

struct file_store {
    struct jobs_store    store;
    struct jobs_settings settings;
    pthread_t            thread;
    pthread_mutex_t      lock;
    pthread_cond_t       woken;
    struct list          queue;       /* LOCK: struct file_call */
    unsigned             waiting;     /* LOCK */
    size_t               bytes;       /* LOCK: of the queue's texts */
    bool                 over;        /* LOCK */
    struct list          ends;        /* LOCK */
    struct job_limits   *limits;      /* LOCK */
    bool                 new_limits;  /* LOCK: who takes is to be told */
    struct counted      *counts;      /* LOCK */
    unsigned             count_len;   /* LOCK */
    struct jobs_totals   totals;      /* LOCK */
    /* The thread's. */
    struct file_table    table;
    uint64_t             next_at;     /* steady; UINT64_MAX: never */
    uint64_t             looked_ms, counted_ms, busy_ms, said_ms, fault_ms, not_before_ms; /* monotonic */
    unsigned             faults;      /* since a line told of one */
    uint64_t             count_pause; /* ms */
    bool                 changed;     /* since it was counted */
    bool                 failing, held, tidy; /* failing, held: a line has told of it */
    struct counted      *fresh;       /* being counted */
    unsigned             fresh_len, fresh_cap;
};

static uint64_t clock_ms(void) { return stamp_ms(CLOCK_MONOTONIC); }

/* -- Calls: the loop ------------------------------------------ */

static void call_free(struct file_call *c) {
    jobs_end_put(&c->end->end);
    job_call_deinit(&c->call);
    mem_free(c);
}

/* False: the queue is full. */
static bool put(struct file_store *s, struct file_call *c) {
    pthread_mutex_lock(&s->lock);
    bool room = s->bytes + c->bytes <= QUEUE_BYTES || s->waiting == 0 || c->gives_back;
    if (room) {
        list_append(&s->queue, &c->link);
        s->bytes += c->bytes;
        if (s->waiting++ == 0) pthread_cond_signal(&s->woken);
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

/* Nobody hears the answer [loop, or the thread when the end is closed].  What it took goes back once. */
static void drop(struct file_call *c) {
    const struct jobs_answer *a = &c->call.answer;
    bool took = c->call.ask.verb == JOBS_TAKE && a->rc == 0 && a->count > 0 && !c->gives_back;
    c->gives_back = took;
    if (took) put(c->end->store, c);
    else call_free(c);
}

static void opened(struct letter *m, void *owner) {
    struct file_call *c = container_of(m, struct file_call, letter);
    (void)owner;
    if (c->op == NULL) {
        drop(c);
        return;
    }
    jobs_answer(c->op, &c->call.answer); /* may close the end: c has a share of it */
    call_free(c);
}

static int begin(struct jobs *j, struct jobs_op *op, const struct jobs_ask *ask) {
    struct file_end *e = container_of(j, struct file_end, end.jobs);
    struct file_store *s = e->store;
    size_t bytes = sizeof(struct file_call) + ask->event.data.len;
    if (ask->job != NULL) bytes += ask->job->body.len + ask->job->headers.len;
    if (ask->end != NULL) bytes += ask->end->result.len + ask->end->error.len;
    struct file_call *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return PERILUNE_ERR_NOMEM;
    int rc = job_call_init(&c->call, ask);
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    c->bytes = bytes;
    c->end = e;
    c->op = op;
    jobs_end_ref(&e->end);
    if (!put(s, c)) {
        call_free(c);
        return PERILUNE_ERR_LIMITED;
    }
    op->driver = c;
    return 0;
}

static void forget(struct jobs *j, struct jobs_op *op) {
    struct file_call *c = op->driver;
    (void)j;
    c->op = NULL;
    atomic_store(&c->forgotten, true);
}

/* -- Words for operators: the thread ------------------------------------------ */

/* A line for the first fault and one for each SAY_MS of them, however often one is followed by a success. */
static void say_fault(struct file_store *s) {
    s->fault_ms = clock_ms();
    s->faults++;
    if (s->failing && s->fault_ms - s->said_ms < SAY_MS) return;
    s->said_ms = s->fault_ms;
    if (s->settings.log && s->faults > 1)
        log_line(s->settings.log, PERILUNE_LOG_ERROR, "%s (%u times)", s->table.table.why, s->faults);
    else if (s->settings.log)
        log_line(s->settings.log, PERILUNE_LOG_ERROR, "%s", s->table.table.why);
    s->failing = true;
    s->faults = 0;
}

static void say_well(struct file_store *s, uint64_t now) {
    if (!s->failing || now < s->fault_ms + WELL_MS || s->table.db.broken) return; /* now may be older than the fault */
    s->failing = false;
    s->faults = 0;
    if (s->settings.log) log_line(s->settings.log, PERILUNE_LOG_INFO, "jobs: %s: is written again", s->table.db.path);
}

static void say_held(struct file_store *s) {
    bool held = s->table.table.held;
    if (held != s->held && s->settings.log && held)
        log_line(s->settings.log, PERILUNE_LOG_WARN, "jobs: %s: it holds more than it may (max_bytes), so jobs that "
                 "wait are not begun until some of those that have ended are forgotten", s->table.db.path);
    s->held = held;
}

static void tell_all(struct file_store *s) {
    struct job_changes news = s->table.table.changes;
    s->table.table.changes = (struct job_changes){ .count = 0 };
    if (s->table.db.others_wrote) news.all = news.due = news.hook_due = true;
    if (s->table.db.others_wrote) s->changed = true;
    s->table.db.others_wrote = false;
    pthread_mutex_lock(&s->lock);
    for (struct list *l = s->ends.next; l != &s->ends; l = l->next)
        jobs_end_tell(container_of(l, struct jobs_end, link), &news);
    pthread_mutex_unlock(&s->lock);
}

/* -- Groups: the thread ------------------------------------------ */

static bool writes(const struct file_call *c) {
    enum jobs_verb v = c->call.ask.verb;
    return v != JOBS_GET && v != JOBS_LIST && v != JOBS_EVENTS && v != JOBS_HOOKS;
}

static void fail_call(struct file_call *c, int rc, const char *why) {
    char *own = why ? arena_dup(&c->call.arena, slice_str(why)) : NULL;
    c->call.answer = (struct jobs_answer){ .rc = rc, .why = own };
}

static int run_calls(struct file_store *s, struct list *group, struct file_call *only) {
    for (struct list *l = group->next; l != group; l = l->next) {
        struct file_call *c = container_of(l, struct file_call, link);
        if (only != NULL && c != only) continue;
        if (c->gives_back) job_verb_untake(&s->table.table, &c->call);
        else job_verb_run(&s->table.table, &c->call);
        if (c->call.answer.rc < 0) return c->call.answer.rc;
    }
    return 0;
}

/* *began: it could be begun, so that what failed is one of the questions, or their sum. */
static int transaction(struct file_store *s, struct list *group, struct file_call *only, bool write, bool *began) {
    int rc = file_table_begin(&s->table, write);
    *began = rc == 0;
    if (rc == 0) rc = run_calls(s, group, only);
    if (rc == 0) rc = file_table_commit(&s->table);
    if (rc != 0) file_table_rollback(&s->table);
    return rc;
}

/* Each alone.  When not even a transaction can be begun, the others do not wait for the same. */
static void run_apart(struct file_store *s, struct list *group, int rc, bool began) {
    int worst = began ? 0 : rc;
    for (struct list *l = group->next; l != group; l = l->next) {
        struct file_call *c = container_of(l, struct file_call, link);
        if (began) rc = transaction(s, group, c, writes(c), &began);
        if (rc == 0) continue;
        worst = rc;
        fail_call(c, rc, rc == PERILUNE_ERR_IO ? s->table.table.why : "jobs: there is no memory");
    }
    if (worst == PERILUNE_ERR_IO) say_fault(s);
}

static void send_answers(struct list *group) {
    while (!list_is_empty(group)) {
        struct file_call *c = container_of(group->next, struct file_call, link);
        list_remove(&c->link);
        if (!mailbox_send(&c->end->end.box, &c->letter, opened)) drop(c);
    }
}

static void run_group(struct file_store *s, struct list *group) {
    bool write = false;
    for (struct list *l = group->next, *next; l != group; l = next) {
        struct file_call *c = container_of(l, struct file_call, link);
        next = l->next;
        if (atomic_load(&c->forgotten) && !c->gives_back) { /* it would be done for nobody */
            list_remove(&c->link);
            struct list one;
            list_init(&one);
            list_append(&one, &c->link);
            fail_call(c, PERILUNE_ERR_CANCELED, NULL);
            send_answers(&one);
            continue;
        }
        write |= writes(c);
    }
    if (list_is_empty(group)) return;
    bool began;
    int rc = transaction(s, group, NULL, write, &began);
    if (rc != 0) run_apart(s, group, rc, began);
    say_held(s);
    s->changed |= write;
    tell_all(s);
    send_answers(group);
    s->next_at = file_table_next(&s->table);
}

/* -- Time: the thread ------------------------------------------ */

/* More is due: true. */
static bool do_what_is_due(struct file_store *s) {
    uint64_t now = s->table.db.db != NULL ? file_db_now(&s->table.db).steady : 0;
    if (s->next_at > now || clock_ms() < s->not_before_ms) return false;
    int rc = file_table_begin(&s->table, true), more = 0;
    if (rc == 0) more = job_verb_time(&s->table.table, PER_TURN);
    if (rc == 0) rc = more < 0 ? more : file_table_commit(&s->table);
    if (rc != 0) file_table_rollback(&s->table);
    if (rc == PERILUNE_ERR_IO) say_fault(s);
    if (rc == 0) { /* perhaps it was a webhook's time: it is taken, not changed by time */
        s->table.table.changes.hook_due = true;
        s->table.table.hooks_told = s->table.table.now.steady;
    }
    s->changed = s->tidy = true;
    tell_all(s);
    if (rc == 0) s->next_at = file_table_next(&s->table);
    else s->not_before_ms = clock_ms() + FAULT_MS;
    return more > 0;
}

/* What did other processes do, and was the wall clock set? */
static void look_around(struct file_store *s, uint64_t now) {
    if (now - s->looked_ms < s->settings.poll_ms) return;
    s->looked_ms = now;
    if (s->table.db.broken || file_db_look(&s->table.db) != 0) { /* whoever comes first opens it again */
        s->next_at = 0;
        return;
    }
    if (job_clock_jumped(file_db_now(&s->table.db), s->table.db.offset)) s->next_at = 0;
    if (!s->table.db.others_wrote) return;
    tell_all(s);
    uint64_t at = file_table_next(&s->table);
    if (at < s->next_at) s->next_at = at;
}

static void keep_count(void *ud, const struct jobs_count *c) {
    struct file_store *s = ud;
    if (!mem_grow((void **)&s->fresh, s->fresh_len, &s->fresh_cap, sizeof(*s->fresh))) return;
    struct counted *n = &s->fresh[s->fresh_len++];
    n->c = *c;
    slice_copy(n->name, sizeof(n->name), c->queue);
}

/* Less often where it takes longer. */
static void count_now(struct file_store *s, uint64_t now) {
    struct jobs_totals totals;
    if (!s->changed || now - s->counted_ms < s->count_pause || s->table.db.broken) return;
    s->fresh = NULL;
    s->fresh_len = s->fresh_cap = 0;
    bool ok = file_table_counts(&s->table, keep_count, s, &totals) == 0;
    s->counted_ms = clock_ms();
    s->count_pause = COUNTS_MS + 20 * (s->counted_ms - now);
    s->changed = false;
    if (!ok) {
        mem_free(s->fresh);
        return;
    }
    pthread_mutex_lock(&s->lock);
    struct counted *old = s->counts;
    s->counts = s->fresh;
    s->count_len = s->fresh_len;
    s->totals = totals;
    pthread_mutex_unlock(&s->lock);
    mem_free(old);
}

static void tidy_when_idle(struct file_store *s, uint64_t now) {
    if (!s->tidy || now - s->busy_ms < IDLE_MS) return;
    s->tidy = file_db_tidy(&s->table.db);
}

/* -- The thread ------------------------------------------ */

static uint64_t pause_ms(const struct file_store *s) {
    uint64_t most = s->settings.poll_ms > 0 ? s->settings.poll_ms : 1;
    uint64_t now = s->table.db.db != NULL ? file_db_now(&s->table.db).steady : 0;
    uint64_t until = s->next_at > now ? s->next_at - now : 0, real = clock_ms();
    if (until == 0 && s->not_before_ms > real) until = s->not_before_ms - real;
    return until < most ? until : most;
}

/* LOCK */
static void await(struct file_store *s, uint64_t ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    while (list_is_empty(&s->queue) && !s->over && !s->new_limits)
        if (pthread_cond_timedwait(&s->woken, &s->lock, &at) != 0) return;
}

/* LOCK */
static void take_group(struct file_store *s, struct list *group) {
    size_t bytes = 0;
    for (unsigned n = 0; n < GROUP && bytes < GROUP_BYTES && !list_is_empty(&s->queue); n++) {
        struct file_call *c = container_of(s->queue.next, struct file_call, link);
        list_remove(&c->link);
        list_append(group, &c->link);
        bytes += c->bytes;
        s->waiting--;
        s->bytes -= c->bytes;
    }
}

static void *file_main(void *arg) {
    struct file_store *s = arg;
    bool over = false, more = false;
    while (!over) {
        struct list group;
        list_init(&group);
        uint64_t wait = more ? 0 : pause_ms(s);
        pthread_mutex_lock(&s->lock);
        if (wait > 0) await(s, wait);
        take_group(s, &group);
        over = s->over && list_is_empty(&group);
        s->table.table.changes.due |= s->new_limits; /* there may be room now */
        s->new_limits = false;
        struct job_limits *limits = job_limits_ref(s->limits);
        pthread_mutex_unlock(&s->lock);
        s->table.table.limits = limits;
        uint64_t now = clock_ms();
        if (!list_is_empty(&group)) {
            s->busy_ms = now;
            s->tidy = true;
            run_group(s, &group);
        } else if (s->table.table.changes.due) {
            tell_all(s);
        }
        look_around(s, now);
        say_well(s, now);
        more = do_what_is_due(s);
        count_now(s, clock_ms());
        tidy_when_idle(s, now);
        job_limits_put(limits);
    }
    return NULL;
}

/* -- Life ------------------------------------------ */

static int attach(struct jobs_store *store, struct loop *loop, struct jobs **out) {
    struct file_store *s = container_of(store, struct file_store, store);
    struct file_end *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    int rc = jobs_end_open(&e->end, loop);
    if (rc != 0) {
        mem_free(e);
        return rc;
    }
    e->store = s;
    pthread_mutex_lock(&s->lock);
    list_append(&s->ends, &e->end.link);
    pthread_mutex_unlock(&s->lock);
    *out = &e->end.jobs;
    return 0;
}

static void close_end(struct jobs *j) {
    struct file_end *e = container_of(j, struct file_end, end.jobs);
    pthread_mutex_lock(&e->store->lock);
    list_remove(&e->end.link);
    pthread_mutex_unlock(&e->store->lock);
    jobs_end_close(&e->end);
}

static int limit(struct jobs_store *store, const struct jobs_limits *l) {
    struct file_store *s = container_of(store, struct file_store, store);
    struct job_limits *own = job_limits_new(l);
    if (own == NULL) return PERILUNE_ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    struct job_limits *old = s->limits;
    s->limits = own;
    s->new_limits = true;
    pthread_cond_signal(&s->woken);
    pthread_mutex_unlock(&s->lock);
    job_limits_put(old);
    return 0;
}

static void counts(struct jobs_store *store, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                   struct jobs_totals *totals) {
    struct file_store *s = container_of(store, struct file_store, store);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; each != NULL && i < s->count_len; i++) {
        struct jobs_count c = s->counts[i].c;
        c.queue = slice_str(s->counts[i].name);
        each(ud, &c);
    }
    if (totals) *totals = s->totals;
    pthread_mutex_unlock(&s->lock);
}

static void free_all(struct file_store *s) {
    job_counts_clear(&s->table.table.counts);
    if (s->table.db.db != NULL) file_db_close(&s->table.db);
    job_limits_put(s->limits);
    mem_free(s->counts);
    mem_free(s);
}

static void shut(struct jobs_store *store) {
    struct file_store *s = container_of(store, struct file_store, store);
    atomic_store(&s->table.db.hurry, true);
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_signal(&s->woken);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->woken);
    pthread_mutex_destroy(&s->lock);
    free_all(s);
}

static const struct jobs_driver driver = { "file", attach, limit, counts, shut, begin, forget, close_end };

static int init_locks(struct file_store *s) {
    pthread_condattr_t attr;
    if (pthread_mutex_init(&s->lock, NULL) != 0) return PERILUNE_ERR_NOMEM;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&s->woken, &attr);
    pthread_condattr_destroy(&attr);
    if (rc == 0) return 0;
    pthread_mutex_destroy(&s->lock);
    return PERILUNE_ERR_NOMEM;
}

static int start(struct file_store *s) {
    int rc = init_locks(s);
    if (rc != 0) return rc;
    rc = thread_start(&s->thread, "jobs", file_main, s);
    if (rc == 0) return 0;
    pthread_cond_destroy(&s->woken);
    pthread_mutex_destroy(&s->lock);
    return rc;
}

static int mend_counts(struct file_store *s) {
    bool mended = false;
    int rc = file_table_mend_counts(&s->table, &mended);
    if (mended && rc == 0 && s->settings.log)
        log_line(s->settings.log, PERILUNE_LOG_WARN, "jobs: %s: its counts of jobs were wrong, and are mended",
                 s->table.db.path);
    return rc;
}

int jobs_file_open(struct jobs_store **out, const char *path, const struct jobs_settings *settings,
                   const struct jobs_limits *l, char *why, size_t size) {
    *out = NULL;
    snprintf(why, size, "jobs: there is no memory");
    struct file_store *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return PERILUNE_ERR_NOMEM;
    s->store.driver = &driver;
    s->settings = *settings;
    list_init(&s->queue);
    list_init(&s->ends);
    s->changed = s->tidy = true;
    file_table_init(&s->table, &s->settings);
    s->limits = job_limits_new(l);
    int rc = s->limits != NULL ? file_db_open(&s->table.db, path, &s->settings, true) : PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = mend_counts(s);
    if (rc == PERILUNE_ERR_IO) snprintf(why, size, "%s", s->table.db.why);
    if (rc == 0) {
        s->next_at = file_table_next(&s->table);
        rc = start(s);
        if (rc == PERILUNE_ERR_IO) snprintf(why, size, "jobs: a thread cannot be started: %s", strerror(errno));
    }
    if (rc != 0) {
        free_all(s);
        return rc;
    }
    *out = &s->store;
    return 0;
}

int jobs_file_check(const char *path, char *why, size_t size) { return file_db_check(path, why, size); }
