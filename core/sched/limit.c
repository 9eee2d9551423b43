/* limit.c -- how much of something a key may have in a window, exactly, for all threads together.
 *
 *     group (a limit's name) --- key ---> shards[hash >> 60] -> lock, table -> entry
 *
 *     entry   meters   requests/minute  used, at        idle: oldest use first -> ... -> newest, may be forgotten
 *                      tokens/day       used, day       busy: something is reserved; never forgotten
 *             held     tokens, USD     reserved, by kind
 *             slots    requests in flight
 *
 *     take:    used + held + cost <= most, in each meter?  yes: requests are used, tokens and USD are held
 *                                                          no: nothing has changed, in no meter
 *     settle:  what was held goes, what was really used is used, now
 *     give back: as if it had never been taken
 *
 * All windows of a limit for a key are in one entry, behind one lock: that is what makes a decision all or nothing, and
 * exact whatever number of threads decide.  A reservation is no part of the bucket: it does not leak while an
 * answer takes long, and what is given back is never more than what was taken.
 *
 * Nobody knows how long an answer will be.  It is foretold: by what this key got of this model before (an average and
 * a mean deviation, as TCP foretells round trips), else by what all keys of the limit got, else by max_tokens, else
 * COLD_OUT, or of a small bucket a sixteenth for the first ones and a quarter for those that come before one of them
 * has ended; never above max_tokens.  What is reserved is never more than the bucket holds,
 * so that no first request is refused for its length, and never less than 1.  An answer that was longer than
 * foretold leaves a debt, which the next ones wait for.
 *
 * Bounded: the bytes of all keys, of all limits.  Who makes up keys would make the others forgotten, and give who is
 * over a limit a new one.  So of the LOOKS keys that are idle longest the one goes that has used the least of its
 * limits, which of a bucket that has filled up again is nothing; who has used half of one and is spared goes to the end
 * of the line, and while all have, some more are looked at.  Made-up keys have used little each, and push out one
 * another; where one request uses up a limit they have not, and the oldest goes.  When none is idle, there is no room
 * for a new one, and that is a refusal (LIMIT_FULL).
 *
 * Invariants: an entry is idle exactly when nothing is held of it; bytes of a shard stay within its part of the
 * limit but for meters that a reload adds; meters of an entry only become more. */
#include "sched/limit.h"

#include <math.h>
#include <pthread.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "sched/limit_meter.h"

#define SHARDS       16
#define SLOTS_LEAST  64  /* of a table */
#define BLOCK_BYTES  24  /* that an allocator takes besides, and the table's slot */
#define COLD_OUT     1024
#define LOOKS        8   /* at idle keys, to find one to forget */
#define LOOKS_MOST   32  /* while there is none that has used less than ... */
#define NOTABLE      0.5 /* of a limit */
#define NEWS         0.2 /* weight of the latest answer */
#define GROUP_MODELS 16

/* How long the answers of a model were. */
struct forecast {
    uint64_t model; /* 0: none */
    float    mean, dev;
};

struct limit_entry {
    struct list         order;  /* idle or busy */
    struct limit_entry *chain;
    uint64_t            hash;
    struct limit_group *group;
    struct meter       *meters; /* in the order of the bits of mask */
    struct forecast    *answers; /* LIMIT_MODELS, or NULL */
    uint32_t            mask;
    unsigned            slots;  /* in use */
    double              held[LIMIT_KINDS];
    unsigned            holds;  /* reservations */
    uint16_t            key_len;
    char                key[];
};

struct shard {
    pthread_mutex_t      lock;
    struct limit_entry **table;
    size_t               count, cap, bytes;
    struct list          idle, busy;
};

struct limit_group {
    struct limits     *limits;
    struct list        link;
    uint64_t           id;
    struct limit_stats stats;
    atomic_bool        said; /* the log has a line of an outage, and none of its end */
    atomic_uint_least64_t away_ms; /* when it was decided without the store last */
    pthread_mutex_t    lock; /* of answers */
    struct forecast    answers[GROUP_MODELS];
    char               name[];
};

struct limits {
    struct hash_key key;
    size_t          shard_limit;
    pthread_mutex_t lock;   /* of groups */
    struct list     groups; /* never removed */
    unsigned        group_count;
    struct shard    shards[SHARDS];
};

const char *limit_kind_name(unsigned meter) {
    static const char *const names[] = { "requests", "tokens", "usd" };
    return names[meter / LIMIT_WINDOWS];
}

const char *limit_window_name(unsigned meter) {
    static const char *const names[] = { "second", "minute", "hour", "day", "month" };
    return names[meter % LIMIT_WINDOWS];
}

static enum limit_kind kind_of(unsigned meter) { return (enum limit_kind)(meter / LIMIT_WINDOWS); }

/* Any thread counts. */
static void count(stats_counter *c, int64_t by) { atomic_fetch_add_explicit(c, (uint64_t)by, memory_order_relaxed); }

#define EACH_METER(which, mask) \
    (uint32_t left_ = (mask), which; left_ != 0 && (which = (uint32_t)__builtin_ctz(left_), true); left_ &= left_ - 1)

static struct meter *meter_of(const struct limit_entry *e, unsigned which) {
    return &e->meters[__builtin_popcount(e->mask & ((1u << which) - 1))];
}

/* -- Life ---------------------------------------------------------------------------------- */

struct limits *limits_new(size_t bytes) {
    struct limits *l = mem_zalloc(sizeof(*l));
    if (l == NULL) return NULL;
    hash_key_random(&l->key);
    l->shard_limit = bytes / SHARDS;
    pthread_mutex_init(&l->lock, NULL);
    list_init(&l->groups);
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&l->shards[i].lock, NULL);
        list_init(&l->shards[i].idle);
        list_init(&l->shards[i].busy);
    }
    return l;
}

static void entry_free(struct limit_entry *e) {
    mem_free(e->meters);
    mem_free(e->answers);
    mem_free(e);
}

static void entries_free(struct list *entries) {
    while (!list_is_empty(entries)) {
        struct limit_entry *e = container_of(entries->next, struct limit_entry, order);
        list_remove(&e->order);
        entry_free(e);
    }
}

void limits_free(struct limits *l) {
    if (l == NULL) return;
    for (int i = 0; i < SHARDS; i++) {
        entries_free(&l->shards[i].idle);
        entries_free(&l->shards[i].busy);
        mem_free(l->shards[i].table);
        pthread_mutex_destroy(&l->shards[i].lock);
    }
    while (!list_is_empty(&l->groups)) {
        struct limit_group *g = container_of(l->groups.next, struct limit_group, link);
        list_remove(&g->link);
        pthread_mutex_destroy(&g->lock);
        mem_free(g);
    }
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static struct limit_group *group_new(struct limits *l, struct slice name) {
    struct limit_group *g = l->group_count < LIMIT_GROUPS ? mem_zalloc(sizeof(*g) + name.len + 1) : NULL;
    if (g == NULL) return NULL;
    memcpy(g->name, name.ptr, name.len);
    g->limits = l;
    g->id = l->group_count++;
    g->stats.name = g->name;
    pthread_mutex_init(&g->lock, NULL);
    list_append(&l->groups, &g->link);
    return g;
}

struct limit_group *limits_group(struct limits *l, struct slice name) {
    struct limit_group *g = NULL;
    pthread_mutex_lock(&l->lock);
    for (struct list *at = l->groups.next; at != &l->groups && g == NULL; at = at->next) {
        struct limit_group *other = container_of(at, struct limit_group, link);
        if (slice_eq(slice_str(other->name), name)) g = other;
    }
    if (g == NULL) g = group_new(l, name);
    pthread_mutex_unlock(&l->lock);
    return g;
}

const char *limit_group_name(const struct limit_group *g) { return g->name; }

#define BACK_MS 2000 /* without a decision of our own: then all workers have their connection again */

bool limit_group_falls_back(struct limit_group *g, bool away, uint64_t now_ms) {
    if (away) {
        count(&g->stats.fallback, 1);
        atomic_store_explicit(&g->away_ms, now_ms, memory_order_relaxed);
        return !atomic_exchange_explicit(&g->said, true, memory_order_relaxed);
    }
    if (!atomic_load_explicit(&g->said, memory_order_relaxed)) return false;
    if (now_ms < atomic_load_explicit(&g->away_ms, memory_order_relaxed) + BACK_MS) return false;
    return atomic_exchange_explicit(&g->said, false, memory_order_relaxed);
}

void limit_group_count_dry(struct limit_group *g) { count(&g->stats.would_refuse, 1); }

void limit_group_count_waiting(struct limit_group *g, int by) {
    count(&g->stats.waiting, by);
    if (by > 0) count(&g->stats.waited, by);
}

/* -- A shard, locked -------------------------------------------------------------------------- */

static size_t bytes_of(const struct limit_entry *e) {
    return sizeof(*e) + e->key_len + (size_t)__builtin_popcount(e->mask) * sizeof(struct meter) +
           (e->answers != NULL ? LIMIT_MODELS * sizeof(struct forecast) : 0) + 2 * BLOCK_BYTES;
}

static bool table_reserve(struct shard *s) {
    if (s->count < s->cap) return true;
    size_t cap = s->cap > 0 ? s->cap * 2 : SLOTS_LEAST;
    struct limit_entry **table = mem_zalloc(cap * sizeof(struct limit_entry *)), *next;
    if (table == NULL) return s->cap > 0; /* longer chains */
    for (size_t i = 0; i < s->cap; i++)
        for (struct limit_entry *e = s->table[i]; e != NULL; e = next) {
            next = e->chain;
            e->chain = table[e->hash & (cap - 1)];
            table[e->hash & (cap - 1)] = e;
        }
    mem_free(s->table);
    s->table = table;
    s->cap = cap;
    return true;
}

static struct limit_entry *find(const struct shard *s, const struct limit_group *g, uint64_t hash, struct slice key) {
    if (s->cap == 0) return NULL;
    for (struct limit_entry *e = s->table[hash & (s->cap - 1)]; e != NULL; e = e->chain)
        if (e->hash == hash && e->group == g && slice_eq(slice_of(e->key, e->key_len), key)) return e;
    return NULL;
}

static void forget(struct shard *s, struct limit_entry *e) {
    struct limit_entry **at = &s->table[e->hash & (s->cap - 1)];
    while (*at != e) at = &(*at)->chain;
    *at = e->chain;
    s->count--;
    s->bytes -= bytes_of(e);
    list_remove(&e->order);
    count(&e->group->stats.keys, -1);
    count(&e->group->stats.forgotten, 1);
    entry_free(e);
}

/* The largest used / most of its meters. */
static double share_of(const struct limit_entry *e, struct limit_clock now) {
    double share = 0;
    for EACH_METER(which, e->mask) {
        struct meter m = *meter_of(e, which);
        meter_refresh(&m, which, m.most, now);
        if (m.used > 0 && m.most > 0) share = fmax(share, m.used / m.most);
    }
    return share;
}

/* Of those that are idle longest the one that loses least by it; there is one. */
static struct limit_entry *least_of_idle(struct shard *s, struct limit_clock now) {
    struct limit_entry *least = NULL;
    struct list *at = s->idle.next, *next;
    double of_least = INFINITY;
    for (int i = 0; i < (of_least < NOTABLE ? LOOKS : LOOKS_MOST) && at != &s->idle && of_least > 0; i++, at = next) {
        struct limit_entry *e = container_of(at, struct limit_entry, order), *loses = e;
        double share = share_of(e, now), of_loser = share;
        next = at->next;
        if (share < of_least) {
            loses = least;
            of_loser = of_least;
            least = e;
            of_least = share;
        }
        if (loses == NULL || of_loser < NOTABLE) continue;
        list_remove(&loses->order);
        list_append(&s->idle, &loses->order);
    }
    return least;
}

/* Room for so many bytes more.  False: all that is there is in use. */
static bool make_room(struct shard *s, size_t limit, size_t bytes, struct limit_clock now) {
    while (s->bytes + bytes > limit && !list_is_empty(&s->idle)) forget(s, least_of_idle(s, now));
    return s->bytes + bytes <= limit;
}

static int entry_new(struct shard *s, struct limit_group *g, uint64_t hash, struct slice key, uint32_t mask,
                     struct limit_clock now, struct limit_entry **out) {
    unsigned meters = (unsigned)__builtin_popcount(mask);
    size_t bytes = sizeof(**out) + key.len + meters * sizeof(struct meter) + 2 * BLOCK_BYTES;
    if (!make_room(s, g->limits->shard_limit, bytes, now)) return PERILUNE_ERR_LIMITED;
    struct limit_entry *e = table_reserve(s) ? mem_zalloc(sizeof(*e) + key.len) : NULL;
    if (e == NULL) return PERILUNE_ERR_NOMEM;
    e->meters = mem_zalloc((meters + 1) * sizeof(struct meter));
    if (e->meters == NULL) {
        mem_free(e);
        return PERILUNE_ERR_NOMEM;
    }
    e->hash = hash;
    e->group = g;
    e->mask = mask;
    e->key_len = (uint16_t)key.len;
    memcpy(e->key, key.ptr, key.len);
    e->chain = s->table[hash & (s->cap - 1)];
    s->table[hash & (s->cap - 1)] = e;
    s->count++;
    s->bytes += bytes;
    list_append(&s->idle, &e->order);
    count(&g->stats.keys, 1);
    *out = e;
    return 0;
}

/* A reload may add meters: those that are there keep what they have counted. */
static int add_meters(struct shard *s, struct limit_entry *e, uint32_t mask) {
    uint32_t all = e->mask | mask;
    if (all == e->mask) return 0;
    struct meter *more = mem_zalloc(((size_t)__builtin_popcount(all) + 1) * sizeof(*more));
    if (more == NULL) return PERILUNE_ERR_NOMEM;
    for EACH_METER(which, e->mask) more[__builtin_popcount(all & ((1u << which) - 1))] = *meter_of(e, which);
    s->bytes -= bytes_of(e);
    mem_free(e->meters);
    e->meters = more;
    e->mask = all;
    s->bytes += bytes_of(e);
    return 0;
}

static struct shard *shard_of(struct limits *l, uint64_t hash) { return &l->shards[hash >> 60]; }

static uint64_t hash_of(const struct limit_group *g, struct slice key) {
    return hash64(&g->limits->key, key) ^ (g->id + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The entry of the key with all meters of the rule, as of now; the latest of those that are idle. */
static int visit(struct shard *s, struct limit_group *g, uint64_t hash, const struct limit_rule *rule, struct slice key,
                 struct limit_clock now, struct limit_entry **out) {
    struct limit_entry *e = find(s, g, hash, key);
    int rc = e != NULL ? add_meters(s, e, rule->mask) : entry_new(s, g, hash, key, rule->mask, now, &e);
    if (rc != 0) return rc;
    for EACH_METER(which, rule->mask) meter_refresh(meter_of(e, which), which, rule->most[which], now);
    if (e->holds == 0) {
        list_remove(&e->order);
        list_append(&s->idle, &e->order);
    }
    *out = e;
    return 0;
}

/* -- How long will the answer be? ------------------------------------------------------------------ */

static struct forecast *forecast_of(struct forecast *list, unsigned n, uint64_t model) {
    for (unsigned i = 0; list != NULL && i < n; i++)
        if (list[i].model == model) return &list[i];
    return NULL;
}

static void learn(struct forecast *list, unsigned n, uint64_t model, double out) {
    struct forecast *f = forecast_of(list, n, model);
    if (f == NULL) { /* the one that was used longest ago gives way */
        memmove(list + 1, list, (n - 1) * sizeof(*list));
        list[0] = (struct forecast){ .model = model, .mean = (float)out };
        return;
    }
    float off = (float)fabs(out - f->mean);
    f->dev += (float)NEWS * (off - f->dev);
    f->mean += (float)NEWS * ((float)out - f->mean);
}

static double said(const struct forecast *f) { return ceil((double)f->mean + (double)f->dev); }

static double bucket(const struct limit_rule *rule, enum limit_kind kind) {
    double least = INFINITY;
    for EACH_METER(which, rule->mask)
        if (kind_of(which) == kind && rule->most[which] < least) least = rule->most[which];
    return least;
}

/* Nobody knows anything: a sixteenth of the bucket, while less than half of it is reserved; then a quarter. */
static double cold(double most, const struct limit_entry *e) {
    bool begins = e == NULL || e->held[LIMIT_TOKENS] < most / 2;
    return fmin(COLD_OUT, begins ? most / 16 : most / 4);
}

static double foretell(struct limit_group *g, const struct limit_rule *rule, const struct limit_entry *e,
                       const struct limit_ask *ask) {
    const struct forecast *f = forecast_of(e != NULL ? e->answers : NULL, LIMIT_MODELS, ask->model);
    double out = f != NULL ? said(f) : -1;
    if (out < 0) {
        pthread_mutex_lock(&g->lock);
        f = forecast_of(g->answers, GROUP_MODELS, ask->model);
        if (f != NULL) out = said(f);
        pthread_mutex_unlock(&g->lock);
    }
    if (out < 0) out = ask->most_out < INFINITY ? ask->most_out : cold(bucket(rule, LIMIT_TOKENS), e);
    return fmin(out, ask->most_out);
}

/* Whole numbers, at least 1, and no more than the bucket holds. */
static void cap(const struct limit_rule *rule, struct limit_ask *ask) {
    for (int k = LIMIT_TOKENS; k < LIMIT_KINDS; k++) {
        double most = bucket(rule, (enum limit_kind)k);
        if (most == INFINITY) ask->amount[k] = 0; /* no meter wants to know */
        else ask->amount[k] = fmin(fmax(1, ceil(ask->amount[k])), fmax(1, floor(most)));
    }
}

static void complete(struct limit_group *g, const struct limit_rule *rule, const struct limit_entry *e,
                     struct limit_ask *ask) {
    if (ask->answers) {
        double out = foretell(g, rule, e, ask);
        ask->amount[LIMIT_TOKENS] += out;
        ask->amount[LIMIT_USD] += out * ask->out_usd;
    }
    cap(rule, ask);
}

void limits_foretell(struct limit_group *g, const struct limit_rule *rule, struct slice key, struct limit_ask *ask) {
    uint64_t hash = hash_of(g, key);
    struct shard *s = shard_of(g->limits, hash);
    pthread_mutex_lock(&s->lock);
    complete(g, rule, find(s, g, hash, key), ask);
    pthread_mutex_unlock(&s->lock);
}

/* The shard of e is locked. */
static void learn_all(struct shard *s, struct limit_entry *e, struct limit_group *g, const struct limit_use *use) {
    if (use == NULL || use->out < 0) return;
    if (e != NULL && e->answers == NULL) {
        e->answers = mem_zalloc(LIMIT_MODELS * sizeof(*e->answers)); /* without memory it is not remembered */
        if (e->answers != NULL) s->bytes += LIMIT_MODELS * sizeof(*e->answers);
    }
    if (e != NULL && e->answers != NULL) learn(e->answers, LIMIT_MODELS, use->model, use->out);
    pthread_mutex_lock(&g->lock);
    learn(g->answers, GROUP_MODELS, use->model, use->out);
    pthread_mutex_unlock(&g->lock);
}

/* -- Deciding ------------------------------------------------------------------------------------------ */

/* What is held of e, or elsewhere. */
struct held {
    double amount[LIMIT_KINDS], slots;
};

static struct held held_of(const struct limit_entry *e) {
    struct held h = { .slots = e->slots };
    memcpy(h.amount, e->held, sizeof(h.amount));
    return h;
}

static void note_row(struct limit_verdict *v, const struct meter *m, unsigned which, double held,
                     struct limit_clock now) {
    struct limit_row *row = &v->row[kind_of(which)];
    double left = fmax(0, m->most - m->used - held), share = m->most > 0 ? (m->used + held) / m->most : 1;
    v->share = fmax(v->share, share);
    if (row->has && row->left <= left) return;
    *row = (struct limit_row){ .has = true, .most = m->most, .left = left, .reset_ms = meter_reset_ms(m, which, now) };
}

static void note_rows(const struct limit_entry *e, const struct limit_rule *rule, const struct held *h,
                      struct limit_clock now, struct limit_verdict *v) {
    v->share = rule->slots > 0 ? h->slots / rule->slots : 0;
    for EACH_METER(which, rule->mask) note_row(v, meter_of(e, which), which, h->amount[kind_of(which)], now);
}

/* It is the one that has to be waited for longest. */
static void note_refusal(struct limit_verdict *v, unsigned meter, double most, double used, double asked,
                         uint64_t wait) {
    bool longer = v->meter == UINT32_MAX || (v->wait_ms != 0 && (wait == 0 || wait > v->wait_ms));
    if (!longer) return;
    v->meter = meter;
    v->most = most;
    v->used = used;
    v->asked = asked;
    v->wait_ms = wait;
}

/* forced: somebody else refused it already; which meter that was is found out here. */
static bool decide(const struct limit_entry *e, const struct limit_rule *rule, const struct held *h,
                   const struct limit_ask *ask, struct limit_clock now, struct limit_verdict *v) {
    v->meter = UINT32_MAX;
    for EACH_METER(which, rule->mask) {
        const struct meter *m = meter_of(e, which);
        double held = h->amount[kind_of(which)], cost = ask->amount[kind_of(which)];
        if (!meter_fits(m, held, cost))
            note_refusal(v, which, m->most, m->used + held, cost, meter_wait_ms(m, which, cost, now));
    }
    if (ask->slots > 0 && rule->slots >= 0 && h->slots + ask->slots > rule->slots)
        note_refusal(v, LIMIT_SLOTS, rule->slots, h->slots, ask->slots, rule->slots < 1 ? 0 : 1000);
    return v->meter == UINT32_MAX;
}

static void use_requests(struct limit_entry *e, const struct limit_rule *rule, double amount) {
    for EACH_METER(which, rule->mask)
        if (kind_of(which) == LIMIT_REQUESTS) meter_of(e, which)->used += amount;
}

static void enter(struct shard *s, struct limit_entry *e, const struct limit_rule *rule, const struct limit_ask *ask,
                  struct limit_hold *hold) {
    *hold = (struct limit_hold){ .entry = e, .group = e->group, .mask = rule->mask, .slots = ask->slots };
    memcpy(hold->amount, ask->amount, sizeof(hold->amount));
    for (int k = LIMIT_TOKENS; k < LIMIT_KINDS; k++) e->held[k] += ask->amount[k];
    e->slots += ask->slots;
    if (e->holds++ > 0) return;
    list_remove(&e->order);
    list_append(&s->busy, &e->order);
}

static void count_held(struct limit_group *g, const double amount[LIMIT_KINDS], int by) {
    count(&g->stats.held_requests, by);
    for (int k = LIMIT_TOKENS; k < LIMIT_KINDS; k++)
        if (amount[k] > 0) count(&g->stats.held[k], by * (int64_t)amount[k]);
}

static void full(struct limit_verdict *v) {
    v->meter = LIMIT_FULL;
    v->wait_ms = 1000;
}

int limits_take(struct limit_group *g, const struct limit_rule *rule, struct slice key, const struct limit_ask *ask,
                struct limit_clock now, enum limit_count how, struct limit_hold *hold, struct limit_verdict *v) {
    uint64_t hash = hash_of(g, key);
    struct shard *s = shard_of(g->limits, hash);
    struct limit_ask all = *ask;
    struct limit_entry *e = NULL;
    *v = (struct limit_verdict){ .meter = UINT32_MAX };
    *hold = (struct limit_hold){ .entry = NULL };
    pthread_mutex_lock(&s->lock);
    int rc = visit(s, g, hash, rule, key, now, &e);
    if (rc == 0) {
        complete(g, rule, e, &all);
        struct held h = held_of(e);
        if (!decide(e, rule, &h, &all, now, v) && how != LIMIT_FORCE) rc = PERILUNE_ERR_LIMITED;
        if (rc == 0) enter(s, e, rule, &all, hold);
        if (rc == 0) use_requests(e, rule, all.amount[LIMIT_REQUESTS]);
        h = held_of(e);
        note_rows(e, rule, &h, now, v);
        memcpy(v->reserved, all.amount, sizeof(v->reserved));
    } else if (rc == PERILUNE_ERR_LIMITED) {
        full(v);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc == 0) count_held(g, all.amount, 1);
    if (rc == 0) count(&g->stats.taken, 1);
    else if (rc == PERILUNE_ERR_LIMITED && how != LIMIT_AGAIN)
        count(how == LIMIT_DRY ? &g->stats.would_refuse : &g->stats.refused, 1);
    return rc;
}

double limits_share(struct limit_group *g, const struct limit_rule *rule, struct slice key, struct limit_clock now) {
    uint64_t hash = hash_of(g, key);
    struct shard *s = shard_of(g->limits, hash);
    struct limit_verdict v = { .share = 0 };
    struct limit_entry *e = NULL;
    pthread_mutex_lock(&s->lock);
    if (find(s, g, hash, key) != NULL && visit(s, g, hash, rule, key, now, &e) == 0) {
        struct held h = held_of(e);
        note_rows(e, rule, &h, now, &v);
    }
    pthread_mutex_unlock(&s->lock);
    return v.share;
}

int limits_mirror(struct limit_group *g, const struct limit_rule *rule, struct slice key, const struct limit_ask *ask,
                  const struct limit_state *state, struct limit_clock now, bool dry, struct limit_hold *hold,
                  struct limit_verdict *v) {
    uint64_t hash = hash_of(g, key);
    struct shard *s = shard_of(g->limits, hash);
    struct limit_entry *e = NULL;
    *v = (struct limit_verdict){ .meter = UINT32_MAX };
    memcpy(v->reserved, ask->amount, sizeof(v->reserved));
    bool refused = hold == NULL;
    if (!refused) *hold = (struct limit_hold){ .entry = NULL };
    pthread_mutex_lock(&s->lock);
    int rc = visit(s, g, hash, rule, key, now, &e);
    if (rc == 0) {
        struct held h = { .slots = state->slots };
        memcpy(h.amount, state->held, sizeof(h.amount));
        for EACH_METER(which, rule->mask) meter_of(e, which)->used = fmax(0, state->used[which]);
        /* Two clocks may be a little apart: then it is known that it was refused, and not by what. */
        if (refused && decide(e, rule, &h, ask, now, v)) full(v);
        note_rows(e, rule, &h, now, v);
        if (!refused) enter(s, e, rule, ask, hold);
    } else if (refused) {
        full(v);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc == 0 && !refused) count_held(g, ask->amount, 1);
    count(!refused ? &g->stats.taken : dry ? &g->stats.would_refuse : &g->stats.refused, 1);
    return rc;
}

/* -- Settling ---------------------------------------------------------------------------------------------- */

static void use_now(struct limit_entry *e, uint32_t mask, const double by[LIMIT_KINDS], struct limit_clock now) {
    for EACH_METER(which, mask) {
        struct meter *m = meter_of(e, which);
        meter_refresh(m, which, m->most, now);
        m->used = fmax(0, m->used + by[kind_of(which)]);
    }
}

static void end(struct limit_hold *hold, const double by[LIMIT_KINDS], const struct limit_use *use,
                struct limit_clock now) {
    struct limit_entry *e = hold->entry;
    struct limit_group *g = hold->group;
    if (e == NULL) return;
    struct shard *s = shard_of(g->limits, e->hash);
    pthread_mutex_lock(&s->lock);
    for (int k = LIMIT_TOKENS; k < LIMIT_KINDS; k++) e->held[k] = fmax(0, e->held[k] - hold->amount[k]);
    e->slots -= hold->slots;
    use_now(e, hold->mask, by, now);
    learn_all(s, e, g, use);
    if (--e->holds == 0) {
        list_remove(&e->order);
        list_append(&s->idle, &e->order);
    }
    pthread_mutex_unlock(&s->lock);
    count_held(g, hold->amount, -1);
    *hold = (struct limit_hold){ .entry = NULL };
}

void limits_settle(struct limit_hold *hold, const struct limit_use *use, struct limit_clock now) {
    end(hold, (double[LIMIT_KINDS]){ 0, fmax(0, use->tokens), fmax(0, use->usd) }, use, now);
}

void limits_give_back(struct limit_hold *hold, struct limit_clock now) {
    end(hold, (double[LIMIT_KINDS]){ -hold->amount[LIMIT_REQUESTS], 0, 0 }, NULL, now);
}

/* -- For operators --------------------------------------------------------------------------------------------- */

static void see(const struct limit_entry *e, struct limit_clock now, struct limit_seen *out) {
    *out = (struct limit_seen){ .name = slice_str(e->group->name), .key = slice_of(e->key, e->key_len),
                                .in_flight = e->slots };
    for EACH_METER(which, e->mask) {
        struct meter m = *meter_of(e, which);
        meter_refresh(&m, which, m.most, now);
        out->meter[out->count].meter = which;
        out->meter[out->count].most = m.most;
        out->meter[out->count].used = m.used;
        out->meter[out->count++].reset_ms = meter_reset_ms(&m, which, now);
    }
    memcpy(out->held, e->held, sizeof(out->held));
}

size_t limits_each(struct limits *l, size_t most, struct limit_clock now,
                   void (*fn)(void *ud, const struct limit_seen *s), void *ud) {
    size_t all = 0, told = 0;
    struct limit_seen seen;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &l->shards[i];
        struct list *const lists[] = { &s->busy, &s->idle };
        pthread_mutex_lock(&s->lock);
        for (int k = 0; k < 2; k++)
            for (struct list *at = lists[k]->prev; at != lists[k] && told < most; at = at->prev, told++) {
                see(container_of(at, struct limit_entry, order), now, &seen);
                fn(ud, &seen); /* NOLOCK: writes into a buffer, and into nothing that locks */
            }
        all += s->count;
        pthread_mutex_unlock(&s->lock);
    }
    return all;
}

const struct limit_stats *limits_stats(struct limits *l, unsigned i) {
    const struct limit_stats *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (struct list *at = l->groups.next; at != &l->groups && found == NULL; at = at->next)
        if (i-- == 0) found = &container_of(at, struct limit_group, link)->stats;
    pthread_mutex_unlock(&l->lock);
    return found;
}

size_t limits_bytes(struct limits *l) {
    size_t bytes = 0;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&l->shards[i].lock);
        bytes += l->shards[i].bytes;
        pthread_mutex_unlock(&l->shards[i].lock);
    }
    return bytes;
}
