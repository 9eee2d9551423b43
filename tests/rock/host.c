/* host.c -- a program with LuaJIT in it that loads the rock, in ways that no script can.
 *
 *     host two                 two lua_States at a time, closed in either order
 *     host threads N           N threads, each with a lua_State and a run of its own
 *     host memory FROM STEP    Lua's allocator fails at the FROM-th, FROM+STEP-th ... time, until it is not asked that
 *                              often: each time the host gets an error, or what it wanted, and can
 *                              close
 *     host close N             closed N times with all kinds of objects alive
 *
 * Linked with LuaJIT alone. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char work[] =
    "local p = require 'perilune'\n"
    "assert(p.tokens('hello world', 'gpt-4o') == 2)\n"
    "local c = p.cache('c', { ttl = 60 }) c:set('k', 'v') assert(c:get('k') == 'v')\n"
    "local conf = { upstreams = { up = { sim = { tokens = 4 } } } }\n"
    "return p.run(conf, function()\n"
    "  local all = assert(p.map({ 1, 2, 3 }, function()\n"
    "    return assert(p.ask{ upstream = 'up', messages = 'hi', stream = true }):text()\n"
    "  end))\n"
    "  return #all\n"
    "end)\n";

static const char objects[] =
    "local early = newproxy(true)\n" /* older than all of the rock's: its finalizer runs last */
    "local p\n"
    "getmetatable(early).__gc = function() if p then assert(not pcall(p.tokens, 'x')) end end\n"
    "p = require 'perilune'\n"
    "keep = { early, p.json.view('{\"a\":[1]}'), p.sse(), p.json_stream(), p.shared('s'), p.cache('c', {}),\n"
    "  p.limit('l', { requests_per_minute = 5 }), p.gate and p.gate('g', { concurrency = 1 }) }\n"
    "keep[#keep + 1] = keep[7]:take()\n"
    "local late = newproxy(true)\n"
    "getmetatable(late).__gc = function() assert(p.tokens('x', 'gpt-4o') == 1) end\n"
    "keep[#keep + 1] = late\n"
    "p.run({ upstreams = { up = { sim = { tokens = 4 } } } }, function()\n"
    "  keep[#keep + 1] = p.ask{ upstream = 'up', messages = 'hi', stream = true }\n"
    "  keep[#keep + 1] = p.ask{ upstream = 'up', messages = 'hi' }\n"
    "end)\n"
    "return 3\n";

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why ? why : "?");
    exit(1);
}

static int run(lua_State *L, const char *text) {
    int rc = luaL_loadstring(L, text);
    if (rc == 0) rc = lua_pcall(L, 0, 1, 0);
    return rc;
}

static lua_State *open_and_run(const char *text) {
    lua_State *L = luaL_newstate();
    if (L == NULL) die("luaL_newstate", "no memory");
    luaL_openlibs(L);
    if (run(L, text) != 0) die("script", lua_tostring(L, -1));
    if (lua_tointeger(L, -1) != 3) die("script", "it gave something else");
    return L;
}

static void two(void) {
    lua_State *a = open_and_run(work), *b = open_and_run(work);
    if (run(b, "require'perilune'.shared('x'):set('k', 1)") != 0) die("b", lua_tostring(b, -1));
    if (run(a, "return require'perilune'.shared('x'):get('k') == nil") != 0 || !lua_toboolean(a, -1))
        die("a", "it sees what is b's");
    lua_close(a);
    if (run(b, work) != 0) die("b", lua_tostring(b, -1));
    a = open_and_run(work);
    lua_close(b);
    if (run(a, work) != 0) die("a", lua_tostring(a, -1));
    lua_close(a);
}

static void *thread_main(void *arg) {
    (void)arg;
    lua_close(open_and_run(work));
    return NULL;
}

static void threads(int n) {
    pthread_t t[64];
    for (int i = 0; i < n && i < 64; i++) pthread_create(&t[i], NULL, thread_main, NULL);
    for (int i = 0; i < n && i < 64; i++) pthread_join(t[i], NULL);
}

struct counter {
    long left; /* until one fails; below 0: none does */
};

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    struct counter *c = ud;
    if (nsize == 0) {
        free(ptr);
        return NULL;
    }
    if ((ptr == NULL || nsize > osize) && c->left == 0) return NULL; /* and from then on, as when there is none */
    if ((ptr == NULL || nsize > osize) && c->left > 0) c->left--;
    return realloc(ptr, nsize);
}

static void memory(long from, long step) {
    int failed = 0;
    for (long n = from;; n += step) {
        struct counter c = { -1 };
        lua_State *L = lua_newstate(allocate, &c);
        if (L == NULL) die("lua_newstate", "it takes no allocator");
        luaL_openlibs(L);
        lua_gc(L, LUA_GCCOLLECT, 0);
        c.left = n;
        int rc = run(L, work);
        long left = c.left;
        c.left = -1; /* there is memory again, and all works */
        lua_settop(L, 0);
        /* Once it is loaded, it goes on.  Before that nothing does: a table of LuaJIT's that could not grow loses keys,
         * and the registry is one. */
        bool loaded = run(L, "return type(package.loaded.perilune) == 'table'") == 0 && lua_toboolean(L, -1);
        if (loaded && run(L, work) != 0) die("after it failed", lua_tostring(L, -1));
        lua_close(L);
        if (rc != 0) failed++;
        else if (left > 0) break;
    }
    printf("%d times\n", failed);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    int n = argc > 2 ? atoi(argv[2]) : 1;
    if (strcmp(mode, "two") == 0) two();
    else if (strcmp(mode, "threads") == 0) threads(n);
    else if (strcmp(mode, "memory") == 0) memory(n, argc > 3 ? atoi(argv[3]) : 1);
    else if (strcmp(mode, "close") == 0) while (n-- > 0) lua_close(open_and_run(objects));
    else die("usage", "host two | threads N | memory FROM STEP | close N");
    puts("ok");
    return 0;
}
