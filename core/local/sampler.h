/* sampler.h -- the next token out of the model's numbers. See sampler.c. */
#ifndef PERILUNE_LOCAL_SAMPLER_H
#define PERILUNE_LOCAL_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

#define SAMPLER_BIASES 1024 /* of a request; OpenAI's most is 300 */
#define SAMPLER_TOPS   20   /* likely tokens that are told with each one; OpenAI's most */

struct sampler_bias {
    int32_t token;
    float   by; /* is added to its logit */
};

/* What a request asks for. */
struct sampling {
    float    temperature; /* 0: always the likeliest */
    float    top_p, min_p; /* 1 and 0: off */
    uint32_t top_k;        /* 0: off */
    float    presence, frequency; /* 0: off; are taken off what was said before, once, and for each time */
    float    repeat;       /* 1: off; divides */
    uint64_t seed;         /* of the first choice; each has one of its own */
    bool     seeded;       /* else by chance */
    const struct sampler_bias *biases; /* borrowed as long as samplers use it */
    unsigned bias_count;
};
#define SAMPLING_DEFAULTS { .temperature = 1, .top_p = 1, .repeat = 1 }

/* Of one choice of an answer. */
struct sampler {
    struct sampling s;
    struct rng      rng;
    struct sampler_seen { int32_t token; uint32_t times; } *seen; /* a table; times 0: a free place */
    uint32_t        seen_len, seen_cap;
};

/* Work space, as large as a vocabulary; one for all samplers of a thread. */
struct sampler_candidate {
    float   weight;
    int32_t token;
};

void sampler_init(struct sampler *s, const struct sampling *how, unsigned choice);
void sampler_deinit(struct sampler *s);

/* Biases and penalties, into the logits: before the first pick. */
void    sampler_adjust(const struct sampler *s, float *logits, uint32_t vocab);
/* The next token; -1: no number of them is one. */
int32_t sampler_pick(struct sampler *s, const float *logits, uint32_t vocab, struct sampler_candidate *room);
/* It was said.  False: no memory to remember it, where that is needed. */
bool    sampler_note(struct sampler *s, int32_t token);

/* What the model says as it is: the logarithm of the sum of all weights, and the likeliest tokens, the likeliest
 * first.  log of a token's probability: its logit - the sum. */
float   sampler_log_sum(const float *logits, uint32_t vocab);
unsigned sampler_tops(const float *logits, uint32_t vocab, unsigned most, struct sampler_candidate *out);

#endif
