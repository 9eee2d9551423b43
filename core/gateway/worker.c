/* worker.c -- one loop thread, assembled: the file to read to see how parts meet.
 *
 *     loop ---- server (connections) ---- exchange ---- generation      (one by HTTP, many on a WebSocket)
 *      |                                     |            config, Lua state,
 *      +------ client (upstreams) <-- call --+            call pools, chains
 *      |
 *      +------- mailbox: install, listen, drain, describe, stop
 *
 * A generation is built by the loading thread (so that no worker stalls while
 * policies compile) and handed over whole.  The old one lives on in the requests
 * that began with it: each holds a share of its Lua state, and when the last is
 * gone the state closes and takes the generation along, as soon as no call is left. */
#include "gateway/worker.h"

#include <stdio.h>

#include "gateway/asks.h"
#include "gateway/exchange.h"
#include "gateway/http_exchange.h"
#include "gateway/job_keeper.h"
#include "gateway/refresh.h"
#include "gateway/trial.h"
#include "gateway/ws_exchange.h"
#include "request/post.h"
#include "request/scout.h"
#include "upstream/call.h"

/* -- Generations ------------------------------------------------------------------------ */

static void pool_closed(void *ud) {
    struct generation *gen = ud;
    if (--gen->closing > 0) return;
    mem_free(gen->pools);
    mem_free(gen->chains);
    config_put(gen->config);
    mem_free(gen);
}

/* Its state is gone.  Calls that were cancelled in this turn may still be on their way out, and hold no
 * share of it. */
static void generation_closed(void *ud) {
    struct generation *gen = ud;
    unsigned count = gen->config ? gen->config->target_count : 0;
    gen->closing = count + 1;
    for (unsigned i = 0; i < count; i++) call_pool_close(&gen->pools[i], pool_closed, gen);
    pool_closed(gen);
}

void generation_free(struct generation *gen) {
    if (gen == NULL) return;
    if (gen->state != NULL) state_put(gen->state); /* its closed() frees gen */
    else generation_closed(gen);
}

int generation_new(struct generation **out, struct worker *w, struct bundle *b, struct loop *loading_loop,
                   struct stores *stores, struct buf *json, char *err, size_t errlen) {
    /* Until the configuration is read, nobody knows the limits: none are needed. */
    static const struct state_limits none;
    *out = NULL;
    struct generation *gen = mem_zalloc(sizeof(*gen));
    snprintf(err, errlen, "out of memory");
    if (gen == NULL) return PERILUNE_ERR_NOMEM;
    int rc = state_new(&gen->state, loading_loop, w ? w->log : NULL, stores, &none, err, errlen);
    if (rc == 0) {
        gen->state->closed = generation_closed;
        gen->state->closed_ud = gen;
        rc = policy_load(gen->state, b, json, &gen->chains, &gen->chain_count, err, errlen);
    }
    if (rc == 0) *out = gen;
    else generation_free(gen);
    return rc;
}

/* A job remembers it: the same route with the same guard lets it run (exchange.c). */
static void name_guard(struct policy_chain *chain, const struct route *r) {
    if (chain->admission == 0) return;
    uint64_t h = chain->admits;
    for (const char *p = r->identity; *p; p++) h = hash_fnv_add(h, *p);
    snprintf(chain->guard, sizeof(chain->guard), "%016llx", (unsigned long long)h);
}

int generation_bind(struct generation *gen, struct worker *w, struct config *c) {
    gen->pools = mem_zalloc((c->target_count + 1) * sizeof(*gen->pools));
    if (gen->pools == NULL) return PERILUNE_ERR_NOMEM;
    gen->config = config_ref(c);
    for (unsigned i = 0; i < c->route_count && i < gen->chain_count; i++) name_guard(&gen->chains[i], &c->routes[i]);
    for (unsigned i = 0; i < c->target_count; i++) call_pool_init(&gen->pools[i], &w->client, &c->targets[i]);
    struct state *s = gen->state;
    s->services.loop = w->loop;
    s->services.client = &w->client;
    s->services.mail = &w->mail;
    s->services.door = w->door;
    s->services.far = &w->far;
    s->services.ask_again = refresh_begin;
    s->services.ask_again_ud = w;
    s->services.try_out = trial_begin;
    s->services.route_at = asks_route;
    s->services.ask_begins = asks_begin;
    s->services.ask_ends = asks_end;
    s->after = &w->after;
    s->services.pools = gen->pools;
    s->services.pool_count = c->target_count;
    s->limits = c->lua;
    s->services.high_water = c->lua.high_water;
    s->stats = &w->metrics.lua;
    if (s->services.owns_tokens) tokens_free(s->services.tokens); /* what was counted while loading */
    s->services.owns_tokens = false;
    s->services.tokens = w->tokens;
    s->services.calibration = w->calibration;
    s->loop = w->loop; /* from here on it belongs to the worker's thread */
    return 0;
}

static void index_changed(void *ud, bool up) { vectors_changed(&((struct worker *)ud)->far.vectors, up); }

static void index_close(struct worker *w) {
    if (w->searcher == NULL && w->teller == NULL) return;
    post_close(w->searcher);
    post_close(w->teller);
    w->searcher = w->teller = NULL;
    vectors_use(&w->far.vectors, NULL, NULL, NULL, NULL, 0);
}

/* Milvus: its connections are those of upstreams.  Whether searches are answered in time is not told by the rest. */
static void index_open(struct worker *w, const struct config *c) {
    const struct milvus_settings *m = c->milvus;
    if (c->far == NULL || c->far->index != FAR_INDEX_MILVUS || m == NULL) return;
    struct post_options opt = { .loop = w->loop, .client = &w->client, .url = m->url, .token = m->token };
    w->teller = post_new(&opt);
    opt.changed = index_changed;
    opt.ud = w;
    w->searcher = post_new(&opt);
    if (w->teller == NULL || w->searcher == NULL) return;
    vectors_use(&w->far.vectors, &vectors_milvus, post_store(w->searcher), post_store(w->teller), m->collection,
                m->timeout_ms);
    w->far.vectors.database = m->database;
    vectors_changed(&w->far.vectors, true); /* until it is found out otherwise */
}

void worker_install(struct worker *w, struct generation *gen) {
    struct generation *old = w->gen;
    w->gen = gen;
    w->server.limits = gen->config->http;
    if (gen->state->services.models != NULL) tokens_keep(w->tokens, gen->state->services.models);
    index_close(w);
    if (!far_configure(&w->far, gen->config->far, w->listens))
        log_line(w->log, PERILUNE_LOG_ERROR, "cache.redis: out of memory, so this worker goes on without it");
    index_open(w, gen->config);
    job_keeper_install(w);
    if (old != NULL) state_put(old->state);
}

/* -- Listening ---------------------------------------------------------------------------- */

int worker_listen(struct worker *w, const struct listen_plan *plan, int *port, char *err, size_t errlen) {
    for (unsigned i = 0; i < plan->count; i++) {
        const char *address = plan->addresses[i];
        if (http_server_has(&w->server, address)) continue;
        int rc = plan->shared[i] >= 0
                     ? http_server_share(&w->server, address, plan->shared[i], plan->tls, port, err, errlen)
                     : http_server_listen(&w->server, address, plan->alone, plan->tls, port, err, errlen);
        if (rc != 0) return rc;
    }
    return 0;
}

void worker_keep(struct worker *w, const struct listen_plan *plan) {
    const char *keep[LISTEN_MAX];
    for (unsigned i = 0; i < plan->count; i++) keep[i] = plan->addresses[i];
    http_server_keep(&w->server, keep, plan->count);
    http_server_set_tls(&w->server, plan->tls);
}

void worker_drain(struct worker *w) {
    http_server_drain(&w->server);
    job_keeper_drain(w);
}

void worker_describe(struct worker *w, struct buf *out) {
    uint64_t now = loop_hrtime_us();
    for (struct list *e = w->exchanges.next; e != &w->exchanges; e = e->next) {
        if (buf_len(out) > 0) buf_putc(out, ',');
        exchange_describe(e, now, out);
    }
    job_keeper_describe(w, now, out);
}

/* -- Life ----------------------------------------------------------------------------------- */

void worker_uninstall(struct worker *w) {
    refresh_end_all(w);
    trial_end_all(w);
    unsigned undone = after_line_cancel(&w->after);
    if (undone > 0) log_line(w->log, PERILUNE_LOG_WARN, "%u pieces of work behind replies are given up", undone);
    if (w->gen != NULL) flights_leave(w->gen->state->stores->flights, w->loop);
    loop_flush(w->loop);
    index_close(w);
    scout_drop_all(&w->client);
    call_drop_released(&w->client);
    if (w->gen != NULL) state_put(w->gen->state);
    w->gen = NULL;
}

static void close_parts(struct worker *w) {
    http_server_close(&w->server); /* busy requests hear `gone`, their calls stop */
    job_keeper_leave(w);
    worker_uninstall(w);
    far_deinit(&w->far);
    client_close(&w->client);
    door_close(w->door);
    mailbox_close(&w->mail);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    door_is_mine(w->door);
    while (!w->stopping) uv_run(&w->loop->uv, UV_RUN_ONCE);
    close_parts(w);
    loop_deinit(w->loop);
    return NULL;
}

struct stop_letter {
    struct letter letter;
};

static void stop_opened(struct letter *m, void *owner) {
    (void)m;
    ((struct worker *)owner)->stopping = true;
}

static void deinit_parts(struct worker *w) {
    client_deinit(&w->client);
    http_server_deinit(&w->server);
    mailbox_deinit(&w->mail);
    door_put(w->door);
    tokens_free(w->tokens);
    json_deinit(&w->ws_doc);
    sayings_scratch_deinit(&w->said);
}

static void on_request(void *ud, struct http_request *r) {
    http_exchange_plain(r);
    if (!ws_exchange_take(ud, r)) http_exchange_request(ud, r);
}

/* All of them or none: whose part failed is no worker yet, and nobody will close it. */
static int open_parts(struct worker *w) {
    struct http_handler handler = { .ud = w, .head = http_exchange_head, .request = on_request,
                                    .gone = http_exchange_gone, .drained = http_exchange_drained,
                                    .refused = http_exchange_refused };
    struct http_limits limits = { .body = 1 << 20, .header_ms = 10000, .body_ms = 60000, .idle_ms = 60000,
                                  .send_ms = 60000, .high_water = 1 << 18, .low_water = 1 << 16,
                                  .connections = 1024 };
    w->tokens = tokens_new();
    if (w->tokens == NULL) return PERILUNE_ERR_NOMEM;
    w->door = door_new(&w->mail);
    int rc = w->door != NULL ? client_init(&w->client, w->loop) : PERILUNE_ERR_NOMEM;
    if (rc != 0) goto no_client;
    w->client.log = w->log;
    rc = http_server_init(&w->server, w->loop, w->log, &handler, &limits);
    if (rc != 0) goto no_server;
    rc = mailbox_open(&w->mail, w->loop, w); /* last: its handle would need a turn of the loop to close */
    if (rc == 0) return 0;
    http_server_deinit(&w->server);
no_server:
    client_close(&w->client);
    client_deinit(&w->client);
no_client:
    door_put(w->door);
    tokens_free(w->tokens);
    return rc;
}

static int start_thread(struct worker *w, unsigned index) {
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", index);
    return thread_start(&w->thread, name, worker_main, w);
}

int worker_open(struct worker *w, unsigned index, struct loop *loop, struct log *log) {
    memset(w, 0, sizeof(*w));
    w->log = log;
    w->threaded = loop == NULL;
    w->loop = loop ? loop : &w->own_loop;
    w->listens = index == 0;
    list_init(&w->exchanges);
    job_streams_init(&w->job_streams);
    after_line_init(&w->after);
    list_init(&w->batches);
    int rc = w->threaded ? loop_init(w->loop) : 0;
    if (rc != 0) return rc;
    rc = open_parts(w);
    if (!w->threaded) return rc;
    if (rc != 0) {
        loop_deinit(w->loop);
        return rc;
    }
    rc = start_thread(w, index);
    if (rc == 0) return 0;
    close_parts(w);
    loop_deinit(w->loop);
    deinit_parts(w);
    return rc;
}

void worker_close(struct worker *w) {
    if (w->threaded) {
        struct stop_letter stop;
        memset(&stop, 0, sizeof(stop));
        list_init(&stop.letter.link);
        mailbox_send(&w->mail, &stop.letter, stop_opened);
        pthread_join(w->thread, NULL);
    } else {
        close_parts(w);
        uv_run(&w->loop->uv, UV_RUN_NOWAIT); /* close callbacks */
    }
    deinit_parts(w);
}
