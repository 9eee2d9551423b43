/* settings.h -- what a configuration says of jobs (`jobs = { ... }`). Immutable; lives in the configuration. */
#ifndef PERILUNE_JOBS_SETTINGS_H
#define PERILUNE_JOBS_SETTINGS_H

#include "jobs/file_store.h"
#include "jobs/jobs.h"
#include "jobs/jobs_redis.h"
#include "jobs/courier.h"
#include "jobs/webhook.h"

struct job_settings {
    const char          *file;      /* NULL: in Redis, or in memory */
    const struct jobs_redis_place *redis; /* NULL: in the file, or in memory */
    const struct courier_settings *broker; /* carries them between nodes; NULL: they are done here */
    struct jobs_settings store;     /* of the queue, until the process ends */
    struct jobs_limits   limits;
    uint64_t             lease_ms, timeout_ms, backoff_ms, backoff_max_ms; /* timeout: of a try */
    struct file_settings files;     /* folder NULL: neither files nor batches are served */
    unsigned             batch_concurrency, batch_lines; /* of one batch: requests at once, and at most */
    uint64_t             batch_window_ms; /* how long a batch may take */
    const char         **headers;   /* of requests, that are kept with their jobs */
    unsigned             header_count;
    int                  max_priority;             /* that a client may name */
    uint64_t             max_keep_ms, max_delay_ms; /* the same: kept after its end, not begun before */
    unsigned             max_tries, room; /* room: jobs at once of a worker */
    const struct webhook_settings *webhooks; /* NULL: none are sent */
};

/* Is there such a queue?  "" and "default" always are. */
static inline bool job_settings_have(const struct job_settings *s, struct slice queue) {
    if (queue.len == 0 || slice_eq(queue, SLICE("default"))) return true;
    for (unsigned i = 0; i < s->limits.queue_count; i++)
        if (slice_eq(queue, slice_str(s->limits.queues[i].name))) return true;
    return false;
}

#endif
