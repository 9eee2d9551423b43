/* job_task.c -- a job that is a function of the configuration's (perilune.job).
 *
 *     work --begin--> task: run(handle, name, args, ...) of lua/perilune/jobs.lua --> fn(job) --> JSON --> job_work_end
 *                       |  handle --progress--> job_work_progress
 *                       +--> request: what it asks of upstreams has its tenant, its id and its deadline
 *
 * The function runs as a policy does: in a task with an account of its own (limits.cpu_ms, block_ms, memory, calls),
 * so one that hangs, allocates without end or throws fails its job and nothing else.  What it returns is the result;
 * nil and an error are a failure, which is tried again when the error says that this may help.
 *
 * A task of the policy after_reply that was kept (l_keep.c) is such a job, whose request is the one behind whose reply
 * it stands: path, headers, body, tenant.  Done well it is forgotten soon: there is one for each request, and nobody
 * asks for what became of it.
 *
 * Lua holds a handle, which is emptied when the job is over; a function that has kept it gets an error. */
#include "bridge/job_task.h"

#include <stdio.h>

#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/keep.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/task.h"
#include "request/job_question.h"

#define TYPE         "perilune.job"
#define KEPT_DONE_MS 5000 /* a finish whose answer was lost is asked for again by then */

struct job_handle {
    struct job_task *job; /* NULL: it is over */
};

struct job_task {
    struct job_work   *work;
    struct state      *state;  /* a share */
    struct task       *task;
    struct request    *asks;   /* what it asks is part of this */
    struct job_handle *handle; /* anchored by: */
    int                ref;
    struct timer       deadline;
    struct kept        kept;
    bool               is_kept;
};

/* -- The end -------------------------------------------------------------------------------------- */

/* Policies behind what it asked have hung slots and reservations on its request. */
static void end_asked(struct job_task *j, const char *code) {
    struct request *q = j->asks;
    j->asks = NULL;
    if (q == NULL) return;
    struct outcome o = { .ok = code == NULL };
    slice_copy(o.code, sizeof(o.code), slice_str(code ? code : ""));
    cleanup_run(q, &o);
    request_finish(q, NULL, &o);
    request_end(q);
    request_put(q);
}

static void job_free(struct job_task *j) {
    struct state *s = j->state;
    timer_stop(s->loop, &j->deadline);
    if (j->handle != NULL) j->handle->job = NULL;
    if (j->ref != 0) state_ref_drop(s, j->ref);
    mem_free(j);
    state_put_soon(s);
}

/* Frees j; its task is gone, or about to be freed by who calls. */
static void end(struct job_task *j, const struct work_end *how) {
    struct job_work *w = j->work;
    w->user = NULL;
    end_asked(j, how->failure ? how->failure->code : NULL);
    job_free(j);
    job_work_end(w, how);
}

static void end_with(struct job_task *j, const struct failure *f) {
    end(j, &(struct work_end){ .failure = f, .status = f->status });
}

struct reading {
    struct task    *task;
    struct failure *f;
};

/* What was thrown, or returned behind nil: on top of the task's stack. */
static int read_failure(lua_State *L, void *ud) {
    struct reading *r = ud;
    lua_xmove(r->task->co, L, 1);
    lib_to_failure(L, lua_gettop(L), r->f);
    return 0;
}

/* A table is a failure that was meant, anything else for the log. */
static void why_failed(struct job_task *j, struct failure *f) {
    struct task *t = j->task;
    struct reading r = { t, f };
    if (t->budget->killed == NULL && lua_gettop(t->co) > 0 && lua_istable(t->co, -1)) {
        if (state_call(j->state, read_failure, &r, NULL, 0) != 0) failure_set(f, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    const char *text = state_text(t->co, -1);
    log_of_request(j->state->log, PERILUNE_LOG_ERROR, j->work->job.id, "%s", text ? text : "a job failed");
    if (t->budget->killed != NULL) failure_set(f, t->budget->kill_kind, "%s", t->budget->killed);
    else failure_set(f, FAILURE_POLICY, "the function of the job failed (see the log, job %s)", j->work->job.id);
}

static void on_done(struct task *t, bool ok) {
    struct job_task *j = t->owner;
    struct failure f;
    struct buf result;
    failure_init(&f);
    buf_init(&result, 0);
    size_t len = 0;
    bool told = ok && lua_gettop(t->co) > 0 && lua_type(t->co, 1) == LUA_TSTRING;
    if (told) {
        const char *json = lua_tolstring(t->co, 1, &len);
        buf_put(&result, json, len);
        if (buf_failed(&result)) failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    } else why_failed(j, &f);
    struct work_end how = { .failure = failure_is_set(&f) ? &f : NULL, .status = told ? 200 : f.status,
                           .type = told ? SLICE("application/json") : SLICE(""), .result = buf_get(&result),
                           .keep_ms = told && j->is_kept ? KEPT_DONE_MS : 0 };
    struct state *s = state_ref(j->state);
    end(j, &how);
    task_free(t);
    failure_deinit(&f);
    buf_deinit(&result);
    state_put_soon(s);
}

static void deadline_due(struct timer *timer) {
    struct job_task *j = container_of(timer, struct job_task, deadline);
    struct state *s = state_ref(j->state);
    struct task *t = j->task;
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_DEADLINE, "the job took longer than it may (jobs.timeout)");
    end_with(j, &f);
    task_cancel(t);
    failure_deinit(&f);
    state_put_soon(s);
}

void job_task_stop(struct job_work *work) {
    struct job_task *j = work->user;
    work->user = NULL;
    if (j == NULL) return;
    struct state *s = state_ref(j->state);
    struct task *t = j->task;
    end_asked(j, "canceled");
    job_free(j);
    task_cancel(t);
    state_put_soon(s);
}

const char *job_task_waits_for(const struct job_work *work) {
    const struct job_task *j = work->user;
    return j == NULL ? "the queue" : j->task->op != NULL ? j->task->op->name : "a slice of time";
}

/* -- The beginning ------------------------------------------------------------------------------------ */

static void push_slice(lua_State *L, struct slice s) { lua_pushlstring(L, s.ptr ? s.ptr : "", s.len); }

/* run(handle, function, path, headers, body, id, tries, max_tries, tenant, queue, patient). [0, 0, e] */
static int make_task(lua_State *L, void *ud) {
    struct job_task *j = ud;
    const struct job *job = &j->work->job;
    char guard[GUARD_SIZE];
    bool ignored;
    luaL_checkstack(L, 15, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, j->state->job_entry);
    j->handle = lua_newuserdata(L, sizeof(*j->handle));
    j->handle->job = j;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    j->ref = state_ref_new(L);
    push_slice(L, job->function);
    push_slice(L, job->path);
    push_slice(L, job_guard(job, guard, &ignored)); /* of a request, in a spec: nobody lets in there */
    push_slice(L, j->is_kept ? j->kept.told : job->body);
    lua_pushstring(L, job->id);
    lua_pushinteger(L, (lua_Integer)job->tries);
    lua_pushinteger(L, (lua_Integer)job->max_tries);
    push_slice(L, job->tenant);
    push_slice(L, job->queue.len > 0 ? job->queue : SLICE("default"));
    lua_pushboolean(L, job_work_is_patient(j->work));
    j->task = task_new(L, 11);
    return 0;
}

/* r as policies left it when its reply was given.  False: no memory. */
static bool make_kept(struct job_task *j, struct request *r) {
    const struct kept *k = &j->kept;
    struct failure ignored;
    bool is_batch;
    if (!job_to_request(&j->work->job, r)) return false;
    job_guard(&j->work->job, r->guard, &is_batch);
    r->admitted = true; /* by that guard, or by nobody */
    slice_copy(r->id, sizeof(r->id), k->id);
    slice_copy(r->tenant, sizeof(r->tenant), k->tenant);
    if (k->body.len == 0) return true;
    struct blob *text = blob_copy(k->body);
    if (text == NULL) return false;
    failure_init(&ignored);
    int rc = body_from(&r->body, text, dialect_find(r->path), &ignored); /* takes the share */
    if (rc != 0) blob_put(text);
    failure_deinit(&ignored);
    return rc != PERILUNE_ERR_NOMEM; /* what no version of us can read any more is a request without a body */
}

static bool make_request(struct job_task *j, uint64_t timeout_ms) {
    struct request *r = policy_request_new(j->state);
    if (r == NULL) return false;
    const struct job *job = &j->work->job;
    snprintf(r->id, sizeof(r->id), "%s-%u", job->id, job->tries);
    slice_copy(r->tenant, sizeof(r->tenant), job->tenant);
    r->job = j->work->job.id;
    r->method = SLICE("POST");
    r->path = job->path.len > 0 ? job->path : SLICE("/");
    if (timeout_ms > 0) r->deadline_ms = loop_now(j->state->loop) + timeout_ms;
    j->asks = r;
    return !j->is_kept || make_kept(j, r);
}

static void refuse(struct job_work *work, enum failure_kind kind, bool again, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    f.retryable = again;
    job_work_end(work, &(struct work_end){ .failure = &f, .status = f.status });
    failure_deinit(&f);
}

void job_task_begin(struct state *s, const struct job_settings *settings, struct job_work *work) {
    uint64_t ms = settings != NULL ? settings->timeout_ms : 0;
    if (s->job_entry == 0) { /* a reload took `jobs` away; another may bring them back */
        refuse(work, FAILURE_NOT_FOUND, true, "the configuration has no functions for jobs (perilune.job)");
        return;
    }
    struct job_task *j = mem_zalloc(sizeof(*j));
    if (j == NULL) {
        refuse(work, FAILURE_NO_MEMORY, true, "out of memory");
        return;
    }
    j->work = work;
    j->is_kept = kept_read(&work->job, &j->kept);
    j->state = state_ref(s);
    bool ok = make_request(j, ms) && (ms == 0 || timer_start(s->loop, &j->deadline, ms, deadline_due) == 0) &&
              state_call(s, make_task, j, NULL, 0) == 0;
    if (!ok) {
        end_asked(j, "out_of_memory");
        job_free(j);
        refuse(work, FAILURE_NO_MEMORY, true, "out of memory");
        return;
    }
    work->user = j;
    j->task->request = j->asks;
    j->task->owner = j;
    j->task->done = on_done;
    task_start_soon(j->task);
}

/* -- For Lua --------------------------------------------------------------------------------------------- */

/* core.job_progress(handle, json) */
int l_job_progress(lua_State *L) {
    struct job_handle *h = luaL_checkudata(L, 1, TYPE);
    struct slice json;
    json.ptr = luaL_checklstring(L, 2, &json.len);
    if (h->job == NULL) return luaL_error(L, "job:progress(x): the job is over");
    if (json.len > 65536) return luaL_error(L, "job:progress(x): %d bytes of JSON, 65536 are the most", (int)json.len);
    state_pay(L, json.len / 64);
    job_work_progress(h->job->work, json);
    return 0;
}

static int l_gc(lua_State *L) {
    (void)L;
    return 0;
}

void job_task_open(lua_State *L) { lib_open_owned(L, TYPE, l_gc); }
