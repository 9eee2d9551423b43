/* courier_in.c -- what comes from a broker: jobs to be done, and what became of ours.
 *
 *     came --> a job -----------------------------> courier_guest.c
 *         +--> running, event, result of ours ----> home: BEAT, APPEND, FINISH --> settled
 *         |         `--> it is over there: "cancel" to who works on it
 *         +--> cancel of a guest -----------------> courier_guest.c, settled
 *         +--> neither, or too large -------------> the dead letters, with a reason --confirmed--> settled
 *
 * A message is settled when what it says is kept at home, so it comes again when this process dies before.  All of them
 * may come twice: a job that is over stays as it is.  What home cannot keep now (its disk is full, its Redis is away)
 * is asked again with pauses that double, and meanwhile it counts among those that the broker lets us have at once, so
 * that no more come than that.
 *
 * A message that is no job is not thrown away: somebody believes that it was sent. */
#include "jobs/courier_int.h"

#include <stdio.h>

#include "base/stamp.h"

#define SAY_MS 10000 /* between two lines about the same kind of fault */

struct mail {
    struct list         link;
    struct courier        *courier;
    struct came        *came;
    struct arena        arena;
    struct courier_message m;
    struct jobs_op      op;
    struct timer        retry;
    struct flight       flight;
    uint64_t            pause;
    char                reason[BROKER_REASON_MAX]; /* "": it is not for the dead */
};

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
    if (a->rc == JOBS_NOT_FOUND && k->m.type == COURIER_RESULT) {
        stats_add(&p->stats.unknown, 1);
        if (log_limit_pass(&p->odd, stamp_ms(CLOCK_MONOTONIC), SAY_MS))
            log_line(p->opt.log, PERILUNE_LOG_WARN, "job %s: its end came, but it is not known here any more; when "
                     "that happens often, another node has the same jobs.broker.results (%s)", k->m.job.id, p->results);
    } else if (k->m.type == COURIER_RESULT && a->rc == 0) stats_add(&p->stats.results, 1);
    if (k->m.type == COURIER_RUNNING && a->rc != 0) tell_to_stop(k);
    else settle(k);
}

static void ask_home(struct mail *k) {
    const struct courier_message *m = &k->m;
    struct jobs_ask ask = { .verb = JOBS_FINISH, .id = slice_str(m->job.id), .lease = JOBS_ELSEWHERE, .job = &m->job };
    if (m->type == COURIER_RUNNING)
        ask = (struct jobs_ask){ .verb = JOBS_BEAT, .id = ask.id, .lease = ask.lease, .count = m->job.tries,
                                 .lease_ms = k->courier->lost_ms };
    else if (m->type == COURIER_EVENT)
        ask = (struct jobs_ask){ .verb = JOBS_APPEND, .id = ask.id, .lease = ask.lease, .event = m->event };
    if (jobs_begin(k->courier->opt.home, &k->op, &ask, on_home) != 0) again_in(k, ask_due);
}

/* -- Whatever comes ------------------------------------------ */

static void answer_came(struct mail *k) {
    if (k->m.type != COURIER_CANCEL) {
        ask_home(k);
        return;
    }
    courier_guest_cancel(k->courier, k->m.id);
    settle(k);
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

void courier_in_deinit(struct courier *p) {
    while (!list_is_empty(&p->mails)) mail_free(container_of(p->mails.next, struct mail, link));
}
