/* tool_calls.h -- which call of a tool a piece of an answer belongs to. See tool_calls.c. */
#ifndef PERILUNE_LLM_TOOL_CALLS_H
#define PERILUNE_LLM_TOOL_CALLS_H

#include "base/json.h"

#define TOOL_CALLS_MAX 4096 /* of one answer */

struct tool_calls {
    struct tool_call_seen *seen;
    unsigned               len, cap;
    unsigned               clock; /* mentions so far */
};

void tool_calls_deinit(struct tool_calls *t);

/* An element of a list of calls. */
struct tool_call_at {
    unsigned choice;
    uint32_t call;         /* the object */
    unsigned place, among; /* where in its list of how many; it counts when no index is said */
};
/* *number: of the call, from 0, among all calls of the answer.  Returns 0, PERILUNE_ERR_NOMEM, or
 * PERILUNE_ERR_LIMITED: there are too many. */
int tool_calls_find(struct tool_calls *t, const struct json_doc *doc, const struct tool_call_at *at, unsigned *number);

#endif
