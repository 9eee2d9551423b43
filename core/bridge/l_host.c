/* l_host.c -- what the program gives to policies: functions and values.
 *
 *     host.NAME(...)           closure --> perilune_function --> host_call.c
 *     perilune.values.NAME     value_index: [version as seen? -> table of parsed values] else values_get, parse, keep
 *                                  |
 *                                  +-- a table: [budget of who runs --> holder --env--> { NAME = copy }] else copy
 *
 * Arguments go as they are: strings are borrowed from Lua, tables become JSON in one buffer, which is the call's own
 * while the function runs, because it may call us back.
 *
 * A table can be written into, so what was parsed is shown to nobody: each request gets a copy when it reads the value
 * first, and that one again.  A request is known by its account, which its branches, its hooks and what it asks share.
 * The holder has a share of the account, so that no other comes to lie at its address; holders of accounts that nobody
 * else has are dropped when copies hold twice as many values as those of the living did the last time. */
#include "base/mem.h"
#include "bridge/host_call.h"
#include "bridge/lib.h"
#include "bridge/value.h"

/* -- Functions ------------------------------------------------------------------------------- */

/* The table at index i as JSON at the end of out; its offset for now, because out may move. [0, 0, e] */
static void put_json(lua_State *L, int i, struct buf *out, perilune_value *v) {
    size_t from = buf_len(out);
    value_encode(L, i, out, 0);
    *v = (perilune_value){ .type = PERILUNE_JSON, .number = (double)from, .text = { NULL, buf_len(out) - from } };
}

static bool is_plain(lua_State *L, int i, perilune_value *v) {
    *v = (perilune_value){ .type = PERILUNE_NIL, .text = { "", 0 } };
    switch (lua_type(L, i)) {
    case LUA_TNIL: return true;
    case LUA_TBOOLEAN:
        v->type = PERILUNE_BOOLEAN;
        v->number = lua_toboolean(L, i);
        return true;
    case LUA_TNUMBER:
        v->type = PERILUNE_NUMBER;
        v->number = lua_tonumber(L, i);
        return true;
    case LUA_TSTRING:
        v->type = PERILUNE_STRING;
        v->text.ptr = lua_tolstring(L, i, &v->text.len);
        return true;
    default: return value_is_null(L, i);
    }
}

/* True: some are tables, and their JSON is in s->encode. [0, 0, e] */
static bool read_args(lua_State *L, const char *name, perilune_value *args, int n) {
    struct buf *json = NULL;
    if (n > HOST_ARGS) luaL_error(L, "host.%s: %d arguments, %d are the most", name, n, HOST_ARGS);
    for (int i = 1; i <= n; i++) {
        if (is_plain(L, i, &args[i - 1])) continue;
        int type = lua_type(L, i);
        if (type != LUA_TTABLE && type != LUA_TUSERDATA)
            luaL_error(L, "host.%s: argument %d is a %s; a program gets strings, numbers, booleans, nil and tables",
                       name, i, luaL_typename(L, i));
        if (json == NULL) json = lib_output(L);
        put_json(L, i, json, &args[i - 1]);
    }
    return json != NULL;
}

/* The buffer with the tables is the call's while fn runs: it may call back, and somebody else use s->encode. */
static void call_with_tables(struct state *s, struct perilune_call *c, perilune_value *args, int n) {
    struct buf json = s->encode;
    s->encode = (struct buf){ 0 };
    const char *text = buf_get(&json).ptr;
    for (int i = 0; i < n; i++)
        if (args[i].type == PERILUNE_JSON) args[i].text.ptr = text + (size_t)args[i].number;
    c->f->fn(c, args, (size_t)n, c->f->ud);
    buf_deinit(&s->encode);
    s->encode = json;
}

/* host.NAME(...), but for waiting: upvalue 1 is its struct host_function. */
static int l_call_host(lua_State *L) {
    const struct host_function *f = lua_touserdata(L, lua_upvalueindex(1));
    struct state *s = state_of(L);
    perilune_value args[HOST_ARGS];
    int n = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    bool tables = read_args(L, f->name, args, n);
    struct perilune_call c = { .f = f, .L = L };
    if (tables) call_with_tables(s, &c, args, n);
    else f->fn(&c, args, (size_t)n, f->ud);
    c.L = NULL;
    if (c.later != NULL) return host_wait(L, c.later);
    return host_push_answer(L, f, &c.answer);
}

/* core.host_function(name) -> function, of which core.result() brings what it waited for | nil */
int l_host_function(lua_State *L) {
    struct slice name;
    name.ptr = luaL_checklstring(L, 1, &name.len);
    const struct host_function *f = host_find(state_of(L)->stores->host, name);
    if (f == NULL) return 0;
    lua_pushlightuserdata(L, (void *)(uintptr_t)f);
    lua_pushcclosure(L, l_call_host, 1);
    return 1;
}

/* core.host_names() -> names */
int l_host_names(lua_State *L) {
    int n = 0;
    lua_newtable(L);
    for (const struct host_function *f = host_first(state_of(L)->stores->host); f != NULL; f = f->next) {
        lua_pushstring(L, f->name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

/* -- Values ----------------------------------------------------------------------------------- */

/* Parsed, with a reason to fail only for memory: what is set is JSON. [0, +1, e] */
static void push_value(lua_State *L, struct blob *text) {
    struct json_doc *doc = &state_of(L)->scratch_doc;
    int rc = json_parse(doc, blob_get(text), &(struct json_error){ 0 });
    if (rc == 0) value_push(L, doc, 0);
    else luaL_error(L, rc == PERILUNE_ERR_NOMEM ? "not enough memory" : "perilune.values: this is no JSON");
}

static int l_value_gc(lua_State *L) {
    struct blob **text = lua_touserdata(L, 1);
    blob_put(*text);
    *text = NULL;
    return 0;
}

#define TEXT_TYPE "perilune.value"
#define HOLDER_TYPE "perilune.value.holder"
#define COPIED_FEW 4096 /* values in copies, some 200 KB: holders of fewer are not looked through */

enum { UP_PARSED = 1, UP_HOLDERS }; /* of l_value_index(): name -> value; address of a budget -> holder */

/* The value under the name at index 2, which is on top and nobody has read yet. [0, +1, e] */
static void read_value(lua_State *L, struct state *s) {
    struct slice name;
    name.ptr = luaL_checklstring(L, 2, &name.len);
    struct blob **text = lua_newuserdata(L, sizeof(*text)); /* holds the share while what follows may raise */
    *text = NULL;
    luaL_getmetatable(L, TEXT_TYPE);
    lua_setmetatable(L, -2);
    *text = values_get(s->stores->values, name);
    if (*text == NULL) lua_pushnil(L);
    else push_value(L, *text);
    blob_put(*text);
    *text = NULL;
    lua_remove(L, 3);
    if (lua_isnil(L, 3)) return;
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(UP_PARSED));
}

struct holder {
    struct budget *owner; /* a share */
    size_t         values; /* in its copies */
};

static int l_holder_gc(lua_State *L) {
    struct holder *h = lua_touserdata(L, 1);
    budget_put(h->owner);
    h->owner = NULL;
    return 0;
}

/* Those of accounts that are over. [0, 0, e] */
static void drop_holders(lua_State *L, struct state *s) {
    size_t left = 0;
    lua_pushnil(L);
    while (lua_next(L, lua_upvalueindex(UP_HOLDERS)) != 0) {
        const struct holder *h = lua_touserdata(L, -1);
        state_pay(L, 1);
        lua_pop(L, 1);
        if (h->owner->refs > 1) {
            left += h->values;
            continue;
        }
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, lua_upvalueindex(UP_HOLDERS));
    }
    s->values_copied = left;
    s->values_copied_most = left < COPIED_FEW / 2 ? COPIED_FEW : 2 * left;
}

/* An empty one for the account that is charged at the moment. [0, +1, e] */
static void push_new_holder(lua_State *L, struct state *s, struct budget *owner) {
    if (s->values_copied >= s->values_copied_most) drop_holders(L, s);
    struct holder *h = lua_newuserdata(L, sizeof(*h));
    *h = (struct holder){ budget_ref(owner), 1 }; /* nothing raises before it has its finalizer */
    luaL_getmetatable(L, HOLDER_TYPE);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setfenv(L, -2);
    lua_pushlightuserdata(L, owner);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(UP_HOLDERS));
    s->values_copied++;
}

/* That of who runs; false: while loading nobody has one. [0, +0|1, e] */
static bool push_holder(lua_State *L, struct state *s) {
    struct budget *owner = s->time.run.budget;
    if (owner == NULL) return false;
    lua_pushlightuserdata(L, owner);
    lua_rawget(L, lua_upvalueindex(UP_HOLDERS));
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    push_new_holder(L, s, owner);
    return true;
}

/* The copy of the table at index 3, which is the value of the name at 2, that who runs has. [0, +1, e] */
static void push_own_copy(lua_State *L, struct state *s) {
    if (!push_holder(L, s)) {
        value_push_copy(L, 3);
        return;
    }
    struct holder *h = lua_touserdata(L, 4);
    lua_getfenv(L, 4);
    lua_pushvalue(L, 2);
    lua_rawget(L, 5);
    if (!lua_isnil(L, -1)) return;
    size_t values = value_push_copy(L, 3);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 5);
    h->values += values;
    s->values_copied += values;
}

/* Nothing of what was read before is still known. [0, 0, e] */
static void forget(lua_State *L, struct state *s, uint64_t version) {
    lua_newtable(L);
    lua_newtable(L);
    lua_replace(L, lua_upvalueindex(UP_HOLDERS));
    lua_replace(L, lua_upvalueindex(UP_PARSED));
    s->values_copied = 0;
    s->values_copied_most = COPIED_FEW;
    s->values_seen = version;
}

/* perilune.values.NAME */
static int l_value_index(lua_State *L) {
    struct state *s = state_of(L);
    uint64_t version = values_version(s->stores->values); /* read before the values: they are this old, or newer */
    if (version != s->values_seen) forget(L, s, version);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(UP_PARSED));
    if (lua_isnil(L, 3) && lua_type(L, 2) == LUA_TSTRING) {
        lua_settop(L, 2);
        read_value(L, s);
    }
    if (lua_istable(L, 3)) push_own_copy(L, s);
    return 1;
}

/* core.value_set(name, json | nil): what perilune_value_set() does, in a spec */
int l_value_set(lua_State *L) {
    struct slice name, json = { NULL, 0 };
    name.ptr = luaL_checklstring(L, 1, &name.len);
    if (!lua_isnoneornil(L, 2)) json.ptr = luaL_checklstring(L, 2, &json.len);
    if (values_set(state_of(L)->stores->values, name, json) != 0) return luaL_error(L, "not enough room for the value");
    return 0;
}

void host_open(lua_State *L, int core) {
    lib_open_owned(L, TEXT_TYPE, l_value_gc);
    lib_open_owned(L, HOLDER_TYPE, l_holder_gc);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushcclosure(L, l_value_index, 2);
    lua_setfield(L, core, "value_index");
}
