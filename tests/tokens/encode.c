/* encode.c -- tokens of many texts, for exact.mjs.
 *
 *     encode VOCABULARY FLAGS < texts > tokens
 *
 * A text is its length (u32, native order) and its bytes; the answer is the number of
 * tokens and the tokens, u32 each.  Counts are compared with them here. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"

static void die(const char *what) {
    fprintf(stderr, "encode: %s\n", what);
    exit(1);
}

int main(int argc, char **argv) {
    char message[400] = "no such vocabulary";
    struct vocab *v = argc == 3 ? vocab_builtin(slice_str(argv[1])) : NULL;
    if (v == NULL && (argc != 3 || vocab_open(argv[1], &v, message, sizeof(message)) != 0)) die(message);
    struct bpe *b = bpe_new(v);
    struct buf text, ids;
    unsigned flags = (unsigned)strtoul(argv[2], NULL, 10);
    uint32_t len;
    buf_init(&text, 0);
    buf_init(&ids, 0);
    while (fread(&len, sizeof(len), 1, stdin) == 1) {
        size_t count;
        buf_clear(&text);
        buf_clear(&ids);
        char *p = buf_reserve(&text, len + 1);
        if (p == NULL || fread(p, 1, len, stdin) != len) die("the input is cut");
        struct slice s = slice_of(p, len);
        if (bpe_encode(b, s, flags, &ids) != 0 || bpe_count(b, s, flags, BPE_NO_LIMIT, &count) != 0) die("refused");
        uint32_t n = (uint32_t)(buf_len(&ids) / sizeof(uint32_t));
        if (count != n) die("count and encode differ");
        fwrite(&n, sizeof(n), 1, stdout);
        fwrite(ids.data, sizeof(uint32_t), n, stdout);
    }
    buf_deinit(&text);
    buf_deinit(&ids);
    bpe_free(b);
    vocab_put(v);
    return fflush(stdout) == 0 ? 0 : 1;
}
