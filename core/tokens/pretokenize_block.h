/* pretokenize_block.h -- where the ASCII pieces of the next 64 bytes end, all at once.
 *
 * Which bytes are letters, small letters, digits, spaces ... is a mask of 64 bits each;
 * a rule is then a few shifts of masks, and no branch depends on the text but the rare
 * ones.  What a shift cannot see (a space that may be the last of its run, an apostrophe
 * that needs two more letters, whatever stands beside a byte outside ASCII) is not said:
 * only ends that hold whatever comes after the 64 bytes are.
 *
 *     text      f o o ( x ) ; \n     / * b a r
 *     ends            ^   ^     ...                       a bit at the byte after a piece
 *
 * Bytes are classified by SSE2, or in plain C, eight in a word.  Where there is SSE2 both
 * are there, and test_split.c holds them against each other and against pretokenize.c;
 * `make CFLAGS="-g -U__SSE2__"` builds a program that uses plain C throughout.
 *
 * Private to core/llm. */
#ifndef PERILUNE_TOKENS_PRETOKENIZE_BLOCK_H
#define PERILUNE_TOKENS_PRETOKENIZE_BLOCK_H

#include <stdint.h>
#include <string.h>

#include "tokens/pretokenize.h"

#define PRETOKENIZE_BLOCK 64 /* bytes that are looked at */

/* A bit per byte, the first lowest.  Bytes outside ASCII are in high only. */
struct pretokenize_masks {
    uint64_t letter, small, digit, space, newline, blank, slash, quote, high;
};

/* -- Plain C ---------------------------------------------------------------------------- */

#define PRETOKENIZE_EACH 0x0101010101010101ull

/* The highest bit of each byte of x that is first..last; x is ASCII. */
static inline uint64_t pretokenize_word_range(uint64_t x, unsigned first, unsigned last) {
    return (x + (0x80 - first) * PRETOKENIZE_EACH) & ~(x + (0x7F - last) * PRETOKENIZE_EACH);
}
/* The highest bits of eight bytes, side by side. */
static inline uint64_t pretokenize_word_bits(uint64_t x) {
    return (x >> 7 & PRETOKENIZE_EACH) * 0x0102040810204080ull >> 56;
}

static inline struct pretokenize_masks pretokenize_masks_plain(const unsigned char *p) {
    struct pretokenize_masks m = { 0 };
    for (unsigned i = 0; i < PRETOKENIZE_BLOCK; i += 8) {
        uint64_t raw = 0;
        for (unsigned k = 0; k < 8; k++) raw |= (uint64_t)p[i + k] << (8 * k);
        uint64_t x = raw & 0x7F * PRETOKENIZE_EACH, ascii = ~raw;
        uint64_t letter = pretokenize_word_range(x | 0x20 * PRETOKENIZE_EACH, 'a', 'z') & ascii;
        uint64_t newline = (pretokenize_word_range(x, '\n', '\n') | pretokenize_word_range(x, '\r', '\r')) & ascii;
        uint64_t blank = pretokenize_word_range(x, ' ', ' ') & ascii;
        m.letter |= pretokenize_word_bits(letter) << i;
        m.small |= pretokenize_word_bits(letter & x << 2) << i; /* bit 5 tells the case */
        m.digit |= pretokenize_word_bits(pretokenize_word_range(x, '0', '9') & ascii) << i;
        m.newline |= pretokenize_word_bits(newline) << i;
        m.blank |= pretokenize_word_bits(blank) << i;
        m.space |= pretokenize_word_bits((pretokenize_word_range(x, '\t', '\r') & ascii) | blank) << i;
        m.slash |= pretokenize_word_bits(pretokenize_word_range(x, '/', '/') & ascii) << i;
        m.quote |= pretokenize_word_bits(pretokenize_word_range(x, '\'', '\'') & ascii) << i;
        m.high |= pretokenize_word_bits(raw) << i;
    }
    return m;
}

/* -- SSE2 --------------------------------------------------------------------------------- */

#ifdef __SSE2__

static inline uint64_t pretokenize_move(__m128i x) { return (unsigned)_mm_movemask_epi8(x); }
static inline __m128i pretokenize_among(__m128i x, char first, int count) { /* first <= byte < first + count */
    __m128i shifted = _mm_sub_epi8(x, _mm_set1_epi8((char)(first + 128)));
    return _mm_cmplt_epi8(shifted, _mm_set1_epi8((char)(count - 128)));
}
static inline __m128i pretokenize_equal(__m128i x, char c) { return _mm_cmpeq_epi8(x, _mm_set1_epi8(c)); }

static inline __attribute__((always_inline)) struct pretokenize_masks pretokenize_masks(const unsigned char *p) {
    struct pretokenize_masks m = { 0 };
    for (unsigned i = 0; i < PRETOKENIZE_BLOCK; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i letter = pretokenize_among(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26),
                blank = pretokenize_equal(x, ' ');
        m.letter |= pretokenize_move(letter) << i;
        m.small |= pretokenize_move(_mm_and_si128(letter, _mm_slli_epi16(x, 2))) << i; /* bit 5 tells the case */
        m.digit |= pretokenize_move(pretokenize_among(x, '0', 10)) << i;
        m.newline |= pretokenize_move(_mm_or_si128(pretokenize_equal(x, '\n'), pretokenize_equal(x, '\r'))) << i;
        m.blank |= pretokenize_move(blank) << i;
        m.space |= pretokenize_move(_mm_or_si128(pretokenize_among(x, '\t', 5), blank)) << i;
        m.slash |= pretokenize_move(pretokenize_equal(x, '/')) << i;
        m.quote |= pretokenize_move(pretokenize_equal(x, '\'')) << i;
        m.high |= pretokenize_move(x) << i;
    }
    return m;
}

#else

static inline struct pretokenize_masks pretokenize_masks(const unsigned char *p) { return pretokenize_masks_plain(p); }

#endif

/* -- The rules ------------------------------------------------------------------------------ */

/* Length of (?i:'s|'t|'re|'ve|'m|'ll|'d) at an apostrophe, or 0; two more bytes are there. */
static inline unsigned pretokenize_contraction(const unsigned char *p) {
    unsigned a = p[1] | 32u, b = p[2] | 32u;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (b == 'e' && (a == 'r' || a == 'v')) || (a == 'l' && b == 'l') ? 3 : 0;
}

/* Contractions among the apostrophes in `quotes`, each between a letter and what may
 * be one: begins of pieces with those taken into account. */
static inline uint64_t pretokenize_contractions(const unsigned char *p, uint64_t quotes, uint64_t letter, bool cased,
                                                uint64_t starts) {
    for (quotes &= ((uint64_t)1 << 61) - 1; quotes != 0;) {
        unsigned at = (unsigned)__builtin_ctzll(quotes), len = pretokenize_contraction(p + at);
        quotes &= quotes - 1;
        if (len == 0) continue;
        uint64_t behind = (uint64_t)1 << (at + len);
        if (cased) starts &= ~(behind - ((uint64_t)1 << at)); /* it belongs to the word before */
        starts |= behind & letter;
        if (cased) quotes &= ~behind; /* what comes next has no word before it any more */
    }
    return starts;
}

/* White space between line ends goes with them, which is only seen from behind: at the line
 * ends in `blank`.  Not where the first of the two belongs to punctuation before it. */
static inline uint64_t pretokenize_blank_lines(uint64_t gap, uint64_t blank, uint64_t taken, uint64_t starts) {
    for (; blank != 0; blank &= blank - 1) {
        unsigned at = (unsigned)__builtin_ctzll(blank);
        unsigned run = (unsigned)__builtin_clzll(~(gap << (PRETOKENIZE_BLOCK - at)));
        starts &= ~((uint64_t)1 << (at - run)) | taken << 1;
    }
    return starts;
}

/* Up to which bit begins of pieces are known, when the first byte outside ASCII is the
 * one at `end` (PRETOKENIZE_BLOCK: none is). */
static inline unsigned pretokenize_known(const struct pretokenize_masks *m, unsigned end) {
    uint64_t no_space = ~m->space << (PRETOKENIZE_BLOCK - end);
    unsigned run = no_space == 0 ? end : (unsigned)__builtin_clzll(no_space);
    unsigned known = run > 0 ? end - run : end - 1 - (unsigned)(m->quote >> (end - 1) & 1);
    return known < 60 ? known : 60;
}

/* A bit for each byte of the 64 at p, at which a piece begins, where another than the
 * first ends.  p is where a piece begins and has 64 bytes before the text's end.  0: ask
 * the rule.  r.digits is not 0. */
static inline __attribute__((always_inline)) uint64_t
pretokenize_block(const unsigned char *p, const struct pretokenize_ascii r) {
    const struct pretokenize_masks m = pretokenize_masks(p);
    unsigned end = m.high == 0 ? PRETOKENIZE_BLOCK : (unsigned)__builtin_ctzll(m.high);
    if (end < 2) return 0;
    unsigned known = pretokenize_known(&m, end);
    uint64_t other = ~(m.letter | m.digit | m.space | m.high), gap = m.space & ~m.newline;

    /* Line ends (and slashes among them) behind punctuation belong to it.  Adding lets
     * the carry run to the end of each run; what it began with is set again. */
    uint64_t tail = r.slash ? m.newline | m.slash : m.newline, ends = m.newline & other << 1;
    uint64_t taken = (tail & ~(tail + ends)) | ends;
    other &= ~taken;

    uint64_t alone = other & ~(other << 1 | m.blank << 1) & ~(other >> 1) & m.letter >> 1; /* leads a word */
    uint64_t starts = m.letter & ~(m.letter << 1) & ~((alone | gap) << 1);
    if (r.cased) starts |= m.letter & ~m.small & m.small << 1;
    starts |= other & ~(other << 1 | m.blank << 1);
    starts |= m.space & ~(m.space << 1) & ~taken;
    starts |= gap & (m.newline << 1 | ~(m.space >> 1));

    uint64_t indent = gap & m.newline << 1, blank = (gap + indent) & ~gap & m.newline;
    if (blank != 0) starts = pretokenize_blank_lines(gap, blank, taken, starts);

    if (r.digits == 1) {
        starts |= m.digit;
    } else {
        uint64_t d = m.digit & ~(m.digit << 1), more = m.digit & m.digit << 1 & m.digit << 2 & m.digit << 3;
        for (; d != 0; d = d << 3 & more) starts |= d;
    }
    uint64_t quotes = m.quote & (r.cased ? m.letter << 1 & m.letter >> 1 : alone);
    if (quotes != 0) starts = pretokenize_contractions(p, quotes, m.letter, r.cased, starts);
    return starts & (((uint64_t)2 << known) - 2);
}

#endif
