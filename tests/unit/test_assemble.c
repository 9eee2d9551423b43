/* test_assemble.c -- the chunks of a stream, put together: nothing is lost, whatever it is called. */
#include "llm/assemble.h"

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

static int assembled(const char *const *chunks, size_t limit, struct buf *out) {
    struct assemble a;
    struct json_doc d = { .nodes = NULL };
    int rc = 0;
    assemble_init(&a, limit);
    for (int i = 0; chunks[i] != NULL && rc == 0; i++) {
        rc = json_parse(&d, slice_str(chunks[i]), &(struct json_error){ 0 });
        if (rc == 0) rc = assemble_add(&a, &d);
    }
    if (rc == 0) assemble_write(&a, out);
    assemble_deinit(&a);
    json_deinit(&d);
    return rc != 0 ? rc : out->error;
}

static void becomes(const char *const *chunks, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    int rc = assembled(chunks, 1 << 20, &out);
    if (!FAULTED(rc)) {
        CHECK_INT(rc, 0);
        CHECK_SLICE(buf_get(&out), slice_str(expected));
    }
    buf_deinit(&out);
}

#define BECOMES(expected, ...) becomes((const char *const[]){ __VA_ARGS__, NULL }, expected)
#define DELTA(delta) "{\"choices\":[{\"index\":0,\"delta\":" delta "}]}"
/* The message of one choice. */
#define MESSAGE(message) "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":" message ",\"finish_reason\":null}]}"
#define ROLE ",\"role\":\"assistant\""
#define NONE ROLE ",\"content\":null"

TEST_FAULT(texts_grow) {
    BECOMES("{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
            "\"content\":\"a\\nb\"},\"finish_reason\":\"stop\"}],\"usage\":{\"n\":2}}",
            "{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}],\"usage\":{\"n\":1}}",
            DELTA("{\"role\":\"assistant\",\"content\":\"a\\n\"}"),
            "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"n\":2}}",
            "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"usage\":null}", "7");
}

TEST_FAULT(half_of_a_character_waits) {
    BECOMES(MESSAGE("{\"content\":\"\xf0\x9f\x98\x80" "\xef\xbf\xbd\"" ROLE "}"),
            DELTA("{\"content\":\"\\ud83d\"}"), DELTA("{\"content\":\"\\ude00\\ud83d\"}"));
}

TEST_FAULT(the_older_function_call) {
    BECOMES(MESSAGE("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"content\":null}"),
            DELTA("{\"role\":\"assistant\",\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}"),
            DELTA("{\"function_call\":{\"arguments\":\"{\\\"a\\\":1}\"}}"));
}

TEST_FAULT(calls_of_any_kind) {
    BECOMES(MESSAGE("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
                    "{\"id\":\"a\",\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"pin 12\"}},"
                    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{\"x\":12}},"
                    "\"extra_content\":{\"google\":{\"thought_signature\":\"SIG\"}}},"
                    "{\"id\":\"\",\"type\":\"function\",\"function\":{\"name\":\"h\",\"arguments\":\"\"}}]}"),
            DELTA("{\"role\":\"assistant\",\"tool_calls\":null}"),
            DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"a\",\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"pin \"}}]}"),
            DELTA("{\"tool_calls\":[{\"index\":1,\"custom\":{\"input\":\"12\"}},null]}"),
            DELTA("{\"tool_calls\":[{\"index\":2,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{\"x\":12}},"
                  "\"extra_content\":{\"google\":{\"thought_signature\":\"SIG\"}}}]}"),
            DELTA("{\"tool_calls\":[{\"index\":4,\"function\":{\"name\":\"h\"}}]}"));
}

#define CALL(id, name) "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"{\\\"" name
TEST(calls_that_share_an_index_or_have_none) {
    static const char two[] = MESSAGE("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
                                      CALL("a", "f") "\\\":1}\"}}," CALL("b", "g") "\\\":2}\"}}]}");
    BECOMES(two, DELTA("{\"tool_calls\":[" CALL("a", "f") "\\\":1}\"}}]}"), DELTA("{\"tool_calls\":[" CALL("b", "g") "\\\":2}\"}}]}"));
    BECOMES(two, DELTA("{\"tool_calls\":[" CALL("a", "f") "\"}}," CALL("b", "g") "\"}}]}"),
            DELTA("{\"tool_calls\":[{\"function\":{\"arguments\":\"\\\":2}\"}}]}"),
            DELTA("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"arguments\":\"\\\":1}\"}}]}"));
    BECOMES(two, DELTA("{\"tool_calls\":[{\"index\":0," "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"f\\\":1}\"}}]}"),
            DELTA("{\"tool_calls\":[{\"index\":0," "\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"g\\\":2}\"}}]}"));
    /* A name that is said again, and a list that does not begin at 0. */
    BECOMES(two, DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"f\\\":\"}}]}"),
            DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"1}\"}}]}"),
            DELTA("{\"tool_calls\":[{\"index\":2,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"g\\\":2}\"}}]}"));
}

TEST_FAULT(parts_of_the_content) {
    BECOMES(MESSAGE("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"abc\"}]},{\"type\":\"text\",\"text\":\"xyz\"},"
                    "{\"type\":\"reference\",\"reference_ids\":[1]}]" ROLE "}"),
            DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"ab\"}]}]}"),
            DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"c\"}]},{\"type\":\"text\",\"text\":\"x\"}]}"),
            DELTA("{\"content\":\"y\"}"),
            DELTA("{\"content\":[{\"type\":\"text\",\"text\":\"z\"},{\"type\":\"reference\",\"reference_ids\":[1]}]}"));
    BECOMES(MESSAGE("{\"content\":[{\"type\":\"text\",\"text\":\"ab\"}]" ROLE "}"),
            DELTA("{\"content\":\"a\"}"), DELTA("{\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}"));
    BECOMES(MESSAGE("{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]" ROLE "}"),
            DELTA("{\"content\":\"\"}"), DELTA("{\"content\":[]}"), DELTA("{\"content\":\"a\"}"));
}

TEST_FAULT(members_that_nobody_knows) {
    BECOMES(MESSAGE("{\"images\":[{\"url\":\"1\"},7,{\"url\":\"2\"}],\"x\":{\"a\":true,\"s\":\"pq\",\"n\":null},\"k\":\"\"" NONE "}"),
            DELTA("{\"images\":[{\"url\":\"1\"},7],\"x\":{\"a\":1,\"s\":\"p\"},\"k\":\"\"}"),
            DELTA("{\"images\":[{\"url\":\"2\"}],\"x\":{\"a\":true,\"s\":\"q\",\"n\":null}}"));
    BECOMES(MESSAGE("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"abc\",\"index\":0},"
                    "{\"type\":\"reasoning.encrypted\",\"data\":\"xx\",\"index\":1}]" NONE "}"),
            DELTA("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"ab\",\"index\":0}]}"),
            DELTA("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"c\",\"index\":0},{\"type\":\"reasoning.encrypted\",\"data\":\"xx\",\"index\":1}]}"));
    BECOMES(MESSAGE("{\"audio\":{\"id\":\"i\",\"transcript\":\"ab\",\"data\":\"XY\",\"expires_at\":5}" NONE "}"),
            DELTA("{\"audio\":{\"id\":\"i\",\"transcript\":\"a\"}}"), DELTA("{\"audio\":{\"id\":\"i\",\"data\":\"X\"}}"),
            DELTA("{\"audio\":{\"transcript\":\"b\",\"data\":\"Y\",\"expires_at\":5}}"));
}

#define AUDIO(data) DELTA("{\"audio\":{\"data\":\"" data "\"}}")
#define WITH_AUDIO(data) MESSAGE("{\"audio\":{\"data\":\"" data "\"}" NONE "}")
/* Pieces that end with padding, that do not, and one text that was cut anywhere. */
TEST_FAULT(audio_is_one_text_of_base64) {
    BECOMES(WITH_AUDIO("UklGRgAAAA=="), AUDIO("UklGRg=="), AUDIO("AAAA"));
    BECOMES(WITH_AUDIO("YWJj"), AUDIO("YQ=="), AUDIO("Yg=="), AUDIO(""), AUDIO("Yw=="));
    BECOMES(WITH_AUDIO("YWJjZGVmZ2hpag=="), AUDIO("YWI="), AUDIO("Y2RlZmc="), AUDIO("aGlq"));
    BECOMES(WITH_AUDIO("AAECAwQF"), AUDIO("AAEC"), AUDIO("AwQF"));
    BECOMES(WITH_AUDIO("UklGRgAAAA=="), AUDIO("U"), AUDIO("klGR"), AUDIO("g="), AUDIO("=AAA"), AUDIO("A"));
    BECOMES(WITH_AUDIO("+/+/YQ=="), AUDIO("+\\/+\\/"), AUDIO("YQ"), AUDIO("=="));
    BECOMES(WITH_AUDIO("YWE="), AUDIO("YQ=="), AUDIO("YQ"));
    /* What is none: as it came. */
    BECOMES(WITH_AUDIO("data:x,y"), AUDIO("data:"), AUDIO("x,y"));
    BECOMES(WITH_AUDIO("YQ==d=:x"), AUDIO("YQ=="), AUDIO("d=:x"));
    BECOMES(WITH_AUDIO("YQ==a:"), AUDIO("YQ=="), AUDIO("a:"));
    /* Other choices for themselves. */
    BECOMES("{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"audio\":{\"data\":\"YWM=\"}" NONE "},\"finish_reason\":null},"
            "{\"index\":1,\"message\":{\"audio\":{\"data\":\"YmQ=\"}" NONE "},\"finish_reason\":null}]}",
            "{\"choices\":[{\"index\":0,\"delta\":{\"audio\":{\"data\":\"YQ==\"}}},{\"index\":1,\"delta\":{\"audio\":{\"data\":\"Yg==\"}}}]}",
            "{\"choices\":[{\"index\":1,\"delta\":{\"audio\":{\"data\":\"ZA==\"}}},{\"index\":0,\"delta\":{\"audio\":{\"data\":\"Yw==\"}}}]}");
}

/* Azure: the first chunk, and one with the verdicts of filters, are of no answer. */
TEST(who_answered_and_when_is_what_is_said_of_it) {
    BECOMES("{\"id\":\"x\",\"created\":5,\"model\":\"m\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"" ROLE "},"
            "\"finish_reason\":null}]}",
            "{\"id\":\"\",\"created\":0,\"model\":\"\",\"choices\":[]}",
            "{\"id\":\"x\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
            "{\"id\":\"\",\"created\":0,\"model\":\"\",\"choices\":[{\"index\":0}]}");
    BECOMES("{\"created\":0,\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"" ROLE "},\"finish_reason\":null}]}",
            "{\"created\":0,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}");
}

TEST(beside_the_message) {
    BECOMES("{\"id\":\"x\",\"service_tier\":\"flex\",\"f\":{\"a\":1,\"b\":\"v\"},\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
            "\"message\":{\"content\":\"ab\"" ROLE "},\"logprobs\":{\"content\":[{\"t\":1},{\"t\":2}],\"refusal\":null},"
            "\"content_filter_results\":{\"hate\":{\"severity\":\"safe\"}},\"error\":{\"code\":502},\"finish_reason\":\"error\"}]}",
            "{\"id\":\"\",\"service_tier\":null,\"f\":{\"a\":1,\"b\":\"u\"},\"choices\":[]}",
            "{\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"t\":1}],\"refusal\":null},"
            "\"content_filter_results\":{\"hate\":{\"severity\":\"safe\"}}}]}",
            "{\"id\":\"x\",\"service_tier\":\"flex\",\"f\":{\"b\":\"v\"},\"choices\":[{\"delta\":{\"content\":\"b\"},\"logprobs\":{\"content\":[{\"t\":2}]},"
            "\"content_filter_results\":{\"hate\":{\"severity\":\"safe\"}},\"finish_reason\":\"error\",\"error\":{\"code\":502}}]}");
}

TEST(a_message_in_place_of_deltas_or_behind_them) {
    BECOMES(MESSAGE("{\"content\":\"ab\"" ROLE "}"), "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}",
            "{\"choices\":[{\"message\":{\"content\":\"b\"}}]}");
    BECOMES(MESSAGE("{\"content\":\"ab\"" ROLE "}"), DELTA("{\"content\":\"ab\"}"), "{\"choices\":[{\"message\":{\"content\":\"ab\"}}]}");
}

/* -- Limits ---------------------------------------------------------------------------- */

TEST(bytes_and_items_count) {
    struct buf out;
    buf_init(&out, 0);
    const char *const one[] = { DELTA("{\"content\":\"0123456789\"}"), NULL };
    CHECK_INT(assembled(one, 40, &out), PERILUNE_ERR_LIMITED);
    CHECK_INT(assembled(one, 300, &out), 0);
    buf_clear(&out);
    const char *const many[] = { DELTA("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}"), NULL };
    CHECK_INT(assembled(many, 300, &out), PERILUNE_ERR_LIMITED); /* few bytes, of which much memory is made */
    const char *const far[] = { "{\"choices\":[{\"index\":128,\"delta\":{}}]}", NULL };
    CHECK_INT(assembled(far, 1 << 20, &out), PERILUNE_ERR_UPSTREAM);
    buf_deinit(&out);
}

TEST(a_list_of_items_has_an_end) {
    struct buf chunk, out;
    buf_init(&chunk, 0);
    buf_init(&out, 0);
    buf_puts(&chunk, "{\"choices\":[{\"delta\":{");
    for (int i = 0; i <= 1024; i++) buf_printf(&chunk, "%s\"k%d\":0", i ? "," : "", i);
    buf_puts(&chunk, "}}]}");
    const char *const chunks[] = { buf_cstr(&chunk), NULL };
    CHECK_INT(assembled(chunks, 1 << 24, &out), PERILUNE_ERR_LIMITED);
    buf_deinit(&chunk);
    buf_deinit(&out);
}
