/* fuzz_json.c -- a text is either refused with a reason, or every value in it can
 * be read, stands where its node says, and survives being written again. */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"

const char *const fuzz_tokens[] = {
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d\\ude00", "\\ud800", "\\u0000", "\\\"",
    "null", "true", "false", "-", "0", "1e", "1e999", ".5", "-0.0", "9007199254740993", "\xe4\xbd\xa0",
    "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xc0\x80", "\xff", "\xef\xbb\xbf", " ", "\n", "[[[[[[[[",
    "]]]]]]]]", "{\"a\":", "\"aaaaaaaaaaaaaaaa\"", "\x01", "\"messages\":", NULL
};

/* What was decoded is UTF-8, equals itself, and reads back after being written. */
static void check_string(const struct json_doc *doc, uint32_t i, struct buf *value,
                         struct buf *written) {
    struct json_doc again = { .nodes = NULL };
    struct json_error err;

    buf_clear(value);
    json_decode_string(doc, i, value);
    ORACLE(utf8_valid_prefix(buf_get(value)) == buf_len(value));
    ORACLE(json_str_eq(doc, i, buf_get(value)));
    if (!doc->nodes[i].escaped) ORACLE(slice_eq(json_plain(doc, i), buf_get(value)));

    buf_clear(written);
    json_write_string(written, buf_get(value));
    ORACLE(json_parse(&again, buf_get(written), &err) == 0);
    ORACLE(json_type(&again, 0) == JSON_STRING && again.len == 1);
    ORACLE(json_str_eq(&again, 0, buf_get(value)));
    json_deinit(&again);
}

static void check_number(const struct json_doc *doc, uint32_t i, struct buf *written) {
    struct json_doc again = { .nodes = NULL };
    struct json_error err;
    uint64_t integer;
    double value = json_number(doc, i);

    if (json_u64(doc, i, &integer) == 0) ORACLE((double)integer == value);
    buf_clear(written);
    json_write_number(written, value);
    ORACLE(json_parse(&again, buf_get(written), &err) == 0);
    if (isfinite(value))
        ORACLE(json_number(&again, 0) == value);
    else
        ORACLE(json_type(&again, 0) == JSON_NULL);
    json_deinit(&again);
}

/* Children fill their container: in order, inside it, as many as it counts. */
static void check_container(const struct json_doc *doc, uint32_t i) {
    const struct json_node *node = &doc->nodes[i];
    uint32_t children = 0, at = node->start;

    for (uint32_t k = json_first(doc, i); k != JSON_NONE; k = json_next(doc, i, k)) {
        ORACLE(doc->nodes[k].start > at && doc->nodes[k].end < node->end);
        if (node->type == JSON_OBJECT && children % 2 == 0)
            ORACLE(json_type(doc, k) == JSON_STRING);
        at = doc->nodes[k].end - 1;
        children++;
    }
    ORACLE(children == node->count * (node->type == JSON_OBJECT ? 2 : 1));
}

/* The last member with the key of this one is what json_get() finds. */
static void check_get(const struct json_doc *doc, uint32_t object, struct buf *key) {
    for (uint32_t k = json_first(doc, object); k != JSON_NONE;) {
        uint32_t value = json_next(doc, object, k);
        buf_clear(key);
        json_decode_string(doc, k, key);
        uint32_t found = json_get(doc, object, buf_get(key));
        ORACLE(found != JSON_NONE && found >= value);
        ORACLE(json_str_eq(doc, found - 1, buf_get(key)));
        k = json_next(doc, object, value);
    }
}

static void check_node(const struct json_doc *doc, uint32_t i, struct buf *a, struct buf *b) {
    struct json_doc again = { .nodes = NULL };
    struct json_error err;

    ORACLE(json_parse(&again, json_raw(doc, i), &err) == 0);
    ORACLE(json_type(&again, 0) == json_type(doc, i));
    ORACLE(again.len == doc->nodes[i].next - i);
    json_deinit(&again);
    switch (json_type(doc, i)) {
    case JSON_STRING: check_string(doc, i, a, b); break;
    case JSON_NUMBER: check_number(doc, i, b); break;
    case JSON_OBJECT: check_get(doc, i, a); check_container(doc, i); break;
    case JSON_ARRAY: check_container(doc, i); break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_of((const char *)data, size);
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf a, b;

    buf_init(&a, 0);
    buf_init(&b, 0);
    size_t valid = utf8_valid_prefix(text);
    ORACLE(valid <= size);
    if (json_parse(&doc, text, &err) == 0) {
        ORACLE(valid == size);
        ORACLE(doc.len > 0 && doc.nodes[0].next == doc.len);
        for (uint32_t i = 0; i < doc.len; i++) check_node(&doc, i, &a, &b);
        ORACLE(!buf_failed(&a) && !buf_failed(&b));
    } else {
        ORACLE(err.message != NULL && err.offset <= size);
        ORACLE(doc.nodes == NULL && doc.len == 0);
        /* Any bytes can be written as a string. */
        json_write_string(&b, text);
        ORACLE(json_parse(&doc, buf_get(&b), &err) == 0);
    }
    json_deinit(&doc);
    buf_deinit(&a);
    buf_deinit(&b);
    return 0;
}
