/* shared.c -- perilune.shared(): a dictionary behind sharded locks.
 *
 *     shards[hash & 15] -> lock, table of chains -> entry { name 0 key, value }
 *
 * For counters, flags and small strings that policies of several workers agree
 * on.  Bounded in bytes: expired entries are swept when room is needed, and if
 * that is not enough, setting fails and says so (nothing is evicted behind a
 * policy's back: this is state, not a cache). */
#include "store/shared.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"

#define SHARDS 16
#define MEMO_BYTES (16u << 20) /* conversations and tools of some thousand clients */

struct entry {
    struct entry *next;
    uint64_t      hash, expires; /* 0: never */
    enum shared_type type;
    double        number;
    char         *string;
    size_t        string_len, key_len, size;
    char          key[]; /* name, NUL, key */
};

struct shard {
    pthread_mutex_t lock;
    struct entry  **table;
    size_t          count, cap, bytes;
};

struct shared {
    struct hash_key key;
    size_t          shard_limit;
    struct memo    *memo;
    struct shard    shards[SHARDS];
};

struct shared *shared_new(size_t limit_bytes) {
    struct shared *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    s->memo = memo_new(MEMO_BYTES);
    if (s->memo == NULL) {
        mem_free(s);
        return NULL;
    }
    hash_key_random(&s->key);
    s->shard_limit = limit_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) pthread_mutex_init(&s->shards[i].lock, NULL);
    return s;
}

static void entry_free(struct entry *e) {
    mem_free(e->string);
    mem_free(e);
}

void shared_free(struct shared *s) {
    if (s == NULL) return;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        for (size_t b = 0; b < sh->cap; b++)
            for (struct entry *e = sh->table[b], *next; e; e = next) {
                next = e->next;
                entry_free(e);
            }
        mem_free(sh->table);
        pthread_mutex_destroy(&sh->lock);
    }
    memo_free(s->memo);
    mem_free(s);
}

struct memo *shared_memo(struct shared *s) { return s->memo; }

/* -- One shard, locked ------------------------------------------------------------- */

static struct entry **find(struct shard *sh, uint64_t hash, struct slice full) {
    struct entry **at = &sh->table[hash & (sh->cap - 1)];
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->hash == hash && slice_eq(slice_of((*at)->key, (*at)->key_len), full)) break;
    return at;
}

static void drop(struct shard *sh, struct entry **at) {
    struct entry *e = *at;
    *at = e->next;
    sh->count--;
    sh->bytes -= e->size;
    entry_free(e);
}

/* The live entry, or NULL; an expired one is dropped. */
static struct entry *lookup(struct shard *sh, uint64_t hash, struct slice full, uint64_t now) {
    if (sh->cap == 0) return NULL;
    struct entry **at = find(sh, hash, full);
    if (*at != NULL && (*at)->expires != 0 && (*at)->expires <= now) drop(sh, at);
    else if (*at != NULL) return *at;
    return NULL;
}

static void sweep(struct shard *sh, uint64_t now) {
    for (size_t b = 0; b < sh->cap; b++)
        for (struct entry **at = &sh->table[b]; *at != NULL;) {
            if ((*at)->expires != 0 && (*at)->expires <= now) drop(sh, at);
            else at = &(*at)->next;
        }
}

static int grow(struct shard *sh) {
    if (sh->count < sh->cap) return 0;
    size_t cap = sh->cap ? sh->cap * 2 : 16;
    struct entry **table = mem_zalloc(cap * sizeof(struct entry *));
    if (table == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t b = 0; b < sh->cap; b++)
        for (struct entry *e = sh->table[b], *next; e; e = next) {
            next = e->next;
            e->next = table[e->hash & (cap - 1)];
            table[e->hash & (cap - 1)] = e;
        }
    mem_free(sh->table);
    sh->table = table;
    sh->cap = cap;
    return 0;
}

static int insert(struct shared *s, struct shard *sh, uint64_t hash, struct slice full,
                  const struct shared_value *v, uint64_t now, uint64_t expires) {
    struct slice text = v->type == SHARED_STRING ? buf_get(&v->string) : SLICE("");
    size_t size = sizeof(struct entry) + full.len + text.len;
    if (sh->bytes + size > s->shard_limit) sweep(sh, now);
    if (sh->bytes + size > s->shard_limit) return PERILUNE_ERR_LIMITED;
    if (grow(sh) != 0) return PERILUNE_ERR_NOMEM;
    struct entry *e = mem_alloc(sizeof(*e) + full.len);
    char *copy = v->type == SHARED_STRING ? mem_dup(text.ptr, text.len) : NULL;
    if (e == NULL || (v->type == SHARED_STRING && copy == NULL)) {
        mem_free(e);
        mem_free(copy);
        return PERILUNE_ERR_NOMEM;
    }
    struct entry **old = find(sh, hash, full);
    if (*old != NULL) drop(sh, old);
    struct entry **at = &sh->table[hash & (sh->cap - 1)];
    *e = (struct entry){ .next = *at, .hash = hash, .expires = expires, .type = v->type,
                         .number = v->number, .string = copy, .string_len = text.len,
                         .key_len = full.len, .size = size };
    memcpy(e->key, full.ptr, full.len);
    *at = e;
    sh->count++;
    sh->bytes += size;
    return 0;
}

/* -- Public --------------------------------------------------------------------------- */

static int full_key(struct buf *b, struct slice name, struct slice key) {
    buf_init(b, 0);
    buf_slice(b, name);
    buf_putc(b, '\0');
    buf_slice(b, key);
    return b->error;
}

static struct shard *shard_lock(struct shared *s, struct slice full, uint64_t *hash) {
    *hash = hash64(&s->key, full);
    struct shard *sh = &s->shards[*hash >> 60];
    pthread_mutex_lock(&sh->lock);
    return sh;
}

int shared_get(struct shared *s, struct slice name, struct slice key, uint64_t now,
               struct shared_value *out) {
    struct buf full;
    *out = (struct shared_value){ .type = SHARED_NONE };
    int err = full_key(&full, name, key);
    if (err) return err;
    uint64_t hash;
    struct shard *sh = shard_lock(s, buf_get(&full), &hash);
    struct entry *e = lookup(sh, hash, buf_get(&full), now);
    if (e != NULL) {
        buf_init(&out->string, 0);
        out->type = e->type;
        out->number = e->number;
        if (e->type == SHARED_STRING) {
            buf_reserve(&out->string, e->string_len + 1);
            buf_put(&out->string, e->string, e->string_len);
            err = out->string.error;
        }
    }
    pthread_mutex_unlock(&sh->lock);
    buf_deinit(&full);
    return err;
}

int shared_set(struct shared *s, struct slice name, struct slice key, const struct shared_value *v,
               uint64_t now, uint64_t ttl) {
    struct buf full;
    int err = full_key(&full, name, key);
    if (err) return err;
    uint64_t hash;
    struct shard *sh = shard_lock(s, buf_get(&full), &hash);
    if (v->type == SHARED_NONE) {
        if (lookup(sh, hash, buf_get(&full), now) != NULL) drop(sh, find(sh, hash, buf_get(&full)));
    } else {
        err = insert(s, sh, hash, buf_get(&full), v, now, ttl ? now + ttl : 0);
    }
    pthread_mutex_unlock(&sh->lock);
    buf_deinit(&full);
    return err;
}

int shared_incr(struct shared *s, struct slice name, struct slice key, double by, double start,
                uint64_t now, uint64_t ttl, double *out) {
    struct buf full;
    int err = full_key(&full, name, key);
    if (err) return err;
    uint64_t hash;
    struct shard *sh = shard_lock(s, buf_get(&full), &hash);
    struct entry *e = lookup(sh, hash, buf_get(&full), now);
    if (e == NULL) {
        struct shared_value v = { .type = SHARED_NUMBER, .number = start + by };
        *out = v.number;
        err = insert(s, sh, hash, buf_get(&full), &v, now, ttl ? now + ttl : 0);
    } else if (e->type != SHARED_NUMBER) {
        err = PERILUNE_ERR_INVAL;
    } else {
        *out = e->number += by;
    }
    pthread_mutex_unlock(&sh->lock);
    buf_deinit(&full);
    return err;
}
