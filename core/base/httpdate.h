/* httpdate.h -- dates in HTTP headers, and how long an answer asks to wait.
 * See httpdate.c. */
#ifndef PERILUNE_BASE_HTTPDATE_H
#define PERILUNE_BASE_HTTPDATE_H

#include <stdint.h>

#include "base/slice.h"

/* Unix seconds of a date in one of HTTP's three forms.  now (Unix seconds) decides
 * the century of a year with two digits.  Returns 0, or PERILUNE_ERR_INVAL with *out
 * untouched. */
int httpdate_parse(struct slice s, int64_t now, int64_t *out);

#define RETRY_AFTER_MAX_MS 1000000000u /* eleven days: no longer wait is believed in */

struct retry_after {
    struct slice ms;   /* retry-after-ms: a number of milliseconds; what OpenAI's API sends */
    struct slice wait; /* Retry-After: seconds, or a date */
    struct slice date; /* Date: the server's clock, for the latter */
};

/* Milliseconds to wait; 0: nothing was said that makes sense, or not to wait.  now, in
 * Unix seconds, is used for a date when the server does not tell its own clock. */
uint32_t httpdate_retry_after(const struct retry_after *h, int64_t now);

/* What retry-after-ms says, rounded up and at most RETRY_AFTER_MAX_MS; -1: nothing that can be waited for. */
int64_t httpdate_wait_ms(struct slice s);

/* Milliseconds until a limit is lifted, as x-ratelimit-reset says it: "6m0s", "1.5s", "12ms"; seconds; the time in
 * seconds or milliseconds since 1970; a date.  0: none of these, or it is lifted. */
uint32_t httpdate_reset(struct slice s, int64_t now);

#endif
