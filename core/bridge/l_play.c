/* l_play.c -- core.play: upstreams that a function plays, for simulations of the test kit.
 *
 *     core.play(configuration, seed, fn)   from here on they are the upstreams
 *     core.play()                          there are none any more
 *
 *     fn(upstream, path, request_id, streams, body) -> { status =, fields =, at = list, seconds, fails = code }
 *
 * Here is what fn says, and how its answer becomes one for the transport (upstream/played.c); upstreams and pools are
 * made by who made the state (services->play), because configurations are read by the gateway. */
#include "bridge/lib.h"
#include "bridge/state.h"
#include "upstream/played.h"

struct asking {
    struct state                 *state;
    const struct played_question *q;
    struct played_answer         *out;
};

static void push_slice(lua_State *L, struct slice s) { lua_pushlstring(L, s.len > 0 ? s.ptr : "", s.len); }

static double field_number(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (!(v >= 0 && v < 1e9)) luaL_error(L, "play: '%s' must be a number from 0 on", key);
    return v;
}

/* Seconds, to the nearest millisecond. */
static uint64_t milliseconds(double seconds) { return (uint64_t)(seconds * 1000 + 0.5); }

static enum failure_kind kind_of(lua_State *L, const char *code) {
    for (int k = 1; k < FAILURE_KINDS; k++)
        if (strcmp(failure_code((enum failure_kind)k), code) == 0) return (enum failure_kind)k;
    luaL_error(L, "play: no failure of a connection is called '%s'", code);
    return FAILURE_NONE;
}

/* pieces: { { bytes, seconds } ... } in the order of time. [0, 0, e] */
static void read_pieces(lua_State *L, struct played_answer *out) {
    lua_getfield(L, -1, "pieces");
    unsigned count = lua_istable(L, -1) ? (unsigned)lua_objlen(L, -1) : 0;
    if (played_answer_room(out, count) != 0) luaL_error(L, "not enough memory");
    for (unsigned i = 0; i < count; i++) {
        size_t len;
        lua_rawgeti(L, -1, (int)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        const char *bytes = luaL_checklstring(L, -2, &len);
        out->at_ms[i] = milliseconds(luaL_checknumber(L, -1));
        if (i > 0 && out->at_ms[i] < out->at_ms[i - 1]) luaL_error(L, "play: piece %d comes too early", i + 1);
        buf_put(&out->bytes, bytes, len);
        out->ends[i] = buf_len(&out->bytes);
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
}

/* The table on top. [0, 0, e] */
static void read_answer(lua_State *L, struct played_answer *out) {
    luaL_checktype(L, -1, LUA_TTABLE);
    out->status = (int)field_number(L, "status");
    out->end_ms = milliseconds(field_number(L, "seconds"));
    lua_getfield(L, -1, "fields");
    if (lua_isstring(L, -1)) buf_puts(&out->fields, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_getfield(L, -1, "fails");
    if (lua_isstring(L, -1)) out->fails = kind_of(L, lua_tostring(L, -1));
    lua_pop(L, 1);
    read_pieces(L, out);
    if (out->count > 0 && out->end_ms < out->at_ms[out->count - 1]) out->end_ms = out->at_ms[out->count - 1];
    bool says = out->count > 0 || out->fails == FAILURE_NONE;
    if (says && (out->status < 200 || out->status > 599)) luaL_error(L, "play: 'status' must be from 200 to 599");
}

static int enter(lua_State *L, void *ud) {
    const struct asking *a = ud;
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->state->player_ref);
    lua_pushstring(L, a->q->upstream);
    push_slice(L, a->q->path);
    push_slice(L, a->q->request_id);
    lua_pushboolean(L, a->q->stream);
    push_slice(L, a->q->body);
    lua_call(L, 5, 1);
    read_answer(L, a->out);
    return 0;
}

static int ask(void *ud, const struct played_question *q, struct played_answer *out) {
    struct state *s = ud;
    return state_call(s, enter, &(struct asking){ s, q, out }, NULL, 0);
}

/* core.play(configuration, seed, fn), or core.play() */
int l_play(lua_State *L) {
    struct state *s = state_of(L);
    char err[800] = "simulations run in `perilune test` and `perilune replay`";
    struct slice config = { NULL, 0 };
    double seed = 0;
    lua_settop(L, 3);
    if (!lua_isnil(L, 1)) {
        config.ptr = luaL_checklstring(L, 1, &config.len);
        seed = luaL_checknumber(L, 2);
        luaL_checktype(L, 3, LUA_TFUNCTION);
    }
    int ref = config.ptr != NULL ? state_ref_new(L) : 0; /* takes fn off the stack */
    s->player = (struct player){ .ask = ask, .ud = s };
    int rc = s->services.play != NULL
                 ? s->services.play(&s->services, config, (uint64_t)seed, &s->player, err, sizeof(err)) : -1;
    if (rc != 0) {
        if (ref != 0) state_ref_drop(s, ref);
        return luaL_error(L, "%s", err);
    }
    if (s->player_ref != 0) state_ref_drop(s, s->player_ref);
    s->player_ref = ref;
    return 0;
}
