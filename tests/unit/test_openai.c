/* test_openai.c -- answers in OpenAI's dialect, and whole ones told as a stream. */
#include "llm/openai.h"

#include "base/mem.h"
#include "unit.h"

#include <stdio.h>

static const struct usage some = { .known = true, .prompt = 3, .completion = 4, .cached = 1 };

static struct openai_answer answer(void) {
    return (struct openai_answer){ SLICE("id\"1"), SLICE("m\n"), 1700000000, &some };
}

/* What a client's parser sees: valid JSON in each data line, one frame per "\n\n". */
static void check_frames(struct slice s) {
    struct json_doc doc = { .nodes = NULL };
    while (s.len > 0) {
        const char *end = memmem(s.ptr, s.len, "\n\n", 2);
        CHECK(end != NULL);
        struct slice line = slice_of(s.ptr, (size_t)(end - s.ptr));
        CHECK(slice_starts(line, SLICE("data: ")));
        CHECK(memchr(line.ptr, '\n', line.len) == NULL && memchr(line.ptr, '\r', line.len) == NULL);
        int rc = json_parse(&doc, slice_of(line.ptr + 6, line.len - 6), &(struct json_error){ 0 });
        if (FAULTED(rc)) break;
        CHECK_INT(rc, 0);
        CHECK_INT(json_type(&doc, 0), JSON_OBJECT);
        s = slice_of(end + 2, (size_t)(s.ptr + s.len - end - 2));
    }
    json_deinit(&doc);
}

/* expected is compared after the checks: a buffer that failed is fine in a fault run. */
static void wrote(struct buf *out, const char *expected) {
    if (FAULTED(out->error)) {
        buf_deinit(out);
        return;
    }
    CHECK_SLICE(buf_get(out), slice_str(expected));
    buf_deinit(out);
}

TEST_FAULT(a_completion) {
    struct openai_answer a = answer();
    struct buf out;
    buf_init(&out, 0);
    openai_completion(&out, &a, SLICE("say \"hi\"\n\x01\xe2\x82\xac\xff"));
    wrote(&out, "{\"id\":\"id\\\"1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m\\n\","
                "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                "\"content\":\"say \\\"hi\\\"\\n\\u0001\xe2\x82\xac\xef\xbf\xbd\"},\"finish_reason\":\"stop\"}],"
                "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":1}}}");
}

TEST(usage_is_zero_when_nobody_knows) {
    struct openai_answer a = { SLICE("i"), SLICE("m"), 0, NULL };
    struct buf out;
    buf_init(&out, 0);
    openai_chunk_usage(&out, &a);
    wrote(&out, "data: {\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\",\"choices\":[],"
                "\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}\n\n");
}

#define CHUNK "data: {\"id\":\"id\\\"1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\\n\","

TEST_FAULT(a_stream) {
    struct openai_answer a = answer();
    struct buf out;
    buf_init(&out, 0);
    openai_chunk_role(&out, &a);
    openai_chunk_text(&out, &a, SLICE("a\n\nb"));
    openai_chunk_text(&out, &a, SLICE(""));
    openai_chunk_finish(&out, &a);
    openai_chunk_usage(&out, &a);
    if (!buf_failed(&out)) check_frames(buf_get(&out));
    wrote(&out,
          CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
          CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\n\\nb\"},\"finish_reason\":null}]}\n\n"
          CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":null}]}\n\n"
          CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
          CHUNK "\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n");
}

/* Members that OpenAI's API always has are there from the first. */
TEST_FAULT(a_choice_begins) {
    struct openai_answer a = answer();
    struct buf out;
    buf_init(&out, 0);
    openai_choice_role(&out, &a, 0, false);
    openai_choice_role(&out, &a, 3, true);
    wrote(&out,
          CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                "\"logprobs\":null,\"finish_reason\":null}]}\n\n"
          CHUNK "\"choices\":[{\"index\":3,\"delta\":{\"role\":\"assistant\",\"content\":null,\"refusal\":null},"
                "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

TEST_FAULT(an_error_is_an_event_and_no_end) {
    struct failure f;
    struct buf out;
    failure_init(&f);
    failure_set(&f, FAILURE_TRUNCATED, "the upstream said \"no\"\n");
    buf_init(&out, 0);
    struct buf data;
    buf_init(&data, 0);
    openai_chat.write_error(&data, &f);
    dialect_write_event(&out, buf_get(&data));
    if (buf_failed(&data)) out.error = data.error;
    buf_deinit(&data);
    if (!buf_failed(&out)) check_frames(buf_get(&out));
    wrote(&out, "data: {\"error\":{\"message\":\"the upstream said \\\"no\\\"\\n\",\"type\":\"upstream_error\","
                "\"param\":null,\"code\":\"upstream_truncated\"}}\n\n");
    failure_deinit(&f);
}

/* -- A whole answer as a stream ------------------------------------------------------ */

/* NULL: not a completion. */
static void retold(const char *whole, bool usage, const char *expected) {
    struct json_doc doc = { .nodes = NULL };
    struct buf out;
    buf_init(&out, 0);
    int rc = json_parse(&doc, slice_str(whole), &(struct json_error){ 0 });
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    bool told = openai_completion_as_chunks(&out, &doc, usage);
    CHECK(told == (expected != NULL));
    if (told && !buf_failed(&out)) check_frames(buf_get(&out));
    wrote(&out, expected ? expected : "");
    json_deinit(&doc);
}

#define BEGIN "data: {\"object\":\"chat.completion.chunk\""

TEST_FAULT(a_message_becomes_a_delta) {
    retold("{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
           "\"content\":\"\\ud83d\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1},"
           "\"n\":1e999}", false,
           BEGIN ",\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\\ud83d\"},"
           "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"n\":1e999}\n\n");
}

/* Written and read again: ours from numbers, the upstream's own as it is, in one line. */
TEST(usage_of_its_own_event) {
    static const char *const said[][2] = {
        { "", "{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":1}}" },
        { "{\"a\":\n{\"usage\":[]}\r}", "{\"a\": {\"usage\":[]} }" },
    };
    for (int i = 0; i < 2; i++) {
        struct buf out;
        buf_init(&out, 0);
        openai_write_usage(&out, SLICE("\"id\":\"\\\"choices\\\":[],\\\"usage\\\":\","), &some, slice_str(said[i][0]));
        CHECK_SLICE(openai_usage_said(buf_get(&out)), slice_str(said[i][1]));
        buf_deinit(&out);
    }
    CHECK_UINT(openai_usage_said(SLICE("")).len, 0);
    CHECK_UINT(openai_usage_said(SLICE("{}")).len, 0);
}

TEST(usage_has_a_frame_of_its_own_when_asked) {
    retold("{\"usage\":{\"a\":1},\"choices\":[]}", true,
           BEGIN ",\"choices\":[]}\n\n" BEGIN ",\"usage\":{\"a\":1},\"choices\":[]}\n\n");
    retold("{\"usage\":null,\"choices\":[]}", true, BEGIN ",\"choices\":[]}\n\n");
    retold("{\"choices\":[]}", true, BEGIN ",\"choices\":[]}\n\n");
}

TEST(calls_of_tools_get_their_index) {
    retold("{\"choices\":[{\"message\":{\"tool_calls\":[{},{\"id\":\"a\"},{\"index\":7},null]}},"
           "{\"message\":{\"tool_calls\":null}},{\"message\":{}}]}", false,
           BEGIN ",\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0},{\"index\":1,\"id\":\"a\"},{\"index\":7},null]}},"
           "{\"delta\":{\"tool_calls\":null}},{\"delta\":{}}]}\n\n");
    retold("{\"choices\":[{\"message\":{\"tool_calls\":[]}}]}", false,
           BEGIN ",\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}\n\n");
}

TEST(line_ends_of_the_original_do_not_cut_the_frame) {
    retold("{\n \"choices\": [\r\n  {\"message\": {\"content\": \"a\\nb\",\n \"x\": [1,\r\n2]} }\n ]\n}\n", false,
           BEGIN ",\"choices\":[{\"delta\":{\"content\":\"a\\nb\",\"x\":[1,  2]}}]}\n\n");
}

TEST(of_members_that_come_twice_the_last_counts) {
    retold("{\"choices\":[7],\"choices\":[]}", false, BEGIN ",\"choices\":[7],\"choices\":[]}\n\n");
}

TEST(what_is_no_completion_is_told_apart) {
    retold("[]", false, NULL);
    retold("7", false, NULL);
    retold("{}", false, NULL);
    retold("{\"choices\":{}}", false, NULL);
    retold("{\"choices\":[7]}", true, NULL);
    retold("{\"choices\":[{\"text\":\"a\"}]}", false, NULL);
    retold("{\"choices\":[{\"message\":{}},{\"message\":\"a\"}]}", false, NULL);
    retold("{\"choices\":[],\"choices\":1}", false, NULL);
}

/* -- Reading ------------------------------------------------------------------------- */

/* The first text of the first choice. */
static void text_is(const char *text, const char *expected) {
    struct json_doc doc = { .nodes = NULL };
    struct piece_list l = { .items = NULL };
    int rc = json_parse(&doc, slice_str(text), &(struct json_error){ 0 });
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    openai_pieces(&doc, &l);
    NOTE("%s", text);
    bool found = l.len > 0 && l.items[0].kind == PIECE_TEXT;
    if (!FAULTED(l.failed ? PERILUNE_ERR_NOMEM : 0)) {
        CHECK(found == (expected != NULL));
        if (found) CHECK_SLICE(json_raw(&doc, l.items[0].node), slice_str(expected));
        if (found) CHECK(json_str_eq(&doc, l.items[0].name, SLICE("content")));
    }
    piece_list_deinit(&l);
    json_deinit(&doc);
}

TEST_FAULT(the_text_of_an_answer) {
    text_is("{\"choices\":[{\"message\":{\"content\":\"a\"}},{\"message\":{\"content\":\"b\"}}]}", "\"a\"");
    text_is("{\"choices\":[{\"delta\":{\"content\":\"\"}}]}", "\"\"");
    text_is("{\"choices\":[{\"delta\":{\"content\":\"d\"},\"message\":{\"content\":\"m\"}}]}", "\"d\"");
    text_is("{\"choices\":[{\"delta\":{\"content\":[\"a\"]}}]}", "\"a\"");
    static const char *const none[] = {
        "[]", "1", "{}", "{\"choices\":null}", "{\"choices\":[]}", "{\"choices\":{}}", "{\"choices\":[1]}",
        "{\"choices\":[{}]}", "{\"choices\":[{\"delta\":1}]}", "{\"choices\":[{\"delta\":{}}]}",
        "{\"choices\":[{\"delta\":{\"content\":null}}]}", "{\"choices\":[{\"delta\":{\"content\":[{\"a\":\"b\"}]}}]}",
        "{\"choices\":[{\"message\":{\"content\":7}}]}",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) text_is(none[i], NULL);
}

/* All pieces, written down: kind choice.part=string. */
static void pieces_are(const char *text, const char *expected) {
    struct json_doc doc = { .nodes = NULL };
    struct piece_list l = { .items = NULL };
    struct buf out;
    buf_init(&out, 0);
    CHECK_INT(json_parse(&doc, slice_str(text), &(struct json_error){ 0 }), 0);
    openai_pieces(&doc, &l);
    for (unsigned i = 0; i < l.len; i++) {
        const struct piece *p = &l.items[i];
        buf_printf(&out, "%s%s %u.%u", i ? " " : "", p->kind < PIECE_KINDS ? piece_names[p->kind] : p->kind == PIECE_END ? "END" : "TOOL",
                   p->choice, p->part);
        if (p->node != JSON_NONE) buf_printf(&out, "=%.*s", SLICE_ARG(json_plain(&doc, p->node)));
    }
    NOTE("%s", text);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
    buf_deinit(&out);
    piece_list_deinit(&l);
    json_deinit(&doc);
}

TEST_NOFAULT(all_pieces_of_an_answer) {
    pieces_are("{\"choices\":[{\"index\":3,\"delta\":{\"content\":\"a\",\"reasoning\":\"r\",\"refusal\":\"x\"},\"finish_reason\":\"stop\"},"
               "{\"message\":{\"reasoning_content\":\"q\",\"content\":null}}]}",
               "reasoning 3.1=r text 3.0=a refusal 3.0=x END 3.0=stop reasoning 1.0=q");
    pieces_are("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":2,\"function\":{\"arguments\":\"{\"}},{\"id\":\"b\"},7]}}]}",
               "TOOL 0.2 arguments 0.2={ TOOL 0.1");
    pieces_are("{\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"1\"}}}]}", "TOOL 0.4294967295 arguments 0.4294967295=1");
    pieces_are("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"1\"}}],\"refusal\":\"x\",\"content\":\"a\",\"reasoning_content\":\"r\"}}]}",
               "reasoning 0.0=r refusal 0.0=x text 0.0=a TOOL 0.0 arguments 0.0=1");
    pieces_are("{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\"},{\"text\":\"b\"}]}}]}",
               "text 0.0=a text 0.0=b");
    static const char *const open[] = { "\"\"", "\"null\"", "null", "1", "false" };
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"choices\":[{\"index\":0,\"finish_reason\":%s}]}", open[i]);
        pieces_are(text, "");
    }
}

static bool is_odd(const char *text) {
    struct json_doc doc = { .nodes = NULL };
    struct piece_list l = { .items = NULL };
    CHECK_INT(json_parse(&doc, slice_str(text), &(struct json_error){ 0 }), 0);
    openai_pieces(&doc, &l);
    bool odd = l.odd;
    piece_list_deinit(&l);
    json_deinit(&doc);
    return odd;
}

TEST_NOFAULT(something_else_where_a_text_should_be_is_odd) {
    static const char *const odd[] = {
        "\"secret\"", "77", "[{\"choices\":[]}]", "{\"choices\":{\"a\":1}}", "{\"choices\":[7]}",
        "{\"choices\":[{\"delta\":\"s\"}]}", "{\"choices\":[{\"message\":[1]}]}", "{\"choices\":[{\"text\":7}]}",
        "{\"choices\":[1],\"choices\":[]}", "{\"choices\":[{\"delta\":{\"content\":\"s\"},\"delta\":{}}]}",
        "{\"choices\":[{\"delta\":{\"content\":5555}}]}", "{\"choices\":[{\"delta\":{\"content\":{\"text\":\"s\"}}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[7]}}]}", "{\"choices\":[{\"delta\":{\"content\":[{\"text\":{\"value\":\"s\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[{\"text\":\"s\",\"text\":\"\"}]}}]}",
        "{\"choices\":[{\"delta\":{\"reasoning\":{\"a\":1}}}]}", "{\"choices\":[{\"delta\":{\"refusal\":[\"s\"]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":{\"a\":1}}}]}", "{\"choices\":[{\"delta\":{\"tool_calls\":[\"s\"]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":\"s\"}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"s\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"function_call\":\"s\"}}]}", "{\"choices\":[{\"delta\":{\"audio\":\"s\"}}]}",
        "{\"choices\":[{\"delta\":{\"thinking_blocks\":\"s\"}}]}", "{\"choices\":[{\"delta\":{\"reasoning_details\":[\"s\"]}}]}",
        "{\"choices\":[{\"logprobs\":{\"a\":1},\"logprobs\":null}]}", "{\"choices\":[{\"index\":-1}]}",
        "{\"choices\":[{\"index\":\"one\"}]}",
    };
    static const char *const fine[] = {
        "null", "{}", "{\"choices\":null}", "{\"choices\":{}}", "{\"choices\":[]}", "{\"choices\":[{\"delta\":null}]}",
        "{\"choices\":[{\"index\":null}]}",
        "{\"choices\":[{\"delta\":{\"content\":null,\"tool_calls\":{},\"audio\":\"\",\"refusal\":false,\"function_call\":null}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"reference\",\"ids\":[1]}],\"x\":7}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":{\"a\":1}}}]}}]}",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        NOTE("%s", odd[i]);
        CHECK(is_odd(odd[i]));
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
        NOTE("%s", fine[i]);
        CHECK(!is_odd(fine[i]));
    }
}

/* Strings of one lane, one after the other. */
static void joined(const char *const *strings, size_t count, const char *expected) {
    struct piece_half half = { .len = 0 };
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < count; i++) {
        struct json_doc doc = { .nodes = NULL };
        CHECK_INT(json_parse(&doc, slice_str(strings[i]), &(struct json_error){ 0 }), 0);
        piece_decode(&doc, 0, &half, &out);
        json_deinit(&doc);
    }
    piece_decode_rest(&half, &out);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
    buf_deinit(&out);
}

TEST_NOFAULT(characters_in_two_halves) {
    joined((const char *const[]){ "\"a\\ud83d\"", "\"\\ude00b\"" }, 2, "a\xf0\x9f\x98\x80" "b");
    joined((const char *const[]){ "\"\\uD83D\"", "\"\"", "\"\\uDE00\"" }, 3, "\xf0\x9f\x98\x80");
    joined((const char *const[]){ "\"\\ud83d\"", "\"x\"" }, 2, "\xef\xbf\xbdx");
    joined((const char *const[]){ "\"\\ud83d\"" }, 1, "\xef\xbf\xbd");
    joined((const char *const[]){ "\"\\\\ud83d\"", "\"z\"" }, 2, "\\ud83dz"); /* the backslash is a character */
    joined((const char *const[]){ "\"\\ud83d\\ud83d\"", "\"\\ude00\"" }, 2, "\xef\xbf\xbd\xf0\x9f\x98\x80");
}
