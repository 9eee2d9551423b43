/* scan.h -- what the files that look for spans share. Private to text_*.c and trim_*.c. */
#ifndef PERILUNE_TEXT_SCAN_H
#define PERILUNE_TEXT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "text/spans.h"

/* What ends a span.  ORDER find_closer in spans.c. */
enum text_closer {
    CLOSE_DOUBLE, CLOSE_SINGLE, CLOSE_CURLY2, CLOSE_CURLY1, CLOSE_CORNER, CLOSE_CORNER2, CLOSE_BOOK, CLOSE_BOOK1,
    CLOSE_GUILLEMET, CLOSE_TAG, CLOSE_DOLLAR, CLOSE_DOLLARS, CLOSE_BRACKET, CLOSE_PAREN, CLOSE_EMPTY_LINE,
    CLOSE_TICKS, CLOSE_TICKS_LAST = CLOSE_TICKS + 7, CLOSERS
};

struct text_scan {
    const char *text, *end;
    const char *at;
    const char *line_end;           /* of the line that at is in: its \n, or end */
    const char *quote_end;          /* inside a quote: its end; else not above at */
    const char *table_end;          /* inside a table; else not above at */
    const char *closer[CLOSERS];    /* the first at or behind the last place asked for; NULL: not asked yet */
    const char *json_dead;          /* brackets in front of it are not JSON, but for those in json_found */
    struct buf  json_found;         /* struct text_span */
    size_t      json_taken;         /* of json_found */
    struct buf *out;
    unsigned    mask;
    bool        was_empty, in_list; /* the line before; the paragraph above */
};

/* ORDER: classes of bytes.  What may stand in a run: text that is looked at as one. */
enum {
    RUN_LETTER = 1, RUN_DIGIT = 2, RUN_DOT = 4, RUN_SLASH = 8, RUN_HYPHEN = 16, RUN_UNDERSCORE = 32, RUN_AT = 64,
    RUN_COLON = 128
};

static inline bool text_is_letter(char c) { return (unsigned)((unsigned char)c | 0x20) - 'a' < 26; }
static inline bool text_is_digit(char c) { return (unsigned)(unsigned char)c - '0' < 10; }
static inline bool text_is_alnum(char c) { return text_is_letter(c) || text_is_digit(c); }
static inline bool text_is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* How many letters of ASCII stand at p. */
static inline size_t text_letters(const char *p, const char *end) {
    const char *q = p;
#ifdef __SSE2__
    const __m128i small = _mm_set1_epi8(0x20), first = _mm_set1_epi8('a'), last = _mm_set1_epi8('z' - 'a');
    for (; end - q >= 16; q += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)q);
        x = _mm_sub_epi8(_mm_or_si128(x, small), first);
        unsigned others = ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, last), x)) & 0xFFFF;
        if (others != 0) return (size_t)(q - p) + (unsigned)__builtin_ctz(others);
    }
#endif
    while (q < end && text_is_letter(*q)) q++;
    return (size_t)(q - p);
}

static inline void text_emit(struct text_scan *s, unsigned type, const char *from, const char *to) {
    if ((s->mask >> type & 1) == 0) return;
    struct text_span span = { (uint32_t)(from - s->text), (uint32_t)(to - s->text), type };
    buf_put(s->out, &span, sizeof(span));
}

/* The character of well-formed text at p, and its length. */
static inline uint32_t text_char(const char *p, size_t *len) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80) return *len = 1, u[0];
    if (u[0] < 0xE0) return *len = 2, (u[0] & 31u) << 6 | (u[1] & 63u);
    if (u[0] < 0xF0) return *len = 3, (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
    return *len = 4, (u[0] & 7u) << 18 | (u[1] & 63u) << 12 | (u[2] & 63u) << 6 | (u[3] & 63u);
}

/* runs.c: a run of ASCII at s->at, which is not the end: emits what it is, and moves
 * s->at behind it. */
void text_scan_run(struct text_scan *s);
/* runs.c: numbers that begin with another character than ASCII; false: it is none. */
bool text_scan_number(struct text_scan *s, uint32_t c, size_t len);

/* braces.c: JSON that begins at s->at, { or [, and ends at or before limit.
 * Returns its end, or NULL. */
const char *text_scan_json(struct text_scan *s, const char *limit);

#endif
