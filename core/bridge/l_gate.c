/* l_gate.c -- perilune.gate(name, opts): how many requests may work at once, what lua/perilune/gate.lua is made of.
 *
 *     core.gate_new         settings, as an object
 *     core.gate_enter       a slot of the gate (sched/gate.c) for a request, at once or after waiting
 *     core.gate_saturation  and core.gate_stats: for who looks
 *
 * The slot belongs to the request and goes back when that is over, whatever became of it (request_at_end).  A request
 * has one slot of a gate at most: who enters again, by a retry or a second policy, is in already, or it would
 * wait for itself.
 *
 *     op: WAITING --ticket--> told --> in the task again: the slot is hung on the request
 *            +-- its time is up, or the task is gone: gives up
 *
 * Gates are of the process and outlive configurations, and settings are told when the first request comes, not
 * when a policy is loaded: a configuration that is refused changes nothing. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/state.h"
#include "bridge/task.h"
#include "flow/response.h"

#define GATE_TYPE "perilune.gate"

struct lua_gate {
    struct gate         *gate;   /* of `stores`; NULL: not asked for yet */
    const struct stores *stores;
    struct gate_settings settings;
    char                 name[GATE_NAME];
};

/* -- Settings ------------------------------------------------------------------------------ */

static unsigned field_count(lua_State *L, const char *key) {
    lua_getfield(L, 2, key);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v > 0 ? v < 1e9 ? (unsigned)v : 1000000000u : 0;
}

static void read_classes(lua_State *L, struct gate_settings *s) {
    lua_getfield(L, 2, "classes");
    for (; lua_istable(L, -1) && s->classes < GATE_CLASSES; s->classes++) {
        size_t len;
        lua_rawgeti(L, -1, (int)s->classes + 1);
        const char *name = lua_tolstring(L, -1, &len);
        lua_pop(L, 1);
        if (name == NULL) break;
        slice_copy(s->names[s->classes], GATE_NAME, slice_of(name, len));
    }
    lua_pop(L, 1);
    if (s->classes == 0) s->classes = 1;
}

/* core.gate_new(name, { least =, most =, start =, classes =, most_waiting =, target =, interval = }), checked by Lua;
 * times in milliseconds */
int l_gate_new(lua_State *L) {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    bool good = len > 0 && len < GATE_NAME && strlen(name) == len;
    luaL_argcheck(L, good, 1, "a name has 1 to 63 bytes, none of them NUL");
    luaL_checktype(L, 2, LUA_TTABLE);
    struct lua_gate *g = lua_newuserdata(L, sizeof(*g));
    *g = (struct lua_gate){ .settings = { .least = field_count(L, "least"), .most = field_count(L, "most"),
                                          .start = field_count(L, "start"),
                                          .most_waiting = field_count(L, "most_waiting"),
                                          .target_ms = field_count(L, "target"),
                                          .interval_ms = field_count(L, "interval") } };
    read_classes(L, &g->settings);
    memcpy(g->name, name, len);
    luaL_getmetatable(L, GATE_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

/* The gate, with these settings from the first time on. */
static struct gate *gate_of(lua_State *L, struct lua_gate *g) {
    struct state *s = state_of(L);
    if (g->gate != NULL && g->stores == s->stores) return g->gate;
    g->gate = gates_get(s->stores->gates, slice_str(g->name));
    g->stores = s->stores;
    if (g->gate == NULL) luaL_error(L, "perilune.gate: there are %d gates already, or no memory", GATES_MAX);
    gate_configure(g->gate, s->loop, &g->settings);
    return g->gate;
}

/* -- Slots ---------------------------------------------------------------------------------- */

struct slot {
    struct at_end at_end;
    struct gate  *gate;
    struct loop  *loop;
    uint64_t      since_ms;
};

static bool came_from_upstream(const struct outcome *o) {
    return o->cache == NULL || o->cache[0] == '\0' || strcmp(o->cache, "miss") == 0 || strcmp(o->cache, "bypass") == 0;
}

/* When the first token came, counted from the slot on; 0: it says nothing. A whole answer comes when it is complete,
 * and says something when it is known how long it is. */
static uint64_t first_us(const struct slot *s, const struct request *r, const struct outcome *o) {
    uint64_t now = loop_now(s->loop) * 1000, began = now > o->total_us ? now - o->total_us : 0;
    uint64_t first = began + o->ttft_us, since = s->since_ms * 1000;
    bool says = request_wants_stream(r) || o->usage.known;
    return o->ttft_us > 0 && says && first > since ? first - since : 0;
}

static void slot_over(struct at_end *a, struct request *r, const struct outcome *o) {
    struct slot *s = container_of(a, struct slot, at_end);
    struct adaptive_sample sample = { .end = ADAPTIVE_OTHER };
    if (o->overloaded) sample.end = ADAPTIVE_OVERLOADED;
    else if (o->ok && came_from_upstream(o)) {
        sample.end = ADAPTIVE_GOOD;
        sample.first_us = first_us(s, r, o);
        sample.tokens = o->usage.known ? o->usage.prompt : r->counted;
        sample.whole = !request_wants_stream(r);
        sample.out = o->usage.completion;
    }
    gate_leave(s->gate, s->loop, &sample);
    mem_free(s);
}

static struct slot *slot_new(struct gate *g, struct loop *loop) {
    struct slot *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    *s = (struct slot){ .at_end = { .run = slot_over }, .gate = g, .loop = loop };
    return s;
}

static void slot_hang(struct slot *s, struct request *r) {
    s->since_ms = loop_now(s->loop);
    request_at_end(r, &s->at_end);
}

static bool has_slot(const struct request *r, const struct gate *g) {
    for (const struct at_end *a = r->ends; a != NULL; a = a->next)
        if (a->run == slot_over && container_of((struct at_end *)(uintptr_t)a, struct slot, at_end)->gate == g)
            return true;
    return false;
}

/* -- Waiting ----------------------------------------------------------------------------------- */

struct gate_op {
    struct op           op;
    struct gate_ticket *ticket; /* NULL: it was told, or gave up */
    struct slot        *slot;
    struct request     *request; /* a share */
    struct timer        timer;
    enum gate_answer    answer; /* WAITS until it was told */
    bool                late;
};

static void op_over(struct gate_op *w) {
    timer_stop(w->op.task->state->loop, &w->timer);
    if (w->ticket != NULL) gate_give_up(w->ticket, w->late);
    mem_free(w->slot);
    request_put(w->request);
    op_free(w->op.task, w);
}

static void wait_cancel(struct op *op) {
    struct gate_op *w = container_of(op, struct gate_op, op);
    struct adaptive_sample nothing = { .end = ADAPTIVE_OTHER };
    if (w->answer == GATE_OPEN) gate_leave(w->slot->gate, w->slot->loop, &nothing);
    op_over(w);
}

/* ORDER: enum gate_answer. */
static const char *const words[] = { "open", "waits", "full", "hopeless", "shed", "closed", "memory" };

static int refuse(lua_State *L, const char *why, uint64_t wait_ms) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    lua_pushnumber(L, (double)wait_ms / 1000);
    return 3;
}

static int wait_push(lua_State *L, struct op *op) {
    struct gate_op *w = container_of(op, struct gate_op, op);
    const char *why = w->late ? "late" : words[w->answer];
    if (w->answer == GATE_OPEN) {
        slot_hang(w->slot, w->request);
        w->slot = NULL;
        lua_pushboolean(L, 1);
        op_over(w);
        return 1;
    }
    op_over(w);
    return refuse(L, why, 1000);
}

static void told(void *ud, enum gate_answer how) {
    struct gate_op *w = ud;
    w->ticket = NULL;
    w->answer = how;
    timer_stop(w->op.task->state->loop, &w->timer);
    op_done(&w->op);
}

static void too_late(struct timer *t) {
    struct gate_op *w = container_of(t, struct gate_op, timer);
    w->late = true;
    gate_give_up(w->ticket, true);
    w->ticket = NULL;
    op_done(&w->op);
}

/* -- Entering ------------------------------------------------------------------------------------ */

/* The arguments of core.gate_enter. */
static void read_entry(lua_State *L, const struct request *r, struct gate_entry *e) {
    struct state *s = state_of(L);
    uint64_t now = loop_now(s->loop);
    double class_ = luaL_checknumber(L, 3), max_wait = luaL_checknumber(L, 7);
    *e = (struct gate_entry){ .loop = s->loop, .mail = s->services.mail,
                              .class_ = class_ >= 1 && class_ <= GATE_CLASSES ? (unsigned)class_ - 1 : GATE_CLASSES - 1,
                              .weight = luaL_checknumber(L, 5), .cost = luaL_checknumber(L, 6), .told = told };
    e->flow.ptr = luaL_checklstring(L, 4, &e->flow.len);
    luaL_argcheck(L, e->weight > 0 && isfinite(e->weight), 5, "a weight is a number above 0");
    luaL_argcheck(L, e->cost > 0 && isfinite(e->cost), 6, "a cost is a number above 0");
    luaL_argcheck(L, max_wait >= 0 && max_wait < 1e6, 7, "a time to wait is a number of seconds");
    e->deadline_ms = now + (uint64_t)(max_wait * 1000);
    if (r->deadline_ms != 0 && r->deadline_ms < e->deadline_ms) e->deadline_ms = r->deadline_ms;
}

static struct gate_op *op_new(lua_State *L, struct gate *g, struct request *r) {
    struct task *t = state_of(L)->running;
    struct gate_op *w = op_alloc(t, sizeof(*w));
    if (w == NULL) return NULL;
    w->op = (struct op){ .task = t, .cancel = wait_cancel, .push = wait_push };
    w->slot = slot_new(g, t->state->loop);
    if (w->slot == NULL) {
        op_free(t, w);
        return NULL;
    }
    w->request = request_ref(r);
    return w;
}

/* core.gate_enter(gate, req, class, flow, weight, cost, max_wait) -> true | false, why, seconds; may wait */
int l_gate_enter(lua_State *L) {
    struct request *r = request_check(L, 2);
    struct gate *g = gate_of(L, luaL_checkudata(L, 1, GATE_TYPE));
    struct gate_entry e;
    uint64_t wait_ms;
    read_entry(L, r, &e);
    op_check(L);
    if (has_slot(r, g)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    struct gate_op *w = op_new(L, g, r);
    if (w == NULL) return luaL_error(L, "not enough memory");
    uint64_t now = loop_now(e.loop);
    e.ud = w;
    enum gate_answer a = gate_enter(g, &e, now, &w->ticket, &wait_ms);
    w->answer = GATE_WAITS;
    if (a == GATE_WAITS) {
        uint64_t left = e.deadline_ms > now ? e.deadline_ms - now : 0;
        if (timer_start(e.loop, &w->timer, left, too_late) == 0) {
            w->op.what = gate_name(g);
            return op_wait(L, &w->op, "gate");
        }
        a = GATE_NO_MEMORY;
    }
    if (a == GATE_OPEN) {
        slot_hang(w->slot, r);
        w->slot = NULL;
    }
    op_over(w);
    if (a != GATE_OPEN) return refuse(L, words[a], wait_ms);
    lua_pushboolean(L, 1);
    return 1;
}

/* -- For who looks -------------------------------------------------------------------------------- */

/* core.gate_saturation(gate, or its name) -> number; nil: there is none of this name (yet) */
int l_gate_saturation(lua_State *L) {
    struct gate *g;
    if (lua_type(L, 1) == LUA_TSTRING) {
        struct slice name;
        name.ptr = lua_tolstring(L, 1, &name.len);
        g = gates_find(state_of(L)->stores->gates, name);
    } else {
        g = gate_of(L, luaL_checkudata(L, 1, GATE_TYPE));
    }
    if (g == NULL) return 0;
    lua_pushnumber(L, gate_saturation(g));
    return 1;
}

static void set_count(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

/* core.gate_stats(gate) -> { limit =, busy =, waiting =, classes = { NAME = { waiting =, admitted =, ... } } } */
int l_gate_stats(lua_State *L) {
    struct gate_count c;
    gate_count(gate_of(L, luaL_checkudata(L, 1, GATE_TYPE)), &c);
    lua_createtable(L, 0, 4);
    set_count(L, "limit", c.limit);
    set_count(L, "busy", c.busy);
    set_count(L, "waiting", c.waiting);
    lua_createtable(L, 0, (int)c.classes);
    for (unsigned i = 0; i < c.classes; i++) {
        const struct gate_class_count *k = &c.of[i];
        lua_createtable(L, 0, 7);
        set_count(L, "waiting", k->waiting);
        set_count(L, "admitted", (double)k->admitted);
        set_count(L, "full", (double)k->full);
        set_count(L, "hopeless", (double)k->hopeless);
        set_count(L, "shed", (double)k->shed);
        set_count(L, "late", (double)k->late);
        set_count(L, "left", (double)k->left);
        lua_setfield(L, -2, k->name);
    }
    lua_setfield(L, -2, "classes");
    return 1;
}

/* core.gate_methods: the table that gate.lua puts the methods into. [0, 0, e] */
void gate_open(lua_State *L, int core) {
    luaL_newmetatable(L, GATE_TYPE);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "gate_methods");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
