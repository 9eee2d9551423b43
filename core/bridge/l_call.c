/* l_call.c -- core.call, core.respond, core.sleep.
 *
 *     core.call    the request, as policies left it, to an upstream: waits for the first
 *                  event, and gives a response
 *     core.respond an answer made here, which is a response at once
 *     core.sleep   a timer
 *
 * (core.fetch is in l_fetch.c; core.result, which brings what was waited for, in task.c.) */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/value.h"
#include "http/field.h"
#include "llm/answer.h"
#include "llm/dialect.h"
#include "request/outgoing.h"
#include "request/synthetic.h"

uint64_t lib_opt_ms(lua_State *L, int table, const char *key) {
    if (!lua_istable(L, table)) return 0;
    lua_getfield(L, table, key);
    double v = lua_tonumber(L, -1);
    bool bad = !lua_isnil(L, -1) && (!lua_isnumber(L, -1) || !(v > 0) || v > 1e9);
    lua_pop(L, 1);
    if (bad) luaL_error(L, "'%s' must be a number of seconds above 0", key);
    return v > 0 && v < 0.001 ? 1 : (uint64_t)(v * 1000);
}

/* -- Sleep --------------------------------------------------------------------------- */

struct sleep_op {
    struct op    op;
    struct timer timer;
};

static void sleep_free(struct op *op) {
    struct sleep_op *s = container_of(op, struct sleep_op, op);
    timer_stop(op->task->state->loop, &s->timer);
    mem_free(s);
}

static int sleep_push(lua_State *L, struct op *op) {
    (void)L;
    sleep_free(op);
    return 0;
}

static void sleep_fired(struct timer *t) { op_done(&container_of(t, struct sleep_op, timer)->op); }

/* core.sleep(seconds) */
int l_sleep(lua_State *L) {
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 1, "seconds must be at least 0");
    op_check(L);
    struct task *t = state_of(L)->running;
    struct sleep_op *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return luaL_error(L, "not enough memory");
    s->op = (struct op){ .task = t, .cancel = sleep_free, .push = sleep_push };
    uint64_t ms = (uint64_t)ceil(seconds * 1000);
    if (timer_start(t->state->loop, &s->timer, ms ? ms : 1, sleep_fired) != 0) {
        mem_free(s);
        return luaL_error(L, "not enough memory");
    }
    return op_wait(L, &s->op, "sleep");
}

/* -- Call ------------------------------------------------------------------------------ */

struct call_op {
    struct op        op;
    struct response *r;
};

static void call_op_free(struct call_op *c) {
    response_on_ready(c->r, NULL, NULL);
    response_put(c->r);
    op_free(c->op.task, c);
}

static void call_cancel(struct op *op) { call_op_free(container_of(op, struct call_op, op)); }

static int call_push(lua_State *L, struct op *op) {
    struct call_op *c = container_of(op, struct call_op, op);
    const struct failure *f = response_failure(c->r);
    int n = 1;
    if (f != NULL) {
        lua_pushnil(L);
        lib_push_failure(L, f);
        if (c->r->upstream[0] != '\0') {
            lua_pushstring(L, c->r->upstream);
            lua_setfield(L, -2, "upstream");
        }
        n = 2;
    } else {
        response_push(L, c->r);
    }
    call_op_free(c);
    return n;
}

static void call_ready(void *ud) { op_done(&((struct call_op *)ud)->op); }

int lib_wait_response(lua_State *L, struct response *r) {
    struct task *t = state_of(L)->running;
    struct call_op *c = op_alloc(t, sizeof(*c));
    if (c == NULL) {
        response_put(r);
        return luaL_error(L, "not enough memory");
    }
    c->op = (struct op){ .task = t, .what = r->upstream, .cancel = call_cancel, .push = call_push };
    c->r = r;
    response_on_ready(r, call_ready, c);
    return op_wait(L, &c->op, "upstream");
}

/* core.begun(res) -> res | nil, err, waits: until an answer that a policy makes has begun, as that of an upstream has
 * when it is there.  What has begun, or is none, is handed back. */
int l_begun(lua_State *L) {
    lua_settop(L, 1);
    struct response *r = response_test(L, 1);
    bool waits = r != NULL && !response_is_opened(r) && r->ready == NULL && buf_len(&r->held) == 0;
    if (!waits || (r->ended && response_failure(r) == NULL) || !op_is_possible(L)) return 1;
    return lib_wait_response(L, response_ref(r));
}

static int fail(lua_State *L, struct failure *f) {
    lua_pushnil(L);
    lib_push_failure(L, f);
    failure_deinit(f);
    return 2;
}

/* core.call(upstream | nil, req, opts) -> res | nil, err */
int l_call(lua_State *L) {
    lua_settop(L, 3);
    struct request *req = request_check(L, 2);
    uint64_t timeout_ms = lib_opt_ms(L, 3, "timeout");
    struct slice name = { NULL, 0 };
    if (!lua_isnil(L, 1)) name.ptr = luaL_checklstring(L, 1, &name.len);
    op_check(L);
    struct state *s = state_of(L);
    struct failure f;
    failure_init(&f);
    struct body *body = request_body(L, 2);
    struct call_pool *pool = name.ptr ? outgoing_find(&s->services, name)
                                      : outgoing_choose(&s->services, req, body, &f);
    if (pool == NULL) {
        body_put(body);
        if (name.ptr) outgoing_no_upstream(&f, name);
        return fail(L, &f);
    }
    struct budget *budget = s->running->budget;
    const char *refused = budget_refuses_call(s, budget);
    if (refused != NULL) {
        body_put(body);
        failure_set(&f, FAILURE_POLICY_BUDGET, "%s", refused);
        return fail(L, &f);
    }
    struct response *r = outgoing_start(&s->services, &(struct outgoing){
        .pool = pool, .request = req, .body = body, .timeout_ms = timeout_ms,
        .made = budget_begin_call, .over = budget_end_call, .ud = budget });
    body_put(body);
    if (r == NULL) return luaL_error(L, "not enough memory");
    return lib_wait_response(L, r);
}

/* -- Respond ------------------------------------------------------------------------------- */

#define PIECES_MOST   16384       /* chunks of an answer */
#define PIECE_AROUND  320         /* of a chunk around its text, as JSON */
#define PIECE_STEPS   16          /* for state_pay(): to write one takes half a microsecond */
#define ANSWER_STEP   32          /* bytes of it that take as long as a step: they are copied, and written as JSON */
#define LARGE_ANSWER  (64u << 10) /* bytes; the collector sees to those */

/* A number of the table on top or at t, or `otherwise`. [0, 0, e] */
static double field_number(lua_State *L, int t, const char *key, double otherwise, double most, const char *what) {
    lua_getfield(L, t, key);
    double v = lua_isnil(L, -1) ? otherwise : lua_tonumber(L, -1);
    bool good = lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && v >= 0 && v <= most);
    lua_pop(L, 1);
    if (!good) luaL_error(L, "respond: '%s' must be %s", key, what);
    return v;
}

static uint64_t field_ms(lua_State *L, const char *key) {
    return (uint64_t)(field_number(L, 1, key, 0, 1e9, "a number of seconds") * 1000);
}

static uint64_t field_tokens(lua_State *L, int t, const char *key) {
    return (uint64_t)field_number(L, t, key, 0, 1e15, "a number of tokens");
}

static int field_status(lua_State *L) {
    double v = field_number(L, 1, "status", 200, 1e9, "a number");
    if (v < 200 || v > 599 || v != floor(v))
        luaL_error(L, "respond: 'status' must be a whole number from 200 to 599");
    return (int)v;
}

/* The string stays on the stack. [0, +1, e] */
static struct slice field_string(lua_State *L, const char *key, const char *otherwise) {
    lua_getfield(L, 1, key);
    if (lua_isnil(L, -1)) return slice_str(otherwise);
    struct slice s;
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "respond: '%s' must be a string", key);
    s.ptr = lua_tolstring(L, -1, &s.len);
    return s;
}

static void read_usage(lua_State *L, struct usage *u) {
    lua_getfield(L, 1, "usage");
    if (!lua_isnil(L, -1)) {
        int t = lua_gettop(L);
        if (!lua_istable(L, t)) luaL_error(L, "respond: 'usage' must be a table");
        u->known = true;
        u->prompt = field_tokens(L, t, "prompt_tokens");
        u->completion = field_tokens(L, t, "completion_tokens");
        u->cached = field_tokens(L, t, "cached_tokens");
        lib_read_usage_details(L, t, u);
    }
    lua_pop(L, 1);
}

/* Slices into the strings of `chunks`, in a userdata that stays on the stack. */
static const struct slice *read_pieces(lua_State *L, unsigned *count) {
    lua_getfield(L, 1, "chunks");
    if (lua_isnil(L, -1)) return NULL;
    luaL_checktype(L, -1, LUA_TTABLE);
    int t = lua_gettop(L);
    size_t n = lua_objlen(L, t);
    if (n > PIECES_MOST) luaL_error(L, "respond: 'chunks' may hold %d strings, not %f", PIECES_MOST, (lua_Number)n);
    *count = (unsigned)n;
    struct slice *pieces = lua_newuserdata(L, (*count + 1) * sizeof(*pieces));
    for (unsigned i = 0; i < *count; i++) {
        lua_rawgeti(L, t, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "respond: 'chunks' must hold strings");
        pieces[i].ptr = lua_tolstring(L, -1, &pieces[i].len);
        lua_pop(L, 1); /* the table keeps it */
    }
    return pieces;
}

/* What the answer takes in C: all of the same string may be one in Lua. */
static size_t bytes_of(const struct synthetic_options *a) {
    if (a->pieces == NULL) return a->text.len;
    size_t sum = 0, each = a->stream ? PIECE_AROUND : 0;
    for (unsigned i = 0; i < a->count; i++) sum += a->pieces[i].len + each;
    return sum;
}

/* Before it is copied: is there memory, and time?  The collector does not see what answers hold, so it works as if
 * Lua held it: those that nobody has any more let it go. [0, 0, e] */
static void afford(lua_State *L, size_t bytes, unsigned count) {
    if (bytes >= LARGE_ANSWER && bytes < INT_MAX) lua_gc(L, LUA_GCSTEP, (int)(bytes / 1024));
    state_want(L, bytes);
    state_pay(L, bytes / ANSWER_STEP + (size_t)count * PIECE_STEPS);
}

/* core.respond({text=, chunks=, status=, model=, usage=, upstream=, ttft=, itl=, stream=}, told), or with a body as it
 * goes to the client, JSON that is no chat, in place of text and chunks; told: whatever
 * the form, it is given in the one that the client waits for */
int l_respond(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    struct state *s = state_of(L);
    struct request *req = s->running ? s->running->request : NULL;
    bool told = lua_toboolean(L, 2);
    lua_settop(L, 1);
    const struct chat *chat = req && req->body ? &req->body->chat : NULL;
    struct synthetic_options a = { .status = 200 };
    a.text = field_string(L, "text", "");
    a.model = field_string(L, "model", "perilune");
    struct slice upstream = field_string(L, "upstream", "");
    if (http_field_problem(SLICE("x"), upstream) != NULL) /* it becomes a header */
        return luaL_error(L, "respond: 'upstream' must not hold a line break or another control byte");
    a.pieces = read_pieces(L, &a.count);
    struct slice body = field_string(L, "body", "");
    if (body.len > 0) {
        a.is_body = true;
        a.text = body;
        a.pieces = NULL;
    }
    a.status = field_status(L);
    a.ttft_ms = field_ms(L, "ttft");
    a.itl_ms = field_ms(L, "itl");
    a.stream = value_field_bool(L, 1, "stream", chat && chat->stream);
    a.keep_usage = chat && (chat->wants_usage || (told && !chat->stream)); /* a whole always has it */
    read_usage(L, &a.usage);
    size_t bytes = bytes_of(&a);
    afford(L, bytes, a.count);
    char name[64];
    slice_copy(name, sizeof(name), upstream);
    struct response *r = response_make(L, &(struct response_options){ .loop = s->loop, .upstream = name,
                                                                      .dialect = &openai_chat,
                                                                      .among = req ? &req->responses : NULL,
                                                                      .limit = s->limits.max_answer,
                                                                      .high_water = s->limits.high_water });
    struct source *source = synthetic_new(s->loop, &a);
    if (source != NULL && told && chat && a.stream != chat->stream)
        source = openai_chat.reader(source, &(struct answer_options){ .stream = chat->stream, .limit = SIZE_MAX / 2,
                                                                      .keep_usage = chat->wants_usage });
    if (source == NULL) return luaL_error(L, "not enough memory");
    response_start(r, source);
    response_charge(L, r, bytes);
    state_pay(L, a.model.len / VALUE_STEP_BYTES);
    return 1;
}
