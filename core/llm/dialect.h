/* dialect.h -- what a protocol of models calls things; one table for each protocol.
 *
 * The first rows are OpenAI's (openai.c, openai_pieces.c).  Who reads along an answer
 * (map, tap, text) asks the table where its pieces are, and knows no member by name. */
#ifndef PERILUNE_LLM_DIALECT_H
#define PERILUNE_LLM_DIALECT_H

#include "base/err.h"
#include "llm/pieces.h"

struct answer_options;
struct composing;
struct chat;
struct chat_asked;
struct rope;
struct source;
struct usage;
struct chunk_choices;

/* What an event, or a whole answer, is besides text. */
enum {
    TRAIT_TOOLS = 1,    /* it calls a tool */
    TRAIT_SPOILED = 2,  /* it was filtered or given up, or says an error */
    TRAIT_USAGE = 4     /* it has a member for usage */
};

/* What an event says of a call of a tool.  Nodes; JSON_NONE, or no string: it does not say that. */
struct dialect_call {
    unsigned choice, index;
    unsigned place, among; /* where in its list of how many */
    uint32_t call;         /* all of it; JSON_NONE: it stands in no list, and the choice has but one */
    uint32_t id, name, arguments;
};

struct dialect {
    const char  *name;
    struct slice path;     /* of its requests, the end of it: providers put versions and deployments in front */
    struct slice end_mark; /* the data of a stream's last event; empty: there is none */

    /* Requests.  Understands the parsed body.  Returns 0, or PERILUNE_ERR_INVAL with *f naming the
     * field and the byte offset. */
    int          (*parse)(const struct json_doc *doc, struct chat *out, struct failure *f);
    /* Would edit() change anything? */
    bool         (*needs_edit)(const struct json_doc *doc, struct slice model, bool usage);
    /* Makes out, which is of the body's text, the body with another model (ptr NULL: its own) and, when usage
     * is set, asking for usage; all else byte for byte.  *asked: where that question stands, to be left out later. */
    void         (*edit)(const struct json_doc *doc, struct slice model, bool usage, struct rope *out,
                         struct chat_asked *asked);
    /* The last thing that a user says, when that is text and nothing else: its node, whose text chat_content_text()
     * gives; JSON_NONE: there is no such thing.  NULL: its requests have no turns. */
    uint32_t     (*last_question)(const struct json_doc *doc, const struct chat *c);
    /* How many choices are asked for; 0: not known. */
    unsigned     (*choices)(const struct json_doc *doc);

    /* Answers.  Wraps an upstream's source: usage, errors inside, the end of each choice. */
    struct source *(*reader)(struct source *from, const struct answer_options *opt);
    /* The pieces of an event, or of a whole answer; l is emptied first.  NULL: its answers have none. */
    void         (*pieces)(const struct json_doc *doc, struct piece_list *l);
    /* Calls `each`, which may jump away, with every call of a tool that the event mentions, in order. */
    void         (*calls)(const struct json_doc *doc, void (*each)(void *ud, const struct dialect_call *c), void *ud);
    /* Members that each event of an answer repeats (id, model ...), for write_piece(). */
    void         (*write_common)(struct buf *out, const struct json_doc *doc);
    /* The data of an event with nothing but text as the piece p, whose name is `name`; no line ends. */
    void         (*write_piece)(struct buf *out, struct slice common, const struct piece *p, struct slice name,
                                struct slice text);
    /* The data of an event that says nothing but usage; no line ends.  `said`: the upstream's own object, or empty.
     * NULL: there are no such events. */
    void         (*write_usage)(struct buf *out, struct slice common, const struct usage *u, struct slice said);
    /* The object of usage in what write_usage() wrote. */
    struct slice (*usage_said)(struct slice data);
    /* What an event, or a whole answer, is besides text: TRAIT_ bits; c: which choices came and ended. */
    unsigned     (*traits)(const struct json_doc *doc, struct chunk_choices *c);
    /* The events of a whole answer, for a stream that has begun, but for the end mark.  False, with
     * nothing written: doc is no whole answer. */
    bool         (*write_whole)(struct buf *out, const struct json_doc *doc, bool keep_usage);
    /* How answers are made of others.  NULL: they are not. */
    const struct composing *composing;
    /* The data of an error: in a stream the last event, else the body. */
    void         (*write_error)(struct buf *out, const struct failure *f);
};

/* Whose requests have this path; NULL: nobody's that we know. */
const struct dialect *dialect_find(struct slice path);

/* Is this the data of a stream's last event?  White space around the mark does not count. */
bool dialect_is_end(const struct dialect *d, struct slice data);

/* An event of a stream with this data. */
void dialect_write_event(struct buf *out, struct slice data);

extern const struct dialect openai_chat, openai_embeddings;

#endif
