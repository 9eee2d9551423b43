/* rules.c -- what it costs to go between a program and its rules: prints "NAME MICROSECONDS" lines.
 *
 *     build/release/bench_rules [SECONDS]
 *
 * CPU time of the process, the best of some rounds.  Anchors are the same functions in plain LuaJIT, called by
 * lua_pcall() and as a lua_CFunction; and for an answer of another thread, two threads that wake each other and do
 * nothing else.  Then, for twice SECONDS (default 10): 100,000 evaluations a second by the clock, how long each waited for
 * its answer.  In every other second the rules are reloaded once, so that whatever else the machine does meets both. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "include/perilune.h"

#define ROUNDS 7
#define EVALS  20000
#define CALLS  1000

static const char RULE[] = "local M = {}\n"
                           "function M.route(o)\n"
                           "  if o.tenant == 'free' then\n"
                           "    if o.tokens > 4000 then return 'reject' end\n"
                           "    return 'small'\n"
                           "  end\n"
                           "  local model = 'big'\n"
                           "  if o.tokens < 400 and not o.tools then model = 'small' end\n"
                           "  if o.hour >= 22 or o.hour < 6 then model = model .. '-night' end\n"
                           "  return model\n"
                           "end\n"
                           "return M\n";
static const char ARGS[] = "{\"tenant\":\"gold\",\"tokens\":1200,\"tools\":false,\"hour\":14}";

static double clock_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static double cpu_us(void) { return clock_us(CLOCK_PROCESS_CPUTIME_ID); }

static void must(perilune *g, int rc) {
    if (rc == 0) return;
    fprintf(stderr, "%s: %s\n", perilune_errname(rc), perilune_errmsg(g));
    exit(1);
}

static void eval(perilune *g, const char *code, const char *function, const char *args) {
    must(g, perilune_eval(g, code, function, args, args ? strlen(args) : 0, NULL));
}

/* -- Evaluations -------------------------------------------------------------------- */

static void bench_eval(perilune *g, const char *name, const char *code) {
    double best = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        double begin = cpu_us();
        for (int i = 0; i < EVALS; i++) eval(g, code, "route", ARGS);
        double us = (cpu_us() - begin) / EVALS;
        if (us < best) best = us;
    }
    printf("%s %.3f\n", name, best);
}

/* The same function in plain LuaJIT: a table of the same fields, a text back. */
static void bench_pcall(const char *name, bool jit) {
    lua_State *L = luaL_newstate();
    double best = 1e9;
    luaL_openlibs(L);
    if (luaL_dostring(L, jit ? "" : "jit.off()") != 0 || luaL_dostring(L, RULE) != 0) exit(1);
    lua_getfield(L, -1, "route");
    for (int r = 0; r < ROUNDS; r++) {
        double begin = cpu_us();
        for (int i = 0; i < EVALS; i++) {
            lua_pushvalue(L, -1);
            lua_createtable(L, 0, 4);
            lua_pushliteral(L, "gold");
            lua_setfield(L, -2, "tenant");
            lua_pushnumber(L, 1200);
            lua_setfield(L, -2, "tokens");
            lua_pushboolean(L, 0);
            lua_setfield(L, -2, "tools");
            lua_pushnumber(L, 14);
            lua_setfield(L, -2, "hour");
            if (lua_pcall(L, 1, 1, 0) != 0 || strcmp(lua_tostring(L, -1), "big") != 0) exit(1);
            lua_pop(L, 1);
        }
        double us = (cpu_us() - begin) / EVALS;
        if (us < best) best = us;
    }
    lua_close(L);
    printf("%s %.3f\n", name, best);
}

/* -- Calls of the program --------------------------------------------------------------- */

static void answer_now(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)count, (void)ud;
    perilune_call_return(call, &args[0]);
}

static void answer_json(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count, (void)ud;
    perilune_call_done(call, "{\"plan\":\"gold\",\"limit\":5}", 25);
}

/* Later, but from the same thread: what a program with a loop of its own does. */
static void answer_later(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, NULL, NULL);
    perilune_call_return(mine, &args[0]);
    perilune_call_free(mine);
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  woken;
    perilune_call  *calls[CALLS];
    unsigned        count;
    bool            over;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER };

static void answer_elsewhere(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, NULL, NULL);
    pthread_mutex_lock(&queue.lock);
    queue.calls[queue.count++] = mine;
    pthread_cond_signal(&queue.woken);
    pthread_mutex_unlock(&queue.lock);
}

static void *other_thread(void *ud) {
    (void)ud;
    pthread_mutex_lock(&queue.lock);
    while (!queue.over) {
        while (queue.count > 0) {
            perilune_call *call = queue.calls[--queue.count];
            pthread_mutex_unlock(&queue.lock);
            perilune_call_done(call, "1", 1);
            perilune_call_free(call);
            pthread_mutex_lock(&queue.lock);
        }
        if (!queue.over) pthread_cond_wait(&queue.woken, &queue.lock);
    }
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

/* What CALLS turns of `with` cost more than those of `without`, each. */
static void bench_calls(perilune *g, const char *name, const char *with, const char *without) {
    double most = 1e9, least = 1e9;
    for (int r = 0; r < 3 * ROUNDS; r++) {
        double begin = cpu_us();
        eval(g, without, NULL, NULL);
        double middle = cpu_us(), end;
        eval(g, with, NULL, NULL);
        end = cpu_us();
        if (middle - begin < least) least = middle - begin;
        if (end - middle < most) most = end - middle;
    }
    printf("%s %.3f\n", name, (most - least) / CALLS);
}

static int l_anchor(lua_State *L) {
    size_t len;
    const char *s = lua_tolstring(L, 1, &len);
    lua_pushlstring(L, s, len);
    return 1;
}

static void bench_anchor(const char *name) {
    lua_State *L = luaL_newstate();
    double most = 1e9, least = 1e9;
    luaL_openlibs(L);
    lua_register(L, "f", l_anchor);
    if (luaL_dostring(L, "jit.off() function with() for i = 1, 1000 do f('user-1') end end "
                         "function without() for i = 1, 1000 do end end") != 0) exit(1);
    for (int r = 0; r < 3 * ROUNDS; r++) {
        double begin = cpu_us();
        lua_getglobal(L, "without");
        lua_call(L, 0, 0);
        double middle = cpu_us(), end;
        lua_getglobal(L, "with");
        lua_call(L, 0, 0);
        end = cpu_us();
        if (middle - begin < least) least = middle - begin;
        if (end - middle < most) most = end - middle;
    }
    lua_close(L);
    printf("%s %.3f\n", name, (most - least) / CALLS);
}

#define LOOP(body) "local f, p = host, require 'perilune' for i = 1, 1000 do " body " end"
#define MANY(body) "local f, p, l = host, require 'perilune', {} for i = 1, 100 do l[i] = i end " \
                   "p.map(l, function() for i = 1, 10 do " body " end end)"

/* -- Reloads ------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_waits(const char *name, double *took, size_t n) {
    qsort(took, n, sizeof(*took), by_value);
    printf("%s-p50 %.3f\n%s-p99 %.3f\n", name, took[n / 2], name, took[n * 99 / 100]);
}

/* An evaluation every 10 us by the clock, whoever is late: how long from when it was due to its answer.  A reload keeps
 * all waiting that are due meanwhile; they are among the slowest hundredth as long as it takes less than some 9 ms. */
static void bench_reload(perilune *g, size_t seconds) {
    double *took[2] = { malloc(seconds * 100000 * sizeof(double)), malloc(seconds * 100000 * sizeof(double)) };
    double begin = clock_us(CLOCK_MONOTONIC), longest = 0, used = 1e9;
    unsigned failed = 0;
    for (size_t i = 0; i < 2 * seconds * 100000; i++) {
        size_t second = i / 100000, at = i % 100000;
        double due = begin + (double)i * 10, now = clock_us(CLOCK_MONOTONIC);
        while (now < due) now = clock_us(CLOCK_MONOTONIC);
        if (second % 2 == 1 && at == 20000) { /* what comes late is so in this second */
            double cpu = cpu_us();
            must(g, perilune_reload(g));
            cpu = cpu_us() - cpu;
            double pause = clock_us(CLOCK_MONOTONIC) - now;
            if (pause > longest) longest = pause;
            if (cpu < used) used = cpu;
        }
        failed += perilune_eval(g, "pricing", "route", ARGS, sizeof(ARGS) - 1, NULL) != 0;
        took[second % 2][second / 2 * 100000 + at] = clock_us(CLOCK_MONOTONIC) - due;
    }
    print_waits("steady", took[0], seconds * 100000);
    print_waits("reloaded", took[1], seconds * 100000);
    printf("reloaded-failed %u\nreloaded-pause %.3f\nreload-cpu %.3f\n", failed, longest, used);
    free(took[0]);
    free(took[1]);
}

/* -- Two threads ---------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  woken;
    bool            wanted, over;
    int             bell;
} pair = { .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER };

static void *ringer(void *ud) {
    (void)ud;
    pthread_mutex_lock(&pair.lock);
    while (!pair.over) {
        while (pair.wanted) {
            pair.wanted = false;
            pthread_mutex_unlock(&pair.lock);
            eventfd_write(pair.bell, 1);
            pthread_mutex_lock(&pair.lock);
        }
        if (!pair.over) pthread_cond_wait(&pair.woken, &pair.lock);
    }
    pthread_mutex_unlock(&pair.lock);
    return NULL;
}

static void want(bool over) {
    pthread_mutex_lock(&pair.lock);
    pair.wanted = !over;
    pair.over = over;
    pthread_cond_signal(&pair.woken);
    pthread_mutex_unlock(&pair.lock);
}

/* One sleeps in epoll, the other at a condition: each call of a function that another thread answers wakes both. */
static void bench_pair(const char *name) {
    struct epoll_event e = { .events = EPOLLIN };
    int ep = epoll_create1(0);
    double best = 1e9;
    eventfd_t rings;
    pthread_t thread;
    pair.bell = eventfd(0, EFD_NONBLOCK);
    epoll_ctl(ep, EPOLL_CTL_ADD, pair.bell, &e);
    if (pthread_create(&thread, NULL, ringer, NULL) != 0) exit(1);
    for (int r = 0; r < 3 * ROUNDS; r++) {
        double begin = cpu_us();
        for (int i = 0; i < CALLS; i++) {
            want(false);
            epoll_wait(ep, &e, 1, -1);
            eventfd_read(pair.bell, &rings);
        }
        double us = (cpu_us() - begin) / CALLS;
        if (us < best) best = us;
    }
    want(true);
    pthread_join(thread, NULL);
    close(pair.bell);
    close(ep);
    printf("%s %.3f\n", name, best);
}

/* -- Main -------------------------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) exit(1);
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/perilune-rules-XXXXXX", path[256], err[500];
    pthread_t thread;
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    if (mkdtemp(folder) == NULL) return 1;
    put(folder, "perilune.lua", "return { rules = { 'pricing' }, limits = { cpu_ms = 1000, block_ms = 1000 } }");
    snprintf(path, sizeof(path), "%s/policies", folder);
    if (mkdir(path, 0700) != 0) return 1;
    put(folder, "policies/pricing.lua", RULE);
    snprintf(path, sizeof(path), "%s/perilune.lua", folder);
    o.config = path;
    if (perilune_open(&g, &o, err, sizeof(err)) != 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    must(g, perilune_function_add(g, "now", answer_now, NULL));
    must(g, perilune_function_add(g, "json", answer_json, NULL));
    must(g, perilune_function_add(g, "later", answer_later, NULL));
    must(g, perilune_function_add(g, "elsewhere", answer_elsewhere, NULL));
    must(g, perilune_value_set(g, "plan", "{\"limit\":5}", 11));
    bench_eval(g, "eval-module", "pricing");
    bench_eval(g, "eval-chunk", RULE);
    bench_pcall("pcall-jit", true);
    bench_pcall("pcall", false);
    bench_calls(g, "call-string", LOOP("f.now('user-1')"), LOOP(""));
    bench_calls(g, "call-table", LOOP("f.now({ id = 'user-1' })"), LOOP(""));
    bench_calls(g, "call-json", LOOP("f.json('user-1')"), LOOP(""));
    bench_anchor("call-anchor");
    bench_calls(g, "later-one", LOOP("f.later('user-1')"), LOOP(""));
    bench_calls(g, "later-many", MANY("f.later('user-1')"), MANY(""));
    if (pthread_create(&thread, NULL, other_thread, NULL) != 0) return 1;
    bench_calls(g, "thread-many", MANY("f.elsewhere('user-1')"), MANY(""));
    bench_calls(g, "thread-one", LOOP("f.elsewhere('user-1')"), LOOP(""));
    pthread_mutex_lock(&queue.lock);
    queue.over = true;
    pthread_cond_signal(&queue.woken);
    pthread_mutex_unlock(&queue.lock);
    pthread_join(thread, NULL);
    bench_calls(g, "value", LOOP("local _ = p.values.plan"), LOOP(""));
    int seconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10;
    bench_pair("pair");
    if (seconds > 0) bench_reload(g, (size_t)seconds);
    perilune_close(g);
    static const char *const files[] = { "policies/pricing.lua", "policies", "perilune.lua" };
    for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        remove(path);
    }
    rmdir(folder);
    return 0;
}
