/* runs.c -- what a run of ASCII is: a word, a number, an address, a path, an ID.
 *
 * A run is what stands between spaces, brackets and quotes.  It is looked at as a whole,
 * because that tells more than its characters:
 *
 *     https://a.b/c?d=e   user@a.b   src/main.c   -12.5%   2024-05-01   ABC-123   don't
 *
 * Most runs are plain words, which are only compared with the words that must not be
 * lost.  A number takes its sign, its currency and its unit along: 5 GB, 30 万元, $1,000.
 *
 * Thread: that of the scan. */
#include <string.h>

#include "text/scan.h"
#include "text/words.h"

enum { OTHER = 256 }; /* a character of runs that has no class */

/* A run is looked at again behind an address in it.  Longer ones come in parts, so that
 * a megabyte of a@b.cd@b.cd is not looked at a hundred thousand times. */
#define RUN_MAX 256

/* 0: no character of runs. */
static const uint16_t classes[256] = {
    ['0' ... '9'] = RUN_DIGIT, ['A' ... 'Z'] = RUN_LETTER, ['a' ... 'z'] = RUN_LETTER, ['.'] = RUN_DOT,
    ['/'] = RUN_SLASH, ['\\'] = RUN_SLASH, ['-'] = RUN_HYPHEN, ['_'] = RUN_UNDERSCORE, ['@'] = RUN_AT,
    [':'] = RUN_COLON, ['~'] = OTHER, ['+'] = OTHER, ['%'] = OTHER, ['#'] = OTHER,
};

/* How far runs may go: the end of the line, or of the quote. */
static const char *limit_of(const struct text_scan *s) {
    return s->quote_end > s->at ? s->quote_end : s->line_end;
}

/* -- Words ------------------------------------------------------------------------------ */

/* Is there a 't at p, as in don't?  Its bytes. */
static size_t apostrophe_t(const char *p, const char *end) {
    size_t n = 0;
    if (p < end && *p == '\'') n = 1;
    else if (end - p >= 3 && memcmp(p, "\xe2\x80\x99", 3) == 0) n = 3; /* ’ */
    if (n == 0 || p + n >= end || (p[n] | 0x20) != 't') return 0;
    return p + n + 1 < end && text_is_alnum(p[n + 1]) ? 0 : n + 1;
}

/* The letters from p to end; returns what is behind them, n't included. */
static const char *word(struct text_scan *s, const char *p, const char *end, const char *limit) {
    size_t more = (end[-1] | 0x20) == 'n' ? apostrophe_t(end, limit) : 0;
    if (more > 0) {
        text_emit(s, TEXT_NEGATION, p, end + more);
        return end + more;
    }
    unsigned type = text_word_polarity(p, (size_t)(end - p));
    if (type != TEXT_WORD_PLAIN) text_emit(s, type, p, end);
    return end;
}

/* Nothing as a whole: its words, one by one. */
static const char *words(struct text_scan *s, const char *p, const char *end, const char *limit) {
    while (p < end) {
        if (!text_is_letter(*p)) {
            p++;
            continue;
        }
        const char *q = p;
        while (q < end && text_is_letter(*q)) q++;
        p = word(s, p, q, limit);
    }
    return p;
}

/* -- Addresses ---------------------------------------------------------------------------- */

static bool in_url(char c) { return text_is_alnum(c) || (c != '\0' && strchr("-._~:/?#@!$&()*+,;=%[]'", c) != NULL); }

/* Punctuation at the end belongs to the sentence; so does a bracket that was not opened. */
static const char *url_end(const char *p, const char *limit) {
    const char *from = p;
    int open = 0;
    for (; p < limit && in_url(*p); p++) {
        if (*p == '(') open++;
        if (*p == ')' && --open < 0) break;
    }
    while (p > from && strchr(".,;:!?'*([", p[-1]) != NULL) p--;
    return p;
}

/* scheme://... or www. in the run; its end, or NULL. */
static const char *url(struct text_scan *s, const char *p, const char *end, const char *limit) {
    const char *from = p;
    const char *mark = memmem(p, (size_t)(end - p), "://", 3);
    if (mark != NULL) {
        from = mark;
        while (from > p && (text_is_alnum(from[-1]) || from[-1] == '+' || from[-1] == '-' || from[-1] == '.')) from--;
        if (from == mark || !text_is_letter(*from)) return NULL;
        mark += 3;
    } else if (end - p > 6 && strncasecmp(p, "www.", 4) == 0) {
        mark = p + 4;
    } else {
        return NULL;
    }
    const char *to = url_end(mark, limit);
    if (to == mark) return NULL;
    text_emit(s, TEXT_URL, from, to);
    return to;
}

static bool in_local(char c) { return text_is_alnum(c) || (c != '\0' && strchr("._%+-", c) != NULL); }

static const char *email(struct text_scan *s, const char *p, const char *end) {
    const char *at = memchr(p, '@', (size_t)(end - p));
    const char *from = at, *to = at + 1, *dot = NULL;
    while (from > p && in_local(from[-1])) from--;
    for (; to < end && (text_is_alnum(*to) || *to == '.' || *to == '-'); to++)
        if (*to == '.') dot = to;
    while (to > at + 1 && !text_is_alnum(to[-1])) to--;
    if (from == at || dot == NULL || dot == at + 1 || to - dot < 3) return NULL;
    text_emit(s, TEXT_EMAIL, from, to);
    return to;
}

/* -- Numbers ------------------------------------------------------------------------------- */

/* Units behind a number, and more digits behind these: 2024年5月1日. */
static const char *with_units(const char *p, const char *limit) {
    const char *q = p;
    if (q < limit && *q == ' ') q++;
    const char *from = q;
    while (q < limit && text_is_letter(*q)) q++;
    size_t letters = (size_t)(q - from);
    bool whole = q == limit || !text_is_alnum(*q);
    if (letters > (from > p) && whole && text_word_is_unit(from, letters)) return q;
    bool any = false;
    for (q = from; q < limit;) {
        size_t len;
        uint32_t c = text_char(q, &len);
        size_t unit = text_zh_unit(c, q, limit);
        if (unit == 0 && !(any && text_is_digit(*q))) break;
        any = true;
        q += unit > 0 ? unit : len;
    }
    return any ? q : p;
}

static const char *number_span(struct text_scan *s, const char *from, const char *to, const char *limit) {
    to = with_units(to, limit);
    text_emit(s, TEXT_NUMBER, from, to);
    return to;
}

/* Is [p, end) a number with letters behind it: 5GB, 3rd, 1e-9, 0x1f, 2x, 12:30pm, 2024-05-01T12:00Z? */
static bool is_number_word(const char *p, const char *end) {
    const char *q = p;
    while (q < end && !text_is_letter(*q)) q++;
    size_t n = (size_t)(end - q);
    bool letters = true;
    for (const char *r = q; r < end; r++) letters &= text_is_letter(*r);
    if (letters && n <= 12 && text_word_is_unit(q, n)) return true;
    if (letters && n == 2 && (!strncasecmp(q, "st", 2) || !strncasecmp(q, "nd", 2) || !strncasecmp(q, "rd", 2) ||
                              !strncasecmp(q, "th", 2)))
        return true;
    if ((*q | 0x20) == 'x' && (n == 1 || (q == p + 1 && *p == '0'))) return true;
    if ((*q | 0x20) == 't' && q - p == 10) return true;
    if ((*q | 0x20) != 'e') return false;
    for (q++; q < end; q++)
        if (!text_is_digit(*q) && *q != '+' && *q != '-') return false;
    return true;
}

bool text_scan_number(struct text_scan *s, uint32_t c, size_t len) {
    const char *p = s->at, *q = p + len, *limit = limit_of(s);
    switch (c) {
    case '$': case 0xA3: case 0xA5: case 0x20AC: case 0xFFE5:          /* $£¥€￥ */
    case 0xB1: case 0x2264: case 0x2265: case 0x2248:                  /* ±≤≥≈ */
        while (q < limit && *q == ' ') q++;
        if (q == limit || !text_is_digit(*q)) return false;
        for (; q < limit; q++)
            if (!text_is_digit(*q) && !((*q == '.' || *q == ',') && q + 1 < limit && text_is_digit(q[1]))) break;
        if (q < limit && *q == '%') q++;
        s->at = number_span(s, p, q, limit);
        return true;
    default: break;
    }
    if (c >= 0xFF10 && c <= 0xFF19) { /* ０ to ９ */
        while (limit - q >= 3 && (text_char(q, &len) - 0xFF10 <= 9 || text_char(q, &len) == 0xFF0E)) q += 3;
        s->at = number_span(s, p, q, limit);
        return true;
    }
    if (!text_zh_is_numeral(c)) return false;
    if (limit - p > 9 && memcmp(p, "百分之", 9) == 0) q = p + 9;
    while (q < limit && text_zh_is_numeral(text_char(q, &len))) q += len;
    const char *to = with_units(q, limit);
    if (q - p < 6 && to == q) return false;
    text_emit(s, TEXT_NUMBER, p, to);
    s->at = to;
    return true;
}

/* -- Paths, IDs ------------------------------------------------------------------------------ */

/* Ends it like a file, in .c or .json, with a name of two characters at least (e.g. is
 * none), or of one behind a folder? */
static bool has_extension(const char *p, const char *end, bool folder) {
    const char *q = end;
    bool letter = false;
    while (q > p && (text_is_digit(q[-1]) || (q[-1] >= 'a' && q[-1] <= 'z'))) letter |= !text_is_digit(*--q);
    size_t n = (size_t)(end - q);
    return letter && n >= 1 && n <= 5 && q - p >= 3 && q[-1] == '.' && text_is_alnum(q[-2]) &&
           (folder || text_is_alnum(q[-3]));
}

static bool is_path(const char *p, const char *end, unsigned bits) {
    size_t n = (size_t)(end - p), slashes = 0;
    if (!(bits & RUN_LETTER)) return false;
    if (!(bits & RUN_SLASH) && text_is_digit(*p) && is_number_word(p, end)) return false; /* 7.5ms */
    if (!(bits & RUN_SLASH)) return (bits & RUN_DOT) && !(bits & RUN_COLON) && has_extension(p, end, false);
    for (const char *q = p; q < end; q++) slashes += *q == '/' || *q == '\\';
    if (n >= 3 && *p == '/' && p[1] != '/') return true;
    if (n >= 3 && (!memcmp(p, "./", 2) || !memcmp(p, "~/", 2) || !memcmp(p, "../", 3))) return true;
    if (n >= 4 && text_is_letter(*p) && p[1] == ':' && (p[2] == '\\' || p[2] == '/')) return true;
    return (slashes >= 2 && *p != '/') || has_extension(p, end, true);
}

/* -- A run -------------------------------------------------------------------------------------- */

static const char *trimmed(const char *p, const char *end) {
    while (end > p && strchr(".:,/-+~#@\\", end[-1]) != NULL) end--;
    return end;
}

/* Something is in it besides letters. */
static const char *classify(struct text_scan *s, const char *p, const char *end, unsigned bits, const char *limit) {
    const char *found = NULL;
    bool maybe_url = (bits & (RUN_COLON | RUN_SLASH)) == (RUN_COLON | RUN_SLASH) || (*p | 0x20) == 'w';
    if (maybe_url) found = url(s, p, end, limit);
    if (found == NULL && (bits & RUN_AT)) found = email(s, p, end);
    if (found != NULL) return found;
    bool slash_end = end > p && (end[-1] == '/' || end[-1] == '\\');
    const char *to = trimmed(p, end);
    if (to == p) return end;
    if (is_path(p, to, bits)) {
        if (slash_end) to = end;
        text_emit(s, TEXT_PATH, p, to);
        return to;
    }
    const char *body = p;
    while (body < to && strchr("+-~#.:/", *body) != NULL) body++;
    bool plain = !(bits & (RUN_LETTER | RUN_UNDERSCORE));
    if ((bits & RUN_DIGIT) && text_is_digit(*body) && (plain || is_number_word(body, to))) {
        const char *sign = body;
        if (sign > p && strchr("+-~#.", sign[-1]) != NULL) sign--;
        return number_span(s, sign, to, limit);
    }
    bool id = (bits & RUN_LETTER) && (bits & (RUN_DIGIT | RUN_UNDERSCORE));
    if (id || (to - p > 3 && p[0] == '-' && p[1] == '-' && text_is_letter(p[2]))) {
        text_emit(s, TEXT_ID, p, to);
        return to;
    }
    return words(s, p, end, limit);
}

void text_scan_run(struct text_scan *s) {
    const char *p = s->at, *q = p, *limit = limit_of(s), *most = limit - p > RUN_MAX ? p + RUN_MAX : limit;
    unsigned bits = 0, c;
    if (text_is_letter(*p)) {
        q += text_letters(p, most);
        bits = RUN_LETTER;
        bool last = q < most && *q == '.' && (q + 1 == limit || classes[(unsigned char)q[1]] == 0);
        if (last) { /* of a sentence: the period is not its own */
            word(s, p, q, limit);
            s->at = q + 1;
            return;
        }
    }
    for (; q < most; q++) {
        if ((c = classes[(unsigned char)*q]) == 0) {
            bool inside = *q == ',' && q > p && q + 1 < limit && text_is_digit(q[-1]) && text_is_digit(q[1]);
            if (!inside) break;
        }
        bits |= c;
    }
    if (q == p) s->at = p + 1;
    else if (bits == RUN_LETTER) s->at = word(s, p, q, limit);
    else s->at = classify(s, p, q, bits, limit);
}
