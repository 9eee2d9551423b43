/* blob.h -- immutable counted bytes: what outlives a request or is held by more
 * than one owner. Any thread. */
#ifndef PERILUNE_BASE_BLOB_H
#define PERILUNE_BASE_BLOB_H

#include <stdatomic.h>

#include "base/buf.h"

struct blob {
    atomic_uint refs;
    char       *data;
    size_t      len;
};

/* Takes the bytes of b, also on failure. NULL when there is no memory. */
struct blob *blob_take(struct buf *b);
struct blob *blob_copy(struct slice s);
struct blob *blob_ref(struct blob *b);
void         blob_put(struct blob *b);
static inline struct slice blob_get(const struct blob *b) {
    return b ? slice_of(b->data, b->len) : SLICE("");
}

#endif
