/* test_sayings.c -- what an answer says, told apart for who reads along (llm/sayings.c). */
#include "llm/sayings.h"

#include "base/mem.h"
#include "unit.h"

static struct sayings_scratch scratch;

static void put(struct buf *b, struct slice s) {
    buf_putc(b, '[');
    buf_slice(b, s);
    buf_putc(b, ']');
}

static void on_said(void *ud, const struct saying *s) {
    static const char *const names[] = { "text", "reasoning", "refusal", "call", "end" };
    struct buf *b = ud;
    buf_printf(b, " %s%u", names[s->kind], s->choice);
    if (s->kind == SAYING_CALL) {
        put(b, s->id);
        put(b, s->name);
    }
    put(b, s->text);
}

/* Events, one a line, end of the answer. */
static void check(const char *events, const char *want) {
    struct sayings s;
    struct buf out;
    int rc = 0;
    NOTE("%s", events);
    buf_init(&out, 0);
    sayings_init(&s, &openai_chat, 1000, &scratch);
    while (*events && rc == 0) {
        size_t len = strcspn(events, "\n");
        rc = sayings_read(&s, slice_of(events, len), on_said, &out);
        if (rc == PERILUNE_ERR_INVAL) {
            buf_puts(&out, " -");
            rc = 0;
        }
        events += len + (events[len] == '\n');
    }
    if (rc == 0) rc = sayings_finish(&s, on_said, &out);
    if (FAULTED(rc)) goto done;
    if (rc != 0) buf_printf(&out, " %d", rc);
    if (!buf_failed(&out)) CHECK_SLICE(buf_get(&out), slice_str(want));
done:
    sayings_deinit(&s);
    sayings_scratch_deinit(&scratch);
    buf_deinit(&out);
}

#define DELTA(members) "{\"choices\":[{\"index\":0,\"delta\":{" members "},\"finish_reason\":null}]}\n"
#define OTHER(members) "{\"choices\":[{\"index\":1,\"delta\":{" members "},\"finish_reason\":null}]}\n"
#define END(reason) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n"

TEST_FAULT(a_stream) {
    check(DELTA("\"role\":\"assistant\",\"content\":\"\"") DELTA("\"content\":\"Hel\"") DELTA("\"content\":\"lo\"")
          END("stop") "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n[DONE]",
          " text0[Hel] text0[lo] end0[stop] -");
    check(DELTA("\"reasoning_content\":\"hm\"") DELTA("\"content\":\"\\u4f60\\u597d\"") END("length"),
          " reasoning0[hm] text0[\xe4\xbd\xa0\xe5\xa5\xbd] end0[length]");
    check(DELTA("\"refusal\":\"no\"") END("stop"), " refusal0[no] end0[stop]");
    check("", "");
    check("nonsense\n[]\n{}\n{\"choices\":7}\n{\"choices\":[7,null]}", " -");
}

TEST_FAULT(a_character_that_is_cut) {
    check(DELTA("\"content\":\"a\\ud83d\"") DELTA("\"content\":\"\\ude00b\"") END("stop"),
          " text0[a] text0[\xf0\x9f\x98\x80" "b] end0[stop]");
    check(DELTA("\"content\":\"a\\ud83d\"") END("stop"), " text0[a] text0[\xef\xbf\xbd] end0[stop]");
    check(DELTA("\"content\":\"a\\ud83d\""), " text0[a] text0[\xef\xbf\xbd]");
    check(DELTA("\"content\":\"\\ud83d\"") OTHER("\"content\":\"x\"") DELTA("\"content\":\"\\ude00\""),
          " text1[x] text0[\xf0\x9f\x98\x80]");
}

#define CALL(i, members) DELTA("\"tool_calls\":[{\"index\":" i "," members "}]")

TEST_FAULT(calls_are_told_whole) {
    check(CALL("0", "\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}")
          CALL("0", "\"function\":{\"arguments\":\"{\\\"x\\\"\"}") CALL("1", "\"id\":\"b\",\"function\":{\"name\":\"g\"}")
          CALL("0", "\"function\":{\"arguments\":\":1}\"}") CALL("1", "\"function\":{\"arguments\":\"{}\"}")
          END("tool_calls"),
          " call0[a][f][{\"x\":1}] call0[b][g][{}] end0[tool_calls]");
    /* All with index 0, told apart by their ids; arguments that are an object. */
    check(CALL("0", "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}")
          CALL("0", "\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":{}}"),
          " call0[a][f][{\"x\":1}] call0[b][f][{}]");
    /* Of older servers; of other kinds. */
    check(DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}") DELTA("\"function_call\":{\"arguments\":\"}\"}")
          END("function_call"), " call0[][f][{}] end0[function_call]");
    check(CALL("0", "\"id\":\"c\",\"type\":\"custom\",\"custom\":{\"name\":\"sh\",\"input\":\"ls\"}"), " call0[c][sh][ls]");
    /* A character of the arguments is cut. */
    check(CALL("0", "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\\ud83d\"}")
          CALL("0", "\"function\":{\"arguments\":\"\\ude00\"}"), " call0[a][f][\xf0\x9f\x98\x80]");
    check(CALL("0", "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":null}"), " call0[a][f][]");
}

TEST_FAULT(several_choices) {
    check(DELTA("\"content\":\"a\"") OTHER("\"content\":\"b\"") END("stop") OTHER("\"content\":\"c\"")
          OTHER("\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"),
          " text0[a] text1[b] end0[stop] text1[c] call1[i][f][{}]");
}

TEST_FAULT(a_whole_answer) {
    check("{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"reasoning\":\"r\",\"content\":\"t\","
          "\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
          "{\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"},"
          "{\"index\":1,\"message\":{\"content\":\"u\"},\"finish_reason\":\"stop\"}],\"usage\":{}}",
          " reasoning0[r] text0[t] call0[a][f][{}] call0[b][f][{}] end0[tool_calls] text1[u] end1[stop]");
    check("{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}}]}",
          " text0[a] text0[b]");
}

TEST_FAULT(what_is_said_twice) {
    check(DELTA("\"reasoning\":\"r\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"r\"}]"),
          " reasoning0[r]");
    check(DELTA("\"reasoning_content\":\"r\",\"reasoning\":\"r\"") DELTA("\"reasoning_content\":\"s\",\"reasoning\":\"s\""),
          " reasoning0[r] reasoning0[s]");
    check(DELTA("\"reasoning_content\":\"\",\"reasoning\":\"r\""), " reasoning0[r]");
    check("{\"choices\":[{\"delta\":{\"content\":\"lo\"},\"message\":{\"content\":\"Hello\"}}]}", " text0[lo]");
    check(DELTA("\"reasoning_details\":[{\"index\":1,\"text\":\"b\"},{\"index\":0,\"text\":\"a\"}]"),
          " reasoning0[b] reasoning0[a]");
}

TEST_FAULT(calls_have_a_limit) {
    struct sayings s;
    struct buf text, out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_puts(&text, "{\"choices\":[{\"message\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"");
    for (int i = 0; i < 2000; i++) buf_putc(&text, 'x');
    buf_puts(&text, "\"}},\"finish_reason\":\"stop\"}]}");
    sayings_init(&s, &openai_chat, 1000, &scratch);
    if (!buf_failed(&text)) {
        int rc = sayings_read(&s, buf_get(&text), on_said, &out);
        if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_LIMITED);
        CHECK_INT(sayings_read(&s, SLICE("{}"), on_said, &out), rc); /* what is missing stays missing */
        CHECK_INT(buf_len(&out), 0);
    }
    sayings_deinit(&s);
    sayings_scratch_deinit(&scratch);
    buf_deinit(&text);
    buf_deinit(&out);
}

TEST_FAULT(too_many_choices) {
    struct sayings s;
    struct buf text, out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_puts(&text, "{\"choices\":[");
    for (int i = 0; i < 3000; i++) buf_printf(&text, "%s{\"delta\":{\"content\":\"x\"}}", i ? "," : "");
    buf_puts(&text, "]}");
    sayings_init(&s, &openai_chat, 1000, &scratch);
    if (!buf_failed(&text)) {
        int rc = sayings_read(&s, buf_get(&text), on_said, &out);
        if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    }
    sayings_deinit(&s);
    sayings_scratch_deinit(&scratch);
    buf_deinit(&text);
    buf_deinit(&out);
}

TEST(of_other_dialects_nothing_is_told) {
    struct sayings s;
    struct buf out;
    buf_init(&out, 0);
    sayings_init(&s, NULL, 1000, &scratch);
    CHECK_INT(sayings_read(&s, SLICE("{\"choices\":[]}"), on_said, &out), PERILUNE_ERR_INVAL);
    sayings_deinit(&s);
    sayings_scratch_deinit(&scratch);
    sayings_init(&s, &openai_embeddings, 1000, &scratch);
    CHECK_INT(sayings_read(&s, SLICE("{\"data\":[]}"), on_said, &out), PERILUNE_ERR_INVAL);
    CHECK_INT(sayings_finish(&s, on_said, &out), 0);
    sayings_deinit(&s);
    sayings_scratch_deinit(&scratch);
    buf_deinit(&out);
}
