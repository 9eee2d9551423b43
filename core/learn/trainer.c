/* trainer.c -- logistic regression on what prompts are like, an example at a time.
 *
 *     features --> score --> p = 1 / (1 + exp(-score))      error = p - target
 *         +------- each weight that took part: w -= rate / sqrt(its squared gradients so far) * gradient
 *
 * That is AdaGrad (Duchi, Hazan, Singer 2011): words that come rarely learn in large steps, frequent ones in small
 * ones, and there is no schedule to choose, so examples may go on coming for ever (online).  The target may lie
 * between 0 and 1: of a route it is half of what the big model is better by, and a half.
 *
 * Gradients are those of the whole score, so all outputs are independent: one against the rest.  Nothing is
 * allocated in a step; a step takes as long as the prompt has n-grams, times the outputs. */
#include "learn/trainer.h"

#include <math.h>

#include "base/mem.h"

#define RATE    0.1f
#define DECAY   1e-4f /* of words towards zero, when an example touches them */
#define DECAY_SHAPE 0.05f /* of the shape, which each example touches, and which tells subjects apart too well */
#define NARROW  2     /* the first of the shape: 1, and the length */
#define BEFORE  1e-3f /* squared gradients that a weight begins with: the first step is not infinitely bold */
#define AFTER   1.0f  /* of one that comes out of a model: as if it had learned for a while */

struct trainer {
    struct trainer_options o;
    float *weights, *squares; /* outputs << bits */
    float *shape, *shape_squares;
};

static struct trainer *make(const struct trainer_options *o, float before) {
    size_t n = (size_t)o->outputs << o->bits, s = (size_t)o->outputs * FEATURES_SHAPE;
    struct trainer *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    t->o = *o;
    if (!(t->o.rate > 0)) t->o.rate = RATE;
    t->weights = mem_zalloc(n * sizeof(float));
    t->squares = mem_alloc(n * sizeof(float));
    t->shape = mem_zalloc(s * sizeof(float));
    t->shape_squares = mem_alloc(s * sizeof(float));
    if (t->weights == NULL || t->squares == NULL || t->shape == NULL || t->shape_squares == NULL) {
        trainer_free(t);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) t->squares[i] = before;
    for (size_t i = 0; i < s; i++) t->shape_squares[i] = before;
    return t;
}

struct trainer *trainer_new(const struct trainer_options *o) { return make(o, BEFORE); }

struct trainer *trainer_from(const struct model *m, float rate) {
    struct trainer_options o = { .bits = model_bits(m), .outputs = model_outputs(m), .words = model_words(m),
                                 .rate = rate };
    struct trainer *t = make(&o, AFTER);
    if (t == NULL) return NULL;
    model_unpack(m, t->weights, t->shape);
    t->o.narrow = true; /* as it was learned */
    for (unsigned i = 0; i < o.outputs * FEATURES_SHAPE; i++)
        if (i % FEATURES_SHAPE >= NARROW && t->shape[i] != 0) t->o.narrow = false;
    return t;
}

void trainer_free(struct trainer *t) {
    if (t == NULL) return;
    mem_free(t->weights);
    mem_free(t->squares);
    mem_free(t->shape);
    mem_free(t->shape_squares);
    mem_free(t);
}

static float each_of(const struct trainer *t, const struct features *f) {
    return f->count > 0 ? t->o.words / sqrtf((float)f->count) : 0;
}

void trainer_scores(const struct trainer *t, const struct features *f, float *out) {
    unsigned outputs = t->o.outputs, shift = 32 - t->o.bits;
    float each = each_of(t, f);
    for (unsigned k = 0; k < outputs; k++) out[k] = 0;
    for (unsigned i = 0; each > 0 && i < f->count; i++) {
        const float *w = t->weights + (size_t)(f->hashes[i] >> shift) * outputs;
        for (unsigned k = 0; k < outputs; k++) out[k] += w[k];
    }
    for (unsigned k = 0; k < outputs; k++) {
        float shape = 0;
        for (unsigned i = 0; i < FEATURES_SHAPE; i++) shape += t->shape[k * FEATURES_SHAPE + i] * f->shape[i];
        out[k] = shape + each * out[k];
    }
}

static inline void move(float rate, float decay, float *w, float *squares, float gradient) {
    gradient += decay * *w;
    *squares += gradient * gradient;
    *w -= rate / sqrtf(*squares) * gradient;
}

void trainer_step(struct trainer *t, const struct features *f, const float *targets) {
    float scores[MODEL_OUTPUTS], errors[MODEL_OUTPUTS], each = each_of(t, f);
    unsigned outputs = t->o.outputs, shift = 32 - t->o.bits, shape = t->o.narrow ? NARROW : FEATURES_SHAPE;
    float rate = t->o.rate;
    trainer_scores(t, f, scores);
    for (unsigned k = 0; k < outputs; k++) errors[k] = 1 / (1 + expf(-scores[k])) - targets[k];
    for (unsigned k = 0; k < outputs; k++)
        for (unsigned i = 0; i < shape; i++) {
            unsigned at = k * FEATURES_SHAPE + i;
            if (f->shape[i] == 0) continue;
            move(rate, DECAY_SHAPE, &t->shape[at], &t->shape_squares[at], errors[k] * f->shape[i]);
        }
    for (unsigned i = 0; each > 0 && i < f->count; i++) {
        size_t at = (size_t)(f->hashes[i] >> shift) * outputs;
        for (unsigned k = 0; k < outputs; k++)
            move(rate, DECAY, &t->weights[at + k], &t->squares[at + k], errors[k] * each);
    }
}

void trainer_parts(const struct trainer *t, struct model_parts *p) {
    p->bits = t->o.bits;
    p->outputs = t->o.outputs;
    p->words = t->o.words;
    p->shape = t->shape;
    p->weights = t->weights;
}
