/* test_broker_amqp.c -- RabbitMQ's driver without a RabbitMQ: tests/brokers has a real one. */
#include "jobs/broker_amqp.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/perilune.h"
#include "unit.h"

static struct broker_settings settings(unsigned port) {
    return (struct broker_settings){ .kind = "amqp", .host = "127.0.0.1", .port = port, .vhost = "/", .work = "w",
                                     .results = "r", .dead = "d", .work_most = 4, .results_most = 4,
                                     .max_message = 1000, .timeout_ms = 300, .delivery_limit = 20 };
}

struct heard {
    atomic_uint confirmed, lost;
    atomic_int  rc;
};

static void confirmed(void *ud, uint64_t token, int rc, const char *why) {
    struct heard *h = ud;
    (void)why;
    CHECK(token == 7 || token == 8);
    atomic_store(&h->rc, rc);
    atomic_fetch_add(&h->confirmed, 1);
}
static void came(void *ud, const struct broker_message *m) {
    (void)ud;
    (void)m;
    CHECK(false);
}
static void changed(void *ud, bool connected) {
    CHECK(!connected);
    atomic_fetch_add(&((struct heard *)ud)->lost, 1);
}

static bool comes(atomic_uint *n, unsigned count) {
    for (int i = 0; i < 1000 && atomic_load(n) < count; i++) poll(NULL, 0, 5);
    return atomic_load(n) >= count;
}

/* A socket that listens and never says a word. */
static int listen_here(unsigned *port) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 8) == 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    *port = ntohs(at.sin_port);
    return fd;
}

static bool has_library(void) {
    char why[BROKER_WHY_SIZE];
    struct broker_settings s = settings(1);
    return broker_amqp_ops.check(&s, false, why, sizeof(why)) == 0;
}

TEST_NOFAULT(it_is_found_by_its_name) {
    CHECK(broker_find("amqp") == &broker_amqp_ops);
    CHECK(broker_find("carrier pigeon") == NULL);
}

TEST_NOFAULT(a_library_that_is_none) {
    char why[BROKER_WHY_SIZE] = "";
    struct broker_settings s = settings(1);
    s.library = "/nowhere/librabbitmq.so";
    CHECK_INT(broker_amqp_ops.check(&s, false, why, sizeof(why)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(why, "/nowhere/librabbitmq.so cannot be loaded") != NULL);
    s.library = "libpthread.so.0";
    CHECK_INT(broker_amqp_ops.check(&s, false, why, sizeof(why)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(why, "libpthread.so.0") != NULL);
}

/* Nobody listens; somebody listens and says nothing: each is said within the time, and so is what waited. */
TEST_NOFAULT(nobody_there_and_somebody_who_is_silent) {
    if (!has_library()) {
        NOTE("there is no librabbitmq");
        return;
    }
    for (int silent = 0; silent < 2; silent++) {
        struct heard h = { .rc = 1 };
        struct broker_user u = { &h, confirmed, came, changed };
        struct broker *b = NULL;
        struct broker_state state;
        char why[BROKER_WHY_SIZE] = "";
        unsigned port;
        int fd = listen_here(&port);
        if (!silent) close(fd);
        struct broker_settings s = settings(port);
        CHECK_INT(broker_amqp_ops.check(&s, true, why, sizeof(why)), PERILUNE_ERR_IO);
        CHECK(why[0] != '\0');
        CHECK_INT(broker_amqp_ops.open(&b, &s, &u, why, sizeof(why)), 0);
        CHECK(comes(&h.lost, 1));
        broker_amqp_ops.state(b, &state);
        CHECK(!state.connected && !state.fatal && state.why[0] != '\0');
        struct broker_publish p = { .to = SLICE("w"), .key = SLICE("k"), .body = SLICE("{}"), .token = 7 };
        CHECK_INT(broker_amqp_ops.publish(b, &p), 0);
        broker_amqp_ops.settle(b, 12345, BROKER_DONE); /* of no connection */
        broker_amqp_ops.pause(b, true);
        CHECK(comes(&h.confirmed, 1));
        CHECK_INT(atomic_load(&h.rc), PERILUNE_ERR_IO);
        p.token = 8;
        CHECK_INT(broker_amqp_ops.publish(b, &p), 0);
        broker_amqp_ops.close(b, 0);
        CHECK_UINT(atomic_load(&h.confirmed), 2); /* none is forgotten */
        if (silent) close(fd);
    }
}

TEST_NOFAULT(as_many_as_may_wait) {
    if (!has_library()) return;
    struct heard h = { .rc = 1 };
    struct broker_user u = { &h, confirmed, came, changed };
    struct broker *b = NULL;
    char why[BROKER_WHY_SIZE];
    struct broker_settings s = settings(1);
    s.timeout_ms = 60000;
    CHECK_INT(broker_amqp_ops.open(&b, &s, &u, why, sizeof(why)), 0);
    struct broker_publish p = { .to = SLICE("w"), .body = SLICE("{}"), .token = 7 };
    unsigned taken = 0;
    while (taken <= BROKER_WAITING && broker_amqp_ops.publish(b, &p) == 0) taken++;
    CHECK_UINT(taken, BROKER_WAITING);
    broker_amqp_ops.close(b, 0);
    CHECK_UINT(atomic_load(&h.confirmed), BROKER_WAITING);
    CHECK_INT(atomic_load(&h.rc), PERILUNE_ERR_CANCELED);
}
