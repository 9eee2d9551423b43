/* l_keep.c -- core.after_keep(req, tasks, how): a task behind a reply that survives a crash, because it is a job.
 *
 *     req:finally --core.after_keep--> SUBMIT to the queue, in this turn --> job --> job_task.c, later, somewhere
 *                                          |                                  |
 *                                          +-- kept, or lost and logged       +-- kept_read(): the request again
 *
 * What a task gets is the request as policies left it and what became of it.  A job has a body, so all of that goes
 * there, the short part first:
 *
 *     TENANT \0 ID \0 what Lua hands over, as JSON \0 the body of the request
 *
 * Path and headers are where they are in any job, and without keys as in any job (request/job_question.c); the path is
 * the one that policies saw, since the task takes no route.
 *
 * The job is the operator's: a client may neither see nor cancel it.  So it belongs to a tenant whose name begins with
 * PREFIX, which no key leads to, and which is another one for each tenant: one that is busy does not keep the tasks of
 * others waiting.  The task itself works for the tenant of the request.
 *
 * Who asked has its reply in the same turn of the loop in which the job is sent to the queue, and nobody waits for the
 * queue's word: a process that dies before the queue has written it (a commit of the file: a few milliseconds) loses
 * it.  What is on its way has a place in sched/afterwork.c like other work behind replies, so it is bounded, and a
 * drain waits for it. */
#include "bridge/keep.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "bridge/job_task.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "request/job_question.h"
#include "request/request.h"
#include "sched/afterwork.h"

#define PREFIX     "(after_reply) "
#define FUNCTION   "after_reply:" /* ORDER lua/perilune/jobs.lua */
#define TASKS_MOST 32            /* ORDER policies/after_reply.lua */

/* -- For who does it ------------------------------------------------------------------------------- */

static bool next_part(struct slice *rest, struct slice *out) {
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\0', rest->len) : NULL;
    if (end == NULL) return false;
    *out = slice_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = slice_of(end + 1, rest->len - out->len - 1);
    return true;
}

bool kept_read(const struct job *j, struct kept *out) {
    out->body = j->body;
    return slice_starts(j->function, SLICE(FUNCTION)) && next_part(&out->body, &out->tenant) &&
           next_part(&out->body, &out->id) && next_part(&out->body, &out->told);
}

/* -- On its way to the queue ------------------------------------------------------------------------ */

struct keeping {
    struct jobs_op    op;
    struct afterwork *all; /* of the process, where it entered */
    struct log       *log;
    uint64_t          bytes;
    char              id[80], task[JOB_NAME_MAX + 1];
};

static enum afterwork_result result_of(int rc) {
    switch (rc) {
    case 0: return AFTERWORK_KEPT;
    case JOBS_IS_FULL:
    case JOBS_QUOTA:
    case PERILUNE_ERR_LIMITED: return AFTERWORK_FULL;
    case PERILUNE_ERR_CANCELED: return AFTERWORK_CANCELED;
    default: return AFTERWORK_FAILED;
    }
}

/* Frees k. */
static void over(struct keeping *k, const struct jobs_answer *a) {
    enum afterwork_result result = result_of(a->rc);
    afterwork_leave(k->all, k->bytes, false, result);
    /* A queue that is full is so for all, and says it once a second. */
    if (a->rc != 0 && (result != AFTERWORK_FULL || afterwork_tell(k->all, loop_hrtime_us() / 1000000))) {
        struct failure f;
        failure_init(&f);
        job_refused(&f, a);
        log_of_request(k->log, PERILUNE_LOG_ERROR, k->id, "a task behind the reply is lost, since it could not be kept "
                       "as a job (%s): %s%s%s", k->task, f.message, a->why ? ": " : "", a->why ? a->why : "");
        failure_deinit(&f);
    }
    mem_free(k);
}

static void on_kept(struct jobs_op *op, const struct jobs_answer *a) { over(container_of(op, struct keeping, op), a); }

/* -- For Lua ------------------------------------------------------------------------------------------ */

struct keep_how {
    struct slice task, queue, told;
    unsigned     max_tries;
    uint64_t     max_queue, max_bytes;
};

static uint64_t count_at(lua_State *L, int t, const char *key) {
    lua_getfield(L, t, key);
    double v = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v > 0 && v < 1e15 ? (uint64_t)v : 0;
}

/* In a, whose memory it borrows.  False: no memory. */
static bool make_job(struct job *j, struct arena *a, struct buf *body, const struct request *r, struct body *asked,
                     const struct job_settings *settings, const struct keep_how *how) {
    char tenant[JOB_TENANT_MAX + 1], function[JOB_NAME_MAX + 1];
    struct buf path;
    struct job_headers more = { settings ? settings->headers : NULL, settings ? settings->header_count : 0 };
    bool ok = job_from_request(j, a, r, asked, &more);
    buf_reserve(body, 256 + how->told.len + (asked != NULL ? asked->text->len : 0));
    buf_slice(body, slice_str(r->tenant));
    buf_putc(body, '\0');
    buf_printf(body, "%.72s-after", r->id);
    buf_putc(body, '\0');
    buf_slice(body, how->told);
    buf_putc(body, '\0');
    if (asked != NULL) buf_slice(body, blob_get(asked->text));
    /* Of a name that is too long for both its beginning will do: what it is for is taking turns. */
    struct slice own = slice_str(r->tenant);
    if (own.len > sizeof(tenant) - sizeof(PREFIX)) own.len = sizeof(tenant) - sizeof(PREFIX);
    snprintf(tenant, sizeof(tenant), PREFIX "%.*s", (int)utf8_valid_prefix(own), own.ptr);
    snprintf(function, sizeof(function), FUNCTION "%.*s", SLICE_ARG(how->task));
    buf_init(&path, 0);
    buf_slice(&path, r->path); /* as the task saw it, without what the route took off; the query has no keys any more */
    const char *query = ok ? memchr(j->path.ptr, '?', j->path.len) : NULL;
    if (query != NULL) buf_slice(&path, slice_of(query, (size_t)(j->path.ptr + j->path.len - query)));
    j->tenant.ptr = arena_dup(a, slice_str(tenant));
    j->tenant.len = strlen(tenant);
    j->function.ptr = arena_dup(a, slice_str(function));
    j->function.len = strlen(function);
    j->path.ptr = arena_dup(a, buf_get(&path));
    j->path.len = buf_len(&path);
    ok = ok && !buf_failed(&path) && !buf_failed(body) && j->tenant.ptr && j->function.ptr && j->path.ptr;
    ok = ok && job_put_guard(j, a, r->admitted ? r->guard : "", false); /* it may make a job of the request again */
    buf_deinit(&path);
    j->body = buf_get(body);
    j->queue = how->queue;
    j->max_tries = how->max_tries;
    return ok;
}

/* Takes k; or frees it, and says why it is lost. */
static void submit(struct state *s, struct keeping *k, struct request *r, struct body *asked,
                   const struct keep_how *how) {
    struct job j = { .tries = 0 };
    const struct job_settings *settings = s->services.job_settings;
    struct arena arena;
    struct buf body;
    arena_init(&arena);
    buf_init(&body, 0);
    int rc = make_job(&j, &arena, &body, r, asked, settings, how) ? 0 : PERILUNE_ERR_NOMEM;
    if (j.max_tries == 0) j.max_tries = settings != NULL ? settings->max_tries : 3;
    if (settings != NULL) j.keep_ms = settings->store.keep_ms;
    if (rc == 0)
        rc = jobs_begin(s->services.jobs, &k->op, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }, on_kept);
    if (rc != 0) over(k, &(struct jobs_answer){ .rc = rc });
    buf_deinit(&body);
    arena_deinit(&arena);
}

/* False: there is no room. */
static bool keep(struct state *s, struct request *r, struct body *asked, const struct keep_how *how) {
    struct afterwork *all = &s->stores->afterwork;
    uint64_t bytes = how->told.len + (asked != NULL ? asked->text->len : 0) + 1024;
    if (!afterwork_enter(all, bytes, how->max_queue, how->max_bytes)) return false;
    struct keeping *k = mem_zalloc(sizeof(*k));
    if (k == NULL) {
        afterwork_leave(all, bytes, false, AFTERWORK_FULL);
        return false;
    }
    k->all = all;
    k->log = s->log;
    k->bytes = bytes;
    snprintf(k->id, sizeof(k->id), "%s", r->id);
    slice_copy(k->task, sizeof(k->task), how->task);
    submit(s, k, r, asked, how);
    return true;
}

/* core.after_keep(req, { { task =, told = JSON, max_tries = | nil }, ... }, { queue =, max_queue =, max_bytes = })
 *   -> "taken" | "full", whether to say so.  Whether it was kept is for the log: nobody waits.
 *
 * All tasks at once: functions of finally have little time, and a large body must not leave some of them out. */
int l_after_keep(lua_State *L) {
    lua_settop(L, 3);
    struct request *r = request_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    struct state *s = state_of(L);
    struct keep_how how = { .queue = lib_text_field(L, 3, "queue"), .max_queue = count_at(L, 3, "max_queue"),
                            .max_bytes = count_at(L, 3, "max_bytes") };
    struct keep_how tasks[TASKS_MOST];
    size_t n = lua_objlen(L, 2);
    bool full = false;
    if (n > TASKS_MOST) return luaL_error(L, "more than %d tasks", TASKS_MOST);
    jobs_queue(L);
    luaL_checkstack(L, 4, NULL);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        luaL_checktype(L, 4, LUA_TTABLE);
        tasks[i] = how;
        tasks[i].task = lib_text_field(L, 4, "task");
        tasks[i].told = lib_text_field(L, 4, "told");
        tasks[i].max_tries = (unsigned)count_at(L, 4, "max_tries");
        lua_settop(L, 3);
    }
    struct body *asked = r->body != NULL && !body_is_cleared(r->body) ? request_body(L, 1) : NULL;
    for (size_t i = 0; i < n; i++) full |= !keep(s, r, asked, &tasks[i]);
    body_put(asked);
    lua_pushstring(L, full ? "full" : "taken");
    lua_pushboolean(L, full && afterwork_tell(&s->stores->afterwork, loop_hrtime_us() / 1000000));
    return 2;
}
