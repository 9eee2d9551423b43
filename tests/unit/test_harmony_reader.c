/* test_harmony_reader.c -- channels are told apart alike at every split.  Texts are those of the format's description. */
#include "local/harmony_reader.h"

#include <string.h>

#include "include/perilune.h"
#include "unit.h"

static int on_thought(void *ud, struct slice s) {
    buf_printf(ud, "[%.*s]", SLICE_ARG(s));
    return buf_failed(ud) ? PERILUNE_ERR_NOMEM : 0;
}

static int on_text(void *ud, struct slice s) {
    buf_slice(ud, s);
    return buf_failed(ud) ? PERILUNE_ERR_NOMEM : 0;
}

static int on_call(void *ud, const struct call_said *c) {
    buf_printf(ud, "{%u %.*s %.*s}", c->index, SLICE_ARG(c->name), SLICE_ARG(c->arguments));
    return buf_failed(ud) ? PERILUNE_ERR_NOMEM : 0;
}

static int read_it(enum harmony_start at, bool tools, struct slice s, size_t size, struct buf *out) {
    struct harmony_reader r;
    int rc = 0;
    harmony_reader_init(&r, at, tools, &(struct harmony_sink){ on_thought, on_text, on_call, out });
    for (size_t i = 0; i < s.len && rc == 0; i += size)
        rc = harmony_reader_push(&r, slice_of(s.ptr + i, s.len - i < size ? s.len - i : size));
    if (rc == 0) rc = harmony_reader_finish(&r);
    harmony_reader_deinit(&r);
    return rc;
}

/* Thoughts come in pieces: "[a][b]" is one of them, "[ab]". */
static void join(struct buf *out) {
    struct buf joined;
    struct slice s = buf_get(out);
    buf_init(&joined, 0);
    for (size_t i = 0; i < s.len; i++) {
        bool seam = s.ptr[i] == ']' && i + 1 < s.len && s.ptr[i + 1] == '[';
        if (seam) i++;
        else buf_putc(&joined, s.ptr[i]);
    }
    if (buf_failed(&joined)) out->error = joined.error;
    buf_clear(out);
    buf_slice(out, buf_get(&joined));
    buf_deinit(&joined);
}

static void check_from(enum harmony_start at, bool tools, const char *text, const char *want) {
    struct slice s = slice_str(text);
    struct buf out;
    buf_init(&out, 0);
    for (size_t size = 1; size <= s.len; size++) {
        buf_clear(&out);
        NOTE("%s in pieces of %zu", text, size);
        CHECK_INT(read_it(at, tools, s, size, &out), 0);
        join(&out);
        CHECK(!buf_failed(&out));
        CHECK_SLICE(buf_get(&out), slice_str(want));
    }
    buf_deinit(&out);
}

static void check(const char *text, const char *want) { check_from(HARMONY_AT_HEAD, true, text, want); }

TEST(thoughts_and_text) {
    check("<|channel|>analysis<|message|>User asks: \"What is 2 + 2?\" Simple arithmetic. Provide answer.<|end|>"
          "<|start|>assistant<|channel|>final<|message|>2 + 2 = 4.<|return|>",
          "[User asks: \"What is 2 + 2?\" Simple arithmetic. Provide answer.]2 + 2 = 4.");
    check("<|channel|>final<|message|>天气 < 20°<|return|>", "天气 < 20°");
    check("<|channel|>final<|message|>cut off", "cut off");
    check("<|channel|>analysis<|message|>cut off", "[cut off]");
    check("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>", "[a\nb]");
    check("<|channel|>final<|message|>a <|en d <| <<|end|>", "a <|en d <| <");
    check("<|message|>no channel<|end|>", "no channel");
    check("<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>x", "x");
    check("<|channel|>analysis<|message|>no end<|channel|>final<|message|>x", "[no end]x");
    check("<|channel|>analysis<|message|>no end<|start|>assistant<|channel|>final<|message|>x", "[no end]x");
}

TEST(calls) {
    check("<|channel|>analysis<|message|>Need to use function get_current_weather.<|end|><|start|>assistant<|channel|>commentary "
          "to=functions.get_current_weather <|constrain|>json<|message|>{\"location\":\"San Francisco\"}<|call|>",
          "[Need to use function get_current_weather.]{0 get_current_weather {\"location\":\"San Francisco\"}}");
    check(" to=functions.f<|channel|>commentary json<|message|>{\"x\": \"<|\"}<|call|>", "{0 f {\"x\": \"<|\"}}");
    check("<|start|>assistant to=functions.f<|channel|>commentary<|message|> {} ", "{0 f {}}"); /* the end is a token of its own */
    check("<|channel|>commentary to=f<|message|><|call|>", "{0 f {}}");
    check("<|channel|>commentary<|message|>I look that up.<|end|><|start|>assistant<|channel|>commentary to=functions.a.b<|message|>{}<|call|>"
          "<|start|>assistant<|channel|>commentary to=functions.c<|message|>{\"天\":1}<|call|><|start|>assistant<|channel|>final<|message|>Done",
          "I look that up.{0 a.b {}}{1 c {\"天\":1}}\nDone");
}

TEST(what_only_looks_like_one_is_text) {
    check("Hello", "Hello");
    check("  <b>bold</b>", "  <b>bold</b>");
    check(" to be", " to be");
    check("<", "<");
    check("<|start|>assis", "");
    check("<|channel|>commentary to=functions.f<|message|>{\"x\":<|call|>", "<|channel|>commentary to=functions.f<|message|>{\"x\":");
    check("<|channel|>commentary to=functions.f<|message|>[1]<|end|><|start|>assistant<|channel|>final<|message|>b",
          "<|channel|>commentary to=functions.f<|message|>[1]\nb");
    check("a<|end|><|channel|>commentary to=functions.f<|message|>{\"x\"", "a"); /* half of a call */
    check("<|channel|>commentary to=functions.f<|message|>{\"x\": [tr", "");
    check("<|channel|>commentary to=functions.f <|constrain|>js", "");
    check("<|channel|>commentary to=functions.f<|message|>print(1)", "<|channel|>commentary to=functions.f<|message|>print(1)");
    check_from(HARMONY_AT_HEAD, false, "<|channel|>commentary to=python<|message|>1+1<|call|>", "<|channel|>commentary to=python<|message|>1+1");
    check_from(HARMONY_AT_HEAD, true, "<|channel|>commentary to=assistant<|message|>a<|end|>", "a");
}

TEST(an_answer_that_goes_on) {
    check_from(HARMONY_IN_TEXT, true, " and so on.<|return|>", " and so on.");
    check_from(HARMONY_IN_TEXT, true, "<|end|><|start|>assistant<|channel|>final<|message|>b", "b");
}

TEST_NOFAULT(what_has_no_end_is_text) {
    struct buf in, out;
    buf_init(&in, 0);
    buf_init(&out, 0);
    buf_puts(&in, "<|channel|>commentary to=functions.f<|message|>{\"x\":\"");
    while (buf_len(&in) < CALL_READER_MAX + 100) buf_puts(&in, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    CHECK_INT(read_it(HARMONY_AT_HEAD, true, buf_get(&in), 65536, &out), 0);
    CHECK_SLICE(buf_get(&out), buf_get(&in));
    buf_clear(&in);
    buf_clear(&out);
    buf_puts(&in, "<|channel|>");
    while (buf_len(&in) < 2000) buf_puts(&in, "final");
    buf_puts(&in, "<|message|>x");
    CHECK_INT(read_it(HARMONY_AT_HEAD, true, buf_get(&in), 7, &out), 0);
    CHECK(buf_len(&out) > 0); /* marks in it are marks still */
    buf_deinit(&in);
    buf_deinit(&out);
}
