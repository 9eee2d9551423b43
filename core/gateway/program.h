/* program.h -- what a program adds to its gateway: functions, values, hooks. See program.c. */
#ifndef PERILUNE_GATEWAY_PROGRAM_H
#define PERILUNE_GATEWAY_PROGRAM_H

#include "gateway/worker.h"

/* The worker's hook for a request that is over, if there is one. */
void program_tell_finished(struct worker *w, const struct request_facts *f);

#endif
