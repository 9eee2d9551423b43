/* l_trim.c -- core.trim_rules, core.trim: politeness and filler out of a text (text/trim.h).
 *
 * Compiled rules are a userdata that owns them.  They take some milliseconds to
 * build, so perilune.trim makes them once per load. */
#include <lauxlib.h>

#include "bridge/lib.h"
#include "bridge/state.h"
#include "text/trim.h"

#define RULES_TYPE "perilune.trim_rules"
/* No hook runs inside: as for perilune.text, longer texts are not taken, and the time is guessed
 * that the first part of the work takes. */
#define TEXT_LIMIT ((size_t)1 << 20)
#define BYTES_PER_US 64

static int l_gc(lua_State *L) {
    struct trim_rules **r = luaL_checkudata(L, 1, RULES_TYPE);
    trim_rules_free(*r);
    *r = NULL;
    return 0;
}

/* The patterns under one name of the table at 1, if there are any. */
static void add_place(lua_State *L, struct trim_rules *r, enum trim_place place) {
    const char *name = trim_place_names[place];
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    if (!lua_istable(L, -1)) luaL_error(L, "'%s' must be a list of patterns", name);
    for (int i = 1;; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_isnil(L, -1)) break;
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'%s': pattern %d is not a string", name, i);
        struct slice pattern;
        pattern.ptr = lua_tolstring(L, -1, &pattern.len);
        char err[200];
        if (trim_rules_add(r, place, pattern, err, sizeof(err)) != 0)
            luaL_error(L, "'%s': pattern \"%s\" %s", name, pattern.ptr, err);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

/* core.trim_rules{ start = { pattern, ... }, lead =, tail =, whole =, content =, ... } -> rules, patterns */
int l_trim_rules(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    struct trim_rules **r = lua_newuserdata(L, sizeof(*r));
    *r = NULL;
    luaL_getmetatable(L, RULES_TYPE);
    lua_setmetatable(L, -2);
    *r = trim_rules_new();
    if (*r == NULL) return luaL_error(L, "not enough memory");
    for (int place = 0; place < TRIM_PLACES; place++) add_place(L, *r, (enum trim_place)place);
    int rc = trim_rules_compile(*r);
    if (rc == PERILUNE_ERR_LIMITED) return luaL_error(L, "the patterns stand for too many phrases: leave some out");
    if (rc != 0) return luaL_error(L, "not enough memory");
    lua_pushnumber(L, (lua_Number)trim_rules_len(*r));
    return 2;
}

static void push_cuts(lua_State *L, struct slice text, const struct buf *cuts) {
    struct slice s = buf_get(cuts);
    const struct trim_cut *c = (const struct trim_cut *)(const void *)s.ptr;
    size_t n = s.len / sizeof(*c);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 4);
        lua_pushinteger(L, (lua_Integer)c[i].start + 1);
        lua_setfield(L, -2, "first");
        lua_pushinteger(L, (lua_Integer)c[i].end);
        lua_setfield(L, -2, "last");
        lua_pushlstring(L, text.ptr + c[i].start, c[i].end - c[i].start);
        lua_setfield(L, -2, "text");
        lua_pushstring(L, trim_reason_names[c[i].reason]);
        lua_setfield(L, -2, "reason");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* core.trim(rules, text, repeated, cuts) -> text, and with cuts what went: a list of
 * { first =, last =, text =, reason = }; nil, a sentence, whether it was for lack of time */
int l_trim(lua_State *L) {
    struct trim_rules **r = luaL_checkudata(L, 1, RULES_TYPE);
    struct slice text;
    text.ptr = luaL_checklstring(L, 2, &text.len);
    struct trim_options options = trim_defaults;
    struct state *s = state_of(L);
    options.repeated = lua_toboolean(L, 3);
    options.go_on = budget_left_us(s, true) == UINT64_MAX ? NULL : budget_may_go_on;
    options.ud = s;
    bool with_cuts = lua_toboolean(L, 4);
    luaL_argcheck(L, *r != NULL, 1, "is closed");
    state_check(L);
    struct buf *out = lib_output(L), *cuts = lib_scratch(L);
    int rc = text.len > TEXT_LIMIT                                  ? PERILUNE_ERR_LIMITED
             : budget_left_us(s, true) <= text.len / BYTES_PER_US ? PERILUNE_ERR_CANCELED
             : trim_text(*r, text, &options, out, with_cuts ? cuts : NULL);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0) {
        state_check(L);
        lua_pushnil(L);
        lua_pushstring(L, rc == PERILUNE_ERR_LIMITED    ? "the text is longer than 1 MiB, or has too many sentences"
                          : rc == PERILUNE_ERR_CANCELED ? "there is not enough CPU time left for the text"
                                                        : "the text is not valid UTF-8");
        if (rc != PERILUNE_ERR_CANCELED) return 2;
        lua_pushboolean(L, 1);
        return 3;
    }
    struct slice left = buf_get(out);
    if (slice_eq(left, text)) lua_pushvalue(L, 2);
    else lua_pushlstring(L, left.ptr, left.len);
    state_check(L);
    if (!with_cuts) return 1;
    push_cuts(L, text, cuts);
    return 2;
}

void trim_open(lua_State *L) { lib_open_owned(L, RULES_TYPE, l_gc); }
