/* test_voice.c -- thoughts, text and calls of an answer, and where a stop ends it: alike at every split. */
#include "local/voice.h"

#include <string.h>

#include "include/perilune.h"
#include "unit.h"

/* What was said, in order: (thought) text [name arguments]. */
struct heard {
    struct buf all, text; /* text: what of it is text, whatever stands between */
    int        answer;
};

static int on_thought(void *ud, struct slice s) {
    struct heard *h = ud;
    buf_printf(&h->all, "(%.*s)", SLICE_ARG(s));
    return h->answer;
}

static int on_text(void *ud, struct slice s) {
    struct heard *h = ud;
    buf_slice(&h->text, s);
    return h->answer;
}

static int on_call(void *ud, const struct call_said *call) {
    struct heard *h = ud;
    buf_printf(&h->all, "[%.*s %.*s]", SLICE_ARG(call->name), SLICE_ARG(call->arguments));
    return h->answer;
}

#define MARKS { { "<think>", 7 }, { "</think>", 8 } }
static const struct voice_reading plain = { .calls = CALLS_NONE }, hermes = { .calls = CALLS_HERMES, .marks = MARKS },
                                  glm = { .calls = CALLS_GLM, .marks = MARKS }, llama = { .calls = CALLS_LLAMA3 },
                                  mistral = { .calls = CALLS_MISTRAL }, deepseek = { .calls = CALLS_DEEPSEEK },
                                  harmony = { .calls = CALLS_HARMONY, .channels = true };

static void hear(struct heard *h, const struct voice_reading *how, const char *stop, const char *said, size_t size,
                 bool *stopped) {
    struct slice all = slice_str(said), strings[1] = { slice_str(stop) };
    struct stops *stops = NULL;
    const char *why;
    struct voice v;
    int rc = 0;
    if (*stop != '\0') CHECK_INT(stops_new(&stops, strings, 1, &why), 0);
    buf_init(&h->all, 0);
    buf_init(&h->text, 0);
    voice_init(&v, how, stops, &(struct voice_sink){ on_thought, on_text, on_call, h });
    for (size_t at = 0; at < all.len && rc == 0 && !voice_is_stopped(&v); at += size)
        rc = voice_push(&v, slice_of(all.ptr + at, all.len - at < size ? all.len - at : size));
    if (rc == 0) rc = voice_finish(&v, false);
    *stopped = voice_is_stopped(&v);
    CHECK_INT(rc, h->answer);
    voice_deinit(&v);
    stops_free(stops);
}

static void check(const struct voice_reading *how, const char *stop, const char *said, const char *text,
                  const char *others, bool ends) {
    for (size_t size = 1; size <= strlen(said) + 1; size++) {
        struct heard h = { .answer = 0 };
        bool stopped;
        hear(&h, how, stop, said, size, &stopped);
        NOTE("\"%s\" up to \"%s\" in pieces of %zu: others %s", said, stop, size, buf_cstr(&h.all));
        CHECK_SLICE(buf_get(&h.text), slice_str(text));
        /* A thought comes in pieces: without what parts them. */
        struct buf joined;
        buf_init(&joined, 0);
        for (const char *p = buf_cstr(&h.all); *p != '\0'; p++) {
            if (p[0] == ')' && p[1] == '(') p++;
            else buf_putc(&joined, *p);
        }
        CHECK_SLICE(buf_get(&joined), slice_str(others));
        CHECK_INT(stopped, ends);
        buf_deinit(&joined);
        buf_deinit(&h.all);
        buf_deinit(&h.text);
    }
}

TEST_NOFAULT(a_stop_ends_text) {
    check(&plain, "", "one two", "one two", "", false);
    check(&plain, "two", "one two three", "one ", "", true);
    check(&plain, "tw!", "one tw", "one tw", "", false);
    check(&hermes, "\n", "one\ntwo", "one", "", true);
    check(&harmony, "wo", "<|channel|>final<|message|>one two", "one t", "", true);
    check(&harmony, "two", "<|channel|>final<|message|>one two", "one ", "", true);
}

/* In each form a letter that a stop is made of stands in the arguments, and the call is told whole. */
TEST_NOFAULT(a_stop_does_not_cut_a_call) {
    static const char fence[] = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"x\":\"a;b\"}\n"
                                "```<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
    check(&hermes, ";", "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"a;b\"}}</tool_call>", "", "[f {\"x\":\"a;b\"}]", false);
    check(&hermes, "<", "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", "", "[f {}]", false);
    check(&hermes, "\n", "<tool_call>\n{\"name\":\"f\"}\n</tool_call>\n<tool_call>\n{\"name\":\"g\"}\n</tool_call>", "",
          "[f {}][g {}]", false);
    check(&glm, ";", "<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>a;b</arg_value>\n<arg_key>y</arg_key>\n"
          "<arg_value>1</arg_value>\n</tool_call>", "", "[f {\"x\":\"a;b\",\"y\":1}]", false);
    check(&llama, ";", "{\"name\":\"f\",\"parameters\":{\"x\":\"a;b\"}}", "", "[f {\"x\":\"a;b\"}]", false);
    check(&mistral, ";", "[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{\"x\":\"a;b\"}}]", "", "[f {\"x\":\"a;b\"}]", false);
    check(&mistral, ";", "[TOOL_CALLS]f[ARGS]{\"x\":\"a;b\"}", "", "[f {\"x\":\"a;b\"}]", false);
    check(&deepseek, ";", fence, "", "[f {\"x\":\"a;b\"}]", false);
    check(&harmony, ";", "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"x\":\"a;b\"}<|call|>", "",
          "[f {\"x\":\"a;b\"}]", false);
}

TEST_NOFAULT(a_stop_does_not_cut_a_thought) {
    check(&hermes, "\n", "<think>\na\nb\n</think>\n\none\ntwo", "one", "(a\nb)", true);
    check(&harmony, "\n", "<|channel|>analysis<|message|>a\nb<|end|><|start|>assistant<|channel|>final<|message|>one\ntwo",
          "one", "(a\nb)", true);
    check(&harmony, "assistant", "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>one",
          "one", "(a)", false);
}

TEST_NOFAULT(text_beside_a_call_is_ended) {
    static const char call[] = "one;two<tool_call>{\"name\":\"f\"}</tool_call>";
    check(&hermes, ";", call, "one", "", true); /* behind a stop nothing is told */
    check(&hermes, ";", "one<tool_call>{\"name\":\"f\"}</tool_call>two;three", "onetwo", "[f {}]", true);
    check(&hermes, "e;t", "one<tool_call>{\"name\":\"f\"}</tool_call>;two", "on", "[f {}]", true);
    check(&hermes, "l>{", "a<tool_call>{no", "a<tool_cal", "", true); /* what began like a call and is none is text */
    struct voice_reading one = hermes, only = hermes;
    one.one_call = true;
    check(&one, "", "<tool_call>{\"name\":\"f\"}</tool_call><tool_call>{\"name\":\"g\"}</tool_call>", "", "[f {}]", false);
    only.only_calls = true;
    check(&only, ";", "a;<tool_call>{\"name\":\"f\"}</tool_call>", "", "[f {}]", false);
}

TEST_NOFAULT(a_sink_that_fails_ends_it) {
    static const char *const said[] = { "<think>a</think>", "one", "<tool_call>{\"name\":\"f\"}</tool_call>" };
    for (int i = 0; i < 3; i++) {
        struct heard h = { .answer = -7 };
        bool stopped;
        hear(&h, &hermes, ";", said[i], 3, &stopped);
        buf_deinit(&h.all);
        buf_deinit(&h.text);
    }
}
