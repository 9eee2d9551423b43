/* cache.c -- a byte-bounded cache behind sharded locks, with immutable counted values.
 *
 *     shards[key >> 60] -> lock, hashtable -> entry { tags meta data }, counted
 *                               order: newest -> ... <- hand ... -> oldest
 *
 * A lookup takes the lock of one shard for as long as it takes to find the entry and to count a
 * share of it; what the entry holds is read without a lock and without a copy, and stays valid
 * when it is evicted or replaced meanwhile.
 *
 * Eviction is SIEVE (Zhang and others, NSDI 2024): a hit only sets a bit.  When room is needed a
 * hand moves from the oldest entry to the newest; where the bit is set it clears it and moves on,
 * where it is not the entry goes.  New entries come in front of the hand, so what nobody asks for a
 * second time goes soon (most prompts are asked once), and what is popular stays without being
 * moved.  tests/bench/eviction.c compares it with LRU and S3-FIFO on generated traces.
 *
 * What is too old goes when somebody asks for it, or when something is stored: each time a few
 * entries of the shard are looked at, one after the other, round and round.  So no timer wakes a
 * process that has nothing to do.
 *
 * Invalidation by tag is a note, not a search: the note says which tag and in which epoch, and an entry that
 * has the tag and is of that epoch or an earlier one is not given out.  An epoch ends with each invalidation;
 * an entry is of the one in which its question was asked, so an answer that was under way is
 * invalidated, too.  With NOTES of them cache_sweep() goes through all shards; no note is needed any more,
 * and what was asked before is not taken (`floor`).  Tags are kept as 32 bits of a keyed hash: two tags that
 * meet invalidate each other, which costs an answer and is never wrong.
 *
 * So an answer that is under way knows when it was asked for (struct cache_when), and whoever keeps it, here or in
 * another tier, asks cache_is_over():
 *
 *     everything       epoch < floor       cache_clear(), cache_sweep()
 *     a tag            epoch <= its note   cache_invalidate(): a name, a tenant, a policy's tag
 *     a key            gone[] has changed  cache_delete(), and a value that was stored since
 *
 * Keys share the counters of gone[]: another key's answer that is under way may go along.  They are compared for
 * being the same, so it does not matter when one of them begins again at 0.
 *
 * Invariants: an entry in a shard is in its hashtable and in its order, and the shard has one share
 * of it; bytes of a shard never exceed its part of the limit. */
#include "store/cache.h"

#include <pthread.h>

#include "base/mem.h"
#include "include/perilune.h"

#define SHARDS    16
#define OVERHEAD  (sizeof(struct cache_entry) + 32) /* of an entry, with the allocator's part and its slot */
#define NOTES     256 /* invalidated tags that are remembered */
#define GONE      4096 /* counters of deleted keys */
#define STEP      4   /* entries that are looked at with each that is stored */

struct shard {
    pthread_mutex_t  lock;
    struct hashtable entries;
    struct list      order;  /* newest first */
    struct list     *hand;   /* where eviction goes on, */
    struct list     *broom;  /* and the look for what is too old; NULL: at the oldest */
    size_t           bytes;
    struct cache_stats stats;
};

struct note {
    uint32_t tag, epoch;
};

struct cache {
    struct cache_secret  secret;
    atomic_size_t        limit;
    struct shard         shards[SHARDS];
    pthread_rwlock_t     notes_lock;
    struct note          notes[NOTES * 2]; /* by tag, empty where epoch is 0; NOTES_LOCK */
    atomic_uint          note_count;
    atomic_uint          epoch, floor;     /* from 1 on */
    atomic_uint          gone[GONE];       /* how often a key was deleted, by some of its bits */
    void               (*let_go)(void *ud); /* NULL: nobody wants to know */
    void                *let_go_ud;
};

/* -- Entries ------------------------------------------------------------------------- */

static const uint32_t *tags_of(const struct cache_entry *e) { return (const uint32_t *)(const void *)e->bytes; }
static size_t meta_at(const struct cache_entry *e) { return e->tag_count * sizeof(uint32_t); }

struct slice cache_entry_tags(const struct cache_entry *e) { return slice_of(e->bytes, meta_at(e)); }
struct slice cache_entry_meta(const struct cache_entry *e) { return slice_of(e->bytes + meta_at(e), e->meta_len); }
struct slice cache_entry_data(const struct cache_entry *e) {
    return slice_of(e->bytes + meta_at(e) + e->meta_len, e->data_len);
}
struct hash128 cache_entry_key(const struct cache_entry *e) { return (struct hash128){ e->low, e->link.hash }; }

static size_t size_of(const struct cache_entry *e) { return OVERHEAD + meta_at(e) + e->meta_len + e->data_len; }

struct cache_entry *cache_entry_ref(struct cache_entry *e) {
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void cache_entry_put(struct cache_entry *e) {
    if (e != NULL && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) mem_free(e);
}

static uint32_t at_most(uint64_t ms) { return ms < CACHE_MAX_MS ? (uint32_t)ms : CACHE_MAX_MS; }

/* Since it was stored, so that 32 bits are enough. */
bool cache_entry_claim(struct cache_entry *e, uint64_t now, uint32_t for_ms) {
    uint32_t age = at_most(cache_age(e, now)), was = atomic_load_explicit(&e->claimed, memory_order_relaxed);
    if (was != 0 && (age < was || age - was < for_ms)) return false; /* another thread's clock may be ahead */
    return atomic_compare_exchange_strong(&e->claimed, &was, age ? age : 1);
}

static uint32_t tag_hash(const struct cache *c, struct slice tag) { return (uint32_t)hash64(&c->secret.tags, tag); }

static unsigned epoch_of(const struct cache *c) { return atomic_load((atomic_uint *)(uintptr_t)&c->epoch); }

static struct cache_entry *entry_new(const struct cache *c, const struct cache_item *item, const uint32_t *tags,
                                     unsigned tag_count, int64_t stored_ms) {
    size_t tag_bytes = tag_count * sizeof(uint32_t);
    struct cache_entry *e = mem_alloc(sizeof(*e) + tag_bytes + item->meta.len + item->data.len);
    if (e == NULL) return NULL;
    *e = (struct cache_entry){ .stored_ms = stored_ms,
                               .fresh_ms = at_most(item->fresh_ms), .keep_ms = at_most(item->keep_ms),
                               .data_len = (uint32_t)item->data.len, .meta_len = (uint16_t)item->meta.len,
                               .epoch = item->asked.epoch ? item->asked.epoch : epoch_of(c),
                               .tag_count = (uint8_t)tag_count, .link = { .hash = item->key.high },
                               .low = item->key.low };
    atomic_init(&e->refs, 1);
    atomic_init(&e->hits, 0);
    atomic_init(&e->claimed, 0);
    list_init(&e->order);
    if (tag_bytes > 0) memcpy(e->bytes, tags, tag_bytes);
    if (item->meta.len > 0) memcpy(e->bytes + tag_bytes, item->meta.ptr, item->meta.len);
    if (item->data.len > 0) memcpy(e->bytes + tag_bytes + item->meta.len, item->data.ptr, item->data.len);
    return e;
}

/* -- Life ------------------------------------------------------------------------------ */

struct cache *cache_new(size_t limit) {
    struct cache *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    hash_long_key_random(&c->secret.keys);
    hash_key_random(&c->secret.tags);
    atomic_init(&c->limit, limit);
    atomic_init(&c->note_count, 0);
    atomic_init(&c->epoch, 1);
    atomic_init(&c->floor, 1);
    pthread_rwlock_init(&c->notes_lock, NULL);
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&c->shards[i].lock, NULL);
        list_init(&c->shards[i].order);
    }
    return c;
}

struct hash128 cache_key(const struct cache *c, struct slice text) { return hash_long(&c->secret.keys, text, 0); }

/* -- Notes ------------------------------------------------------------------------------ */

/* NOTES_LOCK.  Where the tag's note stands, or is to stand. */
static struct note *note_of(struct cache *c, uint32_t tag) {
    unsigned i = tag % (NOTES * 2);
    while (c->notes[i].epoch != 0 && c->notes[i].tag != tag) i = (i + 1) % (NOTES * 2);
    return &c->notes[i];
}

/* The last epoch that was ended for one of these tags; 0: none was.  No tag is invalidated most of the time: then
 * nobody waits for a lock. */
static unsigned ended_epoch(struct cache *c, const uint32_t *tags, unsigned count) {
    if (atomic_load_explicit(&c->note_count, memory_order_acquire) == 0) return 0;
    unsigned ended = 0;
    pthread_rwlock_rdlock(&c->notes_lock);
    for (unsigned i = 0; i < count; i++) {
        unsigned epoch = note_of(c, tags[i])->epoch;
        if (epoch > ended) ended = epoch;
    }
    pthread_rwlock_unlock(&c->notes_lock);
    return ended;
}

static bool is_invalid(struct cache *c, const struct cache_entry *e) {
    return e->epoch <= ended_epoch(c, tags_of(e), e->tag_count);
}

/* False: there is no room for one more. */
static bool note_add(struct cache *c, uint32_t tag) {
    pthread_rwlock_wrlock(&c->notes_lock);
    struct note *n = note_of(c, tag);
    unsigned count = atomic_load_explicit(&c->note_count, memory_order_relaxed);
    bool fits = n->epoch != 0 || count < NOTES;
    if (fits) {
        count += n->epoch == 0;
        *n = (struct note){ tag, atomic_fetch_add(&c->epoch, 1) };
        atomic_store_explicit(&c->note_count, count, memory_order_release);
    }
    pthread_rwlock_unlock(&c->notes_lock);
    return fits;
}

/* Nobody stores any more what was asked in an epoch that has a note; all shards were swept of the rest.  Notes that
 * were made meanwhile stay. */
static void notes_forget(struct cache *c, unsigned up_to) {
    struct note newer[NOTES];
    unsigned count = 0;
    pthread_rwlock_wrlock(&c->notes_lock);
    for (unsigned i = 0; i < NOTES * 2; i++)
        if (c->notes[i].epoch > up_to) newer[count++] = c->notes[i];
    memset(c->notes, 0, sizeof(c->notes));
    for (unsigned i = 0; i < count; i++) *note_of(c, newer[i].tag) = newer[i];
    atomic_store_explicit(&c->note_count, count, memory_order_release);
    pthread_rwlock_unlock(&c->notes_lock);
}

static atomic_uint *gone_of(const struct cache *c, struct hash128 key) {
    return (atomic_uint *)(uintptr_t)&c->gone[key.low % GONE];
}

struct cache_when cache_ask(const struct cache *c, struct hash128 key) {
    unsigned deleted = atomic_load(gone_of(c, key)); /* first: what is let go in between counts */
    return (struct cache_when){ .epoch = epoch_of(c), .deleted = deleted };
}

/* No note tells of what was swept, or of a key. */
static bool is_forgotten(const struct cache *c, const struct cache_item *item) {
    if (item->asked.epoch == 0) return false;
    return item->asked.epoch < atomic_load(&c->floor) || item->asked.deleted != atomic_load(gone_of(c, item->key));
}

static void tell(const struct cache *c) {
    if (c->let_go != NULL) c->let_go(c->let_go_ud);
}

void cache_watch(struct cache *c, void (*let_go)(void *ud), void *ud) {
    c->let_go = let_go;
    c->let_go_ud = ud;
}

/* -- One shard, locked --------------------------------------------------------------------- */

static struct cache_entry *entry_of(struct chained *e) { return container_of(e, struct cache_entry, link); }
static struct cache_entry *ordered(struct list *l) { return container_of(l, struct cache_entry, order); }

static struct slice low_of(const struct chained *e) {
    return slice_of((const char *)&container_of((struct chained *)(uintptr_t)e, struct cache_entry, link)->low,
                    sizeof(uint64_t));
}

static struct chained **find(struct shard *sh, struct hash128 key) {
    return hashtable_find(&sh->entries, key.high, slice_of((const char *)&key.low, sizeof(key.low)), low_of);
}

static struct list *newer(struct shard *sh, struct list *l) { return l->prev == &sh->order ? NULL : l->prev; }

static void drop_at(struct shard *sh, struct chained **at) {
    struct cache_entry *e = entry_of(*at);
    if (sh->hand == &e->order) sh->hand = newer(sh, &e->order);
    if (sh->broom == &e->order) sh->broom = newer(sh, &e->order);
    hashtable_remove(&sh->entries, at);
    list_remove(&e->order);
    sh->bytes -= size_of(e);
    sh->stats.entries--;
    cache_entry_put(e);
}

static void drop(struct shard *sh, struct cache_entry *e) { drop_at(sh, find(sh, cache_entry_key(e))); }

/* One entry goes: the first from the hand on that nobody asked for since the hand was there. */
static void evict(struct shard *sh) {
    struct list *at = sh->hand ? sh->hand : sh->order.prev;
    while (ordered(at)->visited) {
        ordered(at)->visited = 0;
        at = at->prev == &sh->order ? sh->order.prev : at->prev;
    }
    sh->hand = at;
    drop(sh, ordered(at));
    sh->stats.evicted++;
}

static void make_room(struct shard *sh, size_t room) {
    while (sh->bytes > room && !list_is_empty(&sh->order)) evict(sh);
}

static void list_prepend(struct list *head, struct list *e) { list_append(head->next, e); }

/* Takes e. */
static void insert(struct shard *sh, struct cache_entry *e, size_t room) {
    struct chained **old = find(sh, cache_entry_key(e));
    if (old != NULL) drop_at(sh, old);
    make_room(sh, room - size_of(e));
    hashtable_add(&sh->entries, &e->link);
    list_prepend(&sh->order, &e->order);
    sh->bytes += size_of(e);
    sh->stats.entries++;
    sh->stats.stored++;
}

static bool is_kept(const struct cache_entry *e, uint64_t now) {
    return cache_age(e, now) < (uint64_t)e->fresh_ms + e->keep_ms;
}

/* Is e still to be given out?  If not, it goes. */
static bool holds(struct cache *c, struct shard *sh, struct cache_entry *e, uint64_t now) {
    if (!is_kept(e, now)) sh->stats.expired++;
    else if (is_invalid(c, e)) sh->stats.invalidated++;
    else return true;
    drop(sh, e);
    return false;
}

/* -- Public ---------------------------------------------------------------------------------- */

static struct shard *shard_lock(struct cache *c, struct hash128 key) {
    struct shard *sh = &c->shards[key.high >> 60];
    pthread_mutex_lock(&sh->lock);
    return sh;
}

static size_t room_of(const struct cache *c) { return atomic_load_explicit(&c->limit, memory_order_relaxed) / SHARDS; }

struct cache_entry *cache_get(struct cache *c, struct hash128 key, uint64_t now) {
    struct shard *sh = shard_lock(c, key);
    struct chained **at = find(sh, key);
    struct cache_entry *e = at != NULL && holds(c, sh, entry_of(*at), now) ? cache_entry_ref(entry_of(*at)) : NULL;
    if (e != NULL) {
        e->visited = 1;
        sh->stats.hits++;
    } else {
        sh->stats.misses++;
    }
    pthread_mutex_unlock(&sh->lock);
    if (e != NULL) atomic_fetch_add_explicit(&e->hits, 1, memory_order_relaxed);
    return e;
}

struct cache_entry *cache_peek(struct cache *c, struct hash128 key, uint64_t now) {
    struct shard *sh = shard_lock(c, key);
    struct chained **at = find(sh, key);
    struct cache_entry *e = at != NULL && holds(c, sh, entry_of(*at), now) ? cache_entry_ref(entry_of(*at)) : NULL;
    pthread_mutex_unlock(&sh->lock);
    return e;
}

/* A few of the shard: what is too old makes room. */
static void sweep_some(struct cache *c, struct shard *sh, uint64_t now) {
    for (int i = 0; i < STEP && !list_is_empty(&sh->order); i++) {
        struct list *at = sh->broom ? sh->broom : sh->order.prev;
        sh->broom = newer(sh, at);
        holds(c, sh, ordered(at), now);
    }
}

static int try_insert(struct shard *sh, struct cache_entry *e, size_t room) {
    if (size_of(e) > room) return PERILUNE_ERR_LIMITED;
    int rc = hashtable_reserve(&sh->entries);
    if (rc == 0) insert(sh, e, room);
    return rc;
}

static bool can_be_entry(const struct cache_item *item) {
    return item->tag_count <= CACHE_MAX_TAGS && item->meta.len <= CACHE_MAX_META && item->data.len < UINT32_MAX;
}

/* e: a share that the shard takes when it has room; NULL: it would not fit anyway, or `rc` says why. */
static int put_entry(struct cache *c, const struct cache_item *item, struct cache_entry *e, int rc, uint64_t now) {
    struct shard *sh = shard_lock(c, item->key);
    sweep_some(c, sh, now);
    if (e != NULL && item->asked.epoch == 0) atomic_fetch_add(gone_of(c, item->key), 1); /* older ones come too late */
    if (e != NULL && is_forgotten(c, item)) rc = PERILUNE_ERR_LIMITED;
    else if (e != NULL) rc = try_insert(sh, e, room_of(c));
    if (rc != 0) sh->stats.refused++;
    pthread_mutex_unlock(&sh->lock);
    if (rc != 0) cache_entry_put(e);
    return rc;
}

static int put(struct cache *c, const struct cache_item *item, const uint32_t *tags, uint64_t now) {
    if (!can_be_entry(item)) return PERILUNE_ERR_LIMITED;
    bool fits = OVERHEAD + item->meta.len + item->data.len <= room_of(c); /* else it is not even copied */
    int64_t stored_ms = (int64_t)now - (int64_t)item->age_ms;
    struct cache_entry *e = fits ? entry_new(c, item, tags, item->tag_count, stored_ms) : NULL;
    return put_entry(c, item, e, fits ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_LIMITED, now);
}

static void hash_tags(const struct cache *c, const struct cache_item *item, uint32_t *tags) {
    for (unsigned i = 0; i < item->tag_count && i < CACHE_MAX_TAGS; i++) tags[i] = tag_hash(c, item->tags[i]);
}

int cache_put(struct cache *c, const struct cache_item *item, uint64_t now) {
    uint32_t tags[CACHE_MAX_TAGS];
    hash_tags(c, item, tags);
    return put(c, item, tags, now);
}

struct cache_entry *cache_keep(struct cache *c, const struct cache_item *item, uint64_t now) {
    uint32_t tags[CACHE_MAX_TAGS];
    if (!can_be_entry(item)) return NULL;
    hash_tags(c, item, tags);
    struct cache_entry *e = entry_new(c, item, tags, item->tag_count, (int64_t)now - (int64_t)item->age_ms);
    if (e != NULL && (is_invalid(c, e) || is_forgotten(c, item))) {
        cache_entry_put(e);
        return NULL;
    }
    if (e != NULL) put_entry(c, item, cache_entry_ref(e), 0, now);
    return e;
}

bool cache_is_over(struct cache *c, const struct cache_item *item) {
    uint32_t tags[CACHE_MAX_TAGS];
    unsigned count = item->tag_count < CACHE_MAX_TAGS ? item->tag_count : CACHE_MAX_TAGS;
    if (item->asked.epoch == 0) return false;
    hash_tags(c, item, tags);
    return is_forgotten(c, item) || item->asked.epoch <= ended_epoch(c, tags, count);
}

uint64_t cache_since(struct cache *c, struct hash128 key, const struct slice *tags, unsigned tag_count) {
    uint32_t hashes[CACHE_MAX_TAGS];
    struct cache_item item = { .tags = tags, .tag_count = tag_count < CACHE_MAX_TAGS ? tag_count : CACHE_MAX_TAGS };
    unsigned floor = atomic_load(&c->floor), deleted = atomic_load(gone_of(c, key)), ended = 0;
    if (atomic_load_explicit(&c->note_count, memory_order_acquire) > 0) {
        hash_tags(c, &item, hashes);
        ended = ended_epoch(c, hashes, item.tag_count);
    }
    return (uint64_t)(ended >= floor ? ended : floor - 1) << 32 | deleted;
}

int cache_restore(struct cache *c, const struct cache_item *item, const uint32_t *tags, unsigned tag_count,
                  uint64_t now) {
    struct cache_item it = *item;
    if (it.age_ms >= it.fresh_ms + it.keep_ms) return PERILUNE_ERR_LIMITED; /* too old by now */
    it.tag_count = tag_count;
    return put(c, &it, tags, now);
}

void   cache_secret(const struct cache *c, struct cache_secret *out) { *out = c->secret; }
void   cache_set_secret(struct cache *c, const struct cache_secret *s) { c->secret = *s; }
size_t cache_room(const struct cache *c) { return room_of(c); }

bool cache_delete(struct cache *c, struct hash128 key) {
    struct shard *sh = shard_lock(c, key);
    struct chained **at = find(sh, key);
    bool found = at != NULL;
    atomic_fetch_add(gone_of(c, key), 1);
    if (found) drop_at(sh, at);
    pthread_mutex_unlock(&sh->lock);
    tell(c);
    return found;
}

void cache_clean(struct cache *c, uint64_t now) {
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &c->shards[i];
        pthread_mutex_lock(&sh->lock);
        for (struct list *l = sh->order.next, *next; l != &sh->order; l = next) {
            next = l->next;
            holds(c, sh, ordered(l), now);
        }
        pthread_mutex_unlock(&sh->lock);
    }
}

void cache_sweep(struct cache *c, uint64_t now) {
    unsigned ended = atomic_fetch_add(&c->epoch, 1);
    atomic_store(&c->floor, ended + 1); /* before the shards are looked at */
    cache_clean(c, now);
    notes_forget(c, ended);
}

void cache_invalidate(struct cache *c, struct slice tag, uint64_t now) {
    uint32_t hash = tag_hash(c, tag);
    while (!note_add(c, hash)) cache_sweep(c, now);
    tell(c);
}

static bool has_tag(const struct cache_entry *e, uint32_t tag) {
    for (unsigned i = 0; i < e->tag_count; i++)
        if (tags_of(e)[i] == tag) return true;
    return false;
}

size_t cache_count_tag(struct cache *c, struct slice tag, uint64_t now) {
    uint32_t hash = tag_hash(c, tag);
    size_t count = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &c->shards[i];
        pthread_mutex_lock(&sh->lock);
        for (struct list *l = sh->order.next; l != &sh->order; l = l->next)
            count += has_tag(ordered(l), hash) && is_kept(ordered(l), now) && !is_invalid(c, ordered(l));
        pthread_mutex_unlock(&sh->lock);
    }
    return count;
}

void cache_tag_of_name(struct slice name, struct buf *out) {
    buf_puts(out, "name:");
    buf_slice(out, name);
}

void cache_tag_of_tenant(struct slice tenant, struct buf *out) {
    buf_puts(out, "tenant:");
    buf_slice(out, tenant);
}

void cache_tag_of_policy(struct slice name, struct slice tag, struct buf *out) {
    buf_puts(out, "tag:");
    buf_slice(out, name);
    buf_putc(out, ':');
    buf_slice(out, tag);
}

static void drop_all(struct cache *c) {
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &c->shards[i];
        pthread_mutex_lock(&sh->lock);
        while (!list_is_empty(&sh->order)) drop(sh, ordered(sh->order.next));
        pthread_mutex_unlock(&sh->lock);
    }
}

void cache_free(struct cache *c) {
    if (c == NULL) return;
    drop_all(c);
    for (int i = 0; i < SHARDS; i++) {
        hashtable_deinit(&c->shards[i].entries);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    pthread_rwlock_destroy(&c->notes_lock);
    mem_free(c);
}

void cache_clear(struct cache *c) {
    unsigned ended = atomic_fetch_add(&c->epoch, 1);
    atomic_store(&c->floor, ended + 1); /* before the shards are emptied: what comes from then on was asked later */
    drop_all(c);
    notes_forget(c, ended);
    tell(c);
}

void cache_resize(struct cache *c, size_t limit) {
    atomic_store_explicit(&c->limit, limit, memory_order_relaxed);
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        make_room(&c->shards[i], room_of(c));
        pthread_mutex_unlock(&c->shards[i].lock);
    }
}

void cache_count(struct cache *c, struct cache_stats *out) {
    *out = (struct cache_stats){ .limit = atomic_load_explicit(&c->limit, memory_order_relaxed) };
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &c->shards[i];
        pthread_mutex_lock(&sh->lock);
        const struct cache_stats *s = &sh->stats;
        out->entries += s->entries;
        out->bytes += sh->bytes;
        out->hits += s->hits;
        out->misses += s->misses;
        out->stored += s->stored;
        out->refused += s->refused;
        out->evicted += s->evicted;
        out->expired += s->expired;
        out->invalidated += s->invalidated;
        pthread_mutex_unlock(&sh->lock);
    }
}

void cache_each(struct cache *c, bool (*see)(struct cache_entry *e, void *ud), void *ud) {
    bool more = true;
    for (int i = 0; i < SHARDS && more; i++) {
        struct shard *sh = &c->shards[i];
        pthread_mutex_lock(&sh->lock);
        for (struct list *l = sh->order.next; l != &sh->order && more; l = l->next) more = see(ordered(l), ud);
        pthread_mutex_unlock(&sh->lock);
    }
}

/* Puts e where it belongs among those that are newer and older; false: there is no place for it. */
static bool place_newest(struct cache_entry *e, struct cache_entry **out, size_t *count, size_t most) {
    size_t at = *count;
    if (most == 0 || (at == most && out[at - 1]->stored_ms >= e->stored_ms)) return false;
    while (at > 0 && out[at - 1]->stored_ms < e->stored_ms) at--;
    if (*count == most) cache_entry_put(out[--*count]);
    memmove(out + at + 1, out + at, (*count - at) * sizeof(*out));
    out[at] = cache_entry_ref(e);
    ++*count;
    return true;
}

size_t cache_newest(struct cache *c, const struct cache_wish *wish, uint64_t now, struct cache_entry **out,
                    bool *more) {
    size_t count = 0;
    *more = false;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *sh = &c->shards[i];
        size_t seen = 0;
        pthread_mutex_lock(&sh->lock);
        struct list *l = sh->order.next;
        for (; l != &sh->order && seen < CACHE_LOOKED_AT / SHARDS; l = l->next, seen++) {
            struct cache_entry *e = ordered(l);
            if (!is_kept(e, now) || is_invalid(c, e) || !wish->wants(e, wish->ud)) continue;
            bool full = count == wish->most;
            if (!place_newest(e, out, &count, wish->most) || full) *more = true;
        }
        if (l != &sh->order) *more = true;
        pthread_mutex_unlock(&sh->lock);
    }
    return count;
}
