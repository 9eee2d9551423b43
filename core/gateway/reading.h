/* reading.h -- the body of a question, from its bytes to what is asked. See reading.c. */
#ifndef PERILUNE_GATEWAY_READING_H
#define PERILUNE_GATEWAY_READING_H

#include "http/coding.h"
#include "request/body.h"
#include "sys/loop.h"

#define READING_LARGE (256u * 1024) /* bytes: 5 ms of the densest JSON */

struct question {
    struct buf            bytes;   /* as they came */
    enum coding           coding;  /* of them; CODING_NONE, as it begins: they are read as they are */
    size_t                limit;   /* bytes, when that is taken off */
    const struct dialect *dialect; /* NULL: JSON that may be anything, or none at all; it is kept as it is */
    /* What it came to; its owner may take it. */
    struct failure        failure; /* why it cannot be read; else: */
    struct body          *body;    /* NULL without a dialect: it is no JSON */
    struct blob          *raw;     /* without a dialect */
    bool                  decoded; /* the coding is off */
};

/* Takes the bytes. */
void question_init(struct question *q, struct buf *bytes, const struct dialect *d);
void question_deinit(struct question *q);

struct reading;

/* Reads q, now or in a thread of libuv's pool.  NULL: now, and q says what it came to.  Else q is empty, and done()
 * comes once on the loop, later, unless reading_leave() came: with the question, which is freed behind it. */
struct reading *reading_begin(struct loop *l, struct question *q, void (*done)(void *ud, struct question *q),
                              void *ud);
/* Nobody wants it any more; NULL is fine. */
void reading_leave(struct reading *r);

#endif
