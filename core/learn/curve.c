/* curve.c -- what a choice between a small and a big model is worth: quality against cost.
 *
 *     quality
 *     big   |            _.-----x     prompts go to the big model in the order of their scores;
 *           |      _.--''  .   '      x is where all have gone
 *           |   .-'     .      '
 *           | .'     .         '      PGR(share) = (quality - small) / (big - small): the part of the
 *     small |'____.____________'      gap that is recovered;  APGR: its mean over all shares
 *           0                  1  share of prompts
 *
 * Who chooses at random gets the straight line, APGR 0.5.  Who knows the outcome gets more than 1, when the small
 * model is the better one for some prompts.  Among equal scores the order is nobody's: a tie is a straight piece.
 *
 * The interval is the bootstrap's: prompts are drawn with replacement, or whole groups of them, where prompts of a
 * group are alike (a subject, a user) and say less than as many strangers.  The order is the same in every draw,
 * so a draw costs one pass. */
#include "learn/curve.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"

static int by_score(const void *a, const void *b) { /* the highest first */
    const struct curve_item *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->group > y->group) - (x->group < y->group);
}

static double gain(const struct curve_item *i) { return (double)i->quality[1] - (double)i->quality[0]; }

static int by_gain(const void *a, const void *b) {
    double x = gain(a), y = gain(b);
    return (x < y) - (x > y);
}

/* A pass over items in order: the area under the recovered part, or -1 without a gap.  weights NULL: 1 each. */
static double area(const struct curve_item *items, size_t n, const uint32_t *weights, int exact) {
    double all = 0, gap = 0, sum = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weights != NULL ? weights[i] : 1;
        all += w;
        gap += w * gain(&items[i]);
    }
    if (!(gap > 1e-9 * all)) return -1;
    for (size_t i = 0; i < n;) {
        double w = 0, g = 0;
        size_t k = i;
        do {
            double each = weights != NULL ? weights[k] : 1;
            w += each;
            g += each * gain(&items[k]);
            k++;
        } while (k < n && !exact && items[k].score == items[i].score);
        sum += w * (at + g / 2); /* a straight piece from `at` to `at + g`, w wide */
        at += g;
        i = k;
    }
    return sum / all / gap;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void draw(struct rng *rng, uint32_t *times, size_t n) {
    for (size_t i = 0; i < n; i++) times[i] = 0;
    for (size_t i = 0; i < n; i++) times[(size_t)(rng_double(rng) * (double)n)]++;
}

static int bootstrap(struct curve *c, const struct curve_item *items, size_t n, const struct curve_options *o) {
    size_t units = o->groups > 0 ? o->groups : n;
    uint32_t *times = mem_alloc(units * sizeof(*times)), *weights = mem_alloc(n * sizeof(*weights));
    double *areas = mem_alloc((o->draws + 1) * sizeof(*areas));
    struct rng rng;
    int rc = times != NULL && weights != NULL && areas != NULL ? 0 : PERILUNE_ERR_NOMEM;
    rng_seed(&rng, o->seed != 0 ? o->seed : 1);
    for (unsigned d = 0; rc == 0 && d < o->draws; d++) {
        draw(&rng, times, units);
        for (size_t i = 0; i < n; i++) weights[i] = times[o->groups > 0 ? items[i].group : i];
        double a = area(items, n, weights, 0);
        if (a >= 0) areas[c->draws++] = a;
    }
    if (rc == 0 && c->draws > 0) {
        qsort(areas, c->draws, sizeof(*areas), by_value);
        c->low = areas[(size_t)((double)(c->draws - 1) * 0.025)];
        c->high = areas[(size_t)((double)(c->draws - 1) * 0.975 + 0.5)];
    }
    mem_free(times);
    mem_free(weights);
    mem_free(areas);
    return rc;
}

static void means(struct curve *c, const struct curve_item *items, size_t n) {
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < n; i++) {
            c->quality[k] += (double)items[i].quality[k] / (double)n;
            c->cost[k] += (double)items[i].cost[k] / (double)n;
        }
    }
}

/* Points at even shares; within a tie, of its mean. */
static void points(struct curve *c, const struct curve_item *items, size_t n) {
    double quality = c->quality[0], cost = c->cost[0];
    unsigned at = 0;
    for (size_t i = 0; i < n;) {
        double g = 0, more = 0;
        size_t k = i;
        for (; k < n && items[k].score == items[i].score; k++) {
            g += gain(&items[k]) / (double)n;
            more += ((double)items[k].cost[1] - (double)items[k].cost[0]) / (double)n;
        }
        for (; at < CURVE_POINTS; at++) {
            double share = (double)at / (CURVE_POINTS - 1), part = (share * (double)n - (double)i) / (double)(k - i);
            if (part > 1 && k < n) break;
            if (part > 1) part = 1;
            c->points[at] = (struct curve_point){ share, quality + part * g, cost + part * more };
        }
        quality += g;
        cost += more;
        i = k;
    }
}

int curve_make(struct curve *out, struct curve_item *items, size_t n, const struct curve_options *o) {
    *out = (struct curve){ .is_defined = 0 };
    if (n == 0) return PERILUNE_ERR_INVAL;
    means(out, items, n);
    qsort(items, n, sizeof(*items), by_gain);
    out->oracle = area(items, n, NULL, 1);
    qsort(items, n, sizeof(*items), by_score);
    points(out, items, n);
    out->apgr = area(items, n, NULL, 0);
    out->is_defined = out->apgr >= 0;
    out->low = out->high = out->apgr;
    return out->is_defined && o->draws > 0 ? bootstrap(out, items, n, o) : 0;
}
