/* job_rows.c -- what operators see of jobs: metrics, and GET /admin/jobs.
 *
 *     store: what waits and runs now, by queue       runners of all workers: what became of jobs here, by queue
 *       +--> perilune_jobs{queue,status} ...            +--> perilune_job_tries_total{queue,result}
 *       +--> GET /admin/jobs: the same, and, from the queue itself, a page of dead letters
 *
 * Queues have names of the configuration's, so there are few; a file may hold some that no configuration names any
 * more, and of more than MOST the rest is left out.
 *
 * The admin listener lives on the owner's loop, which has an end of the queue of its own for this page. */
#include "gateway/job_rows.h"

#include <time.h>

#include "base/json.h"
#include "base/stamp.h"
#include "gateway/broker_rows.h"
#include "gateway/gateway.h"
#include "gateway/job_ask.h"
#include "jobs/job_text.h"

#define MOST         JOB_ROWS
#define LIST_MOST    100
#define LIST_DEFAULT 20
#define SETTLE_MS    1000 /* that a new connection to the queue may take */
#define AGAIN_MS     50

typedef unsigned long long ull;

struct rows {
    unsigned          count;
    char              names[MOST][JOB_NAME_MAX + 1];
    struct jobs_count of[MOST];
};

static void keep(void *ud, const struct jobs_count *c) {
    struct rows *r = ud;
    if (r->count == MOST) return;
    slice_copy(r->names[r->count], sizeof(r->names[0]), c->queue.len > 0 ? c->queue : SLICE("default"));
    r->of[r->count++] = *c;
}

static uint64_t age_ms(const struct jobs_count *c) {
    uint64_t now = stamp_ms(CLOCK_REALTIME);
    return c->oldest_ms != 0 && now > c->oldest_ms ? now - c->oldest_ms : 0;
}

/* -- Metrics --------------------------------------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void row(struct buf *out, const char *name, const char *queue, const char *label, const char *value,
                uint64_t v) {
    buf_printf(out, "%s{", name);
    telemetry_label(out, "queue", queue);
    buf_putc(out, ',');
    telemetry_label(out, label, value);
    buf_printf(out, "} %llu\n", (ull)v);
}

static void now_rows(const struct rows *r, const struct jobs_totals *t, struct buf *out) {
    static const char jobs[] = "perilune_jobs", oldest[] = "perilune_jobs_oldest_seconds";
    head(out, jobs, "gauge", "Jobs by queue: that wait, that run, and that failed and are kept.");
    for (unsigned i = 0; i < r->count; i++) {
        row(out, jobs, r->names[i], "status", "queued", r->of[i].queued);
        row(out, jobs, r->names[i], "status", "running", r->of[i].running);
        row(out, jobs, r->names[i], "status", "failed", r->of[i].failed);
    }
    head(out, oldest, "gauge", "How long the oldest job has been due that waits.");
    for (unsigned i = 0; i < r->count; i++) {
        uint64_t ms = age_ms(&r->of[i]);
        buf_printf(out, "%s{", oldest);
        telemetry_label(out, "queue", r->names[i]);
        buf_printf(out, "} %llu.%03u\n", (ull)(ms / 1000), (unsigned)(ms % 1000));
    }
    head(out, "perilune_jobs_kept", "gauge", "Jobs that are kept, in whatever status.");
    buf_printf(out, "perilune_jobs_kept %llu\n", (ull)t->jobs);
    head(out, "perilune_jobs_bytes", "gauge", "Bytes that they take.");
    buf_printf(out, "perilune_jobs_bytes %llu\n", (ull)t->bytes);
}

/* ORDER: struct job_row. */
static const char *const results[] = { "completed", "failed", "canceled", "retried", "lost", "given_back",
                                      "put_off" };
#define RESULTS (sizeof(results) / sizeof(*results))

/* Queues of all workers' tables. */
struct sums {
    unsigned count;
    char     names[MOST][JOB_NAME_MAX + 1];
    uint64_t of[MOST][RESULTS];
};

static void add_row(struct sums *s, const struct job_row *r) {
    unsigned i = 0;
    struct slice queue = r->queue[0] ? slice_str(r->queue) : SLICE("default");
    while (i < s->count && !slice_eq(slice_str(s->names[i]), queue)) i++;
    if (i == MOST) return;
    if (i == s->count) slice_copy(s->names[s->count++], sizeof(s->names[0]), queue);
    const stats_counter *counters = &r->completed;
    for (size_t k = 0; k < RESULTS; k++) s->of[i][k] += stats_get(&counters[k]);
}

static void result_rows(const struct perilune *g, struct buf *out) {
    static const char name[] = "perilune_job_tries_total"; /* perilune_jobs is a gauge's family */
    struct sums *s = mem_zalloc(sizeof(*s));
    if (s == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    for (unsigned w = 0; w < g->worker_count; w++) {
        const struct job_stats *j = &g->workers[w].metrics.jobs;
        unsigned n = atomic_load_explicit((atomic_uint *)(uintptr_t)&j->row_count, memory_order_acquire);
        for (unsigned i = 0; i < n; i++) add_row(s, &j->rows[i]);
    }
    head(out, name, "counter", "Tries of jobs that ended here, by what became of them.");
    for (unsigned i = 0; i < s->count; i++)
        for (size_t k = 0; k < RESULTS; k++) row(out, name, s->names[i], "result", results[k], s->of[i][k]);
    mem_free(s);
}

/* One worker sends them. */
static void webhook_rows(const struct perilune *g, uint64_t pending, struct buf *out) {
    static const char name[] = "perilune_webhooks_total";
    uint64_t sums[3] = { 0, 0, 0 };
    for (unsigned w = 0; w < g->worker_count; w++) {
        const struct webhook_stats *s = &g->workers[w].metrics.webhooks;
        sums[0] += stats_get(&s->delivered);
        sums[1] += stats_get(&s->failed);
        sums[2] += stats_get(&s->dead);
    }
    head(out, name, "counter", "Webhooks: delivered, tries that failed and come again, given up.");
    static const char *const words[] = { "delivered", "failed", "dead" };
    for (int i = 0; i < 3; i++) buf_printf(out, "%s{result=\"%s\"} %llu\n", name, words[i], (ull)sums[i]);
    head(out, "perilune_webhooks_pending", "gauge", "Webhooks that wait, or are being sent.");
    buf_printf(out, "perilune_webhooks_pending %llu\n", (ull)pending);
}

void job_rows_write(struct perilune *g, struct buf *out) {
    struct jobs_store *store = g->stores->jobs;
    struct rows *r = store != NULL ? mem_zalloc(sizeof(*r)) : NULL;
    struct jobs_totals t = { .jobs = 0 };
    if (store == NULL) return;
    if (r == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    jobs_store_counts(store, keep, r, &t);
    now_rows(r, &t, out);
    mem_free(r);
    result_rows(g, out);
    broker_rows_write(g, out);
    if (g->config->jobs != NULL && g->config->jobs->webhooks != NULL) webhook_rows(g, t.hooks, out);
}

/* -- GET /admin/jobs ----------------------------------------------------------------------------------- */

struct asking {
    struct jobs_op       op;
    struct timer         again;
    struct job_list      list;
    struct perilune     *g;
    struct http_request *http;
};

static void ask_again(struct timer *t);

static void reply(struct http_request *r, int status, struct buf *b) {
    struct slice body = buf_failed(b) ? SLICE("{\"error\":{\"message\":\"out of memory\"}}") : buf_get(b);
    static const struct slice lines = SLICE("content-type: application/json\r\ncache-control: no-store\r\n");
    reply_send(r, buf_failed(b) ? 503 : status, lines, body);
    buf_deinit(b);
}

static void reply_error(struct http_request *r, int status, const char *message) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"error\":{\"message\":");
    json_write_string(&b, slice_str(message));
    buf_puts(&b, "}}");
    reply(r, status, &b);
}

static void put_counts(struct perilune *g, struct buf *out) {
    struct rows *r = mem_zalloc(sizeof(*r));
    struct jobs_totals t = { .jobs = 0 };
    if (r == NULL) {
        out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    jobs_store_counts(g->stores->jobs, keep, r, &t);
    buf_puts(out, "{\"queues\":[");
    for (unsigned i = 0; i < r->count; i++) {
        uint64_t ms = age_ms(&r->of[i]);
        buf_puts(out, i > 0 ? ",{\"queue\":" : "{\"queue\":");
        json_write_string(out, slice_str(r->names[i]));
        buf_printf(out, ",\"queued\":%llu,\"running\":%llu,\"failed\":%llu,\"oldest_seconds\":%llu.%03u}",
                   (ull)r->of[i].queued, (ull)r->of[i].running, (ull)r->of[i].failed, (ull)(ms / 1000),
                   (unsigned)(ms % 1000));
    }
    buf_printf(out, "],\"kept\":%llu,\"bytes\":%llu", (ull)t.jobs, (ull)t.bytes);
    broker_rows_member(g, out);
    mem_free(r);
}

/* An operator sees whose job it is. */
static void put_job(struct buf *out, const struct job *j) {
    buf_puts(out, "{\"tenant\":");
    json_write_string(out, j->tenant);
    buf_puts(out, ",\"job\":");
    job_write(out, j, JOB_SHORT);
    buf_putc(out, '}');
}

static void on_listed(struct jobs_op *op, const struct jobs_answer *a) {
    struct asking *q = container_of(op, struct asking, op);
    struct http_request *r = q->http;
    unsigned n = a->count < q->list.count ? a->count : q->list.count;
    /* This end was opened a moment ago, and may be connecting. */
    bool early = loop_now(&q->g->loop) < q->g->admin_jobs_ms + SETTLE_MS;
    if (a->rc == PERILUNE_ERR_IO && early && timer_start(&q->g->loop, &q->again, AGAIN_MS, ask_again) == 0) return;
    r->user = NULL;
    if (a->rc != 0) {
        reply_error(r, 503, a->why != NULL ? a->why : "the queue of jobs does not answer");
        mem_free(q);
        return;
    }
    struct buf b;
    buf_init(&b, 0);
    put_counts(q->g, &b);
    buf_puts(&b, ",\"list\":[");
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) buf_putc(&b, ',');
        put_job(&b, &a->jobs[i]);
    }
    buf_printf(&b, "],\"has_more\":%s", a->count > n ? "true" : "false");
    if (n > 0) buf_printf(&b, ",\"last_id\":\"%s\"", a->jobs[n - 1].id);
    buf_putc(&b, '}');
    mem_free(q);
    reply(r, 200, &b);
}

static int ask(struct asking *q) {
    int status = q->list.status < 0 ? (int)JOB_FAILED : q->list.status;
    return jobs_begin(q->g->admin_jobs, &q->op,
                      &(struct jobs_ask){ .verb = JOBS_LIST, .before = slice_str(q->list.after), .status = status,
                                          .count = q->list.count + 1 }, on_listed);
}

static void no_answer(struct asking *q) {
    struct http_request *r = q->http;
    r->user = NULL;
    mem_free(q);
    reply_error(r, 503, "the queue of jobs cannot be asked now");
}

static void ask_again(struct timer *t) {
    struct asking *q = container_of(t, struct asking, again);
    if (ask(q) != 0) no_answer(q);
}

static bool open_end(struct perilune *g) {
    if (g->admin_jobs != NULL) return true;
    g->admin_jobs = jobs_open(g->stores->jobs, &g->loop);
    g->admin_jobs_ms = loop_now(&g->loop);
    return g->admin_jobs != NULL;
}

void admin_jobs(struct perilune *g, struct http_request *r) {
    struct job_list list;
    struct job_ask_error why;
    if (g->stores->jobs == NULL) {
        reply_error(r, 404, "no jobs are kept here; jobs = { file = \"jobs.db\" } in the configuration turns them on");
        return;
    }
    if (!job_ask_list(r->query, &list, LIST_DEFAULT, LIST_MOST, &why)) {
        reply_error(r, 400, why.message);
        return;
    }
    struct asking *q = open_end(g) ? mem_zalloc(sizeof(*q)) : NULL;
    if (q == NULL) {
        reply_error(r, 503, "out of memory");
        return;
    }
    q->g = g;
    q->http = r;
    q->list = list;
    r->user = q;
    if (ask(q) != 0) no_answer(q);
}

void admin_jobs_gone(struct http_request *r) {
    struct asking *q = r->user;
    if (q == NULL) return;
    r->user = NULL;
    jobs_cancel(&q->op);
    timer_stop(&q->g->loop, &q->again);
    mem_free(q);
}
