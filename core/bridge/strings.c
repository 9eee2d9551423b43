/* strings.c -- string.upper, lower, reverse and rep, as LuaJIT has them, where memory and time have an end.
 *
 * LuaJIT builds such a string in the one buffer of its state, and does not survive when that cannot grow inside of
 * upper, lower or reverse (state.c says why).  These build it in the buffer of the library, which no collector sees
 * and which has a limit of its own, and ask for the time while they do: a short string needs neither.
 *
 * rep knows what it will make: what is too much is refused before anything is made. */
#include "bridge/strings.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "bridge/lib.h"
#include "bridge/state.h"

#define SHORT      256              /* bytes of a string that is made on the C stack */
#define BLOCK      (64u << 10)      /* bytes between two looks at the clock */
#define STRING_MAX 0x7fffff00       /* as in LuaJIT */

static struct slice text_at(lua_State *L, int i) {
    struct slice s;
    s.ptr = luaL_checklstring(L, i, &s.len);
    return s;
}

/* Room for a string of so many bytes, behind which push_made() is due. */
static char *room(lua_State *L, struct buf **out, size_t len) {
    state_want(L, len);
    *out = lib_output(L);
    char *to = buf_reserve(*out, len);
    lib_check_buf(L, *out);
    return to;
}

static int push_made(lua_State *L, struct buf *out, size_t len) {
    buf_advance(out, len);
    lua_pushlstring(L, buf_get(out).ptr, len);
    return 1;
}

/* -- upper, lower, reverse ------------------------------------------------------------- */

/* Bytes from..from + n of the result. */
typedef void write_fn(char *to, struct slice s, size_t from, size_t n);

/* ASCII whatever the locale says, as in LuaJIT.  Letters differ in one bit from each other. */
static void write_upper(char *to, struct slice s, size_t from, size_t n) {
    for (size_t i = from; i < from + n; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        to[i] = (char)(c ^ (unsigned char)(((unsigned char)(c - 'a') < 26) << 5));
    }
}

static void write_lower(char *to, struct slice s, size_t from, size_t n) {
    for (size_t i = from; i < from + n; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        to[i] = (char)(c ^ (unsigned char)(((unsigned char)(c - 'A') < 26) << 5));
    }
}

static void write_reversed(char *to, struct slice s, size_t from, size_t n) {
    for (size_t i = from; i < from + n; i++) to[i] = s.ptr[s.len - 1 - i];
}

static int changed(lua_State *L, write_fn *write) {
    struct slice s = text_at(L, 1);
    if (s.len <= SHORT) {
        char made[SHORT];
        write(made, s, 0, s.len);
        lua_pushlstring(L, made, s.len);
        return 1;
    }
    struct buf *out;
    char *to = room(L, &out, s.len);
    for (size_t i = 0; i < s.len; i += BLOCK) {
        size_t n = s.len - i < BLOCK ? s.len - i : BLOCK;
        write(to, s, i, n);
        state_pay(L, n / 64);
    }
    return push_made(L, out, s.len);
}

static int l_upper(lua_State *L) { return changed(L, write_upper); }
static int l_lower(lua_State *L) { return changed(L, write_lower); }
static int l_reverse(lua_State *L) { return changed(L, write_reversed); }

/* -- rep ------------------------------------------------------------------------------------ */

/* The first `unit` bytes again and again, up to `total`. */
static void repeat(lua_State *L, char *to, size_t unit, size_t total) {
    size_t most = unit < BLOCK ? BLOCK - BLOCK % unit : unit; /* whole units */
    for (size_t done = unit, n; done < total; done += n) {
        n = done < most ? done : most;
        if (n > total - done) n = total - done;
        memcpy(to + done, to, n);
        state_pay(L, n / 64);
    }
}

/* string.rep(text, times, separator | nil) */
static int l_rep(lua_State *L) {
    struct slice s = text_at(L, 1), sep = SLICE("");
    double n = luaL_checknumber(L, 2);
    if (!lua_isnoneornil(L, 3)) sep = text_at(L, 3);
    size_t unit = s.len + sep.len;
    uint64_t times = n >= 1 ? (n < STRING_MAX ? (uint64_t)n : STRING_MAX + 1u) : 0;
    if (times == 0 || unit == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (times > STRING_MAX / unit) return luaL_error(L, "string length overflow");
    size_t total = (size_t)(times * unit) - sep.len;
    char made[SHORT];
    struct buf *out = NULL;
    char *to = total <= SHORT ? made : room(L, &out, total);
    memcpy(to, s.ptr, s.len);
    if (times > 1) {
        memcpy(to + s.len, sep.ptr, sep.len);
        repeat(L, to, unit, total);
    }
    if (out != NULL) return push_made(L, out, total);
    lua_pushlstring(L, made, total);
    return 1;
}

void strings_install(lua_State *L) {
    /* private: they replace the standard ones of the same names. */
    static const luaL_Reg functions[] = {
        { "upper", l_upper }, { "lower", l_lower }, { "reverse", l_reverse }, { "rep", l_rep },
    };
    lua_getglobal(L, "string");
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_pop(L, 1);
}
