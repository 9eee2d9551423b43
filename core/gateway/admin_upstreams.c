/* admin_upstreams.c -- how upstreams fare, for operators: GET /admin/upstreams.
 *
 *     {"upstreams":[{"name":"a","state":"open","since":12.4,"until":3.1,"why":"timeout", ...}],
 *      "pools":[{"name":"chat","choose":"weighted","all_rest":false,"members":[...]}]}
 *
 * Of the configuration that serves, in its order; what counts for all generations of a name is read from the registry.
 * Times are seconds from now: since, ago; until, ahead. */

#include "gateway/gateway.h"

static void put_ms(struct buf *out, const char *key, uint64_t ms) {
    buf_printf(out, ",\"%s\":%llu.%03llu", key, (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

static void put_count(struct buf *out, const char *key, uint64_t v) {
    buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)v);
}

/* {"p50":0.21,"p90":0.4,"p99":2.1} in seconds, or null. */
static void put_latency(struct buf *out, const char *key, const struct latency *l, uint64_t now) {
    static const struct { const char *name; double q; } at[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p95", 0.95 },
                                                                 { "p99", 0.99 } };
    buf_printf(out, ",\"%s\":", key);
    if (latency_quantile(l, 0.5, now) == 0) {
        buf_puts(out, "null");
        return;
    }
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++)
        buf_printf(out, "%c\"%s\":%.4f", i ? ',' : '{', at[i].name, (double)latency_quantile(l, at[i].q, now) / 1e6);
    buf_putc(out, '}');
}

static void put_breaker(struct buf *out, struct breaker *b, uint64_t now) {
    struct breaker_view v;
    breaker_look(b, now, &v);
    buf_printf(out, ",\"state\":\"%s\"", breaker_state_name(v.state));
    put_ms(out, "since", now - v.since_ms);
    if (v.state == BREAKER_OPEN) put_ms(out, "until", v.until_ms > now ? v.until_ms - now : 0);
    buf_puts(out, ",\"why\":");
    if (v.code[0]) json_write_string(out, slice_str(v.code));
    else buf_puts(out, "null");
    put_count(out, "consecutive_failures", v.row);
    unsigned calls = v.good + v.bad;
    put_count(out, "recent_calls", calls);
    buf_printf(out, ",\"error_share\":%.3f", calls ? (double)v.bad / calls : 0.0);
    put_count(out, "opened", atomic_load(&b->opened));
}

static void put_upstream(struct buf *out, const struct target *t, uint64_t now) {
    struct target_health *h = t->health;
    buf_puts(out, "{\"name\":");
    json_write_string(out, slice_str(t->name));
    put_breaker(out, &h->breaker, now);
    put_count(out, "in_flight", atomic_load(&h->in_flight));
    put_count(out, "calls", atomic_load(&h->calls));
    put_count(out, "failures", atomic_load(&h->failures));
    put_latency(out, "first_token", &h->first, now);
    put_latency(out, "whole_answer", &h->all, now);
    buf_putc(out, '}');
}

static void put_members(struct buf *out, const struct config *c, const struct target_pool *p, uint64_t now) {
    buf_puts(out, ",\"members\":[");
    for (unsigned i = 0; i < p->count; i++) {
        const struct target_member *m = &p->members[i];
        struct breaker_view v;
        breaker_look(&c->targets[m->target].health->breaker, now, &v);
        buf_puts(out, i ? ",{\"name\":" : "{\"name\":");
        json_write_string(out, slice_str(c->targets[m->target].name));
        buf_printf(out, ",\"weight\":%.6g,\"state\":\"%s\"", m->weight, breaker_state_name(v.state));
        if (m->region) {
            buf_puts(out, ",\"region\":");
            json_write_string(out, slice_str(m->region));
        }
        buf_puts(out, m->spot ? ",\"spot\":true}" : ",\"spot\":false}");
    }
    buf_putc(out, ']');
}

static bool all_rest(const struct config *c, const struct target_pool *p, uint64_t now) {
    for (unsigned i = 0; i < p->count; i++)
        if (breaker_refuses(&c->targets[p->members[i].target].health->breaker, now) == 0) return false;
    return true;
}

static void put_pool(struct buf *out, const struct config *c, const struct target *t, uint64_t now) {
    /* ORDER: enum pick_how. */
    static const char *const ways[] = { "weighted", "least_outstanding", "latency", "price", "sticky", "prefix" };
    const struct target_pool *p = t->pool;
    buf_puts(out, "{\"name\":");
    json_write_string(out, slice_str(t->name));
    buf_printf(out, ",\"choose\":\"%s\",\"all_rest\":%s", ways[p->how], all_rest(c, p, now) ? "true" : "false");
    put_count(out, "picks_of_resting", atomic_load(&p->state->desperate));
    put_count(out, "retries", atomic_load(&p->state->retried));
    put_count(out, "retries_without_budget", atomic_load(&p->state->unpaid));
    if (p->longs != 0) put_count(out, "long", atomic_load(&p->state->long_picks));
    if (p->longs != 0) put_count(out, "strayed", atomic_load(&p->state->long_strayed));
    put_members(out, c, p, now);
    buf_putc(out, '}');
}

void admin_upstreams(struct perilune *g, struct buf *out) {
    const struct config *c = g->config;
    uint64_t now = loop_now(&g->loop);
    for (int pools = 0; pools < 2; pools++) {
        bool first = true;
        buf_puts(out, pools ? "],\"pools\":[" : "{\"upstreams\":[");
        for (unsigned i = 0; c != NULL && i < c->target_count; i++) {
            const struct target *t = &c->targets[i];
            if ((t->pool != NULL) != (pools == 1)) continue;
            if (!first) buf_putc(out, ',');
            first = false;
            if (pools) put_pool(out, c, t, now);
            else put_upstream(out, t, now);
        }
    }
    buf_puts(out, "]}");
}
