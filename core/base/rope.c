/* rope.c -- a text that is another one with some places changed.
 *
 *     of      {"messages":[ ... 30 KB ... ],"model":"auto","n":1}
 *              |<------------- keep ------------->|      |keep|
 *     text                                        "big-model"
 *
 * A request goes on as its client sent it but for the name of a model: to copy all of it for
 * that would cost more than the rest of its way.  Who sends it gives the kernel the pieces.
 *
 * There are few pieces, so that they fit into one write.  A text with many changes (an object
 * may have the same member a thousand times) has its end copied: the last piece is new text. */
#include "base/rope.h"

void rope_init(struct rope *r, struct slice of) {
    r->of = of;
    buf_init(&r->text, 0);
    r->added = r->len = 0;
    r->count = 0;
}

void rope_deinit(struct rope *r) { buf_deinit(&r->text); }

/* Text is only appended, so a piece of it goes on where the last one ended. */
static void append(struct rope *r, bool is_new, size_t at, size_t len) {
    struct rope_piece *last = r->count > 0 ? &r->pieces[r->count - 1] : NULL;
    if (len == 0) return;
    r->len += len;
    if (last != NULL && last->is_new == is_new && last->at + last->len == at) last->len += len;
    else r->pieces[r->count++] = (struct rope_piece){ is_new, at, len };
}

void rope_keep(struct rope *r, size_t from, size_t to) {
    if (r->count < ROPE_PIECES - 1) {
        append(r, false, from, to - from);
        return;
    }
    buf_put(&r->text, r->of.ptr + from, to - from); /* there must be a place for new text behind it */
    rope_add(r);
}

void rope_add(struct rope *r) {
    if (rope_failed(r)) return;
    append(r, true, r->added, buf_len(&r->text) - r->added);
    r->added = buf_len(&r->text);
}

struct slice rope_piece(const struct rope *r, unsigned i) {
    const struct rope_piece *p = &r->pieces[i];
    return slice_of((p->is_new ? r->text.data : r->of.ptr) + p->at, p->len);
}

void rope_write(const struct rope *r, struct buf *out) {
    buf_reserve(out, r->len);
    for (unsigned i = 0; i < r->count; i++) buf_slice(out, rope_piece(r, i));
    if (rope_failed(r)) out->error = r->text.error;
}
