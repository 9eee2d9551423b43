/* expand.c -- from core/tokens/vocab/NAME.pairs to the form that a program maps.  A tool of the build.
 *
 *     expand NAME.pairs NAME FILE
 *
 * core/tokens/vocab/pack.lua says what a .pairs file is.  Splitting rules go with the name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tokens/vocab_build.h"
#include "tokens/vocab_int.h"

struct bits {
    const unsigned char *p, *end;
    uint64_t acc;
    unsigned n;
};

static uint32_t take(struct bits *b, unsigned width) {
    while (b->n < width) {
        if (b->p == b->end) {
            fprintf(stderr, "expand: the file is cut\n");
            exit(1);
        }
        b->acc |= (uint64_t)*b->p++ << b->n;
        b->n += 8;
    }
    uint32_t x = (uint32_t)(b->acc & (((uint64_t)1 << width) - 1));
    b->acc >>= width;
    b->n -= width;
    return x;
}

static uint32_t u32(const unsigned char *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The tokens, each a piece of one block of memory that is never freed. */
static struct slice *read_tokens(const unsigned char *file, size_t size, uint32_t *count) {
    if (size < 272 || memcmp(file, "BPEPAIRS", 8) != 0 || u32(file + 8) != 1) return NULL;
    uint32_t n = u32(file + 12);
    if (n < 256 || n > VOCAB_MAX_IDS) return NULL;
    struct slice *t = mem_zalloc(n * sizeof(*t));
    struct bits b = { .p = file + 272, .end = file + size };
    if (t == NULL) return NULL;
    for (uint32_t i = 0; i < 256; i++) t[i] = slice_of((const char *)file + 16 + i, 1);
    unsigned width = 8;
    for (uint32_t i = 256; i < n; i++) {
        while (1u << width < i) width++;
        uint32_t left = take(&b, width), right = take(&b, width);
        if (left >= i || right >= i) return NULL;
        size_t len = t[left].len + t[right].len;
        char *p = len <= VOCAB_MAX_TOKEN ? mem_alloc(len) : NULL;
        if (p == NULL) return NULL;
        memcpy(p, t[left].ptr, t[left].len);
        memcpy(p + t[left].len, t[right].ptr, t[right].len);
        t[i] = slice_of(p, len);
    }
    *count = n;
    return t;
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return NULL;
    unsigned char *data = mem_alloc(4 << 20);
    *size = data == NULL ? 0 : fread(data, 1, 4 << 20, f);
    fclose(f);
    return data;
}

int main(int argc, char **argv) {
    char message[256] = "";
    struct vocab_source src = { .flags = VOCAB_WHOLE };
    struct buf out;
    size_t size;
    if (argc != 4) return 2;
    unsigned char *file = read_file(argv[1], &size);
    if (file != NULL) src.tokens = read_tokens(file, size, &src.n_ids);
    if (src.tokens == NULL) {
        fprintf(stderr, "expand: %s: not a file of pairs\n", argv[1]);
        return 1;
    }
    src.name = argv[2];
    src.split = strcmp(argv[2], "cl100k_base") == 0 ? PRETOKENIZE_CL100K : PRETOKENIZE_O200K;
    buf_init(&out, 0);
    if (vocab_build(&src, &out, message, sizeof(message)) != 0) {
        fprintf(stderr, "expand: %s: %s\n", argv[1], message);
        return 1;
    }
    FILE *f = fopen(argv[3], "wb");
    if (f == NULL || fwrite(out.data, 1, out.len, f) != out.len || fclose(f) != 0) {
        fprintf(stderr, "expand: cannot write %s\n", argv[3]);
        return 1;
    }
    return 0;
}
