/* l_compose.c -- core.compose: an answer that a coroutine of a policy writes.
 *
 *     policy --compose(fn)--> response <--source-- composed (request/composed.c) <--writes-- out <-- fn(out), a task
 *                                |                     |  ^                                    |
 *                                +-- gone: cancel -----+  +------ drained: go on -------------+
 *
 * fn begins when the response does, in a task of its own that has the account and the request of whoever made it.  It
 * outlives the policy: it ends when fn returns (the answer is complete), when it throws or returns nil and an error
 * (the answer has failed), or when nobody wants the answer any more.  Before the first byte a failure is the reply;
 * later it is an event of the stream, which then has no end.
 *
 * An author is held by `out` in Lua and by its task; `out` may be kept for ever, and is of no use then.  Lua half:
 * lua/perilune/compose.lua. */
#include <math.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/lib.h"
#include "bridge/policy.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "request/composed.h"

#define OUT_TYPE "perilune.out"

struct author {
    unsigned         refs;
    struct composed *c;      /* a share */
    struct state    *s;
    struct task     *task;   /* NULL: it ended */
    struct request  *req;    /* a share: the task looks at it as long as there is one; or NULL */
    struct list      waiting; /* struct writer */
    struct deferred  stop;
};

static void author_put(struct author *a) {
    if (--a->refs > 0) return;
    deferred_cancel(&a->stop);
    composed_put(a->c);
    mem_free(a);
}

/* -- Its task -------------------------------------------------------------------------------- */

static void begin(void *ud) {
    struct author *a = ud;
    if (a->task != NULL) task_start_soon(a->task);
}

/* The task is gone: its shares go. */
static void let_go(struct author *a) {
    struct request *req = a->req;
    a->req = NULL;
    request_put(req);
    author_put(a);
}

static void stop(struct author *a) {
    struct task *t = a->task;
    a->task = NULL;
    if (t == NULL) return;
    task_cancel(t);
    let_go(a);
}

static void on_stop(struct deferred *d) { stop(container_of(d, struct author, stop)); }

/* From inside of Lua (a finalizer, a policy that drops its own answer) it may be the one that runs. */
static void gone(void *ud) {
    struct author *a = ud;
    if (a->s->running != NULL) loop_soon(a->s->loop, &a->stop, on_stop);
    else stop(a);
}

struct reading {
    struct task    *task;
    struct failure *f;
};

static int read_failure(lua_State *L, void *ud) {
    struct reading *r = ud;
    lua_settop(r->task->co, 2);
    luaL_checkstack(L, 4, NULL);
    lua_xmove(r->task->co, L, 1);
    lib_to_failure(L, lua_gettop(L), r->f);
    return 0;
}

static void on_done(struct task *t, bool ok) {
    struct author *a = t->owner;
    struct failure f;
    failure_init(&f);
    a->task = NULL;
    bool failed = ok && lua_gettop(t->co) >= 2 && lua_isnil(t->co, 1) && !lua_isnil(t->co, 2);
    if (!ok) policy_why_failed(t, &f);
    else if (failed && state_call(a->s, read_failure, &(struct reading){ t, &f }, NULL, 0) != 0)
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    if (failure_is_set(&f)) composed_fail(a->c, &f);
    else composed_end(a->c);
    failure_deinit(&f);
    task_free(t);
    let_go(a);
}

/* -- Waiting for room --------------------------------------------------------------------------- */

struct writer {
    struct op      op;
    struct list    link; /* among those that wait */
    struct author *a;    /* borrowed: the task that waits keeps `out` */
};

static void writer_free(struct op *op) {
    struct writer *w = container_of(op, struct writer, op);
    list_remove(&w->link);
    op_free(op->task, w);
}

static int writer_push(lua_State *L, struct op *op) {
    (void)L;
    writer_free(op);
    return 0;
}

static void drained(void *ud) {
    struct author *a = ud;
    struct list all;
    list_init(&all);
    list_take(&all, &a->waiting); /* who waits again does not hold up the others */
    a->refs++;
    while (!list_is_empty(&all)) {
        struct writer *w = container_of(all.next, struct writer, link);
        list_remove(&w->link);
        op_done(&w->op); /* may free any of them */
    }
    author_put(a);
}

static const struct composed_ops composed_ops = { begin, drained, gone };

/* After something was written: waits, when that was enough for now. */
static int go_on(lua_State *L, struct author *a) {
    if (!composed_is_full(a->c) || !op_is_possible(L)) return 0;
    struct task *t = a->s->running;
    struct writer *w = op_alloc(t, sizeof(*w));
    if (w == NULL) return luaL_error(L, "not enough memory");
    w->op = (struct op){ .task = t, .cancel = writer_free, .push = writer_push };
    w->a = a;
    list_append(&a->waiting, &w->link);
    return op_wait(L, &w->op, "a client that reads slowly");
}

/* -- out --------------------------------------------------------------------------------------------- */

static struct author *to_author(lua_State *L) {
    struct author **box = luaL_checkudata(L, 1, OUT_TYPE);
    if (*box == NULL || composed_is_over((*box)->c)) luaL_error(L, "the answer is over: nothing can be written to it");
    return *box;
}

static unsigned choice_at(lua_State *L, int i, const struct author *a) {
    double v = luaL_optnumber(L, i, 0);
    luaL_argcheck(L, v >= 0 && v == floor(v) && v < composed_choices(a->c), i,
                  "a choice is a whole number from 0, below the n of the request");
    return (unsigned)v;
}

static struct slice text_at(lua_State *L, int i) {
    struct slice s;
    s.ptr = luaL_checklstring(L, i, &s.len);
    return s;
}

/* core.compose_text(out, text, kind | nil, choice | nil), may wait */
int l_compose_text(lua_State *L) {
    static const char *const kinds[] = { "text", "reasoning", "refusal", NULL };
    static const enum piece_kind of[] = { PIECE_TEXT, PIECE_REASONING, PIECE_REFUSAL };
    struct author *a = to_author(L);
    struct slice text = text_at(L, 2);
    int kind = luaL_checkoption(L, 3, "text", kinds);
    unsigned choice = choice_at(L, 4, a);
    state_pay(L, 1 + text.len / 256);
    composed_text(a->c, choice, of[kind], text);
    return go_on(L, a);
}

/* core.compose_call(out, id, name, arguments, choice | nil), may wait */
int l_compose_call(lua_State *L) {
    struct author *a = to_author(L);
    struct composing_call call = { text_at(L, 2), text_at(L, 3), text_at(L, 4) };
    unsigned choice = choice_at(L, 5, a);
    state_pay(L, 1 + call.arguments.len / 256);
    composed_call(a->c, choice, &call);
    return go_on(L, a);
}

/* core.compose_reason(out, reason, choice | nil) */
int l_compose_reason(lua_State *L) {
    struct author *a = to_author(L);
    struct slice reason = text_at(L, 2);
    luaL_argcheck(L, reason.len > 0 && reason.len < COMPOSING_REASON, 2, "a reason has 1 to 31 bytes");
    composed_reason(a->c, choice_at(L, 3, a), reason);
    return 0;
}

/* core.compose_partial(out): something is missing */
int l_compose_partial(lua_State *L) {
    composed_partial(to_author(L)->c);
    return 0;
}

static uint64_t tokens_at(lua_State *L, int i) {
    double v = luaL_optnumber(L, i, 0);
    luaL_argcheck(L, v >= 0 && v <= 1e15, i, "a number of tokens");
    return (uint64_t)v;
}

/* core.compose_count(out, res | prompt, completion, cached, usage): what a part used that was not piped */
int l_compose_count(lua_State *L) {
    struct author *a = to_author(L);
    struct usage u = { .known = true };
    struct response *r = lua_isnumber(L, 2) ? NULL : response_test(L, 2);
    if (r != NULL) {
        u = response_said(r);
    } else {
        u.prompt = tokens_at(L, 2);
        u.completion = tokens_at(L, 3);
        u.cached = tokens_at(L, 4);
        luaL_checktype(L, 5, LUA_TTABLE);
        lib_read_usage_details(L, 5, &u);
    }
    composed_usage(a->c, &u);
    lua_pushboolean(L, u.known);
    return 1;
}

/* -- Pipes -------------------------------------------------------------------------------------------- */

struct piping {
    struct op          op;
    struct pipe       *pipe;   /* NULL: over */
    struct pipe_result result;
    struct failure     failure;
};

static void piping_free(struct op *op) {
    struct piping *p = container_of(op, struct piping, op);
    if (p->pipe != NULL) pipe_cancel(p->pipe);
    failure_deinit(&p->failure);
    mem_free(p);
}

static void set_flag(lua_State *L, const char *key, bool v) {
    lua_pushboolean(L, v);
    lua_setfield(L, -2, key);
}

/* { finish_reason =, said =, refused =, called =, usage = }; of one that failed nil, err, and the same */
static int piping_push(lua_State *L, struct op *op) {
    struct piping *p = container_of(op, struct piping, op);
    bool failed = failure_is_set(&p->failure);
    if (failed) {
        lua_pushnil(L);
        lib_push_failure(L, &p->failure);
    }
    lua_createtable(L, 0, 5);
    set_flag(L, "said", p->result.said);
    set_flag(L, "refused", p->result.refused);
    set_flag(L, "called", p->result.called);
    if (p->result.reason[0] != '\0') {
        lua_pushstring(L, p->result.reason);
        lua_setfield(L, -2, "finish_reason");
    }
    if (p->result.usage.known) {
        lib_push_usage(L, &p->result.usage);
        lua_setfield(L, -2, "usage");
    }
    piping_free(op);
    return failed ? 3 : 1;
}

static void piped(void *ud, const struct pipe_result *result) {
    struct piping *p = ud;
    p->pipe = NULL;
    p->result = *result;
    if (result->failure != NULL) failure_copy(&p->failure, result->failure);
    op_done(&p->op); /* may free p */
}

/* core.compose_pipe(out, res, by, label | nil, only | nil, as | nil) -> { ... } | nil, err, { ... }, waits */
int l_compose_pipe(lua_State *L) {
    static const char *const ways[] = { "whole", "line", NULL };
    lua_settop(L, 6);
    struct author *a = to_author(L);
    struct response *r = response_test(L, 2);
    luaL_argcheck(L, r != NULL, 2, "a response that is not finished");
    luaL_argcheck(L, r->dialect == &openai_chat, 2, "the answer to a chat");
    luaL_argcheck(L, !response_is_taken(r), 2, "this answer was sent or piped before");
    struct pipe_options opt = { .by = (enum pipe_by)luaL_checkoption(L, 3, "whole", ways), .only = -1 };
    if (!lua_isnil(L, 4)) opt.label = text_at(L, 4);
    double only = luaL_optnumber(L, 5, -1);
    luaL_argcheck(L, only >= -1 && only < COMPOSING_CHOICES && only == floor(only), 5, "a choice is a number from 0");
    opt.only = (int)only;
    opt.as = choice_at(L, 6, a);
    if (opt.by == PIPE_LINES && opt.only < 0) opt.only = 0;
    op_check(L);
    struct piping *p = mem_zalloc(sizeof(*p));
    if (p != NULL) p->pipe = pipe_new(a->c, r, &opt, piped, p);
    if (p == NULL || p->pipe == NULL) {
        mem_free(p);
        return luaL_error(L, "not enough memory");
    }
    failure_init(&p->failure);
    response_pin(r);
    p->op = (struct op){ .task = a->s->running, .cancel = piping_free, .push = piping_push };
    return op_wait(L, &p->op, "an answer that is piped");
}

/* -- Making ------------------------------------------------------------------------------------------------- */

static int l_gc(lua_State *L) {
    struct author **box = lua_touserdata(L, 1);
    struct author *a = *box;
    *box = NULL;
    if (a != NULL) author_put(a);
    return 0;
}

static struct slice model_of(lua_State *L, int i, const struct request *req) {
    if (!lua_isnil(L, i)) return text_at(L, i);
    const struct body *b = req != NULL && req->body != NULL && !body_is_cleared(req->body) ? req->body : NULL;
    if (b == NULL || b->chat.model == JSON_NONE) return SLICE("perilune");
    struct buf *out = lib_output(L);
    json_decode_string(&b->doc, b->chat.model, out);
    lib_check_buf(L, out);
    return buf_get(out);
}

static unsigned choices_of(const struct request *req) {
    bool chat = req != NULL && req->body != NULL && req->body->dialect == &openai_chat && !body_is_cleared(req->body);
    unsigned n = chat ? openai_chat.choices(&req->body->doc) : 1;
    return n == 0 ? 1 : n < COMPOSING_CHOICES ? n : COMPOSING_CHOICES;
}

/* Pushes `out`. */
static struct author *make(lua_State *L, struct request *req, struct slice model) {
    struct state *s = state_of(L);
    const struct chat *chat = req && req->body && !body_is_cleared(req->body) ? &req->body->chat : NULL;
    struct author **box = lua_newuserdata(L, sizeof(*box));
    *box = NULL;
    luaL_getmetatable(L, OUT_TYPE);
    lua_setmetatable(L, -2);
    struct author *a = mem_zalloc(sizeof(*a));
    if (a == NULL) luaL_error(L, "not enough memory");
    *a = (struct author){ .refs = 1, .s = s };
    list_init(&a->waiting);
    *box = a;
    a->c = composed_new(&(struct composed_options){
        .loop = s->loop, .dialect = &openai_chat, .model = model, .choices = choices_of(req),
        .stream = chat && chat->stream, .keep_usage = chat && chat->wants_usage, .limit = s->limits.max_answer,
        .high_water = s->limits.high_water, .ops = &composed_ops, .ud = a });
    if (a->c == NULL) luaL_error(L, "not enough memory");
    return a;
}

/* core.compose(fn, model | nil) -> res: fn(out) begins as soon as somebody may read it */
int l_compose(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct state *s = state_of(L);
    struct task *parent = s->running;
    if (parent == NULL) return luaL_error(L, "an answer is composed inside of a policy's request");
    const char *refused = task_refuses_branches(parent, 1);
    if (refused != NULL) return luaL_error(L, "%s", refused);
    struct request *req = parent->request;
    struct author *a = make(L, req, model_of(L, 2, req));
    int out = lua_gettop(L);
    struct response *r = response_make(L, &(struct response_options){ .loop = s->loop, .upstream = "",
                                                                      .dialect = &openai_chat,
                                                                      .among = req ? &req->responses : NULL,
                                                                      .limit = s->limits.max_answer,
                                                                      .high_water = s->limits.high_water });
    r->accounted = true;
    blame_push_frame(L);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, out);
    struct task *t = task_new(L, 2);
    task_branch(t, parent);
    t->owner = a;
    t->done = on_done;
    a->task = t;
    a->req = req ? request_ref(req) : NULL;
    a->refs++;
    response_start(r, composed_source(a->c));
    return 1;
}

void compose_open(lua_State *L, int core) {
    luaL_newmetatable(L, OUT_TYPE);
    lua_newtable(L); /* methods; compose.lua adds them */
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "out_methods");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
