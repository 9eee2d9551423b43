/* count.c -- counting a conversation again when it has grown, for count.lua.
 *
 *     bench_count FILE        text to make messages of
 *
 * Three conversations of 64 KB, of messages of 300, 700 and 4000 bytes.  A line for
 * each: messages, tokens, nanoseconds of CPU to count it the first time, again, and again with one
 * new message of that size, and for that message alone.  What is counted is parsed already,
 * as a request's body is. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "tokens/tokens.h"

#define SIZE  65536
#define TIMES 301

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "bench_count: %s\n", what);
    exit(1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v) {
    qsort(v, TIMES, sizeof(*v), by_value);
    return v[TIMES / 2];
}

/* {"model":...,"messages":[...]}, `bytes` of messages from text, the last one made new by `n`. */
static unsigned make(struct buf *out, struct slice text, size_t bytes, size_t size, unsigned n) {
    unsigned count = 0;
    size_t at = 0;
    buf_clear(out);
    buf_puts(out, "{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":[");
    do {
        buf_printf(out, "%s{\"role\":\"%s\",\"content\":", count ? "," : "", count % 2 ? "assistant" : "user");
        json_write_string(out, slice_of(text.ptr + at, size));
        buf_putc(out, '}');
        at = (at + size) % (text.len - 2 * size);
        count++;
    } while (buf_len(out) < bytes);
    if (n > 0) {
        buf_printf(out, ",{\"role\":\"user\",\"content\":");
        char first[32];
        snprintf(first, sizeof(first), "%u ", n);
        struct buf last;
        buf_init(&last, 0);
        buf_puts(&last, first);
        buf_put(&last, text.ptr + (at + n * 37) % (text.len - size), size);
        json_write_string(out, buf_get(&last));
        buf_deinit(&last);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
    return count;
}

static uint64_t count_once(struct tokens *t, const struct tokens_ask *ask, struct slice body, double *ns) {
    struct json_doc doc = { .nodes = NULL };
    struct tokens_count n;
    if (json_parse(&doc, body, &(struct json_error){ 0 }) != 0) die("not JSON");
    double from = cpu_ns();
    if (tokens_body(t, ask, &doc, &n) != 0) die("not counted");
    *ns = cpu_ns() - from;
    json_deinit(&doc);
    return n.tokens;
}

static void measure(struct models *m, struct slice text, size_t size) {
    struct tokens *t = tokens_new();
    struct tokens_ask ask = { .limit = TOKENS_NO_LIMIT };
    struct buf body, one;
    buf_init(&body, 0);
    buf_init(&one, 0);
    models_find(m, SLICE("gpt-4o"), &ask.model);
    static double again[TIMES], grown[TIMES], alone[TIMES];
    double first;
    unsigned messages = make(&body, text, SIZE, size, 0);
    uint64_t tokens = count_once(t, &ask, buf_get(&body), &first);
    for (unsigned i = 0; i < TIMES; i++) count_once(t, &ask, buf_get(&body), &again[i]);
    for (unsigned i = 0; i < TIMES; i++) {
        make(&body, text, SIZE, size, 2 * i + 1);
        count_once(t, &ask, buf_get(&body), &grown[i]);
        make(&one, text, 1, size, 2 * i + 2); /* one known message, one new */
        count_once(t, &ask, buf_get(&one), &alone[i]);
    }
    printf("%zu %u %llu %.0f %.0f %.0f %.0f\n", size, messages, (unsigned long long)tokens, first, median(again),
           median(grown), median(alone));
    buf_deinit(&body);
    buf_deinit(&one);
    tokens_free(t);
}

int main(int argc, char **argv) {
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (f == NULL) die("usage: bench_count FILE");
    static char text[400000];
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    if (n < 100000) die("the file is too short");
    struct models *m = models_new(NULL);
    if (m == NULL) die("out of memory");
    static const size_t sizes[] = { 300, 700, 4000 };
    for (size_t i = 0; i < 3; i++) measure(m, slice_of(text, n), sizes[i]);
    models_put(m);
    return 0;
}
