/* vectors.h -- vectors of texts, from whoever speaks OpenAI's embeddings. See vectors.c. */
#ifndef PERILUNE_CLI_VECTORS_H
#define PERILUNE_CLI_VECTORS_H

#include <stddef.h>

#include "base/slice.h"

struct vectors_ask {
    const char *url, *model; /* url: the base, as an upstream of the configuration has it */
    const char *key_env;     /* the environment variable with the key, or NULL */
    const char *prefix;      /* put in front of each text, or "" */
    /* Told how many of the texts are done; may be NULL. */
    void      (*progress)(void *ud, size_t done, size_t of);
    void       *ud;
};

#define VECTORS_BATCH 64 /* texts in a request */

/* *out: count * *dims numbers, each vector of length 1; the caller's (mem_free).  Returns 0, or an error with a
 * sentence in err. */
int vectors_fetch(const struct vectors_ask *ask, const struct slice *texts, size_t count, float **out, unsigned *dims,
                  char *err, size_t errlen);

#endif
