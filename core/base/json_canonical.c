/* json_canonical.c -- one text for all texts of a value: what two bodies have in common that mean
 * the same, and no two that do not.
 *
 *     {"b": [1, 2],"a":"\u0041"}   ->   { "a" 1:A "b" [ 1 , 2 ] }       (in bytes, see below)
 *
 * White space and escapes do not count, nor does the order of members.  Numbers are compared as they
 * are written: 1 and 1.0 are two values here, because the model's server may think so.  The order does
 * count in an object that has a member's name twice, or escapes in one: which of two is meant is
 * decided by order, and sorting would lose that.  And it counts inside of a schema (ordered_names): models write
 * what it describes in its order, and people choose that so that the reasoning comes before the answer.
 *
 * A string stands behind its length, a container behind its number of elements, so that no text can
 * look like the end of another. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FEW  32 /* members that are sorted on the stack, and by hand: most objects have two */
#define HEAD 5  /* bytes of a kind and a length */

struct member {
    struct slice name; /* as it is written, without quotes */
    uint32_t     key;
};

static void put_value(const struct json_doc *d, uint32_t n, bool ordered, struct buf *out);

/* In which the order of members counts: schemas of answers, and of what tools are given. */
static bool is_schema(const struct json_doc *d, uint32_t key) {
    static const struct slice ordered_names[] = { SLICE("json_schema"), SLICE("schema"), SLICE("parameters"),
                                                  SLICE("input_schema"), SLICE("guided_json"),
                                                  SLICE("structured_outputs") };
    for (size_t i = 0; i < sizeof(ordered_names) / sizeof(*ordered_names); i++)
        if (json_str_eq(d, key, ordered_names[i])) return true;
    return false;
}

/* What kind of value, and how long: in front of each. */
static char *write_head(char *p, char kind, size_t n) {
    uint32_t len = (uint32_t)n;
    *p = kind;
    memcpy(p + 1, &len, sizeof(len));
    return p + HEAD;
}

static void put_head(struct buf *out, char kind, size_t n) {
    char head[HEAD];
    write_head(head, kind, n);
    buf_put(out, head, HEAD);
}

static void put_text(struct buf *out, char kind, struct slice s) {
    char *p = buf_reserve(out, HEAD + s.len); /* both at once: there are many, and most are short */
    if (p == NULL) return;
    memcpy(write_head(p, kind, s.len), s.ptr, s.len);
    buf_advance(out, HEAD + s.len);
}

static void put_string(const struct json_doc *d, uint32_t n, struct buf *out) {
    if (!d->nodes[n].escaped) {
        put_text(out, '"', json_plain(d, n));
        return;
    }
    size_t at = buf_len(out);
    put_head(out, '"', 0);
    json_decode_string(d, n, out);
    if (buf_failed(out)) return;
    struct slice text = slice_of(out->data + out->mark + at + HEAD, buf_len(out) - at - HEAD);
    write_head(out->data + out->mark + at, '"', text.len);
    if (memmem(text.ptr, text.len, "\xEF\xBF\xBD", 3) == NULL) return;
    out->len = out->mark + at; /* half of a character may have become U+FFFD, as any other would: as it is written */
    put_text(out, '\'', json_plain(d, n));
}

/* Any order will do that does not depend on where a name stands: lengths tell most names apart. */
static int compare(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    if (x->name.len != y->name.len) return x->name.len < y->name.len ? -1 : 1;
    return x->name.len > 0 ? memcmp(x->name.ptr, y->name.ptr, x->name.len) : 0;
}

static void sort(struct member *m, uint32_t n) {
    if (n > FEW) {
        qsort(m, n, sizeof(*m), compare);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        struct member moved = m[i];
        uint32_t to = i;
        for (; to > 0 && compare(&m[to - 1], &moved) > 0; to--) m[to] = m[to - 1];
        m[to] = moved;
    }
}

/* The members in the order of the text, and how many.  *plain: no name holds an escape. */
static uint32_t collect(const struct json_doc *d, uint32_t object, json_skip_fn *skip, struct member *m, bool *plain) {
    uint32_t n = 0, left = d->nodes[object].count;
    *plain = true;
    for (uint32_t key = object + 1; left > 0; left--) { /* a name's node is in front of its value's */
        if (skip == NULL || !skip(d, key)) {
            m[n++] = (struct member){ json_plain(d, key), key };
            *plain &= !d->nodes[key].escaped;
        }
        key = d->nodes[key + 1].next;
    }
    return n;
}

/* The members in the order in which they are to be written, and how many. */
static uint32_t arrange(const struct json_doc *d, uint32_t object, bool ordered, json_skip_fn *skip, struct member *m) {
    bool plain;
    uint32_t n = collect(d, object, skip, m, &plain);
    if (ordered || !plain || n < 2) return n;
    sort(m, n);
    for (uint32_t i = 1; i < n; i++)
        if (compare(&m[i - 1], &m[i]) == 0) return collect(d, object, skip, m, &plain); /* twice: as it came */
    return n;
}

static void put_object(const struct json_doc *d, uint32_t object, bool ordered, json_skip_fn *skip, struct buf *out) {
    struct member few[FEW], *m = few;
    size_t count = d->nodes[object].count;
    if (count > FEW && (m = mem_alloc(count * sizeof(*m))) == NULL) {
        buf_reserve(out, SIZE_MAX); /* which fails, and says so */
        return;
    }
    uint32_t n = arrange(d, object, ordered, skip, m);
    put_head(out, '{', n);
    for (uint32_t i = 0; i < n; i++) {
        put_string(d, m[i].key, out);
        put_value(d, m[i].key + 1, ordered || is_schema(d, m[i].key), out);
    }
    if (m != few) mem_free(m);
}

static void put_array(const struct json_doc *d, uint32_t array, bool ordered, struct buf *out) {
    put_head(out, '[', d->nodes[array].count);
    for (uint32_t e = json_first(d, array); e != JSON_NONE; e = json_next(d, array, e)) put_value(d, e, ordered, out);
}

static void put_value(const struct json_doc *d, uint32_t n, bool ordered, struct buf *out) {
    switch (json_type(d, n)) {
    case JSON_OBJECT: put_object(d, n, ordered, NULL, out); break;
    case JSON_ARRAY: put_array(d, n, ordered, out); break;
    case JSON_STRING: put_string(d, n, out); break;
    default: put_text(out, '=', json_raw(d, n));
    }
}

void json_write_canonical(const struct json_doc *d, uint32_t n, json_skip_fn *skip, struct buf *out) {
    buf_reserve(out, json_raw(d, n).len); /* so that it seldom moves on its way */
    if (json_type(d, n) == JSON_OBJECT) put_object(d, n, false, skip, out);
    else put_value(d, n, false, out);
}
