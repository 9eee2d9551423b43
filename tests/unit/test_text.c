/* test_text.c -- spans, sentences, ranks, extraction. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "include/perilune.h"
#include "text/extract.h"
#include "text/rank.h"
#include "text/sentences.h"
#include "text/spans.h"

#include "unit.h"

/* "type=text|type=text" of the spans; rc when it failed. */
static int show_spans(const char *text, struct buf *out) {
    struct buf spans;
    buf_init(&spans, 0);
    int rc = text_spans(slice_str(text), TEXT_ALL_TYPES, &spans);
    size_t n;
    const struct text_span *s = text_spans_of(&spans, &n);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%s=%.*s", i ? "|" : "", text_span_names[s[i].type], (int)(s[i].end - s[i].start),
                   text + s[i].start);
    buf_deinit(&spans);
    return rc != 0 ? rc : out->error;
}

static void spans(const char *text, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    int rc = show_spans(text, &out);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    NOTE("text: %s", text);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

/* The units, with bars between them. */
static int show_units(const char *text, struct buf *out) {
    struct buf spans, units;
    buf_init(&spans, 0);
    buf_init(&units, 0);
    int rc = text_spans(slice_str(text), TEXT_ALL_TYPES, &spans);
    if (rc == 0) rc = text_sentences(slice_str(text), &spans, &units);
    size_t n;
    const struct text_unit *u = text_units_of(&units, &n);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%.*s", i ? "|" : "", (int)(u[i].end - u[i].start), text + u[i].start);
    buf_deinit(&spans);
    buf_deinit(&units);
    return rc != 0 ? rc : out->error;
}

static void units(const char *text, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    int rc = show_units(text, &out);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

/* -- Spans ------------------------------------------------------------------------------- */

TEST_FAULT(numbers_take_sign_currency_and_unit_along) {
    spans("pay $3.5 million by 2024-05-01", "number=$3.5 million|number=2024-05-01");
    spans("at -12.5% or ~3 days, 1,000 GB", "number=-12.5%|number=~3 days|number=1,000 GB");
    spans("2024年5月1日共三十五万元", "number=2024年5月1日|number=三十五万元");
    spans("涨了百分之三十，约￥300", "number=百分之三十|number=￥300");
    spans("on the 3rd at 12:30pm, 1e-9, 0x1F, 2x", "number=3rd|number=12:30pm|number=1e-9|number=0x1F|number=2x");
    spans("用时747.57ms，共两个平台，76平方米，8小时", "number=747.57ms|number=两个|number=76平方米|number=8小时");
    spans("192.168.0.1:80", "number=192.168.0.1:80");
}

TEST_FAULT(ids_paths_and_addresses) {
    spans("ABC-123 v1.2.3 3f2a9c1 a_b gpt-4o", "id=ABC-123|id=v1.2.3|id=3f2a9c1|id=a_b|id=gpt-4o");
    spans("550e8400-e29b-41d4-a716-446655440000", "id=550e8400-e29b-41d4-a716-446655440000");
    spans("see https://a.b/c?d=e(f), or www.x.org/y.", "url=https://a.b/c?d=e(f)|url=www.x.org/y");
    spans("文档在http://a.cn/页面", "url=http://a.cn/");
    spans("mail a.b+c@d.org now", "email=a.b+c@d.org");
    spans("/usr/lib ./a ~/b C:\\x\\y src/main.c foo.json and/or", "path=/usr/lib|path=./a|path=~/b|path=C:\\x\\y|"
                                                                  "path=src/main.c|path=foo.json");
}

TEST_FAULT(negations_quantifiers_modals) {
    spans("I don\xe2\x80\x99t, can't, never", "negation=don\xe2\x80\x99t|negation=can't|negation=never");
    spans("not only must all go unless", "negation=not|quantifier=only|modal=must|quantifier=all|quantifier=unless");
    spans("不得外传，除非必须", "negation=不得|quantifier=除非|modal=必须");
    spans("非常感谢，特别是未来，是否分别", "");
    spans("快速响应，应用层应当返回", "modal=应当");
    spans("非法、别去、未经、没有", "negation=非|negation=别|negation=未|negation=没有");
}

/* Each word of `words`, as it is and in capitals, is one span of the type. */
static void all_are(const char *words, unsigned type) {
    char word[16], big[16];
    for (const char *p = words; *p != '\0'; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        for (size_t i = 0; i < n; i++) {
            word[i] = p[i];
            big[i] = (char)(p[i] - ('a' - 'A'));
        }
        word[n] = big[n] = '\0';
        char expected[40];
        snprintf(expected, sizeof(expected), "%s=%s", text_span_names[type], word);
        spans(word, expected);
        snprintf(expected, sizeof(expected), "%s=%s", text_span_names[type], big);
        spans(big, expected);
        snprintf(expected, sizeof(expected), "%sx", word); /* another word */
        spans(expected, "");
        p += n;
    }
}

/* They are looked up in three steps, by first letter, length and second letter. */
TEST_NOFAULT(every_word_that_must_not_be_lost_is_found) {
    all_are("absent barely deny denied fail fails failed false hardly lack lacks lacking no not nor none non never "
            "nothing nobody nowhere neither rarely refuse seldom scarcely without", TEXT_NEGATION);
    all_are("all any always almost approximately both each every either except excluding everyone everything exactly "
            "entire few fewer first half if less least last many more most maximum minimum merely much nearly only one "
            "once otherwise some several solely two three ten third than twice unless until whole whether",
            TEXT_QUANTIFIER);
    all_are("allowed cannot disallow disallowed forbid forbidden must may might mandatory optional prohibit "
            "prohibited permitted require requires required should shall", TEXT_MODAL);
}

TEST_NOFAULT(every_character_that_must_not_be_lost_is_found) {
    static const char *const words[] = {
        "negation", "不没沒无無勿莫毋未非别別否", "quantifier", "全最只仅僅某每各都均", "modal", "必禁应须", NULL,
    };
    for (size_t i = 0; words[i] != NULL; i += 2)
        for (const char *p = words[i + 1]; *p != '\0'; p += 3) {
            char text[16], expected[32];
            snprintf(text, sizeof(text), "山%.3s水", p);
            snprintf(expected, sizeof(expected), "%s=%.3s", words[i], p);
            spans(text, expected);
        }
    spans("除非所有任何至少部分大约如果一切唯一惟一绝大多数少数多数", "quantifier=除非|quantifier=所有|quantifier=任何|"
          "quantifier=至少|quantifier=部分|quantifier=大约|quantifier=如果|quantifier=一切|quantifier=唯一|"
          "quantifier=惟一|quantifier=绝大多数|quantifier=少数|quantifier=多数");
    spans("务必严禁允许拒绝避免", "modal=务必|modal=严禁|modal=允许|modal=拒绝|modal=避免");
    for (const char *p = "零一二三四五六七八九十百千万亿两"; *p != '\0'; p += 3) {
        char text[16], expected[32];
        snprintf(text, sizeof(text), "山%.3s年水", p);
        snprintf(expected, sizeof(expected), "number=%.3s年", p);
        spans(text, expected);
    }
}

TEST_FAULT(quotes_have_others_inside) {
    spans("he said \"no 5\" and 'x y' don't",
          "quote=\"no 5\"|negation=no|number=5|quote='x y'|negation=don't");
    spans("“好”「不」《书》«a»", "quote=“好”|quote=「不」|negation=不|quote=《书》|quote=«a»");
    spans("an open \" quote\nends \" not", "negation=not");
}

TEST_FAULT(code_json_tables_math_tags) {
    spans("a\n```c\nx = 1;\n```\nb", "fence=```c\nx = 1;\n```");
    spans("~~~\n```\n~~~~\nx", "fence=~~~\n```\n~~~~");
    spans("``a ` b`` and `c", "inline=``a ` b``");
    spans("so:\n\n    x = 1\n\n    y\nz", "indented=    x = 1\n\n    y");
    spans("- item\n\n    not 5", "negation=not|number=5");
    spans("got {\"a\": [1, \"}\"]} ok", "json={\"a\": [1, \"}\"]}");
    spans("[1, {\"x\": 2}, oops [3]", "number=1|json={\"x\": 2}|json=[3]");
    spans("[link](x) [01] {a: 1}", "number=01|number=1");
    spans("|a|b|\n|-|-|\n|1|2|\nend", "table=|a|b|\n|-|-|\n|1|2||number=1|number=2");
    spans("it is $x_1$ or $$a\n= b$$, $5 and $6", "math=$x_1$|math=$$a\n= b$$|number=$5|number=$6");
    spans("<b class='x'>t</b> 1 < 2", "tag=<b class='x'>|tag=</b>|number=1|number=2");
    spans("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\nend", "diff=--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b");
}

TEST_FAULT(ill_formed_text_is_refused_with_its_place) {
    struct buf spans;
    buf_init(&spans, 0);
    CHECK_INT(text_spans(SLICE("ab\xff"), TEXT_ALL_TYPES, &spans), PERILUNE_ERR_INVAL);
    CHECK_UINT(text_error_offset(SLICE("ab\xff")), 2);
    CHECK_UINT(spans.len, 0);
    buf_deinit(&spans);
}

/* -- Sentences ---------------------------------------------------------------------------- */

TEST_FAULT(latin_sentences) {
    units("Dr. No paid 3.5 USD. He left! Why? \"So.\" He went.", "Dr. No paid 3.5 USD. |He left! |Why? |\"So.\" |He went.");
    units("In the U.S. troops of J. Smith, e.g. two... and so on. Ok.",
          "In the U.S. troops of J. Smith, e.g. two... and so on. |Ok.");
    units("Wait... What?! No. 5 is no. That", "Wait... |What?! |No. 5 is no. |That");
    units("See a.b.com/x.html. (Really.) \"Yes!\" he said. [1] End.",
          "See a.b.com/x.html. |(Really.) |\"Yes!\" he said. |[1] End.");
}

TEST_FAULT(chinese_sentences) {
    units("他说：“好。走吧！”然后离开了。光速为3.5。", "他说：“好。走吧！”|然后离开了。|光速为3.5。");
    units("真的？！是的……再见；好", "真的？！|是的……|再见；|好");
    units("第一行\n第二行\n\n第三行", "第一行\n|第二行\n\n|第三行");
}

TEST_FAULT(lines_are_units) {
    units("\n# A\nB\n===\n- a\n  more\n- b\n", "\n# A\n|B\n===\n|- a\n  more\n|- b\n");
    units("x:\n1. a. b.\n2. c\n\n```\na. b.\n\n```\ny", "x:\n|1. a. b.\n|2. c\n\n|```\na. b.\n\n```\n|y");
    units("|a|\n|-|\n|1|\n|2|\n", "|a|\n|-|\n||1|\n||2|\n");
    units("This line was wrapped where it was full, and\ngoes on. Yes.",
          "This line was wrapped where it was full, and\ngoes on. |Yes.");
    units("2024-01-01 INFO a\n2024-01-01 WARN b", "2024-01-01 INFO a\n|2024-01-01 WARN b");
    units("order: 1; not paid\nprice: 2\nhost=db, port=3\nnote: see\nbelow",
          "order: 1; not paid\n|price: 2\n|host=db, port=3\n|note: see\nbelow");
    units("", "");
    units(" \n\n ", " \n\n ");
}

/* What is longer than a unit may be is cut where a line ends. */
TEST(long_units_end_with_a_line) {
    struct buf text, spans, list;
    buf_init(&text, 0);
    buf_init(&spans, 0);
    buf_init(&list, 0);
    for (int i = 0; i < 100; i++) buf_puts(&text, "line, of some, words without\n");
    CHECK_INT(text_spans(buf_get(&text), TEXT_ALL_TYPES, &spans), 0);
    CHECK_INT(text_sentences(buf_get(&text), &spans, &list), 0);
    size_t n;
    const struct text_unit *u = text_units_of(&list, &n);
    CHECK(n > 2 && n < 6);
    for (size_t i = 0; i < n; i++) CHECK_INT(text.data[u[i].end - 1], '\n');
    buf_deinit(&text);
    buf_deinit(&spans);
    buf_deinit(&list);
}

/* -- Extraction ------------------------------------------------------------------------------ */

static void extracted(const char *text, const char *question, float ratio, const char *expected) {
    struct text_extract_options o = text_extract_defaults;
    struct text_extract_result r;
    struct buf out;
    o.ratio = o.floor = ratio;
    o.keep_first = o.keep_last = 1;
    buf_init(&out, 0);
    int rc = text_extract(slice_str(text), slice_str(question), &o, &out, NULL, &r);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

TEST_FAULT(what_answers_the_question_is_kept) {
    extracted("First one here. Cats sleep all day long. Nothing to see in this one. Dogs bark. The end is here.",
              "when do cats sleep?", 0.3f, "First one here. Cats sleep all day long. The end is here.");
    extracted("开头在这里。猫整天都在睡觉。这里什么也没有可看。狗会叫。结尾在这里。", "猫什么时候睡觉？", 0.3f,
              "开头在这里。猫整天都在睡觉。结尾在这里。");
}

TEST_FAULT(code_stays_whole_or_leaves_a_line) {
    extracted("First one here.\n\n```c\nint cats;\nint more;\n```\n\nA long line about nothing at all.\n\nThe end.",
              "cats", 0.1f, "First one here.\n\n```c\nint cats;\nint more;\n```\n\nThe end.");
    extracted("First one here.\n\n```c\nint dogs;\nint more;\n```\n\nA long line about cats and all.\n\nThe end.",
              "cats", 0.1f, "First one here.\n\n[... 4 lines omitted ...]\n\nA long line about cats and all.\n\nThe end.");
}

/* A text of which only some is kept, whatever its rank. */
#define FILLER "Nothing of interest is in this one. Nor is it in the next one, really. "

TEST_FAULT(little_json_and_much_code_stay_as_they_are) {
    extracted("[1, \"a\", {}]", "x", 0.1f, "[1, \"a\", {}]");
    extracted("Begin.\n\nCats.\n\n```\nnever closed, and more than half of the text. Dogs. Birds.\n", "cats", 0.1f,
              "Begin.\n\nCats.\n\n```\nnever closed, and more than half of the text. Dogs. Birds.\n");
}

TEST_FAULT(what_the_question_names_is_kept) {
    extracted("Begin of it. " FILLER "The part ABC-123 is red. " FILLER "End of it.", "Tell me of `ABC-123`", 0.1f,
              "Begin of it. The part ABC-123 is red. End of it.");
    extracted("Begin of it. " FILLER "The box cost $1,250 then. " FILLER "End of it.", "1250 USD?", 0.1f,
              "Begin of it. The box cost $1,250 then. End of it.");
    extracted("Begin of it. " FILLER "Max called it big fun. " FILLER "End of it.", "who said \"big fun\"", 0.1f,
              "Begin of it. Max called it big fun. End of it.");
    extracted("开头。" FILLER "订单于2024年05月01日发出。" FILLER "结尾。", "2024-05-01?", 0.1f,
              "开头。订单于2024年05月01日发出。结尾。");
}

TEST_FAULT(company_is_kept) {
    extracted("# Title\n\nBegin.\n\n" FILLER "\n\nTo repair it:\n\n- open the lid\n  - turn the zorb\n- close the lid\n\n"
              FILLER "\n\nEnd.", "zorb", 0.1f,
              "# Title\n\nBegin.\n\nTo repair it:\n\n- open the lid\n  - turn the zorb\n\nEnd.");
    extracted("Begin. " FILLER "The lid is blue. It hides the zorb. " FILLER "End.", "zorb", 0.1f,
              "Begin. The lid is blue. It hides the zorb. End.");
    extracted("Begin.\n\n| a | b |\n|---|---|\n| 1 | x |\n| 2 | zorb |\n\nEnd.", "zorb", 0.1f,
              "Begin.\n\n| a | b |\n|---|---|\n| 2 | zorb |\n\nEnd.");
}

TEST_FAULT(json_stays_json) {
    static const char filler[] = FILLER FILLER;
    char text[1024], expected[1024];
    struct text_extract_options o = text_extract_defaults;
    struct text_extract_result r;
    struct buf out;
    snprintf(text, sizeof(text), "{\"n\": 1.50, \"s\": [\"short \\u00e9\", \"First. %sThe zorb is blue. %s\"], \"s\":null}",
             filler, filler);
    snprintf(expected, sizeof(expected),
             "{\"n\": 1.50, \"s\": [\"short \\u00e9\", \"First. The zorb is blue. \"], \"s\":null}");
    o.ratio = o.floor = 0.1f;
    buf_init(&out, 0);
    int rc = text_extract(slice_str(text), SLICE("zorb"), &o, &out, NULL, &r);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK(r.is_json);
        CHECK_SLICE(buf_get(&out), slice_str(expected));
    }
    buf_deinit(&out);
}

static size_t words_of(void *ud, struct slice piece) {
    size_t n = 0;
    ++*(int *)ud;
    for (size_t i = 0; i < piece.len; i++) n += piece.ptr[i] == ' ';
    return n;
}

TEST(sizes_are_the_callers) {
    static const char text[] = "First one. " FILLER FILLER FILLER "End.";
    struct text_extract_options o = text_extract_defaults;
    struct text_extract_result r;
    struct buf out, pieces;
    int calls = 0;
    o.size = words_of;
    o.ud = &calls;
    buf_init(&out, 0);
    buf_init(&pieces, 0);
    CHECK_INT(text_extract(slice_str(text), SLICE(""), &o, &out, &pieces, &r), 0);
    CHECK_UINT(r.before, words_of(&calls, slice_str(text)));
    CHECK(r.after < r.before);
    CHECK_INT(calls, (int)r.units + 1);
    CHECK_UINT(pieces.len, r.units * sizeof(struct text_piece));
    o.min_size = 1000;
    buf_clear(&out);
    CHECK_INT(text_extract(slice_str(text), SLICE(""), &o, &out, NULL, &r), 0);
    CHECK_SLICE(buf_get(&out), slice_str(text));
    o.ratio = 1.5f;
    CHECK_INT(text_extract(slice_str(text), SLICE(""), &o, &out, NULL, &r), PERILUNE_ERR_INVAL);
    buf_deinit(&out);
    buf_deinit(&pieces);
}

/* -- Ranks ------------------------------------------------------------------------------------ */

TEST_FAULT(terms_are_words_numbers_and_pairs) {
    static const char *const pieces[] = { "The CATS, 3.5 km", "a cat's city", "cities: 3", "Été 光速", "速光 été" };
    static const struct { const char *ask; int piece; } asks[] = {
        { "cat", 0 }, { "cat", 1 }, { "city", 2 }, { "3.5", 0 }, { "3", 2 }, { "光速", 3 }, { "été", 4 },
    };
    struct text_index ix;
    float scores[5];
    text_index_init(&ix);
    for (int i = 0; i < 5; i++) text_index_add(&ix, slice_str(pieces[i]));
    int rc = text_index_check(&ix);
    for (size_t i = 0; rc == 0 && i < sizeof(asks) / sizeof(*asks); i++) {
        rc = text_index_bm25(&ix, slice_str(asks[i].ask), TEXT_BM25, scores);
        if (FAULTED(rc)) break;
        NOTE("ask: %s", asks[i].ask);
        CHECK(scores[asks[i].piece] > 0);
        if (asks[i].ask[0] == '3') CHECK(scores[2 - asks[i].piece] == 0);
    }
    text_index_deinit(&ix);
    if (!FAULTED(rc)) CHECK_INT(rc, 0);
}

TEST_FAULT(the_centre_shares_most_and_nothing_is_picked_twice) {
    static const char *const pieces[] = { "red green blue", "red green", "green blue white", "black", "red green blue" };
    struct text_index ix;
    struct text_mmr m;
    float scores[5];
    text_index_init(&ix);
    for (int i = 0; i < 5; i++) text_index_add(&ix, slice_str(pieces[i]));
    int rc = text_index_check(&ix);
    if (rc == 0) rc = text_index_central(&ix, scores);
    if (rc == 0) CHECK(scores[0] > scores[2] && scores[2] > scores[3]);
    if (rc == 0) rc = text_mmr_init(&m, &ix, scores, 0.5f);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_UINT(text_mmr_best(&m), 0);
    text_mmr_take(&m, 0);
    CHECK(text_mmr_best(&m) != 4); /* the same as 0 */
    text_mmr_drop(&m, text_mmr_best(&m));
    for (int i = 0; i < 3; i++) text_mmr_take(&m, text_mmr_best(&m));
    CHECK_UINT(text_mmr_best(&m), TEXT_NONE);
    text_mmr_deinit(&m);
done:
    text_index_deinit(&ix);
}

/* -- Hostile texts ------------------------------------------------------------------------------- */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Many times the pattern, and what it waits for at the end or not. 20 ns a byte as it should be; a sanitizer costs ten times as much, a square of the size
 * a thousand times. */
TEST_NOFAULT(a_quarter_of_a_megabyte_takes_no_second) {
    static const char *const patterns[] = {
        "a", "`", "``` ", "```\n", "{", "[", "[[1],", "{\"a\":", "[\"", "\"", "\" ", "'", " 'a", "“", "「", "「a", "$", "$ a",
        "$$", "\\[", "\\(a", "<a", "<", "> ", ".", ". A", "a. ", "。", "……", "!", "|", "|\n|-|\n", "- ", "- a\n", " - a\n", "1. ",
        "# \n", "=\n", "a\n===\n", "不", "一", "百分之", "第", "a@", "@a.b", "http://", "www.", "/a", "a/", "C:\\", "1,", "1.", "1 ",
        "    x\n\n", "\n", " ", "\t", "@@ -\n", "--- \n+++ \n", "a_", "a-", "n't ", "a b c d e. ", "Ab. ", "汉字。", "it ",
        "a@b.cd@", "http://a\\", "$1", ".)", "?!", "1$", "\\($", "<a \"", "`a``b", "{\"a\":1,", "[[", "汉", "“‘",
    };
    static const char *const ends[] = { "", " a$ x\"'`]}>”\\)\n" };
    for (size_t i = 0; i < 2 * sizeof(patterns) / sizeof(*patterns); i++) {
        struct text_extract_result r;
        struct buf text, out;
        buf_init(&text, 0);
        buf_init(&out, 0);
        while (text.len < 256 * 1024) buf_puts(&text, patterns[i / 2]);
        buf_puts(&text, ends[i % 2]);
        double before = cpu_seconds();
        CHECK_INT(text_extract(buf_get(&text), SLICE("a 1 不 `x`"), NULL, &out, NULL, &r), 0);
        NOTE("pattern: %s, end: %s", patterns[i / 2], ends[i % 2]);
        CHECK(cpu_seconds() - before < 1);
        buf_deinit(&text);
        buf_deinit(&out);
    }
}

TEST_NOFAULT(too_long_is_an_error) {
    struct buf text, out;
    struct text_extract_result r;
    buf_init(&text, 0);
    buf_init(&out, 0);
    char *p = buf_reserve(&text, TEXT_MAX + 1);
    CHECK(p != NULL);
    memset(p, ' ', TEXT_MAX + 1);
    CHECK_INT(text_extract(slice_of(p, TEXT_MAX + 1), SLICE(""), NULL, &out, NULL, &r), PERILUNE_ERR_LIMITED);
    CHECK_INT(text_spans(slice_of(p, TEXT_MAX + 1), TEXT_ALL_TYPES, &out), PERILUNE_ERR_LIMITED);
    buf_deinit(&text);
    buf_deinit(&out);
}
