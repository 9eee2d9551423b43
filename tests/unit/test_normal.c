/* test_normal.c -- the form in which texts are compared. */
#include <string.h>

#include "base/json.h"
#include "include/perilune.h"
#include "semantic/normal.h"
#include "unit.h"

static const struct {
    const char *from, *to;
} cases[] = {
    { "", "" },
    { " \t\r\n ", "" },
    { "  How DO\n\ti  reset? ", "how do i reset?" },
    { "ＦＵＬＬ　ｗｉｄｔｈ１２３，ｏｋ？！", "full width123,ok?!" },
    { "如何退款？　谢谢。", "如何退款? 谢谢。" },
    { "what’s “this” – a −5", "what's \"this\" - a -5" },
    { "½ of ⑩㎏ at 30℃ №5 x² H₂O …", "1/2 of 10kg at 30°c no5 x2 h2o ..." },
    { "Ⅻ ﬁne ㏒ ™ ªº", "xii fine log tm ao" },
    { "ｶﾞｷﾞ ﾊﾟ ｱ", "ガギ パ ア" },
    { "ÀÉÎÕÜ Ÿ ŁŻ Ǆ ẞ", "àéîõü ÿ łż dž ß" },
    { "ΑΒΓΔΣΩ Ά ὈΔΎΣΣΕΙΑ", "αβγδσω ά ὀδύσσεια" },
    { "ПРИВЕТ Ё Ђ Ѳ Ӂ", "привет ё ђ ѳ ӂ" },
    { "E\xCC\x81 u\xCC\x88", "é ü" },                    /* put together */
    { "\xE2\x84\xAB \xE2\x84\xAA", "å k" },              /* Angstrom, Kelvin */
    { "\xF0\x9D\x90\x80\xF0\x9D\x9F\x9A", "a2" },        /* mathematical letters */
    { "a\xC2\xA0\xE2\x80\x82\xE2\x80\xA8" "b", "a b" },  /* spaces of all kinds */
    { "so\xC2\xAD" "ft \xEF\xBB\xBFzero\xE2\x80\x8Bwidth", "soft zerowidth" },
    { "\xFF" "a\xE5\xA6", "\xEF\xBF\xBD" "a\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "한국어 ไทย हिन्दी 🎉", "한국어 ไทย हिन्दी 🎉" },
};

TEST_FAULT(cases) {
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("case %zu", i);
        buf_clear(&out);
        normal_write(slice_str(cases[i].from), &out);
        if (FAULTED(out.error)) continue;
        CHECK_SLICE(buf_get(&out), slice_str(cases[i].to));
        buf_clear(&out);
        normal_write(slice_str(cases[i].to), &out); /* stays as it is */
        if (FAULTED(out.error)) continue;
        CHECK_SLICE(buf_get(&out), slice_str(cases[i].to));
    }
    buf_deinit(&out);
}

TEST_FAULT(appends) {
    struct buf out;
    buf_init(&out, 0);
    buf_puts(&out, "xy ");
    buf_consume(&out, out.error == 0 ? 1 : 0);
    normal_write(SLICE(" A  B "), &out);
    if (!FAULTED(out.error)) CHECK_SLICE(buf_get(&out), SLICE("y a b"));
    normal_write(SLICE("E\xCC\x81"), &out);
    if (!FAULTED(out.error)) CHECK_SLICE(buf_get(&out), SLICE("y a b\xC3\xA9"));
    buf_deinit(&out);
}

/* Every character, alone: well-formed, and the same when it is made normal once more. */
TEST_NOFAULT(every_character) {
    struct buf out, again;
    buf_init(&out, 0);
    buf_init(&again, 0);
    for (uint32_t c = 1; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        char s[4] = { (char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 63)), (char)(0x80 | (c >> 6 & 63)),
                      (char)(0x80 | (c & 63)) };
        size_t n = 4;
        if (c < 0x10000) s[0] = (char)(0xE0 | c >> 12), s[1] = s[2], s[2] = s[3], n = 3;
        if (c < 0x800) s[0] = (char)(0xC0 | c >> 6), s[1] = s[2], n = 2;
        if (c < 0x80) s[0] = (char)c, n = 1;
        NOTE("U+%04X", c);
        buf_clear(&out);
        buf_clear(&again);
        normal_write(slice_of(s, n), &out);
        CHECK_UINT(utf8_valid_prefix(buf_get(&out)), buf_len(&out));
        CHECK(buf_len(&out) <= 48);
        normal_write(buf_get(&out), &again);
        CHECK_SLICE(buf_get(&again), buf_get(&out));
    }
    buf_deinit(&out);
    buf_deinit(&again);
}

/* Characters that become many times as long. */
TEST(grows) {
    char text[3 * 2000];
    struct buf out;
    for (size_t i = 0; i < sizeof(text); i += 3) memcpy(text + i, "㌖", 3);
    buf_init(&out, 0);
    normal_write(slice_of(text, sizeof(text)), &out);
    CHECK_INT(out.error, 0);
    CHECK_UINT(buf_len(&out), 2000 * sizeof("キロメートル") - 2000);
    buf_deinit(&out);
}

TEST(a_limit_is_kept) {
    struct buf out;
    buf_init(&out, 10);
    normal_write(SLICE("longer than ten bytes"), &out);
    CHECK_INT(out.error, PERILUNE_ERR_LIMITED);
    CHECK(buf_len(&out) <= 10);
    buf_deinit(&out);
}
