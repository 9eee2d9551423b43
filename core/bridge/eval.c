/* eval.c -- a function of Lua that the program calls: a rule.
 *
 *     eval_begin --> task: entry() of lua/perilune/rules.lua --> eval_code, eval_arguments --> fn(...) --> eval_give
 *                      |                                                                                    |
 *                      +-- waits: who called turns the loop                                result: JSON ----+
 *
 * It is a task as that of a request, with an account of its own (limits.cpu_ms, block_ms, memory), in the sandbox.
 * But who calls waits: when a slice of time is over the task goes on at once, not in the next turn of the loop.
 *
 * All that may raise for want of memory, parsing the arguments and writing the result too, happens inside of the task,
 * so an evaluation enters Lua once.  Coroutines are used again, so one that ends well allocates what the rule does. */
#include "bridge/eval.h"

#include <stdio.h>

#include "bridge/lib.h"
#include "bridge/value.h"

#define ARGUMENTS_MOST 200
#define RESULT_MOST    (64u << 20)

/* -- The end -------------------------------------------------------------------------- */

static void say(struct eval *e, int rc, struct slice text) {
    e->rc = rc;
    snprintf(e->err, e->errlen, "%.*s", SLICE_ARG(text));
}

static void say_failure(struct eval *e, const struct failure *f) {
    e->rc = PERILUNE_ERR_REJECTED;
    snprintf(e->err, e->errlen, "%s: %s", f->code, f->message);
}

static int read_thrown(lua_State *L, void *ud) {
    struct task *t = ud;
    struct failure f;
    failure_init(&f);
    lua_xmove(t->co, L, 1);
    lib_to_failure(L, lua_gettop(L), &f);
    say_failure(t->owner, &f);
    failure_deinit(&f);
    return 0;
}

/* "rules/price.lua:3:", the innermost place of a traceback that is not ours; empty: there is none. */
static struct slice place_in(const char *traceback) {
    for (const char *p = strchr(traceback, '\t'); p != NULL; p = strchr(p + 1, '\t')) {
        if (p[1] == '[' || strncmp(p + 1, "lua/perilune/", 13) == 0) continue;
        const char *end = strstr(p, ": in ");
        return end ? slice_of(p + 1, (size_t)(end + 1 - (p + 1))) : SLICE("");
    }
    return SLICE("");
}

/* A module of rules that forgot to ask for the library: the log said so when it was loaded, this is for who calls. */
static const char *hint_for(const char *text) {
    return strstr(text, " global 'perilune' (a nil value)") == NULL
               ? "" : "; 'perilune' is no global: local perilune = require \"perilune\"";
}

/* Text and traceback are on the task's stack. */
static void why_failed(struct task *t, struct eval *e) {
    const char *text = lua_gettop(t->co) > 0 ? state_text(t->co, -1) : NULL;
    if (t->budget->killed != NULL) {
        const char *yielded = t->state->time.place;
        struct slice place = yielded[0] ? slice_str(yielded) : place_in(text ? text : "");
        e->rc = PERILUNE_ERR_POLICY;
        snprintf(e->err, e->errlen, "%.*s%s%s", SLICE_ARG(place), place.len > 0 ? " " : "", t->budget->killed);
    } else if (text == NULL || strncmp(text, "not enough memory", 17) == 0) {
        say(e, PERILUNE_ERR_NOMEM, SLICE("out of memory"));
    } else {
        const char *end = strstr(text, "\nstack traceback:");
        e->rc = PERILUNE_ERR_POLICY;
        snprintf(e->err, e->errlen, "%.*s%s", end ? (int)(end - text) : (int)strlen(text), text, hint_for(text));
    }
}

static void on_done(struct task *t, bool ok) {
    struct eval *e = t->owner;
    bool meant = !ok && t->budget->killed == NULL && lua_gettop(t->co) > 0 && lua_istable(t->co, -1);
    if (!ok && e->rc == 0) {
        if (!meant) why_failed(t, e);
        else if (state_call(t->state, read_thrown, t, NULL, 0) != 0) say(e, PERILUNE_ERR_NOMEM, SLICE("out of memory"));
    }
    e->over = true;
    e->task = NULL;
    task_free(t);
    if (e->ended != NULL) e->ended(e);
}

void eval_cancel(struct eval *e, int rc, const char *why) {
    struct task *t = e->task;
    if (e->over) return;
    e->over = true;
    e->task = NULL;
    say(e, rc, slice_str(why));
    task_cancel(t);
}

const char *eval_waits_for(const struct eval *e) {
    const struct op *op = e->task ? e->task->op : NULL;
    return op == NULL ? "its turn" : op->name;
}

/* -- The beginning ----------------------------------------------------------------------- */

/* The library's part says itself what its entry is: core.eval_entry(). [0, 0, e] */
static int open_rules(lua_State *L, void *ud) {
    (void)ud;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.rules");
    lua_call(L, 1, 0);
    return 0;
}

static int make_task(lua_State *L, void *ud) {
    struct eval *e = ud;
    lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->eval_entry);
    e->task = task_new(L, 0);
    return 0;
}

/* As policy.c: nothing is allocated when there is a task to be used again. */
static int start(struct state *s, struct eval *e) {
    if (s->eval_entry == 0) {
        int rc = state_call(s, open_rules, NULL, e->err, e->errlen);
        if (rc != 0) return rc;
    }
    e->task = task_again(s);
    if (e->task == NULL) return state_call(s, make_task, e, e->err, e->errlen);
    lua_rawgeti(e->task->co, LUA_REGISTRYINDEX, s->eval_entry);
    return 0;
}

void eval_begin(struct state *s, struct eval *e) {
    e->rc = start(s, e);
    struct task *t = e->task;
    if (e->rc != 0) {
        e->over = true;
        return;
    }
    t->done = on_done;
    t->owner = e;
    s->time.place[0] = '\0';
    task_resume(t);
    while (!e->over && t->op == NULL) { /* a slice is over, and who called waits for nothing else */
        list_remove(&t->ready);
        s->time.place[0] = '\0';
        loop_read_clock(s->loop); /* as the next turn would */
        task_resume(t); /* may free t */
    }
}

/* -- For Lua ------------------------------------------------------------------------------- */

static struct eval *running(lua_State *L) {
    struct task *t = state_of(L)->running;
    if (t == NULL || t->done != on_done) luaL_error(L, "there is no evaluation here");
    return t->owner;
}

/* core.eval_entry(fn): what runs evaluations */
int l_eval_entry(lua_State *L) {
    struct state *s = state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    if (s->eval_entry != 0) state_ref_drop(s, s->eval_entry);
    s->eval_entry = state_ref_new(L);
    return 0;
}

/* core.eval_code() -> text or name, function | nil */
int l_eval_code(lua_State *L) {
    const struct eval *e = running(L);
    lua_pushlstring(L, e->code.ptr, e->code.len);
    if (e->function == NULL) lua_pushnil(L);
    else lua_pushstring(L, e->function);
    return 2;
}

static int refuse_arguments(lua_State *L, struct eval *e, const char *what, size_t at) {
    e->rc = PERILUNE_ERR_INVAL;
    snprintf(e->err, e->errlen, "the arguments: %s at byte %zu", what, at);
    return luaL_error(L, "%s", "the arguments cannot be used");
}

/* core.eval_arguments() -> what the program passes */
int l_eval_arguments(lua_State *L) {
    struct eval *e = running(L);
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct json_error err = { 0 };
    if (e->args.ptr == NULL) return 0;
    state_pay(L, e->args.len / 64);
    int rc = json_parse(doc, e->args, &err);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0) return refuse_arguments(L, e, err.message, err.offset);
    if (!json_is(doc, 0, JSON_ARRAY)) {
        value_push(L, doc, 0);
        return 1;
    }
    int n = (int)doc->nodes[0].count;
    if (n > ARGUMENTS_MOST) return refuse_arguments(L, e, "more than 200", 0);
    luaL_checkstack(L, n + 4, "too many arguments");
    for (uint32_t at = json_first(doc, 0); at != JSON_NONE; at = json_next(doc, 0, at)) value_push(L, doc, at);
    return n;
}

static int give_failure(lua_State *L, struct eval *e) {
    if (lua_type(L, 2) == LUA_TSTRING) { /* as Lua's own functions do */
        say(e, PERILUNE_ERR_REJECTED, slice_str(lua_tostring(L, 2)));
        return 0;
    }
    struct failure f;
    failure_init(&f);
    lib_to_failure(L, 2, &f);
    say_failure(e, &f);
    failure_deinit(&f);
    return 0;
}

/* core.eval_give(value, err): what the rule returned */
int l_eval_give(lua_State *L) {
    struct eval *e = running(L);
    lua_settop(L, 2);
    if (lua_isnil(L, 1) && !lua_isnil(L, 2)) return give_failure(L, e);
    size_t left = state_memory_left(state_of(L));
    buf_clear(e->result);
    e->result->limit = left < RESULT_MOST ? left + 1 : RESULT_MOST;
    value_encode(L, 1, e->result, 0);
    return 0;
}
