/* cast.c -- the upstreams and pools of a simulation.
 *
 *     configuration --gateway/config.c--> targets, pools, breakers --> the services of a state without a gateway
 *                                            client, whose calls are played (upstream/played.c)
 *
 * They are what a gateway makes of the same configuration, so what runs over them is the gateway's own: who is
 * picked, who rests, who is asked again, and how long all of it lasts.  What they draw comes from a seed.
 *
 * Calls may outlast a simulation, when a policy left some behind: so it goes as a generation does, with the last of
 * them. */
#include "gateway/cast.h"

#include <stdio.h>

#include "gateway/config.h"
#include "gateway/registry.h"
#include "include/perilune.h"
#include "request/scout.h"

struct cast {
    struct client     client;
    struct registry   registry;
    struct config    *config;
    struct call_pool *pools;
    unsigned          open;   /* pools that are not empty yet, and one for cast_close() */
    struct deferred   gone;
    bool              has_client, has_registry;
};

static void cast_free(struct cast *c) {
    if (c->has_client) {
        client_close(&c->client);
        client_deinit(&c->client);
    }
    config_put(c->config);
    if (c->has_registry) registry_deinit(&c->registry);
    mem_free(c->pools);
    mem_free(c);
}

static void on_gone(struct deferred *d) { cast_free(container_of(d, struct cast, gone)); }

/* Whoever ended the last call is still on the stack. */
static void pool_is_empty(void *ud) {
    struct cast *c = ud;
    if (--c->open == 0) loop_soon(c->client.loop, &c->gone, on_gone);
}

/* Nothing of a simulation is dialed, and no file of it is opened. */
static int no_port(void *ud, char *err, size_t errlen) {
    (void)ud;
    snprintf(err, errlen, "a simulation has no 'sim'");
    return PERILUNE_ERR_CONFIG;
}

static int make(struct cast *c, struct services *v, struct slice config, uint64_t seed, char *err, size_t errlen) {
    struct config_env env = { .file = "t.simulate", .registry = &c->registry, .sim_port = no_port };
    snprintf(err, errlen, "out of memory");
    c->has_client = client_init(&c->client, v->loop) == 0;
    c->has_registry = registry_init(&c->registry) == 0;
    if (!c->has_client || !c->has_registry) return PERILUNE_ERR_NOMEM;
    c->registry.seed = seed;
    int rc = config_new(&c->config, config, &env, err, errlen);
    if (rc != 0) return rc;
    c->pools = mem_zalloc((c->config->target_count + 1) * sizeof(*c->pools));
    return c->pools != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

int cast_new(struct cast **out, struct services *v, struct log *log, struct slice config, uint64_t seed,
             const struct player *player, char *err, size_t errlen) {
    struct cast *c = mem_zalloc(sizeof(*c));
    int rc = c != NULL ? make(c, v, config, seed, err, errlen) : PERILUNE_ERR_NOMEM;
    *out = NULL;
    if (rc != 0) {
        if (c != NULL) cast_free(c);
        return rc;
    }
    c->client.log = log;
    c->client.player = player;
    for (unsigned i = 0; i < c->config->target_count; i++)
        call_pool_init(&c->pools[i], &c->client, &c->config->targets[i]);
    v->pools = c->pools;
    v->pool_count = c->config->target_count;
    *out = c;
    return 0;
}

void cast_close(struct cast *c) {
    if (c == NULL) return;
    unsigned count = c->config->target_count;
    c->open = count + 1;
    scout_drop_all(&c->client);
    call_drop_released(&c->client);
    for (unsigned i = 0; i < count; i++) call_pool_close(&c->pools[i], pool_is_empty, c);
    pool_is_empty(c);
}
