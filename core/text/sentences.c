/* sentences.c -- cuts a text into units: sentences, items, rows, blocks.
 *
 * A unit is what an extraction keeps or drops, so it has to make sense alone and must
 * not be cut through a number, a quote or a program.  Lines come first: what a line is
 * (heading, item, row, block, tag) its unit is.  The other lines are paragraphs, in
 * which sentences are looked for:
 *
 *     Dr. No paid $3.5 million.  He said: “好。走吧。” and left ... later.
 *                              ^ a period, a space, and no small letter behind
 *
 *     。！？；        ends a sentence, marks that close included
 *     ! ?            ... when a space follows, or a character without spaces
 *     . ...          ... when a space and no small letter follow, and no abbreviation is
 *                    in front
 *     line end       ... unless a line of prose was wrapped there
 *
 * What follows the label of a passage ("[3]", "Source: ...") hangs on it, up to the next label.
 *
 * Inside a span (spans.h) nothing ends: a quote that is short is never cut.
 *
 *     | white | unit white white | unit white |      all of the text is in a unit
 *     0                          start        end
 *
 * Thread: any; no state but units.  Lines are looked at twice at most: when they may
 * continue a paragraph, and when they begin a unit. */
#include "text/sentences.h"

#include <string.h>

#include "include/perilune.h"
#include "text/labels.h"
#include "text/scan.h"
#include "text/words.h"

const char *const text_unit_names[TEXT_UNIT_KINDS] = {
    "sentence", "heading", "item", "table_head", "table_row", "code", "tag", "label",
};

#define HEADING_MAX 96 /* bytes of a line that is a heading without saying so */
#define ITEM_SOFT 300  /* an item longer than this ends where a sentence ends */
#define MARKS_MOST 16  /* one behind the other; a megabyte of them is looked at sixteen times */
#define LEVELS 16      /* of nested lists */

struct pretokenize {
    const char             *text, *end;
    const struct text_span *spans;
    size_t                  n, k, t; /* spans; the first that ends behind where we are; the first table that does */
    struct buf             *units;
    uint32_t                count;
    const char             *start;   /* of the unit */
    struct { uint32_t unit, indent; } levels[LEVELS];
    unsigned                depth;
    uint32_t                intro;   /* the sentence in front of the list */
    uint32_t                number, label; /* of the passage: [3]; the last of its labels, which may be the number */
    uint32_t                lead;    /* the paragraph's first line, if that is more of a title */
    uint32_t                clause;  /* the line's first sentence, if it says whose the others are */
    unsigned                last;    /* kind of the unit in front */
};

/* -- Lines ------------------------------------------------------------------------------ */

static const char *line_end(const struct pretokenize *s, const char *p) {
    const char *q = p < s->end ? memchr(p, '\n', (size_t)(s->end - p)) : NULL;
    return q != NULL ? q : s->end;
}

static const char *skip_blank(const char *p, const char *end) {
    while (p < end && text_is_blank(*p)) p++;
    return p;
}

/* Behind spaces, a line end, and empty lines: where the next unit begins. */
static const char *absorb(const struct pretokenize *s, const char *p) {
    p = skip_blank(p, s->end);
    while (p < s->end && *p == '\n') {
        p++;
        const char *q = skip_blank(p, s->end);
        if (q < s->end && *q != '\n') return p;
        p = q;
    }
    return p;
}

static bool begins(const char *p, const char *end, const char *what) {
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && memcmp(p, what, n) == 0;
}

static bool ends(const char *p, const char *end, const char *what) {
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && memcmp(end - n, what, n) == 0;
}

/* Is [p, end) nothing but the character, three times at least? */
static bool is_rule(const char *p, const char *end, char c) {
    const char *q = p;
    while (q < end && *q == c) q++;
    return q - p >= 3 && skip_blank(q, end) == end;
}

/* The number that begins a heading or an item in Chinese: its bytes. */
static size_t zh_numerals(const char *p, const char *end) {
    const char *q = p;
    size_t len;
    while (q < end && (unsigned char)*q >= 0xE3 && text_zh_is_numeral(text_char(q, &len))) q += len;
    return (size_t)(q - p);
}

/* - x, 1. x, 1) x, (1) x, （1）x, ①x, 1、x */
static bool is_item(const char *p, const char *end) {
    if (p == end) return false;
    if (strchr("-*+", *p) != NULL) return p + 1 < end && text_is_blank(p[1]);
    const char *q = p;
    size_t len;
    if ((unsigned char)*p >= 0x80) {
        uint32_t c = text_char(p, &len);
        if (c == 0x2022 || c == 0x00B7 || c == 0x25CF || c == 0x25CB || c == 0x25AA) return true; /* •·●○▪ */
        if (c >= 0x2460 && c <= 0x2473) return true;                                              /* ① */
        if (c != 0xFF08) return false;                                                            /* （ */
        q += len;
    } else if (*p == '(') {
        q++;
    }
    const char *from = q;
    while (q < end && text_is_digit(*q)) q++;
    if (q == from) q += zh_numerals(q, end);
    if (q == from || q - from > 9) return false;
    if (from > p) return begins(q, end, ")") || begins(q, end, "）");
    if (!text_is_digit(*p)) return false;
    if (begins(q, end, "、") || begins(q, end, "）") || begins(q, end, "．")) return true;
    return q + 1 < end && (*q == '.' || *q == ')') && (text_is_blank(q[1]) || (unsigned char)q[1] >= 0x80);
}

/* Is the line, short, more like a title than like a sentence? */
static bool is_title(const char *p, const char *end) {
    while (end > p && text_is_blank(end[-1])) end--;
    if (end == p || end - p > HEADING_MAX) return false;
    static const char *const stops[] = { ".", "!", "?", ";", ",", ":", "。", "！",
                                         "？", "；", "，", "：", "、", "…" };
    for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++)
        if (ends(p, end, stops[i])) return false;
    return true;
}

/* Without a mark of markdown: 一、x, 第三章 x, 【x】, **x**.  Short, and no sentence. */
static bool is_plain_heading(const char *p, const char *end) {
    while (end > p && text_is_blank(end[-1])) end--;
    if (end - p > HEADING_MAX || end == p) return false;
    if (begins(p, end, "**") && end - p > 4) return ends(p, end, "**") || ends(p, end, "**:");
    if ((unsigned char)*p < 0xE3) return false;
    static const char *const stops[] = { "。", "；", "，", "！", "？", "、", ";", ".", "," };
    for (size_t i = 0; i < sizeof(stops) / sizeof(*stops); i++)
        if (ends(p, end, stops[i])) return false;
    if (begins(p, end, "【")) return ends(p, end, "】");
    bool ordinal = begins(p, end, "第");
    const char *q = ordinal ? p + 3 : p;
    const char *from = q;
    q += zh_numerals(q, end);
    while (ordinal && q < end && text_is_digit(*q)) q++;
    if (q == from) return false;
    if (!ordinal) return begins(q, end, "、") || begins(q, end, "．");
    return begins(q, end, "章") || begins(q, end, "节") || begins(q, end, "部分") || begins(q, end, "条") ||
           begins(q, end, "篇");
}

static bool is_heading(const char *p, const char *end) {
    if (*p == '#') {
        const char *q = p;
        while (q < end && *q == '#') q++;
        return q - p <= 6 && (q == end || text_is_blank(*q));
    }
    return is_plain_heading(p, end);
}

/* -- Spans ---------------------------------------------------------------------------------- */

/* The span that ends behind p and is not a table, or NULL. */
static const struct text_span *span_at(struct pretokenize *s, const char *p) {
    uint32_t at = (uint32_t)(p - s->text);
    while (s->k < s->n && (s->spans[s->k].end <= at || s->spans[s->k].type == TEXT_TABLE)) s->k++;
    return s->k < s->n ? &s->spans[s->k] : NULL;
}

static bool in_table(struct pretokenize *s, const char *p) {
    uint32_t at = (uint32_t)(p - s->text);
    while (s->t < s->n && (s->spans[s->t].end <= at || s->spans[s->t].type != TEXT_TABLE)) s->t++;
    return s->t < s->n && s->spans[s->t].start <= at;
}

/* Does no span go over the line end `end`, from s->start on? */
static bool is_whole(struct pretokenize *s, const char *end) {
    span_at(s, s->start);
    uint32_t to = (uint32_t)(end - s->text);
    for (size_t k = s->k; k < s->n && s->spans[k].start < to; k++)
        if (s->spans[k].end > to && s->spans[k].type != TEXT_TABLE) return false;
    return true;
}

/* Does a block begin in the line that begins at p, at its first character q?  Its end: a
 * line end. */
static const char *block_end(struct pretokenize *s, const char *p, const char *q) {
    const struct text_span *span = span_at(s, p);
    if (span == NULL || s->text + span->start > q) return NULL;
    const char *end = s->text + span->end;
    switch (span->type) {
    case TEXT_FENCE: case TEXT_INDENTED: case TEXT_DIFF: return end;
    case TEXT_JSON: case TEXT_MATH:
        end = skip_blank(end, s->end);
        return end == s->end || *end == '\n' ? end : NULL;
    default: return NULL;
    }
}

/* Is the line one tag, or several? */
static bool is_tag_line(struct pretokenize *s, const char *q, const char *end) {
    if (q == end || *q != '<') return false;
    for (size_t k = s->k; q < end; k++) {
        while (k < s->n && s->text + s->spans[k].start < q) k++;
        if (k == s->n || s->spans[k].type != TEXT_TAG || s->text + s->spans[k].start != q) return false;
        q = skip_blank(s->text + s->spans[k].end, end);
    }
    return true;
}

/* Is the line that begins at p not a paragraph's? */
static bool is_special(struct pretokenize *s, const char *p) {
    const char *end = line_end(s, p), *q = skip_blank(p, end);
    size_t k = s->k;
    if (q == end) return true;
    bool special = is_item(q, end) || is_heading(q, end) || block_end(s, p, q) != NULL || is_tag_line(s, q, end) ||
                   in_table(s, q);
    s->k = k;
    return special;
}

/* -- Ends of sentences --------------------------------------------------------------------------- */

/* Behind marks that close what a sentence is in: they belong to it. */
static const char *closers(const char *p, const char *end) {
    static const char *const wide[] = { "”", "’", "»", "」", "』", "）", "】", "》" };
    for (;;) {
        const char *from = p;
        if (p < end && (*p == ')' || *p == ']' || *p == '*' || *p == '_')) p++;
        else if (p < end && (*p == '"' || *p == '\'') && (p + 1 == end || !text_is_alnum(p[1]))) p++;
        bool may_be = p == from && p < end && (unsigned char)*p >= 0xC2;
        for (size_t i = 0; may_be && p == from && i < sizeof(wide) / sizeof(*wide); i++)
            if (*p == *wide[i] && begins(p, end, wide[i])) p += strlen(wide[i]);
        if (p == from) return p;
    }
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Is a sentence possible at p, where there is space: no small letter begins it? */
static bool may_begin(const char *p, const char *end) {
    while (p < end && is_space(*p)) p++;
    while (p < end && (*p == '"' || *p == '\'' || *p == '(' || *p == '*')) p++;
    return p == end || *p < 'a' || *p > 'z';
}

/* Is the period at p that of an abbreviation: Dr. No, J. Smith, U.S. troops? */
static bool is_abbreviation(const struct pretokenize *s, const char *p) {
    const char *q = p;
    while (q > s->start && text_is_letter(q[-1])) q--;
    size_t n = (size_t)(p - q);
    if (n == 0 || (q > s->start && (text_is_digit(q[-1]) || (unsigned char)q[-1] >= 0x80))) return false;
    if (n == 1) return true; /* an initial, or U.S. */
    if (n == 2 && q - s->start > 1 && q[-1] == '.' && text_is_letter(q[-2])) return true;
    if (!text_word_is_abbreviation(q, n)) return false;
    /* These are words, too, but for a number behind them: no. 5. */
    bool word = n == 3 ? !strncasecmp(q, "sec", 3) || !strncasecmp(q, "min", 3) || !strncasecmp(q, "max", 3)
                       : n == 2 && !strncasecmp(q, "no", 2);
    return !word || (p + 2 < s->end && p[1] == ' ' && text_is_digit(p[2]));
}

/* Behind the mark of `len` bytes at p and all that follow: where the sentence ends when
 * `strong` (the mark needs no space) or what follows allows it; else NULL. */
static const char *ended(const struct pretokenize *s, const char *p, bool strong, bool capital) {
    const char *end = s->end;
    for (int marks = 0; marks < MARKS_MOST; marks++) { /* ?! 。。。 */
        if (p < end && (*p == '.' || *p == '!' || *p == '?')) p++;
        else if (begins(p, end, "。") || begins(p, end, "！")) p += 3;
        else if (begins(p, end, "？") || begins(p, end, "…")) p += 3;
        else break;
    }
    p = closers(p, end);
    if (p == end || strong) return p;
    if (is_space(*p)) return capital && !may_begin(p, end) ? NULL : p;
    return (unsigned char)*p >= 0xE3 && !capital ? p : NULL;
}

/* The mark at p: its sentence's end, or NULL. */
static const char *mark_ends(const struct pretokenize *s, const char *p) {
    const char *end = s->end;
    switch ((unsigned char)*p) {
    case '!': case '?': {
        const char *q = ended(s, p + 1, false, false);
        return q != NULL && q < end && is_space(*q) && !may_begin(q, end) ? NULL : q;
    }
    case '.':
        if (p + 1 < end && p[1] == '.') return ended(s, p, false, true);
        return is_abbreviation(s, p) ? NULL : ended(s, p + 1, false, true);
    case 0xE2: {
        if (!begins(p, end, "…")) return NULL;
        bool two = begins(p, end, "……");
        return ended(s, p, two, !two);
    }
    case 0xE3: return begins(p, end, "。") ? ended(s, p, true, false) : NULL;
    case 0xEF:
        if (begins(p, end, "！") || begins(p, end, "？")) return ended(s, p, true, false);
        return begins(p, end, "；") || begins(p, end, "｡") ? ended(s, p + 3, true, false) : NULL;
    default: return NULL;
    }
}

/* Behind a quote that ends at p: did a sentence end inside it, and this one with it? */
static const char *quote_ends(const struct pretokenize *s, const struct text_span *span, const char *p) {
    const char *from = s->text + span->start, *q = p;
    size_t mark = (unsigned char)p[-1] < 0x80 ? 1 : ends(from, p, "»") ? 2 : 3;
    if (ends(from, p, "》") || ends(from, p, "〉") || (size_t)(q - from) <= mark) return NULL;
    q -= mark;
    if (ends(from, q, "。") || ends(from, q, "！") || ends(from, q, "？")) return ended(s, p, true, false);
    if (q[-1] != '.' && q[-1] != '!' && q[-1] != '?') return NULL;
    return ended(s, p, false, true);
}

/* Does a line begin with the name of a field, "price: 5" or "price=5"? */
static bool is_field(const char *p, const char *end) {
    const char *q = p;
    while (q < end && q - p < 40 && (text_is_alnum(*q) || *q == '_' || *q == '-' || *q == '.')) q++;
    if (q == p || q == end) return false;
    return *q == '=' || (*q == ':' && (q + 1 == end || is_space(q[1])));
}

/* Was prose wrapped at the line end p, so that the sentence goes on? */
static bool is_wrapped(const struct pretokenize *s, const char *line, const char *p) {
    const char *q = skip_blank(p + 1, s->end), *last = p;
    while (last > line && text_is_blank(last[-1])) last--;
    if (last == line || q == s->end || is_field(q, s->end)) return false;
    char a = last[-1], b = *q;
    bool open = text_is_alnum(a) || a == ',' || a == '-' || a == ')' || a == '"' || a == '\'';
    if (!open || memchr(line, ' ', (size_t)(last - line)) == NULL) return false;
    if (b >= 'a' && b <= 'z') return true;
    bool filled = last - line >= 50 && last - line <= 100;
    return filled && ((a >= 'a' && a <= 'z') || a == ',') && (text_is_alnum(b) || b == '(' || b == '"');
}

/* -- Units ------------------------------------------------------------------------------------------ */

static void push(struct pretokenize *s, const char *end, unsigned kind, uint32_t parent, unsigned indent) {
    end = absorb(s, end);
    if (parent == TEXT_NO_PARENT && kind != TEXT_UNIT_TAG && kind != TEXT_UNIT_LABEL) parent = s->label;
    bool first = s->start == s->text || (s->start[-1] == '\n' && s->start - s->text > 1 && s->start[-2] == '\n');
    struct text_unit u = { (uint32_t)(s->start - s->text), (uint32_t)(end - s->text), parent, (uint8_t)kind,
                           first || kind != TEXT_UNIT_SENTENCE, (uint16_t)indent };
    if (s->count == 0) u.start = 0;
    buf_put(s->units, &u, sizeof(u));
    s->start = end;
    s->last = kind;
    s->count++;
}

static bool may_end_softly(const char *p, const char *end) {
    if (*p == ',' || *p == ';') return true;
    return begins(p, end, "，") || begins(p, end, "、") || begins(p, end, "：");
}

/* What a scan of a paragraph stops at: marks that may end a sentence; and, to know where a
 * unit can be cut that gets too long, what is between words. */
enum { MARKS = 1, GAPS = 2 };
static const unsigned char looks[256] = { ['.'] = MARKS, ['!'] = MARKS, ['?'] = MARKS, ['\n'] = MARKS, [' '] = GAPS,
                                          [','] = GAPS, [';'] = GAPS, [0xE2] = MARKS, [0xE3] = MARKS, [0xEF] = MARKS };

/* The first byte at or behind p that looks like one of `stops`, or to. */
static const char *skip_plain(const char *p, const char *to, unsigned stops) {
#ifdef __SSE2__
    const __m128i period = _mm_set1_epi8('.'), call = _mm_set1_epi8('!'), question = _mm_set1_epi8('?'),
                  line = _mm_set1_epi8('\n');
    for (; stops == MARKS && to - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(x, period), _mm_cmpeq_epi8(x, call));
        __m128i more = _mm_or_si128(_mm_cmpeq_epi8(x, question), _mm_cmpeq_epi8(x, line));
        /* x itself: its sign bits are the bytes from 0x80 on. */
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(ends, more), x));
        if (mask == 0) continue;
        p += __builtin_ctz((unsigned)mask);
        if (looks[(unsigned char)*p] & stops) return p;
        break;
    }
#endif
    while (p < to && !(looks[(unsigned char)*p] & stops)) p++;
    return p;
}

/* From p, inside the unit, to its end.  `soft`: sentences end only behind it.  With stops =
 * MARKS, NULL when the unit gets too long. */
static const char *scan_unit(struct pretokenize *s, const char *p, const char *soft, unsigned stops) {
    const char *line = p, *cut = NULL;
    const struct text_span *span = span_at(s, p);
    size_t cut_k = s->k, line_k = s->k;
    while (p < s->end) {
        const char *stop = NULL, *to = span != NULL ? s->text + span->start : s->end;
        if (to > s->start + TEXT_UNIT_MAX) to = s->start + TEXT_UNIT_MAX;
        p = skip_plain(p, to, stops);
        if (span != NULL && p >= s->text + span->start) {
            p = s->text + span->end;
            if (p >= soft && span->type == TEXT_QUOTE) stop = quote_ends(s, span, p);
            span = span_at(s, p);
        } else if (p == s->end) {
            break;
        } else if (*p == ' ') {
            cut = ++p;
            cut_k = s->k;
        } else if (!looks[(unsigned char)*p]) {
            p++; /* longer than a unit may be */
        } else if (*p == '\n') {
            if (is_special(s, p + 1) || (p >= soft && !is_wrapped(s, line, p))) return p;
            line = ++p;
            line_k = s->k;
        } else {
            stop = p >= soft ? mark_ends(s, p) : NULL;
            if (may_end_softly(p, s->end)) {
                cut = p + ((unsigned char)*p < 0x80 ? 1 : 3);
                cut_k = s->k;
            }
            p += (unsigned char)*p < 0x80 ? 1 : 3;
        }
        /* A mark that closes may be the begin of a span: never into one. */
        if (stop != NULL && (span == NULL || stop <= s->text + span->start)) return stop;
        if (p - s->start > TEXT_UNIT_MAX) {
            if (stops == MARKS) return NULL;
            if (line - s->start > TEXT_UNIT_MAX / 2) { /* a whole line, if there is one */
                s->k = line_k;
                return line - 1;
            }
            if (cut != NULL && cut - s->start > TEXT_UNIT_MAX / 2) {
                s->k = cut_k; /* spans behind it come again */
                return cut;
            }
            bool whole = p == s->end || ((unsigned char)*p & 0xC0) != 0x80;
            if (whole && (span == NULL || p <= s->text + span->start)) return p;
        }
    }
    return s->end;
}

/* Most units are short: where they could be cut need not be known. */
static const char *paragraph(struct pretokenize *s, const char *p, const char *soft) {
    size_t k = s->k;
    const char *end = scan_unit(s, p, soft, MARKS);
    if (end != NULL) return end;
    s->k = k;
    return scan_unit(s, p, soft, MARKS | GAPS);
}

/* The item or the sentence that something indented so far hangs on. */
static uint32_t parent_of(struct pretokenize *s, unsigned indent) {
    while (s->depth > 0 && s->levels[s->depth - 1].indent >= indent) s->depth--;
    return s->depth > 0 ? s->levels[s->depth - 1].unit : s->intro;
}

/* Is the unit in front of a list what the list hangs on: a heading, "... are excluded:", or a short
 * line right above it, "Do not take it"? */
static bool announces(struct pretokenize *s) {
    size_t n;
    const struct text_unit *last = text_units_of(s->units, &n) + s->count - 1;
    const char *from = s->text + last->start, *end = s->text + last->end, *to = end;
    while (end > from && is_space(end[-1])) end--;
    if (last->kind == TEXT_UNIT_HEADING) return true;
    if (last->kind != TEXT_UNIT_SENTENCE) return false;
    bool adjacent = memchr(end, '\n', (size_t)(to - end)) == to - 1;
    return ends(from, end, ":") || ends(from, end, "：") || (adjacent && is_title(from, end));
}

static void item(struct pretokenize *s, const char *q, unsigned indent) {
    if (s->depth == 0 && s->intro == TEXT_NO_PARENT && s->count > 0 && announces(s)) s->intro = s->count - 1;
    uint32_t parent = parent_of(s, indent);
    if (s->depth < LEVELS) {
        s->levels[s->depth].unit = s->count;
        s->levels[s->depth++].indent = indent;
    }
    const char *soft = s->end - q > ITEM_SOFT ? q + ITEM_SOFT : s->end;
    /* The number of an item is not the end of its sentence. */
    push(s, paragraph(s, q + 1, soft), TEXT_UNIT_ITEM, parent, indent);
}

/* The end of the === or --- below the line that begins at q; NULL: there is none. */
static const char *underline(struct pretokenize *s, const char *q) {
    const char *end = line_end(s, q), *under = end < s->end ? end + 1 : end, *under_end = line_end(s, under);
    bool is = under < s->end && (is_rule(under, under_end, '=') || is_rule(under, under_end, '-'));
    return is && is_whole(s, under_end) ? under_end : NULL;
}

/* "4.4 x", "第五条 x", "Ann: x", "[09:02] Ann: x": what does the line begin with says whose all of its
 * sentences are? */
static bool is_clause(const char *p, const char *end) {
    const char *q = p;
    if (begins(p, end, "第")) {
        q += 3;
        q += zh_numerals(q, end);
        return q > p + 3 && begins(q, end, "条");
    }
    while (q < end && (text_is_digit(*q) || (*q == '.' && q > p && text_is_digit(q[-1])))) q++;
    if (q > p && memchr(p, '.', (size_t)(q - p)) != NULL) return q < end && text_is_blank(*q) && text_is_digit(q[-1]);
    q = p;
    if (*q == '[') {
        while (q < end && *q != ']' && q - p < 40) q++;
        if (q == end || *q != ']') return false;
        q = skip_blank(q + 1, end);
    }
    const char *name = q;
    for (; q < end && q - name < 40; q++) {
        if (*q == ':') return q > name && q + 1 < end && text_is_blank(q[1]);
        if (begins(q, end, "：")) return q > name;
        if (!text_is_letter(*q) && *q != ' ' && *q != '.' && (unsigned char)*q < 0x80) return false;
    }
    return false;
}

/* A paragraph, or the next sentence of one. */
static void sentence(struct pretokenize *s, const char *q, unsigned indent, bool at_line) {
    uint32_t parent = TEXT_NO_PARENT;
    bool first = s->start == s->text || (s->start - s->text > 1 && s->start[-2] == '\n');
    if (at_line && indent == 0) {
        s->depth = 0;
        s->intro = TEXT_NO_PARENT;
    } else if (s->depth > 0) {
        parent = s->levels[s->depth - 1].unit;
    }
    const char *under = at_line ? underline(s, q) : NULL;
    if (under != NULL) {
        push(s, under, TEXT_UNIT_HEADING, TEXT_NO_PARENT, 0);
        return;
    }
    if (at_line && (first || s->last != TEXT_UNIT_SENTENCE)) s->lead = TEXT_NO_PARENT;
    if (at_line) s->clause = TEXT_NO_PARENT;
    if (parent == TEXT_NO_PARENT) parent = s->clause != TEXT_NO_PARENT ? s->clause : s->lead;
    /* A line may have a hundred thousand sentences: its end is looked for once. */
    const char *line = at_line ? line_end(s, q) : NULL, *end = paragraph(s, q, q);
    push(s, end, TEXT_UNIT_SENTENCE, parent, 0);
    if (at_line && is_clause(q, line)) s->clause = s->count - 1;
    else if (at_line && first && end == line && is_title(q, line)) s->lead = s->count - 1;
}

static void table_row(struct pretokenize *s, const char *end) {
    bool head = s->text + s->spans[s->t].start >= s->start; /* in_table() was asked */
    if (head && end < s->end) end = line_end(s, end + 1);
    push(s, end, head ? TEXT_UNIT_TABLE_HEAD : TEXT_UNIT_TABLE_ROW, TEXT_NO_PARENT, 0);
}

/* The labels of a passage stand together, each hanging on the one in front: keeping the last
 * keeps all. */
static void push_label(struct pretokenize *s, const char *end, bool is_number) {
    uint32_t parent = is_number ? TEXT_NO_PARENT : s->last == TEXT_UNIT_LABEL ? s->label : s->number;
    push(s, end, TEXT_UNIT_LABEL, parent, 0);
    s->label = s->count - 1;
    if (is_number) s->number = s->label;
}

/* Labels begin paragraphs, or stand below a frame or other labels. */
static bool label(struct pretokenize *s, const char *q, const char *end) {
    bool empty = s->count == 0 || (s->start - s->text > 1 && s->start[-2] == '\n');
    bool frame = s->last == TEXT_UNIT_LABEL || s->last == TEXT_UNIT_TAG || s->last == TEXT_UNIT_HEADING;
    bool below = s->count > 0 && frame;
    if (!empty && !below) return false;
    size_t number = text_label_number(q, end);
    if (number > 0 && is_whole(s, q + number)) {
        const char *rest = skip_blank(q + number, end);
        bool whole = rest == end || (is_title(rest, end) && is_whole(s, end));
        push_label(s, whole ? end : q + number, true);
    } else if ((text_label_field(q, end) || (below && text_label_element(q, end))) && is_whole(s, end)) {
        push_label(s, end, false);
    } else {
        return false;
    }
    s->depth = 0;
    s->intro = s->lead = s->clause = TEXT_NO_PARENT;
    return true;
}

/* Is the line, "4. Fees", no item but a title: alone between empty lines, and no list's? */
static bool is_numbered_title(struct pretokenize *s, const char *q, const char *end) {
    const char *below = end < s->end ? skip_blank(end + 1, s->end) : s->end;
    bool alone = below < s->end && *below == '\n' && (s->start - s->text < 2 || s->start[-2] == '\n');
    if (!alone || !text_is_digit(*q) || !is_title(q, end)) return false;
    const char *next = end;
    while (next < s->end && is_space(*next)) next++;
    if (next == s->end || (text_is_digit(*next) && is_item(next, s->end))) return false;
    size_t n;
    const struct text_unit *last = text_units_of(s->units, &n) + s->count - 1;
    return s->count == 0 || last->kind != TEXT_UNIT_ITEM || !text_is_digit(*skip_blank(s->text + last->start, s->end));
}

static void line(struct pretokenize *s) {
    const char *end = line_end(s, s->start), *q = s->start;
    unsigned indent = 0;
    for (; q < end && text_is_blank(*q); q++) indent += *q == '\t' ? 4 : *q == ' ';
    if (label(s, q, end)) return;
    const char *block = block_end(s, s->start, q);
    if (block != NULL) {
        push(s, block, TEXT_UNIT_CODE, indent > 0 ? parent_of(s, indent) : TEXT_NO_PARENT, 0);
    } else if (in_table(s, q)) {
        table_row(s, end);
    } else if (is_heading(q, end) && is_whole(s, end)) {
        s->depth = 0;
        s->intro = TEXT_NO_PARENT;
        push(s, end, TEXT_UNIT_HEADING, TEXT_NO_PARENT, 0);
    } else if (is_tag_line(s, q, end)) {
        push(s, end, TEXT_UNIT_TAG, TEXT_NO_PARENT, 0);
    } else if (is_item(q, end)) {
        if (indent == 0 && is_numbered_title(s, q, end) && is_whole(s, end)) {
            s->depth = 0;
            s->intro = TEXT_NO_PARENT;
            push(s, end, TEXT_UNIT_HEADING, TEXT_NO_PARENT, 0);
            return;
        }
        item(s, q, indent);
    } else {
        sentence(s, q, indent, true);
    }
}

/* -- Public ------------------------------------------------------------------------------------------- */

int text_sentences(struct slice text, const struct buf *spans, struct buf *units) {
    if (buf_failed(units)) return units->error;
    if (text.len == 0) return 0;
    struct pretokenize s = { .text = text.ptr, .end = text.ptr + text.len, .units = units, .intro = TEXT_NO_PARENT,
                       .number = TEXT_NO_PARENT, .label = TEXT_NO_PARENT, .lead = TEXT_NO_PARENT,
                       .clause = TEXT_NO_PARENT };
    s.spans = text_spans_of(spans, &s.n);
    size_t before = units->len;
    s.start = s.text;
    for (const char *p = s.text; p < s.end && is_space(*p); p++) /* empty lines belong to the first unit */
        if (*p == '\n') s.start = p + 1;
    if (skip_blank(s.start, s.end) == s.end) push(&s, s.end, TEXT_UNIT_SENTENCE, TEXT_NO_PARENT, 0);
    while (s.start < s.end && !buf_failed(units)) {
        span_at(&s, s.start);
        if (s.start == s.text || s.start[-1] == '\n') line(&s);
        else sentence(&s, s.start, 0, false);
    }
    if (!buf_failed(units)) return 0;
    units->len = before;
    return units->error;
}

bool text_is_dependent(struct slice sentence) {
    const char *p = sentence.ptr, *end = p + sentence.len;
    while (p < end && (is_space(*p) || strchr("\"'(*-", *p) != NULL)) p++;
    const char *q = p;
    while (q < end && text_is_letter(*q)) q++;
    if (q > p) return text_word_is_dependent(p, (size_t)(q - p));
    return p < end && text_zh_is_dependent(p, end);
}
