/* asks.c -- what policies ask on behalf of a request, counted and logged.
 *
 *     perilune.ask (bridge/l_ask.c) --begins--> in flight
 *                                   --ends----> a line of the access log, metrics of its route and upstream
 *
 * A request that a policy makes costs tokens like one that came by HTTP, so it is a line of the log (under the id of
 * the client's request and a number behind it) and it is counted the same way, by the same code: as an exchange that
 * is over.  It was never one that runs: who asked waits for it in Lua, and /admin/tasks shows that one. */
#include "gateway/asks.h"

#include "gateway/exchange.h"

static struct generation *generation_of(struct services *v) {
    return container_of(v, struct state, services)->closed_ud;
}

bool asks_route(struct services *v, unsigned index, struct ask_route *out) {
    const struct generation *gen = generation_of(v);
    const struct config *c = gen->config;
    if (index >= c->route_count) return false;
    *out = (struct ask_route){ c->routes[index].identity, c->routes[index].label, gen->chains[index].guard };
    return true;
}

void asks_begin(struct services *v) {
    struct worker *w = v->ask_again_ud;
    stats_add(&w->metrics.requests, 1);
    atomic_fetch_add_explicit(&w->metrics.in_flight, 1, memory_order_relaxed);
}

static const struct route *route_of(const struct config *c, const char *identity) {
    for (unsigned i = 0; i < c->route_count; i++)
        if (strcmp(c->routes[i].identity, identity) == 0) return &c->routes[i];
    return NULL;
}

void asks_end(struct services *v, const struct ask_report *r) {
    struct generation *gen = generation_of(v);
    struct failure copy;
    failure_init(&copy);
    if (r->failure != NULL) failure_copy(&copy, r->failure);
    struct exchange x = { .state = EXCHANGE_OVER, .w = v->ask_again_ud, .gen = gen, .req = r->request,
                          .res = r->response, .failure = r->failure ? &copy : NULL, .start_us = r->start_us,
                          .status = r->failure ? r->failure->status : r->response ? r->response->status : 200,
                          .route = route_of(gen->config, r->request->route) };
    exchange_account_ask(&x, strcmp(r->outcome->code, "canceled") == 0);
    failure_deinit(&copy);
}
