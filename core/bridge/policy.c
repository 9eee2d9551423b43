/* policy.c -- loading a configuration, starting its chains.
 *
 * Loading is the same in the checker and in each worker; only the bundle knows
 * whether files are read or remembered.  See lua/perilune/boot.lua for what
 * happens in between. */
#include "bridge/policy.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "bridge/lib.h"

/* -- Loading ------------------------------------------------------------------------ */

struct loading {
    struct bundle        *b;
    struct buf           *json;
    struct policy_chain **chains;
    unsigned             *count;
};

/* The function in field `key` of the table on top; 0: there is none. */
static int take_part(lua_State *L, const char *key) {
    int ref = 0;
    lua_getfield(L, -1, key);
    if (lua_isfunction(L, -1)) ref = state_ref_new(L);
    else lua_pop(L, 1);
    return ref;
}

static void take_chains(lua_State *L, struct loading *ld, int list, int trusted, int parts) {
    *ld->count = (unsigned)lua_objlen(L, list);
    *ld->chains = mem_zalloc((*ld->count + 1) * sizeof(**ld->chains));
    if (*ld->chains == NULL) luaL_error(L, "out of memory");
    for (unsigned i = 0; i < *ld->count; i++) {
        struct policy_chain *c = &(*ld->chains)[i];
        lua_rawgeti(L, trusted, (int)i + 1);
        c->trusted = lua_toboolean(L, -1);
        lua_pop(L, 1);
        lua_rawgeti(L, list, (int)i + 1);
        if (lua_isfunction(L, -1)) c->ref = state_ref_new(L);
        else lua_pop(L, 1);
        lua_rawgeti(L, parts, (int)i + 1);
        if (lua_istable(L, -1)) {
            c->admission = take_part(L, "admission");
            c->rest = take_part(L, "rest");
            lua_getfield(L, -1, "admits");
            if (lua_type(L, -1) == LUA_TSTRING) c->admits = hash_fnv(slice_str(lua_tostring(L, -1)));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
}

static int load(lua_State *L, void *ud) {
    struct loading *ld = ud;
    state_require(L, "perilune.boot");
    lua_getfield(L, -1, "load");
    lua_pushlstring(L, ld->b->text->data, ld->b->text->len);
    lua_pushstring(L, ld->b->path);
    lua_call(L, 2, 4);
    int json = lua_gettop(L) - 3;
    size_t len;
    const char *text = lua_tolstring(L, json, &len);
    buf_put(ld->json, text, len);
    if (buf_failed(ld->json)) return luaL_error(L, "out of memory");
    take_chains(L, ld, json + 1, json + 2, json + 3);
    return 0;
}

int policy_load(struct state *s, struct bundle *b, struct buf *config_json,
                struct policy_chain **chains, unsigned *count, char *err, size_t errlen) {
    struct loading ld = { b, config_json, chains, count };
    *chains = NULL;
    s->bundle = b;
    int rc = state_call(s, load, &ld, err, errlen);
    s->bundle = NULL;
    state_loaded(s);
    if (rc == 0) return 0;
    mem_free(*chains);
    *chains = NULL;
    return rc == PERILUNE_ERR_NOMEM ? rc : PERILUNE_ERR_CONFIG;
}

/* -- Running ------------------------------------------------------------------------- */

struct start {
    const struct policy_chain *chain;
    struct task               *task;
};

static int start(lua_State *L, void *ud) {
    struct start *st = ud;
    lua_rawgeti(L, LUA_REGISTRYINDEX, st->chain->ref);
    st->task = task_new(L, 0);
    return 0;
}

/* Without protection when there is a task to be used again: nothing is allocated then. */
static struct task *task_of(struct state *s, const struct policy_chain *chain) {
    struct start st = { .chain = chain, .task = task_again(s) };
    if (st.task != NULL) lua_rawgeti(st.task->co, LUA_REGISTRYINDEX, chain->ref);
    else state_call(s, start, &st, NULL, 0);
    return st.task;
}

struct finish {
    struct task    *task;
    struct failure *f;
};

static int read_thrown(lua_State *L, void *ud) {
    struct finish *fin = ud;
    lua_xmove(fin->task->co, L, 1);
    lib_to_failure(L, lua_gettop(L), fin->f);
    return 0;
}

/* What a policy throws with perilune.error{...} is for the client, anything else for the log. */
void policy_why_failed(struct task *t, struct failure *f) {
    if (t->budget->killed == NULL && lua_gettop(t->co) > 0 && lua_istable(t->co, -1)) {
        if (state_call(t->state, read_thrown, &(struct finish){ .task = t, .f = f }, NULL, 0) != 0)
            failure_set(f, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    const char *text = state_text(t->co, -1), *id = t->request ? t->request->id : "";
    log_of_request(t->state->log, PERILUNE_LOG_ERROR, id, "%s", text ? text : "a policy failed");
    if (t->budget->killed != NULL) failure_set(f, t->budget->kill_kind, "%s", t->budget->killed);
    else failure_set(f, FAILURE_POLICY, "a policy failed (see the log, request %s)", id);
}

static void fail(struct task *t, void (*done)(void *, const struct policy_result *)) {
    struct failure f;
    failure_init(&f);
    policy_why_failed(t, &f);
    struct policy_result result = { .failure = &f };
    done(t->owner, &result);
    failure_deinit(&f);
}

/* Reading a failure table may raise (memory); so inside a protected call. */
static int read_result(lua_State *L, void *ud) {
    struct finish *fin = ud;
    lua_State *co = fin->task->co;
    int n = lua_gettop(co);
    luaL_checkstack(L, 4, NULL);
    if (n > 2) lua_settop(co, n = 2);
    lua_xmove(co, L, n);
    lua_settop(L, 2);
    if (handle_test(L, 1, &state_of(L)->response_type) != NULL) {
        bool elsewhere = response_test(L, 1) != NULL;
        failure_set(fin->f, FAILURE_POLICY, "a policy returned a response %s", elsewhere
                    ? "that another request has sent or sends" : "of an earlier request; it is finished");
        return 0;
    }
    if (!lua_isnil(L, 1)) {
        failure_set(fin->f, FAILURE_POLICY, "a policy returned a %s; it must return a response, or nil and an error",
                    luaL_typename(L, 1));
        return 0;
    }
    lib_to_failure(L, 2, fin->f);
    return 0;
}

static void on_done(struct task *t, bool ok) {
    void (*done)(void *, const struct policy_result *) = t->owner_done;
    if (!ok) {
        fail(t, done); /* may cancel: frees t */
        return;
    }
    struct response *r = lua_gettop(t->co) > 0 ? response_test(t->co, 1) : NULL;
    if (r != NULL && !response_is_taken(r)) { /* nothing to build: no need for protection */
        done(t->owner, &(struct policy_result){ .response = response_ref(r) });
        return;
    }
    struct failure f;
    failure_init(&f);
    struct finish fin = { .task = t, .f = &f };
    if (state_call(t->state, read_result, &fin, NULL, 0) != 0)
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    struct policy_result result = { .failure = &f };
    done(t->owner, &result);
    failure_deinit(&f);
}

struct task *policy_start(struct state *s, const struct policy_chain *chain, struct request *r,
                          void (*done)(void *owner, const struct policy_result *result), void *owner) {
    struct task *t = task_of(s, chain);
    if (t == NULL) return NULL;
    t->request = r;
    t->budget->trusted = chain->trusted;
    t->done = on_done;
    t->owner = owner;
    t->owner_done = done;
    return t;
}
