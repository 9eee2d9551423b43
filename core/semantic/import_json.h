/* import_json.h -- short names in documents of others. */
#ifndef PERILUNE_SEMANTIC_IMPORT_JSON_H
#define PERILUNE_SEMANTIC_IMPORT_JSON_H

#include "base/json.h"

/* A string member of object into a fixed field, cut to fit, escapes as they stand; untouched when absent.  Needs
 * no memory, so that a name never looks like another one for want of it. */
static inline void import_json_name(const struct json_doc *doc, uint32_t object, struct slice key, char *to,
                                    size_t size) {
    uint32_t i = json_get(doc, object, key);
    if (json_is(doc, i, JSON_STRING)) slice_copy(to, size, json_plain(doc, i));
}

#endif
