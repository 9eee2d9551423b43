/* differences.h -- what each difference of two questions says. See differences.c. */
#ifndef PERILUNE_SEMANTIC_DIFFERENCES_H
#define PERILUNE_SEMANTIC_DIFFERENCES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define DIFFERENCES_BITS 15
#define DIFFERENCES_SIZE (1u << DIFFERENCES_BITS)

/* Immutable after training: any thread. */
struct differences {
    float  scale;
    int8_t weights[DIFFERENCES_SIZE];
};

struct difference_row {
    const uint32_t *hashes;
    unsigned        count;
    float           y;     /* what is wanted, 0 to 1 */
    float           known; /* what is known without: the logarithm of the odds */
};

/* from: where to begin and not to stray from without reason, or NULL.  Returns 0 or PERILUNE_ERR_NOMEM. */
int differences_train(struct differences *out, const struct difference_row *rows, size_t count,
                      const struct differences *from, uint64_t seed);
/* What these say together, to be added to the logarithm of the odds; *worst: the lowest of them, 0 at most.
 * Their order does not matter. */
float differences_score(const struct differences *d, const uint32_t *hashes, unsigned count, float *worst);

#endif
