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
 * Everything that is written stands in a JSON string.  Quotes, backslashes and lines' ends are written with their
 * escape where the pattern names them, also in a class or in a range of one; what is "any character" (., [^...]) never
 * needs one, so a grammar says less than the pattern there, never more.
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

/* Characters that have an escape in JSON, and their letters there. */
static const struct { char is, letter; } escaped[] = {
    { '"', '"' }, { '\\', '\\' }, { '\n', 'n' }, { '\t', 't' }, { '\r', 'r' }, { '\b', 'b' }, { '\f', 'f' },
};
#define ESCAPED (sizeof(escaped) / sizeof(escaped[0]))

/* As it stands in a JSON string. */
static void put_escape(struct buf *to, unsigned i) {
    buf_printf(to, "\"\\\\%s%c\"", i < 2 ? "\\" : "", escaped[i].letter);
}

static void put_char(struct pattern *p, uint32_t c) {
    for (unsigned i = 0; i < ESCAPED; i++)
        if (c == (unsigned char)escaped[i].is) {
            put_escape(p->to, i);
            return;
        }
    if (c < 0x20 || c == 0x7F) refuse(p, "names a control character");
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

#define SPACES  (1u << 2 | 1u << 3 | 1u << 4) /* of escaped[]: \\s, which is a blank, too */

struct set {
    struct buf plain;   /* what needs no escape, as in a class of a grammar */
    unsigned   escapes; /* of escaped[], a bit each */
};

/* The characters from `from` to `to`: those that need an escape are written apart, and what is left in pieces. */
static void set_add(struct set *set, uint32_t from, uint32_t to) {
    static const uint32_t apart[] = { '"', '\\', 0x7F };
    for (unsigned i = 0; i < ESCAPED; i++)
        if ((unsigned char)escaped[i].is >= from && (unsigned char)escaped[i].is <= to) set->escapes |= 1u << i;
    if (from < 0x20) from = 0x20;
    for (unsigned i = 0; i <= 3 && from <= to; i++) {
        uint32_t end = i < 3 ? apart[i] : to + 1;
        if (end < from) continue;
        if (end > to) end = to + 1;
        if (end > from) gbnf_class_char(&set->plain, from);
        if (end > from + 1) buf_putc(&set->plain, '-'), gbnf_class_char(&set->plain, end - 1);
        from = end + 1;
    }
}

/* One of them. */
static void put_set(struct pattern *p, const struct set *set) {
    bool first = buf_len(&set->plain) == 0;
    buf_putc(p->to, '(');
    if (!first) buf_printf(p->to, "[%.*s]", SLICE_ARG(buf_get(&set->plain)));
    for (unsigned i = 0; i < ESCAPED; i++) {
        if ((set->escapes & 1u << i) == 0) continue;
        if (!first) buf_puts(p->to, " | ");
        put_escape(p->to, i);
        first = false;
    }
    if (first) refuse(p, "has a class of no character that a text may have");
    buf_putc(p->to, ')');
}

/* [...], behind the bracket. */
static void put_class(struct pattern *p) {
    struct set set = { .escapes = 0 };
    bool negated = p->at < p->end && *p->at == '^';
    p->at += negated;
    buf_init(&set.plain, 4096);
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
            buf_puts(&set.plain, named);
            if (*named == ' ') set.escapes |= SPACES;
            continue;
        }
        uint32_t to = c;
        if (p->end - p->at > 1 && *p->at == '-' && p->at[1] != ']') {
            p->at++;
            to = next_char(p);
            if (to == '\\' && escape(p, &to, &not_these) != NULL) refuse(p, "has a range that ends in a class");
            if (to < c) refuse(p, "has a range that goes backwards");
        }
        set_add(&set, c, to);
    }
    if (set.plain.error == PERILUNE_ERR_NOMEM) p->g->rc = p->g->rc ? p->g->rc : PERILUNE_ERR_NOMEM;
    else if (buf_failed(&set.plain)) refuse(p, "has too long a class");
    else if (negated) buf_printf(p->to, "[^%.*s" NOT_PLAIN "]", SLICE_ARG(buf_get(&set.plain)));
    else put_set(p, &set);
    buf_deinit(&set.plain);
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

/* What stands outside of groups and classes: is there a bare |, with no group before it, and is its last $ one? */
static void scan(const char *at, const char *end, bool *bar, bool *dollar) {
    const char *in_class = NULL; /* where a ] is none that ends it */
    bool group = false;
    *bar = *dollar = false;
    for (; at < end; at++) {
        *dollar = in_class == NULL && *at == '$';
        if (*at == '\\') at++;
        else if (in_class && *at == ']' && at > in_class) in_class = NULL;
        else if (!in_class && *at == '[') in_class = at + 1 < end && at[1] == '^' ? at + 2 : at + 1;
        else if (!in_class) *bar |= *at == '|' && !group, group |= *at == '(';
    }
}

static void put_pattern(struct gbnf *g, uint32_t node, uint32_t in) {
    struct buf text;
    bool bar, dollar;
    buf_init(&text, 0);
    json_decode_string(g->doc, node, &text);
    if (buf_failed(&text)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    struct slice s = buf_get(&text);
    scan(s.ptr, s.ptr + s.len, &bar, &dollar);
    bool open_left = !slice_starts(s, SLICE("^")), open_right = !dollar;
    struct pattern p = { g, in, s.ptr + !open_left, s.ptr + s.len - !open_right, 0, &g->out, 0 };
    buf_puts(&g->out, open_left ? "\"\\\"\" char* (" : "\"\\\"\" (");
    if (bar && (!open_left || !open_right)) refuse(&p, "has ^ or $ beside a bare |: put it in ( )"); /* one side's */
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
