/* trees.c -- gradient boosted trees: a chance out of a few numbers.
 *
 * Each tree asks `depth` questions, "is feature f above c?", and what it ends at is added up over all trees; the
 * sum is the logarithm of the odds.  All trees are complete, so that a step is one comparison and no branch:
 *
 *               0                   tests[]: node i has the children 2i + 1 (not above) and 2i + 2 (above)
 *           1       2
 *         3   4   5   6
 *        a b c d e f g h            leaves[]: 2^depth numbers
 *
 * A node that has nothing to ask compares with infinity: everything goes to the left, to where its number is.
 *
 * Training (Friedman 2001; histograms and second derivatives as in LightGBM and XGBoost, from their papers): a
 * feature has at most BINS values that matter, its quantiles.  A level of a tree adds up, for each of its
 * nodes, feature and bin, the gradients of the rows in it; of two siblings the larger one is what the parent has
 * less the smaller one.  Then each node takes the cut that gains most.
 *
 * A feature may be bound to be monotone: a cut whose leaves contradict is not taken, and what is under it stays on
 * its side of the middle, so that more of a feature never gives less of the result. */
#include "semantic/trees.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/little.h"

#define BINS  64
#define MAGIC "PLTREES1"

struct test {
    float    above;
    uint32_t feature;
};

struct trees {
    unsigned     features, depth, rounds;
    float        start;  /* before any tree */
    struct test *tests;  /* rounds * (2^depth - 1) */
    float       *leaves; /* rounds * 2^depth */
};

static unsigned inner(const struct trees *t) { return (1u << t->depth) - 1; }

static struct trees *trees_new(unsigned features, unsigned depth, unsigned rounds) {
    struct trees *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    *t = (struct trees){ .features = features, .depth = depth, .rounds = rounds };
    t->tests = mem_zalloc((size_t)rounds * inner(t) * sizeof(*t->tests) + 1);
    t->leaves = mem_zalloc(((size_t)rounds << depth) * sizeof(*t->leaves) + 1);
    if (t->tests != NULL && t->leaves != NULL) return t;
    trees_free(t);
    return NULL;
}

void trees_free(struct trees *t) {
    if (t == NULL) return;
    mem_free(t->tests);
    mem_free(t->leaves);
    mem_free(t);
}

unsigned trees_features(const struct trees *t) { return t->features; }

float trees_predict(const struct trees *t, const float *x) {
    float sum = t->start;
    unsigned nodes = inner(t);
    const struct test *tests = t->tests;
    const float *leaves = t->leaves;
    for (unsigned r = 0; r < t->rounds; r++, tests += nodes, leaves += nodes + 1) {
        unsigned i = 0;
        for (unsigned d = 0; d < t->depth; d++) i = 2 * i + 1 + (x[tests[i].feature] > tests[i].above);
        sum += leaves[i - nodes];
    }
    return sum;
}

/* -- Training: bins --------------------------------------------------------------------------- */

struct sums {
    double g, h; /* of the loss: first and second derivatives */
};

struct training {
    const struct trees_options *o;
    const float *x, *y, *weight;
    size_t    rows;
    unsigned  features, nodes; /* of the widest level */
    float    *cuts;            /* features * BINS; bin b holds what is above cut b - 1 and not above cut b */
    unsigned  cut_count[TREES_MAX_FEATURES];
    uint8_t  *bins;            /* rows * features */
    float    *score, *g, *h;   /* of each row */
    uint8_t  *node;            /* of each row: its place in the level */
    uint32_t *picked;          /* the rows that this tree learns from */
    size_t    picked_count;
    struct sums *now, *before; /* nodes * features * BINS */
    bool      asks[TREES_MAX_FEATURES];
    struct rng rng;
};

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static unsigned bin_of(const float *cuts, unsigned count, float v) {
    unsigned lo = 0, hi = count;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (v > cuts[mid]) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

/* The cuts of a feature: between neighbours among its quantiles. */
static void find_cuts(struct training *t, unsigned f, float *sorted) {
    size_t step = t->rows > 20000 ? t->rows / 20000 : 1, n = 0;
    for (size_t i = 0; i < t->rows; i += step) sorted[n++] = t->x[i * t->features + f];
    qsort(sorted, n, sizeof(*sorted), ascending);
    float *cuts = t->cuts + (size_t)f * BINS;
    unsigned count = 0;
    for (unsigned b = 1; b < BINS; b++) {
        size_t at = n * b / BINS;
        float low = sorted[at == 0 ? 0 : at - 1];
        while (at < n && sorted[at] == low) at++;
        if (at == n) break;
        float cut = low + (sorted[at] - low) / 2;
        if (cut >= sorted[at]) cut = low; /* neighbours among numbers */
        if (count == 0 || cut > cuts[count - 1]) cuts[count++] = cut;
    }
    t->cut_count[f] = count;
    for (size_t i = 0; i < t->rows; i++)
        t->bins[i * t->features + f] = (uint8_t)bin_of(cuts, count, t->x[i * t->features + f]);
}

static void training_deinit(struct training *t) {
    mem_free(t->cuts);
    mem_free(t->bins);
    mem_free(t->score);
    mem_free(t->g);
    mem_free(t->h);
    mem_free(t->node);
    mem_free(t->picked);
    mem_free(t->now);
    mem_free(t->before);
}

static int training_init(struct training *t) {
    size_t cells = (size_t)t->nodes * t->features * BINS;
    float *sorted = mem_alloc((t->rows + 1) * sizeof(*sorted));
    t->cuts = mem_alloc((size_t)t->features * BINS * sizeof(*t->cuts));
    t->bins = mem_alloc(t->rows * t->features);
    t->score = mem_alloc(t->rows * sizeof(*t->score));
    t->g = mem_alloc(t->rows * sizeof(*t->g));
    t->h = mem_alloc(t->rows * sizeof(*t->h));
    t->node = mem_alloc(t->rows);
    t->picked = mem_alloc(t->rows * sizeof(*t->picked));
    t->now = mem_alloc(cells * sizeof(*t->now));
    t->before = mem_alloc(cells * sizeof(*t->before));
    bool ok = sorted != NULL && t->cuts != NULL && t->bins != NULL && t->score != NULL && t->g != NULL &&
              t->h != NULL && t->node != NULL && t->picked != NULL && t->now != NULL && t->before != NULL;
    for (unsigned f = 0; ok && f < t->features; f++) find_cuts(t, f, sorted);
    mem_free(sorted);
    return ok ? 0 : PERILUNE_ERR_NOMEM;
}

/* -- Training: a tree ------------------------------------------------------------------------------ */

struct bounds {
    double low, high; /* what a leaf may say */
};

struct growing {
    struct test  *tests;
    float        *leaves;
    struct bounds bounds[1u << TREES_MAX_DEPTH];
    struct sums   total[1u << TREES_MAX_DEPTH];
    size_t        count[1u << TREES_MAX_DEPTH]; /* picked rows of each node of the level */
};

static double clamp(double v, struct bounds b) { return v < b.low ? b.low : v > b.high ? b.high : v; }

static double leaf_value(const struct training *t, struct sums s, struct bounds b) {
    return clamp(-s.g / (s.h + t->o->l2), b);
}

/* What the loss falls by, when these rows get this value. */
static double gain_of(const struct training *t, struct sums s, double value) {
    return -(s.g * value + 0.5 * (s.h + t->o->l2) * value * value);
}

static struct sums *cells(const struct training *t, struct sums *all, unsigned node) {
    return all + (size_t)node * t->features * BINS;
}

/* The histograms of the nodes that are marked, over the picked rows. */
static void add_up(struct training *t, const bool *marked) {
    for (size_t i = 0; i < t->picked_count; i++) {
        size_t row = t->picked[i];
        if (!marked[t->node[row]]) continue;
        struct sums *cell = cells(t, t->now, t->node[row]);
        const uint8_t *bins = t->bins + row * t->features;
        double g = (double)t->g[row], h = (double)t->h[row];
        for (unsigned f = 0; f < t->features; f++, cell += BINS) {
            cell[bins[f]].g += g;
            cell[bins[f]].h += h;
        }
    }
}

/* The histograms of a level out of those of the one above: of two siblings the smaller one is added up. */
static void read_level(struct training *t, struct growing *w, unsigned level) {
    unsigned width = 1u << level;
    size_t size = (size_t)t->features * BINS;
    bool marked[1u << TREES_MAX_DEPTH] = { false };
    struct sums *swap = t->before;
    t->before = t->now;
    t->now = swap;
    for (unsigned i = 0; i < width; i++) w->count[i] = 0;
    for (size_t i = 0; i < t->picked_count; i++) w->count[t->node[t->picked[i]]]++;
    for (unsigned i = 0; i < width; i++) marked[i] = level == 0 || w->count[i] < w->count[i ^ 1] ||
                                                     (w->count[i] == w->count[i ^ 1] && (i & 1) == 0);
    memset(t->now, 0, width * size * sizeof(*t->now));
    add_up(t, marked);
    for (unsigned i = 0; i < width; i++) {
        if (marked[i]) continue;
        struct sums *mine = cells(t, t->now, i), *other = cells(t, t->now, i ^ 1), *parent = cells(t, t->before, i / 2);
        for (size_t k = 0; k < size; k++) {
            mine[k].g = parent[k].g - other[k].g;
            mine[k].h = parent[k].h - other[k].h;
        }
    }
    for (unsigned i = 0; i < width; i++) {
        w->total[i] = (struct sums){ 0, 0 };
        for (unsigned b = 0; b < BINS; b++) {
            w->total[i].g += cells(t, t->now, i)[b].g;
            w->total[i].h += cells(t, t->now, i)[b].h;
        }
    }
}

struct cut {
    double   gain, left, right; /* left, right: what the two sides say */
    unsigned feature, bin;
};

static void try_feature(const struct training *t, unsigned f, const struct sums *cell, struct sums total,
                        struct bounds b, double base, struct cut *best) {
    struct sums left = { 0, 0 };
    int way = t->o->monotone != NULL ? t->o->monotone[f] : 0;
    for (unsigned i = 0; i < t->cut_count[f]; i++) {
        left.g += cell[i].g;
        left.h += cell[i].h;
        struct sums right = { total.g - left.g, total.h - left.h };
        if (left.h < t->o->min_weight || right.h < t->o->min_weight) continue;
        double l = leaf_value(t, left, b), r = leaf_value(t, right, b);
        if (way * (r - l) < 0) continue;
        double gain = gain_of(t, left, l) + gain_of(t, right, r) - base;
        if (gain > best->gain) *best = (struct cut){ gain, l, r, f, i };
    }
}

/* Decides what a node asks, and what its children may say. */
static void cut_node(struct training *t, struct growing *w, unsigned level, unsigned i, struct bounds *next) {
    struct bounds b = w->bounds[i];
    struct test *test = &w->tests[(1u << level) - 1 + i];
    double base = gain_of(t, w->total[i], leaf_value(t, w->total[i], b));
    struct cut best = { .gain = 1e-6 };
    next[2 * i] = next[2 * i + 1] = b;
    *test = (struct test){ INFINITY, 0 };
    for (unsigned f = 0; f < t->features; f++)
        if (t->asks[f]) try_feature(t, f, cells(t, t->now, i) + f * BINS, w->total[i], b, base, &best);
    if (best.gain <= 1e-6) return;
    *test = (struct test){ t->cuts[best.feature * BINS + best.bin], best.feature };
    int way = t->o->monotone != NULL ? t->o->monotone[best.feature] : 0;
    double middle = (best.left + best.right) / 2;
    if (way > 0) next[2 * i].high = next[2 * i + 1].low = middle;
    if (way < 0) next[2 * i].low = next[2 * i + 1].high = middle;
}

/* Rows move to the children. */
static void move_rows(struct training *t, const struct growing *w, unsigned level) {
    unsigned first = (1u << level) - 1;
    for (size_t i = 0; i < t->rows; i++) {
        const struct test *test = &w->tests[first + t->node[i]];
        t->node[i] = (uint8_t)(2 * t->node[i] + (t->x[i * t->features + test->feature] > test->above));
    }
}

static void pick(struct training *t) {
    t->picked_count = 0;
    for (size_t i = 0; i < t->rows; i++)
        if (t->o->subsample >= 1 || rng_double(&t->rng) < t->o->subsample) t->picked[t->picked_count++] = (uint32_t)i;
    for (unsigned f = 0; f < t->features; f++) t->asks[f] = t->o->columns >= 1 || rng_double(&t->rng) < t->o->columns;
}

static void derive(struct training *t) {
    for (size_t i = 0; i < t->rows; i++) {
        float p = 1 / (1 + expf(-t->score[i])), w = t->weight != NULL ? t->weight[i] : 1;
        t->g[i] = w * (p - t->y[i]);
        t->h[i] = w * (p * (1 - p) + 1e-6f);
    }
}

static void grow(struct training *t, struct growing *w, unsigned depth) {
    struct bounds next[2u << TREES_MAX_DEPTH];
    derive(t);
    pick(t);
    memset(t->node, 0, t->rows);
    w->bounds[0] = (struct bounds){ -INFINITY, INFINITY };
    for (unsigned level = 0; level < depth; level++) {
        unsigned width = 1u << level;
        read_level(t, w, level);
        for (unsigned i = 0; i < width; i++) cut_node(t, w, level, i, next);
        memcpy(w->bounds, next, 2 * width * sizeof(*next));
        move_rows(t, w, level);
    }
    unsigned leaves = 1u << depth;
    memset(w->total, 0, sizeof(w->total));
    for (size_t i = 0; i < t->picked_count; i++) {
        size_t row = t->picked[i];
        w->total[t->node[row]].g += (double)t->g[row];
        w->total[t->node[row]].h += (double)t->h[row];
    }
    for (unsigned i = 0; i < leaves; i++) {
        double v = w->total[i].h > 0 ? leaf_value(t, w->total[i], w->bounds[i]) : clamp(0, w->bounds[i]);
        w->leaves[i] = (float)(t->o->shrinkage * v);
    }
    for (size_t i = 0; i < t->rows; i++) t->score[i] += w->leaves[t->node[i]];
}

static bool options_are_sound(const struct trees_options *o, unsigned features) {
    return features > 0 && features <= TREES_MAX_FEATURES && o->depth > 0 && o->depth <= TREES_MAX_DEPTH &&
           o->rounds > 0 && o->rounds <= TREES_MAX_ROUNDS && o->shrinkage > 0 && o->subsample > 0 &&
           o->columns > 0 && o->l2 >= 0 && o->min_weight > 0;
}

static float log_odds_of_all(const float *y, const float *weight, size_t rows) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < rows; i++) {
        double w = weight != NULL ? (double)weight[i] : 1;
        sum += w * (double)y[i];
        all += w;
    }
    double p = (sum + 0.5) / (all + 1);
    return (float)log(p / (1 - p));
}

int trees_train(struct trees **out, const float *x, const float *y, const float *weight, size_t rows,
                unsigned features, const struct trees_options *o) {
    *out = NULL;
    if (rows == 0 || rows > UINT32_MAX || !options_are_sound(o, features)) return PERILUNE_ERR_INVAL;
    struct training t = { .o = o, .x = x, .y = y, .weight = weight, .rows = rows, .features = features,
                          .nodes = 1u << (o->depth - 1) };
    struct growing *w = mem_alloc(sizeof(*w));
    struct trees *trees = trees_new(features, o->depth, o->rounds);
    int rc = training_init(&t);
    if (w == NULL || trees == NULL) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0) {
        rng_seed(&t.rng, o->seed | 1);
        trees->start = log_odds_of_all(y, weight, rows);
        for (size_t i = 0; i < rows; i++) t.score[i] = trees->start;
    }
    for (unsigned r = 0; rc == 0 && r < o->rounds; r++) {
        w->tests = trees->tests + (size_t)r * inner(trees);
        w->leaves = trees->leaves + ((size_t)r << o->depth);
        grow(&t, w, o->depth);
    }
    training_deinit(&t);
    mem_free(w);
    if (rc == 0) *out = trees;
    else trees_free(trees);
    return rc;
}

/* -- The file form ------------------------------------------------------------------------------------
 *
 * MAGIC; features, depth, rounds as u16; start as f32; then each tree: its tests (feature u8, above f32), its leaves
 * f32.  Little-endian. */

void trees_write(const struct trees *t, struct buf *out) {
    buf_puts(out, MAGIC);
    little_put_u16(out, t->features);
    little_put_u16(out, t->depth);
    little_put_u16(out, t->rounds);
    little_put_f32(out, t->start);
    for (unsigned r = 0; r < t->rounds; r++) {
        for (unsigned i = 0; i < inner(t); i++) {
            const struct test *test = &t->tests[(size_t)r * inner(t) + i];
            buf_putc(out, (char)test->feature);
            little_put_f32(out, test->above);
        }
        for (unsigned i = 0; i < 1u << t->depth; i++) little_put_f32(out, t->leaves[((size_t)r << t->depth) + i]);
    }
}

#define HEAD_BYTES 18

/* Fills t; a sentence when the bytes are none of ours. */
static const char *read_nodes(struct trees *t, const unsigned char *p) {
    for (unsigned r = 0; r < t->rounds; r++) {
        for (unsigned i = 0; i < inner(t); i++, p += 5) {
            struct test test = { little_f32(p + 1), p[0] };
            if (test.feature >= t->features || isnan(test.above)) return "a tree asks for what there is not";
            t->tests[(size_t)r * inner(t) + i] = test;
        }
        for (unsigned i = 0; i < 1u << t->depth; i++, p += 4) {
            float v = little_f32(p);
            if (!isfinite(v)) return "a leaf is not a number";
            t->leaves[((size_t)r << t->depth) + i] = v;
        }
    }
    return NULL;
}

int trees_read(struct trees **out, struct slice bytes, const char **why) {
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    *out = NULL;
    *why = "these are no trees";
    if (bytes.len < HEAD_BYTES || memcmp(p, MAGIC, 8) != 0) return PERILUNE_ERR_INVAL;
    unsigned features = little_u16(p + 8), depth = little_u16(p + 10), rounds = little_u16(p + 12);
    float start = little_f32(p + 14);
    *why = "the trees are out of bounds";
    if (features == 0 || features > TREES_MAX_FEATURES || depth == 0 || depth > TREES_MAX_DEPTH || rounds == 0 ||
        rounds > TREES_MAX_ROUNDS || !isfinite(start))
        return PERILUNE_ERR_INVAL;
    size_t tree = ((1u << depth) - 1) * 5 + (4u << depth);
    *why = "the trees are cut off, or something is behind them";
    if (bytes.len != HEAD_BYTES + tree * rounds) return PERILUNE_ERR_INVAL;
    struct trees *t = trees_new(features, depth, rounds);
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    t->start = start;
    *why = read_nodes(t, p + HEAD_BYTES);
    if (*why == NULL) {
        *out = t;
        return 0;
    }
    trees_free(t);
    return PERILUNE_ERR_INVAL;
}
