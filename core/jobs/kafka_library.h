/* kafka_library.h -- librdkafka, found, looked at and loaded. See kafka_library.c. */
#ifndef PERILUNE_JOBS_KAFKA_LIBRARY_H
#define PERILUNE_JOBS_KAFKA_LIBRARY_H

#include "jobs/kafka_abi.h"

/* The library of the process; the first call loads it.  file NULL: librdkafka.so.1 of the loader's path.  Any thread.
 * NULL: why says what is wrong and what to do about it. */
const struct kafka_calls *kafka_library_get(const char *file, char *why, size_t size);

#endif
