/* strings.h -- string functions that make long strings. See strings.c. */
#ifndef PERILUNE_BRIDGE_STRINGS_H
#define PERILUNE_BRIDGE_STRINGS_H

#include <lua.h>

/* Puts ours into the global table `string`, in place of LuaJIT's. [0, 0, e] */
void strings_install(lua_State *L);

#endif
