/* process_child.h -- an engine in a process of its own: the inner side. See process_child.c. */
#ifndef PERILUNE_LOCAL_PROCESS_CHILD_H
#define PERILUNE_LOCAL_PROCESS_CHILD_H

#include "include/perilune_engine.h"

/* What a program does that was started with PROCESS_COMMAND: runs `engine` for whoever holds the other ends, until they
 * are closed.  Returns the status to exit with. */
int process_child_main(const struct perilune_engine *engine);

#endif
