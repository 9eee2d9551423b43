/* image.c -- images in prompts: their size from their first bytes, their price in tokens.
 *
 * Providers scale an image down and cut it into squares; what a prompt pays for is the
 * number of squares, whatever the file weighs:
 *
 *     tiles     fits 2048 x 2048, then the short side down to 768; squares of 512
 *               (OpenAI, "Images and vision", GPT-4o and what is priced like it)
 *     patches   squares of 32, scaled down when there are too many, times a factor
 *               (same page: GPT-4.1 mini, o4-mini, GPT-5 mini and all from GPT-5.2 on)
 *     Claude    long side at most 1568; squares of 28 (Anthropic's page says
 *               width x height / 750, which is the same for images that fit)
 *     Gemini    258 up to 384 x 384, else squares of 768 (Google, "Understand tokens")
 *     Qwen-VL   sides rounded to a multiple of 28 (Qwen3-VL: 32), a square each
 *
 * The factors of GPT-5 mini and nano on OpenAI's page (1.62, 2.46) are not what is
 * billed; users measured 1.2 and 1.5, and that stands here.  From GPT-5.5 on an image
 * without `detail` is taken in its original size, up to 10000 patches.
 *
 * Sizes come from the head of the file.  JPEG may have a thumbnail and colour profile
 * before it, so up to 64 KiB are decoded; no pixel is.
 *
 * Does not fetch: an image behind an address is assumed to be 1024 x 1024. */
#include "tokens/image.h"

#include <math.h>
#include <strings.h>

/* -- Which rule -------------------------------------------------------------------- */

/* The longest prefix that fits decides.  Factors are in hundredths. */
static const struct {
    const char       *prefix;
    struct image_rule rule;
} rules[] = {
    { "gpt-4o-mini", { IMAGE_TILES, 2833, 5667, 0, false } }, /* costs what GPT-4o costs: more, cheaper tokens */
    { "gpt-4o", { IMAGE_TILES, 85, 170, 0, false } },
    { "gpt-4-turbo", { IMAGE_TILES, 85, 170, 0, false } },
    { "gpt-4-vision", { IMAGE_TILES, 85, 170, 0, false } },
    { "gpt-4.5", { IMAGE_TILES, 85, 170, 0, false } },
    { "gpt-4.1", { IMAGE_TILES, 85, 170, 0, false } },
    { "gpt-4.1-mini", { IMAGE_PATCHES, 162, 1536, 1536, false } },
    { "gpt-4.1-nano", { IMAGE_PATCHES, 246, 1536, 1536, false } },
    { "chatgpt-4o", { IMAGE_TILES, 85, 170, 0, false } },
    { "o1", { IMAGE_TILES, 75, 150, 0, false } },
    { "o3", { IMAGE_TILES, 75, 150, 0, false } },
    { "o4-mini", { IMAGE_PATCHES, 172, 1536, 1536, false } },
    { "codex-mini", { IMAGE_PATCHES, 172, 1536, 1536, false } },
    { "computer-use", { IMAGE_TILES, 65, 129, 0, false } },
    { "gpt-5", { IMAGE_TILES, 70, 140, 0, false } },
    { "gpt-5-mini", { IMAGE_PATCHES, 120, 1536, 1536, false } },
    { "gpt-5-nano", { IMAGE_PATCHES, 150, 1536, 1536, false } },
    { "gpt-5.2", { IMAGE_PATCHES, 120, 1536, 1536, false } },
    { "gpt-5.3", { IMAGE_PATCHES, 120, 1536, 1536, false } },
    { "gpt-5.4", { IMAGE_PATCHES, 120, 2500, 10000, false } },
    { "gpt-5.4-mini", { IMAGE_PATCHES, 120, 1536, 1536, false } },
    { "gpt-5.4-nano", { IMAGE_PATCHES, 120, 1536, 1536, false } },
    { "gpt-5.5", { IMAGE_PATCHES, 120, 2500, 10000, true } },
    { "gpt-5.6", { IMAGE_PATCHES, 120, 2500, 10000, true } },
    { "gpt-6", { IMAGE_PATCHES, 120, 2500, 0, true } },
    { "claude", { IMAGE_CLAUDE, 0, 0, 0, false } },
    { "gemini", { IMAGE_GEMINI, 0, 0, 0, false } },
    { "qwen", { IMAGE_QWEN, 28, 0, 0, false } },
    { "qwen3", { IMAGE_QWEN, 32, 0, 0, false } },
    { "qvq", { IMAGE_QWEN, 28, 0, 0, false } },
};

const struct image_rule *image_rule_of(struct slice model, bool *known) {
    static const struct image_rule other = { IMAGE_TILES, 85, 170, 0, false };
    const struct image_rule *best = &other;
    size_t longest = 0;
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && model.len > 0; i++) {
        if ((model.ptr[0] | 32) != rules[i].prefix[0]) continue; /* all begin with a small letter */
        size_t n = strlen(rules[i].prefix);
        if (n <= longest || n > model.len || strncasecmp(model.ptr, rules[i].prefix, n) != 0) continue;
        longest = n;
        best = &rules[i].rule;
    }
    *known = longest > 0;
    return best;
}

/* -- How many tokens ------------------------------------------------------------------ */

static double squares(double side, double pixels) { return ceil(side / pixels - 1e-9); }

static uint64_t tiles(const struct image_rule *r, double w, double h, enum image_detail detail) {
    if (detail == IMAGE_LOW) return r->a;
    double fit = fmin(1, fmin(2048 / w, 2048 / h));
    w *= fit;
    h *= fit;
    double smaller = fmin(1, 768 / fmin(w, h));
    return r->a + r->b * (uint64_t)(squares(w * smaller, 512) * squares(h * smaller, 512));
}

/* Scaled so that whole patches cover it: the formula of OpenAI's page. */
static uint64_t patches(const struct image_rule *r, double w, double h, enum image_detail detail) {
    bool whole = detail == IMAGE_ORIGINAL || (detail == IMAGE_AUTO && r->large);
    double most = whole ? (r->most ? r->most : INFINITY) : r->b;
    if (squares(w, 32) * squares(h, 32) > most) {
        double s = sqrt(most * 32 * 32 / (w * h)), pw = w * s / 32, ph = h * s / 32;
        s *= fmin(pw >= 1 ? floor(pw) / pw : 1, ph >= 1 ? floor(ph) / ph : 1);
        w *= s;
        h *= s;
    }
    double n = fmin(squares(w, 32) * squares(h, 32), most); /* a stripe cannot be made smaller than one patch */
    return (uint64_t)ceil(n * r->a / 100 - 1e-9);
}

static uint64_t claude(double w, double h) {
    double fit = fmin(1, 1568 / fmax(w, h)), most = 1568;
    w *= fit;
    h *= fit;
    double n = squares(w, 28) * squares(h, 28);
    return (uint64_t)fmin(n, most);
}

static uint64_t qwen(double square, double w, double h) {
    double n = fmax(1, round(w / square)) * fmax(1, round(h / square));
    return (uint64_t)fmin(fmax(n, 4), 16384) + 2;
}

uint64_t image_tokens(const struct image_rule *rule, struct image_size size, enum image_detail detail) {
    double w = size.width ? size.width : 1, h = size.height ? size.height : 1;
    switch (rule->kind) {
    case IMAGE_TILES: return tiles(rule, w, h, detail);
    case IMAGE_PATCHES: return patches(rule, w, h, detail);
    case IMAGE_CLAUDE: return claude(w, h);
    case IMAGE_GEMINI:
        return w <= 384 && h <= 384 ? 258 : (uint64_t)(258 * squares(w, 768) * squares(h, 768));
    case IMAGE_QWEN: break;
    }
    return qwen(rule->a, w, h);
}

uint64_t image_tokens_unseen(const struct image_rule *rule, enum image_detail detail) {
    return image_tokens(rule, (struct image_size){ 1024, 1024 }, detail);
}

/* -- How large -------------------------------------------------------------------------- */

#define HEAD_MAX (64 * 1024) /* bytes of an image in which its size must stand: JPEGs put metadata first */

/* Pixels.  No provider takes more; a head of 24 bytes that says so may not cost quadrillions of tokens. */
#define SIDE_MAX 65535u

static uint32_t big(const unsigned char *p, unsigned n) {
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static uint32_t little(const unsigned char *p, unsigned n) {
    uint32_t v = 0;
    for (unsigned i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

/* Segments, FF marker length, until the frame header that has the size. */
static bool jpeg_size(const unsigned char *p, size_t n, struct image_size *out) {
    size_t at = 2;
    while (at + 4 <= n) {
        if (p[at] != 0xFF) return false;
        unsigned marker = p[at + 1];
        if (marker == 0xFF) { /* filling */
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) { /* without a length */
            at += 2;
            continue;
        }
        bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (frame) {
            if (at + 9 > n) return false;
            *out = (struct image_size){ .width = big(p + at + 7, 2), .height = big(p + at + 5, 2) };
            return true;
        }
        if (marker == 0xD9 || marker == 0xDA) return false; /* pixels, and no size before them */
        size_t len = big(p + at + 2, 2);
        if (len < 2) return false;
        at += 2 + len;
    }
    return false;
}

static bool webp_size(const unsigned char *p, size_t n, struct image_size *out) {
    if (n < 30) return false;
    if (memcmp(p + 12, "VP8 ", 4) == 0) {
        *out = (struct image_size){ little(p + 26, 2) & 0x3FFF, little(p + 28, 2) & 0x3FFF };
    } else if (memcmp(p + 12, "VP8L", 4) == 0) {
        uint32_t bits = little(p + 21, 4);
        *out = (struct image_size){ (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1 };
    } else if (memcmp(p + 12, "VP8X", 4) == 0) {
        *out = (struct image_size){ little(p + 24, 3) + 1, little(p + 27, 3) + 1 };
    } else {
        return false;
    }
    return true;
}

bool image_size(struct slice file, struct image_size *out) {
    const unsigned char *p = (const unsigned char *)file.ptr;
    size_t n = file.len;
    *out = (struct image_size){ 0, 0 };
    if (n >= 24 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
        *out = (struct image_size){ big(p + 16, 4), big(p + 20, 4) };
    else if (n >= 10 && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0))
        *out = (struct image_size){ little(p + 6, 2), little(p + 8, 2) };
    else if (n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        webp_size(p, n, out);
    else if (n >= 4 && p[0] == 0xFF && p[1] == 0xD8)
        jpeg_size(p, n, out);
    return out->width - 1 < SIDE_MAX && out->height - 1 < SIDE_MAX;
}

/* -- Base64 -------------------------------------------------------------------------------- */

static int digit(unsigned char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

size_t base64_decode(struct slice text, unsigned char *out, size_t size) {
    size_t n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len && n < size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '\n' || c == '\r') continue;
        int d = digit(c);
        if (d < 0) break;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[n++] = (unsigned char)(bits >> have);
    }
    return n;
}

bool image_size_of_url(struct slice url, struct image_size *out) {
    *out = (struct image_size){ 0, 0 };
    if (url.len < 5 || strncasecmp(url.ptr, "data:", 5) != 0) return false;
    const char *comma = memchr(url.ptr, ',', url.len < 256 ? url.len : 256);
    if (comma == NULL) return false;
    struct slice text = slice_of(comma + 1, url.len - (size_t)(comma + 1 - url.ptr));
    unsigned char head[HEAD_MAX];
    /* Most heads are short; a JPEG's may not be. */
    size_t n = base64_decode(text, head, 1024);
    if (image_size(slice_of((const char *)head, n), out)) return true;
    if (n < 1024 || head[0] != 0xFF) return false;
    n = base64_decode(text, head, sizeof(head));
    return image_size(slice_of((const char *)head, n), out);
}
