/* view.h -- Lua's lazy look at a JSON object. See view.c. */
#ifndef PERILUNE_BRIDGE_VIEW_H
#define PERILUNE_BRIDGE_VIEW_H

#include <lua.h>

#include "request/body.h"

/* Of every view userdata, and the beginning of a request's. */
struct view {
    struct body *body; /* a share; NULL: no body */
    uint32_t     node; /* an object */
    bool         has_env; /* its environment holds read or written members */
};

/* Metatables etc. into the registry. [0, 0, e] */
void view_open(lua_State *L);

/* obj.key with the key at index; obj is the userdata at 1. [0, +1, e] */
void view_get(lua_State *L, struct view *v, int object, int key);
/* obj.key = value at index `value`. [0, 0, e] */
void view_set(lua_State *L, struct view *v, int object, int key, int value);

/* Has the object or anything below it been changed? [0, 0, e] */
bool view_is_dirty(lua_State *L, struct view *v, int object);
/* Appends its JSON: what is untouched byte for byte. [0, 0, e] */
void view_write(lua_State *L, struct view *v, int object, struct buf *out, int depth);

/* For value_encode(): is the value at index a view, and appended? */
bool view_encode(lua_State *L, int index, struct buf *out, int depth);

#endif
