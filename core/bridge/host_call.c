/* host_call.c -- one call of a function of the program: its answer, now or later.
 *
 *     policy --> l_host.c --> fn(call) --> perilune_call_done(call)          an answer before fn returned: no waiting
 *                               |
 *                               +--> perilune_call_defer(call) --> later     the policy parks (op_wait)
 *
 * A call that is answered at once lives on the stack of l_host.c and allocates nothing.  `later` has two shares, the
 * policy's and the program's, because either may be gone first.  Who decides how it ends is whoever changes `phase`:
 *
 *     WAITING --an answer, on any thread--> TAKEN --letter, or deferred work--> op_done()
 *        +------the policy stops waiting--> GONE, and the program hears of it (cancel)
 *
 * TAKEN and the policy stops waiting before the letter is opened: `abandoned`, and the letter gives the policy's share
 * back.  Answers of the policy's own thread need no letter: they go on at the end of this turn of the loop.
 *
 * An answer of another thread, one at a time, costs some 10 us, most of it for waking that thread and being woken: the
 * bell is an eventfd, without anything around it.  Looking for the answer for some microseconds before sleeping was
 * tried with two bare threads, on two cores that others used, too: answers that came at once came no sooner, and for
 * those that took 50 us it burned up to a half more CPU.
 *
 * The program's frames are below us when it answers, so nothing here raises before its function has returned. */
#include "bridge/host_call.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/value.h"
#include "request/request.h"
#include "sys/door.h"

#define ANSWER_MOST  (16u << 20)
#define WAITING_MOST 65536 /* of a state */
#define WAIT_MS      60000 /* where no request bounds it */

static const struct slice gave_up = SLICE("the program gave the call up"),
                          too_late = SLICE("the program did not answer in time");

enum phase { WAITING, TAKEN, GONE };

struct later {
    struct perilune_call call; /* what the program holds */
    atomic_uint     refs;
    atomic_int      phase;     /* enum phase */
    struct door    *door;      /* a share */
    struct letter   letter;
    void          (*cancel)(perilune_call *call, void *ud);
    void           *ud;
    /* Of the policy's thread: */
    struct op       op;
    struct state   *state;
    struct deferred soon;
    struct timer    limit;
    bool            finished;  /* the answer is op's result */
    bool            abandoned; /* nobody waits, and its letter is on the way */
};

/* -- Answers ------------------------------------------------------------------------- */

static int fill_text(struct host_answer *a, const char *ptr, size_t len) {
    if (len > ANSWER_MOST) return PERILUNE_ERR_LIMITED;
    if (len > 0 && ptr == NULL) return PERILUNE_ERR_INVAL;
    buf_init(&a->text, 0);
    buf_put(&a->text, ptr, len);
    if (!buf_failed(&a->text)) return 0;
    buf_deinit(&a->text);
    return PERILUNE_ERR_NOMEM;
}

static int fill(struct host_answer *a, const perilune_value *v) {
    *a = (struct host_answer){ .type = v ? v->type : PERILUNE_NIL };
    if (v == NULL || v->type == PERILUNE_NIL) return 0;
    a->number = v->number;
    if (v->type == PERILUNE_BOOLEAN || v->type == PERILUNE_NUMBER) return 0;
    if (v->type != PERILUNE_STRING && v->type != PERILUNE_JSON) return PERILUNE_ERR_INVAL;
    return fill_text(a, v->text.ptr, v->text.len);
}

static void later_put(struct later *l) {
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1) return;
    buf_deinit(&l->call.answer.text);
    door_put(l->door);
    mem_free(l);
}

/* The policy goes on. May free l. */
static void finish(struct later *l) {
    if (l->abandoned) {
        later_put(l);
        return;
    }
    timer_stop(l->state->loop, &l->limit);
    l->finished = true;
    op_done(&l->op);
}

static void opened(struct letter *letter, void *owner) {
    (void)owner;
    finish(container_of(letter, struct later, letter));
}

static void on_soon(struct deferred *d) { finish(container_of(d, struct later, soon)); }

static bool take(struct later *l, enum phase to) {
    int waiting = WAITING;
    return atomic_compare_exchange_strong(&l->phase, &waiting, to);
}

/* Takes the text of a, also on failure. */
static int answer_later(struct later *l, struct host_answer *a) {
    if (!take(l, TAKEN)) {
        buf_deinit(&a->text);
        return atomic_load(&l->phase) == GONE ? PERILUNE_ERR_CANCELED : PERILUNE_ERR_STATE;
    }
    l->call.answer = *a;
    if (door_is_here(l->door)) loop_soon(l->state->loop, &l->soon, on_soon);
    else if (!door_send(l->door, &l->letter, opened)) later_put(l); /* its thread is gone, the policy with it */
    return 0;
}

/* A child of fork() has the policy in its memory, and neither its thread nor its loop. */
static bool is_foreign(const perilune_call *call) { return call->later != NULL && door_is_foreign(call->later->door); }

static int answer(perilune_call *call, struct host_answer *a) {
    if (is_foreign(call)) {
        buf_deinit(&a->text);
        return PERILUNE_ERR_STATE;
    }
    if (call->later != NULL) return answer_later(call->later, a);
    if (call->answered) {
        buf_deinit(&a->text);
        return PERILUNE_ERR_STATE;
    }
    call->answered = true;
    call->answer = *a;
    return 0;
}

PERILUNE_API int perilune_call_return(perilune_call *call, const perilune_value *value) {
    struct host_answer a;
    int rc = call == NULL ? PERILUNE_ERR_INVAL : fill(&a, value);
    return rc != 0 ? rc : answer(call, &a);
}

PERILUNE_API int perilune_call_done(perilune_call *call, const char *json, size_t len) {
    perilune_value v = { .type = PERILUNE_JSON, .text = { json, len } };
    return json == NULL ? PERILUNE_ERR_INVAL : perilune_call_return(call, &v);
}

PERILUNE_API int perilune_call_fail(perilune_call *call, const char *code, const char *message) {
    struct host_answer a = { .failed = true };
    if (call == NULL) return PERILUNE_ERR_INVAL;
    if (message == NULL) message = "the program's function failed";
    slice_copy(a.code, sizeof(a.code), slice_str(code && code[0] ? code : failure_code(FAILURE_HOST)));
    int rc = fill_text(&a, message, strnlen(message, 1024));
    return rc != 0 ? rc : answer(call, &a);
}

/* -- Pushing them -------------------------------------------------------------------- */

static enum failure_kind kind_of(const char *code) {
    int kind = FAILURE_KINDS - 1;
    while (kind > FAILURE_NONE && strcmp(failure_code((enum failure_kind)kind), code) != 0) kind--;
    return (enum failure_kind)kind;
}

/* A code that C has no use for, as perilune.error{} makes it: lua/perilune/errors.lua knows its status. [0, +1, e] */
static void push_error(lua_State *L, const char *code, struct slice message) {
    state_require(L, "perilune.errors");
    lua_getfield(L, -1, "new");
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, message.ptr, message.len);
    lua_setfield(L, -2, "message");
    lua_call(L, 1, 1);
    lua_remove(L, -2);
}

/* [0, +2, e] */
static int push_failure(lua_State *L, const char *code, struct slice message) {
    enum failure_kind kind = kind_of(code);
    lua_pushnil(L);
    if (kind == FAILURE_NONE) {
        push_error(L, code, message);
        return 2;
    }
    struct failure f; /* holds no memory */
    failure_init(&f);
    failure_set(&f, kind, "%.*s", SLICE_ARG(message));
    lib_push_failure(L, &f);
    return 2;
}

static int push_wrong(lua_State *L, const struct host_function *f, const char *what, size_t at) {
    char text[300];
    int n = snprintf(text, sizeof(text), "the program's function '%s' answered %s", f->name, what);
    if (at != SIZE_MAX) n += snprintf(text + n, sizeof(text) - (size_t)n, " at byte %zu", at);
    return push_failure(L, failure_code(FAILURE_HOST), slice_of(text, (size_t)n));
}

/* [0, +n, e] */
static int push_json(lua_State *L, const struct host_function *f, struct slice text) {
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct json_error err = { 0 };
    char what[200];
    int rc = json_parse(doc, text, &err);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0) {
        snprintf(what, sizeof(what), "with what is no JSON: %s", err.message);
        return push_wrong(L, f, what, err.offset);
    }
    value_push(L, doc, 0);
    return 1;
}

static const char *too_large(const struct state *s, size_t len) {
    if (s->limits.max_answer != 0 && len > s->limits.max_answer) return "with more bytes than Lua reads (limits.body)";
    if (len > state_memory_left(s)) return "with more bytes than the policy may still use (limits.memory)";
    return NULL;
}

int host_push_answer(lua_State *L, const struct host_function *f, struct host_answer *a) {
    struct state *s = state_of(L);
    buf_deinit(&s->host_text); /* of the one before, which may have raised */
    s->host_text = a->text;
    a->text = (struct buf){ 0 };
    struct slice text = buf_get(&s->host_text);
    if (a->failed) return push_failure(L, a->code, text);
    switch (a->type) {
    case PERILUNE_BOOLEAN: lua_pushboolean(L, a->number != 0); return 1;
    case PERILUNE_NUMBER: lua_pushnumber(L, a->number); return 1;
    case PERILUNE_STRING:
    case PERILUNE_JSON: break;
    default: lua_pushnil(L); return 1;
    }
    const char *why = too_large(s, text.len);
    if (why != NULL) return push_wrong(L, f, why, SIZE_MAX);
    state_pay(L, text.len / 64);
    if (a->type == PERILUNE_JSON) return push_json(L, f, text);
    lua_pushlstring(L, text.ptr, text.len);
    return 1;
}

/* -- Later ------------------------------------------------------------------------------ */

static int later_push(lua_State *L, struct op *op) {
    struct later *l = container_of(op, struct later, op);
    int n = host_push_answer(L, l->call.f, &l->call.answer); /* raised: l is whole, and cancelled later */
    l->state->host_waiting--;
    later_put(l);
    return n;
}

static void later_cancel(struct op *op) {
    struct later *l = container_of(op, struct later, op);
    l->state->host_waiting--;
    timer_stop(l->state->loop, &l->limit);
    if (!l->finished && take(l, GONE)) {
        if (l->cancel != NULL) l->cancel(&l->call, l->ud);
    } else if (!l->finished && !deferred_is_waiting(&l->soon)) {
        l->abandoned = true;
        return;
    }
    deferred_cancel(&l->soon);
    later_put(l);
}

static void limit_due(struct timer *t) {
    struct later *l = container_of(t, struct later, limit);
    if (!take(l, GONE)) return; /* the answer is on its way */
    struct host_answer a = { .failed = true };
    slice_copy(a.code, sizeof(a.code), slice_str(failure_code(FAILURE_TIMEOUT)));
    fill_text(&a, too_late.ptr, too_late.len); /* without memory it has no message */
    atomic_fetch_add(&l->refs, 1); /* cancel may give the program's share back, and op_done() the policy's */
    if (l->cancel != NULL) l->cancel(&l->call, l->ud);
    l->call.answer = a;
    finish(l);
    later_put(l);
}

/* What nothing else bounds. */
static bool needs_limit(const struct task *t) { return t->request == NULL || t->request->deadline_ms == 0; }

PERILUNE_API perilune_call *perilune_call_defer(perilune_call *call, void (*cancel)(perilune_call *call, void *ud),
                                                void *ud) {
    if (call == NULL || call->later != NULL || call->answered || !op_is_possible(call->L)) return NULL;
    struct state *s = state_of(call->L);
    if (s->services.door == NULL || s->host_waiting >= WAITING_MOST) return NULL;
    struct later *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return NULL;
    l->call = (struct perilune_call){ .f = call->f, .later = l };
    atomic_init(&l->refs, 2);
    atomic_init(&l->phase, WAITING);
    list_init(&l->letter.link);
    l->cancel = cancel;
    l->ud = ud;
    l->state = s;
    l->op = (struct op){ .task = s->running, .what = call->f->name, .cancel = later_cancel, .push = later_push };
    if (needs_limit(s->running) && timer_start(s->loop, &l->limit, WAIT_MS, limit_due) != 0) {
        mem_free(l);
        return NULL;
    }
    l->door = door_ref(s->services.door);
    s->host_waiting++;
    call->later = l;
    return &l->call;
}

PERILUNE_API void perilune_call_free(perilune_call *call) {
    if (call == NULL || call->later == NULL || call != &call->later->call) return; /* the function's own */
    if (is_foreign(call)) return;
    struct later *l = call->later;
    if (atomic_load(&l->phase) == WAITING) {
        struct host_answer a = { .failed = true };
        slice_copy(a.code, sizeof(a.code), slice_str(failure_code(FAILURE_HOST)));
        fill_text(&a, gave_up.ptr, gave_up.len); /* without memory it has no message */
        answer_later(l, &a);
    }
    later_put(l);
}

int host_wait(lua_State *L, struct later *l) { return op_wait(L, &l->op, "the program"); }
