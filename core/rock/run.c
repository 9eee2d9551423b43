/* run.c -- perilune.run(config, fn): the loop of a program that has none.
 *
 *     perilune.run --> session: configuration, generation, a request, a task --> uv_run() until the task is done
 *                        |
 *                        +-- bound to one worker, which the rock keeps: its loop, and connections to upstreams
 *
 * What a server is without clients.  The worker (gateway/worker.c) is one without listeners, on a loop of its own, on
 * the host's thread.  The generation has the guest's state, so that policies of routes run in the host's Lua, too,
 * and with as much power as it has: their sandbox keeps them from what they need not touch, but nobody ends them.
 *
 * fn is a task like that of a policy, and so it waits like one.  It serves a request that nobody sent.  That is what
 * ends all that it began: questions that are still asked, answers that nobody read to their end, steps behind replies
 * (these may finish first).  Behind the run their handles are as finished as those of a request that was answered.
 *
 *     CLOSED --first run--> IDLE <--> RUNNING        one run at a time in a lua_State, and never in another process:
 *       ^                    |                       a fork has the connections of its parent
 *       +---- lua_close() ---+
 *
 * A child that fn makes by fork() goes on inside of fn, with its parent's loop below it.  It may do what needs no loop;
 * where it would wait it is refused (task.c), and when its part of fn is over nothing of the run is ended here
 * (abandon): what is kept of it goes with the child.
 *
 * Between runs state->loop is the still one, so that what needs no loop finds the time right, and nothing begins what
 * nobody would go on with.
 *
 * Errors do not cross the loop.  fn is called by a function of rock.lua that catches what it throws, and throws it
 * again when all is cleaned up. */
#include "rock/run.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "bridge/bundle.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/task.h"
#include "gateway/registry.h"
#include "gateway/worker.h"
#include "local/engines.h"
#include "local/llama.h"
#include "local/process.h"
#include "request/cached.h"
#include "request/spent.h"
#include "sim/sim.h"
#include "sys/sigpipe.h"

#define TASK_KEY    "perilune.run" /* in the registry: fn of the current run */
#define BEHIND_MS   5000 /* for work behind replies, when fn is done */
#define SETTLE_TURNS 8   /* of the loop, for calls that end with their turn */

struct rock_run {
    struct loop     loop;
    struct worker   worker;
    struct registry registry;
    struct engines *engines;
    struct sim     *sim;     /* answers `sim` upstreams; NULL: none was needed */
    pid_t           pid;     /* of who opened it */
    bool            running;
};

/* One run, from its configuration to its end. */
struct session {
    struct rock       *rock;
    struct rock_run   *run;
    struct state      *s;
    struct bundle     *bundle;
    struct config     *config;
    struct generation *gen;
    struct request    *req;
    struct task       *task;
    struct services    before; /* those of the state between runs */
    struct state_limits limits;
    bool               bound, over, ok;
    struct timer       behind;
    char               err[2048];
};

/* -- What is kept between runs -------------------------------------------------------------- */

/* NULL: no memory, or no descriptors. */
static struct rock_run *run_new(struct rock *r) {
    struct rock_run *run = mem_zalloc(sizeof(*run));
    if (run == NULL) return NULL;
    run->pid = getpid();
    multi_global_init();
    if (registry_init(&run->registry) != 0) goto no_registry;
    if (loop_init(&run->loop) != 0) goto no_loop;
    run->loop.is_patient = true; /* nobody slices a program, and os.execute() takes its time */
    if (worker_open(&run->worker, 0, &run->loop, &r->log) != 0) goto no_worker;
    far_init(&run->worker.far, &run->loop, &r->log, &r->stores->far, r->stores->cache);
    run->worker.far.forget = cached_forget_far;
    run->engines = engines_new(&llama_engine, &process_engine, &r->log);
    if (run->engines != NULL) return run;
    worker_close(&run->worker);
no_worker:
    loop_deinit(&run->loop);
no_loop:
    registry_deinit(&run->registry);
no_registry:
    mem_free(run);
    return NULL;
}

/* In a fork nothing is closed: its parent goes on with all of it. */
void rock_run_close(struct rock *r) {
    struct rock_run *run = r->run;
    if (run == NULL || run->pid != getpid()) return;
    struct sigpipe held;
    sigpipe_hold(&held);
    worker_close(&run->worker);
    while (run->loop.heap_len > 0) timer_stop(&run->loop, run->loop.heap[0]);
    loop_deinit(&run->loop);
    sigpipe_release(&held);
}

void rock_run_free(struct rock *r) {
    struct rock_run *run = r->run;
    if (run == NULL || run->pid != getpid()) return;
    sim_stop(run->sim);
    engines_hush(run->engines);
    engines_free(run->engines);
    registry_deinit(&run->registry);
    mem_free(run);
}

static int sim_port_of(void *ud, char *err, size_t errlen) {
    struct rock_run *run = ud;
    if (run->sim == NULL && sim_start(&run->sim, "127.0.0.1:0", NULL) != 0) {
        snprintf(err, errlen, "cannot start the simulated upstream");
        return -1;
    }
    return sim_port(run->sim);
}

/* -- Beginning ---------------------------------------------------------------------------------- */

static int fail(struct session *x, int rc, const char *text) {
    if (text != NULL) snprintf(x->err, sizeof(x->err), "%s", text);
    return rc;
}

/* The generation's worker, loop and upstreams are the state's from here on, without limits of requests: what runs here
 * is the program's own. */
static int bind_session(struct session *x) {
    struct state *s = x->s;
    struct generation *gen = mem_zalloc(sizeof(*gen));
    if (gen == NULL) return fail(x, PERILUNE_ERR_NOMEM, "not enough memory");
    gen->chains = mem_zalloc((x->config->route_count + 1) * sizeof(*gen->chains));
    gen->state = s;
    x->limits = s->limits;
    int rc = gen->chains != NULL ? generation_bind(gen, &x->run->worker, x->config) : PERILUNE_ERR_NOMEM;
    if (rc != 0) {
        gen->state = NULL;
        generation_free(gen);
        return fail(x, rc, "not enough memory");
    }
    gen->state = state_ref(s);
    x->gen = gen;
    x->bound = true;
    s->closed_ud = gen; /* gateway/asks.c finds it there; s->closed is not set */
    s->pid = x->run->pid;
    s->limits = x->limits;
    s->limits.high_water = x->config->lua.high_water;
    worker_install(&x->run->worker, gen);
    cache_resize(s->stores->cache, x->config->cache_bytes);
    near_resize(s->stores->near, x->config->cache_vectors);
    atomic_store(&x->rock->log.level, x->config->log_level);
    return 0;
}

static int open_config(struct session *x, struct slice json, const char *file) {
    struct config_env env = { .file = file, .registry = &x->run->registry, .engines = x->run->engines,
                              .sim_port = sim_port_of, .ud = x->run };
    engines_hold(x->run->engines);
    int rc = config_new(&x->config, json, &env, x->err, sizeof(x->err));
    engines_release(x->run->engines);
    return rc;
}

/* -- Running ---------------------------------------------------------------------------------------- */

static void on_done(struct task *t, bool ok) {
    struct session *x = t->owner;
    const char *text = ok ? NULL : state_text(t->co, -1);
    x->over = true;
    x->ok = ok;
    if (!ok) fail(x, 0, text ? text : "not enough memory");
    uv_stop(&x->run->loop.uv);
}

static int make_task(lua_State *L, void *ud) {
    struct session *x = ud;
    lua_getfield(L, LUA_REGISTRYINDEX, TASK_KEY);
    x->task = task_new(L, 0);
    return 0;
}

/* In a child of fork() it turns no more: fn was forked, and waits for something of the parent's. */
static void turn_until(struct session *x, const bool *done) {
    while (!*done && !state_is_foreign(x->s)) uv_run(&x->run->loop.uv, UV_RUN_ONCE);
}

static int run_task(struct session *x) {
    struct state *s = x->s;
    x->req = policy_request_new(s);
    if (x->req == NULL) return fail(x, PERILUNE_ERR_NOMEM, "not enough memory");
    rng_hex128(&x->run->loop.rng, x->req->id); /* its asks are named after it */
    if (state_call(s, make_task, x, x->err, sizeof(x->err)) != 0) return PERILUNE_ERR_NOMEM;
    x->task->request = x->req;
    x->task->budget->trusted = true;
    x->task->done = on_done;
    x->task->owner = x;
    task_start_soon(x->task);
    turn_until(x, &x->over);
    if (!x->over) return fail(x, PERILUNE_ERR_STATE, "perilune.run: this process was forked inside of it, and what the "
                                                     "function waits for comes to the parent");
    return x->ok ? 0 : PERILUNE_ERR_POLICY;
}

/* -- Ending -------------------------------------------------------------------------------------------- */

static void end_request(struct session *x) {
    struct request *req = x->req;
    struct outcome o = { .ok = x->ok };
    if (x->task != NULL) task_free(x->task);
    x->task = NULL;
    x->req = NULL;
    if (req == NULL) return;
    spent_stop_all(req);
    cleanup_run(req, &o);
    request_finish(req, NULL, &o);
    request_end(req);
    request_put(req);
}

static void behind_over(struct timer *t) { (void)t; } /* ends a turn */

/* Steps that were put behind replies may finish. */
static void wait_behind(struct session *x) {
    struct loop *l = &x->run->loop;
    uint64_t until = loop_now(l) + BEHIND_MS;
    while (afterwork_open(&x->s->stores->afterwork) > 0 && loop_now(l) < until) {
        if (timer_start(l, &x->behind, until - loop_now(l), behind_over) != 0) break;
        uv_run(&l->uv, UV_RUN_ONCE);
    }
    timer_stop(l, &x->behind);
}

/* The state's services and loop are as they were between runs, with what it has learned of questions. */
static void give_back(struct session *x) {
    struct state *s = x->s;
    struct services *v = &s->services, used = *v;
    *v = x->before;
    v->tokens = used.tokens; /* the worker's, which stays */
    v->owns_tokens = false;
    v->questions = used.questions;
    v->embedder = used.embedder;
    s->loop = &x->rock->still;
    s->pid = 0;
    s->limits = x->limits;
    s->stats = NULL;
    s->after = &s->own_after;
    s->closed_ud = NULL;
}

static void unbind(struct session *x) {
    struct state *s = x->s;
    struct generation *gen = x->gen;
    worker_uninstall(&x->run->worker); /* gives back the share of s */
    limit_lines_free(s);
    gen->state = NULL;
    generation_free(gen); /* when its last call is gone */
    for (int i = 0; i < SETTLE_TURNS; i++) uv_run(&x->run->loop.uv, UV_RUN_NOWAIT);
    struct models *models = s->services.models;
    give_back(x);
    models_put(models);
}

/* In a child of fork(): all that would be closed is the parent's. */
static void abandon(struct session *x) { give_back(x); }

static void end(struct session *x) {
    if (x->bound && state_is_foreign(x->s)) {
        abandon(x);
        return;
    }
    end_request(x);
    if (x->bound) {
        wait_behind(x);
        unbind(x);
    } else {
        models_put(x->s->services.models); /* of the configuration */
        x->s->services.models = x->before.models;
    }
    config_put(x->config);
    bundle_free(x->bundle);
    x->run->running = false;
}

/* -- For Lua ------------------------------------------------------------------------------------------------- */

static struct rock_run *run_of(lua_State *L, struct rock *r) {
    if (r->run == NULL && (r->run = run_new(r)) == NULL)
        luaL_error(L, "perilune.run: no loop can be had: memory, or the limit of open files (ulimit -n)");
    if (r->run->pid != getpid())
        luaL_error(L, "perilune.run: this process was forked from one that ran it, and has that one's connections; "
                      "call it first in the child, or start the child anew");
    if (r->run->running) luaL_error(L, "perilune.run: it runs already, and this is inside of it: call the function");
    return r->run;
}

/* What build(text | nil) gives, into json, which is then on top.  False: it threw what is there instead. [-0, +1, -] */
static bool build(lua_State *L, struct session *x, struct slice *json) {
    x->s->bundle = x->bundle;
    lua_pushvalue(L, 2);
    if (x->bundle->text != NULL) lua_pushlstring(L, x->bundle->text->data, x->bundle->text->len);
    else lua_pushnil(L);
    bool ok = lua_pcall(L, 1, 1, 0) == 0;
    x->s->bundle = NULL;
    x->bundle->frozen = true;
    if (ok && lua_type(L, -1) == LUA_TSTRING) json->ptr = lua_tolstring(L, -1, &json->len);
    return ok;
}

static int run(struct session *x, struct slice json, const char *file) {
    struct slice warnings = buf_get(&x->bundle->warnings);
    int rc = open_config(x, json, file);
    if (rc == 0) log_lines(&x->rock->log, PERILUNE_LOG_WARN, warnings.ptr, warnings.len);
    if (rc == 0) rc = bind_session(x);
    if (rc == 0) rc = run_task(x);
    return rc;
}

static int open_bundle(struct session *x, const char *path) {
    if (path != NULL) return bundle_open(&x->bundle, path, false, x->err, sizeof(x->err));
    x->bundle = bundle_new("", false);
    return x->bundle != NULL ? 0 : fail(x, PERILUNE_ERR_NOMEM, "not enough memory");
}

/* core.run(path | nil, build, fn): build(text | nil) -> configuration as JSON; fn() is the task, and throws nothing.
 * Raises what went wrong before or behind it; then fn may not have been called. */
int rock_l_run(lua_State *L) {
    const char *path = luaL_optstring(L, 1, NULL);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    struct rock *r = rock_of(L);
    struct session *x = lua_newuserdata(L, sizeof(*x)); /* stays on the stack */
    *x = (struct session){ .rock = r, .s = r->guest->state, .run = run_of(L, r) };
    lua_pushvalue(L, 3);
    lua_setfield(L, LUA_REGISTRYINDEX, TASK_KEY);
    luaL_checkstack(L, 8, NULL);
    if (open_bundle(x, path) != 0) return luaL_error(L, "%s", x->err);

    struct sigpipe held; /* from here to end() nothing is raised */
    struct slice json = SLICE("");
    sigpipe_hold(&held);
    x->run->running = true;
    x->before = x->s->services;
    x->s->services.models = NULL; /* the configuration brings its own */
    bool built = build(L, x, &json);
    int rc = built ? run(x, json, path ? path : "perilune.run") : 0;
    end(x);
    sigpipe_release(&held);
    if (!built) return lua_error(L);
    return rc == 0 ? 0 : luaL_error(L, "%s", x->err);
}
