/* batch_run.c -- a batch in a process of its own.
 *
 *     engine: step --> signals --> a turn of the gateway's loop --> progress --> step ...
 *
 * One thread: a gateway without a listener and without workers runs on this one.  Signals are read between two turns,
 * so that nothing is interrupted in the middle. */
#include "cli/batch_run.h"

#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gateway/gateway.h"

#define TICK_MS 100
#define SYNC_MS 2000
#define TOLD    10 /* failures that are said on stderr, too */

static uint64_t now_ms(void) { return loop_hrtime_us() / 1000; }

static void on_failed(void *ud, uint32_t line, const char *why) {
    struct batch_run *b = ud;
    if (b->told++ >= TOLD) return;
    batch_progress_clear(&b->progress);
    fprintf(stderr, "%s:%u: failed: %s\n", b->engine.in->path, line, why);
    if (b->told == TOLD) fprintf(stderr, "further failures are in %s only\n", b->engine.errors->path);
}

static void hear_signals(struct batch_run *b) {
    struct signalfd_siginfo info;
    while (b->signals >= 0 && read(b->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (++b->interrupts == 1) {
            batch_progress_clear(&b->progress);
            fprintf(stderr, "interrupted: %u requests under way are waited for; once more ends at once\n",
                    b->engine.asked);
            batch_engine_end(&b->engine, BATCH_ENDING);
        } else {
            batch_engine_end(&b->engine, BATCH_ENDED);
        }
    }
}

void batch_run(struct batch_run *b, struct batch_settings *set) {
    set->worker = &b->gateway->workers[0];
    set->failed = on_failed;
    set->ud = b;
    set->sync_ms = SYNC_MS;
    batch_progress_init(&b->progress, now_ms(), &b->engine.tally);
    if (batch_engine_open(&b->engine, set) != 0) snprintf(b->engine.why, sizeof(b->engine.why), "out of memory");
    else while (batch_engine_step(&b->engine)) {
        perilune_poll(b->gateway, batch_engine_wait(&b->engine, TICK_MS));
        hear_signals(b);
        batch_progress_tick(&b->progress, &b->engine.tally, now_ms());
    }
    batch_engine_close(&b->engine);
    batch_progress_clear(&b->progress);
}
