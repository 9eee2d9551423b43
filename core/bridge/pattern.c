/* pattern.c -- Lua patterns that can be stopped.
 *
 * The matcher that comes with LuaJIT is a C function: no hook runs inside it,
 * and a pattern such as "a*a*a*a*b" keeps it busy for hours.  This one accepts
 * the same patterns, gives the same answers and the same error messages, and
 * counts its steps while it works:
 *
 *     subject   h e l l o   w o r l d
 *                   ^ s                  at   what is left to be matched
 *     pattern   ( % a + ) % s ( . - ) $
 *                         ^ p            item what it must match
 *
 * match_here(s, p) answers "where does the rest of the pattern, from p, end
 * when it starts at s", or NULL.  It walks over items that have only one way to
 * match, and calls itself where there is a choice (a repetition, an optional
 * item) or something to undo (a capture).  So its depth is bounded by the number
 * of such items in the pattern, and that by MAX_DEPTH: a hostile pattern cannot
 * exhaust the C stack.
 *
 * Invariants
 *   - Every loop that is not bounded by a constant pays for its turns with
 *     pay(); when PATTERN_STEPS_PER_TICK are spent, the tick is called, which
 *     may raise a Lua error.  Nothing here owns a resource that such a jump
 *     would lose.
 *   - The count lives in a userdata shared by the four functions, so that many
 *     short matches pay like one long one.
 *   - Subject and pattern stay on the Lua stack while the matcher points into
 *     them.  Lua strings end with a NUL that is not part of them: the pattern is
 *     read up to it (which is why a pattern writes NUL as %z), and looking at
 *     the byte at the end of the subject is allowed.
 *   - Errors in a pattern are found when the matcher gets there, not before:
 *     ("abc"):find("x[") is nil, as in Lua.
 *
 * Loop thread only.  Does not know requests or budgets: that is the tick's.
 */
#include "bridge/pattern.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#define MAX_CAPTURES 32  /* as in Lua */
#define MAX_DEPTH    200 /* as in LuaJIT; a level takes about 150 bytes of stack */

/* In capture.len, where no length can stand. */
#define CAPTURE_OPEN     (-1)
#define CAPTURE_POSITION (-2)

struct meter {
    pattern_tick tick;
    size_t       steps; /* since the last tick */
};

struct capture {
    const char *start;
    ptrdiff_t   len;
};

struct matcher {
    lua_State      *L;
    struct meter   *meter;
    const char     *subject, *end;
    int             depth;
    int             level; /* captures begun */
    struct capture  captures[MAX_CAPTURES];
};

/* One item: a character, a class or a set, with the byte after it. */
struct item {
    const char *p, *end;
};

/* -- the meter ------------------------------------------------------------- */

static void pay_meter(lua_State *L, struct meter *meter, size_t steps) {
    meter->steps += steps;
    if (meter->steps < PATTERN_STEPS_PER_TICK) return;
    meter->steps = 0;
    if (meter->tick != NULL) meter->tick(L);
}

static inline void pay(struct matcher *m, size_t steps) {
    pay_meter(m->L, m->meter, steps);
}

/* memchr, memcmp and memmem look at about this many bytes in the time of a step. */
static inline size_t bytes_as_steps(size_t n) { return n / 32 + 1; }

/* -- one character --------------------------------------------------------- */

/* ASCII whatever the locale says, as in LuaJIT. */
static inline bool is_alpha(unsigned char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
static inline bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static inline bool is_graph(unsigned char c) { return c > 32 && c < 127; }
static inline bool is_punct(unsigned char c) { return is_graph(c) && !is_alpha(c) && !is_digit(c); }

/* Is c in what %x stands for, x being name?  A letter in capitals negates. */
static bool class_has(unsigned char name, unsigned char c) {
    bool in;
    switch (name | 0x20) { /* maps nothing but letters to letters */
    case 'a': in = is_alpha(c); break;
    case 'c': in = c < 32 || c == 127; break;
    case 'd': in = is_digit(c); break;
    case 'g': in = is_graph(c); break;
    case 'l': in = c >= 'a' && c <= 'z'; break;
    case 'p': in = is_punct(c); break;
    case 's': in = c == ' ' || (c >= 9 && c <= 13); break;
    case 'u': in = c >= 'A' && c <= 'Z'; break;
    case 'w': in = is_alpha(c) || is_digit(c); break;
    case 'x': in = is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); break;
    case 'z': in = c == 0; break;
    default: return name == c;
    }
    return (name & 0x20) ? in : !in;
}

/* set.p is at '[', set.end behind ']'. */
static bool set_has(struct item set, unsigned char c) {
    const char *p = set.p + 1, *last = set.end - 1;
    bool hit = true;
    if (*p == '^') {
        hit = false;
        p++;
    }
    while (p < last) {
        unsigned char from = (unsigned char)*p;
        if (from == '%') {
            if (class_has((unsigned char)p[1], c)) return hit;
            p += 2;
        } else if (p[1] == '-' && p + 2 < last) {
            if (from <= c && c <= (unsigned char)p[2]) return hit;
            p += 3;
        } else {
            if (from == c) return hit;
            p++;
        }
    }
    return !hit;
}

static inline bool item_has(struct item it, char c) {
    switch (*it.p) {
    case '.': return true;
    case '%': return class_has((unsigned char)it.p[1], (unsigned char)c);
    case '[': return set_has(it, (unsigned char)c);
    default: return *it.p == c;
    }
}

/* The byte after the set that starts at p.  A ']' that comes first is a member. */
static const char *set_end(struct matcher *m, const char *p) {
    const char *start = p++;
    if (*p == '^') p++;
    do {
        if (*p == '\0') luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p == '%' && p[1] != '\0') p++;
        p++;
    } while (*p != ']');
    pay(m, bytes_as_steps((size_t)(p - start)));
    return p + 1;
}

static struct item item_at(struct matcher *m, const char *p) {
    struct item it = { p, p + 1 };
    if (*p == '%') {
        if (p[1] == '\0') luaL_error(m->L, "malformed pattern (ends with '%%')");
        it.end = p + 2;
    } else if (*p == '[') {
        it.end = set_end(m, p);
    }
    return it;
}

/* What testing one character against the item costs. */
static inline size_t item_steps(struct item it) {
    return 1 + (size_t)(it.end - it.p) / 8;
}

/* The byte that any match of the pattern p must start with, or -1 when p does
 * not say.  Must not look at what the matcher might report as an error. */
static int first_byte(const char *p) {
    unsigned char c = (unsigned char)p[0];
    const char *after = p + 1;
    if (c == '%') {
        c = (unsigned char)p[1];
        if (!is_punct(c)) return -1;
        after = p + 2;
    } else if (c == '\0' || strchr(".[()$", c) != NULL) {
        return -1;
    }
    if (*after == '*' || *after == '?' || *after == '-') return -1;
    return c;
}

/* -- the matcher ----------------------------------------------------------- */

static const char *match_here(struct matcher *m, const char *s, const char *p);

/* The longest run of the item first, then shorter ones. */
static const char *match_longest(struct matcher *m, const char *s, struct item it,
                                 size_t least) {
    const char *rest = it.end + 1;
    size_t cost = item_steps(it), n = 0, room = (size_t)(m->end - s);
    while (n < room && item_has(it, s[n])) {
        n++;
        if (n % 256 == 0) pay(m, 256 * cost);
    }
    pay(m, n % 256 * cost + 1);

    int next = first_byte(rest);
    for (;;) {
        if (n < least) return NULL;
        if (next < 0 || (s + n < m->end && (unsigned char)s[n] == next)) {
            const char *e = match_here(m, s + n, rest);
            if (e != NULL) return e;
        } else {
            pay(m, 1);
        }
        if (n-- == 0) return NULL;
    }
}

/* The shortest run of the item first, then longer ones. */
static const char *match_shortest(struct matcher *m, const char *s, struct item it) {
    const char *rest = it.end + 1;
    size_t cost = item_steps(it);
    int next = first_byte(rest);
    for (;; s++) {
        if (next < 0 || (s < m->end && (unsigned char)*s == next)) {
            const char *e = match_here(m, s, rest);
            if (e != NULL) return e;
        }
        if (s == m->end || !item_has(it, *s)) return NULL;
        pay(m, cost);
    }
}

static const char *match_open(struct matcher *m, const char *s, const char *p, ptrdiff_t len) {
    if (m->level >= MAX_CAPTURES) luaL_error(m->L, "too many captures");
    m->captures[m->level++] = (struct capture){ s, len };
    const char *e = match_here(m, s, p);
    if (e == NULL) m->level--;
    return e;
}

static const char *match_close(struct matcher *m, const char *s, const char *p) {
    int i = m->level - 1;
    while (i >= 0 && m->captures[i].len != CAPTURE_OPEN) i--;
    if (i < 0) luaL_error(m->L, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].start;
    const char *e = match_here(m, s, p);
    if (e == NULL) m->captures[i].len = CAPTURE_OPEN;
    return e;
}

/* %bxy: returns the byte after the closing y, or NULL. */
static const char *match_balance(struct matcher *m, const char *s, const char *p) {
    if (p[0] == '\0' || p[1] == '\0') luaL_error(m->L, "unbalanced pattern");
    if (s == m->end || *s != p[0]) return NULL;
    size_t open = 1;
    while (++s < m->end) {
        pay(m, 1);
        if (*s == p[1]) {
            if (--open == 0) return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f[set]: is s between a character outside the set and one inside? */
static bool match_frontier(struct matcher *m, const char *s, struct item set) {
    char before = s == m->subject ? '\0' : s[-1];
    pay(m, 2 * item_steps(set));
    return !set_has(set, (unsigned char)before) && set_has(set, (unsigned char)*s);
}

/* %1 to %9: returns the byte after what the capture matched again, or NULL. */
static const char *match_again(struct matcher *m, const char *s, char digit) {
    int i = digit - '1';
    if (i < 0 || i >= m->level || m->captures[i].len == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index");
    ptrdiff_t len = m->captures[i].len;
    if (len < 0 || m->end - s < len) return NULL; /* a position has no text */
    pay(m, bytes_as_steps((size_t)len));
    return memcmp(m->captures[i].start, s, (size_t)len) == 0 ? s + len : NULL;
}

/* The items written with % that are no single character.  Returns true when p
 * was one: *s moved on, or NULL when it did not match, and *p behind it. */
static bool match_escape(struct matcher *m, const char **s, const char **p) {
    char kind = (*p)[1];
    if (kind == 'b') {
        *s = match_balance(m, *s, *p + 2);
        *p += 4;
    } else if (kind == 'f') {
        if ((*p)[2] != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
        struct item set = { *p + 2, set_end(m, *p + 2) };
        if (!match_frontier(m, *s, set)) *s = NULL;
        *p = set.end;
    } else if (kind >= '0' && kind <= '9') {
        *s = match_again(m, *s, kind);
        *p += 2;
    } else {
        return false;
    }
    return true;
}

/* The items that start at s and p without a choice, up to the end of the pattern
 * or to the first choice, whose outcome is the outcome of all. */
static const char *match_items(struct matcher *m, const char *s, const char *p) {
    for (;;) {
        pay(m, 1);
        switch (*p) {
        case '\0': return s;
        case '(':
            return p[1] == ')' ? match_open(m, s, p + 2, CAPTURE_POSITION)
                               : match_open(m, s, p + 1, CAPTURE_OPEN);
        case ')': return match_close(m, s, p + 1);
        case '$':
            if (p[1] == '\0') return s == m->end ? s : NULL;
            break;
        case '%':
            if (!match_escape(m, &s, &p)) break;
            if (s == NULL) return NULL;
            continue;
        default: break;
        }

        struct item it = item_at(m, p);
        switch (*it.end) {
        case '*': return match_longest(m, s, it, 0);
        case '+': return match_longest(m, s, it, 1);
        case '-': return match_shortest(m, s, it);
        case '?':
            if (s < m->end && item_has(it, *s)) {
                const char *e = match_here(m, s + 1, it.end + 1);
                if (e != NULL) return e;
            }
            p = it.end + 1;
            continue;
        default: break;
        }
        if (s == m->end || !item_has(it, *s)) return NULL;
        if (it.end - it.p > 8) pay(m, item_steps(it));
        s++;
        p = it.end;
    }
}

/* Where the rest p of the pattern ends when it starts at s, or NULL. */
static const char *match_here(struct matcher *m, const char *s, const char *p) {
    if (++m->depth > MAX_DEPTH) luaL_error(m->L, "pattern too complex");
    const char *e = match_items(m, s, p);
    m->depth--;
    return e;
}

/* Moves over what cannot be the start of a match, as far as the first item of
 * the pattern tells.  Returns NULL when nothing is left. */
static const char *skip_hopeless(struct matcher *m, const char *s, const char *p) {
    int first = first_byte(p);
    if (first >= 0) {
        const char *hit = memchr(s, first, (size_t)(m->end - s));
        pay(m, bytes_as_steps((size_t)((hit ? hit : m->end) - s)));
        return hit;
    }
    bool class = *p == '%' && is_alpha((unsigned char)p[1]) && p[1] != 'b' && p[1] != 'f';
    if (!class && *p != '[') return s;

    struct item it = item_at(m, p);
    if (*it.end == '*' || *it.end == '?' || *it.end == '-') return s;
    size_t cost = item_steps(it), n = 0, room = (size_t)(m->end - s);
    while (n < room && !item_has(it, s[n])) {
        n++;
        if (n % 256 == 0) pay(m, 256 * cost);
    }
    pay(m, n % 256 * cost);
    return n < room ? s + n : NULL;
}

/* The first match at or after *s; *s becomes its start.  NULL: there is none. */
static const char *match_from(struct matcher *m, const char **s, const char *p, bool anchored) {
    for (;; (*s)++) {
        if (!anchored) {
            const char *hit = skip_hopeless(m, *s, p);
            if (hit == NULL) return NULL;
            *s = hit;
        }
        m->level = m->depth = 0;
        const char *e = match_here(m, *s, p);
        if (e != NULL) return e;
        if (anchored || *s == m->end) return NULL;
    }
}

/* -- captures -------------------------------------------------------------- */

/* Pushes capture i of the match from s to e; the whole match when i is 0 and
 * the pattern has no captures. [-0, +1, e] */
static void push_capture(struct matcher *m, int i, const char *s, const char *e) {
    if (i >= m->level) {
        if (i != 0) luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct capture *c = &m->captures[i];
    if (c->len == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
    if (c->len == CAPTURE_POSITION)
        lua_pushinteger(m->L, c->start - m->subject + 1);
    else
        lua_pushlstring(m->L, c->start, (size_t)c->len);
}

/* Pushes all captures, or the whole match when whole is set and there are none.
 * Returns their number. [-0, +n, e] */
static int push_captures(struct matcher *m, const char *s, const char *e, bool whole) {
    int n = m->level == 0 && whole ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++) push_capture(m, i, s, e);
    return n;
}

/* -- find, match ----------------------------------------------------------- */

static struct meter *meter_get(lua_State *L, int upvalue) {
    struct meter *meter = lua_touserdata(L, lua_upvalueindex(upvalue));
    assert(meter != NULL);
    return meter;
}

static void matcher_init(struct matcher *m, lua_State *L, struct meter *meter, const char *s,
                         size_t len) {
    m->L = L;
    m->meter = meter;
    m->subject = s;
    m->end = s + len;
    m->depth = m->level = 0;
}

/* The optional start position at stack index arg as an offset from 0 to len. */
static size_t offset_arg(lua_State *L, int arg, size_t len) {
    lua_Integer at = luaL_optinteger(L, arg, 1);
    if (at < 0) at += (lua_Integer)len;
    else if (at > 0) at--;
    if (at < 0) return 0;
    return (size_t)at > len ? len : (size_t)at;
}

static bool is_plain(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        switch (p[i]) {
        case '^': case '$': case '*': case '+': case '?': case '.': case '(': case '[':
        case '%': case '-': return false;
        default: break;
        }
    }
    return true;
}

/* [-0, +2, e] or [-0, +1, e] */
static int find_plain(lua_State *L, const char *s, size_t len, size_t from) {
    size_t plen;
    const char *p = lua_tolstring(L, 2, &plen);
    pay_meter(L, meter_get(L, 1), bytes_as_steps(len - from));
    const char *hit = plen <= len - from ? memmem(s + from, len - from, p, plen) : NULL;
    if (hit == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, hit - s + 1);
    lua_pushinteger(L, hit - s + (ptrdiff_t)plen);
    return 2;
}

/* [-0, +n, e] */
static int find_or_match(lua_State *L, bool find) {
    size_t len, plen;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *p = luaL_checklstring(L, 2, &plen);
    size_t from = offset_arg(L, 3, len);

    if (find && (lua_toboolean(L, 4) || is_plain(p, plen))) return find_plain(L, s, len, from);

    struct matcher m;
    matcher_init(&m, L, meter_get(L, 1), s, len);
    bool anchored = *p == '^';
    const char *at = s + from;
    const char *e = match_from(&m, &at, p + anchored, anchored);
    if (e == NULL) {
        lua_pushnil(L);
        return 1;
    }
    if (!find) return push_captures(&m, at, e, true);
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, e - s);
    return 2 + push_captures(&m, NULL, NULL, false);
}

static int l_find(lua_State *L) { return find_or_match(L, true); }

static int l_match(lua_State *L) { return find_or_match(L, false); }

/* -- gmatch ---------------------------------------------------------------- */

/* Upvalues: meter, subject, pattern, offset where to go on. [-0, +n, e] */
static int gmatch_next(lua_State *L) {
    size_t len;
    const char *s = lua_tolstring(L, lua_upvalueindex(2), &len);
    const char *p = lua_tostring(L, lua_upvalueindex(3));
    size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(4));
    if (from > len) return 0;

    struct matcher m;
    matcher_init(&m, L, meter_get(L, 1), s, len);
    const char *at = s + from;
    const char *e = match_from(&m, &at, p, false); /* ^ is not special here */
    if (e == NULL) return 0;

    /* After an empty match one character is skipped, or it would match again. */
    lua_pushinteger(L, e - s + (e == at));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(&m, at, e, true);
}

static int l_gmatch(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* -- gsub ------------------------------------------------------------------ */

/* Appends the replacement string at stack index 3 with its %0 to %9. */
static void add_string(struct matcher *m, luaL_Buffer *b, const char *s, const char *e) {
    size_t len;
    const char *r = lua_tolstring(m->L, 3, &len), *end = r + len;
    pay(m, bytes_as_steps(len));
    while (r < end) {
        const char *escape = memchr(r, '%', (size_t)(end - r));
        luaL_addlstring(b, r, (size_t)((escape ? escape : end) - r));
        if (escape == NULL) return;
        pay(m, 1);
        char c = escape[1]; /* a NUL after a '%' that comes last, as in LuaJIT */
        if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (c >= '1' && c <= '9') {
            push_capture(m, c - '1', s, e);
            luaL_addvalue(b);
        } else {
            luaL_addchar(b, c);
        }
        r = escape + 2;
    }
}

/* Appends what the table or function at stack index 3 has for the match. */
static void add_looked_up(struct matcher *m, luaL_Buffer *b, const char *s, const char *e) {
    lua_State *L = m->L;
    if (lua_isfunction(L, 3)) {
        lua_pushvalue(L, 3);
        int n = push_captures(m, s, e, true);
        lua_call(L, n, 1);
    } else {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
    } else if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
}

static int l_gsub(lua_State *L) {
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    const char *p = luaL_checkstring(L, 2);
    int type = lua_type(L, 3);
    luaL_argcheck(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE ||
                  type == LUA_TFUNCTION, 3, "string/function/table expected");
    lua_Integer most = luaL_optinteger(L, 4, INT_MAX), n = 0;

    struct matcher m;
    matcher_init(&m, L, meter_get(L, 1), s, len);
    bool anchored = *p == '^';
    if (anchored) p++;
    luaL_Buffer b;
    luaL_buffinit(L, &b);

    const char *copied = s; /* the subject is in the buffer up to here */
    for (const char *at = s; n < most; n++) {
        const char *e = match_from(&m, &at, p, anchored);
        if (e == NULL) break;
        luaL_addlstring(&b, copied, (size_t)(at - copied));
        if (type == LUA_TTABLE || type == LUA_TFUNCTION) add_looked_up(&m, &b, at, e);
        else add_string(&m, &b, at, e);
        copied = e;
        /* An empty match leaves the character behind it to be copied. */
        at = e == at ? e + 1 : e;
        if (anchored || at > m.end) {
            n++;
            break;
        }
    }
    luaL_addlstring(&b, copied, (size_t)(m.end - copied));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

/* -- install --------------------------------------------------------------- */

void pattern_install(lua_State *L, pattern_tick tick) {
    /* private: they replace the standard ones of the same names. */
    static const luaL_Reg functions[] = {
        { "find", l_find }, { "match", l_match }, { "gmatch", l_gmatch }, { "gsub", l_gsub },
    };
    lua_getglobal(L, "string");
    struct meter *meter = lua_newuserdata(L, sizeof(*meter));
    *meter = (struct meter){ .tick = tick };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -3, functions[i].name);
    }
    lua_pushnil(L); /* an old name of gmatch, in builds that still have it */
    lua_setfield(L, -3, "gfind");
    lua_pop(L, 2);
}
