/* registry.c -- one entry per upstream name, for ever.
 *
 * Entries outlive configurations, so that counters go on over a reload and a call
 * of an old generation has somewhere to count.  Names are the operator's, so there
 * are few. */
#include "gateway/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

int registry_init(struct registry *r) {
    list_init(&r->entries);
    return pthread_mutex_init(&r->lock, NULL) == 0 ? 0 : PERILUNE_ERR_NOMEM;
}

void registry_deinit(struct registry *r) {
    while (!list_is_empty(&r->entries)) {
        struct registry_entry *e = container_of(r->entries.next, struct registry_entry, link);
        list_remove(&e->link);
        mem_free(e);
    }
    pthread_mutex_destroy(&r->lock);
}

struct registry_entry *registry_get(struct registry *r, const char *name) {
    pthread_mutex_lock(&r->lock);
    struct registry_entry *found = NULL;
    for (struct list *l = r->entries.next; l != &r->entries && found == NULL; l = l->next) {
        struct registry_entry *e = container_of(l, struct registry_entry, link);
        if (strcmp(e->name, name) == 0) found = e;
    }
    if (found == NULL && (found = mem_zalloc(sizeof(*found))) != NULL) {
        snprintf(found->name, sizeof(found->name), "%s", name);
        list_append(&r->entries, &found->link);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}
