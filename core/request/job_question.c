/* job_question.c -- a request as a job keeps it, and back.
 *
 *     method, path, query, headers, body --job_from_request--> path, lines, bytes --job_to_request--> another request
 *
 * A job may lie on a disk for days, so a key is never part of it: who asks is found out when the job is taken on, and
 * its tenant is what is kept.  Left out is every header whose name says that it holds a secret, those of the message
 * itself (the body is kept as it was understood), and what was said to the queue and not to whoever answers.
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

/* Of the message, of its connection, or said to the queue. */
static bool is_of_message(struct slice name) {
    static const struct slice names[] = { SLICE("connection"), SLICE("content-length"), SLICE("transfer-encoding"),
                                          SLICE("keep-alive"), SLICE("te"), SLICE("trailer"), SLICE("upgrade"),
                                          SLICE("expect"), SLICE("proxy-connection"), SLICE("accept-encoding"),
                                          SLICE("range"), SLICE("x-request-id"), SLICE("idempotency-key"),
                                          SLICE("last-event-id"), SLICE("origin"), SLICE("referer") };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq_nocase(name, names[i])) return true;
    return slice_starts_nocase(name, SLICE("x-perilune-"));
}

/* b's bytes in a. */
static bool keep(struct arena *a, struct buf *b, struct slice *out) {
    char *p = buf_failed(b) ? NULL : arena_dup(a, buf_get(b));
    *out = slice_of(p, p != NULL ? buf_len(b) : 0);
    buf_deinit(b);
    return p != NULL;
}

bool job_from_request(struct job *j, struct arena *a, const struct request *r, const struct body *body) {
    struct buf path, lines;
    buf_init(&path, 0);
    buf_init(&lines, 0);
    buf_slice(&path, r->whole_path.len > 0 ? r->whole_path : r->path);
    if (r->query.len > 0) {
        buf_putc(&path, '?');
        buf_slice(&path, r->query);
    }
    for (unsigned i = 0; i < r->header_count; i++)
        if (!is_secret(r->headers[i].name) && !is_of_message(r->headers[i].name))
            headers_put(&lines, r->headers[i].name, r->headers[i].value);
    j->tenant = slice_str(r->tenant);
    j->body = body != NULL && !body_is_cleared(body) ? blob_get(body->text) : blob_get(r->raw);
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
        refuse(f, FAILURE_REJECTED, 429, "jobs_quota_exceeded", "too many jobs of yours are kept; wait until some have "
                                                                "ended");
        snprintf(f->type, sizeof(f->type), "rate_limit_error");
        f->retryable = true;
        f->retry_after_ms = 5000;
        break;
    case JOBS_IS_FULL:
        refuse(f, FAILURE_UNAVAILABLE, 503, "jobs_full", "no more jobs can be kept now; try again later");
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
    }
}

void job_key_reused(struct failure *f) {
    refuse(f, FAILURE_INVALID_REQUEST, 422, "idempotency_key_reused",
           "this Idempotency-Key belongs to a job that was asked something else; use a new one");
}
