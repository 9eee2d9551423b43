/* latch.h -- something that happens once, also for C that makes it happen. See l_latch.c. */
#ifndef PERILUNE_BRIDGE_LATCH_H
#define PERILUNE_BRIDGE_LATCH_H

#include <lua.h>

struct latch;

/* A share of the latch at index; NULL for nil, raises for anything else. [0, 0, e] */
struct latch *latch_take(lua_State *L, int index);
void          latch_put(struct latch *l); /* NULL is fine */
/* It has happened: who waits goes on at the end of the turn.  NULL is fine. */
void          latch_set(struct latch *l);

#endif
