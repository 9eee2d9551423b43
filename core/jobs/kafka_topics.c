/* kafka_topics.c -- the topics that jobs need are there, or are made.
 *
 *     work     PARTITIONS: so many nodes can share it at most, and one that is busy keeps a small share waiting
 *     results  one partition for each node: it alone reads them
 *     dead     one partition: people read it
 *
 * They are asked for as if none was there; "it exists" is the usual answer.  Who may not make topics is told the same
 * by Kafka whether there is one or not, so then it is looked, and what is missing is the operator's to make.
 *
 * Copies of each message are the cluster's default (default.replication.factor). */
#include "jobs/kafka_topics.h"

#include <stdio.h>

#include "include/perilune.h"

#define PARTITIONS 24 /* shares evenly among 2, 3, 4, 6, 8, 12 nodes */
#define DEFAULT    (-1)

int kafka_topic_partitions(const struct kafka_calls *c, struct rd_kafka_s *rk, const char *topic, int within_ms,
                           char *why, size_t size) {
    const struct kafka_metadata *m = NULL;
    struct rd_kafka_topic_s *t = c->topic_new(rk, topic, NULL);
    int err = t != NULL ? c->metadata(rk, 0, t, &m, within_ms) : c->last_error();
    int n = 0;
    if (t != NULL) c->topic_destroy(t);
    if (err == 0 && m->topic_count > 0) {
        err = m->topics[0].err;
        n = m->topics[0].partition_count;
    }
    if (m != NULL) c->metadata_destroy(m);
    if (err == 0) return n;
    if (err == KAFKA_ERR_UNKNOWN_TOPIC_OR_PART || err == KAFKA_ERR_UNKNOWN_TOPIC) return 0;
    snprintf(why, size, "topic '%s': %s", topic, c->err2str(err));
    return err == KAFKA_ERR_TOPIC_AUTHORIZATION ? PERILUNE_ERR_CONFIG : PERILUNE_ERR_IO;
}

/* It could not be made. */
static int look_for(const struct kafka_calls *c, struct rd_kafka_s *rk, const char *topic, const char *said,
                    int within_ms, char *why, size_t size) {
    int n = kafka_topic_partitions(c, rk, topic, within_ms, why, size);
    if (n > 0) return 0;
    if (n == 0)
        snprintf(why, size, "topic '%s' is not there, and Kafka does not let us make it (%s); make it: "
                 "kafka-topics.sh --create --topic %s", topic, said, topic);
    return n == 0 ? PERILUNE_ERR_CONFIG : n;
}

static int judge(const struct kafka_calls *c, struct rd_kafka_s *rk, struct rd_kafka_op_s *e, int within_ms, char *why,
                 size_t size) {
    const struct rd_kafka_op_s *result = c->event_error(e) == 0 ? c->event_CreateTopics_result(e) : NULL;
    size_t count = 0;
    int rc = 0;
    if (result == NULL) {
        snprintf(why, size, "making topics: %s", c->event_error_string(e));
        return PERILUNE_ERR_IO;
    }
    const struct rd_kafka_topic_result_s **rows = c->CreateTopics_result_topics(result, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        int err = c->topic_result_error(rows[i]);
        if (err == 0 || err == KAFKA_ERR_TOPIC_EXISTS) continue;
        const char *said = c->topic_result_error_string(rows[i]);
        rc = look_for(c, rk, c->topic_result_name(rows[i]), said ? said : c->err2str(err), within_ms, why, size);
    }
    return rc;
}

static int ask(const struct kafka_calls *c, struct rd_kafka_s *rk, struct rd_kafka_NewTopic_s **topics, size_t count,
               int within_ms, char *why, size_t size) {
    struct rd_kafka_queue_s *q = c->queue_new(rk);
    struct rd_kafka_AdminOptions_s *o = c->AdminOptions_new(rk, KAFKA_ADMIN_CREATE_TOPICS);
    struct rd_kafka_op_s *e = NULL;
    char unused[100];
    int rc = PERILUNE_ERR_NOMEM;
    if (q != NULL && o != NULL) {
        c->AdminOptions_set_request_timeout(o, within_ms, unused, sizeof(unused));
        c->CreateTopics(rk, topics, count, o, q);
        e = c->queue_poll(q, within_ms + 500); /* it answers itself when time is up */
        if (e == NULL) snprintf(why, size, "making topics: no answer");
        rc = e != NULL ? judge(c, rk, e, within_ms, why, size) : PERILUNE_ERR_IO;
    }
    if (e != NULL) c->event_destroy(e);
    if (o != NULL) c->AdminOptions_destroy(o);
    if (q != NULL) c->queue_destroy(q);
    return rc;
}

int kafka_topics_make(const struct kafka_calls *c, struct rd_kafka_s *rk, const struct broker_settings *s,
                      int within_ms, char *why, size_t size) {
    const char *const names[] = { s->work, s->results, s->dead };
    struct rd_kafka_NewTopic_s *topics[3];
    size_t count = 0;
    bool ok = true;
    for (size_t i = 0; i < 3 && ok; i++) {
        if (names[i] == NULL) continue;
        topics[count] = c->NewTopic_new(names[i], i == 0 ? PARTITIONS : 1, DEFAULT, why, size);
        ok = topics[count] != NULL;
        count += ok;
    }
    int rc = ok ? ask(c, rk, topics, count, within_ms, why, size) : PERILUNE_ERR_CONFIG;
    for (size_t i = 0; i < count; i++) c->NewTopic_destroy(topics[i]);
    return rc;
}
