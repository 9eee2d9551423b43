/* limit_meter.h -- one window of one kind, of one key. See limit_meter.c. */
#ifndef PERILUNE_SCHED_LIMIT_METER_H
#define PERILUNE_SCHED_LIMIT_METER_H

#include "sched/limit.h"

struct meter {
    double used, most;
    union {
        uint64_t at_ms; /* second, minute, hour: `used` is as of then */
        struct {
            uint32_t period, began_s; /* day, month: which one, and when it began to count (monotonic) */
        };
    };
};

/* Brings it to now: what has flowed away is gone, or a new day has begun. */
void     meter_refresh(struct meter *m, unsigned which, double most, struct limit_clock now);
/* Does `cost` fit beside what is used and held? */
bool     meter_fits(const struct meter *m, double held, double cost);
/* Milliseconds until it fits, if nothing else is asked for; at least 1.  0: never. */
uint64_t meter_wait_ms(const struct meter *m, unsigned which, double cost, struct limit_clock now);
/* Milliseconds until all of it is left, if nothing more is used. */
uint64_t meter_reset_ms(const struct meter *m, unsigned which, struct limit_clock now);

#endif
