/* process.h -- an engine in a process of its own. See process.c. */
#ifndef PERILUNE_LOCAL_PROCESS_H
#define PERILUNE_LOCAL_PROCESS_H

#include "include/perilune_engine.h"

/* The engine that perilune's command engine-process has, behind a process. */
extern const struct perilune_engine process_engine;

#endif
