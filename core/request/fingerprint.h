/* fingerprint.h -- all that an answer depends on, as one text. See fingerprint.c. */
#ifndef PERILUNE_REQUEST_FINGERPRINT_H
#define PERILUNE_REQUEST_FINGERPRINT_H

#include "request/outgoing.h"

struct fingerprint_ask {
    struct services      *services; /* of the thread; has stores */
    const struct request *request;
    const struct body    *body;    /* as policies left it; has a dialect */
    const struct json_doc *doc;    /* what it asks; NULL: the body's */
    const struct target  *target;  /* that would be asked; NULL: not known yet */
    struct slice          scope;   /* whose memory it is for: the name of a cache, "flight" */
    bool                  shared;  /* for all tenants alike */
    const struct slice   *vary;    /* names of headers that it depends on, too */
    unsigned              vary_count;
    struct slice          version; /* of the policies that stand between it and the upstream */
    struct slice          salt;    /* a policy's own */
};

/* Appends the text.  Two that are equal may get the same answer; as a stream or as a whole, with usage or
 * without, is the same text.  On failure out has failed. */
void fingerprint_write(const struct fingerprint_ask *ask, struct buf *out);
/* What of a body is no part of the text, as a number: an answer does not depend on it, but an error may be about it.
 * c: under whose secret.  It is written behind what is in scratch, and taken away again; on failure scratch has
 * failed. */
struct hash128 fingerprint_rest(const struct cache *c, const struct json_doc *d, struct buf *scratch);
/* Appends ask->target alone. */
void fingerprint_write_target(const struct fingerprint_ask *ask, struct buf *out);
/* Appends the client's headers that ask->target would get. */
void fingerprint_write_forwarded(const struct fingerprint_ask *ask, struct buf *out);

#endif
