/* value.c -- JSON to Lua and back.
 *
 * Two things JSON has and Lua has not: null, which is a light userdata here so
 * that `{"a":null}` keeps its key, and the empty array, which json.array() marks
 * with a metatable (also set on decoded empty arrays, so they come back as []).
 *
 * Buffers that are alive while Lua may raise belong to somebody who frees them
 * (the library's scratch buffer); nothing here owns C memory.
 *
 * A table may hold the same table or string many times, so that its JSON is as large as
 * it likes.  Each value pays for its time, and the buffer has a limit. */
#include "bridge/value.h"

#include <lauxlib.h>
#include <math.h>

#include "bridge/lib.h"
#include "bridge/state.h"
#include "bridge/view.h"

static const char null_address;

#define STEPS_OF_NODE 4   /* for state_pay() */

void value_push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)(uintptr_t)&null_address); }

bool value_is_null(lua_State *L, int index) {
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == (const void *)&null_address;
}

/* -- Decoding ------------------------------------------------------------------------ */

void value_push_string(lua_State *L, const struct json_doc *doc, uint32_t node) {
    if (!doc->nodes[node].escaped) {
        struct slice s = json_plain(doc, node);
        lua_pushlstring(L, s.ptr, s.len);
        return;
    }
    struct buf *scratch = lib_scratch(L);
    json_decode_string(doc, node, scratch);
    lib_check_buf(L, scratch);
    struct slice s = buf_get(scratch);
    lua_pushlstring(L, s.ptr, s.len);
}

static void push_array(lua_State *L, const struct json_doc *doc, uint32_t node) {
    lua_createtable(L, (int)doc->nodes[node].count, 0);
    int i = 0;
    for (uint32_t n = json_first(doc, node); n != JSON_NONE; n = json_next(doc, node, n)) {
        value_push(L, doc, n);
        lua_rawseti(L, -2, ++i);
    }
    if (i == 0) lib_mark_array(L);
}

static void push_object(lua_State *L, const struct json_doc *doc, uint32_t node) {
    lua_createtable(L, 0, (int)doc->nodes[node].count);
    for (uint32_t key = json_first(doc, node); key != JSON_NONE;) {
        uint32_t value = json_next(doc, node, key);
        value_push_string(L, doc, key);
        value_push(L, doc, value);
        lua_rawset(L, -3);
        key = json_next(doc, node, value);
    }
}

void value_push(lua_State *L, const struct json_doc *doc, uint32_t node) {
    state_pay(L, STEPS_OF_NODE);
    luaL_checkstack(L, 4, "JSON is nested too deeply");
    switch (json_type(doc, node)) {
    case JSON_NULL: value_push_null(L); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_NUMBER: lua_pushnumber(L, json_number(doc, node)); break;
    case JSON_STRING: value_push_string(L, doc, node); break;
    case JSON_ARRAY: push_array(L, doc, node); break;
    case JSON_OBJECT: push_object(L, doc, node); break;
    }
}

/* -- Copying ----------------------------------------------------------------------------- */

/* How many fields the table at t has besides its elements. [0, 0, -] */
static int count_fields(lua_State *L, int t, int elements) {
    int n = -elements;
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        lua_pop(L, 1);
        n++;
    }
    return n;
}

size_t value_push_copy(lua_State *L, int t) {
    int elements = (int)lua_objlen(L, t), fields = count_fields(L, t, elements);
    size_t values = 1 + (size_t)(elements + fields);
    luaL_checkstack(L, 5, "JSON is nested too deeply");
    state_pay(L, STEPS_OF_NODE * values);
    lua_createtable(L, elements, fields);
    if (lua_getmetatable(L, t)) lua_setmetatable(L, -2);
    int copy = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        lua_pushvalue(L, -2);
        if (lua_istable(L, -2)) values += value_push_copy(L, copy + 2);
        else lua_pushvalue(L, -2);
        lua_rawset(L, copy);
        lua_pop(L, 1);
    }
    return values;
}

/* -- Encoding ------------------------------------------------------------------------- */

static void encode_array(lua_State *L, int t, size_t n, struct buf *out, int depth) {
    buf_putc(out, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1) buf_putc(out, ',');
        lua_rawgeti(L, t, (int)i);
        if (lua_isnil(L, -1)) buf_puts(out, "null");
        else value_encode(L, lua_gettop(L), out, depth + 1);
        lua_pop(L, 1);
    }
    buf_putc(out, ']');
}

static void encode_object(lua_State *L, int t, struct buf *out, int depth) {
    bool first = true;
    buf_putc(out, '{');
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "cannot encode a table with a %s key beside others as JSON",
                       luaL_typename(L, -2));
        size_t len;
        const char *key = lua_tolstring(L, -2, &len);
        if (!first) buf_putc(out, ',');
        first = false;
        json_write_string(out, slice_of(key, len));
        buf_putc(out, ':');
        state_pay(L, len / VALUE_STEP_BYTES);
        value_encode(L, lua_gettop(L), out, depth + 1);
        lua_pop(L, 1);
    }
    buf_putc(out, '}');
}

bool value_is_list(lua_State *L, int t, size_t n) {
    state_pay(L, n);
    lua_pushnil(L);
    while (lua_next(L, t) != 0) {
        lua_pop(L, 1);
        double k = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (!(k >= 1 && k <= (double)n && floor(k) == k)) return false;
    }
    return true;
}

/* Lua is content with list[5] behind one element, or list.name; JSON would lose it. */
static void check_list(lua_State *L, int t, size_t n) {
    if (value_is_list(L, t, n)) return;
    if (lua_type(L, -1) == LUA_TNUMBER)
        luaL_error(L, "cannot encode as JSON: a list of %d has an element [%f] behind a hole; nil in a list is "
                   "perilune.json.null", (int)n, lua_tonumber(L, -1));
    luaL_error(L, "cannot encode as JSON: a list of %d has a field '%s' besides", (int)n,
               lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
}

static void encode_table(lua_State *L, int t, struct buf *out, int depth) {
    size_t n = lua_objlen(L, t);
    if (n == 0 && !lib_is_array(L, t)) {
        encode_object(L, t, out, depth);
        return;
    }
    check_list(L, t, n);
    encode_array(L, t, n, out, depth);
}

void value_encode(lua_State *L, int index, struct buf *out, int depth) {
    if (depth > JSON_MAX_DEPTH) luaL_error(L, "cannot encode as JSON: nested deeper than 256 (a cycle?)");
    luaL_checkstack(L, 6, "value is nested too deeply");
    state_pay(L, STEPS_OF_NODE); /* tables that share parts may have more nodes than there are bytes */
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TNIL: buf_puts(out, "null"); break;
    case LUA_TBOOLEAN: buf_puts(out, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER: json_write_number(out, lua_tonumber(L, index)); break;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        json_write_string(out, slice_of(s, len));
        state_pay(L, len / VALUE_STEP_BYTES);
        break;
    case LUA_TTABLE: encode_table(L, index, out, depth); break;
    default:
        if (value_is_null(L, index)) buf_puts(out, "null");
        else if (!view_encode(L, index, out, depth))
            luaL_error(L, "cannot encode a %s as JSON", luaL_typename(L, index));
    }
    lib_check_buf(L, out);
}

bool value_field_bool(lua_State *L, int table, const char *key, bool otherwise) {
    lua_getfield(L, table, key);
    bool v = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return v;
}
