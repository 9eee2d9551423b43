/* tool_text.h -- tool definitions as models read them. See tool_text.c. */
#ifndef PERILUNE_TOKENS_TOOL_TEXT_H
#define PERILUNE_TOKENS_TOOL_TEXT_H

#include "base/json.h"

/* Appends the functions of an array, of `tools` ({"type":"function","function":{...}}) or
 * `functions`, as a namespace of TypeScript.  Returns how many there were.
 * Give out a limit: on it the work stops. */
unsigned tools_as_typescript(const struct json_doc *doc, uint32_t list, struct buf *out);

/* Appends a value with ", " and ": " between its parts, as Python writes JSON. */
void json_spaced(const struct json_doc *doc, uint32_t node, struct buf *out);

#endif
