/* alone.c -- a Lua state without a gateway: what `perilune test` and `perilune compress`
 * run in.
 *
 * Its clock is virtual and its random numbers are the same each time, so that a spec gives
 * today what it gave yesterday, and nothing waits for anything real.  It has no limits of
 * time and memory but the state's own for loading: what runs here is the user's. */
#include "cli/alone.h"

#include <stdio.h>

#include "include/perilune.h"

#define MORNING_MS   1700000000000u /* any day will do, as long as it is the same */
#define SEED         42
#define SHARED_BYTES (16u << 20) /* as much as a gateway has */
#define ANSWER_BYTES (16u << 20) /* the default of max_body */
#define HIGH_WATER   (1u << 20)

static void log_to_stderr(void *ud, int level, perilune_str line) {
    (void)ud;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

int alone_open(struct alone *a, int log_level, char *err, size_t errlen) {
    *a = (struct alone){ .log = { .write = log_to_stderr } };
    atomic_init(&a->log.level, log_level);
    a->shared = shared_new(SHARED_BYTES);
    a->has_loop = a->shared != NULL && loop_init(&a->loop) == 0;
    if (!a->has_loop) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    a->loop.is_virtual = true;
    a->loop.virtual_ms = MORNING_MS;
    rng_seed(&a->loop.rng, SEED);
    struct state_limits limits = { .max_answer = ANSWER_BYTES, .high_water = HIGH_WATER };
    return state_new(&a->state, &a->loop, &a->log, a->shared, &limits, err, errlen);
}

void alone_close(struct alone *a) {
    state_put(a->state);
    if (a->has_loop) {
        while (a->loop.heap_len > 0) timer_stop(&a->loop, a->loop.heap[0]); /* of what was cut short */
        loop_deinit(&a->loop);
    }
    shared_free(a->shared);
}
