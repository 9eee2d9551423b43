/* policy.h -- a configuration and its policies in one Lua state. See policy.c. */
#ifndef PERILUNE_BRIDGE_POLICY_H
#define PERILUNE_BRIDGE_POLICY_H

#include "bridge/bundle.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/state.h"
#include "bridge/task.h"

struct policy_chain {
    int  ref;     /* the composed function; 0: no policies */
    int  admission; /* the same of those that say who may ask: their file returns { admits = true } */
    int  rest;      /* and of all others */
    uint64_t admits; /* which ones those are, hashed; 0: none */
    char guard[GUARD_SIZE]; /* the same of this route; "": nobody asks there who it is */
    bool trusted;
};

/* Runs the bundle's configuration: config_json gets it in normalized form, *chains
 * one entry per route (mem_free; refs die with the state).  On failure err gets a
 * sentence with file and line. */
int  policy_load(struct state *s, struct bundle *b, struct buf *config_json,
                 struct policy_chain **chains, unsigned *count, char *err, size_t errlen);

/* How a chain ended.  One of: a response (a share), a failure. */
struct policy_result {
    struct response *response;
    struct failure  *failure; /* borrowed during the call */
};

/* Runs a chain for a request in a task of its own, at once.  done is called when
 * it returns, from below this call or later; not after task_cancel().  NULL when
 * there is no memory. */
struct task *policy_start(struct state *s, const struct policy_chain *chain, struct request *r,
                          void (*done)(void *owner, const struct policy_result *result), void *owner);

/* t has thrown, or was stopped: what that is for the client.  The log has the rest. */
void policy_why_failed(struct task *t, struct failure *f);

#endif
