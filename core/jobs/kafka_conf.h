/* kafka_conf.h -- what librdkafka is told. See kafka_conf.c. */
#ifndef PERILUNE_JOBS_KAFKA_CONF_H
#define PERILUNE_JOBS_KAFKA_CONF_H

#include "jobs/broker.h"
#include "jobs/kafka_abi.h"

enum kafka_role { KAFKA_WRITES, KAFKA_READS_WORK, KAFKA_READS_RESULTS };

/* Who hears what librdkafka has to say: the beginning of whatever is the opaque of a client, for all callbacks. */
struct kafka_ear {
    void (*said)(void *ud, int level, const char *text); /* [any] level as syslog has it */
    void  *ud;
};

/* NULL: why has a sentence. */
struct rd_kafka_conf_s *kafka_conf_new(const struct kafka_calls *c, const struct broker_settings *s,
                                       enum kafka_role role, struct kafka_ear *opaque, char *why, size_t size);
/* What can be said of settings without anybody's help: 0, or PERILUNE_ERR_CONFIG and a sentence. */
int kafka_conf_check(const struct broker_settings *s, char *why, size_t size);

#endif
