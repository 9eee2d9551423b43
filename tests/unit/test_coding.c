/* test_coding.c -- coding.c: there and back in any pieces, bombs, what is cut off or garbage,
 * and what clients ask for. */
#include "http/coding.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

static const enum coding BOTH[] = { CODING_GZIP, CODING_ZSTD };

/* Text with repetitions and some noise, n bytes. */
static void make_text(struct buf *b, size_t n) {
    unsigned x = 1;
    while (buf_len(b) < n && !buf_failed(b)) {
        x = x * 1103515245 + 12345;
        buf_printf(b, "{\"number\":%u},", x >> 16);
    }
}

static int pack(enum coding c, struct slice in, struct buf *out) {
    struct encoder *e = encoder_new(c, false);
    int rc = e ? encoder_feed(e, in, ENCODER_END, out) : PERILUNE_ERR_NOMEM;
    encoder_free(e);
    return rc;
}

static int unpack_pieces(enum coding c, struct slice in, size_t step, size_t limit, struct buf *out) {
    struct decoder *d = decoder_new(c, limit);
    int rc = d ? 0 : PERILUNE_ERR_NOMEM;
    for (size_t at = 0; rc == 0 && at < in.len; at += step)
        rc = decoder_feed(d, slice_of(in.ptr + at, in.len - at < step ? in.len - at : step), out);
    if (rc == 0) rc = decoder_end(d);
    decoder_free(d);
    return rc;
}

TEST_FAULT(there_and_back) {
    static const size_t sizes[] = { 0, 1, 1000, 16384, 100000 };
    for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
        struct buf text, packed, again;
        buf_init(&text, 0);
        buf_init(&packed, 0);
        buf_init(&again, 0);
        make_text(&text, sizes[i / 2]);
        int rc = text.error;
        if (rc == 0) rc = pack(BOTH[i & 1], buf_get(&text), &packed);
        if (rc == 0) rc = coding_decode(BOTH[i & 1], buf_get(&packed), buf_len(&text), &again);
        bool same = rc != 0 || slice_eq(buf_get(&text), buf_get(&again));
        bool smaller = rc != 0 || sizes[i / 2] < 1000 || buf_len(&packed) < buf_len(&text) / 2;
        buf_deinit(&text);
        buf_deinit(&packed);
        buf_deinit(&again);
        if (FAULTED(rc)) return;
        CHECK_INT(rc, 0);
        CHECK(same);
        CHECK(smaller);
    }
}

TEST_NOFAULT(in_pieces) {
    struct buf text, packed, again;
    buf_init(&text, 0);
    buf_init(&packed, 0);
    buf_init(&again, 0);
    make_text(&text, 50000);
    for (int c = 0; c < 2; c++) {
        buf_clear(&packed);
        CHECK_INT(pack(BOTH[c], buf_get(&text), &packed), 0);
        for (size_t step = 1; step < 5000; step *= 7) {
            buf_clear(&again);
            CHECK_INT(unpack_pieces(BOTH[c], buf_get(&packed), step, 1 << 20, &again), 0);
            CHECK(slice_eq(buf_get(&text), buf_get(&again)));
        }
        for (size_t n = 0; n < buf_len(&packed); n += 97) { /* cut off */
            buf_clear(&again);
            CHECK_INT(coding_decode(BOTH[c], slice_of(buf_get(&packed).ptr, n), 1 << 20, &again), PERILUNE_ERR_INVAL);
        }
    }
    buf_deinit(&text);
    buf_deinit(&packed);
    buf_deinit(&again);
}

TEST_NOFAULT(a_flush_lets_all_through) {
    for (unsigned i = 0; i < 4; i++) {
        struct encoder *e = encoder_new(BOTH[i & 1], i > 1);
        struct decoder *d = decoder_new(BOTH[i & 1], 1000);
        struct buf packed, plain;
        buf_init(&packed, 0);
        buf_init(&plain, 0);
        for (int k = 0; k < 3; k++) {
            buf_clear(&packed);
            buf_clear(&plain);
            CHECK_INT(encoder_feed(e, SLICE("data: one\n\n"), ENCODER_FLUSH, &packed), 0);
            CHECK_INT(decoder_feed(d, buf_get(&packed), &plain), 0);
            CHECK_SLICE(buf_get(&plain), SLICE("data: one\n\n"));
            CHECK_INT(decoder_end(d), PERILUNE_ERR_INVAL);
        }
        buf_clear(&packed);
        CHECK_INT(encoder_feed(e, SLICE(""), ENCODER_END, &packed), 0);
        CHECK_INT(decoder_feed(d, buf_get(&packed), &plain), 0);
        CHECK_INT(decoder_end(d), 0);
        /* It begins anew; the decoder takes that for another member of the same body. */
        buf_clear(&packed);
        buf_clear(&plain);
        CHECK_INT(encoder_feed(e, SLICE("two"), ENCODER_END, &packed), 0);
        CHECK_INT(decoder_feed(d, buf_get(&packed), &plain), 0);
        CHECK_SLICE(buf_get(&plain), SLICE("two"));
        CHECK_INT(decoder_end(d), 0);
        buf_deinit(&packed);
        buf_deinit(&plain);
        encoder_free(e);
        decoder_free(d);
    }
}

/* As gzip(1) leaves the rest of a tape's block; anything else behind a member is no member. */
TEST_NOFAULT(zeros_behind_gzip_are_no_member) {
    struct buf packed, out;
    for (size_t step = 1; step < 40; step += 13) {
        buf_init(&packed, 0);
        buf_init(&out, 0);
        CHECK_INT(pack(CODING_GZIP, SLICE("one"), &packed), 0);
        buf_put(&packed, "\0\0\0\0\0", 5);
        CHECK_INT(unpack_pieces(CODING_GZIP, buf_get(&packed), step, 100, &out), 0);
        CHECK_SLICE(buf_get(&out), SLICE("one"));
        CHECK_INT(pack(CODING_GZIP, SLICE(" two"), &packed), 0);
        buf_clear(&out);
        CHECK_INT(unpack_pieces(CODING_GZIP, buf_get(&packed), step, 100, &out), 0);
        CHECK_SLICE(buf_get(&out), SLICE("one two"));
        buf_puts(&packed, "x");
        buf_clear(&out);
        CHECK(unpack_pieces(CODING_GZIP, buf_get(&packed), step, 100, &out) != 0);
        buf_deinit(&packed);
        buf_deinit(&out);
    }
}

TEST_NOFAULT(a_bomb_has_a_limit) {
    struct buf zeros, packed, out;
    buf_init(&zeros, 0);
    buf_init(&packed, 0);
    buf_init(&out, 0);
    memset(buf_reserve(&zeros, 8 << 20), 0, 8 << 20);
    buf_advance(&zeros, 8 << 20);
    for (int c = 0; c < 2; c++) {
        buf_clear(&packed);
        CHECK_INT(pack(BOTH[c], buf_get(&zeros), &packed), 0);
        CHECK(buf_len(&packed) < 50000);
        buf_deinit(&out);
        CHECK_INT(coding_decode(BOTH[c], buf_get(&packed), (8 << 20) - 1, &out), PERILUNE_ERR_LIMITED);
        buf_deinit(&out);
        CHECK_INT(coding_decode(BOTH[c], buf_get(&packed), 8 << 20, &out), 0);
        CHECK_UINT(buf_len(&out), 8 << 20);
        buf_deinit(&out);
        CHECK_INT(coding_decode(BOTH[c], buf_get(&packed), 1000, &out), PERILUNE_ERR_LIMITED);
        CHECK(out.cap < 64 * 1024);
        buf_clear(&out);
        CHECK_INT(unpack_pieces(BOTH[c], buf_get(&packed), 1, 1000, &out), PERILUNE_ERR_LIMITED);
    }
    buf_deinit(&zeros);
    buf_deinit(&packed);
    buf_deinit(&out);
}

/* A frame that asks for a window of 1 GiB: nobody has that for a stranger. */
TEST_NOFAULT(a_window_that_is_too_large) {
    static const char frame[] = "\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00";
    struct buf out;
    buf_init(&out, 0);
    CHECK_INT(coding_decode(CODING_ZSTD, slice_of(frame, sizeof(frame) - 1), 1000, &out), PERILUNE_ERR_INVAL);
    buf_deinit(&out);
}

static void deflate_with(int bits, struct slice in, struct buf *out) {
    z_stream z = { .zalloc = NULL };
    CHECK_INT(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)in.ptr;
    z.avail_in = (unsigned)in.len;
    z.next_out = (unsigned char *)buf_reserve(out, 1000);
    z.avail_out = 1000;
    CHECK_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_advance(out, 1000 - z.avail_out);
    deflateEnd(&z);
}

TEST_NOFAULT(both_kinds_of_deflate) {
    for (int raw = 0; raw < 2; raw++) {
        for (size_t step = 1; step < 100; step += 98) {
            struct buf packed, out;
            buf_init(&packed, 0);
            buf_init(&out, 0);
            deflate_with(raw ? -15 : 15, SLICE("hello hello hello"), &packed);
            CHECK_INT(unpack_pieces(CODING_DEFLATE, buf_get(&packed), step, 100, &out), 0);
            CHECK_SLICE(buf_get(&out), SLICE("hello hello hello"));
            buf_putc(&packed, 'x'); /* there is nothing behind the end */
            buf_clear(&out);
            CHECK_INT(unpack_pieces(CODING_DEFLATE, buf_get(&packed), step, 100, &out), PERILUNE_ERR_INVAL);
            buf_deinit(&packed);
            buf_deinit(&out);
        }
    }
}

TEST_NOFAULT(garbage) {
    static const enum coding all[] = { CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_UNKNOWN };
    struct buf out;
    buf_init(&out, 0);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(coding_decode(all[i], SLICE("{\"model\":\"x\"}, this is no such thing"), 1000, &out), PERILUNE_ERR_INVAL);
        CHECK_INT(coding_decode(all[i], SLICE(""), 1000, &out), PERILUNE_ERR_INVAL);
    }
    buf_clear(&out);
    CHECK_INT(coding_decode(CODING_NONE, SLICE("abc"), 3, &out), 0);
    CHECK_SLICE(buf_get(&out), SLICE("abc"));
    CHECK_INT(coding_decode(CODING_NONE, SLICE("abcd"), 3, &out), PERILUNE_ERR_LIMITED);
    buf_deinit(&out);
}

TEST_NOFAULT(names) {
    CHECK_INT(coding_of(SLICE("")), CODING_NONE);
    CHECK_INT(coding_of(SLICE("Identity")), CODING_NONE);
    CHECK_INT(coding_of(SLICE(" GZIP ")), CODING_GZIP);
    CHECK_INT(coding_of(SLICE("x-gzip")), CODING_GZIP);
    CHECK_INT(coding_of(SLICE("deflate")), CODING_DEFLATE);
    CHECK_INT(coding_of(SLICE("zstd")), CODING_ZSTD);
    CHECK_INT(coding_of(SLICE("br")), CODING_UNKNOWN);
    CHECK_INT(coding_of(SLICE("gzip, zstd")), CODING_UNKNOWN);
    CHECK_STR(coding_name(CODING_ZSTD), "zstd");
}

TEST_NOFAULT(what_clients_ask_for) {
    static const struct { const char *accept; enum coding best; } cases[] = {
        { "", CODING_NONE }, { "gzip", CODING_GZIP }, { "zstd", CODING_ZSTD }, { "br", CODING_NONE },
        { "deflate", CODING_NONE }, { "gzip, deflate, br, zstd", CODING_ZSTD }, { "gzip, deflate, br", CODING_GZIP },
        { "zstd;q=0.5, gzip", CODING_GZIP }, { "zstd;q=0.5, gzip;q=0.5", CODING_ZSTD },
        { "gzip;q=0", CODING_NONE }, { "gzip;q=0.000", CODING_NONE }, { "gzip ; q=0.001", CODING_GZIP },
        { "*", CODING_GZIP }, { "*;q=0", CODING_NONE }, { "gzip;q=0, *", CODING_NONE }, { "*;q=0, zstd", CODING_ZSTD },
        { "identity, gzip;q=0.5", CODING_NONE }, { "identity;q=0.5, gzip", CODING_GZIP }, { "identity;q=0", CODING_NONE },
        { "gzip;q=1.5", CODING_NONE }, { "gzip;q=x", CODING_NONE }, { "gzip;q=", CODING_NONE }, { "gzip;q=1.000", CODING_GZIP },
        { "gzip;q=0.1234", CODING_NONE }, { ",,gzip,,", CODING_GZIP }, { "GZIP;Q=1", CODING_GZIP }, { "gzip;a=b;q=0", CODING_NONE },
        { "gzipp", CODING_NONE }, { "x-gzip", CODING_GZIP },
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("%s", cases[i].accept);
        CHECK_INT(coding_choose(slice_str(cases[i].accept)), cases[i].best);
    }
}
