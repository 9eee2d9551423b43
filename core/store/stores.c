/* stores.c -- what all workers of a process remember together, and reloads leave alone.
 *
 * The owner of the workers makes it before them and frees it behind them; a Lua state only points to it. */
#include "store/stores.h"

#include "base/mem.h"

struct stores *stores_new(void) {
    struct stores *s = mem_zalloc(sizeof(*s));
    if (s == NULL) return NULL;
    s->shared = shared_new(STORES_SHARED_BYTES);
    s->memo = memo_new(STORES_MEMO_BYTES);
    s->cache = cache_new(STORES_CACHE_BYTES);
    s->near = s->cache ? near_new(s->cache, STORES_NEAR_BYTES) : NULL;
    s->flights = flights_new();
    s->known = known_new();
    s->gates = gates_new();
    s->credits = credits_new();
    s->limits = limits_new(STORES_LIMIT_BYTES);
    s->tally = tally_new();
    s->captures = captures_new();
    s->values = values_new();
    hash_long_key_random(&s->prompt_key);
    far_process_init(&s->far);
    bool values = s->shared != NULL && s->memo != NULL && s->tally != NULL && s->captures != NULL &&
                  s->values != NULL;
    bool ready = values && s->flights != NULL && s->near != NULL && s->known != NULL;
    if (ready && s->gates != NULL && s->credits != NULL && s->limits != NULL) return s;
    stores_free(s);
    return NULL;
}

void stores_free(struct stores *s) {
    if (s == NULL) return;
    stores_free(s->next);
    shared_free(s->shared);
    memo_free(s->memo);
    near_free(s->near);
    cache_free(s->cache);
    flights_free(s->flights);
    known_free(s->known);
    gates_free(s->gates);
    credits_free(s->credits);
    limits_free(s->limits);
    tally_free(s->tally);
    captures_free(s->captures);
    values_free(s->values);
    affinity_free(s->prompts);
    far_process_deinit(&s->far);
    mem_free(s);
}

struct affinity *stores_prompts(struct stores *s) {
    struct affinity *seen = atomic_load_explicit(&s->prompts, memory_order_acquire), *fresh, *none = NULL;
    if (seen != NULL || (fresh = affinity_new()) == NULL) return seen;
    if (atomic_compare_exchange_strong(&s->prompts, &none, fresh)) return fresh;
    affinity_free(fresh); /* another thread was quicker */
    return none;
}

bool stores_renew(struct stores **s) {
    struct stores *fresh = stores_new();
    if (fresh == NULL) return false;
    fresh->next = (*s)->next;
    (*s)->next = fresh;
    *s = fresh;
    return true;
}
