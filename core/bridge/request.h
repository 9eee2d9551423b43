/* request.h -- a request as policies see it. See request.c. */
#ifndef PERILUNE_BRIDGE_REQUEST_H
#define PERILUNE_BRIDGE_REQUEST_H

#include "bridge/state.h"
#include "request/request.h"

/* One that policies may see. NULL when there is no memory. */
struct request *policy_request_new(struct state *s);

/* The live request at index, or raises. */
struct request *request_check(lua_State *L, int index);
/* The same, or NULL when it is over; raises for what is no request. */
struct request *request_live(lua_State *L, int index);
/* The body that would go out: the original, or with what Lua changed.  A share;
 * NULL when there is none.  Raises. */
struct body *request_body(lua_State *L, int index);

#endif
