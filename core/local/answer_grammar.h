/* answer_grammar.h -- a grammar for all that an answer may be.  See answer_grammar.c. */
#ifndef PERILUNE_LOCAL_ANSWER_GRAMMAR_H
#define PERILUNE_LOCAL_ANSWER_GRAMMAR_H

#include "local/call_reader.h"
#include "local/gbnf.h"
#include "local/think_reader.h"

#define ANSWER_TOOLS 128 /* OpenAI's most */

struct answer_tool {
    struct slice name;       /* letters that need no escape in JSON */
    uint32_t     parameters; /* a schema, or JSON_NONE */
    unsigned     place;      /* among the tools of the request, for who says what is wrong with it */
};

enum answer_thinks { ANSWER_THINKS_NOT, ANSWER_MAY_THINK, ANSWER_IS_THINKING /* it begins inside */ };

struct answer_shape {
    const struct json_doc    *doc;
    uint32_t                  schema; /* what its text is; JSON_NONE: not said */
    bool                      object; /* its text is any JSON object */
    const struct answer_tool *tools;  /* it may be calls of these */
    unsigned                  tool_count; /* ANSWER_TOOLS at most */
    bool                      one_call, calls_only;
    struct call_shape         calls;
    struct think_marks        marks;
    enum answer_thinks        thinks;
};

/* Is a value under this schema a string in any case?  Some forms of calls write those without quotes. */
bool answer_is_string(const struct json_doc *doc, uint32_t schema);

/* Appends the grammar.  Returns 0; PERILUNE_ERR_INVAL or _LIMITED with *err filled, err->root is the place among the
 * tools, or tool_count for `schema`; PERILUNE_ERR_NOMEM.  On failure out is as it was.  Thread: any. */
int answer_grammar(const struct answer_shape *s, struct buf *out, struct gbnf_error *err);

#endif
