/* guest.c -- a state inside of a lua_State that somebody else made.
 *
 *     state_new():  the program's lua_State    allocator, limits, hook, sandbox; state <-- allocator's ud
 *     guest_open(): a host's lua_State         none of these;                    state <-- registry[&guest_key]
 *
 * The library is the same, in C (lib.c) and in Lua (lua/perilune/), and so are tasks and what they wait for.  What
 * differs is what Lua belongs to:
 *
 *     memory     the host's allocator: nothing is counted, nothing refused.  limits.memory is 0
 *     time       no hook, not even behind C that worked long (budget.c): nobody is sliced or condemned, a task runs
 *                until it waits; the one debug hook that a lua_State has is the host's own.  limits.cpu_ms is 0
 *     code       the host's is compiled or not as it likes, the library's is not (state.c), and strings stay Lua's own:
 *                perilune.confine is not loaded
 *     globals    none is made or read.  Files of the library get an environment with what the standard library was when
 *                they were loaded, and a require() of their own, so that strict hosts find nothing to complain of, and
 *                neither side meets the other's changes of package.loaded or of a global function
 *     coroutines state->L is one of our own, which nobody resumes: luaopen_perilune() may be called inside of one that
 *                ends.  Waiting works in tasks only (perilune.run), as ever: a coroutine of the host's is none
 *
 * The end comes with lua_close(), which calls finalizers, the youngest userdata first.  The anchor, a userdata that the
 * registry holds, is older than all others of ours, and therefore last: then the state goes.  Finalizers of the host's
 * own userdata, older still, may call us even then; state_of() raises in these.
 *
 * os.exit(code, true) closes the lua_State below our feet, from inside of a task.  Its process is about to end, and
 * frames that are not returned to use the state: it is left as it is. */
#include "bridge/guest.h"

#include <lauxlib.h>
#include <lualib.h>

#include "bridge/blame.h"
#include "bridge/lib.h"

static const char guest_key;

#define ANCHOR_TYPE "perilune.guest"

/* -- Which one? ------------------------------------------------------------------------------ */

/* [0, 0, -] */
static struct guest *find(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&guest_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct guest *g = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return g;
}

struct state *guest_of(lua_State *L) {
    struct guest *g = find(L);
    if (g == NULL || g->state == NULL) luaL_error(L, "perilune is closed: this lua_State is at its end");
    return g->state;
}

/* -- Its files --------------------------------------------------------------------------------- */

enum { UP_LOADED = 1, UP_ENV, UP_HOST }; /* of l_require */

static void set_loaded(lua_State *L, const char *name) {
    lua_pushvalue(L, -1);
    lua_setfield(L, lua_upvalueindex(UP_LOADED), name);
}

/* A module of LuaJIT's own: jit.util, for one.  The host's require() notes in package.loaded what it began, and a
 * failure, for want of memory, must not stay there. [0, +1, e] */
static void require_of_host(lua_State *L, const char *name) {
    lua_pushvalue(L, lua_upvalueindex(UP_HOST));
    lua_pushstring(L, name);
    if (lua_pcall(L, 1, 1, 0) == 0) return;
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_pushnil(L);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
    lua_error(L);
}

/* require(), as files of the library have it. [-1, +1, e] */
static int l_require(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, lua_upvalueindex(UP_LOADED), name);
    if (!lua_isnil(L, -1)) return 1;
    if (strncmp(name, "perilune", 8) != 0) {
        require_of_host(L, name);
        return 1;
    }
    state_load_embedded(L, name);
    if (!lua_isfunction(L, -1)) return luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -1));
    lua_pushvalue(L, lua_upvalueindex(UP_ENV));
    lua_setfenv(L, -2);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) lua_pushboolean(L, 1);
    set_loaded(L, name);
    return 1;
}

/* What the files see. [0, +1, e] */
static void push_env(lua_State *L) {
    static const char *const names[] = {
        "assert", "bit", "collectgarbage", "coroutine", "debug", "error", "getfenv", "getmetatable", "io", "ipairs",
        "jit", "load", "loadstring", "math", "next", "os", "package", "pairs", "pcall", "print", "rawequal", "rawget",
        "rawset", "select", "setfenv", "setmetatable", "string", "table", "tonumber", "tostring", "type", "unpack",
        "xpcall", "_VERSION", "_G",
    };
    lua_createtable(L, 0, 40);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        lua_pushstring(L, names[i]);
        lua_pushvalue(L, -1);
        lua_rawget(L, LUA_GLOBALSINDEX); /* raw: the host may be strict about what is not there */
        lua_rawset(L, -3);
    }
}

/* core is on top. [-1, 0, e] */
static void make_require(lua_State *L, struct state *s) {
    lua_createtable(L, 0, 64);
    lua_insert(L, -2);
    lua_setfield(L, -2, "perilune.core");
    push_env(L);
    lua_pushvalue(L, -1);
    lua_insert(L, -3); /* env, loaded, env */
    lua_pushliteral(L, "require");
    lua_rawget(L, LUA_GLOBALSINDEX);
    lua_pushcclosure(L, l_require, 3);
    lua_pushvalue(L, -1);
    s->require_ref = state_ref_new(L);
    lua_setfield(L, -2, "require");
    lua_pop(L, 1);
}

/* -- Life -------------------------------------------------------------------------------------------- */

void guest_let_go(struct guest *g) {
    struct state *s = g->state;
    void *ud = g->ud;
    if (s != NULL && s->running != NULL) return; /* os.exit(code, true): see above */
    if (s != NULL && g->leave != NULL) g->leave(ud);
    g->state = NULL;
    g->ud = NULL;
    state_put(s);
    if (ud != NULL) g->free(ud);
}

static int l_anchor_gc(lua_State *L) {
    struct guest *g = lua_touserdata(L, 1);
    guest_let_go(g);
    g->state = NULL;
    return 0;
}

struct guest *guest_get(lua_State *L) {
    struct guest *g = find(L);
    if (g != NULL) return g;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&guest_key);
    g = lua_newuserdata(L, sizeof(*g));
    *g = (struct guest){ .state = NULL };
    lib_open_owned(L, ANCHOR_TYPE, l_anchor_gc);
    luaL_getmetatable(L, ANCHOR_TYPE);
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return g;
}

struct opening {
    struct guest *g;
    const char   *module;
};

static int open_guest(lua_State *L, void *ud) {
    struct opening *o = ud;
    struct state *s = o->g->state;
    handles_open(L);
    lib_open(L);
    if (o->g->functions != NULL) luaL_register(L, NULL, o->g->functions);
    make_require(L, s);
    state_require(L, "perilune.response");
    blame_open(L);
    state_require(L, o->module);
    o->g->module = state_ref_new(L);
    return 0;
}

void guest_open(lua_State *L, struct guest *g, const char *module) {
    char err[512] = "not enough memory";
    struct opening o = { g, module };
    struct state *s = g->state;
    s->is_guest = true;
    pool_init(&s->memory.pool, 0);
    s->L = lua_newthread(L);
    state_ref_new(L); /* never dropped: the registry holds it to the end */
    int rc = state_enter_lua(s, s->L);
    if (rc == 0) rc = state_call(s, open_guest, &o, err, sizeof(err));
    if (rc != 0) luaL_error(L, "%s", err);
}
