/* admin_limits.c -- what operators see of limits: GET /admin/limits.
 *
 * A list that is bounded, of the keys that count: those in use, and those that were used last.  Numbers are as of now,
 * of this process; of a limit that machines share, what Redis said last. */
#include "gateway/admin_limits.h"

#include "base/json.h"
#include "gateway/gateway.h"
#include "request/reserved.h"

#define MOST 1000 /* keys */

static void put_amount(struct buf *out, unsigned meter, double v) {
    if (meter / LIMIT_WINDOWS == LIMIT_USD) buf_printf(out, "%.9g", v / LIMIT_NANO);
    else buf_printf(out, "%.0f", v);
}

static void put_meter(struct buf *out, const struct limit_seen *s, unsigned i) {
    unsigned which = s->meter[i].meter;
    double held = s->held[which / LIMIT_WINDOWS], left = s->meter[i].most - s->meter[i].used - held;
    buf_printf(out, "%s{\"meter\":\"%s_per_%s\",\"limit\":", i > 0 ? "," : "", limit_kind_name(which),
               limit_window_name(which));
    put_amount(out, which, s->meter[i].most);
    buf_puts(out, ",\"used\":");
    put_amount(out, which, s->meter[i].used);
    buf_puts(out, ",\"reserved\":");
    put_amount(out, which, held);
    buf_puts(out, ",\"remaining\":");
    put_amount(out, which, left > 0 ? left : 0);
    buf_printf(out, ",\"reset_ms\":%llu}", (unsigned long long)s->meter[i].reset_ms);
}

struct listing {
    struct buf *out;
    unsigned    count;
};

static void put_key(void *ud, const struct limit_seen *s) {
    struct listing *l = ud;
    struct buf *out = l->out;
    buf_puts(out, l->count++ > 0 ? ",{\"name\":" : "{\"name\":");
    json_write_string(out, s->name);
    buf_puts(out, ",\"key\":");
    json_write_string(out, s->key);
    buf_printf(out, ",\"in_flight\":%u,\"meters\":[", s->in_flight);
    for (unsigned i = 0; i < s->count; i++) put_meter(out, s, i);
    buf_puts(out, "]}");
}

void admin_limits(struct perilune *g, struct buf *out) {
    struct listing l = { .out = out };
    buf_puts(out, "{\"list\":[");
    size_t keys = limits_each(g->stores->limits, MOST, reserved_clock(&g->loop), put_key, &l);
    buf_printf(out, "],\"keys\":%zu,\"bytes\":%zu}", keys, limits_bytes(g->stores->limits));
}
