/* pattern.h -- Lua patterns that can be stopped.  See pattern.c. */
#ifndef PERILUNE_BRIDGE_PATTERN_H
#define PERILUNE_BRIDGE_PATTERN_H

#include <lua.h>

/* Called from inside a match after every PATTERN_STEPS_PER_TICK steps, some ten
 * microseconds of work.  Raises a Lua error (luaL_error) when the request has
 * used up its time; otherwise returns with the stack as it was. */
typedef void (*pattern_tick)(lua_State *L);

#define PATTERN_STEPS_PER_TICK 4096

/* Replaces find, match, gmatch and gsub in the table `string`, and therefore in
 * what ("x"):find() calls.  Needs an open string library.  tick may be NULL.
 * Raises a Lua error when there is no memory. [-0, +0, m] */
void pattern_install(lua_State *L, pattern_tick tick);

#endif
