/* widen.c -- near questions that other processes answered.
 *
 *     nearest_find() finds nothing in the index of this process
 *         --> the shared index (store/vectors.c): the nearest 8 of the part
 *         --> those that are not here (known.c): read from the second tier (store/far.c), 4 at most, at once
 *         --> the cache and the index of this process
 *     nearest_find() once more: guard, pair model and threshold judge them as they judge all
 *
 * So what is shared only widens what a process knows.  No answer is given that its own judges would not give, whatever
 * the index says; and an entry that was brought is found here the next time, without asking.
 *
 * The part's name there is made of all that must be equal and of who made the vectors, with the secret, as keys
 * of entries are; so tenants and conversations stay apart, and so do processes with other secrets.
 *
 * All together takes no longer than one look-up in the second tier may: what is left of the time when the search
 * is answered is the time to read entries.  A key whose entry is gone is taken out of the index. */
#include "request/widen.h"

#include <string.h>

#include "base/mem.h"
#include "request/nearest.h"

#define BROUGHT_MOST 4    /* as nearest_find() looks at no more */
#define NOT_LATE     1000 /* ms: that several entries are not there in time is no sign of a server that hangs */

struct fetched {
    struct far_question q;
    struct widening    *w;
};

struct widening {
    struct far             *far;
    struct stores          *stores;
    void                  (*done)(void *ud, unsigned brought);
    void                   *ud;
    uint64_t                until_ms;
    struct far_key          part;
    unsigned                dims, due, brought;
    struct vectors_question search;
    struct fetched          gets[BROUGHT_MOST];
    struct timer            enough; /* what has not come by then is not waited for */
};

bool widen_is_ready(const struct far *f) { return far_is_ready(f) && vectors_is_ready(&f->vectors); }

/* The name of the part in the shared index. */
static void part_of(struct far *f, const struct asked *a, struct far_key *out) {
    char text[512];
    struct slice who = a->embedder;
    size_t len = 0;
    uint32_t dims = (uint32_t)a->vector.len;
    if (who.len > 256) who.len = 256; /* names are shorter */
    memcpy(text, "near", 4);
    memcpy(text + 4, &a->part, sizeof(a->part));
    len = 4 + sizeof(a->part);
    memcpy(text + len, &dims, sizeof(dims));
    len += sizeof(dims);
    memcpy(text + len, who.ptr, who.len);
    far_key(f, slice_of(text, len + who.len), out);
}

/* The key here of an entry that came by its far key: who asks the same words finds it by another. */
static struct hash128 key_of(const struct stores *s, const struct far_key *far) {
    char text[4 + sizeof(far->hex)] = "far";
    memcpy(text + 4, far->hex, sizeof(far->hex));
    return cache_key(s->cache, slice_of(text, sizeof(text)));
}

/* Is it here, and fresh? */
static bool is_here(const struct widening *w, const struct far_key *far) {
    struct hash128 near;
    uint64_t now = loop_now(w->far->loop);
    struct cache_entry *e = known_get(w->stores->known, far, &near) ? cache_peek(w->stores->cache, near, now) : NULL;
    bool fresh = e != NULL && cache_is_fresh(e, now);
    cache_entry_put(e);
    return fresh;
}

/* No more comes. */
static void stop(struct widening *w) {
    timer_stop(w->far->loop, &w->enough);
    vectors_cancel(&w->search);
    for (unsigned i = 0; i < BROUGHT_MOST; i++) far_cancel(&w->gets[i].q);
}

static void finish(struct widening *w) {
    stop(w);
    w->done(w->ud, w->brought); /* may free w */
}

static void on_enough(struct timer *t) { finish(container_of(t, struct widening, enough)); }

/* -- Reading what was found --------------------------------------------------------------------- */

static void on_got(struct far_question *q, struct cache_entry *e) {
    struct fetched *g = container_of(q, struct fetched, q);
    struct widening *w = g->w;
    struct cached c;
    if (e != NULL && cached_read(e, &c) && c.asked.text.len > 0) {
        known_set(w->stores->known, &q->key, cache_entry_key(e));
        asked_remember(w->stores, cache_entry_key(e), &c, loop_now(w->far->loop));
        w->brought++;
    } else if (q->gone) {
        vectors_remove(&w->far->vectors, &(struct vectors_ask){ .part = w->part, .key = q->key, .dims = w->dims });
    }
    cache_entry_put(e);
    if (--w->due == 0) finish(w);
}

static void on_found(struct vectors_question *q, const struct vector_hit *hits, unsigned count) {
    struct widening *w = container_of(q, struct widening, search);
    uint64_t now = loop_now(w->far->loop);
    for (unsigned i = 0; i < count && w->due < BROUGHT_MOST && now < w->until_ms; i++) {
        struct fetched *g = &w->gets[w->due];
        if (hits[i].cosine < NEAREST_FAR || is_here(w, &hits[i].key)) continue;
        g->w = w;
        g->q.within_ms = w->until_ms - now + NOT_LATE;
        if (far_get(w->far, &g->q, &hits[i].key, key_of(w->stores, &hits[i].key), on_got) == 0) w->due++;
    }
    stats_add(&w->far->vectors.stats.brought, w->due);
    if (w->due == 0 || timer_start(w->far->loop, &w->enough, w->until_ms - now, on_enough) != 0) finish(w);
}

struct widening *widen_begin(struct far *f, struct stores *s, const struct asked *asked,
                             void (*done)(void *ud, unsigned brought), void *ud) {
    struct widening *w = widen_is_ready(f) && asked->vector.len > 0 ? mem_zalloc(sizeof(*w)) : NULL;
    if (w == NULL) return NULL;
    w->far = f;
    w->stores = s;
    w->done = done;
    w->ud = ud;
    w->until_ms = loop_now(f->loop) + f->vectors.within_ms;
    w->dims = (unsigned)asked->vector.len;
    part_of(f, asked, &w->part);
    struct vectors_ask ask = { .part = w->part, .vector = asked->vector, .dims = w->dims };
    if (w->part.hex[0] != '\0' && vectors_find(&f->vectors, &w->search, &ask, on_found) == 0) return w;
    mem_free(w);
    return NULL;
}

void widen_free(struct widening *w) {
    stop(w);
    mem_free(w);
}

/* -- Telling ---------------------------------------------------------------------------------------- */

void widen_know(struct stores *s, const struct far_key *far, struct hash128 near) { known_set(s->known, far, near); }

void widen_tell(struct far *f, struct stores *s, const struct far_key *far, struct hash128 near,
                const struct asked *asked, uint64_t ttl_ms) {
    struct vectors_ask ask = { .key = *far, .vector = asked->vector, .dims = (unsigned)asked->vector.len,
                               .ttl_ms = ttl_ms };
    if (!widen_is_ready(f) || asked->text.len == 0 || asked->vector.len == 0 || ttl_ms == 0) return;
    part_of(f, asked, &ask.part);
    if (ask.part.hex[0] == '\0') return;
    widen_know(s, far, near);
    vectors_add(&f->vectors, &ask);
}
