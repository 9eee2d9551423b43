/* kafka_topics.h -- the topics that jobs need are there, or are made. See kafka_topics.c. */
#ifndef PERILUNE_JOBS_KAFKA_TOPICS_H
#define PERILUNE_JOBS_KAFKA_TOPICS_H

#include "jobs/broker.h"
#include "jobs/kafka_abi.h"

/* How many partitions a topic has, 0: there is none; or a negative PERILUNE_ERR_ and why.  Waits within_ms. */
int kafka_topic_partitions(const struct kafka_calls *c, struct rd_kafka_s *rk, const char *topic, int within_ms,
                           char *why, size_t size);
/* Makes those of work, results and dead that are not there.  0; PERILUNE_ERR_IO: no answer; PERILUNE_ERR_CONFIG: one
 * is not there and may not be made.  Waits within_ms, twice at most. */
int kafka_topics_make(const struct kafka_calls *c, struct rd_kafka_s *rk, const struct broker_settings *s,
                      int within_ms, char *why, size_t size);

#endif
