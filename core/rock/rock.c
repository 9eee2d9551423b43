/* rock.c -- Perilune as a module of any LuaJIT program: what require "perilune" gives.
 *
 *     the host's lua_State
 *       registry: guest (bridge/guest.c) --> struct rock: a clock, a log, stores
 *                   |                          |
 *                   +--> struct state          +--> struct rock_run (run.c), once perilune.run() was called:
 *                        (bridge/state.h)           a loop, a worker without listeners, upstreams
 *
 * This is the third way to the same code.  The server makes a lua_State for each worker and configuration (gateway/),
 * specs and commands make one with a virtual clock (cli/alone.c), and here there is one already.  All three then have
 * a struct state with the functions of lib.c and the files of lua/perilune/.  What these need decides what works:
 *
 *     nothing but memory and a clock   tokens, truncate, text, trim, compress, embed, json, template, sse, shared,
 *                                      cache:get and :set, limit:take ...: at once, anywhere, also inside of OpenResty
 *     a task and a loop                sleep, fetch, all, any, race, map, ask, streams: inside of perilune.run()
 *     upstreams, routes, policies      ask: what the configuration says that perilune.run() was given
 *     a gateway                        listeners, reloads, jobs, what machines share: the program has that
 *
 * No second Lua comes into the process.  The module is linked without LuaJIT's library and finds lua_... where the host
 * has it; it exports one name, and hides all others (module.c, the Makefile's `rock`).
 *
 * Each lua_State has a rock of its own, which shares nothing with others: threads of a host that have a lua_State each
 * have no lock to wait for.  A thread at a time per lua_State, as Lua has it. */
#include "rock/rock.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "rock/run.h"

#define ANSWER_BYTES (64u << 20) /* that Lua reads as a whole: what a server refuses to hold for one of many, a program
                                    may want */
#define HIGH_WATER   (1u << 20)

static void write_line(void *ud, int level, perilune_str line) {
    (void)ud;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

static void leave(void *ud) {
    struct rock *r = ud;
    rock_run_close(r);
    loop_flush(&r->still);
}

static void rock_free(void *ud) {
    struct rock *r = ud;
    rock_run_free(r);
    stores_free(r->stores);
    loop_deinit(&r->still);
    mem_free(r);
}

/* NULL: no memory. */
static struct rock *rock_new(void) {
    struct rock *r = mem_zalloc(sizeof(*r));
    if (r == NULL) return NULL;
    r->stores = stores_new();
    if (r->stores == NULL) {
        mem_free(r);
        return NULL;
    }
    loop_init_still(&r->still);
    r->log.write = write_line;
    atomic_init(&r->log.level, PERILUNE_LOG_INFO);
    return r;
}

struct rock *rock_of(lua_State *L) {
    state_of(L);
    return guest_get(L)->ud;
}

/* private: of lua/perilune/rock.lua */
static const luaL_Reg functions[] = { { "run", rock_l_run }, { NULL, NULL } };

int rock_open(lua_State *L) {
    static const struct state_limits limits = { .max_answer = ANSWER_BYTES, .high_water = HIGH_WATER };
    struct guest *g = guest_get(L);
    if (g->module == 0) {
        guest_let_go(g); /* of another time, when memory was out */
        struct rock *r = rock_new();
        struct state *s = r ? state_make(&r->still, &r->log, r->stores, &limits) : NULL;
        if (s == NULL) {
            if (r != NULL) rock_free(r);
            return luaL_error(L, "not enough memory");
        }
        r->guest = g;
        g->functions = functions;
        g->leave = leave;
        g->free = rock_free;
        g->ud = r;
        g->state = s;
        guest_open(L, g, "perilune.rock");
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, g->module);
    return 1;
}
