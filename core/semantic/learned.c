/* learned.c -- a threshold out of what users told.
 *
 * How sure an answer is at a score s is modelled as a logistic curve, P(right | s) = 1 / (1 + exp(-SLOPE (s - t))),
 * as vCache does (arXiv 2502.03771; this is written from the paper).  Before anything was told, t is what makes
 * P = 1 - max_false at the usual threshold; that is a prior (normal, PLACE_WIDTH wide), and the notes are evidence.
 * The paper fits the slope, too.  With the few notes that an entry has, slope and place run away together: one wrong
 * word made the likeliest curve nearly flat, and no score was high enough any more.  With t alone there is one
 * likeliest curve, and what a note can do is bounded: SLOPE * PLACE_WIDTH^2, 0.036.  Not the likeliest t counts
 * but one that is surely not too low: Z standard deviations more, by the curvature there.
 *
 * A good word counts as one at the usual threshold when its score is lower: who tells is not always who was given the
 * answer, and nobody is to talk an answer into questions that are far away.  Whatever the curve says, an answer
 * that was told to be wrong is not given again at that score or below.
 *
 * Nothing is allocated; LEARNED_MAX notes take some microseconds. */
#include "semantic/learned.h"

#include <math.h>

#define SLOPE       40.0 /* of the curve: from 0.12 to 0.88 within a tenth */
#define PLACE_WIDTH 0.03 /* standard deviation of t before anything was told */
#define STIFF       (1 / (PLACE_WIDTH * PLACE_WIDTH))
#define Z           1.0
#define ROUNDS      40   /* each halves the interval at least; Newton's method needs five or six */
#define BEYOND      0.005f /* above a score that was wrong */
#define SPAN        0.15f  /* how far below the usual threshold verdicts can lead */

struct evidence {
    const struct learned_note *notes;
    size_t count;
    double prior;  /* t before anything was told */
    double lowest; /* a good word counts at this score at least */
};

/* The slope of the likelihood at t, which falls as t rises, and how fast it falls. */
static double slope_at(const struct evidence *e, double t, double *stiff) {
    double slope = (e->prior - t) * STIFF;
    *stiff = STIFF;
    for (size_t i = 0; i < e->count; i++) {
        const struct learned_note *n = &e->notes[i];
        double s = n->ok ? fmax(n->score, e->lowest) : n->score, p = 1 / (1 + exp(-SLOPE * (s - t)));
        slope -= SLOPE * ((n->ok ? 1 : 0) - p);
        *stiff += SLOPE * SLOPE * p * (1 - p);
    }
    return slope;
}

/* The likeliest t; *width: its standard deviation.  Newton's method, held within an interval that shrinks. */
static double fit(const struct evidence *e, double *width) {
    double reach = (double)e->count * SLOPE / STIFF, low = e->prior - reach, high = e->prior + reach, t = e->prior;
    double stiff = STIFF;
    for (int i = 0; i < ROUNDS; i++) {
        double slope = slope_at(e, t, &stiff), next = t + slope / stiff;
        if (slope > 0) low = t;
        else high = t;
        if (!(next > low && next < high)) next = (low + high) / 2;
        if (fabs(next - t) < 1e-7) break;
        t = next;
    }
    *width = sqrt(1 / stiff);
    return t;
}

float learned_threshold(const struct learned_note *notes, size_t count, double max_false, float otherwise) {
    double odds = fmin(fmax(max_false, 1e-6), 0.5), above = log((1 - odds) / odds) / SLOPE, width;
    if (count == 0 || !isfinite(otherwise)) return otherwise;
    if (count > LEARNED_MAX) count = LEARNED_MAX;
    struct evidence e = { notes, count, otherwise - above, otherwise };
    float threshold = (float)(fit(&e, &width) + above + Z * (width - PLACE_WIDTH));
    if (!(threshold > otherwise - SPAN)) threshold = otherwise - SPAN;
    for (size_t i = 0; i < count; i++)
        if (!notes[i].ok && threshold < notes[i].score + BEYOND) threshold = notes[i].score + BEYOND;
    return threshold;
}
