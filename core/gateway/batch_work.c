/* batch_work.c -- a batch, as a job that a worker does.
 *
 *     job (POST /v1/batches) --> input file --survey--> lines --engine--> output file, error file --> the job's end
 *
 *     SURVEYING --all lines good--> ASKING --engine over--> SYNCING --on the disk--> (job_work_end, freed)
 *         |                           |                        ^
 *         |                           +-- expired, cancelled --+-- RESTING: lines without an answer get an error
 *         +-- bad lines, no file --> (failed, freed)    stop from any state: what is answered is kept, (freed)
 *
 * A disk that fails, descriptors or memory that are used up are no fault of the batch: the job fails in a way that may
 * pass, and its next try goes on with what is in the files.
 *
 * The lines are asked by the engine that perilune batch has, as parts of this job: past policies that say who may ask,
 * which had their say when the batch was made (its guard is remembered), in the name of its tenant.  What is answered
 * is in the output file at once; a worker that dies, or is told to give its jobs back, leaves a job that another one
 * takes, and that one goes on with the file.  Two that hold the job at once, because one was away for longer than its
 * lease, do not write the file at once: it is locked.
 *
 * A day after it was made (jobs.batch_window) a batch takes no further lines, and what is under way is waited for; one
 * that is cancelled stops at once.  Then each line is in one of the files: those that nobody answered have
 * batch_expired or batch_cancelled as their error.  A cancelled batch is no job any more while that is written, so it
 * hangs on its worker.
 *
 * All of it is on the worker's loop, so it goes in slices: lines are looked at SLICE at a time, and reaching the disk
 * is a thread of libuv's. */
#include "gateway/batch_work.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/stamp.h"
#include "gateway/batch_engine.h"
#include "jobs/batch_object.h"
#include "jobs/batch_rest.h"
#include "jobs/batch_survey.h"
#include "request/job_question.h"

#define SLICE_LINES 32   /* that are looked at in a turn */
#define NOTE_MS     500  /* between two notes of how far it is */
#define TRIES       8    /* of a line */

enum work_state { SURVEYING, ASKING, RESTING, SYNCING };

struct batch_work {
    enum work_state       state;
    struct job_work      *work;      /* NULL: nobody waits for its end */
    struct list           link;      /* RESTING without work: worker->batches */
    struct batch_rest     rest;      /* RESTING */
    struct worker        *w;
    struct deferred       turn;
    struct timer          due;
    char                  folder[4096];
    struct file_settings  files;     /* of the configuration that it began with */
    struct file_facts     input;
    char                  paths[3][FILE_PATH_SIZE]; /* input, output, errors */
    struct batch_wish     wish;
    struct json_doc       body;
    struct batch_ids      ids;
    struct batch_input    in;
    struct batch_output   out, errors;
    struct batch_survey   survey;
    struct batch_settings set;
    struct batch_engine   engine;
    bool                  engine_open;
    struct batch_progress_note note;
    struct batch_usage    before;    /* of earlier tries */
    struct buf            faults;
    unsigned              told;
    uint64_t              window_ms;
    uint64_t              noted_ms;
    uv_fs_t               sync;
    uv_work_t             commit;    /* behind it */
    bool                  syncing_errors;
    char                  tenant[JOB_TENANT_MAX + 1];
    char                  job_id[JOB_ID_SIZE];
    char                  guard[GUARD_SIZE]; /* who let it in: of its endpoint */
    char                  why[500];
    bool                  may_pass;  /* what why says is no fault of the batch */
};

static const char unreadable[] = "the input file cannot be read now";

/* Its path alone says nothing: without jobs.files an upstream has it.  Who made it says so. */
bool batch_work_is(const struct job *j) { return job_is_batch(j); }

/* -- The end ----------------------------------------------------------------------------------- */

static void work_free(struct batch_work *b) {
    if (b->engine_open) batch_engine_close(&b->engine);
    if (b->rest.in != NULL) batch_rest_deinit(&b->rest);
    list_remove(&b->link);
    timer_stop(b->w->loop, &b->due);
    deferred_cancel(&b->turn);
    if (b->in.fd >= 0) batch_input_close(&b->in);
    batch_output_close(&b->out);
    batch_output_close(&b->errors);
    batch_survey_deinit(&b->survey);
    batch_ids_deinit(&b->ids);
    json_deinit(&b->body);
    buf_deinit(&b->faults);
    mem_free(b);
}

/* Why it cannot go on now. */
static void disk_said(struct batch_work *b, const char *what, const char *why) {
    snprintf(b->why, sizeof(b->why), "%s: %s", what, why);
    b->may_pass = true;
}

/* A file of answers is there when something is in it. */
typedef int commit_how(const struct file_settings *s, struct slice tenant, const struct file_facts *f);

static void commit(struct batch_work *b, const struct batch_output *out, bool errors, commit_how *how) {
    struct file_facts f = { .bytes = out->size, .created_s = stamp_ms(CLOCK_REALTIME) / 1000,
                            .lines = errors ? b->engine.tally.failed : b->engine.tally.good };
    if (out->size == 0 && out->fd >= 0) unlink(out->path);
    if (out->size == 0 || out->fd < 0) return;
    batch_output_id(b->job_id, errors, f.id);
    uint64_t keep_s = b->wish.output_keep_s > 0 ? b->wish.output_keep_s : b->files.keep_ms / 1000;
    f.expires_s = keep_s > 0 ? f.created_s + keep_s : 0;
    char id[JOB_ID_SIZE + 2];
    batch_id_of(b->job_id, id);
    snprintf(f.name, sizeof(f.name), "%s_%s.jsonl", id, errors ? "error" : "output");
    snprintf(f.purpose, sizeof(f.purpose), "batch_output");
    if (how(&b->files, slice_str(b->tenant), &f) != 0) disk_said(b, "the answers could not be kept", strerror(errno));
}

static void note(struct batch_work *b) {
    struct buf text;
    const struct batch_tally *t = &b->engine.tally;
    b->note.total = t->lines;
    b->note.good = t->good;
    b->note.failed = t->failed;
    b->note.faults = buf_get(&b->faults);
    b->note.used = (struct batch_usage){ .in = b->before.in + t->tokens_in, .out = b->before.out + t->tokens_out,
                                         .cached = b->before.cached + t->tokens_cached,
                                         .reasoning = b->before.reasoning + t->tokens_reasoning };
    buf_init(&text, 0);
    batch_note_write(&text, &b->note);
    if (!buf_failed(&text)) job_work_progress(b->work, buf_get(&text));
    buf_deinit(&text);
    b->noted_ms = loop_now(b->w->loop);
}

/* f NULL: well. Frees b. */
static void end(struct batch_work *b, const struct failure *f) {
    struct job_work *work = b->work;
    if (work != NULL) {
        note(b);
        work->user = NULL;
    }
    struct work_end how = { .failure = f, .status = f != NULL ? f->status : 200, .type = SLICE(""),
                           .result = SLICE("") };
    work_free(b);
    if (work != NULL) job_work_end(work, &how);
}

static void fail(struct batch_work *b, enum failure_kind kind, const char *code, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    if (code != NULL) snprintf(f.code, sizeof(f.code), "%s", code);
    end(b, &f);
    failure_deinit(&f);
}

/* What is no fault of the batch: it is tried again later. */
static void fail_for_now(struct batch_work *b, const char *message) {
    fail(b, FAILURE_UNAVAILABLE, "batch_files_unavailable", message);
}

/* -- Reaching the disk -------------------------------------------------------------------------- */

static void sync_next(struct batch_work *b);
static void run(struct deferred *j);

static void on_synced(uv_fs_t *req) {
    struct batch_work *b = container_of(req, struct batch_work, sync);
    ssize_t rc = req->result;
    uv_fs_req_cleanup(req);
    if (rc < 0) disk_said(b, "the answers could not be written", uv_strerror((int)rc));
    sync_next(b);
}

/* On a thread of libuv's: nobody else touches b meanwhile, but for b->work. */
static void commit_both(uv_work_t *req) {
    struct batch_work *b = container_of(req, struct batch_work, commit);
    commit(b, &b->out, false, file_commit);
    commit(b, &b->errors, true, file_commit);
}

static void on_committed(uv_work_t *req, int status) {
    struct batch_work *b = container_of(req, struct batch_work, commit);
    if (status < 0) commit_both(req); /* it was never begun */
    if (b->why[0] != '\0') log_line(b->w->log, PERILUNE_LOG_ERROR, "jobs.files: %s: %s", b->out.path, b->why);
    if (b->why[0] != '\0' && b->may_pass) fail_for_now(b, "the files of answers cannot be written now");
    else if (b->why[0] != '\0') fail(b, FAILURE_INTERNAL, "batch_failed", b->why);
    else end(b, NULL);
}

static void sync_over(struct batch_work *b) {
    if (uv_queue_work(&b->w->loop->uv, &b->commit, commit_both, on_committed) != 0) on_committed(&b->commit, UV_ENOMEM);
}

static void sync_next(struct batch_work *b) {
    if (b->syncing_errors) {
        sync_over(b);
        return;
    }
    list_remove(&b->link); /* libuv has it now: it frees itself */
    b->syncing_errors = b->state == SYNCING;
    int fd = b->syncing_errors ? b->errors.fd : b->out.fd;
    b->state = SYNCING;
    if (uv_fs_fdatasync(&b->w->loop->uv, &b->sync, fd, on_synced) != 0) sync_over(b);
}

static void rest(struct batch_work *b) {
    int rc = batch_rest_step(&b->rest, SLICE_LINES);
    if (rc == 0) {
        loop_next(b->w->loop, &b->turn, run);
        return;
    }
    b->engine.tally.failed += b->rest.written;
    if (rc < 0 && b->why[0] == '\0')
        disk_said(b, "the lines without an answer could not be written", perilune_strerror(rc));
    if (b->work != NULL) note(b);
    sync_next(b);
}

/* Whoever was not answered by now never will be. */
static void write_rest(struct batch_work *b, const char *code, const char *message) {
    b->state = RESTING;
    b->rest = (struct batch_rest){ .in = &b->in, .ids = &b->ids, .errors = &b->errors, .rng = &b->w->loop->rng,
                                   .code = code, .message = message };
    batch_rest_init(&b->rest);
    if (!deferred_is_waiting(&b->turn)) loop_next(b->w->loop, &b->turn, run);
}

static void engine_over(struct batch_work *b) {
    timer_stop(b->w->loop, &b->due); /* nothing is due any more */
    batch_engine_close(&b->engine); /* which writes what is answered, and may find that it cannot */
    b->engine_open = false;
    if (b->engine.why[0] != '\0') snprintf(b->why, sizeof(b->why), "%s", b->engine.why);
    b->may_pass = b->engine.may_pass;
    if (b->note.phase != BATCH_EXPIRED) b->note.phase = BATCH_FINALIZING;
    b->note.finalizing_s = stamp_ms(CLOCK_REALTIME) / 1000;
    if (b->work != NULL) note(b);
    if (b->note.phase == BATCH_EXPIRED && b->why[0] == '\0')
        write_rest(b, "batch_expired", "This request could not be executed before the completion window expired.");
    else sync_next(b);
}

/* -- Asking ------------------------------------------------------------------------------------------ */

static void due(struct timer *t) {
    struct batch_work *b = container_of(t, struct batch_work, due);
    if (!deferred_is_waiting(&b->turn)) loop_next(b->w->loop, &b->turn, run);
}

static void on_ready(void *ud) {
    struct batch_work *b = ud;
    if (!deferred_is_waiting(&b->turn)) loop_next(b->w->loop, &b->turn, run);
}

static void expire(struct batch_work *b) {
    if (b->note.phase == BATCH_EXPIRED || stamp_ms(CLOCK_REALTIME) < b->work->job.created_ms + b->window_ms) return;
    b->note.phase = BATCH_EXPIRED;
    batch_engine_end(&b->engine, BATCH_ENDING);
}

static void step(struct batch_work *b) {
    expire(b);
    if (!batch_engine_step(&b->engine)) {
        engine_over(b);
        return;
    }
    if (loop_now(b->w->loop) - b->noted_ms >= NOTE_MS) note(b);
    timer_start(b->w->loop, &b->due, (uint64_t)batch_engine_wait(&b->engine, NOTE_MS), due);
}

/* What an earlier try has answered already is in the files. */
static const char *open_outputs(struct batch_work *b) {
    struct batch_output *both[] = { &b->out, &b->errors };
    for (int i = 0; i < 2; i++) {
        int rc = batch_output_open(both[i], b->paths[1 + i], b->in.device, b->in.inode);
        if (rc == 0) rc = batch_output_load(both[i], &b->ids, false);
        if (rc != 0) return both[i]->err;
        b->engine.tally.good += both[i]->good;
        b->engine.tally.failed += both[i]->failed;
    }
    return NULL;
}

static void ask_all(struct batch_work *b) {
    const struct job_settings *s = b->w->gen->config->jobs;
    const char *wrong = open_outputs(b);
    if (wrong != NULL) { /* who may still hold them will not for long */
        log_line(b->w->log, PERILUNE_LOG_ERROR, "jobs.files: %s", wrong);
        fail_for_now(b, "the files of answers cannot be written now");
        return;
    }
    b->engine.tally.before = b->engine.tally.good + b->engine.tally.failed;
    b->engine.in = &b->in;
    b->engine.out = &b->out;
    b->engine.errors = &b->errors;
    b->engine.ids = &b->ids;
    b->set = (struct batch_settings){ .worker = b->w, .concurrency = s != NULL ? s->batch_concurrency : 1,
                                      .tries = TRIES, .keep_going = true, .job = b->job_id, .admitted = b->guard,
                                      .tenant = slice_str(b->tenant), .timeout_ms = s != NULL ? s->timeout_ms : 0,
                                      .ready = on_ready, .ud = b };
    b->engine_open = true;
    if (batch_engine_open(&b->engine, &b->set) != 0) {
        fail(b, FAILURE_NO_MEMORY, NULL, "out of memory");
        return;
    }
    b->state = ASKING;
    b->note.phase = BATCH_IN_PROGRESS;
    b->note.in_progress_s = stamp_ms(CLOCK_REALTIME) / 1000;
    note(b);
    step(b);
}

/* -- Looking at the lines ----------------------------------------------------------------------------- */

static void tell(void *ud, uint32_t line, const struct batch_fault *f) {
    struct batch_work *b = ud;
    if (b->told++ >= BATCH_FAULTS) return;
    if (b->told > 1) buf_putc(&b->faults, ',');
    buf_printf(&b->faults, "{\"code\":\"%s\",\"message\":", f->code);
    json_write_string(&b->faults, slice_str(f->message));
    if (f->param[0]) buf_printf(&b->faults, ",\"param\":\"%s\"", f->param);
    else buf_puts(&b->faults, ",\"param\":null");
    if (line > 0) buf_printf(&b->faults, ",\"line\":%u}", line);
    else buf_puts(&b->faults, ",\"line\":null}");
}

static void survey(struct batch_work *b) {
    int rc = batch_survey_step(&b->survey, SLICE_LINES);
    if (rc == 0) loop_next(b->w->loop, &b->turn, run);
    else if (rc == PERILUNE_ERR_NOMEM || buf_failed(&b->faults)) fail(b, FAILURE_NO_MEMORY, NULL, "out of memory");
    else if (rc < 0) fail_for_now(b, unreadable);
    else if (b->told > 0)
        fail(b, FAILURE_INVALID_REQUEST, "invalid_batch_file", "the input file has lines that cannot be asked");
    else {
        b->engine.tally.lines = b->survey.good;
        ask_all(b);
    }
}

static void run(struct deferred *j) {
    struct batch_work *b = container_of(j, struct batch_work, turn);
    if (b->state == SURVEYING) survey(b);
    else if (b->state == ASKING) step(b);
    else if (b->state == RESTING) rest(b);
}

/* -- For the runner --------------------------------------------------------------------------------------- */

static const char *disk_fails(struct batch_work *b, const char *why) {
    log_line(b->w->log, PERILUNE_LOG_ERROR, "jobs.files: %s: %s", b->job_id, why);
    b->may_pass = true;
    return unreadable;
}

/* NULL, or why not; b->may_pass: now. */
static const char *open_input(struct batch_work *b, const struct job *j) {
    const char *param;
    char err[600], id[FILE_ID_SIZE];
    int rc = json_parse(&b->body, j->body, &(struct json_error){ 0 });
    b->may_pass = rc == PERILUNE_ERR_NOMEM;
    if (b->may_pass) return "out of memory";
    if (rc != 0 || batch_wish_read(&b->wish, &b->body, 0, &param, b->why, sizeof(b->why)) != 0)
        return b->why[0] ? b->why : "the body is no JSON";
    uint64_t now = stamp_ms(CLOCK_REALTIME);
    rc = file_find(&b->files, j->tenant, slice_str(b->wish.input), now / 1000, &b->input);
    if (rc == FILE_NOT_FOUND) return "there is no file of yours with the id of input_file_id";
    if (rc != 0) return disk_fails(b, strerror(errno));
    file_path(&b->files, j->tenant, b->wish.input, b->paths[0]);
    for (int i = 0; i < 2; i++) {
        batch_output_id(j->id, i == 1, id);
        file_path(&b->files, j->tenant, id, b->paths[1 + i]);
    }
    /* It was told, so it is there: or it was deleted meanwhile, and the next try finds it gone. */
    return batch_input_open(&b->in, b->paths[0], err, sizeof(err)) == 0 ? NULL : disk_fails(b, err);
}

void batch_work_begin(struct worker *w, struct job_work *work) {
    const struct job_settings *s = w->gen->config->jobs;
    struct batch_work *b = mem_zalloc(sizeof(*b));
    if (b == NULL) {
        struct failure f;
        failure_init(&f);
        failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
        job_work_end(work, &(struct work_end){ .failure = &f, .status = f.status });
        return;
    }
    b->work = work;
    b->w = w;
    b->in.fd = b->out.fd = b->errors.fd = -1;
    b->window_ms = s != NULL ? s->batch_window_ms : UINT64_MAX / 2;
    list_init(&b->link);
    buf_init(&b->faults, 0);
    batch_ids_init(&b->ids);
    work->user = b;
    b->before = batch_note_used(work->job.progress);
    slice_copy(b->tenant, sizeof(b->tenant), work->job.tenant);
    snprintf(b->job_id, sizeof(b->job_id), "%s", work->job.id);
    bool ignored;
    job_guard(&work->job, b->guard, &ignored);
    snprintf(b->folder, sizeof(b->folder), "%s", s != NULL && s->files.folder != NULL ? s->files.folder : "/dev/null");
    if (s != NULL) b->files = s->files;
    b->files.folder = b->folder;
    b->survey = (struct batch_survey){ .in = &b->in, .ids = &b->ids, .endpoint = slice_str(b->wish.endpoint),
                                       .most = s != NULL ? s->batch_lines : 1, .tell = tell, .ud = b };
    batch_survey_init(&b->survey);
    const char *wrong = open_input(b, &work->job);
    b->survey.endpoint = slice_str(b->wish.endpoint);
    if (wrong != NULL && b->may_pass) fail_for_now(b, wrong);
    else if (wrong != NULL) fail(b, FAILURE_INVALID_REQUEST, "invalid_batch", wrong);
    else loop_next(w->loop, &b->turn, run);
}

/* What is written is kept. */
static void give_up(struct batch_work *b) {
    b->why[0] = '\0';
    commit(b, &b->out, false, file_tell);
    commit(b, &b->errors, true, file_tell);
    if (b->why[0] != '\0') log_line(b->w->log, PERILUNE_LOG_ERROR, "jobs.files: %s: %s", b->out.path, b->why);
    work_free(b);
}

void batch_work_stop(struct job_work *work) {
    struct batch_work *b = work->user;
    work->user = NULL;
    if (b == NULL) return;
    b->work = NULL;
    if (b->state == SYNCING) return; /* it frees itself */
    timer_stop(b->w->loop, &b->due);
    if (b->engine_open) batch_engine_close(&b->engine);
    b->engine_open = false;
    if (!work->was_canceled || b->state == SURVEYING) { /* whoever has it now goes on with what is there */
        give_up(b);
        return;
    }
    list_append(&b->w->batches, &b->link);
    if (b->state == ASKING)
        write_rest(b, "batch_cancelled", "The batch was cancelled before this request was executed.");
}

unsigned batch_work_writing(const struct worker *w) {
    unsigned n = 0;
    for (const struct list *l = w->batches.next; l != &w->batches; l = l->next) n++;
    return n;
}

void batch_work_leave(struct worker *w) {
    while (!list_is_empty(&w->batches)) give_up(container_of(w->batches.next, struct batch_work, link));
}
