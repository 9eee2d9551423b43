/* handle.c -- userdata that C empties at the end of a request.
 *
 *     registry -> handles (weak): slot -> userdata
 *                                  ^          | metatable: living, with __gc
 *     request, response: slot -----+          v after handle_empty(): dead, without
 *
 * What hangs on the handle of a request (its body, its answer) is to go when the request
 * ends, not when the collector comes by.  And a finalizer is dear: LuaJIT keeps such a
 * userdata for another cycle and calls into C for it, which cost more than everything
 * else that a policy did.  So the owner of the slot empties the handle itself and takes
 * the finalizer away; __gc is left for handles that a policy dropped before.
 *
 * Whoever still has an emptied handle finds NULL in it, and raises "... is finished".
 *
 * Invariants: a slot is free, or belongs to one owner; the table never grows in
 * handle_empty(), which runs where no error could be caught. */
#include "bridge/handle.h"

#include <lauxlib.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/state.h"

/* -- Life ------------------------------------------------------------------------- */

void handles_open(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    state_of(L)->handles.ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void handles_deinit(struct handles *h) {
    mem_free(h->free);
    *h = (struct handles){ .ref = 0 };
}

void handle_type_set(lua_State *L, struct handle_type *type) {
    type->table = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    type->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, -3) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_pushnil(L);
    lua_setfield(L, -2, "__gc");
    type->dead_table = lua_topointer(L, -1);
    type->dead_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* -- Slots -------------------------------------------------------------------------- */

/* Room for giving back all slots comes first: that cannot fail then. */
static unsigned slot_take(lua_State *L, struct handles *h) {
    if (h->free_len > 0) return h->free[--h->free_len];
    if (!mem_grow((void **)&h->free, h->count, &h->cap, sizeof(*h->free))) luaL_error(L, "not enough memory");
    return ++h->count;
}

void *handle_new(lua_State *L, const struct handle_type *type, size_t size, unsigned *slot) {
    struct handles *h = &state_of(L)->handles;
    void *memory = lua_newuserdata(L, size);
    memset(memory, 0, size);
    *slot = slot_take(L, h);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (int)*slot); /* raises: the slot is lost, nothing else */
    lua_rawgeti(L, LUA_REGISTRYINDEX, type->ref);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    return memory;
}

void *handle_test(lua_State *L, int index, const struct handle_type *type) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    const void *table = lua_topointer(L, -1);
    lua_pop(L, 1);
    return table == type->table || table == type->dead_table ? lua_touserdata(L, index) : NULL;
}

void *handle_empty(struct state *s, const struct handle_type *type, unsigned slot) {
    if (slot == 0) return NULL;
    lua_State *L = s->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->handles.ref);
    lua_rawgeti(L, -1, (int)slot);
    void *memory = lua_touserdata(L, -1);
    if (memory != NULL) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, type->dead_ref);
        lua_setmetatable(L, -2);
        lua_pushnil(L);
        lua_rawseti(L, -3, (int)slot);
    }
    lua_pop(L, 2);
    s->handles.free[s->handles.free_len++] = slot;
    return memory;
}
