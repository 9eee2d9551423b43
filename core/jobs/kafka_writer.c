/* kafka_writer.c -- writes messages to topics, and says when they are safe.
 *
 *     letter --send--> librdkafka: batches, retries --turn: delivery report--> confirmed(letter)
 *
 * Safe is what all copies in sync have (acks=all).  Messages are numbered (idempotence), so that one which librdkafka
 * sends twice, because the answer was lost, is kept once.  The body stays ours until its report: nothing is copied.
 *
 * A report comes for each letter, and at the latest after settings->timeout_ms.  What was not confirmed may be there
 * or not; who wrote it writes it again. */
#include "jobs/kafka_writer.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/kafka_conf.h"

#define CLOSE_TURNS 20 /* of 100 ms: reports of what is thrown away come at once */

struct kafka_writer {
    struct kafka_ear            ear; /* the first: opaque of all callbacks */
    struct kafka_writer_options opt;
    const struct kafka_calls   *c;
    struct rd_kafka_s          *rk;
    struct rd_kafka_queue_s    *queue;
    bool                        closing;
};

/* One that will not be better when it is done again? */
static bool is_lasting(int err) {
    return err == KAFKA_ERR_MSG_SIZE_TOO_LARGE || err == KAFKA_ERR_UNKNOWN_TOPIC || err == KAFKA_ERR_INVALID_ARG ||
           err == KAFKA_ERR_UNKNOWN_PARTITION || err == KAFKA_ERR_UNKNOWN_TOPIC_OR_PART ||
           err == KAFKA_ERR_TOPIC_AUTHORIZATION;
}

static const char *words(struct kafka_writer *w, int err) {
    if (err == KAFKA_ERR_MSG_SIZE_TOO_LARGE)
        return "the message is larger than Kafka takes: raise max.message.bytes of the topic, or message.max.bytes of "
               "the server";
    return w->c->err2str(err);
}

static void on_report(struct rd_kafka_s *rk, const struct kafka_message *m, void *opaque) {
    struct kafka_writer *w = opaque;
    (void)rk;
    int rc = m->err == 0 ? 0 : is_lasting(m->err) ? PERILUNE_ERR_INVAL : PERILUNE_ERR_IO;
    if (rc == PERILUNE_ERR_IO && !w->closing) w->opt.doubt(w->opt.ud, m->err, w->c->err2str(m->err));
    w->opt.confirmed(w->opt.ud, m->opaque, rc, rc != 0 ? words(w, m->err) : NULL);
}

static void on_error(struct rd_kafka_s *rk, int err, const char *why, void *opaque) {
    struct kafka_writer *w = opaque;
    (void)rk;
    if (!w->closing) w->opt.doubt(w->opt.ud, err, why);
}

static void on_queue(struct rd_kafka_s *rk, void *ud) {
    struct kafka_writer *w = ud;
    (void)rk;
    w->opt.wake(w->opt.ud);
}

struct kafka_writer *kafka_writer_open(const struct kafka_writer_options *opt, char *why, size_t size) {
    struct kafka_writer *w = mem_zalloc(sizeof(*w));
    snprintf(why, size, "there is no memory");
    if (w == NULL) return NULL;
    w->opt = *opt;
    w->c = opt->calls;
    w->ear = (struct kafka_ear){ opt->said, opt->ud };
    struct rd_kafka_conf_s *conf = kafka_conf_new(w->c, opt->settings, KAFKA_WRITES, &w->ear, why, size);
    if (conf != NULL) {
        w->c->conf_set_dr_msg_cb(conf, on_report);
        w->c->conf_set_error_cb(conf, on_error);
        w->rk = w->c->new(KAFKA_PRODUCER, conf, why, size);
        if (w->rk == NULL) w->c->conf_destroy(conf);
    }
    if (w->rk == NULL) {
        mem_free(w);
        return NULL;
    }
    w->queue = w->c->queue_get_main(w->rk);
    if (w->queue != NULL) w->c->queue_cb_event_enable(w->queue, on_queue, w);
    return w;
}

void kafka_writer_close(struct kafka_writer *w) {
    if (w == NULL) return;
    w->closing = true;
    w->c->purge(w->rk, KAFKA_PURGE_QUEUE | KAFKA_PURGE_INFLIGHT);
    for (int i = 0; i < CLOSE_TURNS && w->c->outq_len(w->rk) > 0; i++) w->c->poll(w->rk, 100);
    if (w->queue != NULL) {
        w->c->queue_cb_event_enable(w->queue, NULL, NULL);
        w->c->queue_destroy(w->queue);
    }
    w->c->destroy_flags(w->rk, KAFKA_DESTROY_NO_CLOSE);
    mem_free(w);
}

int kafka_writer_send(struct kafka_writer *w, struct kafka_letter *l, const char **why) {
    bool reason = l->reason.len > 0;
    /* The list ends at the first KAFKA_V_END, so what is optional stands last. */
    int err = w->c->producev(w->rk, KAFKA_V_TOPIC, l->to, KAFKA_V_VALUE, (void *)l->body.ptr, l->body.len,
                             KAFKA_V_KEY, l->key.len > 0 ? (void *)l->key.ptr : NULL, l->key.len, KAFKA_V_OPAQUE,
                             (void *)l, KAFKA_V_FLAGS, 0, reason ? KAFKA_V_HEADER : KAFKA_V_END, "x-perilune-reason",
                             l->reason.ptr, (ssize_t)l->reason.len, KAFKA_V_END);
    if (err == 0) return 0;
    if (err == KAFKA_ERR_QUEUE_FULL) return PERILUNE_ERR_LIMITED;
    *why = words(w, err);
    return is_lasting(err) ? PERILUNE_ERR_INVAL : PERILUNE_ERR_IO;
}

void kafka_writer_turn(struct kafka_writer *w) {
    while (w->c->poll(w->rk, 0) > 0) {}
}

struct rd_kafka_s *kafka_writer_client(struct kafka_writer *w) { return w->rk; }
