/* hashtable.c -- a hash table of things that carry their own link.
 *
 *     slots[hash & (cap - 1)] -> entry -> entry -> NULL
 *
 * An entry is one allocation, its owner's: the link is a member of it, so that taking it
 * out needs no second look-up and no memory.  The table doubles when there are as many
 * entries as slots, and never shrinks: what is kept in it is bounded by its owner.
 *
 * Does not lock, and does not hash: the owner's hash is keyed (base/hash.h). */
#include "base/hashtable.h"

#include "base/mem.h"
#include "include/perilune.h"

#define LEAST 16 /* slots */

void hashtable_deinit(struct hashtable *c) {
    mem_free(c->slots);
    *c = (struct hashtable){ .slots = NULL };
}

static struct chained **slot_of(struct chained **slots, size_t cap, uint64_t hash) {
    return &slots[hash & (cap - 1)];
}

struct chained **hashtable_find(const struct hashtable *c, uint64_t hash, struct slice key, hashtable_key_fn *key_of) {
    if (c->cap == 0) return NULL;
    struct chained **at = slot_of(c->slots, c->cap, hash);
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->hash == hash && slice_eq(key_of(*at), key)) return at;
    return NULL;
}

static void push(struct chained **slot, struct chained *e) {
    e->next = *slot;
    *slot = e;
}

int hashtable_reserve(struct hashtable *c) {
    if (c->count < c->cap) return 0;
    size_t cap = c->cap ? c->cap * 2 : LEAST;
    struct chained **slots = mem_zalloc(cap * sizeof(*slots));
    if (slots == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < c->cap; i++)
        for (struct chained *e = c->slots[i], *next; e != NULL; e = next) {
            next = e->next;
            push(slot_of(slots, cap, e->hash), e);
        }
    mem_free(c->slots);
    c->slots = slots;
    c->cap = cap;
    return 0;
}

void hashtable_add(struct hashtable *c, struct chained *e) {
    push(slot_of(c->slots, c->cap, e->hash), e);
    c->count++;
}

void hashtable_remove(struct hashtable *c, struct chained **at) {
    *at = (*at)->next;
    c->count--;
}
