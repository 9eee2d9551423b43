/* shared.c -- perilune.shared(): a dictionary behind sharded locks.
 *
 *     shards[hash >> 60] -> lock, hashtable -> entry { name 0 key, value }
 *
 * For counters, flags and small strings that policies of several workers agree
 * on.  Bounded in bytes: expired entries are swept when room is needed, and if
 * that is not enough, setting fails and says so (nothing is evicted behind a
 * policy's back: this is state, not a cache). */
#include "store/shared.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "base/hashtable.h"

#define SHARDS 16

struct entry {
    struct chained   link;
    uint64_t         expires; /* 0: never */
    enum shared_type type;
    double           number;
    char            *string;
    size_t           string_len, key_len, size;
    char             key[]; /* name, NUL, key */
};

struct shard {
    pthread_mutex_t lock;
    struct hashtable   entries;
    size_t          bytes;
};

struct shared {
    struct hash_key key;
    size_t          shard_limit;
    struct shard    shards[SHARDS];
};

struct shared *shared_new(size_t limit_bytes) {
    struct shared *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    hash_key_random(&s->key);
    s->shard_limit = limit_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) pthread_mutex_init(&s->shards[i].lock, NULL);
    return s;
}

static struct entry *entry_of(struct chained *e) { return container_of(e, struct entry, link); }

static void entry_free(struct entry *e) {
    mem_free(e->string);
    mem_free(e);
}

void shared_free(struct shared *s) {
    if (s == NULL) return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        for (size_t b = 0; b < sh->entries.cap; b++)
            for (struct chained *e = sh->entries.slots[b], *next; e != NULL; e = next) {
                next = e->next;
                entry_free(entry_of(e));
            }
        hashtable_deinit(&sh->entries);
        pthread_mutex_destroy(&sh->lock);
    }
    mem_free(s);
}

/* -- One shard, locked ------------------------------------------------------------- */

static struct slice key_of(const struct chained *e) {
    const struct entry *entry = entry_of((struct chained *)(uintptr_t)e);
    return slice_of(entry->key, entry->key_len);
}

static void drop(struct shard *sh, struct chained **at) {
    struct entry *e = entry_of(*at);
    hashtable_remove(&sh->entries, at);
    sh->bytes -= e->size;
    entry_free(e);
}

static bool is_over(const struct entry *e, uint64_t now) { return e->expires != 0 && e->expires <= now; }

/* Where the live entry hangs, or NULL; an expired one is dropped. */
static struct chained **lookup(struct shard *sh, uint64_t hash, struct slice full, uint64_t now) {
    struct chained **at = hashtable_find(&sh->entries, hash, full, key_of);
    if (at == NULL || !is_over(entry_of(*at), now)) return at;
    drop(sh, at);
    return NULL;
}

static void sweep(struct shard *sh, uint64_t now) {
    for (size_t b = 0; b < sh->entries.cap; b++)
        for (struct chained **at = &sh->entries.slots[b]; *at != NULL;) {
            if (is_over(entry_of(*at), now)) drop(sh, at);
            else at = &(*at)->next;
        }
}

static int insert(struct shared *s, struct shard *sh, uint64_t hash, struct slice full,
                  const struct shared_value *v, uint64_t now, uint64_t expires) {
    struct slice text = v->type == SHARED_STRING ? buf_get(&v->string) : SLICE("");
    size_t size = sizeof(struct entry) + full.len + text.len;
    if (sh->bytes + size > s->shard_limit) sweep(sh, now);
    if (sh->bytes + size > s->shard_limit) return PERILUNE_ERR_LIMITED;
    if (hashtable_reserve(&sh->entries) != 0) return PERILUNE_ERR_NOMEM;
    struct entry *e = mem_alloc(sizeof(*e) + full.len);
    char *copy = v->type == SHARED_STRING ? mem_dup(text.ptr, text.len) : NULL;
    if (e == NULL || (v->type == SHARED_STRING && copy == NULL)) {
        mem_free(e);
        mem_free(copy);
        return PERILUNE_ERR_NOMEM;
    }
    struct chained **old = hashtable_find(&sh->entries, hash, full, key_of);
    if (old != NULL) drop(sh, old);
    *e = (struct entry){ .link = { .hash = hash }, .expires = expires, .type = v->type,
                         .number = v->number, .string = copy, .string_len = text.len,
                         .key_len = full.len, .size = size };
    memcpy(e->key, full.ptr, full.len);
    hashtable_add(&sh->entries, &e->link);
    sh->bytes += size;
    return 0;
}

/* -- Public --------------------------------------------------------------------------- */

/* A key on its shard, which is locked between enter() and leave(). */
struct visit {
    struct buf    full; /* name, NUL, key */
    struct slice  key;  /* the same */
    uint64_t      hash;
    struct shard *shard;
};

static int enter(struct visit *v, struct shared *s, struct slice name, struct slice key) {
    buf_init(&v->full, 0);
    buf_slice(&v->full, name);
    buf_putc(&v->full, '\0');
    buf_slice(&v->full, key);
    int err = v->full.error;
    if (err != 0) {
        buf_deinit(&v->full);
        return err;
    }
    v->key = buf_get(&v->full);
    v->hash = hash64(&s->key, v->key);
    v->shard = &s->shards[v->hash >> 60];
    pthread_mutex_lock(&v->shard->lock);
    return 0;
}

static void leave(struct visit *v) {
    pthread_mutex_unlock(&v->shard->lock);
    buf_deinit(&v->full);
}

int shared_get(struct shared *s, struct slice name, struct slice key, uint64_t now,
               struct shared_value *out) {
    struct visit v;
    *out = (struct shared_value){ .type = SHARED_NONE };
    int err = enter(&v, s, name, key);
    if (err) return err;
    struct chained **at = lookup(v.shard, v.hash, v.key, now);
    if (at != NULL) {
        const struct entry *e = entry_of(*at);
        buf_init(&out->string, 0);
        out->type = e->type;
        out->number = e->number;
        if (e->type == SHARED_STRING) {
            buf_reserve(&out->string, e->string_len + 1);
            buf_put(&out->string, e->string, e->string_len);
            err = out->string.error;
        }
    }
    leave(&v);
    return err;
}

int shared_set(struct shared *s, struct slice name, struct slice key, const struct shared_value *value,
               uint64_t now, uint64_t ttl) {
    struct visit v;
    int err = enter(&v, s, name, key);
    if (err) return err;
    if (value->type == SHARED_NONE) {
        struct chained **at = lookup(v.shard, v.hash, v.key, now);
        if (at != NULL) drop(v.shard, at);
    } else {
        err = insert(s, v.shard, v.hash, v.key, value, now, ttl ? now + ttl : 0);
    }
    leave(&v);
    return err;
}

int shared_incr(struct shared *s, struct slice name, struct slice key, double by, double start,
                uint64_t now, uint64_t ttl, double *out) {
    struct visit v;
    int err = enter(&v, s, name, key);
    if (err) return err;
    struct chained **at = lookup(v.shard, v.hash, v.key, now);
    if (at == NULL) {
        struct shared_value first = { .type = SHARED_NUMBER, .number = start + by };
        *out = first.number;
        err = insert(s, v.shard, v.hash, v.key, &first, now, ttl ? now + ttl : 0);
    } else if (entry_of(*at)->type != SHARED_NUMBER) {
        err = PERILUNE_ERR_INVAL;
    } else {
        *out = entry_of(*at)->number += by;
    }
    leave(&v);
    return err;
}
