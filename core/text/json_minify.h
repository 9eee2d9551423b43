/* json_minify.h -- JSON made smaller without changing its values. See json_minify.c. */
#ifndef PERILUNE_TEXT_JSON_MINIFY_H
#define PERILUNE_TEXT_JSON_MINIFY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"

/* Appends one JSON value without the white space between its parts.  Numbers, escapes,
 * order and duplicate keys stay byte for byte.  Returns 0; PERILUNE_ERR_INVAL: not JSON,
 * *err says what and at which byte; PERILUNE_ERR_NOMEM.  On failure out is as long as it was. */
int text_json_minify(struct slice text, struct buf *out, struct json_error *err);

/* Appends the scalars as lines of "key: value; key: value", in order: strings decoded, all
 * else as it stands there; in arrays the key is that of the array.  What is in one element of
 * an array shares a line, so that a price stays beside its name, unless it is long.  Returns as
 * text_json_minify(). */
int text_json_lines(struct slice text, struct buf *out, struct json_error *err);

/* A string value, decoded. */
struct text_leaf {
    uint32_t node;       /* of the doc */
    uint32_t start, end; /* of `decoded` */
};

/* Appends a struct text_leaf for every string of at least min bytes (as it stands in the
 * text) that is a value, no key, and its decoded bytes to decoded.  Strings with an escape
 * that is half a surrogate pair are left out: they cannot be written again.  Returns 0 or
 * PERILUNE_ERR_NOMEM. */
int text_json_leaves(const struct json_doc *doc, size_t min, struct buf *decoded, struct buf *leaves);

/* Appends the text of the doc.  change(ud, i, string) may append another text for leaf i
 * and return true; all else stays byte for byte.  Returns 0 or PERILUNE_ERR_NOMEM (out is
 * then of no use). */
int text_json_write(const struct json_doc *doc, const struct buf *leaves,
                    bool (*change)(void *ud, size_t i, struct buf *string), void *ud, struct buf *out);

#endif
