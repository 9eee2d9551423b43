/* pretokenize.c -- the pre-tokenizers, by hand.
 *
 * A tokenizer first cuts text by a regular expression and then merges bytes within
 * each piece.  A general engine would be most of the cost, so each expression that
 * models use is a function here that finds where the piece at p ends.  What makes
 * them exact is following the order of alternatives and what backtracking would
 * leave; the expressions stand above their functions.
 *
 * All of them end in the same three alternatives for white space:
 *
 *     \s*[\r\n]+    up to the last line end of the run
 *     \s+(?!\S)     all but the last character, which may lead the next word
 *     \s+
 *
 * Characters are decoded and checked here, so nobody else has to look for ill-formed
 * bytes: a function returns NULL when it meets some at or after p.
 *
 * Thread: any.  Keeps nothing. */
#include "tokens/pretokenize.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tokens/unicode.h"

#define BAD 15u /* a class that no character has */

enum { /* sets of classes */
    IS_LETTER = 1 << UC_UPPER | 1 << UC_LOWER | 1 << UC_LETTER,
    IS_UPPERISH = 1 << UC_UPPER | 1 << UC_LETTER | 1 << UC_MARK,
    IS_LOWERISH = 1 << UC_LOWER | 1 << UC_LETTER | 1 << UC_MARK,
    IS_WORD = IS_UPPERISH | IS_LOWERISH,
    IS_NUMBER = 1 << UC_NUMBER,
    IS_SPACE = 1 << UC_SPACE | 1 << UC_NEWLINE,
    IS_PUNCT = 1 << UC_PUNCT | 1 << UC_SYMBOL,
    IS_OTHER = 1 << UC_OTHER | 1 << UC_MARK | IS_PUNCT, /* [^\s\p{L}\p{N}] */
    IS_BAD = 1 << BAD
};

static inline bool in(unsigned class, unsigned set) { return set >> class & 1; }

/* The class of the character at p and its length; at the end: UC_OTHER of length 0. */
static inline unsigned look(const unsigned char *p, const unsigned char *end, unsigned *len) {
    if (p >= end) {
        *len = 0;
        return UC_OTHER;
    }
    if (*p < 0x80) {
        *len = 1;
        return unicode_ascii[*p];
    }
    uint32_t c;
    *len = unicode_decode(p, end, &c);
    return *len == 0 ? BAD : unicode_class(c);
}

/* Skips characters of a set.  Stops before an ill-formed one, too. */
static inline const unsigned char *skip(const unsigned char *p, const unsigned char *end, unsigned set) {
    while (p < end) {
        unsigned len, class = look(p, end, &len);
        if (!in(class, set)) break;
        p += len;
    }
    return p;
}

/* At most n characters of a set. */
static inline const unsigned char *skip_some(const unsigned char *p, const unsigned char *end, unsigned set,
                                             unsigned n) {
    while (p < end && n-- > 0) {
        unsigned len, class = look(p, end, &len);
        if (!in(class, set)) break;
        p += len;
    }
    return p;
}

static inline const unsigned char *skip_newlines(const unsigned char *p, const unsigned char *end, bool slash) {
    while (p < end && (*p == '\r' || *p == '\n' || (slash && *p == '/'))) p++;
    return p;
}

/* Length of (?i:'s|'t|'re|'ve|'m|'ll|'d) at p, or 0.  U+017F is an s in any case. */
static inline size_t contraction(const unsigned char *p, const unsigned char *end) {
    if (end - p < 2 || *p != '\'') return 0;
    unsigned a = p[1] | 32u;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (end - p < 3) return 0;
    if (p[1] == 0xC5 && p[2] == 0xBF) return 3;
    unsigned b = p[2] | 32u;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* The alternatives for white space; p is on some.  whole: a run that ends the text is
 * one piece even when it holds line ends (\s++$ comes first). */
static const unsigned char *spaces(const unsigned char *p, const unsigned char *end, bool whole) {
    const unsigned char *q = p, *last = p, *line_end = NULL;
    while (q < end) {
        unsigned len, class = look(q, end, &len);
        if (!in(class, IS_SPACE)) break;
        last = q;
        q += len;
        if (class == UC_NEWLINE) line_end = q;
    }
    if (whole && q == end) return q;
    if (line_end != NULL) return line_end;
    return q == end || last == p ? q : last;
}

/* -- o200k ------------------------------------------------------------------------------
 *
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
 * \p{N}{1,3}
 *  ?[^\s\p{L}\p{N}]+[\r\n/]*
 * \s*[\r\n]+ | \s+(?!\S) | \s+
 *
 * UPPER* LOWER+ over sets that share letters without case and marks: the first star is
 * greedy, and when nothing is left for the plus it gives back up to the last shared
 * character. */

/* The first line without prefix and contraction, or NULL.  *upper_end: where its first
 * star ended, which is the second line's match when the first has none. */
static inline const unsigned char *cased_word(const unsigned char *p, const unsigned char *end,
                                              const unsigned char **upper_end) {
    const unsigned char *q = p, *shared = NULL;
    while (q < end) {
        unsigned len, class = look(q, end, &len);
        if (!in(class, IS_UPPERISH)) break;
        q += len;
        if (class != UC_UPPER) shared = q;
    }
    *upper_end = q;
    const unsigned char *r = skip(q, end, IS_LOWERISH);
    return r > q ? r : shared;
}

static const unsigned char *o200k(const unsigned char *p, const unsigned char *end) {
    unsigned len, class = look(p, end, &len);
    const unsigned char *upper, *upper_after = NULL, *q;
    if (class == BAD) return NULL;
    if (in(class, IS_NUMBER)) return skip_some(p + len, end, IS_NUMBER, 2);

    if (in(class, IS_LETTER)) {
        q = cased_word(p, end, &upper);
        if (q == NULL) q = upper;
        return q + contraction(q, end);
    }
    if (class != UC_NEWLINE) {
        q = cased_word(p + len, end, &upper_after);
        if (q == NULL && class == UC_MARK) q = cased_word(p, end, &upper);
        if (q == NULL && upper_after > p + len) q = upper_after;
        if (q != NULL) return q + contraction(q, end);

        const unsigned char *from = *p == ' ' ? p + 1 : p;
        q = skip(from, end, IS_OTHER);
        if (q > from) return skip_newlines(q, end, true);
    }
    return spaces(p, end, false);
}

/* -- cl100k, llama3, qwen -------------------------------------------------------------------
 *
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)
 * [^\r\n\p{L}\p{N}]?\p{L}+
 * \p{N}{1,3}                       qwen: \p{N}
 *  ?[^\s\p{L}\p{N}]+[\r\n]*
 * \s*[\r\n]+ | \s+(?!\S) | \s+     cl100k: \s++$ comes first
 */
static inline const unsigned char *plain_word(const unsigned char *p, const unsigned char *end, unsigned digits,
                                              bool whole) {
    unsigned len, class = look(p, end, &len);
    const unsigned char *q;
    if (class == BAD) return NULL;
    if (in(class, IS_LETTER)) return skip(p + len, end, IS_LETTER);
    if (in(class, IS_NUMBER)) return skip_some(p + len, end, IS_NUMBER, digits - 1);
    if (class != UC_NEWLINE) {
        size_t n = contraction(p, end);
        if (n > 0) return p + n;
        q = skip(p + len, end, IS_LETTER);
        if (q > p + len) return q;

        const unsigned char *from = *p == ' ' ? p + 1 : p;
        q = skip(from, end, IS_OTHER);
        if (q > from) return skip_newlines(q, end, false);
    }
    return spaces(p, end, whole);
}

static const unsigned char *cl100k(const unsigned char *p, const unsigned char *end) {
    return plain_word(p, end, 3, true);
}
static const unsigned char *llama3(const unsigned char *p, const unsigned char *end) {
    return plain_word(p, end, 3, false);
}
static const unsigned char *qwen(const unsigned char *p, const unsigned char *end) {
    return plain_word(p, end, 1, false);
}

/* -- gpt2, digits -------------------------------------------------------------------------------------
 *
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Small letters only in the contractions; line ends are white space like other.  With
 * digits, every number was cut out before, so it is the end of what look-ahead sees. */
static inline const unsigned char *bytelevel(const unsigned char *p, const unsigned char *end, bool digits) {
    const unsigned sets[] = { IS_LETTER, digits ? 0 : IS_NUMBER, IS_OTHER };
    unsigned len, class = look(p, end, &len);
    if (class == BAD) return NULL;
    if (digits && class == UC_NUMBER) return p + len;
    size_t n = contraction(p, end);
    if (n > 0 && p[1] >= 'a' && p[1] < 0x80 && (n == 2 || p[2] >= 'a')) return p + n;
    const unsigned char *from = *p == ' ' ? p + 1 : p;
    for (unsigned i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        const unsigned char *q = skip(from, end, sets[i]);
        if (q > from) return q;
    }
    const unsigned char *q = p, *last = p;
    while (q < end && in(class = look(q, end, &len), IS_SPACE)) {
        last = q;
        q += len;
    }
    return q == end || last == p || (digits && class == UC_NUMBER) ? q : last;
}

static const unsigned char *gpt2(const unsigned char *p, const unsigned char *end) {
    return bytelevel(p, end, false);
}
static const unsigned char *digits_then_gpt2(const unsigned char *p, const unsigned char *end) {
    return bytelevel(p, end, true);
}

/* -- deepseek ------------------------------------------------------------------------------------
 *
 * Three splits, each within the pieces of the one before, each keeping what it does not
 * match as a piece:
 *
 *     \p{N}{1,3}
 *     [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+
 *     [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+
 *     [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 *      ?[\p{P}\p{S}]+[\r\n]*
 *     \s*[\r\n]+ | \s+(?!\S) | \s+
 *
 * So a number or one of those letters ends the text as far as the last five are
 * concerned: it is the end that look-ahead sees. */
static inline bool is_east_asian(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

/* Class as look(), but END for what the outer splits take. */
#define END 14u
static inline unsigned look_inside(const unsigned char *p, const unsigned char *end, unsigned *len) {
    *len = 0;
    if (p >= end) return END;
    uint32_t c;
    *len = unicode_decode(p, end, &c);
    if (*len == 0) return BAD;
    unsigned class = unicode_class(c);
    return class == UC_NUMBER || is_east_asian(c) ? END : class;
}
static inline const unsigned char *skip_inside(const unsigned char *p, const unsigned char *end, unsigned set) {
    for (;;) {
        unsigned len, class = look_inside(p, end, &len);
        if (!in(class, set)) return p;
        p += len;
    }
}

static const unsigned char *skip_east_asian(const unsigned char *p, const unsigned char *end) {
    while (p < end) {
        uint32_t c;
        unsigned len = unicode_decode(p, end, &c);
        if (len == 0 || !is_east_asian(c)) break;
        p += len;
    }
    return p;
}

static const unsigned char *spaces_inside(const unsigned char *p, const unsigned char *end) {
    const unsigned char *q = p, *last = p, *line_end = NULL;
    unsigned len, class;
    for (;;) {
        class = look_inside(q, end, &len);
        if (!in(class, IS_SPACE)) break;
        last = q;
        q += len;
        if (class == UC_NEWLINE) line_end = q;
    }
    if (line_end != NULL) return line_end;
    return class == END || last == p ? q : last;
}

static inline bool is_ascii_letter(unsigned char c) { return (unsigned)(c | 32) - 'a' < 26; }
static inline bool is_ascii_punct(unsigned char c) {
    return (c > 32 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 127);
}

/* The innermost expression at p, or NULL: no match here. */
static inline const unsigned char *deepseek_match(const unsigned char *p, const unsigned char *end, unsigned class,
                                                  unsigned len) {
    enum { LETTERS = IS_LETTER | 1 << UC_MARK };
    const unsigned char *q;
    if (is_ascii_punct(*p) && end - p > 1 && is_ascii_letter(p[1])) {
        for (q = p + 2; q < end && is_ascii_letter(*q);) q++;
        return q;
    }
    if (in(class, 1 << UC_OTHER | 1 << UC_SPACE | 1 << UC_MARK)) {
        q = skip_inside(p + len, end, LETTERS);
        if (q > p + len) return q;
    }
    if (in(class, LETTERS)) return skip_inside(p + len, end, LETTERS);
    const unsigned char *from = *p == ' ' ? p + 1 : p;
    q = skip_inside(from, end, IS_PUNCT);
    if (q > from) return skip_newlines(q, end, false);
    return in(class, IS_SPACE) ? spaces_inside(p, end) : NULL;
}

static const unsigned char *deepseek(const unsigned char *p, const unsigned char *end) {
    unsigned len, class = look(p, end, &len);
    if (class == BAD) return NULL;
    if (class == UC_NUMBER) return skip_some(p + len, end, IS_NUMBER, 2);
    const unsigned char *q = skip_east_asian(p, end);
    if (q > p) return q;

    q = deepseek_match(p, end, class, len);
    if (q != NULL) return q;
    /* Controls and the like: no match until something else begins. */
    for (p += len;; p += len) {
        class = look_inside(p, end, &len);
        if (class == END || class == BAD || deepseek_match(p, end, class, len) != NULL) return p;
    }
}

/* -- Which ------------------------------------------------------------------------------------- */

static const unsigned char *none(const unsigned char *p, const unsigned char *end) {
    p = skip(p, end, ~(unsigned)IS_BAD);
    return p == end ? p : NULL;
}

static const struct {
    const char *name;
    pretokenize_fn   *rule;
} rules[PRETOKENIZE_KINDS] = { /* ORDER enum pretokenize_kind */
    { "none", none }, { "gpt2", gpt2 }, { "cl100k", cl100k }, { "llama3", llama3 },
    { "qwen", qwen }, { "o200k", o200k }, { "deepseek", deepseek }, { "digits", digits_then_gpt2 },
};

pretokenize_fn *pretokenize_rule(enum pretokenize_kind kind) { return rules[kind].rule; }
const char *pretokenize_name(enum pretokenize_kind kind) { return rules[kind].name; }
