/* fetch_stream.h -- the answer of perilune.fetch(url, { stream = true }), piece by piece. See fetch_stream.c. */
#ifndef PERILUNE_BRIDGE_FETCH_STREAM_H
#define PERILUNE_BRIDGE_FETCH_STREAM_H

#include "bridge/state.h"
#include "upstream/call.h"

/* Where a fetch goes: a target of its own for the moment.  Connections are kept and reused all the same, because they
 * belong to the thread's client. */
struct fetch_place {
    struct buf           url;
    struct target        target;
    struct target_health health;
    struct call_pool     pool;
};

/* place is zero.  False: no memory; deinit it all the same, when no call is left in its pool. */
bool fetch_place_init(struct fetch_place *p, struct client *client, struct slice url, uint64_t timeout_ms, size_t most,
                      const struct reach *reach);
void fetch_place_deinit(struct fetch_place *p);

/* A source that calls url with opt, whose pool is set here.  *counter is one more until the call is gone. NULL: no
 * memory. */
struct source *fetch_stream_new(struct client *client, struct slice url, const struct reach *reach, unsigned *counter,
                                struct call_options *opt);

#endif
