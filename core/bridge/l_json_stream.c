/* l_json_stream.c -- perilune.json_stream(): values of a JSON text that is still
 * being written.
 *
 * The userdata is the parser.  Lua values are made while it is in the middle of a
 * piece, and that may raise for want of memory; so it counts as failed meanwhile, and
 * whoever catches the error cannot go on with half a state. */
#include <lauxlib.h>

#include "bridge/lib.h"
#include "bridge/value.h"
#include "include/perilune.h"
#include "llm/json_stream.h"

#define STREAM_TYPE "perilune.json_stream"

struct collect {
    lua_State          *L;
    struct json_stream *j;
    int                 list, count;
};

static void push_scalar(lua_State *L, struct json_stream *j, const struct json_scalar *s) {
    if (s->type == JSON_ARRAY || s->type == JSON_OBJECT) {
        lua_newtable(L);
        if (s->type == JSON_ARRAY) lib_mark_array(L);
    } else {
        value_push(L, &j->doc, 0); /* the scalar was just checked there */
    }
}

static int collect(void *ud, const struct json_scalar *s) {
    struct collect *c = ud;
    c->j->rc = PERILUNE_ERR_NOMEM;
    lua_createtable(c->L, 0, 2);
    lua_pushlstring(c->L, s->path.ptr, s->path.len);
    lua_setfield(c->L, -2, "path");
    push_scalar(c->L, c->j, s);
    lua_setfield(c->L, -2, "value");
    lua_rawseti(c->L, c->list, ++c->count);
    c->j->rc = 0;
    return 0;
}

static struct json_stream *check(lua_State *L) { return luaL_checkudata(L, 1, STREAM_TYPE); }

static int finish(lua_State *L, struct json_stream *j, int rc) {
    if (rc == 0) return 1;
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushfstring(L, "%s at byte %d", j->error.message, (int)j->error.offset);
    return 2;
}

/* stream:feed(text) -> { { path =, value = }, ... } | nil, message */
static int l_feed(lua_State *L) {
    struct json_stream *j = check(L);
    struct slice s;
    s.ptr = luaL_checklstring(L, 2, &s.len);
    lua_newtable(L);
    struct collect c = { L, j, lua_gettop(L), 0 };
    return finish(L, j, json_stream_feed(j, s, collect, &c));
}

/* stream:finish() -> the same */
static int l_finish(lua_State *L) {
    struct json_stream *j = check(L);
    lua_newtable(L);
    struct collect c = { L, j, lua_gettop(L), 0 };
    return finish(L, j, json_stream_finish(j, collect, &c));
}

/* stream:done() -> is the value complete? */
static int l_done(lua_State *L) {
    lua_pushboolean(L, json_stream_is_done(check(L)));
    return 1;
}

static int l_gc(lua_State *L) {
    json_stream_deinit(lua_touserdata(L, 1));
    return 0;
}

static size_t option(lua_State *L, const char *key, size_t most) {
    lua_getfield(L, 1, key);
    double v = lua_isnil(L, -1) ? 0 : luaL_checknumber(L, -1);
    if (!lua_isnil(L, -1) && !(v >= 1 && v <= (double)most && v == (double)(size_t)v))
        luaL_error(L, "perilune.json_stream: %s must be a whole number from 1 to %d", key, (int)most);
    lua_pop(L, 1);
    return (size_t)v;
}

static void check_names(lua_State *L) {
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(key, "max_depth") != 0 && strcmp(key, "max_size") != 0 && strcmp(key, "max_value") != 0 &&
            strcmp(key, "seek") != 0)
            luaL_error(L, "perilune.json_stream: unknown option '%s'; "
                          "there are max_depth, max_size, max_value, seek", key);
        lua_pop(L, 1);
    }
}

/* core.json_stream(options) */
int l_json_stream(lua_State *L) {
    struct json_stream_limits limits = { .max_depth = 0 };
    lua_settop(L, 1);
    if (!lua_isnil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        check_names(L);
        limits.max_depth = (unsigned)option(L, "max_depth", JSON_STREAM_DEPTH);
        limits.max_size = option(L, "max_size", JSON_MAX_SIZE);
        limits.max_value = option(L, "max_value", JSON_MAX_SIZE);
        limits.seek = value_field_bool(L, 1, "seek", false);
    }
    struct json_stream *j = lua_newuserdata(L, sizeof(*j));
    json_stream_init(j, &limits);
    luaL_getmetatable(L, STREAM_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

void json_stream_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        { "done", l_done }, { "feed", l_feed }, { "finish", l_finish }, { NULL, NULL }
    };
    lib_open_object(L, STREAM_TYPE, l_gc, methods);
}
