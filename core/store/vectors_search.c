/* vectors_search.c -- an index in RediSearch: the module, Redis Stack, or Redis 8 with its query engine.
 *
 *     PREFIXh:DIMS:KEY    a hash for the entry PREFIXe:KEY: p, its part; v, its vector.  It ends when the entry does
 *     PREFIXvDIMS         the index over those of one length: FT.CREATE before the first is added
 *
 * A search is for the nearest among those with the part's tag.  RediSearch tells 1 - cosine. */
#include "store/vectors.h"
#include "store/vectors_lib.h"

#define HEX (sizeof(((struct far_key *)0)->hex) - 1)

static const char ADD[] =
    "redis.call('HSET', KEYS[1], 'p', ARGV[1], 'v', ARGV[2]) redis.call('PEXPIRE', KEYS[1], ARGV[3]) return 1";

static void put_index(const struct vectors_ask *a, struct words *out) {
    buf_printf(&out->text, "%sv%u", a->prefix, a->dims);
    words_end(out);
}

static void put_hash(const struct vectors_ask *a, const char *key, struct words *out) {
    buf_printf(&out->text, "%sh:%u:%s", a->prefix, a->dims, key);
    words_end(out);
}

static void put_all(struct words *out, const char *const *list) {
    for (; *list != NULL; list++) words_add(out, slice_str(*list));
}

static void put_make(const struct vectors_ask *a, struct words *out) {
    static const char *const where[] = { "ON", "HASH", "PREFIX", "1", NULL };
    static const char *const fields[] = { "SCHEMA", "p", "TAG", "v", "VECTOR", "HNSW", "6", "TYPE", "FLOAT32",
                                          "DISTANCE_METRIC", "COSINE", "DIM", NULL };
    words_add(out, SLICE("FT.CREATE"));
    put_index(a, out);
    put_all(out, where);
    put_hash(a, "", out);
    put_all(out, fields);
    words_number(out, a->dims);
}

static void put_add(const struct vectors_ask *a, struct words *out) {
    words_add(out, SLICE("EVAL"));
    words_add(out, slice_of(ADD, sizeof(ADD) - 1));
    words_add(out, SLICE("1"));
    put_hash(a, a->key.hex, out);
    words_add(out, slice_str(a->part.hex));
    words_floats(out, a->vector);
    words_number(out, a->ttl_ms);
}

static void put_search(const struct vectors_ask *a, struct words *out) {
    static const char *const given[] = { "PARAMS", "2", "q", NULL };
    static const char *const wanted[] = { "RETURN", "1", "s", "SORTBY", "s", "LIMIT", "0", NULL };
    words_add(out, SLICE("FT.SEARCH"));
    put_index(a, out);
    buf_printf(&out->text, "(@p:{%s})=>[KNN %d @v $q AS s]", a->part.hex, VECTORS_MOST);
    words_end(out);
    put_all(out, given);
    words_floats(out, a->vector);
    put_all(out, wanted);
    words_number(out, VECTORS_MOST);
    words_add(out, SLICE("DIALECT"));
    words_add(out, SLICE("2"));
}

static void put_remove(const struct vectors_ask *a, struct words *out) {
    words_add(out, SLICE("UNLINK"));
    put_hash(a, a->key.hex, out);
}

/* How many, and of each: its name, "s", the distance. */
static unsigned read_hits(struct slice answer, struct vector_hit *out) {
    unsigned n = 0;
    struct slice name, field, distance;
    double d;
    if (!words_next(&answer, &name)) return 0;
    while (n < VECTORS_MOST && words_next(&answer, &name) && words_next(&answer, &field) &&
           words_next(&answer, &distance)) {
        struct slice key = name.len < HEX ? name : slice_of(name.ptr + name.len - HEX, HEX);
        if (vectors_key(key, &out[n].key) && vectors_number(distance, 0, 2, &d)) out[n++].cosine = (float)(1 - d);
    }
    return n;
}

static enum vectors_error what_is(struct slice text) {
    if (vectors_says(text, "already exists")) return VECTORS_FINE;
    if (vectors_says(text, "o such index") || vectors_says(text, "nknown Index name") ||
        vectors_says(text, "nknown index name") || vectors_says(text, "ndex not found"))
        return VECTORS_NOT_MADE;
    return vectors_lacks_command(text) ? VECTORS_CANNOT : VECTORS_REFUSED;
}

const struct vectors_driver vectors_search = {
    .name = "redisearch", .needs = "RediSearch 2.4 or newer, whose commands this user may use (+ft.create +ft.search "
                                   "+hset); \"redis\" or \"milvus\" can do the same",
    .make = put_make, .add = put_add, .search = put_search, .remove = put_remove, .read = read_hits,
    .error = what_is,
};
