/* broker_rows.c -- what operators see of the message broker that carries jobs: metrics, and a part of GET /admin/jobs.
 *
 *     courier: what it carried    driver: how it is with the connection, and why
 *
 * What waits for the broker is counted where it waits: perilune_jobs{status="queued"} are the jobs of this node that
 * nobody has begun, wherever they are. */
#include "gateway/broker_rows.h"

#include "base/json.h"
#include "base/stamp.h"
#include "gateway/gateway.h"
#include "jobs/courier_thread.h"

typedef unsigned long long ull;

static void head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type, const char *help, uint64_t v) {
    head(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (ull)v);
}

void broker_rows_write(struct perilune *g, struct buf *out) {
    static const char jobs[] = "perilune_broker_jobs_total";
    struct broker_state s;
    if (g->courier == NULL) return;
    const struct courier_stats *c = courier_thread_stats(g->courier);
    courier_thread_state(g->courier, &s);
    const struct { const char *what; uint64_t v; } rows[] = {
        { "handed_on", stats_get(&c->handed_on) }, { "returned", stats_get(&c->results) },
        { "unknown", stats_get(&c->unknown) },     { "came", stats_get(&c->came) },
        { "done", stats_get(&c->done) },           { "refused", stats_get(&c->refused) },
    };
    one(out, "perilune_broker_connected", "gauge", "Is the message broker of jobs there?", s.connected);
    one(out, "perilune_broker_reconnects_total", "counter", "Connections to it after the first.", s.reconnects);
    head(out, jobs, "counter", "Jobs that it carried: of this node, and of others.");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        buf_printf(out, "%s{what=\"%s\"} %llu\n", jobs, rows[i].what, (ull)rows[i].v);
    one(out, "perilune_broker_failures_total", "counter", "Messages that it did not confirm, and that were sent again.",
        stats_get(&c->failed));
    one(out, "perilune_broker_unconfirmed", "gauge", "Messages that it has not confirmed yet.", s.waiting);
    one(out, "perilune_broker_guests", "gauge", "Jobs that it brought and that have not ended here.",
        stats_get(&c->guests));
}

void broker_rows_member(struct perilune *g, struct buf *out) {
    struct broker_state s;
    if (g->courier == NULL) return;
    const struct courier_stats *c = courier_thread_stats(g->courier);
    const struct job_settings *j = g->config->jobs;
    uint64_t now = stamp_ms(CLOCK_MONOTONIC);
    courier_thread_state(g->courier, &s);
    buf_puts(out, ",\"broker\":{\"kind\":");
    json_write_string(out, slice_str(j != NULL && j->broker != NULL ? j->broker->broker.kind : ""));
    buf_printf(out, ",\"connected\":%s", s.connected ? "true" : "false");
    if (s.since_ms != 0 && now >= s.since_ms)
        buf_printf(out, ",\"since_seconds\":%llu", (ull)((now - s.since_ms) / 1000));
    if (!s.connected) {
        buf_puts(out, ",\"why\":");
        json_write_string(out, slice_str(s.why));
    }
    buf_printf(out, ",\"reconnects\":%llu,\"unconfirmed\":%llu,\"guests\":%llu,\"handed_on\":%llu,\"returned\":%llu,"
                    "\"came\":%llu,\"done\":%llu,\"refused\":%llu}",
               (ull)s.reconnects, (ull)s.waiting, (ull)stats_get(&c->guests), (ull)stats_get(&c->handed_on),
               (ull)stats_get(&c->results), (ull)stats_get(&c->came), (ull)stats_get(&c->done),
               (ull)stats_get(&c->refused));
}
