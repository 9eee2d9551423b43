/* registry.h -- what is counted per upstream, across generations. See registry.c. */
#ifndef PERILUNE_GATEWAY_REGISTRY_H
#define PERILUNE_GATEWAY_REGISTRY_H

#include <pthread.h>

#include "base/list.h"
#include "upstream/target.h"

struct registry_entry {
    struct list          link;
    struct target_health health;
    char                 name[64];
};

struct registry {
    pthread_mutex_t lock;
    struct list     entries;
};

int  registry_init(struct registry *r);
void registry_deinit(struct registry *r);
/* The entry of that name, made when new; lives as long as the registry. NULL: no memory. */
struct registry_entry *registry_get(struct registry *r, const char *name);

#endif
