/* webhooks.h -- tells those who asked for it that a job has ended. See webhooks.c. */
#ifndef PERILUNE_GATEWAY_WEBHOOKS_H
#define PERILUNE_GATEWAY_WEBHOOKS_H

#include "base/stats.h"
#include "jobs/jobs.h"
#include "jobs/webhook.h"
#include "upstream/client.h"

/* Written by one thread, read by any. */
struct webhook_stats {
    stats_counter delivered, failed, dead; /* failed: tries after which it is told again */
    stats_counter sending;                 /* now: a gauge */
};

struct webhooks_options {
    struct jobs   *jobs;   /* its hook_due becomes ours */
    struct client *client;
    struct log    *log;
    struct webhook_stats *stats;
};

struct webhooks;

/* NULL: no memory. */
struct webhooks *webhooks_new(const struct webhooks_options *opt);
/* From now on; borrowed until the next call.  NULL: nothing more is sent; what waits, waits. */
void             webhooks_set(struct webhooks *w, const struct webhook_settings *s);
void             webhooks_drain(struct webhooks *w);
unsigned         webhooks_sending(const struct webhooks *w);
/* What is being sent is given up, and comes again when its lease has run out.  NULL is fine. */
void             webhooks_free(struct webhooks *w);

#endif
