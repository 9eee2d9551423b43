/* played.h -- upstreams that are played, in simulations. See played.c. */
#ifndef PERILUNE_UPSTREAM_PLAYED_H
#define PERILUNE_UPSTREAM_PLAYED_H

#include "base/buf.h"
#include "base/err.h"

/* What comes of one call, as its player says.  Times are milliseconds since it began. */
struct played_answer {
    int               status;  /* 0: no head comes */
    struct buf        fields;  /* of the head: "name: value\r\n"... */
    struct buf        bytes;   /* of the body, all pieces of it */
    size_t           *ends;    /* where each piece ends */
    uint64_t         *at_ms;   /* when it comes, in order */
    unsigned          count;
    uint64_t          end_ms;  /* of the whole; not before the last piece */
    enum failure_kind fails;   /* how it ends; FAILURE_NONE: well.  CONNECT, DNS: no connection was made */
};

/* Room for `count` pieces.  0 or PERILUNE_ERR_NOMEM. */
int  played_answer_room(struct played_answer *a, unsigned count);
void played_answer_deinit(struct played_answer *a);

struct played_question {
    const char  *upstream;
    struct slice method, path; /* behind the base URL */
    struct slice request_id;   /* empty: nobody's, as of a scout */
    struct slice body;
    bool         stream;
};

/* Who plays.  ask() fills *out, which is zeroed; 0 or an error, and then the call fails as one without memory does.
 * Called by the loop, and never from inside of anything that began the call. */
struct player {
    int  (*ask)(void *ud, const struct played_question *q, struct played_answer *out);
    void *ud;
};

#endif
