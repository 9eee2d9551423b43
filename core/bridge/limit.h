/* limit.h -- what the parts of perilune.limit know of each other: l_limit.c decides, limit_line.c waits,
 * limit_rows.c tells clients. */
#ifndef PERILUNE_BRIDGE_LIMIT_H
#define PERILUNE_BRIDGE_LIMIT_H

#include <lua.h>

#include "request/reserved.h"

struct state;

#define LIMIT_PARTS 4 /* of a key */

/* ORDER: key_parts in lua/perilune/limit.lua */
enum part { PART_TENANT, PART_MODEL, PART_UPSTREAM, PART_PEER, PART_GIVEN, PART_HEADER };

struct lua_limit {
    struct limits      *limits; /* of which `group` is */
    struct limit_group *group;
    struct limit_rule   rule;
    struct price_list  *prices; /* NULL: money is not limited, or nobody has said them */
    bool                dry, shared, counts; /* counts: tokens or money */
    bool                named;  /* else each route counts by itself */
    uint64_t            max_wait_ms; /* 0: nobody waits */
    unsigned            part_count;
    struct { enum part kind; struct slice header; bool secret; } part[LIMIT_PARTS];
    struct slice        name;
    const char         *route;  /* whose end of a key this is: */
    unsigned            route_len;
    char                route_end[112];
    char                text[];
};

/* Not longer than LIMIT_KEY, whatever is put into it: then its end is a hash of all of it. */
struct limit_key {
    char   own[LIMIT_KEY];
    size_t len;
};

/* A decision that is to be made. */
struct limit_matter {
    struct limit_group      *group;
    const struct limit_rule *rule;
    const void              *owner;
    struct price_list       *prices; /* borrowed */
    struct request          *req;    /* NULL: of none */
    bool                     dry;
    struct limit_ask         ask;
    double                   prompt;
};

/* Takes what is asked, and hangs it on the request (q->req).  As limits_take(); a refusal leaves nothing. */
int  limit_take(struct state *s, const struct limit_matter *q, struct slice key, enum limit_count how,
                struct limit_verdict *v);
/* What core.limit_enter gives of a decision: nil, or the refusal. [0, +1, e] */
int  limit_push_entered(lua_State *L, const struct limit_matter *q, int rc, const struct limit_verdict *v);

/* Lines of x-ratelimit-..., unless out has some that say less is left. */
void limit_put_rows(const struct limit_row row[LIMIT_KINDS], struct buf *out);
/* As OpenAI writes them: "20ms", "6m0s", "1h0m0s". */
void limit_put_duration(struct buf *out, uint64_t ms);

/* Enters, or waits for it up to max_ms: then it parks, as op_wait(). Returns what a C function of Lua does. */
int  limit_line_enter(lua_State *L, const struct limit_matter *q, const struct limit_key *key, uint64_t max_ms);
/* Waits so long in the line: true; false at once when it is full. As limit_line_enter(). */
int  limit_line_pause(lua_State *L, const struct limit_matter *q, uint64_t ms);

#endif
