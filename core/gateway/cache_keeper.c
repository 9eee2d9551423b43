/* cache_keeper.c -- the owner's care of the cache: size, old entries, a file.
 *
 *     load --> apply: size; the snapshot, once
 *     every SAVE_MS --> the snapshot
 *     an operator purges --> the snapshot, before he is told
 *     anybody else lets something go --news--> soon --> the snapshot
 *     close --> the snapshot
 *
 * What was let go must not come back out of a file.  Policies may let go something with each request, and a large
 * cache takes a while to write, so their news are collected: a second, and never more than a twentieth of the
 * time is spent on it.  A crash within that time brings them back.
 *
 * Redis remembers for an hour what was purged; where it is used, a snapshot that is older is not read, because nobody
 * knows what to leave out of it.  (What is still good stands in Redis.)
 *
 * It works on the owner's thread, so workers do not wait for a disk.  (With threads = 0 there is but one thread,
 * and a snapshot is written at the end only.)  A snapshot that cannot be written is said once, and again when it
 * works again; serving goes on. */
#include "gateway/cache_keeper.h"

#include <string.h>
#include <time.h>

#include "base/stamp.h"
#include "gateway/gateway.h"
#include "request/asked.h"
#include "store/snapshot.h"

#define SAVE_MS (5 * 60 * 1000)
#define SOON_MS 1000
#define SHARE   20 /* of the time: one part of so many is spent on what was let go */

static void save(struct perilune *g) {
    struct cache_keeper *k = &g->cache_keeper;
    char err[512];
    uint64_t now = loop_now(&g->loop), began = loop_hrtime_us();
    cache_clean(g->stores->cache, now);
    long n = snapshot_save(g->stores->cache, k->path, now, stamp_ms(CLOCK_REALTIME), err, sizeof(err));
    if (n < 0 && !k->failing) log_line(&g->log, PERILUNE_LOG_ERROR, "cache.snapshot: %s", err);
    if (n >= 0 && k->failing) log_line(&g->log, PERILUNE_LOG_INFO, "cache.snapshot: %s is written again", k->path);
    k->failing = n < 0;
    k->took_ms = (loop_hrtime_us() - began) / 1000;
}

static void soon_due(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, cache_keeper.soon);
    atomic_store(&g->cache_keeper.sent, false); /* first: what is let go from here on is news again */
    save(g);
}

static void hear(struct letter *l, void *owner) {
    struct perilune *g = container_of(l, struct perilune, cache_keeper.news);
    struct cache_keeper *k = &g->cache_keeper;
    (void)owner;
    if (k->path == NULL) return; /* it ends */
    timer_start(&g->loop, &k->soon, k->took_ms * SHARE > SOON_MS ? k->took_ms * SHARE : SOON_MS, soon_due);
}

/* [any]  One letter at a time: it is opened before the timer runs that lets the next one go. */
static void let_go(void *ud) {
    struct perilune *g = ud;
    struct cache_keeper *k = &g->cache_keeper;
    if (!atomic_exchange(&k->sent, true) && !mailbox_send(&g->mail, &k->news, hear)) atomic_store(&k->sent, false);
}

static void tick(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, cache_keeper.timer);
    cache_sweep(g->stores->cache, loop_now(&g->loop));
    save(g);
    timer_start(&g->loop, t, SAVE_MS, tick);
}

/* The first configuration that names one decides which file it is. */
static void read_snapshot(struct perilune *g) {
    struct cache_keeper *k = &g->cache_keeper;
    char err[512];
    k->path = mem_strdup(g->config->cache_snapshot);
    if (k->path == NULL) return;
    if (g->config->far != NULL && snapshot_age_ms(k->path, stamp_ms(CLOCK_REALTIME)) > REDIS_NOTES_MS) {
        log_line(&g->log, PERILUNE_LOG_WARN, "cache.snapshot: %s is older than an hour, and Redis remembers no longer "
                 "what was purged since; it is not read, and will be replaced", k->path);
        return;
    }
    long n = snapshot_load(g->stores->cache, k->path, loop_now(&g->loop), stamp_ms(CLOCK_REALTIME), err, sizeof(err));
    if (err[0] != '\0') log_line(&g->log, PERILUNE_LOG_WARN, "cache.snapshot: %s", err);
    if (n == PERILUNE_ERR_STATE) { /* somebody else's file */
        mem_free(k->path);
        k->path = NULL;
    }
    if (n > 0) log_line(&g->log, PERILUNE_LOG_INFO, "cache.snapshot: %ld entries from %s", n, k->path);
    asked_remember_all(g->stores, loop_now(&g->loop));
}

void cache_keeper_apply(struct perilune *g) {
    struct cache_keeper *k = &g->cache_keeper;
    const char *path = g->config->cache_snapshot;
    bool first = !k->begun, threaded = g->worker_count > 0 && g->workers[0].threaded;
    cache_resize(g->stores->cache, g->config->cache_bytes);
    near_resize(g->stores->near, g->config->cache_vectors);
    k->begun = true;
    if (first) {
        if (path != NULL) read_snapshot(g);
        if (k->path == NULL || !threaded) return;
        timer_start(&g->loop, &k->timer, SAVE_MS, tick);
        list_init(&k->news.link);
        cache_watch(g->stores->cache, let_go, g);
    } else if ((path == NULL) != (k->path == NULL) || (path != NULL && strcmp(path, k->path) != 0)) {
        log_line(&g->log, PERILUNE_LOG_WARN, "cache.snapshot needs a restart to take effect");
    }
}

void cache_keeper_purged(struct perilune *g) {
    if (g->cache_keeper.path != NULL) save(g);
}

void cache_keeper_close(struct perilune *g) {
    timer_stop(&g->loop, &g->cache_keeper.timer);
    timer_stop(&g->loop, &g->cache_keeper.soon);
    if (g->cache_keeper.path != NULL) save(g);
    mem_free(g->cache_keeper.path);
    g->cache_keeper.path = NULL;
}
