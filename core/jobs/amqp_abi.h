/* amqp_abi.h -- what Perilune calls of librabbitmq, in declarations of its own.
 *
 * The library (rabbitmq-c) has kept its structs and its soname, librabbitmq.so.4, since 0.6; amqp_library.c looks
 * whether the one that it found is such a one.  Fields that are not set or read here have a name only to keep their
 * place. */
#ifndef PERILUNE_JOBS_AMQP_ABI_H
#define PERILUNE_JOBS_AMQP_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

struct amqp_link;        /* amqp_connection_state_t, which is a pointer to something */
struct amqp_socket;

struct amqp_bytes { size_t len; void *bytes; };
struct amqp_table { int count; struct amqp_entry *entries; };

struct amqp_value {
    uint8_t kind;         /* 'S' text, 'l' int64, 't' boolean */
    union {
        int               boolean;
        int64_t           i64;
        double            f64;
        struct amqp_bytes bytes;
        struct amqp_table table;
        struct { int count; struct amqp_value *entries; } array;
    } value;
};

struct amqp_entry {
    struct amqp_bytes key;
    struct amqp_value value;
};

#define AMQP_HAS_CONTENT_TYPE   (1u << 15)
#define AMQP_HAS_HEADERS        (1u << 13)
#define AMQP_HAS_DELIVERY_MODE  (1u << 12)
#define AMQP_HAS_CORRELATION_ID (1u << 10)
#define AMQP_HAS_MESSAGE_ID     (1u << 7)
#define AMQP_HAS_APP_ID         (1u << 3)
#define AMQP_PERSISTENT         2

struct amqp_properties {
    uint32_t          flags;
    struct amqp_bytes content_type, content_encoding;
    struct amqp_table headers;
    uint8_t           delivery_mode, priority;
    struct amqp_bytes correlation_id, reply_to, expiration, message_id;
    uint64_t          timestamp;
    struct amqp_bytes type, user_id, app_id, cluster_id;
};

struct amqp_method { uint32_t id; void *decoded; };

enum { AMQP_REPLY_NONE, AMQP_REPLY_NORMAL, AMQP_REPLY_LIBRARY, AMQP_REPLY_SERVER };
struct amqp_reply { int type; struct amqp_method method; int library_error; };

enum { AMQP_FRAME_OF_METHOD = 1, AMQP_FRAME_OF_HEADER = 2, AMQP_FRAME_OF_BODY = 3 };
struct amqp_frame {
    uint8_t  type;
    uint16_t channel;
    union {
        struct amqp_method method;
        struct {
            uint16_t class_id;
            uint64_t body_size;
            struct amqp_properties *decoded;
            struct amqp_bytes raw;
        } header;
        struct amqp_bytes body;
    } payload;
};

/* Methods that come by themselves: class << 16 | number. */
enum {
    AMQP_CONNECTION_CLOSE = 0x000A0032, AMQP_CONNECTION_BLOCKED = 0x000A003C, AMQP_CONNECTION_UNBLOCKED = 0x000A003D,
    AMQP_CHANNEL_CLOSE = 0x00140028, AMQP_CHANNEL_CLOSED = 0x00140029,
    AMQP_BASIC_CANCEL = 0x003C001E, AMQP_BASIC_RETURN = 0x003C0032,
    AMQP_BASIC_DELIVER = 0x003C003C, AMQP_BASIC_ACK = 0x003C0050, AMQP_BASIC_NACK = 0x003C0078
};
struct amqp_close { uint16_t code; struct amqp_bytes text; uint16_t class_id, method_id; };
struct amqp_deliver { struct amqp_bytes tag; uint64_t number; int redelivered; struct amqp_bytes exchange, key; };
struct amqp_ack { uint64_t number; int multiple; };
struct amqp_nack { uint64_t number; int multiple, requeue; };

enum { AMQP_STATUS_TIMEOUT = -0x000D, AMQP_STATUS_TLS = -0x0200 }; /* TLS: and below */

#define AMQP_FUNCTIONS(XX)                                                                                            \
    XX(const char *, amqp_version, (void))                                                                            \
    XX(uint32_t, amqp_version_number, (void))                                                                         \
    XX(const char *, amqp_error_string2, (int rc))                                                                    \
    XX(struct amqp_link *, amqp_new_connection, (void))                                                               \
    XX(int, amqp_destroy_connection, (struct amqp_link *))                                                            \
    XX(struct amqp_reply, amqp_connection_close, (struct amqp_link *, int code))                                      \
    XX(struct amqp_socket *, amqp_tcp_socket_new, (struct amqp_link *))                                               \
    XX(int, amqp_socket_open_noblock, (struct amqp_socket *, const char *host, int port, const struct timeval *))     \
    XX(int, amqp_get_sockfd, (struct amqp_link *))                                                                    \
    XX(struct amqp_reply, amqp_login_with_properties,                                                                 \
       (struct amqp_link *, const char *vhost, int channels, int frame, int heartbeat, const struct amqp_table *,     \
        int sasl, ...))                                                                                               \
    XX(struct amqp_reply, amqp_get_rpc_reply, (struct amqp_link *))                                                   \
    XX(void *, amqp_channel_open, (struct amqp_link *, uint16_t channel))                                             \
    XX(int, amqp_send_method, (struct amqp_link *, uint16_t channel, uint32_t id, void *decoded))                     \
    XX(void *, amqp_confirm_select, (struct amqp_link *, uint16_t channel))                                           \
    XX(void *, amqp_basic_qos, (struct amqp_link *, uint16_t channel, uint32_t size, uint16_t count, int global))     \
    XX(void *, amqp_queue_declare, (struct amqp_link *, uint16_t channel, struct amqp_bytes queue, int passive,       \
                                    int durable, int exclusive, int auto_delete, struct amqp_table arguments))        \
    XX(void *, amqp_basic_consume, (struct amqp_link *, uint16_t channel, struct amqp_bytes queue,                    \
                                    struct amqp_bytes tag, int no_local, int no_ack, int exclusive,                   \
                                    struct amqp_table arguments))                                                     \
    XX(void *, amqp_basic_cancel, (struct amqp_link *, uint16_t channel, struct amqp_bytes tag))                      \
    XX(int, amqp_basic_publish, (struct amqp_link *, uint16_t channel, struct amqp_bytes exchange,                    \
                                 struct amqp_bytes key, int mandatory, int immediate,                                 \
                                 const struct amqp_properties *, struct amqp_bytes body))                             \
    XX(int, amqp_basic_ack, (struct amqp_link *, uint16_t channel, uint64_t number, int multiple))                    \
    XX(int, amqp_basic_nack, (struct amqp_link *, uint16_t channel, uint64_t number, int multiple, int requeue))      \
    XX(int, amqp_simple_wait_frame_noblock, (struct amqp_link *, struct amqp_frame *, const struct timeval *))        \
    XX(int, amqp_frames_enqueued, (struct amqp_link *))                                                               \
    XX(int, amqp_data_in_buffer, (struct amqp_link *))                                                                \
    XX(void, amqp_maybe_release_buffers, (struct amqp_link *))                                                        \
    XX(int, amqp_encode_table, (struct amqp_bytes to, struct amqp_table *, size_t *offset))

/* Not in each build, or not in old ones: NULL then. */
#define AMQP_MORE_FUNCTIONS(XX)                                                                                       \
    XX(int, amqp_set_handshake_timeout, (struct amqp_link *, const struct timeval *))                                 \
    XX(int, amqp_set_rpc_timeout, (struct amqp_link *, const struct timeval *))                                       \
    XX(struct amqp_socket *, amqp_ssl_socket_new, (struct amqp_link *))                                               \
    XX(int, amqp_ssl_socket_set_cacert, (struct amqp_socket *, const char *file))                                     \
    XX(void, amqp_ssl_socket_set_verify_peer, (struct amqp_socket *, int verify))                                     \
    XX(void, amqp_ssl_socket_set_verify_hostname, (struct amqp_socket *, int verify))                                 \
    XX(int, amqp_ssl_socket_enable_default_verify_paths, (struct amqp_socket *))

struct amqp_calls {
#define XX(result, name, arguments) result(*name) arguments;
    AMQP_FUNCTIONS(XX)
    AMQP_MORE_FUNCTIONS(XX)
#undef XX
};

#endif
