/* routes.h -- which route a request takes. See routes.c. */
#ifndef PERILUNE_GATEWAY_ROUTES_H
#define PERILUNE_GATEWAY_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/parse.h"

struct route_header {
    const char *name;
    const char *pattern; /* of its value; '*' is any text */
};

struct route {
    const char  *label;        /* its name in the log and the metrics */
    const char  *path;         /* without the '*' of a prefix */
    bool         prefix;
    const char **methods;      /* empty: all */
    unsigned     method_count;
    const char  *upstream;     /* NULL: by model */
    const char  *host;         /* lower case, without a port; "*.x": any below x; NULL: any */
    const char  *tenant;       /* NULL: any */
    struct route_header *headers; /* all must be there */
    unsigned     header_count;
    const char  *strip;        /* what the path loses at its beginning; NULL: nothing */
    const char  *identity;     /* all that makes a request take it: what is kept for one route is not another's */
    const char **policies;     /* their names */
    unsigned     policy_count;
    uint32_t     next;         /* number of the next route in the same slot, plus one */
};

struct routes; /* the index; immutable, lives in an arena */

/* What of a request decides. */
struct route_ask {
    struct slice              method, path, tenant;
    const struct http_header *headers;
    unsigned                  header_count;
};

/* The routes stay the caller's and must live as long. NULL: no memory. */
struct routes *routes_new(struct arena *arena, struct route *all, unsigned count);

/* The first route in the order of the file that fits, or NULL; *wrong_method: then, one fits
 * but for the method. */
const struct route *routes_find(const struct routes *r, const struct route_ask *ask, bool *wrong_method);

/* Appends the methods of all routes that fit but for the method, "GET, PUT"; false: there are none. */
bool routes_methods(const struct routes *r, const struct route_ask *ask, struct buf *out);

/* The path behind what the route takes away; always begins with '/'. */
struct slice route_strip(const struct route *r, struct slice path);

#endif
