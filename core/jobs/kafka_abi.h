/* kafka_abi.h -- what Perilune calls of librdkafka, in declarations of its own.
 *
 * Nobody who builds Perilune needs librdkafka's header, and nobody who has no Kafka needs the library.  It has kept
 * one soname and these layouts since 1.0; what is new since then is looked for by name.  tests/unit/test_kafka.c holds
 * this file against the header of a machine that has one. */
#ifndef PERILUNE_JOBS_KAFKA_ABI_H
#define PERILUNE_JOBS_KAFKA_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_error_s;
struct rd_kafka_queue_s;
struct rd_kafka_topic_s;
struct rd_kafka_op_s; /* an event */
struct rd_kafka_NewTopic_s;
struct rd_kafka_AdminOptions_s;
struct rd_kafka_topic_result_s;

struct kafka_message {
    int      err;
    struct rd_kafka_topic_s *topic;
    int32_t  partition;
    void    *payload;
    size_t   len;
    void    *key;
    size_t   key_len;
    int64_t  offset;
    void    *opaque; /* of produce, in delivery reports */
};

struct kafka_partition {
    char    *topic;
    int32_t  partition;
    int64_t  offset;
    void    *metadata;
    size_t   metadata_size;
    void    *opaque;
    int      err;
    void    *private_;
};

struct kafka_partitions {
    int count, size;
    struct kafka_partition *of;
};

struct kafka_metadata_partition {
    int32_t  id;
    int      err;
    int32_t  leader;
    int      replica_count;
    int32_t *replicas;
    int      isr_count;
    int32_t *isrs;
};

struct kafka_metadata_topic {
    char *topic;
    int   partition_count;
    struct kafka_metadata_partition *partitions;
    int   err;
};

struct kafka_metadata {
    int     broker_count;
    void   *brokers;
    int     topic_count;
    struct kafka_metadata_topic *topics;
    int32_t origin_id;
    char   *origin_name;
};

enum { KAFKA_PRODUCER = 0, KAFKA_CONSUMER = 1 };
enum { KAFKA_CONF_OK = 0 };
enum { KAFKA_DESTROY_NO_CLOSE = 8 };
enum { KAFKA_PURGE_QUEUE = 1, KAFKA_PURGE_INFLIGHT = 2 };
enum { KAFKA_ADMIN_CREATE_TOPICS = 1 };
/* Arguments of rd_kafka_producev() by kind. */
enum { KAFKA_V_END, KAFKA_V_TOPIC, KAFKA_V_RKT, KAFKA_V_PARTITION, KAFKA_V_VALUE, KAFKA_V_KEY, KAFKA_V_OPAQUE,
       KAFKA_V_FLAGS, KAFKA_V_TIMESTAMP, KAFKA_V_HEADER, KAFKA_V_HEADERS };
#define KAFKA_OFFSET_BEGINNING (-2)
#define KAFKA_PARTITION_ANY (-1)

/* Codes that are told apart; negative ones are librdkafka's own. */
enum {
    KAFKA_ERR_MSG_TIMED_OUT = -192, KAFKA_ERR_UNKNOWN_PARTITION = -190, KAFKA_ERR_UNKNOWN_TOPIC = -188,
    KAFKA_ERR_ALL_BROKERS_DOWN = -187, KAFKA_ERR_INVALID_ARG = -186, KAFKA_ERR_QUEUE_FULL = -184, KAFKA_ERR_SSL = -181,
    KAFKA_ERR_ASSIGN_PARTITIONS = -175, KAFKA_ERR_REVOKE_PARTITIONS = -174, KAFKA_ERR_AUTHENTICATION = -169,
    KAFKA_ERR_NO_OFFSET = -168, KAFKA_ERR_FATAL = -150, KAFKA_ERR_UNKNOWN_TOPIC_OR_PART = 3,
    KAFKA_ERR_MSG_SIZE_TOO_LARGE = 10, KAFKA_ERR_TOPIC_AUTHORIZATION = 29, KAFKA_ERR_GROUP_AUTHORIZATION = 30,
    KAFKA_ERR_CLUSTER_AUTHORIZATION = 31, KAFKA_ERR_TOPIC_EXISTS = 36, KAFKA_ERR_SASL_FAILED = 58,
    KAFKA_ERR_NO_GROUP = 69
};

typedef int kafka_on_new(struct rd_kafka_s *rk, const struct rd_kafka_conf_s *c, void *ud, char *text, size_t size);
typedef int kafka_on_request(struct rd_kafka_s *rk, int fd, const char *server, int32_t server_id, int16_t kind,
                             int16_t version, int32_t number, size_t size, void *ud);
typedef int kafka_on_response(struct rd_kafka_s *rk, int fd, const char *server, int32_t server_id, int16_t kind,
                              int16_t version, int32_t number, size_t size, int64_t micros, int err, void *ud);
/* Kinds of requests, of Kafka's protocol. */
enum { KAFKA_JOIN_GROUP = 11, KAFKA_SYNC_GROUP = 14 };

/* XX(result, name behind rd_kafka_, arguments): the members of struct kafka_calls, and the symbols looked for. */
#define KAFKA_FUNCTIONS(XX)                                                                                          \
    XX(int, version, (void))                                                                                         \
    XX(const char *, version_str, (void))                                                                            \
    XX(const char *, err2str, (int err))                                                                             \
    XX(int, last_error, (void))                                                                                      \
    XX(int, fatal_error, (struct rd_kafka_s *rk, char *text, size_t size))                                           \
    XX(const char *, error_string, (const struct rd_kafka_error_s *e))                                               \
    XX(void, error_destroy, (struct rd_kafka_error_s *e))                                                            \
    XX(struct rd_kafka_conf_s *, conf_new, (void))                                                                   \
    XX(void, conf_destroy, (struct rd_kafka_conf_s *c))                                                              \
    XX(int, conf_set, (struct rd_kafka_conf_s *c, const char *name, const char *value, char *text, size_t size))     \
    XX(void, conf_set_opaque, (struct rd_kafka_conf_s *c, void *opaque))                                             \
    XX(void, conf_set_dr_msg_cb, (struct rd_kafka_conf_s *c,                                                         \
       void (*f)(struct rd_kafka_s *, const struct kafka_message *, void *opaque)))                                  \
    XX(void, conf_set_rebalance_cb, (struct rd_kafka_conf_s *c,                                                      \
       void (*f)(struct rd_kafka_s *, int err, struct kafka_partitions *, void *opaque)))                            \
    XX(void, conf_set_offset_commit_cb, (struct rd_kafka_conf_s *c,                                                  \
       void (*f)(struct rd_kafka_s *, int err, struct kafka_partitions *, void *opaque)))                            \
    XX(void, conf_set_error_cb, (struct rd_kafka_conf_s *c,                                                          \
       void (*f)(struct rd_kafka_s *, int err, const char *why, void *opaque)))                                      \
    XX(void, conf_set_log_cb, (struct rd_kafka_conf_s *c,                                                            \
       void (*f)(const struct rd_kafka_s *, int level, const char *what, const char *text)))                         \
    XX(int, conf_interceptor_add_on_new, (struct rd_kafka_conf_s *c, const char *name, kafka_on_new *f, void *ud))   \
    XX(int, interceptor_add_on_request_sent, (struct rd_kafka_s *rk, const char *name, kafka_on_request *f, void *ud)) \
    XX(int, interceptor_add_on_response_received, (struct rd_kafka_s *rk, const char *name, kafka_on_response *f,    \
       void *ud))                                                                                                    \
    XX(struct rd_kafka_s *, new, (int kind, struct rd_kafka_conf_s *c, char *text, size_t size))                     \
    XX(void *, opaque, (const struct rd_kafka_s *rk))                                                                \
    XX(void, destroy_flags, (struct rd_kafka_s *rk, int flags))                                                      \
    XX(int, poll, (struct rd_kafka_s *rk, int ms))                                                                   \
    XX(int, poll_set_consumer, (struct rd_kafka_s *rk))                                                              \
    XX(int, outq_len, (struct rd_kafka_s *rk))                                                                       \
    XX(int, purge, (struct rd_kafka_s *rk, int flags))                                                               \
    XX(int, producev, (struct rd_kafka_s *rk, ...))                                                                  \
    XX(void, message_destroy, (struct kafka_message *m))                                                             \
    XX(const char *, topic_name, (const struct rd_kafka_topic_s *t))                                                 \
    XX(struct rd_kafka_topic_s *, topic_new, (struct rd_kafka_s *rk, const char *name, void *conf))                  \
    XX(void, topic_destroy, (struct rd_kafka_topic_s *t))                                                            \
    XX(int, metadata, (struct rd_kafka_s *rk, int all, struct rd_kafka_topic_s *only,                                \
       const struct kafka_metadata **out, int ms))                                                                   \
    XX(void, metadata_destroy, (const struct kafka_metadata *m))                                                     \
    XX(struct kafka_partitions *, topic_partition_list_new, (int size))                                              \
    XX(struct kafka_partition *, topic_partition_list_add, (struct kafka_partitions *l, const char *topic,           \
       int32_t partition))                                                                                           \
    XX(void, topic_partition_list_destroy, (struct kafka_partitions *l))                                             \
    XX(struct kafka_partitions *, topic_partition_list_copy, (const struct kafka_partitions *l))                     \
    XX(int, subscribe, (struct rd_kafka_s *rk, const struct kafka_partitions *topics))                               \
    XX(struct kafka_message *, consumer_poll, (struct rd_kafka_s *rk, int ms))                                       \
    XX(struct rd_kafka_error_s *, consumer_close_queue, (struct rd_kafka_s *rk, struct rd_kafka_queue_s *q))         \
    XX(int, consumer_closed, (struct rd_kafka_s *rk))                                                                \
    XX(int, queue_poll_callback, (struct rd_kafka_queue_s *q, int ms))                                               \
    XX(int, assign, (struct rd_kafka_s *rk, const struct kafka_partitions *l))                                       \
    XX(struct rd_kafka_error_s *, incremental_assign, (struct rd_kafka_s *rk, const struct kafka_partitions *l))     \
    XX(struct rd_kafka_error_s *, incremental_unassign, (struct rd_kafka_s *rk, const struct kafka_partitions *l))   \
    XX(const char *, rebalance_protocol, (struct rd_kafka_s *rk))                                                    \
    XX(int, assignment_lost, (struct rd_kafka_s *rk))                                                                \
    XX(int, commit, (struct rd_kafka_s *rk, const struct kafka_partitions *l, int async))                            \
    XX(struct rd_kafka_error_s *, seek_partitions, (struct rd_kafka_s *rk, struct kafka_partitions *l, int ms))      \
    XX(int, committed, (struct rd_kafka_s *rk, struct kafka_partitions *l, int ms))                                  \
    XX(int, pause_partitions, (struct rd_kafka_s *rk, struct kafka_partitions *l))                                   \
    XX(int, resume_partitions, (struct rd_kafka_s *rk, struct kafka_partitions *l))                                  \
    XX(struct rd_kafka_queue_s *, queue_new, (struct rd_kafka_s *rk))                                                \
    XX(struct rd_kafka_queue_s *, queue_get_main, (struct rd_kafka_s *rk))                                           \
    XX(struct rd_kafka_queue_s *, queue_get_consumer, (struct rd_kafka_s *rk))                                       \
    XX(void, queue_destroy, (struct rd_kafka_queue_s *q))                                                            \
    XX(void, queue_cb_event_enable, (struct rd_kafka_queue_s *q, void (*f)(struct rd_kafka_s *, void *ud), void *ud)) \
    XX(struct rd_kafka_op_s *, queue_poll, (struct rd_kafka_queue_s *q, int ms))                                     \
    XX(int, event_error, (struct rd_kafka_op_s *e))                                                                  \
    XX(const char *, event_error_string, (struct rd_kafka_op_s *e))                                                  \
    XX(void, event_destroy, (struct rd_kafka_op_s *e))                                                               \
    XX(struct rd_kafka_NewTopic_s *, NewTopic_new, (const char *topic, int partitions, int copies, char *text,       \
       size_t size))                                                                                                 \
    XX(void, NewTopic_destroy, (struct rd_kafka_NewTopic_s *t))                                                      \
    XX(struct rd_kafka_AdminOptions_s *, AdminOptions_new, (struct rd_kafka_s *rk, int op))                          \
    XX(int, AdminOptions_set_request_timeout, (struct rd_kafka_AdminOptions_s *o, int ms, char *text, size_t size))  \
    XX(void, AdminOptions_destroy, (struct rd_kafka_AdminOptions_s *o))                                              \
    XX(void, CreateTopics, (struct rd_kafka_s *rk, struct rd_kafka_NewTopic_s **t, size_t count,                     \
       const struct rd_kafka_AdminOptions_s *o, struct rd_kafka_queue_s *q))                                         \
    XX(const struct rd_kafka_op_s *, event_CreateTopics_result, (struct rd_kafka_op_s *e))                           \
    XX(const struct rd_kafka_topic_result_s **, CreateTopics_result_topics, (const struct rd_kafka_op_s *r,          \
       size_t *count))                                                                                               \
    XX(int, topic_result_error, (const struct rd_kafka_topic_result_s *r))                                           \
    XX(const char *, topic_result_error_string, (const struct rd_kafka_topic_result_s *r))                           \
    XX(const char *, topic_result_name, (const struct rd_kafka_topic_result_s *r))

struct kafka_calls {
#define XX(result, name, arguments) result (*name) arguments;
    KAFKA_FUNCTIONS(XX)
#undef XX
};

#endif
