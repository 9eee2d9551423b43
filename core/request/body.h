/* body.h -- a request's body: text and parsed nodes, immutable and counted within
 * one thread, so that views of it may outlive the request. See body.c. */
#ifndef PERILUNE_REQUEST_BODY_H
#define PERILUNE_REQUEST_BODY_H

#include "base/blob.h"
#include "llm/chat.h"
#include "llm/dialect.h"

struct body {
    unsigned        refs;
    const struct dialect *dialect; /* that it is written in; NULL: some other JSON */
    struct blob    *text;
    struct json_doc doc;
    struct chat     chat; /* no dialect: .model and .messages, where there are such */
};

/* Takes the bytes, parses, validates.  On failure *out is NULL and *f says why
 * (a client's fault, or memory).  d NULL: any JSON. */
int  body_new(struct body **out, struct buf *bytes, const struct dialect *d, struct failure *f);
/* The same from a share of text, which is taken only on success. */
int  body_from(struct body **out, struct blob *text, const struct dialect *d, struct failure *f);
/* The request is over: the bytes go, whoever still holds a share (views that the
 * collector has not found yet) holds an empty shell. NULL is fine. */
void body_clear(struct body *b);
static inline bool body_is_cleared(const struct body *b) { return b->text == NULL; }
struct body *body_ref(struct body *b);
void body_put(struct body *b);

#endif
