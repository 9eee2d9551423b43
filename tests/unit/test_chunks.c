/* test_chunks.c -- long texts in pieces, cut where their structure allows. */
#include "text/chunks.h"

#include <string.h>

#include "include/perilune.h"
#include "text/spans.h"

#include "unit.h"

/* The chunks of a text, with bars between them, and the lead of each in brackets. */
static int show(const char *text, size_t size, size_t overlap, struct buf *out) {
    struct buf chunks;
    struct text_chunk_options o = { .size = size, .overlap = overlap };
    buf_init(&chunks, 0);
    int rc = text_chunks(slice_str(text), &o, &chunks);
    size_t n;
    const struct text_chunk *k = text_chunks_of(&chunks, &n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i > 0) buf_putc(out, '|');
        if (k[i].lead < k[i].start) buf_printf(out, "[%.*s]", (int)(k[i].start - k[i].lead), text + k[i].lead);
        buf_put(out, text + k[i].start, k[i].end - k[i].start);
    }
    buf_deinit(&chunks);
    return rc != 0 ? rc : out->error;
}

static void chunks(const char *text, size_t size, size_t overlap, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    int rc = show(text, size, overlap, &out);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    NOTE("text: %s", text);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

TEST_FAULT(what_fits_is_one_chunk) {
    chunks("", 100, 10, "");
    chunks("One sentence. Another one.\n", 100, 10, "One sentence. Another one.\n");
}

TEST_FAULT(it_is_cut_at_headings_before_all_else) {
    chunks("# A\n\nAlpha is first. It is.\n\n# B\n\nBeta is second. It is, too.\n", 40, 0,
           "# A\n\nAlpha is first. It is.\n\n|# B\n\nBeta is second. It is, too.\n");
    chunks("第一章 开始\n\n今天天气很好。我们去公园。\n\n第二章 结束\n\n明天会下雨。我们在家。\n", 80, 0,
           "第一章 开始\n\n今天天气很好。我们去公园。\n\n|第二章 结束\n\n明天会下雨。我们在家。\n");
}

TEST_FAULT(then_between_paragraphs_and_then_between_sentences) {
    chunks("One is here. Two is here.\n\nThree is here. Four is here.\n", 45, 0,
           "One is here. Two is here.\n\n|Three is here. Four is here.\n");
    chunks("One is here. Two is here. Three is here. Four is here.", 32, 0,
           "One is here. Two is here. |Three is here. Four is here.");
    chunks("今天天气很好。我们去公园。明天会下雨。我们在家。", 40, 0, "今天天气很好。我们去公园。|明天会下雨。我们在家。");
}

TEST_FAULT(tables_and_code_stay_whole_when_they_fit) {
    chunks("Some words in front.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nAnd behind it.\n", 48, 0,
           "Some words in front.\n\n|| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\n|And behind it.\n");
    chunks("Some words in front.\n\n```\nlet a = 1;\nlet b = 2;\n```\n\nAnd behind it.\n", 40, 0,
           "Some words in front.\n\n|```\nlet a = 1;\nlet b = 2;\n```\n\n|And behind it.\n");
}

TEST_FAULT(what_is_larger_than_a_chunk_is_cut_at_lines_and_then_at_characters) {
    chunks("```\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\n", 24, 0, "```\nlet a = 1;\n|let b = 2;\nlet c = 3;\n|```\n");
    chunks("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 16, 0, "aaaaaaaaaaaaaaaa|aaaaaaaaaaaaaaaa|aaaa");
    chunks("好好好好好好好好好好", 16, 0, "好好好好好|好好好好好");
}

TEST_FAULT(a_chunk_begins_with_the_last_sentences_of_the_one_before_it) {
    chunks("One is here. Two is here. Three is here. Four is here.", 40, 15,
           "One is here. Two is here. |[Two is here. ]Three is here. |[Three is here. ]Four is here.");
    chunks("# A\n\nOne is here. Two is here.\n\n# B\n\nThree is here. Four is here.", 40, 15,
           "# A\n\nOne is here. Two is here.\n\n|# B\n\nThree is here. Four is here.");
}

static void says(const char *text, size_t len, size_t size, size_t overlap, int expected) {
    struct buf chunks;
    struct text_chunk_options o = { .size = size, .overlap = overlap };
    buf_init(&chunks, 0);
    int rc = text_chunks(slice_of(text, len), &o, &chunks);
    if (!FAULTED(rc)) CHECK_INT(rc, expected);
    CHECK_UINT(chunks.len, 0);
    buf_deinit(&chunks);
}

TEST_FAULT(what_is_wrong_is_told) {
    says("abc\xff", 4, 100, 0, PERILUNE_ERR_INVAL);
    says("abc", 3, 4, 0, PERILUNE_ERR_INVAL);
    says("abc", 3, 100, 50, PERILUNE_ERR_INVAL);
}

static bool never(void *ud) {
    (void)ud;
    return false;
}

TEST_FAULT(who_is_in_a_hurry_gives_up) {
    struct buf text, chunks;
    struct text_chunk_options o = { .size = 100, .go_on = never };
    buf_init(&text, 0);
    buf_init(&chunks, 0);
    for (int i = 0; i < 600; i++) buf_puts(&text, "A sentence stands here. ");
    int rc = buf_failed(&text) ? PERILUNE_ERR_NOMEM : text_chunks(buf_get(&text), &o, &chunks);
    if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_CANCELED);
    buf_deinit(&text);
    buf_deinit(&chunks);
}

/* Of any text: nothing is lost, nothing is larger than it may be, and no character is cut. */
TEST_NOFAULT(chunks_are_the_text_and_fit) {
    static const char *const parts[] = { "# H\n", "word ", "。", "好", "| a | b |\n", "|---|---|\n", "```\n", "\n\n", "x = 1;\n",
                                         "- item\n", "Long sentence with a number 3.14 in it. ", "\t", "é", "    code\n" };
    unsigned seed = 7;
    for (int round = 0; round < 400; round++) {
        struct buf text, out;
        buf_init(&text, 0);
        buf_init(&out, 0);
        for (int i = 0; i < 120; i++) buf_puts(&text, parts[((seed = seed * 1103515245 + 12345) >> 16 & 0x7fff) % 14]);
        struct text_chunk_options o = { .size = 16 + seed % 200, .overlap = (16 + seed % 200) / 10 };
        CHECK_INT(text_chunks(buf_get(&text), &o, &out), 0);
        size_t n;
        const struct text_chunk *k = text_chunks_of(&out, &n);
        uint32_t at = 0;
        for (size_t i = 0; i < n; at = k[i++].end) {
            CHECK_UINT(k[i].start, at);
            CHECK(k[i].lead <= k[i].start && k[i].end > k[i].start && k[i].end - k[i].lead <= o.size);
            CHECK(((unsigned char)text.data[k[i].start] & 0xc0) != 0x80);
            CHECK(k[i].heading <= k[i].heading_end && k[i].heading_end <= k[i].start);
        }
        CHECK_UINT(at, text.len);
        buf_deinit(&text);
        buf_deinit(&out);
    }
}
