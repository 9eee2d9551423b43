/* test_words.c -- questions in a store's own words. */
#include "store/words.h"

#include <string.h>

#include "include/perilune.h"
#include "unit.h"

TEST(words_are_what_was_added) {
    struct words w;
    words_init(&w);
    words_add(&w, SLICE("VSIM"));
    buf_puts(&w.text, "p:");
    words_add(&w, SLICE("key"));
    words_add(&w, SLICE(""));
    words_number(&w, 8);
    words_floats(&w, SLICE("\x00\x01\xff\x81"));
    const struct slice *list = words_get(&w);
    if (list != NULL) {
        static const char floats[] = "\0\0\0\0\0\0\x80\x3f\0\0\x80\xbf\0\0\xfe\xc2"; /* 0, 1, -1, -127 */
        CHECK_UINT(w.count, 5);
        CHECK_SLICE(list[0], SLICE("VSIM"));
        CHECK_SLICE(list[1], SLICE("p:key"));
        CHECK_UINT(list[2].len, 0);
        CHECK_SLICE(list[3], SLICE("8"));
        CHECK_SLICE(list[4], slice_of(floats, 16));
    }
    words_clear(&w);
    for (int i = 0; i < WORDS_MOST; i++) words_add(&w, SLICE("a"));
    if (!buf_failed(&w.text)) CHECK(words_get(&w) != NULL);
    words_add(&w, SLICE("a"));
    CHECK_PTR((void *)(uintptr_t)words_get(&w), NULL);
    words_deinit(&w);
}

TEST(an_answer_comes_apart) {
    struct buf out;
    struct slice word;
    buf_init(&out, 0);
    words_join(&out, SLICE("a:1"));
    words_join(&out, SLICE(""));
    words_join(&out, SLICE("12"));
    if (!buf_failed(&out)) {
        struct slice rest = buf_get(&out);
        CHECK(words_next(&rest, &word));
        CHECK_SLICE(word, SLICE("a:1"));
        CHECK(words_next(&rest, &word));
        CHECK_UINT(word.len, 0);
        CHECK(words_next(&rest, &word));
        CHECK_SLICE(word, SLICE("12"));
        CHECK(!words_next(&rest, &word));
    }
    buf_deinit(&out);
}

TEST_NOFAULT(what_is_no_answer_has_no_words) {
    static const struct slice texts[] = {
        SLICE(""), SLICE(":"), SLICE(":a"), SLICE("1"), SLICE("1:"), SLICE("2:a"), SLICE("x:a"), SLICE("-1:a"),
        SLICE("99999999999999999999999999:a"), SLICE("18446744073709551615:a"), SLICE("1 :a"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct slice rest = texts[i], word;
        CHECK(!words_next(&rest, &word));
        CHECK_UINT(rest.len, texts[i].len);
    }
}

