/* calibration.h -- how what was counted differs from what upstreams report. See calibration.c.
 *
 * Thread: any; it locks inside. */
#ifndef PERILUNE_TOKENS_CALIBRATION_H
#define PERILUNE_TOKENS_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct calibration;

#define CALIBRATION_MODELS  256 /* more are not learned */
#define CALIBRATION_NAME    96  /* bytes of a model's name that are compared */
#define CALIBRATION_SAMPLES 16
#define CALIBRATION_LEAST   4   /* samples before anything is corrected */

struct calibration *calibration_new(void); /* NULL: no memory */
void            calibration_free(struct calibration *l); /* l may be NULL */

/* Is it worth to count the next request to this model?  True for the first ones, then
 * for one in 64.  l may be NULL: false. */
bool calibration_wants(struct calibration *l, struct slice upstream, struct slice model);
struct calibration_sample {
    uint64_t counted, reported; /* prompt tokens, as we counted them and as the upstream did */
    bool     own;               /* counted with the model's own vocabulary */
};
void calibration_add(struct calibration *l, struct slice upstream, struct slice model, struct calibration_sample s);
/* What the upstream will report for a request counted as `counted`.  *known: enough was
 * learned to say so.  l may be NULL. */
uint64_t calibration_apply(struct calibration *l, struct slice upstream, struct slice model,
                           uint64_t counted, bool *known);

/* Prometheus text. */
void calibration_write(struct calibration *l, struct buf *out);

#endif
