/* served.c -- the paths that the gateway itself answers, and no upstream ever does.
 *
 *     /v1/async..    jobs           (jobs)            HTTP: job_desk.c
 *     /v1/files..    files          (jobs.files)      HTTP: batch_desk.c
 *     /v1/batches..  batches        (jobs.files)      HTTP: batch_desk.c
 *     /v1/ws         the WebSocket  (websocket.path)  HTTP: ws_exchange.c
 *
 * One decision for all who ask.  What is kept here belongs to tenants, and an upstream has things of the same names
 * that belong to the operator, whose key would be sent along.  So connections ask here which desk it is, and everybody
 * else who comes to a route (a message on a WebSocket, a job, a line of a batch, a command) is refused there
 * (exchange.c), whatever routes say.  A path is looked at in its one form, and also as a server reads it that takes %2F
 * for a slash.
 *
 * A route may lead to such a path, too, by taking a prefix away, or because an upstream's base URL ends in /v1
 * ("/files" by a route for all).  That is refused as well, but for a route that was written for it
 * ("/openai/v1/files"): then an operator means the provider's own. */
#include "gateway/served.h"

static bool is_below(struct slice path, struct slice root) {
    return slice_starts(path, root) && (path.len == root.len || path.ptr[root.len] == '/');
}

enum served served_by(const struct config *c, struct slice path) {
    bool files = c->jobs != NULL && c->jobs->files.folder != NULL;
    if (c->jobs != NULL && is_below(path, SLICE(SERVED_JOBS_ROOT))) return SERVED_JOBS;
    if (files && is_below(path, SLICE(SERVED_FILES_ROOT))) return SERVED_FILES;
    if (files && is_below(path, SLICE(SERVED_BATCHES_ROOT))) return SERVED_BATCHES;
    if (c->websocket.path != NULL && slice_eq(path, slice_str(c->websocket.path))) return SERVED_SOCKET;
    return SERVED_NOT;
}

/* The same of a path that an upstream would see, to whose base URL it is added with or without /v1 (outgoing.c). */
static bool is_kept(const struct config *c, struct slice path) {
    static const struct slice files = SLICE(SERVED_FILES_ROOT), batches = SLICE(SERVED_BATCHES_ROOT);
    bool here = c->jobs != NULL && c->jobs->files.folder != NULL;
    return served_by(c, path) != SERVED_NOT ||
           (here && (is_below(path, slice_of(files.ptr + 3, files.len - 3)) ||
                     is_below(path, slice_of(batches.ptr + 3, batches.len - 3))));
}

bool served_behind(const struct config *c, const struct route *r, struct slice path) {
    return is_kept(c, route_strip(r, path)) && !is_kept(c, route_strip(r, slice_str(r->path)));
}
