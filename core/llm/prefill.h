/* prefill.h -- a request for the rest of an answer, and that rest as part of it. See prefill.c. */
#ifndef PERILUNE_LLM_PREFILL_H
#define PERILUNE_LLM_PREFILL_H

#include "llm/chat.h"

/* How an upstream is told that the last message is the beginning of its answer. */
enum prefill {
    PREFILL_NONE,      /* it cannot be */
    PREFILL_ASSISTANT, /* by its role alone (Anthropic's models, most servers in front of them) */
    PREFILL_PREFIX,    /* by "prefix": true in the message (DeepSeek, Mistral) */
    PREFILL_CONTINUE   /* by members of the request (vLLM, SGLang) */
};

/* As configurations name it: "assistant", "prefix", "continue_final_message"; NULL: NONE. */
enum prefill prefill_named(const char *name);

/* Can the answer to this request be gone on with?  One choice, no tools, no probabilities of tokens, and it is not
 * the rest of an answer itself. */
bool prefill_suits(const struct json_doc *doc, const struct chat *c);
/* Appends the request for what comes behind `said`. */
void prefill_write(const struct json_doc *doc, const struct chat *c, enum prefill how, struct slice said,
                   struct buf *out);

/* Appends the data of an event of the rest as one of the answer that it belongs to: `common` are the members that all
 * events of that repeat (dialect.write_common), and who speaks was said. */
void prefill_write_rest(const struct json_doc *doc, struct slice common, struct buf *out);

#endif
