/* blob.c -- counted bytes. The count is atomic: the last holder frees, on any
 * thread. */
#include "base/blob.h"

#include "base/mem.h"

struct blob *blob_take(struct buf *b) {
    struct blob *blob = buf_failed(b) ? NULL : mem_alloc(sizeof(*blob));
    if (blob == NULL) {
        buf_deinit(b);
        return NULL;
    }
    atomic_init(&blob->refs, 1);
    blob->data = buf_take(b, &blob->len);
    return blob;
}

struct blob *blob_copy(struct slice s) {
    struct buf b;
    buf_init(&b, 0);
    buf_slice(&b, s);
    return blob_take(&b);
}

struct blob *blob_ref(struct blob *b) {
    if (b) atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void blob_put(struct blob *b) {
    if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    mem_free(b->data);
    mem_free(b);
}
