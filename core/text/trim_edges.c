/* trim_edges.c -- predicates on the text around a phrase.
 *
 *     Hello, Dolly      Thank You, the song      sort: dog, thanks      2, thank you
 *     greeting, name    a title                  an item of a list      a row
 *
 * They recognize separators of clauses, titles, names and items of lists by their letters alone, and
 * know neither the rules for phrases nor the protected spans.  trim.c asks them before it removes a phrase.
 *
 * Thread: any. */
#include "text/trim_edges.h"

#include <string.h>

#include "text/trim.h"

/* Behind white space, separators and ends of sentences. */
const char *trim_skip_between(const char *p, const char *end) {
    for (;;) {
        size_t n = p < end && trim_is_white(*p) ? 1 : trim_separator(p, end);
        if (n == 0) n = trim_terminator(p, end);
        if (n == 0) return p;
        p += n;
    }
}

/* Is nothing in [p, end) that says something: punctuation, white space, emoji? */
bool trim_says_nothing(const char *p, const char *end) {
    while ((p = trim_skip_between(p, end)) < end) {
        bool emoji = end - p >= 4 && (unsigned char)p[0] == 0xF0 && (unsigned char)p[1] == 0x9F;
        bool variant = end - p >= 3 && memcmp(p, "\xEF\xB8\x8F", 3) == 0;
        if (!emoji && !variant) return false;
        p += emoji ? 4 : 3;
    }
    return true;
}

static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

/* Does a word in title case begin at p: "Postman", and not "I", "SQL"? */
static bool is_capital(const char *p, const char *end) {
    return end - p >= 2 && is_upper(p[0]) && is_lower(p[1]);
}

/* Are the n bytes at p the beginning of a title: "Please Mr. Postman", "Thank You, the song"?  Then
 * a word behind them, in the same clause or behind a comma, or one in them is in title case.  A
 * greeting may have a name in it, and somebody's name behind it is no courtesy either. */
bool trim_is_title(const char *p, size_t n, const char *end) {
    const char *q = p + n, *line = q;
    while (q < end && (*q == ' ' || trim_separator(q, end) == 1)) q++;
    if (q > line && is_capital(q, end)) return is_upper(*p);
    bool greets = *p == 'D' || *p == 'G' || (*p == 'H' && !(n > 4 && memcmp(p, "Here", 4) == 0));
    if (greets || q == end || *q == '\n' || *q == '\r' || trim_terminator(q, end) > 0) return false;
    for (q = p + 1; q < p + n; q++)
        if (q[-1] == ' ' && is_capital(q, p + n)) return true;
    return false;
}

/* The bytes of what ends a clause at p; a sentence, too, for items hold several. */
size_t trim_clause_border(const char *p, const char *end) {
    switch ((unsigned char)*p) {
    case ',':
    case ';':
    case '.':
    case '!':
    case '?': return p + 1 < end && trim_is_white(p[1]) ? 1 : 0;
    case 0xEF: { /* ，；！？ */
        size_t n = trim_separator(p, end);
        return n > 0 ? n : trim_terminator(p, end);
    }
    case 0xE3: return trim_terminator(p, end); /* 。, and not 、 */
    default: return 0;
    }
}

/* Is what stands in front of a comma and behind the colon an item of a list rather than a
 * clause: "sort by length: dog, thanks"? */
bool trim_in_list(const char *colon, const char *comma) {
    if (colon >= comma) return false;
    while (comma > colon + 3 && (trim_is_white(comma[-1]) || trim_separator(comma - 1, comma) == 1)) comma--;
    if (comma > colon + 3 && trim_separator(comma - 3, comma) == 3) comma -= 3;
    const char *p = comma;
    size_t words = 1;
    while (p > colon + 1 && (unsigned char)p[-1] < 0x80 && trim_separator(p - 1, p) == 0) words += trim_is_white(*--p);
    bool ascii = p == colon + 1 || (unsigned char)p[-1] < 0x80;
    if (ascii) return words < 4;
    while (p > colon + 1 && (p - colon < 4 || trim_separator(p - 3, p) == 0)) p--;
    return comma - p < 5 * 3;
}

/* A word by itself in the middle of a sentence says something: "happy, sorry, sad". */
bool trim_is_listed(const char *q, size_t n, size_t lead, const char *stop) {
    if (n == lead || ((unsigned char)*q & 0x80) != 0 || memchr(q, ' ', n) != NULL) return false;
    return trim_skip_between(q + n, stop) < stop;
}

/* In front of the punctuation at the end of [p, end); ； is some of it: what stands behind it is
 * another sentence, and would be one with this one without it. */
const char *trim_without_end(const char *p, const char *end) {
    for (;;) {
        const char *q = end;
        while (q > p && trim_is_white(q[-1])) q--;
        if (q > p && trim_terminator(q - 1, q) == 1) q--;
        else if (q - p >= 3 && (trim_terminator(q - 3, q) == 3 || memcmp(q - 3, "；", 3) == 0)) q -= 3;
        if (q == end) return q;
        end = q;
    }
}

bool trim_is_number(const char *p, const char *q) {
    while (p < q && ((*p >= '0' && *p <= '9') || trim_is_white(*p))) p++;
    return p == q;
}

/* The bytes of a list marker at p; *numbered: it is more than a bullet. */
size_t trim_marker(const char *p, const char *end, bool *numbered) {
    static const char *const bullets[] = { "•", "·", "‣", "–", "●", "○", "◦", "▪" };
    const char *q = p;
    *numbered = false;
    if (q < end && (*q == '-' || *q == '*' || *q == '+')) q++;
    bool wide = q < end && (unsigned char)*q >= 0x80;
    for (size_t i = 0; wide && q == p && i < sizeof(bullets) / sizeof(*bullets); i++)
        if ((size_t)(end - p) > strlen(bullets[i]) && memcmp(p, bullets[i], strlen(bullets[i])) == 0)
            q += strlen(bullets[i]);
    while (q < end && (*q == ' ' || *q == '\t')) q++;
    *numbered = q == p;
    return (size_t)(q - p);
}

/* Is [p, end) a name that a greeting is for: "Hello, Dolly"? */
bool trim_is_name(const char *p, const char *end) {
    end = trim_without_end(p, end);
    if (p == end || *p < 'A' || *p > 'Z') return false;
    for (; p < end; p++)
        if (trim_is_white(*p) || (unsigned char)*p >= 0x80) return false;
    return true;
}
