/* rock.h -- Perilune as a module of any LuaJIT program. See rock.c. */
#ifndef PERILUNE_ROCK_ROCK_H
#define PERILUNE_ROCK_ROCK_H

#include "bridge/guest.h"

struct rock_run;

struct rock {
    struct guest    *guest;
    struct loop      still;  /* the loop of who has none */
    struct log       log;
    struct stores   *stores;
    struct rock_run *run;    /* what perilune.run() needs; NULL: it was not called yet */
};

/* What require "perilune" calls, however often: pushes the module. [0, +1, e] */
int rock_open(lua_State *L);
/* The rock of this lua_State, or raises. [0, 0, e] */
struct rock *rock_of(lua_State *L);

#endif
