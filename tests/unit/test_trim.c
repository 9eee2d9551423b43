/* test_trim.c -- text/trim.h: phrases that go, and what never does. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "include/perilune.h"
#include "text/trim.h"
#include "unit.h"

struct rule {
    enum trim_place place;
    const char     *pattern;
};

static const struct rule some[] = {
    { TRIM_START, "basically" },
    { TRIM_LEAD, "(could|would) you [please|kindly]" },
    { TRIM_LEAD, "please!(find|:)" },
    { TRIM_LEAD, "[so] 请(你|您)[帮我]!(们)" },
    { TRIM_LEAD, "i'd like you to" },
    { TRIM_START, "[oh] dear [me] , [so ,]" },
    { TRIM_TAIL, "!(is|say|or) please" },
    { TRIM_TAIL, ", bye" },
    { TRIM_MENTION, "password" },
    { TRIM_TAIL, "~(，|,)(谢谢|拜托了)" },
    { TRIM_WHOLE, "(hi|hello) [there]" },
    { TRIM_WHOLE, "thank you [so much] [for [all] your help]" },
    { TRIM_WHOLE, "[非常]感谢" },
    { TRIM_WHOLE, "not at all" },
    { TRIM_CONTENT, "(the following text|my letter)" },
    { TRIM_TASK, "(translate|lyrics)" },
    { TRIM_CONTENT, "原文" },
    { TRIM_BELOW, "this email" },
    { TRIM_GREETING, "(hi|hello)" },
    { TRIM_ORDER, "(the same|use|it is|is that|port|and the)" },
};

/* NULL for want of memory. */
static struct trim_rules *compiled(const struct rule *list, size_t n) {
    struct trim_rules *r = trim_rules_new();
    char err[200];
    int rc = r != NULL ? 0 : PERILUNE_ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = trim_rules_add(r, list[i].place, slice_str(list[i].pattern), err, sizeof(err));
    if (rc == 0) rc = trim_rules_compile(r);
    if (rc == 0) return r;
    if (!FAULTED(rc)) FAIL("%s", err);
    trim_rules_free(r);
    return NULL;
}

static void trims(const char *text, const char *want) {
    struct trim_rules *r = compiled(some, sizeof(some) / sizeof(*some));
    struct buf out;
    buf_init(&out, 0);
    if (r != NULL) {
        int rc = trim_text(r, slice_str(text), NULL, &out, NULL);
        if (!FAULTED(rc)) {
            CHECK_INT(rc, 0);
            CHECK_SLICE(buf_get(&out), slice_str(want));
        }
    }
    buf_deinit(&out);
    trim_rules_free(r);
}

TEST_FAULT(takes_phrases_from_the_edges) {
    trims("Hello there! Could you please count? Thank you so much!", "count?");
    trims("Count them, could you kindly name them, please.", "Count them, name them.");
    trims("Basically, it works. It is basically done.", "it works. It is basically done.");
    trims("请您帮我写一首诗，谢谢！", "写一首诗！");
    trims("我有一张图，请你看看。非常感谢！", "我有一张图，看看。");
}

TEST(takes_whole_clauses) {
    trims("Count them, thank you, and name them.", "Count them, and name them.");
    trims("Count them, thank you, hi there.", "Count them.");
    trims("Thank you for all your help with the boat.", "Thank you for all your help with the boat.");
    trims("Say hello. Hello, hi there, thank you.", "Say hello.");
}

TEST(ends_where_words_end) {
    trims("Pleased to meet you. Could your dog swim?", "Pleased to meet you. Could your dog swim?");
    trims("请你们回来。", "请你们回来。");
    trims("Please find the file. Please: go.", "Please find the file. Please: go.");
    trims("I\xE2\x80\x99" "d  like\nyou to go.", "go.");
    trims("Sit (please).", "Sit (please).");
    trims("Oh dear, so, go. Dear me, go. Dear, so go. Dear go.", "go. go. so go. Dear go.");
}

TEST(never_takes_what_is_protected) {
    trims("Say \"could you please go\" to them.", "Say \"could you please go\" to them.");
    trims("He wrote “请你帮我写”。", "He wrote “请你帮我写”。");
    trims("Done. Not at all. Go.", "Done. Not at all. Go.");
    trims("Run it:\n\n```\nplease\nplease\n```\n", "Run it:\n\n```\nplease\nplease\n```\n");
    trims("1. Thank you\n2. Go\n", "1. Thank you\n2. Go\n");
    trims("- Thank you\n- Go\n", "- Go\n");
}

TEST(leaves_what_is_to_be_worked_on) {
    trims("Please translate: could you please go, please.", "translate: could you please go, please.");
    trims("Please translate it.\nThank you!\nThe same line is here, is it not?\nThe same line is here, is it not?",
          "translate it.\nThank you!\nThe same line is here, is it not?\nThe same line is here, is it not?");
    trims("Thank you!\n\nCould you translate the above?", "Thank you!\n\ntranslate the above?");
    trims("Please find the translator. Thank you!", "Please find the translator.");
    trims("Hello! Please read my letter: could you please go, please.", "read my letter: could you please go, please.");
    trims("Please read the following text:\n\nHello there! Could you go?\n\n# Then\nPlease stop.",
          "read the following text:\n\nHello there! Could you go?\n\n# Then\nstop.");
    trims("原文：\n请你帮我写。", "原文：\n请你帮我写。");
}

TEST(leaves_no_empty_places) {
    trims("# A\n- hello\n- thank you\n\n# B\nGo.", "# B\nGo.");
    trims("# A\n## B\nhello\n## C\nGo.", "# A\n## C\nGo.");
    trims("One.\n\nThank you!\n\nTwo.", "One.\n\nTwo.");
    trims("One.\nThank you!\n\nTwo.", "One.\n\nTwo.");
    trims("One. Thank you!\n\nTwo.", "One.\n\nTwo.");
    trims("One.\n\nThank you!\n", "One.\n");
    trims("Hello!", "Hello!");
    trims("", "");
    trims(" \n ", " \n ");
}

TEST(takes_repeated_lines) {
    trims("The same line is here, not there.\nOther.\nThe same line is here, not there.\nLast.",
          "The same line is here, not there.\nOther.\nLast.");
    trims("- the same item is here too\n- other\n- the same item is here too", "- the same item is here too\n- other");
    trims("a, b\na, b\na, b", "a, b\na, b\na, b"); /* short ones may mean something */
    trims("```\nthe same line is in a program\nthe same line is in a program\n```",
          "```\nthe same line is in a program\nthe same line is in a program\n```");
    trims("| a long row of a table | here |\n|---|---|\n| a long row, twice | 1 |\n| a long row, twice | 1 |\n",
          "| a long row of a table | here |\n|---|---|\n| a long row, twice | 1 |\n| a long row, twice | 1 |\n");
}

TEST(a_repeated_line_about_something_else_stays) {
    static const char *const texts[] = {
        "A:\n- port 8080 is always open\nB:\n- port 8080 is always open",
        "# A\nUse port 8080 at all times.\nNot now.\n# B\nUse port 8080 at all times.",
        "A\nports\nUse port 8080 at all times.\nB\nports\nUse port 8080 at all times.",
        "Is it big?\nIt is not known to anybody.\nIs it old?\nIt is not known to anybody.",
        "Input: a\nLabel: it is not about sports.\nInput: b\nLabel: it is not about sports.",
        "ERROR the database is not there\nERROR the database is not there",
        "- A\n  - port 8080 is always open\n- B\n  - port 8080 is always open",
        "Is that the same question as before?\nYes.\nIs that the same question as before?\nNo.",
        "And the river runs on and on,\nAnd the river runs on and on,",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) trims(texts[i], texts[i]);
}

TEST(leaves_what_is_spoken_about) {
    static const char *const same[] = {
        "Give thanks with a please in it", "The password is please", "Say please", "Define please", "A button Please",
        "Choose one: hello, thank you so much.", "Sort by length: dog, thank you, hello", "They are happy, hello, sad.",
        "Which password is it, thank you?", "密码：非常感谢", "选一个：早，非常感谢", "Answer yes or please.",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) trims(same[i], same[i]);
    trims("Could you go and find the password, please?", "go and find the password, please?");
    trims("I'd like you to find the password, please.", "find the password, please.");
    trims("Count the boats: all of the red ones, please.", "Count the boats: all of the red ones.");
    trims("Count the boats in the harbour, bye", "Count the boats in the harbour");
    trims("Count the boats in the harbour bye", "Count the boats in the harbour bye");
}

static int add_one(enum trim_place place, struct slice pattern, char *err) {
    struct trim_rules *r = trim_rules_new();
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    int rc = trim_rules_add(r, place, pattern, err, 200);
    trim_rules_free(r);
    return rc;
}

TEST(says_what_is_wrong_with_a_pattern) {
    static const struct { const char *pattern, *says; } bad[] = {
        { "(a", "has a bracket that is not closed" },
        { "a]", "closes a bracket that is not open" },
        { "(a]", "closes a bracket that is not open" },
        { "a|b", "has a | outside of brackets" },
        { "", "stands for nothing" },
        { "[ ]", "stands for nothing" },
        { "a !b", "has a ! without (a|b) behind it at its end" },
        { "a !(b) c", "has a ! without (a|b) behind it at its end" },
        { "a !(b|)", "has an empty or too long alternative behind !" },
        { "((((((((((((((((((a))))))))))))))))))", "has more than 16 groups in each other" },
    };
    char err[200];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int rc = add_one(TRIM_LEAD, slice_str(bad[i].pattern), err);
        if (FAULTED(rc)) continue;
        CHECK(rc == PERILUNE_ERR_INVAL);
        CHECK_STR(err, bad[i].says);
    }
    static const char text[TRIM_RULE_MAX + 1] = "a";
    int rc = add_one(TRIM_LEAD, slice_of(text, sizeof(text)), err);
    if (!FAULTED(rc)) CHECK_STR(err, "is longer than 4096 bytes");
}

TEST_NOFAULT(takes_many_alternatives) {
    char pattern[4000] = "";
    size_t n = 0;
    for (int i = 0; i < 300; i++) n += (size_t)snprintf(pattern + n, sizeof(pattern) - n, "[x%d]", i % 10);
    const struct rule r[] = { { TRIM_LEAD, pattern }, { TRIM_LEAD, "please" } };
    struct trim_rules *rules = compiled(r, 2); /* 2^300 phrases */
    CHECK(rules != NULL);
    const char *text = "x1x2x3x4 please go";
    size_t lead;
    CHECK_UINT(trim_rules_begin(rules, 1u << TRIM_LEAD, text, text + 18, &lead), 8);
    CHECK_UINT(lead, 8);
    trim_rules_free(rules);
}

/* Phrases that are shorter than what they are told by, or written in several ways. */
TEST_NOFAULT(finds_what_is_said_however_it_is_written) {
    static const struct rule said[] = {
        { TRIM_TASK, "(x|ab|a b|it's|o'er)" }, { TRIM_BELOW, "(it's me|念|¿q|…so)" }, { TRIM_MENTION, "念诗" },
    };
    static const struct { const char *text; unsigned places; } texts[] = {
        { "x", 1u << TRIM_TASK }, { "an X!", 1u << TRIM_TASK }, { "ax xa x1 x-y", 0 }, { "ab", 1u << TRIM_TASK },
        { "cab abc", 0 }, { "a \r\n\t B.", 1u << TRIM_TASK }, { "a", 0 }, { "it\xE2\x80\x99s", 1u << TRIM_TASK },
        { "O\xE2\x80\x99""ER", 1u << TRIM_TASK }, { "So it's  me", 1u << TRIM_TASK | 1u << TRIM_BELOW },
        { "我念。", 1u << TRIM_BELOW }, { "我念诗", 1u << TRIM_BELOW | 1u << TRIM_MENTION },
        { "a\xC2\xBFq", 1u << TRIM_BELOW }, { "w…so", 1u << TRIM_BELOW }, { "", 0 },
    };
    struct trim_rules *r = compiled(said, sizeof(said) / sizeof(*said));
    const unsigned all = 1u << TRIM_TASK | 1u << TRIM_BELOW | 1u << TRIM_MENTION;
    for (size_t i = 0; r != NULL && i < sizeof(texts) / sizeof(*texts); i++) {
        const char *end = texts[i].text + strlen(texts[i].text);
        CHECK_UINT(trim_rules_has(r, all, texts[i].text, end), texts[i].places);
        CHECK_UINT(trim_rules_has(r, 1u << TRIM_BELOW, texts[i].text, end), texts[i].places & 1u << TRIM_BELOW);
    }
    trim_rules_free(r);
}

TEST(is_clear_about_bad_input) {
    struct trim_rules *r = compiled(some, sizeof(some) / sizeof(*some));
    struct buf out;
    buf_init(&out, 0);
    buf_puts(&out, "x");
    if (r != NULL) {
        int rc = trim_text(r, SLICE("bad \xff byte"), NULL, &out, NULL);
        if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_INVAL);
        rc = trim_text(r, slice_of("", (size_t)1 << 40), NULL, &out, NULL);
        CHECK_INT(rc, PERILUNE_ERR_LIMITED);
        CHECK_SLICE(buf_get(&out), SLICE("x"));
    }
    buf_deinit(&out);
    trim_rules_free(r);
}

/* Pieces that meet in every order; cuts and what is left are the text. */
TEST_NOFAULT(whatever_comes_it_keeps_its_word) {
    static const char *const pieces[] = {
        "hello", "Hello there!", "please", " ", ", ", "，", "。", ". ", "\n", "\n\n", "could you please ", "请你帮我",
        "thank you", "谢谢", "- ", "# ", "## A\n", "1. ", "not", "7 km", "\"please\"", "`please`", "```\n", "~~~\n",
        "translate", ":", "：", "basically ", "x", "\xF0\x9F\x98\x80", "非常感谢", "The same long line of text again\n", "|", "> ",
        "a@b.c ", "http://a.b/c ", "{\"a\":\"please\"}", "'", "…", "\t", "\r\n",
    };
    struct trim_rules *r = compiled(some, sizeof(some) / sizeof(*some));
    struct rng rng;
    rng_seed(&rng, 11);
    struct buf text, once, twice, cuts;
    buf_init(&text, 0);
    buf_init(&once, 0);
    buf_init(&twice, 0);
    buf_init(&cuts, 0);
    for (int round = 0; round < 20000; round++) {
        buf_clear(&text);
        buf_clear(&once);
        buf_clear(&twice);
        buf_clear(&cuts);
        for (int n = (int)(rng_next(&rng) % 40); n >= 0; n--)
            buf_puts(&text, pieces[rng_next(&rng) % (sizeof(pieces) / sizeof(*pieces))]);
        CHECK_INT(trim_text(r, buf_get(&text), NULL, &once, &cuts), 0);
        CHECK_INT(trim_text(r, buf_get(&once), NULL, &twice, NULL), 0);
        CHECK_SLICE(buf_get(&twice), buf_get(&once));

        size_t at = 0, left = 0, n = buf_len(&cuts) / sizeof(struct trim_cut);
        const struct trim_cut *c = (const struct trim_cut *)(const void *)buf_get(&cuts).ptr;
        for (size_t i = 0; i <= n; i++) {
            size_t stop = i < n ? c[i].start : buf_len(&text);
            CHECK(stop >= at && left + stop - at <= buf_len(&once));
            CHECK(memcmp(buf_get(&text).ptr + at, buf_get(&once).ptr + left, stop - at) == 0);
            left += stop - at;
            at = i < n ? c[i].end : stop;
        }
        CHECK_UINT(left, buf_len(&once));
    }
    buf_deinit(&text);
    buf_deinit(&once);
    buf_deinit(&twice);
    buf_deinit(&cuts);
    trim_rules_free(r);
}
