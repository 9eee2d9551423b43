/* job_ask.c -- what a request says of the job that is to be made of it, or asks of jobs.
 *
 *     x-perilune-queue: nightly             or  ?x-perilune-queue=nightly
 *     x-perilune-priority: -5               -100 to jobs.max_priority; the greater goes first, whosever it is
 *     x-perilune-not-before: 1789000000     seconds since 1970; +90: from now
 *     x-perilune-expires: +3600             the same; not begun by then, it fails
 *     x-perilune-max-tries: 1               instead of jobs.max_tries
 *     x-perilune-keep: 600                  seconds that it is kept after its end, instead of jobs.keep
 *     x-perilune-webhook: https://...       is told of the end
 *     idempotency-key: TEXT                 the same key and the same question are the same job
 *
 * How far ahead, how long and how urgently is bounded by the configuration: a client's word that its job goes before
 * all others', or is kept for a hundred years, is paid for by the others.
 *
 * A header counts before the query.  The query without these goes on to PATH.  What is not understood is refused
 * before anything is kept: a job that would run in another way than was meant cannot be called back. */
#include "gateway/job_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/stamp.h"
#include "jobs/job_id.h"

static const struct slice prefix = SLICE("x-perilune-");

static bool complain(struct job_ask_error *why, const char *name, const char *what) {
    snprintf(why->message, sizeof(why->message), "%s %s", name, what);
    return false;
}

/* -- The query --------------------------------------------------------------------------------------- */

/* The next "key=value" of a query. */
static bool next_pair(struct slice *query, struct slice *key, struct slice *value) {
    if (query->len == 0) return false;
    const char *end = memchr(query->ptr, '&', query->len);
    size_t len = end ? (size_t)(end - query->ptr) : query->len;
    const char *is = memchr(query->ptr, '=', len);
    *key = slice_of(query->ptr, is ? (size_t)(is - query->ptr) : len);
    *value = is ? slice_of(is + 1, len - key->len - 1) : SLICE("");
    len += end != NULL;
    *query = slice_of(query->ptr + len, query->len - len);
    return true;
}

/* %41 and + of a value; in the arena. */
static struct slice decoded(struct request *r, struct slice s) {
    char *out = arena_alloc(&r->arena, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < s.len; i++) {
        int high = s.ptr[i] == '%' && i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : s.ptr[i] == '+' && i > 0 ? ' ' : s.ptr[i];
        if (low >= 0) i += 2;
    }
    return slice_of(out, n);
}

/* A setting, wherever it stands; ptr NULL: nowhere. */
static struct slice setting(struct request *r, const char *name) {
    char key[64];
    snprintf(key, sizeof(key), "%.*s%s", SLICE_ARG(prefix), name);
    struct slice v = request_header(r, slice_str(key)), query = r->query, k, value;
    while (v.ptr == NULL && next_pair(&query, &k, &value))
        if (slice_eq_nocase(k, slice_str(key))) v = decoded(r, value);
    return v;
}

/* The query without what was said to us. */
static bool strip_query(struct request *r) {
    struct slice rest = r->query, k, v;
    char *out = arena_alloc(&r->arena, rest.len + 1);
    size_t n = 0;
    if (out == NULL) return false;
    while (rest.len > 0) {
        const char *from = rest.ptr;
        next_pair(&rest, &k, &v);
        size_t len = (size_t)(rest.ptr - from) - (rest.ptr[-1] == '&');
        if (slice_starts_nocase(k, prefix)) continue;
        if (n > 0) out[n++] = '&';
        memcpy(out + n, from, len);
        n += len;
    }
    r->query = slice_of(out, n);
    return true;
}

/* -- Values ---------------------------------------------------------------------------------------------- */

static bool number(struct slice s, double least, double most, double *out) {
    char text[32], *end;
    if (s.len == 0 || s.len >= sizeof(text)) return false;
    slice_copy(text, sizeof(text), s);
    if (strspn(text, "0123456789.-") != s.len) return false; /* no hex, no inf, no spaces */
    double v = strtod(text, &end);
    *out = v;
    return *end == '\0' && v >= least && v <= most;
}

static bool integer(struct slice s, int least, int most, int *out) {
    double v;
    if (!number(s, least, most, &v) || v != (int)v) return false;
    *out = (int)v;
    return true;
}

#define LATEST 253402300799.0 /* the year 9999 */

static bool moment(struct slice s, uint64_t now_ms, uint64_t *out) {
    double v;
    bool relative = s.len > 0 && s.ptr[0] == '+';
    if (!number(relative ? slice_of(s.ptr + 1, s.len - 1) : s, 0, relative ? 3.2e9 : LATEST, &v)) return false;
    *out = (uint64_t)(v * 1000) + (relative ? now_ms : 0);
    return true;
}

static bool read_times(struct request *r, struct job *j, struct job_ask_error *why) {
    static const char what[] = "is a time in seconds since 1970, or +SECONDS from now";
    uint64_t now = stamp_ms(CLOCK_REALTIME);
    struct slice v = setting(r, "not-before");
    if (v.ptr != NULL && !moment(v, now, &j->not_before_ms)) return complain(why, "x-perilune-not-before", what);
    v = setting(r, "expires");
    if (v.ptr != NULL && !moment(v, now, &j->expires_ms)) return complain(why, "x-perilune-expires", what);
    if (v.ptr != NULL && (j->expires_ms <= now || j->expires_ms <= j->not_before_ms))
        return complain(why, "x-perilune-expires", "has passed before the job may begin");
    return true;
}

bool job_ask_key(const struct request *r, struct slice *key, struct job_ask_error *why) {
    *key = request_header(r, SLICE("idempotency-key"));
    if (key->ptr != NULL && (key->len == 0 || key->len > JOB_KEY_MAX))
        return complain(why, "Idempotency-Key", "has 1 to 255 bytes");
    if (key->ptr == NULL) *key = SLICE("");
    return true;
}

bool job_ask_read(struct request *r, struct job *j, struct job_ask_error *why) {
    int priority = 0, tries = (int)j->max_tries;
    double keep = 0;
    struct slice v = setting(r, "priority");
    if (v.ptr != NULL && !integer(v, -JOB_PRIORITY_MAX, JOB_PRIORITY_MAX, &priority))
        return complain(why, "x-perilune-priority", "is a whole number from -100 to 100");
    v = setting(r, "max-tries");
    if (v.ptr != NULL && !integer(v, 1, 100, &tries))
        return complain(why, "x-perilune-max-tries", "is a whole number from 1 to 100");
    v = setting(r, "keep");
    if (v.ptr != NULL && !number(v, 1, 3.2e9, &keep))
        return complain(why, "x-perilune-keep", "is a number of seconds from 1 to 3200000000, written in digits");
    j->queue = setting(r, "queue");
    if (j->queue.ptr == NULL) j->queue = SLICE("");
    if (!job_ask_key(r, &j->key, why)) return false;
    j->priority = priority;
    j->max_tries = (unsigned)tries;
    j->keep_ms = (uint64_t)(keep * 1000);
    j->webhook = setting(r, "webhook");
    if (!read_times(r, j, why)) return false;
    return strip_query(r) || complain(why, "the query", "found no memory");
}

/* What is beyond what a client may say; the operator's own functions and policies may. */
static bool check_bounds(const struct job *j, const struct job_settings *s, struct job_ask_error *why) {
    if (j->priority > s->max_priority)
        snprintf(why->message, sizeof(why->message), "x-perilune-priority may be %d here at most (jobs.max_priority)",
                 s->max_priority);
    else if (j->keep_ms > s->max_keep_ms)
        snprintf(why->message, sizeof(why->message), "x-perilune-keep may be %llu seconds here at most (jobs.max_keep)",
                 (unsigned long long)(s->max_keep_ms / 1000));
    else if (j->not_before_ms > stamp_ms(CLOCK_REALTIME) + s->max_delay_ms)
        snprintf(why->message, sizeof(why->message), "x-perilune-not-before may be %llu seconds from now at most "
                 "(jobs.max_delay)", (unsigned long long)(s->max_delay_ms / 1000));
    else
        return true;
    return false;
}

bool job_ask_check(const struct job *j, const struct job_settings *s, struct job_ask_error *why) {
    if (!check_bounds(j, s, why)) return false;
    const char *refused = j->webhook.ptr != NULL ? webhook_refused(s->webhooks, j->webhook) : NULL;
    if (refused != NULL) {
        snprintf(why->message, sizeof(why->message), "x-perilune-webhook: %s", refused);
        return false;
    }
    if (job_settings_have(s, j->queue)) return true;
    snprintf(why->message, sizeof(why->message), "there is no queue '%.*s'; the configuration names them (jobs.queues)",
             (int)(j->queue.len < 64 ? j->queue.len : 64), j->queue.ptr);
    return false;
}

/* -- Lists and events ----------------------------------------------------------------------------------------- */

bool job_ask_list(struct slice query, struct job_list *out, unsigned otherwise, unsigned most,
                  struct job_ask_error *why) {
    struct slice key, value;
    enum job_status status;
    int count = (int)otherwise;
    *out = (struct job_list){ .status = -1 };
    while (next_pair(&query, &key, &value)) {
        if (slice_eq(key, SLICE("limit"))) {
            if (!integer(value, 1, (int)most, &count)) return complain(why, "limit", "is a whole number from 1 to 100");
        } else if (slice_eq(key, SLICE("after"))) {
            uint64_t id, token;
            if (value.len > 0 && (value.len >= sizeof(out->after) || !job_id_read(value, &id, &token)))
                return complain(why, "after", "is the id of a job, as last_id has it");
            slice_copy(out->after, sizeof(out->after), value);
        } else if (slice_eq(key, SLICE("status"))) {
            if (!job_status_find(value, &status))
                return complain(why, "status", "is queued, running, completed, failed or canceled");
            out->status = (int)status;
        } else if (slice_eq(key, SLICE("path"))) {
            if (value.len >= sizeof(out->path)) return complain(why, "path", "has 255 bytes at most");
            slice_copy(out->path, sizeof(out->path), value);
        } else if (key.len > 0) {
            return complain(why, "the query", "may have limit, after, status and path");
        }
    }
    out->count = (unsigned)count;
    return true;
}

static struct slice last_event(const struct request *r) {
    struct slice v = request_header(r, SLICE("last-event-id")), query = r->query, k, value;
    while (v.ptr == NULL && next_pair(&query, &k, &value))
        if (slice_eq(k, SLICE("last_event_id"))) v = value;
    return v;
}

bool job_ask_is_end(const struct request *r) { return slice_eq(last_event(r), SLICE("end")); }

bool job_ask_after(const struct request *r, struct job_seen *out) { return job_seen_read(last_event(r), out); }
