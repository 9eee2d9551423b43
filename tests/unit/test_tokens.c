/* test_tokens.c -- chats against the counts that OpenAI's cookbook publishes and its API
 * confirmed there, and against the templates of open models. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/calibration.h"
#include "tokens/tokens.h"
#include "tokens/tool_text.h"
#include "unit.h"

struct bench {
    struct models *models;
    struct tokens *tokens;
    int            rc;
};

static bool open_bench(struct bench *b) {
    b->models = models_new(NULL);
    b->tokens = b->models ? tokens_new() : NULL;
    return b->tokens != NULL;
}

static void close_bench(struct bench *b) {
    tokens_free(b->tokens);
    models_put(b->models);
}

static struct tokens_ask ask_of(struct bench *b, const char *model) {
    struct tokens_ask a = { .limit = TOKENS_NO_LIMIT };
    models_find(b->models, slice_str(model), &a.model);
    return a;
}

/* The tokens of a body; UINT64_MAX after a failure, which is in b->rc. */
static struct tokens_count count_with(struct bench *b, const struct tokens_ask *a, struct slice body) {
    struct json_doc doc = { .nodes = NULL };
    struct tokens_count n = { UINT64_MAX, false };
    b->rc = json_parse(&doc, body, &(struct json_error){ 0 });
    if (b->rc == 0) b->rc = tokens_body(b->tokens, a, &doc, &n);
    json_deinit(&doc);
    if (b->rc != 0) n.tokens = UINT64_MAX;
    return n;
}

static uint64_t count(struct bench *b, const char *model, const char *body) {
    struct tokens_ask a = ask_of(b, model);
    return count_with(b, &a, slice_str(body)).tokens;
}

/* -- OpenAI ------------------------------------------------------------------------- */

/* The cookbook's conversation. */
static const char corporate[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful, pattern-following assistant that translates "
    "corporate jargon into plain English.\"},{\"role\":\"system\",\"name\":\"example_user\",\"content\":\"New synergies "
    "will help drive top-line growth.\"},{\"role\":\"system\",\"name\":\"example_assistant\",\"content\":\"Things working "
    "well together will increase revenue.\"},{\"role\":\"system\",\"name\":\"example_user\",\"content\":\"Let's circle "
    "back when we have more bandwidth to touch base on opportunities for increased leverage.\"},{\"role\":\"system\","
    "\"name\":\"example_assistant\",\"content\":\"Let's talk later when we're less busy about how to do better.\"},"
    "{\"role\":\"user\",\"content\":\"This late pivot means we don't have time to boil the ocean for the client "
    "deliverable.\"}]}";

#define WEATHER_MESSAGES                                                                                               \
    "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant that can answer to questions about " \
    "the weather.\"},{\"role\":\"user\",\"content\":\"What's the weather like in San Francisco?\"}]"
#define WEATHER_TOOLS                                                                                                    \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_current_weather\",\"description\":\"Get the current " \
    "weather in a given location\",\"parameters\":{\"type\":\"object\",\"properties\":{\"location\":{\"type\":"          \
    "\"string\",\"description\":\"The city and state, e.g. San Francisco, CA\"},\"unit\":{\"type\":\"string\","          \
    "\"description\":\"The unit of temperature to return\",\"enum\":[\"celsius\",\"fahrenheit\"]}},\"required\":"        \
    "[\"location\"]}}}]"

TEST(cookbook_messages) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    CHECK_UINT(count(&b, "gpt-4", corporate), 129);
    CHECK_UINT(count(&b, "gpt-3.5-turbo-0125", corporate), 129);
    CHECK_UINT(count(&b, "gpt-4o", corporate), 124);
    CHECK_UINT(count(&b, "gpt-4o-mini-2024-07-18", corporate), 124);
    CHECK_UINT(count(&b, "gpt-4o", corporate), 124); /* remembered */
done:
    close_bench(&b);
}

TEST(cookbook_tools) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    CHECK_UINT(count(&b, "gpt-4o", "{" WEATHER_MESSAGES "}"), 33);
    CHECK_UINT(count(&b, "gpt-4o", "{" WEATHER_TOOLS "," WEATHER_MESSAGES "}"), 101);
    CHECK_UINT(count(&b, "gpt-4o", "{" WEATHER_TOOLS "," WEATHER_MESSAGES "}"), 101);
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    CHECK(count_with(&b, &a, SLICE("{" WEATHER_MESSAGES "}")).exact);
    CHECK(!count_with(&b, &a, SLICE("{" WEATHER_TOOLS "," WEATHER_MESSAGES "}")).exact);
    CHECK_UINT(count(&b, "gpt-4", "{" WEATHER_TOOLS "," WEATHER_MESSAGES "}"), 105);
done:
    close_bench(&b);
}

/* npm gpt-tokenizer 4.0.0, countChatCompletionTokens for gpt-4o, which does as OpenAI. */
TEST(functions) {
    static const struct { const char *body; unsigned n; } cases[] = {
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", 8 },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\",\"name\":\"bob\"}]}", 10 },
        { "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"\xE4\xBD\xA0\xE5\xA5"
          "\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\"}],\"functions\":[{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
          "{\"type\":\"object\",\"properties\":{}}}]}", 38 },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"functions\":[{\"name\":\"f\",\"parameters\":{\"type\":"
          "\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"integer\",\"description\":\"the b\"},"
          "\"c\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}},\"d\":{\"type\":\"boolean\"},\"e\":{\"type\":"
          "\"object\",\"properties\":{\"x\":{\"type\":\"string\",\"description\":\"deep\"},\"y\":{\"type\":\"object\","
          "\"properties\":{\"z\":{\"type\":\"null\"}},\"required\":[\"z\"]}},\"required\":[\"x\"]}},\"required\":[\"a\","
          "\"e\"]}}]}", 73 },
        { "{\"messages\":[{\"role\":\"system\",\"content\":\"line\\n\"},{\"role\":\"user\",\"content\":\"x\"}],"
          "\"functions\":[{\"name\":\"g\",\"description\":\"two\",\"parameters\":{\"type\":\"object\",\"properties\":"
          "{\"n\":{\"type\":\"number\",\"enum\":[1,2,3]},\"m\":{\"type\":\"array\"},\"o\":{}}}},{\"name\":\"h\","
          "\"description\":\"three\"}],\"function_call\":{\"name\":\"g\"}}", 71 },
        { "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"get_weather\","
          "\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}},{\"role\":\"function\",\"name\":\"get_weather\",\"content\":"
          "\"{\\\"t\\\":20}\"}],\"function_call\":\"none\"}", 28 },
    };
    struct bench b;
    if (!open_bench(&b)) goto done;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) CHECK_UINT(count(&b, "gpt-4o", cases[i].body), cases[i].n);
done:
    close_bench(&b);
}

TEST(tool_calls_and_results) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    /* A tool call is counted as a function_call is. */
    CHECK_UINT(count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","
                                   "\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":"
                                   "\"{\\\"city\\\":\\\"Paris\\\"}\"}}]}]}"),
               count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"assistant\",\"function_call\":{\"name\":\"get_weather\","
                                   "\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}]}"));
    uint64_t with = count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":\"custom\","
                                        "\"custom\":{\"name\":\"sql\",\"description\":\"runs it\"}}]}");
    CHECK(with > 20 && with < 40);
    CHECK_UINT(count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[],\"tool_choice\":\"auto\"}"),
               count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"));
done:
    close_bench(&b);
}

#define IMAGE(url, more) \
    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"" more "}}]}]}"

TEST(images) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    uint64_t bare = count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}");
    CHECK_UINT(bare, 8);
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    /* 320 x 240: one tile */
    struct tokens_count n = count_with(&b, &a, SLICE(IMAGE("data:image/gif;base64,R0lGODlhQAHwAIAAAA==", "")));
    CHECK_UINT(n.tokens, bare + 255);
    CHECK(n.exact);
    n = count_with(&b, &a, SLICE(IMAGE("data:image\\/gif;base64,R0lGODlhQAHwAIAAAA==", ",\"detail\":\"low\"")));
    CHECK_UINT(n.tokens, bare + 85);
    n = count_with(&b, &a, SLICE(IMAGE("https://example.com/x.png", ",\"detail\":\"high\"")));
    CHECK_UINT(n.tokens, bare + 765);
    CHECK(!n.exact);
    n = count_with(&b, &a, SLICE(IMAGE("https://example.com/x.png", ",\"detail\":\"high\""))); /* remembered */
    CHECK(!n.exact);
    a = ask_of(&b, "gpt-4o-mini"); /* the same vocabulary, another rule */
    n = count_with(&b, &a, SLICE(IMAGE("data:image/gif;base64,R0lGODlhQAHwAIAAAA==", "")));
    CHECK_UINT(n.tokens, bare + 8500);
    /* Anthropic's shape; parts that nobody knows */
    CHECK_UINT(count(&b, "claude-sonnet-4-5", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":"
                     "{\"type\":\"base64\",\"media_type\":\"image/gif\",\"data\":\"R0lGODlhQAHwAIAAAA==\"}}]}]}"),
               3 + 3 + 1 + 12 * 9);
    CHECK(count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"hologram\",\"x\":[1,2,3]}]}]}") > 15);
done:
    close_bench(&b);
}

TEST(audio_and_files) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    /* A WAV of 16000 bytes a second; 32 KB of it are two seconds. */
    struct buf body;
    buf_init(&body, 0);
    buf_puts(&body, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"format\":\"wav\",\"data\":\"");
    buf_puts(&body, "UklGRgAAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAAA");
    for (int i = 0; i < 32000 / 3 - 15; i++) buf_puts(&body, "AAAA");
    buf_puts(&body, "\"}}]}]}");
    if (FAULTED(body.error)) goto out;
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    struct tokens_count n = count_with(&b, &a, buf_get(&body));
    if (b.rc == 0) CHECK(n.tokens >= 7 + 19 && n.tokens <= 7 + 21);
    CHECK(!n.exact);
    uint64_t file = count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f1\"}}]}]}");
    if (b.rc == 0) CHECK_UINT(file, 1007);
out:
    buf_deinit(&body);
done:
    close_bench(&b);
}

/* -- Other forms ------------------------------------------------------------------------ */

/* With o200k_base in place of their own vocabularies: the marks are one token each. */
TEST(templates) {
    static const char body[] = "{\"messages\":[{\"role\":\"system\",\"content\":\"You are terse.\"},{\"role\":\"user\",\"content\":"
                               "\"\\n\\n hi \"},{\"role\":\"assistant\",\"content\":\"Paris.\"},{\"role\":\"user\",\"content\":\"ok\"}]}";
    struct bench b;
    if (!open_bench(&b)) goto done;
    /* system 1 + \n 1 + 4; user 1 + "\n\n\n" " hi" " "; assistant 1 + 1 + 2; user 1 + 1 + 1; 3 marks each; 3 for the reply */
    CHECK_UINT(count(&b, "qwen3-8b", body), 4 * 3 + (1 + 1 + 4) + (1 + 3) + (1 + 1 + 2) + (1 + 1 + 1) + 3);
    struct tokens_ask a = ask_of(&b, "qwen3-8b");
    CHECK(!count_with(&b, &a, slice_str(body)).exact);
    /* system 1 + \n\n 1 + 4; user 1 + "\n\n" "hi"; assistant 1 + 1 + 2; user 1 + 1 + 1; 3 marks each; 5 around */
    CHECK_UINT(count(&b, "llama-3.1-8b", body), 4 * 3 + (1 + 1 + 4) + (1 + 1 + 1) + (1 + 1 + 2) + (1 + 1 + 1) + 5);
    /* 4; 1 + "\n\n" " hi" " "; 1 + 2 + 1; 1 + 1; 2 around */
    CHECK_UINT(count(&b, "deepseek-chat", body), 4 + (1 + 3) + (1 + 2 + 1) + (1 + 1) + 2);
    uint64_t harmony = count(&b, "gpt-oss-20b", "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    if (b.rc == 0) CHECK(harmony > 55 && harmony < 85); /* its system message, and ours */
done:
    close_bench(&b);
}

TEST(tools_of_templates) {
    static const char body[] = "{\"model\":\"q\"," WEATHER_TOOLS "," WEATHER_MESSAGES "}";
    static const char *const models[] = { "qwen3", "llama-3", "deepseek-v3", "gpt-oss-120b" };
    struct bench b;
    if (!open_bench(&b)) goto done;
    for (size_t i = 0; i < 4; i++) {
        uint64_t bare = count(&b, models[i], "{" WEATHER_MESSAGES "}"), with = count(&b, models[i], body);
        if (b.rc == 0) CHECK(with > bare + 50 && with < bare + 250);
        CHECK_UINT(count(&b, models[i], body), with);
    }
done:
    close_bench(&b);
}

/* -- Remembering --------------------------------------------------------------------------- */

TEST(a_conversation_that_grows_is_looked_up) {
    struct bench b;
    uint64_t found, counted;
    struct buf body;
    buf_init(&body, 0);
    if (!open_bench(&b)) goto done;
    for (unsigned n = 1; n <= 20; n++) {
        buf_clear(&body);
        buf_puts(&body, "{\"messages\":[");
        for (unsigned i = 0; i < n; i++)
            buf_printf(&body, "%s{\"role\":\"user\",\"content\":\"message number %u of it\"}", i ? "," : "", i);
        buf_puts(&body, "]}");
        if (FAULTED(body.error)) goto done;
        struct tokens_ask a = ask_of(&b, "gpt-4o");
        uint64_t tokens = count_with(&b, &a, buf_get(&body)).tokens;
        if (FAULTED(b.rc)) goto done;
        CHECK_UINT(tokens, 3 + n * (3 + 1 + 6));
    }
    tokens_stats(b.tokens, &found, &counted);
    if (!unit_fault_fired()) CHECK_UINT(counted, 20);
    if (!unit_fault_fired()) CHECK_UINT(found, 190);
done:
    buf_deinit(&body);
    close_bench(&b);
}

/* What is remembered for one vocabulary, form or rule is not used for another. */
TEST_NOFAULT(what_is_remembered_is_not_mixed_up) {
    static const char *const models[] = { "gpt-4o", "gpt-4", "gpt-4o-mini", "qwen3", "llama3", "deepseek", "gpt-oss", "claude" };
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\xE4\xBD\xA0\xE5\xA5\xBD "
                               "antidisestablishmentarianism\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x\"}}]}]}";
    uint64_t alone[8];
    struct bench b;
    for (int i = 0; i < 8; i++) {
        CHECK(open_bench(&b));
        alone[i] = count(&b, models[i], body);
        close_bench(&b);
    }
    CHECK(open_bench(&b));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 8; i++) CHECK_UINT(count(&b, models[i], body), alone[i]);
    close_bench(&b);
}

/* More messages than there are places: counts stay right, memory stays bounded. */
TEST_NOFAULT(forgetting) {
    struct bench b;
    CHECK(open_bench(&b));
    long live = 0;
    for (unsigned i = 0; i < 150000; i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"messages\":[{\"role\":\"user\",\"content\":\"m %03u %03u\"}]}", i % 1000, i / 1000);
        uint64_t n = count(&b, "gpt-4o", body);
        if (n != 3 + 3 + 1 + 5) CHECK_UINT(n, 12);
        if (i == 10) live = mem_live();
    }
    CHECK_INT(mem_live(), live);
    close_bench(&b);
}

/* -- Limits ----------------------------------------------------------------------------------- */

TEST(a_limit_stops) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    for (uint64_t limit = 0; limit < 130; limit++) {
        a.limit = limit;
        uint64_t n = count_with(&b, &a, slice_str(corporate)).tokens;
        if (FAULTED(b.rc)) goto done;
        CHECK_UINT(n, limit < 124 ? limit + 1 : 124);
    }
done:
    close_bench(&b);
}

struct patience { unsigned asked, give_up; };
static bool patient(void *ud) {
    struct patience *p = ud;
    return ++p->asked < p->give_up;
}

static char *megabytes(size_t size, const char *word) {
    char *text = malloc(size + 1);
    size_t n = strlen(word);
    for (size_t i = 0; i < size; i++) text[i] = word[i % n];
    text[size] = '\0';
    return text;
}

TEST_NOFAULT(a_long_text_is_counted_in_pieces) {
    struct bench b;
    struct tokens_count n, whole;
    CHECK(open_bench(&b));
    char *text = megabytes(3000000, "some words, and 123 numbers; \n");
    struct slice s = slice_of(text, 3000000);
    struct patience p = { .give_up = 1000 };
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    a.limit = 10000000;
    CHECK_INT(tokens_text(b.tokens, &a, s, &whole), 0);
    a.limit = 1000; /* stops early */
    CHECK_INT(tokens_text(b.tokens, &a, s, &n), 0);
    CHECK_UINT(n.tokens, 1001);
    a.limit = TOKENS_NO_LIMIT;
    a.go_on = patient;
    a.ud = &p;
    CHECK_INT(tokens_text(b.tokens, &a, s, &n), 0);
    CHECK_UINT(n.tokens, whole.tokens);
    CHECK(p.asked >= 40 && p.asked <= 46);
    p = (struct patience){ .give_up = 3 };
    CHECK_INT(tokens_text(b.tokens, &a, s, &n), PERILUNE_ERR_CANCELED);
    CHECK_UINT(n.tokens, 0);
    CHECK_UINT(p.asked, 3);
    text[2345678] = (char)0xFF;
    CHECK_INT(tokens_text(b.tokens, &a, s, &n), PERILUNE_ERR_INVAL);
    CHECK_UINT(tokens_error_offset(b.tokens), 2345678);
    free(text);
    close_bench(&b);
}

/* -- Bad input ------------------------------------------------------------------------------- */

TEST(text_that_is_not_utf8) {
    struct bench b;
    struct tokens_count n;
    size_t bytes;
    if (!open_bench(&b)) goto done;
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    int rc = tokens_text(b.tokens, &a, SLICE("ab\xC3("), &n);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK_UINT(tokens_error_offset(b.tokens), 2);
    CHECK_INT(tokens_truncate(b.tokens, &a.model, SLICE("\xED\xA0\x80"), 5, &bytes), PERILUNE_ERR_INVAL);
    CHECK_INT(tokens_text(b.tokens, &a, SLICE("a\0b"), &n), 0);
    CHECK_UINT(n.tokens, 3);
    CHECK_INT(tokens_text(b.tokens, &a, SLICE(""), &n), 0);
    CHECK_UINT(n.tokens, 0);
done:
    close_bench(&b);
}

/* Escapes: a lone surrogate is U+FFFD, NUL a character. */
TEST(escapes) {
    struct bench b;
    if (!open_bench(&b)) goto done;
    CHECK_UINT(count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d x\\u0000y\"}]}"),
               count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"\xEF\xBF\xBD x\\u0000y\"}]}"));
    CHECK_UINT(count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"\\u0075ser\",\"content\":\"\\u4f60\"}]}"),
               count(&b, "gpt-4o", "{\"messages\":[{\"role\":\"user\",\"content\":\"\xE4\xBD\xA0\"}]}"));
done:
    close_bench(&b);
}

/* Whatever is in a request, counting it does no harm. */
TEST(shapes_that_make_no_sense) {
    static const char *const bodies[] = {
        "{\"messages\":[{}]}", "{\"messages\":[1,null,\"x\",[]]}", "{\"messages\":[{\"role\":1,\"content\":{\"a\":1},\"name\":[]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[1,[],{},{\"text\":1},{\"image_url\":1},{\"image_url\":{}},{\"input_audio\":[]},"
        "{\"file\":7},{\"type\":\"image\",\"source\":{}},{\"type\":\"tool_use\"},{\"type\":\"tool_result\",\"content\":[{\"text\":\"t\"}]}]}]}",
        "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[1,{},{\"function\":1},{\"function\":{\"arguments\":{\"a\":[]}}}],\"function_call\":{}}]}",
        "{\"messages\":[{\"role\":\"function\"}],\"tools\":[1,{},{\"function\":[]},{\"function\":{\"name\":1,\"description\":2,\"parameters\":3}}]}",
        "{\"messages\":[{\"role\":\"user\"}],\"functions\":[{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":1,\"b\":{\"type\":[\"string\",1,"
        "{\"type\":\"null\"}]},\"c\":{\"anyOf\":[{\"enum\":[]},{\"type\":\"array\",\"items\":[]}]},\"d\":{\"type\":\"object\"}},\"required\":7}}]}",
        "{\"messages\":[],\"tool_choice\":{\"function\":1},\"function_call\":7,\"response_format\":{\"json_schema\":{\"schema\":{\"a\":1}}}}",
        "{\"input\":[[1,2,3],\"ab\",{\"role\":\"user\",\"content\":\"x\"},[[\"deep\"]]]}", "{\"prompt\":\"a b c\"}", "{\"input\":7}",
        "[1,2]", "7", "\"text\"", "{}",
    };
    static const char *const models[] = { "gpt-4o", "qwen3", "llama3", "deepseek", "gpt-oss", "" };
    struct bench b;
    if (!open_bench(&b)) goto done;
    for (size_t m = 0; m < 6; m++)
        for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
            NOTE("%s: %s", models[m], bodies[i]);
            uint64_t n = count(&b, models[m], bodies[i]);
            if (FAULTED(b.rc)) goto done;
            CHECK(n < 10000);
            CHECK_UINT(count(&b, models[m], bodies[i]), n);
        }
    CHECK_UINT(count(&b, "text-embedding-3-small", "{\"input\":[[1,2,3],\"hello world\"]}"), 5);
done:
    close_bench(&b);
}

/* A schema that says the same very often would be gigabytes of TypeScript. */
TEST_NOFAULT(a_schema_that_explodes) {
    struct bench b;
    CHECK(open_bench(&b));
    struct buf body;
    buf_init(&body, 0);
    buf_puts(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":");
    for (int i = 0; i < 40; i++) buf_puts(&body, "{\"type\":[\"object\",\"object\",\"object\",\"object\"],\"properties\":{\"a\":");
    buf_puts(&body, "{}");
    for (int i = 0; i < 40; i++) buf_puts(&body, "}}");
    buf_puts(&body, "}}]}");
    struct tokens_ask a = ask_of(&b, "gpt-4o");
    uint64_t n = count_with(&b, &a, buf_get(&body)).tokens;
    CHECK_INT(b.rc, 0);
    CHECK(n > 100 && n < 100000);
    buf_deinit(&body);
    close_bench(&b);
}

/* -- Models ------------------------------------------------------------------------------------- */

static const char *vocabulary(struct bench *b, const char *name, bool *exact) {
    struct tokens_ask a = ask_of(b, name);
    *exact = a.model.exact;
    return vocab_name(a.model.vocab);
}

TEST(defaults) {
    static const struct { const char *name, *vocab; bool exact; enum chat_form form; } cases[] = {
        { "gpt-3.5-turbo", "cl100k_base", true, FORM_OPENAI }, { "gpt-4", "cl100k_base", true, FORM_OPENAI },
        { "gpt-4-0613", "cl100k_base", true, FORM_OPENAI },    { "gpt-4o", "o200k_base", true, FORM_OPENAI },
        { "gpt-4.1-mini", "o200k_base", true, FORM_OPENAI },   { "gpt-5", "o200k_base", true, FORM_OPENAI },
        { "o1-preview", "o200k_base", true, FORM_OPENAI },     { "o3", "o200k_base", true, FORM_OPENAI },
        { "o4-mini", "o200k_base", true, FORM_OPENAI },        { "chatgpt-4o-latest", "o200k_base", true, FORM_OPENAI },
        { "gpt-oss-20b", "o200k_harmony", true, FORM_HARMONY }, { "openai/gpt-oss-120b", "o200k_harmony", true, FORM_HARMONY },
        { "gpt-9", "o200k_base", false, FORM_OPENAI },         { "Qwen/Qwen2.5-7B-Instruct", "o200k_base", false, FORM_CHATML },
        { "deepseek-chat", "o200k_base", false, FORM_DEEPSEEK }, { "meta-llama/Llama-3.1-8B", "o200k_base", false, FORM_LLAMA3 },
        { "doubao-pro-32k", "o200k_base", false, FORM_OPENAI }, { "claude-sonnet-4-5", "o200k_base", false, FORM_OPENAI },
        { "gemini-2.5-pro", "o200k_base", false, FORM_OPENAI }, { "", "o200k_base", false, FORM_OPENAI },
        { "ft:gpt-4o-mini:acme::x1", "o200k_base", true, FORM_OPENAI }, { "GPT-4O", "o200k_base", true, FORM_OPENAI },
        { "text-embedding-3-large", "cl100k_base", true, FORM_OPENAI }, { "ogre", "o200k_base", false, FORM_OPENAI },
    };
    struct bench b;
    bool exact;
    if (!open_bench(&b)) goto done;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("%s", cases[i].name);
        CHECK_STR(vocabulary(&b, cases[i].name, &exact), cases[i].vocab);
        CHECK_INT(exact, cases[i].exact);
        CHECK_INT(ask_of(&b, cases[i].name).model.form, cases[i].form);
    }
done:
    close_bench(&b);
}

TEST(special_tokens_patterns) {
    struct bench b;
    bool exact;
    char message[300];
    if (!open_bench(&b)) goto done;
    struct models *m = b.models;
    CHECK_NOMEM(models_add(m, "my-*", "cl100k_base", NULL, message, sizeof(message)), done);
    CHECK_NOMEM(models_add(m, "my-llama*", "o200k_base", "llama3", message, sizeof(message)), done);
    CHECK_NOMEM(models_add(m, "*-llama-x", "cl100k_base", NULL, message, sizeof(message)), done);
    CHECK_NOMEM(models_add(m, "my-llama-x", "o200k_harmony", NULL, message, sizeof(message)), done);
    CHECK_NOMEM(models_add(m, "corp/qwen*", "cl100k_base", NULL, message, sizeof(message)), done);
    CHECK_STR(vocabulary(&b, "my-own", &exact), "cl100k_base");
    CHECK(exact);
    CHECK_STR(vocabulary(&b, "My-Llama-7", &exact), "o200k_base");
    CHECK_STR(vocabulary(&b, "my-llama-x", &exact), "o200k_harmony");
    CHECK_STR(vocabulary(&b, "a-llama-x", &exact), "cl100k_base");
    CHECK_STR(vocabulary(&b, "vendor/my-own", &exact), "cl100k_base");
    CHECK_STR(vocabulary(&b, "corp/qwen3", &exact), "cl100k_base");
    CHECK_INT(ask_of(&b, "corp/qwen3").model.form, FORM_CHATML);
    CHECK_INT(ask_of(&b, "my-llama-7").model.form, FORM_LLAMA3);
    CHECK_INT(ask_of(&b, "my-llama-x").model.form, FORM_HARMONY);
    CHECK_STR(vocabulary(&b, "other/qwen3", &exact), "o200k_base");
    CHECK(!exact);
    if (unit_fault_fired()) goto done;
    CHECK_INT(models_add(m, "x", "nonsense", NULL, message, sizeof(message)), PERILUNE_ERR_IO);
    CHECK(strstr(message, "no vocabulary 'nonsense'") != NULL);
    CHECK_INT(models_add(m, "x", "/nonexistent/y.vocab", NULL, message, sizeof(message)), PERILUNE_ERR_IO);
    CHECK(strstr(message, "/nonexistent/y.vocab") != NULL);
    CHECK_INT(models_add(m, "x", "o200k_base", "markdown", message, sizeof(message)), PERILUNE_ERR_INVAL);
done:
    close_bench(&b);
}

/* Another configuration, the same vocabularies: tokenizers and what they know stay. */
TEST(a_second_table_shares) {
    struct bench b;
    struct models *next = NULL;
    if (!open_bench(&b)) goto done;
    CHECK_UINT(count(&b, "gpt-4o", corporate), 124);
    next = models_new(b.models);
    if (FAULTED(next)) goto done;
    CHECK(next != NULL);
    models_done(next);
    tokens_keep(b.tokens, next);
    struct models *old = b.models;
    b.models = next;
    next = NULL;
    models_put(old);
    CHECK_UINT(count(&b, "gpt-4o", corporate), 124);
    uint64_t found, counted;
    tokens_stats(b.tokens, &found, &counted);
    if (!unit_fault_fired()) CHECK_UINT(found, 6);
done:
    models_put(next);
    close_bench(&b);
}

/* -- What upstreams report ---------------------------------------------------------------------- */

static void learn(struct calibration *l, const char *model, uint64_t counted, uint64_t reported, bool own) {
    calibration_add(l, SLICE("up"), slice_str(model), (struct calibration_sample){ counted, reported, own });
}

TEST(learning_an_offset) {
    struct calibration *l = calibration_new();
    bool known = true;
    if (l == NULL) return;
    struct slice up = SLICE("up"), m = SLICE("gpt-4o");
    CHECK(calibration_wants(l, up, m));
    for (unsigned i = 0; i < CALIBRATION_LEAST; i++) {
        CHECK_UINT(calibration_apply(l, up, m, 1000, &known), 1000);
        CHECK(!known);
        learn(l, "gpt-4o", 100 + 50 * i, 124 + 50 * i, true);
    }
    CHECK_UINT(calibration_apply(l, up, m, 1000, &known), 1024);
    CHECK(known);
    CHECK_UINT(calibration_apply(l, up, SLICE("gpt-4"), 1000, &known), 1000);
    CHECK_UINT(calibration_apply(l, SLICE("other"), m, 1000, &known), 1000);
    /* Some wild reports do not change it. */
    learn(l, "gpt-4o", 100, 90000, true);
    learn(l, "gpt-4o", 5000, 3, true);
    for (unsigned i = 0; i < 3; i++) learn(l, "gpt-4o", 800 + i, 824 + i, true);
    CHECK_UINT(calibration_apply(l, up, m, 1000, &known), 1024);
    /* What is new replaces what is old. */
    for (unsigned i = 0; i < CALIBRATION_SAMPLES; i++) learn(l, "gpt-4o", 100 + 90 * i, 92 + 90 * i, true);
    CHECK_UINT(calibration_apply(l, up, m, 1000, &known), 992);
    CHECK_UINT(calibration_apply(l, up, m, 3, &known), 0);
    /* From here on one in 64. */
    unsigned wanted = 0;
    for (unsigned i = 0; i < 640; i++) wanted += calibration_wants(l, up, m);
    CHECK_UINT(wanted, 10);
    calibration_free(l);
}

TEST(learning_a_ratio) {
    struct calibration *l = calibration_new();
    bool known;
    if (l == NULL) return;
    for (unsigned i = 1; i <= 12; i++)
        learn(l, "claude", 100 * i, 120 * i + i % 3, false);
    CHECK_UINT(calibration_apply(l, SLICE("up"), SLICE("claude"), 5000, &known) / 10, 600);
    struct buf out;
    buf_init(&out, 0);
    learn(l, "a\"b\\c\nd", 10, 20, true);
    calibration_write(l, &out);
    if (!buf_failed(&out)) {
        const char *text = buf_cstr(&out);
        CHECK(text == NULL || strstr(text, "perilune_tokens_learned_ratio{upstream=\"up\",model=\"claude\"} 1.2") != NULL);
        CHECK(text == NULL || strstr(text, "perilune_tokens_compared_total{upstream=\"up\",model=\"a\\\"b\\\\c\\nd\"} 1\n") != NULL);
    }
    buf_deinit(&out);
    calibration_free(l);
}

TEST(learning_has_an_end) {
    struct calibration *l = calibration_new();
    bool known;
    if (l == NULL) return;
    for (unsigned i = 0; i < CALIBRATION_MODELS + 10; i++) {
        char name[300];
        memset(name, 'm', sizeof(name));
        int n = snprintf(name, sizeof(name), "%u", i);
        calibration_add(l, SLICE("up"), slice_of(name, i % 2 ? 300 : (size_t)n), (struct calibration_sample){ 10, 20, true });
    }
    CHECK(!calibration_wants(l, SLICE("up"), SLICE("one more")));
    CHECK(calibration_wants(l, SLICE("up"), SLICE("0")));
    learn(l, "one more", 10, 20, true);
    learn(l, "0", 0, 20, true);
    learn(l, "0", UINT64_MAX, 20, true);
    CHECK_UINT(calibration_apply(l, SLICE("up"), SLICE("one more"), 7, &known), 7);
    CHECK(!calibration_wants(NULL, SLICE("up"), SLICE("0")));
    learn(NULL, "0", 1, 2, true);
    calibration_free(l);
}

/* Reports that cannot be: always the same, words instead of tokens, nothing that fits. */
TEST(reports_that_are_not_believed) {
    struct calibration *l = calibration_new();
    bool known = true;
    if (l == NULL) return;
    for (unsigned i = 1; i <= 16; i++) {
        learn(l, "always one", 100 * i, 1, false);
        learn(l, "words", 100 * i, 70 * i, true); /* its own vocabulary: no quotient */
        learn(l, "huge", 10 * i, 4000 * i, false);
        learn(l, "noise", 1000, i * 7919 % 2000 + 1, false);
        learn(l, "words, nearest", 100 * i, 70 * i, false);
    }
    static const char *const models[] = { "always one", "words", "huge", "noise" };
    for (size_t i = 0; i < 4; i++) {
        NOTE("%s", models[i]);
        CHECK_UINT(calibration_apply(l, SLICE("up"), slice_str(models[i]), 500, &known), 500);
        CHECK(!known);
    }
    CHECK_UINT(calibration_apply(l, SLICE("up"), SLICE("words, nearest"), 500, &known), 350);
    calibration_free(l);
}
