/* kafka_reader.h -- reads one topic, and remembers how far it is done with. See kafka_reader.c. */
#ifndef PERILUNE_JOBS_KAFKA_READER_H
#define PERILUNE_JOBS_KAFKA_READER_H

#include "jobs/broker.h"
#include "jobs/kafka_abi.h"
#include "jobs/kafka_flights.h"

struct kafka_reader;

struct kafka_reader_options {
    const struct kafka_calls     *calls;
    const struct broker_settings *settings;  /* these live as long, and flights longer: tokens are settled through */
    struct kafka_flights         *flights;   /* it whether there is a reader or not */
    bool                          is_results;
    int                           partitions; /* of results: how many there are */
    int                           within_ms;  /* of results: to find out where the last one stopped */
    void (*came)(void *ud, const struct broker_message *m); /* from kafka_reader_turn() */
    void (*wake)(void *ud);                  /* [any] there is something to do */
    void (*doubt)(void *ud, int err, const char *why); /* the connection may be gone; from kafka_reader_turn() */
    void (*said)(void *ud, int level, const char *text); /* [any] level as syslog has it */
    void  *ud;
};

/* 0; or PERILUNE_ERR_CONFIG, IO, NOMEM and why.  All of it is one thread's. */
int kafka_reader_open(struct kafka_reader **out, const struct kafka_reader_options *opt, char *why, size_t size);
/* Says goodbye to the group, for within_ms at most; 0: says nothing.  What is not settled comes again to somebody. */
void kafka_reader_close(struct kafka_reader *r, uint64_t within_ms);
/* Gives what came, settles, commits.  True: there is more at once.  *next_ms: or else when. */
bool kafka_reader_turn(struct kafka_reader *r, uint64_t now, uint64_t *next_ms);
/* Nothing is taken any more, or again. */
void kafka_reader_pause(struct kafka_reader *r, bool paused);
/* Nobody has what was handed over any more: what is not settled comes again, to us or to who has the partition then. */
void kafka_reader_forget(struct kafka_reader *r);
/* It is of no use any more: why.  Else NULL. */
const char *kafka_reader_broken(const struct kafka_reader *r);

#endif
