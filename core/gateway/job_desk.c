/* job_desk.c -- what clients ask of jobs, under /v1/async.
 *
 *     POST   /v1/async/PATH        a job of what PATH would be asked          202 {"id","status"}, Location
 *     GET    /v1/async             the caller's own, the newest first
 *     GET    /v1/async/ID          one of them, with progress, result, error
 *     GET    /v1/async/ID/events   the same as it happens (job_stream.c)
 *     DELETE /v1/async/ID          cancels it, or forgets it when it has ended
 *     GET    /v1/async/ID/webhook  whether who is told of its end was reached
 *     GET    /v1/async/webhook-secret  what the caller checks such messages with
 *
 * Who may?  Keys are looked at by policies of routes (auth_keys), and a route is chosen by a path.  So a POST takes the
 * route of PATH, with its body checked as there, and runs of the route's policies those that say who may ask; what is
 * asked of a job takes the route of the job's path, and a list the one of chats or of ?path=.  That makes the tenant,
 * and a job is seen by its tenant and nobody else: to all others it is not there.  Who asks for one that is not there
 * meets the route of chats first, so that nobody learns without a key which ids there are.
 *
 *     POST:    NEW --exchange_begin: path, body, route--> ADMITTING --admitted--> ASKING (SUBMIT) --> reply
 *     one job: NEW --> FINDING (EVENTS: its path) --exchange_begin_admission--> ADMITTING --> ASKING --> reply
 *     list:    NEW --exchange_begin_admission--> ADMITTING --> ASKING --> reply; a secret, too
 *
 * The desk is part of an exchange like any other, so it is logged, counted, and has a deadline. */
#include "gateway/job_desk.h"

#include <stdio.h>
#include <stdlib.h>

#include "flow/response.h"
#include "gateway/batch_desk.h"
#include "gateway/job_ask.h"
#include "gateway/job_stream.h"
#include "gateway/model_list.h"
#include "gateway/served.h"
#include "jobs/job_text.h"
#include "request/job_question.h"

#define NO_EVENTS    (UINT64_MAX >> 1) /* only the job, without its body and result */
#define LIST_MOST    100
#define LIST_DEFAULT 20

enum desk_state { DESK_NEW, DESK_FINDING, DESK_ADMITTING, DESK_ASKING };

struct job_desk {
    struct exchange *x;
    enum desk_state  state;
    enum { DESK_SUBMIT, DESK_SHOW, DESK_EVENTS, DESK_CANCEL, DESK_HOOKS, DESK_LIST, DESK_SECRET, DESK_NOTHING } what;
    char             id[JOB_ID_SIZE];
    struct jobs_op   op;
    struct job       job;    /* SUBMIT: what is to be done; its bytes are the request's */
    struct job_list  list;   /* LIST */
    struct job_seen  seen;   /* EVENTS */
};

static const struct slice root = SLICE(SERVED_JOBS_ROOT);

struct job_desk *job_desk_new(struct exchange *x) {
    struct job_desk *d = mem_zalloc(sizeof(*d));
    if (d != NULL) d->x = x;
    return d;
}

void job_desk_free(struct job_desk *d) {
    if (d == NULL) return;
    jobs_cancel(&d->op);
    mem_free(d);
}

/* -- Failing ------------------------------------------------------------------------------------- */

static void fail(struct job_desk *d, int status, const char *code, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_INVALID_REQUEST, "%s", message);
    f.status = status;
    if (code != NULL) snprintf(f.code, sizeof(f.code), "%s", code);
    exchange_fail_with(d->x, &f); /* frees d */
}

/* What the queue could not do. */
static void refused(struct job_desk *d, const struct jobs_answer *a) {
    struct failure f;
    failure_init(&f);
    job_refused(&f, a);
    if (d->x->w->jobs != NULL) jobs_say(d->x->w->jobs, d->x->w->log, d->x->req->id, a);
    exchange_fail_with(d->x, &f); /* frees d */
}

static void ask(struct job_desk *d, const struct jobs_ask *what,
                void (*done)(struct jobs_op *op, const struct jobs_answer *a)) {
    struct jobs *j = d->x->w->jobs;
    int rc = j != NULL ? jobs_begin(j, &d->op, what, done) : PERILUNE_ERR_NOMEM;
    if (rc != 0) refused(d, &(struct jobs_answer){ .rc = rc });
}

static struct job_desk *desk_of(struct jobs_op *op) { return container_of(op, struct job_desk, op); }

/* -- Replies --------------------------------------------------------------------------------------- */

/* {"id","status"} of a job, or all of it. */
static void reply_job(struct job_desk *d, int status, const struct job *j, bool whole) {
    struct buf b, lines;
    buf_init(&b, 0);
    buf_init(&lines, 0);
    if (whole) job_write(&b, j, JOB_WHOLE);
    else buf_printf(&b, "{\"id\":\"%s\",\"status\":\"%s\"}", j->id, job_status_name(j->status));
    buf_printf(&lines, "location: /v1/async/%s\r\ncache-control: no-store\r\n", j->id);
    if (whole) {
        buf_clear(&lines);
        buf_puts(&lines, "cache-control: no-store\r\n");
    }
    if (buf_failed(&lines)) b.error = lines.error;
    snprintf(d->id, sizeof(d->id), "%s", j->id);
    d->x->job = arena_dup(&d->x->req->arena, slice_str(d->id));
    exchange_reply(d->x, status, buf_get(&lines), &b); /* frees d */
    buf_deinit(&b);
    buf_deinit(&lines);
}

static void on_submitted(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    if (a->rc != 0) {
        refused(d, a);
        return;
    }
    const struct job *j = a->jobs;
    if (a->existed && !job_asks_same(j, &d->job)) {
        struct failure f;
        failure_init(&f);
        job_key_reused(&f);
        exchange_fail_with(d->x, &f); /* frees d */
        return;
    }
    reply_job(d, a->existed && job_is_over(j->status) ? 200 : 202, j, false);
}

static void on_shown(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    if (a->rc != 0) refused(d, a);
    else reply_job(d, 200, a->jobs, true);
}

static void reply_json(struct job_desk *d, struct buf *b) {
    exchange_reply(d->x, 200, SLICE("cache-control: no-store\r\n"), b); /* frees d */
    buf_deinit(b);
}

static void reply_forgotten(struct job_desk *d, const struct job *j) {
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "{\"id\":\"%s\",\"status\":\"%s\",\"deleted\":true}", j->id, job_status_name(j->status));
    reply_json(d, &b);
}

static void on_canceled(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    if (a->rc == JOBS_IS_OVER && a->forgotten) {
        reply_forgotten(d, a->jobs);
    } else if (a->rc == JOBS_IS_OVER && a->count > 0) {
        char text[200];
        snprintf(text, sizeof(text), "the job has ended, it is %s; it can be deleted when its webhook has been told "
                 "(GET /v1/async/ID/webhook)", job_status_name(a->jobs->status));
        fail(d, 409, "job_is_over", text);
    } else if (a->rc != 0 && (a->rc != JOBS_IS_OVER || a->count == 0)) refused(d, a);
    else reply_job(d, job_is_over(a->jobs->status) ? 200 : 202, a->jobs, true);
}

static void on_listed(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    if (a->rc != 0) {
        refused(d, a);
        return;
    }
    struct buf b;
    buf_init(&b, 0);
    unsigned n = a->count < d->list.count ? a->count : d->list.count;
    buf_puts(&b, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) buf_putc(&b, ',');
        job_write(&b, &a->jobs[i], JOB_SHORT);
    }
    buf_printf(&b, "],\"has_more\":%s", a->count > n ? "true" : "false");
    if (n > 0) buf_printf(&b, ",\"first_id\":\"%s\",\"last_id\":\"%s\"", a->jobs[0].id, a->jobs[n - 1].id);
    buf_putc(&b, '}');
    exchange_reply(d->x, 200, SLICE("cache-control: no-store\r\n"), &b); /* frees d */
    buf_deinit(&b);
}

static void on_hooks(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    struct buf b;
    if (a->rc != 0) {
        refused(d, a);
        return;
    }
    buf_init(&b, 0);
    webhook_write_log(a->hooks, a->count, &b);
    reply_json(d, &b);
}

/* A secret that everybody may ask for is none: who has no tenant shares the operator's, who hands it out. */
static void reply_secret(struct job_desk *d) {
    const struct webhook_settings *s = d->x->gen->config->jobs->webhooks;
    struct slice tenant = slice_str(d->x->req->tenant);
    struct buf b;
    if (s == NULL || tenant.len == 0) {
        fail(d, 404, NULL, s == NULL ? "no webhooks are sent here"
                                     : "nothing says who is asking; the operator has the secret that is for all");
        return;
    }
    buf_init(&b, 0);
    if (!webhook_write_secrets(&s->secrets, tenant, &b)) b.error = PERILUNE_ERR_NOMEM;
    reply_json(d, &b);
}

/* It is there, and the caller's: what happens to it follows. */
static void on_watched(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    struct exchange *x = d->x;
    if (a->rc != 0) {
        refused(d, a);
        return;
    }
    if (slice_eq(x->req->method, SLICE("HEAD"))) { /* its head is all of it: nobody waits for the end of the job */
        exchange_reply(x, 200, SLICE("content-type: text/event-stream\r\n"), &(struct buf){ .data = NULL });
        return;
    }
    struct job_stream_options opt = { .among = &x->w->job_streams, .jobs = x->w->jobs, .id = slice_str(d->id),
                                      .tenant = slice_str(x->req->tenant), .seen = d->seen };
    struct source *s = job_stream_new(&opt);
    struct response *r = s ? response_new(&(struct response_options){ .loop = x->w->loop, .upstream = "",
                                                                      .high_water = 1 << 16 }) : NULL;
    if (r == NULL) {
        if (s != NULL) source_cancel(s);
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    x->stream = true;
    response_start(r, s);
    exchange_deliver(x, r); /* may free d */
}

/* -- Admitted ------------------------------------------------------------------------------------------ */

static void submit(struct job_desk *d) {
    struct exchange *x = d->x;
    struct job_ask_error why;
    const struct job_settings *s = x->gen->config->jobs;
    if (!job_from_request(&d->job, &x->req->arena, x->req, x->req->body,
                          &(struct job_headers){ s->headers, s->header_count }) ||
        !job_put_guard(&d->job, &x->req->arena, x->req->guard, false)) {
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    if (d->job.keep_ms == 0) d->job.keep_ms = x->gen->config->jobs->store.keep_ms; /* a reload may have changed it */
    if (!job_ask_check(&d->job, x->gen->config->jobs, &why)) {
        fail(d, 400, NULL, why.message);
        return;
    }
    if (!exchange_admits_job(x, &d->job)) {
        fail(d, 400, "job_route_changed", "the route of this request is chosen by something that is not kept with a "
                                          "job, so that it would run on another one, which asks for a key");
        return;
    }
    ask(d, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &d->job, .hold = job_blob(x->req, x->req->body) },
        on_submitted);
}

void job_desk_admitted(struct job_desk *d) {
    struct exchange *x = d->x;
    struct jobs_ask a = { .id = slice_str(d->id), .tenant = slice_str(x->req->tenant), .status = -1 };
    d->state = DESK_ASKING;
    switch (d->what) {
    case DESK_SUBMIT: submit(d); return;
    case DESK_SHOW:
        a.verb = JOBS_GET;
        ask(d, &a, on_shown);
        return;
    case DESK_CANCEL:
        a.verb = JOBS_CANCEL;
        a.forget = true;
        ask(d, &a, on_canceled);
        return;
    case DESK_EVENTS:
        a.verb = JOBS_EVENTS;
        a.after = NO_EVENTS;
        a.count = 1;
        ask(d, &a, on_watched);
        return;
    case DESK_HOOKS:
        a.verb = JOBS_HOOKS;
        ask(d, &a, on_hooks);
        return;
    case DESK_SECRET: reply_secret(d); return;
    case DESK_NOTHING: refused(d, &(struct jobs_answer){ .rc = JOBS_NOT_FOUND }); return;
    case DESK_LIST:
        a.verb = JOBS_LIST;
        a.id = SLICE("");
        a.before = slice_str(d->list.after);
        a.status = d->list.status;
        a.count = d->list.count + 1;
        ask(d, &a, on_listed);
    }
}

/* -- Beginning --------------------------------------------------------------------------------------------- */

static void wrong_method(struct job_desk *d, const char *methods) {
    d->x->methods = methods;
    exchange_fail(d->x, FAILURE_METHOD, "this method is not allowed here; the header Allow says which one is");
}

static struct slice path_of(const struct job *j) {
    const char *mark = j->path.len > 0 ? memchr(j->path.ptr, '?', j->path.len) : NULL;
    return mark ? slice_of(j->path.ptr, (size_t)(mark - j->path.ptr)) : j->path;
}

static const struct slice chats = SLICE("/v1/chat/completions");

/* Its path says who may ask.  Of a function, or when its route is gone, that of chats does. */
static void on_found(struct jobs_op *op, const struct jobs_answer *a) {
    struct job_desk *d = desk_of(op);
    struct exchange *x = d->x;
    if (a->rc == JOBS_NOT_FOUND) d->what = DESK_NOTHING;
    else if (a->rc != 0) {
        refused(d, a);
        return;
    }
    struct slice path = a->rc == 0 ? path_of(a->jobs) : chats;
    const char *copy = arena_dup(&x->req->arena, path.len > 0 && exchange_leads(x, path) ? path : chats);
    d->state = DESK_ADMITTING;
    x->job = arena_dup(&x->req->arena, slice_str(d->id));
    if (copy == NULL) exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
    else exchange_begin_admission(x, slice_str(copy)); /* may free d */
}

static void begin_one(struct job_desk *d, struct slice id) {
    slice_copy(d->id, sizeof(d->id), id);
    d->state = DESK_FINDING;
    ask(d, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(d->id), .after = NO_EVENTS, .count = 1 }, on_found);
}

static bool is_read(const struct exchange *x) {
    return slice_eq(x->req->method, SLICE("GET")) || slice_eq(x->req->method, SLICE("HEAD"));
}

static void begin_list(struct job_desk *d) {
    struct job_ask_error why;
    struct exchange *x = d->x;
    d->what = DESK_LIST;
    if (!is_read(x)) wrong_method(d, "GET, HEAD");
    else if (!job_ask_list(x->req->query, &d->list, LIST_DEFAULT, LIST_MOST, &why))
        fail(d, 400, NULL, why.message);
    else {
        d->state = DESK_ADMITTING;
        exchange_begin_admission(x, d->list.path[0] ? slice_str(d->list.path) : chats);
    }
}

static void begin_secret(struct job_desk *d) {
    d->what = DESK_SECRET;
    d->state = DESK_ADMITTING;
    if (!is_read(d->x)) wrong_method(d, "GET, HEAD");
    else exchange_begin_admission(d->x, chats);
}

/* What is behind an id: "", "/events", "/webhook"; other things are no id. */
static bool take_id(struct slice rest, struct slice *id, struct slice *behind) {
    static const struct slice front = SLICE("job_");
    if (!slice_starts(rest, front)) return false;
    const char *slash = memchr(rest.ptr, '/', rest.len);
    *id = slice_of(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len);
    *behind = slice_of(rest.ptr + id->len, rest.len - id->len);
    for (size_t i = front.len; i < id->len; i++)
        if (!((id->ptr[i] >= '0' && id->ptr[i] <= '9') || (id->ptr[i] >= 'a' && id->ptr[i] <= 'f'))) return false;
    return id->len < JOB_ID_SIZE;
}

static void begin_known(struct job_desk *d, struct slice id, struct slice behind) {
    struct exchange *x = d->x;
    bool events = slice_eq(behind, SLICE("/events"));
    if (events) {
        d->what = DESK_EVENTS;
        if (!is_read(x)) wrong_method(d, "GET, HEAD");
        else if (job_ask_is_end(x->req)) exchange_reply(x, 204, SLICE(""), &(struct buf){ .data = NULL });
        else if (!job_ask_after(x->req, &d->seen))
            fail(d, 400, NULL, "Last-Event-ID is the id of an event of this stream, as in 7 or 8.2");
        else begin_one(d, id);
    } else if (slice_eq(behind, SLICE("/webhook"))) {
        d->what = DESK_HOOKS;
        if (!is_read(x)) wrong_method(d, "GET, HEAD");
        else begin_one(d, id);
    } else if (behind.len > 0) {
        exchange_fail(x, FAILURE_NOT_FOUND, "a job has /v1/async/ID, /v1/async/ID/events and /v1/async/ID/webhook");
    } else {
        bool cancels = slice_eq(x->req->method, SLICE("DELETE"));
        d->what = cancels ? DESK_CANCEL : DESK_SHOW;
        if (!cancels && !is_read(x)) wrong_method(d, "GET, HEAD, DELETE");
        else begin_one(d, id);
    }
}

/* PATH as it stands, or with OpenAI's /v1 in front, when only that leads somewhere. */
static struct slice path_of_post(struct exchange *x, struct slice rest) {
    if (exchange_leads(x, rest)) return rest;
    char *with = arena_alloc(&x->req->arena, rest.len + 4);
    if (with == NULL) return rest;
    snprintf(with, rest.len + 4, "/v1%.*s", (int)rest.len, rest.ptr);
    return exchange_leads(x, slice_str(with)) ? slice_str(with) : rest;
}

static void begin_submit(struct job_desk *d, struct slice path, struct buf *body) {
    struct exchange *x = d->x;
    struct job_ask_error why;
    d->what = DESK_SUBMIT;
    x->req->path = path_of_post(x, path);
    d->job.max_tries = x->gen->config->jobs->max_tries;
    if (!job_ask_read(x->req, &d->job, &why)) {
        fail(d, 400, NULL, why.message);
        return;
    }
    d->state = DESK_ADMITTING;
    exchange_begin(x, body); /* may free d */
}

void job_desk_begin(struct job_desk *d, struct buf *body) {
    struct exchange *x = d->x;
    struct slice path = x->req->path, rest = slice_of(path.ptr + root.len, path.len - root.len), id, behind;
    bool is_post = slice_eq(x->req->method, SLICE("POST"));
    if (rest.len <= 1) begin_list(d);
    else if (slice_eq(rest, SLICE("/webhook-secret"))) begin_secret(d);
    else if (take_id(slice_of(rest.ptr + 1, rest.len - 1), &id, &behind)) begin_known(d, id, behind);
    else if (is_post) begin_submit(d, rest, body);
    else if (exchange_leads(x, path_of_post(x, rest))) wrong_method(d, "POST");
    else exchange_fail(x, FAILURE_NOT_FOUND, "there is no such job, and no such path to make one of");
}
