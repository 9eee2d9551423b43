/* cache.h -- what was answered once and may be answered again. See cache.c. Any thread. */
#ifndef PERILUNE_STORE_CACHE_H
#define PERILUNE_STORE_CACHE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/hashtable.h"

struct cache;

#define CACHE_MAX_TAGS 16
#define CACHE_MAX_META 12288              /* bytes */
#define CACHE_MAX_MS   UINT32_MAX         /* for which an entry is fresh, or kept behind that: 49 days */

/* One answer or value.  What it holds never changes and is read without a lock by whoever has a
 * share; who has none may look only from within cache_each(). */
struct cache_entry {
    atomic_uint    refs;
    atomic_uint    hits;
    int64_t        stored_ms;         /* may be before the clock began: it came from a file */
    uint32_t       fresh_ms, keep_ms; /* for how long it is fresh, and kept behind that */
    uint32_t       data_len;
    uint16_t       meta_len;
    uint8_t        tag_count;
    uint8_t        visited;           /* the shard's */
    struct list    order;             /* the shard's */
    struct chained link;              /* the shard's; its hash is the upper half of the key */
    uint64_t       low;               /* the lower half */
    atomic_uint    claimed;           /* see cache_entry_claim() */
    uint32_t       epoch;             /* in which its question was asked */
    char           bytes[];           /* tags, meta, data */
};

/* When a question was asked, as the cache counts: what was let go since then concerns its answer.  Zeroed: now. */
struct cache_when {
    unsigned epoch;   /* ends with each invalidation; 0: now */
    unsigned deleted; /* how often a key like this one was deleted */
};

/* What a new entry is made of; all is copied. */
struct cache_item {
    struct hash128      key;
    struct slice        meta, data;
    const struct slice *tags;      /* by which it can be invalidated */
    unsigned            tag_count;
    struct cache_when   asked;     /* cache_ask() when its question was asked; zeroed: now */
    uint64_t            fresh_ms, keep_ms; /* more than CACHE_MAX_MS is that */
    uint64_t            age_ms;    /* it comes from somewhere else, and is so old by now */
};

struct cache_stats {
    uint64_t entries, bytes, limit;
    uint64_t hits, misses, stored, refused; /* refused: too large, or there was no memory */
    uint64_t evicted, expired, invalidated;
};

/* At most `limit` bytes, overhead included; 0: nothing is kept.  NULL: no memory. */
struct cache *cache_new(size_t limit);
void          cache_free(struct cache *c);
/* Makes room at once when it is less than before. */
void          cache_resize(struct cache *c, size_t limit);

/* The key of a text that says all that an entry depends on.  It depends on a secret of this cache,
 * too: who does not know that cannot make two texts meet. */
struct hash128 cache_key(const struct cache *c, struct slice text);

/* Times are milliseconds of one monotonic clock. */

/* A share of the entry, fresh or still kept (cache_age() tells which), or NULL. */
struct cache_entry *cache_get(struct cache *c, struct hash128 key, uint64_t now);
/* The same, of somebody who only looks: it counts as no use of the entry, and as no hit or miss. */
struct cache_entry *cache_peek(struct cache *c, struct hash128 key, uint64_t now);
/* Stores a copy in place of what is there.  Returns 0; PERILUNE_ERR_LIMITED: it would not fit a
 * shard, or has too many tags; PERILUNE_ERR_NOMEM.  On failure nothing has changed. */
int  cache_put(struct cache *c, const struct cache_item *item, uint64_t now);
/* The same; the caller gets a share of the entry, even when it is too large to be kept.  NULL: no memory, or
 * it can be no entry, or it was invalidated since it was stored. */
struct cache_entry *cache_keep(struct cache *c, const struct cache_item *item, uint64_t now);
/* Was there such an entry?  Its answers that are under way are not kept either. */
bool cache_delete(struct cache *c, struct hash128 key);
/* Now, for a question whose answer will have this key. */
struct cache_when cache_ask(const struct cache *c, struct hash128 key);
/* Was what it would be let go since it was asked for: everything, one of its tags, its key?  Then it is to be kept
 * nowhere; cache_put() refuses it. */
bool cache_is_over(struct cache *c, const struct cache_item *item);
/* For who waits for the same answer: two who get the same number wait for one that is over for both or for neither.
 * 0: nothing was let go that concerns it. */
uint64_t cache_since(struct cache *c, struct hash128 key, const struct slice *tags, unsigned tag_count);
/* Called from whatever thread lets go something, not from cache_clean() and its like.  Before anybody else uses c. */
void cache_watch(struct cache *c, void (*let_go)(void *ud), void *ud);
/* What has this tag and was asked for up to now is not given out any more. */
void cache_invalidate(struct cache *c, struct slice tag, uint64_t now);
/* How many entries an invalidation of the tag would end now; looks at all of them. */
size_t cache_count_tag(struct cache *c, struct slice tag, uint64_t now);
/* Tags of entries that policies keep: of the cache's name and of the tenant, which all have, and of a policy. */
void cache_tag_of_name(struct slice name, struct buf *out);
void cache_tag_of_tenant(struct slice tenant, struct buf *out);
void cache_tag_of_policy(struct slice name, struct slice tag, struct buf *out);
/* Everything, and what is under way. */
void cache_clear(struct cache *c);
/* Frees all that is too old or was invalidated; by itself the cache does so little by little. */
void cache_clean(struct cache *c, uint64_t now);
/* The same, and forgets what was invalidated: answers that are under way are not kept. */
void cache_sweep(struct cache *c, uint64_t now);

void cache_count(struct cache *c, struct cache_stats *out);
/* Calls see() for each entry until it says false; a shard is locked meanwhile, so see() is quick and
 * does not call the cache. */
void cache_each(struct cache *c, bool (*see)(struct cache_entry *e, void *ud), void *ud);

/* Which entries cache_newest() is to give; wants() is quick and does not call the cache. */
struct cache_wish {
    bool (*wants)(const struct cache_entry *e, void *ud);
    void  *ud;
    size_t most;
};
#define CACHE_LOOKED_AT 65536 /* of all entries, those that were kept last */
/* Shares of the newest of them, the newest first, into out, which has room for wish->most.  Returns how many; *more:
 * there are others, or may be. */
size_t cache_newest(struct cache *c, const struct cache_wish *wish, uint64_t now, struct cache_entry **out,
                    bool *more);

/* -- For snapshots ------------------------------------------------------------------------ */

/* What keys and tags depend on. */
struct cache_secret {
    struct hash_long_key keys;
    struct hash_key      tags;
};
void   cache_secret(const struct cache *c, struct cache_secret *out);
/* Before anybody else uses the cache. */
void   cache_set_secret(struct cache *c, const struct cache_secret *s);
/* Bytes that an entry can have at most. */
size_t cache_room(const struct cache *c);
/* As cache_put(), of an entry whose tags are hashes. */
int    cache_restore(struct cache *c, const struct cache_item *item, const uint32_t *tags, unsigned tag_count,
                     uint64_t now);

/* -- Entries ------------------------------------------------------------------------------- */

struct cache_entry *cache_entry_ref(struct cache_entry *e);
void                cache_entry_put(struct cache_entry *e); /* NULL is fine */
struct hash128      cache_entry_key(const struct cache_entry *e);
struct slice        cache_entry_tags(const struct cache_entry *e); /* hashes */
struct slice        cache_entry_meta(const struct cache_entry *e);
struct slice        cache_entry_data(const struct cache_entry *e);
/* True for one caller in so many milliseconds: who will bring a newer one. */
bool                cache_entry_claim(struct cache_entry *e, uint64_t now, uint32_t for_ms);
/* Milliseconds since it was stored. */
static inline uint64_t cache_age(const struct cache_entry *e, uint64_t now) {
    int64_t age = (int64_t)now - e->stored_ms;
    return age > 0 ? (uint64_t)age : 0; /* the clock of another thread may be a little ahead */
}
static inline bool cache_is_fresh(const struct cache_entry *e, uint64_t now) { return cache_age(e, now) < e->fresh_ms; }

#endif
