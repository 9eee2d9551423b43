/* breaker.c -- is it worth asking an upstream?
 *
 *              failures in a row, or a share of them; 429; quota; a refused key
 *     CLOSED ------------------------------------------------------------------> OPEN <--+
 *        ^                                                                        |      |
 *        |                                       its time is over, or a scout was |      | one probe fails
 *        |  all probes are good                  answered, or a call that was     v      | (twice as long)
 *        +---------------------------------- HALF_OPEN <--------------------------+------+
 *                                            `probes` calls may go
 *
 * How long it stays open depends on why.  What failed rests for open_ms, twice as long each time that a probe
 * fails, up to max_open_ms, more or less a fifth: many gateways must not come back at once.  A 429 rests as long as it
 * says, within max_open_ms; one that says nothing a fifth of open_ms, doubling.  An account without money
 * rests until its date, a day at most, or an hour.  What a client did wrong is no outcome at all: whoever calls has
 * sorted that out.
 *
 * The counts of the window are kept in slots of three seconds, by the clock, so an old one is found out by its age.
 *
 * A call says only something about the state that it began in: one that began before the breaker opened and ends
 * after it neither closes nor opens it (the epoch of its ticket is another).
 *
 * A stream is good when its answer begins: a probe that talks for minutes must not keep all others out, nor are
 * failures, which come at once, to be weighed against what has not ended yet.  When it breaks off later, the good
 * one is taken back and a failure put in its place.
 *
 * Doubling would leave an upstream out for long that was away for short.  So while it is open for what may pass by
 * itself, it may be looked for by somebody's scouts: questions that cost nothing.  One that is answered ends the
 * waiting, not the doubling; when the probe after it fails, the next scout goes twice as late.  A probe that went by
 * itself, because the time was over, says nothing of scouts: they go as often as before, or they would be no quicker
 * than the doubling that they are for.
 *
 * Who is not told of a refusal (an upstream that stands alone, without the policy) may call all the same
 * (breaker_force): a good answer to that is as good as a probe's.
 *
 * It does not know whom it guards, nor any clock: `now` is an argument.  One that was set back makes no opening longer
 * than it was meant to be. */
#include "sched/breaker.h"

#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

#define SLOT_MS     3000
#define WINDOW_MS   (SLOT_MS * BREAKER_SLOTS)
#define QUOTA_MS    (60 * 60 * 1000)      /* when no date is said */
#define QUOTA_MOST  (24 * 60 * 60 * 1000)
#define LIMIT_LEAST 100
#define LIMIT_SHARE 5    /* of open_ms, when a 429 says nothing */
#define SCOUT_MS    2000
#define LEVEL_MOST  16   /* doublings that are told apart */

const char *breaker_state_name(enum breaker_state s) {
    static const char *const names[] = { "closed", "open", "half_open" };
    return names[s];
}

void breaker_settings_replace(struct breaker_settings *s, const struct breaker_settings *given) {
    if (given->failures > 0) s->failures = given->failures;
    if (given->calls > 0) s->calls = given->calls;
    if (given->share > 0) s->share = given->share;
    if (given->probes > 0) s->probes = given->probes;
    if (given->open_ms > 0) s->open_ms = given->open_ms;
    if (given->max_open_ms > 0) s->max_open_ms = given->max_open_ms;
    if (s->max_open_ms >= s->open_ms) return;
    if (given->max_open_ms > 0) s->open_ms = s->max_open_ms;
    else s->max_open_ms = s->open_ms;
}

int breaker_init(struct breaker *b, uint64_t seed) {
    memset(b, 0, sizeof(*b));
    rng_seed(&b->rng, seed);
    b->scout_wait_ms = SCOUT_MS;
    b->inited = pthread_mutex_init(&b->lock, NULL) == 0;
    return b->inited ? 0 : PERILUNE_ERR_NOMEM;
}

void breaker_deinit(struct breaker *b) {
    if (b->inited) pthread_mutex_destroy(&b->lock);
    b->inited = false;
}

/* -- States ------------------------------------------------------------------------- */

static enum breaker_state state_of(const struct breaker *b) {
    return (enum breaker_state)atomic_load_explicit((atomic_uint *)(uintptr_t)&b->state, memory_order_acquire);
}

/* BREAKER_LOCK.  The only place where the state changes. */
static void enter(struct breaker *b, enum breaker_state to, uint64_t now) {
    b->since_ms = now;
    b->probing = b->passed = 0;
    if (to == BREAKER_CLOSED) {
        b->level = b->row = 0;
        b->scout_wait_ms = SCOUT_MS;
        b->scouted = false;
        memset(b->slots, 0, sizeof(b->slots));
    }
    atomic_fetch_add_explicit(&b->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&b->state, to, memory_order_release);
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Doubled for each opening since it was closed. */
static uint64_t doubled(const struct breaker *b, uint64_t ms, uint64_t most) {
    return least(ms << (b->level < LEVEL_MOST ? b->level : LEVEL_MOST), most);
}

static uint64_t jittered(struct breaker *b, uint64_t ms) {
    return (uint64_t)((double)ms * (0.8 + 0.4 * rng_double(&b->rng)));
}

static uint64_t length_of(struct breaker *b, const struct breaker_settings *s, enum breaker_outcome o, uint64_t wait) {
    switch (o) {
    case BREAKER_LIMITED:
        if (wait == 0) return jittered(b, doubled(b, s->open_ms / LIMIT_SHARE + 1, s->max_open_ms));
        return least(wait < LIMIT_LEAST ? LIMIT_LEAST : wait, s->max_open_ms);
    case BREAKER_QUOTA: return wait == 0 ? QUOTA_MS : least(wait, QUOTA_MOST);
    default: return least(jittered(b, doubled(b, s->open_ms, s->max_open_ms)), s->max_open_ms);
    }
}

/* BREAKER_LOCK. */
static void open_for(struct breaker *b, const struct breaker_settings *s, enum breaker_outcome o, uint64_t wait,
                     uint64_t now) {
    b->length_ms = length_of(b, s, o, wait);
    if (b->scouted) b->scout_wait_ms = least(b->scout_wait_ms * 2, s->max_open_ms); /* it was wrong */
    b->scouted = false;
    atomic_store_explicit(&b->until_ms, now + b->length_ms, memory_order_relaxed);
    b->scout_at_ms = now + b->scout_wait_ms;
    enter(b, BREAKER_OPEN, now);
    b->level++;
    atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
}

/* BREAKER_LOCK.  A clock that was set back would keep it open for longer than it was opened for. */
static uint64_t until(struct breaker *b, uint64_t now) {
    uint64_t at = atomic_load_explicit(&b->until_ms, memory_order_relaxed);
    if (at <= now + b->length_ms) return at;
    at = now + b->length_ms;
    atomic_store_explicit(&b->until_ms, at, memory_order_relaxed);
    return at;
}

/* -- The window --------------------------------------------------------------------- */

/* BREAKER_LOCK. */
static void count(struct breaker *b, bool good, uint64_t now) {
    uint64_t at = now / SLOT_MS;
    unsigned i = (unsigned)(at % BREAKER_SLOTS);
    if (b->slots[i].at != at) {
        b->slots[i].at = at;
        b->slots[i].good = b->slots[i].bad = 0;
    }
    if (good) b->slots[i].good++;
    else b->slots[i].bad++;
}

static void add_up(const struct breaker *b, uint64_t now, unsigned *good, unsigned *bad) {
    uint64_t at = now / SLOT_MS;
    *good = *bad = 0;
    for (unsigned i = 0; i < BREAKER_SLOTS; i++) {
        if (b->slots[i].at > at || at - b->slots[i].at >= BREAKER_SLOTS) continue;
        *good += b->slots[i].good;
        *bad += b->slots[i].bad;
    }
}

static bool is_too_much(const struct breaker *b, const struct breaker_settings *s, uint64_t now) {
    unsigned good, bad;
    if (b->row >= s->failures) return true;
    add_up(b, now, &good, &bad);
    return good + bad >= s->calls && bad > 0 && (double)bad >= s->share * (double)(good + bad);
}

/* -- Before a call -------------------------------------------------------------------- */

static struct breaker_ticket ticket(const struct breaker *b, bool probe) {
    unsigned epoch = atomic_load_explicit((atomic_uint *)(uintptr_t)&b->epoch, memory_order_relaxed);
    return (struct breaker_ticket){ epoch, probe };
}

bool breaker_admit(struct breaker *b, const struct breaker_settings *s, uint64_t now, struct breaker_ticket *t) {
    *t = ticket(b, false);
    if (state_of(b) == BREAKER_CLOSED) return true; /* NOLOCK: a moment late does no harm */
    pthread_mutex_lock(&b->lock);
    if (state_of(b) == BREAKER_OPEN && now >= until(b, now)) enter(b, BREAKER_HALF_OPEN, now);
    bool closed = state_of(b) == BREAKER_CLOSED;
    bool probe = state_of(b) == BREAKER_HALF_OPEN && b->probing + b->passed < s->probes;
    if (probe) b->probing++;
    *t = ticket(b, probe);
    pthread_mutex_unlock(&b->lock);
    if (!closed && !probe) atomic_fetch_add_explicit(&b->refused, 1, memory_order_relaxed);
    return closed || probe;
}

void breaker_force(struct breaker *b, struct breaker_ticket *t) { *t = ticket(b, false); }

uint64_t breaker_refuses(const struct breaker *b, uint64_t now) {
    if (state_of(b) != BREAKER_OPEN) return 0; /* half open: whether a probe may go is found out by asking */
    uint64_t at = atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)&b->until_ms, memory_order_relaxed);
    return at > now ? at - now : 0;
}

/* -- Behind it ------------------------------------------------------------------------- */

/* BREAKER_LOCK. */
static int was_good(struct breaker *b, const struct breaker_settings *s, uint64_t now) {
    b->row = 0;
    b->alarmed = false;
    count(b, true, now);
    if (state_of(b) == BREAKER_CLOSED) return 0;
    if (state_of(b) == BREAKER_OPEN) enter(b, BREAKER_HALF_OPEN, now); /* somebody asked all the same */
    if (++b->passed < s->probes) return 0;
    enter(b, BREAKER_CLOSED, now);
    return BREAKER_HAS_CLOSED;
}

/* BREAKER_LOCK. */
static int was_bad(struct breaker *b, const struct breaker_settings *s, enum breaker_outcome o, uint64_t wait,
                   uint64_t now) {
    bool alarm = o == BREAKER_DENIED && !b->alarmed, at_once = o >= BREAKER_LIMITED;
    b->row++;
    count(b, false, now);
    if (alarm) {
        b->alarmed = true;
        atomic_fetch_add_explicit(&b->alarms, 1, memory_order_relaxed);
    }
    enum breaker_state was = state_of(b);
    bool opens = was == BREAKER_HALF_OPEN || (was == BREAKER_CLOSED && (at_once || is_too_much(b, s, now)));
    if (opens) open_for(b, s, o, wait, now);
    return (opens ? BREAKER_HAS_OPENED : 0) | (alarm ? BREAKER_ALARM : 0);
}

/* BREAKER_LOCK.  False: the call began in another state. */
static bool give_back(struct breaker *b, const struct breaker_ticket *t) {
    bool same = t->epoch == atomic_load_explicit(&b->epoch, memory_order_relaxed);
    if (same && t->probe && b->probing > 0) b->probing--;
    return same;
}

/* BREAKER_LOCK. */
static void note_why(struct breaker *b, enum breaker_outcome o, const char *code) {
    snprintf(b->code, sizeof(b->code), "%s", code ? code : "");
    b->why = o;
}

int breaker_settle(struct breaker *b, const struct breaker_settings *s, const struct breaker_ticket *t,
                   enum breaker_outcome o, uint64_t wait_ms, const char *code, uint64_t now) {
    if (o == BREAKER_NONE) {
        breaker_drop(b, t);
        return 0;
    }
    int changed = 0;
    pthread_mutex_lock(&b->lock);
    bool same = give_back(b, t);
    if (o != BREAKER_GOOD) note_why(b, o, code);
    if (same) changed = o == BREAKER_GOOD ? was_good(b, s, now) : was_bad(b, s, o, wait_ms, now);
    pthread_mutex_unlock(&b->lock);
    return changed;
}

/* BREAKER_LOCK.  One good one less, of the latest there is. */
static void take_back(struct breaker *b, uint64_t now) {
    uint64_t at = now / SLOT_MS;
    for (unsigned i = 0; i < BREAKER_SLOTS; i++) {
        unsigned k = (unsigned)((at + BREAKER_SLOTS - i) % BREAKER_SLOTS);
        if (b->slots[k].at > at || at - b->slots[k].at >= BREAKER_SLOTS || b->slots[k].good == 0) continue;
        b->slots[k].good--;
        return;
    }
}

int breaker_broke(struct breaker *b, const struct breaker_settings *s, enum breaker_outcome o, uint64_t wait_ms,
                  const char *code, uint64_t now) {
    int changed = 0;
    if (o == BREAKER_NONE) return 0;
    pthread_mutex_lock(&b->lock);
    note_why(b, o, code);
    if (state_of(b) == BREAKER_CLOSED) {
        take_back(b, now);
        changed = was_bad(b, s, o, wait_ms, now);
    }
    pthread_mutex_unlock(&b->lock);
    return changed;
}

void breaker_drop(struct breaker *b, const struct breaker_ticket *t) {
    if (!t->probe) return;
    pthread_mutex_lock(&b->lock);
    give_back(b, t);
    pthread_mutex_unlock(&b->lock);
}

/* -- Scouts -------------------------------------------------------------------------------- */

bool breaker_wants_scout(struct breaker *b, uint64_t now) {
    if (breaker_refuses(b, now) == 0) return false;
    pthread_mutex_lock(&b->lock);
    bool passes = b->why == BREAKER_FAILED || b->why == BREAKER_DARK;
    if (b->scout_at_ms > now + b->scout_wait_ms) b->scout_at_ms = now; /* the clock was set back */
    bool wanted = passes && state_of(b) == BREAKER_OPEN && now >= b->scout_at_ms;
    if (wanted) b->scout_at_ms = now + b->scout_wait_ms;
    pthread_mutex_unlock(&b->lock);
    return wanted;
}

void breaker_scouted(struct breaker *b, bool alive, uint64_t now) {
    if (!alive) return;
    pthread_mutex_lock(&b->lock);
    if (state_of(b) == BREAKER_OPEN && (b->why == BREAKER_FAILED || b->why == BREAKER_DARK) && until(b, now) > now) {
        atomic_store_explicit(&b->until_ms, now, memory_order_relaxed);
        b->scouted = true;
    }
    pthread_mutex_unlock(&b->lock);
}

/* -- Who it stands for ---------------------------------------------------------------------- */

void breaker_forget(struct breaker *b, uint64_t now) {
    pthread_mutex_lock(&b->lock);
    enter(b, BREAKER_CLOSED, now);
    note_why(b, BREAKER_NONE, NULL);
    b->alarmed = false;
    pthread_mutex_unlock(&b->lock);
}

void breaker_doubt_account(struct breaker *b, uint64_t now) {
    pthread_mutex_lock(&b->lock);
    bool account = b->why == BREAKER_QUOTA || b->why == BREAKER_DENIED;
    if (account && state_of(b) == BREAKER_OPEN && until(b, now) > now)
        atomic_store_explicit(&b->until_ms, now, memory_order_relaxed);
    pthread_mutex_unlock(&b->lock);
}

/* -- For people ----------------------------------------------------------------------------- */

void breaker_look(struct breaker *b, uint64_t now, struct breaker_view *out) {
    pthread_mutex_lock(&b->lock);
    *out = (struct breaker_view){ .state = state_of(b), .since_ms = least(b->since_ms, now), .row = b->row };
    if (out->state == BREAKER_OPEN) out->until_ms = until(b, now);
    add_up(b, now, &out->good, &out->bad);
    memcpy(out->code, b->code, sizeof(out->code));
    pthread_mutex_unlock(&b->lock);
}
