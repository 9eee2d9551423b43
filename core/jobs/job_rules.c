/* job_rules.c -- what happens to a job, without a place where it is kept.
 *
 *              not_before > now                      lease ran out, or given back
 *     submit -------------------> WAITS <-----delay------+-----------+
 *        |                          | due                |           |
 *        +-----------------------> READY ----take-----> RUNS --finish--> DONE | DEAD
 *                                   |  |                 | ^ beat             (tries used up: DEAD)
 *               expired: DEAD <-----+  +--cancel-> STOPPED <--beat, finish, lease ran out, when `stopping`
 *
 *     DONE, DEAD, STOPPED --keep_ms behind the end, or behind the webhook's--> forgotten
 *
 * Each state has at most one moment at which time alone changes it, `at`: that a wait is over or the job expires
 * (whichever comes first), that a lease runs out, that it is forgotten.  A queue needs one index for all of time,
 * and asks job_rule_time() what is to be done about a job whose moment came.
 *
 * Clocks.  People name moments: not_before, expires.  They mean the clock on the wall, and when that is set they
 * mean the new time.  What a queue measures by itself, which are leases, pauses between tries and how long results
 * are kept, must not feel it: a clock that jumps an hour ahead would take running jobs away from their workers, who
 * would do them twice, and forget results that nobody has read; one that jumps back would hold up every retry.  So
 * all moments are kept on a steady clock, which is never set (jobs_file.c and jobs_memory.c say what theirs is), and
 * those that people named are moved on it by job_rule_clock() when the wall clock was set.  created, started and
 * ended are for reading only; nothing is decided by them.
 *
 * Jobs that are handed on to somebody else (GIVE) WAIT, and are READY again when that took too long.  Whoever speaks
 * for who works on them there (JOBS_ELSEWHERE) may make them RUN, and end them, from any state that is not over.
 *
 * A lease is a number that grows with each try.  Who shows an old one has lost the job, however late he comes; who
 * shows the right one keeps it, also when its time ran out a moment ago and nobody has noticed.  It grows, too, when a
 * try ends in another way than by the word of who showed it: so he whose number stands there has said how it ended, and
 * when he says so once more, an answer was lost on its way.
 *
 * Invariants: tries <= max_tries; a job that runs has at != 0; at == 0 for one that is over only while a webhook is
 * under way, or while who submitted it holds it.  No function here allocates, or can fail otherwise than by
 * refusing. */
#include "jobs/job_rules.h"

#include <stdio.h>

#include "base/json.h"

#define ERROR(type, code, message) \
    "{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":null,\"code\":\"" code "\"}"
/* ORDER: jobs_redis.lua */
#define EXPIRED   ERROR("timeout_error", "job_expired", "the job was not begun before it expired")
#define ABANDONED ERROR("server_error", "job_abandoned", "whoever worked on the job was not heard of again, and it " \
                        "was tried as often as it may be")
#define TOO_LARGE ERROR("server_error", "job_result_too_large", "the result of the job has more bytes than may be " \
                        "kept")
#define FULL      ERROR("server_error", "jobs_full", "the queue holds as many bytes as it may, so the result of the " \
                        "job could not be kept")
#define USED_UP   ERROR("server_error", "job_tries_used_up", "the job was tried as often as it may be")

/* -- Names ------------------------------------------ */

static const char *const names[] = { "queued", "running", "completed", "failed", "canceled" };

const char *job_status_name(enum job_status s) { return names[s]; }

bool job_status_find(struct slice name, enum job_status *out) {
    for (int i = 0; i < JOB_STATUSES; i++) {
        if (!slice_eq(name, slice_str(names[i]))) continue;
        *out = (enum job_status)i;
        return true;
    }
    return false;
}

/* -- States: the one place where they change ------------------------------------------ */

static uint64_t later(uint64_t now, uint64_t by) { return by > INT64_MAX - now ? INT64_MAX : now + by; }

static uint64_t earlier_of(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* at: for RUNS, when the lease runs out. */
static void enter(struct job_row *row, enum job_state state, uint64_t at, struct job_now now) {
    uint64_t expires = row->job.tries == 0 ? row->expires : 0; /* one that was begun does not expire */
    row->state = state;
    row->job.status = state == JOB_WAITS ? JOB_QUEUED : (enum job_status)state;
    switch (state) {
    case JOB_READY: row->at = expires; break;
    case JOB_WAITS: row->at = earlier_of(row->due, expires); break;
    case JOB_RUNS:  row->at = at; break;
    default:
        row->hooked = row->job.webhook.len > 0;
        row->job.stopping = false;
        row->job.ended_ms = now.wall;
        row->at = row->hooked || row->job.held ? 0 : later(now.steady, row->job.keep_ms);
    }
}

static void enter_queue(struct job_row *row, uint64_t delay_ms, struct job_now now) {
    row->due = later(now.steady, delay_ms);
    enter(row, delay_ms > 0 ? JOB_WAITS : JOB_READY, 0, now);
}

static void die(struct job_row *row, struct slice error, struct job_now now) {
    row->job.error = error;
    enter(row, JOB_DEAD, 0, now);
}

/* -- Rules ------------------------------------------ */

void job_rule_submit(struct job_row *row, const struct jobs_settings *s, struct job_now now) {
    struct job *j = &row->job;
    if (j->queue.len == 0) j->queue = SLICE("default");
    if (j->max_tries == 0) j->max_tries = 1;
    if (j->keep_ms == 0 && !j->held) j->keep_ms = s->keep_ms; /* of one that is held: as its end says, if it does */
    j->created_ms = now.wall;
    j->started_ms = j->ended_ms = j->lease = j->last_event = 0;
    j->tries = 0;
    j->result_status = 0;
    j->stopping = false;
    j->progress = j->result_type = j->result = j->error = SLICE("");
    row->event_bytes = 0;
    row->hooked = false;
    row->expires = j->expires_ms > 0 ? job_steady(now, j->expires_ms) : 0;
    enter_queue(row, job_steady(now, j->not_before_ms) - now.steady, now);
}

void job_rule_take(struct job_row *row, uint64_t lease_ms, struct job_now now) {
    row->job.tries++;
    row->job.lease++;
    row->job.started_ms = now.wall;
    enter(row, JOB_RUNS, later(now.steady, lease_ms), now);
}

void job_rule_untake(struct job_row *row, struct job_now now) {
    row->job.tries--;
    row->job.lease++;
    if (row->job.stopping) enter(row, JOB_STOPPED, 0, now);
    else enter_queue(row, 0, now);
}

/* What tells one that was handed on from one that waits for the moment it named is that it had a lease. */
void job_rule_give(struct job_row *row, uint64_t ms, struct job_now now) {
    row->job.lease++;
    enter_queue(row, ms, now);
}

static int check_lease(struct job_row *row, uint64_t lease, struct job_now now) {
    if (job_row_is_over(row)) return row->state == JOB_STOPPED ? JOBS_WAS_CANCELED : JOBS_IS_OVER;
    if (lease != JOBS_ELSEWHERE && (row->state != JOB_RUNS || row->job.lease != lease)) return JOBS_LOST;
    if (!row->job.stopping) return 0;
    enter(row, JOB_STOPPED, 0, now);
    return JOBS_WAS_CANCELED;
}

int job_rule_beat(struct job_row *row, uint64_t lease, uint64_t lease_ms, struct job_now now) {
    int rc = check_lease(row, lease, now);
    if (rc == 0) enter(row, JOB_RUNS, later(now.steady, lease_ms), now);
    return rc;
}

int job_rule_elsewhere(struct job_row *row, unsigned tries, uint64_t lease_ms, struct job_now now) {
    int rc = check_lease(row, JOBS_ELSEWHERE, now);
    if (rc != 0) return rc;
    if (row->state != JOB_RUNS || tries > row->job.tries) {
        row->job.started_ms = now.wall;
        row->job.tries = tries > 0 ? tries : 1;
        row->job.lease++;
    }
    enter(row, JOB_RUNS, later(now.steady, lease_ms), now);
    return 0;
}

bool job_rule_has_event(const struct job_row *row, uint64_t lease, uint64_t number) {
    bool his = lease == JOBS_ELSEWHERE ? !job_row_is_over(row) : row->state == JOB_RUNS && row->job.lease == lease;
    return his && !row->job.stopping && number > 0 && number == row->job.last_event;
}

int job_rule_append(struct job_row *row, uint64_t lease, const struct job_event *e, const struct jobs_settings *s,
                    struct job_now now) {
    int rc = check_lease(row, lease, now);
    if (rc != 0) return rc;
    if (e->data.len > s->max_result || row->event_bytes > s->max_result - e->data.len) return JOBS_TOO_LARGE;
    row->event_bytes += e->data.len;
    row->job.last_event++;
    if (slice_eq(e->name, SLICE("progress"))) row->job.progress = e->data;
    return 0;
}

/* What counts as used, and when it began. */
static void count_tries(struct job *j, uint64_t lease, const struct job_end *end, struct job_now now) {
    if (end->status == JOB_QUEUED && end->tries < j->tries) j->tries = end->tries;
    if (lease != JOBS_ELSEWHERE) return;
    j->lease++;
    if (end->tries > j->tries) j->tries = end->tries;
    if (j->started_ms == 0) j->started_ms = now.wall;
}

bool job_rule_has_ended(const struct job_row *row, uint64_t lease) {
    return lease > 0 && row->job.lease == lease && row->state != JOB_RUNS && row->state != JOB_STOPPED;
}

int job_rule_finish(struct job_row *row, const struct jobs_ask *ask, const struct jobs_settings *s,
                    struct job_now now) {
    const struct job_end *end = ask->end;
    struct job *j = &row->job;
    int rc = check_lease(row, ask->lease, now);
    if (rc != 0) return rc;
    count_tries(j, ask->lease, end, now);
    j->error = end->error;
    if (end->status == JOB_QUEUED && j->tries < j->max_tries) {
        enter_queue(row, ask->delay_ms, now);
        return 0;
    }
    if (end->keep_ms > 0 && (j->keep_ms == 0 || end->keep_ms < j->keep_ms)) j->keep_ms = end->keep_ms;
    if (end->status == JOB_QUEUED) {
        die(row, end->error.len > 0 ? end->error : SLICE(USED_UP), now);
    } else if (end->result.len > s->max_result || end->error.len > s->max_result) {
        die(row, SLICE(TOO_LARGE), now);
    } else {
        j->result_status = end->result_status;
        j->result_type = end->result_type;
        j->result = end->result;
        enter(row, (enum job_state)end->status, 0, now); /* ORDER job_state: those that are over have the same number */
    }
    return 0;
}

void job_rule_full(struct job_row *row, struct job_now now) {
    struct job *j = &row->job;
    if (job_row_is_over(row) && j->result.len > 0) {
        j->result = j->result_type = SLICE("");
        j->result_status = 0;
        die(row, SLICE(FULL), now);
    } else if (j->error.len > sizeof(FULL)) {
        j->error = SLICE(FULL);
    }
}

int job_rule_cancel(struct job_row *row, struct job_now now) {
    if (job_row_is_over(row)) return JOBS_IS_OVER;
    if (row->state == JOB_RUNS) row->job.stopping = true;
    else enter(row, JOB_STOPPED, 0, now);
    return 0;
}

void job_rule_told(struct job_row *row, struct job_now now) {
    if (!row->hooked) return;
    row->hooked = false;
    row->at = later(now.steady, row->job.keep_ms);
}

bool job_rule_time(struct job_row *row, struct job_now now) {
    if (row->at == 0 || row->at > now.steady) return false;
    switch (row->state) {
    case JOB_READY:
    case JOB_WAITS:
        if (row->job.tries == 0 && row->expires != 0 && row->expires <= now.steady) die(row, SLICE(EXPIRED), now);
        else enter(row, JOB_READY, 0, now);
        return false;
    case JOB_RUNS:
        row->job.lease++;
        if (row->job.stopping) enter(row, JOB_STOPPED, 0, now);
        else if (row->job.tries >= row->job.max_tries) die(row, SLICE(ABANDONED), now);
        else enter_queue(row, 0, now);
        return false;
    default: return true;
    }
}

void job_rule_clock(struct job_row *row, struct job_now now) {
    if ((row->state != JOB_READY && row->state != JOB_WAITS) || row->job.tries > 0) return;
    if (row->job.expires_ms > 0) row->expires = job_steady(now, row->job.expires_ms);
    if (row->job.lease == 0) row->due = job_steady(now, row->job.not_before_ms);
    enter(row, row->state, 0, now);
}

/* -- Webhooks ------------------------------------------ */

void job_rule_hook_take(struct job_hook_row *h, uint64_t lease_ms, struct job_now now) {
    h->hook.state = JOB_HOOK_SENDING;
    h->hook.tries++;
    h->hook.lease++;
    h->at = later(now.steady, lease_ms);
}

/* One line more, without the oldest ones that leave no room for it. */
static struct slice add_line(struct slice log, struct slice line, char out[JOB_HOOK_LOG]) {
    while (log.len > 0 && log.len + line.len > JOB_HOOK_LOG) {
        const char *end = memchr(log.ptr, '\n', log.len);
        size_t cut = end ? (size_t)(end - log.ptr) + 1 : log.len;
        log = slice_of(log.ptr + cut, log.len - cut);
    }
    if (log.len > 0) memmove(out, log.ptr, log.len);
    memcpy(out + log.len, line.ptr, line.len);
    return slice_of(out, log.len + line.len);
}

static void hook_unsent(struct job_hook_row *h, uint64_t delay_ms, struct job_now now) {
    h->hook.tries--;
    h->hook.state = JOB_HOOK_WAITING;
    h->at = later(now.steady, delay_ms);
}

int job_rule_hook_done(struct job_hook_row *h, const struct jobs_ask *ask, char log[JOB_HOOK_LOG], struct job_now now) {
    if (h->hook.state != JOB_HOOK_SENDING || h->hook.lease != ask->lease) return JOBS_LOST;
    if (ask->hook.unsent) {
        hook_unsent(h, ask->delay_ms, now);
        return 0;
    }
    struct slice note = slice_of(ask->hook.note.ptr, ask->hook.note.len < 200 ? ask->hook.note.len : 200);
    struct buf line;
    buf_init(&line, JOB_HOOK_LOG);
    buf_printf(&line, "{\"at\":%llu,\"status\":%d,\"note\":", (unsigned long long)now.wall, ask->hook.status);
    json_write_string(&line, note);
    buf_puts(&line, "}\n");
    int rc = line.error;
    if (rc == 0) h->hook.log = add_line(h->hook.log, buf_get(&line), log);
    buf_deinit(&line);
    if (rc != 0) return rc;
    h->hook.state = ask->hook.state;
    h->hook.last_status = ask->hook.status;
    h->at = ask->hook.state == JOB_HOOK_WAITING ? later(now.steady, ask->delay_ms) : 0;
    return 0;
}
