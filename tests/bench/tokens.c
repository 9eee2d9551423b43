/* tokens.c -- how long counting takes, for tokens.lua.
 *
 *     bench_tokens VOCABULARY FILE...
 *
 * A line per file: its name, bytes, tokens, nanoseconds of CPU for the first count, for
 * the best of some more, and for the best encoding.  A first line: opening the
 * vocabulary. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "bench_tokens: %s\n", what);
    exit(1);
}

static void read_all(const char *path, struct buf *to) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) die(path);
    for (;;) {
        char *p = buf_reserve(to, 1 << 20);
        if (p == NULL) die("out of memory");
        size_t n = fread(p, 1, 1 << 20, f);
        if (n == 0) break;
        buf_advance(to, n);
    }
    fclose(f);
}

static void measure(struct vocab *v, const char *path) {
    struct buf text, ids;
    struct bpe *b = bpe_new(v);
    size_t n = 0;
    double first, count = 1e18, encode = 1e18;
    buf_init(&text, 0);
    buf_init(&ids, 0);
    read_all(path, &text);
    double t = cpu_ns();
    if (b == NULL || bpe_count(b, buf_get(&text), 0, BPE_NO_LIMIT, &n) != 0) die(path);
    first = cpu_ns() - t;
    for (unsigned i = 0; i < 7; i++) {
        t = cpu_ns();
        bpe_count(b, buf_get(&text), 0, BPE_NO_LIMIT, &n);
        t = cpu_ns() - t;
        if (t < count) count = t;
        buf_clear(&ids);
        t = cpu_ns();
        bpe_encode(b, buf_get(&text), 0, &ids);
        t = cpu_ns() - t;
        if (t < encode) encode = t;
    }
    printf("%s %zu %zu %.0f %.0f %.0f\n", path, buf_len(&text), n, first, count, encode);
    buf_deinit(&text);
    buf_deinit(&ids);
    bpe_free(b);
}

int main(int argc, char **argv) {
    char message[400] = "no such vocabulary";
    if (argc < 2) die("usage: bench_tokens VOCABULARY FILE...");
    double t = cpu_ns();
    struct vocab *v = vocab_builtin(slice_str(argv[1]));
    if (v == NULL && vocab_open(argv[1], &v, message, sizeof(message)) != 0) die(message);
    printf("open 0 0 %.0f 0 0\n", cpu_ns() - t);
    for (int i = 2; i < argc; i++) measure(v, argv[i]);
    vocab_put(v);
    return 0;
}
