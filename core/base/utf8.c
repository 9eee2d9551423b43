/* utf8.c -- is it UTF-8, and how far?
 *
 * ASCII goes sixteen bytes at a time, everything else a sequence at a time.
 * What a sequence may be is decided in one place, json_scan.h.
 *
 * Thread: any.  Keeps nothing, allocates nothing. */
#include "base/json.h"
#include "base/json_scan.h"

static const char *skip_ascii(const char *p, const char *end) {
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(x);
        if (mask != 0) return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && (unsigned char)*p < 0x80) p++;
    return p;
}

size_t utf8_valid_prefix(struct slice s) {
    if (s.len == 0) return 0;
    const char *p = s.ptr, *end = s.ptr + s.len;

    for (;;) {
        p = skip_ascii(p, end);
        /* Text that left ASCII tends to stay outside for a while. */
        while (p < end && (unsigned char)*p >= 0x80) {
            p = scan_threes(p, end);
            if (p == end || (unsigned char)*p < 0x80) break;
            size_t n = scan_utf8(p, end);
            if (n == 0) return (size_t)(p - s.ptr);
            p += n;
        }
        if (p == end) return s.len;
    }
}
