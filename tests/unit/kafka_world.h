/* kafka_world.h -- a server of Kafka's protocol of the tests' own, if there is one to start: build/kfake, which `make
 * build/kfake` makes of tests/brokers/kfake where Go is installed. */
#ifndef PERILUNE_TESTS_KAFKA_WORLD_H
#define PERILUNE_TESTS_KAFKA_WORLD_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/perilune.h"
#include "jobs/broker.h"
#include "jobs/broker_kafka.h"

struct server {
    pid_t pid;
    int   port;
    char  data[64], where[32];
};

static inline const char *kafka_program(void) {
    const char *said = getenv("PERILUNE_KFAKE");
    return said != NULL ? said : "build/kfake";
}

/* False, and says so: there is no server on this machine, or no library. */
static inline bool kafka_is_here(void) {
    char why[BROKER_WHY_SIZE];
    struct broker_settings s = { .servers = "a:1", .work = "w", .group = "g", .timeout_ms = 1000 };
#ifdef __SANITIZE_THREAD__
    fprintf(stderr, "SKIPPED: librdkafka makes its threads by C11's functions, of which ThreadSanitizer knows nothing\n");
    return false;
#endif
    if (access(kafka_program(), X_OK) != 0) {
        fprintf(stderr, "SKIPPED: no Kafka server to test against (make build/kfake, which needs Go)\n");
        return false;
    }
    if (broker_kafka_ops.check(&s, false, why, sizeof(why)) == 0) return true;
    fprintf(stderr, "SKIPPED: %s\n", why);
    return false;
}

static inline int free_port(void) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || getsockname(fd, (struct sockaddr *)&at, &len) != 0) abort();
    close(fd);
    return ntohs(at.sin_port);
}

static inline void server_prepare(struct server *s) {
    s->pid = 0;
    s->port = free_port();
    snprintf(s->data, sizeof(s->data), "/tmp/perilune-kafka-XXXXXX");
    if (mkdtemp(s->data) == NULL) abort();
    snprintf(s->where, sizeof(s->where), "127.0.0.1:%d", s->port);
}

/* On the port and the data that it had.  more: arguments besides, NULL at the end. */
static inline void server_run(struct server *s, const char *const *more) {
    char port[8];
    snprintf(port, sizeof(port), "%d", s->port);
    const char *args[24] = { "kfake", "-port", port, "-data", s->data };
    for (int i = 0; more != NULL && more[i] != NULL; i++) args[5 + i] = more[i];
    int says[2];
    char line[64];
    if (pipe(says) != 0) abort();
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(says[1], 1);
        dup2(null, 2);
        for (int fd = 3; fd < 256; fd++) close(fd);
        execv(kafka_program(), (char *const *)args);
        _exit(1);
    }
    close(says[1]);
    if (read(says[0], line, sizeof(line)) <= 0) fprintf(stderr, "%s does not begin\n", kafka_program());
    close(says[0]);
}

static inline void server_kill(struct server *s, int sig) {
    if (s->pid <= 0) return;
    kill(s->pid, SIGCONT);
    kill(s->pid, sig);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline void server_end(struct server *s) {
    char command[96];
    server_kill(s, SIGKILL);
    snprintf(command, sizeof(command), "rm -rf %s", s->data);
    if (system(command) != 0) abort();
}

/* -- A node: a broker and what its user saw ------------------------------------------ */

#define MESSAGES 4096

struct node {
    struct broker_settings s;
    struct broker  *b;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int             mode;  /* what becomes of what comes: SETTLE, KEEP, AGAIN once */
    unsigned        came[MESSAGES], results, again, too_large, total, out, out_most;
    uint64_t        kept[MESSAGES];
    unsigned        kept_count;
    int             rc[MESSAGES]; /* by token: of the last confirmation; 1: none yet */
    unsigned        confirmed, failed;
    char            why[BROKER_WHY_SIZE];
    bool            up;
    unsigned        ups, downs;
};

enum { SETTLE, KEEP, AGAIN };

static inline void node_confirmed(void *ud, uint64_t token, int rc, const char *why) {
    struct node *n = ud;
    pthread_mutex_lock(&n->lock);
    n->rc[token % MESSAGES] = rc;
    n->confirmed++;
    n->failed += rc != 0;
    if (rc != 0) snprintf(n->why, sizeof(n->why), "%s", why ? why : "");
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

static inline void node_came(void *ud, const struct broker_message *m) {
    struct node *n = ud;
    char number[16];
    slice_copy(number, sizeof(number), m->body);
    unsigned i = (unsigned)atoi(number) % MESSAGES;
    pthread_mutex_lock(&n->lock);
    n->came[i]++;
    n->total++;
    n->results += m->is_result;
    n->again += m->again;
    n->too_large += m->too_large;
    bool keep = n->mode == KEEP, again = n->mode == AGAIN && !m->again;
    if (keep) {
        n->kept[n->kept_count++ % MESSAGES] = m->token;
        if (++n->out > n->out_most) n->out_most = n->out;
    }
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
    if (!keep) broker_kafka_ops.settle(n->b, m->token, again ? BROKER_AGAIN : BROKER_DONE);
}

static inline void node_changed(void *ud, bool connected) {
    struct node *n = ud;
    pthread_mutex_lock(&n->lock);
    n->up = connected;
    n->ups += connected;
    n->downs += !connected;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

/* KAFKA_LOG in the environment: what it says of itself, for people. */
static inline void log_to_stderr(void *ud, int level, perilune_str line) {
    (void)ud;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)line.len, line.ptr);
}

static inline struct log *node_log(void) {
    static struct log log = { .write = log_to_stderr };
    atomic_store(&log.level, PERILUNE_LOG_DEBUG);
    return getenv("KAFKA_LOG") != NULL ? &log : NULL;
}

static inline void node_init(struct node *n, const struct server *server) {
    memset(n, 0, sizeof(*n));
    n->s = (struct broker_settings){ .kind = "kafka", .servers = server->where, .work = "jobs", .results = "node1",
                                     .dead = "jobs.dead", .group = "nodes", .work_most = 1000, .results_most = 1000,
                                     .max_message = 100000, .timeout_ms = 5000, .log = node_log() };
    pthread_mutex_init(&n->lock, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&n->changed, &a);
    pthread_condattr_destroy(&a);
    for (int i = 0; i < MESSAGES; i++) n->rc[i] = 1;
}

static inline int node_open(struct node *n) {
    struct broker_user u = { n, node_confirmed, node_came, node_changed };
    n->why[0] = '\0';
    return broker_kafka_ops.open(&n->b, &n->s, &u, n->why, sizeof(n->why));
}

static inline void node_close(struct node *n, uint64_t within_ms) {
    if (n->b != NULL) broker_kafka_ops.close(n->b, within_ms);
    n->b = NULL;
}

static inline int node_publish(struct node *n, const char *to, unsigned number) {
    char body[16], key[24];
    snprintf(body, sizeof(body), "%u", number);
    snprintf(key, sizeof(key), "job_%u", number);
    return broker_kafka_ops.publish(n->b, &(struct broker_publish){ .to = slice_str(to), .key = slice_str(key),
                                                                .body = slice_str(body), .token = number + MESSAGES });
}

/* Settles what was kept. */
static inline void node_settle_kept(struct node *n) {
    pthread_mutex_lock(&n->lock);
    for (unsigned i = 0; i < n->kept_count; i++) broker_kafka_ops.settle(n->b, n->kept[i], BROKER_DONE);
    n->kept_count = n->out = 0;
    pthread_mutex_unlock(&n->lock);
}

/* Waits until *value is at least `least`.  For what hangs, not for what is slow. */
static inline bool node_await(struct node *n, const unsigned *value, unsigned least, unsigned ms) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
    pthread_mutex_lock(&n->lock);
    int rc = 0;
    while (*value < least && rc == 0) rc = pthread_cond_timedwait(&n->changed, &n->lock, &end);
    bool ok = *value >= least;
    pthread_mutex_unlock(&n->lock);
    return ok;
}

#endif
