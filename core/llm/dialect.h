/* dialect.h -- what a protocol of models calls things. See openai.c for the first. */
#ifndef PERILUNE_LLM_DIALECT_H
#define PERILUNE_LLM_DIALECT_H

#include "base/slice.h"

struct dialect {
    const char  *name;
    struct slice end_mark; /* the data of a stream's last event; empty: there is none */
};

extern const struct dialect openai_chat, openai_embeddings;

#endif
