/* json.h -- a lazy JSON reader and a writer.  See json.c, json_write.c and json_canonical.c.
 *
 * json_parse() validates the whole text once (RFC 8259, UTF-8, depth, size) and
 * leaves one small node per value.  A node knows where its value stands in the
 * text, so that what nobody touched can be copied as it came.
 *
 * Nodes are in document order.  The children of an object are key, value, key,
 * value ...; of an array, its elements.  Node 0 is the root.
 *
 *     {"a":[1,"x"]}        index  type    start..end  next
 *                            0    OBJECT   0..13       5
 *                            1    STRING   1..4        2     the key "a"
 *                            2    ARRAY    5..12       5
 *                            3    NUMBER   6..7        4
 *                            4    STRING   8..11       5
 */
#ifndef PERILUNE_BASE_JSON_H
#define PERILUNE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    uint32_t start, end; /* byte offsets of the value, quotes and brackets included */
    uint32_t next;       /* index of the node after this value and all within it */
    uint32_t type : 3;
    uint32_t escaped : 1; /* STRING: holds a backslash */
    uint32_t count : 28;  /* ARRAY: elements; OBJECT: members */
};

struct json_doc {
    struct slice      text; /* borrowed: must outlive the doc */
    struct json_node *nodes;
    uint32_t          len, cap;
    uint32_t          max_nodes; /* set before json_parse() to allow more; 0: JSON_MAX_NODES */
};

struct json_error {
    const char *message; /* static: "unexpected character" ... */
    size_t      offset;  /* byte offset in the text */
};

#define JSON_MAX_DEPTH 256
#define JSON_MAX_SIZE  (1u << 30)
#define JSON_MAX_NODES (1u << 20) /* keys count, too: 16 MiB of nodes for a text of any size */
#define JSON_NONE      UINT32_MAX

/* Parses exactly one value with white space around it.  Returns 0,
 * PERILUNE_ERR_INVAL with *err filled, or PERILUNE_ERR_NOMEM.  On failure doc is
 * empty.  A doc may be parsed into again: its nodes are reused. */
int  json_parse(struct json_doc *doc, struct slice text, struct json_error *err);
void json_deinit(struct json_doc *doc);
/* s without the byte order mark that some servers put in front; JSON has none (RFC 8259 8.1). */
struct slice json_without_bom(struct slice s);

/* The value of the LAST member with this (decoded) key -- what Python and
 * JavaScript keep -- or JSON_NONE.  Key comparison is exact. */
uint32_t json_get(const struct json_doc *doc, uint32_t object, struct slice key);
/* First child of an array or object, or JSON_NONE when it is empty. */
uint32_t json_first(const struct json_doc *doc, uint32_t container);
/* The sibling after node within container, or JSON_NONE. */
uint32_t json_next(const struct json_doc *doc, uint32_t container, uint32_t node);

static inline enum json_type json_type(const struct json_doc *doc, uint32_t i) {
    return (enum json_type)doc->nodes[i].type;
}
/* Is there a value at i (JSON_NONE: there is none), and is it of this type? */
static inline bool json_is(const struct json_doc *doc, uint32_t i, enum json_type type) {
    return i != JSON_NONE && json_type(doc, i) == type;
}
/* The text of the value as it came, quotes included. */
static inline struct slice json_raw(const struct json_doc *doc, uint32_t i) {
    return slice_of(doc->text.ptr + doc->nodes[i].start, doc->nodes[i].end - doc->nodes[i].start);
}
/* STRING without escapes only: the bytes between the quotes. */
static inline struct slice json_plain(const struct json_doc *doc, uint32_t i) {
    return slice_of(doc->text.ptr + doc->nodes[i].start + 1,
                    doc->nodes[i].end - doc->nodes[i].start - 2);
}
/* Appends the decoded string (UTF-8).  A lone surrogate escape becomes U+FFFD. */
void json_decode_string(const struct json_doc *doc, uint32_t i, struct buf *out);
/* A string member of object into a fixed field, cut to fit; untouched when absent. */
void json_copy_string(const struct json_doc *doc, uint32_t object, struct slice key, char *to, size_t size);
/* Does the (decoded) string equal s? */
bool json_str_eq(const struct json_doc *doc, uint32_t i, struct slice s);
double json_number(const struct json_doc *doc, uint32_t i);
/* 0 and *out when the number is an integer in [0, 2^53]; PERILUNE_ERR_INVAL otherwise. */
int json_u64(const struct json_doc *doc, uint32_t i, uint64_t *out);
/* The same for an integer of 64 bits, to the last digit. */
int json_i64(const struct json_doc *doc, uint32_t i, int64_t *out);

/* -- Writing: plain appends to a buf (its error is sticky) ------------------ */

/* "..." with escapes; invalid UTF-8 becomes U+FFFD, so the output is valid. */
void json_write_string(struct buf *out, struct slice s);
/* Shortest decimal that reads back as v ("%.17g" at worst); integers without
 * point or exponent up to 2^53; NaN and infinities become null. */
void json_write_number(struct buf *out, double v);

/* Is this member, of which `key` is the name, to be left out? */
typedef bool json_skip_fn(const struct json_doc *doc, uint32_t key);
/* Appends bytes that are the same for all texts that mean the value i: white space, escapes and the order
 * of members do not count.  skip (may be NULL) is asked for each member of i itself. See json_canonical.c. */
void json_write_canonical(const struct json_doc *doc, uint32_t i, json_skip_fn *skip, struct buf *out);

/* -- UTF-8 ------------------------------------------------------------------ */

/* Length of the longest prefix that is valid UTF-8 (no surrogates, no overlong
 * forms, at most U+10FFFF). */
size_t utf8_valid_prefix(struct slice s);

#endif
