/* sayings.h -- what an answer says, in the order in which it is said. See sayings.c. */
#ifndef PERILUNE_LLM_SAYINGS_H
#define PERILUNE_LLM_SAYINGS_H

#include "llm/dialect.h"
#include "llm/tool_calls.h"

enum saying_kind { SAYING_TEXT, SAYING_REASONING, SAYING_REFUSAL, SAYING_CALL, SAYING_END };

/* Borrowed for the call. */
struct saying {
    enum saying_kind kind;
    unsigned         choice;
    struct slice     text;     /* a piece; of a CALL all of its arguments; of an END why */
    struct slice     id, name; /* CALL */
};

/* What reading one event takes.  A thread's answers may share one. */
struct sayings_scratch {
    struct json_doc   doc;
    struct piece_list pieces;
    struct buf        text; /* of one piece */
};
void sayings_scratch_deinit(struct sayings_scratch *s); /* a zeroed one is ready */

struct sayings {
    const struct dialect  *dialect;
    struct sayings_scratch *scratch;
    struct tool_calls      mentions;
    struct saying_call    *calls;    /* by their number in `mentions`, and those that stand in no list */
    unsigned               call_count, call_cap;
    struct saying_choice  *choices;
    unsigned               choice_count, choice_cap;
    size_t                 left;     /* bytes that calls may still have */
    uint64_t               events;   /* read so far */
    int                    error;
};

typedef void (*saying_fn)(void *ud, const struct saying *s);

/* limit: bytes of all calls together.  scratch outlives s. */
void sayings_init(struct sayings *s, const struct dialect *d, size_t limit, struct sayings_scratch *scratch);
void sayings_deinit(struct sayings *s);
/* Tells what the data of an event, or a whole answer, says.  Returns 0; PERILUNE_ERR_INVAL: it is no JSON, or answers
 * of this dialect have nothing to say; PERILUNE_ERR_NOMEM or PERILUNE_ERR_LIMITED: something is missing from now on. */
int  sayings_read(struct sayings *s, struct slice data, saying_fn say, void *ud);
/* The answer is complete: what was waiting for more. */
int  sayings_finish(struct sayings *s, saying_fn say, void *ud);

#endif
