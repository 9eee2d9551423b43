/* l_upstream.c -- core.health, core.guard_calls: how upstreams fare, and what that means for a request.
 *
 * Who asks whether one rests would have called it, so this is when it is looked for (request/scout.c).
 *
 * What is told is the process's, not this worker's.  A pool fares as its members do: it is open when all are. */
#include <math.h>

#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/state.h"
#include "request/outgoing.h"
#include "request/scout.h"

/* -- Health -------------------------------------------------------------------------- */

/* Of one upstream, or of the members of a pool together. */
struct fare {
    bool     up;
    uint64_t wait_ms;          /* the least; 0: a call may go */
    bool     half;             /* somebody is half open, nobody closed */
    bool     closed;
    double   in_flight, calls, failures;
    double   q;                /* the third percentile */
    double   first[3], all[3]; /* seconds, the 50th, 95th and q-th of the quickest; 0: not known */
};

static void quicker(double *to, const struct latency *l, double q, uint64_t now) {
    double s = (double)latency_quantile(l, q, now) / 1e6;
    if (s > 0 && (*to == 0 || s < *to)) *to = s;
}

static void add(struct fare *f, const struct target *t, uint64_t now) {
    struct target_health *h = t->health;
    uint64_t wait = breaker_refuses(&h->breaker, now);
    unsigned state = atomic_load_explicit(&h->breaker.state, memory_order_relaxed);
    bool first = f->wait_ms == UINT64_MAX;
    f->up |= t->engine != NULL;
    for (unsigned u = 0; u < t->url_count; u++) f->up |= atomic_load(&h->down_until_ms[u]) <= now;
    if (first || wait < f->wait_ms) f->wait_ms = wait;
    f->closed |= state == BREAKER_CLOSED;
    f->half |= state == BREAKER_HALF_OPEN || (state == BREAKER_OPEN && wait == 0);
    f->in_flight += (double)atomic_load(&h->in_flight);
    f->calls += (double)atomic_load(&h->calls);
    f->failures += (double)atomic_load(&h->failures);
    const double q[] = { 0.5, 0.95, f->q };
    for (int i = 0; i < 3; i++) {
        quicker(&f->first[i], &h->first, q[i], now);
        quicker(&f->all[i], &h->all, q[i], now);
    }
}

static void set_number(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

static void set_times(lua_State *L, const char *key, const double *at) {
    if (at[0] <= 0) return;
    lua_createtable(L, 0, 3);
    set_number(L, "p50", at[0]);
    set_number(L, "p95", at[1]);
    set_number(L, "at", at[2]);
    lua_setfield(L, -2, key);
}

/* core.health(name, q) -> { healthy, state, wait, in_flight, calls, failures, first_token, whole_answer } | nil
 * q: the percentile of `at` in the last two, default 0.95 */
int l_health(lua_State *L) {
    struct state *s = state_of(L);
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    struct call_pool *pool = outgoing_find(&s->services, slice_of(name, len));
    if (pool == NULL) {
        lua_pushnil(L);
        return 1;
    }
    uint64_t now = loop_now(s->loop);
    struct fare f = { .wait_ms = UINT64_MAX, .q = luaL_optnumber(L, 2, 0.95) };
    const struct target_pool *p = pool->target->pool;
    if (p == NULL) add(&f, pool->target, now);
    for (unsigned i = 0; p != NULL && i < p->count; i++) add(&f, s->services.pools[p->members[i].target].target, now);
    lua_createtable(L, 0, 8);
    lua_pushboolean(L, f.up);
    lua_setfield(L, -2, "healthy");
    lua_pushstring(L, breaker_state_name(f.closed ? BREAKER_CLOSED : f.half ? BREAKER_HALF_OPEN : BREAKER_OPEN));
    lua_setfield(L, -2, "state");
    if (f.wait_ms > 0) set_number(L, "wait", (double)f.wait_ms / 1000);
    set_number(L, "in_flight", f.in_flight);
    set_number(L, "calls", f.calls);
    set_number(L, "failures", f.failures);
    set_times(L, "first_token", f.first);
    set_times(L, "whole_answer", f.all);
    return 1;
}

static uint64_t rests(struct state *s, struct call_pool *pool) {
    struct breaker *b = &pool->target->health->breaker;
    uint64_t now = loop_now(s->loop), wait = breaker_refuses(b, now);
    if (wait > 0 && breaker_wants_scout(b, now)) scout_send(s->loop, pool);
    return wait;
}

/* core.rests(name) -> seconds | nil: until the upstream, or the first of a pool, may be asked; nil: now */
int l_rests(lua_State *L) {
    struct state *s = state_of(L);
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    struct call_pool *pool = outgoing_find(&s->services, slice_of(name, len));
    const struct target_pool *p = pool ? pool->target->pool : NULL;
    uint64_t wait = pool && p == NULL ? rests(s, pool) : 0;
    for (unsigned i = 0; p != NULL && i < p->count; i++) {
        uint64_t one = rests(s, &s->services.pools[p->members[i].target]);
        if (i == 0 || one < wait) wait = one;
    }
    if (wait == 0) return 0;
    lua_pushnumber(L, (lua_Number)wait / 1000);
    return 1;
}

/* -- Guarded calls --------------------------------------------------------------------- */

/* 0: it is not there. */
static double number_at(lua_State *L, const char *key, double least) {
    lua_getfield(L, 2, key);
    bool there = !lua_isnil(L, -1);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (there && !(v >= least && v < 1e9)) luaL_error(L, "guard_calls: '%s' is out of range", key);
    return v;
}

/* core.guard_calls(req, settings): its calls are refused where the breaker is open, by these settings, and by those of
 * the upstream where one is not there; durations are seconds.  nil: not any more */
int l_guard_calls(lua_State *L) {
    lua_settop(L, 2);
    struct request *r = request_check(L, 1);
    if (lua_isnil(L, 2)) {
        r->breaker = NULL;
        return 0;
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    struct breaker_settings s = { .failures = (unsigned)number_at(L, "failures", 1),
                                  .calls = (unsigned)number_at(L, "calls", 1), .share = number_at(L, "share", 0),
                                  .probes = (unsigned)number_at(L, "probes", 1),
                                  .open_ms = (uint64_t)ceil(number_at(L, "open", 0) * 1000),
                                  .max_open_ms = (uint64_t)ceil(number_at(L, "max_open", 0) * 1000) };
    struct breaker_settings *kept = arena_alloc(&r->arena, sizeof(*kept));
    if (kept == NULL) return luaL_error(L, "not enough memory");
    *kept = s;
    r->breaker = kept;
    return 0;
}
