/* blame.c -- in which policy file an error is.
 *
 * Lua puts a place in front of an error by looking at the frame so many levels up.  That is the wrong one when
 *
 *     return perilune.respond{ txt = "hi" }     the call is a policy's last: its frame is gone, and the next one
 *                                               is of the library, of C, or of the policy in front
 *     perilune.sleep("long")                    a function of C found out, and a line of the library called it
 *
 * So whoever reports an error (task.c, state.c) asks here, while the stack is still there.  A place that
 * is of the library is taken off, and what comes first from the throw outwards is put in its stead:
 *
 *     a frame of a policy          its file and line
 *     perilune.frame               the function that it called: its file and lines, for which one is not known
 *     an entry out of C            the function that blame_call() called: the same
 *
 * A text that has the place of a policy stays as it is, and so does one that a policy threw without any.
 *
 * LuaJIT finds a frame by counting from the top of the stack, and a stack may have tens of thousands: so nobody looks
 * further than LEVELS.  The library is never that deep, and who recursed so deep is on top. */
#include "bridge/blame.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/lib.h"
#include "bridge/state.h"

#define FRAME   "perilune.frame"
#define LIBRARY "@lua/perilune/"
#define LEVELS  60

bool blame_is_library(const char *source) { return strncmp(source, LIBRARY, strlen(LIBRARY)) == 0; }

void blame_open(lua_State *L) {
    state_require(L, FRAME);
    lua_setfield(L, LUA_REGISTRYINDEX, FRAME);
}

void blame_push_frame(lua_State *L) { lua_getfield(L, LUA_REGISTRYINDEX, FRAME); }

void blame_call(lua_State *L, int n, int results, void (*check)(lua_State *L)) {
    struct state *s = state_of(L);
    int outer = s->called, at = lua_gettop(L) - n;
    lua_pushvalue(L, at);
    lua_insert(L, at); /* below the call, whose own slot a tail call fills with another function */
    s->called = at;
    lua_call(L, n, results);
    if (check != NULL) check(L);
    s->called = outer;
    lua_remove(L, at);
}

/* -- Frames ---------------------------------------------------------------------------------- */

static bool is_lua(const lua_Debug *ar) { return strcmp(ar->what, "C") != 0; }
static bool is_policy(const lua_Debug *ar) { return is_lua(ar) && !blame_is_library(ar->source); }

/* What is on top of co, on L.  The stack of co must not grow by more than the one slot of it: what it lacks then
 * is raised in co, where nobody catches it. [0, +1, -] */
static void take(lua_State *L, lua_State *co) { lua_xmove(co, L, 1); }

/* The function of C whose frame in co ar is, or NULL. [0, 0, -] */
static lua_CFunction function_of(lua_State *L, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "f", ar);
    take(L, co);
    lua_CFunction f = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return f;
}

static bool is_frame(lua_State *L, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "f", ar);
    take(L, co);
    lua_getfield(L, LUA_REGISTRYINDEX, FRAME);
    bool yes = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return yes;
}

/* Where the function is that local number n of the frame is; false: it is none of a policy's. [0, 0, -] */
static bool place_of_local(lua_State *L, lua_State *co, lua_Debug *ar, int n, char *place, size_t size) {
    if (lua_getlocal(co, ar, n) == NULL) return false;
    take(L, co);
    lua_Debug fn;
    if (!lua_isfunction(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_getinfo(L, ">S", &fn);
    if (!is_policy(&fn)) return false;
    if (fn.linedefined == fn.lastlinedefined) snprintf(place, size, "%s:%d: ", fn.short_src, fn.linedefined);
    else snprintf(place, size, "%s:%d-%d: ", fn.short_src, fn.linedefined, fn.lastlinedefined);
    return true;
}

/* The frame of co at a level, which is no deeper than anybody looks. */
static bool get_frame(lua_State *co, int level, lua_Debug *ar) {
    if (level >= LEVELS || !lua_getstack(co, level, ar)) return false;
    lua_getinfo(co, "Sl", ar);
    return true;
}

bool blame_line(lua_State *L, lua_Debug *ar) {
    for (int level = 0; get_frame(L, level, ar); level++)
        if (ar->currentline > 0 && is_policy(ar)) return true;
    return false;
}

static bool find_place(lua_State *L, lua_State *co, int level, char *place, size_t size) {
    lua_Debug ar;
    for (; get_frame(co, level, &ar); level++) {
        if (is_policy(&ar)) {
            if (ar.currentline < 0) continue; /* LuaJIT has lost it with the error */
            snprintf(place, size, "%s:%d: ", ar.short_src, ar.currentline);
            return true;
        }
        if (is_lua(&ar) && is_frame(L, co, &ar) && place_of_local(L, co, &ar, 1, place, size)) return true;
        if (is_lua(&ar) || !state_is_entry(function_of(L, co, &ar))) continue;
        return place_of_local(L, co, &ar, state_of(L)->called, place, size);
    }
    return false;
}

/* -- Texts ------------------------------------------------------------------------------------ */

/* How many bytes of a text are the place of a frame; *policy: of a policy's. */
static size_t place_in(lua_State *co, int level, const char *text, bool *policy) {
    lua_Debug ar;
    char place[LUA_IDSIZE + 24];
    for (; get_frame(co, level, &ar); level++) {
        if (!is_lua(&ar)) continue;
        int n = snprintf(place, sizeof(place), "%s:%d: ", ar.short_src, ar.currentline);
        if (strncmp(text, place, (size_t)n) != 0) continue;
        *policy = is_policy(&ar);
        return (size_t)n;
    }
    return 0;
}

/* Has it the place of a frame that is gone?  Then it was caught, and thrown again. */
static bool was_placed(const char *text) {
    const char *at = strstr(text, ".lua:"), *line = strchr(text, '\n');
    if (at == NULL || (line != NULL && line < at)) return false;
    char *end;
    strtol(at + 5, &end, 10);
    return end > at + 5 && *end == ':';
}

/* Did a policy throw it: itself, or by error()? */
static bool is_of_policy(lua_State *co, int level) {
    lua_Debug ar;
    if (!get_frame(co, level, &ar) || (!is_lua(&ar) && !get_frame(co, level + 1, &ar))) return false;
    return is_policy(&ar);
}

/* Of all that Lua finds out itself, this alone has no place. */
static bool is_overflow(const char *text) { return strcmp(text, "stack overflow") == 0; }

void blame_place(lua_State *L, lua_State *co, int level) {
    char place[LUA_IDSIZE + 48];
    bool policy = false;
    const char *text = lua_tostring(L, -1);
    luaL_checkstack(L, 4, NULL);
    size_t n = place_in(co, level, text, &policy);
    if (policy || (n == 0 && !is_overflow(text) && (was_placed(text) || is_of_policy(co, level)))) return;
    if (!find_place(L, co, level, place, sizeof(place))) return;
    lua_pushfstring(L, "%s%s", place, text + n);
    lua_remove(L, -2);
}

int l_place(lua_State *L) {
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) blame_place(L, L, 1);
    return 1;
}

/* Was the error that ended co thrown by error(), which puts a place in front unless it is told not to? [0, 0, e] */
static bool is_thrown(lua_State *L, lua_State *co) {
    lua_Debug ar;
    lua_getglobal(L, "error");
    lua_CFunction by = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return get_frame(co, 0, &ar) && !is_lua(&ar) && function_of(L, co, &ar) == by;
}

int l_blamed(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argcheck(L, co != NULL, 1, "a coroutine");
    lua_settop(L, 2);
    bool text = lua_type(L, 2) == LUA_TSTRING;
    if (text && strcmp(lua_tostring(L, 2), "not enough memory") == 0) return 1;
    lib_push_error(L, 2);
    lua_Debug ar;
    bool policy, placed = text && place_in(co, 0, lua_tostring(L, -1), &policy) > 0;
    if (text && (placed || !is_thrown(L, co))) {
        blame_place(L, co, 0);
    } else if (!text && blame_line(co, &ar)) {
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return 1;
}

int l_traced(lua_State *L) {
    lua_settop(L, 1);
    if (lua_type(L, 1) == LUA_TTABLE) return 1;
    bool text = lua_type(L, 1) == LUA_TSTRING;
    lib_push_error(L, 1);
    if (text) blame_place(L, L, 1);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}
