/* l_sse.c -- perilune.sse(): events of text/event-stream, whatever pieces it comes in.
 *
 * The userdata is the parser (llm/sse.c).  Tables of events are made while it is in the middle of a piece, and that may
 * raise for want of memory; so it counts as failed meanwhile, and whoever catches the error cannot go on with half a
 * state. */
#include <lauxlib.h>

#include "bridge/lib.h"
#include "bridge/state.h"
#include "include/perilune.h"
#include "llm/sse.h"

#define SSE_TYPE   "perilune.sse"
#define EVENT_MAX  (16u << 20) /* bytes of an event, where nobody says something else */
#define EVENT_MOST (1u << 30)

struct parser {
    struct sse sse;
    size_t     limit;
    int        rc; /* of what it failed; 0: it did not */
};

struct collect {
    lua_State *L;
    int        list, count;
};

static void set_slice(lua_State *L, const char *key, struct slice s) {
    lua_pushlstring(L, s.ptr ? s.ptr : "", s.len);
    lua_setfield(L, -2, key);
}

static int on_event(void *ud, const struct sse_event *ev) {
    struct collect *c = ud;
    state_pay(c->L, 1 + ev->data.len / 64);
    lua_createtable(c->L, 0, 3);
    set_slice(c->L, "type", ev->name.len > 0 ? ev->name : SLICE("message"));
    set_slice(c->L, "data", ev->data);
    if (ev->id.len > 0) set_slice(c->L, "id", ev->id);
    lua_rawseti(c->L, c->list, ++c->count);
    return 0;
}

static struct parser *check(lua_State *L) { return luaL_checkudata(L, 1, SSE_TYPE); }

/* s: NULL: the stream has ended. */
static int parse(lua_State *L, struct parser *p, const struct slice *s) {
    lua_newtable(L);
    struct collect c = { L, lua_gettop(L), 0 };
    int rc = p->rc;
    if (rc == 0) {
        p->rc = PERILUNE_ERR_NOMEM;
        p->rc = rc = s ? sse_feed(&p->sse, *s, on_event, &c) : sse_finish(&p->sse, on_event, &c);
    }
    if (rc == 0) return 1;
    if (rc != PERILUNE_ERR_LIMITED) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushfstring(L, "an event has more than %d bytes (max_size)", (int)p->limit);
    return 2;
}

/* parser:feed(bytes) -> { { type =, data =, id? }, ... } | nil, message */
static int l_feed(lua_State *L) {
    struct parser *p = check(L);
    struct slice s;
    s.ptr = luaL_checklstring(L, 2, &s.len);
    state_pay(L, s.len / 64);
    return parse(L, p, &s);
}

/* parser:finish() -> the same: an event that was not ended */
static int l_finish(lua_State *L) { return parse(L, check(L), NULL); }

static int l_gc(lua_State *L) {
    sse_deinit(&((struct parser *)lua_touserdata(L, 1))->sse);
    return 0;
}

static size_t limit_of(lua_State *L) {
    if (lua_isnil(L, 1)) return EVENT_MAX;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 1) != 0) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(key, "max_size") != 0) luaL_error(L, "perilune.sse: unknown option '%s'; there is max_size", key);
        lua_pop(L, 1);
    }
    lua_getfield(L, 1, "max_size");
    double v = luaL_optnumber(L, -1, EVENT_MAX);
    lua_pop(L, 1);
    if (!(v >= 1 && v <= EVENT_MOST && v == (double)(size_t)v))
        luaL_error(L, "perilune.sse: max_size must be a whole number from 1 to %d", (int)EVENT_MOST);
    return (size_t)v;
}

/* core.sse(options) */
int l_sse(lua_State *L) {
    lua_settop(L, 1);
    size_t limit = limit_of(L);
    struct parser *p = lua_newuserdata(L, sizeof(*p));
    *p = (struct parser){ .limit = limit };
    sse_init(&p->sse, limit);
    luaL_getmetatable(L, SSE_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

void sse_open(lua_State *L) {
    static const luaL_Reg methods[] = { { "feed", l_feed }, { "finish", l_finish }, { NULL, NULL } };
    lib_open_object(L, SSE_TYPE, l_gc, methods);
}
