/* test_json_stream.c -- the same values at every split, and none too early. */
#include "unit.h"

#include "include/perilune.h"
#include "llm/json_stream.h"

struct seen {
    struct buf text; /* path=value; for each */
    int        stop_at, count;
};

static int see(void *ud, const struct json_scalar *s) {
    struct seen *k = ud;
    buf_slice(&k->text, s->path);
    buf_putc(&k->text, '=');
    buf_slice(&k->text, s->text);
    buf_putc(&k->text, ';');
    return ++k->count == k->stop_at ? -77 : 0;
}

/* Feeds pieces of n bytes; what was seen stays in k. */
static int run(struct slice s, size_t n, const struct json_stream_limits *limits, struct seen *k, struct json_error *error) {
    struct json_stream j;
    int rc = 0;
    json_stream_init(&j, limits);
    buf_clear(&k->text);
    k->count = 0;
    for (size_t at = 0; at < s.len && rc == 0; at += n)
        rc = json_stream_feed(&j, slice_of(s.ptr + at, s.len - at < n ? s.len - at : n), see, k);
    if (rc == 0) rc = json_stream_finish(&j, see, k);
    if (error) *error = j.error;
    json_stream_deinit(&j);
    return rc;
}

static void expect(const char *text, const char *values) {
    struct seen k = { .count = 0 };
    buf_init(&k.text, 0);
    struct slice s = slice_str(text);
    for (size_t n = 1; n <= s.len; n++) {
        NOTE("%s in pieces of %zu", text, n);
        int rc = run(s, n, NULL, &k, NULL);
        if (unit_fault_fired()) break;
        CHECK_INT(rc, 0);
        CHECK_SLICE(buf_get(&k.text), slice_str(values));
    }
    buf_deinit(&k.text);
}

static void refuse(const char *text, const char *message, size_t offset) {
    struct seen k = { .count = 0 };
    buf_init(&k.text, 0);
    struct slice s = slice_str(text);
    for (size_t n = 1; n <= s.len + 1; n++) {
        struct json_error e = { 0 };
        NOTE("%s in pieces of %zu", text, n);
        CHECK_INT(run(s, n, NULL, &k, &e), PERILUNE_ERR_INVAL);
        CHECK_STR(e.message, message);
        CHECK_UINT(e.offset, offset);
    }
    buf_deinit(&k.text);
}

TEST(scalars_with_their_paths) {
    expect("{\"title\":\"Moon\",\"n\":12,\"tags\":[\"a\",\"b\"],\"deep\":{\"x\":[{\"y\":null},true]}}",
           "/title=\"Moon\";/n=12;/tags/0=\"a\";/tags/1=\"b\";/deep/x/0/y=null;/deep/x/1=true;");
    expect(" [ 1 , -2.5e3 ,[ ] , { } , false ] ", "/0=1;/1=-2.5e3;/2=[];/3={};/4=false;");
    expect("{\"a\":{\"b\":{}},\"c\":[[],[[]]]}", "/a/b={};/c/0=[];/c/1/0=[];");
}

TEST(a_scalar_alone) {
    expect("42", "=42;");
    expect(" \"s\" ", "=\"s\";");
    expect("null", "=null;");
    expect("[]", "=[];");
}

TEST(keys_are_decoded_and_escaped_for_the_path) {
    expect("{\"a/b\":1,\"c~d\":2,\"\":3,\"\\u00e9\\\"\":4}", "/a~1b=1;/c~0d=2;/=3;/\xc3\xa9\"=4;");
}

TEST(strings_with_everything_in_them) {
    expect("[\"\\\\\",\"\\\"\",\"\\u4f60\xe5\xa5\xbd\",\"{[,:]}\",\"\\ud83d\\ude00\"]",
           "/0=\"\\\\\";/1=\"\\\"\";/2=\"\\u4f60\xe5\xa5\xbd\";/3=\"{[,:]}\";/4=\"\\ud83d\\ude00\";");
}

TEST(nothing_is_given_out_too_early) {
    struct seen k = { .count = 0 };
    buf_init(&k.text, 0);
    struct json_stream j;
    json_stream_init(&j, NULL);
    json_stream_feed(&j, SLICE("{\"op\":\"Delete"), see, &k);
    CHECK_INT(k.count, 0);
    json_stream_feed(&j, SLICE("IfEmpty\""), see, &k);
    CHECK_SLICE(buf_get(&k.text), SLICE("/op=\"DeleteIfEmpty\";"));
    json_stream_feed(&j, SLICE(",\"n\":1"), see, &k);
    CHECK_INT(k.count, 1);
    json_stream_feed(&j, SLICE("2"), see, &k);
    CHECK_INT(k.count, 1);
    json_stream_feed(&j, SLICE("}"), see, &k);
    CHECK_SLICE(buf_get(&k.text), SLICE("/op=\"DeleteIfEmpty\";/n=12;"));
    CHECK(json_stream_is_done(&j));
    CHECK_INT(json_stream_finish(&j, see, &k), 0);
    json_stream_deinit(&j);
    buf_deinit(&k.text);
}

TEST(what_is_no_json_is_refused_where_it_stands) {
    refuse("{\"a\":tru}", "unexpected character", 5);
    refuse("[01]", "number with leading zero", 1);
    refuse("[1,]", "a value is expected", 3);
    refuse("[,1]", "a value is expected", 1);
    refuse("{\"a\" 1}", "a colon is expected", 5);
    refuse("{a:1}", "a key in quotes is expected", 1);
    refuse("{\"a\":1,}", "a key in quotes is expected", 7);
    refuse("[1}", "the wrong bracket closes", 2);
    refuse("[1 2]", "a comma or the end is expected", 3);
    refuse("[1] x", "something stands behind the value", 4);
    refuse("[\"a\nb\"]", "control character in string", 3);
    refuse("[\"\\x\"]", "unknown escape in string", 2);
    refuse("[\"\xff\"]", "invalid UTF-8", 2);
    refuse("]", "a value is expected", 0);
    refuse("[1", "the text ends too early", 2);
    refuse("{\"a\":\"b", "the text ends too early", 7);
    refuse("-", "digit expected in number", 1);
    refuse("", "the text ends too early", 0);
}

TEST(seeking_finds_the_value_in_chatter) {
    const struct json_stream_limits seek = { .seek = true };
    struct seen k = { .count = 0 };
    buf_init(&k.text, 0);
    struct slice s = SLICE("Sure! Here it is:\n```json\n{\"a\": 1}\n```\nAnything else? ]}\x01");
    for (size_t n = 1; n <= s.len; n++) {
        CHECK_INT(run(s, n, &seek, &k, NULL), 0);
        CHECK_SLICE(buf_get(&k.text), SLICE("/a=1;"));
    }
    struct json_error e;
    CHECK_INT(run(SLICE("I cannot do that."), 3, &seek, &k, &e), PERILUNE_ERR_INVAL);
    CHECK_STR(e.message, "there is no { or [");
    buf_deinit(&k.text);
}

TEST(limits) {
    struct seen k = { .count = 0 };
    struct json_error e;
    buf_init(&k.text, 0);
    for (size_t n = 1; n < 20; n++) {
        CHECK_INT(run(SLICE("[[[1]]]"), n, &(struct json_stream_limits){ .max_depth = 2 }, &k, &e), PERILUNE_ERR_LIMITED);
        CHECK_UINT(e.offset, 2);
        CHECK_INT(run(SLICE("[[1],[[]]]"), n, &(struct json_stream_limits){ .max_depth = 3 }, &k, &e), 0);
        CHECK_INT(run(SLICE("[1,2,3]"), n, &(struct json_stream_limits){ .max_size = 6 }, &k, &e), PERILUNE_ERR_LIMITED);
        CHECK_STR(e.message, "longer than max_size");
        CHECK_SLICE(buf_get(&k.text), SLICE("/0=1;/1=2;"));
        CHECK_INT(run(SLICE("[1,2,3]"), n, &(struct json_stream_limits){ .max_size = 7 }, &k, &e), 0);
        CHECK_INT(run(SLICE("[\"12345678\"]"), n, &(struct json_stream_limits){ .max_value = 9 }, &k, &e), PERILUNE_ERR_LIMITED);
        CHECK_STR(e.message, "a value is over max_value");
        CHECK_INT(run(SLICE("[\"12345678\"]"), n, &(struct json_stream_limits){ .max_value = 10 }, &k, &e), 0);
    }
    buf_deinit(&k.text);
}

TEST(who_looks_may_stop_it_and_failures_stay) {
    struct seen k = { .stop_at = 2 };
    struct json_stream j;
    buf_init(&k.text, 0);
    json_stream_init(&j, NULL);
    CHECK_INT(json_stream_feed(&j, SLICE("[1,2,3,4]"), see, &k), -77);
    CHECK_INT(k.count, 2);
    CHECK_INT(json_stream_feed(&j, SLICE("[1]"), see, &k), -77);
    CHECK_INT(json_stream_finish(&j, see, &k), -77);
    CHECK_INT(k.count, 2);
    json_stream_deinit(&j);
    buf_deinit(&k.text);
}

TEST_FAULT(out_of_memory_is_said) {
    struct seen k = { .count = 0 };
    buf_init(&k.text, 0);
    int rc = run(SLICE("{\"key\":[\"value\",{\"other\":1.5}]}"), 4, NULL, &k, NULL);
    if (!FAULTED(rc)) CHECK_INT(rc, 0);
    buf_deinit(&k.text);
}
