/* test_sse.c -- events are a function of the bytes: every stream here is fed
 * whole, byte by byte and cut in two at every offset, and each time the events
 * must be the same, raw bytes included. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "include/perilune.h"
#include "llm/sse.h"
#include "unit.h"

/* -- A record of events as text: name|id|data|raw, one after the other ------ */

static int record(void *ud, const struct sse_event *ev) {
    struct buf *out = ud;
    buf_printf(out, "%.*s|%.*s|", SLICE_ARG(ev->name), SLICE_ARG(ev->id));
    buf_slice(out, ev->data);
    buf_putc(out, '|');
    buf_slice(out, ev->raw);
    buf_putc(out, '#');
    return buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
}

/* Feeds memory that ends where the piece does. */
static int feed(struct sse *e, struct slice piece, struct buf *out) {
    char *copy = malloc(piece.len ? piece.len : 1);
    if (piece.len > 0) memcpy(copy, piece.ptr, piece.len);
    int rc = sse_feed(e, slice_of(copy, piece.len), record, out);
    free(copy);
    return rc;
}

/* Feeds s, first `cut` bytes and then `piece` at a time, to the end of stream. */
static int run(struct slice s, size_t cut, size_t piece, size_t limit, struct buf *out) {
    struct sse e;
    int rc = 0;

    sse_init(&e, limit);
    buf_clear(out);
    while (rc == 0 && s.len > 0) {
        size_t n = cut ? cut : piece;
        cut = 0;
        if (n > s.len) n = s.len;
        rc = feed(&e, slice_of(s.ptr, n), out);
        s = slice_of(s.ptr + n, s.len - n);
    }
    if (rc == 0) rc = sse_finish(&e, record, out);
    if (rc == 0) rc = sse_finish(&e, record, out); /* nothing is left */
    sse_deinit(&e);
    return rc;
}

static void check_limited(struct slice s, size_t limit, int rc, struct slice want) {
    struct buf out;
    buf_init(&out, 0);
    NOTE("whole");
    CHECK_INT(run(s, 0, s.len, limit, &out), rc);
    CHECK_SLICE(buf_get(&out), want);
    for (size_t piece = 1; piece < 8; piece++) {
        NOTE("%zu bytes at a time", piece);
        CHECK_INT(run(s, 0, piece, limit, &out), rc);
        CHECK_SLICE(buf_get(&out), want);
    }
    for (size_t cut = 1; cut < s.len; cut++) {
        NOTE("cut at %zu", cut);
        CHECK_INT(run(s, cut, s.len, limit, &out), rc);
        CHECK_SLICE(buf_get(&out), want);
    }
    buf_deinit(&out);
}

static void check(struct slice s, struct slice want) { check_limited(s, 0, 0, want); }

/* -- What the format says --------------------------------------------------- */

TEST(events) {
    check(SLICE(""), SLICE(""));
    check(SLICE("data: a\n\ndata: b\n\n"), SLICE("||a|data: a\n\n#||b|data: b\n\n#"));
    check(SLICE("event: x\nid: 7\ndata: a\nretry: 5\n\n"),
          SLICE("x|7|a|event: x\nid: 7\ndata: a\nretry: 5\n\n#"));
    check(SLICE("id: 1\ndata: a\n\ndata: b\n\n"), SLICE("|1|a|id: 1\ndata: a\n\n#||b|data: b\n\n#"));
}

TEST(data) {
    check(SLICE("data:a\n\n"), SLICE("||a|data:a\n\n#"));
    check(SLICE("data:  a \n\n"), SLICE("|| a |data:  a \n\n#"));
    check(SLICE("data:\ta\n\n"), SLICE("||\ta|data:\ta\n\n#"));
    check(SLICE("data: a\ndata: b\ndata: c\n\n"), SLICE("||a\nb\nc|data: a\ndata: b\ndata: c\n\n#"));
    check(SLICE("data\n\n"), SLICE("|||data\n\n#"));
    check(SLICE("data:\n\n"), SLICE("|||data:\n\n#"));
    check(SLICE("data\ndata\n\n"), SLICE("||\n|data\ndata\n\n#"));
    check(SLICE("data: a:b\n\n"), SLICE("||a:b|data: a:b\n\n#"));
    check(SLICE("data: a\nevent: x\ndata: b\n\n"), SLICE("x||a\nb|data: a\nevent: x\ndata: b\n\n#"));
    check(SLICE("data: \xe2\x80\xa8\xc2\x85\x0b\x0c\n\n"),
          SLICE("||\xe2\x80\xa8\xc2\x85\x0b\x0c|data: \xe2\x80\xa8\xc2\x85\x0b\x0c\n\n#"));
    check(SLICE("data: a\0b\n\n"), SLICE("||a\0b|data: a\0b\n\n#"));
    check(SLICE("data: \xf0\x9f\x98\x80\n\n"), SLICE("||\xf0\x9f\x98\x80|data: \xf0\x9f\x98\x80\n\n#"));
}

TEST(fields) {
    check(SLICE("Data: a\n\n"), SLICE(""));
    check(SLICE(" data: a\n\n"), SLICE(""));
    check(SLICE("data : a\n\n"), SLICE(""));
    check(SLICE("event: x\nevent: y\ndata: a\n\n"), SLICE("y||a|event: x\nevent: y\ndata: a\n\n#"));
    check(SLICE("event\ndata: a\n\n"), SLICE("||a|event\ndata: a\n\n#"));
    check(SLICE("id: a\0b\ndata: a\n\n"), SLICE("||a|id: a\0b\ndata: a\n\n#"));
    check(SLICE("unknown: x\ndata: a\n\n"), SLICE("||a|unknown: x\ndata: a\n\n#"));
}

TEST(nothing_to_say) {
    check(SLICE("event: x\nid: 1\n\n"), SLICE(""));
    check(SLICE(": comment\n\n"), SLICE(""));
    check(SLICE("\n\n\n\r\n\r\r\n"), SLICE(""));
    check(SLICE(":\n:\n:\n"), SLICE(""));
    check(SLICE("\n\ndata: a\n\n\n\n"), SLICE("||a|data: a\n\n#"));
}

/* Leading comments are dropped; later ones are part of the event's bytes. */
TEST(comments) {
    check(SLICE(": hi\ndata: a\n\n"), SLICE("||a|data: a\n\n#"));
    check(SLICE(": hi\r\ndata: a\r\n\r\n"), SLICE("||a|data: a\r\n\r\n#"));
    check(SLICE(": hi\r: ho\rdata: a\r\r"), SLICE("||a|data: a\r\r#"));
    check(SLICE("data: a\n: hi\ndata: b\n\n"), SLICE("||a\nb|data: a\n: hi\ndata: b\n\n#"));
    check(SLICE(": OPENROUTER PROCESSING\n\n: x\n\ndata: a\n\n"), SLICE("||a|data: a\n\n#"));
}

TEST(line_ends) {
    check(SLICE("data: a\r\n\r\ndata: b\r\n\r\n"),
          SLICE("||a|data: a\r\n\r\n#||b|data: b\r\n\r\n#"));
    check(SLICE("data: a\r\rdata: b\r\r"), SLICE("||a|data: a\r\r#||b|data: b\r\r#"));
    check(SLICE("data: a\r\n\ndata: b\n\n"), SLICE("||a|data: a\r\n\n#||b|data: b\n\n#"));
    check(SLICE("data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\n"),
          SLICE("||a\nb\nc|data: a\rdata: b\r\ndata: c\n\r#||d|data: d\n\n#"));
    check(SLICE("data: a\r\n\rdata: b\r\n\r"),
          SLICE("||a|data: a\r\n\r#||b|data: b\r\n\r\n#"));
    check(SLICE("data: a\r\r\ndata: b\n\n"), SLICE("||a|data: a\r\r#||b|data: b\n\n#"));
    check(SLICE("data: a\n\r\r\n\ndata: b\n\n"), SLICE("||a|data: a\n\r#||b|data: b\n\n#"));
}

TEST(bom) {
    check(SLICE("\xef\xbb\xbf" "data: a\n\n"), SLICE("||a|data: a\n\n#"));
    check(SLICE("\xef\xbb\xbf" ": x\n\ndata: a\n\n"), SLICE("||a|data: a\n\n#"));
    check(SLICE("\xef\xbb\xbf"), SLICE(""));
    check(SLICE("\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\n"), SLICE(""));
    check(SLICE("\xef\xbb" "data: a\n\n"), SLICE(""));
    check(SLICE("\xef\xbb\ndata: a\n\n"), SLICE("||a|\xef\xbb\ndata: a\n\n#"));
    check(SLICE("data: a\n\n\xef\xbb\xbf" "data: b\n\n"), SLICE("||a|data: a\n\n#"));
}

/* An end that comes too early. */
TEST(finish) {
    check(SLICE("data: a"), SLICE("||a|data: a\n\n#"));
    check(SLICE("data: a\n"), SLICE("||a|data: a\n\n#"));
    check(SLICE("data: a\r\n"), SLICE("||a|data: a\r\n\r\n#"));
    check(SLICE("data: a\r"), SLICE("||a|data: a\r\n\n#"));
    check(SLICE("data: a\r\n\r"), SLICE("||a|data: a\r\n\r\n#"));
    check(SLICE("data: a\r\ndata: b"), SLICE("||a\nb|data: a\r\ndata: b\r\n\r\n#"));
    check(SLICE("data: a\n\ndat"), SLICE("||a|data: a\n\n#"));
    check(SLICE("data: a\n\n\xef"), SLICE("||a|data: a\n\n#"));
    check(SLICE("\xef\xbb"), SLICE(""));
}

/* -- Limits and failures ---------------------------------------------------- */

TEST(limit) {
    struct slice ok = SLICE("||1234|data: 1234\n\n#");
    check_limited(SLICE("data: 1234\n\n"), 12, 0, ok);
    check_limited(SLICE("data: 1234\n\ndata: 1234\n\n"), 12, 0,
                  SLICE("||1234|data: 1234\n\n#||1234|data: 1234\n\n#"));
    check_limited(SLICE("data: 1234\n\ndata: 12345\n\n"), 12, PERILUNE_ERR_LIMITED, ok);
    check_limited(SLICE("data: 1234\n\ndata: 1234567"), 12, PERILUNE_ERR_LIMITED, ok);
    check_limited(SLICE("data: 1234\r\n\r\n"), 13, PERILUNE_ERR_LIMITED, SLICE(""));
    check_limited(SLICE("data: 1\nx\nx\nx\n\n"), 12, PERILUNE_ERR_LIMITED, SLICE(""));
    check_limited(SLICE(": 1234567890123\n"), 12, PERILUNE_ERR_LIMITED, SLICE(""));
    /* Comments that keep a connection alive do not add up. */
    check_limited(SLICE(": 12345678\n: 12345678\r\n: 12345678\r\n: 12345678\ndata: 1234\n\n"), 12, 0,
                  ok);
}

static int abort_second(void *ud, const struct sse_event *ev) {
    (void)ev;
    return ++*(int *)ud == 2 ? 42 : 0;
}

TEST(callback_aborts) {
    struct sse e;
    int calls = 0;
    sse_init(&e, 0);
    CHECK_INT(sse_feed(&e, SLICE("data: a\n\ndata: b\n\ndata: c\n\n"), abort_second, &calls), 42);
    CHECK_INT(calls, 2);
    sse_deinit(&e);
}

/* An event is handed out with its last byte, not with the one after it. */
TEST(nothing_is_held_back) {
    static const char *const streams[] = { "data: a\n\n", "data: a\r\n\r\n", "data: a\r\r",
                                           "data: a\n\r", "data: a\r\n\n" };
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct sse e;
        struct buf out;
        NOTE("stream %zu", i);
        buf_init(&out, 0);
        sse_init(&e, 0);
        CHECK_INT(feed(&e, slice_str(streams[i]), &out), 0);
        CHECK(buf_len(&out) > 0);
        sse_deinit(&e);
        buf_deinit(&out);
    }
}

struct seen {
    const char *begin, *end;
    int         copied;
};

static int note_copies(void *ud, const struct sse_event *ev) {
    struct seen *seen = ud;
    seen->copied += ev->raw.ptr < seen->begin || ev->raw.ptr >= seen->end;
    seen->copied += ev->data.ptr < seen->begin || ev->data.ptr >= seen->end;
    return 0;
}

TEST(whole_events_are_not_copied) {
    struct slice s = SLICE(": x\n\ndata: a\n\nevent: x\ndata: b\n\n");
    struct seen seen = { s.ptr, s.ptr + s.len, 0 };
    struct sse e;
    sse_init(&e, 0);
    CHECK_INT(sse_feed(&e, s, note_copies, &seen), 0);
    CHECK_INT(seen.copied, 0);
    CHECK(e.in.data == NULL && e.data.data == NULL);
    sse_deinit(&e);
}

TEST(large_buffers_are_given_back) {
    struct sse e;
    struct buf big, out;
    buf_init(&big, 0);
    buf_init(&out, 0);
    buf_puts(&big, "data: ");
    for (int i = 0; i < 100000; i++) buf_putc(&big, 'x');
    CHECK(!buf_failed(&big));
    sse_init(&e, 0);
    CHECK_INT(feed(&e, buf_get(&big), &out), 0);
    CHECK_INT(feed(&e, SLICE("\n\n"), &out), 0);
    CHECK_UINT(buf_len(&out), 3 + 100000 + 100008 + 1);
    CHECK_UINT(e.in.cap, 0);
    sse_deinit(&e);
    buf_deinit(&big);
    buf_deinit(&out);
}

static int ignore(void *ud, const struct sse_event *ev) {
    (void)ev;
    ++*(int *)ud;
    return 0;
}

TEST_FAULT(no_memory) {
    struct slice pieces[] = { SLICE("\xef"), SLICE("\xbb\xbf" "dat"), SLICE("a: a\ndata: b\n"),
                              SLICE("\ndata: c\ndata: "), SLICE("d\r\n\r"), SLICE("\ndata: e") };
    struct sse e;
    int calls = 0, rc = 0;
    sse_init(&e, 0);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && rc == 0; i++)
        rc = sse_feed(&e, pieces[i], ignore, &calls);
    if (rc == 0) rc = sse_finish(&e, ignore, &calls);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK_INT(calls, 3);
    }
    sse_deinit(&e);
}

/* -- Random streams at random splits ---------------------------------------- */

static unsigned below(uint64_t *x, unsigned n) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (unsigned)(*x >> 33) % n;
}

TEST_NOFAULT(random_streams) {
    static const char *const words[] = { "data:", "data: x", "event: e", "id: 1", ":", "\n", "\n",
                                         "\r", "\r\n", "\r\n", "\r\n\r\n", "\n\n", "\r\r", "x", " ",
                                         "\xef\xbb\xbf", "\xef", "data" };
    struct buf in, want, out;
    uint64_t seed = 42;

    buf_init(&in, 0);
    buf_init(&want, 0);
    buf_init(&out, 0);
    for (int i = 0; i < 3000; i++) {
        buf_clear(&in);
        for (unsigned n = below(&seed, 30); n > 0; n--)
            buf_puts(&in, words[below(&seed, sizeof(words) / sizeof(words[0]))]);
        size_t limit = below(&seed, 2) ? 0 : 5 + below(&seed, 40);
        struct slice s = buf_get(&in);
        int rc = run(s, 0, s.len, limit, &want);
        for (unsigned k = 0; k < 6; k++) {
            size_t cut = 1 + below(&seed, 50), piece = 1 + below(&seed, k == 0 ? 1 : 9);
            NOTE("stream %d, limit %zu, cut at %zu, then %zu", i, limit, cut, piece);
            CHECK_INT(run(s, cut, piece, limit, &out), rc);
            CHECK_SLICE(buf_get(&out), buf_get(&want));
        }
    }
    buf_deinit(&in);
    buf_deinit(&want);
    buf_deinit(&out);
}
