/* json_alike.h -- is this JSON?  For texts that come one after the other and differ in a few strings.
 * See json_alike.c. */
#ifndef PERILUNE_BASE_JSON_ALIKE_H
#define PERILUNE_BASE_JSON_ALIKE_H

#include "base/json.h"

#define JSON_ALIKE_HOLES 4

/* Zeroed: nothing was seen yet. */
struct json_alike {
    struct buf text;                       /* the last one that was read as a whole */
    unsigned   count;
    struct {
        uint32_t from, to;                 /* of a string in it, quotes included */
    } holes[JSON_ALIKE_HOLES];             /* in their order */
};

/* What json_parse() says of s, mostly without it; doc is scratch.  No memory for remembering s is no failure. */
int  json_alike(struct json_alike *a, struct json_doc *doc, struct slice s);
void json_alike_deinit(struct json_alike *a);

#endif
