/* config.h -- a checked configuration as C reads it; immutable, counted, shared by
 * all threads. See config.c. */
#ifndef PERILUNE_GATEWAY_CONFIG_H
#define PERILUNE_GATEWAY_CONFIG_H

#include <stdatomic.h>

#include "base/mem.h"
#include "bridge/state.h"
#include "gateway/cors.h"
#include "gateway/routes.h"
#include "gateway/tenants.h"
#include "http/server.h"
#include "jobs/settings.h"
#include "flow/headers.h"
#include "http/ws_conn.h"
#include "upstream/target.h"

/* cache.milvus */
struct milvus_settings {
    const char *url, *token, *database, *collection; /* token NULL: none */
    uint64_t    timeout_ms;
};

struct websocket {
    const char         *path;         /* NULL: none is opened */
    struct ws_settings  socket;
    unsigned            max_requests; /* at once, on one */
    struct headers_list headers;      /* that messages may set */
};

struct config {
    size_t          cache_bytes, cache_vectors;
    const char     *cache_snapshot; /* path; NULL: none */
    struct far_settings *far;       /* cache.redis; NULL: none */
    struct milvus_settings *milvus; /* cache.milvus; NULL: none */
    const struct job_settings *jobs; /* NULL: there are none */
    atomic_uint          refs;
    struct arena         arena;
    struct engines      *engines;  /* whose shares the targets have */
    const char         **listen;
    unsigned             listen_count;
    const char          *admin;    /* NULL: none */
    unsigned             workers;  /* 0: one per core */
    const char          *tls_cert, *tls_key;
    struct target       *targets;
    unsigned             target_count;
    struct route        *routes;
    unsigned             route_count;
    struct routes       *route_index;
    struct tenants       tenants;
    bool                 guarded;  /* paths without a route are not served */
    struct http_limits   http;
    struct cors          cors;
    struct websocket     websocket;
    struct state_limits  lua;
    uint64_t             request_ms, comment_ms, drain_ms;
    bool                 log_access, watch, reuse_port;
    int                  log_level;
    uint64_t             generation;
};

/* Finds what counts and health of a name are kept in; see registry.h. */
struct registry;
struct engines;
struct findings;
/* The port of the simulated upstream, starting it when needed; negative: error. */
struct config_env {
    const char      *file;     /* where it comes from, for messages */
    struct registry *registry;
    struct engines  *engines;  /* NULL: models are not loaded, only their settings are checked */
    int            (*sim_port)(void *ud, char *err, size_t errlen);
    struct findings *findings; /* where complaints are noted in pieces; NULL: nowhere */
    void           (*notice)(void *ud, const char *text); /* what an operator should know; NULL: is not told */
    void            *ud;
};

/* json: what boot.lua made. On failure err gets all that is wrong, a line each with the file and, when
 * boot.lua knew it, the line. */
int  config_new(struct config **out, struct slice json, const struct config_env *env, char *err, size_t errlen);
struct config *config_ref(struct config *c);
void config_put(struct config *c);

#endif
