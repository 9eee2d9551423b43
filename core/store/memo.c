/* memo.c -- a bounded memory behind sharded locks.
 *
 *     shards[hash >> 61] -> lock, hashtable -> entry { key value }
 *                                 order: oldest use first -> ... -> newest
 *                                 owners[64]: the same, of each owner
 *
 * perilune.shared() is state: it refuses when it is full.  This is the opposite,
 * what policies remember to be cheaper next time (which conversation was sent how
 * far, in which order its tools stood): setting always succeeds, and what was used
 * longest ago makes room.  An owner that floods it drives out its own entries once it
 * has half of the room.  Owners are told apart by six bits of a hash: who shares them
 * shares that half, no more.
 *
 * Invariants: an entry is in one chain and in the lists of its shard and owner; bytes
 * of a shard never exceed its part of the limit; an expired entry is never given out.
 *
 * Does not run timers: expired entries go when they are met, or age out. */
#include "store/memo.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "base/hashtable.h"

#define SHARDS 8
#define OWNERS 64

struct entry {
    struct list    order, mine; /* of the shard, of the owner */
    struct chained link;
    uint64_t       expires;
    uint32_t       key_len, value_len;
    unsigned       owner;
    char           bytes[]; /* key, value */
};

struct shard {
    pthread_mutex_t lock;
    struct hashtable   entries;
    struct list     order;
    struct owner {
        struct list order;
        size_t      bytes;
    }               owners[OWNERS];
    size_t          bytes;
};

struct memo {
    struct hash_key key;
    size_t          shard_limit;
    struct shard    shards[SHARDS];
};

struct memo *memo_new(size_t limit_bytes) {
    struct memo *m = mem_zalloc(sizeof(*m));
    if (m == NULL) return NULL;
    hash_key_random(&m->key);
    m->shard_limit = limit_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&m->shards[i].lock, NULL);
        list_init(&m->shards[i].order);
        for (int o = 0; o < OWNERS; o++) list_init(&m->shards[i].owners[o].order);
    }
    return m;
}

static size_t size_of(const struct entry *e) { return sizeof(*e) + e->key_len + e->value_len; }

/* -- One shard, locked ----------------------------------------------------------- */

static struct entry *entry_of(struct chained *e) { return container_of(e, struct entry, link); }

static struct slice key_of(const struct chained *e) {
    const struct entry *entry = entry_of((struct chained *)(uintptr_t)e);
    return slice_of(entry->bytes, entry->key_len);
}

static void drop(struct shard *sh, struct chained **at) {
    struct entry *e = entry_of(*at);
    hashtable_remove(&sh->entries, at);
    list_remove(&e->order);
    list_remove(&e->mine);
    sh->bytes -= size_of(e);
    sh->owners[e->owner].bytes -= size_of(e);
    mem_free(e);
}

static void drop_entry(struct shard *sh, struct entry *e) {
    drop(sh, hashtable_find(&sh->entries, e->link.hash, key_of(&e->link), key_of));
}

static void drop_oldest(struct shard *sh) { drop_entry(sh, container_of(sh->order.next, struct entry, order)); }

/* As the newest. */
static void enlist(struct shard *sh, struct entry *e) {
    list_append(&sh->order, &e->order);
    list_append(&sh->owners[e->owner].order, &e->mine);
}

static struct entry *entry_new(unsigned owner, struct slice key, struct slice value, uint64_t expires) {
    struct entry *e = mem_alloc(sizeof(*e) + key.len + value.len);
    if (e == NULL) return NULL;
    *e = (struct entry){ .owner = owner, .expires = expires, .key_len = (uint32_t)key.len,
                         .value_len = (uint32_t)value.len };
    list_init(&e->order);
    list_init(&e->mine);
    if (key.len > 0) memcpy(e->bytes, key.ptr, key.len);
    if (value.len > 0) memcpy(e->bytes + key.len, value.ptr, value.len);
    return e;
}

/* Takes e. */
static void insert(struct memo *m, struct shard *sh, struct entry *e) {
    struct chained **old = hashtable_find(&sh->entries, e->link.hash, key_of(&e->link), key_of);
    if (old != NULL) drop(sh, old);
    struct owner *o = &sh->owners[e->owner];
    while (o->bytes + size_of(e) > m->shard_limit / 2 && !list_is_empty(&o->order))
        drop_entry(sh, container_of(o->order.next, struct entry, mine));
    while (sh->bytes + size_of(e) > m->shard_limit) drop_oldest(sh);
    hashtable_add(&sh->entries, &e->link);
    enlist(sh, e);
    sh->bytes += size_of(e);
    o->bytes += size_of(e);
}

static struct shard *shard_lock(struct memo *m, struct slice key, uint64_t *hash) {
    *hash = hash64(&m->key, key);
    struct shard *sh = &m->shards[*hash >> 61];
    pthread_mutex_lock(&sh->lock);
    return sh;
}

/* -- Public ------------------------------------------------------------------------- */

void memo_free(struct memo *m) {
    if (m == NULL) return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &m->shards[i];
        while (!list_is_empty(&sh->order)) drop_oldest(sh);
        hashtable_deinit(&sh->entries);
        pthread_mutex_destroy(&sh->lock);
    }
    mem_free(m);
}

int memo_get(struct memo *m, struct slice key, uint64_t now, struct buf *out) {
    uint64_t hash;
    struct shard *sh = shard_lock(m, key, &hash);
    int err = PERILUNE_ERR_INVAL;
    struct chained **at = hashtable_find(&sh->entries, hash, key, key_of);
    if (at != NULL && entry_of(*at)->expires <= now) {
        drop(sh, at);
    } else if (at != NULL) {
        struct entry *e = entry_of(*at);
        list_remove(&e->order);
        list_remove(&e->mine);
        enlist(sh, e);
        buf_put(out, e->bytes + e->key_len, e->value_len);
        err = buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
    }
    pthread_mutex_unlock(&sh->lock);
    return err;
}

int memo_set(struct memo *m, struct slice owner, struct slice key, struct slice value, uint64_t now, uint64_t ttl) {
    if (key.len > MEMO_MAX_KEY || value.len > MEMO_MAX_VALUE) return PERILUNE_ERR_LIMITED;
    if (sizeof(struct entry) + key.len + value.len > m->shard_limit) return PERILUNE_ERR_LIMITED;
    struct entry *e = entry_new((unsigned)(hash64(&m->key, owner) % OWNERS), key, value, now + ttl);
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    struct shard *sh = shard_lock(m, key, &e->link.hash);
    int err = hashtable_reserve(&sh->entries);
    if (err == 0) insert(m, sh, e);
    pthread_mutex_unlock(&sh->lock);
    if (err != 0) mem_free(e);
    return err;
}

void memo_forget(struct memo *m, struct slice key) {
    uint64_t hash;
    struct shard *sh = shard_lock(m, key, &hash);
    struct chained **at = hashtable_find(&sh->entries, hash, key, key_of);
    if (at != NULL) drop(sh, at);
    pthread_mutex_unlock(&sh->lock);
}
