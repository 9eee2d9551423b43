/* cache_keeper.c -- the owner's care of the cache: size, old entries, a file.
 *
 *     load --> apply: size; the snapshot, once
 *     every SAVE_MS --> the snapshot
 *     close --> the snapshot
 *
 * It works on the owner's thread, so workers do not wait for a disk.  (With threads = 0 there is but one thread,
 * and a snapshot is written at the end only.)  A snapshot that cannot be written is said once, and again when it
 * works again; serving goes on. */
#include "gateway/cache_keeper.h"

#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "request/asked.h"
#include "store/snapshot.h"

#define SAVE_MS (5 * 60 * 1000)

static uint64_t wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void save(struct perilune *g) {
    struct cache_keeper *k = &g->cache_keeper;
    char err[512];
    uint64_t now = loop_now(&g->loop);
    cache_sweep(g->stores->cache, now);
    long n = snapshot_save(g->stores->cache, k->path, now, wall_ms(), err, sizeof(err));
    if (n < 0 && !k->failing) log_line(&g->log, PERILUNE_LOG_ERROR, "cache.snapshot: %s", err);
    if (n >= 0 && k->failing) log_line(&g->log, PERILUNE_LOG_INFO, "cache.snapshot: %s is written again", k->path);
    k->failing = n < 0;
}

static void tick(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, cache_keeper.timer);
    save(g);
    timer_start(&g->loop, t, SAVE_MS, tick);
}

/* The first configuration that names one decides which file it is. */
static void read_snapshot(struct perilune *g) {
    struct cache_keeper *k = &g->cache_keeper;
    char err[512];
    k->path = mem_strdup(g->config->cache_snapshot);
    if (k->path == NULL) return;
    long n = snapshot_load(g->stores->cache, k->path, loop_now(&g->loop), wall_ms(), err, sizeof(err));
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
        if (k->path != NULL && threaded) timer_start(&g->loop, &k->timer, SAVE_MS, tick);
    } else if ((path == NULL) != (k->path == NULL) || (path != NULL && strcmp(path, k->path) != 0)) {
        log_line(&g->log, PERILUNE_LOG_WARN, "cache.snapshot needs a restart to take effect");
    }
}

void cache_keeper_purged(struct perilune *g) {
    if (g->cache_keeper.path != NULL) save(g);
}

void cache_keeper_close(struct perilune *g) {
    timer_stop(&g->loop, &g->cache_keeper.timer);
    if (g->cache_keeper.path != NULL) save(g);
    mem_free(g->cache_keeper.path);
}
