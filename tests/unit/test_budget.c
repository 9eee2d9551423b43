/* test_budget.c -- who waits behind a long stretch, and what is left for functions of finally. */
#include <lauxlib.h>
#include <luajit.h>
#include <time.h>

#include "bridge/budget.h"
#include "bridge/task.h"
#include "unit.h"

#define LONG_US 5000

static const struct state_limits limits = { .cpu_us = 1000000, .block_us = 10000, .memory = 64u << 20 };

struct world {
    struct loop   loop;
    struct state *state;
    char          order[16]; /* a letter for each step of a task */
};

static void note(lua_State *L, struct world *w) {
    size_t n = strlen(w->order);
    CHECK(n + 1 < sizeof(w->order));
    w->order[n] = luaL_checkstring(L, 1)[0];
}

static uint64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct world *world_of(lua_State *L) { return container_of(state_of(L)->loop, struct world, loop); }

/* step(letter) */
static int l_step(lua_State *L) {
    note(L, world_of(L));
    return 0;
}

/* work(letter): as a C function that cannot be interrupted. */
static int l_work(lua_State *L) {
    uint64_t end = cpu_us() + LONG_US;
    note(L, world_of(L));
    while (cpu_us() < end) {}
    return 0;
}

struct actor {
    const char  *code;
    struct task *task;
    bool         over, ok;
};

static void on_done(struct task *t, bool ok) {
    struct actor *a = t->owner;
    a->over = true;
    a->ok = ok;
}

static int load(lua_State *L, void *ud) {
    struct actor *a = ud;
    CHECK_INT(luaL_loadstring(L, a->code), 0);
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF); /* no hook fires in compiled code */
    lua_pushcfunction(L, l_work);
    lua_pushcfunction(L, l_step);
    a->task = task_new(L, 2);
    a->task->done = on_done;
    a->task->owner = a;
    return 0;
}

static void world_open(struct world *w) {
    char err[256];
    *w = (struct world){ .order = "" };
    CHECK_INT(loop_init(&w->loop), 0);
    CHECK_INT(state_new(&w->state, &w->loop, NULL, NULL, &limits, err, sizeof(err)), 0);
}

static void begin(struct world *w, struct actor *a, const char *code) {
    char err[256];
    *a = (struct actor){ .code = code };
    CHECK_INT(state_call(w->state, load, a, err, sizeof(err)), 0);
    task_go_on(a->task);
}

static void run(struct world *w, struct actor *a) {
    while (!a->over) uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    CHECK(a->ok);
}

/* The worker rests until release(), however long this test takes. */
static void hold(struct world *w) {
    CHECK(w->state->time.rest_until_us > 0);
    w->state->time.rest_until_us += 60000000;
    timer_stop(&w->loop, &w->state->rest);
}

static void release(struct world *w) {
    w->state->time.rest_until_us = 0;
    timer_stop(&w->loop, &w->state->rest);
    w->state->rest.fire(&w->state->rest);
}

static void world_close(struct world *w) {
    loop_flush(&w->loop);
    state_put(w->state);
    loop_deinit(&w->loop);
}

#define LONG "local work, step = ... local sleep = require('perilune').sleep "
#define SHORT "local work, step = ... "

TEST_NOFAULT(behind_a_long_stretch_others_come_first) {
    struct world w;
    struct actor a, b, c;
    world_open(&w);
    begin(&w, &a, LONG "work('A') for _ = 1, 1e4 do end step('a')"); /* the hook ends its slice */
    CHECK(!a.over && timer_is_running(&w.state->rest));
    begin(&w, &b, SHORT "step('b')"); /* the turn is full */
    CHECK(!b.over);
    hold(&w);
    run(&w, &b);
    begin(&w, &c, SHORT "step('c')");
    run(&w, &c);
    CHECK_STR(w.order, "Abc");
    release(&w);
    run(&w, &a);
    CHECK_STR(w.order, "Abca");
    task_free(a.task);
    task_free(b.task);
    task_free(c.task);
    world_close(&w);
}

TEST_NOFAULT(who_waits_for_something_in_between_rests_too) {
    struct world w;
    struct actor a, b;
    world_open(&w);
    begin(&w, &a, LONG "work('A') sleep(0) step('a')");
    hold(&w);
    while (list_is_empty(&w.state->resting)) uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    hold(&w); /* its timer, too */
    begin(&w, &b, SHORT "step('b')");
    run(&w, &b);
    CHECK_STR(w.order, "Ab");
    release(&w);
    run(&w, &a);
    CHECK_STR(w.order, "Aba");
    task_free(a.task);
    task_free(b.task);
    world_close(&w);
}

TEST_NOFAULT(of_several_that_run_long_one_runs_at_a_time) {
    struct world w;
    struct actor a, b;
    world_open(&w);
    begin(&w, &a, LONG "work('A') sleep(0) work('A')");
    begin(&w, &b, LONG "work('B') sleep(0) work('B')");
    while (!a.over || !b.over) {
        size_t before = strlen(w.order);
        uv_run(&w.loop.uv, UV_RUN_NOWAIT);
        CHECK(strlen(w.order) <= before + 1); /* in a turn of the loop */
    }
    CHECK_INT(strlen(w.order), 4);
    task_free(a.task);
    task_free(b.task);
    world_close(&w);
}

/* Others may be long again and again meanwhile. */
TEST_NOFAULT(who_rests_goes_on_in_the_end) {
    struct world w;
    struct actor a;
    world_open(&w);
    begin(&w, &a, LONG "work('A') sleep(0) step('a')");
    hold(&w); /* a minute */
    run(&w, &a);
    CHECK(loop_hrtime_us() < w.state->time.rest_until_us);
    CHECK_STR(w.order, "Aa");
    task_free(a.task);
    world_close(&w);
}

/* What begins in a callback of I/O, and what it puts off, is run before the loop polls again. */
static struct actor second;

static void on_io(uv_async_t *h) {
    struct world *w = container_of(h->loop, struct world, loop.uv);
    struct actor *first = h->data;
    begin(w, first, LONG "work('A')");
    begin(w, &second, LONG "work('B')");
    uv_close((uv_handle_t *)h, NULL);
}

static void on_poll(uv_prepare_t *h) {
    struct world *w = container_of(h->loop, struct world, loop.uv);
    size_t *before = h->data, now = strlen(w->order);
    CHECK(now <= *before + 1);
    *before = now;
}

TEST_NOFAULT(between_two_polls_one_long_stretch_runs) {
    struct world w;
    struct actor first = { .over = false };
    uv_async_t io;
    uv_prepare_t poll;
    size_t before = 0;
    world_open(&w);
    io.data = &first;
    poll.data = &before;
    uv_async_init(&w.loop.uv, &io, on_io);
    uv_prepare_init(&w.loop.uv, &poll);
    uv_prepare_start(&poll, on_poll);
    uv_async_send(&io);
    while (!first.over || !second.over) uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    CHECK_STR(w.order, "AB");
    uv_close((uv_handle_t *)&poll, NULL);
    task_free(first.task);
    task_free(second.task);
    world_close(&w);
}

TEST_NOFAULT(a_task_that_rests_can_be_canceled) {
    struct world w;
    struct actor a;
    world_open(&w);
    begin(&w, &a, LONG "work('A') for _ = 1, 1e4 do end step('a')");
    CHECK(!list_is_empty(&w.state->resting));
    task_cancel(a.task);
    CHECK(list_is_empty(&w.state->resting));
    world_close(&w);
    CHECK_STR(w.order, "A");
}

TEST_NOFAULT(what_is_not_charged_was_taken_all_the_same) {
    struct world w;
    struct actor a;
    world_open(&w);
    begin(&w, &a, LONG "work('A') work('A')");
    CHECK(a.over && a.task->budget->took_us >= 2 * LONG_US);
    CHECK(a.task->budget->used_us < 2 * LONG_US);
    task_free(a.task);
    world_close(&w);
}

/* The heap is over a quarter of its limit: steps of the collector, in which the greedy one waits. */
TEST_NOFAULT(a_large_heap_is_collected_in_steps) {
    struct world w;
    struct actor a;
    world_open(&w);
    begin(&w, &a, LONG "local kept = {} for i = 1, 2.5e5 do kept[i] = { i } end step('a')");
    /* Its rests are real time, longer on a machine that has other work. */
    uint64_t until = loop_hrtime_us() + 20000000;
    while (loop_hrtime_us() < until && !a.over && !deferred_is_waiting(&w.state->memory.collect))
        uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    CHECK(!a.over && deferred_is_waiting(&w.state->memory.collect));
    CHECK(budget_must_rest(w.state, a.task->budget));
    run(&w, &a);
    CHECK_STR(w.order, "a");
    task_free(a.task);
    while (deferred_is_waiting(&w.state->memory.collect)) uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    world_close(&w);
}

TEST_NOFAULT(functions_of_finally_share_the_worker_s_time) {
    struct world w;
    world_open(&w);
    w.state->time.finally_us = limits.block_us;
    w.state->time.finally_at_us = loop_hrtime_us();
    CHECK_INT(budget_finally_left(w.state), limits.block_us); /* never more than one may take */
    budget_finally_took(w.state, limits.block_us);
    CHECK(budget_finally_left(w.state) >= 1000); /* a little is there for everybody */
    budget_finally_took(w.state, 100 * limits.block_us);
    w.state->time.finally_at_us -= 1000000;
    CHECK_INT(budget_finally_left(w.state), limits.block_us); /* saved up again */
    world_close(&w);
}

/* -- Loading ---------------------------------------------------------------------------------- */

static int load_long(lua_State *L, void *ud) {
    (void)ud;
    CHECK_INT(luaL_loadstring(L, "for i = 1, 1e5 do end"), 0);
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    lua_call(L, 0, 0);
    return 0;
}

/* A machine that is busy with others' work is no reason to refuse a configuration. */
TEST_NOFAULT(loading_is_limited_in_its_own_time) {
    struct world w;
    char err[256];
    world_open(&w);
    w.state->time.until_us = loop_hrtime_us() - 1;
    CHECK_INT(state_call(w.state, load_long, NULL, err, sizeof(err)), 0);
    w.state->time.until_us = loop_hrtime_us() - 1;
    w.state->time.until_cpu_us = cpu_us() - 1;
    CHECK(state_call(w.state, load_long, NULL, err, sizeof(err)) != 0);
    CHECK(strstr(err, "loading took longer") != NULL);
    world_close(&w);
}

/* -- Errors from a deep stack ----------------------------------------------------------------- */

#define DEEP "local function f(n) if n == 0 then error('x', 0) end return 1 + f(n - 1) end "
#define DEEP_MOST_US 1000000 /* thirty times what it takes; to look at each level from its end took 6.5 s */

/* Whoever looks for the place of an error, and for what led to it, does not look at all of the stack. */
TEST_NOFAULT(an_error_from_a_deep_stack_costs_little) {
    static const struct state_limits wide = { .cpu_us = 60000000, .memory = 64u << 20 };
    struct world w = { .order = "" };
    struct actor a;
    char err[256];
    CHECK_INT(loop_init(&w.loop), 0);
    CHECK_INT(state_new(&w.state, &w.loop, NULL, NULL, &wide, err, sizeof(err)), 0);
    w.loop.is_virtual = true;
    uint64_t before = cpu_us();
    begin(&w, &a, DEEP "for i = 1, 20 do pcall(require('perilune').all, { function() f(15000) end }) end");
    loop_run_virtual(&w.loop, &a.over);
    CHECK(a.ok && cpu_us() - before < DEEP_MOST_US);
    task_free(a.task);
    world_close(&w);
}

static int throw_deep(lua_State *L, void *ud) {
    (void)ud;
    CHECK_INT(luaL_loadstring(L, "jit.off(true, true) " DEEP "f(15000)"), 0);
    lua_call(L, 0, 0);
    return 0;
}

/* The same of functions of hooks. */
TEST_NOFAULT(an_error_from_a_deep_stack_of_a_hook_costs_little) {
    struct world w;
    struct stretch outer;
    char err[256];
    world_open(&w);
    struct budget *b = budget_new();
    uint64_t before = cpu_us();
    for (int i = 0; i < 20; i++) {
        stretch_begin(w.state, &outer, b, true);
        CHECK(state_call(w.state, throw_deep, NULL, err, sizeof(err)) != 0);
        stretch_end(w.state, &outer);
        budget_reset(b);
    }
    CHECK(cpu_us() - before < DEEP_MOST_US);
    budget_put(b);
    world_close(&w);
}

/* -- The end of memory inside of LuaJIT's own string functions ---------------------------- */

/* They do not say where the top of the stack is before they make a string, and LuaJIT writes "not enough memory"
 * there: into a frame of a caller, when the stack has grown since a C function was called.  So each of them is
 * called deep behind the last C function, until there is no memory. */
static const char *const makers[] = {
    "return s:sub(2)", "return s:upper()", "return s:lower()", "return s:reverse()",
    "return string.char(i % 256, i / 256 % 256, i / 65536, 1, 2, 3)", "return tostring(i + 0.5)",
};

static void spend_all(struct world *w, const char *maker, size_t length) {
    struct actor a;
    char code[1024];
    snprintf(code, sizeof(code),
             "local given, kept, n = {}, {}, 0 "
             "local function make(s, i) %s end "
             "local function deep(level, s, i) "
             "  if level > 0 then local a, b, c = deep(level - 1, s, i) return a, b, c end return make(s, i) end "
             "pcall(function() "
             "  for i = 1, 1200000 / (%zu + 40) do given[i] = ('%%06dAb'):format(i) .. ('Ab'):rep(%zu) end "
             "  while true do "
             "    n = n + 1 "
             "    local s = given[n %% #given + 1]:sub(1 + n / #given) "
             "    rawset(kept, n, true) "
             "    kept[n] = deep(40, s, n) "
             "  end end) "
             "while true do end",
             maker, length, length / 2);
    begin(w, &a, code);
    while (!a.over) uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    CHECK(!a.ok && a.task->budget->killed != NULL && strstr(a.task->budget->killed, "limits.memory") != NULL);
    task_free(a.task);
    lua_gc(w->state->L, LUA_GCCOLLECT, 0);
}

TEST_NOFAULT(string_functions_survive_the_end_of_memory) {
    static const struct state_limits small = { .cpu_us = 100000000, .block_us = 10000000, .memory = 4u << 20 };
    static const size_t lengths[] = { 10, 300, 5000, 200000 };
    struct world w = { .order = "" };
    char err[256];
    CHECK_INT(loop_init(&w.loop), 0);
    CHECK_INT(state_new(&w.state, &w.loop, NULL, NULL, &small, err, sizeof(err)), 0);
    for (size_t m = 0; m < sizeof(makers) / sizeof(makers[0]); m++)
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) spend_all(&w, makers[m], lengths[l]);
    world_close(&w);
}

/* -- What has no end of its own ------------------------------------------------------------ */

static const struct state_limits tight = { .cpu_us = 100000000, .block_us = 10000000, .memory = 4u << 20,
                                           .max_answer = 16u << 20, .high_water = 1u << 20 };

static void world_open_tight(struct world *w) {
    char err[256];
    *w = (struct world){ .order = "" };
    CHECK_INT(loop_init(&w->loop), 0);
    CHECK_INT(state_new(&w->state, &w->loop, NULL, NULL, &tight, err, sizeof(err)), 0);
}

static void on_idle(uv_idle_t *h) { (void)h; }

/* Without anything to wait for the loop would not look at what is to be done. */
static void wait_for(struct world *w, struct actor *a) {
    uv_idle_t busy;
    uv_idle_init(&w->loop.uv, &busy);
    uv_idle_start(&busy, on_idle);
    while (!a->over) uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    uv_close((uv_handle_t *)&busy, NULL);
    uv_run(&w->loop.uv, UV_RUN_NOWAIT);
}

static bool is_condemned_for(const struct actor *a, const char *what) {
    return !a->ok && a->task->budget->killed != NULL && strstr(a->task->budget->killed, what) != NULL;
}

#define MANY "local s, t = ('x'):rep(1000), {} for i = 1, 7000 do t[i] = s end "
#define END " while true do end"

/* A buffer that doubles asks for twice as much each time, and was granted it: whoever is condemned could have as much
 * as the largest block that there was, which was the one that the buffer had got just before. */
TEST_NOFAULT(a_buffer_that_doubles_ends_with_the_memory) {
    static const char *const codes[] = {
        MANY "for i = 7001, 60000 do t[i] = s end local n = #table.concat(t)" END,
        MANY "local l = s:rep(100) for i = 1, 7000 do t[i] = l end "
             "local n = #string.format(('%s'):rep(7000), unpack(t))" END,
        MANY "local n = #string.format(('%q'):rep(7000), unpack(t))" END,
        "local n = #('x'):rep(1e5, ('y'):rep(1000))" END,
        "local s = ('x'):rep(1e5) while true do s = s .. s end",
        "local s = ('x'):rep(1e5) while true do s = s:gsub('x', 'xx') end",
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        struct world w;
        struct actor a;
        world_open_tight(&w);
        begin(&w, &a, codes[i]);
        wait_for(&w, &a);
        CHECK(is_condemned_for(&a, "limits.memory"));
        CHECK(a.task->budget->memory < 2 * tight.memory); /* what it had when it ended */
        task_free(a.task);
        world_close(&w);
    }
}

/* A long string is made for the first time when nothing is left: no buffer has its size yet. */
TEST_NOFAULT(the_first_long_string_may_be_one_too_many) {
    for (size_t m = 0; m < sizeof(makers) / sizeof(makers[0]); m++) {
        struct world w;
        struct actor a;
        char code[1024];
        world_open_tight(&w);
        snprintf(code, sizeof(code),
                 "local long, kept = ('Ab'):rep(250000), {} "
                 "local function make(s, i) %s end "
                 "local function deep(level, s, i) "
                 "  if level > 0 then local a, b, c = deep(level - 1, s, i) return a, b, c end return make(s, i) end "
                 "for i = 1, 33 do kept[i] = ('%%d'):format(i):rep(20000) end "
                 "for i = 34, 1e7 do kept[i] = deep(40, long, i) end", makers[m]);
        begin(&w, &a, code);
        wait_for(&w, &a);
        CHECK(is_condemned_for(&a, "limits.memory"));
        task_free(a.task);
        world_close(&w);
    }
}

/* What answers hold in C is memory of the policy that holds the answers. */
TEST_NOFAULT(answers_that_a_policy_holds_are_its_memory) {
    struct world w;
    struct actor a;
    world_open_tight(&w);
    begin(&w, &a, "local respond, kept, s = require('perilune').respond, {}, ('x'):rep(1e5) "
                  "for i = 1, 1000 do kept[i] = respond{ text = s } end");
    wait_for(&w, &a);
    CHECK(is_condemned_for(&a, "limits.memory"));
    struct budget *b = budget_ref(a.task->budget);
    CHECK(b->outside > tight.memory / 4 && b->outside <= tight.memory / 2);
    task_free(a.task);
    lua_gc(w.state->L, LUA_GCCOLLECT, 0);
    lua_gc(w.state->L, LUA_GCCOLLECT, 0); /* finalizers ran in the first one */
    CHECK_INT(b->outside, 0);
    budget_put(b);

    /* Those that it drops are not. */
    begin(&w, &a, "local respond, s = require('perilune').respond, ('x'):rep(1e5) for i = 1, 200 do respond{ text = s } end");
    wait_for(&w, &a);
    CHECK(a.ok);
    task_free(a.task);
    world_close(&w);
}

TEST_NOFAULT(an_answer_is_paid_before_it_is_copied) {
    static const char *const codes[] = {
        "local s, t = ('x'):rep(1e6), {} for i = 1, 600 do t[i] = s end require('perilune').respond{ chunks = t }",
        "local t = {} for i = 1, 16000 do t[i] = '' end require('perilune').respond{ chunks = t, stream = true }",
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        struct world w;
        struct actor a;
        world_open_tight(&w);
        begin(&w, &a, codes[i]);
        wait_for(&w, &a);
        CHECK(is_condemned_for(&a, "limits.memory"));
        CHECK_INT(a.task->budget->outside, 0);
        task_free(a.task);
        world_close(&w);
    }
}

/* A chain of branches that was condemned ends at once: each of them would wait for the collector. */
TEST_NOFAULT(who_was_condemned_does_not_rest) {
    struct world w;
    struct actor a;
    world_open(&w);
    begin(&w, &a, LONG "work('A') sleep(0) step('a')");
    hold(&w);
    while (list_is_empty(&w.state->resting)) uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    hold(&w);
    CHECK(budget_must_rest(w.state, a.task->budget));
    a.task->budget->killed = "a test";
    CHECK(!budget_must_rest(w.state, a.task->budget));
    task_cancel(a.task);
    world_close(&w);
}

/* -- Branches ------------------------------------------------------------------------------- */

static void run_code(struct world *w, const char *code, bool ok) {
    struct actor a;
    begin(w, &a, code);
    wait_for(w, &a);
    CHECK(a.ok == ok);
    CHECK(a.task->budget->killed == NULL);
    CHECK_INT(a.task->budget->branches, 0);
    task_free(a.task);
}

TEST_NOFAULT(branches_have_a_depth) {
    struct world w;
    world_open_tight(&w);
    run_code(&w, "local p = require('perilune') local function f(n) return n == 0 and 1 or p.all{ function() return f(n - 1) "
                 "end } end return f(60)", true);
    run_code(&w, "local p = require('perilune') local function f() return p.all{ f } end return f()", false);
    run_code(&w, "local p = require('perilune') local function f() return p.any{ f } end return f()", false);
    run_code(&w, "local p = require('perilune') local function f() return p.map({ 1 }, f) end return f()", false);
    world_close(&w);
}

TEST_NOFAULT(branches_that_live_are_counted) {
    static const struct state_limits wide = { .cpu_us = 100000000, .block_us = 10000000, .memory = 256u << 20 };
    struct world w = { .order = "" };
    char err[256];
    CHECK_INT(loop_init(&w.loop), 0);
    CHECK_INT(state_new(&w.state, &w.loop, NULL, NULL, &wide, err, sizeof(err)), 0);
    run_code(&w, "local p, l = require('perilune'), {} for i = 1, 1000 do l[i] = function() return 1 end end "
                 "for i = 1, 10 do p.all(l) end", true);
    run_code(&w, "local p, l, m = require('perilune'), {}, {} for i = 1, 1000 do l[i] = function() p.sleep(100) end end "
                 "for i = 1, 5 do m[i] = function() p.all(l) end end "
                 "local ok, why = pcall(p.all, m) assert(not ok and why:find('4096', 1, true), why)", true);
    world_close(&w);
}
