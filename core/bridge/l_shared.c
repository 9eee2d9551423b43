/* l_shared.c -- perilune.shared(name): get, set, incr, delete. */
#include <math.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/state.h"

#define SHARED_TYPE "perilune.shared"

/* The userdata is the name. */
static struct slice name_of(lua_State *L) {
    const char *name = luaL_checkudata(L, 1, SHARED_TYPE);
    return slice_str(name);
}

static struct slice key_of(lua_State *L) {
    struct slice k;
    k.ptr = luaL_checklstring(L, 2, &k.len);
    return k;
}

/* Shared by threads: the monotonic clock is the same for all, a virtual one is
 * only there in tests. */
static uint64_t now_of(lua_State *L) { return loop_now(state_of(L)->loop); }

static uint64_t ttl_of(lua_State *L, int index) {
    double s = luaL_optnumber(L, index, 0);
    luaL_argcheck(L, s >= 0 && s < 1e10, index, "a time to live is a number of seconds");
    return (uint64_t)ceil(s * 1000);
}

static int failed(lua_State *L, int err) {
    if (err == PERILUNE_ERR_LIMITED)
        return luaL_error(L, "perilune.shared is full (16 MiB): give entries a time to live");
    if (err == PERILUNE_ERR_INVAL) return luaL_error(L, "incr: the value under this key is not a number");
    return luaL_error(L, "not enough memory");
}

static int l_get(lua_State *L) {
    struct shared_value v;
    int err = shared_get(state_of(L)->stores->shared, name_of(L), key_of(L), now_of(L), &v);
    if (err == 0 && v.type == SHARED_STRING) { /* into a buffer that is freed whatever happens */
        struct buf *out = lib_output(L);
        buf_slice(out, buf_get(&v.string));
        buf_deinit(&v.string);
        if (buf_failed(out)) return failed(L, PERILUNE_ERR_NOMEM);
        lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
        return 1;
    }
    if (err) return failed(L, err);
    if (v.type == SHARED_NUMBER) lua_pushnumber(L, v.number);
    else if (v.type == SHARED_BOOL) lua_pushboolean(L, v.number != 0);
    else lua_pushnil(L);
    return 1;
}

/* shared:set(key, value, ttl) */
static int l_set(lua_State *L) {
    struct slice name = name_of(L), key = key_of(L);
    uint64_t ttl = ttl_of(L, 4);
    struct shared_value v = { .type = SHARED_NONE };
    size_t len;
    const char *s;
    switch (lua_type(L, 3)) {
    case LUA_TNONE:
    case LUA_TNIL: break;
    case LUA_TBOOLEAN: v.type = SHARED_BOOL; v.number = lua_toboolean(L, 3); break;
    case LUA_TNUMBER: v.type = SHARED_NUMBER; v.number = lua_tonumber(L, 3); break;
    case LUA_TSTRING:
        s = lua_tolstring(L, 3, &len);
        v.type = SHARED_STRING;
        v.string = (struct buf){ .data = (char *)(uintptr_t)s, .len = len };
        break;
    default: return luaL_argerror(L, 3, "must be a string, a number, a boolean or nil");
    }
    int err = shared_set(state_of(L)->stores->shared, name, key, &v, now_of(L), ttl);
    return err ? failed(L, err) : 0;
}

/* shared:incr(key, by, start, ttl) -> the new value */
static int l_incr(lua_State *L) {
    double out = 0, by = luaL_optnumber(L, 3, 1), start = luaL_optnumber(L, 4, 0);
    int err = shared_incr(state_of(L)->stores->shared, name_of(L), key_of(L), by, start, now_of(L),
                          ttl_of(L, 5), &out);
    if (err) return failed(L, err);
    lua_pushnumber(L, out);
    return 1;
}

static int l_delete(lua_State *L) {
    struct shared_value none = { .type = SHARED_NONE };
    int err = shared_set(state_of(L)->stores->shared, name_of(L), key_of(L), &none, now_of(L), 0);
    return err ? failed(L, err) : 0;
}

int l_shared(lua_State *L) {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len > 0 && strlen(name) == len, 1, "must be a name without NUL bytes");
    char *copy = lua_newuserdata(L, len + 1);
    memcpy(copy, name, len + 1);
    luaL_getmetatable(L, SHARED_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

void shared_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "delete", l_delete }, { "get", l_get }, { "incr", l_incr }, { "set", l_set }, { NULL, NULL }
    };
    luaL_newmetatable(L, SHARED_TYPE);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
