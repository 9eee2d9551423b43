/* file_table.c -- rows of jobs in a database.
 *
 *     begin:  BEGIN IMMEDIATE; did others write? forget counts;  was the clock set? move what people named
 *     verbs:  job_verbs.c, through `ops`
 *     commit: counts that changed; COMMIT, behind which all of it is on the disk
 *
 * Between begin and commit nobody else writes, in whatever process: what was read holds.  A verb that fails leaves
 * a mess behind which only a rollback removes, and jobs_file.c sees to that.
 *
 * What is read is copied into the arena of who asked, as a row of SQLite is gone with the next step.
 *
 * One thread at a time. */
#include "jobs/file_table.h"

#include <limits.h>
#include <stdio.h>

#include "include/perilune.h"
#include "jobs/job_id.h"

#define KEY_TRIES    100
#define EVENT_BYTES  (1024 * 1024) /* of one answer; one at least */
#define FORGET_STEP  200           /* events */
#define RUNNING_MOST 100000
#define SUM_MS       1000          /* for which the bytes of a tenant are known */

static struct file_table *of(struct job_table *t) { return container_of(t, struct file_table, table); }

/* What the operator reads. */
static int failed(struct file_table *f) {
    snprintf(f->table.why, sizeof(f->table.why), "%s", f->db.why);
    return PERILUNE_ERR_IO;
}

static sqlite3_stmt *get(struct file_table *f, enum file_statement which) {
    sqlite3_stmt *s = file_db_get(&f->db, which);
    if (s == NULL) failed(f);
    return s;
}

static int run(struct file_table *f, sqlite3_stmt *s) { return file_db_run(&f->db, s) == 0 ? 0 : failed(f); }

static int row_of(struct file_table *f, sqlite3_stmt *s) {
    int rc = file_db_row(&f->db, s);
    return rc < 0 ? failed(f) : rc;
}

/* -- Columns ------------------------------------------ */

static void put_int(sqlite3_stmt *s, int i, uint64_t v) { sqlite3_bind_int64(s, i, (sqlite3_int64)v); }

static void put_text(sqlite3_stmt *s, int i, struct slice v) {
    sqlite3_bind_text64(s, i, v.len > 0 ? v.ptr : "", v.len, SQLITE_STATIC, SQLITE_UTF8);
}

static void put_blob(sqlite3_stmt *s, int i, struct slice v) {
    if (v.len == 0) sqlite3_bind_null(s, i);
    else sqlite3_bind_blob64(s, i, v.ptr, v.len, SQLITE_STATIC);
}

static void put_text_or_null(sqlite3_stmt *s, int i, struct slice v) {
    if (v.len == 0) sqlite3_bind_null(s, i);
    else put_text(s, i, v);
}

static void put_time(sqlite3_stmt *s, int i, uint64_t at) { /* 0: never */
    if (at == 0) sqlite3_bind_null(s, i);
    else put_int(s, i, at);
}

static uint64_t get_int(sqlite3_stmt *s, int i) { return (uint64_t)sqlite3_column_int64(s, i); }

static bool get_bytes(sqlite3_stmt *s, int i, struct arena *a, struct slice *out) {
    const void *p = sqlite3_column_blob(s, i);
    size_t n = p ? (size_t)sqlite3_column_bytes(s, i) : 0;
    *out = SLICE("");
    if (n == 0) return true;
    char *own = arena_alloc(a, n);
    if (own == NULL) return false;
    memcpy(own, p, n);
    *out = slice_of(own, n);
    return true;
}

/* ORDER FILE_ROW.  False: no memory. */
static bool read_row(sqlite3_stmt *s, struct arena *a, struct job_row *r) {
    *r = (struct job_row){ .key = get_int(s, 0), .token = get_int(s, 1) };
    struct job *j = &r->job;
    job_id_write(r->key, r->token, j->id);
    unsigned state = (unsigned)get_int(s, 2);
    r->state = state < JOB_STATES ? (enum job_state)state : JOB_DEAD;
    j->status = r->state == JOB_WAITS ? JOB_QUEUED : (enum job_status)r->state;
    j->priority = -(int)get_int(s, 5);
    j->tries = (unsigned)get_int(s, 10);
    j->max_tries = (unsigned)get_int(s, 11);
    j->stopping = get_int(s, 12) != 0;
    j->lease = get_int(s, 13);
    r->due = get_int(s, 14);
    r->expires = get_int(s, 15);
    r->at = get_int(s, 16);
    j->created_ms = get_int(s, 17);
    j->not_before_ms = get_int(s, 18);
    j->expires_ms = get_int(s, 19);
    j->started_ms = get_int(s, 20);
    j->ended_ms = get_int(s, 21);
    j->keep_ms = get_int(s, 22);
    j->last_event = get_int(s, 24);
    r->event_bytes = get_int(s, 25);
    r->hooked = get_int(s, 26) != 0;
    j->result_status = (int)get_int(s, 27);
    j->headers = j->body = j->result = SLICE("");
    return get_bytes(s, 3, a, &j->tenant) && get_bytes(s, 4, a, &j->queue) && get_bytes(s, 6, a, &j->function) &&
           get_bytes(s, 7, a, &j->path) && get_bytes(s, 8, a, &j->webhook) && get_bytes(s, 9, a, &j->key) &&
           get_bytes(s, 23, a, &j->progress) && get_bytes(s, 28, a, &j->result_type) && get_bytes(s, 29, a, &j->error);
}

/* The one row of s. */
static int one_row(struct file_table *f, sqlite3_stmt *s, struct arena *a, struct job_row *row) {
    int rc = row_of(f, s);
    if (rc != 0) return rc;
    if (!read_row(s, a, row)) rc = PERILUNE_ERR_NOMEM;
    sqlite3_reset(s);
    return rc;
}

static int read_question(struct file_table *f, struct arena *a, struct job_row *row) {
    sqlite3_stmt *s = get(f, FILE_ASK);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    int rc = row_of(f, s);
    if (rc == JOBS_NOT_FOUND) return 0; /* both were empty */
    bool ok = rc != 0 || (get_bytes(s, 0, a, &row->job.headers) && get_bytes(s, 1, a, &row->job.body));
    if (!ok) rc = PERILUNE_ERR_NOMEM;
    sqlite3_reset(s);
    return rc;
}

static int read_result(struct file_table *f, struct arena *a, struct job_row *row) {
    sqlite3_stmt *s = get(f, FILE_RESULT);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    int rc = row_of(f, s);
    if (rc == JOBS_NOT_FOUND) return 0;
    if (rc == 0 && !get_bytes(s, 0, a, &row->job.result)) rc = PERILUNE_ERR_NOMEM;
    sqlite3_reset(s);
    return rc;
}

/* -- Finding ------------------------------------------ */

static int find(struct job_table *t, struct arena *a, struct slice id, unsigned parts, struct job_row *row) {
    struct file_table *f = of(t);
    uint64_t key, token;
    if (!job_id_read(id, &key, &token)) return JOBS_NOT_FOUND;
    sqlite3_stmt *s = get(f, FILE_FIND);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, key);
    int rc = one_row(f, s, a, row);
    if (rc == 0 && row->token != token) rc = JOBS_NOT_FOUND;
    if (rc == 0 && (parts & JOB_QUESTION)) rc = read_question(f, a, row);
    if (rc == 0 && (parts & JOB_RESULT)) rc = read_result(f, a, row);
    return rc;
}

static int find_key(struct job_table *t, struct arena *a, struct slice tenant, struct slice key, struct job_row *row) {
    struct file_table *f = of(t);
    sqlite3_stmt *s = get(f, FILE_FIND_KEY);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_text(s, 1, tenant);
    put_text(s, 2, key);
    int rc = one_row(f, s, a, row);
    return rc == 0 ? read_question(f, a, row) : rc;
}

static int list_jobs(struct job_table *t, struct job_call *c, struct job *out, unsigned *count) {
    struct file_table *f = of(t);
    bool any = c->ask.tenant.ptr == NULL;
    uint64_t before = INT64_MAX, token;
    if (c->ask.before.len > 0 && !job_id_read(c->ask.before, &before, &token)) return 0;
    sqlite3_stmt *s = get(f, any ? FILE_LIST_ALL : FILE_LIST);
    if (s == NULL) return PERILUNE_ERR_IO;
    if (!any) put_text(s, 1, c->ask.tenant);
    put_int(s, 2, before);
    put_int(s, 3, c->ask.count);
    put_int(s, 4, c->ask.status >= 0 ? UINT64_C(1) << c->ask.status : 31);
    int rc = 0;
    struct job_row row;
    while (rc == 0 && *count < c->ask.count) {
        rc = row_of(f, s);
        if (rc != 0) break;
        if (read_row(s, &c->arena, &row)) out[(*count)++] = row.job;
        else rc = PERILUNE_ERR_NOMEM;
    }
    sqlite3_reset(s);
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

static int due(struct job_table *t, struct arena *a, struct job_row *row) {
    sqlite3_stmt *s = get(of(t), FILE_DUE);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, t->now.steady);
    return one_row(of(t), s, a, row);
}

static int next_lane(struct job_table *t, struct arena *a, const struct job_lane *after, enum job_step step,
                     struct job_lane *out) {
    static const enum file_statement which[] = { FILE_LANE, FILE_LANE_QUEUE, FILE_LANE_RANK };
    sqlite3_stmt *s = get(of(t), which[step]);
    if (s == NULL) return PERILUNE_ERR_IO;
    sqlite3_bind_int64(s, 1, after->rank);
    if (step != JOB_NEXT_RANK) put_text(s, 2, after->queue);
    if (step == JOB_NEXT_LANE) put_text(s, 3, after->tenant);
    int rc = row_of(of(t), s);
    /* (queue, tenant) > (?, ?) would say both at once, and SQLite would walk over all jobs of the queue. */
    if (rc == JOBS_NOT_FOUND && step == JOB_NEXT_LANE) return next_lane(t, a, after, JOB_NEXT_QUEUE, out);
    if (rc != 0) return rc;
    out->rank = sqlite3_column_int(s, 0);
    if (!get_bytes(s, 1, a, &out->queue) || !get_bytes(s, 2, a, &out->tenant)) rc = PERILUNE_ERR_NOMEM;
    sqlite3_reset(s);
    return rc;
}

static int first(struct job_table *t, struct arena *a, const struct job_lane *lane, struct job_row *row) {
    struct file_table *f = of(t);
    sqlite3_stmt *s = get(f, FILE_FIRST);
    if (s == NULL) return PERILUNE_ERR_IO;
    sqlite3_bind_int64(s, 1, lane->rank);
    put_text(s, 2, lane->queue);
    put_text(s, 3, lane->tenant);
    int rc = one_row(f, s, a, row);
    return rc == 0 ? read_question(f, a, row) : rc;
}

static int running(struct job_table *t, struct arena *a, unsigned more, struct job_running **out, unsigned *count) {
    struct file_table *f = of(t);
    sqlite3_stmt *s = get(f, FILE_RUNNING);
    unsigned cap = 0;
    struct job_running *list = NULL;
    int rc = s != NULL ? 0 : PERILUNE_ERR_IO;
    *count = 0;
    if (rc == 0) put_int(s, 1, RUNNING_MOST);
    while (rc == 0 && (rc = row_of(f, s)) == 0) {
        struct job_running r = { .count = (unsigned)get_int(s, 2) };
        bool ok = get_bytes(s, 0, a, &r.queue) && get_bytes(s, 1, a, &r.tenant) &&
                  mem_grow((void **)&list, *count, &cap, sizeof(*list));
        if (ok) list[(*count)++] = r;
        else rc = PERILUNE_ERR_NOMEM;
    }
    if (s != NULL) sqlite3_reset(s);
    *out = rc == JOBS_NOT_FOUND ? arena_alloc(a, (*count + more) * sizeof(**out)) : NULL;
    if (*out != NULL && *count > 0) memcpy(*out, list, *count * sizeof(*list));
    mem_free(list);
    if (rc == JOBS_NOT_FOUND) rc = *out != NULL ? 0 : PERILUNE_ERR_NOMEM;
    return rc;
}

/* -- Changing ------------------------------------------ */

static void bind_job(sqlite3_stmt *s, const struct job_row *r) {
    const struct job *j = &r->job;
    put_int(s, 1, r->key);
    put_int(s, 2, r->token);
    put_int(s, 3, r->state);
    put_text(s, 4, j->tenant);
    put_text(s, 5, j->queue);
    sqlite3_bind_int(s, 6, -j->priority);
    put_text_or_null(s, 7, j->function);
    put_text_or_null(s, 8, j->path);
    put_text_or_null(s, 9, j->webhook);
    put_text_or_null(s, 10, j->key);
    put_int(s, 11, j->max_tries);
    put_int(s, 12, r->due);
    put_int(s, 13, r->expires);
    put_time(s, 14, r->at);
    put_int(s, 15, j->created_ms);
    put_int(s, 16, j->not_before_ms);
    put_int(s, 17, j->expires_ms);
    put_int(s, 18, j->keep_ms);
}

/* Another process may have given the same key: the next one, then. */
static int insert_row(struct file_table *f, sqlite3_stmt *s, struct job_row *row) {
    for (int i = 0; i < KEY_TRIES; i++) {
        f->last_key = job_key_next(f->last_key, f->table.now.wall, &f->rng);
        row->key = f->last_key;
        bind_job(s, row);
        int rc = sqlite3_step(s);
        sqlite3_reset(s);
        if (rc == SQLITE_DONE) return 0;
        if (rc != SQLITE_CONSTRAINT_PRIMARYKEY && rc != SQLITE_CONSTRAINT_ROWID) break;
    }
    file_db_fail(&f->db);
    return failed(f);
}

static int insert(struct job_table *t, struct job_row *row) {
    struct file_table *f = of(t);
    const struct job *j = &row->job;
    sqlite3_stmt *s = get(f, FILE_INSERT), *ask = get(f, FILE_INSERT_ASK);
    if (s == NULL || ask == NULL) return PERILUNE_ERR_IO;
    row->token = rng_next(&f->rng);
    int rc = insert_row(f, s, row);
    if (rc != 0) return rc;
    job_id_write(row->key, row->token, row->job.id);
    f->bytes += j->body.len + j->headers.len; /* roughly, until the next transaction */
    if (slice_eq(slice_of(f->sum_tenant, f->sum_len), j->tenant)) f->sum += j->body.len + j->headers.len + 500;
    if (j->body.len + j->headers.len == 0) return 0;
    put_int(ask, 1, row->key);
    put_blob(ask, 2, j->headers);
    put_blob(ask, 3, j->body);
    return run(f, ask);
}

static int add_hook(struct file_table *f, const struct job_row *row) {
    sqlite3_stmt *s = get(f, FILE_HOOK_ADD);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    put_int(s, 2, row->token);
    put_text(s, 3, row->job.webhook);
    put_int(s, 4, f->table.now.wall);
    put_int(s, 5, f->table.now.steady);
    return run(f, s);
}

static int put_result(struct file_table *f, const struct job_row *row) {
    sqlite3_stmt *s = get(f, FILE_INSERT_RESULT);
    if (s == NULL) return PERILUNE_ERR_IO;
    f->bytes += row->job.result.len;
    put_int(s, 1, row->key);
    put_blob(s, 2, row->job.result);
    return run(f, s);
}

/* A lease goes on: one number, and no index but that of times. */
static int only_at(struct file_table *f, const struct job_row *row) {
    sqlite3_stmt *s = get(f, FILE_BEAT);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    put_time(s, 2, row->at);
    return run(f, s);
}

static int update(struct job_table *t, const struct job_row *old, const struct job_row *row) {
    struct file_table *f = of(t);
    const struct job *j = &row->job;
    if (old->state == JOB_RUNS && row->state == JOB_RUNS && old->job.stopping == j->stopping &&
        old->job.tries == j->tries)
        return only_at(f, row);
    sqlite3_stmt *s = get(f, FILE_UPDATE);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    put_int(s, 2, row->state);
    put_int(s, 3, j->tries);
    put_int(s, 4, j->stopping);
    put_int(s, 5, j->lease);
    put_int(s, 6, row->due);
    put_int(s, 7, row->expires);
    put_time(s, 8, row->at);
    put_int(s, 9, j->started_ms);
    put_int(s, 10, j->ended_ms);
    put_int(s, 11, row->hooked);
    sqlite3_bind_int(s, 12, j->result_status);
    put_text_or_null(s, 13, j->result_type);
    put_blob(s, 14, j->error);
    put_int(s, 15, j->keep_ms);
    int rc = run(f, s);
    if (rc == 0 && job_row_is_over(row) && j->result.len > 0) rc = put_result(f, row);
    if (rc == 0 && row->hooked && !old->hooked) rc = add_hook(f, row);
    return rc;
}

static int append(struct job_table *t, const struct job_row *row, const struct job_event *e) {
    struct file_table *f = of(t);
    bool progress = row->job.progress.ptr == e->data.ptr && e->data.len > 0;
    sqlite3_stmt *s = get(f, FILE_APPEND), *n = get(f, FILE_APPENDED), *p = get(f, FILE_PROGRESS);
    if (s == NULL || n == NULL || p == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    put_int(s, 2, e->number);
    put_text_or_null(s, 3, e->name);
    put_blob(s, 4, e->data);
    int rc = run(f, s);
    f->bytes += e->data.len;
    put_int(n, 1, row->key);
    put_int(n, 2, row->job.last_event);
    put_int(n, 3, row->event_bytes);
    if (rc == 0) rc = run(f, n);
    if (rc != 0 || !progress) return rc;
    put_int(p, 1, row->key);
    put_blob(p, 2, e->data);
    return run(f, p);
}

static int events(struct job_table *t, struct arena *a, const struct job_row *row, struct job_call *c) {
    struct file_table *f = of(t);
    struct job_event *out = arena_alloc(a, (c->ask.count > 0 ? c->ask.count : 1) * sizeof(*out));
    sqlite3_stmt *s = get(f, FILE_EVENTS);
    size_t bytes = 0;
    if (out == NULL || s == NULL) return out ? PERILUNE_ERR_IO : PERILUNE_ERR_NOMEM;
    c->answer.events = out;
    put_int(s, 1, row->key);
    put_int(s, 2, c->ask.after < INT64_MAX ? c->ask.after : INT64_MAX);
    put_int(s, 3, c->ask.count);
    int rc = 0;
    while (c->answer.count < c->ask.count && bytes < EVENT_BYTES && (rc = row_of(f, s)) == 0) {
        struct job_event *e = &out[c->answer.count];
        e->number = get_int(s, 0);
        if (!get_bytes(s, 1, a, &e->name) || !get_bytes(s, 2, a, &e->data)) {
            rc = PERILUNE_ERR_NOMEM;
            break;
        }
        bytes += e->data.len;
        c->answer.count++;
    }
    sqlite3_reset(s);
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

/* Events by steps: there may be as many as a day has tokens. */
static int forget(struct job_table *t, const struct job_row *row, bool *gone) {
    static const enum file_statement rest[] = { FILE_FORGET_RESULT, FILE_FORGET_ASK, FILE_FORGET_HOOKS, FILE_FORGET };
    struct file_table *f = of(t);
    sqlite3_stmt *s = get(f, FILE_FORGET_EVENTS);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, row->key);
    put_int(s, 2, FORGET_STEP);
    int rc = row->job.last_event > 0 ? run(f, s) : 0;
    if (rc != 0 || (row->job.last_event > 0 && sqlite3_changes(f->db.db) == FORGET_STEP)) return rc;
    for (size_t i = 0; rc == 0 && i < sizeof(rest) / sizeof(*rest); i++) {
        s = get(f, rest[i]);
        if (s == NULL) return PERILUNE_ERR_IO;
        put_int(s, 1, row->key);
        rc = run(f, s);
    }
    *gone = rc == 0;
    return rc;
}

/* -- Webhooks ------------------------------------------ */

/* ORDER FILE_HOOK */
static bool read_hook(sqlite3_stmt *s, struct arena *a, struct job_hook_row *h) {
    *h = (struct job_hook_row){ .key = get_int(s, 1), .token = get_int(s, 2), .at = get_int(s, 8) };
    h->hook.number = get_int(s, 0);
    unsigned state = (unsigned)get_int(s, 3);
    h->hook.state = state <= JOB_HOOK_DEAD ? (enum job_hook_state)state : JOB_HOOK_DEAD;
    h->hook.lease = get_int(s, 5);
    h->hook.tries = (unsigned)get_int(s, 6);
    h->hook.created_ms = get_int(s, 7);
    h->hook.last_status = (int)get_int(s, 9);
    return get_bytes(s, 4, a, &h->hook.url) && get_bytes(s, 10, a, &h->hook.log);
}

static int one_hook(struct file_table *f, enum file_statement which, uint64_t by, struct arena *a,
                    struct job_hook_row *h) {
    sqlite3_stmt *s = get(f, which);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, by);
    int rc = row_of(f, s);
    if (rc != 0) return rc;
    if (!read_hook(s, a, h)) rc = PERILUNE_ERR_NOMEM;
    sqlite3_reset(s);
    return rc;
}

static int hook_due(struct job_table *t, struct arena *a, struct job_hook_row *h) {
    return one_hook(of(t), FILE_HOOK_DUE, t->now.steady, a, h);
}

static int hook_find(struct job_table *t, struct arena *a, uint64_t number, struct job_hook_row *h) {
    return number <= INT64_MAX ? one_hook(of(t), FILE_HOOK_FIND, number, a, h) : JOBS_NOT_FOUND;
}

static int hook_update(struct job_table *t, const struct job_hook_row *h) {
    sqlite3_stmt *s = get(of(t), FILE_HOOK_UPDATE);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_int(s, 1, h->hook.number);
    put_int(s, 2, h->hook.state);
    put_int(s, 3, h->hook.lease);
    put_int(s, 4, h->hook.tries);
    put_time(s, 5, h->at);
    sqlite3_bind_int(s, 6, h->hook.last_status);
    put_blob(s, 7, h->hook.log);
    return run(of(t), s);
}

static int hooks(struct job_table *t, struct arena *a, const struct job_row *row, struct job_hook *out,
                 unsigned *count) {
    struct file_table *f = of(t);
    sqlite3_stmt *s = get(f, FILE_HOOKS);
    int rc = s != NULL ? 0 : PERILUNE_ERR_IO;
    if (rc != 0) return rc;
    put_int(s, 1, row->key);
    put_int(s, 2, JOB_HOOKS_MOST);
    while (*count < JOB_HOOKS_MOST && (rc = row_of(f, s)) == 0) {
        struct job_hook_row h;
        if (!read_hook(s, a, &h)) {
            rc = PERILUNE_ERR_NOMEM;
            break;
        }
        out[(*count)++] = h.hook;
    }
    sqlite3_reset(s);
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

static uint64_t bytes(struct job_table *t) { return of(t)->bytes; }

/* Summed anew when somebody else asks, or a second has passed; insert() adds what comes meanwhile. */
static int tenant_bytes(struct job_table *t, struct slice tenant, uint64_t *out) {
    struct file_table *f = of(t);
    bool known = f->sum_until > t->now.steady && slice_eq(slice_of(f->sum_tenant, f->sum_len), tenant);
    sqlite3_stmt *s = known ? NULL : get(f, FILE_TENANT_BYTES);
    *out = f->sum;
    if (known) return 0;
    if (s == NULL) return PERILUNE_ERR_IO;
    put_text(s, 1, tenant);
    int rc = row_of(f, s);
    if (rc == 0) *out = f->sum = get_int(s, 0);
    sqlite3_reset(s);
    f->sum_until = rc == 0 ? t->now.steady + SUM_MS : 0;
    f->sum_len = tenant.len < JOB_TENANT_MAX ? tenant.len : JOB_TENANT_MAX;
    slice_copy(f->sum_tenant, sizeof(f->sum_tenant), tenant);
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

static const struct job_table_ops ops = {
    insert, find, find_key, update, append, events, list_jobs, forget, due, next_lane, first, running, hook_due,
    hook_find, hook_update, hooks, bytes, tenant_bytes,
};

/* -- Counts ------------------------------------------ */

static int load_count(struct job_counts *c, struct job_count *n) {
    struct file_table *f = c->ud;
    sqlite3_stmt *s = get(f, FILE_COUNT);
    if (s == NULL) return PERILUNE_ERR_IO;
    put_text(s, 1, slice_of(n->name, n->len));
    int rc = row_of(f, s);
    if (rc == JOBS_NOT_FOUND) return 0;
    for (int i = 0; rc == 0 && i < JOB_STATUSES; i++) n->of[i] = sqlite3_column_int64(s, i);
    sqlite3_reset(s);
    return rc;
}

/* By how much, and not how many: it stays right whatever this process believes there was before. */
static int save_count(struct file_table *f, const struct job_count *n) {
    sqlite3_stmt *s = get(f, FILE_COUNT_ADD), *drop = get(f, FILE_COUNT_DROP);
    if (s == NULL || drop == NULL) return PERILUNE_ERR_IO;
    put_text(s, 1, slice_of(n->name, n->len));
    for (int i = 0; i < JOB_STATUSES; i++) sqlite3_bind_int64(s, 2 + i, n->by[i]);
    int rc = run(f, s);
    if (rc != 0 || job_count_kept(n) > 0) return rc;
    put_text(drop, 1, slice_of(n->name, n->len));
    return run(f, drop);
}

static int save_counts(struct file_table *f) {
    struct job_counts *c = &f->table.counts;
    int rc = 0;
    while (rc == 0 && !list_is_empty(&c->changed)) {
        struct job_count *n = container_of(c->changed.next, struct job_count, link);
        rc = save_count(f, n);
        n->changed = false;
        memset(n->by, 0, sizeof(n->by));
        list_remove(&n->link);
        list_append(&c->all, &n->link);
    }
    return rc;
}

/* Counted anew where it is wrong, by whatever: files of a version that counted wrongly, or a hand that changed rows. */
int file_table_mend_counts(struct file_table *t, bool *mended) {
    static const enum file_statement steps[] = { FILE_BEGIN_WRITE, FILE_COUNTS_CLEAR, FILE_COUNTS_MAKE, FILE_COMMIT };
    int64_t wrong = 0;
    int rc = file_db_number(&t->db, FILE_COUNTS_WRONG, &wrong);
    *mended = rc == 0 && wrong > 0;
    for (size_t i = 0; *mended && rc == 0 && i < sizeof(steps) / sizeof(*steps); i++) {
        sqlite3_stmt *s = get(t, steps[i]);
        rc = s != NULL ? run(t, s) : PERILUNE_ERR_IO;
    }
    if (rc != 0) file_db_rollback(&t->db);
    job_counts_clear(&t->table.counts);
    return rc;
}

static int name_queue(sqlite3_stmt *s, char out[JOB_NAME_MAX + 1], struct jobs_count *c) {
    const char *name = (const char *)sqlite3_column_text(s, 0);
    snprintf(out, JOB_NAME_MAX + 1, "%s", name ? name : "");
    c->queue = slice_str(out);
    c->queued = get_int(s, 1 + JOB_QUEUED);
    c->running = get_int(s, 1 + JOB_RUNNING);
    c->failed = get_int(s, 1 + JOB_FAILED);
    return (int)(get_int(s, 1) + get_int(s, 2) + get_int(s, 3) + get_int(s, 4) + get_int(s, 5));
}

int file_table_counts(struct file_table *t, void (*each)(void *ud, const struct jobs_count *c), void *ud,
                      struct jobs_totals *totals) {
    sqlite3_stmt *s = get(t, FILE_COUNT_QUEUES);
    int64_t open = 0;
    int rc = s != NULL ? 0 : PERILUNE_ERR_IO;
    *totals = (struct jobs_totals){ .bytes = file_db_bytes(&t->db) };
    while (rc == 0 && (rc = row_of(t, s)) == 0) {
        char name[JOB_NAME_MAX + 1];
        struct jobs_count c = { .queued = 0 };
        totals->jobs += (uint64_t)name_queue(s, name, &c);
        c.oldest_ms = get_int(s, 6) >> JOB_KEY_SHIFT; /* NULL is 0 */
        each(ud, &c);
    }
    if (s != NULL) sqlite3_reset(s);
    if (rc == JOBS_NOT_FOUND) rc = file_db_number(&t->db, FILE_HOOKS_OPEN, &open);
    totals->hooks = (uint64_t)open;
    return rc;
}

/* -- Transactions ------------------------------------------ */

#define COUNTS_MOST 20000 /* names that are remembered between transactions */

void file_table_init(struct file_table *t, const struct jobs_settings *s) {
    *t = (struct file_table){ .table = { .ops = &ops, .settings = s } };
    job_counts_init(&t->table.counts);
    t->table.counts.load = load_count;
    t->table.counts.ud = t;
    rng_seed(&t->rng, 0);
}

/* The wall clock was set: what people named is elsewhere now. */
static int move_named_times(struct file_table *t) {
    struct job_row row = { .key = 0 };
    int rc = 0;
    while (rc == 0) {
        struct arena a;
        arena_init(&a);
        sqlite3_stmt *s = get(t, FILE_NAMED_TIMES);
        rc = s != NULL ? 0 : PERILUNE_ERR_IO;
        if (rc == 0) {
            put_int(s, 1, row.key);
            rc = one_row(t, s, &a, &row);
        }
        if (rc == 0) {
            struct job_row old = row;
            job_rule_clock(&row, t->table.now);
            rc = update(&t->table, &old, &row);
        }
        arena_deinit(&a);
    }
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

int file_table_begin(struct file_table *t, bool write) {
    bool jumped = false;
    int rc = file_db_begin(&t->db, write, &t->table.now);
    if (rc != 0) return failed(t);
    t->writes = write;
    if (t->db.writings != t->counted || t->table.counts.table.count > COUNTS_MOST) job_counts_clear(&t->table.counts);
    t->counted = t->db.writings;
    if (!write) return 0;
    t->bytes = file_db_bytes(&t->db);
    if (file_db_jumped(&t->db, t->table.now, &jumped) != 0) return failed(t);
    return jumped ? move_named_times(t) : 0;
}

int file_table_commit(struct file_table *t) {
    int rc = t->writes ? save_counts(t) : 0;
    if (rc == 0 && file_db_commit(&t->db) != 0) rc = failed(t);
    return rc;
}

void file_table_rollback(struct file_table *t) {
    file_db_rollback(&t->db);
    job_counts_clear(&t->table.counts);
    t->table.changes = (struct job_changes){ .count = 0 };
}

uint64_t file_table_next(struct file_table *t) {
    int64_t job = 0, hook = 0;
    sqlite3_stmt *s = file_db_get(&t->db, FILE_HOOK_NEXT);
    if (s == NULL || file_db_number(&t->db, FILE_NEXT, &job) != 0) return UINT64_MAX;
    put_int(s, 1, t->table.hooks_told);
    if (file_db_row(&t->db, s) == 0) hook = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    uint64_t at = job > 0 ? (uint64_t)job : UINT64_MAX;
    return hook > 0 && (uint64_t)hook < at ? (uint64_t)hook : at;
}
