/* grammars.h -- grammars that an engine has read. See grammars.c. */
#ifndef PERILUNE_LOCAL_GRAMMARS_H
#define PERILUNE_LOCAL_GRAMMARS_H

#include "include/perilune_engine.h"

#define GRAMMARS 8

/* All zeros: empty. */
struct grammars {
    struct grammar_read {
        char    *text;
        uint64_t used;
        struct perilune_engine_grammar *grammar; /* as it begins; copied for each answer */
    } at[GRAMMARS];
    uint64_t clock;
};

/* A grammar of this text, at its beginning, which the caller frees by the engine.  On failure `why` says why. */
int  grammars_get(struct grammars *g, const struct perilune_engine *e, struct perilune_engine_model *m,
                  const char *text, struct perilune_engine_grammar **out, char *why, size_t why_size);
/* Before the model goes. */
void grammars_clear(struct grammars *g, const struct perilune_engine *e);

#endif
