/* asked.c -- questions that entries of the cache answer, made findable by what they mean.
 *
 *     entry { asked { part, text, embedder, vector } } --> near { part + embedder: vector -> key }
 *                                                          n-grams of the text, counted
 *
 * All that is needed stands in the entry, so that an entry from a snapshot, or from another machine, is found
 * without asking an embedder again.  What is remembered twice counts once: the vector replaces itself. */
#include "request/asked.h"

#include "base/mem.h"
#include "semantic/grams.h"
#include "semantic/normal.h"

static const struct hash_key fixed = { 0x6e656172657374, 0x7175657374696f6e }; /* the same in every process */

uint64_t asked_scope(struct slice cache, struct slice tenant) {
    return hash64(&fixed, cache) * 0x9E3779B97F4A7C15u ^ hash64(&fixed, tenant);
}

struct hash128 asked_part(struct hash128 part, struct slice embedder) {
    uint64_t h = hash64(&fixed, embedder);
    return (struct hash128){ part.low ^ h, part.high ^ (h * 0x9E3779B97F4A7C15u) };
}

void asked_numbers(struct slice vector, float *out) {
    for (size_t i = 0; i < vector.len; i++) out[i] = (float)(signed char)vector.ptr[i];
}

static void count_grams(struct gram_counts *counts, uint64_t scope, struct slice text) {
    struct buf normal;
    struct grams g;
    buf_init(&normal, 0);
    grams_init(&g);
    normal_write(text, &normal);
    if (!buf_failed(&normal) && grams_read(&g, buf_get(&normal)) == 0) gram_counts_add(counts, scope, &g, 1);
    grams_deinit(&g);
    buf_deinit(&normal);
}

void asked_remember(struct stores *s, struct hash128 key, const struct cached *c, uint64_t now) {
    const struct asked *a = &c->asked;
    float vector[CACHED_MAX_VECTOR];
    if (a->text.len == 0 || a->vector.len == 0 || a->vector.len > CACHED_MAX_VECTOR) return;
    struct hash128 part = asked_part(a->part, a->embedder);
    asked_numbers(a->vector, vector);
    bool known = near_remove(s->near, part, key, (unsigned)a->vector.len);
    if (near_add(s->near, part, key, vector, (unsigned)a->vector.len, now) != 0 || known) return;
    count_grams(near_grams(s->near), asked_scope(c->cache, c->tenant), a->text);
}

/* -- All of them --------------------------------------------------------------------------------- */

struct walk {
    struct cache_entry **entries; /* shares: nobody may call the cache from within cache_each() */
    unsigned             count, cap;
};

static bool collect(struct cache_entry *e, void *ud) {
    struct walk *w = ud;
    struct cached c;
    if (!cached_read(e, &c) || c.asked.text.len == 0) return true;
    if (w->count == w->cap && !mem_grow((void **)&w->entries, w->count, &w->cap, sizeof(*w->entries))) return false;
    w->entries[w->count++] = cache_entry_ref(e);
    return true;
}

unsigned asked_remember_all(struct stores *s, uint64_t now) {
    struct walk w = { .count = 0 };
    struct cached c;
    cache_each(s->cache, collect, &w);
    for (unsigned i = 0; i < w.count; i++) {
        if (cached_read(w.entries[i], &c)) asked_remember(s, cache_entry_key(w.entries[i]), &c, now);
        cache_entry_put(w.entries[i]);
    }
    mem_free(w.entries);
    return w.count;
}
