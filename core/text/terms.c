/* terms.c -- what two texts have in common is counted in terms.
 *
 *     The 3 engines' prices rose 3.5 %     the 3 engine price rose 3.5
 *     光速为299792458米每秒                  光速 速为 299792458 米每 每秒
 *
 * Words lose their case and the s of a plural.  Numbers keep their separators.  Scripts
 * without spaces give pairs of neighbours: no dictionary is needed, and a word of two
 * characters, as most are in Chinese, is a pair.  A term is its 64-bit hash, nothing
 * else is kept of it: two terms that share one are the same term here.
 *
 * Thread: any. */
#include "text/terms.h"

#include <string.h>

#include "text/scan.h"
#include "text/words.h"
#include "tokens/unicode.h"

/* -- Characters ------------------------------------------------------------------------- */

static bool is_dense_other(uint32_t c) {
    if (c < 0x0E00) return false;
    if (c <= 0x0EFF) return c != 0x0E3F;
    if (c >= 0x1000 && c <= 0x109F) return true; /* Myanmar */
    if (c >= 0x1780 && c <= 0x17FF) return true; /* Khmer */
    if (c >= 0x3040 && c <= 0x30FF) return c != 0x30FB && c != 0x30A0;
    return c == 0x3005 || c == 0x3007 || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xAC00 && c <= 0xD7AF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

/* Written without spaces between words. */
static inline bool is_dense(uint32_t c) { return c - 0x4E00 <= 0x9FFF - 0x4E00 || is_dense_other(c); }

/* Lower case, for the scripts that have it and come up. */
static uint32_t lower(uint32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
    if (c >= 0x100 && c <= 0x17F && unicode_class(c) == UC_UPPER) return c + 1;
    if (c >= 0x391 && c <= 0x3A9) return c + 32;
    if (c >= 0x410 && c <= 0x42F) return c + 32;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    if (c >= 0xFF21 && c <= 0xFF3A) return c - 0xFF21 + 'a';
    if (c >= 0xFF10 && c <= 0xFF19) return c - 0xFF10 + '0';
    return c;
}

static bool in_word(uint32_t c) {
    if (c < 0x80) return text_is_alnum((char)c) || c == '_';
    if (is_dense(c)) return false;
    unsigned k = unicode_class(c);
    return k >= UC_UPPER && k <= UC_NUMBER;
}

/* -- Words -------------------------------------------------------------------------------- */

#define SEED UINT64_C(0x9e3779b97f4a7c15)
#define SMALL UINT64_C(0x2020202020202020) /* makes letters small, leaves digits alone */
#define STEP(h, c) (((h) ^ (c)) * UINT64_C(0x100000001b3))

/* The length of a word of ASCII letters without the ending of its plural; *y: a y then
 * takes the place of what went. */
static size_t singular(const char *p, size_t n, bool *y) {
    *y = false;
    if (n < 4 || (p[n - 1] | 0x20) != 's') return n;
    char a = (char)(p[n - 2] | 0x20), b = (char)(p[n - 3] | 0x20);
    if (a == 's' || a == 'u' || a == 'i') return n;
    if (a != 'e' || n < 5) return n - 1;
    if (b == 'i') {
        *y = true;
        return n - 3;
    }
    bool hiss = b == 'x' || b == 'z' || (b == 's' && (p[n - 4] | 0x20) == 's') ||
                (b == 'h' && ((p[n - 4] | 0x20) == 'c' || (p[n - 4] | 0x20) == 's'));
    return hiss ? n - 2 : n - 1;
}

/* n < 8 bytes at p; what is there before `end` may be read. */
static inline uint64_t few_bytes(const char *p, size_t n, const char *end) {
    uint64_t bytes = 0;
    if (end - p < 8) {
        for (size_t i = 0; i < n; i++) bytes |= (uint64_t)(unsigned char)p[i] << 8 * i;
        return bytes;
    }
    memcpy(&bytes, p, 8);
    return bytes & ((UINT64_C(1) << 8 * n) - 1);
}

static inline uint64_t hash_ascii(const char *p, size_t n, const char *end) {
    uint64_t h = SEED + n, bytes;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&bytes, p, 8);
        h = text_mix(h ^ (bytes | SMALL));
    }
    return text_mix(h ^ (few_bytes(p, n, end) | (SMALL & ((UINT64_C(1) << 8 * n) - 1))));
}

static void flush(struct text_sink *sink) {
    if (sink->n > 0) sink->put(sink);
    sink->n = 0;
    sink->asks = 0;
}

static inline void put(struct text_sink *sink, uint64_t hash, bool asks) {
    sink->asks |= (uint64_t)asks << sink->n;
    sink->hashes[sink->n++] = hash;
    if (sink->n == TEXT_TERMS_MOST) flush(sink);
}

static void put_ascii(struct text_sink *sink, const char *p, size_t n, bool letters, const char *end) {
    bool y = false, asks = letters && sink->want_asks && text_word_is_question(p, n);
    char with_y[32];
    if (letters && n < sizeof(with_y)) n = singular(p, n, &y);
    if (y) {
        memcpy(with_y, p, n);
        with_y[n++] = 'y';
        p = with_y;
        end = p + n;
    }
    put(sink, hash_ascii(p, n, end), asks);
}

/* A word with other letters than those of ASCII, at p; returns its end. */
static const char *put_wide(struct text_sink *sink, const char *p, const char *end) {
    uint64_t h = SEED;
    while (p < end) {
        size_t len;
        uint32_t c = text_char(p, &len);
        if (!in_word(c)) break;
        h = STEP(h, lower(c));
        p += len;
    }
    put(sink, text_mix(h), false);
    return p;
}

enum { LETTERS = 1, DIGITS = 2, BOTH = 3, APOSTROPHE = 4, WIDE = 8 };
static const unsigned char kinds_of[256] = {
    ['0' ... '9'] = DIGITS, ['A' ... 'Z'] = LETTERS, ['a' ... 'z'] = LETTERS, ['_'] = BOTH, ['\''] = APOSTROPHE,
    [0x80 ... 0xFF] = WIDE,
};

/* A word or a number that begins with ASCII at p; returns its end. */
static const char *word(struct text_sink *sink, const char *p, const char *end) {
    const char *q = p + text_letters(p, end);
    unsigned kinds = q > p ? LETTERS : 0, kind = q < end ? kinds_of[(unsigned char)*q] : 0;
    if (kinds == LETTERS && kind == 0) { /* most are */
        size_t n = (size_t)(q - p);
        bool plain = n < 8 && end - p >= 8 && (q[-1] | 0x20) != 's' && !sink->want_asks;
        if (plain) put(sink, hash_ascii(p, n, end), false); /* what put_ascii() does */
        else put_ascii(sink, p, n, true, end);
        return q;
    }
    while (q < end && ((kind = kinds_of[(unsigned char)*q]) & BOTH) != 0) {
        kinds |= kind;
        q++;
    }
    bool letters = kinds == LETTERS, digits = kinds == DIGITS;
    if (q < end && (unsigned char)*q >= 0xC3) {
        size_t len;
        if (in_word(text_char(q, &len))) return put_wide(sink, p, end);
    }
    if (digits) /* 3.14, 1,000, 12:30, 2024-05-01 */
        while (q + 1 < end && (*q == '.' || *q == ',' || *q == ':' || *q == '-') && text_is_digit(q[1]))
            for (q++; q < end && text_is_digit(*q);) q++;
    put_ascii(sink, p, (size_t)(q - p), letters, end);
    if (q + 1 < end && *q == '\'' && (q[1] == 's' || q[1] == 't') && (q + 2 == end || !text_is_alnum(q[2]))) q += 2;
    return q;
}

/* Pairs of the characters without spaces from p, the first of which is c. */
static const char *pairs(struct text_sink *sink, const char *p, const char *end, uint32_t c, size_t len) {
    bool alone = true;
    for (p += len; p < end; p += len) {
        uint32_t next = text_char(p, &len);
        if (!is_dense(next)) break;
        put(sink, text_mix((uint64_t)c << 32 | next), sink->want_asks && text_zh_is_question(c, next));
        c = next;
        alone = false;
    }
    if (alone) put(sink, text_mix((uint64_t)c << 32), false);
    return p;
}

void text_terms(struct slice text, struct text_sink *sink) {
    const char *p = text.ptr, *end = p + text.len;
    while (p < end) {
        unsigned kind = kinds_of[(unsigned char)*p];
        if (kind != WIDE) {
            p = kind & BOTH ? word(sink, p, end) : p + 1;
            continue;
        }
        size_t len;
        uint32_t c = text_char(p, &len);
        if (c == 0xFF0C || c == 0x3002 || c == 0x3001) p += len; /* ，。、 end most rows of pairs */
        else if (is_dense(c)) p = pairs(sink, p, end, c, len);
        else if (in_word(c)) p = put_wide(sink, p, end);
        else p += len;
    }
    flush(sink);
}
