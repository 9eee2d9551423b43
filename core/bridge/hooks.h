/* hooks.h -- functions of a policy that an answer passes: tap, map, finally,
 * record. See hooks.c, map.c. */
#ifndef PERILUNE_BRIDGE_HOOKS_H
#define PERILUNE_BRIDGE_HOOKS_H

#include "bridge/response.h"

/* What the handle's environment holds besides: see hooks.c. */
struct hooks;

/* The response is being freed; NULL is fine. */
void hooks_release(struct hooks *h);
void hooks_finally(struct response *r, const struct outcome *o);

/* res:tap(fn), res:map(by, fn), res:finally(fn), res:record() */
int l_response_tap(lua_State *L);
int l_response_map(lua_State *L);
int l_response_finally(lua_State *L);
int l_response_record(lua_State *L);

#endif
