/* index.c -- which of many vectors is nearest.
 *
 *     parts (hashtable) -> part: bits [ row row row ]      one bit a number: its sign
 *                                rows [ row row row ]      eight bits a number
 *                                keys, scales
 *     places (hashtable) -> place: key -> part, number of the row
 *
 * Rows of a part lie one behind the other, so that a search reads memory in order, which is as fast as
 * memory is.  What is removed is replaced by the last row, so adding and removing cost the same however
 * often it was done, and nothing needs rebuilding: graphs of neighbours lose recall when entries come and
 * go, and a cache does nothing else.
 *
 * In a part of FEW rows all are compared.  In a larger one signs are compared first, a sixteenth of the
 * bytes or less, and the nearest by them (CANDIDATES, and a share of the part) are compared as numbers.
 *
 * A vector is kept with its direction only: numbers from -127 to 127 and a scale that makes the
 * product of two rows a cosine. */
#include "store/index.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "base/hashtable.h"
#include "store/index_kernel.h"

#define FEW        1024 /* rows that are all compared */
#define CANDIDATES 256  /* rows that are compared as numbers, at least */
#define SHARE      256  /* and one in so many of the part */
#define MANY       16384 /* rows of a large part */
#define LEAST      4    /* rows of a new part */
#define AHEAD      8    /* rows that are fetched before they are compared */

struct part {
    struct chained link; /* its hash: the upper half of the key */
    uint64_t       low;
    size_t         count, cap;
    uint64_t      *bits;
    int8_t        *rows;
    float         *scales;
    struct place **places;
};

struct place {
    struct chained link;
    uint64_t       low;
    struct part   *part;
    size_t         row;
    struct hash128 key; /* as the owner knows it */
};

struct index {
    unsigned         dims, words;
    size_t           limit, bytes;
    pthread_rwlock_t lock;
    struct hashtable parts, places;
};

static _Atomic(const struct index_kernel *) kernel;

static const struct index_kernel *kernel_now(void) {
    const struct index_kernel *k = atomic_load_explicit(&kernel, memory_order_relaxed);
    if (k == NULL) atomic_store(&kernel, k = index_kernel_find(NULL));
    return k;
}

const char *index_kernel(void) { return kernel_now()->name; }

bool index_use_kernel(const char *name) {
    const struct index_kernel *k = index_kernel_find(name);
    if (k != NULL) atomic_store(&kernel, k);
    return k != NULL;
}

/* -- Tables -------------------------------------------------------------------------------- */

static struct slice low_of_part(const struct chained *e) {
    return slice_of((const char *)&container_of((struct chained *)(uintptr_t)e, struct part, link)->low, 8);
}

static struct slice low_of_place(const struct chained *e) {
    return slice_of((const char *)&container_of((struct chained *)(uintptr_t)e, struct place, link)->low, 8);
}

static struct part *find_part(const struct index *x, struct hash128 key) {
    struct chained **at = hashtable_find(&x->parts, key.high, slice_of((const char *)&key.low, 8), low_of_part);
    return at ? container_of(*at, struct part, link) : NULL;
}

/* The same key may stand in several parts. */
static struct hash128 place_key(struct hash128 part, struct hash128 key) {
    return (struct hash128){ key.low ^ (part.low * 0x9E3779B97F4A7C15u), key.high ^ (part.high * 0xBF58476D1CE4E5B9u) };
}

static struct chained **find_place(const struct index *x, struct hash128 at) {
    return hashtable_find(&x->places, at.high, slice_of((const char *)&at.low, 8), low_of_place);
}

/* -- Life ------------------------------------------------------------------------------------ */

struct index *index_new(unsigned dims, size_t limit) {
    if (dims == 0 || dims % 64 != 0 || dims > INDEX_MAX_DIMS) return NULL;
    struct index *x = mem_zalloc(sizeof(*x));
    if (x == NULL) return NULL;
    x->dims = dims;
    x->words = dims / 64;
    x->limit = limit;
    pthread_rwlock_init(&x->lock, NULL);
    return x;
}

static size_t row_bytes(const struct index *x) {
    return x->dims + x->words * sizeof(uint64_t) + sizeof(float) + sizeof(struct place *);
}

static void part_free(struct part *p) {
    for (size_t i = 0; i < p->count; i++) mem_free(p->places[i]);
    mem_free(p->bits);
    mem_free(p->rows);
    mem_free(p->scales);
    mem_free(p->places);
    mem_free(p);
}

void index_free(struct index *x) {
    if (x == NULL) return;
    for (size_t i = 0; i < x->parts.cap; i++)
        for (struct chained *e = x->parts.slots[i], *next; e != NULL; e = next) {
            next = e->next;
            part_free(container_of(e, struct part, link));
        }
    hashtable_deinit(&x->parts);
    hashtable_deinit(&x->places);
    pthread_rwlock_destroy(&x->lock);
    mem_free(x);
}

/* -- Rows ------------------------------------------------------------------------------------- */

/* Numbers, signs and scale of a vector; false: it has no direction. */
static bool quantize(const struct index *x, const float *v, int8_t *row, uint64_t *bits, float *scale) {
    float most = 0;
    for (unsigned i = 0; i < x->dims; i++) {
        if (!isfinite(v[i])) return false;
        if (fabsf(v[i]) > most) most = fabsf(v[i]);
    }
    if (most == 0) return false;
    int32_t length = 0;
    memset(bits, 0, x->words * sizeof(*bits));
    for (unsigned i = 0; i < x->dims; i++) {
        row[i] = (int8_t)lrintf(v[i] / most * 127);
        length += row[i] * row[i];
        if (v[i] > 0) bits[i / 64] |= (uint64_t)1 << (i % 64);
    }
    *scale = 1 / sqrtf((float)length);
    return true;
}

static bool regrow(void **p, size_t size) {
    void *more = mem_realloc(*p, size);
    if (more != NULL) *p = more;
    return more != NULL;
}

/* Room for `cap` rows.  Of less room any of the four may have been made before there was no memory for the next, so
 * that much is what they have in common. */
static int resize(struct index *x, struct part *p, size_t cap) {
    if (cap > p->cap && x->bytes + (cap - p->cap) * row_bytes(x) > x->limit) return PERILUNE_ERR_LIMITED;
    bool done = regrow((void **)&p->bits, cap * x->words * sizeof(*p->bits)) &&
                regrow((void **)&p->rows, cap * x->dims) && regrow((void **)&p->scales, cap * sizeof(*p->scales)) &&
                regrow((void **)&p->places, cap * sizeof(struct place *));
    if (!done && cap > p->cap) return PERILUNE_ERR_NOMEM;
    x->bytes += (cap - p->cap) * row_bytes(x); /* may wrap round to less */
    p->cap = cap;
    return 0;
}

static void copy_row(const struct index *x, struct part *p, size_t to, const int8_t *row, const uint64_t *bits,
                     float scale) {
    memcpy(p->rows + to * x->dims, row, x->dims);
    memcpy(p->bits + to * x->words, bits, x->words * sizeof(*bits));
    p->scales[to] = scale;
}

static void drop_part(struct index *x, struct part *p) {
    struct hash128 key = { p->low, p->link.hash };
    hashtable_remove(&x->parts, hashtable_find(&x->parts, key.high, slice_of((const char *)&key.low, 8), low_of_part));
    x->bytes -= sizeof(*p) + p->cap * row_bytes(x);
    part_free(p);
}

/* The last row takes its place. */
static void remove_at(struct index *x, struct chained **at) {
    struct place *gone = container_of(*at, struct place, link);
    struct part *p = gone->part;
    size_t last = p->count - 1, row = gone->row;
    hashtable_remove(&x->places, at);
    if (row != last) {
        copy_row(x, p, row, p->rows + last * x->dims, p->bits + last * x->words, p->scales[last]);
        p->places[row] = p->places[last];
        p->places[row]->row = row;
    }
    p->count--;
    x->bytes -= sizeof(*gone);
    mem_free(gone);
    if (p->count == 0) drop_part(x, p);
    else if (p->cap > LEAST && p->count < p->cap / 4) resize(x, p, p->cap / 2);
}

static struct part *make_part(struct index *x, struct hash128 key) {
    if (hashtable_reserve(&x->parts) != 0) return NULL;
    struct part *p = mem_zalloc(sizeof(*p));
    if (p == NULL) return NULL;
    p->link.hash = key.high;
    p->low = key.low;
    hashtable_add(&x->parts, &p->link);
    x->bytes += sizeof(*p);
    return p;
}

/* Locked.  The row is in place `count` when it returns 0. */
static int make_room(struct index *x, struct part *p) {
    if (x->bytes + sizeof(struct place) > x->limit) return PERILUNE_ERR_LIMITED;
    if (p->count < p->cap) return 0;
    return resize(x, p, p->cap ? p->cap * 2 : LEAST);
}

static int add(struct index *x, struct hash128 part, struct hash128 at, struct hash128 key, const int8_t *row,
               const uint64_t *bits, float scale) {
    struct part *p = find_part(x, part);
    if (p == NULL && (p = make_part(x, part)) == NULL) return PERILUNE_ERR_NOMEM;
    struct place *place = NULL;
    int rc = make_room(x, p);
    if (rc == 0 && (hashtable_reserve(&x->places) != 0 || (place = mem_alloc(sizeof(*place))) == NULL))
        rc = PERILUNE_ERR_NOMEM;
    if (rc != 0) {
        if (p->count == 0) drop_part(x, p);
        return rc;
    }
    *place = (struct place){ .link = { .hash = at.high }, .low = at.low, .part = p, .row = p->count, .key = key };
    hashtable_add(&x->places, &place->link);
    copy_row(x, p, p->count, row, bits, scale);
    p->places[p->count++] = place;
    x->bytes += sizeof(*place);
    return 0;
}

int index_add(struct index *x, struct hash128 part, struct hash128 key, const float *vector) {
    int8_t row[INDEX_MAX_DIMS];
    uint64_t bits[INDEX_MAX_DIMS / 64];
    float scale;
    struct hash128 at = place_key(part, key);
    if (!quantize(x, vector, row, bits, &scale)) return PERILUNE_ERR_INVAL;
    pthread_rwlock_wrlock(&x->lock);
    struct chained **old = find_place(x, at);
    int rc = 0;
    if (old != NULL) {
        struct place *p = container_of(*old, struct place, link);
        copy_row(x, p->part, p->row, row, bits, scale);
    } else {
        rc = add(x, part, at, key, row, bits, scale);
    }
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

bool index_remove(struct index *x, struct hash128 part, struct hash128 key) {
    pthread_rwlock_wrlock(&x->lock);
    struct chained **at = find_place(x, place_key(part, key));
    if (at != NULL) remove_at(x, at);
    pthread_rwlock_unlock(&x->lock);
    return at != NULL;
}

/* Chains are short: one too long for what is left of `out` is met in part. */
unsigned index_walk(struct index *x, size_t *cursor, struct index_place *out, unsigned most) {
    unsigned n = 0;
    pthread_rwlock_rdlock(&x->lock);
    const struct hashtable *t = &x->places;
    for (size_t seen = 0; seen < t->cap && n < most; seen++) {
        *cursor = *cursor + 1 < t->cap ? *cursor + 1 : 0;
        for (const struct chained *e = t->slots[*cursor]; e != NULL && n < most; e = e->next) {
            const struct place *p = container_of((struct chained *)(uintptr_t)e, struct place, link);
            out[n++] = (struct index_place){ { p->part->low, p->part->link.hash }, p->key };
        }
    }
    pthread_rwlock_unlock(&x->lock);
    return n;
}

/* -- Searching ----------------------------------------------------------------------------------- */

struct query {
    int8_t   row[INDEX_MAX_DIMS];
    uint64_t bits[INDEX_MAX_DIMS / 64];
    float    scale;
    struct index_hit *out;
    unsigned most, count;
};

static void consider(struct query *q, const struct place *place, float score) {
    if (q->count == q->most && score <= q->out[q->count - 1].score) return;
    unsigned i = q->count < q->most ? q->count++ : q->count - 1;
    for (; i > 0 && q->out[i - 1].score < score; i--) q->out[i] = q->out[i - 1];
    q->out[i] = (struct index_hit){ place->key, score };
}

static void compare(const struct index *x, const struct part *p, struct query *q, size_t i) {
    int32_t dot = kernel_now()->dot(q->row, p->rows + i * x->dims, x->dims);
    consider(q, p->places[i], (float)dot * q->scale * p->scales[i]);
}

/* How far about `want` of the nearest by signs are: a count of rows by distance, of which there are few.  Of a
 * large part every seventh row is counted: questions that come in turns, of two or of four kinds, are all met. */
static uint32_t distance_of(const struct index *x, const struct part *p, const struct query *q, size_t want,
                            uint16_t *distances) {
    uint32_t counts[INDEX_MAX_DIMS + 1];
    memset(counts, 0, (x->dims + 1) * sizeof(*counts));
    kernel_now()->distances(q->bits, p->bits, x->words, p->count, distances);
    size_t step = p->count > MANY ? 7 : 1, sum = 0;
    for (size_t i = 0; i < p->count; i += step) counts[distances[i]]++;
    for (uint32_t d = 0; d <= x->dims; d++)
        if ((sum += counts[d]) >= want / step) return d;
    return x->dims;
}

static inline void fetch(const struct index *x, const struct part *p, size_t i) {
    const int8_t *row = p->rows + i * x->dims;
    for (unsigned k = 0; k < x->dims; k += 64) __builtin_prefetch(row + k);
}

/* Candidates lie anywhere in memory: while some are on their way, those before them are compared. */
static void search_some(const struct index *x, const struct part *p, struct query *q, uint16_t *distances) {
    size_t want = CANDIDATES + p->count / SHARE, coming[AHEAD], n = 0;
    uint32_t most = distance_of(x, p, q, want, distances);
    for (size_t i = 0; i < p->count; i++) {
        if (distances[i] > most) continue;
        fetch(x, p, i);
        if (n >= AHEAD) compare(x, p, q, coming[n % AHEAD]);
        coming[n++ % AHEAD] = i;
    }
    for (size_t i = n < AHEAD ? 0 : n - AHEAD; i < n; i++) compare(x, p, q, coming[i % AHEAD]);
}

static void search_all(const struct index *x, const struct part *p, struct query *q) {
    for (size_t i = 0; i < p->count; i++) compare(x, p, q, i);
}

unsigned index_search(struct index *x, struct hash128 part, const float *vector, struct index_hit *out, unsigned most) {
    struct query q = { .out = out, .most = most < INDEX_MAX_HITS ? most : INDEX_MAX_HITS };
    if (q.most == 0 || !quantize(x, vector, q.row, q.bits, &q.scale)) return 0;
    pthread_rwlock_rdlock(&x->lock);
    const struct part *p = find_part(x, part);
    uint16_t *distances = p && p->count > FEW ? mem_alloc(p->count * sizeof(*distances)) : NULL;
    if (p != NULL && distances != NULL) search_some(x, p, &q, distances);
    else if (p != NULL) search_all(x, p, &q); /* few, or no memory: slower, and as right */
    pthread_rwlock_unlock(&x->lock);
    mem_free(distances);
    return q.count;
}

void index_count(struct index *x, struct index_stats *out) {
    pthread_rwlock_rdlock(&x->lock);
    *out = (struct index_stats){ .vectors = x->places.count, .parts = x->parts.count, .bytes = x->bytes };
    pthread_rwlock_unlock(&x->lock);
}
