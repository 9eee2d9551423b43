/* registry.c -- one entry per upstream name, for ever.
 *
 * Entries outlive configurations, so that counters go on over a reload and a call
 * of an old generation has somewhere to count.  Names are the operator's, so there
 * are few.
 *
 * How an upstream fares goes on, too, unless a reload puts another server or account behind its name: nothing that is
 * known holds of that, and a new key would rest for the hour that the old one had earned.  Of an account that has run
 * out or was refused a reload may mean that somebody has seen to it: it is asked again. */
#include "gateway/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/slice.h"
#include "include/perilune.h"

int registry_init(struct registry *r) {
    list_init(&r->entries);
    r->count = 0;
    r->seed = 0;
    return pthread_mutex_init(&r->lock, NULL) == 0 ? 0 : PERILUNE_ERR_NOMEM;
}

void registry_deinit(struct registry *r) {
    while (!list_is_empty(&r->entries)) {
        struct registry_entry *e = container_of(r->entries.next, struct registry_entry, link);
        list_remove(&e->link);
        breaker_deinit(&e->health.breaker);
        if (e->pool != NULL) affinity_free(e->pool->affinity);
        mem_free(e->pool);
        mem_free(e);
    }
    pthread_mutex_destroy(&r->lock);
}

/* NULL: no memory. */
static struct registry_entry *entry_new(const char *name, uint64_t seed) {
    struct registry_entry *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return NULL;
    snprintf(e->name, sizeof(e->name), "%s", name);
    if (breaker_init(&e->health.breaker, seed) == 0) return e;
    mem_free(e);
    return NULL;
}

struct registry_entry *registry_get(struct registry *r, const char *name) {
    pthread_mutex_lock(&r->lock);
    struct registry_entry *found = NULL;
    for (struct list *l = r->entries.next; l != &r->entries && found == NULL; l = l->next) {
        struct registry_entry *e = container_of(l, struct registry_entry, link);
        if (strcmp(e->name, name) == 0) found = e;
    }
    if (found == NULL && (found = entry_new(name, r->seed == 0 ? 0 : r->seed + r->count)) != NULL) {
        found->health.number = ++r->count;
        list_append(&r->entries, &found->link);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

struct target_pool_state *registry_pool(struct registry *r, const char *name, bool affinity) {
    struct registry_entry *e = registry_get(r, name);
    if (e == NULL) return NULL;
    pthread_mutex_lock(&r->lock);
    if (e->pool == NULL && (e->pool = mem_zalloc(sizeof(*e->pool))) != NULL) hash_long_key_init(&e->pool->key, r->seed);
    struct target_pool_state *p = e->pool;
    if (p != NULL && affinity && p->affinity == NULL && (p->affinity = affinity_new()) == NULL) p = NULL;
    pthread_mutex_unlock(&r->lock);
    return p;
}

/* -- Who it is ------------------------------------------------------------------------------ */

static uint64_t put(uint64_t h, const char *s) { return hash_fnv_field(h, s != NULL ? slice_str(s) : SLICE("\xfe")); }

/* Never 0. */
static uint64_t who_is(const struct target *t) {
    uint64_t h = HASH_FNV_START;
    for (unsigned i = 0; i < t->url_count; i++) h = put(h, t->urls[i]);
    h = put(put(put(put(h, t->key), t->proxy), t->ca), t->insecure ? "insecure" : "");
    for (unsigned i = 0; i < t->header_count; i++) h = put(h, t->headers[i]);
    return put(h, t->engine_model) | 1;
}

void registry_meet(const struct target *t, uint64_t now) {
    struct target_health *h = t->health;
    uint64_t who = who_is(t), was = atomic_exchange(&h->who, who);
    if (was == 0) return;
    if (was == who) {
        breaker_doubt_account(&h->breaker, now);
        return;
    }
    breaker_forget(&h->breaker, now);
    for (int i = 0; i < TARGET_URLS; i++) atomic_store(&h->down_until_ms[i], 0);
}
