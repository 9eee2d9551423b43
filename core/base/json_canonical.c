/* json_canonical.c -- one text for all texts of a value: what two bodies have in common that mean
 * the same, and no two that do not.
 *
 *     {"b": [1, 2],"a":"\u0041"}   ->   { "a" 1:A "b" [ 1 , 2 ] }       (in bytes, see below)
 *
 * White space and escapes do not count, nor does the order of members.  Numbers are compared as they
 * are written: 1 and 1.0 are two values here, because the model's server may think so.  The order does
 * count in an object that has a member's name twice, or escapes in one: which of two is meant is
 * decided by order, and sorting would lose that.
 *
 * A string stands behind its length, a container behind its number of elements, so that no text can
 * look like the end of another. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FEW 32 /* members that are sorted on the stack */

struct member {
    struct slice name; /* as it is written, without quotes */
    uint32_t     key;
};

static void put_value(const struct json_doc *d, uint32_t n, struct buf *out);

static void put_length(struct buf *out, size_t n) {
    uint32_t len = (uint32_t)n;
    buf_put(out, &len, sizeof(len));
}

static void put_string(const struct json_doc *d, uint32_t n, struct buf *out) {
    buf_putc(out, '"');
    if (!d->nodes[n].escaped) {
        struct slice s = json_plain(d, n);
        put_length(out, s.len);
        buf_slice(out, s);
        return;
    }
    size_t at = buf_len(out);
    put_length(out, 0);
    json_decode_string(d, n, out);
    if (buf_failed(out)) return;
    uint32_t len = (uint32_t)(buf_len(out) - at - sizeof(len));
    memcpy(out->data + out->mark + at, &len, sizeof(len));
}

static int compare(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int c = n > 0 ? memcmp(x->name.ptr, y->name.ptr, n) : 0;
    if (c != 0) return c;
    return x->name.len < y->name.len ? -1 : x->name.len > y->name.len;
}

/* Fills in the members in the order in which they are to be written, and counts them. */
static uint32_t collect(const struct json_doc *d, uint32_t object, json_skip_fn *skip, struct member *m) {
    uint32_t n = 0;
    bool plain = true;
    for (uint32_t key = json_first(d, object); key != JSON_NONE;) {
        uint32_t value = json_next(d, object, key);
        if (skip == NULL || !skip(d, key)) {
            m[n++] = (struct member){ json_plain(d, key), key };
            plain &= !d->nodes[key].escaped;
        }
        key = json_next(d, object, value);
    }
    if (!plain || n < 2) return n;
    struct member *sorted = m + d->nodes[object].count; /* the other half of the room */
    memcpy(sorted, m, n * sizeof(*m));
    qsort(sorted, n, sizeof(*sorted), compare);
    for (uint32_t i = 1; i < n; i++)
        if (compare(&sorted[i - 1], &sorted[i]) == 0) return n; /* twice: as it came */
    memcpy(m, sorted, n * sizeof(*m));
    return n;
}

static void put_object(const struct json_doc *d, uint32_t object, json_skip_fn *skip, struct buf *out) {
    struct member few[2 * FEW], *m = few;
    size_t count = d->nodes[object].count;
    if (count > FEW && (m = mem_alloc(2 * count * sizeof(*m))) == NULL) {
        buf_reserve(out, SIZE_MAX); /* which fails, and says so */
        return;
    }
    uint32_t n = collect(d, object, skip, m);
    buf_putc(out, '{');
    put_length(out, n);
    for (uint32_t i = 0; i < n; i++) {
        put_string(d, m[i].key, out);
        put_value(d, m[i].key + 1, out);
    }
    if (m != few) mem_free(m);
}

static void put_array(const struct json_doc *d, uint32_t array, struct buf *out) {
    buf_putc(out, '[');
    put_length(out, d->nodes[array].count);
    for (uint32_t e = json_first(d, array); e != JSON_NONE; e = json_next(d, array, e)) put_value(d, e, out);
}

static void put_value(const struct json_doc *d, uint32_t n, struct buf *out) {
    switch (json_type(d, n)) {
    case JSON_OBJECT: put_object(d, n, NULL, out); break;
    case JSON_ARRAY: put_array(d, n, out); break;
    case JSON_STRING: put_string(d, n, out); break;
    default: {
        struct slice raw = json_raw(d, n);
        buf_putc(out, '=');
        put_length(out, raw.len);
        buf_slice(out, raw);
    }
    }
}

void json_write_canonical(const struct json_doc *d, uint32_t n, json_skip_fn *skip, struct buf *out) {
    if (json_type(d, n) == JSON_OBJECT) put_object(d, n, skip, out);
    else put_value(d, n, out);
}
