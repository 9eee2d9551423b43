/* grams.c -- the character n-grams of a text, hashed, and how rare they are.
 *
 * Texts that say the same in nearly the same words share most of their pieces of one to four characters,
 * in any language and without knowing where its words end:
 *
 *     "如何退款"   如 何 退 款  如何 何退 退款  如何退 何退款  如何退款
 *
 * A piece that stands in few texts says more than one that stands in most.  How many texts hold it is
 * learned from the texts that come, per scope, in one array of counters that all scopes share:
 *
 *     hash of the piece and of the scope --> a line of 16 counters --> two of them; the smaller one counts
 *
 * So memory is bounded whatever comes, and a counter says too much rather than too little; what others add
 * on average is taken off again.  The scope is part of the hash, therefore a tenant's texts do not tell what
 * another's hold.
 *
 * While a scope has few texts, a prior speaks: how rare a piece is when characters come one after the other
 * as often as they do in English and Chinese, a little oftener since they make words.  It is worth
 * PRIOR_TEXTS texts, and more when the counters are so full that they say little about small scopes.  The
 * lowest four bits of a hash say which of 16 classes of rarity a piece is in, so that nothing needs to be known
 * of it later but its hash.
 *
 *     hash    [ 28 bits of the piece | 4 bits: expected once in 2^n characters ]
 *
 * Entries of the cache go, and nobody takes their pieces back: the text is gone with the entry, and counting it again
 * would cost as much as it brought.  Instead all counters are halved when they hold AGED pieces on average (of 2^20
 * counters: each some 200,000 questions, in half a millisecond).  So what came last counts most, what never comes
 * again fades, and the mean that is taken off, which speaks against what small scopes have learned, stays bounded.
 *
 * Long texts are sorted by counting bytes, four times: linear, whatever they hold.
 *
 * struct grams belongs to one thread.  struct gram_counts may be used by any, without a lock: two that count
 * at once may see each other's work half done, which is wrong by one text. */
#include "semantic/grams.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/unicode.h"

#define MIX         0x9E3779B97F4A7C15u
#define CLASS       15u /* bits of a hash */
#define PRIOR_TEXTS 32
#define LINE        16 /* counters in a line of the processor's cache */
#define AGED        32 /* pieces that a counter has on average when all are halved */
#define AHEAD       16 /* pieces whose counters are on their way */
#define LOG2_E      1.442695f
#define LOG_A       1.4383793f
#define LOG_B       -0.6758807f
#define LOG_C       0.3181545f
#define LOG_D       -0.0806532f

void grams_init(struct grams *g) { *g = (struct grams){ 0 }; }

void grams_deinit(struct grams *g) {
    mem_free(g->items);
    grams_init(g);
}

/* -- How rare a piece is expected to be ------------------------------------------------- */

/* Half bits of information of an ASCII character in English questions; 22: a rare one. */
static const unsigned char ascii_cost[128] = {
    22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22,
    22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 5,  20, 17, 22, 20, 19, 21, 15, 18, 18, 21, 20, /* space to + */
    14, 17, 14, 18, 16, 16, 17, 18, 18, 18, 18, 18, 18, 18, 18, 21, 21, 21, 21, 12, 22,     /* , to @ */
    22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22,
    22, 22, 22, 22, 19, 22,                                                                 /* [ to ` */
    8,  13, 11, 10, 7,  12, 12, 9,  8,  20, 14, 10, 11, 8,  8,  12, 21, 9,  8,  8,  11, 14, 12, 18, 12, 21,
    22, 22, 22, 22, 22,
};

static bool is_common_ideograph(uint32_t c) {
    switch (c) { /* those that questions are made with */
    case 0x7684: case 0x662F: case 0x4EC0: case 0x4E48: case 0x600E: case 0x5982: case 0x4F55: case 0x6709:
    case 0x4E0D: case 0x6211: case 0x4E00: case 0x4E86: case 0x4F60: case 0x5728: case 0x4EBA: case 0x53EF:
    case 0x4EE5: case 0x5417: case 0x54EA: case 0x91CC: case 0x4E2A: case 0x6837: case 0x597D: case 0x591A:
    case 0x5C11: case 0x8981: case 0x80FD: case 0x4F1A: case 0x5927: case 0x6CA1: case 0x548C: case 0x4E2D:
    case 0x4E3A: case 0x5230: case 0x4E0A: case 0x8BF7: case 0x8FD9: case 0x90A3: case 0x7528: case 0x5F97:
        return true;
    default: return false;
    }
}

static unsigned cost_of(uint32_t c) {
    if (c < 128) return ascii_cost[c];
    if (c - 0x4E00 < 0x5200) return is_common_ideograph(c) ? 12 : 20;
    if (c == 0xFF0C || c == 0x3002 || c == 0xFF1F) return 12;
    if (c >= 0x3040 && c < 0x3100) return 13;                     /* kana */
    if (c >= 0x370 && c < 0x1000) return 11;                      /* alphabets */
    return c < 0x370 ? 17 : 21;
}

/* The share of texts that hold a piece that comes once in 2^n characters: 1 - exp(-40 / 2^n). */
static const float expected_share[16] = {
    1,       1,       1,       0.9933f, 0.9179f, 0.7135f, 0.4647f, 0.2684f,
    0.1447f, 0.0751f, 0.0383f, 0.0193f, 0.0097f, 0.0049f, 0.0024f, 0.0012f,
};

/* -- Reading a text --------------------------------------------------------------------- */

static size_t count_characters(struct slice s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}

/* Of all pieces in text, that end where a character does, the hashes.  Returns how many. */
static size_t hash_pieces(struct slice text, uint32_t *out, size_t room) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    uint64_t hash[GRAMS_LONGEST + 1] = { MIX };    /* of the last k characters */
    unsigned cost[GRAMS_LONGEST + 1] = { 0 };
    size_t n = 0, read = 0;
    while (p < end && n + GRAMS_LONGEST <= room) {
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c), more;
        if (len == 0) c = 0xFFFD, len = 1;
        p += len;
        more = cost_of(c);
        read++;
        for (unsigned k = GRAMS_LONGEST; k > 0; k--) {
            hash[k] = (hash[k - 1] ^ c) * MIX;
            hash[k] ^= hash[k] >> 29;
            cost[k] = cost[k - 1] + more;
            if (k > read) continue;
            unsigned class = (cost[k] - 4 * (k - 1)) / 2; /* two bits less for each that follows another */
            out[n++] = (uint32_t)(hash[k] * MIX >> 32 & ~(uint64_t)CLASS) | (class < CLASS ? class : CLASS);
        }
    }
    return n;
}

#define SMALL  1024 /* pieces, of which most questions have fewer */
#define PLACES 1024

/* A small text's: into places by the highest ten bits, which leaves next to nothing to be moved.  Who chose a
 * text so that all have the same ones made us move half a million numbers: some 100 us. */
static void sort_small(uint32_t *a, uint32_t *spare, size_t n) {
    unsigned short at[PLACES] = { 0 };
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) at[a[i] >> 22]++;
    for (int i = 0; i < PLACES; i++) {
        unsigned here = at[i];
        at[i] = (unsigned short)sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++) spare[at[a[i] >> 22]++] = a[i];
    for (size_t i = 0; i < n; i++) {
        uint32_t x = spare[i];
        size_t k = i;
        for (; k > 0 && a[k - 1] > x; k--) a[k] = a[k - 1];
        a[k] = x;
    }
}

/* Ascending; `spare` has room for as many. */
static void sort(uint32_t *a, uint32_t *spare, size_t n) {
    if (n <= SMALL) {
        sort_small(a, spare, n);
        return;
    }
    unsigned at[4][256];
    memset(at, 0, sizeof(at));
    for (size_t i = 0; i < n; i++)
        for (int byte = 0; byte < 4; byte++) at[byte][a[i] >> 8 * byte & 255]++;
    for (int byte = 0; byte < 4; byte++) {
        unsigned sum = 0;
        for (int i = 0; i < 256; i++) {
            unsigned here = at[byte][i];
            at[byte][i] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++) spare[at[byte][a[i] >> 8 * byte & 255]++] = a[i];
        uint32_t *was = a;
        a = spare;
        spare = was;
    }
}

/* 1 + log(n). */
static const float weights[] = { 0, 1.00000f, 1.69315f, 2.09861f, 2.38629f,
                                 2.60944f, 2.79176f, 2.94591f, 3.07944f, 3.19722f, 3.30259f };

/* How often each is there, into items.  What was read is behind what is written.  Without a branch on whether
 * a piece is like the one before: nobody could foresee it. */
static unsigned count_times(const uint32_t *sorted, size_t n, struct gram *items) {
    unsigned count = 0;
    uint32_t times = 0, last = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t hash = sorted[i];
        times = hash == last ? times + 1 : 1;
        count += times == 1;
        last = hash;
        items[count - 1] = (struct gram){ hash, (float)times };
    }
    for (unsigned i = 0; i < count; i++) {
        float t = items[i].weight;
        items[i].weight = t <= 10 ? weights[(unsigned)t] : 1 + logf(t);
    }
    return count;
}

/* Items hold twice as many numbers as there are pieces: room for sorting.  A few more keep the last piece
 * from being overwritten before it is read. */
#define MORE_ITEMS 8

int grams_read(struct grams *g, struct slice normal) {
    size_t most = GRAMS_LONGEST * count_characters(normal) + GRAMS_LONGEST;
    g->count = 0;
    if (g->cap < most + MORE_ITEMS) {
        struct gram *items = most < UINT32_MAX / 16 ? mem_alloc((most + MORE_ITEMS) * sizeof(*items)) : NULL;
        if (items == NULL) return PERILUNE_ERR_NOMEM;
        mem_free(g->items);
        g->items = items;
        g->cap = (unsigned)most + MORE_ITEMS;
    }
    uint32_t *spare = (uint32_t *)(void *)g->items, *hashes = spare + most + 2 * MORE_ITEMS;
    size_t n = hash_pieces(normal, hashes, most);
    sort(hashes, spare, n);
    g->count = count_times(hashes, n, g->items);
    return 0;
}

/* -- Counting ------------------------------------------------------------------------------ */

struct gram_counts {
    unsigned     bits, scope_bits;
    atomic_uint *pieces; /* 2^bits, lines of the processor's cache */
    atomic_uint *scopes; /* 2^scope_bits: their texts */
    atomic_llong total;  /* pieces counted, less what was halved */
    atomic_flag  halving;
    void        *memory;
};

struct gram_counts *gram_counts_new(unsigned bits) {
    unsigned scope_bits = bits > 12 ? bits - 6 : 6;
    if (bits < 6) bits = 6;
    size_t n = ((size_t)1 << bits) + ((size_t)1 << scope_bits) + LINE;
    struct gram_counts *c = mem_zalloc(sizeof(*c));
    if (c == NULL || (c->memory = mem_zalloc(n * sizeof(*c->pieces))) == NULL) {
        mem_free(c);
        return NULL;
    }
    size_t line = LINE * sizeof(*c->pieces), off = line - (uintptr_t)c->memory % line;
    c->bits = bits;
    c->scope_bits = scope_bits;
    c->pieces = (atomic_uint *)(void *)((char *)c->memory + off);
    c->scopes = c->pieces + ((size_t)1 << bits);
    atomic_flag_clear(&c->halving);
    return c;
}

void gram_counts_free(struct gram_counts *c) {
    if (c == NULL) return;
    mem_free(c->memory);
    mem_free(c);
}

/* The two counters of a number, in one line. */
struct pair_of {
    atomic_uint *a, *b;
};

static inline struct pair_of counters_of(atomic_uint *cells, unsigned bits, uint64_t scope, uint64_t what) {
    uint64_t x = (what ^ scope) * MIX;
    x = (x ^ x >> 32) * MIX;
    atomic_uint *line = cells + (x >> (64 - (bits - 4))) * LINE;
    unsigned first = x & 15, second = first ^ (1 | (x >> 4 & 14));
    return (struct pair_of){ line + first, line + second };
}

static inline unsigned value(const atomic_uint *a) {
    return atomic_load_explicit((atomic_uint *)(uintptr_t)a, memory_order_relaxed);
}

static inline unsigned smaller(struct pair_of p) {
    unsigned a = value(p.a), b = value(p.b);
    return a < b ? a : b;
}

static void count_one(atomic_uint *a, int by) {
    if (by > 0) atomic_fetch_add_explicit(a, 1, memory_order_relaxed);
    else if (value(a) > 0) atomic_fetch_sub_explicit(a, 1, memory_order_relaxed);
}

static uint64_t salt_of(uint64_t scope) {
    scope = (scope ^ scope >> 31) * MIX;
    return scope ^ scope >> 29;
}

/* What others count meanwhile may be lost. */
static uint64_t halve(atomic_uint *cells, unsigned bits) {
    uint64_t sum = 0;
    for (size_t i = 0; i < (size_t)1 << bits; i++) {
        unsigned v = value(&cells[i]) / 2;
        atomic_store_explicit(&cells[i], v, memory_order_relaxed);
        sum += v;
    }
    return sum;
}

/* One thread does it, and the others go on. */
static void age(struct gram_counts *c) {
    if (atomic_flag_test_and_set_explicit(&c->halving, memory_order_acquire)) return;
    halve(c->scopes, c->scope_bits);
    uint64_t sum = halve(c->pieces, c->bits);
    atomic_store_explicit(&c->total, (long long)(sum / 2), memory_order_relaxed); /* each was counted twice */
    atomic_flag_clear_explicit(&c->halving, memory_order_release);
}

void gram_counts_add(struct gram_counts *c, uint64_t scope, const struct grams *g, int by) {
    uint64_t salt = salt_of(scope);
    struct pair_of texts = counters_of(c->scopes, c->scope_bits, salt, 0);
    count_one(texts.a, by);
    count_one(texts.b, by);
    for (unsigned i = 0; i < g->count; i++) {
        struct pair_of p = counters_of(c->pieces, c->bits, salt, g->items[i].hash);
        count_one(p.a, by);
        count_one(p.b, by);
    }
    long long count = by > 0 ? (long long)g->count : -(long long)g->count;
    long long total = atomic_fetch_add_explicit(&c->total, count, memory_order_relaxed);
    if (total + count >= (long long)AGED << c->bits) age(c);
}

/* -- Weighing ------------------------------------------------------------------------------- */

/* What is known of a scope. */
struct known {
    const struct gram_counts *counts; /* NULL: nothing */
    uint64_t salt;
    float    texts, noise, prior;
};

static struct known known_of(const struct gram_counts *c, uint64_t scope) {
    struct known k = { .prior = PRIOR_TEXTS };
    if (c == NULL) return k;
    long long total = atomic_load_explicit((atomic_llong *)(uintptr_t)&c->total, memory_order_relaxed);
    k.counts = c;
    k.salt = salt_of(scope);
    k.texts = (float)smaller(counters_of(c->scopes, c->scope_bits, k.salt, 0));
    /* A piece is counted twice, hence the mean of a counter; the smaller one of two has less, the more so as
     * few pieces make most of the sum. */
    k.noise = total > 0 ? (float)total / (float)((uint64_t)1 << c->bits) : 0;
    k.prior += k.noise;
    return k;
}

/* The logarithm to base 2 of a number from 1 on, to 0.0002: exponent, and a curve through the rest. */
static inline float fast_log2(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    float exponent = (float)((int32_t)(bits >> 23) - 127), m;
    bits = (bits & 0x7FFFFF) | 0x3F800000;
    memcpy(&m, &bits, sizeof(m));
    m -= 1;
    return exponent + m * (LOG_A + m * (LOG_B + m * (LOG_C + m * LOG_D)));
}

static inline struct pair_of counters_in(const struct known *k, uint32_t hash) {
    return counters_of(k->counts->pieces, k->counts->bits, k->salt, hash);
}

/* About how many texts of the scope hold it. */
static inline float texts_with(const struct known *k, uint32_t hash) {
    float n = (float)smaller(counters_in(k, hash)) - k->noise;
    if (n < 0) n = 0;
    return n < k->texts ? n : k->texts;
}

void grams_weigh(struct grams *g, const struct gram_counts *c, uint64_t scope) {
    struct known k = known_of(c, scope);
    float all = fast_log2(k.texts + k.prior + 1) + LOG2_E, sum = 0; /* to base 2: the length is made 1 anyway */
    for (unsigned i = 0; i < g->count; i++) {
        float with = k.prior * expected_share[g->items[i].hash & CLASS];
        if (k.texts > 0) {
            with += texts_with(&k, g->items[i].hash);
            if (i + AHEAD < g->count) __builtin_prefetch(counters_in(&k, g->items[i + AHEAD].hash).a);
        }
        float w = g->items[i].weight * (all - fast_log2(with + 1));
        g->items[i].weight = w;
        sum += w * w;
    }
    float scale = sum > 0 ? 1 / sqrtf(sum) : 0;
    for (unsigned i = 0; i < g->count; i++) g->items[i].weight *= scale;
}

/* -- Comparing ------------------------------------------------------------------------------ */

/* Without a branch on which of two is less: nobody could foresee it. */
float grams_cosine(const struct grams *a, const struct grams *b) {
    const struct gram *x = a->items, *y = b->items, *x_end = x + a->count, *y_end = y + b->count;
    float sum = 0;
    if (a->count == 0 || b->count == 0) return 0;
    while (x < x_end && y < y_end) {
        uint32_t hx = x->hash, hy = y->hash;
        float product = x->weight * y->weight;
        sum += hx == hy ? product : 0;
        x += hx <= hy;
        y += hy <= hx;
    }
    return sum < 1 ? sum : 1;
}

void grams_project(const struct grams *g, float *out, unsigned dims) {
    for (unsigned i = 0; i < g->count; i++) {
        uint64_t x = g->items[i].hash * MIX;
        float w = g->items[i].weight;
        out[(x >> 32) * dims >> 32] += x >> 31 & 1 ? w : -w;
    }
}
