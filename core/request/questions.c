/* questions.c -- what a body asks, as a number.
 *
 *     bytes of the body --hash--> slot { bytes, meaning } --the same bytes----> meaning
 *                                                         --others--> canonical text --hash--> meaning
 *
 * A question that is asked again mostly comes in the same bytes, from the same program.  Hashing them is
 * several times faster than bringing them into their canonical form, so what came of that is remembered.
 * A slot belongs to whoever used it last: what is lost is the time of one more canonical text.
 *
 * Bytes are hashed under the cache's secret, as keys are.  The meaning is the first half of the SHA-256 of the
 * canonical text, which is the same in every process: the second tier of the cache is asked with it (store/far.c).
 * To make two bodies of one tenant meet takes some 2^64 tries. */
#include "request/questions.h"

#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "include/perilune.h"

#define SLOTS 1024 /* 32 KiB a thread, in configurations that have a cache */

struct slot {
    struct hash128 bytes, meaning; /* all zero: empty */
};

struct questions {
    struct slot slots[SLOTS];
};

struct questions *questions_new(void) { return mem_zalloc(sizeof(struct questions)); }
void              questions_free(struct questions *q) { mem_free(q); }

static struct hash128 hash_canonical(const struct json_doc *d, json_skip_fn *skip, struct buf *scratch) {
    unsigned char digest[SHA256_BYTES];
    struct hash128 meaning;
    size_t before = buf_len(scratch);
    json_write_canonical(d, 0, skip, scratch);
    if (buf_failed(scratch)) return (struct hash128){ 0, 0 };
    struct slice all = buf_get(scratch);
    if (!sha256_of(slice_of(all.ptr + before, all.len - before), digest)) scratch->error = PERILUNE_ERR_NOMEM;
    memcpy(&meaning, digest, sizeof(meaning));
    scratch->len -= all.len - before;
    return meaning;
}

struct hash128 questions_hash(struct questions *q, const struct cache *c, const struct json_doc *d,
                              json_skip_fn *skip, struct buf *scratch) {
    if (q == NULL) return hash_canonical(d, skip, scratch);
    struct hash128 bytes = cache_key(c, d->text);
    struct slot *s = &q->slots[bytes.low % SLOTS];
    if (s->bytes.low == bytes.low && s->bytes.high == bytes.high) return s->meaning;
    struct hash128 meaning = hash_canonical(d, skip, scratch);
    if (!buf_failed(scratch)) *s = (struct slot){ bytes, meaning };
    return meaning;
}
