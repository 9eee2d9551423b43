/* tally.h -- what policies count for operators. See tally.c. Any thread. */
#ifndef PERILUNE_STORE_TALLY_H
#define PERILUNE_STORE_TALLY_H

#include <stdint.h>

#include "base/slice.h"

#define TALLY_ROWS   512 /* of all together */
#define TALLY_LABELS 3
#define TALLY_LABEL  64  /* bytes, NUL included; a longer label is cut */

/* ORDER tally: the table in gateway/metrics.c has their names and those of their labels. */
enum tally_kind {
    TALLY_ROUTED,        /* policy, to, why */
    TALLY_TRIALS,        /* policy, upstream, result */
    TALLY_TRIAL_SECONDS, /* policy, upstream */
    TALLY_TRIAL_TOKENS,  /* policy, upstream, type */
    TALLY_CAPTURED,      /* result */
    TALLY_CHOSEN,        /* policy, why */
    TALLY_PARTS,         /* policy, part, result */
    TALLY_HEDGES,        /* policy, upstream, result */
    TALLY_NEAR_REFUSED,  /* cache, why */
    TALLY_SHADOW,        /* cache, result */
    TALLY_KINDS
};

struct tally;

struct tally *tally_new(void); /* NULL: no memory */
void          tally_free(struct tally *t); /* NULL is fine */
/* labels: TALLY_LABELS, those that the kind has not are NULL.  When all rows are taken, what is new counts into one
 * row of its kind whose labels are "other". */
void          tally_add(struct tally *t, enum tally_kind kind, const char *const *labels, double value);
/* Calls fn for each row of the kind, under the lock: it must not call back. */
void          tally_each(struct tally *t, enum tally_kind kind,
                         void (*fn)(void *ud, const char (*labels)[TALLY_LABEL], double value), void *ud);

#endif
