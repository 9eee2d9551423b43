/* l_cache.h -- what the files of perilune.cache share: l_cache.c (the same question), l_near.c (a near one). */
#ifndef PERILUNE_BRIDGE_L_CACHE_H
#define PERILUNE_BRIDGE_L_CACHE_H

#include <lua.h>

#include "flow/response.h"
#include "request/cached.h"
#include "request/request.h"

#define L_CACHE_MAX_VARY 16

/* The userdata of a cache: strings stand in `text`. */
struct lua_cache {
    uint64_t     ttl_ms, stale_ms, error_ms, negative_ms, pace_ms;
    size_t       max_entry;
    double       max_temperature; /* of a request that says one */
    bool         shared, tool_calls, limits_temperature;
    unsigned     honor; /* CACHE_CONTROL_ bits */
    struct slice name, version, vary[L_CACHE_MAX_VARY]; /* version: empty: the files of the configuration */
    unsigned     vary_count;
    char         text[];
};

struct state;

struct lua_cache *cache_check(lua_State *L, int index); /* [0, 0, e] */
/* The key at index, of core.cache_lookup(). [0, 0, e] */
struct hash128    cache_key_check(lua_State *L, int index);
/* Whose entries they are: nobody's in a cache that all tenants share. */
struct slice      cache_tenant(const struct lua_cache *c, const struct request *r);
/* The same of the request that is running, for values: nobody's when none is. */
struct slice      cache_running_tenant(struct state *s, const struct lua_cache *c);
/* Appends all that an answer to this request depends on; doc: what is asked, NULL: what the body does.  On
 * failure out has failed. */
void              cache_write_text(struct state *s, const struct lua_cache *c, const struct request *r,
                                   const struct body *body, const struct json_doc *doc, struct slice salt,
                                   struct buf *out);
/* The state holds e, whose share it takes, in place of what it held (NULL: nothing), so that it is let go of also when
 * something raises. */
void              cache_hold(struct state *s, struct cache_entry *e);
/* The entry, which the state holds from now on, as a response to the request; takes the share of e.  `stream`: as
 * the client asks for it. [0, +1, e] */
struct response  *cache_push_hit(lua_State *L, const struct lua_cache *c, struct request *r, bool stream,
                                 struct cache_entry *e, const struct cached *facts, enum response_cache how);

/* What core.near_find() knows of the question at index (nil: nothing).  Borrowed from the stack. [0, 0, e] */
void              near_read_asked(lua_State *L, int index, struct asked *out);

#endif
