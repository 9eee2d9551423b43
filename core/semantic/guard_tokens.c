/* guard_tokens.c -- cuts a text into the pieces that the guard looks at.
 *
 *     Why doesn't get_user() work on iPhone 15？ 《春天》多少钱
 *     word word   code       word word word  number      han han ...
 *
 * Words are ASCII letters, or letters of other scripts that put spaces between words; a character of Chinese is a
 * token; letters and digits are cut apart (GPT4, GPT-4 and GPT 4 are the same), but not in what looks like code: an
 * address, a path, a name with an underscore, an option, an ID.  Signs are operators.
 *
 * Thread: any; works on the caller's struct alone. */
#include <string.h>

#include "semantic/guard_int.h"
#include "tokens/unicode.h"

#define QUOTE_MOST 512 /* bytes between two quotation marks; what is longer is no name */

struct reader {
    struct guard_text *t;
    const char *p, *end;
    const char *quote_end; /* inside a quote: its end; else not above p */
    bool        begins, full;
};

/* -- Characters ------------------------------------------------------------------------------- */

/* One form for characters that are written in several: the one in ASCII, or c. */
static uint32_t fold(uint32_t c) {
    if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFF01 + '!';
    switch (c) {
    case 0x3000: case 0xA0: case 0x2009: return ' ';
    case 0x2018: case 0x2019: case 0x02BC: return '\'';
    case 0x2010: case 0x2011: case 0x2212: return '-';
    case 0x3002: return '.';
    case 0x3001: return ',';
    case 0xD7: return '*';
    case 0xF7: return '/';
    default: return c;
    }
}

/* Zeros of the scripts that count in tens (Unicode's Nd); each has its nine behind it. */
static const uint32_t zeros[] = {
    0x660,   0x6F0,   0x7C0,   0x966,   0x9E6,   0xA66,   0xAE6,   0xB66,   0xBE6,   0xC66,   0xCE6,
    0xD66,   0xDE6,   0xE50,   0xED0,   0xF20,   0x1040,  0x1090,  0x17E0,  0x1810,  0x1946,  0x19D0,
    0x1A80,  0x1A90,  0x1B50,  0x1BB0,  0x1C40,  0x1C50,  0xA620,  0xA8D0,  0xA900,  0xA9D0,  0xA9F0,
    0xAA50,  0xABF0,  0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50,
    0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
};

/* In ASCII, if it is a digit, or c. */
static uint32_t fold_digit(uint32_t c) {
    if (unicode_class(c) != UC_NUMBER) return c;
    if ((c >= 0x2160 && c <= 0x2168) || (c >= 0x2170 && c <= 0x2178)) return (c & 15) + '1'; /* Roman: one to nine */
    for (size_t i = 0; i < sizeof(zeros) / sizeof(*zeros) && zeros[i] <= c; i++)
        if (c - zeros[i] < 10) return c - zeros[i] + '0';
    return c;
}

/* What is written in two characters of ASCII: operators of programs, and the Roman numbers that have two digits.
 * NULL: it is not. */
static const char *fold_two(uint32_t c) {
    static const char *const tens[] = { "10", "11", "12" };
    if ((c >= 0x2169 && c <= 0x216B) || (c >= 0x2179 && c <= 0x217B)) return tens[(c & 15) - 9];
    switch (c) {
    case 0x2264: case 0x2266: case 0x2A7D: return "<=";
    case 0x2265: case 0x2267: case 0x2A7E: return ">=";
    case 0x2260: return "!=";
    default: return NULL;
    }
}

/* Never longer than the text was. */
static void fold_text(struct guard_text *t, struct slice text) {
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    char *to = t->text;
    while (p < end) {
        uint32_t c;
        if (*p < 0x80) {
            *to++ = *p == 0 ? ' ' : (char)*p;
            p++;
            continue;
        }
        unsigned len = unicode_decode(p, end, &c);
        uint32_t folded = len == 0 ? '?' : fold_digit(fold(c));
        const char *sign = len == 0 ? NULL : fold_two(c);
        if (len == 0) len = 1;
        if (sign != NULL) to = (char *)mempcpy(to, sign, 2);
        else if (folded < 0x80) *to++ = (char)folded;
        else to = (char *)mempcpy(to, p, len);
        p += len;
    }
    t->len = (size_t)(to - t->text);
    memset(to, 0, 16);
}

static uint32_t char_at(const char *p, const char *end, unsigned *len) {
    uint32_t c = 0;
    *len = unicode_decode((const unsigned char *)p, (const unsigned char *)end, &c);
    if (*len == 0) *len = 1;
    return c;
}

static bool is_han(uint32_t c) {
    return c - 0x4E00 <= 0x9FFF - 0x4E00 || c - 0x3400 <= 0x4DBF - 0x3400 || c == 0x3007;
}

/* Scripts besides Latin and Chinese, a bit for each. */
static unsigned script_of(uint32_t c) {
    if (c >= 0x3040 && c <= 0x30FF) return c != 0x306E; /* の is seen in Chinese, too */
    if (c >= 0xAC00 && c <= 0xD7AF) return 2;
    if (c >= 0x400 && c <= 0x52F) return 4;
    if (c >= 0x590 && c <= 0x6FF) return 8;
    if (c >= 0x900 && c <= 0xDFF) return 16;
    if (c >= 0xE00 && c <= 0xEFF) return 32;
    if (c >= 0x370 && c <= 0x3FF) return 64;
    return 0;
}

/* -- Tokens -------------------------------------------------------------------------------------- */

static void put(struct reader *r, unsigned kind, const char *p, const char *end, unsigned flags) {
    struct guard_text *t = r->t;
    if (t->token_count == GUARD_TOKENS) {
        r->full = true;
        return;
    }
    struct token *k = &t->tokens[t->token_count++];
    *k = (struct token){ .hash = guard_hash(p, (size_t)(end - p)), .at = (uint16_t)(p - t->text),
                         .len = (uint16_t)(end - p), .kind = (uint8_t)kind, .flags = (uint8_t)flags };
    if (r->begins && kind != TOKEN_SIGN) k->flags |= TOKEN_BEGINS;
    if (p < r->quote_end) k->flags |= TOKEN_QUOTED;
    if (p == t->text || p[-1] == ' ') k->flags |= TOKEN_APART;
    if (kind != TOKEN_SIGN) r->begins = kind == TOKEN_STOP;
}

/* don't is dont; what's is what; I'm is I. Returns how far the word goes, and what is hashed is in *hash. */
static const char *apostrophe(const char *p, const char *q, uint32_t *hash) {
    if (*q != '\'' || !guard_is_letter(q[1])) return q;
    const char *end = q + 1;
    while (guard_is_letter(*end)) end++;
    bool negated = end == q + 2 && (q[1] | 0x20) == 't' && q > p && (q[-1] | 0x20) == 'n';
    if (negated) *hash = word_hash(*hash, 't');
    return end - q <= 3 || negated ? end : q;
}

static void put_word(struct reader *r, const char *p, const char *q) {
    unsigned flags = 0, uppers = 0, letters = 0;
    for (const char *s = p; s < q; s++) {
        letters += guard_is_letter(*s);
        uppers += guard_is_upper(*s);
        if (s > p && guard_is_upper(*s) && !guard_is_upper(s[-1])) flags |= TOKEN_INNER;
    }
    if (guard_is_upper(*p)) flags |= TOKEN_CAPITAL;
    if (uppers >= 2 && uppers == letters) flags |= TOKEN_UPPER;
    put(r, TOKEN_WORD, p, q, flags);
    r->t->latin += letters;
}

/* A word of ASCII at p; returns its end. */
static const char *word(struct reader *r, const char *p, const char *end) {
    const char *q = p;
    while (q < end && guard_is_letter(*q)) q++;
    uint32_t hash = guard_hash(p, (size_t)(q - p));
    const char *more = apostrophe(p, q, &hash);
    if (more == q && *q == '+' && q[1] == '+' && !guard_is_alnum(q[2])) q = more = q + 2; /* C++ */
    else if (more == q && *q == '#' && !guard_is_alnum(q[1])) q = more = q + 1;           /* C# */
    put_word(r, p, q);
    if (more > q && !r->full) r->t->tokens[r->t->token_count - 1].hash = hash;
    return more;
}

static bool is_date(const char *p) {
    static const char *const forms[] = { "dddd-d-d", "dddd/d/d", "dddd.d.d", "dddd-d", NULL };
    for (const char *const *f = forms; *f != NULL; f++) {
        const char *q = p, *s = *f;
        for (; *s != '\0'; s++) {
            if (*s != 'd' ? *q != *s : !guard_is_digit(*q)) break;
            q++;
            if (*s == 'd' && (s[1] != 'd') && s > *f + 4 && guard_is_digit(*q)) q++;
        }
        if (*s == '\0' && !guard_is_digit(*q) && (*p == '1' || *p == '2')) return true;
    }
    return false;
}

static const char *number(struct reader *r, const char *p) {
    const char *q = p;
    bool date = is_date(p);
    while (guard_is_digit(*q)) {
        while (guard_is_digit(*q)) q++;
        bool three = guard_is_digit(q[1]) && guard_is_digit(q[2]) && guard_is_digit(q[3]) && !guard_is_digit(q[4]);
        if (!guard_is_digit(q[1])) break;
        if (*q == '.' || *q == ':' || (*q == ',' && three) || (date && (*q == '-' || *q == '/'))) q++;
    }
    put(r, TOKEN_NUMBER, p, q, 0);
    return q;
}

/* -- Code ------------------------------------------------------------------------------------------ */

static bool in_run(char c) {
    return c > ' ' && c != 127 && strchr("\"()[]{}<>,;!|*^`$", c) == NULL && ((unsigned char)c & 0x80) == 0;
}

static bool has(const char *p, const char *end, const char *what) {
    return memmem(p, (size_t)(end - p), what, strlen(what)) != NULL;
}

/* Does it end like a file: main.c, a.json? */
static bool has_extension(const char *p, const char *end) {
    const char *q = end;
    while (q > p && ((q[-1] >= 'a' && q[-1] <= 'z') || guard_is_digit(q[-1]))) q--;
    size_t n = (size_t)(end - q);
    if (n < 1 || n > 5 || q == p || q[-1] != '.' || guard_is_digit(*q)) return false;
    if (q - 1 == p) return true; /* .json */
    return guard_is_alnum(q[-2]) && q - p >= 3 && !(q - p == 2 || q[-3] == '.');
}

static bool is_path(const char *p, const char *end) {
    unsigned slashes = 0;
    bool letter = false;
    for (const char *q = p; q < end; q++) {
        slashes += *q == '/' || *q == '\\';
        letter |= guard_is_letter(*q);
    }
    if (!letter || slashes == 0) return false;
    if (*p == '/' || *p == '~' || *p == '.' || p[1] == ':') return end - p >= 3;
    return slashes >= 2 || has_extension(p, end);
}

/* Letters and digits in turn, three times at least: 3f2a9c1, or four hexadecimal parts. */
static bool is_id(const char *p, const char *end) {
    unsigned turns = 0, digits = 0;
    for (const char *q = p; q < end; q++) {
        if (!guard_is_alnum(*q) && *q != '-') return false;
        digits += guard_is_digit(*q);
        turns += q > p && guard_is_alnum(q[-1]) && guard_is_alnum(*q) && guard_is_digit(*q) != guard_is_digit(q[-1]);
    }
    return turns >= 3 && digits >= 2 && end - p >= 5;
}

static bool is_code(const char *p, const char *end, bool apart) {
    size_t n = (size_t)(end - p);
    if (n < 2) return false;
    if (apart && *p == '-' && p[1] == '-' && guard_is_letter(p[2])) return true;
    if (apart && *p == '-' && n == 2 && guard_is_letter(p[1])) return true;
    if (has(p, end, "://") || has(p, end, "::") || (n > 5 && strncasecmp(p, "www.", 4) == 0)) return true;
    const char *at = memchr(p, '@', n), *under = memchr(p, '_', n);
    if (at != NULL && at > p && memchr(at, '.', (size_t)(end - at)) != NULL) return true;
    if (under != NULL && (under > p || guard_is_alnum(under[1]))) return true;
    return is_path(p, end) || is_id(p, end) || (!guard_is_digit(*p) && has_extension(p, end));
}

/* -- Signs ------------------------------------------------------------------------------------------- */

#define SIGNS "=<>!&|+*/%^~-"

/* Operators say something when they stand alone or between numbers: a == b, 2+3. */
static const char *sign(struct reader *r, const char *p) {
    const char *q = p;
    while (*q != '\0' && strchr(SIGNS, *q) != NULL) q++;
    size_t n = (size_t)(q - p);
    char before = p > r->t->text ? p[-1] : ' ';
    bool alone = (before == ' ' || guard_is_digit(before)) && (*q == ' ' || guard_is_digit(*q) || q == r->end);
    bool quoted = strchr("'\"`", before) != NULL || alone;
    bool dash = *p == '-' || *p == '~' || *p == '!';
    bool minus = n == 1 && *p == '-' && guard_is_digit(*q) && (before == ' ' || before == '(');
    bool one = n == 1 && !dash && *p != '&' && *p != '%' && alone;
    bool assigns = q[-1] == '=' || q[-1] == '>';
    bool two = n >= 2 && n <= 3 && (!dash || p[1] == '>' || p[1] == '=') && (quoted || assigns);
    if (one || two || minus) put(r, TOKEN_SIGN, p, q, 0);
    return q;
}

/* -- Reading ------------------------------------------------------------------------------------------- */

/* A run of ASCII at p. */
static const char *run(struct reader *r, const char *p) {
    const char *end = p;
    while (end < r->end && in_run(*end)) end++;
    const char *to = end;
    while (to > p && strchr(".,:?'-/\\+#=&%~", to[-1]) != NULL) to--;
    bool call = *to == '(' && to[1] == ')' && to > p;
    unsigned char before = p > r->t->text ? (unsigned char)p[-1] : ' ';
    bool apart = (before & 0x80) != 0 || strchr(" \"'`(", before) != NULL;
    if (to > p && (call || is_code(p, to, apart))) {
        put(r, TOKEN_CODE, p, to, 0);
        return call ? to + 2 : to;
    }
    if (guard_is_letter(*p)) return word(r, p, end);
    if (guard_is_digit(*p)) return number(r, p);
    if (strchr(SIGNS, *p) != NULL) return sign(r, p);
    if (strchr(".?:", *p) != NULL && (p[1] == ' ' || p[1] == '\n' || p + 1 == r->end || ((unsigned char)p[1] & 0x80)))
        put(r, TOKEN_STOP, p, p + 1, 0);
    return p + 1;
}

/* The mark that closes the one at p, or NULL. */
static const char *closer(const struct reader *r, const char *p, uint32_t c, unsigned len) {
    static const struct { uint32_t open; const char *close; } marks[] = {
        { '"', "\"" }, { '`', "`" }, { 0x201C, "\xe2\x80\x9d" }, { 0x300A, "\xe3\x80\x8b" }, { 0x300C, "\xe3\x80\x8d" },
        { 0x300E, "\xe3\x80\x8f" }, { 0x3010, "\xe3\x80\x91" }, { 0xAB, "\xc2\xbb" },
    };
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        if (marks[i].open != c) continue;
        size_t left = (size_t)(r->end - p) - len;
        if (left > QUOTE_MOST) left = QUOTE_MOST;
        const char *to = memmem(p + len, left, marks[i].close, strlen(marks[i].close));
        return to != NULL && to > p + len ? to : NULL;
    }
    return NULL;
}

/* Letters of other scripts, with those of ASCII between them. */
static const char *wide_word(struct reader *r, const char *p) {
    const char *q = p;
    while (q < r->end) {
        unsigned len;
        uint32_t c = char_at(q, r->end, &len);
        unsigned class = unicode_class(c);
        if (is_han(c) || class < UC_UPPER || class > UC_NUMBER) break;
        r->t->other |= script_of(c);
        q += len;
    }
    if (q > p) put(r, TOKEN_WORD, p, q, 0);
    return q;
}

static const char *wide(struct reader *r, const char *p) {
    unsigned len;
    uint32_t c = char_at(p, r->end, &len);
    if (is_han(c)) {
        put(r, TOKEN_HAN, p, p + len, 0);
        r->t->han++;
        return p + len;
    }
    unsigned class = unicode_class(c);
    if (class >= UC_UPPER && class <= UC_NUMBER) {
        const char *q = wide_word(r, p);
        return q > p ? q : p + len;
    }
    const char *close = p < r->quote_end ? NULL : closer(r, p, c, len);
    if (close != NULL) r->quote_end = close;
    if (class == UC_SYMBOL) put(r, TOKEN_SIGN, p, p + len, 0); /* €, → */
    return p + len;
}

static const char *ascii(struct reader *r, const char *p) {
    unsigned char c = (unsigned char)*p;
    if (c == '\n' || c == '!' || c == ';') {
        if (c == '!' && p[1] == '=') return sign(r, p);
        put(r, TOKEN_STOP, p, p + 1, 0);
        return p + 1;
    }
    if (c == '"' || c == '`') {
        const char *close = p < r->quote_end ? NULL : closer(r, p, c, 1);
        if (close != NULL) r->quote_end = close;
        return p + 1;
    }
    if (c == '$') put(r, TOKEN_SIGN, p, p + 1, 0);
    if (in_run(*p)) return run(r, p);
    return *p != '\0' && strchr(SIGNS, *p) != NULL ? sign(r, p) : p + 1;
}

/* Do most words begin with a capital, or consist of them? */
static bool is_titled(const struct guard_text *t) {
    unsigned words = 0, capitals = 0;
    for (unsigned i = 0; i < t->token_count; i++) {
        const struct token *k = &t->tokens[i];
        if (k->kind != TOKEN_WORD || k->len < 4) continue;
        words++;
        capitals += (k->flags & TOKEN_CAPITAL) != 0;
    }
    return words >= 4 && capitals * 10 >= words * 8;
}

bool guard_tokens_read(struct guard_text *t, struct slice text) {
    fold_text(t, text);
    struct reader r = { .t = t, .p = t->text, .end = t->text + t->len, .quote_end = t->text, .begins = true };
    while (r.p < r.end) r.p = ((unsigned char)*r.p & 0x80) != 0 ? wide(&r, r.p) : ascii(&r, r.p);
    t->titled = is_titled(t);
    return !r.full;
}
