/* request.h -- a request as policies see it. See request.c. */
#ifndef PERILUNE_BRIDGE_REQUEST_H
#define PERILUNE_BRIDGE_REQUEST_H

#include "request/body.h"
#include "bridge/state.h"
#include "http/server.h"

/* Counted: the exchange and the Lua handle. What points into the connection's
 * request is cleared when that ends (policy_request_end). */
struct policy_request {
    unsigned      refs;
    bool          live;
    struct state *state;
    void         *handle;     /* Lua's, while it lives */
    unsigned      slot;       /* of the handle */
    char          id[80];
    struct slice  method, path, query;
    const char   *peer;
    struct http_header *headers;
    unsigned      header_count;
    struct body  *body;       /* as it came; NULL: no JSON body */
    struct blob  *raw;        /* a body that was not parsed (pass-through) */
    char          tenant[128];
    char          upstream[64]; /* where `next` goes; empty: by model */
    uint64_t      counted;      /* tokens of `body`, when somebody asked; 0: nobody */
    struct model  counted_for;
    uint64_t      deadline_ms;  /* loop clock */
    struct list   responses;    /* struct response: calls made for it */
    struct savings_entry *saved;  /* what policies reported; in the arena */
    int           cleanup_ref;    /* functions of req:finally(), see cleanup.c; 0: none */
    struct budget *cleanup_budget; /* their time; NULL: none */
    bool          kept;           /* see policy_request_keep() */
    struct arena  arena;
};

struct policy_request *policy_request_new(struct state *s);
void policy_request_put(struct policy_request *r);
/* The client is answered or gone: handles raise from now on. */
void policy_request_end(struct policy_request *r);

/* From here on method, path, headers and peer are its own: functions that run when the reply has
 * ended (finally) may still ask for them, and the connection has let go of its request by then.
 * False: no memory. */
bool policy_request_keep(struct policy_request *r);

/* The live request at index, or raises. */
struct policy_request *request_check(lua_State *L, int index);
/* The body that would go out: the original, or with what Lua changed.  A share;
 * NULL when there is none.  Raises. */
struct body *request_body(lua_State *L, int index);

#endif
