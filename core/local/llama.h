/* llama.h -- libllama as an engine. See llama.c. */
#ifndef PERILUNE_LOCAL_LLAMA_H
#define PERILUNE_LOCAL_LLAMA_H

#include "include/perilune_engine.h"

extern const struct perilune_engine llama_engine;

#endif
