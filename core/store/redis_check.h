/* redis_check.h -- can a Redis be asked? See redis_check.c. */
#ifndef PERILUNE_STORE_REDIS_CHECK_H
#define PERILUNE_STORE_REDIS_CHECK_H

#include "store/redis.h"

/* Connects and greets, once, on a loop of its own, and waits for it; loop, log, said and who is told are set here.
 * Returns 0, PERILUNE_ERR_NOMEM, or PERILUNE_ERR_IO with a sentence in why. */
int redis_check(const struct redis_options *opt, char *why, size_t size);

#endif
