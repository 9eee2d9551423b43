/* image.h -- how large an image is, and how many tokens models make of it. See image.c. */
#ifndef PERILUNE_TOKENS_IMAGE_H
#define PERILUNE_TOKENS_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum image_detail { IMAGE_AUTO, IMAGE_LOW, IMAGE_HIGH, IMAGE_ORIGINAL };

enum image_kind {
    IMAGE_TILES,   /* a, and b for each square of 512 pixels */
    IMAGE_PATCHES, /* a/100 for each square of 32 pixels, at most b of them */
    IMAGE_CLAUDE,  /* squares of 28 pixels */
    IMAGE_GEMINI,  /* 258 for each square of 768 pixels */
    IMAGE_QWEN     /* squares of a pixels, rounded, and a mark on both sides */
};

struct image_rule {
    enum image_kind kind;
    uint32_t        a, b;
    uint32_t        most; /* PATCHES with IMAGE_ORIGINAL, or IMAGE_AUTO when `large` */
    bool            large;
};

struct image_size { uint32_t width, height; /* pixels */ };

/* What the model with this name (its last part, lower case or not) does with images.
 * Borrowed for ever.  *known: the name is one that a rule was published for. */
const struct image_rule *image_rule_of(struct slice model, bool *known);

uint64_t image_tokens(const struct image_rule *rule, struct image_size size, enum image_detail detail);
/* Of an image that is not here (an address): as if it were 1024 x 1024, the size of the
 * providers' first example. */
uint64_t image_tokens_unseen(const struct image_rule *rule, enum image_detail detail);

/* From the first bytes of a PNG, JPEG, GIF or WebP in a data: URL (base64).  false: it
 * is none of these, or its head is not within the first 64 KiB. */
bool image_size_of_url(struct slice url, struct image_size *out);
/* The same from the file's bytes. */
bool image_size(struct slice file, struct image_size *out);

/* The bytes of base64 from text into out, at most size; stops at what is none. */
size_t base64_decode(struct slice text, unsigned char *out, size_t size);

#endif
