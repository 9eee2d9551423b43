/* blob.h -- immutable counted bytes: what outlives a request or is held by more
 * than one owner. Any thread. */
#ifndef PERILUNE_BASE_BLOB_H
#define PERILUNE_BASE_BLOB_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/rope.h"

struct blob {
    atomic_uint  refs;
    char        *data;
    size_t       len;
    char        *block;    /* what is freed: data may begin behind bytes that were consumed */
    struct blob *of;       /* a share.  NULL: data is all of it; else it is in pieces, of this one and of new text */
    unsigned     count;
    struct slice pieces[]; /* and the new text behind them */
};

/* Takes the bytes of b, also on failure. NULL when there is no memory. */
struct blob *blob_take(struct buf *b);
struct blob *blob_copy(struct slice s);
struct blob *blob_ref(struct blob *b);
void         blob_put(struct blob *b);
/* The bytes of a blob that is in one piece: all are, but what blob_splice() made. */
static inline struct slice blob_get(const struct blob *b) {
    return b ? slice_of(b->data, b->len) : SLICE("");
}

/* What r makes of `of`, of which a share is taken; r->of is blob_get(of).  NULL: no memory. */
struct blob *blob_splice(struct blob *of, const struct rope *r);
/* All bytes of any blob, in order.  Returns how many pieces they are in; b may be NULL: none. */
unsigned     blob_pieces(const struct blob *b, struct slice out[ROPE_PIECES]);
/* A share of the same bytes in one piece; NULL: no memory. */
struct blob *blob_whole(struct blob *b);

#endif
