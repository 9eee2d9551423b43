/* resident_recover.c -- what happens when an engine fails.
 *
 *     working --step(), embed() fail, or it says that it is lost--> broken --recover()--> working
 *        |                                                             |
 *        +-- who is in the batch: TURN_BROKEN                          +-- tried again: at once, 0.2 s, 0.4 s ... 30 s
 *        +-- who only waits goes on waiting, PARK_MS at most           +-- who comes waits, too, if it is worth it
 *
 * An answer that has begun cannot be gone on with: the client has text, and the engine has lost the rows.  Who waits
 * has lost nothing but time.  Who comes when the next try is further away than anybody waits is told how far.
 *
 * Failures are in a row when less than HEALTHY_MS passed between a recovery and the next of them: a request that breaks
 * the engine each time it is asked again must not keep it loading all day.  The breaker of the upstream counts on its
 * own what requests are told.
 *
 * Tries go on for ever: what was missing (memory, a file) may be there later. */
#include <stdarg.h>
#include <stdio.h>

#include "include/perilune.h"
#include "local/resident_int.h"

#define PARK_MS    5000  /* that somebody waits for an engine to recover */
#define FIRST_MS   200   /* until the second try; each time twice as long */
#define MOST_MS    30000
#define HEALTHY_MS 30000
#define LOOK_MS    5     /* while it recovers */
#define LOUD       3     /* failures in a row that are an error for the log */

void resident_say(const struct resident *r, int level, const char *fmt, ...) {
    char text[800];
    va_list ap;
    if (r->settings.say == NULL) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->settings.say(r->settings.ud, level, text);
}

void resident_on_lost(void *resident) {
    struct resident *r = resident;
    atomic_store(&r->lost, true);
    if (atomic_load(&r->begun)) resident_ring(r);
}

/* -- When ----------------------------------------------------------------------------------- */

static uint64_t delay_of(unsigned failures) {
    uint64_t ms = FIRST_MS;
    if (failures <= 1) return 0;
    for (unsigned i = 2; i < failures && ms < MOST_MS; i++) ms *= 2;
    return ms < MOST_MS ? ms : MOST_MS;
}

/* The loop runs timers before it sleeps: it must not, the resident has something to look at. */
static void on_again(struct timer *t) { resident_ring(container_of(t, struct resident, again)); }

/* Starting a timer takes memory when the loop has no room for it, and there may be none when the engine has failed for
 * want of it.  It is the only one of its loop. */
int resident_prepare(struct resident *r) {
    int rc = timer_start(&r->loop, &r->again, 1000, on_again);
    timer_stop(&r->loop, &r->again);
    return rc;
}

static uint64_t until_next(const struct resident *r) {
    uint64_t now = loop_now(&r->loop);
    return r->next_ms > now ? r->next_ms - now : 0;
}

static void plan_next(struct resident *r, const char *what) {
    uint64_t ms = delay_of(++r->failures);
    r->next_ms = loop_now(&r->loop) + ms;
    resident_say(r, r->failures >= LOUD ? PERILUNE_LOG_ERROR : PERILUNE_LOG_WARN,
                 "%s; failure %u in a row, tried again in %.1f s", what, r->failures, (double)ms / 1e3);
}

/* -- Who is told what ----------------------------------------------------------------------------- */

static void tell_when(struct resident *r, struct talk *k) {
    struct turn_event ev = resident_failure(TURN_DOWN, "the local engine failed, and is not there again yet");
    uint64_t ms = until_next(r);
    ev.limit = ms < 1000 ? 1000 : (uint32_t)ms;
    resident_fail(r, k, &ev);
}

void resident_park(struct resident *r, struct talk *k, unsigned choices) {
    if (r->engine->recover == NULL) {
        struct turn_event ev = resident_failure(TURN_BROKEN, RESIDENT_FAILED "; the model must be loaded anew");
        resident_fail(r, k, &ev);
    } else if (until_next(r) > PARK_MS) {
        tell_when(r, k);
    } else {
        k->parked_ms = loop_now(&r->loop);
        r->parked += choices;
    }
}

/* Has it anything that the engine has lost? */
static bool has_begun(const struct resident *r, const struct talk *k) {
    if (k->begun) return true;
    for (const struct list *l = r->active.next; l != &r->active; l = l->next)
        if (container_of((struct list *)(uintptr_t)l, struct choice, link)->talk == k) return true;
    return k->said > 0;
}

static void fail_begun(struct resident *r) {
    struct turn_event ev = resident_failure(TURN_BROKEN, RESIDENT_FAILED "; it is loaded anew");
    for (struct list *l = r->talks.next, *next; l != &r->talks; l = next) {
        struct talk *k = container_of(l, struct talk, link);
        next = l->next;
        if (has_begun(r, k)) resident_fail(r, k, &ev);
        else k->parked_ms = loop_now(&r->loop);
    }
}

/* Who has waited for too long is told so; then it sleeps, until the next of them has, or for `ms`. */
static void sleep_for(struct resident *r, uint64_t ms) {
    uint64_t now = loop_now(&r->loop);
    for (struct list *l = r->talks.next, *next; l != &r->talks; l = next) {
        struct talk *k = container_of(l, struct talk, link);
        next = l->next;
        uint64_t due = k->parked_ms + PARK_MS;
        if (now >= due || until_next(r) > PARK_MS) tell_when(r, k);
        else if (due - now < ms) ms = due - now;
    }
    (void)timer_start(&r->loop, &r->again, ms, on_again); /* room for it is there, see resident_prepare() */
}

/* -- Failing, and being there again -------------------------------------------------------------------- */

void resident_break(struct resident *r) {
    uv_update_time(&r->loop.uv); /* the step may have taken long */
    uint64_t now = loop_now(&r->loop);
    r->broken = true;
    r->broke_ms = now;
    stats_add(&r->stats.failures, 1);
    if (r->engine->recover == NULL) {
        struct turn_event ev = resident_failure(TURN_BROKEN, RESIDENT_FAILED "; the model must be loaded anew");
        resident_say(r, PERILUNE_LOG_ERROR, "a local model failed, and must be loaded anew");
        resident_fail_all(r, &ev);
        return;
    }
    fail_begun(r);
    if (r->stats.recoveries == 0 || now - r->back_ms >= HEALTHY_MS) r->failures = 0;
    plan_next(r, "a local model failed");
    sleep_for(r, until_next(r));
}

/* Rows are empty on both sides, and who waited begins. */
static void be_back(struct resident *r) {
    struct list waited;
    r->broken = false;
    r->back_ms = loop_now(&r->loop);
    timer_stop(&r->loop, &r->again);
    stats_add(&r->stats.recoveries, 1);
    resident_say(r, PERILUNE_LOG_INFO, "a local model is there again, after %.3f s",
                 (double)(r->back_ms - r->broke_ms) / 1e3);
    if (r->facts->kind == PERILUNE_ENGINE_CHAT) {
        r->rows.broken = false;
        rows_clear(&r->rows);
    }
    list_take(&waited, &r->talks); /* some may go, with what is said of their texts */
    while (!list_is_empty(&waited)) {
        struct talk *k = container_of(waited.next, struct talk, link);
        bool is_new = k->parked_ms != 0 && k->open == 0;
        list_remove(&k->link);
        list_append(&r->talks, &k->link);
        if (is_new) r->parked -= turn_choices(&k->turn->ask);
        k->parked_ms = 0;
        if (is_new) resident_add_texts(r, k);
    }
}

void resident_recover(struct resident *r) {
    char why[600] = "";
    if (r->engine->recover == NULL) return;
    bool tries = until_next(r) == 0;
    if (tries) atomic_store(&r->lost, false); /* of the one that is gone */
    int rc = tries ? r->engine->recover(r->model, why, sizeof(why)) : PERILUNE_ERR_STATE;
    if (rc == 0) {
        be_back(r);
        return;
    }
    if (tries && rc != PERILUNE_ERR_AGAIN) plan_next(r, why[0] ? why : "a local model failed to be loaded anew");
    sleep_for(r, rc == PERILUNE_ERR_AGAIN ? LOOK_MS : until_next(r));
}
