/* test_stops.c -- the same text and the same end at every split, held back no longer than needed. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "include/perilune.h"
#include "local/stops.h"

#define MAX 8

static unsigned strings_of(const char *const *list, struct slice out[MAX]) {
    unsigned n = 0;
    for (; list[n]; n++) out[n] = slice_str(list[n]);
    return n;
}

/* What a person would do: the string whose end is first, of those the longest. */
static size_t naive(struct slice text, const struct slice *s, unsigned n, int *which) {
    *which = -1;
    for (size_t end = 1; end <= text.len && *which < 0; end++) {
        for (unsigned i = 0; i < n; i++) {
            if (s[i].len > end || memcmp(text.ptr + end - s[i].len, s[i].ptr, s[i].len) != 0) continue;
            if (*which < 0 || s[i].len > s[*which].len) *which = (int)i;
        }
        if (*which >= 0) return end - s[*which].len;
    }
    return text.len;
}

static void check(const struct slice *s, unsigned n, struct slice text) {
    struct stops *stops;
    struct buf out;
    const char *why;
    int which;
    size_t cut = naive(text, s, n, &which);
    CHECK_INT(stops_new(&stops, s, n, &why), 0);
    buf_init(&out, 0);
    for (size_t size = 1; size <= text.len + 1; size++) {
        struct stops_reader r;
        stops_init(&r, stops);
        buf_clear(&out);
        for (size_t at = 0; at < text.len; at += size) {
            CHECK_INT(stops_push(&r, slice_of(text.ptr + at, text.len - at < size ? text.len - at : size), &out), 0);
            CHECK(r.which >= 0 || buf_len(&out) + buf_len(&r.held) == (at + size < text.len ? at + size : text.len));
        }
        CHECK_INT(stops_finish(&r, &out), 0);
        NOTE("\"%.*s\" in pieces of %zu", SLICE_ARG(text), size);
        CHECK_SLICE(buf_get(&out), slice_of(text.ptr, cut));
        CHECK(which < 0 ? r.which < 0 : r.which >= 0 && slice_eq(s[r.which], s[which]));
        stops_deinit(&r);
    }
    buf_deinit(&out);
    stops_free(stops);
}

TEST(the_first_end_wins_at_every_split) {
    static const char *const sets[][MAX] = {
        { "</s>", "<end>", NULL }, { "ab", "b", "abc", NULL }, { "aab", NULL }, { "he", "she", "hers", "his", NULL },
        { "\n\n", "\n", NULL },    { "你好", "好的", NULL },   { NULL },         { "a", "a", NULL }, { "abcd", "bc", NULL } };
    static const char *const texts[] = { "yes </b</s>more", "xxabab", "aaaab", "ushers", "a\n\nb", "说你你好的", "", "plain", "abc",
                                         "abx bcd", "<en<end>", "<end", "</", "你" };
    struct slice s[MAX];
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        for (unsigned k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) check(s, strings_of(sets[i], s), slice_str(texts[k]));
}

TEST_NOFAULT(random_texts_of_few_letters) {
    struct rng rng;
    rng_seed(&rng, 7);
    for (unsigned turn = 0; turn < 3000; turn++) {
        char bytes[MAX][8], text[40];
        struct slice s[MAX];
        unsigned n = 1 + (unsigned)(rng_next(&rng) % 5);
        for (unsigned i = 0; i < n; i++) {
            s[i] = slice_of(bytes[i], 1 + rng_next(&rng) % 6);
            for (size_t k = 0; k < s[i].len; k++) bytes[i][k] = (char)('a' + rng_next(&rng) % 2);
        }
        size_t len = rng_next(&rng) % sizeof(text);
        for (size_t k = 0; k < len; k++) text[k] = (char)('a' + rng_next(&rng) % 3);
        check(s, n, slice_of(text, len));
    }
}

TEST(text_is_held_no_longer_than_it_may_be_a_stop) {
    const struct slice s[] = { SLICE("</s>") };
    struct stops *stops;
    struct stops_reader r;
    struct buf out;
    const char *why;
    CHECK_INT(stops_new(&stops, s, 1, &why), 0);
    stops_init(&r, stops);
    buf_init(&out, 0);
    CHECK_INT(stops_push(&r, SLICE("yes <"), &out), 0);
    CHECK_SLICE(buf_get(&out), SLICE("yes "));
    CHECK_INT(stops_push(&r, SLICE("b"), &out), 0);
    CHECK_SLICE(buf_get(&out), SLICE("yes <b"));
    CHECK_INT(stops_push(&r, SLICE("</s"), &out), 0);
    CHECK_INT(stops_finish(&r, &out), 0);
    CHECK_SLICE(buf_get(&out), SLICE("yes <b</s"));
    stops_deinit(&r);
    buf_deinit(&out);
    stops_free(stops);
}

TEST(bad_stops_are_refused) {
    struct slice many[STOPS_MAX + 1];
    static char text[STOPS_MAX_BYTES + 1];
    struct stops *stops;
    const char *why;
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i <= STOPS_MAX; i++) many[i] = SLICE("x");
    const struct { struct slice s[2]; unsigned n; const char *why; } bad[] = {
        { { SLICE("a"), SLICE("") }, 2, "empty" },
        { { SLICE("\xff") }, 1, "UTF-8" },
        { { SLICE("\xe4\xbd") }, 1, "UTF-8" },
        { { slice_of(text, sizeof(text)) }, 1, "16384" },
        { { slice_of(text, 9000), slice_of(text, 9000) }, 2, "16384" },
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(stops_new(&stops, bad[i].s, bad[i].n, &why), PERILUNE_ERR_INVAL);
        CHECK(stops == NULL && strstr(why, bad[i].why) != NULL);
    }
    CHECK_INT(stops_new(&stops, many, STOPS_MAX + 1, &why), PERILUNE_ERR_INVAL);
    CHECK_INT(stops_new(&stops, many, STOPS_MAX, &why), 0);
    stops_free(stops);
}

/* -- Characters ---------------------------------------------------------------------- */

static void check_hold(const char *bytes, const char *text) {
    struct slice s = slice_str(bytes);
    struct buf out;
    buf_init(&out, 0);
    for (size_t size = 1; size <= s.len; size++) {
        struct utf8_hold h = { .len = 0 };
        buf_clear(&out);
        for (size_t at = 0; at < s.len; at += size) {
            utf8_hold_push(&h, slice_of(s.ptr + at, s.len - at < size ? s.len - at : size), &out);
            CHECK(utf8_valid_prefix(buf_get(&out)) == buf_len(&out) && h.len < 4);
        }
        utf8_hold_finish(&h, &out);
        NOTE("%s in pieces of %zu", text, size);
        CHECK(buf_failed(&out) || slice_eq(buf_get(&out), slice_str(text)));
    }
    buf_deinit(&out);
}

#define BAD "\xEF\xBF\xBD"

TEST(characters_are_never_cut) {
    check_hold("a\xE4\xBD\xA0 \xF0\x9F\x98\x80!", "a你 😀!");
    check_hold("\xE4\xBD", BAD);
    check_hold("\xF0\x9F\x98", BAD);
    check_hold("\xFFx\xC0\x80", BAD "x" BAD BAD);
    check_hold("\xE4\xBDx", BAD "x");
    check_hold("\xE4\xE4\xBD\xA0", BAD "你");
    check_hold("\xED\xA0\x80", BAD BAD BAD);      /* half of a surrogate pair */
    check_hold("\xF4\x90\x80\x80", BAD BAD BAD BAD); /* behind U+10FFFF */
    check_hold("\xE0\x80\x80", BAD BAD BAD);      /* too long a form */
}

TEST_FAULT(no_memory_leaves_nothing_behind) {
    const struct slice s[] = { SLICE("stop"), SLICE("top") };
    struct stops *stops = NULL;
    struct stops_reader r;
    struct buf out;
    const char *why;
    buf_init(&out, 0);
    stops_init(&r, NULL);
    CHECK_NOMEM(stops_new(&stops, s, 2, &why), done);
    stops_init(&r, stops);
    CHECK_NOMEM(stops_push(&r, SLICE("do not st"), &out), done);
    CHECK_NOMEM(stops_push(&r, SLICE("op here"), &out), done);
    CHECK_SLICE(buf_get(&out), SLICE("do not "));
    CHECK_INT(r.which, 0);
done:
    stops_deinit(&r);
    buf_deinit(&out);
    stops_free(stops);
}
