/* clock.c -- the time and chance that decisions are made of.
 *
 * Limits, breakers, retries, expiries, ids, jitter: all of it reads its time and its chance
 * here, so that a host can have a clock of its own (a simulation, a replay, a test) and a
 * source of its own.  Process-wide, like the allocator, and set before threads exist. */
#include "base/clock.h"

#include <sys/random.h>

static struct {
    uint64_t (*monotonic_ns)(void *ud);
    uint64_t (*wall_ns)(void *ud);
    void      *ud;
    int      (*fill)(void *ud, void *bytes, size_t len);
    void      *fill_ud;
} host; /* written before threads exist */

bool clock_is_hosts(void) { return host.monotonic_ns != NULL; }

static uint64_t host_ns(clockid_t which) {
    bool wall = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
    return wall ? host.wall_ns(host.ud) : host.monotonic_ns(host.ud);
}

void clock_read(clockid_t which, struct timespec *t) {
    if (host.monotonic_ns == NULL) {
        clock_gettime(which, t);
        return;
    }
    uint64_t ns = host_ns(which);
    *t = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
}

uint64_t clock_ns(clockid_t which) {
    struct timespec t;
    clock_read(which, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void clock_replace(uint64_t (*monotonic_ns)(void *ud), uint64_t (*wall_ns)(void *ud), void *ud) {
    host.monotonic_ns = monotonic_ns;
    host.wall_ns = wall_ns;
    host.ud = ud;
}

bool chance_read(void *bytes, size_t len) {
    if (host.fill != NULL) return host.fill(host.fill_ud, bytes, len) == 0;
    return getrandom(bytes, len, 0) == (ssize_t)len;
}

void chance_replace(int (*fill)(void *ud, void *bytes, size_t len), void *ud) {
    host.fill = fill;
    host.fill_ud = ud;
}
