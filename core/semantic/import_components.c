/* import_components.c -- vectors with fewer numbers, which say nearly the same.
 *
 *     moments = sum of (row x row)          dims * dims
 *     basis   = its `keep` strongest directions, by orthogonal iteration:
 *               basis <- orthonormal(basis * moments), again and again
 *     row     = (row . basis[0], row . basis[1], ...)
 *
 * The mean is not taken off: vectors of texts are sums of rows, and what is projected must stay a sum.  Which
 * axes span the space does not matter, since a cosine is the same in all of them; so the iteration may stop
 * when the space stands still, before each direction does.  It begins with numbers out of a fixed generator.
 *
 * Thread: any.  Seconds for rows of some hundred numbers. */
#include "semantic/import_components.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

#define ROUNDS 40 /* wordllama, 256 to 128: what is kept of the squares grows by 1e-6 from round 20 on */
#define AT_ONCE 4 /* rows: moments are walked through once for all of them */

static double dot(const double *a, const double *b, unsigned n) {
    double sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void add(double *to, const double *from, double by, unsigned n) {
    for (unsigned i = 0; i < n; i++) to[i] += by * from[i];
}

/* The half at and behind the diagonal, then the other one. */
static void sum_moments(const float *rows, size_t count, unsigned dims, double *x, double *moments) {
    for (size_t at = 0; at < count; at += AT_ONCE) {
        size_t n = count - at < AT_ONCE ? count - at : AT_ONCE;
        memset(x, 0, AT_ONCE * dims * sizeof(*x));
        for (size_t i = 0; i < n * dims; i++) x[i] = (double)rows[at * dims + i];
        const double *x0 = x, *x1 = x + dims, *x2 = x1 + dims, *x3 = x2 + dims;
        for (unsigned j = 0; j < dims; j++) {
            double *m = moments + (size_t)j * dims, a = x0[j], b = x1[j], c = x2[j], d = x3[j];
            for (unsigned k = j; k < dims; k++) m[k] += a * x0[k] + b * x1[k] + c * x2[k] + d * x3[k];
        }
    }
    for (size_t j = 0; j < dims; j++)
        for (size_t k = 0; k < j; k++) moments[j * dims + k] = moments[k * dims + j];
}

/* Twice, since once leaves what rounding made.  A direction that is nothing but the others becomes zero. */
static void make_orthonormal(double *basis, unsigned keep, unsigned dims) {
    for (unsigned i = 0; i < keep; i++) {
        double *v = basis + (size_t)i * dims, before = sqrt(dot(v, v, dims));
        for (int twice = 0; twice < 2; twice++)
            for (unsigned k = 0; k < i; k++) {
                const double *u = basis + (size_t)k * dims;
                add(v, u, -dot(v, u, dims), dims);
            }
        double length = sqrt(dot(v, v, dims)), by = length > 1e-12 * before ? 1 / length : 0;
        for (unsigned k = 0; k < dims; k++) v[k] *= by;
    }
}

static void iterate(double *basis, double *next, const double *moments, unsigned keep, unsigned dims) {
    memset(next, 0, (size_t)keep * dims * sizeof(*next));
    for (unsigned i = 0; i < keep; i++)
        for (unsigned k = 0; k < dims; k++)
            add(next + (size_t)i * dims, moments + (size_t)k * dims, basis[(size_t)i * dims + k], dims);
    make_orthonormal(next, keep, dims);
}

static void project(float *rows, size_t count, unsigned dims, double *x, const double *basis, unsigned keep) {
    for (size_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < dims; k++) x[k] = (double)rows[i * dims + k];
        for (unsigned k = 0; k < keep; k++) rows[i * keep + k] = (float)dot(x, basis + (size_t)k * dims, dims);
    }
}

int import_components(float *rows, size_t count, unsigned dims, unsigned keep) {
    size_t size = (size_t)keep * dims;
    double *moments = mem_zalloc((size_t)dims * dims * sizeof(*moments));
    double *basis = mem_alloc(size * sizeof(*basis)), *next = mem_alloc(size * sizeof(*next));
    double *x = mem_alloc(AT_ONCE * (size_t)dims * sizeof(*x));
    int rc = moments != NULL && basis != NULL && next != NULL && x != NULL ? 0 : PERILUNE_ERR_NOMEM;
    uint64_t seed = 1;
    if (rc == 0) {
        sum_moments(rows, count, dims, x, moments);
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            basis[i] = (double)(seed >> 40) / (1 << 24) - 0.5;
        }
        make_orthonormal(basis, keep, dims);
        for (int i = 0; i < ROUNDS; i++) {
            iterate(basis, next, moments, keep, dims);
            double *swap = basis;
            basis = next;
            next = swap;
        }
        project(rows, count, dims, x, basis, keep);
    }
    mem_free(moments);
    mem_free(basis);
    mem_free(next);
    mem_free(x);
    return rc;
}
