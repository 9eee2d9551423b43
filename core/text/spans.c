/* spans.c -- finds what must stay whole: code, data, addresses, numbers, negations.
 *
 * One pass, line by line.  At the begin of a line blocks are looked for, which take
 * whole lines; in other lines a table of bytes says where something may begin.
 *
 *     line begins     fence | indented code | diff | table      spans.c
 *     { [             JSON                                      braces.c
 *     ` " ' $ < \ “   something with an end mark                spans.c
 *     A-Z 0-9 . / -   a run: word, number, URL, path, ID        runs.c
 *     汉              numbers, negations                        words.c
 *
 * Hostile text costs no more than other text.  The next end mark of each kind is
 * remembered: it is looked for behind the last one only, so all searches of a kind
 * together read the text once.  An opening mark whose end mark is not there costs one
 * comparison.
 *
 *     "a" " " "b           closer[CLOSE_DOUBLE] only moves to the right
 *
 * What goes over lines (JSON, $$) cannot begin in a table or in a quote, so that spans
 * nest or are disjoint, and come in order.
 *
 * Thread: any; state is on the stack.  Does not know languages of programs, nor YAML. */
#include "text/spans.h"

#include <string.h>

#include "base/json.h"
#include "include/perilune.h"
#include "text/scan.h"
#include "text/words.h"

const char *const text_span_names[TEXT_SPAN_TYPES] = {
    "fence", "indented", "inline", "json", "table", "diff", "math", "tag", "url", "email", "path", "number", "id",
    "quote", "negation", "quantifier", "modal",
};

#define MATH_MAX 4096
#define INLINE_MATH_MAX 256
#define TAG_MAX 512

/* -- End marks ---------------------------------------------------------------------------- */

static const char *find_bytes(const char *p, const char *end, const char *what) {
    size_t n = strlen(what);
    const char *q = n == 1 ? memchr(p, *what, (size_t)(end - p)) : memmem(p, (size_t)(end - p), what, n);
    return q != NULL ? q : end;
}

/* A ' or $ that can close: no space before, no letter or digit behind. */
static const char *find_tight(const char *p, const char *end, char mark) {
    for (; p < end; p++) {
        p = memchr(p, mark, (size_t)(end - p));
        if (p == NULL) return end;
        if (!text_is_blank(p[-1]) && p[-1] != '\n' && (p + 1 == end || !text_is_alnum(p[1]))) return p;
    }
    return end;
}

/* A run of exactly n ticks. */
static const char *find_ticks(const char *p, const char *end, size_t n) {
    while (p < end) {
        p = memchr(p, '`', (size_t)(end - p));
        if (p == NULL) return end;
        const char *q = p;
        while (q < end && *q == '`') q++;
        if ((size_t)(q - p) == n) return p;
        p = q;
    }
    return end;
}

static const char *find_empty_line(const char *p, const char *end) {
    for (; p < end; p++) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (p == NULL) return end;
        const char *q = p + 1;
        while (q < end && text_is_blank(*q)) q++;
        if (q == end || *q == '\n') return p;
        p = q - 1;
    }
    return end;
}

static const char *find_closer(unsigned kind, const char *p, const char *end) {
    static const char *const marks[] = { "\"", NULL, "”", "’", "」", "』", "》", "〉",
                                         "»", ">", NULL, "$$", "\\]", "\\)" };
    switch (kind) {
    case CLOSE_SINGLE: return find_tight(p, end, '\'');
    case CLOSE_DOLLAR: return find_tight(p, end, '$');
    case CLOSE_EMPTY_LINE: return find_empty_line(p, end);
    default: return kind >= CLOSE_TICKS ? find_ticks(p, end, kind - CLOSE_TICKS + 1) : find_bytes(p, end, marks[kind]);
    }
}

/* The first end mark of the kind at or behind p (which only grows); end: none. */
static const char *closer(struct text_scan *s, unsigned kind, const char *p) {
    if (p >= s->end) return s->end;
    if (s->closer[kind] == NULL || s->closer[kind] < p) s->closer[kind] = find_closer(kind, p, s->end);
    return s->closer[kind];
}

/* -- Lines ---------------------------------------------------------------------------------- */

static const char *line_end(const struct text_scan *s, const char *p) {
    const char *q = p < s->end ? memchr(p, '\n', (size_t)(s->end - p)) : NULL;
    return q != NULL ? q : s->end;
}

/* Behind the line end at p, unless the text ends there. */
static const char *next_line(const struct text_scan *s, const char *p) { return p < s->end ? p + 1 : p; }

/* Past white space; *columns of it. */
static const char *indent(const char *p, const char *end, unsigned *columns) {
    *columns = 0;
    for (; p < end && text_is_blank(*p); p++) *columns += *p == '\t' ? 4 : *p == ' ';
    return p;
}

static bool starts(const char *p, const char *end, const char *what) {
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && memcmp(p, what, n) == 0;
}

/* A block from s->at to the line end `to`, or to the end of the text. */
static bool block(struct text_scan *s, unsigned type, const char *to) {
    text_emit(s, type, s->at, to);
    s->at = next_line(s, to);
    s->was_empty = false;
    return true;
}

static size_t count_of(const char *p, const char *end, char c) {
    const char *q = p;
    while (q < end && *q == c) q++;
    return (size_t)(q - p);
}

static bool fence(struct text_scan *s, const char *p) {
    char mark = *p;
    size_t n = count_of(p, s->line_end, mark);
    if (n < 3 || (mark == '`' && memchr(p + n, '`', (size_t)(s->line_end - p) - n) != NULL)) return false;
    const char *end = s->line_end;
    while (end < s->end) {
        unsigned columns;
        const char *q = indent(end + 1, s->end, &columns);
        end = line_end(s, end + 1);
        size_t m = q < end ? count_of(q, end, mark) : 0;
        if (m >= n && indent(q + m, end, &columns) == end) break;
    }
    return block(s, TEXT_FENCE, end);
}

static bool indented(struct text_scan *s) {
    const char *last = s->line_end, *end = s->line_end;
    while (end < s->end) {
        unsigned columns;
        const char *from = end + 1, *q = indent(from, s->end, &columns);
        end = line_end(s, from);
        if (q >= end) continue; /* empty: belongs to the block when it goes on */
        if (columns < 4) break;
        last = end;
    }
    return block(s, TEXT_INDENTED, last);
}

static bool in_diff(const char *p, const char *end) {
    static const char *const heads[] = { "diff ", "index ", "new file", "deleted file", "rename ", "similarity ",
                                         "old mode", "new mode", "Binary files", NULL };
    if (p == end) return false;
    if (*p == ' ' || *p == '+' || *p == '-' || *p == '@' || *p == '\\') return true;
    for (int i = 0; heads[i] != NULL; i++)
        if (starts(p, end, heads[i])) return true;
    return false;
}

static bool diff(struct text_scan *s) {
    const char *p = s->at, *second = next_line(s, s->line_end);
    bool hunk = starts(p, s->end, "@@ -");
    bool files = starts(p, s->end, "--- ") && starts(second, s->end, "+++ ");
    if (!hunk && !files && !starts(p, s->end, "diff --git ")) return false;
    const char *end = s->line_end;
    while (end < s->end && in_diff(end + 1, s->end)) end = line_end(s, end + 1);
    return block(s, TEXT_DIFF, end);
}

/* |---|:-:| */
static bool is_delimiter_row(const char *p, const char *end) {
    bool dash = false, bar = false;
    for (; p < end; p++) {
        dash |= *p == '-';
        bar |= *p == '|';
        if (*p != '-' && *p != '|' && *p != ':' && !text_is_blank(*p)) return false;
    }
    return dash && bar;
}

static void table(struct text_scan *s) {
    if (s->at < s->table_end || memchr(s->at, '|', (size_t)(s->line_end - s->at)) == NULL) return;
    const char *p = next_line(s, s->line_end), *end = line_end(s, p);
    if (p == s->end || !is_delimiter_row(p, end)) return;
    for (const char *last = end; end < s->end; end = last) {
        last = line_end(s, end + 1);
        if (memchr(end + 1, '|', (size_t)(last - end - 1)) == NULL) break;
    }
    text_emit(s, TEXT_TABLE, s->at, end);
    s->table_end = end;
}

static bool is_item(const char *p, const char *end) {
    if (end - p < 2) return false;
    if ((*p == '-' || *p == '*' || *p == '+') && text_is_blank(p[1])) return true;
    const char *q = p;
    while (q < end && text_is_digit(*q)) q++;
    return q > p && q - p < 10 && q < end && (*q == '.' || *q == ')' || starts(q, end, "、"));
}

/* At the begin of a line.  Returns whether it was taken as a whole. */
static bool line_begins(struct text_scan *s) {
    unsigned columns;
    s->line_end = line_end(s, s->at);
    const char *p = indent(s->at, s->line_end, &columns);
    if (p == s->line_end) {
        s->was_empty = true;
        return false;
    }
    if (s->at >= s->table_end) {
        if ((*p == '`' || *p == '~') && fence(s, p)) return true;
        if (columns >= 4 && s->was_empty && !s->in_list) return indented(s);
        if (columns == 0 && (*p == '-' || *p == '@' || *p == 'd') && diff(s)) return true;
        table(s);
    }
    s->was_empty = false;
    if (is_item(p, s->line_end)) s->in_list = true;
    else if (columns == 0) s->in_list = false;
    return false;
}

/* -- In a line ----------------------------------------------------------------------------------- */

/* Takes [at, to) as a whole. */
static void take(struct text_scan *s, unsigned type, const char *to) {
    text_emit(s, type, s->at, to);
    s->at = to;
}

/* Quotes are looked into: the scan goes on behind the mark. */
static bool quote(struct text_scan *s, unsigned kind, size_t mark) {
    const char *p = s->at + mark;
    if (s->quote_end > s->at || p >= s->line_end || text_is_blank(*p)) return false;
    const char *to = closer(s, kind, p);
    if (to >= s->line_end || to == p || to - p > TEXT_QUOTE_MAX) return false;
    to += kind == CLOSE_DOUBLE || kind == CLOSE_SINGLE ? 1 : kind == CLOSE_GUILLEMET ? 2 : 3;
    text_emit(s, TEXT_QUOTE, s->at, to);
    s->quote_end = to;
    s->at = p;
    return true;
}

static void single_quote(struct text_scan *s) {
    const char *p = s->at;
    bool opens = p == s->text || !text_is_alnum(p[-1]);
    if (!opens || p + 1 >= s->line_end || p[1] == '\'' || !quote(s, CLOSE_SINGLE, 1)) s->at = p + 1;
}

static void ticks(struct text_scan *s) {
    size_t n = count_of(s->at, s->line_end, '`');
    bool may = n <= 8 && s->quote_end <= s->at;
    const char *p = s->at + n, *to = may ? closer(s, CLOSE_TICKS + (unsigned)n - 1, p) : s->end;
    if (to < s->line_end) take(s, TEXT_INLINE, to + n);
    else s->at = p;
}

static void tag(struct text_scan *s) {
    const char *p = s->at + 1, *limit = s->quote_end > s->at ? s->quote_end : s->line_end;
    if (p < limit && *p == '/') p++;
    bool named = p < limit && (text_is_letter(*p) || *p == '!' || *p == '|');
    const char *to = named ? closer(s, CLOSE_TAG, p) : s->end;
    if (to < limit && to - p <= TAG_MAX) take(s, TEXT_TAG, to + 1);
    else s->at++;
}

/* Over lines, but not over an empty one, and not in a table. */
static bool display_math(struct text_scan *s, unsigned kind) {
    const char *p = s->at + 2, *to = closer(s, kind, p);
    bool inside = s->at < s->table_end || s->quote_end > s->at;
    const char *limit = inside ? s->line_end : s->end;
    if (to >= limit || to == p || to - p > MATH_MAX || closer(s, CLOSE_EMPTY_LINE, p) < to) return false;
    if (s->quote_end > s->at) return false;
    take(s, TEXT_MATH, to + 2);
    return true;
}

static void dollar(struct text_scan *s) {
    const char *p = s->at + 1;
    if (p < s->line_end && *p == '$') {
        if (!display_math(s, CLOSE_DOLLARS)) s->at += count_of(s->at, s->line_end, '$');
        return;
    }
    const char *limit = s->quote_end > s->at ? s->quote_end : s->line_end;
    if (p < limit && !text_is_blank(*p)) {
        const char *to = closer(s, CLOSE_DOLLAR, p);
        bool near = to < limit && to > p && to - p <= INLINE_MATH_MAX;
        if (near && !(text_is_digit(*p) && memchr(p, ' ', (size_t)(to - p)) != NULL)) { /* not $5 and $6 */
            take(s, TEXT_MATH, to + 1);
            return;
        }
    }
    if (!text_scan_number(s, '$', 1)) s->at = p;
}

static void bracket(struct text_scan *s) {
    bool in_table = s->at < s->table_end;
    const char *to = s->quote_end > s->at ? NULL : text_scan_json(s, in_table ? s->line_end : s->end);
    if (to != NULL) take(s, TEXT_JSON, to);
    else s->at++;
}

static void backslash(struct text_scan *s) {
    char c = s->at + 1 < s->line_end ? s->at[1] : '\0';
    if (c == '[' && display_math(s, CLOSE_BRACKET)) return;
    if (c == '(' && display_math(s, CLOSE_PAREN)) return;
    s->at += c == '\0' ? 1 : 2;
    if (s->at < s->end && ((unsigned char)*s->at & 0xC0) == 0x80) s->at--; /* behind the backslash: not ASCII */
}

/* ORDER the switch of in_line(): what may begin with a byte. */
enum { NOTHING, RUN, TICK, DOUBLE, SINGLE, BRACKET, DOLLAR, TAG, BACKSLASH, WIDE };
static const unsigned char begins[256] = {
    ['0' ... '9'] = RUN, ['A' ... 'Z'] = RUN, ['a' ... 'z'] = RUN, ['_'] = RUN, ['.'] = RUN, ['/'] = RUN, ['-'] = RUN,
    ['+'] = RUN, ['~'] = RUN, ['#'] = RUN, ['`'] = TICK, ['"'] = DOUBLE, ['\''] = SINGLE, ['{'] = BRACKET,
    ['['] = BRACKET, ['$'] = DOLLAR, ['<'] = TAG, ['\\'] = BACKSLASH, [0xC2 ... 0xF4] = WIDE,
};

static bool open_quote(struct text_scan *s, uint32_t c, size_t len) {
    switch (c) {
    case 0x201C: return quote(s, CLOSE_CURLY2, len);    /* “ */
    case 0x2018: return quote(s, CLOSE_CURLY1, len);    /* ‘ */
    case 0x300C: return quote(s, CLOSE_CORNER, len);    /* 「 */
    case 0x300E: return quote(s, CLOSE_CORNER2, len);   /* 『 */
    case 0x300A: return quote(s, CLOSE_BOOK, len);      /* 《 */
    case 0x3008: return quote(s, CLOSE_BOOK1, len);     /* 〈 */
    case 0xAB: return quote(s, CLOSE_GUILLEMET, len);   /* « */
    default: return false;
    }
}

static void wide(struct text_scan *s) {
    size_t len, n;
    uint32_t c = text_char(s->at, &len);
    while (text_zh_is_han(c) && !text_zh_matters(c)) { /* most of a Chinese text */
        s->at += len;
        if (s->at >= s->line_end || begins[(unsigned char)*s->at] != WIDE) return;
        c = text_char(s->at, &len);
    }
    if (!text_zh_is_han(c)) {
        if (!open_quote(s, c, len) && !text_scan_number(s, c, len)) s->at += len;
        return;
    }
    if (text_zh_is_numeral(c) && text_scan_number(s, c, len)) return;
    const char *limit = s->quote_end > s->at ? s->quote_end : s->line_end;
    unsigned type = text_zh_polarity(c, s->at, s->text, limit, &n);
    if (type != TEXT_WORD_PLAIN) take(s, type, s->at + n);
    else s->at += len;
}

static void in_line(struct text_scan *s) {
    for (;;) {
        const char *p = s->at, *end = s->line_end;
        while (p < end && begins[(unsigned char)*p] == NOTHING) p++;
        s->at = p;
        if (p >= end) return;
        switch (begins[(unsigned char)*p]) {
        case RUN: text_scan_run(s); break;
        case TICK: ticks(s); break;
        case DOUBLE:
            if (!quote(s, CLOSE_DOUBLE, 1)) s->at++;
            break;
        case SINGLE: single_quote(s); break;
        case BRACKET: bracket(s); break;
        case DOLLAR: dollar(s); break;
        case TAG: tag(s); break;
        case BACKSLASH: backslash(s); break;
        case WIDE: wide(s); break;
        }
    }
}

/* -- Public ---------------------------------------------------------------------------------------- */

size_t text_error_offset(struct slice text) { return utf8_valid_prefix(text); }

int text_spans(struct slice text, unsigned mask, struct buf *spans) {
    if (text.len > TEXT_MAX) return PERILUNE_ERR_LIMITED;
    if (utf8_valid_prefix(text) != text.len) return PERILUNE_ERR_INVAL;
    if (buf_failed(spans)) return spans->error;
    if (text.len == 0) return 0;
    const char *p = text.ptr;
    size_t before = spans->len;
    struct text_scan s = { .text = p, .end = p + text.len, .at = p, .line_end = p, .quote_end = p, .table_end = p,
                           .json_dead = p, .out = spans, .mask = mask, .was_empty = true };
    while (s.at < s.end) {
        bool taken = (s.at == p || s.at[-1] == '\n') && line_begins(&s);
        if (taken) continue;
        if (s.at > s.line_end) s.line_end = line_end(&s, s.at); /* JSON or math ended in this line */
        in_line(&s);
        if (s.at == s.line_end) s.at = next_line(&s, s.at);
    }
    bool failed = buf_failed(spans) || buf_failed(&s.json_found);
    buf_deinit(&s.json_found);
    if (!failed) return 0;
    spans->len = before;
    return PERILUNE_ERR_NOMEM;
}

void text_spans_merge(struct buf *spans) {
    size_t n, kept = 0;
    struct text_span *at = text_spans_of(spans, &n);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && at[i].start < at[kept - 1].end) {
            if (at[i].end > at[kept - 1].end) at[kept - 1].end = at[i].end;
        } else {
            at[kept++] = at[i];
        }
    }
    spans->len -= (n - kept) * sizeof(*at);
}
