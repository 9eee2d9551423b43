/* vectors_milvus.c -- an index in Milvus, by its REST interface (v2).
 *
 *     COLLECTION_DIMS    a collection for vectors of one length, made before the first is added: id, the key of an
 *                        entry (PREFIXe:KEY, in the second tier); part, the partition key; expires, when the entry
 *                        ends, in milliseconds since 1970; vector
 *
 * Words are a path and a body (request/post.c sends them).  A search is for the nearest among those with the part
 * that have not expired by our clock: when that is wrong, a vector is found that leads to nothing, or one is not
 * found.  Now and then all that has expired is deleted.
 *
 * Milvus says what is wrong as it says all: with status 200, and a code that is not 0.  With the metric COSINE its
 * distance is the cosine.  What is added is found a moment later: searches are as fresh as the collection's level of
 * consistency says. */
#include <string.h>

#include "base/json.h"
#include "store/vectors.h"
#include "store/vectors_lib.h"

/* The path, and how each body begins. */
static void begin(const struct vectors_ask *a, const char *path, struct words *out) {
    buf_puts(&out->text, "/v2/vectordb/");
    words_add(out, slice_str(path));
    buf_puts(&out->text, "{\"dbName\":");
    json_write_string(&out->text, slice_str(a->database != NULL ? a->database : "default"));
    buf_printf(&out->text, ",\"collectionName\":\"%s_%u\"", a->prefix, a->dims);
}

static void end(struct words *out) {
    buf_putc(&out->text, '}');
    words_end(out);
}

static void put_vector(struct slice vector, struct buf *out) {
    for (size_t i = 0; i < vector.len; i++) buf_printf(out, "%c%d", i == 0 ? '[' : ',', (signed char)vector.ptr[i]);
    buf_putc(out, ']');
}

static void put_make(const struct vectors_ask *a, struct words *out) {
    begin(a, "collections/create", out);
    buf_printf(&out->text, ",\"schema\":{\"autoId\":false,\"enableDynamicField\":false,\"fields\":["
               "{\"fieldName\":\"id\",\"dataType\":\"VarChar\",\"isPrimary\":true,"
               "\"elementTypeParams\":{\"max_length\":\"64\"}},"
               "{\"fieldName\":\"part\",\"dataType\":\"VarChar\",\"isPartitionKey\":true,"
               "\"elementTypeParams\":{\"max_length\":\"64\"}},"
               "{\"fieldName\":\"expires\",\"dataType\":\"Int64\"},"
               "{\"fieldName\":\"vector\",\"dataType\":\"FloatVector\",\"elementTypeParams\":{\"dim\":\"%u\"}}]},"
               "\"indexParams\":[{\"fieldName\":\"vector\",\"indexName\":\"vector\",\"metricType\":\"COSINE\","
               "\"indexType\":\"AUTOINDEX\"}]", a->dims);
    end(out);
}

static void put_add(const struct vectors_ask *a, struct words *out) {
    begin(a, "entities/upsert", out);
    buf_printf(&out->text, ",\"data\":[{\"id\":\"%s\",\"part\":\"%s\",\"expires\":%llu,\"vector\":", a->key.hex,
               a->part.hex, (unsigned long long)(a->time_ms + a->ttl_ms));
    put_vector(a->vector, &out->text);
    buf_puts(&out->text, "}]");
    end(out);
}

static void put_search(const struct vectors_ask *a, struct words *out) {
    begin(a, "entities/search", out);
    buf_puts(&out->text, ",\"annsField\":\"vector\",\"data\":[");
    put_vector(a->vector, &out->text);
    buf_printf(&out->text, "],\"filter\":\"part == \\\"%s\\\" and expires > %llu\",\"limit\":%d,"
               "\"outputFields\":[\"id\"]", a->part.hex, (unsigned long long)a->time_ms, VECTORS_MOST);
    end(out);
}

static void put_remove(const struct vectors_ask *a, struct words *out) {
    begin(a, "entities/delete", out);
    buf_printf(&out->text, ",\"filter\":\"id == \\\"%s\\\"\"", a->key.hex);
    end(out);
}

static void put_clean(const struct vectors_ask *a, struct words *out) {
    begin(a, "entities/delete", out);
    buf_printf(&out->text, ",\"filter\":\"expires < %llu\"", (unsigned long long)a->time_ms);
    end(out);
}

/* {"code":0,"data":[{"id":KEY,"distance":COSINE},...]} */
static unsigned read_hits(struct slice answer, struct vector_hit *out) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf text;
    unsigned n = 0;
    buf_init(&text, 0);
    uint32_t data = json_parse(&doc, answer, &err) == 0 ? json_get(&doc, 0, SLICE("data")) : JSON_NONE;
    uint32_t one = json_is(&doc, data, JSON_ARRAY) ? json_first(&doc, data) : JSON_NONE;
    for (; n < VECTORS_MOST && one != JSON_NONE; one = json_next(&doc, data, one)) {
        if (!json_is(&doc, one, JSON_OBJECT)) continue;
        uint32_t id = json_get(&doc, one, SLICE("id")), distance = json_get(&doc, one, SLICE("distance"));
        if (!json_is(&doc, id, JSON_STRING) || !json_is(&doc, distance, JSON_NUMBER)) continue;
        double d = json_number(&doc, distance);
        buf_clear(&text);
        json_decode_string(&doc, id, &text);
        if (!vectors_key(buf_get(&text), &out[n].key) || !(d >= -1.001 && d <= 1.001)) continue;
        out[n++].cosine = (float)d;
    }
    buf_deinit(&text);
    json_deinit(&doc);
    return n;
}

/* The whole of it, unless its code is 0. */
static struct slice fault_of(struct slice answer) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    bool good = json_parse(&doc, answer, &err) == 0 && json_is(&doc, 0, JSON_OBJECT);
    uint32_t code = good ? json_get(&doc, 0, SLICE("code")) : JSON_NONE;
    good = json_is(&doc, code, JSON_NUMBER) && json_number(&doc, code) == 0;
    json_deinit(&doc);
    if (good) return SLICE("");
    return answer.len > 0 ? answer : SLICE("an empty answer");
}

static enum vectors_error what_is(struct slice text) {
    if (vectors_says(text, "duplicate collection") || vectors_says(text, "already exist")) return VECTORS_FINE;
    if (vectors_says(text, "can't find collection") || vectors_says(text, "collection not found"))
        return VECTORS_NOT_MADE;
    return VECTORS_REFUSED; /* no connection lasts as long as it cannot: it is asked again */
}

const struct vectors_driver vectors_milvus = {
    .name = "milvus", .needs = "Milvus 2.4 or newer", .make = put_make, .add = put_add, .search = put_search,
    .remove = put_remove, .clean = put_clean, .read = read_hits, .error = what_is, .fault = fault_of,
};
