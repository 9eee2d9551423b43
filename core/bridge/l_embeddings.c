/* l_embeddings.c -- core.embeddings(upstream), core.embeddings_ask(e, text, seconds): a vector by an upstream.
 *
 *     task --op--> [ waits ] --> request/embeddings.c, which asks for many at once
 *        timer: the request's own deadline, or the seconds, whichever comes first
 *
 * The call that brings it is nobody's; that it is counted among the calls of who asks keeps limits.calls true. */
#include <math.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/task.h"
#include "request/embeddings.h"
#include "request/request.h"
#include "semantic/semantic.h"

#define TYPE     "perilune.embeddings"
#define MAX_TEXT (SEMANTIC_MAX_TEXT + 1024) /* with what stands in front of it */

struct waiting {
    struct op              op;
    struct embeddings_wait wait;
    struct timer           timer;
    struct failure         failure;
    float                 *vector;
    unsigned               count;
};

static void waiting_free(struct waiting *w) {
    embeddings_cancel(&w->wait);
    timer_stop(w->op.task->state->loop, &w->timer);
    budget_end_call(w->op.task->budget);
    failure_deinit(&w->failure);
    mem_free(w->vector);
    mem_free(w);
}

static void cancel(struct op *op) { waiting_free(container_of(op, struct waiting, op)); }

static int push(lua_State *L, struct op *op) {
    struct waiting *w = container_of(op, struct waiting, op);
    if (w->vector == NULL) {
        lua_pushnil(L);
        lib_push_failure(L, &w->failure);
        waiting_free(w);
        return 2;
    }
    lua_createtable(L, (int)w->count, 0);
    for (unsigned i = 0; i < w->count; i++) {
        lua_pushnumber(L, (lua_Number)w->vector[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    waiting_free(w);
    return 1;
}

static void done(struct embeddings_wait *wait, const float *vector, unsigned count, const struct failure *f) {
    struct waiting *w = container_of(wait, struct waiting, wait);
    if (vector != NULL && (w->vector = mem_alloc(count * sizeof(*vector))) != NULL) {
        memcpy(w->vector, vector, count * sizeof(*vector));
        w->count = count;
    } else if (vector != NULL) {
        failure_set(&w->failure, FAILURE_NO_MEMORY, "out of memory");
    } else {
        failure_copy(&w->failure, f);
    }
    op_done(&w->op); /* may free w */
}

static void late(struct timer *t) {
    struct waiting *w = container_of(t, struct waiting, timer);
    embeddings_cancel(&w->wait);
    failure_set(&w->failure, FAILURE_TIMEOUT, "there was no time left for a vector");
    op_done(&w->op); /* may free w */
}

static struct embeddings **to_embeddings(lua_State *L, int i) { return luaL_checkudata(L, i, TYPE); }

static int l_gc(lua_State *L) {
    struct embeddings **e = to_embeddings(L, 1);
    embeddings_free(*e);
    *e = NULL;
    return 0;
}

/* core.embeddings(upstream) */
int l_embeddings(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    struct embeddings **e = lua_newuserdata(L, sizeof(*e));
    *e = NULL;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    *e = embeddings_new(&state_of(L)->services, name);
    if (*e == NULL) return luaL_error(L, "not enough memory");
    return 1;
}

/* Until when it may wait: milliseconds from now. */
static uint64_t patience(const struct task *t, uint64_t ms) {
    uint64_t now = loop_now(t->state->loop), until = t->request != NULL ? t->request->deadline_ms : 0;
    if (until != 0 && until < now + ms) ms = until > now ? until - now : 0;
    return ms > 0 ? ms : 1;
}

static int refuse(lua_State *L, enum failure_kind kind, const char *why) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", why);
    lua_pushnil(L);
    lib_push_failure(L, &f);
    failure_deinit(&f);
    return 2;
}

/* core.embeddings_ask(e, text, seconds) -> list of numbers | nil, err; waits */
int l_embeddings_ask(lua_State *L) {
    struct embeddings *e = *to_embeddings(L, 1);
    struct slice text;
    text.ptr = luaL_checklstring(L, 2, &text.len);
    luaL_argcheck(L, text.len <= MAX_TEXT, 2, "is too long");
    double seconds = luaL_checknumber(L, 3);
    luaL_argcheck(L, seconds > 0 && seconds < 1e6, 3, "must be a number of seconds");
    op_check(L);
    struct task *t = state_of(L)->running;
    const char *refused = budget_refuses_call(t->state, t->budget);
    if (refused != NULL) return refuse(L, FAILURE_POLICY_BUDGET, refused);
    struct waiting *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return luaL_error(L, "not enough memory");
    uint64_t ms = (uint64_t)ceil(seconds * 1000);
    failure_init(&w->failure);
    w->op = (struct op){ .task = t, .cancel = cancel, .push = push };
    w->wait.done = done;
    budget_begin_call(t->budget);
    int rc = timer_start(t->state->loop, &w->timer, patience(t, ms), late);
    if (rc == 0) rc = embeddings_ask(e, &w->wait, text, ms);
    if (rc != 0) {
        waiting_free(w);
        if (rc == PERILUNE_ERR_LIMITED) return refuse(L, FAILURE_UPSTREAM, "too many texts wait for a vector");
        return luaL_error(L, "not enough memory");
    }
    return op_wait(L, &w->op, "embeddings");
}

void embeddings_open(lua_State *L) { lib_open_owned(L, TYPE, l_gc); }
