/* test_questions.c -- what a body asks, as a number. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "request/questions.h"

static bool skips_stream(const struct json_doc *d, uint32_t key) { return json_str_eq(d, key, SLICE("stream")); }

static struct hash128 ask(struct questions *q, const struct cache *c, const char *text) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf scratch;
    buf_init(&scratch, 0);
    buf_puts(&scratch, "in front");
    CHECK_INT(json_parse(&doc, slice_str(text), &err), 0);
    struct hash128 h = questions_hash(q, c, &doc, skips_stream, &scratch);
    CHECK(slice_eq(buf_get(&scratch), SLICE("in front"))); /* nothing is left behind it */
    buf_deinit(&scratch);
    json_deinit(&doc);
    return h;
}

static bool same(struct hash128 a, struct hash128 b) { return a.low == b.low && a.high == b.high; }

TEST_NOFAULT(bodies_that_ask_the_same_are_the_same) {
    struct cache *c = cache_new(0);
    struct questions *q = questions_new();
    struct hash128 first = ask(q, c, "{\"a\":1,\"b\":\"x\"}");
    CHECK(same(ask(q, c, "{\"a\":1,\"b\":\"x\"}"), first)); /* remembered */
    CHECK(same(ask(q, c, "{ \"b\":\"\\u0078\", \"a\":1 }"), first));
    CHECK(same(ask(q, c, "{\"a\":1,\"b\":\"x\",\"stream\":true}"), first));
    CHECK(same(ask(NULL, c, "{\"a\":1,\"b\":\"x\"}"), first)); /* nothing depends on the memory */
    CHECK(!same(ask(q, c, "{\"a\":1,\"b\":\"y\"}"), first));
    CHECK(!same(ask(q, c, "{\"a\":1,\"b\":\"x\",\"c\":null}"), first));
    questions_free(q);
    cache_free(c);
}

TEST_NOFAULT(more_questions_than_there_is_room_for) {
    struct cache *c = cache_new(0);
    struct questions *q = questions_new();
    char text[64];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            snprintf(text, sizeof(text), "{\"question\":%d}", i);
            CHECK(same(ask(q, c, text), ask(NULL, c, text)));
        }
    }
    questions_free(q);
    cache_free(c);
}

TEST_NOFAULT(every_process_has_the_same_numbers) {
    struct cache *a = cache_new(0), *b = cache_new(0);
    CHECK(same(ask(NULL, a, "{\"a\":1}"), ask(NULL, b, "{\"a\":1}")));
    cache_free(a);
    cache_free(b);
}

TEST_NOFAULT(without_memory_nothing_wrong_is_remembered) {
    struct cache *c = cache_new(0);
    struct questions *q = questions_new();
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf scratch;
    buf_init(&scratch, 0);
    CHECK_INT(json_parse(&doc, SLICE("{\"a\":1}"), &err), 0);
    mem_fail_at(1, true);
    questions_hash(q, c, &doc, skips_stream, &scratch);
    mem_fail_at(0, false);
    CHECK(buf_failed(&scratch));
    CHECK(same(ask(q, c, "{\"a\":1}"), ask(NULL, c, "{\"a\":1}")));
    buf_deinit(&scratch);
    json_deinit(&doc);
    questions_free(q);
    cache_free(c);
}
