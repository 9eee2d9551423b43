/* broker_kafka.h -- Kafka as a broker of jobs. See broker_kafka.c. */
#ifndef PERILUNE_JOBS_BROKER_KAFKA_H
#define PERILUNE_JOBS_BROKER_KAFKA_H

#include "jobs/broker.h"

extern const struct broker_ops broker_kafka_ops;

#endif
