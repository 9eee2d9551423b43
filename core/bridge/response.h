/* response.h -- what policies hold of a response: handle and functions. See l_response.c. */
#ifndef PERILUNE_BRIDGE_RESPONSE_H
#define PERILUNE_BRIDGE_RESPONSE_H

#include "bridge/state.h"
#include "bridge/event_reader.h"
#include "bridge/task.h"
#include "flow/response.h"

struct hooks;

/* What a response's `user` is: made when Lua first sees it. */
struct lua_response {
    struct state *state; /* no share: a handle in Lua would keep its own state alive for ever.
                            Whoever holds a response in C holds the state, too */
    unsigned      slot;  /* of the handle; 0: none */
    int           pin;   /* of response_pin(); 0: none */
    struct response *inner; /* whose answer this one hands on, and which ends with it: a share; NULL: nobody's */
    struct hooks *hooks; /* NULL: no policy looks at it */
    struct event_reader reader; /* for text() and events() */
    struct budget *payer; /* of what it holds in C, a share; NULL: nobody */
    size_t        held;   /* bytes of that */
    bool          outlives; /* holds a share of the state until it is freed */
};

static inline struct lua_response *response_lua(const struct response *r) { return r->user; }

/* A new one with its handle, which has the only share. [0, +1, e] */
struct response *response_make(lua_State *L, const struct response_options *opt);
/* A new one with its handle, which hands on what r answers, and with it r's headers; response_start() is
 * due, with a source that delivers r. [0, +1, e] */
struct response *response_make_outer(lua_State *L, struct response *r, struct list *among);
/* Pushes the handle, the same each time. [0, +1, e]; the response at index, or NULL / raises */
void             response_push(lua_State *L, struct response *r);
struct response *response_test(lua_State *L, int index);
/* The running request holds what r has in C, at least so many bytes, as long as r is there: see budget_hold(). */
void             response_charge(lua_State *L, struct response *r, size_t bytes);
/* Keeps the handle alive while its functions are needed; the consumer calls it. */
void             response_pin(struct response *r);
/* Time that the functions of policies took so far. */
uint64_t         response_hooks_us(const struct response *r);
/* Is one of its functions (tap, map, finally) running? */
bool     response_hooks_run(const struct response *r);

/* Takes r from its handle, if there is one; may free r. */
void response_empty_handle(struct response *r);

#endif
