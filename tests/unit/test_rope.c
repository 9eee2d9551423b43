/* test_rope.c -- a text with changed places, and blobs that are one. */
#include "base/rope.h"

#include "base/blob.h"
#include "unit.h"

static void put(struct rope *r, const char *text) {
    buf_puts(&r->text, text);
    rope_add(r);
}

static void is(const struct rope *r, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    rope_write(r, &out);
    if (!buf_failed(&out)) {
        CHECK_SLICE(buf_get(&out), slice_str(expected));
        CHECK_UINT(r->len, strlen(expected));
    }
    buf_deinit(&out);
}

TEST_FAULT(pieces_of_a_text_and_new_ones) {
    struct rope r;
    rope_init(&r, SLICE("hello world"));
    is(&r, "");
    rope_keep(&r, 0, 6);
    put(&r, "brave ");
    put(&r, "new ");
    rope_keep(&r, 6, 6);
    rope_keep(&r, 6, 8);
    rope_keep(&r, 8, 11);
    if (!rope_failed(&r)) {
        is(&r, "hello brave new world");
        CHECK_UINT(r.count, 3); /* neighbours are one */
        CHECK(rope_piece(&r, 2).ptr == r.of.ptr + 6);
    }
    rope_deinit(&r);
}

TEST_FAULT(too_many_changes_are_copied) {
    struct rope r;
    struct buf expected;
    buf_init(&expected, 0);
    rope_init(&r, SLICE("abcdefghijklmnopqrstuvwxyz"));
    for (size_t i = 0; i < 26; i++) {
        rope_keep(&r, i, i + 1);
        put(&r, "--");
        buf_putc(&expected, (char)('a' + i));
        buf_puts(&expected, "--");
        CHECK(r.count <= ROPE_PIECES);
    }
    const char *text = buf_cstr(&expected);
    if (!rope_failed(&r) && text != NULL) is(&r, text);
    buf_deinit(&expected);
    rope_deinit(&r);
}

TEST_FAULT(a_blob_of_pieces) {
    struct blob *of = blob_copy(SLICE("hello world")), *whole;
    struct rope r;
    if (FAULTED(of)) return;
    CHECK(of != NULL);
    rope_init(&r, blob_get(of));
    rope_keep(&r, 0, 6);
    put(&r, "new ");
    rope_keep(&r, 6, 11);
    struct blob *b = blob_splice(of, &r);
    rope_deinit(&r);
    blob_put(of); /* b has a share */
    if (FAULTED(b)) return;
    CHECK(b != NULL);
    struct slice pieces[ROPE_PIECES];
    CHECK_UINT(b->len, 15);
    CHECK_UINT(blob_pieces(b, pieces), 3);
    CHECK_SLICE(pieces[1], SLICE("new "));
    CHECK(pieces[0].ptr == of->data);
    whole = blob_whole(b);
    blob_put(b);
    if (FAULTED(whole)) return;
    CHECK(whole != NULL);
    CHECK_SLICE(blob_get(whole), SLICE("hello new world"));
    CHECK_UINT(blob_pieces(whole, pieces), 1);
    b = blob_whole(whole); /* it is whole */
    CHECK(b == whole);
    blob_put(b);
    blob_put(whole);
}
