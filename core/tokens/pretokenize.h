/* pretokenize.h -- the rules that cut text into pieces before anything is merged.  See pretokenize.c. */
#ifndef PERILUNE_TOKENS_PRETOKENIZE_H
#define PERILUNE_TOKENS_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "tokens/unicode.h"

/* Written into files: never renumber. */
enum pretokenize_kind {
    PRETOKENIZE_NONE,     /* the whole text is one piece */
    PRETOKENIZE_GPT2,     /* ByteLevel with use_regex */
    PRETOKENIZE_CL100K,   /* tiktoken's cl100k_base */
    PRETOKENIZE_LLAMA3,   /* like it, but for white space at the end of the text */
    PRETOKENIZE_QWEN,     /* like llama3, digits one by one */
    PRETOKENIZE_O200K,
    PRETOKENIZE_DEEPSEEK, /* three splits, one inside the other */
    PRETOKENIZE_DIGITS,   /* Digits one by one, then as GPT2 */
    PRETOKENIZE_KINDS
};

/* The end of the piece that begins at p (before end, on a character), or NULL: the
 * bytes there are not UTF-8. */
typedef const unsigned char *pretokenize_fn(const unsigned char *p, const unsigned char *end);

pretokenize_fn   *pretokenize_rule(enum pretokenize_kind kind);
const char *pretokenize_name(enum pretokenize_kind kind);

/* -- The common case: a few ASCII characters --------------------------------------------- */

/* What differs between the rules, as far as ASCII goes.  Constants where it is used. */
struct pretokenize_ascii {
    bool     words;    /* words of letters with one other character before them */
    bool     cased;    /* a capital after a small letter begins a word; 's belongs to its word */
    bool     slash;    /* line ends and slashes belong to the punctuation before them */
    unsigned digits;   /* in one piece; 0: only words are common */
};
#define PRETOKENIZE_ASCII_O200K    ((struct pretokenize_ascii){ true, true, true, 3 })
#define PRETOKENIZE_ASCII_CL100K   ((struct pretokenize_ascii){ true, false, false, 3 }) /* and llama3 */
#define PRETOKENIZE_ASCII_QWEN     ((struct pretokenize_ascii){ true, false, false, 1 })
#define PRETOKENIZE_ASCII_DEEPSEEK ((struct pretokenize_ascii){ true, false, false, 0 })
#define PRETOKENIZE_ASCII_NONE     ((struct pretokenize_ascii){ false, false, false, 0 })

#ifdef __SSE2__

/* What the 16 bytes at p are, a bit each, the first lowest. */
struct pretokenize_bits {
    unsigned letter, small, digit, space, newline, slash, high;
};

static inline unsigned pretokenize_in(__m128i x, char first, int count) { /* first <= byte < first + count */
    __m128i shifted = _mm_sub_epi8(x, _mm_set1_epi8((char)(first + 128)));
    return (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(shifted, _mm_set1_epi8((char)(count - 128))));
}
static inline unsigned pretokenize_is(__m128i x, char c) {
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(c)));
}

static inline struct pretokenize_bits pretokenize_look(const unsigned char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    struct pretokenize_bits b;
    b.letter = pretokenize_in(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 26);
    b.small = b.letter & (unsigned)_mm_movemask_epi8(_mm_slli_epi16(x, 2)); /* bit 5 tells the case */
    b.digit = pretokenize_in(x, '0', 10);
    b.newline = pretokenize_is(x, '\n') | pretokenize_is(x, '\r');
    b.space = pretokenize_in(x, '\t', 5) | pretokenize_is(x, ' ');
    b.slash = pretokenize_is(x, '/');
    b.high = (unsigned)_mm_movemask_epi8(x);
    return b;
}

/* How many of the bits from i on are set, one after the other. */
static inline unsigned pretokenize_run(unsigned bits, unsigned i) { return (unsigned)__builtin_ctz(~(bits >> i)); }

/* The length of the piece at p when it is ASCII, short, and what comes after it ends it
 * whatever it is; 0: ask the rule.  p must have 16 bytes before the text's end. */
static inline __attribute__((always_inline)) unsigned
pretokenize_ascii(const unsigned char *p, struct pretokenize_ascii r) {
    const struct pretokenize_bits b = pretokenize_look(p);
    unsigned first = *p, n;
    if (first == '\'' && !r.cased) return 0; /* 's stands alone */

    unsigned prefix = (b.letter & 1) ^ 1;
    if ((b.letter >> prefix & 1) && !(prefix & (b.newline | b.digit | b.high))) {
        if (r.cased) {
            n = prefix + pretokenize_run(b.letter & ~b.small, prefix);
            n += pretokenize_run(b.small, n);
        } else {
            n = prefix + pretokenize_run(b.letter, prefix);
        }
        return n > 15 || p[n] >= 0x80 || (r.cased && p[n] == '\'') ? 0 : n;
    }
    if (r.digits == 0 || (b.high & 3)) return 0;
    if (b.digit & 1) {
        n = pretokenize_run(b.digit, 0);
        if (n >= r.digits) return r.digits;
        return b.high >> n & 1 ? 0 : n;
    }
    unsigned other = ~(b.letter | b.digit | b.space | b.high) & 0xFFFF;
    unsigned lead = first == ' ';
    if (other >> lead & 1) {
        n = lead + pretokenize_run(other, lead);
        if (b.high >> n & 1) return 0;
        n += pretokenize_run(r.slash ? b.newline | b.slash : b.newline, n);
        return n > 15 ? 0 : n;
    }
    n = pretokenize_run(b.space, 0);
    if (n > 15 || (b.high >> n & 1)) return 0;
    unsigned ends = b.newline & ((1u << n) - 1);
    if (ends != 0) return 32 - (unsigned)__builtin_clz(ends);
    return n > 1 ? n - 1 : 1;
}

#else /* the rules themselves are as good */

static inline unsigned pretokenize_ascii(const unsigned char *p, struct pretokenize_ascii r) {
    (void)p;
    (void)r;
    return 0;
}

#endif

#endif
