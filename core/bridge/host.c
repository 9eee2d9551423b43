/* host.c -- which functions the program has for policies.
 *
 *     first --> function --> function --> ...        the newest first
 *
 * Only the owner's thread adds, and nothing is ever changed or taken away, so workers look without a lock: what they
 * find behind `first` was whole before it stood there.  A state looks once for each name and keeps the closure. */
#include "bridge/host.h"

#include <stdatomic.h>

#include "base/mem.h"

#define FUNCTIONS_MOST 1024

struct host {
    _Atomic(const struct host_function *) first;
    unsigned count; /* of the owner's */
};

struct host *host_new(void) {
    struct host *h = mem_zalloc(sizeof(*h));
    if (h != NULL) atomic_init(&h->first, NULL);
    return h;
}

void host_free(struct host *h) {
    if (h == NULL) return;
    const struct host_function *f = host_first(h);
    while (f != NULL) {
        const struct host_function *next = f->next;
        mem_free((void *)(uintptr_t)f);
        f = next;
    }
    mem_free(h);
}

bool host_is_name(const char *name) {
    size_t n = 0;
    for (; name[n] != '\0' && n < HOST_NAME; n++) {
        char c = name[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(n > 0 && c >= '0' && c <= '9')) return false;
    }
    return n > 0 && n < HOST_NAME;
}

const struct host_function *host_first(const struct host *h) {
    return h == NULL ? NULL : atomic_load_explicit(&((struct host *)(uintptr_t)h)->first, memory_order_acquire);
}

const struct host_function *host_find(const struct host *h, struct slice name) {
    for (const struct host_function *f = host_first(h); f != NULL; f = f->next)
        if (slice_eq(slice_str(f->name), name)) return f;
    return NULL;
}

int host_add(struct host *h, const char *name, perilune_function fn, void *ud) {
    if (host_find(h, slice_str(name)) != NULL) return PERILUNE_ERR_INVAL;
    if (h->count == FUNCTIONS_MOST) return PERILUNE_ERR_LIMITED;
    struct host_function *f = mem_zalloc(sizeof(*f));
    if (f == NULL) return PERILUNE_ERR_NOMEM;
    *f = (struct host_function){ .next = host_first(h), .fn = fn, .ud = ud };
    slice_copy(f->name, sizeof(f->name), slice_str(name));
    atomic_store_explicit(&h->first, f, memory_order_release);
    h->count++;
    return 0;
}
