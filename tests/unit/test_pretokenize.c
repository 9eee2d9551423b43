/* test_pretokenize.c -- the fast ways to find where pieces end, against the rules themselves;
 * the classes of bytes by SSE2 and in plain C, against a table. */
#include <string.h>

#include "base/hash.h"
#include "tokens/pretokenize_block.h"
#include "unit.h"

static const struct {
    enum pretokenize_kind    kind;
    struct pretokenize_ascii ascii;
} rules[] = {
    { PRETOKENIZE_O200K, PRETOKENIZE_ASCII_O200K },
    { PRETOKENIZE_CL100K, PRETOKENIZE_ASCII_CL100K },
    { PRETOKENIZE_LLAMA3, PRETOKENIZE_ASCII_CL100K },
    { PRETOKENIZE_QWEN, PRETOKENIZE_ASCII_QWEN },
    { PRETOKENIZE_DEEPSEEK, PRETOKENIZE_ASCII_DEEPSEEK },
};
#define RULES (sizeof(rules) / sizeof(*rules))

/* -- Classes of bytes ------------------------------------------------------------------- */

static bool in_range(unsigned c, unsigned first, unsigned last) { return c >= first && c <= last; }

static void check_masks(const unsigned char *p, struct pretokenize_masks m) {
    for (unsigned i = 0; i < PRETOKENIZE_BLOCK; i++) {
        unsigned c = p[i];
        NOTE("byte %u at %u", c, i);
        CHECK_UINT(m.letter >> i & 1, in_range(c, 'a', 'z') || in_range(c, 'A', 'Z'));
        CHECK_UINT(m.small >> i & 1, in_range(c, 'a', 'z'));
        CHECK_UINT(m.digit >> i & 1, in_range(c, '0', '9'));
        CHECK_UINT(m.space >> i & 1, c == ' ' || in_range(c, '\t', '\r'));
        CHECK_UINT(m.newline >> i & 1, c == '\n' || c == '\r');
        CHECK_UINT(m.blank >> i & 1, c == ' ');
        CHECK_UINT(m.slash >> i & 1, c == '/');
        CHECK_UINT(m.quote >> i & 1, c == '\'');
        CHECK_UINT(m.high >> i & 1, c >= 0x80);
    }
}

TEST_NOFAULT(classes_of_bytes) {
    unsigned char text[256 + PRETOKENIZE_BLOCK];
    for (unsigned i = 0; i < sizeof(text); i++) text[i] = (unsigned char)(i * 7); /* neighbours differ in every bit */
    for (unsigned at = 0; at <= 256; at++) {
        check_masks(text + at, pretokenize_masks(text + at));
        check_masks(text + at, pretokenize_masks_plain(text + at));
    }
}

/* -- Ends of pieces ----------------------------------------------------------------------- */

/* Every end that is said is one, and none before it was left out. */
static unsigned check_block(const unsigned char *p, const unsigned char *end, pretokenize_fn *rule, struct pretokenize_ascii r) {
    uint64_t ends = pretokenize_block(p, r);
    unsigned n = 0, from = 0;
    for (; ends != 0; ends &= ends - 1, n++) {
        unsigned to = (unsigned)__builtin_ctzll(ends);
        const unsigned char *want = rule(p + from, end);
        CHECK(want != NULL);
        CHECK_UINT(to, (unsigned)(want - p));
        from = to;
    }
    return n;
}

/* Returns how many ends blocks found. */
static unsigned check_text(const unsigned char *p, size_t n) {
    const unsigned char *end = p + n;
    unsigned found = 0;
    for (size_t i = 0; i < RULES; i++) {
        pretokenize_fn *rule = pretokenize_rule(rules[i].kind);
        for (const unsigned char *q = p; q != NULL && q < end; q = rule(q, end)) {
            const unsigned char *stop = rule(q, end);
            NOTE("%s at %zu of %.*s", pretokenize_name(rules[i].kind), (size_t)(q - p), (int)n, (const char *)p);
            if (end - q >= 16) {
                unsigned len = pretokenize_ascii(q, rules[i].ascii);
                if (len > 0) CHECK(q + len == stop);
            }
            if (end - q >= PRETOKENIZE_BLOCK && rules[i].ascii.digits > 0) found += check_block(q, end, rule, rules[i].ascii);
        }
    }
    return found;
}

static const char *const parts[] = {
    " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\n \n", "\n  x", " \n", "\x0b", "/", "//", "\n/",
    "/\n/", ";\n/*", ")\r\n",
    "a", "B", "word", "Word", "WORD", "camelCase", "HTTPServer", "x", "1", "12", "123", "1234", "1234567890", "3.14",
    ".", ",", "(", ")", "\":\"", "{", "}", "_", "-", "==", "...", "<|", "'", "\"", "''", "'s", "'t", "'re", "'LL",
    "'Ve", "'d", "it's", "we'LLgo", "don'tX", "o'clock", "'sx", "'x", "a'b's", "\x01", "\x7f", "\xC3\xA9", "\xC2\xA0",
    "\xE4\xBD\xA0", "\xE3\x80\x82", "\xCC\x81", "\xC5\xBF", "'\xC5\xBF", "\xD9\xA3", "\xE2\x80\xA8", "\xF0\x9F\x98\x80",
    "internationalization", "                    ", "----------------",
    "\n                                                              \n",
};
#define PARTS (sizeof(parts) / sizeof(*parts))

TEST_NOFAULT(ends_of_pieces) {
    struct rng rng;
    unsigned found = 0;
    rng_seed(&rng, 1);
    for (unsigned i = 0; i < 8000; i++) {
        unsigned char text[512];
        size_t n = 0, some = 1 + rng_next(&rng) % PARTS; /* few kinds of parts meet more often */
        unsigned ascii = rng_next(&rng) % 4; /* of four texts three are ASCII */
        size_t from = rng_next(&rng) % PARTS;
        while (n < 200) {
            const char *part = parts[(from + rng_next(&rng) % some) % PARTS];
            if (ascii > 0 && (unsigned char)part[strlen(part) - 1] >= 0x80) part = "z";
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        found += check_text(text, n);
    }
    CHECK(found > 1000000);
}

/* All fours of bytes of each kind, at the beginning, in the middle and at the end of a block. */
TEST_NOFAULT(ends_of_all_neighbours) {
    static const char bytes[] = "aBs1 \n\r\t'/.(<re\x01";
    const size_t n = sizeof(bytes) - 1, all = n * n * n * n;
    for (size_t i = 0; i < all; i++) {
        unsigned char text[PRETOKENIZE_BLOCK + 32];
        memset(text, "ab "[i % 3], sizeof(text));
        for (size_t k = 0, x = i; k < 4; k++, x /= n)
            text[k] = text[24 + k] = text[PRETOKENIZE_BLOCK - 3 + k] = (unsigned char)bytes[x % n];
        text[40] = '.';
        for (size_t k = 0; k < RULES; k++) {
            if (rules[k].ascii.digits == 0) continue;
            NOTE("%s: %.4s", pretokenize_name(rules[k].kind), (const char *)text);
            pretokenize_fn *rule = pretokenize_rule(rules[k].kind);
            check_block(text, text + sizeof(text), rule, rules[k].ascii);
            check_block(text + 24, text + sizeof(text), rule, rules[k].ascii);
        }
    }
}
