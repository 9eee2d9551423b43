/* cleanup.h -- req:finally(fn): what a policy wants done when its request is over. See cleanup.c. */
#ifndef PERILUNE_BRIDGE_CLEANUP_H
#define PERILUNE_BRIDGE_CLEANUP_H

#include "bridge/request.h"
#include "bridge/response.h"

/* The request is over with this outcome: runs the functions that policies left for it, each once.
 * Before request_end(): they may still use the request. */
void cleanup_run(struct request *r, const struct outcome *o);

/* An outcome as Lua sees it: { ok =, code =, ttft_ms =, total_ms =, usage = }. [0, +1, e] */
void cleanup_push_outcome(lua_State *L, const struct outcome *o);

/* req:finally(fn) */
int l_request_finally(lua_State *L);

#endif
