/* batch_ids.c -- which custom_ids there were.
 *
 *     rows   | . | 7f..:line 3 | . | 02..:line 9, done | . |      open addressing, at most 3/4 full
 *
 * A file has millions of lines, and the texts of their ids need not be kept: 128 bits of each are, of two hashes with
 * keys of this process, so that two ids of one file meet with a probability of about 2^-80 for a million lines, and
 * nobody can make them meet.  32 bytes a line.  Rows are never taken out. */
#include "jobs/batch_ids.h"

#include "base/mem.h"

void batch_ids_init(struct batch_ids *ids) {
    *ids = (struct batch_ids){ .rows = NULL };
    hash_key_random(&ids->keys[0]);
    hash_key_random(&ids->keys[1]);
}

void batch_ids_deinit(struct batch_ids *ids) {
    mem_free(ids->rows);
    ids->rows = NULL;
    ids->count = ids->cap = 0;
}

/* Its place, or the free one where it would be. */
static struct batch_id *place(struct batch_id *rows, size_t cap, uint64_t low, uint64_t high) {
    size_t i = low & (cap - 1);
    while ((rows[i].low | rows[i].high) != 0 && (rows[i].low != low || rows[i].high != high)) i = (i + 1) & (cap - 1);
    return &rows[i];
}

static bool grow(struct batch_ids *ids) {
    size_t cap = ids->cap ? ids->cap * 2 : 1024;
    struct batch_id *rows = mem_zalloc(cap * sizeof(*rows));
    if (rows == NULL) return false;
    for (size_t i = 0; i < ids->cap; i++) {
        const struct batch_id *r = &ids->rows[i];
        if ((r->low | r->high) != 0) *place(rows, cap, r->low, r->high) = *r;
    }
    mem_free(ids->rows);
    ids->rows = rows;
    ids->cap = cap;
    return true;
}

static void hash(const struct batch_ids *ids, struct slice text, uint64_t *low, uint64_t *high) {
    *low = hash64(&ids->keys[0], text);
    *high = hash64(&ids->keys[1], text) | 1; /* never both 0 */
}

struct batch_id *batch_ids_find(const struct batch_ids *ids, struct slice text) {
    uint64_t low, high;
    if (ids->cap == 0) return NULL;
    hash(ids, text, &low, &high);
    struct batch_id *r = place(ids->rows, ids->cap, low, high);
    return (r->low | r->high) != 0 ? r : NULL;
}

struct batch_id *batch_ids_add(struct batch_ids *ids, struct slice text) {
    uint64_t low, high;
    if (ids->count >= ids->cap / 4 * 3 && !grow(ids)) return NULL;
    hash(ids, text, &low, &high);
    struct batch_id *r = place(ids->rows, ids->cap, low, high);
    if ((r->low | r->high) != 0) return r;
    *r = (struct batch_id){ .low = low, .high = high };
    ids->count++;
    return r;
}
