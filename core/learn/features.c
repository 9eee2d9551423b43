/* features.c -- what a linear model sees of a prompt.
 *
 *     "How do I sort?"  -->  words       how  do  i  sort  ?
 *                            pairs       how+do  do+i  i+sort  sort+?
 *                            inside      (4 letters in a row of words of 5 and more)
 *                       -->  shape       log(bytes), digits, marks, lines ..., and in which class of length it falls
 *
 * N-grams are not kept, only 32 bits of a hash of each: no vocabulary, no allocation, and a word that nobody saw
 * before costs what any other costs.  A model takes the upper bits, as many as its table has.
 *
 * Words are lower case.  A character of a script without spaces (Chinese, kana, Thai) is a word, and so pairs of
 * them are pairs; a punctuation mark is a word, too: code has others than prose.  Bytes that are no UTF-8 are
 * separators.
 *
 * Invariants: never more than FEATURES_WORDS hashes; the same text gives the same features in every process
 * and on every machine, for files keep what was learned of them.  Time is linear in the bytes looked at. */
#include "learn/features.h"

#include <math.h>
#include <stdbool.h>

#include "tokens/unicode.h"

#define GRAM 4 /* letters */

/* ORDER FEATURES_SHAPE: files keep weights in this order. */
enum shape {
    SHAPE_ONE, SHAPE_BYTES, SHAPE_BYTES_2, SHAPE_WORDS, SHAPE_LINES, SHAPE_WORD_LENGTH, SHAPE_DIGITS, SHAPE_NUMBERS,
    SHAPE_UPPER, SHAPE_WIDE, SHAPE_CODE, SHAPE_FENCES, SHAPE_MATH, SHAPE_QUESTIONS, SHAPE_TURNS, SHAPE_LONGEST_LINE,
    SHAPE_CLASS /* the first of CLASSES */
};
#define CLASSES (FEATURES_SHAPE - SHAPE_CLASS)

struct counts {
    unsigned letters, words, digits, numbers, upper, wide, code, math, questions, lines, fences;
    size_t   line, longest_line;
};

struct reading {
    struct features *f;
    uint64_t      word, before;  /* hashes of the word that is being read, and of the one before it; 0: none */
    unsigned      len;           /* bytes of the word */
    bool          number;        /* nothing but digits so far */
    uint32_t      last;          /* the last four bytes of the word, lower case */
    struct counts n;
};

#define START UINT64_C(0x9E3779B97F4A7C15)
#define TURN  UINT64_C(0xD6E8FEB86659FD93)

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= TURN;
    return h ^ h >> 29;
}

static void put(struct features *f, uint64_t h) {
    if (f->count < FEATURES_WORDS) f->hashes[f->count++] = (uint32_t)(mix(h) >> 32);
}

/* -- Words ------------------------------------------------------------------------------ */

static void end_word(struct reading *r) {
    if (r->len == 0) return;
    put(r->f, r->word);
    if (r->before != 0) put(r->f, r->before * 3 + r->word);
    r->before = r->word;
    r->n.words++;
    r->n.letters += r->len;
    r->n.numbers += r->number;
    r->len = 0;
}

static inline void add_byte(struct reading *r, unsigned char c) {
    if (r->len++ == 0) {
        r->word = START;
        r->last = 0;
        r->number = true;
    }
    r->word = (r->word ^ c) * UINT64_C(0x100000001b3);
    if (r->len == GRAM + 1) put(r->f, (uint64_t)r->last * START + 1); /* not before: a short word is its own n-gram */
    r->last = r->last << 8 | c;
    if (r->len > GRAM) put(r->f, (uint64_t)r->last * START + 1);
}

static void add_alone(struct reading *r, uint32_t c) {
    end_word(r);
    r->len = 1;
    r->number = false;
    r->word = (START ^ c) * UINT64_C(0x100000001b3);
    end_word(r);
}

/* -- Characters --------------------------------------------------------------------------- */

static void take_mark(struct reading *r, unsigned char c) {
    switch (c) {
    case '?': r->n.questions++; break;
    case '{': case '}': case '[': case ']': case '(': case ')': case ';': case '_': case '<': case '>': case '`':
        r->n.code++;
        break;
    case '+': case '*': case '/': case '^': case '=': case '\\': case '$': case '%': r->n.math++; break;
    default: break;
    }
    add_alone(r, c);
}

static void take_line(struct reading *r) {
    end_word(r);
    r->n.lines++;
    if (r->n.line > r->n.longest_line) r->n.longest_line = r->n.line;
    r->n.line = 0;
}

static void take_ascii(struct reading *r, unsigned char c) {
    r->n.line++;
    if (c >= 'a' && c <= 'z') {
        add_byte(r, c);
        r->number = false;
    } else if (c >= 'A' && c <= 'Z') {
        add_byte(r, c | 32);
        r->number = false;
        r->n.upper++;
    } else if (c >= '0' && c <= '9') {
        add_byte(r, c);
        r->n.digits++;
    } else if (c == '\n') {
        take_line(r);
    } else if (c <= ' ' || c == 0x7F) {
        end_word(r);
    } else {
        take_mark(r, c);
    }
}

/* Small letters of Latin-1, Greek and Cyrillic; others stay as they are. */
static uint32_t lower(uint32_t c) {
    bool latin = c >= 0xC0 && c <= 0xDE && c != 0xD7;
    if (latin || (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F)) return c + 32;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    return c;
}

/* Scripts that put no space between words: Thai to Khmer, and from the radicals of Chinese on but for Hangul. */
static bool is_alone(uint32_t c) {
    if (c >= 0xAC00 && c < 0xD7B0) return false;
    return (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1780 && c <= 0x17FF) || c >= 0x2E80;
}

static void take_wide(struct reading *r, uint32_t c, unsigned len) {
    r->n.line += len;
    r->n.wide++;
    unsigned kind = unicode_class(c);
    if (c == 0xFF1F) r->n.questions++; /* of full width */
    if (kind == UC_SPACE || kind == UC_NEWLINE) {
        end_word(r);
    } else if (is_alone(c) || kind == UC_PUNCT || kind == UC_SYMBOL) {
        add_alone(r, c);
    } else {
        c = lower(c);
        add_byte(r, (unsigned char)(c >> 8));
        add_byte(r, (unsigned char)c);
        r->number = false;
    }
}

static void take(struct reading *r, struct slice s) {
    const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;
    while (p < end) {
        if (*p < 0x80) {
            if (p[0] == '`' && end - p >= 3 && p[1] == '`' && p[2] == '`') r->n.fences++;
            take_ascii(r, *p++);
            continue;
        }
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        if (len > 0) take_wide(r, c, len);
        else end_word(r);
        p += len > 0 ? len : 1;
    }
    end_word(r);
}

/* -- Shape ----------------------------------------------------------------------------------- */

static float log_of(double v, double scale) { return (float)(log1p(v) / scale); }

static float share(unsigned part, size_t whole) { return whole > 0 ? (float)part / (float)whole : 0; }

/* Between two classes a text belongs to both: a byte more must not change a model's mind. */
static void put_class(struct features *f, size_t bytes) {
    float at = (float)(log2((double)bytes + 16) - 4); /* a class for each doubling from 16 bytes on */
    if (at > CLASSES - 1) at = CLASSES - 1;
    unsigned k = (unsigned)at;
    float over = at - (float)k;
    f->shape[SHAPE_CLASS + k] = 1 - over;
    if (k + 1 < CLASSES) f->shape[SHAPE_CLASS + k + 1] = over;
}

static void put_shape(struct features *f, const struct counts *n, size_t bytes, size_t seen, unsigned turns) {
    float *s = f->shape;
    for (unsigned i = 0; i < FEATURES_SHAPE; i++) s[i] = 0;
    s[SHAPE_ONE] = 1;
    s[SHAPE_BYTES] = log_of((double)bytes, 8);
    s[SHAPE_BYTES_2] = s[SHAPE_BYTES] * s[SHAPE_BYTES];
    s[SHAPE_WORDS] = log_of(n->words, 6);
    s[SHAPE_LINES] = log_of(n->lines, 3);
    s[SHAPE_WORD_LENGTH] = n->words > 0 ? (float)n->letters / (float)n->words / 8 : 0;
    s[SHAPE_DIGITS] = 4 * share(n->digits, seen);
    s[SHAPE_NUMBERS] = log_of(n->numbers, 3);
    s[SHAPE_UPPER] = 4 * share(n->upper, seen);
    s[SHAPE_WIDE] = 2 * share(n->wide, seen);
    s[SHAPE_CODE] = 4 * share(n->code, seen);
    s[SHAPE_FENCES] = n->fences > 0;
    s[SHAPE_MATH] = 8 * share(n->math, seen);
    s[SHAPE_QUESTIONS] = log_of(n->questions, 2);
    s[SHAPE_TURNS] = log_of(turns > 0 ? turns - 1 : 0, 3);
    s[SHAPE_LONGEST_LINE] = log_of((double)n->longest_line, 8);
    put_class(f, bytes);
}

void features_read(struct features *f, struct slice text, unsigned turns) {
    struct reading r = { .f = f };
    size_t front = text.len, back = 0;
    f->count = 0;
    if (text.len > FEATURES_TEXT) {
        front = FEATURES_TEXT / 4 * 3;
        back = FEATURES_TEXT - front;
    }
    take(&r, slice_of(text.ptr, front));
    if (back > 0) take(&r, slice_of(text.ptr + text.len - back, back));
    take_line(&r);
    put_shape(f, &r.n, text.len, front + back, turns);
}
