/* program.c -- what a program adds to its gateway: functions, values, hooks.
 *
 *     perilune_function_add --> stores->host     read by Lua states without a lock (bridge/host.c)
 *     perilune_value_set    --> stores->values   any thread, a lock (store/values.c)
 *     perilune_hook         --> each worker's own copy, set on its thread; metrics: a timer of the owner's */
#include "gateway/program.h"

#include "base/json.h"
#include "bridge/host.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include "request/notes.h"

#define METRICS_LEAST_MS 100

static const char bad_name[] = "'%.80s' is no name of a %s: letters, digits and _, no digit first, at most 63";

/* -- Functions ---------------------------------------------------------------------------- */

PERILUNE_API int perilune_function_add(perilune *g, const char *name, perilune_function fn, void *ud) {
    int refused = gateway_admits(g);
    if (refused != 0) return refused;
    if (name == NULL || fn == NULL)
        return gateway_fail(g, PERILUNE_ERR_INVAL, "perilune_function_add() needs a name and a function");
    if (!host_is_name(name)) return gateway_fail(g, PERILUNE_ERR_INVAL, bad_name, name, "function");
    int rc = g->closing ? PERILUNE_ERR_STATE : host_add(g->stores->host, name, fn, ud);
    if (rc == PERILUNE_ERR_INVAL) return gateway_fail(g, rc, "there is a function '%s' already", name);
    if (rc == PERILUNE_ERR_LIMITED) return gateway_fail(g, rc, "there are as many functions as may be (1024)");
    return rc == 0 ? 0 : gateway_fail(g, rc, "%s", perilune_strerror(rc));
}

/* -- Values ------------------------------------------------------------------------------- */

PERILUNE_API int perilune_value_set(perilune *g, const char *name, const char *json, size_t len) {
    int refused = gateway_looks(g);
    if (refused != 0) return refused;
    if (name == NULL || !host_is_name(name)) return PERILUNE_ERR_INVAL;
    struct json_doc doc = { 0 };
    struct json_error err;
    int rc = json == NULL ? 0 : json_parse(&doc, slice_of(json, len), &err);
    json_deinit(&doc);
    return rc != 0 ? rc : values_set(g->stores->values, slice_str(name), slice_of(json, len));
}

/* -- Hooks --------------------------------------------------------------------------------- */

static perilune_str str_of(const char *s) { return (perilune_str){ s ? s : "", s ? strlen(s) : 0 }; }

static perilune_str str_of_slice(struct slice s) { return (perilune_str){ s.ptr ? s.ptr : "", s.len }; }

void program_tell_finished(struct worker *w, const struct request_facts *f) {
    if (w->finished == NULL) return;
    struct buf notes;
    buf_init(&notes, 0);
    if (f->request != NULL) notes_write(f->request, &notes);
    if (buf_len(&notes) == 0 || buf_failed(&notes)) buf_clear(&notes), buf_puts(&notes, "{}");
    perilune_finished r = {
        .size = sizeof(r), .id = str_of(f->id), .method = str_of_slice(f->method), .path = str_of_slice(f->path),
        .tenant = str_of(f->tenant), .route = str_of(f->route), .upstream = str_of(f->upstream),
        .model = str_of_slice(f->model), .error = str_of(f->code), .cache = str_of(f->cache),
        .notes = str_of_slice(buf_get(&notes)), .status = f->status, .usage_known = f->usage.known,
        .tokens_in = f->usage.known ? f->usage.prompt : 0, .tokens_out = f->usage.known ? f->usage.completion : 0,
        .tokens_cached = f->usage.known ? f->usage.cached : 0, .usd = f->usd, .duration_us = f->total_us,
        .first_token_us = f->ttft_us };
    w->finished(w->finished_ud, &r);
    buf_deinit(&notes);
}

static void set_hooks(struct worker *w, void *ud) {
    const perilune_hooks *h = ud;
    w->finished = h->finished;
    w->finished_ud = h->ud;
}

static void metrics_due(struct timer *t) {
    struct perilune *g = container_of(t, struct perilune, metrics);
    struct buf text;
    buf_init(&text, 0);
    metrics_write(g, &text);
    /* Before the call, in which other hooks may be set. */
    timer_start(&g->loop, t, (uint64_t)g->hooks.metrics_ms, metrics_due);
    if (!buf_failed(&text)) g->hooks.metrics(g->hooks.ud, str_of_slice(buf_get(&text)));
    buf_deinit(&text);
}

/* NULL: they make sense. */
static const char *read_hooks(perilune_hooks *out, const perilune_hooks *h) {
    static const size_t first = offsetof(perilune_hooks, ud) + sizeof(void *); /* of the first version */
    *out = (perilune_hooks){ .size = sizeof(*out) };
    if (h == NULL) return NULL;
    if (!gateway_size_can_be(h->size, first))
        return "hooks.size is none that perilune_hooks ever had: begin it with PERILUNE_HOOKS_INIT";
    if (!gateway_rest_is_unset(h, h->size, sizeof(*h)))
        return "hooks are set that this library is too old to know (it is " PERILUNE_VERSION_STRING ")";
    memcpy(out, h, h->size < sizeof(*out) ? h->size : sizeof(*out));
    out->size = sizeof(*out);
    return out->metrics != NULL && out->metrics_ms < METRICS_LEAST_MS ? "hooks.metrics_ms is at least 100, with metrics"
                                                                      : NULL;
}

PERILUNE_API int perilune_hook(perilune *g, const perilune_hooks *hooks) {
    perilune_hooks h;
    int refused = gateway_admits(g);
    if (refused != 0) return refused;
    const char *problem = read_hooks(&h, hooks);
    if (problem != NULL) return gateway_fail(g, PERILUNE_ERR_INVAL, "%s", problem);
    if (g->closing) return gateway_fail(g, PERILUNE_ERR_STATE, "the gateway closes");
    if (h.metrics == NULL) timer_stop(&g->loop, &g->metrics);
    else if (timer_start(&g->loop, &g->metrics, (uint64_t)h.metrics_ms, metrics_due) != 0)
        return gateway_fail(g, PERILUNE_ERR_NOMEM, "out of memory");
    g->hooks = h;
    for (unsigned i = 0; i < g->worker_count; i++) gateway_ask(&g->workers[i], set_hooks, &h);
    return 0;
}
