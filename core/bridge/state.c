/* state.c -- one lua_State: its memory, its time, the ways in.
 *
 * Memory.  The state has its own allocator, with a pool for small blocks.  It counts
 * bytes, and refuses when the running request has grown too much: half of the limit is
 * the most one request may hold, so that a greedy one dies before its neighbours notice.
 * Who is refused is condemned: a policy could swallow an error with pcall (see state_check).
 *
 * What answers hold in C, and a policy by its handles, counts as its memory (budget_hold()).
 *
 * What is refused raises "not enough memory" inside Lua, and LuaJIT's own string functions do not survive that:
 * string.sub, char, upper, lower, reverse and tostring do not say where the top of the stack is before they make
 * a string, and the message is written over a frame of a caller.  Those of them that build a long string in a buffer
 * are ours (strings.c); what the others ask for is a string, no longer than one that is there, and a larger table of
 * all strings, which has fewer bytes than they have.  So the condemned has an overdraft, as large as what was used
 * when it was condemned: new blocks within it are granted, and the hook ends it at the next instruction.  What grows
 * is a buffer, a table or a stack, and is refused, as is all that is larger.
 *
 * lua_newstate() makes strings before anything in it can raise, and ends the process when there is no memory for
 * them.  What fails meanwhile is served from a reserve; if that was needed, there is no state, in the end.
 *
 * From a quarter of the limit on the collector runs in steps, one in a turn of the loop, while the greedy wait
 * (budget.c); all at once, which takes as long as a block, only when the limit is reached.
 *
 * Time.  budget.c: slices, one account for a request, a hook that ends both.
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
#include <unistd.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/lib.h"
#include "bridge/pattern.h"
#include "bridge/strings.h"
#include "bridge/task.h"
#include "sys/mailbox.h"

#define LARGE_BLOCK 65536
#define MEMORY_TEXT "the policy used more memory than it may (limits.memory)"
#define STRING_SMALL 16384     /* of string.char, which has as many bytes as a function may have arguments */
#define RESERVE_BYTES (32u * 1024) /* lua_newstate() takes 12 KiB */
#define LOADING_MEMORY (256u << 20) /* four times the usual limits.memory, which is of a running worker */
#define BOOT_US    5000000 /* for loading a configuration with all its policies */
#define GC_PAUSE         200  /* percent, Lua's own: the next cycle begins when there is twice as much */
#define GC_PAUSE_LOADING 1000 /* percent: nearly all that is made then stays, and to look at it again and again was a
                                 tenth of loading */

/* -- Memory --------------------------------------------------------------------- */

/* Bytes by which the running request has grown, when the state has `total`. */
static size_t grown_by(const struct state *s, size_t total) {
    const struct stretch *run = &s->time.run;
    if (run->budget == NULL) return 0;
    size_t before = run->budget->outside + (run->in_hook ? 0 : run->budget->memory);
    return before + (total > run->began_used ? total - run->began_used : 0);
}

static bool overdraw(const struct state *s, struct overdraft *o, size_t more) {
    if (o->most == 0) o->most = s->memory.used + STRING_SMALL;
    if (more > o->most - o->taken) return false;
    o->taken += more;
    return true;
}

static void loading_fits(struct state *s) {
    s->memory.loading = LOADING_FITS;
    s->memory.loading_overdraft = (struct overdraft){ 0 };
}

/* Files of configuration and policies run, and nobody knows limits.memory yet.  What grows is granted as well here:
 * the hook comes behind it, and knows the line.  Who was refused knows why, and throws: no hook then. */
static bool may_grow_loading(struct state *s, size_t more) {
    if (s->memory.used < s->memory.loading_most / 2) loading_fits(s);
    if (s->memory.loading_most == 0 || s->memory.used + more <= s->memory.loading_most) return true;
    bool granted = overdraw(s, &s->memory.loading_overdraft, more);
    if (!granted) s->memory.loading = LOADING_REFUSED;
    else if (s->memory.loading == LOADING_FITS) budget_loading_full(s);
    return granted;
}

/* May the running code have nsize bytes in place of osize? */
static bool may_grow(struct state *s, size_t osize, size_t nsize) {
    struct budget *b = s->time.run.budget;
    if (b == NULL) return may_grow_loading(s, nsize - osize);
    if (b->trusted || s->limits.memory == 0) return true; /* our own code; malloc is the limit */
    size_t total = s->memory.used + (nsize - osize);
    size_t grown = grown_by(s, total);
    bool greedy = grown > s->limits.memory / 2;
    bool full = total > s->limits.memory && grown > s->limits.memory / 8;
    if (!greedy && !full && total <= s->limits.memory + s->limits.memory / 2) return true;
    budget_condemn(s, MEMORY_TEXT);
    bool grows = osize > 0 && nsize > STRING_SMALL;
    return !grows && overdraw(s, &b->overdraft, nsize - osize);
}

static size_t loading_left(const struct state *s) {
    if (s->memory.loading_most == 0) return SIZE_MAX;
    return s->memory.used < s->memory.loading_most ? s->memory.loading_most - s->memory.used : 0;
}

size_t state_memory_left(const struct state *s) {
    const struct budget *b = s->time.run.budget;
    if (b == NULL) return loading_left(s);
    if (b->trusted || s->limits.memory == 0) return SIZE_MAX;
    size_t grown = grown_by(s, s->memory.used);
    return grown < s->limits.memory / 2 ? s->limits.memory / 2 - grown : 0;
}

void state_want(lua_State *L, size_t bytes) {
    struct state *s = state_of(L);
    if (bytes <= state_memory_left(s)) return;
    if (s->time.run.budget == NULL) budget_refuse_loading(L);
    budget_condemn(s, MEMORY_TEXT);
    state_check(L);
}

/* Where every block should be watched by itself there is no pool. */
#ifdef __SANITIZE_ADDRESS__
#define POOL_SIZE 0
#else
#define POOL_SIZE (4 * 1024 * 1024) /* a state with all policies has 1 to 2 MiB */
#endif

/* NULL: the reserve is at its end, too. */
static void *take_reserve(struct state *s, size_t size) {
    size_t need = (size + 15) & ~(size_t)15;
    if (need > RESERVE_BYTES - s->memory.reserve_used) return NULL;
    s->memory.reserve_used += need;
    return s->memory.reserve + s->memory.reserve_used - need;
}

static bool is_reserve(const struct state *s, const void *ptr) {
    uintptr_t at = (uintptr_t)ptr, begin = (uintptr_t)s->memory.reserve;
    return at >= begin && at < begin + RESERVE_BYTES;
}

/* As pool_resize(), while there is a reserve, of which nothing is given back singly. */
static void *resize_reserved(struct state *s, void *ptr, size_t osize, size_t nsize) {
    bool inside = ptr != NULL && is_reserve(s, ptr);
    if (inside && nsize == 0) return NULL;
    void *p = pool_resize(&s->memory.pool, inside ? NULL : ptr, inside ? 0 : osize, nsize);
    if (nsize == 0 || (p != NULL && !inside)) return p;
    bool reserved = p == NULL;
    if (reserved && (p = take_reserve(s, nsize)) == NULL) return NULL;
    if (ptr != NULL) memcpy(p, ptr, osize < nsize ? osize : nsize);
    if (reserved && ptr != NULL && !inside) pool_resize(&s->memory.pool, ptr, osize, 0);
    return p;
}

void *state_allocate(void *ud, void *ptr, size_t osize, size_t nsize) {
    struct state *s = ud;
    if (ptr == NULL) osize = 0;
    if (nsize > osize && !may_grow(s, osize, nsize)) return NULL;
    if (nsize >= LARGE_BLOCK && s->time.run.budget != NULL && !s->time.run.budget->trusted) budget_large_block(s);
    void *p = s->memory.reserve == NULL ? pool_resize(&s->memory.pool, ptr, osize, nsize)
                                        : resize_reserved(s, ptr, osize, nsize);
    if (p != NULL || nsize == 0) s->memory.used += nsize - osize;
    return p;
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

bool state_is_entry(lua_CFunction f) { return f == l_enter; }

/* The last line of a traceback on top says nothing when it is an address of ours. [-1, +1, e] */
static void cut_address(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, -1, &len), *mark = "\n\t[C]: at 0x", *last = strrchr(text, '\n');
    if (last == NULL || strncmp(last, mark, strlen(mark)) != 0) return;
    lua_pushlstring(L, text, (size_t)(last - text));
    lua_remove(L, -2);
}

/* What a function of tap, map, finally threw, and where. [-1, +1, e] */
static int l_trace(lua_State *L) {
    struct state *s = state_of(L);
    if (s->thrown != NULL && lib_is_failure(L, 1)) { /* meant for the client: nobody looks for its place */
        lib_to_failure(L, 1, s->thrown);
        lua_pushliteral(L, "");
        return 1;
    }
    lib_push_error(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) blame_place(L, L, 1);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    cut_address(L);
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
    if (s->time.run.in_hook) lua_rawgeti(L, LUA_REGISTRYINDEX, s->trace_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->run_ref);
    lua_pushlightuserdata(L, &e);
    int rc = lua_pcall(L, 1, 0, s->time.run.in_hook ? top + 1 : 0);
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

#define GC_STEP_KB 64   /* some tenths of a millisecond */
#define GC_TURN_US 1000 /* in a turn of the loop */
#define GC_CYCLES  2    /* one that was under way had already marked the garbage as alive */

static int step_a_while(lua_State *L, void *ud) {
    struct state *s = ud;
    uint64_t end = loop_hrtime_us() + GC_TURN_US;
    while (s->memory.cycles < GC_CYCLES && loop_hrtime_us() < end)
        if (lua_gc(L, LUA_GCSTEP, GC_STEP_KB) != 0) s->memory.cycles++;
    return 0;
}

static void collect_step(struct deferred *j) {
    struct state *s = container_of(j, struct state, memory.collect);
    bool failed = state_call(s, step_a_while, s, NULL, 0) != 0; /* no memory: the next cycle comes by itself */
    if (!failed && s->memory.cycles < GC_CYCLES) {
        loop_next(s->loop, j, collect_step);
        return;
    }
    s->memory.collected_at = s->memory.used;
    mem_trim();
    state_put(s);
}

void state_collect_soon(struct state *s) {
    if (deferred_is_waiting(&s->memory.collect)) return;
    state_ref(s);
    s->memory.cycles = 0;
    loop_next(s->loop, &s->memory.collect, collect_step);
}

void state_collect_early(struct state *s) {
    if (s->limits.memory == 0 || s->memory.used < s->limits.memory / 4) return;
    if (s->memory.used < s->memory.collected_at + s->limits.memory / 8) return;
    if (s->memory.used < s->limits.memory) {
        state_collect_soon(s);
        return;
    }
    state_call(s, collect_all, NULL, NULL, 0);
    s->memory.collected_at = s->memory.used;
}

void state_collect_loading(struct state *s) {
    if (s->memory.used < s->memory.loading_most / 4 || s->memory.loading_most == 0) return;
    if (lua_gc(s->L, LUA_GCSETPAUSE, GC_PAUSE) != GC_PAUSE) lua_gc(s->L, LUA_GCRESTART, 0);
}

bool state_is_foreign(const struct state *s) { return s->pid != 0 && s->pid != getpid(); }

int state_ref_new(lua_State *L) { return luaL_ref(L, LUA_REGISTRYINDEX); }

void state_ref_drop(struct state *s, int ref) {
    if (ref == LUA_NOREF || ref == 0) return;
    luaL_unref(s->L, LUA_REGISTRYINDEX, ref);
}

/* -- Life ------------------------------------------------------------------------------ */

int state_load_embedded(lua_State *L, const char *name) {
    char path[128], chunk[140];
    snprintf(path, sizeof(path), "%s.lua", strcmp(name, "perilune") == 0 ? "perilune.init" : name);
    for (char *p = path; *p; p++)
        if (*p == '.' && strcmp(p, ".lua") != 0) *p = '/';
    size_t len;
    const char *text = embedded_file(path, &len);
    if (text == NULL) {
        lua_pushfstring(L, "\n\tno library file '%s'", path);
        return 1;
    }
    thread_yield(); /* this is the loading thread, and workers may share its core */
    snprintf(chunk, sizeof(chunk), "@lua/%s", path);
    if (luaL_loadbuffer(L, text, len, chunk) != 0) return lua_error(L);
    /* Running out of memory inside a compiled trace crashes this LuaJIT, and the memory
     * limit of a policy, or of a host, may strike in here: the library is interpreted. */
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    return 1;
}

/* require() of the library's own files: from inside the program. [-1, +1, e] */
static int l_embedded(lua_State *L) { return state_load_embedded(L, luaL_checkstring(L, 1)); }

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

void state_require(lua_State *L, const char *name) {
    int own = state_of(L)->require_ref;
    if (own != 0) lua_rawgeti(L, LUA_REGISTRYINDEX, own);
    else lua_getglobal(L, "require");
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

static int open_state(lua_State *L, void *ud) {
    (void)ud;
    luaL_openlibs(L);
    set_loader(L);
    pattern_install(L, state_tick);
    strings_install(L);
    handles_open(L);
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lib_open(L);
    lua_setfield(L, -2, "perilune.core");
    state_require(L, "perilune.confine");
    state_require(L, "perilune.sandbox");
    blame_open(L);
    budget_watch(L);
    return 0;
}

struct state *state_make(struct loop *loop, struct log *log, struct stores *stores, const struct state_limits *limits) {
    struct state *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    *s = (struct state){ .refs = 1, .loop = loop, .log = log, .stores = stores, .limits = *limits,
                         .services = { .loop = loop, .stores = stores, .high_water = limits->high_water } };
    after_line_init(&s->own_after);
    s->after = &s->own_after;
    list_init(&s->ready);
    list_init(&s->resting);
    return s;
}

/* NULL: no memory. */
static lua_State *make_lua(struct state *s) {
    s->memory.reserve = mem_alloc(RESERVE_BYTES);
    if (s->memory.reserve == NULL) return NULL;
    lua_State *L = lua_newstate(state_allocate, s);
    if (L != NULL && s->memory.reserve_used > 0) {
        lua_close(L);
        L = NULL;
    }
    mem_free(s->memory.reserve);
    s->memory.reserve = NULL;
    return L;
}

int state_enter_lua(struct state *s, lua_State *L) {
    s->L = L;
    return lua_cpcall(L, bootstrap, s) == 0 ? 0 : PERILUNE_ERR_NOMEM;
}

int state_new(struct state **out, struct loop *loop, struct log *log, struct stores *stores,
              const struct state_limits *limits, char *err, size_t errlen) {
    *out = NULL;
    struct state *s = state_make(loop, log, stores, limits);
    if (s == NULL) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    pool_init(&s->memory.pool, POOL_SIZE);
    s->L = make_lua(s);
    if (s->L == NULL) {
        snprintf(err, errlen, "out of memory for a Lua state");
        pool_deinit(&s->memory.pool);
        mem_free(s);
        return PERILUNE_ERR_NOMEM;
    }
    if (state_enter_lua(s, s->L) != 0) {
        snprintf(err, errlen, "out of memory for a Lua state");
        state_put(s);
        return PERILUNE_ERR_NOMEM;
    }
    lua_gc(s->L, LUA_GCSETPAUSE, GC_PAUSE_LOADING);
    budget_loading(s, BOOT_US);
    s->memory.loading_most = LOADING_MEMORY;
    int rc = state_call(s, open_state, NULL, err, errlen);
    if (rc != 0) {
        state_put(s);
        return rc;
    }
    *out = s;
    return 0;
}

void state_loaded(struct state *s) {
    lua_gc(s->L, LUA_GCSETPAUSE, GC_PAUSE);
    s->time.until_us = 0;
    s->memory.loading_most = 0;
}

void state_loads_trusted(struct state *s) { s->memory.loading_most = 0; }

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
    state_close_jobs(s);
    task_drop_spares(s);
    deferred_cancel(&s->run_soon);
    deferred_cancel(&s->run_next);
    timer_stop(s->loop, &s->rest);
    if (!s->is_guest) lua_close(s->L);
    limit_lines_free(s);
    cache_entry_put(s->found);
    json_deinit(&s->scratch_doc);
    buf_deinit(&s->decode);
    buf_deinit(&s->encode);
    buf_deinit(&s->host_text);
    services_deinit(&s->services);
    handles_deinit(&s->handles);
    pool_deinit(&s->memory.pool);
    if (s->closed) s->closed(s->closed_ud);
    mem_free(s);
}

