/* test_nfc.c -- canonical composition: each rule once, and long runs. */
#include <string.h>

#include "base/mem.h"
#include "tokens/nfc.h"
#include "unit.h"

static const struct {
    const char *from, *to;
} cases[] = {
    { "plain text", "plain text" },
    { "e\xCC\x81", "\xC3\xA9" },                                         /* composes */
    { "q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87" },                         /* reorders */
    { "a\xCC\x82\xCC\xA3", "\xE1\xBA\xAD" },                             /* reorders, composes twice */
    { "\xE2\x84\xAB", "\xC3\x85" },                                      /* a singleton: Angstrom */
    { "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81" },           /* Hangul, three letters */
    { "\xEA\xB0\x80\xE1\x86\xA8", "\xEA\xB0\x81" },                      /* a syllable and a final */
    { "\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC" },                      /* excluded from composition */
    { "\xCC\x81 e", "\xCC\x81 e" },                                      /* a mark with nothing before it */
    { "\xCD\x84", "\xCC\x88\xCC\x81" },                                  /* a mark that is two */
    { "x\xCC\x81y e\xCC\x81z", "x\xCC\x81y \xC3\xA9z" },
    { "\xEF\xA4\x80", "\xE8\xB1\x88" },                                  /* a compatibility ideograph */
    { "b\xCD\x85\xE0\xA2\x98", "b\xCD\x85\xE0\xA2\x98" },                /* newer than 9.0: stays */
};

TEST_FAULT(cases) {
    struct buf out;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        NOTE("case %zu", i);
        buf_clear(&out);
        CHECK_NOMEM(nfc_append(slice_str(cases[i].from), &out), done);
        CHECK_SLICE(buf_get(&out), slice_str(cases[i].to));
        if (nfc_is_plain(slice_str(cases[i].from))) CHECK_STR(cases[i].from, cases[i].to);
    }
done:
    buf_deinit(&out);
}

TEST(plain) {
    CHECK(nfc_is_plain(SLICE("")));
    CHECK(nfc_is_plain(SLICE("caf\xC3\xA9 \xE6\xB1\x89\xE5\xAD\x97 \xEA\xB0\x81")));
    CHECK(!nfc_is_plain(SLICE("cafe\xCC\x81")));
    CHECK(nfc_is_plain(SLICE("\xFF\xCC\x81"))); /* ends where it is ill-formed */
}

/* Half a megabyte of marks in the worst order. */
TEST_NOFAULT(a_long_run_of_marks) {
    size_t n = 1 << 18;
    char *text = mem_alloc(2 * n + 1);
    struct buf out;
    CHECK(text != NULL);
    buf_init(&out, 0);
    text[0] = 'e';
    for (size_t i = 0; i < n; i++) memcpy(text + 1 + 2 * i, i % 2 ? "\xCC\xA3" : "\xCC\x87", 2);
    CHECK_INT(nfc_append(slice_of(text, 2 * n + 1), &out), 0);
    CHECK(out.len > n);
    CHECK(memcmp(out.data, "\xE1\xBA\xB9\xCC\xA3", 5) == 0); /* e with a dot below, then the other dots below */
    buf_deinit(&out);
    mem_free(text);
}
