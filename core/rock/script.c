/* script.c -- programs in Lua that `perilune script` runs.
 *
 *     perilune script FILE --> a plain lua_State, with all of LuaJIT --> require "perilune": the rock
 *
 * The program plays the host that a rock needs: nothing in here knows how a rock is made.  So a script runs in any
 * LuaJIT that has the rock as it runs here.  What is done with the file is in lua/perilune/script.lua. */
#include "rock/script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "rock/rock.h"

struct script {
    const char *file, *config;
    int         argc;
    char      **argv;
    int         status;
};

static int main_chunk(lua_State *L) {
    struct script *sc = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getfield(L, LUA_GLOBALSINDEX, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, rock_open);
    lua_setfield(L, -2, "perilune");
    lua_settop(L, 0);
    rock_open(L);
    state_require(L, "perilune.script");
    luaL_checkstack(L, sc->argc + 4, "too many arguments");
    lua_pushstring(L, sc->file);
    if (sc->config != NULL) lua_pushstring(L, sc->config);
    else lua_pushboolean(L, 0);
    for (int i = 0; i < sc->argc; i++) lua_pushstring(L, sc->argv[i]);
    lua_call(L, 2 + sc->argc, 1);
    sc->status = (int)lua_tointeger(L, -1);
    return 0;
}

int rock_script(const char *file, const char *config, int argc, char **argv) {
    struct script sc = { file, config, argc, argv, 1 };
    lua_State *L = luaL_newstate();
    if (L == NULL) {
        fprintf(stderr, "perilune script: out of memory\n");
        return 1;
    }
    if (lua_cpcall(L, main_chunk, &sc) != 0) {
        const char *text = lua_tostring(L, -1);
        fprintf(stderr, "perilune script: %s\n", text ? text : "out of memory");
    }
    lua_close(L);
    return sc.status;
}
