/* l_credit.c -- core.credit_earn, core.credit_spend: what may be done for a share of all requests (sched/credit.c), by
 * name.  Budgets of retries are made of it, and hedges. */
#include "bridge/lib.h"
#include "bridge/state.h"

#define NAME_MOST 200     /* bytes */
#define UNITS     1000000 /* a second, and at once: more is no limit */

static struct credit *credit_of(lua_State *L) {
    struct slice name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    luaL_argcheck(L, name.len > 0 && name.len <= NAME_MOST, 1, "a name has 1 to 200 bytes");
    struct credit *c = credits_get(state_of(L)->stores->credits, name);
    if (c == NULL) luaL_error(L, "a process has at most %d names of budgets", CREDITS_MAX);
    return c;
}

static unsigned thousandths(lua_State *L, int i) {
    double v = luaL_checknumber(L, i);
    luaL_argcheck(L, v >= 0 && v <= UNITS, i, "must be a number from 0 to 1000000");
    return (unsigned)(v * 1000 + 0.5);
}

/* core.credit_earn(name, share, floor, most): a request came.  It earns `share` of a unit, a second `floor` units; at
 * most `most` are saved. */
int l_credit_earn(lua_State *L) {
    struct credit *c = credit_of(L);
    unsigned share = thousandths(L, 2), floor = thousandths(L, 3), most = thousandths(L, 4);
    credit_earn(c, share, floor, most, loop_now(state_of(L)->loop));
    return 0;
}

/* core.credit_spend(name) -> true: there was a unit, and it is taken */
int l_credit_spend(lua_State *L) {
    lua_pushboolean(L, credit_spend(credit_of(L)));
    return 1;
}
