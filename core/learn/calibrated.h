/* calibrated.h -- what a score means: isotonic regression, and quantiles. See calibrated.c. */
#ifndef PERILUNE_LEARN_CALIBRATED_H
#define PERILUNE_LEARN_CALIBRATED_H

#include <stddef.h>

#define CALIBRATED_KNOTS 64

/* Knots rise in both coordinates; between them is a line, beyond them the end's value. */
struct calibrated {
    unsigned count;
    float    score[CALIBRATED_KNOTS], value[CALIBRATED_KNOTS];
};

/* The rising function that is nearest to the targets (least squares).  n of 0 gives one without knots, whose
 * value is 0 everywhere.  Returns 0 or PERILUNE_ERR_NOMEM. */
int calibrated_fit(struct calibrated *out, const float *scores, const float *targets, size_t n);
/* Which share of the scores is at or below one, 0 to 1.  The same errors. */
int calibrated_fit_quantiles(struct calibrated *out, const float *scores, size_t n);

float calibrated_value(const struct calibrated *c, float score);
/* Are there as many knots as there may be, all finite, and do they rise?  For what a file says. */
int   calibrated_is_sound(const struct calibrated *c);

#endif
