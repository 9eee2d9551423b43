/* stamp.h -- the time of a clock, as a number and as text, for headers and log lines.
 *
 * Breaking a time into a date costs more than the rest of a log line: a thread does it
 * once a second. */
#ifndef PERILUNE_BASE_STAMP_H
#define PERILUNE_BASE_STAMP_H

#include <stdint.h>
#include <time.h>

#include "base/clock.h"

/* Milliseconds; of CLOCK_REALTIME since 1970. */
static inline uint64_t stamp_ms(clockid_t which) {
    struct timespec t;
    clock_read(which, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Zeroed, one per thread and format. */
struct stamp {
    time_t second; /* that text tells */
    char   text[48];
};

/* UTC as strftime() writes it; borrowed until the next call. */
static inline const char *stamp_text(struct stamp *last, time_t now, const char *format) {
    if (now != last->second) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(last->text, sizeof(last->text), format, &tm);
        last->second = now;
    }
    return last->text;
}

#endif
