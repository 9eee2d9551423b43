/* fuzz_trim.c -- whatever a text is, trimming takes nothing that is protected, takes it
 * once, and what is cut and what is left are the text. */
#include "fuzz.h"

#include <string.h>

#include "include/perilune.h"
#include "text/spans.h"
#include "text/trim.h"

const char *const fuzz_tokens[] = {
    "hello", "Hello there! ", "could you ", "please ", "Please", "kindly ", "thank you", "Thanks! ", "basically, ", ", please",
    "请", "你", "您", "帮我", "麻烦", "谢谢", "，谢谢", "非常感谢！", "其实，", "translate the following text", ":", "：", "\n", "\n\n",
    "# A\n", "## B\n", "- ", "* ", "1. ", "（1）", "> ", "| a | b |\n|---|---|\n", "```\n", "~~~", "`", "\"", "“", "”", "'", "{\"a\":\"please\"}",
    "[1,2]", "not ", "never ", "unless ", "only ", "不", "没有", "除非", "仅", "非", "42 km", "$1,299.00", "一个", "十分", "三十万元", "2026-03-14",
    "http://a.b/c?d=e", "a@b.cd", "/a/b.c", "ABC-123", "a_b", "$x$", "<b>", "</b>", ", ", "，", "。", "！", "? ", ". ", "; ", "；", "…", "～",
    "\r\n", "\t", "    ", "\xf0\x9f\x98\x80", "\xef\xb8\x8f", "\xff", "\xe4\xb8", "\xe2\x80\x99", "The same long line of text is here again\n",
    "--- a\n+++ b\n@@ -1 +1 @@\n", NULL
};

static const struct { enum trim_place place; const char *pattern; } patterns[] = {
    { TRIM_START, "[well] [,] (basically|actually)" },
    { TRIM_START, "(其实|那么)(，|,)" },
    { TRIM_LEAD, "(could|would) you [please|kindly] [help me [to]]" },
    { TRIM_LEAD, "(please|kindly)!(:|find)" },
    { TRIM_LEAD, "[请|麻烦](你|您)[帮我]!(们|的)" },
    { TRIM_TAIL, "[if you] please" },
    { TRIM_TAIL, "[many] thanks [again]" },
    { TRIM_TAIL, "~(，|,)(谢谢|拜托了)[啦]" },
    { TRIM_WHOLE, "(hi|hello) [there|all]" },
    { TRIM_WHOLE, "(thanks|thank you) [so much] [for [all] [your] help]" },
    { TRIM_WHOLE, "[非常|十分](谢谢|感谢)[你|您]" },
    { TRIM_CONTENT, "(the following text|原文)" },
    { TRIM_TASK, "(translate|翻译)" },
};

/* Kept until the process ends. */
static struct trim_rules *rules;

static void make_rules(void) {
    char err[200];
    rules = trim_rules_new();
    ORACLE(rules != NULL);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
        ORACLE(trim_rules_add(rules, patterns[i].place, slice_str(patterns[i].pattern), err, sizeof(err)) == 0);
    ORACLE(trim_rules_compile(rules) == 0);
}

/* No cut meets a span, but for the words that are in phrases themselves. */
static void check_protected(struct slice text, const struct buf *cuts) {
    const unsigned vouched = 1u << TEXT_QUANTIFIER | 1u << TEXT_MODAL;
    struct buf spans;
    buf_init(&spans, 0);
    ORACLE(text_spans(text, TEXT_ALL_TYPES, &spans) == 0);
    text_spans_merge(&spans);
    size_t n, m = buf_len(cuts) / sizeof(struct trim_cut), k = 0;
    const struct text_span *s = text_spans_of(&spans, &n);
    const struct trim_cut *c = (const struct trim_cut *)(const void *)buf_get(cuts).ptr;
    for (size_t i = 0; i < n; i++) {
        while (k < m && c[k].end <= s[i].start) k++;
        bool in_characters = s[i].type == TEXT_NUMBER && (unsigned char)text.ptr[s[i].start] >= 0x80;
        if ((vouched >> s[i].type & 1) != 0 || in_characters || k == m) continue;
        ORACLE(c[k].start >= s[i].end || c[k].reason == TRIM_REPEATED);
    }
    buf_deinit(&spans);
}

/* Cuts in order, and between them what is left. */
static void check_cuts(struct slice text, const struct buf *cuts, struct slice left) {
    size_t n = buf_len(cuts) / sizeof(struct trim_cut), at = 0, done = 0;
    const struct trim_cut *c = (const struct trim_cut *)(const void *)buf_get(cuts).ptr;
    for (size_t i = 0; i <= n; i++) {
        size_t stop = i < n ? c[i].start : text.len;
        ORACLE(stop >= at && done + stop - at <= left.len);
        ORACLE(memcmp(text.ptr + at, left.ptr + done, stop - at) == 0);
        done += stop - at;
        at = i < n ? c[i].end : stop;
    }
    ORACLE(done == left.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (rules == NULL) make_rules();
    struct slice text = slice_of((const char *)data, size);
    struct trim_options options = { size % 2 == 0, 24 };
    struct buf once, twice, cuts;
    buf_init(&once, 0);
    buf_init(&twice, 0);
    buf_init(&cuts, 0);
    int rc = trim_text(rules, text, &options, &once, &cuts);
    if (text_error_offset(text) < text.len) {
        ORACLE(rc == PERILUNE_ERR_INVAL && buf_len(&once) == 0 && buf_len(&cuts) == 0);
    } else {
        ORACLE(rc == 0);
        check_cuts(text, &cuts, buf_get(&once));
        check_protected(text, &cuts);
        ORACLE(trim_text(rules, buf_get(&once), &options, &twice, NULL) == 0);
        ORACLE(slice_eq(buf_get(&once), buf_get(&twice)));
    }
    buf_deinit(&once);
    buf_deinit(&twice);
    buf_deinit(&cuts);
    return 0;
}
