/* router.c -- how long a classifier takes for a prompt: prints "NAME MICROSECONDS" lines.
 *
 *     build/release/bench_router
 *
 * Prompts of 2 KB are made up, a thousand of each kind, so that the table of weights is not warm for one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "learn/trainer.h"

#define PROMPTS 1000
#define BYTES   2048
#define ROUNDS  20

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void english(char *to, struct rng *rng) {
    size_t at = 0;
    while (at < BYTES) {
        unsigned len = 2 + (unsigned)(rng_next(rng) % 8), word = (unsigned)(rng_next(rng) % 5000);
        for (unsigned i = 0; i < len && at < BYTES; i++) to[at++] = (char)('a' + (word * 31 + i * 7 + word / 26) % 26);
        if (at < BYTES) to[at++] = rng_next(rng) % 12 == 0 ? '.' : ' ';
    }
}

static void code(char *to, struct rng *rng) {
    static const char *const pieces[] = { "if (x == NULL) {\n    return -1;\n}\n", "for (int i = 0; i < n; i++) ",
                                          "sum += list[i] * weight;\n", "def read(self, path):\n", "    value = f(a, b)\n" };
    size_t at = 0;
    while (at < BYTES) {
        const char *p = pieces[rng_next(rng) % 5];
        size_t n = strlen(p) < BYTES - at ? strlen(p) : BYTES - at;
        memcpy(to + at, p, n);
        at += n;
    }
}

static void chinese(char *to, struct rng *rng) {
    size_t at = 0;
    for (; at + 3 <= BYTES; at += 3) {
        unsigned c = 0x4E00 + (unsigned)(rng_next(rng) % 3000);
        to[at] = (char)(0xE0 | c >> 12);
        to[at + 1] = (char)(0x80 | (c >> 6 & 63));
        to[at + 2] = (char)(0x80 | (c & 63));
    }
    memset(to + at, ' ', BYTES - at);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct model *train(struct buf *file, const char *prompts, struct features *f) {
    static const char names[2][MODEL_NAME] = { "small", "big" };
    struct calibrated line = { .count = 2, .score = { -2, 2 }, .value = { 0, 1 } };
    struct model_parts p = { .kind = MODEL_ROUTE, .names = names, .value = &line, .rank = &line };
    struct trainer *t = trainer_new(&(struct trainer_options){ .bits = MODEL_BITS, .outputs = 1, .words = 0.12f });
    struct model *m = NULL;
    struct failure why;
    failure_init(&why);
    for (int i = 0; t != NULL && i < PROMPTS; i++) {
        float target = (float)(i % 3) / 2;
        features_read(f, slice_of(prompts + (size_t)i * BYTES, BYTES), 1);
        trainer_step(t, f, &target);
    }
    if (t != NULL) trainer_parts(t, &p);
    if (t != NULL) model_write(&p, file);
    if (model_open(&m, buf_get(file), &why) != 0) exit(1);
    trainer_free(t);
    return m;
}

static void measure(const char *name, void (*make)(char *to, struct rng *rng)) {
    char *prompts = mem_alloc((size_t)PROMPTS * BYTES);
    struct features *f = mem_alloc(sizeof(*f));
    static double took[ROUNDS * PROMPTS];
    struct buf file;
    struct rng rng;
    float sum = 0;
    buf_init(&file, 0);
    rng_seed(&rng, 5);
    for (int i = 0; i < PROMPTS; i++) make(prompts + (size_t)i * BYTES, &rng);
    struct model *m = train(&file, prompts, f);
    for (int round = 0, k = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PROMPTS; i++, k++) {
            float score;
            double before = now_us();
            features_read(f, slice_of(prompts + (size_t)i * BYTES, BYTES), 1);
            model_scores(m, f, &score);
            sum += model_value(m, 0, score) + model_rank(m, score);
            took[k] = now_us() - before;
        }
    }
    qsort(took, ROUNDS * PROMPTS, sizeof(*took), by_value);
    printf("%s %.3f\n%s.p99 %.3f\n", name, took[ROUNDS * PROMPTS / 2], name, took[ROUNDS * PROMPTS * 99 / 100]);
    if (sum == 12345.678f) printf("\n"); /* it is used */
    model_close(m);
    buf_deinit(&file);
    mem_free(f);
    mem_free(prompts);
}

int main(void) {
    measure("english", english);
    measure("code", code);
    measure("chinese", chinese);
    return 0;
}
