/* courier_guest.c -- jobs of others that are done here.
 *
 *     came --> KNOCKS --home: is it over?--> ENTERS --SUBMIT--> STAYS <--told-- guests: begun, event, end
 *                | (of this node only)          |                 | says one thing after the other
 *                +--over--> settled             |                 v
 *                                               |     LEAVES: end --dead letter?--> result --confirmed--> settled
 *                                               +--- no room: again later
 *
 * A guest says what happens to its job to the job's home: by the broker, into the results of its node; or directly,
 * when it is at home here.  It says one thing at a time and waits until that is confirmed, so nothing overtakes; what
 * happens meanwhile is in the queue of guests and is looked up then (EVENTS, after the last one that was said).
 * While it runs, or waits to be tried again, it says so again and again, and an answer that the job is over at home, or
 * canceled, ends it here.
 *
 * The queue of guests holds a job until it is forgotten here, KEEP_MS after its end was told: however long its words
 * take on their way home, it is not done again because they were late.  Of the stream, what came meanwhile is one
 * message.  Each message with events has a number and who counts (`from`), so that its home knows one that comes twice.
 *
 * A message is settled when all of that is confirmed.  When the connection broke before, it is not ours to settle any
 * more: somebody has it again, perhaps we.  A guest with the same id takes the new token; one that has left already is
 * found among the jobs that are over, and says its end once more.  Two messages with one id at the same time are one
 * job: the second is settled, the first is still there.
 *
 * Who failed goes to the dead letters, too, with its error as the reason: who sent it need not have a home.
 *
 * Limits: as many guests as messages that the broker lets us have at once, and batches of this node, which its limits
 * for jobs bound. */
#include "jobs/courier_int.h"

#include <stdio.h>

#include "jobs/job_table.h"

#define KEEP_MS     20000       /* of guests that have left: for a message that comes again as its settling was lost */
#define STAY_MS     60000       /* lease of a job that only this node can do */
#define LOOK_MOST   32          /* events that are looked at in one go */
#define PIECE_BYTES (64u << 10) /* of the stream in one message, unless a single event is larger */

/* A guest that has left.  The queue of guests holds it until it is forgotten here. */
struct gone {
    struct list link;
    uint64_t    at_ms;
    char        id[JOB_ID_SIZE];
};

enum step { KNOCKS, ENTERS, STAYS, LEAVES, BURIED, TOLD };

struct guest {
    struct list     link;
    struct chained  by_id;
    struct courier *courier;
    enum step       step;
    char            id[JOB_ID_SIZE];
    char            their_id[COURIER_ID_MAX + 1];
    char            reply_to[256];
    uint64_t        token;       /* 0: nobody's to settle */
    bool            is_home;     /* of this node: its end is kept here */
    bool            has_message; /* it came by the broker */
    bool            look_again, cancel, is_over;
    unsigned        tries;       /* that were said */
    uint64_t        last_event, pause;
    uint64_t        home_event;  /* at home: the newest event that it has there */
    uint64_t        created_ms;  /* as its home says */
    char            from[17];    /* who counts its events */
    struct gone    *gone;        /* for when it leaves */
    struct arena    arena;
    struct job      job;         /* until it has entered, and when it has ended: the question */
    struct job_end  end;
    struct courier_message say;  /* being said; its texts: said */
    struct buf      said;
    char            reason[BROKER_REASON_MAX];
    struct jobs_op  op, cancel_op;
    struct jobs_watch watch;
    struct timer    timer, beat;
    struct flight   flight;
};

static void go(struct guest *g);

/* -- Life ------------------------------------------ */

static struct slice id_of(const struct chained *e) { return slice_str(container_of(e, struct guest, by_id)->id); }

static struct guest *find(struct courier *p, struct slice id) {
    struct chained **at = hashtable_find(&p->by_id, hash64(&p->key, id), id, id_of);
    return at != NULL ? container_of(*at, struct guest, by_id) : NULL;
}

static struct guest *guest_new(struct courier *p, const struct job *j) {
    struct guest *g = hashtable_reserve(&p->by_id) == 0 ? mem_zalloc(sizeof(*g)) : NULL;
    struct gone *gone = g != NULL ? mem_zalloc(sizeof(*gone)) : NULL;
    if (gone == NULL) {
        mem_free(g);
        return NULL;
    }
    g->gone = gone;
    g->courier = p;
    g->step = ENTERS;
    g->job = *j;
    g->job.key = g->job.webhook = SLICE("");
    g->job.not_before_ms = 0;
    g->job.held = true;
    g->job.keep_ms = 0;
    g->created_ms = j->created_ms;
    g->home_event = j->last_event;
    snprintf(g->from, sizeof(g->from), "%016llx", (unsigned long long)rng_next(&p->opt.loop->rng));
    if (g->job.max_tries == 0) g->job.max_tries = p->max_tries;
    memcpy(g->id, j->id, JOB_ID_SIZE);
    arena_init(&g->arena);
    buf_init(&g->said, 0);
    g->by_id.hash = hash64(&p->key, slice_str(g->id));
    list_append(&p->guests, &g->link);
    hashtable_add(&p->by_id, &g->by_id);
    stats_add(&p->stats.guests, 1);
    return g;
}

static void guest_free(struct guest *g) {
    struct courier *p = g->courier;
    struct chained **at = hashtable_find(&p->by_id, g->by_id.hash, slice_str(g->id), id_of);
    hashtable_remove(&p->by_id, at);
    list_remove(&g->link);
    timer_stop(p->opt.loop, &g->timer);
    timer_stop(p->opt.loop, &g->beat);
    jobs_cancel(&g->op);
    jobs_cancel(&g->cancel_op);
    jobs_unwatch(&g->watch);
    buf_deinit(&g->said);
    arena_deinit(&g->arena);
    stats_add(&p->stats.guests, (uint64_t)-1);
    mem_free(g->gone);
    mem_free(g);
}

static void settle(struct guest *g, enum broker_settling how) {
    courier_settle(g->courier, g->token, how);
    guest_free(g);
}

/* -- Those that have left ------------------------------------------ */

static void forget_next(struct courier *p);

static void forget_due(struct timer *t) { forget_next(container_of(t, struct courier, forget)); }

static void drop_gone(struct gone *k) {
    list_remove(&k->link);
    mem_free(k);
}

static void on_forgotten(struct jobs_op *op, const struct jobs_answer *a) {
    struct courier *p = container_of(op, struct courier, forget_op);
    if (p->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc >= 0) drop_gone(container_of(p->gone.next, struct gone, link));
    if (a->rc >= 0) forget_next(p);
    else timer_start(p->opt.loop, &p->forget, COURIER_RETRY_MS, forget_due);
}

/* The first that left, one after the other.  Who is here again, because its message came again, leaves once more. */
static void forget_next(struct courier *p) {
    while (!list_is_empty(&p->gone) && p->forget_op.jobs == NULL) {
        struct gone *k = container_of(p->gone.next, struct gone, link);
        uint64_t now = loop_now(p->opt.loop);
        struct jobs_ask ask = { .verb = JOBS_CANCEL, .id = slice_str(k->id), .forget = true };
        if (k->at_ms > now) {
            timer_start(p->opt.loop, &p->forget, k->at_ms - now, forget_due);
            return;
        }
        if (find(p, slice_str(k->id)) != NULL) drop_gone(k);
        else if (jobs_begin(p->opt.guests, &p->forget_op, &ask, on_forgotten) != 0) {
            timer_start(p->opt.loop, &p->forget, COURIER_RETRY_MS, forget_due);
            return;
        }
    }
}

/* Its end is known where it is at home. */
static void depart(struct guest *g) {
    struct courier *p = g->courier;
    struct gone *k = g->gone;
    g->gone = NULL;
    memcpy(k->id, g->id, JOB_ID_SIZE);
    k->at_ms = loop_now(p->opt.loop) + KEEP_MS;
    list_append(&p->gone, &k->link);
    settle(g, BROKER_DONE);
    if (!timer_is_running(&p->forget)) forget_next(p);
}

static void timer_due(struct timer *t) { go(container_of(t, struct guest, timer)); }

static void later(struct guest *g) {
    timer_start(g->courier->opt.loop, &g->timer, courier_pause(&g->pause), timer_due);
}

static bool is_busy(const struct guest *g) { return g->op.jobs != NULL || g->flight.flies; }

/* -- Saying something to its home ------------------------------------------ */

static void said(struct guest *g) {
    g->pause = 0;
    switch (g->say.type) {
    case COURIER_RUNNING: g->tries = g->say.end.tries; break;
    case COURIER_EVENT: g->last_event = g->say.event.number; break;
    default: g->step = TOLD;
    }
    go(g);
}

/* Its home says that nobody waits for it. */
static void unwanted(struct guest *g) {
    g->cancel = true;
    said(g);
}

static void on_home(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, op);
    if (g->courier->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc == 0 && g->say.type == COURIER_EVENT && a->count == 1) g->home_event = a->events->number;
    if (a->rc < 0) later(g);
    else if (a->rc != 0 && a->rc != JOBS_TOO_LARGE && g->say.type == COURIER_RUNNING) unwanted(g);
    else said(g);
}

static void say_at_home(struct guest *g) {
    struct courier *p = g->courier;
    const struct courier_message *m = &g->say;
    struct jobs_ask ask = { .verb = JOBS_FINISH, .id = slice_str(g->id), .lease = JOBS_ELSEWHERE, .end = &m->end };
    if (m->type == COURIER_RUNNING)
        ask = (struct jobs_ask){ .verb = JOBS_BEAT, .id = ask.id, .lease = ask.lease, .count = m->end.tries,
                                 .lease_ms = g->has_message ? p->lost_ms : STAY_MS };
    else if (m->type == COURIER_EVENT)
        ask = (struct jobs_ask){ .verb = JOBS_APPEND, .id = ask.id, .lease = ask.lease, .after = g->home_event + 1,
                                 .event = m->event };
    if (jobs_begin(p->opt.home, &g->op, &ask, on_home) != 0) later(g);
}

static void bury(struct guest *g, const char *reason);

/* Of an end that cannot be told. */
static void cannot_be_told(struct guest *g) {
    char why[BROKER_REASON_MAX];
    if (g->say.type != COURIER_RESULT) {
        said(g);
        return;
    }
    snprintf(why, sizeof(why), "its end cannot be sent to %.200s: %.200s", g->reply_to, g->flight.why);
    log_line(g->courier->opt.log, PERILUNE_LOG_WARN, "job %s: %s", g->id, why);
    if (g->end.status == JOB_COMPLETED) { /* perhaps it is too large: then that is its end */
        g->end.status = JOB_FAILED;
        g->end.result = g->end.result_type = SLICE("");
        g->end.result_status = 0;
        g->end.error = SLICE("{\"message\":\"The result of the job cannot be sent by the message broker.\",\"type\":"
                             "\"server_error\",\"code\":\"job_result_refused_by_broker\"}");
        g->say.end = g->end;
        bury(g, why);
        return;
    }
    said(g);
}

/* While there is no connection a guest goes on with its life: its end must be here before the queue of guests forgets
 * it, and says all that counts. */
static bool can_be_left_out(const struct guest *g) {
    return g->say.type != COURIER_RESULT && !g->courier->connected;
}

static void on_landed(struct flight *f) {
    struct guest *g = container_of(f, struct guest, flight);
    if (g->courier->ending) return;
    if (f->rc == 0) said(g);
    else if (f->rc == PERILUNE_ERR_INVAL) cannot_be_told(g);
    else if (can_be_left_out(g)) said(g);
    else later(g);
}

static void say_abroad(struct guest *g) {
    struct courier *p = g->courier;
    struct buf text;
    int rc = PERILUNE_ERR_NOMEM;
    buf_init(&text, 0);
    courier_write(&text, &g->say);
    if (!buf_failed(&text))
        rc = courier_fly(p, &g->flight, &(struct broker_publish){ .to = slice_str(g->reply_to), .key = slice_str(g->id),
                                                               .body = buf_get(&text) }, on_landed);
    buf_deinit(&text);
    if (rc != 0) later(g);
}

static void say(struct guest *g) {
    if (g->is_home) say_at_home(g);
    else if (g->reply_to[0] == '\0' || can_be_left_out(g)) said(g);
    else say_abroad(g);
}

/* -- What it has to say ------------------------------------------ */

static void beat_due(struct timer *t) {
    struct guest *g = container_of(t, struct guest, beat);
    g->tries = 0; /* it says once more that it runs */
    g->look_again = true;
    go(g);
}

static void say_running(struct guest *g, unsigned tries) {
    struct courier *p = g->courier;
    uint64_t every = (g->has_message ? p->lease_ms : STAY_MS) / 3 + 1;
    g->say = (struct courier_message){ .type = COURIER_RUNNING, .id = slice_str(g->their_id), .end = { .tries = tries },
                                    .reply_to = slice_str(p->results) };
    timer_start(p->opt.loop, &g->beat, every, beat_due);
    say(g);
}

/* Of the stream as many as go into one message: who is confirmed more slowly than events come does not fall behind. */
static unsigned pieces_of(const struct job_event *e, unsigned count, struct buf *out) {
    unsigned n = 0;
    do buf_slice(out, e[n].data);
    while (++n < count && e[0].name.len == 0 && e[n].name.len == 0 && buf_len(out) + e[n].data.len <= PIECE_BYTES);
    return n;
}

static void say_events(struct guest *g, const struct job_event *e, unsigned count) {
    buf_clear(&g->said);
    buf_slice(&g->said, e->name);
    unsigned n = pieces_of(e, count, &g->said);
    if (buf_failed(&g->said)) {
        buf_clear(&g->said);
        g->look_again = true;
        later(g);
        return;
    }
    struct slice s = buf_get(&g->said);
    g->say = (struct courier_message){ .type = COURIER_EVENT, .id = slice_str(g->their_id),
        .from = slice_str(g->from), .event = { .number = e[n - 1].number, .name = slice_of(s.ptr, e->name.len),
        .data = slice_of(s.ptr + e->name.len, s.len - e->name.len) } };
    say(g);
}

/* A job of ours alone, which this process does not end: as if it had not been begun. */
static void give_back_at_home(struct guest *g, unsigned tries) {
    struct job_end back = { .status = JOB_QUEUED, .tries = tries, .result = SLICE(""), .result_type = SLICE(""),
                            .error = SLICE("") };
    g->say = (struct courier_message){ .type = COURIER_RESULT, .end = back };
    g->step = LEAVES;
    say_at_home(g);
}

static void give_back(struct guest *g, unsigned tries) {
    if (g->has_message) settle(g, BROKER_AGAIN);
    else give_back_at_home(g, tries);
}

/* It runs, or waits to be tried again: who waits for it hears that it is here, and we that nobody does any more. */
static bool was_begun(const struct job *j) {
    return j->status == JOB_RUNNING || (j->status == JOB_QUEUED && j->last_event > 0);
}

static void on_looked(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, op);
    if (g->courier->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc == JOBS_NOT_FOUND) { /* nobody but we could forget it: then it is to be done again */
        settle(g, BROKER_AGAIN);
        return;
    }
    if (a->rc != 0) {
        g->look_again = true;
        later(g);
        return;
    }
    const struct job *j = a->jobs;
    bool hears_more = g->look_again;
    g->look_again = true; /* behind what is said now, there may be more */
    bool drains = j->status == JOB_QUEUED && g->courier->draining;
    if (was_begun(j) && !drains && (g->tries == 0 || j->tries > g->tries)) say_running(g, j->tries > 0 ? j->tries : 1);
    else if (a->count > 0) say_events(g, a->events, a->count);
    else if (job_is_over(j->status)) {
        g->is_over = true;
        g->step = LEAVES;
        go(g);
    } else {
        if (!was_begun(j)) timer_stop(g->courier->opt.loop, &g->beat);
        g->look_again = hears_more;
        if (drains) give_back(g, j->tries);
        else if (hears_more) go(g);
    }
}

static void look(struct guest *g) {
    g->look_again = false;
    if (jobs_begin(g->courier->opt.guests, &g->op,
                   &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(g->id), .after = g->last_event,
                                       .count = LOOK_MOST }, on_looked) == 0)
        return;
    g->look_again = true;
    later(g);
}

static void on_told(struct jobs_watch *w) {
    struct guest *g = container_of(w, struct guest, watch);
    g->look_again = true;
    if (!timer_is_running(&g->timer)) go(g);
}

static void on_stopped(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, cancel_op);
    g->look_again |= a->rc == 0;
    if (!g->courier->ending && a->rc == 0 && g->step == STAYS && !timer_is_running(&g->timer)) go(g);
}

static void stop(struct guest *g) {
    struct jobs_ask ask = { .verb = JOBS_CANCEL, .id = slice_str(g->id) };
    if (g->cancel_op.jobs == NULL && jobs_begin(g->courier->opt.guests, &g->cancel_op, &ask, on_stopped) == 0)
        g->cancel = false; /* else with the next thing that it says */
}

/* -- Its end ------------------------------------------ */

static void on_buried(struct flight *f) {
    struct guest *g = container_of(f, struct guest, flight);
    if (g->courier->ending) return;
    if (f->rc == PERILUNE_ERR_INVAL)
        log_line(g->courier->opt.log, PERILUNE_LOG_WARN, "job %s: %s cannot take its dead letter: %s", g->id,
                 g->courier->dead, f->why);
    if (f->rc == 0 || f->rc == PERILUNE_ERR_INVAL) g->step = BURIED;
    if (f->rc == 0 || f->rc == PERILUNE_ERR_INVAL) go(g);
    else later(g);
}

static void bury(struct guest *g, const char *reason) {
    struct courier *p = g->courier;
    struct buf text;
    int rc = PERILUNE_ERR_NOMEM;
    struct courier_message m = { .type = COURIER_JOB, .id = slice_str(g->their_id), .job = g->job,
                              .reply_to = slice_str(g->reply_to) };
    g->step = LEAVES;
    if (reason != g->reason) slice_copy(g->reason, sizeof(g->reason), slice_str(reason));
    slice_mute(g->reason);
    buf_init(&text, 0);
    courier_write(&text, &m);
    if (!buf_failed(&text))
        rc = courier_fly(p, &g->flight, &(struct broker_publish){ .to = slice_str(p->dead), .key = slice_str(g->id),
                                                               .body = buf_get(&text),
                                                               .reason = slice_str(g->reason) }, on_buried);
    buf_deinit(&text);
    if (rc != 0) later(g);
}

static bool is_for_the_dead(const struct guest *g) {
    return g->end.status == JOB_FAILED && g->has_message && g->courier->dead[0] != '\0';
}

static void tell_end(struct guest *g) {
    if (is_for_the_dead(g) && g->step == LEAVES) {
        if (g->reason[0] == '\0') slice_copy(g->reason, sizeof(g->reason), g->end.error);
        bury(g, g->reason);
        return;
    }
    g->say = (struct courier_message){ .type = COURIER_RESULT, .id = slice_str(g->their_id), .end = g->end };
    say(g);
}

static void on_end(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, op);
    if (g->courier->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc == JOBS_NOT_FOUND) {
        settle(g, BROKER_AGAIN);
        return;
    }
    if (a->rc == 0) {
        g->job = a->jobs[0];
        if (!job_copy(&g->arena, &g->job, JOB_QUESTION | JOB_RESULT)) g->job.id[0] = '\0';
    }
    if (a->rc != 0 || g->job.id[0] == '\0') {
        later(g);
        return;
    }
    g->end = job_end_of(&g->job);
    g->job.created_ms = g->created_ms; /* not when it came here */
    g->is_over = false; /* what there is to say is here */
    tell_end(g);
}

static void leave(struct guest *g) {
    timer_stop(g->courier->opt.loop, &g->beat);
    if (!g->is_over) {
        if (g->say.type == COURIER_RESULT && g->say.end.status == JOB_QUEUED) say_at_home(g);
        else tell_end(g);
    } else {
        struct jobs_ask ask = { .verb = JOBS_GET, .id = slice_str(g->id) };
        if (jobs_begin(g->courier->opt.guests, &g->op, &ask, on_end) != 0) later(g);
    }
}

/* -- Its beginning ------------------------------------------ */

/* It never was a guest: it fails, as if it had been tried. */
static void turn_away(struct guest *g, const char *code, const char *why) {
    char error[300];
    snprintf(error, sizeof(error), "{\"message\":\"%s\",\"type\":\"server_error\",\"code\":\"%s\"}", why, code);
    const char *own = arena_dup(&g->arena, slice_str(error));
    if (own == NULL) {
        later(g);
        return;
    }
    g->end = (struct job_end){ .status = JOB_FAILED, .result_type = SLICE(""), .result = SLICE(""),
                               .error = slice_str(own) };
    g->step = LEAVES;
    tell_end(g);
}

static void on_entered(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, op);
    struct courier *p = g->courier;
    if (p->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc == JOBS_TOO_LARGE) {
        turn_away(g, "job_too_large", "The question of the job has more bytes than may be.");
        return;
    }
    g->watch.told = on_told;
    if (a->rc != 0 || jobs_watch(p->opt.guests, &g->watch, slice_str(g->id)) != 0) {
        later(g); /* as one that existed, when it is there */
        return;
    }
    if (a->existed) g->last_event = a->jobs[0].last_event; /* those were said by the one who was here before */
    g->job = (struct job){ .status = JOB_QUEUED };
    arena_deinit(&g->arena);
    g->pause = 0;
    g->step = STAYS;
    g->look_again = true;
    go(g);
}

static void enter(struct guest *g) {
    if (g->courier->draining) {
        give_back(g, 0);
        return;
    }
    struct jobs_ask ask = { .verb = JOBS_SUBMIT, .job = &g->job };
    if (jobs_begin(g->courier->opt.guests, &g->op, &ask, on_entered) != 0) later(g);
}

static void on_known(struct jobs_op *op, const struct jobs_answer *a) {
    struct guest *g = container_of(op, struct guest, op);
    if (g->courier->ending || a->rc == PERILUNE_ERR_CANCELED) return;
    if (a->rc < 0) {
        later(g);
        return;
    }
    bool is_strange = strcmp(g->their_id, g->id) != 0; /* somebody wants its end in our results */
    if (a->rc != 0 && is_strange) g->is_home = false;
    /* One that is not known any more has ended, and was kept as long as it was to be. */
    else if (a->rc != 0 || job_is_over(a->jobs->status)) {
        settle(g, BROKER_DONE);
        return;
    }
    if (a->rc == 0) g->home_event = a->jobs->last_event;
    g->step = ENTERS;
    go(g);
}

static void knock(struct guest *g) {
    if (jobs_begin(g->courier->opt.home, &g->op, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(g->id) },
                   on_known) != 0)
        later(g);
}

/* -- One thing after the other ------------------------------------------ */

static void go(struct guest *g) {
    if (is_busy(g) || g->courier->ending) return;
    timer_stop(g->courier->opt.loop, &g->timer);
    if (g->cancel && g->step == STAYS) stop(g);
    switch (g->step) {
    case KNOCKS: knock(g); return;
    case ENTERS: enter(g); return;
    case STAYS:
        if (g->look_again) look(g);
        return;
    case LEAVES:
    case BURIED: leave(g); return;
    case TOLD:
        if (g->has_message) stats_add(&g->courier->stats.done, 1);
        depart(g);
    }
}

/* -- Doors ------------------------------------------ */

static bool copy_question(struct guest *g) { return job_copy(&g->arena, &g->job, JOB_QUESTION); }

void courier_guest_came(struct courier *p, struct came *c, const struct courier_message *m) {
    struct guest *g = find(p, slice_str(m->job.id));
    if (g != NULL) {
        if (g->token == 0) g->token = c->token; /* it came again */
        else courier_settle(p, c->token, BROKER_DONE);
        g->has_message = true;
        mem_free(c);
        return;
    }
    g = guest_new(p, &m->job);
    if (g == NULL || !copy_question(g)) {
        if (g != NULL) guest_free(g);
        courier_settle(p, c->token, BROKER_AGAIN);
        mem_free(c);
        return;
    }
    g->token = c->token;
    g->has_message = true;
    g->is_home = slice_eq(m->reply_to, slice_str(p->results));
    slice_copy(g->their_id, sizeof(g->their_id), m->id.len > 0 ? m->id : slice_str(g->id));
    slice_copy(g->reply_to, sizeof(g->reply_to), m->reply_to);
    if (g->is_home) g->step = KNOCKS;
    mem_free(c);
    go(g);
}

bool courier_guest_stays(struct courier *p, const struct job *j) {
    if (find(p, slice_str(j->id)) != NULL) return true;
    struct guest *g = guest_new(p, j);
    if (g == NULL) return false;
    if (!copy_question(g)) {
        guest_free(g);
        return false;
    }
    g->is_home = true;
    memcpy(g->their_id, g->id, JOB_ID_SIZE);
    go(g);
    return true;
}

void courier_guest_cancel(struct courier *p, struct slice id) {
    struct guest *g = find(p, id);
    if (g == NULL) return;
    g->cancel = true;
    go(g);
    if (g->cancel && g->step == STAYS) stop(g);
}

void courier_guests_connected(struct courier *p) {
    for (struct list *l = p->guests.next, *next; l != &p->guests; l = next) {
        struct guest *g = container_of(l, struct guest, link);
        next = l->next;
        go(g); /* may free it; also one that found no memory for a timer */
    }
}

void courier_guests_lost(struct courier *p) {
    for (struct list *l = p->guests.next; l != &p->guests; l = l->next)
        container_of(l, struct guest, link)->token = 0;
}

void courier_guests_drain(struct courier *p) {
    for (struct list *l = p->guests.next, *next; l != &p->guests; l = next) {
        struct guest *g = container_of(l, struct guest, link);
        next = l->next;
        g->look_again = true;
        if (!timer_is_running(&g->timer)) go(g); /* may free it */
    }
}

bool courier_guests_have_ended(const struct courier *p) { return list_is_empty(&p->guests); }

void courier_guests_deinit(struct courier *p) {
    timer_stop(p->opt.loop, &p->forget);
    jobs_cancel(&p->forget_op);
    while (!list_is_empty(&p->guests)) guest_free(container_of(p->guests.next, struct guest, link));
    while (!list_is_empty(&p->gone)) drop_gone(container_of(p->gone.next, struct gone, link));
}
