/* amqp_conn.c -- one connection to RabbitMQ, over librabbitmq.
 *
 *     socket, TLS --login--> channel 1: confirms    publish --> number --> ack, nack, return
 *                            channel 2: the work,   basic.qos: work_most
 *                            channel 3: results,    basic.qos: results_most, nobody else may read them
 *
 * Queues.  One that is there is used as it is: operators have their own ideas of queues.  One that is not is made:
 * durable, replicated (a quorum queue), the work with the dead letters behind it (x-dead-letter-exchange) and with
 * x-delivery-limit, so that a job which kills each process that takes it does not go round for ever.
 *
 * A message comes as three kinds of frames: method (who, number), header (how long), body (pieces of 128 KiB at most).
 * They are put together here and not by the library, whose reader waits for the end of a message and takes any length.
 * More than max_message bytes are counted and not kept.
 *
 * Publishing: each message is mandatory and persistent, and carries its number, so that one which no queue takes comes
 * back and is known.  The broker closes the channel, and tells no number, when a message is larger than it takes.
 *
 * Whatever the broker closes, a channel or all of it, ends the connection: another one is the way to begin anew. */
#include "jobs/amqp_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"

enum { PUBLISHING = 1, WORK = 2, RESULTS = 3, LOOKING = 4 };

#define HEARTBEAT_S 20
#define FRAME_BYTES 131072
#define TOKEN_SHIFT 2     /* a token: the number of a delivery, and its channel */

/* A message that is coming, of a channel. */
struct coming {
    bool       is_on;
    uint64_t   number, left, seen;
    bool       again, too_large;
    struct buf body;
};

struct amqp_conn {
    const struct amqp_calls      *calls;
    const struct broker_settings *s;
    struct amqp_link *link;
    uint64_t          published;
    bool              blocked, too_large, paused, returning;
    uint64_t          return_left; /* of the body of a message that came back */
    struct coming     coming[2];   /* work, results */
    char              why[BROKER_WHY_SIZE];
};

static struct amqp_bytes bytes_of(struct slice s) { return (struct amqp_bytes){ s.len, (void *)(uintptr_t)s.ptr }; }
static struct amqp_bytes text(const char *s) { return bytes_of(slice_str(s)); }
static struct slice slice_from(struct amqp_bytes b) { return slice_of(b.bytes, b.len); }

static int fail(struct amqp_conn *c, const char *what, int rc) {
    snprintf(c->why, sizeof(c->why), "%s: %s", what, c->calls->amqp_error_string2(rc));
    return PERILUNE_ERR_IO;
}

/* The code and the words with which the broker closes something; 0: it is no such method. */
static unsigned closing(const struct amqp_method *m, struct slice *words) {
    if (m->id != AMQP_CONNECTION_CLOSE && m->id != AMQP_CHANNEL_CLOSE) return 0;
    const struct amqp_close *close = m->decoded;
    *words = slice_from(close->text);
    return close->code;
}

/* What the last call that waits for the broker came to.  *code: what the broker closed it with, or 0. */
static int reply(struct amqp_conn *c, const char *what, struct amqp_reply r, unsigned *code) {
    struct slice words = SLICE("");
    *code = 0;
    if (r.type == AMQP_REPLY_NORMAL) return 0;
    if (r.type == AMQP_REPLY_LIBRARY) return fail(c, what, r.library_error);
    if (r.type == AMQP_REPLY_SERVER) *code = closing(&r.method, &words);
    snprintf(c->why, sizeof(c->why), "%s: %.*s", what, (int)(words.len > 0 ? (words.len < 400 ? words.len : 400) : 20),
             words.len > 0 ? words.ptr : "the connection ended");
    slice_mute(c->why);
    return PERILUNE_ERR_IO;
}

static int last_reply(struct amqp_conn *c, const char *what, unsigned *code) {
    return reply(c, what, c->calls->amqp_get_rpc_reply(c->link), code);
}

/* -- Connecting ------------------------------------------ */

static struct timeval span(uint64_t ms) {
    return (struct timeval){ .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
}

/* Whom TLS trusts when the configuration names nobody, where the library cannot find out by itself. */
static const char *system_authorities(void) {
    static const char *const files[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/cert.pem" };
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (access(files[i], R_OK) == 0) return files[i];
    return NULL;
}

static struct amqp_socket *tls_socket(struct amqp_conn *c) {
    const struct amqp_calls *f = c->calls;
    const char *ca = c->s->ca != NULL || f->amqp_ssl_socket_enable_default_verify_paths != NULL ? c->s->ca
                                                                                               : system_authorities();
    if (f->amqp_ssl_socket_new == NULL || f->amqp_ssl_socket_set_verify_peer == NULL ||
        f->amqp_ssl_socket_set_verify_hostname == NULL || f->amqp_ssl_socket_set_cacert == NULL) {
        snprintf(c->why, sizeof(c->why), "this librabbitmq was built without TLS, which amqps:// needs");
        return NULL;
    }
    struct amqp_socket *s = f->amqp_ssl_socket_new(c->link);
    if (s == NULL) return NULL;
    f->amqp_ssl_socket_set_verify_peer(s, 1);
    f->amqp_ssl_socket_set_verify_hostname(s, 1);
    int rc = ca != NULL ? f->amqp_ssl_socket_set_cacert(s, ca)
             : f->amqp_ssl_socket_enable_default_verify_paths != NULL
                 ? f->amqp_ssl_socket_enable_default_verify_paths(s) : 0;
    if (rc == 0) return s;
    snprintf(c->why, sizeof(c->why), "%.300s: the certificates in it cannot be read", ca != NULL ? ca : "ca");
    return NULL;
}

static int open_socket(struct amqp_conn *c, bool *fatal) {
    const struct broker_settings *s = c->s;
    struct timeval most = span(s->timeout_ms);
    char what[320];
    struct amqp_socket *socket = s->tls ? tls_socket(c) : c->calls->amqp_tcp_socket_new(c->link);
    *fatal = socket == NULL;
    if (socket == NULL) return PERILUNE_ERR_IO;
    if (c->calls->amqp_set_handshake_timeout != NULL) c->calls->amqp_set_handshake_timeout(c->link, &most);
    if (c->calls->amqp_set_rpc_timeout != NULL) c->calls->amqp_set_rpc_timeout(c->link, &most);
    int rc = c->calls->amqp_socket_open_noblock(socket, s->host, (int)s->port, &most);
    snprintf(what, sizeof(what), "no RabbitMQ can be reached at %.250s:%u", s->host, s->port);
    if (rc == 0) return 0;
    fail(c, what, rc);
    if (rc <= AMQP_STATUS_TLS) {
        size_t len = strlen(c->why);
        snprintf(c->why + len, sizeof(c->why) - len, "; it must speak TLS there, and have a certificate for this name "
                 "of an authority that ca or the system trusts");
    }
    return PERILUNE_ERR_IO;
}

static int log_in(struct amqp_conn *c, bool *fatal) {
    const struct broker_settings *s = c->s;
    const char *user = s->user != NULL ? s->user : "guest", *password = s->password != NULL ? s->password : "guest";
    unsigned code;
    char what[400];
    snprintf(what, sizeof(what), "RabbitMQ at %.150s:%u", s->host, s->port);
    /* To be told when it takes no messages, and when a queue is gone that is read. */
    struct amqp_entry wishes[] = { { text("connection.blocked"), { .kind = 't', .value.boolean = 1 } },
                                   { text("consumer_cancel_notify"), { .kind = 't', .value.boolean = 1 } } };
    struct amqp_entry props[] = {
        { text("product"), { .kind = 'S', .value.bytes = text("perilune") } },
        { text("capabilities"), { .kind = 'F', .value.table = { 2, wishes } } },
    };
    struct amqp_reply r = c->calls->amqp_login_with_properties(
        c->link, s->vhost, 0, FRAME_BYTES, HEARTBEAT_S, &(struct amqp_table){ 2, props }, 0, user, password);
    int rc = reply(c, what, r, &code);
    *fatal = code == 403 || code == 530;
    if (code == 403)
        snprintf(c->why, sizeof(c->why), "%s refuses the user '%.100s' or its password; rabbitmqctl change_password "
                 "sets it, and 'guest' may only connect from the same machine", what, user);
    else if (code == 530)
        snprintf(c->why, sizeof(c->why), "%s does not let the user '%.60s' into the vhost '%.60s'; rabbitmqctl "
                 "add_vhost makes it, rabbitmqctl set_permissions lets him in", what, user, s->vhost);
    return rc;
}

static int open_channel(struct amqp_conn *c, uint16_t channel) {
    unsigned code;
    c->calls->amqp_channel_open(c->link, channel);
    return last_reply(c, "a channel", &code);
}

/* -- Queues ------------------------------------------ */

static const struct amqp_table none = { 0, NULL };

/* The broker has closed it, and waits for a word about that. */
static int open_again(struct amqp_conn *c, uint16_t channel) {
    char nothing = 0;
    int rc = c->calls->amqp_send_method(c->link, channel, AMQP_CHANNEL_CLOSED, &nothing);
    return rc == 0 ? open_channel(c, channel) : fail(c, "a channel", rc);
}

/* Is it there?  404 closes the channel. */
static int look_for(struct amqp_conn *c, const char *queue, bool *is_there, bool *fatal) {
    unsigned code;
    char what[BROKER_NAME_MAX + 20];
    snprintf(what, sizeof(what), "the queue %s", queue);
    c->calls->amqp_queue_declare(c->link, LOOKING, text(queue), 1, 0, 0, 0, none);
    int rc = last_reply(c, what, &code);
    *is_there = rc == 0;
    *fatal = code == 403;
    if (code == 404) rc = open_again(c, LOOKING);
    return rc;
}

static int make(struct amqp_conn *c, const char *queue, bool is_work, bool *fatal) {
    const struct broker_settings *s = c->s;
    unsigned code;
    char what[BROKER_NAME_MAX + 20];
    struct amqp_entry entries[4] = {
        { text("x-queue-type"), { .kind = 'S', .value.bytes = text("quorum") } },
        { text("x-delivery-limit"), { .kind = 'l', .value.i64 = (int64_t)s->delivery_limit } },
        { text("x-dead-letter-exchange"), { .kind = 'S', .value.bytes = text("") } },
        { text("x-dead-letter-routing-key"), { .kind = 'S', .value.bytes = text(s->dead != NULL ? s->dead : "") } },
    };
    bool bounded = is_work && s->delivery_limit > 0;
    struct amqp_table table = { !bounded ? 1 : s->dead != NULL ? 4 : 2, entries };
    snprintf(what, sizeof(what), "the queue %s", queue);
    c->calls->amqp_queue_declare(c->link, LOOKING, text(queue), 0, 1, 0, 0, table);
    int rc = last_reply(c, what, &code);
    *fatal = code == 403;
    return rc;
}

static int prepare_queue(struct amqp_conn *c, const char *queue, bool *fatal) {
    bool is_there;
    if (queue == NULL) return 0;
    int rc = look_for(c, queue, &is_there, fatal);
    return rc != 0 || is_there ? rc : make(c, queue, queue == c->s->work, fatal);
}

static int consume(struct amqp_conn *c, uint16_t channel, const char *queue, unsigned most, bool alone, bool *fatal) {
    unsigned code;
    char what[BROKER_NAME_MAX + 20];
    snprintf(what, sizeof(what), "reading the queue %s", queue);
    c->calls->amqp_basic_qos(c->link, channel, 0, (uint16_t)(most < 65535 ? most : 65535), 0);
    int rc = last_reply(c, what, &code);
    if (rc != 0) return rc;
    c->calls->amqp_basic_consume(c->link, channel, text(queue), text("perilune"), 0, 0, alone, none);
    rc = last_reply(c, what, &code);
    *fatal = code == 403 && !alone; /* who is alone may be so again when the one before is gone */
    if (code == 403 && alone)
        snprintf(c->why, sizeof(c->why), "somebody else reads the queue %.249s: each node needs results of its own "
                 "(jobs.broker.results)", queue);
    return rc;
}

static int prepare(struct amqp_conn *c, bool *fatal) {
    const struct broker_settings *s = c->s;
    unsigned code;
    int rc = open_channel(c, LOOKING);
    if (rc == 0) rc = prepare_queue(c, s->dead, fatal);
    if (rc == 0) rc = prepare_queue(c, s->work, fatal);
    if (rc == 0) rc = prepare_queue(c, s->results, fatal);
    for (uint16_t channel = PUBLISHING; channel <= RESULTS && rc == 0; channel++) rc = open_channel(c, channel);
    if (rc != 0) return rc;
    c->calls->amqp_confirm_select(c->link, PUBLISHING);
    rc = last_reply(c, "confirmations", &code);
    if (rc == 0 && s->results != NULL) rc = consume(c, RESULTS, s->results, s->results_most, true, fatal);
    if (rc == 0 && !c->paused) rc = consume(c, WORK, s->work, s->work_most, false, fatal);
    return rc;
}

struct amqp_conn *amqp_conn_open(const struct amqp_calls *calls, const struct broker_settings *s, bool queues,
                                 bool paused, bool *fatal, char *why, size_t size) {
    *fatal = false;
    struct amqp_conn *c = mem_zalloc(sizeof(*c));
    if (c != NULL) c->link = calls->amqp_new_connection();
    if (c == NULL || c->link == NULL) {
        snprintf(why, size, "out of memory");
        mem_free(c);
        return NULL;
    }
    c->calls = calls;
    c->s = s;
    c->paused = paused;
    for (int i = 0; i < 2; i++) buf_init(&c->coming[i].body, 0);
    int rc = open_socket(c, fatal);
    if (rc == 0) rc = log_in(c, fatal);
    if (rc == 0 && queues) rc = prepare(c, fatal);
    if (rc == 0) return c;
    snprintf(why, size, "%s", c->why[0] ? c->why : "out of memory");
    amqp_conn_close(c, false);
    return NULL;
}

void amqp_conn_close(struct amqp_conn *c, bool polite) {
    if (c == NULL) return;
    struct timeval most = span(500);
    if (polite && c->calls->amqp_set_rpc_timeout != NULL) {
        c->calls->amqp_set_rpc_timeout(c->link, &most);
        c->calls->amqp_connection_close(c->link, 200);
    }
    c->calls->amqp_destroy_connection(c->link);
    for (int i = 0; i < 2; i++) buf_deinit(&c->coming[i].body);
    mem_free(c);
}

/* -- Going out ------------------------------------------ */

int amqp_conn_publish(struct amqp_conn *c, const struct broker_publish *p, uint64_t *number) {
    char digits[24];
    uint64_t next = c->published + 1;
    struct amqp_entry reason = { text("x-perilune-reason"), { .kind = 'S', .value.bytes = bytes_of(p->reason) } };
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)next);
    struct amqp_properties props = {
        .flags = AMQP_HAS_CONTENT_TYPE | AMQP_HAS_DELIVERY_MODE | AMQP_HAS_CORRELATION_ID | AMQP_HAS_APP_ID,
        .content_type = text("application/json"), .delivery_mode = AMQP_PERSISTENT, .correlation_id = text(digits),
        .app_id = text("perilune"), .message_id = bytes_of(p->key),
    };
    if (p->key.len > 0 && p->key.len < 256) props.flags |= AMQP_HAS_MESSAGE_ID;
    if (p->reason.len > 0) {
        props.flags |= AMQP_HAS_HEADERS;
        props.headers = (struct amqp_table){ 1, &reason };
    }
    int rc = c->calls->amqp_basic_publish(c->link, PUBLISHING, text(""), bytes_of(p->to), 1, 0, &props,
                                          bytes_of(p->body));
    if (rc != 0) return fail(c, "publishing", rc);
    *number = c->published = next;
    return 0;
}

int amqp_conn_settle(struct amqp_conn *c, uint64_t token, enum broker_settling how) {
    uint16_t channel = (uint16_t)(token & 3);
    uint64_t number = token >> TOKEN_SHIFT;
    int rc = how == BROKER_DONE ? c->calls->amqp_basic_ack(c->link, channel, number, 0)
                                : c->calls->amqp_basic_nack(c->link, channel, number, 0, 1);
    return rc == 0 ? 0 : fail(c, "settling", rc);
}

int amqp_conn_pause(struct amqp_conn *c, bool paused) {
    unsigned code;
    bool fatal;
    if (paused == c->paused) return 0;
    c->paused = paused;
    if (!paused) return consume(c, WORK, c->s->work, c->s->work_most, false, &fatal);
    c->calls->amqp_basic_cancel(c->link, WORK, text("perilune"));
    return last_reply(c, "reading no more", &code);
}

/* -- Coming in ------------------------------------------ */

static void whole(struct amqp_conn *c, struct coming *k, const struct amqp_hearer *h) {
    bool is_result = k == &c->coming[1];
    struct broker_message m = { .is_result = is_result, .too_large = k->too_large, .again = k->again, .key = SLICE(""),
                                .body = buf_get(&k->body),
                                .token = k->number << TOKEN_SHIFT | (is_result ? RESULTS : WORK) };
    k->is_on = false;
    if (buf_failed(&k->body)) m.token = 0;
    if (m.token != 0) h->came(h->ud, &m);
    else amqp_conn_settle(c, k->number << TOKEN_SHIFT | (is_result ? RESULTS : WORK), BROKER_AGAIN);
    buf_clear(&k->body);
    if (k->body.cap > 1u << 20) buf_deinit(&k->body);
}

static void begins(struct amqp_conn *c, struct coming *k, uint64_t size, const struct amqp_hearer *h) {
    k->left = size;
    k->too_large = size > c->s->max_message;
    if (size == 0) whole(c, k, h);
}

#define KEPT_OF_TOO_LARGE 4096

static void piece(struct amqp_conn *c, struct coming *k, struct amqp_bytes b, const struct amqp_hearer *h) {
    size_t room = k->too_large ? KEPT_OF_TOO_LARGE - buf_len(&k->body) : b.len;
    buf_put(&k->body, b.bytes, b.len < room ? b.len : room);
    k->left = k->left > b.len ? k->left - b.len : 0;
    if (k->left == 0) whole(c, k, h);
}

/* A message that no queue took, which comes back before its confirmation. */
static void came_back(struct amqp_conn *c, const struct amqp_frame *f, const struct amqp_hearer *h) {
    if (f->type == AMQP_FRAME_OF_HEADER) {
        const struct amqp_properties *p = f->payload.header.decoded;
        char digits[24];
        slice_copy(digits, sizeof(digits), slice_from(p->correlation_id));
        c->return_left = f->payload.header.body_size;
        if (p->flags & AMQP_HAS_CORRELATION_ID) h->returned(h->ud, strtoull(digits, NULL, 10));
    } else if (f->type == AMQP_FRAME_OF_BODY) {
        c->return_left = c->return_left > f->payload.body.len ? c->return_left - f->payload.body.len : 0;
    }
    c->returning = c->return_left > 0;
}

static int closed(struct amqp_conn *c, const struct amqp_method *m) {
    struct slice words;
    unsigned code = closing(m, &words);
    c->too_large = code == 406 && memmem(words.ptr, words.len, "larger than", 11) != NULL;
    snprintf(c->why, sizeof(c->why), "RabbitMQ closed the %s: %.*s",
             m->id == AMQP_CHANNEL_CLOSE ? "channel" : "connection", (int)(words.len < 400 ? words.len : 400),
             words.ptr);
    slice_mute(c->why);
    return PERILUNE_ERR_IO;
}

static int heard(struct amqp_conn *c, const struct amqp_frame *f, const struct amqp_hearer *h) {
    const struct amqp_method *m = &f->payload.method;
    switch (m->id) {
    case AMQP_BASIC_ACK: {
        const struct amqp_ack *a = m->decoded;
        h->confirmed(h->ud, a->number, a->multiple, true);
        return 0;
    }
    case AMQP_BASIC_NACK: {
        const struct amqp_nack *a = m->decoded;
        h->confirmed(h->ud, a->number, a->multiple, false);
        return 0;
    }
    case AMQP_BASIC_RETURN: c->returning = true; return 0;
    case AMQP_BASIC_DELIVER: {
        const struct amqp_deliver *d = m->decoded;
        if (f->channel != WORK && f->channel != RESULTS) return 0;
        struct coming *k = &c->coming[f->channel - WORK];
        k->is_on = true;
        k->number = d->number;
        k->again = d->redelivered;
        return 0;
    }
    case AMQP_CONNECTION_BLOCKED: c->blocked = true; return 0;
    case AMQP_CONNECTION_UNBLOCKED: c->blocked = false; return 0;
    case AMQP_CHANNEL_CLOSE:
    case AMQP_CONNECTION_CLOSE: return closed(c, m);
    case AMQP_BASIC_CANCEL:
        snprintf(c->why, sizeof(c->why), "RabbitMQ let nobody read the queue %s any more: it was deleted, or its node "
                 "is gone", f->channel == RESULTS ? c->s->results : c->s->work);
        return PERILUNE_ERR_IO;
    default: return 0;
    }
}

static int frame(struct amqp_conn *c, const struct amqp_frame *f, const struct amqp_hearer *h) {
    if (f->type == AMQP_FRAME_OF_METHOD) return heard(c, f, h);
    if (f->channel == PUBLISHING && c->returning) {
        came_back(c, f, h);
        return 0;
    }
    struct coming *k = f->channel == WORK || f->channel == RESULTS ? &c->coming[f->channel - WORK] : NULL;
    if (k == NULL || !k->is_on) return 0;
    if (f->type == AMQP_FRAME_OF_HEADER) begins(c, k, f->payload.header.body_size, h);
    else if (f->type == AMQP_FRAME_OF_BODY) piece(c, k, f->payload.body, h);
    return 0;
}

#define PER_READ 2000 /* frames, before what is to go out has its turn */

int amqp_conn_read(struct amqp_conn *c, const struct amqp_hearer *h) {
    struct timeval now = { 0, 0 };
    for (unsigned i = 0; i < PER_READ; i++) {
        struct amqp_frame f;
        int rc = c->calls->amqp_simple_wait_frame_noblock(c->link, &f, &now);
        if (rc == AMQP_STATUS_TIMEOUT) return 0;
        if (rc != 0) return fail(c, "the connection to RabbitMQ broke", rc);
        rc = frame(c, &f, h);
        if (rc != 0) return rc;
        c->calls->amqp_maybe_release_buffers(c->link);
    }
    return 0;
}

int  amqp_conn_fd(const struct amqp_conn *c) { return c->calls->amqp_get_sockfd(c->link); }
bool amqp_conn_is_blocked(const struct amqp_conn *c) { return c->blocked; }
bool amqp_conn_was_too_large(const struct amqp_conn *c) { return c->too_large; }
const char *amqp_conn_why(const struct amqp_conn *c) { return c->why; }
