/* batch_desk.c -- what clients ask of files and batches, under /v1/files and /v1/batches.
 *
 *     POST   /v1/files              a file, as multipart/form-data         GET    /v1/files, /v1/files/ID
 *     GET    /v1/files/ID/content   its bytes                              DELETE /v1/files/ID
 *     POST   /v1/batches            a job that asks all lines of a file    GET    /v1/batches, /v1/batches/ID
 *     POST   /v1/batches/ID/cancel
 *
 * As in OpenAI's API, whose SDKs are the clients.  Who may?  As with jobs (job_desk.c): policies that say so, of the
 * route of the batch's endpoint when one is made, else of that of chats.  That makes the tenant, and files and batches
 * are their tenant's and nobody else's.
 *
 *     NEW --begin: path, method, body--> ADMITTING --admitted--> ASKING: the queue, the disk, or at once --> reply
 *
 * A batch is a job with the path /v1/batches and a mark of this desk (job_put_guard), which batch_work.c does.  It
 * remembers who let it in; lines have no headers, so an endpoint whose route is chosen by some leads elsewhere then.
 * A list of batches looks through the tenant's jobs, as many at once as a queue tells, until it has found enough or
 * there are no more: however many other jobs are newer, a page is full and says rightly whether it is the last.
 * Then it asks for each: what was posted is not in lists. */
#include "gateway/batch_desk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/stamp.h"
#include "flow/response.h"
#include "gateway/file_source.h"
#include "gateway/job_ask.h"
#include "gateway/served.h"
#include "gateway/upload.h"
#include "http/path.h"
#include "jobs/batch_object.h"
#include "request/form.h"
#include "request/job_question.h"

#define LIST_MOST    100
#define LIST_DEFAULT 20
#define CANCELLING_MS 600000 /* that the files of a cancelled batch may take, as OpenAI has it */
#define BATCH_TRIES  20   /* workers that may die over it */

enum desk_what { DESK_UPLOAD, DESK_FILES, DESK_FILE, DESK_CONTENT, DESK_REMOVE,
                 DESK_MAKE, DESK_BATCHES, DESK_BATCH, DESK_STOP };

struct batch_desk {
    struct exchange  *x;
    enum desk_what    what;
    bool              asking;
    char              id[64];      /* of the file, or of the batch's job */
    struct buf        body, out;
    struct json_doc   doc;
    struct batch_wish wish;
    struct jobs_op    op;
    struct job        job;
    struct upload    *upload;
    unsigned          limit;       /* of a list */
    char              after[64], purpose[32];
    bool              oldest_first;
    char              found[LIST_MOST + 1][JOB_ID_SIZE];
    unsigned          found_count, shown;
    bool              disk_failed; /* while a batch was looked at */
};

static const struct slice files = SLICE(SERVED_FILES_ROOT), batches = SLICE(SERVED_BATCHES_ROOT),
                          chats = SLICE("/v1/chat/completions");

struct batch_desk *batch_desk_new(struct exchange *x) {
    struct batch_desk *d = mem_zalloc(sizeof(*d));
    if (d != NULL) d->x = x;
    return d;
}

void batch_desk_free(struct batch_desk *d) {
    if (d == NULL) return;
    jobs_cancel(&d->op);
    if (d->upload != NULL) upload_leave(d->upload);
    json_deinit(&d->doc);
    buf_deinit(&d->body);
    buf_deinit(&d->out);
    mem_free(d);
}

static const struct job_settings *settings(const struct batch_desk *d) { return d->x->gen->config->jobs; }
static struct slice tenant(const struct batch_desk *d) { return slice_str(d->x->req->tenant); }

/* -- Replies ------------------------------------------------------------------------------------- */

/* All of them free d. */
static void fail(struct batch_desk *d, int status, const char *param, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, status == 404 ? FAILURE_NOT_FOUND : FAILURE_INVALID_REQUEST, "%s", message);
    f.status = status;
    if (param != NULL) snprintf(f.param, sizeof(f.param), "%s", param);
    exchange_fail_with(d->x, &f);
}

static void wrong_method(struct batch_desk *d, const char *methods) {
    d->x->methods = methods;
    exchange_fail(d->x, FAILURE_METHOD, "this method is not allowed here; the header Allow says which one is");
}

static void reply(struct batch_desk *d, struct buf *b) {
    exchange_reply(d->x, 200, SLICE("cache-control: no-store\r\n"), b);
}

static void reply_file(struct batch_desk *d, const struct file_facts *f) {
    file_object_write(&d->out, f);
    reply(d, &d->out);
}

static void disk_fails(struct batch_desk *d) {
    struct failure f;
    log_of_request(d->x->w->log, PERILUNE_LOG_ERROR, d->x->req->id, "jobs.files: %s: %s", settings(d)->files.folder,
                   strerror(errno));
    failure_init(&f);
    failure_set(&f, FAILURE_UNAVAILABLE, "files cannot be read or kept now; try again later");
    snprintf(f.code, sizeof(f.code), "files_unavailable");
    snprintf(f.type, sizeof(f.type), "server_error");
    exchange_fail_with(d->x, &f);
}

static void no_file(struct batch_desk *d) {
    fail(d, 404, "id", "there is no such file; it may be of somebody else, or was kept long enough (jobs.file_keep)");
}

static void too_many_files(struct batch_desk *d) {
    fail(d, 409, NULL, "you have as many files as may be kept (jobs.max_files); delete some");
}

static void too_many_bytes(struct batch_desk *d) {
    fail(d, 409, "file", "your files would have more bytes than may be kept (jobs.max_file_bytes); delete some");
}

/* *lines: how many are in it, where that is known.  Sets d->disk_failed when nobody can say. */
static bool has_file(struct batch_desk *d, const struct job *j, bool errors, uint64_t *lines) {
    struct file_facts f = { .lines = 0 };
    char id[FILE_ID_SIZE];
    batch_output_id(j->id, errors, id);
    *lines = 0;
    if (!job_is_over(j->status)) return false;
    int rc = file_find(&settings(d)->files, tenant(d), slice_str(id), stamp_ms(CLOCK_REALTIME) / 1000, &f);
    if (rc == 0) *lines = f.lines;
    d->disk_failed |= rc != 0 && rc != FILE_NOT_FOUND;
    return rc == 0;
}

/* Is there what a worker writes, or wrote when it died, and nobody has called it a file yet? */
static bool is_written(struct batch_desk *d, const struct job *j, bool errors) {
    uint64_t ignored;
    char id[FILE_ID_SIZE], path[FILE_PATH_SIZE];
    batch_output_id(j->id, errors, id);
    file_path(&settings(d)->files, tenant(d), id, path);
    return access(path, F_OK) == 0 && !has_file(d, j, errors, &ignored);
}

static bool put_batch(struct batch_desk *d, const struct job *j) {
    bool soon = j->status == JOB_CANCELED && stamp_ms(CLOCK_REALTIME) < j->ended_ms + CANCELLING_MS;
    struct batch_look look = { .is_unfinished = soon && (is_written(d, j, false) || is_written(d, j, true)),
                               .window_ms = settings(d)->batch_window_ms };
    look.has_output = has_file(d, j, false, &look.good); /* behind is_written(): files come, and do not go */
    look.has_errors = has_file(d, j, true, &look.failed);
    return !d->disk_failed && batch_object_write(&d->out, j, &look);
}

static void reply_batch(struct batch_desk *d, const struct job *j) {
    bool put = put_batch(d, j);
    if (d->disk_failed) disk_fails(d);
    else if (!put) fail(d, 404, "id", "there is no such batch");
    else reply(d, &d->out);
}

/* What the queue could not do. */
static void refused(struct batch_desk *d, const struct jobs_answer *a) {
    struct failure f;
    failure_init(&f);
    if (d->x->w->jobs != NULL) jobs_say(d->x->w->jobs, d->x->w->log, d->x->req->id, a);
    if (a->rc == JOBS_NOT_FOUND) {
        fail(d, 404, "id", "there is no such batch; it may be of somebody else, or was kept long enough (jobs.keep)");
        return;
    }
    job_refused(&f, a);
    exchange_fail_with(d->x, &f);
}

static void ask(struct batch_desk *d, const struct jobs_ask *a,
                void (*done)(struct jobs_op *, const struct jobs_answer *)) {
    struct jobs *j = d->x->w->jobs;
    int rc = j != NULL ? jobs_begin(j, &d->op, a, done) : PERILUNE_ERR_NOMEM;
    if (rc != 0) refused(d, &(struct jobs_answer){ .rc = rc });
}

static struct batch_desk *desk_of(struct jobs_op *op) { return container_of(op, struct batch_desk, op); }

/* -- Files ------------------------------------------------------------------------------------------- */

static void on_uploaded(void *ud, int rc) {
    struct batch_desk *d = ud;
    struct file_facts f;
    d->upload = NULL;
    if (rc == FILE_TOO_MANY || rc == FILE_TOO_MUCH) {
        if (rc == FILE_TOO_MANY) too_many_files(d);
        else too_many_bytes(d);
        return;
    }
    if (rc == 0) rc = file_find(&settings(d)->files, tenant(d), slice_str(d->id), stamp_ms(CLOCK_REALTIME) / 1000, &f);
    if (rc != 0) disk_fails(d);
    else reply_file(d, &f);
}

/* The parts of the form of a file. */
enum { PURPOSE, CONTENT, LIFETIME, ANCHOR, ANCHOR_DOT, SECONDS, SECONDS_DOT, PARTS };

/* expires_after, whose members are parts of their own: SDKs write names of members in brackets, or behind a dot.  False
 * after having failed. */
static bool read_lifetime(struct batch_desk *d, const struct form_part *parts, uint64_t *keep_s) {
    struct slice anchor = parts[ANCHOR].content, seconds = parts[SECONDS].content;
    char why[200];
    if (anchor.ptr == NULL) anchor = parts[ANCHOR_DOT].content;
    if (seconds.ptr == NULL) seconds = parts[SECONDS_DOT].content;
    if (anchor.ptr == NULL && seconds.ptr == NULL && parts[LIFETIME].content.ptr == NULL) return true;
    if (file_lifetime_read(anchor, seconds, settings(d)->files.keep_ms, keep_s, why, sizeof(why))) return true;
    fail(d, 400, "expires_after", why);
    return false;
}

/* Its parts.  False after having failed. */
static bool read_form(struct batch_desk *d, struct file_facts *f, struct slice *content) {
    struct form_part parts[PARTS] = { [PURPOSE] = { .name = SLICE("purpose") }, [CONTENT] = { .name = SLICE("file") },
                                      [LIFETIME] = { .name = SLICE("expires_after") },
                                      [ANCHOR] = { .name = SLICE("expires_after[anchor]") },
                                      [ANCHOR_DOT] = { .name = SLICE("expires_after.anchor") },
                                      [SECONDS] = { .name = SLICE("expires_after[seconds]") },
                                      [SECONDS_DOT] = { .name = SLICE("expires_after.seconds") } };
    form_parts(request_header(d->x->req, SLICE("content-type")), buf_get(&d->body), parts, PARTS);
    struct slice purpose = parts[PURPOSE].content, name = parts[CONTENT].filename;
    *content = parts[CONTENT].content;
    if (purpose.ptr == NULL || content->ptr == NULL || name.ptr == NULL) {
        fail(d, 400, purpose.ptr == NULL ? "purpose" : "file",
             "a file comes as multipart/form-data with the parts \"purpose\" and \"file\"");
        return false;
    }
    if (parts[PURPOSE].times > 1 || parts[CONTENT].times > 1) {
        fail(d, 400, "file", "each of the parts \"purpose\" and \"file\" comes once");
        return false;
    }
    if (!slice_eq(purpose, SLICE("batch"))) {
        fail(d, 400, "purpose", "files are kept for batches here: \"purpose\" must be \"batch\"");
        return false;
    }
    uint64_t keep_s = settings(d)->files.keep_ms / 1000;
    if (!read_lifetime(d, parts, &keep_s)) return false;
    f->created_s = stamp_ms(CLOCK_REALTIME) / 1000;
    f->expires_s = keep_s > 0 ? f->created_s + keep_s : 0;
    slice_copy(f->purpose, sizeof(f->purpose), purpose);
    slice_copy(f->name, sizeof(f->name), slice_of(name.ptr, utf8_valid_prefix(name)));
    slice_mute(f->name);
    file_id_new(stamp_ms(CLOCK_REALTIME), &d->x->w->loop->rng, f->id);
    snprintf(d->id, sizeof(d->id), "%s", f->id);
    return true;
}

static void upload(struct batch_desk *d) {
    struct file_facts f = { .bytes = 0 };
    struct slice content;
    if (!read_form(d, &f, &content)) return;
    struct upload_options opt = { .loop = d->x->w->loop, .files = &settings(d)->files, .tenant = tenant(d),
                                  .facts = &f, .body = &d->body, .content = content, .done = on_uploaded, .ud = d };
    d->upload = upload_new(&opt);
    if (d->upload == NULL) disk_fails(d);
}

/* Behind the last of a list.  NULL: there is none. */
static void end_list(struct batch_desk *d, const char *first, const char *last, bool more) {
    buf_puts(&d->out, "],\"first_id\":");
    if (first != NULL) buf_printf(&d->out, "\"%s\",\"last_id\":\"%s\"", first, last);
    else buf_puts(&d->out, "null,\"last_id\":null");
    buf_printf(&d->out, ",\"has_more\":%s}", more ? "true" : "false");
}

static void list_files(struct batch_desk *d) {
    struct file_facts *all = mem_alloc((d->limit + 1) * sizeof(*all));
    struct file_filter which = { .after = slice_str(d->after), .oldest_first = d->oldest_first };
    if (d->purpose[0] != '\0') which.purpose = slice_str(d->purpose);
    int n = all == NULL ? PERILUNE_ERR_NOMEM : file_list(&settings(d)->files, tenant(d), &which,
                                                         stamp_ms(CLOCK_REALTIME) / 1000, all, d->limit + 1);
    if (n < 0) {
        mem_free(all);
        disk_fails(d);
        return;
    }
    unsigned shown = (unsigned)n < d->limit ? (unsigned)n : d->limit;
    buf_puts(&d->out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < shown; i++) {
        if (i > 0) buf_putc(&d->out, ',');
        file_object_write(&d->out, &all[i]);
    }
    end_list(d, shown > 0 ? all[0].id : NULL, shown > 0 ? all[shown - 1].id : NULL, (unsigned)n > d->limit);
    mem_free(all);
    reply(d, &d->out);
}

static void send_content(struct batch_desk *d, const struct file_facts *f) {
    char path[FILE_PATH_SIZE];
    struct exchange *x = d->x;
    file_path(&settings(d)->files, tenant(d), f->id, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        disk_fails(d);
        return;
    }
    struct source *s = file_source_new(x->w->loop, fd, f->bytes);
    struct response *r = s ? response_new(&(struct response_options){ .loop = x->w->loop, .upstream = "",
                                                                      .high_water = 1 << 16 }) : NULL;
    if (r == NULL) {
        if (s != NULL) source_cancel(s);
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    response_start(r, s);
    exchange_deliver(x, r); /* may free d */
}

static void remove_file(struct batch_desk *d, const struct file_facts *f) {
    int rc = file_remove(&settings(d)->files, tenant(d), slice_str(d->id), stamp_ms(CLOCK_REALTIME) / 1000);
    if (rc == FILE_NOT_FOUND) no_file(d);
    else if (rc != 0) disk_fails(d);
    else {
        buf_printf(&d->out, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}", f->id);
        reply(d, &d->out);
    }
}

static void one_file(struct batch_desk *d) {
    struct file_facts f;
    int rc = file_find(&settings(d)->files, tenant(d), slice_str(d->id), stamp_ms(CLOCK_REALTIME) / 1000, &f);
    if (rc == FILE_NOT_FOUND) no_file(d);
    else if (rc != 0) disk_fails(d);
    else if (d->what == DESK_CONTENT) send_content(d, &f);
    else if (d->what == DESK_FILE) reply_file(d, &f);
    else remove_file(d, &f);
}

/* -- Batches ------------------------------------------------------------------------------------------- */

static void on_made(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    if (a->rc == 0 && a->existed && !job_asks_same(a->jobs, &d->job)) {
        struct failure f;
        failure_init(&f);
        job_key_reused(&f);
        exchange_fail_with(d->x, &f);
    } else if (a->rc != 0) refused(d, a);
    else reply_batch(d, a->jobs);
}

static void make(struct batch_desk *d) {
    struct job_ask_error why;
    struct file_facts f;
    struct slice key;
    if (!job_ask_key(d->x->req, &key, &why)) {
        fail(d, 400, NULL, why.message);
        return;
    }
    int rc = file_find(&settings(d)->files, tenant(d), slice_str(d->wish.input), stamp_ms(CLOCK_REALTIME) / 1000, &f);
    if (rc != 0) {
        if (rc != FILE_NOT_FOUND) disk_fails(d);
        else fail(d, 400, "input_file_id", "there is no such file of yours; upload it by POST /v1/files");
        return;
    }
    d->job = (struct job){ .tenant = tenant(d), .queue = SLICE(""), .function = SLICE(""), .path = batches,
                           .headers = SLICE(""), .body = buf_get(&d->body), .webhook = SLICE(""),
                           .key = key, .max_tries = BATCH_TRIES,
                           .keep_ms = settings(d)->files.keep_ms };
    struct arena *a = &d->x->req->arena;
    struct job line = d->job;
    line.path = slice_str(d->wish.endpoint);
    if (!job_put_guard(&d->job, a, d->x->req->guard, true) || !job_put_guard(&line, a, d->x->req->guard, true)) {
        exchange_fail(d->x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    if (!exchange_admits_job(d->x, &line)) {
        fail(d, 400, "endpoint", "the route of this request is chosen by headers, which the lines of a batch do not "
                                 "have, so that they would run on another one, which asks for a key");
        return;
    }
    ask(d, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &d->job }, on_made);
}

static void on_shown(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    if (a->rc != 0) refused(d, a);
    else if (!slice_eq(a->jobs->path, batches)) refused(d, &(struct jobs_answer){ .rc = JOBS_NOT_FOUND });
    else reply_batch(d, a->jobs);
}

static void show(struct batch_desk *d) {
    ask(d, &(struct jobs_ask){ .verb = JOBS_GET, .id = slice_str(d->id), .tenant = tenant(d) }, on_shown);
}

static void on_stopped(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    if (a->rc == JOBS_IS_OVER && a->count > 0 && a->jobs->status != JOB_CANCELED)
        fail(d, 409, NULL, "the batch has ended");
    else if (a->rc != 0 && a->rc != JOBS_IS_OVER) refused(d, a);
    else show(d);
}

static void on_known(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    if (a->rc != 0) refused(d, a);
    else if (!slice_eq(a->jobs->path, batches)) refused(d, &(struct jobs_answer){ .rc = JOBS_NOT_FOUND });
    else ask(d, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(d->id), .tenant = tenant(d) }, on_stopped);
}

/* A list: ids first, then each of them. */
static void show_next(struct batch_desk *d);

static void on_next(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    size_t from = buf_len(&d->out);
    if (a->rc == 0 && !buf_failed(&d->out)) {
        if (d->out.data[d->out.len - 1] == '}') buf_putc(&d->out, ',');
        if (!put_batch(d, a->jobs) && !buf_failed(&d->out)) d->out.len = d->out.mark + from;
    }
    if (d->disk_failed) disk_fails(d);
    else show_next(d);
}

static void show_next(struct batch_desk *d) {
    unsigned n = d->found_count < d->limit ? d->found_count : d->limit;
    if (d->shown < n) {
        struct slice id = slice_str(d->found[d->shown++]);
        ask(d, &(struct jobs_ask){ .verb = JOBS_GET, .id = id, .tenant = tenant(d) }, on_next);
        return;
    }
    char first[JOB_ID_SIZE + 2], last[JOB_ID_SIZE + 2];
    if (n > 0) batch_id_of(d->found[0], first);
    if (n > 0) batch_id_of(d->found[n - 1], last);
    end_list(d, n > 0 ? first : NULL, last, d->found_count > d->limit);
    reply(d, &d->out);
}

static void look_on(struct batch_desk *d);

static void on_looked(struct jobs_op *op, const struct jobs_answer *a) {
    struct batch_desk *d = desk_of(op);
    if (a->rc != 0) {
        refused(d, a);
        return;
    }
    for (unsigned i = 0; i < a->count && d->found_count <= d->limit; i++)
        if (slice_eq(a->jobs[i].path, batches))
            snprintf(d->found[d->found_count++], JOB_ID_SIZE, "%s", a->jobs[i].id);
    /* A short page is not the last one: what was forgotten meanwhile is missing in it. */
    bool last = a->count == 0 || d->found_count > d->limit;
    if (!last) snprintf(d->after, sizeof(d->after), "%s", a->jobs[a->count - 1].id);
    if (last) show_next(d);
    else look_on(d);
}

static void look_on(struct batch_desk *d) {
    ask(d, &(struct jobs_ask){ .verb = JOBS_LIST, .tenant = tenant(d), .before = slice_str(d->after), .status = -1,
                               .count = JOBS_MOST }, on_looked);
}

/* -- Admitted -------------------------------------------------------------------------------------------- */

void batch_desk_admitted(struct batch_desk *d) {
    struct jobs_ask known = { .verb = JOBS_GET, .id = slice_str(d->id), .tenant = tenant(d) };
    switch (d->what) {
    case DESK_UPLOAD: upload(d); return;
    case DESK_FILES: list_files(d); return;
    case DESK_FILE:
    case DESK_CONTENT:
    case DESK_REMOVE: one_file(d); return;
    case DESK_MAKE: make(d); return;
    case DESK_BATCH: show(d); return;
    case DESK_STOP: ask(d, &known, on_known); return;
    case DESK_BATCHES:
        buf_puts(&d->out, "{\"object\":\"list\",\"data\":[");
        look_on(d);
        return;
    }
}

/* -- Beginning -------------------------------------------------------------------------------------------- */

static bool is_method(const struct batch_desk *d, const char *method) {
    return slice_eq(d->x->req->method, slice_str(method));
}
static bool is_read(const struct batch_desk *d) { return is_method(d, "GET") || is_method(d, "HEAD"); }

static void admit(struct batch_desk *d, enum desk_what what, struct slice path) {
    d->what = what;
    exchange_begin_admission(d->x, path); /* may free d */
}

/* 1 to LIST_MOST, more is LIST_MOST; 0: it is no number. */
static unsigned read_limit(struct slice s) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
        if (n > LIST_MOST) n = LIST_MOST;
    }
    return n;
}

/* One member of a list's query.  NULL, or which one is wrong. */
static const char *read_member(struct batch_desk *d, struct slice name, struct slice value, bool of_batches) {
    if (slice_eq(name, SLICE("limit"))) {
        d->limit = read_limit(value);
        return d->limit > 0 ? NULL : "limit";
    }
    if (slice_eq(name, SLICE("after"))) {
        slice_copy(d->after, sizeof(d->after), value);
        return (of_batches ? batch_id_read(value, d->after) : file_id_is(value)) ? NULL : "after";
    }
    if (of_batches) return NULL;
    if (slice_eq(name, SLICE("purpose"))) {
        slice_copy(d->purpose, sizeof(d->purpose), value);
        return value.len < sizeof(d->purpose) ? NULL : "purpose";
    }
    if (!slice_eq(name, SLICE("order"))) return NULL;
    d->oldest_first = slice_eq(value, SLICE("asc"));
    return d->oldest_first || slice_eq(value, SLICE("desc")) ? NULL : "order";
}

/* What list is wanted.  False after having failed. */
static bool read_list(struct batch_desk *d, bool of_batches) {
    struct slice q = d->x->req->query;
    const char *wrong = NULL;
    d->limit = of_batches ? LIST_DEFAULT : LIST_MOST;
    while (q.len > 0 && wrong == NULL) {
        const char *end = memchr(q.ptr, '&', q.len);
        struct slice one = slice_of(q.ptr, end ? (size_t)(end - q.ptr) : q.len);
        const char *is = one.len > 0 ? memchr(one.ptr, '=', one.len) : NULL;
        size_t len = is ? (size_t)(is - one.ptr) : one.len;
        q = end ? slice_of(end + 1, q.len - one.len - 1) : SLICE("");
        size_t value = len + (is != NULL);
        wrong = read_member(d, slice_of(one.ptr, len), slice_of(one.ptr + value, one.len - value), of_batches);
    }
    if (wrong == NULL) return true;
    fail(d, 400, wrong, of_batches ? "\"limit\" is a number from 1 to 100, \"after\" the id of one of the list"
                                   : "\"limit\" is a number from 1 to 100, \"after\" the id of one of the list, "
                                     "\"order\" is \"asc\" or \"desc\", \"purpose\" that of the files");
    return false;
}

static void begin_file(struct batch_desk *d, struct slice rest) {
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct slice id = slice_of(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len),
                 behind = slice_of(rest.ptr + id.len, rest.len - id.len);
    bool content = slice_eq(behind, SLICE("/content"));
    slice_copy(d->id, sizeof(d->id), id);
    if (!file_id_is(id) || (behind.len > 0 && !content)) no_file(d);
    else if (content && !is_read(d)) wrong_method(d, "GET, HEAD");
    else if (content) admit(d, DESK_CONTENT, chats);
    else if (is_method(d, "DELETE")) admit(d, DESK_REMOVE, chats);
    else if (is_read(d)) admit(d, DESK_FILE, chats);
    else wrong_method(d, "GET, HEAD, DELETE");
}

static void begin_batch(struct batch_desk *d, struct slice rest) {
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct slice id = slice_of(rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len),
                 behind = slice_of(rest.ptr + id.len, rest.len - id.len);
    bool stop = slice_eq(behind, SLICE("/cancel"));
    if (!batch_id_read(id, d->id) || (behind.len > 0 && !stop)) fail(d, 404, "id", "there is no such batch");
    else if (stop && is_method(d, "POST")) admit(d, DESK_STOP, chats);
    else if (stop) wrong_method(d, "POST");
    else if (is_read(d)) admit(d, DESK_BATCH, chats);
    else wrong_method(d, "GET, HEAD");
}

/* Lines have it byte for byte, and routes see its one form: they had better be the same. */
static bool is_plain(const struct batch_desk *d, struct slice path) {
    struct slice form = path;
    const char *ignored;
    return http_path_normalize(&form, &d->x->req->arena, &ignored) == 0 && slice_eq(form, path);
}

static void begin_make(struct batch_desk *d) {
    const char *param = NULL;
    char why[240];
    struct json_error e;
    int rc = json_parse(&d->doc, buf_get(&d->body), &e);
    if (rc == PERILUNE_ERR_NOMEM) exchange_fail(d->x, FAILURE_NO_MEMORY, "out of memory");
    else if (rc != 0) fail(d, 400, NULL, "the body is no valid JSON");
    else if (batch_wish_read(&d->wish, &d->doc, settings(d)->files.keep_ms, &param, why, sizeof(why)) != 0)
        fail(d, 400, param, why);
    else if (!is_plain(d, slice_str(d->wish.endpoint)))
        fail(d, 400, "endpoint", "\"endpoint\" must be a path written plainly, such as \"/v1/chat/completions\"");
    else if (!exchange_leads(d->x, slice_str(d->wish.endpoint)) ||
             served_by(d->x->gen->config, slice_str(d->wish.endpoint)) != SERVED_NOT)
        fail(d, 400, "endpoint", "no route has the path of \"endpoint\"");
    else admit(d, DESK_MAKE, slice_str(d->wish.endpoint));
}

void batch_desk_begin(struct batch_desk *d, struct buf *body) {
    struct slice path = d->x->req->path;
    bool of_files = served_by(d->x->gen->config, path) == SERVED_FILES;
    size_t root = of_files ? files.len : batches.len;
    struct slice rest = slice_of(path.ptr + root, path.len - root);
    d->body = *body;
    *body = (struct buf){ .data = NULL };
    if (rest.len > 1 && of_files) begin_file(d, slice_of(rest.ptr + 1, rest.len - 1));
    else if (rest.len > 1) begin_batch(d, slice_of(rest.ptr + 1, rest.len - 1));
    else if (is_method(d, "POST") && of_files) admit(d, DESK_UPLOAD, chats);
    else if (is_method(d, "POST")) begin_make(d);
    else if (!is_read(d)) wrong_method(d, "GET, HEAD, POST");
    else if (read_list(d, !of_files)) admit(d, of_files ? DESK_FILES : DESK_BATCHES, chats);
}
