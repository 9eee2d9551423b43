/* prefix.c -- what is it worth to send a prompt where its beginning is?  Eight engines, played.
 *
 *     conversations --> one of 3 ways to pick (core/sched/pick.c, affinity.c themselves) --> engine: queue, prefix cache
 *
 * An engine keeps blocks of prompts, the oldest goes (LRU), and works on SLOTS requests at once.  A request takes it the
 * blocks that are not there, and then its answer.  Prompts are as agents and assistants send them: one of some system
 * prompts (Zipf), then a conversation that grows by a question and an answer each turn.  "chats" are that and no
 * more, so the most of what can be found is system prompts, which every engine has soon; in "documents" every conversation
 * begins with material of its own, as those of coding agents and of questions about a text do.
 * Prints "shape, way|blocks found, %|load of the busiest engine over even|mean ms to the first token|p99|the most
 * that could be found, %, by one cache for all that never forgets": read by pool.lua. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sched/affinity.h"
#include "sched/pick.h"

#define ENGINES  8
#define SLOTS    32
#define CACHE    6000   /* blocks: 1.5 million tokens */
#define TALKS    1200   /* conversations at a time */
#define SYSTEMS  40     /* system prompts */
#define MOST     64     /* blocks of a prompt */
#define BLOCK_MS 8.0    /* work on a block that is not there, 256 tokens */
#define HIT_MS   0.1
#define ANSWER_MS 1500.0

struct block {
    uint64_t hash;
    uint64_t used;
};

struct engine {
    struct block cache[CACHE * 2]; /* open addressing, half full at most */
    unsigned     kept, running, served;
    uint64_t     clock;
    double       busy_until; /* its prefill works on one prompt after the other */
};

struct talk {
    uint64_t blocks[MOST];
    unsigned count, turns, seen; /* seen: blocks that somebody had before */
    double   next_ms;
};

struct ending {
    double   at;
    unsigned engine;
};

static struct engine engines[ENGINES];
static struct talk   talks[TALKS];
static struct ending endings[1 << 16];
static unsigned      ending_count;
static struct rng    rng;
static bool          documents;

/* -- An engine ------------------------------------------------------------------------ */

static struct block *find(struct engine *e, uint64_t hash) {
    unsigned at = (unsigned)(hash % (CACHE * 2));
    while (e->cache[at].hash != 0 && e->cache[at].hash != hash) at = (at + 1) % (CACHE * 2);
    return &e->cache[at];
}

/* The older half goes at once: near enough to LRU, and quick. */
static void evict(struct engine *e) {
    static struct block old[CACHE * 2];
    memcpy(old, e->cache, sizeof(old));
    memset(e->cache, 0, sizeof(e->cache));
    e->kept = 0;
    uint64_t limit = e->clock > CACHE / 2 ? e->clock - CACHE / 2 : 0;
    for (unsigned i = 0; i < CACHE * 2; i++)
        if (old[i].hash != 0 && old[i].used >= limit) *find(e, old[i].hash) = old[i], e->kept++;
}

/* Takes the prompt; how many blocks were there. */
static unsigned take(struct engine *e, const uint64_t *blocks, unsigned count) {
    unsigned found = 0;
    bool there = true;
    for (unsigned i = 0; i < count; i++) {
        struct block *b = find(e, blocks[i]);
        there &= b->hash == blocks[i];
        found += there;
        if (b->hash != blocks[i]) {
            if (e->kept + 1 > CACHE) {
                evict(e);
                b = find(e, blocks[i]);
            }
            b->hash = blocks[i];
            e->kept++;
        }
        b->used = ++e->clock;
    }
    return found;
}

/* -- Conversations ----------------------------------------------------------------------- */

static double exponential(double mean) { return -mean * log(1 - rng_double(&rng)); }

static void extend(struct talk *t, unsigned blocks) {
    for (unsigned i = 0; i < blocks && t->count < MOST; i++) t->blocks[t->count++] = rng_next(&rng) | 1;
}

/* System prompts of 2 to 12 blocks, the same for all who have them. */
static void begin(struct talk *t) {
    double u = rng_double(&rng), sum = 0, all = 0;
    unsigned s = 0;
    for (unsigned i = 1; i <= SYSTEMS; i++) all += 1.0 / i;
    for (unsigned i = 1; i <= SYSTEMS && sum < u; i++, s = i - 2) sum += 1.0 / i / all;
    t->count = 0;
    t->turns = 2 + (unsigned)(rng_next(&rng) % 10);
    for (unsigned i = 0; i < 2 + s * 7 % 11; i++)
        t->blocks[t->count++] = ((uint64_t)(s + 1) * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9)) | 1;
    t->seen = t->count;
    extend(t, documents ? 8 + (unsigned)(rng_next(&rng) % 17) : 1);
}

/* -- The run --------------------------------------------------------------------------------- */

static void end_some(double now) {
    for (unsigned i = 0; i < ending_count;) {
        if (endings[i].at > now) {
            i++;
            continue;
        }
        engines[endings[i].engine].running--;
        endings[i] = endings[--ending_count];
    }
}

static int pick(const char *way, struct affinity *a, const struct talk *t, uint64_t turn, double now) {
    struct pick_member m[ENGINES];
    uint16_t who[ENGINES];
    unsigned matched[ENGINES];
    for (unsigned i = 0; i < ENGINES; i++) {
        m[i] = (struct pick_member){ .ready = true, .weight = 1, .in_flight = engines[i].running, .id = i + 1 };
        who[i] = (uint16_t)(i + 1);
    }
    if (strcmp(way, "round robin") == 0) return pick_weighted(m, ENGINES, turn);
    if (strcmp(way, "least outstanding") == 0) return pick_least(m, ENGINES, &rng);
    affinity_match(a, t->blocks, t->count, who, ENGINES, (uint64_t)now, matched);
    for (unsigned i = 0; i < ENGINES; i++) m[i].matched = matched[i];
    int best = pick_prefix(m, ENGINES, &rng);
    affinity_note(a, t->blocks, t->count, (uint16_t)(best + 1), (uint64_t)now);
    return best;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void run(const char *way, unsigned requests, double rate) {
    static double first[1 << 18];
    struct affinity *a = affinity_new();
    uint64_t found = 0, all = 0, most = 0; /* most: with one cache for all, and without end */
    double now = 0, sum = 0;
    memset(engines, 0, sizeof(engines));
    ending_count = 0;
    rng_seed(&rng, 42);
    for (unsigned i = 0; i < TALKS; i++) begin(&talks[i]);
    for (unsigned n = 0; n < requests; n++) {
        now += exponential(1000 / rate);
        end_some(now);
        struct talk *t = &talks[rng_next(&rng) % TALKS];
        int i = pick(way, a, t, n, now);
        struct engine *e = &engines[i];
        unsigned there = take(e, t->blocks, t->count);
        double work = (t->count - there) * BLOCK_MS + there * HIT_MS;
        double from = e->busy_until > now ? e->busy_until : now;
        e->busy_until = from + work;
        first[n] = e->busy_until - now;
        sum += first[n];
        endings[ending_count++] = (struct ending){ e->busy_until + exponential(ANSWER_MS), (unsigned)i };
        e->running++;
        e->served++;
        found += there;
        all += t->count;
        most += t->seen;
        t->seen = t->count;
        if (--t->turns == 0) begin(t);
        else extend(t, 1 + (unsigned)(rng_next(&rng) % 3));
    }
    unsigned busiest = 0;
    for (unsigned i = 0; i < ENGINES; i++)
        if (engines[i].served > busiest) busiest = engines[i].served;
    qsort(first, requests, sizeof(*first), by_size);
    const char *shape = documents ? "documents" : "chats";
    printf("%s, %s|%.1f|%.3f|%.1f|%.1f|%.1f\n", shape, way, 100.0 * (double)found / (double)all,
           (double)busiest * ENGINES / requests, sum / requests, first[requests * 99ull / 100],
           100.0 * (double)most / (double)all);
    affinity_free(a);
}

int main(void) {
    static const char *const ways[] = { "round robin", "least outstanding", "prefix" };
    for (int shape = 0; shape < 2; shape++) {
        documents = shape == 1;
        for (int i = 0; i < 3; i++) run(ways[i], 60000, documents ? 30 : 60);
    }
    return 0;
}
