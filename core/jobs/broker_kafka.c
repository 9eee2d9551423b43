/* broker_kafka.c -- Kafka as a broker of jobs: the thread that has it.
 *
 *     publish, settle, pause, state (any thread)        confirmed, came, changed (this thread)
 *          |  lock                                            ^
 *          v                                                  |
 *     [ letters, bounded ] --+          +-- kafka_writer -----+---- one client of librdkafka each, which has
 *     [ flights ] -----------+--> turn -+-- kafka_reader: work     threads of its own and wakes us when there
 *                                       +-- kafka_reader: results  is something in its queue
 *
 *     DOWN --writer, an answer from a server, topics, readers--> UP
 *      ^  |                                                       |
 *      |  +-- not yet: backoff, longer for what only people mend  | no server answers, a client failed for good
 *      +----------------- reports for all that waits <------------+
 *
 * librdkafka connects again by itself and says little about it: an error of a connection may be one server of three,
 * or an idle connection that was closed.  So an error is a doubt, and a doubt is a question to the cluster (metadata)
 * that is answered in time or not; only that decides between UP and DOWN.
 *
 * Going DOWN ends the writer: what it had is confirmed as "may be there or not", and the next one numbers its messages
 * anew.  Readers stay, since the group knows them and forgives a short absence, and read again what was not settled,
 * because who uses us takes the end of a connection for the end of all that it had; one that broke (a topic deleted, a
 * fatal error) is made anew with the next connection.  So no error of librdkafka is the end of anything but a client.
 *
 * What Kafka cannot do as other brokers do: it gives partitions, not messages, to a node, so a message waits for the
 * node that has its partition, busy or not; a group of more nodes than partitions leaves some idle; it does not count
 * how often a message was given, so `again` is known only of those that were given back here.
 *
 * Results are one topic for each node, not one for all with the node's name in a header: each would read what is
 * meant for others, which is most of the traffic.  So a name of a node is the name of a topic, and who publishes to it
 * needs to know nothing else. */
#include "jobs/broker_kafka.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "include/perilune.h"
#include "jobs/kafka_conf.h"
#include "jobs/kafka_flights.h"
#include "jobs/kafka_library.h"
#include "jobs/kafka_reader.h"
#include "jobs/kafka_topics.h"
#include "jobs/kafka_writer.h"
#include "sys/mailbox.h"

#define TURN_MS        250    /* at the latest */
#define STEP_MS        500    /* of a question that blocks, so that closing is noticed */
#define CONNECT_MOST   5000
#define PROBE_MOST     3000
#define BACKOFF_LEAST  250
#define BACKOFF_MOST   15000
#define BACKOFF_FATAL  30000
#define GOODBYE_MS     2000   /* to a group, at the end */
#define SAY_MS         2000   /* between two lines of librdkafka in our log */

struct broker {
    struct broker_settings    s;      /* texts in the arena */
    struct broker_user        user;
    struct arena              arena;
    const struct kafka_calls *c;
    pthread_t                 thread;
    struct kafka_flights      flights[2]; /* by is_results: they lock themselves */
    struct log_limit          said_limit;

    pthread_mutex_t lock;             /* LOCK the next seven */
    pthread_cond_t  woken;
    struct list     letters;          /* published, not looked at */
    struct broker_state state;
    size_t          waiting_bytes;
    bool            is_woken, paused, closing;
    uint64_t        close_ms;

    /* The thread's. */
    struct kafka_writer *writer;
    struct kafka_reader *readers[2];  /* by is_results */
    struct list     ready, sent;      /* letters that librdkafka is to get; that it has */
    uint64_t        retry_ms, backoff_ms, probe_ms; /* steady; probe_ms: not before */
    bool            up, was_up, doubtful;
    int             fault;            /* of librdkafka: the last that says why there is no connection */
    char            fault_why[400];
};

static uint64_t steady(void) { return stamp_ms(CLOCK_MONOTONIC); }

static void wake(void *ud) {
    struct broker *b = ud;
    pthread_mutex_lock(&b->lock);
    b->is_woken = true;
    pthread_cond_signal(&b->woken);
    pthread_mutex_unlock(&b->lock);
}

static bool is_closing(struct broker *b, uint64_t *until) {
    pthread_mutex_lock(&b->lock);
    bool closing = b->closing;
    if (until) *until = b->close_ms;
    pthread_mutex_unlock(&b->lock);
    return closing;
}

/* -- What librdkafka has to say -------------------------------------------------------------------- */

static void said(void *ud, int level, const char *text) {
    struct broker *b = ud;
    if (b->s.log == NULL || level > 4 || !log_limit_pass(&b->said_limit, steady(), SAY_MS)) return;
    log_line(b->s.log, level <= 2 ? PERILUNE_LOG_ERROR : PERILUNE_LOG_WARN, "jobs: librdkafka: %.300s", text);
}

static bool needs_people(int err) {
    return err == KAFKA_ERR_AUTHENTICATION || err == KAFKA_ERR_SASL_FAILED || err == KAFKA_ERR_SSL ||
           err == KAFKA_ERR_CLUSTER_AUTHORIZATION || err == KAFKA_ERR_TOPIC_AUTHORIZATION ||
           err == KAFKA_ERR_GROUP_AUTHORIZATION;
}

/* "All brokers are down" says less than what was said before it. */
static void doubt(void *ud, int err, const char *why) {
    struct broker *b = ud;
    b->doubtful = true;
    if (b->fault != 0 && (err == KAFKA_ERR_ALL_BROKERS_DOWN || err == KAFKA_ERR_MSG_TIMED_OUT ||
                          (needs_people(b->fault) && !needs_people(err))))
        return;
    b->fault = err;
    snprintf(b->fault_why, sizeof(b->fault_why), "%s", why ? why : "");
}

/* -- Letters --------------------------------------------------------------------------------------- */

static void confirm(struct broker *b, struct kafka_letter *l, int rc, const char *why) {
    list_remove(&l->link);
    pthread_mutex_lock(&b->lock);
    b->state.waiting--;
    b->waiting_bytes -= l->bytes;
    pthread_mutex_unlock(&b->lock);
    if (rc != 0 && is_closing(b, NULL) && rc == PERILUNE_ERR_IO) rc = PERILUNE_ERR_CANCELED;
    b->user.confirmed(b->user.ud, l->token, rc, why);
    mem_free(l);
}

static void confirmed(void *ud, struct kafka_letter *l, int rc, const char *why) { confirm(ud, l, rc, why); }

static void confirm_all(struct broker *b, struct list *letters, const char *why) {
    while (!list_is_empty(letters))
        confirm(b, container_of(letters->next, struct kafka_letter, link), PERILUNE_ERR_IO, why);
}

/* Without a writer they wait for one as long as they may. */
static void send_letters(struct broker *b, uint64_t now) {
    while (!list_is_empty(&b->ready)) {
        struct kafka_letter *l = container_of(b->ready.next, struct kafka_letter, link);
        const char *why = "nobody answers";
        int rc = b->writer != NULL     ? kafka_writer_send(b->writer, l, &why)
                 : now < l->deadline_ms ? PERILUNE_ERR_LIMITED
                                        : PERILUNE_ERR_IO;
        if (rc == PERILUNE_ERR_LIMITED) return;
        if (rc != 0) {
            confirm(b, l, rc, why);
            continue;
        }
        list_remove(&l->link);
        list_append(&b->sent, &l->link);
    }
}

static int publish(struct broker *b, const struct broker_publish *p) {
    size_t bytes = p->to.len + 1 + p->key.len + p->body.len + p->reason.len;
    size_t reason = p->reason.len < BROKER_REASON_MAX ? p->reason.len : BROKER_REASON_MAX;
    struct kafka_letter *l = mem_alloc(sizeof(*l) + bytes);
    if (l == NULL) return PERILUNE_ERR_NOMEM;
    char *at = (char *)(l + 1);
    *l = (struct kafka_letter){ .token = p->token, .bytes = bytes, .to = at,
                                .deadline_ms = steady() + b->s.timeout_ms };
    const struct slice from[] = { p->to, SLICE("\0"), p->key, p->body, slice_of(p->reason.ptr, reason) };
    struct slice own[5];
    for (int i = 0; i < 5; i++) {
        if (from[i].len > 0) memcpy(at, from[i].ptr, from[i].len);
        own[i] = slice_of(at, from[i].len);
        at += from[i].len;
    }
    l->key = own[2];
    l->body = own[3];
    l->reason = own[4];
    pthread_mutex_lock(&b->lock);
    bool ok = b->state.waiting < BROKER_WAITING && b->waiting_bytes + bytes <= BROKER_WAITING_BYTES;
    if (ok) {
        list_init(&l->link);
        list_append(&b->letters, &l->link);
        b->state.waiting++;
        b->waiting_bytes += bytes;
        b->is_woken = true;
        pthread_cond_signal(&b->woken);
    }
    pthread_mutex_unlock(&b->lock);
    if (!ok) mem_free(l);
    return ok ? 0 : PERILUNE_ERR_LIMITED;
}

/* -- Up and down -------------------------------------------------------------------------------------- */

static void set_state(struct broker *b, bool up, bool fatal, const char *why) {
    pthread_mutex_lock(&b->lock);
    if (b->state.connected != up || b->state.since_ms == 0) b->state.since_ms = steady();
    b->state.reconnects += up && b->was_up;
    b->state.connected = up;
    b->state.fatal = fatal;
    snprintf(b->state.why, sizeof(b->state.why), "%s", why);
    pthread_mutex_unlock(&b->lock);
}

static void close_reader(struct broker *b, int i, uint64_t within_ms) {
    if (b->readers[i] != NULL) kafka_reader_close(b->readers[i], within_ms);
    b->readers[i] = NULL;
}

static void close_writer(struct broker *b, const char *why) {
    kafka_writer_close(b->writer);
    b->writer = NULL;
    confirm_all(b, &b->sent, why); /* those that it had no report of */
    confirm_all(b, &b->ready, why);
}

static void retry_later(struct broker *b, bool fatal) {
    uint64_t next = b->backoff_ms * 2;
    b->backoff_ms = next < BACKOFF_LEAST ? BACKOFF_LEAST : next > BACKOFF_MOST ? BACKOFF_MOST : next;
    b->retry_ms = steady() + (fatal ? BACKOFF_FATAL : b->backoff_ms);
}

static void lose(struct broker *b, bool fatal, const char *why) {
    set_state(b, false, fatal, why);
    close_writer(b, why);
    for (int i = 0; i < 2; i++) {
        if (b->readers[i] == NULL) continue;
        kafka_reader_forget(b->readers[i]);
        if (kafka_reader_broken(b->readers[i])) close_reader(b, i, 0);
    }
    if (b->s.log != NULL) log_line(b->s.log, PERILUNE_LOG_WARN, "jobs: Kafka is gone: %s", why);
    b->up = false;
    b->backoff_ms = 0;
    retry_later(b, fatal);
    b->user.changed(b->user.ud, false);
}

/* Does the cluster answer?  Waits in steps; what came of errors meanwhile is in fault. */
static bool answers(struct broker *b, uint64_t within_ms) {
    uint64_t end = steady() + within_ms;
    bool ok = false;
    do {
        const struct kafka_metadata *m = NULL;
        ok = b->c->metadata(kafka_writer_client(b->writer), 0, NULL, &m, STEP_MS) == 0;
        if (m != NULL) b->c->metadata_destroy(m);
        kafka_writer_turn(b->writer);
    } while (!ok && steady() < end && !needs_people(b->fault) && !is_closing(b, NULL));
    return ok;
}

static void say_silence(struct broker *b, char *why, size_t size) {
    const char *advice = needs_people(b->fault) ? "check user, password and ca"
                                                : "is it running, and are host and port right?";
    snprintf(why, size, "no server of Kafka at %.200s answers%s%.250s; %s", b->s.servers, b->fault_why[0] ? ": " : "",
             b->fault_why, advice);
}

static int open_writer(struct broker *b, char *why, size_t size) {
    if (b->writer == NULL)
        b->writer = kafka_writer_open(&(struct kafka_writer_options){
            .calls = b->c, .settings = &b->s, .confirmed = confirmed, .wake = wake, .doubt = doubt, .said = said,
            .ud = b }, why, size);
    return b->writer != NULL ? 0 : PERILUNE_ERR_CONFIG;
}

static void came(void *ud, const struct broker_message *m) {
    struct broker *b = ud;
    b->user.came(b->user.ud, m);
}

static int open_reader(struct broker *b, bool is_results, uint64_t within_ms, char *why, size_t size) {
    int partitions = 0;
    if (b->readers[is_results] != NULL || (is_results && b->s.results == NULL)) return 0;
    if (is_results)
        partitions = kafka_topic_partitions(b->c, kafka_writer_client(b->writer), b->s.results, (int)within_ms, why,
                                            size);
    if (partitions < 0) return partitions;
    if (is_results && partitions == 0) { /* it was made a moment ago, and not every server has heard of it */
        snprintf(why, size, "topic '%s' is not there yet", b->s.results);
        return PERILUNE_ERR_IO;
    }
    return kafka_reader_open(&b->readers[is_results], &(struct kafka_reader_options){
        .calls = b->c, .settings = &b->s, .flights = &b->flights[is_results], .is_results = is_results,
        .partitions = partitions, .within_ms = (int)within_ms, .came = came, .wake = wake, .doubt = doubt,
        .said = said, .ud = b }, why, size);
}

static int connect_all(struct broker *b, char *why, size_t size) {
    uint64_t within = b->s.timeout_ms < CONNECT_MOST ? b->s.timeout_ms : CONNECT_MOST;
    b->fault = 0;
    b->fault_why[0] = '\0';
    int rc = open_writer(b, why, size);
    if (rc == 0 && !answers(b, within)) {
        rc = needs_people(b->fault) ? PERILUNE_ERR_CONFIG : PERILUNE_ERR_IO;
        say_silence(b, why, size);
    }
    if (rc == 0) rc = kafka_topics_make(b->c, kafka_writer_client(b->writer), &b->s, (int)within, why, size);
    if (rc == 0) rc = open_reader(b, false, within, why, size);
    if (rc == 0) rc = open_reader(b, true, within, why, size);
    return rc;
}

static void try_connect(struct broker *b) {
    char why[BROKER_WHY_SIZE] = "";
    int rc = connect_all(b, why, sizeof(why));
    b->doubtful = false;
    if (rc == 0) {
        set_state(b, true, false, "");
        if (b->s.log != NULL && (b->was_up || b->backoff_ms > 0))
            log_line(b->s.log, PERILUNE_LOG_INFO, "jobs: Kafka is there");
        b->up = b->was_up = true;
        b->backoff_ms = 0;
        b->user.changed(b->user.ud, true);
        return;
    }
    bool fatal = rc == PERILUNE_ERR_CONFIG;
    if (b->s.log != NULL && b->backoff_ms == 0)
        log_line(b->s.log, fatal ? PERILUNE_LOG_ERROR : PERILUNE_LOG_WARN, "jobs: %s", why);
    set_state(b, false, fatal, why);
    retry_later(b, fatal);
}

/* -- The thread ------------------------------------------------------------------------------------------ */

static void look_after(struct broker *b, uint64_t now) {
    char said_why[300], why[BROKER_WHY_SIZE];
    if (b->c->fatal_error(kafka_writer_client(b->writer), said_why, sizeof(said_why)) != 0) {
        lose(b, false, said_why);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (b->readers[i] == NULL || kafka_reader_broken(b->readers[i]) == NULL) continue;
        lose(b, false, kafka_reader_broken(b->readers[i]));
        return;
    }
    if (!b->doubtful || now < b->probe_ms) return;
    uint64_t within = b->s.timeout_ms < PROBE_MOST ? b->s.timeout_ms : PROBE_MOST;
    bool ok = answers(b, within);
    b->doubtful = false;
    b->probe_ms = steady() + within;
    if (!ok) {
        say_silence(b, why, sizeof(why));
        lose(b, needs_people(b->fault), why);
    } else {
        b->fault = 0;
        b->fault_why[0] = '\0';
    }
}

static void collect(struct broker *b) {
    pthread_mutex_lock(&b->lock);
    while (!list_is_empty(&b->letters)) {
        struct list *e = b->letters.next;
        list_remove(e);
        list_append(&b->ready, e);
    }
    bool paused = b->paused || b->closing;
    pthread_mutex_unlock(&b->lock);
    if (b->readers[0] != NULL) kafka_reader_pause(b->readers[0], paused);
}

/* True: there is more to do at once. */
static bool turn(struct broker *b, uint64_t *next) {
    uint64_t now = steady();
    bool more = false;
    collect(b);
    if (!b->up && now >= b->retry_ms && !is_closing(b, NULL)) try_connect(b);
    send_letters(b, now);
    if (b->writer != NULL) kafka_writer_turn(b->writer);
    for (int i = 0; i < 2; i++)
        if (b->readers[i] != NULL) more |= kafka_reader_turn(b->readers[i], steady(), next);
    if (b->up) look_after(b, steady());
    if (!b->up && b->retry_ms < *next) *next = b->retry_ms;
    return more;
}

static void sleep_until(struct broker *b, uint64_t ms) {
    struct timespec at = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
    pthread_mutex_lock(&b->lock);
    int rc = 0;
    while (!b->is_woken && rc == 0) rc = pthread_cond_timedwait(&b->woken, &b->lock, &at);
    b->is_woken = false;
    pthread_mutex_unlock(&b->lock);
}

static bool is_done(struct broker *b) {
    uint64_t until;
    if (!is_closing(b, &until)) return false;
    pthread_mutex_lock(&b->lock);
    bool idle = b->state.waiting == 0;
    pthread_mutex_unlock(&b->lock);
    return idle || !b->up || steady() >= until;
}

static void *run(void *arg) {
    struct broker *b = arg;
    while (!is_done(b)) {
        uint64_t next = steady() + TURN_MS;
        bool more = turn(b, &next);
        if (!more) sleep_until(b, next);
    }
    for (int i = 0; i < 2; i++) close_reader(b, i, b->up ? GOODBYE_MS : 0);
    collect(b);
    close_writer(b, "the process ends");
    return NULL;
}

/* -- For who uses it --------------------------------------------------------------------------------------- */

static void settle(struct broker *b, uint64_t token, enum broker_settling how) {
    if (kafka_flights_settle(&b->flights[kafka_flights_stamp(token)], token, how == BROKER_AGAIN)) wake(b);
}

static void pause_work(struct broker *b, bool paused) {
    pthread_mutex_lock(&b->lock);
    b->paused = paused;
    pthread_mutex_unlock(&b->lock);
    wake(b);
}

static void state(struct broker *b, struct broker_state *out) {
    pthread_mutex_lock(&b->lock);
    *out = b->state;
    pthread_mutex_unlock(&b->lock);
    out->unsettled = (uint64_t)kafka_flights_count(&b->flights[0]) + kafka_flights_count(&b->flights[1]);
}

static bool copy_settings(struct broker *b, const struct broker_settings *s) {
    const char **const texts[] = { &b->s.kind, &b->s.library, &b->s.host, &b->s.servers, &b->s.vhost, &b->s.ca,
                                   &b->s.user, &b->s.password, &b->s.mechanism, &b->s.work, &b->s.results, &b->s.dead,
                                   &b->s.group };
    b->s = *s;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (*texts[i] == NULL) continue;
        *texts[i] = arena_dup(&b->arena, slice_str(*texts[i]));
        if (*texts[i] == NULL) return false;
    }
    return true;
}

static unsigned within_bounds(unsigned n) { return n < 1 ? 1 : n > KAFKA_FLIGHTS_MOST ? KAFKA_FLIGHTS_MOST : n; }

static int init_locks(struct broker *b) {
    pthread_condattr_t steady_clock;
    if (pthread_mutex_init(&b->lock, NULL) != 0) return PERILUNE_ERR_NOMEM;
    pthread_condattr_init(&steady_clock);
    pthread_condattr_setclock(&steady_clock, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&b->woken, &steady_clock);
    pthread_condattr_destroy(&steady_clock);
    if (rc == 0) return 0;
    pthread_mutex_destroy(&b->lock);
    return PERILUNE_ERR_NOMEM;
}

static void free_broker(struct broker *b) {
    for (int i = 0; i < 2; i++) kafka_flights_deinit(&b->flights[i]);
    arena_deinit(&b->arena);
    mem_free(b);
}

static int start(struct broker *b) {
    int rc = kafka_flights_init(&b->flights[0], within_bounds(b->s.work_most), 0);
    if (rc == 0) rc = kafka_flights_init(&b->flights[1], within_bounds(b->s.results_most), 1);
    if (rc == 0) rc = init_locks(b);
    if (rc != 0) return rc;
    rc = thread_start(&b->thread, "jobs kafka", run, b);
    if (rc == 0) return 0;
    pthread_cond_destroy(&b->woken);
    pthread_mutex_destroy(&b->lock);
    return rc;
}

/* Would librdkafka take the settings? */
static int check_clients(const struct kafka_calls *c, const struct broker_settings *s, char *why, size_t size) {
    struct kafka_ear deaf = { NULL, NULL };
    for (int role = KAFKA_WRITES; role <= KAFKA_READS_RESULTS; role++) {
        if (role == KAFKA_READS_RESULTS && s->results == NULL) continue;
        struct rd_kafka_conf_s *conf = kafka_conf_new(c, s, (enum kafka_role)role, &deaf, why, size);
        if (conf == NULL) return PERILUNE_ERR_CONFIG;
        c->conf_destroy(conf);
    }
    return 0;
}

/* With a writer and nothing else: topics are made when jobs begin, not by looking. */
static int check_server(const struct kafka_calls *c, const struct broker_settings *s, char *why, size_t size) {
    struct broker b = { .s = *s, .c = c };
    list_init(&b.letters);
    list_init(&b.ready);
    list_init(&b.sent);
    b.s.log = NULL; /* it is told in one sentence */
    if (init_locks(&b) != 0) return PERILUNE_ERR_NOMEM;
    int rc = open_writer(&b, why, size);
    if (rc == 0 && !answers(&b, s->timeout_ms < PROBE_MOST ? s->timeout_ms : PROBE_MOST)) {
        rc = needs_people(b.fault) ? PERILUNE_ERR_CONFIG : PERILUNE_ERR_IO;
        say_silence(&b, why, size);
    }
    close_writer(&b, "");
    pthread_cond_destroy(&b.woken);
    pthread_mutex_destroy(&b.lock);
    return rc;
}

static int check(const struct broker_settings *s, bool connect, char *why, size_t size) {
    int rc = kafka_conf_check(s, why, size);
    const struct kafka_calls *c = rc == 0 ? kafka_library_get(s->library, why, size) : NULL;
    if (c == NULL) return PERILUNE_ERR_CONFIG;
    rc = check_clients(c, s, why, size);
    return rc == 0 && connect ? check_server(c, s, why, size) : rc;
}

static int open_broker(struct broker **out, const struct broker_settings *s, const struct broker_user *u, char *why,
                       size_t size) {
    *out = NULL;
    int rc = check(s, false, why, size);
    if (rc != 0) return rc;
    struct broker *b = mem_zalloc(sizeof(*b));
    if (b == NULL) return PERILUNE_ERR_NOMEM;
    arena_init(&b->arena);
    list_init(&b->letters);
    list_init(&b->ready);
    list_init(&b->sent);
    b->user = *u;
    b->c = kafka_library_get(s->library, why, size);
    snprintf(b->state.why, sizeof(b->state.why), "not connected yet");
    rc = copy_settings(b, s) ? start(b) : PERILUNE_ERR_NOMEM;
    if (rc != 0) free_broker(b);
    else *out = b;
    return rc;
}

static void close_broker(struct broker *b, uint64_t within_ms) {
    pthread_mutex_lock(&b->lock);
    b->closing = true;
    b->close_ms = steady() + within_ms;
    pthread_mutex_unlock(&b->lock);
    wake(b);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->woken);
    pthread_mutex_destroy(&b->lock);
    free_broker(b);
}

const struct broker_ops broker_kafka_ops = { "kafka", check, open_broker, publish, settle, pause_work, state,
                                            close_broker };
