/* gbnf.h -- a grammar for what a model may say, from a JSON schema.  See gbnf.c. */
#ifndef PERILUNE_LOCAL_GBNF_H
#define PERILUNE_LOCAL_GBNF_H

#include "base/buf.h"
#include "base/json.h"

#define GBNF_MAX_RULES 4096
#define GBNF_MAX_TEXT  (1u << 20) /* bytes of a grammar */
#define GBNF_MAX_STEPS (8u << 20) /* nodes of JSON looked at: tens of milliseconds.  1,000 properties take 110,000 */

struct gbnf_error {
    unsigned root;     /* which of the schemas */
    char keyword[40];  /* of the schema, that cannot become a grammar: "multipleOf" */
    char path[200];    /* JSON pointer to the schema it stands in: "/properties/price"; "" is the root */
    char message[200]; /* why, and what instead */
};

/* Appends a grammar in the notation of llama.cpp whose root accepts JSON that is valid under the schema at node.
 * Returns 0; PERILUNE_ERR_INVAL or PERILUNE_ERR_LIMITED with *err filled; PERILUNE_ERR_NOMEM.  On failure out is as
 * it was.  Thread: any. */
int gbnf_from_schema(const struct json_doc *doc, uint32_t node, struct buf *out, struct gbnf_error *err);
/* The same for several schemas, for a grammar in which values stand between other things: rules "v0", "v1" ... and no
 * root.  A node of JSON_NONE is the schema of an object without members.  Of the first `objects` only those values are
 * accepted that are objects: arguments of functions; a schema that has none is refused. */
int gbnf_from_schemas(const struct json_doc *doc, const uint32_t *nodes, unsigned count, unsigned objects,
                      struct buf *out, struct gbnf_error *err);
/* Appends "text" as a terminal. */
void gbnf_put_literal(struct buf *out, struct slice text);
/* The grammar of response_format json_object: any object. */
int gbnf_json_object(struct buf *out);

#endif
