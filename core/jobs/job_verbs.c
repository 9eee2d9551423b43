/* job_verbs.c -- what a queue does that keeps jobs itself, wherever it keeps them.
 *
 *     struct jobs_ask --> verb: find the row -> job_rules.c -> update it, counts, who is told --> struct jobs_answer
 *                                 |                              |
 *                                 +------ struct job_table_ops --+      file_table.c, jobs_memory_table.c
 *
 * A table finds, keeps and forgets rows, and nothing else: quotas, keys, leases, turns, retries and webhooks are
 * decided here and in job_rules.c, once.  So what a specification says of a queue in memory holds for the one on disk.
 *
 * All or nothing: what may fail comes before what changes.  A table that has transactions takes back the rest; one
 * that has none fails only before it changes anything, and a verb changes one job, or none, or several one by one
 * (TAKE: those that were taken before the fault are answered, and the fault is not).
 *
 * Room: above max_bytes nothing new is accepted.  What was accepted may use the reserve behind that: its events, and
 * those that have not begun, up to half of it; results up to its end.  Then a job ends without its result, as failed,
 * which needs no room worth speaking of: no end is ever put off until there is room.
 *
 * One thread at a time. */
#include <stdio.h>

#include "include/perilune.h"
#include "jobs/job_id.h"
#include "jobs/job_table.h"

#define ANSWER_BYTES (64 * 1024 * 1024) /* TAKE stops behind it */

void job_change(struct job_changes *c, const struct job_row *row) {
    if (c->count > 0 && c->of[c->count - 1].key == row->key) return;
    if (c->count == JOB_CHANGES) {
        c->all = true;
        return;
    }
    c->of[c->count].key = row->key;
    c->of[c->count++].token = row->token;
}

/* -- Rows ------------------------------------------ */

struct counted {
    struct job_count *queue, *tenant;
};

static int find_counts(struct job_table *t, const struct job_row *row, struct counted *out) {
    int rc = job_counts_find(&t->counts, 'q', row->job.queue, &out->queue);
    if (rc == 0) rc = job_counts_find(&t->counts, 't', row->job.tenant, &out->tenant);
    return rc;
}

static void count(struct job_table *t, struct counted n, enum job_status s, int by) {
    job_counts_add(&t->counts, n.queue, s, by);
    job_counts_add(&t->counts, n.tenant, s, by);
}

/* In memory a name that counts nothing is forgotten. */
static void drop_counts(struct job_table *t, struct counted n) {
    if (t->counts.load != NULL) return;
    job_counts_drop(&t->counts, n.queue);
    job_counts_drop(&t->counts, n.tenant);
}

static int update(struct job_table *t, const struct job_row *old, const struct job_row *row) {
    struct counted n;
    int rc = find_counts(t, row, &n);
    if (rc == 0) rc = t->ops->update(t, old, row);
    if (rc != 0) return rc;
    if (old->job.status != row->job.status) {
        count(t, n, old->job.status, -1);
        count(t, n, row->job.status, 1);
    }
    bool moved = old->state != row->state;
    if (moved || old->job.stopping != row->job.stopping) job_change(&t->changes, row);
    if (moved && (row->state == JOB_READY || old->state == JOB_RUNS)) t->changes.due = true; /* one more, or room */
    if (row->hooked && !old->hooked) t->changes.hook_due = true;
    return 0;
}

static int forget(struct job_table *t, const struct job_row *row, bool *all) {
    struct counted n;
    bool gone = false;
    int rc = find_counts(t, row, &n);
    if (rc == 0) rc = t->ops->forget(t, row, &gone);
    if (rc != 0 || !gone) return rc;
    *all = true;
    job_change(&t->changes, row);
    t->changes.due |= t->held;
    count(t, n, row->job.status, -1);
    drop_counts(t, n);
    return 0;
}

static struct job *one_job(struct job_call *c, const struct job_row *row) {
    struct job *j = arena_alloc(&c->arena, sizeof(*j));
    if (j == NULL) return NULL;
    *j = row->job;
    c->answer.jobs = j;
    c->answer.count = 1;
    return j;
}

static bool is_of(const struct job_row *row, struct slice tenant) {
    return tenant.ptr == NULL || slice_eq(row->job.tenant, tenant);
}

static int find_own(struct job_table *t, struct job_call *c, unsigned parts, struct job_row *row) {
    int rc = t->ops->find(t, &c->arena, c->ask.id, parts, row);
    return rc == 0 && !is_of(row, c->ask.tenant) ? JOBS_NOT_FOUND : rc;
}

/* -- Room ------------------------------------------ */

/* Bytes that may still be kept of what was accepted, beyond those at which new ones are refused: an eighth more, and
 * as much as one job may have at least. */
static uint64_t reserve(const struct job_table *t) {
    uint64_t most = 2 * t->settings->max_result, part = t->settings->max_bytes / 8;
    return part > most ? part : most;
}

static bool has_room(struct job_table *t, uint64_t more, uint64_t beyond) {
    return t->ops->bytes(t) + more <= t->settings->max_bytes + beyond;
}

/* -- Clients ------------------------------------------ */

static int refuse(struct job_call *c, int rc, const char *format, unsigned long long most) {
    char *why = arena_alloc(&c->arena, 160);
    if (why != NULL) snprintf(why, 160, format, most);
    c->answer.why = why;
    return rc;
}

/* Somebody may have as many bytes as are free: alone half of them, with n others an (n + 2)nd part each, so that there
 * always is room for one more tenant.  Who has no name is not told from others who have none. */
static int check_share(struct job_table *t, struct job_call *c, struct slice tenant) {
    uint64_t all = t->ops->bytes(t), most = t->settings->max_bytes, own = 0;
    if (tenant.len == 0 || all <= most / 2) return 0;
    int rc = t->ops->tenant_bytes(t, tenant, &own);
    if (rc != 0 || own < most - all) return rc;
    return refuse(c, JOBS_QUOTA, "the tenant has as many bytes as are free: %llu", own);
}

static int check_quota(struct job_table *t, struct job_call *c, const struct job_row *row, struct counted *n) {
    const struct jobs_limits *l = &t->limits->l;
    const struct job *j = &row->job;
    if (j->body.len + j->headers.len > t->settings->max_body)
        return refuse(c, JOBS_TOO_LARGE, "a job's question may have %llu bytes", t->settings->max_body);
    if (t->ops->bytes(t) >= t->settings->max_bytes)
        return refuse(c, JOBS_IS_FULL, "the queue holds as much as it may: %llu bytes", t->settings->max_bytes);
    int rc = check_share(t, c, j->tenant);
    if (rc == 0) rc = find_counts(t, row, n);
    if (rc != 0) return rc;
    uint64_t queued = (uint64_t)n->tenant->of[JOB_QUEUED];
    if (l->max_queued > 0 && queued >= l->max_queued)
        rc = refuse(c, JOBS_QUOTA, "the tenant has as many jobs waiting as may be: %llu", l->max_queued);
    else if (l->max_kept > 0 && job_count_kept(n->tenant) >= l->max_kept)
        rc = refuse(c, JOBS_QUOTA, "the tenant has as many jobs as are kept: %llu", l->max_kept), c->answer.kept = true;
    if (rc != 0) drop_counts(t, *n);
    return rc;
}

/* The one that has its id, or its key. */
static int find_twin(struct job_table *t, struct job_call *c, const struct job *j, struct job_row *out) {
    int rc = JOBS_NOT_FOUND;
    if (j->id[0] != '\0') rc = t->ops->find(t, &c->arena, slice_str(j->id), JOB_QUESTION, out);
    if (rc == JOBS_NOT_FOUND && j->key.len > 0) rc = t->ops->find_key(t, &c->arena, j->tenant, j->key, out);
    return rc;
}

static int submit(struct job_table *t, struct job_call *c) {
    struct job_row row = { .job = *c->ask.job };
    struct counted n;
    int rc;
    if (row.job.key.len > 0 || row.job.id[0] != '\0') {
        struct job_row there;
        rc = find_twin(t, c, &row.job, &there);
        if (rc == 0) c->answer.existed = true;
        if (rc == 0) return one_job(c, &there) != NULL ? 0 : PERILUNE_ERR_NOMEM;
        if (rc != JOBS_NOT_FOUND) return rc;
    }
    job_rule_submit(&row, t->settings, t->now);
    rc = check_quota(t, c, &row, &n);
    if (rc != 0) return rc;
    struct job *j = one_job(c, &row);
    rc = j != NULL ? t->ops->insert(t, &row) : PERILUNE_ERR_NOMEM;
    if (rc != 0) {
        drop_counts(t, n);
        return rc;
    }
    memcpy(j->id, row.job.id, JOB_ID_SIZE);
    count(t, n, JOB_QUEUED, 1);
    if (row.state == JOB_READY) t->changes.due = true;
    return 0;
}

static int get(struct job_table *t, struct job_call *c) {
    struct job_row row;
    int rc = find_own(t, c, JOB_QUESTION | JOB_RESULT, &row);
    if (rc != 0) return rc;
    return one_job(c, &row) != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

static int list(struct job_table *t, struct job_call *c) {
    struct job *out = arena_alloc(&c->arena, (c->ask.count > 0 ? c->ask.count : 1) * sizeof(*out));
    if (out == NULL) return PERILUNE_ERR_NOMEM;
    c->answer.jobs = out;
    return c->ask.count > 0 ? t->ops->list(t, c, out, &c->answer.count) : 0;
}

/* For good, and at once, however many events there are; nothing of it runs or is to be told any more. */
static int forget_now(struct job_table *t, struct job_call *c, const struct job_row *row) {
    int rc = 0;
    while (rc == 0 && !c->answer.forgotten) rc = forget(t, row, &c->answer.forgotten);
    return rc != 0 ? rc : JOBS_IS_OVER;
}

static int cancel(struct job_table *t, struct job_call *c) {
    struct job_row old, row;
    int rc = find_own(t, c, 0, &old);
    if (rc != 0) return rc;
    row = old;
    if (c->ask.forget && job_row_is_over(&row) && !row.hooked)
        return one_job(c, &row) != NULL ? forget_now(t, c, &old) : PERILUNE_ERR_NOMEM;
    rc = job_rule_cancel(&row, t->now);
    if (one_job(c, &row) == NULL) return PERILUNE_ERR_NOMEM;
    if (rc != 0) return rc;
    return update(t, &old, &row);
}

static int events(struct job_table *t, struct job_call *c) {
    struct job_row row;
    int rc = find_own(t, c, 0, &row);
    if (rc != 0) return rc;
    if (one_job(c, &row) == NULL) return PERILUNE_ERR_NOMEM;
    c->answer.count = 0;
    return t->ops->events(t, &c->arena, &row, c);
}

/* -- Workers ------------------------------------------ */

/* TAKE and GIVE. */
static int take(struct job_table *t, struct job_call *c) {
    struct job_taking k;
    struct job *out = arena_alloc(&c->arena, (c->ask.count > 0 ? c->ask.count : 1) * sizeof(*out));
    int rc = out != NULL ? job_take_begin(&k, t, &c->arena, &c->ask) : PERILUNE_ERR_NOMEM;
    size_t bytes = 0;
    c->answer.jobs = out;
    t->held = rc == 0 && !has_room(t, 0, reserve(t) / 2); /* it would be paid for, and its answer have no room */
    if (t->held) return 0;
    while (rc == 0 && c->answer.count < c->ask.count && bytes < ANSWER_BYTES) {
        struct job_row old, row;
        rc = job_take_next(&k, t, &old);
        if (rc != 0) break;
        row = old;
        if (c->ask.verb == JOBS_GIVE) job_rule_give(&row, c->ask.lease_ms, t->now);
        else job_rule_take(&row, c->ask.lease_ms, t->now);
        rc = update(t, &old, &row);
        if (rc != 0) break;
        out[c->answer.count++] = row.job;
        bytes += row.job.body.len;
    }
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

static int give(struct job_table *t, struct job_call *c) {
    struct job_row old, row;
    if (c->ask.id.ptr == NULL) return take(t, c);
    int rc = t->ops->find(t, &c->arena, c->ask.id, 0, &old);
    if (rc != 0) return rc;
    row = old;
    if (job_row_is_over(&row)) return JOBS_IS_OVER;
    if (row.state == JOB_RUNS) return 0;
    job_rule_give(&row, c->ask.lease_ms, t->now);
    return update(t, &old, &row);
}

/* Rules that refuse may have ended the job all the same. */
static int settle(struct job_table *t, const struct job_row *old, const struct job_row *row, int refusal) {
    if (refusal != 0 && row->state == old->state) return refusal;
    int rc = update(t, old, row);
    return rc != 0 ? rc : refusal;
}

static int beat(struct job_table *t, struct job_call *c) {
    struct job_row old, row;
    int rc = t->ops->find(t, &c->arena, c->ask.id, 0, &old);
    if (rc != 0) return rc;
    row = old;
    rc = c->ask.lease == JOBS_ELSEWHERE ? job_rule_elsewhere(&row, c->ask.count, c->ask.lease_ms, t->now)
                                        : job_rule_beat(&row, c->ask.lease, c->ask.lease_ms, t->now);
    return settle(t, &old, &row, rc);
}

static int append_new(struct job_table *t, struct job_call *c, const struct job_row *old, struct job_event *e) {
    struct job_row row = *old;
    int rc = job_rule_append(&row, c->ask.lease, &c->ask.event, t->settings, t->now);
    if (rc != 0) return settle(t, old, &row, rc);
    if (!has_room(t, c->ask.event.data.len, reserve(t) / 2))
        return refuse(c, JOBS_TOO_LARGE, "the queue holds more than it may: %llu bytes", t->settings->max_bytes);
    *e = c->ask.event;
    e->number = row.job.last_event;
    rc = t->ops->append(t, &row, e);
    if (rc == 0) job_change(&t->changes, &row);
    return rc;
}

static int append(struct job_table *t, struct job_call *c) {
    struct job_row row;
    struct job_event *e = arena_alloc(&c->arena, sizeof(*e));
    int rc = e != NULL ? t->ops->find(t, &c->arena, c->ask.id, 0, &row) : PERILUNE_ERR_NOMEM;
    if (rc != 0) return rc;
    if (job_rule_has_event(&row, c->ask.lease, c->ask.after))
        *e = (struct job_event){ .number = row.job.last_event, .name = SLICE(""), .data = SLICE("") };
    else rc = append_new(t, c, &row, e);
    if (rc != 0) return rc;
    c->answer.events = e;
    c->answer.count = 1;
    return 0;
}

static int finish(struct job_table *t, struct job_call *c) {
    struct job_row old, row;
    int rc = t->ops->find(t, &c->arena, c->ask.id, 0, &old);
    if (rc != 0) return rc;
    row = old;
    if (!job_rule_has_ended(&old, c->ask.lease)) {
        rc = job_rule_finish(&row, &c->ask, t->settings, t->now);
        if (rc == 0 && !has_room(t, row.job.result.len + row.job.error.len, reserve(t))) job_rule_full(&row, t->now);
        rc = settle(t, &old, &row, rc);
    }
    if (rc < 0) return rc;
    struct job *j = one_job(c, &row);
    if (j != NULL) j->result = SLICE("");
    return rc; /* without memory it is answered without the job: it is kept all the same */
}

/* -- Webhooks ------------------------------------------ */

static int find_of_hook(struct job_table *t, struct arena *a, const struct job_hook_row *h, unsigned parts,
                        struct job_row *row) {
    char id[JOB_ID_SIZE];
    job_id_write(h->key, h->token, id);
    return t->ops->find(t, a, slice_str(id), parts, row);
}

static int hook_job(struct job_table *t, struct job_call *c, const struct job_hook_row *h, struct job_hook *out) {
    struct job_row row;
    struct job *j = arena_alloc(&c->arena, sizeof(*j));
    int rc = j != NULL ? find_of_hook(t, &c->arena, h, JOB_RESULT, &row) : PERILUNE_ERR_NOMEM;
    if (rc != 0) return rc;
    *j = row.job;
    *out = h->hook;
    out->job = j;
    return 0;
}

static int hook_take(struct job_table *t, struct job_call *c) {
    struct job_hook *out = arena_alloc(&c->arena, (c->ask.count > 0 ? c->ask.count : 1) * sizeof(*out));
    size_t bytes = 0;
    int rc = out != NULL ? 0 : PERILUNE_ERR_NOMEM;
    c->answer.hooks = out;
    while (rc == 0 && c->answer.count < c->ask.count && bytes < ANSWER_BYTES) {
        struct job_hook_row h;
        rc = t->ops->hook_due(t, &c->arena, &h);
        if (rc != 0) break;
        job_rule_hook_take(&h, c->ask.lease_ms, t->now);
        rc = hook_job(t, c, &h, &out[c->answer.count]);
        if (rc == 0) rc = t->ops->hook_update(t, &h);
        if (rc == 0) bytes += out[c->answer.count++].job->result.len;
    }
    return rc == JOBS_NOT_FOUND ? 0 : rc;
}

static int hook_done(struct job_table *t, struct job_call *c) {
    struct job_hook_row h;
    struct job_row old, row;
    char *log = arena_alloc(&c->arena, JOB_HOOK_LOG);
    int rc = log != NULL ? t->ops->hook_find(t, &c->arena, c->ask.hook.number, &h) : PERILUNE_ERR_NOMEM;
    if (rc == 0) rc = job_rule_hook_done(&h, &c->ask, log, t->now);
    if (rc == 0) rc = find_of_hook(t, &c->arena, &h, 0, &old);
    if (rc != 0) return rc;
    rc = t->ops->hook_update(t, &h);
    if (rc != 0 || !job_hook_is_over(&h.hook)) return rc;
    row = old;
    job_rule_told(&row, t->now);
    return update(t, &old, &row);
}

static int hooks(struct job_table *t, struct job_call *c) {
    struct job_row row;
    struct job_hook *out = arena_alloc(&c->arena, JOB_HOOKS_MOST * sizeof(*out));
    int rc = out != NULL ? find_own(t, c, 0, &row) : PERILUNE_ERR_NOMEM;
    if (rc != 0) return rc;
    c->answer.hooks = out;
    return t->ops->hooks(t, &c->arena, &row, out, &c->answer.count);
}

/* -- Doors ------------------------------------------ */

/* ORDER enum jobs_verb */
static int (*const verbs[])(struct job_table *t, struct job_call *c) = {
    submit, get, list, cancel, take, beat, append, finish, events, hook_take, hook_done, hooks,
    give,
};

void job_verb_run(struct job_table *t, struct job_call *c) {
    c->answer = (struct jobs_answer){ .rc = 0 };
    int rc = verbs[c->ask.verb](t, c);
    bool several = c->ask.verb == JOBS_TAKE || c->ask.verb == JOBS_GIVE || c->ask.verb == JOBS_HOOK_TAKE;
    if (rc < 0 && several && c->answer.count > 0) rc = 0; /* those are taken; who takes again hears of the fault */
    c->answer.rc = rc;
    if (rc == PERILUNE_ERR_IO) c->answer.why = arena_dup(&c->arena, slice_str(t->why));
}

static int untake(struct job_table *t, struct job_call *c, const struct job *j) {
    struct job_row old, row;
    int rc = t->ops->find(t, &c->arena, slice_str(j->id), 0, &old);
    if (rc != 0 || old.state != JOB_RUNS || old.job.lease != j->lease) return rc < 0 ? rc : 0;
    row = old;
    job_rule_untake(&row, t->now);
    return update(t, &old, &row);
}

void job_verb_untake(struct job_table *t, struct job_call *c) {
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < c->answer.count; i++) rc = untake(t, c, &c->answer.jobs[i]);
    c->answer.rc = rc;
}

int job_verb_time(struct job_table *t, unsigned most) {
    struct arena a;
    arena_init(&a);
    int rc = 0;
    while (rc == 0 && most-- > 0) {
        struct job_row old, row;
        rc = t->ops->due(t, &a, &old);
        if (rc != 0) break;
        row = old;
        bool gone = false;
        rc = job_rule_time(&row, t->now) ? forget(t, &old, &gone) : update(t, &old, &row);
    }
    arena_deinit(&a);
    return rc == JOBS_NOT_FOUND ? 0 : rc == 0 ? 1 : rc;
}
