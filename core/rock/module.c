/* module.c -- the one name that the module exports.  It is linked into the rock only: the program and the library have
 * their own ways in. */
#include "rock/rock.h"

int luaopen_perilune(lua_State *L);

__attribute__((visibility("default"))) int luaopen_perilune(lua_State *L) { return rock_open(L); }
