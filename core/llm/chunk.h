/* chunk.h -- what one event of a stream of OpenAI's chat says. See chunk.c. */
#ifndef PERILUNE_LLM_CHUNK_H
#define PERILUNE_LLM_CHUNK_H

#include "base/json.h"
#include "flow/flow.h"

enum { /* what chunk_look() found in the text: worth being parsed for */
    CHUNK_USAGE = 1,
    CHUNK_ERROR = 2,
    CHUNK_FINISH = 4, /* a finish_reason that is one */
    CHUNK_INDEX = 8   /* an index other than 0 */
};
/* Looks through the bytes once; parses nothing. */
unsigned chunk_look(struct slice data);
/* Is this an event without choices? */
bool chunk_lacks_choices(struct slice data);

/* Which choices came, which of them ended, and which said anything. */
struct chunk_choices {
    uint64_t seen[2], ended[2], said[2]; /* bits */
    unsigned asked;             /* the request's n */
};
void chunk_count(struct chunk_choices *c, const struct json_doc *doc);
/* Have all ended that were asked for or came? */
bool chunk_is_complete(const struct chunk_choices *c);
/* Has one of them ended without a word, a call, a refusal, a thought? */
bool chunk_is_empty(const struct chunk_choices *c);

#define CHUNK_TOKENS 100000000 /* of a prompt or an answer: no upstream has so many */

/* From a parsed answer or chunk; false, and *out as it was, when it says nothing of usage.  What makes no sense (a
 * text, a negative number, a fraction, more than CHUNK_TOKENS, nothing used) is `senseless`, and not known. */
bool chunk_usage(const struct json_doc *doc, struct usage *out);
/* Tokens of what an answer or a chunk says, estimated: of each choice its text, thoughts, calls. */
uint64_t chunk_estimate(const struct json_doc *doc);
/* Is this chunk there for its usage only? */
bool chunk_has_no_choices(const struct json_doc *doc);
/* Appends the chunk's JSON without its usage, every other byte as it came. */
void chunk_without_usage(const struct json_doc *doc, struct buf *out);

#endif
