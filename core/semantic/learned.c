/* learned.c -- a threshold out of what users told.
 *
 * How sure an answer is at a score s is modelled as a logistic curve, P(right | s) = 1 / (1 + exp(-g (s - t))),
 * as vCache does (arXiv 2502.03771; this is written from the paper).  Before anything was told, g and t are
 * what makes P = 1 - max_false at the usual threshold; these are a prior (normal, with the widths below), the notes
 * are evidence, and Newton's method finds the most likely curve.  Of t not the likeliest value counts but one that
 * is surely not too low: Z standard deviations more, by the curvature there.
 *
 * So one verdict moves the threshold a little and twenty move it far, in both directions.  Whatever the curve says, an
 * answer that was told to be wrong is not given again at that score or below.
 *
 * Nothing is allocated; LEARNED_MAX notes take some microseconds. */
#include "semantic/learned.h"

#include <math.h>

#define SLOPE       40.0 /* of the curve before anything was told: from 0.12 to 0.88 within a tenth */
#define SLOPE_WIDTH 15.0
#define PLACE_WIDTH 0.05 /* standard deviation of t before anything was told */
#define Z           1.0
#define ROUNDS      20   /* of Newton's method, which needs five or six */
#define BEYOND      0.005f /* above a score that was wrong */
#define SPAN        0.15f  /* how far below the usual threshold verdicts can lead */

struct curve {
    double g, t;
};

/* Adds what one note pulls at the curve, and how stiff it is there (the expected curvature: never negative). */
static void pull(const struct curve *c, const struct learned_note *n, double grad[2], double stiff[3]) {
    double d = n->score - c->t, p = 1 / (1 + exp(-c->g * d)), error = (n->ok ? 1 : 0) - p, w = p * (1 - p);
    grad[0] += error * d;
    grad[1] += error * -c->g;
    stiff[0] += w * d * d;
    stiff[1] += w * d * -c->g;
    stiff[2] += w * c->g * c->g;
}

/* The likeliest curve; *width: the standard deviation of its t. */
static struct curve fit(const struct learned_note *notes, size_t count, struct curve prior, double *width) {
    struct curve c = prior;
    double gw = 1 / (SLOPE_WIDTH * SLOPE_WIDTH), tw = 1 / (PLACE_WIDTH * PLACE_WIDTH);
    for (int i = 0; i < ROUNDS; i++) {
        double grad[2] = { (prior.g - c.g) * gw, (prior.t - c.t) * tw }, stiff[3] = { gw, 0, tw };
        for (size_t k = 0; k < count; k++) pull(&c, &notes[k], grad, stiff);
        double det = stiff[0] * stiff[2] - stiff[1] * stiff[1];
        *width = sqrt(stiff[0] / det);
        double dg = (stiff[2] * grad[0] - stiff[1] * grad[1]) / det;
        double dt = (stiff[0] * grad[1] - stiff[1] * grad[0]) / det;
        c.g = fmin(fmax(c.g + fmin(fmax(dg, -10), 10), 5), 200);
        c.t = fmin(fmax(c.t + fmin(fmax(dt, -0.1), 0.1), -1), 2);
        if (fabs(dg) < 1e-6 && fabs(dt) < 1e-8) break;
    }
    return c;
}

float learned_threshold(const struct learned_note *notes, size_t count, double max_false, float otherwise) {
    double odds = fmin(fmax(max_false, 1e-6), 0.5), logit = log((1 - odds) / odds), width = PLACE_WIDTH;
    if (count == 0 || !isfinite(otherwise)) return otherwise;
    struct curve prior = { SLOPE, otherwise - logit / SLOPE };
    struct curve c = fit(notes, count < LEARNED_MAX ? count : LEARNED_MAX, prior, &width);
    float threshold = (float)(c.t + logit / c.g + Z * (width - PLACE_WIDTH));
    if (!(threshold > otherwise - SPAN)) threshold = otherwise - SPAN;
    for (size_t i = 0; i < count; i++)
        if (!notes[i].ok && threshold < notes[i].score + BEYOND) threshold = notes[i].score + BEYOND;
    return threshold;
}
