/* measure.h -- a model tried out through the engine interface. See measure.c. */
#ifndef PERILUNE_LOCAL_MEASURE_H
#define PERILUNE_LOCAL_MEASURE_H

#include "base/slice.h"
#include "include/perilune_engine.h"

struct measured {
    double   tokens_per_s;  /* one answer alone; 0: not measured */
    double   perplexity;    /* 0: not measured */
    unsigned tokens;        /* of the text that were predicted */
    char     piece[64];     /* the first token that it says, to be shown */
};

/* Says one token, or makes one vector: are all numbers finite?  0, or an error with a sentence in why. */
int measure_works(const struct perilune_engine *e, struct perilune_engine_model *m, struct measured *out, char *why,
                  size_t why_size);
/* Says `count` tokens, one after the other. */
int measure_speed(const struct perilune_engine *e, struct perilune_engine_model *m, unsigned count,
                  struct measured *out, char *why, size_t why_size);
/* How well it predicts a text, of which at most `most` tokens are read. */
int measure_perplexity(const struct perilune_engine *e, struct perilune_engine_model *m, struct slice text,
                       unsigned most, struct measured *out, char *why, size_t why_size);

#endif
