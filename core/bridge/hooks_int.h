/* hooks_int.h -- the inside of the functions that policies hang on a response, for hooks.c and map.c. */
#ifndef PERILUNE_BRIDGE_HOOKS_INT_H
#define PERILUNE_BRIDGE_HOOKS_INT_H

#include "bridge/event_reader.h"
#include "bridge/hooks.h"

enum hook_unit { UNIT_EVENT, UNIT_WORD, UNIT_SENTENCE, UNIT_LINE };

struct mapper;
struct whole;

struct hooks {
    struct filter     filter;
    struct response  *r;
    struct mapper    *mapper;   /* the first; NULL: no map */
    struct event_reader reader; /* for record and taps */
    struct buf        recorded; /* the text of the first choice, for finally */
    struct whole     *whole;    /* the answer, for finally; NULL: nobody asked */
    struct failure    failure;
    struct budget    *budget;   /* a share of the request's */
    uint64_t          ran_us;   /* all calls */
    bool              placed, has_tap, has_finally, record, broken;
    bool              running;  /* one of its functions */
    char              id[80];   /* of the request, for the log */
};

/* Runs fn(L, ud) protected, with the time and memory of the request.  What it throws breaks
 * the answer: h->broken. */
void      hooks_protect(struct hooks *h, int (*fn)(lua_State *L, void *ud), void *ud);
/* The answer has failed, with h->failure as it is set. */
void      hooks_break(struct hooks *h);
/* Behind map: record and taps see it, then it goes on. */
enum flow hooks_pass(struct hooks *h, const struct event *ev);

/* The response at 1 and its functions, placed as a filter. Raises when it is too late. */
struct hooks *hooks_for(lua_State *L, struct response **out);
/* env[list][#+1] = the value at index fn, of the response at 1. [0, 0, e] */
void          hooks_add_function(lua_State *L, const char *list, int fn);

/* map.c */
/* And those behind it. */
void      mapper_free(struct mapper *m);
/* FRAME, BYTES, END. */
enum flow mapper_event(struct mapper *m, const struct event *ev);

#endif
