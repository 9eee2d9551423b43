/* eviction.c -- what does a cache that is too small lose?  LRU, SIEVE and S3-FIFO on generated traces.
 *
 *     trace: a request is an id; its size is a function of the id     --> LRU       simulated here
 *                                                                     --> SIEVE     core/store/cache.c itself
 *                                                                     --> S3-FIFO   simulated here
 *
 * All have the same bytes, cut into the same 16 shards, and count an entry's overhead the same way.
 * Prints "trace|room|misses of LRU SIEVE S3-FIFO|missed bytes of LRU SIEVE S3-FIFO", in percent, read by
 * eviction.lua.
 *
 * What prompts look like: some are popular (Zipf), most are asked once; a job reads everything there is
 * (a scan); what is popular drifts; an event makes many ask the same for a moment (a burst).  A trace
 * mixes them.  S3-FIFO is as in its paper (Yang and others, SOSP 2023): a tenth of the room for what is
 * new, of which goes on to the main queue what was asked for twice more; a ghost as long as the main queue. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/cache.h"

#define REQUESTS 600000
#define POPULAR  50000              /* things that are asked more than once */
#define SCANNED  20000              /* things that a scan reads */
#define IDS      (POPULAR + SCANNED + REQUESTS)
#define SHARDS   16
#define OVERHEAD (sizeof(struct cache_entry) + 32)
#define LARGEST  65536
#define NONE     UINT32_MAX

/* -- Chance ------------------------------------------------------------------------------ */

static uint64_t seed;

static double uniform(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static uint64_t mix(uint64_t x) {
    x = (x + 1) * 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint32_t sizes[IDS];

/* 200 bytes to 64 KiB, median 1 KiB: the logarithm is near to normal. */
static uint32_t make_size(uint32_t id) {
    double sum = 0;
    for (unsigned i = 0; i < 6; i++) sum += (double)(mix(id * 8ull + i) >> 11) / 9007199254740992.0;
    double size = exp(log(1024) + (sum - 3) * 1.7);
    return size < 200 ? 200 : size > LARGEST ? LARGEST : (uint32_t)size;
}

static unsigned shard_of(uint32_t id) { return (unsigned)(mix(id) >> 60); }
static size_t   cost_of(uint32_t id) { return OVERHEAD + sizes[id]; }

/* -- Traces --------------------------------------------------------------------------------- */

struct trace {
    const char *name;
    double   zipf;      /* popularity of rank r: 1 / r^zipf */
    double   once;      /* share of requests for what is asked once */
    double   burst;     /* share of requests that belong to bursts */
    unsigned drift;     /* requests after which the ranks have moved by one; 0: never */
    unsigned scan;      /* requests between two scans; 0: none */
};

static const struct trace traces[] = {
    { .name = "Zipf 0.7", .zipf = 0.7 },
    { .name = "Zipf 0.9", .zipf = 0.9 },
    { .name = "Zipf 1.1", .zipf = 1.1 },
    { .name = "Zipf 0.9, half asked once", .zipf = 0.9, .once = 0.5 },
    { .name = "Zipf 0.7, 80 % asked once", .zipf = 0.7, .once = 0.8 },
    { .name = "Zipf 0.9, 80 % asked once", .zipf = 0.9, .once = 0.8 },
    { .name = "Zipf 1.1, 80 % asked once", .zipf = 1.1, .once = 0.8 },
    { .name = "Zipf 0.9, scans", .zipf = 0.9, .scan = 100000 },
    { .name = "Zipf 0.9, drift", .zipf = 0.9, .drift = 20 },
    { .name = "Zipf 0.9, half once, drift", .zipf = 0.9, .once = 0.5, .drift = 20 },
    { .name = "Zipf 0.9, bursts", .zipf = 0.9, .burst = 0.3 },
    { .name = "Zipf 0.9, half once, bursts", .zipf = 0.9, .once = 0.5, .burst = 0.2 },
    { .name = "all of it", .zipf = 0.9, .once = 0.5, .burst = 0.1, .drift = 50, .scan = 200000 },
};

static double   popularity[POPULAR]; /* sums */
static uint32_t trace[REQUESTS];

static uint32_t popular(const struct trace *t, unsigned at) {
    double x = uniform() * popularity[POPULAR - 1];
    uint32_t low = 0, high = POPULAR - 1;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (popularity[mid] < x) low = mid + 1;
        else high = mid;
    }
    return (low + (t->drift ? at / t->drift : 0)) % POPULAR;
}

/* A burst: 2 to 20 requests for one thing among the next 2000. */
static void add_burst(unsigned at, uint32_t id) {
    unsigned n = 2 + (unsigned)(uniform() * 19);
    for (unsigned i = 0; i < n; i++) {
        size_t then = at + (size_t)(uniform() * 2000);
        if (then < REQUESTS && trace[then] == NONE) trace[then] = id;
    }
}

static void make_trace(const struct trace *t) {
    uint32_t fresh = POPULAR + SCANNED; /* ids that were not used yet */
    double sum = 0;
    seed = 88172645463325252u;
    for (unsigned r = 0; r < POPULAR; r++) popularity[r] = sum += pow(r + 1, -t->zipf);
    for (unsigned i = 0; i < REQUESTS; i++) trace[i] = NONE;
    unsigned scanning = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (t->scan && i % t->scan == t->scan / 2) scanning = SCANNED;
        if (uniform() < t->burst / 11) add_burst(i, fresh++);
        if (trace[i] != NONE) continue;
        if (scanning > 0 && uniform() < 0.8) trace[i] = POPULAR + SCANNED - scanning--;
        else if (uniform() < t->once) trace[i] = fresh++;
        else trace[i] = popular(t, i);
    }
}

/* -- Queues of ids ---------------------------------------------------------------------------- */

enum where { OUT, SMALL, MAIN, GHOST };

struct queue {
    uint32_t newest, oldest;
    size_t   bytes;
};

static uint32_t newer[IDS], older[IDS];
static uint8_t  where[IDS], uses[IDS];

static void queue_push(struct queue *q, uint32_t id, enum where name) {
    older[id] = q->newest;
    newer[id] = NONE;
    if (q->newest != NONE) newer[q->newest] = id;
    else q->oldest = id;
    q->newest = id;
    q->bytes += cost_of(id);
    where[id] = (uint8_t)name;
}

static void queue_remove(struct queue *q, uint32_t id) {
    if (newer[id] != NONE) older[newer[id]] = older[id];
    else q->newest = older[id];
    if (older[id] != NONE) newer[older[id]] = newer[id];
    else q->oldest = newer[id];
    q->bytes -= cost_of(id);
    where[id] = OUT;
}

static uint32_t queue_take(struct queue *q) {
    uint32_t id = q->oldest;
    queue_remove(q, id);
    return id;
}

/* -- The three ---------------------------------------------------------------------------------- */

struct shard { struct queue small, main, ghost; };

static struct shard shards[SHARDS];

static void shards_reset(void) {
    static const struct queue empty = { NONE, NONE, 0 };
    for (unsigned i = 0; i < SHARDS; i++) shards[i] = (struct shard){ empty, empty, empty };
    memset(where, OUT, sizeof(where));
}

static bool lru(uint32_t id, size_t room) {
    struct shard *s = &shards[shard_of(id)];
    bool hit = where[id] != OUT;
    if (hit) queue_remove(&s->main, id);
    while (s->main.bytes + cost_of(id) > room) queue_take(&s->main);
    queue_push(&s->main, id, MAIN);
    return hit;
}

static void evict_main(struct shard *s) {
    for (;;) {
        uint32_t id = queue_take(&s->main);
        if (uses[id] == 0) return;
        uses[id]--;
        queue_push(&s->main, id, MAIN);
    }
}

static void evict_small(struct shard *s, size_t room) {
    uint32_t id = queue_take(&s->small);
    if (uses[id] > 1) {
        uses[id] = 0;
        queue_push(&s->main, id, MAIN);
        return;
    }
    queue_push(&s->ghost, id, GHOST);
    while (s->ghost.bytes > room - room / 10) queue_take(&s->ghost);
}

static bool s3fifo(uint32_t id, size_t room) {
    struct shard *s = &shards[shard_of(id)];
    if (where[id] == SMALL || where[id] == MAIN) {
        if (uses[id] < 3) uses[id]++;
        return true;
    }
    bool known = where[id] == GHOST;
    if (known) queue_remove(&s->ghost, id);
    while (s->small.bytes + s->main.bytes + cost_of(id) > room) {
        if (s->main.oldest == NONE || s->small.bytes > room / 10) evict_small(s, room);
        else evict_main(s);
    }
    uses[id] = 0;
    queue_push(known ? &s->main : &s->small, id, known ? MAIN : SMALL);
    return false;
}

static struct cache *cache;

static bool sieve(uint32_t id, size_t room) {
    static char data[LARGEST];
    struct hash128 key = { id, mix(id) };
    struct cache_entry *e = cache_get(cache, key, 1);
    (void)room;
    cache_entry_put(e);
    if (e != NULL) return true;
    cache_put(cache, &(struct cache_item){ .key = key, .data = slice_of(data, sizes[id]), .fresh_ms = 1000 }, 1);
    return false;
}

/* -- A table --------------------------------------------------------------------------------------- */

struct result { double misses, bytes; };

static struct result play(bool (*ask)(uint32_t id, size_t room), size_t room) {
    double missed = 0, missed_bytes = 0, bytes = 0;
    shards_reset();
    cache = cache_new(room);
    for (unsigned i = 0; i < REQUESTS; i++) {
        double size = sizes[trace[i]];
        bool hit = ask(trace[i], room / SHARDS);
        if (i < REQUESTS / 4) continue; /* it fills up */
        bytes += size;
        missed += !hit;
        missed_bytes += hit ? 0 : size;
    }
    cache_free(cache);
    return (struct result){ 100 * missed / (REQUESTS - REQUESTS / 4.0), 100 * missed_bytes / bytes };
}

int main(void) {
    static const struct { const char *name; double share; } rooms[] = {
        { "2 %", 0.02 }, { "10 %", 0.1 }, { "40 %", 0.4 } };
    double all = 0; /* bytes of what is popular */
    for (uint32_t id = 0; id < IDS; id++) sizes[id] = make_size(id);
    for (uint32_t id = 0; id < POPULAR; id++) all += (double)cost_of(id);
    for (size_t t = 0; t < sizeof(traces) / sizeof(*traces); t++) {
        make_trace(&traces[t]);
        for (size_t r = 0; r < sizeof(rooms) / sizeof(*rooms); r++) {
            size_t room = (size_t)(all * rooms[r].share);
            struct result a = play(lru, room), b = play(sieve, room), c = play(s3fifo, room);
            printf("%s|%s|%.2f %.2f %.2f|%.2f %.2f %.2f\n", traces[t].name, rooms[r].name, a.misses, b.misses, c.misses,
                   a.bytes, b.bytes, c.bytes);
            fflush(stdout);
        }
    }
    return 0;
}
