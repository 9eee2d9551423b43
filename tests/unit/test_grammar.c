/* test_grammar.c -- what a grammar lets be said, token by token, and that no grammar takes more time than a token has. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "local/gbnf.h"
#include "local/grammar.h"
#include "local/grammars.h"

static char why[400];

static int open_matcher(struct matcher *m, const char *text) {
    struct grammar *g;
    int rc = grammar_new(&g, text, why, sizeof(why));
    if (rc != 0) return rc;
    rc = matcher_init(m, g);
    if (rc != 0) grammar_put(g);
    return rc;
}

/* 1: the text is all that the grammar says; 0: it is not; or an error.  bytes: that come at once. */
static int accepts(const char *grammar, struct slice text, size_t bytes) {
    struct matcher m;
    int rc = open_matcher(&m, grammar);
    if (rc != 0) return rc;
    rc = 1;
    for (size_t i = 0; i < text.len && rc == 1; i += bytes) {
        struct slice part = slice_of(text.ptr + i, bytes < text.len - i ? bytes : text.len - i);
        rc = matcher_allows(&m, part);
        if (rc == 1 && (rc = matcher_accept(&m, part)) == 0) rc = 1;
    }
    if (rc == 1) rc = matcher_may_end(&m);
    matcher_deinit(&m);
    return rc;
}

static void check_text(const char *grammar, const char *text, bool may) {
    for (size_t bytes = 1; bytes < 9; bytes += 2) {
        int rc = accepts(grammar, slice_str(text), bytes);
        NOTE("%s: \"%s\", %zu bytes at a time: %d", grammar, text, bytes, rc);
        if (rc == PERILUNE_ERR_NOMEM) return;
        CHECK_INT(rc, may);
    }
}

TEST_NOFAULT(texts_that_follow_a_grammar_are_let_through_and_no_others) {
    static const struct { const char *grammar, *yes[6], *no[6]; } rows[] = {
        { "root ::= \"ab\" | \"c\"", { "ab", "c" }, { "", "a", "abc", "cc", "b" } },
        { "root ::= \"a\"* \"b\"+ \"c\"?", { "b", "aabbc", "bc" }, { "", "a", "ac", "bcc" } },
        { "root ::= \"a\"{2,3} (\"b\"{2} | \"c\"{1,})", { "aabb", "aaabb", "aac", "aaccc" }, { "abb", "aaaabb", "aab", "aa" } },
        { "root ::= (\"a\"?){0,3} [b-d]", { "b", "ad", "aaac" }, { "aaaab", "a", "e" } },
        { "root ::= [^\"\\\\\\x00-\\x1F]*", { "", "xyz", "\xe4\xbd\xa0\xe5\xa5\xbd", "\xf0\x9f\x98\x80" }, { "a\"", "\\", "\n" } },
        { "root ::= list\nlist ::= \"[\" (item (\",\" item)*)? \"]\"\nitem ::= list | [0-9]{1,3}",
          { "[]", "[1,[2,[]],345]", "[[[[[[]]]]]]" }, { "[", "[1,]", "[1234]", "[]]" } },
        { "root ::= ((((\"a\"*)*)*)*)* \"b\"", { "b", "aaab" }, { "a", "ba" } },
        { "root ::= [\\u4e00-\\u9fff]+ \"\\n\" | \"\\U0001F600\"", { "\xe4\xbd\xa0\n", "\xf0\x9f\x98\x80" },
          { "\xe4\xbd\xa0", "\xf0\x9f\x98\x81", "x\n" } },
        { "space ::= | \" \" | \"\\n\" [ \\t]{0,20}\nroot ::= space \"a\" space", { "a", " a\n  ", "\na " }, { "  a", "a\n\n" } },
        { "root ::= a\na ::= \"x\" a | \"\"", { "", "xxxxxxxx" }, { "y", "xy" } },
        { "root ::= \"a\"{0} \"b\"{0,0} \"c\"", { "c" }, { "ac", "bc" } },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (int k = 0; k < 6 && rows[i].yes[k]; k++) check_text(rows[i].grammar, rows[i].yes[k], true);
        for (int k = 0; k < 6 && rows[i].no[k]; k++) check_text(rows[i].grammar, rows[i].no[k], false);
    }
}

TEST(what_is_no_grammar_is_refused_without_a_word_of_it) {
    static const char *const bad[] = { "", "root", "root ::=", "root ::= (", "root ::= secret", "root ::= \"secret", "root ::= [secret",
        "root ::= \"secret\" )", "root ::= \"a\"{2,1}", "root ::= \"a\"{", "root ::= \"\\xZZ\"", "root ::= [z-a]", "a ::= \"secret\"",
        "root ::= \"a\"\nroot ::= \"secret\"", "root ::= \"\xff\"", "root ::= \"\\U00110000\"" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct grammar *g;
        int rc = grammar_new(&g, bad[i], why, sizeof(why));
        NOTE("%s: %d", bad[i], rc);
        if (i == 2 && rc == 0) { /* the empty answer */
            grammar_put(g);
            continue;
        }
        if (rc == PERILUNE_ERR_NOMEM) continue;
        CHECK_INT(rc, PERILUNE_ERR_INVAL);
        CHECK(strstr(why, "secret") == NULL && strstr(why, "is no grammar") != NULL);
    }
}

/* A character that is whole in the next token only. */
TEST_NOFAULT(half_a_character_may_come_when_one_can_be_made_of_it) {
    struct matcher m;
    CHECK_INT(open_matcher(&m, "root ::= [\\u4e00-\\u4e3f] | \"\\u00e9\""), 0);
    CHECK_INT(matcher_allows(&m, SLICE("\xe4")), 1);
    CHECK_INT(matcher_allows(&m, SLICE("\xe4\xb8")), 1);
    CHECK_INT(matcher_allows(&m, SLICE("\xe4\xb9")), 0); /* U+4E40 and up */
    CHECK_INT(matcher_allows(&m, SLICE("\xe5")), 0);
    CHECK_INT(matcher_allows(&m, SLICE("\xc3")), 1);
    CHECK_INT(matcher_allows(&m, SLICE("\xc3\xa8")), 0);
    CHECK_INT(matcher_allows(&m, SLICE("\xe0\x80")), 0);
    CHECK_INT(matcher_allows(&m, SLICE("\x80")), 0);
    CHECK_INT(matcher_allows(&m, SLICE("")), 0);
    CHECK_INT(matcher_accept(&m, SLICE("\xe4")), 0);
    CHECK(!matcher_may_end(&m));
    CHECK_INT(matcher_allows(&m, SLICE("x")), 0);
    CHECK_INT(matcher_accept(&m, SLICE("\xb8\x80")), 0);
    CHECK(matcher_may_end(&m));
    matcher_deinit(&m);
    CHECK_INT(open_matcher(&m, "root ::= [^a]"), 0);
    CHECK_INT(matcher_allows(&m, SLICE("\xed\xa0")), 0); /* half of a surrogate */
    CHECK_INT(matcher_allows(&m, SLICE("\xf4\x90")), 0); /* behind the last one */
    CHECK_INT(matcher_allows(&m, SLICE("\xe0\x9f")), 0); /* too long a form */
    matcher_deinit(&m);
}

/* -- A mask is what is allowed one by one ------------------------------------------------- */

static const char *const vocabulary[] = { "a", "ab", "abc", "b", "{", "{\"", "\"", "\":", " ", "\n", "1", "12", "}", "\xe4", "\xe4\xbd",
    "\xe4\xbd\xa0", "\xbd", "", "tru", "true", "fal", "se", "null", "nul", "<end>", "\"x\":", "x", "\\", "\\u", "00e9", "[", "]", ",", "[[" };
#define VOCABULARY (sizeof(vocabulary) / sizeof(*vocabulary))

static size_t word(void *ud, int32_t token, char *out, size_t room) {
    (void)ud;
    size_t n = strlen(vocabulary[token]);
    CHECK(n <= room);
    memcpy(out, vocabulary[token], n);
    return n;
}

static bool is_last(void *ud, int32_t token) {
    (void)ud;
    return strcmp(vocabulary[token], "<end>") == 0;
}

TEST_NOFAULT(a_mask_allows_exactly_what_is_allowed_one_by_one) {
    static const char *const grammars[] = {
        "root ::= [a-c]* \"x\"", "root ::= \"ab\" (\"c\" | \"\\n\")?", "root ::= [^\"]+",
        "root ::= \"{\" (\"\\\"x\\\":\" v)? \"}\"\nv ::= \"true\" | \"false\" | \"null\" | [0-9]+ | root",
        "root ::= \"\\\"\" c* \"\\\"\"\nc ::= [^\"\\\\] | \"\\\\u\" [0-9a-f]{4}", "root ::= \"[\" (root (\",\" root)*)? \"]\"" };
    static const char *const before[] = { "", "a", "ab", "{", "{\"x\":", "{\"x\":12", "\"", "\"\xe4", "[", "[[],[" };
    struct pieces p;
    float logits[VOCABULARY];
    if (pieces_init(&p, VOCABULARY, 6, word, is_last, NULL) != 0) return;
    for (size_t i = 0; i < sizeof(grammars) / sizeof(*grammars); i++)
        for (size_t k = 0; k < sizeof(before) / sizeof(*before); k++) {
            struct matcher m;
            if (open_matcher(&m, grammars[i]) != 0) continue;
            int rc = before[k][0] ? matcher_allows(&m, slice_str(before[k])) : 1;
            if (rc == 1 && before[k][0]) rc = matcher_accept(&m, slice_str(before[k])) == 0;
            for (size_t t = 0; t < VOCABULARY; t++) logits[t] = 1;
            if (rc == 1 && matcher_mask(&m, &p, logits) == 0)
                for (size_t t = 0; t < VOCABULARY; t++) {
                    int may = is_last(NULL, (int32_t)t) ? matcher_may_end(&m) : matcher_allows(&m, slice_str(vocabulary[t]));
                    NOTE("%s behind \"%s\": \"%s\" alone: %d", grammars[i], before[k], vocabulary[t], may);
                    if (may >= 0) CHECK_INT(logits[t] == 1, may);
                }
            matcher_deinit(&m);
        }
    pieces_deinit(&p);
}

TEST(without_memory_an_answer_stays_where_it_was) {
    struct pieces p = { .at = NULL };
    struct matcher m = { .grammar = NULL };
    float logits[VOCABULARY];
    for (size_t t = 0; t < VOCABULARY; t++) logits[t] = 1;
    if (open_matcher(&m, "root ::= \"{\" (\"\\\"x\\\":\" v)? \"}\"\nv ::= [0-9]{1,40} | root") == 0) {
        uint32_t set = m.set;
        int rc = matcher_accept(&m, SLICE("{\"x\":12"));
        CHECK(rc == 0 || (rc == PERILUNE_ERR_NOMEM && m.set == set));
        if (rc == 0 && pieces_init(&p, VOCABULARY, 6, word, is_last, NULL) == 0 && matcher_mask(&m, &p, logits) == 0) {
            CHECK(logits[10] == 1 && logits[11] == 1 && logits[12] == 1); /* 1 12 } */
            CHECK(logits[0] == -INFINITY && logits[24] == -INFINITY && logits[17] == -INFINITY);
        }
    }
    pieces_deinit(&p);
    matcher_deinit(&m);
}

/* -- Grammars that are dear ----------------------------------------------------------------------- */

static size_t letter(void *ud, int32_t token, char *out, size_t room) {
    (void)ud;
    (void)room;
    out[0] = (char)token;
    return 1;
}

static bool never(void *ud, int32_t token) {
    (void)ud;
    (void)token;
    return false;
}

/* Says `text` under the schema with a mask for every letter.  How many letters were said; an error is in *rc. */
static unsigned say_under(const char *schema, const char *text, int *rc) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error json;
    struct gbnf_error err;
    struct buf out;
    struct matcher m;
    struct pieces p;
    float logits[128];
    unsigned said = 0;
    buf_init(&out, 0);
    CHECK_INT(json_parse(&doc, slice_str(schema), &json), 0);
    *rc = gbnf_from_schema(&doc, 0, &out, &err);
    if (*rc != 0) snprintf(why, sizeof(why), "%s: %s", err.keyword, err.message);
    buf_putc(&out, '\0');
    json_deinit(&doc);
    if (*rc == 0 && (*rc = open_matcher(&m, out.data)) == 0) {
        CHECK_INT(pieces_init(&p, 128, 1, letter, never, NULL), 0);
        for (const char *c = text; *c != '\0' && *rc == 0; c++) {
            for (unsigned i = 0; i < 128; i++) logits[i] = 0;
            *rc = matcher_mask(&m, &p, logits);
            if (*rc == 0 && logits[(unsigned char)*c] != 0) break;
            if (*rc == 0) *rc = matcher_accept(&m, slice_of(c, 1));
            said += *rc == 0;
        }
        pieces_deinit(&p);
        matcher_deinit(&m);
    }
    buf_deinit(&out);
    return said;
}

static void add_alternatives(struct buf *to, unsigned n, const char *before, const char *behind) {
    for (unsigned i = 0; i < n; i++) buf_printf(to, "%s%s%u%s", i ? "|" : "", before, i, behind);
}

/* Each of these stopped a model for seconds to minutes when a library followed it way by way. */
TEST_NOFAULT(patterns_with_many_ways_are_followed_or_refused_in_the_time_of_a_token) {
    static const struct { const char *pattern, *said; } rows[] = {
        { "^(.?){300}b$", "\"abcdefghijklmnopqrstuvwxyzb\"" },
        { "^((.?){60}){60}b$", "\"abcdefghijklmnopqrstuvwxyzb\"" },
        { "^((((a*)*)*)*)*b$", "\"aaaaaaaaaaaaaaaaaaab\"" },
        { "^(a|a|a|a){200}$", NULL },
        { "^(([a-z]*)*,?)*$", "\"abc,def,,ghi\"" },
        { "^((a{0,30}){0,30}){0,30}b$", "\"aaaaaaaaaaaab\"" },
    };
    struct buf schema;
    int rc;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        buf_init(&schema, 0);
        buf_printf(&schema, "{\"type\":\"string\",\"pattern\":\"%s\"}%c", rows[i].pattern, 0);
        unsigned said = say_under(schema.data, rows[i].said ? rows[i].said : "\"aaaa", &rc);
        NOTE("%s: %d (%s)", rows[i].pattern, rc, why);
        CHECK_INT(rc, 0);
        CHECK_UINT(said, strlen(rows[i].said ? rows[i].said : "\"aaaa"));
        buf_deinit(&schema);
    }
    buf_init(&schema, 0);
    buf_puts(&schema, "{\"type\":\"string\",\"pattern\":\"^(");
    for (unsigned i = 0; i < 200; i++) buf_puts(&schema, "(a?)");
    buf_printf(&schema, "b)$\"}%c", 0);
    CHECK_UINT(say_under(schema.data, "\"aaaaaab\"", &rc), 9);
    CHECK_INT(rc, 0);
    buf_clear(&schema);
    buf_puts(&schema, "{\"type\":\"string\",\"pattern\":\"^(");
    add_alternatives(&schema, 500, "[a-z ]*", "");
    buf_printf(&schema, ")$\"}%c", 0);
    CHECK_UINT(say_under(schema.data, "\"some words 499\"", &rc), 16);
    CHECK_INT(rc, 0);
    buf_deinit(&schema);
}

TEST_NOFAULT(a_pattern_whose_counts_multiply_is_refused_by_its_keyword) {
    int rc;
    say_under("{\"type\":\"string\",\"pattern\":\"^((((a{1,100}){1,100}){1,100}){1,100})$\"}", "\"a", &rc);
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK(strstr(why, "pattern: ") == why);
    NOTE("%s", why);
    CHECK(strstr(why, "65536") != NULL);
}

/* Each [ doubles the ways: alternatives that say the same of what is in them. */
TEST_NOFAULT(ways_that_double_with_each_letter_end_the_answer_and_nothing_else) {
    int rc;
    char text[65];
    memset(text, '[', 64);
    text[64] = '\0';
    unsigned said = say_under("{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}},"
                              "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"title\":\"b\"}]}", text, &rc);
    NOTE("%u, %d", said, rc);
    CHECK(rc == PERILUNE_ERR_LIMITED || (rc == 0 && said == 64));
    CHECK(said >= 8);
    say_under("{\"anyOf\":[{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"#\"}},"
              "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}]}", text, &rc);
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
}

TEST_NOFAULT(large_enums_that_begin_alike_are_one_way_until_they_part) {
    struct buf schema;
    int rc;
    buf_init(&schema, 0);
    buf_puts(&schema, "{\"enum\":[");
    for (unsigned i = 0; i < 20000; i++) buf_printf(&schema, "%s\"the quick brown fox %u\"", i ? "," : "", i);
    buf_printf(&schema, "]}%c", 0);
    CHECK_UINT(say_under(schema.data, "\"the quick brown fox 19999\"", &rc), 27);
    CHECK_INT(rc, 0);
    CHECK_UINT(say_under(schema.data, "\"the quick brown fox 20000\"", &rc), 25);
    CHECK_INT(rc, 0);
    buf_deinit(&schema);
}

/* -- Long answers, and who shares ---------------------------------------------------------------------- */

TEST_NOFAULT(a_long_answer_begins_new_states_and_goes_on) {
    struct matcher m, other;
    char text[8];
    CHECK_INT(open_matcher(&m, "root ::= (item \",\")*\nitem ::= ([0-9]{1,9} | (item2 \";\")){1,3000}\nitem2 ::= \"(\" item? \")\""), 0);
    grammar_ref(m.grammar);
    CHECK_INT(matcher_init(&other, m.grammar), 0);
    for (unsigned i = 0; i < 60000; i++) {
        struct slice part = slice_of(text, (size_t)snprintf(text, sizeof(text), i % 7 == 6 ? "," : i % 3 == 0 ? "();" : "%u", i % 1000));
        CHECK_INT(matcher_allows(&m, part), 1);
        CHECK_INT(matcher_accept(&m, part), 0);
        if (i % 1000 == 0) CHECK_INT(matcher_accept(&other, SLICE("12,")), 0);
    }
    CHECK_INT(matcher_allows(&m, SLICE("x")), 0);
    matcher_deinit(&other);
    matcher_deinit(&m);
}

TEST(grammars_are_read_once_and_given_back) {
    struct grammars g;
    memset(&g, 0, sizeof(g));
    struct matcher m[3], x;
    memset(m, 0, sizeof(m));
    for (int i = 0; i < 3; i++) grammars_get(&g, "root ::= \"a\"", &m[i], why, sizeof(why));
    for (int i = 0; i < 12; i++) {
        char text[40];
        snprintf(text, sizeof(text), "root ::= \"%d\"", i);
        if (grammars_get(&g, text, &x, why, sizeof(why)) == 0) matcher_deinit(&x);
    }
    CHECK_INT(grammars_get(&g, "root ::= (", &x, why, sizeof(why)) != 0, 1);
    for (int i = 0; i < 3; i++) { /* it has left the list, and is still there */
        if (m[i].grammar != NULL && matcher_allows(&m[i], SLICE("a")) >= 0) CHECK(matcher_allows(&m[i], SLICE("b")) <= 0);
        matcher_deinit(&m[i]);
    }
    grammars_clear(&g);
}

