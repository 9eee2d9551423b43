/* job_take.c -- which job goes next.
 *
 *     rank    queue, tenant            jobs that are ready, by age
 *      -5     default, acme            [] [] []
 *       0     default, acme            [] []
 *             default, zoo   <- cursor [] [] [] [] []
 *             nightly, acme            []
 *
 * Jobs stand in lanes.  The first rank that has a lane which may go is served, its lanes in turn: the one behind the
 * lane that was served last, round and round, so that a tenant with a thousand jobs delays another one's first by
 * one job and not by a thousand.  Within a lane the oldest goes.  A lane waits while its queue or its tenant has as
 * much running as may be.
 *
 * Lanes are found by seeking, never by walking over jobs.  Those that must wait are passed over: STEPS of them for
 * each TAKE, then the cursor stays there, and the next TAKE goes on behind it. */
#include <limits.h>

#include "include/perilune.h"
#include "jobs/job_table.h"

#define STEPS 1000

static int compare(struct slice a, struct slice b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

int job_lane_compare(const struct job_lane *a, const struct job_lane *b) {
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    int c = compare(a->queue, b->queue);
    return c != 0 ? c : compare(a->tenant, b->tenant);
}

static bool is_behind(const struct job_lane *a, struct slice queue, struct slice tenant) {
    int c = compare(a->queue, queue);
    return c > 0 || (c == 0 && compare(a->tenant, tenant) > 0);
}

int job_take_begin(struct job_taking *k, struct job_table *t, struct arena *a, const struct jobs_ask *ask) {
    *k = (struct job_taking){ .arena = a, .queue = ask->queue };
    if (!job_limits_any(t->limits)) return 0;
    return t->ops->running(t, a, ask->count, &k->running, &k->count);
}

/* -- Limits ------------------------------------------ */

static bool queue_may(const struct job_taking *k, const struct job_table *t, struct slice queue) {
    if (k->queue.ptr != NULL && !slice_eq(k->queue, queue)) return false;
    unsigned most = job_limits_of(t->limits, queue), sum = 0;
    if (most == 0) return true;
    for (unsigned i = 0; i < k->count; i++)
        if (slice_eq(k->running[i].queue, queue)) sum += k->running[i].count;
    return sum < most;
}

static bool tenant_may(const struct job_taking *k, const struct job_table *t, struct slice tenant) {
    unsigned most = t->limits->l.tenant_concurrency, sum = 0;
    if (most == 0) return true;
    for (unsigned i = 0; i < k->count; i++)
        if (slice_eq(k->running[i].tenant, tenant)) sum += k->running[i].count;
    return sum < most;
}

static void note_running(struct job_taking *k, const struct job_lane *lane) {
    if (k->running == NULL) return;
    for (unsigned i = 0; i < k->count; i++) {
        struct job_running *r = &k->running[i];
        if (!slice_eq(r->queue, lane->queue) || !slice_eq(r->tenant, lane->tenant)) continue;
        r->count++;
        return;
    }
    k->running[k->count++] = (struct job_running){ lane->queue, lane->tenant, 1 }; /* room for it was asked for */
}

/* -- The walk ------------------------------------------ */

static void set_cursor(struct job_table *t, const struct job_lane *lane) {
    t->queue_len = lane->queue.len < JOB_NAME_MAX ? lane->queue.len : JOB_NAME_MAX;
    t->tenant_len = lane->tenant.len < JOB_TENANT_MAX ? lane->tenant.len : JOB_TENANT_MAX;
    slice_copy(t->queue, sizeof(t->queue), lane->queue);
    slice_copy(t->tenant, sizeof(t->tenant), lane->tenant);
}

/* The lane of this rank that may go, from behind the cursor on and then from the first one; JOBS_NOT_FOUND: none. */
static int find_in_rank(struct job_taking *k, struct job_table *t, const struct job_lane *first,
                        struct job_lane *lane) {
    struct slice queue = slice_of(t->queue, t->queue_len), tenant = slice_of(t->tenant, t->tenant_len);
    bool wrapped = false;
    struct job_lane at = { first->rank, queue, tenant };
    enum job_step step = JOB_NEXT_LANE;
    for (; k->steps < STEPS; k->steps++) {
        int rc = t->ops->lane(t, k->arena, &at, step, lane);
        if (rc != 0 && rc != JOBS_NOT_FOUND) return rc;
        if (rc == JOBS_NOT_FOUND || lane->rank != first->rank) {
            if (wrapped) return JOBS_NOT_FOUND;
            wrapped = true;
            *lane = *first;
        }
        if (wrapped && is_behind(lane, queue, tenant)) return JOBS_NOT_FOUND; /* once round */
        bool may = queue_may(k, t, lane->queue);
        if (may && tenant_may(k, t, lane->tenant)) return 0;
        step = may ? JOB_NEXT_LANE : JOB_NEXT_QUEUE;
        at = *lane;
    }
    set_cursor(t, &at);
    return JOBS_NOT_FOUND;
}

int job_take_next(struct job_taking *k, struct job_table *t, struct job_row *row) {
    struct job_lane first = { .rank = INT_MIN }, lane;
    while (k->steps < STEPS) {
        int rc = t->ops->lane(t, k->arena, &first, JOB_NEXT_RANK, &first);
        if (rc == 0) rc = find_in_rank(k, t, &first, &lane);
        else return rc;
        if (rc == JOBS_NOT_FOUND) continue;
        if (rc != 0) return rc;
        rc = t->ops->first(t, k->arena, &lane, row);
        if (rc != 0) return rc;
        set_cursor(t, &lane);
        note_running(k, &lane);
        return 0;
    }
    return JOBS_NOT_FOUND;
}
