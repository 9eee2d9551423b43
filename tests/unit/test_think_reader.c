/* test_think_reader.c -- thoughts and text are told apart alike at every split. */
#include "local/think_reader.h"

#include <string.h>

#include "include/perilune.h"
#include "unit.h"

struct heard {
    struct buf thought, text;
    bool       mixed; /* a thought came behind text */
    int        answer;
};

static int on_thought(void *ud, struct slice s) {
    struct heard *h = ud;
    h->mixed |= buf_len(&h->text) > 0 || s.len == 0;
    buf_slice(&h->thought, s);
    return h->answer;
}

static int on_text(void *ud, struct slice s) {
    struct heard *h = ud;
    h->mixed |= s.len == 0;
    buf_slice(&h->text, s);
    return h->answer;
}

static const struct think_marks think = { { "<think>", 7 }, { "</think>", 8 } };

static void check_with(struct think_marks marks, bool inside, const char *said, const char *thought, const char *text) {
    struct slice all = slice_str(said);
    for (size_t size = 1; size <= all.len + 1; size++) {
        struct heard h = { .mixed = false };
        struct think_reader r;
        int rc = 0;
        buf_init(&h.thought, 0);
        buf_init(&h.text, 0);
        think_reader_init(&r, marks, inside, &(struct think_sink){ on_thought, on_text, &h });
        for (size_t at = 0; at < all.len && rc == 0; at += size)
            rc = think_reader_push(&r, slice_of(all.ptr + at, all.len - at < size ? all.len - at : size));
        if (rc == 0) rc = think_reader_finish(&r);
        think_reader_deinit(&r);
        NOTE("\"%s\" in pieces of %zu", said, size);
        CHECK_INT(rc, 0);
        CHECK_SLICE(buf_get(&h.thought), slice_str(thought));
        CHECK_SLICE(buf_get(&h.text), slice_str(text));
        CHECK(!h.mixed);
        buf_deinit(&h.thought);
        buf_deinit(&h.text);
    }
}

TEST(a_thought_in_front) {
    check_with(think, false, "<think>\nWhy?\n\nHow?\n</think>\n\nBecause.\n", "Why?\n\nHow?", "Because.\n");
    check_with(think, false, "\n<think>a</think>b", "a", "b");
    check_with(think, false, "<think>\n\n</think>\n\nHi", "", "Hi");
    check_with(think, false, "<think>a < b </thin </think>c", "a < b </thin", "c");
    check_with(think, false, "<think>想一想。</think>你好", "想一想。", "你好");
    check_with(think, false, "<think>a<think>b</think>c", "a<think>b", "c");
    check_with((struct think_marks){ SLICE("[THINK]"), SLICE("[/THINK]") }, false, "[THINK]a[/THINK]b", "a", "b");
}

TEST(a_thought_that_the_question_began) {
    check_with(think, true, "Why?\n</think>\n\nBecause.", "Why?", "Because.");
    check_with(think, true, "\n x ", "x", "");
    check_with(think, true, "</think>Hi", "", "Hi");
    check_with(think, true, "", "", "");
}

TEST(what_is_no_thought_is_text) {
    check_with(think, false, "Hi", "", "Hi");
    check_with(think, false, "  Hi", "", "  Hi");
    check_with(think, false, "<thin", "", "<thin");
    check_with(think, false, " <thinking>", "", " <thinking>");
    check_with(think, false, "The mark is <think>a</think>.", "", "The mark is <think>a</think>.");
    check_with(think, false, "<think>a</think>b<think>c</think>", "a", "b<think>c</think>");
    check_with(think, false, "\n\n", "", "\n\n");
    check_with((struct think_marks){ SLICE(""), SLICE("") }, false, "<think>a</think>", "", "<think>a</think>");
    check_with((struct think_marks){ SLICE(""), SLICE("") }, true, " a", "", " a");
}

TEST(an_answer_that_ends_in_a_thought_is_one) {
    check_with(think, false, "<think>a</thin", "a</thin", "");
    check_with(think, false, "<think>", "", "");
}

TEST(what_the_sink_says_ends_it) {
    struct heard h = { .answer = PERILUNE_ERR_CANCELED };
    struct think_reader r;
    buf_init(&h.thought, 0);
    buf_init(&h.text, 0);
    think_reader_init(&r, think, false, &(struct think_sink){ on_thought, on_text, &h });
    int rc = think_reader_push(&r, SLICE("<think>a</think>b"));
    CHECK_INT(rc, PERILUNE_ERR_CANCELED);
    CHECK_SLICE(buf_get(&h.thought), SLICE("a"));
    CHECK_UINT(buf_len(&h.text), 0);
    think_reader_deinit(&r);
    buf_deinit(&h.thought);
    buf_deinit(&h.text);
}
