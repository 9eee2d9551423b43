/* stamp.h -- the time as text, for headers and log lines.
 *
 * Breaking a time into a date costs more than the rest of a log line: a thread does it
 * once a second. */
#ifndef PERILUNE_BASE_STAMP_H
#define PERILUNE_BASE_STAMP_H

#include <time.h>

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
