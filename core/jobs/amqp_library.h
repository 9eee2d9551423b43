/* amqp_library.h -- librabbitmq, found, looked at and loaded. See amqp_library.c. */
#ifndef PERILUNE_JOBS_AMQP_LIBRARY_H
#define PERILUNE_JOBS_AMQP_LIBRARY_H

#include "jobs/amqp_abi.h"

/* path: of the library; NULL: looked for.  [any] The same one until the process ends.  0, or PERILUNE_ERR_CONFIG: why
 * has a sentence that says what to install. */
int amqp_library_get(const struct amqp_calls **out, const char *path, char *why, size_t size);

#endif
