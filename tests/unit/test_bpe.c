/* test_bpe.c -- tokens of known texts, limits, bad input.  The answers are tiktoken's. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"
#include "unit.h"

static const char english[] = "It's 12345 o'clock \xE2\x80\x94 don't PANIC!!\n\n  ok";
static const char chinese[] = "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82"
                              "\xE4\xBA\xBA\xE5\xB7\xA5\xE6\x99\xBA\xE8\x83\xBD\xE6\xAD\xA3\xE5\x9C\xA8"
                              "\xE6\x94\xB9\xE5\x8F\x98\xE6\x88\x91\xE4\xBB\xAC\xE7\x9A\x84\xE7\x94\x9F\xE6\xB4\xBB";

static const struct {
    const char *vocab, *text;
    unsigned    flags, n;
    uint32_t    ids[24];
} golden[] = {
    { "o200k_base", "Hello, world!", 0, 4, { 13225, 11, 2375, 0 } },
    { "o200k_base", english, 0, 13,
      { 15834, 220, 7633, 2548, 293, 141801, 2733, 4128, 70284, 2022, 19886, 220, 4763 } },
    { "o200k_base", chinese, 0, 10,
      { 177519, 979, 28428, 788, 47243, 60319, 70104, 182793, 155930, 32479 } },
    { "o200k_base", "<|endoftext|>", 0, 7, { 27, 91, 419, 1440, 919, 91, 29 } },
    { "o200k_base", "<|endoftext|>", BPE_SPECIAL, 1, { 199999 } },
    { "o200k_harmony", "<|start|>", BPE_SPECIAL, 1, { 200006 } },
    { "cl100k_base", "Hello, world!", 0, 4, { 9906, 11, 1917, 0 } },
    { "cl100k_base", english, 0, 15,
      { 2181, 596, 220, 4513, 1774, 297, 63510, 2001, 1541, 956, 73381, 1341, 25833, 220, 5509 } },
    { "cl100k_base", chinese, 0, 19,
      { 57668, 53901, 3922, 3574, 244, 98220, 1811, 17792, 49792, 45114, 118, 27327, 97655, 23226, 75140, 98739,
        9554, 21990, 76706 } },
};

static struct bpe *tokenizer(const char *name) {
    struct vocab *v = vocab_builtin(slice_str(name));
    if (v == NULL) return NULL;
    struct bpe *b = bpe_new(v);
    vocab_put(v);
    return b;
}

TEST_FAULT(golden) {
    for (size_t i = 0; i < sizeof(golden) / sizeof(*golden); i++) {
        struct buf ids, text;
        size_t n;
        struct slice s = slice_str(golden[i].text);
        NOTE("case %zu", i);
        buf_init(&ids, 0);
        buf_init(&text, 0);
        struct bpe *b = tokenizer(golden[i].vocab);
        if (FAULTED(b)) goto done;
        CHECK_NOMEM(bpe_encode(b, s, golden[i].flags, &ids), done);
        CHECK_UINT(buf_len(&ids) / 4, golden[i].n);
        CHECK(memcmp(ids.data, golden[i].ids, golden[i].n * 4) == 0);
        CHECK_NOMEM(bpe_count(b, s, golden[i].flags, BPE_NO_LIMIT, &n), done);
        CHECK_UINT(n, golden[i].n);
        CHECK_NOMEM(bpe_decode(b, golden[i].ids, n, &text), done);
        CHECK_SLICE(buf_get(&text), s);
    done:
        buf_deinit(&ids);
        buf_deinit(&text);
        bpe_free(b);
    }
}

TEST(limit) {
    struct bpe *b = tokenizer("o200k_base");
    size_t n;
    CHECK(b != NULL);
    CHECK_INT(bpe_count(b, slice_str(english), 0, 5, &n), 0);
    CHECK_UINT(n, 6);
    CHECK_INT(bpe_count(b, slice_str(english), 0, 13, &n), 0);
    CHECK_UINT(n, 13);
    CHECK_INT(bpe_count(b, SLICE(""), 0, 0, &n), 0);
    CHECK_UINT(n, 0);
    bpe_free(b);
}

TEST(ill_formed) {
    struct bpe *b = tokenizer("o200k_base");
    struct buf ids;
    size_t n;
    CHECK(b != NULL);
    buf_init(&ids, 0);
    CHECK_INT(bpe_count(b, SLICE("ab\xFF" "cd"), 0, BPE_NO_LIMIT, &n), PERILUNE_ERR_INVAL);
    CHECK_UINT(n, 0);
    CHECK_UINT(bpe_error_offset(b), 2);
    CHECK_INT(bpe_encode(b, SLICE("hello \xED\xA0\x80"), 0, &ids), PERILUNE_ERR_INVAL);
    CHECK_UINT(buf_len(&ids), 0);
    CHECK_UINT(bpe_error_offset(b), 6);
    buf_deinit(&ids);
    bpe_free(b);
}

TEST(names) {
    CHECK(vocab_builtin(SLICE("gpt2")) == NULL);
    for (unsigned i = 0; vocab_builtin_name(i) != NULL; i++) {
        struct vocab *v = vocab_builtin(slice_str(vocab_builtin_name(i)));
        CHECK(v != NULL);
        CHECK_STR(vocab_name(v), vocab_builtin_name(i));
        vocab_put(v);
    }
}

TEST(decode_of_what_is_no_token) {
    static const uint32_t ids[] = { 13225, 199998 }; /* o200k_base has no 199998 */
    struct bpe *b = tokenizer("o200k_base");
    struct buf text;
    CHECK(b != NULL);
    buf_init(&text, 0);
    buf_puts(&text, "before ");
    CHECK_INT(bpe_decode(b, ids, 2, &text), PERILUNE_ERR_INVAL);
    CHECK_SLICE(buf_get(&text), SLICE("before "));
    CHECK_INT(bpe_decode(b, (uint32_t[]){ UINT32_MAX }, 1, &text), PERILUNE_ERR_INVAL);
    CHECK_INT(bpe_decode(b, ids, 1, &text), 0);
    CHECK_SLICE(buf_get(&text), SLICE("before Hello"));
    buf_deinit(&text);
    bpe_free(b);
}

TEST(specials) {
    struct vocab *v = vocab_builtin(SLICE("o200k_harmony"));
    struct slice s;
    CHECK(v != NULL);
    CHECK_UINT(vocab_size(v), 201088);
    CHECK_UINT(vocab_special(v, SLICE("<|start|>")), 200006);
    CHECK_UINT(vocab_special(v, SLICE("<|reserved_201087|>")), 201087);
    CHECK_UINT(vocab_special(v, SLICE("<|reserved_200018|>")), 200018);
    CHECK_UINT(vocab_special(v, SLICE("<|endofprompt|>")), 200018);
    CHECK_UINT(vocab_special(v, SLICE("<|reserved_200002|>")), UINT32_MAX);
    CHECK_UINT(vocab_special(v, SLICE("<|nothing|>")), UINT32_MAX);
    CHECK(vocab_token(v, 200012, &s));
    CHECK_SLICE(s, SLICE("<|call|>"));
    CHECK(!vocab_token(v, 201088, &s));
    vocab_put(v);
}

TEST(nul_is_a_character) {
    struct bpe *b = tokenizer("o200k_base");
    struct buf ids, text;
    CHECK(b != NULL);
    buf_init(&ids, 0);
    buf_init(&text, 0);
    CHECK_INT(bpe_encode(b, SLICE("a\0b\0\0c"), 0, &ids), 0);
    CHECK_INT(bpe_decode(b, (const uint32_t *)(const void *)ids.data, buf_len(&ids) / 4, &text), 0);
    CHECK_SLICE(buf_get(&text), SLICE("a\0b\0\0c"));
    buf_deinit(&ids);
    buf_deinit(&text);
    bpe_free(b);
}

/* Words longer than the cache's, so that every path is taken. */
static void mixed_text(struct buf *out) {
    for (unsigned i = 0; i < 40; i++) {
        buf_puts(out, english);
        buf_puts(out, chinese);
        buf_printf(out, " internationalization%u_of_things\n\n   \tXMLHttpRequest", i);
        for (unsigned k = 0; k < i; k++) buf_puts(out, k % 2 ? "=" : "-");
    }
}

TEST(truncate) {
    struct bpe *b = tokenizer("o200k_base");
    struct buf text;
    size_t all, last = 0;
    CHECK(b != NULL);
    buf_init(&text, 0);
    mixed_text(&text);
    struct slice s = buf_get(&text);
    CHECK_INT(bpe_count(b, s, 0, BPE_NO_LIMIT, &all), 0);
    for (size_t max = 0; max <= all + 1; max += 7) {
        size_t bytes, n;
        NOTE("%zu tokens", max);
        CHECK_INT(bpe_truncate(b, s, max, &bytes), 0);
        CHECK(bytes >= last && bytes <= s.len);
        CHECK(bytes == s.len || ((unsigned char)s.ptr[bytes] & 0xC0) != 0x80);
        CHECK_INT(bpe_count(b, slice_of(s.ptr, bytes), 0, BPE_NO_LIMIT, &n), 0);
        CHECK(n <= max && n + 3 >= (max < all ? max : all)); /* a cut character is three tokens at most */
        last = bytes;
    }
    CHECK_INT(bpe_truncate(b, SLICE("a\xFF"), 5, &all), PERILUNE_ERR_INVAL);
    buf_deinit(&text);
    bpe_free(b);
}

/* White space at the end of a prefix is one piece; within the text its last character
 * goes with what follows, and both together are more tokens. */
TEST(truncate_takes_white_space_that_costs_nothing) {
    static const struct { const char *text; size_t max, bytes; } cases[] = {
        { "  1", 1, 2 }, { "  1", 0, 0 }, { "  1", 2, 2 }, { "a   1 b", 2, 4 }, { "a  b", 1, 1 }, { "a\t\t1", 2, 3 },
        { "\xC3\xA9\xC2\xA0\xC2\xA0\xC3\xA9", 2, 6 },
    };
    struct bpe *b = tokenizer("o200k_base");
    CHECK(b != NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t bytes;
        NOTE("case %zu", i);
        CHECK_INT(bpe_truncate(b, slice_str(cases[i].text), cases[i].max, &bytes), 0);
        CHECK_UINT(bytes, cases[i].bytes);
    }
    bpe_free(b);
}

TEST_FAULT(stream) {
    struct bpe *b = NULL;
    struct bpe_stream *s = NULL;
    struct buf text;
    size_t want, got;
    buf_init(&text, 0);
    mixed_text(&text);
    if (buf_failed(&text)) goto done;
    b = tokenizer("o200k_base");
    if (FAULTED(b)) goto done;
    CHECK_NOMEM(bpe_count(b, buf_get(&text), 0, BPE_NO_LIMIT, &want), done);
    for (size_t step = 1; step < 4000; step = step * 3 + 1) {
        NOTE("step %zu", step);
        s = bpe_stream_new(b);
        if (FAULTED(s)) goto done;
        for (size_t at = 0; at < text.len; at += step)
            CHECK_NOMEM(bpe_stream_feed(s, slice_of(text.data + at, text.len - at < step ? text.len - at : step)), done);
        CHECK_NOMEM(bpe_stream_count(s, &got), done);
        CHECK_UINT(got, want);
        bpe_stream_free(s);
        s = NULL;
    }
done:
    bpe_stream_free(s);
    bpe_free(b);
    buf_deinit(&text);
}

TEST(stream_of_a_cut_character) {
    struct bpe *b = tokenizer("o200k_base");
    struct bpe_stream *s = b ? bpe_stream_new(b) : NULL;
    size_t n;
    CHECK(s != NULL);
    CHECK_INT(bpe_stream_feed(s, SLICE("Hello\xE4\xBD")), 0);
    CHECK_INT(bpe_stream_count(s, &n), 0);
    CHECK_UINT(n, 1);
    CHECK_INT(bpe_stream_feed(s, SLICE("\xA0")), 0);
    CHECK_INT(bpe_stream_count(s, &n), 0);
    CHECK_UINT(n, 2);
    CHECK_INT(bpe_stream_feed(s, SLICE("\xE4\x41")), 0);
    CHECK_INT(bpe_stream_count(s, &n), PERILUNE_ERR_INVAL);
    bpe_stream_free(s);
    bpe_free(b);
}

/* A megabyte of what makes naive merging quadratic.  Linear is below a second even in the
 * slowest build; quadratic would be minutes, and the test's time limit ends it. */
TEST_NOFAULT(worst_cases_are_linear) {
    static const char *const units[] = { "a", "ab", " ", "=", "\n", " \n", "\xE6\xB1\x89", "\xCC\x81", "a'", "A",
                                         "\xF0\x9F\x98\x80", "0", "\xE6\xBC\xA2" "A" };
    struct bpe *b = tokenizer("o200k_base");
    char *text = mem_alloc(1 << 20);
    size_t n;
    CHECK(b != NULL && text != NULL);
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        size_t unit = strlen(units[i]), len = 0;
        NOTE("unit %zu", i);
        for (; len + unit <= 1 << 20; len += unit) memcpy(text + len, units[i], unit);
        CHECK_INT(bpe_count(b, slice_of(text, len), 0, BPE_NO_LIMIT, &n), 0);
        CHECK(n > 0);
    }
    unsigned x = 1;
    for (size_t i = 0; i < 1 << 20; i++) {
        x = x * 1103515245 + 12345;
        text[i] = (char)('a' + (x >> 16) % 26);
    }
    CHECK_INT(bpe_count(b, slice_of(text, 1 << 20), 0, BPE_NO_LIMIT, &n), 0);
    CHECK(n > 400000);
    mem_free(text);
    bpe_free(b);
}
