/* registry.h -- what is counted per upstream, across generations. See registry.c. */
#ifndef PERILUNE_GATEWAY_REGISTRY_H
#define PERILUNE_GATEWAY_REGISTRY_H

#include <pthread.h>

#include "base/list.h"
#include "upstream/target.h"

struct registry_entry {
    struct list          link;
    struct target_health health;
    struct target_pool_state *pool; /* NULL: no pool has this name */
    char                 name[64];
};

struct registry {
    pthread_mutex_t lock;
    struct list     entries;
    uint16_t        count;
    uint64_t        seed; /* of what entries draw; 0: from the kernel.  The owner may set it before there are any */
};

int  registry_init(struct registry *r);
void registry_deinit(struct registry *r);
/* The entry of that name, made when new; lives as long as the registry. NULL: no memory. */
struct registry_entry *registry_get(struct registry *r, const char *name);
/* The same of a pool's name; affinity: it remembers beginnings of prompts. */
struct target_pool_state *registry_pool(struct registry *r, const char *name, bool affinity);

/* A configuration is in use from here on, with this target, which is no pool.  What is known of its name is forgotten
 * when that is another server or account now; now: loop_now(). */
void registry_meet(const struct target *t, uint64_t now);

#endif
