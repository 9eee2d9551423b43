/* assemble.h -- the chunks of a stream, put together to the answer that they are pieces of.
 * See assemble.c. */
#ifndef PERILUNE_LLM_ASSEMBLE_H
#define PERILUNE_LLM_ASSEMBLE_H

#include "llm/merge.h"

struct assemble {
    struct merged           head;     /* members beside the choices */
    struct buf              usage;    /* JSON */
    struct assemble_choice *choices;  /* by index */
    unsigned                count;
    size_t                  left;     /* bytes that may come, and items that may be made of them */
};

/* What PERILUNE_ERR_UPSTREAM means. */
#define ASSEMBLE_NO_CHOICE "the upstream failed: it named a choice that there cannot be (index)"

void assemble_init(struct assemble *a, size_t limit);
void assemble_deinit(struct assemble *a);
/* Adds what a parsed chunk brings.  Returns 0, PERILUNE_ERR_NOMEM, PERILUNE_ERR_LIMITED, or PERILUNE_ERR_UPSTREAM: an
 * index that no choice can have. */
int  assemble_add(struct assemble *a, const struct json_doc *chunk);
/* Appends the chat.completion.  False, with nothing written: no choice ever came. */
bool assemble_write(const struct assemble *a, struct buf *out);

#endif
