/* cleanup.c -- req:finally(fn): cleanup that happens whatever becomes of a request.
 *
 *     registry[r->cleanup_ref] = { fn, fn, ... }     from the first finally() to the end of the request
 *
 * res:finally() needs a response, and so says nothing of a policy that throws, nor of a client that
 * leaves while next() waits: the coroutine is dropped there and no line behind it runs.  These functions hang on
 * the request, which always ends, and run once: after those of the response, the one that was
 * given last first, so that an inner policy cleans up before an outer one.
 *
 * The list is in the registry because the handle of the request is not kept alive by anybody; a
 * function that refers to its request makes a cycle, which ends with the request.
 *
 * Each function runs protected: one that throws is logged and the others run.  They have an account of
 * their own, since a policy that is cleaned up after may have used up the other: CLEANUP_US for all of a
 * request, less when the worker's share for finally is used up (budget.c), and LEAST_US for each, whatever
 * those before it used.  Like all hooks they cannot wait. */
#include "bridge/cleanup.h"

#include "bridge/blame.h"
#include "bridge/budget.h"
#include "bridge/lib.h"

#define CLEANUP_US  5000
#define LEAST_US    200
#define CLEANUP_MAX 32 /* functions of one request */

/* -- Registering ------------------------------------------------------------------------ */

int l_request_finally(lua_State *L) {
    struct request *r = request_check(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    const struct budget *b = state_of(L)->time.run.budget;
    if (r->cleanup_budget == NULL) r->cleanup_budget = budget_new();
    if (r->cleanup_budget == NULL || !request_keep(r)) return luaL_error(L, "not enough memory");
    if (r->cleanup_ref == 0) {
        lua_newtable(L);
        r->cleanup_ref = state_ref_new(L);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->cleanup_ref);
    int n = (int)lua_objlen(L, -1);
    if (n == CLEANUP_MAX) return luaL_error(L, "req:finally: a request has at most %d functions", CLEANUP_MAX);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, n + 1);
    r->cleanup_budget->trusted |= b != NULL && b->trusted;
    lua_settop(L, 1);
    return 1;
}

/* -- Running ------------------------------------------------------------------------------ */

static void set_number(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

void cleanup_push_outcome(lua_State *L, const struct outcome *o) {
    lua_createtable(L, 0, 7);
    lua_pushboolean(L, o->ok);
    lua_setfield(L, -2, "ok");
    if (!o->ok) {
        lua_pushstring(L, o->code);
        lua_setfield(L, -2, "code");
    }
    if (o->cache != NULL && o->cache[0] != '\0') {
        lua_pushstring(L, o->cache);
        lua_setfield(L, -2, "cache");
    }
    set_number(L, "ttft_ms", (double)o->ttft_us / 1000);
    set_number(L, "total_ms", (double)o->total_us / 1000);
    if (!o->usage.known) return;
    lib_push_usage(L, &o->usage);
    if (o->estimated) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "estimated");
    }
    lua_setfield(L, -2, "usage");
}

struct run {
    struct request *r;
    const struct outcome  *outcome;
    int                    count, which;
};

static int count(lua_State *L, void *ud) {
    struct run *run = ud;
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->r->cleanup_ref);
    run->count = (int)lua_objlen(L, -1);
    return 0;
}

/* Takes the function out of the list and calls it. */
static int call(lua_State *L, void *ud) {
    struct run *run = ud;
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->r->cleanup_ref);
    lua_rawgeti(L, -1, run->which);
    lua_pushnil(L);
    lua_rawseti(L, -3, run->which);
    cleanup_push_outcome(L, run->outcome);
    blame_call(L, 1, 0, NULL);
    return 0;
}

/* The account has `most` left. */
static void allow(const struct state *s, struct budget *b, uint64_t most) {
    b->killed = NULL;
    b->earned_us = b->turn_us = 0;
    b->used_us = s->limits.cpu_us > most ? s->limits.cpu_us - most : 0;
}

/* Returns what it took. */
static uint64_t call_one(struct state *s, struct run *run) {
    struct budget *b = run->r->cleanup_budget;
    struct stretch outer;
    char err[900] = "";
    stretch_begin(s, &outer, b, true);
    int rc = state_call(s, call, run, err, sizeof(err));
    uint64_t took = stretch_end(s, &outer);
    if (rc == 0 && b->killed == NULL) return took;
    if (s->stats) atomic_fetch_add_explicit(b->killed ? &s->stats->kills : &s->stats->errors, 1, memory_order_relaxed);
    log_of_request(s->log, PERILUNE_LOG_ERROR, run->r->id, "req:finally failed: %s",
                   b->killed && (rc == PERILUNE_ERR_NOMEM || err[0] == '\0') ? b->killed : err);
    state_collect_soon(s); /* what it left may be much */
    return took;
}

void cleanup_run(struct request *r, const struct outcome *o) {
    if (r->cleanup_ref == 0) return;
    struct state *s = r->state;
    struct run run = { .r = r, .outcome = o };
    uint64_t left = budget_finally_left(s);
    if (left > CLEANUP_US) left = CLEANUP_US;
    state_call(s, count, &run, NULL, 0);
    for (run.which = run.count; run.which > 0; run.which--) {
        allow(s, r->cleanup_budget, left);
        uint64_t took = call_one(s, &run);
        budget_finally_took(s, took);
        left = left > took + LEAST_US ? left - took : LEAST_US;
    }
    state_ref_drop(s, r->cleanup_ref);
    r->cleanup_ref = 0;
}
