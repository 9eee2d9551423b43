/* keep.h -- tasks behind replies that are kept as jobs. See l_keep.c. */
#ifndef PERILUNE_BRIDGE_KEEP_H
#define PERILUNE_BRIDGE_KEEP_H

#include "jobs/job.h"

/* A task that was kept as a job, out of the body of that. */
struct kept {
    struct slice tenant, id; /* whom it works for; its request's */
    struct slice told;       /* JSON for the task */
    struct slice body;       /* of the request; "": it had none */
};
/* False: j is no such job. */
bool kept_read(const struct job *j, struct kept *out);

#endif
