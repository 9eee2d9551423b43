/* trim.c -- politeness, filler and repeated lines taken out of a prompt.
 *
 *     Hello there! Could you please summarize the report, and keep every number? Thanks!
 *     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^                                             ^^^^^^^^
 *     whole        lead                                                          whole
 *
 * Only the edges of sentences and clauses are looked at, and only what a rule names
 * (trim_rules.c) goes.  A sentence of which nothing is left goes with its line, and a
 * heading goes when everything below it went.
 *
 * Left alone, whatever the rules say:
 *
 *     protected spans     numbers, negations, quotes, code, URLs ... (spans.h)
 *     headings, tables, code, and the numbers of lists
 *     what is to be worked on: all behind "the following text:", below "is this email too
 *     long?", a colon at a line's end or a tag, a letter that begins further down, up to the
 *     next heading; the line of a field; a text with examples, whose labels come again;
 *     where something is to be translated, everything but what stands in front of that word
 *     a text that would become empty
 *
 * Marks, one for each byte, say what goes; then the rest is put together and looked at
 * again until nothing goes any more, so that trimming twice is trimming once.  Texts
 * settle after two rounds.  What was protected in the text as it was given stays so (see
 * carry_shield).  A text that does not settle within ROUNDS, or only because of that, is left
 * as it was: that is rare, and two aims cannot both be had.
 *
 * Thread: any; rules are read only. */
#include "text/trim.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "text/sentences.h"
#include "text/spans.h"
#include "text/trim_edges.h"

const char *const trim_reason_names[TRIM_REASONS] = { "phrase", "sentence", "repeated", "empty section" };
const struct trim_options trim_defaults = { .repeated = true, .repeat_min = 24 };

#define ROUNDS 8
#define PROBES 32 /* places that are tried for a line: a text made to collide loses nothing but cuts */

/* -- A text and its marks ------------------------------------------------------------- */

struct range { uint32_t start, end; };

struct round {
    const struct trim_rules   *rules;
    const struct trim_options *options;
    const char                *text;
    uint32_t                   len;
    uint8_t                   *marks;    /* by byte: 0, or reason + 1 */
    uint32_t                   marked;   /* bytes */
    uint32_t                   kept_end; /* behind the last byte that stays, of what was looked at */
    const struct text_span    *spans;    /* disjoint */
    size_t                     span_count;
    const struct range        *shield;   /* what was protected in the text as it was given; disjoint */
    size_t                     shield_count;
    bool                       payload;  /* in what is to be worked on */
    uint32_t                   field_end; /* of the line of a field, "Reply: Hello. Please wait.", left alone */
    bool                       item;     /* the unit that is looked at is one */
    bool                       listed;   /* items below a line that ends with a colon: none goes as a whole */
    bool                       task;     /* all of it is to be worked on */
    bool                       below;    /* a paragraph speaks about what stands below it */
    const char                *unit, *unit_end; /* the sentence that is looked at */
    int                        speaks;   /* about words: 1, 0, or -1: not known yet */
    bool                       conflict; /* something would go if the given text did not protect it */
};

static void mark(struct round *r, uint32_t from, uint32_t to, enum trim_reason why) {
    for (uint32_t i = from; i < to; i++) {
        r->marked += r->marks[i] == 0;
        if (r->marks[i] == 0) r->marks[i] = (uint8_t)(why + 1);
    }
}

/* Where what stays at i ends. */
static uint32_t unmarked_end(const struct round *r, uint32_t i) {
    for (uint64_t eight; i + 8 <= r->len; i += 8) {
        memcpy(&eight, r->marks + i, 8);
        if (eight != 0) break;
    }
    while (i < r->len && r->marks[i] == 0) i++;
    return i;
}

/* The first span that ends behind at. */
static size_t span_from(const struct round *r, uint32_t at) {
    size_t low = 0, high = r->span_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->spans[mid].end <= at) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* A rule answers for the quantifiers and modals in it ("so much", "if you could"), and for
 * numbers in characters (一个, 十分). */
#define VOUCHED (1u << TEXT_QUANTIFIER | 1u << TEXT_MODAL)

static bool is_vouched(const struct round *r, const struct text_span *s) {
    return (VOUCHED >> s->type & 1) != 0 || (s->type == TEXT_NUMBER && ((unsigned char)r->text[s->start] & 0x80) != 0);
}

static bool is_shielded(const struct round *r, uint32_t from, uint32_t to) {
    size_t low = 0, high = r->shield_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->shield[mid].end <= from) low = mid + 1;
        else high = mid;
    }
    return low < r->shield_count && r->shield[low].start < to;
}

static bool is_protected(struct round *r, uint32_t from, uint32_t to) {
    for (size_t i = span_from(r, from); i < r->span_count && r->spans[i].start < to; i++) {
        const struct text_span *s = &r->spans[i];
        bool inside = s->start >= from && s->end <= to;
        if (!inside || !is_vouched(r, s)) return true;
    }
    bool shielded = is_shielded(r, from, to);
    r->conflict = r->conflict || shielded;
    return shielded;
}

static bool in_span(const struct round *r, uint32_t at) {
    size_t i = span_from(r, at);
    return i < r->span_count && r->spans[i].start <= at;
}

/* What [from, to) leaves behind when it goes, white space up to end with it:
 * a line that becomes empty goes, a paragraph's end stays one. */
static void drop(struct round *r, uint32_t from, uint32_t to, uint32_t end, enum trim_reason why) {
    const char *t = r->text;
    uint32_t lines = 0, kept = r->kept_end;
    for (uint32_t i = to; i < end; i++) lines += t[i] == '\n';
    if (kept == 0 || t[kept - 1] == '\n') {
        bool paragraph = lines >= 2 && kept > 1 && t[kept - 2] != '\n';
        uint32_t stays = paragraph ? end - 1 : end;
        while (paragraph && t[stays] != '\n') stays--;
        mark(r, from, stays, why);
        if (paragraph) {
            mark(r, stays + 1, end, why);
            r->kept_end = stays + 1;
        }
        return;
    }
    if (lines == 0) {
        mark(r, from, end, why);
        return;
    }
    mark(r, from, to, why);
    uint32_t newline = to;
    while (t[newline] != '\n') newline++;
    mark(r, to, newline, why);
    while (kept > 0 && (t[kept - 1] == ' ' || t[kept - 1] == '\t')) kept--;
    mark(r, kept, r->kept_end, why);
    r->kept_end = end;
}

/* -- Sentences --------------------------------------------------------------------------- */

static uint32_t at_of(const struct round *r, const char *p) { return (uint32_t)(p - r->text); }

/* The same behind a phrase: up to where something protected begins. */
static const char *skip_free(const struct round *r, const char *p, const char *end) {
    const char *stop = trim_skip_between(p, end);
    size_t i = span_from(r, at_of(r, p));
    if (i < r->span_count && r->text + r->spans[i].start < stop) stop = r->text + r->spans[i].start;
    return stop > p ? stop : p;
}

/* Does the sentence speak about words?  Asked when something of it would go: seldom. */
static bool speaks_about_words(struct round *r) {
    if (r->speaks < 0) r->speaks = trim_rules_has(r->rules, 1u << TRIM_MENTION, r->unit, r->unit_end) != 0;
    return r->speaks != 0;
}

#define AT_FRONT (1u << TRIM_START | 1u << TRIM_LEAD | 1u << TRIM_WHOLE)

/* Takes phrases away from p on; returns what is in front of the rest. */
static const char *cut_front(struct round *r, const char *p, const char *end) {
    for (;;) {
        size_t lead, n = trim_rules_begin(r->rules, AT_FRONT, p, end, &lead);
        if (n > lead && speaks_about_words(r)) n = lead;
        if (n == 0 || trim_is_title(p, n, end) || is_protected(r, at_of(r, p), at_of(r, p + n))) return p;
        const char *next = skip_free(r, p + n, end);
        if (r->item && next < end && memchr(p, '\n', (size_t)(next - p)) != NULL) return p; /* lines stay apart */
        p = next;
    }
}

/* Bytes at which a clause may end, or a colon stand: nothing else is looked at more closely. */
enum { MAY_BORDER = 1, MAY_COLON = 2 };
static const uint8_t looks[256] = { [','] = MAY_BORDER, [';'] = MAY_BORDER, ['.'] = MAY_BORDER, ['!'] = MAY_BORDER,
                                    ['?'] = MAY_BORDER, [':'] = MAY_COLON,  [0xE3] = MAY_BORDER,
                                    [0xEF] = MAY_BORDER | MAY_COLON };

static inline const char *skip_plain(const char *p, const char *end, unsigned what) {
    while (p < end && (looks[(unsigned char)*p] & what) == 0) p++;
    return p;
}

/* Would a mark that comes next belong to what stands in front of q, when [q, stop) goes: is it
 * 5! of "Compute 5, thanks!", or a URL that ends with a question mark? */
static bool glues(const struct round *r, const char *q, const char *stop) {
    const unsigned addresses = 1u << TEXT_URL | 1u << TEXT_EMAIL | 1u << TEXT_PATH;
    char c = stop < r->text + r->len ? *stop : '\0';
    size_t i = q > r->text ? span_from(r, at_of(r, q) - 1) : r->span_count;
    if (c == '!' && q > r->text && q[-1] == '!') return true; /* 7! */
    if ((c != '!' && c != '?') || i == r->span_count || r->spans[i].end != at_of(r, q)) return false;
    return c == '!' || (addresses >> r->spans[i].type & 1) != 0;
}

/* Takes phrases away behind the commas and periods of [p, end), where stop is the end of the
 * sentence without its punctuation, and colon its first one.  Returns the new stop. */
static const char *cut_clauses(struct round *r, const char *p, const char *stop, const char *colon) {
    while ((p = skip_plain(p, stop, MAY_BORDER)) < stop) {
        size_t border = trim_clause_border(p, stop);
        if (border == 0 || in_span(r, at_of(r, p))) {
            p++;
            continue;
        }
        unsigned places = 1u << TRIM_LEAD | 1u << TRIM_WHOLE;
        if (trim_separator(p, stop) == 0) places |= 1u << TRIM_START;
        const char *comma = p, *from = p + border;
        while (from < stop && trim_is_white(*from)) from++;
        const char *q = from;
        for (;;) {
            size_t lead, n = trim_rules_begin(r->rules, places, q, stop, &lead);
            if (n == 0 || speaks_about_words(r) || trim_in_list(colon, comma)) break;
            if (trim_is_listed(q, n, lead, stop) || trim_is_title(q, n, stop)) break;
            if (is_protected(r, at_of(r, q), at_of(r, q + n))) break;
            const char *next = skip_free(r, q + n, stop);
            if (memchr(q, '\n', (size_t)(next - q)) != NULL) break; /* lines stay apart */
            q = next;
        }
        if (q >= stop && q > from) {
            if (glues(r, comma, stop)) return stop;
            mark(r, at_of(r, comma), at_of(r, stop), TRIM_PHRASE);
            return comma;
        }
        mark(r, at_of(r, from), at_of(r, q), TRIM_PHRASE);
        p = q > from ? q : from;
    }
    return stop;
}

/* Takes phrases away in front of stop; returns the new stop. */
static const char *cut_tail(struct round *r, const char *p, const char *stop, const char *colon) {
    const char *mark_at = stop;
    for (;;) {
        size_t n = trim_rules_end(r->rules, p, stop);
        if (n == 0 || speaks_about_words(r) || trim_in_list(colon, stop - n)) return stop;
        if (is_protected(r, at_of(r, stop - n), at_of(r, stop))) return stop;
        const char *q = stop - n;
        while (q > p && (trim_is_white(q[-1]) || q[-1] == ',' || q[-1] == ';')) q--;
        if (q - p >= 3 && trim_separator(q - 3, q) == 3) q -= 3;
        if (trim_is_number(p, q)) return stop; /* a row: "2, thank you" */
        if (q <= p || is_protected(r, at_of(r, q), at_of(r, stop)) || glues(r, q, mark_at)) return stop;
        mark(r, at_of(r, q), at_of(r, stop), TRIM_PHRASE);
        stop = q;
    }
}

/* The first colon of a sentence that introduces something; end when there is none. */
static inline const char *colon_of(const struct round *r, const char *p, const char *end) {
    for (; (p = skip_plain(p, end, MAY_COLON)) < end; p++) {
        bool wide = (unsigned char)*p == 0xEF && end - p >= 3 && memcmp(p, "：", 3) == 0;
        bool narrow = *p == ':' && (p + 1 == end || trim_is_white(p[1]) || (unsigned char)p[1] >= 0x80 || p[1] == '*');
        if ((wide || narrow) && !in_span(r, at_of(r, p))) return p;
    }
    return end;
}

/* Does a list of phrases stand behind the colon: "choose one: please, kindly"? */
static bool begins_list(const struct round *r, const char *colon, const char *end) {
    if (colon == end) return false;
    const char *p = colon + (*colon == ':' ? 1 : 3);
    while (p < end && trim_is_white(*p)) p++;
    size_t lead;
    return trim_rules_begin(r->rules, 1u << TRIM_WHOLE, p, end, &lead) > 0;
}

static uint32_t newlines_behind(const struct round *r, const struct text_unit *u) {
    uint32_t n = 0, at = u->end;
    while (at > u->start && trim_is_white(r->text[at - 1])) at--;
    for (; at < r->len && trim_is_white(r->text[at]); at++) n += r->text[at] == '\n';
    return at < r->len ? n : 0;
}

/* Is an empty line behind it, and more text? */
static bool ends_paragraph(const struct round *r, const struct text_unit *u) { return newlines_behind(r, u) > 1; }

#define LABEL_MAX 40 /* bytes of the name in front of a field's colon */

/* Is it the beginning of a field, "Reply: Hello. Please wait."?  Its line is left alone then. */
static bool is_field(struct round *r, const struct text_unit *u, const char *colon, const char *end) {
    const char *begin = r->text + u->start, *p = colon;
    bool first = u->start == 0 || r->text[u->start - 1] == '\n';
    if (!first || colon >= end || colon - begin > LABEL_MAX) return false;
    unsigned words = 0;
    for (const char *c = begin; c < colon; c++) words += trim_is_white(*c);
    if (words > 1) return false; /* "Count the boats: all of them, please" */
    p += *p == ':' ? 1 : 3;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '*')) p++;
    if (p == end || *p == '\n') return false;
    const char *line = memchr(p, '\n', (size_t)(r->text + r->len - p));
    r->field_end = line != NULL ? at_of(r, line) : r->len;
    return true;
}

/* One sentence or item.  Returns whether something of it stays. */
static bool cut_unit(struct round *r, const struct text_unit *u) {
    const char *p = r->text + u->start, *end = r->text + u->end;
    while (p < end && trim_is_white(*p)) p++;
    while (end > p && trim_is_white(end[-1])) end--;
    bool numbered = false;
    const char *from = p + (u->kind == TEXT_UNIT_ITEM ? trim_marker(p, end, &numbered) : 0);
    if (numbered || from == end || *p == '>' || *p == ';') return true; /* > what somebody else said; a comment */
    if (*p == '<') { /* a line of markup */
        const char *line = memchr(p, '\n', (size_t)(r->text + r->len - p));
        r->field_end = line != NULL ? at_of(r, line) : r->len;
        return true;
    }

    r->item = from > p;
    r->unit = from;
    r->unit_end = end;
    r->speaks = -1;
    if (r->task) {
        if (trim_rules_has(r->rules, 1u << TRIM_TASK, from, end) != 0)
            mark(r, at_of(r, from), at_of(r, cut_front(r, from, end)), TRIM_PHRASE);
        r->kept_end = u->end;
        return true;
    }
    const char *colon = colon_of(r, from, end);
    bool introduces = colon < end && trim_rules_has(r->rules, 1u << TRIM_CONTENT, from, colon) != 0;
    const char *limit = is_field(r, u, colon, end) || introduces || begins_list(r, colon, end) ? colon : end;
    const char *rest = cut_front(r, from, limit);
    bool whole = limit == end && trim_says_nothing(rest, limit) && !is_protected(r, at_of(r, from), at_of(r, limit));
    if (whole && !(r->listed && from > p)) {
        drop(r, u->start, at_of(r, end), u->end, TRIM_SENTENCE);
        return false;
    }
    /* Nothing but politeness in front of a colon, of a name. */
    if (rest == limit || whole || trim_is_name(rest, limit)) rest = from;
    mark(r, at_of(r, from), at_of(r, rest), TRIM_PHRASE);
    if (!whole) {
        const char *stop = cut_clauses(r, rest, limit < end ? limit : trim_without_end(rest, limit), colon);
        if (limit == end) cut_tail(r, rest, stop, colon);
    }
    r->payload = r->payload || introduces;
    r->kept_end = u->end;
    return true;
}

/* -- Sections --------------------------------------------------------------------------- */

/* A heading that may lose everything below it. */
struct section {
    uint32_t start, end, kept_end; /* kept_end: in front of it */
    unsigned level;                /* 0: none */
    bool     lost, kept;           /* something below it */
};

static unsigned level_of(const struct round *r, const struct text_unit *u) {
    unsigned level = 0;
    while (u->start + level < u->end && r->text[u->start + level] == '#') level++;
    return level;
}

/* It ends in front of at. */
static void end_section(struct round *r, const struct section *s, uint32_t at) {
    if (s->level == 0 || !s->lost || s->kept || is_protected(r, s->start, s->end)) return;
    mark(r, s->start, at, TRIM_EMPTY_SECTION);
    r->kept_end = s->kept_end;
}

static void begin_section(struct round *r, struct section *s, const struct text_unit *u) {
    unsigned level = level_of(r, u);
    if (level > 0 && level <= s->level) end_section(r, s, u->start);
    *s = (struct section){ .start = u->start, .end = u->end, .kept_end = r->kept_end, .level = level };
    r->kept_end = u->end;
    r->payload = false;
}

/* White space at the end goes with what stood behind it. */
static void cut_end(struct round *r) {
    uint32_t end = r->kept_end, line = r->len > 0 && r->text[r->len - 1] == '\n' ? 1 : 0;
    if (end == r->len || r->marked == 0) return;
    while (end > 0 && trim_is_white(r->text[end - 1])) end--;
    for (; line > 0 && end < r->kept_end; end++)
        if (r->text[end] == '\n') line--;
    mark(r, end, r->kept_end, TRIM_SENTENCE);
}

/* Does a letter begin with u: a greeting in front of a line's end or a comma, behind something
 * that stays? */
static bool begins_letter(const struct round *r, const struct text_unit *u, bool behind) {
    size_t lead;
    const char *p = r->text + u->start, *end = r->text + u->end;
    if (!behind || u->start == 0 || r->text[u->start - 1] != '\n') return false;
    while (p < end && trim_is_white(*p)) p++;
    return trim_rules_begin(r->rules, 1u << TRIM_GREETING, p, end, &lead) > 0;
}

static bool is_cut(const struct round *r, const struct text_unit *u) { return r->marks[u->start] != 0; }

/* Does a letter begin with the first unit, "Dear Santa,", which stays? */
static bool is_salutation(const struct round *r, const struct text_unit *u) {
    size_t lead;
    const char *p = r->text + u->start, *end = r->text + u->end, *line;
    while (p < end && trim_is_white(*p)) p++;
    line = memchr(p, '\n', (size_t)(r->text + r->len - p));
    if (line == NULL || line - p > LABEL_MAX || line == p) return false;
    while (line > p && trim_is_white(line[-1])) line--;
    bool wide = line - p >= 3 && (memcmp(line - 3, "，", 3) == 0 || memcmp(line - 3, "：", 3) == 0);
    return (line[-1] == ',' || wide) && trim_rules_begin(r->rules, 1u << TRIM_GREETING, p, end, &lead) > 0;
}

/* Is a colon at the end of its line, and something below it? */
static bool ends_with_colon(const struct round *r, const struct text_unit *u) {
    const char *begin = r->text + u->start, *p = r->text + u->end;
    while (p > begin && (trim_is_white(p[-1]) || p[-1] == '*')) p--;
    bool colon = p > begin && (p[-1] == ':' || (p - begin >= 3 && memcmp(p - 3, "：", 3) == 0));
    return colon && newlines_behind(r, u) > 0;
}

static void cut_units(struct round *r, const struct text_unit *units, size_t n) {
    struct section s = { .level = 0 };
    bool open = false; /* the line in front ended with a colon */
    uint32_t paragraph = 0;
    for (size_t i = 0; i < n; i++) {
        const struct text_unit *u = &units[i];
        bool prose = u->kind == TEXT_UNIT_SENTENCE || u->kind == TEXT_UNIT_ITEM;
        if (u->kind == TEXT_UNIT_HEADING) {
            begin_section(r, &s, u);
            r->listed = open = false;
            paragraph = u->end;
            continue;
        }
        if (u->kind == TEXT_UNIT_SENTENCE && (open || begins_letter(r, u, s.kept))) r->payload = true;
        if (u->kind == TEXT_UNIT_ITEM) r->listed = r->listed || open;
        else r->listed = false;
        if (u->kind == TEXT_UNIT_TAG) r->payload = r->text[u->start + (u->start + 1 < u->end)] != '/';
        bool stays = !prose || r->payload || u->start < r->field_end || cut_unit(r, u);
        if (ends_paragraph(r, u)) {
            const char *from = r->text + paragraph, *end = r->text + u->end;
            r->payload = r->payload || (r->below && trim_rules_has(r->rules, 1u << TRIM_BELOW, from, end) != 0);
            paragraph = u->end;
        }
        if (stays && prose && !s.kept && is_salutation(r, u) && !is_cut(r, u)) r->payload = true;
        if (stays) r->kept_end = u->end;
        s.kept = s.kept || stays;
        s.lost = s.lost || !stays;
        open = stays && ends_with_colon(r, u);
    }
    end_section(r, &s, r->len);
    cut_end(r);
}

/* -- Repeated lines ----------------------------------------------------------------------
 *
 * A line of prose, or an item, that stood there before says nothing new, unless it says it of
 * something else:
 *
 *     Staging:                          Q: Is it big?
 *     - port 8080 is always open        It is not known at all.
 *     Production:                       Q: Is it old?
 *     - port 8080 is always open        It is not known at all.
 *
 * And only when it says what is to be done: votes, refrains and things to pack are counted.
 * So it is compared together with the last two lines in front of it that are neither: a
 * title, a question, a field, a log's line, an item that others hang on. */

struct line {
    uint32_t start, len;
    uint64_t about; /* hash of those two */
};

static const struct hash_key line_key = { 0x7065726c696e6573, 0x7472696d };

/* Lines that are no prose, or that a span goes beyond, are left alone. */
static bool may_repeat(const struct round *r, uint32_t start, uint32_t end) {
    const unsigned blocks = 1u << TEXT_FENCE | 1u << TEXT_INDENTED | 1u << TEXT_JSON | 1u << TEXT_TABLE |
                            1u << TEXT_DIFF | 1u << TEXT_MATH;
    if (end - start < r->options->repeat_min || r->text[start] == '>' || r->text[start] == '|') return false;
    for (size_t i = span_from(r, start); i < r->span_count && r->spans[i].start < end; i++) {
        const struct text_span *s = &r->spans[i];
        if ((blocks >> s->type & 1) != 0 || s->start < start || s->end > end) return false;
    }
    return true;
}

/* Is the line, which begins behind `indent` bytes of white space, prose or an item that stands
 * for itself?  No question. */
static bool is_statement(const struct round *r, uint32_t start, uint32_t end, uint32_t indent) {
    const char *p = r->text + start, *stop = r->text + end;
    if (start == end || indent > 0 || *p == '#') return false;
    bool numbered, wide = stop - p >= 3 && (memcmp(stop - 3, "。", 3) == 0 || memcmp(stop - 3, "！", 3) == 0);
    bool item = trim_marker(p, stop, &numbered) > 0 && !numbered;
    if (!item && !wide && stop[-1] != '.' && stop[-1] != '!') return false;
    const char *label = stop - p > LABEL_MAX ? p + LABEL_MAX : stop;
    return colon_of(r, p, label) == label && memchr(p, '=', (size_t)(label - p)) == NULL;
}

/* Does the line say what is to be done?  Others may be votes, refrains, a list of what to pack. */
static bool is_order(const struct round *r, uint32_t start, uint32_t end) {
    bool numbered;
    size_t lead;
    const char *p = r->text + start, *stop = r->text + end;
    p += trim_marker(p, stop, &numbered);
    return trim_rules_begin(r->rules, 1u << TRIM_ORDER, p, stop, &lead) > 0;
}

/* Lines that were seen, by hash. */
struct lines {
    struct line *table; /* NULL: the text is one line, or there was no memory */
    size_t       mask;
};

/* Room for the lines of the text.  Returns 1, 0 when it has only one, or an error. */
static int lines_open(struct lines *t, const struct round *r) {
    size_t lines = 1, cap = 16;
    for (const char *p = r->text, *end = p + r->len; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) lines++;
    while (cap < lines * 2) cap *= 2;
    t->mask = cap - 1;
    t->table = lines > 1 ? mem_zalloc(cap * sizeof(*t->table)) : NULL;
    if (lines == 1) return 0;
    return t->table != NULL ? 1 : PERILUNE_ERR_NOMEM;
}

/* Was the line there before?  Else remembers it. */
static bool seen(const struct round *r, const struct lines *t, struct line line) {
    size_t at = hash64(&line_key, slice_of(r->text + line.start, line.len)) & t->mask;
    for (unsigned i = 0; i < PROBES; i++, at = (at + 1) & t->mask) {
        struct line *l = &t->table[at];
        if (l->len == 0) {
            *l = line;
            return false;
        }
        if (l->len == line.len && l->about == line.about &&
            memcmp(r->text + l->start, r->text + line.start, l->len) == 0)
            return true;
    }
    return false;
}

/* Are there several lines with the same label, or headings with the same words: examples, a
 * dialogue, settings?  1, 0 or an error. */
static int has_examples(const struct round *r) {
    struct lines lines;
    int rc = lines_open(&lines, r);
    if (rc <= 0) return rc;
    bool again = false;
    for (uint32_t at = 0; at < r->len && !again;) {
        const char *p = r->text + at, *end = r->text + r->len, *newline = memchr(p, '\n', (size_t)(end - p));
        if (newline != NULL) end = newline;
        at = at_of(r, end) + 1;
        while (p < end && trim_is_white(*p)) p++;
        while (end > p && trim_is_white(end[-1])) end--;
        const char *label = end - p > LABEL_MAX ? p + LABEL_MAX : end;
        if (p == end || *p == '-') continue;
        const char *colon = *p == '#' ? end : colon_of(r, p, label);
        if (*p != '#' && (colon == label || colon == p)) continue;
        struct line line = { at_of(r, p), (uint32_t)(colon - p), 0 };
        again = seen(r, &lines, line);
    }
    mem_free(lines.table);
    return again;
}

/* A line that says what others are about.  Hashed once, and only when there is a line to compare. */
struct title {
    uint32_t start, len;
    bool     hashed;
    uint64_t hash;
};

static uint64_t hash_of(const struct round *r, struct title *t) {
    if (!t->hashed && t->len > 0) t->hash = hash64(&line_key, slice_of(r->text + t->start, t->len));
    t->hashed = true;
    return t->hash;
}

static int cut_repeated(struct round *r) {
    struct title about[2] = { { 0 } }; /* the last, and the one in front of it */
    struct lines lines;
    int rc = lines_open(&lines, r);
    r->kept_end = 0;
    if (rc <= 0) return rc;
    for (uint32_t at = 0; at < r->len;) {
        const char *newline = memchr(r->text + at, '\n', r->len - at);
        uint32_t next = newline != NULL ? (uint32_t)(newline - r->text) + 1 : r->len;
        uint32_t start = at, end = next;
        while (start < end && trim_is_white(r->text[start])) start++;
        while (end > start && trim_is_white(r->text[end - 1])) end--;
        bool states = is_statement(r, start, end, start - at);
        if (!states && end > start) {
            about[1] = about[0];
            about[0] = (struct title){ start, end - start, false, 0 };
        }
        bool again = false;
        if (states && may_repeat(r, start, end) && is_order(r, start, end)) {
            uint64_t what = hash_of(r, &about[0]) + 31 * hash_of(r, &about[1]);
            again = seen(r, &lines, (struct line){ start, end - start, what });
        }
        bool shielded = again && is_shielded(r, start, end);
        r->conflict = r->conflict || shielded;
        if (again && !shielded) {
            while (next < r->len && trim_is_white(r->text[next])) next++; /* empty lines, and the indent of the next */
            while (next > end && next < r->len && r->text[next - 1] != '\n') next--;
            drop(r, at, end, next, TRIM_REPEATED);
        } else {
            r->kept_end = next;
        }
        at = next;
    }
    cut_end(r);
    mem_free(lines.table);
    return 0;
}

/* -- Rounds -------------------------------------------------------------------------------- */

struct work {
    struct buf spans, units, marks;
    struct buf text, next;       /* what is left so far, and after this round */
    struct buf origin;           /* with cuts: of each byte of text, where it stood first */
    struct buf why;              /* with cuts: by byte of the given text, 0 or reason + 1 */
    struct buf shield, shield2;  /* struct range: what was protected at first, where it is now; scratch */
    unsigned   rounds;
    bool       conflict;         /* of the last round */
    bool       task, below;      /* of the given text, see struct round */
    bool       with_cuts;
};

static void work_init(struct work *w, bool with_cuts) {
    struct buf *all[] = { &w->spans,  &w->units, &w->marks,  &w->text,   &w->next,
                          &w->origin, &w->why,   &w->shield, &w->shield2 };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) buf_init(all[i], 0);
    w->with_cuts = with_cuts;
}

static void work_deinit(struct work *w) {
    struct buf *all[] = { &w->spans,  &w->units, &w->marks,  &w->text,   &w->next,
                          &w->origin, &w->why,   &w->shield, &w->shield2 };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) buf_deinit(all[i]);
}

static bool zeros(struct buf *b, size_t n) {
    buf_clear(b);
    char *p = buf_reserve(b, n);
    if (p == NULL) return false;
    memset(p, 0, n);
    buf_advance(b, n);
    return true;
}

/* Notes what goes in the coordinates of the given text. */
static void note(struct work *w, const struct round *r) {
    uint32_t *origin = (uint32_t *)(void *)w->origin.data, n = 0;
    uint8_t *why = (uint8_t *)w->why.data;
    for (uint32_t i = 0; i < r->len; i++) {
        if (r->marks[i] != 0) why[origin[i]] = r->marks[i];
        else origin[n++] = origin[i];
    }
}

/* What is protected changes with what stands in front of it: a line that goes makes code
 * the continuation of a list.  What the given text says is what counts. */
static void carry_shield(struct work *w, const struct round *r) {
    uint32_t at = 0, kept = 0; /* bytes looked at, and of these kept */
    size_t n = w->rounds == 0 ? r->span_count : r->shield_count;
    buf_clear(&w->shield2);
    for (size_t i = 0; i < n; i++) {
        if (w->rounds == 0 && is_vouched(r, &r->spans[i])) continue;
        struct range s = w->rounds == 0 ? (struct range){ r->spans[i].start, r->spans[i].end } : r->shield[i], moved;
        for (; at < s.start; at++) kept += r->marks[at] == 0;
        moved.start = kept;
        for (; at < s.end; at++) kept += r->marks[at] == 0;
        moved.end = kept;
        if (moved.end > moved.start) buf_put(&w->shield2, &moved, sizeof(moved));
    }
    struct buf t = w->shield;
    w->shield = w->shield2;
    w->shield2 = t;
}

static int compact(struct work *w, const struct round *r) {
    if (w->with_cuts) note(w, r);
    carry_shield(w, r);
    buf_clear(&w->next);
    for (uint32_t i = 0; i < r->len;) {
        uint32_t from = i;
        i = unmarked_end(r, i);
        buf_put(&w->next, r->text + from, i - from);
        while (i < r->len && r->marks[i] != 0) i++;
    }
    if (buf_failed(&w->next) || buf_failed(&w->shield)) return PERILUNE_ERR_NOMEM;
    struct buf t = w->text;
    w->text = w->next;
    w->next = t;
    return 0;
}

/* 0, or PERILUNE_ERR_CANCELED. */
static int ask(const struct trim_options *o) { return o->go_on == NULL || o->go_on(o->ud) ? 0 : PERILUNE_ERR_CANCELED; }

/* One round over w->text.  Returns 1 when something went, 0, or an error. */
static int run_round(struct work *w, const struct trim_rules *rules, const struct trim_options *options) {
    struct slice text = buf_get(&w->text);
    struct round r = { .rules = rules, .options = options, .text = text.ptr, .len = (uint32_t)text.len };
    buf_clear(&w->spans);
    buf_clear(&w->units);
    int rc = text_spans(text, TEXT_ALL_TYPES, &w->spans);
    if (rc == 0) rc = ask(options);
    if (rc == 0) rc = text_sentences(text, &w->spans, &w->units);
    if (rc == 0) rc = ask(options);
    if (rc == 0 && !zeros(&w->marks, text.len)) rc = PERILUNE_ERR_NOMEM;
    if (rc != 0) return rc;
    text_spans_merge(&w->spans);
    r.marks = (uint8_t *)w->marks.data;
    r.spans = text_spans_of(&w->spans, &r.span_count);
    r.shield = (const struct range *)(const void *)buf_get(&w->shield).ptr;
    r.shield_count = buf_len(&w->shield) / sizeof(*r.shield);
    /* Once: what a round leaves of a text without a task has nothing more to lose with one. */
    if (w->rounds == 0) {
        rc = has_examples(&r);
        if (rc < 0) return rc;
        unsigned said = trim_rules_has(rules, 1u << TRIM_TASK | 1u << TRIM_BELOW, text.ptr, text.ptr + text.len);
        w->task = rc > 0 || (said & 1u << TRIM_TASK) != 0;
        w->below = (said & 1u << TRIM_BELOW) != 0;
        rc = 0;
    }
    r.task = w->task;
    r.below = w->below;
    if (options->repeated && !r.task && !r.below && (rc = cut_repeated(&r)) != 0) return rc;
    if ((rc = ask(options)) != 0) return rc;
    if (r.marked == 0) {
        size_t n;
        const struct text_unit *units = text_units_of(&w->units, &n);
        r.kept_end = 0;
        cut_units(&r, units, n);
    }
    w->conflict = r.conflict;
    if (r.marked == 0) return 0;
    rc = compact(w, &r);
    return rc != 0 ? rc : 1;
}

static int put_cuts(const struct work *w, struct buf *cuts) {
    struct slice why = buf_get(&w->why);
    size_t before = buf_len(cuts);
    for (size_t i = 0; i < why.len;) {
        size_t from = i;
        while (i < why.len && why.ptr[i] == why.ptr[from]) i++;
        struct trim_cut c = { (uint32_t)from, (uint32_t)i, (uint32_t)(uint8_t)why.ptr[from] - 1 };
        if (why.ptr[from] != 0) buf_put(cuts, &c, sizeof(c));
    }
    if (!buf_failed(cuts)) return 0;
    cuts->len = cuts->mark + before;
    return PERILUNE_ERR_NOMEM;
}

static bool begin_cuts(struct work *w, size_t len) {
    if (!zeros(&w->why, len)) return false;
    uint32_t *origin = (uint32_t *)(void *)buf_reserve(&w->origin, len * sizeof(*origin));
    if (origin == NULL) return false;
    for (size_t i = 0; i < len; i++) origin[i] = (uint32_t)i;
    return true;
}

int trim_text(const struct trim_rules *rules, struct slice text, const struct trim_options *options, struct buf *out,
              struct buf *cuts) {
    if (text.len > TEXT_MAX) return PERILUNE_ERR_LIMITED;
    if (text.len == 0) return 0;
    struct work w;
    work_init(&w, cuts != NULL);
    w.rounds = 0;
    w.conflict = false;
    if (options == NULL) options = &trim_defaults;
    if (options->go_on != NULL) w.units.limit = TEXT_UNITS_MOST;
    buf_slice(&w.text, text);
    buf_reserve(&w.next, text.len); /* these would grow many times */
    buf_reserve(&w.spans, text.len);
    buf_reserve(&w.units, text.len < TEXT_UNITS_MOST ? text.len : TEXT_UNITS_MOST);
    int rc = buf_failed(&w.text) || (cuts != NULL && !begin_cuts(&w, text.len)) ? PERILUNE_ERR_NOMEM : 0;
    if (rc == 0)
        while ((rc = run_round(&w, rules, options)) == 1 && ++w.rounds < ROUNDS) continue;
    struct slice left = buf_get(&w.text);
    bool settled = rc == 0 && !w.conflict && !trim_says_nothing(left.ptr, left.ptr + left.len);
    size_t before = buf_len(out);
    if (rc >= 0) {
        buf_slice(out, settled ? left : text);
        rc = buf_failed(out) ? PERILUNE_ERR_NOMEM : 0;
        if (rc == 0 && settled && cuts != NULL) rc = put_cuts(&w, cuts);
        if (rc != 0) out->len = out->mark + before;
    }
    work_deinit(&w);
    return rc;
}
