/* jinja_lex.c -- a template's text as tokens.
 *
 *     {%- if a %}\n  Hello {{ b }}
 *     TAG NAME NAME TAG_END TEXT("  Hello ") PRINT NAME PRINT_END END
 *
 * White space is settled here, as transformers sets Jinja up (trim_blocks and lstrip_blocks on,
 * keep_trailing_newline off), so that the parser never thinks of it:
 *
 *     {%-  {{-  {#-   what stands before loses the white space at its end
 *     -%}  -}}  -#}   what stands behind loses it at its beginning
 *     %}\n  #}\n      the newline goes (not behind }}); +%} keeps it
 *     \n   {%  {#     blanks between the line's beginning and the tag go (not before {{); {%+ keeps them
 *
 * A tag ends at the first %} outside of brackets, so {{ {'a': {}} }} is one tag.  \r\n is \n, and the last
 * newline of a template does not count.
 *
 * Invariants: the last token is END.  Strings are decoded here and lie in the template's arena; all other
 * tokens point into its copy of the text.
 *
 * Thread: any.  Does not: know which names are keywords. */
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

struct lexer {
    struct jinja_parser *p;
    const char          *at, *end;
    uint32_t             line;
    bool                 line_start; /* the text that follows begins a line */
};

static bool put(struct lexer *x, enum jinja_tok type, struct slice s) {
    struct jinja_parser *p = x->p;
    if (p->len == JINJA_MAX_TOKENS) {
        jinja_refuse(p, x->line, "the template has more than %u tokens", JINJA_MAX_TOKENS);
        return false;
    }
    if (p->len == p->cap && !mem_grow((void **)&p->tokens, p->len, &p->cap, sizeof(*p->tokens))) {
        jinja_no_memory(p);
        return false;
    }
    p->tokens[p->len++] = (struct jinja_token){ .type = type, .line = x->line, .s = s };
    return true;
}

static void count_lines(struct lexer *x, const char *from, const char *to) {
    for (; from < to; from++) x->line += *from == '\n';
}

static bool at(const struct lexer *x, const char *what) {
    size_t n = strlen(what);
    return (size_t)(x->end - x->at) >= n && memcmp(x->at, what, n) == 0;
}

static void skip_space(struct lexer *x) {
    unsigned n;
    while (x->at < x->end && (n = jinja_space(slice_of(x->at, (size_t)(x->end - x->at)))) > 0) {
        x->line += *x->at == '\n';
        x->at += n;
    }
}

/* Behind the end of a tag: x->at is there.  trims: the newline goes. */
static void after_tag(struct lexer *x, char sign, bool trims) {
    const char *from = x->at;
    if (sign == '-') skip_space(x);
    else if (trims && sign != '+' && x->at < x->end && *x->at == '\n') x->line++, x->at++;
    x->line_start = x->at > from && x->at[-1] == '\n';
}

/* -- Strings and numbers -------------------------------------------------------- */

static unsigned encode(uint32_t c, char *to) {
    if (c < 0x80) return to[0] = (char)c, 1;
    if (c < 0x800) return to[0] = (char)(0xC0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return to[0] = (char)(0xE0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63)), 3;
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* \xNN, \uNNNN, \UNNNNNNNN: digits of them at p.  Bytes read, or 0. */
static unsigned hex(const char *p, const char *end, unsigned digits, uint32_t *c) {
    *c = 0;
    if ((size_t)(end - p) < digits) return 0;
    for (unsigned i = 0; i < digits; i++) {
        char d = p[i];
        static const char all[] = "0123456789abcdef";
        const char *v = memchr(all, d >= 'A' && d <= 'F' ? d | 32 : d, 16);
        if (v == NULL) return 0;
        *c = *c * 16 + (uint32_t)(v - all);
    }
    return *c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000) ? 0 : digits;
}

/* One escape at p, behind the backslash.  Bytes read; what it means is in to, *n bytes. */
static unsigned unescape(const char *p, const char *end, char *to, unsigned *n) {
    static const char from[] = "ntr\\'\"bfva", means[] = "\n\t\r\\'\"\b\f\v\a";
    const char *plain = memchr(from, *p, sizeof(from) - 1);
    uint32_t c = 0;
    *n = 1;
    if (plain) return to[0] = means[plain - from], 1;
    if (*p == '\n') return *n = 0, 1;
    unsigned digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (digits > 0 && hex(p + 1, end, digits, &c) > 0) return *n = encode(c, to), digits + 1;
    if (*p >= '0' && *p <= '7') {
        unsigned i = 0;
        for (; i < 3 && p + i < end && p[i] >= '0' && p[i] <= '7'; i++) c = c * 8 + (unsigned)(p[i] - '0');
        return *n = encode(c, to), i;
    }
    to[0] = '\\'; /* Python keeps what it does not know */
    return 0;
}

static bool lex_string(struct lexer *x) {
    char quote = *x->at;
    const char *p = x->at + 1, *from = p;
    while (p < x->end && *p != quote) p += *p == '\\' && p + 1 < x->end ? 2 : 1;
    if (p >= x->end) return jinja_refuse(x->p, x->line, "a string without its end"), false;
    char *text = arena_alloc(&x->p->t->arena, (size_t)(p - from) + 4), *to = text;
    if (text == NULL) return jinja_no_memory(x->p), false;
    for (const char *q = from; q < p;) {
        unsigned n = 1;
        if (*q != '\\') *to++ = *q++;
        else q++, q += unescape(q, p, to, &n), to += n;
    }
    if (!put(x, TOK_STR, slice_of(text, (size_t)(to - text)))) return false;
    count_lines(x, from, p);
    x->at = p + 1;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) {
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

static const char *digits_end(const char *p, const char *end) {
    while (p < end && (is_digit(*p) || (*p == '_' && p + 1 < end && is_digit(p[1])))) p++;
    return p;
}

static bool lex_number(struct lexer *x) {
    const char *from = x->at, *p = digits_end(from, x->end);
    enum jinja_tok type = TOK_INT;
    if (x->end - p > 1 && *p == '.' && is_digit(p[1])) {
        p = digits_end(p + 1, x->end);
        type = TOK_FLOAT;
    }
    if (p < x->end && (*p | 32) == 'e') {
        const char *q = p + 1 + (p + 1 < x->end && (p[1] == '+' || p[1] == '-'));
        if (q < x->end && is_digit(*q)) p = digits_end(q, x->end), type = TOK_FLOAT;
    }
    x->at = p;
    return put(x, type, slice_of(from, (size_t)(p - from)));
}

/* -- Inside of a tag -------------------------------------------------------------- */

static bool lex_op(struct lexer *x) {
    static const char *const ops[] = { "==", "!=", ">=", "<=", "//", "**", "+", "-", "*", "/", "%", "~", "[", "]",
        "(", ")",
                                       "{", "}", "<", ">", "=", ".", ":", "|", ",", ";", NULL };
    for (unsigned i = 0; ops[i]; i++) {
        if (!at(x, ops[i])) continue;
        struct slice s = slice_of(x->at, strlen(ops[i]));
        x->at += s.len;
        return put(x, TOK_OP, s);
    }
    jinja_refuse(x->p, x->line, "a character that means nothing here: \"%.*s\"", 1, x->at);
    return false;
}

/* Is the end of this tag here?  Eats it. */
static bool tag_end(struct lexer *x, bool print) {
    const char *from = x->at;
    char sign = *from == '-' || (*from == '+' && !print) ? *from : ' ';
    if (sign != ' ') x->at++;
    if (!at(x, print ? "}}" : "%}")) {
        x->at = from;
        return false;
    }
    x->at += 2;
    if (put(x, print ? TOK_PRINT_END : TOK_TAG_END, slice_of(from, (size_t)(x->at - from)))) after_tag(x, sign, !print);
    return true;
}

static void lex_tag(struct lexer *x, bool print) {
    unsigned open = 0; /* brackets */
    uint32_t line = x->line;
    while (x->p->rc == 0) {
        skip_space(x);
        if (x->at >= x->end) {
            jinja_refuse(x->p, line, "a tag without its end \"%s\"", print ? "}}" : "%}");
            return;
        }
        if (open == 0 && tag_end(x, print)) return;
        char c = *x->at;
        if (c == '"' || c == '\'') {
            lex_string(x);
        } else if (is_digit(c)) {
            lex_number(x);
        } else if (is_word(c)) {
            const char *from = x->at;
            while (x->at < x->end && is_word(*x->at)) x->at++;
            put(x, TOK_NAME, slice_of(from, (size_t)(x->at - from)));
        } else if (lex_op(x)) {
            if (strchr("([{", c)) open++;
            else if (strchr(")]}", c) && open > 0) open--;
        }
    }
}

/* -- Between tags ------------------------------------------------------------------ */

/* Where the next tag begins, or the end. */
static const char *next_tag(const struct lexer *x) {
    for (const char *p = x->at; p + 1 < x->end; p++) {
        p = memchr(p, '{', (size_t)(x->end - p - 1));
        if (p == NULL) return x->end;
        if (p[1] == '{' || p[1] == '%' || p[1] == '#') return p;
    }
    return x->end;
}

/* The text up to the tag at to, without what the tag's sign takes away. */
static bool put_text(struct lexer *x, const char *to, char sign, bool is_print) {
    struct slice s = slice_of(x->at, (size_t)(to - x->at));
    if (sign == '-') {
        unsigned n;
        while ((n = jinja_space_before(s)) > 0) s.len -= n;
    } else if (sign != '+' && !is_print) {
        size_t n = s.len;
        while (n > 0 && (s.ptr[n - 1] == ' ' || s.ptr[n - 1] == '\t')) n--;
        if (n > 0 ? s.ptr[n - 1] == '\n' : x->line_start) s.len = n;
    }
    if (s.len > 0 && !put(x, TOK_TEXT, s)) return false;
    count_lines(x, x->at, to);
    x->at = to;
    return true;
}

/* {% raw %}: x->at is behind "{%" and its sign.  Is this one?  Then all of it is eaten. */
static bool lex_raw(struct lexer *x) {
    struct lexer save = *x;
    skip_space(x);
    if (!at(x, "raw")) return *x = save, false;
    x->at += 3;
    skip_space(x);
    char sign = x->at < x->end && *x->at == '-' ? '-' : ' ';
    if (sign == '-') x->at++;
    if (!at(x, "%}")) return *x = save, false;
    x->at += 2;
    after_tag(x, sign, false);
    for (const char *p = x->at; (p = memmem(p, (size_t)(x->end - p), "{%", 2)) != NULL; p += 2) {
        struct lexer end = *x;
        end.at = p + 2;
        char before = end.at < end.end && (*end.at == '-' || *end.at == '+') ? *end.at++ : ' ';
        skip_space(&end);
        if (!at(&end, "endraw")) continue;
        end.at += 6;
        skip_space(&end);
        char after = end.at < end.end && (*end.at == '-' || *end.at == '+') ? *end.at++ : ' ';
        if (!at(&end, "%}")) continue;
        if (!put_text(x, p, before, false)) return true;
        count_lines(x, p, end.at);
        x->at = end.at + 2;
        after_tag(x, after, true);
        return true;
    }
    jinja_refuse(x->p, x->line, "{%% raw %%} without its {%% endraw %%}");
    return true;
}

static void lex_comment(struct lexer *x) {
    const char *end = memmem(x->at, (size_t)(x->end - x->at), "#}", 2);
    if (end == NULL) {
        jinja_refuse(x->p, x->line, "a comment without its end \"#}\"");
        return;
    }
    char sign = end > x->at && (end[-1] == '-' || end[-1] == '+') ? end[-1] : ' ';
    count_lines(x, x->at, end);
    x->at = end + 2;
    after_tag(x, sign, true);
}

int jinja_lex(struct jinja_parser *p, struct slice text) {
    if (text.len > 0 && text.ptr[text.len - 1] == '\n') text.len--;
    struct lexer x = { p, text.ptr, text.ptr + text.len, 1, true };
    while (p->rc == 0 && x.at < x.end) {
        const char *tag = next_tag(&x);
        char what = tag < x.end ? tag[1] : ' ';
        char sign = x.end - tag > 2 && (tag[2] == '-' || (tag[2] == '+' && what != '{')) ? tag[2] : ' ';
        if (!put_text(&x, tag, tag < x.end ? sign : '+', what == '{')) break;
        x.line_start = false;
        if (tag >= x.end) break;
        x.at += 2 + (sign != ' ');
        if (what == '#') {
            lex_comment(&x);
        } else if (what == '{') {
            if (put(&x, TOK_PRINT, slice_of(tag, 2))) lex_tag(&x, true);
        } else if (!lex_raw(&x)) {
            if (put(&x, TOK_TAG, slice_of(tag, 2))) lex_tag(&x, false);
        }
    }
    if (p->rc == 0) put(&x, TOK_END, SLICE(""));
    return p->rc;
}
