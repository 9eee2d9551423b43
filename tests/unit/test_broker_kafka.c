/* test_broker_kafka.c -- the Kafka driver against a server: delivery, groups, faults. */
#include "unit.h"

#include "kafka_world.h"

#define LONG 60000 /* ms; see node_await() */

static void open_both(struct server *server, struct node *n, const char *const *args) {
    server_prepare(server);
    server_run(server, args);
    node_init(n, server);
}

static void publish_all(struct node *n, const char *to, unsigned from, unsigned count) {
    for (unsigned i = from; i < from + count; i++) {
        int rc;
        while ((rc = node_publish(n, to, i)) == PERILUNE_ERR_LIMITED) usleep(1000);
        CHECK_INT(rc, 0);
    }
}

static unsigned came_at_all(const struct node *a, const struct node *b, unsigned from, unsigned count) {
    unsigned n = 0;
    for (unsigned i = from; i < from + count; i++) n += a->came[i] + (b ? b->came[i] : 0) > 0;
    return n;
}

TEST_NOFAULT(what_is_published_comes_once_and_not_again) {
    struct server server;
    struct node n, later;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 1000);
    publish_all(&n, "node1", 1000, 50);
    publish_all(&n, "jobs.dead", 1050, 1);
    CHECK(node_await(&n, &n.confirmed, 1051, LONG));
    CHECK_UINT(n.failed, 0);
    CHECK(node_await(&n, &n.total, 1050, LONG));
    CHECK_UINT(came_at_all(&n, NULL, 0, 1050), 1050);
    CHECK_UINT(n.total, 1050);
    CHECK_UINT(n.results, 50);
    struct broker_state s;
    broker_kafka_ops.state(n.b, &s);
    CHECK(s.connected && s.why[0] == '\0' && s.waiting == 0 && s.reconnects == 0);
    node_close(&n, 5000);
    node_init(&later, &server);
    CHECK_INT(node_open(&later), 0);
    publish_all(&later, "jobs", 2000, 1);
    publish_all(&later, "node1", 2001, 1);
    CHECK(node_await(&later, &later.total, 2, LONG));
    CHECK_UINT(came_at_all(&later, NULL, 2000, 2), 2);
    CHECK_UINT(later.total, 2);
    node_close(&later, 5000);
    server_end(&server);
}

TEST_NOFAULT(what_is_not_settled_comes_again_and_what_lies_before_it_does_not) {
    struct server server;
    struct node n, later;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.mode = KEEP;
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "node1", 0, 100); /* one partition: in order */
    CHECK(node_await(&n, &n.total, 100, LONG));
    for (unsigned i = 0; i < 100; i++)
        if (i != 40 && i != 70) broker_kafka_ops.settle(n.b, n.kept[i], BROKER_DONE);
    node_close(&n, 5000);
    node_init(&later, &server);
    CHECK_INT(node_open(&later), 0);
    CHECK(node_await(&later, &later.total, 60, LONG));
    publish_all(&later, "node1", 100, 1);
    CHECK(node_await(&later, &later.total, 61, LONG));
    CHECK_UINT(later.total, 61);
    CHECK_UINT(came_at_all(&later, NULL, 0, 40), 0);
    CHECK_UINT(came_at_all(&later, NULL, 40, 61), 61);
    node_close(&later, 5000);
    server_end(&server);
}

TEST_NOFAULT(one_that_was_given_back_comes_again) {
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.mode = AGAIN;
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 20);
    CHECK(node_await(&n, &n.again, 20, LONG));
    CHECK_UINT(n.total, 40);
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(no_more_are_out_than_may_be_and_a_pause_is_one) {
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.mode = KEEP;
    n.s.work_most = 5;
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 60);
    for (unsigned got = 5; got <= 60; got += 5) {
        CHECK(node_await(&n, &n.total, got, LONG));
        if (got == 20) usleep(1500000); /* longer than it takes to pause */
        CHECK_UINT(n.total, got);
        node_settle_kept(&n);
    }
    CHECK_UINT(n.out_most, 5);
    CHECK_UINT(came_at_all(&n, NULL, 0, 60), 60);
    broker_kafka_ops.pause(n.b, true);
    usleep(600000);
    publish_all(&n, "jobs", 60, 5);
    publish_all(&n, "node1", 100, 1);
    CHECK(node_await(&n, &n.results, 1, LONG)); /* results come */
    usleep(600000);
    CHECK_UINT(n.total, 61);
    broker_kafka_ops.pause(n.b, false);
    node_settle_kept(&n);
    CHECK(node_await(&n, &n.total, 66, LONG));
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(a_node_that_joins_gets_partitions_when_their_jobs_have_ended) {
    struct server server;
    struct node a, b;
    if (!kafka_is_here()) return;
    open_both(&server, &a, NULL);
    a.mode = KEEP;
    CHECK_INT(node_open(&a), 0);
    publish_all(&a, "jobs", 0, 200);
    CHECK(node_await(&a, &a.total, 200, LONG));
    node_init(&b, &server);
    b.s.results = "node2";
    CHECK_INT(node_open(&b), 0);
    CHECK(node_await(&b, &b.ups, 1, LONG));
    usleep(5000000); /* time for the group to change its mind */
    CHECK_UINT(b.total, 0);
    a.mode = SETTLE;
    node_settle_kept(&a);
    unsigned sent = 200;
    for (int i = 0; i < 60 && b.total == 0; i++, sent += 20) { /* until b has partitions */
        publish_all(&a, "jobs", sent, 20);
        usleep(300000);
    }
    CHECK(b.total > 0);
    publish_all(&a, "jobs", sent, 400);
    sent += 400;
    for (int i = 0; i < 600 && came_at_all(&a, &b, 0, sent) < sent; i++) usleep(50000);
    CHECK_UINT(came_at_all(&a, &b, 0, sent), sent);
    CHECK_UINT(a.total + b.total, sent); /* none twice */
    CHECK(b.total >= 50);
    node_close(&a, 5000); /* says goodbye: b has all of it at once */
    publish_all(&b, "jobs", sent, 100);
    for (int i = 0; i < 200 && came_at_all(&b, NULL, sent, 100) < 100; i++) usleep(50000);
    CHECK_UINT(came_at_all(&b, NULL, sent, 100), 100);
    node_close(&b, 5000);
    server_end(&server);
}

/* Publishes until each was confirmed, as who has an outbox does. */
static void publish_surely(struct node *n, const char *to, unsigned from, unsigned count) {
    for (int round = 0; round < 400; round++) {
        unsigned open = 0;
        for (unsigned i = from; i < from + count; i++) {
            pthread_mutex_lock(&n->lock);
            int rc = n->rc[i];
            if (rc != 0 && rc != 2) n->rc[i] = 2;
            pthread_mutex_unlock(&n->lock);
            open += rc != 0;
            if (rc == 0 || rc == 2) continue;
            rc = node_publish(n, to, i);
            if (rc != 0) {
                CHECK_INT(rc, PERILUNE_ERR_LIMITED);
                pthread_mutex_lock(&n->lock);
                n->rc[i] = 1;
                pthread_mutex_unlock(&n->lock);
            }
        }
        if (open == 0) return;
        usleep(100000);
    }
    FAIL("not all were confirmed");
}

TEST_NOFAULT(a_server_that_dies_again_and_again_loses_nothing_that_was_confirmed) {
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.s.timeout_ms = 3000;
    CHECK_INT(node_open(&n), 0);
    CHECK(node_await(&n, &n.ups, 1, LONG));
    for (unsigned round = 0; round < 3; round++) {
        publish_all(&n, "jobs", round * 300, 100);
        usleep(20000 * round);
        server_kill(&server, SIGKILL);
        CHECK(node_await(&n, &n.downs, round + 1, LONG));
        struct broker_state s;
        broker_kafka_ops.state(n.b, &s);
        CHECK(!s.connected && !s.fatal);
        CHECK(strstr(s.why, "no server of Kafka at 127.0.0.1") != NULL);
        server_run(&server, NULL);
        CHECK(node_await(&n, &n.ups, round + 2, LONG));
        publish_surely(&n, "jobs", round * 300, 300);
    }
    for (int i = 0; i < 600 && came_at_all(&n, NULL, 0, 900) < 900; i++) usleep(50000);
    CHECK_UINT(came_at_all(&n, NULL, 0, 900), 900);
    node_close(&n, 5000);
    server_end(&server);
}

/* Its user takes what it had for lost, so it must come again, and no place may be taken by what nobody settles. */
TEST_NOFAULT(what_was_out_when_the_connection_broke_comes_again) {
    struct server server;
    struct node n;
    struct broker_state s;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.mode = KEEP;
    n.s.work_most = 10;
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 10);
    publish_all(&n, "node1", 20, 3);
    CHECK(node_await(&n, &n.total, 13, LONG));
    server_kill(&server, SIGKILL);
    CHECK(node_await(&n, &n.downs, 1, LONG));
    pthread_mutex_lock(&n.lock);
    unsigned old = n.kept_count;
    n.mode = SETTLE;
    pthread_mutex_unlock(&n.lock);
    for (unsigned i = 0; i < old; i++) broker_kafka_ops.settle(n.b, n.kept[i], BROKER_DONE); /* does nothing */
    server_run(&server, NULL);
    CHECK(node_await(&n, &n.ups, 2, LONG));
    CHECK(node_await(&n, &n.total, 26, LONG));
    CHECK(n.again >= 3); /* results; of the work, who forgot the group gives it anew */
    for (int i = 0; i < 100; i++, usleep(20000)) {
        broker_kafka_ops.state(n.b, &s);
        if (s.unsettled == 0) break;
    }
    CHECK_UINT(s.unsettled, 0);
    CHECK_UINT(s.reconnects, 1);
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(a_server_that_is_not_there_yet) {
    struct server server;
    struct node n;
    char why[BROKER_WHY_SIZE];
    if (!kafka_is_here()) return;
    server_prepare(&server);
    node_init(&n, &server);
    n.s.timeout_ms = 1000;
    CHECK_INT(broker_kafka_ops.check(&n.s, true, why, sizeof(why)), PERILUNE_ERR_IO);
    CHECK(strstr(why, "is it running, and are host and port right?") != NULL);
    CHECK_INT(node_open(&n), 0);
    CHECK_INT(node_publish(&n, "jobs", 1), 0);
    CHECK(node_await(&n, &n.confirmed, 1, LONG));
    CHECK_INT(n.rc[1], PERILUNE_ERR_IO);
    n.s.timeout_ms = 5000;
    server_run(&server, NULL);
    CHECK(node_await(&n, &n.ups, 1, LONG));
    CHECK_INT(broker_kafka_ops.check(&n.s, true, why, sizeof(why)), 0);
    publish_all(&n, "jobs", 2, 1);
    CHECK(node_await(&n, &n.total, 1, LONG));
    node_close(&n, 1000);
    server_end(&server);
}

TEST_NOFAULT(a_server_that_hangs) {
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.s.timeout_ms = 1000;
    CHECK_INT(node_open(&n), 0);
    CHECK(node_await(&n, &n.ups, 1, LONG));
    kill(server.pid, SIGSTOP);
    publish_all(&n, "jobs", 0, 3);
    CHECK(node_await(&n, &n.confirmed, 3, LONG));
    CHECK_INT(n.rc[0], PERILUNE_ERR_IO);
    CHECK(node_await(&n, &n.downs, 1, LONG));
    kill(server.pid, SIGCONT);
    CHECK(node_await(&n, &n.ups, 2, LONG));
    for (int i = 0; i < 3; i++) n.rc[i] = 1;
    publish_surely(&n, "jobs", 0, 3);
    for (int i = 0; i < 600 && came_at_all(&n, NULL, 0, 3) < 3; i++) usleep(50000);
    CHECK_UINT(came_at_all(&n, NULL, 0, 3), 3);
    kill(server.pid, SIGSTOP);
    node_close(&n, 500); /* does not wait for it for ever */
    server_end(&server);
}

TEST_NOFAULT(messages_that_are_too_large) {
    static const char *const args[] = { "-max-bytes", "20000", NULL };
    static char large[50000];
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, args);
    memset(large, 'x', sizeof(large));
    n.s.max_message = 5000;
    CHECK_INT(node_open(&n), 0);
    CHECK_INT(broker_kafka_ops.publish(n.b, &(struct broker_publish){ .to = SLICE("jobs"), .token = 1,
                                                                  .body = slice_of(large, 50000) }), 0);
    CHECK(node_await(&n, &n.confirmed, 1, LONG));
    CHECK_INT(n.rc[1], PERILUNE_ERR_INVAL);
    CHECK(strstr(n.why, "max.message.bytes") != NULL);
    CHECK_INT(broker_kafka_ops.publish(n.b, &(struct broker_publish){ .to = SLICE("jobs"), .token = 2,
                                                                  .body = slice_of(large, 10000) }), 0);
    CHECK(node_await(&n, &n.total, 1, LONG));
    CHECK_UINT(n.too_large, 1);
    CHECK_INT(n.rc[2], 0);
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(a_limit_of_nearly_a_gigabyte) {
    struct server server;
    struct node n;
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    n.s.max_message = 900000000;
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 2);
    publish_all(&n, "node1", 2, 2);
    CHECK(node_await(&n, &n.total, 4, LONG));
    node_close(&n, 5000);
    server_end(&server);
}

/* It is made again, and a node that had read further than the new one goes sees it. */
TEST_NOFAULT(a_topic_that_begins_anew) {
    struct server server;
    struct node n;
    char command[128];
    if (!kafka_is_here()) return;
    open_both(&server, &n, NULL);
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "node1", 0, 50);
    publish_all(&n, "jobs", 50, 50);
    CHECK(node_await(&n, &n.total, 100, LONG));
    server_kill(&server, SIGKILL);
    snprintf(command, sizeof(command), "rm -rf %s/*", server.data);
    CHECK_INT(system(command), 0);
    CHECK(node_await(&n, &n.downs, 1, LONG));
    server_run(&server, NULL);
    CHECK(node_await(&n, &n.ups, 2, LONG));
    usleep(1000000);
    for (unsigned i = 200; i < 230; i++) n.rc[i] = 1;
    publish_surely(&n, "node1", 200, 10);
    publish_surely(&n, "jobs", 210, 20);
    for (int i = 0; i < 1200 && came_at_all(&n, NULL, 200, 30) < 30; i++) usleep(50000);
    CHECK_UINT(came_at_all(&n, NULL, 200, 30), 30);
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(a_wrong_password_is_for_people_to_mend) {
    static const char *const args[] = { "-user", "moon", "-password", "sun", NULL };
    struct server server;
    struct node n;
    struct broker_state s;
    char why[BROKER_WHY_SIZE];
    if (!kafka_is_here()) return;
    open_both(&server, &n, args);
    n.s.timeout_ms = 3000;
    n.s.user = "moon";
    n.s.password = "wrong";
    CHECK_INT(broker_kafka_ops.check(&n.s, true, why, sizeof(why)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(why, "check user, password and ca") != NULL);
    CHECK_INT(node_open(&n), 0);
    for (int i = 0; i < 200; i++, usleep(50000)) {
        broker_kafka_ops.state(n.b, &s);
        if (s.fatal) break;
    }
    CHECK(s.fatal && !s.connected);
    node_close(&n, 1000);
    n.s.password = "sun";
    CHECK_INT(broker_kafka_ops.check(&n.s, true, why, sizeof(why)), 0);
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "jobs", 0, 3);
    CHECK(node_await(&n, &n.total, 3, LONG));
    node_close(&n, 5000);
    server_end(&server);
}

TEST_NOFAULT(topics_that_may_not_be_made) {
    static const char *const args[] = { "-user", "moon", "-password", "sun", "-acls", NULL };
    struct server server;
    struct node n;
    struct broker_state s;
    if (!kafka_is_here()) return;
    open_both(&server, &n, args);
    n.s.user = "moon";
    n.s.password = "sun";
    n.s.group = "ours";
    n.s.work = "ours.jobs";
    n.s.dead = "ours.dead";
    n.s.results = "ours.n1";
    CHECK_INT(node_open(&n), 0);
    publish_all(&n, "ours.jobs", 0, 20);
    publish_all(&n, "ours.n1", 20, 20);
    CHECK(node_await(&n, &n.total, 40, LONG));
    CHECK_UINT(n.failed, 0);
    usleep(1500000);
    CHECK_UINT(n.total, 40);
    publish_all(&n, "theirs", 40, 1);
    CHECK(node_await(&n, &n.failed, 1, LONG));
    node_close(&n, 5000);
    n.s.results = "ours.n2";
    CHECK_INT(node_open(&n), 0);
    for (int i = 0; i < 200; i++, usleep(50000)) {
        broker_kafka_ops.state(n.b, &s);
        if (s.fatal) break;
    }
    CHECK(s.fatal);
    CHECK(strstr(s.why, "make it: kafka-topics.sh --create --topic ours.n2") != NULL);
    node_close(&n, 1000);
    server_end(&server);
}
