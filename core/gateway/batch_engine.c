/* batch_engine.c -- the lines of a batch, asked.
 *
 *     file --line--> WAITING --due, and room--> ASKED --answer--> DONE --record--> output, and the slot is FREE
 *                      ^                          |
 *                      +--- better later ---------+
 *
 * One thread, the worker's.  Whoever runs it (a command in its own loop, a job of a server in the worker's) calls
 * batch_engine_step(), which takes what is done (reap) and asks for more (feed).  Answers call on_over() from within a
 * turn of the loop, which only writes their record into their slot and says ready(); nothing is asked from there,
 * because answers may come at once and stacks end.
 *
 * How many are asked at once is `width`: --concurrency, until an upstream says that it has too much to do.  Then it is
 * halved, at most once a second, and grows again by one for each `width` good answers (as TCP does); a Retry-After also
 * holds back lines that were not asked yet.  Being told to come later is no failed try: a line waits so for up to
 * PATIENCE_MS.
 *
 * Two ends before the end.  An interrupt, a refused key, or many failures in a row: no new lines, and what is under
 * way is waited for, because it is paid for.  A second interrupt, or an output that cannot be written: at once.  What
 * has no record is asked by the next run.
 *
 * What is held is bounded by the slots and by HELD_MAX.  With --ordered a slot waits for the lines before it, so there
 * are more slots than questions; a line that takes long holds back the file when all of them are full. */
#include "gateway/batch_engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err_body.h"
#include "base/mem.h"
#include "gateway/inside.h"
#include "gateway/worker.h"
#include "jobs/batch_record.h"

#define ANSWER_MAX   (64u << 20)   /* bytes */
#define HELD_MAX     (256u << 20)  /* bytes of lines and records, beyond which no line is read */
#define KEEP_MAX     (64u << 10)   /* bytes of memory that a free slot keeps */
#define ORDERED      4             /* slots for each question, with --ordered */
#define BACKOFF_MS   500           /* before the second try; twice as long each time */
#define BACKOFF_MAX  60000
#define PATIENCE_MS  (3600 * 1000) /* of a line with "come later" */
#define IN_A_ROW     100           /* failures: something is wrong with more than lines */

enum slot_state { FREE, WAITING, ASKED, DONE };

struct batch_slot {
    enum slot_state   state;
    struct list       link;      /* by state; none while ASKED */
    struct list       place;     /* batch_engine.order */
    struct batch_engine *b;
    struct inside    *question;  /* while ASKED */
    struct buf        line, id, url, record;
    struct slice      path, query, body; /* of url and line */
    uint32_t          number;    /* of the line */
    unsigned          tries;
    uint64_t          due_ms, begun_ms;
    bool              failed;    /* the record says so */
};

static uint64_t now_ms(void) { return loop_hrtime_us() / 1000; }

/* -- Slots ----------------------------------------------------------------------------------------------- */

/* The one function that changes a slot's state. */
static void move(struct batch_slot *s, enum slot_state to) {
    struct batch_engine *b = s->b;
    if (s->state == ASKED) b->asked--;
    else list_remove(&s->link);
    if (s->state == FREE) list_append(&b->order, &s->place);
    s->state = to;
    switch (to) {
    case WAITING: list_append(&b->waiting, &s->link); break;
    case ASKED: b->asked++; break;
    case DONE: list_append(&b->done, &s->link); break;
    case FREE:
        list_append(&b->free, &s->link);
        list_remove(&s->place);
        break;
    }
}

static void set_free(struct batch_slot *s) {
    s->b->held -= buf_len(&s->line) + buf_len(&s->record);
    move(s, FREE);
    buf_shed(&s->line, KEEP_MAX);
    buf_shed(&s->record, KEEP_MAX);
}

static bool open_slots(struct batch_engine *b) {
    unsigned n = b->set->concurrency * (b->set->ordered ? ORDERED : 1);
    list_init(&b->free);
    list_init(&b->waiting);
    list_init(&b->done);
    list_init(&b->order);
    b->slots = mem_zalloc(n * sizeof(*b->slots));
    if (b->slots == NULL) return false; /* the lists are made: it can be closed */
    for (; b->slot_count < n; b->slot_count++) {
        struct batch_slot *s = &b->slots[b->slot_count];
        s->b = b;
        list_init(&s->place);
        list_append(&b->free, &s->link);
    }
    return true;
}

static void close_slots(struct batch_engine *b) {
    for (unsigned i = 0; i < b->slot_count; i++) {
        struct batch_slot *s = &b->slots[i];
        if (s->state == ASKED) inside_end(s->question);
        buf_deinit(&s->line);
        buf_deinit(&s->id);
        buf_deinit(&s->url);
        buf_deinit(&s->record);
    }
    mem_free(b->slots);
}

/* -- Ending early ---------------------------------------------------------------------------------------- */

static void end_with(struct batch_engine *b, enum batch_end end, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void end_with(struct batch_engine *b, enum batch_end end, const char *fmt, ...) {
    if (end <= b->end) return;
    b->end = end;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->why, sizeof(b->why), fmt, ap);
    va_end(ap);
}

static void no_memory(struct batch_engine *b) {
    b->may_pass = true;
    end_with(b, BATCH_ENDED, "out of memory");
}

static void cannot_write(struct batch_engine *b, const struct batch_output *to) {
    b->unwritable = b->may_pass = true;
    end_with(b, BATCH_ENDED, "%s", to->err);
}

/* -- Answers --------------------------------------------------------------------------------------------- */

static int status_of(const struct inside_answer *a) { return a->failure != NULL ? a->failure->status : a->status; }

/* Did anybody say this, an upstream or a policy, so that it is the answer to the line?  Or did nobody? */
static bool is_answer(const struct failure *f) {
    switch (f->kind) {
    case FAILURE_CONNECT: case FAILURE_DNS: case FAILURE_TLS: case FAILURE_RESET: case FAILURE_MALFORMED:
    case FAILURE_TRUNCATED: case FAILURE_STREAM: case FAILURE_ANSWER_TOO_LARGE: case FAILURE_UNAVAILABLE:
    case FAILURE_TIMEOUT: case FAILURE_DEADLINE: case FAILURE_NO_MEMORY: case FAILURE_DRAINING: case FAILURE_CANCELED:
        return buf_len(&f->body) > 0;
    default: return true;
    }
}

/* What an operator reads of a failure: that is who runs a command. */
static void sentence(const struct inside_answer *a, char *out, size_t size) {
    const struct failure *f = a->failure;
    if (f == NULL) snprintf(out, size, "status %d", a->status);
    else snprintf(out, size, "%s%s%s%s", f->message, f->detail[0] ? " (" : "", f->detail, f->detail[0] ? ")" : "");
    slice_mute(out);
}

static void write_record(struct batch_slot *s, const struct inside_answer *a, struct rng *rng) {
    char message[700];
    struct buf body;
    buf_init(&body, 0);
    struct batch_record r = { .custom_id = buf_get(&s->id), .request_id = slice_str(a->request_id),
                              .status = status_of(a), .body = a->body };
    if (a->failure != NULL && is_answer(a->failure)) {
        err_body_write(a->failure, &body);
        r.body = buf_get(&body);
    } else if (a->failure != NULL) {
        sentence(a, message, sizeof(message));
        r.code = a->failure->code;
        r.message = message;
    }
    buf_clear(&s->record);
    batch_record_write(&s->record, &r, rng);
    if (buf_failed(&body)) s->record.error = body.error;
    buf_deinit(&body);
    s->b->held += buf_len(&s->record);
}

/* Nothing that is asked with this key will fare better. */
static bool is_hopeless(const struct inside_answer *a) {
    int status = status_of(a);
    return status == 401 || status == 402 ||
           (a->failure != NULL && strcmp(a->failure->code, "insufficient_quota") == 0);
}

static bool is_later(int status) { return status == 429 || status == 503 || status == 529; }

/* Puts the line back for another try.  False: it had its tries. */
static bool put_off(struct batch_slot *s, const struct inside_answer *a) {
    struct batch_engine *b = s->b;
    uint64_t now = now_ms(), pause = BACKOFF_MS;
    const struct failure *f = a->failure;
    int status = status_of(a);
    bool again = f != NULL ? f->retryable && !failure_is_final(f) : failure_status_is_retryable(status);
    bool patient = again && is_later(status) && f != NULL && now - s->begun_ms < PATIENCE_MS;
    if (!again || (!patient && s->tries >= b->set->tries)) return false;
    for (unsigned i = 1; i < s->tries && pause < BACKOFF_MAX; i++) pause *= 2;
    if (pause > BACKOFF_MAX) pause = BACKOFF_MAX;
    /* Half of it by chance, or all would come back together. */
    pause = pause / 2 + (uint64_t)(rng_double(&b->set->worker->loop->rng) * (double)pause / 2);
    uint64_t asked = f != NULL ? f->retry_after_ms : 0;
    if (asked > PATIENCE_MS) asked = PATIENCE_MS;
    if (asked > pause) pause = asked + pause / 4;
    if (asked > 0 && b->paused_until_ms < now + asked) b->paused_until_ms = now + asked;
    if (is_later(status) && now - b->narrowed_ms >= 1000) {
        b->width = b->width / 2 < 1 ? 1 : b->width / 2;
        b->narrowed_ms = now;
    }
    s->due_ms = now + pause;
    b->tally.retries++;
    move(s, WAITING);
    return true;
}

static void count_failure(struct batch_slot *s, const struct inside_answer *a) {
    struct batch_engine *b = s->b;
    char why[700];
    sentence(a, why, sizeof(why));
    b->in_a_row++;
    if (b->set->failed != NULL) b->set->failed(b->set->ud, s->number, why);
    if (b->in_a_row >= IN_A_ROW && !b->set->keep_going)
        end_with(b, BATCH_ENDING, "the last %u lines failed (%.200s), so no more are asked; mend it and run the same "
                                  "with --retry-failed, or with --keep-going", b->in_a_row, why);
}

static void take_answer(struct batch_slot *s, const struct inside_answer *a) {
    struct batch_engine *b = s->b;
    b->tally.usd += a->usd;
    b->tally.tokens_in += a->usage.prompt;
    b->tally.tokens_out += a->usage.completion;
    b->tally.tokens_cached += a->usage.cached;
    b->tally.tokens_reasoning += a->usage.details[USAGE_REASONING];
    s->failed = a->failure != NULL || !batch_status_is_good(a->status);
    if (s->failed && is_hopeless(a)) { /* no record: with another key it is a good line */
        char why[300];
        sentence(a, why, sizeof(why));
        end_with(b, BATCH_ENDING, "status %d: %s; no more lines are asked, and those without an answer are asked when "
                                  "you run the same again", status_of(a), why);
        set_free(s);
        return;
    }
    if (s->failed && put_off(s, a)) return;
    if (s->failed) {
        count_failure(s, a);
    } else {
        b->in_a_row = 0;
        if (b->width < b->set->concurrency) b->width += 1 / b->width;
    }
    write_record(s, a, &b->set->worker->loop->rng);
    move(s, DONE);
}

/* From within a turn of the loop: see above. */
static void on_over(void *ud, const struct inside_answer *a) {
    struct batch_slot *s = ud;
    struct batch_engine *b = s->b;
    take_answer(s, a);
    if (b->set->ready != NULL) b->set->ready(b->set->ud);
}

/* -- Taking what is done --------------------------------------------------------------------------------- */

static void keep(struct batch_slot *s) {
    struct batch_engine *b = s->b;
    struct batch_output *to = s->failed ? b->errors : b->out;
    if (buf_failed(&s->record)) no_memory(b);
    else if (batch_output_append(to, buf_get(&s->record)) != 0) cannot_write(b, to);
    else {
        struct batch_id *id = batch_ids_find(b->ids, buf_get(&s->id));
        if (id != NULL) id->done = true;
        if (s->failed) b->tally.failed++;
        else b->tally.good++;
    }
    set_free(s);
}

static struct batch_slot *next_done(const struct batch_engine *b) {
    if (!b->set->ordered)
        return list_is_empty(&b->done) ? NULL : container_of(b->done.next, struct batch_slot, link);
    if (list_is_empty(&b->order)) return NULL;
    struct batch_slot *s = container_of(b->order.next, struct batch_slot, place);
    return s->state == DONE ? s : NULL;
}

static void reap(struct batch_engine *b) {
    struct batch_slot *s;
    while (!b->unwritable && (s = next_done(b)) != NULL) keep(s);
}

/* It ends, and lines before these have no answer: what is paid for is kept all the same. */
static void reap_rest(struct batch_engine *b) {
    for (struct list *l = b->order.next, *next; l != &b->order && !b->unwritable; l = next) {
        struct batch_slot *s = container_of(l, struct batch_slot, place);
        next = l->next;
        if (s->state == DONE) keep(s);
    }
}

/* -- Asking for more ------------------------------------------------------------------------------------- */

static void ask(struct batch_slot *s) {
    struct batch_engine *b = s->b;
    struct inside_ask q = { .method = SLICE("POST"), .path = s->path, .query = s->query, .body = s->body,
                            .headers = b->set->headers, .header_count = b->set->header_count, .most = ANSWER_MAX,
                            .job = b->set->job, .admitted = b->set->admitted, .tenant = b->set->tenant,
                            .timeout_ms = b->set->timeout_ms, .over = on_over, .ud = s };
    s->tries++;
    move(s, ASKED);
    if (inside_begin(&s->question, b->set->worker, &q) == 0) return;
    no_memory(b);
    set_free(s);
}

/* The line becomes a slot's.  A copy: the file's memory goes on. */
static void take_line(struct batch_engine *b, const struct batch_line *line) {
    struct batch_slot *s = container_of(b->free.next, struct batch_slot, link);
    buf_clear(&s->line);
    buf_clear(&s->id);
    buf_clear(&s->url);
    buf_slice(&s->line, line->body);
    buf_slice(&s->id, line->custom_id);
    buf_slice(&s->url, line->path);
    buf_slice(&s->url, line->query);
    if (buf_failed(&s->line) || buf_failed(&s->id) || buf_failed(&s->url)) {
        no_memory(b);
        return;
    }
    s->body = buf_get(&s->line);
    s->path = slice_of(buf_get(&s->url).ptr, line->path.len);
    s->query = slice_of(buf_get(&s->url).ptr + line->path.len, line->query.len);
    s->number = b->in->line;
    s->tries = 0;
    s->due_ms = s->begun_ms = now_ms();
    buf_clear(&s->record);
    b->held += buf_len(&s->line);
    move(s, WAITING);
}

/* The next line that is to be asked is in a slot.  False: there is none. */
static bool read_line(struct batch_engine *b) {
    struct slice text;
    struct batch_line line;
    struct batch_fault fault;
    enum batch_input_result got;
    while ((got = batch_input_next(b->in, &text)) != BATCH_INPUT_END) {
        if (got == BATCH_INPUT_FAILED) {
            b->may_pass = true;
            end_with(b, BATCH_ENDING, "%s: %s", b->in->path, strerror(errno));
            return false;
        }
        if (got == BATCH_INPUT_LONG || batch_line_is_blank(text)) continue;
        int rc = batch_line_read(&b->reader, text, &line, &fault);
        if (rc == PERILUNE_ERR_NOMEM) {
            no_memory(b);
            return false;
        }
        if (rc != 0) continue; /* it was told of when the file was looked through */
        const struct batch_id *id = batch_ids_find(b->ids, line.custom_id);
        if (id == NULL) b->changed++;
        if (id == NULL || id->done || id->line != b->in->line) continue;
        take_line(b, &line);
        return b->end == BATCH_RUNS;
    }
    b->read_all = true;
    return false;
}

static bool may_ask(const struct batch_engine *b) { return b->end == BATCH_RUNS && b->asked < (unsigned)b->width; }

/* Lines that wait for another try, and are due.  While it ends nothing is asked again: the next run does. */
static void ask_again(struct batch_engine *b, uint64_t now) {
    for (struct list *l = b->waiting.next, *next; l != &b->waiting; l = next) {
        struct batch_slot *s = container_of(l, struct batch_slot, link);
        next = l->next;
        if (b->end != BATCH_RUNS) set_free(s);
        else if (s->due_ms <= now && may_ask(b)) ask(s);
    }
}

static void feed(struct batch_engine *b) {
    uint64_t now = now_ms();
    ask_again(b, now);
    while (may_ask(b) && !b->read_all && now >= b->paused_until_ms && b->held < HELD_MAX && !list_is_empty(&b->free)) {
        if (!read_line(b)) break;
        ask(container_of(b->waiting.prev, struct batch_slot, link));
    }
}

/* -- For who runs it ----------------------------------------------------------------------------------- */

static void sync_outputs(struct batch_engine *b, uint64_t now, bool last) {
    struct batch_output *both[] = { b->out, b->errors };
    for (int i = 0; i < 2 && b->set->sync_ms > 0; i++)
        if (last || now - both[i]->synced_ms >= b->set->sync_ms)
            if (batch_output_sync(both[i], now) != 0) cannot_write(b, both[i]);
}

static bool is_over(const struct batch_engine *b) {
    if (b->end == BATCH_ENDED) return true;
    bool idle = b->asked == 0 && list_is_empty(&b->waiting) && list_is_empty(&b->done);
    return idle && (b->read_all || b->end == BATCH_ENDING);
}

int batch_engine_open(struct batch_engine *b, const struct batch_settings *set) {
    b->set = set;
    b->width = set->concurrency;
    batch_reader_init(&b->reader);
    return open_slots(b) ? 0 : PERILUNE_ERR_NOMEM;
}

bool batch_engine_step(struct batch_engine *b) {
    reap(b);
    sync_outputs(b, now_ms(), false);
    if (b->end < BATCH_ENDED) feed(b);
    return !is_over(b);
}

int batch_engine_wait(const struct batch_engine *b, int most) {
    uint64_t now = now_ms(), due = now + (uint64_t)most;
    if (next_done(b) != NULL) return 0;
    for (const struct list *l = b->waiting.next; l != &b->waiting; l = l->next) {
        const struct batch_slot *s = container_of((struct list *)(uintptr_t)l, struct batch_slot, link);
        if (s->due_ms < due && may_ask(b)) due = s->due_ms;
    }
    if (b->paused_until_ms > now && b->paused_until_ms < due) due = b->paused_until_ms;
    return due > now ? (int)(due - now) : 1;
}

void batch_engine_end(struct batch_engine *b, enum batch_end end) {
    if (end > b->end) b->end = end;
}

void batch_engine_close(struct batch_engine *b) {
    reap_rest(b);
    close_slots(b);
    sync_outputs(b, now_ms(), true);
    batch_reader_deinit(&b->reader);
}
