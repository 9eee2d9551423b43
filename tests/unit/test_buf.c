/* test_buf.c -- growable bytes, and the counted ones made of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"

#include "unit.h"

TEST(appends) {
    struct buf b;
    buf_init(&b, 0);
    CHECK_SLICE(buf_get(&b), SLICE(""));
    buf_puts(&b, "ab");
    buf_putc(&b, 'c');
    buf_put(&b, NULL, 0);
    buf_slice(&b, SLICE("\0d"));
    buf_u64(&b, 0);
    buf_u64(&b, UINT64_MAX);
    buf_printf(&b, "<%s %d>", "x", -1);
    CHECK(!buf_failed(&b));
    CHECK_SLICE(buf_get(&b), SLICE("abc\0d018446744073709551615<x -1>"));
    buf_clear(&b);
    CHECK_UINT(buf_len(&b), 0);
    buf_deinit(&b);
    buf_deinit(&b);
}

TEST(cstr_ends_without_counting) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "xtext");
    CHECK(!buf_failed(&b));
    buf_consume(&b, 1);
    const char *s = buf_cstr(&b);
    CHECK(s != NULL);
    CHECK_STR(s, "text");
    CHECK_UINT(buf_len(&b), 4);
    buf_deinit(&b);
}

TEST(cstr_of_nothing) {
    struct buf b;
    buf_init(&b, 0);
    const char *s = buf_cstr(&b);
    CHECK(s != NULL);
    CHECK_STR(s, "");
    buf_deinit(&b);
}

/* A queue that never grows beyond what is in it. */
TEST(consumed_bytes_make_room) {
    struct buf b;
    buf_init(&b, 0);
    for (int i = 0; i < 10000; i++) {
        buf_puts(&b, "0123456789");
        CHECK(!buf_failed(&b));
        buf_consume(&b, i == 0 ? 3 : 10);
        CHECK_SLICE(buf_get(&b), SLICE("3456789"));
    }
    CHECK(b.cap <= 128);
    buf_consume(&b, 1000);
    CHECK_UINT(buf_len(&b), 0);
    buf_deinit(&b);
}

TEST(grows_to_any_size) {
    struct buf b;
    buf_init(&b, 0);
    for (int i = 0; i < 100000; i++) buf_putc(&b, (char)i);
    CHECK(!buf_failed(&b));
    CHECK_UINT(buf_len(&b), 100000);
    for (int i = 0; i < 100000; i++) CHECK_INT(buf_get(&b).ptr[i], (char)i);
    buf_deinit(&b);
}

TEST(reserve_and_advance) {
    struct buf b;
    buf_init(&b, 0);
    char *p = buf_reserve(&b, 100);
    CHECK(p != NULL);
    memcpy(p, "abc", 3);
    buf_advance(&b, 3);
    CHECK_SLICE(buf_get(&b), SLICE("abc"));
    buf_deinit(&b);
}

TEST(limit_is_sticky) {
    struct buf b;
    buf_init(&b, 10);
    buf_puts(&b, "0123456789");
    CHECK(!buf_failed(&b));
    buf_putc(&b, 'x');
    CHECK_INT(b.error, PERILUNE_ERR_LIMITED);
    buf_consume(&b, 5);
    buf_putc(&b, 'x');
    CHECK_SLICE(buf_get(&b), SLICE("56789"));
    buf_clear(&b);
    buf_puts(&b, "ok");
    CHECK(!buf_failed(&b));
    CHECK_SLICE(buf_get(&b), SLICE("ok"));
    buf_deinit(&b);
}

/* The NUL that ends a string is not content: exactly the limit fits. */
TEST(limit_does_not_count_the_nul) {
    struct buf b;
    buf_init(&b, 5);
    buf_printf(&b, "%d", 12345);
    CHECK_SLICE(buf_get(&b), SLICE("12345"));
    const char *s = buf_cstr(&b);
    CHECK_STR(s, "12345");
    buf_printf(&b, "%s", ""); /* nothing more is nothing too much */
    CHECK(!buf_failed(&b));
    buf_printf(&b, "%c", 'x');
    CHECK_INT(b.error, PERILUNE_ERR_LIMITED);
    CHECK_SLICE(buf_get(&b), SLICE("12345"));
    buf_deinit(&b);
}

/* The limit is on unread bytes: what was read does not count. */
TEST(limit_counts_unread) {
    struct buf b;
    buf_init(&b, 4);
    for (int i = 0; i < 100; i++) {
        buf_puts(&b, "abcd");
        CHECK(!buf_failed(&b));
        buf_consume(&b, 4);
    }
    buf_deinit(&b);
}

TEST_NOFAULT(absurd_sizes_fail) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "x");
    CHECK_PTR(buf_reserve(&b, SIZE_MAX), NULL);
    CHECK_INT(b.error, PERILUNE_ERR_NOMEM);
    CHECK_SLICE(buf_get(&b), SLICE("x"));
    buf_deinit(&b);
}

TEST_FAULT(failure_keeps_what_was_there) {
    struct buf b;
    buf_init(&b, 0);
    for (int i = 0; i < 200; i++) buf_printf(&b, "%d,", i % 10);
    if (FAULTED(b.error)) {
        /* Whole appends or none. */
        CHECK_UINT(buf_len(&b) % 2, 0);
    } else {
        CHECK_INT(b.error, 0);
        CHECK_UINT(buf_len(&b), 400);
    }
    buf_deinit(&b);
}

TEST(take) {
    struct buf b;
    size_t len;
    buf_init(&b, 0);
    buf_puts(&b, "xxtext");
    CHECK(!buf_failed(&b));
    buf_consume(&b, 2);
    char *data = buf_take(&b, &len);
    CHECK_SLICE(slice_of(data, len), SLICE("text"));
    CHECK_UINT(buf_len(&b), 0);
    CHECK_UINT(b.cap, 0);
    mem_free(data);
    buf_deinit(&b);
}

/* -- Blobs ------------------------------------------------------------------ */

TEST_FAULT(blob) {
    struct blob *blob = blob_copy(SLICE("bytes"));
    if (FAULTED(blob)) return;
    CHECK(blob != NULL);
    CHECK_PTR(blob_ref(blob), blob);
    blob_put(blob);
    CHECK_SLICE(blob_get(blob), SLICE("bytes"));
    blob_put(blob);
    blob_put(NULL);
    CHECK_SLICE(blob_get(NULL), SLICE(""));
}

TEST_NOFAULT(blob_of_a_failed_buf) {
    struct buf b;
    buf_init(&b, 2);
    buf_puts(&b, "ab");
    buf_puts(&b, "c");
    CHECK_PTR(blob_take(&b), NULL);
    CHECK_PTR(b.data, NULL);
}

TEST_NOFAULT(what_somebody_else_wrote_is_shown_without_control_characters) {
    static const struct { const char *text, *shown; } all[] = {
        { "plain \xC3\xA9 \xE4\xB8\xAD \xF0\x9F\x8C\x99", "plain \xC3\xA9 \xE4\xB8\xAD \xF0\x9F\x8C\x99" },
        { "a\x1b[31mb\rc\x7f", "a?[31mb?c?" },
        { "\xC2\x9B" "31m", "?31m" },
        { "user\xE2\x80\xAE" "gpj.exe", "user?gpj.exe" },       /* right to left from here on */
        { "\xE2\x81\xA6x\xE2\x81\xA9\xE2\x80\x8B", "?x??" },
        { "\xEF\xBB\xBFx\xD8\x9C", "?x?" },
        { "\xE2\x80", "\xE2\x80" },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", all[i].text);
        slice_mute(text);
        CHECK_STR(text, all[i].shown);
    }
}
