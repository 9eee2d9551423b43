/* test_chunk.c -- what an event says, found without parsing it. */
#include "llm/chunk.h"

#include "base/hash.h"
#include "base/mem.h"
#include "unit.h"

/* The same with searches that cannot be wrong. */
static bool has(struct slice s, const char *word) { return memmem(s.ptr, s.len, word, strlen(word)) != NULL; }

static bool has_value(struct slice s, const char *key, bool (*is)(const char *v, size_t n)) {
    for (const char *p = s.ptr, *stop = s.ptr + s.len; (p = memmem(p, (size_t)(stop - p), key, strlen(key))) != NULL;) {
        p += strlen(key);
        const char *v = p;
        while (v < stop && strchr(": \t\n\r", *v) != NULL) v++;
        if (is(v, (size_t)(stop - v))) return true;
    }
    return false;
}

static bool is_reason(const char *v, size_t n) {
    return n > 1 && v[0] == '"' && v[1] != '"' && !(n >= 6 && memcmp(v, "\"null\"", 6) == 0);
}

static bool is_other(const char *v, size_t n) { return n == 0 || v[0] != '0'; }

static unsigned slowly(struct slice s) {
    return (has(s, "\"usage\"") ? CHUNK_USAGE : 0u) | (has(s, "\"error\"") ? CHUNK_ERROR : 0u) |
           (has_value(s, "\"finish_reason\"", is_reason) ? CHUNK_FINISH : 0u) |
           (has_value(s, "\"index\"", is_other) ? CHUNK_INDEX : 0u);
}

/* In memory of exactly this size: nobody may look behind it. */
static void looks(struct slice s) {
    char *copy = mem_alloc(s.len + !s.len);
    if (copy == NULL) return;
    memcpy(copy, s.ptr, s.len);
    struct slice exact = slice_of(copy, s.len);
    NOTE("%.*s", SLICE_ARG(s));
    CHECK_UINT(chunk_look(exact), slowly(s));
    mem_free(copy);
}

TEST_NOFAULT(a_look_finds_what_searches_find) {
    static const char *const words[] = { "\"usage\"", "\"error\"", "\"finish_reason\"", "\"index\"", ":", " ", "0", "1",
                                         "\"\"", "\"null\"", "null", "\"stop\"", "\"", "\\\"", "x", "usage", "{}", "\n" };
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        char text[200];
        size_t n = 0;
        for (unsigned k = (unsigned)(rng_next(&rng) % 14); k > 0; k--) {
            const char *w = words[rng_next(&rng) % (sizeof(words) / sizeof(*words))];
            memcpy(text + n, w, strlen(w));
            n += strlen(w);
        }
        looks(slice_of(text, n));
    }
}

TEST_NOFAULT(at_every_place_and_cut_at_every_byte) {
    static const char *const texts[] = { "\"usage\":1", "\"error\":1", "\"finish_reason\": \"stop\"", "\"index\" : 12" };
    for (size_t t = 0; t < sizeof(texts) / sizeof(*texts); t++) {
        for (size_t before = 0; before < 40; before++) {
            char text[100];
            memset(text, 'u', before);
            memcpy(text + before, texts[t], strlen(texts[t]));
            for (size_t n = 0; n <= before + strlen(texts[t]); n++) looks(slice_of(text, n));
        }
    }
}

static void counts(struct chunk_choices *c, const char *text) {
    struct json_doc d = { .nodes = NULL };
    CHECK_INT(json_parse(&d, slice_str(text), &(struct json_error){ 0 }), 0);
    chunk_count(c, &d);
    json_deinit(&d);
}

TEST(choices_are_counted_by_index) {
    struct chunk_choices c = { .asked = 2 };
    CHECK(!chunk_is_complete(&c));
    counts(&c, "{\"choices\":[{\"index\":1,\"finish_reason\":\"stop\"}]}");
    CHECK(!chunk_is_complete(&c));
    counts(&c, "{\"choices\":[{\"index\":0,\"finish_reason\":null},{\"index\":1,\"finish_reason\":\"stop\"}]}");
    CHECK(!chunk_is_complete(&c));
    counts(&c, "{\"choices\":[{\"index\":0,\"finish_reason\":\"length\"}]}");
    CHECK(chunk_is_complete(&c));
    counts(&c, "{\"choices\":[{\"index\":2}]}"); /* one more than asked for */
    CHECK(!chunk_is_complete(&c));
    counts(&c, "{\"choices\":[7,{\"index\":2,\"finish_reason\":\"stop\"}]}");
    CHECK(chunk_is_complete(&c));
    struct chunk_choices none = { .asked = 0 };
    counts(&none, "{\"choices\":{}}");
    counts(&none, "[1]");
    CHECK(!chunk_is_complete(&none));
    counts(&none, "{\"choices\":[{\"finish_reason\":\"stop\"}]}");
    CHECK(chunk_is_complete(&none));
}
