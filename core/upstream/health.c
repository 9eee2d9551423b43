/* health.c -- why calls to an upstream failed, counted by all threads at once.
 *
 * A failure of ours has a kind, and kinds are few.  What an upstream says itself has a code of its own
 * ("rate_limit_exceeded", "invalid_api_key"), and these come from outside: the first TARGET_CODES of them get
 * slots, the others are counted by their kind.  One that says nothing but a status is told by that.
 *
 *     slot:  EMPTY --one thread wins--> WRITING --the code is there--> READY      for ever
 *
 * Nobody waits for a slot that is being written: who comes with the same code meanwhile takes the next one, and
 * who reads adds the two up. */
#include "upstream/target.h"

#include <stdio.h>
#include <string.h>

enum { EMPTY, WRITING, READY };

static bool is_ready(const struct target_code *c) {
    return atomic_load_explicit((atomic_uint *)(uintptr_t)&c->state, memory_order_acquire) == READY;
}

/* The slot of a code, or NULL: all are taken. */
static struct target_code *slot_of(struct target_health *h, const char *code) {
    for (struct target_code *c = h->codes; c < h->codes + TARGET_CODES; c++) {
        if (is_ready(c) && strcmp(c->code, code) == 0) return c;
        unsigned expected = EMPTY;
        if (!atomic_compare_exchange_strong(&c->state, &expected, WRITING)) continue;
        snprintf(c->code, sizeof(c->code), "%s", code);
        atomic_store_explicit(&c->state, READY, memory_order_release);
        return c;
    }
    return NULL;
}

/* A code that is the name of a kind, too, is counted there: no code is told in two places. */
static bool kind_named(const char *code, enum failure_kind *kind) {
    for (int k = 1; k < FAILURE_KINDS; k++) {
        if (strcmp(failure_code((enum failure_kind)k), code) != 0) continue;
        *kind = (enum failure_kind)k;
        return true;
    }
    return false;
}

void target_count_failure(struct target_health *h, const struct failure *f) {
    char status[48];
    const char *code = f->code;
    enum failure_kind kind = f->kind;
    atomic_fetch_add_explicit(&h->failures, 1, memory_order_relaxed);
    if (f->kind == FAILURE_UPSTREAM_STATUS && strcmp(code, failure_code(f->kind)) == 0) {
        snprintf(status, sizeof(status), "%.30s_%d", code, f->status);
        code = status;
    }
    struct target_code *slot = code[0] == '\0' || kind_named(code, &kind) ? NULL : slot_of(h, code);
    atomic_fetch_add_explicit(slot ? &slot->count : &h->by_kind[kind], 1, memory_order_relaxed);
}

static uint64_t count_of(const struct target_code *c) {
    return atomic_load_explicit((atomic_uint_least64_t *)(uintptr_t)&c->count, memory_order_relaxed);
}

uint64_t target_failures(const struct target_health *h, unsigned i, const char **code) {
    const struct target_code *c = &h->codes[i];
    if (!is_ready(c)) return 0;
    for (unsigned k = 0; k < i; k++)
        if (is_ready(&h->codes[k]) && strcmp(h->codes[k].code, c->code) == 0) return 0;
    uint64_t sum = count_of(c);
    for (unsigned k = i + 1; k < TARGET_CODES; k++)
        if (is_ready(&h->codes[k]) && strcmp(h->codes[k].code, c->code) == 0) sum += count_of(&h->codes[k]);
    *code = c->code;
    return sum;
}
