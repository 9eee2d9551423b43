/* known.c -- which entries of the second tier this process has.
 *
 *     slots[] { the first half of a far key, the key in the cache of this process }
 *
 * An index that machines share names entries by their far keys, and most that it names are here already: it was told
 * of them by this process, or named them before.  Keys in the cache of a process are made otherwise (store/far.c
 * says why), so one cannot be computed from the other; hence this table.
 *
 * It forgets: a far key has one slot, which belongs to whoever used it last.  What is lost by that is the time to
 * read an entry once more.  There is no memory for it until somebody is known. */
#include "store/known.h"

#include <pthread.h>

#include "base/mem.h"

#define SLOTS (1u << 14) /* a power of two; 512 KiB */

struct known {
    pthread_mutex_t lock;
    struct slot {
        struct hash128 far, near;
    } *slots; /* NULL: none yet */
};

struct known *known_new(void) {
    struct known *k = mem_zalloc(sizeof(*k));
    if (k != NULL) pthread_mutex_init(&k->lock, NULL);
    return k;
}

void known_free(struct known *k) {
    if (k == NULL) return;
    pthread_mutex_destroy(&k->lock);
    mem_free(k->slots);
    mem_free(k);
}

static struct hash128 half_of(const struct far_key *far) {
    struct hash128 half = { 0, 0 };
    hash128_read(slice_of(far->hex, 32), &half);
    return half;
}

void known_set(struct known *k, const struct far_key *far, struct hash128 near) {
    if (far->hex[0] == '\0') return;
    struct hash128 half = half_of(far);
    pthread_mutex_lock(&k->lock);
    if (k->slots == NULL) k->slots = mem_zalloc(SLOTS * sizeof(*k->slots));
    if (k->slots != NULL) k->slots[half.low % SLOTS] = (struct slot){ half, near };
    pthread_mutex_unlock(&k->lock);
}

bool known_get(struct known *k, const struct far_key *far, struct hash128 *near) {
    struct slot s = { .near = { 0, 0 } };
    if (far->hex[0] == '\0') return false;
    struct hash128 half = half_of(far);
    pthread_mutex_lock(&k->lock);
    if (k->slots != NULL) s = k->slots[half.low % SLOTS];
    pthread_mutex_unlock(&k->lock);
    *near = s.near;
    return s.far.low == half.low && s.far.high == half.high && (half.low | half.high) != 0;
}
