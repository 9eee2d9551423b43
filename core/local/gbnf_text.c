/* gbnf_text.c -- strings as a grammar: lengths, formats and patterns.
 *
 *     {"maxLength": 600}      a rule of 256 characters, so that the grammar stays small:
 *                             c ::= char{256}     "\"" (c{0,1} char{0,255} | c{2} char{0,88}) "\""
 *     {"format": "date"}      digits, dashes, months from 01 to 12
 *     {"pattern": "^[a-z]+$"} the regular expression, character by character
 *
 * A pattern is read by recursive descent into the same operators, which GBNF has: alternatives, groups, classes,
 * * + ? {m,n}.  Not known: looking around, references back, boundaries of words, lazy quantifiers, \p.  Without ^ or $
 * anything may stand before or behind, as the schema's standard says.
 *
 * Everything that is written stands in a JSON string.  Quotes and backslashes are written with their escape where
 * the pattern names them; what is "any character" (., [^...]) never needs one, so a grammar says less than the pattern
 * there, never more.
 *
 * Invariants: the pattern is UTF-8; depth and counts are bounded.
 *
 * Thread: any. */
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"
#include "local/gbnf_int.h"
#include "tokens/unicode.h"

#define PATTERN_DEPTH  32
#define PATTERN_REPEAT 1000
#define PATTERN_SIZE   65536 /* of all that its counts multiply to */
#define NOT_PLAIN      "\"\\\\\\x7F\\x00-\\x1F" /* what cannot stand in a JSON string as it is, in a class */

struct pattern {
    struct gbnf  *g;
    uint32_t      in; /* the schema */
    const char   *at, *end;
    unsigned      depth;
    struct buf   *to;
    uint64_t      size;  /* characters and classes, repeated ones as often as they are; PATTERN_SIZE + 1: too many */
};

static void refuse(struct pattern *p, const char *why) {
    gbnf_fail(p->g, PERILUNE_ERR_INVAL, p->in, "pattern", "%s", why);
}

/* The character at p->at; eaten. */
static uint32_t next_char(struct pattern *p) {
    uint32_t c = 0;
    unsigned n = unicode_decode((const unsigned char *)p->at, (const unsigned char *)p->end, &c);
    if (n == 0) refuse(p, "is no UTF-8");
    p->at += n ? n : (size_t)(p->end - p->at);
    return c;
}

static void put_char(struct pattern *p, uint32_t c) {
    if (c == '"') buf_puts(p->to, "\"\\\\\\\"\"");
    else if (c == '\\') buf_puts(p->to, "\"\\\\\\\\\"");
    else if (c == '\n') buf_puts(p->to, "\"\\\\n\"");
    else if (c == '\t') buf_puts(p->to, "\"\\\\t\"");
    else if (c == '\r') buf_puts(p->to, "\"\\\\r\"");
    else if (c < 0x20 || c == 0x7F) refuse(p, "names a control character");
    else buf_putc(p->to, '['), gbnf_class_char(p->to, c), buf_putc(p->to, ']');
}

/* Behind a backslash: the ranges of a class that the letter stands for; NULL: a character, *c. */
static const char *escape(struct pattern *p, uint32_t *c, bool *negated) {
    static const char letters[] = "nrtfv", means[] = "\n\r\t\f\v";
    if (p->at >= p->end) return refuse(p, "ends with a backslash"), NULL;
    *c = next_char(p);
    *negated = *c == 'D' || *c == 'W' || *c == 'S';
    switch (*c) {
    case 'd': case 'D': return "0-9";
    case 'w': case 'W': return "0-9A-Za-z_";
    case 's': case 'S': return " ";
    default: break;
    }
    const char *plain = *c < 0x80 && *c ? memchr(letters, (int)*c, sizeof(letters) - 1) : NULL;
    if (plain) *c = (unsigned char)means[plain - letters];
    else if (*c < 0x80 && ((*c | 32) >= 'a' && (*c | 32) <= 'z')) refuse(p,
        "has an escape that is not supported (known: \\d \\w \\s \\n \\r \\t)");
    else if (*c >= '0' && *c <= '9') refuse(p, "refers back to a group");
    return NULL;
}

/* [...], behind the bracket. */
static void put_class(struct pattern *p) {
    struct buf set;
    bool negated = p->at < p->end && *p->at == '^', quote = false, back = false, any = false;
    p->at += negated;
    buf_init(&set, 4096);
    for (bool first = true; p->g->rc == 0; first = false) {
        if (p->at >= p->end) {
            refuse(p, "has a [ without its ]");
            break;
        }
        uint32_t c = next_char(p);
        bool not_these = false;
        if (c == ']' && !first) break;
        const char *named = c == '\\' ? escape(p, &c, &not_these) : NULL;
        if (not_these) refuse(p, "has \\D, \\W or \\S between [ and ]");
        if (named) {
            buf_puts(&set, named);
            any = true;
            continue;
        }
        uint32_t to = c;
        if (p->end - p->at > 1 && *p->at == '-' && p->at[1] != ']') {
            p->at++;
            to = next_char(p);
            if (to == '\\' && escape(p, &to, &not_these) != NULL) refuse(p, "has a range that ends in a class");
            if (to < c) refuse(p, "has a range that goes backwards");
        }
        quote |= c <= '"' && to >= '"';
        back |= c <= '\\' && to >= '\\';
        if (c == to && (c == '"' || c == '\\' || c < 0x20)) continue; /* these are written apart */
        any = true;
        gbnf_class_char(&set, c < 0x20 ? ' ' : c);
        if (to != c) buf_putc(&set, '-'), gbnf_class_char(&set, to);
    }
    buf_putc(&set, '\0');
    if (set.error == PERILUNE_ERR_NOMEM) p->g->rc = p->g->rc ? p->g->rc : PERILUNE_ERR_NOMEM;
    else if (buf_failed(&set)) refuse(p, "has too long a class");
    else if (negated) buf_printf(p->to, "[^%s" NOT_PLAIN "]", set.data);
    else if (any && (quote || back)) /* a range over a quote would take the bare quote, too */
        refuse(p, "has a class with a quote or a backslash among others: write (...|\\\")");
    else if (any) buf_printf(p->to, "[%s]", set.data);
    else put_char(p, quote ? '"' : '\\');
    buf_deinit(&set);
}

/* What was counted since `before` comes `times` times. */
static void multiply(struct pattern *p, uint64_t before, unsigned times) {
    p->size = before + (p->size - before) * (times ? times : 1); /* no more than PATTERN_SIZE * PATTERN_REPEAT */
    if (p->size > PATTERN_SIZE)
        gbnf_fail(p->g, PERILUNE_ERR_LIMITED, p->in, "pattern", "is too large: its counts make more than %d characters "
                  "of it ({m,n} in {m,n} multiply)", PATTERN_SIZE);
}

static void put_choice(struct pattern *p);

/* One character, class or group. */
static void put_atom(struct pattern *p) {
    uint32_t c = next_char(p);
    bool negated = false;
    p->size++;
    if (c == '(') {
        if (p->end - p->at > 1 && p->at[0] == '?') {
            if (p->at[1] != ':') refuse(p, "has a group that looks around or has a name");
            p->at += 2;
        }
        if (++p->depth > PATTERN_DEPTH) refuse(p, "has more than 32 groups in groups");
        buf_putc(p->to, '(');
        put_choice(p);
        buf_putc(p->to, ')');
        p->depth--;
        if (p->at < p->end && *p->at == ')') p->at++;
        else refuse(p, "has a ( without its )");
    } else if (c == '[') {
        put_class(p);
    } else if (c == '.') {
        buf_puts(p->to, "[^" NOT_PLAIN "]");
    } else if (c == '\\') {
        const char *named = escape(p, &c, &negated);
        if (named && negated) buf_printf(p->to, "[^%s" NOT_PLAIN "]", named);
        else if (named && *named == ' ') buf_puts(p->to, "([ ] | \"\\\\n\" | \"\\\\t\" | \"\\\\r\")");
        else if (named) buf_printf(p->to, "[%s]", named);
        else put_char(p, c);
    } else if (c == '^' || c == '$') {
        refuse(p, "has a ^ or $ inside");
    } else if (c < 0x80 && strchr("*+?{", (int)c)) {
        refuse(p, "has a quantifier with nothing in front");
    } else {
        put_char(p, c);
    }
}

static unsigned number(struct pattern *p, bool *there) {
    unsigned n = 0;
    *there = p->at < p->end && *p->at >= '0' && *p->at <= '9';
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9' &&
         n <= PATTERN_REPEAT; p->at++) n = n * 10 + (unsigned)(*p->at - '0');
    return n;
}

static void put_quantifier(struct pattern *p, uint64_t before) {
    if (p->at >= p->end || !strchr("*+?{", *p->at)) return;
    char c = *p->at++;
    if (c != '{') {
        buf_putc(p->to, c);
    } else {
        bool from, to = false, comma;
        unsigned min = number(p, &from), max = min;
        comma = p->at < p->end && *p->at == ',';
        p->at += comma;
        if (comma) max = number(p, &to);
        if (!from || p->at >= p->end || *p->at++ != '}') refuse(p, "has a { that is no count");
        else if (min > PATTERN_REPEAT || max > PATTERN_REPEAT || (to && max < min)) refuse(p,
            "has a count above 1000, or one that goes backwards");
        else multiply(p, before, to ? max : min);
        if (p->g->rc != 0) return;
        if (!comma) buf_printf(p->to, "{%u}", min);
        else if (to) buf_printf(p->to, "{%u,%u}", min, max);
        else buf_printf(p->to, "{%u,}", min);
    }
    if (p->at < p->end && strchr("*+?{", *p->at)) refuse(p, "has a lazy or doubled quantifier");
}

static void put_choice(struct pattern *p) {
    bool empty = true;
    while (p->g->rc == 0 && p->at < p->end && *p->at != ')') {
        if (*p->at == '|') {
            buf_puts(p->to, empty ? "\"\" | " : " | ");
            p->at++;
            empty = true;
            continue;
        }
        if (!empty) buf_putc(p->to, ' ');
        uint64_t before = p->size;
        put_atom(p);
        if (p->g->rc == 0) put_quantifier(p, before);
        empty = false;
    }
    if (empty) buf_puts(p->to, "\"\"");
}

static void put_pattern(struct gbnf *g, uint32_t node, uint32_t in) {
    struct buf text;
    buf_init(&text, 0);
    json_decode_string(g->doc, node, &text);
    if (buf_failed(&text)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    struct slice s = buf_get(&text);
    bool open_left = !slice_starts(s, SLICE("^")), open_right = !slice_ends(s, SLICE("$")) || slice_ends(s,
        SLICE("\\$"));
    struct pattern p = { g, in, s.ptr + !open_left, s.ptr + s.len - !open_right, 0, &g->out, 0 };
    buf_puts(&g->out, open_left ? "\"\\\"\" char* (" : "\"\\\"\" (");
    if (!open_left || !open_right) /* ^a|b$ binds each to one side only */
        for (const char *c = p.at, *end = p.end; c < end && g->rc == 0; c++)
            if (*c == '|' && memchr(p.at, '(', (size_t)(c - p.at)) == NULL) refuse(&p,
                "has ^ or $ beside a bare |: put it in ( )");
    if (g->rc == 0) put_choice(&p);
    if (g->rc == 0 && p.at < p.end) refuse(&p, "has a ) without its (");
    buf_puts(&g->out, open_right ? ") char* \"\\\"\" space" : ") \"\\\"\" space");
    buf_deinit(&text);
}

/* The formats that are checked; others say something to people. */
static const char *format_of(const struct json_doc *doc, uint32_t node) {
#define DATE "[0-9]{4} \"-\" (\"0\" [1-9] | \"1\" [0-2]) \"-\" (\"0\" [1-9] | [1-2] [0-9] | \"3\" [0-1])"
#define TIME "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,9})? " \
             "(\"Z\" | [+-] ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])"
#define HEX4 "[0-9a-fA-F]{4}"
    static const struct { const char *name, *grammar; } formats[] = {
        { "date", DATE },
        { "time", TIME },
        { "date-time", DATE " \"T\" " TIME },
        { "uuid", "[0-9a-fA-F]{8} \"-\" " HEX4 " \"-\" " HEX4 " \"-\" " HEX4 " \"-\" [0-9a-fA-F]{12}" },
    };
    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (json_is(doc, node, JSON_STRING) && json_str_eq(doc, node,
                                                           slice_str(formats[i].name))) return formats[i].grammar;
    return NULL;
}

void gbnf_string(struct gbnf *g, const struct gbnf_view *v) {
    uint32_t in = v->node[0], at = gbnf_keyword(g, v, "pattern", &in);
    uint32_t other = in, format = gbnf_keyword(g, v, "format", &other);
    int64_t min = gbnf_count(g, v, "minLength", 0), max = gbnf_count(g, v, "maxLength", -1);
    const char *grammar = format != JSON_NONE ? format_of(g->doc, format) : NULL;
    if (g->rc != 0) return;
    if (at != JSON_NONE && !json_is(g->doc, at, JSON_STRING)) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "pattern",
        "is a string");
    else if (at != JSON_NONE && (min > 0 || max >= 0))
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, "pattern", "cannot stand beside a length: write it into the pattern");
    else if (at != JSON_NONE) put_pattern(g, at, in);
    else if (grammar) buf_printf(&g->out, "\"\\\"\" (%s) \"\\\"\" space", grammar);
    else if (max >= 0 && max < min) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "maxLength", "is below minLength");
    else if (min == 0 && max < 0) buf_puts(&g->out, "string");
    else {
        buf_puts(&g->out, "\"\\\"\" ");
        gbnf_repeat(g, &g->out, "char", min, max);
        buf_puts(&g->out, " \"\\\"\" space");
    }
}
