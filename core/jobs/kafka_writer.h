/* kafka_writer.h -- writes messages to topics, and says when they are safe. See kafka_writer.c. */
#ifndef PERILUNE_JOBS_KAFKA_WRITER_H
#define PERILUNE_JOBS_KAFKA_WRITER_H

#include "base/list.h"
#include "jobs/broker.h"
#include "jobs/kafka_abi.h"

struct kafka_writer;

/* A message on its way: its texts lie behind it. */
struct kafka_letter {
    struct list  link;
    uint64_t     token, deadline_ms;
    size_t       bytes;
    const char  *to;
    struct slice key, body, reason;
};

struct kafka_writer_options {
    const struct kafka_calls     *calls;
    const struct broker_settings *settings; /* live as long */
    /* The letter is the user's again.  From kafka_writer_turn() and _close(). */
    void (*confirmed)(void *ud, struct kafka_letter *l, int rc, const char *why);
    void (*wake)(void *ud);                 /* [any] */
    void (*doubt)(void *ud, int err, const char *why);
    void (*said)(void *ud, int level, const char *text); /* [any] */
    void  *ud;
};

/* NULL: why has a sentence.  All of it is one thread's. */
struct kafka_writer *kafka_writer_open(const struct kafka_writer_options *opt, char *why, size_t size);
/* Confirms what waits with PERILUNE_ERR_IO: it may be there or not; what it could not confirm is not read any more
 * when it returns.  NULL is fine. */
void kafka_writer_close(struct kafka_writer *w);
/* 0: confirmed() will come.  PERILUNE_ERR_LIMITED: not now.  Or another code and why: it never will. */
int  kafka_writer_send(struct kafka_writer *w, struct kafka_letter *l, const char **why);
void kafka_writer_turn(struct kafka_writer *w);
struct rd_kafka_s *kafka_writer_client(struct kafka_writer *w); /* for other questions to the same server */

#endif
