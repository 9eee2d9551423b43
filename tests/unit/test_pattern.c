/* test_pattern.c -- core/bridge/pattern.c against LuaJIT's own functions.
 *
 * The original find, match, gmatch and gsub stay in a table `original`.  A Lua
 * script makes random patterns and subjects (fixed seed), calls both, and
 * compares every result and every error message.  Then: patterns that would run
 * for years are stopped by the tick, and running out of memory at any allocation
 * is an ordinary Lua error. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "bridge/pattern.h"
#include "unit.h"

#define TICKS_LEFT "ticks left"
#define TICKS_SEEN "ticks seen"

static void set_number(lua_State *L, const char *key, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, LUA_REGISTRYINDEX, key);
}

static double get_number(lua_State *L, const char *key) {
    lua_getfield(L, LUA_REGISTRYINDEX, key);
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static void tick(lua_State *L) {
    set_number(L, TICKS_SEEN, get_number(L, TICKS_SEEN) + 1);
    lua_getfield(L, LUA_REGISTRYINDEX, TICKS_LEFT);
    bool limited = !lua_isnil(L, -1);
    double left = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (!limited) return;
    if (left <= 0) luaL_error(L, "time is up");
    set_number(L, TICKS_LEFT, left - 1);
}

static void open_state(lua_State *L) {
    luaL_openlibs(L);
    CHECK(luaL_dostring(L, "original = {} for k, v in pairs(string) do original[k] = v end") == 0);
    pattern_install(L, tick);
}

static void run(lua_State *L, const char *name, const char *script) {
    if (luaL_loadbuffer(L, script, strlen(script), name) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        fprintf(stderr, "%s: %s\n", name, lua_tostring(L, -1));
        lua_pop(L, 1);
        CHECK(false);
    }
    CHECK(lua_gettop(L) == 0);
}

/* -- the same answers ------------------------------------------------------ */

static const char differential[] =
    "local seed = 20240611\n"
    "local function random(n)\n" /* 1..n; Park and Miller */
    "  seed = seed * 16807 % 2147483647\n"
    "  return seed % n + 1\n"
    "end\n"
    "local function pick(list) return list[random(#list)] end\n"
    "local function show(v)\n"
    "  return (tostring(v):gsub('[^%g ]', function(c) return '\\\\' .. c:byte() end))\n"
    "end\n"
    /* Errors name different functions before the message. */
    "local function outcome(ok, ...)\n"
    "  if not ok then return 'error: ' .. original.gsub(tostring((...)), '^[^:]*:%d+: ', '') end\n"
    "  local out = { select('#', ...) }\n"
    "  for i = 1, select('#', ...) do out[#out + 1] = type((select(i, ...))) .. ' ' .. show((select(i, ...))) end\n"
    "  return table.concat(out, ', ')\n"
    "end\n"
    "local function collect(gmatch, s, p)\n"
    "  return pcall(function()\n"
    "    local all = {}\n"
    "    for a, b, c in gmatch(s, p) do all[#all + 1] = show(a) .. '/' .. show(b) .. '/' .. show(c) end\n"
    "    return table.concat(all, ';')\n"
    "  end)\n"
    "end\n"
    "local items = { 'a', 'b', 'c', 'A', '1', '.', '%a', '%d', '%s', '%w', '%S', '%A', '%p', '%x', '%l', '%u', '%c',\n"
    "  '%g', '%G', '%z', '%Z', '%%', '%.', '%-', '[abc]', '[^a]', '[a-c]', '[]]', '[^]]', '[a-]', '[%a_]', '[^%s]', '[%]]',\n"
    "  '[a%-c]', '[+-9]', '%1', '%2', '%3', '%b()', '%bab', '%f[%a]', '%f[%A]', '%f[^a]', '$', '^', '-', ' ', '\\255',\n"
    "  '[\\128-\\255]', '%y', '%E', '[a-c-e]', '[c-a]', '[%d-z]', ']', '=', '{' }\n"
    "local bad = { '[', '%', '[^', '[a', '[%', '%b', '%bx', '%f', '%fa', '(', ')', '%0', '%9', '()', '\\0', '[]', '[^]' }\n"
    "local tails = { '', '', '', '', '*', '+', '-', '?', '*', '-' }\n"
    "local bytes = { 'a', 'b', 'c', 'a', 'b', 'A', 'B', '1', '2', ' ', '(', ')', '.', '-', '%', ']', '\\n', '\\0', '\\255',\n"
    "  '^', '$', '+', '_', '\\200' }\n"
    "local function piece(depth)\n"
    "  local r = random(40)\n"
    "  if r == 1 then return pick(bad) end\n"
    "  if r <= 5 and depth < 4 then\n"
    "    local inner = {}\n"
    "    for _ = 1, random(3) do inner[#inner + 1] = piece(depth + 1) end\n"
    "    return '(' .. table.concat(inner) .. ')'\n"
    "  end\n"
    "  if r == 6 then return '()' end\n"
    "  return pick(items) .. pick(tails)\n"
    "end\n"
    "local function pattern()\n"
    "  local out = { random(6) == 1 and '^' or '' }\n"
    "  for _ = 1, random(7) - 1 do out[#out + 1] = piece(0) end\n"
    "  if random(6) == 1 then out[#out + 1] = '$' end\n"
    "  return table.concat(out)\n"
    "end\n"
    "local function subject()\n"
    "  local out = {}\n"
    "  for _ = 1, random(14) - 1 do out[#out + 1] = pick(bytes) end\n"
    "  return table.concat(out)\n"
    "end\n"
    "local replacements = { 'x', '<%0>', '%1', '%2%1', '%%', '%', '', '%a', 'a%0b%1c', { a = 'Z', b = false, ab = 1, [1] = 'p' },\n"
    "  { a = {} }, function(x, y) return y end, function(x) if x ~= 'a' then return x end end,\n"
    "  function() return 12 end, function() return true end, function() error('inside', 0) end, 7 }\n"
    "local seen, matched = 0, 0\n"
    "local function same(what, s, p, want, got)\n"
    "  seen = seen + 1\n"
    "  if want ~= got then\n"
    "    error(('%s of %s in %s:\\n want %s\\n got  %s'):format(what, show(p), show(s), want, got), 0)\n"
    "  end\n"
    "end\n"
    "for _ = 1, ROUNDS do\n"
    "  local s, p = subject(), pattern()\n"
    "  local init = random(3) == 1 and random(20) - 10 or nil\n"
    "  local plain = random(10) == 1\n"
    "  local want = outcome(pcall(original.find, s, p, init, plain))\n"
    "  if want:find('number', 1, true) then matched = matched + 1 end\n"
    "  same('find', s, p, want, outcome(pcall(string.find, s, p, init, plain)))\n"
    "  same('match', s, p, outcome(pcall(original.match, s, p, init)), outcome(pcall(string.match, s, p, init)))\n"
    "  same('gmatch', s, p, outcome(collect(original.gmatch, s, p)), outcome(collect(string.gmatch, s, p)))\n"
    "  local r, n = pick(replacements), random(4) == 1 and random(4) - 2 or nil\n"
    "  same('gsub', s, p, outcome(pcall(original.gsub, s, p, r, n)), outcome(pcall(string.gsub, s, p, r, n)))\n"
    "end\n"
    "assert(seen == 4 * ROUNDS)\n"
    "assert(matched > ROUNDS / 5, matched)\n"; /* the patterns are not all hopeless */

/* What the random patterns are too short or too tame for. */
static const char particular[] =
    "local function same(name, ...)\n"
    "  local function list(ok, ...)\n"
    "    local out = { tostring(ok), select('#', ...) }\n"
    "    for i = 1, select('#', ...) do out[#out + 1] = tostring((select(i, ...))) end\n"
    "    return original.gsub(table.concat(out, '|'), 'bad argument #(%d) to [^ ]+', 'bad argument #%1')\n"
    "  end\n"
    "  local want, got = list(pcall(original[name], ...)), list(pcall(string[name], ...))\n"
    "  if want ~= got then error(name .. ':\\n want ' .. want .. '\\n got  ' .. got, 0) end\n"
    "  return got\n"
    "end\n"
    "same('find', 'abc', '', 10) same('find', 'abc', '', -10) same('find', 'abc', '', 4) same('find', '', '')\n"
    "same('find', 'a+b', '+', 1, true) same('find', 'a\\0b', '\\0b', 1, true) same('find', 12345, 34)\n"
    "same('find', 'abc', 'b', 1e9) same('find', 'abc', 'b', -1e9) same('find', 'abc', 'b', 2.7)\n"
    "same('find', 'a\\0b', 'a\\0c') same('find', 'a\\0b', '[a]\\0c')\n"
    "same('gsub', 'abc', '', '-') same('gsub', '', '', '-') same('gsub', 'abc', '^', '-') same('gsub', 'aaa', '^a', 'b')\n"
    "same('gsub', 'abc', 'b', 'x', 0) same('gsub', 'abc', 'b', 'x', -1) same('gsub', 'hello world', 'o', '%0%0', 1)\n"
    "same('gsub', 'abc') same('gsub') same('gsub', 'abc', 'b') same('gsub', 'abc', 'b', true) same('gsub', {}, 'b', 'c')\n"
    "same('find') same('find', 'a') same('match', 'a') same('gmatch', 'a') same('find', 'a', {}) same('find', 'a', 'a', {})\n"
    /* The depth: one level per item with a choice or a capture. */
    "for n = 30, 34 do same('find', ('a'):rep(99), ('(a)'):rep(n)) end\n"
    "for n = 196, 203 do\n"
    "  same('find', ('a'):rep(300), ('a?'):rep(n)) same('find', ('a'):rep(300), ('.-'):rep(n)) same('match', 'a', ('a*'):rep(n))\n"
    "end\n"
    "same('match', ('('):rep(5000) .. (')'):rep(5000), '%b()') same('find', ('x'):rep(9000) .. 'y', 'x*()y$')\n"
    "assert(not pcall(string.find, 'a', ('('):rep(1e6)))\n"
    "assert(('x'):rep(1e6):find(('[x-y]'):rep(3e4)) == 1)\n"
    /* Through the metatable, and the buffer over its size. */
    "assert(('key = value'):match('^(%w+)%s*=%s*(%w+)$') == 'key')\n"
    "local long = ('ab'):rep(50000)\n"
    "same('gsub', long, 'a', '<%0>') same('gsub', long, '%w', { a = 'xyz' }) same('gsub', long, '(a)(b)', '%2%1')\n"
    "same('gsub', long, 'b', function(c) return c:rep(300) end, 300)\n"
    "assert(select(2, ('abcabc'):gsub('%w', function(c) return (c:gsub('b', '%0%0')) end)) == 6)\n"
    "local n = 0 for _ in long:gmatch('()ab') do n = n + 1 end assert(n == 50000)\n"
    "assert(string.gfind == nil)\n";

/* -- what must be stopped -------------------------------------------------- */

static const char *const endless[] = {
    "return ('a'):rep(30000):find(('a*'):rep(20) .. 'b')",
    "return ('a'):rep(30000):find(('a-'):rep(20) .. 'b')",
    "return ('a'):rep(30000):match(('a?'):rep(190) .. ('a'):rep(30000) .. 'b')",
    "return ('a'):rep(30000):gsub(('(a*)'):rep(20) .. '[b]', 'x')",
    "return ('('):rep(3000000):find('%b()')",
    "for _ in ('a'):rep(30000):gmatch('.*.*.*.*[b]') do end",
    "return ('a'):rep(3000000):find('[' .. ('b'):rep(100000) .. ']')",
    "return ('a'):rep(3000000):find('%f[' .. ('b'):rep(100000) .. ']')",
    "return ('a'):rep(3000000):find('[' .. ('b'):rep(100000) .. ']*c')",
    "return ('ab'):rep(3000000):find('(.*)%1c')",
    "return ('a'):rep(1000000):gsub('a', ('x'):rep(1000000), 40)",
    "while true do pcall(string.rep, 'a', 1); ('abc'):find('^.b$') end",
    "while true do ('abcdef'):find('x', 1, true) end",
    "return ('a'):rep(2000000):gsub('.', function() return ('b'):find('a*c') end)",
    /* Swallowing the error does not help: the next tick raises it again. */
    "return pcall(string.find, ('a'):rep(30000), ('a*'):rep(20) .. 'b') or ('a'):rep(30000):find(('a*'):rep(20) .. 'b')",
};

static void test_stops(lua_State *L) {
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        set_number(L, TICKS_LEFT, 20);
        CHECK(luaL_loadstring(L, endless[i]) == 0);
        int rc = lua_pcall(L, 0, 0, 0);
        if (rc != LUA_ERRRUN || strstr(lua_tostring(L, -1), "time is up") == NULL) {
            fprintf(stderr, "not stopped: %s\n", endless[i]);
            CHECK(false);
        }
        lua_settop(L, 0);
    }
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, TICKS_LEFT);
}

/* Ordinary text pays about a step a byte, not hundreds. */
static void test_fair(lua_State *L) {
    set_number(L, TICKS_SEEN, 0);
    run(L, "fair",
        "local text = ('The quick brown fox jumps over the lazy dog. '):rep(1000)\n"
        "local n = 0 for w in text:gmatch('%a+') do n = n + 1 end assert(n == 9000)\n"
        "assert(select(2, text:gsub('fox', 'cat')) == 1000)\n"
        "assert(not text:find('not in there', 1, true))\n");
    CHECK(get_number(L, TICKS_SEEN) >= 10);
    CHECK(get_number(L, TICKS_SEEN) <= 60);
}

/* -- memory ---------------------------------------------------------------- */

struct budget {
    long left; /* allocations that succeed; -1: all */
};

static void *allocate(void *ud, void *ptr, size_t old_size, size_t size) {
    struct budget *b = ud;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (b->left == 0 && size > old_size) return NULL;
    if (b->left > 0 && size > old_size) b->left--;
    return realloc(ptr, size);
}

static void test_memory(void) {
    static const char script[] =
        "assert(('ab'):rep(9000):gsub('(a)(b)', function(x, y) return y .. x end) == ('ba'):rep(9000))\n"
        "assert(('k=v, l=w'):gsub('(%w)=(%w)', '%2=%1') == 'v=k, w=l')\n"
        "for k in ('a b c'):gmatch('%a') do assert(k:find('^[abc]()')) end\n";
    struct budget budget = { -1 };
    long n = 0;
    for (int rc = LUA_ERRMEM; rc != 0 && n < 20000; n++) {
        budget.left = -1;
        lua_State *L = lua_newstate(allocate, &budget);
        if (L == NULL) return; /* a LuaJIT without room for foreign allocators */
        open_state(L);
        CHECK(luaL_loadstring(L, script) == 0);
        budget.left = n;
        rc = lua_pcall(L, 0, 0, 0);
        CHECK(rc == 0 || rc == LUA_ERRMEM);
        budget.left = -1;
        lua_close(L);
    }
    CHECK(n > 10 && n < 20000);
}

/* Lua's memory is not ours: nothing here can be made to fail by FAULT. */
static lua_State *fresh(void) {
    lua_State *L = luaL_newstate();
    CHECK(L != NULL);
    open_state(L);
    lua_pushnumber(L, 20000);
    lua_setglobal(L, "ROUNDS");
    return L;
}

TEST_NOFAULT(agrees_with_the_original) {
    lua_State *L = fresh();
    run(L, "differential", differential);
    lua_close(L);
}

TEST_NOFAULT(particular_cases) {
    lua_State *L = fresh();
    run(L, "particular", particular);
    lua_close(L);
}

TEST_NOFAULT(endless_matches_are_stopped) {
    lua_State *L = fresh();
    test_stops(L);
    lua_close(L);
}

TEST_NOFAULT(ordinary_text_pays_a_step_a_byte) {
    lua_State *L = fresh();
    test_fair(L);
    lua_close(L);
}

TEST_NOFAULT(any_allocation_may_fail) { test_memory(); }
