/* exchange.c -- one request, from whoever asked it to the last event of its answer.
 *
 *     who asks --> request --> admit --> route --> [policies: task] --> response
 *        ^                                 |             |                 |
 *        |                                 +-- none --> call --------------+
 *        +------------ sink <----------------------------------------------+
 *
 *     NEW --begin--> READING --body--> WAITING --admitted--> ASKING --response--> ANSWERING --> OVER (freed)
 *                       +------------- refused, failed, gone: from any state ------------------^
 *                                    (by way of FAILING, when a policy took too much)
 *
 * A small body is read in the turn in which it came, a large one in a thread (reading.c).
 *
 * It knows neither HTTP nor how an answer is written: whoever asks embeds it, gives a
 * sink, and hears HEAD, the content, and END; or, at any point, ERROR.  http_exchange.c
 * is the one for connections; a job or a caller of the library is another.
 *
 * An exchange owns: the request, the task while policies run, the response while it
 * flows, a share of the generation's state. */
#include "gateway/exchange.h"

#include <stdio.h>
#include <time.h>

#include "bridge/cleanup.h"
#include "bridge/request.h"
#include "gateway/access_log.h"
#include "gateway/model_list.h"
#include "gateway/program.h"
#include "gateway/reading.h"
#include "gateway/registry.h"
#include "gateway/served.h"
#include "http/coding.h"
#include "http/path.h"
#include "request/job_question.h"
#include "request/outgoing.h"
#include "request/spent.h"

/* -- The end --------------------------------------------------------------------------- */

const struct target *exchange_target(const struct exchange *x) {
    const struct config *c = x->gen->config;
    const char *answered = x->res ? x->res->upstream : "";
    for (unsigned i = 0; answered[0] && i < c->target_count; i++)
        if (strcmp(c->targets[i].name, answered) == 0) return &c->targets[i];
    return x->req->asked;
}

/* The model that a call was for: the upstream's own, or the body's. */
static struct slice model_of(const struct exchange *x, const struct target *t) {
    const struct body *b = x->req->body;
    if (t != NULL && t->model != NULL) return slice_str(t->model);
    if (b == NULL || body_is_cleared(b) || b->chat.model == JSON_NONE) return SLICE("");
    struct slice quoted = json_raw(&b->doc, b->chat.model); /* as it is written: the log is no parser */
    return quoted.len > 2 ? slice_of(quoted.ptr + 1, quoted.len - 2) : SLICE("");
}

static bool is_listed(const struct target *t, struct slice model) {
    if (t == NULL || t->model != NULL) return true;
    for (unsigned i = 0; i < t->model_count; i++)
        if (slice_eq(slice_str(t->models[i]), model)) return true;
    return slice_eq(slice_str(t->name), model);
}

static double cost_of(const struct target *t, const struct usage *u) {
    if (t == NULL || !u->known) return 0;
    double cached = (double)(u->cached < u->prompt ? u->cached : u->prompt);
    return ((double)u->prompt - cached) * t->price_in / 1e6 + cached * t->price_cached / 1e6 +
           (double)u->completion * t->price_out / 1e6;
}

double exchange_cost(const struct exchange *x, struct usage *u) {
    *u = (struct usage){ .known = false };
    if (x->res == NULL || response_cache_spares(response_cache_of(x->res))) return 0;
    struct usage said = response_said(x->res);
    *u = usage_here(&said);
    return cost_of(exchange_target(x), u);
}

static void gather(const struct exchange *x, bool aborted, struct request_facts *f) {
    const struct request *req = x->req;
    const struct target *t = exchange_target(x);
    struct slice model = model_of(x, t);
    const char *answered = x->res ? x->res->upstream : "";
    bool failed = x->failure != NULL || aborted;
    *f = (struct request_facts){ .request = req, .method = req->method, .path = req->path, .via = x->via,
                                 .id = req->id, .tenant = req->tenant,
                                 .route = x->route ? x->route->label : "", .model = model,
                                 .model_listed = is_listed(t, model), .is_aborted = aborted,
                                 .is_trial = x->trial,
                                 .status = aborted ? 499 : x->status,
                                 .code = aborted ? "canceled" : x->failure ? x->failure->code : "",
                                 .detail = x->failure ? x->failure->detail : "",
                                 .cache = "", .tries = req->tries, .retries = req->retries, .fallbacks = req->fallbacks,
                                 .ttft_us = x->ttft_us, .total_us = x->total_us, .policy_us = x->policy_us };
    /* A failure is told as of whoever was asked last, although a policy stood in between. */
    f->upstream = answered[0] ? answered : failed && t ? t->name : "";
    f->job = x->job != NULL ? x->job : req->job;
    if (x->route) {
        f->policies = x->route->policies;
        f->policy_count = x->route->policy_count;
    }
    if (x->res == NULL) return;
    f->routed = headers_find(buf_get(&x->res->headers), SLICE("x-perilune-route"));
    f->degraded = headers_find(buf_get(&x->res->headers), SLICE("x-perilune-degraded"));
    enum response_cache cache = response_cache_of(x->res);
    f->cache = response_cache_name(cache);
    if (cache == RESPONSE_HIT || cache == RESPONSE_STALE) {
        f->cache_entry = headers_find(buf_get(&x->res->headers), SLICE("x-cache-entry"));
        f->cache_similarity = headers_find(buf_get(&x->res->headers), SLICE("x-cache-similarity"));
    }
    if (response_cache_spares(cache)) {
        struct usage spared = response_said(x->res);
        f->spared = usage_here(&spared);
        f->spared_usd = cost_of(t, &f->spared);
        return;
    }
    f->counted = x->res->counted;
    f->usd = exchange_cost(x, &f->usage);
}

static void count_caches(struct metrics *m, const struct exchange *x, const struct request_facts *f) {
    bool coalesced = x->res != NULL && response_cache_of(x->res) == RESPONSE_COALESCED;
    if (x->req->refreshes || (x->req->lookups == NULL && !coalesced)) return; /* a refresh finds nothing: it must not */
    cache_rows_count(&m->caches, &(struct cache_facts){ .route = f->route, .tenant = f->tenant,
                                                        .lookups = x->req->lookups, .coalesced = coalesced,
                                                        .spared = f->spared, .spared_usd = f->spared_usd });
}

static void count(struct metrics *m, const struct request_facts *f) {
    if (f->status >= 0 && f->status < 600) stats_add(&m->status[f->status], 1);
    if (f->is_aborted) stats_add(&m->aborted, 1);
    if (f->usage.known) {
        stats_add(&m->tokens_in, f->usage.prompt);
        stats_add(&m->tokens_out, f->usage.completion);
        stats_add(&m->tokens_cached, f->usage.cached);
    } else {
        stats_add(&m->tokens_counted, f->counted);
    }
    if (f->ttft_us) histogram_record(&m->ttft, f->ttft_us);
    histogram_record(&m->duration, f->total_us);
    telemetry_count(&m->telemetry, f);
    atomic_fetch_sub_explicit(&m->in_flight, 1, memory_order_relaxed);
}

/* What policies asked for it: those have lines of their own. */
static void gather_asks(const struct exchange *x, struct request_facts *f) {
    const struct config *c = x->gen->config;
    for (const struct spent *e = x->req->spent; e != NULL; e = e->next) {
        const struct target *t = NULL;
        for (unsigned i = 0; i < c->target_count && t == NULL; i++)
            if (strcmp(c->targets[i].name, e->upstream) == 0) t = &c->targets[i];
        f->asks += e->times;
        f->asked.prompt += e->usage.prompt;
        f->asked.completion += e->usage.completion;
        f->asked.cached += e->usage.cached;
        f->asked_usd += cost_of(t, &e->usage);
    }
}

/* Counts and logs, once: before the client hears of the end, because the path that the
 * log names may go with it. */
static void account(struct exchange *x, bool aborted) {
    if (x->total_us != 0) return;
    spent_stop_all(x->req); /* before anything is added up */
    if (x->res != NULL) response_leave(x->res); /* who leaves a shared answer may leave its cost to another */
    struct request_facts facts;
    struct log *log = x->w->log;
    uint64_t first = x->res ? x->res->first_us : 0;
    x->ttft_us = first > x->start_us ? first - x->start_us : 0;
    x->total_us = loop_hrtime_us() - x->start_us + 1;
    if (x->task != NULL) x->policy_us = x->task->budget->took_us;
    if (x->res != NULL) x->policy_us += response_hooks_us(x->res);
    gather(x, aborted, &facts);
    gather_asks(x, &facts);
    count(&x->w->metrics, &facts);
    count_caches(&x->w->metrics, x, &facts);
    if (x->gen->config->log_access && log_wants(log, PERILUNE_LOG_INFO)) access_log(log, &facts, x->req->saved);
    program_tell_finished(x->w, &facts);
}

void exchange_account_ask(struct exchange *x, bool aborted) {
    stats_add(&x->w->metrics.asks, 1);
    account(x, aborted);
}

static void finish(struct exchange *x, bool aborted) {
    if (x->state == EXCHANGE_OVER) return;
    x->state = EXCHANGE_OVER;
    account(x, aborted);
    timer_stop(x->w->loop, &x->deadline);
    reading_leave(x->reading);
    if (x->task != NULL) {
        task_cancel(x->task);
        x->task = NULL;
    }
    struct outcome o = { .ok = !aborted && x->failure == NULL, .ttft_us = x->ttft_us, .total_us = x->total_us };
    o.overloaded = !aborted && x->failure != NULL && failure_is_overload(x->failure);
    slice_copy(o.code, sizeof(o.code), slice_str(aborted ? "canceled" : x->failure ? x->failure->code : ""));
    if (x->res != NULL) {
        o.cache = response_cache_name(response_cache_of(x->res));
        response_usage(x->res, &o);
        response_on_ready(x->res, NULL, NULL);
        response_finish(x->res, &o);
    }
    cleanup_run(x->req, &o);
    request_finish(x->req, x->res, &o);
    if (x->res != NULL) response_put(x->res);
    request_end(x->req);
    request_put(x->req);
    if (x->failure) failure_deinit(x->failure);
    mem_free(x->failure);
    list_remove(&x->link);
    struct state *s = x->gen->state;
    if (x->w->answering == x) x->w->answering = NULL;
    x->ops->free(x);
    state_put_soon(s); /* may end the generation, but frames below us still use it */
}

#define PENANCE_US     5000 /* CPU time of a failed policy that nobody minds */
#define PENANCE_TIMES  5    /* of the CPU time that it took */
#define PENANCE_MAX_MS 250
#define PENANCE_ALL_MS 1000 /* of a worker, when many fail */

/* A policy that fails after it took much of the worker is answered later, in proportion: a client that
 * asks again at once would otherwise leave its neighbours a turn of the loop between two such requests.
 * Several wait one after the other, or together they would leave as little. */
static uint64_t penance_ms(const struct exchange *x, const struct failure *f) {
    bool own = f->kind == FAILURE_POLICY || f->kind == FAILURE_POLICY_BUDGET;
    if (!own || strcmp(f->code, failure_code(f->kind)) != 0) return 0; /* else a policy means it */
    uint64_t took = (x->task ? x->task->budget->took_us : x->policy_us) + (x->res ? response_hooks_us(x->res) : 0);
    if (took < PENANCE_US) return 0;
    uint64_t ms = took * PENANCE_TIMES / 1000, now = loop_now(x->w->loop), *until = &x->w->penance_until_ms;
    *until = (*until > now ? *until : now) + (ms < PENANCE_MAX_MS ? ms : PENANCE_MAX_MS);
    if (*until > now + PENANCE_ALL_MS) *until = now + PENANCE_ALL_MS;
    return *until - now;
}

static void fail_now(struct exchange *x, const struct failure *f) {
    struct sink *client = x->client;
    if (!x->committed) x->status = f->status;
    account(x, client == NULL);
    if (client != NULL) client->event(client, &(struct event){ .type = EVENT_ERROR, .failure = f });
    finish(x, client == NULL);
}

static void penance_over(struct timer *t) {
    struct exchange *x = container_of(t, struct exchange, deadline);
    fail_now(x, x->failure);
}

/* Ends the exchange with an error. */
static void fail(struct exchange *x, const struct failure *f) {
    if (x->failure == NULL && (x->failure = mem_zalloc(sizeof(*x->failure))) != NULL) failure_copy(x->failure, f);
    uint64_t later = x->client && x->failure ? penance_ms(x, f) : 0;
    if (later == 0 || timer_start(x->w->loop, &x->deadline, later, penance_over) != 0) fail_now(x, f);
    else x->state = EXCHANGE_FAILING;
}

void exchange_fail(struct exchange *x, enum failure_kind kind, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    fail(x, &f);
}

void exchange_fail_with(struct exchange *x, const struct failure *f) { fail(x, f); }

static void deadline_due(struct timer *t) {
    struct exchange *x = container_of(t, struct exchange, deadline);
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_DEADLINE, "the request took longer than it may (limits.request_timeout)");
    if (x->req->tries > 0 && slice_eq(x->req->method, SLICE("POST"))) failure_forbid_repeat(&f);
    fail(x, &f);
    failure_deinit(&f);
}

/* -- The answer's way out -------------------------------------------------------------------- */

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct exchange *x = container_of(k, struct exchange, sink);
    if (x->state >= EXCHANGE_FAILING || x->client == NULL) return FLOW_MORE;
    switch (ev->type) {
    case EVENT_HEAD:
        if (!x->committed) x->status = ev->status;
        break;
    case EVENT_FRAME: stats_add(&x->w->metrics.frames, 1); break;
    case EVENT_BYTES: break;
    case EVENT_END:
        account(x, false);
        x->client->event(x->client, ev);
        finish(x, false);
        return FLOW_MORE;
    case EVENT_ERROR: fail(x, ev->failure); return FLOW_MORE;
    }
    return x->client->event(x->client, ev); /* may end x */
}

/* Takes the share of res. */
static void deliver(struct exchange *x, struct response *res) {
    x->res = res;
    const struct failure *f = response_failure(res);
    if (f != NULL) {
        fail(x, f);
        return;
    }
    x->state = EXCHANGE_ANSWERING;
    response_pin(res);
    response_deliver(res, &x->sink); /* may end x */
}

void exchange_deliver(struct exchange *x, struct response *res) {
    timer_stop(x->w->loop, &x->deadline); /* it was for finding out who asks */
    deliver(x, res);
}

struct slice exchange_upstream(const struct exchange *x) { return slice_str(x->res ? x->res->upstream : ""); }
void exchange_put_headers(const struct exchange *x, struct buf *out) {
    if (x->res) response_put_headers(x->res, out);
}

/* An answer of the gateway itself, in one piece. */
static void answer(struct exchange *x, int status, struct slice type, struct buf *body) {
    if (buf_failed(body)) {
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return;
    }
    struct slice bytes = buf_get(body);
    const struct event events[] = {
        { .type = EVENT_HEAD, .status = status, .content_type = type, .has_length = true, .length = bytes.len },
        { .type = EVENT_BYTES, .raw = bytes },
        { .type = EVENT_END },
    };
    struct worker *w = x->w;
    struct exchange *before = w->answering;
    x->state = EXCHANGE_ANSWERING;
    w->answering = x;
    for (size_t i = 0; i < sizeof(events) / sizeof(*events) && w->answering == x; i++)
        on_event(&x->sink, &events[i]); /* a client that has no room for it ends x */
    w->answering = before;
}

void exchange_reply(struct exchange *x, int status, struct slice headers, struct buf *body) {
    struct buf own = *body; /* x may be who holds it */
    *body = (struct buf){ .data = NULL };
    if (x->res == NULL) x->res = response_new(&(struct response_options){ .loop = x->w->loop, .upstream = "" });
    if (x->res != NULL) buf_slice(&x->res->headers, headers);
    if (x->res == NULL || buf_failed(&x->res->headers)) own.error = PERILUNE_ERR_NOMEM;
    answer(x, status, buf_len(&own) > 0 ? SLICE("application/json") : SLICE(""), &own);
    buf_deinit(&own);
}

/* -- Asking ------------------------------------------------------------------------------------- */

static void on_ready(void *ud) {
    struct exchange *x = ud;
    struct response *res = x->res;
    x->res = NULL;
    deliver(x, res);
}

static void on_policy_done(void *owner, const struct policy_result *result) {
    struct exchange *x = owner;
    struct task *t = x->task;
    x->task = NULL;
    if (t != NULL) {
        x->policy_us = t->budget->took_us;
        histogram_record(&x->w->metrics.policy, x->policy_us);
        task_free(t);
    }
    if (result->response != NULL && x->ops->admitted != NULL && x->req->admitted) {
        response_put(result->response);
        x->ops->admitted(x); /* may end x */
    } else if (result->response != NULL) deliver(x, result->response);
    else fail(x, result->failure);
}

static void call_upstream(struct exchange *x, const char *name) {
    struct failure f;
    failure_init(&f);
    struct state *s = x->gen->state;
    struct call_pool *pool = name ? outgoing_find(&s->services, slice_str(name))
                                  : outgoing_choose(&s->services, x->req, x->req->body, &f);
    if (pool == NULL) {
        if (!failure_is_set(&f)) outgoing_no_upstream(&f, slice_str(name));
        fail(x, &f);
        return;
    }
    x->res = outgoing_start(&s->services, &(struct outgoing){ .pool = pool, .request = x->req, .body = x->req->body });
    if (x->res == NULL) exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
    else response_on_ready(x->res, on_ready, x);
}

static void run_policies(struct exchange *x, int ref, bool trusted) {
    struct policy_chain chain = { .ref = ref, .trusted = trusted };
    x->task = policy_start(x->gen->state, &chain, x->req, on_policy_done, x);
    if (x->task == NULL) exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
    else task_go_on(x->task); /* may end x */
}

/* -- Admission ----------------------------------------------------------------------------------- */

/* The one point between a question that is understood and the work for it: here it can be
 * made to wait, be refused, or be given a class.  Nobody has reasons yet but the deadline:
 * a body may have taken all of the time there was. */
static void ask(struct exchange *x) {
    const struct config *c = x->gen->config;
    const struct policy_chain *chain = x->route ? &x->gen->chains[x->route - c->routes] : NULL;
    bool is_desk = x->ops->admitted != NULL;
    int ref = chain == NULL ? 0 : is_desk ? chain->admission : x->is_job ? chain->rest : chain->ref;
    x->state = EXCHANGE_ASKING;
    if (ref != 0) run_policies(x, ref, chain->trusted);
    else if (is_desk) x->ops->admitted(x);
    else call_upstream(x, x->route ? x->route->upstream : NULL);
}

static void admit(struct exchange *x) {
    x->state = EXCHANGE_WAITING;
    const struct worker *w = x->w;
    if (x->req->deadline_ms != 0 && loop_now(w->loop) >= x->req->deadline_ms) deadline_due(&x->deadline);
    else ask(x);
}

/* -- Beginning ------------------------------------------------------------------------------------ */

void exchange_propose_id(struct exchange *x, struct slice id) {
    struct request *req = x->req;
    bool good = id.len > 0 && id.len < sizeof(req->id);
    for (size_t i = 0; good && i < id.len; i++)
        good = (id.ptr[i] >= '0' && id.ptr[i] <= '9') || ((id.ptr[i] | 32) >= 'a' && (id.ptr[i] | 32) <= 'z') ||
               strchr("-_.:/+=@~", id.ptr[i]) != NULL;
    if (!good) return;
    memcpy(req->id, id.ptr, id.len);
    req->id[id.len] = '\0';
}

void exchange_set_tenant(struct exchange *x, struct slice tenant) {
    slice_copy(x->req->tenant, sizeof(x->req->tenant), tenant);
    x->named = true;
}

int exchange_init(struct exchange *x, struct worker *w, struct generation *gen, const struct exchange_ops *ops,
                  struct sink *client, uint64_t start_us) {
    struct request *req = policy_request_new(gen->state);
    if (req == NULL) return PERILUNE_ERR_NOMEM;
    *x = (struct exchange){ .ops = ops, .client = client, .sink = { on_event }, .w = w, .gen = gen, .req = req,
                            .start_us = start_us, .status = 200 };
    state_ref(x->gen->state);
    list_append(&w->exchanges, &x->link);
    uint64_t ms = x->gen->config->request_ms;
    req->deadline_ms = ms ? loop_now(w->loop) + ms : 0;
    rng_hex128(&w->loop->rng, req->id);
    stats_add(&w->metrics.requests, 1);
    atomic_fetch_add_explicit(&w->metrics.in_flight, 1, memory_order_relaxed);
    return 0;
}

/* The list of models (id empty), or one of it. */
static void reply_models(struct exchange *x, struct slice id) {
    struct buf b;
    buf_init(&b, 0);
    if (id.len == 0) model_list_write(x->gen->config, &b);
    else model_list_write_one(x->gen->config, id, &b);
    answer(x, 200, SLICE("application/json"), &b);
    buf_deinit(&b);
}

static void fail_unknown_model(struct exchange *x, struct slice id) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_MODEL_NOT_FOUND, "the model '%.*s' does not exist; GET /v1/models lists those that do",
                (int)(id.len < 80 ? id.len : 80), id.ptr);
    snprintf(f.param, sizeof(f.param), "model");
    fail(x, &f);
}

/* What is answered here: the list of models and each of them.  False: nothing was, also when the only upstream may
 * know a model that is not listed. */
static bool answer_models(struct exchange *x) {
    const struct config *c = x->gen->config;
    struct slice id = model_list_id(x->req->path);
    bool list = slice_eq(x->req->path, SLICE("/v1/models"));
    bool get = slice_eq(x->req->method, SLICE("GET")) || slice_eq(x->req->method, SLICE("HEAD"));
    if (list && !get) exchange_fail(x, FAILURE_METHOD, "use GET for /v1/models");
    else if (list || (get && id.len > 0 && model_list_has(c, id))) reply_models(x, id);
    else if (get && id.len > 0 && (c->guarded || c->target_count != 1)) fail_unknown_model(x, id);
    else return false;
    return true;
}

static bool is_under(struct slice path, struct slice root) {
    return slice_starts(path, root) && (path.len == root.len || path.ptr[root.len] == '/');
}

/* A path that no route names.  Returns false after having failed x. */
static bool serve_unrouted(struct exchange *x) {
    if (x->gen->config->jobs == NULL && is_under(x->req->path, SLICE("/v1/async")))
        exchange_fail(x, FAILURE_NOT_FOUND, "no jobs are kept here; jobs = { file = \"jobs.db\" } in the configuration "
                                            "turns them on");
    else if (!path_is_openai(x->req->path))
        exchange_fail(x, FAILURE_NOT_FOUND, "no such path; a route in the configuration can add it");
    else if (x->gen->config->guarded)
        exchange_fail(x, FAILURE_NOT_FOUND, "no route has this path, and nothing is served without one (unrouted = "
                                            "false, or auth_keys on a route); a route in the configuration can add it");
    else return true;
    return false;
}

static struct route_ask ask_of(const struct request *r) {
    return (struct route_ask){ .method = r->method, .path = r->path, .tenant = slice_str(r->tenant),
                               .headers = r->headers, .header_count = r->header_count };
}

void exchange_methods(const struct exchange *x, struct buf *out) {
    struct route_ask ask = ask_of(x->req);
    if (x->methods != NULL) buf_puts(out, x->methods);
    else if (x->dialect != NULL) buf_puts(out, "POST");
    else if (!routes_methods(x->gen->config->route_index, &ask, out)) buf_puts(out, "GET, HEAD"); /* /v1/models */
}

/* Who asks, for the route and for policies.  Returns false after having failed x. */
static bool find_tenant(struct exchange *x) {
    struct request *r = x->req;
    if (x->named) return true;
    _Static_assert(sizeof(r->tenant) == 128, "the message says how long a name may be");
    const struct tenants *t = &x->gen->config->tenants;
    int rc = tenants_find(t, r->headers, &r->header_count, r->tenant, sizeof(r->tenant));
    if (rc == 0) return true;
    exchange_fail(x, FAILURE_INVALID_REQUEST, rc == PERILUNE_ERR_LIMITED
                  ? "the name of the tenant is longer than 127 bytes" : "more than one header says which tenant asks");
    return false;
}

/* Who says on this route who may ask; "": nobody does. */
static const char *guard_of(const struct exchange *x, const struct route *r) {
    static const char nobody[GUARD_SIZE];
    return r != NULL ? x->gen->chains[r - x->gen->config->routes].guard : nobody;
}

/* Where a path leads: the first route that fits, what it leaves of the path, and what that is. */
struct way {
    const struct route   *route;
    struct slice          path;
    const struct dialect *dialect;
    bool                  wrong_method;
};

static struct way way_of(const struct exchange *x, struct slice path) {
    struct route_ask ask = ask_of(x->req);
    struct way w = { .path = ask.path = path };
    w.route = routes_find(x->gen->config->route_index, &ask, &w.wrong_method);
    if (w.route != NULL) w.path = route_strip(w.route, path);
    w.dialect = dialect_find(w.path);
    return w;
}

/* No upstream gets what is kept here (served.c): who comes this far did not ask a desk. */
static bool is_served(const struct exchange *x, const struct way *w, struct slice path) {
    const struct config *c = x->gen->config;
    return served_by(c, path) != SERVED_NOT || (w->route != NULL && served_behind(c, w->route, path));
}

/* Does a server that reads the path in another way (http/path.c), or does not mind a slash at its end, see a
 * request of another route, or a chat where we see none? */
static bool is_ambiguous(struct exchange *x, const struct way *w, struct slice path) {
    struct slice other;
    bool slashes = http_path_with_slashes(path, &x->req->arena, &other);
    if (!slashes) other = path;
    while (other.len > 1 && other.ptr[other.len - 1] == '/') other.len--;
    if (other.len == path.len) return false;
    struct way v = way_of(x, other);
    bool served = slashes && is_served(x, &v, other);
    return served || v.dialect != w->dialect || (slashes && v.route != w->route);
}

/* Brings the path into its one form and finds its way.  Returns false after having failed x. */
static bool choose_route(struct exchange *x, bool *wrong_method) {
    struct request *r = x->req;
    const char *why = "another server could read the path in another way, and so get round a route; write it plainly";
    int rc = http_path_normalize(&r->path, &r->arena, &why);
    struct way w = rc == 0 ? way_of(x, r->path) : (struct way){ .path = r->path };
    if (rc == PERILUNE_ERR_NOMEM) {
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return false;
    }
    if (rc != 0 || is_ambiguous(x, &w, r->path)) {
        exchange_fail(x, FAILURE_INVALID_REQUEST, why);
        return false;
    }
    if (is_served(x, &w, r->path)) {
        exchange_fail(x, FAILURE_NOT_FOUND, "the gateway itself answers this path, and only to a plain HTTP request "
                                            "for it: no job, no line of a batch, no message and no route leads there");
        return false;
    }
    x->route = w.route;
    r->route = w.route ? w.route->identity : "";
    r->route_label = w.route ? w.route->label : "";
    memcpy(r->guard, guard_of(x, w.route), sizeof(r->guard));
    x->dialect = w.dialect;
    r->whole_path = r->path;
    r->path = w.path;
    *wrong_method = w.wrong_method;
    return true;
}

/* Does somebody here look into a body that is passed on: a policy, or who chooses by model? */
static bool is_read(const struct exchange *x) {
    const struct config *c = x->gen->config;
    bool by_model = (x->route == NULL || x->route->upstream == NULL) && c->target_count > 1;
    return by_model || (x->route != NULL && x->gen->chains[x->route - c->routes].ref != 0);
}

/* What was asked is known. */
static void take_question(struct exchange *x, struct question *q) {
    struct request *r = x->req;
    if (failure_is_set(&q->failure)) {
        fail(x, &q->failure);
        return;
    }
    if (q->decoded || x->dialect != NULL) coding_forget(r->headers, &r->header_count);
    r->body = q->body;
    r->raw = q->raw;
    q->body = NULL;
    q->raw = NULL;
    x->stream = x->dialect != NULL && r->body->chat.stream && x->ops->admitted == NULL;
    if (x->stream) stats_add(&x->w->metrics.streams, 1);
    x->ops->understood(x);
    admit(x);
}

static void on_question(void *ud, struct question *q) {
    struct exchange *x = ud;
    x->reading = NULL;
    take_question(x, q); /* may free x */
}

/* Reads the body: a large one not in this turn. */
static void read_body(struct exchange *x, struct buf *bytes) {
    struct request *r = x->req;
    struct question q;
    question_init(&q, bytes, x->dialect);
    q.limit = x->gen->config->http.body;
    /* What is passed on, and nobody here looks into, stays as it came. */
    if (x->dialect != NULL || is_read(x)) q.coding = coding_of_body(r->headers, r->header_count);
    x->state = EXCHANGE_READING;
    x->reading = reading_begin(x->w->loop, &q, on_question, x);
    if (x->reading == NULL) take_question(x, &q); /* may free x */
    question_deinit(&q);
}

/* Was the job taken on where it is to run, or is nobody asked there?  A route may be chosen by a header that is not
 * kept, and a reload may put another guard in front.  Returns false after having failed x. */
static bool was_admitted(struct exchange *x) {
    struct request *r = x->req;
    const char *by = x->admitted;
    r->admitted = r->guard[0] == '\0' || strcmp(by, GUARD_OPERATOR) == 0 || strcmp(by, r->guard) == 0;
    if (r->admitted) return true;
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_INVALID_REQUEST, "the job was let in by another route than the one that it runs on now, "
                "which asks for a key; it is chosen by something that is not kept with a job, or was changed since");
    f.status = 403;
    snprintf(f.code, sizeof(f.code), "job_route_changed");
    fail(x, &f);
    return false;
}

bool exchange_admits_job(struct exchange *x, const struct job *j) {
    char guard[GUARD_SIZE];
    bool ignored, wrong;
    struct slice lines = job_guard(j, guard, &ignored), name, value, all = lines;
    unsigned count = 0;
    while (headers_next(&all, &name, &value)) count++;
    struct http_header *list = arena_alloc(&x->req->arena, (count + 1) * sizeof(*list));
    if (list == NULL) return false;
    struct route_ask as = { .method = SLICE("POST"), .path = j->path, .headers = list,
                            .tenant = slice_str(x->req->tenant) };
    while (as.header_count < count && headers_next(&lines, &name, &value))
        list[as.header_count++] = (struct http_header){ name, value };
    const char *mark = as.path.len > 0 ? memchr(as.path.ptr, '?', as.path.len) : NULL;
    if (mark != NULL) as.path.len = (size_t)(mark - as.path.ptr);
    const char *now = guard_of(x, routes_find(x->gen->config->route_index, &as, &wrong));
    return now[0] == '\0' || strcmp(now, guard) == 0;
}

static void begin(struct exchange *x, struct buf *body, uint64_t timeout_ms) {
    const struct request *r = x->req;
    bool wrong_method = false;
    if (!choose_route(x, &wrong_method)) return;
    if (x->is_job && !was_admitted(x)) return;
    if (x->route == NULL && !wrong_method && answer_models(x)) return;
    if (x->route == NULL && !wrong_method && !serve_unrouted(x)) return;
    if (wrong_method || (x->dialect != NULL && !slice_eq(r->method, SLICE("POST")))) {
        exchange_fail(x, FAILURE_METHOD, "this method is not allowed here; the header Allow says which one is");
        return;
    }
    /* Upstream calls have the same deadline and come first with a better message. */
    if (timeout_ms) timer_start(x->w->loop, &x->deadline, timeout_ms + 5, deadline_due);
    read_body(x, body); /* may free x */
}

void exchange_begin(struct exchange *x, struct buf *body) {
    if (find_tenant(x)) begin(x, body, x->gen->config->request_ms);
}

void exchange_begin_job(struct exchange *x, struct buf *body, const char *admitted, uint64_t timeout_ms) {
    x->is_job = true;
    x->admitted = admitted;
    x->req->deadline_ms = timeout_ms ? loop_now(x->w->loop) + timeout_ms : 0;
    begin(x, body, timeout_ms);
}

void exchange_begin_admission(struct exchange *x, struct slice path) {
    struct route_ask as = ask_of(x->req);
    const char *why = "out of memory";
    bool ignored;
    int rc = http_path_normalize(&path, &x->req->arena, &why);
    if (rc != 0) {
        exchange_fail(x, rc == PERILUNE_ERR_NOMEM ? FAILURE_NO_MEMORY : FAILURE_INVALID_REQUEST, why);
        return;
    }
    if (!find_tenant(x)) return;
    as.tenant = slice_str(x->req->tenant);
    as.header_count = x->req->header_count;
    as.method = SLICE("POST");
    as.path = path;
    x->route = routes_find(x->gen->config->route_index, &as, &ignored);
    x->req->route = x->route ? x->route->identity : "";
    memcpy(x->req->guard, guard_of(x, x->route), sizeof(x->req->guard));
    uint64_t ms = x->gen->config->request_ms;
    if (ms) timer_start(x->w->loop, &x->deadline, ms + 5, deadline_due);
    if (x->route == NULL && x->gen->config->guarded)
        exchange_fail(x, FAILURE_NOT_FOUND, "no route says who may ask here; a route for the path of the job can");
    else admit(x);
}

bool exchange_leads(struct exchange *x, struct slice path) {
    struct route_ask as = ask_of(x->req);
    const char *why;
    bool ignored;
    if (http_path_normalize(&path, &x->req->arena, &why) != 0) return false;
    as.path = path;
    if (routes_find(x->gen->config->route_index, &as, &ignored) != NULL || ignored) return true;
    return path_is_openai(path) && !x->gen->config->guarded;
}

/* Words of the request are copied: whoever asked first may be gone before this one is over. */
static bool copy_question(struct request *to, const struct request *from, struct body *body,
                          const struct dialect *dialect) {
    struct failure ignored;
    failure_init(&ignored);
    to->method = from->method;
    to->path = from->path;
    to->query = from->query;
    to->route = from->route;
    to->route_label = from->route_label;
    memcpy(to->guard, from->guard, sizeof(to->guard));
    to->peer = from->peer;
    to->headers = from->headers;
    to->header_count = from->header_count + from->removed; /* policies ask for them again */
    memcpy(to->tenant, from->tenant, sizeof(to->tenant));
    bool ok = request_keep(to) && body_from(&to->body, body->text, dialect, &ignored) == 0;
    if (ok) blob_ref(body->text);
    failure_deinit(&ignored);
    return ok;
}

/* Returns false after having failed x. */
static bool repeat(struct exchange *x, const struct exchange *from, struct body *body) {
    const struct config *c = x->gen->config;
    x->route = from->route;
    x->dialect = from->dialect;
    x->req->refreshes = true;
    if (!copy_question(x->req, from->req, body, from->dialect)) {
        exchange_fail(x, FAILURE_NO_MEMORY, "out of memory");
        return false;
    }
    x->stream = x->req->body->chat.stream;
    if (c->request_ms) timer_start(x->w->loop, &x->deadline, c->request_ms + 5, deadline_due);
    return true;
}

void exchange_begin_again(struct exchange *x, const struct exchange *from) {
    if (repeat(x, from, from->req->body)) admit(x);
}

void exchange_begin_trial(struct exchange *x, const struct exchange *from, struct body *body, const char *upstream) {
    if (!repeat(x, from, body)) return;
    x->state = EXCHANGE_ASKING;
    x->trial = true;
    call_upstream(x, upstream);
}

void exchange_gone(struct exchange *x) {
    x->client = NULL;
    finish(x, true);
}

void exchange_resume(struct exchange *x) {
    if (x->res != NULL) response_resume(x->res);
}

void exchange_describe(const struct list *link, uint64_t now_us, struct buf *out) {
    const struct exchange *x = container_of((struct list *)(uintptr_t)link, struct exchange, link);
    const struct task *t = x->task;
    const char *waits = x->state == EXCHANGE_READING     ? "its body, which is being read"
                        : t == NULL ? (x->state == EXCHANGE_ANSWERING ? "sending" : "upstream")
                        : t->op ? t->op->name : "a slice of time";
    buf_puts(out, "{\"id\":");
    json_write_string(out, slice_str(x->req->id));
    buf_puts(out, ",\"path\":");
    json_write_string(out, x->req->path);
    if (x->via != NULL) buf_printf(out, ",\"via\":\"%s\"", x->via);
    buf_printf(out, ",\"age_ms\":%llu,\"stream\":%s,\"waits_for\":",
               (unsigned long long)((now_us - x->start_us) / 1000), x->stream ? "true" : "false");
    if (t != NULL && t->op != NULL && t->op->what != NULL) {
        char text[120];
        snprintf(text, sizeof(text), "%s %s", waits, t->op->what);
        json_write_string(out, slice_str(text));
    } else {
        json_write_string(out, slice_str(waits));
    }
    if (x->req->job[0]) {
        buf_puts(out, ",\"job\":");
        json_write_string(out, slice_str(x->req->job));
    }
    if (x->res) {
        buf_puts(out, ",\"upstream\":");
        json_write_string(out, slice_str(x->res->upstream));
    }
    buf_printf(out, ",\"generation\":%llu}", (unsigned long long)x->gen->config->generation);
}
