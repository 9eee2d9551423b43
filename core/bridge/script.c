/* script.c -- Lua programs that are run to their end: specs, commands.
 *
 *     start() makes the task --> loop_run_virtual() until it has returned --> what it gave
 *
 * A script is one trusted task, the only one besides those that it starts itself.  Time
 * passes when everything waits; when nothing is left to wait for and it has not returned,
 * it never will, and that is an error. */
#include "bridge/script.h"

#include <stdio.h>

#include "bridge/task.h"
#include "include/perilune.h"

struct script {
    struct bundle *b;
    const char    *module; /* of a command */
    struct slice   argument;
    struct task   *task;
    bool           over, ok;
    int            status;  /* what a command returned */
    unsigned      *passed, *failed;
    char          *err;
    size_t         errlen;
};

static void on_done(struct task *t, bool ok) {
    struct script *sc = t->owner;
    sc->over = true;
    sc->ok = ok;
    if (ok) {
        sc->status = lua_gettop(t->co) > 0 ? (int)lua_tointeger(t->co, -1) : 0;
        return;
    }
    const char *text = state_text(t->co, -1);
    snprintf(sc->err, sc->errlen, "%s", text ? text : "failed");
}

/* start() leaves the task in sc; what: who waits, if it waits for ever. */
static int run(struct state *s, struct script *sc, int (*start)(lua_State *, void *), const char *what) {
    state_loaded(s);
    int rc = state_call(s, start, sc, sc->err, sc->errlen);
    if (rc != 0) return rc;
    sc->task->budget->trusted = true;
    sc->task->done = on_done;
    sc->task->owner = sc;
    task_start_soon(sc->task);
    loop_run_virtual(s->loop, &sc->over);
    task_free(sc->task);
    if (sc->over) return sc->ok ? 0 : PERILUNE_ERR_POLICY;
    snprintf(sc->err, sc->errlen, "%s%s%s waits for something that never comes", sc->b->path,
             sc->b->path[0] ? ": " : "", what);
    return PERILUNE_ERR_STATE;
}

/* -- Specs ------------------------------------------------------------------------------ */

static int start_spec(lua_State *L, void *ud) {
    struct script *sc = ud;
    state_require(L, "perilune.sandbox");
    lua_getfield(L, -1, "load");
    lua_pushlstring(L, sc->b->text->data, sc->b->text->len);
    lua_pushstring(L, sc->b->path);
    lua_pushboolean(L, 1);
    lua_call(L, 3, 2);
    if (lua_isnil(L, -2)) return lua_error(L);
    lua_pop(L, 1);
    sc->task = task_new(L, 0);
    return 0;
}

static int read_summary(lua_State *L, void *ud) {
    struct script *sc = ud;
    state_require(L, "perilune.test");
    lua_getfield(L, -1, "summary");
    lua_call(L, 0, 3);
    *sc->passed += (unsigned)lua_tointeger(L, -3);
    *sc->failed += (unsigned)lua_tointeger(L, -2);
    return 0;
}

int script_run_spec(struct state *s, struct bundle *b, unsigned *passed, unsigned *failed, char *err, size_t errlen) {
    struct script sc = { .b = b, .err = err, .errlen = errlen, .passed = passed, .failed = failed };
    s->bundle = b;
    int rc = run(s, &sc, start_spec, "a test");
    if (rc == 0) rc = state_call(s, read_summary, &sc, err, errlen);
    s->bundle = NULL;
    return rc;
}

/* -- Commands ---------------------------------------------------------------------------- */

static int start_command(lua_State *L, void *ud) {
    struct script *sc = ud;
    state_require(L, sc->module);
    lua_getfield(L, -1, "run");
    lua_pushlstring(L, sc->argument.ptr, sc->argument.len);
    sc->task = task_new(L, 1);
    return 0;
}

int script_run_command(struct state *s, struct bundle *b, const char *module, struct slice argument, int *status,
                       char *err, size_t errlen) {
    struct script sc = { .b = b, .err = err, .errlen = errlen, .module = module, .argument = argument, .status = 1 };
    s->bundle = b;
    int rc = run(s, &sc, start_command, "a policy");
    s->bundle = NULL;
    *status = sc.status;
    return rc;
}
