/* test_prefill.c -- a request for the rest of an answer, and that rest as part of it. */
#include "unit.h"

#include "base/buf.h"
#include "llm/prefill.h"

static bool read_chat(struct json_doc *doc, struct chat *c, const char *text) {
    struct json_error e;
    struct failure f;
    failure_init(&f);
    *doc = (struct json_doc){ .len = 0 };
    bool ok = json_parse(doc, slice_str(text), &e) == 0 && chat_read_completion(doc, c, &f) == 0;
    failure_deinit(&f);
    return ok;
}

static bool suits(const char *text) {
    struct json_doc doc;
    struct chat c;
    bool ok = read_chat(&doc, &c, text) && prefill_suits(&doc, &c);
    json_deinit(&doc);
    return ok;
}

#define USER "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

TEST(which_answers_can_go_on) {
    CHECK(suits(USER "}"));
    CHECK(suits(USER ",\"tools\":[],\"n\":1,\"logprobs\":false,\"functions\":null}"));
    CHECK(!suits(USER ",\"n\":2}"));
    CHECK(!suits(USER ",\"tools\":[{}]}"));
    CHECK(!suits(USER ",\"logprobs\":true}"));
    CHECK(!suits(USER ",\"continue_final_message\":true}"));
    CHECK(!suits("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}"));
}

static void check_written(const char *text, enum prefill how, const char *said, const char *want) {
    struct json_doc doc;
    struct chat c;
    struct buf out;
    buf_init(&out, 0);
    if (read_chat(&doc, &c, text)) {
        prefill_write(&doc, &c, how, slice_str(said), &out);
        CHECK(!buf_failed(&out));
        CHECK_SLICE(buf_get(&out), slice_str(want));
    }
    json_deinit(&doc);
    buf_deinit(&out);
}

TEST(the_beginning_is_the_last_message) {
    check_written("{\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}] , \"seed\":1 }",
                  PREFILL_ASSISTANT, "say \"so\"\n",
                  "{\"max_tokens\":97,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
                  "{\"role\":\"assistant\",\"content\":\"say \\\"so\\\"\\n\"}] , \"seed\":1 }");
    check_written(USER ",\"max_completion_tokens\":1}", PREFILL_PREFIX, "一二三",
                  "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"一二三\","
                  "\"prefix\":true}],\"max_completion_tokens\":1}");
    check_written(USER ",\"max_tokens\":null}", PREFILL_CONTINUE, "a",
                  "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"a\"}],"
                  "\"max_tokens\":null,\"continue_final_message\":true,\"add_generation_prompt\":false}");
}

static void check_rest(const char *text, const char *want) {
    struct json_doc doc = { .len = 0 };
    struct json_error e;
    struct buf out;
    buf_init(&out, 0);
    if (json_parse(&doc, slice_str(text), &e) == 0) {
        prefill_write_rest(&doc, SLICE("\"id\":\"one\",\"model\":\"m\","), &out);
        CHECK(!buf_failed(&out));
        CHECK_SLICE(buf_get(&out), slice_str(want));
    }
    json_deinit(&doc);
    buf_deinit(&out);
}

TEST(the_rest_is_of_the_first_answer) {
    check_rest("{\"id\":\"two\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"x\"}}],\"usage\":null}",
               "{\"id\":\"one\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\"usage\":null}");
    check_rest("{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}",
               "{\"id\":\"one\",\"model\":\"m\",\"choices\":[{\"delta\":{}}]}");
    check_rest("{\"choices\":[],\"usage\":{\"total_tokens\":3}}",
               "{\"id\":\"one\",\"model\":\"m\",\"choices\":[],\"usage\":{\"total_tokens\":3}}");
    check_rest("{\"choices\":[1,{\"delta\":5,\"finish_reason\":\"stop\"}]}",
               "{\"id\":\"one\",\"model\":\"m\",\"choices\":[1,{\"delta\":5,\"finish_reason\":\"stop\"}]}");
    check_rest("{\"x\":1}", "{\"id\":\"one\",\"model\":\"m\",\"choices\":[]}");
}
