/* shadow.c -- was the answer that a near question got the one it would have got?
 *
 *     near question --> hit: the client has it at once
 *          +----------> services->ask_again --> policies, upstream --> kept under the question's own key
 *                                                                          |
 *     given entry's text, fresh entry's text --> answers_compare <---------+
 *                    +--> nearest_feedback: the given entry's threshold moves
 *
 * Who asks is the gateway's (gateway/refresh.c): like a request of its client, through the same policies, which may
 * refuse it; then nothing was kept, and there is no verdict.  At most SHADOW_MOST are under way.
 *
 * The fresh answer is read out of the cache and not off the way to the client: what policies in front of the cache
 * make of an answer (other words, say) is none of its business.  It stays there, so the same question is an exact
 * hit from then on: each question is checked once. */
#include "request/shadow.h"

#include "base/mem.h"
#include "request/cached.h"
#include "request/nearest.h"
#include "semantic/answers.h"

#define TEXT 65536 /* bytes of an answer that are compared */

struct shadow {
    struct services     *services;
    struct shadow_stats *stats;
    struct cache_entry  *given;
    struct hash128       key;
    float                score;
    uint64_t             begun_ms;
};

static enum answers compare(const struct shadow *s, const struct cache_entry *fresh) {
    struct embedder *e = services_embedder(s->services);
    struct buf a, b;
    float similarity;
    enum answers verdict = ANSWERS_UNKNOWN;
    buf_init(&a, 0);
    buf_init(&b, 0);
    cached_text(s->given, TEXT, &a);
    cached_text(fresh, TEXT, &b);
    if (e != NULL && !buf_failed(&a) && !buf_failed(&b))
        verdict = answers_compare(e, buf_get(&a), buf_get(&b), &similarity);
    buf_deinit(&a);
    buf_deinit(&b);
    return verdict;
}

static void count(struct stores *stores, const struct cache_entry *given, const char *result) {
    struct cached c = { .cache = SLICE("") };
    char cache[TALLY_LABEL];
    cached_read(given, &c);
    slice_copy(cache, sizeof(cache), c.cache);
    const char *labels[TALLY_LABELS] = { cache, result, NULL };
    tally_add(stores->tally, TALLY_SHADOW, labels, 1);
}

static void judge(const struct shadow *s, uint64_t now) {
    struct stores *stores = s->services->stores;
    struct cache_entry *fresh = cache_peek(stores->cache, s->key, now);
    bool is_new = fresh != NULL && fresh != s->given && cache_age(fresh, now) <= now - s->begun_ms;
    enum answers verdict = is_new ? compare(s, fresh) : ANSWERS_UNKNOWN;
    cache_entry_put(fresh);
    count(stores, s->given, verdict == ANSWERS_AGREE    ? "agreed"
                            : verdict == ANSWERS_DIFFER ? "differed"
                                                        : "unknown");
    if (verdict != ANSWERS_UNKNOWN)
        nearest_feedback(stores, cache_entry_key(s->given), s->score, verdict == ANSWERS_AGREE, now);
}

/* It has ended, in whatever way. */
static void over(void *ud) {
    struct shadow *s = ud;
    s->stats->under_way--;
    judge(s, loop_now(s->services->loop));
    cache_entry_put(s->given);
    mem_free(s);
}

bool shadow_begin(const struct shadow_ask *ask) {
    struct services *v = ask->services;
    if (v->ask_again == NULL || ask->stats == NULL || ask->stats->under_way >= SHADOW_MOST) return false;
    struct shadow *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return false;
    *s = (struct shadow){ .services = v, .stats = ask->stats, .given = cache_entry_ref(ask->given), .key = ask->key,
                          .score = ask->score, .begun_ms = loop_now(v->loop) };
    s->stats->under_way++;
    if (v->ask_again(v, ask->request, over, s)) return true;
    s->stats->under_way--;
    cache_entry_put(s->given);
    mem_free(s);
    return false;
}
