/* test_json.c -- the reader accepts what RFC 8259 does and nothing else, says
 * where and why, and gives every value back; the writer's output reads back. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

/* Parses a text that must be valid. */
static struct json_doc parse(struct slice text) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    int rc = json_parse(&doc, text, &err);
    if (rc == PERILUNE_ERR_INVAL) FAIL("%s at %zu in %.*s", err.message, err.offset, SLICE_ARG(text));
    CHECK_INT(rc, 0);
    return doc;
}

/* Parses a copy that ends where its memory ends, so that ASan sees a read too
 * far.  Returns the result; *err is filled. */
static int parse_tight(struct slice text, struct json_error *err) {
    struct json_doc doc = { .nodes = NULL };
    char *copy = malloc(text.len ? text.len : 1);
    if (text.len > 0) memcpy(copy, text.ptr, text.len);
    int rc = json_parse(&doc, slice_of(copy, text.len), err);
    if (rc != 0) {
        CHECK(doc.nodes == NULL && doc.len == 0);
        CHECK(rc != PERILUNE_ERR_INVAL || (err->message != NULL && err->offset <= text.len));
    }
    json_deinit(&doc);
    free(copy);
    return rc;
}

/* -- Reading ---------------------------------------------------------------- */

TEST(nodes_are_those_of_the_header) {
    struct json_doc doc = parse(SLICE("{\"a\":[1,\"x\"]}"));
    static const struct json_node want[] = {
        { 0, 13, 5, JSON_OBJECT, 0, 1 }, { 1, 4, 2, JSON_STRING, 0, 0 },
        { 5, 12, 5, JSON_ARRAY, 0, 2 },  { 6, 7, 4, JSON_NUMBER, 0, 0 },
        { 8, 11, 5, JSON_STRING, 0, 0 },
    };
    CHECK_UINT(doc.len, 5);
    for (uint32_t i = 0; i < 5; i++) {
        NOTE("node %u", i);
        CHECK_UINT(doc.nodes[i].start, want[i].start);
        CHECK_UINT(doc.nodes[i].end, want[i].end);
        CHECK_UINT(doc.nodes[i].next, want[i].next);
        CHECK_INT(json_type(&doc, i), want[i].type);
        CHECK_UINT(doc.nodes[i].count, want[i].count);
    }
    json_deinit(&doc);
}

TEST(accepts) {
    static const char *const valid[] = {
        "null", "true", "false", "0", "-0", "1", "-1", "10", "0.5", "-0.0", "1e5", "1E+5", "1e-5",
        "0e0", "0.0e00", "123456789012345678901234567890", "1e999", "\"\"", "\"x\"", "[]", "{}",
        " \t\r\n1 \t\r\n", "[[]]", "[{}]", "{\"\":{}}", "[1,2,3]", "{\"a\":1,\"a\":2}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD800\\uABcd\"", "\"\x7f\"", "\"\xc2\x80\"",
        "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"", "\"\xed\x9f\xbf\"", "\"\xee\x80\x80\"",
        "\"\xef\xbf\xbf\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xe2\x80\xa8\"",
        "[1 , 2\n,\t3]", "{ \"a\" : 1 , \"b\" : [ ] }", "[null,true,false]",
        "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]",
    };
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        struct json_error err;
        NOTE("%s", valid[i]);
        CHECK_INT(parse_tight(slice_str(valid[i]), &err), 0);
    }
}

static const struct {
    const char *text;
    size_t      offset;
    const char *message;
} rejected[] = {
    { "", 0, "unexpected end of text" },
    { " \n", 2, "unexpected end of text" },
    { "\xEF\xBB\xBF{}", 0, "byte order mark before the value" },
    { "nul", 0, "unexpected character" },
    { "[nulL]", 1, "unexpected character" },
    { "NaN", 0, "unexpected character" },
    { "-Infinity", 1, "digit expected in number" },
    { "'a'", 0, "unexpected character" },
    { "+1", 0, "unexpected character" },
    { ".5", 0, "unexpected character" },
    { "01", 0, "number with leading zero" },
    { "[-012]", 2, "number with leading zero" },
    { "1.", 2, "digit expected in number" },
    { "1.e5", 2, "digit expected in number" },
    { "1e", 2, "digit expected in number" },
    { "1e+", 3, "digit expected in number" },
    { "-", 1, "digit expected in number" },
    { "0x10", 1, "text after the value" },
    { "1 2", 2, "text after the value" },
    { "{}}", 2, "text after the value" },
    { "nullx", 4, "text after the value" },
    { "1\f", 1, "text after the value" },
    { "\"abc", 0, "unterminated string" },
    { "[\"abc]", 1, "unterminated string" },
    { "\"abc\\", 0, "unterminated string" },
    { "\"abc\\\"", 0, "unterminated string" },
    { "\"\\u12", 0, "unterminated string" },
    { "\"a\\x\"", 2, "unknown escape in string" },
    { "\"a\\u12g4\"", 2, "escape \\u without four hex digits" },
    { "\"a\\u123\"", 2, "escape \\u without four hex digits" },
    { "\"a\nb\"", 2, "control character in string" },
    { "\"a\x1f\"", 2, "control character in string" },
    { "\"0123456789abcdef\x01\"", 17, "control character in string" },
    { "\"a\x80\"", 2, "invalid UTF-8" },
    { "\"a\xc0\x80\"", 2, "invalid UTF-8" },
    { "\"a\xc1\xbf\"", 2, "invalid UTF-8" },
    { "\"a\xe0\x9f\xbf\"", 2, "invalid UTF-8" },
    { "\"a\xed\xa0\x80\"", 2, "invalid UTF-8" },
    { "\"a\xf0\x8f\xbf\xbf\"", 2, "invalid UTF-8" },
    { "\"a\xf4\x90\x80\x80\"", 2, "invalid UTF-8" },
    { "\"a\xf5\x80\x80\x80\"", 2, "invalid UTF-8" },
    { "\"a\xe4\xbd\"", 2, "invalid UTF-8" },
    { "\"a\xe4\xbd", 2, "invalid UTF-8" },
    { "\"\xe4\xbd\xa0\xff\"", 4, "invalid UTF-8" },
    { "[\xe4\xbd\xa0]", 1, "unexpected character" },
    { "[1,]", 3, "value missing before a closing bracket" },
    { "[1}", 2, "expected a comma or a closing bracket" },
    { "[1 2]", 3, "expected a comma or a closing bracket" },
    { "[1", 2, "unexpected end of text" },
    { "[", 1, "unexpected end of text" },
    { "[}", 1, "value missing before a closing bracket" },
    { "]", 0, "value missing before a closing bracket" },
    { "[,1]", 1, "unexpected character" },
    { "{", 1, "unexpected end of text" },
    { "{\"a\"", 4, "unexpected end of text" },
    { "{\"a\":", 5, "unexpected end of text" },
    { "{\"a\":}", 5, "value missing before a closing bracket" },
    { "{\"a\" 1}", 5, "expected a colon after the key" },
    { "{\"a\":1,}", 7, "expected a key in double quotes" },
    { "{a:1}", 1, "expected a key in double quotes" },
    { "{1:1}", 1, "expected a key in double quotes" },
    { "{\"a\":1]", 6, "expected a comma or a closing brace" },
    { "{\"a\":1 \"b\":2}", 7, "expected a comma or a closing brace" },
    { "/* */ 1", 0, "unexpected character" },
    { "{\"a\":1}\xff", 7, "text after the value" },
};

TEST(rejects_and_says_where) {
    for (size_t i = 0; i < sizeof(rejected) / sizeof(rejected[0]); i++) {
        struct json_error err;
        NOTE("%s", rejected[i].text);
        CHECK_INT(parse_tight(slice_str(rejected[i].text), &err), PERILUNE_ERR_INVAL);
        CHECK_STR(err.message, rejected[i].message);
        CHECK_UINT(err.offset, rejected[i].offset);
    }
}

TEST(nul_byte_is_no_end) {
    struct json_error err;
    CHECK_INT(parse_tight(SLICE("{}\0"), &err), PERILUNE_ERR_INVAL);
    CHECK_UINT(err.offset, 2);
    CHECK_INT(parse_tight(SLICE("\"a\0b\""), &err), PERILUNE_ERR_INVAL);
    CHECK_STR(err.message, "control character in string");
}

/* Every prefix of a valid object is invalid, and none is read past its end. */
TEST(every_prefix_is_rejected) {
    struct slice text = SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"\\u4f60 \xe4\xbd\xa0 and "
                              "some more plain text\"}],\"t\":-1.5e+3,\"s\":true,\"n\":null}");
    struct json_error err;
    for (size_t n = 0; n < text.len; n++) {
        NOTE("%zu bytes", n);
        CHECK_INT(parse_tight(slice_of(text.ptr, n), &err), PERILUNE_ERR_INVAL);
    }
    CHECK_INT(parse_tight(text, &err), 0);
}

/* A bad byte is found wherever it stands in the sixteen that are read at once. */
TEST(bad_bytes_at_every_alignment) {
    char text[80];
    struct json_error err;
    for (size_t len = 3; len < sizeof(text); len++)
        for (size_t at = 1; at < len - 1; at++)
            for (int bad = 0; bad < 2; bad++) {
                NOTE("length %zu, byte %zu", len, at);
                memset(text, 'a', len);
                text[0] = text[len - 1] = '"';
                text[at] = bad ? '\xff' : '\x01';
                CHECK_INT(parse_tight(slice_of(text, len), &err), PERILUNE_ERR_INVAL);
                CHECK_UINT(err.offset, at);
            }
}

static void nest(struct buf *b, int depth, bool objects) {
    for (int i = 0; i < depth; i++) buf_puts(b, objects ? "{\"k\":" : "[");
    buf_puts(b, "1");
    for (int i = 0; i < depth; i++) buf_putc(b, objects ? '}' : ']');
}

TEST(depth) {
    for (int objects = 0; objects < 2; objects++) {
        struct json_error err;
        struct buf b;
        buf_init(&b, 0);
        nest(&b, 256, objects);
        CHECK(!buf_failed(&b));
        CHECK_INT(parse_tight(buf_get(&b), &err), 0);
        buf_clear(&b);
        nest(&b, 257, objects);
        CHECK(!buf_failed(&b));
        CHECK_INT(parse_tight(buf_get(&b), &err), PERILUNE_ERR_INVAL);
        CHECK_STR(err.message, "nested deeper than 256");
        CHECK_UINT(err.offset, objects ? 256 * 5 : 256);
        buf_clear(&b);
        for (int i = 0; i < 100000; i++) buf_putc(&b, '[');
        CHECK(!buf_failed(&b));
        CHECK_INT(parse_tight(buf_get(&b), &err), PERILUNE_ERR_INVAL);
        buf_deinit(&b);
    }
}

/* Depth counts what is open, not what was. */
TEST(siblings_are_not_depth) {
    struct buf b;
    buf_init(&b, 0);
    buf_putc(&b, '[');
    for (int i = 0; i < 1000; i++) buf_puts(&b, "[[]],");
    buf_puts(&b, "{}]");
    CHECK(!buf_failed(&b));
    struct json_doc doc = parse(buf_get(&b));
    CHECK_UINT(doc.nodes[0].count, 1001);
    CHECK_UINT(doc.nodes[0].next, doc.len);
    json_deinit(&doc);
    buf_deinit(&b);
}

TEST_FAULT(a_doc_is_used_again) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf b;
    int rc = 0;

    buf_init(&b, 0);
    buf_putc(&b, '[');
    for (int i = 0; i < 500; i++) buf_puts(&b, "1,");
    buf_puts(&b, "1]");
    for (int i = 0; i < 3 && !buf_failed(&b); i++) {
        rc = json_parse(&doc, buf_get(&b), &err);
        if (FAULTED(rc)) {
            CHECK(doc.nodes == NULL && doc.len == 0 && doc.cap == 0);
            break;
        }
        CHECK_INT(rc, 0);
        CHECK_UINT(doc.len, 502);
    }
    json_deinit(&doc);
    rc = json_parse(&doc, SLICE("[1"), &err);
    if (!FAULTED(rc)) CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK(doc.nodes == NULL && doc.len == 0);
    json_deinit(&doc);
    buf_deinit(&b);
}

/* -- Walking ---------------------------------------------------------------- */

TEST(walks) {
    struct json_doc doc = parse(SLICE("{\"a\":[1,[2,3],{\"b\":4}],\"c\":[],\"a\":\"last\",\"d\":{}}"));
    struct slice want[] = { SLICE("1"), SLICE("[2,3]"), SLICE("{\"b\":4}") };
    uint32_t array = json_first(&doc, 0) + 1;
    unsigned n = 0;

    for (uint32_t i = json_first(&doc, array); i != JSON_NONE; i = json_next(&doc, array, i))
        CHECK_SLICE(json_raw(&doc, i), want[n++]);
    CHECK_UINT(n, 3);
    CHECK_SLICE(json_raw(&doc, json_get(&doc, 0, SLICE("a"))), SLICE("\"last\""));
    CHECK_UINT(json_first(&doc, json_get(&doc, 0, SLICE("c"))), JSON_NONE);
    CHECK_UINT(json_first(&doc, json_get(&doc, 0, SLICE("d"))), JSON_NONE);
    CHECK_UINT(json_get(&doc, 0, SLICE("b")), JSON_NONE);
    CHECK_UINT(json_get(&doc, 0, SLICE("")), JSON_NONE);
    CHECK_UINT(json_get(&doc, array, SLICE("a")), JSON_NONE);
    json_deinit(&doc);
}

TEST(keys_are_compared_decoded) {
    struct json_doc doc = parse(SLICE("{\"m\\u006fdel\":1,\"\\ud83d\\ude00\":2,\"model2\":3,\"x\\u0000\":4}"));
    CHECK_UINT(json_get(&doc, 0, SLICE("model")), 2);
    CHECK_UINT(json_get(&doc, 0, SLICE("\xf0\x9f\x98\x80")), 4);
    CHECK_UINT(json_get(&doc, 0, SLICE("mode")), JSON_NONE);
    CHECK_UINT(json_get(&doc, 0, SLICE("Model")), JSON_NONE);
    CHECK_UINT(json_get(&doc, 0, SLICE("x")), JSON_NONE);
    CHECK_UINT(json_get(&doc, 0, SLICE("x\0")), 8);
    json_deinit(&doc);
}

/* -- Strings ---------------------------------------------------------------- */

static const struct {
    const char  *text;
    struct slice value;
} strings[] = {
    { "\"\"", SLICE("") },
    { "\"plain\"", SLICE("plain") },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", SLICE("\"\\/\b\f\n\r\t") },
    { "\"\\u0000\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
      SLICE("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") },
    { "\"\\ud83d\\ude00\"", SLICE("\xf0\x9f\x98\x80") },
    { "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
    { "\"\\ud83d\"", SLICE("\xef\xbf\xbd") },
    { "\"\\ude00\"", SLICE("\xef\xbf\xbd") },
    { "\"\\ud83dx\"", SLICE("\xef\xbf\xbdx") },
    { "\"\\ud83d\\n\"", SLICE("\xef\xbf\xbd\n") },
    { "\"\\ud83d\\ud83d\\ude00\"", SLICE("\xef\xbf\xbd\xf0\x9f\x98\x80") },
    { "\"\\ude00\\ud83d\"", SLICE("\xef\xbf\xbd\xef\xbf\xbd") },
    { "\"a\\u4f60\\u597db\"", SLICE("a\xe4\xbd\xa0\xe5\xa5\xbd" "b") },
    { "\"\\\\u0041\"", SLICE("\\u0041") },
};

/* A byte that is another anywhere is noticed, beside escapes, too. */
TEST(strings_compare_with_their_escapes) {
    static const char text[] = "\"ab\\ncd\\u00e9\\\"efg\"", value[] = "ab\ncd\xc3\xa9\"efg";
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    char other[sizeof(value)];
    CHECK_INT(json_parse(&doc, slice_str(text), &err), 0);
    CHECK(json_str_eq(&doc, 0, slice_str(value)));
    for (size_t i = 0; i < sizeof(value) - 1; i++) {
        memcpy(other, value, sizeof(value));
        other[i] ^= 1;
        CHECK(!json_str_eq(&doc, 0, slice_str(other)));
    }
    json_deinit(&doc);
}

TEST_FAULT(strings_decode) {
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct json_doc doc = { .nodes = NULL };
        struct json_error err;
        struct buf out;
        NOTE("%s", strings[i].text);
        buf_init(&out, 0);
        CHECK_NOMEM(json_parse(&doc, slice_str(strings[i].text), &err), next);
        json_decode_string(&doc, 0, &out);
        if (!FAULTED(out.error)) {
            CHECK_SLICE(buf_get(&out), strings[i].value);
            CHECK(json_str_eq(&doc, 0, strings[i].value));
            CHECK(!json_str_eq(&doc, 0, SLICE("something else")));
            CHECK(strings[i].value.len == 0 ||
                  !json_str_eq(&doc, 0, slice_of(strings[i].value.ptr, strings[i].value.len - 1)));
            buf_putc(&out, 'x');
            CHECK(buf_failed(&out) || !json_str_eq(&doc, 0, buf_get(&out)));
        }
    next:
        buf_deinit(&out);
        json_deinit(&doc);
    }
}

static void check_written(struct slice in, struct slice want) {
    struct buf out;
    buf_init(&out, 0);
    json_write_string(&out, in);
    CHECK(!buf_failed(&out));
    CHECK_SLICE(buf_get(&out), want);
    buf_deinit(&out);
}

TEST(strings_are_written) {
    check_written(slice_of(NULL, 0), SLICE("\"\""));
    check_written(SLICE("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f"),
                  SLICE("\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""));
    check_written(SLICE("\0"), SLICE("\"\\u0000\""));
    check_written(SLICE("\xe4\xbd\xa0\xf0\x9f\x98\x80"), SLICE("\"\xe4\xbd\xa0\xf0\x9f\x98\x80\""));
    check_written(SLICE("a\xff" "b\xc0\x80" "c\xe4\xbd"),
                  SLICE("\"a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd" "c\xef\xbf\xbd\xef\xbf\xbd\""));
    check_written(SLICE("0123456789abcdef\"0123456789abcdef"),
                  SLICE("\"0123456789abcdef\\\"0123456789abcdef\""));
}

/* What json_write_string() would write if it looked at one byte after the other. */
static void write_slowly(struct buf *out, struct slice s) {
    buf_putc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        static const char *const shorts = "\bb\ff\nn\rr\tt\"\"\\\\";
        const char *at = c ? strchr(shorts, c) : NULL;
        if (at != NULL && (at - shorts) % 2 == 0) buf_printf(out, "\\%c", at[1]);
        else if (c == '"' || c == '\\') buf_printf(out, "\\%c", c);
        else if (c < 0x20) buf_printf(out, "\\u%04x", c);
        else if (c < 0x80) buf_putc(out, (char)c);
        else buf_puts(out, "\xEF\xBF\xBD");
    }
    buf_putc(out, '"');
}

TEST_NOFAULT(strings_with_escapes_close_together) {
    static const char alphabet[] = "\n\n\n\"\\\t\x01xyxyxyxyxyxyxyxyxyxyxyxyx\x7f\xff";
    uint32_t rng = 1;
    char text[700];
    for (unsigned round = 0; round < 2000; round++) {
        size_t n = round < 40 ? round : 600 + round % 100;
        unsigned letters = round % 3 == 0 ? 4 : (unsigned)sizeof(alphabet) - 1;
        for (size_t i = 0; i < n; i++) text[i] = alphabet[(rng = rng * 1664525 + 1013904223) / 65536 % letters];
        struct buf want;
        buf_init(&want, 0);
        write_slowly(&want, slice_of(text, n));
        check_written(slice_of(text, n), buf_get(&want));
        buf_deinit(&want);
    }
}

/* -- Numbers ---------------------------------------------------------------- */

static double number(const char *text) {
    struct json_doc doc = parse(slice_str(text));
    double value = json_number(&doc, 0);
    json_deinit(&doc);
    return value;
}

TEST(numbers_are_exact) {
    static const char *const texts[] = {
        "0", "1", "-1", "0.1", "0.7", "-2.5e-3", "3.14159265358979", "1e22", "1e23", "-1e-22",
        "123456789012345", "9007199254740993", "9007199254740992.9999999999", "0.3e1", "100e-2",
        "179769313486231570000000000000000000000e270", "1.7976931348623157e308",
        "1.7976931348623159e308", "2.2250738585072011e-308", "2.2250738585072014e-308", "5e-324",
        "2.4703282292062327e-324", "2.4703282292062328e-324", "1e400", "-1e400", "1e-400",
        "0e999999999999999999999", "1e999999999999999999999", "1e-999999999999999999999",
        "0.000000000000000000000000000000000000001e39", "1.00000000000000011102230246251565404",
        "1.000000000000000111022302462515654042363166809082031250000000000000000000000000000001",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        NOTE("%s", texts[i]);
        CHECK_DOUBLE(number(texts[i]), strtod(texts[i], NULL));
    }
    CHECK(signbit(number("-0")) && signbit(number("-0.0")));
}

/* A tie that only the last of 900 digits decides, and zeros without end. */
TEST(long_numbers_are_exact) {
    char text[2200];
    int n = snprintf(text, sizeof(text), "9007199254740993.%0900d", 0);
    CHECK_DOUBLE(number(text), 9007199254740992.0);
    text[n - 1] = '1';
    CHECK_DOUBLE(number(text), 9007199254740994.0);
    snprintf(text, sizeof(text), "0.%01000d1e1001", 0);
    CHECK_DOUBLE(number(text), 1);
    snprintf(text, sizeof(text), "1%01000de-1000", 0);
    CHECK_DOUBLE(number(text), 1);
}

static void check_u64(const char *text, int rc, uint64_t want) {
    uint64_t value = 77;
    NOTE("%s", text);
    struct json_doc doc = parse(slice_str(text));
    CHECK_INT(json_u64(&doc, 0, &value), rc);
    CHECK_UINT(value, want);
    json_deinit(&doc);
}

static void check_i64(const char *text, int rc, int64_t want) {
    int64_t value = 77;
    NOTE("%s", text);
    struct json_doc doc = parse(slice_str(text));
    CHECK_INT(json_i64(&doc, 0, &value), rc);
    CHECK_INT(value, want);
    json_deinit(&doc);
}

TEST(integers_of_64_bits) {
    check_i64("0", 0, 0);
    check_i64("-0", 0, 0);
    check_i64("-1", 0, -1);
    check_i64("-12.0e1", 0, -120);
    check_i64("9007199254740993", 0, INT64_C(9007199254740993));
    check_i64("9223372036854775807", 0, INT64_MAX);
    check_i64("9223372036854775808", PERILUNE_ERR_INVAL, 0);
    check_i64("-9223372036854775808", 0, INT64_MIN);
    check_i64("-9223372036854775809", PERILUNE_ERR_INVAL, 0);
    check_i64("18446744073709551617", PERILUNE_ERR_INVAL, 0);
    check_i64("1e18", 0, INT64_C(1000000000000000000));
    check_i64("1e19", PERILUNE_ERR_INVAL, 0);
    check_i64("0.5", PERILUNE_ERR_INVAL, 0);
    check_i64("1e400", PERILUNE_ERR_INVAL, 0);
    check_i64("\"1\"", PERILUNE_ERR_INVAL, 0);
}

TEST(integers) {
    check_u64("0", 0, 0);
    check_u64("-0", 0, 0);
    check_u64("0e5", 0, 0);
    check_u64("400", 0, 400);
    check_u64("400.0", 0, 400);
    check_u64("4e2", 0, 400);
    check_u64("4000e-1", 0, 400);
    check_u64("9007199254740992", 0, UINT64_C(1) << 53);
    check_u64("9007199254740993", PERILUNE_ERR_INVAL, 0);
    check_u64("9007199254740992.5", PERILUNE_ERR_INVAL, 0);
    check_u64("0.99999999999999999999999", PERILUNE_ERR_INVAL, 0);
    check_u64("1e16", PERILUNE_ERR_INVAL, 0);
    check_u64("1e999999999999999", PERILUNE_ERR_INVAL, 0);
    check_u64("-1", PERILUNE_ERR_INVAL, 0);
    check_u64("1.5", PERILUNE_ERR_INVAL, 0);
    check_u64("\"1\"", PERILUNE_ERR_INVAL, 0);
    check_u64("null", PERILUNE_ERR_INVAL, 0);
}

static void check_number_written(double v, const char *want) {
    struct buf out;
    buf_init(&out, 0);
    json_write_number(&out, v);
    CHECK(!buf_failed(&out));
    CHECK_SLICE(buf_get(&out), slice_str(want));
    buf_deinit(&out);
}

TEST(numbers_are_written) {
    check_number_written(0, "0");
    check_number_written(-0.0, "-0");
    check_number_written(1, "1");
    check_number_written(-42, "-42");
    check_number_written(0.1, "0.1");
    check_number_written(0.7, "0.7");
    check_number_written(-2.5, "-2.5");
    check_number_written(1e15, "1000000000000000");
    check_number_written(9007199254740992.0, "9007199254740992");
    check_number_written(1e20, "100000000000000000000");
    check_number_written(1e21, "1e+21");
    check_number_written(1.5e300, "1.5e+300");
    check_number_written(0.000001, "0.000001");
    check_number_written(1e-7, "1e-7");
    check_number_written(0.1 + 0.2, "0.30000000000000004");
    check_number_written(123456.789, "123456.789");
    check_number_written(DBL_MAX, "1.7976931348623157e+308");
    check_number_written(DBL_MIN, "2.2250738585072014e-308");
    check_number_written(5e-324, "5e-324");
    check_number_written(NAN, "null");
    check_number_written(INFINITY, "null");
    check_number_written(-INFINITY, "null");
}

static uint64_t xorshift(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

TEST_NOFAULT(written_numbers_read_back) {
    uint64_t seed = 88172645463325252u;
    struct buf out;
    buf_init(&out, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = xorshift(&seed);
        double v;
        memcpy(&v, &bits, sizeof(v));
        if (i % 2) v = (double)(int64_t)(bits >> 20) / 1000;
        if (!isfinite(v)) continue;
        NOTE("%a", v);
        buf_clear(&out);
        json_write_number(&out, v);
        CHECK_DOUBLE(number(buf_cstr(&out)), v);
    }
    buf_deinit(&out);
}

/* -- UTF-8 ------------------------------------------------------------------ */

TEST(utf8_prefix) {
    static const struct {
        struct slice text;
        size_t       valid;
    } cases[] = {
        { SLICE(""), 0 },
        { SLICE("abc\0def"), 7 },
        { SLICE("0123456789abcdef0123456789abcdef\xe4\xbd\xa0"), 35 },
        { SLICE("0123456789abcdef0123456789abcdef\xe4\xbd"), 32 },
        { SLICE("a\x80"), 1 },
        { SLICE("\xf0\x9f\x98\x80\xf0\x9f\x98"), 4 },
        { SLICE("\xed\xa0\x80"), 0 },
        { SLICE("\xc3\xa9\xc0\xaf"), 2 },
        { SLICE("\xf4\x90\x80\x80"), 0 },
        { SLICE("\xff"), 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        NOTE("case %zu", i);
        CHECK_UINT(utf8_valid_prefix(cases[i].text), cases[i].valid);
    }
    CHECK_UINT(utf8_valid_prefix(slice_of(NULL, 0)), 0);
}

/* Escapes of code points decode to what the UTF-8 check accepts. */
TEST_NOFAULT(utf8_code_points) {
    struct json_doc doc = { .nodes = NULL };
    struct buf out;
    buf_init(&out, 0);
    for (unsigned code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 7) {
        char text[32];
        struct json_error err;
        if (code >= 0xD800 && code < 0xE000) continue;
        NOTE("U+%04X", code);
        if (code < 0x10000)
            snprintf(text, sizeof(text), "\"\\u%04x\"", code);
        else
            snprintf(text, sizeof(text), "\"\\u%04x\\u%04X\"", 0xD800 + ((code - 0x10000) >> 10),
                     0xDC00 + (code & 0x3FF));
        buf_clear(&out);
        CHECK_INT(json_parse(&doc, slice_str(text), &err), 0);
        json_decode_string(&doc, 0, &out);
        CHECK_UINT(utf8_valid_prefix(buf_get(&out)), buf_len(&out));
        CHECK_UINT(buf_len(&out), code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
    }
    buf_deinit(&out);
    json_deinit(&doc);
}
