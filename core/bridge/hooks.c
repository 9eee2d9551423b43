/* hooks.c -- tap, finally, record: a policy's functions on an answer's way. (map is in map.c.)
 *
 *     source --> response --> [ map --> record --> taps ] --> consumer
 *                                the filter of a response's hooks
 *
 * The functions stand in the environment of the response's handle, so that the
 * collector sees them as part of it (a registry reference could form a cycle it
 * cannot see):
 *
 *     env = { taps = {fn, ...}, maps = {fn, ...}, ends = {fn | false, ...}, infos = {...},
 *             finally = {fn, ...} }
 *
 * They run protected, outside any coroutine: they may compute and set variables,
 * they cannot wait.  One that throws fails the answer: with the error itself when that
 * was made by perilune.error, else with policy_error; later events are not shown to it. */
#include "bridge/hooks_int.h"

#include <stdio.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/budget.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/whole.h"

static enum flow on_event(struct sink *k, const struct event *ev);

/* -- Life ------------------------------------------------------------------------------- */

static void hooks_free(struct filter *f) {
    struct hooks *h = container_of(f, struct hooks, filter);
    mapper_free(h->mapper);
    whole_free(h->whole);
    event_reader_deinit(&h->reader);
    buf_deinit(&h->recorded);
    failure_deinit(&h->failure);
    budget_put(h->budget);
    mem_free(h);
}

void hooks_release(struct hooks *h) {
    if (h != NULL && !h->placed) hooks_free(&h->filter); /* else it goes with the filters */
}

/* Also when it is too late for a filter: finally() is all that it may still get. */
static struct hooks *hooks_of(struct response *r) {
    struct lua_response *lr = response_lua(r);
    if (lr->hooks != NULL) return lr->hooks;
    struct state *s = lr->state;
    struct budget *b = s->time.run.budget ? budget_ref(s->time.run.budget) : budget_new();
    struct hooks *h = b ? mem_zalloc(sizeof(*h)) : NULL;
    if (h == NULL) {
        budget_put(b);
        return NULL;
    }
    h->budget = b;
    h->filter = (struct filter){ .sink = { on_event }, .free = hooks_free };
    h->r = r;
    buf_init(&h->recorded, r->limit);
    struct task *t = s->running;
    snprintf(h->id, sizeof(h->id), "%s", t && t->request ? t->request->id : "-");
    lr->hooks = h;
    return h;
}

struct hooks *hooks_for(lua_State *L, struct response **out) {
    struct response *r = response_test(L, 1);
    luaL_argcheck(L, r != NULL, 1, "not a response");
    if (response_is_opened(r)) luaL_error(L, "too late: this response is already being read or sent");
    struct hooks *h = hooks_of(r);
    if (h == NULL) luaL_error(L, "not enough memory");
    if (!h->placed) response_add_filter(r, &h->filter);
    h->placed = true;
    *out = r;
    return h;
}

void hooks_add_function(lua_State *L, const char *list, int fn) {
    lib_handle_env(L, 1);
    lua_getfield(L, -1, list);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, list);
    }
    lua_pushvalue(L, fn);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 2);
}

/* -- Running Lua ------------------------------------------------------------------------- */

void hooks_break(struct hooks *h) {
    h->broken = true;
    response_break(h->r, &h->filter, &h->failure);
}

void hooks_protect(struct hooks *h, int (*fn)(lua_State *L, void *ud), void *ud) {
    if (h->broken) return;
    char err[900] = "";
    struct state *s = response_lua(h->r)->state;
    struct failure thrown;
    struct stretch outer;
    failure_init(&thrown);
    stretch_begin(s, &outer, h->budget, true);
    struct failure *before = s->thrown;
    s->thrown = &thrown;
    h->running = true;
    int rc = h->budget->killed ? PERILUNE_ERR_POLICY : state_call(s, fn, ud, err, sizeof(err));
    h->running = false;
    s->thrown = before;
    h->ran_us += stretch_end(s, &outer);
    const char *killed = h->budget->killed;
    bool meant = failure_is_set(&thrown) && killed == NULL;
    if (rc != 0 || killed != NULL) {
        state_collect_early(s); /* it may have eaten memory that others need */
        state_collect_soon(s);
        h->broken = true;
    }
    if (h->broken && meant) {
        failure_move(&h->failure, &thrown);
    } else if (h->broken) {
        if (s->stats) atomic_fetch_add_explicit(killed ? &s->stats->kills : &s->stats->errors, 1, memory_order_relaxed);
        if (killed) failure_set(&h->failure, FAILURE_POLICY_BUDGET, "%s", killed);
        else failure_set(&h->failure, FAILURE_POLICY, "a policy's tap or map failed (see the log, request %s)", h->id);
        const char *id = strcmp(h->id, "-") == 0 ? NULL : h->id;
        log_of_request(s->log, PERILUNE_LOG_ERROR, id, "tap, map or finally failed: %s",
                       killed && (rc == PERILUNE_ERR_NOMEM || err[0] == '\0') ? killed : err);
    }
    failure_deinit(&thrown);
}

bool response_hooks_run(const struct response *r) {
    const struct lua_response *lr = response_lua(r);
    return lr != NULL && lr->hooks != NULL && lr->hooks->running;
}

uint64_t response_hooks_us(const struct response *r) {
    const struct lua_response *lr = response_lua(r);
    return lr != NULL && lr->hooks != NULL ? lr->hooks->ran_us : 0;
}

/* Calls each function of env[list] with the value on top. [-1, +0, e] */
static void call_all(lua_State *L, struct response *r, const char *list) {
    int arg = lua_gettop(L);
    if (!lib_push_handle(L, r)) luaL_error(L, "the functions of %s are gone", list); /* nothing goes unseen */
    lua_getfenv(L, -1);
    lua_getfield(L, -1, list);
    int t = lua_gettop(L);
    for (int i = 1; lua_istable(L, t) && i <= (int)lua_objlen(L, t); i++) {
        lua_rawgeti(L, t, i);
        lua_pushvalue(L, arg);
        blame_call(L, 1, 0, NULL);
    }
    lua_settop(L, arg - 1);
}

/* -- Events ------------------------------------------------------------------------------- */

struct run {
    struct hooks         *h;
    const struct event   *ev;
    const struct outcome *outcome;
};

static int run_taps(lua_State *L, void *ud) {
    struct run *run = ud;
    event_reader_push(L, &run->h->reader, run->h->r->dialect, run->ev);
    call_all(L, run->h->r, "taps");
    return 0;
}

enum flow hooks_pass(struct hooks *h, const struct event *ev) {
    bool content = ev->type == EVENT_FRAME || ev->type == EVENT_BYTES;
    if (content && h->record) event_reader_text(&h->reader, h->r->dialect, ev, 0, &h->recorded);
    if (content && h->whole != NULL) whole_add(h->whole, ev);
    if (content && h->has_tap) hooks_protect(h, run_taps, &(struct run){ .h = h, .ev = ev });
    if (!h->broken) return h->filter.to->event(h->filter.to, ev);
    hooks_break(h);
    return FLOW_MORE;
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct hooks *h = container_of(container_of(k, struct filter, sink), struct hooks, filter);
    if (h->broken) return FLOW_MORE;
    bool content = ev->type == EVENT_FRAME || ev->type == EVENT_BYTES;
    if (h->mapper != NULL && (content || ev->type == EVENT_END)) return mapper_event(h->mapper, ev);
    return hooks_pass(h, ev);
}

/* -- Finally ----------------------------------------------------------------------------------- */

static int run_finally(lua_State *L, void *ud) {
    struct run *run = ud;
    struct hooks *h = run->h;
    cleanup_push_outcome(L, run->outcome);
    if (h->record && !buf_failed(&h->recorded)) {
        lua_pushlstring(L, buf_get(&h->recorded).ptr, buf_len(&h->recorded));
        lua_setfield(L, -2, "text");
    }
    struct buf *whole = h->whole != NULL ? lib_output(L) : NULL;
    if (whole != NULL && whole_write(h->whole, whole) && !buf_failed(whole)) {
        lua_pushlstring(L, buf_get(whole).ptr, buf_len(whole));
        lua_setfield(L, -2, "answer");
    }
    call_all(L, h->r, "finally");
    return 0;
}

void hooks_finally(struct response *r, const struct outcome *o) {
    struct hooks *h = response_lua(r)->hooks;
    if (!h->has_finally) return;
    h->broken = false;
    struct state *s = response_lua(r)->state;
    uint64_t before = h->ran_us;
    budget_reprieve(s, h->budget);
    h->budget->block_us = budget_finally_left(s);
    h->budget->turn_us = 0;
    hooks_protect(h, run_finally, &(struct run){ .h = h, .outcome = o });
    budget_finally_took(s, h->ran_us - before);
}

/* -- What policies call ---------------------------------------------------------------------------- */

int l_response_tap(lua_State *L) {
    struct response *r;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct hooks *h = hooks_for(L, &r);
    hooks_add_function(L, "taps", 2);
    h->has_tap = true;
    lua_settop(L, 1);
    return 1;
}

int l_response_finally(lua_State *L) {
    struct response *r = response_test(L, 1);
    luaL_argcheck(L, r != NULL, 1, "not a response");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct hooks *h = hooks_of(r);
    const struct task *t = state_of(L)->running;
    bool kept = t == NULL || t->request == NULL || request_keep(t->request);
    if (h == NULL || !kept) return luaL_error(L, "not enough memory");
    hooks_add_function(L, "finally", 2);
    h->has_finally = true;
    lua_settop(L, 1);
    return 1;
}

/* core.record_whole(res) -> res: finally() gets the answer as `answer`, JSON, with all choices, a stream put
 * together */
int l_record_whole(lua_State *L) {
    struct response *r;
    struct hooks *h = hooks_for(L, &r);
    if (h->whole == NULL) h->whole = whole_new(r->limit);
    if (h->whole == NULL) return luaL_error(L, "not enough memory");
    lua_settop(L, 1);
    return 1;
}

int l_response_record(lua_State *L) {
    struct response *r;
    struct hooks *h = hooks_for(L, &r);
    h->record = true;
    lua_settop(L, 1);
    return 1;
}
