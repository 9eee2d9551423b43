/* quantize.h -- a model's file written anew with smaller numbers, by the library. See quantize.c. */
#ifndef PERILUNE_LOCAL_QUANTIZE_H
#define PERILUNE_LOCAL_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quantize_wish {
    const char    *from, *to;   /* paths; `to` is written over */
    const char    *type;        /* "Q4_K_M" */
    const char    *library;     /* its folder, or NULL */
    const int32_t *prune;       /* layers that are left out, ascending, ended by -1; NULL: none */
    int            threads;     /* 0: as many as the library likes */
    bool           requantize;  /* also what is quantized already */
};

/* Is there such a type? */
bool quantize_knows(const char *type);
/* The i-th name, or NULL: for messages. */
const char *quantize_type(unsigned i);

/* Has the library write the file.  It may end the process over a file that was not vetted (facts_vet).  0, or an error
 * with a sentence in why; `to` may then be there in part. */
int quantize_file(const struct quantize_wish *w, char *why, size_t why_size);

#endif
