/* view.c -- objects of a body as Lua sees them.
 *
 * A view is a userdata: the body (a share of it) and the number of an object's
 * node.  Reading a field decodes that field and nothing else.  What Lua could
 * change afterwards (tables, other views) and what it wrote is kept in the
 * userdata's environment table:
 *
 *     view --env--> { content = "new text",  tool_calls = DELETED,  parts = {...} }
 *       |
 *       +--> body, node --> {"role":"user","content":"old","tool_calls":[...]}
 *
 * A JSON array becomes a plain Lua table whose objects are views, so that
 * table.insert, # and ipairs just work.
 *
 * On the way out an object is spliced: members that are not in the environment,
 * or were only read, are copied from the text, everything between them too; only
 * what changed is encoded.  An array counts as unchanged when it has the same
 * length and each element is the original one. */
#include "bridge/view.h"

#include <lauxlib.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/state.h"
#include "bridge/value.h"

static const char deleted_address;
#define VIEW_TYPE "perilune.object"

static void push_deleted(lua_State *L) { lua_pushlightuserdata(L, (void *)(uintptr_t)&deleted_address); }

static bool is_deleted(lua_State *L, int i) {
    return lua_islightuserdata(L, i) && lua_touserdata(L, i) == (const void *)&deleted_address;
}

static struct view *to_view(lua_State *L, int i) {
    if (lua_type(L, i) != LUA_TUSERDATA || !lua_getmetatable(L, i)) return NULL;
    luaL_getmetatable(L, VIEW_TYPE);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? lua_touserdata(L, i) : NULL;
}

/* [0, +1, e] takes its own share */
static void push(lua_State *L, struct body *body, uint32_t node) {
    struct view *v = lua_newuserdata(L, sizeof(*v));
    *v = (struct view){ NULL, node, false };
    luaL_getmetatable(L, VIEW_TYPE);
    lua_setmetatable(L, -2);
    v->body = body_ref(body);
}

static void check_alive(lua_State *L, const struct view *v) {
    if (v->body != NULL && body_is_cleared(v->body)) luaL_error(L, "request is finished");
}

/* [0, +1, e] */
static void push_env(lua_State *L, struct view *v, int object) {
    if (!v->has_env) {
        lua_newtable(L);
        lua_setfenv(L, object);
        v->has_env = true;
    }
    lua_getfenv(L, object);
}

/* -- Reading ------------------------------------------------------------------------ */

/* An array's elements; objects in it stay lazy. [0, +1, e] */
static void push_array(lua_State *L, struct body *body, uint32_t node) {
    const struct json_doc *doc = &body->doc;
    luaL_checkstack(L, 4, "JSON is nested too deeply");
    state_pay(L, 4 * doc->nodes[node].count);
    lua_createtable(L, (int)doc->nodes[node].count, 0);
    int i = 0;
    for (uint32_t n = json_first(doc, node); n != JSON_NONE; n = json_next(doc, node, n)) {
        if (json_type(doc, n) == JSON_OBJECT) push(L, body, n);
        else if (json_type(doc, n) == JSON_ARRAY) push_array(L, body, n);
        else value_push(L, doc, n);
        lua_rawseti(L, -2, ++i);
    }
    if (i == 0) lib_mark_array(L);
}

/* The member's node, or JSON_NONE. */
static uint32_t member(lua_State *L, struct view *v, int key) {
    if (v->body == NULL || lua_type(L, key) != LUA_TSTRING) return JSON_NONE;
    size_t len;
    const char *s = lua_tolstring(L, key, &len);
    return json_get(&v->body->doc, v->node, slice_of(s, len));
}

void view_get(lua_State *L, struct view *v, int object, int key) {
    check_alive(L, v);
    if (v->has_env) {
        lua_getfenv(L, object);
        lua_pushvalue(L, key);
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (is_deleted(L, -1)) {
            lua_pop(L, 1);
            lua_pushnil(L);
            return;
        }
        if (!lua_isnil(L, -1)) return;
        lua_pop(L, 1);
    }
    uint32_t n = member(L, v, key);
    if (n == JSON_NONE) {
        lua_pushnil(L);
        return;
    }
    enum json_type type = json_type(&v->body->doc, n);
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        value_push(L, &v->body->doc, n);
        return;
    }
    push_env(L, v, object);
    lua_pushvalue(L, key);
    if (type == JSON_OBJECT) push(L, v->body, n);
    else push_array(L, v->body, n);
    lua_pushvalue(L, -1);
    lua_insert(L, -4);
    lua_rawset(L, -3); /* env[key] = it */
    lua_pop(L, 1);
}

void view_set(lua_State *L, struct view *v, int object, int key, int value) {
    check_alive(L, v);
    if (lua_type(L, key) != LUA_TSTRING) luaL_error(L, "field names of a JSON object are strings");
    push_env(L, v, object);
    lua_pushvalue(L, key);
    if (lua_isnil(L, value)) push_deleted(L);
    else lua_pushvalue(L, value);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* -- Is it still the original? -------------------------------------------------------- */

static bool same_value(lua_State *L, struct body *body, uint32_t n, int i);

static bool same_array(lua_State *L, struct body *body, uint32_t node, int t) {
    const struct json_doc *doc = &body->doc;
    if (lua_objlen(L, t) != doc->nodes[node].count) return false;
    if (!value_is_list(L, t, doc->nodes[node].count)) { /* to be encoded, which says what is wrong */
        lua_pop(L, 1);
        return false;
    }
    int i = 0;
    for (uint32_t n = json_first(doc, node); n != JSON_NONE; n = json_next(doc, node, n)) {
        lua_rawgeti(L, t, ++i);
        bool same = same_value(L, body, n, lua_gettop(L));
        lua_pop(L, 1);
        if (!same) return false;
    }
    return true;
}

static bool same_string(lua_State *L, const struct json_doc *doc, uint32_t n, int i) {
    size_t len;
    const char *s = lua_tolstring(L, i, &len);
    return json_str_eq(doc, n, slice_of(s, len));
}

static bool same_value(lua_State *L, struct body *body, uint32_t n, int i) {
    luaL_checkstack(L, 4, "JSON is nested too deeply");
    state_pay(L, 4);
    const struct json_doc *doc = &body->doc;
    struct view *v;
    switch (json_type(doc, n)) {
    case JSON_NULL: return value_is_null(L, i);
    case JSON_FALSE: return lua_isboolean(L, i) && !lua_toboolean(L, i);
    case JSON_TRUE: return lua_isboolean(L, i) && lua_toboolean(L, i);
    case JSON_NUMBER: return lua_type(L, i) == LUA_TNUMBER && lua_tonumber(L, i) == json_number(doc, n);
    case JSON_STRING: return lua_type(L, i) == LUA_TSTRING && same_string(L, doc, n, i);
    case JSON_ARRAY: return lua_type(L, i) == LUA_TTABLE && same_array(L, body, n, i);
    case JSON_OBJECT:
        v = to_view(L, i);
        return v != NULL && v->body == body && v->node == n && !view_is_dirty(L, v, i);
    }
    return false;
}

bool view_is_dirty(lua_State *L, struct view *v, int object) {
    check_alive(L, v);
    if (!v->has_env) return false;
    luaL_checkstack(L, 6, "JSON is nested too deeply");
    lua_getfenv(L, object);
    int env = lua_gettop(L);
    bool dirty = false;
    lua_pushnil(L);
    while (!dirty && lua_next(L, env) != 0) {
        bool field = lua_type(L, -2) == LUA_TSTRING; /* else the owner's private things */
        uint32_t n = member(L, v, lua_gettop(L) - 1);
        if (!field) dirty = false;
        else if (is_deleted(L, -1)) dirty = n != JSON_NONE;
        else dirty = n == JSON_NONE || !same_value(L, v->body, n, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_settop(L, env - 1);
    return dirty;
}

/* -- Writing ------------------------------------------------------------------------------ */

/* One array that Lua changed: untouched elements are still slices. */
static void write_value(lua_State *L, struct body *body, uint32_t n, int i, struct buf *out, int depth) {
    if (same_value(L, body, n, i)) buf_slice(out, json_raw(&body->doc, n));
    else value_encode(L, i, out, depth);
}

/* Is this member overridden?  Pushes the new value if so. [0, +0|1, e] */
static bool push_override(lua_State *L, int env, const struct json_doc *doc, uint32_t key) {
    value_push_string(L, doc, key);
    lua_rawget(L, env);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* Copies text up to `to`; *from moves along. */
static void copy_to(const struct json_doc *doc, size_t *from, size_t to, struct buf *out) {
    if (to > *from) buf_put(out, doc->text.ptr + *from, to - *from);
    *from = to;
}

/* Leaves member out, with one comma: the one behind it, or for the last the one
 * before, which is still in `out`. */
static void skip_member(const struct json_doc *doc, uint32_t key, uint32_t value, uint32_t stop,
                        size_t *from, struct buf *out) {
    uint32_t after = doc->nodes[value].next;
    copy_to(doc, from, doc->nodes[key].start, out);
    if (after < stop) {
        *from = doc->nodes[after].start;
        return;
    }
    *from = doc->nodes[value].end;
    while (out->len > out->mark && strchr(" \t\r\n,", out->data[out->len - 1]) != NULL)
        if (out->data[--out->len] == ',') break;
}

static void write_members(lua_State *L, struct view *v, int env, size_t *from, struct buf *out,
                          int depth) {
    const struct json_doc *doc = &v->body->doc;
    uint32_t stop = doc->nodes[v->node].next;
    for (uint32_t key = json_first(doc, v->node); key != JSON_NONE && key < stop;) {
        uint32_t value = doc->nodes[key].next;
        if (push_override(L, env, doc, key)) {
            if (is_deleted(L, -1)) {
                skip_member(doc, key, value, stop, from, out);
            } else {
                copy_to(doc, from, doc->nodes[value].start, out);
                write_value(L, v->body, value, lua_gettop(L), out, depth + 1);
                *from = doc->nodes[value].end;
            }
            lua_pop(L, 1);
        }
        key = doc->nodes[value].next;
    }
}

/* Members that were not in the text. */
static void write_new(lua_State *L, struct view *v, int env, struct buf *out, int depth) {
    lua_pushnil(L);
    while (lua_next(L, env) != 0) {
        int key = lua_gettop(L) - 1;
        if (lua_type(L, key) == LUA_TSTRING && !is_deleted(L, -1) && member(L, v, key) == JSON_NONE) {
            size_t len;
            const char *s = lua_tolstring(L, key, &len);
            if (out->len > out->mark && out->data[out->len - 1] != '{') buf_putc(out, ',');
            json_write_string(out, slice_of(s, len));
            buf_putc(out, ':');
            state_pay(L, len / VALUE_STEP_BYTES);
            value_encode(L, lua_gettop(L), out, depth + 1);
        }
        lua_pop(L, 1);
    }
}

void view_write(lua_State *L, struct view *v, int object, struct buf *out, int depth) {
    if (!view_is_dirty(L, v, object)) {
        buf_slice(out, json_raw(&v->body->doc, v->node));
        return;
    }
    luaL_checkstack(L, 8, "JSON is nested too deeply");
    const struct json_doc *doc = &v->body->doc;
    lua_getfenv(L, object);
    int env = lua_gettop(L);
    size_t from = doc->nodes[v->node].start;
    write_members(L, v, env, &from, out, depth);
    copy_to(doc, &from, doc->nodes[v->node].end - 1, out);
    write_new(L, v, env, out, depth);
    buf_putc(out, '}');
    lua_pop(L, 1);
    lib_check_buf(L, out);
}

bool view_encode(lua_State *L, int index, struct buf *out, int depth) {
    struct view *v = to_view(L, index);
    if (v == NULL) return false;
    view_write(L, v, index, out, depth);
    return true;
}

/* -- Metatable ------------------------------------------------------------------------------ */

static int l_index(lua_State *L) {
    view_get(L, lua_touserdata(L, 1), 1, 2);
    return 1;
}

static int l_newindex(lua_State *L) {
    view_set(L, lua_touserdata(L, 1), 1, 2, 3);
    return 0;
}

static int l_gc(lua_State *L) {
    struct view *v = lua_touserdata(L, 1);
    body_put(v->body);
    v->body = NULL;
    return 0;
}

static int l_tostring(lua_State *L) {
    struct buf *out = lib_output(L);
    view_write(L, lua_touserdata(L, 1), 1, out, 0);
    struct slice s = buf_get(out);
    lua_pushlstring(L, s.ptr, s.len);
    return 1;
}

/* core.json_view(text) -> value | nil, message: objects stay as they are written. */
int l_json_view(lua_State *L) {
    struct slice s;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    /* The body belongs to a handle before anything can raise. */
    struct view *v = lua_newuserdata(L, sizeof(*v));
    *v = (struct view){ NULL, 0, false };
    luaL_getmetatable(L, VIEW_TYPE);
    lua_setmetatable(L, -2);
    struct buf bytes;
    buf_init(&bytes, 0);
    buf_slice(&bytes, s);
    struct failure f;
    failure_init(&f);
    if (body_new(&v->body, &bytes, NULL, &f) != 0) {
        static const char subject[] = "the body is ";
        size_t skip = strncmp(f.message, subject, sizeof(subject) - 1) == 0 ? sizeof(subject) - 1 : 0;
        lua_pushnil(L);
        lua_pushstring(L, f.message + skip);
        failure_deinit(&f);
        buf_deinit(&bytes);
        return 2;
    }
    enum json_type type = json_type(&v->body->doc, 0);
    if (type == JSON_ARRAY) push_array(L, v->body, 0);
    else if (type != JSON_OBJECT) value_push(L, &v->body->doc, 0);
    return 1;
}

/* core.fields(view): a plain table of its members, for pairs(). */
int l_fields(lua_State *L) {
    struct view *v = to_view(L, 1);
    luaL_argcheck(L, v != NULL, 1, "not a JSON object");
    check_alive(L, v);
    const struct json_doc *doc = &v->body->doc;
    lua_newtable(L);
    int t = lua_gettop(L);
    for (uint32_t key = json_first(doc, v->node); key != JSON_NONE;) {
        uint32_t value = json_next(doc, v->node, key);
        value_push_string(L, doc, key);
        int k = lua_gettop(L);
        view_get(L, v, 1, k);
        lua_rawset(L, t);
        key = json_next(doc, v->node, value);
    }
    if (!v->has_env) return 1;
    lua_getfenv(L, 1);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pushvalue(L, -2);
        if (is_deleted(L, -2)) lua_pushnil(L);
        else lua_pushvalue(L, -2);
        lua_rawset(L, t);
        lua_pop(L, 1);
    }
    lua_settop(L, t);
    return 1;
}

void view_open(lua_State *L) {
    /* private: metamethods */
    static const luaL_Reg meta[] = { { "__index", l_index },
                                     { "__newindex", l_newindex },
                                     { "__gc", l_gc },
                                     { "__tostring", l_tostring },
                                     { NULL, NULL } };
    luaL_newmetatable(L, VIEW_TYPE);
    luaL_register(L, NULL, meta);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
