/* test_image.c -- sizes from heads of files, tokens by the providers' own examples. */
#include <stdlib.h>

#include "tokens/image.h"
#include "unit.h"

static uint64_t tokens(const char *model, uint32_t w, uint32_t h, enum image_detail d) {
    bool known;
    const struct image_rule *r = image_rule_of(slice_str(model), &known);
    return image_tokens(r, (struct image_size){ w, h }, d);
}

/* OpenAI, "Images and vision": the examples of the page. */
TEST_NOFAULT(tiles) {
    CHECK_UINT(tokens("gpt-4o", 1024, 1024, IMAGE_HIGH), 765);
    CHECK_UINT(tokens("gpt-4o", 2048, 4096, IMAGE_HIGH), 1105);
    CHECK_UINT(tokens("gpt-4o", 4096, 8192, IMAGE_LOW), 85);
    CHECK_UINT(tokens("gpt-4o", 1024, 1024, IMAGE_AUTO), 765);
    CHECK_UINT(tokens("GPT-4o-2024-08-06", 128, 64, IMAGE_HIGH), 255);
    CHECK_UINT(tokens("gpt-4o-mini", 128, 64, IMAGE_HIGH), 2833 + 5667);
    CHECK_UINT(tokens("o3", 512, 512, IMAGE_HIGH), 225);
    CHECK_UINT(tokens("gpt-5", 512, 513, IMAGE_HIGH), 70 + 2 * 140);
    CHECK_UINT(tokens("gpt-5-chat-latest", 512, 512, IMAGE_LOW), 70);
    CHECK_UINT(tokens("computer-use-preview", 512, 512, IMAGE_HIGH), 65 + 129);
}

TEST_NOFAULT(patches) {
    CHECK_UINT(tokens("gpt-4.1-mini", 1024, 1024, IMAGE_HIGH), 1659);      /* 1024 x 1.62 */
    CHECK_UINT(tokens("gpt-4.1-mini", 1800, 2400, IMAGE_HIGH), 2353);      /* 1452 x 1.62 */
    CHECK_UINT(tokens("gpt-4.1-nano", 1024, 1024, IMAGE_HIGH), 2520);
    CHECK_UINT(tokens("o4-mini", 1024, 1024, IMAGE_HIGH), 1762);
    /* Measured by users at the API. */
    static const struct { uint32_t w, h, n; } mini[] = { { 256, 256, 77 },   { 512, 512, 308 },    { 768, 1024, 922 },
                                                         { 1280, 720, 1104 }, { 1024, 1024, 1229 }, { 2048, 768, 1844 } };
    for (size_t i = 0; i < sizeof(mini) / sizeof(*mini); i++)
        CHECK_UINT(tokens("gpt-5-mini", mini[i].w, mini[i].h, IMAGE_HIGH), mini[i].n);
    CHECK_UINT(tokens("gpt-6", 2560, 1440, IMAGE_HIGH), 2931);
    CHECK_UINT(tokens("gpt-6", 4032, 3024, IMAGE_HIGH), 2942);
    CHECK_UINT(tokens("gpt-6", 4032, 3024, IMAGE_AUTO), 14364);
    CHECK_UINT(tokens("gpt-5.5", 4032, 3024, IMAGE_AUTO), 11868);
    CHECK_UINT(tokens("gpt-5.5-mini", 3840, 2160, IMAGE_AUTO), 9792);
    CHECK_UINT(tokens("gpt-4.1-mini", 65535, 1, IMAGE_HIGH), 2489);   /* never more than 1536 x 1.62 */
    CHECK_UINT(tokens("gpt-5.4-mini", 4032, 3024, IMAGE_ORIGINAL), tokens("gpt-5-mini", 4032, 3024, IMAGE_HIGH));
}

TEST_NOFAULT(others) {
    CHECK_UINT(tokens("claude-sonnet-4-5", 256, 256, IMAGE_AUTO), 100);
    CHECK_UINT(tokens("claude-sonnet-4-5", 1280, 720, IMAGE_AUTO), 1196);
    CHECK(tokens("claude-haiku-4-5", 8000, 8000, IMAGE_AUTO) <= 1600);
    CHECK_UINT(tokens("gemini-2.5-pro", 384, 384, IMAGE_AUTO), 258);
    CHECK_UINT(tokens("gemini-2.5-pro", 960, 540, IMAGE_AUTO), 516);
    CHECK_UINT(tokens("qwen2.5-vl-7b", 280, 560, IMAGE_AUTO), 10 * 20 + 2);
    CHECK_UINT(tokens("qwen3-vl-8b", 320, 640, IMAGE_AUTO), 10 * 20 + 2);
    bool known = true;
    image_rule_of(SLICE("my-own"), &known);
    CHECK(!known);
    image_rule_of(SLICE("gpt-4o"), &known);
    CHECK(known);
}

TEST_NOFAULT(sizes_that_make_no_sense) {
    static const char *const models[] = { "gpt-4o", "gpt-5-mini", "gpt-6", "claude", "gemini", "qwen2" };
    static const uint32_t sides[] = { 0, 1, 31, 32, 33, 100000, UINT32_MAX };
    for (size_t m = 0; m < 6; m++)
        for (size_t i = 0; i < 7; i++)
            for (size_t j = 0; j < 7; j++)
                for (int d = IMAGE_AUTO; d <= IMAGE_ORIGINAL; d++)
                    CHECK(tokens(models[m], sides[i], sides[j], (enum image_detail)d) > 0);
}

static void check_file(struct slice file, bool known, uint32_t w, uint32_t h) {
    /* In memory of exactly its size, so that a sanitizer sees reads behind its end. */
    char *copy = malloc(file.len + 1);
    struct image_size s;
    memcpy(copy, file.ptr, file.len);
    CHECK_INT(image_size(slice_of(copy, file.len), &s), known);
    if (known) {
        CHECK_UINT(s.width, w);
        CHECK_UINT(s.height, h);
    }
    for (size_t n = 0; n < file.len; n++) {
        char *cut = malloc(n + 1);
        memcpy(cut, file.ptr, n);
        image_size(slice_of(cut, n), &s);
        free(cut);
    }
    free(copy);
}

TEST_NOFAULT(heads) {
    check_file(SLICE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\4\0\0\0\3\0\10\2\0\0\0"), true, 1024, 768);
    check_file(SLICE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\3\0\10\2\0\0\0"), false, 0, 0);
    check_file(SLICE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\0\3\10\2\0\0\0"), true, 65535, 3);
    check_file(SLICE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\0\0\3\10\2\0\0\0"), false, 0, 0);
    check_file(SLICE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\10\2\0\0\0"), false, 0, 0);
    check_file(SLICE("GIF89a\x40\1\xf0\0\x80\0\0"), true, 320, 240);
    check_file(SLICE("\xff\xd8\xff\xe0\0\4JF\xff\xff\xe1\0\6Exif\xff\xc2\0\x11\10\2\0\3\0\3\1\"\0"), true, 768, 512);
    check_file(SLICE("\xff\xd8\xff\xda\0\4JF\xff\xc2\0\x11\10\2\0\3\0\3\1\"\0"), false, 0, 0);
    check_file(SLICE("\xff\xd8\xff\xe0\0\0\0\0\0\0"), false, 0, 0);
    check_file(SLICE("RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\1\x2a\x80\2\xe0\1\0"), true, 640, 480);
    check_file(SLICE("RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x7f\xc2\x77\0\0\0\0\0\0\0"), true, 640, 480);
    check_file(SLICE("RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x7f\2\0\xdf\1\0\0"), true, 640, 480);
    check_file(SLICE("%PDF-1.7 and more of it, and more, and more"), false, 0, 0);
}

TEST_NOFAULT(urls) {
    struct image_size s;
    CHECK(image_size_of_url(SLICE("data:image/gif;base64,R0lGODlhQAHwAIAAAA=="), &s));
    CHECK_UINT(s.width, 320);
    CHECK_UINT(s.height, 240);
    CHECK(!image_size_of_url(SLICE("https://example.com/a.png"), &s));
    CHECK(!image_size_of_url(SLICE("data:image/gif;base64"), &s));
    CHECK(!image_size_of_url(SLICE("data:image/gif;base64,"), &s));
    CHECK(!image_size_of_url(SLICE("data:image/gif;base64,!!!!"), &s));
    CHECK(!image_size_of_url(SLICE(""), &s));
    unsigned char out[8];
    CHECK_UINT(base64_decode(SLICE("aGVsbG8="), out, sizeof(out)), 5);
    CHECK(memcmp(out, "hello", 5) == 0);
    CHECK_UINT(base64_decode(SLICE("aGVs\r\nbG8"), out, 4), 4);
}

/* A JPEG whose size stands behind 40 KB of thumbnail. */
TEST_NOFAULT(a_jpeg_with_a_long_head) {
    static char file[48 * 1024], url[80 * 1024];
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memcpy(file, "\xff\xd8\xff\xe1\x9c\x40", 6); /* 40000 */
    memcpy(file + 4 + 40000, "\xff\xc0\0\x11\10\2\0\3\0\3\1\"\0", 13);
    size_t n = 22;
    memcpy(url, "data:image/jpg;base64,", n);
    for (size_t i = 0; i + 3 <= 40020; i += 3) {
        const unsigned char *p = (const unsigned char *)file + i;
        uint32_t b = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        for (int k = 18; k >= 0; k -= 6) url[n++] = digits[b >> k & 63];
    }
    struct image_size s;
    CHECK(image_size_of_url(slice_of(url, n), &s));
    CHECK_UINT(s.width, 768);
    CHECK_UINT(s.height, 512);
}
