/* test_json_alike.c -- whether a text is JSON, found out by what it has in common with the one before it. */
#include "unit.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/json_alike.h"
#include "include/perilune.h"

struct world {
    struct json_alike alike;
    struct json_doc   doc, other;
};

/* It says what json_parse() says. */
static int says(struct world *w, struct slice s) {
    int want = json_parse(&w->other, s, &(struct json_error){ 0 });
    int is = json_alike(&w->alike, &w->doc, s);
    if (is != want && is != PERILUNE_ERR_NOMEM && want != PERILUNE_ERR_NOMEM)
        FAIL("%.*s: %d, expected %d", (int)s.len, s.ptr, is, want);
    return is;
}

static void end(struct world *w) {
    json_alike_deinit(&w->alike);
    json_deinit(&w->doc);
    json_deinit(&w->other);
}

static struct slice chunk(char *to, size_t size, const char *id, const char *text, const char *pad) {
    int n = snprintf(to, size, "{\"id\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}],\"pad\":\"%s\"}",
                     id, text, pad);
    return slice_of(to, (size_t)n);
}

/* How many holes the text that is kept has; more than one is found only with several texts. */
TEST(holes_are_found_by_what_comes) {
    struct world w = { .doc = { .nodes = NULL } };
    char text[512];
    says(&w, chunk(text, sizeof(text), "a", "", "x"));
    says(&w, chunk(text, sizeof(text), "a", "he", "y"));
    says(&w, chunk(text, sizeof(text), "a", "llo", "zz"));
    CHECK_UINT(w.alike.count, 2);
    size_t len = buf_len(&w.alike.text);
    says(&w, chunk(text, sizeof(text), "a", "\\\"\\\\", "\\u00e4"));
    says(&w, chunk(text, sizeof(text), "a", "a longer text than all before, 你好", ""));
    CHECK_UINT(w.alike.count, 2);
    CHECK_UINT(buf_len(&w.alike.text), len); /* it is still the third: the others were not read as a whole */
    says(&w, chunk(text, sizeof(text), "b", "x", "y"));
    says(&w, SLICE("{\"id\":1}"));
    says(&w, SLICE("[]"));
    end(&w);
}

TEST(what_is_no_json_is_none) {
    static const char *const bad[] = { "\\x", "\\", "\x01", "\xff", "\\u12g4", "\"", "a\"b", "\\ud800\xc0", "\",\"x\":1,,\"y\":\"" };
    static const char *const odd[] = { "\",\"x\":1,\"y\":\"", "\\\\", "\\\\\\\"", "}", "\\ud800" };
    for (unsigned place = 0; place < 2; place++) {
        struct world w = { .doc = { .nodes = NULL } };
        char text[512];
        for (int i = 0; i < 3; i++) says(&w, chunk(text, sizeof(text), "a", i == 1 ? "x" : "yy", i == 1 ? "1" : "22"));
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
            CHECK(says(&w, chunk(text, sizeof(text), "a", place ? "x" : bad[i], place ? bad[i] : "x")) != 0);
        for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
            says(&w, chunk(text, sizeof(text), "a", place ? "x" : odd[i], place ? odd[i] : "x"));
        end(&w);
    }
}

/* Cut at each byte, doubled, with each byte another one: json_parse() is right. */
TEST_NOFAULT(it_says_what_the_reader_says) {
    struct world w = { .doc = { .nodes = NULL } };
    static const char letters[] = "\"\\{}[],:0ae \x01\xc3\xa4u";
    struct rng rng;
    char text[512], other[1100];
    rng_seed(&rng, 7);
    for (int round = 0; round < 60000; round++) {
        char id[2] = { (char)('a' + rng_next(&rng) % 2), '\0' };
        struct slice s = chunk(text, sizeof(text), id, rng_next(&rng) % 2 ? "he" : "llo\\\"", rng_next(&rng) % 2 ? "" : "pad");
        memcpy(other, s.ptr, s.len);
        size_t len = s.len, at = rng_next(&rng) % s.len;
        switch (rng_next(&rng) % 6) {
        case 0: len = at; break;
        case 1: other[at] = letters[rng_next(&rng) % (sizeof(letters) - 1)]; break;
        case 2:
            memmove(other + at + 1, other + at, len - at);
            other[at] = letters[rng_next(&rng) % (sizeof(letters) - 1)];
            len++;
            break;
        case 3:
            memcpy(other + len, s.ptr, s.len);
            len += s.len;
            break;
        default: break; /* as it is: half of them are good */
        }
        says(&w, slice_of(other, len));
    }
    end(&w);
}

TEST(a_text_that_is_too_long_is_read_each_time) {
    struct world w = { .doc = { .nodes = NULL } };
    static char text[6000];
    memset(text, ' ', sizeof(text));
    text[0] = text[5999] = '"';
    CHECK(says(&w, slice_of(text, sizeof(text))) <= 0);
    CHECK_UINT(buf_len(&w.alike.text), 0);
    says(&w, slice_of(text, sizeof(text) - 1));
    says(&w, SLICE("1"));
    says(&w, SLICE("12"));
    says(&w, SLICE(""));
    end(&w);
}
