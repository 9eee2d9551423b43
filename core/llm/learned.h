/* learned.h -- how what was counted differs from what upstreams report. See learned.c.
 *
 * Thread: any; it locks inside. */
#ifndef PERILUNE_LLM_LEARNED_H
#define PERILUNE_LLM_LEARNED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct learned;

#define LEARNED_MODELS  256 /* more are not learned */
#define LEARNED_NAME    96  /* bytes of a model's name that are compared */
#define LEARNED_SAMPLES 16
#define LEARNED_LEAST   4   /* samples before anything is corrected */

struct learned *learned_new(void); /* NULL: no memory */
void            learned_free(struct learned *l); /* l may be NULL */

/* Is it worth to count the next request to this model?  True for the first ones, then
 * for one in 64.  l may be NULL: false. */
bool learned_wants(struct learned *l, struct slice upstream, struct slice model);
struct learned_sample {
    uint64_t counted, reported; /* prompt tokens, as we counted them and as the upstream did */
    bool     own;               /* counted with the model's own vocabulary */
};
void learned_add(struct learned *l, struct slice upstream, struct slice model, struct learned_sample s);
/* What the upstream will report for a request counted as `counted`.  *known: enough was
 * learned to say so.  l may be NULL. */
uint64_t learned_apply(struct learned *l, struct slice upstream, struct slice model, uint64_t counted, bool *known);

/* Prometheus text. */
void learned_write(struct learned *l, struct buf *out);

#endif
