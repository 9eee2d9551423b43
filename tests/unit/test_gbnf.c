/* test_gbnf.c -- grammars of schemas accept what is valid and nothing else, by an acceptor written here. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "local/answer_grammar.h"
#include "local/gbnf.h"

/* -- An acceptor: sets of places that a piece of the grammar may end at ----------------- */

enum kind { CHOICE, SEQUENCE, REPEAT, CLASS, LITERAL, NAME };

struct piece {
    enum kind    kind;
    int          a, next; /* first child; sibling; -1: none */
    int          min, max;
    bool         negated;
    struct slice s;       /* NAME, LITERAL and CLASS: as written */
};

#define MAX_PIECES 60000
#define MAX_RULES  3000
#define MAX_INPUT  640

struct grammar {
    const char  *at;
    struct piece pieces[MAX_PIECES];
    int          len, rules;
    struct { struct slice name; int body; } rule[MAX_RULES];
    struct slice input;
    signed char *busy; /* rule, place: being matched */
    unsigned char *memo; /* rule, place: set of ends, one byte each */
};

static int new_piece(struct grammar *g, enum kind kind) {
    if (g->len == MAX_PIECES) FAIL("too large a grammar for this test");
    g->pieces[g->len] = (struct piece){ .kind = kind, .a = -1, .next = -1 };
    return g->len++;
}

static int parse_choice(struct grammar *g);

static void blanks(struct grammar *g) {
    while (*g->at == ' ') g->at++;
}

static int parse_atom(struct grammar *g) {
    int n;
    const char *from = g->at;
    if (*g->at == '(') {
        g->at++;
        n = parse_choice(g);
        blanks(g);
        if (*g->at++ != ')') FAIL("no ) at %.40s", from);
    } else if (*g->at == '"' || *g->at == '[') {
        char end = *g->at == '"' ? '"' : ']';
        n = new_piece(g, *g->at == '"' ? LITERAL : CLASS);
        for (g->at++; *g->at != end; g->at++) {
            if (*g->at == '\\') g->at++;
            if (*g->at == '\0' || *g->at == '\n') FAIL("no end of %.40s", from);
        }
        g->pieces[n].s = slice_of(from + 1, (size_t)(g->at++ - from - 1));
        if (end == ']' && g->pieces[n].s.len && *g->pieces[n].s.ptr == '^') g->pieces[n].negated = true, g->pieces[n].s.ptr++, g->pieces[n].s.len--;
    } else {
        n = new_piece(g, NAME);
        while ((*g->at | 32) >= 'a' ? (*g->at | 32) <= 'z' : *g->at >= '0' && *g->at <= '9') g->at++;
        g->pieces[n].s = slice_of(from, (size_t)(g->at - from));
        if (g->at == from) FAIL("not a piece: %.40s", from);
    }
    return n;
}

static int parse_repeat(struct grammar *g) {
    int n = parse_atom(g), min = 1, max = 1;
    char *end;
    while (*g->at == '*' || *g->at == '+' || *g->at == '?' || *g->at == '{') {
        char c = *g->at++;
        min = c == '+', max = c == '?' ? 1 : -1;
        if (c == '{') {
            min = max = (int)strtol(g->at, &end, 10);
            if (*end == ',') max = end[1] == '}' ? -1 : (int)strtol(end + 1, &end, 10);
            if (*end == ',') end++;
            if (*end != '}') FAIL("no } at %.20s", g->at);
            if (min > 2000 || max > 2000) FAIL("a library refuses this count: %.20s", g->at);
            g->at = end + 1;
        }
        int r = new_piece(g, REPEAT);
        g->pieces[r].a = n;
        g->pieces[r].min = min;
        g->pieces[r].max = max;
        n = r;
    }
    return n;
}

static int parse_choice(struct grammar *g) {
    int choice = new_piece(g, CHOICE), *to = &g->pieces[choice].a;
    for (;;) {
        int seq = new_piece(g, SEQUENCE), *last = &g->pieces[seq].a;
        *to = seq;
        for (blanks(g); *g->at != '|' && *g->at != ')' && *g->at != '\n' && *g->at; blanks(g)) {
            int n = parse_repeat(g);
            *last = n;
            last = &g->pieces[n].next;
        }
        to = &g->pieces[seq].next;
        if (*g->at != '|') return choice;
        g->at++;
    }
}

static void parse_grammar(struct grammar *g, const char *text) {
    g->len = g->rules = 0;
    for (g->at = text; *g->at;) {
        const char *from = g->at, *is = strstr(from, " ::= ");
        if (is == NULL || g->rules == MAX_RULES) FAIL("not a rule: %.40s", from);
        g->at = is + 5;
        g->rule[g->rules].name = slice_of(from, (size_t)(is - from));
        g->rule[g->rules].body = parse_choice(g);
        g->rules++;
        if (*g->at++ != '\n') FAIL("more behind a rule: %.40s", g->at - 1);
    }
}

/* A character of a class or literal as written: UTF-8 or escape. */
static unsigned read_char(struct slice *s) {
    static const char from[] = "nrt", means[] = "\n\r\t";
    unsigned char c = (unsigned char)*s->ptr;
    unsigned n = 1, v = c;
    if (c == '\\') {
        char e = s->ptr[1], hex[9];
        unsigned digits = e == 'x' ? 2 : e == 'u' ? 4 : e == 'U' ? 8 : 0;
        snprintf(hex, sizeof(hex), "%.*s", (int)digits, s->ptr + 2);
        n = 2 + digits;
        v = digits ? (unsigned)strtoul(hex, NULL, 16) : strchr(from, e) && e ? (unsigned char)means[strchr(from, e) - from] : (unsigned char)e;
    } else if (c >= 0x80) {
        n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        v = c & (0xFFu >> (n + 1));
        for (unsigned i = 1; i < n; i++) v = v << 6 | (s->ptr[i] & 63);
    }
    s->ptr += n;
    s->len -= n;
    return v;
}

static bool in_class(const struct piece *p, unsigned c) {
    struct slice s = p->s;
    bool in = false;
    while (s.len > 0) {
        unsigned a = read_char(&s), b = a;
        if (s.len > 1 && *s.ptr == '-') s.ptr++, s.len--, b = read_char(&s);
        in |= c >= a && c <= b;
    }
    return in != p->negated;
}

static void match(struct grammar *g, int n, const unsigned char *from, unsigned char *to);

static void match_one(struct grammar *g, int n, size_t at, unsigned char *to) {
    const struct piece *p = &g->pieces[n];
    struct slice rest = slice_of(g->input.ptr + at, g->input.len - at), s = p->s;
    if (p->kind == CLASS && rest.len > 0) {
        struct slice next = rest;
        if (*rest.ptr == '\\') next.ptr++, next.len--; /* read_char() would take it for an escape */
        unsigned c = *rest.ptr == '\\' ? '\\' : read_char(&next);
        if (in_class(p, c)) to[at + (rest.len - next.len)] = 1;
    } else if (p->kind == LITERAL) {
        size_t i = 0;
        while (s.len > 0) {
            if (*s.ptr == '\\') {
                unsigned c = read_char(&s);
                if (i >= rest.len || (unsigned char)rest.ptr[i++] != c) return;
            } else if (i >= rest.len || rest.ptr[i++] != *s.ptr++ || s.len-- == 0) {
                return;
            }
        }
        to[at + i] = 1;
    } else if (p->kind == NAME) {
        int r = 0;
        while (r < g->rules && !slice_eq(g->rule[r].name, p->s)) r++;
        if (r == g->rules) FAIL("no rule %.*s", SLICE_ARG(p->s));
        size_t slot = (size_t)r * (MAX_INPUT + 1) + at;
        unsigned char *ends = g->memo + slot * (MAX_INPUT + 1);
        if (g->busy[slot] == 1) FAIL("the rule %.*s begins with itself", SLICE_ARG(p->s));
        if (g->busy[slot] == 0) {
            unsigned char here[MAX_INPUT + 1] = { 0 };
            here[at] = 1;
            g->busy[slot] = 1;
            match(g, g->rule[r].body, here, ends);
            g->busy[slot] = 2;
        }
        for (size_t i = at; i <= g->input.len; i++) to[i] |= ends[i];
    }
}

static bool any(const struct grammar *g, const unsigned char *set) { return memchr(set, 1, g->input.len + 1) != NULL; }

/* to: gains the places where n may end when it begins at one of from. */
static void match(struct grammar *g, int n, const unsigned char *from, unsigned char *to) {
    const struct piece *p = &g->pieces[n];
    unsigned char set[MAX_INPUT + 1], next[MAX_INPUT + 1], seen[MAX_INPUT + 1];
    size_t size = g->input.len + 1;
    if (p->kind == CHOICE) {
        for (int i = p->a; i >= 0; i = g->pieces[i].next) match(g, i, from, to);
    } else if (p->kind == SEQUENCE) {
        memcpy(set, from, size);
        for (int i = p->a; i >= 0 && any(g, set); i = g->pieces[i].next) {
            memset(next, 0, size);
            match(g, i, set, next);
            memcpy(set, next, size);
        }
        for (size_t i = 0; i < size; i++) to[i] |= set[i];
    } else if (p->kind == REPEAT) {
        memcpy(set, from, size);
        memset(seen, 0, size);
        for (int times = 0;; times++) {
            bool news = false;
            for (size_t i = 0; i < size; i++) {
                if (times >= p->min) to[i] |= set[i], news |= set[i] && !seen[i], seen[i] |= set[i];
            }
            if ((p->max >= 0 && times == p->max) || !any(g, set) || (times >= p->min && !news)) break;
            memset(next, 0, size);
            match(g, p->a, set, next);
            memcpy(set, next, size);
        }
    } else {
        for (size_t at = 0; at < size; at++)
            if (from[at]) match_one(g, n, at, to);
    }
}

static bool accepts(struct grammar *g, struct slice text) {
    unsigned char from[MAX_INPUT + 1] = { 1 }, to[MAX_INPUT + 1] = { 0 };
    if (text.len >= MAX_INPUT) FAIL("too long a text for this test");
    g->input = text;
    size_t slots = (size_t)g->rules * (MAX_INPUT + 1);
    g->busy = calloc(slots, 1); /* lint: a test's own */
    g->memo = calloc(slots, MAX_INPUT + 1); /* mostly untouched */
    match(g, g->rule[0].body, from, to);
    free(g->busy);
    free(g->memo);
    return to[text.len] == 1;
}

/* -- Grammars of schemas ------------------------------------------------------------------ */

static int make(const char *schema, struct buf *out, struct gbnf_error *err) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    NOTE("%.300s", schema);
    int rc = json_parse(&doc, slice_str(schema), &e);
    if (rc == 0) rc = gbnf_from_schema(&doc, 0, out, err);
    json_deinit(&doc);
    return rc;
}

static void check(const char *schema, const char *const *valid, const char *const *not_valid) {
    struct grammar *g = malloc(sizeof(*g)); /* lint: a test's own */
    struct gbnf_error err;
    struct buf out;
    buf_init(&out, 0);
    int rc = make(schema, &out, &err);
    NOTE("%.200s: %s %s %s", schema, err.keyword, err.path, err.message);
    CHECK_INT(rc, 0);
    parse_grammar(g, buf_cstr(&out));
    for (unsigned i = 0; valid[i]; i++) {
        NOTE("%.200s should take %s\n%.600s", schema, valid[i], buf_cstr(&out));
        CHECK(accepts(g, slice_str(valid[i])));
    }
    for (unsigned i = 0; not_valid[i]; i++) {
        NOTE("%.200s should not take %s\n%.600s", schema, not_valid[i], buf_cstr(&out));
        CHECK(!accepts(g, slice_str(not_valid[i])));
    }
    buf_deinit(&out);
    free(g);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

TEST_NOFAULT(types) {
    check("{}", LIST("1", "{\"a\": [1, null]}", " \"x\"", "[]"), LIST("", "{a:1}", "01", "'x'", "[1,]"));
    check("true", LIST("null", "1e5"), LIST("nul"));
    check("{\"type\":\"integer\"}", LIST("0", "-12", "123456789012345"), LIST("1.5", "01", "1e2", "\"1\"", "-", "1234567890123456"));
    check("{\"type\":[\"string\",\"null\"]}", LIST("\"a\\u00e9\\n你\"", "null"), LIST("1", "\"a", "\"\n\"", "\"\\x\""));
    check("{\"type\":\"boolean\",\"nullable\":true}", LIST("true", "null"), LIST("True", "1"));
    check("{\"enum\":[\"a\\\"b\",1,null,{\"x\":[1,2]}]}", LIST("\"a\\\"b\"", "1", "null", "{\"x\":[1,2]}"), LIST("2", "\"a\""));
    check("{\"type\":\"string\",\"enum\":[\"a\",1]}", LIST("\"a\""), LIST("1"));
    check("{\"const\":\"你好\"}", LIST("\"你好\""), LIST("\"你\"", "1"));
}

TEST_NOFAULT(objects) {
    check("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},\"c\":{\"type\":\"null\"}},\"required\":[\"b\"]}",
          LIST("{\"a\":1,\"b\":\"x\"}", "{\"b\": \"\"}", "{\"b\":\"\", \"c\":null}", "{ \"a\" : 1 , \"b\":\"x\",\"c\":null}"),
          LIST("{}", "{\"a\":1}", "{\"b\":\"x\",\"a\":1}", "{\"b\":\"x\",}", "{\"b\":\"x\",\"d\":1}", "{,\"b\":\"x\"}"));
    check("{\"type\":\"object\",\"properties\":{}}", LIST("{}", "{ }"), LIST("{\"c\":1}", "[]"));
    check("{\"type\":\"object\",\"properties\":{},\"additionalProperties\":true}", LIST("{}", "{\"c\":1}"), LIST("[]"));
    check("{\"type\":\"object\"}", LIST("{}", "{\"c\":1}"), LIST("[]"));
    check("{\"properties\":{\"a\":{},\"b\":{}}}", LIST("{}", "{\"a\":[]}", "{\"b\":1}", "{\"a\":1,\"b\":2}"), LIST("{\"c\":1}", "[]"));
    check("{\"type\":\"object\"}", LIST("{}", "{\"x\":{\"y\":1}}"), LIST("[]", "1"));
    check("{\"type\":\"object\",\"additionalProperties\":false}", LIST("{}"), LIST("{\"x\":1}"));
    check("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", LIST("{}", "{\"x\":1,\"y\":2}"), LIST("{\"x\":\"\"}"));
    check("{\"properties\":{\"ab\":{\"type\":\"null\"},\"ac\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"},\"required\":[\"ab\"]}",
          LIST("{\"ab\":null}", "{\"ab\":null,\"ac\":null,\"x\":1}", "{\"ab\":null,\"a\":1,\"abc\":2,\"ad\":3}"),
          LIST("{\"ab\":1}", "{\"ab\":null,\"ac\":1}", "{\"x\":1}", "{\"ab\":null,\"ab\":1}"));
    check("{\"required\":[\"x\"],\"type\":\"object\"}", LIST("{\"x\":1}"), LIST("{}"));
    check("{\"properties\":{\"你\\\"\":{\"const\":1}}}", LIST("{\"你\\\"\":1}", "{}"), LIST("{\"你\":1}"));
}

TEST_NOFAULT(arrays) {
    check("{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", LIST("[]", "[1, 2]"), LIST("[\"a\"]", "[1,]"));
    check("{\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}", LIST("[null,null]", "[null,null,null]"), LIST("[null]", "[null,null,null,null]", "[]"));
    check("{\"type\":\"array\",\"maxItems\":1}", LIST("[]", "[{}]"), LIST("[1,2]"));
    check("{\"type\":\"array\",\"maxItems\":0}", LIST("[]"), LIST("[1]"));
    check("{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", LIST("[1,2]"), LIST("[1]", "[1,2,3]", "[]"));
    check("{\"prefixItems\":[{\"const\":1}],\"items\":{\"type\":\"string\"},\"maxItems\":2}", LIST("[1]", "[1,\"a\"]"), LIST("[1,2]", "[1,\"a\",\"b\"]"));
}

TEST_NOFAULT(strings) {
    check("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", LIST("\"ab\"", "\"你\\n好\""), LIST("\"a\"", "\"abcd\""));
    check("{\"format\":\"date\"}", LIST("\"2024-02-29\""), LIST("\"2024-13-01\"", "\"24-01-01\"", "\"2024-00-10\""));
    check("{\"format\":\"date-time\"}", LIST("\"2024-02-29T23:59:59Z\"", "\"2024-02-29T00:00:00.5+01:00\""), LIST("\"2024-02-29 00:00:00Z\"", "\"2024-02-29T24:00:00Z\""));
    check("{\"format\":\"uuid\"}", LIST("\"123e4567-e89b-12d3-a456-426614174000\""), LIST("\"123e4567\""));
    check("{\"type\":\"string\",\"format\":\"email\"}", LIST("\"x\""), LIST("1"));
    check("{\"pattern\":\"^[a-z]+-\\\\d{2,3}$\"}", LIST("\"ab-12\"", "\"z-123\""), LIST("\"ab-1\"", "\"-12\"", "\"AB-12\"", "\"ab-1234\""));
    check("{\"pattern\":\"b(a|e)?d\"}", LIST("\"bad\"", "\"xxbdyy\"", "\"bed\""), LIST("\"bid\"", "\"\""));
    check("{\"pattern\":\"^(?:a|\\\\.|\\\"|\\\\\\\\|[^x]{2})$\"}", LIST("\"a\"", "\".\"", "\"\\\"\"", "\"\\\\\"", "\"你好\""), LIST("\"x\"", "\"xx\"", "\"b\""));
    check("{\"pattern\":\"^\\\\w\\\\s.$\"}", LIST("\"a b\"", "\"_\\t!\""), LIST("\"  b\"", "\"a b\\\"\""));
    check("{\"pattern\":\"^[\\n]{3}$\"}", LIST("\"\\n\\n\\n\""), LIST("\"\\\\\\\\\\\\\"", "\"\\n\"", "\"nnn\""));
    check("{\"pattern\":\"^[\\t\\r]$\"}", LIST("\"\\t\"", "\"\\r\""), LIST("\"\\n\"", "\"\\\\\""));
    check("{\"pattern\":\"^[a\\n\\\"\\\\\\\\]$\"}", LIST("\"a\"", "\"\\n\"", "\"\\\"\"", "\"\\\\\""), LIST("\"b\"", "\"\"\"", "\"n\""));
    check("{\"pattern\":\"^[ -~]$\"}", LIST("\" \"", "\"~\"", "\"!\"", "\"#\"", "\"[\"", "\"]\"", "\"\\\"\"", "\"\\\\\""), LIST("\"\"\"", "\"\\\"", "\"é\""));
    check("{\"pattern\":\"^[\\\\s]$\"}", LIST("\" \"", "\"\\n\""), LIST("\"a\""));
    check("{\"pattern\":\"^[^\\n]$\"}", LIST("\"a\""), LIST("\"\\n\""));
    check("{\"pattern\":\"^[a|b]$\"}", LIST("\"a\"", "\"|\""), LIST("\"ab\"", "\"c\""));
    check("{\"pattern\":\"^[]|b]$\"}", LIST("\"]\"", "\"|\""), LIST("\"|b]\""));
    check("{\"pattern\":\"^a\\\\|b$\"}", LIST("\"a|b\""), LIST("\"a\"", "\"b\""));
    check("{\"pattern\":\"^a\\\\\\\\$\"}", LIST("\"a\\\\\""), LIST("\"a\\\\$\"", "\"a\\\\b\"", "\"a\""));
    check("{\"pattern\":\"^a\\\\$\"}", LIST("\"a$\"", "\"a$b\""), LIST("\"a\""));
    char at[600], above[600];
    memset(at, 'x', sizeof(at));
    memset(above, 'x', sizeof(above));
    snprintf(at + 521, 2, "\"");
    snprintf(above + 522, 2, "\"");
    at[0] = above[0] = '"';
    check("{\"type\":\"string\",\"maxLength\":520}", LIST(at, "\"\"", "\"x\""), LIST(above));
    check("{\"type\":\"string\",\"minLength\":520}", LIST(at, above), LIST("\"\"", "\"xxx\""));
}

TEST_NOFAULT(combinations) {
    check("{\"anyOf\":[{\"type\":\"integer\"},{\"const\":\"x\"}]}", LIST("1", "\"x\""), LIST("null", "\"y\""));
    check("{\"oneOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{\"type\":\"null\"}]}", LIST("{\"a\":1}", "null"), LIST("{}"));
    check("{\"allOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{\"properties\":{\"b\":{\"const\":2}}}]}",
          LIST("{\"a\":1}", "{\"a\":1,\"b\":2}"), LIST("{\"b\":2}", "{}"));
    check("{\"type\":\"object\",\"properties\":{\"k\":{\"const\":0}},\"required\":[\"k\"],\"anyOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{\"properties\":{\"b\":{\"const\":2}}}]}",
          LIST("{\"k\":0,\"a\":1}", "{\"k\":0,\"b\":2}", "{\"k\":0}"), LIST("{\"a\":1}", "{\"k\":0,\"a\":1,\"b\":2}"));
    check("{\"$defs\":{\"node\":{\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}},\"$ref\":\"#/$defs/node\"}",
          LIST("{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"), LIST("{\"v\":1}", "{\"v\":1,\"next\":{}}"));
    check("{\"properties\":{\"c\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}}}", LIST("{}", "{\"c\":[{\"c\":[]},{}]}"), LIST("{\"c\":[1]}"));
    check("{\"$defs\":{\"a/b\":{\"const\":7}},\"$ref\":\"#/$defs/a~1b\"}", LIST("7"), LIST("8"));
    check("{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":\"#/$defs/s\",\"maxLength\":1}},\"required\":[\"x\"],\"$defs\":{\"s\":{\"type\":\"string\"}}}",
          LIST("{\"x\":\"a\"}"), LIST("{\"x\":\"ab\"}", "{\"x\":1}"));
}

TEST_NOFAULT(integers_in_ranges) {
    static const int bounds[][2] = { { 18, 120 }, { 0, 0 }, { -5, 5 }, { -120, -18 }, { 7, 7 }, { 99, 101 }, { 1, 1000 }, { 250, 749 }, { -1000, 3 }, { 10, 99 }, { 199, 201 } };
    for (unsigned i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct grammar *g = malloc(sizeof(*g)); /* lint: a test's own */
        struct gbnf_error err;
        struct buf out;
        char schema[120], text[24];
        buf_init(&out, 0);
        snprintf(schema, sizeof(schema), "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d}", bounds[i][0], bounds[i][1]);
        CHECK_INT(make(schema, &out, &err), 0);
        parse_grammar(g, buf_cstr(&out));
        for (int n = bounds[i][0] - 130; n <= bounds[i][1] + 130; n++) {
            snprintf(text, sizeof(text), "%d", n);
            NOTE("%s: %s\n%.300s", schema, text, buf_cstr(&out));
            CHECK(accepts(g, slice_str(text)) == (n >= bounds[i][0] && n <= bounds[i][1]));
        }
        CHECK(!accepts(g, SLICE("-0")) && !accepts(g, SLICE("007")) && !accepts(g, SLICE("7.0")));
        buf_deinit(&out);
        free(g);
    }
    check("{\"type\":\"integer\",\"exclusiveMinimum\":3}", LIST("4", "10", "99999"), LIST("3", "0", "-4"));
    check("{\"type\":\"integer\",\"minimum\":9007199254740991,\"maximum\":9007199254740992}", LIST("9007199254740991", "9007199254740992"), LIST("9007199254740993"));
    check("{\"type\":\"integer\",\"minimum\":2.5,\"maximum\":4.5}", LIST("3", "4"), LIST("2", "5"));
    check("{\"type\":\"integer\",\"maximum\":-3}", LIST("-3", "-40"), LIST("-2", "0", "5"));
    check("{\"type\":\"integer\",\"minimum\":2.5,\"exclusiveMaximum\":4}", LIST("3"), LIST("2", "4"));
}

TEST_NOFAULT(numbers_in_ranges) {
    check("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", LIST("0", "1", "0.5", "1.0", "0.0"), LIST("1.01", "-0.5", "2", "10"));
    check("{\"type\":\"number\",\"minimum\":-2,\"maximum\":3}", LIST("-2", "-1.5", "-0.1", "0", "2.99", "3.0"), LIST("-2.1", "3.1", "-3"));
    check("{\"type\":\"number\",\"exclusiveMinimum\":0}", LIST("0.1", "1", "25.5"), LIST("0", "0.0", "-1"));
    check("{\"type\":\"number\",\"exclusiveMinimum\":1,\"exclusiveMaximum\":2}", LIST("1.5", "1.001"), LIST("1", "2", "1.0", "2.0"));
    check("{\"maximum\":-1}", LIST("-1", "-1.5", "-30"), LIST("-0.5", "0", "1"));
}

TEST(what_cannot_become_a_grammar_is_named) {
    static const struct { const char *schema, *keyword, *path; } bad[] = {
        { "{\"properties\":{\"price\":{\"type\":\"number\",\"multipleOf\":0.5}}}", "multipleOf", "/properties/price" },
        { "{\"not\":{}}", "not", "" },
        { "{\"type\":\"array\",\"items\":[{\"uniqueItems\":true}]}", "uniqueItems", "/items/0" },
        { "{\"$ref\":\"http://x/y\"}", "$ref", "" },
        { "{\"items\":{\"$ref\":\"#/nothing\"}}", "$ref", "/items" },
        { "{\"type\":\"thing\"}", "type", "" },
        { "{\"type\":5}", "type", "" },
        { "{\"properties\":{\"a\":false}}", "schema", "/properties/a" },
        { "{\"properties\":{\"a\":3}}", "schema", "/properties/a" },
        { "{\"pattern\":\"^(?=a)$\"}", "pattern", "" },
        { "{\"pattern\":\"a**\"}", "pattern", "" },
        { "{\"pattern\":\"(a\"}", "pattern", "" },
        { "{\"pattern\":\"\\\\bx\"}", "pattern", "" },
        { "{\"pattern\":\"^a|b$\"}", "pattern", "" },
        { "{\"pattern\":\"a)b\"}", "pattern", "" },
        { "{\"pattern\":\"a\",\"minLength\":2}", "pattern", "" },
        { "{\"minLength\":5,\"maxLength\":2}", "maxLength", "" },
        { "{\"minimum\":5,\"maximum\":2}", "minimum", "" },
        { "{\"minimum\":0.5}", "minimum", "" },
        { "{\"type\":\"integer\",\"maximum\":9007199254740993}", "maximum", "" },
        { "{\"type\":\"integer\",\"minimum\":-9007199254740993}", "minimum", "" },
        { "{\"type\":\"integer\",\"maximum\":9007199254740992.5}", "maximum", "" },
        { "{\"type\":\"integer\",\"maximum\":4.99999999999999999999}", "maximum", "" },
        { "{\"type\":\"number\",\"maximum\":4.99999999999999999999}", "maximum", "" },
        { "{\"pattern\":\"^[$\"}", "pattern", "" },
        { "{\"pattern\":\"^(a[)]\"}", "pattern", "" },
        { "{\"pattern\":\"^[\\u0001]$\"}", "pattern", "" },
        { "{\"minItems\":-1}", "minItems", "" },
        { "{\"maxLength\":100000}", "maxLength", "" },
        { "{\"type\":\"string\",\"enum\":[1]}", "enum", "" },
        { "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", "type", "" },
        { "{\"allOf\":[{\"maxLength\":1},{\"maxLength\":2}]}", "maxLength", "/allOf/1" },
        { "{\"anyOf\":[]}", "anyOf", "" },
        { "{\"properties\":{\"a/b\":{\"if\":{}}}}", "if", "/properties/a/b" },
        { "5", "schema", "" },
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gbnf_error err;
        struct buf out;
        buf_init(&out, 0);
        int rc = make(bad[i].schema, &out, &err);
        CHECK_UINT(buf_len(&out), 0);
        buf_deinit(&out);
        NOTE("%s: %s", bad[i].schema, err.message);
        CHECK_INT(rc, PERILUNE_ERR_INVAL);
        CHECK_STR(err.keyword, bad[i].keyword);
        CHECK_STR(err.path, bad[i].path);
        CHECK(err.message[0] != '\0');
    }
}

TEST_NOFAULT(large_schemas_are_bounded) {
    struct gbnf_error err;
    struct buf s, out;
    buf_init(&s, 0);
    buf_init(&out, 0);
    buf_puts(&s, "{\"properties\":{");
    for (unsigned i = 0; i < 1025; i++) buf_printf(&s, "%s\"p%u\":{}", i ? "," : "", i);
    buf_puts(&s, "}}");
    CHECK_INT(make(buf_cstr(&s), &out, &err), PERILUNE_ERR_LIMITED);
    CHECK_STR(err.keyword, "properties");
    /* 2 to the 20th combinations of alternatives. */
    buf_clear(&s);
    buf_puts(&s, "{\"type\":\"object\",\"allOf\":[");
    for (unsigned i = 0; i < 14; i++)
        buf_printf(&s, "%s{\"anyOf\":[{\"properties\":{\"a%u\":{}}},{\"properties\":{\"b%u\":{}}}]}", i ? "," : "", i, i);
    buf_puts(&s, "]}");
    CHECK_INT(make(buf_cstr(&s), &out, &err), PERILUNE_ERR_LIMITED);
    buf_deinit(&s);
    buf_deinit(&out);
}

/* A schema that is short for what it asks: written by who wants a worker to stand still. */
static void check_bounded(struct buf *s) {
    struct gbnf_error err;
    struct buf out;
    uint64_t from = clock_ns(CLOCK_MONOTONIC);
    buf_init(&out, 0);
    CHECK_INT(make(buf_cstr(s), &out, &err), PERILUNE_ERR_LIMITED);
    CHECK_STR(err.keyword, "schema");
    CHECK(strstr(err.message, "steps") != NULL);
    CHECK_UINT(buf_len(&out), 0);
    CHECK(clock_ns(CLOCK_MONOTONIC) - from < UINT64_C(5000000000)); /* far above what it takes, far below a minute */
    buf_deinit(&out);
    buf_clear(s);
}

static void put_times(struct buf *s, unsigned n, const char *item) {
    for (unsigned i = 0; i < n; i++) buf_printf(s, "%s%s", i ? "," : "", item);
}

TEST_NOFAULT(what_takes_many_steps_is_refused) {
    struct gbnf_error err;
    struct buf s, out;
    buf_init(&s, 0);
    buf_init(&out, 0);
    buf_puts(&s, "{\"properties\":{"); /* a long `required`, read for each alternative */
    for (unsigned i = 0; i < 300; i++) buf_printf(&s, "%s\"p%03u\":{}", i ? "," : "", i);
    buf_puts(&s, "},\"required\":[");
    put_times(&s, 300000, "\"p000\"");
    buf_puts(&s, "],\"anyOf\":[");
    put_times(&s, 60, "{\"title\":\"x\"}");
    buf_puts(&s, "]}");
    check_bounded(&s);
    buf_puts(&s, "{\"enum\":["); /* a long enum */
    put_times(&s, 30000, "1");
    buf_puts(&s, "],\"anyOf\":[");
    put_times(&s, 60, "{\"title\":\"x\"}");
    buf_puts(&s, "]}");
    check_bounded(&s);
    buf_puts(&s, "{\"type\":["); /* a long list of types */
    put_times(&s, 100000, "\"string\"");
    buf_puts(&s, "],\"anyOf\":[");
    put_times(&s, 60, "{\"title\":\"x\"}");
    buf_puts(&s, "]}");
    check_bounded(&s);
    buf_puts(&s, "{\"type\":\"string\",\"anyOf\":["); /* many members that are no keywords */
    put_times(&s, 2000, "{\"title\":\"x\"}");
    for (unsigned i = 0; i < 20000; i++) buf_printf(&s, "%s\"%u\":1", i ? "," : "],", i);
    buf_puts(&s, "}");
    check_bounded(&s);
    buf_puts(&s, "{\"properties\":{"); /* references, each into a long list */
    for (unsigned i = 0; i < 900; i++) buf_printf(&s, "%s\"p%u\":{\"$ref\":\"#/x/99999\"}", i ? "," : "", i);
    buf_puts(&s, "},\"x\":[");
    put_times(&s, 100000, "{}");
    buf_puts(&s, "]}");
    check_bounded(&s);
    /* A name listed twice is one; a list as long as that alone is read. */
    buf_puts(&s, "{\"properties\":{\"a\":{\"type\":\"null\"}},\"required\":[");
    put_times(&s, 300000, "\"a\"");
    buf_puts(&s, "]}");
    CHECK_INT(make(buf_cstr(&s), &out, &err), 0);
    buf_deinit(&s);
    buf_deinit(&out);
    check("{\"properties\":{\"a\":{\"type\":\"null\"}},\"required\":[\"a\",\"b\",\"a\",\"b\"]}",
          LIST("{\"a\":null,\"b\":1}"), LIST("{\"a\":null}", "{\"a\":null,\"b\":1,\"b\":1}", "{\"b\":1}"));
}

TEST_FAULT(no_memory_leaves_nothing_behind) {
    struct gbnf_error err;
    struct buf out;
    buf_init(&out, 0);
    int rc = make("{\"properties\":{\"a\":{\"anyOf\":[{\"const\":\"x\"},{\"$ref\":\"#\"}]},\"b\":{\"pattern\":\"^[ab]\"}},"
                  "\"additionalProperties\":true,\"minProperties\":0}", &out, &err);
    if (rc != 0) CHECK_UINT(buf_len(&out), 0);
    if (rc == 0) rc = gbnf_json_object(&out);
    buf_deinit(&out);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
}

/* -- Grammars of answers ------------------------------------------------------------------------ */

static const char two_tools[] =
    "[{\"$defs\":{\"c\":{\"enum\":[\"Paris\",\"Rome\"]}},\"type\":\"object\",\"properties\":{\"city\":{\"$ref\":\"#/$defs/c\"},"
    "\"note\":{\"type\":\"string\"},\"unit\":{\"enum\":[\"C\",\"F\"]}},\"required\":[\"city\"]},{\"$defs\":{\"c\":{\"type\":\"integer\"}},\"type\":\"object\",\"properties\":{\"n\":{\"$ref\":"
    "\"#/$defs/c\"}},\"required\":[\"n\"]},{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},"
    "\"required\":[\"ok\"]}]";

/* Tools f and g (and h, without parameters) of two_tools, and its last schema where a text is wanted. */
static void check_answer(struct answer_shape s, bool text, const char *const *valid, const char *const *not_valid) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    struct grammar *g = malloc(sizeof(*g)); /* lint: a test's own */
    struct gbnf_error err;
    struct buf out;
    buf_init(&out, 0);
    CHECK_INT(json_parse(&doc, slice_str(two_tools), &e), 0);
    uint32_t f = json_first(&doc, 0), second = json_next(&doc, 0, f), third = json_next(&doc, 0, second);
    struct answer_tool tools[] = { { SLICE("f"), f, 0 }, { SLICE("g"), second, 1 }, { SLICE("h"), JSON_NONE, 2 } };
    s.doc = &doc;
    s.tools = tools;
    s.schema = text ? third : JSON_NONE;
    CHECK_INT(answer_grammar(&s, &out, &err), 0);
    parse_grammar(g, buf_cstr(&out));
    for (unsigned i = 0; valid[i]; i++) {
        NOTE("should take %s\n%.900s", valid[i], buf_cstr(&out));
        CHECK(accepts(g, slice_str(valid[i])));
    }
    for (unsigned i = 0; not_valid[i]; i++) {
        NOTE("should not take %s\n%.900s", not_valid[i], buf_cstr(&out));
        CHECK(!accepts(g, slice_str(not_valid[i])));
    }
    buf_deinit(&out);
    json_deinit(&doc);
    free(g);
}

#define F "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\":\"Rome\"}}\n</tool_call>"
#define G "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"n\":1}}\n</tool_call>"
#define DEEP(x) "<｜tool▁calls▁begin｜>" x "<｜tool▁calls▁end｜>"

TEST_NOFAULT(answers_that_must_be_calls) {
    struct answer_shape s = { .tool_count = 3, .calls_only = true, .calls = { CALLS_HERMES, false } };
    check_answer(s, false, LIST(F, G, F "\n" G "\n" F, "<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call>"),
                 LIST("", "Hi", F "x", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\":1}}\n</tool_call>",
                      "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"n\":\"Rome\"}}\n</tool_call>",
                      "<tool_call>\n{\"name\": \"i\", \"arguments\": {}}\n</tool_call>"));
    s.one_call = true;
    check_answer(s, false, LIST(F), LIST(F "\n" G));
    s.tool_count = 1;
    check_answer(s, false, LIST(F), LIST(G));
}

TEST_NOFAULT(calls_have_the_form_of_the_template) {
    struct answer_shape s = { .tool_count = 2, .calls_only = true, .calls = { CALLS_LLAMA3, false } };
    check_answer(s, false, LIST("{\"name\": \"f\", \"parameters\": {\"city\":\"Rome\"}}",
                                "{\"name\": \"g\", \"parameters\": {\"n\":1}}; {\"name\": \"g\", \"parameters\": {\"n\":2}}"),
                 LIST("{\"name\": \"f\", \"arguments\": {\"city\":\"Rome\"}}"));
    s.calls.form = CALLS_MISTRAL;
    check_answer(s, false, LIST("[TOOL_CALLS][{\"name\": \"g\", \"arguments\": {\"n\":1}}]",
                                "[TOOL_CALLS][{\"name\": \"g\", \"arguments\": {\"n\":1}}, {\"name\": \"g\", \"arguments\": {\"n\":1}}]"),
                 LIST("[TOOL_CALLS]g[ARGS]{\"n\":1}", "[TOOL_CALLS][]"));
    s.calls.newer = true;
    check_answer(s, false, LIST("[TOOL_CALLS]g[ARGS]{\"n\":1}", "[TOOL_CALLS]g[ARGS]{\"n\":1}[TOOL_CALLS]f[ARGS]{\"city\":\"Paris\"}"),
                 LIST("[TOOL_CALLS]f[ARGS]{\"n\":1}"));
    s.calls = (struct call_shape){ CALLS_DEEPSEEK, true };
    check_answer(s, false, LIST(DEEP("<｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"n\":1}<｜tool▁call▁end｜>")), LIST(DEEP("")));
    s.calls.newer = false;
    check_answer(s, false, LIST(DEEP("<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{\"n\":1}\n```<｜tool▁call▁end｜>")),
                 LIST(DEEP("<｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"n\":1}<｜tool▁call▁end｜>")));
}

/* One tool, f, with these parameters.  keyword not NULL: it is refused for that. */
static void check_tool(const char *parameters, const char *keyword, const char *path, const char *const *valid, const char *const *not_valid) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    struct gbnf_error err;
    struct grammar *g = malloc(sizeof(*g)); /* lint: a test's own */
    struct buf out;
    buf_init(&out, 0);
    NOTE("%s", parameters);
    CHECK_INT(json_parse(&doc, slice_str(parameters), &e), 0);
    struct answer_tool tools[] = { { SLICE("f"), 0, 0 } };
    struct answer_shape s = { .doc = &doc, .schema = JSON_NONE, .tools = tools, .tool_count = 1, .calls_only = true,
                              .calls = { CALLS_MISTRAL, true } };
    int rc = answer_grammar(&s, &out, &err);
    json_deinit(&doc);
    CHECK_INT(rc, keyword ? PERILUNE_ERR_INVAL : 0);
    if (keyword) CHECK_STR(err.keyword, keyword);
    if (keyword) CHECK_STR(err.path, path);
    if (keyword) CHECK(strstr(err.message, "arguments of a function") != NULL);
    if (!keyword) parse_grammar(g, buf_cstr(&out));
    for (unsigned i = 0; !keyword && valid[i]; i++) {
        NOTE("%s should take %s\n%.600s", parameters, valid[i], buf_cstr(&out));
        CHECK(accepts(g, slice_str(valid[i])));
    }
    for (unsigned i = 0; !keyword && not_valid[i]; i++) {
        NOTE("%s should not take %s\n%.600s", parameters, not_valid[i], buf_cstr(&out));
        CHECK(!accepts(g, slice_str(not_valid[i])));
    }
    buf_deinit(&out);
    free(g);
}

#define CALL_F(arguments) "[TOOL_CALLS]f[ARGS]" arguments

TEST_NOFAULT(arguments_are_an_object_whatever_the_schema_says) {
    const char *const *objects = LIST(CALL_F("{}"), CALL_F("{\"a\": [1]}"));
    const char *const *others = LIST(CALL_F("[]"), CALL_F("\"a\""), CALL_F("null"), CALL_F("1"));
    check_tool("{}", NULL, "", objects, others);
    check_tool("{\"description\":\"x\"}", NULL, "", objects, others);
    check_tool("{\"type\":[\"object\",\"null\"]}", NULL, "", objects, others);
    check_tool("{\"type\":\"object\",\"nullable\":true}", NULL, "", objects, others);
    check_tool("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":[\"array\",\"object\"]}}}", NULL, "", objects, others);
    check_tool("{\"anyOf\":[{\"required\":[\"a\"]},{\"properties\":{\"b\":{}}}]}", NULL, "",
               LIST(CALL_F("{\"a\":1}"), CALL_F("{\"b\":1}")), others);
    check_tool("{\"enum\":[1,{\"a\":1},null]}", NULL, "", LIST(CALL_F("{\"a\":1}")), others);
    check_tool("{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"type\":[\"object\",\"null\"]}", NULL, "", /* only itself, not what is in it */
               LIST(CALL_F("{\"a\":null}"), CALL_F("{\"a\":{\"a\":null}}")), others);
    check_tool("{\"type\":\"object\",\"properties\":{}}", NULL, "", LIST(CALL_F("{}")), LIST(CALL_F("{\"a\":1}")));
    check_tool("{\"type\":\"array\",\"items\":{}}", "type", "", NULL, NULL);
    check_tool("{\"type\":\"string\"}", "type", "", NULL, NULL);
    check_tool("{\"anyOf\":[{\"type\":\"null\"}]}", "type", "", NULL, NULL);
    check_tool("{\"const\":5}", "const", "", NULL, NULL);
}

#define GLM(name, arguments) "<tool_call>" name "\n" arguments "</tool_call>"
#define ARG(k, v) "<arg_key>" k "</arg_key>\n<arg_value>" v "</arg_value>\n"

TEST_NOFAULT(calls_of_glm_write_arguments_one_by_one) {
    struct answer_shape s = { .tool_count = 3, .calls_only = true, .calls = { CALLS_GLM, false } };
    check_answer(s, false, LIST(GLM("f", ARG("city", "\"Rome\"") ARG("note", "a < b </arg")), GLM("f", ARG("city", "\"Rome\"") ARG("unit", "C")),
                                GLM("f", ARG("city", "\"Rome\"") ARG("note", "") ARG("unit", "F")), GLM("g", ARG("n", "1")), GLM("h", ""),
                                GLM("g", ARG("n", "1")) "\n" GLM("h", "")),
                 LIST(GLM("f", ARG("note", "a")), GLM("f", ""), GLM("f", ARG("city", "\"Bonn\"")), GLM("g", ARG("n", "x")),
                      GLM("f", ARG("city", "\"Rome\"") ARG("unit", "K")), GLM("h", ARG("n", "1")), GLM("i", "")));
}

TEST_NOFAULT(calls_of_glm_with_long_lists_are_written_once_through) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    struct gbnf_error err;
    struct buf s, out;
    uint64_t from = clock_ns(CLOCK_MONOTONIC);
    buf_init(&s, 0);
    buf_init(&out, 0);
    buf_puts(&s, "{\"properties\":{");
    for (unsigned i = 0; i < 1000; i++) buf_printf(&s, "%s\"p%u\":{\"type\":\"null\"}", i ? "," : "", i);
    buf_puts(&s, "},\"required\":[");
    put_times(&s, 600000, "\"p\\u0030\"");
    buf_puts(&s, "]}");
    CHECK_INT(json_parse(&doc, buf_get(&s), &e), 0);
    struct answer_tool tools[] = { { SLICE("f"), 0, 0 } };
    struct answer_shape shape = { .doc = &doc, .schema = JSON_NONE, .tools = tools, .tool_count = 1,
                                  .calls_only = true, .calls = { CALLS_GLM, false } };
    CHECK_INT(answer_grammar(&shape, &out, &err), 0);
    CHECK(strstr(buf_cstr(&out), "call ::= \"f\" \"\\n\" (\"<arg_key>p0</arg_key>\\n<arg_value>\" v1 \"</arg_value>\" \"\\n\") (") != NULL);
    CHECK(clock_ns(CLOCK_MONOTONIC) - from < UINT64_C(5000000000));
    buf_deinit(&s);
    buf_deinit(&out);
    json_deinit(&doc);
}

#define TO_G "<|channel|>commentary to=functions.g <|constrain|>json<|message|>{\"n\":1}"
#define ANALYSIS(x) "<|channel|>analysis<|message|>" x "<|end|><|start|>assistant"

TEST_NOFAULT(messages_of_harmony_have_heads) {
    struct answer_shape s = { .tool_count = 2, .calls = { CALLS_HARMONY, false }, .thinks = ANSWER_MAY_THINK };
    check_answer(s, true, LIST("<|channel|>final<|message|>{\"ok\":true}", TO_G, ANALYSIS("a <|en < b") TO_G,
                               ANALYSIS("a") "<|channel|>final<|message|>{\"ok\":true}",
                               ANALYSIS("") " to=functions.g<|channel|>commentary json<|message|>{\"n\":1}"),
                 LIST("{\"ok\":true}", ANALYSIS("a") "{\"ok\":true}", "<|channel|>final<|message|>Hi", ANALYSIS("a") ANALYSIS("b") TO_G,
                      "<|channel|>commentary to=functions.g <|constrain|>json<|message|>{\"n\":\"x\"}"));
    s.calls_only = true;
    s.thinks = ANSWER_THINKS_NOT;
    check_answer(s, true, LIST(TO_G), LIST("<|channel|>final<|message|>{\"ok\":true}", ANALYSIS("a") TO_G, TO_G TO_G));
}

TEST_NOFAULT(answers_that_are_json_or_calls_behind_a_thought) {
    struct answer_shape s = { .tool_count = 2, .calls = { CALLS_HERMES, false }, .marks = { SLICE("<think>"), SLICE("</think>") } };
    check_answer(s, true, LIST("{\"ok\":true}", G), LIST("Hi", "{\"n\":1}", "<think>\na\n</think>\n\n{\"ok\":true}"));
    s.thinks = ANSWER_MAY_THINK;
    check_answer(s, true, LIST("{\"ok\":true}", G, "<think>\na < b </thin <</think>\n\n{\"ok\":true}", "<think></think>" F),
                 LIST("<think>\na\n{\"ok\":true}", "a</think>{\"ok\":true}", "<think>a</think>Hi"));
    s.thinks = ANSWER_IS_THINKING;
    s.tool_count = 0;
    check_answer(s, true, LIST("Why?\n</think>\n\n{\"ok\":true}", "</think>{\"ok\":false}"), LIST("{\"ok\":true}", "a</think>", G));
    s.thinks = ANSWER_THINKS_NOT;
    s.object = true;
    check_answer(s, false, LIST("{}", "{\"a\":[1]}"), LIST("[]", "Hi", ""));
}

TEST_NOFAULT(a_tool_that_is_no_grammar_is_named) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    struct gbnf_error err;
    struct buf out;
    buf_init(&out, 0);
    buf_puts(&out, "before");
    CHECK_INT(json_parse(&doc, SLICE("[{},{\"properties\":{\"a\":{\"multipleOf\":2}}}]"), &e), 0);
    struct answer_tool tools[] = { { SLICE("f"), 1, 0 }, { SLICE("g"), 2, 1 } };
    struct answer_shape s = { .doc = &doc, .schema = JSON_NONE, .tools = tools, .tool_count = 2, .calls_only = true,
                              .calls = { CALLS_HERMES, false } };
    CHECK_INT(answer_grammar(&s, &out, &err), PERILUNE_ERR_INVAL);
    CHECK_UINT(err.root, 1);
    CHECK_STR(err.keyword, "multipleOf");
    CHECK_STR(err.path, "/properties/a");
    CHECK_SLICE(buf_get(&out), SLICE("before"));
    buf_deinit(&out);
    json_deinit(&doc);
}
