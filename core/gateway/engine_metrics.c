/* engine_metrics.c -- how the models of this process fare, for Prometheus.
 *
 * The numbers are written by the threads of the models (local/resident.h), and read meanwhile.  A model is told apart
 * by the name of its file; two with the same file and other settings are told as two. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "gateway/gateway.h"

struct column {
    const char *name, *type, *help;
    size_t      at;
};

#define COLUMN(member, name, type, help) \
    { name, type, help, offsetof(struct resident_stats, member) }
static const struct column columns[] = {
    COLUMN(turns, "perilune_engine_requests_total", "counter", "Requests that came to a model of this process."),
    COLUMN(refused, "perilune_engine_refused_total", "counter", "Of these, refused because as many waited as may."),
    COLUMN(left, "perilune_engine_left_total", "counter", "Of these, left by who asked before they were over."),
    COLUMN(prompt, "perilune_engine_prompt_tokens_total", "counter", "Tokens of prompts that were answered."),
    COLUMN(cached, "perilune_engine_cached_tokens_total", "counter", "Of these, there from an earlier request."),
    COLUMN(said, "perilune_engine_answer_tokens_total", "counter", "Tokens that were said."),
    COLUMN(steps, "perilune_engine_steps_total", "counter", "Batches that were computed."),
    COLUMN(stepped, "perilune_engine_stepped_tokens_total", "counter", "Tokens in them."),
    COLUMN(preempted, "perilune_engine_preempted_total", "counter", "Answers put back because memory was short."),
    COLUMN(failures, "perilune_engine_failures_total", "counter", "How often an engine failed, or its process ended."),
    COLUMN(recoveries, "perilune_engine_recoveries_total", "counter", "How often it was there again."),
    COLUMN(up, "perilune_engine_up", "gauge", "1; 0 while an engine that failed is not there again."),
    COLUMN(active, "perilune_engine_active", "gauge", "Answers in the batch."),
    COLUMN(waiting, "perilune_engine_waiting", "gauge", "Answers that wait for their turn."),
    COLUMN(step_began_us, "perilune_engine_step_seconds", "gauge",
           "How long the step under way has taken; 0: there is none.  One that hangs grows."),
    COLUMN(cells, "perilune_engine_cells", "gauge", "Tokens in the memory of a model, those of idle rows included."),
};

struct writing {
    struct buf          *out;
    const struct column *column;
    unsigned             number;
};

/* What is told of it now; the thread may be in a step that takes long, or hangs. */
static void write_value(const struct resident_stats *s, size_t at, struct buf *out) {
    const stats_counter *c = (const void *)((const char *)s + at);
    uint64_t n = stats_get(c), now = loop_hrtime_us();
    if (c == &s->step_began_us) buf_printf(out, "%.3f", n == 0 || n > now ? 0 : (double)(now - n) / 1e6);
    else buf_u64(out, c == &s->waiting ? n + stats_get(&s->unread) : n);
}

static void write_one(void *ud, const char *model, const struct resident *r) {
    struct writing *w = ud;
    const char *slash = strrchr(model, '/');
    buf_puts(w->out, w->column->name);
    buf_puts(w->out, "{model=");
    json_write_string(w->out, slice_str(slash ? slash + 1 : model)); /* the escapes of Prometheus are among JSON's */
    buf_printf(w->out, ",number=\"%u\"} ", ++w->number);
    write_value(resident_stats(r), w->column->at, w->out);
    buf_putc(w->out, '\n');
}

void engine_metrics_write(struct engines *e, struct buf *out) {
    if (engines_loads(e) == 0) return;
    buf_printf(out, "# HELP perilune_engine_loads_total Models that were loaded.\n"
                    "# TYPE perilune_engine_loads_total counter\n"
                    "perilune_engine_loads_total %llu\n",
               (unsigned long long)engines_loads(e));
    for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
        struct writing w = { out, &columns[i], 0 };
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", columns[i].name, columns[i].help, columns[i].name,
                   columns[i].type);
        engines_each(e, write_one, &w);
    }
}
