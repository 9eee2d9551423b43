/* l_jobs.c -- perilune.jobs(name): questions that nobody waits for, from Lua.
 *
 *     task --op--> SUBMIT | GET | CANCEL --> this worker's end of the queue --> answer --> the job as JSON --> task
 *
 * lua/perilune/jobs.lua has checked the options and makes a table of the JSON.  A policy sees the jobs of the tenant
 * that it works for; code that works for nobody (a spec) sees all.
 *
 * In `perilune test` there is no gateway that keeps jobs: the first who asks opens a queue in memory and a runner for
 * this state, whose time is the spec's.  A job that is a request is done there by the test kit, which has the scripted
 * upstreams (run() of lua/perilune/jobs.lua). */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bridge/job_task.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/task.h"
#include "flow/headers.h"
#include "jobs/job_text.h"
#include "jobs/jobs_memory.h"
#include "request/job_question.h"

/* -- A queue for specs --------------------------------------------------------------------------- */

struct jobs_alone {
    struct jobs_store  *store;
    struct jobs        *jobs;
    struct job_runner  *runner;
    struct job_stats    stats;
    struct job_settings settings;
};

static void begin_alone(void *ud, struct job_work *work) {
    struct state *s = ud;
    job_task_begin(s, &s->jobs_alone->settings, work);
}

static void resume_alone(struct job_work *work) { (void)work; }

void state_close_jobs(struct state *s) {
    struct jobs_alone *a = s->jobs_alone;
    if (a == NULL) return;
    s->jobs_alone = NULL;
    s->services.jobs = NULL;
    job_runner_free(a->runner);
    jobs_close(a->jobs);
    jobs_store_close(a->store);
    mem_free(a);
}

static bool open_alone(struct state *s) {
    struct jobs_alone *a = mem_zalloc(sizeof(*a));
    if (a == NULL) return false;
    s->jobs_alone = a;
    a->settings = (struct job_settings){ .timeout_ms = 600000, .max_tries = 3, .lease_ms = 30000, .backoff_ms = 1000,
                                         .backoff_max_ms = 300000, .room = 16 };
    jobs_settings_init(&a->settings.store);
    if (jobs_memory_open(&a->store, &a->settings.store, NULL) == 0) a->jobs = jobs_open(a->store, s->loop);
    if (a->jobs != NULL)
        a->runner = job_runner_new(&(struct job_runner_options){
            .jobs = a->jobs, .loop = s->loop, .log = s->log, .room = a->settings.room, .lease_ms = a->settings.lease_ms,
            .backoff_ms = a->settings.backoff_ms, .backoff_max_ms = a->settings.backoff_max_ms, .stats = &a->stats,
            .doer = { .ud = s, .begin = begin_alone, .resume = resume_alone, .stop = job_task_stop } });
    if (a->runner == NULL) {
        state_close_jobs(s);
        return false;
    }
    s->services.jobs = a->jobs;
    s->services.job_settings = &a->settings;
    return true;
}

struct jobs *jobs_queue(lua_State *L) {
    struct state *s = state_of(L);
    if (s->services.jobs == NULL && s->loop->is_virtual && !open_alone(s)) luaL_error(L, "not enough memory");
    if (s->services.jobs == NULL)
        luaL_error(L, "perilune.jobs: no jobs are kept; jobs = { file = \"jobs.db\" } in the configuration turns them "
                      "on");
    return s->services.jobs;
}

/* -- Asking ----------------------------------------------------------------------------------------- */

struct jobs_wait {
    struct op       op;
    struct jobs_op  q;
    struct arena    arena;
    struct job      job;    /* of SUBMIT */
    struct buf      text;   /* the job, as JSON */
    struct failure  failure;
    bool            existed;
};

static void wait_free(struct jobs_wait *w) {
    jobs_cancel(&w->q);
    buf_deinit(&w->text);
    failure_deinit(&w->failure);
    arena_deinit(&w->arena);
    mem_free(w);
}

static void cancel(struct op *op) { wait_free(container_of(op, struct jobs_wait, op)); }

static int push(lua_State *L, struct op *op) {
    struct jobs_wait *w = container_of(op, struct jobs_wait, op);
    if (failure_is_set(&w->failure)) {
        lua_pushnil(L);
        lib_push_failure(L, &w->failure);
    } else {
        lua_pushlstring(L, buf_get(&w->text).ptr, buf_len(&w->text));
        lua_pushboolean(L, w->existed);
    }
    wait_free(w);
    return 2;
}

static void on_answer(struct jobs_op *q, const struct jobs_answer *a) {
    struct jobs_wait *w = container_of(q, struct jobs_wait, q);
    bool is_over = a->rc == JOBS_IS_OVER && a->count > 0; /* CANCEL: nothing to do */
    if (a->rc != 0 && !is_over) job_refused(&w->failure, a);
    else if (a->existed && !job_asks_same(a->jobs, &w->job)) job_key_reused(&w->failure);
    else job_write(&w->text, a->jobs, JOB_WHOLE);
    w->existed = a->existed;
    struct jobs *jobs = w->op.task->state->services.jobs;
    if (jobs != NULL) jobs_say(jobs, w->op.task->state->log, NULL, a);
    if (buf_failed(&w->text)) failure_set(&w->failure, FAILURE_NO_MEMORY, "out of memory");
    op_done(&w->op); /* may free w */
}

static struct jobs_wait *wait_new(lua_State *L) {
    struct jobs_wait *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    w->op = (struct op){ .task = state_of(L)->running, .cancel = cancel, .push = push };
    arena_init(&w->arena);
    buf_init(&w->text, 0);
    failure_init(&w->failure);
    return w;
}

/* Takes w. */
static int ask(lua_State *L, struct jobs_wait *w, const struct jobs_ask *ask) {
    int rc = jobs_begin(state_of(L)->services.jobs, &w->q, ask, on_answer);
    if (rc == 0) return op_wait(L, &w->op, "jobs");
    job_refused(&w->failure, &(struct jobs_answer){ .rc = rc });
    lua_pushnil(L);
    lib_push_failure(L, &w->failure);
    wait_free(w);
    return 2;
}

/* Whose jobs the running code may see: ptr NULL, all. */
static struct slice tenant_of(lua_State *L) {
    const struct task *t = state_of(L)->running;
    return t->request != NULL ? slice_str(t->request->tenant) : slice_of(NULL, 0);
}

static int ask_one(lua_State *L, enum jobs_verb verb) {
    struct slice id;
    id.ptr = luaL_checklstring(L, 1, &id.len);
    op_check(L);
    jobs_queue(L);
    struct jobs_wait *w = wait_new(L);
    if (id.len < JOB_ID_SIZE) return ask(L, w, &(struct jobs_ask){ .verb = verb, .id = id, .tenant = tenant_of(L) });
    job_refused(&w->failure, &(struct jobs_answer){ .rc = JOBS_NOT_FOUND });
    lua_pushnil(L);
    lib_push_failure(L, &w->failure);
    wait_free(w);
    return 2;
}

/* core.jobs_get(id), core.jobs_cancel(id) -> json | nil, err; wait */
int l_jobs_get(lua_State *L) { return ask_one(L, JOBS_GET); }
int l_jobs_cancel(lua_State *L) { return ask_one(L, JOBS_CANCEL); }

/* -- Submitting ----------------------------------------------------------------------------------------- */

static double number_at(lua_State *L, int t, const char *key, double otherwise) {
    lua_getfield(L, t, key);
    double v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return v;
}

static uint64_t ms_at(lua_State *L, int t, const char *key) {
    double v = number_at(L, t, key, 0);
    return v > 0 && v < 1e12 ? (uint64_t)(v * 1000 + 0.5) : 0;
}

static void read_options(lua_State *L, struct job *j, const struct job_settings *settings) {
    j->queue = lib_text_field(L, 2, "queue");
    j->function = lib_text_field(L, 2, "job");
    j->path = lib_text_field(L, 2, "path");
    j->headers = lib_text_field(L, 2, "headers");
    j->body = lib_text_field(L, 2, "body");
    j->key = lib_text_field(L, 2, "key");
    j->webhook = lib_text_field(L, 2, "webhook");
    j->priority = (int)number_at(L, 2, "priority", 0);
    j->max_tries = (unsigned)number_at(L, 2, "max_tries", settings != NULL ? settings->max_tries : 1);
    j->not_before_ms = ms_at(L, 2, "not_before");
    j->expires_ms = ms_at(L, 2, "expires");
    j->keep_ms = ms_at(L, 2, "keep");
    if (j->keep_ms == 0 && settings != NULL) j->keep_ms = settings->store.keep_ms;
}

/* The request at 1, as policies left it. */
static bool read_request(struct jobs_wait *w, struct request *r, struct body *body, const struct job_settings *s) {
    struct job made = { .tries = 0 };
    struct job_headers more = { s ? s->headers : NULL, s ? s->header_count : 0 };
    if (!job_from_request(&made, &w->arena, r, body, &more)) return false;
    w->job.path = made.path;
    w->job.headers = made.headers;
    char *copy = arena_dup(&w->arena, made.body);
    w->job.body = slice_of(copy, made.body.len);
    return copy != NULL && job_put_guard(&w->job, &w->arena, r->guard, false);
}

/* A job runs past those who say who may ask, so they come first. */
static void check_admitted(lua_State *L, const struct request *r) {
    if (r != NULL && r->guard[0] != '\0' && !r->admitted)
        luaL_error(L, "jobs:submit: nobody has said yet that this request may ask; put the policy behind the one that "
                      "does (auth_keys)");
}

/* core.jobs_submit(req | nil, { queue, job, path, headers, body, key, priority, max_tries, not_before, expires, keep,
 * webhook, tenant }) -> json, existed | nil, err; waits.  Times in seconds since 1970. */
int l_jobs_submit(lua_State *L) {
    lua_settop(L, 2);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct request *r = lua_isnil(L, 1) ? NULL : request_check(L, 1);
    op_check(L);
    check_admitted(L, r);
    jobs_queue(L);
    const struct job_settings *settings = state_of(L)->services.job_settings;
    struct body *body = r != NULL ? request_body(L, 1) : NULL;
    struct jobs_wait *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        body_put(body);
        return luaL_error(L, "not enough memory");
    }
    w->op = (struct op){ .task = state_of(L)->running, .cancel = cancel, .push = push };
    arena_init(&w->arena);
    buf_init(&w->text, 0);
    failure_init(&w->failure);
    read_options(L, &w->job, settings);
    bool ok = r != NULL ? read_request(w, r, body, settings)
                        : w->job.function.len > 0 || job_put_guard(&w->job, &w->arena, GUARD_OPERATOR, false);
    body_put(body);
    struct slice tenant = lib_text_field(L, 2, "tenant");
    w->job.tenant = tenant.len > 0 ? tenant : r != NULL ? slice_str(r->tenant) : tenant_of(L);
    if (w->job.tenant.ptr == NULL) w->job.tenant = SLICE("");
    if (!ok) {
        wait_free(w);
        return luaL_error(L, "not enough memory");
    }
    if (settings != NULL && !state_of(L)->loop->is_virtual && !job_settings_have(settings, w->job.queue)) {
        wait_free(w);
        return luaL_error(L, "perilune.jobs: there is no queue of this name; the configuration names them "
                             "(jobs.queues)");
    }
    bool told = settings != NULL && w->job.webhook.len > 0;
    const char *why = told ? webhook_refused(settings->webhooks, w->job.webhook) : NULL;
    if (why != NULL) {
        wait_free(w);
        return luaL_error(L, "jobs:submit: option 'webhook': %s", why);
    }
    state_pay(L, w->job.body.len / 64);
    return ask(L, w, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &w->job });
}

/* core.job_entry(fn): what runs a job of a function; while a configuration is loaded, or a spec runs. */
int l_job_entry(lua_State *L) {
    struct state *s = state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->running != NULL && !s->loop->is_virtual)
        return luaL_error(L, "perilune.job(name, fn): call it while the configuration is loaded, not for a request: "
                             "each worker has to know the function");
    lua_settop(L, 1);
    if (s->job_entry != 0) state_ref_drop(s, s->job_entry);
    s->job_entry = state_ref_new(L);
    return 0;
}
