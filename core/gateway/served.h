/* served.h -- the paths that the gateway itself answers. See served.c. */
#ifndef PERILUNE_GATEWAY_SERVED_H
#define PERILUNE_GATEWAY_SERVED_H

#include "gateway/config.h"

enum served { SERVED_NOT, SERVED_JOBS, SERVED_FILES, SERVED_BATCHES, SERVED_SOCKET };

#define SERVED_JOBS_ROOT    "/v1/async"
#define SERVED_FILES_ROOT   "/v1/files"
#define SERVED_BATCHES_ROOT "/v1/batches"

/* Who answers this path (in its one form, http/path.h)?  SERVED_NOT: routes and upstreams. */
enum served served_by(const struct config *c, struct slice path);
/* Would this route lead an upstream to what is kept here, although nobody wrote it for that? */
bool served_behind(const struct config *c, const struct route *r, struct slice path);

#endif
