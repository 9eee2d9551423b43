/* engine.c -- an engine whose model is nothing, in a process of its own, for local_cost.lua.
 *
 *     upstreams = { m = { engine = { model = ANY FILE, process = true, program = "build/release/bench_engine" } } }
 *
 * It says letters for as long as it is asked.  A step takes as long as the name of its model says in microseconds
 * ("steps-5000"), asleep: so that tokens come one after another, as a model's do, and everything else has the machine
 * for itself. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "local/process_child.h"
#include "../unit/fake_engine.h"

static long step_us;

static void pause_step(unsigned step) {
    struct timespec t = { step_us / 1000000, step_us % 1000000 * 1000 };
    (void)step;
    if (step_us > 0) nanosleep(&t, NULL);
}

static int load(const struct perilune_engine_options *o, struct perilune_engine_model **out, char *why, size_t size) {
    const char *said = strstr(o->model, "steps-");
    if (said != NULL) sscanf(said, "steps-%ld", &step_us);
    fake.never_ends = true;
    fake.before = pause_step;
    fake.cells = 65536;
    return fake_load(o, out, why, size);
}

int main(void) {
    struct perilune_engine e = fake_engine;
    e.load = load;
    return process_child_main(&e);
}
