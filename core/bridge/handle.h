/* handle.h -- userdata that C empties at the end of a request. See handle.c. */
#ifndef PERILUNE_BRIDGE_HANDLE_H
#define PERILUNE_BRIDGE_HANDLE_H

#include <lua.h>

struct state;

/* A kind of handle: its metatable, and the one of handles that were emptied. */
struct handle_type {
    const void *table, *dead_table; /* identities; a name would be hashed each time */
    int         ref, dead_ref;      /* in the registry */
};

/* Where a state's living handles are found again. */
struct handles {
    int       ref;        /* table slot -> handle; weak, so that the collector is free */
    unsigned *free;       /* slots to be used again */
    unsigned  free_len, count, cap;
};

/* Once per state, in a protected call. */
void handles_open(lua_State *L);
void handles_deinit(struct handles *h);

/* The metatable on top [0, 0, e], complete, is that of handles of this type from now
 * on; dead ones get a copy without __gc. */
void handle_type_set(lua_State *L, struct handle_type *type);

/* A new handle of `size` bytes, zeroed [0, +1, e].  *slot is for handle_empty(); the
 * owner keeps it until then. */
void *handle_new(lua_State *L, const struct handle_type *type, size_t size, unsigned *slot);

/* Is the value at index such a handle, living or dead?  Its memory, or NULL. [0, 0, -] */
void *handle_test(lua_State *L, int index, const struct handle_type *type);

/* Gives the slot back.  Returns the handle's memory, for the caller to empty at once, or
 * NULL when it was collected: its __gc has run or will.  Cannot fail. */
void *handle_empty(struct state *s, const struct handle_type *type, unsigned slot);

#endif
