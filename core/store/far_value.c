/* far_value.c -- an entry of the cache as bytes that another process reads.
 *
 *     head | tags, each behind its length | meta | data
 *            +------------- zstd when that is shorter, from 1 KiB on
 *
 * The head has a sum over all of it and the key under which it is kept, made with a key out of the secret.
 * So what was damaged, was written by another version, stands under the key of another question, or was put
 * there by somebody who does not know the secret is no value.  Lengths are checked all the same, before
 * anything is taken from them.
 *
 * Numbers are as this machine has them: to a machine of the other kind the mark in front looks wrong. */
#include "store/far_value.h"

#include <string.h>
#include <zstd.h>

#include "base/sha256.h"

#define MARK       0x50657231u /* and the version */
#define PACK_FROM  1024        /* bytes */
#define PACK_LEVEL 1           /* the fastest that still finds what JSON repeats */

struct head {
    uint32_t mark, packed, tag_count, tag_bytes;
    uint32_t fresh_ms, keep_ms, meta_len, data_len;
    struct hash128 sum;
};

void far_codec_init(struct far_codec *c, struct slice secret) {
    unsigned char digest[SHA256_BYTES];
    struct rng rng;
    uint64_t *words = (uint64_t *)(void *)&c->sum;
    sha256_of(secret, digest); /* without memory: another key, and nothing is found */
    memcpy(rng.s, digest, sizeof(rng.s));
    rng.s[0] |= 1; /* not all zero */
    for (size_t i = 0; i < sizeof(c->sum) / sizeof(*words); i++) words[i] = rng_next(&rng);
    buf_init(&c->raw, 0);
    c->pack = c->unpack = NULL;
}

void far_codec_deinit(struct far_codec *c) {
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeDCtx(c->unpack);
    buf_deinit(&c->raw);
    c->pack = c->unpack = NULL;
}

static struct hash128 sum_of(const struct far_codec *c, const struct head *h, struct slice key, struct slice body) {
    struct head plain = *h;
    plain.sum = (struct hash128){ 0, 0 };
    uint64_t with = hash64(&c->sum.sip, slice_of((const char *)&plain, sizeof(plain)));
    return hash_long(&c->sum, body, with ^ hash64(&c->sum.sip, key));
}

/* -- Writing ---------------------------------------------------------------------------- */

static void put_body(struct buf *out, const struct cache_item *item) {
    for (unsigned i = 0; i < item->tag_count; i++) {
        uint32_t len = (uint32_t)item->tags[i].len;
        buf_put(out, &len, sizeof(len));
        buf_slice(out, item->tags[i]);
    }
    buf_slice(out, item->meta);
    buf_slice(out, item->data);
}

/* Appends body, packed when that is worth it.  Returns whether it was. */
static bool put_packed(struct far_codec *c, struct slice body, struct buf *out) {
    if (body.len < PACK_FROM) return false;
    if (c->pack == NULL) c->pack = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(body.len);
    char *to = c->pack != NULL ? buf_reserve(out, room) : NULL;
    size_t n = to != NULL ? ZSTD_compressCCtx(c->pack, to, room, body.ptr, body.len, PACK_LEVEL) : body.len;
    if (ZSTD_isError(n) || n >= body.len) return false;
    buf_advance(out, n);
    return true;
}

static uint32_t at_most(uint64_t ms) { return ms < CACHE_MAX_MS ? (uint32_t)ms : CACHE_MAX_MS; }

void far_value_write(struct far_codec *c, struct slice key, const struct cache_item *item, size_t most,
                     struct buf *out) {
    struct head h = { .mark = MARK, .tag_count = item->tag_count, .fresh_ms = at_most(item->fresh_ms),
                      .keep_ms = at_most(item->keep_ms), .meta_len = (uint32_t)item->meta.len,
                      .data_len = (uint32_t)item->data.len };
    size_t at = buf_len(out);
    buf_clear(&c->raw);
    c->raw.limit = most;
    put_body(&c->raw, item);
    struct slice body = buf_get(&c->raw);
    if (buf_failed(&c->raw)) {
        out->error = c->raw.error;
        return;
    }
    h.tag_bytes = (uint32_t)(body.len - item->meta.len - item->data.len);
    buf_put(out, &h, sizeof(h));
    h.packed = put_packed(c, body, out);
    if (!h.packed) buf_slice(out, body);
    if (buf_failed(out)) return;
    struct slice all = buf_get(out);
    h.sum = sum_of(c, &h, key, slice_of(all.ptr + at + sizeof(h), all.len - at - sizeof(h)));
    memcpy(out->data + out->mark + at, &h, sizeof(h));
}

/* -- Reading ----------------------------------------------------------------------------- */

/* The body as it was before it was packed. */
static bool unpack(struct far_codec *c, const struct head *h, struct slice *body, size_t most) {
    size_t size = (size_t)h->tag_bytes + h->meta_len + h->data_len;
    if (size > most) return false;
    if (!h->packed) return body->len == size;
    if (c->unpack == NULL) c->unpack = ZSTD_createDCtx();
    buf_clear(&c->raw);
    c->raw.limit = most;
    char *to = c->unpack != NULL ? buf_reserve(&c->raw, size + 1) : NULL;
    if (to == NULL || ZSTD_decompressDCtx(c->unpack, to, size, body->ptr, body->len) != size) return false;
    buf_advance(&c->raw, size);
    *body = buf_get(&c->raw);
    return true;
}

static bool read_tags(struct slice rest, unsigned count, struct slice *tags) {
    for (unsigned i = 0; i < count; i++) {
        uint32_t len;
        if (rest.len < sizeof(len)) return false;
        memcpy(&len, rest.ptr, sizeof(len));
        if (rest.len - sizeof(len) < len) return false;
        tags[i] = slice_of(rest.ptr + sizeof(len), len);
        rest = slice_of(rest.ptr + sizeof(len) + len, rest.len - sizeof(len) - len);
    }
    return rest.len == 0;
}

bool far_value_read(struct far_codec *c, struct slice key, struct slice bytes, size_t most,
                    struct slice tags[CACHE_MAX_TAGS], struct cache_item *item) {
    struct head h;
    if (bytes.len < sizeof(h)) return false;
    memcpy(&h, bytes.ptr, sizeof(h));
    struct slice body = slice_of(bytes.ptr + sizeof(h), bytes.len - sizeof(h));
    if (h.mark != MARK || h.tag_count > CACHE_MAX_TAGS || h.meta_len > CACHE_MAX_META) return false;
    struct hash128 sum = sum_of(c, &h, key, body);
    if (sum.low != h.sum.low || sum.high != h.sum.high) return false;
    if (!unpack(c, &h, &body, most) || !read_tags(slice_of(body.ptr, h.tag_bytes), h.tag_count, tags)) return false;
    item->meta = slice_of(body.ptr + h.tag_bytes, h.meta_len);
    item->data = slice_of(body.ptr + h.tag_bytes + h.meta_len, h.data_len);
    item->tags = tags;
    item->tag_count = h.tag_count;
    item->fresh_ms = h.fresh_ms;
    item->keep_ms = h.keep_ms;
    return true;
}
