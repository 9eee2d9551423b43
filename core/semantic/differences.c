/* differences.c -- what each difference of two questions says.
 *
 *     的 only in one      +0.1          退 for 换        -3.0
 *     手机 only in one    -1.7          赚 for 挣        +0.4
 *
 * One small number for each hash (pair_features.c makes them), learned by logistic regression on top of what
 * is known without them; two hashes that meet share a number.  AdaGrad (Duchi, Hazan and Singer 2011) gives a
 * number that is seldom seen long steps and one that is often seen short ones.  Numbers are pulled to
 * where they began, so that calibrating with few pairs changes only what these speak of. */
#include "semantic/differences.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"

#define PASSES 6
#define STEP   0.08
#define PULL   2e-4 /* to where a number began, at each look at it */

static uint32_t cell_of(uint32_t hash) { return (hash >> 1) & (DIFFERENCES_SIZE - 1); }

float differences_score(const struct differences *d, const uint32_t *hashes, unsigned count, float *worst) {
    int sum = 0, low = 0;
    for (unsigned i = 0; i < count; i++) {
        int w = d->weights[cell_of(hashes[i])];
        sum += w;
        if (w < low) low = w;
    }
    *worst = (float)low * d->scale;
    return (float)sum * d->scale;
}

struct fitting {
    float *w, *start, *seen; /* seen: the sum of squared gradients */
    double bias, slope, bias_seen, slope_seen;
};

static void learn(struct fitting *f, const struct difference_row *r) {
    double z = f->bias + f->slope * (double)r->known;
    for (unsigned i = 0; i < r->count; i++) z += (double)f->w[cell_of(r->hashes[i])];
    double g = 1 / (1 + exp(-z)) - (double)r->y;
    for (unsigned i = 0; i < r->count; i++) {
        uint32_t k = cell_of(r->hashes[i]);
        double mine = g + PULL * (double)(f->w[k] - f->start[k]);
        f->seen[k] += (float)(mine * mine);
        f->w[k] -= (float)(STEP * mine / sqrt((double)f->seen[k] + 0.1));
    }
    f->bias_seen += g * g;
    f->bias -= STEP * g / sqrt(f->bias_seen + 0.1);
    f->slope_seen += g * g * (double)(r->known * r->known);
    f->slope -= STEP * g * (double)r->known / sqrt(f->slope_seen + 0.1);
}

/* To whole numbers; the few largest are cut so that the many small ones keep their shape. */
static void finish(const struct fitting *f, struct differences *out) {
    float high = 0;
    for (uint32_t i = 0; i < DIFFERENCES_SIZE; i++) high = fabsf(f->w[i]) > high ? fabsf(f->w[i]) : high;
    if (high > 4) high = 4;
    out->scale = high > 0 ? high / 127 : 1;
    for (uint32_t i = 0; i < DIFFERENCES_SIZE; i++) {
        float q = roundf(f->w[i] / out->scale);
        out->weights[i] = (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
    }
}

int differences_train(struct differences *out, const struct difference_row *rows, size_t count,
                      const struct differences *from, uint64_t seed) {
    struct fitting f = { .slope = 1 };
    uint32_t *order = mem_alloc((count + 1) * sizeof(*order));
    f.w = mem_zalloc(3 * DIFFERENCES_SIZE * sizeof(*f.w));
    if (order == NULL || f.w == NULL) {
        mem_free(order);
        mem_free(f.w);
        return PERILUNE_ERR_NOMEM;
    }
    f.start = f.w + DIFFERENCES_SIZE;
    f.seen = f.start + DIFFERENCES_SIZE;
    for (uint32_t i = 0; from != NULL && i < DIFFERENCES_SIZE; i++)
        f.w[i] = f.start[i] = (float)from->weights[i] * from->scale;
    struct rng rng;
    rng_seed(&rng, seed | 1);
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = count; i > 1; i--) {
            size_t k = rng_next(&rng) % i;
            uint32_t swap = order[k];
            order[k] = order[i - 1];
            order[i - 1] = swap;
        }
        for (size_t i = 0; i < count; i++) learn(&f, &rows[order[i]]);
    }
    finish(&f, out);
    mem_free(order);
    mem_free(f.w);
    return 0;
}
