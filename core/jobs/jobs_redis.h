/* jobs_redis.h -- jobs in Redis or Valkey, which machines share. See jobs_redis.c. */
#ifndef PERILUNE_JOBS_JOBS_REDIS_H
#define PERILUNE_JOBS_JOBS_REDIS_H

#include "jobs/jobs.h"

/* Where it is; borrowed during jobs_redis_open(), which copies. */
struct jobs_redis_place {
    const char *host;          /* NULL: `path` */
    unsigned    port;
    const char *path;          /* of a socket */
    bool        tls;
    const char *ca;            /* whom it trusts; NULL: the system's authorities */
    const char *user, *password; /* or NULL */
    unsigned    db;
    const char *prefix;        /* of all keys */
};

/* l NULL: no limits.  0 or PERILUNE_ERR_NOMEM.  Whether a server is there is found out by the ends. */
int  jobs_redis_open(struct jobs_store **out, const struct jobs_redis_place *at, const struct jobs_settings *s,
                     const struct jobs_limits *l);
/* Connects, and waits for that.  0, PERILUNE_ERR_NOMEM, or PERILUNE_ERR_IO with a sentence in why: where, and what is
 * wrong there. */
int  jobs_redis_check(const struct jobs_redis_place *at, char *why, size_t size);
/* Is it there, for this end?  On its loop. */
bool jobs_redis_is_up(const struct jobs *j);

#endif
