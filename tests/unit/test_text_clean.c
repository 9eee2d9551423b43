/* test_text_clean.c -- duplicates, JSON, escape sequences, base64. */
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"
#include "text/dups.h"
#include "text/json_minify.h"
#include "text/noise.h"

#include "unit.h"

/* -- Duplicates ----------------------------------------------------------------------- */

static void dedupe_with(struct text_dedupe_options o, const char *text, const char *expected) {
    struct text_dedupe_result r;
    struct buf out;
    buf_init(&out, 0);
    int rc = text_dedupe(slice_str(text), &o, &out, &r);
    if (FAULTED(rc)) {
        CHECK_UINT(out.len, 0);
        goto done;
    }
    CHECK_INT(rc, 0);
    NOTE("text: %s", text);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

static void dedupe(const char *text, const char *expected) {
    dedupe_with((struct text_dedupe_options){ .min_bytes = 10 }, text, expected);
}

TEST_FAULT(the_first_of_equal_lines_stays) {
    dedupe("the same line\nanother line\nthe same line\n", "the same line\nanother line\n");
    dedupe("the same line\n  the   same\tline  ", "the same line\n");
    dedupe("short\nshort\n", "short\nshort\n");
    dedupe("the same line\nThe same line\n", "the same line\nThe same line\n");
    dedupe("请保持原样不变\n另外一行文字\n请保持原样不变", "请保持原样不变\n另外一行文字\n");
}

/* White space is other in each of two lines, which are of many lengths. */
TEST_NOFAULT(long_lines_are_equal_but_for_white_space) {
    static const char *const gaps[] = { " ", "  ", "\t", " \t ", "          " };
    unsigned seed = 1;
    for (size_t words = 1; words < 160; words += 1) {
        struct text_dedupe_options o = { .min_bytes = 1 };
        struct text_dedupe_result r;
        struct buf text, out;
        buf_init(&text, 0);
        buf_init(&out, 0);
        for (int line = 0; line < 2; line++) {
            for (size_t i = 0; i < words; i++) {
                seed = seed * 1103515245 + 12345;
                if (i > 0) buf_puts(&text, line == 0 ? " " : gaps[(seed >> 16) % 5]);
                for (size_t k = 0; k <= i * 7 % 11; k++) buf_putc(&text, (char)('a' + (i + k) % 26));
                if (i % 9 == 5) buf_puts(&text, "字");
            }
            buf_putc(&text, '\n');
        }
        NOTE("%zu words", words);
        CHECK_INT(text_dedupe(buf_get(&text), &o, &out, &r), 0);
        CHECK_UINT(r.lines, 1);
        buf_deinit(&text);
        buf_deinit(&out);
    }
}

TEST_FAULT(a_block_goes_with_the_empty_line_behind_it) {
    dedupe("one a\ntwo b\n\nthree three\n\none a\ntwo b\n\nend of it\n", "one a\ntwo b\n\nthree three\n\nend of it\n");
    dedupe("one a\ntwo b\n\none a\ntwo c\n", "one a\ntwo b\n\none a\ntwo c\n");
}

TEST_FAULT(code_goes_as_a_whole_or_not_at_all) {
    dedupe("```\nreturn NULL;\n}\nreturn NULL;\n```\n", "```\nreturn NULL;\n}\nreturn NULL;\n```\n");
    dedupe("```\nreturn 1;\n```\nx\n```\nreturn 1;\n```\ny\n", "```\nreturn 1;\n```\nx\ny\n");
    dedupe("```\nreturn 1;\n```\nx\n```\nreturn  1;\n```\ny\n", "```\nreturn 1;\n```\nx\n```\nreturn  1;\n```\ny\n");
    dedupe("|a long head|\n|-|\n|same cells|\n|same cells|\n", "|a long head|\n|-|\n|same cells|\n|same cells|\n");
}

TEST_FAULT(those_that_are_alike_differ_in_words_only) {
    static const char a[] = "the quick brown fox jumps over the lazy dog near the old mill by the river\n";
    static const char other[] = "the quick brown fox jumps over the lazy dog near the old mill by the lake\n";
    static const char five[] = "the quick brown fox jumps over the lazy dog near the old mill by the river at 5\n";
    static const char six[] = "the quick brown fox jumps over the lazy dog near the old mill by the river at 6\n";
    static const char never[] = "the quick brown fox never jumps over the lazy dog near the old mill by the river\n";
    struct text_dedupe_options o = { .min_bytes = 10, .likeness = 0.7f };
    char text[512];
    snprintf(text, sizeof(text), "%s%s", a, other);
    dedupe_with(o, text, a);
    snprintf(text, sizeof(text), "%s%s", five, six);
    dedupe_with(o, text, text);
    snprintf(text, sizeof(text), "%s%s", a, never);
    o.likeness = 0.5f;
    dedupe_with(o, text, text);
    o.any_numbers = o.mark = true;
    snprintf(text, sizeof(text), "%s%s%s", five, six, five);
    char expected[512];
    snprintf(expected, sizeof(expected), "%.*s [x3]\n", (int)strlen(five) - 1, five);
    dedupe_with(o, text, expected);
}

/* A line that was a block is compared with lines of blocks, before it and behind it. */
TEST_FAULT(lines_are_alike_in_blocks_and_alone) {
    static const char a[] = "the quick brown fox jumps over the lazy dog near the old mill by the river\n";
    static const char other[] = "the quick brown fox jumps over the lazy dog near the old mill by the lake\n";
    static const char block[] = "a first line that is about a journey to the sea and its ships\n";
    struct text_dedupe_options o = { .min_bytes = 10, .likeness = 0.7f };
    char text[512], expected[512];
    snprintf(text, sizeof(text), "%s%s\n%s\nend\n", block, a, other);
    snprintf(expected, sizeof(expected), "%s%s\nend\n", block, a);
    dedupe_with(o, text, expected);
    snprintf(text, sizeof(text), "%s\n%s%s\nend\n", other, block, a);
    snprintf(expected, sizeof(expected), "%s\n%s\nend\n", other, block);
    dedupe_with(o, text, expected);
}

TEST(options_and_bytes_are_checked) {
    struct text_dedupe_options o = { .likeness = 1.5f };
    struct text_dedupe_result r;
    struct buf out;
    buf_init(&out, 0);
    CHECK_INT(text_dedupe(SLICE("x"), &o, &out, &r), PERILUNE_ERR_INVAL);
    CHECK_INT(text_dedupe(SLICE("\xff"), NULL, &out, &r), PERILUNE_ERR_INVAL);
    CHECK_UINT(out.len, 0);
    buf_deinit(&out);
}

/* -- JSON -------------------------------------------------------------------------------- */

static void minified(const char *text, const char *expected) {
    struct json_error err;
    struct buf out;
    buf_init(&out, 0);
    int rc = text_json_minify(slice_str(text), &out, &err);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

TEST_FAULT(only_white_space_goes) {
    minified(" { \"a\" : [ 1.0 , 1e2,\n-0 ] , \"a\":\"\\u00e9 \\\" \\\\\" } ", "{\"a\":[1.0,1e2,-0],\"a\":\"\\u00e9 \\\" \\\\\"}");
    minified("  \"a b\"\n", "\"a b\"");
    minified("[]", "[]");
}

static void in_lines(const char *text, const char *expected) {
    struct json_error err;
    struct buf out;
    buf_init(&out, 0);
    int rc = text_json_lines(slice_str(text), &out, &err);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

TEST_FAULT(scalars_in_lines_are_as_they_were_written) {
    in_lines("{\"id\": 1234567890123456789, \"p\": 1.50, \"n\": null, \"t\\u0061\": [true, \"a\\\"b\", {}, 1e3]}",
             "id: 1234567890123456789; p: 1.50; n: null; ta: true; ta: a\"b\nta: 1e3\n");
    in_lines("[[1,[2]],{\"a\":{\"b\":3},\"c\":[{\"d\":4},5]},6]", "1\n2\nb: 3\nd: 4\nc: 5\n6\n");
    in_lines("[{\"id\":1,\"at\":{\"x\":2}},{\"id\":3,\"s\":\"a\\nb\",\"z\":0}]", "id: 1; x: 2\nid: 3\ns: a\nb\nz: 0\n");
    in_lines("{\"a\":[],\"b\":\"\"}", "b: \n");
    in_lines("7", "7\n");
}

TEST(what_is_not_json_is_refused_with_its_place) {
    struct json_error err;
    struct buf out;
    buf_init(&out, 0);
    CHECK_INT(text_json_minify(SLICE("{\"a\" 1}"), &out, &err), PERILUNE_ERR_INVAL);
    CHECK_UINT(err.offset, 5);
    CHECK_UINT(out.len, 0);
    buf_deinit(&out);
}

/* -- Terminals ----------------------------------------------------------------------------- */

static void stripped(const char *text, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    int rc = text_strip_ansi(slice_str(text), &out);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

TEST_FAULT(escape_sequences_go) {
    stripped("\x1b[1;32mok\x1b[0m", "ok");
    stripped("\x1b[?25la\x1b[2K\x1b[38;5;12mb\xc2\x9b" "31mc", "abc");
    stripped("\x1b]0;title\x07" "a\x1b]8;;http://x\x1b\\b\x1b(Bc\x1b" "7d\x1bM", "abcd");
    stripped("\x1bP1$r\x1b\\x", "x");
    stripped("a\x1b[", "a");
    stripped("a\x1b", "a");
    stripped("a\x1b]never ends", "anever ends");
    stripped("caf\xc3\xa9 \xc2\xa9 \xe4\xbd\xa0\tx", "caf\xc3\xa9 \xc2\xa9 \xe4\xbd\xa0\tx");
}

TEST_FAULT(of_what_was_overwritten_the_last_stays) {
    stripped("10%\r50%\r100%\nnext\n", "100%\nnext\n");
    stripped("dos\r\nlines\r\n", "dos\nlines\n");
    stripped("x\r\r\ny", "x\ny");
    stripped("end\r", "end");
    stripped("N\bNA\bAM\bM", "NAM");
    stripped("\b\ba\n\bb", "a\nb");
    stripped("\xe4\xbd\xa0\bx", "x");
    stripped("bell\x07\x01", "bell");
}

/* -- Base64 ----------------------------------------------------------------------------------- */

static void elided(const char *text, size_t min, const char *expected) {
    struct buf out;
    size_t count;
    buf_init(&out, 0);
    int rc = text_elide_base64(slice_str(text), min, &out, &count);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_SLICE(buf_get(&out), slice_str(expected));
done:
    buf_deinit(&out);
}

#define B64 "aB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gHaB3dE5gH"

TEST_FAULT(base64_is_told_from_words_hex_and_paths) {
    elided("x " B64 "== y", 64, "x [base64 66 bytes elided] y");
    elided("data:image/png;base64," B64 ")", 64, "data:image/png;base64,[base64 64 bytes elided])");
    elided(B64, 65, B64);
    elided(B64 "\n" B64 "\naB3d==\nnext", 64, "[base64 136 bytes elided]\nnext");
    elided(B64 "\r\n" B64 "\r\nnext", 64, "[base64 130 bytes elided]\r\nnext");
    static const char hex[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567";
    static const char path[] = "/Aa1/Bb2/Cc3/Dd4/Ee5/Ff6/Gg7/Hh8/Ii9/Jj0/Kk1/Ll2/Mm3/Nn4/Oo5/Pp6/Qq7/Rr8";
    static const char word[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    elided(hex, 64, hex);
    elided(path, 64, path);
    elided(word, 64, word);
}
