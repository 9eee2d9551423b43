/* fuzz_coding.c -- decoding never gives more than its limit, and gives the same however the
 * bytes were cut; what was encoded decodes to itself.  The first byte picks coding and limit. */
#include "fuzz.h"

#include "http/coding.h"
#include "include/perilune.h"

const char *const fuzz_tokens[] = {
    "\x1f\x8b\x08", "\x78\x9c", "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfd\x20\x03", "\x19", "\x50\x2a\x4d\x18", "\xff\xff", NULL
};

static int decode(enum coding c, struct slice s, size_t most, size_t limit, struct buf *out) {
    uint64_t rng = fuzz_hash((const uint8_t *)s.ptr, s.len);
    struct decoder *d = decoder_new(c, limit);
    int rc = 0;
    ORACLE(d != NULL);
    while (rc == 0 && s.len > 0) {
        struct slice piece = fuzz_piece(&s, most, &rng);
        rc = decoder_feed(d, piece, out);
        free((void *)(uintptr_t)piece.ptr);
        ORACLE(buf_len(out) <= limit);
    }
    if (rc == 0) rc = decoder_end(d);
    decoder_free(d);
    return rc;
}

static void check_decoding(enum coding c, struct slice s, size_t limit) {
    struct buf one, other;
    buf_init(&one, 0);
    buf_init(&other, 0);
    int rc = decode(c, s, s.len + 1, limit, &one);
    int again = decode(c, s, 3, limit, &other);
    ORACLE((rc == 0) == (again == 0));
    if (rc == 0) ORACLE(slice_eq(buf_get(&one), buf_get(&other)));
    buf_deinit(&one);
    buf_deinit(&other);
}

static void check_round(enum coding c, struct slice s) {
    struct encoder *e = encoder_new(c, s.len & 1);
    struct buf packed, plain;
    buf_init(&packed, 0);
    buf_init(&plain, 0);
    ORACLE(e != NULL);
    size_t half = s.len / 2;
    ORACLE(encoder_feed(e, slice_of(s.ptr, half), ENCODER_FLUSH, &packed) == 0);
    ORACLE(encoder_feed(e, slice_of(s.ptr + half, s.len - half), ENCODER_END, &packed) == 0);
    ORACLE(decode(c, buf_get(&packed), 5, s.len, &plain) == 0);
    ORACLE(slice_eq(buf_get(&plain), s));
    encoder_free(e);
    buf_deinit(&packed);
    buf_deinit(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice s = slice_of((const char *)data + 1, size - 1);
    enum coding c = (enum coding)(data[0] % (CODING_UNKNOWN + 1));
    check_decoding(c, s, (size_t)1 << data[0] / 16);
    if (c == CODING_GZIP || c == CODING_ZSTD) check_round(c, s);
    (void)coding_choose(s);
    (void)coding_of(s);
    return 0;
}
