/* body.c -- where the time of a large body goes: the stages of one request's, each by itself.
 *
 *     pieces --fill--> buf --parse--> nodes --dialect--> what is asked --hash--> a key   ...  --free-->
 *
 * "long" is one text of so many megabytes, as images and documents are; "dense" is small values, which end at the most
 * nodes that a body may have.  All but fill (which is as many turns of the loop as there are reads) happens in one turn.
 * Prints "shape, stage|milliseconds of CPU time, the middle one of RUNS|of the slowest". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/hash.h"
#include "llm/dialect.h"
#include "request/body.h"

#define RUNS  9
#define PIECE 65536

enum stage { FILL, COPY, PARSE, HASH, FREE, STAGES };
static const char *const names[STAGES] = { "fill", "copy", "parse", "hash", "free" };
static double took[STAGES][RUNS];

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void append(char *to, size_t *at, size_t most, const char *text) {
    size_t len = strlen(text);
    for (; *at + len <= most; *at += len) memcpy(to + *at, text, len);
}

static char *text_of(size_t bytes, bool dense, size_t *len) {
    const char *head = dense ? "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"metadata\":{\"l\":["
                             : "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    const char *tail = dense ? "0]}}" : "\"}]}";
    char *text = malloc(bytes + 256);
    if (text == NULL) exit(1);
    size_t at = (size_t)sprintf(text, "%s", head);
    append(text, &at, dense && bytes > 2000000 ? 2000000 : bytes, dense ? "[1,2]," : "The quick brown fox jumps. ");
    if (dense) while (at < bytes) text[at++] = ' ';
    *len = at + (size_t)sprintf(text + at, "%s", tail);
    return text;
}

static void run(const char *text, size_t len, int i) {
    struct failure f;
    struct buf bytes;
    struct body *b;
    struct hash_key key = { 1, 2 };
    double t[STAGES + 1];
    failure_init(&f);
    t[FILL] = now_ms();
    buf_init(&bytes, 0);
    buf_reserve(&bytes, 65536);
    for (size_t at = 0; at < len; at += PIECE) buf_put(&bytes, text + at, len - at < PIECE ? len - at : PIECE);
    t[COPY] = now_ms();
    char *copy = malloc(len);
    if (copy == NULL) exit(1);
    memcpy(copy, bytes.data + bytes.mark, len);
    t[PARSE] = now_ms();
    if (body_new(&b, &bytes, dialect_find(SLICE("/v1/chat/completions")), &f) != 0) {
        fprintf(stderr, "%s\n", f.message);
        exit(1);
    }
    t[HASH] = now_ms();
    volatile uint64_t h = hash64(&key, blob_get(b->text));
    (void)h;
    t[FREE] = now_ms();
    body_put(b);
    t[STAGES] = now_ms();
    for (int s = 0; s < STAGES; s++) took[s][i] = t[s + 1] - t[s];
    free(copy);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 50) << 20;
    for (int dense = 0; dense < 2; dense++) {
        size_t len;
        char *text = text_of(bytes, dense != 0, &len);
        for (int i = 0; i < RUNS; i++) run(text, len, i);
        free(text);
        for (int s = 0; s < STAGES; s++) {
            qsort(took[s], RUNS, sizeof(double), by_size);
            printf("%s, %s|%.2f|%.2f\n", dense ? "dense" : "long", names[s], took[s][RUNS / 2], took[s][RUNS - 1]);
        }
    }
    return 0;
}
