/* questions.c -- what a body asks, as a number.
 *
 *     bytes of the body --hash--> slot { bytes, meaning } --the same bytes----> meaning
 *                                                         --others--> canonical text --hash--> meaning
 *
 * A question that is asked again mostly comes in the same bytes, from the same program.  Hashing them is
 * several times faster than bringing them into their canonical form, so what came of that is remembered.
 * A slot belongs to whoever used it last: what is lost is the time of one more canonical text.
 *
 * Both hashes are 128 bits under the cache's secret, as keys are: nobody can make two bodies meet. */
#include "request/questions.h"

#include "base/mem.h"

#define SLOTS 1024 /* 32 KiB a thread, in configurations that have a cache */

struct slot {
    struct hash128 bytes, meaning; /* all zero: empty */
};

struct questions {
    struct slot slots[SLOTS];
};

struct questions *questions_new(void) { return mem_zalloc(sizeof(struct questions)); }
void              questions_free(struct questions *q) { mem_free(q); }

static struct hash128 hash_canonical(const struct cache *c, const struct json_doc *d, json_skip_fn *skip,
                                     struct buf *scratch) {
    size_t before = buf_len(scratch);
    json_write_canonical(d, 0, skip, scratch);
    if (buf_failed(scratch)) return (struct hash128){ 0, 0 };
    struct slice all = buf_get(scratch);
    struct hash128 meaning = cache_key(c, slice_of(all.ptr + before, all.len - before));
    scratch->len -= all.len - before;
    return meaning;
}

struct hash128 questions_hash(struct questions *q, const struct cache *c, const struct json_doc *d,
                              json_skip_fn *skip, struct buf *scratch) {
    if (q == NULL) return hash_canonical(c, d, skip, scratch);
    struct hash128 bytes = cache_key(c, d->text);
    struct slot *s = &q->slots[bytes.low % SLOTS];
    if (s->bytes.low == bytes.low && s->bytes.high == bytes.high) return s->meaning;
    struct hash128 meaning = hash_canonical(c, d, skip, scratch);
    if (!buf_failed(scratch)) *s = (struct slot){ bytes, meaning };
    return meaning;
}
