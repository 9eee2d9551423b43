/* cors.h -- which web pages may call the gateway from a browser.  See cors.c. */
#ifndef PERILUNE_GATEWAY_CORS_H
#define PERILUNE_GATEWAY_CORS_H

#include "base/buf.h"

struct cors { /* the setting `cors`, checked by config.lua */
    const char **origins; /* whole, with one * in place of a name's first part, or * alone */
    unsigned     origin_count; /* 0: no such setting */
    const char  *headers; /* of requests, "a, b"; "": whatever the page asks for */
    const char  *expose;  /* of replies, to the page's scripts */
    bool         credentials;
    unsigned     max_age; /* seconds for which a browser may remember a preflight's answer */
};

/* Appends the lines that every reply to a request with this Origin has; ptr NULL: it has none. */
void cors_lines(const struct cors *c, struct slice origin, struct buf *out);

/* Is it one of the origins of the setting? */
bool cors_allows(const struct cors *c, struct slice origin);
/* Does the page come from where it asks?  host: the header Host of its request.  (Which scheme was spoken to a proxy in
 * front, nobody knows here.) */
bool cors_is_same(struct slice origin, struct slice host);

/* Is it a browser's question whether a page may send a request?  method: of the question itself;
 * asked: its Access-Control-Request-Method. */
bool cors_is_preflight(const struct cors *c, struct slice method, struct slice origin, struct slice asked);
/* Appends the lines of the answer besides cors_lines().  wanted: its Access-Control-Request-Headers.
 * False: the page may not; nothing was appended. */
bool cors_preflight(const struct cors *c, struct slice origin, struct slice wanted, struct buf *out);

#endif
