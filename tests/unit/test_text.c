/* test_text.c -- spans, sentences, ranks, extraction. */
#include <string.h>

#include "include/perilune.h"
#include "llm/text_extract.h"
#include "llm/text_rank.h"
#include "llm/text_sentences.h"
#include "llm/text_spans.h"

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

/* Units between bars, with the first letter of their kind: "s[...]h[...]". */
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
    spans("非法、别去、未经、没有", "negation=非|negation=别|negation=未|negation=没有");
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
    units("", "");
    units(" \n\n ", " \n\n ");
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
