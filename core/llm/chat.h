/* chat.h -- what a request for a chat completion or an embedding says, and the
 * few edits a gateway makes to it. See chat.c. */
#ifndef PERILUNE_LLM_CHAT_H
#define PERILUNE_LLM_CHAT_H

#include "base/err.h"
#include "base/json.h"
#include "base/rope.h"

struct chat {
    uint32_t model, messages; /* nodes, or JSON_NONE */
    bool     stream;
    bool     wants_usage;     /* stream_options.include_usage */
};

/* Understands the parsed body.  Returns 0, or PERILUNE_ERR_INVAL with *f naming
 * the field and the byte offset. */
int chat_read_completion(const struct json_doc *doc, struct chat *out, struct failure *f);
int chat_read_embedding(const struct json_doc *doc, struct chat *out, struct failure *f);

#define CHAT_NAME_MAX    512 /* bytes of the name of a model, and of a member that a policy makes */
#define CHAT_CHOICES_MAX 128 /* OpenAI's most */
/* How many choices the request asks for (n). */
unsigned chat_choices(const struct json_doc *doc);

/* The content of the last message, when it is a user's and nothing but text: a string, or a list of parts
 * that are texts.  JSON_NONE otherwise. */
uint32_t chat_last_question(const struct json_doc *doc, const struct chat *c);
/* Appends the text of such a content; parts stand behind each other, a line each. */
void chat_content_text(const struct json_doc *doc, uint32_t content, struct buf *out);

/* json_parse() with the failure a client gets. */
int chat_parse(struct json_doc *doc, struct slice body, struct failure *f);

/* What was written to ask for usage: putting `was` in place of these bytes takes it back. */
struct chat_asked {
    size_t      at, len;
    const char *was;
};

/* Makes out, which is of doc's text, that text with at most these edits, everything else byte for byte: every
 * top-level `model` becomes model (when model.ptr is not NULL), and
 * stream_options.include_usage becomes true (when usage is set).  *asked says where the
 * latter was written; len is 0 when the client had asked itself. */
void chat_edit(const struct json_doc *doc, struct slice model, bool usage, struct rope *out,
               struct chat_asked *asked);
/* Would chat_edit() change anything? */
bool chat_needs_edit(const struct json_doc *doc, struct slice model, bool usage);

/* Rough number of tokens of a text: bytes over 4, CJK characters one each.  tokens.h
 * counts. */
uint64_t text_estimate_tokens(struct slice text);

#endif
