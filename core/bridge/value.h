/* value.h -- JSON text and Lua values. See value.c. */
#ifndef PERILUNE_BRIDGE_VALUE_H
#define PERILUNE_BRIDGE_VALUE_H

#include <lua.h>

#include "base/json.h"

#define VALUE_STEP_BYTES 64 /* of text that is written, for one step of state_pay() */

/* JSON null in Lua: a light userdata that is not nil, perilune.json.null. */
void value_push_null(lua_State *L);                    /* [0, +1, -] */
bool value_is_null(lua_State *L, int index);

/* Decodes the node and all below it into plain tables. [0, +1, e] */
void value_push(lua_State *L, const struct json_doc *doc, uint32_t node);
/* A table of value_push(), at this absolute index, anew with all tables in it.  How many values that are. [0, +1, e] */
size_t value_push_copy(lua_State *L, int t);
/* A string node. [0, +1, e] */
void value_push_string(lua_State *L, const struct json_doc *doc, uint32_t node);

/* The keys of the table at t are 1 to n and nothing else; some may be missing. Else the one that
 * is not is left on the stack. [0, +0|1, -] */
bool value_is_list(lua_State *L, int t, size_t n);

/* Appends the JSON of the value at index.  A table with a key 1 or made by
 * json.array() is an array, an empty one an object; views encode as their JSON.
 * Raises for functions, cycles (depth over 256), keys that a list cannot have. [0, 0, e] */
void value_encode(lua_State *L, int index, struct buf *out, int depth);

/* Fields of a table, for options. [0, 0, -] */
bool value_field_bool(lua_State *L, int table, const char *key, bool otherwise);

#endif
