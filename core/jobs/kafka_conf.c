/* kafka_conf.c -- what librdkafka is told.
 *
 * Three clients of a broker share most of it: where the servers are and who we are.  What differs is what makes
 * delivery at least once: the writer waits for all copies and numbers its messages, so that one that was sent twice
 * is kept once; readers commit nothing by themselves.
 *
 * librdkafka has some two hundred properties.  A configuration of ours has the few that an operator must say, by
 * names that mean the same for all brokers, and nothing else reaches the library. */
#include "jobs/kafka_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "jobs/kafka_library.h"

#define HEADROOM         65536      /* bytes of a message besides its body */
#define MESSAGE_MOST     1000000000 /* bytes, of librdkafka */
#define SESSION_MS       "10000"    /* without a heartbeat: then others get a node's partitions, as with a lease */
#define POLL_INTERVAL_MS "45000"    /* so long a changing group waits for a member; see LEAVE_MS in kafka_reader.c */
#define QUEUED_KB        "16384"    /* fetched and not looked at yet, of each reader */

/* The first failure stays in why, and the rest does nothing. */
struct setter {
    const struct kafka_calls *c;
    struct rd_kafka_conf_s   *conf;
    char                     *why;
    size_t                    size;
    bool                      failed;
};

static void set(struct setter *s, const char *name, const char *value) {
    char said[400] = "";
    if (s->failed || value == NULL || s->c->conf_set(s->conf, name, value, said, sizeof(said)) == KAFKA_CONF_OK) return;
    s->failed = true;
    snprintf(s->why, s->size, "librdkafka %.20s takes no %s: %s", s->c->version_str(), name, said);
}

static void set_number(struct setter *s, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    set(s, name, text);
}

static void set_security(struct setter *s, const struct broker_settings *b) {
    bool sasl = b->user != NULL || b->mechanism != NULL;
    set(s, "security.protocol", b->tls ? sasl ? "sasl_ssl" : "ssl" : sasl ? "sasl_plaintext" : "plaintext");
    if (b->tls) {
        set(s, "ssl.ca.location", b->ca);
        /* Before 2.0 the name in a certificate was not looked at unless one said so. */
        set(s, "ssl.endpoint.identification.algorithm", "https");
    }
    if (!sasl) return;
    set(s, "sasl.mechanisms", b->mechanism ? b->mechanism : "PLAIN");
    set(s, "sasl.username", b->user);
    set(s, "sasl.password", b->password);
}

static void set_common(struct setter *s, const struct broker_settings *b) {
    uint64_t bytes = b->max_message + (uint64_t)HEADROOM;
    set(s, "bootstrap.servers", b->servers);
    set(s, "client.id", "perilune");
    set(s, "socket.keepalive.enable", "true");
    set(s, "log.connection.close", "false"); /* idle ones are closed by the server; the next use opens them */
    set(s, "reconnect.backoff.ms", "100");
    set(s, "reconnect.backoff.max.ms", "5000");
    set_number(s, "socket.timeout.ms", b->timeout_ms < 5000 ? 5000 : b->timeout_ms > 60000 ? 60000 : b->timeout_ms);
    set_number(s, "message.max.bytes", bytes > MESSAGE_MOST ? MESSAGE_MOST : bytes);
    set(s, "topic.metadata.refresh.interval.ms", "30000"); /* until a new partition is seen */
    set_security(s, b);
}

static void set_writer(struct setter *s, const struct broker_settings *b) {
    set(s, "enable.idempotence", "true");
    set(s, "acks", "all");
    set(s, "linger.ms", "1");
    set(s, "partitioner", "murmur2_random"); /* as Java's clients: a key has one partition, whoever writes */
    set_number(s, "message.timeout.ms", b->timeout_ms < 100 ? 100 : b->timeout_ms);
    set_number(s, "queue.buffering.max.messages", BROKER_WAITING * 2);
    set_number(s, "queue.buffering.max.kbytes", BROKER_WAITING_BYTES / 1024 * 2);
}

static void set_reader(struct setter *s, const struct broker_settings *b, bool is_work) {
    set(s, "group.id", is_work ? b->group : b->results);
    set(s, "enable.auto.commit", "false");
    set(s, "enable.auto.offset.store", "false");
    set(s, "auto.offset.reset", "earliest"); /* a group that begins does what is there */
    set(s, "allow.auto.create.topics", "false");
    set(s, "session.timeout.ms", SESSION_MS);
    set(s, "max.poll.interval.ms", POLL_INTERVAL_MS);
    set(s, "partition.assignment.strategy", "cooperative-sticky");
    /* What is fetched ahead is thrown away by a pause, so it is little: the next piece of a partition when the one
     * before is used up.  A larger message comes whole. */
    set(s, "queued.min.messages", "1");
    set(s, "queued.max.messages.kbytes", QUEUED_KB);
    set(s, "fetch.message.max.bytes", "65536");
}

/* From threads of the library, which says that nothing of it may be called from here; its opaque is a field. */
static void on_log(const struct rd_kafka_s *rk, int level, const char *what, const char *text) {
    char why[8];
    const struct kafka_calls *c = kafka_library_get(NULL, why, sizeof(why));
    const struct kafka_ear *ear = c != NULL && rk != NULL ? c->opaque(rk) : NULL;
    (void)what;
    if (ear != NULL && ear->said != NULL) ear->said(ear->ud, level, text);
}

struct rd_kafka_conf_s *kafka_conf_new(const struct kafka_calls *c, const struct broker_settings *b,
                                       enum kafka_role role, struct kafka_ear *opaque, char *why, size_t size) {
    struct setter s = { .c = c, .conf = c->conf_new(), .why = why, .size = size };
    if (s.conf == NULL) return NULL;
    c->conf_set_opaque(s.conf, opaque);
    c->conf_set_log_cb(s.conf, on_log);
    set_common(&s, b);
    if (role == KAFKA_WRITES) set_writer(&s, b);
    else set_reader(&s, b, role == KAFKA_READS_WORK);
    if (!s.failed) return s.conf;
    c->conf_destroy(s.conf);
    return NULL;
}

/* -- Before anybody is asked --------------------------------------------------------------------- */

static bool is_port(const char *text, size_t len) {
    unsigned long n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || len > 5) return false;
        n = n * 10 + (unsigned long)(text[i] - '0');
    }
    return n > 0 && n <= 65535;
}

/* host, host:port or [address]:port. */
static bool is_server(const char *text, size_t len) {
    const char *end = text + len, *colon = memrchr(text, ':', len);
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        return close != NULL && close > text + 1 &&
               (close + 1 == end || (colon == close + 1 && is_port(colon + 1, (size_t)(end - colon - 1))));
    }
    size_t host = colon ? (size_t)(colon - text) : len;
    if (host == 0 || host > 255) return false;
    for (size_t i = 0; i < host; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == '/' || text[i] == ':') return false;
    return colon == NULL || is_port(colon + 1, (size_t)(end - colon - 1));
}

/* What Kafka allows; NULL: fine. */
static const char *wrong_name(const char *name) {
    if (name == NULL) return NULL;
    size_t len = strlen(name);
    if (len == 0 || len > BROKER_NAME_MAX) return "must have 1 to 249 bytes";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return "must not be '.' or '..'";
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
        return "may have letters, digits, '.', '_' and '-'";
    return NULL;
}

int kafka_conf_check(const struct broker_settings *s, char *why, size_t size) {
    for (const char *at = s->servers; at != NULL; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t len = strcspn(at, ",");
        while (len > 0 && at[0] == ' ') at++, len--;
        while (len > 0 && at[len - 1] == ' ') len--;
        if (is_server(at, len)) continue;
        snprintf(why, size, "'%.*s' is no server of Kafka: say host:port, several with commas between them",
                 len > 100 ? 100 : (int)len, at);
        return PERILUNE_ERR_CONFIG;
    }
    const char *const topics[] = { s->work, s->results, s->dead };
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
        const char *wrong = wrong_name(topics[i]);
        if (wrong == NULL) continue;
        snprintf(why, size, "'%.100s' is no topic: a name %s", topics[i], wrong);
        return PERILUNE_ERR_CONFIG;
    }
    if ((s->user != NULL) != (s->password != NULL) || (s->mechanism != NULL && s->user == NULL)) {
        snprintf(why, size, "SASL needs a user and a password");
        return PERILUNE_ERR_CONFIG;
    }
    if (s->servers != NULL && s->work != NULL && s->group != NULL && s->group[0] != '\0') return 0;
    snprintf(why, size, "Kafka needs servers, a topic and a group");
    return PERILUNE_ERR_CONFIG;
}
