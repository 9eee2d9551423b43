/* job_question.c -- a request as a job keeps it, and back.
 *
 *     method, path, query, headers, body --job_from_request--> path, lines, bytes --job_to_request--> another request
 *
 * A job may lie on a disk for days, so a key is never part of it: who asks is found out when the job is taken on, and
 * its tenant is what is kept.  Nobody can know all names that headers with keys have, so those are kept that upstreams
 * get anyway, and those that the configuration names (jobs.headers, an upstream's forward_headers); a name that says
 * that it holds a secret is not, wherever it stands.  The same is left out of the query.
 *
 * The path is the one before a route took its prefix away: the job takes a route of its own when it runs.  Who let it
 * in is remembered, in a line in front of its headers that no client can send (x-perilune-.. is said to the queue): the
 * guard of the route that it was taken on by (request.h).  Where it runs, the same guard has to stand, or none. */
#include "request/job_question.h"

#include <stdio.h>
#include <string.h>

#include "flow/headers.h"
#include "http/parse.h"

static bool holds(struct slice name, struct slice part) {
    for (size_t i = 0; i + part.len <= name.len; i++)
        if (slice_starts_nocase(slice_of(name.ptr + i, name.len - i), part)) return true;
    return false;
}

/* ORDER: config.lua's `secrets` for tenants. */
static bool is_secret(struct slice name) {
    static const struct slice parts[] = { SLICE("authorization"), SLICE("cookie"), SLICE("api-key"), SLICE("apikey"),
                                          SLICE("api_key"), SLICE("token"), SLICE("secret"), SLICE("passw"),
                                          SLICE("credential") };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (holds(name, parts[i])) return true;
    return false;
}

/* ORDER: outgoing.c `is_forwarded`; and what routes look at. */
static bool is_kept(struct slice name, const struct job_headers *more) {
    if (slice_starts_nocase(name, SLICE("x-perilune-"))) return false; /* said to the queue, or forged */
    static const struct slice always[] = { SLICE("host"), SLICE("content-type"), SLICE("accept"),
                                           SLICE("accept-language"), SLICE("user-agent"), SLICE("traceparent"),
                                           SLICE("tracestate") };
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
        if (slice_eq_nocase(name, always[i])) return true;
    for (unsigned i = 0; i < more->count; i++)
        if (slice_eq_nocase(name, slice_str(more->names[i]))) return !is_secret(name);
    return false;
}

/* What some APIs call a key in a URL, besides. */
static bool is_secret_member(struct slice name) {
    return is_secret(name) || slice_eq_nocase(name, SLICE("key")) || slice_eq_nocase(name, SLICE("sig")) ||
           slice_eq_nocase(name, SLICE("signature"));
}

static void put_query(struct buf *b, struct slice query) {
    char before = '?';
    while (query.len > 0) {
        const char *end = memchr(query.ptr, '&', query.len);
        struct slice member = slice_of(query.ptr, end ? (size_t)(end - query.ptr) : query.len);
        const char *is = member.len > 0 ? memchr(member.ptr, '=', member.len) : NULL;
        size_t all = member.len + (end != NULL);
        query = slice_of(query.ptr + all, query.len - all);
        if (is_secret_member(slice_of(member.ptr, is ? (size_t)(is - member.ptr) : member.len))) continue;
        buf_putc(b, before);
        buf_slice(b, member);
        before = '&';
    }
}

/* b's bytes in a. */
static bool keep(struct arena *a, struct buf *b, struct slice *out) {
    char *p = buf_failed(b) ? NULL : arena_dup(a, buf_get(b));
    *out = slice_of(p, p != NULL ? buf_len(b) : 0);
    buf_deinit(b);
    return p != NULL;
}

struct blob *job_blob(const struct request *r, const struct body *body) {
    return body != NULL && !body_is_cleared(body) ? body->text : r->raw;
}

bool job_from_request(struct job *j, struct arena *a, const struct request *r, const struct body *body,
                      const struct job_headers *more) {
    struct buf path, lines;
    buf_init(&path, 0);
    buf_init(&lines, 0);
    buf_slice(&path, r->whole_path.len > 0 ? r->whole_path : r->path);
    put_query(&path, r->query);
    for (unsigned i = 0; i < r->header_count; i++)
        if (is_kept(r->headers[i].name, more))
            headers_put(&lines, r->headers[i].name, r->headers[i].value);
    j->tenant = slice_str(r->tenant);
    j->body = blob_get(job_blob(r, body));
    bool ok = keep(a, &path, &j->path);
    return keep(a, &lines, &j->headers) && ok;
}

/* -- Who let it in ---------------------------------------------------------------------------- */

static const struct slice guard_mark = SLICE("x-perilune-guard"), batch_mark = SLICE("x-perilune-batch");

bool job_put_guard(struct job *j, struct arena *a, const char *guard, bool batch) {
    struct buf lines;
    buf_init(&lines, 0);
    headers_put(&lines, batch ? batch_mark : guard_mark, slice_str(guard[0] ? guard : "-"));
    buf_slice(&lines, j->headers);
    return keep(a, &lines, &j->headers);
}

struct slice job_guard(const struct job *j, char guard[GUARD_SIZE], bool *batch) {
    struct slice block = j->headers, name, value;
    bool is = headers_next(&block, &name, &value);
    guard[0] = '\0';
    *batch = is && slice_eq(name, batch_mark);
    if (!*batch && !(is && slice_eq(name, guard_mark))) return j->headers;
    if (!slice_eq(value, SLICE("-"))) slice_copy(guard, GUARD_SIZE, value);
    return block;
}

bool job_is_batch(const struct job *j) {
    char guard[GUARD_SIZE];
    bool batch;
    job_guard(j, guard, &batch);
    return batch && j->function.len == 0;
}

bool job_to_request(const struct job *j, struct request *r) {
    char guard[GUARD_SIZE];
    bool ignored;
    struct slice kept = job_guard(j, guard, &ignored), block = kept, name, value;
    unsigned count = 0;
    while (headers_next(&block, &name, &value)) count++;
    r->headers = arena_alloc(&r->arena, (count + 1) * sizeof(*r->headers));
    if (r->headers == NULL) return false;
    block = kept;
    while (r->header_count < count && headers_next(&block, &name, &value))
        r->headers[r->header_count++] = (struct http_header){ name, value };
    const char *mark = j->path.len > 0 ? memchr(j->path.ptr, '?', j->path.len) : NULL;
    size_t len = mark ? (size_t)(mark - j->path.ptr) : j->path.len;
    r->method = SLICE("POST");
    r->path = slice_of(j->path.ptr, len);
    r->query = mark ? slice_of(mark + 1, j->path.len - len - 1) : SLICE("");
    slice_copy(r->tenant, sizeof(r->tenant), j->tenant);
    return true;
}

bool job_asks_same(const struct job *a, const struct job *b) {
    return slice_eq(a->function, b->function) && slice_eq(a->path, b->path) && slice_eq(a->body, b->body);
}

static void refuse(struct failure *f, enum failure_kind kind, int status, const char *code, const char *message) {
    failure_set(f, kind, "%s", message);
    f->status = status;
    snprintf(f->code, sizeof(f->code), "%s", code);
}

void job_refused(struct failure *f, const struct jobs_answer *a) {
    switch (a->rc) {
    case JOBS_NOT_FOUND:
        refuse(f, FAILURE_NOT_FOUND, 404, "job_not_found",
               "there is no such job; it may be of somebody else, or was kept long enough (jobs.keep)");
        break;
    case JOBS_QUOTA:
        refuse(f, FAILURE_REJECTED, 429, "jobs_quota_exceeded",
               a->kept ? "as many jobs of yours are kept as may be (jobs.max_kept); delete those that have ended, with "
                         "DELETE /v1/async/ID, or wait until they are forgotten (jobs.keep)"
                       : "as many jobs of yours wait as may (jobs.max_queued); wait until some have begun");
        snprintf(f->type, sizeof(f->type), "rate_limit_error");
        f->retryable = !a->kept;
        f->retry_after_ms = a->kept ? 0 : 5000;
        break;
    case JOBS_IS_FULL:
        refuse(f, FAILURE_UNAVAILABLE, 503, "jobs_full", "no more jobs can be kept now; try again later");
        f->retry_after_ms = 30000;
        break;
    case JOBS_TOO_LARGE:
        refuse(f, FAILURE_TOO_LARGE, 413, failure_code(FAILURE_TOO_LARGE),
               "the body is larger than that of a job may be");
        break;
    case JOBS_IS_OVER: refuse(f, FAILURE_INVALID_REQUEST, 409, "job_is_over", "the job has ended"); break;
    case PERILUNE_ERR_INVAL:
        refuse(f, FAILURE_INVALID_REQUEST, 400, failure_code(FAILURE_INVALID_REQUEST),
               "a name is too long for a job, or a number of it out of range");
        break;
    case PERILUNE_ERR_TIMEOUT:
        refuse(f, FAILURE_TIMEOUT, 504, failure_code(FAILURE_TIMEOUT),
               "the queue did not answer in time, and it is not known whether it did what was asked; with an "
               "Idempotency-Key asking again does no harm");
        break;
    default:
        refuse(f, FAILURE_UNAVAILABLE, 503, "jobs_unavailable", "the queue of jobs does not work now; try again later");
        f->retry_after_ms = 5000;
    }
}

void job_key_reused(struct failure *f) {
    refuse(f, FAILURE_INVALID_REQUEST, 422, "idempotency_key_reused",
           "this Idempotency-Key belongs to a job that was asked something else; use a new one");
}
