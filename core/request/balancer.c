/* balancer.c -- which member of a pool is asked.
 *
 *     members --> state of each --> region --> who rests --> pick.c --> the breaker lets it go
 *                 (target_health)   (preferred) (half at most)  ^              | no: not this one
 *                                                               +--------------+
 *
 * What is read here is shared by all threads and generations: calls under way, latencies, breakers, who has seen which
 * prompts.  So two workers pick as one would, but for what happens between reading and asking.
 *
 * At most half of a pool, rounded up, rests.  When more of them would, those with the least to wait are suspects:
 * they are asked for a tenth of their weight, which is what the budget of retries can pay for.  When nobody else is
 * left, the one with the least to wait is asked whatever its breaker says; the log says it once, until one is up again.
 * A request that is guarded (the policy `breaker`) is told instead.
 *
 * An open member is looked for by a scout now and then (scout.c), because a pool has others meanwhile.
 *
 * A pool may have members for long prompts (`long`): then those of which much is new go there, and all others to the
 * rest; where nobody of the right half is up, to the other half.
 *
 * Beginnings of prompts are hashes of blocks (prefix.c). */
#include "request/balancer.h"

#include "base/log.h"
#include "request/prefix.h"
#include "request/scout.h"

#define SUSPECT   0.1          /* of its weight */
#define QUANTILE  0.9          /* of the latency */

/* What is known of the members at this moment. */
struct sight {
    const struct target_pool *p;
    struct pick_member m[PICK_MOST];
    uint64_t wait_ms[PICK_MOST];
    uint64_t suspects;
    struct prefix prefix; /* of the prompt; empty: it does not matter */
    uint64_t others; /* bits of members that are ready, and for prompts of the other length */
    bool     known;  /* it is for the others' half only because somebody here remembers it */
};

struct breaker_settings balancer_settings(const struct request *r, const struct target *t) {
    struct breaker_settings s = t->breaker;
    if (r->breaker != NULL) breaker_settings_replace(&s, r->breaker);
    return s;
}

static struct call_pool *member_at(const struct services *v, const struct target_pool *p, unsigned i) {
    return &v->pools[p->members[i].target];
}

uint64_t balancer_bit(const struct services *v, const struct target_pool *p, const struct call_pool *member) {
    for (unsigned i = 0; i < p->count; i++)
        if (member_at(v, p, i) == member) return UINT64_C(1) << i;
    return 0;
}

/* -- What is known ------------------------------------------------------------------ */

static void look_at(const struct services *v, struct sight *s, unsigned i, bool stream) {
    struct call_pool *pool = member_at(v, s->p, i);
    const struct target *t = pool->target;
    uint64_t now = loop_now(v->loop);
    bool timed = s->p->how == PICK_LATENCY;
    s->wait_ms[i] = breaker_refuses(&t->health->breaker, now);
    s->m[i] = (struct pick_member){ .ready = true, .weight = s->p->members[i].weight,
                                    .price = t->price_in + t->price_out,
                                    .in_flight = atomic_load_explicit(&t->health->in_flight, memory_order_relaxed),
                                    .id = hash_fnv(slice_str(t->name)) };
    if (timed) s->m[i].latency_us = latency_quantile(stream ? &t->health->first : &t->health->all, QUANTILE, now);
    if (s->wait_ms[i] > 0 && breaker_wants_scout(&t->health->breaker, now)) scout_send(v->loop, pool);
}

static void find_prefix(const struct services *v, const struct outgoing *o, struct sight *s) {
    uint16_t who[PICK_MOST];
    unsigned matched[PICK_MOST];
    const struct prefix *p = &s->prefix;
    if (s->p->state->affinity == NULL) return;
    prefix_read(&s->prefix, &s->p->state->key, o->body);
    for (unsigned i = 0; i < s->p->count; i++) who[i] = member_at(v, s->p, i)->target->health->number;
    affinity_match(s->p->state->affinity, p->blocks, p->count, who, s->p->count, loop_now(v->loop), matched);
    for (unsigned i = 0; i < s->p->count; i++) s->m[i].matched = matched[i];
}

#define TOKEN_BYTES 4 /* where nobody has counted */

/* Prompts of which much is new go to some members, all others to the rest: who reads long prompts does not keep those
 * waiting who write.  What a member remembers need not be read. */
static void split(const struct outgoing *o, struct sight *s) {
    const struct request *r = o->request;
    uint64_t above = s->p->above * TOKEN_BYTES, ready = 0;
    if (r->counted > 0 && o->body == r->body)
        above = (uint64_t)((double)s->p->above * (double)s->prefix.bytes / (double)r->counted);
    bool is_long = pick_is_long(s->m, s->p->count, s->p->longs, s->prefix.ends, s->prefix.bytes, above);
    for (unsigned i = 0; i < s->p->count; i++) ready |= (uint64_t)s->m[i].ready << i;
    uint64_t mine = ready & (is_long ? s->p->longs : ~s->p->longs);
    if (is_long) atomic_fetch_add_explicit(&s->p->state->long_picks, 1, memory_order_relaxed);
    s->known = !is_long && s->prefix.bytes > above;
    s->others = ready & ~mine;
    for (unsigned i = 0; i < s->p->count; i++) s->m[i].ready = mine >> i & 1;
}

/* Nobody of the right half is left. */
static bool stray(struct sight *s) {
    if (s->others == 0) return false;
    for (unsigned i = 0; i < s->p->count; i++) s->m[i].ready = s->others >> i & 1;
    s->others = 0;
    atomic_fetch_add_explicit(&s->p->state->long_strayed, 1, memory_order_relaxed);
    return true;
}

/* Those of the preferred region alone, when one of them is up. */
static void prefer_region(struct sight *s, uint64_t tried) {
    uint64_t near = 0;
    if (s->p->region == NULL) return;
    for (unsigned i = 0; i < s->p->count; i++) {
        const char *region = s->p->members[i].region;
        bool up = s->wait_ms[i] == 0 && !(tried >> i & 1);
        if (up && region != NULL && strcmp(region, s->p->region) == 0) near |= UINT64_C(1) << i;
    }
    for (unsigned i = 0; near != 0 && i < s->p->count; i++) s->m[i].ready = near >> i & 1;
}

static void look(const struct services *v, const struct outgoing *o, uint64_t tried, struct sight *s) {
    bool stream = outgoing_form(o).sent;
    s->p = o->of->target->pool;
    s->prefix.count = 0;
    s->prefix.bytes = s->others = 0;
    s->known = false;
    for (unsigned i = 0; i < s->p->count; i++) look_at(v, s, i, stream);
    s->suspects = pick_suspects(s->wait_ms, s->p->count);
    prefer_region(s, tried);
    for (unsigned i = 0; i < s->p->count; i++) {
        bool suspect = s->suspects >> i & 1;
        if (tried >> i & 1 || (s->wait_ms[i] > 0 && !suspect)) s->m[i].ready = false;
        if (suspect) s->m[i].weight *= SUSPECT;
    }
    if (s->p->how == PICK_PREFIX || s->p->longs != 0) find_prefix(v, o, s);
    if (s->p->longs != 0) split(o, s);
}

/* -- The choice ---------------------------------------------------------------------- */

static uint64_t key_of(const struct target_pool *p, const struct request *r) {
    struct slice key = p->key ? request_header(r, slice_str(p->key)) : slice_str(r->tenant);
    if (key.len == 0 && r->peer != NULL) key = slice_str(r->peer);
    return hash_fnv(key);
}

static int choose(const struct services *v, const struct outgoing *o, const struct sight *s) {
    unsigned n = s->p->count;
    struct rng *rng = &v->loop->rng;
    if (s->known) return pick_prefix(s->m, n, rng); /* it is short for who remembers it */
    switch (s->p->how) {
    case PICK_LEAST: return pick_least(s->m, n, rng);
    case PICK_LATENCY: return pick_latency(s->m, n, rng);
    case PICK_PRICE: return pick_price(s->m, n, rng);
    case PICK_STICKY: return pick_sticky(s->m, n, key_of(s->p, o->request));
    case PICK_PREFIX: return pick_prefix(s->m, n, rng);
    case PICK_WEIGHTED: break;
    }
    return pick_weighted(s->m, n, atomic_fetch_add_explicit(&s->p->state->turn, 1, memory_order_relaxed));
}

static bool lets(const struct services *v, const struct outgoing *o, const struct sight *s, unsigned i,
                 struct breaker_ticket *ticket) {
    const struct target *t = member_at(v, s->p, i)->target;
    struct breaker_settings settings = balancer_settings(o->request, t);
    if (breaker_admit(&t->health->breaker, &settings, loop_now(v->loop), ticket)) return true;
    bool forced = s->suspects >> i & 1 && o->request->breaker == NULL;
    if (forced) breaker_force(&t->health->breaker, ticket);
    return forced;
}

static void say_all_rest(const struct outgoing *o, const struct target *least) {
    struct target_pool_state *state = o->of->target->pool->state;
    struct log *log = o->of->client->log;
    atomic_fetch_add_explicit(&state->desperate, 1, memory_order_relaxed);
    if (atomic_exchange(&state->all_rest, true) || log == NULL || !log_wants(log, PERILUNE_LOG_ERROR)) return;
    struct buf line;
    buf_init(&line, 0);
    log_begin(&line, PERILUNE_LOG_ERROR, "all upstreams of a pool rest because they failed: the one with the least to "
                                         "wait is asked all the same");
    log_str(&line, "pool", slice_str(o->of->target->name));
    log_str(&line, "upstream", slice_str(least->name));
    log_end(log, PERILUNE_LOG_ERROR, &line);
    buf_deinit(&line);
}

/* Nobody is left whose breaker lets a call go. */
static void least_bad(const struct services *v, const struct outgoing *o, uint64_t tried, const struct sight *s,
                      struct balancer_pick *out) {
    int least = -1;
    for (unsigned i = 0; i < s->p->count; i++)
        if (!(tried >> i & 1) && (least < 0 || s->wait_ms[i] < s->wait_ms[least])) least = (int)i;
    if (least < 0) return;
    out->wait_ms = s->wait_ms[least] > 0 ? s->wait_ms[least] : 1; /* 1: probes are under way */
    if (o->request->breaker != NULL) return;
    out->pool = member_at(v, s->p, (unsigned)least);
    breaker_force(&out->pool->target->health->breaker, &out->ticket);
}

static bool all_rest(const struct sight *s) {
    for (unsigned i = 0; i < s->p->count; i++)
        if (s->wait_ms[i] == 0) return false;
    return true;
}

void balancer_pick(const struct services *v, const struct outgoing *o, uint64_t tried, struct balancer_pick *out) {
    struct sight s;
    int i;
    look(v, o, tried, &s);
    *out = (struct balancer_pick){ .pool = NULL };
    while ((i = choose(v, o, &s)) >= 0 || stray(&s)) {
        if (i < 0) continue;
        if (lets(v, o, &s, (unsigned)i, &out->ticket)) {
            out->pool = member_at(v, s.p, (unsigned)i);
            break;
        }
        s.m[i].ready = false;
    }
    if (out->pool == NULL) least_bad(v, o, tried, &s, out);
    bool lost = all_rest(&s);
    if (!lost) atomic_store_explicit(&s.p->state->all_rest, false, memory_order_relaxed);
    else if (tried == 0 && out->pool != NULL) say_all_rest(o, out->pool->target);
    if (out->pool == NULL || s.prefix.count == 0) return;
    uint16_t who = out->pool->target->health->number;
    affinity_note(s.p->state->affinity, s.prefix.blocks, s.prefix.count, who, loop_now(v->loop));
}
