/* head.c -- logistic regression over how two vectors differ and agree.
 *
 *     z = bias + sum of apart[i] * |u[i] - v[i]| + product[i] * u[i] * v[i]
 *
 * Which directions of an embedder tell whether two questions ask the same is for the data to say: a cosine takes
 * all of them for equal.
 *
 * Training finds the weights that make -C * log likelihood + |w|^2 / 2 least, over columns that were shifted and
 * scaled to mean 0 and deviation 1, by L-BFGS (Liu and Nocedal 1989) with steps that are halved until the loss falls
 * enough.  The loss is convex: there is one answer.  Rows are not stored as differences and products, which
 * would be twice the vectors; each pass makes them anew. */
#include "semantic/head.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/little.h"

#define MAGIC   "PLHEAD1\n"
#define HISTORY 8   /* steps that L-BFGS remembers */
#define STEPS   150

struct head {
    unsigned dims;
    float    bias, *apart, *product; /* one block, which `apart` begins */
};

static struct head *head_new(unsigned dims) {
    struct head *h = mem_zalloc(sizeof(*h));
    float *numbers = h != NULL ? mem_zalloc(2 * dims * sizeof(*numbers)) : NULL;
    if (numbers == NULL) {
        mem_free(h);
        return NULL;
    }
    *h = (struct head){ .dims = dims, .apart = numbers, .product = numbers + dims };
    return h;
}

void head_free(struct head *h) {
    if (h == NULL) return;
    mem_free(h->apart);
    mem_free(h);
}

unsigned head_dims(const struct head *h) { return h->dims; }

/* Eight sums at once, in an order that is always the same. */
static float weigh(const float *apart, const float *product, const float *u, const float *v, unsigned dims) {
    float lanes[8] = { 0 }, sum = 0;
    unsigned i = 0;
    for (; i + 8 <= dims; i += 8)
        for (unsigned k = 0; k < 8; k++)
            lanes[k] += apart[i + k] * fabsf(u[i + k] - v[i + k]) + product[i + k] * (u[i + k] * v[i + k]);
    for (; i < dims; i++) sum += apart[i] * fabsf(u[i] - v[i]) + product[i] * (u[i] * v[i]);
    for (unsigned k = 0; k < 8; k++) sum += lanes[k];
    return sum;
}

float head_score(const struct head *h, const float *u, const float *v) {
    return h->bias + weigh(h->apart, h->product, u, v, h->dims);
}

/* -- Training ------------------------------------------------------------------------------- */

struct fitting {
    const float *const *us, *const *vs, *y;
    size_t   count;
    unsigned dims, width; /* width: 2 * dims weights and the bias */
    double   c;
    float   *raw, *pulled;                       /* width: weights for rows as they are; what rows pull at them */
    double  *mean, *deviation;                   /* 2 * dims */
    double  *w, *g, *w_next, *g_next, *step;     /* width */
    double  *moves, *turns, rho[HISTORY];        /* HISTORY * width each */
};

static double dot(const double *a, const double *b, unsigned n) {
    double sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void describe_columns(struct fitting *f) {
    for (size_t r = 0; r < f->count; r++) {
        const float *u = f->us[r], *v = f->vs[r];
        for (unsigned i = 0; i < f->dims; i++) {
            double apart = (double)fabsf(u[i] - v[i]), product = (double)(u[i] * v[i]);
            f->mean[i] += apart;
            f->deviation[i] += apart * apart;
            f->mean[f->dims + i] += product;
            f->deviation[f->dims + i] += product * product;
        }
    }
    for (unsigned i = 0; i < 2 * f->dims; i++) {
        f->mean[i] /= (double)f->count;
        double variance = f->deviation[i] / (double)f->count - f->mean[i] * f->mean[i];
        f->deviation[i] = variance > 1e-18 ? sqrt(variance) : 1;
    }
}

/* The weights for rows as they are; the bias is returned. */
static double unscale(const struct fitting *f, const double *w, float *raw) {
    double bias = w[2 * f->dims];
    for (unsigned i = 0; i < 2 * f->dims; i++) {
        raw[i] = (float)(w[i] / f->deviation[i]);
        bias -= w[i] * f->mean[i] / f->deviation[i];
    }
    return bias;
}

/* log(1 + e^z) - y * z */
static double loss_of(double z, double y) {
    double l = z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
    return l - y * z;
}

static double loss_at(struct fitting *f, const double *w, double *g) {
    double bias = unscale(f, w, f->raw), pull = 0, loss = 0;
    memset(f->pulled, 0, f->width * sizeof(*f->pulled));
    for (size_t r = 0; r < f->count; r++) {
        const float *u = f->us[r], *v = f->vs[r];
        double z = bias + (double)weigh(f->raw, f->raw + f->dims, u, v, f->dims);
        double p = 1 / (1 + exp(-z)), off = p - (double)f->y[r];
        float by = (float)off, *apart = f->pulled, *product = f->pulled + f->dims;
        loss += loss_of(z, (double)f->y[r]);
        pull += off;
        for (unsigned i = 0; i < f->dims; i++) {
            apart[i] += by * fabsf(u[i] - v[i]);
            product[i] += by * (u[i] * v[i]);
        }
    }
    unsigned n = 2 * f->dims;
    for (unsigned i = 0; i < n; i++)
        g[i] = f->c * ((double)f->pulled[i] - f->mean[i] * pull) / f->deviation[i] + w[i];
    g[n] = f->c * pull;
    return f->c * loss + 0.5 * dot(w, w, n);
}

/* The direction of the next step, from the gradient and the `known` last steps. */
static void direction(struct fitting *f, unsigned step, unsigned known) {
    double alpha[HISTORY];
    unsigned n = f->width;
    memcpy(f->step, f->g, n * sizeof(*f->step));
    for (unsigned k = 1; k <= known; k++) {
        unsigned at = (step - k) % HISTORY;
        const double *move = f->moves + (size_t)at * n, *turn = f->turns + (size_t)at * n;
        alpha[at] = f->rho[at] * dot(move, f->step, n);
        for (unsigned i = 0; i < n; i++) f->step[i] -= alpha[at] * turn[i];
    }
    if (known > 0) {
        const double *turn = f->turns + (size_t)((step - 1) % HISTORY) * n;
        double scale = 1 / (f->rho[(step - 1) % HISTORY] * dot(turn, turn, n));
        for (unsigned i = 0; i < n; i++) f->step[i] *= scale;
    }
    for (unsigned k = known; k >= 1; k--) {
        unsigned at = (step - k) % HISTORY;
        const double *move = f->moves + (size_t)at * n, *turn = f->turns + (size_t)at * n;
        double beta = f->rho[at] * dot(turn, f->step, n);
        for (unsigned i = 0; i < n; i++) f->step[i] += (alpha[at] - beta) * move[i];
    }
    for (unsigned i = 0; i < n; i++) f->step[i] = -f->step[i];
}

/* Goes on until nothing more is gained; w has the weights. */
static void minimize(struct fitting *f) {
    unsigned n = f->width, known = 0;
    double loss = loss_at(f, f->w, f->g);
    for (unsigned step = 0; step < STEPS; step++) {
        direction(f, step, known);
        double slope = dot(f->g, f->step, n), length = step == 0 ? 1 / (1 + sqrt(dot(f->g, f->g, n))) : 1, next = 0;
        if (!(slope < -1e-12)) break;
        for (int tries = 0; tries < 20; tries++, length /= 2) {
            for (unsigned i = 0; i < n; i++) f->w_next[i] = f->w[i] + length * f->step[i];
            next = loss_at(f, f->w_next, f->g_next);
            if (next <= loss + 1e-4 * length * slope) break;
        }
        if (!(next < loss)) break;
        unsigned at = step % HISTORY;
        double *move = f->moves + (size_t)at * n, *turn = f->turns + (size_t)at * n;
        for (unsigned i = 0; i < n; i++) {
            move[i] = f->w_next[i] - f->w[i];
            turn[i] = f->g_next[i] - f->g[i];
        }
        double curve = dot(move, turn, n);
        known = curve > 0 ? known + (known < HISTORY) : 0;
        f->rho[at] = curve > 0 ? 1 / curve : 0;
        memcpy(f->w, f->w_next, n * sizeof(*f->w));
        memcpy(f->g, f->g_next, n * sizeof(*f->g));
        bool ended = loss - next < 1e-7 * (1 + fabs(next));
        loss = next;
        if (ended) break;
    }
}

int head_train(struct head **out, const float *const *us, const float *const *vs, const float *y, size_t count,
               unsigned dims, double c) {
    *out = NULL;
    if (count == 0 || dims == 0 || dims > HEAD_MAX_DIMS || !(c > 0)) return PERILUNE_ERR_INVAL;
    struct fitting f = { .us = us, .vs = vs, .y = y, .count = count, .dims = dims, .width = 2 * dims + 1, .c = c };
    size_t n = f.width;
    double *doubles = mem_zalloc((7 + 2 * HISTORY) * n * sizeof(*doubles));
    float *floats = mem_zalloc(2 * n * sizeof(*floats));
    struct head *h = head_new(dims);
    if (doubles == NULL || floats == NULL || h == NULL) {
        mem_free(doubles);
        mem_free(floats);
        head_free(h);
        return PERILUNE_ERR_NOMEM;
    }
    f.raw = floats, f.pulled = floats + n;
    f.mean = doubles, f.deviation = doubles + n, f.w = doubles + 2 * n, f.g = doubles + 3 * n;
    f.w_next = doubles + 4 * n, f.g_next = doubles + 5 * n, f.step = doubles + 6 * n;
    f.moves = doubles + 7 * n, f.turns = f.moves + HISTORY * n;
    describe_columns(&f);
    minimize(&f);
    h->bias = (float)unscale(&f, f.w, h->apart);
    mem_free(doubles);
    mem_free(floats);
    *out = h;
    return 0;
}

/* -- The file form: MAGIC, dims as u32, bias, apart, product as f32 ---------------------------- */

void head_write(const struct head *h, struct buf *out) {
    buf_puts(out, MAGIC);
    little_put_u32(out, h->dims);
    little_put_f32(out, h->bias);
    for (unsigned i = 0; i < 2 * h->dims; i++) little_put_f32(out, h->apart[i]);
}

int head_read(struct head **out, struct slice bytes, const char **why) {
    *out = NULL;
    *why = "this is no head";
    if (bytes.len < 16 || memcmp(bytes.ptr, MAGIC, 8) != 0) return PERILUNE_ERR_INVAL;
    uint32_t dims = little_u32(bytes.ptr + 8);
    *why = "the head's dims are out of bounds";
    if (dims == 0 || dims > HEAD_MAX_DIMS) return PERILUNE_ERR_INVAL;
    *why = "the head is cut off, or something is behind it";
    if (bytes.len != 16 + 8 * (size_t)dims) return PERILUNE_ERR_INVAL;
    struct head *h = head_new(dims);
    if (h == NULL) return PERILUNE_ERR_NOMEM;
    h->bias = little_f32(bytes.ptr + 12);
    bool sound = isfinite(h->bias);
    for (unsigned i = 0; i < 2 * dims; i++) {
        h->apart[i] = little_f32(bytes.ptr + 16 + 4 * (size_t)i);
        sound = sound && isfinite(h->apart[i]);
    }
    *why = "the head holds what is no number";
    if (!sound) {
        head_free(h);
        return PERILUNE_ERR_INVAL;
    }
    *out = h;
    return 0;
}
