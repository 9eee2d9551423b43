/* guest.h -- a state inside of a lua_State that somebody else made. See guest.c. */
#ifndef PERILUNE_BRIDGE_GUEST_H
#define PERILUNE_BRIDGE_GUEST_H

#include "bridge/state.h"

/* What a lua_State has of its guest, for as long as it lives. */
struct guest {
    struct state *state;  /* NULL: not yet, or not any more */
    void        (*leave)(void *ud); /* the host closes its lua_State: all that runs ends, while there is still Lua */
    void        (*free)(void *ud);  /* the state is gone, and what it used may go */
    const luaL_Reg *functions; /* besides those of lib.c, for perilune.core; private; NULL: none */
    void         *ud;     /* NULL: nothing is there to be freed */
    int           module; /* what luaopen_perilune() returns: a reference; 0: not yet */
};

/* The guest of this lua_State, or a new and empty one, which hears of its end.  The caller fills in the
 * rest, state among it (state_make()). [0, 0, e] */
struct guest *guest_get(lua_State *L);
/* Opens its state, and loads `module` of the library.  When it raises, guest_let_go() is due. [0, 0, e] */
void guest_open(lua_State *L, struct guest *g, const char *module);
/* It is as empty as it was, but when something runs. */
void guest_let_go(struct guest *g);

#endif
