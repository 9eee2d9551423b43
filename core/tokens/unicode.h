/* unicode.h -- what kind of character, straight from UTF-8.  See unicode.c. */
#ifndef PERILUNE_TOKENS_UNICODE_H
#define PERILUNE_TOKENS_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

/* ORDER core/tokens/vocab/unicode.lua. The sets of the tokenizers' regular expressions. */
enum unicode_class {
    UC_OTHER,   /* controls, formats, unassigned, private */
    UC_UPPER,   /* \p{Lu} \p{Lt} */
    UC_LOWER,   /* \p{Ll} */
    UC_LETTER,  /* \p{Lm} \p{Lo} */
    UC_MARK,    /* \p{M} */
    UC_NUMBER,  /* \p{N} */
    UC_SPACE,   /* \s without the next */
    UC_NEWLINE, /* \r \n */
    UC_PUNCT,   /* \p{P} */
    UC_SYMBOL   /* \p{S} */
};

extern const unsigned char  unicode_top[];    /* code point >> 12 */
extern const unsigned short unicode_middle[]; /* >> 6 */
extern const char           unicode_leaf[];
extern const unsigned char  unicode_ascii[128]; /* the classes of ASCII, one step away */

static inline unsigned char unicode_raw(uint32_t c) {
    unsigned m = unicode_middle[unicode_top[c >> 12] * 64u + (c >> 6 & 63)];
    return (unsigned char)unicode_leaf[m * 64u + (c & 63)];
}
static inline unsigned unicode_class(uint32_t c) {
    if (c - 0x4E00 < 0xA000 - 0x4E00) return UC_LETTER; /* ideographs: most of Chinese, no table */
    return unicode_raw(c) & 15;
}
/* \w of a regular expression. */
static inline bool unicode_is_word(uint32_t c) { return unicode_raw(c) >= '@'; }

/* The character at p, which is before end; its length 1..4, or 0: ill-formed. */
static inline unsigned unicode_decode(const unsigned char *p, const unsigned char *end, uint32_t *c) {
    unsigned a = p[0];
    if (a < 0x80) {
        *c = a;
        return 1;
    }
    if (a >= 0xE0 && a < 0xF0) { /* first: most text that is not Latin */
        if (end - p < 3 || ((p[1] ^ 0x80) | (p[2] ^ 0x80)) >= 0x40) return 0;
        uint32_t x = (a & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63);
        if (x < 0x800 || (x - 0xD800) < 0x800) return 0; /* overlong, surrogate */
        *c = x;
        return 3;
    }
    if (a < 0xE0) {
        if (a < 0xC2 || end - p < 2 || (p[1] ^ 0x80) >= 0x40) return 0;
        *c = (a & 31) << 6 | (p[1] & 63);
        return 2;
    }
    if (end - p < 4 || ((p[1] ^ 0x80) | (p[2] ^ 0x80) | (p[3] ^ 0x80)) >= 0x40) return 0;
    uint32_t x = (a & 15) << 18 | (uint32_t)(p[1] & 63) << 12 | (uint32_t)(p[2] & 63) << 6 | (p[3] & 63);
    if (a > 0xF4 || x < 0x10000 || x > 0x10FFFF) return 0;
    *c = x;
    return 4;
}

#endif
