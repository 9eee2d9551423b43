/* clock.h -- the time and chance that decisions are made of. See clock.c. */
#ifndef PERILUNE_BASE_CLOCK_H
#define PERILUNE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* clock_gettime(), of CLOCK_REALTIME or CLOCK_MONOTONIC (or their coarse kin), or what the host has in its place.
 * Waits of threads (pthread_cond_timedwait) count by the kernel's clock and ask that themselves. */
void     clock_read(clockid_t which, struct timespec *t);
uint64_t clock_ns(clockid_t which);
static inline time_t clock_wall_s(void) { return (time_t)(clock_ns(CLOCK_REALTIME) / 1000000000u); }
bool     clock_is_hosts(void);
/* Before threads exist.  NULL: the kernel's. */
void     clock_replace(uint64_t (*monotonic_ns)(void *ud), uint64_t (*wall_ns)(void *ud), void *ud);

/* False: there is no chance to be had; then bytes holds whatever it did. */
bool     chance_read(void *bytes, size_t len);
void     chance_replace(int (*fill)(void *ud, void *bytes, size_t len), void *ud);

#endif
