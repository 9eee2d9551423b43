/* broker_amqp.h -- RabbitMQ as a broker of jobs. See broker_amqp.c. */
#ifndef PERILUNE_JOBS_BROKER_AMQP_H
#define PERILUNE_JOBS_BROKER_AMQP_H

#include "jobs/broker.h"

extern const struct broker_ops broker_amqp_ops;

#endif
