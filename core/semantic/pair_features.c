/* pair_features.c -- what can be said of two questions, as numbers.
 *
 * Two questions are laid side by side twice: as they are written, and as they are meant (atoms.c), where fillers
 * are gone and words that say the same are one.
 *
 *     如 何 申 请 退 款              written     怎么 申请 退 款        meant
 *     请 问 怎 么 申 请 换 货                    怎么 申请 换 货
 *                                                          ^^^^^ a hunk: 退款 was exchanged for 换货
 *
 * What both have says little: traps differ in one word.  So most numbers are about what only one of them has: how
 * rare it is, whether it was put in or exchanged for something, whether it is near to anything of the other in
 * the table of tokens, whether it asks, denies or counts.  Hashes of the differences themselves are
 * listed, too: a model can learn that 的 does not matter and 换 for 退 does.
 *
 * Every number is the same when the two change places: it is of both, or the larger and the smaller of two.
 *
 * Time is bounded: what is quadratic sees SPAN atoms at most behind what is equal at both ends, and of tokens
 * TOKENS.  A text of more than ATOMS_MAX atoms must be equal to the other from there on, or else they are not
 * compared. */
#include "semantic/pair_features.h"

#include <math.h>
#include <string.h>

#include "semantic/phrases.h"

#define SPAN   96
#define TOKENS 48
#define HUNKS  24

const int8_t pair_monotone[PAIR_FEATURES] = {
#define XX(name, way) way,
    PAIR_FEATURE_MAP(XX)
#undef XX
};

struct term {
    uint32_t hash;
    float    rarity;
};

/* A text, written or meant: a row of terms. */
struct row {
    struct term items[ATOMS_MAX];
    unsigned    count;
};

struct side {
    const struct embedded_text *text;
    struct atom atoms[ATOMS_MAX];
    unsigned    count, words, han, numbers, negations;
    uint32_t    questions; /* a bit for each question word */
    struct row  written, meant;
};

static float least(float a, float b) { return a < b ? a : b; }
static float most(float a, float b) { return a > b ? a : b; }
static float share(float part, float whole) { return whole > 0 ? part / whole : 1; }

/* -- Reading ---------------------------------------------------------------------------- */

static float rarity_of(const uint8_t *rarity, uint32_t hash) {
    return rarity != NULL ? (float)rarity[pair_rarity_cell(hash)] / PAIR_RARITY_UNIT : 5;
}

static void read_side(struct side *s, const struct embedded_text *text, const uint8_t *rarity) {
    s->text = text;
    s->count = atoms_read(text->normal, s->atoms, ATOMS_MAX);
    s->words = s->han = s->numbers = s->negations = s->questions = 0;
    s->written.count = s->meant.count = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct atom *a = &s->atoms[i];
        s->words += a->kind == ATOM_WORD;
        s->han += a->kind == ATOM_HAN;
        s->numbers += a->kind == ATOM_NUMBER;
        if (a->phrase == PHRASE_NEGATION) s->negations++;
        if (a->phrase == PHRASE_QUESTION) s->questions |= UINT32_C(1) << (a->means >> 8) % 32;
        s->written.items[s->written.count++] = (struct term){ a->hash, rarity_of(rarity, a->hash) };
        if (a->means == 0) continue;
        s->meant.items[s->meant.count++] = (struct term){ a->means, rarity_of(rarity, a->means) };
    }
}

/* Did both end together, or is what was not read the same? */
static bool ends_are_equal(const struct side *a, const struct side *b) {
    if (a->count < ATOMS_MAX && b->count < ATOMS_MAX) return true;
    const struct atom *x = &a->atoms[a->count > 0 ? a->count - 1 : 0], *y = &b->atoms[b->count > 0 ? b->count - 1 : 0];
    if (a->count == 0 || b->count == 0) return false;
    struct slice s = a->text->normal, t = b->text->normal;
    return slice_eq(slice_of(s.ptr + x->at, s.len - x->at), slice_of(t.ptr + y->at, t.len - y->at));
}

/* -- Sets -------------------------------------------------------------------------------------- */

static void sort(struct term *t, unsigned count) {
    static const unsigned gaps[] = { 701, 301, 132, 57, 23, 10, 4, 1 }; /* Ciura's */
    for (unsigned g = 0; g < sizeof(gaps) / sizeof(*gaps); g++) {
        for (unsigned i = gaps[g]; i < count; i++) {
            struct term x = t[i];
            unsigned j = i;
            for (; j >= gaps[g] && t[j - gaps[g]].hash > x.hash; j -= gaps[g]) t[j] = t[j - gaps[g]];
            t[j] = x;
        }
    }
}

/* The pieces of n neighbours, sorted. */
static void pieces(const struct row *r, unsigned n, struct row *out) {
    out->count = 0;
    for (unsigned i = 0; i + n <= r->count; i++) {
        struct term t = r->items[i];
        for (unsigned k = 1; k < n; k++) {
            t.hash = atom_mix(t.hash, r->items[i + k].hash);
            t.rarity += r->items[i + k].rarity;
        }
        out->items[out->count++] = t;
    }
    sort(out->items, out->count);
}

struct overlap {
    unsigned both, of_a, of_b; /* of_a: all of a */
    float    both_rarity, alone_a, alone_b, rarest_a, rarest_b;
};

/* Told of each term that only one has. */
typedef void alone_fn(void *ud, uint32_t hash);

static void only_a(struct overlap *o, const struct term *t) {
    o->alone_a += t->rarity;
    o->rarest_a = most(o->rarest_a, t->rarity);
}

static void only_b(struct overlap *o, const struct term *t) {
    o->alone_b += t->rarity;
    o->rarest_b = most(o->rarest_b, t->rarity);
}

static struct overlap compare(const struct row *a, const struct row *b, alone_fn *alone, void *ud) {
    struct overlap o = { .of_a = a->count, .of_b = b->count };
    unsigned i = 0, k = 0;
    while (i < a->count || k < b->count) {
        const struct term *x = i < a->count ? &a->items[i] : NULL, *y = k < b->count ? &b->items[k] : NULL;
        if (x != NULL && y != NULL && x->hash == y->hash) {
            o.both++;
            o.both_rarity += x->rarity;
            i++, k++;
        } else if (y == NULL || (x != NULL && x->hash < y->hash)) {
            only_a(&o, x);
            if (alone != NULL) alone(ud, x->hash);
            i++;
        } else {
            only_b(&o, y);
            if (alone != NULL) alone(ud, y->hash);
            k++;
        }
    }
    return o;
}

static float shared(const struct overlap *o) { return share((float)o->both, (float)(o->of_a + o->of_b - o->both)); }
static float rare_shared(const struct overlap *o) {
    return share(o->both_rarity, o->both_rarity + o->alone_a + o->alone_b);
}
static float within_a(const struct overlap *o) { return share(o->both_rarity, o->both_rarity + o->alone_a); }
static float within_b(const struct overlap *o) { return share(o->both_rarity, o->both_rarity + o->alone_b); }

/* -- Differences ---------------------------------------------------------------------------------- */

enum difference { ONE = 1, TWO, EXCHANGE, CROSS };

static void put_difference(struct pair_features *f, enum difference kind, uint32_t hash) {
    if (f->difference_count < PAIR_DIFFERENCES_MAX)
        f->differences[f->difference_count++] = atom_mix(hash, (uint32_t)kind);
}

static void alone_one(void *ud, uint32_t hash) { put_difference(ud, ONE, hash); }
static void alone_two(void *ud, uint32_t hash) { put_difference(ud, TWO, hash); }

static uint32_t unordered(uint32_t a, uint32_t b) { return a < b ? atom_mix(a, b) : atom_mix(b, a); }

/* -- Rows in their order ------------------------------------------------------------------------------ */

/* What is left of two rows without what is equal at their ends. */
struct middle {
    const struct term *a, *b;
    unsigned na, nb, begin, end;
    bool     is_cut; /* SPAN is all that was looked at */
};

static struct middle middle_of(const struct row *a, const struct row *b) {
    struct middle m = { .a = a->items, .b = b->items, .na = a->count, .nb = b->count };
    while (m.na > 0 && m.nb > 0 && m.a->hash == m.b->hash) m.a++, m.b++, m.na--, m.nb--, m.begin++;
    while (m.na > 0 && m.nb > 0 && m.a[m.na - 1].hash == m.b[m.nb - 1].hash) m.na--, m.nb--, m.end++;
    m.is_cut = m.na > SPAN || m.nb > SPAN;
    if (m.na > SPAN) m.na = SPAN;
    if (m.nb > SPAN) m.nb = SPAN;
    return m;
}

struct alignment {
    uint8_t  common[SPAN + 1][SPAN + 1]; /* [i][k]: longest common subsequence of a from i and b from k */
    unsigned sequence, edits, substring; /* sequence: without the ends */
};

static void align(const struct middle *m, struct alignment *l) {
    uint8_t edits[SPAN + 1], runs[SPAN + 1];
    l->substring = 0;
    for (unsigned k = 0; k <= m->nb; k++) {
        l->common[m->na][k] = 0;
        edits[k] = (uint8_t)(m->nb - k);
        runs[k] = 0;
    }
    for (unsigned i = m->na; i-- > 0;) {
        uint8_t edit_below = edits[m->nb], run_below = 0; /* of [i + 1][k + 1] */
        const uint8_t *below = l->common[i + 1];
        uint8_t *here = l->common[i];
        here[m->nb] = 0;
        edits[m->nb] = (uint8_t)(m->na - i);
        for (unsigned k = m->nb; k-- > 0;) {
            bool same = m->a[i].hash == m->b[k].hash;
            uint8_t e = edits[k], r = runs[k], near = e < edits[k + 1] ? e : edits[k + 1];
            here[k] = same ? (uint8_t)(below[k + 1] + 1) : below[k] > here[k + 1] ? below[k] : here[k + 1];
            edits[k] = same ? edit_below : (uint8_t)((near < edit_below ? near : edit_below) + 1);
            runs[k] = same ? (uint8_t)(run_below + 1) : 0;
            if (runs[k] > l->substring) l->substring = runs[k];
            edit_below = e;
            run_below = r;
        }
    }
    l->sequence = l->common[0][0];
    l->edits = edits[0];
}

struct hunk {
    unsigned a, na, b, nb;
};

/* Where the two rows differ. */
static unsigned hunks_of(const struct middle *m, const struct alignment *l, struct hunk *out, unsigned cap) {
    unsigned i = 0, k = 0, count = 0;
    while ((i < m->na || k < m->nb) && count < cap) {
        struct hunk h = { i, 0, k, 0 };
        while (i < m->na || k < m->nb) {
            if (i < m->na && k < m->nb && m->a[i].hash == m->b[k].hash) break;
            if (k == m->nb || (i < m->na && l->common[i + 1][k] > l->common[i][k + 1])) i++;
            else if (i == m->na || l->common[i + 1][k] < l->common[i][k + 1]) k++;
            else i++, k++; /* neither is better: together, so that the same comes of it from both sides */
        }
        h.na = i - h.a;
        h.nb = k - h.b;
        if (h.na + h.nb > 0) out[count++] = h;
        while (i < m->na && k < m->nb && m->a[i].hash == m->b[k].hash) i++, k++;
    }
    return count;
}

static float weight_of(const struct term *t, unsigned n, uint32_t *hash) {
    float sum = 0;
    *hash = 1;
    for (unsigned i = 0; i < n; i++) {
        sum += t[i].rarity;
        *hash = atom_mix(*hash, t[i].hash);
    }
    return sum;
}

/* The exchange of single words, each with each, when a hunk has few of them. */
static void put_cross(struct pair_features *f, const struct middle *m, const struct hunk *h) {
    if (h->na > 4 || h->nb > 4 || f->difference_count + h->na * h->nb > PAIR_DIFFERENCES_MAX) return;
    for (unsigned i = 0; i < h->na; i++)
        for (unsigned k = 0; k < h->nb; k++)
            put_difference(f, CROSS, unordered(m->a[h->a + i].hash, m->b[h->b + k].hash));
}

static void look_at_hunks(struct pair_features *f, const struct middle *m, const struct alignment *l) {
    struct hunk hunks[HUNKS];
    unsigned count = hunks_of(m, l, hunks, HUNKS);
    float exchanged = 0, inserted = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct hunk *h = &hunks[i];
        uint32_t x, y;
        float wa = weight_of(m->a + h->a, h->na, &x), wb = weight_of(m->b + h->b, h->nb, &y);
        if (h->na == 0 || h->nb == 0) inserted += wa + wb;
        else exchanged += least(wa, wb);
        if (h->na <= 4 && h->nb <= 4) put_difference(f, EXCHANGE, unordered(x, y));
        put_cross(f, m, h);
    }
    f->x[PAIR_HUNKS] = (float)count;
    f->x[PAIR_EXCHANGED] = exchanged;
    f->x[PAIR_INSERTED] = inserted;
}

static void look_at_order(struct pair_features *f, const struct side *a, const struct side *b, unsigned both_written,
                          unsigned both_meant) {
    struct alignment l;
    struct middle m = middle_of(&a->written, &b->written);
    float all = (float)(a->written.count + b->written.count);
    float few = least((float)a->written.count, (float)b->written.count);
    align(&m, &l);
    float sequence = (float)(l.sequence + m.begin + m.end);
    float longest = most((float)l.substring, most((float)m.begin, (float)m.end));
    f->x[PAIR_SEQUENCE] = share(2 * sequence, all);
    f->x[PAIR_ORDER] = share(sequence, (float)both_written);
    f->x[PAIR_EDITS] = all > 0 ? 2 * (float)l.edits / all : 0;
    f->x[PAIR_SUBSTRING] = share(longest, few);
    f->x[PAIR_BEGIN] = share((float)m.begin, few);
    f->x[PAIR_END] = share((float)m.end, few);

    m = middle_of(&a->meant, &b->meant);
    all = (float)(a->meant.count + b->meant.count);
    few = least((float)a->meant.count, (float)b->meant.count);
    align(&m, &l);
    sequence = (float)(l.sequence + m.begin + m.end);
    f->x[PAIR_MEANS_SEQUENCE] = share(2 * sequence, all);
    f->x[PAIR_MEANS_ORDER] = share(sequence, (float)both_meant);
    f->x[PAIR_MEANS_EDITS] = all > 0 ? 2 * (float)l.edits / all : 0;
    f->x[PAIR_MEANS_EDITS_COUNT] = (float)l.edits + (m.is_cut ? SPAN : 0);
    f->x[PAIR_MEANS_BEGIN] = share((float)m.begin, few);
    f->x[PAIR_MEANS_END] = share((float)m.end, few);
    f->x[PAIR_LAST_SAME] = m.end > 0;
    look_at_hunks(f, &m, &l);
}

/* -- The table of tokens ------------------------------------------------------------------------------- */

static float dot(const float *a, const float *b, unsigned n) {
    float lanes[8] = { 0 }, sum = 0;
    unsigned i = 0;
    for (; i + 8 <= n; i += 8)
        for (unsigned k = 0; k < 8; k++) lanes[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum += a[i] * b[i];
    for (unsigned k = 0; k < 8; k++) sum += lanes[k];
    return sum;
}

struct matching {
    const struct static_table *table;
    unsigned dims;
    unsigned alone;        /* tokens that only this side has */
    float    worst, mean;  /* how near the other side's nearest is to them */
    float    rest[STATIC_TABLE_MAX_DIMS]; /* their sum */
    float    rest_length, all_length;
};

static bool holds(const uint32_t *rows, size_t count, uint32_t row) {
    for (size_t i = 0; i < count; i++)
        if (rows[i] == row) return true;
    return false;
}

static float length_of(const float *v, unsigned n) { return sqrtf(dot(v, v, n)); }

/* The tokens of a that b has not, each against all of b. */
static void match(struct matching *m, const struct embedded_text *a, const struct embedded_text *b) {
    const uint32_t *ra = embedded_text_rows(a), *rb = embedded_text_rows(b);
    size_t na = embedded_text_row_count(a), nb = embedded_text_row_count(b);
    float weights = 0, x[STATIC_TABLE_MAX_DIMS];
    m->alone = 0;
    m->worst = 1;
    m->mean = m->all_length = 0;
    if (na > TOKENS) na = TOKENS;
    if (nb > TOKENS) nb = TOKENS;
    memset(m->rest, 0, m->dims * sizeof(float));
    for (size_t i = 0; i < na; i++) {
        memset(x, 0, m->dims * sizeof(float));
        static_table_add(m->table, ra[i], x);
        float length = length_of(x, m->dims), best = -1;
        m->all_length += length;
        if (holds(rb, nb, ra[i]) || !(length > 0)) continue;
        for (unsigned d = 0; d < m->dims; d++) m->rest[d] += x[d];
        for (size_t k = 0; k < nb; k++) best = most(best, static_table_cosine(m->table, ra[i], rb[k]));
        m->worst = least(m->worst, best);
        m->mean += length * best;
        weights += length;
        m->alone++;
    }
    m->mean = weights > 0 ? m->mean / weights : 1;
    m->rest_length = length_of(m->rest, m->dims);
}

static void look_at_tokens(struct pair_features *f, const struct embedded_text *a, const struct embedded_text *b) {
    struct matching x = { .table = a->table }, y = { .table = a->table };
    f->x[PAIR_MATCH_WORST] = f->x[PAIR_MATCH_MEAN] = f->x[PAIR_MATCH_LEAST] = f->x[PAIR_REST] = 1;
    f->x[PAIR_TABLE] = 0;
    if (a->table == NULL || a->table != b->table) return;
    x.dims = y.dims = static_table_dims(a->table);
    match(&x, a, b);
    match(&y, b, a);
    float lengths = x.rest_length * y.rest_length;
    f->x[PAIR_TABLE] = dot(a->meaning, b->meaning, x.dims);
    f->x[PAIR_MATCH_WORST] = least(x.worst, y.worst);
    f->x[PAIR_MATCH_MEAN] = (x.mean + y.mean) / 2;
    f->x[PAIR_MATCH_LEAST] = most(x.worst, y.worst);
    f->x[PAIR_REST] = x.alone + y.alone == 0 ? 1 : lengths > 0 ? dot(x.rest, y.rest, x.dims) / lengths : 0;
    f->x[PAIR_REST_SHARE] = share(x.rest_length + y.rest_length, x.all_length + y.all_length);
}

/* -- All together ------------------------------------------------------------------------------------------ */

static unsigned bits(uint32_t x) { return (unsigned)__builtin_popcount(x); }
static float apart(unsigned a, unsigned b) { return (float)(a > b ? a - b : b - a); }

/* How many atoms of a kind only one has. */
static unsigned alone_of_kind(const struct side *a, const struct side *b, enum atom_kind kind) {
    unsigned count = 0;
    for (unsigned i = 0; i < a->count; i++) {
        if (a->atoms[i].kind != kind || a->atoms[i].means == 0) continue;
        bool found = false;
        for (unsigned k = 0; k < b->meant.count && !found && k < 4 * SPAN; k++)
            found = b->meant.items[k].hash == a->atoms[i].means;
        count += !found;
        if (count > SPAN) break;
    }
    return count;
}

static void look_at_sets(struct pair_features *f, struct side *a, struct side *b) {
    struct row x, y;
    pieces(&a->written, 3, &x), pieces(&b->written, 3, &y);
    struct overlap o = compare(&x, &y, NULL, NULL);
    f->x[PAIR_TRIPLES_SHARED] = shared(&o);
    pieces(&a->written, 2, &x), pieces(&b->written, 2, &y);
    o = compare(&x, &y, NULL, NULL);
    f->x[PAIR_PAIRS_SHARED] = shared(&o);
    pieces(&a->meant, 2, &x), pieces(&b->meant, 2, &y);
    o = compare(&x, &y, alone_two, f);
    f->x[PAIR_MEANS_PAIRS_SHARED] = shared(&o);

    pieces(&a->written, 1, &x), pieces(&b->written, 1, &y);
    o = compare(&x, &y, NULL, NULL);
    unsigned both = o.both;
    f->x[PAIR_ATOMS_SHARED] = shared(&o);
    f->x[PAIR_ATOMS_RARE_SHARED] = rare_shared(&o);
    f->x[PAIR_WITHIN_LEAST] = least(within_a(&o), within_b(&o));
    f->x[PAIR_WITHIN_MOST] = most(within_a(&o), within_b(&o));
    f->x[PAIR_ALONE_MOST] = most(o.alone_a, o.alone_b);
    f->x[PAIR_ALONE_LEAST] = least(o.alone_a, o.alone_b);
    f->x[PAIR_ALONE_RAREST] = most(o.rarest_a, o.rarest_b);
    f->x[PAIR_ALONE_RAREST_LEAST] = least(o.rarest_a, o.rarest_b);

    pieces(&a->meant, 1, &x), pieces(&b->meant, 1, &y);
    o = compare(&x, &y, alone_one, f);
    f->x[PAIR_MEANS_SHARED] = shared(&o);
    f->x[PAIR_MEANS_RARE_SHARED] = rare_shared(&o);
    f->x[PAIR_MEANS_WITHIN_LEAST] = least(within_a(&o), within_b(&o));
    f->x[PAIR_MEANS_WITHIN_MOST] = most(within_a(&o), within_b(&o));
    f->x[PAIR_MEANS_ALONE_MOST] = most(o.alone_a, o.alone_b);
    f->x[PAIR_MEANS_ALONE_LEAST] = least(o.alone_a, o.alone_b);
    f->x[PAIR_MEANS_ALONE_RAREST] = most(o.rarest_a, o.rarest_b);
    f->x[PAIR_MEANS_ALONE_RAREST_LEAST] = least(o.rarest_a, o.rarest_b);
    look_at_order(f, a, b, both, o.both);
}

static void look_at_kinds(struct pair_features *f, const struct side *a, const struct side *b) {
    f->x[PAIR_HAN_ALONE] = (float)(alone_of_kind(a, b, ATOM_HAN) + alone_of_kind(b, a, ATOM_HAN));
    f->x[PAIR_WORDS_ALONE] = (float)(alone_of_kind(a, b, ATOM_WORD) + alone_of_kind(b, a, ATOM_WORD));
    f->x[PAIR_NUMBERS_ALONE] = (float)(alone_of_kind(a, b, ATOM_NUMBER) + alone_of_kind(b, a, ATOM_NUMBER));
    f->x[PAIR_QUESTIONS] = (float)bits(a->questions ^ b->questions);
    f->x[PAIR_NEGATIONS] = apart(a->negations, b->negations);
    f->x[PAIR_SHORTER] = least((float)a->count, (float)b->count);
    f->x[PAIR_LONGER] = most((float)a->count, (float)b->count);
    f->x[PAIR_LENGTHS] = share(f->x[PAIR_SHORTER], f->x[PAIR_LONGER]);
    f->x[PAIR_MEANS_SHORTER] = least((float)a->meant.count, (float)b->meant.count);
    f->x[PAIR_HAN] = share((float)(a->han + b->han), (float)(a->count + b->count));
}

/* What only one of them has among the n-grams, of what both have. */
static float grams_alone(const struct grams *a, const struct grams *b) {
    float alone = 0;
    unsigned i = 0, k = 0;
    while (i < a->count || k < b->count) {
        if (i < a->count && k < b->count && a->items[i].hash == b->items[k].hash) i++, k++;
        else if (k == b->count || (i < a->count && a->items[i].hash < b->items[k].hash)) alone += a->items[i++].weight;
        else alone += b->items[k++].weight;
    }
    return alone;
}

void pair_features(const struct embedded_text *a, const struct embedded_text *b, const uint8_t *rarity,
                   struct pair_features *out) {
    struct side x, y;
    memset(out->x, 0, sizeof(out->x));
    out->difference_count = 0;
    read_side(&x, a, rarity);
    read_side(&y, b, rarity);
    out->is_bounded = ends_are_equal(&x, &y);
    look_at_tokens(out, a, b);
    out->x[PAIR_GRAMS] = grams_cosine(&a->grams, &b->grams);
    out->x[PAIR_BLEND] = 0.6f * most(out->x[PAIR_TABLE], 0) + 0.4f * out->x[PAIR_GRAMS];
    out->x[PAIR_GRAMS_ALONE] = grams_alone(&a->grams, &b->grams);
    look_at_sets(out, &x, &y);
    look_at_kinds(out, &x, &y);
}
