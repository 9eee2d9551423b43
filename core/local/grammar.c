/* grammar.c -- a grammar as a small program.
 *
 *     list ::= "[" item ("," item)* "]"        0  CHAR  [
 *     item ::= [0-9]+                          1  CALL  item
 *                                              2  SPLIT 6      <--+   one way goes on behind, one at 6
 *                                              3  CHAR  ,         |
 *                                              4  CALL  item      |
 *                                              5  JUMP  2      ---+
 *                                              6  CHAR  ]
 *                                              7  RET
 *                                              8  CLASS 0-9
 *                                              9  SPLIT 8
 *                                             10  RET
 *
 * Thompson's way to write regular expressions, with rules as subroutines.  Where an answer may be in it is a set of
 * places, see matcher.c.  Jumps are counted from where they stand, so a piece can be moved and copied: x{2,4} is four
 * copies of x with two ways out.
 *
 * Grammars come from clients' schemas (gbnf.c).  A library that follows them a way at a time needs time beyond any
 * bound for some, on the thread that everybody's answers come from; so they are followed here, where each token's work
 * is counted.
 *
 * Invariants: code has at most GRAMMAR_CODE instructions; every rule ends with RET; sentences have nothing of the
 * grammar's text, which is a client's.
 *
 * Thread: any, one at a time.  Does not: know all of GBNF, but what gbnf.c and answer_grammar.c write. */
#include "local/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "local/grammar_int.h"
#include "tokens/unicode.h"

#define DEPTH     1024 /* groups in groups */
#define LAST_CHAR 0x10FFFF

struct name {
    struct slice text;  /* empty: a free place */
    uint32_t     rule;
};

struct reader {
    struct grammar *g;
    const char     *at, *end;
    struct name    *names; /* a table */
    unsigned        name_len, name_cap;
    unsigned        rule_cap, depth;
    const char     *wrong; /* what is, after rc */
    int             rc;
};

/* -- Failures, and what is written -------------------------------------------------------- */

static void fail(struct reader *r, int rc, const char *why) {
    if (r->rc != 0) return;
    r->rc = rc;
    r->wrong = why;
}

static void no_memory(struct reader *r) { fail(r, PERILUNE_ERR_NOMEM, "out of memory"); }

static void put(struct reader *r, enum grammar_op op, int32_t arg) {
    struct grammar *g = r->g;
    if (r->rc != 0) return;
    if (g->code_len == GRAMMAR_CODE) {
        fail(r, PERILUNE_ERR_LIMITED, "makes a grammar of more than 524288 steps: smaller counts (maxItems, maxLength, "
                                      "pattern) and shorter enums make it smaller");
        return;
    }
    if (g->code_len == g->code_cap && !mem_grow((void **)&g->code, g->code_len, &g->code_cap, sizeof(*g->code))) {
        no_memory(r);
        return;
    }
    g->code[g->code_len++] = (struct grammar_code){ op, arg };
}

/* An instruction in front of what was written from `at` on. */
static void put_before(struct reader *r, unsigned at, enum grammar_op op, int32_t arg) {
    struct grammar *g = r->g;
    put(r, op, arg);
    if (r->rc != 0) return;
    memmove(&g->code[at + 1], &g->code[at], (g->code_len - 1 - at) * sizeof(*g->code));
    g->code[at] = (struct grammar_code){ op, arg };
}

/* -- Names ------------------------------------------------------------------------------------ */

static struct name *name_place(struct name *table, unsigned cap, struct slice text) {
    unsigned i = (unsigned)hash_fnv(text) & (cap - 1);
    while (table[i].text.len > 0 && !slice_eq(table[i].text, text)) i = (i + 1) & (cap - 1);
    return &table[i];
}

static bool names_grow(struct reader *r) {
    unsigned cap = r->name_cap ? r->name_cap * 2 : 64;
    struct name *table = mem_zalloc(cap * sizeof(*table));
    if (table == NULL) return false;
    for (unsigned i = 0; i < r->name_cap; i++)
        if (r->names[i].text.len > 0) *name_place(table, cap, r->names[i].text) = r->names[i];
    mem_free(r->names);
    r->names = table;
    r->name_cap = cap;
    return true;
}

/* The number of the rule with this name, which may not have been written yet. */
static uint32_t rule_of(struct reader *r, struct slice text) {
    struct grammar *g = r->g;
    if (r->name_len * 2 >= r->name_cap && !names_grow(r)) return no_memory(r), 0;
    struct name *n = name_place(r->names, r->name_cap, text);
    if (n->text.len > 0) return n->rule;
    if (g->rule_len == r->rule_cap && !mem_grow((void **)&g->rules, g->rule_len, &r->rule_cap, sizeof(*g->rules)))
        return no_memory(r), 0;
    *n = (struct name){ text, g->rule_len };
    r->name_len++;
    g->rules[g->rule_len] = UINT32_MAX;
    return g->rule_len++;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static struct slice read_name(struct reader *r) {
    const char *from = r->at;
    while (r->at < r->end && is_name(*r->at)) r->at++;
    if (r->at == from) fail(r, PERILUNE_ERR_INVAL, "is no grammar: a name of a rule is missing");
    return slice_of(from, (size_t)(r->at - from));
}

/* -- Characters and classes -------------------------------------------------------------------- */

static uint32_t read_hex(struct reader *r, unsigned digits) {
    uint32_t c = 0;
    for (unsigned i = 0; i < digits; i++, r->at++) {
        char d = r->at < r->end ? *r->at : '\0';
        bool letter = (d | 32) >= 'a' && (d | 32) <= 'f';
        if (!letter && (d < '0' || d > '9')) return fail(r, PERILUNE_ERR_INVAL, "is no grammar: a bad escape"), 0;
        c = c << 4 | (uint32_t)(letter ? (d | 32) - 'a' + 10 : d - '0');
    }
    if (c > LAST_CHAR) fail(r, PERILUNE_ERR_INVAL, "is no grammar: a bad escape");
    return r->rc == 0 ? c : 0;
}

static uint32_t read_char(struct reader *r) {
    uint32_t c = 0;
    unsigned n = unicode_decode((const unsigned char *)r->at, (const unsigned char *)r->end, &c);
    if (n == 0) return fail(r, PERILUNE_ERR_INVAL, "is no grammar: it is no UTF-8, or has no end"), 0;
    r->at += n;
    if (c != '\\') return c;
    char e = r->at < r->end ? *r->at++ : '\0';
    switch (e) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'x': return read_hex(r, 2);
    case 'u': return read_hex(r, 4);
    case 'U': return read_hex(r, 8);
    case '\0': return fail(r, PERILUNE_ERR_INVAL, "is no grammar: a bad escape"), 0;
    default: return (unsigned char)e;
    }
}

static void put_range(struct reader *r, uint32_t lo, uint32_t hi) {
    struct grammar *g = r->g;
    if (r->rc != 0 || lo > hi) return;
    if (g->range_len == g->range_cap &&
        !mem_grow((void **)&g->ranges, g->range_len, &g->range_cap, sizeof(*g->ranges))) {
        no_memory(r);
        return;
    }
    g->ranges[g->range_len++] = (struct grammar_range){ lo, hi };
}

static int by_low(const void *a, const void *b) {
    const struct grammar_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* All characters but those of the ranges from `from` on. */
static void turn_round(struct reader *r, unsigned from) {
    struct grammar *g = r->g;
    unsigned end = g->range_len;
    uint32_t next = 0;
    for (unsigned i = from; i < end && r->rc == 0; i++) {
        struct grammar_range not_these = g->ranges[i];
        if (not_these.lo > next) put_range(r, next, not_these.lo - 1);
        next = not_these.hi + 1;
    }
    put_range(r, next, LAST_CHAR);
    if (r->rc != 0) return;
    memmove(&g->ranges[from], &g->ranges[end], (g->range_len - end) * sizeof(*g->ranges));
    g->range_len -= end - from;
}

/* In order and apart. */
static void settle(struct reader *r, unsigned from, bool negated) {
    struct grammar *g = r->g;
    unsigned n = g->range_len - from, len = 0;
    struct grammar_range *at = g->ranges + from;
    if (n > 1) qsort(at, n, sizeof(*at), by_low);
    for (unsigned i = 0; i < n; i++) {
        if (len > 0 && at[i].lo <= at[len - 1].hi + 1) {
            if (at[i].hi > at[len - 1].hi) at[len - 1].hi = at[i].hi;
        } else {
            at[len++] = at[i];
        }
    }
    g->range_len = from + len;
    if (negated) turn_round(r, from);
}

/* [...], behind the bracket. */
static void read_class(struct reader *r) {
    struct grammar *g = r->g;
    unsigned from = g->range_len;
    bool negated = r->at < r->end && *r->at == '^';
    r->at += negated;
    while (r->rc == 0 && r->at < r->end && *r->at != ']') {
        uint32_t lo = read_char(r), hi = lo;
        if (r->end - r->at > 1 && r->at[0] == '-' && r->at[1] != ']') {
            r->at++;
            hi = read_char(r);
        }
        if (lo > hi || hi > LAST_CHAR) fail(r, PERILUNE_ERR_INVAL, "is no grammar: a range goes backwards");
        put_range(r, lo, hi);
    }
    if (r->at < r->end) r->at++;
    else fail(r, PERILUNE_ERR_INVAL, "is no grammar: a [ has no ]");
    if (r->rc == 0) settle(r, from, negated);
    if (r->rc == 0 && g->class_len == g->class_cap &&
        !mem_grow((void **)&g->classes, g->class_len, &g->class_cap, sizeof(*g->classes))) no_memory(r);
    if (r->rc != 0) return;
    g->classes[g->class_len] = (struct grammar_class){ from, g->range_len - from };
    put(r, GRAMMAR_CLASS, (int32_t)g->class_len++);
}

static void read_literal(struct reader *r) {
    while (r->rc == 0 && r->at < r->end && *r->at != '"') {
        uint32_t c = read_char(r);
        put(r, GRAMMAR_CHAR, (int32_t)c);
    }
    if (r->at < r->end) r->at++;
    else fail(r, PERILUNE_ERR_INVAL, "is no grammar: a text has no end");
}

/* -- Pieces ---------------------------------------------------------------------------------------- */

static void blanks(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t')) r->at++;
}

static uint32_t read_count(struct reader *r) {
    uint64_t n = 0;
    if (r->at >= r->end || *r->at < '0' || *r->at > '9') fail(r, PERILUNE_ERR_INVAL, "is no grammar: a bad count");
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if ((n = n * 10 + (unsigned)(*r->at - '0')) > GRAMMAR_CODE) n = GRAMMAR_CODE;
    return (uint32_t)n;
}

static void put_copy(struct reader *r, const struct grammar_code *unit, unsigned len) {
    for (unsigned i = 0; i < len && r->rc == 0; i++) put(r, (enum grammar_op)unit[i].op, unit[i].arg);
}

/* What was written from `from` on, between min and max times; max UINT32_MAX: no end. */
static void repeat(struct reader *r, unsigned from, uint32_t min, uint32_t max) {
    struct grammar *g = r->g;
    unsigned len = g->code_len - from;
    if (r->rc != 0 || len == 0) return;
    struct grammar_code *unit = mem_alloc(len * sizeof(*unit));
    if (unit == NULL) {
        no_memory(r);
        return;
    }
    memcpy(unit, g->code + from, len * sizeof(*unit));
    g->code_len = from;
    for (uint32_t i = 0; i < min && r->rc == 0; i++) put_copy(r, unit, len);
    if (max == UINT32_MAX) {
        put(r, GRAMMAR_SPLIT, (int32_t)len + 2);
        put_copy(r, unit, len);
        put(r, GRAMMAR_JUMP, -(int32_t)len - 1);
    } else {
        uint64_t all = (uint64_t)(max - min) * (len + 1); /* SPLIT unit SPLIT unit ...: each leads to the end */
        if (all > GRAMMAR_CODE) all = GRAMMAR_CODE + 1; /* which is more than there is room for */
        for (uint32_t i = min; i < max && r->rc == 0; i++, all -= len + 1) {
            put(r, GRAMMAR_SPLIT, (int32_t)all);
            put_copy(r, unit, len);
        }
    }
    mem_free(unit);
}

static void read_quantifier(struct reader *r, unsigned from) {
    uint32_t min, max;
    if (r->at >= r->end || r->rc != 0) return;
    switch (*r->at) {
    case '*': r->at++; repeat(r, from, 0, UINT32_MAX); return;
    case '+':
        r->at++;
        put(r, GRAMMAR_SPLIT, (int32_t)from - (int32_t)r->g->code_len);
        return;
    case '?':
        r->at++;
        put_before(r, from, GRAMMAR_SPLIT, (int32_t)(r->g->code_len - from) + 1);
        return;
    case '{': break;
    default: return;
    }
    r->at++;
    min = max = read_count(r);
    if (r->at < r->end && *r->at == ',') {
        r->at++;
        max = r->at < r->end && *r->at == '}' ? UINT32_MAX : read_count(r);
    }
    if (r->at >= r->end || *r->at++ != '}' || max < min) fail(r, PERILUNE_ERR_INVAL, "is no grammar: a bad count");
    repeat(r, from, min, max);
}

static void read_choice(struct reader *r);

static void read_piece(struct reader *r) {
    unsigned from = r->g->code_len;
    if (*r->at == '(') {
        r->at++;
        if (++r->depth > DEPTH) fail(r, PERILUNE_ERR_LIMITED, "makes a grammar of more than 1024 groups in groups");
        if (r->rc == 0) read_choice(r);
        r->depth--;
        if (r->at < r->end && *r->at == ')') r->at++;
        else fail(r, PERILUNE_ERR_INVAL, "is no grammar: a ( has no )");
    } else if (*r->at == '"') {
        r->at++;
        read_literal(r);
    } else if (*r->at == '[') {
        r->at++;
        read_class(r);
    } else {
        struct slice name = read_name(r);
        if (r->rc == 0) put(r, GRAMMAR_CALL, (int32_t)rule_of(r, name));
    }
    read_quantifier(r, from);
}

/* x | y | z becomes SPLIT x JUMP, SPLIT y JUMP, z.  The jumps' args are a chain until all is read. */
static void read_choice(struct reader *r) {
    struct grammar *g = r->g;
    unsigned from = g->code_len;
    int32_t last = -1;
    for (blanks(r); r->rc == 0 && r->at < r->end && *r->at != ')' && *r->at != '\n'; blanks(r)) {
        if (*r->at != '|') {
            read_piece(r);
            continue;
        }
        r->at++;
        put_before(r, from, GRAMMAR_SPLIT, (int32_t)(g->code_len - from) + 2);
        put(r, GRAMMAR_JUMP, last);
        last = (int32_t)g->code_len - 1;
        from = g->code_len;
    }
    while (r->rc == 0 && last >= 0) {
        int32_t before = g->code[last].arg;
        g->code[last].arg = (int32_t)g->code_len - last;
        last = before;
    }
}

static void read_rule(struct reader *r) {
    struct slice name = read_name(r);
    uint32_t rule = r->rc == 0 ? rule_of(r, name) : 0;
    blanks(r);
    if (r->rc == 0 && (r->end - r->at < 3 || memcmp(r->at, "::=", 3) != 0))
        fail(r, PERILUNE_ERR_INVAL, "is no grammar: a rule has no ::=");
    if (r->rc != 0) return;
    r->at += 3;
    if (r->g->rules[rule] != UINT32_MAX) fail(r, PERILUNE_ERR_INVAL, "is no grammar: a rule is written twice");
    r->g->rules[rule] = r->g->code_len;
    read_choice(r);
    put(r, GRAMMAR_RET, 0);
    if (r->at < r->end && *r->at != '\n') fail(r, PERILUNE_ERR_INVAL, "is no grammar: a ) has no (");
}

/* -- Kinds of characters ------------------------------------------------------------------------------ */

static void mark(uint64_t *bits, uint32_t c) { bits[c / 64] |= UINT64_C(1) << (c % 64); }

/* Where characters of one kind end and others begin. */
static void cut(struct reader *r) {
    enum { WORDS = (LAST_CHAR + 1) / 64 + 1 };
    struct grammar *g = r->g;
    uint64_t *bits = mem_zalloc(WORDS * sizeof(*bits));
    unsigned n = 0;
    for (unsigned i = 0; bits != NULL && i < g->code_len; i++)
        if (g->code[i].op == GRAMMAR_CHAR)
            mark(bits, (uint32_t)g->code[i].arg), mark(bits, (uint32_t)g->code[i].arg + 1);
    for (unsigned i = 0; bits != NULL && i < g->range_len; i++)
        mark(bits, g->ranges[i].lo), mark(bits, g->ranges[i].hi + 1);
    for (unsigned w = 0; bits != NULL && w < WORDS; w++) n += (unsigned)__builtin_popcountll(bits[w]);
    g->cuts = bits != NULL ? mem_alloc((n + 1) * sizeof(*g->cuts)) : NULL;
    if (g->cuts == NULL) no_memory(r);
    for (uint32_t c = 0; g->cuts != NULL && c < WORDS * 64; c++) {
        if (bits[c / 64] >> (c % 64) & 1) g->cuts[g->cut_len++] = c;
        if (c < 128) g->ascii[c] = g->cut_len;
    }
    mem_free(bits);
}

uint32_t grammar_symbol(const struct grammar *g, uint32_t c) {
    if (c < 128) return g->ascii[c];
    uint32_t lo = 0, hi = g->cut_len; /* how many cuts are at c or below it */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (g->cuts[mid] <= c) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

bool grammar_takes(const struct grammar *g, uint32_t pc, uint32_t lo, uint32_t hi) {
    struct grammar_code code = g->code[pc];
    if (code.op == GRAMMAR_CHAR) return (uint32_t)code.arg >= lo && (uint32_t)code.arg <= hi;
    const struct grammar_class *k = &g->classes[code.arg];
    uint32_t a = 0, b = k->len; /* the first range that does not end below lo */
    while (a < b) {
        uint32_t mid = a + (b - a) / 2;
        if (g->ranges[k->from + mid].hi < lo) a = mid + 1;
        else b = mid;
    }
    return a < k->len && g->ranges[k->from + a].lo <= hi;
}

/* -- The whole ------------------------------------------------------------------------------------------ */

static void read_all(struct reader *r) {
    uint32_t root = rule_of(r, SLICE("root")); /* rule 0 */
    while (r->rc == 0 && r->at < r->end) {
        blanks(r);
        if (r->at < r->end && *r->at == '\n') r->at++;
        else if (r->at < r->end) read_rule(r);
    }
    for (unsigned i = 0; i < r->g->rule_len && r->rc == 0; i++)
        if (r->g->rules[i] == UINT32_MAX)
            fail(r, PERILUNE_ERR_INVAL, i == root ? "is no grammar: it has no root"
                                                  : "is no grammar: it names a rule that is not written");
    if (r->rc == 0) cut(r);
}

int grammar_new(struct grammar **out, const char *text, char *why, size_t why_size) {
    struct grammar *g = mem_zalloc(sizeof(*g));
    struct reader r = { .g = g, .at = text, .end = text + strlen(text) };
    *out = NULL;
    if (g == NULL) no_memory(&r);
    else read_all(&r);
    mem_free(r.names);
    if (r.rc != 0) {
        snprintf(why, why_size, r.rc == PERILUNE_ERR_NOMEM ? "%s" : "the form of the answer (response_format, tools) "
                 "%s", r.wrong);
        if (g != NULL) g->refs = 1;
        grammar_put(g);
        return r.rc;
    }
    g->refs = 1;
    *out = g;
    return 0;
}

void grammar_ref(struct grammar *g) { g->refs++; }

void grammar_put(struct grammar *g) {
    if (g == NULL || --g->refs > 0) return;
    states_put(g->states);
    mem_free(g->code);
    mem_free(g->ranges);
    mem_free(g->classes);
    mem_free(g->rules);
    mem_free(g->cuts);
    mem_free(g);
}
