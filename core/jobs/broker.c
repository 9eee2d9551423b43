/* broker.c -- the brokers that there are.
 *
 * Each driver loads its client library when a configuration names its kind, so all of them are in the program and none
 * is needed by it. */
#include "jobs/broker_amqp.h"

#include <string.h>

#include "jobs/broker_kafka.h"

static const struct broker_ops *const drivers[] = { &broker_amqp_ops, &broker_kafka_ops };

const struct broker_ops *broker_find(const char *kind) {
    for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
        if (strcmp(drivers[i]->kind, kind) == 0) return drivers[i];
    return NULL;
}
