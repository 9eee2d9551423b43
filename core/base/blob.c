/* blob.c -- counted bytes. The count is atomic: the last holder frees, on any
 * thread.
 *
 * One that was made by blob_splice() has its bytes in pieces, most of them another blob's: only
 * who knows of that gets such a one, to give the pieces to the kernel. */
#include "base/blob.h"

#include "base/mem.h"

struct blob *blob_take(struct buf *b) {
    struct blob *blob = buf_failed(b) ? NULL : mem_alloc(sizeof(*blob));
    if (blob == NULL) {
        buf_deinit(b);
        return NULL;
    }
    *blob = (struct blob){ .of = NULL };
    atomic_init(&blob->refs, 1);
    blob->block = b->data;
    blob->data = b->data != NULL ? b->data + b->mark : NULL;
    blob->len = buf_len(b);
    buf_init(b, b->limit);
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
    mem_free(b->block);
    blob_put(b->of);
    mem_free(b);
}

/* -- In pieces --------------------------------------------------------------- */

struct blob *blob_splice(struct blob *of, const struct rope *r) {
    size_t list = r->count * sizeof(struct slice), text = buf_len(&r->text);
    struct blob *b = rope_failed(r) ? NULL : mem_alloc(sizeof(*b) + list + text);
    if (b == NULL) return NULL;
    *b = (struct blob){ .len = r->len, .of = blob_ref(of), .count = r->count };
    atomic_init(&b->refs, 1);
    char *copy = (char *)b->pieces + list;
    if (text > 0) memcpy(copy, buf_get(&r->text).ptr, text);
    for (unsigned i = 0; i < r->count; i++) {
        const struct rope_piece *p = &r->pieces[i];
        b->pieces[i] = slice_of((p->is_new ? copy : of->data) + p->at, p->len);
    }
    return b;
}

unsigned blob_pieces(const struct blob *b, struct slice out[ROPE_PIECES]) {
    if (b == NULL || b->of == NULL) {
        out[0] = blob_get(b);
        return b ? 1 : 0;
    }
    memcpy(out, b->pieces, b->count * sizeof(*out));
    return b->count;
}

struct blob *blob_whole(struct blob *b) {
    if (b->of == NULL) return blob_ref(b);
    struct buf all;
    buf_init(&all, 0);
    buf_reserve(&all, b->len);
    for (unsigned i = 0; i < b->count; i++) buf_slice(&all, b->pieces[i]);
    return blob_take(&all);
}
