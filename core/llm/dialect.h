/* dialect.h -- what a protocol of models calls things; one table for each protocol.
 *
 * The first rows are OpenAI's (openai.c, openai_pieces.c).  Who reads along an answer
 * (map, tap, text) asks the table where its pieces are, and knows no member by name. */
#ifndef PERILUNE_LLM_DIALECT_H
#define PERILUNE_LLM_DIALECT_H

#include "base/err.h"
#include "llm/pieces.h"

struct dialect {
    const char  *name;
    struct slice end_mark; /* the data of a stream's last event; empty: there is none */
    /* The pieces of an event, or of a whole answer; l is emptied first.  NULL: its answers have none. */
    void       (*pieces)(const struct json_doc *doc, struct piece_list *l);
    /* Members that each event of an answer repeats (id, model ...), for write_piece(). */
    void       (*write_common)(struct buf *out, const struct json_doc *doc);
    /* The data of an event with nothing but text as the piece p, whose name is `name`; no line ends. */
    void       (*write_piece)(struct buf *out, struct slice common, const struct piece *p, struct slice name,
                              struct slice text);
    /* The data of the event that a stream ends with after a failure. */
    void       (*write_error)(struct buf *out, const struct failure *f);
};

extern const struct dialect openai_chat, openai_embeddings;

#endif
