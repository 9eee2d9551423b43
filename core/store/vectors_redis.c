/* vectors_redis.c -- an index in vector sets of Redis 8.
 *
 *     PREFIXv:PART    a vector set: its elements are the keys of entries (PREFIXe:KEY)
 *
 * A set's elements have no time of their own to live.  So the set ends no earlier than its newest entry, and each
 * element that is added has a few random others looked at (LOOKED_AT): those whose entry is gone go, too.  As
 * each brings one and takes up to three, at most a third of a set leads to nothing for long.  Who meets one of them
 * has it removed at once (request/widen.c).
 *
 * Redis tells (1 + cosine) / 2. */
#include <string.h>

#include "store/vectors.h"
#include "store/vectors_lib.h"

#define LOOKED_AT "3"

static const char ADD[] =
    "redis.call('VADD', KEYS[1], 'FP32', ARGV[1], ARGV[2]) "
    "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end "
    "for _, one in ipairs(redis.call('VRANDMEMBER', KEYS[1], " LOOKED_AT ")) do "
    "if one ~= ARGV[2] and redis.call('EXISTS', ARGV[4] .. one) == 0 then redis.call('VREM', KEYS[1], one) end "
    "end return 1";

static void put_set(const struct vectors_ask *a, struct words *out) {
    buf_puts(&out->text, a->prefix);
    buf_puts(&out->text, "v:");
    words_add(out, slice_str(a->part.hex));
}

static void put_add(const struct vectors_ask *a, struct words *out) {
    words_add(out, SLICE("EVAL"));
    words_add(out, slice_of(ADD, sizeof(ADD) - 1));
    words_add(out, SLICE("1"));
    put_set(a, out);
    words_floats(out, a->vector);
    words_add(out, slice_str(a->key.hex));
    words_number(out, a->ttl_ms);
    buf_puts(&out->text, a->prefix);
    words_add(out, SLICE("e:"));
}

static void put_search(const struct vectors_ask *a, struct words *out) {
    words_add(out, SLICE("VSIM"));
    put_set(a, out);
    words_add(out, SLICE("FP32"));
    words_floats(out, a->vector);
    words_add(out, SLICE("WITHSCORES"));
    words_add(out, SLICE("COUNT"));
    words_number(out, VECTORS_MOST);
}

static void put_remove(const struct vectors_ask *a, struct words *out) {
    words_add(out, SLICE("VREM"));
    put_set(a, out);
    words_add(out, slice_str(a->key.hex));
}

/* Element, score, element, score ... */
static unsigned read_hits(struct slice answer, struct vector_hit *out) {
    unsigned n = 0;
    struct slice key, score;
    double s;
    while (n < VECTORS_MOST && words_next(&answer, &key) && words_next(&answer, &score))
        if (vectors_key(key, &out[n].key) && vectors_number(score, 0, 1, &s)) out[n++].cosine = (float)(2 * s - 1);
    return n;
}

static enum vectors_error what_is(struct slice text) {
    return vectors_lacks_command(text) ? VECTORS_CANNOT : VECTORS_REFUSED;
}

const struct vectors_driver vectors_redis = {
    .name = "redis", .needs = "Redis 8 or newer, whose vector sets this user may use (+vadd +vsim +vrem +vrandmember "
                              "+exists); \"redisearch\" or \"milvus\" can do the same",
    .add = put_add, .search = put_search, .remove = put_remove, .read = read_hits, .error = what_is,
};
