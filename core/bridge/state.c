/* state.c -- one lua_State: its memory, its time, the ways in.
 *
 * Memory.  The state has its own allocator, with a pool for small blocks.  It counts
 * bytes, and refuses when the running request has grown too much: half of the limit is
 * the most one request may hold, so that a greedy one dies before its neighbours notice.
 * Refusing raises "not enough memory" inside Lua; because a policy could swallow
 * that with pcall, the task is condemned as well (see state_check).
 *
 * Time.  A count hook fires every HOOK_COUNT bytecodes.  It *yields* after a
 * slice (1 ms), which no pcall can swallow; the task goes on in the next turn of
 * the loop.  When the request has used up its budget the hook condemns it: it
 * yields and is never resumed.  Inside a C function that calls back (table.sort,
 * gsub) a yield is impossible: there the hook raises, and our pcall raises again.  So it
 * does in functions given to tap, map and finally, which run outside of any task.
 * No hook runs inside of C: a call that works on a large string takes milliseconds, and
 * HOOK_COUNT bytecodes are hundreds of calls.  So the hook fires more often as long as
 * large blocks are allocated, or it has seen that its last interval was long.
 * Hooks do not stop compiled code, so policies are loaded with the JIT off
 * (sandbox.lua), and so is the library beside them: only trusted policies, which
 * have no limits, are compiled.
 *
 * Ways in.  state_call() and task_resume() are the only two; both are protected.
 * Everything else runs below one of them. */
#include "bridge/state.h"

#include <luajit.h>
#include <lualib.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/pattern.h"
#include "bridge/task.h"

#define HOOK_COUNT   1000 /* bytecodes between two looks at the clock: some 10 us */
#define DENSE_COUNT  50   /* the same where calls of C take long */
#define DENSE_LOOKS  200  /* short intervals until that is over */
#define LONG_LOOK_US 500
#define LARGE_BLOCK  65536
#define SLICE_US     1000
#define SLICE_CAP_US 5000 /* see state_charge() */
#define MARK_US      200
#define BUDGET_TEXT "the policy used more CPU time than it may (limits.cpu_ms)"
#define MEMORY_TEXT "the policy used more memory than it may (limits.memory)"
#define BOOT_US    5000000 /* for loading a configuration with all its policies */
#define BOOT_TEXT  "loading took longer than 5 seconds: an endless loop?"

static void on_count(lua_State *L, lua_Debug *ar);

/* lua_sethook() may be called anywhere, also from the allocator. */
static void look_often(struct state *s, bool dense) {
    s->quick_looks = 0;
    if (s->dense == dense) return;
    s->dense = dense;
    lua_sethook(s->L, on_count, LUA_MASKCOUNT, dense ? DENSE_COUNT : HOOK_COUNT);
}

/* -- Memory --------------------------------------------------------------------- */

static void condemn(struct task *root, enum failure_kind kind, const char *why) {
    if (root->killed != NULL) return;
    root->killed = why;
    root->kill_kind = kind;
}

/* May the running code have `more` bytes? */
static bool may_grow(struct state *s, size_t more) {
    if (s->limits.memory == 0) return true;
    size_t total = s->used + more;
    struct task *root = s->running ? s->running->root : NULL;
    if (root == NULL && s->in_hook) {
        if (s->hook_trusted || total <= s->hook_used + s->limits.memory / 2) return true;
        s->hook_killed = MEMORY_TEXT;
        return false;
    }
    if (root == NULL || root->trusted) return true; /* our own code; malloc is the limit */
    size_t grown = root->memory + (total > s->resumed_used ? total - s->resumed_used : 0);
    bool greedy = grown > s->limits.memory / 2;
    bool full = total > s->limits.memory && grown > s->limits.memory / 8;
    if (!greedy && !full && total <= s->limits.memory + s->limits.memory / 2) return true;
    condemn(root, FAILURE_POLICY_BUDGET, MEMORY_TEXT);
    return false;
}

/* Where every block should be watched by itself there is no pool. */
#ifdef __SANITIZE_ADDRESS__
#define POOL_SIZE 0
#else
#define POOL_SIZE (4 * 1024 * 1024) /* a state with all policies has 1 to 2 MiB */
#endif

static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    struct state *s = ud;
    if (ptr == NULL) osize = 0;
    if (nsize > osize && !may_grow(s, nsize - osize)) return NULL;
    bool watched = s->running ? !s->running->root->trusted : s->in_hook && !s->hook_trusted;
    if (nsize >= LARGE_BLOCK && watched) look_often(s, true);
    void *p = pool_resize(&s->pool, ptr, osize, nsize);
    if (p != NULL || nsize == 0) s->used += nsize - osize;
    return p;
}

/* -- Time -------------------------------------------------------------------------- */

static uint64_t thread_cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The wall clock says that the time of what began at `began_us` is up.  It is cheap, but
 * ran on while another process had the core; the thread's own clock costs a system call.
 * So from the first doubt on, the latter decides: nobody is stopped before he has used
 * his time, nor after twice of it. */
static bool is_over(struct state *s, uint64_t began_us, uint64_t limit_us) {
    uint64_t cpu_us = thread_cpu_us();
    if (s->doubted_us == began_us) return cpu_us - s->doubted_cpu_us > limit_us;
    s->doubted_us = began_us;
    s->doubted_cpu_us = cpu_us;
    return false;
}

/* Outside of tasks. */
static void check_until(lua_State *L, struct state *s) {
    if (s->in_hook && s->hook_killed != NULL) luaL_error(L, "%s", s->hook_killed);
    if (s->until_us == 0 || loop_hrtime_us() <= s->until_us) return;
    if (s->until_cpu_us != 0 && !is_over(s, s->until_us, s->until_cpu_us)) return;
    if (s->in_hook) s->hook_killed = BUDGET_TEXT;
    luaL_error(L, "%s", s->in_hook ? BUDGET_TEXT : BOOT_TEXT);
}

static void on_count(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct state *s = state_of(L);
    struct task *t = s->running;
    uint64_t now = loop_hrtime_us();
    if (now - s->looked_us > LONG_LOOK_US) look_often(s, true);
    else if (s->dense && ++s->quick_looks > DENSE_LOOKS) look_often(s, false);
    s->looked_us = now;
    if (t == NULL) {
        check_until(L, s);
        return;
    }
    bool can_yield = L == t->co && lua_isyieldable(L);
    uint64_t ran = now - s->resumed_us;
    if (t->root->killed == NULL) {
        if (ran < SLICE_US) return;
        if (!can_yield && !t->root->trusted && t->root->cpu_us + ran > s->limits.cpu_us && s->limits.cpu_us != 0 &&
            is_over(s, s->resumed_us, s->limits.cpu_us))
            condemn(t->root, FAILURE_POLICY_BUDGET, BUDGET_TEXT);
        else if (!can_yield)
            return;
    }
    if (can_yield) lua_yield(L, 0); /* task_resume() decides whether it goes on */
    else luaL_error(L, "%s", t->root->killed);
}

/* Notes both clocks at most every MARK_US, for state_charge(). */
void state_mark(struct state *s) {
    s->looked_us = s->resumed_us;
    if (s->resumed_us - s->mark_us < MARK_US) return;
    s->mark_us = s->resumed_us;
    s->mark_cpu_us = thread_cpu_us();
}

/* Charged per slice, by the wall clock because it is cheap.  But it ran on while another
 * process had the core: a slice that took suspiciously long is charged what the thread
 * used since the last mark, which is MARK_US too much at most.  Nor are the first two charged
 * more than SLICE_CAP_US: what is longer may be work of ours, like copying a large body. */
void state_charge(struct state *s, struct task *root) {
    uint64_t ran = loop_hrtime_us() - s->resumed_us;
    if (ran > SLICE_US + MARK_US) {
        uint64_t used = thread_cpu_us() - s->mark_cpu_us;
        if (used < ran) ran = used;
    }
    if (s->stats)
        atomic_fetch_add_explicit(&s->stats->policy_us, ran, memory_order_relaxed);
    if (ran > SLICE_CAP_US && root->long_slices < 2) {
        root->long_slices++;
        ran = SLICE_CAP_US;
    }
    root->cpu_us += ran;
    if (s->used > s->resumed_used) root->memory += s->used - s->resumed_used;
    else root->memory -= root->memory < s->resumed_used - s->used ? root->memory : s->resumed_used - s->used;
    if (!root->trusted && s->limits.cpu_us != 0 && root->cpu_us > s->limits.cpu_us)
        condemn(root, FAILURE_POLICY_BUDGET, BUDGET_TEXT);
}

void state_check(lua_State *L) {
    struct task *t = state_of(L)->running;
    if (t == NULL) check_until(L, state_of(L)); /* a hook that catches its own end */
    else if (t->root->killed != NULL) luaL_error(L, "%s", t->root->killed);
}

bool state_has_time(struct state *s) {
    struct task *t = s->running;
    if (t == NULL) return s->until_us == 0 || loop_hrtime_us() <= s->until_us;
    if (t->root->killed != NULL) return false;
    if (t->root->trusted || s->limits.cpu_us == 0) return true;
    uint64_t ran = loop_hrtime_us() - s->resumed_us;
    if (t->root->cpu_us + ran <= s->limits.cpu_us || !is_over(s, s->resumed_us, s->limits.cpu_us)) return true;
    condemn(t->root, FAILURE_POLICY_BUDGET, BUDGET_TEXT);
    return false;
}

/* Long C loops (patterns) ask this instead of the hook. */
static void tick(lua_State *L) {
    struct state *s = state_of(L);
    if (state_has_time(s)) return;
    state_check(L);
    check_until(L, s);
}

/* -- Ways in --------------------------------------------------------------------------- */

struct entry {
    int (*fn)(lua_State *L, void *ud);
    void *ud;
};

/* [-1, +0, e] */
static int l_enter(lua_State *L) {
    struct entry *e = lua_touserdata(L, 1);
    lua_settop(L, 0);
    e->fn(L, e->ud);
    return 0;
}

/* What a function of tap, map, finally threw, and where. [-1, +1, e] */
static int l_trace(lua_State *L) {
    lib_push_error(L, 1);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

/* The function that protects all others is made once, here. */
static int bootstrap(lua_State *L) {
    struct state *s = lua_touserdata(L, 1);
    lua_pushcfunction(L, l_enter);
    s->run_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, l_trace);
    s->trace_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

const char *state_text(lua_State *L, int index) {
    return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
}

int state_call(struct state *s, int (*fn)(lua_State *, void *), void *ud, char *err, size_t errlen) {
    struct entry e = { fn, ud };
    lua_State *L = s->L;
    int top = lua_gettop(L);
    if (s->in_hook) lua_rawgeti(L, LUA_REGISTRYINDEX, s->trace_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->run_ref);
    lua_pushlightuserdata(L, &e);
    int rc = lua_pcall(L, 1, 0, s->in_hook ? top + 1 : 0);
    if (rc != 0) {
        /* Not even a string is certain: LuaJIT puts "not enough memory" on the stack of
         * the coroutine that wanted it, which may be another one. */
        const char *text = state_text(L, -1);
        if (errlen > 0) snprintf(err, errlen, "%s", text ? text : "error without a text");
    }
    lua_settop(L, top);
    return rc == 0 ? 0 : rc == LUA_ERRMEM ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_POLICY;
}

/* -- Collecting ----------------------------------------------------------------------- */

/* The collector makes its tables of strings smaller, which needs memory, and finalizers
 * run inside of it: protected like everything else. */
static int collect_all(lua_State *L, void *ud) {
    (void)ud;
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

void state_collect_early(struct state *s) {
    if (s->limits.memory == 0 || s->used < s->limits.memory / 4) return;
    if (s->used < s->collected_at + s->limits.memory / 8) return;
    state_call(s, collect_all, NULL, NULL, 0);
    s->collected_at = s->used;
}

#define GC_STEP_KB 512 /* some tenths of a millisecond */

static int step_once(lua_State *L, void *ud) {
    struct state *s = ud;
    if (lua_gc(L, LUA_GCSTEP, GC_STEP_KB) != 0) s->cycles++;
    return 0;
}

static void collect_step(struct deferred *j) {
    struct state *s = container_of(j, struct state, collect);
    bool failed = state_call(s, step_once, s, NULL, 0) != 0; /* no memory: the next cycle comes by itself */
    if (!failed && s->cycles < 2) { /* a cycle that was under way had already marked the garbage as alive */
        loop_next(s->loop, j, collect_step);
        return;
    }
    s->collected_at = s->used;
    mem_trim();
    state_put(s);
}

void state_collect_soon(struct state *s) {
    if (deferred_is_waiting(&s->collect)) return;
    state_ref(s);
    s->cycles = 0;
    loop_next(s->loop, &s->collect, collect_step);
}

int state_ref_new(lua_State *L) { return luaL_ref(L, LUA_REGISTRYINDEX); }

void state_ref_drop(struct state *s, int ref) {
    if (ref == LUA_NOREF || ref == 0) return;
    luaL_unref(s->L, LUA_REGISTRYINDEX, ref);
}

/* -- Life ------------------------------------------------------------------------------ */

/* require() of the library's own files: from inside the program. [-1, +1, e] */
static int l_embedded(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    char path[128];
    snprintf(path, sizeof(path), "%s.lua", strcmp(name, "perilune") == 0 ? "perilune.init" : name);
    for (char *p = path; *p; p++)
        if (*p == '.' && strcmp(p, ".lua") != 0) *p = '/';
    size_t len;
    const char *text = embedded_file(path, &len);
    if (text == NULL) {
        lua_pushfstring(L, "\n\tno library file '%s'", path);
        return 1;
    }
    char chunk[140];
    snprintf(chunk, sizeof(chunk), "@%s", path);
    if (luaL_loadbuffer(L, text, len, chunk) != 0) return lua_error(L);
    /* Running out of memory inside a compiled trace crashes this LuaJIT, and the
     * memory limit of a policy may strike in here: the library is interpreted. */
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    return 1;
}

static void set_loader(lua_State *L) {
    lua_getglobal(L, "package");
    lua_newtable(L);
    lua_getfield(L, -2, "loaders");
    lua_rawgeti(L, -1, 1); /* package.preload */
    lua_rawseti(L, -3, 1);
    lua_pop(L, 1);
    lua_pushcfunction(L, l_embedded);
    lua_rawseti(L, -2, 2);
    lua_setfield(L, -2, "loaders"); /* nothing is ever looked up on disk */
    lua_pop(L, 1);
}

static int open_state(lua_State *L, void *ud) {
    (void)ud;
    luaL_openlibs(L);
    set_loader(L);
    pattern_install(L, tick);
    handles_open(L);
    lib_open(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.sandbox");
    lua_call(L, 1, 0);
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
    return 0;
}

int state_new(struct state **out, struct loop *loop, struct log *log, struct shared *shared,
              const struct state_limits *limits, char *err, size_t errlen) {
    *out = NULL;
    struct state *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    *s = (struct state){ .refs = 1, .loop = loop, .log = log, .shared = shared, .limits = *limits };
    pool_init(&s->pool, POOL_SIZE);
    s->L = lua_newstate(allocate, s);
    if (s->L == NULL) {
        snprintf(err, errlen, "out of memory for a Lua state");
        pool_deinit(&s->pool);
        mem_free(s);
        return PERILUNE_ERR_NOMEM;
    }
    if (lua_cpcall(s->L, bootstrap, s) != 0) {
        snprintf(err, errlen, "out of memory for a Lua state");
        state_put(s);
        return PERILUNE_ERR_NOMEM;
    }
    s->until_us = loop_hrtime_us() + BOOT_US;
    int rc = state_call(s, open_state, NULL, err, errlen);
    if (rc != 0) {
        state_put(s);
        return rc;
    }
    *out = s;
    return 0;
}

struct tokens *state_tokens(struct state *s) {
    if (s->tokens != NULL) return s->tokens;
    s->tokens = tokens_new();
    s->owns_tokens = s->tokens != NULL;
    return s->tokens;
}

struct state *state_ref(struct state *s) {
    s->refs++;
    return s;
}

static void leave(struct deferred *j) {
    struct state *s = container_of(j, struct state, leave);
    unsigned n = s->leaving;
    s->leaving = 0;
    while (n-- > 0) state_put(s);
}

void state_put_soon(struct state *s) {
    s->leaving++;
    loop_soon(s->loop, &s->leave, leave);
}

void state_put(struct state *s) {
    if (s == NULL || --s->refs > 0) return;
    task_drop_spares(s);
    lua_close(s->L);
    json_deinit(&s->scratch_doc);
    buf_deinit(&s->decode);
    buf_deinit(&s->encode);
    if (s->owns_tokens) tokens_free(s->tokens);
    models_put(s->models);
    handles_deinit(&s->handles);
    pool_deinit(&s->pool);
    if (s->closed) s->closed(s->closed_ud);
    mem_free(s);
}

