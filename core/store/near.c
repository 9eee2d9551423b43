/* near.c -- which questions were asked before, by what they mean.
 *
 *     kinds[] { dims, index }        vectors of one length each: embedders differ in it
 *         index: part -> vectors, each with the key of an entry of the cache
 *     grams                          how rare n-grams are (semantic/grams.h)
 *     misses                         a ring of the last near questions whose answer was not given
 *
 * The answers are the cache's, and so is the decision which of them are kept.  A vector does not keep
 * its entry alive: it may lead to nothing, and whoever finds that out takes it away.  Besides, each
 * vector that is added has a few others looked at (STEP), so vectors of entries that are gone do not pile up,
 * though nobody may ever come near them again.  When there is no room, more are looked at, and in the end some
 * that still lead somewhere are forgotten: their answers are found by the exact key only.
 *
 * Snapshots hold no vectors of their own: an entry says what it answers (request/cached.h). */
#include "store/near.h"

#include <pthread.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "semantic/grams.h"

#define KINDS     8   /* lengths of vectors: one an embedder */
#define STEP      2   /* vectors that are looked at with each that is added */
#define MORE      64  /* when there is no room */
#define GIVEN_UP  8   /* that are forgotten then, when all lead somewhere */
#define GRAM_BITS 20  /* 2^20 counters: some 100,000 short questions */
#define MISSES    64

struct near {
    struct cache       *cache;
    atomic_size_t       limit;
    pthread_rwlock_t    lock;  /* of kinds */
    struct kind {
        unsigned      dims;
        struct index *index;
        atomic_size_t cursor;
    } kinds[KINDS];
    unsigned            kind_count;
    struct gram_counts *grams;
    pthread_mutex_t     misses_lock;
    struct near_miss    misses[MISSES];
    uint64_t            miss_count;
    atomic_ullong       searches, hits, refused;
};

struct near *near_new(struct cache *c, size_t limit) {
    struct near *n = mem_zalloc(sizeof(*n));
    if (n == NULL) return NULL;
    n->cache = c;
    atomic_init(&n->limit, limit);
    pthread_rwlock_init(&n->lock, NULL);
    pthread_mutex_init(&n->misses_lock, NULL);
    n->grams = gram_counts_new(GRAM_BITS);
    if (n->grams != NULL) return n;
    near_free(n);
    return NULL;
}

void near_free(struct near *n) {
    if (n == NULL) return;
    for (unsigned i = 0; i < n->kind_count; i++) index_free(n->kinds[i].index);
    gram_counts_free(n->grams);
    pthread_rwlock_destroy(&n->lock);
    pthread_mutex_destroy(&n->misses_lock);
    mem_free(n);
}

void near_resize(struct near *n, size_t limit) { atomic_store(&n->limit, limit); }

struct gram_counts *near_grams(struct near *n) { return n->grams; }

/* -- Kinds ---------------------------------------------------------------------------------- */

/* Locked. */
static struct kind *look_for(struct near *n, unsigned dims) {
    for (unsigned i = 0; i < n->kind_count; i++)
        if (n->kinds[i].dims == dims) return &n->kinds[i];
    return NULL;
}

static struct kind *find_kind(struct near *n, unsigned dims) {
    pthread_rwlock_rdlock(&n->lock);
    struct kind *found = look_for(n, dims);
    pthread_rwlock_unlock(&n->lock);
    return found; /* stays where it is */
}

/* NULL: there is no room for one more, or no memory. */
static struct kind *make_kind(struct near *n, unsigned dims) {
    pthread_rwlock_wrlock(&n->lock);
    struct kind *k = look_for(n, dims);
    struct index *x = k == NULL && n->kind_count < KINDS ? index_new(dims, SIZE_MAX) : NULL;
    if (x != NULL) {
        k = &n->kinds[n->kind_count++];
        k->dims = dims;
        k->index = x;
    }
    pthread_rwlock_unlock(&n->lock);
    return k;
}

/* Of all kinds together; those that are there stay where they are. */
static struct index_stats count_all(struct near *n) {
    struct index_stats all = { 0 }, one;
    pthread_rwlock_rdlock(&n->lock);
    unsigned count = n->kind_count;
    pthread_rwlock_unlock(&n->lock);
    for (unsigned i = 0; i < count; i++) {
        index_count(n->kinds[i].index, &one);
        all.vectors += one.vectors;
        all.parts += one.parts;
        all.bytes += one.bytes;
    }
    return all;
}

/* -- Cleaning ---------------------------------------------------------------------------------- */

/* Looks at so many; those that lead to nothing go, and when none does, `given_up` of the others. */
static void look_at_some(struct near *n, struct kind *k, unsigned count, unsigned given_up, uint64_t now) {
    struct index_place places[MORE];
    size_t cursor = atomic_load(&k->cursor);
    unsigned got = index_walk(k->index, &cursor, places, count), gone = 0;
    atomic_store(&k->cursor, cursor);
    for (unsigned i = 0; i < got; i++) {
        struct cache_entry *e = cache_peek(n->cache, places[i].key, now);
        if (e == NULL) gone += index_remove(k->index, places[i].part, places[i].key);
        cache_entry_put(e);
    }
    for (unsigned i = 0; gone == 0 && i < got && i < given_up; i++)
        index_remove(k->index, places[i].part, places[i].key);
}

/* -- Public -------------------------------------------------------------------------------------- */

int near_add(struct near *n, struct hash128 part, struct hash128 key, const float *vector, unsigned dims,
             uint64_t now) {
    size_t limit = atomic_load(&n->limit);
    if (limit == 0) return PERILUNE_ERR_LIMITED;
    struct kind *k = find_kind(n, dims);
    if (k == NULL && (k = make_kind(n, dims)) == NULL) return PERILUNE_ERR_LIMITED;
    bool full = count_all(n).bytes + dims > limit;
    look_at_some(n, k, full ? MORE : STEP, full ? GIVEN_UP : 0, now);
    if (full && count_all(n).bytes + dims > limit) return PERILUNE_ERR_LIMITED;
    return index_add(k->index, part, key, vector);
}

bool near_remove(struct near *n, struct hash128 part, struct hash128 key, unsigned dims) {
    struct kind *k = find_kind(n, dims);
    return k != NULL && index_remove(k->index, part, key);
}

unsigned near_search(struct near *n, struct hash128 part, const float *vector, unsigned dims, struct index_hit *out,
                     unsigned most) {
    struct kind *k = find_kind(n, dims);
    atomic_fetch_add_explicit(&n->searches, 1, memory_order_relaxed);
    return k != NULL ? index_search(k->index, part, vector, out, most) : 0;
}

/* -- What was refused ------------------------------------------------------------------------------ */

void near_note(struct near *n, const struct near_miss *m) {
    pthread_mutex_lock(&n->misses_lock);
    n->misses[n->miss_count++ % MISSES] = *m;
    pthread_mutex_unlock(&n->misses_lock);
}

void near_misses(struct near *n, void (*see)(const struct near_miss *m, void *ud), void *ud) {
    pthread_mutex_lock(&n->misses_lock);
    uint64_t count = n->miss_count < MISSES ? n->miss_count : MISSES;
    for (uint64_t i = 1; i <= count; i++) see(&n->misses[(n->miss_count - i) % MISSES], ud);
    pthread_mutex_unlock(&n->misses_lock);
}

void near_tell(struct near *n, bool hit) {
    atomic_fetch_add_explicit(hit ? &n->hits : &n->refused, 1, memory_order_relaxed);
}

void near_count(struct near *n, struct near_stats *out) {
    struct index_stats all = count_all(n);
    *out = (struct near_stats){ .vectors = all.vectors, .parts = all.parts, .bytes = all.bytes,
                                .limit = atomic_load(&n->limit), .searches = atomic_load(&n->searches),
                                .hits = atomic_load(&n->hits), .refused = atomic_load(&n->refused) };
}
