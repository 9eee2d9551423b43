/* test_call_reader.c -- calls and text at every split, and what only looks like a call is text. */
#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/call_reader.h"

static int on_text(void *ud, struct slice text) {
    buf_slice(ud, text);
    return buf_failed(ud) ? PERILUNE_ERR_NOMEM : 0;
}

static int on_call(void *ud, const struct call_said *c) {
    buf_printf(ud, "{%u %.*s %.*s %.*s}", c->index, SLICE_ARG(c->name), SLICE_ARG(c->arguments), SLICE_ARG(c->id));
    return buf_failed(ud) ? PERILUNE_ERR_NOMEM : 0;
}

static int read_it(enum call_form form, struct slice s, size_t size, struct buf *out) {
    struct call_reader r;
    const struct call_sink sink = { on_text, on_call, NULL, out };
    int rc = 0;
    call_reader_init(&r, form, &sink);
    for (size_t at = 0; at < s.len && rc == 0; at += size)
        rc = call_reader_push(&r, slice_of(s.ptr + at, s.len - at < size ? s.len - at : size));
    if (rc == 0) rc = call_reader_finish(&r, false);
    call_reader_deinit(&r);
    return rc;
}

static void check(enum call_form form, const char *text, const char *want) {
    struct slice s = slice_str(text);
    struct buf out;
    buf_init(&out, 0);
    for (size_t size = 1; size <= s.len; size++) {
        buf_clear(&out);
        NOTE("%s in pieces of %zu", text, size);
        CHECK_INT(read_it(form, s, size, &out), 0);
        CHECK_SLICE(buf_get(&out), slice_str(want));
    }
    buf_deinit(&out);
}

TEST(hermes) {
    check(CALLS_HERMES, "hello < world", "hello < world");
    check(CALLS_HERMES, "I ask.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>", "I ask.\n{0 f {\"x\": 1} }");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call> done", "{0 f {} }{1 g {} }done");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":\"</tool_call>\"}}</tool_call>", "{0 f {\"s\":\"</tool_call>\"} }");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"天气\",\"arguments\":\"{\\\"地\\\":1}\"}</tool_call>", "{0 天气 {\"地\":1} }");
    check(CALLS_HERMES, "<tool_call>nothing</tool_call> x", "<tool_call>nothing</tool_call> x");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"f\"", "");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"f\"}", "{0 f {} }"); /* stopped at the end mark */
    check(CALLS_HERMES, "<tool_call>{\"name\":5}</tool_call>", "<tool_call>{\"name\":5}</tool_call>");
    check(CALLS_HERMES, "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>", "<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>");
}

static bool is_string(void *ud, struct slice function, struct slice argument) {
    (void)ud;
    return slice_eq(function, SLICE("f")) && slice_eq(argument, SLICE("zip"));
}

/* As GLM-4.5, 4.6 (a line for each mark) and 4.7 (no lines) write them. */
TEST(glm) {
    check(CALLS_GLM, "\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>北京</arg_value>\n<arg_key>days</arg_key>\n"
          "<arg_value>3</arg_value>\n</tool_call>", "\n{0 get_weather {\"city\":\"北京\",\"days\":3} }");
    check(CALLS_GLM, "I look.<tool_call>f<arg_key>a</arg_key><arg_value>[1, {\"b\": null}]</arg_value></tool_call><tool_call>g</tool_call>done",
          "I look.{0 f {\"a\":[1, {\"b\": null}]} }{1 g {} }done");
    check(CALLS_GLM, "<tool_call>ls <arg_key>p</arg_key> <arg_value>a \"b\"\n</arg_value> </tool_call>", "{0 ls {\"p\":\"a \\\"b\\\"\\n\"} }");
    check(CALLS_GLM, "<tool_call>f\n<arg_key>s</arg_key>\n<arg_value>a</tool_call>b</arg_value>\n</tool_call>", "{0 f {\"s\":\"a</tool_call>b\"} }");
    check(CALLS_GLM, "<tool_call>f\n<arg_key>s</arg_key>\n<arg_value></arg_value>\n", "{0 f {\"s\":\"\"} }"); /* the end mark is none of text */
    check(CALLS_GLM, "<tool_call>f<arg_key>s</arg_key><arg_value>cut", "");
    check(CALLS_GLM, "<tool_call>two words</tool_call>", "<tool_call>two words</tool_call>");
    check(CALLS_GLM, "<tool_call></tool_call> <tool_call>f x</tool_call>", "<tool_call></tool_call> <tool_call>f x</tool_call>");
    check(CALLS_GLM, "<tool_call>f<arg_key>s</arg_key>x</tool_call>", "<tool_call>f<arg_key>s</arg_key>x</tool_call>");
}

TEST(glm_strings_that_look_like_numbers) {
    struct slice s = SLICE("<tool_call>f\n<arg_key>zip</arg_key>\n<arg_value>01234</arg_value>\n<arg_key>zap</arg_key>\n<arg_value>12</arg_value>\n</tool_call>"
                           "<tool_call>g\n<arg_key>zip</arg_key>\n<arg_value>12</arg_value>\n</tool_call>");
    struct call_reader r;
    struct buf out;
    buf_init(&out, 0);
    call_reader_init(&r, CALLS_GLM, &(struct call_sink){ on_text, on_call, is_string, &out });
    int rc = call_reader_push(&r, s);
    if (rc == 0) rc = call_reader_finish(&r, false);
    call_reader_deinit(&r);
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), SLICE("{0 f {\"zip\":\"01234\",\"zap\":12} }{1 g {\"zip\":12} }"));
    buf_deinit(&out);
}

TEST(llama3) {
    check(CALLS_LLAMA3, "{\"name\": \"f\", \"parameters\": {\"a\": \"}\"}}", "{0 f {\"a\": \"}\"} }");
    check(CALLS_LLAMA3, " <|python_tag|>{\"name\":\"f\",\"parameters\":{}}; {\"name\":\"g\",\"parameters\":{}}", "{0 f {} }{1 g {} }");
    check(CALLS_LLAMA3, "The answer {\"name\": \"f\"}", "The answer {\"name\": \"f\"}");
    check(CALLS_LLAMA3, "{\"answer\": 42}", "{\"answer\": 42}");
    check(CALLS_LLAMA3, "{\"name\": \"f\", \"parameters\": {}} and more", "{\"name\": \"f\", \"parameters\": {}} and more");
    check(CALLS_LLAMA3, "  ", "  ");
    check(CALLS_LLAMA3, "<|pyth", "<|pyth");
}

TEST(mistral) {
    check(CALLS_MISTRAL, "[TOOL_CALLS][{\"name\":\"f\",\"arguments\":{\"x\":[1]},\"id\":\"abcdefghi\"},{\"name\":\"g\",\"arguments\":{}}]", "{0 f {\"x\":[1]} abcdefghi}{1 g {} }");
    check(CALLS_MISTRAL, "text [TOOL_CALLS]f[ARGS]{\"x\": 1}[TOOL_CALLS]g[CALL_ID]123[ARGS]{}", "text {0 f {\"x\": 1} }{1 g {} 123}");
    check(CALLS_MISTRAL, "a [TOOL] [TOOL_CALLS] f g", "a [TOOL] [TOOL_CALLS] f g");
    check(CALLS_MISTRAL, "[TOOL_CALLS]f[ARGS]{\"x\"", "");
}

TEST(deepseek) {
    check(CALLS_DEEPSEEK, "t<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"x\": 1}\n```<｜tool▁call▁end｜>\n"
          "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "t{0 f {\"x\": 1} }{1 g {} }");
    check(CALLS_DEEPSEEK, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "{0 f {\"x\": 1} }");
    check(CALLS_DEEPSEEK, "<｜tool▁calls▁begin｜>x", "<｜tool▁calls▁begin｜>x");
    check(CALLS_NONE, "<tool_call>", "<tool_call>");
}

/* Every beginning of an answer of two calls: the calls that are complete, and not a byte of the others. */
static void check_beginnings(enum call_form form, const char *open, const char *one, const char *between, const char *two, const char *close) {
    struct buf all, out;
    buf_init(&all, 0);
    buf_init(&out, 0);
    buf_printf(&all, "%s%s%s%s%s", open, one, between, two, close);
    size_t begun = strlen(open), first = begun + strlen(one), second = first + strlen(between) + strlen(two);
    struct slice s = buf_get(&all);
    for (size_t n = begun; n <= s.len; n++) {
        if (((unsigned char)s.ptr[n] & 0xC0) == 0x80 && n < s.len) continue; /* characters come whole */
        if (form == CALLS_HERMES && n > first + 14 && n < first + strlen(between)) continue; /* half a mark is text */
        buf_clear(&out);
        NOTE("%.*s", (int)n, s.ptr);
        CHECK_INT(read_it(form, slice_of(s.ptr, n), n, &out), 0);
        CHECK_SLICE(buf_get(&out), slice_str(n < first ? "" : n < second ? "{0 f {\"x\": \"}\"} }" : "{0 f {\"x\": \"}\"} }{1 g {\"y\":[true,-1.5,\"\\u00e9\"]} }"));
    }
    buf_deinit(&all);
    buf_deinit(&out);
}

#define X "{\"x\": \"}\"}"
#define Y "{\"y\":[true,-1.5,\"\\u00e9\"]}"

TEST_NOFAULT(an_answer_that_is_cut_off_has_the_calls_that_are_complete) {
    check_beginnings(CALLS_HERMES, "<tool_call>", "\n{\"name\": \"f\", \"arguments\": " X "}", "\n</tool_call>\n<tool_call>",
                     "\n{\"name\": \"g\", \"arguments\": " Y "}", "\n</tool_call>");
    check_beginnings(CALLS_LLAMA3, "<|python_tag|>", "{\"name\": \"f\", \"parameters\": " X "}", "; ",
                     "{\"name\": \"g\", \"parameters\": " Y "}", "");
    check_beginnings(CALLS_MISTRAL, "[TOOL_CALLS]", "[{\"name\": \"f\", \"arguments\": " X "}", ", ",
                     "{\"name\": \"g\", \"arguments\": " Y "}", "]");
    check_beginnings(CALLS_MISTRAL, "[TOOL_CALLS]", "f[ARGS]" X, "[TOOL_CALLS]", "g[ARGS]" Y, "");
    check_beginnings(CALLS_DEEPSEEK, "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>f<｜tool▁sep｜>" X, "<｜tool▁call▁end｜>\n",
                     "<｜tool▁call▁begin｜>g<｜tool▁sep｜>" Y, "<｜tool▁call▁end｜><｜tool▁calls▁end｜>");
    check(CALLS_LLAMA3, "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"par", "{0 f {} }");
    check(CALLS_LLAMA3, "{\"answer\": 42, \"wh", "{\"answer\": 42, \"wh"); /* without a mark it may be the answer */
    check(CALLS_LLAMA3, "<|python_tag|>print(1)", "<|python_tag|>print(1)");
    check(CALLS_HERMES, "so <tool_call>", "so ");
    check(CALLS_HERMES, "so <tool_c", "so <tool_c");
    check(CALLS_HERMES, "<tool_call> is the mark", "<tool_call> is the mark");
    check(CALLS_HERMES, "<tool_call>{name: \"f", "<tool_call>{name: \"f");
    check(CALLS_MISTRAL, "[TOOL_CALLS] is the mark", "[TOOL_CALLS] is the mark");
    check(CALLS_MISTRAL, "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]", "{0 f {} }");
}

TEST(an_argument_of_glm_that_is_cut_off_is_not_left_out) {
    static const char *const said[] = { "<tool_call>get_wea", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n",
                                        "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool" };
    for (unsigned i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        struct call_reader r;
        struct buf out;
        buf_init(&out, 0);
        NOTE("%s", said[i]);
        call_reader_init(&r, CALLS_GLM, &(struct call_sink){ on_text, on_call, NULL, &out });
        int rc = call_reader_push(&r, slice_str(said[i]));
        if (rc == 0) rc = call_reader_finish(&r, true);
        call_reader_deinit(&r);
        CHECK_INT(rc, 0);
        CHECK_SLICE(buf_get(&out), SLICE(""));
        buf_deinit(&out);
    }
}

TEST(the_template_says_which_form) {
    CHECK_INT(call_form_of(SLICE("")), CALLS_NONE);
    CHECK_INT(call_form_of(SLICE("x <tool_call> y")), CALLS_HERMES);
    CHECK_INT(call_form_of(SLICE("x [TOOL_CALLS] y")), CALLS_MISTRAL);
    CHECK_INT(call_form_of(SLICE("<｜tool▁calls▁begin｜>")), CALLS_DEEPSEEK);
    CHECK_INT(call_form_of(SLICE("<|start_header_id|> '\"parameters\": '")), CALLS_LLAMA3);
    CHECK_INT(call_form_of(SLICE("<|im_start|>")), CALLS_NONE);
    CHECK_INT(call_form_of(SLICE("<tool_call>{name}\n<arg_key>")), CALLS_GLM);
    CHECK_INT(call_form_of(SLICE("<|channel|>analysis<|message|>")), CALLS_HARMONY);
}

TEST(a_call_that_never_ends_is_text) {
    struct buf out, in;
    buf_init(&out, 0);
    buf_init(&in, 0);
    buf_puts(&in, "<tool_call>{\"name\":\"");
    for (unsigned i = 0; i < CALL_READER_MAX / 16 + 10; i++) buf_puts(&in, "0123456789abcdef");
    CHECK_INT(read_it(CALLS_HERMES, buf_get(&in), 65536, &out), 0);
    CHECK(slice_eq(buf_get(&out), buf_get(&in)));
    buf_deinit(&out);
    buf_deinit(&in);
}

TEST_FAULT(no_memory_leaves_nothing_behind) {
    struct buf out;
    buf_init(&out, 0);
    int rc = read_it(CALLS_HERMES, SLICE("a<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"\\n\"},\"id\":\"i\"}</tool_call>b"), 7, &out);
    if (rc == 0) CHECK_SLICE(buf_get(&out), SLICE("a{0 f {\"x\":\"\\n\"} i}b"));
    buf_deinit(&out);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
}
