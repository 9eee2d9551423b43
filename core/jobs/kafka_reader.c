/* kafka_reader.c -- reads one topic, and remembers how far it is done with.
 *
 *     Kafka --> librdkafka's queue --turn--> part: offsets --came()--> who does it
 *                    ^                         ^                          | any thread, any time
 *                    | pause, resume           +---- flights <---settle---+
 *     Kafka <--commit, the first that is not settled of each part
 *
 * Two kinds.  The work is shared by a group: Kafka gives each member some of the partitions, and takes them away when
 * members come and go.  Results are this node's own, so it takes all partitions by itself, and a node that was killed
 * reads on at once instead of waiting until the group has missed it.
 *
 * Bounded.  As many messages as may be worked on are out at once, and so far ahead of one that lasts long (WINDOW)
 * goes a partition.  Who is full says so to librdkafka (pause) and polls on, because a consumer that does not poll is
 * taken for dead.  Pausing throws away what was fetched ahead, so it is done only when it lasts (FULL_MS).
 *
 * A partition that is to go to another node.  The protocol is the cooperative one: only partitions that move are
 * revoked, and everybody reads on meanwhile.  Jobs of it may be under way, each a call that is paid for, so it is
 * given away when they have ended, or after LEAVE_MS; then what is left is done twice, here and there:
 *
 *     OURS --revoke--> LEAVING (paused; jobs end, are settled) --none is left | LEAVE_MS--> commit, unassign
 *       +----- lost (the group believed us dead), or we close -------------------------->   unassign
 *
 * While it leaves one, librdkafka fetches nothing of the others either: new work waits for the old.
 *
 * Commits and joining.  When a group changes, each member asks to join again and waits for all others.  A commit that
 * is sent behind that question is read after the change, is one of the generation before, and makes librdkafka (2.0,
 * for one) give up all partitions.  So none is sent between the question and the end of the change, which is seen
 * where requests leave and answers come (interceptors): it is late by some seconds instead.
 *
 * A message that somebody gave back (again) comes again AGAIN_MS later: the partition is read once more from there,
 * and what lies behind and is known is passed over.
 *
 * Whatever breaks it (no memory for a message, a topic that was deleted, a fatal error of librdkafka) makes it of no
 * use, which is not repaired here: a new one begins at what was committed. */
#include "jobs/kafka_reader.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/stamp.h"
#include "include/perilune.h"
#include "jobs/kafka_conf.h"
#include "jobs/kafka_offsets.h"

#define PER_TURN    256     /* messages */
#define FULL_MS     1000
#define COMMIT_MS   100     /* from settling to the commit that counts it and others */
#define RECOMMIT_MS 1000    /* after one that failed */
#define AGAIN_MS    1000
#define LEAVE_MS    30000   /* less than POLL_INTERVAL_MS, within which a member must agree to the next change */
#define JOIN_MS     60000   /* so long it is believed that we join */
#define WINDOW_LEAST 1024u  /* of a partition; twice what may be worked on at once, if that is more */
#define PREVIEW     4096u   /* bytes of a message that is too large */

struct part {
    struct list link;
    int32_t     id;
    struct kafka_offsets offsets;
    int64_t     committed;  /* -1: unknown, or the commit failed */
    uint64_t    seek_ms;    /* 0: none is due */
    bool        paused, full, leaving;
};

struct kafka_reader {
    struct kafka_ear            ear;      /* the first: opaque of all callbacks */
    struct kafka_reader_options opt;
    const struct kafka_calls   *c;
    struct rd_kafka_s          *rk;
    struct rd_kafka_queue_s    *queue;
    const char                 *topic;
    struct kafka_flights       *flights;
    struct list                 parts;
    struct kafka_partitions    *leaving;  /* NULL: none are */
    uint64_t leave_ms, full_ms, commit_ms; /* 0: not due */
    uint64_t now;                         /* of this turn */
    bool     is_full, paused, closing, pauses_changed;
    atomic_uint_least64_t joining_ms;     /* since when we ask to join; 0: we do not.  Of librdkafka's threads, too */
    char     broken[BROKER_WHY_SIZE];
};

static void breaks(struct kafka_reader *r, const char *why) {
    if (r->broken[0] == '\0') snprintf(r->broken, sizeof(r->broken), "topic '%s': %s", r->topic, why);
}

static void say(struct kafka_reader *r, int level, const char *what, int partition) {
    struct log *log = r->opt.settings->log;
    if (log != NULL) log_line(log, level, "jobs: Kafka: topic '%s', partition %d %s", r->topic, partition, what);
}

/* -- Parts ------------------------------------------------------------------------------------------- */

static struct part *part_of(struct list *e) { return container_of(e, struct part, link); }

static struct part *find_part(struct kafka_reader *r, int32_t id) {
    for (struct list *e = r->parts.next; e != &r->parts; e = e->next)
        if (part_of(e)->id == id) return part_of(e);
    return NULL;
}

static struct part *need_part(struct kafka_reader *r, int32_t id) {
    struct part *p = find_part(r, id);
    if (p != NULL) return p;
    unsigned most = r->flights->most * 2;
    p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        breaks(r, "there is no memory");
        return NULL;
    }
    p->id = id;
    p->committed = -1;
    kafka_offsets_init(&p->offsets, most < WINDOW_LEAST ? WINDOW_LEAST : most);
    list_append(&r->parts, &p->link);
    r->pauses_changed = true;
    return p;
}

static void drop_part(struct kafka_reader *r, struct part *p) {
    kafka_flights_drop(r->flights, p);
    kafka_offsets_deinit(&p->offsets);
    list_remove(&p->link);
    mem_free(p);
}

static void drop_all(struct kafka_reader *r) {
    while (!list_is_empty(&r->parts)) drop_part(r, part_of(r->parts.next));
}

/* -- Pauses ------------------------------------------------------------------------------------------ */

static bool should_pause(const struct kafka_reader *r, const struct part *p) {
    return r->is_full || r->paused || p->full || p->leaving;
}

/* Says what changed, and no more: to resume one that was not paused is to fetch it again.  Without memory it is said in
 * the next turn. */
static void say_pauses(struct kafka_reader *r) {
    struct kafka_partitions *stop = r->c->topic_partition_list_new(4), *go = r->c->topic_partition_list_new(4);
    r->pauses_changed = stop == NULL || go == NULL;
    for (struct list *e = r->parts.next; e != &r->parts && !r->pauses_changed; e = e->next) {
        struct part *p = part_of(e);
        bool pause = should_pause(r, p);
        if (pause == p->paused) continue;
        p->paused = pause;
        r->c->topic_partition_list_add(pause ? stop : go, r->topic, p->id);
    }
    if (stop != NULL && stop->count > 0) r->c->pause_partitions(r->rk, stop);
    if (go != NULL && go->count > 0) r->c->resume_partitions(r->rk, go);
    if (stop != NULL) r->c->topic_partition_list_destroy(stop);
    if (go != NULL) r->c->topic_partition_list_destroy(go);
}

void kafka_reader_pause(struct kafka_reader *r, bool paused) {
    r->pauses_changed |= r->paused != paused;
    r->paused = paused;
}

/* -- Commits ----------------------------------------------------------------------------------------- */

static bool is_joining(struct kafka_reader *r) {
    uint64_t since = atomic_load(&r->joining_ms);
    return since != 0 && r->now < since + JOIN_MS;
}

static int on_request(struct rd_kafka_s *rk, int fd, const char *server, int32_t server_id, int16_t kind,
                      int16_t version, int32_t number, size_t size, void *ud) {
    struct kafka_reader *r = ud;
    (void)rk, (void)fd, (void)server, (void)server_id, (void)version, (void)number, (void)size;
    if (kind == KAFKA_JOIN_GROUP) atomic_store(&r->joining_ms, stamp_ms(CLOCK_MONOTONIC));
    return 0;
}

static int on_response(struct rd_kafka_s *rk, int fd, const char *server, int32_t server_id, int16_t kind,
                       int16_t version, int32_t number, size_t size, int64_t micros, int err, void *ud) {
    struct kafka_reader *r = ud;
    (void)rk, (void)fd, (void)server, (void)server_id, (void)version, (void)number, (void)size, (void)micros;
    if (kind == KAFKA_SYNC_GROUP || (kind == KAFKA_JOIN_GROUP && err != 0)) atomic_store(&r->joining_ms, 0);
    return 0;
}

static int on_new(struct rd_kafka_s *rk, const struct rd_kafka_conf_s *conf, void *ud, char *text, size_t size) {
    struct kafka_reader *r = ud;
    (void)conf, (void)text, (void)size;
    int err = r->c->interceptor_add_on_request_sent(rk, "perilune", on_request, r);
    return err != 0 ? err : r->c->interceptor_add_on_response_received(rk, "perilune", on_response, r);
}

static void commit(struct kafka_reader *r) {
    struct kafka_partitions *l = r->c->topic_partition_list_new(4);
    r->commit_ms = l == NULL ? r->now + RECOMMIT_MS : 0;
    for (struct list *e = r->parts.next; l != NULL && e != &r->parts; e = e->next) {
        struct part *p = part_of(e);
        int64_t mark = kafka_offsets_mark(&p->offsets);
        if (mark < 0 || mark == p->committed) continue;
        r->c->topic_partition_list_add(l, r->topic, p->id)->offset = mark;
        p->committed = mark;
    }
    if (l != NULL && l->count > 0 && r->c->commit(r->rk, l, 1) != 0) {
        for (struct list *e = r->parts.next; e != &r->parts; e = e->next) part_of(e)->committed = -1;
        r->commit_ms = r->now + RECOMMIT_MS;
    }
    if (l != NULL) r->c->topic_partition_list_destroy(l);
}

static void on_commit(struct rd_kafka_s *rk, int err, struct kafka_partitions *l, void *opaque) {
    struct kafka_reader *r = opaque;
    (void)rk;
    for (int i = 0; l != NULL && i < l->count; i++) {
        struct part *p = err != 0 || l->of[i].err != 0 ? find_part(r, l->of[i].partition) : NULL;
        if (p == NULL || err == KAFKA_ERR_NO_OFFSET) continue;
        p->committed = -1; /* the group may be changing; the same is said again */
        r->commit_ms = r->now + RECOMMIT_MS;
    }
}

/* -- The group gives and takes ------------------------------------------------------------------------ */

static bool is_cooperative(const struct kafka_reader *r) {
    return strcmp(r->c->rebalance_protocol(r->rk), "COOPERATIVE") == 0;
}

static void check(struct kafka_reader *r, struct rd_kafka_error_s *e) {
    if (e == NULL) return;
    breaks(r, r->c->error_string(e));
    r->c->error_destroy(e);
}

static void given(struct kafka_reader *r, const struct kafka_partitions *l) {
    for (int i = 0; i < l->count; i++) need_part(r, l->of[i].partition);
    if (is_cooperative(r)) check(r, r->c->incremental_assign(r->rk, l));
    else if (r->c->assign(r->rk, l) != 0) breaks(r, "partitions could not be taken");
    r->pauses_changed = true;
}

/* A pause outlives the assignment: who gets the partition back later would wait for ever. */
static void end_pauses(struct kafka_reader *r, const struct kafka_partitions *l) {
    struct kafka_partitions *go = r->c->topic_partition_list_new(4);
    for (int i = 0; go != NULL && i < l->count; i++) {
        struct part *p = find_part(r, l->of[i].partition);
        if (p != NULL && p->paused) r->c->topic_partition_list_add(go, r->topic, p->id);
    }
    if (go == NULL) breaks(r, "there is no memory");
    else if (go->count > 0) r->c->resume_partitions(r->rk, go);
    if (go != NULL) r->c->topic_partition_list_destroy(go);
}

static void give_away(struct kafka_reader *r, const struct kafka_partitions *l) {
    if (!r->c->assignment_lost(r->rk)) commit(r);
    end_pauses(r, l);
    if (is_cooperative(r)) check(r, r->c->incremental_unassign(r->rk, l));
    else r->c->assign(r->rk, NULL);
    for (int i = 0; i < l->count; i++) {
        struct part *p = find_part(r, l->of[i].partition);
        if (p == NULL) continue;
        if (p->offsets.unsettled > p->offsets.again && !r->closing)
            say(r, PERILUNE_LOG_WARN, "goes to another node, which does again the jobs of it that run here", p->id);
        drop_part(r, p);
    }
}

static bool are_settled(struct kafka_reader *r, const struct kafka_partitions *l) {
    for (int i = 0; i < l->count; i++) {
        struct part *p = find_part(r, l->of[i].partition);
        if (p != NULL && p->offsets.unsettled > p->offsets.again) return false;
    }
    return true;
}

static void leave(struct kafka_reader *r) {
    struct kafka_partitions *l = r->leaving;
    r->leaving = NULL;
    r->leave_ms = 0;
    give_away(r, l);
    r->c->topic_partition_list_destroy(l);
}

static void taken_away(struct kafka_reader *r, const struct kafka_partitions *l) {
    bool at_once = r->closing || !is_cooperative(r) || r->c->assignment_lost(r->rk) || are_settled(r, l);
    if (!at_once) r->leaving = r->c->topic_partition_list_copy(l);
    if (r->leaving == NULL) {
        give_away(r, l);
        return;
    }
    r->leave_ms = r->now + LEAVE_MS;
    r->pauses_changed = true;
    for (int i = 0; i < l->count; i++) {
        struct part *p = find_part(r, l->of[i].partition);
        if (p != NULL) p->leaving = true;
    }
}

static void on_rebalance(struct rd_kafka_s *rk, int err, struct kafka_partitions *l, void *opaque) {
    struct kafka_reader *r = opaque;
    if (r->leaving != NULL) leave(r); /* it comes one by one; to be sure */
    if (err == KAFKA_ERR_ASSIGN_PARTITIONS) {
        given(r, l);
    } else if (err == KAFKA_ERR_REVOKE_PARTITIONS) {
        taken_away(r, l);
    } else {
        r->c->assign(rk, NULL);
        drop_all(r);
    }
}

/* -- Messages ------------------------------------------------------------------------------------------ */

static int take(struct kafka_reader *r, struct part *p, int64_t offset) {
    int rc = kafka_offsets_take(&p->offsets, offset);
    if (rc != KAFKA_TAKEN_BACK) return rc;
    say(r, PERILUNE_LOG_WARN, "is shorter than it was; reading what it has now", p->id);
    kafka_flights_drop(r->flights, p);
    kafka_offsets_deinit(&p->offsets);
    p->committed = -1;
    p->seek_ms = 0;
    return kafka_offsets_take(&p->offsets, offset);
}

static void hand_over(struct kafka_reader *r, struct part *p, const struct kafka_message *m, bool again) {
    size_t len = m->payload != NULL ? m->len : 0;
    bool too_large = len > r->opt.settings->max_message;
    struct broker_message out = {
        .is_result = r->opt.is_results, .too_large = too_large, .again = again,
        .key = slice_of(m->key ? m->key : "", m->key ? m->key_len : 0),
        .body = slice_of(len > 0 ? m->payload : "", too_large && len > PREVIEW ? PREVIEW : len),
        .token = kafka_flights_add(r->flights, p, m->offset) };
    if (out.token == 0) breaks(r, "more came than was asked for");
    else r->opt.came(r->opt.ud, &out);
}

static void on_message(struct kafka_reader *r, const struct kafka_message *m) {
    struct part *p = need_part(r, m->partition);
    if (p == NULL) return;
    int rc = take(r, p, m->offset);
    if (rc == KAFKA_TAKEN || rc == KAFKA_TAKEN_AGAIN) hand_over(r, p, m, rc == KAFKA_TAKEN_AGAIN);
    else if (rc < 0) breaks(r, rc == PERILUNE_ERR_NOMEM ? "there is no memory" : "more came than was asked for");
    if (kafka_offsets_are_full(&p->offsets) && !p->full) p->full = r->pauses_changed = true;
}

/* What is no message is a sentence about the topic. */
static void on_fault(struct kafka_reader *r, const struct kafka_message *m) {
    const char *said = m->payload != NULL ? m->payload : r->c->err2str(m->err);
    switch (m->err) {
    case KAFKA_ERR_UNKNOWN_TOPIC_OR_PART: case KAFKA_ERR_UNKNOWN_TOPIC: case KAFKA_ERR_UNKNOWN_PARTITION:
    case KAFKA_ERR_TOPIC_AUTHORIZATION: case KAFKA_ERR_GROUP_AUTHORIZATION: case KAFKA_ERR_FATAL:
        breaks(r, said);
        break;
    default:
        r->opt.doubt(r->opt.ud, m->err, said);
    }
}

static bool has_room(struct kafka_reader *r) { return kafka_flights_count(r->flights) < r->flights->most; }

/* Full for longer than a moment is a pause. */
static void weigh(struct kafka_reader *r) {
    bool full = !has_room(r);
    if (!full) r->full_ms = 0;
    else if (r->full_ms == 0) r->full_ms = r->now + FULL_MS;
    full = full && r->now >= r->full_ms;
    r->pauses_changed |= full != r->is_full;
    r->is_full = full;
}

static bool poll(struct kafka_reader *r) {
    for (unsigned n = 0; n < PER_TURN && r->broken[0] == '\0'; n++) {
        if (!has_room(r) && !r->is_full) return false;
        struct kafka_message *m = r->c->consumer_poll(r->rk, 0);
        if (m == NULL) return false;
        if (m->err == 0) on_message(r, m);
        else on_fault(r, m);
        r->c->message_destroy(m);
        if (r->pauses_changed) say_pauses(r);
    }
    return true;
}

/* -- What was settled ------------------------------------------------------------------------------------ */

static void land(struct kafka_reader *r) {
    struct kafka_landing l;
    while (kafka_flights_land(r->flights, &l)) {
        struct part *p = l.part;
        if (!l.again) {
            kafka_offsets_settle(&p->offsets, l.offset);
            if (r->commit_ms == 0) r->commit_ms = r->now + COMMIT_MS;
        } else if (kafka_offsets_return(&p->offsets, l.offset) && p->seek_ms == 0) {
            p->seek_ms = r->now + AGAIN_MS;
        }
        if (p->full && p->offsets.count <= p->offsets.limit / 2) {
            p->full = false;
            r->pauses_changed = true;
        }
    }
}

static void seek(struct kafka_reader *r, struct part *p) {
    int64_t offset = kafka_offsets_returned(&p->offsets);
    p->seek_ms = offset < 0 ? 0 : r->now + AGAIN_MS; /* it is asked again while some are to come */
    struct kafka_partitions *l = offset < 0 || p->paused ? NULL : r->c->topic_partition_list_new(1);
    if (l == NULL) return;
    r->c->topic_partition_list_add(l, r->topic, p->id)->offset = offset;
    struct rd_kafka_error_s *e = r->c->seek_partitions(r->rk, l, 0);
    if (e != NULL) r->c->error_destroy(e);
    r->c->topic_partition_list_destroy(l);
}

void kafka_reader_forget(struct kafka_reader *r) {
    land(r);
    for (struct list *e = r->parts.next; e != &r->parts; e = e->next) {
        struct part *p = part_of(e);
        kafka_flights_drop(r->flights, p);
        kafka_offsets_return_all(&p->offsets);
        if (p->offsets.again > 0) p->seek_ms = r->now;
    }
}

static void earlier(uint64_t *next, uint64_t ms) {
    if (ms != 0 && ms < *next) *next = ms;
}

static void seek_all(struct kafka_reader *r, uint64_t *next) {
    for (struct list *e = r->parts.next; e != &r->parts; e = e->next) {
        struct part *p = part_of(e);
        if (p->seek_ms != 0 && r->now >= p->seek_ms) seek(r, p);
        earlier(next, p->seek_ms);
    }
}

bool kafka_reader_turn(struct kafka_reader *r, uint64_t now, uint64_t *next_ms) {
    r->now = now;
    if (r->broken[0] != '\0') return false;
    land(r);
    weigh(r);
    if (r->leaving != NULL && (now >= r->leave_ms || r->c->assignment_lost(r->rk) || are_settled(r, r->leaving)))
        leave(r);
    if (r->pauses_changed) say_pauses(r);
    bool more = poll(r);
    weigh(r);
    if (r->commit_ms != 0 && now >= r->commit_ms && !is_joining(r)) commit(r);
    char said[300];
    if (r->c->fatal_error(r->rk, said, sizeof(said)) != 0) breaks(r, said);
    earlier(next_ms, is_joining(r) ? 0 : r->commit_ms);
    earlier(next_ms, r->full_ms > now && !r->is_full ? r->full_ms : 0);
    seek_all(r, next_ms);
    return more;
}

/* -- Life -------------------------------------------------------------------------------------------------- */

const char *kafka_reader_broken(const struct kafka_reader *r) { return r->broken[0] != '\0' ? r->broken : NULL; }

static void on_error(struct rd_kafka_s *rk, int err, const char *why, void *opaque) {
    struct kafka_reader *r = opaque;
    (void)rk;
    r->opt.doubt(r->opt.ud, err, why);
}

static void on_queue(struct rd_kafka_s *rk, void *ud) {
    struct kafka_reader *r = ud;
    (void)rk;
    r->opt.wake(r->opt.ud);
}

static int begin_work(struct kafka_reader *r, struct kafka_partitions *l) {
    r->c->topic_partition_list_add(l, r->topic, KAFKA_PARTITION_ANY);
    return r->c->subscribe(r->rk, l);
}

/* All partitions, each from where it was left; the first time, from the beginning. */
static int begin_results(struct kafka_reader *r, struct kafka_partitions *l) {
    for (int i = 0; i < r->opt.partitions; i++) r->c->topic_partition_list_add(l, r->topic, i);
    int err = r->c->committed(r->rk, l, r->opt.within_ms);
    if (err == KAFKA_ERR_NO_GROUP) err = 0; /* a new node; some servers say that its offset is none instead */
    for (int i = 0; i < l->count; i++)
        if (l->of[i].offset < 0) l->of[i].offset = KAFKA_OFFSET_BEGINNING;
    return err == 0 ? r->c->assign(r->rk, l) : err;
}

static int begin(struct kafka_reader *r) {
    struct kafka_partitions *l = r->c->topic_partition_list_new(1);
    if (l == NULL) return PERILUNE_ERR_NOMEM;
    int err = r->opt.is_results ? begin_results(r, l) : begin_work(r, l);
    r->c->topic_partition_list_destroy(l);
    if (err != 0) breaks(r, r->c->err2str(err));
    return err == 0 ? 0 : err == KAFKA_ERR_GROUP_AUTHORIZATION ? PERILUNE_ERR_CONFIG : PERILUNE_ERR_IO;
}

/* librdkafka's client for it.  False: why. */
static bool make_client(struct kafka_reader *r, char *why, size_t size) {
    enum kafka_role role = r->opt.is_results ? KAFKA_READS_RESULTS : KAFKA_READS_WORK;
    struct rd_kafka_conf_s *conf = kafka_conf_new(r->c, r->opt.settings, role, &r->ear, why, size);
    if (conf == NULL) return false;
    r->c->conf_set_rebalance_cb(conf, on_rebalance);
    r->c->conf_set_offset_commit_cb(conf, on_commit);
    r->c->conf_interceptor_add_on_new(conf, "perilune", on_new, r);
    r->c->conf_set_error_cb(conf, on_error);
    r->rk = r->c->new(KAFKA_CONSUMER, conf, why, size);
    if (r->rk == NULL) {
        r->c->conf_destroy(conf);
        return false;
    }
    r->c->poll_set_consumer(r->rk);
    r->queue = r->c->queue_get_consumer(r->rk);
    if (r->queue != NULL) r->c->queue_cb_event_enable(r->queue, on_queue, r);
    return true;
}

int kafka_reader_open(struct kafka_reader **out, const struct kafka_reader_options *opt, char *why, size_t size) {
    struct kafka_reader *r = mem_zalloc(sizeof(*r));
    *out = NULL;
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    r->ear = (struct kafka_ear){ opt->said, opt->ud };
    r->opt = *opt;
    r->c = opt->calls;
    r->topic = opt->is_results ? opt->settings->results : opt->settings->work;
    r->flights = opt->flights;
    r->now = stamp_ms(CLOCK_MONOTONIC);
    list_init(&r->parts);
    int rc = make_client(r, why, size) ? begin(r) : PERILUNE_ERR_CONFIG;
    if (rc == 0) {
        *out = r;
        return 0;
    }
    if (r->broken[0] != '\0') snprintf(why, size, "%s", r->broken);
    kafka_reader_close(r, 0);
    return rc;
}

/* What is settled is committed, and the group gets its partitions back.  on_rebalance() comes from within. */
static void say_goodbye(struct kafka_reader *r, uint64_t within_ms) {
    uint64_t end = r->now + within_ms;
    land(r);
    if (r->leaving != NULL) leave(r);
    commit(r);
    struct rd_kafka_error_s *e = r->c->consumer_close_queue(r->rk, r->queue);
    while (e == NULL && !r->c->consumer_closed(r->rk) && stamp_ms(CLOCK_MONOTONIC) < end)
        r->c->queue_poll_callback(r->queue, 50);
    if (e != NULL) r->c->error_destroy(e);
}

void kafka_reader_close(struct kafka_reader *r, uint64_t within_ms) {
    r->closing = true;
    r->now = stamp_ms(CLOCK_MONOTONIC);
    if (r->queue != NULL && within_ms > 0 && r->broken[0] == '\0') say_goodbye(r, within_ms);
    if (r->queue != NULL) {
        r->c->queue_cb_event_enable(r->queue, NULL, NULL);
        r->c->queue_destroy(r->queue);
    }
    if (r->rk != NULL) r->c->destroy_flags(r->rk, KAFKA_DESTROY_NO_CLOSE);
    if (r->leaving != NULL) r->c->topic_partition_list_destroy(r->leaving);
    drop_all(r);
    mem_free(r);
}
