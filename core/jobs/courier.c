/* courier.c -- jobs that go from node to node by a message broker.
 *
 *     node A                                      broker                               node B
 *     home: file, Redis                                                                guests: in memory
 *       SUBMIT (202)                                                                     TAKE, BEAT, FINISH <- runner
 *        |                                                                                  ^      |
 *       GIVE --job--> [courier_out] --confirmed--> [ work ] --prefetch--> [courier_in] --> [courier_guest]  |
 *        :                                                                              |   ^      |
 *       runs, events, end <-- [courier_in] <----- [ A's results ] <--confirmed-- running, event, result
 *                                                                                       |
 *                                              [ dead letters ] <--why it failed--------+  then: settled
 *
 * A broker cannot say how a job is, cancel it or list those of a tenant.  So each node keeps its own jobs at home, and
 * a broker carries them: to who has time, and their ends back.  Whatever is asked of a job is asked at home, and is
 * answered as if it had been done there.
 *
 * Nothing is lost:
 *   a job that was taken on is at home, on disk, until its end is.  It waits there while no broker can be had; it was
 *   handed on when the broker has confirmed it, and is handed on again when that is not known, or when nothing was
 *   heard of it for lost_ms;
 *   a message is the broker's until it is settled, and that is when the end of its job was confirmed or kept.  A node
 *   that dies, or loses its connection, has settled nothing, and somebody else gets what it had.
 * So a job may be done twice, when a connection breaks or a node dies while it works on it; the first end counts, the
 * second finds a job that is over.
 *
 * Guests are in memory, because the message that is not settled is what keeps them; on disk they would come back a
 * second time after a crash.  A guest has the id of the job at its home, so a message that comes twice is one guest.
 * A job that came back to its own node is a guest there like any other; only its end goes home without the broker.
 *
 * Threads: all of it belongs to one loop's thread.  The driver's thread calls confirmed, came, changed: each sends a
 * letter.  A message on its way (struct flight) carries the letter that tells how it landed, so that no end of a flight
 * needs memory.  A message that comes and finds none goes back to the broker. */
#include "jobs/courier.h"

#include <stdio.h>

#include "jobs/courier_int.h"

/* -- Flights ------------------------------------------ */

int courier_fly(struct courier *p, struct flight *f, const struct broker_publish *what,
                 void (*landed)(struct flight *f)) {
    struct broker_publish own = *what;
    if (p->broker == NULL || p->ending) return PERILUNE_ERR_STATE;
    own.token = (uint64_t)(uintptr_t)f;
    f->courier = p;
    f->landed = landed;
    f->rc = 0;
    f->why[0] = '\0';
    f->flies = true;
    int rc = p->ops->publish(p->broker, &own);
    if (rc != 0) f->flies = false;
    return rc;
}

static void open_landed(struct letter *l, void *owner) {
    struct flight *f = container_of(l, struct flight, letter);
    struct courier *p = owner;
    f->flies = false;
    if (f->rc == PERILUNE_ERR_IO) stats_add(&p->stats.failed, 1);
    f->landed(f); /* may free f */
}

/* The driver's thread. */
static void confirmed(void *ud, uint64_t token, int rc, const char *why) {
    struct courier *p = ud;
    struct flight *f = (struct flight *)(uintptr_t)token;
    f->rc = rc;
    snprintf(f->why, sizeof(f->why), "%s", why != NULL ? why : "");
    mailbox_send(&p->box, &f->letter, open_landed); /* open until the driver is closed */
}

/* -- What comes ------------------------------------------ */

void courier_settle(struct courier *p, uint64_t token, enum broker_settling how) {
    if (token != 0 && p->broker != NULL) p->ops->settle(p->broker, token, how);
}

static void open_came(struct letter *l, void *owner) {
    struct came *c = container_of(l, struct came, letter);
    struct courier *p = owner;
    list_init(&c->link);
    if (p->ending) {
        mem_free(c);
        return;
    }
    /* Letters about connections are merged, so this one may be opened before the loss that was behind it is told. */
    if (c->losses != atomic_load(&p->losses)) c->token = 0;
    courier_in_came(p, c);
}

/* The driver's thread. */
static void came(void *ud, const struct broker_message *m) {
    struct courier *p = ud;
    size_t len = m->body.len;
    struct came *c = mem_alloc(sizeof(*c) + len + 1);
    if (c == NULL) {
        pthread_mutex_lock(&p->lock);
        courier_settle(p, m->token, BROKER_AGAIN);
        pthread_mutex_unlock(&p->lock);
        return;
    }
    *c = (struct came){ .courier = p, .is_result = m->is_result, .too_large = m->too_large,
                        .token = m->token, .losses = atomic_load(&p->losses), .len = len };
    if (len > 0) memcpy(c->text, m->body.ptr, len);
    c->text[len] = '\0';
    mailbox_send(&p->box, &c->letter, open_came);
}

/* -- The connection ------------------------------------------ */

static void say_state(struct courier *p) {
    struct broker_state s;
    p->ops->state(p->broker, &s);
    if (p->connected) {
        if (p->said_lost || !p->was_connected)
            log_line(p->opt.log, PERILUNE_LOG_INFO, "jobs.broker: connected (%s)", p->kind);
        p->was_connected = true;
        p->said_lost = false;
    } else if (!p->said_lost) {
        p->said_lost = true;
        log_line(p->opt.log, PERILUNE_LOG_WARN, "jobs.broker: %s; jobs are taken on and wait until it is there", s.why);
    }
}

static void open_change(struct letter *l, void *owner) {
    struct courier *p = owner;
    (void)l;
    atomic_store(&p->change_posted, false);
    bool lost = atomic_exchange(&p->lost, false), up = atomic_load(&p->up);
    if (p->broker == NULL || p->ending) return;
    if (lost) { /* what it had given us is somebody else's now, also when there is another connection already */
        courier_in_lost(p);
        courier_guests_lost(p);
    }
    p->connected = up;
    say_state(p);
    if (!up) return;
    courier_in_connected(p);
    courier_guests_connected(p);
    courier_out_pump(p);
}

/* The driver's thread. */
static void changed(void *ud, bool connected) {
    struct courier *p = ud;
    if (!connected) {
        atomic_fetch_add(&p->losses, 1);
        atomic_store(&p->lost, true);
    }
    atomic_store(&p->up, connected);
    if (!atomic_exchange(&p->change_posted, true)) mailbox_send(&p->box, &p->change, open_change);
}

uint64_t courier_pause(uint64_t *pause) {
    uint64_t now = *pause > 0 ? *pause : COURIER_RETRY_MS;
    *pause = now * 2 < COURIER_RETRY_MAX_MS ? now * 2 : COURIER_RETRY_MAX_MS;
    return now;
}

/* -- Life ------------------------------------------ */

static void copy_settings(struct courier *p, const struct courier_settings *s) {
    snprintf(p->kind, sizeof(p->kind), "%s", s->broker.kind);
    snprintf(p->work, sizeof(p->work), "%s", s->broker.work);
    snprintf(p->results, sizeof(p->results), "%s", s->broker.results);
    snprintf(p->dead, sizeof(p->dead), "%s", s->broker.dead != NULL ? s->broker.dead : "");
    p->lease_ms = s->lease_ms;
    p->lost_ms = s->lost_ms;
    p->hold_ms = 2 * s->broker.timeout_ms + 1000; /* by then the driver has said what became of it */
    p->max_tries = s->max_tries > 0 ? s->max_tries : 1;
}

/* LOCK is for who looks at the broker from elsewhere: it is not freed meanwhile. */
static int open_broker(struct courier *p, const struct courier_settings *s, char *why, size_t size) {
    struct broker_user u = { .ud = p, .confirmed = confirmed, .came = came, .changed = changed };
    struct broker *fresh = NULL;
    int rc = p->ops->open(&fresh, &s->broker, &u, why, size);
    pthread_mutex_lock(&p->lock);
    p->broker = fresh;
    pthread_mutex_unlock(&p->lock);
    if (rc == 0 && p->draining) p->ops->pause(fresh, true);
    return rc;
}

static void on_due(void *ud) { courier_out_pump(ud); }

struct courier *courier_new(const struct courier_options *opt, const struct broker_ops *ops,
                            const struct courier_settings *s, char *why, size_t size) {
    struct courier *p = mem_zalloc(sizeof(*p));
    snprintf(why, size, "out of memory");
    if (p == NULL) return NULL;
    p->opt = *opt;
    p->ops = ops;
    courier_in_init(p);
    list_init(&p->guests);
    list_init(&p->gone);
    hash_key_random(&p->key);
    courier_out_init(p);
    copy_settings(p, s);
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        mem_free(p);
        return NULL;
    }
    if (mailbox_open(&p->box, opt->loop, p) != 0) {
        pthread_mutex_destroy(&p->lock);
        mem_free(p);
        return NULL;
    }
    opt->home->due = on_due;
    opt->home->ud = p;
    if (open_broker(p, s, why, size) == 0) return p;
    courier_free(p);
    return NULL;
}

static void close_broker(struct courier *p, uint64_t within_ms) {
    pthread_mutex_lock(&p->lock);
    struct broker *b = p->broker;
    p->broker = NULL;
    pthread_mutex_unlock(&p->lock);
    if (b != NULL) p->ops->close(b, within_ms);
}

#define REPLACE_MS 1000 /* that the old one has for what it has not confirmed */

/* One node reads its results once: the old one ends first.  When the new one cannot be had after all (its library was
 * looked at before), the courier is without until the next reload. */
int courier_set(struct courier *p, const struct broker_ops *ops, const struct courier_settings *s, char *why,
                size_t size) {
    int rc = ops->check(&s->broker, false, why, size);
    if (rc != 0) return rc;
    close_broker(p, REPLACE_MS);
    atomic_fetch_add(&p->losses, 1); /* the new one's tokens may be the same numbers */
    p->connected = p->was_connected = p->said_lost = false;
    courier_in_lost(p);
    courier_guests_lost(p);
    pthread_mutex_lock(&p->lock);
    p->ops = ops;
    pthread_mutex_unlock(&p->lock);
    copy_settings(p, s);
    return open_broker(p, s, why, size);
}

void courier_drain(struct courier *p) {
    if (p->draining) return;
    p->draining = true;
    if (p->broker != NULL) p->ops->pause(p->broker, true);
    courier_guests_drain(p);
}

bool courier_is_idle(const struct courier *p) {
    return p->parcel_count == 0 && list_is_empty(&p->mails) && courier_guests_have_ended(p);
}

static void box_gone(struct mailbox *m) {
    struct courier *p = container_of(m, struct courier, box);
    mailbox_deinit(m);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

#define LAST_MS 200

void courier_free(struct courier *p) {
    if (p == NULL) return;
    p->ending = true;
    p->opt.home->due = NULL;
    close_broker(p, LAST_MS);
    p->box.gone = box_gone;
    mailbox_close(&p->box); /* flights land, and what came is dropped: the driver says nothing any more */
    courier_out_deinit(p);
    courier_in_deinit(p);
    courier_guests_deinit(p);
    hashtable_deinit(&p->by_id);
}

/* -- Looking ------------------------------------------ */

const struct courier_stats *courier_stats_of(const struct courier *p) { return &p->stats; }

bool courier_has_broker(struct courier *p) {
    pthread_mutex_lock(&p->lock);
    bool has = p->broker != NULL;
    pthread_mutex_unlock(&p->lock);
    return has;
}

void courier_state(struct courier *p, struct broker_state *out) {
    *out = (struct broker_state){ .connected = false };
    pthread_mutex_lock(&p->lock);
    if (p->broker != NULL) p->ops->state(p->broker, out);
    pthread_mutex_unlock(&p->lock);
}
