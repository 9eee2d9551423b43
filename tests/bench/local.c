/* local.c -- the anchor of local.lua: N rows of a model in one batch, with nothing around the library.
 *
 *   bench_local LIBRARY MODEL N ROUNDS     prints "123.4 tokens/s, 8.1 ms of CPU each"
 *
 * Each round reads N prompts of 82 tokens, in one batch as far as it has room, and says 64 tokens in each row: the
 * likeliest, found by a plain loop. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "local/llama.h"

#define PROMPT 82
#define ANSWER 64

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int32_t likeliest(const float *l, uint32_t vocab) {
    uint32_t best = 3; /* below are ends */
    for (uint32_t i = 4; i < vocab; i++)
        if (l[i] > l[best]) best = i;
    return (int32_t)best;
}

static int run(struct perilune_engine_model *m, unsigned rows) {
    struct perilune_engine_token batch[64 * PROMPT];
    int32_t next[64] = { 0 };
    uint32_t vocab = llama_engine.facts(m)->vocab;
    for (unsigned r = 0; r < rows; r++) {
        llama_engine.seq_start(m, r);
        for (unsigned i = 0; i < PROMPT; i++)
            batch[i] = (struct perilune_engine_token){ (int32_t)(100 + (i * 37 + r * 101) % 30000), r, i, i + 1 == PROMPT };
        if (llama_engine.step(m, batch, PROMPT) != 0) return 1;
        next[r] = likeliest(llama_engine.logits(m, PROMPT - 1), vocab);
    }
    for (unsigned n = 1; n < ANSWER; n++) {
        for (unsigned r = 0; r < rows; r++)
            batch[r] = (struct perilune_engine_token){ next[r], r, PROMPT + n - 1, true };
        if (llama_engine.step(m, batch, rows) != 0) return 1;
        for (unsigned r = 0; r < rows; r++) next[r] = likeliest(llama_engine.logits(m, r), vocab);
    }
    return 0;
}

int main(int argc, char **argv) {
    char why[500];
    struct perilune_engine_model *m;
    unsigned rows = argc == 5 ? (unsigned)atoi(argv[3]) : 0, rounds = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    if (rows < 1 || rows > 64 || rounds < 1) return 2;
    struct perilune_engine_options o = { .model = argv[2], .library = argv[1], .threads = 1, .context = 4096,
                                         .sequences = rows * 2 < 8 ? 8 : rows * 2, .batch = 512, .gpu_layers = -1 };
    if (llama_engine.load(&o, &m, why, sizeof(why)) != 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    run(m, rows); /* warm */
    double began = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < rounds; i++)
        if (run(m, rows) != 0) return 1;
    double tokens = rounds * rows * ANSWER;
    printf("%.1f tokens/s, %.3f ms of CPU each\n", tokens / (now(CLOCK_MONOTONIC) - began),
           (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1000 / tokens);
    llama_engine.free(m);
    return 0;
}
