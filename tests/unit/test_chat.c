/* test_chat.c -- reading a request, and the two splices that a gateway makes. */
#include "llm/chat.h"

#include "unit.h"

static void edit(const struct json_doc *doc, struct slice model, bool usage, struct buf *out, struct chat_asked *asked) {
    struct rope r;
    rope_init(&r, doc->text);
    chat_edit(doc, model, usage, &r, asked);
    rope_write(&r, out);
    rope_deinit(&r);
}

/* Without what was asked for it is what it would be, had nothing been asked for. */
static void taken_back(const struct json_doc *doc, struct slice model, struct slice text, const struct chat_asked *asked) {
    struct buf back, plain;
    struct chat_asked none;
    buf_init(&back, 0);
    buf_init(&plain, 0);
    edit(doc, model, false, &plain, &none);
    CHECK_UINT(none.len, 0);
    buf_slice(&back, slice_of(text.ptr, asked->at));
    buf_puts(&back, asked->was);
    buf_slice(&back, slice_of(text.ptr + asked->at + asked->len, text.len - asked->at - asked->len));
    if (!buf_failed(&back) && !buf_failed(&plain)) CHECK_SLICE(buf_get(&back), buf_get(&plain));
    buf_deinit(&back);
    buf_deinit(&plain);
}

static void edited(const char *text, const char *model, bool usage, const char *expected) {
    struct json_doc doc = { .nodes = NULL };
    struct failure f;
    failure_init(&f);
    CHECK_INT(chat_parse(&doc, slice_str(text), &f), 0);
    struct buf out;
    buf_init(&out, 0);
    struct slice m = slice_str(model);
    if (chat_needs_edit(&doc, m, usage)) {
        struct chat_asked asked;
        edit(&doc, m, usage, &out, &asked);
        if (usage) taken_back(&doc, m, buf_get(&out), &asked);
    } else {
        buf_puts(&out, text);
    }
    const char *got = buf_cstr(&out);
    CHECK(got != NULL);
    CHECK_STR(got, expected);
    buf_deinit(&out);
    json_deinit(&doc);
    failure_deinit(&f);
}

TEST(only_the_model_changes) {
    edited("{\"model\":\"a\", \"x\" : 1e999,\"s\":\"\\ud83d\"}", "b", false,
           "{\"model\":\"b\", \"x\" : 1e999,\"s\":\"\\ud83d\"}");
}

TEST(every_duplicate_of_model_changes_and_no_other) {
    edited("{\"model\":\"a\",\"k\":1,\"model\":\"c\",\"k\":2}", "b", false,
           "{\"model\":\"b\",\"k\":1,\"model\":\"b\",\"k\":2}");
}

TEST(a_missing_model_is_put_in_front) {
    edited("{ \"k\":1}", "b", false, "{\"model\":\"b\", \"k\":1}");
    edited("{}", "b", false, "{\"model\":\"b\"}");
}

TEST(usage_is_asked_whatever_stream_options_say) {
    edited("{\"k\":1}", NULL, true, "{\"stream_options\":{\"include_usage\":true},\"k\":1}");
    edited("{\"stream_options\":null}", NULL, true, "{\"stream_options\":{\"include_usage\":true}}");
    edited("{\"stream_options\":{}}", NULL, true, "{\"stream_options\":{\"include_usage\":true}}");
    edited("{\"stream_options\":{\"a\":1}}", NULL, true, "{\"stream_options\":{\"include_usage\":true,\"a\":1}}");
    edited("{\"stream_options\":{\"include_usage\":false}}", NULL, true,
           "{\"stream_options\":{\"include_usage\":true}}");
}

TEST(what_is_right_already_stays_as_it_is) {
    edited("{\"model\":\"\\u0062\",\"stream_options\":{\"include_usage\":true}}", "b", true,
           "{\"model\":\"\\u0062\",\"stream_options\":{\"include_usage\":true}}");
}

static void refused(const char *text, const char *param, const char *message) {
    struct json_doc doc = { .nodes = NULL };
    struct failure f;
    failure_init(&f);
    struct chat chat;
    CHECK_INT(chat_parse(&doc, slice_str(text), &f), 0);
    CHECK(chat_read_completion(&doc, &chat, &f) != 0);
    CHECK_INT(f.status, 400);
    CHECK_STR(f.param, param);
    CHECK_STR(f.message, message);
    json_deinit(&doc);
    failure_deinit(&f);
}

/* {"model": as many times `letter` ...} */
static void named(const char *letter, size_t times, bool good) {
    struct json_doc doc = { .nodes = NULL };
    struct failure f;
    struct buf text;
    failure_init(&f);
    buf_init(&text, 0);
    buf_puts(&text, "{\"model\":\"");
    for (size_t i = 0; i < times; i++) buf_puts(&text, letter);
    buf_puts(&text, "\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    struct chat chat;
    CHECK_INT(chat_parse(&doc, buf_get(&text), &f), 0);
    CHECK_INT(chat_read_completion(&doc, &chat, &f), good ? 0 : PERILUNE_ERR_INVAL);
    if (!good) CHECK_STR(f.message, "'model' must be a name of at most 512 bytes (byte 9)");
    failure_deinit(&f);
    buf_deinit(&text);
    json_deinit(&doc);
}

TEST_NOFAULT(the_name_of_a_model_has_a_limit) {
    named("m", CHAT_NAME_MAX, true);
    named("m", CHAT_NAME_MAX + 1, false);
    named("\\n", CHAT_NAME_MAX, true);
    named("\\n", CHAT_NAME_MAX + 1, false);
    named("\\u00e9", CHAT_NAME_MAX / 2, true);
    named("\\u00e9", CHAT_NAME_MAX / 2 + 1, false);
    named("\\n", 3500000, false);
}

TEST(errors_name_field_and_offset) {
    refused("{}", "messages", "missing required field 'messages' (byte 0)");
    refused("{\"messages\":{}}", "messages", "'messages' must be an array (byte 12)");
    refused("{\"messages\":[]}", "messages", "'messages' must be an array with at least one message (byte 12)");
    refused("{\"messages\":[{\"role\":\"user\"},7]}", "messages[1]", "'messages[1]' must be an object (byte 29)");
    refused("{\"messages\":[{\"role\":1}]}", "messages[0].role", "'messages[0].role' must be a string (byte 21)");
    refused("{\"model\":1,\"messages\":[{\"role\":\"u\"}]}", "model", "'model' must be a string (byte 9)");
}

TEST(an_estimate_counts_bytes_and_wide_characters) {
    CHECK_INT(text_estimate_tokens(SLICE("abcdefgh")), 2);
    CHECK_INT(text_estimate_tokens(SLICE("\xe6\x9c\x88\xe4\xba\xae\xe6\x9c\x88\xe4\xba\xae")), 4);
    CHECK_INT(text_estimate_tokens(SLICE("")), 0);
}
