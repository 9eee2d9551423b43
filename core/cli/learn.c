/* learn.c -- what `perilune train` and `perilune eval` share.
 *
 *     lines --> items: text, group, targets --> folds: each judged by what the others taught --> scores
 *                                                                                                   |
 *     table, picture (curve_svg.c) <-- curve: quality against cost, APGR, interval <----------------+
 *
 * A line with models becomes an item whose target is (1 + big - small) / 2: what the logit then says is how much of
 * the quality the small model would lose.  A line with a label becomes one whose targets are 0 but for its label.
 *
 * Thread: one, a program of its own. */
#include "cli/learn.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED 7

static void say(void *ud, const char *what, unsigned done, unsigned of) {
    (void)ud;
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K%s %u of %u%s", what, done, of, done == of ? "\n" : "");
}

int learn_fail(const struct learn *l, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: %s: ", l->command, l->file);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

void learn_defaults(struct learn *l, const char *command) {
    *l = (struct learn){ .command = command, .folds = 5, .draws = 1000, .epochs = 5, .bits = 0, .words = -1 };
}

/* -- Items ----------------------------------------------------------------------------------- */

static double mean_of(const struct learn *l, uint32_t model, bool cost) {
    double sum = 0, n = 0;
    for (unsigned i = 0; i < l->in.count; i++) {
        const struct outcome_mark *m = &l->in.list[i].marks[model];
        if (!m->known) continue;
        sum += (double)(cost ? m->cost : m->quality);
        n++;
    }
    return n > 0 ? sum / n : 0;
}

static int find_model(const struct learn *l, const char *name, const char *option, uint32_t *out) {
    char known[300] = "";
    size_t n = 0;
    *out = outcomes_model(&l->in, name);
    if (*out != OUTCOMES_NONE) return 0;
    for (unsigned i = 0; i < l->in.models && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", l->in.model[i]);
    return learn_fail(l, "no line has a model '%s' (%s); it has: %s", name, option, known);
}

/* The two models: those that were named, or the cheaper of two (of the same price: the worse) and the other. */
static int choose_pair(struct learn *l) {
    if ((l->small == NULL) != (l->big == NULL)) return learn_fail(l, "give both --small and --big, or none");
    if (l->small == NULL && l->in.models != 2)
        return learn_fail(l, "has %u models: say which two with --small and --big", l->in.models);
    if (l->small != NULL) {
        int rc = find_model(l, l->small, "--small", &l->pair[0]);
        if (rc == 0) rc = find_model(l, l->big, "--big", &l->pair[1]);
        if (rc == 0 && l->pair[0] == l->pair[1]) rc = learn_fail(l, "--small and --big are the same model");
        return rc;
    }
    double cost[2] = { mean_of(l, 0, true), mean_of(l, 1, true) };
    bool swap = cost[0] != cost[1] ? cost[0] > cost[1] : mean_of(l, 0, false) > mean_of(l, 1, false);
    l->pair[0] = swap;
    l->pair[1] = !swap;
    return 0;
}

static bool is_wanted(const struct learn *l, const struct outcome *o) {
    return o->marks == NULL || (o->marks[l->pair[0]].known && o->marks[l->pair[1]].known);
}

static void put_targets(const struct learn *l, const struct outcome *o, float *targets) {
    for (unsigned k = 0; k < l->outputs; k++) targets[k] = o->label == k;
    if (o->marks != NULL) targets[0] = (1 + o->marks[l->pair[1]].quality - o->marks[l->pair[0]].quality) / 2;
}

/* Groups of lines that were left out leave holes; what draws them wants none. */
static int number_groups(struct learn *l) {
    uint32_t *of = mem_alloc(((size_t)l->in.groups + 1) * sizeof(*of));
    if (of == NULL) return learn_fail(l, "out of memory");
    for (unsigned g = 0; g < l->in.groups; g++) of[g] = OUTCOMES_NONE;
    for (size_t i = 0; i < l->count; i++) {
        uint32_t *g = &of[l->items[i].group];
        if (*g == OUTCOMES_NONE) *g = l->groups++;
        l->items[i].group = *g;
    }
    mem_free(of);
    return 0;
}

static int make_items(struct learn *l) {
    size_t n = l->in.count;
    l->outputs = l->in.kind == OUTCOMES_OF_MODELS ? 1 : l->in.labels;
    if (l->outputs == 0) return learn_fail(l, "has no label but null: there is nothing to tell apart");
    l->items = mem_alloc((n + 1) * sizeof(*l->items));
    l->lines = mem_alloc((n + 1) * sizeof(*l->lines));
    l->targets = mem_alloc((n + 1) * l->outputs * sizeof(*l->targets));
    l->scores = mem_zalloc((n + 1) * l->outputs * sizeof(*l->scores));
    if (l->items == NULL || l->lines == NULL || l->targets == NULL || l->scores == NULL)
        return learn_fail(l, "out of memory");
    for (unsigned i = 0; i < n; i++) {
        const struct outcome *o = &l->in.list[i];
        if (!is_wanted(l, o)) continue;
        float *targets = l->targets + l->count * l->outputs;
        put_targets(l, o, targets);
        l->lines[l->count] = i;
        l->items[l->count++] = (struct fit_item){ .text = o->text, .turns = o->turns, .group = o->group,
                                                  .targets = targets };
    }
    l->skipped = (unsigned)(n - l->count);
    if (l->count == 0) return learn_fail(l, "no line has both models");
    return number_groups(l);
}

int learn_open(struct learn *l) {
    int rc = outcomes_read(&l->in, l->command, l->file);
    if (rc == 0 && l->in.kind == OUTCOMES_OF_MODELS) rc = choose_pair(l);
    if (rc == 0 && l->in.kind == OUTCOMES_OF_LABELS && (l->small != NULL || l->big != NULL || l->svg != NULL))
        rc = learn_fail(l, "has labels; --small, --big and --svg are for outcomes of models");
    if (rc == 0) rc = make_items(l);
    if (rc != 0) return rc;
    /* Labels have few examples and many outputs, routes the other way round. */
    unsigned bits = l->bits > 0 ? (unsigned)l->bits : l->outputs == 1 && l->in.kind == OUTCOMES_OF_MODELS ? 18 : 14;
    l->fit = (struct fit_options){ .bits = bits, .outputs = l->outputs, .epochs = (unsigned)l->epochs,
                                   .folds = (unsigned)l->folds, .words = (float)l->words, .seed = SEED,
                                   .progress = say };
    if (l->skipped > 0)
        fprintf(stderr, "note: %u lines have only one of the two models, and are left out\n", l->skipped);
    return 0;
}

void learn_close(struct learn *l) {
    mem_free(l->items);
    mem_free(l->lines);
    mem_free(l->targets);
    mem_free(l->scores);
    outcomes_deinit(&l->in);
}

int learn_cross_validate(struct learn *l) {
    if (l->groups < l->fit.folds) l->fit.folds = l->groups;
    if (l->groups < 2)
        return learn_fail(l, "has one %s: to see what is learned some must be kept apart; it needs two at least",
                          l->in.grouped ? "group" : "line");
    int rc = fit_out_of_fold(l->scores, l->items, l->count, &l->fit);
    return rc == 0 ? 0 : learn_fail(l, "out of memory");
}

int learn_calibrate(struct learn *l, struct calibrated *values) {
    float *scores = mem_alloc((l->count + 1) * sizeof(*scores)), *means = mem_alloc((l->count + 1) * sizeof(*means));
    int rc = scores != NULL && means != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (unsigned k = 0; rc == 0 && k < l->outputs; k++) {
        for (size_t i = 0; i < l->count; i++) {
            float t = l->targets[i * l->outputs + k];
            scores[i] = l->scores[i * l->outputs + k];
            means[i] = l->in.kind == OUTCOMES_OF_MODELS ? 2 * t - 1 : t; /* of a route: what is lost */
        }
        rc = calibrated_fit(&values[k], scores, means, l->count);
    }
    mem_free(scores);
    mem_free(means);
    return rc == 0 ? 0 : learn_fail(l, "out of memory");
}

/* -- What a route is worth ------------------------------------------------------------------------ */

static struct curve_item *curve_items(const struct learn *l, bool by_length) {
    struct curve_item *out = mem_alloc((l->count + 1) * sizeof(*out));
    for (size_t i = 0; out != NULL && i < l->count; i++) {
        const struct outcome *o = &l->in.list[l->lines[i]];
        const struct outcome_mark *a = &o->marks[l->pair[0]], *b = &o->marks[l->pair[1]];
        float score = by_length ? (float)o->text.len : l->scores[i];
        out[i] = (struct curve_item){ .score = score, .quality = { a->quality, b->quality },
                                      .cost = { a->cost, b->cost }, .group = l->items[i].group };
    }
    return out;
}

static int make_curve(const struct learn *l, bool by_length, unsigned draws, struct curve *c) {
    struct curve_item *items = curve_items(l, by_length);
    struct curve_options o = { .groups = l->in.grouped ? l->groups : 0, .draws = draws, .seed = SEED };
    int rc = items != NULL ? curve_make(c, items, l->count, &o) : PERILUNE_ERR_NOMEM;
    mem_free(items);
    return rc == 0 ? 0 : learn_fail(l, "out of memory");
}

static void print_curve(const struct curve *c) {
    bool costs = c->cost[1] > 0;
    printf("to the big model   quality%s   of the gap\n", costs ? "   USD per 1000" : "");
    for (unsigned i = 0; i < CURVE_POINTS; i += (CURVE_POINTS - 1) / 10) {
        const struct curve_point *p = &c->points[i];
        printf("%14.0f %%    %.4f", 100 * p->share, p->quality);
        if (costs) printf("   %12.4f", 1000 * p->cost);
        if (c->is_defined) printf("   %8.1f %%", 100 * (p->quality - c->quality[0]) / (c->quality[1] - c->quality[0]));
        putchar('\n');
    }
}

static int report_route(const struct learn *l) {
    struct curve c, length;
    const char *small = l->in.model[l->pair[0]], *big = l->in.model[l->pair[1]];
    int rc = make_curve(l, false, (unsigned)l->draws, &c);
    if (rc == 0) rc = make_curve(l, true, 0, &length);
    if (rc != 0) return rc;
    printf("%zu prompts in %u groups; small: %s, quality %.4f; big: %s, quality %.4f\n", l->count, l->groups, small,
           c.quality[0], big, c.quality[1]);
    print_curve(&c);
    if (c.is_defined)
        printf("APGR %.4f, 95 %% interval %.4f to %.4f (%u draws of %s); random 0.5, length alone %.4f, oracle %.4f\n",
               c.apgr, c.low, c.high, c.draws, l->in.grouped ? "groups" : "prompts", length.apgr, c.oracle);
    else
        printf("the big model is not better than the small one here: there is no gap to recover, and no APGR\n");
    const char *why = l->svg != NULL ? curve_svg_write(l->svg, &c, small, big) : NULL;
    if (why != NULL) fprintf(stderr, "%s: %s: %s\n", l->command, l->svg, why);
    return why != NULL;
}

/* -- What labels are worth --------------------------------------------------------------------------- */

#define SURE 0.5f

/* The label that is told of an item, or OUTCOMES_NONE. */
static uint32_t told(const struct learn *l, size_t i, const struct calibrated *values) {
    uint32_t best = OUTCOMES_NONE;
    float most = SURE;
    for (unsigned k = 0; k < l->outputs; k++) {
        float v = calibrated_value(&values[k], l->scores[i * l->outputs + k]);
        if (v < most || (v == most && best != OUTCOMES_NONE)) continue;
        most = v;
        best = k;
    }
    return best;
}

static int report_labels(const struct learn *l, const struct calibrated *values) {
    unsigned right[OUTCOMES_LABELS] = { 0 }, said[OUTCOMES_LABELS] = { 0 }, are[OUTCOMES_LABELS] = { 0 };
    size_t good = 0;
    for (size_t i = 0; i < l->count; i++) {
        uint32_t label = l->in.list[l->lines[i]].label, t = told(l, i, values);
        good += t == label;
        if (t != OUTCOMES_NONE) said[t]++;
        if (label != OUTCOMES_NONE) are[label]++;
        if (t == label && t != OUTCOMES_NONE) right[t]++;
    }
    printf("%zu prompts in %u groups, %u labels\nlabel                     prompts   found   right when told\n",
           l->count, l->groups, l->outputs);
    for (unsigned k = 0; k < l->outputs; k++)
        printf("%-24s  %7u  %5.1f %%  %14.1f %%\n", l->in.label[k], are[k],
               100.0 * right[k] / (are[k] > 0 ? are[k] : 1), 100.0 * right[k] / (said[k] > 0 ? said[k] : 1));
    /* Wilson's interval: good at both ends, too. */
    double n = (double)l->count, p = (double)good / n, z2 = 1.96 * 1.96;
    double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = 1.96 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    printf("right: %.2f %%, 95 %% interval %.2f to %.2f (none is told below %.1f)\n", 100 * p, 100 * (middle - half),
           100 * (middle + half), (double)SURE);
    return 0;
}

int learn_report(struct learn *l, const struct calibrated *values) {
    return l->in.kind == OUTCOMES_OF_MODELS ? report_route(l) : report_labels(l, values);
}
