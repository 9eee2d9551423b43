/* test_json_canonical.c -- one text for all texts of a value. */
#include "unit.h"

#include <stdio.h>

#include "base/json.h"
#include "include/perilune.h"

static bool skips_stream(const struct json_doc *d, uint32_t key) { return json_str_eq(d, key, SLICE("stream")); }

static void canonical(const char *text, struct buf *out) {
    struct json_doc doc = { .text = SLICE("") };
    struct json_error err;
    buf_init(out, 0);
    CHECK_INT(json_parse(&doc, slice_str(text), &err), 0);
    json_write_canonical(&doc, 0, skips_stream, out);
    CHECK_INT(out->error, 0);
    json_deinit(&doc);
}

static bool same(const char *a, const char *b) {
    struct buf x, y;
    canonical(a, &x);
    canonical(b, &y);
    bool equal = slice_eq(buf_get(&x), buf_get(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return equal;
}

TEST(what_means_the_same_is_the_same) {
    CHECK(same("{\"a\":1,\"b\":[true,null,\"x\"]}", " { \"b\" : [ true , null , \"x\" ] , \"a\" : 1 } "));
    CHECK(same("{\"a\":\"A\\n\\u00e9\"}", "{\"a\":\"\\u0041\\u000a\xC3\xA9\"}"));
    CHECK(same("[{\"x\":{\"b\":1,\"a\":2}}]", "[{\"x\":{\"a\":2,\"b\":1}}]"));
    CHECK(same("{\"a\":1,\"stream\":true}", "{\"stream\":false,\"a\":1}"));
    CHECK(same("\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""));
    CHECK(same("{\"b\":1,\"ab\":2,\"a\":3}", "{\"a\":3,\"ab\":2,\"b\":1}"));
}

TEST(what_does_not_is_not) {
    CHECK(!same("{\"a\":1}", "{\"a\":2}"));
    CHECK(!same("{\"a\":1}", "{\"a\":1.0}"));
    CHECK(!same("{\"a\":1}", "{\"a\":\"1\"}"));
    CHECK(!same("{\"a\":null}", "{}"));
    CHECK(!same("[]", "{}"));
    CHECK(!same("[[],[]]", "[[[]]]"));
    CHECK(!same("[\"a\",\"b\"]", "[\"ab\"]"));
    CHECK(!same("[\"a\",\"b\"]", "[\"b\",\"a\"]"));
    CHECK(!same("{\"a\":{\"stream\":true}}", "{\"a\":{\"stream\":false}}")); /* left out at the top only */
    CHECK(!same("{\"a\":\"b\",\"c\":\"d\"}", "{\"a\":\"d\",\"c\":\"b\"}"));
}

/* What a schema describes is written in its order. */
TEST(order_counts_in_a_schema) {
    CHECK(!same("{\"response_format\":{\"json_schema\":{\"schema\":{\"properties\":{\"why\":{},\"answer\":{}}}}}}",
                "{\"response_format\":{\"json_schema\":{\"schema\":{\"properties\":{\"answer\":{},\"why\":{}}}}}}"));
    CHECK(!same("{\"tools\":[{\"function\":{\"parameters\":{\"properties\":{\"a\":{},\"b\":{}}}}}]}",
                "{\"tools\":[{\"function\":{\"parameters\":{\"properties\":{\"b\":{},\"a\":{}}}}}]}"));
    CHECK(!same("{\"par\\u0061meters\":{\"a\":[{\"x\":1,\"y\":2}]}}", "{\"par\\u0061meters\":{\"a\":[{\"y\":2,\"x\":1}]}}"));
    CHECK(same("{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"a\":1}}}]}",
               "{\"tools\":[{\"function\":{\"parameters\":{\"a\":1},\"name\":\"f\"},\"type\":\"function\"}]}"));
}

TEST(halves_of_characters_are_told_apart) {
    CHECK(!same("\"\\ud800\"", "\"\\udfff\""));
    CHECK(!same("\"\\ud800\"", "\"\\ufffd\""));
    CHECK(!same("\"\\ud800\"", "\"\xEF\xBF\xBD\""));
    CHECK(same("\"\\ud800\"", " \"\\ud800\" "));
}

TEST(a_name_twice_keeps_its_order) {
    CHECK(!same("{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}"));
    CHECK(!same("{\"a\":1,\"\\u0061\":2}", "{\"\\u0061\":2,\"a\":1}"));
    CHECK(same("{\"a\":1,\"b\":0,\"a\":2}", "{\"a\":1, \"b\":0, \"a\":2}"));
}

TEST(many_members_are_sorted) {
    struct buf a, b;
    buf_init(&a, 0);
    buf_init(&b, 0);
    buf_putc(&a, '{');
    buf_putc(&b, '{');
    for (int i = 0; i < 500; i++) {
        buf_printf(&a, "%s\"k%d\":%d", i ? "," : "", i, i);
        buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", 499 - i, 499 - i);
    }
    buf_putc(&a, '}');
    buf_putc(&b, '}');
    CHECK(buf_cstr(&a) != NULL && buf_cstr(&b) != NULL);
    CHECK(same(buf_cstr(&a), buf_cstr(&b)));
    buf_deinit(&a);
    buf_deinit(&b);
}

TEST_FAULT(no_memory_is_said) {
    struct json_doc doc = { .text = SLICE("") };
    struct buf text, out;
    struct json_error err;
    buf_init(&text, 0);
    buf_init(&out, 0);
    for (int i = 0; i < 100; i++) buf_printf(&text, "%s\"k%d\":\"\\n\"", i ? "," : "{", i);
    buf_putc(&text, '}');
    int rc = buf_failed(&text) ? PERILUNE_ERR_NOMEM : json_parse(&doc, buf_get(&text), &err);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    json_write_canonical(&doc, 0, NULL, &out);
    if (!FAULTED(out.error)) CHECK_INT(out.error, 0);
done:
    json_deinit(&doc);
    buf_deinit(&text);
    buf_deinit(&out);
}
