/* credits.c -- the credit of names: what policies may do for a share of all requests, whoever of them asks.
 *
 * Names are those of policies and their writers, so they are few, and none is ever forgotten. */
#include "sched/credits.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/hashtable.h"
#include "base/list.h"
#include "base/mem.h"

struct named {
    struct chained link;
    struct named  *next; /* of all */
    struct credit  credit;
    size_t         len;
    char           name[];
};

struct credits {
    pthread_mutex_t  lock;
    struct hash_key  key;
    struct hashtable table;
    struct named    *all;
};

struct credits *credits_new(void) {
    struct credits *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    pthread_mutex_init(&c->lock, NULL);
    hash_key_random(&c->key);
    return c;
}

void credits_free(struct credits *c) {
    if (c == NULL) return;
    for (struct named *n = c->all, *next; n != NULL; n = next) {
        next = n->next;
        mem_free(n);
    }
    hashtable_deinit(&c->table);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

static struct slice name_of(const struct chained *e) {
    const struct named *n = container_of((struct chained *)(uintptr_t)e, struct named, link);
    return slice_of(n->name, n->len);
}

/* Under the lock. */
static struct named *make(struct credits *c, struct slice name, uint64_t hash) {
    if (c->table.count == CREDITS_MAX || hashtable_reserve(&c->table) != 0) return NULL;
    struct named *n = mem_zalloc(sizeof(*n) + name.len);
    if (n == NULL) return NULL;
    n->len = name.len;
    memcpy(n->name, name.ptr, name.len);
    n->link.hash = hash;
    hashtable_add(&c->table, &n->link);
    n->next = c->all;
    return c->all = n;
}

struct credit *credits_get(struct credits *c, struct slice name) {
    uint64_t hash = hash64(&c->key, name);
    pthread_mutex_lock(&c->lock);
    struct chained **at = hashtable_find(&c->table, hash, name, name_of);
    struct named *n = at != NULL ? container_of(*at, struct named, link) : make(c, name, hash);
    pthread_mutex_unlock(&c->lock);
    return n != NULL ? &n->credit : NULL;
}
