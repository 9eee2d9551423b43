/* courier_in.c -- what comes from a broker: jobs to be done, and what became of ours.
 *
 *     came --> a job -----------------------------> courier_guest.c
 *         +--> running, event, result of ours ----> home: BEAT, APPEND, FINISH --> settled
 *         |         `--> it is over there: "cancel" to who works on it
 *         +--> cancel of a guest -----------------> courier_guest.c, settled
 *         +--> neither, or too large -------------> the dead letters, with a reason --confirmed--> settled
 *
 * A message is settled when what it says is kept at home, so it comes again when this process dies before.  All of
 * them may come twice: a job that is over stays as it is, and an event whose number its guest has said before is no
 * new one (`heard`, for HEARD_MOST jobs and as long as this process is there).  What home cannot keep now (its disk is
 * full, its Redis is away) is asked again with pauses that double, an event with the number that it should get there;
 * and meanwhile it counts among those that the broker lets us have at once, so that no more come than that.
 *
 * Of one job, one thing is asked after the other: the second waits until home has kept the first, or text that is tried
 * again would stand behind what followed it.
 *
 * A message that is no job is not thrown away: somebody believes that it was sent. */
#include "jobs/courier_int.h"

#include <stdio.h>

#include "base/stamp.h"

#define SAY_MS     10000 /* between two lines about the same kind of fault */
#define HEARD_MOST 4096  /* jobs whose last event is remembered */

/* Of a job whose events come: which was the last one, as who sent it counts and as its home does. */
struct heard {
    struct list    link;
    struct chained by_id;
    char           id[JOB_ID_SIZE], from[COURIER_FROM_MAX + 1];
    uint64_t       number, at_home;
};

struct mail {
    struct list         link;
    struct courier        *courier;
    struct came        *came;
    struct arena        arena;
    struct courier_message m;
    struct jobs_op      op;
    struct timer        retry;
    struct flight       flight;
    uint64_t            pause, after; /* after: the number that an event should get at home; 0: not known yet */
    bool                waits, is_next; /* for one of the same job that came before; it was the first that waited */
    char                reason[BROKER_REASON_MAX]; /* "": it is not for the dead */
};

static void wake(struct deferred *d);

/* The first that waited for what was said of this job. */
static void let_next(struct courier *p, const char *id) {
    for (struct list *l = p->mails.next; l != &p->mails; l = l->next) {
        struct mail *k = container_of(l, struct mail, link);
        if (!k->waits || strcmp(k->m.job.id, id) != 0) continue;
        k->waits = false;
        k->is_next = true;
        loop_soon(p->opt.loop, &p->wake, wake);
        return;
    }
}

static struct mail *mail_new(struct courier *p, struct came *c) {
    struct mail *k = mem_zalloc(sizeof(*k));
    if (k == NULL) return NULL;
    k->courier = p;
    k->came = c;
    arena_init(&k->arena);
    list_append(&p->mails, &k->link);
    return k;
}

static void mail_free(struct mail *k) {
    timer_stop(k->courier->opt.loop, &k->retry);
    jobs_cancel(&k->op);
    arena_deinit(&k->arena);
    list_remove(&k->link);
    let_next(k->courier, k->m.job.id);
    mem_free(k->came);
    mem_free(k);
}

static void settle(struct mail *k) {
    courier_settle(k->courier, k->came->token, BROKER_DONE);
    mail_free(k);
}

static void again_in(struct mail *k, void (*then)(struct timer *t)) {
    if (timer_start(k->courier->opt.loop, &k->retry, courier_pause(&k->pause), then) == 0) return;
    courier_settle(k->courier, k->came->token, BROKER_AGAIN); /* no memory: somebody else, or we, later */
    mail_free(k);
}

/* -- The dead ------------------------------------------ */

static void bury(struct mail *k);

static void bury_due(struct timer *t) { bury(container_of(t, struct mail, retry)); }

static void on_buried(struct flight *f) {
    struct mail *k = container_of(f, struct mail, flight);
    struct courier *p = k->courier;
    if (p->ending) mail_free(k);
    else if (f->rc == 0) settle(k);
    else if (f->rc == PERILUNE_ERR_INVAL) {
        log_line(p->opt.log, PERILUNE_LOG_ERROR, "jobs.broker: a message is lost, because %s cannot take it: %s",
                 p->dead, f->why);
        settle(k);
    } else again_in(k, bury_due);
}

static void bury(struct mail *k) {
    struct courier *p = k->courier;
    struct broker_publish what = { .to = slice_str(p->dead), .key = SLICE(""), .reason = slice_str(k->reason),
                                   .body = slice_of(k->came->text, k->came->len) };
    if (p->dead[0] == '\0') settle(k);
    else if (courier_fly(p, &k->flight, &what, on_buried) != 0) again_in(k, bury_due);
}

static void bury_mail(struct mail *k, const char *reason) {
    struct courier *p = k->courier;
    slice_copy(k->reason, sizeof(k->reason), slice_str(reason));
    slice_mute(k->reason);
    stats_add(&p->stats.refused, 1);
    if (log_limit_pass(&p->bad, stamp_ms(CLOCK_MONOTONIC), SAY_MS))
        log_line(p->opt.log, PERILUNE_LOG_WARN, "jobs.broker: a message of %s is refused: %s; %s%s",
                 k->came->is_result ? p->results : p->work, k->reason, p->dead[0] ? "it is in " : "it is dropped, as "
                 "jobs.broker.dead names no place for it", p->dead);
    bury(k);
}

void courier_in_bury(struct courier *p, struct came *c, const char *reason) {
    struct mail *k = mail_new(p, c);
    if (k != NULL) bury_mail(k, reason);
    else {
        courier_settle(p, c->token, BROKER_AGAIN);
        mem_free(c);
    }
}

/* -- Events that were heard ------------------------------------------ */

static struct slice heard_id(const struct chained *e) { return slice_str(container_of(e, struct heard, by_id)->id); }

static struct chained **heard_at(const struct courier *p, const char *id) {
    return hashtable_find(&p->heard_of, hash64(&p->key, slice_str(id)), slice_str(id), heard_id);
}

static struct heard *heard_of(const struct courier *p, const char *id) {
    struct chained **at = heard_at(p, id);
    return at != NULL ? container_of(*at, struct heard, by_id) : NULL;
}

static void heard_forget(struct courier *p, struct heard *h) {
    if (h == NULL) return;
    hashtable_remove(&p->heard_of, heard_at(p, h->id));
    list_remove(&h->link);
    mem_free(h);
}

/* Without memory one that comes twice may be there twice. */
static void heard_note(struct courier *p, const struct courier_message *m, uint64_t at_home) {
    struct heard *h = heard_of(p, m->job.id);
    if (h == NULL) {
        if (p->heard_of.count >= HEARD_MOST) heard_forget(p, container_of(p->heard.next, struct heard, link));
        h = hashtable_reserve(&p->heard_of) == 0 ? mem_zalloc(sizeof(*h)) : NULL;
        if (h == NULL) return;
        memcpy(h->id, m->job.id, JOB_ID_SIZE);
        h->by_id.hash = hash64(&p->key, slice_str(h->id));
        hashtable_add(&p->heard_of, &h->by_id);
        list_init(&h->link);
    }
    list_remove(&h->link);
    list_append(&p->heard, &h->link);
    slice_copy(h->from, sizeof(h->from), m->from);
    h->number = m->event.number;
    h->at_home = at_home;
}

static bool was_heard(const struct courier *p, const struct courier_message *m) {
    const struct heard *h = m->type == COURIER_EVENT && m->from.len > 0 ? heard_of(p, m->job.id) : NULL;
    return h != NULL && slice_eq(m->from, slice_str(h->from)) && m->event.number <= h->number;
}

/* -- What became of ours ------------------------------------------ */

static void ask_home(struct mail *k);

static void ask_due(struct timer *t) { ask_home(container_of(t, struct mail, retry)); }

/* Or it is not: who works on it says once more that it runs. */
static void on_canceled(struct flight *f) { settle(container_of(f, struct mail, flight)); }

/* Nobody here waits for it any more: who works on it may stop. */
static void tell_to_stop(struct mail *k) {
    struct courier *p = k->courier;
    struct courier_message m = { .type = COURIER_CANCEL, .id = k->m.id };
    struct buf text;
    buf_init(&text, 0);
    courier_write(&text, &m);
    int rc = buf_failed(&text) || k->m.reply_to.len == 0
                 ? PERILUNE_ERR_NOMEM
                 : courier_fly(p, &k->flight, &(struct broker_publish){ .to = k->m.reply_to, .key = k->m.id,
                                                                     .body = buf_get(&text) }, on_canceled);
    buf_deinit(&text);
    if (rc != 0) settle(k);
}

static void on_home(struct jobs_op *op, const struct jobs_answer *a) {
    struct mail *k = container_of(op, struct mail, op);
    struct courier *p = k->courier;
    if (p->ending || a->rc == PERILUNE_ERR_CANCELED) return; /* courier_in_deinit() has it */
    if (a->rc < 0) {
        again_in(k, ask_due);
        return;
    }
    if (a->rc == 0 && k->m.type == COURIER_EVENT && a->count == 1) heard_note(p, &k->m, a->events->number);
    if (k->m.type == COURIER_RESULT) heard_forget(p, heard_of(p, k->m.job.id));
    if (a->rc == JOBS_NOT_FOUND && k->m.type == COURIER_RESULT) {
        stats_add(&p->stats.unknown, 1);
        if (log_limit_pass(&p->odd, stamp_ms(CLOCK_MONOTONIC), SAY_MS))
            log_line(p->opt.log, PERILUNE_LOG_WARN, "job %s: its end came, but it is not known here any more; when "
                     "that happens often, another node has the same jobs.broker.results (%s)", k->m.job.id, p->results);
    } else if (k->m.type == COURIER_RESULT && a->rc == 0) stats_add(&p->stats.results, 1);
    if (k->m.type == COURIER_RUNNING && a->rc != 0) tell_to_stop(k);
    else settle(k);
}

static void on_looked(struct jobs_op *op, const struct jobs_answer *a) {
    struct mail *k = container_of(op, struct mail, op);
    if (a->rc != 0) {
        on_home(op, a);
        return;
    }
    k->after = a->jobs->last_event + 1;
    ask_home(k);
}

/* Which number does the event get? */
static int look_home(struct mail *k) {
    struct jobs_ask ask = { .verb = JOBS_EVENTS, .id = slice_str(k->m.job.id) };
    return jobs_begin(k->courier->opt.home, &k->op, &ask, on_looked);
}

static int append_home(struct mail *k) {
    const struct heard *h = k->after == 0 ? heard_of(k->courier, k->m.job.id) : NULL;
    if (h != NULL) k->after = h->at_home + 1;
    if (k->after == 0) return look_home(k);
    struct jobs_ask ask = { .verb = JOBS_APPEND, .id = slice_str(k->m.job.id), .lease = JOBS_ELSEWHERE,
                            .after = k->after, .event = k->m.event };
    return jobs_begin(k->courier->opt.home, &k->op, &ask, on_home);
}

static void ask_home(struct mail *k) {
    const struct courier_message *m = &k->m;
    struct jobs_ask ask = { .verb = JOBS_FINISH, .id = slice_str(m->job.id), .lease = JOBS_ELSEWHERE, .end = &m->end };
    if (m->type == COURIER_RUNNING)
        ask = (struct jobs_ask){ .verb = JOBS_BEAT, .id = ask.id, .lease = ask.lease, .count = m->end.tries,
                                 .lease_ms = k->courier->lost_ms };
    int rc = m->type == COURIER_EVENT ? append_home(k) : jobs_begin(k->courier->opt.home, &k->op, &ask, on_home);
    if (rc != 0) again_in(k, ask_due);
}

/* -- Whatever comes ------------------------------------------ */

/* Is one of the same job before it? */
static bool is_behind(const struct mail *k) {
    for (struct list *l = k->courier->mails.next; l != &k->link; l = l->next)
        if (strcmp(container_of(l, struct mail, link)->m.job.id, k->m.job.id) == 0) return true;
    return false;
}

static void keep_at_home(struct mail *k) {
    if (was_heard(k->courier, &k->m)) settle(k);
    else ask_home(k);
}

static void answer_came(struct mail *k) {
    if (k->m.type == COURIER_CANCEL) {
        courier_guest_cancel(k->courier, k->m.id);
        settle(k);
        return;
    }
    k->waits = is_behind(k);
    if (!k->waits) keep_at_home(k);
}

static void wake(struct deferred *d) {
    struct courier *p = container_of(d, struct courier, wake);
    for (struct list *l = p->mails.next, *next; l != &p->mails; l = next) {
        struct mail *k = container_of(l, struct mail, link);
        next = l->next;
        if (!k->is_next) continue;
        k->is_next = false;
        keep_at_home(k); /* may free k, and no other */
    }
}

void courier_in_came(struct courier *p, struct came *c) {
    struct mail *k = mail_new(p, c);
    char why[BROKER_REASON_MAX - 1] = "";
    stats_add(&p->stats.came, c->is_result ? 0 : 1);
    if (k == NULL) {
        courier_settle(p, c->token, BROKER_AGAIN);
        mem_free(c);
        return;
    }
    if (c->too_large) {
        bury_mail(k, "it has more bytes than a message may have here");
        return;
    }
    int rc = courier_read(&k->arena, slice_of(c->text, c->len), c->is_result, &k->m, why, sizeof(why));
    if (rc == PERILUNE_ERR_INVAL) bury_mail(k, why);
    else if (rc != 0) {
        courier_settle(p, c->token, BROKER_AGAIN);
        mail_free(k);
    } else if (c->is_result) answer_came(k);
    else {
        k->came = NULL;
        courier_guest_came(p, c, &k->m);
        mail_free(k);
    }
}

void courier_in_connected(struct courier *p) {
    for (struct list *l = p->mails.next, *next; l != &p->mails; l = next) {
        struct mail *k = container_of(l, struct mail, link);
        next = l->next;
        if (!timer_is_running(&k->retry) || k->reason[0] == '\0') continue;
        timer_stop(p->opt.loop, &k->retry);
        bury(k); /* may free it */
    }
}

/* They come again, to whomever; what is kept at home meanwhile does no harm then. */
void courier_in_lost(struct courier *p) {
    for (struct list *l = p->mails.next; l != &p->mails; l = l->next)
        container_of(l, struct mail, link)->came->token = 0;
}

void courier_in_init(struct courier *p) {
    list_init(&p->mails);
    list_init(&p->heard);
}

void courier_in_deinit(struct courier *p) {
    while (!list_is_empty(&p->mails)) mail_free(container_of(p->mails.next, struct mail, link));
    while (!list_is_empty(&p->heard)) heard_forget(p, container_of(p->heard.next, struct heard, link));
    hashtable_deinit(&p->heard_of);
    deferred_cancel(&p->wake);
}
