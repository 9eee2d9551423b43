/* test_tool_calls.c -- which call of a tool a piece of an answer belongs to. */
#include "llm/tool_calls.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

/* Lists of calls, one an event, and the number of each call: "0 1|0". */
static void numbered(const char *const *lists, const char *expected) {
    struct tool_calls t = { .seen = NULL };
    struct json_doc d = { .nodes = NULL };
    char got[200] = "";
    size_t n = 0;
    for (int i = 0; lists[i] != NULL; i++) {
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s", i ? "|" : "");
        int rc = json_parse(&d, slice_str(lists[i]), &(struct json_error){ 0 });
        if (FAULTED(rc)) goto out;
        CHECK_INT(rc, 0);
        struct tool_call_at at = { .among = d.nodes[0].count };
        for (uint32_t c = json_first(&d, 0); c != JSON_NONE; c = json_next(&d, 0, c), at.place++) {
            unsigned number;
            at.call = c;
            rc = tool_calls_find(&t, &d, &at, &number);
            if (FAULTED(rc)) goto out;
            CHECK_INT(rc, 0);
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%u", at.place ? " " : "", number);
        }
    }
    CHECK_STR(got, expected);
out:
    json_deinit(&d);
    tool_calls_deinit(&t);
}

#define NUMBERED(expected, ...) numbered((const char *const[]){ __VA_ARGS__, NULL }, expected)
#define CALL(id, name) "{\"id\":\"" id "\",\"function\":{\"name\":\"" name "\"}}"
#define AT(index, id, name) "{\"index\":" index ",\"id\":\"" id "\",\"function\":{\"name\":\"" name "\"}}"

TEST_FAULT(an_index_says_it_all) {
    NUMBERED("0|1|0|1|2", "[" AT("0", "a", "f") "]", "[" AT("1", "b", "f") "]", "[{\"index\":0}]", "[{\"index\":1}]",
             "[" AT("7", "c", "f") "]");
    NUMBERED("0 1|1 0", "[{\"index\":3},{\"index\":4}]", "[{\"index\":4},{\"index\":3}]");
}

TEST(ids_tell_calls_of_one_index_apart) {
    NUMBERED("0|1|1", "[" AT("0", "a", "f") "]", "[" AT("0", "b", "f") "]", "[{\"index\":0}]");
    NUMBERED("0|1|0", "[" AT("0", "a", "f") "]", "[" AT("0", "b", "g") "]", "[{\"index\":0,\"id\":\"a\"}]");
}

TEST(the_same_id_at_two_indices_is_two_calls) {
    NUMBERED("0|1|0|1", "[" AT("0", "x", "f") "]", "[" AT("1", "x", "f") "]", "[{\"index\":0,\"id\":\"x\"}]",
             "[{\"index\":1,\"id\":\"x\"}]");
}

TEST(an_id_made_up_for_each_piece_begins_nothing) {
    NUMBERED("0|0|0", "[" AT("0", "a", "f") "]", "[{\"index\":0,\"id\":\"b\"}]", "[{\"index\":0,\"id\":\"c\",\"function\":{}}]");
}

TEST(a_name_that_is_said_again_begins_nothing) {
    NUMBERED("0|0", "[" AT("0", "a", "f") "]", "[" AT("0", "a", "f") "]");
    NUMBERED("0|0", "[{\"index\":0,\"function\":{\"name\":\"f\"}}]", "[{\"index\":0,\"function\":{\"name\":\"f\"}}]");
}

TEST(without_index) {
    NUMBERED("0|0|1|1", "[" CALL("a", "f") "]", "[{}]", "[" CALL("b", "g") "]", "[{}]");
    NUMBERED("0|1|0|0", "[" CALL("a", "f") "]", "[" CALL("b", "f") "]", "[{\"id\":\"a\"}]", "[{}]");
    NUMBERED("0 1|1", "[" CALL("a", "f") "," CALL("b", "f") "]", "[{}]");
    NUMBERED("0 1|0 1|1", "[{},{}]", "[{},{}]", "[{}]");
    NUMBERED("0|1", "[{\"function\":{\"name\":\"f\"}}]", "[{\"custom\":{\"name\":\"g\"}}]");
}

TEST(an_id_may_come_late) {
    NUMBERED("0|0|0", "[{\"index\":0}]", "[" AT("0", "a", "f") "]", "[{\"index\":0}]");
    NUMBERED("0|0|1", "[{\"index\":0,\"id\":null}]", "[{\"index\":0,\"id\":\"\"}]", "[{\"index\":1,\"id\":5}]");
}

TEST(there_are_not_more_than_a_limit) {
    struct tool_calls t = { .seen = NULL };
    struct json_doc d = { .nodes = NULL };
    unsigned number = 0;
    int rc = 0;
    for (int i = 0; i <= TOOL_CALLS_MAX && rc == 0; i++) {
        char text[40];
        snprintf(text, sizeof(text), "{\"index\":%d}", i);
        CHECK_INT(json_parse(&d, slice_str(text), &(struct json_error){ 0 }), 0);
        rc = tool_calls_find(&t, &d, &(struct tool_call_at){ .among = 1 }, &number);
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK_UINT(number, TOOL_CALLS_MAX - 1);
    json_deinit(&d);
    tool_calls_deinit(&t);
}
