/* test_batch_line.c -- lines of a batch, which ids there were, and the records of answers. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/batch_ids.h"
#include "jobs/batch_line.h"
#include "jobs/batch_record.h"

#define BODY "{\"model\":\"m\",\"messages\":[]}"

/* -- Lines ------------------------------------------------------------------------------------- */

TEST_FAULT(a_line_is_taken_apart) {
    struct batch_reader r;
    struct batch_line line;
    struct batch_fault f;
    batch_reader_init(&r);
    int rc = batch_line_read(&r, SLICE(" {\"custom_id\":\"\\u6708-1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions?a=b\","
                                       "\"body\": " BODY ",\"note\":1}\r"), &line, &f);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(line.custom_id, SLICE("\xE6\x9C\x88-1"));
    CHECK_SLICE(line.path, SLICE("/v1/chat/completions"));
    CHECK_SLICE(line.query, SLICE("a=b"));
    CHECK_SLICE(line.body, SLICE(BODY));
done:
    batch_reader_deinit(&r);
}

struct wrong {
    const char *line, *code, *param, *message;
    size_t      column;
};

TEST(what_is_wrong_with_a_line_is_said_with_its_place) {
#define REST "\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}"
    static const struct wrong cases[] = {
        { "nonsense", "invalid_json_line", "", "no valid JSON", 1 },
        { "{\"custom_id\":\"a\",", "invalid_json_line", "", "no valid JSON", 18 },
        { "{} {}", "invalid_json_line", "", "no valid JSON", 4 },
        { "[]", "invalid_json_line", "", "no object", 1 },
        { "{" REST, "missing_required_parameter", "custom_id", "\"custom_id\" is missing", 1 },
        { "{\"custom_id\":7," REST, "invalid_type", "custom_id", "must be a text", 14 },
        { "{\"custom_id\":\"\"," REST, "invalid_custom_id", "custom_id", "is empty", 14 },
        { "{\"custom_id\":\"a\",\"method\":\"GET\",\"url\":\"/v1/x\",\"body\":{}}", "invalid_method", "method",
          "must be \"POST\"", 27 },
        { "{\"custom_id\":\"a\",\"url\":\"/v1/x\",\"body\":{}}", "missing_required_parameter", "method", "is missing", 1 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"https://x/v1\",\"body\":{}}", "invalid_url", "url", "a path", 40 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"//x/v1\",\"body\":{}}", "invalid_url", "url", "a path", 40 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x y\",\"body\":{}}", "invalid_url", "url", "a path", 40 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\\r\\nx: y\",\"body\":{}}", "invalid_url", "url", "a path", 40 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":[]}", "invalid_type", "body", "an object", 55 },
        { "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{\"stream\":true}}", "invalid_request",
          "body.stream", "must not be true", 65 },
    };
    struct batch_reader r;
    batch_reader_init(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct batch_line line;
        struct batch_fault f;
        CHECK_INT(batch_line_read(&r, slice_str(cases[i].line), &line, &f), PERILUNE_ERR_INVAL);
        CHECK_STR(f.code, cases[i].code);
        CHECK_STR(f.param, cases[i].param);
        CHECK_UINT(f.column, cases[i].column);
        if (strstr(f.message, cases[i].message) == NULL) FAIL("no '%s' in '%s'", cases[i].message, f.message);
    }
    batch_reader_deinit(&r);
}

TEST(a_line_that_may_stream_and_does_not) {
    struct batch_reader r;
    struct batch_line line;
    struct batch_fault f;
    batch_reader_init(&r);
    CHECK_INT(batch_line_read(&r, SLICE("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{\"stream\":false}}"),
                              &line, &f), 0);
    batch_reader_deinit(&r);
}

TEST(an_id_of_the_greatest_length_and_one_above) {
    struct batch_reader r;
    struct batch_line line;
    struct batch_fault f;
    char text[800], id[BATCH_ID_MAX + 2];
    batch_reader_init(&r);
    for (int more = 0; more < 2; more++) {
        memset(id, 'x', sizeof(id));
        id[BATCH_ID_MAX + more] = '\0';
        int n = snprintf(text, sizeof(text), "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}", id);
        CHECK_INT(batch_line_read(&r, slice_of(text, (size_t)n), &line, &f), more ? PERILUNE_ERR_INVAL : 0);
    }
    CHECK_STR(f.code, "invalid_custom_id");
    batch_reader_deinit(&r);
}

/* -- Ids ------------------------------------------------------------------------------------------ */

TEST_FAULT(ids_are_found_again_among_many) {
    struct batch_ids ids;
    char text[32];
    batch_ids_init(&ids);
    CHECK_PTR(batch_ids_find(&ids, SLICE("x")), NULL);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "id-%u", i);
        struct batch_id *id = batch_ids_add(&ids, slice_str(text));
        if (FAULTED(id)) goto done;
        CHECK(id != NULL && id->line == 0);
        id->line = i + 1;
    }
    CHECK_UINT(ids.count, 3000);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "id-%u", i);
        struct batch_id *id = batch_ids_find(&ids, slice_str(text));
        CHECK(id != NULL && id->line == i + 1);
        CHECK_PTR(batch_ids_add(&ids, slice_str(text)), id);
    }
    CHECK_PTR(batch_ids_find(&ids, SLICE("id-3000")), NULL);
done:
    batch_ids_deinit(&ids);
}

/* -- Records ---------------------------------------------------------------------------------------- */

struct written {
    struct buf  text, id;
    struct rng  rng;
};

static void begin(struct written *w) {
    buf_init(&w->text, 0);
    buf_init(&w->id, 0);
    rng_seed(&w->rng, 7);
}

static void end(struct written *w) {
    buf_deinit(&w->text);
    buf_deinit(&w->id);
}

static bool holds(const struct written *w, const char *part) {
    return memmem(buf_get(&w->text).ptr, buf_len(&w->text), part, strlen(part)) != NULL;
}

/* It is one line of JSON, and what is read of it is what was written. */
static void check_record(struct written *w, struct slice id, int status) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error e;
    struct slice s = buf_get(&w->text);
    int got;
    CHECK(s.len > 0 && memchr(s.ptr, '\n', s.len) == s.ptr + s.len - 1);
    CHECK_INT(json_parse(&doc, s, &e), 0);
    json_deinit(&doc);
    size_t head = s.len < BATCH_RECORD_HEAD ? s.len : BATCH_RECORD_HEAD;
    CHECK(batch_record_read(slice_of(s.ptr, head), &w->id, &got));
    CHECK_SLICE(buf_get(&w->id), id);
    CHECK_INT(got, status);
    for (size_t n = 1; n < s.len; n++) CHECK(batch_record_is_torn(slice_of(s.ptr, n)));
}

TEST(a_record_is_one_line_whatever_the_answer_is) {
    struct written w;
    begin(&w);
    batch_record_write(&w.text, &(struct batch_record){ .custom_id = SLICE("a\"\n\xE6\x9C\x88"), .request_id = SLICE("q"),
                                                        .status = 200, .body = SLICE("{\r\n  \"a\": \"\\n\"\n}\n") }, &w.rng);
    CHECK(holds(&w, ",\"response\":{\"status_code\":200,\"request_id\":\"q\",\"body\":{    \"a\": \"\\n\" } },\"error\":null}\n"));
    check_record(&w, SLICE("a\"\n\xE6\x9C\x88"), 200);
    end(&w);
}

TEST(an_answer_that_is_text_is_a_string) {
    struct written w;
    begin(&w);
    batch_record_write(&w.text, &(struct batch_record){ .custom_id = SLICE("a"), .request_id = SLICE("q"), .status = 200,
                                                        .body = SLICE("line\n\xE4\xBD\xA0\n") }, &w.rng);
    CHECK(holds(&w, "\"body\":\"line\\n\xE4\xBD\xA0\\n\"},\"error\":null}"));
    check_record(&w, SLICE("a"), 200);
    end(&w);
}

TEST(an_answer_that_is_neither_is_named) {
    struct written w;
    begin(&w);
    batch_record_write(&w.text, &(struct batch_record){ .custom_id = SLICE("a"), .request_id = SLICE("q"), .status = 200,
                                                        .body = SLICE("\xFF\xFB\x90") }, &w.rng);
    CHECK(holds(&w, "\"body\":null},\"error\":{\"code\":\"not_text\""));
    check_record(&w, SLICE("a"), 200);
    end(&w);
}

TEST(a_line_that_nobody_answered) {
    struct written w;
    begin(&w);
    batch_record_write(&w.text, &(struct batch_record){ .custom_id = SLICE("a"), .code = "timeout", .message = "no \"answer\"" },
                       &w.rng);
    CHECK(holds(&w, "\"response\":null,\"error\":{\"code\":\"timeout\",\"message\":\"no \\\"answer\\\"\"}}\n"));
    check_record(&w, SLICE("a"), 0);
    end(&w);
}

TEST(the_longest_id_is_read_from_the_head) {
    struct written w;
    char id[BATCH_ID_MAX];
    begin(&w);
    memset(id, 1, sizeof(id)); /* six bytes each in JSON */
    batch_record_write(&w.text, &(struct batch_record){ .custom_id = slice_of(id, sizeof(id)), .request_id = SLICE("q"),
                                                        .status = 503, .body = SLICE("{}") }, &w.rng);
    check_record(&w, slice_of(id, sizeof(id)), 503);
    end(&w);
}

TEST(other_lines_are_no_records) {
    static const char *const lines[] = {
        "", "{}", "{\"id\":\"batch_req_1\"}", "{\"id\":\"x\",\"custom_id\":\"a\",\"response\":null",
        "{\"id\":\"batch_req_1\",\"custom_id\":7,\"response\":null", "{\"id\":\"batch_req_1\",\"custom_id\":\"\\q\",\"response\":null",
        "{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":{\"status_code\":2x0",
        "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}",
    };
    struct buf id;
    int status;
    buf_init(&id, 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        CHECK(!batch_record_read(slice_str(lines[i]), &id, &status));
    CHECK(!batch_record_is_torn(SLICE("{\"custom_id\"")));
    buf_deinit(&id);
}
