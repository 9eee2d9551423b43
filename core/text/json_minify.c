/* json_minify.c -- JSON made smaller without changing its values.
 *
 * json_parse() says whether it is JSON; what is copied then is the text itself, not
 * values read and written again: 1.0, 1e2 and "\u00e9" stay what they are, and so do
 * members that come twice.
 *
 * Leaves are the strings that are values.  A string is a key when a colon follows it,
 * nothing else can stand there, so the nodes are walked once without their parents.
 *
 * Thread: any.  Does not: sort members, drop nulls, shorten numbers. */
#include "text/json_minify.h"

#include <string.h>

#include "include/perilune.h"

static const char *string_end(const char *p) {
    for (p++; *p != '"'; p++)
        if (*p == '\\') p++;
    return p + 1;
}

int text_json_minify(struct slice text, struct buf *out, struct json_error *err) {
    struct json_doc doc = { .nodes = NULL };
    int rc = json_parse(&doc, text, err);
    json_deinit(&doc);
    if (rc != 0) return rc;
    size_t before = out->len;
    const char *p = text.ptr, *end = p + text.len, *from = p;
    while (p < end) { /* runs without white space are copied as a whole */
        if (*p == '"') {
            p = string_end(p);
        } else if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') {
            p++;
        } else {
            buf_put(out, from, (size_t)(p - from));
            while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
            from = p;
        }
    }
    buf_put(out, from, (size_t)(p - from));
    if (!buf_failed(out)) return 0;
    out->len = before;
    return out->error;
}

static bool is_key(const struct json_doc *doc, uint32_t i) {
    const char *p = doc->text.ptr + doc->nodes[i].end, *end = doc->text.ptr + doc->text.len;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p < end && *p == ':';
}

static void put_text(const struct json_doc *doc, uint32_t i, struct buf *out) {
    if (doc->nodes[i].type != JSON_STRING) buf_slice(out, json_raw(doc, i));
    else if (doc->nodes[i].escaped) json_decode_string(doc, i, out);
    else buf_slice(out, json_plain(doc, i));
}

#define LINE_MAX_SHORT 300 /* bytes of a line to which more is added, and of a value that shares one */

/* Ends the line that began at from, if anything is on it. */
static void end_line(struct buf *out, size_t *from) {
    if (buf_len(out) > *from) buf_putc(out, '\n');
    *from = buf_len(out);
}

static void put_scalar(const struct json_doc *doc, uint32_t key, uint32_t i, struct buf *out, size_t *line) {
    size_t size = doc->nodes[i].end - doc->nodes[i].start;
    bool lines = doc->nodes[i].escaped && memmem(json_raw(doc, i).ptr, size, "\\n", 2) != NULL;
    bool alone = lines || size > LINE_MAX_SHORT;
    if (alone || buf_len(out) - *line > LINE_MAX_SHORT) end_line(out, line);
    if (buf_len(out) > *line) buf_puts(out, "; ");
    if (key != JSON_NONE) {
        put_text(doc, key, out);
        buf_puts(out, ": ");
    }
    put_text(doc, i, out);
    if (alone) end_line(out, line);
}

static void put_lines(const struct json_doc *doc, struct buf *out) {
    struct { uint32_t end, key; bool list, record; } open[JSON_MAX_DEPTH + 1];
    unsigned depth = 0;
    uint32_t key = JSON_NONE; /* of what comes next */
    size_t line = buf_len(out);
    for (uint32_t i = 0; i < doc->len; i++) {
        for (; depth > 0 && i >= open[depth - 1].end; depth--) {
            if (open[depth - 1].record) end_line(out, &line);
            key = JSON_NONE;
        }
        if (key == JSON_NONE && depth > 0) key = open[depth - 1].key;
        const struct json_node *node = &doc->nodes[i];
        if (node->type == JSON_STRING && is_key(doc, i)) {
            key = i;
        } else if (node->type == JSON_ARRAY || node->type == JSON_OBJECT) {
            bool record = depth > 0 && open[depth - 1].list;
            if (record) end_line(out, &line);
            open[depth].end = node->next;
            open[depth].key = key;
            open[depth].list = node->type == JSON_ARRAY;
            open[depth++].record = record;
        } else {
            put_scalar(doc, key, i, out, &line);
            key = JSON_NONE;
        }
    }
    end_line(out, &line);
}

int text_json_lines(struct slice text, struct buf *out, struct json_error *err) {
    struct json_doc doc = { .nodes = NULL };
    size_t before = out->len;
    int rc = json_parse(&doc, text, err);
    if (rc == 0) put_lines(&doc, out);
    json_deinit(&doc);
    if (rc != 0 || !buf_failed(out)) return rc;
    out->len = before;
    return out->error;
}

/* U+FFFD stands for what could not be decoded. */
static bool has_replacement(struct slice s) { return s.len >= 3 && memmem(s.ptr, s.len, "\xef\xbf\xbd", 3) != NULL; }

int text_json_leaves(const struct json_doc *doc, size_t min, struct buf *decoded, struct buf *leaves) {
    for (uint32_t i = 0; i < doc->len; i++) {
        const struct json_node *node = &doc->nodes[i];
        if (node->type != JSON_STRING || node->end - node->start < min + 2 || is_key(doc, i)) continue;
        size_t start = decoded->len;
        if (node->escaped) json_decode_string(doc, i, decoded);
        else buf_slice(decoded, json_plain(doc, i));
        if (buf_failed(decoded)) return PERILUNE_ERR_NOMEM;
        if (node->escaped && has_replacement(slice_of(decoded->data + start, decoded->len - start))) {
            decoded->len = start;
            continue;
        }
        struct text_leaf leaf = { i, (uint32_t)start, (uint32_t)decoded->len };
        buf_put(leaves, &leaf, sizeof(leaf));
    }
    return buf_failed(leaves) ? PERILUNE_ERR_NOMEM : 0;
}

int text_json_write(const struct json_doc *doc, const struct buf *leaves,
                    bool (*change)(void *ud, size_t i, struct buf *string), void *ud, struct buf *out) {
    const struct text_leaf *leaf = (const struct text_leaf *)(const void *)buf_get(leaves).ptr;
    size_t n = buf_len(leaves) / sizeof(*leaf), at = 0;
    struct buf string;
    buf_init(&string, 0);
    for (size_t i = 0; i < n; i++) {
        const struct json_node *node = &doc->nodes[leaf[i].node];
        buf_clear(&string);
        if (!change(ud, i, &string)) continue;
        buf_put(out, doc->text.ptr + at, node->start - at);
        json_write_string(out, buf_get(&string));
        if (buf_failed(&string)) break;
        at = node->end;
    }
    buf_put(out, doc->text.ptr + at, doc->text.len - at);
    bool failed = buf_failed(&string) || buf_failed(out);
    buf_deinit(&string);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}
