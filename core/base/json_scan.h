/* json_scan.h -- the inner loops that the JSON reader, the JSON writer and
 * the UTF-8 check share.  Private to core/base. */
#ifndef PERILUNE_BASE_JSON_SCAN_H
#define PERILUNE_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Plain: may stand in a JSON string as it is, and is ASCII. */
static inline bool scan_is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* The sign bits are the bytes that are not plain. */
static inline __m128i scan_stops(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    /* x itself is less than 0 from 0x80 on. */
    return _mm_or_si128(stop, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)));
}

/* Over plain bytes, with one test for 64 of them; 16 at least are left. */
static inline const char *scan_far(const char *p, const char *end) {
    while (end - p >= 80) {
        __m128i a = scan_stops(p), b = scan_stops(p + 16), c = scan_stops(p + 32), d = scan_stops(p + 48);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) != 0) break;
        p += 64;
    }
    return p;
}
#endif

/* The first byte of [p, end) that is not plain, or end. */
static inline const char *scan_plain(const char *p, const char *end) {
#ifdef __SSE2__
    /* Most strings end soon, most text stands in long ones. */
    for (unsigned passed = 0; end - p >= 16; p += 16, passed++) {
        if (passed == 2) p = scan_far(p, end);
        int mask = _mm_movemask_epi8(scan_stops(p));
        if (mask != 0) return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && scan_is_plain((unsigned char)*p)) p++;
    return p;
}

static inline bool scan_is_continuation(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* Length (1..4) of the UTF-8 sequence at p, which is before end, or 0 when it
 * is not one: cut, overlong, a surrogate, above U+10FFFF. */
static inline size_t scan_utf8(const char *p, const char *end) {
    size_t left = (size_t)(end - p);
    unsigned char first = (unsigned char)p[0];

    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (left < 2 || !scan_is_continuation(p[1])) return 0;
    if (first < 0xE0) return 2;

    unsigned char second = (unsigned char)p[1];
    if (left < 3 || !scan_is_continuation(p[2])) return 0;
    if (first < 0xF0) {
        if (first == 0xE0 && second < 0xA0) return 0; /* overlong */
        if (first == 0xED && second > 0x9F) return 0; /* surrogate */
        return 3;
    }
    if (left < 4 || !scan_is_continuation(p[3])) return 0;
    if (first > 0xF4) return 0;
    if (first == 0xF0 && second < 0x90) return 0; /* overlong */
    if (first == 0xF4 && second > 0x8F) return 0; /* above U+10FFFF */
    return 4;
}

/* Behind the sequences at p that begin with E1 to EC, in which only the kind of each byte has
 * to be right: nearly all of a text in Chinese, Japanese or Korean. */
static inline const char *scan_threes(const char *p, const char *end) {
    while (end - p >= 3 && (unsigned char)p[0] - 0xE1u < 0x0C && scan_is_continuation(p[1]) &&
           scan_is_continuation(p[2]))
        p += 3;
    return p;
}

#endif
