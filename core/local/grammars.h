/* grammars.h -- grammars that were read lately. See grammars.c. */
#ifndef PERILUNE_LOCAL_GRAMMARS_H
#define PERILUNE_LOCAL_GRAMMARS_H

#include "local/grammar.h"

#define GRAMMARS 8

/* All zeros: empty. */
struct grammars {
    struct grammar_read {
        char           *text;
        uint64_t        used;
        struct grammar *grammar; /* a share */
    } at[GRAMMARS];
    uint64_t clock, reads;
};

/* The beginning of an answer under the grammar with this text.  What grammar_new() and matcher_init() say; why: a
 * sentence. */
int  grammars_get(struct grammars *g, const char *text, struct matcher *out, char *why, size_t why_size);
void grammars_clear(struct grammars *g);

#endif
