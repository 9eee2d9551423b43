/* fit.c -- a model out of examples, and what it would have said of those that it did not see.
 *
 *     items: groups  A A B C C C D E      folds, each with whole groups, about equally many items
 *                    |---| |---| |-|      a fold is judged by what the others taught: scores "out of fold"
 *
 * A model that is asked about what it has learned from knows more than it will in service; so is one that has
 * seen the same subject, or the same user, when prompts of new ones are to come.  So no group is on both sides, and
 * whatever is chosen (what counts) is chosen within the learning side alone.
 *
 * Words say what a prompt is about, shape how large it is and what it is made of.  Where subjects come again, words
 * are worth much; where they do not, they mislead, and so does all of the shape but the length.  What counts is tried
 * out: `whats`.
 *
 * Features are read from the text again in each pass: 5 us each, against kilobytes each to keep them.  Everything
 * is in the order of a generator with a seed: the same input gives the same result. */
#include "learn/fit.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#define EPOCHS 5
#define INNER  3 /* folds in which it is chosen what counts */

static const struct what {
    float words;
    bool  narrow;
} whats[] = { { 0, true },     { 0.06f, true },  { 0.12f, true }, { 0, false },
              { 0.12f, false }, { 0.25f, false }, { 1, false } };
#define WHATS (sizeof(whats) / sizeof(*whats))

/* -- Passes ------------------------------------------------------------------------------- */

static void shuffle(uint32_t *list, size_t n, struct rng *rng) {
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)(rng_double(rng) * (double)i);
        uint32_t other = list[k];
        list[k] = list[i - 1];
        list[i - 1] = other;
    }
}

/* Of the n items named by `which`, in an order that changes. */
static void pass(struct trainer *t, struct features *f, const struct fit_item *items, uint32_t *which, size_t n,
                 struct rng *rng) {
    shuffle(which, n, rng);
    for (size_t i = 0; i < n; i++) {
        const struct fit_item *it = &items[which[i]];
        features_read(f, it->text, it->turns);
        trainer_step(t, f, it->targets);
    }
}

static int train(struct trainer *t, const struct fit_item *items, uint32_t *which, size_t n,
                 const struct fit_options *o) {
    struct features *f = mem_alloc(sizeof(*f));
    struct rng rng;
    if (f == NULL) return PERILUNE_ERR_NOMEM;
    rng_seed(&rng, o->seed + 1);
    for (unsigned e = 0; e < (o->epochs > 0 ? o->epochs : EPOCHS); e++) pass(t, f, items, which, n, &rng);
    mem_free(f);
    return 0;
}

static int train_new(struct trainer **out, const struct fit_item *items, uint32_t *which, size_t n,
                     const struct fit_options *o, struct what what) {
    *out = trainer_new(&(struct trainer_options){ .bits = o->bits, .outputs = o->outputs, .words = what.words,
                                                  .narrow = what.narrow });
    int rc = *out != NULL ? train(*out, items, which, n, o) : PERILUNE_ERR_NOMEM;
    if (rc == 0) return 0;
    trainer_free(*out);
    *out = NULL;
    return rc;
}

static uint32_t *all_of(size_t n) {
    uint32_t *which = mem_alloc((n + 1) * sizeof(*which));
    for (size_t i = 0; which != NULL && i < n; i++) which[i] = (uint32_t)i;
    return which;
}

int fit_more(struct trainer *t, const struct fit_item *items, size_t n, const struct fit_options *o) {
    uint32_t *which = all_of(n);
    int rc = which != NULL ? train(t, items, which, n, o) : PERILUNE_ERR_NOMEM;
    mem_free(which);
    return rc;
}

int fit_train(struct trainer **out, const struct fit_item *items, size_t n, const struct fit_options *o) {
    uint32_t *which = all_of(n);
    *out = NULL;
    struct what what = { o->words, o->narrow };
    int rc = which != NULL ? train_new(out, items, which, n, o, what) : PERILUNE_ERR_NOMEM;
    mem_free(which);
    return rc;
}

/* -- Folds ---------------------------------------------------------------------------------- */

/* Which fold each of the n items named by `which` is in, by position; groups stay whole, the next one goes where
 * fewest items are.  Returns how many groups there are; 0: no memory. */
static unsigned make_folds(unsigned char *folds, const struct fit_item *items, const uint32_t *which, size_t n,
                           unsigned count, uint64_t seed) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++)
        if (items[which[i]].group > most) most = items[which[i]].group;
    uint32_t *sizes = mem_zalloc(((size_t)most + 1) * sizeof(*sizes)), *order = all_of((size_t)most + 1);
    unsigned char *of = mem_zalloc((size_t)most + 1);
    size_t filled[FIT_FOLDS] = { 0 };
    unsigned groups = 0;
    struct rng rng;
    if (sizes != NULL && order != NULL && of != NULL) {
        for (size_t i = 0; i < n; i++) sizes[items[which[i]].group]++;
        rng_seed(&rng, seed + 2);
        shuffle(order, (size_t)most + 1, &rng);
        for (size_t g = 0; g <= most; g++) {
            unsigned least = 0;
            for (unsigned k = 1; k < count; k++)
                if (filled[k] < filled[least]) least = k;
            of[order[g]] = (unsigned char)least;
            filled[least] += sizes[order[g]];
            groups += sizes[order[g]] > 0;
        }
        for (size_t i = 0; i < n; i++) folds[i] = of[items[which[i]].group];
    }
    mem_free(sizes);
    mem_free(order);
    mem_free(of);
    return groups;
}

struct sides {
    uint32_t *learn, *judge; /* items */
    size_t    learned, judged;
};

static void split(struct sides *s, const uint32_t *which, const unsigned char *folds, size_t n, unsigned fold) {
    s->learned = s->judged = 0;
    for (size_t i = 0; i < n; i++) {
        if (folds[i] == fold) s->judge[s->judged++] = which[i];
        else s->learn[s->learned++] = which[i];
    }
}

/* What a trainer says of items on average, of each output. */
static void mean_scores(const struct trainer *t, struct features *f, const struct fit_item *items,
                        const uint32_t *which, size_t n, unsigned outputs, double *means) {
    float one[MODEL_OUTPUTS];
    for (unsigned k = 0; k < outputs; k++) means[k] = 0;
    for (size_t i = 0; i < n; i++) {
        const struct fit_item *it = &items[which != NULL ? which[i] : i];
        features_read(f, it->text, it->turns);
        trainer_scores(t, f, one);
        for (unsigned k = 0; k < outputs; k++) means[k] += (double)one[k] / (double)n;
    }
}

int fit_means(double *means, const struct trainer *t, const struct fit_item *items, size_t n, unsigned outputs) {
    struct features *f = mem_alloc(sizeof(*f));
    if (f == NULL) return PERILUNE_ERR_NOMEM;
    mean_scores(t, f, items, NULL, n, outputs, means);
    mem_free(f);
    return 0;
}

/* The scores of the items that are judged, into their places, less what the model says of the learned ones on average.
 * Chance gives a fold more of the hard ones, and so the others fewer: their model begins lower, just for this
 * fold.  Put together with other folds' scores that would count against it. */
static int judge(const struct trainer *t, const struct fit_item *items, const struct sides *s, unsigned outputs,
                 float *scores) {
    struct features *f = mem_alloc(sizeof(*f));
    double means[MODEL_OUTPUTS];
    if (f == NULL) return PERILUNE_ERR_NOMEM;
    mean_scores(t, f, items, s->learn, s->learned, outputs, means);
    for (size_t i = 0; i < s->judged; i++) {
        float *to = scores + (size_t)s->judge[i] * outputs;
        features_read(f, items[s->judge[i]].text, items[s->judge[i]].turns);
        trainer_scores(t, f, to);
        for (unsigned k = 0; k < outputs; k++) to[k] -= (float)means[k];
    }
    mem_free(f);
    return 0;
}

static int sides_init(struct sides *s, unsigned char **folds, size_t n) {
    size_t bytes = (n + 1) * sizeof(uint32_t);
    *s = (struct sides){ .learn = mem_alloc(bytes), .judge = mem_alloc(bytes) };
    *folds = mem_alloc(n + 1);
    return s->learn != NULL && s->judge != NULL && *folds != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

static void sides_deinit(struct sides *s, unsigned char *folds) {
    mem_free(s->learn);
    mem_free(s->judge);
    mem_free(folds);
}

/* -- Choosing --------------------------------------------------------------------------------- */

struct ranked {
    float score, target;
};

static int by_score(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

/* One output: how well scores order the targets, which is what a route is worth. */
static int order_of(const struct fit_item *items, const uint32_t *which, size_t n, const float *scores, double *out) {
    struct ranked *r = mem_alloc((n + 1) * sizeof(*r));
    double mean = 0;
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct ranked){ scores[which[i]], items[which[i]].targets[0] };
        mean += (double)r[i].target / (double)n;
    }
    qsort(r, n, sizeof(*r), by_score);
    *out = 0;
    for (size_t i = 0; i < n;) { /* of equal scores each has the middle rank */
        size_t k = i;
        double sum = 0;
        for (; k < n && r[k].score == r[i].score; k++) sum += (double)r[k].target - mean;
        *out += sum * (double)(i + k) / 2 / (double)n;
        i = k;
    }
    mem_free(r);
    return 0;
}

/* Several: the logarithm of what the targets were given. */
static double likelihood_of(const struct fit_item *items, const uint32_t *which, size_t n, unsigned outputs,
                            const float *scores) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < outputs; k++) {
            double s = (double)scores[(size_t)which[i] * outputs + k], t = (double)items[which[i]].targets[k];
            sum += t * s - (s > 0 ? s + log1p(exp(-s)) : log1p(exp(s)));
        }
    }
    return sum;
}

/* How good it is for the items when this counts, each judged by what others taught. */
static int worth(double *out, struct sides *s, const uint32_t *which, const unsigned char *folds, size_t n,
                 const struct fit_item *items, const struct fit_options *o, struct what what, float *scores) {
    for (unsigned fold = 0; fold < INNER; fold++) {
        struct trainer *t;
        split(s, which, folds, n, fold);
        if (s->judged == 0 || s->learned == 0) continue;
        int rc = train_new(&t, items, s->learn, s->learned, o, what);
        if (rc == 0) rc = judge(t, items, s, o->outputs, scores);
        trainer_free(t);
        if (rc != 0) return rc;
    }
    if (o->outputs == 1) return order_of(items, which, n, scores, out);
    *out = likelihood_of(items, which, n, o->outputs, scores);
    return 0;
}

static int choose(struct what *what, const struct fit_item *items, const uint32_t *which, size_t n, size_t all,
                  const struct fit_options *o) {
    struct sides s;
    unsigned char *folds;
    float *scores = mem_zalloc((all + 1) * o->outputs * sizeof(*scores));
    int rc = sides_init(&s, &folds, n);
    if (scores == NULL) rc = PERILUNE_ERR_NOMEM;
    unsigned groups = rc == 0 ? make_folds(folds, items, which, n, INNER, o->seed) : 0;
    if (rc == 0 && groups < 2) rc = groups == 0 ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_INVAL;
    double best = -INFINITY;
    for (unsigned i = 0; rc == 0 && i < WHATS; i++) {
        double value;
        rc = worth(&value, &s, which, folds, n, items, o, whats[i], scores);
        if (rc != 0 || !(value > best)) continue;
        best = value;
        *what = whats[i];
    }
    sides_deinit(&s, folds);
    mem_free(scores);
    return rc;
}

int fit_choose(struct fit_options *o, const struct fit_item *items, size_t n) {
    struct what what = { 0, false };
    uint32_t *which = all_of(n);
    int rc = which != NULL ? choose(&what, items, which, n, n, o) : PERILUNE_ERR_NOMEM;
    mem_free(which);
    if (rc != 0) return rc;
    o->words = what.words;
    o->narrow = what.narrow;
    return 0;
}

/* -- Out of fold --------------------------------------------------------------------------------- */

static int one_fold(float *scores, struct sides *s, const struct fit_item *items, size_t n,
                    const struct fit_options *o) {
    struct trainer *t = NULL;
    struct what what = { o->words, o->narrow };
    int rc = what.words < 0 ? choose(&what, items, s->learn, s->learned, n, o) : 0;
    if (rc == PERILUNE_ERR_INVAL) { /* one group alone: nothing to choose by */
        what = (struct what){ 0.25f, false };
        rc = 0;
    }
    if (rc == 0) rc = train_new(&t, items, s->learn, s->learned, o, what);
    if (rc == 0) rc = judge(t, items, s, o->outputs, scores);
    trainer_free(t);
    return rc;
}

int fit_out_of_fold(float *scores, const struct fit_item *items, size_t n, const struct fit_options *o) {
    struct sides s;
    unsigned char *folds;
    uint32_t *which = all_of(n);
    int rc = sides_init(&s, &folds, n);
    if (which == NULL) rc = PERILUNE_ERR_NOMEM;
    unsigned groups = rc == 0 ? make_folds(folds, items, which, n, o->folds, o->seed) : 0;
    if (rc == 0 && groups < o->folds) rc = groups == 0 && n > 0 ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_INVAL;
    for (unsigned fold = 0; rc == 0 && fold < o->folds; fold++) {
        split(&s, which, folds, n, fold);
        rc = one_fold(scores, &s, items, n, o);
        if (o->progress != NULL) o->progress(o->ud, "cross-validating", fold + 1, o->folds);
    }
    sides_deinit(&s, folds);
    mem_free(which);
    return rc;
}
