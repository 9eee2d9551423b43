/* calibrated.c -- what a score means: isotonic regression, and quantiles.
 *
 *     target                          . x       Scores are sorted; neighbours whose targets fall are pooled
 *            x      _______.------'   x         until the means of the pools rise (pool adjacent violators:
 *       x  _.--'x                               Ayer, Brunk, Ewing, Reid, Silverman 1955).  The result is the
 *     x-'  x                        score       rising step function with the least squares.
 *
 * A score of a linear model says which of two prompts is the harder one, not how hard: that it is said in
 * quality comes from here.  A pool is flat from its first score to its last, and between two is a line; of more
 * pools than CALIBRATED_KNOTS can hold some are left out, for a file keeps them.  Quantiles say it in shares of
 * traffic: "the hardest tenth".
 *
 * Invariant: knots rise; so does the value between them. */
#include "learn/calibrated.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "include/perilune.h"

struct pool { /* of neighbours */
    double target, weight; /* sums */
    float  first, last;    /* scores */
};

struct pair {
    float score, target;
};

static int by_score(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

static struct pair *sorted(const float *scores, const float *targets, size_t n) {
    struct pair *p = mem_alloc((n + 1) * sizeof(*p));
    for (size_t i = 0; p != NULL && i < n; i++) p[i] = (struct pair){ scores[i], targets != NULL ? targets[i] : 0 };
    if (p != NULL) qsort(p, n, sizeof(*p), by_score);
    return p;
}

static double mean(const struct pool *p) { return p->target / p->weight; }
static bool falls(const struct pool *a, const struct pool *b) { return mean(a) >= mean(b) || a->last >= b->first; }

/* Pools of p, in its order; how many. */
static size_t pool_all(const struct pair *p, size_t n, struct pool *out) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        out[count++] = (struct pool){ (double)p[i].target, 1, p[i].score, p[i].score };
        while (count > 1 && falls(&out[count - 2], &out[count - 1])) {
            out[count - 2].target += out[count - 1].target;
            out[count - 2].weight += out[count - 1].weight;
            out[count - 2].last = out[count - 1].last;
            count--;
        }
    }
    return count;
}

static void add_knot(struct calibrated *c, float score, float value) {
    if (c->count > 0 && !(score > c->score[c->count - 1])) return; /* a pool of one score */
    c->score[c->count] = score;
    c->value[c->count++] = value;
}

int calibrated_fit(struct calibrated *out, const float *scores, const float *targets, size_t n) {
    *out = (struct calibrated){ .count = 0 };
    struct pair *p = sorted(scores, targets, n);
    struct pool *pools = mem_alloc((n + 1) * sizeof(*pools));
    if (p == NULL || pools == NULL) {
        mem_free(p);
        mem_free(pools);
        return PERILUNE_ERR_NOMEM;
    }
    size_t count = pool_all(p, n, pools), kept = count < CALIBRATED_KNOTS / 2 ? count : CALIBRATED_KNOTS / 2;
    for (size_t i = 0; i < kept; i++) {
        const struct pool *q = &pools[kept > 1 ? i * (count - 1) / (kept - 1) : 0];
        add_knot(out, q->first, (float)mean(q));
        add_knot(out, q->last, (float)mean(q));
    }
    mem_free(p);
    mem_free(pools);
    return 0;
}

int calibrated_fit_quantiles(struct calibrated *out, const float *scores, size_t n) {
    *out = (struct calibrated){ .count = 0 };
    struct pair *p = sorted(scores, NULL, n);
    if (p == NULL) return PERILUNE_ERR_NOMEM;
    size_t knots = n < CALIBRATED_KNOTS ? n : CALIBRATED_KNOTS;
    for (size_t i = 0; i < knots; i++) {
        size_t at = knots > 1 ? i * (n - 1) / (knots - 1) : 0;
        while (at + 1 < n && p[at + 1].score <= p[at].score) at++; /* the last of those that are the same */
        add_knot(out, p[at].score, (float)(at + 1) / (float)n);
    }
    mem_free(p);
    return 0;
}

float calibrated_value(const struct calibrated *c, float score) {
    if (c->count == 0) return 0;
    if (!(score > c->score[0])) return c->value[0];
    unsigned low = 0, high = c->count - 1;
    if (score >= c->score[high]) return c->value[high];
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (c->score[middle] <= score) low = middle;
        else high = middle;
    }
    float part = (score - c->score[low]) / (c->score[high] - c->score[low]);
    return c->value[low] + part * (c->value[high] - c->value[low]);
}

int calibrated_is_sound(const struct calibrated *c) {
    if (c->count > CALIBRATED_KNOTS) return 0;
    for (unsigned i = 0; i < c->count; i++) {
        if (!isfinite(c->score[i]) || !isfinite(c->value[i])) return 0;
        if (i > 0 && (!(c->score[i] > c->score[i - 1]) || c->value[i] < c->value[i - 1])) return 0;
    }
    return 1;
}
