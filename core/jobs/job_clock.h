/* job_clock.h -- the two clocks of a queue. See job_rules.c. */
#ifndef PERILUNE_JOBS_JOB_CLOCK_H
#define PERILUNE_JOBS_JOB_CLOCK_H

#include "base/stamp.h"
#include "jobs/job_rules.h"

/* steady: of CLOCK_MONOTONIC, which stands still while the machine sleeps, as its workers do. */
static inline struct job_now job_clock_read(const struct jobs_settings *s) {
    return (struct job_now){ .steady = s->steady_ms ? s->steady_ms() : stamp_ms(CLOCK_MONOTONIC),
                             .wall = s->wall_ms ? s->wall_ms() : stamp_ms(CLOCK_REALTIME) };
}

/* Of less the wall clock is adjusted all the time. */
#define JOB_CLOCK_JUMP_MS 1000
/* Was it set, since wall - steady was offset? */
static inline bool job_clock_jumped(struct job_now now, int64_t offset) {
    int64_t by = (int64_t)(now.wall - now.steady) - offset;
    return by > JOB_CLOCK_JUMP_MS || by < -JOB_CLOCK_JUMP_MS;
}

#endif
