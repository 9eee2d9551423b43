/* rank.c -- an index of terms, and three ways to rank the pieces in it.
 *
 *     slots     hash -> term          open addressing, at most half full
 *     terms     in how many pieces    df
 *     postings  term, how often       those of piece 0, then of piece 1, ...
 *     pieces    first posting, length
 *
 * BM25 walks all postings once and looks up each term's weight in the question.
 *
 * TextRank is PageRank over sentences that are linked by what they share, here their
 * cosine (LexRank).  The links, n * n of them, are never made: with a_i the vector of
 * sentence i, one round over the links is two over the postings:
 *
 *     sum_j (a_i . a_j) x_j / s_j  =  a_i . y      y = sum_j a_j x_j / s_j
 *     s_j = sum_k (a_j . a_k)      =  a_j . sum_k a_k
 *
 * MMR needs the likeness to what was picked.  Picking a piece walks the lists of its
 * terms, those that are in at most COMMON pieces; a heap holds values that may be too
 * high, and the best is the first whose value is still true, as values only fall.
 *
 * All of it is linear in the postings (times COMMON, times a logarithm).  Probing stops
 * after PROBES slots and takes the last for the same term: who makes terms collide gets a
 * worse order of his own text, not a slow one.  Nothing is random: the same text gives
 * the same order on every worker, which caches of prompts need.
 *
 * Thread: any; an index belongs to one. */
#include "text/rank.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "text/terms.h"

#define PROBES 128
#define SLOTS_LEAST 256
#define SAMPLES 32
#define ASCII_PER_POSTING 6 /* bytes, of prose */
#define WIDE_PER_POSTING 3
#define COMMON 32
#define ROUNDS 8 /* DAMPING ^ 8 is 0.27 of the first error, which changes few ranks */
#define DAMPING 0.85f

struct slot {
    uint32_t tag;  /* the upper half of the hash */
    uint32_t term; /* its number + 1; 0: free */
};
struct term {
    uint64_t hash;
    uint32_t df, last; /* in how many pieces; its posting in the last of these */
};
struct posting {
    uint32_t term, tf;
};
struct piece {
    uint32_t first, len; /* postings; terms */
};

static size_t count(const struct buf *b, size_t size) { return b->len / size; }
static struct slot *slots_of(const struct text_index *ix) { return (struct slot *)(void *)ix->slots.data; }
static struct term *terms_of(const struct text_index *ix) { return (struct term *)(void *)ix->terms.data; }
static struct posting *postings_of(const struct text_index *ix) { return (struct posting *)(void *)ix->postings.data; }
static struct piece *pieces_of(const struct text_index *ix) { return (struct piece *)(void *)ix->pieces.data; }
static size_t term_count(const struct text_index *ix) { return count(&ix->terms, sizeof(struct term)); }

size_t text_index_len(const struct text_index *ix) { return count(&ix->pieces, sizeof(struct piece)); }

/* One past the last posting of piece i. */
static uint32_t piece_end(const struct text_index *ix, size_t i) {
    if (i + 1 < text_index_len(ix)) return pieces_of(ix)[i + 1].first;
    return (uint32_t)count(&ix->postings, sizeof(struct posting));
}

static bool has_room(struct buf *b, size_t size) { return b->cap - b->len >= size || buf_reserve(b, size) != NULL; }

static void *push(struct buf *b, size_t size) {
    if (!has_room(b, size)) return NULL;
    void *p = b->data + b->len;
    b->len += size;
    return p;
}

/* -- The index ---------------------------------------------------------------------------- */

void text_index_init(struct text_index *ix) { *ix = (struct text_index){ .tokens = 0 }; }

void text_index_deinit(struct text_index *ix) {
    buf_deinit(&ix->slots);
    buf_deinit(&ix->terms);
    buf_deinit(&ix->postings);
    buf_deinit(&ix->pieces);
}

int text_index_check(const struct text_index *ix) {
    bool failed = buf_failed(&ix->slots) || buf_failed(&ix->terms) || buf_failed(&ix->postings) ||
                  buf_failed(&ix->pieces);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}

/* The slot of the hash, or the free one for it, or one that has to do. */
static inline struct slot *find(struct slot *slots, size_t n, const struct term *terms, uint64_t hash) {
    size_t i = hash & (n - 1);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (unsigned probe = 0; probe < PROBES; probe++, i = (i + 1) & (n - 1)) {
        if (slots[i].term == 0) return &slots[i];
        if (slots[i].tag == tag && terms[slots[i].term - 1].hash == hash) return &slots[i];
    }
    return &slots[(i - 1) & (n - 1)];
}

/* Slots for so many terms, at most half of them used. */
static bool grow_slots(struct text_index *ix, size_t terms) {
    size_t old = count(&ix->slots, sizeof(struct slot)), n = old == 0 ? SLOTS_LEAST : old;
    while (n < terms * 2) n *= 2;
    if (n == old) return true;
    struct buf more;
    buf_init(&more, 0);
    struct slot *to = (struct slot *)(void *)buf_reserve(&more, n * sizeof(*to));
    if (to == NULL) {
        ix->slots.error = PERILUNE_ERR_NOMEM;
        return false;
    }
    memset(to, 0, n * sizeof(*to));
    buf_advance(&more, n * sizeof(*to));
    const struct term *t = terms_of(ix);
    for (uint32_t i = 0; i < term_count(ix); i++)
        *find(to, n, t, t[i].hash) = (struct slot){ (uint32_t)(t[i].hash >> 32), i + 1 };
    buf_deinit(&ix->slots);
    ix->slots = more;
    return true;
}

void text_index_expect(struct text_index *ix, struct slice text) {
    size_t wide = 0, step = text.len / SAMPLES;
    for (size_t i = 0; i < SAMPLES && step > 0; i++) wide += (unsigned char)text.ptr[step * i] >= 0x80;
    size_t postings = text.len / (wide > SAMPLES / 2 ? WIDE_PER_POSTING : ASCII_PER_POSTING);
    if (!grow_slots(ix, postings / 2)) return; /* half of them are new terms */
    buf_reserve(&ix->postings, postings * sizeof(struct posting));
    buf_reserve(&ix->terms, postings / 2 * sizeof(struct term));
}

struct adding {
    struct text_sink   sink;
    struct text_index *ix;
    uint32_t           first, len; /* posting of the piece; its terms so far */
};

static void add_terms(struct text_sink *sink) {
    struct adding *a = (struct adding *)(void *)sink;
    struct text_index *ix = a->ix;
    size_t n = term_count(ix);
    if (buf_failed(&ix->slots) || !grow_slots(ix, n + sink->n)) return;
    if (!has_room(&ix->terms, sink->n * sizeof(struct term))) return;
    if (!has_room(&ix->postings, sink->n * sizeof(struct posting))) return;
    struct slot *slots = slots_of(ix);
    struct term *terms = terms_of(ix);
    struct posting *postings = postings_of(ix);
    size_t slot_count = count(&ix->slots, sizeof(*slots));
    uint32_t p = (uint32_t)count(&ix->postings, sizeof(*postings));
    for (unsigned i = 0; i < sink->n; i++) {
        uint64_t hash = sink->hashes[i];
        struct slot *slot = find(slots, slot_count, terms, hash);
        if (slot->term == 0) {
            terms[n] = (struct term){ hash, 0, 0 };
            *slot = (struct slot){ (uint32_t)(hash >> 32), (uint32_t)++n };
        }
        struct term *term = &terms[slot->term - 1];
        if (term->df > 0 && term->last >= a->first) {
            postings[term->last].tf++;
            continue;
        }
        postings[p] = (struct posting){ slot->term - 1, 1 };
        term->df++;
        term->last = p++;
    }
    a->len += sink->n;
    ix->terms.len = n * sizeof(*terms);
    ix->postings.len = p * sizeof(*postings);
}

void text_index_add(struct text_index *ix, struct slice piece) {
    if (text_index_check(ix) != 0) return;
    struct piece *p = push(&ix->pieces, sizeof(*p));
    if (p == NULL) return;
    struct adding a;
    text_sink_init(&a.sink, add_terms, false);
    a.ix = ix;
    a.first = (uint32_t)count(&ix->postings, sizeof(struct posting));
    a.len = 0;
    text_terms(piece, &a.sink);
    *p = (struct piece){ a.first, a.len };
    ix->tokens += a.len;
}

/* How rare a term is: above 0 also for one that is everywhere. */
static float rarity(const struct text_index *ix, uint32_t term) {
    float n = (float)text_index_len(ix), df = (float)terms_of(ix)[term].df;
    return logf(1 + (n - df + 0.5f) / (df + 0.5f));
}

/* -- BM25 ------------------------------------------------------------------------------------ */

struct asking {
    struct text_sink         sink;
    const struct text_index *ix;
    float                   *weights; /* by term */
    bool                     any, all;
};

static void ask_terms(struct text_sink *sink) {
    struct asking *a = (struct asking *)(void *)sink;
    for (unsigned i = 0; i < sink->n; i++) {
        if ((sink->asks >> i & 1) && !a->all) continue;
        const struct slot *slot =
            find(slots_of(a->ix), count(&a->ix->slots, sizeof(struct slot)), terms_of(a->ix), sink->hashes[i]);
        if (slot->term == 0) continue;
        a->weights[slot->term - 1] = rarity(a->ix, slot->term - 1);
        a->any = true;
    }
}

int text_index_bm25(const struct text_index *ix, struct slice question, struct text_bm25 how, float *scores) {
    size_t n = text_index_len(ix), terms = term_count(ix);
    for (size_t i = 0; i < n; i++) scores[i] = 0;
    if (terms == 0) return 0;
    float *weights = mem_zalloc(terms * sizeof(*weights));
    if (weights == NULL) return PERILUNE_ERR_NOMEM;
    struct asking a;
    text_sink_init(&a.sink, ask_terms, true);
    a.ix = ix;
    a.weights = weights;
    a.any = a.all = false;
    text_terms(question, &a.sink);
    if (!a.any) {
        a.all = true;
        text_terms(question, &a.sink);
    }
    float average = (float)ix->tokens / (float)n;
    for (size_t i = 0; a.any && i < n; i++) {
        float norm = how.k1 * (1 - how.b + how.b * (float)pieces_of(ix)[i].len / average), sum = 0;
        for (uint32_t k = pieces_of(ix)[i].first; k < piece_end(ix, i); k++) {
            struct posting p = postings_of(ix)[k];
            float w = weights[p.term];
            if (w > 0) sum += w * (float)p.tf * (how.k1 + 1) / ((float)p.tf + norm);
        }
        scores[i] = sum;
    }
    mem_free(weights);
    return 0;
}

/* -- TextRank ---------------------------------------------------------------------------------- */

/* weights[t * step]: of term t, squared. */
static void weigh(const struct text_index *ix, float *weights, size_t step) {
    float of_df[COMMON + 1] = { 0 }; /* most terms are rare, and a logarithm takes as long as the rest */
    const struct term *terms = terms_of(ix);
    for (uint32_t t = 0, n = (uint32_t)term_count(ix); t < n; t++) {
        uint32_t df = terms[t].df;
        float r = df <= COMMON && of_df[df] > 0 ? of_df[df] : rarity(ix, t);
        if (df <= COMMON) of_df[df] = r;
        weights[t * step] = r * r;
    }
}

/* 1 / the length of a vector, whose square is given; 0 without terms. */
static float scale_of(float square) { return square > 0 ? 1 / sqrtf(square) : 0; }

/* What TextRank walks: of each piece the terms that are in another one, too.  The others,
 * which are most, link nothing. */
struct links {
    size_t    n, terms;
    uint32_t *term, *from;                  /* from[i] to from[i + 1]: those of piece i */
    float    *weights, *sums;               /* by term */
    float    *scale, *share, *own, *degree; /* by piece; own: likeness to itself by these terms */
    void     *memory;
};

static int links_init(struct links *l, const struct text_index *ix) {
    size_t n = l->n = text_index_len(ix), terms = l->terms = term_count(ix);
    size_t postings = count(&ix->postings, sizeof(struct posting));
    l->memory = mem_zalloc((2 * terms + 5 * n + 1 + postings) * 4);
    if (l->memory == NULL) return PERILUNE_ERR_NOMEM;
    l->weights = l->memory;
    l->sums = l->weights + terms;
    l->scale = l->sums + terms;
    l->share = l->scale + n;
    l->own = l->share + n;
    l->degree = l->own + n;
    l->from = (uint32_t *)(void *)(l->degree + n);
    l->term = l->from + n + 1;
    weigh(ix, l->weights, 1);
    const struct posting *p = postings_of(ix);
    const struct term *t = terms_of(ix);
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        float own = 0, all = 0;
        for (uint32_t k = pieces_of(ix)[i].first, end = piece_end(ix, i); k < end; k++) {
            float weight = l->weights[p[k].term];
            all += weight;
            if (t[p[k].term].df < 2) continue;
            l->term[at++] = p[k].term;
            own += weight;
        }
        l->scale[i] = scale_of(all);
        l->own[i] = own * l->scale[i] * l->scale[i];
        l->from[i + 1] = at;
    }
    return 0;
}

/* out[i] = the likeness of piece i to all others, each times its share. */
static void spread(const struct links *l, const float *share, float *out) {
    const uint32_t *term = l->term, *from = l->from;
    float *sums = l->sums;
    memset(sums, 0, l->terms * sizeof(*sums));
    for (size_t i = 0; i < l->n; i++) {
        float s = share[i] * l->scale[i];
        for (uint32_t k = from[i]; k < from[i + 1]; k++) sums[term[k]] += s;
    }
    for (size_t t = 0; t < l->terms; t++) sums[t] *= l->weights[t];
    for (size_t i = 0; i < l->n; i++) {
        float sum = 0;
        for (uint32_t k = from[i]; k < from[i + 1]; k++) sum += sums[term[k]];
        sum = sum * l->scale[i] - share[i] * l->own[i];
        out[i] = sum > 0 ? sum : 0;
    }
}

static void power_iteration(struct links *l, float *scores) {
    for (size_t i = 0; i < l->n; i++) l->share[i] = 1;
    spread(l, l->share, l->degree);
    for (size_t i = 0; i < l->n; i++) scores[i] = 1;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < l->n; i++) l->share[i] = l->degree[i] > 1e-4f ? scores[i] / l->degree[i] : 0;
        spread(l, l->share, scores);
        for (size_t i = 0; i < l->n; i++) scores[i] = 1 - DAMPING + DAMPING * scores[i];
    }
}

int text_index_central(const struct text_index *ix, float *scores) {
    struct links l;
    float most = 0;
    int rc = links_init(&l, ix);
    if (rc != 0) return rc;
    power_iteration(&l, scores);
    mem_free(l.memory);
    for (size_t i = 0; i < l.n; i++) most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < l.n; i++) scores[i] = most > 0 ? scores[i] / most : 0;
    return 0;
}

float text_position(size_t i, size_t n, float depth) {
    float x = n > 1 ? (float)i / (float)(n - 1) : 0;
    return 1 - depth * 4 * x * (1 - x);
}

/* -- Maximal marginal relevance ------------------------------------------------------------------ */

static float value_of(const struct text_mmr *m, uint32_t i) {
    return m->lambda * m->scores[i] - (1 - m->lambda) * m->likeness[i];
}

/* A piece in the heap: higher values are higher numbers; of equal ones the piece that stands
 * in front. */
static uint64_t entry_of(float value, uint32_t i) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bits = bits >> 31 ? ~bits : bits | UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | (uint32_t)~i;
}

static uint32_t piece_of(uint64_t entry) { return ~(uint32_t)entry; }

static void sift(uint64_t *heap, uint32_t len, uint32_t at) {
    uint64_t moved = heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= len) break;
        child += child + 1 < len && heap[child + 1] > heap[child];
        if (heap[child] < moved) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The lists of terms that are in 2 to COMMON pieces, and the vectors' scales. */
static void fill_lists(struct text_mmr *m) {
    const struct text_index *ix = m->ix;
    const struct term *terms = terms_of(ix);
    const struct posting *postings = postings_of(ix);
    uint32_t at = 0, link = 0, n = (uint32_t)term_count(ix);
    for (uint32_t t = 0; t < n; t++) {
        bool links = terms[t].df >= 2 && terms[t].df <= COMMON;
        if (links) at += terms[t].df;
        m->terms[t].first = at; /* while filling: the one in front was filled last */
        if (!links) m->terms[t].weight = -m->terms[t].weight;
    }
    m->terms[n] = (struct text_mmr_term){ 0, at };
    for (uint32_t i = 0; i < text_index_len(ix); i++) {
        float all = 0;
        m->from[i] = link;
        for (uint32_t k = pieces_of(ix)[i].first, end = piece_end(ix, i); k < end; k++) {
            struct text_mmr_term *term = &m->terms[postings[k].term];
            all += fabsf(term->weight);
            if (term->weight < 0) continue;
            m->lists[--term->first] = i;
            m->links[link++] = postings[k].term;
        }
        m->scale[i] = scale_of(all);
    }
    m->from[text_index_len(ix)] = link;
}

int text_mmr_init(struct text_mmr *m, const struct text_index *ix, const float *scores, float lambda) {
    size_t n = text_index_len(ix), terms = term_count(ix), postings = count(&ix->postings, sizeof(struct posting));
    *m = (struct text_mmr){ .ix = ix, .scores = scores, .lambda = lambda };
    /* touched has one more: it is written to before it is known whether that counts. */
    size_t bytes = n * (sizeof(*m->heap) + 3 * sizeof(float)) + (terms + 1) * sizeof(*m->terms) +
                   (2 * postings + 2 * (n + 1)) * sizeof(uint32_t) + n;
    char *p = m->memory = mem_alloc(bytes);
    if (p == NULL) return PERILUNE_ERR_NOMEM;
    m->heap = (uint64_t *)(void *)p;
    m->terms = (struct text_mmr_term *)(void *)(m->heap + n);
    m->likeness = (float *)(void *)(m->terms + terms + 1);
    m->now = m->likeness + n;
    m->scale = m->now + n;
    m->lists = (uint32_t *)(void *)(m->scale + n);
    m->links = m->lists + postings;
    m->from = m->links + postings;
    m->touched = m->from + n + 1;
    m->gone = (uint8_t *)(m->touched + n + 1);
    memset(m->likeness, 0, 2 * n * sizeof(float)); /* and now */
    memset(m->gone, 0, n);
    weigh(ix, &m->terms->weight, sizeof(*m->terms) / sizeof(float));
    fill_lists(m);
    for (uint32_t i = 0; i < n; i++) m->heap[i] = entry_of(value_of(m, i), i);
    m->heap_len = (uint32_t)n;
    for (uint32_t i = m->heap_len / 2; i-- > 0;) sift(m->heap, m->heap_len, i);
    return 0;
}

void text_mmr_deinit(struct text_mmr *m) { mem_free(m->memory); }

void text_mmr_drop(struct text_mmr *m, uint32_t i) { m->gone[i] = 1; }

void text_mmr_take(struct text_mmr *m, uint32_t i) {
    uint32_t touched = 0;
    float scale = m->scale[i];
    m->gone[i] = 1;
    if (m->lambda >= 1) return;
    for (uint32_t k = m->from[i]; k < m->from[i + 1]; k++) {
        const struct text_mmr_term *term = &m->terms[m->links[k]];
        float weight = term->weight;
        for (uint32_t l = term[0].first, last = term[1].first; l < last; l++) {
            uint32_t j = m->lists[l];
            m->touched[touched] = j;
            touched += m->now[j] == 0; /* no branch: nobody could foretell it */
            m->now[j] += weight;
        }
    }
    for (uint32_t k = 0; k < touched; k++) {
        uint32_t j = m->touched[k];
        float likeness = m->now[j] * scale * m->scale[j], before = m->likeness[j];
        m->likeness[j] = likeness > before ? likeness : before;
        m->now[j] = 0;
    }
}

uint32_t text_mmr_best(struct text_mmr *m) {
    while (m->heap_len > 0) {
        uint32_t i = piece_of(m->heap[0]);
        if (m->gone[i]) {
            m->heap[0] = m->heap[--m->heap_len];
            if (m->heap_len > 0) sift(m->heap, m->heap_len, 0);
            continue;
        }
        uint64_t entry = entry_of(value_of(m, i), i);
        if (entry >= m->heap[0]) return i;
        m->heap[0] = entry;
        sift(m->heap, m->heap_len, 0);
    }
    return TEXT_NONE;
}
