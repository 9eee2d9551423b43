/* alone.c -- a Lua state without a gateway: what `perilune test` and `perilune compress`
 * run in.
 *
 * Its clock is virtual and its random numbers are the same each time, so that a spec gives
 * today what it gave yesterday, and nothing waits for anything real.  It has no limits of
 * time and memory but the state's own for loading: what runs here is the user's.  Policies of
 * a spec have theirs: perilune.test sets them (core.set_limits).
 *
 * Log lines go to stderr, from a level on.  Where a spec wants to see them (alone_keep_log) all of
 * them are kept, too, until Lua takes them, LINES_MAX bytes at most. */
#include "cli/alone.h"

#include <stdio.h>

#include "gateway/cast.h"
#include "include/perilune.h"

#define MORNING_MS   1700000000000u /* any day will do, as long as it is the same */
#define SEED         42
#define ANSWER_BYTES (16u << 20) /* the default of max_body */
#define HIGH_WATER   (1u << 20)
#define LINES_MAX    (1u << 20) /* of one request of a spec; later lines are not kept */

static void keep(struct buf *lines, struct slice line) {
    if (buf_len(lines) + line.len + 1 > LINES_MAX) return;
    buf_slice(lines, line);
    buf_putc(lines, '\n');
}

/* What upstreams of a simulation do was asked for: nobody need be told on stderr. */
static void keep_line(void *ud, int level, perilune_str line) {
    struct alone *a = ud;
    (void)level;
    if (a->state != NULL && a->state->log_lines != NULL) keep(&a->lines, slice_of(line.ptr, line.len));
}

static void write_line(void *ud, int level, perilune_str line) {
    struct alone *a = ud;
    keep_line(ud, level, line);
    if (level <= a->log_level) fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

/* services.play */
static int play(struct services *v, struct slice config, uint64_t seed, const struct player *player, char *err,
                size_t errlen) {
    struct alone *a = v->play_ud;
    cast_close(a->cast);
    a->cast = NULL;
    v->pools = NULL;
    v->pool_count = 0;
    return config.ptr == NULL ? 0 : cast_new(&a->cast, v, &a->cast_log, config, seed, player, err, errlen);
}

int alone_open(struct alone *a, int log_level, char *err, size_t errlen) {
    *a = (struct alone){ .log = { .write = write_line, .ud = a }, .cast_log = { .write = keep_line, .ud = a },
                         .log_level = log_level };
    buf_init(&a->lines, 0);
    atomic_init(&a->log.level, log_level);
    atomic_init(&a->cast_log.level, PERILUNE_LOG_DEBUG);
    a->stores = stores_new();
    a->has_loop = a->stores != NULL && loop_init(&a->loop) == 0;
    if (!a->has_loop) {
        snprintf(err, errlen, "out of memory");
        return PERILUNE_ERR_NOMEM;
    }
    a->loop.is_virtual = true;
    a->loop.virtual_ms = MORNING_MS;
    rng_seed(&a->loop.rng, SEED);
    struct state_limits limits = { .max_answer = ANSWER_BYTES, .high_water = HIGH_WATER };
    int rc = state_new(&a->state, &a->loop, &a->log, a->stores, &limits, err, errlen);
    if (rc != 0) return rc;
    a->state->services.play = play;
    a->state->services.play_ud = a;
    return 0;
}

void alone_keep_log(struct alone *a) {
    atomic_store(&a->log.level, PERILUNE_LOG_DEBUG);
    a->state->log_lines = &a->lines;
}

void alone_close(struct alone *a) {
    if (a->state != NULL) after_line_cancel(a->state->after);
    if (a->has_loop) loop_flush(&a->loop); /* shares that this gave back */
    state_put(a->state);
    cast_close(a->cast);
    if (a->has_loop) {
        loop_flush(&a->loop); /* the end of the cast */
        while (a->loop.heap_len > 0) timer_stop(&a->loop, a->loop.heap[0]); /* of what was cut short */
        loop_deinit(&a->loop);
    }
    stores_free(a->stores);
    buf_deinit(&a->lines);
}
