/* amqp_conn.h -- one connection to RabbitMQ, over librabbitmq. See amqp_conn.c. */
#ifndef PERILUNE_JOBS_AMQP_CONN_H
#define PERILUNE_JOBS_AMQP_CONN_H

#include "base/buf.h"
#include "jobs/amqp_abi.h"
#include "jobs/broker.h"

/* Who hears what a connection says, from within amqp_conn_read(). */
struct amqp_hearer {
    void *ud;
    /* Of the messages that were published: up to this number, or only this one.  ok false: the broker lost it. */
    void (*confirmed)(void *ud, uint64_t number, bool up_to, bool ok);
    /* There is no such queue: a confirmation follows. */
    void (*returned)(void *ud, uint64_t number);
    void (*came)(void *ud, const struct broker_message *m); /* m->token: for amqp_conn_settle() */
};

struct amqp_conn;

/* Connects, logs in; with queues: makes them where they are missing, and begins to read.  s outlives it.  NULL: why has
 * a sentence; *fatal: it will not help to try again until somebody changes something. */
struct amqp_conn *amqp_conn_open(const struct amqp_calls *calls, const struct broker_settings *s, bool queues,
                                 bool paused, bool *fatal, char *why, size_t size);
/* polite: the broker is told, which waits for it a little. */
void amqp_conn_close(struct amqp_conn *c, bool polite);

/* These return 0, or PERILUNE_ERR_IO: amqp_conn_why(), and it is to be closed. */
int  amqp_conn_publish(struct amqp_conn *c, const struct broker_publish *p, uint64_t *number);
int  amqp_conn_settle(struct amqp_conn *c, uint64_t token, enum broker_settling how);
int  amqp_conn_pause(struct amqp_conn *c, bool paused);
/* All that is there now. */
int  amqp_conn_read(struct amqp_conn *c, const struct amqp_hearer *h);

int  amqp_conn_fd(const struct amqp_conn *c);
bool amqp_conn_is_blocked(const struct amqp_conn *c);   /* the broker wants no messages now: it is short of something */
bool amqp_conn_was_too_large(const struct amqp_conn *c); /* why it is to be closed: a message was */
const char *amqp_conn_why(const struct amqp_conn *c);

#endif
